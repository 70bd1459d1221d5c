"""Where the points of a design come from.

A source knows a probability measure mu and m functions phi that are orthonormal for it,
and draws points. With k(x) = |phi(x)|^2, the inverse Christoffel function, optimal
draws have the density k/m with respect to mu.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.linalg import qr

from kernelkit._validation import Array
from kernelkit.design._jit_projection import LEAST_NEW, accept_rows, project_out
from kernelkit.design.orthonormal import OrthonormalPool

_LEAST = 1e-14  # a row with less leverage, density or probability has none
_PATIENCE = 50.0  # proposals, as a multiple of how many it takes on average


class Source(Protocol):
    """What draws points; an array of them has one per entry or row.

    Attributes
    ----------
    rank : int
        Number of functions, m.
    """

    rank: int

    def christoffel(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points with density k/m."""

    def measure(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points with the second density h of a mixture."""

    def dpp(self, rng: np.random.Generator) -> Array:
        """Draw m points of the projection process, in exchangeable order."""

    def rows(self, points: Array) -> tuple[Array, Array]:
        """Evaluate phi / |phi|, of shape (n, m), and k, of shape (n,)."""

    def log_rows(self, points: Array) -> tuple[Array, Array]:
        """Evaluate phi / |phi| and log k, which does not overflow."""

    def density(self, points: Array) -> Array:
        """Evaluate h, of shape (n,)."""


def propose_dpp(
    source: Source, rng: np.random.Generator, basis: Array, most: float
) -> Array:
    """Draw points of the projection process from optimal proposals with rejection.

    All m take ``m (1 + 1/2 + ... + 1/m)`` proposals on average, whatever the size of
    the domain.

    Parameters
    ----------
    source : Source
    rng : Generator
    basis : ndarray of shape (m, m)
        Written: its first rows span those of the points.
    most : float
        No further proposals are made after this many.

    Returns
    -------
    points : ndarray of shape (at most m, ...)
    """
    parts: list[Array] = []
    n_chosen = n_proposed = 0
    for points, uniforms in proposals(source, rng):
        rows, _ = source.rows(points)
        accepted = accept_rows(rows, uniforms, basis, n_chosen)
        parts.append(points[accepted])
        n_chosen += len(accepted)
        n_proposed += len(points)
        if n_chosen == source.rank or n_proposed >= most:
            break
    return np.concatenate(parts)


def proposals(
    source: Source, rng: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """Draw batches of optimal points without an end, with a uniform number for each."""
    m = source.rank
    batch = int(m * (np.log(m) + 1.0)) + 1
    while True:
        yield source.christoffel(batch, rng), rng.random(batch)
        batch = m // 2 + 1


def max_proposals(m: int) -> float:
    """Tell after how many proposals for m points something must be wrong."""
    return _PATIENCE * m * (1.0 / np.arange(1, m + 1)).sum()


def chain_dpp(
    Q: Array, leverage: Array, chosen: Array, basis: Array, rng: np.random.Generator
) -> Array:
    """Extend a choice of rows to m rows of the projection process by the chain rule.

    Each row is drawn in proportion to the squared norm of what the rows before it do
    not span, in O(N m) steps.

    Parameters
    ----------
    Q : ndarray of shape (N, m)
    leverage : ndarray of shape (N,)
        Squared norms of the rows of Q, zero where a row may not be drawn.
    chosen : ndarray of shape (n_chosen,)
        Rows chosen before.
    basis : ndarray of shape (m, m)
        Orthonormal in the first n_chosen rows, which span the chosen ones. Written.
    rng : Generator

    Returns
    -------
    chosen : ndarray of shape (m,)
    """
    m = Q.shape[1]
    n_chosen = len(chosen)
    columns = basis.T.copy()
    least = LEAST_NEW * leverage
    residual = leverage - np.square(Q @ basis[:n_chosen].T).sum(axis=1)
    chosen = np.append(chosen, np.empty(m - n_chosen, chosen.dtype))
    for t, uniform in enumerate(rng.random(m - n_chosen), start=n_chosen):
        residual[residual <= least] = 0.0
        chosen[t] = invert(np.cumsum(residual), uniform)
        project_out(Q[chosen[t]], basis, columns, t)
        residual -= np.square(Q @ basis[t])
    return chosen


class RowSource(ABC):
    """Rows with masses, and features that are orthonormal on them, wherever they are.

    A point is the index of a row.

    Parameters
    ----------
    rank : int
        Number of features.
    masses : ndarray of shape (n_rows,)
        With sum 1.
    leverage : ndarray of shape (n_rows,)
        Squared norms of the rows of Q, which holds features times roots of masses.
    density : ndarray of shape (n_rows,), optional
        Density h with respect to the masses, any scale; None for 1.
    """

    def __init__(
        self, rank: int, masses: Array, leverage: Array, density: Array | None = None
    ) -> None:
        self.rank = rank
        self.masses = masses
        self.leverage = _drop_least(leverage)
        if density is None:
            self._density = np.broadcast_to(1.0, masses.shape)
        else:
            self._density = _drop_least(density / (density @ masses))
        self._cumulated_leverage = np.cumsum(self.leverage)

    @abstractmethod
    def take(self, points: Array) -> Array:
        """Return rows of Q, of shape (n, m)."""

    @abstractmethod
    def dpp(self, rng: np.random.Generator) -> Array:
        """Draw m different rows S with probability det(Q_S)^2."""

    @property
    @abstractmethod
    def pivots(self) -> Array:
        """The m rows that column-pivoted QR of Q' selects."""

    def christoffel(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent rows in proportion to their leverage."""
        return invert(self._cumulated_leverage, rng.random(n))

    def measure(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent rows in proportion to their mass times h."""
        return invert(self._cumulated_density, rng.random(n))

    def rows(self, points: Array) -> tuple[Array, Array]:
        """Evaluate phi / |phi|, zero where the leverage is, and k, maybe infinite."""
        leverage, masses = self.leverage[points], self.masses[points]
        norms = np.sqrt(np.where(leverage > 0.0, leverage, np.inf))
        with np.errstate(over="ignore"):  # of masses near the least number
            return self.take(points) / norms[:, None], leverage / masses

    def log_rows(self, points: Array) -> tuple[Array, Array]:
        """Evaluate phi / |phi| and log k, which does not overflow."""
        directions, _ = self.rows(points)
        with np.errstate(divide="ignore"):
            log_leverage = np.log(self.leverage[points])
        return directions, log_leverage - np.log(self.masses[points])

    def density(self, points: Array) -> Array:
        """Evaluate h."""
        return self._density[points]

    def probabilities(self, zeta: float) -> Array:
        """Chances of the rows in a draw that has the density h with chance zeta."""
        optimal = self.leverage / self.leverage.sum()
        other = self._density * self.masses
        return _drop_least((1.0 - zeta) * optimal + zeta / other.sum() * other)

    def others(self, points: Array, rng: np.random.Generator) -> Array:
        """Put the rows with mass other than the given ones in random order."""
        return rng.permutation(np.setdiff1d(self.support, points))

    @cached_property
    def support(self) -> Array:
        """Rows with mass."""
        return np.flatnonzero(self.masses)

    @cached_property
    def _cumulated_density(self) -> Array:
        return np.cumsum(self._density * self.masses)


class PoolSource(RowSource):
    """A pool of rows in memory.

    Parameters
    ----------
    pool : OrthonormalPool
    density : ndarray of shape (n_rows,), optional
        Density h with respect to the masses, any scale; None for 1.
    """

    def __init__(self, pool: OrthonormalPool, density: Array | None = None) -> None:
        self.pool = pool
        self.Q = np.ascontiguousarray(pool.Q)
        # Squares of the very rows, in case that the columns are not quite normalized.
        leverage = np.einsum("ij,ij->i", self.Q, self.Q)
        super().__init__(pool.rank, pool.masses, leverage, density)
        self._max_proposals = max_proposals(self.rank)

    def take(self, points: Array) -> Array:
        """Return rows of Q, of shape (n, m)."""
        return self.Q[points]

    def dpp(self, rng: np.random.Generator) -> Array:
        """Draw m different rows S with probability det(Q_S)^2."""
        basis = np.zeros((self.rank, self.rank))
        chosen = propose_dpp(self, rng, basis, self._max_proposals)
        if len(chosen) < self.rank:
            chosen = chain_dpp(self.Q, self.leverage, chosen, basis, rng)
        return chosen

    @cached_property
    def pivots(self) -> Array:
        """The m rows that column-pivoted QR of Q' selects."""
        _, order = qr(self.Q.T, mode="r", pivoting=True, check_finite=False)
        return order[: self.rank].astype(np.int64)


def _drop_least(numbers: Array) -> Array:
    return np.where(numbers < _LEAST, 0.0, numbers)


def invert(cumulated: Array, uniforms: Array | float) -> Array:
    """Find where a cumulated sum passes shares of its last entry."""
    last = np.searchsorted(cumulated, cumulated[-1])
    places = np.searchsorted(cumulated, uniforms * cumulated[-1], side="right")
    return np.minimum(places, last)
