"""Rows regrouped into cells of space, so that pairs of parts are rarely close.

Chunks in no order all spread over all of space. Cells of about as many rows each lie
apart from most others in most features. They are cut along one feature after the other,
at quantiles of a sample of rows; what depends on the cuts is speed alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.delayed import Delayed

from kernelkit._validation import Array
from kernelkit.distributed import chunks
from kernelkit.distributed.boxes import Boxes, Parts, Survey
from kernelkit.distributed.chunks import Chunks, Rows

_LEVELS = 8  # places per cut where cuts may be


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
        """Number the cells of rows, (n,) int64."""
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


def cut(sample: Array, shares: Array, n_cells: int) -> Cuts:
    """Cut space into cells of about as many rows.

    All cuts along a feature are at some of a few places, so that slabs on both sides of
    another cut often end at the same ones, and pairs of their cells are settled.

    Parameters
    ----------
    sample : ndarray of shape (n_sampled, n_features)
        In any dtype.
    shares : ndarray of shape (n_sampled,)
        How many rows each row of the sample stands for.
    n_cells : int
        How many cells to make, at most.
    """
    n_features = sample.shape[1]
    n_levels = _LEVELS * math.ceil(n_cells ** (1 / n_features))
    inner = np.arange(1, n_levels) / n_levels
    levels = [_quantiles(column, shares, inner) for column in sample.T]
    return _cut(sample, shares, n_cells, levels, 0)


def _cut(
    sample: Array, shares: Array, n_cells: int, levels: list[Array], feature: int
) -> Cuts:
    n_left = sample.shape[1] - feature
    n_slabs = round(n_cells ** (1 / n_left))
    column = sample[:, feature]
    order = np.argsort(column)
    below = np.append(0.0, np.cumsum(shares[order]))
    reached = below[np.searchsorted(column[order], levels[feature])] / below[-1]
    targets = np.arange(1, n_slabs) / n_slabs
    nearest = np.abs(reached - targets[:, None]).argmin(axis=1)
    nearest = np.unique(nearest[(reached[nearest] > 0.0) & (reached[nearest] < 1.0)])
    values = levels[feature][nearest]
    if n_left == 1:
        return Cuts(values, None, len(values) + 1)
    slab = np.searchsorted(values, column, side="right")
    parts = np.diff(reached[nearest], prepend=0.0, append=1.0)
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
    return np.unique(column[order][np.searchsorted(reached, fractions * reached[-1])])


def sketch(survey: Survey, cuts: Cuts) -> Boxes:
    """Estimate the boxes of cells by the sample of a survey."""
    told = _tell(Rows(survey.sample, None, survey.shares), cuts)
    return told.parts([]).boxes


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
    """Look at all rows once more, and plan how they are moved to cells.

    To the client come the number of rows of each chunk in each cell, and the boxes of
    the cells.
    """
    blocks, rows = survey.parts.blocks, survey.parts.boxes.rows
    counted = Chunks(list(blocks), tuple(rows.tolist()))
    told = counted.reduce("cells-survey", _tell, cuts, add=_Told.add)
    used = np.flatnonzero(told.counts.any(axis=0))
    counts = told.counts[:, used]
    groups = _runs(len(blocks))
    sets = _runs(len(used))
    set_of = np.zeros(cuts.n_cells, dtype=np.int64)  # cells without rows are in none
    place_in = np.zeros(cuts.n_cells, dtype=np.int64)
    for s, cells in enumerate(sets):
        set_of[used[cells]] = s
        place_in[used[cells]] = np.arange(len(cells))
    within, across, halves, gathered = [], [], [], []
    for group in groups:
        sizes = np.stack([counts[np.ix_(group, cells)].sum(axis=1) for cells in sets])
        exchange = _Exchange.plan([blocks[k] for k in group], cuts, set_of, sizes.T)
        within.append(exchange)
        halves.append(exchange.forth([blocks[k] for k in group]))
    for s, cells in enumerate(sets):
        sizes = np.stack([counts[np.ix_(group, cells)].sum(axis=0) for group in groups])
        half = [parts[s] for parts in halves]
        exchange = _Exchange.plan(half, cuts, place_in, sizes)
        across.append(exchange)
        gathered += exchange.forth(half)
    return Cells(told.parts(chunks.flat(gathered)), within, across)


def _runs(n: int) -> list[Array]:
    """Split n numbers into some sqrt(n) runs."""
    return np.array_split(np.arange(n), math.isqrt(n))


@dataclass(frozen=True)
class _Exchange:
    """Rows of some blocks that move to others.

    Attributes
    ----------
    orders : sequence of Delayed or None
        Sorts the rows of each block by their targets; None for a block without rows.
    sizes : ndarray of shape (n_blocks, n_targets)
        How many rows move from where to where.
    """

    orders: Sequence[Delayed | None]
    sizes: Array

    @classmethod
    def plan(
        cls,
        blocks: Sequence[Delayed | None],
        cuts: Cuts,
        targets: Array,
        sizes: Array,
    ) -> "_Exchange":
        shared = chunks.argument_once((cuts, targets), "cells-cuts")
        orders = [
            block and chunks.task("cells-order", _order, block, shared, size)
            for block, size in zip(blocks, sizes, strict=True)
        ]
        return cls(orders, sizes)
