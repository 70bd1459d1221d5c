"""Active subspaces."""

import numpy as np
import pytest
from reference import rbf_network as reference

from kernelkit.rbf_network import subspace
from kernelkit.rbf_network.objective import PROFILES
from kernelkit.rbf_network.subspace import Network

RNG = np.random.default_rng(0)
N, D, M, Q = 15, 3, 5, 2
X, C = RNG.normal(size=(N, D)), RNG.normal(size=(M, D))
COEF = RNG.normal(size=(M, Q))
WEIGHTS = RNG.uniform(0.5, 2.0, size=N)
FACTORS = {
    "diag": np.array([0.5, 1.0, 0.2]),
    "rank 1": RNG.normal(size=(1, D)),
    "full": RNG.normal(size=(D, D)),
}
each_factor = pytest.mark.parametrize("U", FACTORS.values(), ids=FACTORS)


@each_factor
@pytest.mark.parametrize("profile", PROFILES)
def test_gradients_are_slopes(U, profile):
    """Seen red with the sign of the step from a centre."""
    G = subspace.gradients(X, [Network(U, C, COEF)], profile)

    for i, x in enumerate(X):
        for k in range(Q):
            expected = reference.slope(
                lambda x, k=k: (reference.basis([x], U, C, profile) @ COEF)[0, k], x
            )
            np.testing.assert_allclose(G[i, k], expected, rtol=1e-5, atol=1e-8)


@each_factor
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("cells", [2**21, 20])
@pytest.mark.parametrize("others", [[], [Network(FACTORS["full"], C[1:], COEF[1:])]])
def test_root_of_the_mean_outer_product(U, weights, cells, others, monkeypatch):
    """Seen red with rows that all weigh the same, and with the last block only."""
    monkeypatch.setattr(subspace, "_BLOCK_CELLS", cells)

    networks = [Network(U, C, COEF, 0.3), *others]

    root = subspace.agop_root(X, weights, networks, "gaussian")

    G = subspace.gradients(X, networks, "gaussian")
    shares = np.full(N, 1.0) if weights is None else weights
    expected = np.einsum("i,iqj,iqk->jk", shares / shares.sum(), G, G)
    np.testing.assert_allclose(root.T @ root, expected, atol=1e-12)


def test_few_gradients_stay_as_they_are():
    """Seen red with a matrix of all pairs of many features."""
    wide = RNG.normal(size=(2, 5000))

    network = Network(np.ones(5000), wide, COEF[:2])

    root = subspace.agop_root(wide, None, [network], "gaussian")

    assert root.shape == (2 * Q, 5000)


def test_spectrum():
    """Seen red with signs left to chance."""
    root = RNG.normal(size=(6, 4))

    values, vectors = subspace.spectrum(root)

    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, root.T @ root)
    assert (np.diff(values) <= 0).all()
    largest = np.abs(vectors).argmax(axis=0)
    assert (vectors[largest, range(4)] > 0).all()
    np.testing.assert_array_equal(subspace.spectrum(-root)[1], vectors)


def test_effective_rank():
    """Seen red with a square forgotten."""
    assert subspace.effective_rank(np.ones(4)) == pytest.approx(4.0)
    assert subspace.effective_rank(np.array([1e-200, 0.0])) == 1.0
    assert subspace.effective_rank(np.zeros(3)) == 0.0


class TestImportances:
    """Shares of features."""

    def test_of_gradients(self):
        """Seen red with eigenvalues that are not squared sizes."""
        root = RNG.normal(size=(5, 3))

        got = subspace.importances("agop", *subspace.spectrum(root), np.ones(3))

        outer = root.T @ root
        np.testing.assert_allclose(got, outer.diagonal() / outer.trace())

    @each_factor
    def test_of_the_diagonal(self, U):
        got = subspace.importances("precision_diag", *subspace.spectrum(X), U)

        P = np.diag(U**2) if U.ndim == 1 else U.T @ U
        np.testing.assert_allclose(got, P.diagonal() / P.trace())

    @each_factor
    def test_of_the_precision(self, U):
        """Seen red with squared entries of the eigenvectors."""
        got = subspace.importances("precision", *subspace.spectrum(X), U)

        P = np.diag(U**2) if U.ndim == 1 else U.T @ U
        values, vectors = np.linalg.eigh(P)
        expected = np.abs(vectors) @ np.maximum(values, 0.0)
        np.testing.assert_allclose(got, expected / expected.sum(), atol=1e-7)

    def test_of_nothing(self):
        """Seen red with a division by zero."""
        nothing = subspace.spectrum(np.zeros((2, 3)))

        assert subspace.importances("agop", *nothing, np.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("n_components", "kept"), [(None, 3), (2, 2), (9, 3), (0.5, 1), (0.95, 2), (1.0, 3)]
)
def test_number_of_directions(n_components, kept):
    """Seen red with the shares before instead of after a direction."""
    assert subspace.n_kept(n_components, np.array([7.0, 2.5, 0.5])) == kept
