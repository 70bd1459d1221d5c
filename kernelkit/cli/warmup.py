"""``kernelkit warmup``: compile ahead of the first call."""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAME = "warmup"
HELP = "fill numba's cache of compiled loops, so that no first call has to compile"
EXAMPLE = "NUMBA_CACHE_DIR=/opt/cache kernelkit warmup"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument(
        "--only",
        choices=PROBLEMS,
        metavar="NAME",
        help=f"warm up one estimator only: {', '.join(PROBLEMS)}",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Solve small problems and print what each compiled loop cost and stored."""
    import json
    import time

    from kernelkit.cli.progress import progress

    chosen = PROBLEMS if args.only is None else {args.only: PROBLEMS[args.only]}
    start = time.perf_counter()
    with progress("warmup", len(chosen), quiet=args.quiet) as advance:
        for solve in chosen.values():
            solve()
            advance()
    elapsed = time.perf_counter() - start
    loops: list[dict[str, Any]] = [
        {"name": name, "seconds": _seconds(loop), "files": cache_files(loop)}
        for name, loop in compiled_loops()
    ]
    if args.json:
        print(json.dumps({"seconds": elapsed, "loops": loops}, indent=2))
        return 0
    if not loops:
        print("nothing to compile: NUMBA_DISABLE_JIT is set")
        return 0
    width = max(len(loop["name"]) for loop in loops)
    print(f"{'compiled loop':{width}}  seconds  files")
    for loop in loops:
        print(f"{loop['name']:{width}}  {loop['seconds']:7.2f}  {len(loop['files']):5}")
    print(f"\n{elapsed:.2f} s in all; the seconds of a loop include those it calls")
    if not any(loop["files"] for loop in loops):
        print("nothing is stored: set NUMBA_CACHE_DIR to a folder that is writable")
    return 0


def _solve_ecdf() -> None:
    """Count and weigh by every algorithm, with enough rows for a tree to split."""
    import numpy as np

    from kernelkit.density import MultivariateECDF

    rng = np.random.default_rng(0)
    n = 2000
    for d in (1, 2, 3):
        X, queries, weights = rng.random((n, d)), rng.random((n, d)), rng.random(n)
        for algorithm in ("sweep", "tree", "bitset", "brute"):
            if algorithm == "sweep" and d > 2:
                continue
            distribution = MultivariateECDF(algorithm=algorithm)
            distribution.fit(X).cdf(queries)
            if algorithm != "bitset":
                distribution.fit(X, sample_weight=weights).cdf(queries)


# A kernel of each family that has loops of its own, and the algorithms that take it.
_FAMILIES: dict[str, tuple[str, ...]] = {
    "laplacian": ("tree", "brute"),
    "matern52": ("tree", "brute"),
    "silverman": ("tree", "brute"),
    "epanechnikov": ("tree", "window", "brute"),
    "gaussian": ("brute",),
}


def _fitting(d: int) -> Iterator[tuple[str, str]]:
    """List kernels with the algorithms that take them and d features."""
    for kernel, algorithms in _FAMILIES.items():
        for algorithm in algorithms:
            if d <= 2 or (kernel, algorithm) != ("epanechnikov", "tree"):
                yield kernel, algorithm


def _solve_density() -> None:
    """Sum kernels of every family by every algorithm, with enough rows to split."""
    import numpy as np

    from kernelkit.density import ProductKernelDensity

    rng = np.random.default_rng(0)
    n = 1200
    for d in (1, 2, 3):
        X, queries, weights = rng.random((n, d)), rng.random((n, d)), rng.random(n)
        for kernel, algorithm in _fitting(d):
            density = ProductKernelDensity(kernel, bandwidth=0.1, algorithm=algorithm)
            density.fit(X).score_samples()
            density.fit(X, sample_weight=weights).score_samples(queries)
            density.score_samples(queries[:2] + 1000.0)  # below the least float
            density.cdf(queries)
            density.evaluate_grid([np.linspace(0.0, 1.0, 8)] * d)


def _solve_regression() -> None:
    """Fit means and lines, with kernels of every family."""
    import numpy as np

    from kernelkit.density import ProductKernelRegressor

    rng = np.random.default_rng(0)
    n = 400
    for d in (1, 2, 3):
        X, y, weights = rng.random((n, d)), rng.random(n), rng.random(n)
        for (kernel, algorithm), order in itertools.product(_fitting(d), (0, 1)):
            if (kernel, order) == ("silverman", 1):
                continue
            regressor = ProductKernelRegressor(
                kernel, bandwidth=0.1, order=order, algorithm=algorithm
            )
            regressor.fit(X, y, sample_weight=weights).loo_predict()
            regressor.predict(rng.random((n, d)))


def _solve_kernels() -> None:
    """Compare rows by every kernel with a loop, in both precisions."""
    import numpy as np

    from kernelkit.nystroem import NystroemRidge

    rng = np.random.default_rng(0)
    for d, precision in itertools.product((3, 20), (np.float32, np.float64)):
        X, y = rng.random((50, d)).astype(precision), rng.random(50)
        for kernel in ("rbf", "laplacian", "poly"):
            NystroemRidge(kernel=kernel).fit(X, y).predict(X)


def _solve_designs() -> None:
    """Evaluate every basis, draw by both algorithms and reduce both ways."""
    import numpy as np

    from kernelkit.design import (
        ChebyshevBasis,
        DesignLeastSquares,
        FourierBasis,
        HermiteBasis,
        LegendreBasis,
        sample_design,
    )

    X = np.random.default_rng(0).random((60, 2))
    for Basis in (ChebyshevBasis, FourierBasis, HermiteBasis, LegendreBasis):
        features = Basis(3).fit_transform(X)
        sample_design(Basis(3).fit(X), 30, delta=None, random_state=0)
    HermiteBasis(3).fit(X).directions(1e200 * X)
    for method in ("a_optimal", "d_optimal"):
        sample_design(features, 40, reduce_to=1.5, reduce_method=method, random_state=0)
    DesignLeastSquares(LegendreBasis(2), random_state=0).fit(X, X[:, 0]).predict(X)


def _solve_machines() -> None:
    """Compute kernels of every kind, of dense and sparse rows, and train machines."""
    import numpy as np
    from scipy import sparse

    from kernelkit.kernels import NeuralTangent
    from kernelkit.ntk import NTKSVC, NTKSVR

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), np.arange(30) % 2
    for activation in ("relu", "erf", "gelu", np.tanh):
        NeuralTangent(depth=2, activation=activation)(X, X[:5])
    NeuralTangent()(sparse.csr_array(X))
    NTKSVC().fit(X, y).predict(X)
    NTKSVR().fit(X, X[:, 0]).predict(X)


PROBLEMS: dict[str, Callable[[], None]] = {
    "DesignLeastSquares": _solve_designs,
    "MultivariateECDF": _solve_ecdf,
    "NTKSVC": _solve_machines,
    "NystroemRidge": _solve_kernels,
    "ProductKernelDensity": _solve_density,
    "ProductKernelRegressor": _solve_regression,
}
"""For each estimator, problems that reach all its compiled loops."""


def compiled_loops() -> Iterator[tuple[str, Any]]:
    """Find the compiled loops of the modules that have been imported."""
    for module_name, module in sorted(sys.modules.items()):
        package, _, file = module_name.rpartition(".")
        if package.startswith("kernelkit") and file.startswith("_jit_"):
            for name, loop in vars(module).items():
                if hasattr(loop, "py_func") and loop.py_func.__module__ == module_name:
                    yield f"{module_name.partition('.')[2]}.{name}", loop


def cache_files(loop: Any) -> list[str]:
    """List the files that numba has stored for a loop as it stands."""
    if loop.stats.cache_path is None:
        return []
    code = loop.py_func.__code__
    pattern = f"{Path(code.co_filename).stem}.{code.co_name}-{code.co_firstlineno}.py*"
    return sorted(map(str, Path(loop.stats.cache_path).glob(pattern)))


def _seconds(loop: Any) -> float:
    """Sum what compiling took in this process: nothing for what came from the cache."""
    metadata = [loop.get_metadata(signature) for signature in loop.signatures]
    return sum(entry["timers"]["compiler_lock"] for entry in metadata if entry)
