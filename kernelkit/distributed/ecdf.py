"""The exact empirical distribution function of rows in Dask chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from dask.delayed import Delayed
from sklearn.base import BaseEstimator

from kernelkit import _parallel, density
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.density import ranks, sums
from kernelkit.density.ecdf import grid_totals, shares
from kernelkit.distributed import boxes, chunks, prediction
from kernelkit.distributed.boxes import Boxes, Parts, Survey
from kernelkit.distributed.chunks import Chunks, Piece, Rows

_GROUP = 2**20  # numbers of training rows that a task compares with queries


class MultivariateECDF(density.MultivariateECDF):
    """TODO"""

    _survey: Survey | None = None

    @check.params
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Rank the training rows, or look at each chunk of them once.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_samples, n_features)
            Training rows; bool, integers or floats, infinities allowed.
        y : None
            Ignored; here for pipelines.
        sample_weight : array-like, dask array or series, default=None
            Nonnegative row weights, of shape (n_samples,), not all zero; None weighs
            every row alike.

        Returns
        -------
        self : MultivariateECDF
        """
        for name in ("sorted_values_", "ranks_", "_survey"):  # of an earlier fit
            vars(self).pop(name, None)
        if not chunks.is_collection(X):
            return super().fit(X, y, sample_weight)
        rows = chunks.rows_of(X, None, sample_weight)
        survey = boxes.survey("ecdf", rows, _training_rows, self, reset=True)
        self.sample_weight_ = None if survey.equal_weights else sample_weight
        n_most = int(survey.parts.boxes.rows.max())
        self.algorithm_ = sums.choose(
            self.algorithm,
            n_most,
            n_most,
            self.n_features_in_,
            weighted=self.sample_weight_ is not None,
        )
        self._survey = survey
        return self

    def _evaluate(self, X: Any, upper: Array) -> Any:
        if self._survey is None:
            if not chunks.is_collection(X):
                return super()._evaluate(X, upper)
            return prediction.mapped(self, "orthant", X, signs=np.where(upper, 1, -1))
        count = _Count(upper, self.algorithm, self.sample_weight_ is not None)
        if X is not None and not chunks.is_collection(X):
            X = check.ordered_query_data(self, X)
            return shares(count.at(X, self._survey), self._whole())
        queries = self._survey
        if X is not None:
            rows = chunks.rows_of(X)
            queries = boxes.survey("ecdf", rows, _query_rows, self, reset=False)
        totals = count.between(self._survey, queries)
        whole = self._whole()
        return queries.stack(
            [chunks.task("ecdf-share", shares, total, whole) for total in totals]
        )

    def _grid_totals(self, axes: list[Array], upper: bool) -> Array:
        if self._survey is None:
            return super()._grid_totals(axes, upper)
        weighted = self.sample_weight_ is not None
        rows = _as_chunks(self._survey.parts)
        totals: Array = rows.reduce("ecdf-grid", _grid, axes, upper, weighted, add=_add)
        return totals

    def _whole(self) -> float:
        if self._survey is None:
            return super()._whole()
        parts = self._survey.parts
        totals = parts.boxes.rows if self.sample_weight_ is None else parts.totals
        return float(totals.sum())

    def _effective_samples(self) -> float:
        if self._survey is None:
            return super()._effective_samples()
        if self.sample_weight_ is None:
            return self._whole()
        return self._survey.effective_samples


class _Column(NamedTuple):
    """A feature of some rows: ascending values, and the place of each row in them."""

    values: Array
    places: Array


class _Term(NamedTuple):
    """Rows that lie below a query where they do so in some features."""

    features: tuple[int, ...]
    columns: Sequence[Any]  # _Column, or what makes it
    weights: Any


