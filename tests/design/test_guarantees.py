"""What theory promises of designs, measured: seeds are fixed, margins are stated."""

from functools import cache

import numpy as np
import pytest

from kernelkit.design.bases import HermiteBasis, LegendreBasis
from kernelkit.design.continuous import BasisSource
from kernelkit.design.least_squares import DesignLeastSquares
from kernelkit.design.samplers import draw_design, sample_design
from kernelkit.design.solve import solve

NODES, NODE_MASSES = np.polynomial.legendre.leggauss(200)
NODE_MASSES = NODE_MASSES / 2.0


@cache
def legendre(m, n_features=1):
    """A source with all polynomials of degree below m."""
    bounds = [(-1.0, 1.0)] * n_features
    return BasisSource(LegendreBasis(m - 1, bounds=bounds).fit_domain())


def project(f, m):
    """Project a function on polynomials: coefficients, squared norm of the rest."""
    phi = legendre(m).basis.transform(NODES[:, None])
    theta = phi.T @ (NODE_MASSES * f(NODES))
    return theta, NODE_MASSES @ np.square(f(NODES) - phi @ theta)


@cache
def fits(f, m, n, method, n_designs, **options):
    """Fit a function on independent designs.

    Returns errors of coefficients, (n_designs, m), in units of the norm of the rest.
    """
    rng, source = np.random.default_rng(0), legendre(m)
    theta, rest = project(f, m)
    options = {"delta": None, **options}
    errors = []
    for _ in range(n_designs):
        design = draw_design(source, n, method, rng=rng, **options)
        rows, christoffel = source.rows(design.points)
        y = f(design.points[:, 0])
        fit = solve(rows, np.log(christoffel), design.weights, design.n_draws, y)
        errors.append(fit.theta - theta)
    return np.array(errors) / np.sqrt(rest)


def quasi_optimality(errors):
    """Squared error of each fit, as a multiple of the least possible one."""
    return 1.0 + np.square(errors).sum(axis=1)


def z_scores(errors):
    return errors.mean(axis=0) / (errors.std(axis=0) / np.sqrt(len(errors)))


def steep(x):
    return np.exp(2.0 * x)


def bell(x):
    return 1.0 / (1.0 + 5.0 * x**2)


class TestUnbiasedness:
    """Of 6 coefficients, none is off by 4.5 standard errors: 1 in 24,000 fails."""

    @pytest.mark.parametrize(("method", "n"), [("dpp", 6), ("gvs", 9)])
    def test_fits_are_unbiased(self, method, n):
        """Seen red with independent points instead of a block at the start of "gvs"."""
        errors = fits(steep, 6, n, method, 800)

        assert np.abs(z_scores(errors)).max() < 4.5

    def test_interpolants_have_the_variance_of_theory(self):
        """Each coefficient's is the squared norm of the rest: 1 within 20 percent.

        Its standard error is about 5 percent, but tails are heavy: 1 in 100 fails.
        """
        errors = fits(steep, 6, 6, "dpp", 800)

        variances = errors.var(axis=0)
        assert ((variances > 0.8) & (variances < 1.2)).all()

    def test_independent_points_are_biased(self):
        """The control: the test above can fail."""
        errors = fits(steep, 6, 9, "iid", 800)

        assert np.abs(z_scores(errors)).max() > 6.0

    def test_blocks_are_biased_by_little(self):
        errors = fits(steep, 6, 12, "dpp_repeat", 800)

        assert np.abs(errors.mean(axis=0)).max() < 0.15


class TestStability:
    """How often the least eigenvalue is at least 1/2."""

    @staticmethod
    def share_of_stable(source, n, method, n_designs):
        rng = np.random.default_rng(0)
        designs = [
            draw_design(source, n, method, delta=None, rng=rng)
            for _ in range(n_designs)
        ]
        return np.mean([design.lambda_min >= 0.5 for design in designs])

    @pytest.mark.parametrize(
        ("method", "least", "most"),
        [("dpp_repeat", 0.85, 1.0), ("iid", 0.0, 0.45), ("uniform", 0.0, 0.2)],
    )
    def test_ten_polynomials_from_sixty_points(self, method, least, most):
        """True shares are near 0.94, 0.24 and 0.12: 1 in 1,000 fails."""
        share = self.share_of_stable(legendre(10), 60, method, 150)

        assert least <= share <= most

    @pytest.mark.parametrize(
        ("method", "least", "most"), [("dpp_repeat", 0.75, 1.0), ("iid", 0.0, 0.25)]
    )
    def test_fiftyfive_polynomials_in_two_features(self, method, least, most):
        """True shares are near 0.95 and 0.05: 1 in 1,000 fails."""
        share = self.share_of_stable(legendre(10, 2), 550, method, 30)

        assert least <= share <= most

    @pytest.mark.parametrize("seed", range(5))
    def test_automatic_numbers_are_stable(self, seed):
        regressor = DesignLeastSquares(random_state=seed)

        regressor.fit_function(
            lambda points: bell(points[:, 0]), LegendreBasis(9, bounds=[(-1, 1)])
        )

        assert regressor.lambda_min_ >= 0.5
        assert regressor.n_labels_ <= 80


