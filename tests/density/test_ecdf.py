"""The estimator and the functions: known answers, peers, identities and edge cases."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference.dominance import dominated_weight
from scipy import stats
from statsmodels.distributions.empirical_distribution import ECDF
from statsmodels.stats.proportion import proportion_confint

from kernelkit import MultivariateECDF, ecdf, empirical_copula
from kernelkit.datasets import load_flights

FIVE_ROWS = np.array([(1, 1), (2, 3), (2, 3), (3, 2), (0, 4)])
TIED_ROWS = arrays(
    float,
    st.tuples(st.integers(1, 30), st.integers(1, 4)),
    elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, 2.0, np.inf]),
)


class TestKnownAnswers:
    """Answers worked out by hand."""

    def test_five_rows(self):
        """Seen red with < for <=."""
        distribution = MultivariateECDF().fit(FIVE_ROWS)

        assert distribution.cdf().tolist() == [0.2, 0.6, 0.6, 0.4, 0.2]
        assert distribution.cdf([[2, 2], [3, 4]]).tolist() == [0.2, 1.0]
        assert distribution.survival([[0, 1]]).tolist() == [0.6]

    @pytest.mark.parametrize("n_features", range(1, 7))
    def test_chain_and_equal_rows(self, n_features):
        chain = np.arange(100)[:, None].repeat(n_features, axis=1)

        assert ecdf(chain).tolist() == (np.arange(1, 101) / 100).tolist()
        assert ecdf(np.ones((50, n_features))).tolist() == [1.0] * 50

    def test_antichain(self):
        chain = np.arange(100)

        probabilities = ecdf(np.stack([chain, -chain], axis=1))

        assert probabilities.tolist() == [0.01] * 100

    def test_tensor_grid_sample_factorises(self):
        axes = [np.arange(7), np.arange(5), np.arange(4)]
        X = np.array(list(itertools.product(*axes)))

        expected = np.prod(
            [(X[:, k] + 1) / len(axis) for k, axis in enumerate(axes)], 0
        )

        np.testing.assert_allclose(ecdf(X), expected, rtol=1e-15)

    def test_one_row(self):
        assert ecdf([[3.0, 4.0]]).tolist() == [1.0]


class TestPeers:
    """Other libraries say the same."""

    def test_scipy_and_statsmodels_in_one_dimension(self):
        x = np.random.default_rng(0).standard_normal(1000).round(1)
        queries = np.linspace(-4, 4, 333)
        peer = stats.ecdf(x)

        distribution = MultivariateECDF().fit(x[:, None])

        got = distribution.cdf(queries[:, None])
        np.testing.assert_allclose(got, ECDF(x)(queries), rtol=1e-14)
        np.testing.assert_allclose(got, peer.cdf.evaluate(queries), rtol=1e-14)
        survival = distribution.survival(queries[:, None])
        np.testing.assert_allclose(survival, peer.sf.evaluate(queries), atol=1e-15)

    def test_wilson_band_is_statsmodels_interval(self):
        X = np.random.default_rng(0).standard_normal((200, 2))

        low, high = (
            MultivariateECDF().fit(X).confidence_band(level=0.9, method="wilson")
        )

        counts = dominated_weight(X, X)
        expected = proportion_confint(counts, 200, alpha=0.1, method="wilson")
        np.testing.assert_allclose((low, high), expected, rtol=1e-12)


class TestIdentities:
    """What the mathematics promises, on rows with many ties and infinities."""

    @given(X=TIED_ROWS)
    def test_orthants_share_the_whole_weight(self, X):
        """Seen red with a feature's side ignored."""
        distribution = MultivariateECDF().fit(X)
        every_side = itertools.product((-1, 1), repeat=X.shape[1])

        total = sum(distribution.orthant(None, signs) for signs in every_side)

        np.testing.assert_allclose(total, 1.0, rtol=1e-14)

    @given(X=TIED_ROWS)
    def test_training_rows_and_the_same_rows_as_queries_agree(self, X):
        distribution = MultivariateECDF().fit(X)

        own, passed = distribution.cdf(), distribution.cdf(X)

        assert own.tobytes() == passed.tobytes()

    @given(X=TIED_ROWS)
    def test_survival_is_the_cdf_of_the_reversed_rows_made_strict(self, X):
        """x > q means -x < -q, that is, -x lies below all that is not below -q."""
        survival = MultivariateECDF().fit(X).survival()

        levels = np.unique(X)
        below = np.searchsorted(levels, X)
        expected = ecdf(-below, -below - 1)
        np.testing.assert_array_equal(survival, expected)

    def test_grid_at_the_unique_values_equals_the_points(self):
        X = np.random.default_rng(0).integers(0, 9, (300, 3))
        distribution = MultivariateECDF().fit(X)
        axes = [np.unique(column) for column in X.T]

        grid = distribution.evaluate_grid(axes)

        assert grid.shape == tuple(map(len, axes))
        assert grid[tuple(X.T)].tolist() == distribution.cdf().tolist()

    def test_survival_is_one_minus_cdf_in_one_dimension_only(self):
        X = np.random.default_rng(0).standard_normal((50, 2))
        one, two = MultivariateECDF().fit(X[:, :1]), MultivariateECDF().fit(X)

        np.testing.assert_allclose(one.survival(), 1 - one.cdf(), atol=1e-15)
        assert not np.allclose(two.survival(), 1 - two.cdf())

    def test_flights_all_algorithms_agree(self):
        X = load_flights().data[:6000]

        counts = {
            algorithm: MultivariateECDF(algorithm=algorithm).fit(X).cdf()
            for algorithm in ("tree", "bitset", "brute", "auto")
        }

        for values in counts.values():
            np.testing.assert_array_equal(values, counts["brute"])


