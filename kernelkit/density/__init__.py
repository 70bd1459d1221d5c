"""Exact distribution functions, densities and regression in quasi-linear time."""

from kernelkit.density.ecdf import MultivariateECDF, ecdf, empirical_copula
from kernelkit.density.kde import ProductKernelDensity, select_bandwidth

__all__ = [
    "MultivariateECDF",
    "ProductKernelDensity",
    "ecdf",
    "empirical_copula",
    "select_bandwidth",
]
