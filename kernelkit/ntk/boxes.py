"""Sets of rows, and what inner products with their rows can be."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelkit._validation import Array

Range = tuple[Any, Any]  # least and largest value
Clip = tuple[float, float] | None  # where features lie, if it is known

_EPS = 4.0 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Box:
    """All rows z with ``low <= z <= high``."""

    low: Array
    high: Array

    @classmethod
    def around(cls, x: Array, radius: float, clip: Clip) -> "Box":
        """Rows whose features differ by at most `radius`, and lie within `clip`."""
        low, high = x - radius, x + radius
        if clip is None:
            return cls(low, high)
        return cls(np.maximum(low, clip[0]), np.minimum(high, clip[1]))

    def append(self, feature: float) -> "Box":
        """Give all rows another feature."""
        return Box(np.append(self.low, feature), np.append(self.high, feature))

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

    def append(self, feature: float) -> "Ball":
        """Give all rows another feature, which may vary as the others do."""
        return Ball(np.append(self.center, feature), self.radius)

    def products(self, X: Array) -> Range:
        """Range of ``<z, x>`` for each row x of `X`."""
        center, reach = X @ self.center, self.radius * np.linalg.norm(X, axis=1)
        return center - reach, center + reach

    def squares(self) -> Range:
        """Range of ``<z, z>``."""
        norm = float(np.linalg.norm(self.center))
        return max(norm - self.radius, 0.0) ** 2, (norm + self.radius) ** 2


def cosines(products: Range, squares: Range, other: Array) -> Range:
    """Range of ``k / (q other)^(1/2)``, a little widened for rounding."""
    near, far = np.sqrt(squares[0] * other), np.sqrt(squares[1] * other)
    low = _ratio(products[0], np.where(products[0] < 0.0, near, far))
    high = _ratio(products[1], np.where(products[1] < 0.0, far, near))
    return np.clip(low - _EPS, -1.0, 1.0), np.clip(high + _EPS, -1.0, 1.0)


def _ratio(k: Array, scale: Array) -> Array:
    """Quotient; 1 or -1, which bound a cosine, where it is not defined."""
    return np.divide(k, scale, out=np.where(k < 0.0, -1.0, 1.0), where=scale > 0.0)
