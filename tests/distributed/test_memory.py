"""Rows stay with the workers, which hold a few chunks each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import streaming
from kills import IS_FULL

NAMES = streaming.TASKS if IS_FULL else ["ridge"]
BYTES_PER_ROW = {"design": 70}  # of the client, as it says
_MIB = 2**20


def stream(name, **options):
    """Stream rows in processes that hold nothing else; see `streaming.stream`."""
    folder = Path(streaming.__file__).parent
    words = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    ended = subprocess.run(
        [sys.executable, folder / "streaming.py", name, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_four_times_the_memory(name, record_property):
    """Seen red with X.compute() in a fit."""
    limit = 640 * _MIB
    d, chunk = 40, 100_000
    n = -(-4 * limit // (8 * d * chunk)) * chunk

    figures = stream(name, n=n, d=d, chunk=chunk, memory_limit=limit)

    peak = max(figures["worker_peak_bytes"]) / _MIB
    client = figures["client_growth_bytes"] / _MIB
    line = f"client {client:.0f} MiB more, workers up to {peak:.0f} of 640 MiB"
    record_property("campaign line", f"Rows of 2.5 GiB, {name}: {line}")
    assert figures["n_lost_workers"] == 0
    growth = figures["client_growth_bytes"] - BYTES_PER_ROW.get(name, 0) * n
    assert growth < 3 * figures["chunk_bytes"]


@pytest.mark.slow
def test_distribution_function_of_many_rows():
    """Seen red with all rows in one chunk."""
    figures = stream("ecdf", n=2_000_000, d=3, chunk=100_000, n_queries=20_000)

    assert max(figures["worker_peak_bytes"]) < 2**30
    assert figures["client_growth_bytes"] < 100 * _MIB
