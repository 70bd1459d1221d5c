"""Slow, obvious twins of the fast code."""

import math

import numpy as np

from reference.dominance import dominated_weight


def _cdf(X, queries, weights=None):
    return dominated_weight(X, queries, weights) / _whole_weight(X, weights)


def _survival(X, queries, weights=None):
    above = [True] * np.shape(X)[1]
    return dominated_weight(X, queries, weights, above) / _whole_weight(X, weights)


def _whole_weight(X, weights):
    return len(X) if weights is None else math.fsum(weights)


TWINS = {
    "MultivariateECDF": {"predict": _cdf, "cdf": _cdf, "survival": _survival},
}
"""``{class name: {method: twin(X, queries, weights)}}``, one for every estimator."""
