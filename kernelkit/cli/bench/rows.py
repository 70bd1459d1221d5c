"""The rows that all tasks work on: flight records, or standard normal ones."""

from argparse import Namespace
from importlib import import_module

import numpy as np

from kernelkit.cli.bench.cases import Values
from kernelkit.datasets import load_flights

_DRAWN = {"ntk": "standard normal", "rbf": "Friedman 1"}  # else they have data sets


def sizes_of(args: Namespace) -> list[tuple[int, int]]:
    """List the sizes (n, d) of the problems; exits on wrong usage."""
    if args.task in _DRAWN:
        return _sizes_of_sets(args)
    if args.task == "ridge":
        default, most = [3], 3  # one of the features is the target
    elif args.task == "design":
        default, most = [2, 3], 4
    else:
        default, most = ([1, 2, 3, 4] if args.grid is None else [2]), 4
    ds = args.d or default
    if args.n is None and max(ds) > most:
        args.error(f"the flights have {most} features; --n draws rows with any number")
    return [(n, d) for d in ds for n in args.n or [5_000, 50_000]]


def _sizes_of_sets(args: Namespace) -> list[tuple[int, int]]:
    """List the sizes of data sets, or of rows to draw."""
    if args.n is None:
        if args.d is not None:
            args.error(f"--d of {args.task} is for rows that are drawn: give --n, too")
        return list(import_module(f"kernelkit.cli.bench.{args.task}").DATA)
    ds = args.d or [10 if args.task == "rbf" else 64]
    if args.task == "rbf" and (min(ds) < 5 or min(args.n) < 20):
        args.error("Friedman's problem has 5 features or more, and takes 20 rows")
    return [(n, d) for d in ds for n in args.n]


def data_name(args: Namespace) -> str:
    """Name the rows of the problems."""
    if args.task in _DRAWN:
        return "data sets" if args.n is None else _DRAWN[args.task]
    if args.n is None:
        return "flight records"
    return "clusters" if args.task == "ridge" else "standard normal"


def draw_rows(args: Namespace, n: int, d: int, rng: np.random.Generator) -> Values:
    """Take n rows with d features from the flights, or draw them."""
    if args.n is not None:
        return rng.standard_normal((n, d))
    flights = load_flights().data
    return flights[:: len(flights) // n, :d].astype(np.float64)
