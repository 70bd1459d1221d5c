"""The regressor: known answers, peers, identities and edge cases."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from kernelkit.design import continuous, least_squares
from kernelkit.design.bases import FourierBasis, HermiteBasis, LegendreBasis
from kernelkit.design.least_squares import DesignLeastSquares
from kernelkit.design.orthonormal_basis import OrthonormalBasis
from kernelkit.design.samplers import draw_design

RNG = np.random.default_rng(0)
X = RNG.standard_t(3, size=(300, 3))
Y = np.sin(X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(300)
WEIGHTS = RNG.uniform(size=300)

SAMPLINGS = ("dpp_repeat", "dpp", "gvs", "volume", "iid", "uniform", "qr")
each_sampling = pytest.mark.parametrize("sampling", SAMPLINGS)


def model(features=None, **params):
    return DesignLeastSquares(features, **{"random_state": 0, **params})


def n_samples_of(sampling):
    return "auto" if sampling in ("dpp_repeat", "dpp") else 20


def only(rows, y):
    """Forget all labels but those of some rows."""
    known = np.full_like(y, np.nan)
    known[rows] = y[rows]
    return known


class TestSelection:
    """The rows depend on X, weights, parameters and random_state, never on y."""

    @each_sampling
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    def test_fit_uses_the_selected_rows(self, sampling, weights):
        """Seen red with a `fit` that draws from another stream than `select`."""
        regressor = model(sampling=sampling, n_samples=n_samples_of(sampling))

        rows = regressor.select(X, weights).indices
        regressor.fit(X, only(rows, Y), weights)

        np.testing.assert_array_equal(regressor.design_.indices, rows)
        assert regressor.n_labels_ == len(rows) < 300
        assert np.isfinite(regressor.predict(X)).all()

    def test_other_targets_have_no_influence(self):
        """Seen red with a mean of all targets subtracted."""
        regressor = model()
        rows = regressor.select(X).indices
        other = np.where(np.isin(np.arange(300), rows), Y, 1e9)

        np.testing.assert_array_equal(
            regressor.fit(X, other).coef_, model().fit(X, Y).coef_
        )

    def test_targets_do_not_move_the_rows(self):
        rows = model().fit(X, Y).design_.indices

        np.testing.assert_array_equal(model().fit(X, Y[::-1]).design_.indices, rows)

    def test_unlabelled_rows_are_listed(self):
        """Seen red with positions among the selected rows."""
        regressor = model(n_samples=15)
        rows = regressor.select(X).indices
        y = only(rows, Y)
        y[rows[[2, 5]]] = np.nan

        with pytest.raises(ValueError, match=rf"NaN.*\[{rows[2]}, {rows[5]}\]"):
            regressor.fit(X, y)

    def test_one_unknown_output_is_enough(self):
        y = np.column_stack([Y, Y])
        row = model().select(X).indices[0]
        y[row, 1] = np.nan

        with pytest.raises(ValueError, match=rf"\[{row}\]"):
            model().fit(X, y)

    @pytest.mark.parametrize("seed", [None, np.random.default_rng(0)])
    def test_without_a_seed_fit_follows_the_last_select(self, seed):
        """Seen red with a fit that draws anew."""
        regressor = model(Nystroem(n_components=5), random_state=seed)
        regressor.select(X, WEIGHTS)
        rows = regressor.select(X, WEIGHTS).indices

        for _ in range(2):
            regressor.fit(X, only(rows, Y), WEIGHTS)
            np.testing.assert_array_equal(regressor.design_.indices, rows)

    @pytest.mark.parametrize(
        ("change", "rows", "weights"),
        [
            ({}, X, WEIGHTS),
            ({}, X[::-1], None),
            ({"n_samples": 30}, X, None),
            ({"features__degree": 3}, X, None),
        ],
    )
    def test_another_problem_is_drawn_anew(self, change, rows, weights):
        """Seen red with a fingerprint of `X` alone, and without `X`."""
        regressor = model(PolynomialFeatures(2), random_state=None)
        chosen = regressor.select(X).indices

        regressor.set_params(**change).fit(rows, Y, weights)

        other = regressor.design_.indices
        assert not np.array_equal(other, chosen)

    def test_a_transformer_that_was_fitted_in_between(self):
        """Seen red with a fingerprint of what the transformer had learned."""
        basis = LegendreBasis(2)
        regressor = model(basis, random_state=None)
        rows = regressor.select(X).indices
        basis.fit(X)

        regressor.fit(X, only(rows, Y))

        np.testing.assert_array_equal(regressor.design_.indices, rows)

    @pytest.mark.parametrize("named", [False, True])
    @pytest.mark.parametrize("seed", [0, None])
    @pytest.mark.parametrize(
        "features", [LegendreBasis(2), OrthonormalBasis(StandardScaler())]
    )
    def test_rows_without_weight_are_as_absent(self, features, seed, named):
        """Seen red with features fitted to all rows."""
        weights = np.where(np.abs(X).max(axis=1) < 2.0, 1.0 + X[:, 0] ** 2, 0.0)
        heavy = np.flatnonzero(weights)
        rows = pd.DataFrame(X, columns=list("abc")) if named else X
        regressor = model(features, random_state=seed, n_samples=30, delta=None)

        chosen = regressor.select(rows, weights).indices
        regressor.fit(rows, only(chosen, Y), weights)

        np.testing.assert_array_equal(regressor.design_.indices, chosen)
        assert weights[chosen].all()
        if seed is not None:
            without = model(features, n_samples=30, delta=None).fit(
                X[heavy], Y[heavy], weights[heavy]
            )
            np.testing.assert_array_equal(heavy[without.design_.indices], chosen)
            np.testing.assert_allclose(without.coef_, regressor.coef_, rtol=1e-10)

    def test_all_rows_are_taken_without_draws(self, monkeypatch):
        """Seen red with a draw of all rows, which was not used."""
        methods = []

        def spy(source, n_samples, method, **params):
            methods.append(method)
            return draw_design(source, n_samples, method, **params)

        monkeypatch.setattr(least_squares, "draw_design", spy)

        model(sampling="iid", n_samples=300).fit(X, Y)

        assert methods == ["volume"]
        with pytest.raises(ValueError, match="draws m = 4 points"):
            model(sampling="dpp", n_samples=300).fit(X, Y)

    def test_a_transformer_that_cannot_be_pickled(self):
        regressor = model(FunctionTransformer(lambda X: X**2), random_state=None)
        rows = regressor.select(X).indices

        assert regressor.fit(X, only(rows, Y)).n_labels_ == len(rows)

    def test_select_leaves_an_unfitted_estimator_unfitted(self):
        """Seen red with `select` setting `n_features_in_`."""
        regressor = model(random_state=None)

        regressor.select(X)

        with pytest.raises(NotFittedError):
            regressor.predict(X)

    def test_select_leaves_a_fitted_estimator_as_it_is(self):
        regressor = model().fit(X, Y)
        before = regressor.predict(X)

        regressor.select(X[:, :2])

        np.testing.assert_array_equal(regressor.predict(X), before)

    @pytest.mark.parametrize("random_state", [0, 5])
    def test_unseeded_features_follow_random_state(self, random_state):
        """Seen red with the transformer left to draw by itself."""
        fits = [
            model(
                make_pipeline(StandardScaler(), Nystroem(n_components=8)),
                random_state=random_state,
            ).fit(X, Y)
            for _ in range(2)
        ]

        np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)

    def test_threads_do_not_change_a_bit(self):
        one = model(n_jobs=1, n_boost=3).fit(X, Y)
        four = model(n_jobs=4, n_boost=3).fit(X, Y)

        np.testing.assert_array_equal(one.design_.indices, four.design_.indices)
        np.testing.assert_array_equal(one.coef_, four.coef_)

    def test_rows_without_weight_are_never_selected(self):
        weights = np.where(X[:, 0] > 0, 1.0, 0.0)
        y = np.where(X[:, 0] > 0, Y, np.nan)

        regressor = model().fit(X, y, weights)

        assert (X[regressor.design_.indices, 0] > 0).all()
        assert np.isfinite(regressor.predict(X)).all()

    def test_columns_of_any_unit_give_the_same_rows(self):
        """Seen red with the centre rounded to float32."""
        scales, shifts = [1e-150, 1e3, 1e140], [0.0, -1e5, 0.0]

        moved = model().fit(X * scales + shifts, Y)

        plain = model().fit(X, Y)
        np.testing.assert_array_equal(moved.design_.indices, plain.design_.indices)
        np.testing.assert_allclose(
            moved.predict(X * scales + shifts), plain.predict(X), rtol=1e-8
        )


class TestFit:
    """What is fitted, given the rows."""

    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    @pytest.mark.parametrize("fit_intercept", [True, False])
    @pytest.mark.parametrize("y", [Y, np.column_stack([Y, 1e100 * Y, 1e-100 * Y])])
    def test_all_rows_are_linear_regression(self, y, fit_intercept, weights):
        """Seen red with the weights left out, and their roots for them."""
        got = model(n_samples=None, fit_intercept=fit_intercept).fit(X, y, weights)

        peer = LinearRegression(fit_intercept=fit_intercept).fit(X, y, weights)
        assert got.coef_.shape == peer.coef_.shape
        np.testing.assert_allclose(got.coef_, peer.coef_, rtol=1e-9)
        np.testing.assert_allclose(got.intercept_, peer.intercept_, rtol=1e-9)
        np.testing.assert_allclose(got.predict(X), peer.predict(X), rtol=1e-9)

    @pytest.mark.parametrize("sampling", ["dpp_repeat", "iid", "uniform"])
    def test_a_design_of_all_rows_is_linear_regression(self, sampling):
        """Seen red with the weights of the draws."""
        few, y, weights = X[:12], Y[:12], WEIGHTS[:12]

        got = model(sampling=sampling, n_samples=12).fit(few, y, weights)

        peer = LinearRegression().fit(few, y, weights)
        np.testing.assert_allclose(got.predict(X), peer.predict(X), rtol=1e-9)
        assert got.lambda_min_ == pytest.approx(1.0)

    def test_it_is_weighted_least_squares_on_the_rows(self):
        """Seen red with the weights of the design left out."""
        regressor = model(PolynomialFeatures(2)).fit(X, Y)

        design = regressor.design_
        rows = design.indices
        F = PolynomialFeatures(2).fit_transform(X)
        roots = np.sqrt(design.weights)
        coef, *_ = np.linalg.lstsq(roots[:, None] * F[rows], roots * Y[rows])
        np.testing.assert_allclose(regressor.predict(X), F @ coef, rtol=1e-8)
        np.testing.assert_allclose(regressor.coef_[1:], coef[1:], rtol=1e-7)
        assert regressor.coef_[0] == 0.0  # the intercept has it
        assert regressor.intercept_ == pytest.approx(coef[0], rel=1e-7)

    @each_sampling
    @pytest.mark.parametrize("fit_intercept", [True, False])
    def test_a_target_in_the_span_is_recovered(self, sampling, fit_intercept):
        regressor = model(
            PolynomialFeatures(2, include_bias=False),
            sampling=sampling,
            n_samples=n_samples_of(sampling),
            fit_intercept=fit_intercept,
            delta=None,
        )
        y = X[:, 0] * X[:, 1] - 3.0 * X[:, 2] ** 2 + fit_intercept

        regressor.fit(X, y)

        assert regressor.lambda_min_ > 1e-6
        error = np.abs(regressor.predict(X) - y).max()
        assert error < 1e-9 * np.abs(y).max()

    def test_measures_of_stability(self):
        """Seen red with the sum over rows for the mean over draws."""
        regressor = model(count="draws").fit(X[:15], Y[:15], WEIGHTS[:15])

        design, masses = regressor.design_, WEIGHTS[:15] / WEIGHTS[:15].sum()
        assert design.n_draws > design.n_labels
        F = np.column_stack([np.ones(15), X[:15]])
        R = np.linalg.qr(np.sqrt(masses)[:, None] * F, mode="r")
        phi = F[design.indices] @ np.linalg.inv(R)
        G = phi.T @ (design.weights[:, None] * phi) / design.n_draws
        values = np.linalg.eigvalsh(G)
        assert regressor.rank_ == 4
        assert regressor.lambda_min_ == pytest.approx(values[0], rel=1e-10)
        assert regressor.lambda_min_ == pytest.approx(design.lambda_min, rel=1e-10)
        assert regressor.lambda_min_ >= 0.5
        assert regressor.condition_number_ == pytest.approx(
            np.sqrt(values[-1] / values[0]), rel=1e-10
        )

    @pytest.mark.parametrize("y", [Y, np.column_stack([1e-100 * Y, Y[::-1]])])
    def test_error_of_leaving_out_is_that_of_fits_without(self, y):
        """Seen red without the share of the row that the others determine."""
        regressor = model(n_samples=12).fit(X, y)

        design = regressor.design_
        rows, roots = design.indices, np.sqrt(design.weights)
        F = np.column_stack([np.ones(300), X])[rows] * roots[:, None]
        b = (roots * y[rows].T).T
        errors = []
        for i in range(len(rows)):
            others = np.arange(len(rows)) != i
            coef, *_ = np.linalg.lstsq(F[others], b[others])
            errors.append(b[i] - F[i] @ coef)
        scale = np.abs(y).max(axis=0)
        expected = np.square(np.array(errors) / scale).sum(axis=0) / design.n_draws
        got = regressor.loo_error_ / scale / scale
        np.testing.assert_allclose(got, expected, rtol=1e-6)

    def test_interpolation_says_nothing_of_its_error(self):
        regressor = model(sampling="dpp", delta=None).fit(X, Y)

        assert regressor.n_labels_ == 4
        assert regressor.loo_error_ == np.inf

    def test_targets_of_any_size(self):
        sizes = 2.0 ** np.array([0, 900, -900])

        regressor = model().fit(X, Y[:, None] * sizes)

        coef = regressor.coef_ / sizes[:, None]
        np.testing.assert_array_equal(coef, np.tile(coef[0], (3, 1)))
        loo_error = model().fit(X, Y).loo_error_
        assert regressor.loo_error_.tolist() == pytest.approx([loo_error, np.inf, 0.0])

    @pytest.mark.parametrize(("size", "y"), [(5e-324, 1.0), (1e-20, 1e300)])
    def test_coefficients_that_overflow_are_refused(self, size, y):
        """Seen red without the check: infinity, and predictions of NaN."""
        steps = np.arange(20.0)

        with pytest.raises(ValueError, match="Coefficients overflow"):
            model().fit(size * steps[:, None], y * (steps % 3))

    def test_predictions_that_overflow_are_refused(self):
        regressor = model().fit(X, 1e200 * Y)

        with pytest.raises(ValueError, match="overflow so far from the training rows"):
            regressor.predict(1e200 * X)

    def test_constant_target(self):
        """Seen red without subtracting a target first."""
        regressor = model().fit(X, np.full(300, 0.1))

        assert set(regressor.predict(X)) == {0.1}
        assert regressor.loo_error_ == 0.0

    def test_far_from_zero(self):
        """Seen red without centring the features first."""
        far = 1e8 + 1e-4 * np.arange(200.0)[:, None]
        y = 1e8 + np.arange(200.0) + np.arange(200.0) % 7

        steps = far - far[0]  # exact
        expected = model(n_samples=None).fit(steps, y - 1e8).predict(steps)
        got = model(n_samples=None).fit(far, y).predict(far)
        np.testing.assert_allclose(got - 1e8, expected, rtol=1e-6)

    def test_repeated_draws_are_one_label(self):
        regressor = model(count="draws", sampling="iid", n_samples=60).fit(
            X[:20], Y[:20]
        )

        assert regressor.design_.n_draws == 60
        assert regressor.n_labels_ <= 20

    def test_few_labels(self):
        regressor = model(PolynomialFeatures(2), reduce_to=1.2).fit(X, Y)

        assert regressor.n_labels_ == 12
        assert regressor.rank_ == 10


class TestFeatures:
    """Any transformer makes features."""

    def test_sparse_features(self):
        colours = np.arange(60)[:, None] % 3
        regressor = model(OneHotEncoder(), fit_intercept=False)

        regressor.fit(colours, 10.0 * colours[:, 0])

        np.testing.assert_allclose(regressor.predict([[0], [2]]), [0, 20], atol=1e-12)

    def test_named_columns(self):
        frame = pd.DataFrame(X, columns=["a", "b", "c"])
        squares = make_column_transformer((PolynomialFeatures(2), ["b"]))

        regressor = model(squares).fit(frame, X[:, 1] ** 2)

        assert regressor.rank_ == 3
        np.testing.assert_allclose(
            regressor.predict(frame), X[:, 1] ** 2, atol=1e-9, rtol=1e-9
        )

    def test_a_frozen_transformer_is_kept(self):
        """Seen red with a fit to rows without targets, which a frozen one refuses."""
        scaler = StandardScaler().fit(X + 7.0)

        regressor = model(FrozenEstimator(scaler)).fit(X, Y)

        np.testing.assert_array_equal(
            regressor.features_.transform(X), scaler.transform(X)
        )

    @pytest.mark.parametrize(
        "features",
        [
            LegendreBasis(2),
            OrthonormalBasis(Nystroem(n_components=10, gamma=0.1, random_state=0)),
        ],
    )
    def test_bases(self, features):
        """A constant among the features and an intercept are one."""
        regressor = model(features).fit(X, Y)

        assert regressor.rank_ in (10, 11)
        assert regressor.score(X, Y) > 0.3

    def test_features_that_are_not_finite(self):
        with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="features"):
            model(FunctionTransformer(np.log)).fit(X, Y)

    def test_search_over_designs(self):
        pipeline = make_pipeline(StandardScaler(), model(PolynomialFeatures()))

        search = GridSearchCV(
            pipeline,
            {
                "designleastsquares__features__degree": [1, 2],
                "designleastsquares__sampling": ["dpp_repeat", "volume"],
                "designleastsquares__n_samples": [40],
            },
            cv=3,
        ).fit(X, Y)

        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.best_estimator_[-1].n_labels_ == 40

    def test_pickle(self):
        regressor = model(PolynomialFeatures(2)).fit(X, Y)

        copy = pickle.loads(pickle.dumps(regressor))

        np.testing.assert_array_equal(copy.predict(X), regressor.predict(X))


class TestEdges:
    """Little, odd or wrong input."""

    def test_one_row(self):
        regressor = model().fit([[1.0, 2.0]], [3.0])

        assert regressor.predict([[1.0, 2.0], [0.0, 9.0]]).tolist() == [3.0, 3.0]

    def test_equal_rows(self):
        regressor = model(n_samples=3).fit(np.full((6, 2), 0.1), np.arange(6.0))

        assert regressor.rank_ == 1
        design = regressor.design_
        mean = np.average(design.indices, weights=design.weights)
        assert regressor.predict([[0.1, 0.1]]) == pytest.approx([mean])

    def test_constant_column_is_no_direction(self):
        """Seen red with the constant column centred, not left out."""
        regressor = model().fit(np.column_stack([np.full(300, 0.1), X]), Y)

        assert regressor.rank_ == 4
        assert regressor.coef_[0] == 0.0
        np.testing.assert_allclose(regressor.coef_[1:], model().fit(X, Y).coef_)

    def test_dependent_features_are_told_and_harmless(self):
        doubled = np.column_stack([X, X[:, 0] + 2.0 * X[:, 1]])

        with pytest.warns(UserWarning, match="1 of 5 depend linearly"):
            regressor = model().fit(doubled, Y)

        assert regressor.rank_ == 4
        np.testing.assert_allclose(
            regressor.predict(doubled), model().fit(X, Y).predict(X), rtol=1e-8
        )

    def test_more_features_than_rows(self):
        wide = RNG.standard_normal((5, 9))

        with pytest.warns(UserWarning, match="have rank 5"):
            regressor = model().fit(wide, Y[:5])

        np.testing.assert_allclose(regressor.predict(wide), Y[:5])
        assert regressor.n_labels_ == 5

    def test_an_outlier_is_in_every_block(self):
        far = X.copy()
        far[7] = 1e6

        for seed in range(5):
            regressor = model(random_state=seed).fit(far, Y)
            assert 7 in regressor.design_.indices
            assert np.isfinite(regressor.predict(far)).all()

    def test_duplicates_are_no_trouble(self):
        twice, y = np.repeat(X[:40], 3, axis=0), np.repeat(X[:40, 0], 3)

        np.testing.assert_allclose(model().fit(twice, y).predict(twice), y, atol=1e-12)

    @pytest.mark.parametrize("sampling", ["dpp_repeat", "uniform", "iid", "volume"])
    def test_fewer_rows_than_features_are_refused(self, sampling):
        with pytest.raises(ValueError, match=r"n_samples=3 .* m = 4"):
            model(sampling=sampling, n_samples=3).fit(X, Y)

    @pytest.mark.parametrize("sampling", ["dpp_repeat", "uniform", "iid", "volume"])
    def test_more_rows_than_there_are_are_refused(self, sampling):
        with pytest.raises(ValueError, match="n_samples=301 different rows"):
            model(sampling=sampling, n_samples=301).fit(X, Y)

    def test_an_unstable_design_is_told(self):
        with pytest.warns(ConvergenceWarning, match="No design"):
            model(sampling="uniform", n_samples=4, delta=0.1, max_resample=3).fit(X, Y)

    @pytest.mark.parametrize(
        ("params", "words"),
        [
            ({"delta": 1.0}, "'delta'"),
            ({"zeta": 1.5, "sampling": "gvs", "n_samples": 9}, "zeta"),
            ({"n_samples": 0}, "'n_samples' parameter of DesignLeastSquares"),
            ({"sampling": "best"}, "'sampling' parameter of DesignLeastSquares"),
            ({"zeta": -0.5}, "'zeta' parameter of DesignLeastSquares"),
            ({"rank_tol": 1.0}, "'rank_tol' parameter of DesignLeastSquares"),
        ],
    )
    def test_wrong_parameters_are_named(self, params, words):
        with pytest.raises(ValueError, match=words):
            model(**params).select(X)

    @pytest.mark.parametrize(
        ("y", "words"),
        [
            (np.where(Y > 0, np.inf, Y), "infinity"),
            (Y + 1j, "[Cc]omplex"),
            (Y[:-1], "inconsistent numbers of samples"),
            (None, "requires y to be passed"),
            (["low"] * 300, "could not convert|string"),
        ],
    )
    def test_wrong_targets(self, y, words):
        with pytest.raises(ValueError, match=words):
            model().fit(X, y)

    @pytest.mark.parametrize("unknown", [np.nan, None, pd.NA])
    def test_unknown_targets_come_in_any_form(self, unknown):
        rows = model().select(X).indices
        y = [value if i in rows else unknown for i, value in enumerate(Y)]
        targets = pd.Series(y, dtype="Float64") if unknown is pd.NA else y

        np.testing.assert_array_equal(
            model().fit(X, targets).coef_, model().fit(X, Y).coef_
        )

    def test_sparse_rows_are_refused(self):
        with pytest.raises(TypeError, match="parse"):
            model().fit(sparse.csr_array(X), Y)

    def test_single_precision(self):
        regressor = model().fit(X.astype(np.float32), Y.astype(np.float32))

        predicted = regressor.predict(X.astype(np.float32))
        assert predicted.dtype == np.float64
        np.testing.assert_allclose(predicted, model().fit(X, Y).predict(X), rtol=1e-4)


def cubic(points):
    x, y = points.T
    return x**3 - x * y + 2.0


PLANE = LegendreBasis(3, bounds=[(0.0, 2.0), (-1.0, 5.0)])
QUERIES = np.random.default_rng(1).uniform([0.0, -1.0], [2.0, 5.0], (50, 2))


class TestFunctions:
    """Points of a domain, chosen and evaluated."""

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"sampling": "dpp"},
            {"sampling": "gvs", "n_samples": 15, "delta": None},
            {"sampling": "iid", "n_samples": 60},
            {"sampling": "uniform", "n_samples": 100},
            {"sampling": "mixture", "zeta": 0.5, "n_samples": 60},
            {"reduce_to": 1.3},
            {"n_boost": 3},
        ],
    )
    def test_a_function_in_the_span_is_recovered(self, params):
        regressor = model(**{"delta": 0.9, **params}).fit_function(cubic, PLANE)

        np.testing.assert_allclose(regressor.predict(QUERIES), cubic(QUERIES))
        assert regressor.n_features_in_ == 2
        assert regressor.rank_ == 10
        assert regressor.n_labels_ == len(regressor.design_.points)

    def test_features_are_the_basis(self):
        regressor = model(PLANE, n_samples=25, delta=None).fit_function(cubic)

        assert regressor.n_labels_ == 25
        np.testing.assert_allclose(regressor.predict(QUERIES), cubic(QUERIES))
        assert model(PLANE).fit_function(cubic, n_samples=31).n_labels_ == 31

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_one_point_at_a_time(self, n_jobs):
        """Seen red with the values in the order of the threads."""
        regressor = model(n_jobs=n_jobs)

        regressor.fit_function(
            lambda point: cubic(point[None])[0], PLANE, vectorized=False
        )

        expected = model().fit_function(cubic, PLANE)
        np.testing.assert_array_equal(regressor.coef_, expected.coef_)

    def test_several_outputs(self):
        def both(points):
            return np.column_stack([cubic(points), points[:, 0]])

        regressor = model().fit_function(both, PLANE)

        np.testing.assert_allclose(regressor.predict(QUERIES), both(QUERIES))
        assert regressor.coef_.shape == (2, 10)
        assert regressor.intercept_.tolist() == [0.0, 0.0]
        assert regressor.loo_error_.shape == (2,)

    def test_a_function_may_spoil_its_argument(self):
        def spoil(points):
            values = cubic(points)
            points[:] = np.nan
            return values

        regressor = model().fit_function(spoil, PLANE)

        assert np.isfinite(regressor.design_.points).all()

    @pytest.mark.parametrize(
        ("f", "words"),
        [
            (lambda points: points[:3, 0], r"return shape \(20,\).*Got \(3,\)"),
            (lambda points: 1.0, r"Got \(\) instead: pass vectorized=False"),
            (lambda points: points[None], r"Got \(1, 20, 2\)"),
            (lambda points: points[:, 0] + 1j, "numbers. Got dtype complex"),
            (lambda points: ["high"] * 20, "numbers. Got dtype"),
            (
                lambda points: np.where(np.arange(20) > 12, np.nan, 0.0),
                r"Got nan at point 13, \[.*7 of 20 points",
            ),
        ],
    )
    def test_what_a_function_may_not_return(self, f, words):
        """Seen red with the position among the wrong points."""
        with pytest.raises(ValueError, match=words):
            model(n_samples=20, delta=None).fit_function(f, PLANE)

    def test_what_a_function_of_a_point_may_not_return(self):
        def ragged(point):
            return [0.0] if point[0] < 1.0 else [0.0, 1.0]

        with pytest.raises(ValueError, match=r"Got shape \(.*\) at point \d+, \["):
            model().fit_function(ragged, PLANE, vectorized=False)

    def test_errors_of_the_function_pass(self):
        with pytest.raises(ZeroDivisionError):
            model().fit_function(lambda point: 1 / 0, PLANE, vectorized=False)

    def test_high_degree_on_the_line(self):
        """Points as far out as 15: weights and fit stay finite."""
        basis = HermiteBasis(100, loc=[0.0], scale=[1.0])

        regressor = model(n_samples=250, delta=None).fit_function(
            lambda points: np.cos(points[:, 0]), basis
        )

        assert np.abs(regressor.design_.points).max() > 15.0
        assert (regressor.design_.weights > 0.0).all()
        assert regressor.lambda_min_ > 0.1
        x = np.linspace(-5.0, 5.0, 50)[:, None]
        np.testing.assert_allclose(regressor.predict(x), np.cos(x[:, 0]), atol=1e-9)

    def test_on_the_circle_optimal_weights_are_one(self):
        basis = FourierBasis(3, bounds=[(0.0, 1.0)])

        regressor = model().fit_function(
            lambda points: np.sin(6.0 * np.pi * points[:, 0]), basis
        )

        np.testing.assert_allclose(regressor.design_.weights, 1.0)
        np.testing.assert_allclose(regressor.coef_[-1], np.sqrt(0.5))

    @pytest.mark.parametrize(
        "basis",
        [
            OrthonormalBasis(PolynomialFeatures(3)),
            PolynomialFeatures(3),
            PolynomialFeatures(3).fit(QUERIES),
        ],
    )
    def test_any_transformer_on_a_measure(self, basis):
        """Seen red with the coefficients of the orthonormal functions."""

        def triangle(n, rng):
            points = rng.uniform(size=(n, 2))
            points.sort(axis=1)
            return points

        regressor = model().fit_function(cubic, basis, measure=triangle)

        inside = triangle(50, np.random.default_rng(5))
        np.testing.assert_allclose(regressor.predict(inside), cubic(inside))
        points = regressor.design_.points
        assert (points[:, 0] <= points[:, 1]).all()
        assert regressor.design_.indices is None

    def test_a_density_changes_the_law(self):
        """Seen red with the density left out."""
        regressor = model(n_samples=100).fit_function(
            cubic, PLANE, density=lambda points: np.where(points[:, 0] < 1.0, 9.0, 0.0)
        )

        assert (regressor.design_.points[:, 0] < 1.0).all()
        np.testing.assert_allclose(regressor.predict(QUERIES), cubic(QUERIES))

    def test_a_measure_replaces_the_law_of_a_basis(self):
        regressor = model().fit_function(
            cubic,
            PLANE,
            measure=lambda n, rng: rng.uniform([0.0, 4.0], [2.0, 5.0], (n, 2)),
        )

        assert (regressor.design_.points[:, 1] >= 4.0).all()

    def test_kernel_approximation_on_a_measure(self):
        basis = OrthonormalBasis(Nystroem(gamma=1.0, n_components=25))

        regressor = model().fit_function(
            lambda points: np.cos(points.sum(axis=1)),
            basis,
            measure=lambda n, rng: rng.uniform(-1.0, 1.0, (n, 2)),
        )

        queries = np.random.default_rng(3).uniform(-1.0, 1.0, (200, 2))
        errors = regressor.predict(queries) - np.cos(queries.sum(axis=1))
        assert np.sqrt(np.mean(errors**2)) < 0.02  # the function's is 0.7

    @pytest.mark.parametrize("basis", [PolynomialFeatures(2), None])
    def test_a_measure_has_to_be_known(self, basis):
        with pytest.raises(ValueError, match="measure"):
            model().fit_function(cubic, basis)

    def test_bounds_have_to_be_known(self):
        with pytest.raises(ValueError, match="bounds"):
            model().fit_function(cubic, LegendreBasis(3))

    def test_a_fitted_basis_knows_its_domain(self):
        regressor = model().fit_function(cubic, LegendreBasis(3).fit(QUERIES))

        np.testing.assert_allclose(regressor.predict(QUERIES), cubic(QUERIES))

    @pytest.mark.parametrize(
        ("basis", "params"),
        [
            (LegendreBasis(1), {"features__degree": 3}),
            (LegendreBasis(3), {"features__bounds": [(0.0, 1.0), (0.0, 1.0)]}),
            (FourierBasis(1), {"features__index_set": "tensor"}),
            (HermiteBasis(1), {"features__degree": 3, "features__scale": 2.0}),
        ],
    )
    @pytest.mark.parametrize(
        "measure", [None, lambda n, rng: rng.uniform(0.1, 0.9, size=(n, 2))]
    )
    def test_parameters_count_that_changed_after_the_fit_of_a_basis(
        self, basis, params, measure
    ):
        """Seen red with the functions of the parameters before."""
        regressor = model(clone(basis).fit(QUERIES)).set_params(**params)

        regressor.fit_function(cubic, measure=measure)

        changed = regressor.features_
        bare = {name.split("__")[1]: value for name, value in params.items()}
        expected = clone(basis).set_params(**bare).fit(QUERIES)
        np.testing.assert_array_equal(changed.indices_, expected.indices_)
        np.testing.assert_array_equal(
            changed.domain.to_standard(QUERIES), expected.domain.to_standard(QUERIES)
        )

    @pytest.mark.parametrize(
        ("basis", "measure"),
        [
            (LegendreBasis(3), None),
            (PolynomialFeatures(3), lambda n, rng: rng.uniform(size=(n, 2))),
        ],
    )
    def test_the_basis_remains_the_callers(self, basis, measure):
        """Seen red with the basis itself kept, and with warnings of missing names."""
        frame = pd.DataFrame(QUERIES, columns=["a", "b"])
        regressor = model().fit_function(cubic, basis.fit(frame), measure=measure)

        basis.set_params(degree=1).fit(100.0 + np.arange(6.0).reshape(3, 2))

        np.testing.assert_allclose(regressor.predict(QUERIES), cubic(QUERIES))

    def test_coordinates_are_features(self):
        """Seen red with a TypeError for None."""
        regressor = model().fit_function(
            lambda points: points @ [2.0, -3.0],
            measure=lambda n, rng: rng.uniform(size=(n, 2)),
        )

        np.testing.assert_allclose(regressor.coef_, [2.0, -3.0])

    @pytest.mark.parametrize("n_samples", ["all", 0, 20.0, True])
    def test_wrong_numbers_of_evaluations_are_named(self, n_samples):
        """Seen red without the check."""
        with pytest.raises(ValueError, match="'n_samples' argument"):
            model().fit_function(cubic, PLANE, n_samples)

    def test_dependent_features_are_told_once(self, monkeypatch):
        """Seen red with a warning for every number of points."""
        monkeypatch.setattr(continuous, "_MOST_POINTS", 2048)
        twice = FeatureUnion(
            [("one", PolynomialFeatures(2)), ("two", PolynomialFeatures(1))]
        )

        with pytest.warns(UserWarning, match="depend linearly") as caught:
            regressor = model().fit_function(
                cubic, twice, measure=lambda n, rng: rng.uniform(size=(n, 2))
            )

        assert regressor.rank_ == 6
        assert len(caught) == 1

    def test_coefficients_that_overflow_are_refused(self):
        """Seen red with a warning of numpy instead."""
        with pytest.raises(ValueError, match="Coefficients overflow"):
            model().fit_function(
                lambda points: 1e300 * (1.0 + np.sin(9.0 * points[:, 0])),
                measure=lambda n, rng: rng.uniform(0.0, 1e-20, size=(n, 1)),
            )

    def test_names_of_an_earlier_fit_are_forgotten(self):
        regressor = model().fit(pd.DataFrame(X, columns=list("abc")), Y)

        regressor.fit_function(cubic, PLANE)

        assert not hasattr(regressor, "feature_names_in_")
        assert regressor.predict(QUERIES).shape == (50,)

    def test_a_failed_fit_leaves_the_first(self):
        regressor = model().fit(X, Y)
        before = regressor.predict(X)

        with pytest.raises(ValueError, match="finite"):
            regressor.fit_function(lambda points: points[:, 0] * np.nan, PLANE)

        np.testing.assert_array_equal(regressor.predict(X), before)
