"""Speed, memory and error of kernel ridge regression at scale.

``python -m pytest benchmarks/bench_nystroem.py -c benchmarks/pytest.ini`` prints each
figure beside its target. One thread unless said, as it is set for peers, too; medians
after a warm-up.
"""

import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from conftest import median_seconds, record
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from kernelkit import NystroemRidge, RidgeLeverageNystroem, effective_dimension
from kernelkit.datasets import load_flights, make_clusters

N = 100_000
ALPHA = 0.1


@pytest.fixture(autouse=True)
def one_blas_thread():
    """Peers compute on one thread, too."""
    with threadpool_limits(1, "blas"):
        yield


@cache
def clusters(n, seed=0):
    """Draw rows in clusters, and queries with their truth."""
    X, y, target = make_clusters(n, random_state=seed)
    queries = make_clusters(5_000, random_state=1_000)[0]
    return X, y, queries, target(queries)


@cache
def spread(n):
    """Draw rows without clusters, with 9 features and a smooth target."""
    rng = np.random.default_rng(0)
    X, queries = rng.normal(size=(n, 9)), rng.normal(size=(5_000, 9))
    truth = np.sin(queries[:, 0]) + queries[:, 1] * queries[:, 2] / 2
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] / 2 + 0.1 * rng.normal(size=n)
    return X, y, queries, truth


def peer(m, gamma, seed=0):
    """Nystroem features and a ridge regression on them."""
    features = Nystroem(gamma=gamma, n_components=m, random_state=seed)
    return make_pipeline(features, Ridge(ALPHA, fit_intercept=False))


def uniform_like(features, X, gamma, **options):
    """Fit our estimator on the centres that the peer has drawn."""
    return NystroemRidge(
        ALPHA, gamma=gamma, centers=X[features.component_indices_], **options
    )


def error(model, problem):
    """Root mean square error of predictions for the queries."""
    return float(np.sqrt(np.mean((model.predict(problem[2]) - problem[3]) ** 2)))


def rmse_ratio(model, other, problem):
    """Divide the error of a model by that of another."""
    return error(model, problem) / error(other, problem)


def bench_same_uniform_centres(timed):
    """Against Nystroem and Ridge with the same 500 centres."""
    X, y, *_ = problem = spread(N)
    theirs = peer(500, 0.05).fit(X, y)
    ours = uniform_like(theirs[0], X, 0.05)
    seconds = median_seconds(lambda: peer(500, 0.05).fit(X, y), rounds=3)
    own = timed(lambda: ours.fit(X, y))
    name = "n=1e5, 500 uniform centres"
    record(
        f"Nystroem+Ridge / ours, {name}",
        seconds / own,
        3,
        at_most=False,
        detail=f"{own:.2f} s against {seconds:.2f} s",
    )
    record(
        f"test error, ours / theirs, {name}",
        rmse_ratio(ours, theirs, problem),
        1.02,
        at_most=True,
    )


MEMORY = """
import json, sys
from pathlib import Path
import numpy as np
from bench_nystroem import peer, spread, uniform_like

def megabytes():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

X, y, *_ = spread(100_000)
small = peer(500, 0.05).fit(X[:2000], y[:2000])
uniform_like(small[0], X, 0.05).fit(X[:2000], y[:2000])
Path("/proc/self/clear_refs").write_text("5")
before = megabytes()
if sys.argv[1] == "theirs":
    peer(500, 0.05).fit(X, y)
else:
    uniform_like(small[0], X, 0.05).fit(X, y)
print(json.dumps(megabytes() - before))
"""


def bench_memory():
    """Peak beyond the rows, each in a process of its own (Linux)."""
    extra = {}
    for who in ("ours", "theirs"):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, who],
            cwd=__file__.rpartition("/")[0],
            capture_output=True,
            text=True,
            check=True,
        )
        extra[who] = json.loads(done.stdout)
    record(
        "memory, ours / Nystroem+Ridge, n=1e5, m=500",
        extra["ours"] / extra["theirs"],
        0.1,
        at_most=True,
        detail=f"{extra['ours']:.0f} MiB against {extra['theirs']:.0f} MiB",
    )