class TestWeights:
    def test_integer_weights_repeat_rows(self):
        """Seen red with the weights taken in the order of the rows."""
        rng = np.random.default_rng(0)
        X = rng.integers(0, 5, (60, 3))
        weights = rng.integers(0, 4, 60)
        queries = rng.integers(-1, 6, (40, 3))

        weighted = ecdf(X, queries, sample_weight=weights)

        expected = ecdf(np.repeat(X, weights, axis=0), queries)
        np.testing.assert_allclose(weighted, expected, rtol=1e-14)

    @pytest.mark.parametrize("factor", [1e-300, 3.0, 1e290])
    def test_scaled_weights_change_nothing(self, factor):
        rng = np.random.default_rng(0)
        X, weights = rng.standard_normal((500, 2)), rng.random(500)

        scaled = ecdf(X, sample_weight=factor * weights)

        np.testing.assert_allclose(scaled, ecdf(X, sample_weight=weights), rtol=1e-14)

    def test_probabilities_never_exceed_one(self):
        """Seen red without the clipping."""
        rng = np.random.default_rng(0)
        X = np.tile(rng.standard_normal((20_000, 1)), 3)

        top = [
            ecdf(X[:, :d], X[:, :d].max(0)[None], sample_weight=rng.random(20_000))
            for d in (1, 2, 3)
            for _ in range(10)
        ]

        assert np.max(top) <= 1.0

    def test_equal_weights_count(self):
        X = np.random.default_rng(0).standard_normal((40, 2))

        distribution = MultivariateECDF().fit(X, sample_weight=np.full(40, 0.1))

        assert distribution.sample_weight_ is None
        assert distribution.cdf().tolist() == ecdf(X).tolist()


class TestConfidenceBand:
    @pytest.mark.parametrize(("n_features", "constant"), [(1, 2), (2, 402), (3, 603)])
    def test_dkw_half_width(self, n_features, constant):
        """Massart's constant for one feature, Naaman's for more."""
        X = np.random.default_rng(0).standard_normal((200, n_features))
        distribution = MultivariateECDF().fit(X)

        low, high = distribution.confidence_band(level=0.9)

        half = np.sqrt(np.log(constant / 0.1) / 400)
        np.testing.assert_allclose(low, np.maximum(distribution.cdf() - half, 0))
        np.testing.assert_allclose(high, np.minimum(distribution.cdf() + half, 1))

    @pytest.mark.statistical
    @pytest.mark.parametrize("n_features", [1, 2])
    def test_dkw_band_holds_the_truth_as_often_as_it_says(self, n_features):
        """Uniform rows, 400 samples, level 0.8.

        The number of misses is at most binomial(400, 0.2), which exceeds 112 with
        probability below 1e-4: the false-alarm rate. Seen red with the half width
        divided by two.
        """
        axis = np.linspace(0, 1, 101)
        grid = np.stack(np.meshgrid(*[axis] * n_features), -1).reshape(-1, n_features)
        truth = grid.prod(axis=1)
        misses = 0

        for seed in range(400):
            X = np.random.default_rng(seed).random((50, n_features))
            band = MultivariateECDF().fit(X).confidence_band(grid, level=0.8)
            misses += ((truth < band[0]) | (truth > band[1])).any()

        assert stats.binom.sf(112, 400, 0.2) < 1e-4
        assert misses <= 112

    def test_weighted_wilson_uses_the_effective_sample_size(self):
        rng = np.random.default_rng(0)
        X, weights = rng.standard_normal((100, 1)), rng.integers(1, 5, 100)
        distribution = MultivariateECDF().fit(X, sample_weight=1e200 * weights)

        low, high = distribution.confidence_band(method="wilson")

        n_effective = weights.sum() ** 2 / (weights**2).sum()
        share = distribution.cdf()
        expected = proportion_confint(share * n_effective, n_effective, method="wilson")
        np.testing.assert_allclose((low, high), expected, rtol=1e-10, atol=1e-12)

    def test_unequal_weights_have_no_dkw_band(self):
        distribution = MultivariateECDF().fit([[1], [2]], sample_weight=[1, 2])

        with pytest.raises(ValueError, match=r"equal weights only.*wilson"):
            distribution.confidence_band()

    @pytest.mark.parametrize("level", [0, 1, 95, np.nan, "0.9"])
    def test_level_outside_0_and_1_is_refused(self, level):
        distribution = MultivariateECDF().fit([[1], [2]])

        with pytest.raises(ValueError, match=r"'level'.*\(0, 1\)"):
            distribution.confidence_band(level=level)


