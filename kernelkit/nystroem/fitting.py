"""What estimators that keep a function on centres do alike: solve, keep, evaluate."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.linalg import product
from kernelkit.nystroem.problem import Problem, pose
from kernelkit.nystroem.solvers import SolveResult, solve_cg, solve_direct
from kernelkit.nystroem.statistics import NormalEquations
from kernelkit.nystroem.stream import forget

_SAMPLED_ROWS = 4  # per centre, to approximate sums over all rows


def learn(estimator: Any, X: Any, y: Array, sample_weight: Any) -> None:
    """Fit an estimator that has the parameters of `NystroemRidge`.

    Parameters
    ----------
    estimator : NystroemRidge or NystroemRidgeClassifier
    X : array-like
        What `fit` got.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Checked targets.
    sample_weight : array-like or None
        What `fit` got.
    """
    alpha = penalties(estimator, y)
    with _parallel.one_blas_thread:
        problem = pose(
            estimator,
            X,
            y,
            sample_weight,
            alpha=float(alpha.min()),
            solver=estimator.solver,
        )
        solve(estimator, problem, alpha)


def solve(estimator: Any, problem: Problem, alpha: Array) -> None:
    """Minimise the squared errors plus the penalty, and store the solution."""
    tol, max_iter = estimator.tol, estimator.max_iter
    if problem.solver == "direct":
        white = problem.whiten(problem.sums())
        result = solve_direct(problem.centered(white), alpha)
    else:
        white, result = _solve_cg(problem, alpha, tol, max_iter)
    if problem.solver == "cg" and not result.has_converged:
        warn(
            f"Conjugate gradients stopped after max_iter={max_iter} iterations with a "
            f"residual above tol={tol:g}: raise max_iter, alpha or tol, or use "
            "solver='direct'.",
            ConvergenceWarning,
        )
    forget(estimator)
    estimator.solver_ = problem.solver
    estimator.n_iter_ = result.n_iter
    keep(estimator, problem, white, result.beta)


def keep(estimator: Any, problem: Problem, white: NormalEquations, beta: Array) -> None:
    """Store the solution of a problem in an estimator."""
    coef = problem.span.coef(beta) * problem.unit
    intercept = problem.unit * (problem.base + problem.intercept(white, beta))
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError(
            "The kernel values or the weights are so large that sums of them overflow: "
            "rescale the features, the kernel or the weights."
        )
    centers = problem.centers
    estimator.kernel_ = problem.kernel
    estimator.component_indices_ = centers.ids
    estimator.components_ = (
        centers.ids if problem.kernel.is_precomputed else centers.rows
    )
    estimator.dual_coef_ = coef[:, 0] if problem.is_flat else coef
    estimator.intercept_ = float(intercept[0]) if problem.is_flat else intercept
    estimator._centers = centers


def evaluate(estimator: Any, X: Any) -> Array:
    """Predict by the centres that a fitted estimator keeps."""
    check.is_fitted(estimator)
    kernel, centers = estimator.kernel_, estimator._centers
    X = check.kernel_rows(
        estimator, X, reset=False, kernel=kernel.name, dtype=centers.rows.dtype
    )
    values = product(kernel, X, centers, estimator.dual_coef_, n_jobs=estimator.n_jobs)
    return values + estimator.intercept_


def penalties(estimator: Any, y: Array) -> Array:
    """Check alpha: a number, or one for each output."""
    n_outputs = 1 if y.ndim == 1 else y.shape[1]
    words = f"a finite number > 0 or {n_outputs} of them, one per output"
    return check.positive_numbers(estimator, "alpha", (1, n_outputs), words)


def tags(estimator: Any, tags: Any) -> Any:
    """Say which containers the kernel takes."""
    kernel = estimator.kernel
    tags.input_tags.pairwise = isinstance(kernel, str) and kernel == "precomputed"
    tags.input_tags.sparse = check.takes_sparse(kernel)
    return tags


def _approximate_gram(problem: Problem, weight: float) -> Array:
    """Estimate the whitened gram matrix from the centres and from some rows.

    Centres, each counted for what it stands for, know of rare rows, and rows of what
    the centres do not span. The mean of the two suits any choice of centres.

    Parameters
    ----------
    problem : Problem
    weight : float
        Of all rows.
    """
    span = problem.span
    counts, factor = problem.counts[span.order], span.factor
    if problem.fit_intercept:
        factor = factor - np.average(factor, axis=0, weights=counts)
    by_centers = factor.T @ (counts[:, None] * factor)
    sums = problem.sums_of_some(_SAMPLED_ROWS * len(counts))
    sample = problem.centered(problem.whiten(sums))
    return 0.5 * (by_centers + weight / sample.weight * sample.gram)


def _solve_cg(
    problem: Problem, alpha: Array, tol: float, max_iter: int
) -> tuple[NormalEquations, SolveResult]:
    """Iterate; the sums that are returned lack the gram matrix."""
    span, fit_intercept = problem.span, problem.fit_intercept
    sums = problem.sums_without_gram()
    right = span.project(np.column_stack([sums.cross, sums.columns]))
    white = replace(sums, cross=right[:, :-1], columns=right[:, -1])
    means = white.columns / white.weight
    cross = white.cross
    if fit_intercept:
        cross = cross - np.outer(means, white.targets)

    def gram(beta: Array) -> Array:
        image = span.project(problem.gram_product(span.coef(beta)))
        return image - np.outer(means, white.columns @ beta) * fit_intercept

    approximation = _approximate_gram(problem, white.weight)
    beta = np.zeros_like(cross)
    n_iter, has_converged = 1, True
    alphas = np.full(cross.shape[1], alpha)
    for value in np.unique(alphas):
        outputs = alphas == value
        result = solve_cg(
            gram,
            cross[:, outputs],
            approximation,
            value,
            tol=tol,
            max_iter=max_iter,
        )
        beta[:, outputs] = result.beta
        n_iter = max(n_iter, result.n_iter)
        has_converged = has_converged and result.has_converged
    return white, SolveResult(beta, has_converged, n_iter)
