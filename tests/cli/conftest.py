import io
import sys
from collections import namedtuple
from contextlib import redirect_stderr, redirect_stdout

import pytest

from kernelkit.cli import main

Ended = namedtuple("Ended", ["status", "out", "err"])


@pytest.fixture(scope="session")
def run():
    """Run the command line in this process: ``run(*arguments, stdin=b"")``."""

    def run_main(*arguments, stdin=b""):
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(out),
            redirect_stderr(io.StringIO()) as err,
        ):
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as error:  # of argparse
                status = error.code
            out.flush()
            return Ended(status, out.buffer.getvalue(), err.getvalue())

    return run_main
