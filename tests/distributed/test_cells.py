"""Surveys tell the truth, and rows in cells find their way back."""

import dask
import dask.array
import numpy as np
import pytest
from chunked import chunked
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kernelkit.distributed import MultivariateECDF, boxes, cells, chunks

EMPTY = np.empty((0, 1))
RNG = np.random.default_rng(0)

pytestmark = pytest.mark.usefixtures("in_this_thread")


def surveyed(X, cut="seven", **options):
    """Look at rows as the distribution function does."""
    return MultivariateECDF().fit(chunked(X, cut), **options)._survey


def computed(parts):
    """Compute the rows of parts."""
    return [rows.X for rows in dask.compute(*parts.blocks, traverse=False)]


class TestSurvey:
    def test_boxes_and_totals(self):
        """Seen red with the parts of empty chunks counted."""
        X, weights = RNG.standard_normal((60, 3)), RNG.uniform(size=60)

        survey = surveyed(X, "empty", sample_weight=weights)

        around, halves = survey.parts.boxes, (X[:30], X[30:])
        assert survey.numbers.tolist() == [1, 4]
        assert around.rows.tolist() == [30, 30]
        np.testing.assert_array_equal(around.low, [half.min(axis=0) for half in halves])
        np.testing.assert_array_equal(
            around.high, [half.max(axis=0) for half in halves]
        )
        np.testing.assert_allclose(
            survey.parts.totals, [weights[:30].sum(), weights[30:].sum()]
        )
        assert survey.shares.sum() == 60

    @pytest.mark.parametrize(
        ("data", "queries", "side"),
        [
            ([[1.0], [2.0]], [[2.0], [3.0]], -1),
            ([[1.0], [2.5]], [[2.0], [3.0]], 0),
            ([[3.0], [4.0]], [[2.0], [3.0]], 0),
            ([[3.5], [4.0]], [[2.0], [3.0]], 1),
            ([[2**53 + 1]], [[2.0**53]], 1),
            ([[2.0**53]], [[2**53 - 1]], 1),
            ([[False], [True]], [[1], [2]], -1),
            ([[np.inf]], [[np.inf]], -1),
            ([[-np.inf]], [[-np.inf]], -1),
        ],
    )
    def test_sides(self, data, queries, side):
        """Seen red with < for <=, and with integers compared with floats by NumPy."""
        around = boxes.Boxes.around(np.array(data))

        sides = around.sides(boxes.Boxes.around(np.array(queries)))

        assert sides.tolist() == [[[side]]]


class TestCells:
    @pytest.mark.parametrize("d", [1, 2, 3, 5])
    @pytest.mark.parametrize("cut", ["three", "seven"])
    def test_hold_all_rows_once(self, d, cut):
        """Seen red with a run left out, and with the boxes of a sample of the rows."""
        X = RNG.standard_normal((500, d))
        survey = surveyed(X, cut)

        regrouped = cells.regroup(survey, cells.cut(survey))

        parts = computed(regrouped.parts)
        got = np.concatenate(parts)
        np.testing.assert_array_equal(got[np.lexsort(got.T)], X[np.lexsort(X.T)])
        around = regrouped.parts.boxes
        assert around.rows.tolist() == [len(part) for part in parts]
        np.testing.assert_array_equal(around.low, [part.min(axis=0) for part in parts])
        np.testing.assert_array_equal(around.high, [part.max(axis=0) for part in parts])

    @settings(max_examples=20)
    @given(
        X=arrays(
            st.sampled_from([float, np.int8, bool]),
            st.tuples(st.integers(1, 40), st.integers(1, 3)),
            elements=st.integers(0, 1),
        ),
        size=st.integers(4, 20),
    )
    def test_results_return_to_their_rows(self, X, size):
        """Seen red with the order of the rows not undone."""
        model = MultivariateECDF().fit(dask.array.from_array(X, (size, -1)))
        survey = model._survey
        regrouped = cells.regroup(survey, cells.cut(survey))

        same = [chunks.task("same", _rows, block) for block in regrouped.parts.blocks]
        got = survey.stack(regrouped.restore(same), X.shape[1:], X.dtype)

        np.testing.assert_array_equal(got.compute(), X, strict=True)

    def test_weights_travel_with_their_rows(self):
        X, weights = RNG.standard_normal((200, 2)), RNG.uniform(size=200)
        survey = surveyed(X, sample_weight=weights)

        regrouped = cells.regroup(survey, cells.cut(survey))

        parts = dask.compute(*regrouped.parts.blocks, traverse=False)
        of_row = dict(zip(map(tuple, X), weights, strict=True))
        for part, total in zip(parts, regrouped.parts.totals, strict=True):
            assert part.weights.tolist() == [of_row[tuple(row)] for row in part.X]
            assert total == pytest.approx(part.weights.sum(), rel=1e-13)

    def test_have_about_as_many_rows(self):
        """Seen red with shares of the sample ignored: chunks have unequal sizes."""
        X = RNG.standard_normal((2500, 2))
        X[:500] += 100.0
        X = dask.array.from_array(X, ((*[50] * 10, 2000), 2))
        survey = MultivariateECDF().fit(X)._survey

        regrouped = cells.regroup(survey, cells.cut(survey))

        assert regrouped.parts.boxes.rows.max() <= 2 * 2500 / 11

    def test_lie_apart(self):
        """Seen red with cuts at any place, which differ from slab to slab."""
        X = RNG.standard_normal((64 * 150, 3))
        survey = MultivariateECDF().fit(dask.array.from_array(X, (150, -1)))._survey
        estimate = cells.sketch(survey, cells.cut(survey))

        n_open = (estimate.sides(estimate) == 0).sum(axis=2)

        assert (n_open == 3).sum() <= 80  # of 64**2 pairs
        assert (n_open >= 2).sum() <= 900

    def test_of_many_features(self):
        """Seen red with cuts along all of them, one within the other."""
        X = RNG.standard_normal((60, 2000))
        survey = surveyed(X)

        regrouped = cells.regroup(survey, cells.cut(survey))

        assert len(regrouped.parts.blocks) >= 7
        assert sum(map(len, computed(regrouped.parts))) == 60

    def test_change_of_rows_is_noticed(self):
        """Seen red without the comparison of numbers of rows."""
        calls = iter(range(100))
        X = dask.array.from_array(RNG.standard_normal((80, 1)), (20, 1)).map_blocks(
            lambda block: block + 10.0 * (next(calls) > 8), dtype=float, meta=EMPTY
        )
        survey = MultivariateECDF().fit(X)._survey
        regrouped = cells.regroup(survey, cells.cut(survey))

        with pytest.raises(RuntimeError, match="twice gives the same rows"):
            computed(regrouped.parts)


def _rows(rows):
    return rows.X
