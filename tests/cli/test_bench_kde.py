"""`kernelkit bench kde`: what is the task's own; the frame is tested by bench ecdf."""

import json
import math
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from kernelkit import ProductKernelDensity, select_bandwidth
from kernelkit.cli.bench import kde
from kernelkit.cli.bench.cases import MEASURES, Method, Problem, run_case

PEERS = ["sklearn", "KDEpy", "gaussian", "statsmodels", "scipy"]


def cells(ended):
    """Split the table into a dict per line."""
    _, _, header, *lines = ended.out.decode().splitlines()
    return [
        dict(zip(header.split(), line.split(), strict=True))
        for line in lines[: lines.index("")]
    ]


def arguments(**options):
    return SimpleNamespace(n=[1], seed=0, grid=None, n_jobs=1, **options)


@pytest.fixture(scope="module")
def small(run, tmp_path_factory):
    """Run a few small problems; returns how it ended, and the record."""
    path = tmp_path_factory.mktemp("bench") / "a.json"
    sizes = ("--n", "30,300", "--d", "1,2,5", "--repeat", "1")
    ended = run("bench", "kde", *sizes, "--json", path)
    return ended, json.loads(path.read_text())


def test_every_method_computes_its_estimate(small):
    """Seen red with the normalisation of scikit-learn kept."""
    ended, record = small

    assert ended.status == 0, ended.out.decode()
    lines = cells(ended)
    assert [(line["n"], line["d"]) for line in lines] == [
        (n, d) for d in "125" for n in ("30", "300")
    ]
    for line in lines:
        assert float(line["seconds"]) > 0
        assert line["judged"] == "all"
        assert float(line["error"]) < 1e-13
        assert all(line[peer].endswith("x") for peer in PEERS)
    assert len(record["cases"]) == 6 * 6


def test_errors_are_relative_and_told_with_what_is_allowed(small):
    """Seen red with the least tolerance told, and with absolute errors."""
    ended, record = small

    text = ended.out.decode()
    for case in record["cases"]:
        assert case["error"] == case["max_rel_error"] <= case["tolerance"]
    for name in ("kernelkit", *PEERS):
        own = [case for case in record["cases"] if case["name"] == name]
        error = max(case["error"] for case in own)
        note = text.partition(f"\n{name}: ")[2].splitlines()[1]
        allowed = own[0]["tolerance"]
        assert note == f"  error: {error:.2g} relative, {allowed:.2g} allowed"
        assert allowed == (1e-10 if name in ("sklearn", "scipy") else 1e-12)


def test_other_estimates_are_named(small):
    notes = small[0].out.decode().splitlines()
    other = {line.partition(":")[0] for line in notes if "ANOTHER estimate" in line}

    assert other == {"gaussian", "statsmodels", "scipy"}


@pytest.mark.parametrize("name", ["kernelkit", "KDEpy"])
def test_small_relative_error_is_a_mismatch(run, monkeypatch, name):
    """Densities of 1e-3 and less: their absolute error is below the tolerance.

    Seen red with absolute errors.
    """
    if name == "KDEpy":
        right = kde._kdepy
        monkeypatch.setattr(kde, "_kdepy", lambda p: right(p) * (1 + 1e-11))
    else:
        right_scores = ProductKernelDensity.score_samples
        monkeypatch.setattr(
            ProductKernelDensity,
            "score_samples",
            lambda self, X=None: right_scores(self, X) + 1e-11,
        )

    ended = run("bench", "kde", "--n", "50", "--d", "5", "--against", "KDEpy")

    assert ended.status == 4
    told = cells(ended)[0]
    assert told["seconds" if name == "kernelkit" else "KDEpy"] == "MISMATCH"
    assert f"MISMATCH: {name}, n = 50, d = 5" in ended.out.decode()


@pytest.mark.parametrize("d", [1, 3])
def test_judges_sum_by_definition(d):
    """Seen red with the bandwidth missing from a normalisation."""
    problem = kde.problem(arguments(), 40, d)
    X, h = problem.X.tolist(), problem.bandwidth.tolist()

    def density(query, kernel):
        terms = [
            math.prod(
                kernel((q - x) / width) / width
                for q, x, width in zip(query, row, h, strict=True)
            )
            for row in X
        ]
        return math.fsum(terms) / len(X)

    queries = problem.X[problem.judged].tolist()
    laplacian = [density(q, lambda u: math.exp(-abs(u)) / 2) for q in queries]
    normal = [
        density(q, lambda u: math.exp(-u * u / 2) / math.sqrt(2 * math.pi))
        for q in queries
    ]
    np.testing.assert_allclose(problem.expected, laplacian, rtol=1e-14)
    np.testing.assert_allclose(problem.expected_gaussian, normal, rtol=1e-14)


def test_extended_cholesky():
    """Seen red with the upper triangle left in the product."""
    A = np.cov(np.random.default_rng(0).normal(size=(4, 30)))

    L = kde._cholesky(A)

    eps = float(np.finfo(np.longdouble).eps)
    np.testing.assert_allclose(L @ L.T, A, rtol=40 * eps)
    assert not np.triu(L, 1).any()