@dataclass(frozen=True)
class _Count:
    """Rows in an orthant of queries: > where `upper`, <= elsewhere."""

    upper: Array
    algorithm: str
    weighted: bool

    def at(self, X: Array, survey: Survey) -> Array:
        """Count the rows of a survey for queries in memory, now."""
        parts = survey.parts
        around = Boxes(np.array([len(X)]), X.min(axis=0)[None], X.max(axis=0)[None])
        pairs = Pairs.of(parts.boxes, around, self.upper)
        totals = np.full(len(X), self._constants(parts, pairs)[0])
        terms = pairs.terms(0)
        if terms:
            rows = _as_chunks(parts, [part for part, _ in terms])
            features = [features for _, features in terms]
            queries = [_ranked(column) for column in X.T]
            totals += rows.reduce(
                "ecdf-count", _count_rows, queries, self, each=features, add=_add
            )
        return totals

    def between(self, data: Survey, queries: Survey) -> list[Delayed]:
        """Plan the counts of rows for the queries of another survey, or the same."""
        return self._between(data.parts, queries.parts)

    def _between(self, data: Parts, queries: Parts) -> list[Delayed]:
        pairs = Pairs.of(data.boxes, queries.boxes, self.upper)
        constants = self._constants(data, pairs)
        data_columns = _Ranked(data)
        query_columns = data_columns if data is queries else _Ranked(queries)
        totals = []
        for j, n_queries in enumerate(queries.boxes.rows):
            terms = pairs.terms(j)
            rows = data.boxes.rows[[i for i, _ in terms]]
            pieces = []
            for group in _groups(terms, rows):
                needed = sorted({k for t in group for k in terms[t][1]})
                pieces.append(
                    chunks.task(
                        "ecdf-count",
                        _count_group,
                        tuple(group),
                        [data_columns.term(*terms[t], self.weighted) for t in group],
                        {k: query_columns.column(j, k) for k in needed},
                        self,
                    )
                )
            piece = chunks.tree(pieces, _add, "ecdf-count") if pieces else None
            totals.append(
                chunks.task(
                    "ecdf-total",
                    _total,
                    piece,
                    tuple(rows.tolist()),
                    float(constants[j]),
                    int(n_queries),
                )
            )
        return chunks.flat(totals)

    def _constants(self, data: Parts, pairs: "Pairs") -> Array:
        """Sum the parts that lie wholly in the orthant of each part of the queries."""
        totals = data.totals if self.weighted else data.boxes.rows.astype(np.float64)
        return pairs.inside @ totals

    def of(
        self,
        columns: Sequence[_Column],
        queries: Sequence[_Column],
        features: Sequence[int],
        weights: Array | None,
    ) -> Array:
        """Count ranked rows for ranked queries, in the features that are not settled."""
        places = np.stack([column.places for column in columns])
        thresholds = np.stack(
            [
                ranks.count_not_above(column.values, query.values)[query.places]
                for column, query in zip(columns, queries, strict=True)
            ]
        ).astype(np.int32)
        weights = weights if self.weighted else None
        algorithm = sums.choose(
            self.algorithm,
            places.shape[1],
            thresholds.shape[1],
            len(places),
            weighted=self.weighted,
        )
        return sums.dominance_sums(
            *ranks.flip(places, thresholds, self.upper[list(features)]),
            weights,
            own=False,
            algorithm=algorithm,
            run=_parallel.in_order,
        )


@dataclass(frozen=True)
class Pairs:
    """What the boxes of data and of queries settle.

    Attributes
    ----------
    inside : ndarray of shape (n_query_parts, n_parts), bool
        All rows are in the orthant of all queries.
    open : ndarray of shape (n_query_parts, n_parts, n_features), bool
        Features in which some rows may be on one side and others on the other; none
        where a settled feature excludes all rows.
    """

    inside: Array
    open: Array

    @classmethod
    def of(cls, data: Boxes, queries: Boxes, upper: Array) -> "Pairs":
        """Compare boxes."""
        sides = data.sides(queries)
        outside = (sides == np.where(upper, -1, 1)).any(axis=2)
        is_open = (sides == 0) & ~outside[:, :, None]
        return cls(~outside & ~is_open.any(axis=2), is_open)

    def terms(self, j: int) -> list[tuple[int, tuple[int, ...]]]:
        """Return the data parts to be compared with a query part, in which features."""
        return [
            (int(i), tuple(np.flatnonzero(self.open[j, i]).tolist()))
            for i in np.flatnonzero(self.open[j].any(axis=1))
        ]


