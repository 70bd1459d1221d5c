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
    names = (*check.NETWORK, "n_jobs")
    estimator.kernel_ = NeuralTangent(**{n: getattr(estimator, n) for n in names})
    check.memory(8 * len(X) ** 2, "learn from fewer rows, or by NystroemRidge")
    K = estimator.kernel_(X)
    if not K.diagonal().any():
        warn("All training rows are zero, which sigma_b=0 maps to 0: give sigma_b > 0.")
    return np.ascontiguousarray(K)


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
    support = estimator.X_fit_[estimator.support_]
    coef = estimator.dual_coef_[:, estimator.support_].T
    values = np.zeros((len(X), coef.shape[1]))
    if len(support):
        with _parallel.one_blas_thread:
            for rows in row_tiles(len(X), len(support)):
                values[rows] = estimator.kernel_(X[rows], support) @ coef
    return values + estimator.intercept_
