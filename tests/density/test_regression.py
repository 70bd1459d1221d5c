"""The regressor: known answers, peers, identities and edge cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference.regression import regress
from scipy import sparse
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.nonparametric.kernel_regression import KernelReg

from kernelkit import ProductKernelRegressor, select_bandwidth
from kernelkit.density import regression
from kernelkit.density.kernels1d import KERNELS

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 2)) * [1.0, 20.0]
Y = np.sin(X[:, 0]) + X[:, 1] / 20.0 + 0.1 * RNG.standard_normal(60)
Q = RNG.standard_normal((40, 2)) * [1.0, 20.0]
WIDTHS = [0.9, 25.0]

POSITIVE = [name for name, kernel in KERNELS.items() if not kernel.is_signed]
each_order = pytest.mark.parametrize("order", [0, 1])
each_case = pytest.mark.parametrize(
    ("kernel", "order"),
    [*((name, order) for name in POSITIVE for order in (0, 1)), ("silverman", 0)],
)


def model(bandwidth=WIDTHS, **params):
    return ProductKernelRegressor(bandwidth=bandwidth, **params)


class TestKnownAnswers:
    """Answers worked out by hand."""

    def test_laplacian_mean_of_two_rows(self):
        """Seen red with the bandwidth ignored."""
        regressor = model(2.0).fit([[0.0], [2.0]], [0.0, 1.0])

        near, far = 1.0, np.exp(-1.0)
        expected = [far / (near + far), 0.5, near / (near + far)]
        np.testing.assert_allclose(regressor.predict([[0], [1], [2]]), expected)

    def test_other_row_is_all_that_two_rows_know_without_one(self):
        regressor = model(1.0).fit([[0.0], [2.0]], [3.0, 7.0])

        assert regressor.loo_predict().tolist() == [7.0, 3.0]

    @each_order
    def test_one_row(self, order):
        regressor = model(1.0, order=order).fit([[3.0, 4.0]], [0.1])

        assert regressor.predict([[3.0, 4.0], [0.0, 1e6]]).tolist() == [0.1, 0.1]
        with pytest.raises(ValueError, match="leaves out the only row"):
            regressor.loo_predict()

    @each_case
    def test_constant(self, kernel, order):
        """Seen red without subtracting a target first."""
        regressor = model(kernel=kernel, order=order).fit(X, np.full(60, 0.1))

        assert set(regressor.predict(Q)) == {0.1}
        assert set(regressor.loo_predict()) == {0.1}

    def test_local_line_of_a_compact_kernel_in_one_dimension(self):
        """A formula with the moments S, as textbooks give it."""
        x, y, q = X[:, 0], Y, Q[np.abs(Q[:, 0]) < 1, :1]

        steps = x - q
        weights = np.maximum(1.0 - (steps / 0.8) ** 2, 0.0)
        s_0, s_1, s_2 = [(weights * steps**k).sum(axis=1)[:, None] for k in range(3)]
        lines = weights * (s_2 - s_1 * steps)
        expected = lines @ y / (s_0 * s_2 - s_1**2)[:, 0]

        regressor = model(0.8, kernel="epanechnikov", order=1).fit(x[:, None], y)
        np.testing.assert_allclose(regressor.predict(q), expected, rtol=1e-10)


class TestDefinition:
    """The slow twin says the same."""

    @each_case
    def test_at_queries(self, kernel, order):
        """Seen red with u of the wrong sign in the mixed moment."""
        weights = np.arange(60) % 4 / 3e100
        got = model(kernel=kernel, order=order).fit(X, Y, weights).predict(Q)

        expected = regress(
            X, Q, Y, weights, kernel=kernel, bandwidth=WIDTHS, order=order
        )
        # Cancellation in the waves of "silverman", in a line where few rows matter.
        rtol = 1e-9 if order or kernel == "silverman" else 1e-12
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)

    @each_case
    def test_at_the_rows_without_themselves(self, kernel, order):
        """Seen red with the own row counted."""
        got = model(kernel=kernel, order=order).fit(X, Y).loo_predict()

        expected = regress(
            X, X, Y, kernel=kernel, bandwidth=WIDTHS, order=order, leave_out=True
        )
        rtol = 1e-9 if order or kernel == "silverman" else 1e-12
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)

    @settings(max_examples=100)
    @given(
        rows=arrays(
            float,
            st.tuples(st.integers(2, 12), st.integers(2, 4)),
            elements=st.integers(-3, 3),
        ),
        bandwidth=st.sampled_from([1e-3, 0.3, 1.0, 50.0]),
        kernel=st.sampled_from(["laplacian", "matern32", "gaussian", "biweight"]),
    )
    def test_tied_rows_at_any_bandwidth(self, rows, bandwidth, kernel):
        """Seen red with the nearest of several rows alone."""
        X, y = rows[:, 1:], rows[:, 0]
        queries = np.vstack([X, X + 0.25, X - 2.0])

        regressor = model(bandwidth, kernel=kernel).fit(X, y)

        for got, leave_out, at in [
            (regressor.predict(queries), False, queries),
            (regressor.loo_predict(), True, X),
        ]:
            expected = regress(
                X, at, y, kernel=kernel, bandwidth=bandwidth, leave_out=leave_out
            )
            np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-11)

    @each_order
    @pytest.mark.parametrize("kernel", POSITIVE)
    def test_without_a_row_is_a_fit_without_it(self, kernel, order):
        """Weight 0 is out too, and is predicted all the same."""
        weights = np.arange(60) % 3
        params = {"kernel": kernel, "order": order}
        got = model(**params).fit(X, Y, weights).loo_predict()

        for i in range(0, 60, 7):
            rest = np.arange(60) != i
            refit = model(**params).fit(X[rest], Y[rest], weights[rest])
            expected = refit.predict(X[[i]])[0]
            np.testing.assert_allclose(got[i], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:After 0.17:FutureWarning")
class TestPeers:
    """Another library says the same."""

    @each_order
    def test_statsmodels(self, order):
        peer = KernelReg(Y, X, "cc", reg_type=["lc", "ll"][order], bw=np.array(WIDTHS))
        regressor = model(kernel="gaussian", order=order).fit(X, Y)

        expected, _ = peer.fit(Q)
        np.testing.assert_allclose(regressor.predict(Q), expected, rtol=1e-7)

    def test_statsmodels_error_without_a_row(self):
        peer = KernelReg(Y, X, "cc", reg_type="lc", bw=np.array(WIDTHS))
        regressor = model(kernel="gaussian").fit(X, Y)

        error = np.square(Y - regressor.loo_predict()).mean()

        expected = peer.cv_loo(np.array(WIDTHS), peer.est["lc"])
        np.testing.assert_allclose(error, expected, rtol=1e-10)


class TestIdentities:
    """What the mathematics promises."""

    @pytest.mark.parametrize("kernel", POSITIVE)
    def test_local_line_reproduces_a_linear_function(self, kernel):
        """Wherever rows in reach determine it. Seen red without the mixed moments."""
        coef, offset = np.array([3.0, -0.2]), 1e5
        regressor = model([4.0, 80.0], kernel=kernel, order=1)

        regressor.fit(X, X @ coef + offset)

        for rows, values in [(Q, regressor.predict(Q)), (X, regressor.loo_predict())]:
            np.testing.assert_allclose(values, rows @ coef + offset, atol=1e-8)

    @pytest.mark.parametrize("kernel", ["laplacian", "matern52"])
    @pytest.mark.parametrize("distance", [100.0, 600.0, 660.0, 3000.0])
    def test_local_line_goes_on_far_from_the_rows(self, kernel, distance):
        """Also where all kernels underflow. Seen red with a local mean there."""
        x = np.linspace(0.0, 1.0, 20)[:, None]
        regressor = model(1.0, kernel=kernel, order=1).fit(x, 2.0 * x[:, 0] - 7.0)

        got = regressor.predict([[distance], [-distance]])

        expected = [2.0 * distance - 7.0, -2.0 * distance - 7.0]
        np.testing.assert_allclose(got, expected, rtol=1e-6)

    @given(
        y=arrays(float, 12, elements=st.floats(-1e300, 1e300)),
        bandwidth=st.sampled_from([1e-8, 0.1, 1.0, 1e6]),
        kernel=st.sampled_from(["laplacian", "matern32", "uniform", "gaussian"]),
    )
    @settings(max_examples=100)
    def test_mean_stays_between_the_targets(self, y, bandwidth, kernel):
        """Seen red without the clipping."""
        regressor = model(bandwidth, kernel=kernel).fit(X[:12], y)

        values = np.append(regressor.predict(Q), regressor.loo_predict())

        assert y.min() <= values.min()
        assert values.max() <= y.max()

    @each_case
    def test_outputs_are_fitted_each_alone(self, kernel, order):
        """Seen red with the outputs in reversed order."""
        targets = np.stack([Y, 1e6 + 1e3 * X[:, 0] ** 2, np.full(60, 7.0)], axis=1)
        many = model(kernel=kernel, order=order).fit(X, targets)

        for k, y in enumerate(targets.T):
            one = model(kernel=kernel, order=order).fit(X, y)
            for got, expected in [
                (many.predict(Q)[:, k], one.predict(Q)),
                (many.loo_predict()[:, k], one.loo_predict()),
            ]:
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)

    @each_order
    def test_unit_and_origin_do_not_matter(self, order):
        """Powers of 2 and integers, so that nothing is rounded on the way."""
        A = np.round(X * 64)
        plain = ProductKernelRegressor(order=order).fit(A, Y)
        moved = ProductKernelRegressor(order=order).fit(A * 1024 - 2**30, Y)

        np.testing.assert_array_equal(moved.bandwidth_, plain.bandwidth_ * 1024)
        np.testing.assert_array_equal(moved.loo_predict(), plain.loo_predict())

    def test_an_outlier_does_not_cost_the_digits_of_others(self):
        """Seen red with the mean subtracted instead of a median."""
        x = np.append(X[:, :1], [[1e6]], axis=0)
        regressor = model(0.5).fit(x, np.append(Y, 1e17))

        expected = model(0.5).fit(X[:, :1], Y).predict(Q[:, :1])
        np.testing.assert_allclose(regressor.predict(Q[:, :1]), expected, rtol=1e-12)


class TestFarQueries:
    """Where the kernels sum to nothing."""

    @each_order
    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("distance", [1e2, 1e4, 1e150, 1e300])
    def test_never_nan(self, kernel, order, distance):
        """Seen red without the fallback."""
        if kernel == "silverman" and order == 1:
            return
        regressor = model(kernel=kernel, order=order).fit(X, Y)

        far = regressor.predict([[distance, 0.0], [0.0, -distance], [distance] * 2])

        assert np.isfinite(far).all()
        if order == 0:
            assert Y.min() <= far.min()
            assert far.max() <= Y.max()

    def test_logarithms_take_over_without_a_step(self):
        """At 1e-280, some 645 bandwidths away."""
        x = np.array([[0.0], [0.5], [3.0]])
        regressor = model(1.0, kernel="matern32").fit(x, [1.0, 2.0, 5.0])
        distances = np.arange(630.0, 670.0)[:, None]

        got = regressor.predict(-distances)

        expected = regress(x, -distances, [1.0, 2.0, 5.0], kernel="matern32")
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        assert np.abs(np.diff(got)).max() < 1e-5

    @each_order
    def test_nearest_rows_where_no_row_is_in_reach(self, order):
        """By the L1 distance in bandwidths; rows at the same distance share.

        Seen red with distances not scaled.
        """
        rows, y = [[0.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.0, 200.0]], [0, 1, 4, 9]
        regressor = model([1.0, 100.0], kernel="triweight", order=order)

        regressor.fit(rows, y, sample_weight=[1, 2, 1, 1])

        near_0, *near_3, between, near_200 = regressor.predict(
            [[-2.0, 0.0], [5.0, 0.0], [3.0, 250.0], [1.5, -300.0], [0.0, 400.0]]
        )
        assert near_0 == 0.0
        assert near_3 == [2.0, 2.0]  # (2 * 1 + 1 * 4) / 3
        assert between == 1.5  # (1 * 0 + 2 * 1 + 1 * 4) / 4
        assert near_200 == 9.0

    def test_rounding_does_not_prefer_a_row(self):
        """Seen red with the distances compared as they are."""
        rows = [[0.1, 0.3], [0.3, 0.1]]
        regressor = model([0.3, 0.3], kernel="triangular").fit(rows, [1.0, 2.0])

        got = regressor.predict(RNG.uniform(2.0, 9.0, (100, 2)))

        np.testing.assert_allclose(got, 1.5)

    def test_many_rows_at_a_place_are_taken_in_parts(self, monkeypatch):
        """Seen red with the first half of the queries taken twice."""
        rows = np.repeat(np.arange(3.0), 20)[:, None]
        regressor = model(0.5, kernel="biweight").fit(rows, Y)
        queries = np.array([[5.0], [-3.0], [7.0], [1.5], [-4.0]])
        expected = regressor.predict(queries)
        monkeypatch.setattr(regression, "_CELLS", 30)

        got = regressor.predict(queries)

        np.testing.assert_array_equal(got, expected)
        low, middle, high = Y.reshape(3, 20).mean(axis=1)
        means = [high, low, high, (middle + high) / 2, low]
        np.testing.assert_allclose(got, means, rtol=1e-12)

    def test_near_rows_far_from_the_origin(self):
        """Seen red with features scaled before they are subtracted."""
        steps = np.spacing(1e8) * np.arange(0.0, 40.0, 4.0)
        rows = np.stack([np.zeros(10), 1e8 + steps], axis=1)
        regressor = model([3e-9, 7e-9], kernel="uniform").fit(rows, np.arange(10))

        between = regressor.predict(rows + 2.0 * np.spacing(1e8))

        np.testing.assert_allclose(between, [*np.arange(0.5, 9.0), 9.0], rtol=1e-14)
        inner = regressor.loo_predict()[1:-1]
        np.testing.assert_allclose(inner, np.arange(1.0, 9.0), rtol=1e-14)

    def test_row_without_neighbours(self):
        regressor = model(1.0, kernel="uniform").fit([[0], [0.5], [9]], [1, 2, 5])

        assert regressor.loo_predict().tolist() == [2.0, 1.0, 2.0]

    def test_negative_sums_of_a_kernel_with_waves(self):
        """About 3 pi / 4 sqrt(2) bandwidths away. Seen red with a plain quotient."""
        x, y = np.array([[0.0], [0.1]]), np.array([1.0, 2.0])
        regressor = model(1.0, kernel="silverman").fit(x, y)

        got = regressor.predict([[5.0], [-5.0]])

        tilt = np.exp(0.1 / np.sqrt(2.0))
        expected = [(1 + 2 * tilt) / (1 + tilt), (tilt + 2) / (1 + tilt)]
        np.testing.assert_allclose(got, expected, rtol=1e-12)

    @each_order
    def test_blocks(self, order):
        """More far queries than a block holds. Seen red with a block left out."""
        n = regression._CELLS // 60 // (1 + order) // 2 + 50
        queries = np.stack([np.full(n, 1e4), np.linspace(-1e3, 1e3, n)], axis=1)
        queries = np.tile(queries, (2, 1))
        regressor = model(order=order).fit(X, Y)

        got = regressor.predict(queries)

        np.testing.assert_allclose(got[n:], got[:n], rtol=1e-9)
        np.testing.assert_allclose(got[:9], regressor.predict(queries[:9]), rtol=1e-9)

    def test_weights_of_any_size_count_beside_each_other(self):
        x, y = [[0.0], [1000.0]], [1.0, 2.0]

        regressor = model(1.0).fit(x, y, sample_weight=[1.0, 1e-300])

        assert regressor.predict([[1000.0]]).tolist() == [2.0]
        assert regressor.loo_predict().tolist() == [2.0, 1.0]


class TestWeights:
    @each_order
    @pytest.mark.parametrize("bandwidth", [WIDTHS, "cv_ls"])
    @pytest.mark.parametrize("kernel", ["laplacian", "epanechnikov"])
    def test_integer_weights_repeat_rows(self, bandwidth, order, kernel):
        """Weight 0 removes a row. Seen red with each copy left out alone by cv_ls."""
        weights = RNG.integers(0, 4, 60)
        params = {"bandwidth": bandwidth, "order": order, "kernel": kernel}

        weighted = model(**params).fit(X, Y, weights)

        repeated = model(**params).fit(
            np.repeat(X, weights, axis=0), np.repeat(Y, weights)
        )
        np.testing.assert_allclose(weighted.bandwidth_, repeated.bandwidth_, rtol=1e-6)
        np.testing.assert_allclose(
            weighted.predict(Q), repeated.predict(Q), rtol=1e-6, atol=1e-6
        )

    @each_order
    @pytest.mark.parametrize("factor", [1e-300, 3.0, 1e290])
    def test_scaled_weights_change_nothing(self, factor, order):
        weights = RNG.random(60)
        regressor = ProductKernelRegressor(order=order)

        plain = regressor.fit(X, Y, weights).predict(Q)
        scaled = regressor.fit(X, Y, factor * weights).predict(Q)

        np.testing.assert_allclose(scaled, plain, rtol=1e-9)

    def test_equal_weights_are_none(self):
        regressor = model().fit(X, Y, np.full(60, 0.1))

        assert regressor.sample_weight_ is None


class TestBandwidth:
    @pytest.mark.parametrize("kernel", ["laplacian", "matern52", "epanechnikov"])
    @each_order
    def test_cv_ls_has_about_the_least_error(self, kernel, order):
        """Within 2 % of a scan. Seen red with the objective's sign reversed."""
        x = np.sort(RNG.uniform(0.0, 6.0, 80))[:, None]
        y = np.sin(2.0 * x[:, 0]) + 0.3 * RNG.standard_normal(80)

        def error(bandwidth):
            regressor = model(bandwidth, kernel=kernel, order=order).fit(x, y)
            return np.square(y - regressor.loo_predict()).mean()

        chosen = model("cv_ls", kernel=kernel, order=order).fit(x, y).bandwidth_

        assert error(chosen) <= 1.02 * min(map(error, np.geomspace(0.03, 10.0, 40)))

    def test_cv_ls_smooths_out_a_feature_that_says_nothing(self):
        """Seen red with a search over the common factor alone."""
        A = RNG.uniform(size=(150, 2))
        y = np.sin(6.0 * A[:, 0]) + 0.1 * RNG.standard_normal(150)

        narrow, wide = ProductKernelRegressor().fit(A, y).bandwidth_

        assert wide > 10.0 * narrow

    def test_unit_of_an_output_does_not_matter(self):
        """Seen red with errors added as they are."""
        targets = np.stack([Y, np.cos(X[:, 0]) + RNG.standard_normal(60)], axis=1)

        one = ProductKernelRegressor().fit(X, targets).bandwidth_
        other = ProductKernelRegressor().fit(X, targets * [1.0, 1e5]).bandwidth_

        np.testing.assert_allclose(other, one, rtol=1e-6)

    def test_copies_do_not_make_it_vanish(self):
        """Seen red with each copy left out alone."""
        x, y = np.tile(X[:, :1], (3, 1)), np.tile(Y, 3)

        bandwidth = ProductKernelRegressor().fit(x, y).bandwidth_

        alone = ProductKernelRegressor().fit(X[:, :1], Y).bandwidth_
        np.testing.assert_allclose(bandwidth, alone, rtol=1e-6)

    @pytest.mark.parametrize("rule", ["normal_reference", "scott", "silverman"])
    def test_reference_rules_are_those_of_densities(self, rule):
        regressor = model(rule, kernel="matern32").fit(X, Y)

        expected = select_bandwidth(X, rule, kernel="matern32")
        assert regressor.bandwidth_.tolist() == expected.tolist()

    @pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0]])
    @pytest.mark.parametrize("rule", ["cv_ls", "scott"])
    def test_one_row_asks_for_a_number(self, rule, weights):
        rows = np.arange(len(weights))[:, None]

        with pytest.raises(ValueError, match=f"bandwidth='{rule}'.*give the bandw"):
            model(rule).fit(rows, rows[:, 0], weights)

    def test_equal_rows(self):
        """The bandwidth is of no consequence."""
        with pytest.warns(UserWarning, match="constant in column 0, 1"):
            regressor = ProductKernelRegressor().fit([[1, 2], [1, 2]], [0.0, 3.0])

        assert regressor.bandwidth_.tolist() == [1.0, 1.0]
        assert regressor.predict([[1, 2], [9, 9]]).tolist() == [1.5, 1.5]

    @pytest.mark.parametrize("bandwidth", [0, -1.0, np.nan, [1, 2], "cv_ml", [1, 2, 0]])
    def test_others_are_refused(self, bandwidth):
        with pytest.raises(ValueError, match="'bandwidth' parameter of ProductKernelR"):
            model(bandwidth).fit(np.zeros((3, 3)), [1, 2, 3])


