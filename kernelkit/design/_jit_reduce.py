"""Greedy removal and addition of rows with rank-one updates."""

import numpy as np

from kernelkit._jit import jit

LARGEST_LEVERAGE = 1.0 - 1e-9  # a row with more is needed for full rank


@jit()
def _times(matrix, vector):
    m = vector.size
    out = np.zeros(m)
    for k in range(m):
        for l in range(m):
            out[k] += matrix[k, l] * vector[l]
    return out


@jit()
def _update(matrix, vector, scale):
    """Add scale * vector vector' to a matrix."""
    m = vector.size
    for k in range(m):
        for l in range(m):
            matrix[k, l] += scale * vector[k] * vector[l]


@jit()
def remove_rows(columns, metric, n_removed):
    """Remove rows of A = Q R that raise the trace of the inverse of A'A least.

    With M the inverse of Q'Q over the rows that are left and W = (R R')^-1, that trace
    is larger by ``q' M W M q / (1 - q' M q)`` without row q. Each removal updates M and
    both forms for all rows in O(n m).

    columns : (m, n), the transpose of Q; metric : (m, m), W;
    removed : (n_removed,) int64, in the order of removal.
    """
    m, n = columns.shape
    removed = np.empty(n_removed, np.int64)
    inverse = np.eye(m)
    leverage = np.zeros(n)
    squares = np.zeros(n)
    for k in range(m):
        for i in range(n):
            leverage[i] += columns[k, i] * columns[k, i]
        for l in range(m):
            for i in range(n):
                squares[i] += columns[k, i] * metric[k, l] * columns[l, i]
    for step in range(n_removed):
        best = -1
        least = np.inf
        for i in range(n):
            if leverage[i] < LARGEST_LEVERAGE:
                rise = squares[i] / (1.0 - leverage[i])
                if rise < least:
                    best, least = i, rise
        if best < 0:
            return removed[:step]
        scale = 1.0 / (1.0 - leverage[best])
        once = _times(inverse, columns[:, best].copy())
        weighed = _times(metric, once)
        twice = _times(inverse, weighed)
        square = 0.0
        for k in range(m):
            square += once[k] * weighed[k]
        along_once = np.zeros(n)
        along_twice = np.zeros(n)
        for k in range(m):
            for i in range(n):
                along_once[i] += once[k] * columns[k, i]
                along_twice[i] += twice[k] * columns[k, i]
        for i in range(n):
            shift = scale * along_once[i]
            leverage[i] += shift * along_once[i]
            squares[i] += shift * (2.0 * along_twice[i] + shift * square)
            squares[i] = max(squares[i], 0.0)
        _update(inverse, once, scale)
        removed[step] = best
        leverage[best] = np.inf
    return removed


@jit()
def add_rows(columns, n_added):
    """Add rows that raise the determinant of a Gram matrix most, from the identity.

    With M the inverse of the Gram matrix so far, row a multiplies the determinant by
    ``1 + a' M a``. Each addition updates M and that form for all rows in O(n m).

    columns : (m, n), candidate rows; added : (n_added,) int64, the first added first.
    """
    m, n = columns.shape
    added = np.empty(n_added, np.int64)
    inverse = np.eye(m)
    leverage = np.zeros(n)
    for k in range(m):
        for i in range(n):
            leverage[i] += columns[k, i] * columns[k, i]
    for step in range(n_added):
        best = np.argmax(leverage)
        scale = -1.0 / (1.0 + leverage[best])
        once = _times(inverse, columns[:, best].copy())
        along = np.zeros(n)
        for k in range(m):
            for i in range(n):
                along[i] += once[k] * columns[k, i]
        for i in range(n):
            leverage[i] += scale * along[i] * along[i]
        _update(inverse, once, scale)
        added[step] = best
        leverage[best] = -np.inf
    return added
