"""Least squares on chosen centres, as estimators pose it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.linalg import Centers, PairKernel, as_kernel
from kernelkit.nystroem.centers import choose_centers, given_numbers, given_rows
from kernelkit.nystroem.outliers import warn_of_outliers
from kernelkit.nystroem.span import NOISE, Span, find_span
from kernelkit.nystroem.statistics import (
    NormalEquations,
    accumulate,
    gram_product,
    rounding_of_sums,
    sum_of_sizes,
    sum_rows,
    tile_rows,
)
from kernelkit.nystroem.steps import power_above

_DIRECT_CENTERS = 8000  # up to which the direct solver takes less time


@dataclass(frozen=True, kw_only=True)
class Problem(ABC):
    """Least squares on chosen centres, for rows that are kept elsewhere.

    Attributes
    ----------
    kernel : PairKernel
    base, unit : ndarray of shape (n_outputs,)
        Sums are over ``targets / unit - base``, at most 2 in size. The base is the
        weighted mean with an intercept, otherwise 0; the unit a power of 2.
    centers : Centers
    counts : ndarray of shape (m,)
        How much weight of rows each centre stands for.
    span : Span
    solver : {"direct", "cg"}
    basis : ndarray of shape (r, k)
        For the last of the r functions of the basis, which need sums of their own.
    fit_intercept : bool
    is_flat : bool
        Whether the targets came without an axis of outputs.
    n_jobs : int or None
    """

    kernel: PairKernel
    base: Array
    unit: Array
    centers: Centers
    counts: Array
    span: Span
    solver: str
    basis: Array
    fit_intercept: bool
    is_flat: bool
    n_jobs: int | None

    @abstractmethod
    def sums(self) -> NormalEquations:
        """Sum over the rows what `whiten` needs."""

    @abstractmethod
    def sums_of_some(self, n: int) -> NormalEquations:
        """Do as `sums` for n rows with weight that stand for all, or for all."""

    @abstractmethod
    def sums_without_gram(self) -> NormalEquations:
        """Sum over the rows of kernel values to all centres."""

    @abstractmethod
    def gram_product(self, coef: Array) -> Array:
        """Multiply weights (m, k) of the centres by their gram matrix over the rows."""

    @property
    def summed(self) -> Centers:
        """The r centres that span, in the order of the basis."""
        return self.centers.take(self.span.kept)

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


@dataclass(frozen=True, kw_only=True)
class RowsProblem(Problem):
    """Least squares on chosen centres, with its rows.

    Attributes
    ----------
    X : ndarray or csr_array of shape (n_samples, n_features)
    y : ndarray of shape (n_samples, n_outputs)
        ``targets / unit - base``.
    weights : ndarray of shape (n_samples,) or None
    basis_rows : ndarray of shape (n_samples, r) or None
        Values of the basis of the span at the rows, which are known if all of them are
        centres.
    """

    X: Any
    y: Array
    weights: Array | None
    basis_rows: Array | None

    def take(self, rows: Array) -> "RowsProblem":
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

    def sums_of_some(self, n: int) -> NormalEquations:
        """Take the rows at even distances."""
        weights = self.weights
        rows = np.arange(len(self.y)) if weights is None else np.flatnonzero(weights)
        return self.take(rows[evenly(len(rows), n)]).sums()

    def sums_without_gram(self) -> NormalEquations:
        """Sum over the rows of kernel values to all centres."""
        return accumulate(
            self.kernel,
            self.X,
            self.y,
            self.weights,
            self.centers,
            with_gram=False,
            n_jobs=self.n_jobs,
        )

    def gram_product(self, coef: Array) -> Array:
        """Multiply weights (m, k) of the centres by their gram matrix over the rows."""
        return gram_product(
            self.kernel, self.X, coef, self.weights, self.centers, n_jobs=self.n_jobs
        )


def evenly(n: int, n_chosen: int) -> Array:
    """Choose some of n rows, at most all, at even distances."""
    return np.linspace(0, n - 1, min(n, n_chosen)).astype(np.int64)


def pose(
    estimator: Any,
    X: Any,
    y: Array,
    sample_weight: Any,
    *,
    alpha: float,
    solver: str = "direct",
) -> RowsProblem:
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
    kernel = kernel_of(estimator, X.shape[1])
    n = X.shape[0]
    refuse_too_many(estimator.n_components, n)
    centers, proba = _find_centers(estimator, kernel, X, weights, alpha)
    has_all = _has_all_rows(centers, n, weights)
    solver = choose_solver(solver, centers, has_all=has_all)
    rows = X[centers.ids] if kernel.is_precomputed else centers.rows
    rounding = rounding_of_sums(sum_of_sizes(kernel, X, weights))
    span = span_centers(
        kernel, centers, rows, alpha=alpha, rounding=rounding, solver=solver
    )
    basis, basis_rows = np.empty((span.rank, span.rank)), None
    if has_all:
        basis_rows = np.zeros((n, span.rank))  # rows without weight do not count
        basis_rows[centers.ids[span.order]] = span.factor
    else:
        basis = span.lossy(alpha / rounding)
        ids = np.arange(n)
        warn_of_outliers(kernel, X, ids, weights, centers, span, alpha)
    y_2d = y.reshape(len(y), -1)
    unit = power_above(y_2d)
    y_2d = y_2d / unit
    base = np.zeros(y_2d.shape[1])
    if estimator.fit_intercept:
        base = np.average(y_2d, axis=0, weights=weights)
        y_2d -= base
    return RowsProblem(
        kernel=kernel,
        base=base,
        unit=unit,
        centers=centers,
        counts=_counts(centers, proba, np.ones(len(y)) if weights is None else weights),
        span=span,
        solver=solver,
        basis=basis,
        fit_intercept=estimator.fit_intercept,
        is_flat=y.ndim == 1,
        n_jobs=estimator.n_jobs,
        X=X,
        y=y_2d,
        weights=weights,
        basis_rows=basis_rows,
    )


def kernel_of(estimator: Any, n_features: int) -> PairKernel:
    """Make the kernel that an estimator has parameters of."""
    return as_kernel(
        estimator.kernel,
        gamma=estimator.gamma,
        degree=estimator.degree,
        coef0=estimator.coef0,
        kernel_params=estimator.kernel_params,
        n_features=n_features,
    )


def refuse_too_many(m: int, n: int) -> None:
    """Raise MemoryError if m centres, or n if that is less, exceed the memory."""
    m = min(m, n)
    check.memory(8 * m * (4 * m + min(tile_rows(m), n)), "lower n_components")


def choose_solver(solver: str, centers: Centers, *, has_all: bool) -> str:
    """Decide for "direct" or "cg" where "auto" leaves it to the number of centres."""
    if solver != "auto":
        return solver
    return "direct" if len(centers) <= _DIRECT_CENTERS or has_all else "cg"


def span_centers(
    kernel: PairKernel,
    centers: Centers,
    rows: Any,
    *,
    alpha: float,
    rounding: float,
    solver: str,
) -> Span:
    """Factor the kernel matrix of centres, whose rows are given for `kernel.block`.

    Warns if it is not positive semidefinite.
    """
    least = min(rounding / alpha, NOISE**0.5) ** 2 if solver == "cg" else 0.0
    span = find_span(kernel.block(rows, centers), rows.dtype, least=least)
    if not span.is_definite:
        warn(
            "The kernel is not positive semidefinite on the centres: "
            f"{len(centers) - span.rank} of {len(centers)} are left out. Use another "
            "kernel or other parameters of it."
        )
    return span


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
        ids = given_numbers(rule, X.shape[0])
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
