"""`kernelkit bench rbf`: what is its own; the frame is tested by bench ecdf."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.svm import SVC, SVR

from kernelkit import GaussianRBFClassifier, GaussianRBFRegressor
from kernelkit.cli.bench import rbf
from kernelkit.cli.bench.cases import run_case
from kernelkit.cli.bench.rows import sizes_of

SMALL = ("bench", "rbf", "--n", "60", "--d", "6", "--repeat", "1")
SMALL += ("--against", "RandomForest,SVM")
METHODS = ["kernelkit", "RandomForest", "SVM"]


def arguments(**options):
    options = {"n": None, "d": None, "seed": 0, "n_jobs": 1, "task": "rbf"} | options
    return SimpleNamespace(**options)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(rbf, "_TREES", 20)
    monkeypatch.setattr(rbf, "_GRID", {"C": [10.0], "gamma": [0.03]})


def test_every_method_predicts_and_is_listed(run, tmp_path):
    """Seen red with importances of the last fold for the mean."""
    ended = run(*SMALL, "--json", tmp_path / "a.json")

    assert ended.status == 0, ended.out.decode()
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["schema"] == "kernelkit.bench/1"
    assert record["parameters"]["data"] == "Friedman 1"
    assert [case["name"] for case in record["cases"]] == METHODS
    for case in record["cases"]:
        assert (case["task"], case["data"]) == ("rbf", "Friedman 1")
        assert (case["n"], case["d"], case["n_values"]) == (60, 6, 60)
        assert case["n_judged"] == 20
        assert case["error"] <= case["tolerance"]
        assert 0 < case["test_error"] < 1
        assert f"{case['test_error']:.4f}" in ended.out.decode()
    ours, forest, machine = (case["importances"] for case in record["cases"])
    assert machine is None
    problem = rbf.problem(arguments(n=[60]), 60, 6)
    each = [
        GaussianRBFRegressor(random_state=0)
        .fit(problem.X[kept], problem.y[kept])
        .feature_importances_
        for kept, _ in problem.folds
    ]
    np.testing.assert_allclose(ours, np.mean(each, axis=0))
    assert len(forest) == 6
    best = int(np.argmax(ours))
    assert f"{best + 1} {ours[best]:.2f}, " in ended.out.decode()


@pytest.mark.parametrize("size", rbf.DATA)
def test_folds_predict_each_row_once(size):
    """Seen red with the rows that were kept predicted."""
    problem = rbf.problem(arguments(), *size)

    assert problem.X.shape == size
    assert problem.y.shape == (size[0],)
    predicted = np.concatenate([rows for _, rows in problem.folds])
    assert sorted(predicted) == list(range(size[0]))
    for kept, rows in problem.folds:
        assert not set(kept) & set(rows)
    q = len(np.unique(problem.y)) if problem.is_class else 1
    assert problem.is_class == (problem.data in ("breast_cancer", "wine"))
    assert problem.truth.shape == (size[0], q)
    np.testing.assert_allclose(problem.truth.mean(axis=0), 0.0, atol=1e-12)


@pytest.mark.parametrize("name", ["kernelkit", "SVM"])
@pytest.mark.parametrize("size", [(60, 5), (178, 13)])
def test_wrong_prediction_is_a_mismatch(monkeypatch, name, size):
    """Seen red with tolerances of 0.1 and 10."""
    problem = rbf.problem(arguments(n=[60] if size[1] == 5 else None), *size)
    method = next(m for m in rbf.methods(arguments()) if m.name == name)
    if name == "SVM":
        right = (SVC if problem.is_class else SVR).predict
        monkeypatch.setattr(
            SVC if problem.is_class else SVR, "predict", lambda self, X: right(self, -X)
        )
    elif problem.is_class:
        proba = GaussianRBFClassifier.predict_proba
        monkeypatch.setattr(
            GaussianRBFClassifier,
            "predict_proba",
            lambda self, X: 0.99 * proba(self, X) + 0.01 / 3,
        )
    else:
        mean = GaussianRBFRegressor.predict
        monkeypatch.setattr(
            GaussianRBFRegressor, "predict", lambda self, X: mean(self, X) * 1.01
        )

    case = run_case(method, problem, repeat=1)

    assert not case.is_right
    assert case.warm_seconds is None


def test_errors_of_classes_are_shares():
    """Seen red with the share of right ones."""
    problem = rbf.problem(arguments(), 178, 13)
    truth = problem.truth.ravel()

    assert problem.test_error(np.append(truth, np.zeros(13))) == 0.0
    assert problem.test_error(np.append(-truth, np.zeros(13))) > 0.9
    assert problem.importances(np.append(truth, np.full(13, np.nan))) is None


def test_a_network_of_classes_is_right():
    """Seen red with the intercept left out by the judge."""
    problem = rbf.problem(arguments(), 178, 13)

    case = run_case(rbf.methods(arguments())[0], problem, repeat=1)

    assert case.is_right
    assert case.test_error < 0.06
    assert case.importances is not None


def test_sizes_are_of_data_sets_or_as_asked(run):
    """Seen red with sizes of flight records."""
    assert sizes_of(arguments()) == list(rbf.DATA)
    assert sizes_of(arguments(n=[50, 90])) == [(50, 10), (90, 10)]
    assert run("bench", "rbf", "--d", "6").status == 2
    assert run("bench", "rbf", "--n", "50", "--d", "4").status == 2
    assert run("bench", "rbf", "--centers", "4").status == 2
