"""Choose the algorithm for dominance sums and run it in tasks.

A source counts for a target if its place is below the target's threshold in every
feature. Tasks depend on shapes only, and their sums are added in a fixed order.
"""

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit.density import _jit_dominance as loops
from kernelkit.density._jit_sort import argsort_keys, invert_order

Array = npt.NDArray[Any]

ALGORITHMS = ("sweep", "tree", "bitset", "brute")

# sqrt(n_sources * n_targets) up to which comparing pairs beats a split: measured for 3
# to 7 features up to 1e6 rows, and flat around the optimum.
_BITSET_LEAF = 8192
_BRUTE_LEAF = 1024  # with weights
_FEW = 64  # sources or targets too few for the tables of a bitset
_TREE_TASK = 32768  # sqrt(n_sources * n_targets), from which a split makes tasks
_TOP_LEVELS = 4  # levels of the tree that do so: their problems are in memory together
_BITSET_TASK = 8 * loops.BLOCK  # sources
_BRUTE_TASK = 16 * loops.TILE  # targets
_arena = threading.local()  # where the bitsets of a thread work, one after the other


def choose(
    algorithm: str, n_sources: int, n_targets: int, n_features: int, *, weighted: bool
) -> str:
    """Resolve "auto" by an estimate of the work; refuse what cannot work.

    Raises
    ------
    ValueError
        If the algorithm cannot handle the number of features or weights.
    """
    if algorithm == "sweep" and n_features > 2:
        raise ValueError(
            f"algorithm='sweep' handles at most 2 features, X has {n_features}: use "
            "'tree' or 'auto'."
        )
    if algorithm == "bitset" and weighted:
        raise ValueError(
            "algorithm='bitset' counts rows and cannot weigh them, and sample_weight "
            "is not constant: use 'tree' or 'auto'."
        )
    if algorithm != "auto":
        return algorithm
    if n_features == 1:
        return "sweep"
    return _cheapest(n_sources, n_targets, n_features - 1, weighted=weighted) or "tree"


def dominance_sums(
    places: Array,
    thresholds: Array,
    weights: Array | None,
    *,
    own: bool,
    algorithm: str,
    run: _parallel.Run,
) -> Array:
    """Sum the weights of the sources that lie below each target's thresholds.

    Parameters
    ----------
    places : ndarray of shape (n_features, n_sources), int32
        Place of each source in the order of each feature, a permutation.
    thresholds : ndarray of shape (n_features, n_targets), int32
        Number of places that each target sees, 0..n_sources.
    weights : ndarray of shape (n_sources,), float64, or None
        None counts.
    own : bool
        The targets are the sources, whose thresholds rise with their places.
    algorithm : str
        What `choose` returned.
    run : callable
        Runs the tasks.

    Returns
    -------
    sums : ndarray of shape (n_targets,), float64
        Counts are exact: float64 holds all integers up to 2**53.
    """
    if len(places) == 1:
        return _ordered_sums(places[0], thresholds[0], weights)
    sources = np.empty(places.shape[1], dtype=np.int32)
    invert_order(places[0], sources)
    targets = sources if own else argsort_keys(thresholds[0].astype(np.uint64))
    keys = np.empty((len(places) - 1, sources.size), dtype=np.int32)
    limits = np.empty(thresholds.shape, dtype=np.int32)
    takes = [(row, sources, 0, keys[k], "clip") for k, row in enumerate(places[1:])]
    takes += [(row, targets, 0, limits[k], "clip") for k, row in enumerate(thresholds)]
    # Other modes than "clip" buffer what they write.
    run([(np.take, take) for take in takes])
    if weights is not None:
        weights = weights[sources]
    out = np.zeros(targets.size)
    parts = _tasks((keys, limits, weights), algorithm, run)
    results = run([task for _, task in parts])
    for (rows, _), values in zip(parts, results, strict=True):
        loops.add_to(out, rows, values)
    sums = np.empty_like(out)
    sums[targets] = out
    return sums


