"""Arrays cut into chunks, and problems for each class with what is promised."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle
import dask
import dask.array
import dask.dataframe
import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed
from kills import random_rows
from sklearn.exceptions import ConvergenceWarning

import kernelkit
from kernelkit import distributed

CUTS = {
    "one": lambda n: (n,),
    "three": lambda n: tuple(map(len, np.array_split(range(n), 3))),
    "seven": lambda n: tuple(map(len, np.array_split(range(n), 7))),
    "uneven": lambda n: (1, n - 13, 12),
    "empty": lambda n: (0, n // 2, 0, 0, n - n // 2, 0),
    "unknown": lambda n: (5, n - 12, 7),
}

each_cut = pytest.mark.parametrize("cut", [*CUTS])


def chunked(array, cut="three"):
    """Cut the rows of an array, or of a frame that becomes a Dask frame."""
    if isinstance(array, pd.DataFrame | pd.Series):
        return dask.dataframe.from_pandas(array, npartitions=3)
    array = np.asarray(array)
    rows = dask.array.from_array(array, (CUTS[cut](len(array)), *array.shape[1:]))
    if cut == "unknown":
        rows = rows[dask.array.ones(len(array), chunks=rows.chunks[:1], dtype=bool)]
        assert np.isnan(rows.chunks[0]).all()
    return rows


def graph_size(*plans):
    """Count the bytes of tasks, each of which is sent alone."""
    return sum(
        len(cloudpickle.dumps(each))
        for plan in plans
        for each in dict(plan.__dask_graph__()).values()
    )


QUERIES = np.random.default_rng(7).standard_normal((50, 3))


def generated(n_chunks, n, d=3, *, seed=0, seconds=0.0):
    """Plan chunks of `n` rows that exist only while they are needed.

    Parameters
    ----------
    seconds : float, default=0.0
        How long it takes to make a chunk.
    """
    blocks = [
        delayed(random_rows, pure=False)(seed, k, n, d, seconds)
        for k in range(n_chunks)
    ]
    return dask.array.concatenate(
        [dask.array.from_delayed(block, (n, d), dtype=float) for block in blocks]
    )


def targets(X):
    """Make a target of each row."""
    return np.sin(2.0 * X[:, 0]) + X[:, 1] * X[:, 2]


@dataclass(frozen=True)
class Problem:
    """What to compute from rows, of which there are few enough for one machine.

    Attributes
    ----------
    answer : callable
        Takes a Dask array of rows, returns arrays.
    judge : callable
        Takes these arrays and the rows in memory, asserts what is promised.
    """

    answer: Callable[[Any], list[np.ndarray]]
    judge: Callable[[list[np.ndarray], np.ndarray], None]

    def __call__(self, X):
        """Answer, in memory."""
        return [np.asarray(part) for part in dask.compute(*self.answer(X))]


def _ecdf(package, X):
    model = package.MultivariateECDF().fit(X)
    return [model.cdf(QUERIES), model.cdf(X[:100])]


def _ecdf_judge(answer, X):
    for got, expected in zip(answer, _ecdf(kernelkit, X), strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


def _weighted_ecdf(package, X):
    model = package.MultivariateECDF().fit(X, sample_weight=abs(X[:, 0]))
    return [model.cdf(QUERIES)]


def _weighted_ecdf_judge(answer, X):
    (expected,) = _weighted_ecdf(kernelkit, X)
    np.testing.assert_allclose(answer[0], expected, rtol=1e-13)


def _density(package, X):
    model = package.ProductKernelDensity(bandwidth=0.5).fit(X)
    return [np.exp(model.score_samples(Q)) for Q in (QUERIES, X[:100])]


def _density_judge(answer, X):
    for got, expected in zip(answer, _density(kernelkit, X), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def _ridge(X):
    model = distributed.NystroemRidge(n_components=40, random_state=0)
    model.fit(X, targets(X))
    return [model.component_indices_, model.components_, model.predict(QUERIES)]


def _ridge_judge(answer, X):
    chosen, centers, got = answer
    np.testing.assert_array_equal(centers, X[chosen])
    plain = kernelkit.NystroemRidge(centers=centers).fit(X, targets(X))
    expected = plain.predict(QUERIES)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9 * abs(expected).max())


def _design(package, X):
    model = package.DesignLeastSquares(delta=None, n_samples=12, random_state=0)
    chosen = model.select(X).indices
    model.fit(X, targets(X))
    return [chosen, model.design_.indices, model.coef_]


def _design_judge(answer, X):
    *designs, coef = answer
    *expected_designs, expected_coef = _design(kernelkit, X)
    for got, expected in zip(designs, expected_designs, strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(coef, expected_coef, rtol=1e-10)


def _network(package, X):
    model = package.GaussianRBFRegressor(
        10, precision="diag", max_iter=3, tol=1e-15, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, targets(X))
    return [model.loss_curve_, model.predict(QUERIES)]


def _network_judge(answer, X):
    expected, _ = _network(kernelkit, X)
    np.testing.assert_allclose(answer[0], expected, rtol=1e-8)


def _machine(package, X):
    model = package.NTKSVC().fit(X, targets(X) > 0.5)
    return [model.support_, model.decision_function(QUERIES)]


def _machine_judge(answer, X):
    support, _ = _machine(kernelkit, X)
    np.testing.assert_array_equal(answer[0], support)


MODEL = kernelkit.NystroemRidge(n_components=30, random_state=0)
MODEL.fit(QUERIES, targets(QUERIES))


def _prediction(X):
    return [distributed.predict(MODEL, X)]


def _prediction_judge(answer, X):
    expected = MODEL.predict(X)
    error = abs(answer[0] - expected).max()
    assert error <= 1e-15 * np.ptp(expected)


PROBLEMS = {
    name: Problem(answer, judge)
    for name, answer, judge in [
        ("ecdf", lambda X: _ecdf(distributed, X), _ecdf_judge),
        (
            "weighted ecdf",
            lambda X: _weighted_ecdf(distributed, X),
            _weighted_ecdf_judge,
        ),
        ("density", lambda X: _density(distributed, X), _density_judge),
        ("ridge", _ridge, _ridge_judge),
        ("design", lambda X: _design(distributed, X), _design_judge),
        ("network", lambda X: _network(distributed, X), _network_judge),
        ("machine", lambda X: _machine(distributed, X), _machine_judge),
        ("prediction", _prediction, _prediction_judge),
    ]
}
