"""Speed, memory and error of neural tangent kernels.

``python -m pytest benchmarks/bench_ntk.py -c benchmarks/pytest.ini`` prints each figure
beside its target. One thread unless said.
"""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import median_seconds, record
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from kernelkit import NTKSVC, equivalence_report, ntk_gram
from kernelkit._jit import jit
from kernelkit.ntk.dual import Stop, solve
from kernelkit.ntk.uncertainty import EmpiricalKernelUQ

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

N, D, DEPTH = 2000, 64, 3
METHODS = ("paper", "interval", "linear")
X = np.random.default_rng(0).standard_normal((N, D))


@pytest.fixture(autouse=True)
def one_blas_thread():
    """Peers compute on one thread, too."""
    with threadpool_limits(1, "blas"):
        yield


def by_numpy(X):
    """Textbook formulas of relu on whole matrices."""
    k = 2.0 / D * X @ X.T
    q = np.diag(k).copy()
    t = k.copy()
    for _ in range(DEPTH):
        root = np.sqrt(np.outer(q, q))
        cosine = np.clip(k / root, -1.0, 1.0)
        angle = np.arccos(cosine)
        k = root / np.pi * (np.sin(angle) + (np.pi - angle) * cosine)
        t = k + t * (np.pi - angle) / np.pi
    return t


@jit()
def _by_loop(k, depth):
    n = k.shape[0]
    for i in range(n):
        for j in range(i):
            root = np.sqrt(k[i, i] * k[j, j])
            value, t = k[i, j], k[i, j]
            for _ in range(depth):
                cosine = min(max(value / root, -1.0), 1.0)
                angle = np.arccos(cosine)
                value = np.sin(angle) + (np.pi - angle) * cosine
                value *= root / np.pi
                t = value + t * (np.pi - angle) / np.pi
            k[i, j] = k[j, i] = t
    for i in range(n):
        k[i, i] *= depth + 1


def by_loop(X):
    """Compute the same pair by pair, with functions of the C library."""
    k = 2.0 / D * X @ X.T
    _by_loop(k, DEPTH)
    return k


def bench_gram(timed):
    """Against whole matrices and against a loop, 2000 rows and 3 layers."""
    own = timed(lambda: ntk_gram(X, depth=DEPTH))
    peers = (by_numpy, "NumPy", 3), (by_loop, "scalar loop", 4)
    for peer, name, target in peers:
        seconds = median_seconds(lambda peer=peer: peer(X), rounds=3)
        record(
            f"{name} / ours, n={N}, d={D}, depth {DEPTH}",
            seconds / own,
            target,
            at_most=False,
            detail=f"{own * 1e3:.0f} ms against {seconds * 1e3:.0f} ms",
        )


def bench_two_threads(timed):
    """One thread against two."""
    one = median_seconds(lambda: ntk_gram(X, depth=DEPTH))
    two = timed(lambda: ntk_gram(X, depth=DEPTH, n_jobs=2))
    record(
        f"1 thread / 2 threads, n={N}, depth {DEPTH}",
        one / two,
        1.7,
        at_most=False,
        detail=f"{one * 1e3:.0f} ms against {two * 1e3:.0f} ms",
    )


def bench_memory():
    """Peak of what is allocated, the result included."""
    ntk_gram(X[:100], depth=DEPTH)
    tracemalloc.start()
    ntk_gram(X, depth=DEPTH)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    record("extra memory / result", peak / (8 * N * N) - 1.0, 1.1, at_most=True)


def bench_error():
    """Against 60 digits, for 200 pairs of rows and on the diagonal."""
    from reference.neural import exact

    K = ntk_gram(X, depth=DEPTH)
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, N, size=(200, 2))
    off, on = 0.0, 0.0
    for i, j in pairs[pairs[:, 0] != pairs[:, 1]]:
        true = exact(X[i], X[j], DEPTH, 2**0.5, 0.0)[0]
        off = max(off, abs(float((K[i, j] - true) / true)))
    for i in range(20):
        true = exact(X[i], X[i], DEPTH, 2**0.5, 0.0)[0]
        on = max(on, abs(float((K[i, i] - true) / true)))
    record("largest relative error off the diagonal", off, 1e-13, at_most=True)
    record("largest relative error on it", on, 1e-15, at_most=True)


