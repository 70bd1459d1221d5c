"""Kernel ridge regression that chooses its penalty from a grid in one pass."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import check_cv

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.linalg import product
from kernelkit.nystroem.centers import RULES
from kernelkit.nystroem.fitting import evaluate, keep, tags
from kernelkit.nystroem.problem import RowsProblem, pose
from kernelkit.nystroem.solvers import AlphaPath, alpha_path
from kernelkit.nystroem.statistics import NormalEquations

Array = npt.NDArray[Any]


class NystroemRidgeCV(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Kernel ridge regression on a few centres, with alpha chosen from a grid.

    The centres and the sums over the rows are those of `NystroemRidge` and serve every
    alpha: one eigendecomposition of an m x m matrix yields all solutions. They are
    compared by generalised cross-validation,

    .. math:: \mathrm{GCV}(\alpha) =
       \frac{W \sum_i w_i (y_i - f_\alpha(x_i))^2}{(W - d(\alpha))^2}, \qquad
       d(\alpha) = \sum_j \frac{e_j}{e_j + \alpha},

    with W the sum of the weights, e the eigenvalues and d the effective dimension, or
    by the score of predictions for rows of a fold that were left out.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,), default=(1e-4, 1e-3, ..., 1e2)
        Penalties to try, > 0, not divided by n; more of them cost next to nothing.
    kernel : str, Kernel or callable, default="rbf"
        Positive semidefinite kernel, as for `NystroemRidge`.
    gamma, degree, coef0 : float or None, default=None
        Parameters of a kernel given by its name; None stands for the defaults of
        scikit-learn.
    kernel_params : dict or None, default=None
        Keyword arguments of a callable kernel.
    n_components : int, default=1000
        Number m of centres; all rows are, if they are not more than that.
    centers : {"rls", "uniform", "rpcholesky"} or array-like, default="rls"
        Rule that chooses centres, for the least of `alphas`, or the centres, as for
        `NystroemRidge`.
    selection_samples : int, "auto" or None, default="auto"
        Number of random rows that "rls" and "rpcholesky" choose from.
    scoring : str, callable or None, default=None
        None stands for generalised cross-validation. Otherwise a scorer of
        scikit-learn, where greater is better; it sees predictions only, so that a
        callable ``scoring(estimator, X, y)`` gets as `X` what ``estimator.predict(X)``
        returns as it is. With `sample_weight` it must take that too.
    cv : int, splitter, iterable or None, default=None
        Folds for `scoring`; None stands for 5. The centres are chosen once, among all
        rows.
    fit_intercept : bool, default=False
        Whether to fit a constant without a penalty.
    dtype : {"float32", "float64"} or None, default=None
        Precision of kernel values; None keeps that of float32 rows.
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws of centres; an int makes `fit` repeatable.

    Attributes
    ----------
    alpha_ : float
        The penalty with the best score.
    best_score_ : float
        Its score.
    alphas_ : ndarray of shape (n_alphas,)
        The penalties, ascending and each once.
    scores_ : ndarray of shape (n_alphas,)
        Score of each, greater is better: minus the GCV, or the mean over the folds.
        With several outputs, the GCV is the mean over them. NaN is never the best.
    effective_dimension_ : ndarray of shape (n_alphas,)
        Degrees of freedom of the fit with each, without the intercept.
    components_, component_indices_, dual_coef_, intercept_, kernel_
        As of `NystroemRidge`.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, `X`, `y` or the kernel hold NaN or
        infinity, weights are negative or all zero, or add up to less than the degrees
        of freedom of every fit.
    MemoryError
        By `fit`, if matrices of m x m numbers exceed the memory; one is kept for each
        fold.

    See Also
    --------
    NystroemRidge : The same for a given alpha.
    kernelkit.AlphaPathDisplay : Draws the scores.

    References
    ----------
    .. [1] Golub, Heath & Wahba (1979), "Generalized cross-validation as a method for
       choosing a good ridge parameter", Technometrics 21(2), 215-223.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import NystroemRidgeCV
    >>> rng = np.random.default_rng(0)
    >>> X = np.linspace(0.0, 6.0, 1000)[:, None]
    >>> y = np.sin(X[:, 0]) + 0.1 * rng.standard_normal(1000)
    >>> ridge = NystroemRidgeCV(n_components=50, random_state=0).fit(X, y)
    >>> ridge.scores_.shape
    (7,)
    >>> bool(ridge.best_score_ == ridge.scores_.max())
    True
    """

    _parameter_constraints = {
        "alphas": ["array-like"],
        "kernel": check.KERNEL,
        **check.KERNEL_PARAMETERS,
        "n_components": check.WHOLE,
        "centers": [*check.one_of(*RULES), "array-like"],
        "selection_samples": [*check.WHOLE, *check.one_of("auto"), None],
        "scoring": [*check.one_of(*get_scorer_names()), callable, None],
        "cv": ["cv_object"],
        "fit_intercept": check.BOOLEAN,
        "dtype": check.FLOAT_DTYPE,
        "n_jobs": check.N_JOBS,
        "random_state": check.RANDOM_STATE,
    }

    def __init__(
        self,
        alphas: Any = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2),
        *,
        kernel: Any = "rbf",
        gamma: float | None = None,
        degree: float | None = None,
        coef0: float | None = None,
        kernel_params: dict[str, Any] | None = None,
        n_components: int = 1000,
        centers: Any = "rls",
        selection_samples: Any = "auto",
        scoring: Any = None,
        cv: Any = None,
        fit_intercept: bool = False,
        dtype: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.alphas = alphas
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.n_components = n_components
        self.centers = centers
        self.selection_samples = selection_samples
        self.scoring = scoring
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the centres, score every alpha and fit with the best.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows, finite numbers; kernel values of all pairs of them if the
            kernel is precomputed.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1. They count
            as repetitions: for the GCV their sum is the number of rows. Where they mean
            something else, give `scoring`.

        Returns
        -------
        self : NystroemRidgeCV
        """
        y = check.targets(self, y)
        alphas = np.unique(
            check.positive_numbers(self, "alphas", None, "a list of finite numbers > 0")
        )
        with _parallel.one_blas_thread:
            self._learn(X, y, sample_weight, alphas)
        return self

    def _learn(self, X: Any, y: Array, sample_weight: Any, alphas: Array) -> None:
        problem = pose(self, X, y, sample_weight, alpha=float(alphas[0]))
        if self.scoring is None:
            every = np.arange(len(y))
            ((white, path),) = _paths(problem, [every])
            scores = -_gcv(problem, path, alphas)
        else:
            white, path, scores = self._cross_validate(problem, y, alphas)
        if np.isnan(scores).all():
            raise ValueError(
                "The score of every alpha is NaN: look at scoring, and whether each "
                "fold of cv has rows enough for it."
            )
        best = int(np.nanargmax(scores))
        if self.scoring is None:
            with np.errstate(over="ignore"):
                scores = scores * problem.unit.max() ** 2
        self.alphas_, self.scores_ = alphas, scores
        self.alpha_, self.best_score_ = float(alphas[best]), float(scores[best])
        self.effective_dimension_ = np.array(
            [path.effective_dimension(alpha) for alpha in alphas]
        )
        keep(self, problem, white, path.beta(self.alpha_))

    def predict(self, X: Any) -> Array:
        """Predict the targets of query rows with the chosen penalty.

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

    def _cross_validate(
        self, problem: RowsProblem, y: Array, alphas: Array
    ) -> tuple[NormalEquations, AlphaPath, Array]:
        """Score every alpha by the rows left out; also solve for all rows."""
        scorer = get_scorer(self.scoring)
        folds = list(check_cv(self.cv).split(problem.X, y))
        m = len(problem.centers)
        check.memory(8 * m**2 * (len(folds) + 4), "lower n_components or cv")
        every = np.arange(len(y))
        trainings = [*(train for train, _ in folds), every]
        *parts, whole = _paths(problem, trainings)
        scores = np.empty((len(folds), len(alphas)))
        for i, ((_, test), (white, path)) in enumerate(zip(folds, parts, strict=True)):
            left_out = problem.take(test)
            options = {}
            if left_out.weights is not None:
                if not left_out.weights.any():
                    raise ValueError(
                        "A fold leaves no row with weight to score: change cv."
                    )
                options["sample_weight"] = left_out.weights
            predictions = _predict(left_out, white, path, alphas)
            scores[i] = [
                scorer(_Known(), values, y[test], **options) for values in predictions
            ]
        return *whole, scores.mean(axis=0)

    def __sklearn_tags__(self) -> Any:
        return tags(self, super().__sklearn_tags__())