def _ordered_sums(places: Array, thresholds: Array, weights: Array | None) -> Array:
    """One feature: the sources below a threshold are the first ones in the order."""
    if weights is None:
        return thresholds.astype(np.float64)
    below = np.zeros(places.size + 1)
    below[places + 1] = weights
    return np.cumsum(below, out=below)[thresholds]


# A problem is (keys, limits, weights) in the form that the loops share. A task returns
# what to add to some targets of the whole, which come with it.
_Problem = tuple[Array, Array, Array | None]


def _tasks(
    problem: _Problem, algorithm: str, run: _parallel.Run
) -> list[tuple[Array, _parallel.Task]]:
    """Cut a problem into tasks that do not depend on the number of threads."""
    keys, limits, weights = problem
    n, m = keys.shape[1], limits.shape[1]
    rows = np.arange(m, dtype=np.int32)
    if algorithm == "sweep":
        return [(rows, (_sweep, problem))]
    if algorithm == "bitset":
        starts = range(0, n, _BITSET_TASK)
        parts = [(start, min(start + _BITSET_TASK, n)) for start in starts]
        return [(rows, (_bitset, (keys, limits, *part))) for part in parts]
    if algorithm == "brute":
        cuts = [slice(start, start + _BRUTE_TASK) for start in range(0, m, _BRUTE_TASK)]
        return [
            (rows[cut], (_brute, (keys, np.ascontiguousarray(limits[:, cut]), weights)))
            for cut in cuts
        ]
    pieces = _open(rows, problem, run)  # its features side by side
    for _ in range(_TOP_LEVELS - 1):
        if not any(_is_large(piece) for _, piece in pieces):
            break
        families = run([(_open, (*piece, _parallel.in_order)) for piece in pieces])
        pieces = [child for family in families for child in family]
    return [(rows, (_solve, (piece,))) for rows, piece in pieces]


def _open(
    rows: Array, problem: _Problem, run: _parallel.Run
) -> list[tuple[Array, _Problem]]:
    """Split a piece of the tree if it is large."""
    if not _is_large(problem):
        return [(rows, problem)]
    return [(rows[part], child) for part, child in _split(problem, run)]


def _is_large(problem: _Problem) -> bool:
    keys, limits, _ = problem
    return keys.shape[1] * limits.shape[1] > _TREE_TASK**2 and _leaf(problem) is None


def _solve(problem: _Problem) -> Array:
    """Walk the tree depth first."""
    keys, limits, weights = problem
    leaf = _leaf(problem)
    if leaf == "sweep":
        return _sweep(keys, limits, weights)
    if leaf == "bitset":
        return _bitset(keys, limits, 0, keys.shape[1])
    if leaf == "brute":
        return _brute(keys, limits, weights)
    out = np.zeros(limits.shape[1])
    for part, child in _split(problem, _parallel.in_order):
        loops.add_to(out, part, _solve(child))
    return out


def _split(problem: _Problem, run: _parallel.Run) -> list[tuple[Array, _Problem]]:
    """Halve a problem by its last feature.

    Sources with a last key below n // 2 are the lower half. Targets with a last limit
    above it see all of these, and some of the upper half; the others see some of the
    lower half only. Returns the lower half, the upper half, and what upper targets see
    of the lower half, each with the numbers of its targets.
    """
    keys, limits, weights = problem
    (n_keys, n), n_low = keys.shape, keys.shape[1] // 2
    is_low = keys[-1] < n_low
    sees_low_only = limits[-1] <= n_low
    low, high = loops.positions(sees_low_only)
    low_keys = np.empty((n_keys, n_low), dtype=np.int32)
    high_keys = np.empty((n_keys, n - n_low), dtype=np.int32)
    low_limits = np.empty((n_keys + 1, low.size), dtype=np.int32)
    high_limits = np.empty((n_keys + 1, high.size), dtype=np.int32)
    cross_limits = np.empty((n_keys + 1, high.size), dtype=np.int32)

    def split_feature(k: int) -> None:
        if k == 0:  # sources stand in the order of this feature
            low_below = np.zeros(n + 1, dtype=np.int32)
            np.cumsum(is_low, out=low_below[1:])
        else:
            halves = low_keys[k - 1], high_keys[k - 1]
            low_below = loops.split_places(keys[k - 1], is_low, *halves)
        parts = low_limits[k], high_limits[k], cross_limits[k]
        loops.split_limits(limits[k], low_below, sees_low_only, *parts)

    run([(split_feature, (k,)) for k in range(n_keys + 1)])
    low_weights = high_weights = None
    if weights is not None:
        low_weights, high_weights = weights[is_low], weights[~is_low]
    return [
        (low, (low_keys, low_limits, low_weights)),
        (high, (high_keys, high_limits, high_weights)),
        (high, (low_keys[:-1], cross_limits[:-1], low_weights)),
    ]


