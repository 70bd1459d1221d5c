"""Threads and processes: the same bits whoever computes, and no crowd of threads."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import numba
import numpy as np
import pytest
from discovery import (
    ESTIMATORS,
    assert_same_bits,
    few_rows,
    labels,
    new,
    outputs,
    quick,
)
from threadpoolctl import threadpool_limits
from workers import fit_and_ask, fit_to_memmap, threads_used

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20_000, 3)).round(2)
Y = labels(X)
WEIGHTS = RNG.uniform(size=len(X))
QUERIES = RNG.normal(size=(10_000, 3)).round(2)


def problem(Estimator):
    """Take rows, weights and queries enough for several tasks."""
    rows = few_rows(Estimator, X)
    n = len(rows)
    return rows, WEIGHTS[:n], QUERIES[:n]


pytestmark = [
    pytest.mark.filterwarnings("ignore:The features have rank:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:The objective still fell:sklearn.exceptions.ConvergenceWarning"
    ),
]
each_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)


each_with_threads = pytest.mark.parametrize(
    "Estimator", [E for E in ESTIMATORS if "n_jobs" in new(E).get_params()]
)


@each_with_threads
@pytest.mark.parametrize("weighted", [False, True], ids=["counts", "weights"])
def test_number_of_threads_does_not_matter(Estimator, weighted):
    """Seen red with sums added in the order in which tasks end."""
    rows, weights, queries = problem(Estimator)
    weights = weights if weighted else None
    expected = fit_and_ask(quick(Estimator), rows, queries, weights)

    for n_jobs in (1, 2, 4, -1):
        got = fit_and_ask(quick(Estimator, n_jobs=n_jobs), rows, queries, weights)

        assert_same_bits(got, expected)


@each_with_threads
def test_no_thread_is_refused(Estimator):
    """Seen red with the words of joblib, which name no parameter."""
    name = Estimator.__name__

    with pytest.raises(ValueError, match=f"The 'n_jobs' parameter of {name} must be"):
        quick(Estimator, n_jobs=0).fit(X[:9], Y[:9])


@each_estimator
def test_threads_share_a_model(Estimator):
    """Seen red with a work array kept on the model."""
    rows = few_rows(Estimator, X[:500])
    model = new(Estimator).fit(rows, labels(rows))
    blocks = np.split(QUERIES, 200)
    expected = [outputs(model, block) for block in blocks]

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(outputs, [model] * 200, blocks))

    for one, other in zip(got, expected, strict=True):
        assert_same_bits(one, other)


@each_estimator
def test_threads_fit_at_once(Estimator):
    """Seen red with a work array kept by the module."""
    blocks = [few_rows(Estimator, block) for block in np.split(X, 40)]
    expected = [fit_and_ask(quick(Estimator), block, QUERIES[:100]) for block in blocks]

    with ThreadPoolExecutor(8) as pool:
        got = list(
            pool.map(
                lambda block: fit_and_ask(quick(Estimator), block, QUERIES[:100]),
                blocks,
            )
        )

    for one, other in zip(got, expected, strict=True):
        assert_same_bits(one, other)


@each_estimator
def test_threads_of_linear_algebra_change_no_bit(Estimator):
    """Seen red with ridge regression that left some products to all of them."""
    rows, _, queries = problem(Estimator)
    expected = fit_and_ask(quick(Estimator), rows, queries)

    with threadpool_limits(1, "blas"):
        got = fit_and_ask(quick(Estimator), rows, queries)

    assert_same_bits(got, expected)


@each_estimator
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # from Python 3.12
@pytest.mark.filterwarnings("ignore:Using fork:RuntimeWarning")  # from polars
def test_processes_agree(Estimator, method):
    """Seen red with a fitted attribute that does not pickle."""
    rows, _, queries = problem(Estimator)
    model = quick(Estimator).fit(rows, labels(rows))
    expected = outputs(model, queries)

    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        of_model = pool.submit(outputs, model, queries).result()
        of_fit = pool.submit(fit_and_ask, quick(Estimator), rows, queries).result()

    assert_same_bits(of_model, expected)
    assert_same_bits(of_fit, expected)


@each_estimator
def test_joblib_memmaps_large_input(Estimator):
    """Seen red with weights multiplied into the input."""
    large = np.sort(RNG.normal(size=(100, 150)), axis=0)  # 120 kB in few rows

    [got] = joblib.Parallel(n_jobs=2, max_nbytes="100K")(
        [joblib.delayed(fit_to_memmap)(quick(Estimator), large)]
    )

    assert_same_bits(got, fit_and_ask(quick(Estimator), large, large))


def test_tasks_run_on_threads():
    """Seen red with a plain loop over the tasks."""
    n_threads = numba.config.NUMBA_NUM_THREADS

    assert threads_used(n_threads, patience=60) == n_threads


def test_no_threading_layer_of_numba_is_started():
    """It would fix multiprocessing's start method. Seen red with `get_num_threads`."""
    code = (
        "import multiprocessing, threading; from kernelkit import MultivariateECDF; "
        "MultivariateECDF(n_jobs=2).fit([[0.0, 1.0], [1.0, 0.0]]).cdf(); "
        "print(multiprocessing.get_start_method(allow_none=True))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "None\n"


def test_workers_of_a_process_pool_share_the_cores():
    """Seen red with `n_jobs` threads in every worker."""
    wish = 2 * joblib.cpu_count()

    used = joblib.Parallel(n_jobs=2)([joblib.delayed(threads_used)(wish, 0.5)] * 2)

    assert sum(used) <= max(2, joblib.cpu_count())