class TestCopula:
    def test_at_its_own_ranks_it_is_the_ecdf(self):
        X = np.random.default_rng(0).integers(0, 9, (200, 3))

        np.testing.assert_array_equal(empirical_copula(X), ecdf(X))

    def test_does_not_change_with_the_margins(self):
        X = np.random.default_rng(0).standard_normal((200, 2))
        U = np.random.default_rng(1).random((50, 2))

        np.testing.assert_array_equal(
            empirical_copula(np.exp(X), U), empirical_copula(X, U)
        )

    def test_has_nearly_uniform_margins(self):
        X = np.random.default_rng(0).standard_normal((99, 2))
        u = np.linspace(0, 1, 101)

        margin = empirical_copula(X, np.stack([u, np.ones(101)], axis=1))

        np.testing.assert_allclose(margin, np.floor(u * 100 + 1e-9).clip(0, 99) / 99)

    def test_known_answer(self):
        X = [[1, 10], [2, 30], [3, 20]]

        assert empirical_copula(X, [[0.5, 0.5], [0.5, 0.75]]).tolist() == [1 / 3, 2 / 3]


class TestInput:
    """Section by section of what rows may look like."""

    def test_integers_beyond_2_to_the_53(self):
        """Seen red with a cast to float64."""
        X = np.array([[2**53], [2**53 + 1], [2**53 + 2]])
        distribution = MultivariateECDF().fit(X)

        assert distribution.cdf().tolist() == [1 / 3, 2 / 3, 1.0]
        assert distribution.cdf(X.astype(np.uint64)).tolist() == [1 / 3, 2 / 3, 1.0]
        assert distribution.cdf([[2.0**53]]).tolist() == [1 / 3]

    def test_infinities_are_ordered(self):
        X = [[-np.inf, 1.0], [0.0, np.inf], [np.inf, np.inf]]

        assert ecdf(X).tolist() == [1 / 3, 2 / 3, 1.0]

    def test_negative_zero_ties_with_zero(self):
        assert ecdf([[-0.0, 1.0], [0.0, 1.0]]).tolist() == [1.0, 1.0]

    def test_dtype_is_kept(self):
        for dtype in (bool, np.int8, np.uint64, np.float32):
            X = np.array([[0], [1]], dtype=dtype)

            assert MultivariateECDF().fit(X).sorted_values_.dtype == dtype

    @pytest.mark.parametrize("fitted", [False, True])
    def test_nan_is_refused(self, fitted):
        distribution = MultivariateECDF().fit([[1.0, 2.0]])
        method = distribution.cdf if fitted else distribution.fit

        with pytest.raises(ValueError, match="Input X contains NaN"):
            method([[0.0, np.nan]])

    def test_no_query_rows(self):
        assert ecdf([[1.0, 2.0]], np.empty((0, 2))).shape == (0,)

    def test_grid_axes_are_checked(self):
        """Seen red with a number iterated over."""
        distribution = MultivariateECDF().fit(FIVE_ROWS)

        with pytest.raises(ValueError, match="expected 2 axes, got 1"):
            distribution.evaluate_grid([[1, 2]])
        for axes in (5, None):
            with pytest.raises(ValueError, match=f"a list of 2, got {axes}"):
                distribution.evaluate_grid(axes)
        with pytest.raises(ValueError, match=r"axes\[0\] must be .* Got 5 instead"):
            distribution.evaluate_grid([5, 6])
        with pytest.raises(ValueError, match=r"axes\[1\].*strictly increasing"):
            distribution.evaluate_grid([[1, 2], [1, 1]])
        with pytest.raises(ValueError, match="axes"):
            distribution.evaluate_grid([[1, 2], [1, np.inf]])
        with pytest.raises(ValueError, match="'kind'"):
            distribution.evaluate_grid([[1], [1]], kind="pdf")

    def test_grid_beyond_memory_is_refused_before_it_is_allocated(self):
        distribution = MultivariateECDF().fit(np.zeros((2, 5)))

        with pytest.raises(MemoryError, match=r"GiB.*fewer nodes"):
            distribution.evaluate_grid([np.arange(1e5)] * 5)

    @pytest.mark.parametrize("signs", [[1], [1, 0], [1, 1, 1], ["a", "b"]])
    def test_signs_are_checked(self, signs):
        distribution = MultivariateECDF().fit(FIVE_ROWS)

        with pytest.raises(ValueError, match="signs must be 2 numbers, each -1"):
            distribution.orthant([[1, 1]], signs)

    def test_algorithm_is_readable_after_fit(self):
        X = np.zeros((1000, 3))

        assert MultivariateECDF().fit(X).algorithm_ == "bitset"
        assert MultivariateECDF(algorithm="tree").fit(X).algorithm_ == "tree"
        assert MultivariateECDF().fit(X[:, :2]).algorithm_ == "sweep"
