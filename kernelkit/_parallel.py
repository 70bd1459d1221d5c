"""Independent tasks on joblib threads."""

from collections.abc import Callable, Iterable
from typing import Any

import joblib

Task = tuple[Callable[..., Any], tuple[Any, ...]]


def run(tasks: Iterable[Task], *, n_jobs: int | None) -> list[Any]:
    """Call ``function(*arguments)`` for each task; results in the order of the tasks.

    The tasks must not depend on `n_jobs`: then neither do the results. Threads, not
    processes, whatever backend is configured: compiled loops release the GIL and share
    memory. Inside a worker of a process pool joblib's own limit gives one thread.
    """
    tasks = list(tasks)
    if len(tasks) < 2 or joblib.effective_n_jobs(n_jobs) == 1:
        return [function(*arguments) for function, arguments in tasks]
    pool = joblib.Parallel(n_jobs=n_jobs, require="sharedmem")
    return list(pool(joblib.delayed(function)(*args) for function, args in tasks))
