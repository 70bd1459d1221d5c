"""``kernelkit ecdf``: the exact distribution function of the rows of a table."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kernelkit.cli.tables import Table

NAME = "ecdf"
HELP = "evaluate the exact empirical distribution function of the rows of a table"
EXAMPLE = "kernelkit ecdf flights.csv --columns dep_delay,arr_delay --out cdf.npy"

_CHUNK = 2**16  # rows formatted at a time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a .csv, .tsv, .npy or .parquet file of numbers, or - for standard input",
    )
    parser.add_argument(
        "--query",
        metavar="FILE",
        help="where to evaluate: a table like DATA, or only its features (default: at "
        "the rows of DATA)",
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
        "--survival",
        action="store_true",
        help="share of the rows above a query in every feature, not at or below it",
    )
    parser.add_argument(
        "--no-header",
        action="store_true",
        help="the first line is data, whatever it looks like; print no header either",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write to FILE (default: standard output)"
    )
    parser.add_argument(
        "--format",
        choices=("csv", "json", "npy"),
        help="form of the result (default: by the suffix of --out, else csv)",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite the file of --out"
    )
    parser.add_argument(
        "--n-jobs",
        type=_number_of_threads,
        metavar="N",
        help="number of threads, -1 for all cores (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate the function and write one number per row."""
    import sys

    from kernelkit.cli.errors import USAGE, CommandError
    from kernelkit.cli.output import check_target, write_file
    from kernelkit.cli.progress import progress
    from kernelkit.cli.tables import open_table
    from kernelkit.density import MultivariateECDF

    if args.data == args.query == "-":
        raise CommandError("only one of DATA and --query can be standard input", USAGE)
    if args.out is not None:
        check_target(args.out, force=args.force)
    with progress("ecdf", quiet=args.quiet):
        table = open_table(args.data, header=not args.no_header)
        features, weights = _choose_columns(table, args.columns, args.weights)
        X = table.read(features)
        sample_weight = None if weights is None else table.read([weights])[:, 0]
        queries = None
        if args.query is not None:
            other = open_table(args.query, header=not args.no_header)
            queries = other.read(_match_columns(other, table, features))
        try:
            distribution = MultivariateECDF(n_jobs=args.n_jobs)
            distribution.fit(X, sample_weight=sample_weight)
            evaluate = distribution.survival if args.survival else distribution.cdf
            values = evaluate(queries)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise CommandError(str(error)) from error
        chunks = _encode(values, [table.names[k] for k in features], args)
        if args.out is not None:
            write_file(args.out, chunks, force=args.force)
            return 0
    sys.stdout.buffer.writelines(chunks)
    return 0


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


def _encode(
    values: "npt.NDArray[np.float64]", names: list[str], args: argparse.Namespace
) -> Iterator[bytes]:
    """Form the result as csv, json or npy."""
    import io
    import json
    from pathlib import Path

    import numpy as np

    function = "survival" if args.survival else "cdf"
    suffix = Path(args.out or "").suffix.lower().removeprefix(".")
    form = args.format or (suffix if suffix in ("json", "npy") else "csv")
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, values)
        yield buffer.getvalue()
    elif form == "json":
        record = {"features": names, function: values.tolist()}
        yield (json.dumps(record) + "\n").encode()
    else:
        if not args.no_header:
            yield f"{function}\n".encode()
        for start in range(0, values.size, _CHUNK):
            chunk = tuple(values[start : start + _CHUNK].tolist())
            yield ("%.17g\n" * len(chunk) % chunk).encode()


def _number_of_threads(text: str) -> int:
    if text.removeprefix("-").isdecimal() and int(text) != 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of threads, got {text!r}")