class _Ranked:
    """Columns of parts, ranked once each by tasks that are planned when asked for."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._columns: dict[tuple[int, int], Delayed] = {}
        self._weights: dict[int, Delayed] = {}

    def column(self, i: int, feature: int) -> Delayed:
        """Plan a column of a part."""
        if (i, feature) not in self._columns:
            around = self._parts.boxes
            ends = around.low[i, feature], around.high[i, feature]
            self._columns[i, feature] = chunks.task(
                "ecdf-rank", _rank, self._parts.blocks[i], feature, *ends
            )
        return self._columns[i, feature]

    def term(self, i: int, features: tuple[int, ...], weighted: bool) -> _Term:
        """Plan the columns of a part that are not settled."""
        if weighted and i not in self._weights:
            block = self._parts.blocks[i]
            self._weights[i] = chunks.task("ecdf-weights", _weights, block)
        columns = [self.column(i, feature) for feature in features]
        return _Term(features, columns, self._weights.get(i))


def _groups(
    terms: Sequence[tuple[int, tuple[int, ...]]], rows: Array
) -> list[list[int]]:
    """Split terms into runs that together hold few enough numbers, or one each."""
    sizes = rows * [len(features) for _, features in terms]
    groups: list[list[int]] = []
    room = 0
    for t, size in enumerate(sizes):
        if size > room:
            groups.append([])
            room = _GROUP
        groups[-1].append(t)
        room -= size
    return groups


def _training_rows(rows: Rows, model: BaseEstimator) -> Rows:
    X = check.ordered_fit_data(model, rows.X)
    return Rows(X, None, check.part_weights(rows.weights, X))


def _query_rows(rows: Rows, model: BaseEstimator) -> Rows:
    return Rows(check.ordered_query_data(model, rows.X))


def _as_chunks(parts: Parts, chosen: Sequence[int] | None = None) -> Chunks:
    chosen = range(len(parts.blocks)) if chosen is None else chosen
    lengths = tuple(parts.boxes.rows[list(chosen)].tolist())
    return Chunks([parts.blocks[i] for i in chosen], lengths)


def _ranked(values: Array) -> _Column:
    columns, places = ranks.rank_columns(values[:, None], run=_parallel.in_order)
    return _Column(columns[0], places[0])


def _rank(rows: Rows, feature: int, low: Any, high: Any) -> _Column:
    column = _ranked(rows.X[:, feature])
    if column.values[0] != low or column.values[-1] != high:
        raise RuntimeError(
            f"Feature {feature} of a chunk goes from {column.values[0]} to "
            f"{column.values[-1]}, and went from {low} to {high} when it was looked "
            "at: make sure that computing X twice gives the same rows."
        )
    return column


def _weights(rows: Rows) -> Array:
    weights: Array = rows.weights
    return weights


def _count_rows(
    rows: Rows, features: tuple[int, ...], queries: list[_Column], count: _Count
) -> Array:
    columns = [_ranked(rows.X[:, k]) for k in features]
    return count.of(columns, [queries[k] for k in features], features, rows.weights)


def _count_group(
    numbers: tuple[int, ...],
    terms: Sequence[_Term],
    queries: dict[int, _Column],
    count: _Count,
) -> Piece:
    totals, n_rows = 0.0, 0
    for features, columns, weights in terms:
        sorted_queries = [queries[k] for k in features]
        totals = totals + count.of(columns, sorted_queries, features, weights)
        n_rows += len(columns[0].places)
    return Piece(numbers, n_rows, totals)


def _total(
    piece: Piece | None, rows: tuple[int, ...], constant: float, n_queries: int
) -> Array:
    totals = np.full(n_queries, constant)
    if piece is not None:
        totals += chunks.whole(piece, len(rows), rows)
    return totals


def _add(totals: Array, others: Array) -> Array:
    return totals + others


def _grid(rows: Rows, axes: list[Array], upper: bool, weighted: bool) -> Array:
    columns, places = ranks.rank_columns(rows.X, run=_parallel.in_order)
    return grid_totals(columns, places, axes, rows.weights if weighted else None, upper)
