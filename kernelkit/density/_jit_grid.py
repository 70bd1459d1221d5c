"""Sums of kernels that decay exponentially, at every node of a rectilinear grid.

X is (d, n) and weights (n,), float64; nodes holds the ascending nodes of all features
one after the other, feature k from firsts[k] to firsts[k + 1].

Functions have the form of `_jit_exponential`, and no pairs are visited: a source
between two nodes acts on the nodes above through the next node above it, and on those
below through the next one below. So it is deposited there, and one pass up and one down
along each feature carry the deposits on.
"""

import math

import numpy as np

from kernelkit._jit import jit

_LARGEST = 745.0
_BINOMIAL = np.array([[math.comb(l, k) for k in range(16)] for l in range(16)], float)


@jit()
def _find(nodes, x):
    """Count the nodes below x; by interpolation where they are evenly spaced."""
    m = nodes.size
    if x > nodes[m - 1]:
        return m
    if x <= nodes[0]:
        return 0
    low, high = 0, m - 1  # nodes[low] < x <= nodes[high]
    guess = int((x - nodes[0]) / (nodes[m - 1] - nodes[0]) * (m - 1))
    for i in (guess, guess + 1):
        i = min(max(i, 1), m - 1)
        if nodes[i - 1] < x <= nodes[i]:
            return i
    while high - low > 1:
        middle = (low + high) // 2
        if nodes[middle] < x:
            low = middle
        else:
            high = middle
    return high


@jit()
def _fill_basis(v, rate, wave, size, out, at):
    """Write the basis at distance v to out[at : at + size]."""
    decay = math.exp(-rate * v) if rate * v < _LARGEST else 0.0
    if decay == 0.0:
        for k in range(size):
            out[at + k] = 0.0
        return
    if wave == 0.0:
        for k in range(size):
            out[at + k] = decay
            decay *= v
        return
    cosine, sine = math.cos(wave * v), math.sin(wave * v)
    for k in range(0, size, 2):
        out[at + k] = decay * cosine
        out[at + k + 1] = decay * sine
        decay *= v


@jit()
def deposit(X, weights, nodes, firsts, form, table):
    """Deposit sources at the nodes around them.

    table : flat, by node, direction (up, down) and basis of feature 0, then of feature
    1, and so on.
    """
    widths, rates, waves, sizes, _ = form
    d, n = X.shape
    most = 1
    for k in range(d):
        most *= 2 * sizes[k]
    places = np.empty(most, dtype=np.int64)
    values = np.empty(most)
    longest = 2 * sizes.max()
    basis = np.empty(longest)
    where = np.empty(longest, dtype=np.int64)
    for i in range(n):
        count = 1
        places[0] = 0
        values[0] = weights[i]
        for k in range(d):
            part = nodes[firsts[k] : firsts[k + 1]]
            m, size, x = part.size, sizes[k], X[k, i]
            above = _find(part, x)
            here = 0
            if above < m:
                v = (part[above] - x) / widths[k]
                _fill_basis(v, rates[k], waves[k], size, basis, 0)
                for l in range(size):
                    where[l] = above * 2 * size + l
                here = size
            if above > 0:
                v = (x - part[above - 1]) / widths[k]
                _fill_basis(v, rates[k], waves[k], size, basis, here)
                for l in range(size):
                    where[here + l] = (above - 1) * 2 * size + size + l
                here += size
            for c in range(count - 1, -1, -1):
                place, value = places[c] * m * 2 * size, values[c]
                for l in range(here):
                    places[c * here + l] = place + where[l]
                    values[c * here + l] = value * basis[l]
            count *= here
        for c in range(count):
            table[places[c]] += values[c]


@jit()
def carry(table, first, last, nodes, width, rate, wave, coef, out):
    """Carry deposits along one feature, for rows first..last-1.

    table : (rows, m, 2, size, columns), by node, direction and basis; out : (rows, m,
    columns), filled.
    """
    _, m, _, size, n_columns = table.shape
    state = np.empty((size, n_columns))
    M = np.zeros((size, size))
    moved = np.empty(size)
    for row in range(first, last):
        for side in range(2):
            state[:] = 0.0
            for step in range(m):
                i = m - 1 - step if side else step
                if step > 0:
                    back = i + 1 if side else i - 1
                    _fill_matrix(abs(nodes[i] - nodes[back]) / width, rate, wave, M)
                    if size == 1:
                        for q in range(n_columns):
                            state[0, q] *= M[0, 0]
                    else:
                        for q in range(n_columns):
                            for k in range(size):
                                moved[k] = 0.0
                                for l in range(size):
                                    moved[k] += M[k, l] * state[l, q]
                            for k in range(size):
                                state[k, q] = moved[k]
                for k in range(size):
                    factor = coef[side, k]
                    for q in range(n_columns):
                        state[k, q] += table[row, i, side, k, q]
                    if side == 0 and k == 0:
                        for q in range(n_columns):
                            out[row, i, q] = factor * state[k, q]
                    else:
                        for q in range(n_columns):
                            out[row, i, q] += factor * state[k, q]


@jit()
def _fill_matrix(v, rate, wave, out):
    """Write the matrix that moves a basis by v."""
    size = out.shape[0]
    decay = math.exp(-rate * v) if rate * v < _LARGEST else 0.0
    for l in range(size):
        for k in range(size):
            out[l, k] = 0.0
    if decay == 0.0:
        return
    if wave == 0.0:
        for k in range(size):
            term = decay
            for l in range(k, size):
                out[l, k] = term * _BINOMIAL[l, k]
                term *= v
        return
    cosine, sine = math.cos(wave * v), math.sin(wave * v)
    for k in range(size // 2):
        term = decay
        for l in range(k, size // 2):
            factor = term * _BINOMIAL[l, k]
            out[2 * l, 2 * k] = factor * cosine
            out[2 * l, 2 * k + 1] = -factor * sine
            out[2 * l + 1, 2 * k] = factor * sine
            out[2 * l + 1, 2 * k + 1] = factor * cosine
            term *= v
