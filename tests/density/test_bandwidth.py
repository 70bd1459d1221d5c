"""Bandwidths: known numbers, peers, identities, the search and its warnings."""

import math
import warnings

import numpy as np
import pytest
from reference import smoothing
from scipy import optimize, stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from statsmodels.nonparametric.kernel_density import KDEMultivariate

from kernelkit import ProductKernelDensity, select_bandwidth
from kernelkit._parallel import in_order
from kernelkit.density import bandwidth as bandwidths
from kernelkit.density.kernels1d import find

RNG = np.random.default_rng(0)
REFERENCE_RULES = ("normal_reference", "scott", "silverman")
RULES = (*REFERENCE_RULES, "cv_ml", "cv_ls")
CV_RULES = ("cv_ml", "cv_ls")
X1 = RNG.standard_normal((60, 1))
X2 = RNG.standard_normal((50, 2)) @ [[1.0, 0.6], [0.0, 3.0]]
WEIGHTS = RNG.uniform(0.1, 1.0, 50)

BAD_BANDWIDTHS = [0, -1.0, math.nan, math.inf, None, "wide", ["a", "b"], []]
BAD_BANDWIDTHS += [[1.0, 2.0, 3.0], [1.0, 0.0], [1.0, math.nan], [1.0, math.inf]]
BAD_BANDWIDTHS += [[[1.0, 2.0]], np.ones((2, 1))]
BAD_KERNELS = ["exponential", 3, None, ["x"], [], [0.0, 0.0], [-1.0, 2.0], [1] * 7]
BAD_KERNELS += [[math.nan], [math.inf], [[1.0]]]

each_rule = pytest.mark.parametrize("rule", RULES)
each_reference_rule = pytest.mark.parametrize("rule", REFERENCE_RULES)
each_cv_rule = pytest.mark.parametrize("rule", CV_RULES)
each_kernel = pytest.mark.parametrize("kernel", smoothing.NAMES)


def objective(make, X, kernel, weights=None):
    """Make an objective whose unit of the bandwidth is that of the rows."""
    weights = np.ones(len(X)) if weights is None else weights
    return make(X, find(kernel), weights, np.ones(X.shape[1]), run=in_order)