@pytest.mark.parametrize(("m", "target"), [(500, 2.5), (1000, 2.0), (2000, 1.7)])
def bench_floor(timed, m, target):
    """Count n m^2 multiplications at the speed of a matrix product of the same run."""
    X, y, *_ = spread(N)
    rng = np.random.default_rng(0)
    A = rng.normal(size=(2048, m))
    product = median_seconds(lambda: A.T @ A.copy())  # of different arrays: all of it
    floor = product * N / 2048 / 2  # half, as H'H is symmetric
    model = NystroemRidge(
        ALPHA, gamma=0.05, n_components=m, centers="uniform", random_state=0
    )
    own = timed(lambda: model.fit(X, y))
    record(
        f"fit / floor, n=1e5, m={m}",
        own / floor,
        target,
        at_most=True,
        detail=f"{own:.2f} s against {floor:.2f} s",
    )


def bench_clusters(timed):
    """Drawn by leverage, half as many centres as a uniform peer, selection included."""
    X, y, *_ = problem = clusters(N)
    theirs = peer(966, 0.5).fit(X, y)
    ours = NystroemRidge(ALPHA, gamma=0.5, n_components=480, random_state=0)
    seconds = median_seconds(lambda: peer(966, 0.5).fit(X, y), rounds=1)
    own = timed(lambda: ours.fit(X, y))
    name = "clusters, n=1e5, m=480 and 966"
    record(
        f"test error, ours / Nystroem+Ridge, {name}",
        rmse_ratio(ours, theirs, problem),
        0.5,
        at_most=True,
        detail=f"{error(ours, problem):.4f} against {error(theirs, problem):.4f}",
    )
    record(
        f"Nystroem+Ridge / ours, {name}",
        seconds / own,
        1.5,
        at_most=False,
        detail=f"{own:.2f} s against {seconds:.2f} s",
    )


def bench_exact(timed):
    """Against KernelRidge on 4000 rows of flights."""
    flights = load_flights().data[:8_000].astype(float)
    Z = (flights - flights.mean(axis=0)) / flights.std(axis=0)
    X, y = Z[:, [0, 2, 3]], flights[:, 1] - flights[:, 1].mean()
    problem = X[:4_000], y[:4_000], X[4_000:], y[4_000:]
    exact = KernelRidge(alpha=1.0, kernel="rbf", gamma=0.5).fit(*problem[:2])
    ours = NystroemRidge(1.0, gamma=0.5, n_components=400, random_state=0)
    seconds = median_seconds(lambda: exact.fit(*problem[:2]), rounds=3)
    own = timed(lambda: ours.fit(*problem[:2]))
    record(
        "KernelRidge / ours, flights, n=4000, m=400",
        seconds / own,
        3,
        at_most=False,
        detail=f"{own * 1e3:.0f} ms against {seconds * 1e3:.0f} ms",
    )
    record(
        "test error, ours / KernelRidge, flights, n=4000, m=400",
        rmse_ratio(ours, exact, problem),
        1.06,
        at_most=True,
    )


@pytest.mark.parametrize("alpha", [0.1, 0.01])
def bench_few_centres(alpha):
    """As few centres as 1.2 effective dimensions, on 4000 rows in clusters."""
    X, y, *_ = problem = clusters(4_000)
    exact = KernelRidge(alpha=alpha, kernel="rbf", gamma=0.5).fit(X, y)
    K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=2))
    m = round(1.2 * effective_dimension(K, alpha))
    model = NystroemRidge(alpha, gamma=0.5, n_components=m)
    ratios = [
        rmse_ratio(model.set_params(random_state=seed).fit(X, y), exact, problem)
        for seed in range(5)
    ]
    record(
        f"test error, m = 1.2 d / KernelRidge, clusters, n=4000, alpha={alpha}",
        float(np.mean(ratios)),
        1.02,
        at_most=True,
        detail=f"m={m}; {min(ratios):.3f} to {max(ratios):.3f} over 5 seeds",
    )


