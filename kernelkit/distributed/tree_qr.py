"""R factors of features in chunks, joined two by two.

Each factor has a centre and a scale of its own, so that neither an offset nor huge or
tiny features cost digits. Joining brings both to common ones, which is exact but for
rounding.
"""

from dataclasses import dataclass, replace

import numpy as np

from kernelkit._validation import Array
from kernelkit.design.orthonormal import column_exponents

_LEAST_EXPONENT = -1000  # that of columns that are zero


@dataclass(frozen=True)
class Factor:
    r"""An R factor of features times roots of the masses of their rows.

    Attributes
    ----------
    R : ndarray of shape (n, n_columns)
        Of the columns :math:`(f - c) / 2^e`, after a constant if that joins them: then
        the square of its first entry is the sum of the masses.
    center : ndarray of shape (n_features,)
        c, zero unless a constant joins the features; the mean, then. Of a feature that
        is constant, exactly its value: its column is zero.
    exponents : ndarray of shape (n_features,)
        e, which bring the largest entries near 1.
    """

    R: Array
    center: Array
    exponents: Array

    @property
    def has_constant(self) -> bool:
        """Whether a constant joins the features."""
        return self.R.shape[1] > len(self.center)

    @classmethod
    def of(cls, F: Array, masses: Array, *, centers: bool) -> "Factor":
        """Factor the features of some rows.

        Parameters
        ----------
        F : ndarray of shape (n_rows, n_features)
        masses : ndarray of shape (n_rows,)
            Nonnegative.
        centers : bool
            Whether a constant joins the features.
        """
        center = np.zeros(F.shape[1])
        if centers:
            center = F[masses.argmax()]
            if masses.any():
                center = center + masses @ (F - center) / masses.sum()
            F = F - center
        exponents = column_exponents(F)
        exponents[~F.any(axis=0)] = _LEAST_EXPONENT
        roots = np.sqrt(masses)[:, None]
        columns = np.ldexp(F, -exponents) * roots
        if centers:
            columns = np.hstack([roots, columns])
        return cls(_triangle(columns), center, exponents)

    def join(self, other: "Factor") -> "Factor":
        """Factor the rows of both."""
        gap = other.center - self.center
        _, exponents = np.frexp(gap)
        exponents[gap == 0.0] = _LEAST_EXPONENT
        exponents = np.maximum(exponents, self.exponents)
        exponents = np.maximum(exponents, other.exponents)
        center = self.center
        if self.has_constant:
            mass, more = np.square(self.R[0, 0]), np.square(other.R[0, 0])
            share = more / (mass + more) if more else 0.0  # masses may underflow
            center = center + share * gap
        both = [part._moved(center, exponents).R for part in (self, other)]
        return Factor(_triangle(np.vstack(both)), center, exponents)

    def _moved(self, center: Array, exponents: Array) -> "Factor":
        """Change what is subtracted and the scales."""
        R = self.R.copy()
        columns = R[:, R.shape[1] - len(center) :]
        np.ldexp(columns, self.exponents - exponents, out=columns)
        if self.has_constant:
            columns += R[:, :1] * np.ldexp(self.center - center, -exponents)
        return replace(self, R=R, center=center, exponents=exponents)


def _triangle(columns: Array) -> Array:
    return np.asarray(np.linalg.qr(columns, mode="r"))