class TestReferenceRules:
    """Formulas of the spread."""

    @pytest.mark.parametrize(
        ("kernel", "factor"),
        [("laplacian", 0.7836), ("matern32", 0.5406), ("gaussian", 1.0592)],
    )
    def test_known_factors(self, kernel, factor):
        """Seen red with the exponent 1 / (d + 3) for 1 / (d + 4)."""
        got = select_bandwidth(X1, kernel=kernel)

        assert got == pytest.approx(factor * X1.std() * 60 ** (-1 / 5), rel=1e-4)

    @each_kernel
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    @pytest.mark.parametrize("d", [1, 2])
    def test_normal_reference_is_the_formula(self, kernel, weights, d):
        """Seen red with the number of rows for the effective number."""
        X = X2[:, :d]

        got = select_bandwidth(X, kernel=kernel, sample_weight=weights)

        expected = smoothing.reference_bandwidth(X, kernel, weights).astype(float)
        np.testing.assert_allclose(got, expected, rtol=1e-13)

    @pytest.mark.parametrize("kernel", smoothing.NAMES)
    @pytest.mark.parametrize("rule", ["normal_reference", "silverman"])
    @pytest.mark.parametrize("d", [800, 5000])
    def test_many_features(self, kernel, rule, d):
        """Seen red with a power of d that leaves the range of floats."""
        X = np.random.default_rng(0).normal(size=(50, d))

        got = select_bandwidth(X, rule, kernel=kernel)

        assert (got > 0.1).all()
        assert (got < 20.0).all()

    @pytest.mark.parametrize("kernel", ["uniform", "epanechnikov", "silverman"])
    def test_normal_reference_minimises_the_asymptotic_error(self, kernel):
        """Of normal rows: R / (n h) and the squared bias, by numerical derivatives.

        Seen red with 1052 for 1152.
        """
        order = 4 if kernel == "silverman" else 2
        n, sigma = 1000.0, 1.0
        grid = np.linspace(-12.0, 12.0, 2401)
        hermite = {2: grid**2 - 1, 4: grid**4 - 6 * grid**2 + 3}[order]
        derivative = hermite * stats.norm.pdf(grid) / sigma ** (order + 1)
        moment = find(kernel).moment(order) / math.factorial(order)
        bias = moment**2 * (derivative**2).sum() * (grid[1] - grid[0])

        h = np.geomspace(0.01, 10.0, 20_001)
        best = h[np.argmin(find(kernel).roughness / (n * h) + bias * h ** (2 * order))]

        X = np.array([[-1.0], [1.0]])  # of standard deviation 1
        got = select_bandwidth(X, kernel=kernel) * (2.0 / n) ** (1 / (2 * order + 1))
        assert got == pytest.approx(best, rel=5e-4)

    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    @pytest.mark.parametrize("d", [1, 2])
    def test_scott_is_scipys_factor(self, weights, d):
        """Seen red with 1 / d for 1 / (d + 4)."""
        X = X2[:, :d]
        peer = stats.gaussian_kde(X.T, bw_method="scott", weights=weights)

        got = select_bandwidth(X, "scott", kernel="gaussian", sample_weight=weights)

        center = np.average(X, axis=0, weights=weights)
        sigma = np.sqrt(np.average((X - center) ** 2, axis=0, weights=weights))
        np.testing.assert_allclose(got, peer.factor * sigma, rtol=1e-12)

    @each_kernel
    def test_scott_gives_every_kernel_the_same_spread(self, kernel):
        if kernel == "silverman":
            with pytest.raises(ValueError, match="bandwidth='scott' needs a kernel"):
                select_bandwidth(X2, "scott", kernel=kernel)
            return

        got = select_bandwidth(X2, "scott", kernel=kernel)

        expected = select_bandwidth(X2, "scott", kernel="gaussian")
        got = got * math.sqrt(smoothing.VARIANCE[kernel])
        np.testing.assert_allclose(got, expected, rtol=1e-12)

    def test_silverman_resists_outliers(self):
        """Seen red with the larger of the two spreads."""
        X = np.vstack([np.arange(99.0)[:, None], [[1e6]]])
        quartiles = stats.iqr(X, interpolation="inverted_cdf") / 1.349

        ratio = select_bandwidth(X, "silverman") / select_bandwidth(X)

        assert ratio == pytest.approx(quartiles / X.std(), rel=1e-12)

    def test_silverman_without_an_interquartile_range(self):
        X = np.append(np.zeros(90), np.arange(10.0))[:, None]

        assert select_bandwidth(X, "silverman") == select_bandwidth(X)

    @pytest.mark.parametrize("rule", ["normal_reference", "scott"])
    def test_integer_weight_is_repetition_but_for_the_number_of_rows(self, rule):
        """Seen red with a spread without weights."""
        counts = RNG.integers(1, 4, size=len(X2))

        got = select_bandwidth(X2, rule, sample_weight=counts)

        expected = select_bandwidth(np.repeat(X2, counts, axis=0), rule)
        n_effective = counts.sum() ** 2 / (counts**2).sum()
        ratio = (n_effective / counts.sum()) ** (-1 / 6)
        np.testing.assert_allclose(got, ratio * expected, rtol=1e-12)

    def test_offset_beside_a_row_of_no_weight(self):
        """Seen red with a single pass for the spread."""
        spread = 1e-6 * RNG.standard_normal((30, 1))
        X = np.vstack([[[0.0]], 1e8 + spread])
        weights = np.append(1e-300, np.ones(30))

        got = select_bandwidth(X, sample_weight=weights)

        assert got == pytest.approx(select_bandwidth(X[1:]), rel=1e-9)


