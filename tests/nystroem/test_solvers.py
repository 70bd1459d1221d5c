"""Solvers against dense algebra, where sums are exact and where they lack digits."""

import numpy as np
import pytest

from kernelkit.nystroem.solvers import (
    alpha_path,
    solve_cg,
    solve_direct,
)
from kernelkit.nystroem.statistics import sum_rows

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(60, 8)) * np.geomspace(1.0, 1e-2, 8)  # values of a basis
Y = RNG.normal(size=(60, 2))
WEIGHTS = RNG.uniform(size=60)
WHITE = sum_rows(Z, Y, WEIGHTS)


def ridge(Z, y, alpha, weights=None):
    """Least squares with extra rows."""
    root = np.sqrt(np.ones(len(y)) if weights is None else weights)[:, None]
    extra = np.sqrt(alpha) * np.eye(Z.shape[1])
    rows = np.vstack([root * Z, extra])
    targets = np.vstack([root * y, np.zeros((len(extra), y.shape[1]))])
    return np.linalg.lstsq(rows, targets, rcond=None)[0]


class TestDirect:
    @pytest.mark.parametrize("alpha", [[1e-6], [0.3], [0.3, 20.0]])
    def test_solution_is_that_of_least_squares(self, alpha):
        """Seen red with the first alpha for all outputs."""
        result = solve_direct(WHITE, np.array(alpha))

        expected = np.column_stack(
            [ridge(Z, Y, a, WEIGHTS)[:, j] for j, a in enumerate(np.full(2, alpha))]
        )
        np.testing.assert_allclose(result.beta, expected, rtol=1e-7)
        assert result.has_converged

    def test_noise_beyond_alpha_is_told_and_does_no_harm(self):
        """Seen red with negative eigenvalues that became 0 and counted: 1e6 times y."""
        noise = 1e-7 * RNG.normal(size=WHITE.gram.shape)
        rows = Z.copy()
        rows[:, -3:] *= 1e-6
        exact = sum_rows(rows, Y, None)
        cross = exact.cross + 1e-7 * RNG.normal(size=exact.cross.shape)
        spoiled = type(exact)(
            exact.gram + noise + noise.T - 1e-6 * np.eye(8),
            cross,
            exact.columns,
            exact.weight,
            exact.targets,
            exact.squares,
        )

        result = solve_direct(spoiled, np.array([1e-14]))

        assert not result.has_converged
        errors = Z @ result.beta - Z @ ridge(rows, Y, 1e-6)
        assert np.abs(errors).max() < 0.1

    def test_no_basis(self):
        nothing = sum_rows(np.zeros((60, 0)), Y, None)

        result = solve_direct(nothing, np.array([1.0]))

        assert result.beta.shape == (0, 2)
        assert result.has_converged


class TestAlphaPath:
    @pytest.mark.parametrize("alpha", [1e-5, 0.1, 30.0])
    def test_every_alpha(self, alpha):
        """Seen red with the path's dimension taken from squared shares."""
        path = alpha_path(WHITE)
        beta = ridge(Z, Y, alpha, WEIGHTS)
        gram = Z.T @ (WEIGHTS[:, None] * Z)
        dimension = np.trace(gram @ np.linalg.inv(gram + alpha * np.eye(8)))

        np.testing.assert_allclose(path.beta(alpha), beta, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(path.effective_dimension(alpha), dimension)
        np.testing.assert_allclose(
            path.residual_dimension(alpha), WEIGHTS.sum() - dimension
        )
        np.testing.assert_allclose(
            path.residual_squares(alpha), WEIGHTS @ np.square(Y - Z @ beta)
        )

    def test_residuals_of_an_interpolation_keep_their_digits(self):
        """As many functions as rows. Seen red with residuals as a difference."""
        square = RNG.normal(size=(8, 8))
        path = alpha_path(sum_rows(square, Y[:8], None))
        alpha = 1e-7

        expected = alpha**2 * np.square(
            np.linalg.solve(square @ square.T + alpha * np.eye(8), Y[:8])
        ).sum(axis=0)
        np.testing.assert_allclose(path.residual_squares(alpha), expected, rtol=1e-3)

    def test_one_alpha_per_output(self):
        path = alpha_path(WHITE)

        got = path.beta(np.array([0.1, 3.0]))

        expected = [path.beta(0.1)[:, 0], path.beta(3.0)[:, 1]]
        np.testing.assert_allclose(got.T, expected)


class TestConjugateGradients:
    def solve(self, approximation, alpha=0.1, tol=1e-12, max_iter=40):
        return solve_cg(
            lambda beta: WHITE.gram @ beta,
            WHITE.cross,
            approximation,
            alpha,
            tol=tol,
            max_iter=max_iter,
        )

    def test_perfect_preconditioner_takes_one_step(self):
        """Seen red with the penalty left out of the preconditioner."""
        result = self.solve(WHITE.gram)

        np.testing.assert_allclose(result.beta, ridge(Z, Y, 0.1, WEIGHTS), rtol=1e-9)
        assert result.n_iter <= 2
        assert result.has_converged

    @pytest.mark.parametrize("factor", [0.0, 1.0, 100.0])
    def test_any_preconditioner_leads_to_the_solution(self, factor):
        """Seen red with a step that forgets its direction."""
        result = self.solve(factor * np.eye(8))

        np.testing.assert_allclose(result.beta, ridge(Z, Y, 0.1, WEIGHTS), rtol=1e-8)
        assert 2 < result.n_iter < 15

    def test_indefinite_approximation_is_repaired(self):
        result = self.solve(np.diag([-3.0, *np.ones(7)]))

        np.testing.assert_allclose(result.beta, ridge(Z, Y, 0.1, WEIGHTS), rtol=1e-8)

    def test_too_few_iterations_are_told(self):
        result = self.solve(np.zeros((8, 8)), alpha=1e-4, max_iter=2)

        assert not result.has_converged
        assert result.n_iter == 2

    def test_output_without_targets(self):
        """Seen red with 0 / 0."""
        cross = WHITE.cross * [0.0, 1.0]

        result = solve_cg(
            lambda beta: WHITE.gram @ beta,
            cross,
            np.eye(8),
            0.1,
            tol=1e-10,
            max_iter=40,
        )

        assert (result.beta[:, 0] == 0.0).all()
        assert result.has_converged
        np.testing.assert_allclose(
            result.beta[:, 1], ridge(Z, Y, 0.1, WEIGHTS)[:, 1], rtol=1e-7
        )
