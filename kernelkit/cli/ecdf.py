"""``kernelkit ecdf``: the exact distribution function of the rows of a table."""

import argparse

from kernelkit.cli.evaluate import (
    Result,
    Rows,
    add_data_options,
    add_query_option,
    add_result_options,
    column,
    evaluate,
)

NAME = "ecdf"
HELP = "evaluate the exact empirical distribution function of the rows of a table"
EXAMPLE = "kernelkit ecdf flights.csv --columns dep_delay,arr_delay --out cdf.npy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    add_data_options(parser)
    add_query_option(parser)
    parser.add_argument(
        "--survival",
        action="store_true",
        help="share of the rows above a query in every feature, not at or below it",
    )
    add_result_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate the function and write one number per row."""
    from kernelkit.density import MultivariateECDF

    def compute(rows: Rows) -> Result:
        distribution = MultivariateECDF(n_jobs=args.n_jobs)
        distribution.fit(rows.X, sample_weight=rows.weights)
        facts = {"features": rows.features}
        if args.survival:
            values = distribution.survival(rows.queries)
            return column("survival", values, facts)
        values = distribution.cdf(rows.queries)
        return column("cdf", values, facts)

    return evaluate(args, compute)
