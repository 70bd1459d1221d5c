"""Choose the algorithm for dominance sums and run it in tasks.

A source counts for a target if its place is below the target's threshold in every
feature. Tasks depend on shapes only, and their sums are added in a fixed order.
"""

import math
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
_TOP_LEVELS = 3  # levels of the tree whose splits are tasks of their own
_BITSET_TASK = 8 * loops.BLOCK  # sources
_BRUTE_TASK = 16 * loops.TILE  # targets


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
            "algorithm='bitset' counts rows and cannot weigh them, and sample_weight is "
            "not constant: use 'tree' or 'auto'."
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
    n_jobs: int | None,
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
    n_jobs : int or None
        Number of threads.

    Returns
    -------
    sums : ndarray of shape (n_targets,), int64 if counts, else float64
    """
    if len(places) == 1:
        return _ordered_sums(places[0], thresholds[0], weights)
    sources = np.empty(places.shape[1], dtype=np.int32)
    invert_order(places[0], sources)
    targets = sources if own else argsort_keys(thresholds[0].astype(np.uint64))
    keys = _gather(places[1:], sources, n_jobs)
    limits = _gather(thresholds, targets, n_jobs)
    if weights is not None:
        weights = weights[sources]
    out = np.zeros(targets.size, dtype=np.int64 if weights is None else np.float64)
    for rows, values in _run((keys, limits, weights), algorithm, n_jobs):
        out[rows] += values
    sums = np.empty_like(out)
    sums[targets] = out
    return sums


def _ordered_sums(places: Array, thresholds: Array, weights: Array | None) -> Array:
    """One feature: the sources below a threshold are the first ones in the order."""
    if weights is None:
        return thresholds.astype(np.int64)
    below = np.zeros(places.size + 1)
    below[places + 1] = weights
    return np.cumsum(below, out=below)[thresholds]


def _gather(rows: Array, columns: Array, n_jobs: int | None) -> Array:
    """Take the same columns of each row, a row per task."""
    out = np.empty((len(rows), columns.size), dtype=np.int32)
    _parallel.run(
        (
            (np.take, (row, columns, 0, target, "clip"))
            for row, target in zip(rows, out, strict=True)
        ),
        n_jobs=n_jobs,
    )
    return out


# A problem is (keys, limits, weights) in the form that the loops share. A task adds to
# some targets of the whole, named by a slice or by their numbers.
_Problem = tuple[Array, Array, Array | None]
_Rows = slice | Array


def _run(
    problem: _Problem, algorithm: str, n_jobs: int | None
) -> list[tuple[_Rows, Array]]:
    """Solve a problem in tasks; returns what to add to which targets."""
    pieces: list[tuple[_Rows, _Problem]] = [(slice(None), problem)]
    if algorithm == "tree":
        pieces = _split_top(problem, n_jobs)
    rows, tasks = [], []
    for targets, piece in pieces:
        kind = _leaf(piece) if algorithm == "tree" else algorithm
        for part, task in _tasks(piece, kind):
            rows.append(part if isinstance(targets, slice) else targets[part])
            tasks.append(task)
    return list(zip(rows, _parallel.run(tasks, n_jobs=n_jobs), strict=True))


def _tasks(
    problem: _Problem, algorithm: str | None
) -> list[tuple[slice, _parallel.Task]]:
    """Cut a problem into tasks of bounded work; None stands for the rest of a tree."""
    keys, limits, weights = problem
    n, m = keys.shape[1], limits.shape[1]
    if algorithm == "bitset":
        return [
            (
                slice(None),
                (_bitset, (keys, limits, first, min(first + _BITSET_TASK, n))),
            )
            for first in range(0, n, _BITSET_TASK)
        ]
    if algorithm == "brute":
        parts = [
            slice(first, first + _BRUTE_TASK) for first in range(0, m, _BRUTE_TASK)
        ]
        return [
            (part, (_brute, (keys, np.ascontiguousarray(limits[:, part]), weights)))
            for part in parts
        ]
    return [(slice(None), (_solve, (problem,)))]


def _split_top(problem: _Problem, n_jobs: int | None) -> list[tuple[_Rows, _Problem]]:
    """Open the top levels of the tree, each level's splits side by side."""
    everything = np.arange(problem[1].shape[1])
    pieces: list[tuple[Array, _Problem]] = [(everything, problem)]
    for _ in range(_TOP_LEVELS):
        opened = [_leaf(piece) is None for _, piece in pieces]
        splits = iter(
            _parallel.run(
                (
                    (_split, (piece,))
                    for (_, piece), split in zip(pieces, opened, strict=True)
                    if split
                ),
                n_jobs=n_jobs,
            )
        )
        pieces = [
            child
            for (targets, piece), split in zip(pieces, opened, strict=True)
            for child in (
                [(targets[part], half) for part, half in next(splits)]
                if split
                else [(targets, piece)]
            )
        ]
    return pieces


