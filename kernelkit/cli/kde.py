"""``kernelkit kde``: an exact kernel density estimate of the rows of a table."""

import argparse
from typing import TYPE_CHECKING, Any

from kernelkit.cli.arguments import whole_number
from kernelkit.cli.evaluate import (
    Result,
    Rows,
    add_data_options,
    add_query_option,
    add_result_options,
    column,
    evaluate,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kernelkit.density import ProductKernelDensity

    Values = npt.NDArray[np.float64]

NAME = "kde"
HELP = "estimate the density that the rows of a table were drawn from"
EXAMPLE = "kernelkit kde flights.csv --columns dep_delay,arr_delay --grid 100"

# The names that the estimator knows; it is too heavy to be asked for --help.
KERNELS = (
    "laplacian",
    "matern32",
    "matern52",
    "sargan",
    "silverman",
    "uniform",
    "triangular",
    "epanechnikov",
    "biweight",
    "triweight",
    "tricube",
    "cosine",
    "gaussian",
)
RULES = ("normal_reference", "scott", "silverman", "cv_ml", "cv_ls")

_MARGIN = 5.0  # bandwidths of a grid beyond the rows
_TAIL = 0.005  # share of the rows on each side that a picture leaves out

_CONFLICTS = (
    ("loo", "query"),
    ("loo", "grid"),
    ("loo", "sample"),
    ("cdf", "grid"),
    ("cdf", "sample"),
    ("log", "cdf"),
    ("log", "sample"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    add_data_options(parser)
    where = parser.add_mutually_exclusive_group()
    add_query_option(where)
    where.add_argument(
        "--grid",
        type=whole_number(2),
        metavar="N",
        help="evaluate at a grid of N nodes per feature, spread evenly over its range "
        f"and {_MARGIN:g} bandwidths beyond",
    )
    where.add_argument(
        "--sample",
        type=whole_number(1),
        metavar="N",
        help="draw N rows from the density instead of evaluating it",
    )
    parser.add_argument(
        "--bandwidth",
        type=_bandwidth,
        default="normal_reference",
        metavar="RULE|H,...",
        help="width of the kernel: a number, one per feature, or a rule of "
        f"{', '.join(RULES)} (default: normal_reference)",
    )
    parser.add_argument(
        "--kernel",
        type=_kernel,
        default="laplacian",
        metavar="NAME|C,...",
        help=f"one of {', '.join(KERNELS)}, or coefficients c of the sum of "
        "c[l] |u|^l exp(-|u|) (default: laplacian)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--cdf", action="store_true", help="the distribution function of the density"
    )
    what.add_argument(
        "--loo",
        action="store_true",
        help="the density at each row of DATA as if that row had been left out",
    )
    parser.add_argument(
        "--log", action="store_true", help="natural logarithm of the density"
    )
    add_result_options(parser)
    parser.add_argument(
        "--plot", metavar="FILE", help="draw the density in FILE, a .png, as well"
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        metavar="N",
        help="of --sample, whose rows then repeat themselves",
    )


def run(args: argparse.Namespace) -> int:
    """Estimate the density and write what was asked for."""
    from kernelkit.cli.errors import USAGE, CommandError
    from kernelkit.cli.output import check_targets, figure_class, write_file
    from kernelkit.density import ProductKernelDensity

    for option, other in _CONFLICTS:
        if getattr(args, option) and getattr(args, other):
            raise CommandError(f"--{option} does not go with --{other}", USAGE)
    if args.seed is not None and args.sample is None:
        raise CommandError("--seed does not go without --sample", USAGE)
    check_targets(args.out, args.plot, force=args.force)
    if args.plot is not None:
        figure_class()  # before the work

    def compute(rows: Rows) -> Result:
        if args.plot is not None and len(rows.features) > 2:
            raise CommandError(
                f"--plot draws one or two features, not {len(rows.features)}: choose "
                "them with --columns",
                USAGE,
            )
        density = ProductKernelDensity(
            args.kernel, bandwidth=args.bandwidth, n_jobs=args.n_jobs
        )
        density.fit(rows.X, sample_weight=rows.weights)
        if args.plot is not None:
            picture = _as_png(density, rows)
            write_file(args.plot, [picture], force=args.force)
        facts = {"features": rows.features, "bandwidth": density.bandwidth_}
        if args.sample is not None:
            return _sample(density, rows, facts, args)
        if args.grid is not None:
            return _grid(density, rows, facts, args)
        if args.cdf:
            return column("cdf", density.cdf(rows.queries), facts)
        if args.loo:
            logs = density.loo_log_density()
        else:
            logs = density.score_samples(rows.queries)
        return column(*_named(logs, args), facts)

    return evaluate(args, compute)


def even_axes(X: "Values", bandwidth: "Values", n_nodes: int) -> "list[Values]":
    """Spread nodes evenly over the range of each feature and a margin beyond.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows.
    bandwidth : ndarray of shape (n_features,)
        Of which the margin is a few.
    n_nodes : int
        Number of nodes along each feature, >= 2.
    """
    import numpy as np

    low, high = X.min(axis=0) - _MARGIN * bandwidth, X.max(axis=0) + _MARGIN * bandwidth
    return list(np.linspace(low, high, n_nodes, axis=1))


def _named(logs: "Values", args: argparse.Namespace) -> "tuple[str, Values]":
    import numpy as np

    prefix = "loo_" * args.loo
    if args.log:
        return f"{prefix}log_density", logs
    return f"{prefix}density", np.exp(logs)


def _as_png(density: "ProductKernelDensity", rows: Rows) -> bytes:
    """Draw the density over the middle of the rows, lest a far one hides the rest."""
    import numpy as np

    from kernelkit.cli.output import as_png, figure_class
    from kernelkit.plotting import DensityDisplay

    figure = figure_class()(layout="constrained")
    low, high = np.quantile(rows.X, [_TAIL, 1.0 - _TAIL], axis=0)
    middle = rows.X[((low <= rows.X) & (high >= rows.X)).all(axis=1)]
    shown = middle if len(middle) else rows.X
    display = DensityDisplay.from_estimator(density, shown, ax=figure.add_subplot())
    if rows.has_names:
        display.ax_.set(xlabel=rows.features[0])
        if len(rows.features) == 2:
            display.ax_.set(ylabel=rows.features[1])
    return as_png(figure)


def _sample(
    density: "ProductKernelDensity",
    rows: Rows,
    facts: dict[str, Any],
    args: argparse.Namespace,
) -> Result:
    """Draw rows, a column per feature."""
    drawn = density.sample(args.sample, random_state=args.seed)
    return Result(
        array=drawn,
        record={**facts, "sample": drawn},
        header=rows.column_names(),
        lines=lambda part: drawn[part],
        n_lines=len(drawn),
    )


def _grid(
    density: "ProductKernelDensity",
    rows: Rows,
    facts: dict[str, Any],
    args: argparse.Namespace,
) -> Result:
    """Evaluate at the nodes of a grid, a line per node, the last feature fastest."""
    import numpy as np

    axes = even_axes(rows.X, density.bandwidth_, args.grid)
    name, values = "density", density.evaluate_grid(axes)
    if args.log:
        with np.errstate(divide="ignore"):
            name, values = "log_density", np.log(np.maximum(values, 0.0))

    def lines(part: slice) -> "Values":
        places = np.unravel_index(np.arange(part.start, part.stop), values.shape)
        nodes = [axis[place] for axis, place in zip(axes, places, strict=True)]
        return np.column_stack([*nodes, values.flat[part]])

    return Result(
        array=values,
        record={**facts, "axes": axes, name: values},
        header=[*rows.column_names(), name],
        lines=lines,
        n_lines=values.size,
    )


def _kernel(text: str) -> str | list[float]:
    """Read a name or coefficients."""
    return text if text in KERNELS else _numbers(text, KERNELS)


def _bandwidth(text: str) -> str | float | list[float]:
    """Read a rule, a number, or a number per feature; which it may be is not judged."""
    if text in RULES:
        return text
    numbers = _numbers(text, RULES)
    return numbers if len(numbers) > 1 else numbers[0]


def _numbers(text: str, names: tuple[str, ...]) -> list[float]:
    """Read numbers with commas between; the names go into the error."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers or one of {', '.join(names)}, got {text!r}"
        ) from None