def digits(classes):
    """Rows and labels of some digits, in an order drawn once."""
    X, y = load_digits(return_X_y=True)
    chosen = np.flatnonzero(np.isin(y, classes))
    chosen = np.random.default_rng(0).permutation(chosen)
    return X[chosen] / 16.0, y[chosen]


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def bench_dual(timed, C):
    """Against libsvm, which solves for an intercept besides, at the same tolerance."""
    X, y = load_breast_cancer(return_X_y=True)
    K = ntk_gram(StandardScaler().fit_transform(X), depth=2, sigma_b=0.1)
    signs = 2.0 * y - 1.0
    stop = Stop(1e-3, 1e-4, 1000)
    weights = np.full((1, len(K)), C)
    own = timed(lambda: solve("hinge", K, signs[None], weights, stop=stop))
    peer = SVC(C=C, kernel="precomputed", tol=1e-3)
    seconds = median_seconds(lambda: peer.fit(K, y))
    record(
        f"SVC(precomputed) / ours, n={len(K)}, C={C:g}",
        seconds / own,
        10,
        at_most=False,
        detail=f"{own * 1e3:.2f} ms against {seconds * 1e3:.2f} ms",
    )


@pytest.mark.parametrize(("classes", "target"), [((0, 1), 3), ((3, 8), 7)])
def bench_radii(timed, classes, target):
    """Radii of 30 digits by expansion over those of the paper, 200 rows to learn."""
    X, y = digits(classes)
    model = NTKSVC(sigma_w=1.0).fit(X[:200], y[:200])
    queries = X[200:230]
    seconds = timed(lambda: model.certify(queries))
    radii = {name: model.certify(queries, method=name).mean() for name in METHODS}
    radii["attack"] = model.attack(queries)[0].mean()
    found = ", ".join(f"{name} {radius:.4f}" for name, radius in radii.items())
    record(
        f"radius / paper's, digits {classes[0]} and {classes[1]}",
        radii["linear"] / radii["paper"],
        target,
        at_most=False,
        detail=f"{found}; {seconds / 30 * 1e3:.1f} ms a row",
    )


def bench_broken_certificates():
    """Attacks on 520 rows of four pairs of digits, each judged by all methods."""
    broken = n = 0
    for classes in ((0, 1), (3, 8), (1, 7), (4, 9)):
        X, y = digits(classes)
        for C in (1.0, 100.0):
            model = NTKSVC(C=C, n_jobs=2).fit(X[:200], y[:200])
            queries = X[200:265]
            upper, _ = model.attack(queries)
            for name in METHODS:
                broken += int((model.certify(queries, method=name) >= upper).sum())
            n += len(queries)
    record(f"certificates broken, {n} rows", broken, 0, at_most=True)


def bench_bounds():
    """Bounds of the error on new rows, all 569 rows to learn."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    for C in (0.01, 0.1, 1.0):
        model = NTKSVC(2, sigma_b=0.1, C=C).fit(X, y)
        bounds = {
            name: model.generalization_bound(name).bound
            for name in ("pac_bayes", "rademacher", "loo")
        }
        record(
            f"PAC-Bayes bound, breast_cancer, C={C:g}",
            bounds["pac_bayes"],
            0.5,
            at_most=True,
            detail=", ".join(f"{name} {bound:.3f}" for name, bound in bounds.items()),
        )


def bench_variance(timed):
    """Variances of 1e5 rows of 1024 features, 50 of their directions known."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 1024)) * np.geomspace(1.0, 0.01, 1024)
    queries = rng.standard_normal((100_000, 1024))
    model = EmpiricalKernelUQ(rank=50, noise=1.0, decomposition="svd", random_state=0)
    model.fit(rows, rows[:, 0])
    own = timed(lambda: model.variance(queries))
    product = median_seconds(lambda: queries @ model.posterior_.basis, rounds=3)
    two = median_seconds(lambda: model.set_params(n_jobs=2).variance(queries), rounds=3)
    record(
        "seconds, 1e5 variances, p=1024, k=50",
        own,
        0.5,
        at_most=True,
        detail=f"{two:.2f} s on 2 threads; matrix product {product:.2f} s",
    )
    model.set_params(n_jobs=None)
    batch, A = queries[:500], model.spectrum_.transform(rows)

    def by_solving():
        a = model.spectrum_.transform(batch)
        S = A.T @ A + np.eye(1024)
        return np.einsum("ij,ij->i", a, np.linalg.solve(S, a.T).T)

    record(
        "solve / ours, batch of 500 variances, p=1024",
        median_seconds(by_solving, rounds=3)
        / median_seconds(lambda: model.variance(batch)),
        20,
        at_most=False,
    )


