"""The regressor: known answers, identities and edge cases."""

import pickle
import tracemalloc

import numpy as np
import pytest
from reference import rbf_network as reference
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from kernelkit.rbf_network.objective import PROFILES
from kernelkit.rbf_network.regressor import GaussianRBFRegressor

RNG = np.random.default_rng(0)
X, Y = make_friedman1(n_samples=150, n_features=6, noise=0.5, random_state=0)
X, Q, Y, TRUTH = train_test_split(X, Y, test_size=50, random_state=0)
CENTERS = X[::5]
KINDS = ["iso", "diag", "low_rank", "full"]
each_kind = pytest.mark.parametrize("precision", KINDS)


def model(n_centers=20, **params):
    defaults = {"precision": "diag", "random_state": 0, "max_iter": 100, "tol": 1e-3}
    params = defaults | params
    return GaussianRBFRegressor(n_centers, **params)


def given(**params):
    """Build a network whose centres do not depend on the rows."""
    return model(centers=CENTERS, **params)


def ridge_function(n, d, seed, noise=0.1):
    rng = np.random.default_rng(seed)
    rows, direction = rng.normal(size=(n, d)), rng.normal(size=d)
    direction /= np.linalg.norm(direction)
    t = rows @ direction
    y = np.sin(2.0 * t) + t / 2.0 + noise * rng.normal(size=n)
    return rows, y, direction


def degrees(u, v):
    return np.degrees(np.arccos(min(abs(u @ v), 1.0)))


