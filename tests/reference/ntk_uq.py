"""Variances, intervals and tangents by their definitions."""

import math

import numpy as np
from discovery import labels
from scipy.stats import multivariate_normal


def variance(A, s2, a, rank):
    """Condition on the first principal directions of A, one after the other."""
    energies, vectors = np.linalg.eigh(A.T @ A)
    value = sum(x * x for x in a)
    for j in sorted(range(len(energies)), key=lambda j: -energies[j])[:rank]:
        share = energies[j] / (energies[j] + s2)
        value -= share * float(vectors[:, j] @ a) ** 2
    return value


def ridge_posterior(A, s2, a):
    """Variance of a function with weights from N(0, I), seen at A with noise s2."""
    return s2 * float(a @ np.linalg.solve(A.T @ A + s2 * np.eye(A.shape[1]), a))


def centred(features, queries):
    """Subtract the mean row, and divide by the mean norm of what is left."""
    mean = features.mean(axis=0)
    scale = np.mean([math.sqrt(sum(row**2)) for row in features - mean])
    return (features - mean) / scale, (queries - mean) / scale


def contrasts(rows):
    """Combine n rows to n - 1 orthonormal differences, which no constant moves."""
    n = len(rows)
    H = np.zeros((n - 1, n))
    for k in range(1, n):
        H[k - 1, :k] = 1.0 / math.sqrt(k * (k + 1))
        H[k - 1, k] = -k / math.sqrt(k * (k + 1))
    return H @ rows


def cross_validation(K, y, noise):
    """Score ridge regression of contrasts y by generalized cross-validation."""
    left = noise * np.linalg.inv(K + noise * np.eye(len(y)))  # identity minus hat
    return ((left @ y) ** 2).sum() / np.trace(left) ** 2


def minus_evidence(K, y, noise):
    """Minus the Gaussian log-density of contrasts y, at the best scale."""
    K = K + noise * np.eye(len(y))
    scale = y @ np.linalg.solve(K, y) / len(y)
    return -multivariate_normal(np.zeros(len(y)), scale * K).logpdf(y)


def log_lengths(errors, growth):
    """Logarithm of the mean width, up to a constant, for each column of growths."""
    return np.array([math.log(np.mean(errors / g) * np.mean(g)) for g in growth.T])


def quantile(scores, coverage):
    """Find the least score that enough of the scores, and a new one, stay below."""
    needed = coverage * (len(scores) + 1)
    for score in sorted(scores):
        if sum(other <= score for other in scores) >= needed - 1e-9:
            return score
    return math.inf


def outputs(network, X):
    """Evaluate scikit-learn's network before its last function."""
    functions = {
        "identity": lambda z: z,
        "logistic": lambda z: 1.0 / (1.0 + np.exp(-z)),
        "tanh": np.tanh,
        "relu": lambda z: z * (z > 0.0),
    }
    h, (*before, last) = X, zip(network.coefs_, network.intercepts_, strict=True)
    for W, b in before:
        h = functions[network.activation](h @ W + b)
    return h @ last[0] + last[1]


def jacobian(network, X, step=1e-6):
    """Differentiate the outputs (n, n_outputs) by all weights, by differences."""
    columns = []
    for W in (*network.coefs_, *network.intercepts_):
        for place in np.ndindex(W.shape):
            before = W[place]
            W[place] = before + step
            above = outputs(network, X)
            W[place] = before - step
            below = outputs(network, X)
            W[place] = before
            columns.append((above - below) / (2.0 * step))
    return np.moveaxis(np.array(columns), 0, 2)


def bounds(model, X, queries, weights=None):
    """Predict by least squares of the rows that were not held out."""
    X, queries = (np.asarray(rows, dtype=float) for rows in (X, queries))
    seen = np.setdiff1d(np.arange(len(X)), model.held_out_indices_)
    y = labels(X)[seen].astype(float)
    mean = X[seen].mean(axis=0)
    rows = X[seen] - mean
    largest = np.abs(rows).max() or 1.0
    weights = np.linalg.pinv(rows / largest) @ (y - y.mean())
    values = (queries - mean) / largest @ weights + y.mean()
    error = 1e-9 * (1.0 + np.abs((queries - mean) / largest).sum(axis=1))
    return values - error, values + error
