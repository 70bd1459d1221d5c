"""What the commands share that turn a table of rows into numbers."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelkit.cli.arguments import number_of_threads

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kernelkit.cli.tables import Table

    Array = npt.NDArray[np.float64]

_CHUNK = 2**16  # lines formatted at a time


@dataclass(frozen=True)
class Rows:
    """The rows that a command was given.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows of DATA.
    weights : ndarray of shape (n_rows,) or None
        Their weights.
    queries : ndarray of shape (n_queries, n_features) or None
        Rows of ``--query``.
    features : list of str
        Names of the features; "1", "2", ... if they have none.
    has_names : bool
        Whether the names come from DATA.
    """

    X: "Array"
    weights: "Array | None"
    queries: "Array | None"
    features: list[str]
    has_names: bool

    def column_names(self) -> list[str]:
        """Name the features so that a line of these names is not taken for data."""
        return [name if self.has_names else f"x{name}" for name in self.features]


@dataclass(frozen=True)
class Result:
    """What a command has computed, in the form of each format.

    Attributes
    ----------
    array : ndarray
        For npy.
    record : dict
        For json; may hold arrays.
    header : list of str
        Names of the columns of csv.
    lines : callable
        Takes a slice of the lines of csv; returns an array of shape (n_lines,
        n_columns).
    n_lines : int
        Number of lines of csv, without the header.
    """

    array: "Array"
    record: dict[str, Any]
    header: list[str]
    lines: "Callable[[slice], Array]"
    n_lines: int


def column(name: str, values: "Array", facts: dict[str, Any]) -> Result:
    """Make a result of a number per row, with further facts for json."""
    return Result(
        array=values,
        record={**facts, name: values},
        header=[name],
        lines=lambda part: values[part, None],
        n_lines=values.size,
    )


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Declare the table, and which of its columns are what."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a .csv, .tsv, .npy or .parquet file of numbers, or - for standard input",
    )
    parser.add_argument(
        "--columns",
        metavar="COL,...",
        help="features, by name or number from 1 (default: all but the weights)",
    )
    parser.add_argument(
        "--weights", metavar="COL", help="column of DATA that weighs its rows"
    )
    parser.add_argument(
        "--no-header",
        action="store_true",
        help="the first line is data, whatever it looks like; print no header either",
    )


def add_query_option(parser: argparse._ActionsContainer) -> None:
    """Declare where to evaluate."""
    parser.add_argument(
        "--query",
        metavar="FILE",
        help="where to evaluate: a table like DATA, or only its features (default: at "
        "the rows of DATA)",
    )


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Declare where the result goes, and how many threads compute it."""
    parser.add_argument(
        "--out", metavar="FILE", help="write to FILE (default: standard output)"
    )
    parser.add_argument(
        "--format",
        choices=("csv", "json", "npy"),
        help="form of the result (default: by the suffix of --out, else csv)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite files")
    parser.add_argument(
        "--n-jobs",
        type=number_of_threads,
        metavar="N",
        help="number of threads, -1 for all cores (default: 1)",
    )


def evaluate(args: argparse.Namespace, compute: Callable[[Rows], Result]) -> int:
    """Read the rows, compute, write the result, and return the exit status.

    Errors of `compute` are those of bad data; its warnings are told in a line each.
    """
    import sys
    import warnings

    from kernelkit.cli.errors import USAGE, CommandError
    from kernelkit.cli.output import check_target, write_file
    from kernelkit.cli.progress import progress

    if args.data == args.query == "-":
        raise CommandError("only one of DATA and --query can be standard input", USAGE)
    if args.out is not None:
        check_target(args.out, force=args.force)
    with progress(args.command, quiet=args.quiet):
        rows = _read_rows(args)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                result = compute(rows)
            except (ValueError, TypeError, NotImplementedError) as error:
                raise CommandError(str(error)) from error
        for warning in caught:
            print(f"kernelkit {args.command}: {warning.message}", file=sys.stderr)
        chunks = _encode(result, args)
        if args.out is not None:
            write_file(args.out, chunks, force=args.force)
            return 0
    sys.stdout.buffer.writelines(chunks)
    return 0


def _read_rows(args: argparse.Namespace) -> Rows:
    from kernelkit.cli.tables import open_table

    table = open_table(args.data, header=not args.no_header)
    features, weighing = _choose_columns(table, args.columns, args.weights)
    X = table.read(features)
    weights = None if weighing is None else table.read([weighing])[:, 0]
    queries = None
    if args.query is not None:
        other = open_table(args.query, header=not args.no_header)
        queries = other.read(_match_columns(other, table, features))
    names = [table.names[k] for k in features]
    return Rows(X, weights, queries, names, table.has_names)


def _choose_columns(
    table: "Table", columns: str | None, weights: str | None
) -> tuple[list[int], int | None]:
    """Find the features and the weights among the columns of a table."""
    import csv

    from kernelkit.cli.errors import CommandError

    weighing = None if weights is None else table.find(weights)
    if columns is None:
        features = [k for k in range(len(table.names)) if k != weighing]
    else:
        features = [table.find(name) for name in next(csv.reader([columns]))]
    if not features:
        raise CommandError(f"{table.source}: no column is left to evaluate")
    return features, weighing


def _match_columns(queries: "Table", table: "Table", features: list[int]) -> list[int]:
    """Find the features of `table` in the columns of the queries.

    By name if both have names; otherwise by position, if they are as many as in
    `table` or only the features.
    """
    from kernelkit.cli.errors import CommandError

    if queries.has_names and table.has_names:
        return [queries.find(table.names[k]) for k in features]
    if len(queries.names) == len(table.names):
        return features
    if len(queries.names) == len(features):
        return list(range(len(features)))
    raise CommandError(
        f"{queries.source}: expected {len(features)} columns, one per feature, got "
        f"{len(queries.names)}"
    )


def _encode(result: Result, args: argparse.Namespace) -> Iterator[bytes]:
    """Form the result as csv, json or npy."""
    import csv
    import io
    import json
    from pathlib import Path

    import numpy as np

    suffix = Path(args.out or "").suffix.lower().removeprefix(".")
    form = args.format or (suffix if suffix in ("json", "npy") else "csv")
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, result.array)
        yield buffer.getvalue()
    elif form == "json":
        yield (json.dumps(result.record, default=_as_list) + "\n").encode()
    else:
        if not args.no_header:
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(result.header)
            yield line.getvalue().encode()
        pattern = ",".join(["%.17g"] * len(result.header)) + "\n"
        for start in range(0, result.n_lines, _CHUNK):
            chunk = result.lines(slice(start, min(start + _CHUNK, result.n_lines)))
            yield (pattern * len(chunk) % tuple(chunk.ravel().tolist())).encode()


def _as_list(values: "Array") -> list[Any]:
    """Make lists of an array for json, which has no infinities: null replaces them."""
    import numpy as np

    finite = np.isfinite(values)
    if finite.all():
        return values.tolist()
    objects = values.astype(object)
    objects[~finite] = None
    return objects.tolist()
