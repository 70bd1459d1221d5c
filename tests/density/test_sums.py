"""Every algorithm gives the sums of the definition, at every size of its parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.dominance import dominated_weight

from kernelkit import _parallel
from kernelkit._parallel import in_order
from kernelkit.density import _jit_dominance as loops
from kernelkit.density import ranks, sums

SIZES = [1, 2, 3, 7, 64, 65, 1000, 3000]
BLOCK = loops.BLOCK


@pytest.fixture
def small_leaves(monkeypatch):
    """Let the tree split problems of a few dozen rows, into many tasks."""
    monkeypatch.setattr(sums, "_BITSET_LEAF", 24)
    monkeypatch.setattr(sums, "_BRUTE_LEAF", 12)
    monkeypatch.setattr(sums, "_FEW", 2)
    monkeypatch.setattr(sums, "_TREE_TASK", 40)
    monkeypatch.setattr(sums, "_BRUTE_TASK", 16)


def _sums(X, queries, weights, algorithm, n_jobs=None):
    with _parallel.threads(n_jobs) as run:
        columns, places = ranks.rank_columns(X, run=run)
        own = queries is None
        if own:
            thresholds = ranks.own_thresholds(columns, places, run=run)
        else:
            thresholds = ranks.query_thresholds(columns, queries, run=run)
        return sums.dominance_sums(
            places, thresholds, weights, own=own, algorithm=algorithm, run=run
        )


def _algorithms(n_features, weighted):
    skipped = ({"sweep"} if n_features > 2 else set()) | (
        {"bitset"} if weighted else set()
    )
    return sorted(set(sums.ALGORITHMS) - skipped)


def _rows(rng, n, d, ties):
    X = rng.standard_normal((n, d))
    return np.round(X) if ties else X


@pytest.mark.usefixtures("small_leaves")
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n_features", range(1, 7))
@pytest.mark.parametrize("n_samples", SIZES)
def test_counts_equal_the_definition(n_samples, n_features, ties):
    """To the last unit. Seen red with a target sent to the wrong half of a split."""
    rng = np.random.default_rng([n_samples, n_features])
    X = _rows(rng, n_samples, n_features, ties)
    queries = _rows(rng, 150, n_features, ties)
    rows = slice(None, None, max(1, n_samples // 150))
    expected_own = dominated_weight(X, X[rows])
    expected = dominated_weight(X, queries)

    for algorithm in _algorithms(n_features, weighted=False):
        own = _sums(X, None, None, algorithm)
        at_queries = _sums(X, queries, None, algorithm)

        np.testing.assert_array_equal(own[rows], expected_own, err_msg=algorithm)
        np.testing.assert_array_equal(at_queries, expected, err_msg=algorithm)


@pytest.mark.usefixtures("small_leaves")
@pytest.mark.parametrize("n_features", range(1, 7))
@pytest.mark.parametrize("n_samples", SIZES)
def test_weighted_sums_equal_the_definition(n_samples, n_features):
    """Weights over 24 orders of magnitude, and zeros, to 1e-13.

    Seen red with the weights of the two halves exchanged.
    """
    rng = np.random.default_rng([n_samples, n_features])
    X = _rows(rng, n_samples, n_features, ties=True)
    weights = 10.0 ** rng.uniform(-12, 12, n_samples) * (rng.random(n_samples) > 0.1)
    queries = _rows(rng, 150, n_features, ties=True)
    expected = dominated_weight(X, queries, weights)

    for algorithm in _algorithms(n_features, weighted=True):
        got = _sums(X, queries, weights, algorithm)

        np.testing.assert_allclose(got, expected, rtol=1e-13, err_msg=algorithm)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    m=st.integers(1, 60),
    n_keys=st.integers(1, 5),
)
def test_split_keeps_every_pair_once(seed, n, m, n_keys):
    """A source counts for a target in the three parts together as often as before.

    Seen red with the limits of the upper half not reduced.
    """
    rng = np.random.default_rng(seed)
    keys = np.array([rng.permutation(n) for _ in range(n_keys)], dtype=np.int32)
    limits = rng.integers(0, n + 1, (n_keys + 1, m)).astype(np.int32)
    limits = np.ascontiguousarray(limits[:, np.argsort(limits[0], kind="stable")])
    problem = (keys, limits, None)
    before = sums._brute(*problem)

    after = np.zeros(m)
    for rows, part in sums._split(problem, in_order):
        if rows.size:
            after[rows] += sums._brute(*part)

    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("n", [1, 63, 64, 511, 512, 513, 8191, 8192, 8193, 40_000])
def test_sweep_at_the_edges_of_its_blocks(n):
    """Against a count by sorting. Seen red with blocks that count themselves."""
    rng = np.random.default_rng(n)
    keys = rng.permutation(n).astype(np.int32)[None]
    limits = np.array([np.sort(rng.integers(0, n + 1, 50)), rng.integers(0, n + 1, 50)])
    limits[:, -1] = n
    limits = limits.astype(np.int32)
    weights = rng.random(n)

    counts = sums._sweep(keys, limits, None)
    weighed = sums._sweep(keys, limits, weights)

    seen = [keys[0, :p] < place for p, place in limits.T]
    assert counts.tolist() == [part.sum() for part in seen]
    expected = [weights[: part.size][part].sum() for part in seen]
    np.testing.assert_allclose(weighed, expected, rtol=1e-12)


@pytest.mark.parametrize("n_features", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
def test_bitset_at_the_edges_of_its_blocks(n, n_features):
    """Seen red with a block's last row left out."""
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, n_features))
    queries = np.concatenate(
        [rng.standard_normal((60, n_features)) + 1, [X.max(axis=0)]]
    )

    got = _sums(X, queries, None, "bitset")

    expected = (X[:, None, :] <= queries).all(axis=2).sum(axis=0)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.usefixtures("small_leaves")
