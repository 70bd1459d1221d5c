"""Speed of exact kernel densities on standard normal rows.

``python -m pytest benchmarks`` prints each figure beside its target. One thread unless
said; fit with given bandwidths and evaluation at the rows, sort included; medians of 5
after a warm-up.
"""

import math
from functools import cache

import numpy as np
import pytest
from conftest import median_seconds, record
from sklearn.neighbors import KernelDensity

from kernelkit import MultivariateECDF, ProductKernelDensity, select_bandwidth

N = 100_000
QUERIED = 1000  # rows at which the quadratic peer is timed; its time is scaled by N


@cache
def rows(n, d):
    """Draw standard normal rows."""
    return np.random.default_rng(0).standard_normal((n, d))


@cache
def widths(n, d, kernel="laplacian"):
    """Choose the reference bandwidth beforehand."""
    return select_bandwidth(rows(n, d), kernel=kernel)


def fit_and_evaluate(n, d, kernel="laplacian", n_jobs=1):
    """Evaluate the log density of n rows at these rows, from the raw rows."""
    density = ProductKernelDensity(
        kernel, bandwidth=widths(n, d, kernel), n_jobs=n_jobs
    )
    return density.fit(rows(n, d)).score_samples()


@pytest.mark.parametrize(("d", "target"), [(1, 5e4), (2, 1e4), (3, 1200), (4, 400)])
def bench_against_scikit_learn(timed, d, target):
    """Against KernelDensity in the same metric, and growth from 1e4 rows on."""
    peer = KernelDensity(kernel="exponential", metric="manhattan", rtol=0)
    peer.set_params(bandwidth=widths(N, d)[0]).fit(rows(N, d))
    queries = rows(N, d)[:QUERIED]
    seconds = median_seconds(lambda: peer.score_samples(queries), rounds=1)
    scaled = seconds * N / QUERIED
    own = timed(lambda: fit_and_evaluate(N, d))
    small = median_seconds(lambda: fit_and_evaluate(N // 10, d))
    detail = (
        f"{own * 1e3:.1f} ms against {scaled:.0f} s ({QUERIED} rows, scaled); time "
        f"grows as n^{math.log10(own / small):.2f} from 1e4 rows"
    )
    record(
        f"scikit-learn / ours, n=1e5, d={d}",
        scaled / own,
        target,
        at_most=False,
        detail=detail,
    )


def bench_against_ecdf(timed):
    """Two features against the distribution function of the same rows."""
    ecdf = median_seconds(lambda: MultivariateECDF().fit(rows(N, 2)).cdf())
    own = timed(lambda: fit_and_evaluate(N, 2))
    detail = f"{own * 1e3:.1f} ms against {ecdf * 1e3:.1f} ms"
    record("density / ECDF, n=1e5, d=2", own / ecdf, 4, at_most=True, detail=detail)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "degree"), [("matern32", 1), ("matern52", 2)])
def bench_polynomials(timed, kernel, degree, d):
    """Time a polynomial times the exponential, against the exponential alone."""
    plain = median_seconds(lambda: fit_and_evaluate(N, d))
    own = timed(lambda: fit_and_evaluate(N, d, kernel))
    record(
        f"{kernel} / laplacian, n=1e5, d={d}",
        own / plain,
        (degree + 1) ** d,
        at_most=True,
        detail=f"{own * 1e3:.0f} ms against {plain * 1e3:.0f} ms",
    )


@pytest.mark.parametrize("d", [2, 3, 4])
def bench_two_threads(timed, d):
    """One thread against two."""
    one = median_seconds(lambda: fit_and_evaluate(N, d))
    two = timed(lambda: fit_and_evaluate(N, d, n_jobs=2))
    record(
        f"density, 1 thread / 2 threads, n=1e5, d={d}",
        one / two,
        1.7,
        at_most=False,
        detail=f"{one * 1e3:.0f} ms against {two * 1e3:.0f} ms",
    )


def bench_grid(timed):
    """Put a million rows on 1000 x 1000 nodes, against the approximate FFTKDE."""
    from KDEpy import FFTKDE

    X, h = rows(1_000_000, 2), widths(1_000_000, 2)
    low, high = X.min(axis=0) - 6.0 * h, X.max(axis=0) + 6.0 * h
    axes = [np.linspace(*ends, 1000) for ends in zip(low, high, strict=True)]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    peer = median_seconds(
        lambda: (
            FFTKDE(kernel="exponential", bw=1.0, norm=1).fit(X / h).evaluate(mesh / h)
        )
    )
    density = ProductKernelDensity(bandwidth=h).fit(X)
    own = timed(lambda: density.evaluate_grid(axes))
    record(
        "FFTKDE / ours, 1e6 rows, 1000 x 1000 nodes",
        peer / own,
        1,
        at_most=False,
        detail=f"{own * 1e3:.0f} ms against {peer * 1e3:.0f} ms",
    )