def _solve(problem: _Problem, tables: Array | None = None) -> Array:
    """Walk the tree depth first; `tables` is where all its bitsets work."""
    keys, limits, weights = problem
    if tables is None:
        tables = loops.bitset_tables(len(keys))
    kind = _leaf(problem)
    if kind == "sweep":
        return _sweep(keys, limits, weights)
    if kind == "bitset":
        return _bitset(keys, limits, 0, keys.shape[1], tables)
    if kind == "brute":
        return _brute(keys, limits, weights)
    out = _zeros(limits, weights)
    for part, child in _split(problem):
        out[part] += _solve(child, tables)
    return out


def _split(problem: _Problem) -> list[tuple[Array, _Problem]]:
    """Split into the lower half, the upper half, and what the upper sees of the lower."""
    keys, limits, weights = problem
    (
        low_keys,
        high_keys,
        low_limits,
        high_limits,
        cross_limits,
        is_low,
        sees_low_only,
    ) = loops.split(keys, limits)
    low_weights = high_weights = None
    if weights is not None:
        low_weights, high_weights = weights[is_low], weights[~is_low]
    low, high = np.flatnonzero(sees_low_only), np.flatnonzero(~sees_low_only)
    return [
        (low, (low_keys, low_limits, low_weights)),
        (high, (high_keys, high_limits, high_weights)),
        (high, (low_keys[:-1], cross_limits, low_weights)),
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
    return "brute" if weighted else "bitset"


def _zeros(limits: Array, weights: Array | None) -> Array:
    return np.zeros(limits.shape[1], dtype=np.int64 if weights is None else np.float64)


def _sweep(keys: Array, limits: Array, weights: Array | None) -> Array:
    out = _zeros(limits, weights)
    if weights is None:
        loops.sweep_counts(keys, limits, out)
    else:
        loops.sweep_weights(keys, limits, weights, out)
    return out


def _bitset(
    keys: Array, limits: Array, first: int, last: int, tables: Array | None = None
) -> Array:
    out = _zeros(limits, None)
    if tables is None:
        tables = loops.bitset_tables(len(keys))
    loops.bitset_counts(keys, limits, first, last, tables, out)
    return out


def _brute(keys: Array, limits: Array, weights: Array | None) -> Array:
    out = np.zeros(limits.shape[1])
    ones = np.ones(keys.shape[1]) if weights is None else weights
    loops.brute_sums(keys, limits, ones, out)
    return out.astype(np.int64) if weights is None else out  # floats count to 2**53


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
    sums : ndarray of shape (len(nodes[0]), ...), int64 if counts, else float64
    """
    shape = tuple(len(thresholds) for thresholds in nodes)
    n_cells = math.prod(length + 1 for length in shape)
    cell = np.zeros(places.shape[1], dtype=np.int64)
    for row, thresholds in zip(places, nodes, strict=True):
        cell_of_place = np.searchsorted(thresholds, np.arange(row.size), side="right")
        cell = cell * (len(thresholds) + 1) + cell_of_place[row]
    sums = np.bincount(cell, weights, n_cells).reshape([length + 1 for length in shape])
    for axis in range(sums.ndim):
        # Cell c lies above the first c thresholds: below threshold t are cells <= t.
        if upper:
            sums = np.flip(np.cumsum(np.flip(sums, axis), axis), axis)
            sums = np.delete(sums, 0, axis)
        else:
            sums = np.cumsum(sums, axis)
            sums = np.delete(sums, -1, axis)
    return sums
