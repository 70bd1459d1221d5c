"""Generated rows, weights, queries and options for every estimator.

Nightly, with ``--hypothesis-profile=nightly``, 20,000 cases each.
"""

import re

import numpy as np
import pytest
from discovery import ESTIMATORS, labels, new, outputs
from hypothesis import event, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype
from reference import TWINS
from sklearn.utils._param_validation import StrOptions

DTYPES = [np.dtype(code) for code in ("?", "i1", "u1", "i8", "u8", "f2", "f4", "f8")]
ALLOWED = re.compile("algorithm=|infinity|rescale|bandwidth")  # words of a refusal
RTOL = 1e-13


def layouts(X):
    """Lay the same numbers out in other ways."""
    return st.sampled_from(
        [X, np.asfortranarray(X), X[::-1].copy()[::-1], np.repeat(X, 2, axis=1)[:, ::2]]
    )


@st.composite
def row_blocks(draw, n_features, dtype=None):
    """Rows of few distinct numbers, hence with many ties, extreme ones among them."""
    dtype = draw(st.sampled_from(DTYPES)) if dtype is None else dtype
    numbers = from_dtype(dtype, allow_nan=False)
    few = draw(st.lists(st.one_of(numbers, st.integers(0, 1)), min_size=1, max_size=6))
    elements = st.sampled_from(np.array(few, dtype=dtype))
    shape = (draw(st.integers(1, 30)), n_features)
    return draw(layouts(draw(arrays(dtype, shape, elements=elements))))


@st.composite
def problems(draw):
    """Rows, their weights or None, and queries that share some numbers with them."""
    n_features = draw(st.integers(1, 4))
    X = draw(row_blocks(n_features))
    strange = draw(row_blocks(n_features))
    known = X[
        draw(arrays(int, array_shapes(max_dims=1), elements=st.integers(0, len(X) - 1)))
    ]
    weight = st.one_of(st.just(0.0), st.floats(1e-300, 1e300), st.integers(1, 3))
    weights = draw(st.none() | arrays(float, len(X), elements=weight))
    if weights is not None and not weights.any():
        weights[0] = 1.0
    return X, weights, draw(st.sampled_from([strange, known]))


def options(Estimator):
    """Draw the parameters that are one of some strings."""
    return st.fixed_dictionaries(
        {
            name: st.sampled_from(sorted(option.options))
            for name, constraints in Estimator._parameter_constraints.items()
            for option in constraints
            if isinstance(option, StrOptions)
        }
    )


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@given(data=st.data(), problem=problems())
def test_answer_is_right_or_refused(Estimator, data, problem):
    """Seen red with ``<`` for ``<=``, and with integers converted to float64."""
    X, weights, queries = problem
    estimator = new(Estimator, **data.draw(options(Estimator)))

    try:
        got = outputs(estimator.fit(X, labels(X), sample_weight=weights), queries)
    except ValueError as refusal:
        if not ALLOWED.search(str(refusal)):
            raise
        event("refused")
        return

    event("right")
    for method, twin in TWINS[Estimator.__name__].items():
        expected = twin(X, queries, weights)
        np.testing.assert_allclose(got[method], expected, rtol=RTOL, err_msg=method)
