"""Row weights and results of estimators of a distribution.

scikit-learn's common checks compare the methods of classifiers, regressors and
transformers only; these are their twins for `score_samples`, `cdf` and `survival`.
"""

from inspect import signature

import numpy as np
import pandas as pd
import pytest
from discovery import ESTIMATORS, labels, new, query_methods, sums_kernels

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).round(1)
Y = labels(X)
COUNTS = RNG.integers(1, 4, size=len(X))
WEIGHTS = RNG.uniform(0.1, 1.0, size=len(X))
QUERIES = RNG.normal(size=(25, 3)).round(1)
RTOL = 1e-13

CASES = [
    (Estimator, method)
    for Estimator in ESTIMATORS
    for method in query_methods(Estimator)
    if method in ("score_samples", "cdf", "survival")
]
OWN_ROWS = [
    case for case in CASES if signature(getattr(*case)).parameters["X"].default is None
]
each_density = pytest.mark.parametrize(("Estimator", "method"), CASES)


def evaluate(Estimator, method, rows, weights=None, **params):
    """Fit to weighted rows and evaluate at the queries."""
    model = new(Estimator, **params).fit(rows, labels(rows), sample_weight=weights)
    return getattr(model, method)(QUERIES)


def test_some_density_is_tested():
    assert CASES


@each_density
def test_integer_weight_is_repetition(Estimator, method):
    """Rules for a bandwidth tell many rows from few heavy ones; a number does not.

    Seen red with weights that are dropped.
    """
    params = {"bandwidth": 0.7} if sums_kernels(Estimator) else {}

    got = evaluate(Estimator, method, X, COUNTS, **params)

    expected = evaluate(Estimator, method, np.repeat(X, COUNTS, axis=0), **params)
    np.testing.assert_allclose(got, expected, rtol=RTOL)


@each_density
def test_zero_weight_is_absence(Estimator, method):
    """Seen red with weights raised to at least 1e-3."""
    kept = np.arange(len(X)) % 4 > 0

    got = evaluate(Estimator, method, X, WEIGHTS * kept)

    expected = evaluate(Estimator, method, X[kept], WEIGHTS[kept])
    np.testing.assert_allclose(got, expected, rtol=RTOL)


@each_density
@pytest.mark.parametrize("factor", [1e-300, 1e-9, 3.0, 1e300])
def test_unit_of_the_weights_does_not_matter(Estimator, method, factor):
    """Seen red with a division by the number of rows."""
    got = evaluate(Estimator, method, X, factor * WEIGHTS)

    expected = evaluate(Estimator, method, X, WEIGHTS)
    np.testing.assert_allclose(got, expected, rtol=RTOL)


@each_density
def test_equal_weights_are_no_weights(Estimator, method):
    """Seen red with equal weights kept, and a division by the number of rows."""
    got = evaluate(Estimator, method, X, np.full(len(X), 0.1))

    np.testing.assert_allclose(got, evaluate(Estimator, method, X), rtol=RTOL)


@each_density
def test_weights_may_be_a_series_or_a_list(Estimator, method):
    """Seen red with a Series that is aligned by its index."""
    shuffled = pd.Series(WEIGHTS, index=RNG.permutation(len(X)))

    of_series = evaluate(Estimator, method, X, shuffled)
    of_list = evaluate(Estimator, method, X, WEIGHTS.tolist())

    expected = evaluate(Estimator, method, X, WEIGHTS)
    np.testing.assert_array_equal(of_series, expected)
    np.testing.assert_array_equal(of_list, expected)


@each_density
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.bool_])
def test_result_is_one_float64_per_query(Estimator, method, dtype):
    """Seen red with results in the dtype of the rows."""
    model = new(Estimator).fit(X.astype(dtype), Y)

    got = getattr(model, method)(QUERIES.astype(dtype))

    assert got.shape == (len(QUERIES),)
    assert got.dtype == np.float64
    if method != "score_samples":
        assert ((got >= 0.0) & (got <= 1.0)).all()


@pytest.mark.parametrize(("Estimator", "method"), OWN_ROWS)
@pytest.mark.parametrize("weights", [None, WEIGHTS, COUNTS])
def test_no_queries_stand_for_the_training_rows(Estimator, method, weights):
    """Seen red with a training row that does not count itself."""
    evaluate_rows = getattr(new(Estimator).fit(X, Y, sample_weight=weights), method)

    got = evaluate_rows()

    np.testing.assert_allclose(got, evaluate_rows(X), rtol=RTOL)
