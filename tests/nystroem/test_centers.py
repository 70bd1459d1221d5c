from itertools import permutations

import numpy as np
import pytest
from reference.nystroem import projection
from scipy import sparse, stats
from sklearn.gaussian_process.kernels import RBF
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

from kernelkit._parallel import one_blas_thread
from kernelkit.datasets import make_clusters
from kernelkit.linalg.kernel_blocks import as_kernel
from kernelkit.nystroem.centers import (
    RULES,
    choose_centers,
    pivoted_cholesky,
    rpcholesky,
)

RBF_KERNEL = as_kernel("rbf", gamma=0.5, n_features=1)
FIVE = np.array([[0.0], [0.3], [1.0], [1.1], [3.0]])


def rows(n_samples, n_features=2):
    return np.random.default_rng(0).normal(size=(n_samples, n_features))


def law_of_pivots(K, weights, n_pivots):
    """Enumerate all sequences of pivots with their probabilities."""
    law = {}
    for sequence in permutations(range(len(K)), n_pivots):
        proba = 1.0
        for k, pivot in enumerate(sequence):
            before = list(sequence[:k])
            residual = weights * np.diag(K - projection(K, before) if k else K)
            residual[before] = 0.0
            proba *= residual[pivot] / residual.sum()
        law[sequence] = proba
    return law


def p_value(counts, law):
    """Test counts against probabilities, with those of rare outcomes merged."""
    outcomes = sorted(law, key=law.get)
    expected = np.array([law[outcome] for outcome in outcomes]) * sum(counts.values())
    observed = np.array([counts.get(outcome, 0) for outcome in outcomes])
    first = max(1, np.searchsorted(np.cumsum(expected), 10.0) + 1)
    merged = [
        np.concatenate([[a[:first].sum()], a[first:]]) for a in (observed, expected)
    ]
    return stats.chisquare(*merged).pvalue


@pytest.mark.statistical
@pytest.mark.parametrize("block_size", [1, 2, 7])
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0, 0.5, 1.0]])
def test_pivots_follow_the_law(block_size, weights):
    """A chi-square test at a false-alarm rate of 1e-4.

    Seen red with all candidates of a block accepted, and with the weights ignored.
    """
    w = None if weights is None else np.array(weights)
    K = rbf_kernel(FIVE, gamma=0.5)
    kernel = as_kernel("precomputed", n_features=5)
    law = law_of_pivots(K, np.ones(5) if w is None else w, 3)
    rng = np.random.default_rng(0)
    counts = {}
    with one_blas_thread:
        for _ in range(2000):
            pivots, _ = pivoted_cholesky(
                kernel, K, w, 3, rng=rng, block_size=block_size
            )
            counts[tuple(pivots)] = counts.get(tuple(pivots), 0) + 1

    assert sum(law.values()) == pytest.approx(1.0)
    assert all(law[outcome] > 0.0 for outcome in counts)
    assert p_value(counts, {k: v for k, v in law.items() if v > 0.0}) > 1e-4


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "params", "expected"),
    [
        ("rbf", {"gamma": 0.5}, lambda X: rbf_kernel(X, gamma=0.5)),
        ("poly", {"degree": 2, "gamma": 1.0, "coef0": 0.5}, None),
        (RBF(1.0), {}, lambda X: rbf_kernel(X, gamma=0.5)),
        (polynomial_kernel, {"kernel_params": {"degree": 2, "coef0": 0.5}}, None),
    ],
)
def test_factor_is_the_projection(kernel, params, expected, n_jobs):
    """Seen red with the columns of earlier blocks not subtracted."""
    X = rows(1100)
    if expected is None:
        params = {"gamma": 1.0, **params} if kernel == "poly" else params
        K = polynomial_kernel(X, degree=2, gamma=params.get("gamma"), coef0=0.5)
    else:
        K = expected(X)

    indices, factor = rpcholesky(X, kernel, 30, random_state=0, n_jobs=n_jobs, **params)

    assert len(set(indices)) == len(indices) == factor.shape[1]
    np.testing.assert_allclose(
        factor @ factor.T, projection(K, indices, 1e-13), atol=1e-7 * K.max()
    )
    np.testing.assert_allclose((factor @ factor.T)[indices], K[indices], atol=1e-9)
    np.testing.assert_array_equal(factor[indices], np.tril(factor[indices]))


