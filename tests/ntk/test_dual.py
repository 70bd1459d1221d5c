"""The solvers: a general one, conditions of an optimum, identities, hostile input."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.ntk import dual, primal, train
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVR

from kernelkit.ntk._jit_dual import descend
from kernelkit.ntk.dual import Stop, norms, solve, solve_with_intercept

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
K = (1.0 + X @ X.T / 3.0) ** 2
SIGNS = np.where(X[:, 0] + 0.5 * RNG.standard_normal(40) > 0.0, 1.0, -1.0)
Y = 3.0 * X[:, 0] + RNG.standard_normal(40)
WEIGHTS = RNG.uniform(0.2, 2.0, 40)

TIGHT = Stop(tol=1e-9, gap_tol=1e-12, max_iter=1000)
LOOSE = Stop(tol=1e-3, gap_tol=1e-4, max_iter=1000)
EPSILON = 0.4

each_loss = pytest.mark.parametrize(
    "loss", ["hinge", "squared_hinge", "logistic", "squared", "epsilon_insensitive"]
)
each_factor = pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])


def targets_of(loss):
    return SIGNS if loss in ("hinge", "squared_hinge", "logistic") else Y


def epsilon_of(loss):
    return EPSILON if loss == "epsilon_insensitive" else 0.0


def run(loss, C, *, K=K, y=None, stop=TIGHT, **options):
    """Train one machine."""
    y = targets_of(loss) if y is None else y
    C = np.broadcast_to(np.asarray(C, dtype=float), y.shape)
    (machine,) = solve(
        loss, K, y[None], C[None], epsilon=epsilon_of(loss), stop=stop, **options
    )
    return machine


def slopes(loss, y, values):
    """Return the interval of slopes of a loss at each value."""
    if loss == "hinge":
        inside, outside = np.minimum(0.0, -y), np.maximum(0.0, -y)
        at = np.abs(y * values - 1.0) < 1e-6
        slope = np.where(y * values < 1.0, -y, 0.0)
        return np.where(at, inside, slope), np.where(at, outside, slope)
    if loss == "epsilon_insensitive":
        error = values - y
        slope = np.sign(error) * (np.abs(error) > EPSILON)
        at = np.abs(np.abs(error) - EPSILON) < 1e-6
        low, high = np.minimum(0.0, np.sign(error)), np.maximum(0.0, np.sign(error))
        return np.where(at, low, slope), np.where(at, high, slope)
    slope = {
        "squared_hinge": -2.0 * y * np.maximum(0.0, 1.0 - y * values),
        "logistic": -y / (1.0 + np.exp(y * values)),
        "squared": 2.0 * (values - y),
    }[loss]
    return slope, slope


class TestOptimum:
    """A machine minimizes what it says."""

    @pytest.mark.parametrize("C", [1e-3, 1.0, 30.0])
    @pytest.mark.parametrize(
        "loss", ["hinge", "squared_hinge", "squared", "epsilon_insensitive"]
    )
    def test_general_solver(self, loss, C):
        """The values are unique, unlike the coefficients of a singular matrix.

        Seen red with twice the ridge.
        """
        H, y, c = K[:25, :25].copy(), targets_of(loss)[:25], C * WEIGHTS[:25]
        machine = run(loss, c, K=H, y=y)

        epsilon = epsilon_of(loss)
        expected = train(loss, H, y, c, epsilon)
        best = primal(loss, H, y, c, expected, epsilon)
        own = primal(loss, H, y, c, machine.coef, epsilon)
        assert own <= best * (1.0 + 1e-9)
        np.testing.assert_allclose(H @ machine.coef, H @ expected, atol=2e-3)

    @each_factor
    @each_loss
    def test_conditions_of_an_optimum(self, loss, C):
        """Coefficients are minus slopes of the losses.

        Seen red with a lower bound of 0 for all rows.
        """
        machine = run(loss, C * WEIGHTS)

        low, high = slopes(loss, targets_of(loss), K @ machine.coef)
        margin = 1e-6 * max(C, 1.0)
        assert (machine.coef <= -low * C * WEIGHTS + margin).all()
        assert (machine.coef >= -high * C * WEIGHTS - margin).all()

    @each_factor
    @each_loss
    def test_gap_is_primal_minus_dual(self, loss, C):
        """Far from the optimum too. Seen red without the term of the ridge."""
        stop = Stop(1e-9, 1e-12, max_iter=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine = run(loss, C * WEIGHTS, stop=stop)

        y, epsilon, c = targets_of(loss), epsilon_of(loss), C * WEIGHTS
        assert machine.gap >= 0.0
        if loss == "logistic":  # its dual point is another one
            best = primal(loss, K, y, c, run(loss, c).coef)
            own = primal(loss, K, y, c, machine.coef)
            assert own - best <= machine.gap * own * (1.0 + 1e-9)
            return
        own = primal(loss, K, y, c, machine.coef, epsilon)
        gap = (own - dual(loss, K, y, c, machine.coef, epsilon)) / own
        np.testing.assert_allclose(machine.gap, gap, atol=1e-11)

    @each_factor
    @each_loss
    def test_gap_bounds_what_is_left(self, loss, C):
        """At the usual tolerance. Seen red with a gap of half its size."""
        machine = run(loss, C, stop=LOOSE)
        y, epsilon = targets_of(loss), epsilon_of(loss)

        own = primal(loss, K, y, C, machine.coef, epsilon)
        best = primal(loss, K, y, C, run(loss, C).coef, epsilon)

        assert machine.converged
        assert machine.gap <= 1e-4
        assert own - best <= machine.gap * own + 1e-9 * own

    @pytest.mark.parametrize("C", [0.1, 1.0])
    def test_libsvm_where_the_intercept_does_not_matter(self, C):
        """Every row comes with its mirror image, so the intercept is 0.

        Seen red with epsilon left out of `_limits`.
        """
        mirrored = np.vstack([X, -X])
        odd = mirrored @ mirrored.T + (mirrored @ mirrored.T / 10.0) ** 3
        y = np.append(Y, -Y)
        peer = SVR(kernel="precomputed", C=C, epsilon=EPSILON, tol=1e-10).fit(odd, y)

        machine = run("epsilon_insensitive", C, K=odd, y=y)

        np.testing.assert_allclose(peer.intercept_, 0.0, atol=1e-7)
        np.testing.assert_allclose(odd @ machine.coef, peer.predict(odd), atol=1e-5)


class TestDescent:
    """The compiled loop."""

    @settings(max_examples=100)
    @given(
        seed=st.integers(0, 10**6),
        n=st.integers(1, 12),
        rank=st.integers(0, 4),
        epsilon=st.sampled_from([0.0, 0.3]),
        ridge=st.sampled_from([0.0, 0.5]),
        C=st.sampled_from([0.01, 1.0, 1e4]),
    )
    def test_dual_falls_with_every_step(self, seed, n, rank, epsilon, ridge, C):
        """Repeated rows and rows of zeros included.

        Seen red without the ridge of the second coefficient in the slopes.
        """
        rng = np.random.default_rng(seed)
        rows = rng.integers(-2, 3, (n, rank)).astype(float)
        H, y = rows @ rows.T, rng.choice([-1.0, 1.0], n)
        ridges = np.full(n, ridge)
        lower, upper = (-np.full(n, C), np.full(n, C))
        if not epsilon:
            lower, upper = np.where(y < 0, -C, 0.0), np.where(y > 0, C, 0.0)
        coef, slope = np.zeros(n), -y
        options = np.arange(n), np.diag(H) + ridges, ridges, epsilon, lower, upper

        def objective():
            total = H + np.diag(ridges)
            return coef @ total @ coef / 2 - y @ coef + epsilon * np.abs(coef).sum()

        size = 1.0 + C * n
        before = objective()
        for _ in range(300):
            if not descend(H, *options, 1e-9, 1, coef, slope):
                break
            after = objective()
            assert after <= before + 1e-12 * size * (1.0 + abs(before))
            before = after
            assert (lower <= coef).all()
            assert (coef <= upper).all()
        expected = H @ coef + ridges * coef - y
        np.testing.assert_allclose(slope, expected, atol=1e-11 * size)

    def test_it_ends_soon(self):
        """Seen red with the first row as everyone's partner."""
        machine = run("hinge", 100.0, stop=LOOSE)

        assert machine.n_iter <= 2

    @pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "epsilon_insensitive"])
    def test_contradictions(self, loss):
        """Rows that are there twice, with opposite targets.

        Seen red with slopes that forget the bounds.
        """
        twice = np.vstack([X, X])
        H = twice @ twice.T
        y = np.append(SIGNS, -SIGNS)

        machine = run(loss, 5.0, K=H, y=y)

        assert machine.gap <= 1e-9
        np.testing.assert_allclose(H @ machine.coef, 0.0, atol=1e-5)

    def test_rows_of_zeros_end_at_the_bound(self):
        """In one step, without a division by 0."""
        H = np.zeros((3, 3))
        H[0, 0] = 2.0

        machine = run("hinge", 0.3, K=H, y=np.array([1.0, -1.0, 1.0]))

        np.testing.assert_array_equal(machine.coef, [0.3, -0.3, 0.3])


