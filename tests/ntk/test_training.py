"""Descent in weights and in functions."""

from itertools import product

import numpy as np
import pytest

from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.network import Activation, Network
from kernelkit.ntk.training import (
    Descent,
    Loss,
    Training,
    _batches,
    descend_functions,
    rows_for_rate,
    safe_learning_rate,
)

LOSSES = ("hinge", "squared_hinge", "logistic", "squared", "epsilon_insensitive")


def network(depth=1, width=6, *, n_copies=2, activation="relu", seed=0):
    return Network.draw(
        [2, *[width] * depth, 1],
        n_copies=n_copies,
        rng=np.random.default_rng(seed),
        dtype="float64",
        sigma_w=2**0.5,
        sigma_b=0.5,
        activation=Activation(activation, (0.2, 1.0)),
        scale_inputs=True,
    )


def data(n=12, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, np.sign(X[:, :1] * X[:, 1:]), rng.uniform(0.5, 2.0, n)


def parameters(net):
    return np.concatenate([p.ravel() for p in net.parameters])


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_are_derivatives(name):
    """Seen red with half the slope of the squared hinge."""
    loss = Loss(name, 0.3)
    f = np.random.default_rng(0).normal(size=200) * 3
    y = np.where(np.arange(200) % 2, 1.0, -1.0)
    slopes = (loss.values(f + 1e-6, y) - loss.values(f - 1e-6, y)) / 2e-6
    np.testing.assert_allclose(loss.slopes(f, y), slopes, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_far_values_stay_finite(name):
    """Seen red with the logarithm of an overflown exponential."""
    f, y = np.array([-1e8, 1e8]), np.array([1.0, 1.0])
    assert np.isfinite(Loss(name).values(f, y)).all()
    assert np.isfinite(Loss(name).slopes(f, y)).all()


@pytest.mark.parametrize("regularizer", ["distance", "last_layer", "last_layer_scaled"])
@pytest.mark.parametrize("loss", ["logistic", "squared"])
class TestTraining:
    def training(self, loss, regularizer, rate=1e-3, n_steps=1):
        X, y, w = data()
        net = network()
        rng = np.random.default_rng(8)
        descent = Descent(Loss(loss), 0.3, rate, n_steps)
        training = Training(net, X, y, w, descent, regularizer)
        for parameter in net.parameters:  # as after some steps
            parameter += 0.1 * rng.normal(size=parameter.shape)
        return training

    def test_step_follows_the_gradient_of_the_objective(self, loss, regularizer):
        """Seen red with twice the step of the penalty."""
        training = self.training(loss, regularizer)
        before = parameters(training.network)
        slopes = []
        for parameter in training.network.parameters:
            flat = parameter.reshape(-1)
            for i in range(flat.size):
                kept = flat[i]
                flat[i] = kept + 1e-6
                high = training.objective()
                flat[i] = kept - 1e-6
                slopes.append((high - training.objective()) / 2e-6)
                flat[i] = kept
        for _ in training.steps(np.random.default_rng(0)):
            pass
        moved = parameters(training.network) - before
        np.testing.assert_allclose(moved, -1e-3 * np.array(slopes), atol=1e-9)

    def test_objective_at_the_start(self, loss, regularizer):
        """Seen red without the penalty."""
        X, y, w = data()
        training = Training(
            network(), X, y, w, Descent(Loss(loss), 0.3, 0.1, 1), regularizer
        )
        assert training.objective_at_start == pytest.approx(training.objective())
        assert not training.has_exploded(9.0 * training.objective_at_start)
        for lost in (11.0 * training.objective_at_start, np.inf, np.nan):
            assert training.has_exploded(lost)
        assert not training.rises(1.001, 1.0)
        assert training.rises(1.02, 1.0)
        tiny = 1e-17 * training.objective_at_start
        assert not training.rises(10.0 * tiny, tiny)

    def test_weights_are_repeated_rows(self, loss, regularizer):
        """Seen red with the weights as they come."""
        X, y, _ = data()
        counts = np.arange(len(X)) % 3 + 1
        descent = Descent(Loss(loss), 0.3, 0.05, 20)
        nets = []
        for rows, weights in (
            (np.arange(len(X)), counts.astype(float)),
            (np.repeat(np.arange(len(X)), counts), np.ones(counts.sum())),
        ):
            net = network()
            training = Training(net, X[rows], y[rows], weights, descent, regularizer)
            for _ in training.steps(np.random.default_rng(0)):
                pass
            nets.append(parameters(net))
        np.testing.assert_allclose(*nets, rtol=1e-9, atol=1e-12)


def test_batches_take_every_row_once_a_round():
    """Seen red with the last rows of a round left out."""
    batches = [*_batches(10, 4, 6, np.random.default_rng(0))]
    assert [len(b) for b in batches] == [4, 4, 2, 4, 4, 2]
    for k in (0, 3):
        assert sorted(np.concatenate(batches[k : k + 3])) == [*range(10)]


def test_small_steps_by_batches_are_a_step_by_all():
    """The sum of small steps is the step by all rows up to its square.

    Seen red with the gradients of a batch summed, not averaged.
    """
    X, y, w = data(8)
    nets = []
    for rate, batch_size, n_steps in ((1e-6, 2, 4), (4e-6, None, 1)):
        net = network()
        training = Training(net, X, y, w, Descent(Loss("squared"), 0.3, rate, n_steps))
        for _ in training.steps(np.random.default_rng(0), batch_size):
            pass
        nets.append(parameters(net) - parameters(training.start))
    np.testing.assert_allclose(*nets, rtol=1e-3, atol=1e-10)


def test_rate_is_half_the_inverse_of_the_largest_eigenvalue():
    """Seen red with the largest row sum."""
    X, _, w = data(30)
    K = NeuralTangent(sigma_b=0.3)(X)
    root = np.sqrt(w)
    largest = np.linalg.eigvalsh(root[:, None] * K * root).max()
    rate = safe_learning_rate(K, w)
    assert rate == pytest.approx(0.5 * w.sum() / largest, rel=1e-3)
    assert safe_learning_rate(0 * K, w) == 1.0
    assert safe_learning_rate(K, w, 3.0) == pytest.approx(
        0.5 / (largest / w.sum() + 3.0), rel=1e-3
    )


@pytest.mark.parametrize(
    "design",
    [
        [[-1.0], [1.0]],
        [*product([-1.0, 1.0], repeat=3)],
        [[1.0, 0.0], *[[0.0, 0.99], [0.0, -0.99]] * 2],
    ],
)
def test_rate_of_symmetric_rows(design):
    """Their sums are 0, and no other row need be like that of the largest norm.

    Seen red with iterations from ones, and with them from the row of the largest norm.
    """
    K = np.array(design) @ np.array(design).T
    for scale in (1e-30, 1.0, 1e30):
        expected = 0.5 * len(K) / np.linalg.eigvalsh(scale * K).max()
        rate = safe_learning_rate(scale * K, np.ones(len(K)))
        assert rate == pytest.approx(expected, rel=1e-3)


def test_rows_for_the_rate_are_few():
    assert len(range(10**6)[rows_for_rate(10**6)]) == 1000
    assert len(range(999)[rows_for_rate(999)]) == 999


class TestFunctions:
    def test_ends_at_the_closed_form(self):
        """Seen red with half the decay."""
        X, y, w = data(20)
        K = NeuralTangent(sigma_b=0.5)(X)
        descent = Descent(Loss("squared"), 0.1, safe_learning_rate(K, w), 3000)
        *_, (coef, f) = descend_functions(K, y, w, descent)
        shift = 0.1 * w.sum() / 2 / w
        expected = np.linalg.solve(K + np.diag(shift), y)
        np.testing.assert_allclose(coef, expected, rtol=1e-6)
        np.testing.assert_allclose(f, K @ expected, rtol=1e-6)

    def test_linear_network_is_its_kernel_machine(self):
        """Without hidden layers both descents are the same, at any width.

        Seen red with the decay after the step of the loss.
        """
        X, y, w = data(15)
        K = NeuralTangent(0, sigma_b=0.5)(X)
        descent = Descent(Loss("hinge"), 0.05, 0.2, 60)
        training = Training(network(depth=0), X, y, w, descent)
        paths = zip(
            training.steps(np.random.default_rng(0)),
            descend_functions(K, y, w, descent),
            strict=True,
        )
        for (_, f, _), (_, expected) in paths:
            np.testing.assert_allclose(f, expected, atol=1e-12)