class TestDefinition:
    """Attributes are what they say."""

    @each_kind
    @pytest.mark.parametrize("kernel", PROFILES)
    def test_predictions(self, precision, kernel):
        """Seen red with weights that are not in the unit of the targets."""
        fitted = model(precision=precision, kernel=kernel, max_iter=3, tol=1.0)
        fitted.fit(X * 100.0, 7.0 * Y + 1e3)

        got = fitted.predict(Q * 100.0)

        expected = reference.predict(fitted, Q * 100.0)
        np.testing.assert_allclose(got, expected, rtol=1e-9)

    def test_several_targets(self):
        Y2 = np.column_stack([Y, X[:, 5] * 3.0, np.full(len(Y), 4.0)])

        fitted = model(tol=1e-6).fit(X, Y2)

        assert fitted.dual_coef_.shape == (20, 3)
        assert fitted.predict(Q).shape == (50, 3)
        np.testing.assert_allclose(fitted.predict(Q), reference.predict(fitted, Q))
        np.testing.assert_array_equal(fitted.predict(Q)[:, 2], 4.0)
        assert fitted.score(X, Y2) > 0.9

    def test_one_target_in_a_column(self):
        flat, column = model().fit(X, Y), model().fit(X, Y[:, None])

        np.testing.assert_array_equal(column.predict(Q)[:, 0], flat.predict(Q))
        assert flat.dual_coef_.shape == (20,)
        assert column.dual_coef_.shape == (20, 1)

    @each_kind
    def test_precision_in_both_units(self, precision):
        """Seen red with scales on one side only."""
        fitted = model(precision=precision).fit(X * [1, 2, 3, 4, 5, 6], Y)

        U, s = fitted.precision_factor_, fitted.scale_
        np.testing.assert_allclose(fitted.precision_, U.T @ U)
        np.testing.assert_allclose(
            fitted.precision_original_ * np.outer(s, s), U.T @ U, atol=1e-12
        )
        assert np.linalg.matrix_rank(U) == {"low_rank": 2}.get(precision, 6)

    def test_gradient(self):
        """Seen red with derivatives by standardised features."""
        fitted = model(precision="full").fit(X * 10.0, Y)

        got = fitted.gradient(Q[:4] * 10.0)

        for x, gradient in zip(Q[:4] * 10.0, got, strict=True):
            expected = reference.slope(lambda x: fitted.predict(x[None])[0], x, 1e-4)
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)

    @pytest.mark.filterwarnings("ignore:The objective still fell")
    def test_memory_of_gradients(self):
        """Seen red with tiles that forget the number of targets."""
        many = np.repeat(Y[:, None], 50, axis=1)
        fitted = model(max_iter=1, tol=1.0).fit(X, many)
        queries = np.repeat(Q, 100, axis=0)

        tracemalloc.start()
        G = fitted.gradient(queries)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 4.5 * G.nbytes + 2**24
        np.testing.assert_allclose(G[::100], fitted.gradient(Q))

    def test_gradient_of_several_targets(self):
        fitted = model().fit(X, np.column_stack([Y, -2.0 * Y]))

        G = fitted.gradient(Q)

        assert G.shape == (50, 6, 2)
        np.testing.assert_allclose(G[:, :, 1], -2.0 * G[:, :, 0], atol=1e-9)

    def test_active_subspace_is_of_gradients(self):
        fitted = model(precision="full").fit(X, Y)
        values, vectors = fitted.active_subspace()

        G = fitted.gradient(X) * fitted.scale_ / Y.std()
        expected = G.T @ G / len(X)
        np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, expected)
        assert fitted.effective_rank_ == pytest.approx(
            expected.trace() ** 2 / (expected**2).sum()
        )

    def test_standard_deviation(self):
        """Seen red without the variance of the weights.

        By the covariance of all rows and queries, with a vague constant.
        """
        fitted = given(max_iter=5, tol=1.0).fit(X, Y)
        mean, std = fitted.predict(Q, return_std=True)

        Z, C = ((A - fitted.mean_) / fitted.scale_ for A in (np.r_[X, Q], CENTERS))
        phi = reference.basis(Z, fitted.precision_factor_, C)
        K = phi @ phi.T / fitted.lambda_ + 1e7 + np.eye(len(phi))
        known, across = K[:100, :100], K[100:, :100]
        cov = K[100:, 100:] - across @ np.linalg.solve(known, across.T)
        np.testing.assert_allclose(
            std, np.sqrt(fitted.sigma2_ * cov.diagonal()), rtol=1e-4
        )
        np.testing.assert_array_equal(mean, fitted.predict(Q))

    def test_standard_deviations_cover(self):
        """Two of three new targets lie within one; binomial, p < 1e-4 to fail."""
        fitted = model(50, max_iter=60, tol=1e-6).fit(X, Y)

        mean, std = fitted.predict(Q, return_std=True)

        share = np.mean(np.abs(TRUTH - mean) < std)
        assert 0.4 < share < 0.95

    def test_intervals_cover(self):
        """Nine of ten new targets lie within 1.645; the share is less than 3 off.

        Seen red with standard deviations that are 0.9 or 1.2 times as large.
        """
        shares = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            rows = rng.normal(size=(1300, 5))
            y = np.sin(2.0 * rows[:, 0]) + rows[:, 1] * rows[:, 2]
            y += 0.5 * rng.normal(size=1300)
            fitted = model(60, precision="auto", tol=1e-5).fit(rows[:300], y[:300])
            mean, std = fitted.predict(rows[300:], return_std=True)
            shares.append(np.mean(np.abs(y[300:] - mean) < 1.645 * std))

        assert np.mean(shares) == pytest.approx(0.9, abs=0.03)


