"""What every benchmark shares: methods, problems, and the record of a case."""

import importlib
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]

TOLERANCE = 1e-12  # on the error of a right answer
_PATIENCE = 1.0  # seconds of warm calls after which no further one is made


def _absolute(errors: Values, expected: Values) -> float:
    return float(errors.max())


def _relative(errors: Values, expected: Values) -> float:
    return float((errors / np.abs(expected)).max())


def _of_the_peak(errors: Values, expected: Values) -> float:
    return float((errors / np.abs(expected).max()).max())


def _mean_square(errors: Values, expected: Values) -> float:
    return float(np.sqrt(np.mean(errors**2) / np.mean(expected**2)))


MEASURES = {
    "absolute": _absolute,
    "relative": _relative,
    "of the highest value": _of_the_peak,
    "root mean square": _mean_square,
    "of what chance allows": _absolute,
}
"""By what is said of an error: how it is measured."""


@dataclass(frozen=True)
class Method:
    """One way to solve a task.

    Attributes
    ----------
    name : str
        What ``--against`` calls it.
    module : str
        Where it comes from.
    description : str
        What is called, and up to which size.
    solve : callable
        Takes a problem, or what `prepare` made of it, and returns the values: as many
        as the problem has, NaN where there are none; or what makes them `judgeable`.
    handles : callable
        Takes the number of rows and of features; tells whether it is run on them.
    threads : int
        How many it uses.
    prepare : callable
        Takes a problem; does what is timed, but not scaled by `share`.
    share : callable
        Takes the number of rows and of features; returns the share of the values that
        `solve` computes. Its seconds are divided by that.
    expected : callable
        Takes a problem; returns what a judge says of the values at `judged`.
    error : str
        How errors are measured, a key of `MEASURES`.
    tolerance : callable
        Takes a problem; returns the largest error of a right answer.
    """

    name: str
    module: str
    description: str
    solve: Callable[[Any], Array]
    handles: Callable[[int, int], bool] = lambda n, d: True
    threads: int = 1
    prepare: Callable[[Any], Any] = lambda problem: problem
    share: Callable[[int, int], float] = lambda n, d: 1.0
    expected: Callable[[Any], Values] = lambda problem: problem.expected
    error: str = "absolute"
    tolerance: Callable[[Any], float] = lambda problem: TOLERANCE

    @property
    def package(self) -> str:
        """Name of the package that `module` belongs to."""
        return self.module.partition(".")[0]

    def is_present(self) -> bool:
        """Tell whether it can be imported; the import is not to be timed."""
        try:
            importlib.import_module(self.module)
        except ImportError:
            return False
        return True


@dataclass(frozen=True)
class Problem:
    """Rows, and what a judge says about some of them.

    Attributes
    ----------
    task : str
        What is to be computed.
    X : ndarray of shape (n, d)
        Rows.
    algorithm : str
        How kernelkit solves it.
    judged : ndarray of shape (n_judged,)
        Positions of the values that the judge knows.
    expected : ndarray of shape (n_judged,)
        Those values.
    data : str or None
        Name of the rows, where a task has several kinds.
    """

    task: str
    X: Array
    algorithm: str
    judged: Array
    expected: Values
    data: str | None = field(default=None, kw_only=True)

    def judgeable(self, values: Array) -> Values:
        """Turn an answer into values that can be judged: it consists of such."""
        return values

    def test_error(self, values: Values) -> float | None:
        """Measure how well the values predict, where they are predictions."""
        return None

    def importances(self, values: Array) -> list[float] | None:
        """Return how much each feature matters, where an answer tells."""
        return None


@dataclass(frozen=True)
class Case:
    """Time, memory and errors of a method on a problem.

    The extra memory is what the peak was above the memory in use before. A wrong answer
    has no speed: its seconds are None. Where `share` is less than 1, only that share of
    the values was computed and the seconds are scaled up.
    """

    task: str
    name: str
    algorithm: str | None
    n: int
    d: int
    threads: int
    cold_seconds: float | None
    warm_seconds: dict[str, Any] | None
    peak_rss_bytes: int | None
    extra_rss_bytes: int | None
    share: float
    n_values: int
    n_judged: int
    max_abs_error: float
    max_rel_error: float
    error: float
    tolerance: float
    test_error: float | None
    data: str | None
    importances: list[float] | None

    @property
    def is_right(self) -> bool:
        """Whether the answer is that of the judge."""
        return self.error <= self.tolerance  # NaN is not


def run_case(method: Method, problem: Problem, *, repeat: int) -> Case:
    """Solve a problem once cold, up to `repeat` times warm, and judge the answer.

    "Cold" is the first call on these rows in this process; the very first one loads or
    compiles what it needs. The peak is of the process, whatever else it holds.
    """
    _reset_peak()
    before = _peak_rss_bytes()
    values, cold = _timed(method, problem)
    warm = warm_seconds(lambda: _timed(method, problem)[1], repeat)
    peak = _peak_rss_bytes()
    expected = method.expected(problem)
    judgeable = problem.judgeable(values)
    errors = np.abs(judgeable[problem.judged] - expected)
    n, d = problem.X.shape
    case = Case(
        task=problem.task,
        name=method.name,
        algorithm=problem.algorithm if method.name == "kernelkit" else None,
        n=n,
        d=d,
        threads=method.threads,
        cold_seconds=cold,
        warm_seconds=warm,
        peak_rss_bytes=peak,
        extra_rss_bytes=None if peak is None or before is None else peak - before,
        share=method.share(n, d),
        n_values=judgeable.size,
        n_judged=problem.judged.size,
        max_abs_error=_absolute(errors, expected),
        max_rel_error=_relative(errors, expected),
        error=MEASURES[method.error](errors, expected),
        tolerance=method.tolerance(problem),
        test_error=problem.test_error(values),
        data=problem.data,
        importances=problem.importances(values),
    )
    if case.is_right:
        return case
    return replace(case, cold_seconds=None, warm_seconds=None)


def warm_seconds(call: Callable[[], float], repeat: int) -> dict[str, Any]:
    """Sum up the seconds of up to `repeat` calls, fewer if they take long."""
    warm: list[float] = []
    while len(warm) < repeat and sum(warm) < _PATIENCE:
        warm.append(call())
    return {"min": min(warm), "median": float(np.median(warm)), "all": warm}


def _timed(method: Method, problem: Problem) -> tuple[Array, float]:
    start = time.perf_counter()
    prepared = method.prepare(problem)
    middle = time.perf_counter()
    values = method.solve(prepared)
    solving = time.perf_counter() - middle
    return values, middle - start + solving / method.share(*problem.X.shape)


def _reset_peak() -> None:
    with suppress(OSError):  # only Linux can
        Path("/proc/self/clear_refs").write_text("5")


def _peak_rss_bytes() -> int | None:
    """Highest resident memory since the reset, or since the start where none is."""
    with suppress(OSError, IndexError):
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
