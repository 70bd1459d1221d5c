"""The classifier: peers, identities, probabilities, paths, certificates, edge cases."""

import pickle

import numpy as np
import pytest
from reference.ntk import primal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.svm import NTKSVC

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 4))
TWO = np.where(X[:, 0] * X[:, 1] > 0.0, "same", "other")
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7])]
Q = RNG.standard_normal((50, 4))

TIGHT = {"tol": 1e-9, "gap_tol": 1e-11}
LOSSES = ["hinge", "squared_hinge", "logistic", "squared"]
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_scheme = pytest.mark.parametrize("multi_class", ["ovr", "ovo"])


def model(**params):
    return NTKSVC(**{"depth": 2, "sigma_b": 0.3, **params})


def scaled(load):
    rows, y = load(return_X_y=True)
    rows = rows / 16.0 if load is load_digits else StandardScaler().fit_transform(rows)
    order = np.random.default_rng(0).permutation(len(rows))[:600]
    return rows[order], y[order]


class TestMachines:
    """What is trained is what the documentation says."""

    @each_loss
    def test_values_are_sums_of_kernels(self, loss):
        """Seen red with the support vectors of the first machine only."""
        fitted = model(loss=loss).fit(X, THREE)

        K = NeuralTangent(depth=2, sigma_b=0.3)(Q, X)
        expected = K @ fitted.dual_coef_.T
        np.testing.assert_allclose(fitted.decision_function(Q), expected, atol=1e-10)
        assert fitted.predict(Q).tolist() == ["abc"[c] for c in expected.argmax(axis=1)]

    @each_loss
    @each_scheme
    def test_machine_is_that_of_two_classes(self, loss, multi_class):
        """One against the rest, or two of the classes.

        Seen red with the signs of pairs swapped.
        """
        params = {"loss": loss, "C": 2.0, **TIGHT}
        many = model(multi_class=multi_class, **params).fit(X, THREE)

        for coef, label in zip(many.dual_coef_, ["a", "b", "c"], strict=True):
            if multi_class == "ovr":
                rows, y = np.ones(90, bool), label == THREE
            else:
                low, high = {"a": "ab", "b": "ac", "c": "bc"}[label]
                rows = (low == THREE) | (high == THREE)
                y = THREE[rows] == high
            alone = model(**params).fit(X[rows], y)
            assert not coef[~rows].any()
            values = many.kernel_(Q, X) @ coef
            np.testing.assert_allclose(values, alone.decision_function(Q), atol=1e-5)

    @pytest.mark.parametrize(
        ("loss", "peer"),
        [
            ("hinge", LinearSVC(loss="hinge", fit_intercept=False)),
            ("squared_hinge", LinearSVC(fit_intercept=False)),
            ("logistic", LogisticRegression(fit_intercept=False, tol=1e-10)),
        ],
    )
    def test_linear_network_is_a_linear_model(self, loss, peer):
        """Seen red with C divided by the number of rows."""
        linear = NTKSVC(0, sigma_w=1.0, normalize=None, loss=loss, C=0.5, **TIGHT)
        peer = clone(peer).set_params(C=0.5, max_iter=1_000_000, tol=1e-9)

        got = linear.fit(X, TWO).decision_function(Q)

        expected = peer.fit(X, TWO).decision_function(Q)
        np.testing.assert_allclose(got, expected, atol=1e-5)

    @each_scheme
    def test_intercept_is_that_of_libsvm(self, multi_class):
        """Seen red without adding it to predictions."""
        y = THREE if multi_class == "ovo" else TWO
        params = {"fit_intercept": True, "multi_class": multi_class, "tol": 1e-8}
        fitted = model(**params, C=3.0).fit(X, y)
        kernel = NeuralTangent(depth=2, sigma_b=0.3)
        peer = SVC(kernel=kernel, C=3.0, tol=1e-8, decision_function_shape="ovo")

        peer.fit(X, y)

        got = fitted.kernel_(Q, X) @ fitted.dual_coef_.T + fitted.intercept_
        expected = peer.decision_function(Q).reshape(len(Q), -1)
        # libsvm's pairs are positive for the earlier class
        sign = -1.0 if multi_class == "ovo" else 1.0
        np.testing.assert_allclose(got, sign * expected, atol=1e-5)
        assert fitted.predict(Q).tolist() == peer.predict(Q).tolist()

    @each_loss
    def test_no_other_function_of_the_span_is_better(self, loss):
        """Seen red with weights left out."""
        weights = RNG.uniform(0.1, 3.0, 90)
        fitted = model(loss=loss, C=0.7, **TIGHT).fit(X, TWO, weights)

        K, signs = fitted.kernel_(X), np.where(TWO == "same", 1.0, -1.0)
        coef = fitted.dual_coef_[0]
        best = primal(loss, K, signs, 0.7 * weights, coef)
        for _ in range(50):
            other = coef + 10.0 ** RNG.uniform(-6, 0) * RNG.standard_normal(90)
            assert best <= primal(loss, K, signs, 0.7 * weights, other) + 1e-9

    @each_scheme
    def test_same_bits_for_any_number_of_threads(self, multi_class):
        """And for probabilities. Seen red with a kernel that depends on `n_jobs`."""
        params = {"multi_class": multi_class, "probability": True}
        one = model(**params, n_jobs=1).fit(X, THREE)
        two = model(**params, n_jobs=2).fit(X, THREE)

        np.testing.assert_array_equal(one.dual_coef_, two.dual_coef_)
        np.testing.assert_array_equal(one.predict_proba(Q), two.predict_proba(Q))