class TestSubspace:
    """Directions, importances and projections."""

    def test_importances_of_friedman(self):
        for importance in ("agop", "precision", "precision_diag"):
            fitted = model(importance=importance).fit(X, Y)

            shares = fitted.feature_importances_
            assert shares.sum() == pytest.approx(1.0)
            assert shares.argmin() == 5

    def test_projection(self):
        """Seen red with rows that are not centred."""
        fitted = model(precision="full").fit(X, Y)

        T = fitted.transform(Q)

        vectors = fitted.active_subspace_[1]
        np.testing.assert_allclose(T, (Q - fitted.mean_) / fitted.scale_ @ vectors)
        assert len(fitted.get_feature_names_out()) == 6
        np.testing.assert_allclose(fitted.inverse_transform(T), Q)
        back = fitted.transform(fitted.inverse_transform(T[:, :2]))
        np.testing.assert_allclose(back[:, :2], T[:, :2], atol=1e-12)
        np.testing.assert_allclose(back[:, 2:], 0.0, atol=1e-12)
        two = fitted.set_params(n_components=2).transform(Q)
        np.testing.assert_array_equal(two, T[:, :2])

    @pytest.mark.parametrize("n_components", [0, 1.5, 0.0, "all", -2])
    def test_wrong_number_of_components(self, n_components):
        """Seen red with a number that only `fit` checks."""
        with pytest.raises(ValueError, match="n_components"):
            model(n_components=n_components).fit(X, Y)
        fitted = model().fit(X, Y).set_params(n_components=n_components)
        with pytest.raises(ValueError, match="n_components"):
            fitted.transform(Q)

    def test_too_many_coordinates(self):
        with pytest.raises(ValueError, match="7 components, and there are 6"):
            model().fit(X, Y).inverse_transform(np.ones((2, 7)))

    def test_low_rank_has_few_directions(self):
        fitted = model(precision="low_rank", rank=3).fit(X, Y)

        assert fitted.structure_ == "low_rank(3)"
        assert fitted.precision_factor_.shape == (3, 6)
        assert fitted.transform(Q).shape == (50, 3)
        for kind in ("agop", "precision"):
            values, vectors = fitted.active_subspace(kind)
            assert values.shape == (3,)
            np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-10)

    def test_precision_of_many_features(self):
        """Seen red with a singular value decomposition, which takes a minute."""
        wide = RNG.normal(size=(40, 1500))
        fitted = model(10, max_iter=2, tol=1.0).fit(wide, wide[:, 3])

        values, vectors = fitted.active_subspace("precision")

        np.testing.assert_allclose((vectors * values) @ vectors.T, fitted.precision_)
        assert (np.diff(values) <= 0.0).all()

    def test_number_of_components(self):
        """Seen red with names of all directions."""
        fitted = model(n_components=2).set_output(transform="pandas").fit(X, Y)

        T = fitted.transform(Q)

        names = ["gaussianrbfregressor0", "gaussianrbfregressor1"]
        assert T.columns.tolist() == names
        assert model(n_components=2).fit_transform(X, Y).shape == (100, 2)
        assert fitted.set_params(n_components=np.float32(0.5)).transform(Q).shape[1] < 6
        assert fitted.set_params(n_components=1.0).transform(Q).shape[1] == 6
        pipe = make_pipeline(fitted, Ridge())
        pipe.set_params(gaussianrbfregressor__n_components=3).fit(X, Y)
        assert len(pipe[-1].coef_) == 3

    def test_selection_of_features(self):
        """Seen red with weights called `coef_`, which are read first."""
        assert SelectFromModel(model()).fit(X, Y).get_support()[3]
        assert not RFE(model(), n_features_to_select=4).fit(X, Y).support_[5]


