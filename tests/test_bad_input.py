"""Hostile, odd and merely unusual input to every estimator.

Whatever comes in, the answer is right or a ValueError or TypeError that says why; a
warning fails the test.
"""

import re
import tempfile
import warnings
from fractions import Fraction
from functools import cache

import array_api_strict
import dask.array
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy
import sklearn
from discovery import (
    ESTIMATORS,
    QUERY_METHODS,
    WEIGHTED,
    assert_same_bits,
    labels,
    new,
    outputs,
    query_methods,
    sums_kernels,
)
from numpy.lib import NumpyVersion
from reference import TWINS, assert_right
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

RNG = np.random.default_rng(0)
GOOD = RNG.integers(-2, 3, size=(12, 2)) + RNG.integers(0, 2, size=(12, 2)) / 2

NEEDS_SCIPY = pytest.mark.skipif(
    NumpyVersion(scipy.__version__) < "1.14.0",
    reason="scikit-learn dispatches to other libraries from SciPy 1.14 on",
)
pytestmark = [
    pytest.mark.filterwarnings("ignore:The features have rank:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:The objective still fell:sklearn.exceptions.ConvergenceWarning"
    ),
    pytest.mark.filterwarnings(
        "ignore:The objective rose:sklearn.exceptions.ConvergenceWarning"
    ),
    pytest.mark.filterwarnings(
        "ignore:1 of 1 machines stopped:sklearn.exceptions.ConvergenceWarning"
    ),
    pytest.mark.filterwarnings("ignore:All training rows are zero:UserWarning"),
]
each_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)


def spoiled(value, dtype=None):
    X = GOOD.astype(dtype or np.result_type(type(value), GOOD))
    X[3, 1] = value
    return X


REFUSED = {  # what comes: X, words of the refusal
    "NaN": (spoiled(np.nan), "NaN"),
    "NaN as float32": (spoiled(np.nan, np.float32), "NaN"),
    "NaN as object": (spoiled(np.nan, object), "NaN"),
    "None": (spoiled(None, object), "NaN"),
    "pd.NA": (pd.DataFrame(spoiled(np.nan)).astype("Float64"), "NaN"),
    "polars null": (pl.DataFrame({"a": [1, None], "b": [1, 2]}), "NaN"),
    "complex": (GOOD + 1j, "[Cc]omplex"),
    "string": ("rows", "2D array|could not convert"),
    "strings": (GOOD.astype(str), "string"),
    "bytes": (GOOD.astype(bytes), "bytes"),
    "words as objects": (spoiled("low", object), "could not convert"),
    "dates": (GOOD.astype("M8[s]"), "dtype"),
    "durations": (GOOD.astype("m8[s]"), "dtype"),
    "records": (np.zeros((12, 2), dtype="f8,f8"), "dtype"),
    "ragged": ([[1.0, 2.0], [3.0]], "inhomogeneous"),
    "number": (1.0, "2D array"),
    "nothing": ([], "2D array"),
    "one dimension": (GOOD[:, 0], "2D array"),
    "three dimensions": (GOOD[None], "dim 3"),
    "no rows": (GOOD[:0], "0 sample"),
    "no columns": (GOOD[:, :0], "0 feature"),
    "masked value": (np.ma.masked_equal(GOOD, GOOD[0, 0]), "masked"),
    "pandas category": (pd.DataFrame(GOOD).astype({1: "category"}), "Column 1 is cat"),
    "polars category": (
        pl.DataFrame({"a": ["1", "2"], "b": [1, 2]}, {"a": pl.Categorical, "b": int}),
        "Column 'a' is cat",
    ),
    "dask array": (dask.array.from_array(GOOD), "Dask"),
}

REFUSED_WEIGHTS = {
    "NaN": (spoiled(np.nan)[:, 1], "NaN"),
    "infinity": (spoiled(np.inf)[:, 1], "infinity"),
    "negative": (-np.ones(12), "[Nn]egative"),
    "all zero": (np.zeros(12), "zero"),
    "sum overflows": (np.full(12, 1e308), "overflow"),
    "too few": (np.ones(11), "sample_weight.shape"),
    "two dimensions": (np.ones((12, 1)), "1D array"),
    "complex": (np.ones(12) + 1j, "[Cc]omplex"),
    "words": (np.array(["low"] * 12), "could not convert"),
    "masked value": (np.ma.masked_less(np.arange(12.0), 1.0), "masked"),
}