@pytest.mark.parametrize("algorithm", ["tree", "brute"])
def test_weighted_sums_have_the_same_bits_for_any_number_of_threads(algorithm):
    """Seen red with results added as they come in."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((700, 4))
    weights = 10.0 ** rng.uniform(-12, 12, 700)

    results = [_sums(X, None, weights, algorithm, n_jobs) for n_jobs in (1, 2, 3, -1)]

    for result in results[1:]:
        assert result.tobytes() == results[0].tobytes()


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_grid_sums_equal_sums_at_the_nodes(n_features, upper):
    """Nodes below, between, at and above the rows. Seen red with one cell too few."""
    rng = np.random.default_rng(n_features)
    X = rng.integers(0, 6, (80, n_features)).astype(float)
    weights = rng.random(80)
    axes = [np.array([-1.0, 0.0, 2.0, 2.5, 6.0 + k]) for k in range(n_features)]
    columns, places = ranks.rank_columns(X, run=in_order)
    nodes = [ranks.count_not_above(*pair) for pair in zip(columns, axes, strict=True)]
    queries = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(
        -1, n_features
    )

    counts = sums.grid_sums(places, nodes, None, upper=upper)
    weighed = sums.grid_sums(places, nodes, weights, upper=upper)

    sides = [upper] * n_features
    assert counts.shape == weighed.shape == (5,) * n_features
    assert counts.ravel().tolist() == dominated_weight(X, queries, None, sides).tolist()
    expected = dominated_weight(X, queries, weights, sides)
    np.testing.assert_allclose(weighed.ravel(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "weighted", "chosen"),
    [
        ((10**6, 10**6, 1), False, "sweep"),
        ((10**6, 10**6, 2), False, "sweep"),
        ((10**6, 10**6, 2), True, "sweep"),
        ((10**6, 10, 2), False, "brute"),
        ((10**6, 10**6, 3), False, "tree"),
        ((10**6, 10, 3), False, "brute"),
        ((10**6, 65, 3), False, "brute"),
        ((100, 10**6, 3), False, "tree"),
        ((100, 10**5, 3), False, "bitset"),
        ((4000, 4000, 5), False, "bitset"),
        ((500, 500, 5), True, "brute"),
        ((4000, 4000, 5), True, "tree"),
    ],
)
def test_auto_estimates_the_work(arguments, weighted, chosen):
    """Seen red without the rule for few rows."""
    assert sums.choose("auto", *arguments, weighted=weighted) == chosen


def test_algorithms_that_cannot_work_are_refused():
    """Seen red without either check."""
    with pytest.raises(ValueError, match=r"sweep.*at most 2 features, X has 3.*'tree'"):
        sums.choose("sweep", 10, 10, 3, weighted=False)
    with pytest.raises(ValueError, match=r"bitset.*sample_weight.*'tree'"):
        sums.choose("bitset", 10, 10, 3, weighted=True)
