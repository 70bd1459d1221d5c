"""The estimators of kernelkit on Dask arrays and frames, chunk by chunk.

The classes have the names, parameters and attributes of the plain ones, which they are
when rows in memory are passed. Rows in a Dask collection are read by workers and never
gathered: a fit adds up what tasks say of their chunks, and results for Dask queries are
Dask arrays.
"""

from kernelkit.exceptions import MissingDependencyError

try:
    import dask.array  # noqa: F401
except ImportError as error:
    raise MissingDependencyError(
        "kernelkit.distributed needs Dask, which is not installed: "
        "pip install 'kernelkit[distributed]'."
    ) from error

from kernelkit.distributed.density import ProductKernelDensity
from kernelkit.distributed.design import DesignLeastSquares
from kernelkit.distributed.ecdf import MultivariateECDF
from kernelkit.distributed.ntk import NTKSVC
from kernelkit.distributed.nystroem import NystroemRidge
from kernelkit.distributed.prediction import predict
from kernelkit.distributed.rbf_network import (
    GaussianRBFClassifier,
    GaussianRBFRegressor,
)
from kernelkit.distributed.regression import ProductKernelRegressor

__all__ = [
    "NTKSVC",
    "DesignLeastSquares",
    "GaussianRBFClassifier",
    "GaussianRBFRegressor",
    "MultivariateECDF",
    "NystroemRidge",
    "ProductKernelDensity",
    "ProductKernelRegressor",
    "predict",
]
