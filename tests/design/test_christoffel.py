"""Draws by squared basis functions: exact distribution functions and moments.

Statistical tests have fixed seeds and state their false-alarm rates.
"""

import numpy as np
import pytest
from numpy.polynomial import Legendre
from scipy import special, stats

from kernelkit.design import christoffel
from kernelkit.design._jit_bases import hermite_distribution, hermite_draws
from kernelkit.design.bases import (
    ChebyshevBasis,
    FourierBasis,
    HermiteBasis,
    LegendreBasis,
)

BASES = {
    "legendre": LegendreBasis(bounds=[(-1.0, 2.0), (10.0, 10.5)]).fit_domain(),
    "chebyshev": ChebyshevBasis(bounds=[(-1.0, 2.0), (10.0, 10.5)]).fit_domain(),
    "fourier": FourierBasis(bounds=[(-1.0, 2.0), (10.0, 10.5)]).fit_domain(),
    "hermite": HermiteBasis(loc=[1.0, -5.0], scale=[2.0, 0.1]).fit_domain(),
}
LAWS = {
    "legendre": christoffel.legendre,
    "chebyshev": christoffel.chebyshev,
    "hermite": christoffel.hermite,
}
each_basis = pytest.mark.parametrize("name", BASES)
each_law = pytest.mark.parametrize("name", LAWS)
each_degree = pytest.mark.parametrize("degree", [0, 1, 5, 20])


def legendre_cdf(degree, x):
    """Integrate a polynomial exactly."""
    square = Legendre.basis(degree) ** 2
    return (degree + 0.5) * square.integ(lbnd=-1)(x)


def chebyshev_cdf(degree, x):
    """Integrate cos^2 over the angle."""
    angle = np.pi - np.arccos(x)
    if degree == 0:
        return angle / np.pi
    return (angle + np.sin(2 * degree * angle) / (2 * degree)) / np.pi


def hermite_cdf(degree, x):
    """Sum a density over a fine grid."""
    nodes = np.linspace(-25.0, 25.0, 400_001)
    log_size = -0.5 * special.gammaln(degree + 1.0) - 0.25 * nodes**2
    density = np.exp(log_size) * special.eval_hermitenorm(degree, nodes)
    density = density**2 / np.sqrt(2.0 * np.pi)
    below = np.cumsum(density) - 0.5 * density
    return np.interp(x, nodes, below * (nodes[1] - nodes[0]))


CDFS = {"legendre": legendre_cdf, "chebyshev": chebyshev_cdf, "hermite": hermite_cdf}


@each_law
@each_degree
def test_draws_follow_the_distribution_function(name, degree):
    """Kolmogorov and Smirnov. False alarms: 1e-4 in each of 12 cases.

    Seen red with draws for the next degree, with angles that do not move, and with
    uniform proposals.
    """
    degrees = np.full((5000, 4), degree)

    draws = LAWS[name](degrees, np.random.default_rng(0))

    assert draws.shape == (5000, 4)
    result = stats.kstest(draws.ravel(), lambda x: CDFS[name](degree, x))
    assert result.pvalue > 1e-4


@each_law
def test_each_draw_has_its_own_degree(name):
    """False alarms: 1e-4 in each of 9 cases. Seen red with degrees read by columns."""
    degrees = np.tile([[1, 20, 5]], (7000, 1))

    draws = LAWS[name](degrees, np.random.default_rng(1))

    for column, degree in zip(draws.T, degrees[0], strict=True):
        assert stats.kstest(column, lambda x: CDFS[name](degree, x)).pvalue > 1e-4  # noqa: B023


