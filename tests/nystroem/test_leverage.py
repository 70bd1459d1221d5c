import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.nystroem import effective_dimension as inverse_dimension
from reference.nystroem import leverage_scores, pointwise_sketch
from sklearn.metrics.pairwise import rbf_kernel, sigmoid_kernel

from kernelkit import RidgeLeverageNystroem
from kernelkit.nystroem.leverage import (
    effective_dimension,
    exact_ridge_leverage_scores,
)

RIDGES = st.floats(1e-3, 1e3)
SEEDS = st.integers(0, 2**32 - 1)


def kernel_matrix(seed, n_samples=None):
    """Draw a kernel matrix of up to 20 rows, some of them alike."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples or rng.integers(1, 21), 2)).round(rng.integers(0, 3))
    K = rbf_kernel(X, gamma=rng.uniform(0.1, 2.0))
    scale = np.exp(rng.normal(size=len(K)))
    return scale[:, None] * K * scale


@pytest.mark.parametrize(
    ("ridge", "dimension", "first", "middle"),
    [(0.1, 5.889744, 0.315642, 0.096513), (1.0, 4.185211, 0.169015, 0.071755)],
)
def test_known_answer(ridge, dimension, first, middle):
    X = np.linspace(0.0, 1.0, 50)[:, None]
    K = rbf_kernel(X, gamma=10.0)

    scores = exact_ridge_leverage_scores(K, ridge)

    got = [effective_dimension(K, ridge), scores.sum(), scores[0], scores[25]]
    assert got == pytest.approx([dimension, dimension, first, middle], rel=1e-5)


def test_twins_share_one_direction():
    K = np.ones((10, 10))

    np.testing.assert_allclose(exact_ridge_leverage_scores(K, 1.0), 1 / 11, rtol=1e-14)
    assert effective_dimension(K, 1.0) == pytest.approx(10 / 11)


@given(seed=SEEDS, ridge=RIDGES, is_weighted=st.booleans())
def test_scores_equal_those_by_inverse(seed, ridge, is_weighted):
    """Seen red with weights multiplied to one side, and with 1 - score returned."""
    K = kernel_matrix(seed)
    weights = (
        np.random.default_rng(seed).integers(1, 4, len(K)) if is_weighted else None
    )

    scores = exact_ridge_leverage_scores(K, ridge, weights)

    expected = leverage_scores(K, ridge, weights)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    dimension = effective_dimension(K, ridge, weights)
    assert dimension == pytest.approx(inverse_dimension(K, ridge, weights), abs=1e-8)


@given(seed=SEEDS, ridge=RIDGES)
def test_weight_is_repetition(seed, ridge):
    """Seen red with weights in place of their roots."""
    K = kernel_matrix(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(K))
    weights[0] += 1
    repeated = np.repeat(np.arange(len(K)), weights)

    scores = exact_ridge_leverage_scores(K, ridge, weights)

    copies = exact_ridge_leverage_scores(K[np.ix_(repeated, repeated)], ridge)
    summed = np.bincount(repeated, copies, len(K))
    np.testing.assert_allclose(scores, summed, rtol=0, atol=1e-9)


@given(seed=SEEDS, ridge=RIDGES)
def test_scores_fall_and_dimension_grows_as_rows_arrive(seed, ridge):
    """A score falls by no more than the factor 1 + k(x, x) / ridge of the new row."""
    K = kernel_matrix(seed, 12)

    before = exact_ridge_leverage_scores(K[:-1, :-1], ridge)
    after = exact_ridge_leverage_scores(K, ridge)[:-1]

    assert (after <= before + 1e-10).all()
    assert (after >= before / (1.0 + K[-1, -1] / ridge) - 1e-10).all()
    grown = effective_dimension(K, ridge) - effective_dimension(K[:-1, :-1], ridge)
    assert grown >= -1e-10


@given(seed=SEEDS, ridge=RIDGES, factor=st.floats(1.0, 100.0))
def test_scores_fall_as_the_ridge_grows(seed, ridge, factor):
    K = kernel_matrix(seed)

    low = exact_ridge_leverage_scores(K, ridge)
    high = exact_ridge_leverage_scores(K, factor * ridge)

    assert (high <= low + 1e-10).all()
    assert (high >= low / factor - 1e-10).all()


@given(seed=SEEDS, ridge=RIDGES, weight=st.floats(0.1, 10.0))
def test_new_row_alone_has_the_score_of_its_residual(seed, ridge, weight):
    """``w r / (w r + ridge)``, which further rows only lower."""
    K = kernel_matrix(seed, 12)
    weights = np.append(np.ones(11), weight)
    old, new = K[:-1, :-1], K[:-1, -1]
    residual = K[-1, -1] - new @ np.linalg.solve(old + ridge * np.eye(11), new)

    score = exact_ridge_leverage_scores(K, ridge, weights)[-1]

    assert score == pytest.approx(
        weight * residual / (weight * residual + ridge), abs=1e-9
    )


@pytest.mark.statistical
def test_size_of_a_sketch_is_bounded_by_the_dimension():
    """Rows are kept with probabilities that sum to at most q times the dimension.

    The mean size of 40 sketches deviates from ``sum min(1, q score)`` by some 2 % by
    chance, and by what estimated scores are wrong; 20 % is a false alarm rarer than
    1e-6. Seen red with sketches that take 1.5 q.
    """
    q, ridge, n = 4.0, 0.5, 60
    X = np.random.default_rng(0).normal(size=(n, 2))
    K = rbf_kernel(X, gamma=0.5)
    expected = np.minimum(1.0, q * exact_ridge_leverage_scores(K, ridge)).sum()

    sizes = [
        [
            len(pointwise_sketch(K, ridge, q, np.random.default_rng(seed).random(n))[0])
            for seed in range(40)
        ]
    ]
    for block_size in (1, 10, n):
        sketch = RidgeLeverageNystroem(
            gamma=0.5, ridge=ridge, oversampling=q, block_size=block_size
        )
        sizes.append(
            [
                len(sketch.set_params(random_state=seed).fit(X).components_)
                for seed in range(40)
            ]
        )

    assert expected <= q * effective_dimension(K, ridge)
    assert (abs(np.mean(sizes, axis=1) / expected - 1.0) < 0.2).all()


@pytest.mark.parametrize("ridge", [1e-12, 1e-300, 5e-324])
def test_repeated_rows_share_their_score_at_any_ridge(ridge):
    """Seen red with eigenvalues of rounding kept: scores near 1."""
    X = np.repeat(np.random.default_rng(0).normal(size=(6, 2)), 5, axis=0)
    K = rbf_kernel(X)

    scores = exact_ridge_leverage_scores(K, ridge)

    np.testing.assert_allclose(scores, 0.2, rtol=1e-9)
    assert effective_dimension(K, ridge) == pytest.approx(6.0)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_scale_is_no_difficulty(scale):
    K = kernel_matrix(0, 10)
    weights = np.linspace(0.5, 1.0, 10)

    scores = exact_ridge_leverage_scores(scale * K, scale, weights)

    np.testing.assert_allclose(scores, leverage_scores(K, 1.0, weights), atol=1e-12)
    zero = exact_ridge_leverage_scores(np.zeros((3, 3)), scale)
    assert zero.tolist() == [0.0, 0.0, 0.0]
    dimension = effective_dimension(scale * np.eye(3), 1e-2 * scale)
    assert dimension == pytest.approx(3 / 1.01)


def test_eigenvalues_beyond_the_largest_float_are_no_difficulty():
    """Seen red with the matrix in its own unit."""
    K = np.full((10, 10), 4e307)

    scores = exact_ridge_leverage_scores(K, 4e307, np.full(10, 3.0))

    np.testing.assert_allclose(scores, 3 / 31, rtol=1e-12)


def test_single_precision_is_computed_in_double():
    K = kernel_matrix(3, 15).astype(np.float32)

    scores = exact_ridge_leverage_scores(K, 0.1)

    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, leverage_scores(K, 0.1), atol=1e-3)


@pytest.mark.parametrize("function", [exact_ridge_leverage_scores, effective_dimension])
def test_negative_eigenvalues_count_as_zero_and_are_told(function):
    """Seen red with their absolute values."""
    K = sigmoid_kernel(np.random.default_rng(0).normal(size=(20, 2)), coef0=-1.0)
    values, V = np.linalg.eigh(K)
    nearest = (V * np.maximum(values, 0.0)) @ V.T

    with pytest.warns(UserWarning, match="not positive semidefinite"):
        got = function(K, 0.5)

    np.testing.assert_allclose(got, function(nearest, 0.5), rtol=1e-9)


@pytest.mark.parametrize("function", [exact_ridge_leverage_scores, effective_dimension])
@pytest.mark.parametrize(
    ("K", "ridge", "weights", "words"),
    [
        (np.ones((3, 2)), 1.0, None, r"Got shape \(3, 2\)"),
        ([[1.0, 0.5], [0.4, 1.0]], 1.0, None, r"K\[0, 1\] = 0.5 but K\[1, 0\] = 0.4"),
        ([[1.0, np.nan], [np.nan, 1.0]], 1.0, None, "NaN"),
        ([[np.inf]], 1.0, None, "infinity"),
        ([1.0], 1.0, None, "2D array"),
        (np.empty((0, 0)), 1.0, None, "0 sample"),
        ([[1j]], 1.0, None, "[Cc]omplex"),
        (np.eye(2), 0.0, None, "'ridge' argument must be a finite number > 0"),
        (np.eye(2), np.nan, None, "'ridge' argument"),
        (np.eye(2), "auto", None, "'ridge' argument"),
        (np.eye(2), 1.0, [1.0, -1.0], "[Nn]egative"),
        (np.eye(2), 1.0, [0.0, 0.0], "zero"),
        (np.eye(2), 1.0, [1.0], "sample_weight.shape"),
    ],
)
def test_bad_input_is_refused(function, K, ridge, weights, words):
    with pytest.raises(ValueError, match=words):
        function(K, ridge, weights)


def test_input_stays():
    K, weights = kernel_matrix(0, 8), np.arange(1.0, 9.0)
    before = K.copy(), weights.copy()

    exact_ridge_leverage_scores(K, 1.0, weights)

    np.testing.assert_array_equal(K, before[0])
    np.testing.assert_array_equal(weights, before[1])
