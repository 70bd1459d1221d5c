"""What a billion rows would cost on 10, 100 and 1000 workers, from runs on two.

``python -m pytest benchmarks/bench_plan.py -c benchmarks/pytest.ini`` runs each
estimator at three sizes in as many chunks, and the largest in more of them. It fits

    seconds = fixed + rows * (seconds per row) + chunks * (seconds per chunk)

to the processor times of the workers, to those of the client with the scheduler, and to
what is left of the time if all cores were used, which are waits between rounds; the
last two without rows, save where the client gets a number for each. A Markdown table
tells what follows. There, the work of the workers but for what is fixed is divided by
their number, the rest is not, and bytes move as each class says that they do. The
memory of a worker grows by the rows of a chunk as its highest does, or by two copies of
them if that is more. Workers draw the rows, as a part of their work.
"""

import resource
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array
import numpy as np
from dask.distributed import Client, LocalCluster
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures

import kernelkit
from kernelkit import distributed

ROWS, PLANNED_CHUNK = 1e9, 1e6
WORKERS = (10, 100, 1000)
RATE = 1e9  # bytes per second between two machines, assumed
CHUNKS, MORE_CHUNKS = 16, 64
N_QUERIES = 100_000
QUERIES = np.random.default_rng(1).standard_normal((N_QUERIES, 3))
SUMS = 8 / 7  # of a tree that adds eight at a time: what moves over what comes in


@dataclass(frozen=True)
class Job:
    """What is timed, and what it moves and holds.

    Attributes
    ----------
    name : str
    d : int
        Number of features.
    n : int
        Rows of the largest run.
    run : callable
        ``(X, y) -> None``.
    up : float
        Bytes that each chunk sends to be added up, in all rounds.
    down : float
        Bytes that each worker gets, in all rounds.
    to_client : float, default=0.0
        Bytes that the client gets per row.
    held : float, default=0.0
        Bytes that the workers hold per row.
    client_memory : float, default=0.0
        Bytes that the client holds per row.
    """

    name: str
    d: int
    n: int
    run: Callable[[Any, Any], None]
    up: float
    down: float
    to_client: float = 0.0
    held: float = 0.0
    client_memory: float = 0.0


def classes(y):
    """Make two classes of targets."""
    return (y > 0.0).astype(int)


M, TERMS, ITERATIONS = 200, 35, 10
RIDGE = kernelkit.NystroemRidge(n_components=M, centers="uniform", random_state=0)
RIDGE.fit(np.random.default_rng(2).standard_normal((1_000, 10)), np.arange(1_000.0))
NETWORK = {"precision": "diag", "max_iter": ITERATIONS, "random_state": 0}
ROUNDS = 2.5 * ITERATIONS
JOBS = (
    Job(
        f"`MultivariateECDF.cdf`, d = 3, at {N_QUERIES:,} queries",
        3,
        2_000_000,
        lambda X, y: distributed.MultivariateECDF().fit(X).cdf(QUERIES),
        up=8 * N_QUERIES,
        down=24 * N_QUERIES,
    ),
    Job(
        f"`ProductKernelDensity.score_samples`, d = 2, at {N_QUERIES:,} queries",
        2,
        2_000_000,
        lambda X, y: (
            distributed.ProductKernelDensity().fit(X).score_samples(QUERIES[:, :2])
        ),
        up=8 * N_QUERIES,
        down=16 * N_QUERIES,
    ),
    Job(
        f"`ProductKernelRegressor.predict`, d = 2, at {N_QUERIES:,} queries",
        2,
        1_000_000,
        lambda X, y: (
            distributed.ProductKernelRegressor(bandwidth=0.3)
            .fit(X, y)
            .predict(QUERIES[:, :2])
        ),
        up=16 * N_QUERIES,
        down=16 * N_QUERIES,
    ),
    Job(
        f"`NystroemRidge.fit`, d = 10, {M} centres",
        10,
        400_000,
        lambda X, y: distributed.NystroemRidge(n_components=M, random_state=0).fit(
            X, y
        ),
        up=12 * M**2 + 8 * 10 * M,
        down=8 * M * (10 + M),
    ),
    Job(
        f"`DesignLeastSquares.fit`, d = 4, {TERMS} polynomials",
        4,
        800_000,
        lambda X, y: distributed.DesignLeastSquares(
            PolynomialFeatures(3), random_state=0
        ).fit(X, y),
        up=16 * TERMS**2,
        down=8 * TERMS**2,
        to_client=8,
        client_memory=70,
    ),
    Job(
        f"`GaussianRBFRegressor.fit`, d = 10, 50 centres, {ITERATIONS} iterations",
        10,
        200_000,
        lambda X, y: distributed.GaussianRBFRegressor(50, **NETWORK).fit(X, y),
        up=ROUNDS * 8 * 50 * (50 + 10),
        down=ROUNDS * 8 * 50 * 10,
        held=2 * 8 * 12,
    ),
    Job(
        f"`GaussianRBFClassifier.fit`, d = 10, 50 centres, {ITERATIONS} iterations",
        10,
        160_000,
        lambda X, y: distributed.GaussianRBFClassifier(50, **NETWORK).fit(
            X, classes(y)
        ),
        up=250 * 8 * 50 * 10,
        down=250 * 8 * 50 * 10,
        held=2 * 8 * 12,
    ),
    Job(
        f"`predict` by `NystroemRidge`, d = 10, {M} centres",
        10,
        1_600_000,
        lambda X, y: distributed.predict(RIDGE, X).sum().compute(),
        up=8,
        down=8 * M * 11,
    ),
)


