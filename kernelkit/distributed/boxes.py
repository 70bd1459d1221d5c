"""Bounding boxes of parts of the rows, and which features they settle for two parts."""

import operator
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from dask.delayed import Delayed
from sklearn.base import BaseEstimator, clone

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.distributed import chunks
from kernelkit.distributed.chunks import Chunks, Rows
from kernelkit.distributed.header import Header, common

_SAMPLE = 128  # rows of a chunk that come to the client


@dataclass(frozen=True)
class Boxes:
    """Lowest and highest values of parts of the rows, none of them empty.

    Attributes
    ----------
    rows : ndarray of shape (n_parts,), int64
        Number of rows.
    low, high : ndarray of shape (n_parts, n_features)
        In the dtype of the rows, or Python's numbers if there are several dtypes.
    """

    rows: Array
    low: Array
    high: Array

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def around(cls, X: Array) -> "Boxes":
        """Make the box of rows in memory, which are one part."""
        return cls(np.array([len(X)]), X.min(axis=0)[None], X.max(axis=0)[None])

    def look(self, part: int, feature: int) -> tuple[int, int, Any, Any]:
        """Return a feature, the number of rows of a part, and the feature's range."""
        return (
            feature,
            int(self.rows[part]),
            self.low[part, feature],
            self.high[part, feature],
        )

    def sides(self, queries: "Boxes") -> Array:
        """Tell on which side of the queries' parts these parts lie, in each feature.

        Returns
        -------
        sides : ndarray of shape (n_query_parts, n_parts, n_features), int8
            -1 if every value is <= every query, +1 if every value is > every query, 0
            if neither is sure.
        """
        low, high = self.low, self.high
        if low.dtype != queries.low.dtype:  # NumPy compares these after rounding
            low, high = low.astype(object), high.astype(object)
        above = low > queries.high[:, None]
        return above.astype(np.int8) - (high <= queries.low[:, None])


@dataclass(frozen=True)
class Parts:
    """Parts of the rows, still to be computed.

    Attributes
    ----------
    blocks : sequence of Delayed
        Each makes a `Rows` of checked arrays, not empty.
    boxes : Boxes
        Around them.
    totals : ndarray of shape (n_parts,)
        Total weight of each; the number of rows if there are no weights.
    """

    blocks: Sequence[Delayed]
    boxes: Boxes
    totals: Array

    def as_chunks(self, chosen: Sequence[int] | None = None) -> Chunks:
        """Take some parts, or all, as chunks with checked rows."""
        parts = range(len(self.blocks)) if chosen is None else chosen
        blocks = [self.blocks[i] for i in parts]
        return Chunks(blocks, tuple(self.boxes.rows[list(parts)].tolist()))


@dataclass(frozen=True)
class Survey:
    """What one look at all chunks tells.

    Attributes
    ----------
    parts : Parts
        The chunks that have rows.
    numbers : ndarray of shape (n_parts,), int64
        Which chunks these are.
    n_chunks : int
        Chunks of the collection, also those without a row.
    equal_weights : bool
        All rows weigh the same.
    effective_samples : float
        Kish's number: as many equal weights tell as much as those of the rows.
    sample : ndarray of shape (n_sampled, n_features)
        Some rows of all parts.
    shares : ndarray of shape (n_sampled,)
        How many rows each of these stands for.
    heaviest : float
        Largest weight of a row.
    told : list
        What else each part was asked for.
    """

    parts: Parts
    numbers: Array
    n_chunks: int
    equal_weights: bool
    effective_samples: float
    sample: Array
    shares: Array
    heaviest: float
    told: list[Any]

    def stack(
        self,
        results: Sequence[Delayed],
        shape: tuple[int, ...] = (),
        dtype: Any = np.float64,
    ) -> Any:
        """Make a Dask array of an array for each part, in the chunks of the rows.

        `shape` is that of a result, without its rows.
        """
        empty = np.empty((0, *shape), dtype=dtype)
        blocks = [chunks.argument_once(empty, "no-rows")] * self.n_chunks
        lengths = np.zeros(self.n_chunks, dtype=np.int64)
        lengths[self.numbers] = self.parts.boxes.rows
        for number, result in zip(self.numbers, results, strict=True):
            blocks[number] = result
        return chunks.stack(blocks, tuple(lengths.tolist()), shape, dtype)


