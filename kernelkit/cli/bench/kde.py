"""The exact kernel density estimate, at its own rows or on a grid, and its peers.

All are given the same bandwidths, so that those with a Laplacian kernel compute the
same estimate. The Gaussian ones compute others, and have judges of their own.
"""

import math
import warnings
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kernelkit.cli.bench.cases import Array, Method, Problem, Values
from kernelkit.cli.bench.rows import draw_rows
from kernelkit.cli.kde import even_axes
from kernelkit.density import ProductKernelDensity, select_bandwidth

JUDGE = "values compared with direct sums in extended precision"

_JUDGED_PAIRS = 5 * 10**6  # terms that a judge may cost
_SAMPLE = 1_000  # rows that stand for all where these are too many for a peer
_MANY, _FEW = 20_000, 5_000


@dataclass(frozen=True)
class _Rows(Problem):
    """A problem with the rows as queries.

    Attributes
    ----------
    bandwidth : ndarray of shape (d,)
        Of all methods.
    sample : ndarray of shape (n_sample,)
        Positions of the rows that stand for all; `judged` is a part of it.
    """

    bandwidth: Values
    sample: Array

    @cached_property
    def expected_gaussian(self) -> Values:
        """What a judge says of the estimate with a Gaussian product kernel."""
        return _gaussian_judge(self.X, np.diag(self.bandwidth), self.X[self.judged])

    @cached_property
    def expected_scipy(self) -> Values:
        """What a judge says of the estimate with the kernel that SciPy chooses."""
        from scipy.stats import gaussian_kde

        covariance = gaussian_kde(self.X.T).covariance
        return _gaussian_judge(self.X, _cholesky(covariance), self.X[self.judged])


@dataclass(frozen=True)
class _Grid(Problem):
    """A problem with the nodes of a grid as queries.

    Attributes
    ----------
    bandwidth : ndarray of shape (d,)
        Of all methods.
    axes : list of ndarray
        Nodes along each feature.
    nodes : ndarray of shape (n_nodes, d)
        All of them over the bandwidth, as KDEpy takes them.
    """

    bandwidth: Values
    axes: list[Values]
    nodes: Values

    @property
    def binning_error(self) -> float:
        """Bound the relative error of spreading a row over the corners of its cell.

        Between two nodes a step s apart, the line through exp(-u / h) lies above it by
        at most the factor cosh(s / 2h).
        """
        steps = [
            (axis[1] - axis[0]) / width
            for axis, width in zip(self.axes, self.bandwidth, strict=True)
        ]
        return math.prod(math.cosh(step / 2.0) for step in steps) - 1.0


def title(args: Namespace) -> str:
    """Say what is computed."""
    if args.grid is None:
        return "Laplacian kernel density estimate, evaluated at its own rows"
    return (
        f"Laplacian kernel density estimate on a grid of {args.grid:,} nodes a feature"
    )