class TestLocalLine:
    def test_collinear_features(self):
        """Across their line the slope is 0, with features in units of their distance.

        Seen red with slopes along directions of rounding.
        """
        x, line = np.linspace(0.0, 1.0, 50), np.array([1.0, 0.7])
        bandwidth = np.array([0.3, 0.17])
        regressor = model(bandwidth, order=1).fit(x[:, None] * line, 2.0 * x)

        got = regressor.predict([0.5 * line, 0.5 * line + [-0.1, 0.1]])

        u = (0.5 * line + [-0.1, 0.1] - x[:, None] * line) / bandwidth
        distance = np.sqrt(np.average(u**2, axis=0, weights=np.exp(-abs(u).sum(1))))
        along = line / (bandwidth * distance)
        step = np.array([-0.1, 0.1]) / (bandwidth * distance)
        expected = 1.0 + 2.0 * (step @ along) / (along @ along)
        np.testing.assert_allclose(got, [1.0, expected], rtol=1e-6)

    @pytest.mark.parametrize("kernel", ["laplacian", "epanechnikov", "gaussian"])
    def test_one_bandwidth_far_wider_than_the_other(self, kernel):
        """Its feature keeps its slope: y is linear in it.

        Seen red with spreads in bandwidths compared to a constant.
        """
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(500, 2))
        y = np.sin(2.0 * rows[:, 0]) + 3.0 * rows[:, 1]

        got = [
            model([0.3, width], kernel=kernel, order=1).fit(rows, y).predict([[0, 1.0]])
            for width in (1e2, 1e4, 1e6)
        ]

        np.testing.assert_allclose(got, 3.0, atol=0.1)

    def test_constant_feature(self):
        rows = np.insert(X, 1, 5.0, axis=1)
        regressor = model([0.9, 1.0, 25.0], order=1).fit(rows, Y)

        got = regressor.predict(np.insert(Q, 1, 5.0, axis=1))

        expected = model(order=1).fit(X, Y).predict(Q)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("kernel", ["laplacian", "biweight"])
    def test_fewer_rows_than_features(self, kernel):
        regressor = model(1.0, kernel=kernel, order=1).fit(np.eye(3, 5), [1, 2, 3])

        assert np.isfinite(regressor.predict(np.eye(5))).all()
        assert np.isfinite(regressor.loo_predict()).all()

    def test_slopes_that_exceed_memory_are_refused(self, monkeypatch):
        """Seen red without the estimate."""
        rows = RNG.standard_normal((40, 60))
        lines = model(9.0, order=1).fit(rows, rows[:, 0])
        monkeypatch.setattr("os.sysconf", lambda name: 1000)  # a megabyte

        assert np.isfinite(lines.predict(rows[:1])).all()
        with pytest.raises(MemoryError, match="fewer rows at a time, or use order=0"):
            lines.predict(rows)

    def test_kernel_with_negative_values_is_refused(self):
        with pytest.raises(ValueError, match="order=1 needs a kernel without neg"):
            model(kernel="silverman", order=1).fit(X, Y)