class TestCrossValidation:
    """Objectives and the search for their least value."""

    @pytest.mark.filterwarnings("ignore:After 0.17:FutureWarning")  # by statsmodels
    @pytest.mark.parametrize("bandwidth", [(0.3, 0.9), (1.0, 2.0), (0.05, 0.1)])
    def test_likelihood_is_that_of_statsmodels(self, bandwidth):
        """Seen red with each row in its own density."""
        h = np.array(bandwidth)
        peer = KDEMultivariate(X2, "cc", bw=h)

        got = objective(bandwidths.likelihood, X2, "gaussian")(h)

        expected = peer.loo_likelihood(h, func=np.log) / 50 + math.log(49)
        assert got == pytest.approx(expected, rel=1e-12)

    @pytest.mark.filterwarnings("ignore:After 0.17:FutureWarning")  # by statsmodels
    @pytest.mark.parametrize("bandwidth", [(0.3, 0.9), (1.0, 2.0), (0.05, 0.1)])
    def test_least_squares_is_that_of_statsmodels(self, bandwidth):
        """Seen red with W for W - w."""
        h = np.array(bandwidth)
        peer = KDEMultivariate(X2, "cc", bw=h)

        got = objective(bandwidths.least_squares, X2, "gaussian")(h)

        assert got == pytest.approx(peer.imse(h), rel=1e-12)

    @each_kernel
    @pytest.mark.parametrize("weights", [None, WEIGHTS[:20]])
    def test_objectives_by_refitting_and_integration(self, kernel, weights):
        """Seen red with weights dropped, and with the density for its convolution."""
        X, h = X2[:20], np.array([1.5, 4.0])
        w = np.ones(20) if weights is None else weights
        params = {"kernel": kernel, "bandwidth": h}
        left_out = []
        for i in range(len(X)):
            others = np.arange(len(X)) != i
            model = ProductKernelDensity(**params).fit(X[others], None, w[others])
            left_out.append(model.score_samples(X[[i]])[0])
        model = ProductKernelDensity(**params).fit(X, sample_weight=weights)
        far = 15.0 if kernel in (*smoothing.EXPONENTIAL, "gaussian") else 1.5
        axes = [
            np.linspace(low - far * width, high + far * width, 301)
            for low, high, width in zip(X.min(0), X.max(0), h, strict=True)
        ]
        cell = math.prod(axis[1] - axis[0] for axis in axes)
        square = (model.evaluate_grid(axes) ** 2).sum() * cell

        minus_log = objective(bandwidths.likelihood, X, kernel, weights)(h)
        error = objective(bandwidths.least_squares, X, kernel, weights)(h)

        expected = square - 2.0 * np.average(np.exp(left_out), weights=w)
        rtol = {"uniform": 5e-2, "silverman": 5e-2}.get(kernel, 2e-3)
        assert error == pytest.approx(expected, rel=rtol)
        expected = -np.average(left_out, weights=w)
        assert minus_log == pytest.approx(expected, rel=1e-11)

    @each_cv_rule
    @pytest.mark.parametrize("kernel", ["laplacian", "matern52", "epanechnikov"])
    @pytest.mark.parametrize(
        "X",
        [
            X1,
            np.vstack([X1, 30.0 + 0.01 * X1]),
            np.exp(2.0 * X1),
            RNG.standard_cauchy((60, 1)),
        ],
        ids=["normal", "clusters", "skewed", "heavy tails"],
    )
    def test_no_bandwidth_is_better_in_one_dimension(self, rule, kernel, X):
        """Seen red with a search of 3 calls."""
        make = {"cv_ml": bandwidths.likelihood, "cv_ls": bandwidths.least_squares}
        error = objective(make[rule], X, kernel)

        got = error(select_bandwidth(X, rule, kernel=kernel))

        trials = select_bandwidth(X, kernel=kernel) * np.geomspace(1e-2, 1e2, 200)
        best = min(error(np.array([h])) for h in trials)
        assert got <= best + (1e-2 if kernel == "epanechnikov" else 1e-3) * abs(best)

    @each_cv_rule
    def test_no_bandwidth_nearby_is_better(self, rule):
        """Seen red with the search feature by feature left out."""
        make = {"cv_ml": bandwidths.likelihood, "cv_ls": bandwidths.least_squares}
        X = np.vstack([X2, X2 + np.array([8.0, 0.0])])
        error = objective(make[rule], X, "laplacian")

        found = select_bandwidth(X, rule)

        for factors in ([0.8, 1.0], [1.25, 1.0], [1.0, 0.8], [1.0, 1.25]):
            assert error(found) <= error(found * factors) + 0.02 * abs(error(found))

    @each_cv_rule
    def test_no_bandwidth_is_better_for_narrow_groups(self, rule):
        """Features that need bandwidths of their own, far from the reference.

        Seen red with a single pass over the features.
        """
        make = {"cv_ml": bandwidths.likelihood, "cv_ls": bandwidths.least_squares}
        rng = np.random.default_rng(0)
        X = rng.normal(size=(400, 3)) * [0.01, 1.0, 30.0]
        X[:, 0] += rng.integers(0, 30, 400)
        error = objective(make[rule], X, "laplacian")

        found = select_bandwidth(X, rule)

        best = optimize.minimize(
            lambda log: error(np.exp(log)), np.log(found), method="Nelder-Mead"
        )
        assert error(found) <= best.fun + 2e-3 * abs(best.fun)

    def test_no_bandwidth_at_which_rows_reach_each_other(self):
        """Seen red with the start returned in silence."""
        X = np.append(np.linspace(0.0, 1.0, 100), 1e5)[:, None]
        weights = np.append(np.ones(100), 1e-9)

        with pytest.raises(ValueError, match="found no bandwidth at which every row"):
            select_bandwidth(X, "cv_ml", kernel="uniform", sample_weight=weights)

    def test_a_search_that_ends_early_warns(self, monkeypatch):
        """Seen red without the warning."""
        monkeypatch.setattr(bandwidths, "_CALLS", 4)

        with pytest.warns(ConvergenceWarning, match="was still gaining when its se"):
            select_bandwidth(np.exp(4.0 * X2), "cv_ml")

    def test_warnings_point_to_the_caller(self):
        """Seen red with the line in this package."""
        with pytest.warns(UserWarning, match="X is constant") as caught:
            select_bandwidth(np.insert(X2, 1, 7.0, axis=1))

        assert caught[0].filename == __file__

    def test_at_most_30_traversals_in_two_dimensions(self, monkeypatch):
        """Even of a search that never thinks it is done.

        Seen red with 60 calls for two features.
        """
        calls = []
        traverse = bandwidths.log_kernel_sums

        def count(*args, **kwargs):
            calls.append(args)
            return traverse(*args, **kwargs)

        monkeypatch.setattr(bandwidths, "log_kernel_sums", count)
        monkeypatch.setattr(bandwidths, "_LEAST_GAIN", -1.0)

        for rows in (X2, np.exp(X2), np.round(X2)):
            calls.clear()
            with warnings.catch_warnings(action="ignore"):
                select_bandwidth(rows, "cv_ml")

            assert 10 <= len(calls) <= 30

    @each_cv_rule
    def test_a_rounded_feature_ends_at_the_bound(self, rule):
        """Seen red without the bound, and without the warning."""
        X = np.column_stack([np.arange(60) % 4, X1[:60, 0]])

        with pytest.warns(UserWarning, match="chose the least bandwidth allowed for"):
            got = select_bandwidth(X, rule)

        assert 0.999 < got[0] < 2.0

    @each_cv_rule
    def test_gaps_far_above_the_spread(self, rule):
        """Seen red with the volume relative to a start far below the gaps."""
        X = np.array([[0.0] * 3, [1.0] * 3])

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Cross-validation chose the least")
            got = select_bandwidth(X, rule, sample_weight=[1.0, 1e-300])

        assert np.isfinite(got).all()

    @each_cv_rule
    def test_repeated_rows_do_not_draw_it_to_zero(self, rule):
        """Seen red with equal rows left out one by one."""
        got = select_bandwidth(np.repeat(X1[:20], 10, axis=0), rule)

        expected = select_bandwidth(X1[:20], rule)
        np.testing.assert_allclose(got, expected, rtol=0.05)

    def test_a_row_out_of_reach_of_compact_kernels(self):
        """Seen red with infinities in the parabola of the search."""
        X = np.append(np.linspace(0.0, 1.0, 12), 3.0)[:, None]

        got = select_bandwidth(X, "cv_ml", kernel="epanechnikov")

        assert got > 2.0

    def test_weights_that_differ_by_hundreds_of_magnitudes(self):
        """Seen red with a weight subtracted from the sum of all."""
        X = np.array([[0.0], [1.0], [1.5]])

        with warnings.catch_warnings(action="ignore", category=UserWarning):
            for rule in RULES:
                got = select_bandwidth(X, rule, sample_weight=[1.0, 1e-300, 1e-300])

                assert np.isfinite(got).all()


