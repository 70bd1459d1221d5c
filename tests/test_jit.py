"""How loops are compiled."""

import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numba
import numpy as np
import pytest
from discovery import ESTIMATORS, fit, labels, modules, new, outputs, sums_kernels
from numba.core.dispatcher import Dispatcher
from numba.core.types import unliteral
from sklearn.utils._param_validation import StrOptions

import kernelkit
from kernelkit.cli.warmup import PROBLEMS

FEW = {  # a kernel of each kind, and a rule that computes no sums
    "kernel": ["laplacian", "silverman", "epanechnikov", "gaussian"],
    "bandwidth": ["normal_reference"],
    "order": [0, 1],
}
FEW_OF_PAIRS = {  # of estimators that compare pairs of rows, which have no other loops
    "kernel": ["laplacian", "rbf", "poly"],
    "centers": ["uniform"],
    "solver": ["direct"],
    "dictionary": ["warmup"],
    "scoring": [None],
    "sampling": ["dpp_repeat"],
    "count": ["labels"],
    "activation": ["relu"],
    "multi_class": ["ovr"],
}
WITHOUT_LOOPS = ("EmpiricalKernelUQ", "FiniteWidthClassifier", "FiniteWidthRegressor")
PRECISIONS = {"kernelkit.linalg._jit_blocks": 2}  # float32 and float64
OWN_ROWS = ("cdf", "survival", "score_samples", "loo_log_density", "loo_predict")

pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="NUMBA_DISABLE_JIT leaves nothing compiled"
)


def loops():
    return {
        f"{module.__name__}.{name}": thing
        for module in modules()
        for name, thing in vars(module).items()
        if isinstance(thing, Dispatcher) and thing.__module__ == module.__name__
    }


def run(*arguments, cwd, **environment):
    """Run Python in an environment with other variables; None removes one."""
    merged = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={name: value for name, value in merged.items() if value is not None},
        capture_output=True,
        text=True,
        check=True,
    )


def test_read_only_install_without_home_computes(tmp_path):
    """Neither the package's folder nor the user's can hold a cache, not even for root.

    Seen red with a `jit` that only tries ``cache=True``, and with a line per loop.
    """
    package = shutil.copytree(
        Path(kernelkit.__file__).parent,
        tmp_path / "kernelkit",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()  # a file where the cache would be a folder
    code = (
        "import logging; logging.basicConfig(level='INFO'); "
        "from kernelkit import density; "
        "print(density.__file__, density.ecdf([[0.0], [1.0]]).tolist())"
    )

    done = run(
        "-c",
        code,
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
        HOME="/dev/null",
        XDG_CACHE_HOME=None,
        NUMBA_CACHE_DIR=None,
    )

    assert done.stdout == f"{package / 'density' / '__init__.py'} [0.5, 1.0]\n"
    assert done.stderr.count("INFO:kernelkit:") == 1


def test_every_loop_is_compiled_once(tmp_path):
    """Whatever comes in, loops see one dtype, or two precisions, and one layout.

    Constants in the calls of one loop by another do not count.

    Seen red with rows passed to a loop as they came.
    """
    done = run(__file__, cwd=tmp_path, NUMBA_CACHE_DIR=str(tmp_path))

    versions = json.loads(done.stdout)
    assert versions
    assert versions == {
        name: PRECISIONS.get(name.rpartition(".")[0], 1) for name in versions
    }


def versions_after_all_input():
    """Compile whatever the input of the other tests makes numba compile."""
    from test_bad_input import GOOD, LAYOUTS, VALUES

    rng = np.random.default_rng(0)
    inputs = [lay_out(GOOD) for lay_out in LAYOUTS.values()]
    inputs += [X for X, _ in VALUES.values()]
    inputs += [rng.normal(size=(2_000, n_features)) for n_features in range(1, 7)]
    wide = rng.normal(size=(50, 20))
    inputs += [wide, wide.astype(np.float32)]
    for Estimator, X in product(ESTIMATORS, inputs):
        if sums_kernels(Estimator) and np.shape(X)[1] > 3:
            continue
        if Estimator.__name__ in WITHOUT_LOOPS:
            continue
        names = new(Estimator).get_params().keys()
        compares_pairs = not names.isdisjoint({"kernel_params", "train_from"})
        if compares_pairs and np.shape(X)[0] > 100:  # no loop starts at some size
            continue
        if not compares_pairs and np.shape(X)[1] > 6:
            continue
        weights = rng.uniform(size=np.shape(X)[0])
        for options, weight in product(all_options(Estimator), [None, weights]):
            try:
                model = new(Estimator, **options)
                ask_everything(fit(model, X, weight), X)
            except ValueError:
                continue  # refused
    for Estimator in ESTIMATORS:
        for rule in strings(Estimator).get("bandwidth", []):
            model = new(Estimator, bandwidth=rule).fit(GOOD, labels(GOOD))
            outputs(model, 1e6 + GOOD)  # where sums underflow
    for solve in PROBLEMS.values():  # what contracts do not ask for, such as draws
        solve()
    return {
        name: len({tuple(map(unliteral, version)) for version in loop.signatures})
        for name, loop in loops().items()
        if not name.startswith("kernelkit.cli.")  # peers of the benchmark
    }


def ask_everything(model, X):
    """Ask about queries, about the training rows and about a grid."""
    outputs(model, X)
    for name in OWN_ROWS:
        if hasattr(model, name):
            getattr(model, name)()
    if hasattr(model, "evaluate_grid"):
        model.evaluate_grid([[-1.0, 0.5, 1.0]] * model.n_features_in_)


def strings(Estimator):
    """List the values of the parameters that are one of some strings."""
    return {
        name: sorted(option.options)
        for name, constraints in Estimator._parameter_constraints.items()
        for option in constraints
        if isinstance(option, StrOptions)
    }


def all_options(Estimator):
    """Combine strings, or the few that matter, in every way."""
    names = new(Estimator).get_params()
    few = FEW if sums_kernels(Estimator) else FEW_OF_PAIRS
    values = strings(Estimator) | {n: few[n] for n in few if n in names}
    return [dict(zip(values, each, strict=True)) for each in product(*values.values())]


if __name__ == "__main__":
    print(json.dumps(versions_after_all_input()))
