"""Regression by a network of radial basis functions with a learned precision."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_consistent_length

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.rbf_network import fitting
from kernelkit.rbf_network.callbacks import (
    CallbackSupportMixin,
    Watch,
    with_callbacks,
)
from kernelkit.rbf_network.fitting import Learned, Plan
from kernelkit.rbf_network.network import (
    PARAMETERS,
    Before,
    Columns,
    LearnedPrecision,
    Prepared,
)
from kernelkit.rbf_network.objective import NOISE_FLOOR, Rows, basis, solve
from kernelkit.rbf_network.subspace import Network

_ADAM_ROWS = 50_000  # past which batches take less time
_FOLDS = 5


@dataclass(frozen=True)
class Regression(Network):
    """A network that predicts, and what it is sure of.

    Its coef (M, q), intercept and sigma2 (q,) are for standardised targets; means (M,)
    of the basis functions and the inverse (M, M) belong to its normal equations, over
    rows of weight `total`.
    """

    name: str = ""
    alpha: float = 0.0
    intercept: Array = field(default_factory=lambda: np.zeros(1))
    sigma2: Array = field(default_factory=lambda: np.zeros(1))
    means: Array = field(default_factory=lambda: np.zeros(1))
    inverse: Array = field(default_factory=lambda: np.zeros((1, 1)))
    total: float = 1.0

    def predict(self, Z: Array, kernel: str, with_variance: bool) -> tuple[Array, Any]:
        """Return means of targets at standardised rows, and variances or None."""
        U, C = self.U.astype(Z.dtype), self.C.astype(Z.dtype)
        phi = basis(Z, U, C, kernel)
        y = self.intercept + phi @ self.coef
        if not with_variance:
            return y, None
        centred = phi - self.means
        unknown = np.einsum("im,im->i", centred @ self.inverse, centred)
        return y, (1.0 + 1.0 / self.total + unknown)[:, None] * self.sigma2


class GaussianRBFRegressor(
    CallbackSupportMixin,
    LearnedPrecision,
    MultiOutputMixin,
    RegressorMixin,
    BaseEstimator,
):
    r"""Regression by Gaussian basis functions whose shared precision is learned.

    The fitted function is

    .. math:: f(x) = b + \sum_{m=1}^{M} w_m
       \exp\bigl(-\tfrac12 (x - c_m)' P (x - c_m)\bigr)

    with centres :math:`c_m` among the rows, usually by k-means, and a positive
    semidefinite matrix :math:`P = U'U` that says which directions of the input matter.
    The weights are solved for in closed form; P and their penalty maximise the evidence
    of the targets. Rows are standardised first.

    Parameters
    ----------
    n_centers : int, default=100
        Number M of basis functions; fewer if there are fewer different rows.
    precision : {"iso", "diag", "low_rank", "full", "auto"}, default="auto"
        Form of P: a multiple of the identity, diagonal, of rank `rank`, or any; "auto"
        fits several, and does what `selection` says.
    rank : int or None, default=None
        Rank of P if it is "low_rank"; None stands for 2.
    centers : {"kmeans", "kmeans++", "random"} or array-like, default="kmeans"
        Rule that chooses centres, or the centres, of shape (M, n_features).
    learn_centers : bool, default=False
        Whether to fit the centres too, after P. It helps if they are few.
    objective : {"evidence", "ridge"}, default="evidence"
        What is optimised: the marginal likelihood of the targets, or penalised squares
        with `alpha` fixed.
    alpha : float, default=1e-2
        Penalty of the weights, > 0, not divided by n; with the evidence, where the
        search for it begins, though not above a thousandth of n.
    mu : float or "auto", default="auto"
        Penalty of P, half of `mu` times its trace. "auto" is in proportion to the
        number of free parameters of P, per row and feature, and to the median squared
        distance of rows to centres.
    standardize : bool, default=True
        Whether each feature is divided by its standard deviation; otherwise all are by
        the same number, which leaves distances in proportion.
    init : {"agop", "isotropic", "random"}, default="agop"
        Where the search begins; "agop" looks at the gradients of a ridge fit.
    solver : {"auto", "lbfgs", "adam"}, default="auto"
        "adam" takes steps on batches of rows; "auto" does past 50,000 rows.
    n_restarts : int, default=1
        Number of starts, of which the lowest objective is kept.
    max_iter : int, default=60
        Most iterations of each start and stage; ten batches each for "adam".
    tol : float, default=1e-6
        Change of the objective, or gradient, at which a search ends.
    selection : {"average", "bic", "holdout", "cv"}, default="average"
        What "auto" does with the forms: takes a mean of their fits, each with centres
        of its own, with larger shares for lower `bic_`; or chooses the one with the
        lowest, or that which predicts rows held out best.
    importance : {"agop", "precision", "precision_diag"}, default="agop"
        What `feature_importances_` says: how much f changes along a feature, or the
        size of its entries in the eigenvectors or on the diagonal of P.
    early_stopping : bool, default=False
        Whether to hold out rows and keep the iterate that predicts them best; the
        weights are then fitted to all rows.
    validation_fraction : float, default=0.15
        Share of the rows that early stopping, or `selection` by "holdout", holds out.
    n_iter_no_change : int, default=10
        Iterations without progress on rows held out, or for "adam" of the objective,
        after which to stop.
    n_components : int, float or None, default=None
        Number of directions that `transform` keeps; a float in (0, 1] is a share of the
        sum of eigenvalues of `active_subspace_`, and None keeps all.
    kernel : {"gaussian", "laplace", "matern32", "matern52"}, default="gaussian"
        Profile of the basis functions.
    batch_rows : int or None, default=None
        Rows whose basis functions are held in memory at once; None chooses.
    warm_start : bool, default=False
        Whether to begin at the last fit, if it had the same structure and the same
        features were constant.
    dtype : {"float32", "float64"} or None, default=None
        Precision of matrices with a row for each sample. None keeps that of float32
        rows.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws of centres, restarts and rows held out.
    n_jobs : int or None, default=None
        Number of threads, for several structures, starts or folds, and to predict. Does
        not change a bit of the result.
    verbose : int, default=0
        1 prints a line for each search, 2 for each iteration.

    Attributes
    ----------
    centers_ : ndarray of shape (M, n_features)
        Centres, in the units of `X`; of several networks, one after the other.
    dual_coef_ : ndarray of shape (M,) or (M, n_outputs)
        Weights w, in the unit of `y`.
    intercept_ : float or ndarray of shape (n_outputs,)
        Constant b.
    precision_ : ndarray of shape (n_features, n_features)
        P for standardised rows; the mean of those of several networks.
    precision_original_ : ndarray of shape (n_features, n_features)
        P in the units of `X`.
    precision_factor_ : ndarray of shape (k, n_features)
        U.
    structure_ : str
        The form of P; of the largest share, if there are several.
    structures_ : dict of str to float
        Forms of P and their shares in the mean that "auto" takes.
    lambda_ : float
        Penalty of the weights; they belong to targets of variance 1.
    sigma2_ : float or ndarray of shape (n_outputs,)
        Variance of the noise.
    bic_ : float
        Objective with the cost of the free parameters of P, per row.
    active_subspace_ : tuple of ndarray
        Eigenvalues and eigenvectors of the mean outer product of gradients.
    feature_importances_ : ndarray of shape (n_features,)
        Importances, of sum 1.
    effective_rank_ : float
        Number of directions that matter, not whole.
    mean_, scale_ : ndarray of shape (n_features,)
        What rows are standardised by.
    n_iter_ : int
        Number of iterations of the chosen search.
    loss_curve_ : list of float
        Its objective by iteration.
    validation_scores_ : list of float
        R^2 on the rows held out, with `early_stopping`.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, there is one row only, `X` or `y` hold
        NaN or infinity, or weights are negative or all zero.

    Warns
    -----
    ConvergenceWarning
        By `fit`, if the objective still fell when `max_iter` was reached.
    UserWarning
        By `fit`, if no feature or no target varies: predictions are the mean; or if
        weights are below 0.1 in the mean.

    Notes
    -----
    Equal rows are merged and their weights added up, so a weight of 2 is the same as a
    row given twice, and the order of rows does not matter, to the last bit.

    References
    ----------
    .. [1] D'Agostino, Ilievski & Shoemaker (2024), "Learning active subspaces and
       discovering important features with Gaussian radial basis functions neural
       networks", Neural Networks 176, 106335.
    .. [2] MacKay (1992), "Bayesian interpolation", Neural Computation 4(3), 415-447.
    .. [3] Radhakrishnan, Beaglehole, Pandit & Belkin (2024), "Mechanism for feature
       learning in neural networks and backpropagation-free machine learning models",
       Science 383, 1461-1467.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from kernelkit import GaussianRBFRegressor
    >>> X, y = make_friedman1(n_samples=400, noise=1.0, random_state=0)
    >>> model = GaussianRBFRegressor(random_state=0).fit(X[:300], y[:300])
    >>> model.score(X[300:], y[300:]) > 0.9
    True
    >>> sorted(model.feature_importances_.argsort()[-5:].tolist())
    [0, 1, 2, 3, 4]
    """

    _parameter_constraints = {
        **PARAMETERS,
        "objective": check.one_of("evidence", "ridge"),
        "solver": check.one_of("auto", "lbfgs", "adam"),
        "selection": check.one_of("average", "bic", "holdout", "cv"),
    }

    def __init__(
        self,
        n_centers: int = 100,
        *,
        precision: str = "auto",
        rank: int | None = None,
        centers: Any = "kmeans",
        learn_centers: bool = False,
        objective: str = "evidence",
        alpha: float = 1e-2,
        mu: Any = "auto",
        standardize: bool = True,
        init: str = "agop",
        solver: str = "auto",
        n_restarts: int = 1,
        max_iter: int = 60,
        tol: float = 1e-6,
        selection: str = "average",
        importance: str = "agop",
        early_stopping: bool = False,
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 10,
        n_components: int | float | None = None,
        kernel: str = "gaussian",
        batch_rows: int | None = None,
        warm_start: bool = False,
        dtype: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_centers = n_centers
        self.precision = precision
        self.rank = rank
        self.centers = centers
        self.learn_centers = learn_centers
        self.objective = objective
        self.alpha = alpha
        self.mu = mu
        self.standardize = standardize
        self.init = init
        self.solver = solver
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.tol = tol
        self.selection = selection
        self.importance = importance
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_components = n_components
        self.kernel = kernel
        self.batch_rows = batch_rows
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @check.params
    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn the precision, and solve for the weights of the basis functions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1. They count
            rows: their sum is the n of all penalties.

        Returns
        -------
        self : GaussianRBFRegressor
        """
        y = check.targets(self, y)
        X = check.kernel_rows(self, X, reset=True, kernel=None, dtype=self.dtype)
        check_consistent_length(X, y)
        weights = check.weights(sample_weight, X)
        check.fraction("validation_fraction", self.validation_fraction)
        check.several_rows(self, X)
        before, watch = self._before(), Watch(self, X, y)
        rng = check.rng(self.random_state)
        self._dtype = X.dtype.name
        self._is_flat = y.ndim == 1
        X, Y = X.astype(np.float64), y.reshape(len(y), -1)
        with _parallel.one_blas_thread:
            data = self._prepare(X, Y, weights)
            self._fit_prepared(
                data, Columns.of(data.Y, data.weights), before, watch, rng
            )
        return self

    def _fit_prepared(
        self,
        data: Prepared,
        outputs: Columns,
        before: Before,
        watch: Watch,
        rng: np.random.Generator,
    ) -> None:
        """Fit to rows that were checked and prepared."""
        if outputs.is_constant.all() or not data.X.shape[1]:
            self._give_the_mean(data, outputs, rng)
            watch.end()
            return
        rows = self._rows(data, outputs)
        plan = self._plan(rows, watch)
        with _parallel.threads(self.n_jobs) as run:
            fits = self._learn(data, rows, plan, before, rng, run)
        self._solve(data, rows, outputs, fits)
        watch.end()
        if not fits[0][1].is_settled:
            warn(
                f"The objective still fell after max_iter={self.max_iter} iterations: "
                "raise max_iter, or tol.",
                ConvergenceWarning,
            )

    def _rows(self, data: Prepared, outputs: Columns) -> Rows:
        """Return prepared rows with the targets that vary, standardised."""
        return Rows(
            data.X,
            outputs.varied(data.Y, self._dtype),
            data.weights,
            profile=self.kernel,
            block_rows=self.batch_rows,
        )

    def _folds(self, rows: Rows, rng: np.random.Generator) -> tuple[Any, list[Any]]:
        """Draw rows to hold out, and parts to hold out in turn."""
        n = len(rows.X)
        order = rng.permutation(n)
        size = min(max(round(self.validation_fraction * n), 1), n - 1)
        return np.sort(order[:size]), np.array_split(order, min(_FOLDS, n))

    def _learn(
        self,
        data: Prepared,
        rows: Rows,
        plan: Plan,
        before: Before,
        rng: np.random.Generator,
        run: _parallel.Run,
    ) -> list[tuple[float, Learned]]:
        """Fit the structures that `precision` allows; return some with their shares."""
        d = rows.X.shape[1]
        chosen, folds = self._folds(rows, rng)
        is_auto = self.precision == "auto"
        shapes = fitting.structures(d, rows.total) if is_auto else [self._structure(d)]
        candidates = [self._candidate(data, shape, before, rng) for shape in shapes]
        if is_auto and self.selection in ("holdout", "cv"):
            folds = [chosen] if self.selection == "holdout" else folds
            scores = fitting.compare(rows, candidates, folds, plan, rng=rng, run=run)
            candidates = [candidates[int(scores.argmax())]]
        held = None
        if self.early_stopping:
            rows, held = rows.split(chosen)
        fits = fitting.learn_all(rows, candidates, plan, rng=rng, run=run, held=held)
        costs = [fitting.bic(fit.loss, fit.structure, rows.total) for fit in fits]
        best = int(np.argmin(costs))
        self.bic_ = costs[best]
        if not is_auto or self.selection != "average":
            return [(1.0, fits[best])]
        shares = fitting.shares(np.array(costs), rows.total)
        return [(shares[k], fits[k]) for k in np.argsort(-shares) if shares[k] > 0.0]

    def _plan(self, rows: Rows, watch: Watch) -> Plan:
        return Plan(
            objective=self.objective,
            alpha=float(self.alpha),
            mu=None if isinstance(self.mu, str) else float(self.mu),
            init=self.init,
            n_restarts=self.n_restarts,
            learn_centers=self.learn_centers,
            solver=self._solver(rows),
            max_iter=self.max_iter,
            tol=self.tol,
            patience=self.n_iter_no_change,
            verbose=int(self.verbose),
            after_iteration=watch.step,
            is_stopped=watch.is_stopped,
        )

    def _solver(self, rows: Rows) -> str:
        if self.solver == "auto":
            return "adam" if len(rows.X) > _ADAM_ROWS else "lbfgs"
        return self.solver

    def _solve(
        self,
        data: Prepared,
        rows: Rows,
        outputs: Columns,
        fits: list[tuple[float, Learned]],
    ) -> None:
        """Solve for the weights on all rows, and store them in the units of `y`."""
        networks = [self._network(rows, outputs, *fit) for fit in fits]
        first = fits[0][1]
        self.structure_ = str(first.structure)
        self.lambda_ = first.alpha
        self.n_iter_ = len(first.curve)
        self.loss_curve_ = first.curve
        self.validation_scores_ = first.scores
        self._keep(data, networks)
        self._keep_outputs(outputs)

    def _network(
        self, rows: Rows, outputs: Columns, share: float, learned: Learned
    ) -> Regression:
        normal = rows.normal(learned.U, learned.C)
        solution = solve(normal, learned.alpha)
        if solution is None:
            raise ValueError(
                "The weights of the basis functions could not be solved for: raise "
                f"alpha, which is {learned.alpha:.3g}."
            )
        return Regression(
            U=learned.U,
            C=learned.C,
            coef=outputs.widen(solution.coef),
            share=share,
            name=str(learned.structure),
            alpha=learned.alpha,
            intercept=outputs.widen(solution.intercept),
            sigma2=outputs.widen(solution.misfit / normal.total + NOISE_FLOOR),
            means=normal.means,
            inverse=solution.inverse,
            total=normal.total,
        )

    def _give_the_mean(
        self, data: Prepared, outputs: Columns, rng: np.random.Generator
    ) -> None:
        """Predict the mean: no feature, or no target, varies."""
        if data.X.shape[1]:
            warn("y is constant, and so are the predictions.")
        else:
            warn("X is constant in all columns: predictions are the mean of y.")
        C = self._choose_centers(data, rng)
        d, (M, q) = data.X.shape[1], (len(C), data.Y.shape[1])
        self.structure_ = str(self._structure(d))
        self.lambda_, self.bic_ = float(self.alpha), 0.0
        self.n_iter_, self.loss_curve_, self.validation_scores_ = 0, [], []
        network = Regression(
            U=np.zeros(d),
            C=C,
            coef=np.zeros((M, q)),
            name=self.structure_,
            alpha=self.lambda_,
            intercept=np.zeros(q),
            sigma2=np.where(outputs.is_constant, 0.0, 1.0),
            means=np.zeros(M),
            inverse=np.zeros((M, M)),
            total=data.total,
        )
        self._keep(data, [network])
        self._keep_outputs(outputs)

    def _keep_outputs(self, outputs: Columns) -> None:
        """Store what is in the units of `y`, without an axis if `y` had none."""
        self._outputs, networks = outputs, self._networks
        self.structures_ = {net.name: float(net.share) for net in networks}
        coef = np.concatenate([net.share * net.coef for net in networks])
        intercept = sum(net.share * net.intercept for net in networks)
        sigma2 = sum(net.share * net.sigma2 for net in networks)
        coef = outputs.scale * coef
        intercept = outputs.mean + outputs.scale * intercept
        with np.errstate(over="ignore"):  # of far numbers, the squares are infinite
            sigma2 = outputs.scale**2 * sigma2
        self.dual_coef_: Array = coef[:, 0] if self._is_flat else coef
        self.intercept_: Any = float(intercept[0]) if self._is_flat else intercept
        self.sigma2_: Any = float(sigma2[0]) if self._is_flat else sigma2

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the targets at query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.
        return_std : bool, default=False
            Whether to return the standard deviation of a new target, too: of the
            noise, and of what is not known of the weights and the constant. The
            precision, the centres and the penalty are taken as known, so it is too
            small where rows are not many more than free numbers of the precision:
            of 100 rows of Friedman's function of 10 features, intervals of 90 % with
            "full" held 64 %.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predictions.
        std : ndarray of the same shape
            Standard deviations, if asked for.
        """
        check.is_fitted(self)
        parts = self._by_tiles(
            lambda tile: self._predict(tile, return_std), self._standardised(X)
        )
        mean, scale = self._outputs.mean, self._outputs.scale
        y = mean + scale * np.concatenate([part[0] for part in parts])
        y = (y[:, 0] if self._is_flat else y).astype(self._dtype)
        if not return_std:
            return y
        std = scale * np.sqrt(np.concatenate([part[1] for part in parts]))
        return y, (std[:, 0] if self._is_flat else std).astype(self._dtype)

    def _predict(self, Z: Array, with_variance: bool) -> tuple[Array, Any]:
        """Return means, and variances of new targets if asked for."""
        each = [net.predict(Z, self.kernel, with_variance) for net in self._networks]
        shares = [net.share for net in self._networks]
        mean = sum(share * y for share, (y, _) in zip(shares, each, strict=True))
        if not with_variance:
            return mean, None
        variance = sum(
            share * (variance + (y - mean) ** 2)
            for share, (y, variance) in zip(shares, each, strict=True)
        )
        return mean, variance

    def gradient(self, X: Any) -> Array:
        """Return the gradients of the fitted function at query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        G : ndarray of shape (n_queries, n_features) or with a last axis of outputs
            Derivatives, in the unit of `y` by those of `X`.
        """
        check.is_fitted(self)
        G = self._gradients(X)
        G *= self._outputs.scale[:, None]
        G = G.astype(self._dtype, copy=False)
        return G[:, 0] if self._is_flat else G.transpose(0, 2, 1)
