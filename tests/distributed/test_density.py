"""The density on Dask is the plain one up to rounding, and the same on any workers."""

import pickle
import tracemalloc

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut, graph_size
from scipy import stats
from sklearn.exceptions import NotFittedError

import kernelkit
from kernelkit.density.kernels1d import KERNELS
from kernelkit.distributed import (
    ProductKernelDensity,
    cells,
    density,
    kernel_pairs,
    separated,
)
from kernelkit.distributed.chunks import Rows

RNG = np.random.default_rng(0)
N = 150
X = RNG.standard_normal((N, 3))
Q = RNG.standard_normal((40, 3))
WEIGHTS = RNG.integers(0, 3, N) / 4.0
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
METHODS = ["score_samples", "loo_log_density", "cdf"]

each_way = pytest.mark.parametrize("through_cells", [False, True])

pytestmark = pytest.mark.usefixtures("in_this_thread")


@pytest.fixture
def way(through_cells, monkeypatch):
    """Regroup rows always or never."""
    monkeypatch.setattr(cells, "pay", lambda *_: through_cells)


def fitted(X, sample_weight=None, cut="three", **params):
    """Fit the class on Dask and the plain one."""
    params = {"bandwidth": 0.5} | params
    plain = kernelkit.ProductKernelDensity(**params).fit(X, sample_weight=sample_weight)
    weights = sample_weight
    if weights is not None and cut == "unknown":
        weights = chunked(weights, cut)
    model = ProductKernelDensity(**params)
    return model.fit(chunked(X, cut), sample_weight=weights), plain


def assert_close(got, expected):
    """Compare logarithms, or probabilities."""
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-12, atol=1e-12)


def assert_same(X, Q, sample_weight=None, cut="three", **params):
    """Compare what all methods say."""
    model, plain = fitted(X, sample_weight, cut, **params)
    in_chunks = chunked(Q)
    for name in METHODS:
        got = getattr(model, name)()
        assert isinstance(got, dask.array.Array)
        assert_close(got, getattr(plain, name)())
        if name != "loo_log_density":
            expected = getattr(plain, name)(Q)
            assert_close(getattr(model, name)(Q), expected)
            assert_close(getattr(model, name)(in_chunks), expected)
    return model, plain


