"""Speed of designs, and how few labels they need.

``python -m pytest benchmarks/bench_design.py -c benchmarks/pytest.ini`` prints each
figure beside its target. One thread; medians after a warm-up; peers are given the same
features or functions.
"""

import math
import tracemalloc
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from conftest import median_seconds, record
from sklearn.kernel_approximation import RBFSampler
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_limits

from kernelkit.design import DesignLeastSquares, LegendreBasis, ProjectionDPP
from kernelkit.design.continuous import BasisSource
from kernelkit.design.orthonormal import orthonormalize
from kernelkit.design.reduce import rank_backward, rank_forward
from kernelkit.design.samplers import draw_design
from kernelkit.design.sources import PoolSource, chain_dpp

POOLS = [(10_000, 50), (100_000, 100)]
STABLE = 0.5  # a least eigenvalue


@pytest.fixture(autouse=True)
def one_thread():
    """Let linear algebra of all packages have one thread."""
    with threadpool_limits(1):
        yield


def features(N, m):
    """Draw standard normal features."""
    return np.random.default_rng(0).standard_normal((N, m))


@cache
def pool(N, m):
    """Make them orthonormal."""
    return PoolSource(orthonormalize(features(N, m)))


@cache
def legendre(d, degree):
    """Take all polynomials up to a degree on a cube."""
    return BasisSource(LegendreBasis(degree, bounds=[(-1.0, 1.0)] * d).fit_domain())


def draws(source, n=20):
    """Draw blocks; returns a function of no arguments."""
    rng = np.random.default_rng(0)
    return lambda: [source.dpp(rng) for _ in range(n)]


def dppy(Q):
    """Draw a block by the peer."""
    from dppy.exact_sampling import proj_dpp_sampler_eig_GS

    rng = np.random.RandomState(0)
    return lambda: proj_dpp_sampler_eig_GS(Q, random_state=rng)


@pytest.mark.parametrize(("N", "m"), POOLS)
def bench_pool(timed, N, m):
    """Draw a block of a pool, against DPPy."""
    peer = median_seconds(dppy(pool(N, m).Q), rounds=3)
    own = timed(draws(pool(N, m))) / 20
    record(
        f"DPPy / block of a pool, N={N:.0e}, m={m}",
        peer / own,
        100,
        at_most=False,
        detail=f"{own * 1e3:.2f} ms against {peer * 1e3:.0f} ms",
    )


@pytest.mark.parametrize(("N", "m"), POOLS)
def bench_chain(timed, N, m):
    """Draw by the chain rule, against that of DPPy."""
    source, rng = pool(N, m), np.random.default_rng(0)
    nothing = np.empty(0, dtype=np.int64)
    peer = median_seconds(dppy(source.Q), rounds=3)
    own = timed(
        lambda: chain_dpp(source.Q, source.leverage, nothing, np.zeros((m, m)), rng)
    )
    record(
        f"DPPy / chain rule, N={N:.0e}, m={m}",
        peer / own,
        2,
        at_most=False,
        detail=f"{own * 1e3:.0f} ms against {peer * 1e3:.0f} ms",
    )


def bench_growth(timed):
    """Draw from pools of three sizes: the time is to depend on m alone."""
    sizes = [4_000, 40_000, 400_000]
    seconds = [median_seconds(draws(pool(N, 50))) / 20 for N in sizes]
    timed(draws(pool(sizes[0], 50)))
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    times = ", ".join(f"{1e3 * time:.2f}" for time in seconds)
    record(
        "growth of a block, N=4e3, 4e4, 4e5, m=50: N to the",
        slope,
        0.2,
        at_most=True,
        detail=f"{times} ms",
    )


@pytest.mark.parametrize(("d", "degree"), [(2, 9), (3, 5), (2, 13)])
def bench_continuous(timed, d, degree):
    """Draw a block of a cube, against DPPy with as many polynomials."""
    from dppy.multivariate_jacobi_ope import MultivariateJacobiOPE

    source = legendre(d, degree)
    N = source.rank
    process = MultivariateJacobiOPE(N, np.zeros((d, 2)))
    rng = np.random.RandomState(0)
    peer = median_seconds(lambda: process.sample(random_state=rng), rounds=21)
    own = timed(draws(source)) / 20
    record(
        f"DPPy / block of a cube, d={d}, N={N}",
        peer / own,
        10,
        at_most=False,
        detail=f"{own * 1e3:.2f} ms against {peer * 1e3:.1f} ms",
    )