def problem(args: Namespace, n: int, d: int) -> Problem:
    """Make a problem of n rows with d features, and judge a sample of its values."""
    rng = np.random.default_rng(args.seed)
    X = draw_rows(args, n, d, rng)
    bandwidth = select_bandwidth(X, n_jobs=args.n_jobs)
    n_judged = min(max(_JUDGED_PAIRS // n, 20), _SAMPLE)
    if args.grid is not None:
        return _grid_problem(X, bandwidth, args.grid, n_judged, rng)
    sample = rng.permutation(n)[:_SAMPLE]
    judged = sample[:n_judged]
    return _Rows(
        task="kde",
        X=X,
        algorithm=ProductKernelDensity(bandwidth=bandwidth).fit(X).algorithm_,
        judged=judged,
        expected=_laplacian_judge(X, bandwidth, X[judged]),
        bandwidth=bandwidth,
        sample=sample,
    )


def _grid_problem(
    X: Values, bandwidth: Values, n_nodes: int, n_judged: int, rng: np.random.Generator
) -> Problem:
    """Judge nodes beside rows, where the density is high, and nodes anywhere."""
    axes = even_axes(X, bandwidth, n_nodes)
    shape = [n_nodes] * len(axes)
    beside = [
        np.minimum(np.searchsorted(axis, values), n_nodes - 1)
        for axis, values in zip(axes, rng.choice(X, n_judged // 2).T, strict=True)
    ]
    anywhere = rng.integers(math.prod(shape), size=n_judged - n_judged // 2)
    judged = np.append(np.ravel_multi_index(beside, shape), anywhere)
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return _Grid(
        task="kde_grid",
        X=X,
        algorithm="grid",
        judged=judged,
        expected=_laplacian_judge(X, bandwidth, nodes[judged]),
        bandwidth=bandwidth,
        axes=axes,
        nodes=nodes / bandwidth,
    )


def methods(args: Namespace) -> list[Method]:
    """List kernelkit and its peers, kernelkit first."""
    return _on_rows(args) if args.grid is None else _on_grid(args)


def _on_rows(args: Namespace) -> list[Method]:
    other = "ANOTHER estimate, Gaussian, with a judge of its own"
    return [
        Method(
            "kernelkit",
            "kernelkit.density",
            "ProductKernelDensity(bandwidth=h).fit(X).score_samples()",
            lambda problem: np.exp(_fit(args, problem).score_samples()),
            threads=args.n_jobs,
            error="relative",
        ),
        Method(
            "sklearn",
            "sklearn.neighbors",
            'KernelDensity(kernel="exponential", metric="manhattan", rtol=0) on X / h, '
            "times the constant by which its normalisation, for Euclidean distances, "
            f"differs; sampled beyond {_MANY:,} rows",
            _sampled(_MANY, lambda model, rows: model(rows)),
            prepare=_fit_sklearn,
            share=_share(_MANY),
            error="relative",
            tolerance=lambda problem: 1e-10,  # it adds up logarithms
        ),
        Method(
            "KDEpy",
            "KDEpy",
            'NaiveKDE(kernel="exponential", norm=1, bw=sqrt(2)) on X / h, less the '
            "2.2e-16 that it adds to each value; up to 10,000 rows",
            _kdepy,
            lambda n, d: n <= 10_000,
            error="relative",
        ),
        Method(
            "gaussian",
            "kernelkit.density",
            f'kernelkit with kernel="gaussian", all pairs: {other}; sampled beyond '
            f"{_MANY:,} rows",
            _sampled(_MANY, lambda model, rows: np.exp(model.score_samples(rows))),
            threads=args.n_jobs,
            prepare=lambda problem: (_fit(args, problem, "gaussian"), problem),
            share=_share(_MANY),
            expected=lambda problem: problem.expected_gaussian,
            error="relative",
        ),
        Method(
            "statsmodels",
            "statsmodels.nonparametric.kernel_density",
            f"KDEMultivariate(bw=h), the same as gaussian: {other}; sampled beyond "
            f"{_FEW:,} rows",
            _sampled(_FEW, lambda model, rows: model.pdf(rows)),
            prepare=_fit_statsmodels,
            share=_share(_FEW),
            expected=lambda problem: problem.expected_gaussian,
            error="relative",
        ),
        Method(
            "scipy",
            "scipy.stats",
            f"gaussian_kde(X.T), with a bandwidth matrix of its own: {other}; sampled "
            f"beyond {_MANY:,} rows",
            _sampled(_MANY, lambda model, rows: model(rows.T)),
            prepare=_fit_scipy,
            share=_share(_MANY),
            expected=lambda problem: problem.expected_scipy,
            error="relative",
            tolerance=lambda problem: 1e-10,  # it whitens the rows
        ),
    ]


def _on_grid(args: Namespace) -> list[Method]:
    return [
        Method(
            "kernelkit",
            "kernelkit.density",
            "ProductKernelDensity(bandwidth=h).fit(X).evaluate_grid(axes)",
            lambda problem: _fit(args, problem).evaluate_grid(problem.axes).ravel(),
            threads=args.n_jobs,
            error="relative",
        ),
        Method(
            "KDEpy",
            "KDEpy",
            'FFTKDE(kernel="exponential", norm=1, bw=sqrt(2)) on X / h, APPROXIMATE: '
            "it moves rows to nodes and cuts the kernel off. Allowed is a bound for "
            "the former plus 0.001 for the latter. The list of nodes that it takes is "
            "not timed",
            _fft,
            error="of the highest value",
            tolerance=lambda problem: problem.binning_error + 1e-3,
        ),
    ]


def _fit(args: Namespace, problem: Any, kernel: str = "laplacian") -> Any:
    density = ProductKernelDensity(
        kernel, bandwidth=problem.bandwidth, n_jobs=args.n_jobs
    )
    return density.fit(problem.X)


def _fit_sklearn(problem: _Rows) -> tuple[Callable[[Values], Values], _Rows]:
    """Fit on X / h, where exp(-r) integrates to 2^d and not to what it divides by.

    It divides by the integral of exp(-r) with Euclidean distances r, whatever the
    metric is: the surface of the sphere times Gamma(d).
    """
    from sklearn.neighbors import KernelDensity

    h = problem.bandwidth
    model = KernelDensity(
        kernel="exponential", metric="manhattan", rtol=0.0, bandwidth=1.0
    ).fit(problem.X / h)
    d = h.size
    sphere = 2.0 * math.pi ** (d / 2) / math.gamma(d / 2)
    constant = sphere * math.gamma(d) / np.prod(2.0 * h)
    return lambda rows: np.exp(model.score_samples(rows / h)) * constant, problem


def _kdepy(problem: _Rows) -> Values:
    from KDEpy import NaiveKDE

    Z = problem.X / problem.bandwidth
    values = NaiveKDE(kernel="exponential", norm=1, bw=math.sqrt(2.0)).fit(Z)(Z)
    return (values - np.finfo(np.float64).eps) / np.prod(problem.bandwidth)


def _fft(problem: _Grid) -> Values:
    from KDEpy import FFTKDE

    model = FFTKDE(kernel="exponential", norm=1, bw=math.sqrt(2.0))
    model.fit(problem.X / problem.bandwidth)
    return model(problem.nodes) / np.prod(problem.bandwidth)


def _fit_statsmodels(problem: _Rows) -> tuple[Any, _Rows]:
    from statsmodels.nonparametric.kernel_density import KDEMultivariate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about random numbers
        kind = "c" * problem.X.shape[1]
        return KDEMultivariate(problem.X, kind, bw=problem.bandwidth), problem


def _fit_scipy(problem: _Rows) -> tuple[Any, _Rows]:
    from scipy.stats import gaussian_kde

    return gaussian_kde(problem.X.T), problem


def _share(limit: int) -> Callable[[int, int], float]:
    return lambda n, d: 1.0 if n <= limit else _SAMPLE / n


def _sampled(limit: int, evaluate: Callable[..., Values]) -> Callable[[Any], Values]:
    """Evaluate a model at all rows, or at the sample if they are more than `limit`."""

    def solve(prepared: tuple[Any, _Rows]) -> Values:
        model, problem = prepared
        if len(problem.X) <= limit:
            return evaluate(model, problem.X)
        values = np.full(len(problem.X), np.nan)
        values[problem.sample] = evaluate(model, problem.X[problem.sample])
        return values

    return solve


def _laplacian_judge(X: Values, bandwidth: Values, queries: Values) -> Values:
    h = bandwidth.astype(np.longdouble)[:, None]
    sums = _direct_sums(X, queries, lambda steps: (np.abs(steps) / h).sum(axis=0))
    return (sums / len(X) / np.prod(2 * h)).astype(np.float64)


def _gaussian_judge(X: Values, factor: Array, queries: Values) -> Values:
    """Sum Gaussian kernels whose covariance is L L', for a lower triangular L."""
    L = factor.astype(np.longdouble)
    pi = 4 * np.arctan(np.longdouble(1))

    def exponents(steps: Array) -> Array:
        z = np.empty_like(steps)
        for k in range(len(L)):
            z[k] = (steps[k] - L[k, :k] @ z[:k]) / L[k, k]
        return np.square(z).sum(axis=0) / 2

    sums = _direct_sums(X, queries, exponents)
    return (sums / len(X) / np.prod(np.sqrt(2 * pi) * np.diag(L))).astype(np.float64)


def _direct_sums(
    X: Values, queries: Values, exponents: Callable[[Array], Array]
) -> Array:
    """Sum exp(-exponents(query - rows)) over the rows, for each query."""
    columns = np.ascontiguousarray(X.T).astype(np.longdouble)
    return np.array(
        [np.exp(-exponents(query[:, None] - columns)).sum() for query in queries]
    )


def _cholesky(A: Values) -> Array:
    """Factor a matrix in extended precision, which LAPACK has not."""
    A = A.astype(np.longdouble)
    L = np.zeros_like(A)
    for k in range(len(A)):
        L[k, k] = np.sqrt(A[k, k] - L[k, :k] @ L[k, :k])
        L[k + 1 :, k] = (A[k + 1 :, k] - L[k + 1 :, :k] @ L[k, :k]) / L[k, k]
    return L