class TestSums:
    """Sums are those of the plain class."""

    @each_way
    @each_cut
    def test_any_chunks(self, way, cut):
        assert_same(X, Q, cut=cut)

    @each_way
    @pytest.mark.parametrize("kernel", [*KERNELS, (1.0, 0.0, 2.0)])
    def test_any_kernel(self, way, kernel):
        two = X[:, :2] * [1.0, 5.0]
        assert_same(two, Q[:, :2], kernel=kernel, bandwidth=[0.4, 2.0])

    @each_way
    @pytest.mark.parametrize(
        ("kernel", "d"),
        [("laplacian", 1), ("matern32", 2), ("matern32", 3), ("epanechnikov", 3)],
    )
    def test_weights_and_sorted_rows(self, way, d, kernel):
        part = X[np.argsort(X[:, d - 1]), :d]
        assert_same(part, Q[:, :d], WEIGHTS, kernel=kernel, cut="seven")

    @each_way
    @pytest.mark.parametrize("kernel", ["laplacian", "matern52", "gaussian"])
    @pytest.mark.parametrize("bandwidth", [1e-4, 1.0])
    def test_far_apart_chunks_and_large_offsets(self, way, kernel, bandwidth):
        """No density is lost where the plain class has a logarithm."""
        far = X + np.repeat([[0.0, 0, 0], [1e3, 0, 0], [1e3, 1e8, 0]], N // 3, axis=0)
        queries = np.vstack([far[::20] + 0.1, [[500.0, 5e7, 1e6], [1e9, 1e9, 1e9]]])

        model, _ = assert_same(far, queries, kernel=kernel, bandwidth=bandwidth)

        assert np.isfinite(model.score_samples(queries)).all()
        assert np.isfinite(model.loo_log_density().compute()).all()

    def test_waves_that_cancel(self):
        """Signs of sums that underflow are those of all rows together."""
        rows = X[:, :1] + np.repeat([[0.0], [30.0], [60.0]], N // 3, axis=0)
        queries = 60.0 + np.linspace(500.0, 1500.0, 40)[:, None]

        model, plain = fitted(rows, kernel="silverman")

        got, expected = model.score_samples(queries), plain.score_samples(queries)
        np.testing.assert_array_equal(np.isneginf(got), np.isneginf(expected))
        assert 0 < np.isneginf(got).sum() < 40
        np.testing.assert_allclose(got, expected, rtol=1e-9)

    @each_way
    def test_tied_rows(self, way):
        assert_same(np.round(X), np.round(Q))

    def test_any_blocks(self, monkeypatch):
        """Seen red with the last block of rows alone."""
        monkeypatch.setattr(kernel_pairs, "_CHANNELS", 1)
        monkeypatch.setattr(separated, "_NUMBERS", 40)
        far = X + np.repeat([[0.0, 0, 0], [9, 0, 0], [9, 9, 9]], N // 3, axis=0)

        assert_same(far, Q, WEIGHTS, kernel="matern52")

    def test_compact_kernel_out_of_reach(self):
        model, _ = fitted(X, kernel="biweight")

        assert model.score_samples([[9.0, 9.0, 9.0]]).tolist() == [-np.inf]

    def test_distribution_function_of_many_features(self):
        """Products of its terms are too many to sum one by one."""
        rows = RNG.standard_normal((30, 7))
        model, plain = fitted(rows, WEIGHTS[:30] + 0.25)

        for queries in (None, rows[:9] + 0.1):
            assert_close(model.cdf(queries), plain.cdf(queries))

    @each_cut
    def test_grid(self, cut):
        axes = [np.linspace(-2.0, 2.0, n) for n in (4, 5, 6)]
        model, plain = fitted(X, WEIGHTS, cut)

        got, expected = model.evaluate_grid(axes), plain.evaluate_grid(axes)

        np.testing.assert_allclose(got, expected, rtol=1e-12)

    def test_score(self):
        model, plain = fitted(X)

        expected = plain.score(Q)
        assert model.score(Q) == pytest.approx(expected, rel=1e-12)
        assert model.score(chunked(Q)) == pytest.approx(expected, rel=1e-12)

    def test_rows_in_memory(self):
        """Queries may be Dask collections all the same."""
        model = ProductKernelDensity(bandwidth=0.5).fit(X)

        for method in (model.score_samples, model.cdf):
            assert_close(method(chunked(Q)), method(Q))
        assert model.score_samples().shape == (N,)
        np.testing.assert_array_equal(model.X_fit_, X)


class TestBandwidth:
    @pytest.mark.parametrize("rule", ["normal_reference", "scott", "silverman"])
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    @each_cut
    def test_rules(self, rule, weights, cut):
        rows = X * [1.0, 1e-5, 1e200] + [1e8, 0.0, 0.0]
        rows[:, 1] = np.where(rows[:, 1] > 2e-5, 1.0, rows[:, 1])
        model, plain = fitted(rows, weights, cut, bandwidth=rule)

        np.testing.assert_allclose(model.bandwidth_, plain.bandwidth_, rtol=1e-12)

    def test_rounding_does_not_move_quartiles(self):
        """Seen red with 1/4 and 3/4 as they are: sums of weights reach them or not."""
        for seed in (20, 46, 52):
            rng = np.random.default_rng(seed)
            rows, weights = rng.standard_normal((201, 1)), rng.integers(1, 8, 201)
            model, plain = fitted(rows, weights, "seven", bandwidth="silverman")

            np.testing.assert_allclose(model.bandwidth_, plain.bandwidth_, rtol=1e-12)

    def test_distant_chunks_of_rows_that_are_close(self):
        """The mean needs more digits than a float has."""
        rows = 1e8 + np.sort(X[:, :1] * 1e-3, axis=0)
        model, plain = fitted(rows, cut="seven", bandwidth="scott")

        np.testing.assert_allclose(model.bandwidth_, plain.bandwidth_, rtol=1e-12)

    def test_tiny_weights_far_out(self):
        weights = np.where(np.arange(N) < 5, 1e-200, 1e90)
        rows = np.where(weights[:, None] < 1.0, 1e140 * X, X)
        model, plain = fitted(rows, weights, bandwidth="normal_reference")

        np.testing.assert_allclose(model.bandwidth_, plain.bandwidth_, rtol=1e-12)

    @pytest.mark.parametrize("rule", ["normal_reference", "silverman"])
    def test_constant_column(self, rule):
        rows = chunked(np.column_stack([X[:, 0], np.ones(N)]))

        with pytest.warns(UserWarning, match="constant in column 1"):
            model = ProductKernelDensity(bandwidth=rule).fit(rows)

        assert model.bandwidth_[1] == 1.0

    @pytest.mark.parametrize("rule", ["cv_ml", "cv_ls"])
    def test_searches_are_refused(self, rule):
        with pytest.raises(ValueError, match="for a sample of rows in memory"):
            ProductKernelDensity(bandwidth=rule).fit(chunked(X))

    def test_one_row_of_positive_weight(self):
        with pytest.raises(ValueError, match="at least 2 rows with positive weight"):
            ProductKernelDensity().fit(chunked(X), sample_weight=np.arange(N) == 3)


class TestSample:
    def test_law(self):
        """False alarms: 1 of 1000 seeds in each feature."""
        rows = np.where(np.arange(N)[:, None] < 120, X[:, :2], X[:, :2] + 9.0)
        model, plain = fitted(rows, WEIGHTS, "uneven", kernel="biweight")

        drawn = model.sample(2000, random_state=0)

        expected = plain.sample(2000, random_state=1)
        for got, other in zip(drawn.T, expected.T, strict=True):
            assert stats.ks_2samp(got, other).pvalue > 1e-3

    def test_law_of_a_kernel_with_negative_values(self):
        model, plain = fitted(X[:, :1], kernel="silverman")

        drawn = model.sample(1000, random_state=0)

        expected = plain.sample(1000, random_state=1)
        assert stats.ks_2samp(drawn[:, 0], expected[:, 0]).pvalue > 1e-3

    def test_seed(self):
        model, _ = fitted(X)

        drawn = model.sample(20, random_state=3)

        np.testing.assert_array_equal(drawn, model.sample(20, random_state=3))
        assert (drawn != model.sample(20, random_state=4)).all()

    def test_order_tells_nothing(self):
        """Rows of a chunk do not come together."""
        model, _ = fitted(np.arange(N)[:, None] * 1.0, bandwidth=1e-9)

        drawn = model.sample(400, random_state=0)[:, 0]

        assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.2


class TestWork:
    """Only what may add something is compared."""

    def pairs(self, model, **options):
        sums = model._density_sums()
        boxes = model._survey.parts.boxes
        return sums.pairs(boxes, boxes, own=True)

    def test_compact_kernels_meet_neighbours_only(self):
        model, _ = fitted(np.arange(N)[:, None] * 1.0, cut="seven", kernel="cosine")

        np.testing.assert_array_equal(self.pairs(model).reached, np.eye(7, dtype=bool))

    def test_exponentials_meet_the_own_chunk_only(self):
        model, _ = fitted(np.arange(N)[:, None] * 1.0, cut="seven", bandwidth=1.0)

        pairs = self.pairs(model)

        np.testing.assert_array_equal(pairs.n_open, np.eye(7))
        np.testing.assert_array_equal(pairs.factored, ~np.eye(7, dtype=bool))

    def test_fewer_features_where_one_is_settled(self):
        rows = np.column_stack([np.arange(N) // 50, X[:, 1]])
        model, _ = fitted(rows, cut="three", kernel="matern32")

        np.testing.assert_array_equal(self.pairs(model).n_open, 1 + np.eye(3))

    def test_what_underflows_is_skipped(self):
        rows = np.arange(N)[:, None] * 1.0
        for kernel in ("laplacian", "gaussian", "silverman"):
            model, _ = fitted(rows, cut="seven", kernel=kernel, bandwidth=1e-4)

            reached = self.pairs(model).reached
            np.testing.assert_array_equal(reached, np.eye(7, dtype=bool))

    def test_second_look_for_chunks_with_faint_queries_only(self, monkeypatch):
        """Seen red with a look for all chunks of queries."""
        seen = []
        original = density._scaled

        def spy(rows, queries, own, asked, *rest, **options):
            seen.append(queries.X[asked])
            return original(rows, queries, own, asked, *rest, **options)

        monkeypatch.setattr(density, "_scaled", spy)
        model, _ = fitted(X)
        model.score_samples(chunked(np.vstack([Q, Q + 1e3])))
        assert len(seen) == 3 * 2  # chunks of rows, times those of queries
        assert sum(map(len, seen)) == 3 * len(Q)
        assert all((asked > 900.0).all() for asked in seen)

        seen.clear()
        model.score_samples(chunked(Q))
        model.score_samples()
        assert not seen

    def test_boxes_are_sent_once(self):
        """Seen red with the boxes in the task of each chunk of queries."""
        sizes = []
        for n in (20, 40):
            rows = np.arange(2 * n)[:, None] * np.ones(3)
            model = ProductKernelDensity(bandwidth=1.0)
            model.fit(dask.array.from_array(rows, chunks=(2, 3)))
            sizes.append(graph_size(model.cdf()))
        linear = 2 * sizes[0]
        assert sizes[1] - linear < 30 * (40**2 - 2 * 20**2)

    def test_corners_take_memory_of_a_block(self):
        """Seen red with all rows at once."""
        rows = RNG.random((20_000, 3))
        model, _ = fitted(rows[:9], kernel="matern52")
        sums = model._density_sums()
        tracemalloc.start()
        sums.corners(Rows(rows), rows.min(axis=0), rows.max(axis=0))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * rows.nbytes

    def test_cells_where_they_pay(self):
        """Seen red with estimates of the work swapped."""
        rows = RNG.standard_normal((32_000, 2))
        model = ProductKernelDensity(bandwidth=0.1)
        for part, pays in ((rows, True), (rows[:500], False)):
            model.fit(dask.array.from_array(part, chunks=(len(part) // 16, 2)))
            sums = model._density_sums()
            meeting = kernel_pairs.Meeting.of("test", model, model._survey, None, sums)
            assert (meeting.regrouped is not None) is pays


class TestInput:
    def test_frame(self):
        model = ProductKernelDensity().fit(chunked(FRAME))
        plain = kernelkit.ProductKernelDensity().fit(FRAME)

        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        assert_close(model.score_samples(chunked(FRAME)), plain.score_samples(FRAME))
        with pytest.raises(ValueError, match=r"In chunk .: The feature names"):
            model.score_samples(chunked(FRAME[["b", "a", "c"]]))

    def test_nan_names_the_chunk(self):
        wrong = X.copy()
        wrong[140, 1] = np.nan
        with pytest.raises(ValueError, match="In chunk 2: Input X contains NaN"):
            ProductKernelDensity().fit(chunked(wrong))
        model = ProductKernelDensity().fit(chunked(X))
        for method in (model.score_samples, model.cdf):
            with pytest.raises(ValueError, match="In chunk 2: Input X contains NaN"):
                method(chunked(wrong))

    def test_weights(self):
        for weights, words in (
            (-WEIGHTS, "Negative values"),
            (0.0 * WEIGHTS, "Every sample_weight is zero"),
            (WEIGHTS[:-1], "inconsistent numbers"),
        ):
            with pytest.raises(ValueError, match=words):
                ProductKernelDensity().fit(chunked(X), sample_weight=weights)

    def test_equal_weights_are_none(self):
        model, _ = fitted(X, np.full(N, 7.0))

        assert model.sample_weight_ is None
        assert_close(model.score_samples(Q), fitted(X)[1].score_samples(Q))

    def test_bad_parameters(self):
        for params in (
            {"bandwidth": [1.0, 2.0]},
            {"bandwidth": -1.0},
            {"kernel": "round"},
            {"algorithm": "window"},
        ):
            with pytest.raises(ValueError, match=r"bandwidth|kernel"):
                ProductKernelDensity(**params).fit(chunked(X))

    def test_not_fitted(self):
        for method in ("score_samples", "cdf"):
            with pytest.raises(NotFittedError):
                getattr(ProductKernelDensity(), method)(chunked(X))


class TestState:
    def test_refit_leaves_nothing_behind(self):
        model = ProductKernelDensity(bandwidth=0.5).fit(X)
        expected = model.score_samples(Q)

        model.fit(chunked(X))
        assert not hasattr(model, "X_fit_")
        model.fit(X)
        np.testing.assert_array_equal(model.score_samples(Q), expected)

    def test_pickle(self):
        model, _ = fitted(X)

        copy = pickle.loads(pickle.dumps(model))

        np.testing.assert_array_equal(copy.score_samples(Q), model.score_samples(Q))


def test_bits_do_not_depend_on_workers(client):
    """Seen red with sums added in the order in which they are done."""
    rows = np.vstack([X, X[::-1] + 0.5])

    def answers():
        model, _ = fitted(rows, cut="seven", bandwidth="silverman")
        sources = Q, chunked(Q + 40.0), None
        return [
            *(np.asarray(model.score_samples(queries)) for queries in sources),
            np.asarray(model.loo_log_density()),
            np.asarray(model.cdf()),
            model.sample(9, random_state=0),
        ]

    got = answers()
    with dask.config.set(scheduler="synchronous"):
        expected = answers()

    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
