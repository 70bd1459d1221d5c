import numpy as np
import pytest
from scipy.spatial.distance import cdist

from kernelkit.datasets import make_clusters


def rare_rows(X):
    """Find the rows that have few others nearby."""
    return (cdist(X, X) < 1.0).sum(axis=1) < 0.05 * len(X)


@pytest.mark.parametrize("rare", [0.02, 0.05, 0.3])
def test_share_of_rare_rows_is_as_asked(rare):
    """Seen red with as many dense rows as rare ones are asked for."""
    X, _, _ = make_clusters(1000, rare=rare, random_state=0)

    few = rare_rows(X)

    assert few.mean() == pytest.approx(rare, rel=0.15)
    assert np.abs(X).max() <= 5.0
    assert (np.abs(X[few]) > 4.5).any()
    order = np.flatnonzero(few)
    assert order.min() < 200, "rows come in random order"
    assert order.max() > 800


@pytest.mark.parametrize("n_features", [1, 2, 3, 7])
@pytest.mark.parametrize("n_clusters", [1, 5])
def test_clusters_are_where_they_were_and_of_their_spread(n_features, n_clusters):
    """Seen red with clusters placed by `random_state`."""
    X, _, _ = make_clusters(
        2000, n_features, n_clusters=n_clusters, rare=1e-3, random_state=0
    )
    other, _, _ = make_clusters(
        2000, n_features, n_clusters=n_clusters, rare=1e-3, random_state=1
    )

    nearest = np.sort(cdist(X, other), axis=1)[:, 5]

    assert np.quantile(nearest, 0.9) < 1.0
    if n_clusters == 1:
        middle = np.median(X, axis=0)
        spread = np.median(np.abs(X - middle)) * 1.4826  # of a normal distribution
        assert spread == pytest.approx(0.25, rel=0.1)


def test_target_is_the_formula_and_noise_as_asked():
    """Seen red with the noise in the target of the callable."""
    X, y, target = make_clusters(5000, noise=0.3, random_state=0)

    expected = (
        np.sin(X[:, 0] + 1) + np.sin(X[:, 1] + 2) + np.sin(X[:, 2] + 3)
    ) / np.sqrt(3)
    np.testing.assert_allclose(target(X), expected, atol=1e-14)
    assert np.std(y - target(X)) == pytest.approx(0.3, rel=0.05)
    assert target([[0.0, 0.0, 0.0]]).shape == (1,)


def test_random_state_repeats_the_draws():
    first = make_clusters(50, random_state=7)[:2]
    again = make_clusters(50, random_state=7)[:2]
    other = make_clusters(50, random_state=8)[:2]

    for got, expected, different in zip(again, first, other, strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)
        assert (got != different).all()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n_samples": 0}, "'n_samples'"),
        ({"n_features": 2.5}, "'n_features'"),
        ({"n_clusters": -1}, "'n_clusters'"),
        ({"rare": 1.0}, "'rare'"),
        ({"noise": 0.0}, "'noise'"),
    ],
)
def test_arguments_out_of_range_are_named(params, words):
    with pytest.raises(ValueError, match=words):
        make_clusters(**params)
