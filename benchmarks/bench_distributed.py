"""Rows per second on one and on two workers of this machine, and pairs of chunks.

``python -m pytest benchmarks/bench_distributed.py -c benchmarks/pytest.ini`` prints how
many times faster two workers are, with the rates at each size, and how the cost of
comparing all chunks with each other grows.
"""

import time
import warnings
from contextlib import ExitStack

import dask
import dask.array
import numpy as np
import pytest
from conftest import record
from dask.distributed import Client, LocalCluster
from sklearn.exceptions import ConvergenceWarning

from kernelkit import (
    DesignLeastSquares,
    GaussianRBFRegressor,
    LegendreBasis,
    MultivariateECDF,
    NystroemRidge,
    ProductKernelDensity,
    distributed,
)
from kernelkit.distributed import cells, ecdf

FEATURES = 10
WORKERS = (1, 2)


@pytest.fixture(scope="module")
def clusters():
    """Start workers with a thread each, by their number."""
    with ExitStack() as stack:
        yield {
            number: stack.enter_context(
                LocalCluster(
                    n_workers=number,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                )
            )
            for number in WORKERS
        }


def rows(n, chunk):
    """Plan rows that workers draw."""
    rng = dask.array.random.default_rng(0)
    return rng.standard_normal((n, FEATURES), chunks=(chunk, -1))


def record_rates(clusters, name, job, sizes, target):
    """Time a job, which takes a number of rows, and compare one worker with two.

    The jobs of the smallest size run once before: they load and compile.
    """
    rates = {}
    for number, cluster in clusters.items():
        with Client(cluster):
            job(sizes[0])
            for n in sizes:
                start = time.perf_counter()
                job(n)
                rates[number, n] = n / (time.perf_counter() - start)
    text = ", ".join(
        f"{n}: {rates[1, n]:,.0f} and {rates[2, n]:,.0f} rows/s" for n in sizes
    )
    gain = rates[2, sizes[-1]] / rates[1, sizes[-1]]
    record(f"{name}, 2 workers against 1", gain, target, at_most=False, detail=text)
    return rates


def bench_predict(clusters):
    """Sum 500 kernels at each row."""
    X = np.random.default_rng(1).standard_normal((2_000, FEATURES))
    model = NystroemRidge(n_components=500, centers="uniform", random_state=0)
    model.fit(X, X[:, 0])

    def job(n):
        distributed.predict(model, rows(n, 20_000)).sum().compute()

    record_rates(clusters, "predict", job, (100_000, 400_000, 1_600_000), 1.6)


def bench_ntk(clusters):
    """Fill the kernel matrix of a deep network on workers, and solve on the client."""

    def job(n):
        X = rows(n, 500)
        y = (X[:, 0] * X[:, 1] > 0.0).astype(int)
        distributed.NTKSVC(depth=5, C=0.01).fit(X, y)

    record_rates(clusters, "NTKSVC.fit", job, (1_000, 2_000, 4_000), 1.3)


def bench_ntk_predict(clusters):
    """Compare rows with the support vectors of a deep machine."""
    X = np.random.default_rng(1).standard_normal((1_000, FEATURES))
    model = distributed.NTKSVC(depth=5).fit(X, X[:, 0] * X[:, 1] > 0.0)

    def job(n):
        model.decision_function(rows(n, 2_000)).sum().compute()

    record_rates(clusters, "NTKSVC values", job, (10_000, 20_000, 40_000), 1.6)


def bench_ridge(clusters):
    """Choose 500 centres by leverage scores, sum over the rows and solve."""

    def job(n):
        X = rows(n, 25_000)
        y = dask.array.sin(X[:, 0]) + X[:, 1]
        distributed.NystroemRidge(n_components=500, random_state=0).fit(X, y)

    record_rates(clusters, "NystroemRidge.fit", job, (100_000, 200_000, 400_000), 1.3)


def bench_ridge_predict(clusters):
    """Sum 500 kernels at each row, by the class that was fitted on Dask."""
    X = rows(20_000, 5_000)
    model = distributed.NystroemRidge(n_components=500, random_state=0)
    model.fit(X, X[:, 0])

    def job(n):
        model.predict(rows(n, 25_000)).sum().compute()

    record_rates(
        clusters, "NystroemRidge.predict", job, (100_000, 200_000, 400_000), 1.6
    )


def bench_rbf(clusters):
    """Take ten iterations of a search with 100 centres; one machine does the same."""
    sizes = 100_000, 200_000, 400_000
    search = {"precision": "diag", "max_iter": 10, "tol": 0.0, "random_state": 0}

    def job(n):
        X = rows(n, 25_000)
        y = dask.array.sin(X[:, 0]) + X[:, 1]
        distributed.GaussianRBFRegressor(**search).fit(X, y)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rates = record_rates(clusters, "GaussianRBFRegressor.fit", job, sizes, 1.3)
        for n in sizes:
            X = rows(n, 25_000).compute()
            y = np.sin(X[:, 0]) + X[:, 1]
            plain = GaussianRBFRegressor(solver="lbfgs", **search)
            start = time.perf_counter()
            plain.fit(X, y)
            alone = n / (time.perf_counter() - start)
            name = f"GaussianRBFRegressor.fit of {n} rows, 2 workers against none"
            text = f"{alone:,.0f} rows/s without Dask"
            record(name, rates[2, n] / alone, 1.0, at_most=False, detail=text)


