"""Changes of the input whose effect on an estimated distribution is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference.smoothing import NAMES

from kernelkit import MultivariateECDF, ProductKernelDensity

KERNELS = [name for name in NAMES if name != "silverman"]  # whose negatives are cut
LARGEST = 3  # entries are integers from -LARGEST to LARGEST, hence many ties


def blocks(n_features):
    shape = st.tuples(st.integers(1, 40), st.just(n_features))
    return arrays(np.int64, shape, elements=st.integers(-LARGEST, LARGEST))


def tuples_of_blocks(number):
    return st.integers(1, 4).flatmap(lambda d: st.tuples(*[blocks(d)] * number))


def shares(X, queries, weights=None):
    model = MultivariateECDF().fit(X, sample_weight=weights)
    return np.array([model.cdf(queries), model.survival(queries)])


def densities(X, queries, weights=None, bandwidth=1.3):
    """Evaluate with a kernel that depends on the number of queries."""
    kernel = KERNELS[len(queries) % len(KERNELS)]
    model = ProductKernelDensity(kernel, bandwidth=bandwidth)
    model.fit(X, sample_weight=weights)
    return np.array([np.exp(model.score_samples(queries)), model.cdf(queries)])


def assert_same(got, expected, evaluate):
    """Compare exactly what is counted, and closely what is added."""
    rtol, atol = (0.0, 0.0) if evaluate is shares else (1e-12, 1e-14)
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


each_distribution = pytest.mark.parametrize("evaluate", [shares, densities])


@each_distribution
@given(sample=tuples_of_blocks(2), random=st.randoms())
def test_order_of_rows_does_not_matter(evaluate, sample, random):
    """Seen red with the last row left out."""
    X, queries = sample
    shuffled = random.sample(range(len(X)), len(X))

    got = evaluate(X[shuffled], queries)

    assert_same(got, evaluate(X, queries), evaluate)


@each_distribution
@given(sample=tuples_of_blocks(2), random=st.randoms())
def test_order_of_features_does_not_matter(evaluate, sample, random):
    """Seen red with the last feature left out."""
    X, queries = sample
    shuffled = random.sample(range(X.shape[1]), X.shape[1])

    got = evaluate(X[:, shuffled], queries[:, shuffled])

    assert_same(got, evaluate(X, queries), evaluate)


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


@given(
    tuples_of_blocks(2),
    st.sampled_from([2.0**-9, 0.7, 1e6]),
    st.integers(-(10**6), 10**6),
)
def test_unit_and_origin_do_not_matter(sample, unit, origin):
    """Seen red with rows rounded to float32."""
    X, queries = sample
    d = X.shape[1]

    got = densities(X * unit + origin, queries * unit + origin, None, 1.3 * unit)

    expected = densities(X, queries) * [[unit**-d], [1.0]]
    error = 1e-15 * abs(origin) / unit  # of the rows themselves
    np.testing.assert_allclose(got, expected, rtol=1e-12 + 10 * error, atol=error)


@given(tuples_of_blocks(2))
def test_density_has_no_direction(sample):
    """Seen red with the left side of the kernels scaled by 1.001."""
    X, queries = sample

    got, _ = densities(-X, -queries)

    expected, _ = densities(X, queries)
    assert_same(got, expected, densities)


@each_distribution
@given(sample=tuples_of_blocks(2), data=st.data())
def test_weight_of_a_row_may_be_split(evaluate, sample, data):
    """Seen red with equal rows merged, and the weight of one."""
    X, queries = sample
    integers = arrays(np.int64, len(X), elements=st.integers(1, 9))
    part, rest = data.draw(integers), data.draw(integers)

    got = evaluate(np.vstack([X, X]), queries, np.append(part, rest))

    expected = evaluate(X, queries, part + rest)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


@each_distribution
@given(samples=tuples_of_blocks(3))
def test_union_of_samples_is_a_mixture(evaluate, samples):
    """Seen red with the last row left out."""
    A, B, queries = samples

    got = evaluate(np.vstack([A, B]), queries)

    expected = np.average(
        [evaluate(A, queries), evaluate(B, queries)], axis=0, weights=[len(A), len(B)]
    )
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


@given(tuples_of_blocks(2))
def test_cdf_grows_and_survival_falls(sample):
    """Seen red with the survival function for both."""
    X, queries = sample

    low, high = shares(X, queries), shares(X, queries + 1)

    assert (low[0] <= high[0]).all()
    assert (low[1] >= high[1]).all()
