"""Rows regrouped into cells of space, so that pairs of parts are rarely close.

Chunks in no order all spread over all of space. Cells of about as many rows each lie
apart from most others in most features. They are cut along one feature after the other,
at quantiles of a sample of rows; what depends on the cuts is speed alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from dask.delayed import Delayed

from kernelkit._validation import Array
from kernelkit.distributed import chunks
from kernelkit.distributed.boxes import Boxes, Parts, Survey
from kernelkit.distributed.chunks import Rows

_MOST = 8  # features along which space is cut
_LEVELS = 4  # places per cut where cuts had better be
_FAR = 0.25  # part of a slab by which they may be moved to these
_TASK = 1e-3  # seconds for a task that does nothing
_ROW_MOVED = 1e-6  # to a cell, with one more look at it and the way of its result back


@dataclass(frozen=True)
class Cuts:
    """Cuts of space along a feature, and how the slabs between them are cut further.

    Attributes
    ----------
    values : ndarray of shape (n_slabs - 1,)
        Ascending; a slab has what is >= the value before it and < the one behind.
    slabs : tuple of Cuts, or None
        Cuts along the next feature; None at the last one.
    n_cells : int
        Cells in all.
    """

    values: Array
    slabs: "tuple[Cuts, ...] | None"
    n_cells: int

    def number(self, X: Array) -> Array:
        """Return the numbers of the cells of rows, (n,) int64."""
        return self._number(X, 0)

    def _number(self, X: Array, feature: int) -> Array:
        slab = np.searchsorted(self.values, X[:, feature], side="right")
        if self.slabs is None:
            return slab
        cells = np.empty(len(X), dtype=np.int64)
        first = 0
        for k, cuts in enumerate(self.slabs):
            rows = np.flatnonzero(slab == k)
            cells[rows] = first + cuts._number(X[rows], feature + 1)
            first += cuts.n_cells
        return cells


def cut(survey: Survey) -> Cuts:
    """Cut space into about as many cells as there are chunks, of about as many rows.

    Cuts along a feature are at one of a few places if one is near enough, so that slabs
    on both sides of another cut often end at the same ones, and pairs of their cells
    are settled.
    """
    shares, n_cells = survey.shares, len(survey.numbers)
    sample = survey.sample[:, :_MOST]
    n_levels = _LEVELS * math.ceil(n_cells ** (1 / sample.shape[1]))
    inner = np.arange(1, n_levels) / n_levels
    levels = [_quantiles(column, shares, inner) for column in sample.T]
    return _cut(sample, shares, n_cells, levels, 0)


def _cut(
    sample: Array, shares: Array, n_cells: int, levels: list[Array], feature: int
) -> Cuts:
    n_left = sample.shape[1] - feature
    n_slabs = round(n_cells ** (1 / n_left))
    column = sample[:, feature]
    targets = np.arange(1, n_slabs) / n_slabs
    reached = _below(column, shares, levels[feature])
    values = levels[feature][np.abs(reached - targets[:, None]).argmin(axis=1)]
    is_far = np.abs(_below(column, shares, values) - targets) > _FAR / n_slabs
    values = np.unique(np.where(is_far, _quantiles(column, shares, targets), values))
    ends = _below(column, shares, values)
    inside = (ends > 0.0) & (ends < 1.0)
    values, ends = values[inside], ends[inside]
    if n_left == 1:
        return Cuts(values, None, len(values) + 1)
    slab = np.searchsorted(values, column, side="right")
    parts = np.diff(ends, prepend=0.0, append=1.0)
    slabs = tuple(
        _cut(
            sample[slab == k],
            shares[slab == k],
            max(round(part * n_cells), 1),
            levels,
            feature + 1,
        )
        for k, part in enumerate(parts)
    )
    return Cuts(values, slabs, sum(cuts.n_cells for cuts in slabs))


def _quantiles(column: Array, shares: Array, fractions: Array) -> Array:
    order = np.argsort(column)
    reached = np.cumsum(shares[order])
    return column[order][np.searchsorted(reached, fractions * reached[-1])]


def _below(column: Array, shares: Array, values: Array) -> Array:
    """Return what part of some rows is below each value."""
    order = np.argsort(column)
    reached = np.append(0.0, np.cumsum(shares[order]))
    return reached[np.searchsorted(column[order], values)] / reached[-1]


def sketch(survey: Survey, cuts: Cuts) -> Boxes:
    """Estimate the boxes of cells by the sample of a survey."""
    told = _tell(Rows(survey.sample, None, survey.shares), cuts)
    boxes = told.parts([])
    return replace(boxes.boxes, rows=boxes.totals)


def pay(surveys: Sequence[Survey], seconds: Callable[[Boxes, Boxes], float]) -> bool:
    """Tell whether cells save more work than they make.

    Parameters
    ----------
    surveys : sequence of Survey
        Of the data, and of the queries if these are others.
    seconds : callable
        Estimates the work for the boxes of data and of queries.
    """
    data, queries = (survey.parts.boxes for survey in (surveys[0], surveys[-1]))
    if min(len(data), len(queries)) < 2 or any(
        survey.sample.dtype == object for survey in surveys
    ):
        return False
    sketches = [sketch(survey, cut(survey)) for survey in surveys]
    moves = 0.0
    for survey, boxes in zip(surveys, sketches, strict=True):
        rows = survey.parts.boxes.rows
        if boxes.rows.max() > 2 * rows.max():  # many rows are tied
            return False
        moves += _ROW_MOVED * rows.sum() + _TASK * 4 * len(rows) ** 1.5
    return seconds(sketches[0], sketches[-1]) + moves < seconds(data, queries)


@dataclass(frozen=True)
class Cells:
    """Rows regrouped, and how results find their way back.

    Rows travel in two steps, so that the number of tasks grows with the power 3/2 of
    that of the parts: within groups of parts to sets of cells, and from there.

    Attributes
    ----------
    parts : Parts
        Cells that have rows.
    within, across : sequence of Exchange
        For each group of parts, and for each set of cells.
    """

    parts: Parts
    within: "Sequence[_Exchange]"
    across: "Sequence[_Exchange]"

    def restore(self, results: Sequence[Delayed]) -> list[Delayed]:
        """Plan arrays for the parts that were regrouped, from those for the cells."""
        ends = np.cumsum([exchange.sizes.shape[1] for exchange in self.across])
        starts = [0, *ends[:-1]]
        halves = [
            exchange.back(results[start:end])
            for exchange, start, end in zip(self.across, starts, ends, strict=True)
        ]
        restored: list[Delayed] = []
        for g, exchange in enumerate(self.within):
            restored += exchange.back([half[g] for half in halves])
        return restored


def regroup(survey: Survey, cuts: Cuts) -> Cells:
    """Look at all rows once more, and plan how they move to cells.

    To the client come the number of rows of each chunk in each cell, and the boxes of
    the cells.
    """
    blocks = survey.parts.blocks
    told = survey.parts.as_chunks().reduce("cells-survey", _tell, cuts, add=_Told.add)
    used = np.flatnonzero(told.counts.any(axis=0))
    counts = told.counts[:, used]
    groups, sets = _runs(len(blocks)), _runs(len(used))
    set_of, place_in = np.zeros((2, cuts.n_cells), dtype=np.int64)
    for s, cells in enumerate(sets):
        set_of[used[cells]] = s
        place_in[used[cells]] = np.arange(len(cells))
    shared = chunks.argument_once(cuts, "cells-cuts")
    within, across, halves, gathered = [], [], [], []
    for group in groups:
        part = [blocks[k] for k in group]
        sizes = [counts[np.ix_(group, cells)].sum(axis=1) for cells in sets]
        exchange = _Exchange.plan(part, shared, set_of, np.stack(sizes, axis=1))
        within.append(exchange)
        halves.append(exchange.forth(part))
    for s, cells in enumerate(sets):
        part = [half[s] for half in halves]
        sizes = [counts[np.ix_(group, cells)].sum(axis=0) for group in groups]
        exchange = _Exchange.plan(part, shared, place_in, np.stack(sizes))
        across.append(exchange)
        gathered += exchange.forth(part)
    return Cells(told.parts(chunks.flat(gathered)), within, across)


def _runs(n: int) -> list[Array]:
    """Split n numbers into some sqrt(n) runs."""
    return np.array_split(np.arange(n), math.isqrt(n))


@dataclass(frozen=True)
class _Exchange:
    """Rows of some blocks that move to others.

    Attributes
    ----------
    orders : sequence of Delayed
        Sorts the rows of each block by their targets.
    sizes : ndarray of shape (n_blocks, n_targets)
        How many rows move from where to where.
    """

    orders: Sequence[Delayed]
    sizes: Array

    @classmethod
    def plan(
        cls, blocks: Sequence[Delayed], cuts: Delayed, targets: Array, sizes: Array
    ) -> "_Exchange":
        """Sort rows by the targets of their cells."""
        targets = chunks.argument_once(targets, "cells-targets")
        orders = [
            chunks.task("cells-order", _order, block, cuts, targets, size)
            for block, size in zip(blocks, sizes, strict=True)
        ]
        return cls(orders, sizes)

    def forth(self, blocks: Sequence[Delayed]) -> list[Delayed]:
        """Move rows to their targets, there in the order of the blocks."""
        arranged = [
            chunks.task("cells-arrange", _take, block, order)
            for block, order in zip(blocks, self.orders, strict=True)
        ]
        return _regrouped(arranged, self.sizes)

    def back(self, results: Sequence[Delayed]) -> list[Delayed]:
        """Move results for the targets to where the rows came from."""
        arranged = _regrouped(results, self.sizes.T)
        return chunks.flat(
            [
                chunks.task("cells-restore", _put_back, result, order)
                for result, order in zip(arranged, self.orders, strict=True)
            ]
        )


def _regrouped(blocks: Sequence[Delayed], sizes: Array) -> list[Delayed]:
    """Cut each block into runs of given sizes, and join those of the same number."""
    ends = np.cumsum(sizes, axis=1)
    pieces = []
    for t in range(sizes.shape[1]):
        for k in np.flatnonzero(sizes[:, t]).tolist() or [0]:
            run = slice(int(ends[k, t] - sizes[k, t]), int(ends[k, t]))
            pieces.append((t, chunks.task("cells-run", _take, blocks[k], run)))
    flat = chunks.flat([piece for _, piece in pieces])
    runs: list[list[Delayed]] = [[] for _ in range(sizes.shape[1])]
    for (t, _), piece in zip(pieces, flat, strict=True):
        runs[t].append(piece)
    return chunks.flat([chunks.task("cells-join", _join, *parts) for parts in runs])


def _order(rows: Rows, cuts: Cuts, targets: Array, sizes: Array) -> Array:
    target = targets[cuts.number(rows.X)]
    if (np.bincount(target, minlength=len(sizes)) != sizes).any():
        raise RuntimeError(
            "Rows changed since they were looked at: make sure that computing X twice "
            "gives the same rows."
        )
    return _sorted_order(target).astype(np.int32)


def _sorted_order(numbers: Array) -> Array:
    """Stable order of small numbers, by digits if they are 16-bit ones."""
    small = numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))
    return np.argsort(small, kind="stable")


def _take(part: Any, rows: Any) -> Any:
    """Copy some rows, so that the others can be dropped."""
    if isinstance(part, Rows):
        return Rows(*(None if each is None else _take(each, rows) for each in part))
    return part[rows].copy() if isinstance(rows, slice) else part[rows]


def _join(*parts: Any) -> Any:
    if isinstance(parts[0], Rows):
        columns = zip(*parts, strict=True)
        return Rows(*(None if each[0] is None else _join(*each) for each in columns))
    return np.concatenate(parts)


def _put_back(results: Array, order: Array) -> Array:
    restored = np.empty_like(results)
    restored[order] = results
    return restored


@dataclass(frozen=True)
class _Told:
    """What some rows tell of all cells.

    Cells without a row are lowest where others are highest.
    """

    counts: Array  # (n_looks, n_cells) rows
    totals: Array  # (n_cells,) weights
    low: Array  # (n_cells, n_features)
    high: Array

    def add(self, other: "_Told") -> "_Told":
        """Join what rows of different parts tell."""
        return _Told(
            np.concatenate([self.counts, other.counts]),
            self.totals + other.totals,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def parts(self, blocks: Sequence[Delayed]) -> Parts:
        """Describe the cells that have rows."""
        rows = self.counts.sum(axis=0)
        used = rows > 0
        boxes = Boxes(rows[used], self.low[used], self.high[used])
        return Parts(blocks, boxes, self.totals[used])


def _tell(rows: Rows, cuts: Cuts) -> _Told:
    X, weights = rows.X, rows.weights
    number = cuts.number(X)
    counts = np.bincount(number, minlength=cuts.n_cells)
    totals = np.bincount(number, weights, minlength=cuts.n_cells).astype(np.float64)
    lowest, highest = _range(X.dtype)
    low = np.full((cuts.n_cells, X.shape[1]), highest, dtype=X.dtype)
    high = np.full_like(low, lowest)
    used = np.flatnonzero(counts)
    starts = np.cumsum(counts)[used] - counts[used]
    X = X[_sorted_order(number)]
    low[used] = np.minimum.reduceat(X, starts)
    high[used] = np.maximum.reduceat(X, starts)
    return _Told(counts[None], totals, low, high)


def _range(dtype: Any) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -np.inf, np.inf
    if dtype.kind == "b":
        return False, True
    info = np.iinfo(dtype)
    return info.min, info.max
