"""Tables of numbers from csv, tsv, npy and parquet files or standard input."""

import csv
import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit.cli.errors import CommandError
from kernelkit.exceptions import MissingDependencyError

Array = npt.NDArray[Any]

_EXACT = 2**53  # float64 holds all integers up to here
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Table:
    """Named columns that are converted to numbers when they are asked for.

    Attributes
    ----------
    source : str
        Where the table comes from, for messages.
    names : list of str
        Names of the columns; "1", "2", ... if they have none.
    has_names : bool
        Whether the source names its columns.
    read : callable
        Takes the positions of columns and returns an ndarray of shape (n_rows,
        n_columns): integers if all of these columns are integers, else floats.
    """

    source: str
    names: list[str]
    has_names: bool
    read: Callable[[Sequence[int]], Array]

    def find(self, column: str) -> int:
        """Find a column by its name, or else by its number from 1."""
        if column in self.names:
            return self.names.index(column)
        if column.isdecimal() and 1 <= int(column) <= len(self.names):
            return int(column) - 1
        known = ", ".join(self.names[:10]) + (", ..." if len(self.names) > 10 else "")
        raise CommandError(f"{self.source}: no column {column!r}; there are {known}")


def open_table(path: str, *, header: bool = True) -> Table:
    """Open a table by the suffix of its file; "-" is standard input.

    Parameters
    ----------
    path : str
        A .csv, .tsv, .npy or .parquet file, or "-", whose first bytes tell what it is.
    header : bool, default=True
        Whether the first line of a text may hold names: it does if no field of it is a
        number.

    Raises
    ------
    CommandError
        If there is no such table.
    """
    if path == "-":
        data = sys.stdin.buffer.read()
        source, kind = "standard input", _kind_of(data)
    else:
        data = _read_file(Path(path))
        source, kind = path, Path(path).suffix.lower()
    if not data:
        raise CommandError(f"{source}: empty")
    if kind == ".npy":
        return _open_npy(data, source)
    if kind == ".parquet":
        return _open_parquet(data, source)
    if kind in _DELIMITERS:
        text = _Text(data, source, _DELIMITERS[kind], header=header)
        return Table(source, text.names, text.has_names, text.read)
    raise CommandError(f"{source}: expected a .csv, .tsv, .npy or .parquet file")


def _read_file(path: Path) -> bytes:
    if path.is_dir():
        raise CommandError(f"{path}: a folder, not a file")
    if path.exists() and not path.is_file():
        raise CommandError(f"{path}: not a regular file; give - to read from a pipe")
    return path.read_bytes()


def _kind_of(data: bytes) -> str:
    if data.startswith(b"\x93NUMPY"):
        return ".npy"
    if data.startswith(b"PAR1"):
        return ".parquet"
    return ".tsv" if b"\t" in data.partition(b"\n")[0] else ".csv"