def bench_sketch(timed):
    """Cost of a row in a stream of 1e5, with 480 components."""
    X, *_ = clusters(N)
    sketch = RidgeLeverageNystroem(gamma=0.5, n_components=480, random_state=0)
    own = timed(lambda: sketch.fit(X))
    small = median_seconds(lambda: sketch.fit(X[: N // 10]), rounds=3)
    record(
        "microseconds a row of the sketch, n=1e5, m=480",
        own / N * 1e6,
        40,
        at_most=True,
        detail=f"{small / N * 1e7:.1f} at n=1e4",
    )


@pytest.mark.parametrize("n_components", [480, 1000])
def bench_stream(timed, n_components):
    """Cost of a row to the regression on a stream, warm-up included."""
    X, y, *_ = clusters(N)

    def learn():
        model = NystroemRidge(
            ALPHA, gamma=0.5, n_components=n_components, random_state=0
        )
        for start in range(0, N, 5_000):
            rows = slice(start, start + 5_000)
            model.partial_fit(X[rows], y[rows])
        return model.dual_coef_

    own = timed(learn)
    record(
        f"microseconds a row of partial_fit, n=1e5, m={n_components}",
        own / N * 1e6,
        40 if n_components == 480 else 120,
        at_most=True,
    )


def bench_stream_error():
    """One pass over shuffled rows against two, over 5 seeds."""
    ratios = []
    for seed in range(5):
        X, y, *_ = problem = clusters(20_000, seed)
        options = {"gamma": 0.5, "n_components": 300, "random_state": seed}
        stream = NystroemRidge(ALPHA, **options)
        for rows in np.array_split(np.arange(len(X)), 20):
            stream.partial_fit(X[rows], y[rows])
        two = NystroemRidge(ALPHA, selection_samples=None, **options).fit(X, y)
        ratios.append(rmse_ratio(stream, two, problem))
    record(
        "test error, partial_fit / fit, clusters, mean of 5",
        float(np.mean(ratios)),
        1.05,
        at_most=True,
        detail=f"worst {max(ratios):.3f} (target 1.12)",
    )


def bench_selection(timed):
    """Drawing 1000 centres by leverage against the rest of the fit."""
    X, y, *_ = clusters(N)
    given = NystroemRidge(
        ALPHA, gamma=0.5, n_components=1000, centers="uniform", random_state=0
    )
    rest = median_seconds(lambda: given.fit(X, y), rounds=3)
    drawn = NystroemRidge(ALPHA, gamma=0.5, n_components=1000, random_state=0)
    own = timed(lambda: drawn.fit(X, y))
    record(
        "selection / rest of the fit, n=1e5, m=1000",
        own / rest - 1.0,
        1.0,
        at_most=True,
        detail=f"{own:.2f} s in all, {rest:.2f} s with uniform centres",
    )


@pytest.mark.parametrize("m", [500, 1000])
def bench_two_threads(timed, m):
    """One thread against two, beside what a matrix product gains."""
    X, y, *_ = spread(N)
    options = {"gamma": 0.05, "n_components": m, "centers": "uniform"}
    one = median_seconds(
        lambda: NystroemRidge(ALPHA, random_state=0, **options).fit(X, y), rounds=3
    )
    two = timed(
        lambda: NystroemRidge(ALPHA, random_state=0, n_jobs=2, **options).fit(X, y)
    )
    A = np.random.default_rng(0).normal(size=(1500, 1500))
    B = A.copy()
    single = median_seconds(lambda: A @ B)
    with threadpool_limits(2, "blas"):
        double = median_seconds(lambda: A @ B)
    record(
        f"1 thread / 2 threads, n=1e5, m={m}",
        one / two,
        1.5,
        at_most=False,
        detail=f"{one:.2f} s against {two:.2f} s; matrix product {single / double:.2f}",
    )