class _Known(RegressorMixin, BaseEstimator):
    """Stands for a model in a scorer that is given its predictions."""

    def predict(self, X: Any) -> Any:
        return X


def _paths(
    problem: RowsProblem, trainings: list[Array]
) -> list[tuple[NormalEquations, AlphaPath]]:
    """Solve for every alpha on some sets of rows, in one pass over the rows.

    Rows that belong to the same sets are summed together.
    """
    is_in = np.zeros((len(trainings), len(problem.y)), dtype=bool)
    for i, training in enumerate(trainings):
        is_in[i, training] = True
    n_sets = len(trainings)
    patterns, part_of = np.unique(is_in, axis=1, return_inverse=True)
    part_of = part_of.ravel()
    totals: dict[int, NormalEquations] = {}
    for k, pattern in enumerate(patterns.T):
        rows = part_of == k
        part = problem if rows.all() else problem.take(np.flatnonzero(rows))
        sums = part.sums()
        for i in np.flatnonzero(pattern).tolist():
            totals[i] = totals[i] + sums if i in totals else sums
    if any(i not in totals or not totals[i].weight > 0.0 for i in range(n_sets)):
        raise ValueError("A fold leaves no row with weight to fit: change cv.")
    solved = []
    for i in range(n_sets):
        white = problem.whiten(totals.pop(i))
        solved.append((white, alpha_path(problem.centered(white))))
    return solved


