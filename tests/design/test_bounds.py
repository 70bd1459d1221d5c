"""Bounds on the stability and the error of designs, on small pools.

With phi orthonormal functions, r the rest that they do not span, and n draws,
``g = (1 / n) sum_i w_i r_i phi_i`` is what the rest adds to the normal equations.
"""

import numpy as np
import pytest
from reference import design as reference

from kernelkit.design.bases import LegendreBasis
from kernelkit.design.continuous import BasisSource
from kernelkit.design.orthonormal import orthonormalize
from kernelkit.design.samplers import draw_design, sample_design
from kernelkit.design.solve import solve
from kernelkit.design.sources import PoolSource

RNG = np.random.default_rng(0)
F = RNG.normal(size=(8, 3))
F[0] *= 6.0
Y = RNG.normal(size=8)
MASSES = RNG.uniform(0.5, 2.0, size=8)
MASSES /= MASSES.sum()
Q = reference.orthonormal(F, MASSES)
PHI = Q / np.sqrt(MASSES)[:, None]
REST = Y - PHI @ (PHI.T @ (MASSES * Y))
LEAST = MASSES @ REST**2

DENSITY = RNG.uniform(0.2, 3.0, size=8)
DENSITY /= MASSES @ DENSITY
LAWS = [
    ("dpp", 3, {}),
    ("dpp_repeat", 7, {}),
    ("gvs", 5, {"zeta": 1.0}),
    ("volume", 5, {}),
    ("iid", 8, {}),
    ("mixture", 8, {"zeta": 0.5}),
    ("uniform", 5, {}),
    ("qr", 4, {}),
]


def stable_fits(method, n, n_designs, **options):
    """Fit Y on designs that determine the fit: designs, fits, squared errors."""
    source = PoolSource(orthonormalize(F, MASSES), options.pop("density", None))
    rng = np.random.default_rng(1)
    for _ in range(n_designs):
        design = draw_design(source, n, method, delta=None, rng=rng, **options)
        if design.lambda_min < 1e-6:
            continue
        rows, christoffel = source.rows(design.indices)
        y = Y[design.indices]
        fit = solve(rows, np.log(christoffel), design.weights, design.n_draws, y)
        phi = source.pool.Q / np.sqrt(MASSES)[:, None]
        yield design, MASSES @ np.square(Y - phi @ fit.theta)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("method", "n", "options"), [("iid", 40, {}), ("mixture", 80, {"zeta": 0.5})]
)
def test_chernoff_bounds_of_independent_draws(method, n, options):
    """One bound for the least eigenvalue, one for both ends.

    Two functions that live on a tenth and on the rest of the rows. The bounds are
    far from tight: no seed fails. Seen red with points drawn uniformly.
    """
    features = np.eye(2)[[0] + [1] * 9]
    source, rng = PoolSource(orthonormalize(features)), np.random.default_rng(0)
    designs = [
        draw_design(source, n, method, delta=None, rng=rng, **options)
        for _ in range(400)
    ]

    low = np.array([design.lambda_min for design in designs])
    high = np.array([design.lambda_max for design in designs])

    delta, largest = 0.5, 2.0 / (1.0 - options.get("zeta", 0.0))
    c = delta + (1.0 - delta) * np.log(1.0 - delta)
    assert np.mean(low < 1.0 - delta) <= 2.0 * np.exp(-c * n / largest)
    both = (1.0 + delta) * np.log(1.0 + delta) - delta
    is_far = (low < 1.0 - delta) | (high > 1.0 + delta)
    assert np.mean(is_far) <= 4.0 * np.exp(-both * n / largest)


@pytest.mark.parametrize(("method", "n", "options"), LAWS)
def test_error_of_every_fit(method, n, options):
    """At most the least error, and the weighted rest at the rows over lambda_min.

    Seen red with a least eigenvalue ten times as large.
    """
    fits = list(stable_fits(method, n, 100, **options))

    assert fits
    for design, loss in fits:
        rest = design.weights @ REST[design.indices] ** 2 / design.n_draws
        assert loss <= LEAST + rest / design.lambda_min + 1e-12


