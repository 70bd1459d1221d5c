"""Streams: what batches add up to, what they may not change, and what is refused."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from kernelkit import NystroemRidge
from kernelkit.nystroem import steps
from kernelkit.nystroem.span import NOISE, find_span
from kernelkit.nystroem.statistics import accumulate

RNG = np.random.default_rng(0)
X = RNG.uniform(-3.0, 3.0, size=(3000, 2))
F = np.sin(2.0 * X[:, 0]) + X[:, 1]
Y = F + 0.1 * RNG.standard_normal(len(X))
Q = RNG.uniform(-3.0, 3.0, size=(200, 2))
BY_FEATURE = np.argsort(X[:, 0])

each_policy = pytest.mark.parametrize("dictionary", ["warmup", "adaptive"])


def model(**params):
    """Make a model with few centres and a short warm-up."""
    defaults = {
        "alpha": 0.1,
        "gamma": 0.5,
        "n_components": 60,
        "warmup_samples": 500,
        "random_state": 0,
    }
    return NystroemRidge(**{**defaults, **params})


def fed(ridge, X, y, size, weights=None):
    """Give rows to a model in batches of some size."""
    for i in range(0, len(y), size):
        batch = slice(i, i + size)
        part = None if weights is None else weights[batch]
        ridge.partial_fit(X[batch], y[batch], sample_weight=part)
    return ridge


def same_bits(one, other):
    return one.tobytes() == other.tobytes()


class TestWarmup:
    """Centres from the first rows, and sums over all."""

    @pytest.mark.parametrize("fit_intercept", [False, True])
    @pytest.mark.parametrize("n_outputs", [None, 2])
    def test_batches_are_a_fit_on_the_same_centres(self, fit_intercept, n_outputs):
        """Seen red with the rows of the warm-up forgotten."""
        rows, y = X[:1500], Y[:1500]
        if n_outputs:
            y = np.column_stack([y, 3.0 * rows[:, 1] + 5.0])
        weights = RNG.uniform(0.5, 2.0, size=1500)
        params = {"fit_intercept": fit_intercept}
        whole = fed(model(**params), rows, y, 1500, weights)
        fit = model(centers=whole.components_, **params).fit(rows, y, weights)
        expected = fit.predict(Q)

        for size in (7, 1000):
            got = fed(model(**params), rows, y, size, weights)

            np.testing.assert_array_equal(got.components_, whole.components_)
            np.testing.assert_allclose(got.predict(Q), expected, rtol=1e-7, atol=1e-9)
        assert got.dual_coef_.shape == fit.dual_coef_.shape
        np.testing.assert_allclose(got.intercept_, fit.intercept_, rtol=1e-7)

    def test_single_rows(self):
        """Seen red with the rows that wait not counted."""
        expected = fed(model(warmup_samples=200), X[:700], Y[:700], 700)

        got = fed(model(warmup_samples=200), X[:700], Y[:700], 1)

        np.testing.assert_array_equal(got.components_, expected.components_)
        np.testing.assert_allclose(got.predict(Q), expected.predict(Q), rtol=1e-7)

    def test_dependent_centres_lose_no_digits(self):
        """Seen red with sums of kernel values whatever the centres are."""
        x, q = X[:, :1], Q[:, :1]
        params = {"gamma": 3.0, "alpha": 1e-4, "n_components": 30}
        got = fed(model(**params), x, Y, 100)

        fit = model(centers=got.components_, **params).fit(x, Y)
        np.testing.assert_allclose(got.predict(q), fit.predict(q), atol=1e-7)

    def test_error_is_that_of_two_passes(self):
        """Mean over 5 draws of centres; seen red with the sums of one step lost."""

        def error(ridge):
            return np.sqrt(np.mean((ridge.predict(X) - F) ** 2))

        ratios = []
        for seed in range(5):
            two_passes = model(n_components=100, random_state=seed).fit(X, Y)
            one = fed(model(n_components=100, random_state=seed), X, Y, 250)
            ratios.append(error(one) / error(two_passes))

        assert np.mean(ratios) <= 1.05
        assert max(ratios) <= 1.12

    def test_few_rows_are_kernel_ridge_regression(self):
        """Before the end of the warm-up. Seen red with no rows but the last batch."""
        expected = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.5).fit(X[:50], Y[:50])

        got = fed(model(), X[:50], Y[:50], 9)

        np.testing.assert_allclose(got.predict(Q), expected.predict(Q), rtol=1e-8)
        assert got.n_samples_seen_ == 50

    def test_more_rows_than_centres_during_the_warmup(self):
        """Seen red with draws that each prediction takes anew."""
        got = fed(model(), X[:400], Y[:400], 100)

        assert len(got.components_) == 60
        assert same_bits(got.predict(Q), fed(model(), X[:400], Y[:400], 7).predict(Q))
        assert same_bits(got.predict(Q), pickle.loads(pickle.dumps(got)).predict(Q))

    def test_centres_are_rows_of_the_warmup(self):
        """Seen red with the numbers of rows in their batch."""
        got = fed(model(), X, Y, 300)

        assert got.component_indices_.max() < 500
        np.testing.assert_array_equal(got.components_, X[got.component_indices_])

    def test_drift_is_told(self):
        """Once. Seen red with the novelty of the step before."""
        ridge = model()
        ridge.partial_fit(X[BY_FEATURE[:600]], Y[BY_FEATURE[:600]])
        assert ridge.novelty_ == 1.0
        rest = BY_FEATURE[600:]

        with pytest.warns(UserWarning, match="dictionary='adaptive'") as record:
            fed(ridge, X[rest], Y[rest], 400)

        assert len(record) == 1
        assert ridge.novelty_ > 3.0
        assert fed(model(), X, Y, 400).novelty_ < 2.0

    def test_flat_functions_are_no_drift(self):
        """What is left of rows is rounding. Seen red without a floor of residuals."""
        fed(model(kernel="linear", gamma=None), X[BY_FEATURE], Y[BY_FEATURE], 400)
        fed(model(gamma=1e-6), X[BY_FEATURE], Y[BY_FEATURE], 400)


class TestAdaptive:
    """Centres follow the rows."""

    def test_sorted_rows(self):
        """Seen red without a change of centres."""

        def error(ridge):
            return np.sqrt(np.mean((ridge.predict(X) - F) ** 2))

        params = {"n_components": 100, "dictionary": "adaptive"}
        ridge = fed(model(**params), X[BY_FEATURE], Y[BY_FEATURE], 250)

        two_passes = error(model(n_components=100).fit(X, Y))
        with pytest.warns(UserWarning, match="adaptive"):
            frozen = fed(model(n_components=100), X[BY_FEATURE], Y[BY_FEATURE], 250)
        assert error(frozen) > 4.0 * two_passes
        assert error(ridge) < 2.5 * two_passes
        assert ridge.n_projected_ > 0

    def test_shuffled_rows_change_nothing(self):
        """Projections would cost accuracy. Seen red with a change at each step."""
        ridge = fed(model(dictionary="adaptive"), X, Y, 250)

        fit = model(centers=ridge.components_).fit(X, Y)
        assert ridge.n_projected_ == 0
        np.testing.assert_allclose(ridge.predict(Q), fit.predict(Q), rtol=1e-7)

    @pytest.mark.parametrize("n_components", [1, 2, 30, 61])
    def test_centres_are_rows_and_no_more_than_asked_for(self, n_components):
        """Also among rows without weight. Seen red with numbers that skip these."""
        weights = np.arange(len(X)) % 3 * 1.0
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        ridge = model(n_components=n_components, dictionary="adaptive")

        for i in range(0, 3000, 600):
            batch = slice(i, i + 600)
            ridge.partial_fit(rows[batch], y[batch], weights[batch])
            ids = ridge.component_indices_

            assert len(ids) <= n_components
            assert len(set(ids)) == len(ids)
            assert weights[ids].all()
            np.testing.assert_array_equal(ridge.components_, rows[ids])

    def test_sums_of_old_centres_stay_exact(self):
        """Whatever came and went. Seen red with another centre dropped from the sums
        than from the centres."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        ridge = fed(model(dictionary="adaptive"), rows, y, 500)
        learned = ridge._stream.learned
        n = learned.n_rows
        old = np.flatnonzero(learned.centers.ids < 500)
        assert 2 <= len(old) < 60

        y = ridge._stream.settings.scaled(y[:n, None])
        afresh = accumulate(ridge.kernel_, rows[:n], y, None, learned.centers.take(old))

        kept = learned.normal.combine(learned.span.values[old].T)
        scale = np.abs(afresh.gram).max()
        np.testing.assert_allclose(kept.gram, afresh.gram, atol=1e-9 * scale)
        np.testing.assert_allclose(kept.cross, afresh.cross, atol=1e-9 * scale)

    def test_sums_of_new_centres_are_projected(self):
        """Seen red with sums of zero before a centre came."""
        rows, y = X[BY_FEATURE][:2000], Y[BY_FEATURE][:2000]
        ridge = model(dictionary="adaptive", n_components=300, alpha=1e-3)

        learned = fed(ridge, rows, y, 500)._stream.learned

        assert learned.n_projected
        rows = rows[: learned.n_rows]
        got = learned.normal.combine(learned.span.values.T).gram
        H = rbf_kernel(rows, learned.centers.rows, gamma=0.5)
        np.testing.assert_allclose(got, H.T @ H, rtol=1e-2, atol=1e-2)

    def test_digits_are_those_of_a_fit(self):
        """On the same centres. Seen red with sums of kernel values."""
        for seed in range(6):
            rng = np.random.default_rng(seed)
            rows = rng.uniform(size=(2000, 1))
            y = np.sin(8.0 * rows[:, 0]) + 0.3 * rng.normal(size=2000)
            params = {"alpha": 1e-6, "gamma": 4.0, "n_components": 12}
            ridge = model(dictionary="adaptive", **params).partial_fit(rows, y)
            if ridge.n_projected_:
                continue

            centers = ridge.components_
            span = find_span(np.exp(-4.0 * (centers - centers.T) ** 2), least=NOISE)
            Z = np.exp(-4.0 * (rows - centers.T) ** 2) @ span.basis()
            extra = np.vstack([Z, 1e-3 * np.eye(span.rank)])
            targets = np.append(y, np.zeros(span.rank))
            expected = Z @ np.linalg.lstsq(extra, targets, rcond=None)[0]
            np.testing.assert_allclose(ridge.predict(rows), expected, atol=1e-6)

    def test_a_small_start_grows(self):
        """Seen red with centres that stay the rows of the warm-up."""
        ridge = model(dictionary="adaptive", warmup_samples=20, n_components=100)

        fed(ridge, X, Y, 500)

        assert len(ridge.components_) == 100
        assert ridge.score(X, Y) > 0.95


