"""A fully connected network of finite width: its outputs, gradients and kernel."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import erf, ndtr

from kernelkit._validation import Array

ACTIVATIONS = ("relu", "leaky_relu", "erf", "gelu", "linear")


@dataclass(frozen=True)
class Activation:
    """The function of a hidden unit, and its slope."""

    name: str
    slopes: tuple[float, float]

    def __call__(self, z: Array) -> Array:
        """Evaluate the function."""
        if self.name == "relu":
            return np.maximum(z, 0)
        if self.name == "leaky_relu":
            return self.slope(z) * z
        if self.name == "erf":
            return np.asarray(erf(z))
        if self.name == "gelu":
            return np.asarray(z * ndtr(z))
        return z

    def slope(self, z: Array) -> Array:
        """Evaluate the derivative; at a kink the one on the left."""
        if self.name == "relu":
            return (z > 0).astype(z.dtype)
        if self.name == "leaky_relu":
            return np.where(z > 0, self.slopes[1], self.slopes[0]).astype(z.dtype)
        if self.name == "linear":
            return np.ones_like(z)
        if self.name == "erf":
            return (2.0 / np.pi**0.5 * np.exp(-z * z)).astype(z.dtype)
        density = np.exp(-z * z / 2.0) / (2.0 * np.pi) ** 0.5
        return (ndtr(z) + z * density).astype(z.dtype)


@dataclass(frozen=True)
class Network:
    r"""Weights of a network in the parametrisation of the tangent kernel.

    .. math:: z_{l+1} = \frac{\sigma_w}{\sqrt{n_l}} W_l h_l + \sigma_b b_l, \quad
              h_l = \phi(z_l), \quad h_0 = x

    All entries start as draws from N(0, 1), and the outputs are the last z. A network
    may consist of two copies that start equal: its output is the difference of theirs
    over the root of 2, which starts at 0 and has the same tangent kernel.

    Attributes
    ----------
    weights : list of ndarray of shape (n_copies, n_next, n_units)
        Of each layer, the inputs' first.
    biases : list of ndarray of shape (n_copies, n_next)
    sigma_w, sigma_b : float
    activation : Activation
    scale_inputs : bool
        Whether the first layer divides by the root of its size, too.
    """

    weights: list[Array]
    biases: list[Array]
    sigma_w: float
    sigma_b: float
    activation: Activation
    scale_inputs: bool

    @classmethod
    def draw(
        cls,
        sizes: list[int],
        *,
        n_copies: int,
        rng: np.random.Generator,
        dtype: npt.DTypeLike,
        **fixed: Any,
    ) -> Self:
        """Draw a network with layers of these sizes, in each copy."""
        weights, biases = [], []
        for before, after in pairwise(sizes):
            W = rng.standard_normal((after, before)).astype(dtype)
            b = rng.standard_normal(after).astype(dtype)
            weights.append(np.repeat(W[None], n_copies, axis=0))
            biases.append(np.repeat(b[None], n_copies, axis=0))
        return cls(weights, biases, **fixed)

    @property
    def signs(self) -> Array:
        """Factor of each copy's output."""
        if len(self.weights[0]) == 1:
            return np.ones(1, self.weights[0].dtype)
        return np.array([0.5**0.5, -(0.5**0.5)], self.weights[0].dtype)

    @property
    def parameters(self) -> list[Array]:
        """All weights, then all biases."""
        return self.weights + self.biases

    def copy(self) -> Self:
        """Return a network that does not change with this one."""
        return replace(
            self,
            weights=[W.copy() for W in self.weights],
            biases=[b.copy() for b in self.biases],
        )

    def factor(self, layer: int) -> float:
        """Return what products with the weights of a layer are multiplied by."""
        size = self.weights[layer].shape[2]
        if layer == 0 and not self.scale_inputs:
            size = 1
        return float(self.sigma_w / np.sqrt(size))

    def forward(self, X: Array) -> tuple[Array, list[Array], list[Array]]:
        """Compute the outputs (n, n_outputs), and z and h of all layers.

        The lists hold arrays of shape (n_copies, n, n_units).
        """
        z: list[Array] = []
        h = [np.broadcast_to(X, (len(self.signs), *X.shape))]
        for layer, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            value = h[-1] @ (self.factor(layer) * W).transpose(0, 2, 1)
            if self.sigma_b:
                value += (self.sigma_b * b)[:, None]
            z.append(value)
            if layer < len(self.weights) - 1:
                h.append(self.activation(value))
        return np.tensordot(self.signs, z[-1], 1), z, h

    def outputs(self, X: Array) -> Array:
        """Compute the outputs (n, n_outputs)."""
        return self.forward(X)[0]

    def outputs_at_start(self, X: Array) -> Array:
        """Compute the outputs of a network that is as it was drawn."""
        if len(self.signs) == 2:  # without the rounding of a difference
            return np.zeros((len(X), self.weights[-1].shape[1]), X.dtype)
        return self.outputs(X)

    def backward(self, slopes: Array, z: list[Array]) -> list[Array]:
        """Multiply slopes (n, n_outputs) with the derivatives by each layer's z."""
        deltas = [self.signs[:, None, None] * slopes]
        for layer in range(len(self.weights) - 1, 0, -1):
            before = deltas[0] @ (self.factor(layer) * self.weights[layer])
            deltas.insert(0, before * self.activation.slope(z[layer - 1]))
        return deltas

    def gradient(self, slopes: Array, z: list[Array], h: list[Array]) -> list[Array]:
        """Sum the gradients of the outputs, times `slopes`, by all parameters."""
        deltas = self.backward(slopes, z)
        by_weight = [
            self.factor(layer) * (delta.transpose(0, 2, 1) @ before)
            for layer, (delta, before) in enumerate(zip(deltas, h, strict=True))
        ]
        by_bias = [self.sigma_b * delta.sum(axis=1) for delta in deltas]
        return by_weight + by_bias

    def tangent_kernel(self, X: Array, Y: Array | None = None) -> Array:
        r"""Compute :math:`\langle \partial_\theta f(x), \partial_\theta f(y) \rangle`.

        The sum over layers of ``factor^2 (H H'^T) * (Delta Delta'^T)`` needs no
        derivative by single weights. With several outputs it is the mean over them.
        """
        pairs: Any = ((left, left) for left in self.tangents(X))
        if Y is not None:
            pairs = zip(self.tangents(X), self.tangents(Y), strict=True)
        total: Any = 0.0
        for left, right in pairs:
            for layer, ((h, delta), (other_h, other)) in enumerate(
                zip(left, right, strict=True)
            ):
                slopes = delta @ other.transpose(0, 2, 1)
                inputs = h @ other_h.transpose(0, 2, 1)
                squares = self.factor(layer) ** 2 * inputs + self.sigma_b**2
                total = total + (squares * slopes).sum(axis=0)
        kernel: Array = total / self.weights[-1].shape[1]
        return kernel

    def tangents(self, X: Array) -> Iterator[list[tuple[Array, Array]]]:
        """Yield what tangents of each output consist of, layer by layer.

        These are the units (n_copies, n, n_units) before a layer, and the derivatives
        of the output by its z.
        """
        outputs, z, h = self.forward(X)
        for output in range(outputs.shape[1]):
            slopes = np.zeros_like(outputs)
            slopes[:, output] = 1.0
            yield list(zip(h, self.backward(slopes, z), strict=True))
