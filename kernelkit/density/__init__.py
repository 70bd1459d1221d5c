"""Exact multivariate empirical distributions in quasi-linear time."""

from kernelkit.density.ecdf import MultivariateECDF, ecdf, empirical_copula

__all__ = ["MultivariateECDF", "ecdf", "empirical_copula"]
