"""Kernel matrices by blocks of rows, so that none is stored whole."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import clone
from sklearn.gaussian_process.kernels import Kernel, WhiteKernel
from sklearn.metrics import pairwise

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.linalg import _jit_blocks as loops
from kernelkit.linalg import user_function

Rows = Any  # ndarray or csr_array; None where a kernel needs none

_TILE = 512  # rows
_FEW_FEATURES = 8  # up to which differences of rows are about as fast as products
# Out of products a Gaussian kernel is wrong by the precision times gamma |center|^2: by
# 1e-9 and 1e-4 up to these values, beyond which differences are taken.
_FAR: dict[np.dtype[Any], float] = {
    np.dtype(np.float64): 1e6,
    np.dtype(np.float32): 1e2,
}
_FAR_SPARSE = 1e9  # wrong by 1e-6; beyond it sparse rows are refused
_EXP = {dtype: loops.exp_constants(dtype) for dtype in _FAR}


@dataclass(frozen=True, eq=False)
class Centers:
    """Rows that a kernel is evaluated at, as `PairKernel.centers` prepares them.

    Attributes
    ----------
    rows : ndarray or csr_array of shape (m, n_features)
        Without features if the kernel is precomputed.
    ids : ndarray of shape (m,), int64
        Their row numbers.
    factors : ndarray or csr_array of shape (m, n_features), or None
        What rows are multiplied by, if the kernel is computed from products.
    shift : ndarray of shape (n_features,), or None
        The point from which a Gaussian kernel measures `factors` and `norms`.
    norms : ndarray of shape (m,), or None
        Squared norms times `gamma`.
    by_pairs : bool
        Whether a user's function compares two rows at a time, and not blocks.
    """

    rows: Rows
    ids: Array
    factors: Rows = None
    shift: Rows = None
    norms: Rows = None
    by_pairs: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Array) -> "Centers":
        """Keep the centres at some indices, or where a mask is True."""

        def part(values: Rows) -> Rows:
            return None if values is None else values[index]

        return replace(
            self,
            rows=self.rows[index],
            ids=self.ids[index],
            factors=part(self.factors),
            norms=part(self.norms),
        )


@dataclass(frozen=True)
class PairKernel:
    """A kernel k(x, y) and its parameters, evaluated by blocks; see `as_kernel`."""

    name: str  # one of scikit-learn's, "precomputed", "object" or "function"
    gamma: float = 1.0
    degree: float = 3.0
    coef0: float = 1.0
    function: Any = None

    @property
    def is_precomputed(self) -> bool:
        """Whether a row holds its kernel values with all training rows."""
        return self.name == "precomputed"

    def differs_from(self, other: "PairKernel") -> str | None:
        """Name a parameter in which kernels differ; None if they are the same."""
        for field in fields(self):
            if not _are_same(getattr(self, field.name), getattr(other, field.name)):
                return field.name
        return None

    def centers(self, X: Rows, ids: Array) -> Centers:
        """Prepare the rows X, whose numbers are `ids`, for `block`."""
        ids = np.asarray(ids, dtype=np.int64)
        if self.is_precomputed:
            return Centers(X[:, :0], ids)
        if self.name == "function":
            by_pairs = user_function.compares_pairs(self.function, X)
            return Centers(X, ids, by_pairs=by_pairs)
        if self.name == "rbf" and (sparse.issparse(X) or X.shape[1] > _FEW_FEATURES):
            return _gaussian_centers(self.gamma, X, ids)
        if self.name in ("cosine", "linear", "poly", "sigmoid"):
            return Centers(X, ids, factors=self._factors(X))
        return Centers(X, ids)

    def block(self, X: Rows, centers: Centers, out: Array | None = None) -> Array:
        """Evaluate the kernel between rows and centres.

        Parameters
        ----------
        X : ndarray or csr_array of shape (n, n_features)
        centers : Centers
        out : ndarray, optional
            To be filled: in C order, of the precision of X, with a column per centre
            and n rows or more. New memory at each call costs more than the values.

        Returns
        -------
        values : ndarray of shape (n, m)
            float32 if X is, float64 otherwise.

        Raises
        ------
        ValueError
            If values overflow or a function returns what is no kernel matrix.
        """
        if out is None:
            out = np.empty((X.shape[0], len(centers)), dtype=precision(X))
        out = out[: X.shape[0]]
        if self.is_precomputed:
            return np.take(X, centers.ids, axis=1, out=out)
        if sparse.issparse(X) != sparse.issparse(centers.rows):
            X = X.toarray() if sparse.issparse(X) else sparse.csr_array(X)
        if X.dtype != centers.rows.dtype:
            wide = self.centers(centers.rows.astype(np.float64), centers.ids)
            out[...] = self.block(X.astype(np.float64), wide)
            return out
        with np.errstate(all="ignore"):
            _FILL[self.name](self, X, centers, out)
        if self.name not in ("rbf", "laplacian"):
            _refuse_overflow(out)
        return out

    def diag(self, X: Rows, ids: Array) -> Array:
        """Evaluate k(x, x) for the rows X, whose numbers are `ids`, in float64."""
        n = X.shape[0]
        if self.is_precomputed:
            return X[np.arange(n), ids].astype(np.float64)
        if self.name in ("rbf", "laplacian", "chi2"):
            return np.ones(n)
        if self.name == "additive_chi2":
            return np.zeros(n)
        with np.errstate(all="ignore"):
            if self.name == "object":
                values = np.asarray(self.function.diag(X), dtype=np.float64)
            elif self.name == "function":
                values = user_function.diagonal(self.function, X)
            else:
                values = self._product_diag(X)
        _refuse_overflow(values)
        return values

    def _factors(self, X: Rows) -> Rows:
        if self.name == "linear":
            return X
        if self.name == "cosine":
            return _directions(X)
        with np.errstate(over="ignore"):
            return X * X.dtype.type(self.gamma)

    def _product_diag(self, X: Rows) -> Array:
        if self.name == "cosine":
            X = _directions(X)
        squares = _squared_norms(X, np.float64)
        if self.name in ("cosine", "linear"):
            return squares
        values = self.gamma * squares + self.coef0
        return np.tanh(values) if self.name == "sigmoid" else values**self.degree


def as_kernel(
    kernel: Any,
    *,
    gamma: float | None = None,
    degree: float | None = None,
    coef0: float | None = None,
    kernel_params: dict[str, Any] | None = None,
    n_features: int,
) -> PairKernel:
    """Turn what users pass for a kernel into a `PairKernel`.

    Parameters
    ----------
    kernel : str, Kernel of scikit-learn, or callable
        A name of `sklearn.metrics.pairwise.pairwise_kernels` or "precomputed". A
        callable takes two blocks of rows, or else two rows. White noise in a Kernel
        counts for nothing: it belongs to rows, not to their features.
    gamma, degree, coef0 : float, optional
        Of kernels with a name. `gamma` is ``1 / n_features`` unless given, but 1 for
        "chi2"; `degree` is 3 and `coef0` is 1.
    kernel_params : dict, optional
        Keyword arguments of a callable, or the three parameters of a name.
    n_features : int

    Returns
    -------
    kernel : PairKernel
    """
    given = {"gamma": gamma, "degree": degree, "coef0": coef0}
    given = {name: value for name, value in given.items() if value is not None}
    extra = dict(kernel_params or {})
    if isinstance(kernel, str):
        return _named(kernel, extra | given, n_features)
    if given:
        raise ValueError(
            f"{' and '.join(given)}: for kernels with a name only. Set parameters of "
            f"{kernel!r} itself; those of a callable may be kernel_params."
        )
    if not isinstance(kernel, Kernel):
        return PairKernel("function", function=partial(kernel, **extra))
    if extra:
        raise ValueError(
            f"kernel_params are for callables: set parameters of {kernel!r} itself."
        )
    kernel = clone(kernel)
    for part in (kernel, *kernel.get_params().values()):
        if isinstance(part, WhiteKernel):
            part.noise_level = 0.0
    return PairKernel("object", function=kernel)


def row_tiles(n_rows: int, n_columns: int, itemsize: int = 8) -> list[slice]:
    """Cut the rows of a matrix into tiles, of which several threads hold one each.

    They depend on its shape and on scikit-learn's `working_memory` only.
    """
    memory = get_config()["working_memory"] * 2**20 / 8
    rows = int(np.clip(memory // (max(n_columns, 1) * itemsize), 1, _TILE))
    return [slice(i, min(i + rows, n_rows)) for i in range(0, n_rows, rows)]


def product(
    kernel: PairKernel,
    X: Rows,
    centers: Centers,
    V: Array,
    *,
    n_jobs: int | None = None,
) -> Array:
    """Compute ``K(X, centers) @ V`` by tiles on threads.

    Parameters
    ----------
    kernel : PairKernel
    X : ndarray or csr_array of shape (n, n_features)
    centers : Centers
        m of them.
    V : ndarray of shape (m,) or (m, k)
    n_jobs : int or None
        Number of threads; the result has the same bits for any.

    Returns
    -------
    values : ndarray of shape (n,) or (n, k)
    """
    dtype = precision(X)
    out = np.empty((X.shape[0], *V.shape[1:]), dtype=np.result_type(dtype, V))
    tiles = row_tiles(X.shape[0], len(centers), dtype.itemsize)
    own = threading.local()  # memory of a thread, used for all of its tiles

    def multiply(rows: slice) -> None:
        if not hasattr(own, "block"):
            own.block = np.empty((tiles[0].stop, len(centers)), dtype=dtype)
        np.matmul(kernel.block(X[rows], centers, out=own.block), V, out=out[rows])

    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        run([(multiply, (rows,)) for rows in tiles])
    return out


def precision(X: Rows) -> np.dtype[Any]:
    """Tell in which precision kernel values of rows are computed."""
    return np.dtype(np.float32 if X.dtype == np.float32 else np.float64)


def _named(name: str, parameters: dict[str, Any], n_features: int) -> PairKernel:
    name = "poly" if name == "polynomial" else name
    if name not in {*_FILL, "precomputed"} - {"object", "function"}:
        raise ValueError(
            "kernel must be a name that pairwise_kernels of scikit-learn knows, "
            f"'precomputed', a Kernel or a callable. Got {name!r} instead."
        )
    unknown = sorted(parameters.keys() - {"gamma", "degree", "coef0"})
    if unknown:
        raise ValueError(
            f"kernel_params of kernel={name!r} may be gamma, degree and coef0. Got "
            f"{', '.join(unknown)} instead."
        )
    numbers = {"gamma": 1.0 if name == "chi2" else 1.0 / max(n_features, 1)}
    for key, value in parameters.items():
        if value is None:
            continue
        allowed = check.KERNEL_PARAMETERS[key][0]
        if not allowed.is_satisfied_by(value):
            raise ValueError(
                f"The {key!r} parameter of kernel={name!r} must be {allowed}. Got "
                f"{value!r} instead."
            )
        numbers[key] = float(value)
    return PairKernel(name, **numbers)


def _are_same(first: Any, second: Any) -> bool:
    """Compare parameters of kernels, which may be or hold arrays."""
    if isinstance(first, partial) and isinstance(second, partial):
        return _are_same(first.func, second.func) and _are_same(
            first.keywords, second.keywords
        )
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            _are_same(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    return bool(np.all(first == second))


# Each of these fills a block of a kernel, with floating-point errors ignored.


def _fill_gaussian(kernel: PairKernel, X: Rows, centers: Centers, out: Array) -> None:
    if sparse.issparse(X):
        _fill_sparse_gaussian(kernel, X, centers, out)
        return
    if centers.norms is None or not centers.norms.max(initial=0.0) <= _FAR[out.dtype]:
        _fill_from_differences(kernel, X, centers, out)  # also if they are NaN
        return
    rows = X - centers.shift
    norms = out.dtype.type(kernel.gamma) * _squared_norms(rows)
    np.matmul(rows, centers.factors.T, out=out)
    _exp_of_products(norms, centers, out)
    beyond = ~np.isfinite(norms)
    if beyond.any():
        out[beyond] = kernel.block(X[beyond], replace(centers, norms=None))


def _fill_sparse_gaussian(
    kernel: PairKernel, X: Rows, centers: Centers, out: Array
) -> None:
    rows = X.astype(np.float64)
    norms = kernel.gamma * _squared_norms(rows)
    if not (centers.norms.max(initial=0.0) <= _FAR_SPARSE and np.isfinite(norms).all()):
        raise ValueError(
            "Sparse X holds numbers so large that a Gaussian kernel loses its digits: "
            "rescale the features, or lower gamma."
        )
    exponents = (rows @ centers.factors.T).toarray()
    _exp_of_products(norms, centers, exponents)
    out[...] = exponents


def _fill_from_differences(
    kernel: PairKernel, X: Rows, centers: Centers, out: Array
) -> None:
    squared = kernel.name == "rbf"
    factor = np.sqrt(kernel.gamma) if squared else kernel.gamma
    loops.exp_of_differences(
        squared,
        np.require(X, requirements=["C", "A", "W"]),
        np.array(centers.rows.T, order="C"),
        out.dtype.type(min(factor, np.finfo(out.dtype).max)),
        _EXP[out.dtype],
        out,
        _bits(out),
    )


def _fill_linear(kernel: PairKernel, X: Rows, centers: Centers, out: Array) -> None:
    if sparse.issparse(X):
        out[...] = (X @ centers.factors.T).toarray()
    else:
        np.matmul(X, centers.factors.T, out=out)


def _fill_cosine(kernel: PairKernel, X: Rows, centers: Centers, out: Array) -> None:
    _fill_linear(kernel, _directions(X), centers, out)


def _fill_polynomial(kernel: PairKernel, X: Rows, centers: Centers, out: Array) -> None:
    _fill_linear(kernel, X, centers, out)
    coef0 = out.dtype.type(kernel.coef0)
    if float(kernel.degree).is_integer():
        loops.powers_of_products(coef0, int(kernel.degree), out)
    else:
        np.power(out + coef0, kernel.degree, out=out)


def _fill_sigmoid(kernel: PairKernel, X: Rows, centers: Centers, out: Array) -> None:
    _fill_linear(kernel, X, centers, out)
    out += out.dtype.type(kernel.coef0)
    np.tanh(out, out=out)


def _fill_chi2(kernel: PairKernel, X: Rows, centers: Centers, out: Array) -> None:
    out[...] = pairwise.chi2_kernel(X, centers.rows, gamma=kernel.gamma)


def _fill_additive_chi2(
    kernel: PairKernel, X: Rows, centers: Centers, out: Array
) -> None:
    out[...] = pairwise.additive_chi2_kernel(X, centers.rows)


def _fill_by_function(
    kernel: PairKernel, X: Rows, centers: Centers, out: Array
) -> None:
    out[...] = user_function.block(
        kernel.function, X, centers.rows, by_pairs=centers.by_pairs
    )


_FILL: dict[str, Callable[[PairKernel, Rows, Centers, Array], None]] = {
    "additive_chi2": _fill_additive_chi2,
    "chi2": _fill_chi2,
    "cosine": _fill_cosine,
    "function": _fill_by_function,
    "laplacian": _fill_from_differences,
    "linear": _fill_linear,
    "object": _fill_by_function,
    "poly": _fill_polynomial,
    "rbf": _fill_gaussian,
    "sigmoid": _fill_sigmoid,
}


def _gaussian_centers(gamma: float, X: Rows, ids: Array) -> Centers:
    """Prepare for ``-gamma |x - c|^2 = 2 gamma x'c - gamma |x|^2 - gamma |c|^2``.

    Dense rows are measured from the mean of the centres. Sparse ones would not stay so,
    and are multiplied in float64 instead.
    """
    with np.errstate(all="ignore"):
        if sparse.issparse(X):
            shift, rows = None, X.astype(np.float64)
        else:
            shift = X.sum(axis=0) / X.dtype.type(max(len(ids), 1))
            rows = X - shift
        scale = rows.dtype.type(gamma)
        norms = scale * _squared_norms(rows)
        return Centers(X, ids, factors=rows * (2 * scale), shift=shift, norms=norms)


def _exp_of_products(norms: Array, centers: Centers, out: Array) -> None:
    loops.exp_of_products(norms, centers.norms, _EXP[out.dtype], out, _bits(out))


def _bits(out: Array) -> Array:
    return out.view(f"i{out.itemsize}")


def _squared_norms(X: Rows, dtype: Any = None) -> Array:
    if sparse.issparse(X):
        X = X.astype(dtype or X.dtype)
        return np.asarray(X.multiply(X).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", X, X, dtype=dtype)


def _directions(X: Rows) -> Rows:
    """Divide rows by their norms, even if squares over- or underflow."""
    X = _divide(X, abs(X).max(axis=1))
    return _divide(X, np.sqrt(_squared_norms(X)))


def _divide(X: Rows, sizes: Rows) -> Rows:
    if not sparse.issparse(X):
        return X / np.where(sizes > 0, sizes, 1)[:, None]
    sizes = sizes.toarray() if sparse.issparse(sizes) else sizes
    return (X / np.where(sizes > 0, sizes, 1)[:, None]).tocsr()


def _refuse_overflow(values: Array) -> None:
    if not (np.isfinite(values.sum()) or np.isfinite(values).all()):
        raise ValueError(
            "Kernel values overflow or are NaN: rescale X, or choose other parameters "
            "of the kernel."
        )
