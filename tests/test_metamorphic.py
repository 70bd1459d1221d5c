"""Changes of the input whose effect on an empirical distribution is known."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kernelkit import MultivariateECDF

LARGEST = 3  # entries are integers from -LARGEST to LARGEST, hence many ties


def blocks(n_features):
    shape = st.tuples(st.integers(1, 40), st.just(n_features))
    return arrays(np.int64, shape, elements=st.integers(-LARGEST, LARGEST))


def tuples_of_blocks(number):
    return st.integers(1, 4).flatmap(lambda d: st.tuples(*[blocks(d)] * number))


def shares(X, queries, weights=None):
    model = MultivariateECDF().fit(X, sample_weight=weights)
    return np.array([model.cdf(queries), model.survival(queries)])


@given(tuples_of_blocks(2), st.randoms())
def test_order_of_rows_does_not_matter(sample, random):
    """Seen red with the last row left out."""
    X, queries = sample
    shuffled = random.sample(range(len(X)), len(X))

    got = shares(X[shuffled], queries)

    np.testing.assert_array_equal(got, shares(X, queries))


@given(tuples_of_blocks(2), st.randoms())
def test_order_of_features_does_not_matter(sample, random):
    """Seen red with the last feature left out."""
    X, queries = sample
    shuffled = random.sample(range(X.shape[1]), X.shape[1])

    got = shares(X[:, shuffled], queries[:, shuffled])

    np.testing.assert_array_equal(got, shares(X, queries))


@given(tuples_of_blocks(2), st.data())
def test_only_the_order_of_numbers_matters(sample, data):
    """Replace the numbers of each feature by others in the same order.

    Seen red with rows rounded to float32.
    """
    X, queries = sample
    size = 2 * LARGEST + 1
    numbers = st.sets(st.floats(allow_nan=False), min_size=size, max_size=size)
    tables = [np.array(sorted(data.draw(numbers))) for _ in range(X.shape[1])]

    def increase(rows):
        columns = zip(tables, rows.T + LARGEST, strict=True)
        return np.column_stack([table[places] for table, places in columns])

    got = shares(increase(X), increase(queries))

    np.testing.assert_array_equal(got, shares(X, queries))


@given(tuples_of_blocks(2), st.data())
def test_weight_of_a_row_may_be_split(sample, data):
    """Seen red with equal rows merged, and the weight of one."""
    X, queries = sample
    integers = arrays(np.int64, len(X), elements=st.integers(1, 9))
    part, rest = data.draw(integers), data.draw(integers)

    got = shares(np.vstack([X, X]), queries, np.append(part, rest))

    expected = shares(X, queries, part + rest)
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@given(tuples_of_blocks(3))
def test_union_of_samples_is_a_mixture(samples):
    """Seen red with the last row left out."""
    A, B, queries = samples

    got = shares(np.vstack([A, B]), queries)

    counts = len(A) * shares(A, queries) + len(B) * shares(B, queries)
    np.testing.assert_allclose(got, counts / (len(A) + len(B)), rtol=1e-13)


@given(tuples_of_blocks(2))
def test_cdf_grows_and_survival_falls(sample):
    """Seen red with the survival function for both."""
    X, queries = sample

    low, high = shares(X, queries), shares(X, queries + 1)

    assert (low[0] <= high[0]).all()
    assert (low[1] >= high[1]).all()
