"""`kernelkit bench ridge`: what is its own; the frame is tested by bench ecdf."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from reference.nystroem import kernel_ridge, nystroem_ridge
from scipy.spatial.distance import cdist
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge

from kernelkit import NystroemRidge
from kernelkit.cli.bench import ridge

METHODS = ["kernelkit", "uniform", "sklearn", "KernelRidge"]
SMALL = ("bench", "ridge", "--n", "400", "--d", "2", "--centers", "60", "--repeat", "1")


def arguments(**options):
    options = {"n": [1], "seed": 0, "centers": None, "n_jobs": 1} | options
    return SimpleNamespace(**options)


@pytest.fixture(scope="module")
def small(run, tmp_path_factory):
    """Run a small problem; returns how it ended, and the record."""
    path = tmp_path_factory.mktemp("bench") / "a.json"
    ended = run(*SMALL, "--json", path)
    return ended, json.loads(path.read_text())


def test_every_method_computes_its_estimate(small):
    """Seen red with centres of another seed given to the judge."""
    ended, record = small

    assert ended.status == 0, ended.out.decode()
    assert [case["name"] for case in record["cases"]] == METHODS
    assert record["parameters"]["centers"] == 60
    for case in record["cases"]:
        assert case["task"] == "ridge"
        assert case["warm_seconds"]["min"] > 0
        assert case["error"] <= case["tolerance"]
        assert case["n_values"] == case["n_judged"] == 2_000


def test_test_errors_and_memory_are_listed(small):
    """Seen red with the error over the standard deviation of the predictions."""
    ended, record = small

    lines = [line.split() for line in ended.out.decode().splitlines()]
    start = lines.index(["n", "d", "method", "test", "error", "memory,", "MiB"])
    told = {line[2]: line[3:] for line in lines[start + 1 : start + 5]}
    assert list(told) == METHODS
    for case in record["cases"]:
        memory = round(case["extra_rss_bytes"] / 2**20)
        assert told[case["name"]] == [f"{case['test_error']:.4f}", str(memory)]
    errors = [case["test_error"] for case in record["cases"]]
    assert 0 < errors[-1] < errors[1] < 1  # all rows as centres, and some of them

    problem = ridge.problem(arguments(centers=60), 400, 2)
    expected = np.sqrt(np.mean((problem.expected_exact - problem.truth) ** 2))
    assert errors[-1] == pytest.approx(expected / problem.truth.std(), rel=1e-6)


@pytest.mark.parametrize("name", ["kernelkit", "sklearn"])
def test_wrong_prediction_is_a_mismatch(run, monkeypatch, name):
    """Seen red with a tolerance of 0.01."""
    Estimator = NystroemRidge if name == "kernelkit" else Ridge
    right = Estimator.predict
    monkeypatch.setattr(Estimator, "predict", lambda self, X: right(self, X) * 1.001)

    ended = run(*SMALL, "--against", "sklearn")

    assert ended.status == 4
    assert f"MISMATCH: {name}, n = 400, d = 2" in ended.out.decode()


def test_judges_compute_by_definition():
    """Seen red with the penalty of the judge doubled."""
    problem = ridge.problem(arguments(centers=50), 300, 2)
    order = np.random.RandomState(0).permutation(300)[:50]

    def gaussian(A, B):
        return np.exp(-problem.gamma * cdist(A, B) ** 2)

    K = gaussian(problem.X, problem.X)
    queries = gaussian(problem.queries, problem.X)
    dual, _ = nystroem_ridge(K, order, problem.y, ridge._ALPHA, rcond=1e-15)
    exact, _ = kernel_ridge(K, problem.y, ridge._ALPHA)
    np.testing.assert_allclose(
        problem.by_uniform.values, queries[:, order] @ dual, atol=1e-9
    )
    np.testing.assert_allclose(problem.expected_exact, queries @ exact, atol=1e-9)
    assert problem.by_uniform.tolerance == 1e-5


def test_uniform_centers_are_those_of_the_peer():
    """Seen red with the seed of the rows."""
    problem = ridge.problem(arguments(centers=20, seed=3), 100, 2)

    peer = Nystroem(gamma=problem.gamma, n_components=20, random_state=3)
    np.testing.assert_array_equal(
        problem.uniform, peer.fit(problem.X).components_, strict=True
    )


def test_flights_are_asked_about_others():
    """Seen red with the first rows as queries."""
    problem = ridge.problem(arguments(n=None), 50_000, 3)

    assert problem.X.shape == (48_000, 3)
    assert problem.queries.shape == (2_000, 3)
    flights = np.sort(np.append(problem.y, problem.truth))
    assert flights.size == 50_000
    assert abs(flights.mean()) < 1e-9


def test_options_belong_to_their_task(run):
    assert run("bench", "kde", "--centers", "5").status == 2
    assert run("bench", "ridge", "--grid", "5").status == 2
    assert run("bench", "ridge", "--d", "4").status == 2
