"""Independent tasks on threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
from numba import get_num_threads

Task = tuple[Callable[..., Any], tuple[Any, ...]]


def run(tasks: Iterable[Task], *, n_jobs: int | None) -> list[Any]:
    """Call ``function(*arguments)`` for each task; results in the order of the tasks.

    The tasks must not depend on `n_jobs`: then neither do the results. joblib says how
    many threads `n_jobs` means; numba's limit, which joblib sets in the processes that
    it starts, keeps these from taking all cores each. The standard pool runs them, as
    a call of `joblib.Parallel` costs some 12 ms, more than many a task.
    """
    tasks = list(tasks)
    n_threads = min(joblib.effective_n_jobs(n_jobs), get_num_threads(), len(tasks))
    if n_threads < 2:
        return [function(*arguments) for function, arguments in tasks]
    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(function, *arguments) for function, arguments in tasks]
        try:
            return [future.result() for future in futures]
        except BaseException:  # Ctrl-C too: do not start what still waits
            pool.shutdown(wait=False, cancel_futures=True)
            raise
