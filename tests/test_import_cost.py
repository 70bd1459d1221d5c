"""``import kernelkit`` is cheap."""

import json
import statistics
import subprocess
import sys

HEAVY = {"numba", "sklearn", "scipy.stats", "matplotlib", "dask"}


def run(code):
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def test_import_takes_little_time():
    """At most 0.15 s over NumPy, the median of five processes.

    Seen red with an import of scikit-learn.
    """
    code = (
        "import time, numpy; start = time.perf_counter(); import kernelkit; "
        "print(time.perf_counter() - start)"
    )

    seconds = statistics.median(run(code) for _ in range(5))

    assert seconds <= 0.15


def test_import_loads_nothing_heavy():
    """Seen red with an import of scikit-learn."""
    loaded = run("import sys, json, kernelkit; print(json.dumps(sorted(sys.modules)))")

    assert "kernelkit" in loaded
    assert not HEAVY.intersection(loaded)
