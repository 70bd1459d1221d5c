"""Laws of random designs on small pools, outcome by outcome."""

from itertools import combinations, product
from math import factorial

import numpy as np


def orthonormal(F, masses=None):
    """Make features orthonormal for masses: Q, with phi_i = Q_i / sqrt(mass_i)."""
    masses = np.full(len(F), 1.0) if masses is None else np.asarray(masses, float)
    masses = masses / masses.sum()
    Q, _ = np.linalg.qr(np.sqrt(masses)[:, None] * np.asarray(F, float))
    return Q


def dpp_law(Q):
    """Probability of each set of m rows under the projection process."""
    sets = combinations(range(len(Q)), Q.shape[1])
    return {S: np.linalg.det(Q[list(S)]) ** 2 for S in sets}


def volume_law(Q, n):
    """Probability of each set of n rows, in proportion to det(Q_S' Q_S)."""
    law = {}
    for S in combinations(range(len(Q)), n):
        law[S] = np.linalg.det(Q[list(S)].T @ Q[list(S)])
    total = sum(law.values())
    return {S: p / total for S, p in law.items()}


def block_and_rest_law(Q, n):
    """Probability of each set of n rows: a block, and others without replacement."""
    m = Q.shape[1]
    ways = factorial(len(Q) - m) / factorial(n - m) / factorial(len(Q) - n)
    law = dict.fromkeys(combinations(range(len(Q)), n), 0.0)
    for block, chance in dpp_law(Q).items():
        rest = set(range(len(Q))) - set(block)
        for others in combinations(sorted(rest), n - m):
            law[tuple(sorted(block + others))] += chance / ways
    return law


def tuples(n_rows, n):
    """All sequences of n rows, of shape (n_rows**n, n)."""
    return np.array(list(product(range(n_rows), repeat=n)))


def gvs_law(Q, masses, weights, n):
    """Probability of each sequence of n rows under volume-rescaled sampling.

    With respect to independent draws with probabilities masses / weights, the density
    is ``(n - m)! n^m / n! det(G)``.
    """
    rows = tuples(len(Q), n)
    m = Q.shape[1]
    phi = Q / np.sqrt(masses)[:, None]
    G = np.einsum("ti,tik,til->tkl", weights[rows], phi[rows], phi[rows]) / n
    chances = (masses / weights)[rows].prod(axis=1)
    return chances * np.linalg.det(G) * factorial(n - m) * n**m / factorial(n)


def block_and_draws_law(Q, masses, weights, n):
    """Probability of each sequence: a block and independent draws, in any order."""
    rows = tuples(len(Q), n)
    m = Q.shape[1]
    squares = np.linalg.det(Q[tuples(len(Q), m)]).reshape((len(Q),) * m) ** 2
    nu = masses / weights
    law = np.zeros(len(rows))
    places = list(combinations(range(n), m))
    for block in places:
        rest = [i for i in range(n) if i not in block]
        chance = squares[tuple(rows[:, block].T)] / factorial(m)
        law += chance * nu[rows[:, rest]].prod(axis=1) / len(places)
    return law


def fits(phi, weights, y, rows):
    """Coefficients of weighted least squares for each sequence of rows.

    Of least norm where the rows do not determine them.
    """
    roots = np.sqrt(weights)
    A = (roots[:, None] * phi)[rows]
    return np.einsum("tkn,tn->tk", np.linalg.pinv(A, rcond=1e-9), (roots * y)[rows])


def remove_greedily(rows, n_keep):
    """Remove one row at a time so that the trace of (A'A)^-1 rises least."""
    left, removed = list(range(len(rows))), []
    while len(left) > n_keep:
        A = rows[left]
        grams = A.T @ A - np.einsum("ik,il->ikl", A, A)
        traces = np.trace(np.linalg.inv(grams), axis1=1, axis2=2)
        removed.append(left.pop(int(np.argmin(traces))))
    return left, removed


def add_greedily(rows, chosen, n_keep):
    """Add one row at a time so that det(A'A) rises most."""
    chosen = list(chosen)
    while len(chosen) < n_keep:
        A = rows[chosen]
        _, logs = np.linalg.slogdet(A.T @ A + np.einsum("ik,il->ikl", rows, rows))
        logs[chosen] = -np.inf
        chosen.append(int(np.argmax(logs)))
    return chosen
