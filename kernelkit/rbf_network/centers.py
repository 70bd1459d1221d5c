"""Which centres the basis functions get."""

import numpy as np
from scipy import sparse

from kernelkit._validation import Array

RULES = ("kmeans", "kmeans++", "random")

_ROUNDS = 50  # of k-means
SAMPLED_ROWS = 20_000  # among which k-means is done


def merge_rows(
    X: Array, Y: Array, weights: Array | None
) -> tuple[Array, Array, Array | None]:
    """Sort the rows, merge equal ones, whose weights add up, and drop those of none.

    So neither their order nor a split of weights changes a bit of what follows.
    """
    if weights is not None:
        kept = weights > 0.0
        X, Y, weights = X[kept], Y[kept], weights[kept]
    table = np.column_stack([X, Y]) + 0.0  # no negative zeros
    order = np.argsort(table[:, 0], kind="stable")
    first = table[order, 0]
    if (first[1:] == first[:-1]).any():
        keys = table if weights is None else np.column_stack([table, weights])
        order = np.lexsort(keys.T[::-1])
    table = table[order]
    starts = starts_of_runs(table)
    sums = np.diff(np.append(starts, len(table))).astype(np.float64)
    if weights is not None:
        sums = np.add.reduceat(weights[order], starts)
    d = X.shape[1]
    rows = np.ascontiguousarray(table[starts, :d])
    return rows, table[starts, d:], None if (sums == 1.0).all() else sums


def starts_of_runs(table: Array) -> Array:
    """Return the first of each run of equal rows."""
    is_new = np.ones(len(table), dtype=bool)
    is_new[1:] = (table[1:] != table[:-1]).any(axis=1)
    return np.flatnonzero(is_new)


def choose_centers(
    rule: str,
    X: Array,
    weights: Array | None,
    n_centers: int,
    *,
    rng: np.random.Generator,
) -> Array:
    """Choose at most `n_centers` different centres for sorted rows."""
    starts = starts_of_runs(X)
    if weights is None:
        weights = np.ones(len(X))
    X, weights = X[starts], np.add.reduceat(weights, starts)
    if n_centers >= len(X):
        return X
    if rule == "random":
        return X[_draw(weights, n_centers, rng)]
    if len(X) > max(SAMPLED_ROWS, n_centers):
        chosen = _draw(weights, max(SAMPLED_ROWS, n_centers), rng)
        X, weights = X[chosen], np.ones(len(chosen))
    C = _seeds(X, weights, n_centers, rng)
    return C if rule == "kmeans++" else _lloyd(X, weights, C)


def _draw(weights: Array, size: int, rng: np.random.Generator) -> Array:
    """Draw rows without replacement, with chances by weight."""
    # The largest of u^(1/w), in logarithms: Efraimidis & Spirakis (2006).
    keys = rng.exponential(size=len(weights)) / weights
    return np.sort(np.argpartition(keys, size - 1)[:size])


def _seeds(X: Array, weights: Array, n_centers: int, rng: np.random.Generator) -> Array:
    """Draw centres far from those before: Arthur & Vassilvitskii (2007), section 2."""
    chosen = np.empty(n_centers, dtype=np.intp)
    distances = np.ones(len(X))
    for j, level in enumerate(rng.uniform(size=n_centers)):
        chances = np.cumsum(weights * distances)
        if chances[-1] == 0.0:  # rows that standardising made equal may be apart
            return X[chosen[:j]]
        chosen[j] = np.searchsorted(chances, level * chances[-1], side="right")
        step = X - X[chosen[j]]
        squares = np.einsum("ij,ij->i", step, step)
        distances = squares if j == 0 else np.minimum(distances, squares)
    return X[chosen]


def _lloyd(X: Array, weights: Array, C: Array) -> Array:
    """Move centres to the means of the rows that are nearest to them."""
    rows = np.arange(len(X))
    nearest = np.full(len(X), -1)
    for _ in range(_ROUNDS):
        before = nearest
        nearest = (0.5 * (C * C).sum(axis=1) - X @ C.T).argmin(axis=1)
        if (nearest == before).all():
            break
        members = sparse.csr_array((weights, (nearest, rows)), (len(C), len(X)))
        totals = members.sum(axis=1)
        used = totals > 0.0
        C = C.copy()
        C[used] = (members @ X)[used] / totals[used, None]
    return C