@each_basis
def test_weighted_draws_make_the_gram_matrix_the_identity(name):
    """The mean of ``w phi phi'``, where ``w = m / |phi|^2``.

    False alarms: up to 325 entries at 4.5 standard errors, 2e-3. Seen red with every
    second function never drawn, with one function for all points, and with draws of the
    law of the domain.
    """
    basis = BASES[name]
    m = basis.n_components_

    X = christoffel.draw(basis, 60_000, np.random.default_rng(2))

    directions, _ = basis.directions(X)
    for j in range(m):
        products = m * directions[:, j:] * directions[:, [j]]
        errors = products.std(axis=0) / np.sqrt(len(X))
        deviations = np.abs(products.mean(axis=0) - np.eye(m)[j, j:])
        assert (deviations <= 4.5 * errors + 1e-12).all()


@pytest.mark.parametrize(("name", "second"), [("legendre", 7 / 15), ("hermite", 2.0)])
def test_second_moment_of_two_functions(name, second):
    """By hand, for 1 and x. False alarms: 1e-5. Seen red with draws of the law."""
    one = {"loc": [0.0], "scale": 1.0} if name == "hermite" else {"bounds": [(-1, 1)]}
    basis = type(BASES[name])(degree=1, **one).fit_domain()

    squares = christoffel.draw(basis, 20_000, np.random.default_rng(3)) ** 2

    error = squares.std() / np.sqrt(len(squares))
    assert abs(squares.mean() - second) < 4.4 * error


@each_basis
def test_draws_are_inside_and_repeat_themselves(name):
    """Seen red with a generator of its own."""
    basis = BASES[name]

    X = christoffel.draw(basis, 500, np.random.default_rng(4))

    assert X.shape == (500, 2)
    low, high = basis.domain.bounds.T
    assert ((low <= X) & (high >= X)).all()
    again = christoffel.draw(basis, 500, np.random.default_rng(4))
    np.testing.assert_array_equal(X, again)
    assert len(np.unique(X)) == X.size


def test_rejected_proposals_are_replaced():
    """Seen red with one round of proposals only: the rest was not written."""
    degrees = np.random.default_rng(5).integers(0, 40, size=3001)

    for seed in range(20):
        draws = christoffel.legendre(degrees, np.random.default_rng(seed))

        assert (np.abs(draws) <= 1.0).all()
        assert len(np.unique(draws)) == len(draws)


def test_no_draws():
    """Seen red with the maximum of an empty array."""
    for basis in BASES.values():
        assert christoffel.draw(basis, 0, np.random.default_rng(0)).shape == (0, 2)


class TestHermiteDistribution:
    """Its formula, and its inverse."""

    @pytest.mark.parametrize("degree", [0, 1, 2, 5, 20, 60])
    def test_equals_the_integral(self, degree):
        """Seen red with ``sqrt(j)`` missing from the sum."""
        x = np.linspace(-20.0, 20.0, 201)

        got = np.array([hermite_distribution(degree, value)[0] for value in x])

        np.testing.assert_allclose(got, hermite_cdf(degree, x), atol=1e-7)

    @pytest.mark.parametrize("degree", [0, 1, 5, 20, 100, 1000])
    def test_is_inverted(self, degree):
        """Seen red with Newton steps that are not safeguarded."""
        rng = np.random.default_rng(6)
        goals = np.array([0.0, 1e-12, 0.25, 0.5, 1.0 - 1e-12, *rng.random(200)])

        x = hermite_draws(np.full(len(goals), degree), goals)

        got = np.array([hermite_distribution(degree, value)[0] for value in x])
        assert np.isfinite(x).all()
        np.testing.assert_allclose(got, goals, atol=1e-12)

    @pytest.mark.parametrize("degree", [400, 1000, 5000])
    def test_high_degree_has_the_arcsine_law_in_the_mean(self, degree):
        """As in the semiclassical limit. Seen red without scaling near overflow."""
        turn = np.sqrt(4.0 * degree + 2.0)
        for share in (-0.9, -0.3, 0.2, 0.8):
            below, _ = hermite_distribution(degree, share * turn)

            assert abs(below - 0.5 - np.arcsin(share) / np.pi) < 1.0 / degree
