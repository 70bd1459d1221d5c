"""Rows per second of the classes on Dask, on one and two workers of this machine."""

import logging
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures

import kernelkit
from kernelkit.cli.bench import DIFFERS, cases, report
from kernelkit.cli.bench.cases import MEASURES, Array
from kernelkit.cli.output import write_file
from kernelkit.cli.progress import progress
from kernelkit.exceptions import MissingDependencyError

WORKERS = (1, 2)
_PACKAGES = "kernelkit", "dask", "distributed"

_N, _D = 100_000, 3
_JUDGED = 10_000  # rows that the plain class is asked about, too
_QUERIES = 1_000
_CHUNKS = 16  # of few rows; many are in chunks of
_CHUNK = 250_000

_Answer = tuple[Array, Any]


@dataclass(frozen=True)
class _Task:
    """Work on rows, the same for a class on Dask and the plain one.

    Attributes
    ----------
    title : str
        What is done.
    solve : callable
        Takes a package that has the class, rows and targets, queries, and what another
        solution drew at random, or None. Returns values, and what it drew.
    error : str
        How errors are measured, a key of `MEASURES`.
    tolerance : float
        Largest error of a right answer.
    """

    title: str
    solve: Callable[[Any, Any, Any, Array, Any], _Answer]
    error: str
    tolerance: float


@dataclass(frozen=True)
class _Case:
    """Time and error of a task on some workers; a wrong answer has no speed."""

    task: str
    name: str
    n: int
    d: int
    workers: int
    threads: int
    cold_seconds: float | None
    warm_seconds: dict[str, Any] | None
    rows_per_second: float | None
    n_judged: int
    error: float
    tolerance: float

    @property
    def is_right(self) -> bool:
        return self.error <= self.tolerance  # NaN is not


def run(args: Namespace) -> int:
    """Run the cases, print a table, and return whether all answers were right."""
    LocalCluster, Client = _cluster_classes()
    task = TASKS[args.task]
    sizes = [(n, d) for d in args.d or [_D] for n in args.n or [_N]]
    found = []
    with progress("bench", len(sizes) * len(WORKERS), quiet=args.quiet) as advance:
        for workers in WORKERS:
            with (
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.ERROR,
                ) as cluster,
                Client(cluster),
            ):
                for n, d in sizes:
                    found.append(_run_case(args, task, n, d, workers))
                    advance()
    print(_as_text(task, found))
    if args.json is not None:
        parameters = {
            "data": "standard normal",
            "n": sorted({n for n, _ in sizes}),
            "d": sorted({d for _, d in sizes}),
            "workers": WORKERS,
            "repeat": args.repeat,
            "seed": args.seed,
        }
        record = report.as_json(parameters, found, _PACKAGES, [])
        write_file(args.json, [record], force=args.force)
    return 0 if all(case.is_right for case in found) else DIFFERS


def _cluster_classes() -> tuple[Any, Any]:
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingDependencyError(
            "--dask needs Dask, which is not installed: "
            "pip install 'kernelkit[distributed]'"
        ) from error
    return LocalCluster, Client


def _run_case(args: Namespace, task: _Task, n: int, d: int, workers: int) -> _Case:
    """Time a task, and judge it on some of the rows."""
    from kernelkit import distributed

    queries = np.random.default_rng(args.seed).standard_normal((_QUERIES, d))
    X, y = _draw(args.seed, n, d)
    X_head, y_head = X[:_JUDGED], y[:_JUDGED]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # searches end early

        def solve() -> float:
            start = time.perf_counter()
            task.solve(distributed, X, y, queries, None)
            return time.perf_counter() - start

        cold, warm = solve(), cases.warm_seconds(solve, args.repeat)
        got, drawn = task.solve(distributed, X_head, y_head, queries, None)
        expected, _ = task.solve(
            kernelkit, X_head.compute(), y_head.compute(), queries, drawn
        )
    case = _Case(
        task=args.task,
        name="kernelkit.distributed",
        n=n,
        d=d,
        workers=workers,
        threads=1,
        cold_seconds=cold,
        warm_seconds=warm,
        rows_per_second=n / warm["median"],
        n_judged=len(X_head),
        error=MEASURES[task.error](np.abs(got - expected), expected),
        tolerance=task.tolerance,
    )
    if case.is_right:
        return case
    return replace(case, cold_seconds=None, warm_seconds=None, rows_per_second=None)