class TestQuasiOptimality:
    """The error of a fit, next to the least possible error."""

    @pytest.mark.parametrize(("n", "most"), [(20, 2.1), (30, 1.5), (50, 1.25)])
    def test_blocks(self, n, most):
        """True means are near 1.75, 1.33 and 1.15.

        Standard errors are near 0.1, 0.04 and 0.01, from 150 designs.
        """
        errors = fits(bell, 10, n, "dpp_repeat", 150)

        assert quasi_optimality(errors).mean() < most

    @pytest.mark.parametrize(("method", "n"), [("iid", 60), ("dpp_repeat", 40)])
    def test_bound_of_stable_designs(self, method, n):
        """At most 1 + (m / n) / (1 - delta)^2 / P(stable), with delta 1/2.

        A failure takes 3 standard errors beyond a bound that is far off itself.
        """
        errors = fits(bell, 10, n, method, 150, delta=0.5)

        stable = TestStability.share_of_stable(legendre(10), n, method, 150)
        losses = quasi_optimality(errors)
        allowance = 3.0 * losses.std() / np.sqrt(len(losses))
        assert losses.mean() < 1.0 + (10 / n) * 4.0 / stable + allowance

    def test_bound_in_the_largest_error(self):
        """Bounded weights: no fit is worse than twice the best one in sup norm, added.

        ``|f - fit| <= |f - v| + sup |f - v| / sqrt((1 - delta) zeta)`` for any
        polynomial v: it holds for every stable design, not on average.
        """

        def kink(x):
            return np.abs(x - 0.3)

        chebyshev = np.polynomial.Chebyshev.interpolate(kink, 9)
        difference = kink(NODES) - chebyshev(NODES)
        norm = np.sqrt(NODE_MASSES @ difference**2)
        bound = norm + 2.0 * np.abs(difference).max()
        _, rest = project(kink, 10)

        losses = quasi_optimality(
            fits(kink, 10, 60, "mixture", 150, zeta=0.5, delta=0.5)
        )

        assert np.sqrt(losses * rest).max() < bound

    def test_estimates_of_the_error(self):
        """On average the estimate is too careful, by less than half.

        It leaves out one of n points, so that it sees designs that are less stable.
        """
        source, rng = legendre(10), np.random.default_rng(0)
        theta, rest = project(bell, 10)
        errors, estimates = [], []
        for _ in range(100):
            design = draw_design(source, 50, "dpp_repeat", rng=rng)
            rows, christoffel = source.rows(design.points)
            y = bell(design.points[:, 0])
            fit = solve(rows, np.log(christoffel), design.weights, 50, y)
            errors.append(rest + np.square(fit.theta - theta).sum())
            estimates.append(fit.loo_error)

        assert 1.0 < np.mean(estimates) / np.mean(errors) < 1.5

    def test_removal_keeps_what_matters(self):
        losses = quasi_optimality(
            fits(bell, 10, 40, "dpp_repeat", 40, delta=0.5, reduce_to=1.2)
        )

        assert losses.mean() < 2.2  # near 1.6


