"""Orthonormal columns: identities, invariances and hostile features."""

import tracemalloc

import numpy as np
import pytest

from kernelkit.design.orthonormal import orthonormalize

RNG = np.random.default_rng(0)
F = RNG.standard_normal((200, 6)) + 2.0
MASSES = RNG.uniform(size=200)


def deviation(Q):
    return np.abs(Q.T @ Q - np.eye(Q.shape[1])).max()


def outlier(F):
    F = F.copy()
    F[7] *= 1e6
    return F


def nearly_dependent(size):
    return np.column_stack([F, F[:, 0] + size * np.sin(F[:, 1])])


FULL_RANK = {
    "gaussian": F,
    "one column": F[:, :1],
    "square": F[:6],
    "outlier": outlier(F),
    "two steps": nearly_dependent(1e-5),
    "beyond Cholesky": nearly_dependent(1e-9),
    "scales": F * 10.0 ** np.array([-300, -160, -10, 0, 160, 300]),
    "Vandermonde": np.vander(np.linspace(0.0, 1.0, 300), 20),
}
DEPENDENT = {  # features and their rank
    "copies": (np.hstack([F, F[:, :2]]), 6),
    "few rows": (F[:4], 4),
    "zero column": (np.insert(F, 2, 0.0, axis=1), 6),
    "equal rows": (np.ones((5, 3)), 1),
    "sum": (np.column_stack([F, F.sum(axis=1)]), 6),
}


@pytest.mark.parametrize("case", FULL_RANK)
@pytest.mark.parametrize("masses", [None, "random"])
def test_columns_are_orthonormal_and_span_the_features(case, masses):
    """Seen red with one Cholesky step only, and without the powers of 2."""
    features = FULL_RANK[case]
    masses = MASSES[: len(features)] if masses and len(features) <= 200 else None

    pool = orthonormalize(features, masses)

    change = pool.change
    assert pool.rank == features.shape[1]
    assert pool.n_dropped == 0
    assert deviation(pool.Q) < 1e-13
    assert abs(pool.leverage.sum() - pool.rank) < 1e-12
    weighted = np.ldexp(features[:, change.kept], -change.exponents)
    weighted *= np.sqrt(pool.masses)[:, None]
    np.testing.assert_allclose(pool.Q @ change.R, weighted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", DEPENDENT)
def test_dependent_features_are_dropped_with_one_warning(case):
    """Seen red with a tolerance of zero, and with the rank in place of the count."""
    features, rank = DEPENDENT[case]
    n_dropped = features.shape[1] - rank

    message = f"rank {rank} .* {n_dropped} of {features.shape[1]} depend"
    with pytest.warns(UserWarning, match=message) as caught:
        pool = orthonormalize(features)

    assert len(caught) == 1
    assert (pool.rank, pool.n_dropped) == (rank, n_dropped)
    assert deviation(pool.Q) < 1e-13
    fitted = pool.Q @ (pool.Q.T @ features)
    np.testing.assert_allclose(fitted, features, rtol=0, atol=1e-13)


def test_leverage_is_the_diagonal_of_the_hat_matrix():
    """Seen red with the masses left out."""
    pool = orthonormalize(F, MASSES)

    B = np.sqrt(MASSES / MASSES.sum())[:, None] * F
    hat = B @ np.linalg.pinv(B)
    np.testing.assert_allclose(pool.leverage, np.diag(hat), rtol=1e-12)
    np.testing.assert_allclose(pool.masses, MASSES / MASSES.sum(), rtol=1e-14)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-5, 1e200, 1e307])
def test_scale_of_a_column_does_not_matter(size):
    """Seen red without the powers of 2."""
    scaled = F.copy()
    scaled[:, 1] *= size

    got = orthonormalize(scaled).leverage

    rtol = 1e-12 if size > 1e-300 else 1e-2  # of a denormal, few digits are left
    np.testing.assert_allclose(got, orthonormalize(F).leverage, rtol=rtol)