def bench_likelihood(timed):
    """Count what a bandwidth by likelihood costs, in traversals of the rows."""
    one = median_seconds(lambda: fit_and_evaluate(N, 2))
    own = timed(lambda: select_bandwidth(rows(N, 2), "cv_ml"))
    detail = f"{own:.2f} s against {one * 1e3:.0f} ms"
    record(
        "cv_ml / one density, n=1e5, d=2", own / one, 30, at_most=True, detail=detail
    )


def bench_compact_line(timed):
    """One feature, against KernelDensity with the same kernel."""
    kernel = "epanechnikov"
    peer = KernelDensity(kernel=kernel, rtol=0)
    peer.set_params(bandwidth=widths(N, 1, kernel)[0]).fit(rows(N, 1))
    queries = rows(N, 1)[:QUERIED]
    seconds = median_seconds(lambda: peer.score_samples(queries), rounds=1)
    own = timed(lambda: fit_and_evaluate(N, 1, kernel))
    large = median_seconds(lambda: fit_and_evaluate(10 * N, 1, kernel))
    scaled = seconds * N / QUERIED
    detail = (
        f"{own * 1e3:.1f} ms against {scaled:.0f} s ({QUERIED} rows, scaled); time "
        f"grows as n^{math.log10(large / own):.2f} to 1e6 rows"
    )
    record(
        "scikit-learn / ours, epanechnikov, n=1e5, d=1",
        scaled / own,
        1000,
        at_most=False,
        detail=detail,
    )


@pytest.mark.parametrize("kernel", ["epanechnikov", "tricube"])
def bench_compact_plane(timed, kernel):
    """Two features, against a visit to the pairs within reach."""
    density = ProductKernelDensity(
        kernel, bandwidth=widths(N, 2, kernel), algorithm="window"
    )
    pairs = median_seconds(lambda: density.fit(rows(N, 2)).score_samples(), rounds=1)
    own = timed(lambda: fit_and_evaluate(N, 2, kernel))
    small = median_seconds(lambda: fit_and_evaluate(N // 10, 2, kernel))
    detail = (
        f"{own * 1e3:.0f} ms against {pairs * 1e3:.0f} ms; time grows as "
        f"n^{math.log10(own / small):.2f} from 1e4 rows"
    )
    record(
        f"pairs within reach / moments, {kernel}, n=1e5, d=2",
        pairs / own,
        1,
        at_most=False,
        detail=detail,
    )


def bench_compact_grid(timed):
    """Put a million rows on 1000 x 1000 nodes, against the approximate FFTKDE."""
    from KDEpy import FFTKDE

    kernel, n = "epanechnikov", 1_000_000
    X, h = rows(n, 2), widths(n, 2, kernel)
    low, high = X.min(axis=0) - h, X.max(axis=0) + h
    axes = [np.linspace(*ends, 1000) for ends in zip(low, high, strict=True)]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    peer = median_seconds(
        lambda: FFTKDE(kernel="epa", bw=1.0, norm=2).fit(X / h).evaluate(mesh / h)
    )
    density = ProductKernelDensity(kernel, bandwidth=h).fit(X)
    own = timed(lambda: density.evaluate_grid(axes))
    record(
        "FFTKDE / ours, epanechnikov, 1e6 rows, 1000 x 1000 nodes",
        peer / own,
        1,
        at_most=False,
        detail=f"{own * 1e3:.0f} ms against {peer * 1e3:.0f} ms",
    )


def bench_far_queries(timed):
    """Evaluate where densities are below the least float, and where they are not."""
    X, queries = rows(20_000, 2), np.random.default_rng(1).standard_normal((20_000, 2))
    near = ProductKernelDensity(bandwidth=0.1).fit(X)
    far = ProductKernelDensity(bandwidth=1e-6).fit(X)
    usual = median_seconds(lambda: near.score_samples(queries))
    own = timed(lambda: far.score_samples(queries))
    record(
        "far queries / near ones, n=2e4, d=2",
        own / usual,
        100,
        at_most=True,
        detail=f"{own * 1e3:.0f} ms against {usual * 1e3:.0f} ms",
    )
