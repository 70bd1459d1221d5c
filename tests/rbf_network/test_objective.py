"""Objectives: values by their definition, gradients by differences."""

import tracemalloc

import numpy as np
import pytest
from reference import rbf_network as reference

from kernelkit.rbf_network import objective
from kernelkit.rbf_network.objective import PROFILES, Rows
from kernelkit.rbf_network.structure import structure

RNG = np.random.default_rng(0)
N, D, M = 24, 4, 6
X = RNG.normal(size=(N, D))
Y = RNG.normal(size=(N, 2)) + np.array([1.0, -3.0])
C = RNG.normal(size=(M, D))
WEIGHTS = RNG.uniform(0.5, 2.0, size=N)
CLASSES = np.eye(3)[RNG.integers(0, 3, size=N)]
COEF, INTERCEPT = RNG.normal(size=(M, 3)), RNG.normal(size=3)
ALPHA = 0.3

STRUCTURES = {
    "iso": (structure("iso", D), np.array([0.7])),
    "diag": (structure("diag", D), RNG.uniform(0.3, 1.0, size=D)),
    "rank 1": (structure("low_rank", D, 1), 0.5 * RNG.normal(size=D)),
    "rank 2": (structure("low_rank", D, 2), 0.5 * RNG.normal(size=2 * D)),
    "full": (structure("full", D), 0.5 * RNG.normal(size=D * D)),
}
each_profile = pytest.mark.parametrize("profile", PROFILES)
each_structure = pytest.mark.parametrize("name", STRUCTURES)
each_way = pytest.mark.parametrize(
    ("weights", "block_rows"), [(None, None), (WEIGHTS, None), (WEIGHTS, 7), (None, 1)]
)


def regression(name, rows, U, C, alpha=ALPHA):
    if name == "evidence":
        return objective.evidence(rows, U, C, np.log(alpha))
    return objective.ridge(rows, U, C, alpha)


def assert_close(got, expected):
    """Compare gradients, relative to the largest entry."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=0.0, atol=1e-6 * scale)


class TestValues:
    """The slow twins say the same."""

    @each_profile
    @each_way
    @pytest.mark.parametrize("name", ["evidence", "ridge"])
    def test_regression(self, name, profile, weights, block_rows):
        """Seen red without the product of the drifts."""
        rows = Rows(X, Y, weights, profile=profile, block_rows=block_rows)
        U = STRUCTURES["rank 2"][0].factor(STRUCTURES["rank 2"][1])

        got = regression(name, rows, U, C).value

        twin = getattr(reference, name)
        expected = twin(X, Y, weights, U, C, ALPHA, profile)
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-10)

    @each_profile
    @each_way
    @pytest.mark.parametrize("n_logits", [1, 3])
    def test_classes(self, n_logits, profile, weights, block_rows):
        """Seen red with the weights of rows squared."""
        classes, coef = CLASSES[:, :n_logits], COEF[:, :n_logits]
        rows = Rows(X, classes, weights, profile=profile, block_rows=block_rows)
        U = STRUCTURES["full"][0].factor(STRUCTURES["full"][1])
        arguments = U, C, coef, INTERCEPT[:n_logits], ALPHA

        got = rows.cross_entropy(*arguments).value

        expected = reference.cross_entropy(X, classes, weights, *arguments, profile)
        assert got == pytest.approx(expected, rel=1e-10)

    @each_way
    def test_means(self, weights, block_rows):
        """Seen red with the drift from the first estimate left out."""
        U = STRUCTURES["diag"][1]
        normal = Rows(X, Y, weights, block_rows=block_rows).normal(U, C)

        phi = reference.basis(X, U, C)
        np.testing.assert_allclose(normal.means, np.average(phi, 0, weights))
        np.testing.assert_allclose(normal.target_means, np.average(Y, 0, weights))

    @each_way
    def test_squares(self, weights, block_rows):
        """Seen red with the rows of the first block in all."""
        U = STRUCTURES["diag"][1]
        rows = Rows(X, Y, weights, block_rows=block_rows)
        solution = objective.solve(rows.normal(U, C), ALPHA)

        got = rows.mean_square(U, C, solution)

        errors = Y - solution.intercept - reference.basis(X, U, C) @ solution.coef
        expected = np.average((errors**2).mean(axis=1), weights=weights)
        assert got == pytest.approx(expected, rel=1e-10)

    def test_profiles(self):
        """Seen red with a wrong constant in "matern52"."""
        U = STRUCTURES["rank 2"][0].factor(STRUCTURES["rank 2"][1])
        for profile in PROFILES:
            got = objective.basis(X, U, C, profile)
            np.testing.assert_allclose(got, reference.basis(X, U, C, profile), 1e-12)


class TestGradients:
    """Central differences say the same."""

    @each_profile
    @each_structure
    @each_way
    @pytest.mark.parametrize("objective_", ["evidence", "ridge"])
    def test_precision(self, objective_, name, profile, weights, block_rows):
        """Seen red with the sign of a slope, and without row weights in it."""
        shape, parameters = STRUCTURES[name]
        rows = Rows(X, Y, weights, profile=profile, block_rows=block_rows)

        found = regression(objective_, rows, shape.factor(parameters), C)

        expected = reference.slope(
            lambda p: regression(objective_, rows, shape.factor(p), C).value, parameters
        )
        assert_close(shape.gradient(found.U), expected)

    @each_profile
    @each_structure
    @pytest.mark.parametrize("objective_", ["evidence", "ridge"])
    def test_centers(self, objective_, name, profile):
        """Seen red with the centres' own part left out."""
        shape, parameters = STRUCTURES[name]
        rows, U = Rows(X, Y, WEIGHTS, profile=profile), shape.factor(parameters)

        found = regression(objective_, rows, U, C)

        expected = reference.slope(
            lambda moved: regression(objective_, rows, U, moved).value, C
        )
        assert_close(found.C, expected)

    @each_way
    def test_penalty(self, weights, block_rows):
        """Seen red with the number of targets left out."""
        rows = Rows(X, Y, weights, block_rows=block_rows)
        U = STRUCTURES["diag"][1]

        found = objective.evidence(rows, U, C, -1.0)

        expected = reference.slope(
            lambda log: objective.evidence(rows, U, C, log[0]).value, [-1.0]
        )
        assert_close(found.log_alpha, expected[0])

    @each_profile
    @each_structure
    @pytest.mark.parametrize("n_logits", [1, 3])
    def test_classes(self, n_logits, name, profile):
        """Seen red with a gradient in the weights that forgets their penalty."""
        shape, parameters = STRUCTURES[name]
        classes = CLASSES[:, :n_logits]
        rows = Rows(X, classes, WEIGHTS, profile=profile, block_rows=10)
        at = shape.factor(parameters), C, COEF[:, :n_logits], INTERCEPT[:n_logits]

        def value(place, moved):
            arguments = [*at[:place], moved, *at[place + 1 :]]
            return rows.cross_entropy(*arguments, ALPHA).value

        found = rows.cross_entropy(*at, ALPHA)

        expected = reference.slope(lambda p: value(0, shape.factor(p)), parameters)
        assert_close(shape.gradient(found.U), expected)
        for place, got in enumerate([found.C, found.coef, found.intercept], start=1):
            expected = reference.slope(
                lambda moved, k=place: value(k, moved), at[place]
            )
            assert_close(got, expected)


