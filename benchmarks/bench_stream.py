"""Rows that workers draw, many more than fit into memory.

``python -m pytest benchmarks/bench_stream.py -c benchmarks/pytest.ini`` prints memory
beside its targets, and rows per second.
"""

import json
import subprocess
import sys
from pathlib import Path

from conftest import record

TESTS = Path(__file__).parents[1] / "tests"


def bench_stream():
    """Evaluate the distribution function of 1e8 rows at 1e5 queries, on two workers."""
    options = {"n": 100_000_000, "d": 3, "chunk": 500_000, "n-queries": 100_000}
    ended = subprocess.run(
        [
            sys.executable,
            TESTS / "streaming.py",
            "ecdf",
            *(f"--{name}={value}" for name, value in options.items()),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures = json.loads(ended.stdout)
    peak = max(figures["worker_peak_bytes"]) / 2**30
    speed = f"{figures['rows_per_second']:,.0f} rows per second"
    record("peak memory of a worker, GiB", peak, 1.0, at_most=True, detail=speed)
    growth = figures["client_growth_bytes"] / 2**20
    record("growth of the client, MiB", growth, 100.0, at_most=True)
