"""Kernel ridge regression in the span of a few centres."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_consistent_length

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._warnings import warn
from kernelkit.linalg import Centers, PairKernel, as_kernel, product
from kernelkit.nystroem.centers import RULES, choose_centers, given_rows
from kernelkit.nystroem.solvers import (
    SolveResult,
    Span,
    find_span,
    solve_cg,
    solve_direct,
)
from kernelkit.nystroem.statistics import (
    NormalEquations,
    accumulate,
    gram_product,
    sum_rows,
    tile_rows,
)
from kernelkit.nystroem.steps import power_above
from kernelkit.nystroem.stream import feed, forget, solved

Array = npt.NDArray[Any]

_DIRECT_CENTERS = 8000  # up to which the direct solver takes less time
_SAMPLED_ROWS = 4  # per centre, to approximate sums over all rows


class NystroemRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Kernel ridge regression in the span of a few centres.

    For m centres :math:`c_j` among n rows with targets :math:`y_i` and weights
    :math:`w_i`, the function :math:`f(x) = b + \sum_j a_j k(x, c_j)` minimises

    .. math:: \sum_{i=1}^{n} w_i (y_i - f(x_i))^2 +
       \alpha \sum_{j,l=1}^{m} a_j a_l k(c_j, c_l)

    in time O(n m^2) and memory O(m^2), where `sklearn.kernel_ridge.KernelRidge` takes
    O(n^3) and O(n^2). With every row a centre the two agree.

    Parameters
    ----------
    alpha : float or array-like of shape (n_outputs,), default=1.0
        Penalty, > 0; one for each output or one for all. It is that of `KernelRidge`,
        not divided by n: where a paper has lambda n, write alpha.
    kernel : str, Kernel or callable, default="rbf"
        Positive semidefinite kernel: a name of
        `sklearn.metrics.pairwise.pairwise_kernels`, "precomputed", a kernel object of
        scikit-learn or kernelkit, or a function of two blocks of rows, or two rows.
    gamma, degree, coef0 : float or None, default=None
        Parameters of a kernel given by its name; None stands for the defaults of
        scikit-learn.
    kernel_params : dict or None, default=None
        Keyword arguments of a callable kernel.
    n_components : int, default=1000
        Number m of centres; all rows are, if they are not more than that.
    centers : {"rls", "uniform", "rpcholesky"} or array-like, default="rls"
        Rule that chooses centres among the rows: by ridge leverage scores, at random,
        or by randomly pivoted Cholesky. Or the centres themselves, of shape
        (m, n_features), or the row numbers of them, whole numbers of shape (m,).
    selection_samples : int, "auto" or None, default="auto"
        Number of random rows that "rls" and "rpcholesky" choose from, not less than
        `n_components`. "auto" stands for the larger of 4000 and 10 per centre, None for
        all rows.
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" sums an m x m matrix over the rows and factors it. "cg" passes over the
        rows again in each iteration of preconditioned conjugate gradients and is for
        many centres. "auto" takes "cg" for more than 8000.
    tol : float, default=1e-6
        Residual at which "cg" stops, relative to the first.
    max_iter : int, default=30
        Most iterations of "cg".
    fit_intercept : bool, default=False
        Whether to fit a constant b without a penalty. Without it, predictions tend to 0
        far from the rows.
    dictionary : {"warmup", "adaptive"}, default="warmup"
        How `partial_fit` gets its centres: "warmup" chooses them among the first
        `warmup_samples` rows, from which `fit` on the same centres differs by rounding;
        "adaptive" lets them change as rows come, for streams that drift, and needs
        ``centers="rls"``. It changes them while they are fewer than `n_components` and
        where `novelty_` exceeds 2.
    warmup_samples : int or "auto", default="auto"
        Rows that `partial_fit` waits for; "auto" stands for the larger of 2000 and 8
        per centre. "warmup" needs one for each centre.
    dtype : {"float32", "float64"} or None, default=None
        Precision of kernel values; sums and solutions have float64. None keeps that of
        float32 rows.
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws of centres; an int makes `fit` repeatable.

    Attributes
    ----------
    components_ : ndarray or csr_array of shape (m, n_features)
        Centres; the same as `component_indices_` if the kernel is precomputed.
    component_indices_ : ndarray of shape (m,)
        Their row numbers; -1 if the centres were given themselves.
    dual_coef_ : ndarray of shape (m,) or (m, n_outputs)
        Weights a of the centres, in the unit of `y`. A centre that the others span up
        to rounding has 0.
    intercept_ : float or ndarray of shape (n_outputs,)
        The constant b, 0 without `fit_intercept`.
    kernel_ : PairKernel
        Kernel with its parameters.
    solver_ : {"direct", "cg"}
        Solver of the last fit.
    n_iter_ : int
        Number of iterations of "cg"; 1 of "direct".
    n_samples_seen_, n_projected_ : int
        After `partial_fit` only: the number of rows, and of centres so far whose sums
        over earlier rows are approximate, as "adaptive" has them.
    novelty_ : float
        After `partial_fit` only: how far the last rows were from the span of the
        centres, next to those of the warm-up.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, `X`, `y` or the kernel hold NaN or
        infinity, or weights are negative or all zero.
    MemoryError
        By `fit`, if matrices of m x m numbers exceed the memory.

    Warns
    -----
    ConvergenceWarning
        If "cg" stops at `max_iter`.
    UserWarning
        If the kernel is not positive semidefinite on the centres. Those that make it so
        are left out.

    See Also
    --------
    NystroemRidgeCV : The same with alpha chosen from a grid in one pass.
    sklearn.kernel_ridge.KernelRidge : Every row is a centre.

    Notes
    -----
    Equal integer weights and repeated rows give the same function on the same centres.
    Rows without weight have no effect.

    Centres chosen by leverage scores beat uniform ones if some rows are unlike most
    others, as in small clusters and rare regions, and are as good where none is.

    The direct solver works in an orthonormal basis of the span of the centres; those
    that add less than 1e-10 of their own k(x, x) to it, or 1e-6 in float32, are left
    out. Where rounding of sums of kernel values in float64 would come near to the
    penalty, sums over the basis follow and take their place, in some four times the
    time. `partial_fit`, which sees rows once, decides by how near to dependent the
    centres are; with "adaptive" it always sums over the basis.

    References
    ----------
    .. [1] Rudi, Camoriano & Rosasco (2015), "Less is more: Nyström computational
       regularization", NeurIPS 28, section 2.
    .. [2] Rudi, Carratino & Rosasco (2017), "FALKON: an optimal large scale kernel
       method", NeurIPS 30.
    .. [3] Calandriello, Lazaric & Valko (2017), "Distributed adaptive sampling for
       kernel matrix approximation", AISTATS.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import NystroemRidge
    >>> X = np.linspace(0.0, 6.0, 2000)[:, None]
    >>> y = np.sin(X[:, 0])
    >>> ridge = NystroemRidge(alpha=1e-3, n_components=30, random_state=0).fit(X, y)
    >>> ridge.dual_coef_.shape
    (30,)
    >>> ridge.score(X, y) > 0.999
    True
    """

    _parameter_constraints = {
        "alpha": [*check.POSITIVE, "array-like"],
        "kernel": check.KERNEL,
        **check.KERNEL_PARAMETERS,
        "n_components": check.WHOLE,
        "centers": [*check.one_of(*RULES), "array-like"],
        "selection_samples": [*check.WHOLE, *check.one_of("auto"), None],
        "solver": check.one_of("auto", "direct", "cg"),
        "tol": check.POSITIVE,
        "max_iter": check.WHOLE,
        "fit_intercept": check.BOOLEAN,
        "dictionary": check.one_of("warmup", "adaptive"),
        "warmup_samples": [*check.WHOLE, *check.one_of("auto")],
        "dtype": check.FLOAT_DTYPE,
        "n_jobs": check.N_JOBS,
        "random_state": check.RANDOM_STATE,
    }

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        kernel: Any = "rbf",
        gamma: float | None = None,
        degree: float | None = None,
        coef0: float | None = None,
        kernel_params: dict[str, Any] | None = None,
        n_components: int = 1000,
        centers: Any = "rls",
        selection_samples: Any = "auto",
        solver: str = "auto",
        tol: float = 1e-6,
        max_iter: int = 30,
        fit_intercept: bool = False,
        dictionary: str = "warmup",
        warmup_samples: Any = "auto",
        dtype: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.n_components = n_components
        self.centers = centers
        self.selection_samples = selection_samples
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.fit_intercept = fit_intercept
        self.dictionary = dictionary
        self.warmup_samples = warmup_samples
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the centres and solve for their weights.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows, finite numbers; kernel values of all pairs of them if the
            kernel is precomputed.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1. They count
            as repetitions: larger ones ask for a larger `alpha`.

        Returns
        -------
        self : NystroemRidge
        """
        learn(self, X, check.targets(self, y), sample_weight)
        return self

    @check.params
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from a further batch of rows, which is not kept.

        The first `warmup_samples` rows are kept until there are as many, then the
        centres are chosen among them, and of these and later rows sums over kernel
        values remain. Predictions are those of all rows so far at any time; weights of
        the centres are computed when they are first asked for.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows, finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1.

        Returns
        -------
        self : NystroemRidge

        Raises
        ------
        ValueError
            If features or outputs change, or the kernel is precomputed.

        Warns
        -----
        UserWarning
            If rows drift from the span of the centres, or after `fit`, whose rows are
            forgotten.
        """
        y = check.targets(self, y)
        feed(self, X, y, sample_weight, penalties(self, y))
        return self

    def predict(self, X: Any) -> Array:
        """Predict the targets of query rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            Query rows; kernel values with all training rows if the kernel is
            precomputed.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predictions, float64.
        """
        return evaluate(self, X)

    def __getattr__(self, name: str) -> Any:
        return solved(self, name)

    def __sklearn_tags__(self) -> Any:
        return tags(self, super().__sklearn_tags__())


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

    def sums(self, *, over_basis: bool = False) -> NormalEquations:
        """Sum over the rows what `whiten` needs.

        Where these lack digits, sums over the basis take longer and have them.
        """
        if self.basis_rows is not None:
            return sum_rows(self.basis_rows, self.y, self.weights)
        return accumulate(
            self.kernel,
            self.X,
            self.y,
            self.weights,
            self.centers,
            basis=self.span.basis() if over_basis else None,
            n_jobs=self.n_jobs,
        )

    def lacks_digits(self, sums: NormalEquations, alpha: float) -> bool:
        """Tell whether `alpha` is too small for `sums`."""
        return self.basis_rows is None and self.span.lacks_digits(sums, alpha)

    def whiten(
        self, sums: NormalEquations, *, over_basis: bool = False
    ) -> NormalEquations:
        """Turn `sums` into what least squares in the basis of the span needs."""
        if over_basis or self.basis_rows is not None:
            return sums
        return self.span.whiten(sums)

    def centered(self, white: NormalEquations) -> NormalEquations:
        """Take means away from sums if an intercept stands for them."""
        return white.centered() if self.fit_intercept else white

    def intercept(self, white: NormalEquations, beta: Array) -> Array:
        """Solve for the constant of each output, as a distance from `base`."""
        if not self.fit_intercept:
            return np.zeros(beta.shape[1])
        return (white.targets - white.columns @ beta) / white.weight


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
    problem = pose(estimator, X, y, sample_weight, alpha=float(alpha.min()))
    solver = estimator.solver
    if solver == "auto":
        is_small = len(problem.centers) <= _DIRECT_CENTERS
        solver = "direct" if is_small or problem.basis_rows is not None else "cg"
    tol, max_iter = estimator.tol, estimator.max_iter
    with _parallel.one_blas_thread:
        if solver == "direct":
            white, result = _solve_direct(problem, alpha)
        else:
            white, result = _solve_cg(problem, alpha, tol, max_iter)
    if solver == "cg" and not result.has_converged:
        warn(
            f"Conjugate gradients stopped after max_iter={max_iter} iterations with a "
            f"residual above tol={tol:g}: raise max_iter, alpha or tol, or use "
            "solver='direct'.",
            ConvergenceWarning,
        )
    forget(estimator)
    estimator.solver_ = solver
    estimator.n_iter_ = result.n_iter
    keep(estimator, problem, white, result.beta)


