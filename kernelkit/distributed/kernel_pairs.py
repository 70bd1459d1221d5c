"""Sums of product kernels between parts of the rows and parts of the queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from dask.base import persist
from dask.delayed import Delayed
from sklearn.base import BaseEstimator

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.density.kde import cdf_sums
from kernelkit.density.kernel_sums import kernel_sums
from kernelkit.density.kernels1d import Exponential, Function1D, find
from kernelkit.density.regression import Scale
from kernelkit.distributed import boxes, cells, chunks
from kernelkit.distributed.boxes import Boxes, Parts, Survey
from kernelkit.distributed.cells import Cells
from kernelkit.distributed.chunks import Piece, Rows
from kernelkit.distributed.separated import OPEN, Pairs, Separation

# Seconds for a row and product, by the number of open features, as measured; a further
# feature multiplies.
_ROW = np.array([0.0, 5e-7, 1.5e-6, 6e-6])
_FEATURE = 4.0
_CELL = 2e-8  # where all pairs of rows are visited
_PAIR = 1e-3  # for a task
_CHANNELS = 16  # of weights that meet at once


@dataclass(frozen=True)
class Weights:
    """How checked rows become channels of weights.

    Attributes
    ----------
    heaviest : float or None
        Largest weight of a row; None if all weigh the same.
    scale : Scale or None
        Of targets, each of which counts in a channel of its own.
    """

    heaviest: float | None
    scale: Scale | None = None

    def of(self, rows: Rows) -> Array:
        """Return weights up to 1, (n_rows,)."""
        if self.heaviest is None:
            return np.ones(len(rows.X))
        weights: Array = rows.weights / self.heaviest
        return weights

    def targets(self, rows: Rows) -> Array:
        """Return targets without a unit, (n_rows, n_outputs)."""
        assert self.scale is not None
        return self.scale.targets(rows.y.reshape(len(rows.X), -1))

    def channels(self, rows: Rows) -> Array:
        """Return weights, and their products with the targets, (n_channels, n_rows)."""
        weights = self.of(rows)
        if self.scale is None:
            return weights[None]
        return np.vstack([weights, weights * self.targets(rows).T])


@dataclass(frozen=True)
class ProductSums:
    """Sums of product kernels over the rows of a part, at queries.

    Attributes
    ----------
    products : sequence of sequences of functions
        One function for each feature.
    n_channels : sequence of int
        How many channels of weights each product takes, from the first on.
    bandwidth : ndarray of shape (n_features,)
    weights : Weights
    algorithm : str
    at_0 : float
        What a row adds to the first sum at itself, times its weight.
    """

    products: Sequence[Sequence[Function1D]]
    n_channels: Sequence[int]
    bandwidth: Array
    weights: Weights
    algorithm: str
    at_0: float = 0.0

    @property
    def size(self) -> int:
        """Number of sums at a query."""
        return sum(self.n_channels)

    @cached_property
    def _separation(self) -> Separation:
        return Separation.of(self.products, self.bandwidth, max(self.n_channels))

    def pairs(self, data: Boxes, queries: Boxes, *, own: bool) -> Pairs:
        """Compare boxes; with `own`, those of the same parts."""
        return self._separation.pairs(data, queries, own=own)

    def seconds(self, data: Boxes, queries: Boxes, *, own: bool) -> float:
        """Estimate the work."""
        n_open = self.pairs(data, queries, own=own).n_open
        pairs = np.outer(queries.rows, data.rows)
        if all(isinstance(f, Exponential) for f in self.products[0]):
            few = np.minimum(n_open, len(_ROW) - 1)
            each = _ROW[few] * _FEATURE ** (n_open - few) * np.sqrt(pairs)
        else:
            each = _CELL * pairs * (n_open > 0)
        return float((len(self.products) * each + _PAIR * (n_open > 0)).sum())

    def meet(self, rows: Rows, queries: Rows | None, sides: Array) -> Array:
        """Sum over rows at queries, None for the rows; (size, n_queries)."""
        channels = self.weights.channels(rows)
        X, Q, h = rows.X, (rows if queries is None else queries).X, self.bandwidth
        settled = {k: int(side) for k, side in enumerate(sides) if side != OPEN}
        is_open = sides == OPEN
        targets = None if queries is None else Q[:, is_open]
        near = self._separation.near(Q, settled)
        terms = self._separation.terms(settled)
        total = np.zeros((self.size, len(Q)))
        length = max(_CHANNELS // len(channels), 1)
        for start in range(0, len(terms), length):
            some = terms[start : start + length]
            weighed = self._separation.weigh(X, channels, near, settled, some)
            sums = [
                kernel_sums(
                    X[:, is_open],
                    weighed[:n].reshape(-1, len(X)),
                    targets,
                    [function for k, function in enumerate(functions) if is_open[k]],
                    h[is_open],
                    algorithm=self.algorithm,
                    run=_parallel.in_order,
                ).reshape(n, len(some), -1)
                for functions, n in zip(self.products, self.n_channels, strict=True)
            ]
            total += self._separation.spread(sums, Q, settled, some)
        if queries is None:
            total[0] += self.at_0 * channels[0]
        return total

    def corners(self, rows: Rows, low: Array, high: Array) -> Array:
        """Sum at the corners of the box of some rows."""
        channels = self.weights.channels(rows)[: max(self.n_channels)]
        return self._separation.corners(rows.X, channels, low, high)

    def from_corners(
        self, queries: Rows, corners: Array, boxes: Boxes, sides: Array
    ) -> Array:
        """Sum over parts that lie apart from the queries in all features."""
        return self._separation.at(queries.X, corners, boxes, sides, self.n_channels)


@dataclass(frozen=True)
class CdfSums:
    """Sums of the integral of a kernel over all pairs, where it has many products."""

    kernel: Any
    bandwidth: Array
    weights: Weights
    size = 1

    def pairs(self, data: Boxes, queries: Boxes, *, own: bool) -> Pairs:
        """Leave all pairs of boxes open."""
        shape = len(queries), len(data)
        sides = np.full((*shape, len(self.bandwidth)), OPEN, dtype=np.int8)
        return Pairs(sides, np.ones(shape, dtype=bool))

    def seconds(self, data: Boxes, queries: Boxes, *, own: bool) -> float:
        """Say that it does not matter which rows are in a part."""
        return 0.0

    def meet(self, rows: Rows, queries: Rows | None, sides: Array) -> Array:
        """Sum over rows at queries, None for the rows; (1, n_queries)."""
        return cdf_sums(
            rows.X,
            self.weights.of(rows),
            (rows if queries is None else queries).X,
            find(self.kernel),
            self.bandwidth,
            run=_parallel.in_order,
        )[None]


@dataclass(frozen=True)
class Meeting:
    """Parts of the rows and of the queries that are compared.

    Attributes
    ----------
    data, queries : Parts
    own : bool
        The queries are the rows.
    survey : Survey or None
        Of the queries as they came; None if these are in memory.
    regrouped : Cells or None
        Where results for the queries have to return from.
    """

    data: Parts
    queries: Parts
    own: bool
    survey: Survey | None
    regrouped: Cells | None = None

    @classmethod
    def of(
        cls, step: str, model: BaseEstimator, data: Survey, X: Any, sums: Any
    ) -> "Meeting":
        """Look at queries in a collection; regroup them and the rows if that pays.

        Parameters
        ----------
        step : str
        model : estimator
            Whose queries these are.
        data : Survey
            Of the rows.
        X : array-like, dask array or frame, or None
            None stands for the rows themselves.
        sums : ProductSums or CdfSums
            What will be compared.
        """
        if X is not None and not chunks.is_collection(X):
            X = check.query_data(model, X)
            box = Boxes.around(X)
            block = chunks.argument_once(Rows(X), step)
            return cls(data.parts, Parts([block], box, box.rows), False, None)
        own = X is None
        asking = data
        if not own:
            rows = chunks.rows_of(X)
            asking = boxes.survey(step, rows, _query_rows, model, reset=False)
        surveys = [data] if own else [data, asking]

        def seconds(data: Boxes, queries: Boxes) -> float:
            return float(sums.seconds(data, queries, own=own))

        if not cells.pay(surveys, seconds):
            return cls(data.parts, asking.parts, own, asking)
        groups = [cells.regroup(survey, cells.cut(survey)) for survey in surveys]
        return cls(groups[0].parts, groups[-1].parts, own, asking, groups[-1])

    def totals(self, sums: Any, step: str) -> list[Delayed]:
        """Plan the sums, (size, n_queries) for each part of the queries."""
        data, queries = self.data, self.queries
        pairs = sums.pairs(data.boxes, queries.boxes, own=self.own)
        shared = chunks.argument_once(sums, step)
        tables = self._corners(pairs.factored, shared, step)
        totals = []
        for j, block in enumerate(queries.blocks):
            met = np.flatnonzero(pairs.n_open[j]).tolist()
            rows = data.boxes.rows[met].tolist()
            pieces = []
            for t, i in enumerate(met):
                other = None if self.own and i == j else block
                pair = data.blocks[i], other, pairs.sides[j, i]
                pieces.append(chunks.task(step, _meet, t, *pair, shared))
            apart = np.flatnonzero(pairs.factored[j])
            if apart.size:
                piece = len(pieces), block, tables, apart, pairs.sides[j, apart]
                pieces.append(chunks.task(f"{step}-far", _from_corners, *piece, shared))
                rows.append(int(data.boxes.rows[apart].sum()))
            added = chunks.tree(pieces, np.add, step) if pieces else None
            shape = sums.size, int(queries.boxes.rows[j])
            total = added, tuple(rows), shape
            totals.append(chunks.task(f"{step}-total", _total, *total))
        return chunks.flat(totals)

    def again(
        self,
        step: str,
        asked: Sequence[Delayed],
        meet: Callable[..., Any],
        add: Callable[[Any, Any], Any],
        *arguments: Any,
    ) -> list[Delayed | None]:
        """Plan a look at all rows for some queries, whose numbers are computed now.

        Parameters
        ----------
        step : str
        asked : sequence of Delayed
            For each part of the queries, which of these are meant.
        meet : callable
            ``meet(rows, queries, own, asked, *arguments)`` for each part of the rows.
        add : callable
            Adds two of its results.
        *arguments : object
            Sent once.

        Returns
        -------
        results : list of Delayed or None
            For each part of the queries, None where none are meant.
        """
        counts = chunks.compute(*(chunks.task(step, len, which) for which in asked))
        chosen = np.flatnonzero(counts).tolist()
        data = self.data
        shared = [chunks.argument_once(argument, step) for argument in arguments]
        rows = tuple(data.boxes.rows.tolist())
        looks = []
        for j in chosen:
            pieces = []
            for i, block in enumerate(data.blocks):
                pair = block, self.queries.blocks[j], self.own and i == j, asked[j]
                pieces.append(chunks.task(step, _look_again, i, meet, *pair, *shared))
            piece = chunks.tree(pieces, add, step)
            looks.append(chunks.task(f"{step}-total", _whole, piece, rows))
        results: list[Delayed | None] = [None] * len(asked)
        for j, look in zip(chosen, chunks.flat(looks), strict=True):
            results[j] = look
        return results

    def given_back(
        self, results: Sequence[Delayed], shape: tuple[int, ...] = ()
    ) -> Any:
        """Return results, of a shape, for the queries: a Dask array if they are one."""
        if self.survey is None:
            (result,) = chunks.compute(*results)
            return result
        if self.regrouped is not None:
            results = self.regrouped.restore(results)
        return self.survey.stack(results, shape)

    def _corners(self, factored: Array, sums: Delayed, step: str) -> Delayed | None:
        """Plan sums at the corners of the parts, where they are needed, and boxes."""
        data, needed = self.data, np.flatnonzero(factored.any(axis=0)).tolist()
        if not needed:
            return None
        tables: list[Delayed | None] = [None] * len(data.blocks)
        for i in needed:
            part = data.blocks[i], data.boxes.low[i], data.boxes.high[i]
            tables[i] = chunks.task(f"{step}-corners", _corner, *part, sums)
        listed = chunks.task(f"{step}-corners", _Tables.of, data.boxes, *tables)
        return chunks.flat([listed])[0]


def held(tasks: Sequence[Delayed]) -> list[Delayed]:
    """Start tasks, whose results stay where they are computed."""
    return list(persist(*tasks, traverse=False))


def _query_rows(rows: Rows, model: BaseEstimator) -> Rows:
    return Rows(check.query_data(model, rows.X))


def _meet(
    t: int, rows: Rows, queries: Rows | None, sides: Array, sums: ProductSums
) -> Piece:
    return Piece((t,), len(rows.X), sums.meet(rows, queries, sides))


def _corner(
    rows: Rows, low: Array, high: Array, sums: ProductSums
) -> tuple[int, Array]:
    return len(rows.X), sums.corners(rows, low, high)


class _Tables(NamedTuple):
    """Numbers of rows and sums at the corners of boxes, None where none are needed."""

    boxes: Boxes
    sums: Sequence[Any]

    @classmethod
    def of(cls, boxes: Boxes, *sums: tuple[int, Array] | None) -> "_Tables":
        return cls(boxes, sums)


def _from_corners(
    t: int,
    queries: Rows,
    tables: _Tables,
    chosen: Array,
    sides: Array,
    sums: ProductSums,
) -> Piece:
    rows, corners = zip(*(tables.sums[i] for i in chosen), strict=True)
    every = tables.boxes
    boxes = Boxes(every.rows[chosen], every.low[chosen], every.high[chosen])
    value = sums.from_corners(queries, np.stack(corners), boxes, sides)
    return Piece((t,), sum(rows), value)


def _total(piece: Piece | None, rows: tuple[int, ...], shape: tuple[int, int]) -> Array:
    if piece is None:
        return np.zeros(shape)
    total: Array = chunks.whole(piece, len(rows), rows)
    return total


def _look_again(
    i: int,
    meet: Callable[..., Any],
    rows: Rows,
    queries: Rows,
    own: bool,
    asked: Array,
    *arguments: Any,
) -> Piece:
    return Piece((i,), len(rows.X), meet(rows, queries, own, asked, *arguments))


def _whole(piece: Piece, rows: tuple[int, ...]) -> Any:
    return chunks.whole(piece, len(rows), rows)
