"""Compare with a peer in the same run, and print each ratio beside its target."""

import statistics
import time

import pytest

ROUNDS = 5
_ROWS = []


def median_seconds(function, rounds=ROUNDS):
    """Median time of a few calls, after one that warms up."""
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def record(name, value, target, *, at_most, detail=""):
    """Keep a figure for the table at the end of the run."""
    met = value <= target if at_most else value >= target
    sign = "<=" if at_most else ">="
    _ROWS.append(
        (name, f"{value:.3g}", f"{sign} {target:g}", "met" if met else "MISSED", detail)
    )


@pytest.fixture
def timed(benchmark):
    """Time a function as pytest-benchmark does; returns its median seconds."""

    def run(function):
        benchmark.pedantic(function, rounds=ROUNDS, warmup_rounds=1)
        return benchmark.stats.stats.median

    return run


def pytest_terminal_summary(terminalreporter):
    """Print the figures."""
    if _ROWS:
        header = ("figure", "measured", "target", "", "detail")
        widths = [max(map(len, column)) for column in zip(header, *_ROWS, strict=True)]
        for row in (header, *_ROWS):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.write_line("  ".join(cells).rstrip())
