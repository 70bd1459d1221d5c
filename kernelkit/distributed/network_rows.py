"""Rows for networks of basis functions: checked, merged and standardised by workers.

Merging equal rows changes what a fit costs, not what it minimises, so it is done within
chunks only. Statistics of the columns are sums over chunks, and the client gets a
sample of the different rows, which are all of them if they are few.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from dask.base import persist
from sklearn.base import clone

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.distributed import row_draws
from kernelkit.distributed.chunks import Chunks, Rows, rows_of
from kernelkit.distributed.header import Header
from kernelkit.rbf_network.centers import SAMPLED_ROWS, merge_rows, starts_of_runs
from kernelkit.rbf_network.network import Columns, Ends, Prepared


class Facts(NamedTuple):
    """What is known of rows that were checked, of one chunk or from it on."""

    n_rows: int
    header: Header
    dtype: np.dtype[Any]
    target_shape: tuple[int, ...]
    classes: Array | None
    totals: Array  # weight of the rows, or of those of each class
    chunk: int = 0

    def add(self, other: Self) -> "Facts":
        """Return those of both, which must have the same columns."""
        for mine, its, what in (
            (self.header, other.header, "numbers of features or names"),
            (self.target_shape, other.target_shape, "shapes of targets"),
        ):
            if mine != its:
                raise ValueError(
                    f"Chunks {self.chunk} and {other.chunk} have other {what}, {mine} "
                    f"and {its}: give all the same."
                )
        classes, totals = self._join(other)
        return self._replace(
            n_rows=self.n_rows + other.n_rows,
            dtype=np.result_type(self.dtype, other.dtype),
            classes=classes,
            totals=totals,
        )

    def _join(self, other: Self) -> tuple[Array | None, Array]:
        if self.classes is None or other.classes is None:
            return None, self.totals + other.totals
        parts = [self.classes, other.classes]
        kinds = {part.dtype.kind for part in parts}
        if len(kinds) > 1 and not kinds <= set("biuf"):
            raise ValueError(
                f"Chunks {self.chunk} and {other.chunk} have labels of other kinds, "
                f"{parts[0].dtype} and {parts[1].dtype}: convert y to one."
            )
        classes, places = np.unique(np.concatenate(parts), return_inverse=True)
        totals = np.concatenate([self.totals, other.totals])
        return classes, np.bincount(places, totals, minlength=len(classes))


class Checked(NamedTuple):
    """Rows of a chunk after the checks, with codes for labels."""

    X: Array
    y: Array
    weights: Array | None
    facts: Facts


class Block(NamedTuple):
    """Standardised rows with targets as they were given, or codes.

    A number in (0, 1) is drawn for each row, whatever chunk it is in: by it, rows are
    held out.
    """

    X: Array
    y: Array
    weights: Array | None
    draws: Array


@dataclass(frozen=True)
class PreparedOnChunks(Prepared):
    """Training rows that workers hold; X, Y, weights and draws are of a sample.

    Attributes
    ----------
    chunks : Chunks
        All prepared rows: each makes a `Block`.
    weight : float
        Their total.
    """

    draws: Array
    chunks: Chunks
    weight: float

    @property
    def total(self) -> float:
        """Weight of all rows."""
        return self.weight


class Summary(NamedTuple):
    """Number and weight of rows, ends of their columns with targets, and a sample.

    n counts different rows, but for those left out of the sample; these it may count
    for several chunks.
    """

    n: int
    weight: float
    ends: Ends
    sample: Rows
    draws: Array
    keys: Array

    @classmethod
    def of(cls, rows: Rows, seed: int, size: int) -> "Summary":
        """Summarise a chunk of merged rows."""
        table = np.column_stack([rows.X, rows.y])
        weights = np.ones(len(table)) if rows.weights is None else rows.weights
        ends = Ends(table.min(axis=0), table.max(axis=0), table[0])
        draws = row_draws.uniform(table, seed)
        # The largest of u^(1/w), in logarithms: Efraimidis & Spirakis (2006).
        keys = -np.log(draws) / weights
        sample = Rows(rows.X, rows.y, weights)
        every = cls(len(table), float(weights.sum()), ends, sample, draws, keys)
        return every._with_at_most(size)

    def add(self, other: "Summary", size: int) -> "Summary":
        """Summarise the rows of both."""
        a, b = self.ends, other.ends
        ends = Ends(
            np.minimum(a.low, b.low),
            np.maximum(a.high, b.high),
            min(a.first, b.first, key=tuple),
        )
        X, y, weights = map(np.concatenate, zip(self.sample, other.sample, strict=True))
        draws = np.append(self.draws, other.draws)
        keys = np.append(self.keys, other.keys)
        order = np.argsort(draws, kind="stable")  # which are the same for equal rows
        starts = starts_of_runs(np.column_stack([X, y])[order])
        first = order[starts]
        weights = np.add.reduceat(weights[order], starts)
        return Summary(
            n=self.n + other.n - len(draws) + len(first),
            weight=self.weight + other.weight,
            ends=ends,
            sample=Rows(X[first], y[first], weights),
            draws=draws[first],
            keys=np.minimum.reduceat(keys[order], starts),
        )._with_at_most(size)

    def _with_at_most(self, size: int) -> "Summary":
        if len(self.keys) <= size:
            return self
        chosen = np.argpartition(self.keys, size - 1)[:size]
        sample = Rows(*(part[chosen] for part in self.sample))
        return self._replace(
            sample=sample, draws=self.draws[chosen], keys=self.keys[chosen]
        )

    def rows(self) -> tuple[Array, Array, Array | None]:
        """Return the sample, sorted: all rows with weights, or drawn by these."""
        X, y, weights = self.sample
        return merge_rows(X, y, weights if len(X) == self.n else None)


class Moments(NamedTuple):
    """Means and sums of squares of columns, as parts of the way between their ends."""

    weight: float
    mean: Array
    squares: Array

    @classmethod
    def of(cls, rows: Rows, ends: Ends) -> "Moments":
        """Measure those of a chunk."""
        parts = ends.parts(np.column_stack([rows.X, rows.y]))
        weights = np.ones(len(parts)) if rows.weights is None else rows.weights
        mean = np.average(parts, axis=0, weights=weights)
        return cls(float(weights.sum()), mean, weights @ (parts - mean) ** 2)

    def add(self, other: "Moments") -> "Moments":
        """Return those of both: Chan, Golub & LeVeque (1983), section 2."""
        weight = self.weight + other.weight
        share, step = other.weight / weight, other.mean - self.mean
        squares = self.squares + other.squares + self.weight * share * step**2
        return Moments(weight, self.mean + share * step, squares)


def persisted(chunks: Chunks, lengths: tuple[int, ...] | None = None) -> Chunks:
    """Make workers keep chunks, of these numbers of rows if known, while held here."""
    return Chunks(list(persist(*chunks.blocks, traverse=False)), lengths)


def checked(
    model: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    function: Callable[..., Any],
) -> tuple[Facts, Chunks]:
    """Check rows by a function of a chunk and the estimator; set its attributes."""
    rows = rows_of(X, y, sample_weight)
    step = f"{type(model).__name__}-check"
    found = persisted(rows.apply(step, function, clone(model)), rows.lengths)
    numbers = range(len(found))
    facts = found.reduce(step, _facts, each=numbers, add=Facts.add)
    check.total_weight(facts.totals)
    check.several_rows(model, np.broadcast_to(0.0, facts.n_rows))
    facts.header.give_to(model)
    return facts, found


def check_numbers(rows: Rows, model: Any) -> Checked:
    """Check a chunk of rows and targets that are numbers."""
    model = clone(model)  # other threads have the same one
    y = check.targets(model, rows.y)
    return _checked(rows, y, None, model)


def check_labels(rows: Rows, model: Any) -> Checked:
    """Check a chunk of rows and labels of classes."""
    model = clone(model)
    classes, codes = check.labels(model, rows.y)
    return _checked(rows, codes, classes, model)


def _checked(rows: Rows, y: Array, classes: Array | None, model: Any) -> Checked:
    X = check.kernel_rows(model, rows.X, reset=True, kernel=None, dtype=model.dtype)
    check.same_length(X, y)
    weights = check.part_weights(rows.weights, X)
    if weights is not None and weights.any():
        weights = check.weights(weights, X)
    codes = np.zeros(len(X), dtype=np.intp) if classes is None else y
    facts = Facts(
        n_rows=len(X),
        header=Header.of(model),
        dtype=X.dtype,
        target_shape=y.shape[1:],
        classes=classes,
        totals=np.bincount(codes, weights).astype(np.float64),
    )
    return Checked(X.astype(np.float64), y, weights, facts)


def merged_numbers(rows: Checked) -> Rows:
    """Merge equal rows of a chunk."""
    return Rows(*merge_rows(rows.X, rows.y.reshape(len(rows.y), -1), rows.weights))


def merged_labels(
    rows: Checked, classes: Array, used: Array, factors: Array | None
) -> Rows:
    """Merge equal rows of a chunk, whose classes have codes and factors.

    Parameters
    ----------
    rows : Checked
    classes : ndarray
        Labels of all chunks.
    used : ndarray
        Places of those whose rows weigh anything.
    factors : ndarray or None
        Of the weights of the rows of each class.
    """
    own = rows.facts.classes
    assert own is not None
    codes = np.searchsorted(classes, own)[rows.y]
    weights = rows.weights
    if factors is not None:
        weights = factors[codes] if weights is None else weights * factors[codes]
    Y = np.searchsorted(used, codes)[:, None].astype(np.float64)
    return Rows(*merge_rows(rows.X, Y, weights))


def prepared(
    model: Any, merged: Chunks, rng: np.random.Generator
) -> tuple[PreparedOnChunks, Columns, int]:
    """Standardise merged rows; return them, what targets have, and their number.

    `model` gets the statistics of its features.
    """
    name = type(model).__name__
    seed, fold_seed = (int(child.integers(2**63)) for child in rng.spawn(2))
    size = max(SAMPLED_ROWS, model.n_centers)
    add = partial(Summary.add, size=size)
    summary = merged.reduce(f"{name}-sample", Summary.of, seed, size, add=add)
    moments = merged.reduce(
        f"{name}-moments", Moments.of, summary.ends, add=Moments.add
    )
    d = model.n_features_in_
    features, targets = (
        Columns.between(
            Ends(*(end[part] for end in vars(summary.ends).values())),
            moments.mean[part],
            moments.squares[part] / moments.weight,
        )
        for part in (slice(d), slice(d, None))
    )
    model._keep_columns(features)
    arguments = model._columns, model._dtype, fold_seed
    rows = persisted(merged.apply(f"{name}-standardise", _standardised, *arguments))
    sample = _standardised(Rows(*summary.rows()), *arguments)
    data = PreparedOnChunks(
        sample.X, sample.y, sample.weights, sample.draws, rows, summary.weight
    )
    return data, targets, summary.n


def _facts(rows: Checked, chunk: int) -> Facts:
    return rows.facts._replace(chunk=chunk)


def _standardised(rows: Rows, columns: Columns, dtype: str, seed: int) -> Any:
    draws = row_draws.uniform(np.column_stack([rows.X, rows.y]), seed)
    return Block(columns.varied(rows.X, dtype), rows.y, rows.weights, draws)