class TestAccuracy:
    """As good as a support vector machine with a Gaussian kernel, tuned alike."""

    @pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer])
    def test_held_out_rows(self, load):
        """Seen red with the kernel of the absolute values of the features."""
        rows, y = scaled(load)
        grid = {"C": [0.1, 1.0, 10.0, 100.0]}

        peer = GridSearchCV(SVC(), grid).fit(rows, y)
        own = GridSearchCV(NTKSVC(2, sigma_b=0.3), grid).fit(rows, y)

        assert own.best_score_ >= peer.best_score_ - 0.015


class TestProbabilities:
    """They are calibrated, and add up."""

    @each_loss
    @each_scheme
    @pytest.mark.parametrize("y", [TWO, THREE])
    def test_they_add_up(self, loss, multi_class, y):
        """Seen red without the division by their sum."""
        fitted = model(loss=loss, multi_class=multi_class, probability=True).fit(X, y)

        shares = fitted.predict_proba(Q)

        assert shares.shape == (50, len(fitted.classes_))
        assert (shares >= 0.0).all()
        np.testing.assert_allclose(shares.sum(axis=1), 1.0)
        likely = fitted.classes_[shares.argmax(axis=1)]
        assert (likely == fitted.predict(Q)).mean() > 0.8

    @pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "squared"])
    def test_better_than_shares_of_the_classes(self, loss):
        """On rows to come. Seen red with the sigmoid's slope turned round."""
        rows = np.random.default_rng(1).standard_normal((600, 2))
        y = rows[:, 0] + np.random.default_rng(2).logistic(size=600) > 0.0
        fitted = model(loss=loss, C=0.1, probability=True).fit(rows[:300], y[:300])

        loss_ = log_loss(y[300:], fitted.predict_proba(rows[300:]))

        truth = 1.0 / (1.0 + np.exp(-rows[300:, 0]))
        assert loss_ < log_loss(y[300:], truth) + 0.05

    def test_logistic_is_its_own_probability(self):
        """Seen red with a sigmoid of twice the value."""
        fitted = model(loss="logistic").fit(X, TWO)

        expected = 1.0 / (1.0 + np.exp(-fitted.decision_function(Q)))
        np.testing.assert_allclose(fitted.predict_proba(Q)[:, 1], expected)

    def test_only_on_request(self):
        assert not hasattr(model().fit(X, TWO), "predict_proba")
        with pytest.raises(AttributeError, match="predict_proba"):
            model().fit(X, TWO).predict_proba(Q)

    def test_rare_class(self):
        """Seen red with the error of `StratifiedKFold`."""
        y = np.where(np.arange(90) < 2, "rare", TWO)
        with pytest.raises(ValueError, match=r"3 rows with weight of each.*'rare' has"):
            model(probability=True).fit(X, y)


