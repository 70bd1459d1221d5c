"""Independent tasks on threads, and linear algebra that starts none."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import joblib
import scipy.linalg  # noqa: F401  its BLAS must be loaded when limits are looked up
from numba import config
from threadpoolctl import ThreadpoolController

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
    n_threads = _count(n_jobs)
    if n_threads < 2:
        yield in_order
        return
    with _pool(n_threads) as pool:

        def run(tasks: Iterable[Task]) -> list[Any]:
            tasks = list(tasks)
            if len(tasks) < 2:
                return in_order(tasks)
            futures = [pool.submit(function, *args) for function, args in tasks]
            return [future.result() for future in futures]

        yield run


def fold(
    n_jobs: int | None, tasks: Iterable[Task], add: Callable[[Any], object]
) -> None:
    """Run tasks on `n_jobs` threads and call `add` with each result.

    Results are added by the calling thread in the order of the tasks, and at most one
    more than there are threads is alive, so large ones may be summed. Tasks may come
    from a generator, which is read as far as threads are free.
    """
    n_threads = _count(n_jobs)
    if n_threads < 2:
        for function, arguments in tasks:
            add(function(*arguments))
        return
    with _pool(n_threads) as pool:
        waiting: deque[Future[Any]] = deque()
        for function, arguments in tasks:
            if len(waiting) > n_threads:
                add(waiting.popleft().result())
            waiting.append(pool.submit(function, *arguments))
        while waiting:
            add(waiting.popleft().result())


def no_threads() -> AbstractContextManager[Any]:
    """Make any `n_jobs` mean 1 in the calling thread, also for other libraries."""
    context: AbstractContextManager[Any] = joblib.parallel_config("sequential")
    return context


def _count(n_jobs: int | None) -> int:
    limit = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    return min(joblib.effective_n_jobs(n_jobs), limit)


@contextmanager
def _pool(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            yield pool
        except BaseException:  # Ctrl-C too: do not start what still waits
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _OneBlasThread:
    """Limit BLAS to one thread while any Python thread is inside.

    The limit belongs to the process, so the first thread to come in sets it and the
    last one to leave restores what was before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._own = threading.local()  # .depth: how often this thread is inside
        self._libraries: list[Any] | None = None  # costly to find
        self._before: list[int] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._lock.acquire,
                after_in_parent=self._lock.release,
                after_in_child=self._forget_other_threads,
            )

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limit()
            self._inside += 1
            self._own.depth = getattr(self._own, "depth", 0) + 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._own.depth -= 1
            self._inside -= 1
            if not self._inside:
                self._set(self._before)

    def _limit(self) -> None:
        if self._libraries is None:
            blas = ThreadpoolController().select(user_api="blas")
            self._libraries = blas.lib_controllers
        self._before = [library.get_num_threads() for library in self._libraries]
        self._set([1] * len(self._libraries))

    def _set(self, numbers: list[int]) -> None:
        for library, number in zip(self._libraries or [], numbers, strict=True):
            # Since threadpoolctl 3.8 the public method does nothing in all threads but
            # one, be that inside or not.
            name = "_real_set_num_threads"
            getattr(library, name, library.set_num_threads)(number)

    def _forget_other_threads(self) -> None:
        """Count anew in a forked child, which has only the thread that forked."""
        had_threads_inside = self._inside > 0
        self._inside = getattr(self._own, "depth", 0)
        if had_threads_inside and not self._inside:
            self._set(self._before)
        self._lock.release()


one_blas_thread = _OneBlasThread()