class TestEdges:
    """Rows, columns and targets at the edge."""

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, value):
        bad = X.copy()
        bad[3, 1] = value
        with pytest.raises(ValueError, match="Input X contains"):
            model().fit(bad, Y)
        with pytest.raises(ValueError, match="Input y contains"):
            model().fit(X, np.where(np.arange(len(Y)) == 2, value, Y))

    def test_sparse(self):
        with pytest.raises(TypeError, match="Sparse"):
            model().fit(sparse.csr_array(X), Y)

    def test_one_row(self):
        """Seen red with a mean of one row."""
        with pytest.raises(ValueError, match="n_samples=1 while a minimum of 2"):
            model().fit(X[:1], Y[:1])
        assert model().fit(X, Y).predict(Q[:1]).shape == (1,)

    def test_constant_columns(self):
        """Seen red with constant columns among the parameters."""
        wide = np.column_stack([np.full(100, 0.1), X, np.full(100, 1e9)])
        with_them, without = model().fit(wide, Y), model().fit(X, Y)

        queries = np.column_stack([np.ones(50), Q, np.ones(50)])
        np.testing.assert_allclose(
            with_them.predict(queries), without.predict(Q), rtol=1e-8
        )
        assert with_them.feature_importances_[[0, 7]].tolist() == [0.0, 0.0]
        assert not with_them.active_subspace_[1][[0, 7]].any()
        assert not with_them.precision_[[0, 7]].any()
        assert with_them.centers_[:, 7].tolist() == [1e9] * 20

    @each_kind
    def test_nothing_varies(self, precision):
        """Seen red without the early way out."""
        for rows, targets in ((np.ones((9, 3)), Y[:9]), (X[:9], np.full(9, 0.1))):
            with pytest.warns(UserWarning, match=r"^(X|y) is constant"):
                fitted = model(precision=precision).fit(rows, targets)

            mean, std = fitted.predict(rows + 1.0, return_std=True)
            np.testing.assert_allclose(mean, targets.mean())
            assert np.isfinite(std).all()
            assert not fitted.feature_importances_.any()
            assert fitted.effective_rank_ == 0.0
            assert not fitted.gradient(rows).any()
            assert np.isfinite(fitted.transform(rows)).all()

    @each_kind
    def test_few_different_rows(self, precision):
        """Seen red with more centres than different rows."""
        rows, targets = np.repeat(X[:4], 9, axis=0), np.repeat(Y[:4], 9)

        fitted = model(precision=precision).fit(rows, targets)

        assert fitted.centers_.shape == (4, 6)
        assert np.isfinite(fitted.predict(Q)).all()
        assert fitted.score(rows, targets) > 0.9

    def test_two_rows(self):
        fitted = model().fit(X[:2], Y[:2])

        assert np.isfinite(fitted.predict(Q)).all()

    def test_column_constant_up_to_rounding(self):
        """Seen red with a column of which only the last digit varies."""
        noisy = np.where(RNG.uniform(size=100) < 0.5, 0.3, 0.1 + 0.2)

        with_it = model().fit(np.column_stack([X, noisy]), Y)

        assert with_it.feature_importances_[6] == 0.0
        queries = np.column_stack([Q, np.ones(50)])
        np.testing.assert_allclose(
            with_it.predict(queries), model().fit(X, Y).predict(Q), rtol=1e-8
        )

    def test_column_given_twice(self):
        """Each twin has half of the gradient, so both have half of its square."""
        rows, y = make_friedman1(300, n_features=6, noise=0.5, random_state=0)
        once = model(100).fit(rows, y).feature_importances_
        twice = model(100).fit(np.column_stack([rows, rows[:, 3]]), y)
        twice = twice.feature_importances_

        assert twice[3] == pytest.approx(twice[6], rel=1e-2)
        ratios = twice[:3] / twice[3], once[:3] / once[3]
        np.testing.assert_allclose(ratios[0], 4.0 * ratios[1], rtol=0.3)

    def test_weight_is_repetition(self):
        """Seen red with rows that are not merged."""
        counts = RNG.integers(0, 4, size=len(X))
        weighted = model().fit(X, Y, sample_weight=counts)

        repeated = model().fit(np.repeat(X, counts, axis=0), np.repeat(Y, counts))

        np.testing.assert_array_equal(weighted.predict(Q), repeated.predict(Q))
        assert weighted.sigma2_ == repeated.sigma2_

    @pytest.mark.parametrize("total", [1.0, 1e-100])
    def test_weights_of_little_sum(self, total):
        """Seen red without a word: all weights of basis functions are then nothing."""
        weights = np.full(len(X), total / len(X))

        with pytest.warns(UserWarning, match=r"sample_weight.*of mean 1"):
            model().fit(X, Y, sample_weight=weights)

    def test_order_of_rows_does_not_matter(self):
        order = RNG.permutation(len(X))

        shuffled = model().fit(X[order], Y[order])

        np.testing.assert_array_equal(shuffled.predict(Q), model().fit(X, Y).predict(Q))

    def test_no_weight_is_no_row(self):
        weights = np.r_[np.zeros(20), np.ones(80)]

        got = model().fit(X, Y, sample_weight=weights).predict(Q)

        np.testing.assert_array_equal(got, model().fit(X[20:], Y[20:]).predict(Q))

    @pytest.mark.filterwarnings("ignore:The objective still fell")
    @pytest.mark.parametrize(("scale", "offset"), [(1e-8, 0.0), (1e8, 0.0), (1.0, 1e6)])
    def test_unit_of_a_column(self, scale, offset):
        moved, queries = X.copy(), Q.copy()
        for rows in (moved, queries):
            rows[:, 2] = rows[:, 2] * scale + offset

        got = model(max_iter=10).fit(moved, Y).predict(queries)

        expected = model(max_iter=10).fit(X, Y).predict(Q)
        np.testing.assert_allclose(got, expected, rtol=1e-6)

    def test_unit_of_the_targets(self):
        got = model().fit(X, -1e3 * Y + 50.0).predict(Q)

        expected = -1e3 * model().fit(X, Y).predict(Q) + 50.0
        np.testing.assert_allclose(got, expected, rtol=1e-8)

    @pytest.mark.filterwarnings("ignore:The objective still fell")
    def test_rotation(self):
        """Seen red with columns that are scaled one by one."""
        turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
        params = {"precision": "full", "standardize": False, "tol": 1e-6, "max_iter": 9}
        plain = given(**params).fit(X, Y)

        turned = model(centers=CENTERS @ turn, **params).fit(X @ turn, Y)

        np.testing.assert_allclose(
            turned.predict(Q @ turn), plain.predict(Q), rtol=1e-4
        )
        np.testing.assert_allclose(
            turned.active_subspace()[0], plain.active_subspace()[0], rtol=1e-3
        )
        first, other = (m.active_subspace()[1][:, 0] for m in (plain, turned))
        assert degrees(first @ turn, other) < 0.1

    @pytest.mark.parametrize("precision", ["auto", "low_rank", "iso"])
    def test_more_features_than_rows(self, precision):
        wide = RNG.normal(size=(30, 2000))
        y = wide[:, 0] + 0.1 * RNG.normal(size=30)

        fitted = model(10, precision=precision, max_iter=3, tol=1.0).fit(wide, y)

        assert fitted.structure_ in (
            "iso",
            "diag",
            *map("low_rank({})".format, range(6)),
        )
        assert np.isfinite(fitted.predict(wide)).all()
        assert (
            max(
                value.size
                for value in vars(fitted).values()
                if isinstance(value, np.ndarray)
            )
            < 2000**2
        )

    def test_float32(self):
        fitted = model().fit(X.astype(np.float32), Y)

        got = fitted.predict(Q.astype(np.float32))

        assert got.dtype == np.float32
        assert fitted.transform(Q).dtype == np.float32
        np.testing.assert_allclose(got, model().fit(X, Y).predict(Q), rtol=0.05)
        assert (
            model(dtype="float64").fit(X.astype(np.float32), Y).predict(Q).dtype
            == float
        )

    @pytest.mark.parametrize(("precision", "seed"), [("full", 17), ("diag", 15)])
    def test_float32_is_as_good(self, precision, seed):
        """Seen red with sums in float32: R^2 below 0."""
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(2500, 6))
        y = np.sin(2.0 * rows[:, 0]) + rows[:, 1] * rows[:, 2]
        y += 0.1 * rng.normal(size=2500)
        fitted = GaussianRBFRegressor(precision=precision, random_state=0)

        scores = [
            fitted.fit(Z[:500], y[:500]).score(Z[500:], y[500:])
            for Z in (rows, rows.astype(np.float32))
        ]

        assert scores[1] > scores[0] - 0.01
        fitted.set_params(objective="ridge", alpha=1e-12)
        fitted.fit(X.astype(np.float32), Y)

    def test_far_queries(self):
        fitted = model().fit(X, Y)

        for far in (1e6, 1e200, 1e307):
            mean, std = fitted.predict(np.full((1, 6), far), return_std=True)
            assert mean[0] == pytest.approx(fitted.intercept_)
            assert np.isfinite(std[0])

    @pytest.mark.parametrize("kernel", PROFILES)
    def test_gradient_far_away(self, kernel):
        """Seen red with the least exponent, which has a slope."""
        fitted = model(kernel=kernel).fit(X, Y)

        assert not fitted.gradient(Q[:2] * 1e46).any()
        assert not fitted.gradient(Q[:2] * 1e90).any()

    def test_variance_overflows_in_silence(self):
        fitted = model(max_iter=5, tol=1.0).fit(X, Y * 1e200)

        assert fitted.sigma2_ == np.inf
        np.testing.assert_allclose(
            fitted.predict(Q) / 1e200,
            model(max_iter=5, tol=1.0).fit(X, Y).predict(Q),
            rtol=1e-6,
        )

    @pytest.mark.filterwarnings("ignore:The objective still fell")
    def test_huge_and_tiny_numbers(self):
        expected = model(max_iter=5).fit(X, Y).predict(Q)
        for scale in (1e-300, 1e150):
            got = model(max_iter=5).fit(X * scale, Y * scale).predict(Q * scale)
            np.testing.assert_allclose(got / scale, expected, rtol=1e-6)

    def test_wrong_centers(self):
        with pytest.raises(ValueError, match=r"The 'centers' parameter .+ \(3, 2\)"):
            model(centers=np.ones((3, 2))).fit(X, Y)
        with pytest.raises(ValueError, match=r"'centers' parameter .+ far from"):
            model(centers=CENTERS * 1e60).fit(X, Y)
        with pytest.raises(ValueError, match=r"'centers' parameter .+ far from"):
            model(centers=CENTERS * 1e9, dtype="float32").fit(X, Y)
        with pytest.raises(ValueError, match="NaN"):
            model(centers=np.full((3, 6), np.nan)).fit(X, Y)


