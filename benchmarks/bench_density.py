"""Speed and memory of the exact ECDF on standard normal rows.

``python -m pytest benchmarks`` prints each figure beside its target. One thread unless
said; the sort is included; medians of 5 after a warm-up.
"""

import json
import math
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from conftest import median_seconds, record
from scipy.stats import ecdf as scipy_ecdf

from kernelkit import MultivariateECDF
from kernelkit.cli.bench._jit_pairs import pair_counts

SMALL, LARGE = 100_000, 1_000_000


@cache
def rows(n, d, seed=0):
    """Draw standard normal rows."""
    return np.random.default_rng(seed).standard_normal((n, d))


def fit_and_evaluate(n, d, n_jobs=1):
    """Evaluate the ECDF of n rows at these rows, from the raw rows."""
    return MultivariateECDF(n_jobs=n_jobs).fit(rows(n, d)).cdf()


@pytest.mark.parametrize(("d", "target"), [(2, 80), (3, 30), (4, 15), (5, 12)])
def bench_against_all_pairs(timed, d, target):
    """Against a compiled loop over all pairs of rows."""
    columns = np.ascontiguousarray(rows(SMALL, d).T)
    counts = np.zeros(SMALL, dtype=np.int64)
    peer = median_seconds(lambda: pair_counts(columns, counts), rounds=3)
    own = timed(lambda: fit_and_evaluate(SMALL, d))
    detail = f"{own * 1e3:.1f} ms against {peer * 1e3:.0f} ms"
    record(
        f"all pairs / ours, n=1e5, d={d}",
        peer / own,
        target,
        at_most=False,
        detail=detail,
    )


def bench_against_scipy(timed):
    """Against scipy.stats.ecdf, fitted and evaluated at its own values."""
    x = rows(LARGE, 1)[:, 0]
    peer = median_seconds(lambda: scipy_ecdf(x).cdf.evaluate(x))
    own = timed(lambda: fit_and_evaluate(LARGE, 1))
    detail = f"{own * 1e3:.0f} ms against {peer * 1e3:.0f} ms"
    record(
        "scipy.stats.ecdf / ours, n=1e6, d=1",
        peer / own,
        4,
        at_most=False,
        detail=detail,
    )


@pytest.mark.parametrize(("d", "target"), [(2, 2.5), (3, 6), (4, 16), (5, 40)])
def bench_against_sorting(timed, d, target):
    """Against np.argsort of each feature alone; with the growth from 1e4 rows on."""
    X = rows(LARGE, d)
    sorting = median_seconds(lambda: [np.argsort(X[:, k]) for k in range(d)])
    own = timed(lambda: fit_and_evaluate(LARGE, d))
    sizes = [LARGE // 100, LARGE // 10]
    seconds = [median_seconds(lambda n=n: fit_and_evaluate(n, d)) for n in sizes]
    slopes = [
        math.log10(b / a) for a, b in zip(seconds, [*seconds[1:], own], strict=True)
    ]
    detail = (
        f"{own * 1e3:.0f} ms against {sorting * 1e3:.0f} ms; time grows as "
        f"n^{slopes[0]:.2f} from 1e4 to 1e5, n^{slopes[1]:.2f} to 1e6"
    )
    record(
        f"ours / {d} argsorts, n=1e6, d={d}",
        own / sorting,
        target,
        at_most=True,
        detail=detail,
    )


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5])
def bench_queries(timed, d):
    """Rows and as many queries off them, against the rows alone."""
    queries = rows(SMALL, d, seed=1)
    own = median_seconds(lambda: fit_and_evaluate(SMALL, d))
    both = timed(lambda: MultivariateECDF().fit(rows(SMALL, d)).cdf(queries))
    detail = f"{both * 1e3:.1f} ms against {own * 1e3:.1f} ms"
    record(
        f"queries / own rows, n=1e5, d={d}", both / own, 4, at_most=True, detail=detail
    )


@pytest.mark.parametrize("d", [3, 4, 5])
@pytest.mark.parametrize(("n", "target"), [(SMALL, 1.5), (LARGE, 1.6)])
def bench_two_threads(timed, n, target, d):
    """One thread against two."""
    one = median_seconds(lambda: fit_and_evaluate(n, d))
    two = timed(lambda: fit_and_evaluate(n, d, n_jobs=2))
    detail = f"{one * 1e3:.0f} ms against {two * 1e3:.0f} ms"
    record(
        f"1 thread / 2 threads, n={n:.0e}, d={d}",
        one / two,
        target,
        at_most=False,
        detail=detail,
    )


PROCESS = """
import json, time
import numpy as np
from kernelkit import MultivariateECDF

def seconds(n, d):
    X = np.random.default_rng(0).standard_normal((n, d))
    start = time.perf_counter()
    MultivariateECDF().fit(X).cdf()
    return time.perf_counter() - start

def peak():
    # Not ru_maxrss, which starts from the memory of the parent process.
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

first = seconds(20_000, 4)
second = seconds(20_000, 4)
X = np.random.default_rng(0).standard_normal((1_000_000, 4))
before = peak()
MultivariateECDF().fit(X).cdf()
print(json.dumps([first - second, (peak() - before) / X.nbytes]))
"""


def bench_fresh_process(timed):
    """First call and peak memory, in a process that finds a filled cache."""
    command = [sys.executable, "-c", PROCESS]
    subprocess.run(command, check=True, capture_output=True)  # fills the cache
    output = []
    timed(lambda: output.append(subprocess.check_output(command, text=True)))
    first, memory = np.median([json.loads(line) for line in output], axis=0)
    record("first call - second call, seconds, d=4", first, 0.5, at_most=True)
    record("peak extra memory / input, n=1e6, d=4", memory, 20, at_most=True)
