"""Draws from rows in chunks, of which the client knows a number each.

Rows of orthonormal functions are fetched when a draw asks for them, and then kept.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.design.laws import UNBIASED, Law
from kernelkit.design.sources import (
    RowSource,
    max_proposals,
    proposals,
    propose_dpp,
)

_BATCHES = 9  # of proposals for a block: in 99 of 100 cases they are enough
_BLOCKS = 12  # to look ahead for while a design grows
_MANY_NUMBERS = 2**21  # no more than these are fetched on the off-chance
_MOST_NUMBERS = 2**24  # to fetch before it is known that they are needed


class ChunkSource(RowSource):
    """Rows that are not in memory.

    Parameters
    ----------
    rank : int
    masses, leverage : ndarray of shape (n_rows,)
    fetch : callable
        Takes row numbers in ascending order, returns rows of Q.
    """

    def __init__(
        self,
        rank: int,
        masses: Array,
        leverage: Array,
        fetch: Callable[[Array], Array],
    ) -> None:
        super().__init__(rank, masses, leverage)
        self._fetch = fetch
        self._known = np.empty(0, dtype=np.int64)
        self._rows = np.empty((0, rank))

    def take(self, points: Array) -> Array:
        """Return rows of Q, of shape (n, m); fetch those that are not known."""
        unknown = np.setdiff1d(points, self._known)
        if len(unknown):
            known = np.append(self._known, unknown)
            check.memory(
                8 * self.rank * len(known), "draw fewer rows, or use fewer features"
            )
            order = np.argsort(known)
            self._rows = np.concatenate([self._rows, self._fetch(unknown)])[order]
            self._known = known[order]
        return self._rows[np.searchsorted(self._known, points)]

    def dpp(self, rng: np.random.Generator) -> Array:
        """Draw m different rows S with probability det(Q_S)^2."""
        m = self.rank
        self._expect_blocks([rng])
        chosen = propose_dpp(self, rng, np.zeros((m, m)), max_proposals(m))
        if len(chosen) < m:
            raise ValueError(
                f"Only {len(chosen)} of {m} rows of a block were found by rejection, "
                "as some features nearly depend on others: raise rank_tol, or use "
                "sampling='iid'."
            )
        return chosen

    @property
    def pivots(self) -> Array:
        """The m rows that column-pivoted QR of Q' selects."""
        raise NotImplementedError("needs all rows at once")

    def run(self, tasks: Iterable[_parallel.Task]) -> list[Any]:
        """Draw blocks one after the other, whose proposals are fetched together."""
        tasks = list(tasks)
        self._expect_blocks([stream for _, (stream,) in tasks])
        return _parallel.in_order(tasks)

    def look_ahead(
        self,
        method: str,
        zeta: float,
        n_samples: int | str,
        grows: bool,
        n_designs: int,
        rng: np.random.Generator,
    ) -> None:
        """Fetch what a design is likely to ask for at once, not piece by piece.

        Which rows are proposed does not depend on which are accepted, so that draws of
        a copy of `rng` tell; no design depends on what is fetched when.

        Parameters
        ----------
        method, zeta
            Those of the `Law`.
        n_samples : int or "auto"
        grows : bool
            Whether m points are added until a design is stable.
        n_designs : int
            How many designs there may be otherwise, until one is stable.
        rng : Generator
        """
        n_rows = len(self.masses)
        if method in UNBIASED:  # how much of `rng` their block uses is not known
            if n_designs > 1 and n_rows * self.rank <= _MANY_NUMBERS:
                self.take(np.arange(n_rows))
            return
        ahead, rng = _Ahead(self), deepcopy(rng)
        law = Law(ahead, method, zeta, True, _parallel.in_order)
        if n_samples == "auto":
            n_samples = law.size("auto", True)
        n = min(int(n_samples), n_rows)
        for _ in range(1 if grows else n_designs):
            points = law.extend(None, n, rng)
            while grows and n < _BLOCKS * self.rank:
                n += self.rank
                points = law.extend(points, n, rng)
            ahead.points.append(points[:n].copy())  # of an order of all rows, maybe
            n_drawn = max(len(points), sum(map(len, ahead.points)))
            if n_drawn * self.rank > _MANY_NUMBERS:
                break
        self._expect(ahead.points)

    def _expect_blocks(self, streams: Iterable[np.random.Generator]) -> None:
        ahead = _Ahead(self)
        for stream in streams:
            ahead.dpp(deepcopy(stream))
        self._expect(ahead.points)

    def _expect(self, points: list[Array]) -> None:
        self.take(np.unique(np.concatenate(points)[: _MOST_NUMBERS // self.rank]))


class _Ahead(ChunkSource):
    """Tells what another source proposes, and accepts whatever it is.

    Attributes
    ----------
    points : list of ndarray
        Rows that were proposed for blocks.
    """

    def __init__(self, source: ChunkSource) -> None:
        vars(self).update(vars(source))  # without a copy of what is known of each row
        self.points: list[Array] = []

    def dpp(self, rng: np.random.Generator) -> Array:
        """Propose rows."""
        batches = [points for points, _ in islice(proposals(self, rng), _BATCHES)]
        points = np.concatenate(batches)
        self.points.append(points)
        return points[: self.rank]
