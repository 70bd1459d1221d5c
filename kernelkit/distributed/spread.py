"""Bandwidths by the spread of rows in Dask chunks."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.density import bandwidth as bandwidths
from kernelkit.density.kernels1d import Kernel
from kernelkit.density.ranks import sort_keys
from kernelkit.distributed.boxes import Survey
from kernelkit.distributed.chunks import Rows

_EDGES = 2**13  # of intervals in which a pass looks for a quartile
_TOP = np.uint64(2**63)


class Moments(NamedTuple):
    """What some rows of positive weight tell of the spread of all.

    Weights count relative to the heaviest. The mean is a sum of two numbers: next to a
    large offset, one has too few digits.
    """

    n_rows: int
    heaviest: float
    total: float
    squares: float  # of the weights
    low: Array
    high: Array
    mean: Array
    rest: Array
    size: Array  # root mean square of the distances from the mean

    @classmethod
    def of(cls, rows: Rows) -> "Moments | None":
        """Look at checked rows; None if all weights are zero."""
        X, weights = rows.X, rows.weights
        if weights is None:
            weights = np.ones(len(X))
        X, weights = X[weights > 0.0], weights[weights > 0.0]
        if not len(X):
            return None
        heaviest = weights.max()
        weights = weights / heaviest
        steps, exponent = bandwidths.centred(X, weights)
        k = weights.argmax()
        to_mean = np.ldexp(-steps[k], exponent)
        mean = X[k] + to_mean
        return cls(
            len(X),
            float(heaviest),
            float(weights.sum()),
            float(np.square(weights).sum()),
            X.min(axis=0),
            X.max(axis=0),
            mean,
            (X[k] - mean) + to_mean,
            np.ldexp(bandwidths.root_mean_square(steps, weights), exponent),
        )

    def add(self, other: "Moments") -> "Moments":
        """Join what other rows tell.

        Source: Chan, Golub & LeVeque (1983), The American Statistician 37(3), 242-247.
        """
        heaviest = max(self.heaviest, other.heaviest)
        own, their = self.heaviest / heaviest, other.heaviest / heaviest
        total = self.total * own + other.total * their
        share = other.total * their / total
        step = (other.mean - self.mean) + (other.rest - self.rest)
        mean = self.mean + share * step
        parts = [
            math.sqrt(1.0 - share) * self.size,
            math.sqrt(share) * other.size,
            math.sqrt(share * (1.0 - share)) * step,
        ]
        return Moments(
            self.n_rows + other.n_rows,
            heaviest,
            total,
            self.squares * own**2 + other.squares * their**2,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            mean,
            ((self.mean - mean) + share * step) + self.rest,
            reduce(np.hypot, parts),
        )


def resolve(
    owner: str,
    bandwidth: Any,
    survey: Survey,
    told: Sequence[Moments | None],
    kernel: Kernel,
) -> Array:
    """Turn the `bandwidth` parameter into a number per feature.

    Parameters
    ----------
    owner : str
        Name of the estimator, for messages.
    bandwidth : str, float or array-like of shape (n_features,)
    survey : Survey
    told : sequence of Moments or None
        Of each part of the rows.
    kernel : Kernel
    """
    if not isinstance(bandwidth, str):
        n_features = survey.parts.boxes.low.shape[1]
        return check.bandwidth_numbers(owner, bandwidth, n_features)
    first, *others = [moments for moments in told if moments is not None]
    moments = reduce(Moments.add, others, first)
    size = moments.size
    if bandwidth == "silverman":
        quartiles = _quartiles(survey, moments.low, moments.high)
        size = bandwidths.smaller_spread(size, *quartiles)
    spread = bandwidths.Spread(
        moments.n_rows,
        moments.total**2 / moments.squares,
        size,
        moments.low == moments.high,
    )
    return bandwidths.of_spread(bandwidth, spread, kernel)


def refuse_search(owner: str, bandwidth: Any) -> None:
    """Raise ValueError for a rule that compares all rows again and again."""
    if not isinstance(bandwidth, str) or bandwidth in bandwidths.REFERENCE_RULES:
        return
    raise ValueError(
        f"bandwidth={bandwidth!r} of {owner} compares all rows with each other some 20 "
        "times or more, which is not done for Dask collections: let the class in "
        "kernelkit choose it for a sample of rows in memory, and give the number, "
        "times (n_sampled / n_samples) ** (1 / (n_features + 4)) as there are more; or "
        "use bandwidth='normal_reference'."
    )


def _quartiles(survey: Survey, low: Array, high: Array) -> tuple[Array, Array]:
    """Find the least values at and below which a share of the weight lies.

    Floats are integers in the same order; at most 5 passes look for the two of each
    feature where the last has left them, among 8192 intervals.
    """
    rows = survey.parts.as_chunks()
    fractions = np.array(bandwidths.QUARTILES)
    first = np.repeat(sort_keys(low)[:, None], 2, axis=1)
    last = np.repeat(sort_keys(high)[:, None], 2, axis=1)
    total = None
    while (first < last).any():
        step = (last - first) // np.uint64(_EDGES) + np.uint64(1)
        edges = first[..., None] + step[..., None] * np.arange(
            1, _EDGES + 1, dtype=np.uint64
        )
        edges = np.minimum(edges - np.uint64(1), last[..., None])
        below = rows.reduce(
            "quartiles", _weight_below, edges, survey.heaviest, add=np.add
        )
        if total is None:
            total = below[..., -1:]
        found = (below / total < fractions[:, None]).sum(axis=2, keepdims=True)
        found = np.minimum(found, _EDGES - 1)
        before = np.take_along_axis(edges, np.maximum(found - 1, 0), 2)[..., 0]
        first = np.where(found[..., 0] > 0, before + np.uint64(1), first)
        last = np.take_along_axis(edges, found, 2)[..., 0]
    values = _numbers(last)
    return values[:, 0], values[:, 1]


def _weight_below(rows: Rows, edges: Array, heaviest: float) -> Array:
    below = np.empty(edges.shape)
    weights = np.ones(len(rows.X))
    if rows.weights is not None:
        weights = rows.weights / heaviest
    for k, column in enumerate(rows.X.T):
        keys = sort_keys(column)
        order = np.argsort(keys)
        sums = np.append(0.0, np.cumsum(weights[order]))
        below[k] = sums[np.searchsorted(keys[order], edges[k], side="right")]
    return below


def _numbers(keys: Array) -> Array:
    """Undo `sort_keys` of floats."""
    bits = (keys ^ _TOP).view(np.int64)
    bits ^= (bits >> 63) & np.int64(2**63 - 1)
    return bits.view(np.float64)
