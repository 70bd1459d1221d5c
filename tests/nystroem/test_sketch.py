"""The transformer: scikit-learn's in another sample of rows, and hostile input."""

import pickle
import tracemalloc
from functools import cached_property

import numpy as np
import pandas as pd
import pytest
import skops.io
from reference.nystroem import effective_dimension, leverage_scores
from scipy import sparse
from sklearn.base import clone
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import (
    linear_kernel,
    pairwise_kernels,
    rbf_kernel,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from kernelkit import RidgeLeverageNystroem, merge_sketches
from kernelkit.datasets import make_clusters
from kernelkit.linalg import as_kernel
from kernelkit.nystroem.dictionary import Dictionary, leverage_sample
from kernelkit.nystroem.sketch import _sizes

X, Y, _ = make_clusters(600, random_state=0)
QUERIES = make_clusters(50, random_state=1)[0]
KERNEL = as_kernel("rbf", gamma=0.5, n_features=3)
FITTED = (
    "components_",
    "component_indices_",
    "inclusion_proba_",
    "normalization_",
    "ridge_",
    "effective_dimension_",
)


def model(**params):
    params = {"gamma": 0.5, "ridge": 1.0, "random_state": 0, **params}
    return RidgeLeverageNystroem(**params)


def _scaled_linear(X, Y, scales):
    return (X * scales) @ Y.T


def assert_same(first, second):
    for name in FITTED:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


class TestDropIn:
    """``from kernelkit import RidgeLeverageNystroem as Nystroem``."""

    def test_parameters_of_scikit_learn_have_their_names_and_places(self):
        """Seen red with a kernel that takes no place."""
        theirs = Nystroem("poly", degree=2, coef0=1.0, n_components=7, random_state=0)

        ours = RidgeLeverageNystroem("poly", **_without_kernel(theirs))

        assert ours.get_params().items() >= theirs.get_params().items()
        assert ours.fit_transform(X).shape == (600, 7)

    @pytest.mark.parametrize("n_components", [1, 7, 150, 599, 600])
    def test_n_components_is_kept_to(self, n_components):
        """Seen red without the reserve."""
        sketch = model(ridge="auto", n_components=n_components).fit(X)

        assert len(set(sketch.component_indices_)) == n_components
        np.testing.assert_array_equal(X[sketch.component_indices_], sketch.components_)
        assert sketch.inclusion_proba_.min() > 0.0
        assert sketch.inclusion_proba_.max() <= 1.0

    def test_map_is_scikit_learns_up_to_rotation(self):
        """Seen red with rows of V in the place of columns."""
        sketch = model(n_components=40, ridge="auto").fit(X)
        # Its own choice of a sample of all rows is all of them.
        theirs = Nystroem(gamma=0.5, n_components=40).fit(sketch.components_)

        Z, expected = sketch.transform(QUERIES), theirs.transform(QUERIES)

        np.testing.assert_allclose(Z @ Z.T, expected @ expected.T, atol=1e-10)

    def test_more_components_than_rows_are_all_rows(self):
        """Seen red without the warning."""
        sketch = model(n_components=80, ridge="auto")

        with pytest.warns(UserWarning, match="n_components=80 exceeds the number"):
            Z = sketch.fit_transform(X[:30])

        assert sorted(sketch.component_indices_) == list(range(30))
        np.testing.assert_allclose(Z @ Z.T, rbf_kernel(X[:30], gamma=0.5), atol=1e-8)

    def test_search_in_a_pipeline(self):
        pipeline = make_pipeline(StandardScaler(), model(ridge="auto"), Ridge(1e-3))
        grid = {"ridgeleveragenystroem__gamma": [0.1, 1.0]}

        search = GridSearchCV(pipeline, grid, cv=2).fit(X, Y)

        assert search.best_score_ > 0.5

    def test_names_of_features(self):
        sketch = model(n_components=3, ridge="auto").set_output(transform="pandas")

        frame = sketch.fit_transform(pd.DataFrame(X, columns=list("abc")))

        names = [f"ridgeleveragenystroem{i}" for i in range(3)]
        assert list(frame.columns) == names == list(sketch.get_feature_names_out())
        assert sketch.feature_names_in_.tolist() == list("abc")


def _without_kernel(estimator):
    params = estimator.get_params()
    del params["kernel"]
    return params


@parametrize_with_checks(
    [model(gamma=None, n_components=3), model(kernel="linear", gamma=None)],
    expected_failed_checks=lambda estimator: {
        f"check_sample_weight_equivalence_on_{kind}_data": "weights are not copies"
        for kind in ("dense", "sparse")
    },
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_common_check(estimator, check):
    check(estimator)


class TestStream:
    """One pass with a bounded memory."""

    def test_rows_are_looked_at_once(self):
        expected = model()
        sketch = model()
        for batch in np.split(X, 6):
            expected.partial_fit(batch)
            buffer = batch.copy()
            sketch.partial_fit(buffer)
            buffer[:] = np.nan

        assert_same(sketch, expected)
        np.testing.assert_array_equal(X[sketch.component_indices_], sketch.components_)
        assert sketch.n_samples_seen_ == 600

    def test_fit_is_one_batch(self):
        assert_same(model().partial_fit(X), model().fit(X))

    def test_fit_forgets(self):
        """Seen red with a `fit` that goes on."""
        assert_same(model().fit(X[:50]).fit(X), model().fit(X))

    def test_memory_does_not_grow(self):
        """Seen red with a reserve without limit."""
        rng = np.random.default_rng(0)
        sketch = model(n_components=40, ridge="auto")

        def peak(n_batches):
            tracemalloc.start()
            for _ in range(n_batches):
                sketch.partial_fit(rng.normal(size=(500, 20)))
            used = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            return used

        peak(2)
        assert peak(10) < 200_000

    def test_rows_after_which_nothing_changes_cost_no_factorisation(self):
        """Seen red with all attributes set anew in each batch."""
        sketch = model(kernel="linear").fit(X)
        before = sketch.normalization_

        for _ in range(4):
            sketch.partial_fit([[0.0, 0.0, 0.0]])

        assert sketch.normalization_ is before
        assert sketch.n_samples_seen_ == 604

    def test_draws_depend_on_places_and_not_on_batches(self):
        """Seen red with a generator that starts anew in each batch."""
        whole = model(oversampling=1e9).fit(X)
        parts = model(oversampling=1e9).partial_fit(X[:100]).partial_fit(X[100:])

        for sketch in (whole, parts):
            atoms = sketch._dictionary.atoms
            assert atoms.ids.tolist() == list(range(600))
        np.testing.assert_array_equal(
            whole._dictionary.atoms.uniforms, parts._dictionary.atoms.uniforms
        )

    def test_refused_batches_change_nothing(self):
        """Seen red with rows counted before they are checked, and no undoing."""
        sketch = model().partial_fit(X)

        with pytest.raises(ValueError, match="minimum of 1 is required"):
            sketch.partial_fit(X[:0])
        with pytest.raises(ValueError, match="expecting 3 features"):
            sketch.partial_fit(X[:, :2])
        with pytest.raises(ValueError, match="NaN"):
            sketch.partial_fit(np.full((2, 3), np.nan))

        assert_same(sketch, model().fit(X))
        assert sketch.n_samples_seen_ == 600
        with pytest.raises(ValueError, match="minimum of 1 is required"):
            model().partial_fit(X[:0])


class TestBudget:
    @pytest.mark.parametrize("ridge", [1e-12, 0.1])
    def test_cap_raises_the_ridge_with_one_warning(self, ridge):
        """Seen red without a warning, and with one from each batch."""
        sketch = model(max_components=60, ridge=ridge)

        with pytest.warns(UserWarning, match="was raised to") as record:
            sketch.partial_fit(X[:300]).partial_fit(X[300:])

        assert len(record) == 1
        assert 40 <= len(sketch.components_) <= 60
        assert sketch.ridge_ > ridge

    def test_automatic_ridge_takes_what_is_allowed(self):
        sketch = model(max_components=60, ridge="auto").fit(X)

        assert 40 <= len(sketch.components_) <= 60

    def test_automatic_ridge_is_in_the_unit_of_the_kernel(self):
        """Seen red with a number for it."""
        small, large = (
            model(kernel=RBF(1.0) * scale, gamma=None, ridge="auto").fit(X)
            for scale in (2.0**-20, 2.0**20)
        )

        assert small.component_indices_.tolist() == large.component_indices_.tolist()
        assert small.ridge_ == pytest.approx(large.ridge_ * 2.0**-40, rel=1e-12)

    def test_tiny_ridge_keeps_every_row(self):
        sketch = model(ridge=1e-12, gamma=30.0).fit(X)

        assert len(sketch.components_) == 600

    @pytest.mark.parametrize("scale", [2.0**-300, 2.0**260, 2.0**500])
    def test_automatic_ridge_is_in_any_unit(self, scale):
        """Seen red with squares that underflow, in a loop without end, and overflow."""
        expected = model(kernel="linear", gamma=None, ridge="auto").fit(X)

        sketch = model(kernel="linear", gamma=None, ridge="auto").fit(scale * X)

        indices = sketch.component_indices_.tolist()
        assert indices == expected.component_indices_.tolist()
        assert sketch.ridge_ == pytest.approx(expected.ridge_ * scale**2, rel=1e-12)
        Z = sketch.transform(scale * QUERIES) / scale
        np.testing.assert_allclose(Z @ Z.T, linear_kernel(QUERIES), atol=1e-9)

    @pytest.mark.parametrize("scale", [1e-160, 1e-200])
    def test_kernel_without_digits_has_few_components(self, scale):
        """Seen red in a loop without end, at 1e-160."""
        sketch = model(kernel="linear", gamma=None, ridge="auto").fit(scale * X)

        assert len(sketch.components_) < 5
        assert np.isfinite(sketch.transform(scale * QUERIES)).all()

    @pytest.mark.parametrize("ridge", [1.0, "auto"])
    def test_weighted_kernel_that_overflows_is_refused(self, ridge):
        """Seen red in a loop without end."""
        sketch = model(kernel="linear", gamma=None, ridge=ridge)

        with pytest.raises(ValueError, match="sums of them overflow"):
            sketch.fit(1e140 * X, sample_weight=np.full(600, 1e50))

    @pytest.mark.parametrize("ridge", [1e-12, 1e-3, 0.05])
    def test_raised_ridge_is_found_in_few_steps(self, ridge, monkeypatch):
        """And is not far too high. Seen red with equal steps, which are 35."""
        factorised = []
        factors = Dictionary._factors.func

        def count(self):
            factorised.append(len(self))
            return factors(self)

        counted = cached_property(count)
        counted.__set_name__(Dictionary, "_factors")
        monkeypatch.setattr(Dictionary, "_factors", counted)

        with pytest.warns(UserWarning, match="was raised to"):
            sketch = model(max_components=60, ridge=ridge).fit(X)

        assert len(factorised) < 25
        assert 48 <= len(sketch.components_) <= 60

    @pytest.mark.parametrize("n_rows", [1, 600])
    def test_last_row_stays(self, n_rows):
        """Seen red with an empty dictionary."""
        sketch = model(ridge=1e12).fit(X[:n_rows]).partial_fit(X)

        assert len(sketch.components_) == 1
        assert np.isfinite(sketch.transform(QUERIES)).all()

    def test_leverage_sample_is_as_large_as_asked_for(self):
        """Seen red with the ridge not raised."""
        for n_centers in (1, 50, 600):
            rng = np.random.default_rng(0)

            ids, proba = leverage_sample(KERNEL, X, None, n_centers, 0.1, rng)

            assert len(set(ids)) == n_centers
            assert ((proba > 0.0) & (proba <= 1.0)).all()


class TestWeights:
    def test_rows_of_no_weight_are_left_out(self):
        """Seen red with a random number drawn for each."""
        weights = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
        kept = np.flatnonzero(weights)

        sketch = model().fit(X, sample_weight=weights)

        expected = model().fit(X[kept], sample_weight=weights[kept])
        np.testing.assert_array_equal(sketch.components_, expected.components_)
        np.testing.assert_array_equal(
            sketch.inclusion_proba_, expected.inclusion_proba_
        )
        assert sketch.component_indices_.tolist() == (
            kept[expected.component_indices_].tolist()
        )
        assert sketch.n_samples_seen_ == 600

    def test_batch_of_no_weight_is_refused(self):
        with pytest.raises(ValueError, match="zero"):
            model().fit(X, sample_weight=np.zeros(600))
        with pytest.raises(ValueError, match=r"[Nn]egative"):
            model().fit(X, sample_weight=-np.ones(600))

    @pytest.mark.parametrize("weight", [2.0**-12, 2.0**10, 1e60])
    def test_automatic_ridge_is_in_the_unit_of_weights(self, weight):
        """Seen red with the ridge of rows without weights."""
        expected = model(ridge="auto").fit(X)

        sketch = model(ridge="auto").fit(X, sample_weight=np.full(600, weight))

        indices = sketch.component_indices_.tolist()
        assert indices == expected.component_indices_.tolist()
        assert sketch.ridge_ == pytest.approx(expected.ridge_ * weight, rel=1e-9)

    def test_largest_weights_that_are_taken(self):
        """`pytest` would turn a warning into an error."""
        rng = np.random.default_rng(0)
        weights = np.geomspace(1e-60, 1e60, 600)

        ids, proba = leverage_sample(KERNEL, X, weights, 30, 1.0, rng)

        assert len(set(ids)) == 30
        assert ((proba > 0.0) & (proba <= 1.0)).all()

    def test_weights_are_repetitions_to_the_effective_dimension(self):
        """Seen red with weights ignored."""
        weights = np.random.default_rng(0).integers(1, 9, len(X))
        K = rbf_kernel(X, gamma=0.5)

        weighted = model(oversampling=8.0).fit(X, sample_weight=weights)
        repeated = model(oversampling=8.0).fit(np.repeat(X, weights, axis=0))

        exact = effective_dimension(K, 1.0, weights)
        assert weighted.effective_dimension_ == pytest.approx(exact, rel=0.1)
        assert repeated.effective_dimension_ == pytest.approx(exact, rel=0.1)


class TestKernels:
    """Kernels of all kinds, and those that are none."""

    def test_precomputed(self):
        """Seen red with scores of K's first columns."""
        K = rbf_kernel(X, gamma=0.5)
        expected = model(n_components=30, ridge="auto").fit(X)

        sketch = model(kernel="precomputed", n_components=30, ridge="auto").fit(K)

        indices = sketch.component_indices_
        assert indices.tolist() == expected.component_indices_.tolist()
        assert sketch.components_.tolist() == indices.tolist()
        K_query = rbf_kernel(QUERIES, X, gamma=0.5)
        np.testing.assert_allclose(
            sketch.transform(K_query) @ sketch.transform(K_query).T,
            expected.transform(QUERIES) @ expected.transform(QUERIES).T,
            atol=1e-9,
        )
        np.testing.assert_allclose(
            sketch.leverage_scores(K), expected.leverage_scores(X), atol=1e-9
        )
        with pytest.raises(ValueError, match="square matrix that was fitted"):
            sketch.leverage_scores(K_query)
        with pytest.raises(ValueError, match="use fit"):
            sketch.partial_fit(K)
        with pytest.raises(ValueError, match="cannot be merged"):
            sketch.merge(sketch)
        assert len(pickle.dumps(sketch)) < 50_000

    def test_batches_may_be_dense_and_sparse(self):
        """Seen red with rows put below rows of the other kind."""
        batches = X[:300], sparse.csr_array(X[300:])
        expected = (
            model(ridge="auto", n_components=30).fit(X[:300]).partial_fit(X[300:])
        )
        for kind in (0, 1):
            sketch = model(ridge="auto", n_components=30)
            for batch in batches:
                sketch.partial_fit(batch if kind == 0 else _other(batch))

            indices = sketch.component_indices_.tolist()
            assert indices == expected.component_indices_.tolist()
            assert sparse.issparse(sketch.components_) == kind
            np.testing.assert_allclose(
                sketch.transform(QUERIES), expected.transform(QUERIES), atol=1e-7
            )
            second = model(ridge="auto", n_components=30, random_state=1)
            second.fit(_other(batches[kind]))
            merged = merge_sketches([sketch, second])
            assert sparse.issparse(merged.components_) == kind

    @pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "sigmoid", "cosine"])
    @pytest.mark.filterwarnings("ignore:The kernel is not positive")
    def test_sparse_rows(self, kernel):
        """Seen red with blocks of the wrong rows."""
        rows = np.where(X > 0.0, X, 0.0)
        params = {"kernel": kernel, "gamma": 0.1, "n_components": 20, "ridge": "auto"}

        dense = model(**params).fit(rows).partial_fit(rows)
        csr = model(**params).fit(sparse.csr_array(rows))
        csr.partial_fit(sparse.csr_matrix(rows))

        assert csr.component_indices_.tolist() == dense.component_indices_.tolist()
        assert sparse.issparse(csr.components_)
        Z, expected = csr.transform(sparse.csr_array(rows)), dense.transform(rows)
        assert isinstance(Z, np.ndarray)
        np.testing.assert_allclose(Z @ Z.T, expected @ expected.T, atol=1e-7)

    def test_functions_and_objects(self):
        expected = model().fit(X)
        for kernel in (RBF(1.0), lambda X, Y: rbf_kernel(X, Y, gamma=0.5)):
            sketch = model(kernel=kernel, gamma=None).fit(X)

            indices = sketch.component_indices_.tolist()
            assert indices == expected.component_indices_.tolist()

    def test_function_of_the_wrong_shape(self):
        with pytest.raises(ValueError, match=r"shape"):
            model(kernel=lambda X, Y: np.ones((2, 3, 4)), gamma=None).fit(X)

    @pytest.mark.parametrize("regularized", [False, True])
    def test_indefinite(self, regularized):
        """Seen red with roots of negative eigenvalues, and without the warning."""
        params = {"kernel": "sigmoid", "gamma": 1.0, "coef0": -1.0}
        sketch = model(**params, regularized=regularized, n_components=50)

        with pytest.warns(UserWarning, match="not positive semidefinite"):
            Z = sketch.set_params(ridge="auto").fit_transform(X)

        assert Z.shape == (600, 50)
        assert np.isfinite(Z).all()
        scores = sketch.leverage_scores(X)
        assert ((scores >= 0.0) & (scores <= 1.0)).all()

    def test_rows_of_large_norm_are_kept(self):
        """Seen red with k(x, x) = 1."""
        rows = X.copy()
        rows[[3, 500]] *= 20.0

        sketch = model(kernel="poly", gamma=0.1, degree=3).fit(rows)

        assert {3, 500} <= set(sketch.component_indices_)

    @pytest.mark.parametrize("kernel", ["linear", "poly"])
    def test_row_of_large_norm_leaves_the_others_their_features(self, kernel):
        """Seen red with eigenvalues compared that have the size of that row."""
        rows = X.copy()
        rows[3] *= 1e6
        others = np.delete(rows, 3, axis=0)

        params = {"gamma": 1.0, "degree": 2, "coef0": 1.0}
        sketch = model(kernel=kernel, **params, n_components=50, ridge="auto")

        Z = sketch.fit(rows).transform(others)

        expected = pairwise_kernels(others, None, kernel, filter_params=True, **params)
        assert 3 in sketch.component_indices_
        np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-6, atol=1e-6)

    def test_diagonal_of_an_indefinite_kernel_is_no_unit(self):
        """Seen red with its root always taken."""
        positive = np.array([[1e12, 1e6, 0.0], [1e6, 4.0, 0.0], [0.0, 0.0, 0.0]])
        indefinite = np.array([[1e-9, 1.0], [1.0, -1e-9]])

        assert _sizes(positive).tolist() == [1e6, 2.0, 1.0]
        assert _sizes(indefinite).tolist() == [1.0, 1.0]

    def test_constant_features(self):
        """Seen red with eigenvalues of rounding kept."""
        sketch = model(oversampling=4.0, block_size=100).fit(np.ones((600, 3)))

        exact = 600.0 / 601.0
        assert len(sketch.components_) <= 12
        assert sketch.effective_dimension_ == pytest.approx(exact, rel=0.5)
        Z = sketch.transform(np.ones((5, 3)))
        np.testing.assert_allclose(Z[:, 0] ** 2, 1.0)
        assert not Z[:, 1:].any()

    def test_linear_kernel_has_as_many_features_as_its_rank(self):
        """Seen red with features in ascending order."""
        sketch = model(kernel="linear", gamma=None, n_components=20, ridge="auto")

        Z = sketch.fit_transform(X)

        assert Z.shape == (600, 20)
        assert not Z[:, 3:].any()
        np.testing.assert_allclose(Z @ Z.T, linear_kernel(X), atol=1e-9)

    def test_float32(self):
        """Seen red with features in float64."""
        rows = X.astype(np.float32)

        sketch = model(n_components=100, ridge="auto").fit(rows)
        Z = sketch.transform(rows[:50])

        assert Z.dtype == np.float32
        expected = model(n_components=100, ridge="auto").fit(rows.astype(float))
        expected = expected.transform(rows[:50].astype(float))
        np.testing.assert_allclose(Z @ Z.T, expected @ expected.T, atol=5e-3)
        assert (
            model(dtype="float64", n_components=9)
            .set_params(ridge="auto")
            .fit(rows)
            .transform(rows)
            .dtype
            == np.float64
        )


