"""Neural tangent kernels, the machines that use them, and their peers.

There are problems of three kinds. Of a Gram matrix pairs are judged by the recursion
with more digits. The dual solver, whose matrix is given, is judged by libsvm. Classes
of data sets are predicted by fits without the rows: those of kernelkit are judged by
textbook formulas and libsvm, those of peers have to be better than the shares.
"""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kernelkit import _parallel
from kernelkit.cli.bench.cases import Array, Method, Problem, Values
from kernelkit.kernels import ntk_gram
from kernelkit.ntk import NTKSVC, dual

JUDGE = (
    "Gram matrix: pairs, by the recursion with more digits; dual solver, and first "
    "fold of data: by libsvm on rows and mirror images, which makes the constant 0"
)

_FOLDS = 3
_INNER_FOLDS = 3  # which choose the parameters
_TREES = 300
_TOL = 1e-3
_JUDGE_TOL = 1e-8
_DEPTH = 3
_OWN_GRID = {"ntksvc__depth": [1, 2, 3], "ntksvc__C": [0.1, 1.0, 10.0]}
_RBF_GRID = {"svc__gamma": [0.01, 0.03, 0.1], "svc__C": [1.0, 10.0, 100.0]}
_PAIRS = 1_000
_WIDE = np.longdouble  # no wider than float64 on some machines

GRAM, DUAL = "Gram matrix", "dual solver"
DATA = {
    (2_000, 64): GRAM,
    (1_500, 64): DUAL,
    (1_797, 64): "digits",
    (569, 30): "breast_cancer",
    (178, 13): "wine",
}
"""What is computed, or classes of which data set are predicted, by size."""


@dataclass(frozen=True)
class _Gram(Problem):
    """Rows whose tangent kernel is asked for."""

    tolerance = 1e-12

    @property
    def by_definition(self) -> Values:
        """What the judge says of pairs."""
        return self.expected

    def solve(self, n_jobs: int) -> Values:
        """Let kernelkit compute it."""
        return ntk_gram(self.X, depth=_DEPTH, n_jobs=n_jobs).ravel()


@dataclass(frozen=True)
class _Dual(Problem):
    """A machine with the hinge loss to train on a matrix that is given.

    An answer consists of its values at all rows.

    Attributes
    ----------
    K : ndarray of shape (n, n)
    signs : ndarray of shape (n,)
    """

    K: Values
    signs: Values
    tolerance = 1e-2

    def solve(self, n_jobs: int) -> Values:
        """Let kernelkit train it."""
        stop = dual.Stop(tol=_TOL, gap_tol=1e-4, max_iter=1_000)
        signs, C = self.signs[None], np.ones((1, len(self.K)))
        (machine,) = dual.solve("hinge", self.K, signs, C, stop=stop, n_jobs=n_jobs)
        return self.K @ machine.coef

    def by_libsvm(self, tol: float) -> Values:
        """Train one with a constant."""
        from sklearn.svm import SVC

        machine = SVC(kernel="precomputed", C=1.0, tol=tol).fit(self.K, self.signs)
        coef, support = machine.dual_coef_[0], machine.support_
        return self.K[:, support] @ coef + machine.intercept_

    @cached_property
    def by_definition(self) -> Values:
        """What the judge says of the machine without a constant."""
        return self.K @ _without_constant(self.K, self.signs, C=1.0)

    @cached_property
    def with_constant(self) -> Values:
        """What the judge says of the machine with one."""
        return self.by_libsvm(_JUDGE_TOL)