@each_policy
@pytest.mark.filterwarnings("ignore:The rows of the last step:UserWarning")
class TestAnyPolicy:
    """What holds whatever the dictionary does."""

    def test_batches_do_not_matter(self, dictionary):
        """Seen red with a sketch that is shown the batches as they come."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        few, many = (
            fed(model(dictionary=dictionary), rows[:2000], y[:2000], size)
            for size in (2000, 17)
        )

        np.testing.assert_array_equal(few.component_indices_, many.component_indices_)
        np.testing.assert_allclose(few.predict(Q), many.predict(Q), rtol=1e-6)

    def test_a_failure_changes_nothing(self, dictionary):
        """Seen red without a look at the shape of y."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        ridge = fed(model(dictionary=dictionary), rows[:900], y[:900], 300)
        before = vars(ridge).copy()
        nan = np.full((300, 2), np.nan)

        for bad_X, bad_y, weights, words in [
            (nan, y[:300], None, "NaN"),
            (rows[:300], nan[:, 0], None, "NaN"),
            (rows[:300], y[:299], None, "inconsistent"),
            (rows[:300, :1], y[:300], None, "1 feature"),
            (rows[:300], np.ones((300, 2)), None, "outputs must stay"),
            (rows[:300], np.ones((300, 1)), None, "outputs must stay"),
            (rows[:300], y[:300], -np.ones(300), "[Nn]egative"),
            (rows[:300], y[:300], np.full(300, 1e306), "overflow"),
            (rows[:0], y[:0], None, "0 sample"),
        ]:
            with pytest.raises(ValueError, match=words):
                ridge.partial_fit(bad_X, bad_y, weights)
            assert vars(ridge) == before

        fed(ridge, rows[900:], y[900:], 300)
        expected = fed(model(dictionary=dictionary), rows, y, 300)
        assert same_bits(ridge.predict(Q), expected.predict(Q))

    def test_an_interruption_changes_nothing(self, dictionary, monkeypatch):
        """Seen red with a sketch changed in place."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        ridge = fed(model(dictionary=dictionary), rows[:1000], y[:1000], 500)
        before = ridge.predict(Q)

        def interrupt(*args, **options):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(steps, "accumulate", interrupt)
            with pytest.raises(KeyboardInterrupt):
                ridge.partial_fit(rows[1000:], y[1000:])

        assert same_bits(ridge.predict(Q), before)
        ridge.partial_fit(rows[1000:], y[1000:])
        expected = fed(model(dictionary=dictionary), rows[:1000], y[:1000], 500)
        expected.partial_fit(rows[1000:], y[1000:])
        assert same_bits(ridge.predict(Q), expected.predict(Q))

    def test_batches_are_not_the_callers_arrays(self, dictionary):
        """Seen red with views of the batch that wait."""
        rows, y, weights = X[:450].copy(), Y[:450].copy(), np.ones(450)
        ridge = model(dictionary=dictionary).partial_fit(rows, y, weights)
        second = X[450:490].copy()
        ridge.partial_fit(second, Y[450:490])

        for array in (rows, y, weights, second):
            array[...] = 7.0

        expected = fed(model(dictionary=dictionary), X[:490], Y[:490], 490)
        assert same_bits(ridge.predict(Q), expected.predict(Q))

    def test_rows_are_not_kept(self, dictionary):
        """Seen red with the steps kept in a list."""
        ridge = fed(model(dictionary=dictionary), X, Y, 1000)
        size = len(pickle.dumps(ridge))
        many = np.tile(X, (20, 1))

        ridge.partial_fit(many, np.tile(Y, 20))

        assert many.nbytes > 5 * size
        assert len(pickle.dumps(ridge)) < 1.5 * size

    def test_rows_without_weight_are_none(self, dictionary):
        """Seen red with a warm-up that they fill."""
        weights = np.arange(2000) % 2 * 1.0
        rows, y = X[BY_FEATURE][:2000], Y[BY_FEATURE][:2000]

        got = fed(model(dictionary=dictionary), rows, y, 200, weights)

        expected = fed(model(dictionary=dictionary), rows[1::2], y[1::2], 100)
        np.testing.assert_array_equal(got.components_, expected.components_)
        assert same_bits(got.predict(Q), expected.predict(Q))

    def test_threads_ask_at_once(self, dictionary):
        """Seen red with coefficients in a buffer that all threads solve into."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        expected = fed(model(dictionary=dictionary), rows, y, 500).predict(Q)

        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                ridge = fed(model(dictionary=dictionary, n_jobs=2), rows, y, 500)
                for got in pool.map(ridge.predict, [Q] * 8):
                    assert same_bits(got, expected)

    def test_saved_streams_go_on(self, dictionary):
        """Seen red with a generator that starts anew."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        ridge = fed(model(dictionary=dictionary), rows[:1500], y[:1500], 500)
        saved = skops.io.dumps(ridge)
        trusted = skops.io.get_untrusted_types(data=saved)
        assert all(name.startswith("kernelkit.") for name in trusted)

        copies = [
            pickle.loads(pickle.dumps(ridge)),
            skops.io.loads(saved, trusted=trusted),
        ]
        fed(ridge, rows[1500:], y[1500:], 500)

        for copy in copies:
            fed(copy, rows[1500:], y[1500:], 500)
            assert same_bits(copy.predict(Q), ridge.predict(Q))

    @pytest.mark.parametrize(("first", "later"), [(1e-200, 1e200), (1e-100, 1e60)])
    @pytest.mark.parametrize("n_first", [100, 700])
    def test_targets_may_grow_in_any_measure(self, dictionary, n_first, first, later):
        """Seen red with the unit of the first batch."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE].copy()
        ridge = model(dictionary=dictionary)
        ridge.partial_fit(rows[:n_first], first * y[:n_first])
        ridge.partial_fit(rows[n_first:], later * y[n_first:])

        y[:n_first] = 0.0
        expected = fed(model(dictionary=dictionary), rows, y, 3000).predict(Q)
        np.testing.assert_allclose(ridge.predict(Q) / later, expected, atol=1e-6)

    def test_float32(self, dictionary):
        """Also where later batches are float64. Seen red without a conversion."""
        wide = fed(model(dictionary=dictionary), X, Y, 500)
        narrow = fed(model(dictionary=dictionary), X.astype(np.float32), Y, 500)
        mixed = model(dictionary=dictionary)
        mixed.partial_fit(X[:9].astype(np.float32), Y[:9])
        fed(mixed, X[9:], Y[9:], 500)

        assert narrow.components_.dtype == mixed.components_.dtype == np.float32
        for ridge in (narrow, mixed):
            np.testing.assert_allclose(ridge.predict(Q), wide.predict(Q), atol=2e-4)
            assert ridge.score(X, Y) == pytest.approx(wide.score(X, Y), abs=1e-6)

    def test_float32_drifts_as_well(self, dictionary):
        """Its span has fewer functions, so that other rows become centres.

        Seen red with a span that is cut a hundred times earlier in float32.
        """
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        wide, narrow = (
            fed(model(dictionary=dictionary), rows.astype(dtype), y, 500)
            for dtype in (np.float64, np.float32)
        )

        errors = [np.std(ridge.predict(X) - F) for ridge in (wide, narrow)]
        assert errors[1] < 1.1 * errors[0]

    def test_sparse_and_dense_batches(self, dictionary):
        """Seen red with rows joined as they come."""
        rows, y = X[BY_FEATURE], Y[BY_FEATURE]
        expected = fed(model(dictionary=dictionary), rows, y, 700)
        first_sparse, first_dense = (
            model(dictionary=dictionary).partial_fit(first, y[:100])
            for first in (sparse.csr_array(rows[:100]), rows[:100])
        )

        fed(first_sparse, rows[100:], y[100:], 500)
        fed(first_dense, sparse.csr_array(rows[100:]), y[100:], 500)

        assert sparse.issparse(first_sparse.components_)
        for got in (first_sparse, first_dense):
            np.testing.assert_allclose(got.predict(Q), expected.predict(Q), atol=1e-3)

    def test_penalty_of_the_last_call_counts(self, dictionary):
        """Seen red with the penalty of the first batch."""
        ridge = fed(model(dictionary=dictionary, alpha=50.0), X, Y, 1000)
        strict = ridge.predict(Q)

        ridge.set_params(alpha=0.1).partial_fit(X[:1], Y[:1])

        assert np.std(ridge.predict(Q)) > np.std(strict) + 0.01


