"""Error bounds of kernel machines."""

import numpy as np
import pytest
from scipy.stats import norm

from kernelkit.ntk.bounds import error_bound

METHODS = ("pac_bayes", "rademacher")


def problem(n=400, *, n_machines=1, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (n, n_machines))
    decisions = size * signs * rng.uniform(0.2, 1.5, (n, n_machines))
    return decisions, signs, rng.uniform(0.5, 2.0, n), np.full(n_machines, 2.5)


def bound(method, decisions, signs, K_diag, norms, *, delta=0.05, n_support=30):
    return error_bound(method, decisions, signs, K_diag, norms, n_support, delta)


def kl(p, q):
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def test_pac_bayes_solves_its_inequality():
    """Seen red with the grid's size left out of the logarithm."""
    decisions, signs, K_diag, norms = problem()
    result = bound("pac_bayes", decisions, signs, K_diag, norms)
    margins = (signs * decisions)[:, 0] / (norms[0] * np.sqrt(K_diag))
    n = len(margins)
    best = 1.0
    for mu in np.logspace(-1, 2.5, 60):
        risk = norm.cdf(-mu * margins).mean()
        distance = (mu**2 / 2 + np.log(2 * np.sqrt(n) * 60 / 0.05)) / n
        grid = np.linspace(risk, 1, 200_001)[1:-1]
        best = min(best, grid[kl(risk, grid) <= distance].max())
    assert result.bound == pytest.approx(2 * best, abs=2e-5)


def test_rademacher_is_the_sum_of_its_terms():
    """Seen red with the norm in place of the power of 2."""
    decisions, signs, K_diag, norms = problem()
    result = bound("rademacher", decisions, signs, K_diag, norms, delta=0.2)
    n = len(signs)
    ramp = np.clip(1 - (signs * decisions)[:, 0], 0, 1).mean()
    share = 0.2 / (2 * 3)  # the norm 2.5 is in the second ball, of radius 4
    chance = 3 * np.sqrt(np.log(2 / share) / (2 * n))
    expected = ramp + 2 * 4 * np.sqrt(K_diag.sum()) / n + chance
    assert result.machine_bounds == pytest.approx([expected], rel=1e-12)


def test_loo_counts_support():
    """Seen red with one row too few."""
    result = bound("loo", *problem(), n_support=100)
    assert (result.bound, result.delta, result.vacuous) == (0.25, None, False)


@pytest.mark.parametrize("method", METHODS)
class TestBound:
    def test_machines_share_delta_and_add_up(self, method):
        """Seen red with the whole of delta given to each machine."""
        decisions, signs, K_diag, norms = problem(n_machines=3, size=3.0)
        result = bound(method, decisions, signs, K_diag, norms)
        alone = [
            bound(method, decisions[:, [j]], signs[:, [j]], K_diag, norms[[j]],
                  delta=0.05 / 3).machine_bounds[0]
            for j in range(3)
        ]  # fmt: skip
        np.testing.assert_allclose(result.machine_bounds, alone, rtol=1e-12)
        assert result.bound == pytest.approx(min(1.0, sum(alone)))

    def test_more_confidence_costs(self, method):
        """Seen red without delta."""
        bounds = [
            bound(method, *problem(), delta=delta).machine_bounds[0]
            for delta in (0.5, 0.05, 1e-6)
        ]
        assert bounds[0] < bounds[1] < bounds[2]

    def test_rows_on_neither_side_are_never_wrong(self, method):
        """Seen red with their margins counted."""
        decisions, signs, K_diag, norms = problem()
        half = signs.copy()
        half[::2] = 0.0
        whole = bound(method, decisions, signs, K_diag, norms)
        assert (
            bound(method, decisions, half, K_diag, norms).machine_bounds
            < whole.machine_bounds
        )

    def test_more_rows_make_it_tighter(self, method):
        """Seen red with 100 rows whatever they are."""
        few, many = (
            bound(method, *problem(n)).machine_bounds[0] for n in (400, 40_000)
        )
        assert many < few

    def test_zero_machine_says_nothing(self, method):
        """Seen red with margins 0 / 0."""
        decisions, signs, K_diag, _ = problem()
        result = bound(method, 0 * decisions, signs, K_diag, np.zeros(1))
        assert result.bound == 1.0
        assert result.vacuous


def test_no_cosine_is_beyond_1():
    """With a norm that rounding made small. Seen red with cosines as they come."""
    _, signs, K_diag, _ = problem()
    right = signs * np.sqrt(K_diag)[:, None]
    small, true = (
        bound("pac_bayes", right, signs, K_diag, np.full(1, norm)).bound
        for norm in (0.01, 1.0)
    )
    assert small == true


@pytest.mark.statistical
@pytest.mark.parametrize("method", METHODS)
def test_bounds_hold_on_random_labels(method):
    """A linear machine fitted to noise errs on half of new rows; no bound is below.

    False alarms: at most 20 * 0.05 bounds may fail on average if bounds were sharp;
    four or more of 20 fail with probability below 0.02, and seeds are fixed.
    Seen red with margins taken a hundredfold.
    """
    failures = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(200, 150)), rng.choice([-1.0, 1.0], 200)
        w = np.linalg.lstsq(X, y, rcond=None)[0]
        result = bound(
            method, (X @ w)[:, None], y[:, None], (X**2).sum(1),
            np.array([np.linalg.norm(w)]),
        )  # fmt: skip
        failures += result.bound < 0.5
    assert failures < 4