class TestState:
    """What a fitted model is as an object."""

    @each_kind
    def test_same_seed_same_bits(self, precision):
        fitted = model(precision=precision).fit(X, Y)
        expected = fitted.predict(Q)

        again = clone(fitted).set_params(n_jobs=2).fit(X, Y)

        np.testing.assert_array_equal(again.predict(Q), expected)
        copied = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(copied.predict(Q), expected)
        np.testing.assert_array_equal(fitted.fit(X, Y).predict(Q), expected)

    def test_threads_do_not_matter(self):
        params = {"precision": "auto", "n_restarts": 2, "max_iter": 5, "tol": 1.0}

        one, two = (model(n_jobs=n, **params).fit(X, Y) for n in (1, 2))

        np.testing.assert_array_equal(one.predict(Q), two.predict(Q))

    def test_rows_are_not_written_to(self):
        rows, targets = X.copy(), Y.copy()
        rows.flags.writeable = targets.flags.writeable = False

        fitted = model().fit(rows, targets)
        expected = fitted.predict(Q)
        fitted.centers_[:] = 0.0

        np.testing.assert_array_equal(fitted.predict(Q), expected)

    def test_warning_names_the_parameter(self):
        """Seen red with no warning."""
        with pytest.warns(ConvergenceWarning, match="max_iter=2"):
            model(max_iter=2, tol=0.0).fit(X, Y)


