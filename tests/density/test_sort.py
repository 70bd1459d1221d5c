"""The sort agrees with NumPy's stable one, whatever the keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kernelkit.density._jit_sort import argsort_keys, count_by_merge, invert_order

WORD = st.integers(0, 2**64 - 1)
FEW_LEADING_BITS = st.builds(
    lambda high, low: (high << 60) | low, st.integers(0, 3), st.integers(0, 40)
)
KEYS = arrays(np.uint64, st.integers(1, 200), elements=WORD | FEW_LEADING_BITS)


@given(keys=KEYS)
def test_equals_numpy_on_generated_keys(keys):
    """Seen red with the last digit left out."""
    order = argsort_keys(keys)

    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))


@pytest.mark.parametrize("n_bits", [1, 10, 11, 12, 22, 31, 32, 33, 34, 54, 63, 64])
@pytest.mark.parametrize("n_distinct", [3, 40, 5000])
def test_equals_numpy_whatever_the_range_and_the_ties(n_bits, n_distinct):
    """Runs of equal leading bits are long, short and absent.

    Seen red with insertion that moves equal keys.
    """
    rng = np.random.default_rng(n_bits)
    values = rng.integers(
        0, 2**n_bits, n_distinct, dtype=np.uint64, endpoint=n_bits < 64
    )
    keys = np.uint64(7 if n_bits < 64 else 0) + rng.choice(values, 5000)

    order = argsort_keys(keys)

    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))


def test_keys_apart_in_the_last_bits_only():
    """Seen red with the last digit of a run left out."""
    rng = np.random.default_rng(0)
    keys = (np.uint64(1) << np.uint64(63)) * rng.integers(0, 2, 3000, dtype=np.uint64)
    keys += rng.integers(0, 2**31, 3000, dtype=np.uint64)

    order = argsort_keys(keys)

    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))


@given(n=st.integers(1, 50), seed=st.integers(0, 99))
def test_places_invert_the_order(n, seed):
    """Seen red with places and order exchanged."""
    order = np.random.default_rng(seed).permutation(n).astype(np.int32)
    places = np.empty(n, dtype=np.int32)

    invert_order(order, places)

    np.testing.assert_array_equal(places[order], np.arange(n))


@given(column=KEYS, queries=KEYS)
def test_merge_counts_what_does_not_exceed(column, queries):
    """Seen red with < for <=."""
    column.sort()
    counts = np.empty(queries.size, dtype=np.int32)

    count_by_merge(column, queries, argsort_keys(queries), counts)

    np.testing.assert_array_equal(counts, np.searchsorted(column, queries, "right"))
