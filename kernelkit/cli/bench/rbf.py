"""Networks of radial basis functions with a learned precision, and their peers.

Each row is predicted by a fit without it. Nobody knows the right predictions, so the
judge of kernelkit evaluates the network by its definition, and peers have to predict
better than the mean of the targets, or the shares of the classes.
"""

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kernelkit import _parallel
from kernelkit.cli.bench.cases import Array, Method, Problem, Values
from kernelkit.datasets import load_flights
from kernelkit.rbf_network import GaussianRBFClassifier, GaussianRBFRegressor

JUDGE = (
    "predictions of the first fold: of kernelkit, compared with the network by its "
    "definition; of peers, with the truth, where the mean has error 1"
)

_FOLDS = 3
_TREES = 300
_GRID = {"C": [1.0, 10.0, 100.0], "gamma": [0.01, 0.03, 0.1]}  # by folds of their own
_FLIGHTS = 1_500

DATA = {
    (442, 10): "diabetes",
    (1_000, 10): "Friedman 1",
    (_FLIGHTS, 3): "flights",
    (1_000, 8): "steps",  # for trees
    (569, 30): "breast_cancer",
    (178, 13): "wine",
}
"""Data sets by their size."""


@dataclass(frozen=True)
class _Supervised(Problem):
    """Rows with a target.

    An answer consists of the predictions, the rows in order, and the importances of
    the features, NaN if a method has none. Classes are predicted by probabilities.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Targets, or labels of classes from 0.
    is_class : bool
        Whether they are classes.
    seed : int
        Of the folds and of the fits.
    """

    y: Values
    is_class: bool
    seed: int

    @cached_property
    def truth(self) -> Values:
        """Targets of variance 1, or 1 for the class of a row; less their means."""
        if self.is_class:
            Y = (self.y[:, None] == np.unique(self.y)).astype(np.float64)
            return Y - Y.mean(axis=0)
        return ((self.y - self.y.mean()) / self.y.std())[:, None]

    @cached_property
    def folds(self) -> list[tuple[Array, Array]]:
        """Rows to fit to, and rows to predict."""
        from sklearn.model_selection import KFold, StratifiedKFold

        kind = StratifiedKFold if self.is_class else KFold
        folds = kind(_FOLDS, shuffle=True, random_state=self.seed)
        return list(folds.split(self.X, self.y))

    def predict(self, model: Any, rows: Array) -> Values:
        """Predict rows in the units of `truth`."""
        if not self.is_class:
            return ((model.predict(self.X[rows]) - self.y.mean()) / self.y.std())[
                :, None
            ]
        labels = np.unique(self.y)
        if hasattr(model, "predict_proba"):
            Y = model.predict_proba(self.X[rows])
        else:
            Y = (model.predict(self.X[rows])[:, None] == labels).astype(np.float64)
        return Y - (self.y[:, None] == labels).mean(axis=0)

    def judgeable(self, values: Array) -> Values:
        """Return the predictions of an answer."""
        return values[: self.truth.size]

    def importances(self, values: Array) -> list[float] | None:
        """Return the importances of the features in an answer."""
        found = values[self.truth.size :]
        return None if np.isnan(found).any() else found.tolist()

    def test_error(self, values: Values) -> float:
        """Root mean square error of targets of variance 1; share of wrong classes."""
        Y = self.judgeable(values).reshape(self.truth.shape)
        if not self.is_class:
            return float(np.sqrt(np.mean((Y - self.truth) ** 2)))
        Y = Y + (self.y[:, None] == np.unique(self.y)).mean(axis=0)
        return float((np.unique(self.y)[Y.argmax(axis=1)] != self.y).mean())

    @cached_property
    def by_definition(self) -> Values:
        """What a judge says of the network that predicts the first fold."""
        kept, rows = self.folds[0]
        model = _network(self, n_jobs=1).fit(self.X[kept], self.y[kept])
        return _evaluate(self, model, kept, rows).ravel()


def title(args: Namespace) -> str:
    """Say what is computed."""
    return f"Fits and predictions of {_FOLDS} folds"


def problem(args: Namespace, n: int, d: int) -> Problem:
    """Load a data set, or draw one of n rows with d features."""
    name = "Friedman 1" if args.n is not None else DATA[n, d]
    X, y, is_class = _load(name, n, d, args.seed)
    made = _Supervised(
        task="rbf",
        X=X,
        algorithm="auto",
        judged=np.empty(0),
        expected=np.empty(0),  # each method has a judge of its own
        data=name,
        y=y,
        is_class=is_class,
        seed=args.seed,
    )
    q = made.truth.shape[1]
    return replace(made, judged=(made.folds[0][1][:, None] * q + np.arange(q)).ravel())


