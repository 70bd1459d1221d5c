"""``value <= query`` if and only if ``place < threshold``, whatever the types."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelkit._parallel import in_order
from kernelkit.density import ranks

INTEGERS = [np.bool_, np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64]
FLOATS = [np.float16, np.float32, np.float64]
LANDMARKS = [0, -1, 1, 127, 128, 255, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**53 + 2]
LANDMARKS += [2**63 - 1025, 2**63 - 1, 2**63, 2**64 - 2048, 2**64 - 1, -(2**63)]
HALVES = [-0.0, 0.5, -0.5, 127.5, 2.0**64, -(2.0**64), math.inf, -math.inf, 1e300]


def _values(dtype):
    """All landmarks that the type holds."""
    if np.issubdtype(dtype, np.floating):
        with np.errstate(over="ignore"):
            return np.array([*map(float, LANDMARKS), *HALVES]).astype(dtype)
    if dtype == np.bool_:
        return np.array([False, True])
    info = np.iinfo(dtype)
    inside = [v for v in LANDMARKS if info.min <= v <= info.max]
    return np.array([*inside, info.min, info.max], dtype=dtype)


@pytest.mark.parametrize("query_dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_thresholds_equal_exact_comparisons(dtype, query_dtype):
    """Python compares exactly across types; NumPy rounds 64-bit integers to float64.

    Seen red with `_floor` left out, and with its clipping left out.
    """
    values = np.repeat(_values(dtype), 2)
    queries = np.tile(_values(query_dtype), 3)
    columns, _ = ranks.rank_columns(values[:, None], run=in_order)

    merged = ranks.query_thresholds(columns, queries[:, None], run=in_order)[0]
    searched = ranks.count_not_above(columns[0], queries)

    expected = [sum(v <= q for v in values.tolist()) for q in queries.tolist()]
    assert merged.tolist() == expected
    assert searched.tolist() == expected


@pytest.mark.parametrize("n_queries", [1, 1000])
def test_few_and_many_queries_have_the_same_thresholds(n_queries):
    """Few are looked up, many are merged. Seen red with either off by one."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 50, (400, 2)).astype(float)
    queries = rng.integers(-2, 52, (n_queries, 2)) / 1.0
    columns, _ = ranks.rank_columns(X, run=in_order)

    thresholds = ranks.query_thresholds(columns, queries, run=in_order)

    expected = (X[:, :, None] <= queries.T).sum(axis=0)
    np.testing.assert_array_equal(thresholds, expected)


@given(
    values=st.lists(
        st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 1.0, np.inf]), min_size=1
    )
)
def test_places_and_own_thresholds_of_tied_values(values):
    """Seen red with -0.0 before 0.0, and with the first of a tied group as its end."""
    X = np.array(values)[:, None]

    columns, places = ranks.rank_columns(X, run=in_order)
    thresholds = ranks.own_thresholds(columns, places, run=in_order)

    np.testing.assert_array_equal(
        places[0], np.argsort(np.argsort(X[:, 0], kind="stable"))
    )
    np.testing.assert_array_equal(columns[0], np.sort(X[:, 0]))
    np.testing.assert_array_equal(thresholds[0], (X <= X.T).sum(axis=0))


def test_flip_turns_above_into_below():
    """Seen red without the -1 of the places."""
    X = np.random.default_rng(0).integers(0, 9, (30, 2)).astype(float)
    columns, places = ranks.rank_columns(X, run=in_order)
    thresholds = ranks.query_thresholds(columns, X, run=in_order)

    places, thresholds = ranks.flip(places, thresholds, np.array([True, False]))

    below = places[:, :, None] < thresholds[:, None, :]
    np.testing.assert_array_equal(below[0], X[:, None, 0] > X[None, :, 0])
    np.testing.assert_array_equal(below[1], X[:, None, 1] <= X[None, :, 1])


def test_too_many_rows_are_refused_before_any_work():
    """Seen red without the check, with a MemoryError."""
    X = np.broadcast_to(np.float32(0.0), (2**31, 1))

    with pytest.raises(NotImplementedError, match=r"2147483648 rows.*split X"):
        ranks.rank_columns(X, run=in_order)