class TestRows:
    """Rows without weight take no part."""

    @each_loss
    def test_no_weight_is_removal(self, loss):
        """Seen red with all rows in every machine."""
        kept = np.arange(40) % 3 > 0
        y = targets_of(loss)

        machine = run(loss, kept * WEIGHTS)

        alone = run(loss, WEIGHTS[kept], K=K[np.ix_(kept, kept)].copy(), y=y[kept])
        assert not machine.coef[~kept].any()
        np.testing.assert_allclose(
            K[:, kept] @ machine.coef[kept], K[:, kept] @ alone.coef, atol=1e-8
        )

    def test_hinge_copies_nothing(self):
        """Peak memory of a pair of classes. Seen red with the part of K copied."""
        import tracemalloc

        n = 600
        H = np.eye(n) + 1.0
        y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
        C = 1.0 * (np.arange(n) < 400)
        run("hinge", C, K=H, y=y)
        tracemalloc.start()

        run("hinge", C, K=H, y=y)

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 0.1 * H.nbytes

    @each_loss
    def test_machines_do_not_know_of_each_other(self, loss):
        """Nor of the number of threads. Seen red with the first weights for all."""
        y = np.stack([targets_of(loss), -targets_of(loss), targets_of(loss)])
        C = np.stack([WEIGHTS, WEIGHTS, WEIGHTS[::-1] * (np.arange(40) % 5 > 0)])
        options = {"epsilon": epsilon_of(loss), "stop": LOOSE}

        several = solve(loss, K, y, C, n_jobs=2, **options)

        for machine, one, c in zip(several, y, C, strict=True):
            (alone,) = solve(loss, K, one[None], c[None], n_jobs=1, **options)
            np.testing.assert_allclose(machine.coef, alone.coef, rtol=1e-12, atol=1e-14)
        for machine, again in zip(
            several, solve(loss, K, y, C, n_jobs=1, **options), strict=True
        ):
            np.testing.assert_array_equal(machine.coef, again.coef)