def _gcv(problem: RowsProblem, path: AlphaPath, alphas: Array) -> Array:
    """Generalised cross-validation, a mean over outputs in units of the largest."""
    n_constants = int(problem.fit_intercept)
    shares = np.square(problem.unit / problem.unit.max())
    values = np.full(len(alphas), np.inf)
    for i, alpha in enumerate(alphas):
        free = path.residual_dimension(alpha) - n_constants
        if free > 0.0:
            squares = path.residual_squares(alpha) * shares
            values[i] = path.weight / free**2 * squares.mean()
    if not np.isfinite(values).any():
        raise ValueError(
            f"The weights add up to {path.weight:.3g}, which is less than the degrees "
            "of freedom of every fit. sample_weight counts repetitions of rows: scale "
            "it up, or give scoring."
        )
    return values


def _predict(
    problem: RowsProblem, white: NormalEquations, path: AlphaPath, alphas: Array
) -> Array:
    """Predict at the rows of a problem with every alpha, (n_alphas, n_rows, ...)."""
    betas = [path.beta(alpha) for alpha in alphas]
    beta = np.concatenate(betas, axis=1)
    if problem.basis_rows is not None:
        values = problem.basis_rows @ beta
    else:
        values = product(
            problem.kernel,
            problem.X,
            problem.centers,
            problem.span.coef(beta),
            n_jobs=problem.n_jobs,
        )
    values = values.reshape(len(problem.y), len(alphas), -1).transpose(1, 0, 2)
    intercepts = [problem.intercept(white, beta) for beta in betas]
    values = values + (problem.base + np.array(intercepts))[:, None]
    values = problem.unit * values
    return values[:, :, 0] if problem.is_flat else values
