"""Kernel ridge regression at scale, and its peers.

All see the same rows, kernel and penalty. Those that take the same uniformly drawn
centres compute the same estimate and share a judge; others have judges of their own.
"""

from argparse import Namespace
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kernelkit.cli.bench.cases import Array, Method, Problem, Values
from kernelkit.datasets import load_flights, make_clusters
from kernelkit.nystroem import NystroemRidge

JUDGE = "predictions compared with least squares by orthogonal factors"

_QUERIES = 2_000
_CENTERS = 500
_ALPHA = 0.1
_EXACT = 5_000  # rows up to which the exact estimate is computed
_ROUNDING = 8.0  # roundings of k(x, x): what the other centres leave is no more
_TOLERANCE = 1e-5
_WIDE = np.longdouble  # no wider than float64 on some machines
_BLOCK = 4_096


@dataclass(frozen=True)
class _Regression(Problem):
    """Rows with a target, and queries whose target is known.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Targets of the rows.
    queries : ndarray of shape (n_queries, d)
        Where predictions are asked for.
    truth : ndarray of shape (n_queries,)
        What they ought to be.
    gamma : float
        Of the Gaussian kernel.
    n_components : int
        Number of centres.
    seed : int
        Of the choice of centres.
    """

    y: Values
    queries: Values
    truth: Values
    gamma: float
    n_components: int
    seed: int

    def test_error(self, values: Values) -> float:
        """Root mean square error over the standard deviation of the truth."""
        return float(np.sqrt(np.mean((values - self.truth) ** 2)) / self.truth.std())

    @cached_property
    def uniform(self) -> Values:
        """Centres that scikit-learn's Nystroem draws with this seed."""
        order = np.random.RandomState(self.seed).permutation(len(self.X))
        return self.X[order[: self.n_components]]

    @cached_property
    def by_uniform(self) -> "_Judgement":
        """What a judge says of the estimate on uniform centres."""
        return _judge(self, self.uniform)

    @cached_property
    def by_leverage(self) -> "_Judgement":
        """What a judge says of the estimate on centres drawn by leverage."""
        return _judge(self, _leverage(self, n_jobs=1).fit(self.X, self.y).components_)

    @cached_property
    def expected_exact(self) -> Values:
        """What a judge says of the estimate with all rows as centres."""
        values, vectors = np.linalg.eigh(_gaussian(self, self.X, self.X))
        dual = vectors @ ((vectors.T @ self.y) / (np.maximum(values, 0.0) + _ALPHA))
        return _gaussian(self, self.queries, self.X) @ dual


@dataclass(frozen=True)
class _Judgement:
    """The estimate on some centres.

    Attributes
    ----------
    values : ndarray of shape (n_queries,)
    tolerance : float
        The root mean square error allowed: 1e-5, or twice what the functions move that
        the centres span by less than the rounding of float64, if that is more. They are
        many where rows lie far out and centres do not.
    """

    values: Values
    tolerance: float


def title(args: Namespace) -> str:
    """Say what is computed."""
    return (
        f"Kernel ridge regression, {args.centers or _CENTERS:,} centres, "
        f"alpha = {_ALPHA:g}, {_QUERIES:,} predictions"
    )


def problem(args: Namespace, n: int, d: int) -> Problem:
    """Make a problem of n rows with d features, and judge the uniform centres."""
    if args.n is None:
        X, y, queries, truth = _flights(n)
        gamma = 0.5
    else:
        X, y, target = make_clusters(n, d, random_state=args.seed)
        queries, _, _ = make_clusters(_QUERIES, d, random_state=args.seed + 1)
        truth = target(queries)
        gamma = 2.0
    return _Regression(
        task="ridge",
        X=X,
        algorithm="direct",
        judged=np.arange(len(queries)),
        expected=np.empty(0),  # each method has a judge of its own
        y=y,
        queries=queries,
        truth=truth,
        gamma=gamma,
        n_components=min(args.centers or _CENTERS, n),
        seed=args.seed,
    )


def methods(args: Namespace) -> list[Method]:
    """List kernelkit and its peers, kernelkit first."""
    error = "root mean square"
    return [
        Method(
            "kernelkit",
            "kernelkit.nystroem",
            "NystroemRidge, centres drawn by leverage scores",
            lambda problem: _predict(_leverage(problem, args.n_jobs), problem),
            threads=args.n_jobs,
            expected=lambda problem: problem.by_leverage.values,
            error=error,
            tolerance=lambda problem: problem.by_leverage.tolerance,
        ),
        Method(
            "uniform",
            "kernelkit.nystroem",
            "NystroemRidge, as many centres drawn uniformly, those of sklearn",
            lambda problem: _predict(
                _ridge(problem, problem.uniform, args.n_jobs), problem
            ),
            threads=args.n_jobs,
            expected=lambda problem: problem.by_uniform.values,
            error=error,
            tolerance=lambda problem: problem.by_uniform.tolerance,
        ),
        Method(
            "sklearn",
            "sklearn.kernel_approximation",
            "Nystroem and Ridge in a pipeline: the estimate of uniform",
            lambda problem: _predict(_pipeline(problem), problem),
            expected=lambda problem: problem.by_uniform.values,
            error=error,
            tolerance=lambda problem: problem.by_uniform.tolerance,
        ),
        Method(
            "KernelRidge",
            "sklearn.kernel_ridge",
            f"the exact estimate, up to {_EXACT:,} rows",
            lambda problem: _predict(_exact(problem), problem),
            lambda n, d: n <= _EXACT,
            expected=lambda problem: problem.expected_exact,
            error=error,
            tolerance=lambda problem: 1e-6,
        ),
    ]


