"""Sums of product kernels over rows that lie apart from the queries in some features.

Where all rows lie on one side of all queries, a sum of decaying exponentials factors:
with an edge c of the queries' box between q and x,

    exp(-|q - x|) = exp(-|q - c|) exp(-|c - x|).

A polynomial of |q - x| before it is one of products of such factors, by the binomial
formula. So these rows enter by a few sums at a corner of their box, which are moved to
that of the queries, where those of all such boxes become one. Every factor is at most a
power of the distance times its decay: nothing overflows, and what underflows is nothing
beside a sum that does not.

A basis of a feature lists exponentials with powers, phi_r(v) = v^p_r exp(-a_r v). At a
sum of distances it is phi(u + v) = M(v) phi(u).
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kernelkit._validation import Array
from kernelkit.density.kernels1d import Compact, Function1D, Gaussian
from kernelkit.distributed.boxes import Boxes

OPEN = -1  # a feature in which rows and queries do not lie apart
_GONE = 750.0  # exp(-750) is 0
_ENDED = 1e6
_MOST_NUMBERS = 4096  # at the corners of a box
_NUMBERS = 2**17  # of a block of rows


class _Tail(NamedTuple):
    """A function at distances v >= start: a polynomial times exp(-rate v)."""

    start: float
    rate: float
    coef: Array  # (2, degree + 1) for u >= 0 and for u < 0


@dataclass(frozen=True)
class Basis:
    """Exponentials in which some functions of one feature are written far out.

    Attributes
    ----------
    start : float
        Distance, in widths, from which on the functions are of this form.
    rates, powers : ndarray of shape (n_terms,)
        Of the exponentials.
    coef : ndarray of shape (n_functions, 2, n_terms)
        For u >= 0 and for u < 0.
    """

    start: float
    rates: Array
    powers: Array
    coef: Array

    @classmethod
    def of(cls, functions: Sequence[Function1D], *, factored: bool) -> "Basis":
        """Write functions so; if not `factored`, only where they are constant."""
        tails = [_tail(function, factored=factored) for function in functions]
        sizes: dict[float, int] = {}
        for tail in tails:
            n = max(tail.coef.shape[1], sizes.get(tail.rate, 0))
            sizes[tail.rate] = n
        terms = [(rate, power) for rate, n in sizes.items() for power in range(n)]
        coef = np.zeros((len(tails), 2, len(terms)))
        for row, tail in zip(coef, tails, strict=True):
            first = terms.index((tail.rate, 0))
            row[:, first : first + tail.coef.shape[1]] = tail.coef
        rates, powers = zip(*terms, strict=True)
        start = max(tail.start for tail in tails)
        return cls(start, np.array(rates), np.array(powers), coef)

    def at(self, v: Array) -> Array:
        """Evaluate the exponentials at distances, (n, n_terms)."""
        v = v[:, None]
        values: Array = v**self.powers * np.exp(-self.rates * v)
        return values

    def moves(self, v: Array) -> Array:
        """Make the matrices M of distances, (n, n_terms, n_terms)."""
        M = np.zeros((len(v), len(self.rates), len(self.rates)))
        for i, j, values in self._entries(v):
            M[:, i, j] = values
        return M

    def factors(self, f: int, side: int, v: Array) -> Array:
        """Write function f at u + v by the exponentials at u, (n_terms, n)."""
        factors = np.zeros((len(self.rates), len(v)))
        for i, j, values in self._entries(v):
            factors[j] += self.coef[f, side, i] * values
        return factors

    def _entries(self, v: Array) -> Iterator[tuple[int, int, Array]]:
        """List the entries (i, j) of M that are not 0."""
        terms = list(enumerate(zip(self.rates.tolist(), self.powers, strict=True)))
        for (i, (rate, p)), (j, (other, q)) in itertools.product(terms, repeat=2):
            if rate == other and p >= q:
                yield i, j, math.comb(p, q) * v ** (p - q) * np.exp(-rate * v)

    def ends(self, v: Array) -> Array:
        """Tell which functions are 0 from distances v on, (2, n_functions, *v.shape).

        First for u >= 0.
        """
        alive = self.coef.transpose(1, 0, 2) != 0.0
        shape = (*alive.shape, *(1,) * v.ndim)
        counts = alive.reshape(shape) & (
            self.rates.reshape(-1, *(1,) * v.ndim) * v <= _GONE
        )
        return ~counts.any(axis=2)


def _tail(function: Function1D, *, factored: bool) -> _Tail:
    if isinstance(function, Compact):
        return _Tail(float(function.breaks[-1]), 0.0, function.tail[:, None])
    nothing = np.zeros((2, 1))
    if isinstance(function, Gaussian):
        end = math.sqrt(2.0 * _GONE) * function.scale
        return _Tail(math.inf if function.power < 0 else end, 0.0, nothing)
    coef = function.coef[:, :, 0]
    is_step = function.rate == 0.0
    if is_step or (factored and function.frequency == 0.0):
        return _Tail(0.0, function.rate, coef)
    return _Tail(_GONE / function.rate, 0.0, nothing)


@dataclass(frozen=True)
class Pairs:
    """How parts of the rows lie to parts of the queries.

    Attributes
    ----------
    sides : ndarray of shape (n_query_parts, n_parts, n_features), int8
        0 where all rows lie below all queries, so that u >= 0, and far enough; 1 where
        they lie above; `OPEN` elsewhere.
    reached : ndarray of shape (n_query_parts, n_parts), bool
        The rows may add something.
    """

    sides: Array
    reached: Array

    @property
    def factored(self) -> Array:
        """Pairs, (n_query_parts, n_parts), of which the corners of boxes tell all."""
        settled: Array = np.asarray((self.sides != OPEN).all(axis=2))
        return self.reached & settled

    @property
    def n_open(self) -> Array:
        """Count the features in which pairs are to be compared."""
        counts: Array = (self.sides == OPEN).sum(axis=2)
        return np.where(self.reached, counts, 0)


@dataclass(frozen=True)
class Separation:
    """Product kernels far out.

    Attributes
    ----------
    bases : sequence of Basis
        Of each feature, with a function for each product.
    bandwidth : ndarray of shape (n_features,)
    """

    bases: Sequence[Basis]
    bandwidth: Array

    @classmethod
    def of(
        cls, products: Sequence[Sequence[Function1D]], bandwidth: Array, n_channels: int
    ) -> "Separation":
        """Look at some products of functions, which weigh rows by some channels."""
        columns = list(zip(*products, strict=True))
        bases = [Basis.of(column, factored=True) for column in columns]
        n_numbers = n_channels * math.prod(2 * len(basis.rates) for basis in bases)
        if n_numbers > _MOST_NUMBERS:
            bases = [Basis.of(column, factored=False) for column in columns]
        return cls(bases, bandwidth)

    def pairs(self, data: Boxes, queries: Boxes, *, own: bool) -> Pairs:
        """Compare boxes; those of the same part are open if the queries are `own`."""
        order = data.sides(queries)
        below = queries.low[:, None] - data.high
        gaps = np.where(order < 0, below, data.low - queries.high[:, None])
        gaps = _widths(np.maximum(gaps, 0.0), self.bandwidth)
        starts = np.array([basis.start for basis in self.bases])
        settled = (order != 0) & (gaps >= starts)
        if own:
            settled[np.diag_indices(len(queries))] = False
        lost = np.zeros((len(self.bases[0].coef), *settled.shape[:2]), dtype=bool)
        for k, basis in enumerate(self.bases):
            ends = basis.ends(gaps[:, :, k])
            ended = np.where(order[:, :, k] < 0, ends[0], ends[1])
            lost |= settled[:, :, k] & ended
        sides = np.where(settled, order > 0, OPEN).astype(np.int8)
        return Pairs(sides, np.logical_not(lost.all(axis=0)))

    def corners(self, X: Array, channels: Array, low: Array, high: Array) -> Array:
        """Sum at all corners of the box of some rows.

        Returns
        -------
        sums : ndarray of shape (2, ..., 2, n_channels, n_terms, ..., n_terms)
            An axis for the side of each feature, and for the basis of each.
        """
        sizes = [len(basis.rates) for basis in self.bases]
        ends = np.array(list(itertools.product((0, 1), repeat=len(sizes))))
        sums = np.zeros((len(ends), len(channels), *sizes))
        length = max(_NUMBERS // sums[0].size, 1)
        for start in range(0, len(X), length):
            rows = slice(start, start + length)
            for corner, is_low in zip(sums, ends, strict=True):
                products = channels[:, rows]
                for values in self._values(X[rows], np.where(is_low, low, high)):
                    products = products[..., None, :] * values
                corner += products.sum(axis=-1)
        return sums.reshape((2,) * len(sizes) + sums.shape[1:])

    def at(
        self,
        X: Array,
        corners: Array,
        boxes: Boxes,
        sides: Array,
        n_channels: Sequence[int],
    ) -> Array:
        """Sum over parts that lie apart from some queries in all features.

        Parameters
        ----------
        X : ndarray of shape (n_queries, n_features)
            Queries.
        corners : ndarray of shape (n_parts, 2, ...)
            Sums at the corners of the parts.
        boxes : Boxes
            Around the parts.
        sides : ndarray of shape (n_parts, n_features)
        n_channels : sequence of int
            Of each product.

        Returns
        -------
        sums : ndarray of shape (sum of n_channels, n_queries)
        """
        sums = np.zeros((sum(n_channels), len(X)))
        for orthant in np.unique(sides, axis=0):
            chosen = (sides == orthant).all(axis=1)
            settled = dict(enumerate(orthant.tolist()))
            near = self.near(X, settled)
            gaps = np.where(orthant == 0, near - boxes.high, boxes.low - near)[chosen]
            B = corners[chosen][(slice(None), *orthant)]
            for k in reversed(settled):
                M = self.bases[k].moves(_widths(gaps[:, k], self.bandwidth[k]))
                M = M.reshape(len(M), *(1,) * (B.ndim - 2), *M.shape[1:])
                B = np.moveaxis((M * B[..., None, :]).sum(axis=-1), -1, 2)
            B = B.sum(axis=0).reshape(B.shape[1], -1, 1)
            terms = self.terms(settled)
            sums += self.spread([B[:n] for n in n_channels], X, settled, terms)
        return sums

    def near(self, X: Array, settled: dict[int, int]) -> Array:
        """Return where the queries' box is nearest to rows, by their sides."""
        low, high = X.min(axis=0), X.max(axis=0)
        is_above = np.array([settled.get(k, 0) for k in range(X.shape[1])])
        return np.where(is_above, high, low)

    def terms(self, settled: dict[int, int]) -> list[tuple[int, ...]]:
        """List the products of an exponential of each settled feature."""
        return list(
            itertools.product(*(range(len(self.bases[k].rates)) for k in settled))
        )

    def weigh(
        self,
        X: Array,
        channels: Array,
        near: Array,
        settled: dict[int, int],
        terms: Sequence[tuple[int, ...]],
    ) -> Array:
        """Multiply channels by some products, (n_channels, n_terms, n)."""
        weighed = np.repeat(channels[:, None], len(terms), axis=1)
        if settled:
            values = self._values(X, near, settled)
            for t, term in enumerate(terms):
                for part, s in zip(values, term, strict=True):
                    weighed[:, t] *= part[s]
        return weighed

    def spread(
        self,
        sums: Sequence[Array],
        X: Array,
        settled: dict[int, int],
        terms: Sequence[tuple[int, ...]],
    ) -> Array:
        """Finish sums for some products of exponentials, at queries.

        Parameters
        ----------
        sums : sequence of ndarray of shape (n_channels, n_terms, n_queries or 1)
            For each product of functions.
        X : ndarray of shape (n_queries, n_features)
        settled : dict
        terms : sequence of tuple

        Returns
        -------
        totals : ndarray of shape (sum of n_channels, n_queries)
        """
        near = self.near(X, settled)
        totals = []
        for f, part in enumerate(sums):
            factors = [
                self.bases[k].factors(
                    f, side, _widths(X[:, k] - near[k], self.bandwidth[k])
                )
                for k, side in settled.items()
            ]
            total = np.zeros((len(part), len(X)))
            for t, term in enumerate(terms):
                at_queries = part[:, t]
                for factor, s in zip(factors, term, strict=True):
                    at_queries = at_queries * factor[s]
                total += at_queries
            totals.append(total)
        return np.concatenate(totals)

    def _values(
        self, X: Array, end: Array, features: Iterable[int] | None = None
    ) -> list[Array]:
        """Evaluate the exponentials of features from an end, each (n_terms, n)."""
        return [
            self.bases[k].at(_widths(X[:, k] - end[k], self.bandwidth[k])).T
            for k in (range(len(self.bases)) if features is None else features)
        ]


def _widths(steps: Array, bandwidth: Array | float) -> Array:
    """Return sizes in widths, up to where all that decays has ended."""
    with np.errstate(over="ignore"):
        return np.minimum(np.abs(steps) / bandwidth, _ENDED)