def _leaf(problem: _Problem) -> str | None:
    """Name the algorithm that ends a branch here, or None where a split pays."""
    keys, limits, weights = problem
    (n_keys, n), m = keys.shape, limits.shape[1]
    return _cheapest(n, m, n_keys, weighted=weights is not None)


def _cheapest(n: int, m: int, n_keys: int, *, weighted: bool) -> str | None:
    if min(n, m) <= _FEW:
        return "brute"
    if n_keys == 1:
        return "sweep"
    if n * m > (_BRUTE_LEAF if weighted else _BITSET_LEAF) ** 2:
        return None
    # Nanoseconds, fitted to measurements; a block of bits costs a look at all places.
    brute = (0.08 + 0.04 * n_keys) * n * m
    bitset = n_keys * (10 * n + n * n / 4096) + (10 + 12 * n_keys) * n * m / loops.BLOCK
    return "brute" if weighted or brute < bitset else "bitset"


def _sweep(keys: Array, limits: Array, weights: Array | None) -> Array:
    out = np.zeros(limits.shape[1])
    if weights is None:
        loops.sweep_counts(keys, limits, out)
    else:
        loops.sweep_weights(keys, limits, weights, out)
    return out


def _bitset(keys: Array, limits: Array, first: int, last: int) -> Array:
    out = np.zeros(limits.shape[1])
    tables = getattr(_arena, "tables", None)
    if tables is None or len(tables) <= len(keys):
        tables = _arena.tables = loops.bitset_tables(len(keys))
    loops.bitset_counts(keys, limits, first, last, tables, out)
    return out


def _brute(keys: Array, limits: Array, weights: Array | None) -> Array:
    out = np.zeros(limits.shape[1])
    weights = np.ones(keys.shape[1]) if weights is None else weights
    loops.brute_sums(keys, limits, weights, out)
    return out


def grid_sums(
    places: Array, nodes: list[Array], weights: Array | None, *, upper: bool
) -> Array:
    """Sum the weights of the sources below (or not below) each node of a grid.

    Parameters
    ----------
    places : ndarray of shape (n_features, n_sources), int32
        Place of each source in the order of each feature.
    nodes : list of n_features ndarrays
        Ascending thresholds along each feature.
    weights : ndarray of shape (n_sources,), float64, or None
        None counts.
    upper : bool
        Sum the sources with every place at or above the threshold, instead of below.

    Returns
    -------
    sums : ndarray of shape (len(nodes[0]), ...), float64
        Counts are exact.
    """
    shape = [len(thresholds) + 1 for thresholds in nodes]
    cell = np.zeros(places.shape[1], dtype=np.int64)
    for row, thresholds, length in zip(places, nodes, shape, strict=True):
        # A place has the cell number of thresholds that it reaches, or misses if upper.
        reached = np.repeat(
            np.arange(length), np.diff(thresholds, prepend=0, append=row.size)
        )
        cell = cell * length + (length - 1 - reached if upper else reached)[row]
    sums = np.bincount(cell, weights, math.prod(shape)).reshape(shape)
    sums = sums.astype(np.float64, copy=False)
    for axis in range(sums.ndim):
        np.cumsum(sums, axis, out=sums)
    sums = sums[(slice(-1),) * sums.ndim]
    return np.flip(sums) if upper else sums