class TestAccuracy:
    """Known functions are found."""

    def test_friedman(self):
        rows, y = make_friedman1(n_samples=1000, noise=1.0, random_state=1)
        fitted = GaussianRBFRegressor(random_state=0).fit(rows[:500], y[:500])

        assert fitted.score(rows[500:], y[500:]) >= 0.94
        assert set(fitted.feature_importances_.argsort()[-5:]) == set(range(5))
        assert set(fitted.precision_.diagonal().argsort()[-5:]) == set(range(5))

    @pytest.mark.parametrize("precision", ["low_rank", "full"])
    def test_ridge_function(self, precision):
        rows, y, direction = ridge_function(1300, 10, seed=0)
        fitted = GaussianRBFRegressor(precision=precision, random_state=0)
        fitted.fit(rows[:300], y[:300])

        assert fitted.score(rows[300:], y[300:]) >= 0.95
        first, other = (
            fitted.active_subspace(kind)[1][:, 0] for kind in ("agop", "precision")
        )
        direction = (
            direction * fitted.scale_ / np.linalg.norm(direction * fitted.scale_)
        )
        assert degrees(first, direction) <= 2.0
        assert degrees(other, direction) <= 10.0

    def test_axes_do_not_see_a_slanted_direction(self):
        rows, y, _ = ridge_function(1300, 10, seed=0)
        fitted = GaussianRBFRegressor(precision="diag", random_state=0)
        fitted.fit(rows[:300], y[:300])

        assert fitted.score(rows[300:], y[300:]) < 0.9

    def test_interaction(self):
        rng = np.random.default_rng(2)
        rows = rng.normal(size=(1500, 20))
        y = rows[:, 0] * rows[:, 1] + np.sin(rows[:, 2]) + 0.2 * rng.normal(size=1500)
        fitted = GaussianRBFRegressor(random_state=0).fit(rows[:500], y[:500])

        assert fitted.score(rows[500:], y[500:]) >= 0.93
        assert set(fitted.feature_importances_.argsort()[-3:]) == {0, 1, 2}

    def test_diabetes(self):
        """The mean of five splits that no default was chosen on."""
        rows, y = load_diabetes(return_X_y=True)
        scores = []
        for seed in range(8, 13):
            a, b, c, d = train_test_split(rows, y, test_size=0.2, random_state=seed)
            scores.append(GaussianRBFRegressor(random_state=0).fit(a, c).score(b, d))

        assert np.mean(scores) >= 0.38
