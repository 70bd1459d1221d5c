"""Signs of life on standard error."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PERIOD = 10  # seconds between plain lines


@contextmanager
def progress(
    doing: str, total: int | None = None, *, quiet: bool
) -> Iterator[Callable[[], None]]:
    """Report while the body runs: a bar on a terminal with rich, else plain lines.

    Parameters
    ----------
    doing : str
        What the body does.
    total : int or None, default=None
        Number of its steps, if they can be counted.
    quiet : bool
        Report nothing.

    Yields
    ------
    advance : callable
        To be called after each step.
    """
    if quiet:
        yield lambda: None
        return
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import Progress
        except ImportError:
            pass
        else:
            with Progress(
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                refresh_per_second=2,
            ) as bar:
                task = bar.add_task(doing, total=total)
                yield lambda: bar.advance(task)
            return
    with _plain_lines(doing, total) as advance:
        yield advance


@contextmanager
def _plain_lines(doing: str, total: int | None) -> Iterator[Callable[[], None]]:
    steps = 0
    finished = threading.Event()

    def advance() -> None:
        nonlocal steps
        steps += 1

    def report() -> None:
        seconds = 0
        while not finished.wait(_PERIOD):
            seconds += _PERIOD
            count = "" if total is None else f", {steps} of {total}"
            print(f"kernelkit: {doing}{count}, {seconds} s", file=sys.stderr)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        finished.set()
        thread.join()
