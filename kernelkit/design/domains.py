"""Where a basis lives, and the law for which it is orthonormal."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelkit._validation import Array

_LARGEST = np.finfo(np.float64).max / 4


@dataclass(frozen=True)
class Box:
    """A product of intervals, each with the same law.

    Attributes
    ----------
    law : {"uniform", "arcsine"}
        On [-1, 1], the standard interval.
    low, high : ndarray of shape (n_features,)
        Ends of the intervals.
    """

    law: str
    low: Array
    high: Array

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.low)

    @property
    def bounds(self) -> Array:
        """Lower and upper end for each feature, of shape (n_features, 2)."""
        return np.column_stack([self.low, self.high])

    def to_standard(self, X: Array) -> Array:
        """Move the intervals to [-1, 1]."""
        with np.errstate(over="ignore"):  # far beyond the ends is infinitely far
            return 2.0 * ((X - self.low) / (self.high - self.low)) - 1.0

    def from_standard(self, standard: Array) -> Array:
        """Move [-1, 1] to the intervals."""
        X = self.low + (self.high - self.low) * (0.5 * (standard + 1.0))
        return np.clip(X, self.low, self.high)  # rounding may leave them

    def draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        """Draw independent points, of shape (n_samples, n_features)."""
        standard = rng.uniform(-1.0, 1.0, (n_samples, self.n_features))
        if self.law == "arcsine":
            standard = np.sin(0.5 * np.pi * standard)
        return self.from_standard(standard)


@dataclass(frozen=True)
class Normal:
    """All of space, with independent normal features.

    Attributes
    ----------
    loc, scale : ndarray of shape (n_features,)
        Means and standard deviations.
    """

    loc: Array
    scale: Array

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.loc)

    @property
    def bounds(self) -> Array:
        """Minus and plus infinity for each feature, of shape (n_features, 2)."""
        return np.tile([-np.inf, np.inf], (self.n_features, 1))

    def to_standard(self, X: Array) -> Array:
        """Move to mean 0 and standard deviation 1."""
        return (X - self.loc) / self.scale

    def from_standard(self, standard: Array) -> Array:
        """Move from mean 0 and standard deviation 1."""
        return self.loc + self.scale * standard

    def draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        """Draw independent points, of shape (n_samples, n_features)."""
        return self.from_standard(rng.standard_normal((n_samples, self.n_features)))


def centers(X: Array) -> Array:
    """Average the columns; exactly their value where they are constant."""
    base = X[0]
    return base + (X / len(X) - base / len(X)).sum(axis=0)


def deviations(X: Array, loc: Array) -> Array:
    """Find standard deviations, 1 where they are zero."""
    offsets = X - loc
    peaks = np.abs(offsets).max(axis=0)
    peaks[peaks == 0.0] = 1.0
    scale = peaks * np.sqrt(np.square(offsets / peaks).mean(axis=0))
    return np.where(scale == 0.0, 1.0, scale)


def intervals(owner: str, value: Any, n_features: int) -> Array:
    """Check a pair, or one per feature, of finite ends in ascending order."""
    try:
        pairs = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        pairs = np.empty(0)
    is_right = pairs.shape in ((2,), (n_features, 2))
    is_right = is_right and bool((np.abs(pairs) <= _LARGEST).all())
    if not (is_right and (pairs[..., 0] < pairs[..., 1]).all()):
        raise ValueError(
            f"The 'bounds' parameter of {owner} must be 'data', a pair (low, high) of "
            f"finite numbers with low < high, or {n_features} of them, one per "
            f"feature. Got {value!r} instead."
        )
    return np.array(np.broadcast_to(pairs, (n_features, 2)))


def numbers(
    owner: str, name: str, value: Any, n_features: int, above: float = -_LARGEST
) -> Array:
    """Check a number, or one per feature."""
    try:
        values = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        values = np.empty(0)
    is_right = values.shape in ((), (n_features,))
    if not (is_right and ((values > above) & (values < _LARGEST)).all()):
        kind = "number > 0" if above == 0.0 else "number"
        raise ValueError(
            f"The {name!r} parameter of {owner} must be 'data', a finite {kind} or "
            f"{n_features} of them, one per feature. Got {value!r} instead."
        )
    return np.full(n_features, values)
