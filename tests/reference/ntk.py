"""Kernel machines by a general solver of convex programs."""

import numpy as np
from scipy.optimize import minimize

LOSSES = {
    "hinge": lambda f, y, epsilon: np.maximum(0.0, 1.0 - y * f),
    "squared_hinge": lambda f, y, epsilon: np.maximum(0.0, 1.0 - y * f) ** 2,
    "logistic": lambda f, y, epsilon: np.logaddexp(0.0, -y * f),
    "squared": lambda f, y, epsilon: (y - f) ** 2,
    "epsilon_insensitive": lambda f, y, epsilon: np.maximum(0.0, abs(y - f) - epsilon),
}


def primal(loss, K, y, C, coef, epsilon=0.0):
    """Evaluate the objective of a machine by its definition."""
    f = K @ coef
    return coef @ f / 2.0 + np.sum(C * LOSSES[loss](f, y, epsilon))


def dual(loss, K, y, C, coef, epsilon=0.0):
    """Evaluate the dual objective at coefficients that its constraints allow.

    The conjugates of the losses are written out, in terms of ``y * coef``.
    """
    value = y @ coef - coef @ K @ coef / 2.0
    if loss == "epsilon_insensitive":
        return value - epsilon * np.abs(coef).sum()
    if loss in ("squared", "squared_hinge"):
        return value - np.sum(coef**2 / (4.0 * C))
    return value


def train(loss, K, y, C, epsilon=0.0):
    """Maximize the dual, with coefficients split in parts that add and subtract.

    Not for the logistic loss.
    """
    n = len(y)
    ones = np.ones(n)
    caps = {
        "hinge": (C * (y > 0), C * (y < 0)),
        "squared_hinge": (np.where(y > 0, np.inf, 0), np.where(y < 0, np.inf, 0)),
        "squared": (np.inf * ones, np.inf * ones),
        "epsilon_insensitive": (C * ones, C * ones),
    }[loss]
    ridge = np.diag(0.5 / (C * ones)) if loss.startswith("squared") else 0.0
    H = K + ridge

    def objective(parts):
        coef = parts[:n] - parts[n:]
        slope = H @ coef - y
        value = coef @ (H @ coef) / 2.0 - y @ coef + epsilon * parts.sum()
        return value, np.append(slope, -slope) + epsilon

    found = minimize(
        objective,
        np.zeros(2 * n),
        jac=True,
        bounds=[(0.0, cap) for cap in np.concatenate(caps)],
        method="L-BFGS-B",
        options={"maxiter": 100_000, "maxfun": 200_000, "ftol": 1e-16, "gtol": 1e-10},
    )
    return found.x[:n] - found.x[n:]
