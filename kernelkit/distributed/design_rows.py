"""A pool of rows in chunks: what workers say of them, and transformers for them."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cholesky
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from kernelkit import _parallel, design
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.design.features import Space, as_named, transform
from kernelkit.design.orthonormal import change_by_factor, warn_of_dropped
from kernelkit.distributed import chunks
from kernelkit.distributed.chunks import Chunks, Rows
from kernelkit.distributed.header import Header, common
from kernelkit.distributed.tree_qr import Factor

_MOST_TO_FIT = 10_000  # rows to which a transformer is fitted
_ON_INTERVALS = design.LegendreBasis, design.ChebyshevBasis, design.FourierBasis
_EXACT = 1e-12  # error of a Gram matrix that moves no draw, but with little chance
_NEARLY = 0.1  # error that its Cholesky factor mends
_WORST = 1e-3  # error that is accepted if rounding leaves no better


class Facts(NamedTuple):
    """What the rows of a chunk are, and their weights, if they have some.

    Attributes
    ----------
    n_rows : int
    header : Header
    head : array or frame
        The first row.
    ends : ndarray of shape (2, n_features)
        The least and the greatest features of rows with weight.
    weights : ndarray of shape (n_rows,) or None
    """

    n_rows: int
    header: Header
    head: Any
    ends: Array
    weights: Array | None

    @classmethod
    def of(cls, rows: Rows) -> "Facts":
        """Check a chunk."""
        model = design.DesignLeastSquares()
        X = check.fit_data(model, rows.X)
        weights = check.part_weights(rows.weights, X)
        heavy = X if weights is None else X[weights > 0.0]
        low = heavy.min(axis=0, initial=np.inf)
        high = heavy.max(axis=0, initial=-np.inf)
        return cls(
            n_rows=len(X),
            header=Header.of(model),
            head=check.some_rows(rows.X, np.arange(1)),
            ends=np.stack([low, high]),
            weights=weights,
        )


@dataclass(frozen=True)
class Pool:
    """The rows of all chunks that have weight.

    Attributes
    ----------
    given : Chunks
        With other rows and without weights, as they were given.
    rows : Chunks
        Without others.
    head : array or frame
        A row.
    ends : ndarray of shape (2, n_features)
        The least and the greatest features.
    lengths : ndarray of shape (n_chunks,)
        Numbers of rows as they were given.
    counts : ndarray of shape (n_chunks,)
        Numbers of rows with weight.
    weights : ndarray of shape (n_rows,) or None
        None if all rows weigh the same.
    places : ndarray of shape (n_rows,) or None
        Their numbers among the rows as they were given; None if all have weight.
    """

    given: Chunks
    rows: Chunks
    head: Any
    ends: Array
    lengths: Array
    counts: Array
    weights: Array | None
    places: Array | None

    @classmethod
    def of(cls, X: Any, sample_weight: Any) -> "Pool":
        """Check all rows, in one pass."""
        weighed = chunks.rows_of(X, None, sample_weight)
        found = weighed.gather("design-check", Facts.of)
        common([fact and fact.header for fact in found])
        facts = [fact for fact in found if fact is not None]
        lengths = np.array([0 if fact is None else fact.n_rows for fact in found])
        ends = np.stack(
            [
                np.min([fact.ends[0] for fact in facts], axis=0),
                np.max([fact.ends[1] for fact in facts], axis=0),
            ]
        )
        weights = None
        if facts[0].weights is not None:
            weights = np.concatenate([fact.weights for fact in facts])
            check.total_weight(weights)
            if (weights == weights[0]).all():
                weights = None
        given = chunks.rows_of(X)
        rows, counts, places = weighed, lengths, None
        if weights is None:
            rows = given
        elif not weights.all():
            rows = weighed.apply("design-weights", _with_weight)
            places = np.flatnonzero(weights)
            counts = np.diff(np.searchsorted(places, np.cumsum(lengths)), prepend=0)
            weights = weights[places]
        rows = Chunks(rows.blocks, tuple(counts.tolist()))
        return cls(given, rows, facts[0].head, ends, lengths, counts, weights, places)

    @property
    def n_rows(self) -> int:
        """Number of rows with weight."""
        return int(self.counts.sum())

    @property
    def total(self) -> float:
        """Sum of the weights, or number of rows of weight 1."""
        return self.n_rows if self.weights is None else float(self.weights.sum())

    @cached_property
    def masses(self) -> Array:
        """Weights as shares of their sum, of shape (n_rows,)."""
        if self.weights is None:
            return np.broadcast_to(1.0 / self.n_rows, self.n_rows)
        masses = self.weights / self.weights.max()
        return masses / masses.sum()

    def numbers_given(self, numbers: Array) -> Array:
        """Tell where rows are among those that were given."""
        return numbers if self.places is None else self.places[numbers]

    def factor(self, features: Any, *, centers: bool, weighs: bool = True) -> Factor:
        """Factor the features of all rows: QR of chunks, then of pairs of factors."""
        total = self.total if weighs else self.n_rows
        return self.rows.reduce(
            "design-factor", _factor, features, centers, total, weighs, add=Factor.join
        )

    def make_space(
        self, features: Any, *, centers: bool, tol: float | None
    ) -> tuple[Space, Array]:
        """Make features orthonormal; tell the leverage of each row.

        As `kernelkit.design.features.make_space`, for features that are not in memory.
        """
        factor = self.factor(features, centers=centers)
        columns, exponents = factor.R, factor.exponents
        varying = np.arange(len(exponents))
        if centers:
            varying = np.flatnonzero(columns[:, 1:].any(axis=0))
            columns = columns[:, np.append(0, 1 + varying)]
            exponents = np.append(0, exponents[varying])
        change = change_by_factor(columns, exponents, self.n_rows, tol)
        warn_of_dropped(change)
        space = Space(change, factor.center, varying)
        error = np.inf
        while True:
            parts, gram = self.rows.reduce(
                "design-leverage", _leverage, features, space, self.total, add=_joined
            )
            before, error = error, float(np.linalg.norm(gram - np.eye(len(gram))))
            if error <= _EXACT or not error < min(_NEARLY, 0.1 * before):
                break
            step = cholesky(gram, check_finite=False)
            change = replace(change, R=step @ change.R)
            space = replace(space, change=change)
        if not error <= _WORST:
            raise ValueError(
                "Some features depend on others but for rounding errors: raise "
                "rank_tol, or leave it None, to drop them."
            )
        return space, np.concatenate(parts)

    def functions(self, features: Any, space: Space, numbers: Array) -> Array:
        """Evaluate orthonormal functions times roots of masses at some rows.

        Parameters
        ----------
        features : transformer or None
        space : Space
        numbers : ndarray
            Of the rows, in ascending order.
        """
        return of_some(
            self.given,
            self.lengths,
            "design-rows",
            _functions_at,
            self.numbers_given(numbers),
            features,
            space,
            beside=self.masses[numbers],
        )

    def sample(self, n: int, rng: np.random.Generator) -> Any:
        """Draw n rows at random, or take all if they are no more, in their order."""
        numbers = np.arange(self.n_rows)
        if n < self.n_rows:
            # A copy seeds the draw, so that `rng` goes on as if there were no sample.
            seed = [1, *deepcopy(rng).integers(2**32, size=4)]
            own = np.random.default_rng(seed)
            numbers = np.sort(own.choice(self.n_rows, n, replace=False))
        numbers = self.numbers_given(numbers)
        return of_some(self.given, self.lengths, "design-sample", _rows_at, numbers)


def of_some(
    rows: Chunks,
    lengths: Array,
    step: str,
    function: Callable[..., Any],
    numbers: Array,
    *arguments: Any,
    beside: Array | None = None,
) -> Any:
    """Put together what ``function(rows, picks, *arguments)`` says of some rows.

    Parameters
    ----------
    rows : Chunks
    lengths : ndarray of shape (n_chunks,)
        Numbers of rows.
    step : str
    function : callable
        Returns an array or a frame with a row for each pick.
    numbers : ndarray
        Of the rows, in ascending order; chunks without any are left alone.
    *arguments : object
    beside : ndarray, optional
        A number for each of these rows: picks are pairs of arrays, then.
    """
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(numbers, ends[:-1])
    starts = zip(np.split(numbers, cuts), ends - lengths, strict=True)
    picks = [part - start for part, start in starts]
    nothing = chunks.task("rows", Rows, np.empty((0, 0)))
    blocks = [
        block if len(own) else nothing
        for block, own in zip(rows.blocks, picks, strict=True)
    ]
    each: list[Any] = picks
    if beside is not None:
        each = [*zip(picks, np.split(beside, cuts), strict=True)]
    found = Chunks(blocks, None).gather(step, function, *arguments, each=each)
    found = [part for part in found if part is not None]
    if hasattr(found[0], "columns"):
        from pandas import concat

        return concat(found)
    return np.concatenate(found)


def fit_features(features: Any, pool: Pool, rng: np.random.Generator) -> Any:
    """Fit a transformer, which is changed, to all rows or to a sample of them.

    Parameters
    ----------
    features : transformer or None
    pool : Pool
    rng : Generator
        Source of the sample.
    """
    if features is None or isinstance(features, FrozenEstimator):
        return features
    if isinstance(features, _ON_INTERVALS):
        features.fit(pool.ends)
    elif isinstance(features, design.HermiteBasis):
        _fit_normal(features, pool)
    elif isinstance(features, design.OrthonormalBasis):
        _fit_orthonormal(features, pool, rng)
    else:
        return features.fit(pool.sample(_MOST_TO_FIT, rng), None)
    check.fit_data(features, pool.head)  # for the names of columns
    return features


def _fit_normal(basis: design.HermiteBasis, pool: Pool) -> None:
    """Find means and standard deviations from an R factor."""
    given = basis.get_params(deep=False)
    factor = pool.factor(None, centers=True, weighs=False)
    loc = factor.center if isinstance(basis.loc, str) else np.asarray(basis.loc)
    columns = factor.R[:, 1:]
    columns = columns + factor.R[:, :1] * np.ldexp(
        factor.center - loc, -factor.exponents
    )
    scale = np.ldexp(np.linalg.norm(columns, axis=0), factor.exponents)
    learned = {"loc": loc, "scale": np.where(scale == 0.0, 1.0, scale)}
    learned = {k: v for k, v in learned.items() if isinstance(given[k], str)}
    basis.set_params(**learned).fit(pool.ends)
    basis.set_params(**given)


def _fit_orthonormal(
    basis: design.OrthonormalBasis, pool: Pool, rng: np.random.Generator
) -> None:
    check.parameters(basis)
    basis._check_tol()
    base = None if basis.base is None else clone(basis.base)
    basis.base_ = fit_features(base, pool, rng)
    factor = pool.factor(basis.base_, centers=False, weighs=False)
    n = pool.n_rows
    basis.change_ = change_by_factor(factor.R, factor.exponents, n, basis.tol)
    warn_of_dropped(basis.change_)


def _with_weight(rows: Rows) -> Rows:
    weights = check.part_weights(rows.weights, rows.X)
    assert weights is not None
    heavy = np.flatnonzero(weights)
    return Rows(check.some_rows(rows.X, heavy), None, weights[heavy])


def _numbers(X: Any) -> Any:
    """Check rows, and keep names that a transformer may choose by."""
    return as_named(X, check.fit_data(design.DesignLeastSquares(), X))


def _masses(rows: Rows, total: float) -> Array:
    weights = check.part_weights(rows.weights, rows.X)
    if weights is None:
        return np.full(len(rows.X), 1.0 / total)
    return weights / total


def _factor(
    rows: Rows, features: Any, centers: bool, total: float, weighs: bool
) -> Factor:
    masses = _masses(rows if weighs else Rows(rows.X), total)
    with _parallel.one_blas_thread:
        F = transform(features, _numbers(rows.X))
        return Factor.of(F, masses, centers=centers)


def _functions(X: Any, masses: Array, features: Any, space: Space) -> Array:
    """Evaluate orthonormal functions times roots of masses."""
    roots = np.sqrt(masses)[:, None]
    with _parallel.one_blas_thread:
        F = transform(features, _numbers(X))
        columns = (F - space.center)[:, space.varying]
        if space.change.n_features > len(space.varying):  # a constant joins them
            columns = np.hstack([np.ones_like(roots), columns])
        return space.change.evaluate(columns * roots)


def _leverage(
    rows: Rows, features: Any, space: Space, total: float
) -> tuple[list[Array], Array]:
    """Compute the leverage of each row, and the Gram matrix of the functions."""
    with _parallel.one_blas_thread:
        Q = _functions(rows.X, _masses(rows, total), features, space)
        return [np.einsum("ij,ij->i", Q, Q)], Q.T @ Q


def _joined(
    a: tuple[list[Array], Array], b: tuple[list[Array], Array]
) -> tuple[list[Array], Array]:
    return [*a[0], *b[0]], a[1] + b[1]


def _functions_at(
    rows: Rows, picks: tuple[Array, Array], features: Any, space: Space
) -> Array:
    own, masses = picks
    return _functions(check.some_rows(rows.X, own), masses, features, space)


def _rows_at(rows: Rows, picks: Array) -> Any:
    return _numbers(check.some_rows(rows.X, picks))
