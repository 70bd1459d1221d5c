import pickle

import numpy as np
import pytest
from reference.nystroem import (
    effective_dimension,
    ink_step,
    leverage_scores,
    reconstruction,
    sketch_error,
    weighted,
)
from scipy import sparse
from sklearn.metrics.pairwise import rbf_kernel

from kernelkit._parallel import one_blas_thread
from kernelkit.datasets import make_clusters
from kernelkit.nystroem.ink_estimate import InkEstimate

FITTED = (
    "components_",
    "component_indices_",
    "inclusion_proba_",
    "copies_",
    "leverage_scores_",
    "effective_dimension_",
    "n_samples_seen_",
)


def clusters(n_samples):
    X, _, _ = make_clusters(n_samples, random_state=0)
    return X, rbf_kernel(X, gamma=0.5)


@pytest.fixture(autouse=True)
def _one_blas_thread():
    """Enter once: threads of small matrices cost more than they save."""
    with one_blas_thread:
        yield


def assert_same_sketch(got, expected, rtol=1e-9):
    for name in FITTED:
        np.testing.assert_allclose(
            getattr(got, name), getattr(expected, name), rtol=rtol, err_msg=name
        )


def test_estimates_are_bounded_at_every_step():
    """With the published budget, which keeps every column of so few rows.

    Seen red with scores in units of the ridge alone, with no gain of the dimension, and
    with the ridge in place of a * ridge.
    """
    n, ridge, epsilon = 160, 1.0, 0.5
    a = (2.0 - epsilon) / (1.0 - epsilon)
    X, K = clusters(n)
    model = InkEstimate(gamma=0.5, n_copies=43_740, random_state=0)

    for t in range(1, n + 1):
        model.partial_fit(X[t - 1 : t])

        values, V = np.linalg.eigh(K[:t, :t])
        scores = V**2 @ (values / (values + ridge))
        ratios = model.leverage_scores_ / scores
        dimension, most = scores.sum(), a**2 * (1.0 + values[-1] / ridge) * scores.sum()
        assert model.component_indices_.tolist() == list(range(t))
        assert (ratios >= 1.0 / a).all()
        assert (ratios <= 1.0 + 1e-9).all()
        assert dimension * (1.0 - 1e-12) <= model.effective_dimension_ <= most


@pytest.mark.parametrize("n_copies", [300, 1000])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_steps_equal_those_of_dense_matrices(n_copies, is_weighted):
    """Seen red with the old in place of the new probability in the weights."""
    n, ridge, epsilon = 60, 0.7, 0.3
    X, K = clusters(n)
    weights = np.random.default_rng(1).uniform(0.2, 3.0, n) if is_weighted else None
    K = weighted(K, weights)
    model = InkEstimate(
        gamma=0.5, ridge=ridge, epsilon=epsilon, n_copies=n_copies, random_state=3
    )
    atoms = inclusion = copies = np.empty(0)
    dimension = 0.0

    for t in range(n):
        weight = None if weights is None else weights[t : t + 1]
        model.partial_fit(X[t : t + 1], sample_weight=weight)

        scores, dimension, now = ink_step(
            K[: t + 1, : t + 1],
            np.asarray(atoms, dtype=int),
            inclusion,
            copies,
            dimension,
            ridge=ridge,
            epsilon=epsilon,
            n_copies=n_copies,
        )
        assert model.effective_dimension_ == pytest.approx(dimension, rel=1e-9)
        known = np.append(atoms, t)
        live = np.isin(known, model.component_indices_)
        assert live.sum() == len(model.component_indices_), "a dropped column is back"
        np.testing.assert_allclose(model.leverage_scores_, scores[live], rtol=1e-8)
        np.testing.assert_allclose(model.inclusion_proba_, now[live], rtol=1e-8)
        assert (model.copies_ <= np.append(copies, n_copies)[live]).all()
        atoms, inclusion = known[live], model.inclusion_proba_
        copies = model.copies_

    assert 0 < len(atoms) < n


