"""Answers of kernel machines and networks by their definition, in plain arrays."""

import math

import numpy as np
from discovery import labels
from scipy.special import erf, expit, ndtr

from reference import ntk

GAP = 3e-6  # share of its objective that a machine may leave
EPS = 1e-11  # error of a kernel, relative to the roots of its diagonal


def kernel(model, A, B):
    """Compute the kernel of a network with one hidden layer and without biases.

    Angles come from sums and differences of unit rows, so that small ones keep digits.
    """
    w2 = model.sigma_w**2
    (U, a), (V, b) = _polar(A, w2), _polar(B, w2)
    pairs = np.stack([U[:, None] - V, U[:, None] + V])
    away, along = np.sqrt((pairs**2).sum(axis=3))
    sine, cosine = away * along / 2.0, (along - away) * (along + away) / 4.0
    angle, product = 2.0 * np.arctan2(away, along), np.outer(a, b)
    value, slope = _means(model, angle, sine * product, cosine * product, a[:, None], b)
    return w2 * (value + slope * cosine * product)


def _polar(X, w2):
    """Split rows into unit rows and roots of the variances behind the first layer."""
    X = np.asarray(X, dtype=float)
    largest = np.abs(X).max(axis=1, keepdims=True)
    X = np.divide(X, largest, out=np.zeros_like(X), where=largest > 0)
    norms = np.sqrt((X**2).sum(axis=1, keepdims=True))
    U = np.divide(X, norms, out=np.zeros_like(X), where=norms > 0)
    return U, (largest * norms)[:, 0] * math.sqrt(w2 / X.shape[1])


def _means(model, angle, sine, cosine, a, b):
    """Average products of the activation, and of its slope, over normal pairs.

    Sines and cosines are multiplied by the roots a and b.
    """
    if model.activation == "erf":
        root = np.hypot(np.hypot(1.0, np.hypot(a, b) * 2**0.5), 2.0 * sine)
        return 2.0 / np.pi * np.arctan2(2.0 * cosine, root), 4.0 / np.pi / root
    if model.activation == "gelu":
        root = np.hypot(np.hypot(1.0, np.hypot(a, b)), sine)
        normal = 0.25 + np.arctan2(cosine, root) / (2.0 * np.pi)
        s, t = 1.0 / np.hypot(1.0, a), 1.0 / np.hypot(1.0, b)
        share = s**2 + t**2
        square = cosine * share * (cosine / root)
        value = cosine * normal + (sine * (sine / root) + square) / (2.0 * np.pi)
        rest = (square - np.hypot(1.0, np.hypot(a, b)) ** 2 / root) / root
        slope = normal + cosine / root * (rest + 2.0 * share) / (2.0 * np.pi)
        return value, slope
    order_0 = (np.pi - angle) / (2.0 * np.pi)
    order_1 = (sine + (np.pi - angle) * cosine) / (2.0 * np.pi)
    low, high = {"relu": (0.0, 1.0), "linear": (1.0, 1.0)}.get(
        model.activation, model.slopes
    )
    kink, line = (high - low) ** 2, low * high
    return kink * order_1 + line * cosine, kink * order_0 + line


def _machine(model, X, targets, queries, weights):
    """Return values of a machine and their error, once it has proven to be the best.

    How good its coefficients are is seen from the gap between the objectives.
    """
    C = model.C * (np.ones(len(X)) if weights is None else weights)
    rows, y, C = np.asarray(X)[C > 0.0], targets[C > 0.0], C[C > 0.0]
    [coef], size = model.dual_coef_, np.abs(model.dual_coef_[0])
    if _is_rough(model, rows, queries):
        return 0.0, np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        K = kernel(model, rows, rows)
        rounding = EPS * (C * (1.0 + np.abs(y) + np.abs(K) @ size)).sum()
        rounding += EPS * (size @ np.abs(K) @ size + size.sum())
        if model.loss.startswith("squared"):
            rounding += EPS * (C * (np.abs(K) @ size) ** 2).sum()
    if np.isfinite(rounding) and (model.dual_gap_ <= GAP).all():
        _assert_best(model, K, y, C, coef, rounding)
    errors = EPS * np.outer(_roots(model, queries), _roots(model, rows))
    return kernel(model, queries, rows) @ coef, errors @ size + 1e-280


def _roots(model, X):
    """Compute the roots of the kernel of each row with itself.

    The least rows, of which they are a multiple, take another unit.
    """
    X = np.asarray(X, dtype=float)
    largest = np.abs(X).max(axis=1)
    unit = np.where((largest > 0.0) & (largest < 1e-70), largest / 1e-70, 1.0)
    X = X / unit[:, None]
    return unit * np.sqrt([kernel(model, row[None], row[None])[0, 0] for row in X])