def bench_independent(timed):
    """Draw 2000 independent optimal points, against pythia-uq."""
    pythia = pytest.importorskip("pythia")
    source, rng = legendre(2, 9), np.random.default_rng(0)
    axes = [pythia.parameter.Parameter(name, [-1, 1], "uniform") for name in "xy"]
    degrees = pythia.index.simplex_set(2, 9)
    lines = pythia.basis.univariate_basis(axes, degrees.max(axis=0))
    basis = pythia.basis.multivariate_basis(lines, degrees)
    sampler = pythia.sampler.WLSSampler(axes, basis)
    peer = median_seconds(lambda: sampler.sample([2000]), rounds=1)
    own = timed(lambda: source.christoffel(2000, rng))
    record(
        f"pythia-uq / independent points, d=2, m={len(basis)}",
        peer / own,
        50,
        at_most=False,
        detail=f"{own * 1e3:.2f} ms against {peer * 1e3:.0f} ms",
    )


def bench_orthonormal(timed):
    """Make features orthonormal, against a QR factorization."""
    F = features(100_000, 100)
    peer = median_seconds(lambda: np.linalg.qr(F), rounds=3)
    own = timed(lambda: orthonormalize(F))
    record(
        "numpy QR / orthonormalize, N=1e5, m=100",
        peer / own,
        3,
        at_most=False,
        detail=f"{own * 1e3:.0f} ms against {peer * 1e3:.0f} ms",
    )


def bench_reduction(timed):
    """Reduce 8 m points to 1.2 m, one by one."""
    source = legendre(2, 9)
    m, rng = source.rank, np.random.default_rng(0)
    rows, _ = source.rows(np.concatenate([source.dpp(rng) for _ in range(8)]))
    n_keep = math.ceil(1.2 * m)
    own = timed(lambda: rank_backward(rows, n_keep))
    forward = median_seconds(lambda: rank_forward(rows, n_keep))
    record(
        f"reduction, m={m}, ms",
        own * 1e3,
        25,
        at_most=True,
        detail=f"adding as many takes {forward * 1e3:.1f} ms",
    )


def bench_memory():
    """Fit and draw: the peak of memory, next to the features."""
    F = features(100_000, 50)
    ProjectionDPP(0).fit(F[:1000]).sample()
    tracemalloc.start()
    ProjectionDPP(0).fit(F).sample()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    record("peak memory / features, N=1e5, m=50", peak / F.nbytes, 5, at_most=True)


