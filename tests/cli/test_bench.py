import json
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from reference.dominance import dominated_weight

from kernelkit.cli.bench import cases, ecdf
from kernelkit.cli.bench._jit_pairs import TILE, pair_counts
from kernelkit.cli.bench.cases import Method, Problem, run_case
from kernelkit.density import MultivariateECDF

SMALL = ("bench", "ecdf", "--n", "30,600", "--d", "1,2,5", "--repeat", "3")


def cells(ended):
    """Split the table into a list per line."""
    _, _, header, *lines = ended.out.decode().splitlines()
    return header.split(), [line.split() for line in lines[: lines.index("")]]


def test_table_has_a_line_per_problem_and_a_column_per_peer(run):
    ended = run(*SMALL)

    assert ended.status == 0
    header, lines = cells(ended)
    assert header[-3:] == ["numba", "scipy", "statsmodels"]
    sizes = [(n, d) for d in "125" for n in ("30", "600")]
    assert [(line[0], line[1]) for line in lines] == sizes
    for n, d, algorithm, seconds, judged, error, numba_, scipy, statsmodels in lines:
        assert algorithm in {"sweep", "tree", "bitset", "brute"}
        assert float(seconds) > 0
        assert (judged, error) == ("all", "0")
        assert float(numba_.removesuffix("x")) > 0
        assert (scipy == "-") == (d != "1"), n
        assert statsmodels.endswith("x")


def test_json_has_the_promised_keys(run, tmp_path):
    run(*SMALL, "--json", tmp_path / "a.json", "--seed", "3")

    record = json.loads((tmp_path / "a.json").read_text())
    assert record["schema"] == "kernelkit.bench/1"
    assert record["machine"].keys() >= {"cpu", "cores"}
    assert record["versions"].keys() >= {"kernelkit", "python", "numpy", "statsmodels"}
    assert record["parameters"] == {
        "data": "standard normal",
        "n": [30, 600],
        "d": [1, 2, 5],
        "against": ["numba", "scipy", "statsmodels"],
        "repeat": 3,
        "n_jobs": 1,
        "seed": 3,
    }
    assert len(record["cases"]) == 6 * 3 + 2  # scipy has one feature only
    for case in record["cases"]:
        warm = case["warm_seconds"]
        assert case["task"] == "ecdf"
        assert case["threads"] == 1
        assert case["cold_seconds"] > 0
        assert 1 <= len(warm["all"]) <= 3
        assert 0 < warm["min"] <= warm["median"] <= max(warm["all"])
        assert case["peak_rss_bytes"] > 10**6
        assert case["max_abs_error"] <= cases.TOLERANCE
        assert case["max_rel_error"] <= 30 * 600 * cases.TOLERANCE


def test_without_arguments_it_takes_the_flights(run, tmp_path):
    ended = run("bench", "--d", "2", "--repeat", "1", "--json", tmp_path / "a.json")

    assert ended.status == 0
    assert "flight records" in ended.out.decode()
    record = json.loads((tmp_path / "a.json").read_text())
    judged = {(case["n"], case["n_judged"]) for case in record["cases"]}
    assert judged == {(5_000, 5_000), (50_000, 10_000)}
    assert {case["d"] for case in record["cases"]} == {2}


@pytest.fixture
def off_by_one(monkeypatch):
    """Let a method miscount one row of the problem."""

    def miscount(values):
        values = values.copy()
        values[7] += 1 / len(values)
        return values

    def plant(name):
        if name == "kernelkit":
            right = MultivariateECDF.cdf
            monkeypatch.setattr(
                MultivariateECDF, "cdf", lambda self: miscount(right(self))
            )
        else:
            right_pairs = ecdf._pairs
            monkeypatch.setattr(ecdf, "_pairs", lambda X: miscount(right_pairs(X)))

    return plant


@pytest.mark.parametrize("name", ["kernelkit", "numba"])
def test_wrong_answer_has_no_speed(run, off_by_one, tmp_path, name):
    """Seen red with a tolerance of 1e-2."""
    off_by_one(name)

    ended = run("bench", "--n", "600", "--d", "2", "--json", tmp_path / "a.json")

    assert ended.status == 4
    header, (line,) = cells(ended)
    told = dict(zip(header, line, strict=True))
    assert told["seconds" if name == "kernelkit" else "numba"] == "MISMATCH"
    if name == "kernelkit":
        assert (told["numba"], told["statsmodels"]) == ("-", "-")  # nothing to compare
    assert f"MISMATCH: {name}, n = 600, d = 2: an answer is off by 0.0017" in (
        ended.out.decode()
    )
    for case in json.loads((tmp_path / "a.json").read_text())["cases"]:
        is_wrong = case["name"] == name
        assert (case["warm_seconds"] is None) == is_wrong
        assert (case["cold_seconds"] is None) == is_wrong
        assert (case["max_abs_error"] > 1e-3) == is_wrong


def test_nan_is_wrong(monkeypatch, run):
    """Seen red with the comparison the other way round."""
    monkeypatch.setattr(ecdf, "_pairs", lambda X: np.full(len(X), np.nan))

    ended = run("bench", "--n", "30", "--d", "2", "--against", "numba")

    assert ended.status == 4
    assert "MISMATCH: numba" in ended.out.decode()


@pytest.mark.parametrize("d", [1, 2, 4])
def test_judge_counts_by_definition(run, d):
    """Seen red with < instead of <= in the judge."""
    args = type("Arguments", (), {"n": None, "seed": 0})

    problem = ecdf.problem(args, 50, d)

    X = problem.X
    assert X.shape == (50, d)
    counts = dominated_weight(X, X[problem.judged])
    np.testing.assert_array_equal(problem.expected, counts / 50, strict=True)


