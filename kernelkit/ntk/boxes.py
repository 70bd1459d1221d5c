"""Bounds of neural tangent kernels k(z, x_i) over all z in a box."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit.kernels import NeuralTangent

Array = npt.NDArray[Any]
Range = tuple[Any, Any]  # least and largest value

_EPS = 4.0 * float(np.finfo(np.float64).eps)
_LEAST_H = -0.4297379  # minimum of h, rounded down
_LEAST_U = -0.7941  # where h has it, to the digits that matter
_FLAT = 1e-9  # share of |z|^2 |x|^2 below which z may be parallel to x


@dataclass(frozen=True)
class Box:
    """All rows z with ``low <= z <= high``."""

    low: Array
    high: Array

    @classmethod
    def around(cls, x: Array, radius: float, clip: tuple[float, float] | None) -> "Box":
        """Rows whose features differ by at most `radius`, and lie within `clip`."""
        low, high = x - radius, x + radius
        if clip is None:
            return cls(low, high)
        return cls(np.maximum(low, clip[0]), np.minimum(high, clip[1]))

    def products(self, X: Array) -> Range:
        """Range of ``<z, x>`` for each row x of `X`."""
        center = X @ ((self.low + self.high) / 2.0)
        reach = np.abs(X) @ ((self.high - self.low) / 2.0)
        return center - reach, center + reach

    def squares(self) -> Range:
        """Range of ``<z, z>``."""
        nearest = np.maximum(np.maximum(self.low, -self.high), 0.0)
        farthest = np.maximum(-self.low, self.high)
        return nearest @ nearest, farthest @ farthest

    def least(self, linear: Array, square: Array) -> Array:
        """Minimum over z of ``linear @ z + square <z, z>``, for rows of `linear`."""
        square = square[:, None]
        vertex = np.zeros_like(linear)
        np.divide(-linear, 2.0 * square, out=vertex, where=square > 0.0)
        vertex = np.where(square > 0.0, np.clip(vertex, self.low, self.high), self.low)
        values = [z * (linear + square * z) for z in (self.low, self.high, vertex)]
        return np.minimum.reduce(values).sum(axis=1)


@dataclass(frozen=True)
class Ball:
    """All rows z with ``|z - center| <= radius``."""

    center: Array
    radius: float

    def products(self, X: Array) -> Range:
        """Range of ``<z, x>`` for each row x of `X`."""
        center, reach = X @ self.center, self.radius * np.linalg.norm(X, axis=1)
        return center - reach, center + reach

    def squares(self) -> Range:
        """Range of ``<z, z>``."""
        norm = float(np.linalg.norm(self.center))
        return max(norm - self.radius, 0.0) ** 2, (norm + self.radius) ** 2


def shape_range(products: Range, squares: Range, norms: Array) -> Range:
    """Bound ``G(k, q) = 2 k (pi - arccos(k / (s q^(1/2)))) + (q s^2 - k^2)^(1/2)``.

    With k = <z, x>, q = <z, z> and s = |x|, it is proportional to the neural tangent
    kernel of one hidden layer of relus without biases. G = s q^(1/2) h(u) with u the
    cosine, and h falls up to its minimum, then rises.
    """
    low, high = _cosines(products, squares, norms**2)
    ends = _h(low), _h(high)
    least = np.where(
        (low <= _LEAST_U) & (high >= _LEAST_U), _LEAST_H, np.minimum(*ends)
    )
    largest = np.maximum(*ends)
    near, far = norms * np.sqrt(squares[0]), norms * np.sqrt(squares[1])
    return (
        least * np.where(least > 0.0, near, far),
        largest * np.where(largest > 0.0, far, near),
    )


def _h(u: Array) -> Array:
    return 2.0 * u * (np.pi - np.arccos(u)) + np.sqrt((1.0 - u) * (1.0 + u))


def _cosines(products: Range, squares: Range, other: Array) -> Range:
    """Range of ``k / (q other)^(1/2)``, a little widened for rounding."""
    near, far = np.sqrt(squares[0] * other), np.sqrt(squares[1] * other)
    low = _ratio(products[0], np.where(products[0] < 0.0, near, far))
    high = _ratio(products[1], np.where(products[1] < 0.0, far, near))
    return np.clip(low - _EPS, -1.0, 1.0), np.clip(high + _EPS, -1.0, 1.0)


def _ratio(k: Array, scale: Array) -> Array:
    """Quotient; 1 or -1, which bound a cosine, where it is not defined."""
    return np.divide(k, scale, out=np.where(k < 0.0, -1.0, 1.0), where=scale > 0.0)


@dataclass(frozen=True)
class Expansion:
    """``G(k, q) = constant + by_product k + by_square q + error``, for each row.

    Attributes
    ----------
    constant, by_product, by_square : ndarray of shape (n,)
        Expansion of first order in the middle of the ranges.
    below, above : ndarray of shape (n,)
        The error is between ``-below`` and ``above``; inf where z may be parallel to x,
        where G has a kink.
    """

    constant: Array
    by_product: Array
    by_square: Array
    below: Array
    above: Array


def expand_shape(products: Range, squares: Range, norms: Array) -> Expansion:
    """Expand `shape_range`'s G, with bounds of the error.

    G is convex in k, so the error is largest where k is least or largest, and there it
    exceeds what it is at the ends of q by at most the curvature in q. From below, the
    tangent in k at each q bounds G, and its slope is monotone in q.
    """
    q_min, q_max = squares
    if not q_min > 0.0:  # then nothing is smooth
        q_min = q_max = 1.0
        products = 0.0 * products[0], 0.0 * products[1]
        norms = 0.0 * norms
    s2 = norms**2
    k_max = np.maximum(-products[0], products[1])
    smooth = q_min * s2 - k_max**2 > _FLAT * q_max * s2
    low, high = (np.where(smooth, end, 0.0) for end in products)
    s2 = np.where(smooth, s2, 1.0)
    k, dk = (low + high) / 2.0, (high - low) / 2.0
    q, dq = (q_min + q_max) / 2.0, (q_max - q_min) / 2.0
    G, by_product = _shape(k, q, s2)
    by_square = (s2 / 2.0 - k**2 / q) / np.sqrt(q * s2 - k**2)
    constant = G - by_product * k - by_square * q

    ends = [(end, _bend(end, q_min, s2)) for end in (low, high)]
    above = np.maximum.reduce(
        [
            _shape(end, q_end, s2)[0]
            - (constant + by_product * end + by_square * q_end)
            + bend * dq**2 / 2.0
            for end, bend in ends
            for q_end in (q_min, q_max)
        ]
    )
    turns = [np.abs(_shape(k, end, s2)[1] - by_product) for end in (q_min, q_max)]
    below = _bend(k, q_min, s2) * dq**2 / 2.0 + np.maximum(*turns) * dk
    return Expansion(
        constant,
        by_product,
        by_square,
        np.where(smooth, below, np.inf),
        np.where(smooth, above, np.inf),
    )


def _shape(k: Array, q: Any, s2: Array) -> tuple[Array, Array]:
    """G, and its derivative by k."""
    W = np.sqrt(q * s2 - k**2)
    turn = 2.0 * (np.pi - np.arccos(k / np.sqrt(q * s2)))
    return turn * k + W, turn + k / W


def _bend(k: Array, q_min: Any, s2: Array) -> Array:
    """Bound how far the second derivative of G by q is below 0."""
    return s2**2 / (4.0 * np.sqrt(q_min * s2 - k**2) ** 3)


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
        low, high = _cosines(k, q, other)
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
        u = _cosines(
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
