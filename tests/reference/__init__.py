"""Slow, obvious twins of the fast code."""

import math

import numpy as np
from discovery import labels

from reference import bases, least_squares, rbf_network, smoothing, wide
from reference.dominance import dominated_weight
from reference.nystroem import kernel_ridge
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


def _gaussian(A, B):
    """Evaluate the default kernel by differences."""
    A, B = (np.asarray(rows, dtype=float) for rows in (A, B))
    distances = np.square(A[:, None] - B).sum(axis=2)
    return np.exp(-distances / A.shape[1])


def _ridge_bounds(model, X, queries, weights, y):
    """Predict with all rows as centres, which they are if they are few.

    The span of the centres is cut at some share of the largest eigenvalue, which the
    penalty makes good as far as it is larger.
    """
    X, queries = _in_precision(model, X), _in_precision(model, queries)
    weights = np.ones(len(X)) if weights is None else weights
    K, alpha = _gaussian(X, X), vars(model).get("alpha_") or model.alpha
    cut = 1e-4 if _is_narrow(model, X) else 1e-10
    error = 10.0 * cut * len(X) * (1.0 + weights.max() / alpha)
    if error > 0.1:
        return -np.inf, np.inf
    dual, intercept = kernel_ridge(K, y, alpha, weights, model.fit_intercept)
    values = _gaussian(queries, X) @ dual + intercept
    return values - error, values + error


def _is_narrow(model, X):
    """Tell whether a model computes kernels of rows in single precision."""
    if model.dtype is not None:
        return np.dtype(model.dtype) == np.float32
    return np.asarray(X).dtype in (np.float16, np.float32)


def _in_precision(model, rows):
    """Round rows as a model does that was asked for single precision."""
    if model.dtype is None or np.dtype(model.dtype) == np.float64:
        return np.asarray(rows)
    return np.asarray(rows, dtype=np.float32)


def _ridge(model, X, queries, weights=None):
    return _ridge_bounds(model, X, queries, weights, labels(X).astype(float))


def _decision(model, X, queries, weights=None):
    return _ridge_bounds(model, X, queries, weights, 2.0 * labels(X) - 1.0)


def _class(model, X, queries, weights=None):
    low, high = _decision(model, X, queries, weights)
    return np.greater(low, 0.0), np.greater(high, 0.0) | np.equal(high, 0.0)


def _features(model, X, queries, weights=None):
    """Map queries by the components and their normalization, which have own tests."""
    eps = 1e-5 if _is_narrow(model, queries) or _is_narrow(model, X) else 1e-13
    queries = _in_precision(model, queries)
    values = _gaussian(queries, model.components_) @ model.normalization_.T
    error = 10.0 * eps * np.abs(model.normalization_).sum(axis=1)
    return values - error, values + error


def _reconstruction_features(model, X, queries, weights=None):
    """Whiten the kernel values of the kept columns, by the definition."""
    kept = model.component_indices_
    weights = np.ones(len(X)) if weights is None else weights
    scale = weights[kept] * model.copies_ / (model.n_copies * model.inclusion_proba_)
    s = np.sqrt(scale)[:, None]
    error = 1e-13 * len(kept) * (1.0 + scale.max(initial=0.0) / model.ridge)
    if error > 0.1:
        return -np.inf, np.inf
    inner = s * _gaussian(model.components_, model.components_) * s.T
    L = np.linalg.cholesky(inner + model.ridge * np.eye(len(kept)))
    values = np.linalg.solve(L, s * _gaussian(model.components_, queries)).T
    return values - error, values + error


def _basis(model, X, queries, weights=None):
    return bases.bounds(model, queries)


def _whitened(model, X, queries, weights=None):
    """Solve for the combinations of features that a basis was found to be."""
    change = model.change_
    queries = np.asarray(queries, dtype=float)[:, change.kept]
    scaled = np.ldexp(queries, -change.exponents)
    values = np.linalg.solve(change.R.T, scaled.T).T
    error = 1e-13 * np.linalg.cond(change.R) * (1.0 + np.abs(values).max(axis=1))
    return values - error[:, None], values + error[:, None]


def _design_prediction(model, X, queries, weights=None):
    """Rows of light weight count for little next to the rounding of heavy ones."""
    used = model.design_.weights[model.design_.weights > 0.0]
    rtol = 1e-9 + 1e-13 * np.sqrt(used.max() / used.min())
    return least_squares.bounds(model, X, queries, labels(X), rtol=min(rtol, 1e300))


TWINS = {
    "ChebyshevBasis": {"transform": _basis},
    "DesignLeastSquares": {"predict": _design_prediction},
    "EmpiricalKernelUQ": {"predict": wide.linear_bounds},
    "FiniteWidthClassifier": {
        "decision_function": wide.network_bounds,
        "predict": wide.network_class_bounds,
    },
    "FiniteWidthRegressor": {"predict": wide.network_bounds},
    "FourierBasis": {"transform": _basis},
    "GaussianRBFClassifier": {
        "decision_function": rbf_network.logit_bounds,
        "predict": rbf_network.class_bounds,
        "predict_proba": rbf_network.probability_bounds,
        "transform": rbf_network.direction_bounds,
    },
    "GaussianRBFRegressor": {
        "predict": rbf_network.bounds,
        "transform": rbf_network.direction_bounds,
    },
    "HermiteBasis": {"transform": _basis},
    "InkEstimate": {"transform": _reconstruction_features},
    "MultivariateECDF": {"predict": _cdf, "cdf": _cdf, "survival": _survival},
    "LegendreBasis": {"transform": _basis},
    "NTKSVC": {
        "decision_function": wide.decision_bounds,
        "predict": wide.machine_class_bounds,
        "predict_proba": wide.probability_bounds,
    },
    "NTKSVR": {"predict": wide.machine_bounds},
    "NystroemRidge": {"predict": _ridge},
    "NystroemRidgeCV": {"predict": _ridge},
    "NystroemRidgeClassifier": {"decision_function": _decision, "predict": _class},
    "OrthonormalBasis": {"transform": _whitened},
    "ProductKernelDensity": {"score_samples": _log_density, "cdf": _smooth_cdf},
    "ProductKernelRegressor": {"predict": _prediction},
    "ProjectionDPP": {},
    "RidgeLeverageNystroem": {"transform": _features},
}
"""``{class name: {method: twin}}``, one for every estimator.

A twin takes a fitted model, from which it may read parameters, the rows that it was
fitted to with `discovery.labels`, queries and weights. It returns what the answer must
not fall below and not exceed.
"""


def assert_right(model, got, X, queries, weights=None):
    """Compare the outputs of a model with those of the twins."""
    for method, values in got.items():
        low, high = TWINS[type(model).__name__][method](model, X, queries, weights)
        is_right = (low <= values) & (values <= high)
        assert is_right.all(), f"{method}: {values} is not in [{low}, {high}]"
