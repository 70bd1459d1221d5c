"""Rows are cut, mapped and added so that nothing is lost, doubled or out of order."""

from operator import add

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from chunked import CUTS, chunked, each_cut, graph_size
from dask import bag
from dask.delayed import delayed
from sklearn.exceptions import NotFittedError

from kernelkit.distributed import chunks
from kernelkit.distributed.chunks import Piece, Rows, rows_of

RNG = np.random.default_rng(0)
X = RNG.standard_normal((200, 3))
Y = np.arange(200)
WEIGHTS = RNG.uniform(size=200)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])

MANY = dask.array.from_array(X, chunks=(3, -1))  # 67 chunks, a tree of three levels

pytestmark = pytest.mark.usefixtures("in_this_thread")


def as_list(rows):
    """Return what a chunk holds, to be joined by `add`."""
    return [rows]


def joined(parts):
    """Put the parts of rows together again."""
    return [
        None if values[0] is None else np.concatenate([*map(np.asarray, values)])
        for values in zip(*parts, strict=True)
    ]


def refuse(rows, *_):
    raise ValueError("no")


class TestCut:
    """Rows and what belongs to them stay together, in their order."""

    @each_cut
    def test_all_rows_in_order(self, cut):
        """Seen red with blocks in reverse."""
        rows = rows_of(chunked(X, cut), chunked(Y, cut), chunked(WEIGHTS, cut))

        parts = rows.reduce("list", as_list, add=add)

        for got, expected in zip(joined(parts), (X, Y, WEIGHTS), strict=True):
            np.testing.assert_array_equal(got, expected, strict=True)
        sizes = CUTS[cut](200)
        assert [len(part.X) for part in parts] == [n for n in sizes if n]
        assert rows.lengths == (None if cut == "unknown" else sizes)

    @pytest.mark.parametrize(
        "y", [Y, [*Y], chunked(Y, "seven"), dask.array.from_array(Y, chunks=1)]
    )
    def test_targets_are_cut_like_rows(self, y):
        """Seen red with targets in chunks of their own."""
        parts = rows_of(chunked(X, "uneven"), y).reduce("list", as_list, add=add)

        assert [len(part.y) for part in parts] == [1, 187, 12]
        np.testing.assert_array_equal(joined(parts)[1], Y)

    def test_columns_are_joined(self):
        """Seen red without `rechunk`."""
        rows = rows_of(dask.array.from_array(X, chunks=(60, 2)), X[:, :2])

        parts = rows.reduce("list", as_list, add=add)

        assert {part.X.shape[1] for part in parts} == {3}
        np.testing.assert_array_equal(joined(parts)[0], X)

    def test_frames_stay_frames(self):
        """Seen red with values in place of frames."""
        rows = rows_of(chunked(FRAME), chunked(pd.Series(Y)))

        parts = rows.reduce("list", as_list, add=add)

        assert [*parts[0].X.columns] == ["a", "b", "c"]
        np.testing.assert_array_equal(joined(parts)[1], Y)
        assert rows.lengths is None

    @pytest.mark.parametrize(
        ("X", "y", "error", "message"),
        [
            (X, None, TypeError, "Expected a Dask array or frame, got ndarray"),
            (delayed(X), None, TypeError, "or rows in memory, got Delayed"),
            (bag.from_sequence([X]), None, TypeError, "or rows in memory, got Bag"),
            (chunked(X), delayed(Y), TypeError, "or rows in memory, got Delayed"),
            (chunked(X), 1.0, ValueError, "X has 200 rows.+has 1"),
            (chunked(Y), None, ValueError, "Expected 2D array, got 1D"),
            (chunked(X), Y[:-1], ValueError, "X has 200 rows.+has 199"),
            (chunked(X), chunked(Y[:-1]), ValueError, "X has 200 rows.+has 199"),
            (
                chunked(X, "unknown"),
                Y,
                ValueError,
                "unknown sizes.+compute_chunk_sizes",
            ),
            (chunked(FRAME), Y, ValueError, "unknown sizes.+from the same frame"),
            (
                chunked(X, "unknown"),
                chunked(Y, "seven"),
                ValueError,
                "X has 3 chunks.+has 7: give both the same",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused_at_once(self, X, y, error, message):
        """Seen red without the comparisons of lengths and numbers of chunks."""
        with pytest.raises(error, match=message):
            rows_of(X, y)

    def test_unknown_sizes_that_differ(self):
        """Seen red without the comparison in tasks."""
        rows = rows_of(chunked(X, "unknown"), chunked(Y, "three"))

        with pytest.raises(ValueError, match=r"Chunk . of X has .* rows, and its y or"):
            rows.reduce("list", as_list, add=add)


class TestMap:
    """Each chunk with rows is given to a function once."""

    @each_cut
    def test_pieces_tell_their_chunk(self, cut):
        """Seen red with the numbers of chunks shifted by 1."""
        rows = rows_of(chunked(X, cut))

        pieces = chunks.compute(*rows.map("size", lambda rows: rows.X.size))

        sizes = CUTS[cut](200)
        expected = [Piece((k,), n, 3 * n or None) for k, n in enumerate(sizes)]
        assert [*pieces] == expected

    def test_arguments(self):
        """Seen red with those of chunks after those of all.

        Tuples that begin with a function are no tasks.
        """
        rows = rows_of(chunked(X))
        number = chunks.task("number", add, 40, 2)

        pieces = chunks.compute(
            *rows.map(
                "arguments", lambda rows, *args: args, (len, "ab"), number, each="xyz"
            )
        )

        values = [piece.value for piece in pieces]
        assert values == [(letter, (len, "ab"), 42) for letter in "xyz"]

    def test_argument_is_sent_once(self):
        """Seen red with the argument itself in each task."""
        small, large = np.zeros(1), np.zeros(100_000)

        def size(argument):
            plan = chunks.on_chunks("shift", np.add, MANY, argument, shape=(3,))
            added = chunks.tree(rows_of(MANY).map("add", as_list, argument), add, "add")
            return graph_size(plan, added)

        assert 1_600_000 <= size(large) - size(small) < 1_700_000

    def test_steps_are_named(self):
        """A lost worker is told by the name of a task.

        Seen red with names that Dask invents.
        """
        rows = rows_of(chunked(X))
        pieces = rows.map("my-step", as_list, np.ones(3))
        applied = rows.apply("my-change", as_list)
        added = chunks.tree(pieces, add, "my-step")
        planned = chunks.on_chunks("my-results", np.sin, chunked(X), shape=(3,))

        keys = {
            str(key if isinstance(key, str) else key[0])
            for plan in (*pieces, *applied.blocks, added, planned)
            for key in dict(plan.__dask_graph__())
        }
        steps = {key.rpartition("-")[0] for key in keys}
        assert steps >= {"my-step", "my-step-argument", "my-step-sum", "my-change"}
        assert steps >= {"my-results", "rows"}
        assert not [step for step in steps if "_of_chunk" in step or "delayed" in step]

    def test_changed_rows(self):
        """Seen red with chunks without rows changed, too."""
        rows = rows_of(chunked(X, "empty"), chunked(Y, "empty"))

        changed = rows.apply("shift", lambda rows, by: Rows(rows.X + by, rows.y), 1.0)

        parts = changed.reduce("list", as_list, add=add)
        np.testing.assert_array_equal(joined(parts)[0], X + 1.0)
        np.testing.assert_array_equal(joined(parts)[1], Y)
        applied = rows.apply("fail", lambda rows: (1 // len(rows.X), rows)[1])
        assert len(applied.reduce("list", as_list, add=add)) == 2

    def test_one_layer(self, monkeypatch):
        """Dask looks at all tasks for each layer.

        Seen red with tasks as they are, and with results as they are.
        """
        pieces = rows_of(MANY).map("size", lambda rows: rows.X.size)
        results = chunks.on_chunks("sine", np.sin, MANY, shape=(3,))
        run = chunks.run_tasks

        def spy(*tasks, **how):
            assert len(tasks[0].__dask_graph__().layers) == 1
            return run(*tasks, **how)

        monkeypatch.setattr(chunks, "run_tasks", spy)
        assert sum(piece.n_rows for piece in chunks.compute(*pieces)) == 200
        assert len(results.__dask_graph__().layers) == 1
        np.testing.assert_array_equal(results[50:].compute(), np.sin(X[50:]))

    def test_nothing_is_computed_by_planning(self):
        """Seen red with a call of `compute`."""
        fails = chunked(X).map_blocks(lambda block: 1 / 0, dtype=float)

        rows = rows_of(fails, Y)
        pieces = rows.apply("list", as_list).map("list", as_list)
        added = chunks.tree(pieces, add, "list")
        chunks.flat(pieces)
        planned = chunks.on_chunks("sine", np.sin, fails, shape=(3,))

        for plan in (added, planned):
            with pytest.raises(ZeroDivisionError):
                plan.compute()


class TestErrors:
    """They name the chunk, and stay what they are."""

    @pytest.mark.parametrize("error", [TypeError, ValueError])
    def test_complaint_about_rows(self, error):
        """Seen red with all errors made a ValueError."""

        def complain(rows, *_):
            if (getattr(rows, "X", rows) == X[199]).any():
                raise error("bad row")
            return rows

        rows = rows_of(chunked(X, "seven"))
        with pytest.raises(error, match=r"^In chunk 6: bad row$"):
            rows.reduce("complain", complain, add=lambda *rows: rows)
        with pytest.raises(error, match=r"^In chunk 6: bad row$"):
            rows.apply("complain", complain).reduce("list", as_list, add=add)
        with pytest.raises(error, match=r"^In chunk .: bad row$"):
            chunks.on_chunks("complain", complain, chunked(X[-9:], "one")).compute()

    @pytest.mark.parametrize(
        "error", [NotFittedError("a"), MemoryError("a"), KeyError("a"), OSError("a")]
    )
    def test_other_errors(self, error):
        """Seen red with NotFittedError made a ValueError, which it is."""

        def fail(rows):
            raise error

        with pytest.raises(type(error)) as caught:
            rows_of(chunked(X)).reduce("fail", fail, add=add)
        assert str(caught.value) == str(error)

    def test_on_workers(self, client):
        """Seen red with the number of the chunk left out."""

        def complain(rows):
            if (X[199] == rows.X).any():
                raise ValueError("bad row")
            return 1

        with pytest.raises(ValueError, match=r"^In chunk 2: bad row$"):
            rows_of(chunked(X)).reduce("complain", complain, add=add)


class TestSum:
    """The order of additions, and who takes part, is certain."""

    @pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 64, 65, 200])
    def test_order(self, n):
        """Seen red with pieces in reverse, and with the last of eight left out."""
        rows = rows_of(dask.array.from_array(X[:n], chunks=(1, -1)))

        text = rows.reduce("text", lambda rows: f"{rows.X[0, 0]} ", add=add)

        assert text.split() == [*map(str, X[:n, 0])]

    def test_bits_do_not_depend_on_who_computes(self, client):
        """Seen red with sums in a random order."""

        def total():
            rows = rows_of(MANY, Y, WEIGHTS)
            return rows.reduce("sum", lambda rows: rows.weights @ rows.X, add=add)

        got = total()

        for scheduler in ("synchronous", "threads"):
            with dask.config.set(scheduler=scheduler):
                np.testing.assert_array_equal(total(), got, strict=True)
        assert (got != WEIGHTS @ X).any()  # as other orders have other bits

    def test_values_of_each_chunk(self):
        """Seen red with those of chunks without rows left out, and unchecked sizes."""
        sizes = rows_of(chunked(X, "empty")).gather("size", lambda rows: len(rows.X))

        assert sizes == [None, 100, None, None, 100, None]
        lies = chunked(X).map_blocks(lambda block: block[1:], meta=np.empty((0, 0)))
        with pytest.raises(RuntimeError, match="3 chunks, 3 with 197 rows"):
            rows_of(lies).gather("sum", lambda rows: rows.X.sum())

    @pytest.mark.parametrize("cut", ["three", "unknown"])
    def test_lost_and_doubled_chunks(self, cut):
        """Seen red without the comparison of numbers."""
        rows = rows_of(chunked(X, cut))
        pieces = rows.map("sum", lambda rows: rows.X.sum())

        for wrong in (pieces[1:], [*pieces, pieces[1]], [*pieces[:-1], pieces[0]]):
            (added,) = chunks.compute(chunks.tree(wrong, add, "sum"))
            with pytest.raises(RuntimeError, match=r"3 chunks.+lost, doubled"):
                rows.complete(added)

    def test_changed_chunks(self):
        """Seen red without the comparison of rows."""
        lies = chunked(X).map_blocks(lambda block: block[1:], meta=np.empty((0, 0)))

        with pytest.raises(RuntimeError, match="3 chunks, 3 with 197 rows"):
            rows_of(lies).reduce("sum", lambda rows: rows.X.sum(), add=add)

    def test_no_rows(self):
        """Seen red with None for a sum."""
        nothing = dask.array.zeros((0, 3), chunks=((0, 0), 3))

        with pytest.raises(ValueError, match="Found 2 chunks without a row"):
            rows_of(nothing).reduce("refuse", refuse, add=add)


class TestResults:
    """Results of chunks are Dask arrays."""

    @each_cut
    def test_shape_and_order(self, cut):
        """Seen red with the shape left out."""
        results = chunks.on_chunks(
            "pairs", lambda X: X[:, :2] > 0.0, chunked(X, cut), shape=(2,), dtype=bool
        )

        assert (results.ndim, results.shape[1], results.dtype) == (2, 2, bool)
        np.testing.assert_array_equal(results.compute(), X[:, :2] > 0.0, strict=True)
        again = (results.sum(axis=0) + 1).compute()
        np.testing.assert_array_equal(again, (X[:, :2] > 0.0).sum(axis=0) + 1)

    def test_frames(self):
        """Seen red with values in place of frames."""
        results = chunks.on_chunks("sum", lambda X: X["a"] - X["b"], chunked(FRAME))

        np.testing.assert_array_equal(results.compute(), X[:, 0] - X[:, 1])

    def test_chunks_without_rows(self):
        """Seen red with the function called for them."""
        nothing = dask.array.zeros((0, 3), chunks=((0, 0), 3))

        results = chunks.on_chunks("refuse", refuse, nothing, shape=(2,), dtype="U3")

        assert results.compute().shape == (0, 2)
        assert results.compute().dtype == "U3"