def test_threads_change_no_bit():
    """Seen red with blocks of candidates whose size depends on `n_jobs`."""
    X = rows(2000)

    one = rpcholesky(X, n_components=40, random_state=0, n_jobs=1)
    two = rpcholesky(X, n_components=40, random_state=0, n_jobs=2)

    for got, expected in zip(two, one, strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


def test_first_pivots_are_a_smaller_sample():
    """The residual falls with each, to what the projection leaves."""
    X, _, _ = make_clusters(400, random_state=0)
    K = rbf_kernel(X, gamma=0.5)

    indices, factor = rpcholesky(X, gamma=0.5, n_components=50, random_state=0)

    traces = len(K) - np.cumsum((factor**2).sum(axis=0))
    for m in (1, 10, 50):
        left = np.trace(K - projection(K, indices[:m], 1e-13))
        assert traces[m - 1] == pytest.approx(left, abs=1e-8)


def test_pivots_leave_less_than_uniform_rows():
    """As the law promises on uneven rows: to the rare ones it comes at once."""
    X, _, _ = make_clusters(1000, random_state=0)
    K = rbf_kernel(X, gamma=0.5)
    left = {}

    for rule in ("uniform", "rpcholesky"):
        chosen = choose_centers(
            rule, RBF_KERNEL, X, None, 60, alpha=1.0, rng=np.random.default_rng(0)
        )
        left[rule] = np.trace(K - projection(K, chosen.indices))

    assert left["rpcholesky"] < 0.8 * left["uniform"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_pivots_stop_when_nothing_is_left(kernel, dtype):
    """Seen red with residuals of rounding taken for new directions."""
    X = np.repeat(rows(8, 3), 20, axis=0).astype(dtype)

    indices, factor = rpcholesky(X, kernel, 60, random_state=0)

    rank = 3 if kernel == "linear" else 8
    assert len(indices) == rank
    K = X @ X.T if kernel == "linear" else rbf_kernel(X, gamma=1 / 3)
    np.testing.assert_allclose(factor @ factor.T, K, atol=1e3 * np.finfo(dtype).eps)


def test_precomputed_and_sparse_rows_make_the_same_choice():
    """Seen red with the columns of the kernel matrix taken by place in the block."""
    X = rows(60).round(1)
    indices, factor = rpcholesky(X, gamma=0.5, n_components=12, random_state=0)
    K = rbf_kernel(X, gamma=0.5)

    by_matrix = rpcholesky(K, "precomputed", 12, random_state=0)
    by_sparse = rpcholesky(
        sparse.csr_array(X), gamma=0.5, n_components=12, random_state=0
    )

    for got in (by_matrix, by_sparse):
        np.testing.assert_array_equal(got[0], indices)
        np.testing.assert_allclose(got[1], factor, atol=1e-10)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n_components": 0}, "'n_components' parameter of rpcholesky must be"),
        ({"kernel": "gaussian"}, "'kernel' parameter of rpcholesky must be"),
        ({"gamma": -1.0}, "'gamma' parameter of rpcholesky must be"),
        ({"X": [[np.nan]]}, "NaN"),
        ({"X": rows(3), "kernel": "precomputed"}, r"shape \(3, 2\)"),
        ({"sample_weight": [0.0] * 5}, "zero"),
        ({"sample_weight": [-1.0] * 5}, "[Nn]egative"),
    ],
)
def test_wrong_arguments_are_named(params, words):
    with pytest.raises(ValueError, match=words):
        rpcholesky(**{"X": FIVE, **params})


def choose(rule, X, n_centers, w=None, seed=0, kernel=RBF_KERNEL, **options):
    rng = np.random.default_rng(seed)
    options = {"alpha": 1e-3, **options}
    return choose_centers(rule, kernel, X, w, n_centers, rng=rng, **options)


@pytest.mark.statistical
def test_uniform_centers_are_included_as_often_as_promised():
    """A row's count deviates by less than 5 sigma: false alarms at a rate of 1e-5.

    Seen red with weights ignored.
    """
    w = np.array([1.0, 0.0, 3.0, 1.0, 5.0, 1.0])
    X = rows(6, 1)
    counts, promised = np.zeros(6), np.zeros(6)

    for seed in range(3000):
        chosen = choose("uniform", X, 2, w, seed)
        counts[chosen.indices] += 1
        promised[chosen.indices] = chosen.inclusion_proba

    # Successive draws: either first, or second after one of the others.
    share = w / w.sum()
    exact = [
        p + sum(q * p / (1 - q) for j, q in enumerate(share) if j != i)
        for i, p in enumerate(share)
    ]
    sigma = np.sqrt(3000 * np.array(exact) * (1 - np.array(exact)))
    assert (np.abs(counts - 3000 * np.array(exact)) <= 5 * sigma).all()
    assert promised.sum() == pytest.approx(2.0)
    np.testing.assert_allclose(promised, exact, atol=0.08)


def test_uniform_inclusion_without_weights_is_the_share():
    chosen = choose("uniform", rows(40), 10)

    np.testing.assert_allclose(chosen.inclusion_proba, 0.25, rtol=1e-9)
    assert len(np.unique(chosen.indices)) == 10


def test_extreme_weights_are_no_difficulty():
    w = np.array([1e300, 5e-324, 1.0, 1e-300, 1e308])

    chosen = choose("uniform", FIVE, 3, w)

    assert len(chosen.indices) == 3
    assert {0, 4} <= set(chosen.indices)
    assert np.isfinite(chosen.inclusion_proba).all()


@pytest.mark.parametrize("rule", RULES)
def test_rows_without_weight_are_not_chosen(rule):
    """Seen red with zero weights taken for ones."""
    X = rows(60)
    w = np.tile([0.0, 1.0, 2.0], 20)

    chosen = choose(rule, X, 15, w)
    every = choose(rule, X, 45, w)

    assert len(chosen.indices) <= 15
    assert (w[chosen.indices] > 0.0).all()
    np.testing.assert_array_equal(every.indices, np.flatnonzero(w))
    np.testing.assert_array_equal(every.inclusion_proba, 1.0)


@pytest.mark.parametrize("rule", ["rls", "rpcholesky"])
def test_selection_looks_at_some_rows_only(rule):
    """Seen red with numbers of the selected rows not traced back."""
    X = rows(500)
    K = rbf_kernel(X, gamma=0.5)
    precomputed = as_kernel("precomputed", n_features=500)

    by_rows = choose(rule, X, 20, selection_samples=100)
    by_matrix = choose(rule, K, 20, selection_samples=100, kernel=precomputed)

    np.testing.assert_array_equal(by_matrix.indices, by_rows.indices)
    assert by_rows.indices.max() > 100
    if rule == "rls":
        assert (by_rows.inclusion_proba <= 0.2).all()


def test_selection_of_too_few_rows_is_refused():
    """Seen red with as many centres as selected rows."""
    X = rows(50)
    with pytest.raises(ValueError, match=r"selection_samples=19 .*n_components=20"):
        choose("rls", X, 20, selection_samples=19)

    assert len(choose("uniform", X, 20, selection_samples=19).indices) == 20
    assert len(choose("rls", X, 50, selection_samples=19).indices) == 50
