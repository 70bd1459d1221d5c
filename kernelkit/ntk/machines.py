"""What machines and networks share: rows, kernel matrix, attributes, predictions."""

from typing import Any

import numpy as np

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.kernels.neural import NeuralTangent
from kernelkit.linalg import row_tiles
from kernelkit.ntk import dual


def rows_with_weight(
    estimator: Any, X: Any, y: Array, sample_weight: Any, dtype: Any = "float64"
) -> tuple[Array, Array, Array]:
    """Check rows; return those with weight, which they are, and their weights."""
    X = check.kernel_rows(estimator, X, reset=True, kernel=None, dtype=dtype)
    check.same_length(X, y)
    weights = check.weights(sample_weight, X)
    if weights is None:
        weights = np.ones(len(X))
    kept = weights > 0.0
    return X[kept], kept, weights[kept]


def gram(estimator: Any, X: Array) -> Array:
    """Store the kernel of an estimator and compute its matrix on the training rows."""
    estimator.kernel_ = kernel_of(estimator)
    needs_room(len(X))
    K = estimator.kernel_(X)
    notice_zeros(K)
    return np.ascontiguousarray(K)


def kernel_of(estimator: Any) -> NeuralTangent:
    """Return the kernel that the parameters of an estimator describe."""
    names = (*check.NETWORK, "n_jobs")
    return NeuralTangent(**{name: getattr(estimator, name) for name in names})


def needs_room(n: int) -> None:
    """Raise MemoryError if the kernel matrix of n rows exceeds the memory."""
    check.memory(8 * n**2, "learn from fewer rows, or by NystroemRidge")


def notice_zeros(K: Array) -> None:
    """Warn if no training row says anything."""
    if not K.diagonal().any():
        warn("All training rows are zero, which sigma_b=0 maps to 0: give sigma_b > 0.")


def store(estimator: Any, K: Array, machines: list[dual.Machine]) -> None:
    """Set the fitted attributes of an estimator."""
    estimator.dual_coef_ = np.array([machine.coef for machine in machines])
    estimator.intercept_ = np.array([machine.intercept for machine in machines])
    estimator.support_ = np.flatnonzero(estimator.dual_coef_.any(axis=0))
    estimator.rkhs_norm_, estimator._norm_bounds = dual.norms(K, estimator.dual_coef_)
    estimator.dual_gap_ = np.array([machine.gap for machine in machines])
    estimator.n_iter_ = np.array([machine.n_iter for machine in machines])


def evaluate(estimator: Any, X: Any) -> Array:
    """Evaluate the machines of a fitted estimator at query rows."""
    check.is_fitted(estimator)
    X = check.kernel_rows(estimator, X, reset=False, kernel=None, dtype="float64")
    return values_at(estimator, X)


def values_at(estimator: Any, X: Array) -> Array:
    """Evaluate the machines at checked rows, one in each column."""
    support, coef = support_vectors(estimator)
    coef = coef.T
    values = np.zeros((len(X), coef.shape[1]))
    if len(support):
        with _parallel.one_blas_thread:
            for rows in row_tiles(len(X), len(support)):
                values[rows] = estimator.kernel_(X[rows], support) @ coef
    return values + estimator.intercept_


def support_vectors(estimator: Any) -> tuple[Array, Array]:
    """Return the rows with a coefficient other than 0, and these coefficients."""
    used = estimator.dual_coef_.any(axis=0)
    return estimator.X_fit_[used], estimator.dual_coef_[:, used]