class TestIdentities:
    """What every rule keeps."""

    @each_rule
    def test_unit_and_origin(self, rule):
        """Seen red with a bandwidth that starts at 1."""
        scale, shift = np.array([1e-6, 1e5]), np.array([3.0, -1e4])

        got = select_bandwidth(X2 * scale + shift, rule)

        np.testing.assert_allclose(got, scale * select_bandwidth(X2, rule), rtol=1e-6)

    @each_rule
    def test_power_of_2_as_unit_changes_no_digit(self, rule):
        got = select_bandwidth(X2 * [0.125, 1024.0], rule)

        expected = select_bandwidth(X2, rule) * [0.125, 1024.0]
        np.testing.assert_array_equal(got, expected)

    @each_reference_rule
    def test_order_of_features(self, rule):
        got = select_bandwidth(X2[:, ::-1], rule)

        np.testing.assert_array_equal(got[::-1], select_bandwidth(X2, rule))

    @each_rule
    def test_order_of_rows(self, rule):
        order = RNG.permutation(len(X2))

        got = select_bandwidth(X2[order], rule)

        np.testing.assert_allclose(got, select_bandwidth(X2, rule), rtol=1e-6)

    @each_rule
    def test_zero_weight_is_absence(self, rule):
        """Seen red with weights raised to at least 1e-3."""
        kept = np.arange(len(X2)) % 3 > 0

        got = select_bandwidth(X2, rule, sample_weight=WEIGHTS * kept)

        expected = select_bandwidth(X2[kept], rule, sample_weight=WEIGHTS[kept])
        np.testing.assert_allclose(got, expected, rtol=1e-12)

    @each_rule
    @pytest.mark.parametrize("factor", [1e-300, 8.0, 1e300])
    def test_unit_of_weights(self, rule, factor):
        got = select_bandwidth(X2, rule, sample_weight=factor * WEIGHTS)

        expected = select_bandwidth(X2, rule, sample_weight=WEIGHTS)
        np.testing.assert_allclose(got, expected, rtol=1e-6)

    @each_rule
    def test_estimator_and_function_agree(self, rule):
        model = ProductKernelDensity("matern32", bandwidth=rule)

        got = select_bandwidth(X2, rule, kernel="matern32", sample_weight=WEIGHTS)

        expected = model.fit(X2, sample_weight=WEIGHTS).bandwidth_
        np.testing.assert_array_equal(got, expected)

    @each_rule
    def test_number_of_threads(self, rule):
        got = select_bandwidth(X2, rule, n_jobs=2)

        np.testing.assert_array_equal(got, select_bandwidth(X2, rule))