class TestPath:
    """One kernel matrix for several C."""

    @each_loss
    def test_models_of_a_path(self, loss):
        """Seen red with the models in ascending order."""
        Cs = [10.0, 0.1, 1.0]
        template = model(loss=loss, **TIGHT)
        before = vars(template).copy()

        models = template.c_path(X, THREE, Cs)

        assert vars(template) == before
        assert [fitted.C for fitted in models] == Cs
        for fitted in models:
            alone = clone(fitted).fit(X, THREE)
            got, expected = fitted.decision_function(Q), alone.decision_function(Q)
            np.testing.assert_allclose(got, expected, atol=1e-5)
            assert fitted.n_features_in_ == 4

    @pytest.mark.parametrize("Cs", [[1.0, 0.0], [-1.0], ["1"], 1.0, "1"])
    def test_wrong_factors(self, Cs):
        """Seen red with the error of an iteration over 1.0."""
        with pytest.raises(ValueError, match=r"'Cs' argument must be .*finite number"):
            model().c_path(X, TWO, Cs)

    @pytest.mark.parametrize(
        "wrong", [{"loss": "Hinge"}, {"multi_class": "OVR"}, {"max_iter": -1}]
    )
    def test_wrong_parameters(self, wrong):
        """Seen red with only `fit` looking at them."""
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name!r} parameter of NTKSVC must"):
            model(**wrong).c_path(X, TWO, [1.0])