def bench_design(clusters):
    """Choose rows for 66 functions and fit their targets; one machine does the same."""
    sizes = 100_000, 200_000, 400_000

    def job(n):
        X = rows(n, 25_000)
        y = dask.array.sin(X[:, 0]) + X[:, 1]
        distributed.DesignLeastSquares(LegendreBasis(2), random_state=0).fit(X, y)

    rates = record_rates(clusters, "DesignLeastSquares.fit", job, sizes, 1.3)
    for n in sizes:
        X = rows(n, 25_000).compute()
        y = np.sin(X[:, 0]) + X[:, 1]
        start = time.perf_counter()
        DesignLeastSquares(LegendreBasis(2), random_state=0).fit(X, y)
        alone = n / (time.perf_counter() - start)
        name = f"DesignLeastSquares.fit of {n} rows, 2 workers against none"
        text = f"{alone:,.0f} rows/s without Dask"
        record(name, rates[2, n] / alone, 1.0, at_most=False, detail=text)


@pytest.mark.parametrize("d", [2, 3])
def bench_pairs(d):
    """Rank rows among themselves, whose chunks are in no order, with and without cells.

    In this process, so that seconds are those of the work and of Dask.
    """
    sizes, n = (8, 16, 32, 64), 400_000
    seconds = {"chunks": [], "cells": []}
    X = np.random.default_rng(0).standard_normal((n, d))
    expected = n * MultivariateECDF().fit(X).cdf()
    count = ecdf._Count(np.zeros(d, dtype=bool), "auto", weighted=False)
    for n_chunks in sizes:
        text = []
        with dask.config.set(scheduler="synchronous"):
            for way in seconds:
                chunks = dask.array.from_array(X, chunks=(n // n_chunks, -1))
                survey = distributed.MultivariateECDF().fit(chunks)._survey
                start = time.perf_counter()
                if way == "cells":
                    plan = count.through_cells(survey, survey)
                else:
                    plan = count.as_they_are(survey.parts, survey.parts)
                counts = np.concatenate(dask.compute(*plan, traverse=False))
                seconds[way].append(time.perf_counter() - start)
                assert (np.round(counts) == np.round(expected)).all()
                boxes = survey.parts.boxes
                if way == "cells":
                    boxes = cells.regroup(survey, cells.cut(survey)).parts.boxes
                pairs = ecdf.Pairs.of(boxes, boxes, count.upper).counts
                text.append(f"{way}: {seconds[way][-1]:.2f} s, pairs {pairs}")
        name = f"cells / chunks, ECDF of {n} rows, d={d}, {n_chunks} chunks"
        ratio = seconds["cells"][-1] / seconds["chunks"][-1]
        record(name, ratio, 1.0, at_most=True, detail="; ".join(text))
    for way, at_most in (("chunks", 1.1), ("cells", 0.9)):
        slope = np.polyfit(np.log(sizes), np.log(seconds[way]), 1)[0]
        name = f"growth with the number of {way}, d={d}: to the power"
        record(name, slope, at_most, at_most=True)


def bench_density_pairs(monkeypatch):
    """Compare rows among themselves by a Laplacian kernel, in chunks of three kinds.

    These are in no order, sorted by the first feature, or regrouped into cells. In this
    process, so that seconds are those of the work and of Dask.
    """
    sizes, n = (8, 16, 32, 64), 400_000
    ways = {"chunks": False, "sorted chunks": False, "cells": True}
    seconds = {way: [] for way in ways}
    X = np.random.default_rng(0).standard_normal((n, 2))
    X = X[np.argsort(X[:, 0])]
    mixed = np.random.default_rng(1).permutation(n)
    expected = ProductKernelDensity(bandwidth=0.1).fit(X).score_samples()
    for n_chunks in sizes:
        text = []
        for way, through_cells in ways.items():
            order = np.arange(n) if way == "sorted chunks" else mixed
            chunks = dask.array.from_array(X[order], chunks=(n // n_chunks, -1))
            with dask.config.set(scheduler="synchronous"):
                model = distributed.ProductKernelDensity(bandwidth=0.1).fit(chunks)
                monkeypatch.setattr(cells, "pay", lambda *_, pay=through_cells: pay)
                start = time.perf_counter()
                logs = model.score_samples().compute()
                seconds[way].append(time.perf_counter() - start)
                meeting = model._meet(None, sums := model._density_sums(own=True))
            np.testing.assert_allclose(logs, expected[order], rtol=1e-12, atol=1e-12)
            boxes = meeting.data.boxes
            n_open = sums.pairs(boxes, boxes, own=True).n_open
            pairs = np.bincount(n_open.ravel(), minlength=3).tolist()
            text.append(f"{way}: {seconds[way][-1]:.2f} s, open features {pairs}")
        name = f"cells / chunks, density of {n} rows, d=2, {n_chunks} chunks"
        ratio = seconds["cells"][-1] / seconds["chunks"][-1]
        record(name, ratio, 1.0, at_most=True, detail="; ".join(text))
    for way, at_most in (("chunks", 1.1), ("sorted chunks", 1.1), ("cells", 0.9)):
        slope = np.polyfit(np.log(sizes), np.log(seconds[way]), 1)[0]
        name = f"density, growth with the number of {way}: to the power"
        record(name, slope, at_most, at_most=True)