class TestRecovery:
    """A function of the span is found, whatever the points."""

    @pytest.mark.parametrize(
        ("method", "n", "options"),
        [
            ("dpp", 8, {}),
            ("dpp_repeat", 20, {}),
            ("gvs", 12, {}),
            ("volume", 12, {}),
            ("iid", 40, {}),
            ("uniform", 60, {}),
            ("mixture", 40, {"zeta": 0.5}),
            ("dpp_repeat", 24, {"reduce_to": 1.1}),
        ],
    )
    @pytest.mark.parametrize(
        "basis",
        [
            LegendreBasis(7, bounds=[(-1.0, 1.0)]),
            HermiteBasis(7, loc=[0.0], scale=[1.0]),
        ],
    )
    def test_coefficients_are_recovered(self, method, n, options, basis):
        source = BasisSource(basis.fit_domain())
        theta = np.arange(1.0, 9.0)
        rng = np.random.default_rng(0)

        design = draw_design(source, n, method, delta=None, rng=rng, **options)
        rows, christoffel = source.rows(design.points)
        y = source.basis.transform(design.points) @ theta
        fit = solve(rows, np.log(christoffel), design.weights, design.n_draws, y)

        assert fit.lambda_min > 1e-6
        np.testing.assert_allclose(fit.theta, theta, rtol=1e-9)

    def test_a_point_where_functions_overflow(self):
        """Seen red with targets times the roots of weights, which are zero there."""
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((20, 3))
        rows /= np.linalg.norm(rows, axis=1)[:, None]
        log_christoffel = np.where(np.arange(20) < 4, 1400.0, 1.0)
        theta = np.array([1.0, -2.0, 0.5])
        y = rows @ theta * np.exp(0.5 * log_christoffel)
        y[10:] += rng.standard_normal(10)
        weights = np.where(np.arange(20) < 4, 0.0, 3.0 / np.e)

        fit = solve(rows, log_christoffel, weights, 20, y)

        A = np.sqrt(3.0) * rows
        b = np.sqrt(3.0) * y / np.exp(0.5 * log_christoffel)
        np.testing.assert_allclose(fit.theta, np.linalg.lstsq(A, b)[0], rtol=1e-10)
        values = np.linalg.eigvalsh(A.T @ A / 20)
        assert fit.lambda_min == pytest.approx(values[0])
        double = solve(rows, log_christoffel, 2 * weights, 20, y, np.full(20, 6.0))
        np.testing.assert_allclose(double.theta, fit.theta, rtol=1e-10)

    @pytest.mark.parametrize("params", [{}, {"sampling": "mixture", "zeta": 0.5}])
    def test_polynomials_of_high_degree_are_recovered(self, params):
        """Seen red with weights of zero far out, and without the share of a mixture."""
        degrees = [[0], [3], [400], [410], [420]]
        basis = HermiteBasis(index_set=degrees, loc=[0.0], scale=[1.0])
        theta = np.array([0.0, 1.0, -2.0, 0.0, 0.5])

        def polynomial(points):
            return basis.fit([[0.0]]).transform(points) @ theta

        regressor = DesignLeastSquares(
            n_samples=60, delta=None, random_state=0, **params
        ).fit_function(polynomial, basis)

        source = BasisSource(basis.on_known_domain())
        _, log_christoffel = source.log_rows(regressor.design_.points)
        assert (log_christoffel > 710.0).any()
        assert regressor.lambda_min_ == pytest.approx(regressor.design_.lambda_min)
        np.testing.assert_allclose(regressor.coef_, theta, atol=1e-8)

    @pytest.mark.parametrize("method", ["iid", "dpp_repeat", "dpp"])
    def test_optimal_weights_have_a_constant_trace(self, method):
        source, rng = legendre(8), np.random.default_rng(0)
        n = 8 if method == "dpp" else 24

        design = draw_design(source, n, method, delta=None, rng=rng)

        rows, christoffel = source.rows(design.points)
        trace = (design.weights * christoffel * np.square(rows).sum(axis=1)).mean()
        assert trace == pytest.approx(8.0, rel=1e-12)


class TestPool:
    """Heavy tails in six features and their squares: 13 functions, 26 labels."""

    @staticmethod
    @cache
    def problem():
        rng = np.random.default_rng(0)
        X = rng.standard_t(3, size=(5000, 6))
        F = np.column_stack([np.ones(5000), X, X**2])
        y = np.sin(X).sum(axis=1) + np.abs(X[:, 0]) ** 1.5
        residuals = y - F @ np.linalg.lstsq(F, y)[0]
        return F, y, np.mean(residuals**2)

    def losses(self, method, n_designs, **options):
        F, y, least = self.problem()
        losses = []
        for seed in range(n_designs):
            regressor = DesignLeastSquares(
                fit_intercept=False,
                sampling=method,
                delta=None,
                random_state=seed,
                **options,
            ).fit(F, y)
            losses.append(np.mean(np.square(y - regressor.predict(F))) / least)
        return np.array(losses)

    def test_blocks_beat_uniform_rows(self):
        """A mean over uniform designs is heavy-tailed, so that more only raise it."""
        blocks = self.losses("dpp_repeat", 40, n_samples=26)
        uniform = self.losses("uniform", 40, n_samples=26)

        assert blocks.mean() < 2.5
        assert blocks.mean() < 0.2 * uniform.mean()

    def test_the_best_26_of_104(self):
        losses = self.losses("dpp_repeat", 20, n_samples=104, reduce_to=26)

        assert losses.mean() < 1.6


def test_designs_of_a_pool_are_those_of_its_features():
    F, y, _ = TestPool.problem()
    design = sample_design(F, 52, random_state=3, count="labels")

    regressor = DesignLeastSquares(
        n_samples=52, fit_intercept=False, random_state=3
    ).fit(F, y)

    np.testing.assert_array_equal(regressor.design_.indices, design.indices)
