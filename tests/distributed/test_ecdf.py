"""The distribution function on Dask is the plain one, to the bit where rows count."""

import itertools
import pickle

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut
from dask.callbacks import Callback
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import NotFittedError

import kernelkit
from kernelkit.distributed import MultivariateECDF, cells, chunks, ecdf

RNG = np.random.default_rng(0)
N = 300
WEIGHTS = RNG.uniform(size=N) * (RNG.uniform(size=N) > 0.2)
FRAME = pd.DataFrame(RNG.integers(0, 9, (60, 3)), columns=["a", "b", "c"])
TIED_ROWS = arrays(
    float,
    st.tuples(st.integers(1, 15), st.integers(1, 3)),
    elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, 2.0, np.inf]),
)

each_way = pytest.mark.parametrize("through_cells", [False, True])

pytestmark = pytest.mark.usefixtures("in_this_thread")


@pytest.fixture
def way(through_cells, monkeypatch):
    """Regroup rows always or never."""
    monkeypatch.setattr(ecdf._Count, "_cells_pay", lambda *_: through_cells)


def rows(kind, d, n=N):
    """Draw rows that tie often."""
    X = RNG.integers(0, 12, (n, d))
    if kind == "infinite":
        X = np.where(X == 0, -np.inf, np.where(X == 11, np.inf, X / 4.0))
    elif kind == "huge integers":
        X = X + 2**62
    elif kind == "bool":
        X = X > 6
    elif kind == "float32":
        X = (X / 3).astype(np.float32)
    elif kind == "uint64":
        X = X.astype(np.uint64) + np.uint64(2**63)
    elif kind == "continuous":
        X = RNG.standard_normal((n, d))
    return X


def assert_same(X, queries, sample_weight=None, cut="three"):
    """Compare orthants of rows with the plain class; returns both."""
    plain = kernelkit.MultivariateECDF().fit(X, sample_weight=sample_weight)
    weights = sample_weight
    if sample_weight is not None and cut == "unknown":
        weights = chunked(sample_weight, cut)
    model = MultivariateECDF().fit(chunked(X, cut), sample_weight=weights)
    in_chunks = chunked(queries, "uneven")
    cases = [(None, None), (queries, queries), (queries, in_chunks)]
    d = X.shape[1]
    for signs in ([-1] * d, [1, -1, -1, 1][:d]):
        for ours, theirs in cases:
            expected = plain.orthant(ours, signs)

            got = model.orthant(theirs, signs)

            if theirs is not queries:
                assert isinstance(got, dask.array.Array)
            if sample_weight is None:
                np.testing.assert_array_equal(np.asarray(got), expected, strict=True)
            else:
                np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-13)
    return model, plain


