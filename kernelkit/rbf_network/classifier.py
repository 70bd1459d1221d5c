"""Classification by a network of radial basis functions with a learned precision."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from scipy.special import log_expit, log_softmax, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_consistent_length

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.rbf_network import fitting, logistic
from kernelkit.rbf_network.callbacks import (
    CallbackSupportMixin,
    Watch,
    with_callbacks,
)
from kernelkit.rbf_network.fitting import Candidate, Learned, Plan
from kernelkit.rbf_network.logistic import Trained
from kernelkit.rbf_network.network import (
    PARAMETERS,
    Before,
    Columns,
    LearnedPrecision,
    Prepared,
)
from kernelkit.rbf_network.objective import Rows, basis
from kernelkit.rbf_network.structure import Structure, structure
from kernelkit.rbf_network.subspace import Network

_FIRST_ITERATIONS = 40  # of the regression on signs that finds the precision
_FIRST_ALPHA = 1e-2
_ADAM_ROWS = 50_000  # past which the regression is done in batches
_FOLDS = 5


@dataclass(frozen=True)
class Classification(Network):
    """A network of logits: coef (M, q) and intercept (q,), one q for two classes."""

    name: str = ""
    alpha: float = 0.0
    intercept: Array = field(default_factory=lambda: np.zeros(1))

    def logits(self, Z: Array, kernel: str) -> Array:
        """Return the logits at standardised rows."""
        phi = basis(Z, self.U.astype(Z.dtype), self.C.astype(Z.dtype), kernel)
        return self.intercept + phi @ self.coef


class GaussianRBFClassifier(
    CallbackSupportMixin, LearnedPrecision, ClassifierMixin, BaseEstimator
):
    r"""Classification by Gaussian basis functions whose shared precision is learned.

    The logits of the classes, or the one logit of two classes, are

    .. math:: f(x) = b + \sum_{m=1}^{M} w_m
       \exp\bigl(-\tfrac12 (x - c_m)' P (x - c_m)\bigr)

    with centres :math:`c_m` among the rows, usually by k-means, and a positive
    semidefinite matrix :math:`P = U'U` that says which directions of the input matter.
    A regression on the classes as numbers finds a first P by its evidence; then P, the
    weights and the constant minimise the penalised log loss together. Rows are
    standardised first.

    Parameters
    ----------
    n_centers : int, default=100
        Number M of basis functions; fewer if there are fewer different rows.
    precision : {"iso", "diag", "low_rank", "full", "auto"}, default="full"
        Form of P: a multiple of the identity, diagonal, of rank `rank`, or any. "auto"
        fits a diagonal and a full one, or one of rank 5 if there are fewer rows than
        features, and does what `selection` says. "full" has as many parameters as the
        square of the number of features: past some hundreds, prefer "low_rank".
    rank : int or None, default=None
        Rank of P if it is "low_rank"; None stands for 2.
    centers : {"kmeans", "kmeans++", "random"} or array-like, default="kmeans"
        Rule that chooses centres, or the centres, of shape (M, n_features).
    learn_centers : bool, default=False
        Whether to fit the centres too, by the log loss. It helps if they are few.
    alpha : float, default=1.0
        Penalty of the weights, > 0, not divided by n: half of `alpha` times the sum of
        their squares is added to the sum of the log losses. Small values make
        probabilities too sure.
    mu : float or "auto", default=0.1
        Penalty of P, half of `mu` times its trace, added to the mean log loss. "auto"
        is in proportion to the number of free parameters of P, per row and feature, and
        to the median squared distance of rows to centres.
    class_weight : dict, "balanced" or None, default=None
        Factors of the weights of the rows of each class, 1 for those that a dict does
        not name. "balanced" gives all classes the same total weight.
    standardize : bool, default=True
        Whether each feature is divided by its standard deviation; otherwise all are by
        the same number, which leaves distances in proportion.
    init : {"agop", "isotropic", "random"}, default="agop"
        Where the search begins; "agop" looks at the gradients of a ridge fit.
    n_restarts : int, default=1
        Number of starts of the regression, of which the lowest objective is kept.
    max_iter : int, default=60
        Most iterations by the log loss; the regression takes 40 at most.
    tol : float, default=1e-6
        Change of the objective, or gradient, at which a search ends.
    selection : {"average", "bic", "holdout", "cv"}, default="average"
        What "auto" does with the forms: takes a mean of their logits, with larger
        shares for more evidence per parameter, by the criterion of Akaike [2]_; or
        chooses the one with the lowest `bic_`, or that which predicts rows held out
        best.
    importance : {"agop", "precision", "precision_diag"}, default="agop"
        What `feature_importances_` says: how much f changes along a feature, or the
        size of its entries in the eigenvectors or on the diagonal of P.
    early_stopping : bool, default=False
        Whether to hold out rows of each class that has two or more, and keep the
        iterate that predicts them best; the weights are then fitted to all rows.
    validation_fraction : float, default=0.15
        Share of each class that early stopping, or `selection` by "holdout", holds out.
    n_iter_no_change : int, default=10
        Iterations without progress on rows held out, after which to stop.
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
        Number of threads, for several structures or starts, and to predict. Does not
        change a bit of the result.
    verbose : int, default=0
        1 prints a line for each search, 2 for each iteration.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes of rows with weight, in their order.
    centers_ : ndarray of shape (M, n_features)
        Centres, in the units of `X`; of several networks, one after the other.
    dual_coef_ : ndarray of shape (M,) or (M, n_classes)
        Weights w; of two classes, of the logit of the second.
    intercept_ : float or ndarray of shape (n_classes,)
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
    bic_ : float
        Objective of the regression with the cost of the free parameters of P, per row.
    active_subspace_ : tuple of ndarray
        Eigenvalues and eigenvectors of the mean outer product of the logits' gradients.
    feature_importances_ : ndarray of shape (n_features,)
        Importances, of sum 1.
    effective_rank_ : float
        Number of directions that matter, not whole.
    mean_, scale_ : ndarray of shape (n_features,)
        What rows are standardised by.
    n_iter_ : int
        Number of iterations by the log loss.
    loss_curve_ : list of float
        The penalised log loss by iteration.
    validation_scores_ : list of float
        Minus the log loss on the rows held out, with `early_stopping`.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if fewer than two classes have weight, a parameter is out of range,
        `X` or `y` hold NaN or infinity, or weights are negative or all zero.

    Warns
    -----
    ConvergenceWarning
        By `fit`, if the objective still fell when `max_iter` was reached.
    UserWarning
        By `fit`, if no feature varies: probabilities are the shares of the classes; or
        if weights are below 0.1 in the mean.

    See Also
    --------
    GaussianRBFRegressor : The same for numbers.

    Notes
    -----
    Equal rows are merged and their weights added up, so a weight of 2 is the same as a
    row given twice, and the order of rows does not matter, to the last bit.

    References
    ----------
    .. [1] D'Agostino, Ilievski & Shoemaker (2024), "Learning active subspaces and
       discovering important features with Gaussian radial basis functions neural
       networks", Neural Networks 176, 106335.
    .. [2] Akaike (1974), "A new look at the statistical model identification", IEEE
       Transactions on Automatic Control 19(6), 716-723.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from kernelkit import GaussianRBFClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GaussianRBFClassifier(random_state=0).fit(X[:400], y[:400])
    >>> model.score(X[400:], y[400:]) > 0.95
    True
    >>> model.set_params(n_components=2).transform(X[400:]).shape
    (169, 2)
    """

    _parameter_constraints = {
        **PARAMETERS,
        "selection": check.one_of("average", "bic", "holdout", "cv"),
        "class_weight": check.CLASS_WEIGHT,
    }

    def __init__(
        self,
        n_centers: int = 100,
        *,
        precision: str = "full",
        rank: int | None = None,
        centers: Any = "kmeans",
        learn_centers: bool = False,
        alpha: float = 1.0,
        mu: Any = 0.1,
        class_weight: Any = None,
        standardize: bool = True,
        init: str = "agop",
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
        self.alpha = alpha
        self.mu = mu
        self.class_weight = class_weight
        self.standardize = standardize
        self.init = init
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
        """Learn the precision and the weights of the basis functions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like of shape (n_samples,)
            Labels of two classes or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1. They count
            rows: their sum is the n of all penalties.

        Returns
        -------
        self : GaussianRBFClassifier
        """
        classes, codes = check.labels(self, y)
        X = check.kernel_rows(self, X, reset=True, kernel=None, dtype=self.dtype)
        check_consistent_length(X, codes)
        weights = check.class_weights(self, sample_weight, classes, codes)
        check.fraction("validation_fraction", self.validation_fraction)
        used = check.two_classes(self, weights, classes, codes)
        before, watch = self._before(), Watch(self, X, y)
        rng = check.rng(self.random_state)
        self.classes_ = classes[used]
        self._dtype = X.dtype.name
        codes = np.searchsorted(used, codes)
        X, Y = X.astype(np.float64), codes[:, None].astype(np.float64)
        with _parallel.one_blas_thread:
            self._fit_prepared(self._prepare(X, Y, weights), before, watch, rng)
        return self

    def _fit_prepared(
        self, data: Prepared, before: Before, watch: Watch, rng: np.random.Generator
    ) -> None:
        """Fit to rows that were checked and prepared."""
        rows = self._rows(data)
        if not data.X.shape[1]:
            self._give_the_shares(data, rows, rng)
            watch.end()
            return
        with _parallel.threads(self.n_jobs) as run:
            fits = self._learn(data, rows, self._plan(watch), before, rng, run)
        self._store(data, rows, fits)
        watch.end()
        if not fits[0][2].is_settled:
            warn(
                f"The objective still fell after max_iter={self.max_iter} iterations: "
                "raise max_iter, or tol.",
                ConvergenceWarning,
            )

    def _rows(self, data: Prepared) -> Rows:
        """Return prepared rows with targets 0 or 1: a column of two classes, or q."""
        return Rows(
            data.X,
            one_hot(data.Y, len(self.classes_)),
            data.weights,
            profile=self.kernel,
            block_rows=self.batch_rows,
        )

    def _plan(self, watch: Watch) -> Plan:
        return Plan(
            alpha=float(self.alpha),
            mu=None if isinstance(self.mu, str) else float(self.mu),
            init=self.init,
            n_restarts=self.n_restarts,
            learn_centers=self.learn_centers,
            max_iter=self.max_iter,
            tol=self.tol,
            patience=self.n_iter_no_change,
            verbose=int(self.verbose),
            after_iteration=watch.step,
            is_stopped=watch.is_stopped,
        )

    def _learn(
        self,
        data: Prepared,
        rows: Rows,
        plan: Plan,
        before: Before,
        rng: np.random.Generator,
        run: _parallel.Run,
    ) -> list[tuple[float, Learned, Trained]]:
        """Fit the structures that `precision` allows; return some with their shares."""
        d, numbers = rows.X.shape[1], self._numbers(rows)
        is_auto = self.precision == "auto"
        shapes = _structures(d, rows.total) if is_auto else [self._structure(d)]
        candidates = [self._candidate(data, shape, before, rng) for shape in shapes]
        chosen = self._hold_out(data, rng)
        if is_auto and self.selection in ("holdout", "cv"):
            is_cv = self.selection == "cv"
            folds = self._folds(data, rng) if is_cv else [chosen]
            scores = np.zeros(len(candidates))
            for fold in filter(len, folds):
                kept, held = rows.split(fold)
                fits = self._fit(kept, None, numbers, candidates, plan, rng, run)
                scores -= [logistic.loss_on(held, trained) for _, trained in fits]
            candidates = [candidates[int(scores.argmax())]]
        n, watched = rows.total, None
        if self.early_stopping and len(chosen):
            rows, watched = rows.split(chosen)
            n -= watched.total
        fits = self._fit(rows, watched, numbers, candidates, plan, rng, run)
        costs = [fitting.bic(f.loss, f.structure, n) for f, _ in fits]
        self.bic_ = min(costs)
        if not is_auto or self.selection != "average":
            return [(1.0, *fits[0])]
        # The criterion of Akaike (1974): that of Schwarz cares less for prediction, and
        # its shares lost more by the log loss on rows held out.
        costs = [f.loss + f.structure.n_free / n for f, _ in fits]
        shares = fitting.shares(np.array(costs), n)
        return [(shares[k], *fits[k]) for k in np.argsort(-shares) if shares[k] > 0.0]

    def _fit(
        self,
        rows: Rows,
        held: Rows | None,
        numbers: Columns,
        candidates: list[Candidate],
        plan: Plan,
        rng: np.random.Generator,
        run: _parallel.Run,
    ) -> list[tuple[Learned, Trained]]:
        """Fit structures by the classes as numbers, and then by the log loss."""
        first_plan = replace(
            plan,
            alpha=_FIRST_ALPHA,
            max_iter=min(_FIRST_ITERATIONS, plan.max_iter),
            learn_centers=False,
            solver=self._solver(rows),
        )
        first_rows = self._with_numbers(rows, numbers)
        if all(candidate.begin for candidate in candidates):
            firsts = [fitting.resume(first_rows, candidate) for candidate in candidates]
        else:
            firsts = fitting.learn_all(
                first_rows,
                candidates,
                first_plan,
                rng=rng,
                run=run,
                held=None if held is None else self._with_numbers(held, numbers),
            )
        if self.selection == "bic":
            costs = [fitting.bic(f.loss, f.structure, rows.total) for f in firsts]
            firsts = [firsts[int(np.argmin(costs))]]
        tasks = [(logistic.train, (rows, first, plan, held)) for first in firsts]
        return list(zip(firsts, run(tasks), strict=True))

    def _solver(self, rows: Rows) -> str:
        return "adam" if len(rows.X) > _ADAM_ROWS else "lbfgs"

    def _numbers(self, rows: Rows) -> Columns:
        """Return what makes the classes numbers of mean 0 and variance 1."""
        return Columns.of(rows.Y, rows.weights)

    def _with_numbers(self, rows: Rows, numbers: Columns) -> Rows:
        return Rows(
            rows.X,
            numbers.standardise(rows.Y, self._dtype),
            rows.weights,
            profile=self.kernel,
            block_rows=self.batch_rows,
        )

    def _hold_out(self, data: Prepared, rng: np.random.Generator) -> Any:
        """Draw rows of each class; of each, one row at least is kept."""
        codes, chosen = data.Y[:, 0], []
        for k in range(len(self.classes_)):
            members = rng.permutation(np.flatnonzero(codes == k))
            size = max(round(self.validation_fraction * len(members)), 1)
            chosen.append(members[: min(size, len(members) - 1)])
        return np.sort(np.concatenate(chosen))

    def _folds(self, data: Prepared, rng: np.random.Generator) -> list[Any]:
        """Split rows so that each class is in all parts, and none in one part alone."""
        codes = data.Y[:, 0]
        places = np.full(len(codes), -1)
        for k in np.unique(codes):
            members = rng.permutation(np.flatnonzero(codes == k))
            if len(members) > 1:
                places[members] = np.arange(len(members)) % _FOLDS
        return [np.flatnonzero(places == j) for j in range(_FOLDS)]

    def _store(
        self, data: Prepared, rows: Rows, fits: list[tuple[float, Learned, Trained]]
    ) -> None:
        """Store the fits, with weights of all rows."""
        networks = [self._network(rows, *fit) for fit in fits]
        trained = fits[0][2]
        self.structure_ = str(trained.structure)
        self.n_iter_ = len(trained.curve)
        self.loss_curve_ = trained.curve
        self.validation_scores_ = trained.scores
        self._keep_networks(data, networks)

    def _network(
        self, rows: Rows, share: float, first: Learned, trained: Trained
    ) -> Classification:
        coef, intercept = trained.coef, trained.intercept
        if self.early_stopping:
            coef, intercept = logistic.fit_weights(
                rows, trained.U, trained.C, float(self.alpha)
            )
        if coef.shape[1] > 1:  # what all logits share says nothing
            coef = coef - coef.mean(axis=1, keepdims=True)
            intercept = intercept - intercept.mean()
        return Classification(
            U=trained.U,
            C=trained.C,
            coef=coef,
            share=share,
            name=str(trained.structure),
            alpha=first.alpha,
            intercept=intercept,
        )

    def _give_the_shares(
        self, data: Prepared, rows: Rows, rng: np.random.Generator
    ) -> None:
        """Predict the shares of the classes: no feature varies."""
        warn("X is constant in all columns: the classes get their shares.")
        self.structure_ = str(self._structure(0))
        self.bic_ = 0.0
        self.n_iter_, self.loss_curve_, self.validation_scores_ = 0, [], []
        C = self._choose_centers(data, rng)
        shares = rows.target_means()
        logits = logit(shares) if len(shares) == 1 else np.log(shares)
        network = Classification(
            U=np.zeros(0),
            C=C,
            coef=np.zeros((len(C), len(shares))),
            name=self.structure_,
            intercept=logits if len(shares) == 1 else logits - logits.mean(),
        )
        self._keep_networks(data, [network])

    def _keep_networks(self, data: Prepared, networks: list[Classification]) -> None:
        self._keep(data, networks)
        self.structures_ = {net.name: float(net.share) for net in networks}
        coef = np.concatenate([net.share * net.coef for net in networks])
        intercept: Any = sum(net.share * net.intercept for net in networks)
        is_flat = len(self.classes_) == 2
        self.dual_coef_: Array = coef[:, 0] if is_flat else coef
        self.intercept_: Any = float(intercept[0]) if is_flat else intercept

    def decision_function(self, X: Any) -> Array:
        """Evaluate the logits of the classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        logits : ndarray of shape (n_queries,) or (n_queries, n_classes)
            Of two classes, that of the second; otherwise of sum 0 over the classes.
        """
        check.is_fitted(self)
        F = self._logits(X)
        return (F[:, 0] if F.shape[1] == 1 else F).astype(self._dtype)

    def predict(self, X: Any) -> Array:
        """Predict the classes of query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Labels of the most probable classes.
        """
        check.is_fitted(self)
        F = self._logits(X)
        codes = F[:, 0] > 0.0 if F.shape[1] == 1 else F.argmax(axis=1)
        return self.classes_[codes.astype(np.intp)]

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        log_probabilities : ndarray of shape (n_queries, n_classes)
            In the order of `classes_`.
        """
        check.is_fitted(self)
        F = self._logits(X)
        if F.shape[1] == 1:
            logs = np.column_stack([log_expit(-F[:, 0]), log_expit(F[:, 0])])
        else:
            logs = log_softmax(F, axis=1)
        return logs.astype(self._dtype)

    def predict_proba(self, X: Any) -> Array:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        probabilities : ndarray of shape (n_queries, n_classes)
            In the order of `classes_`, of sum 1.
        """
        return np.exp(self.predict_log_proba(X))

    def gradient(self, X: Any) -> Array:
        """Return the gradients of the logits at query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        G : ndarray of shape (n_queries, n_features) or with a last axis of classes
            Derivatives of `decision_function` by features, in the units of `X`.
        """
        check.is_fitted(self)
        G = self._gradients(X).astype(self._dtype, copy=False)
        return G[:, 0] if G.shape[1] == 1 else G.transpose(0, 2, 1)

    def _logits(self, X: Any) -> Array:
        return np.concatenate(self._by_tiles(self._logits_of, self._standardised(X)))

    def _logits_of(self, Z: Array) -> Array:
        return sum(net.share * net.logits(Z, self.kernel) for net in self._networks)


def one_hot(codes: Array, n_classes: int) -> Array:
    """Return 0 or 1: the codes (n, 1) of two classes, or a column for each of more."""
    if n_classes <= 2:
        return codes
    return (np.arange(n_classes) == codes).astype(np.float64)


def _structures(n_features: int, n: float) -> list[Structure]:
    """Return the structures that "auto" fits."""
    if n_features == 1:
        return [structure("diag", 1)]
    if n_features >= n:
        return [structure("diag", n_features), structure("low_rank", n_features, 5)]
    return [structure("diag", n_features), structure("full", n_features)]
