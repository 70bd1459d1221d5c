"""Tasks on threads, and BLAS on one."""

import gc
import multiprocessing
import threading
import time
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from kernelkit._parallel import fold, one_blas_thread

N_THREADS = [1, 2, 3]
each_n_jobs = pytest.mark.parametrize("n_jobs", N_THREADS)


@pytest.fixture(autouse=True)
def _several_threads(monkeypatch):
    """Have several threads on a machine with one core, too."""
    monkeypatch.setattr("kernelkit._parallel.config.NUMBA_NUM_THREADS", 4)
    with threadpool_limits(3, user_api="blas"):
        yield


class TestFold:
    @each_n_jobs
    def test_results_come_in_the_order_of_the_tasks(self, n_jobs):
        """The first tasks end last. Seen red with results added as tasks end."""
        results = []

        def wait(i):
            time.sleep(0.02 / (1 + i))
            return i

        fold(n_jobs, ((wait, (i,)) for i in range(12)), results.append)

        assert results == list(range(12))

    @each_n_jobs
    def test_few_results_are_alive(self, n_jobs):
        """Seen red with all tasks submitted at once."""
        alive, most = weakref.WeakSet(), []

        class Result:
            def __init__(self):
                alive.add(self)

        def add(_):
            time.sleep(0.005)  # others could go on
            most.append(len(alive))

        fold(n_jobs, ((Result, ()) for _ in range(20)), add)

        assert len(most) == 20
        assert max(most) <= n_jobs + 1
        gc.collect()
        assert not alive

    @each_n_jobs
    def test_tasks_are_read_as_they_are_needed(self, n_jobs):
        """Seen red with a list made of them."""
        read, ahead = [], []

        def tasks():
            for i in range(20):
                read.append(i)
                yield int, (i,)

        fold(n_jobs, tasks(), lambda i: ahead.append(len(read) - i))

        assert max(ahead) <= n_jobs + 2

    @each_n_jobs
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_error_stops_the_rest(self, n_jobs, error):
        """On Ctrl-C, too, and no thread goes on."""
        started = []

        def task(i):
            started.append(i)
            time.sleep(0.005)
            return i

        def add(i):
            if i == 3:
                raise error("stop")

        with pytest.raises(error, match="stop"):
            fold(n_jobs, ((task, (i,)) for i in range(50)), add)

        n_started = len(started)
        time.sleep(0.05)
        assert len(started) == n_started < 12

    @each_n_jobs
    def test_error_of_a_task_is_raised(self, n_jobs):
        added = []

        with pytest.raises(ZeroDivisionError):
            fold(n_jobs, [(divmod, (1, i)) for i in (1, 0, 2)], added.append)

        assert added == [(1, 0)]

    @each_n_jobs
    def test_no_tasks(self, n_jobs):
        fold(n_jobs, [], pytest.fail)

    def test_tasks_meet(self):
        """Seen red with a plain loop."""
        meeting = threading.Barrier(3)

        fold(3, [(meeting.wait, (60,))] * 3, int)


class TestOneBlasThread:
    def test_inside_and_outside(self):
        """Seen red with a limit of two threads, and without its end."""
        with one_blas_thread:
            assert blas_threads() == {1}

        assert blas_threads() == {3}

    def test_nested(self):
        """Seen red with a limit that the inner exit ends."""
        with one_blas_thread:
            with one_blas_thread:
                pass
            assert blas_threads() == {1}

        assert blas_threads() == {3}

    def test_error_inside(self):
        with pytest.raises(ZeroDivisionError), one_blas_thread:
            divmod(1, 0)

        assert blas_threads() == {3}

    def test_limit_of_the_moment_is_restored(self):
        """Seen red with the threads that BLAS had when it was first limited."""
        with one_blas_thread:
            pass

        with threadpool_limits(2, user_api="blas"):
            with one_blas_thread:
                pass
            assert blas_threads() == {2}

    def test_many_threads_overlap(self):
        """Seen red without counting, where whoever leaves first ends the limit."""
        rng = np.random.default_rng(0)
        naps = rng.uniform(0.0, 2e-3, size=(8, 40))
        seen = []

        def work(own_naps):
            for nap in own_naps:
                with one_blas_thread:
                    time.sleep(nap)
                    seen.append(blas_threads())
                time.sleep(nap)

        crowd = [threading.Thread(target=work, args=(row,)) for row in naps]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join(timeout=60)

        assert not any(thread.is_alive() for thread in crowd)
        assert len(seen) == naps.size
        assert seen == [{1}] * naps.size
        assert blas_threads() == {3}

    def test_costs_little(self):
        """Seen red with a controller built at each entry, which takes milliseconds."""
        with one_blas_thread:
            pass

        start = time.perf_counter()
        for _ in range(20):
            with one_blas_thread:
                pass

        assert time.perf_counter() - start < 20 * 2e-3


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Using fork:RuntimeWarning")  # from polars
class TestFork:
    def test_while_other_threads_are_inside(self):
        """Seen red without a hook: the child waits for them, or keeps one thread."""
        inside, leave = threading.Event(), threading.Event()

        def work():
            with one_blas_thread:
                inside.set()
                leave.wait(60)

        thread = threading.Thread(target=work)
        thread.start()
        inside.wait(60)
        got = in_fork(lambda: [blas_threads(), *enter_and_leave()])
        leave.set()
        thread.join()

        assert got == [{3}, {1}, {3}]
        assert blas_threads() == {3}

    def test_from_inside(self):
        """The child leaves, too. Seen red with a hook that counts from 0."""

        def leave():
            one_blas_thread.__exit__(None, None, None)
            return blas_threads()

        with one_blas_thread:
            got = in_fork(lambda: [blas_threads(), *enter_and_leave(), leave()])

        assert got == [{1}, {1}, {1}, {3}]
        assert blas_threads() == {3}

    def test_while_threads_come_and_go(self):
        """Seen red with a fork that does not wait for the lock."""
        stop = threading.Event()

        def work():
            while not stop.is_set():
                with one_blas_thread:
                    pass

        crowd = [threading.Thread(target=work) for _ in range(4)]
        for thread in crowd:
            thread.start()
        try:
            for _ in range(8):
                assert in_fork(enter_and_leave) == [{1}, {3}]
        finally:
            stop.set()
            for thread in crowd:
                thread.join(timeout=60)

        assert blas_threads() == {3}


def enter_and_leave():
    with one_blas_thread:
        inside = blas_threads()
    return [inside, blas_threads()]


def blas_threads():
    return {
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }


def in_fork(function):
    """Call a function in a forked child."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(function()))
    child.start()
    arrived = receiver.poll(10)
    result = receiver.recv() if arrived else "nothing within 10 s"
    if not arrived:
        child.kill()
    child.join()
    return result
