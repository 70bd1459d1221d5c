"""The answers of each class are those of the plain one, on any number of workers."""

import dask
import pytest
from chunked import PROBLEMS, generated
from dask.distributed import Client
from kills import HANG, IS_FULL, Tally, local_cluster

SEEDS = range(20 if IS_FULL else 2)


@pytest.fixture(scope="module")
def larger():
    with local_cluster(4) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_promise_is_kept_by_any_number_of_workers(name, cluster, larger, report):
    """Seen red with sums added in the order of random keys."""
    problem = PROBLEMS[name]
    tally = Tally("S1, in this process, on 2 and on 4 workers")

    for seed in SEEDS:
        X = generated(7, 60, seed=seed)
        with dask.config.set(scheduler="synchronous"):
            expected = problem(X)
            problem.judge(expected, X.compute())
            tally.run(expected, problem, X, seconds=5 * HANG)
        for workers in (cluster, larger):
            with Client(workers):
                tally.run(expected, problem, X, seconds=5 * HANG)

    report(tally)
