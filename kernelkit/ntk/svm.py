"""Classification by kernel machines with neural tangent kernels."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import Bunch
from sklearn.utils.metaestimators import available_if

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.ntk import dual
from kernelkit.ntk.attack import attack
from kernelkit.ntk.bounds import error_bound
from kernelkit.ntk.certificate import certify
from kernelkit.ntk.machines import (
    evaluate,
    gram,
    store,
    support_vectors,
    values_at,
)

LOSSES = ("hinge", "squared_hinge", "logistic", "squared")

_FOLDS = 3  # of the rows, for probabilities


@dataclass(frozen=True)
class Problem:
    """Machines to train on one kernel matrix.

    Attributes
    ----------
    K : ndarray of shape (n, n)
    codes : ndarray of shape (n,)
        Number of the class of each row.
    signs : ndarray of shape (n_machines, n)
    weights : ndarray of shape (n_machines, n)
        0 where a row takes no part in a machine.
    """

    K: Array
    codes: Array
    signs: Array
    weights: Array


def _gives_probabilities(estimator: "NTKSVC") -> bool:
    if hasattr(estimator, "_sigmoids"):  # what was fitted counts
        gives = estimator._sigmoids is not None
    else:
        gives = estimator.loss == "logistic" or estimator.probability
    if not gives:
        raise AttributeError(
            "predict_proba needs probability=True or loss='logistic' before fit."
        )
    return True


class NTKSVC(ClassifierMixin, BaseEstimator):
    r"""Support vector machine with the neural tangent kernel of a wide network.

    For each class, or pair of classes, it minimizes, over the functions of the kernel's
    space and for signs :math:`s_i` of the rows,

    .. math:: \frac12 \|f\|^2 + C \sum_{i=1}^{n} w_i\, \ell(f(x_i), s_i),

    which is what gradient descent on a wide network tends to, with the same loss and a
    penalty on the distance from its initial weights [1]_. There is no intercept, as in
    that theory; `sigma_b` > 0 puts a bias into the kernel.

    Parameters
    ----------
    depth : int, default=1
        Number of hidden layers of the network; 0 for a linear one.
    sigma_w : float, default=sqrt(2)
        Scale of the weights, > 0.
    sigma_b : float, default=0.0
        Scale of the biases, >= 0.
    activation : str or callable, default="relu"
        Activation of the hidden layers, as for `NeuralTangent`.
    slopes : tuple of (float, float), default=(0.2, 1.0)
        Slopes of "leaky_relu" below and above 0.
    normalize : {"d"} or None, default="d"
        Whether the first layer divides inner products by the number of features; the
        scale of `C` depends on it.
    train_from : int, default=0
        Layers before this one stay as they were drawn.
    loss : {"hinge", "squared_hinge", "logistic", "squared"}, default="hinge"
        :math:`\max(0, 1 - sf)`, its square, :math:`\log(1 + e^{-sf})`, or
        :math:`(s - f)^2`, which is kernel ridge regression on signs.
    C : float, default=1.0
        Factor of the loss, > 0; a paper's lambda is ``1 / (n C)``.
    fit_intercept : bool, default=False
        Whether to add a constant without a penalty, for "hinge" only. It takes libsvm,
        and neither bounds nor certificates hold.
    multi_class : {"ovr", "ovo"}, default="ovr"
        For more than two classes, a machine for each one against the rest, or for each
        pair.
    class_weight : dict, "balanced" or None, default=None
        Factors of the weights of the rows of each class, 1 for those that a dict does
        not name. "balanced" gives all classes the same total weight.
    probability : bool, default=False
        Whether `predict_proba` is available for losses other than "logistic", which has
        it in any case. It takes three more fits to two thirds of the rows.
    tol : float, default=1e-3
        Largest slope of the dual objective at which to stop; for "logistic", the
        largest error of a coefficient's condition, as a share of `C`.
    gap_tol : float, default=1e-10
        Largest relative duality gap at which to stop, save with `fit_intercept`. Where
        rounding forbids it, up to 1e-6 passes without a warning, as it does for
        "squared", which is solved directly.
    max_iter : int, default=1000
        Most rounds, each of 500 steps that change two coefficients; most Newton steps
        for "logistic". Ignored by "squared".
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes with weight, in their order.
    X_fit_ : ndarray of shape (n, n_features)
        Training rows of positive weight.
    dual_coef_ : ndarray of shape (n_machines, n)
        Coefficients of the kernel at these rows. Machines stand for the second of two
        classes, each of more, or with "ovo" the later class of each pair.
    intercept_ : ndarray of shape (n_machines,)
        Constants, 0 without `fit_intercept`.
    support_ : ndarray of shape (n_support,)
        Which of these rows have a coefficient other than 0 in some machine.
    rkhs_norm_ : ndarray of shape (n_machines,)
        Norms of the functions.
    dual_gap_ : ndarray of shape (n_machines,)
        Relative duality gaps: at most this share of the objective could be gained.
    n_iter_ : ndarray of shape (n_machines,)
        Rounds or Newton steps; steps of libsvm; 1 for the squared loss.
    kernel_ : NeuralTangent
        Kernel with its parameters.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if fewer than two classes have weight, a parameter is out of range,
        `X` or `y` hold NaN or infinity, weights are negative or all zero,
        `fit_intercept` meets another loss than the hinge, or the squared loss a kernel
        matrix that is singular and `C` too large to help.
    MemoryError
        By `fit`, if the kernel matrix exceeds the memory.

    Warns
    -----
    ConvergenceWarning
        By `fit`, if `max_iter` was not enough, or rounding leaves a gap because `C` is
        large.
    UserWarning
        By `fit`, if all rows are zero and `sigma_b` is 0.

    See Also
    --------
    NTKSVR : Regression.
    sklearn.svm.SVC : The same with an intercept, for any kernel.

    Notes
    -----
    Machines share one kernel matrix, of 8 n^2 bytes. The hinge losses look at it in
    place; for "logistic" and "squared", pairs of classes copy their part of it, and
    "squared" factorizes a copy. So do the norms where `C` is so large that huge
    coefficients cancel.

    References
    ----------
    .. [1] Chen, Huang, Nguyen & Weng (2021), "On the equivalence between neural network
       and support vector machine", NeurIPS 34.
    .. [2] Steinwart, Hush & Scovel (2011), "Training SVMs without offset", JMLR 12,
       141-202.
    .. [3] Platt (1999), "Probabilistic outputs for support vector machines", Advances
       in Large Margin Classifiers, MIT Press, 61-74.
    .. [4] Langford (2005), "Tutorial on practical prediction theory for
       classification", JMLR 6, 273-306.
    .. [5] Bartlett & Mendelson (2002), "Rademacher and Gaussian complexities", JMLR 3,
       463-482.
    .. [6] Vapnik (1998), Statistical Learning Theory, Wiley, section 10.4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from kernelkit import NTKSVC
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NTKSVC(depth=2, C=10.0).fit(X[::2] / 16.0, y[::2])
    >>> model.score(X[1::2] / 16.0, y[1::2]) > 0.97
    True
    """

    _parameter_constraints = {
        **check.NETWORK,
        "loss": check.one_of(*LOSSES),
        "C": check.POSITIVE,
        "fit_intercept": check.BOOLEAN,
        "multi_class": check.one_of("ovr", "ovo"),
        "class_weight": check.CLASS_WEIGHT,
        "probability": check.BOOLEAN,
        "tol": check.POSITIVE,
        "gap_tol": check.POSITIVE,
        "max_iter": check.WHOLE,
        "n_jobs": check.N_JOBS,
    }

    def __init__(
        self,
        depth: int = 1,
        *,
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.0,
        activation: Any = "relu",
        slopes: tuple[float, float] = (0.2, 1.0),
        normalize: str | None = "d",
        train_from: int = 0,
        loss: str = "hinge",
        C: float = 1.0,
        fit_intercept: bool = False,
        multi_class: str = "ovr",
        class_weight: Any = None,
        probability: bool = False,
        tol: float = 1e-3,
        gap_tol: float = 1e-10,
        max_iter: int = 1000,
        n_jobs: int | None = None,
    ) -> None:
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.activation = activation
        self.slopes = slopes
        self.normalize = normalize
        self.train_from = train_from
        self.loss = loss
        self.C = C
        self.fit_intercept = fit_intercept
        self.multi_class = multi_class
        self.class_weight = class_weight
        self.probability = probability
        self.tol = tol
        self.gap_tol = gap_tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Compute the kernel matrix and train the machines.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like of shape (n_samples,)
            Labels of two classes or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero, which multiply `C`; None weighs every
            row 1.

        Returns
        -------
        self : NTKSVC
        """
        self._train(self._prepare(X, y, sample_weight))
        return self

    def decision_function(self, X: Any) -> Array:
        """Evaluate the machines.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        values : ndarray of shape (n_queries,) or (n_queries, n_classes)
            The largest tells the class; of two classes, a positive one the second. With
            `multi_class` "ovo", votes of the pairs plus less than 1/2 that grows with
            their values.
        """
        values = evaluate(self, X)
        if len(self.classes_) == 2:
            return values[:, 0]
        return self._vote(values) if self._is_ovo else values

    def predict(self, X: Any) -> Array:
        """Predict the classes of query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Labels. Where all values are 0, as at rows of zeros without `sigma_b`, the
            class with the largest total weight.
        """
        machines = evaluate(self, X)
        if len(self.classes_) == 2:
            codes = (machines[:, 0] > 0.0).astype(np.intp)
        elif self._is_ovo:
            codes = self._vote(machines).argmax(axis=1)
        else:
            codes = machines.argmax(axis=1)
        codes[~machines.any(axis=1)] = self._heaviest
        return self.classes_[codes]

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Estimate the probabilities of the classes.

        Those of the machines, by the logistic function for the logistic loss and by a
        sigmoid fitted to values at rows held out for others (Platt, 1999), are divided
        by their sum, or averaged over the pairs of a class. The class of the largest
        one may be another than that of `predict`, unless the loss is logistic and
        `multi_class` "ovr".

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        probabilities : ndarray of shape (n_queries, n_classes)
            They add up to 1. With `class_weight`, they are those of a population in
            which classes have these weights.
        """
        values = evaluate(self, X)
        second = expit(values * self._sigmoids[:, 0] + self._sigmoids[:, 1])
        if len(self.classes_) == 2:
            return np.hstack([1.0 - second, second])
        if not self._is_ovo:
            second += np.finfo(float).tiny
            return second / second.sum(axis=1, keepdims=True)
        shares = np.zeros((len(values), len(self.classes_)))
        for share, low, high in zip(second.T, *self._pairs(), strict=True):
            shares[:, low] += 1.0 - share
            shares[:, high] += share
        return shares / len(self._pairs()[0])

    def c_path(
        self, X: Any, y: Any, Cs: Iterable[float], sample_weight: Any = None
    ) -> list["NTKSVC"]:
        """Fit a model for each of several `C`, with one kernel matrix for all.

        Each starts where the one with the next smaller `C` ended.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like of shape (n_samples,)
            Labels of two classes or more.
        Cs : iterable of float
            Factors of the loss, > 0, which take the place of `C`.
        sample_weight : array-like of shape (n_samples,), default=None
            As for `fit`.

        Returns
        -------
        models : list of NTKSVC
            Fitted ones in the order of `Cs`, which share their training rows. This
            estimator remains as it was.
        """
        check.parameters(self)
        Cs = check.positives("Cs", Cs)
        template = clone(self)
        problem = template._prepare(X, y, sample_weight)
        models: dict[float, NTKSVC] = {}
        starts = None
        for C in sorted(set(Cs)):
            models[C] = copy(template).set_params(C=C)
            starts = models[C]._train(problem, starts)
        return [models[C] for C in Cs]

    def generalization_bound(
        self, method: str = "pac_bayes", delta: float = 0.05
    ) -> Bunch:
        """Bound the probability that a new row is classified wrongly.

        Training rows and the new one must be independent draws from one distribution,
        and the parameters of the kernel, not `C`, chosen without a look at the rows.

        Parameters
        ----------
        method : {"pac_bayes", "rademacher", "loo"}, default="pac_bayes"
            "pac_bayes" is twice the bound on the error of classifiers drawn around the
            trained one (Langford, 2005), by far the tightest. "rademacher" adds the
            complexity of a ball that holds it to its mean loss (Bartlett & Mendelson,
            2002). "loo" is the share of rows that are support vectors, which bounds the
            error only in expectation (Vapnik, 1998).
        delta : float, default=0.05
            Probability, over the draw of the training rows, that the bound fails.

        Returns
        -------
        result : Bunch
            ``bound``, at most 1; ``method``; ``delta``; ``vacuous``, whether the bound
            is 0.5 or more; for the first two methods ``machine_bounds``, of which it is
            the sum.

        Raises
        ------
        ValueError
            With `fit_intercept`; if rows were left out by weights of 0, as the others
            are draws from another distribution; for "loo", if classes are balanced,
            where a row changes the weights of others. There is no such bound then.

        Notes
        -----
        Norms enter as upper bounds despite rounding, which makes the results useless
        where `C` is so large that huge coefficients cancel.
        """
        check.choice("method", method, ("pac_bayes", "rademacher", "loo"))
        delta = check.fraction("delta", delta)
        self._needs_no_intercept()
        if self._n_dropped:
            raise ValueError(
                f"{self._n_dropped} training rows had weight 0, and bounds are for "
                "rows drawn like those with weight: fit to all rows, or to a sample "
                "of what is to come."
            )
        if method == "loo" and self._is_balanced:
            raise ValueError(
                "method='loo' needs weights that do not depend on other rows, unlike "
                "class_weight='balanced': give a dict of factors."
            )
        signs, taking_part = self._machines(self._codes)
        values, K_diag = self._at_training_rows()
        return error_bound(
            method,
            values,
            (signs * taking_part).T,
            K_diag,
            self._norm_bounds,
            len(self.support_),
            delta,
        )

    def certify(
        self,
        X: Any,
        norm: str = "linf",
        method: str = "linear",
        clip: tuple[float, float] | None = None,
    ) -> Array:
        """Find radii within which no change of the features changes the prediction.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Rows to certify.
        norm : {"linf"}, default="linf"
            How changes are measured: by the largest over the features.
        method : {"linear", "interval", "paper"}, default="linear"
            How functions are bounded on a box. "interval" bounds each term of their
            sums alone; with up to one hidden layer of relus or leaky relus, "linear"
            also expands the terms to first order, so that those of opposite sign
            cancel, and else it is the same; "paper" is the first with a ball around
            the box, as Chen et al. (2021) do.
        clip : tuple of (float, float) or None, default=None
            Range that the features are known to stay in, such as (0, 1) for pixels.

        Returns
        -------
        radii : ndarray of shape (n_queries,)
            Lower bounds of the distance to the nearest row that is classified
            otherwise; 0 where none could be shown.

        Raises
        ------
        ValueError
            With `fit_intercept`, or if `X` leaves `clip`.

        See Also
        --------
        attack : Upper bounds.
        """
        check.choice("norm", norm, ("linf",))
        check.choice("method", method, ("linear", "interval", "paper"))
        X, clip, rows, margins = self._rivals(X, clip)
        return certify(
            self.kernel_, rows, margins, X, method=method, clip=clip, n_jobs=self.n_jobs
        )

    def attack(
        self, X: Any, clip: tuple[float, float] | None = None
    ) -> tuple[Array, Array]:
        """Search for near rows that are classified otherwise, by gradient descent.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Rows to attack.
        clip : tuple of (float, float) or None, default=None
            Range that the features stay in, such as (0, 1) for pixels.

        Returns
        -------
        radii : ndarray of shape (n_queries,)
            Largest change of a feature that is enough, an upper bound of what `certify`
            bounds from below; inf where nothing was found.
        adversaries : ndarray of shape (n_queries, n_features)
            The rows that were found, or else the rows of `X`.

        Raises
        ------
        ValueError
            With `fit_intercept`, or if `X` leaves `clip`.
        """
        X, clip, rows, margins = self._rivals(X, clip)
        found = attack(self.kernel_, rows, margins, X, clip=clip, n_jobs=self.n_jobs)
        # A class may lose to another one, and yet have the most votes.
        changed = (
            self.predict(found.reshape(-1, X.shape[1])).reshape(found.shape[:2])
            != self.predict(X)[:, None]
        )
        radii = np.where(changed, np.abs(found - X[:, None]).max(axis=2), np.inf)
        nearest = radii.argmin(axis=1)[:, None]
        radii = np.take_along_axis(radii, nearest, axis=1)[:, 0]
        adversaries = np.take_along_axis(found, nearest[..., None], axis=1)[:, 0]
        missed = np.isinf(radii)
        adversaries[missed] = X[missed]
        return radii, adversaries

    def robust_score(
        self,
        X: Any,
        y: Any,
        delta: float,
        *,
        method: str = "linear",
        clip: tuple[float, float] | None = None,
    ) -> float:
        """Return the share of rows that are right and certified to stay so.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Rows.
        y : array-like of shape (n_queries,)
            Their labels.
        delta : float
            Largest change of a feature, > 0.
        method : {"linear", "interval", "paper"}, default="linear"
            As for `certify`.
        clip : tuple of (float, float) or None, default=None
            As for `certify`.

        Returns
        -------
        share : float
            A lower bound of the accuracy on rows changed by an adversary.
        """
        delta = check.positive("delta", delta)
        classes, codes = check.labels(self, y)
        check.same_length(X, codes)
        right = self.predict(X) == classes[codes]
        return float((right & (self.certify(X, "linf", method, clip) >= delta)).mean())

    def _rivals(self, X: Any, clip: Any) -> tuple[Array, Any, Array, list[Array]]:
        """Return what certificates and attacks need.

        Of each row: the coefficients, at the support vectors, of functions which are
        positive as long as it is classified as it is.
        """
        self._needs_no_intercept()
        X = check.kernel_rows(self, X, reset=False, kernel=None, dtype="float64")
        clip = check.feature_range(clip, X)
        predicted = np.searchsorted(self.classes_, self.predict(X))
        rows, coef = support_vectors(self)
        of_class = [self._margins(coef, c) for c in range(len(self.classes_))]
        return X, clip, rows, [of_class[c] for c in predicted]

    def _margins(self, coef: Array, c: int) -> Array:
        """Return coefficients of functions that are positive where class c prevails."""
        if len(self.classes_) == 2:
            return coef if c == 1 else -coef
        if not self._is_ovo:
            return coef[c] - np.delete(coef, c, axis=0)
        first, second = self._pairs()
        return np.vstack([coef[second == c], -coef[first == c]])

    def _at_training_rows(self) -> tuple[Array, Array]:
        """Return values of the machines, and of the kernel of each row with itself."""
        return values_at(self, self.X_fit_), self.kernel_.diag(self.X_fit_)

    def _needs_no_intercept(self) -> None:
        check.is_fitted(self)
        if self._has_intercept:
            raise ValueError(
                "Bounds and certificates are for machines without an intercept: use "
                "fit_intercept=False, and sigma_b > 0 for a bias."
            )

    def _prepare(self, X: Any, y: Any, sample_weight: Any) -> Problem:
        """Check the data, store what predictions need and compute the kernel matrix."""
        self._needs_hinge()
        classes, codes = check.labels(self, y)
        X = check.kernel_rows(self, X, reset=True, kernel=None, dtype="float64")
        check.same_length(X, codes)
        kept, weights = self._weigh(classes, codes, sample_weight)
        self.X_fit_ = X[kept]
        return self._pose(gram(self, self.X_fit_), weights)

    def _needs_hinge(self) -> None:
        if self.fit_intercept and self.loss != "hinge":
            raise ValueError(
                f"fit_intercept=True is for loss='hinge'. Got {self.loss!r}: use "
                "sigma_b > 0 for a bias within the kernel."
            )

    def _weigh(
        self, classes: Array, codes: Array, sample_weight: Any
    ) -> tuple[Array, Array]:
        """Store what predictions need of the labels.

        Returns which rows have weight, and these weights.
        """
        weights = check.class_weights(self, sample_weight, classes, codes)
        used = check.two_classes(self, weights, classes, codes)
        if weights is None:
            weights = np.ones(len(codes))
        kept = weights > 0.0
        weights = weights[kept]
        codes = np.searchsorted(used, codes[kept])
        self.classes_ = classes[used]
        self._codes = codes
        self._n_dropped = int((~kept).sum())
        self._is_ovo = self.multi_class == "ovo"
        self._is_balanced = isinstance(self.class_weight, str)
        self._has_intercept = self.fit_intercept
        self._heaviest = np.bincount(codes, weights).argmax()
        return kept, weights

    def _pose(self, K: Array, weights: Array) -> Problem:
        signs, taking_part = self._machines(self._codes)
        return Problem(K, self._codes, signs, taking_part * weights)

    def _machines(self, codes: Array) -> tuple[Array, Array]:
        """Return the signs of rows in each machine, and whether they take part."""
        if len(self.classes_) == 2:
            signs = 2.0 * codes[None] - 1.0
            return signs, np.ones_like(signs)
        if not self._is_ovo:
            signs = np.where(codes == np.arange(len(self.classes_))[:, None], 1.0, -1.0)
            return signs, np.ones_like(signs)
        first, second = self._pairs()[..., None]
        signs = np.where(codes == second, 1.0, -1.0)
        return signs, 1.0 * ((codes == first) | (codes == second))

    def _pairs(self) -> Array:
        """Return the lower and the upper class of each pair."""
        return np.array([*combinations(range(len(self.classes_)), 2)]).T

    def _train(self, problem: Problem, starts: Array | None = None) -> Array:
        """Store the machines, and return their coefficients."""
        K, signs, weights = problem.K, problem.signs, problem.weights
        store(self, K, self._solve(K, signs, weights, starts))
        self._sigmoids: Any = None
        if self.loss == "logistic":
            self._sigmoids = np.tile([1.0, 0.0], (len(signs), 1))
        elif self.probability:
            self._sigmoids = self._calibrate(problem)
        coef: Array = self.dual_coef_
        return coef

    def _solve(
        self, K: Array, signs: Array, weights: Array, starts: Array | None = None
    ) -> list[dual.Machine]:
        stop = dual.Stop(self.tol, self.gap_tol, self.max_iter)
        C = self.C * weights
        if self.fit_intercept:
            return dual.solve_with_intercept(K, signs, C, stop=stop, n_jobs=self.n_jobs)
        return dual.solve(self.loss, K, signs, C, starts, stop=stop, n_jobs=self.n_jobs)

    def _calibrate(self, problem: Problem) -> Array:
        """Fit a sigmoid of the values of each machine at rows that it did not see."""
        if np.bincount(problem.codes).min() < _FOLDS:
            rare = self.classes_.tolist()[np.bincount(problem.codes).argmin()]
            raise ValueError(
                f"probability=True needs {_FOLDS} rows with weight of each class, and "
                f"{rare!r} has fewer: drop it, or use loss='logistic'."
            )
        K, signs, weights = problem.K, problem.signs, problem.weights
        folds = [*StratifiedKFold(_FOLDS).split(K, problem.codes)]
        held_in = np.zeros((_FOLDS, 1, len(K)))
        for inside, (rows, _) in zip(held_in, folds, strict=True):
            inside[:, rows] = 1.0
        machines = self._solve(
            K, np.tile(signs, (_FOLDS, 1)), (held_in * weights).reshape(-1, len(K))
        )
        values = np.empty(signs.shape)
        for k, (_, rows) in enumerate(folds):
            for j, machine in enumerate(machines[k * len(signs) :][: len(signs)]):
                values[j, rows] = machine.coef @ K[:, rows] + machine.intercept
        return np.array([*map(_sigmoid, values, signs, weights)])

    def _vote(self, values: Array) -> Array:
        """Count the pairs that a class wins; values break ties."""
        first, second = self._pairs()
        votes = np.zeros((len(values), len(self.classes_)))
        sums = np.zeros_like(votes)
        for value, low, high in zip(values.T, first, second, strict=True):
            votes[:, high] += value > 0.0
            votes[:, low] += value <= 0.0
            sums[:, high] += value
            sums[:, low] -= value
        return votes + sums / (2.0 * np.abs(sums) + 1.0)


def _sigmoid(values: Array, signs: Array, weights: Array) -> Array:
    """Fit slope and offset of ``expit(slope * value + offset)``, as Platt did.

    His targets are a little off 0 and 1; a row counts for both, in part.
    """
    scale = np.abs(values).max(initial=0.0) or 1.0
    positive, negative = weights[signs > 0].sum(), weights[signs < 0].sum()
    targets = np.where(signs > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    model = LogisticRegression(C=np.inf, tol=1e-8).fit(
        np.append(values, values)[:, None] / scale,
        np.repeat([1, 0], len(values)),
        sample_weight=np.append(weights * targets, weights * (1.0 - targets)),
    )
    return np.array([model.coef_[0, 0] / scale, model.intercept_[0]])