def freeze(value):
    """Make the arrays in the result of a task refuse changes."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, tuple):
        for part in value:
            freeze(part)
    elif isinstance(value, chunks.Piece):
        freeze(value.value)


class TestCounts:
    """Rows are counted exactly, however they are cut."""

    @each_way
    @each_cut
    def test_any_chunks(self, way, cut):
        """Seen red with < for <= between boxes, and with the other orthant settled."""
        assert_same(rows("infinite", 3), rows("infinite", 3, 50), cut=cut)

    @each_way
    @pytest.mark.parametrize("d", [1, 2, 4])
    def test_any_number_of_features(self, way, d):
        assert_same(rows("infinite", d), rows("infinite", d, 50), cut="uneven")

    @each_way
    @pytest.mark.parametrize(
        "kind", ["huge integers", "uint64", "bool", "float32", "continuous"]
    )
    def test_any_dtype(self, way, kind):
        """Seen red with integers rounded to floats in boxes."""
        assert_same(rows(kind, 2), rows(kind, 2, 40))

    @each_way
    @pytest.mark.parametrize("order", ["ascending", "descending", "by the last"])
    def test_sorted_chunks(self, way, order):
        """Seen red with the totals of settled pairs forgotten."""
        X = rows("infinite", 2)
        X = X[np.lexsort(X.T if order == "by the last" else X.T[::-1])]
        X = X[::-1] if order == "descending" else X

        assert_same(X, rows("infinite", 2, 40), cut="seven")

    @settings(max_examples=20)
    @given(X=TIED_ROWS, size=st.integers(2, 9), other=st.integers(3, 9), data=st.data())
    @pytest.mark.parametrize("through_cells", [False, True])
    def test_ties_anywhere(self, through_cells, X, size, other, data):
        """Seen red with >= for > between boxes."""
        upper = np.array(data.draw(st.tuples(*[st.booleans()] * X.shape[1])))
        signs = np.where(upper, 1, -1)
        model = MultivariateECDF().fit(dask.array.from_array(X, (size, -1)))
        own = model._survey
        queries = MultivariateECDF().fit(dask.array.from_array(X, (other, -1)))._survey
        count = ecdf._Count(upper, "auto", False)

        for asked in (own, queries):
            if through_cells:
                plan = count.through_cells(own, asked)
            else:
                plan = count.as_they_are(own.parts, asked.parts)
            got = np.concatenate(dask.compute(*plan)) / len(X)

            expected = kernelkit.MultivariateECDF().fit(X).orthant(None, signs)
            np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize("swap", [False, True])
    def test_floats_are_compared_with_integers_exactly(self, swap):
        """Seen red with boxes compared as NumPy does."""
        integers = 2**53 + np.array([[1], [2], [3], [5]])
        floats = np.array([[2.0**53], [2.0**53 + 2], [2.0**53 + 4], [2.0**53 + 6]])
        X, queries = (floats, integers) if swap else (integers, floats)
        model = MultivariateECDF().fit(dask.array.from_array(X, (1, 1)))
        plain = kernelkit.MultivariateECDF().fit(X)

        got = model.cdf(dask.array.from_array(queries, (1, 1))).compute()

        assert (
            got.tolist() == plain.cdf(queries).tolist() == model.cdf(queries).tolist()
        )

    def test_chunks_of_several_dtypes(self):
        """Seen red with boxes stacked in the dtype that NumPy promotes to."""
        blocks = [np.array([[2**53 + 1]]), np.array([[2.0**53]])]
        X = dask.array.concatenate(
            [dask.array.from_delayed(delayed(b), (1, 1), dtype=float) for b in blocks]
        )

        got = MultivariateECDF().fit(X).cdf().compute()

        assert got.tolist() == [1.0, 0.5]

    @pytest.mark.parametrize("algorithm", ["tree", "bitset", "brute"])
    def test_algorithms(self, algorithm):
        X = rows("infinite", 3)
        model = MultivariateECDF(algorithm=algorithm).fit(chunked(X))

        assert model.algorithm_ == algorithm
        expected = kernelkit.ecdf(X)
        np.testing.assert_array_equal(model.cdf().compute(), expected)

    def test_sweep_is_refused_for_three_features(self):
        with pytest.raises(ValueError, match="sweep"):
            MultivariateECDF(algorithm="sweep").fit(chunked(rows("infinite", 3)))

    @each_way
    def test_tasks_leave_alone_what_others_made(self, way):
        """Seen red with shares of sums divided in place."""
        X, queries = rows("infinite", 2), chunked(rows("infinite", 2, 50))
        model = MultivariateECDF().fit(chunked(X), sample_weight=WEIGHTS)

        with Callback(posttask=lambda key, value, *_: freeze(value)):
            model.cdf(X)
            model.evaluate_grid([[0.0, 1.0]] * 2)
            for asked in (None, queries):
                model.orthant(asked, [1, -1]).compute()

    def test_groups_of_chunks(self, monkeypatch):
        """Seen red with the columns of a group in another order."""
        monkeypatch.setattr(ecdf, "_GROUP", 200)

        X = rows("infinite", 2)
        X = X[np.argsort(X[:, 0])]

        assert_same(X, rows("infinite", 2, 60), WEIGHTS, "seven")
        assert_same(X, rows("infinite", 2, 60), cut="seven")


class TestWeights:
    @each_way
    @each_cut
    def test_any_chunks(self, way, cut):
        """Seen red with the weights of another chunk."""
        X = rows("infinite", 2)

        model, plain = assert_same(X, rows("infinite", 2, 50), WEIGHTS, cut)

        got = model._effective_samples(), plain._effective_samples()
        assert got[0] == pytest.approx(got[1], rel=1e-13)

    def test_equal_weights_count(self):
        """Seen red with weights compared within chunks only."""
        X = rows("infinite", 2)

        model = MultivariateECDF().fit(chunked(X), sample_weight=np.full(N, 0.1))
        by_chunk = MultivariateECDF().fit(
            chunked(X), sample_weight=np.repeat([1.0, 2.0, 3.0], 100)
        )

        assert model.sample_weight_ is None
        assert model.cdf().compute().tolist() == kernelkit.ecdf(X).tolist()
        assert by_chunk.sample_weight_ is not None

    def test_chunk_without_weight(self):
        weights = np.repeat([0.0, 2.0, 1.0], 100)

        assert_same(rows("infinite", 2), rows("infinite", 2, 50), weights)

    @pytest.mark.parametrize(
        ("weights", "says"),
        [
            (np.zeros(N), "Every sample_weight is zero"),
            (np.full(N, 1e307) * WEIGHTS * 10, "overflows"),
            (-np.ones(N), "In chunk .: .*[Nn]egative"),
            (np.ones(N - 1), "inconsistent"),
        ],
    )
    def test_bad_weights(self, weights, says):
        with pytest.raises(ValueError, match=says):
            MultivariateECDF().fit(chunked(rows("infinite", 2)), sample_weight=weights)

    def test_bitset_is_refused(self):
        model = MultivariateECDF(algorithm="bitset")

        with pytest.raises(ValueError, match="bitset"):
            model.fit(chunked(rows("infinite", 2)), sample_weight=WEIGHTS)


class TestOtherMethods:
    @each_cut
    @pytest.mark.parametrize("kind", ["cdf", "survival"])
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    def test_grid(self, cut, kind, weights):
        """Seen red with the grid of the last chunk alone."""
        X = rows("infinite", 3)
        axes = [np.linspace(0.0, 3.0, n) for n in (3, 4, 5)]
        plain = kernelkit.MultivariateECDF().fit(X, sample_weight=weights)
        if weights is not None:
            weights = chunked(weights, cut)
        model = MultivariateECDF().fit(chunked(X, cut), sample_weight=weights)

        got = model.evaluate_grid(axes, kind)

        expected = plain.evaluate_grid(axes, kind)
        if weights is None:
            np.testing.assert_array_equal(got, expected)
        np.testing.assert_allclose(got, expected, rtol=1e-13)

    @pytest.mark.parametrize("method", ["dkw", "wilson"])
    @pytest.mark.parametrize("d", [1, 2])
    def test_band(self, method, d):
        """Seen red with the number of rows of a chunk."""
        X, queries = rows("infinite", d), rows("infinite", d, 40)
        plain = kernelkit.MultivariateECDF().fit(X)
        model = MultivariateECDF().fit(chunked(X))

        for ours, theirs in [(None,) * 2, (queries,) * 2, (queries, chunked(queries))]:
            got = model.confidence_band(theirs, method=method)

            expected = plain.confidence_band(ours, method=method)
            for bound, other in zip(got, expected, strict=True):
                np.testing.assert_array_equal(np.asarray(bound), other)

    def test_weighted_band(self):
        X = rows("infinite", 2)
        plain = kernelkit.MultivariateECDF().fit(X, sample_weight=WEIGHTS)
        model = MultivariateECDF().fit(chunked(X), sample_weight=WEIGHTS)

        got = model.confidence_band(X, method="wilson")

        np.testing.assert_allclose(
            got, plain.confidence_band(X, method="wilson"), rtol=1e-12, atol=1e-15
        )
        with pytest.raises(ValueError, match="wilson"):
            model.confidence_band(X)

    def test_predict_and_survival(self):
        X = rows("infinite", 2)
        plain = kernelkit.MultivariateECDF().fit(X)
        model = MultivariateECDF().fit(chunked(X))

        assert model.predict(X).tolist() == plain.predict(X).tolist()
        assert model.survival().compute().tolist() == plain.survival().tolist()

    def test_dask_queries_of_rows_in_memory(self):
        """Seen red with the signs swapped."""
        X, queries = rows("infinite", 2), rows("infinite", 2, 40)
        model = MultivariateECDF().fit(X)

        got = model.orthant(chunked(queries), [1, -1])

        assert got.compute().tolist() == model.orthant(queries, [1, -1]).tolist()


class TestPruning:
    """What boxes settle needs no task."""

    def test_sorted_chunks_meet_themselves_alone(self):
        """Seen red without boxes."""
        X = np.arange(70.0)[:, None]
        plan = MultivariateECDF().fit(chunked(X, "seven")).cdf()

        assert n_tasks(plan, "ecdf-count") == 7

    def test_queries_beyond_the_rows_are_not_compared(self):
        X, queries = rows("infinite", 2), np.full((20, 2), np.inf)

        plan = MultivariateECDF().fit(chunked(X)).cdf(chunked(queries))

        assert n_tasks(plan, "ecdf-rank") == n_tasks(plan, "ecdf-count") == 0
        assert plan.compute().tolist() == [1.0] * 20

    def test_settled_features_are_not_ranked(self):
        """Seen red with all features of a pair that is not settled compared."""
        X = np.column_stack([np.arange(70.0), RNG.standard_normal(70)])
        queries = np.column_stack([np.full(9, 100.0), RNG.standard_normal(9)])

        plan = MultivariateECDF().fit(chunked(X, "seven")).cdf(chunked(queries, "one"))

        assert n_tasks(plan, "ecdf-rank") == 7 + 1
        assert plan.compute().tolist() == kernelkit.ecdf(X, queries).tolist()

    def test_far_chunks_are_not_read_for_queries_in_memory(self):
        """Seen red with every chunk compared."""
        X = np.arange(60.0)[:, None]
        read = []
        blocks = dask.array.from_array(X, (10, 1)).map_blocks(
            lambda block: read.append(block[0, 0]) or block, dtype=float, meta=X[:0]
        )
        model = MultivariateECDF().fit(blocks)
        read.clear()

        assert model.cdf([[24.0], [20.0]]).tolist() == [25 / 60, 21 / 60]
        assert read == [20.0]

    def test_counts_of_pairs(self):
        """Pairs are those of the table that a reader fills by hand."""
        X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
        survey = MultivariateECDF().fit(dask.array.from_array(X, (2, -1)))._survey
        boxes = survey.parts.boxes

        pairs = ecdf.Pairs.of(boxes, boxes, np.zeros(2, dtype=bool))

        expected = {"empty": 1, "inside": 0, "1 open": 1, "2 open": 2}
        assert pairs.counts == expected

    def test_cells_where_they_pay(self, monkeypatch):
        """Seen red with estimates of the work swapped."""
        X = RNG.standard_normal((20_000, 3))
        line = np.sort(X[:, :1], axis=0)

        def regroups(X):
            plan = MultivariateECDF().fit(dask.array.from_array(X, (2000, -1))).cdf()
            return n_tasks(plan, "cells-run") > 0

        assert not regroups(X)
        monkeypatch.setattr(cells, "_TASK", 1e-5)  # as if rows were more
        assert regroups(X)
        assert not regroups(line)

    def test_tied_rows_make_no_large_cell(self, monkeypatch):
        """Seen red without a bound of their size."""
        monkeypatch.setattr(cells, "_ROW_MOVED", -1.0)
        tied = MultivariateECDF().fit(chunked(np.ones((700, 2)), "seven"))
        various = MultivariateECDF().fit(chunked(rows("continuous", 2), "seven"))

        assert not n_tasks(tied.cdf(), "cells-run")
        assert n_tasks(various.cdf(), "cells-run")


def n_tasks(plan, step):
    """Count the tasks of a step."""
    keys = dict(plan.__dask_graph__())
    return sum(str(key).startswith(f"{step}-") for key in keys) - sum(
        str(key).startswith((f"{step}-sum", f"{step}-argument")) for key in keys
    )


class TestInput:
    def test_frame(self):
        """Seen red with names forgotten."""
        model = MultivariateECDF().fit(chunked(FRAME))
        plain = kernelkit.MultivariateECDF().fit(FRAME)

        assert model.n_features_in_ == 3
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        for queries in (chunked(FRAME), None):
            assert model.cdf(queries).compute().tolist() == plain.cdf().tolist()
        with pytest.raises(ValueError, match=r"In chunk .: The feature names"):
            model.cdf(chunked(FRAME[["b", "a", "c"]]))

    def test_nan_names_the_chunk(self):
        X = rows("infinite", 2)
        X[250, 1] = np.nan

        with pytest.raises(ValueError, match="In chunk 2: Input X contains NaN"):
            MultivariateECDF().fit(chunked(X))
        model = MultivariateECDF().fit(chunked(X[:200]))
        with pytest.raises(ValueError, match="In chunk 2: Input X contains NaN"):
            model.cdf(chunked(X))
        with pytest.raises(ValueError, match="contains NaN"):
            model.cdf(X)

    def test_other_width(self):
        model = MultivariateECDF().fit(chunked(rows("infinite", 2)))

        for queries in (rows("infinite", 3), chunked(rows("infinite", 3))):
            with pytest.raises(ValueError, match="3 features"):
                model.cdf(queries)

    def test_chunks_of_other_width(self):
        X = dask.array.concatenate(
            [
                dask.array.from_delayed(delayed(np.ones((3, d))), (3, 2), dtype=float)
                for d in (2, 3)
            ]
        )

        with pytest.raises(ValueError, match=r"Chunk 1 has .+, and chunk 0 has"):
            MultivariateECDF().fit(X)

    @pytest.mark.parametrize("shape", [(0, 2), (5,)])
    def test_no_rows_or_columns(self, shape):
        with pytest.raises(ValueError, match=r"row|2D"):
            MultivariateECDF().fit(dask.array.ones(shape))

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            MultivariateECDF().cdf(chunked(rows("infinite", 2)))

    @pytest.mark.parametrize("what", ["values", "number"])
    def test_rows_that_change_are_noticed(self, what):
        """Seen red without a look at the ranges, of which grids had none."""
        calls = itertools.count()

        def block():
            n = 5 + (what == "number" and next(calls) > 0)
            return np.random.default_rng(next(calls)).standard_normal((n, 1))

        X = dask.array.from_delayed(delayed(block, pure=False)(), (5, 1), dtype=float)
        if what == "number":
            X = X[X[:, 0] > -np.inf]
        model = MultivariateECDF().fit(X)

        for call in (
            lambda: model.cdf([[0.0]]),
            lambda: model.cdf().compute(),
            lambda: model.evaluate_grid([[0.0]]),
        ):
            with pytest.raises(RuntimeError, match="twice gives the same rows"):
                call()


class TestState:
    def test_refit_leaves_nothing_behind(self):
        """Seen red with the survey of an earlier fit kept."""
        X, other = rows("infinite", 2), rows("continuous", 2)
        model = MultivariateECDF().fit(chunked(X))

        model.fit(other)
        assert model.cdf().tolist() == kernelkit.ecdf(other).tolist()

        model.fit(chunked(X))
        assert not hasattr(model, "ranks_")
        assert model.cdf().compute().tolist() == kernelkit.ecdf(X).tolist()

    def test_failed_fit_changes_nothing(self):
        X = rows("infinite", 2)
        model = MultivariateECDF().fit(chunked(X))

        with pytest.raises(ValueError, match="NaN"):
            model.fit(chunked(np.full((6, 2), np.nan)))

        assert model.cdf(X).tolist() == kernelkit.ecdf(X).tolist()

    def test_pickle(self):
        X = rows("infinite", 2)
        model = MultivariateECDF().fit(chunked(X))

        copy = pickle.loads(pickle.dumps(model))

        assert copy.cdf(X).tolist() == model.cdf(X).tolist()

    @each_way
    def test_same_bits_on_a_cluster(self, client, way, monkeypatch):
        """Seen red with sums in random order."""
        monkeypatch.setattr(ecdf, "_GROUP", 1)  # a task for each pair
        X = dask.array.from_array(rows("continuous", 2), (30, -1))

        def values():
            model = MultivariateECDF().fit(X, sample_weight=WEIGHTS)
            own = model.cdf().compute()
            return np.concatenate([own, model.cdf(X[:40].compute())])

        got = values()

        with dask.config.set(scheduler="synchronous"):
            assert values().tobytes() == got.tobytes()