def test_weights_are_repetitions():
    """Seen red with weights left out of the sums."""
    weights = np.arange(3000) % 3 + 1
    rows, y = np.repeat(X, weights, axis=0), np.repeat(Y, weights)
    centers = X[:60]

    got = fed(model(centers=centers), X, Y, 400, weights * 1.0)

    expected = fed(model(centers=centers), rows, y, 700)
    np.testing.assert_allclose(got.predict(Q), expected.predict(Q), atol=1e-7)
    assert set(got.component_indices_) == {-1}


def test_targets_far_from_zero_keep_their_digits():
    """Seen red with sums of the targets as they come."""
    got = fed(model(fit_intercept=True), X, Y + 1e9, 300)

    expected = fed(model(fit_intercept=True), X, Y, 300)
    np.testing.assert_allclose(got.predict(Q) - 1e9, expected.predict(Q), atol=1e-5)


def test_any_size_of_targets():
    """Seen red with sums of squares of targets as they come."""
    for size in (1e-200, 1e200):
        got = fed(model(), X, size * Y, 300).predict(Q)

        expected = fed(model(), X, Y, 300).predict(Q)
        np.testing.assert_allclose(got / size, expected, rtol=1e-9)


def test_a_penalty_for_each_output():
    """Seen red with the least of them for all."""
    y = np.column_stack([Y, Y])
    both = fed(model(alpha=[0.1, 10.0]), X, y, 600).predict(Q)

    centers = fed(model(), X, Y, 600).components_
    for k, alpha in enumerate((0.1, 10.0)):
        one = model(alpha=alpha, centers=centers).fit(X, Y)
        np.testing.assert_allclose(both[:, k], one.predict(Q), rtol=1e-6, atol=1e-9)


