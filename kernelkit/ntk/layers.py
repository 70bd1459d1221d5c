"""Bounds of neural tangent kernels of any depth, layer by layer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelkit._validation import Array
from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.boxes import Range, cosines


def kernel_range(
    kernel: NeuralTangent,
    n_features: int,
    products: Range,
    squares: Range,
    norms: Array,
) -> Range:
    """Bound the kernel layer by layer.

    In the words of the recursion: k is the covariance of the two rows' outputs of a
    layer, q and `other` are their variances, t is the kernel. E, D >= 0 and the
    variances grow with what they are computed from.
    """
    weight, bias = kernel.sigma_w**2, kernel.sigma_b**2
    size = n_features if kernel.normalize == "d" else 1
    law = _law(kernel)
    k = _affine(products, weight / size, bias)
    q = _affine(squares, weight / size, bias)
    other = norms**2 * weight / size + bias
    zero = 0.0 * other, 0.0 * other
    t = k if kernel.train_from == 0 else zero
    for layer in range(1, kernel.depth + 1):
        E, D = law.ranges(k, q, other)
        k = _affine(E, weight, bias)
        own = k if layer >= kernel.train_from else zero
        t = (
            own[0] + weight * t[0] * np.where(t[0] < 0.0, D[1], D[0]),
            own[1] + weight * t[1] * np.where(t[1] < 0.0, D[0], D[1]),
        )
        q = _affine((law.moment(q[0]), law.moment(q[1])), weight, bias)
        other = weight * law.moment(other) + bias
    return t


def _affine(ends: Range, factor: float, shift: float) -> Range:
    return factor * ends[0] + shift, factor * ends[1] + shift


@dataclass(frozen=True)
class _Piecewise:
    """The activation ``a min(u, 0) + b max(u, 0)``, a b >= 0."""

    a: float
    b: float

    def ranges(self, k: Range, q: Range, other: Array) -> tuple[Range, Range]:
        """Bound E, which grows with k and q, and D, which grows with the cosine."""
        low, high = cosines(k, q, other)
        kink, through = (self.b - self.a) ** 2, self.a * self.b
        scales = np.sqrt(q[0] * other), np.sqrt(q[1] * other)
        E = []
        for end, scale, least in zip(k, scales, (-1.0, 1.0), strict=True):
            c = np.divide(end, scale, out=np.full_like(scale, least), where=scale > 0.0)
            c = np.clip(c, -1.0, 1.0)
            E.append(kink * scale * _relu_moment(c) + through * end)
        D = [kink * (1.0 - np.arccos(u) / np.pi) / 2.0 + through for u in (low, high)]
        return (E[0], E[1]), (D[0], D[1])

    def moment(self, q: Any) -> Any:
        return (self.a**2 + self.b**2) / 2.0 * q


def _relu_moment(c: Array) -> Array:
    angle = np.arccos(c)
    return (np.sqrt((1.0 - c) * (1.0 + c)) + (np.pi - angle) * c) / (2.0 * np.pi)


class _Erf:
    """The error function."""

    def ranges(self, k: Range, q: Range, other: Array) -> tuple[Range, Range]:
        """Bound E, the arc sine of a cosine with 1/2 added to variances, and D."""
        wide = 1.0 + 2.0 * other
        u = cosines(
            (2.0 * k[0], 2.0 * k[1]), (1.0 + 2.0 * q[0], 1.0 + 2.0 * q[1]), wide
        )
        largest = np.maximum(-k[0], k[1])
        least = np.maximum(np.maximum(k[0], -k[1]), 0.0)
        steep = (1.0 + 2.0 * q[0]) * wide - 4.0 * largest**2
        steep = np.maximum(steep, wide + 2.0 * q[0])  # as k^2 <= q other
        flat = (1.0 + 2.0 * q[1]) * wide - 4.0 * least**2
        D = 4.0 / np.pi / np.sqrt(flat), 4.0 / np.pi / np.sqrt(steep)
        return (2.0 / np.pi * np.arcsin(u[0]), 2.0 / np.pi * np.arcsin(u[1])), D

    def moment(self, q: Any) -> Any:
        return 2.0 / np.pi * np.arcsin(2.0 * q / (1.0 + 2.0 * q))


def _law(kernel: NeuralTangent) -> Any:
    """Return the expectations of the activation, or raise ValueError."""
    if kernel.activation == "relu":
        return _Piecewise(0.0, 1.0)
    if kernel.activation == "linear":
        return _Piecewise(1.0, 1.0)
    if kernel.activation == "erf":
        return _Erf()
    if kernel.activation == "leaky_relu" and kernel.slopes[0] * kernel.slopes[1] >= 0:
        return _Piecewise(*kernel.slopes)
    raise ValueError(
        "Radii are certified for the activations relu, linear, erf, and leaky_relu "
        f"with slopes of one sign, but got activation={kernel.activation!r}, "
        f"slopes={kernel.slopes!r}."
    )
