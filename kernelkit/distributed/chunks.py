"""Dask collections as chunks of rows: one task each, results added in a fixed tree.

Nothing here computes rows on the client. What comes back from a chunk carries the
number of the chunk and of its rows, so that a lost or doubled one would be noticed.
"""

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array
import numpy as np
from dask.base import compute as run_tasks
from dask.base import is_dask_collection
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph

from kernelkit import _parallel
from kernelkit._validation import Array

_FAN_IN = 8  # results that a task adds


class Rows(NamedTuple):
    """Rows of a chunk, an array or a frame, and what belongs to each."""

    X: Any
    y: Any = None
    weights: Any = None


@dataclass(frozen=True)
class Piece:
    """What a task made of some chunks: `value` is None if they have no row."""

    chunks: tuple[int, ...]
    n_rows: int
    value: Any


@dataclass(frozen=True)
class Chunks:
    """Chunks of rows that are not computed yet.

    Attributes
    ----------
    blocks : list of Delayed
        Each makes a `Rows`.
    lengths : tuple of int, or None
        Rows of each chunk, if they are known.
    """

    blocks: list[Delayed]
    lengths: tuple[int, ...] | None

    def __len__(self) -> int:
        return len(self.blocks)

    def map(
        self,
        step: str,
        function: Callable[..., Any],
        *arguments: Any,
        each: Sequence[Any] | None = None,
    ) -> list[Delayed]:
        """Call ``function(rows, *arguments)`` in a task for each chunk that has rows.

        Parameters
        ----------
        step : str
            What the tasks do, in words joined by hyphens: errors and the dashboard show
            it.
        function : callable
            Of a module or a class, so that workers can find it.
        *arguments : object
            Sent once; a Delayed stands for its result.
        each : sequence or None, default=None
            One argument more for each chunk, which follows its rows.

        Returns
        -------
        pieces : list of Delayed
            Each makes a `Piece`.
        """
        shared = [argument_once(argument, step) for argument in arguments]
        own = [()] * len(self) if each is None else [(value,) for value in each]
        return [
            task(step, _of_chunk, k, function, block, *own[k], *shared)
            for k, block in enumerate(self.blocks)
        ]

    def apply(
        self, step: str, function: Callable[..., Rows], *arguments: Any
    ) -> "Chunks":
        """Plan chunks whose rows are ``function(rows, *arguments)``; none stay none."""
        shared = [argument_once(argument, step) for argument in arguments]
        blocks = [
            task(step, _apply, k, function, block, *shared)
            for k, block in enumerate(self.blocks)
        ]
        return Chunks(blocks, self.lengths)

    def reduce(
        self,
        step: str,
        function: Callable[..., Any],
        *arguments: Any,
        each: Sequence[Any] | None = None,
        add: Callable[[Any, Any], Any],
    ) -> Any:
        """Compute `map` and add the values, always in the same order."""
        pieces = self.map(step, function, *arguments, each=each)
        return self.complete(*compute(tree(pieces, add, step)))

    def gather(
        self,
        step: str,
        function: Callable[..., Any],
        *arguments: Any,
        each: Sequence[Any] | None = None,
    ) -> list[Any]:
        """Compute `map` and return the values; None for chunks without rows."""
        pieces = compute(*self.map(step, function, *arguments, each=each))
        numbers = tuple(k for piece in pieces for k in piece.chunks)
        values = [piece.value for piece in pieces]
        self.complete(Piece(numbers, sum(piece.n_rows for piece in pieces), values))
        return values

    def complete(self, piece: Piece) -> Any:
        """Return the value of a piece that every chunk entered once."""
        return whole(piece, len(self), self.lengths)


