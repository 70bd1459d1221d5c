"""The classifier: known answers, identities and edge cases."""

import pickle

import numpy as np
import pytest
from reference import rbf_network as reference
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from kernelkit.rbf_network import GaussianRBFClassifier, fitting, logistic
from kernelkit.rbf_network.fitting import Learned, Plan
from kernelkit.rbf_network.objective import PROFILES, Rows
from kernelkit.rbf_network.structure import structure

RNG = np.random.default_rng(0)
X = RNG.normal(size=(140, 4))
LOGITS = 3.0 * X[:, 0] * X[:, 1] + X[:, 2]
Y = np.where(RNG.uniform(size=140) < expit(LOGITS), "yes", "no")
Y3 = np.where(np.abs(X[:, 0]) < 0.5, "mid", np.where(X[:, 1] > 0, "up", "down"))
X, Q, Y, TRUTH, Y3, TRUTH3 = train_test_split(X, Y, Y3, test_size=40, random_state=0)
CENTERS = X[::5]
KINDS = ["iso", "diag", "low_rank", "full"]
pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")
each_kind = pytest.mark.parametrize("precision", KINDS)
each_y = pytest.mark.parametrize("y", [Y, Y3], ids=["binary", "three"])


def model(n_centers=20, **params):
    params = {"random_state": 0, "tol": 1e-3, **params}
    return GaussianRBFClassifier(n_centers, **params)


def given(**params):
    """Build a network whose centres do not depend on the rows."""
    return model(centers=CENTERS, **params)


