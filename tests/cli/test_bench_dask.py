import json
import sys
from contextlib import nullcontext
from dataclasses import replace

import dask as dask_package
import numpy as np
import pytest

from kernelkit import NystroemRidge, distributed
from kernelkit.cli.bench import TASKS, dask


@pytest.fixture
def here(monkeypatch):
    """Compute in this process, whatever the number of workers."""

    def stand_in(*args, **kwargs):
        return nullcontext()

    monkeypatch.setattr(dask, "_cluster_classes", lambda: (stand_in, stand_in))
    monkeypatch.setattr(dask, "_JUDGED", 150)
    monkeypatch.setattr(dask, "_QUERIES", 40)
    with dask_package.config.set(scheduler="synchronous"):
        yield


def test_every_task_has_a_form_on_dask():
    assert dask.TASKS.keys() == TASKS.keys()


@pytest.mark.parametrize("task", dask.TASKS)
def test_line_tells_rows_per_second(run, here, task, tmp_path):
    """Seen red with the rows that are judged as if they were all."""
    ended = run("bench", task, "--dask", "--n", "200,300", "--repeat", "1",
                "--json", tmp_path / "a.json")  # fmt: skip

    assert ended.status == 0, ended.out.decode() + ended.err
    _, _, header, *lines = ended.out.decode().splitlines()
    assert header.split() == [
        *["n", "d", "1", "worker", "2", "workers", "judged", "error"]
    ]
    for n, line in zip(("200", "300"), lines, strict=False):
        cells = line.split()
        assert cells[:2] == [n, "3"]
        assert min(float(speed.replace(",", "")) for speed in cells[2:4]) > 0
        assert cells[4] == "150"
    for case in json.loads((tmp_path / "a.json").read_text())["cases"]:
        assert case["task"] == task
        assert case["rows_per_second"] == case["n"] / case["warm_seconds"]["median"]


def test_cold_call_is_the_first(run, here, monkeypatch):
    """Seen red with rows that are judged first."""
    task, lengths = dask.TASKS["ecdf"], []

    def solve(package, X, *others):
        lengths.append(len(X))
        return task.solve(package, X, *others)

    monkeypatch.setitem(dask.TASKS, "ecdf", replace(task, solve=solve))
    run("bench", "--dask", "--n", "200", "--repeat", "1")

    assert lengths == 2 * [200, 200, 150, 150]


@pytest.mark.slow
def test_workers_are_processes(run, tmp_path):
    ended = run("bench", "--dask", "--n", "500", "--d", "2", "--repeat", "2",
                "--seed", "3", "--json", tmp_path / "a.json")  # fmt: skip

    assert ended.status == 0, ended.out.decode() + ended.err
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["schema"] == "kernelkit.bench/1"
    assert record["machine"].keys() >= {"cpu", "cores"}
    assert record["versions"].keys() >= {"kernelkit", "python", "dask", "distributed"}
    assert record["parameters"] == {
        "data": "standard normal",
        "n": [500],
        "d": [2],
        "workers": [1, 2],
        "repeat": 2,
        "seed": 3,
    }
    assert [case["workers"] for case in record["cases"]] == [1, 2]
    for case in record["cases"]:
        warm = case["warm_seconds"]
        assert (case["task"], case["n"], case["d"], case["error"]) == (
            "ecdf",
            500,
            2,
            0,
        )
        assert case["cold_seconds"] > 0
        assert case["rows_per_second"] == 500 / warm["median"]
        assert 1 <= len(warm["all"]) <= 2


@pytest.mark.parametrize("wrong", [1.0 + 1e-8, np.nan])
def test_wrong_answer_has_no_speed(run, here, monkeypatch, tmp_path, wrong):
    """Seen red with the comparison the other way round, and a tolerance of 1e-6."""
    right = NystroemRidge.predict
    monkeypatch.setattr(
        distributed.NystroemRidge, "predict", lambda self, X: wrong * right(self, X)
    )

    ended = run("bench", "ridge", "--dask", "--n", "200", "--json", tmp_path / "a.json")

    assert ended.status == 4
    out = ended.out.decode()
    assert "MISMATCH  MISMATCH" in " ".join(out.splitlines()[3].split("  "))
    assert "MISMATCH: 2 workers, n = 200, d = 3: an answer is off by" in out
    for case in json.loads((tmp_path / "a.json").read_text())["cases"]:
        assert case["rows_per_second"] is None
        assert case["warm_seconds"] is None


def test_without_dask_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)

    ended = run("bench", "--dask")

    assert ended.status == 3
    assert "pip install 'kernelkit[distributed]'" in ended.err
    assert ended.out == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "scipy"], "--against is not for --dask"),
        (["--plot", "a.png"], "--plot is not for --dask"),
        (["--n-jobs", "2"], "--n-jobs is not for --dask"),
        (["kde", "--grid", "9"], "--grid is not for --dask"),
        (["ridge", "--centers", "9"], "--centers is not for --dask"),
    ],
)
def test_options_of_other_benchmarks_are_refused(run, arguments, message):
    ended = run("bench", *arguments, "--dask")

    assert ended.status == 2
    assert message in ended.err