@dataclass(frozen=True)
class _Classes(Problem):
    """Rows of classes to predict, by models that choose their parameters.

    An answer consists of a score for each row and class, of which the largest is
    predicted: the values of the machines of kernelkit, or 1 for the class that a peer
    predicts and 0 for others, less the shares of the classes.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Labels from 0.
    seed : int
        Of the folds and of the fits.
    """

    y: Array
    seed: int
    tolerance = 1e-2

    @cached_property
    def folds(self) -> list[tuple[Array, Array]]:
        """Rows to fit to, and rows to predict."""
        from sklearn.model_selection import StratifiedKFold

        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=self.seed)
        return list(folds.split(self.X, self.y))

    def scores(self, y: Array) -> Values:
        """Return 1 for these classes and 0 for others, less the shares."""
        shares = np.bincount(self.y) / len(self.y)
        return (y[:, None] == np.arange(len(shares))) - shares

    def solve(self, n_jobs: int) -> Values:
        """Let kernelkit predict them."""
        return self.answer(lambda: _chosen_machine(n_jobs), _values)

    def answer(
        self,
        make: Callable[[], Any],
        score: Callable[[Any, Values], Values] | None = None,
    ) -> Values:
        """Score each row by a fit without it."""
        Y = np.empty((len(self.y), self.y.max() + 1))
        with _parallel.one_blas_thread:
            for kept, rows in self.folds:
                model = make().fit(self.X[kept], self.y[kept])
                queries = self.X[rows]
                Y[rows] = (
                    score(model, queries)
                    if score is not None
                    else self.scores(model.predict(queries))
                )
        return Y.ravel()

    def test_error(self, values: Values) -> float:
        """Share of the rows whose class is wrong."""
        Y = values.reshape(len(self.y), -1)
        return float((Y.argmax(axis=1) != self.y).mean())

    @cached_property
    def by_definition(self) -> Values:
        """What the judge says of the machines that score the first fold."""
        kept, rows = self.folds[0]
        model = _chosen_machine(n_jobs=1).fit(self.X[kept], self.y[kept])
        scaler, machine = model.best_estimator_
        Z, y = scaler.transform(self.X), self.y[kept]
        K = _textbook(Z, machine.depth)[:, kept]
        columns = [
            K[rows] @ _without_constant(K[kept], 2.0 * (y == c) - 1.0, machine.C)
            for c in ([1] if y.max() == 1 else range(y.max() + 1))
        ]
        return _both_signs(np.column_stack(columns)).ravel()


def title(args: Namespace) -> str:
    """Say what is computed."""
    return f"Neural tangent kernels of relu, {_DEPTH} layers unless chosen"


def problem(args: Namespace, n: int, d: int) -> Problem:
    """Draw n rows with d features, or load them."""
    from sklearn import datasets

    kind = _kind(args, n, d)
    shared: dict[str, Any] = {
        "task": "ntk",
        "algorithm": "-",
        "expected": np.empty(0),  # each method has a judge of its own
        "data": kind,
    }
    if kind == GRAM:
        return _draw(n, d, args.seed, shared)
    name = "digits" if kind == DUAL else kind
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if kind == DUAL:
        X, odd = X[:n] / 16.0, y[:n] % 2
        K, signs = _textbook(X, _DEPTH), 2.0 * odd - 1.0
        return _Dual(X=X, judged=np.arange(n), K=K, signs=signs, **shared)
    made = _Classes(X=X, judged=np.empty(0), y=y, seed=args.seed, **shared)
    n_classes = y.max() + 1
    places = made.folds[0][1][:, None] * n_classes + np.arange(n_classes)
    return replace(made, judged=places.ravel())


def methods(args: Namespace) -> list[Method]:
    """List kernelkit and its peers, kernelkit first."""
    error = "root mean square"

    def only(*kinds: str) -> Callable[[int, int], bool]:
        return lambda n, d: _kind(args, n, d) in kinds

    data = only(*(kind for kind in DATA.values() if kind not in (GRAM, DUAL)))
    grid = "standardised rows, the best of a grid of 9 by folds"
    return [
        Method(
            "kernelkit",
            "kernelkit.ntk",
            f"ntk_gram; the solver of NTKSVC, tol={_TOL:g} and a gap of 1e-4; NTKSVC, "
            f"{grid}",
            lambda problem: problem.solve(args.n_jobs),
            threads=args.n_jobs,
            expected=lambda problem: problem.by_definition,
            error=error,
            tolerance=lambda problem: problem.tolerance,
        ),
        Method(
            "NumPy",
            "numpy",
            "textbook formulas on whole matrices, with angles by arccos",
            lambda problem: _textbook(problem.X, _DEPTH).ravel(),
            only(GRAM),
            error=error,
            tolerance=lambda problem: 1e-6,
        ),
        Method(
            "libsvm",
            "sklearn.svm",
            f'SVC(kernel="precomputed", tol={_TOL:g}), with a constant, and so judged '
            f"by itself with tol={_JUDGE_TOL:g}",
            lambda problem: problem.by_libsvm(_TOL),
            only(DUAL),
            expected=lambda problem: problem.with_constant,
            error=error,
            tolerance=lambda problem: 1e-2,
        ),
        Method(
            "SVC",
            "sklearn.svm",
            f"with a Gaussian kernel, {grid}; at least better than shares of classes",
            lambda problem: problem.answer(_chosen_gaussian),
            data,
            expected=lambda problem: problem.scores(problem.y).ravel()[problem.judged],
            error=error,
            tolerance=lambda problem: 1.0,
        ),
        Method(
            "RandomForest",
            "sklearn.ensemble",
            f"{_TREES} trees; at least better than shares of classes",
            lambda problem: problem.answer(lambda: _forest(problem.seed)),
            data,
            expected=lambda problem: problem.scores(problem.y).ravel()[problem.judged],
            error=error,
            tolerance=lambda problem: 1.0,
        ),
    ]


