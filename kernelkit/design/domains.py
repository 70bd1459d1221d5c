"""Where a basis lives, and the law for which it is orthonormal."""

from dataclasses import dataclass

import numpy as np

from kernelkit._validation import Array


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
