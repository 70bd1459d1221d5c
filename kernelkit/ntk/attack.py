"""Rows nearby that a kernel machine classifies otherwise."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.boxes import Box

Array = npt.NDArray[Any]
Clip = tuple[float, float] | None

_DOUBLINGS = 12
_BISECTIONS = 7
_N_STEPS = 10


def attack(
    kernel: NeuralTangent,
    X_fit: Array,
    margins: list[Array],
    X: Array,
    *,
    clip: Clip,
    n_jobs: int | None,
) -> tuple[Array, Array]:
    """Search the box around each row for rows of another class.

    Projected gradient descent on each function, in boxes of which the smallest that
    holds such a row is bisected. Parameters as in `certify`.

    Returns
    -------
    radii : ndarray of shape (n_samples,)
        Largest change of a feature that is needed at most; inf if no row was found.
    adversaries : ndarray of shape (n_samples, n_features)
        The rows that were found, or else the rows themselves.
    """
    tasks = [
        (_nearest, (_Search(kernel, X_fit, clip, x), margin))
        for x, margin in zip(X, margins, strict=True)
    ]
    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        found = run(tasks)
    adversaries = np.array(found).reshape(X.shape)
    radii = np.abs(adversaries - X).max(axis=1)
    changed = np.array([(z != x).any() for z, x in zip(adversaries, X, strict=True)])
    return np.where(changed, radii, np.inf), adversaries


def _nearest(search: "_Search", margins: Array) -> Array:
    """Return the nearest row found on the other side of any margin."""
    tried = [search.run(margin) for margin in margins]
    found = [z for z in tried if z is not None]
    return min(found, key=lambda z: float(np.abs(z - search.x).max()), default=search.x)


class _Search:
    """Search around one row."""

    def __init__(
        self, kernel: NeuralTangent, X_fit: Array, clip: Clip, x: Array
    ) -> None:
        self.kernel, self.X_fit, self.clip, self.x = kernel, X_fit, clip, x

    def run(self, margin: Array) -> Array | None:
        """Find a near row where the weighted sum of kernels is not positive."""
        slope = np.abs(self._gradient(self.x, margin)).sum()
        size = float(np.abs(self.x).max()) or 1.0
        reach = self._value(self.x, margin) / slope if slope > 0.0 else np.inf
        high = min(reach, size)  # exact if the sum were linear
        low, best = 0.0, None
        for _ in range(_DOUBLINGS):
            best = self._descend(margin, high, self.x)
            if best is not None:
                break
            low, high = high, 2.0 * high
        if best is None:
            return None
        for _ in range(_BISECTIONS):
            high = float(np.abs(best - self.x).max())
            middle = (low + high) / 2.0
            nearer = self._descend(margin, middle, best)
            if nearer is None:
                low = middle
            else:
                best = nearer
        return best

    def _descend(self, margin: Array, radius: float, start: Array) -> Array | None:
        """Walk downhill within a box until the sum is not positive."""
        box = Box.around(self.x, radius, self.clip)
        z = np.clip(start, box.low, box.high)
        for step in np.linspace(radius, radius / _N_STEPS, _N_STEPS):
            if self._value(z, margin) <= 0.0:
                return z
            uphill = np.sign(self._gradient(z, margin))
            z = np.clip(z - step * uphill, box.low, box.high)
        return z if self._value(z, margin) <= 0.0 else None

    def _value(self, z: Array, margin: Array) -> float:
        return float((self.kernel(z[None], self.X_fit) @ margin).item())

    def _gradient(self, z: Array, margin: Array) -> Array:
        gradient: Array = margin @ self.kernel.input_gradient(z, self.X_fit)
        return gradient
