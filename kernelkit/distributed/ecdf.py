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
from kernelkit.distributed import boxes, cells, chunks, prediction
from kernelkit.distributed.boxes import Boxes, Parts, Survey
from kernelkit.distributed.chunks import Piece, Rows

_GROUP = 2**20  # numbers of training rows that a task compares with queries
_ROW = 3e-8  # seconds, as measured: to compare a row in one feature
_LEVEL = 8e-8  # in each further one, times the levels of the tree
_LEAF = 4096  # rows where these start
_PAIR = 2e-4  # for a pair


class MultivariateECDF(density.MultivariateECDF):
    """Exact empirical distribution function of rows in Dask chunks.

    `fit` looks at each chunk once and keeps the collection as it is, not computed.
    Methods count rows chunk by chunk. For queries in memory every chunk is read once
    more and compared with all queries, and the sums come back as an array. For queries
    in a Dask collection, or the training rows themselves, results are Dask arrays, not
    computed yet: of the pairs of chunks those that lie apart in a feature need no task
    or do not compare that feature, and where chunks in no order are all over space,
    workers first regroup the rows into cells, if that is estimated to pay.

    Parameters are those of `kernelkit.MultivariateECDF`, of which this is a subclass:
    it is that class itself for training rows in memory. After a fit of a Dask
    collection there are no `sorted_values_` and `ranks_`, `sample_weight_` is what was
    passed (None if all rows weigh the same), and `algorithm_` is for two chunks of the
    largest size; for each pair "auto" chooses anew.

    See Also
    --------
    kernelkit.MultivariateECDF : Parameters, attributes and methods.
    predict : For any fitted estimator.

    Notes
    -----
    Without weights all values are those of the plain class, bit for bit, whatever the
    chunks. With weights they differ by the rounding of sums: at most 1e-13 of the value
    up to some 1e6 rows, and for many more by what the plain class loses, which adds
    weights one after the other. They do not depend on workers. Chunks may have
    different dtypes, whose numbers are compared exactly; then rows are not regrouped.

    To the client come, for each chunk, the range of each feature and 128 rows; when
    rows are regrouped also the number of rows of each chunk in each cell. `X` is read
    at the fit, for each call of a method, and once more if rows are regrouped or
    queries are a collection: these are looked at when the method is called. It must
    give the same rows each time; other numbers of rows or other ranges are noticed.
    While training rows are compared with each other or with Dask queries, workers hold
    them ranked: 12 bytes per number of 8 bytes. With rows regrouped they need more in
    all: up to 4 times the bytes of the rows. A task of `evaluate_grid` holds a sum for
    each node twice. Tasks run in one thread whatever `n_jobs` is: the cluster has
    others.

    Examples
    --------
    >>> import dask.array
    >>> from kernelkit.distributed import MultivariateECDF
    >>> X = dask.array.from_array([[1, 1], [2, 3], [2, 3], [3, 2], [0, 4]], chunks=2)
    >>> distribution = MultivariateECDF().fit(X)
    >>> distribution.cdf([[2, 2], [3, 4]]).tolist()
    [0.2, 1.0]
    >>> distribution.cdf().compute().tolist()
    [0.2, 0.6, 0.6, 0.4, 0.2]
    """

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
            self.__dict__.pop(name, None)
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
        parts = self._survey.parts
        looks = [
            [parts.boxes.look(i, k) for k in range(self.n_features_in_)]
            for i in range(len(parts.blocks))
        ]
        totals: Array = parts.as_chunks().reduce(
            "ecdf-grid", _grid, axes, upper, weighted, each=looks, add=_add
        )
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


