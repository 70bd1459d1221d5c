"""Intervals around predictions: their quantile, and how they grow with a variance."""

import numpy as np

from kernelkit._validation import Array

SHARES = np.logspace(-3.0, 0.0, 16)  # of an interval's square that do not grow

_LONGER = 1.05  # mean width, against the least, that growth with distance may cost
_DOUBT = 1.5  # standard errors of that width which count as width


def conformal_quantile(scores: Array, coverage: float) -> Array:
    """Find what a new score stays below with at least this probability.

    It is the ``ceil((m + 1) coverage)``-th smallest of m scores, for each column;
    infinity if there are too few.
    """
    place = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    if place > len(scores):
        return np.full(scores.shape[1], np.inf)
    return np.sort(scores, axis=0)[place - 1]


def choose_shares(errors: Array, growth: Array) -> Array:
    """Choose one of `SHARES` for each output, by rows that tune.

    Parameters
    ----------
    errors : ndarray of shape (n, n_outputs)
        Absolute ones, in any unit.
    growth : ndarray of shape (n, n_shares)
        Width of each row's interval for each share, before the quantile.
    """
    return np.array([SHARES[cautious(column, growth)] for column in errors.T])


def cautious(errors: Array, growth: Array) -> int:
    """Find the least theta whose intervals are hardly longer than the best.

    A width is a mean score, which is steadier than a quantile, times the mean growth.
    Few rows say little about it: its error counts as length, and intervals of the same
    width are the best unless others gain more than their error.
    """
    if not errors.any():
        return -1
    scores = errors[:, None] / growth
    size, mean = scores.mean(axis=0), growth.mean(axis=0)
    lengths = np.log(size) + np.log(mean)
    influences = scores / size + growth / mean  # of each row on these logarithms

    def excess(best: int) -> Array:
        error = (influences - influences[:, [best]]).std(axis=0) / len(errors) ** 0.5
        return lengths - lengths[best] + _DOUBT * error

    best = int(lengths.argmin())
    if excess(-1)[best] >= 0.0:
        best = -1
    return int(np.argmax(excess(best) <= np.log(_LONGER)))


def relative(errors: Array) -> Array:
    """Divide the errors of each output by the largest: squares do not overflow."""
    largest = errors.max(axis=0)
    return errors / np.where(largest, largest, 1.0)
