"""Independent tasks on threads."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import joblib
from numba import config

Task = tuple[Callable[..., Any], tuple[Any, ...]]
Run = Callable[[Iterable[Task]], list[Any]]


def in_order(tasks: Iterable[Task]) -> list[Any]:
    """Call ``function(*arguments)`` for each task, one after the other."""
    return [function(*arguments) for function, arguments in tasks]


@contextmanager
def threads(n_jobs: int | None) -> Iterator[Run]:
    """Yield a function that does what `in_order` does, on `n_jobs` threads.

    Tasks must not depend on `n_jobs`: then neither do the results, which come in the
    order of the tasks. joblib says how many threads `n_jobs` means; numba's limit,
    which joblib sets in the processes that it starts, keeps these from taking all cores
    each. The standard pool runs the tasks, as a call of `joblib.Parallel` costs some
    12 ms, more than many a task.
    """
    limit = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    n_threads = min(joblib.effective_n_jobs(n_jobs), limit)
    if n_threads < 2:
        yield in_order
        return
    with ThreadPoolExecutor(n_threads) as pool:

        def run(tasks: Iterable[Task]) -> list[Any]:
            tasks = list(tasks)
            if len(tasks) < 2:
                return in_order(tasks)
            futures = [pool.submit(function, *args) for function, args in tasks]
            return [future.result() for future in futures]

        try:
            yield run
        except BaseException:  # Ctrl-C too: do not start what still waits
            pool.shutdown(wait=False, cancel_futures=True)
            raise