def as_memmap(X):
    with tempfile.TemporaryFile() as file:
        X.tofile(file)
        return np.memmap(file, dtype=X.dtype, mode="r", shape=X.shape)


def unaligned(X):
    buffer = bytearray(X.nbytes + 1)
    shifted = np.frombuffer(buffer, dtype=X.dtype, offset=1).reshape(X.shape)
    shifted[:] = X
    return shifted


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def as_matrix(X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(X)


class Subclass(np.ndarray):
    pass


LAYOUTS = {
    "list": np.ndarray.tolist,
    "object": lambda X: X.astype(object),
    "Fortran order": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "unaligned": unaligned,
    "read-only": read_only,
    "read-only Fortran order": lambda X: read_only(X.T).T,
    "memmap": as_memmap,
    "subclass": lambda X: X.view(Subclass),
    "matrix": as_matrix,
    "masked array without masked values": np.ma.array,
    "pandas": pd.DataFrame,
    "pandas, named columns": lambda X: pd.DataFrame(X, columns=["a", "b"]),
    "slice of a frame": lambda X: pd.DataFrame(np.hstack([X, X])).iloc[:, :2],
    "pandas, nullable": lambda X: pd.DataFrame(X).astype("Float64"),
    "pandas, pyarrow": lambda X: pd.DataFrame(X).astype("double[pyarrow]"),
    "polars": lambda X: pl.DataFrame(X, ["a", "b"]),
    "pyarrow": lambda X: pa.table(pd.DataFrame(X, columns=["a", "b"])),
    "array API": array_api_strict.asarray,
}

SPARSE = {
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "coo_array": sparse.coo_array,
    "csr_matrix": sparse.csr_matrix,
}


def extremes(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = [low, low + 1, 0, 1, high - 1, high]
    return np.array([(values[i % 6], values[i * i % 6]) for i in range(12)], dtype)


# Numbers that are fine: X, and the words of a refusal that is fine as well, if any.
VALUES = {
    "bool": (GOOD > 0, None),
    **{
        np.dtype(dtype).name: (extremes(dtype), None)
        for dtype in ("i1", "i2", "i4", "u1", "u2", "u4")
    },
    **{  # of which outputs of a network have no digits after the point
        np.dtype(dtype).name: (extremes(dtype), "descent diverged")
        for dtype in ("i8", "u8")
    },
    "float16": (GOOD.astype(np.float16), None),
    "float32": (GOOD.astype(np.float32), None),
    "long double": (GOOD.astype(np.longdouble), None),
    "long double beyond float64": (np.longdouble(2) ** 2000 * GOOD, "rescale|float64"),
    "beyond float64": (GOOD + np.finfo(np.longdouble).eps, "float64"),
    "integers that float64 rounds": (2**53 + RNG.integers(0, 4, (12, 2)), None),
    "floats beside them": (2.0**53 + 2.0 * RNG.integers(0, 2, (12, 2)), None),
    "objects that float64 rounds": (
        (2**53 + RNG.integers(0, 4, (12, 2))).astype(object),
        "float64",
    ),
    "lists that float64 rounds": (
        [[2**53 + i % 4, 0.5 * i] for i in range(12)],
        "float64",
    ),
    "fractions": (np.array([[Fraction(1, 3), 1], [0.5, Fraction(1, 2)]]), "float64"),
    "columns that float64 rounds": (
        pd.DataFrame({0: 2**53 + RNG.integers(0, 4, 12), 1: GOOD[:, 1]}),
        "float64",
    ),
    "infinity": (np.where(GOOD > 1, np.inf, GOOD), "infinity"),
    "both infinities": (
        np.where(abs(GOOD) > 1, np.copysign(np.inf, GOOD), GOOD),
        "infinity",
    ),
    "huge": (1e200 * GOOD, "rescale"),
    "largest": (np.finfo(float).max * np.sign(GOOD), "rescale"),
    "tiny": (1e-160 * GOOD, "rescale"),
    "smallest": (5e-324 * GOOD, "rescale"),
    "negative zero": (np.where(GOOD > 0, 0.0, -0.0), "features are zero"),
    "small spread far away": (1e8 + 1e-4 * GOOD, None),
    "one row": (GOOD[:1], "minimum of 2|bandwidth|one class"),
    "two equal rows": (GOOD[[0, 0]], "bandwidth"),
    "equal rows": (np.broadcast_to(GOOD[0], (12, 2)), "bandwidth"),
    "equal rows in bulk": (np.repeat(GOOD, 5, axis=0), None),
    "constant column": (GOOD * [1, 0], None),
    "equal columns": (np.broadcast_to(GOOD[:, :1], (12, 2)), None),
}

CONSTANT = ("negative zero", "two equal rows", "equal rows", "constant column")
NEARLY_CONSTANT = (
    "integers that float64 rounds",
    "floats beside them",
    "objects that float64 rounds",
)


@cache
def fit_to(Estimator, given):
    """Fit to `VALUES`; a refusal is returned."""
    X, _ = VALUES[given]
    with warnings.catch_warnings():
        if given in CONSTANT + NEARLY_CONSTANT:
            warnings.filterwarnings("ignore", "X is constant in", UserWarning)
        try:
            return new(Estimator).fit(X, labels(X))
        except ValueError as refusal:
            return refusal


@pytest.mark.parametrize("row", REFUSED)
@each_estimator
def test_fit_refuses(Estimator, row, record_property):
    """Seen red with the check for NaN removed from `_validation`."""
    record_property("campaign", f"bad input to {Estimator.__name__}")
    record_property("outcome", "refused")
    X, words = REFUSED[row]

    with pytest.raises((ValueError, TypeError), match=words) as refusal:
        new(Estimator).fit(X, labels(GOOD))

    if row.startswith("NaN"):
        assert Estimator.__name__ in str(refusal.value)


@pytest.mark.parametrize("row", REFUSED)
@pytest.mark.parametrize(
    ("Estimator", "method"),
    [(Estimator, m) for Estimator in ESTIMATORS for m in query_methods(Estimator)],
)
def test_method_refuses(Estimator, method, row, record_property):
    """Seen red with the check for NaN removed from `_validation`."""
    record_property("campaign", f"bad input to {Estimator.__name__}")
    record_property("outcome", "refused")
    queries, words = REFUSED[row]
    X = GOOD
    if isinstance(queries, pl.DataFrame):  # whose columns have names
        X = pl.DataFrame(GOOD, queries.columns)
    model = new(Estimator).fit(X, labels(GOOD))

    with pytest.raises((ValueError, TypeError), match=words):
        getattr(model, method)(queries)


@pytest.mark.parametrize("row", REFUSED_WEIGHTS)
@pytest.mark.parametrize("Estimator", WEIGHTED)
def test_fit_refuses_weights(Estimator, row, record_property):
    """Seen red without the check for negative, masked or too large weights."""
    record_property("campaign", f"bad input to {Estimator.__name__}")
    record_property("outcome", "refused")
    weights, words = REFUSED_WEIGHTS[row]

    with pytest.raises((ValueError, TypeError), match=words):
        new(Estimator).fit(GOOD, labels(GOOD), sample_weight=weights)


@pytest.mark.parametrize("dispatch", [False, pytest.param(True, marks=NEEDS_SCIPY)])
@pytest.mark.parametrize("layout", LAYOUTS)
@each_estimator
def test_layout_does_not_matter(Estimator, layout, dispatch, record_property):
    """Same bits, and nobody writes to the input.

    Seen red with rows sorted in place, and with an array API array kept as it is.
    """
    record_property("campaign", f"bad input to {Estimator.__name__}")
    record_property("outcome", "right")
    X = LAYOUTS[layout](GOOD)

    with sklearn.config_context(array_api_dispatch=dispatch):
        got = outputs(new(Estimator).fit(X, labels(GOOD)), X)

    np.testing.assert_array_equal(np.asarray(X, dtype=float), GOOD)
    expected = outputs(new(Estimator).fit(GOOD, labels(GOOD)), GOOD)
    assert_same_bits(got, expected)


@pytest.mark.parametrize("layout", SPARSE)
@each_estimator
def test_sparse_tag_is_true(Estimator, layout, record_property):
    """Sparse rows are multiplied in another order than dense ones.

    Seen red with the tag ``input_tags.sparse`` set, and with ``X.toarray()``.
    """
    record_property("campaign", f"bad input to {Estimator.__name__}")
    X = SPARSE[layout](GOOD)
    estimator = new(Estimator)
    if get_tags(estimator).input_tags.sparse:
        record_property("outcome", "right")
        got = outputs(estimator.fit(X, labels(GOOD)), X)
        expected = outputs(estimator.fit(GOOD, labels(GOOD)), GOOD)
        for method, values in expected.items():
            np.testing.assert_allclose(got[method], values, rtol=1e-12, atol=1e-12)
        return
    record_property("outcome", "refused")

    with pytest.raises(TypeError, match=r"[Ss]parse"):
        estimator.fit(X, labels(GOOD))

    estimator.fit(GOOD, labels(GOOD))
    for method in query_methods(Estimator):
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            getattr(estimator, method)(X)


@each_estimator
def test_dask_targets_and_weights_are_refused(Estimator):
    """Seen red with weights, and targets of designs, that were computed."""
    estimator, y = new(Estimator), labels(GOOD)
    given = dask.array.from_array(np.asarray(y))
    if estimator.__sklearn_tags__().target_tags.required:
        with pytest.raises(ValueError, match="Dask"):
            estimator.fit(GOOD, given)
    if Estimator in WEIGHTED:
        weights = dask.array.from_array(np.ones(len(GOOD)))
        with pytest.raises(ValueError, match="Dask"):
            estimator.fit(GOOD, y, sample_weight=weights)


@each_estimator
def test_every_method_has_a_slow_twin(Estimator):
    """Also one that depends on parameters.

    Seen red with the twin of `survival` removed.
    """
    methods = {method for method in QUERY_METHODS if hasattr(Estimator, method)}
    assert TWINS.get(Estimator.__name__, {}).keys() == methods


@pytest.mark.parametrize("asked", VALUES)
@pytest.mark.parametrize("given", VALUES)
@each_estimator
def test_values_are_right_or_refused(Estimator, given, asked, record_property):
    """The slow twin judges training rows and queries of all kinds in all pairs.

    Seen red with integers converted to float64, and with ``<`` for ``<=``.
    """
    record_property("campaign", f"bad input to {Estimator.__name__}")
    X, words = VALUES[given]
    queries, more_words = VALUES[asked]
    narrow = "overflow float32" if given in ("float16", "float32") else None
    allowed = "|".join(word for word in (words, more_words, narrow) if word)

    try:
        model = fit_to(Estimator, given)
        if isinstance(model, ValueError):
            raise model
        got = outputs(model, queries)
    except ValueError as refusal:
        if not (allowed and re.search(allowed, str(refusal))):
            raise
        record_property("outcome", "refused")
        return

    record_property("outcome", "right")
    assert_right(model, got, X, queries)


@pytest.mark.parametrize("given", CONSTANT)
@pytest.mark.parametrize("Estimator", filter(sums_kernels, ESTIMATORS))
def test_constant_column_is_reported(Estimator, given):
    """Seen red without the warning."""
    X, _ = VALUES[given]

    with pytest.warns(UserWarning, match="X is constant in column"):
        new(Estimator).fit(X, labels(X))


@each_estimator
def test_unfitted_methods_say_so(Estimator):
    """Seen red with a method that reads an attribute before it checks."""
    for method in query_methods(Estimator):
        with pytest.raises(NotFittedError, match=Estimator.__name__):
            getattr(new(Estimator), method)(GOOD)
