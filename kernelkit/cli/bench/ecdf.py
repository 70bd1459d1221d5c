"""The exact multivariate ECDF at its own rows, and its peers."""

from argparse import Namespace

import numpy as np

from kernelkit.cli.bench.cases import Array, Method, Problem, Values
from kernelkit.cli.bench.rows import draw_rows
from kernelkit.density import MultivariateECDF

JUDGE = "rows whose answers were compared with counts"

_JUDGED_PAIRS = 5 * 10**8  # comparisons of rows that the judge may cost


def title(args: Namespace) -> str:
    """Say what is computed."""
    return "Exact multivariate ECDF, evaluated at its own rows"


def problem(args: Namespace, n: int, d: int) -> Problem:
    """Make a problem of n rows with d features, and judge it by counting.

    The judge counts with NumPy, for all rows or, where these are many, for a sample.
    """
    rng = np.random.default_rng(args.seed)
    X = draw_rows(args, n, d, rng)
    judged = rng.choice(n, min(n, max(_JUDGED_PAIRS // n, 20)), replace=False)
    columns = np.ascontiguousarray(X.T)  # 40 times as fast to compare as rows
    counts = [
        np.count_nonzero((columns <= row[:, None]).all(axis=0)) for row in X[judged]
    ]
    algorithm = MultivariateECDF().fit(X).algorithm_
    return Problem("ecdf", X, algorithm, judged, np.array(counts) / n)


def methods(args: Namespace) -> list[Method]:
    """List kernelkit and its peers, kernelkit first."""
    return [
        Method(
            "kernelkit",
            "kernelkit.density",
            "MultivariateECDF().fit(X).cdf()",
            lambda problem: MultivariateECDF(n_jobs=args.n_jobs).fit(problem.X).cdf(),
            threads=args.n_jobs,
        ),
        Method(
            "numba",
            "numba",
            "a compiled loop over all pairs of rows, up to 100,000 rows",
            lambda problem: _pairs(problem.X),
            lambda n, d: n <= 100_000,
        ),
        Method(
            "scipy",
            "scipy.stats",
            "scipy.stats.ecdf, 1 feature",
            lambda problem: _scipy(problem.X),
            lambda n, d: d == 1,
        ),
        Method(
            "statsmodels",
            "statsmodels.distributions.tools",
            "ECDF for 1 feature, otherwise _ecdf_mv, up to 5,000 rows",
            lambda problem: _statsmodels(problem.X),
            lambda n, d: d == 1 or n <= 5_000,
        ),
    ]


def _pairs(X: Array) -> Values:
    from kernelkit.cli.bench._jit_pairs import pair_counts

    counts = np.zeros(len(X), dtype=np.int64)
    pair_counts(np.ascontiguousarray(X.T), counts)
    return counts / len(X)


def _scipy(X: Array) -> Values:
    from scipy.stats import ecdf

    return ecdf(X[:, 0]).cdf.evaluate(X[:, 0])


def _statsmodels(X: Array) -> Values:
    if X.shape[1] == 1:
        from statsmodels.distributions.empirical_distribution import ECDF

        return ECDF(X[:, 0])(X[:, 0])
    from statsmodels.distributions.tools import _ecdf_mv

    # Its other method miscounts ties.
    counts, _ = _ecdf_mv(X, method="brute", use_ranks=False)
    return counts / len(X)