class TestInput:
    @pytest.mark.parametrize("value", [np.nan, None, np.inf])
    def test_missing_targets_are_refused(self, value):
        y = Y.astype(object)
        y[3] = value

        with pytest.raises(ValueError, match=r"NaN|inf"):
            ProductKernelRegressor().fit(X, y)

    def test_other_targets_are_refused(self):
        regressor = ProductKernelRegressor()
        with pytest.raises(ValueError, match="got y of dtype"):
            regressor.fit(X, np.full(60, "a"))
        with pytest.raises(TypeError, match=r"Sparse.*toarray"):
            regressor.fit(X, sparse.csr_matrix(Y[:, None]))
        with pytest.raises(ValueError, match="differences overflow"):
            regressor.fit(X, np.full(60, 1e308))
        with pytest.raises(ValueError, match="inconsistent numbers"):
            regressor.fit(X, Y[1:])
        with pytest.raises(ValueError, match="requires y"):
            regressor.fit(X, None)
        assert vars(regressor).keys() == regressor.get_params().keys()

    @pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
    @each_order
    def test_targets_of_any_size(self, scale, order):
        regressor = ProductKernelRegressor(order=order)

        values = regressor.fit(X, Y * scale).predict(Q)

        expected = regressor.fit(X, Y).predict(Q)
        np.testing.assert_allclose(values / scale, expected, rtol=1e-9)

    def test_shapes(self):
        one, column, two = (
            model().fit(X, y) for y in (Y, Y[:, None], np.stack([Y, Y], axis=1))
        )

        for regressor, tail in [(one, ()), (column, (1,)), (two, (2,))]:
            assert regressor.predict(Q).shape == (40, *tail)
            assert regressor.loo_predict().shape == (60, *tail)

    def test_training_data_are_copied(self):
        A, y = X.copy(), Y.copy()
        regressor = model().fit(A, y)
        before = regressor.predict(Q)

        A[:], y[:] = 0.0, 0.0

        assert regressor.predict(Q).tolist() == before.tolist()

    def test_kernel_stays_that_of_the_fit(self):
        """Seen red with the parameter read at each call."""
        coefficients = [1.0, 0.0]
        regressor = model(kernel=coefficients).fit(X, Y)
        expected = regressor.predict(Q)

        coefficients[1] = 5.0
        mutated = regressor.predict(Q)
        changed = regressor.set_params(kernel="no kernel").predict(Q)

        np.testing.assert_array_equal(mutated, expected)
        np.testing.assert_array_equal(changed, expected)

    def test_attributes(self):
        regressor = model(3.0).fit(X, Y)

        assert regressor.bandwidth_.tolist() == [3.0, 3.0]
        assert regressor.X_fit_.tolist() == X.tolist()
        assert regressor.y_fit_.tolist() == Y.tolist()
        assert regressor.algorithm_ in ("tree", "window", "brute")

    @each_order
    @pytest.mark.parametrize("kernel", ["laplacian", "epanechnikov", "gaussian"])
    def test_threads_do_not_change_a_bit(self, kernel, order):
        queries = np.vstack([Q, Q + 1e4])

        one, four = (
            model(kernel=kernel, order=order, n_jobs=n).fit(X, Y).predict(queries)
            for n in (1, 4)
        )

        assert one.tobytes() == four.tobytes()