class TestStart:
    """Where a path of C starts."""

    @each_loss
    def test_optimum_is_known_at_once(self, loss):
        """Seen red with the start left out."""
        machine = run(loss, WEIGHTS)

        again = run(loss, WEIGHTS, starts=machine.coef[None], stop=LOOSE)

        assert again.n_iter == 1
        np.testing.assert_allclose(K @ again.coef, K @ machine.coef, atol=1e-6)

    @each_loss
    def test_out_of_reach(self, loss):
        """Seen red without the clipping."""
        wild = 1e3 * RNG.standard_normal((1, 40))

        machine = run(loss, WEIGHTS, starts=wild)

        expected = K @ run(loss, WEIGHTS).coef
        np.testing.assert_allclose(K @ machine.coef, expected, atol=1e-5)


class TestNorms:
    """Lengths of the functions."""

    @each_loss
    def test_norm(self, loss):
        """Seen red with the square of it."""
        coef = run(loss, WEIGHTS).coef

        (norm,), (bound,) = norms(K, coef[None])

        expected = np.sqrt(coef @ K @ coef)
        np.testing.assert_allclose([norm, bound], expected, rtol=1e-9)
        assert norm <= bound

    @pytest.mark.parametrize("size", [1e4, 1e6, 1e8])
    def test_huge_coefficients_cancel(self, size):
        """A linear kernel, whose functions have weights. Rows of zeros included.

        Seen red with roots of ``a' K a``, and for bounds without the rounding.
        """
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((300, 3)) * np.arange(300)[:, None]
        coefs = rng.standard_normal((4, 300)) / (1.0 + np.arange(300))
        coefs -= coefs @ np.linalg.pinv(rows).T @ rows.T  # up to rounding
        coefs *= size
        coefs[:, 7] += 1.0

        norm, bound = norms(rows @ rows.T, coefs)

        wide = coefs.astype(np.longdouble) @ rows.astype(np.longdouble)
        expected = np.sqrt((wide**2).sum(axis=1)).astype(float)
        np.testing.assert_allclose(norm, expected, rtol=1e-5)
        assert (expected <= bound).all()

    def test_zeros(self):
        """A function of no length."""
        norm, bound = norms(np.zeros((2, 2)), np.array([[1.0, -1.0]]))

        assert (norm, bound) == (0.0, 0.0)


