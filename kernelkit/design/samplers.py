"""Random designs: which points to evaluate or label, with which weights."""

from dataclasses import dataclass

import numpy as np

from kernelkit._validation import Array


@dataclass(frozen=True)
class Design:
    """Points to evaluate or label, for weighted least squares.

    With the n draws counted, ``G = sum_i weights[i] phi(x_i) phi(x_i)' / n``.

    Attributes
    ----------
    indices : ndarray of shape (n_labels,) or None
        Different rows of the pool, in ascending order; None on a continuous domain.
    points : ndarray of shape (n_labels, n_features) or None
        Points of a continuous domain.
    weights : ndarray of shape (n_labels,)
        Weights of least squares, those of repeated draws added.
    counts : ndarray of shape (n_labels,)
        How many times each point was drawn.
    lambda_min, lambda_max : float
        Least and greatest eigenvalue of G.
    n_tries : int
        Designs, or sets of `n_boost` designs, that were drawn until one was kept.
    method : str
        How the points were drawn.
    unbiased : bool
        Whether the fit is exactly unbiased for the projection of any target.
    """

    indices: Array | None
    points: Array | None
    weights: Array
    counts: Array
    lambda_min: float
    lambda_max: float
    n_tries: int
    method: str
    unbiased: bool

    @property
    def n_labels(self) -> int:
        """Number of different points, each of which costs a label."""
        return len(self.weights)

    @property
    def n_draws(self) -> int:
        """Number of draws, repeated ones included."""
        return int(self.counts.sum())