def _other(rows):
    return rows.toarray() if sparse.issparse(rows) else sparse.csr_array(rows)


class TestScores:
    def test_of_rows_far_away_are_one(self):
        sketch = model(ridge=0.5).fit(X)

        assert sketch.leverage_scores([[100.0, 0.0, 0.0]]).tolist() == [1.0]

    def test_find_the_rare_rows(self):
        """Seen red with residuals in the place of their share of the ridge."""
        sketch = model(oversampling=16.0, ridge=3.0).fit(X)

        scores = sketch.leverage_scores(X)

        exact = leverage_scores(rbf_kernel(X, gamma=0.5), 3.0)
        assert abs(scores / exact - 1.0).max() < 0.8
        assert np.corrcoef(scores, exact)[0, 1] > 0.95
        assert scores.max() / scores.mean() > 3.0


class TestRepeatability:
    def test_threads_and_blas_do_not_matter(self):
        """Seen red with as many tiles as threads."""
        rows = make_clusters(3000, random_state=2)[0]
        expected = model(n_components=150, ridge="auto").fit(rows)
        for n_jobs in (2, -1):
            sketch = model(n_components=150, ridge="auto", n_jobs=n_jobs).fit(rows)

            assert_same(sketch, expected)
            np.testing.assert_array_equal(
                sketch.transform(rows), expected.transform(rows)
            )
            np.testing.assert_array_equal(
                sketch.leverage_scores(rows), expected.leverage_scores(rows)
            )

    @pytest.mark.parametrize("n_components", [None, 30])
    def test_saved_sketch_goes_on_with_the_same_bits(self, n_components, tmp_path):
        """Seen red with the seed drawn anew."""
        sketch = model(n_components=n_components, ridge="auto", max_components=50)
        sketch.fit(X[:300])
        skops.io.dump(sketch, tmp_path / "sketch.skops")
        untrusted = skops.io.get_untrusted_types(file=tmp_path / "sketch.skops")
        assert all(name.startswith("kernelkit.") for name in untrusted)

        copies = [
            pickle.loads(pickle.dumps(sketch)),
            skops.io.load(tmp_path / "sketch.skops", trusted=untrusted),
        ]

        sketch.partial_fit(X[300:])
        for copy in copies:
            assert_same(copy.partial_fit(X[300:]), sketch)

    @pytest.mark.parametrize("kernel", ["rbf", "precomputed"])
    def test_public_arrays_are_copies(self, kernel):
        """Seen red with the arrays of the dictionary."""
        rows = X if kernel == "rbf" else rbf_kernel(X, gamma=0.5)
        sketch = model(kernel=kernel).fit(rows)
        expected = sketch.transform(rows), sketch.leverage_scores(rows)

        for name in ("components_", "component_indices_", "inclusion_proba_"):
            getattr(sketch, name)[:] = 0

        sketch = pickle.loads(pickle.dumps(sketch))
        np.testing.assert_array_equal(sketch.transform(rows), expected[0])
        np.testing.assert_array_equal(sketch.leverage_scores(rows), expected[1])

    def test_another_seed_is_another_sample(self):
        first, second = (model(random_state=seed).fit(X) for seed in range(2))

        assert set(first.component_indices_) != set(second.component_indices_)
        assert_same(clone(first).fit(X), first)


