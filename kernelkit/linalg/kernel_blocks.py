"""Kernel matrices by blocks of rows, so that none need be stored whole."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.gaussian_process.kernels import Kernel
from sklearn.metrics import pairwise

from kernelkit import _parallel
from kernelkit._validation import Array

NAMES = (
    "additive_chi2",
    "chi2",
    "cosine",
    "laplacian",
    "linear",
    "poly",
    "polynomial",
    "precomputed",
    "rbf",
    "sigmoid",
)


@dataclass(frozen=True, eq=False)
class Centers:
    """Rows that a kernel is evaluated against, as `PairKernel.centers` prepares them.

    Attributes
    ----------
    rows : ndarray or csr_array of shape (m, n_features)
    ids : ndarray of shape (m,), int64
        Their row numbers.
    """

    rows: Array
    ids: Array

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Array) -> "Centers":
        """Keep the centres at some indices, or where a mask is True."""
        return replace(self, rows=self.rows[index], ids=self.ids[index])


@dataclass(frozen=True)
class PairKernel:
    """A kernel k(x, y) with its parameters, evaluated by blocks; see `as_kernel`."""

    name: str  # one of NAMES, "object" or "callable"
    gamma: float = 1.0
    degree: float = 3.0
    coef0: float = 1.0
    function: Any = None

    @property
    def is_precomputed(self) -> bool:
        """Whether a row holds its kernel values with all training rows."""
        return self.name == "precomputed"

    def centers(self, X: Array, ids: Array) -> Centers:
        """Prepare rows, whose numbers are `ids`, for `block`."""
        return Centers(X[:, :0] if self.is_precomputed else X, np.asarray(ids))

    def block(self, X: Array, centers: Centers, out: Array | None = None) -> Array:
        """Evaluate the kernel between all rows of X and all centres."""
        dtype = np.float32 if X.dtype == np.float32 else np.float64
        if self.is_precomputed:
            values = X[:, centers.ids]
        elif self.name == "object" or self.name == "callable":
            values = self.function(X, centers.rows)
        else:
            values = pairwise.pairwise_kernels(
                X,
                centers.rows,
                metric=self.name,
                filter_params=True,
                gamma=self.gamma,
                degree=self.degree,
                coef0=self.coef0,
            )
        if out is None:
            return np.ascontiguousarray(values, dtype=dtype)
        out = out[: X.shape[0]]
        out[...] = values
        return out

    def diag(self, X: Array, ids: Array) -> Array:
        """Evaluate k(x, x) for each row, in float64; `ids` are their numbers."""
        n = X.shape[0]
        if self.is_precomputed:
            return X[np.arange(n), ids].astype(np.float64)
        if self.name == "object":
            return np.asarray(self.function.diag(X), dtype=np.float64)
        if self.name in ("rbf", "laplacian", "chi2"):
            return np.ones(n)
        rows = [self.centers(X[i : i + 1], ids[i : i + 1]) for i in range(n)]
        return np.array(
            [float(self.block(row.rows, row)[0, 0]) for row in rows], dtype=np.float64
        )


def as_kernel(
    kernel: Any,
    *,
    gamma: float | None = None,
    degree: float | None = None,
    coef0: float | None = None,
    kernel_params: dict[str, Any] | None = None,
    n_features: int,
) -> PairKernel:
    """Turn what a user passes for a kernel into a `PairKernel`."""
    given = {"gamma": gamma, "degree": degree, "coef0": coef0}
    given = {name: float(value) for name, value in given.items() if value is not None}
    if isinstance(kernel, Kernel):
        return PairKernel("object", function=clone(kernel))
    if callable(kernel):
        return PairKernel("callable", function=partial(kernel, **(kernel_params or {})))
    gamma = 1.0 if kernel == "chi2" else 1.0 / n_features
    return PairKernel(kernel, **{"gamma": gamma, **given})


def row_tiles(n_rows: int, n_columns: int, itemsize: int = 8) -> list[slice]:
    """Cut rows into tiles of a matrix; these depend on shapes and working_memory."""
    row_bytes = max(n_columns, 1) * itemsize
    memory = get_config()["working_memory"] * 2**20 / 8  # several threads have a tile
    rows = int(min(max(memory // row_bytes, 1), 512))
    return [slice(i, min(i + rows, n_rows)) for i in range(0, n_rows, rows)]


def product(
    kernel: PairKernel,
    X: Array,
    centers: Centers,
    V: Array,
    *,
    n_jobs: int | None = None,
) -> Array:
    """Compute ``K(X, centers) @ V`` without storing the matrix."""
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    out = np.empty((X.shape[0], *V.shape[1:]), dtype=np.result_type(dtype, V))

    def multiply(rows: slice) -> None:
        np.matmul(kernel.block(X[rows], centers), V, out=out[rows])

    tiles = row_tiles(X.shape[0], len(centers))
    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        run([(multiply, (rows,)) for rows in tiles])
    return out