def drawn(function, seed, n=1600, d=10):
    """Draw rows and labels whose logit is a function of the rows."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d))
    return rows, (rng.uniform(size=n) < expit(function(rows))).astype(int)


class TestDefinition:
    """Attributes are what they say."""

    @each_y
    @pytest.mark.parametrize("kernel", PROFILES)
    def test_logits(self, y, kernel):
        """Seen red with a tanh in place of the logits."""
        fitted = model(kernel=kernel, max_iter=5).fit(X * 100.0, y)

        got = fitted.decision_function(Q * 100.0)

        Z, C = (
            (rows - fitted.mean_) / fitted.scale_
            for rows in (Q * 100.0, fitted.centers_)
        )
        phi = reference.basis(Z, fitted.precision_factor_, C, kernel)
        expected = fitted.intercept_ + phi @ fitted.dual_coef_
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)

    @each_y
    def test_probabilities(self, y):
        """Seen red with the two classes exchanged."""
        fitted = model().fit(X, y)
        F = fitted.decision_function(Q)

        probabilities = fitted.predict_proba(Q)

        if F.ndim == 1:
            expected = np.column_stack([expit(-F), expit(F)])
        else:
            expected = softmax(F, axis=1)
            np.testing.assert_allclose(F.sum(axis=1), 0.0, atol=1e-10)
        np.testing.assert_allclose(probabilities, expected)
        np.testing.assert_allclose(np.exp(fitted.predict_log_proba(Q)), expected)
        labels = fitted.classes_[probabilities.argmax(axis=1)]
        np.testing.assert_array_equal(fitted.predict(Q), labels)

    @each_y
    def test_fit_is_a_minimum(self, y):
        """Seen red with weights that stay, and with those of rows left out of the loss.

        No step in any weight lowers the penalised log loss by its definition.
        """
        weights = RNG.uniform(0.5, 2.0, size=len(X))
        fitted = model(10, precision="diag", max_iter=200, tol=1e-9)
        fitted.fit(X, y, sample_weight=weights)
        Z = (X - fitted.mean_) / fitted.scale_
        C = (fitted.centers_ - fitted.mean_) / fitted.scale_
        codes = np.searchsorted(fitted.classes_, y)[:, None]
        Y = codes if fitted.dual_coef_.ndim == 1 else 1.0 * (codes == np.arange(3))

        def loss(coef, intercept, U):
            value = reference.cross_entropy(Z, Y, weights, U, C, coef, intercept, 1.0)
            return value + 0.05 * (U * U).sum()

        coef = fitted.dual_coef_.reshape(10, -1)
        intercept = np.atleast_1d(fitted.intercept_)
        U = fitted.precision_factor_.diagonal()
        slopes = [
            reference.slope(lambda w: loss(w, intercept, U), coef),
            reference.slope(lambda b: loss(coef, b, U), intercept),
            reference.slope(lambda u: loss(coef, intercept, u), U),
        ]
        assert max(np.abs(slope).max() for slope in slopes) < 1e-3

    @each_y
    def test_gradient(self, y):
        """Seen red with derivatives by standardised features."""
        fitted = model().fit(X * 10.0, y)

        got = fitted.gradient(Q[:4] * 10.0)

        step = np.eye(4) * 1e-4
        for k in range(4):
            high, low = (
                fitted.decision_function(Q[:4] * 10.0 + s * step[k]) for s in (1, -1)
            )
            np.testing.assert_allclose(
                got[:, k], (high - low) / 2e-4, rtol=1e-4, atol=1e-6
            )

    @each_y
    def test_active_subspace_is_of_gradients(self, y):
        fitted = model().fit(X, y)
        values, vectors = fitted.active_subspace()

        G = fitted.gradient(X) * (fitted.scale_[:, None] if y is Y3 else fitted.scale_)
        G = G.reshape(len(X), 4, -1)
        expected = np.einsum("iao,ibo->ab", G, G) / len(X)
        np.testing.assert_allclose(
            vectors @ np.diag(values) @ vectors.T, expected, atol=1e-10
        )

    def test_projection_and_importances(self):
        """Seen red with rows that are not centred."""
        fitted = model().fit(X + 5.0, Y)

        T = fitted.transform(Q + 5.0)

        vectors = fitted.active_subspace_[1]
        expected = (Q + 5.0 - fitted.mean_) / fitted.scale_ @ vectors
        np.testing.assert_allclose(T, expected)
        np.testing.assert_allclose(fitted.inverse_transform(T), Q + 5.0)
        assert fitted.feature_importances_.sum() == pytest.approx(1.0)
        assert fitted.feature_importances_.argmin() == 3
        fitted.set_params(n_components=2)
        np.testing.assert_array_equal(fitted.transform(Q + 5.0), T[:, :2])
        names = ["gaussianrbfclassifier0", "gaussianrbfclassifier1"]
        assert fitted.get_feature_names_out().tolist() == names

    def test_selection_of_features(self):
        assert SelectFromModel(model()).fit(X, Y).get_support()[0]
        assert not RFE(model(), n_features_to_select=3).fit(X, Y).support_[3]

    @each_kind
    def test_structures(self, precision):
        fitted = model(precision=precision, rank=1, random_state=2).fit(X, Y)

        rank = np.linalg.matrix_rank(fitted.precision_)
        assert rank == (1 if precision == "low_rank" else 4)
        assert fitted.structures_ == {fitted.structure_: 1.0}
        assert fitted.score(X, Y) > 0.6


class TestAuto:
    """Several structures."""

    def test_average(self):
        """Seen red with shares left out of the logits."""
        fitted = model(precision="auto").fit(X, Y)

        assert sum(fitted.structures_.values()) == pytest.approx(1.0)
        assert len(fitted.structures_) == 2
        parts = [
            net.share * net.logits((Q - fitted.mean_) / fitted.scale_, "gaussian")
            for net in fitted._networks
        ]
        np.testing.assert_allclose(fitted.decision_function(Q), sum(parts)[:, 0])
        step = 1e-5 * np.eye(4)[1]
        slopes = fitted.decision_function(Q + step) - fitted.decision_function(Q - step)
        np.testing.assert_allclose(
            fitted.gradient(Q)[:, 1], slopes / 2e-5, rtol=1e-4, atol=1e-6
        )

    @pytest.mark.parametrize("selection", ["average", "bic", "cv", "holdout"])
    def test_axes_and_slanted_directions_are_told_apart(self, selection):
        """Seen red with the largest cost chosen."""
        axes = drawn(lambda rows: 4.0 * np.sin(2.0 * rows[:, 0]), 0, n=400, d=6)
        slant = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
        params = {"precision": "auto", "selection": selection, "n_centers": 50}
        params["random_state"] = 1

        along = model(**params).fit(*axes)
        across = model(**params).fit(axes[0] @ slant, axes[1])

        assert along.structure_ == "diag"
        assert across.structure_ == "full"

    def test_many_features(self, capsys):
        """Seen red with a full precision of more features than rows."""
        rows = RNG.normal(size=(30, 200))

        fitted = model(10, precision="auto", max_iter=3, verbose=1)
        fitted.fit(rows, rows[:, 0] > 0.0)

        lines = capsys.readouterr().out
        assert "low_rank(5)" in lines
        assert "full" not in lines


class TestEdges:
    """Rows, columns and labels at the edge."""

    @pytest.mark.parametrize(
        "labels",
        [
            np.array([False, True]),
            np.array([-7, 3]),
            np.array(["b", "a"], dtype=object),
            np.array([0.5, 2.0]).astype(int),
        ],
    )
    def test_labels(self, labels):
        y = labels[(Y == "yes").astype(int)]

        fitted = model().fit(X, y)

        np.testing.assert_array_equal(fitted.classes_, np.unique(labels))
        assert set(fitted.predict(Q)) <= set(labels.tolist())
        assert fitted.score(X, y) > 0.7

    def test_one_class(self):
        """Seen red without the check."""
        with pytest.raises(ValueError, match=r"2 classes or more.*'yes'"):
            model().fit(X, np.full(len(X), "yes"))
        with pytest.raises(ValueError, match=r"2 classes or more.*'no'"):
            model().fit(X, Y, sample_weight=Y == "no")
        with pytest.raises(ValueError, match=r"2 classes or more.*'no'"):
            model(class_weight={"yes": 0.0}).fit(X, Y)

    def test_one_class_is_named_as_it_was_given(self):
        """Seen red with the name of a numpy type."""
        with pytest.raises(ValueError, match=r"of one class, 0\."):
            model().fit(X, np.zeros(len(X), dtype=int))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, value):
        bad = X.copy()
        bad[3, 1] = value
        with pytest.raises(ValueError, match="Input X contains"):
            model().fit(bad, Y)

    def test_sparse(self):
        with pytest.raises(TypeError, match="Sparse"):
            model().fit(sparse.csr_array(X), Y)

    @pytest.mark.parametrize("early_stopping", [False, True])
    @pytest.mark.parametrize("precision", ["full", "auto"])
    @pytest.mark.parametrize("selection", ["average", "holdout", "cv"])
    def test_class_with_one_row(self, early_stopping, precision, selection):
        """Seen red with such a row held out: its class is then unknown."""
        y = np.where(np.arange(len(X)) == 7, "rare", Y3)

        fitted = model(
            precision=precision,
            selection=selection,
            early_stopping=early_stopping,
            class_weight="balanced",
            tol=1e-2,
        ).fit(X, y)

        assert np.isfinite(fitted.predict_log_proba(Q)).all()
        assert fitted.predict_proba(X[[7]])[0, 2] > 0.1
        assert min(fitted.validation_scores_, default=0.0) > -5.0

    @pytest.mark.parametrize("n_classes", [2, 3, 6])
    def test_rows_of_small_classes_are_held_out(self, n_classes):
        """Seen red with a share of a class that is rounded to no row."""
        y = np.arange(6) % n_classes

        chosen = model(precision="auto", selection="holdout").fit(X[:6], y)
        stopped = model(early_stopping=True).fit(X[:6], y)

        assert np.isfinite(chosen.predict_log_proba(Q)).all()
        assert bool(stopped.validation_scores_) == (n_classes < 6)

    def test_balanced_weights(self):
        """Seen red with factors that are not inverse to the shares."""
        rows, codes = make_blobs([990, 10], centers=[[0, 0], [2, 2]], random_state=0)
        plain, balanced = (
            model(class_weight=weight).fit(rows, codes) for weight in (None, "balanced")
        )

        counts = [np.mean(m.predict(rows[codes == 1])) for m in (plain, balanced)]
        assert counts[1] > max(counts[0], 0.7)
        by_hand = model().fit(rows, codes, sample_weight=np.where(codes, 50, 50 / 99))
        np.testing.assert_allclose(
            by_hand.predict_proba(rows), balanced.predict_proba(rows), rtol=1e-6
        )
        by_dict = model(class_weight={0: 50 / 99, 1: 50}).fit(rows, codes)
        np.testing.assert_array_equal(by_dict.predict(rows), balanced.predict(rows))

    @each_y
    def test_weight_is_repetition(self, y):
        counts = RNG.integers(0, 4, size=len(X))
        weighted = model().fit(X, y, sample_weight=counts)

        repeated = model().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))

        np.testing.assert_array_equal(
            weighted.predict_proba(Q), repeated.predict_proba(Q)
        )

    def test_weights_of_little_sum(self):
        """Seen red without a word, when all classes get their shares."""
        with pytest.warns(UserWarning, match=r"sample_weight.*of mean 1"):
            model().fit(X, Y, sample_weight=np.full(len(X), 1.0 / len(X)))

    def test_classes_without_weight_are_unknown(self):
        """Seen red with all labels kept."""
        weighted = model().fit(X, Y3, sample_weight=Y3 != "up")

        dropped = model().fit(X[Y3 != "up"], Y3[Y3 != "up"])

        assert weighted.classes_.tolist() == ["down", "mid"]
        np.testing.assert_array_equal(
            weighted.predict_proba(Q), dropped.predict_proba(Q)
        )

    def test_constant_columns(self):
        """Seen red with constant columns among the parameters."""
        wide = np.column_stack([np.full(100, 0.1), X, np.full(100, 1e9)])
        with_them, without = model().fit(wide, Y), model().fit(X, Y)

        queries = np.column_stack([np.ones(40), Q, np.ones(40)])
        np.testing.assert_allclose(
            with_them.decision_function(queries),
            without.decision_function(Q),
            rtol=1e-8,
        )
        assert with_them.feature_importances_[[0, 5]].tolist() == [0.0, 0.0]

    @each_y
    def test_nothing_varies(self, y):
        """Seen red without the early way out."""
        with pytest.warns(UserWarning, match="X is constant"):
            fitted = model().fit(np.ones((100, 3)), y)

        shares = np.unique(y, return_counts=True)[1] / 100
        np.testing.assert_allclose(fitted.predict_proba(Q[:, :3]), [shares] * 40)
        assert fitted.bic_ == 0.0
        assert not fitted.feature_importances_.any()
        assert np.isfinite(fitted.transform(Q[:, :3])).all()

    @each_kind
    def test_few_different_rows(self, precision):
        rows, y = np.repeat(X[:4], 9, axis=0), np.repeat(["a", "b", "b", "a"], 9)

        fitted = model(precision=precision).fit(rows, y)

        assert fitted.centers_.shape == (4, 4)
        assert fitted.score(rows, y) == 1.0

    def test_two_rows(self):
        fitted = model().fit(X[:2], ["a", "b"])

        assert fitted.predict(X[:2]).tolist() == ["a", "b"]

    def test_unit_of_a_column(self):
        """Seen red with distances of rows that are not centred."""
        for scale, offset in ((1e-8, 0.0), (1e8, 0.0), (1.0, 1e6)):
            moved, queries = X.copy(), Q.copy()
            for rows in (moved, queries):
                rows[:, 2] = rows[:, 2] * scale + offset
            got = model(max_iter=10, tol=1e-3).fit(moved, Y).predict_proba(queries)
            expected = model(max_iter=10, tol=1e-3).fit(X, Y).predict_proba(Q)
            np.testing.assert_allclose(got, expected, rtol=1e-5)

    def test_float32(self):
        """Seen red with float64 probabilities."""
        fitted = model().fit(X.astype(np.float32), Y)

        got = fitted.predict_proba(Q.astype(np.float32))

        assert got.dtype == np.float32
        np.testing.assert_allclose(got, model().fit(X, Y).predict_proba(Q), atol=0.05)

    def test_far_queries(self):
        fitted = model().fit(X, Y)

        far = fitted.decision_function(np.full((1, 4), 1e200))

        assert far[0] == pytest.approx(fitted.intercept_)


class TestSearch:
    """How the fit goes on and when it ends."""

    @each_kind
    def test_same_seed_same_bits(self, precision):
        fitted = model(precision=precision).fit(X, Y3)
        expected = fitted.predict_proba(Q)

        again = clone(fitted).set_params(n_jobs=2).fit(X, Y3)

        np.testing.assert_array_equal(again.predict_proba(Q), expected)
        copied = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(copied.predict_proba(Q), expected)
        order = RNG.permutation(len(X))
        shuffled = clone(fitted).fit(X[order], Y3[order])
        np.testing.assert_array_equal(shuffled.predict_proba(Q), expected)

    def test_threads_do_not_matter(self):
        params = {"precision": "auto", "n_restarts": 2, "selection": "cv"}

        one, two = (model(n_jobs=n, **params).fit(X, Y) for n in (1, 2))

        np.testing.assert_array_equal(one.predict_proba(Q), two.predict_proba(Q))

    def test_blocks_do_not_matter(self):
        """Seen red with gradients of the last block only."""
        whole, blocks = (model(batch_rows=b, tol=1e-2).fit(X, Y3) for b in (None, 7))

        np.testing.assert_allclose(
            blocks.predict_proba(Q), whole.predict_proba(Q), atol=1e-2
        )

    def test_early_stopping(self):
        rows, y = drawn(lambda rows: rows[:, 0], 0, n=200, d=8)
        params = {"early_stopping": True, "alpha": 1e-3, "mu": 0.0, "tol": 0.0}

        fitted = model(50, n_iter_no_change=5, **params).fit(rows, y)

        scores = fitted.validation_scores_
        assert len(scores) == fitted.n_iter_ < 60
        assert int(np.argmax(scores)) == len(scores) - 6

    def test_criterion_counts_the_rows_that_were_fitted(self, monkeypatch):
        """Seen red with those held out among them."""
        counts = []
        monkeypatch.setattr(fitting, "bic", lambda *args: counts.append(args[2]) or 0.0)

        model(early_stopping=True, max_iter=2).fit(X, Y)

        held = sum(round(0.15 * np.sum(y == Y)) for y in ("yes", "no"))
        assert counts == [100 - held]

    def test_best_iterate_is_kept(self):
        """Seen red with the last iterate kept."""
        codes = (Y == "yes").astype(float)[:, None]
        rows, held = Rows(X[:70], codes[:70]), Rows(X[70:], codes[70:])
        shape, U = structure("diag", 4), np.ones(4)
        first = Learned(shape, U, X[:40], alpha=1.0, value=0.0, loss=0.0)
        plan = Plan(alpha=1e-3, mu=0.0, tol=0.0, patience=5)

        trained = logistic.train(rows, first, plan, held)

        assert trained.scores.index(max(trained.scores)) < len(trained.scores) - 1
        loss = logistic.loss_on(held, trained)
        assert loss == pytest.approx(-max(trained.scores), rel=1e-9)

    def test_rows_held_out_have_no_room_that_threads_share(self):
        """Seen red with the rows placed where several searches look at them."""
        codes = (Y == "yes").astype(float)[:, None]
        rows, held = Rows(X[:70], codes[:70]), Rows(X[70:], codes[70:])
        first = Learned(structure("diag", 4), np.ones(4), X[:9], 1.0, 0.0, 0.0)
        before = set(vars(held))

        logistic.train(rows, first, Plan(max_iter=2), held)

        assert set(vars(held)) == before

    def test_learned_centers(self):
        """Seen red with centres left where they were."""
        few = model(4, max_iter=30).fit(X, Y)

        learned = model(4, max_iter=30, learn_centers=True).fit(X, Y)

        assert np.abs(learned.centers_ - few.centers_).max() > 1e-3
        assert learned.loss_curve_[-1] < few.loss_curve_[-1]

    def test_warm_start(self):
        """Seen red with a regression that moves the precision away first."""
        fitted = model(warm_start=True, max_iter=30, tol=1e-9)
        fitted.fit(X, Y)
        last = fitted.loss_curve_[-1]

        for _ in range(2):
            fitted.fit(X, Y)
            assert fitted.loss_curve_[0] <= last + 1e-4

    def test_warning_names_the_parameter(self):
        """Seen red with no warning."""
        with pytest.warns(ConvergenceWarning, match="max_iter=2"):
            model(max_iter=2).fit(X, Y)

    def test_lines(self, capsys):
        model(verbose=2, max_iter=4).fit(X, Y)

        lines = capsys.readouterr().out
        assert "full: log loss" in lines
        assert "iteration 1: objective" in lines


class TestAccuracy:
    """Known functions are found, and data sets predicted."""

    @pytest.mark.parametrize(
        ("function", "features", "accuracy"),
        [
            (lambda x: x[:, 0] * x[:, 1], {0, 1}, 0.56),
            (lambda x: (x[:, :4] ** 2).sum(axis=1) - 4.0, {0, 1, 2, 3}, 0.77),
            (
                lambda x: (
                    -100.0 * np.sin(2.0 * x[:, 0])
                    + 2.0 * np.abs(x[:, 1])
                    + x[:, 2]
                    + np.exp(-x[:, 3])
                ),
                {0},
                0.96,
            ),
        ],
        ids=["product", "squares", "sine"],
    )
    def test_features_that_matter(self, function, features, accuracy):
        rows, y = drawn(function, 1)
        fitted = GaussianRBFClassifier(mu=0.03, random_state=0)
        fitted.fit(rows[:600], y[:600])

        assert fitted.score(rows[600:], y[600:]) >= accuracy
        top = fitted.feature_importances_.argsort()[-len(features) :]
        assert set(top) == features

    def test_breast_cancer(self):
        """The mean of three splits that no default was chosen on."""
        rows, y = load_breast_cancer(return_X_y=True)
        scores = []
        for seed in range(3, 6):
            a, b, c, d = train_test_split(rows, y, stratify=y, random_state=seed)
            fitted = GaussianRBFClassifier(random_state=0).fit(a, c)
            scores.append((fitted.score(b, d), log_loss(d, fitted.predict_proba(b))))
        accuracy, loss = np.mean(scores, axis=0)

        assert accuracy >= 0.955
        assert loss <= 0.13

    def test_digits(self):
        rows, y = load_digits(return_X_y=True)
        a, b, c, d = train_test_split(rows, y, stratify=y, random_state=3)
        fitted = GaussianRBFClassifier(max_iter=25, random_state=0).fit(a, c)

        assert fitted.score(b, d) >= 0.95
        assert log_loss(d, fitted.predict_proba(b)) <= 0.15
