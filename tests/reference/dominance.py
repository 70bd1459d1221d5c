"""Dominance sums by their definition, one Python comparison at a time."""

import math

import numpy as np


def dominated_weight(X, queries, weights=None, upper=None):
    """Sum the weights of the rows that lie on the right side of each query.

    A row counts if ``x <= query`` in every feature, ``x > query`` in those where
    `upper` is True. Python compares an int with a float exactly, NumPy rounds the int
    first; hence the lists.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    queries : array-like of shape (n_queries, n_features)
    weights : array-like of shape (n_samples,), default=None
    upper : array-like of n_features bool, default=None

    Returns
    -------
    totals : ndarray of shape (n_queries,)
        Counts as int64 without weights, correctly rounded float64 sums with them.
    """
    rows = np.asarray(X).tolist()
    queries = np.asarray(queries).tolist()
    n_features = len(rows[0])
    upper = [False] * n_features if upper is None else np.asarray(upper).tolist()

    def counts(row, query):
        return all(
            x > q if above else x <= q
            for x, q, above in zip(row, query, upper, strict=True)
        )

    chosen = [[i for i, row in enumerate(rows) if counts(row, q)] for q in queries]
    if weights is None:
        return np.array([len(rows) for rows in chosen], dtype=np.int64)
    weights = np.asarray(weights, dtype=np.float64).tolist()
    return np.array([math.fsum(weights[i] for i in rows) for rows in chosen])