def _assert_best(model, K, y, C, coef, rounding):
    if model.loss == "logistic":
        right = C * y * expit(-y * (K @ coef))
        assert np.abs(coef - right).max() <= 0.01 * C.max() + rounding
        return
    epsilon = getattr(model, "epsilon", 0.0)
    best = ntk.primal(model.loss, K, y, C, coef, epsilon)
    assert best - ntk.dual(model.loss, K, y, C, coef, epsilon) <= GAP * best + rounding
    limits = {"hinge": (0.0, C), "squared_hinge": (0.0, np.inf)}
    low, high = limits.get(model.loss, (-np.inf, np.inf))
    assert (low <= y * coef).all()
    assert (y * coef <= high).all()


def _is_rough(model, *blocks):
    """Tell whether a smooth activation sees the rounding of angles of long rows."""
    largest = max(np.abs(np.asarray(X, dtype=float)).max(initial=0.0) for X in blocks)
    return model.activation in ("erf", "gelu") and largest > 1e3


def _signs(X):
    return 2.0 * labels(X) - 1.0


def machine_bounds(model, X, queries, weights=None):
    """Return what predictions of a regression must not fall below and not exceed."""
    values, error = _machine(model, X, labels(X).astype(float), queries, weights)
    return values - error, values + error


def decision_bounds(model, X, queries, weights=None):
    """Return what values of a classifier must lie between."""
    values, error = _machine(model, X, _signs(X), queries, weights)
    return values - error, values + error


def machine_class_bounds(model, X, queries, weights=None):
    """Return the first and the last of the classes 0 and 1 that are right."""
    low, high = decision_bounds(model, X, queries, weights)
    return np.greater(low, 0.0), np.greater_equal(high, 0.0)


def probability_bounds(model, X, queries, weights=None):
    """Return what the probabilities of two classes must lie between."""
    low, high = decision_bounds(model, X, queries, weights)
    low, high = low + np.zeros(len(queries)), high + np.zeros(len(queries))
    below = np.column_stack([expit(-high), expit(low)])
    above = np.column_stack([expit(-low), expit(high)])
    return (1.0 - EPS) * below - EPS, (1.0 + EPS) * above + EPS


def _network(model, X):
    """Pass rows through a network and its start; sizes tell how much may be rounded."""
    X = np.asarray(X, dtype=float)
    function = {
        "relu": lambda z: np.maximum(z, 0.0),
        "leaky_relu": lambda z: np.where(z > 0.0, model.slopes[1], model.slopes[0]) * z,
        "erf": erf,
        "gelu": lambda z: z * ndtr(z),
        "linear": lambda z: z,
    }[model.activation]
    values, sizes = 0.0, 0.0
    for sign, network in ((1.0, model.net_), (-1.0, model.initial_net_)):
        n_copies = len(network.weights[0])
        for copy in range(n_copies):
            h, size = X, np.abs(X)
            for layer, (W, b) in enumerate(
                zip(network.weights, network.biases, strict=True)
            ):
                scale = model.sigma_w / math.sqrt(h.shape[1])
                W, b = W[copy].astype(float), model.sigma_b * b[copy].astype(float)
                if layer:
                    h, size = function(h), 1.2 * size
                h = scale * h @ W.T + b
                size = scale * size @ np.abs(W.T) + np.abs(b)
            share = sign / math.sqrt(n_copies) * (-1.0 if copy else 1.0)
            values, sizes = values + share * h, sizes + size
    is_narrow = model.net_.weights[0].dtype == np.float32
    eps, least = (1e-5, 1e-35) if is_narrow else (1e-13, 1e-280)
    return values[:, 0], eps * sizes[:, 0] + least


def network_bounds(model, X, queries, weights=None):
    """Return what outputs of a network must lie between, by its weights."""
    values, error = _network(model, queries)
    return values - error, values + error


def network_class_bounds(model, X, queries, weights=None):
    """Return the first and the last of the classes 0 and 1 that are right."""
    low, high = network_bounds(model, X, queries, weights)
    return np.greater(low, 0.0), np.greater_equal(high, 0.0)


def linear_bounds(model, X, queries, weights=None):
    """Return bounds of the least squares fit to the rows that were not held out.

    scikit-learn leaves out directions of less than a millionth of the largest one.
    """
    seen = np.setdiff1d(np.arange(len(X)), model.held_out_indices_)
    X, queries = (np.asarray(rows, dtype=float) for rows in (X, queries))
    y, rows = labels(X)[seen].astype(float), X[seen]
    coef, intercept = model.estimator_.coef_, model.estimator_.intercept_
    far = np.abs(rows).max() * np.abs(coef).sum() + np.abs(intercept)
    values = queries @ coef + intercept
    error = 1e-12 * (np.abs(queries) @ np.abs(coef) + np.abs(intercept))
    A = (rows - rows.mean(axis=0)) / (np.abs(rows).max() or 1.0)
    y = y - y.mean()
    least = np.linalg.norm(y - A @ np.linalg.lstsq(A, y, rcond=2e-6)[0])
    got = np.linalg.norm(labels(X)[seen] - rows @ coef - intercept)
    assert got <= (1.0 + 1e-9) * least + 1e-11 * (1.0 + far) * len(rows)
    return values - error, values + error