class _Text:
    """A csv or tsv table."""

    def __init__(
        self, data: bytes, source: str, delimiter: str, *, header: bool
    ) -> None:
        self.data = data
        self.source = source
        self.delimiter = delimiter
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise self._fault(line, "not UTF-8") from error
        line, first = next(self._records(), (0, []))
        if not first:
            raise CommandError(f"{source}: empty")
        self.has_names = header and not any(map(_is_number, first))
        self.n_header_lines = line if self.has_names else 0
        self.names = (
            [name.strip() for name in first] if self.has_names else _numbers(len(first))
        )
        if len(set(self.names)) < len(first):
            what = "two columns have the same name; is it a header (--no-header)?"
            raise self._fault(line, what)

    def read(self, columns: Sequence[int]) -> Array:
        if len(columns) < len(self.names):
            self._check(())  # the parser does not look at the width
        # As integers first: they are exact at any size, and floats fail at once.
        for dtype in (np.int64, np.uint64, np.float64):
            try:
                X = self._parse(dtype, columns)
            except (ValueError, DeprecationWarning) as error:
                reason = str(error)
            else:
                break
        else:
            self._check(columns)
            raise CommandError(f"{self.source}: {reason}")
        if X.dtype == np.float64:
            self._refuse_rounded(X, columns)
        return X

    def _parse(self, dtype: npt.DTypeLike, columns: Sequence[int]) -> Array:
        every = len(columns) == len(self.names)
        with warnings.catch_warnings():
            # NumPy before 2.4 truncates floats to integers with a warning.
            warnings.simplefilter("error", DeprecationWarning)
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            X = np.loadtxt(
                self._lines(),
                dtype=dtype,
                comments=None,
                delimiter=self.delimiter,
                quotechar='"',
                skiprows=self.n_header_lines,
                usecols=None if every else columns,
                ndmin=2,
            )
        if not X.size:
            return np.empty((0, len(columns)), dtype=dtype)
        if X.shape[1] != len(columns):
            raise ValueError(f"expected {len(columns)} fields, got {X.shape[1]}")
        return X[:, columns] if every else X

    def _check(self, columns: Sequence[int]) -> None:
        """Raise at the first line of another width, or without a number in a column."""
        for line, record in self._records():
            if len(record) != len(self.names):
                what = f"expected {len(self.names)} fields, got {len(record)}"
                raise self._fault(line, what)
            if line <= self.n_header_lines:
                continue
            for k in columns:
                if not _is_number(record[k]):
                    what = f"column {self.names[k]!r}: {record[k][:40]!r} is no number"
                    raise self._fault(line, what)

    def _refuse_rounded(self, X: Array, columns: Sequence[int]) -> None:
        for k, values in zip(columns, X.T, strict=True):
            large = np.isfinite(values) & (np.abs(values) >= _EXACT)
            if large.any():
                texts = self._parse(object, [k])[large, 0]
                if any(map(_is_rounded_integer, texts)):
                    raise _rounded(self.source, self.names[k])

    def _lines(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8-sig")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Split the lines that are not blank; yields the number of each with it."""
        reader = csv.reader(self._lines(), delimiter=self.delimiter)
        try:
            for record in reader:
                if record:
                    yield reader.line_num, record
        except csv.Error as error:
            raise self._fault(reader.line_num, str(error)) from error

    def _fault(self, line: int, what: str) -> CommandError:
        return CommandError(f"{self.source}: line {line}: {what}")


def _open_npy(data: bytes, source: str) -> Table:
    if not data.startswith(b"\x93NUMPY"):  # np.load would also take archives
        raise CommandError(f"{source}: not in .npy format")
    try:
        X = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # whatever a damaged header leads to
        raise CommandError(f"{source}: damaged, or not numbers: {error}") from error
    if X.ndim == 1:
        X = X[:, None]
    if X.ndim != 2:
        raise CommandError(f"{source}: expected 1 or 2 dimensions, got {X.ndim}")
    return Table(source, _numbers(X.shape[1]), False, lambda columns: X[:, columns])


def _open_parquet(data: bytes, source: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(
            f"{source}: reading .parquet needs pyarrow: pip install pyarrow"
        ) from error

    def read(columns: Sequence[int]) -> Array:
        table = file.read(columns=[names[k] for k in columns])
        arrays = []
        for k in columns:
            column = table.column(names[k])
            if column.null_count:
                raise CommandError(f"{source}: column {names[k]!r} has missing values")
            if not (
                pa.types.is_integer(column.type)
                or pa.types.is_floating(column.type)
                or pa.types.is_boolean(column.type)
            ):
                what = f"column {names[k]!r} holds {column.type}, not numbers"
                raise CommandError(f"{source}: {what}")
            arrays.append(column.to_numpy())
        X = np.column_stack(arrays)
        for k, column in zip(columns, arrays, strict=True):
            becomes_float = X.dtype.kind == "f" and column.dtype.kind in "iu"
            if becomes_float and ((column > _EXACT) | (column < -_EXACT)).any():
                raise _rounded(source, names[k])
        return X

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
    except Exception as error:  # whatever a damaged file leads to
        raise CommandError(f"{source}: not a .parquet file: {error}") from error
    names = file.schema_arrow.names
    return Table(source, names, True, read)


def _rounded(source: str, name: str) -> CommandError:
    return CommandError(
        f"{source}: column {name!r} holds integers beyond 2**53 that would be rounded: "
        "they exceed 64 bits, or stand beside columns of floats"
    )


def _is_rounded_integer(text: str) -> bool:
    try:
        return int(text) != int(float(text))
    except ValueError:  # written as a float
        return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(n: int) -> list[str]:
    return [str(k) for k in range(1, n + 1)]
