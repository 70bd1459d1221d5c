"""Generated rows, weights, queries and options for every estimator.

Nightly, with ``--hypothesis-profile=nightly``, 20,000 cases each.
"""

import re

import numpy as np
import pytest
from discovery import ESTIMATORS, fit, new, outputs, sums_kernels
from hypothesis import event, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype
from reference import assert_right
from sklearn.utils._param_validation import StrOptions

DTYPES = [np.dtype(code) for code in ("?", "i1", "u1", "i8", "u8", "f2", "f4", "f8")]
HARD = np.array([-np.inf, -0.0, 0.0, 1.0, 2.0**53, 2.0**62, 2.0**63, np.inf])
# Words of a refusal.
ALLOWED = re.compile(
    "algorithm=|infinity|rescale|bandwidth|2 classes|weights add up|zeta > 0|"
    "features are zero|minimum of 2|raise alpha|step has no slope|lower C|"
    "held-out rows|descent diverged"
)

GIVEN = {  # what the twins compute
    "kernel": "rbf",
    "solver": "direct",
    "scoring": None,
    "class_weight": None,
    "cv": None,
}


def layouts(X):
    """Lay the same numbers out in other ways."""
    return st.sampled_from(
        [X, np.asfortranarray(X), X[::-1].copy()[::-1], np.repeat(X, 2, axis=1)[:, ::2]]
    )


def successors(values):
    """Return the next larger number of the dtype, which a wider one may not tell."""
    if values.dtype.kind == "f":
        return np.nextafter(values, values.dtype.type(np.inf))
    if values.dtype.kind == "b":
        return ~values
    return np.where(values == np.iinfo(values.dtype).max, values, values + 1)


@st.composite
def row_blocks(draw, n_features, like):
    """Rows of few distinct numbers, hence with many ties, some of them like others."""
    dtype = draw(st.sampled_from(DTYPES))
    with np.errstate(all="ignore"):  # numbers that the dtype does not hold
        hard, like = HARD.astype(dtype), like.astype(dtype)
        numbers = from_dtype(dtype, allow_nan=False) | st.sampled_from(hard)
        few = np.array(draw(st.lists(numbers, min_size=1, max_size=3)), dtype=dtype)
        few = np.concatenate([few, successors(few), like])
    shape = (draw(st.integers(1, 30)), n_features)
    return draw(layouts(draw(arrays(dtype, shape, elements=st.sampled_from(few)))))


@st.composite
def problems(draw):
    """Rows, their weights or None, and queries."""
    n_features = draw(st.integers(1, 4))
    X = draw(row_blocks(n_features, like=np.empty(0)))
    queries = draw(row_blocks(n_features, like=X.ravel()[:3]))
    weight = st.just(0.0) | st.integers(1, 3) | st.floats(1e-300, 1e300)
    weights = draw(st.none() | arrays(float, len(X), elements=weight))
    if weights is not None and not weights.any():
        weights[0] = 1.0
    return X, weights, queries


def options(Estimator):
    """Draw the parameters that are one of some strings."""
    names = new(Estimator).get_params()
    given = {name: value for name, value in GIVEN.items() if name in names}
    if sums_kernels(Estimator):
        given = {}
    if "n_centers" in names:  # a network, of which the twins compute any
        given = {"n_centers": 5, "max_iter": 3}
    return st.fixed_dictionaries(
        {
            name: st.sampled_from(sorted(option.options))
            for name, constraints in Estimator._parameter_constraints.items()
            for option in constraints
            if isinstance(option, StrOptions)
        }
        | {name: st.just(value) for name, value in given.items()}
    )


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:The features have rank:UserWarning")
@pytest.mark.filterwarnings("ignore:(X|y) is constant:UserWarning")
@pytest.mark.filterwarnings("ignore:sample_weight counts rows:UserWarning")
@pytest.mark.filterwarnings("ignore:No column survived:UserWarning")
@pytest.mark.filterwarnings(
    "ignore:The objective still fell:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.filterwarnings(
    "ignore:The objective rose:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.filterwarnings(
    "ignore:Cross-validation was still gaining:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.filterwarnings(
    "ignore:No design had a least:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.filterwarnings("ignore:Cross-validation chose the least:UserWarning")
@pytest.mark.filterwarnings("ignore:All training rows are zero:UserWarning")
@pytest.mark.filterwarnings(
    "ignore:1 of 1 machines stopped:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.filterwarnings(
    "ignore:Independent components were:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.filterwarnings("ignore:There are no independent components:UserWarning")
@given(data=st.data(), problem=problems())
def test_answer_is_right_or_refused(Estimator, data, problem):
    """Seen red with ``<`` for ``<=``, and with integers converted to float64."""
    X, weights, queries = problem
    estimator = new(Estimator, **data.draw(options(Estimator)))

    try:
        model = fit(estimator, X, weights)
        got = outputs(model, queries)
    except ValueError as refusal:
        if not ALLOWED.search(str(refusal)):
            raise
        event("refused")
        return

    event("right")
    assert_right(model, got, X, queries, weights)