@pytest.mark.parametrize("size", [1e-300, 1e-3, 1e307])
def test_scale_of_the_masses_does_not_matter(size):
    """Seen red with masses that are not normalised, and with a sum that overflows."""
    got = orthonormalize(F, size * MASSES)

    expected = orthonormalize(F, MASSES)
    np.testing.assert_allclose(got.leverage, expected.leverage, rtol=1e-12)
    np.testing.assert_allclose(got.masses, expected.masses, rtol=1e-12)


@pytest.mark.parametrize("features", [F, np.hstack([F, F])], ids=["free", "dependent"])
@pytest.mark.filterwarnings("ignore:The features have rank")
def test_row_without_mass_counts_as_removed(features):
    """Seen red with a factorisation that leaves dust in the first rows, and with the
    scale of all rows.
    """
    masses = MASSES.copy()
    masses[:50] = 0.0
    features = 1e-8 * features
    features[:25] = 1e307

    pool = orthonormalize(features, masses)

    expected = orthonormalize(features[50:], masses[50:])
    assert not pool.Q[:50].any()
    assert not pool.leverage[:50].any()
    np.testing.assert_allclose(pool.Q[50:], expected.Q, atol=1e-12)


@pytest.mark.parametrize("name", ["copies", "few rows", "zero column", "sum"])
@pytest.mark.filterwarnings("ignore:The features have rank")
def test_order_of_rows_does_not_matter(name):
    """Seen red without a preference among equals, and with signs left to LAPACK."""
    features, _ = DEPENDENT[name]
    expected = orthonormalize(features)
    rng = np.random.default_rng(1)
    for _ in range(20):
        order = rng.permutation(len(features))

        pool = orthonormalize(features[order])

        assert pool.change.kept.tolist() == expected.change.kept.tolist()
        np.testing.assert_allclose(pool.Q, expected.Q[order], atol=1e-12)


@pytest.mark.parametrize("shape", [(6,), (6, 3)])
@pytest.mark.filterwarnings("ignore:The features have rank")
def test_coefficients_map_back_to_the_features(shape):
    """Seen red with the columns of R in another order than the kept features."""
    features = np.column_stack([F[:, 3], np.zeros(200), 1e9 * F])
    theta = np.random.default_rng(2).standard_normal(shape)

    pool = orthonormalize(features)
    beta = pool.to_features(theta)

    assert beta.shape == (8, *shape[1:])
    assert not beta[1].any()
    phi = pool.change.evaluate(features)
    np.testing.assert_allclose(phi * np.sqrt(pool.masses)[:, None], pool.Q, atol=1e-12)
    np.testing.assert_allclose(features @ beta, phi @ theta, atol=1e-10)


def test_outlier_has_leverage_one():
    """Seen red with an outlier of factor 10."""
    leverage = orthonormalize(outlier(F)).leverage

    assert leverage[7] == pytest.approx(1.0, abs=1e-9)
    assert (leverage >= 0.0).all()


def test_rank_follows_the_tolerance():
    """Seen red with the tolerance ignored."""
    features = nearly_dependent(1e-4)

    assert orthonormalize(features, tol=1e-6).rank == 7
    with pytest.warns(UserWarning, match="rank 6"):
        assert orthonormalize(features, tol=1e-2).rank == 6


def test_nothing_to_span_is_refused():
    """Seen red with the refusal removed: an empty Q."""
    masses = np.array([1.0, 0.0, 1.0])
    features = np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])

    with pytest.raises(ValueError, match="All features are zero on the rows"):
        orthonormalize(features, masses)


@pytest.mark.parametrize("is_dependent", [False, True])
@pytest.mark.filterwarnings("ignore:The features have rank")
def test_memory_grows_with_the_features_only(is_dependent):
    """Nothing of the size rows times rows. Seen red with ``Q @ Q.T``."""
    features = np.random.default_rng(0).standard_normal((5000, 8))
    if is_dependent:
        features[:, 0] = features[:, 1]
    tracemalloc.start()

    orthonormalize(features)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * features.nbytes