def hostile_pools():
    """Make pools on which a sampler may stumble."""
    rng = np.random.default_rng(0)
    F = rng.standard_normal((200, 8))
    spike = F.copy()
    spike[17] *= 1e6
    hostile = {
        "duplicates": np.repeat(F[:20], 10, axis=0),
        "dependent": np.column_stack([F, F[:, :3] + F[:, 3:6]]),
        "outlier": spike,
        "Vandermonde": np.vander(np.linspace(-1.0, 1.0, 200), 20),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dependent features
        pools = {name: orthonormalize(F) for name, F in hostile.items()}
    inexact = orthonormalize(F)
    pools["inexact"] = replace(inexact, Q=inexact.Q * (1.0 + 1e-7))
    return pools


def failures(draw, n):
    """Count the draws that raise or repeat a row."""
    failed = 0
    for _ in range(n):
        try:
            block = draw()
            failed += len(set(block)) < len(block)
        except ValueError:
            failed += 1
    return failed


def bench_hostile():
    """Draw 1e4 blocks from pools on which a sampler may stumble."""
    rng, own, peer = np.random.default_rng(0), {}, {}
    for name, hostile in hostile_pools().items():
        source, block = PoolSource(hostile), dppy(hostile.Q)
        own[name] = failures(lambda source=source: source.dpp(rng).tolist(), 2000)
        peer[name] = failures(block, 20)
    failed = [name for name, number in peer.items() if number]
    record(
        "failures of 1e4 blocks of hostile pools",
        sum(own.values()),
        0,
        at_most=True,
        detail=f"DPPy fails for: {', '.join(failed) or 'none'}",
    )


def fewest_for_stability(source, draw, step, n_designs):
    """Find how many points leave 9 of 10 designs stable, in steps."""
    m = source.rank
    gram, stable = np.zeros((n_designs, m, m)), 0.0
    waiting = [np.empty((0, m))] * n_designs
    n = 0
    while stable < 0.9:
        n += step
        for i in range(n_designs):
            while len(waiting[i]) < step:
                rows, _ = source.rows(draw())
                waiting[i] = np.concatenate([waiting[i], rows])
            new, waiting[i] = waiting[i][:step], waiting[i][step:]
            gram[i] += m * new.T @ new
        if n >= m:
            stable = (np.linalg.eigvalsh(gram / n)[:, 0] >= STABLE).mean()
    return n


@pytest.mark.parametrize(
    ("d", "degree", "n_designs"), [(1, 9, 500), (1, 39, 200), (2, 9, 200)]
)
def bench_labels(d, degree, n_designs):
    """Draw until 9 of 10 designs are stable: blocks against independent points."""
    source, rng = legendre(d, degree), np.random.default_rng(0)
    m = source.rank
    blocks = fewest_for_stability(source, lambda: source.dpp(rng), m // 5, n_designs)
    single = fewest_for_stability(
        source, lambda: source.christoffel(m, rng), m // 5, n_designs
    )
    record(
        f"points, dpp_repeat / iid, d={d}, m={m}",
        blocks / single,
        0.6,
        at_most=True,
        detail=f"{blocks / m:.1f} m against {single / m:.1f} m",
    )


def excess(phi, y, weights, best, rest):
    """Fit targets; returns mean squared errors over the least possible ones."""
    roots = np.sqrt(weights)[:, None]
    theta = np.linalg.lstsq(roots * phi, roots * y, rcond=None)[0]
    return 1.0 + np.square(theta - best).sum(axis=0) / rest


def targets(X):
    """Evaluate a smooth function, a peak, a kink, and one like noise."""
    far = np.square(X).sum(axis=1)
    return np.column_stack(
        [
            np.sin(2.0 * X.sum(axis=1)),
            1.0 / (1.0 + 5.0 * far),
            np.abs(X[:, 0] - 0.3),
            np.sin(1e4 * far),
        ]
    )


def excess_on_cube(d, degree, draw, n_designs=200):
    """Average over designs of a cube and over targets, whose norms are quadratures."""
    source = legendre(d, degree)
    nodes, masses = np.polynomial.legendre.leggauss(400 if d == 1 else 120)
    grid = np.stack(np.meshgrid(*[nodes] * d), axis=-1).reshape(-1, d)
    product = np.prod(np.meshgrid(*[masses / 2.0] * d), axis=0).ravel()
    phi, Y = source.basis.transform(grid), targets(grid)[:, 1:3]
    best = phi.T @ (product[:, None] * Y)
    rest = product @ np.square(Y - phi @ best)
    rng, values = np.random.default_rng(0), []
    for _ in range(n_designs):
        points, weights = draw(source, rng)
        at, y = source.basis.transform(points), targets(points)[:, 1:3]
        values.append(excess(at, y, weights, best, rest))
    return np.mean(values)


def reduced(n_keep, method, reduce_method="auto"):
    """Draw 8 m points and keep n_keep times m."""

    def draw(source, rng):
        design = draw_design(
            source,
            8 * source.rank,
            method,
            delta=None,
            reduce_to=n_keep,
            reduce_method=reduce_method,
            rng=rng,
        )
        return design.points, design.weights

    return draw


@pytest.mark.parametrize(("d", "degree"), [(1, 9), (2, 5), (2, 9)])
def bench_directions(d, degree):
    """Reduce to 1.2 m by the way that is chosen, against the better of both."""
    way = [
        excess_on_cube(d, degree, reduced(1.2, "dpp_repeat", name))
        for name in ("auto", "a_optimal", "d_optimal")
    ]
    record(
        f"excess at 1.2 m, auto / better way, d={d}, m={legendre(d, degree).rank}",
        way[0] / min(way[1:]),
        1,
        at_most=True,
        detail=f"removing {way[1]:.2f}, adding {way[2]:.2f}",
    )


@pytest.mark.parametrize("n_keep", [1.2, 2.0])
@pytest.mark.parametrize(("d", "degree"), [(1, 9), (2, 5), (2, 9)])
def bench_forward_peer(d, degree, n_keep):
    """Reduce blocks, against D-optimal points added one by one of independent ones."""
    own = excess_on_cube(d, degree, reduced(n_keep, "dpp_repeat"))
    peer = excess_on_cube(d, degree, reduced(n_keep, "iid", "d_optimal"))
    record(
        f"excess at {n_keep} m / of greedy iid, d={d}, m={legendre(d, degree).rank}",
        own / peer,
        1.1,
        at_most=True,
        detail=f"{own:.2f} against {peer:.2f}",
    )


def rbf_features(law, kind, seed):
    """Draw 2000 rows in the plane; returns them and features of a Gaussian kernel."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (2000, 2))
    if law == "normal":
        X = rng.standard_normal((2000, 2))
    if kind == "Fourier":
        fourier = RBFSampler(gamma=0.5, n_components=50, random_state=seed)
        return X, fourier.fit_transform(X)
    return X, rbf_kernel(X, X[rng.permutation(2000)[:30]], gamma=2.0)


@pytest.mark.parametrize("law", ["uniform", "normal"])
@pytest.mark.parametrize("kind", ["centres", "Fourier"])
def bench_against_pivots(law, kind):
    """Label 1.2 m rows of blocks, against pivots of QR and rows at random.

    Both with the weights of their design; 20 designs of each of 20 pools.
    """
    rng, own, peer = np.random.default_rng(0), [], []
    for seed in range(20):
        X, F = rbf_features(law, kind, seed)
        source = PoolSource(orthonormalize(F))
        m, phi, Y = source.rank, source.Q * np.sqrt(len(X)), targets(X)
        best = phi.T @ Y / len(X)
        rest = np.square(Y - phi @ best).mean(axis=0)
        n = math.ceil(1.2 * m)
        ways = [(own, 8 * m, "dpp_repeat", n), (peer, n, "qr", None)]
        for values, n_samples, method, reduce_to in ways * 20:
            design = draw_design(
                source, n_samples, method, delta=None, reduce_to=reduce_to, rng=rng
            )
            assert design.n_labels == n
            rows = design.indices
            values.append(excess(phi[rows], Y[rows], design.weights, best, rest))
    ratios = np.mean(np.reshape(own, (20, -1)), axis=1) / np.mean(
        np.reshape(peer, (20, -1)), axis=1
    )
    record(
        f"excess at 1.2 m / of pivots, RBF {kind}, {law} rows",
        np.mean(own) / np.mean(peer),
        0.75,
        at_most=True,
        detail=f"{np.mean(own):.2f} against {np.mean(peer):.2f}; "
        f"from {ratios.min():.2f} to {ratios.max():.2f} in single pools",
    )


LAWS = {  # of one feature, and how far beyond the error an estimate is expected
    "uniform": (lambda rng, n: rng.uniform(-1.0, 1.0, n), 1.5),
    "normal": (lambda rng, n: rng.normal(size=n), 1.5),
    "Cauchy": (lambda rng, n: rng.standard_cauchy(n), 1.5),
    "log-normal, 1.5": (lambda rng, n: rng.lognormal(0.0, 1.5, n), 1.5),
}


@pytest.mark.parametrize("law", LAWS)
def bench_leave_one_out(law):
    """Mean estimate over mean error of 60 designs, polynomials of degree 5, n = 5 m."""
    draw, target = LAWS[law]
    estimates, errors = [], []
    for seed in range(60):
        x = draw(np.random.default_rng(seed), 2_000)
        y = np.sin(3.0 * np.tanh(x))
        model = make_pipeline(
            PolynomialFeatures(5, include_bias=False), StandardScaler()
        )
        F = model.fit_transform(x[:, None])
        fit = DesignLeastSquares(n_samples=30, random_state=seed)
        with warnings.catch_warnings(action="ignore"):
            fit.fit(F, y)  # looks at the labels of the design only
        estimates.append(np.mean(fit.loo_error_))
        errors.append(np.mean((fit.predict(F) - y) ** 2))
    record(
        f"leave-one-out / error, {law}",
        float(np.mean(estimates) / np.mean(errors)),
        target,
        at_most=True,
    )