def _ridge(problem: _Regression, centers: Any, n_jobs: int) -> NystroemRidge:
    return NystroemRidge(
        _ALPHA,
        gamma=problem.gamma,
        n_components=problem.n_components,
        centers=centers,
        n_jobs=n_jobs,
        random_state=problem.seed,
    )


def _leverage(problem: _Regression, n_jobs: int) -> NystroemRidge:
    return _ridge(problem, "rls", n_jobs)


def _pipeline(problem: _Regression) -> Any:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    features = Nystroem(
        gamma=problem.gamma,
        n_components=problem.n_components,
        random_state=problem.seed,
    )
    return make_pipeline(features, Ridge(_ALPHA, fit_intercept=False))


def _exact(problem: _Regression) -> Any:
    from sklearn.kernel_ridge import KernelRidge

    return KernelRidge(alpha=_ALPHA, kernel="rbf", gamma=problem.gamma)


def _predict(model: Any, problem: _Regression) -> Values:
    return model.fit(problem.X, problem.y).predict(problem.queries)


def _flights(n: int) -> tuple[Values, Values, Values, Values]:
    """Predict the delay at arrival from departure delay, time in the air and distance.

    The rows of the queries are not among those that are fitted to.
    """
    flights = load_flights().data.astype(np.float64)
    X, y = flights[:, [0, 2, 3]], flights[:, 1]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = y - y.mean()
    order = np.random.default_rng(0).permutation(len(X))
    rows, queries = order[: min(n, len(X) - _QUERIES)], order[-_QUERIES:]
    return X[rows], y[rows], X[queries], y[queries]


def _judge(problem: _Regression, centers: Array) -> _Judgement:
    """Solve least squares on the span of centres by orthogonal factors."""
    from scipy.linalg import qr

    kept, basis, pivots = _orthonormal(problem, centers)
    centers, m = centers[kept], len(kept)
    R = np.hstack([np.sqrt(_ALPHA) * np.eye(m), np.zeros((m, 1))])
    for start in range(0, len(problem.X), _BLOCK):
        part = slice(start, start + _BLOCK)
        features = _gaussian(problem, problem.X[part], centers) @ basis
        rows = np.vstack([R, np.column_stack([features, problem.y[part]])])
        R = qr(rows, mode="r", check_finite=False)[0][: m + 1]
    features = _gaussian(problem, problem.queries, centers) @ basis

    def predict(m: int) -> Values:
        return features[:, :m] @ np.linalg.solve(R[:m, :m], R[:m, -1])

    values = predict(m)
    known = predict(int((pivots > _least_pivot(np.float64)).sum()))
    moved = float(np.sqrt(np.mean((values - known) ** 2) / np.mean(values**2)))
    is_wide = np.finfo(_WIDE).eps < np.finfo(np.float64).eps
    return _Judgement(values, max(_TOLERANCE, 2.0 * moved) if is_wide else 1e-2)


def _orthonormal(problem: _Regression, centers: Array) -> tuple[Array, Values, Values]:
    """Factor the centres' kernel matrix with more digits than float64 has.

    Returns
    -------
    kept : ndarray of shape (r,)
        Centres that are not spanned by those before.
    basis : ndarray of shape (r, r)
        Weights of these in orthonormal functions.
    pivots : ndarray of shape (r,)
        What is left of each.
    """
    wide = centers.astype(_WIDE)
    squares = sum((x[:, None] - x) ** 2 for x in wide.T)
    K = np.exp(-_WIDE(problem.gamma) * squares)
    order = np.arange(len(K))
    for r in range(len(K)):
        largest = r + int(K.diagonal()[r:].argmax())
        if not K[largest, largest] > _least_pivot(_WIDE):
            K, order = K[:r, :r], order[:r]
            break
        for swapped in (K, K.T, order):
            swapped[[r, largest]] = swapped[[largest, r]]
        K[r:, r] /= np.sqrt(K[r, r])
        K[r + 1 :, r + 1 :] -= np.outer(K[r + 1 :, r], K[r + 1 :, r])
    inverse = np.eye(len(K), dtype=_WIDE)
    for i in range(len(K)):
        inverse[i] = (inverse[i] - K[i, :i] @ inverse[:i]) / K[i, i]
    pivots = K.diagonal().astype(np.float64) ** 2
    return order, inverse.T.astype(np.float64), pivots


def _least_pivot(dtype: Any) -> float:
    return _ROUNDING * float(np.finfo(dtype).eps)


def _gaussian(problem: _Regression, A: Array, B: Array) -> Values:
    from scipy.spatial.distance import cdist

    return np.exp(-problem.gamma * cdist(A, B, "sqeuclidean"))
