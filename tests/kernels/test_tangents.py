"""Derivatives of neural kernels against differences."""

import tracemalloc

import numpy as np
import pytest

from kernelkit.kernels.neural import NeuralTangent

RNG = np.random.default_rng(0)
X = RNG.standard_normal((7, 3))
X[5], X[6] = X[0], 2.0 * X[1]
ABSOLUTE = {"activation": "leaky_relu", "slopes": (-1, 1)}

each_kernel = pytest.mark.parametrize(
    "parameters",
    [
        {"depth": 0, "sigma_b": 0.5},
        {"depth": 2},
        {"depth": 3, "sigma_b": 0.4, "train_from": 1},
        {"depth": 2, "sigma_b": 0.4, "activation": "leaky_relu", "get": "nngp"},
        {"depth": 2, "sigma_b": 0.3, **ABSOLUTE},
        {"depth": 2, "sigma_b": 0.3, "activation": "linear"},
        {"depth": 2, "sigma_b": 0.3, "activation": "erf"},
        {"depth": 3, "sigma_b": 0.3, "activation": "gelu", "normalize": None},
        {"depth": 2, "sigma_b": 0.3, "activation": "step", "get": "nngp"},
        {"depth": 2, "sigma_b": 0.3, "activation": np.tanh},
        {"depth": 2, "activation": "gelu", "scale": "unit"},
        {"depth": 2, "activation": "erf", "scale": "unit", "get": "nngp"},
    ],
    ids=str,
)


def kernel_of(parameters):
    return NeuralTangent(
        **{"sigma_w": 1.3, "sigma_b_bounds": (1e-3, 10.0), **parameters}
    )


def tolerance(parameters):
    """Looser where a series is cut off."""
    return 1e-5 if callable(parameters.get("activation")) else 1e-7


@each_kernel
def test_gradient_by_hyperparameters(parameters):
    """Seen red with columns exchanged, and with the kink's angle taken as 1."""
    kernel, h = kernel_of(parameters), 1e-5

    K, gradient = kernel(X, eval_gradient=True)

    np.testing.assert_array_equal(K, kernel(X))
    assert gradient.shape == (7, 7, len(kernel.theta))
    for k, unit in enumerate(np.eye(len(kernel.theta))):
        ends = [kernel.clone_with_theta(kernel.theta + s * h * unit) for s in (1, -1)]
        expected = (ends[0](X) - ends[1](X)) / (2 * h)
        atol = tolerance(parameters) * np.abs(gradient).max()
        np.testing.assert_allclose(gradient[:, :, k], expected, rtol=0, atol=atol)


def test_gradient_needs_little_memory():
    """Seen red with all rows at once, and with all columns."""
    kernel = kernel_of({"depth": 3, "sigma_b": 0.3})
    rows = RNG.standard_normal((500, 3))
    kernel(X, eval_gradient=True)

    tracemalloc.start()
    results = kernel(rows, eval_gradient=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1.3 * sum(part.nbytes for part in results)


@pytest.mark.parametrize("parameters", [{}, {"activation": "gelu", "scale": "unit"}])
def test_gradient_is_symmetric_and_the_same_on_threads(parameters):
    """Seen red without mirroring, and with changes of the first columns for all."""
    kernel = kernel_of({"depth": 2, **parameters})
    rows = RNG.standard_normal((150, 3))

    _, gradient = kernel(rows, eval_gradient=True)

    np.testing.assert_array_equal(gradient, gradient.transpose(1, 0, 2))
    kernel.set_params(n_jobs=2)
    np.testing.assert_array_equal(kernel(rows, eval_gradient=True)[1], gradient)
    h = 1e-5
    ends = [kernel.clone_with_theta(kernel.theta + step)(rows) for step in (h, -h)]
    expected = (ends[0] - ends[1]) / (2 * h)
    atol = 1e-7 * np.abs(expected).max()
    np.testing.assert_allclose(gradient[:, :, 0], expected, rtol=0, atol=atol)


def test_fixed_hyperparameters_have_no_gradient():
    kernel = NeuralTangent(sigma_w_bounds="fixed")

    assert kernel(X, eval_gradient=True)[1].shape == (7, 7, 0)
    assert kernel.theta.size == 0


@each_kernel
def test_gradient_by_row(parameters):
    """Seen red with half of the part along x."""
    kernel, h = kernel_of(parameters), 1e-5
    x = np.array([0.3, -0.8, 1.1])

    gradient = kernel.input_gradient(x, X)

    expected = [
        (kernel([x + h * unit], X) - kernel([x - h * unit], X))[0] / (2 * h)
        for unit in np.eye(3)
    ]
    atol = tolerance(parameters) * np.abs(gradient).max()
    np.testing.assert_allclose(gradient, np.transpose(expected), rtol=0, atol=atol)


@each_kernel
@pytest.mark.parametrize("size", [0.0, 1e-140, 1.0, 1e140])
def test_gradient_by_row_is_finite_at_kinks(parameters, size):
    """Seen red with ``_KINK = -1``."""
    kernel = kernel_of(parameters)
    if callable(parameters.get("activation")):
        size = min(size, 1.0)

    for x in (X[0], -X[0], X[6], np.zeros(3)):
        assert np.isfinite(kernel.input_gradient(size * x, size * X)).all()
        assert np.isfinite(kernel.input_gradient(size * x, X)).all()


def test_gradient_by_row_at_and_near_the_kink():
    """At the kink what remains is along x; 1e-9 away the angle counts in full."""
    kernel = NeuralTangent(2)
    x = np.array([[1.0, 0.0]])

    at = kernel.input_gradient(x[0], x)
    near = kernel.input_gradient([1.0, 1e-9], x)

    np.testing.assert_allclose(at, [[3.0, 0.0]], atol=1e-14)
    np.testing.assert_allclose(near[0, 0], 3.0, atol=1e-6)
    difference = kernel([[1.0, 1e-4]], x) - kernel([[1.0, 0.5e-4]], x)
    assert near[0, 1] == pytest.approx(difference[0, 0] / 0.5e-4, rel=1e-2)