class TestGuarantees:
    """Bounds and certificates, as far as the estimator goes."""

    @each_scheme
    @pytest.mark.parametrize("method", ["pac_bayes", "rademacher", "loo"])
    def test_bound(self, method, multi_class):
        """Seen red with support vectors counted among one row more."""
        fitted = model(multi_class=multi_class).fit(X, THREE)

        result = fitted.generalization_bound(method, delta=0.1)

        assert result.method == method
        assert (fitted.predict(X) != THREE).mean() <= result.bound <= 1.0
        if method == "loo":
            assert result.bound == len(fitted.support_) / 90

    @each_scheme
    @pytest.mark.parametrize("y", [TWO, THREE])
    def test_certified_rows_keep_their_class(self, multi_class, y):
        """Random corners of boxes. Seen red with the signs of two classes swapped."""
        fitted = model(depth=1, sigma_b=0.0, multi_class=multi_class).fit(X, y)
        rows = Q[:10]

        radii = fitted.certify(rows)

        assert (radii > 0.0).mean() > 0.5
        predicted = fitted.predict(rows)
        for _ in range(100):
            corners = rows + radii[:, None] * RNG.choice([-1.0, 1.0], rows.shape)
            assert (fitted.predict(corners) == predicted)[radii > 0.0].all()

    @each_scheme
    def test_attacks_change_the_class(self, multi_class):
        """And do not beat the certificate. Seen red with the rows themselves."""
        fitted = model(depth=1, multi_class=multi_class).fit(X, THREE)
        rows = Q[:3]

        radii, adversaries = fitted.attack(rows)

        found = np.isfinite(radii)
        changed = fitted.predict(adversaries) != fitted.predict(rows)
        np.testing.assert_array_equal(changed, found)
        assert found.all()
        np.testing.assert_allclose(
            np.abs(adversaries - rows).max(axis=1)[found], radii[found]
        )
        assert (fitted.certify(rows) <= radii).all()

    @each_scheme
    def test_attacks_at_a_tie(self, multi_class):
        """At a row of zeros, all classes are near.

        Seen red with functions that are 0 taken for lost.
        """
        fitted = model(sigma_b=0.0, multi_class=multi_class).fit(X, THREE)
        zeros = np.zeros((1, 4))

        (radius,), adversaries = fitted.attack(zeros)

        assert fitted.certify(zeros) == [0.0]
        assert radius < 1e-5
        assert fitted.predict(adversaries) != fitted.predict(zeros)

    def test_bound_takes_the_norm_for_no_less_than_it_is(self):
        """Huge coefficients that cancel. Seen red with `rkhs_norm_`."""
        y = X[:, 0] + RNG.standard_normal(90) > 0.0

        fitted = NTKSVC(0, loss="squared", C=1e5).fit(X, y)

        w = fitted.dual_coef_[0].astype(np.longdouble) @ X * np.sqrt(0.5)
        np.testing.assert_allclose(fitted.rkhs_norm_, float(np.sqrt(w @ w)), rtol=1e-4)
        assert fitted._norm_bounds > 1.001 * fitted.rkhs_norm_
        expected = fitted.generalization_bound().machine_bounds
        fitted.rkhs_norm_ = 1e-3 * fitted.rkhs_norm_
        np.testing.assert_array_equal(
            fitted.generalization_bound().machine_bounds, expected
        )

    @pytest.mark.parametrize("method", ["pac_bayes", "rademacher", "loo"])
    def test_no_bound_for_rows_without_weight(self, method):
        """Seen red with the rows that are left taken for a sample."""
        weights = np.where(THREE == "b", 0.0, 1.0)
        fitted = model().fit(X, THREE, weights)
        by_class = model(class_weight={"b": 0.0}).fit(X, THREE)

        for machine in (fitted, by_class):
            with pytest.raises(ValueError, match=r"training rows had weight 0"):
                machine.generalization_bound(method)

    def test_no_loo_bound_for_balanced_classes(self):
        """Seen red with all methods allowed."""
        fitted = model(class_weight="balanced").fit(X, TWO)

        with pytest.raises(ValueError, match="method='loo' needs weights that do not"):
            fitted.generalization_bound("loo")
        assert fitted.generalization_bound().bound <= 1.0

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"multi_class": "ovo"}, {"multi_class": "ovr"}),
            ({"multi_class": "ovr"}, {"multi_class": "ovo"}),
            ({"loss": "logistic"}, {"loss": "hinge"}),
            ({"probability": True}, {"loss": "logistic"}),
            ({"fit_intercept": False}, {"fit_intercept": True}),
        ],
    )
    def test_what_was_fitted_counts(self, before, after):
        """Not what is set thereafter. Seen red with the parameters looked at."""
        fitted = model(depth=1, **before).fit(X, THREE)
        later = pickle.loads(pickle.dumps(fitted)).set_params(**after)

        names = ["decision_function", "predict", "certify"]
        if hasattr(fitted, "predict_proba"):
            names.append("predict_proba")
        for name in names:
            expected = getattr(fitted, name)(Q[:5])
            np.testing.assert_array_equal(getattr(later, name)(Q[:5]), expected)

    def test_no_certificate_by_a_parameter_set_later(self):
        """Seen red with `fit_intercept` looked at."""
        fitted = model(fit_intercept=True).fit(X + 2.0, TWO)
        fitted.set_params(fit_intercept=False, probability=True)

        assert not hasattr(fitted, "predict_proba")
        with pytest.raises(ValueError, match="without an intercept"):
            fitted.certify(Q)
        with pytest.raises(ValueError, match="without an intercept"):
            fitted.generalization_bound()

    def test_robust_score(self):
        """Seen red with wrong rows counted."""
        fitted = model(depth=1, sigma_b=0.0).fit(X, TWO)
        rows = X[:11]
        y = np.where(np.arange(11) % 2, fitted.predict(rows), "other")
        radii = fitted.certify(rows)

        score = fitted.robust_score(rows, y, float(np.median(radii)))

        right = fitted.predict(rows) == y
        assert score == (right & (radii >= np.median(radii))).mean()

    def test_refusals(self):
        fitted = model(fit_intercept=True).fit(X, TWO)

        with pytest.raises(ValueError, match="without an intercept"):
            fitted.certify(Q)
        with pytest.raises(ValueError, match="without an intercept"):
            fitted.generalization_bound()
        with pytest.raises(NotFittedError):
            model().certify(Q)
        fitted = model().fit(X, TWO)
        with pytest.raises(ValueError, match=r"beyond clip=\(0, 1\)"):
            fitted.certify(Q, clip=(0, 1))
        with pytest.raises(ValueError, match="'clip' argument must be None or a pair"):
            fitted.certify(Q, clip=(1, 0))
        with pytest.raises(ValueError, match="'norm' argument"):
            fitted.certify(Q, norm="l2")
        with pytest.raises(ValueError, match="'method' argument"):
            fitted.generalization_bound("vapnik")