class TestLimits:
    """Numbers at the end of what can be computed."""

    def test_targets_without_noise(self):
        """Seen red without a floor of the noise."""
        found = objective.evidence(Rows(X, np.zeros((N, 1))), np.ones(D), C, 0.0)

        assert np.isfinite(found.value)
        assert np.isfinite(found.U).all()

    def test_equal_centers_are_solved_for(self):
        """Seen red without the jitter."""
        normal = Rows(X, Y).normal(np.ones(D), np.repeat(C[:1], 5, axis=0))

        solution = objective.solve(normal, 1e-300)

        assert np.isfinite(solution.coef).all()

    def test_overflow_has_no_solution(self):
        """Seen red with a factor whose last entry is not looked at."""
        normal = Rows(X, Y).normal(np.ones(D), C)

        normal.gram[:] = np.nan

        assert objective.solve(normal, 1.0) is None

    def test_rows_far_away_are_nearly_zero(self):
        """Seen red without the least exponent, which keeps products from denormals."""
        phi = objective.basis(np.full((1, D), 1e9), np.ones(D), C, "gaussian")

        assert (phi > 1e-50).all()
        assert (phi < 1e-40).all()

    def test_slope_of_a_peak_is_none(self):
        """Seen red with a division by the distance 0."""
        slope = objective.slopes(C, np.ones(D), C, "laplace")

        assert np.isfinite(slope).all()

    def test_far_logits(self):
        """Seen red with the exponential of a logit."""
        losses, errors = objective.log_loss(np.array([[800.0]]), np.zeros((1, 1)))

        assert losses[0] == 800.0
        assert errors[0, 0] == 1.0

        losses, errors = objective.log_loss(np.array([[800.0, 0.0]]), np.eye(2)[1:])

        assert losses[0] == 800.0
        assert errors.tolist() == [[1.0, -1.0]]


def test_blocks_do_not_matter():
    """Seen red with a block that is not evaluated again."""
    U = STRUCTURES["full"][0].factor(STRUCTURES["full"][1])
    whole, parts = Rows(X, Y, WEIGHTS), Rows(X, Y, WEIGHTS, block_rows=5)

    for name in ("evidence", "ridge"):
        expected = regression(name, whole, U, C)
        got = regression(name, parts, U, C)
        assert got.value == pytest.approx(expected.value, rel=1e-12)
        np.testing.assert_allclose(got.U, expected.U, rtol=1e-8)


@each_profile
@pytest.mark.parametrize("alpha", [1.0, 1e-2, 1e-4, 1e-6])
def test_float32_is_near(alpha, profile):
    """Seen red with sums in float32, whose rounding is as large as a small penalty."""
    rng = np.random.default_rng(0)
    X, C = rng.normal(size=(400, D)), rng.normal(size=(60, D))
    Y = np.sin(2.0 * X[:, :1]) + X[:, 1:2] * X[:, 2:3]
    U = 0.3 * np.ones(D)

    single = Rows(X.astype(np.float32), Y.astype(np.float32), profile=profile)
    got = objective.evidence(single, U, C, np.log(alpha))

    expected = objective.evidence(Rows(X, Y, profile=profile), U, C, np.log(alpha))
    assert got.value == pytest.approx(expected.value, abs=1e-3)
    scale = np.abs(expected.U).max()
    np.testing.assert_allclose(got.U, expected.U, atol=0.05 * scale)


@each_profile
def test_memory_is_five_matrices(profile):
    rows = Rows(np.repeat(X, 100, axis=0), np.repeat(Y, 100, axis=0), profile=profile)
    many = RNG.normal(size=(100, D))

    tracemalloc.start()
    objective.evidence(rows, np.ones(D), many, 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak <= 5 * 100 * N * len(many) * 8