@pytest.mark.statistical
def test_copies_survive_with_their_probability():
    """The mean of 300 draws is within 5 sigma: false alarms at a rate of 1e-6.

    Seen red with copies thinned by p in place of p / p_before.
    """
    X, _ = clusters(6)
    n_copies = 1000
    means = np.zeros(6)

    for seed in range(300):
        model = InkEstimate(gamma=0.5, n_copies=n_copies, random_state=seed).fit(X)
        assert len(model.copies_) == 6
        means += model.copies_ / (n_copies * model.inclusion_proba_) / 300

    # Given the p, copies / p is a martingale; its variance is below n_copies / p.
    sigma = np.sqrt(1.0 / (n_copies * model.inclusion_proba_.min()) / 300)
    np.testing.assert_allclose(means, 1.0, rtol=0, atol=5 * sigma)


@pytest.mark.parametrize("n_copies", [300, 10_000])
def test_bounds_of_scores_follow_from_the_accuracy_reached(n_copies):
    """Whatever the budget: with the least eps that the sketch has, if it is below 1.

    Seen red with 1.2 times the scores.
    """
    n, ridge, epsilon = 80, 1.0, 0.5
    X, K = clusters(n)
    a = (2.0 - epsilon) / (1.0 - epsilon)
    model = InkEstimate(
        gamma=0.5, epsilon=epsilon, n_copies=n_copies, random_state=0
    ).fit(X[:-1])
    shares = n_copies * model.inclusion_proba_ / model.copies_
    _, low = sketch_error(K[:-1, :-1], model.component_indices_, shares, ridge)

    model.partial_fit(X[-1:])

    scores = leverage_scores(K, ridge)[model.component_indices_]
    ratios = model.leverage_scores_ / scores
    assert low < 1.0
    # K - Kbar <= ridge / (1 - low) I: then a * ridge covers the gap, or a part of it.
    assert (ratios <= max(1.0, (1.0 / (1.0 - low)) / (a - 1.0)) + 1e-9).all()
    assert (ratios >= 1.0 / a - 1e-9).all()


def test_features_reconstruct_the_kernel_matrix_from_below():
    """Seen red with the weights of the columns left out."""
    X, K = clusters(80)
    weights = np.random.default_rng(1).uniform(0.2, 3.0, 80)
    root = np.sqrt(weights)
    model = InkEstimate(gamma=0.5, n_copies=400, random_state=0)

    Z = root[:, None] * model.fit_transform(X, sample_weight=weights)

    expected = reconstruction(
        K,
        model.component_indices_,
        model.inclusion_proba_,
        1.0,
        weights,
        copies=model.copies_,
        n_copies=400,
    )
    np.testing.assert_allclose(Z @ Z.T, expected, atol=1e-10)
    assert np.linalg.eigvalsh(weighted(K, weights) - Z @ Z.T).min() > -1e-10
    assert 5 < Z.shape[1] < 80
    assert len(model.get_feature_names_out()) == Z.shape[1]


def test_batches_do_not_matter():
    """Seen red with row numbers counted anew in each batch."""
    X, _ = clusters(70)
    weights = np.random.default_rng(1).integers(0, 3, 70).astype(float)
    weights[0] = 1.0
    params = {"gamma": 0.5, "n_copies": 1000, "random_state": 0}

    whole = InkEstimate(**params).fit(X, sample_weight=weights)
    parts = InkEstimate(**params)
    for rows in (slice(0, 1), slice(1, 30), slice(30, 70)):
        parts.partial_fit(X[rows], sample_weight=weights[rows])

    assert_same_sketch(parts, whole)


def test_rows_without_weight_leave_no_trace():
    """Seen red with such rows in the estimate of the dimension."""
    X, _ = clusters(50)
    weights = np.tile([0.0, 1.0], 25)
    params = {"gamma": 0.5, "n_copies": 1000, "random_state": 0}

    got = InkEstimate(**params).fit(X, sample_weight=weights)
    expected = InkEstimate(**params).fit(X[1::2])

    np.testing.assert_array_equal(
        got.component_indices_, 2 * expected.component_indices_ + 1
    )
    np.testing.assert_allclose(got.leverage_scores_, expected.leverage_scores_)
    assert got.effective_dimension_ == pytest.approx(expected.effective_dimension_)
    assert got.n_samples_seen_ == 50