@dataclass(frozen=True)
class _Count:
    """Rows in an orthant of queries: > where `upper`, <= elsewhere."""

    upper: Array
    algorithm: str
    weighted: bool

    def at(self, X: Array, survey: Survey) -> Array:
        """Count the rows of a survey for queries in memory, now."""
        parts = survey.parts
        pairs = Pairs.of(parts.boxes, Boxes.around(X), self.upper)
        totals = np.full(len(X), self._constants(parts, pairs)[0])
        compared = pairs.compared(0)
        if compared:
            queries = [_ranked(column) for column in X.T]
            totals += parts.as_chunks(compared).reduce(
                "ecdf-count",
                _count_rows,
                queries,
                self,
                each=[
                    [parts.boxes.look(i, k) for k in _any(pairs.open[0, [i]])]
                    for i in compared
                ],
                add=_add,
            )
        return totals

    def between(self, data: Survey, queries: Survey) -> list[Delayed]:
        """Plan the counts of rows for the queries of another survey, or the same."""
        if self._cells_pay(data, queries):
            return self.through_cells(data, queries)
        return self.as_they_are(data.parts, queries.parts)

    def through_cells(self, data: Survey, queries: Survey) -> list[Delayed]:
        """Regroup rows first."""
        regrouped = cells.regroup(data, cells.cut(data))
        asking = regrouped
        if queries is not data:
            asking = cells.regroup(queries, cells.cut(queries))
        return asking.restore(self.as_they_are(regrouped.parts, asking.parts))

    def as_they_are(self, data: Parts, queries: Parts) -> list[Delayed]:
        """Compare each part of the data with each part of the queries where need be."""
        pairs = Pairs.of(data.boxes, queries.boxes, self.upper)
        constants = self._constants(data, pairs)
        needed, asked = pairs.needed
        if data is queries:
            columns = query_columns = _ranked_columns(data, needed | asked)
        else:
            columns = _ranked_columns(data, needed)
            query_columns = _ranked_columns(queries, asked)
        weights = []
        if self.weighted:
            weights = chunks.flat(
                [chunks.task("ecdf-weights", _weights, block) for block in data.blocks]
            )
        shared = chunks.argument_once(self, "ecdf-count")
        totals = []
        for j, n_queries in enumerate(queries.boxes.rows):
            compared = pairs.compared(j)
            rows, is_open = data.boxes.rows[compared], pairs.open[j, compared]
            pieces = []
            for group in _groups(rows * is_open.sum(axis=1)):
                # All in a row: Dask plans tasks with nested arguments slowly.
                parts = [compared[t] for t in group]
                given = [columns[i, k] for i in parts for k in _any(pairs.open[j, [i]])]
                given += [query_columns[j, k] for k in _any(is_open[group])]
                given += [weights[i] for i in parts if self.weighted]
                task = _count_group, np.array(group), is_open[group], shared, *given
                pieces.append(chunks.task("ecdf-count", *task))
            piece = chunks.tree(pieces, _add, "ecdf-count") if pieces else None
            total = float(constants[j]), int(n_queries), rows
            totals.append(chunks.task("ecdf-total", _total, piece, *total))
        return chunks.flat(totals)

    def _cells_pay(self, data: Survey, queries: Survey) -> bool:
        """Compare estimates of the work."""
        surveys = [data] if data is queries else [data, queries]

        def seconds(data: Boxes, queries: Boxes) -> float:
            return Pairs.of(data, queries, self.upper).seconds

        return cells.pay(surveys, seconds)

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
        """Count ranked rows for ranked queries in features that are not settled."""
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
    rows : ndarray of shape (n_query_parts, n_parts)
        Geometric mean of the numbers of rows.
    """

    inside: Array
    open: Array
    rows: Array

    @classmethod
    def of(cls, data: Boxes, queries: Boxes, upper: Array) -> "Pairs":
        """Compare boxes."""
        sides = data.sides(queries)
        outside = (sides == np.where(upper, -1, 1)).any(axis=2)
        is_open = (sides == 0) & ~outside[:, :, None]
        rows = np.sqrt(np.outer(queries.rows, data.rows))
        return cls(~outside & ~is_open.any(axis=2), is_open, rows)

    @property
    def needed(self) -> tuple[Array, Array]:
        """Features of data parts and of query parts that are open in some pair."""
        needed: Array = self.open.max(axis=0)
        asked: Array = self.open.max(axis=1)
        return needed, asked

    def compared(self, j: int) -> list[int]:
        """Return the data parts that must be compared with a query part."""
        parts: list[int] = np.flatnonzero(self.open[j].any(axis=1)).tolist()
        return parts

    @property
    def counts(self) -> dict[str, int]:
        """How many pairs are empty, settled by totals, or open in some features."""
        n_open = np.bincount(
            self.open.sum(axis=2).ravel(), minlength=self.open.shape[2] + 1
        )
        inside = int(self.inside.sum())
        named = {f"{r} open": int(n) for r, n in enumerate(n_open[1:], start=1)}
        return {"empty": int(n_open[0]) - inside, "inside": inside, **named}

    @property
    def seconds(self) -> float:
        """Estimate the work, by a fit to measurements without weights."""
        n_open = self.open.sum(axis=2)
        depth = np.log2(np.maximum(self.rows / _LEAF, 2.0))
        each = np.where(n_open > 1, _LEVEL * (n_open - 1) * depth, _ROW * n_open)
        return float((each * self.rows + _PAIR * (n_open > 0)).sum())


def _ranked_columns(parts: Parts, needed: Array) -> dict[tuple[int, int], Delayed]:
    """Plan the columns, (n_parts, n_features) bool, that are needed: ranked once."""
    boxes, places = parts.boxes, [(int(i), int(k)) for i, k in np.argwhere(needed)]
    tasks = [
        chunks.task("ecdf-rank", _rank, parts.blocks[i], *boxes.look(i, k))
        for i, k in places
    ]
    return dict(zip(places, chunks.flat(tasks), strict=True))


def _groups(sizes: Array) -> list[list[int]]:
    """Split numbers into runs of limited size, or one each."""
    groups: list[list[int]] = []
    room = 0
    for t, size in enumerate(sizes.tolist()):
        if size > room:
            groups.append([])
            room = _GROUP
        groups[-1].append(t)
        room -= size
    return groups


def _any(is_open: Array) -> list[int]:
    """Features that are open for some part."""
    features: list[int] = np.flatnonzero(is_open.any(axis=0)).tolist()
    return features


def _training_rows(rows: Rows, model: BaseEstimator) -> Rows:
    X = check.ordered_fit_data(model, rows.X)
    return Rows(X, None, check.part_weights(rows.weights, X))


def _query_rows(rows: Rows, model: BaseEstimator) -> Rows:
    return Rows(check.ordered_query_data(model, rows.X))


def _ranked(values: Array) -> _Column:
    columns, places = ranks.rank_columns(values[:, None], run=_parallel.in_order)
    return _Column(columns[0], places[0])


def _rank(rows: Rows, feature: int, n_rows: int, low: Any, high: Any) -> _Column:
    """Rank a feature, and notice rows that are not those that were looked at."""
    column = _ranked(rows.X[:, feature])
    now = len(rows.X), column.values[0], column.values[-1]
    if now != (n_rows, low, high):
        raise RuntimeError(
            f"Some {n_rows} rows went from {low} to {high} in feature {feature}, and "
            f"computed once more they are {now[0]} and go from {now[1]} to {now[2]}: "
            "make sure that computing a collection twice gives the same rows."
        )
    return column


def _weights(rows: Rows) -> Array:
    weights: Array = rows.weights
    return weights


def _count_rows(
    rows: Rows, looks: list[tuple[Any, ...]], queries: list[_Column], count: _Count
) -> Array:
    features = [k for k, *_ in looks]
    columns = [_rank(rows, *look) for look in looks]
    return count.of(columns, [queries[k] for k in features], features, rows.weights)


def _count_group(group: Array, is_open: Array, count: _Count, *needed: Any) -> Piece:
    """Count the rows of some parts, given in the order of `_Count.as_they_are`."""
    given = iter(needed)
    columns = [[next(given) for _ in _any(row[None])] for row in is_open]
    queries = {k: next(given) for k in _any(is_open)}
    totals, n_rows = np.zeros(1), 0
    for row, part in zip(is_open, columns, strict=True):
        features = _any(row[None])
        weights = next(given, None)
        totals = totals + count.of(
            part, [queries[k] for k in features], features, weights
        )
        n_rows += len(part[0].places)
    return Piece(tuple(group.tolist()), n_rows, totals)


def _total(piece: Piece | None, constant: float, n_queries: int, rows: Array) -> Array:
    totals = np.full(n_queries, constant)
    if piece is not None:
        totals += chunks.whole(piece, len(rows), tuple(rows.tolist()))
    return totals


def _add(totals: Array, others: Array) -> Array:
    return totals + others


def _grid(
    rows: Rows,
    looks: list[tuple[Any, ...]],
    axes: list[Array],
    upper: bool,
    weighted: bool,
) -> Array:
    columns = [_rank(rows, *look) for look in looks]
    values = [column.values for column in columns]
    places = np.stack([column.places for column in columns])
    weights = rows.weights if weighted else None
    return grid_totals(values, places, axes, weights, upper)
