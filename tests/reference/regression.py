"""Kernel regression by its definition, one query at a time."""

import math

import numpy as np

from reference.smoothing import COMPACT, kernel_parts


def regress(
    X,
    queries,
    y,
    weights=None,
    *,
    kernel="laplacian",
    bandwidth=1.0,
    order=0,
    leave_out=False,
):
    """Predict targets by a local mean, or by a local line of weighted least squares.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    queries : array-like of shape (n_queries, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    weights : array-like of shape (n_samples,), default=None
    kernel : str or sequence of float, default="laplacian"
    bandwidth : float or array-like of shape (n_features,), default=1.0
    order : {0, 1}, default=0
    leave_out : bool, default=False
        The queries are the rows; each is predicted from the others.

    Returns
    -------
    values : ndarray of shape (n_queries,) or (n_queries, n_outputs)
    """
    X, queries, y = (np.asarray(array, dtype=float) for array in (X, queries, y))
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    bandwidth = np.full(X.shape[1], bandwidth, dtype=float)
    values = np.empty((len(queries), *y.shape[1:]))
    for i, query in enumerate(queries):
        kept = weights > 0
        if leave_out:
            kept[i] = False
        values[i] = _at(
            query, X[kept], y[kept], weights[kept], kernel, bandwidth, order
        )
    return values


def _at(query, X, y, weights, kernel, bandwidth, order):
    U = (query.astype(np.longdouble) - X) / bandwidth  # beyond the largest float
    shares, is_in_reach = _shares(U, weights, kernel)
    mean = _mean(shares, y)
    if order == 0 or not is_in_reach:
        return mean
    U = U.astype(float)
    size = np.sqrt(_mean(shares, (U / np.abs(U).max(axis=0).clip(1e-300)) ** 2))
    size *= np.abs(U).max(axis=0)
    U = U / np.where(size > 0, size, 1)
    center = _mean(shares, U)
    root = np.sqrt(shares / math.fsum(shares))[:, None]
    targets = y.reshape(len(y), -1) - mean
    left, spreads, right = np.linalg.svd(root * (U - center), full_matrices=False)
    kept = spreads > 1e-5
    slopes = (left.T @ (root * targets))[kept] / spreads[kept, None]
    return mean - np.reshape((right @ center)[kept] @ slopes, np.shape(mean))


def _mean(shares, values):
    columns = values.reshape(len(values), -1).T
    total = math.fsum(shares)
    means = [math.fsum(shares * column) / total for column in columns]
    return np.reshape(means, values.shape[1:])


def _shares(U, weights, kernel):
    """Weigh the rows by the kernel, or the nearest where that fails."""
    logs, factors = kernel_parts(kernel, U)
    logs, factors = logs.sum(axis=1) + np.log(weights), factors.prod(axis=1)
    if (factors != 0).any():
        largest = logs[factors != 0].max()
        shares = np.exp(logs - largest) * factors
        size = np.abs(shares).sum()
        is_large = largest + np.log(size) > math.log(1e-280)
        shares = (shares / size).astype(float)
        if kernel != "silverman" or (is_large and math.fsum(shares) > 0):
            return shares, True
        return np.exp(logs - largest).astype(float), True
    assert kernel in COMPACT
    distances = np.abs(U).sum(axis=1)
    return (distances <= distances.min() * (1 + 1e-12)) * weights, False
