"""The regressor: peers, identities and edge cases."""

import numpy as np
import pytest
from reference.ntk import primal
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import LinearSVR

from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.svr import NTKSVR

RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 3))
Y = np.abs(X[:, 0]) - X[:, 1] + 0.1 * RNG.standard_normal(80)
Q = RNG.standard_normal((40, 3))

TIGHT = {"tol": 1e-8, "gap_tol": 1e-11}
each_loss = pytest.mark.parametrize("loss", ["epsilon_insensitive", "squared"])


def model(**params):
    return NTKSVR(**{"depth": 2, "sigma_b": 0.3, **params})


class TestPeers:
    """Other machines say the same."""

    def test_kernel_ridge_regression(self):
        """Its penalty is 1 / (2 C). Seen red with 1 / C."""
        kernel = NeuralTangent(depth=2, sigma_b=0.3)
        peer = KernelRidge(alpha=0.25, kernel=kernel).fit(X, Y)

        got = model(loss="squared", C=2.0).fit(X, Y).predict(Q)

        np.testing.assert_allclose(got, peer.predict(Q), rtol=1e-8, atol=1e-10)

    def test_linear_support_vector_regression(self):
        """A network without hidden layers. Seen red with half of epsilon."""
        linear = NTKSVR(0, sigma_w=1.0, normalize=None, epsilon=0.3, C=0.5, **TIGHT)
        peer = LinearSVR(
            epsilon=0.3, C=0.5, fit_intercept=False, tol=1e-9, max_iter=1_000_000
        )

        got = linear.fit(X, Y).predict(Q)

        np.testing.assert_allclose(got, peer.fit(X, Y).predict(Q), atol=1e-4)

    def test_kink(self):
        """What the network of the kernel is good at: better than its linear one."""
        grid = {"C": [1.0, 10.0, 100.0]}
        deep = GridSearchCV(model(), grid).fit(X, Y)
        flat = GridSearchCV(model(depth=0), grid).fit(X, Y)

        assert deep.best_score_ > 0.95 > flat.best_score_


class TestIdentities:
    """What the mathematics promises."""

    @each_loss
    def test_no_other_function_of_the_span_is_better(self, loss):
        """Seen red with weights left out."""
        weights = RNG.uniform(0.1, 3.0, 80)
        fitted = model(loss=loss, C=2.0, **TIGHT).fit(X, Y, weights)
        epsilon = 0.1 if loss == "epsilon_insensitive" else 0.0

        K, coef = fitted.kernel_(X), fitted.dual_coef_[0]
        best = primal(loss, K, Y, 2.0 * weights, coef, epsilon)
        for _ in range(50):
            other = coef + 10.0 ** RNG.uniform(-6, 0) * RNG.standard_normal(80)
            assert best <= primal(loss, K, Y, 2.0 * weights, other, epsilon) + 1e-9

    @each_loss
    def test_outputs_are_fitted_each_alone(self, loss):
        """Seen red with the outputs in reversed order."""
        outputs = np.stack([Y, 100.0 * X[:, 0] ** 2, np.zeros(80)], axis=1)
        many = model(loss=loss).fit(X, outputs)

        assert many.predict(Q).shape == (40, 3)
        assert many.dual_coef_.shape == (3, 80)
        for k, y in enumerate(outputs.T):
            one = model(loss=loss).fit(X, y)
            assert one.predict(Q).shape == (40,)
            np.testing.assert_allclose(
                many.predict(Q)[:, k], one.predict(Q), rtol=1e-9, atol=1e-11
            )

    @each_loss
    @pytest.mark.parametrize("unit", [1e-12, 1e12])
    def test_unit_of_the_targets(self, loss, unit):
        """Seen red with a tolerance that has a unit."""
        plain = model(loss=loss).fit(X, Y)
        factor = {"squared": 1.0, "epsilon_insensitive": unit}[loss]

        other = model(loss=loss, epsilon=0.1 * unit, C=factor).fit(X, unit * Y)

        np.testing.assert_allclose(
            other.predict(Q), unit * plain.predict(Q), rtol=1e-6, atol=1e-6 * unit
        )

    @each_loss
    def test_weight_is_repetition(self, loss):
        """Seen red with the roots of the weights."""
        times = np.arange(80) % 4
        repeated = np.repeat(np.arange(80), times)

        got = model(loss=loss, **TIGHT).fit(X, Y, times)

        expected = model(loss=loss, **TIGHT).fit(X[repeated], Y[repeated])
        assert len(got.X_fit_) == 60
        np.testing.assert_allclose(got.predict(Q), expected.predict(Q), atol=1e-6)

    def test_errors_within_epsilon_cost_nothing(self):
        """Seen red with epsilon left out."""
        fitted = model(epsilon=10.0).fit(X, Y)

        assert not fitted.dual_coef_.any()
        assert len(fitted.support_) == 0
        assert fitted.dual_gap_.tolist() == [0.0]
        assert not fitted.predict(Q).any()

    def test_same_bits_for_any_number_of_threads(self):
        outputs = np.stack([Y, X[:, 0], X[:, 1] ** 2], axis=1)

        one, two = (model(n_jobs=n).fit(X, outputs) for n in (1, 2))

        np.testing.assert_array_equal(one.dual_coef_, two.dual_coef_)
        np.testing.assert_array_equal(one.predict(Q), two.predict(Q))


class TestEdges:
    """Input that is unusual, and still right or refused."""

    @each_loss
    def test_one_row(self, loss):
        """The least function that is near enough."""
        fitted = model(loss=loss, C=1e6).fit([[1.0, 2.0]], [3.0])

        error = 0.1 if loss == "epsilon_insensitive" else 0.0
        np.testing.assert_allclose(fitted.predict([[1.0, 2.0]]), 3.0 - error, rtol=1e-5)

    @each_loss
    def test_zeros(self, loss):
        """Seen red without the warning."""
        with pytest.warns(UserWarning, match=r"All training rows are zero.*sigma_b"):
            fitted = model(loss=loss, sigma_b=0.0).fit(np.zeros((4, 2)), [1, 2, 3, 4])

        assert fitted.predict([[0.0, 0.0], [1.0, 5.0]]).tolist() == [0.0, 0.0]

    @each_loss
    def test_contradictions(self, loss):
        """Between the targets."""
        fitted = model(loss=loss, C=100.0).fit([[1.0], [1.0]], [1.0, 2.0])

        np.testing.assert_allclose(fitted.predict([[1.0]]), 1.5, atol=0.41)

    def test_layouts(self):
        """Read-only, Fortran order."""
        expected = model().fit(X, Y).dual_coef_
        rows, y = np.asfortranarray(X), Y.copy()
        rows.flags.writeable = y.flags.writeable = False

        np.testing.assert_array_equal(model().fit(rows, y).dual_coef_, expected)

    def test_refusals(self):
        with pytest.raises(ValueError, match=r"[Nn]egative"):
            model().fit(X, Y, -np.ones(80))
        with pytest.raises(ValueError, match="'epsilon' parameter"):
            model(epsilon=-1.0).fit(X, Y)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            model().fit(X, Y[:-1])