def _kind(args: Namespace, n: int, d: int) -> str:
    return GRAM if args.n is not None else DATA[n, d]


def _draw(n: int, d: int, seed: int, shared: dict[str, Any]) -> _Gram:
    """Draw rows, and judge some of their pairs, of which some are twice the same."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    first, second = rng.integers(n, size=(2, _PAIRS))
    second[::10] = first[::10]
    a, b = X[first].astype(_WIDE), X[second].astype(_WIDE)
    k, q, r = ((x * y).sum(axis=1) * 2 / d for x, y in [(a, b), (a, a), (b, b)])
    kernel, of_a_row = _recursion(k, q, r, _DEPTH), (_DEPTH + 1) * q
    expected = np.where(first == second, of_a_row, kernel).astype(np.float64)
    shared |= {"judged": first * n + second, "expected": expected}
    return _Gram(X=X, **shared)


def _textbook(X: Values, depth: int) -> Values:
    """Compute the tangent kernel of relu, with sigma_w = sqrt(2), by NumPy."""
    k = X @ X.T * (2 / X.shape[1])
    q = k.diagonal().copy()
    return _recursion(k, q[:, None], q, depth)


def _recursion(k: Array, q: Array, r: Array, depth: int) -> Array:
    """Turn covariances of pairs and variances into the kernel, layer by layer."""
    root = np.sqrt(q * r)  # relu keeps variances
    pi = np.arccos(k.dtype.type(-1))
    t = k
    for _ in range(depth):
        angle = np.arccos(np.clip(k / root, -1, 1))
        k = root / pi * (np.sin(angle) + (pi - angle) * np.cos(angle))
        t = k + t * (pi - angle) / pi
    return t


def _without_constant(K: Values, signs: Values, C: float) -> Values:
    """Find the coefficients of a machine by libsvm, which has a constant.

    It is 0 if each row has a mirror image of the other class: of kernel -K, and with
    half the C.
    """
    from sklearn.svm import SVC

    n = len(K)
    machine = SVC(kernel="precomputed", C=C / 2, tol=_JUDGE_TOL)
    machine.fit(np.block([[K, -K], [-K, K]]), np.append(signs, -signs))
    coef = np.zeros(2 * n)
    coef[machine.support_] = machine.dual_coef_[0]
    return coef[:n] - coef[n:]


def _chosen_machine(n_jobs: int) -> Any:
    return _chosen(NTKSVC(tol=_TOL, n_jobs=n_jobs), _OWN_GRID)


def _chosen_gaussian() -> Any:
    from sklearn.svm import SVC

    return _chosen(SVC(), _RBF_GRID)


def _chosen(machine: Any, grid: dict[str, Any]) -> Any:
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), machine)
    return GridSearchCV(pipeline, grid, cv=_INNER_FOLDS)


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(_TREES, random_state=seed)


def _values(model: Any, X: Values) -> Values:
    return _both_signs(model.decision_function(X))


def _both_signs(values: Values) -> Values:
    """Give each of two classes a value, if there is one for both."""
    values = values.reshape(len(values), -1)
    return np.hstack([-values, values]) if values.shape[1] == 1 else values