def is_collection(X: Any) -> bool:
    """Tell Dask arrays and frames from what is in memory.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if not is_dask_collection(X):
        return False
    is_array_or_frame = hasattr(X, "npartitions") and hasattr(X, "ndim")
    if isinstance(X, Delayed) or not is_array_or_frame:
        raise TypeError(
            f"Expected a Dask array or frame, or rows in memory, got "
            f"{type(X).__name__}: see dask.array.from_delayed and "
            "dask.dataframe.from_delayed."
        )
    return True


def rows_of(X: Any, y: Any = None, sample_weight: Any = None) -> Chunks:
    """Split collections along their rows, each chunk with all columns.

    Parameters
    ----------
    X : dask array of shape (n_samples, n_features), or dask frame
    y, sample_weight : dask array, series, frame, or array-like of n_samples rows
        In the chunks of X; arrays are cut to these where sizes are known.

    Raises
    ------
    ValueError
        If the numbers of rows or of chunks differ.
    """
    lengths = _lengths(X)
    if hasattr(X, "chunks"):
        X = X.rechunk({1: -1})
    columns = [_blocks(part, X, lengths) for part in (X, y, sample_weight)]
    blocks = [task("rows", Rows, *parts) for parts in zip(*columns, strict=True)]
    return Chunks(blocks, lengths)


def task(step: str, function: Callable[..., Any], *arguments: Any) -> Delayed:
    """Plan a call whose name says what it does."""
    key = f"{step}-{uuid.uuid4().hex}"
    return delayed(function, pure=False)(*arguments, dask_key_name=key)


def argument_once(value: Any, step: str) -> Any:
    """Make one key of an argument that many tasks take."""
    if isinstance(value, Delayed) or np.isscalar(value) or value is None:
        return value
    return delayed(value, name=f"{step}-argument-{uuid.uuid4().hex}", traverse=False)


def flat(tasks: Sequence[Delayed]) -> list[Delayed]:
    """Put tasks into one graph of one layer.

    Planning takes time for each layer below a task, and delayed calls make one each.
    """
    if not tasks:
        return []
    name = f"tasks-{uuid.uuid4().hex}"
    graph = _one_layer(name, *(each.__dask_graph__() for each in tasks))
    return [Delayed(each.key, graph, layer=name) for each in tasks]


def compute(*tasks: Delayed) -> tuple[Any, ...]:
    """Run tasks where Dask is set to: on a client's cluster, or in this process.

    Raises
    ------
    RuntimeError
        If the cluster's scheduler is lost, or the work is cancelled otherwise.
    """
    try:
        return run_tasks(*flat(tasks), traverse=False)
    except CancelledError as error:
        raise RuntimeError(
            f"The cluster gave no result ({error}). If its scheduler or the connection "
            "to it is lost, start another Client and repeat the call."
        ) from error


def tree(
    pieces: Sequence[Delayed], add: Callable[[Any, Any], Any], step: str
) -> Delayed:
    """Add pieces by a tree that depends on their number alone."""
    pieces = list(pieces)
    while True:
        pieces = [
            task(f"{step}-sum", _add_pieces, add, *pieces[k : k + _FAN_IN])
            for k in range(0, len(pieces), _FAN_IN)
        ]
        if len(pieces) == 1:
            return pieces[0]


def whole(piece: Piece, n_chunks: int, lengths: tuple[int, ...] | None = None) -> Any:
    """Return the value of a piece that every chunk entered once.

    Raises
    ------
    RuntimeError
        If a chunk is missing, was added twice, or had another number of rows.
    ValueError
        If no chunk has a row.
    """
    if sorted(piece.chunks) != list(range(n_chunks)) or (
        lengths is not None and piece.n_rows != sum(lengths)
    ):
        raise RuntimeError(
            f"Of {n_chunks} chunks, {len(piece.chunks)} with {piece.n_rows} rows were "
            "added: some were lost, doubled or changed while they were computed. Make "
            "sure that computing X twice gives the same rows."
        )
    if piece.n_rows == 0:
        raise ValueError(f"Found {n_chunks} chunks without a row: there is none in X.")
    return piece.value


def refuse_other_length(n: int, n_rows: int) -> None:
    """Raise ValueError if there are not as many entries as rows."""
    if n != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{n_rows} rows, and y or sample_weight has {n}."
        )


def on_chunks(
    step: str,
    function: Callable[..., Any],
    X: Any,
    *arguments: Any,
    shape: tuple[int, ...] = (),
    dtype: Any = np.float64,
) -> Any:
    """Plan ``function(rows, *arguments)`` for each chunk of X, as a Dask array.

    Parameters
    ----------
    step : str
        What the tasks do.
    function : callable
        Takes the rows of a chunk, an array or a frame, and returns an array of as many.
    X : dask array or frame
    *arguments : object
        Sent once.
    shape : tuple of int
        Of a result, without its rows.
    dtype : dtype
        Of the results.
    """
    chunks = rows_of(X)
    shared = [argument_once(argument, step) for argument in arguments]
    results = [
        task(step, _rows_out, k, function, block, shape, dtype, *shared)
        for k, block in enumerate(chunks.blocks)
    ]
    return stack(results, chunks.lengths, shape, dtype)


def stack(
    blocks: Sequence[Delayed],
    lengths: tuple[int, ...] | None,
    shape: tuple[int, ...] = (),
    dtype: Any = np.float64,
) -> Any:
    """Make a Dask array of arrays of rows that are not computed yet."""
    sizes = [np.nan] * len(blocks) if lengths is None else lengths
    rows = dask.array.concatenate(
        [
            dask.array.from_delayed(block, (size, *shape), dtype=dtype)
            for block, size in zip(flat(blocks), sizes, strict=True)
        ],
        allow_unknown_chunksizes=True,
    )
    graph = _one_layer(rows.name, rows.__dask_graph__())
    return dask.array.Array(graph, rows.name, rows.chunks, dtype=dtype)


def _one_layer(name: str, *graphs: Any) -> HighLevelGraph:
    tasks = HighLevelGraph.merge(*graphs).to_dict()
    return HighLevelGraph({name: tasks}, {name: set()})


def _lengths(X: Any) -> tuple[int, ...] | None:
    """Rows of each chunk; None for frames and other collections of unknown size."""
    if not is_collection(X):
        raise TypeError(
            f"Expected a Dask array or frame, got {type(X).__name__}: pass "
            "dask.array.from_array(X, chunks=(rows, -1))."
        )
    sizes = getattr(X, "chunks", None)
    if sizes is not None and X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: X needs rows and columns."
        )
    if sizes is None or np.isnan(sizes[0]).any():
        return None
    return tuple(sizes[0])


def _blocks(part: Any, X: Any, lengths: tuple[int, ...] | None) -> list[Any]:
    """Cut a collection, or an array, into the chunks of X."""
    if part is None:
        return [None] * X.npartitions
    if not is_collection(part):
        part = np.asarray(part)
        if lengths is None:
            raise ValueError(
                "The chunks of X have unknown sizes, so y and sample_weight must be "
                "Dask collections with the same chunks: take them from the same frame, "
                "or call X.compute_chunk_sizes() first."
            )
        refuse_other_length(part.shape[0] if part.ndim else 1, sum(lengths))
        part = dask.array.from_array(part, chunks=(lengths, *part.shape[1:]))
    if not hasattr(part, "chunks"):  # a frame
        blocks = part.to_delayed()
    else:
        if lengths is not None and not np.isnan(part.chunks[0]).any():
            refuse_other_length(part.shape[0], sum(lengths))
            part = part.rechunk((lengths, *part.shape[1:]))
        elif part.ndim > 1:
            part = part.rechunk({1: -1})
        blocks = part.to_delayed().ravel().tolist()
    if len(blocks) != X.npartitions:
        raise ValueError(
            f"X has {X.npartitions} chunks, and y or sample_weight has {len(blocks)}: "
            "give both the same chunks."
        )
    return list(blocks)


def _of_chunk(
    k: int, function: Callable[..., Any], rows: Rows, *arguments: Any
) -> Piece:
    n = rows.X.shape[0]
    for part in (rows.y, rows.weights):
        if part is not None and part.shape[0] != n:
            raise ValueError(
                f"Chunk {k} of X has {n} rows, and its y or sample_weight has "
                f"{part.shape[0]}."
            )
    if n == 0:
        return Piece((k,), 0, None)
    return Piece((k,), n, _call(k, function, rows, *arguments))


def _apply(k: int, function: Callable[..., Rows], rows: Rows, *arguments: Any) -> Rows:
    return _call(k, function, rows, *arguments) if rows.X.shape[0] else rows


def _rows_out(
    k: int,
    function: Callable[..., Any],
    rows: Rows,
    shape: tuple[int, ...],
    dtype: Any,
    *arguments: Any,
) -> Array:
    if rows.X.shape[0] == 0:
        return np.empty((0, *shape), dtype=dtype)
    return np.asarray(_call(k, function, rows.X, *arguments), dtype=dtype)


def _call(k: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function; a complaint about rows tells in which chunk they are.

    The threads of the cluster compute chunks, so `n_jobs` means 1 whatever it is.
    """
    try:
        with _parallel.no_threads():
            return function(*arguments)
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):
            raise
        raise type(error)(f"In chunk {k}: {error}") from error


def _add_pieces(add: Callable[[Any, Any], Any], *pieces: Piece) -> Piece:
    value = None
    for piece in pieces:
        if piece.n_rows:
            value = piece.value if value is None else add(value, piece.value)
    return Piece(
        tuple(k for piece in pieces for k in piece.chunks),
        sum(piece.n_rows for piece in pieces),
        value,
    )