class TestOddRows:
    """Constant columns, one row, rows too close."""

    @each_rule
    def test_constant_column_is_a_no_op(self, rule):
        """Seen red without the warning."""
        X = np.insert(X2, 1, 7.0, axis=1)

        with pytest.warns(UserWarning, match="X is constant in column 1: its band"):
            got = select_bandwidth(X, rule)

        assert got[1] == 1.0
        assert (got > 0.0).all()

    @each_rule
    def test_equal_rows(self, rule):
        with pytest.warns(UserWarning, match="X is constant in column 0, 1: its"):
            got = select_bandwidth(np.full((9, 2), 0.1), rule)

        assert got.tolist() == [1.0, 1.0]

    @each_rule
    @pytest.mark.parametrize("weights", [None, [0.0, 1.0, 0.0]])
    def test_one_row_is_refused(self, rule, weights):
        X = X2[:3] if weights else X2[:1]

        with pytest.raises(ValueError, match="needs the spread of at least 2 rows"):
            select_bandwidth(X, rule, sample_weight=weights)

    def test_one_row_has_a_density_with_a_number(self):
        model = ProductKernelDensity(bandwidth=2.0).fit([[3.0]])

        assert model.score_samples([[3.0]]) == pytest.approx(math.log(0.25))
        assert model.score_samples() == pytest.approx(math.log(0.25))
        assert model.loo_log_density().tolist() == [-math.inf]

    @each_rule
    def test_too_small_a_spread_is_refused(self, rule):
        """Seen red with spreads that underflow to 0 taken for constant columns."""
        with pytest.raises(ValueError, match="X spreads over less than 1e-290"):
            select_bandwidth([[0.0], [5e-324], [5e-324]], rule)

    @pytest.mark.parametrize("scale", [1e-280, 1e-160, 1e160, 4e307])
    @each_rule
    def test_extreme_units(self, rule, scale):
        """Seen red with sums that overflow."""
        X = np.sort(np.abs(X1), axis=0) / np.abs(X1).max()

        got = select_bandwidth(X * scale, rule) / scale

        np.testing.assert_allclose(got, select_bandwidth(X, rule), rtol=1e-6)


