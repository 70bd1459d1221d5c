"""`kernelkit bench ntk`: what is its own; the frame is tested by bench ecdf."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.svm import SVC

from kernelkit import NTKSVC, ntk_gram
from kernelkit.cli.bench import ntk
from kernelkit.cli.bench.cases import run_case
from kernelkit.cli.bench.rows import sizes_of

DUAL = 300, 64
WINE = 178, 13


def arguments(**options):
    options = {"n": None, "d": None, "seed": 0, "n_jobs": 1, "task": "ntk"} | options
    return SimpleNamespace(**options)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(ntk, "_TREES", 20)
    monkeypatch.setattr(ntk, "_OWN_GRID", {"ntksvc__C": [1.0], "ntksvc__depth": [2]})
    monkeypatch.setattr(ntk, "_RBF_GRID", {"svc__C": [10.0], "svc__gamma": [0.03]})
    monkeypatch.setattr(ntk, "DATA", {DUAL: ntk.DUAL, WINE: "wine"})


def case_of(name, size, **options):
    method = next(m for m in ntk.methods(arguments(**options)) if m.name == name)
    return run_case(method, ntk.problem(arguments(**options), *size), repeat=1)


def test_every_method_is_right_and_listed(run, tmp_path):
    """Seen red with the solver given half the C."""
    ended = run("bench", "ntk", "--repeat", "1", "--json", tmp_path / "a.json")

    assert ended.status == 0, ended.out.decode()
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["schema"] == "kernelkit.bench/1"
    assert record["parameters"]["data"] == "data sets"
    told = [(case["data"], case["name"]) for case in record["cases"]]
    assert told == [
        ("dual solver", "kernelkit"),
        ("dual solver", "libsvm"),
        ("wine", "kernelkit"),
        ("wine", "SVC"),
        ("wine", "RandomForest"),
    ]
    for case in record["cases"]:
        assert case["task"] == "ntk"
        assert case["error"] <= case["tolerance"]
        if case["data"] == "wine":
            assert 0 < case["test_error"] < 0.08
            assert f"{case['test_error']:.4f}" in ended.out.decode()


def test_digits_of_gram_matrices_are_judged():
    """Seen red with rows that are their own partners left to the recursion."""
    own, peer = (case_of(name, (90, 8), n=[90]) for name in ("kernelkit", "NumPy"))

    assert own.is_right
    assert own.error < 1e-14 or np.longdouble == np.float64
    assert peer.is_right
    assert peer.error > own.error
    assert (own.n_values, own.n_judged) == (8_100, 1_000)


def test_wrong_kernel_is_a_mismatch(monkeypatch):
    """Seen red with a tolerance of 1e-4."""
    monkeypatch.setattr(
        ntk, "ntk_gram", lambda X, **options: (1 + 1e-6) * ntk_gram(X, **options)
    )

    case = case_of("kernelkit", (90, 8), n=[90])

    assert not case.is_right
    assert case.warm_seconds is None


@pytest.mark.parametrize(
    ("name", "size"), [("kernelkit", DUAL), ("libsvm", DUAL), ("kernelkit", WINE)]
)
def test_machine_of_another_penalty_is_a_mismatch(monkeypatch, name, size):
    """Seen red with a tolerance of 0.5."""
    right = ntk.dual.solve
    monkeypatch.setattr(
        ntk.dual,
        "solve",
        lambda loss, K, signs, C, *rest, **options: right(
            loss, K, signs, C / 4, *rest, **options
        ),
    )
    fit = SVC.fit

    def loose(self, *args):
        return fit(self.set_params(C=0.05) if self.tol == ntk._TOL else self, *args)

    monkeypatch.setattr(SVC, "fit", loose)

    assert not case_of(name, size).is_right


def test_judge_is_a_machine_without_a_constant():
    """Seen red with the whole C for each of the two images."""
    problem = ntk.problem(arguments(), *WINE)
    X, signs = problem.X / problem.X.std(axis=0), np.where(problem.y == 1, 1.0, -1.0)
    model = NTKSVC(depth=3, C=0.01, tol=1e-6, gap_tol=1e-10).fit(X, signs)

    coef = ntk._without_constant(ntk._textbook(X, 3), signs, 0.01)

    np.testing.assert_allclose(
        ntk_gram(X, depth=3) @ coef, model.decision_function(X), atol=1e-4
    )


def test_wrong_classes_are_a_mismatch(monkeypatch):
    """Seen red with a tolerance of 10."""
    predict = SVC.predict
    monkeypatch.setattr(SVC, "predict", lambda self, X: predict(self, -X))

    assert not case_of("SVC", WINE).is_right


def test_errors_are_shares_of_wrong_classes():
    """Seen red with the share of right ones."""
    problem = ntk.problem(arguments(), *WINE)
    truth = problem.scores(problem.y).ravel()

    assert problem.test_error(truth) == 0.0
    assert problem.test_error(-truth) == 1.0


def test_sizes_are_of_data_sets_or_as_asked(run):
    """Seen red with sizes of flight records."""
    assert sizes_of(arguments()) == [DUAL, WINE]
    assert sizes_of(arguments(n=[50, 90])) == [(50, 64), (90, 64)]
    assert sizes_of(arguments(n=[50], d=[3])) == [(50, 3)]
    assert run("bench", "ntk", "--d", "6").status == 2
