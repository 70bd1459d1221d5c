"""The span of centres: its factor, what is left out, and sums over its basis."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from kernelkit.nystroem.span import find_span
from kernelkit.nystroem.statistics import sum_rows

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(60, 2))
WEIGHTS = RNG.uniform(size=60)
HIDDEN = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]  # nothing on the diagonal tells


def test_factor_rebuilds_the_kernel_matrix():
    """Seen red with LAPACK's leftovers above the diagonal."""
    K = rbf_kernel(RNG.normal(size=(30, 3)))

    span = find_span(K)

    rebuilt = span.factor @ span.factor.T
    np.testing.assert_allclose(rebuilt, K[np.ix_(span.order, span.order)])
    assert (np.triu(span.factor, 1) == 0.0).all()
    assert span.rank == 30
    assert span.is_definite


def test_basis_is_orthonormal():
    """Seen red with the factor in place of its inverse."""
    K = rbf_kernel(RNG.normal(size=(30, 3)))
    basis = find_span(K).basis()

    np.testing.assert_allclose(basis.T @ K @ basis, np.eye(30), atol=1e-8)


@pytest.mark.parametrize("n_plain", [0, 1, 7, 12])
def test_whitening_equals_sums_over_the_basis(n_plain):
    """Seen red with the second division on the same side."""
    centers = RNG.normal(size=(12, 2))
    span = find_span(rbf_kernel(centers))
    H = rbf_kernel(RNG.normal(size=(60, 2)), centers)
    Z = H @ span.basis()

    sums = sum_rows(np.hstack([H[:, span.kept[:n_plain]], Z[:, n_plain:]]), Y, WEIGHTS)
    got = span.whiten(sums, n_plain)

    for name, values in vars(sum_rows(Z, Y, WEIGHTS)).items():
        np.testing.assert_allclose(getattr(got, name), values, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(span.project(H.T @ Y), Z.T @ Y, rtol=1e-6, atol=1e-6)


def test_whitening_leaves_its_input():
    """Seen red with sums overwritten."""
    H = rbf_kernel(RNG.normal(size=(60, 2)), np.eye(2))
    sums = sum_rows(H, Y[:, :1], None)
    beta = RNG.normal(size=(2, 1))
    before = sums.gram.copy(), sums.cross.copy(), beta.copy()

    span = find_span(rbf_kernel(np.eye(2)))
    span.whiten(sums, span.rank)
    span.coef(beta)

    for got, expected in zip((sums.gram, sums.cross, beta), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_repeated_centers_are_left_out():
    rows = RNG.normal(size=(5, 2))
    span = find_span(rbf_kernel(np.tile(rows, (3, 1))))

    coef = span.coef(np.ones((5, 1)))

    assert span.rank == 5
    assert span.is_definite
    assert np.count_nonzero(coef) == 5


def test_rank_of_a_linear_kernel():
    """Seen red with LAPACK's own least pivot, the rounding of float64."""
    rows = RNG.normal(size=(20, 3))

    assert find_span(rows @ rows.T).rank == 3
    assert find_span((rows @ rows.T).astype(np.float32), np.float32).rank == 3


@pytest.mark.parametrize("K", [np.zeros((3, 3)), np.zeros((0, 0))])
def test_nothing(K):
    span = find_span(K)

    assert span.rank == 0
    assert span.is_definite
    assert span.coef(np.zeros((0, 2))).tolist() == np.zeros((len(K), 2)).tolist()


@pytest.mark.parametrize("K", [[[1, 2], [2, 1]], [[-1]], [[0, 1], [1, 0]], HIDDEN])
def test_indefinite_matrices_are_told(K):
    """Seen red with the diagonal of what remains alone."""
    span = find_span(np.array(K))

    assert not span.is_definite


def test_what_is_left_out_is_rounding():
    """Seen red with a least pivot of 1e-10 for all."""
    rows = np.linspace(0.0, 1.0, 40)[:, None]
    K = np.exp(-0.5 * (rows - rows.T) ** 2)

    span = find_span(K)

    assert (np.square(span.factor.diagonal()) < 1e-12).any()
    assert np.abs(span.values @ span.values.T - K).max() < 1e-14
    assert find_span(K, least=1e-10).rank < span.rank


def test_noise_of_a_kernel_is_left_out():
    """Seen red with the pivots of noise, which exceed its rounding, kept."""
    rows = np.linspace(0.0, 1.0, 40)[:, None]
    K = np.exp(-0.5 * (rows - rows.T) ** 2)
    noise = 1e-11 * RNG.normal(size=K.shape)

    noisy = find_span(K + noise + noise.T)

    assert np.square(noisy.factor.diagonal()).min() > 1e-10
    assert noisy.is_definite


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_a_large_row_does_not_hide_the_others(size):
    """Seen red with pivots compared with the largest k(x, x)."""
    rows = RNG.normal(size=(20, 3))
    rows[7] *= size
    K = rows @ rows.T

    span = find_span(K)

    assert span.rank == 3
    assert span.is_definite
    rebuilt = span.values @ span.values.T
    np.testing.assert_allclose(rebuilt / K, 1.0, rtol=1e-6)


@pytest.mark.parametrize("large", [0, 1, 2])
def test_largest_rows_come_first(large):
    """Seen red with the order of the scaled matrix."""
    rows = np.random.default_rng(0).normal(size=(3, 3))
    rows[large] *= 1e6

    assert find_span(rows @ rows.T).order[0] == large


def test_functions_that_need_own_sums():
    """Seen red with the weights of a function that is not among the last taken.

    The second centre is near to the first, and the third is far from both.
    """
    centers = np.array([[0.0], [1e-4], [2.0]])
    span = find_span(np.exp(-((centers - centers.T) ** 2)))
    basis = span.basis()[span.order]

    assert span.lossy(1e12).shape == (3, 0)
    np.testing.assert_allclose(span.lossy(1e6), basis[:, 2:], atol=1e-12)
    np.testing.assert_allclose(span.lossy(0.0), basis, atol=1e-12)
    magnified = np.abs(span.lossy(1e6)).sum() ** 2
    assert span.lossy(1.01 * magnified).shape == (3, 0)
    assert span.lossy(0.99 * magnified).shape == (3, 1)


def test_size_of_rows_does_not_matter_to_their_digits():
    """Seen red with weights compared as they are."""
    rows = RNG.normal(size=(3, 3))
    sizes = 10.0 ** RNG.integers(-6, 6, size=(3, 1))

    span = find_span(rows @ rows.T * sizes * sizes.T)

    assert span.lossy(1e6).shape == (3, 0)
