"""The rows that all tasks work on: flight records, or standard normal ones."""

from argparse import Namespace

import numpy as np

from kernelkit.cli.bench.cases import Values
from kernelkit.datasets import load_flights


def sizes_of(args: Namespace) -> list[tuple[int, int]]:
    """List the sizes (n, d) of the problems; exits on wrong usage."""
    ds = args.d or ([1, 2, 3, 4] if args.grid is None else [2])
    if args.n is None and max(ds) > 4:
        args.error("the flights have 4 features; --n draws rows with any number")
    return [(n, d) for d in ds for n in args.n or [5_000, 50_000]]


def data_name(args: Namespace) -> str:
    """Name the rows of the problems."""
    return "flight records" if args.n is None else "standard normal"


def draw_rows(args: Namespace, n: int, d: int, rng: np.random.Generator) -> Values:
    """Take n rows with d features from the flights, or draw them."""
    if args.n is not None:
        return rng.standard_normal((n, d))
    flights = load_flights().data
    return flights[:: len(flights) // n, :d].astype(np.float64)
