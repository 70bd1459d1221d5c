"""The ``kernelkit`` command: a module per subcommand.

A module has NAME, HELP, EXAMPLE, ``add_arguments(parser)`` and ``run(args)``, which
returns the exit status; it imports what is heavy inside `run`.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from kernelkit import __version__
from kernelkit.cli import bench, ecdf, info, kde, warmup
from kernelkit.cli.errors import CommandError
from kernelkit.exceptions import KernelKitError

COMMANDS = (ecdf, kde, bench, warmup, info)

EXIT_STATUS = """\
exit status: 0 done, 1 error in kernelkit, 2 wrong usage, 3 bad data or unreadable file,
4 results differ, 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments without the name of the program; None takes them from `sys.argv`.
    """
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has seen enough
        _discard_output()
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if args.debug:
            traceback.print_exc()
        status, message = _explain(error)
        print(f"kernelkit {args.command}: {message}", file=sys.stderr)
        return status


def _explain(error: BaseException) -> tuple[int, str]:
    """Turn an error into an exit status and a line for the user."""
    if isinstance(error, CommandError):
        return error.status, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, OSError) and error.filename is None:  # of a stream
        _discard_output()
        return 3, str(error)
    if isinstance(error, OSError):
        return 3, f"{error.filename}: {error.strerror}"
    if isinstance(error, KernelKitError | MemoryError):
        return 3, str(error) or "not enough memory"
    return 1, f"{type(error).__name__}: {error} (--debug tells where)"


def _parser() -> argparse.ArgumentParser:
    examples = "\n".join(f"  {command.EXAMPLE}" for command in COMMANDS)
    parser = argparse.ArgumentParser(
        prog="kernelkit",
        description="Kernel methods that are exact or come with a guarantee.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n{examples}\n\n{EXIT_STATUS}",
    )
    parser.add_argument(
        "--version", action="version", version=f"kernelkit {__version__}"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.HELP[0].upper() + command.HELP[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"example:\n  {command.EXAMPLE}",
        )
        command.add_arguments(subparser)
        subparser.add_argument(
            "--quiet", action="store_true", help="report no progress on standard error"
        )
        subparser.add_argument(
            "--debug", action="store_true", help="print the traceback of an error"
        )
        subparser.set_defaults(run=command.run)
    return parser


def _discard_output() -> None:
    """Send what standard output still holds nowhere; Python flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