def survey(
    step: str,
    rows: Chunks,
    checked: Callable[[Rows, BaseEstimator], Rows],
    model: BaseEstimator,
    *,
    reset: bool,
    ask: Callable[[Rows], Any] | None = None,
) -> Survey:
    """Look at every chunk once; some numbers per chunk come to the client.

    Parameters
    ----------
    step : str
        What the tasks do.
    rows : Chunks
    checked : callable
        ``checked(rows, model)`` returns checked arrays. It may set the number and the
        names of features on the model, which is a copy.
    model : estimator
    reset : bool
        Set the number and the names of features on `model`; chunks must agree.
    ask : callable or None, default=None
        What else the checked rows of a chunk shall tell.

    Raises
    ------
    ValueError
        If there is no row, if chunks have other columns, or if all weights are zero.
    """
    own = clone(model)
    if not reset:
        Header.of(model).give_to(own)
    looks = rows.reduce(
        f"{step}-survey",
        _look,
        checked,
        own,
        ask,
        each=range(len(rows)),
        add=operator.add,
    )
    if reset:
        common([look.header for look in looks]).give_to(model)
    blocks = chunks.flat(rows.apply(f"{step}-check", _check, checked, own).blocks)
    numbers = np.array([look.number for look in looks])
    n_rows = np.array([look.n_rows for look in looks])
    boxes = Boxes(
        n_rows,
        stacked([look.low[None] for look in looks]),
        stacked([look.high[None] for look in looks]),
    )
    weights = [
        np.array(column)
        for column in zip(*(look.weights for look in looks), strict=True)
    ]
    totals, lightest, heaviest, squares = weights
    check.total_weight(totals)
    top = heaviest.max()
    sizes = [len(look.sample) for look in looks]
    return Survey(
        Parts([blocks[number] for number in numbers], boxes, totals),
        numbers,
        len(rows),
        bool(lightest.min() == top),
        float((totals / top).sum() ** 2 / ((heaviest / top) ** 2 * squares).sum()),
        stacked([look.sample for look in looks]),
        np.repeat(n_rows / sizes, sizes),
        float(top),
        [look.told for look in looks],
    )


def stacked(parts: Sequence[Array]) -> Array:
    """Concatenate arrays; without rounding, as Python's numbers, if dtypes differ."""
    if len({part.dtype for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts)


class _Look(NamedTuple):
    """What a chunk tells of itself."""

    number: int
    header: Header
    n_rows: int
    low: Array
    high: Array
    weights: tuple[float, float, float, float]
    sample: Array
    told: Any


def _look(
    rows: Rows,
    number: int,
    checked: Callable[[Rows, BaseEstimator], Rows],
    model: BaseEstimator,
    ask: Callable[[Rows], Any] | None,
) -> tuple[_Look, ...]:
    model = copy(model)  # threads of a worker share it
    rows = checked(rows, model)
    X, _, weights = rows
    chosen = np.linspace(0, len(X) - 1, min(len(X), _SAMPLE)).astype(np.int64)
    look = _Look(
        number,
        Header.of(model),
        len(X),
        X.min(axis=0),
        X.max(axis=0),
        _weigh(len(X), weights),
        X[chosen],
        None if ask is None else ask(rows),
    )
    return (look,)


def _weigh(n: int, weights: Array | None) -> tuple[float, float, float, float]:
    """Total, lightest, heaviest, and squares over that of the heaviest."""
    if weights is None:
        return float(n), 1.0, 1.0, float(n)
    heaviest = weights.max()
    squares = np.square(weights / (heaviest or 1.0)).sum()
    with np.errstate(over="ignore"):
        return weights.sum(), weights.min(), heaviest, squares


def _check(
    rows: Rows, checked: Callable[[Rows, BaseEstimator], Rows], model: BaseEstimator
) -> Rows:
    return checked(rows, copy(model))
