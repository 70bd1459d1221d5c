"""Rows nearby that a kernel machine classifies otherwise."""

import numpy as np

from kernelkit import _parallel
from kernelkit._validation import Array
from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.boxes import Box, Clip

_DOUBLINGS = 12
_BISECTIONS = 7
_N_STEPS = 10
_TIE = 1e-9  # radius to begin with at a row between two classes, relative to its size


def attack(
    kernel: NeuralTangent,
    X_fit: Array,
    margins: list[Array],
    X: Array,
    *,
    clip: Clip,
    n_jobs: int | None,
) -> Array:
    """Search the box around each row for rows of another class.

    Projected gradient descent on each function, in boxes of which the smallest that
    holds such a row is bisected. Parameters as in `certify`.

    Returns
    -------
    found : ndarray of shape (n_samples, n_rivals, n_features)
        Near rows where a function is negative; the row itself where none was found, or
        the function is negative at once.
    """
    tasks = [
        (_Search(kernel, X_fit, clip, x).run, (margin,))
        for x, rivals in zip(X, margins, strict=True)
        for margin in rivals
    ]
    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        return np.array(run(tasks)).reshape(len(X), -1, X.shape[1])


class _Search:
    """Search around one row."""

    def __init__(
        self, kernel: NeuralTangent, X_fit: Array, clip: Clip, x: Array
    ) -> None:
        self.kernel, self.X_fit, self.clip, self.x = kernel, X_fit, clip, x

    def run(self, margin: Array) -> Array:
        """Find a near row where the weighted sum of kernels is negative."""
        value = self._value(self.x, margin)
        if value < 0.0:
            return self.x
        slope = np.abs(self._gradient(self.x, margin)).sum()
        size = float(np.abs(self.x).max()) or 1.0
        reach = value / slope if slope > 0.0 else size
        high = min(reach, size) if value > 0.0 else _TIE * size
        low, best = 0.0, None
        for _ in range(_DOUBLINGS):
            best = self._descend(margin, high, self.x)
            if best is not None:
                break
            low, high = high, 2.0 * high
        if best is None:
            return self.x
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
        """Walk downhill within a box until the sum is negative."""
        box = Box.around(self.x, radius, self.clip)
        z = np.clip(start, box.low, box.high)
        for step in np.linspace(radius, radius / _N_STEPS, _N_STEPS):
            if self._value(z, margin) < 0.0:
                return z
            uphill = np.sign(self._gradient(z, margin))
            if not uphill.any():  # as at a row of zeros
                uphill = np.sign(margin @ self.X_fit)
            z = np.clip(z - step * uphill, box.low, box.high)
        return z if self._value(z, margin) < 0.0 else None

    def _value(self, z: Array, margin: Array) -> float:
        return float((self.kernel(z[None], self.X_fit) @ margin).item())

    def _gradient(self, z: Array, margin: Array) -> Array:
        gradient: Array = margin @ self.kernel.input_gradient(z, self.X_fit)
        return gradient