def methods(args: Namespace) -> list[Method]:
    """List kernelkit and its peers, kernelkit first."""
    return [
        Method(
            "kernelkit",
            "kernelkit.rbf_network",
            "GaussianRBFRegressor and GaussianRBFClassifier, 100 centres; importances "
            "by gradients",
            lambda problem: _answer(problem, lambda: _network(problem, args.n_jobs)),
            threads=args.n_jobs,
            expected=lambda problem: problem.by_definition,
            error="root mean square",
            tolerance=lambda problem: 1e-6,
        ),
        _peer(
            "RandomForest",
            "sklearn.ensemble",
            f"{_TREES} trees; importances by impurity",
            _forest,
        ),
        _peer(
            "HistGradientBoosting",
            "sklearn.ensemble",
            "as it comes, with as many threads as there are processors",
            _boosting,
            threads=os.cpu_count() or 1,
        ),
        _peer(
            "SVM",
            "sklearn.svm",
            "SVR and SVC, standardised rows, the best of a grid of 9 by folds",
            _machine,
        ),
    ]


def _peer(
    name: str,
    module: str,
    description: str,
    make: Callable[[_Supervised], Any],
    threads: int = 1,
) -> Method:
    return Method(
        name,
        module,
        description,
        lambda problem: _answer(problem, lambda: make(problem)),
        threads=threads,
        expected=lambda problem: problem.truth.ravel()[problem.judged],
        error="root mean square",
        tolerance=lambda problem: 1.0,
    )


def _answer(problem: _Supervised, make: Callable[[], Any]) -> Values:
    """Predict each row by a fit without it, and average the importances."""
    Y = np.empty(problem.truth.shape)
    importances = []
    with _parallel.one_blas_thread:
        for kept, rows in problem.folds:
            model = make().fit(problem.X[kept], problem.y[kept])
            Y[rows] = problem.predict(model, rows)
            nothing = np.full(problem.X.shape[1], np.nan)
            importances.append(getattr(model, "feature_importances_", nothing))
    return np.append(Y, np.mean(importances, axis=0))


def _network(problem: _Supervised, n_jobs: int) -> Any:
    kind = GaussianRBFClassifier if problem.is_class else GaussianRBFRegressor
    return kind(random_state=problem.seed, n_jobs=n_jobs)


def _forest(problem: _Supervised) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if problem.is_class else RandomForestRegressor
    return kind(_TREES, random_state=problem.seed)


def _boosting(problem: _Supervised) -> Any:
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    if problem.is_class:
        return HistGradientBoostingClassifier(random_state=problem.seed)
    return HistGradientBoostingRegressor(random_state=problem.seed)


def _machine(problem: _Supervised) -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, SVR

    kind = SVC if problem.is_class else SVR
    name = kind.__name__.lower()
    grid = {f"{name}__{key}": values for key, values in _GRID.items()}
    found = GridSearchCV(make_pipeline(StandardScaler(), kind()), grid, cv=5)
    if problem.is_class:
        return found
    return TransformedTargetRegressor(found, transformer=StandardScaler())


def _load(name: str, n: int, d: int, seed: int) -> tuple[Values, Values, bool]:
    """Return rows, targets, and whether these are classes."""
    from sklearn import datasets

    if name == "Friedman 1":
        X, y = datasets.make_friedman1(n, d, noise=1.0, random_state=seed)
        return X, y, False
    if name == "steps":
        rng = np.random.default_rng(seed)
        X = rng.uniform(size=(n, d))
        a, b, c = X[:, 0] > 0.5, X[:, 1] > 0.3, X[:, 2] > 0.6
        y = a + 2.0 * (b & c) + np.floor(4.0 * X[:, 3]) / 2.0
        return X, y + rng.normal(scale=0.3, size=n), False
    if name == "flights":
        flights = load_flights().data.astype(np.float64)
        chosen = flights[:: len(flights) // n][:n]
        return chosen[:, [0, 2, 3]], chosen[:, 1], False
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X, y.astype(np.float64), name != "diabetes"


def _evaluate(problem: _Supervised, model: Any, kept: Array, rows: Array) -> Values:
    """Predict rows by networks: their weights by least squares, or as they are."""
    from scipy.spatial.distance import cdist

    X, y = problem.X[kept], problem.y[kept]
    mean, scale = X.mean(axis=0), X.std(axis=0)
    Z, queries = (X - mean) / scale, (problem.X[rows] - mean) / scale
    F: Any = 0.0
    for net in model._networks:
        U = np.diag(net.U) if net.U.ndim == 1 else net.U
        fitted, asked = (
            np.exp(-0.5 * cdist(A @ U.T, net.C @ U.T, "sqeuclidean"))
            for A in (Z, queries)
        )
        if problem.is_class:
            F = F + net.share * (net.intercept + asked @ net.coef)
            continue
        middle, m = fitted.mean(axis=0), len(net.C)
        A = np.vstack([fitted - middle, np.sqrt(net.alpha) * np.eye(m)])
        b = np.append((y - y.mean()) / y.std(), np.zeros(m))
        F = F + net.share * (asked - middle) @ np.linalg.lstsq(A, b, rcond=0.0)[0]
    if not problem.is_class:
        F = y.mean() + y.std() * F
        return ((F - problem.y.mean()) / problem.y.std())[:, None]
    F = np.column_stack([np.zeros(len(F)), F]) if F.shape[1] == 1 else F
    Y = np.exp(F - F.max(axis=1, keepdims=True))
    Y /= Y.sum(axis=1, keepdims=True)
    return Y - (problem.y[:, None] == np.unique(problem.y)).mean(axis=0)