def pose(
    estimator: Any, X: Any, y: Array, sample_weight: Any, *, alpha: float
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
        rows = X[centers.ids] if kernel.is_precomputed else centers.rows
        span = find_span(kernel.block(rows, centers), X.dtype, is_all=has_all)
    basis_rows = None
    if has_all:
        basis_rows = np.zeros((n, span.rank))  # rows without weight do not count
        basis_rows[centers.ids[span.order]] = span.factor
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
        basis_rows,
        estimator.fit_intercept,
        y.ndim == 1,
        estimator.n_jobs,
    )


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


def _solve_direct(
    problem: Problem, alpha: Array
) -> tuple[NormalEquations, SolveResult]:
    """Sum over the rows and solve the equations; return both."""
    sums = problem.sums()
    over_basis = problem.lacks_digits(sums, float(alpha.min()))
    if over_basis:
        sums = problem.sums(over_basis=True)
    white = problem.whiten(sums, over_basis=over_basis)
    return white, solve_direct(problem.centered(white), alpha)


def _approximate_gram(problem: Problem) -> Array:
    """Estimate the whitened gram matrix from the centres and from some rows.

    Centres, each counted for what it stands for, know of rare rows, and rows of what
    the centres do not span. The mean of the two suits any choice of centres.
    """
    span, weights = problem.span, problem.weights
    counts, factor = problem.counts[span.order], span.factor
    if problem.fit_intercept:
        factor = factor - np.average(factor, axis=0, weights=counts)
    by_centers = factor.T @ (counts[:, None] * factor)
    rows = np.arange(len(problem.y)) if weights is None else np.flatnonzero(weights)
    number = min(len(rows), _SAMPLED_ROWS * len(counts))
    some = rows[np.linspace(0, len(rows) - 1, number).astype(int)]
    sample = problem.centered(problem.whiten(problem.take(some).sums()))
    total = len(rows) if weights is None else weights.sum()
    return 0.5 * (by_centers + total / sample.weight * sample.gram)


def _solve_cg(
    problem: Problem, alpha: Array, tol: float, max_iter: int
) -> tuple[NormalEquations, SolveResult]:
    """Iterate; the sums that are returned lack the gram matrix."""
    span, fit_intercept = problem.span, problem.fit_intercept
    rows = problem.kernel, problem.X
    weights, centers = problem.weights, problem.centers
    sums = accumulate(
        *rows, problem.y, weights, centers, with_gram=False, n_jobs=problem.n_jobs
    )
    right = span.project(np.column_stack([sums.cross, sums.columns]))
    white = replace(sums, cross=right[:, :-1], columns=right[:, -1])
    means = white.columns / white.weight
    cross = white.cross
    if fit_intercept:
        cross = cross - np.outer(means, white.targets)

    def gram(beta: Array) -> Array:
        image = span.project(
            gram_product(
                *rows, span.coef(beta), weights, centers, n_jobs=problem.n_jobs
            )
        )
        return image - np.outer(means, white.columns @ beta) * fit_intercept

    approximation = _approximate_gram(problem)
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
