"""Rows stay with the workers, which hold a few chunks each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import streaming

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
@pytest.mark.parametrize("name", streaming.TASKS)
def test_rows_of_four_times_the_memory(name):
    """Seen red with X.compute() in a fit."""
    limit = 640 * _MIB
    d, chunk = 40, 100_000
    n = -(-4 * limit // (8 * d * chunk)) * chunk

    figures = stream(name, n=n, d=d, chunk=chunk, memory_limit=limit)

    assert figures["n_lost_workers"] == 0
    assert figures["client_growth_bytes"] < 3 * figures["chunk_bytes"]


@pytest.mark.slow
def test_distribution_function_of_many_rows():
    """Seen red with all rows in one chunk."""
    figures = stream("ecdf", n=2_000_000, d=3, chunk=100_000, n_queries=20_000)

    assert max(figures["worker_peak_bytes"]) < 2**30
    assert figures["client_growth_bytes"] < 100 * _MIB
