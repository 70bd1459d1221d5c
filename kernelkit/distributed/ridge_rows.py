"""Rows of a ridge regression in chunks, and what must be known of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone

from kernelkit import _parallel, nystroem
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.distributed.chunks import Chunks, Rows
from kernelkit.linalg import PairKernel
from kernelkit.nystroem.dictionary import Draws
from kernelkit.nystroem.problem import kernel_of
from kernelkit.nystroem.statistics import sum_of_sizes
from kernelkit.nystroem.steps import power_above


@dataclass(frozen=True)
class Facts:
    """What a pass over the rows tells before any are chosen or summed.

    Attributes
    ----------
    head : array, frame or csr matrix
        The first row.
    dtype : dtype
        Of kernel values.
    shape : tuple of int
        Of the targets of a row.
    counts : dict of tuple
        For the number of each chunk, its rows and its rows with weight.
    weight, heaviest : float
        The sum of the weights and the largest.
    size : float
        The sum of all k(x, x) times their weights.
    largest : ndarray of shape (n_outputs,)
        Size of targets.
    targets : ndarray of shape (n_outputs,)
        Their weighted sums in `unit`.
    """

    head: Any
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    counts: dict[int, tuple[int, int]]
    weight: float
    heaviest: float
    size: float
    largest: Array
    targets: Array

    @property
    def unit(self) -> Array:
        """The power of 2 above the targets."""
        return power_above(self.largest[None])

    @classmethod
    def of(cls, rows: Rows, k: int, model: nystroem.NystroemRidge) -> "Facts":
        """Look at chunk number k."""
        model = clone(model)
        X = check.kernel_rows(
            model, rows.X, reset=True, kernel=model.kernel, dtype=model.dtype
        )
        y = targets(rows)
        weights = check.part_weights(rows.weights, X)
        shape, y = y.shape[1:], y.reshape(len(y), -1)
        size = sum_of_sizes(kernel_of(model, X.shape[1]), X, weights)
        if weights is None:
            weights = np.ones(len(y))
        return cls(
            head=check.some_rows(rows.X, np.arange(1)),
            dtype=X.dtype,
            shape=shape,
            counts={k: (len(y), int(np.count_nonzero(weights)))},
            weight=float(weights.sum()),
            heaviest=float(weights.max()),
            size=size,
            largest=np.abs(y).max(axis=0),
            targets=weights @ (y / power_above(y)),
        )

    def add(self, other: "Facts") -> "Facts":
        """Join the rows of later chunks."""
        if self.shape != other.shape:
            raise ValueError(
                f"Some chunks of y have rows of shape {self.shape}, and others of "
                f"shape {other.shape}: outputs must be the same in all."
            )
        facts = replace(
            self,
            dtype=np.result_type(self.dtype, other.dtype),
            counts=self.counts | other.counts,
            weight=self.weight + other.weight,
            heaviest=max(self.heaviest, other.heaviest),
            size=self.size + other.size,
            largest=np.maximum(self.largest, other.largest),
        )
        targets = self._targets_in(facts.unit) + other._targets_in(facts.unit)
        return replace(facts, targets=targets)

    def _targets_in(self, unit: Array) -> Array:
        """Change the unit by a power of 2 that may itself overflow."""
        return np.ldexp(self.targets, np.frexp(self.unit)[1] - np.frexp(unit)[1])


@dataclass(frozen=True)
class Own:
    """What is different for each chunk.

    Attributes
    ----------
    first : int
        The number of its first row.
    picks : ndarray or None
        Which of its rows to take, numbers from 0; None for all.
    seed : SeedSequence or None
        Of what is drawn for its rows.
    """

    first: int
    picks: Array | None = None
    seed: np.random.SeedSequence | None = None


@dataclass(frozen=True)
class Source:
    """Chunks that are known, for further passes over them.

    Attributes
    ----------
    rows : Chunks
    lengths, counts : ndarray of shape (n_chunks,)
        The numbers of rows, and of rows with weight.
    model : NystroemRidge
        With names of features and a precision, to check rows and to make the kernel.
    """

    rows: Chunks
    lengths: Array
    counts: Array
    model: nystroem.NystroemRidge

    @classmethod
    def of(cls, rows: Chunks, facts: Facts, model: nystroem.NystroemRidge) -> "Source":
        """Keep what `facts` tell, also of chunks without rows."""
        sizes = np.zeros((2, len(rows)), dtype=np.int64)
        sizes[:, [*facts.counts]] = np.transpose([*facts.counts.values()])
        lengths, counts = sizes
        return cls(Chunks(rows.blocks, tuple(lengths.tolist())), lengths, counts, model)

    @property
    def n_rows(self) -> int:
        """Number of rows with weight."""
        return int(self.counts.sum())

    def of_each(
        self,
        numbers: Array | None = None,
        per_chunk: Array | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[Own]:
        """Tell each chunk which of its rows to take, and what to draw.

        Parameters
        ----------
        numbers : ndarray or None
            Rows to take, in ascending order.
        per_chunk : ndarray of shape (n_chunks,) or None
            How many numbers belong to each chunk: its `lengths`, or its `counts` for
            numbers among the rows with weight.
        rng : Generator or None
            Source of seeds.
        """
        n = len(self.rows)
        firsts = np.cumsum(self.lengths) - self.lengths
        picks: Sequence[Array | None] = [None] * n
        if numbers is not None:
            assert per_chunk is not None
            ends = np.cumsum(per_chunk)
            parts = np.split(numbers, np.searchsorted(numbers, ends[:-1]))
            starts = ends - per_chunk
            picks = [part - start for part, start in zip(parts, starts, strict=True)]
        seeds: Sequence[np.random.SeedSequence | None] = [None] * n
        if rng is not None:
            seeds = np.random.SeedSequence(int(rng.integers(2**63))).spawn(n)
        own = zip(firsts.tolist(), picks, seeds, strict=True)
        return [Own(*values) for values in own]

    def reduce(
        self,
        step: str,
        function: Callable[..., Any],
        *arguments: Any,
        each: list[Own],
        add: Callable[[Any, Any], Any],
    ) -> Any:
        """Add what ``function(rows, own, model, *arguments)`` says of each chunk."""
        return reduce(
            self.rows, step, function, self.model, *arguments, each=each, add=add
        )


def reduce(
    rows: Chunks, step: str, function: Callable[..., Any], *arguments: Any, **how: Any
) -> Any:
    """Do as `Chunks.reduce`, in a step that tells whose it is."""
    function = partial(_alone, function)
    return rows.reduce(f"NystroemRidge-{step}", function, *arguments, **how)


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Start no threads, on whose number the last bits of sums depend."""
    with _parallel.one_blas_thread:
        return function(*arguments)


