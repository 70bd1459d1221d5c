"""Bounds of kernels over boxes, against values inside and exact ends."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.boxes import Ball, Box
from kernelkit.ntk.layers import kernel_range
from kernelkit.ntk.one_layer import OneLayer

RADII = (1e-9, 1e-3, 0.1, 1.0, 30.0)
KERNELS = {
    "relu": NeuralTangent(),
    "deep relu": NeuralTangent(depth=3, sigma_w=1.5, sigma_b=0.3),
    "raw": NeuralTangent(depth=2, normalize=None),
    "frozen": NeuralTangent(depth=3, train_from=2, sigma_b=0.1),
    "leaky": NeuralTangent(depth=2, activation="leaky_relu", slopes=(0.2, 1.0)),
    "erf": NeuralTangent(depth=2, activation="erf", sigma_b=0.2),
    "erf, one layer": NeuralTangent(activation="erf"),
    "linear": NeuralTangent(depth=2, activation="linear", sigma_b=0.5),
}


RELU = OneLayer.of(NeuralTangent(), 4)


def points(box, rng, n=60):
    """Rows of a box: corners, edges and inside."""
    shares = rng.uniform(size=(n, len(box.low)))
    shares[: n // 2] = shares[: n // 2].round()
    return box.low + shares * (box.high - box.low)


def rows(rng, n=25, d=4):
    X = rng.normal(size=(n, d))
    X[0] = 0.0
    return X


def shape(Z, X):
    """G of the rows, by its formula."""
    norms = np.outer(np.linalg.norm(Z, axis=1), np.linalg.norm(X, axis=1))
    k = Z @ X.T
    cosines = np.divide(k, norms, out=np.zeros_like(k), where=norms > 0)
    angles = np.arccos(np.clip(cosines, -1, 1))
    return 2 * k * (np.pi - angles) + norms * np.sin(angles)


def case(radius, seed=0, clip=None):
    rng = np.random.default_rng(seed)
    X = rows(rng)
    box = Box.around(rng.normal(size=4), radius, clip)
    return X, np.linalg.norm(X, axis=1), box, points(box, rng)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("seed", range(4))
class TestRanges:
    def test_products_and_squares(self, radius, seed):
        """Seen red with the nearest point taken for 0."""
        X, _, box, Z = case(radius, seed)
        low, high = box.products(X)
        assert (low - 1e-12 <= Z @ X.T).all()
        assert (high + 1e-12 >= Z @ X.T).all()
        least, largest = box.squares()
        squares = (Z**2).sum(1)
        assert (squares >= least - 1e-12).all()
        assert (squares <= largest + 1e-12).all()
        nearest = np.clip(0.0, box.low, box.high)
        assert least == pytest.approx(nearest @ nearest)

    def test_ball_holds_its_box(self, radius, seed):
        X, _, box, _ = case(radius, seed)
        ball = Ball((box.low + box.high) / 2, radius * 2.0)
        for inner, outer in zip(
            (box.products(X), box.squares()),
            (ball.products(X), ball.squares()),
            strict=True,
        ):
            assert (outer[0] <= inner[0] + 1e-9).all()
            assert (outer[1] >= inner[1] - 1e-9).all()

    def test_shape_is_inside(self, radius, seed):
        """Seen red with the near norm on both sides, and 9 for the minimum of h."""
        X, norms, box, Z = case(radius, seed)
        low, high = RELU.range(box.products(X), box.squares(), norms)
        G = shape(Z, X)
        slack = 1e-12 * np.abs(G).max()
        assert (low - slack <= G).all()
        assert (high + slack >= G).all()

    def test_expansion_error_is_inside(self, radius, seed):
        """Seen red with 0 for the error below, and with the middle of k above."""
        X, norms, box, Z = case(radius, seed)
        about = RELU.expand(box.products(X), box.squares(), norms)
        linear = (
            about.constant
            + about.by_product * (Z @ X.T)
            + about.by_square * (Z**2).sum(1)[:, None]
        )
        error = shape(Z, X) - linear
        assert (error >= -about.below - 1e-11).all()
        assert (error <= about.above + 1e-11).all()

    @pytest.mark.parametrize("name", KERNELS)
    def test_kernels_are_inside(self, name, radius, seed):
        """Seen red with D at its largest where the kernel is negative (erf)."""
        X, norms, box, Z = case(radius, seed)
        low, high = kernel_range(
            KERNELS[name], 4, box.products(X), box.squares(), norms
        )
        K = KERNELS[name](Z, X)
        slack = 1e-11 * np.abs(K).max()
        assert (low - slack <= K).all()
        assert (high + slack >= K).all()


LAYERS = {
    "none": NeuralTangent(0, sigma_w=1.5, sigma_b=0.4),
    "relu": NeuralTangent(sigma_w=1.5, sigma_b=0.4),
    "raw": NeuralTangent(sigma_w=1.5, sigma_b=0.4, normalize=None),
    "leaky": NeuralTangent(activation="leaky_relu", slopes=(0.3, 1.0)),
    "absolute": NeuralTangent(activation="leaky_relu", slopes=(-1, 1), sigma_b=0.2),
    "linear": NeuralTangent(activation="linear", sigma_b=0.3),
}


@pytest.mark.parametrize("radius", RADII[:4])
@pytest.mark.parametrize("name", LAYERS)
def test_one_layer_is_inside(name, radius):
    """Ranges and expansions hold the kernel, up to its factor.

    Seen red without the constant, and without the part that goes through.
    """
    kernel = LAYERS[name]
    X, _, box, Z = case(radius)
    layer = OneLayer.of(kernel, 4)
    size = 4 if kernel.normalize == "d" else 1
    factor = kernel.sigma_w**2 / size
    if kernel.depth:
        factor *= kernel.sigma_w**2 / (2 * np.pi)
    K = kernel(Z, X) / factor
    box = box.append(layer.bias)
    X = np.column_stack([X, np.full(len(X), layer.bias)])
    Z = np.column_stack([Z, np.full(len(Z), layer.bias)])
    ranges = box.products(X), box.squares(), np.linalg.norm(X, axis=1)
    slack = 1e-11 * np.abs(K).max()
    low, high = layer.range(*ranges)
    assert (low - slack <= K).all()
    assert (high + slack >= K).all()
    about = layer.expand(*ranges)
    linear = about.by_product * (Z @ X.T)
    linear += about.by_square * (Z**2).sum(1)[:, None]
    error = K - about.constant - linear
    assert (error >= -about.below - slack).all()
    assert (error <= about.above + slack).all()


@pytest.mark.parametrize("name", KERNELS)
def test_small_boxes_have_small_ranges(name):
    """Seen red with ranges of D that do not shrink."""
    X, norms, box, _ = case(1e-7)
    low, high = kernel_range(KERNELS[name], 4, box.products(X), box.squares(), norms)
    K = KERNELS[name](box.low[None], X)
    np.testing.assert_allclose(low, K[0], rtol=0, atol=1e-4 * np.abs(K).max())
    np.testing.assert_allclose(high, K[0], rtol=0, atol=1e-4 * np.abs(K).max())


def test_least_of_h_is_rounded_down():
    """Seen red with one digit less."""

    def h(u):
        return 2 * u * (np.pi - np.arccos(u)) + np.sqrt(1 - u**2)

    least = minimize_scalar(h, bounds=(-0.9, -0.7)).fun
    assert least == pytest.approx(-0.42973782, abs=1e-8)
    low, _ = RELU.range((np.array([-1.0]), np.array([1.0])), (1.0, 1.0), np.ones(1))
    assert -1e-7 < low[0] - least <= 0.0


def test_least_of_h_is_found_near_it():
    """Seen red with one digit for where it is."""
    h = minimize_scalar(
        lambda u: 2 * u * (np.pi - np.arccos(u)) + np.sqrt(1 - u**2),
        bounds=(-0.9, -0.7),
        options={"xatol": 1e-12},
    )
    ends = h.x - 1e-5, h.x + 1e-5
    for low, high in ((ends[0], h.x + 1e-9), (h.x - 1e-9, ends[1])):
        least, _ = RELU.range((np.array([low]), np.array([high])), (1, 1), np.ones(1))
        assert least[0] <= h.fun


def test_least_over_a_box_is_the_least_of_a_grid():
    """Seen red without the vertex."""
    rng = np.random.default_rng(3)
    box = Box(np.array([-1.0, 0.2, -3.0]), np.array([0.5, 2.0, -1.0]))
    linear, square = rng.normal(size=(8, 3)), rng.normal(size=8)
    square[0] = 0.0
    grid = np.linspace(box.low, box.high, 20_001)
    values = linear[:, None] * grid + square[:, None, None] * grid**2
    np.testing.assert_allclose(
        box.least(linear, square), values.min(axis=1).sum(axis=1), atol=1e-6
    )


def test_clip_cuts_the_box():
    box = Box.around(np.array([0.1, 0.5, 0.8]), 0.3, (0.0, 1.0))
    np.testing.assert_allclose(box.low, [0.0, 0.2, 0.5])
    np.testing.assert_allclose(box.high, [0.4, 0.8, 1.0])


@pytest.mark.parametrize(
    "params", [{"activation": "gelu"}, {"activation": "leaky_relu", "slopes": (-1, 1)}]
)
def test_others_are_refused(params):
    with pytest.raises(ValueError, match="certified for the activations"):
        kernel_range(
            NeuralTangent(**params),
            1,
            (np.zeros(1), np.ones(1)),
            (0.0, 1.0),
            np.ones(1),
        )