@pytest.mark.parametrize("density", [np.ones(8), DENSITY], ids=["one", "uneven"])
def test_error_of_every_fit_with_bounded_weights(density):
    """By the largest rest over the root of the density, in units of lambda_min.

    Seen red with a density of 1 in the weights.
    """
    options = {"zeta": 0.5, "density": density}
    largest = np.max(REST**2 / density)

    for design, loss in stable_fits("mixture", 6, 400, **options):
        bound = np.sqrt(largest / (0.5 * design.lambda_min))
        assert np.sqrt(loss) <= np.sqrt(LEAST) + bound
        weights = design.weights / design.counts
        assert (0.5 * weights * density[design.indices] <= 1.0 + 1e-12).all()


def rest_in_the_equations(weights, rows):
    """Squared norm of the sum that n g is, for each sequence of rows."""
    terms = (weights * REST)[:, None] * PHI
    return np.square(terms[rows].sum(axis=1)).sum(axis=1)


def weights_of(method):
    design = sample_design(F, 3000, method, measure=MASSES, delta=None, random_state=0)
    assert design.n_labels == 8
    return design.weights / design.counts


def test_rest_in_the_equations_of_independent_draws():
    """E|g|^2 is m / n times the least error, exactly: over all sequences.

    Seen red with weights that forget the masses.
    """
    weights, n = weights_of("iid"), 4
    rows = reference.tuples(8, n)
    law = (MASSES / weights)[rows].prod(axis=1)

    mean = law @ rest_in_the_equations(weights, rows) / n**2

    assert mean == pytest.approx(3 / n * LEAST, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_rest_in_the_equations_of_a_block(n):
    """The first n points of a block add no more than independent ones would.

    Blocks are independent of each other and g of each is zero on average, so that the
    bound holds for their sums as well. Seen red with weights of uniform draws.
    """
    weights = weights_of("dpp_repeat")
    rows = reference.tuples(8, n)
    law = np.zeros(len(rows))
    blocks = reference.tuples(8, 3)
    squares = np.linalg.det(Q[blocks]) ** 2 / 6.0
    places = blocks[:, :n] @ 8 ** np.arange(n)[::-1]
    np.add.at(law, places, squares)

    mean = law @ rest_in_the_equations(weights, rows) / n**2

    assert law.sum() == pytest.approx(1.0)
    assert mean <= 3 / n * LEAST + 1e-12
    means = law @ ((weights * REST)[:, None] * PHI)[rows[:, 0]]
    np.testing.assert_allclose(means, 0.0, atol=1e-12)


def noise(phi, weights):
    """Squared error that labels with noise of variance 1 add to a fit."""
    gram = phi.T @ (weights[:, None] * phi)
    return np.square(np.linalg.solve(gram, phi.T * weights)).sum()


def test_noise_in_volume_sampling():
    """At most m / (n - m + 1) times its variance, over all sets of equal masses.

    On a pool of N rows it is (N - m + 1) / N times that. Seen red with weights that
    follow the leverage.
    """
    n = 5
    phi = np.sqrt(8) * reference.orthonormal(F)
    weights = sample_design(F, 8, "volume", delta=None, random_state=0).weights

    mean = sum(
        chance * noise(phi[list(S)], weights[list(S)])
        for S, chance in reference.volume_law(phi / np.sqrt(8), n).items()
    )

    assert mean == pytest.approx(3 / (n - 3 + 1) * (8 - 3 + 1) / 8, rel=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize(("method", "n"), [("iid", 15), ("dpp_repeat", 9)])
def test_noise_with_optimal_weights(method, n):
    """At most m / n times its variance, the mean weight and 1 / lambda_min^2.

    The mean weight is 1 on average, up to 4.5 standard errors: 1 in 100,000 fails. Seen
    red with points drawn uniformly, and with a least eigenvalue ten times as large.
    """
    source = BasisSource(LegendreBasis(2, bounds=[(-1.0, 1.0)]).fit_domain())
    rng, means = np.random.default_rng(2), []
    for _ in range(400):
        design = draw_design(source, n, method, delta=None, rng=rng)
        mean = design.weights.mean()
        means.append(mean)

        phi = source.basis.transform(design.points)
        bound = 3 / n * mean / design.lambda_min**2
        assert noise(phi, design.weights) <= bound * (1.0 + 1e-9)

    allowance = 4.5 * np.std(means) / np.sqrt(len(means))
    assert np.mean(means) == pytest.approx(1.0, abs=allowance)
