"""Workers and schedulers that are lost while they compute, on this machine alone.

``KERNELKIT_CAMPAIGN=full python -m pytest tests/distributed`` makes many runs of each
kind; without the variable there are few. Both end with a line per kind of loss.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import repeat
from operator import add
from pathlib import Path
from threading import Timer

import dask
import kills
import numpy as np
import pytest
from chunked import PROBLEMS, generated
from dask.distributed import Client
from distributed.scheduler import KilledWorker
from kills import HANG, IS_FULL, Tally, killing, pausing, pids, within

from kernelkit.distributed import chunks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and SIGSTOP"),
]


def reduce(X, step, function, *arguments):
    """Add up a function of the chunks: what all fits do."""
    return chunks.rows_of(X).reduce(step, function, *arguments, add=add)


def gram(X):
    return [reduce(X, "gram", kills.gram, 0.0)]


JOBS = (
    {"sum": gram, **PROBLEMS} if IS_FULL else {"sum": gram, "ridge": PROBLEMS["ridge"]}
)


def undisturbed(job, *arguments):
    """Run a job in this process."""
    with dask.config.set(scheduler="synchronous"):
        return job(*arguments)


@pytest.fixture(scope="module")
def patient():
    """A cluster that blames no task for the deaths of workers."""
    with kills.fragile_cluster(1000) as cluster, Client(cluster):
        within(HANG, gram, generated(2, 10, 2))  # a worker's first task takes long
        yield cluster


@pytest.fixture(scope="module")
def strict():
    """A cluster that gives a task up as Dask does, with workers of little memory."""
    with kills.fragile_cluster(3, memory_limit="600MiB") as cluster, Client(cluster):
        yield cluster


@pytest.mark.parametrize("name", JOBS)
def test_killed_workers_change_no_bit(patient, report, name):
    """Seen red with sums added as they come in."""
    n_kills, n_chunks = (8, 44) if IS_FULL else (3, 24)
    job = JOBS[name]
    expected = undisturbed(job, generated(n_chunks, 30))
    tally = Tally(f"S2 {name}, a kill every 1.2 s")

    X = generated(n_chunks, 30, seconds=0.4)
    with killing(patient, repeat(1.2, n_kills), np.random.default_rng(0)) as killed:
        while len(killed) < n_kills and not tally.hangs:
            tally.run(expected, job, X, seconds=2 * HANG)

    tally.kills = len(killed)
    report(tally)


def test_nothing_is_lost_or_doubled(patient, report):
    """Seen red with a chunk left out of a sum when its worker had died."""
    rng = np.random.default_rng(0)
    names = list(JOBS)
    tally = Tally("S5, kills at random times")
    expected = {name: undisturbed(job, generated(12, 50)) for name, job in JOBS.items()}

    for k in range(100 if IS_FULL else 4):
        name = names[k % len(names)]
        X = generated(12, 50, seconds=0.1)
        pauses = rng.uniform(0.0, 1.0, size=2)
        with killing(patient, pauses, rng) as killed:
            tally.run(expected[name], JOBS[name], X)
        tally.kills += len(killed)
        if tally.hangs:
            break

    report(tally)
    assert tally.kills >= tally.runs


def test_step_whose_workers_always_die_is_named(strict):
    """Seen red with steps that have no name."""
    X = generated(1, 10, 2)
    rng = np.random.default_rng(0)

    with (
        killing(strict, repeat(1.0), rng, step="slow-gram") as killed,
        pytest.raises(KilledWorker, match=r"'slow-gram-.* on 4 different workers"),
    ):
        within(HANG, reduce, X, "slow-gram", kills.gram, 100.0)

    assert len(killed) == 4
    assert_usable(X)


def test_step_that_takes_too_much_memory_is_named(strict):
    """Seen red with steps that have no name."""
    X = generated(1, 10, 2)

    with pytest.raises(KilledWorker, match=r"'large-gram-.* on 4 different workers"):
        within(HANG, reduce, X, "large-gram", kills.gram_in_much_memory, 2**32)

    assert_usable(X)


def assert_usable(X):
    """Compute something on the cluster that has just failed."""
    (got,), (expected,) = within(HANG, gram, X), undisturbed(gram, X)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", JOBS)
def test_paused_worker_delays_only(strict, report, name):
    seconds = 20.0 if IS_FULL else 4.0
    expected = undisturbed(JOBS[name], generated(8, 50))
    tally = Tally(f"S4 {name}, a worker paused for {seconds:g} s")

    with pausing(pids(strict)[0], seconds):
        tally.run(expected, JOBS[name], generated(8, 50, seconds=0.2))

    report(tally)


@contextmanager
def processes(folder):
    """Start a scheduler and a worker in processes of their own."""
    contact = folder / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", contact]
    paths = [str(Path(kills.__file__).parent), *sys.path]

    def start(module, *options):
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *common, *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stderr=subprocess.DEVNULL,
        )

    scheduler = start("dask_scheduler", "--port", "0")
    worker = start("dask_worker", "--nthreads", "1", "--no-nanny")
    try:
        yield contact, scheduler
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


def test_lost_scheduler_is_an_error(tmp_path):
    """Seen red with the error of Dask, which tells no more than a task's name."""
    X = generated(4, 10, 2)
    lost = "If its scheduler or the connection to it is lost, start another Client"

    with (
        processes(tmp_path) as (contact, scheduler),
        Client(scheduler_file=str(contact), timeout=10),
    ):
        assert_usable(X)
        Timer(1.0, scheduler.kill).start()
        with pytest.raises(RuntimeError, match=lost):
            within(HANG, reduce, X, "slow-gram", kills.gram, 100.0)
        with pytest.raises(RuntimeError, match=lost):
            within(HANG, gram, X)