def test_precomputed_and_sparse_rows_give_the_same_sketch():
    X, K = clusters(50)
    params = {"n_copies": 1000, "random_state": 0}
    expected = InkEstimate(gamma=0.5, **params).fit(X)

    by_matrix = InkEstimate("precomputed", **params).fit(K)
    by_sparse = InkEstimate(gamma=0.5, **params).fit(sparse.csr_matrix(X))

    assert_same_sketch(by_sparse, expected)
    np.testing.assert_array_equal(
        by_matrix.component_indices_, expected.component_indices_
    )
    Z = expected.transform(X)
    np.testing.assert_allclose(by_matrix.transform(K), Z, atol=1e-10)
    np.testing.assert_allclose(by_sparse.transform(sparse.csr_array(X)), Z, atol=1e-12)
    with pytest.raises(ValueError, match="use fit"):
        by_matrix.partial_fit(K)


def test_small_budget_loses_everything_and_says_so():
    """Seen red without the warning."""
    X = np.random.default_rng(0).uniform(size=(200, 1))
    model = InkEstimate(gamma=0.5, n_copies=5, random_state=0)

    with pytest.warns(UserWarning, match="No column survived: n_copies=5"):
        model.fit(X)

    assert model.transform(X).shape == (200, 0)


def test_dimension_is_far_above_the_exact_one():
    """As the docs say: several times, where the sketch is good."""
    X, K = clusters(200)

    model = InkEstimate(gamma=0.5, random_state=0).fit(X)

    assert 3.0 < model.effective_dimension_ / effective_dimension(K, 1.0) < 9.0


@pytest.mark.parametrize("X", [[[0.0], [0.0]], [[0.0], [1.0], [1.0], [2.0]], [[3.0]]])
def test_rows_of_length_zero_and_repeated_rows_are_no_difficulty(X):
    """Seen red with the score divided by a dimension of zero."""
    model = InkEstimate("linear", random_state=0)

    if not np.any(X):
        with pytest.warns(UserWarning, match="No column survived"):
            model.fit(X)
        return
    model.fit(X)

    assert (model.leverage_scores_ > 0.0).all()
    assert np.isfinite(model.effective_dimension_)


@pytest.mark.filterwarnings("ignore:No column survived")
@pytest.mark.parametrize("ridge", [1e-300, 1e-12, 1e12])
def test_any_ridge_is_computed(ridge):
    """Seen red with a ridge below rounding as it stands: overflow."""
    X, _ = clusters(30)

    model = InkEstimate(gamma=0.5, ridge=ridge, n_copies=10**7, random_state=0).fit(X)

    assert ((model.leverage_scores_ >= 0.0) & (model.leverage_scores_ <= 1.0)).all()
    assert np.isfinite(model.transform(X)).all()


@pytest.mark.filterwarnings("ignore:No column survived")
def test_indefinite_kernel_is_refused_where_it_matters():
    """Only some draws weigh the two rows so that their matrix needs a factor."""
    K = [[1.0, 1.05], [1.05, 1.0]]

    def sketch(seed):
        model = InkEstimate("precomputed", ridge=0.1, n_copies=5, random_state=seed)
        return model.fit(K).transform(K)

    with pytest.raises(ValueError, match="not positive semidefinite"):
        list(map(sketch, range(100)))


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.5, np.nan, "low"])
def test_epsilon_out_of_range_is_refused(epsilon):
    """Seen red with words about an argument."""
    with pytest.raises(ValueError, match="'epsilon' parameter of InkEstimate must"):
        InkEstimate(epsilon=epsilon).fit([[0.0], [1.0]])


def test_no_generator_is_kept():
    """Saved sketches go on. Seen red with one."""
    X, _ = clusters(60)
    sketch = InkEstimate(gamma=0.5, random_state=0).fit(X[:30])
    copy = pickle.loads(pickle.dumps(sketch))

    assert not any(isinstance(v, np.random.Generator) for v in vars(sketch).values())
    sketch.transform(X)
    expected = InkEstimate(gamma=0.5, random_state=0).fit(X)
    for again in (sketch, copy):
        again.partial_fit(X[30:])
        np.testing.assert_array_equal(again.copies_, expected.copies_)
