"""``kernelkit bench``: time kernelkit beside its peers, after judging every answer.

A task is a module beside this one with JUDGE, ``title(args)``, ``problem(args, n, d)``
and ``methods(args)``, and a line in TASKS.
"""

import argparse
from typing import TYPE_CHECKING, Any

from kernelkit.cli.arguments import whole_number

if TYPE_CHECKING:
    from kernelkit.cli.bench.cases import Method

NAME = "bench"
HELP = "time kernelkit beside the peers that are installed, on judged answers"
EXAMPLE = "kernelkit bench ecdf --n 1e3,1e4,1e5 --d 2,3 --plot time.png"

TASKS = {
    "design": "kernelkit.cli.bench.design",
    "ecdf": "kernelkit.cli.bench.ecdf",
    "kde": "kernelkit.cli.bench.kde",
    "ntk": "kernelkit.cli.bench.ntk",
    "rbf": "kernelkit.cli.bench.rbf",
    "ridge": "kernelkit.cli.bench.ridge",
}
DIFFERS = 4  # exit status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument(
        "task", nargs="?", choices=TASKS, default="ecdf", help="default: ecdf"
    )
    parser.add_argument(
        "--n",
        type=_whole_numbers,
        metavar="N,...",
        help="numbers of rows, standard normal, of ridge clusters, of rbf Friedman's "
        "first problem (default: flight records, of rbf and ntk data sets)",
    )
    parser.add_argument(
        "--d",
        type=_whole_numbers,
        metavar="D,...",
        help="numbers of features (default: 1,2,3,4; 2 with --grid; 3 of ridge; 2,3 "
        "of design; with --n 10 of rbf, 64 of ntk)",
    )
    parser.add_argument(
        "--grid",
        type=whole_number(2),
        metavar="N",
        help="of kde: evaluate at a grid of N nodes per feature",
    )
    parser.add_argument(
        "--centers",
        type=whole_number(1),
        metavar="N",
        help="of ridge: number of centres (default: 500)",
    )
    parser.add_argument(
        "--dask",
        action="store_true",
        help="instead, rows per second of the class on Dask, on 1 and 2 workers that "
        "draw the rows (default: 100,000 of 3 features)",
    )
    parser.add_argument(
        "--against",
        metavar="PEER,...",
        help="peers to compare with (default: all that are installed)",
    )
    parser.add_argument(
        "--repeat",
        type=whole_number(1),
        default=5,
        metavar="N",
        help="warm calls of each method, fewer if they take long (default: 5)",
    )
    parser.add_argument(
        "--n-jobs",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="threads of kernelkit; its peers have one (default: 1)",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="of the rows (default: 0)",
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw time against rows in FILE, a .png"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite the files of --json and --plot"
    )
    parser.set_defaults(error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Run the cases, print a table, and return whether all answers were right."""
    from importlib import import_module

    from kernelkit.cli.bench import report
    from kernelkit.cli.bench.cases import run_case
    from kernelkit.cli.bench.rows import data_name, sizes_of
    from kernelkit.cli.output import check_targets, figure_class, write_file
    from kernelkit.cli.progress import progress

    if args.grid is not None and args.task != "kde":
        args.error("--grid is for kde")
    if args.centers is not None and args.task != "ridge":
        args.error("--centers is for ridge")
    # Refuse before the work what fails after it.
    check_targets(args.json, args.plot, force=args.force)
    if args.dask:
        return _run_dask(args)
    if args.plot is not None:
        figure_class()
    task: Any = import_module(TASKS[args.task])
    methods = _choose(task.methods(args), args)
    sizes = sizes_of(args)
    absent = [method.name for method in methods if not method.is_present()]
    cases = []
    with progress("bench", len(sizes) * len(methods), quiet=args.quiet) as advance:
        for n, d in sizes:
            problem = task.problem(args, n, d)
            for method in methods:
                if method.name not in absent and method.handles(n, d):
                    cases.append(run_case(method, problem, repeat=args.repeat))
                advance()
    title = f"{task.title(args)}: {data_name(args)}"
    print(report.as_text(title, task.JUDGE, cases, methods, absent))
    if args.json is not None:
        parameters = {
            "data": data_name(args),
            "n": sorted({n for n, _ in sizes}),
            "d": sorted({d for _, d in sizes}),
            "against": [method.name for method in methods[1:]],
            "repeat": args.repeat,
            "n_jobs": args.n_jobs,
            "seed": args.seed,
        }
        for name in ("grid", "centers"):
            if getattr(args, name) is not None:
                parameters[name] = getattr(args, name)
        packages = dict.fromkeys(method.package for method in methods)
        record = report.as_json(parameters, cases, [*packages], absent)
        write_file(args.json, [record], force=args.force)
    if args.plot is not None:
        write_file(args.plot, [report.as_png(title, cases)], force=args.force)
    return 0 if all(case.is_right for case in cases) else DIFFERS


def _run_dask(args: argparse.Namespace) -> int:
    for name in ("grid", "centers", "against", "plot"):
        if getattr(args, name) is not None:
            args.error(f"--{name} is not for --dask")
    if args.n_jobs != 1:
        args.error("--n-jobs is not for --dask: workers have one thread each")
    from kernelkit.cli.bench import dask

    return dask.run(args)


def _choose(methods: "list[Method]", args: argparse.Namespace) -> "list[Method]":
    """Leave kernelkit and the peers that were asked for."""
    if args.against is None:
        return methods
    ours, *peers = methods
    wanted = args.against.split(",")
    unknown = set(wanted) - {peer.name for peer in peers}
    if unknown:
        known = ", ".join(peer.name for peer in peers)
        args.error(f"unknown peer {', '.join(sorted(unknown))}; there are {known}")
    return [ours, *(peer for peer in peers if peer.name in wanted)]


def _whole_numbers(text: str) -> list[int]:
    return [whole_number(1)(part) for part in text.split(",")]