class TestWeights:
    """Of rows and of classes."""

    @each_loss
    @each_scheme
    def test_no_weight_is_removal(self, loss, multi_class):
        """Also of a whole class. Seen red with rows of no weight kept."""
        weights = np.where(THREE == "b", 0.0, 1.0 + np.arange(90) % 3)
        weights[::7] = 0.0
        kept = weights > 0.0
        params = {"loss": loss, "multi_class": multi_class}

        got = model(**params).fit(X, THREE, weights)

        expected = model(**params).fit(X[kept], THREE[kept], weights[kept])
        assert got.classes_.tolist() == ["a", "c"]
        np.testing.assert_array_equal(
            got.decision_function(Q), expected.decision_function(Q)
        )

    @each_loss
    def test_weight_is_repetition(self, loss):
        """Of any loss, with balanced classes too. Seen red with roots of weights."""
        times = np.arange(90) % 3 + 1
        repeated = np.repeat(np.arange(90), times)
        params = {"loss": loss, "class_weight": "balanced", **TIGHT}

        got = model(**params).fit(X, THREE, times)

        expected = model(**params).fit(X[repeated], THREE[repeated])
        np.testing.assert_allclose(
            got.decision_function(Q), expected.decision_function(Q), atol=1e-6
        )

    def test_factors_of_classes_are_weights(self):
        """Seen red with the factors of other classes."""
        factors = {"a": 3.0, "c": 0.5}
        weights = np.array([factors.get(label, 1.0) for label in THREE])

        got = model(class_weight=factors).fit(X, THREE)

        expected = model().fit(X, THREE, weights)
        np.testing.assert_array_equal(got.dual_coef_, expected.dual_coef_)

    def test_balance(self):
        """Seen red with all factors 1."""
        y = np.arange(90) < 20
        weights = np.where(y, 90 / 40, 90 / 140)

        got = model(class_weight="balanced").fit(X, y)

        expected = model().fit(X, y, weights)
        np.testing.assert_allclose(got.dual_coef_, expected.dual_coef_, atol=1e-12)

    @pytest.mark.parametrize(
        ("weights", "class_weight", "message"),
        [
            (-np.ones(90), None, "[Nn]egative"),
            (np.zeros(90), None, "[Ss]ample.weight.*zero"),
            (None, {"same": -1.0}, "finite factors of 0 or more"),
            (None, {"same": 0.0}, "one class, 'other'"),
            (None, {"same": 0.0, "other": 0.0}, "no row any weight"),
        ],
    )
    def test_refusals(self, weights, class_weight, message):
        with pytest.raises(ValueError, match=message):
            model(class_weight=class_weight).fit(X, TWO, weights)


