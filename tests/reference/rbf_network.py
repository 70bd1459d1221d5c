"""Radial basis function networks by their definition, a pair at a time."""

import math

import numpy as np

PROFILES = {
    "gaussian": lambda r: math.exp(-(r**2) / 2),
    "laplace": lambda r: math.exp(-r),
    "matern32": lambda r: (1 + math.sqrt(3) * r) * math.exp(-math.sqrt(3) * r),
    "matern52": lambda r: (
        (1 + math.sqrt(5) * r + 5 * r**2 / 3) * math.exp(-math.sqrt(5) * r)
    ),
}


def basis(X, U, C, profile="gaussian"):
    """Evaluate ``phi(|U (x - c)|)`` of all pairs."""
    U = np.diag(U) if np.ndim(U) == 1 else U
    phi = PROFILES[profile]
    radii = [[math.hypot(*z) for z in (x - C) @ U.T] for x in X]
    return np.array([[phi(r) for r in row] for row in radii])


def evidence(X, Y, weights, U, C, alpha, profile="gaussian"):
    """Negative log marginal likelihood per row, of an n x n covariance of the targets.

    That is ``I + Phi Phi' / alpha`` times a variance which is replaced by its estimate.
    """
    roots, phi, Y = _centred(X, Y, weights, U, C, profile)
    n, q = (roots**2).sum(), Y.shape[1]
    K = np.eye(len(X)) + phi @ phi.T / alpha
    misfit = np.array([y @ np.linalg.solve(K, y) for y in Y.T])
    return 0.5 * np.log(misfit / n).sum() + q / (2 * n) * np.linalg.slogdet(K)[1]


def ridge(X, Y, weights, U, C, alpha, profile="gaussian"):
    """Penalised squares per row at the best weights, by least squares on more rows."""
    roots, phi, Y = _centred(X, Y, weights, U, C, profile)
    m = phi.shape[1]
    tall = np.vstack([phi, np.sqrt(alpha) * np.eye(m)])
    targets = np.vstack([Y, np.zeros((m, Y.shape[1]))])
    W = np.linalg.lstsq(tall, targets, rcond=None)[0]
    return ((targets - tall @ W) ** 2).sum() / (2 * (roots**2).sum())


def _centred(X, Y, weights, U, C, profile):
    weights = np.ones(len(X)) if weights is None else weights
    roots = np.sqrt(weights)[:, None]
    phi = basis(X, U, C, profile)
    phi = roots * (phi - np.average(phi, axis=0, weights=weights))
    return roots, phi, roots * (Y - np.average(Y, axis=0, weights=weights))


def cross_entropy(X, Y, weights, U, C, coef, intercept, alpha, profile="gaussian"):
    """Mean of minus the logarithms of the probabilities of the classes that came."""
    weights = np.ones(len(X)) if weights is None else weights
    logits = basis(X, U, C, profile) @ coef + intercept
    if logits.shape[1] == 1:
        logits = np.column_stack([np.zeros(len(X)), logits])
        Y = np.column_stack([1 - Y, Y])
    losses = [
        -math.log(np.exp(row) @ y / np.exp(row).sum())
        for row, y in zip(logits, Y, strict=True)
    ]
    n = weights.sum()
    return (weights @ losses) / n + alpha / (2 * n) * (coef**2).sum()


def slope(function, at, step=1e-5):
    """Return the gradient of a function of an array by central differences."""
    at = np.array(at, dtype=float)
    gradient = np.empty_like(at)
    for index in np.ndindex(at.shape):
        values = []
        for sign in (1, -1):
            moved = at.copy()
            moved[index] += sign * step
            values.append(function(moved))
        gradient[index] = (values[0] - values[1]) / (2 * step)
    return gradient


def predict(model, X):
    """Predict by a regressor."""
    y = model._outputs.mean + model._outputs.scale * _sums(model, X)[0]
    return y[:, 0] if np.ndim(model.intercept_) == 0 else y


def bounds(model, X, queries, weights=None):
    """Return what predictions must not fall below and not exceed: rounding apart."""
    y, (_, error), eps = predict(model, queries), _sums(model, queries), _eps(model)
    error = model._outputs.scale * (error + eps) + eps * np.abs(y)
    return y - error, y + error


def logit_bounds(model, X, queries, weights=None):
    """Return what the logit of the second of two classes must lie between."""
    values, error = _sums(model, queries)
    error = error + _eps(model) * (1.0 + np.abs(values[:, 0]))
    return values[:, 0] - error, values[:, 0] + error


def class_bounds(model, X, queries, weights=None):
    """Return the first and the last of the classes 0 and 1 that are right."""
    low, high = logit_bounds(model, X, queries, weights)
    return np.greater(low, 0.0), np.greater(high, 0.0)


def probability_bounds(model, X, queries, weights=None):
    """Return what the probabilities of two classes must lie between."""
    low, high = logit_bounds(model, X, queries, weights)
    eps = 10.0 * _eps(model)
    return (
        (1.0 - eps) * np.column_stack([_logistic(-high), _logistic(low)]),
        (1.0 + eps) * np.column_stack([_logistic(-low), _logistic(high)]),
    )


def direction_bounds(model, X, queries, weights=None):
    """Return what coordinates along the active subspace must lie between."""
    Z = (np.asarray(queries, dtype=float) - model.mean_) / model.scale_
    vectors = model.active_subspace_[1]
    values = Z @ vectors
    error = 10.0 * _eps(model) * (np.abs(Z) @ np.abs(vectors))
    return values - error, values + error


def _sums(model, X):
    """Average the networks of a model, each of which sums its functions.

    Far away a small distance may be a difference of large numbers, of whose error the
    Laplacian, which has a peak, sees the square root.
    """
    Z, eps = _standardised(model, X), _eps(model)
    total, error = 0.0, np.zeros(len(Z))
    for net in model._networks:
        phi = basis(Z, net.U, net.C, model.kernel)
        total = total + net.share * (net.intercept + phi @ net.coef)
        far = np.abs(Z) @ np.abs(np.atleast_2d(net.U)).max(axis=0, initial=0.0)
        size = np.abs(net.coef).sum()
        rounding = eps * (1.0 + far) ** 2
        if model.kernel == "laplace":
            rounding = np.sqrt(rounding)
        error = error + size * np.minimum(rounding, 1.0)
    return total, error


def _standardised(model, X):
    with np.errstate(over="ignore"):
        Z = (np.asarray(X, dtype=float) - model.mean_) / model.scale_
    return np.clip(Z, -1e100, 1e100)


def _eps(model):
    return 1e-5 if np.dtype(model._dtype) == np.float32 else 1e-12


def _logistic(z):
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-z))
