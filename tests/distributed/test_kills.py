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
from time import sleep

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

WAITING = "sum", "ecdf", "ridge", "network"  # for pairs, trees, and rows that are held


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
    n_kills, n_chunks = (8, 44) if IS_FULL else (2, 16)
    job = JOBS[name]
    expected = undisturbed(job, generated(n_chunks, 30))
    tally = Tally("S2, a worker killed every 1.2 s")

    X = generated(n_chunks, 30, seconds=0.2)
    with killing(patient, repeat(1.2, n_kills), np.random.default_rng(0)) as killed:
        while len(killed) < n_kills and not tally.hangs:
            tally.run(expected, job, X, seconds=2 * HANG)

    tally.kills = len(killed)
    report(tally)


def test_nothing_is_lost_or_doubled(patient, report):
    """Seen red with a chunk left out of a sum when its worker had died."""
    rng = np.random.default_rng(0)
    names = list(JOBS)
    tally = Tally("S5, workers killed at random times")
    expected = {name: undisturbed(job, generated(12, 50)) for name, job in JOBS.items()}

    for k in range(100 if IS_FULL else 4):
        name = names[k % len(names)]
        X = generated(12, 50, seconds=0.1)
        pauses = rng.uniform(0.0, 0.6, size=2)
        with killing(patient, pauses, rng) as killed:
            tally.run(expected[name], JOBS[name], X)
        tally.kills += len(killed)
        if tally.hangs:
            break

    report(tally)
    assert tally.kills >= tally.runs


def test_step_whose_workers_always_die_is_named(strict, report):
    """Seen red with steps that have no name."""
    X = generated(1, 10, 2)
    rng = np.random.default_rng(0)
    tally = Tally("S3, a worker killed every 1 s without end")
    words = "'slow-gram-.* on 4 different workers"

    for _ in range(3 if IS_FULL else 1):
        with killing(strict, repeat(1.0), rng, step="slow-gram") as killed:
            tally.fail(KilledWorker, words, reduce, X, "slow-gram", kills.gram, 100.0)
        tally.kills += len(killed)
        tally.run(undisturbed(gram, X), gram, X)

    report(tally)
    assert tally.kills == 4 * tally.runs // 2  # every other run


def test_step_that_takes_too_much_memory_is_named(strict, report):
    """Seen red with steps that have no name."""
    X = generated(1, 10, 2)
    tally = Tally("S4, workers out of memory")
    words = "'large-gram-.* on 4 different workers"
    large = kills.gram_in_much_memory, 2**30, 100.0

    for _ in range(3 if IS_FULL else 1):
        tally.fail(KilledWorker, words, reduce, X, "large-gram", *large)
        tally.kills += 4  # by their nannies
        tally.run(undisturbed(gram, X), gram, X)

    report(tally)


@pytest.mark.parametrize("name", [name for name in WAITING if name in JOBS])
def test_paused_worker_delays_only(strict, report, name):
    seconds = 20.0 if IS_FULL else 2.0
    expected = undisturbed(JOBS[name], generated(8, 50))
    tally = Tally(f"S4, a worker paused for {seconds:g} s")

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
    modules = "--preload", "kernelkit.distributed"
    worker = start("dask_worker", "--nthreads", "1", "--no-nanny", *modules)
    try:
        yield contact, scheduler
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


def test_lost_scheduler_is_an_error(tmp_path, report):
    """Seen red with the error of Dask, which tells no more than a task's name."""
    X = generated(4, 10, 2)
    tally = Tally("S4, the scheduler killed")
    words = "If its scheduler or the connection to it is lost, start another Client"

    with processes(tmp_path) as (contact, scheduler):
        within(HANG, wait_for, contact)
        # A client tries to connect again for as long as at first.
        with Client(scheduler_file=str(contact), timeout=5) as client:
            client.wait_for_workers(1, timeout=2 * HANG)
            tally.run(undisturbed(gram, X), gram, X)
            Timer(1.0, scheduler.kill).start()
            tally.kills += 1
            slow = "slow-gram", kills.gram, 100.0
            tally.fail(RuntimeError, words, reduce, X, *slow)
            tally.fail(RuntimeError, words, gram, X)

    report(tally)


def wait_for(path):
    while not path.exists():
        sleep(0.05)