class TestEnds:
    """What happens when it does not work out."""

    @pytest.mark.parametrize("loss", ["hinge", "logistic"])
    def test_warning_says_what_is_left(self, loss):
        """Seen red without the warning."""
        big = X @ X.T * 1e4
        with pytest.warns(ConvergenceWarning, match=r"gap of up to .* or raise max"):
            machine = run(loss, 1e8, K=big, stop=Stop(1e-9, 1e-12, 1))

        assert not machine.converged

    def test_rounding_leaves_a_gap(self):
        """The squared loss, huge C, three features. Seen red with all gaps accepted."""
        rows = RNG.standard_normal((300, 3))
        y = RNG.choice([-1.0, 1.0], 300)
        with pytest.warns(ConvergenceWarning, match=r"lower C or rescale X\.$"):
            machine = run("squared", 1e10, K=rows @ rows.T, y=y)

        assert not machine.converged

    def test_newton_steps_end_with_rounding(self):
        """Seen red with steps that lead nowhere up to `max_iter`."""
        rng = np.random.default_rng(0)
        rows, y = rng.standard_normal((60, 3)), rng.choice([-1.0, 1.0], 60)
        with pytest.warns(ConvergenceWarning, match=r"lower C or rescale X\.$"):
            machine = run("logistic", 1e14, K=rows @ rows.T, y=y)

        assert machine.n_iter < 100

    def test_singular_newton_steps(self):
        """Rows that repeat, and a huge C. Seen red with the error of LAPACK."""
        H, y = np.full((4, 4), 4.0), np.array([1.0, -1.0, 1.0, 1.0])
        H[:2, 2:] = H[2:, :2] = -4.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine = run("logistic", 2.0**70, K=H, y=y)

        assert np.isfinite(machine.coef).all()

    @pytest.mark.parametrize("C", [1e6, 1e9, 1e12])
    def test_newton_steps_lead_down(self, C):
        """Seen red with conjugate gradients alone."""
        rng = np.random.default_rng(0)
        rows, y = rng.standard_normal((60, 3)), rng.choice([-1.0, 1.0], 60)

        machine = run("logistic", C, K=np.exp(rows @ rows.T / 3.0), y=y, stop=LOOSE)

        assert machine.gap <= 1e-4

    def test_steps_of_libsvm_end(self):
        """Seen red without a limit."""
        y = RNG.choice([-1.0, 1.0], (1, 40))
        with pytest.warns(ConvergenceWarning, match="terminated early"):
            (machine,) = solve_with_intercept(
                K, y, np.full((1, 40), 1e6), stop=Stop(1e-6, 1e-9, 1)
            )

        assert not machine.converged
        assert machine.n_iter == 500

    def test_singular(self):
        """Seen red with the error of LAPACK."""
        with pytest.raises(ValueError, match=r"singular up to rounding.*lower C"):
            run("squared", 1e18, K=np.ones((40, 40)))

    def test_intercept(self):
        """Seen red with the intercept left out of the gap."""
        kept = 1.0 * (np.arange(40) % 4 > 0)
        options = {"stop": Stop(1e-6, 1e-9, 1000)}

        (machine,) = solve_with_intercept(K, SIGNS[None], kept[None], **options)

        assert 0.0 <= machine.gap < 1e-6
        assert abs(machine.coef.sum()) < 1e-9
        assert machine.intercept != 0.0
        assert not machine.coef[kept == 0].any()