def test_bandwidth_is_the_normal_reference():
    problem = kde.problem(arguments(), 60, 2)

    np.testing.assert_array_equal(problem.bandwidth, select_bandwidth(problem.X))


def test_sample_stands_for_all_rows(run, monkeypatch, tmp_path):
    """Seen red with the judge asking for other rows than those of the sample."""
    monkeypatch.setattr(kde, "_MANY", 50)
    monkeypatch.setattr(kde, "_FEW", 50)
    monkeypatch.setattr(kde, "_SAMPLE", 20)
    call = ("bench", "kde", "--n", "100", "--d", "2", "--repeat", "1")

    ended = run(*call, "--json", tmp_path / "a.json")

    assert ended.status == 0, ended.out.decode()
    assert "~: evaluated at a sample" in ended.out.decode()
    (line,) = cells(ended)
    assert line["judged"] == "20"
    for case in json.loads((tmp_path / "a.json").read_text())["cases"]:
        sampled = case["name"] not in ("kernelkit", "KDEpy")
        assert case["share"] == (0.2 if sampled else 1.0)
        assert (case["n_values"], case["n_judged"]) == (100, 20)
        if case["name"] != "kernelkit":
            assert line[case["name"]].startswith("~") == sampled


def test_only_the_evaluation_is_scaled():
    """Seen red with the fit scaled, too."""
    problem = Problem("none", np.empty((1, 1)), "", np.array([0]), np.ones(1))

    def solve(prepared):
        time.sleep(0.01)
        return np.ones(1)

    method = Method(
        "slow to fit",
        "numpy",
        "",
        solve,
        prepare=lambda problem: time.sleep(0.1),
        share=lambda n, d: 0.1,
    )

    case = run_case(method, problem, repeat=3)

    assert 0.2 <= case.warm_seconds["min"] < 0.5


def test_rows_beyond_the_sizes_of_peers():
    peers = {method.name: method for method in kde.methods(arguments())}

    assert peers["sklearn"].share(20_000, 2) == 1.0
    assert peers["sklearn"].share(50_000, 2) == 0.02
    assert peers["statsmodels"].share(50_000, 2) == 0.02
    assert peers["KDEpy"].handles(10_000, 2)
    assert not peers["KDEpy"].handles(10_001, 2)
    assert peers["kernelkit"].share(10**7, 2) == 1.0


GRID = ("bench", "kde", "--grid", "40", "--n", "500", "--repeat", "1")


def test_grid_judges_both_by_their_own_measure(run, tmp_path):
    """Seen red with the approximation held to relative errors."""
    ended = run(*GRID, "--d", "1,2", "--json", tmp_path / "a.json")

    assert ended.status == 0, ended.out.decode()
    text = ended.out.decode()
    assert "on a grid of 40 nodes a feature: standard normal" in text
    assert "APPROXIMATE" in text
    assert "of the highest value," in text
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["parameters"]["grid"] == 40
    for case in record["cases"]:
        assert case["task"] == "kde_grid"
        assert case["n_values"] == 40 ** case["d"]
        if case["name"] == "kernelkit":
            assert case["error"] < 1e-13
        else:
            assert 1e-4 < case["error"] < case["tolerance"] < 0.3
            assert case["max_rel_error"] > case["error"]


def test_grid_has_two_features_unless_said(run):
    assert [line["d"] for line in cells(run(*GRID))] == ["2"]


def test_bound_of_the_approximation_tells_a_wrong_answer(run, monkeypatch):
    """Seen red with twenty times the bound allowed."""
    right = kde._fft
    monkeypatch.setattr(kde, "_fft", lambda p: np.roll(right(p), 1))

    ended = run(*GRID, "--d", "1")

    assert ended.status == 4
    assert "MISMATCH: KDEpy, n = 500, d = 1" in ended.out.decode()


def test_judged_nodes_lie_beside_rows_and_anywhere(monkeypatch):
    """Seen red with nodes anywhere only: the highest values were missed."""
    monkeypatch.setattr(kde, "_JUDGED_PAIRS", 0)  # 20 nodes
    options = vars(arguments()) | {"grid": 100}

    problem = kde.problem(SimpleNamespace(**options), 2_000, 2)

    highest = ProductKernelDensity().fit(problem.X).evaluate_grid(problem.axes).max()
    assert problem.expected.max() > 0.7 * highest
    assert problem.expected.min() < 1e-3 * highest


def test_absent_kdepy_is_listed(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "KDEpy", None)

    ended = run(*GRID, "--d", "1")

    assert ended.status == 0
    assert "(absent: pip install KDEpy)" in ended.out.decode()


@pytest.mark.parametrize(
    ("measure", "error"),
    [("absolute", 2.0), ("relative", 0.5), ("of the highest value", 0.2)],
)
def test_measures(measure, error):
    errors, expected = np.array([1.0, 2.0]), np.array([2.0, -10.0])

    assert MEASURES[measure](errors, expected) == error
