"""Exact distribution functions, densities and regression in quasi-linear time."""

from kernelkit.density.ecdf import MultivariateECDF, ecdf, empirical_copula
from kernelkit.density.kde import ProductKernelDensity, select_bandwidth
from kernelkit.density.regression import ProductKernelRegressor

__all__ = [
    "MultivariateECDF",
    "ProductKernelDensity",
    "ProductKernelRegressor",
    "ecdf",
    "empirical_copula",
    "select_bandwidth",
]
