"""Workers that are killed or paused while they compute, which tests share.

It stands beside the tests' folders so that workers find it by its name.
"""

import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields

import dask
import numpy as np
from dask.distributed import LocalCluster
from distributed.utils import get_mp_context

IS_FULL = os.environ.get("KERNELKIT_CAMPAIGN") == "full"
HANG = 60.0  # seconds after which a call counts as one


class HangError(AssertionError):
    """A call did not come back in time."""


def within(seconds, function, *arguments):
    """Call a function in a thread; what does not return in time is a `HangError`."""
    ended = []

    def call():
        try:
            ended.append((function(*arguments), None))
        except BaseException as error:
            ended.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise HangError(f"no answer after {seconds:g} s")
    value, error = ended[0]
    if error is not None:
        raise error
    return value


@contextmanager
def local_cluster(n_workers, **options):
    """Start workers with a thread each, beside whatever runs on this machine.

    Where processes can fork, workers are forks of one that has imported what they need:
    to start another takes less than a second, also while the machine is busy.
    """
    method = "spawn" if sys.platform == "win32" else "forkserver"
    with dask.config.set({"distributed.worker.multiprocessing-method": method}):
        if method == "forkserver":
            get_mp_context()  # where Dask sets modules of its own
            multiprocessing.set_forkserver_preload(
                ["dask.dataframe", "kernelkit.distributed"]
            )
        with LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # a taken port is a warning
            **options,
        ) as cluster:
            yield cluster


@contextmanager
def fragile_cluster(allowed_failures, **options):
    """Start two workers that are meant to be killed.

    Dask blames a task for each death of a worker that it waits at or runs on, and gives
    it up after more than `allowed_failures`. A `LocalCluster` closes a worker for good
    that is away 15 s after an earlier death, also while it restarts: here it waits. A
    cluster without workers gives its tasks up before that counts as a `HangError`.
    """
    settings = {
        "distributed.scheduler.allowed-failures": allowed_failures,
        "distributed.scheduler.no-workers-timeout": "40 s",
        "distributed.deploy.lost-worker-timeout": "1 hour",  # read at each death
    }
    with dask.config.set(settings), local_cluster(2, **options) as cluster:
        yield cluster


def pids(cluster, step=""):
    """Ask the nannies of a `LocalCluster` for the workers that wait at or run a step.

    Without a step, for all that take tasks.
    """

    async def look():  # where nothing changes meanwhile
        states = cluster.scheduler.workers
        return [
            nanny.pid
            for nanny in cluster.workers.values()
            if nanny.is_alive()
            and nanny.worker_address in states
            and (
                not step
                or any(
                    step in str(t.key) for t in states[nanny.worker_address].processing
                )
            )
        ]

    return cluster.sync(look)


@contextmanager
def killing(cluster, pauses, rng, step=""):
    """Kill random workers while something runs.

    Parameters
    ----------
    cluster : LocalCluster
    pauses : iterable of float
        Seconds between the start, or a kill, and the next kill.
    rng : Generator
    step : str, default=""
        A kill waits until a worker is at this.

    Yields
    ------
    killed : list of int
        Process ids, which grows.
    """
    killed = []
    is_over = threading.Event()

    def kill():
        for seconds in pauses:
            if is_over.wait(seconds):
                return
            while not (alive := sorted({*pids(cluster, step)} - {*killed})):
                if is_over.wait(0.02):
                    return
            killed.append(int(rng.choice(alive)))
            os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        is_over.set()
        thread.join()


@contextmanager
def pausing(pid, seconds):
    """Stop a process, and let it go on after some seconds."""
    os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(seconds, os.kill, (pid, signal.SIGCONT))
    timer.start()
    try:
        yield
    finally:
        timer.join()


@dataclass
class Tally:
    """How runs ended whose results are known."""

    name: str
    runs: int = 0
    kills: int = 0
    lost: int = 0
    wrong: int = 0
    hangs: int = 0

    def run(self, expected, function, *arguments, seconds=HANG):
        """Compare the arrays that a call returns with those expected, bit by bit."""
        self.runs += 1
        try:
            answer = within(seconds, function, *arguments)
        except HangError:
            self.hangs += 1
        except RuntimeError as error:
            if "were lost, doubled or changed" not in str(error):
                raise
            self.lost += 1
        else:
            self.wrong += bits(answer) != bits(expected)

    def fail(self, error, words, function, *arguments):
        """See that a call raises an error whose message has words."""
        self.runs += 1
        try:
            within(HANG, function, *arguments)
        except HangError:
            self.hangs += 1
        except error as raised:
            self.wrong += re.search(words, str(raised)) is None
        else:
            self.wrong += 1

    def __add__(self, other):
        counts = [
            getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)[1:]
        ]
        return Tally(self.name, *counts)

    def __str__(self):
        return (
            f"{self.name}: {self.runs} runs, {self.kills} kills, {self.lost} lost, "
            f"{self.wrong} wrong, {self.hangs} hangs"
        )

    @property
    def is_clean(self):
        return self.runs > 0 and self.lost == self.wrong == self.hangs == 0


def bits(arrays):
    """Join the bytes of arrays."""
    return b"".join(part.tobytes() for part in arrays)


def random_rows(seed, k, n, d, seconds):
    """Draw the rows of a chunk, as slowly as if they were read from far away."""
    time.sleep(seconds)
    return np.random.default_rng([seed, k]).standard_normal((n, d))


def gram(rows, seconds):
    """Multiply the rows of a chunk, after some seconds."""
    time.sleep(seconds)
    return rows.X.T @ rows.X


def gram_in_much_memory(rows, size, seconds):
    """Multiply the rows of a chunk, after some seconds beside `size` bytes."""
    held = np.ones(size // 8)
    return gram(rows, seconds + 0.0 * held[0])