class TestEdges:
    """Input that is unusual, and still right or refused."""

    @each_loss
    @pytest.mark.parametrize(
        "y",
        [
            TWO == "same",
            np.where(TWO == "same", 1, -1),
            np.where(TWO == "same", 1, 0),
            np.where(TWO == "same", 7.0, 2.0),
            np.array(TWO, dtype=object),
            TWO.tolist(),
        ],
        ids=["bool", "signs", "0 and 1", "float", "object", "list"],
    )
    def test_labels_of_any_kind(self, y, loss):
        """Codes of the labels are what counts."""
        fitted = model(loss=loss).fit(X, y)
        expected = model(loss=loss).fit(X, TWO)

        assert set(fitted.predict(Q)) <= set(y)
        np.testing.assert_array_equal(
            fitted.predict(Q) == fitted.classes_[1], expected.predict(Q) == "same"
        )

    def test_layouts(self):
        """Read-only, Fortran order, strides."""
        expected = model().fit(X, TWO)
        frozen = X.copy()
        frozen.flags.writeable = False
        wide = np.zeros((90, 8))
        wide[:, ::2] = X
        for rows in (frozen, np.asfortranarray(X), wide[:, ::2], X[::-1][::-1]):
            fitted = model().fit(rows, TWO)
            np.testing.assert_array_equal(fitted.dual_coef_, expected.dual_coef_)
            np.testing.assert_array_equal(
                fitted.decision_function(rows), expected.decision_function(X)
            )

    @pytest.mark.parametrize("y", [["no"], ["no"] * 3])
    def test_one_class(self, y):
        with pytest.raises(ValueError, match=r"2 classes or more.* one class"):
            model().fit(X[: len(y)], y)

    @each_loss
    @each_scheme
    def test_a_row_for_each_class(self, loss, multi_class):
        """Each row is its own class."""
        fitted = model(loss=loss, multi_class=multi_class, C=100.0)

        fitted.fit(X[:3], ["a", "b", "c"])

        assert fitted.predict(X[:3]).tolist() == ["a", "b", "c"]

    @each_loss
    @each_scheme
    def test_nothing_but_zeros(self, loss, multi_class):
        """The heaviest class. Seen red with the first one."""
        params = {"loss": loss, "multi_class": multi_class, "sigma_b": 0.0}
        with pytest.warns(UserWarning, match=r"All training rows are zero.*sigma_b"):
            fitted = model(**params).fit(np.zeros((5, 2)), list("abbbc"))

        assert not fitted.decision_function(np.zeros((1, 2)))[:, 0].any() or (
            multi_class == "ovo"
        )
        assert fitted.predict([[0.0, 0.0], [1.0, 2.0]]).tolist() == ["b", "b"]

    @each_loss
    def test_some_zeros(self, loss):
        """Their coefficients end at a bound."""
        rows = np.where(np.arange(90)[:, None] % 4, X, 0.0)

        fitted = model(loss=loss, sigma_b=0.0).fit(rows, TWO)

        assert np.isfinite(fitted.dual_coef_).all()
        assert np.isfinite(fitted.decision_function(rows)).all()
        assert fitted.dual_gap_[0] <= 1e-4

    @each_loss
    def test_contradictions(self, loss):
        """Each row with both labels."""
        fitted = model(loss=loss, **TIGHT)

        fitted.fit(np.vstack([X, X]), np.repeat(["a", "b"], 90))

        np.testing.assert_allclose(fitted.decision_function(Q), 0.0, atol=1e-4)

    @each_loss
    @pytest.mark.parametrize("size", [1e-150, 1e-20, 1e20, 1e150])
    def test_size_of_features(self, loss, size):
        """With C for the size, nothing changes."""
        params = {"loss": loss, "sigma_b": 0.0, "C": 4.0}
        expected = model(**params).fit(X, TWO).predict(Q)

        fitted = model(**{**params, "C": 4.0 / size / size}).fit(X * size, TWO)

        assert (fitted.predict(Q * size) == expected).mean() > 0.95

    def test_no_convergence(self):
        with pytest.warns(ConvergenceWarning, match="rescale X, or raise max_iter"):
            model(max_iter=1, C=1e6, **TIGHT).fit(X, TWO)

    def test_intercept_needs_the_hinge(self):
        with pytest.raises(ValueError, match="fit_intercept=True is for loss='hinge'"):
            model(fit_intercept=True, loss="logistic").fit(X, TWO)

    def test_pickle_holds_no_matrix(self):
        """Seen red with the kernel matrix kept."""
        rows = RNG.standard_normal((400, 2))
        fitted = model().fit(rows, rows[:, 0] > 0.0)

        stored = pickle.dumps(fitted)

        assert len(stored) < 400 * 400 * 8 / 10
        again = pickle.loads(stored).decision_function(rows)
        np.testing.assert_array_equal(again, fitted.decision_function(rows))