class TestParameters:
    """What `bandwidth` and `kernel` may be."""

    @pytest.mark.parametrize("bandwidth", BAD_BANDWIDTHS, ids=str)
    def test_bad_bandwidth_is_refused(self, bandwidth):
        """Seen red with an infinite bandwidth."""
        message = "The 'bandwidth' parameter of ProductKernelDensity must be "

        with pytest.raises(ValueError, match=message) as refusal:
            ProductKernelDensity(bandwidth=bandwidth).fit(X2)

        assert type(refusal.value).__name__ == "InvalidParameterError"

    @pytest.mark.parametrize("kernel", BAD_KERNELS, ids=str)
    def test_bad_kernel_is_refused(self, kernel):
        message = "The 'kernel' parameter of ProductKernelDensity must be "

        with pytest.raises(ValueError, match=message):
            ProductKernelDensity(kernel).fit(X2)

    def test_bad_rule_is_refused(self):
        with pytest.raises(ValueError, match="'method' argument must be one of"):
            select_bandwidth(X2, "plugin")

    @pytest.mark.parametrize("bandwidth", [2, np.float32(2.0), [2.0, 2.0], (2, 2)])
    def test_numbers_are_taken(self, bandwidth):
        model = ProductKernelDensity(bandwidth=bandwidth).fit(X2)

        assert model.bandwidth_.tolist() == [2.0, 2.0]
        assert model.bandwidth_.dtype == np.float64

    def test_search_over_the_bandwidth_needs_no_scorer(self):
        """Seen red with minus the likelihood for a score."""
        params = {"bandwidth": [0.001, 0.3, 30.0]}

        search = GridSearchCV(ProductKernelDensity(), params, cv=3).fit(X1)

        assert search.best_params_ == {"bandwidth": 0.3}

    def test_rows_apart_by_less_than_numbers_can_tell_again(self):
        """Sums overflow at bandwidths as narrow. Seen red with inf - inf."""
        rows = np.array([[0.0], [5e-324], [4.2341277e-143]])

        with pytest.warns(ConvergenceWarning, match="still gaining"):
            model = ProductKernelDensity("matern32", bandwidth="cv_ls").fit(rows)

        assert np.isfinite(model.bandwidth_).all()