@dataclass(frozen=True)
class Run:
    """Seconds of a run on two workers, and the highest memory of one so far."""

    n: int
    n_chunks: int
    wall: float
    work: float
    client: float
    peak: float


def measure(client, job, n, n_chunks):
    """Run a job."""
    chunk = -(-n // n_chunks)
    rng = dask.array.random.default_rng(0)
    X = rng.standard_normal((n, job.d), chunks=(chunk, -1))
    y = dask.array.sin(X[:, 0]) + 0.1 * rng.standard_normal(n, chunks=chunk)
    work = sum(client.run(time.process_time).values())
    here, start = time.process_time(), time.perf_counter()
    job.run(X, y)
    wall, here = time.perf_counter() - start, time.process_time() - here
    work = sum(client.run(time.process_time).values()) - work
    peak = 1024 * max(client.run(_peak_kib).values())
    return Run(n, n_chunks, wall, work, here, peak)


def _peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fit(runs, seconds, by_row=True):
    """Find seconds that are fixed, per row and per chunk, and not negative."""
    terms = np.array([(1.0, run.n * by_row, run.n_chunks) for run in runs])
    walls = np.array([run.wall for run in runs])
    size = np.maximum(terms.max(axis=0), 1.0)
    found, _ = nnls(terms / size / walls[:, None], np.maximum(seconds, 0.0) / walls)
    return found / size


def plan(job, runs):
    """Form the cells of a line of the table."""
    work = np.array([run.work for run in runs])
    client = np.array([run.client for run in runs])
    waits = np.array([run.wall for run in runs]) - client - work / 2
    work = fit(runs, work)
    serial = fit(runs, client, by_row=job.to_client > 0.0) + fit(runs, waits, False)
    serial[0] += work[0]

    def spent(n, n_chunks, n_workers):
        terms = np.array([1.0, n, n_chunks])
        return serial @ terms + work[1:] @ terms[1:] / n_workers

    off = max(abs(spent(run.n, run.n_chunks, 2) / run.wall - 1.0) for run in runs)
    n_chunks = ROWS / PLANNED_CHUNK
    moved = n_chunks * job.up * SUMS
    small, large = runs[-2], runs[-1]
    growth = (large.peak - small.peak - job.held * (large.n - small.n) / 2) / (
        (large.n - small.n) / CHUNKS
    )
    fixed = large.peak - job.held * large.n / 2
    per_row = max(growth, 2 * 8 * job.d)
    chunk = fixed + per_row * (PLANNED_CHUNK - large.n / CHUNKS)
    cells = []
    for n_workers in WORKERS:
        transfer = (
            moved / n_workers + job.down * np.log2(n_workers) + job.to_client * ROWS
        ) / RATE
        seconds = spent(ROWS, n_chunks, n_workers) + transfer
        memory = (chunk + job.held * ROWS / n_workers) / 2**30
        cells.append(f"{seconds:,.0f} s, {memory:.1f} GiB")
    total = moved + job.to_client * ROWS + job.down * WORKERS[-1]
    return [
        job.name,
        f"{1e6 * (work[1] + work[2] / PLANNED_CHUNK):.2g} s",
        f"{serial @ [1.0, ROWS, n_chunks]:,.0f} s",
        f"{total / 1e9:.2g} GB",
        f"{job.client_memory * ROWS / 1e9:.0f} GB" if job.client_memory else "-",
        *cells,
        f"{off:.0%}",
    ]


def bench_plan(capsys):
    """Fit the model to runs on two workers of this machine, and use it."""
    lines = [
        ["", "work per million rows", "not divided", "moved", "client holds"]
        + [f"{n_workers:,} workers" for n_workers in WORKERS]
        + ["model is off by"]
    ]
    lines.append(["---"] * len(lines[0]))
    for job in JOBS:
        with (
            warnings.catch_warnings(),
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            Client(cluster) as client,
        ):
            warnings.simplefilter("ignore", ConvergenceWarning)
            measure(client, job, job.n // 16, 4)  # workers import and compile
            # The highest memory so far is that of a run if chunks grow.
            sizes = [(job.n, MORE_CHUNKS), *((job.n // k, CHUNKS) for k in (4, 2, 1))]
            runs = [measure(client, job, *size) for size in sizes]
        lines.append(plan(job, runs))
    matrix = 8 * ROWS**2
    lines.append(
        [f"`NTKSVC.fit`: the client would hold {matrix:.0g} bytes"]
        + ["-"] * (len(lines[0]) - 1)
    )
    with capsys.disabled():
        print()
        for line in lines:
            print(f"| {' | '.join(line)} |")
