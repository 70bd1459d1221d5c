"""Least squares on chosen centres, as estimators pose it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.linalg import Centers, PairKernel, as_kernel
from kernelkit.nystroem.centers import choose_centers, given_rows
from kernelkit.nystroem.outliers import warn_of_outliers
from kernelkit.nystroem.span import NOISE, Span, find_span
from kernelkit.nystroem.statistics import (
    NormalEquations,
    accumulate,
    rounding_of_sums,
    sum_rows,
    tile_rows,
)
from kernelkit.nystroem.steps import power_above

_DIRECT_CENTERS = 8000  # up to which the direct solver takes less time


@dataclass(frozen=True)
class Problem:
    """Least squares on chosen centres.

    Attributes
    ----------
    kernel : PairKernel
    X : ndarray or csr_array of shape (n_samples, n_features)
    y : ndarray of shape (n_samples, n_outputs)
        ``targets / unit - base``, at most 2 in size.
    weights : ndarray of shape (n_samples,) or None
    base, unit : ndarray of shape (n_outputs,)
        The weighted mean with an intercept, otherwise 0; and a power of 2.
    centers : Centers
    counts : ndarray of shape (m,)
        How much weight of rows each centre stands for.
    span : Span
    solver : {"direct", "cg"}
    summed : Centers
        The r centres that span, in the order of the basis.
    basis : ndarray of shape (r, k)
        For the last functions of the basis, which need sums of their own.
    basis_rows : ndarray of shape (n_samples, r) or None
        Values of the basis of the span at the rows, which are known if all of them are
        centres.
    fit_intercept : bool
    is_flat : bool
        Whether the targets came without an axis of outputs.
    n_jobs : int or None
    """

    kernel: PairKernel
    X: Any
    y: Array
    weights: Array | None
    base: Array
    unit: Array
    centers: Centers
    counts: Array
    span: Span
    solver: str
    summed: Centers
    basis: Array
    basis_rows: Array | None
    fit_intercept: bool
    is_flat: bool
    n_jobs: int | None

    def take(self, rows: Array) -> "Problem":
        """Pose the problem on some of the rows, with the same centres."""

        def part(values: Array | None) -> Array | None:
            return None if values is None else values[rows]

        return replace(
            self,
            X=self.X[rows],
            y=self.y[rows],
            weights=part(self.weights),
            basis_rows=part(self.basis_rows),
        )

    def sums(self) -> NormalEquations:
        """Sum over the rows what `whiten` needs."""
        if self.basis_rows is not None:
            return sum_rows(self.basis_rows, self.y, self.weights)
        return accumulate(
            self.kernel,
            self.X,
            self.y,
            self.weights,
            self.summed,
            basis=self.basis,
            n_jobs=self.n_jobs,
        )

    def whiten(self, sums: NormalEquations) -> NormalEquations:
        """Turn `sums` into what least squares in the basis of the span needs."""
        return self.span.whiten(sums, self.span.rank - self.basis.shape[1])

    def centered(self, white: NormalEquations) -> NormalEquations:
        """Take means away from sums if an intercept stands for them."""
        return white.centered() if self.fit_intercept else white

    def intercept(self, white: NormalEquations, beta: Array) -> Array:
        """Solve for the constant of each output, as a distance from `base`."""
        if not self.fit_intercept:
            return np.zeros(beta.shape[1])
        return (white.targets - white.columns @ beta) / white.weight


def pose(
    estimator: Any,
    X: Any,
    y: Array,
    sample_weight: Any,
    *,
    alpha: float,
    solver: str = "direct",
) -> Problem:
    """Check the rows, choose the centres and factor their kernel matrix.

    Parameters
    ----------
    estimator : NystroemRidge or NystroemRidgeCV
        Whose parameters and names of features count.
    X : array-like
        What `fit` got.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Checked targets.
    sample_weight : array-like or None
        What `fit` got.
    alpha : float
        Penalty that the centres are for.
    solver : {"auto", "direct", "cg"}, default="direct"
        "auto" is decided by the number of centres.
    """
    X = check.kernel_rows(
        estimator, X, reset=True, kernel=estimator.kernel, dtype=estimator.dtype
    )
    check_consistent_length(X, y)
    weights = check.weights(sample_weight, X)
    kernel = as_kernel(
        estimator.kernel,
        gamma=estimator.gamma,
        degree=estimator.degree,
        coef0=estimator.coef0,
        kernel_params=estimator.kernel_params,
        n_features=X.shape[1],
    )
    n = X.shape[0]
    m = min(estimator.n_components, n)
    check.memory(8 * m * (4 * m + min(tile_rows(m), n)), "lower n_components")
    with _parallel.one_blas_thread:
        centers, proba = _find_centers(estimator, kernel, X, weights, alpha)
        has_all = _has_all_rows(centers, n, weights)
        if solver == "auto":
            is_small = len(centers) <= _DIRECT_CENTERS
            solver = "direct" if is_small or has_all else "cg"
        rows = X[centers.ids] if kernel.is_precomputed else centers.rows
        K_mm = kernel.block(rows, centers)
        rounding = rounding_of_sums(kernel, X, weights)
        least = min(rounding / alpha, NOISE**0.5) ** 2
        least = least if solver == "cg" else 0.0
        span = find_span(K_mm, X.dtype, least=least)
    basis, basis_rows = np.empty((span.rank, span.rank)), None
    if has_all:
        basis_rows = np.zeros((n, span.rank))  # rows without weight do not count
        basis_rows[centers.ids[span.order]] = span.factor
    else:
        basis = span.lossy(alpha / rounding)
        ids = np.arange(n)
        warn_of_outliers(kernel, X, ids, weights, centers, span, alpha)
    if not span.is_definite:
        warn(
            "The kernel is not positive semidefinite on the centres: "
            f"{len(centers) - span.rank} of {len(centers)} are left out. Use another "
            "kernel or other parameters of it."
        )
    y_2d = y.reshape(len(y), -1)
    unit = power_above(y_2d)
    y_2d = y_2d / unit
    base = np.zeros(y_2d.shape[1])
    if estimator.fit_intercept:
        base = np.average(y_2d, axis=0, weights=weights)
        y_2d -= base
    return Problem(
        kernel,
        X,
        y_2d,
        weights,
        base,
        unit,
        centers,
        _counts(centers, proba, np.ones(len(y)) if weights is None else weights),
        span,
        solver,
        centers.take(span.kept),
        basis,
        basis_rows,
        estimator.fit_intercept,
        y.ndim == 1,
        estimator.n_jobs,
    )


def _find_centers(
    estimator: Any, kernel: PairKernel, X: Any, weights: Array | None, alpha: float
) -> tuple[Centers, Array | None]:
    """Choose centres by a rule, or take the given ones.

    Returns
    -------
    centers : Centers
    inclusion_proba : ndarray of shape (m,) or None
        None if it is not known.
    """
    rule = estimator.centers
    if isinstance(rule, str):
        chosen = choose_centers(
            rule,
            kernel,
            X,
            weights,
            estimator.n_components,
            alpha=alpha,
            selection_samples=estimator.selection_samples,
            rng=check.rng(estimator.random_state),
            n_jobs=estimator.n_jobs,
        )
        ids = chosen.indices
        return kernel.centers(X[ids], ids), chosen.inclusion_proba
    if np.ndim(rule) == 1:
        ids = np.asarray(rule)
        is_whole = ids.size > 0 and ids.dtype.kind in "iu"
        if not (is_whole and np.isin(ids, np.arange(X.shape[0])).all()):
            raise ValueError(
                "centers of one dimension are row numbers: whole numbers from 0 to "
                f"{X.shape[0] - 1}. Got {rule!r} instead."
            )
        return kernel.centers(X[ids], ids), None
    if kernel.is_precomputed:
        raise ValueError(
            "With a precomputed kernel, centers must be a rule or row numbers. Got "
            f"shape {np.shape(rule)} instead."
        )
    rows = given_rows(kernel, rule, X)
    return kernel.centers(rows, np.full(rows.shape[0], -1)), None


def _has_all_rows(centers: Centers, n: int, weights: Array | None) -> bool:
    """Tell whether each row with weight is a centre."""
    ids = np.unique(centers.ids[centers.ids >= 0])
    rows = np.arange(n) if weights is None else np.flatnonzero(weights)
    return len(ids) == len(centers) and bool(np.isin(rows, ids).all())


def _counts(centers: Centers, proba: Array | None, weights: Array) -> Array:
    if proba is None:
        return np.full(len(centers), weights.sum() / max(len(centers), 1))
    return weights[centers.ids] / proba
