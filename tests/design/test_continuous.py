"""Draws on continuous domains, and pools that stand in for them."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from kernelkit.design import continuous
from kernelkit.design.bases import (
    ChebyshevBasis,
    FourierBasis,
    HermiteBasis,
    LegendreBasis,
)
from kernelkit.design.continuous import BasisSource, sample_pool

UNIT = [(-1.0, 1.0)]


def assert_mean(values, expected):
    """Within 4 standard errors: of right values, 1 in 16,000 fails."""
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - expected) < 4.0 * error


class TestProjectionProcess:
    """Moments that the density det^2 / m! says."""

    @pytest.mark.parametrize(
        ("basis", "product", "square"),
        [
            (LegendreBasis(1, bounds=UNIT), -1 / 3, 7 / 15),
            (ChebyshevBasis(1, bounds=UNIT), -1 / 2, 5 / 8),
            (HermiteBasis(1, loc=[0.0], scale=[1.0]), -1.0, 2.0),
        ],
    )
    def test_pairs(self, basis, product, square):
        """Seen red with independent points, and with every proposal accepted."""
        source, rng = BasisSource(basis.fit_domain()), np.random.default_rng(0)

        x = np.array([source.dpp(rng)[:, 0] for _ in range(1500)])

        assert_mean(x[:, 0] * x[:, 1], product)
        assert_mean(x[:, 0] ** 2, square)
        assert_mean(x[:, 1] ** 2, square)  # the order means nothing

    def test_pairs_on_the_circle(self):
        basis = FourierBasis(1, bounds=[(0.0, 1.0)]).fit_domain()
        source, rng = BasisSource(basis), np.random.default_rng(0)

        x = np.array([source.dpp(rng)[:, 0] for _ in range(1500)])

        assert_mean(np.cos(2.0 * np.pi * (x[:, 0] - x[:, 2])), -1 / 3)

    def test_pairs_in_two_features(self):
        """The density of a pair is (k(x,x) k(y,y) - k(x,y)^2) / (m (m - 1))."""
        bounds = [(0.0, 2.0), (-3.0, -1.0)]
        source = BasisSource(LegendreBasis(2, bounds=bounds).fit_domain())
        rng = np.random.default_rng(0)

        x = np.array([source.dpp(rng) for _ in range(800)])

        nodes, weights = np.polynomial.legendre.leggauss(4)
        grid = np.stack(np.meshgrid(nodes + 1, nodes - 2), axis=-1).reshape(-1, 2)
        masses = np.outer(weights, weights).ravel() / 4.0
        phi = source.basis.transform(grid)
        k = phi @ phi.T
        pairs = (np.outer(np.diag(k), np.diag(k)) - k**2) / 30.0
        for a in (0, 1):
            centred = grid[:, a] - grid[:, a].mean()
            expected = (centred * masses) @ pairs @ (centred * masses)
            y = x[:, :, a] - grid[:, a].mean()
            assert_mean((y.sum(axis=1) ** 2 - (y**2).sum(axis=1)) / 30.0, expected)

    def test_points_lie_in_the_domain(self):
        bounds = [(1e6, 1e6 + 1.0), (-1e-3, 0.0)]
        source = BasisSource(LegendreBasis(8, bounds=bounds).fit_domain())

        points = source.dpp(np.random.default_rng(0))

        low, high = np.transpose(bounds)
        assert points.shape == (45, 2)
        assert ((low <= points) & (points <= high)).all()


class TestRows:
    def test_rows_are_the_functions(self):
        source = BasisSource(LegendreBasis(4, bounds=UNIT * 2).fit_domain())
        points = source.measure(50, np.random.default_rng(0))

        directions, christoffel = source.rows(points)

        phi = source.basis.transform(points)
        np.testing.assert_allclose(
            directions * np.sqrt(christoffel)[:, None], phi, rtol=1e-12, atol=1e-12
        )

    def test_far_out_directions_remain(self):
        """Seen red with plain values of the polynomials, which overflow."""
        basis = HermiteBasis(600, loc=[0.0], scale=[1.0]).fit_domain()
        source = BasisSource(basis)
        points = source.christoffel(200, np.random.default_rng(0))

        directions, christoffel = source.rows(points)

        assert np.isinf(christoffel).any()
        np.testing.assert_allclose((directions**2).sum(axis=1), 1.0)


def monomials(points):
    return points[:, :1] ** np.arange(4)


def uniform(n, rng):
    return rng.uniform(-1.0, 1.0, (n, 1))


class TestPool:
    """Points that stand in for any measure."""

    @pytest.mark.parametrize("scale", [1.0, 1e200, 6e307, 1e-320])
    def test_density_need_not_be_normalized(self, scale):
        """Seen red with the density left out."""
        points, pool = sample_pool(
            monomials,
            uniform,
            lambda points: scale * np.exp(points[:, 0]),
            rng=np.random.default_rng(0),
        )

        nodes, weights = np.polynomial.legendre.leggauss(20)
        weights = weights * np.exp(nodes) / (weights @ np.exp(nodes))
        phi = pool.change.evaluate(monomials(nodes[:, None]))
        gram = (phi * weights[:, None]).T @ phi
        np.testing.assert_allclose(np.linalg.eigvalsh(gram), 1.0, atol=0.25)
        assert pool.masses @ points[:, 0] == pytest.approx(weights @ nodes, abs=0.1)

    def test_number_of_points_follows_from_the_features(self):
        """Seen red with the first number of points for all."""
        hard = LegendreBasis(25, bounds=UNIT).fit_domain()

        few, _ = sample_pool(monomials, uniform, rng=np.random.default_rng(0))
        many, pool = sample_pool(hard.transform, uniform, rng=np.random.default_rng(0))

        assert 2 * len(few) < len(many)
        fresh = hard.transform(uniform(200_000, np.random.default_rng(1)))
        phi = pool.change.evaluate(fresh)
        values = np.linalg.eigvalsh(phi.T @ phi / len(phi))
        assert values[0] > 0.75
        assert values[-1] < 1.3

    def test_too_few_points_are_told(self, monkeypatch):
        monkeypatch.setattr(continuous, "_MOST_POINTS", 1024)

        with pytest.warns(ConvergenceWarning, match="do not stand in for the measure"):
            points, _ = sample_pool(
                lambda points: points[:, :1] ** np.arange(0, 13, 4),
                lambda n, rng: rng.standard_normal((n, 1)),
                rng=np.random.default_rng(0),
            )

        assert len(points) == 2048

    @pytest.mark.parametrize("seed", range(5))
    def test_rare_features_are_found(self, seed):
        """Seen red with a pool that was enough for the features it showed."""
        _, pool = sample_pool(
            lambda points: np.hstack([np.ones_like(points), points, points > 0.9995]),
            uniform,
            rng=np.random.default_rng(seed),
        )

        assert pool.rank == 3

    def test_features_that_are_zero_at_first(self):
        """Seen red with an error, as all features are zero on one half."""
        _, pool = sample_pool(
            lambda points: 1.0 * (points > 0.9995),
            uniform,
            rng=np.random.default_rng(0),
        )

        assert pool.rank == 1

    def test_a_density_that_is_zero_at_first(self):
        """Seen red with an error."""
        points, pool = sample_pool(
            np.ones_like,
            uniform,
            lambda points: 1.0 * (points[:, 0] > 0.9995),
            rng=np.random.default_rng(0),
        )

        assert (points[pool.masses > 0.0] > 0.9995).all()

    def test_dependent_features_are_told_once(self):
        """Seen red with a warning for each number of points."""
        with pytest.warns(UserWarning, match="depend linearly") as caught:
            _, pool = sample_pool(
                lambda points: np.hstack([points, 2.0 * points]),
                uniform,
                rng=np.random.default_rng(0),
            )

        assert pool.rank == len(caught) == 1

    @pytest.mark.parametrize(
        ("density", "words"),
        [
            (lambda points: -np.ones(len(points)), r"nonnegative.*Got -1.0 at \["),
            (lambda points: np.full(len(points), np.nan), "Got nan at"),
            (lambda points: np.full(len(points), np.inf), "Got inf at"),
            (lambda points: np.zeros(len(points)), "zero at all of 4096 points"),
            (lambda points: np.ones((len(points), 1)), r"expected shape \(1024,\)"),
        ],
    )
    def test_wrong_density_is_refused(self, density, words, monkeypatch):
        monkeypatch.setattr(continuous, "_MOST_POINTS", 2048)

        with pytest.raises(ValueError, match=words):
            sample_pool(monomials, uniform, density, rng=np.random.default_rng(0))
