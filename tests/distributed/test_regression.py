"""Kernel regression on Dask is the plain one, and the same on any workers."""

import pickle

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut
from sklearn.exceptions import NotFittedError

import kernelkit
from kernelkit.density.kernels1d import KERNELS
from kernelkit.distributed import (
    ProductKernelRegressor,
    cells,
    kernel_pairs,
    regression,
)

RNG = np.random.default_rng(0)
N = 120
X = RNG.standard_normal((N, 3))
Q = RNG.standard_normal((40, 3))
Y = np.sin(X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(N)
WEIGHTS = RNG.integers(0, 3, N) / 4.0
POSITIVE = [name for name, kernel in KERNELS.items() if not kernel.is_signed]

each_way = pytest.mark.parametrize("through_cells", [False, True])
each_order = pytest.mark.parametrize("order", [0, 1])

pytestmark = pytest.mark.usefixtures("in_this_thread")


@pytest.fixture
def way(through_cells, monkeypatch):
    """Regroup rows always or never."""
    monkeypatch.setattr(cells, "pay", lambda *_: through_cells)


def fitted(X, y, sample_weight=None, cut="three", **params):
    """Fit the class on Dask and the plain one."""
    params = {"bandwidth": 0.7} | params
    plain = kernelkit.ProductKernelRegressor(**params).fit(X, y, sample_weight)
    weights = sample_weight
    if weights is not None and cut == "unknown":
        weights = chunked(weights, cut)
    model = ProductKernelRegressor(**params)
    return model.fit(chunked(X, cut), chunked(y, cut), weights), plain


def assert_same(X, y, Q, sample_weight=None, cut="three", error=1e-8, **params):
    """Compare predictions, which are about 1 in size.

    In lines rounding grows, in both classes, where rows are close together and far from
    the query, and waves cancel: these have another error.
    """
    model, plain = fitted(X, y, sample_weight, cut, **params)
    expected = plain.predict(Q)
    in_chunks = model.predict(chunked(Q))
    left_out = model.loo_predict()
    assert isinstance(in_chunks, dask.array.Array)
    is_exact = model.order == 0 and model.kernel != "silverman"
    error = 1e-12 if is_exact else error
    for got, should_be in (
        (model.predict(Q), expected),
        (in_chunks, expected),
        (left_out, plain.loo_predict()),
    ):
        assert got.shape == should_be.shape
        np.testing.assert_allclose(np.asarray(got), should_be, rtol=error, atol=error)
    return model, plain


class TestPredictions:
    @each_way
    @each_order
    @each_cut
    def test_any_chunks(self, way, order, cut):
        """Seen red with targets of a chunk scaled by its own range."""
        assert_same(X, Y, Q, cut=cut, order=order)

    @each_way
    @pytest.mark.parametrize(
        ("kernel", "order"),
        [*((name, order) for name in POSITIVE for order in (0, 1)), ("silverman", 0)],
    )
    def test_any_kernel(self, way, kernel, order):
        assert_same(X[:, :2], Y, Q[:, :2], kernel=kernel, order=order, bandwidth=0.9)

    @each_way
    @each_order
    @pytest.mark.parametrize("d", [1, 3])
    def test_weights_outputs_and_sorted_rows(self, way, order, d):
        """Seen red with rows of no weight among the nearest ones."""
        order_of_rows = np.argsort(X[:, d - 1])
        targets = np.column_stack([Y, -1e3 * Y])[order_of_rows] / [1.0, 1e3]
        rows = X[order_of_rows, :d]
        for kernel in ("laplacian", "uniform"):
            params = {"kernel": kernel, "order": order, "cut": "seven"}
            assert_same(rows, targets, Q[:, :d], WEIGHTS, **params)

    @each_way
    @each_order
    @pytest.mark.parametrize("kernel", ["laplacian", "matern32", "gaussian", "cosine"])
    def test_queries_beyond_reach(self, way, order, kernel):
        """Seen red with the nearest row of one chunk only."""
        rows = X + np.repeat(
            [[0.0, 0, 0], [300.0, 0, 0], [300.0, 900.0, 0]], 40, axis=0
        )
        queries = rows[::10] + np.array([3.0, -9.0, 4.0])
        params = {"kernel": kernel, "order": order}
        weights = WEIGHTS + 0.25 * (np.arange(N) % 2)

        assert_same(rows, Y, queries, weights, bandwidth=2e-2, error=1e-4, **params)

    @pytest.mark.parametrize("kernel", ["laplacian", "gaussian", "triangular"])
    def test_queries_so_far_that_logarithms_are_lost(self, kernel):
        queries = np.array([[1e306, 0.0, 0.0], [-1e306, 1.0, 0.0], [0.1, 0.2, 0.3]])

        assert_same(X, Y, queries, kernel=kernel, bandwidth=1e-3)

    @each_order
    def test_alone_in_a_chunk(self, order):
        """The other rows predict it, far as they are."""
        rows = np.vstack([[[1e3, 0.0, 0.0]], X[1:]])
        for kernel in ("laplacian", "epanechnikov"):
            assert_same(rows, Y, Q, cut="uneven", kernel=kernel, order=order)

    @each_way
    def test_tied_rows(self, way):
        for kernel in ("laplacian", "triangular"):
            params = {"kernel": kernel, "bandwidth": 1e-3}
            assert_same(np.round(X), Y, np.round(Q) + np.array([0.5, 0, 0]), **params)

    @each_order
    def test_offset_of_targets_costs_no_digits(self, order):
        """Seen red with targets as they are."""
        model, plain = fitted(X, 1e9 + Y, order=order)

        expected = fitted(X, Y, order=order)[1].predict(Q)
        np.testing.assert_allclose(model.predict(Q) - 1e9, expected, atol=1e-6)
        np.testing.assert_allclose(model.predict(Q), plain.predict(Q), rtol=1e-15)

    def test_constant(self):
        model, _ = fitted(X, np.full(N, 0.1), order=1)

        assert set(model.predict(Q)) == {0.1}
        assert set(model.loo_predict().compute()) == {0.1}

    def test_score(self):
        model, plain = fitted(X, Y)
        targets = np.cos(Q[:, 0])

        expected = plain.score(Q, targets)
        assert model.score(Q, targets) == pytest.approx(expected, rel=1e-12)
        got = model.score(chunked(Q), chunked(targets))
        assert got == pytest.approx(expected, rel=1e-12)

    def test_rows_in_memory(self):
        """Queries may be Dask collections all the same."""
        targets = np.column_stack([Y, Y])
        model = ProductKernelRegressor(bandwidth=0.7).fit(X, targets)

        got = model.predict(chunked(Q))
        assert got.shape == (40, 2)
        np.testing.assert_allclose(got.compute(), model.predict(Q), rtol=1e-12)
        assert model.loo_predict().shape == (N, 2)

    def test_few_channels_meet_at_once(self, monkeypatch):
        """Seen red with all products of exponentials at once."""
        seen = []
        original = kernel_pairs.kernel_sums

        def spy(X, weights, *rest, **options):
            seen.append(len(weights))
            return original(X, weights, *rest, **options)

        monkeypatch.setattr(kernel_pairs, "kernel_sums", spy)
        rows = X + np.repeat([[0.0, 0, 0], [9, 9, 0], [18, 18, 0]], 40, axis=0)
        model, _ = fitted(rows, Y, kernel="matern52", order=1)
        model.loo_predict()
        assert max(seen) <= 16

    def test_second_look_at_far_queries_only(self, monkeypatch):
        """Seen red with a look for all queries of a chunk."""
        seen = []
        original = regression._far

        def spy(rows, queries, own, asked, fit):
            seen.append(queries.X[asked])
            return original(rows, queries, own, asked, fit)

        monkeypatch.setattr(regression, "_far", spy)
        model, _ = fitted(X, Y)
        model.predict(np.vstack([Q, Q + 1e3]))

        assert [len(asked) for asked in seen] == [40] * 3
        assert all((asked > 900.0).all() for asked in seen)


class TestFit:
    @pytest.mark.parametrize("rule", ["normal_reference", "scott", "silverman"])
    def test_bandwidth(self, rule):
        model, plain = fitted(X, Y, WEIGHTS, "unknown", bandwidth=rule)

        np.testing.assert_allclose(model.bandwidth_, plain.bandwidth_, rtol=1e-12)

    def test_search_is_refused(self):
        with pytest.raises(ValueError, match="for a sample of rows in memory"):
            ProductKernelRegressor().fit(chunked(X), chunked(Y))

    def test_lines_need_a_kernel_without_negative_values(self):
        model = ProductKernelRegressor("silverman", bandwidth=1.0, order=1)
        with pytest.raises(ValueError, match="use order=0 or another kernel"):
            model.fit(chunked(X), chunked(Y))

    def test_frames(self):
        frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=Y)
        parts = chunked(frame)
        model = ProductKernelRegressor(bandwidth=0.7)
        model.fit(parts[["a", "b", "c"]], parts["y"])
        _, plain = fitted(X, Y)

        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        got = model.predict(parts[["a", "b", "c"]]).compute()
        np.testing.assert_allclose(got, plain.predict(X), rtol=1e-12, atol=1e-12)

    def test_bad_targets(self):
        model = ProductKernelRegressor(bandwidth=0.7)
        wrong = np.where(np.arange(N) == 100, np.nan, Y)
        with pytest.raises(ValueError, match="In chunk 2: Input y contains NaN"):
            model.fit(chunked(X), chunked(wrong))
        with pytest.raises(ValueError, match="inconsistent numbers"):
            model.fit(chunked(X), chunked(Y[:-1]))
        with pytest.raises(ValueError, match="requires y to be passed"):
            model.fit(chunked(X), None)

    def test_targets_of_other_shapes(self):
        parts = [
            dask.array.from_delayed(dask.delayed(part), part.shape, dtype=float)
            for part in (X[:60], X[60:])
        ]
        targets = [
            dask.array.from_delayed(dask.delayed(np.ones((60, n))), (60, 1), float)
            for n in (1, 2)
        ]
        with pytest.raises(ValueError, match="give all chunks of y the same columns"):
            ProductKernelRegressor(bandwidth=0.7).fit(
                dask.array.concatenate(parts), dask.array.concatenate(targets)
            )

    def test_the_only_row(self):
        model, _ = fitted(X, Y, np.arange(N) == 7)

        assert set(model.predict(Q)) == {Y[7]}
        with pytest.raises(ValueError, match="leaves out the only row"):
            model.loo_predict()

    def test_nan_among_queries(self):
        wrong = np.where(np.arange(40)[:, None] == 39, np.nan, Q)
        model, _ = fitted(X, Y)
        with pytest.raises(ValueError, match="In chunk 2: Input X contains NaN"):
            model.predict(chunked(wrong))

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            ProductKernelRegressor().predict(chunked(X))

    def test_refit_and_pickle(self):
        model, plain = fitted(X, Y)
        copy = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copy.predict(Q), model.predict(Q))

        model.fit(X, Y)

        np.testing.assert_array_equal(model.predict(Q), plain.predict(Q))
        np.testing.assert_array_equal(model.y_fit_, Y)


def test_bits_do_not_depend_on_workers(client):
    """Seen red with sums added in the order in which they are done."""

    def answers():
        model, _ = fitted(X, Y, cut="seven", order=1)
        queries = np.vstack([Q, Q + 1e3])
        return [
            model.predict(queries),
            np.asarray(model.predict(chunked(queries))),
            np.asarray(model.loo_predict()),
        ]

    got = answers()
    with dask.config.set(scheduler="synchronous"):
        expected = answers()

    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
