"""Bounds of neural tangent kernels of one hidden layer, and of none.

Up to a factor, the kernel of rows z and x is ``kink G(k, q) + through k + constant``
with k = <z, x>, q = <z, z>, s = |x| and

    G(k, q) = 2 k (pi - arccos(k / (s q^(1/2)))) + (q s^2 - k^2)^(1/2),

where biases are one more feature, the same in all rows.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from kernelkit._validation import Array
from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.boxes import Range, cosines

_LEAST_H = -0.4297379  # minimum of h, rounded down
_LEAST_U = -0.7942, -0.7940  # h has it between these
_FLAT = 1e-9  # share of |z|^2 |x|^2 below which z may be parallel to x


@dataclass(frozen=True)
class Expansion:
    """``constant + by_product k + by_square q + error``, for each row.

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


@dataclass(frozen=True)
class OneLayer:
    """Factors of a kernel of at most one hidden layer.

    Attributes
    ----------
    kink, through, constant : float
        As above.
    bias : float
        The feature that stands for biases; 0 without.
    """

    kink: float
    through: float
    constant: float
    bias: float

    @classmethod
    def of(cls, kernel: NeuralTangent, n_features: int) -> Self | None:
        """Return the factors, or None if there are more layers or other activations."""
        weight, size = kernel.sigma_w**2, n_features if kernel.normalize == "d" else 1
        bias = float(kernel.sigma_b / kernel.sigma_w * np.sqrt(size))
        if kernel.depth == 0:
            return cls(0.0, 1.0, 0.0, bias)
        known = {"relu": (0.0, 1.0), "linear": (1.0, 1.0), "leaky_relu": kernel.slopes}
        if kernel.depth > 1 or kernel.train_from or kernel.activation not in known:
            return None
        a, b = known[kernel.activation]
        constant = kernel.sigma_b**2 * 2.0 * np.pi * size / weight**2
        return cls((b - a) ** 2, 4.0 * np.pi * a * b, constant, bias)

    def range(self, products: Range, squares: Range, norms: Array) -> Range:
        """Bound the kernel with each row."""
        low, high = _shape_range(products, squares, norms)
        ends = self.through * products[0], self.through * products[1]
        return (
            self.kink * low + np.minimum(*ends) + self.constant,
            self.kink * high + np.maximum(*ends) + self.constant,
        )

    def expand(self, products: Range, squares: Range, norms: Array) -> Expansion:
        """Expand the kernel with each row to first order."""
        zero = np.zeros(len(norms))
        if not self.kink:
            linear = zero + self.through
            return Expansion(zero + self.constant, linear, zero, zero, zero)
        about = _expand_shape(products, squares, norms)
        return Expansion(
            self.kink * about.constant + self.constant,
            self.kink * about.by_product + self.through,
            self.kink * about.by_square,
            self.kink * about.below,
            self.kink * about.above,
        )


def _shape_range(products: Range, squares: Range, norms: Array) -> Range:
    """Bound ``G(k, q) = 2 k (pi - arccos(k / (s q^(1/2)))) + (q s^2 - k^2)^(1/2)``.

    With k = <z, x>, q = <z, z> and s = |x|, it is proportional to the neural tangent
    kernel of one hidden layer of relus without biases. G = s q^(1/2) h(u) with u the
    cosine, and h falls up to its minimum, then rises.
    """
    low, high = cosines(products, squares, norms**2)
    ends = _h(low), _h(high)
    least = np.where(
        (low <= _LEAST_U[1]) & (high >= _LEAST_U[0]), _LEAST_H, np.minimum(*ends)
    )
    largest = np.maximum(*ends)
    near, far = norms * np.sqrt(squares[0]), norms * np.sqrt(squares[1])
    return (
        least * np.where(least > 0.0, near, far),
        largest * np.where(largest > 0.0, far, near),
    )


def _h(u: Array) -> Array:
    return 2.0 * u * (np.pi - np.arccos(u)) + np.sqrt((1.0 - u) * (1.0 + u))


def _expand_shape(products: Range, squares: Range, norms: Array) -> Expansion:
    """Expand G, with bounds of the error.

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
    G, by_product = _shape_at(k, q, s2)
    by_square = (s2 / 2.0 - k**2 / q) / np.sqrt(q * s2 - k**2)
    constant = G - by_product * k - by_square * q

    ends = [(end, _bend(end, q_min, s2)) for end in (low, high)]
    above = np.maximum.reduce(
        [
            _shape_at(end, q_end, s2)[0]
            - (constant + by_product * end + by_square * q_end)
            + bend * dq**2 / 2.0
            for end, bend in ends
            for q_end in (q_min, q_max)
        ]
    )
    turns = [np.abs(_shape_at(k, end, s2)[1] - by_product) for end in (q_min, q_max)]
    below = _bend(k, q_min, s2) * dq**2 / 2.0 + np.maximum(*turns) * dk
    return Expansion(
        constant,
        by_product,
        by_square,
        np.where(smooth, below, np.inf),
        np.where(smooth, above, np.inf),
    )


def _shape_at(k: Array, q: Any, s2: Array) -> tuple[Array, Array]:
    """G, and its derivative by k."""
    W = np.sqrt(q * s2 - k**2)
    turn = 2.0 * (np.pi - np.arccos(k / np.sqrt(q * s2)))
    return turn * k + W, turn + k / W


def _bend(k: Array, q_min: Any, s2: Array) -> Array:
    """Bound how far the second derivative of G by q is below 0."""
    return s2**2 / (4.0 * np.sqrt(q_min * s2 - k**2) ** 3)