def test_absent_peer_is_listed(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "statsmodels.distributions.tools", None)

    ended = run(*SMALL, "--json", tmp_path / "a.json")

    assert ended.status == 0
    assert "(absent: pip install statsmodels)" in ended.out.decode()
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["absent"] == ["statsmodels"]
    assert "statsmodels" not in {case["name"] for case in record["cases"]}


def test_against_chooses_peers(run):
    ended = run("bench", "--n", "30", "--d", "1", "--against", "scipy,numba")

    assert cells(ended)[0][-2:] == ["numba", "scipy"]


def test_quadratic_peers_stop_at_their_size():
    args = type("Arguments", (), {"n_jobs": 1})
    handles = {method.name: method.handles for method in ecdf.methods(args)}

    assert handles["numba"](100_000, 4)
    assert not handles["numba"](100_001, 4)
    assert handles["statsmodels"](5_000, 2)
    assert not handles["statsmodels"](5_001, 2)
    assert handles["statsmodels"](10**6, 1)
    assert handles["kernelkit"](10**6, 9)


def test_plot_draws_the_medians(run, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *a, **k: figures.append(self) or save(self, *a, **k),
    )
    outputs = ["--plot", tmp_path / "a.png", "--json", tmp_path / "a.json"]

    ended = run(*SMALL, *outputs)

    assert ended.status == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    assert [panel.get_title() for panel in figure.axes] == [
        "1 feature",
        "2 features",
        "5 features",
    ]
    record = json.loads((tmp_path / "a.json").read_text())
    for d, panel in zip((1, 2, 5), figure.axes, strict=True):
        assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
        drawn = {line.get_label(): line.get_xydata().tolist() for line in panel.lines}
        for name, points in drawn.items():
            assert points == [
                [case["n"], case["warm_seconds"]["median"]]
                for case in record["cases"]
                if (case["name"], case["d"]) == (name, d)
            ]


def test_plot_without_matplotlib_is_refused_before_the_work(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    ended = run(*SMALL, "--plot", tmp_path / "a.png")

    assert ended.status == 3
    assert "pip install 'kernelkit[plot]'" in ended.err
    assert ended.out == b""


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_files_are_overwritten_only_by_force(run, tmp_path, option):
    """Seen red with the check only at the end: the work was done for nothing."""
    path = tmp_path / "a"
    path.write_text("old")
    call = ("bench", "--n", "30", "--d", "1", "--repeat", "1", option, path)

    refused = run(*call)
    kept = path.read_text()
    forced = run(*call, "--force")

    assert (refused.status, refused.out, kept) == (2, b"", "old")
    assert forced.status == 0
    assert path.read_bytes() != b"old"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["spline"], "invalid choice: 'spline'"),
        (["--grid", "9"], "--grid is for kde"),
        (["kde", "--grid", "1"], "expected a whole number >= 2, got '1'"),
        (["--n", "0"], "expected a whole number >= 1, got '0'"),
        (["--n", "1e3,x"], "expected a whole number >= 1, got 'x'"),
        (["--n", "1e400"], "expected a whole number >= 1, got '1e400'"),
        (["--d", "1.5"], "expected a whole number >= 1, got '1.5'"),
        (["--d", "5"], "the flights have 4 features"),
        (["--against", "numba,R"], "unknown peer R; there are numba, scipy, statsm"),
        (["--repeat", "0"], "expected a whole number >= 1, got '0'"),
        (["--seed", "-1"], "expected a whole number >= 0, got '-1'"),
    ],
)
def test_wrong_usage(run, arguments, message):
    ended = run("bench", *arguments)

    assert ended.status == 2
    assert message in ended.err


EMPTY = Problem("none", np.empty((1, 1)), "", np.array([0]), np.ones(1))


def test_methods_that_take_long_are_not_repeated(monkeypatch):
    monkeypatch.setattr(cases, "_PATIENCE", 1e-9)
    calls = []

    case = run_case(
        Method("slow", "numpy", "", lambda X: calls.append(0) or np.ones(1)),
        EMPTY,
        repeat=5,
    )

    assert len(calls) == 2  # cold, and once warm
    assert len(case.warm_seconds["all"]) == 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_peak_is_of_the_case_alone():
    """Seen red without the reset."""
    size = 200 * 2**20

    def solve_in_much_memory(X):
        np.ones(size, dtype=np.uint8)
        return np.ones(1)

    much = Method("much", "numpy", "", solve_in_much_memory)
    little = Method("little", "numpy", "", lambda X: np.ones(1))

    before, during, after = (
        run_case(method, EMPTY, repeat=1).peak_rss_bytes
        for method in (little, much, little)
    )

    assert during > before + 0.9 * size
    assert after < during - 0.9 * size


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("n", [1, TILE - 1, TILE, TILE + 1])
def test_all_pairs_are_counted(d, n):
    """Seen red with < for the fourth feature, and with the last tile left out."""
    X = np.random.default_rng(0).integers(0, 4, (n, d)).astype(float)  # many ties
    out = np.zeros(n, dtype=np.int64)

    pair_counts(np.ascontiguousarray(X.T), out)

    rows = np.unique(np.linspace(0, n - 1, 60, dtype=int))
    np.testing.assert_array_equal(out[rows], dominated_weight(X, X[rows]), strict=True)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_one_version_is_compiled():
    for X in (np.ones((3, 1)), np.asfortranarray(np.ones((3, 2)))):
        ecdf._pairs(X)

    assert len(pair_counts.signatures) == 1
