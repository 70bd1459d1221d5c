"""Slow, obvious twins of the fast code."""

import math

import numpy as np
from discovery import labels

from reference import smoothing
from reference.dominance import dominated_weight
from reference.regression import regress

RTOL = 1e-13  # tells any two shares of few rows apart
WIDTH_RTOL = 1e-13  # of a bandwidth that a rule chose


def _cdf(model, X, queries, weights=None):
    return _bounds(dominated_weight(X, queries, weights) / _whole_weight(X, weights))


def _survival(model, X, queries, weights=None):
    above = [True] * np.shape(X)[1]
    totals = dominated_weight(X, queries, weights, above)
    return _bounds(totals / _whole_weight(X, weights))


def _whole_weight(X, weights):
    return len(X) if weights is None else math.fsum(weights)


def _bounds(values):
    return values * (1.0 - RTOL), values * (1.0 + RTOL)


def _log_density(model, X, queries, weights=None):
    return smoothing.log_density_bounds(
        X,
        queries,
        model.kernel,
        _bandwidth(model, X, weights),
        weights,
        width_rtol=WIDTH_RTOL,
    )


def _smooth_cdf(model, X, queries, weights=None):
    return smoothing.cdf_bounds(
        X,
        queries,
        model.kernel,
        _bandwidth(model, X, weights),
        weights,
        width_rtol=WIDTH_RTOL,
    )


def _prediction(model, X, queries, weights=None):
    """Allow rounding of the bandwidth, and of the distance of a far query."""
    if weights is not None:
        weights = np.divide(weights, np.max(weights))
    y, h = labels(X).astype(float), model.bandwidth_
    values = [
        regress(X, queries, y, weights, kernel=model.kernel, bandwidth=factor * h)
        for factor in (1.0 - WIDTH_RTOL, 1.0, 1.0 + WIDTH_RTOL)
    ]
    exponent = smoothing.scaled_distance(X, queries, h)
    if model.kernel == "gaussian":
        exponent = exponent**2
    error = 1e-10 + 8.0 * smoothing.EPS * exponent
    if model.kernel == "silverman":  # whose sums may cancel, and which ones is chance
        logs, sizes = smoothing.log_density(X, queries, "silverman", h, weights)
        error = error * np.exp(np.minimum(2 * (sizes - logs), 700))
        error[error > 1e-3] = np.inf
    return np.min(values, axis=0) - error, np.max(values, axis=0) + error


def _bandwidth(model, X, weights):
    """Compute the default by its formula; others are tested on their own."""
    if model.bandwidth == "normal_reference":
        return smoothing.reference_bandwidth(X, model.kernel, weights)
    return model.bandwidth_


TWINS = {
    "MultivariateECDF": {"predict": _cdf, "cdf": _cdf, "survival": _survival},
    "ProductKernelDensity": {"score_samples": _log_density, "cdf": _smooth_cdf},
    "ProductKernelRegressor": {"predict": _prediction},
}
"""``{class name: {method: twin}}``, one for every estimator.

A twin takes a fitted model, from which it may read parameters, the rows that it was
fitted to with `discovery.labels`, queries and weights. It returns what the answer must
not fall below and not exceed.
"""


def assert_right(model, got, X, queries, weights=None):
    """Compare the outputs of a model with those of the twins."""
    for method, twin in TWINS[type(model).__name__].items():
        low, high = twin(model, X, queries, weights)
        is_right = (low <= got[method]) & (got[method] <= high)
        assert is_right.all(), f"{method}: {got[method]} is not in [{low}, {high}]"
