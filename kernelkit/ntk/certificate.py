"""Radii within which no change of the features changes the predicted class."""

from dataclasses import replace

import numpy as np

from kernelkit import _parallel
from kernelkit._validation import Array
from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.boxes import Ball, Box, Clip, Range
from kernelkit.ntk.layers import kernel_range
from kernelkit.ntk.one_layer import Expansion, OneLayer

_BISECTIONS = 25
_DOUBLINGS = 60
_ROUNDING = 1e-12  # of the sum of the sizes of all terms


def certify(
    kernel: NeuralTangent,
    X_fit: Array,
    margins: list[Array],
    X: Array,
    *,
    method: str,
    clip: Clip,
    n_jobs: int | None,
) -> Array:
    """Find how far the features of each row may change, each by as much.

    Parameters
    ----------
    kernel : NeuralTangent
        The kernel of the machine.
    X_fit : ndarray of shape (n, n_features)
        Rows that the machine was trained on.
    margins : list of ndarray of shape (n_rivals, n)
        For each row of `X`, weights of functions ``sum_i margins[j, i] k(z, x_i)`` that
        are positive as long as z has the class that the row has.
    X : ndarray of shape (n_samples, n_features)
        Rows to certify.
    method : {"linear", "interval", "paper"}
        Which lower bound of these functions to take.
    clip : tuple of (float, float) or None
        Range that the features are known to stay in.
    n_jobs : int or None
        Number of threads.

    Returns
    -------
    radii : ndarray of shape (n_samples,)
        0 where not even the row itself is certain, inf where a row keeps its class
        whatever its features are within `clip`.
    """
    layer, size = OneLayer.of(kernel, X.shape[1]), 1.0
    if layer is not None:  # it is homogeneous: sizes near 1 keep all powers in range
        size = float(max(np.abs(X_fit).max(), np.abs(X).max(), layer.bias)) or 1.0
        X_fit, X = X_fit / size, X / size
        clip = None if clip is None else (clip[0] / size, clip[1] / size)
        layer = replace(
            layer, constant=layer.constant / size**2, bias=layer.bias / size
        )
    bound = _LowerBound(kernel, layer, X_fit, method, clip)
    tasks = [
        (_radius, (bound, x, margin)) for x, margin in zip(X, margins, strict=True)
    ]
    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        return size * np.array(run(tasks))


def _radius(bound: "_LowerBound", x: Array, margins: Array) -> float:
    """Double a radius until it is not certain, then bisect."""
    size = float(np.abs(x).max()) or 1.0
    low, high = 0.0, 1e-3 * size
    for _ in range(_DOUBLINGS):
        if not (bound(x, high, margins) > 0.0).all():
            break
        if bound.holds_everything(x, high):
            return np.inf
        low, high = high, 2.0 * high
    else:
        return low
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if (bound(x, middle, margins) > 0.0).all():
            low = middle
        else:
            high = middle
    return low


class _LowerBound:
    """Lower bound of weighted sums of kernels over the rows around a row."""

    def __init__(
        self,
        kernel: NeuralTangent,
        layer: OneLayer | None,
        X_fit: Array,
        method: str,
        clip: Clip,
    ) -> None:
        self.kernel, self.layer = kernel, layer
        self.method, self.clip = method, clip
        if layer is not None:
            X_fit = np.column_stack([X_fit, np.full(len(X_fit), layer.bias)])
        self.X, self.norms = X_fit, np.linalg.norm(X_fit, axis=1)

    def holds_everything(self, x: Array, radius: float) -> bool:
        """Tell whether all of `clip` is within the radius."""
        if self.clip is None:
            return False
        low, high = self.clip
        return bool((x - radius <= low).all() and (x + radius >= high).all())

    def __call__(self, x: Array, radius: float, margins: Array) -> Array:
        """Bound each row's sum from below, rounding included."""
        box, ball = Box.around(x, radius, self.clip), Ball(x, radius * len(x) ** 0.5)
        if self.layer is not None:
            box, ball = box.append(self.layer.bias), ball.append(self.layer.bias)
        region = ball if self.method == "paper" else box
        ranges = region.products(self.X), region.squares(), self.norms
        if self.layer is not None:
            least, largest = self.layer.range(*ranges)
        else:
            least, largest = kernel_range(self.kernel, len(x), *ranges)
        plus, minus = np.maximum(margins, 0.0), np.minimum(margins, 0.0)
        bounds = plus @ least + minus @ largest
        if self.layer is not None and self.method == "linear":
            about = self.layer.expand(*ranges)
            expanded = self._expanded(box, about, margins, (least, largest))
            bounds = np.maximum(bounds, expanded)
        sizes = np.maximum(np.abs(least), np.abs(largest))
        return bounds - _ROUNDING * (np.abs(margins) @ sizes)

    def _expanded(
        self, box: Box, about: Expansion, margins: Array, interval: Range
    ) -> Array:
        """Bound the sum of expansions, in which terms of opposite sign cancel.

        Where the error of the expansion is more than half the interval, the interval
        takes its place.
        """
        least, largest = interval
        half = (largest - least) / 2.0
        plus, minus = np.maximum(margins, 0.0), np.minimum(margins, 0.0)
        below, above = about.below <= half, about.above <= half
        used = plus * below + minus * above
        linear = (used * about.by_product) @ self.X
        expanded = (
            box.least(linear, used @ about.by_square)
            + used @ about.constant
            - plus @ np.where(below, about.below, 0.0)
            + minus @ np.where(above, about.above, 0.0)
        )
        return expanded + plus @ (~below * least) + minus @ (~above * largest)