def _draw(seed: int, n: int, d: int) -> tuple[Any, Any]:
    """Plan rows and targets, which workers draw chunk by chunk."""
    import dask.array

    rows = min(-(-n // _CHUNKS), _CHUNK)
    rng = dask.array.random.default_rng(seed)
    X = rng.standard_normal((n, d), chunks=(rows, -1))
    return X, dask.array.sin(2.0 * X[:, 0]) + X[:, 0] * X[:, -1]


def _as_text(task: _Task, found: Sequence[_Case]) -> str:
    titles = [f"{workers} worker" + "s" * (workers > 1) for workers in WORKERS]
    lines = [["n", "d", *titles, "judged", "error"]]
    problems = dict.fromkeys((case.n, case.d) for case in found)
    for n, d in problems:
        same = [case for case in found if (case.n, case.d) == (n, d)]
        error = max((case.error for case in same), key=np.nan_to_num)
        speeds = [
            "MISMATCH" if speed is None else f"{speed:,.0f}"
            for speed in (case.rows_per_second for case in same)
        ]
        lines.append(
            [f"{n:,}", f"{d}", *speeds, f"{same[0].n_judged:,}", f"{error:.2g}"]
        )
    measure = "" if task.error == "absolute" else f", {task.error}"
    wrong = [
        f"MISMATCH: {case.workers} workers, n = {case.n:,}, d = {case.d}: "
        f"an answer is off by {case.error:.2g}"
        for case in found
        if not case.is_right
    ]
    return "\n".join(
        [
            f"{task.title}: standard normal rows, drawn by workers",
            "",
            *report.aligned(lines),
            "",
            "worker, workers: rows per second of processes with one thread each, warm "
            "median",
            "judged: the first rows, of which the answers were compared with the plain "
            "class",
            f"error: the largest{measure}, {task.tolerance:.2g} allowed",
            *wrong,
        ]
    )


def _ecdf(package: Any, X: Any, y: Any, queries: Array, drawn: Any) -> _Answer:
    return package.MultivariateECDF().fit(X).cdf(queries), None


def _kde(package: Any, X: Any, y: Any, queries: Array, drawn: Any) -> _Answer:
    model = package.ProductKernelDensity(bandwidth=0.5).fit(X)
    return np.exp(model.score_samples(queries)), None


def _ridge(package: Any, X: Any, y: Any, queries: Array, drawn: Any) -> _Answer:
    centers = "rls" if drawn is None else drawn
    model = package.NystroemRidge(n_components=100, centers=centers, random_state=0)
    return model.fit(X, y).predict(queries), model.components_


def _design(package: Any, X: Any, y: Any, queries: Array, drawn: Any) -> _Answer:
    features = PolynomialFeatures(3, include_bias=False)
    model = package.DesignLeastSquares(features, random_state=0)
    return model.fit(X, y).predict(queries), None


def _rbf(package: Any, X: Any, y: Any, queries: Array, drawn: Any) -> _Answer:
    model = package.GaussianRBFRegressor(
        30, precision="diag", max_iter=5, random_state=0
    )
    return np.array(model.fit(X, y).loss_curve_), None


def _ntk(package: Any, X: Any, y: Any, queries: Array, drawn: Any) -> _Answer:
    values = np.sin(2.0 * queries[:, 0]) + queries[:, 0] * queries[:, -1]
    machine = kernelkit.NTKSVC().fit(queries, values > 0.0)
    if package is kernelkit:
        return machine.decision_function(X), None
    return package.predict(machine, X, "decision_function").compute(), None


TASKS = {
    "ecdf": _Task(
        f"Distribution function at {_QUERIES:,} points", _ecdf, "absolute", 0.0
    ),
    "kde": _Task(f"Kernel density at {_QUERIES:,} points", _kde, "relative", 1e-12),
    "ridge": _Task(
        "Kernel ridge regression on 100 centres",
        _ridge,
        "of the highest value",
        1e-9,
    ),
    "design": _Task(
        "Least squares on chosen rows, cubic polynomials",
        _design,
        "of the highest value",
        1e-10,
    ),
    "rbf": _Task("Five steps of a network of 30 Gaussians", _rbf, "relative", 1e-8),
    "ntk": _Task(
        "Predictions of a neural tangent kernel machine",
        _ntk,
        "of the highest value",
        1e-13,
    ),
}
"""By the name of a task without Dask: the same kind of work on chunks."""