def bench_intervals():
    """Rows in range and out of it, against intervals of one width; 6 networks."""

    def draw(n, rng, size=2.0):
        rows = rng.uniform(-size, size, (n, 4))
        truth = np.sin(2.0 * rows[:, 0]) + rows[:, 1] * rows[:, 2] / 2.0
        return rows, truth + 0.2 * rng.standard_normal(n)

    figures = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        network = MLPRegressor(
            hidden_layer_sizes=(64, 64), learning_rate_init=0.003, random_state=seed
        )
        rows, y = draw(600, rng)
        for _ in range(100):
            network.partial_fit(rows, y)
        (near, y_near), (far, y_far) = draw(2000, rng), draw(2000, rng, size=4.0)
        for split in range(5):
            rows, y = draw(900, rng)
            model = EmpiricalKernelUQ(network, cv="prefit", random_state=split)
            low, high = model.fit(rows, y).predict_interval(near)
            below, above = model.predict_interval(far)
            errors = np.abs(y - network.predict(rows))[model.held_out_indices_]
            half = np.quantile(errors, 0.9, method="higher")
            figures.append(
                [
                    ((low <= y_near) & (y_near <= high)).mean(),
                    (high - low).mean() / (2.0 * half),
                    ((below <= y_far) & (y_far <= above)).mean(),
                    (np.abs(y_far - network.predict(far)) <= half).mean(),
                ]
            )
    inside, width, covered, split_covered = np.mean(figures, axis=0)
    record(
        "mean width / that of split conformal",
        width,
        1.05,
        at_most=True,
        detail=f"coverage {inside:.3f} of 0.9 in range",
    )
    record(
        "coverage out of range, gain over split conformal",
        covered - split_covered,
        0.15,
        at_most=False,
        detail=f"{covered:.2f} against {split_covered:.2f}",
    )


def equivalence(**params):
    """Compare networks and the machine on standardized breast_cancer."""
    rows, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(rows))
    rows, y = StandardScaler().fit_transform(rows)[order], y[order]
    return equivalence_report(
        rows[:100], y[:100], rows[100:200], random_state=0, n_jobs=2, **params
    )


def bench_equivalence():
    """Train networks of widths up to 8192, on two threads."""
    report = equivalence(n_seeds=3, max_iter=400)
    slope, error = report.rms_slope, report.rms_slope_error
    means = ", ".join(f"{mean:.3f}" for mean in report.rms_deviation)
    detail = f"+- {error:.2f}; rms {means}; lambda t = {report.horizon:.2f}"
    name = "slope of deviations over widths 128 to 8192"
    record(name, slope, -0.35, at_most=True, detail=detail)
    record(name, slope, -0.65, at_most=False, detail=f"max {report.max_slope:.2f}")
    drift = ", ".join(f"{mean:.4f}" for mean in report.kernel_drift)
    record(
        "share of rows classified as by NTKSVC, width 8192",
        report.optimum_agreement[-1],
        0.99,
        at_most=False,
        detail=f"kernels drift by {drift}; {report.seconds[-1]:.0f} s a network",
    )


@pytest.mark.parametrize("regularizer", ["last_layer", "last_layer_scaled"])
def bench_other_regularizers(regularizer):
    """Find their limits, and that these are not the machine."""
    report = equivalence(
        n_seeds=3, max_iter=400, widths=(128, 512, 2048), regularizer=regularizer
    )
    own = report.limit_rms_deviation[-1]
    record(
        f"{regularizer}: deviation from the machine / from its limit, width 2048",
        report.rms_deviation[-1] / own,
        2,
        at_most=False,
        detail=f"slopes {report.rms_slope:.2f} and {report.limit_rms_slope:.2f}",
    )
    record(
        f"{regularizer}: slope of deviations from its limit",
        report.limit_rms_slope,
        -0.35,
        at_most=True,
    )
