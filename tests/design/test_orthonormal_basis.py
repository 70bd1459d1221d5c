"""Any features, orthonormal on the rows of a sample."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from kernelkit.design.bases import LegendreBasis
from kernelkit.design.orthonormal_basis import OrthonormalBasis

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
QUERIES = RNG.normal(size=(15, 3))
WEIGHTS = RNG.integers(0, 4, size=80)

BASES = {
    "columns": None,
    "polynomials": PolynomialFeatures(3),
    "sparse": SplineTransformer(4, extrapolation="linear", sparse_output=True),
    "nystroem": Nystroem(n_components=20, random_state=0),
    "random features": RBFSampler(n_components=20, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), PolynomialFeatures(2)),
    "other law": LegendreBasis(degree=2, clip=True),
}
each_base = pytest.mark.parametrize("name", BASES)
pytestmark = pytest.mark.filterwarnings("ignore:The features have rank 16 on")


def values(name, rows):
    """Evaluate the features themselves."""
    if BASES[name] is None:
        return rows
    features = clone(BASES[name]).fit(X).transform(rows)
    return features.toarray() if name == "sparse" else features


@each_base
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_orthonormal_on_the_rows(name, weights):
    """Seen red with weights that are dropped."""
    basis = OrthonormalBasis(BASES[name]).fit(X, sample_weight=weights)

    phi = basis.transform(X)

    mean = np.average(phi[:, :, None] * phi[:, None, :], axis=0, weights=weights)
    np.testing.assert_allclose(mean, np.eye(basis.n_components_), atol=1e-9)


@pytest.mark.parametrize("named", [False, True])
def test_rows_without_weight_are_as_absent(named):
    """Seen red with a transformer fitted to all rows."""
    rows = pd.DataFrame(X, columns=list("abc")) if named else X
    base = make_pipeline(StandardScaler(), LegendreBasis(2))
    weights = np.where(np.abs(X).max(axis=1) < 1.5, 1.0, 0.0)

    basis = OrthonormalBasis(base).fit(rows, X[:, 0], sample_weight=weights)

    expected = OrthonormalBasis(base).fit(rows[weights > 0.0])
    few = rows[weights > 0.0]
    np.testing.assert_allclose(basis.transform(few), expected.transform(few))


@each_base
def test_same_span_everywhere(name):
    """Seen red with rows of the training sample in place of the queries."""
    basis = OrthonormalBasis(BASES[name]).fit(X)

    phi, at_queries = basis.transform(X), basis.transform(QUERIES)

    coefficients = phi.T @ values(name, X) / len(X)
    got = at_queries @ coefficients
    np.testing.assert_allclose(got, values(name, QUERIES), atol=1e-8)


def test_weight_is_repetition():
    """Seen red with weights not passed on."""
    base = PolynomialFeatures(2)
    repeated = np.repeat(X, WEIGHTS, axis=0)

    got = OrthonormalBasis(base).fit(X, sample_weight=WEIGHTS).transform(QUERIES)

    expected = OrthonormalBasis(base).fit(repeated).transform(QUERIES)
    np.testing.assert_allclose(got, expected, atol=1e-11)


def test_dependent_features_are_dropped():
    """Seen red with the names of all features."""
    doubled = np.hstack([X, X])

    with pytest.warns(UserWarning, match="rank 3 .* 3 of 6 depend"):
        basis = OrthonormalBasis().fit(doubled)

    assert basis.n_components_ == 3
    assert basis.transform(doubled).shape == (80, 3)
    assert list(basis.get_feature_names_out()) == [
        f"orthonormalbasis{j}" for j in range(3)
    ]


def test_frames_keep_their_names_inside():
    """Seen red with arrays handed to the transformer: it looks for a column."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abc")).assign(group=np.arange(80) % 3)
    base = ColumnTransformer(
        [("wave", PolynomialFeatures(2), ["c"]), ("group", OneHotEncoder(), ["group"])]
    )
    basis = OrthonormalBasis(base, tol=1e-9).set_output(transform="pandas")

    with pytest.warns(UserWarning, match="rank 5"):
        basis.fit(frame)

    phi = basis.transform(frame)
    assert phi.shape == (80, 5)
    assert list(phi.columns) == list(basis.get_feature_names_out())
    with pytest.raises(ValueError, match="feature names should match"):
        basis.transform(frame[["b", "a", "c", "group"]])


@each_base
def test_transformer_is_cloned_and_survives_a_pickle(name):
    """Seen red with the caller's transformer fitted, and with the rows kept."""
    base = None if BASES[name] is None else clone(BASES[name])
    basis = OrthonormalBasis(base).fit(X)

    again = pickle.loads(pickle.dumps(basis))

    np.testing.assert_array_equal(again.transform(QUERIES), basis.transform(QUERIES))
    assert base is None or not hasattr(base, "n_features_in_")
    more = OrthonormalBasis(base).fit(np.tile(X, (50, 1)))
    assert len(pickle.dumps(more)) < len(pickle.dumps(basis)) + 1000


def test_features_that_overflow_are_refused():
    """Seen red with the check removed."""
    with pytest.raises(ValueError, match="rescale X"):
        OrthonormalBasis(PolynomialFeatures(2)).fit(1e200 * X)


@pytest.mark.parametrize("tol", [-1e-9, 1.0, np.nan, "auto"])
def test_wrong_tolerance_is_named(tol):
    """Seen red with the check removed."""
    with pytest.raises(ValueError, match="'tol' parameter of OrthonormalBasis must be"):
        OrthonormalBasis(tol=tol).fit(X)
