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
from sklearn.svm import SVC
from sklearn.utils.metaestimators import available_if

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.kernels.neural import NeuralTangent
from kernelkit.linalg import row_tiles
from kernelkit.ntk import dual

LOSSES = ("hinge", "squared_hinge", "logistic", "squared")

_FOLDS = 3  # of the rows, for probabilities


@dataclass(frozen=True)
class _Problem:
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


class NTKSVC(ClassifierMixin, BaseEstimator):
    r"""Support vector machine with the neural tangent kernel of a wide network.

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
        gap_tol: float = 1e-4,
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
        values = self._evaluate(X)
        if len(self.classes_) == 2:
            return values[:, 0]
        return self._vote(values) if self.multi_class == "ovo" else values

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
        machines = self._evaluate(X)
        if len(self.classes_) == 2:
            codes = (machines[:, 0] > 0.0).astype(np.intp)
        elif self.multi_class == "ovo":
            codes = self._vote(machines).argmax(axis=1)
        else:
            codes = machines.argmax(axis=1)
        codes[~machines.any(axis=1)] = self._heaviest
        return self.classes_[codes]

    def _prepare(self, X: Any, y: Any, sample_weight: Any) -> _Problem:
        """Check the data, store what predictions need and compute the kernel matrix."""
        classes, codes = check.labels(self, y)
        X = check.kernel_rows(self, X, reset=True, kernel=None, dtype="float64")
        weights = check.weights(sample_weight, X)
        if weights is None:
            weights = np.ones(len(X))
        factors = check.class_weights(self.class_weight, classes, codes, weights)
        weights = weights * factors[codes]
        kept = weights > 0.0
        X, weights = X[kept], weights[kept]
        present, codes = np.unique(codes[kept], return_inverse=True)
        if len(present) < 2:
            which = f"one class, {classes[present[0]]!r}" if len(present) else "no class"
            raise ValueError(
                f"{type(self).__name__} needs rows of 2 classes or more, and all rows "
                f"with weight are of {which}."
            )
        self.classes_ = classes[present]
        self.X_fit_ = X
        self._heaviest = np.bincount(codes, weights).argmax()
        K = gram(self, X)
        signs, taking_part = self._machines(codes)
        return _Problem(K, codes, signs, taking_part * weights)

    def _machines(self, codes: Array) -> tuple[Array, Array]:
        """Return the signs of rows in each machine, and whether they take part."""
        if len(self.classes_) == 2:
            signs = 2.0 * codes[None] - 1.0
            return signs, np.ones_like(signs)
        if self.multi_class == "ovr":
            signs = np.where(codes == np.arange(len(self.classes_))[:, None], 1.0, -1.0)
            return signs, np.ones_like(signs)
        first, second = self._pairs()[..., None]
        signs = np.where(codes == second, 1.0, -1.0)
        return signs, 1.0 * ((codes == first) | (codes == second))

    def _pairs(self) -> Array:
        """Return the lower and the upper class of each pair."""
        return np.array([*combinations(range(len(self.classes_)), 2)]).T

    def _solve(self, problem: _Problem, weights: Array, starts: Array | None) -> list[dual.Machine]:
        return dual.solve(
            self.loss,
            problem.K,
            problem.signs,
            self.C * weights,
            starts,
            stop=dual.Stop(self.tol, self.gap_tol, self.max_iter),
            n_jobs=self.n_jobs,
        )

    def _train(self, problem: _Problem, starts: Array | None = None) -> None:
        machines = self._solve(problem, problem.weights, starts)
        store(self, machines)

    def _evaluate(self, X: Any) -> Array:
        """Evaluate the machines at query rows, one in each column."""
        return evaluate(self, X)

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


def gram(estimator: Any, X: Array) -> Array:
    """Store the kernel of an estimator and compute its matrix on the training rows."""
    names = (*check.NETWORK, "n_jobs")
    estimator.kernel_ = NeuralTangent(**{n: getattr(estimator, n) for n in names})
    check.memory(8 * len(X) ** 2, "learn from fewer rows, or approximate the kernel matrix: NystroemRidge takes a NeuralTangent kernel")
    K = estimator.kernel_(X)
    if not K.diagonal().any():
        warn("All training rows are zero, which sigma_b=0 maps to 0: give sigma_b > 0.")
    return np.ascontiguousarray(K)


def store(estimator: Any, machines: list[dual.Machine]) -> None:
    """Set the fitted attributes of an estimator."""
    estimator.dual_coef_ = np.array([machine.coef for machine in machines])
    estimator.support_ = np.flatnonzero(estimator.dual_coef_.any(axis=0))
    estimator.rkhs_norm_ = np.array([machine.norm for machine in machines])
    estimator.dual_gap_ = np.array([machine.gap for machine in machines])
    estimator.n_iter_ = np.array([machine.n_iter for machine in machines])


def evaluate(estimator: Any, X: Any) -> Array:
    """Evaluate the machines of a fitted estimator at query rows."""
    check.is_fitted(estimator)
    X = check.kernel_rows(estimator, X, reset=False, kernel=None, dtype="float64")
    support = estimator.X_fit_[estimator.support_]
    coef = estimator.dual_coef_[:, estimator.support_].T
    values = np.zeros((len(X), coef.shape[1]))
    if len(support):
        with _parallel.one_blas_thread:
            for rows in row_tiles(len(X), len(support)):
                values[rows] = estimator.kernel_(X[rows], support) @ coef
    return values