class TestMerge:
    def test_goes_on_with_the_others(self):
        """Seen red with the first one's random numbers used again."""
        first, second = (
            model(random_state=i, n_components=40, ridge="auto").fit(X[i::2])
            for i in range(2)
        )
        expected = merge_sketches([first, second])
        before = pickle.dumps(second)

        merged = first.merge(second)

        assert merged is first
        assert_same(merged, expected)
        assert pickle.dumps(second) == before
        assert len(merged.components_) == 40
        order = np.r_[0:600:2, 1:600:2]
        np.testing.assert_array_equal(
            X[order][merged.component_indices_], merged.components_
        )
        assert merged._n_drawn == 600

    def test_of_different_ridges_has_the_largest(self):
        """Seen red with the first one's ridge."""
        first, second = (
            model(random_state=i, ridge=ridge).fit(X[i::2])
            for i, ridge in enumerate([4.0, 8.0])
        )

        with pytest.warns(UserWarning, match="was raised to 8"):
            merged = merge_sketches([first, second])

        assert merged.ridge_ == 8.0

    def test_the_same_draws_are_a_warning(self):
        """Seen red without it."""
        with pytest.warns(UserWarning, match="the same random numbers"):
            merge_sketches([model().fit(X[::2]), model().fit(X[1::2])])

    def test_parameters_of_functions_are_compared(self):
        """Seen red with arrays compared as numbers are."""
        first, second, third = (
            model(
                kernel=_scaled_linear,
                gamma=None,
                kernel_params={"scales": scales},
                random_state=i,
            ).fit(X[i::3])
            for i, scales in enumerate([np.ones(3), np.ones(3), np.arange(3.0)])
        )

        assert merge_sketches([first, second]).n_samples_seen_ == 400
        with pytest.raises(ValueError, match=r"same kernel.*Got function="):
            merge_sketches([first, third])

    def test_kernels_are_those_of_the_fit(self):
        """Seen red with parameters compared that were set later."""
        first, second = (
            model(gamma=gamma, random_state=i).fit(X)
            for i, gamma in enumerate([0.5, 5.0])
        )

        with pytest.raises(ValueError, match=r"gamma=5\.0 and 0\.5"):
            first.merge(second.set_params(gamma=0.5))
        with pytest.raises(ValueError, match="Got name='rbf' and 'linear'"):
            merge_sketches([model(kernel="linear", gamma=None).fit(X), first])

    def test_refusals(self):
        sketch = model().fit(X)
        with pytest.raises(ValueError, match="at least one"):
            merge_sketches([])
        with pytest.raises(TypeError, match="Got a Nystroem"):
            sketch.merge(Nystroem())
        with pytest.raises(ValueError, match=r"gamma=2\.0 and 0\.5"):
            sketch.merge(model(gamma=2.0).fit(X))
        with pytest.raises(ValueError, match="n_features_in_=2"):
            sketch.merge(model().fit(X[:, :2]))
        with pytest.raises(ValueError, match="not fitted"):
            sketch.merge(model())