def checked(rows: Rows, model: nystroem.NystroemRidge) -> tuple[Any, Array | None]:
    """Check rows of a chunk and their weights."""
    X = check.kernel_rows(
        model, rows.X, reset=False, kernel=model.kernel, dtype=model.dtype
    )
    return X, check.part_weights(rows.weights, X)


def targets(rows: Rows) -> Array:
    """Check targets of a chunk, an array of shape (n_rows,) or (n_rows, n_outputs)."""
    return check.targets(nystroem.NystroemRidge(), rows.y)


def kernel_for(model: nystroem.NystroemRidge) -> PairKernel:
    """Make the kernel of a model that knows its features."""
    return kernel_of(model, model.n_features_in_)


def numbered(rows: Rows, own: Own, model: nystroem.NystroemRidge) -> Draws:
    """Take the picked rows of a chunk."""
    X, weights = checked(rows, model)
    return _draws(X, weights, np.arange(X.shape[0])[own.picks], own)


def weighted(rows: Rows, own: Own, model: nystroem.NystroemRidge) -> Draws:
    """Take the rows of a chunk that have weight, or the picked ones among them."""
    X, weights = checked(rows, model)
    kept = np.arange(X.shape[0]) if weights is None else np.flatnonzero(weights)
    return _draws(X, weights, kept if own.picks is None else kept[own.picks], own)


def _draws(X: Any, weights: Array | None, kept: Array, own: Own) -> Draws:
    ones = np.ones(len(kept))
    weights = ones if weights is None else weights[kept]
    return Draws(X[kept], own.first + kept, weights, ones, ones)
