"""`kernelkit warmup` fills the cache, `kernelkit info` tells what is in it."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from importlib import metadata
from pathlib import Path

import numba
import pytest
from discovery import ESTIMATORS

from kernelkit.cli import warmup
from kernelkit.density.kernel_sums import ALGORITHMS
from kernelkit.density.kernels1d import KERNELS

needs_jit = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="NUMBA_DISABLE_JIT leaves nothing compiled"
)


def kernelkit(*arguments, **environment):
    ended = subprocess.run(
        [sys.executable, "-m", "kernelkit", *arguments],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ended.stdout


def facts(text):
    """Read lines of ``name  value``."""
    return dict(line.split(maxsplit=1) for line in text.splitlines())


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """Fill an empty cache; returns its folder and what the command printed."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, json.loads(kernelkit("warmup", "--json", NUMBA_CACHE_DIR=folder))


@needs_jit
@pytest.mark.slow
def test_every_loop_is_stored(warm):
    """Seen red without weights, and with too few rows for the tree to split."""
    folder, record = warm

    assert record["seconds"] > 0
    assert record["loops"]
    for loop in record["loops"]:
        assert loop["seconds"] > 0, loop["name"]
        assert loop["files"], loop["name"]
    named = {file for loop in record["loops"] for file in loop["files"]}
    assert named == {str(file) for file in folder.rglob("*.nb?")}


@needs_jit
@pytest.mark.slow
def test_second_time_nothing_is_compiled(warm):
    folder, record = warm

    table = kernelkit("warmup", "--quiet", NUMBA_CACHE_DIR=folder)

    header, *lines = table.partition("\n\n")[0].splitlines()
    assert header.split() == ["compiled", "loop", "seconds", "files"]
    assert len(lines) == len(record["loops"])
    for line, loop in zip(lines, record["loops"], strict=True):
        name, seconds, files = line.split()
        assert (name, float(seconds)) == (loop["name"], 0.0)
        assert int(files) == len(loop["files"])


@needs_jit
@pytest.mark.slow
def test_info_after_warmup_times_the_first_call(warm):
    folder, record = warm

    told = kernelkit("info", NUMBA_CACHE_DIR=folder)

    n_loops = len(record["loops"])
    assert f"stored loops   {n_loops} of {n_loops}\n" in told
    assert "s longer than later ones" in told


@needs_jit
def test_info_before_warmup_says_that_it_compiles(tmp_path):
    told = kernelkit("info", NUMBA_CACHE_DIR=tmp_path)

    assert "stored loops   0 of " in told
    assert "kernelkit warmup" in told
    assert str(tmp_path) in told


def test_info_lists_versions_and_machine(run):
    ended = run("info")

    told = facts(ended.out.decode())
    assert ended.status == 0
    assert told["numba"] == numba.__version__
    assert told["cores"].isdecimal()
    assert told.keys() >= {"kernelkit", "python", "processor", "system", "cache"}
    assert told["KDEpy"] == metadata.version("KDEpy")


def test_absent_packages_are_listed(run, monkeypatch):
    def no_version(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr("importlib.metadata.version", no_version)

    assert facts(run("info").out.decode())["statsmodels"] == "absent"


def test_without_compilation_there_is_nothing_to_warm_up(monkeypatch, run):
    monkeypatch.setattr(warmup, "compiled_loops", lambda: [])
    monkeypatch.setattr(warmup, "PROBLEMS", {"MultivariateECDF": lambda: None})

    assert b"NUMBA_DISABLE_JIT" in run("warmup").out
    assert b"NUMBA_DISABLE_JIT" in run("info").out


def test_every_estimator_has_problems():
    """A folder with compiled loops is warmed up, too."""
    assert set(warmup.PROBLEMS) <= {Estimator.__name__ for Estimator in ESTIMATORS}
    folders = defaultdict(set)
    for Estimator in ESTIMATORS:
        folder = Path(sys.modules[Estimator.__module__].__file__).parent
        folders[folder].add(Estimator.__name__)
    for folder, names in folders.items():
        assert names & warmup.PROBLEMS.keys() or not any(folder.glob("_jit_*.py"))


def family(kernel):
    """Tell which loops a kernel needs."""
    density = KERNELS[kernel].density
    return type(density).__name__, getattr(density, "frequency", 0.0) > 0.0


def test_kernels_of_every_family_are_warmed_up():
    """Seen red without the one that rotates."""
    families = {family(kernel) for kernel in warmup._FAMILIES}
    algorithms = {name for names in warmup._FAMILIES.values() for name in names}

    assert families == {family(kernel) for kernel in KERNELS}
    assert algorithms == set(ALGORITHMS)


def test_only_one_estimator(run, monkeypatch):
    called = []
    problems = {name: lambda name=name: called.append(name) for name in "AB"}
    monkeypatch.setattr(warmup, "PROBLEMS", problems)

    run("warmup", "--only", "B")

    assert called == ["B"]
    assert run("warmup", "--only", "C").status == 2