class TestWithScikitLearn:
    def test_search_over_the_bandwidth(self):
        search = GridSearchCV(
            ProductKernelRegressor(), {"bandwidth": [1e-2, 1.0, 1e3], "order": [0, 1]}
        )

        search.fit(X / [1.0, 20.0], Y)

        assert search.best_params_["bandwidth"] == 1.0
        assert search.best_score_ > 0.6

    def test_pipeline(self):
        pipeline = make_pipeline(StandardScaler(), ProductKernelRegressor(order=1))

        assert pipeline.fit(X, Y).score(X, Y) > 0.9

    def test_sargan_coefficients(self):
        got = model(kernel=[3, 3, 1]).fit(X, Y).predict(Q)

        np.testing.assert_allclose(got, model(kernel="matern52").fit(X, Y).predict(Q))


@pytest.mark.slow
@each_order
@pytest.mark.parametrize("algorithm", ["tree", "window", "brute"])
@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_every_algorithm_at_every_scale(algorithm, n_features, order):
    """The twin, over bandwidths, weights and kernels that the algorithm knows."""
    rng = np.random.default_rng(n_features)
    A = np.round(rng.standard_normal((300, n_features)), 1)
    y = A.sum(axis=1) ** 2 + rng.standard_normal(300)
    weights = rng.random(300)
    queries = rng.standard_normal((100, n_features)) * 2.0
    kernels = {
        "tree": ["laplacian", "matern32", "matern52", "sargan"],
        "window": ["triangular", "epanechnikov", "tricube", "cosine"],
        "brute": ["laplacian", "cosine", "gaussian"],
    }[algorithm]
    for kernel in kernels:
        for bandwidth in (0.013, 0.37, 2.3, 100.0):
            params = {"kernel": kernel, "bandwidth": bandwidth, "order": order}
            regressor = ProductKernelRegressor(algorithm=algorithm, **params)
            regressor.fit(A, y, weights)
            for got, at, leave_out in [
                (regressor.predict(queries), queries, False),
                (regressor.loo_predict(), A, True),
            ]:
                expected = regress(A, at, y, weights, leave_out=leave_out, **params)
                tolerance = 1e-5 if order else 1e-11
                np.testing.assert_allclose(
                    got, expected, rtol=tolerance, atol=tolerance, err_msg=str(params)
                )