def test_fit_forgets_a_stream():
    """Seen red with attributes of the stream left."""
    ridge = fed(model(), X, Y, 1000).fit(X[:100], Y[:100])

    assert not hasattr(ridge, "novelty_")
    assert vars(ridge).keys() == vars(model().fit(X[:100], Y[:100])).keys()
    assert same_bits(ridge.predict(Q), model().fit(X[:100], Y[:100]).predict(Q))


def test_a_stream_after_a_fit_starts_anew():
    """Seen red with coefficients of the fit left."""
    ridge = model().fit(X[:, :1], Y)

    with pytest.warns(UserWarning, match="starts anew"):
        ridge.partial_fit(X[:100], Y[:100])

    expected = model().partial_fit(X[:100], Y[:100])
    assert same_bits(ridge.predict(Q), expected.predict(Q))


def test_nothing_is_there_before_the_first_batch():
    """Seen red with an attribute that is None."""
    ridge = model()

    assert not hasattr(ridge, "dual_coef_")
    assert not hasattr(ridge, "something_else")
    with pytest.raises(NotFittedError):
        ridge.predict(Q)


def test_a_kernel_that_is_not_definite_is_told():
    """Seen red without a look at the centres."""
    ridge = model(kernel="sigmoid", gamma=2.0, coef0=-1.0, centers="uniform")

    with pytest.warns(UserWarning, match="not positive semidefinite"):
        ridge.partial_fit(X, Y)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"kernel": "precomputed"}, "partial_fit compares rows"),
        ({"dictionary": "adaptive", "centers": "uniform"}, "leave centers='rls'"),
        ({"dictionary": "adaptive", "centers": X[:9]}, "leave centers='rls'"),
        ({"centers": [0, 1, 2]}, "row numbers"),
        ({"centers": X[:9, :1]}, "centers have 1 features"),
        ({"n_components": 0}, "n_components"),
        ({"warmup_samples": 0}, "warmup_samples"),
        ({"warmup_samples": 59}, "=59 rows cannot hold n_components=60"),
        ({"selection_samples": 59}, "=59 rows cannot hold n_components=60"),
        ({"centers": [[np.nan] * 2]}, "centers must be"),
        ({"dictionary": "frozen"}, "dictionary"),
    ],
)
def test_refused_parameters(params, words):
    """Each seen red without its check."""
    with pytest.raises(ValueError, match=words):
        model(**params).partial_fit(X, Y)


def test_too_many_centres_for_the_memory():
    """Seen red without a look at the memory."""
    with pytest.raises(MemoryError, match="n_components"):
        model(n_components=10**7).partial_fit(X, Y)
