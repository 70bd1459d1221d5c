"""Merged rows and centres."""

import numpy as np
import pytest

from kernelkit.rbf_network.centers import RULES, choose_centers, merge_rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = RNG.normal(size=(60, 1))
each_rule = pytest.mark.parametrize("rule", RULES)


def choose(rule, X, weights, n, seed=0):
    return choose_centers(rule, X, weights, n, rng=np.random.default_rng(seed))


class TestMergedRows:
    """Equal rows are one."""

    def test_repetition_is_weight(self):
        """Seen red with repeated rows kept."""
        counts = RNG.integers(1, 4, size=60)

        once = merge_rows(X, Y, counts.astype(float))
        often = merge_rows(np.repeat(X, counts, axis=0), np.repeat(Y, counts, 0), None)

        for got, expected in zip(often, once, strict=True):
            np.testing.assert_array_equal(got, expected)

    def test_order_does_not_matter(self):
        """Seen red with rows that are not sorted by all columns."""
        ties = np.round(X)
        order = RNG.permutation(60)

        for got, expected in zip(
            merge_rows(ties[order], Y[order], None),
            merge_rows(ties, Y, None),
            strict=True,
        ):
            np.testing.assert_array_equal(got, expected)

    def test_no_weight_is_no_row(self):
        """Seen red with such rows kept."""
        weights = np.r_[np.zeros(20), np.ones(40)]

        merged = merge_rows(X, Y, weights)

        np.testing.assert_array_equal(merged[0], merge_rows(X[20:], Y[20:], None)[0])
        assert merged[2] is None

    def test_zeros_have_no_sign(self):
        """Seen red without the sum that drops signs."""
        rows, _, weights = merge_rows(np.array([[-0.0], [0.0]]), np.zeros((2, 1)), None)

        assert weights.tolist() == [2.0]
        assert not np.signbit(rows).any()

    def test_same_row_with_two_targets_stays_two(self):
        rows, targets, weights = merge_rows(np.zeros((2, 1)), np.eye(2)[:, :1], None)

        assert targets.ravel().tolist() == [0.0, 1.0]
        assert len(rows) == 2
        assert weights is None

    def test_order_of_weights_does_not_matter(self):
        """Seen red with weights that are summed in the order of the rows."""
        rows, weights = np.repeat(X[:9], 3, axis=0), np.tile([0.1, 0.2, 0.3], 9)
        order = RNG.permutation(27)

        sums = merge_rows(rows, rows[:, :1], weights)[2]

        again = merge_rows(rows[order], rows[order][:, :1], weights[order])[2]
        np.testing.assert_array_equal(again, sums)


class TestRules:
    """What every rule does."""

    @each_rule
    def test_different_centers(self, rule):
        """Seen red with equal rows drawn twice."""
        rows = np.repeat(X[:12], 5, axis=0)

        C = choose(rule, rows, None, 10)

        assert len(np.unique(C, axis=0)) == 10

    @each_rule
    def test_all_rows_if_they_are_few(self, rule):
        rows = np.repeat(np.sort(X[:5], axis=0), 3, axis=0)

        np.testing.assert_array_equal(choose(rule, rows, None, 5), rows[::3])

    @each_rule
    def test_weights_count(self, rule):
        """Seen red with weights that are not used."""
        rows = np.sort(X, axis=0)
        weights = np.where(np.arange(60) < 55, 1e-9, 1.0)

        C = choose(rule, rows, weights, 5)

        near = np.abs(C[:, None] - rows[55:]).max(axis=2).min(axis=1)
        assert (near < 1.0).all()

    @each_rule
    def test_seed_decides(self, rule):
        rows = np.sort(X, axis=0)

        np.testing.assert_array_equal(
            choose(rule, rows, None, 7), choose(rule, rows, None, 7)
        )
        assert (choose(rule, rows, None, 7) != choose(rule, rows, None, 7, 1)).any()


@pytest.mark.parametrize("rule", ["kmeans", "kmeans++"])
def test_equal_rows_that_are_apart(rule):
    """Seen red with one more centre than there are different rows."""
    rows = np.array([[0.0], [1.0], [0.0], [1.0], [0.0]])

    C = choose(rule, rows, None, 3)

    assert sorted(C.ravel().tolist()) == [0.0, 1.0]


def test_kmeans_finds_clusters():
    """Seen red with centres that do not move."""
    middles = 100.0 * np.eye(4)
    rows = np.repeat(middles, 30, axis=0) + RNG.normal(size=(120, 4))
    rows = merge_rows(rows, np.zeros((120, 1)), None)[0]

    C = choose("kmeans", rows, None, 4)

    distances = np.linalg.norm(C[:, None] - middles, axis=2)
    assert (distances.min(axis=0) < 1.0).all()


def test_many_rows_are_sampled(monkeypatch):
    monkeypatch.setattr("kernelkit.rbf_network.centers.SAMPLED_ROWS", 15)

    C = choose("kmeans++", np.sort(X, axis=0), None, 15)

    assert len(C) == 15
