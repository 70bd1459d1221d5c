"""Estimators of finite width."""

from itertools import pairwise, product

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit.ntk import (
    NTKSVC,
    NTKSVR,
    FiniteWidthClassifier,
    FiniteWidthRegressor,
    finite_width,
)

SMALL = {"width": 32, "sigma_b": 0.5, "random_state": 0, "tol": 0.02}


def rows(n=60, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2))


def classes(X):
    return np.where(X[:, 0] * X[:, 1] > 0.0, "same", "other")


def classifier(**params):
    return FiniteWidthClassifier(**{**SMALL, "C": 3.0, **params})


def regressor(**params):
    return FiniteWidthRegressor(**{**SMALL, "C": 3.0, **params})


class TestClassifier:
    @pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic", "squared"])
    def test_learns(self, loss):
        X = rows(100)
        assert classifier(loss=loss).fit(X, classes(X)).score(X, classes(X)) > 0.9

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_wide_network_is_the_kernel_machine(self, n_classes):
        """Seen red with lambda = 1 / C."""
        X = rows(40)
        y = np.digitize(X[:, 0], [0.0, 0.7][: n_classes - 1])
        wide = classifier(
            width=2000, loss="squared", C=1.0, tol=1e-5, max_iter=4000
        ).fit(X, y)
        machine = NTKSVC(sigma_b=0.5, loss="squared").fit(X, y)
        deviation = wide.decision_function(X) - machine.decision_function(X)
        assert np.abs(deviation).max() < 0.1

    @pytest.mark.parametrize("init", ["antisymmetric", "standard"])
    def test_outputs_start_at_zero(self, init):
        """Seen red without the outputs at the start."""
        X = rows(20)
        model = classifier(
            init=init, max_iter=1, tol=0.0, learning_rate=1e-9, dtype="float64"
        ).fit(X, classes(X))
        assert np.abs(model.decision_function(X)).max() < 1e-6

    def test_weights_are_repeated_rows(self):
        """Seen red with lambda from the number of rows."""
        X = rows(20)
        counts = np.arange(20) % 4
        model = classifier(loss="logistic", max_iter=100, tol=0.0)
        weighed = clone(model).fit(X, classes(X), sample_weight=counts)
        X2 = np.repeat(X, counts, axis=0)
        repeated = clone(model).fit(X2, classes(X2))
        np.testing.assert_allclose(
            weighed.decision_function(X), repeated.decision_function(X), atol=1e-8
        )

    def test_labels_come_back(self):
        X = rows(30)
        for y in (classes(X), X[:, 0] > 0.0, np.sign(X[:, 0])):
            assert classifier().fit(X, y).predict(X).dtype == np.asarray(y).dtype

    def test_record(self):
        """Seen red with the first step left out."""
        X = rows(20)
        model = classifier(record=True, tol=0.0, max_iter=30).fit(X, classes(X))
        path = model.path_
        assert path.outputs.shape == path.slopes.shape == (len(path.steps), 20, 1)
        assert path.steps[0] == 0
        assert path.steps[-1] == 29
        np.testing.assert_allclose(path.outputs[0], 0.0, atol=1e-14)
        assert model.n_iter_ == 30

    def test_record_takes_steps_by_all_rows(self):
        """Seen red with records of batches, and with the path of another fit left."""
        X = rows(20)
        model = classifier(record=True, tol=0.0, max_iter=30, batch_size=20)
        assert hasattr(model.fit(X, classes(X)), "path_")
        model.set_params(batch_size=8).fit(X, classes(X))
        assert not hasattr(model, "path_")

    def test_tangent_kernel_is_that_of_the_network(self):
        X = rows(10)
        model = classifier().fit(X, classes(X))
        K = model.empirical_ntk(X)
        np.testing.assert_allclose(K, model.empirical_ntk(X, X), rtol=1e-12)
        assert np.linalg.eigvalsh(K).min() > -1e-10 * K.max()

    def test_batches(self):
        X = rows(90)
        model = classifier(batch_size=16, max_iter=600, learning_rate=0.3)
        assert model.fit(X, classes(X)).score(X, classes(X)) > 0.85

    @pytest.mark.parametrize("batch_size", [1, 4, 16])
    def test_batches_that_are_too_small_are_told(self, batch_size):
        """Seen red with rises taken for the end of a descent."""
        X = rows(60)
        y = np.sin(2.0 * X[:, 0])
        model = regressor(batch_size=batch_size, C=10.0, tol=1e-3)
        with pytest.warns(ConvergenceWarning, match=r"rose to .* or raise batch_size"):
            model.fit(X, y)

    def test_same_seed_same_bits(self):
        X = rows(30)
        one, two = (classifier().fit(X, classes(X)) for _ in range(2))
        np.testing.assert_array_equal(
            one.decision_function(X), two.decision_function(X)
        )

    def test_single_precision(self):
        X = rows(40)
        double = classifier(loss="logistic").fit(X, classes(X))
        single = classifier(loss="logistic", dtype="float32").fit(X, classes(X))
        assert single.net_.weights[0].dtype == np.float32
        np.testing.assert_allclose(
            single.predict(X) == double.predict(X), True, atol=0.05
        )

    def test_in_a_search(self):
        X = rows(60)
        search = GridSearchCV(
            make_pipeline(StandardScaler(), classifier()),
            {"finitewidthclassifier__C": [1e-3, 3.0]},
            cv=2,
        ).fit(X, classes(X))
        assert search.best_params_ == {"finitewidthclassifier__C": 3.0}

    def test_regularizers_differ(self):
        """Seen red with each taken for the distance."""
        X = rows(30)
        outputs = [
            classifier(regularizer=name, C=0.3).fit(X, classes(X)).decision_function(X)
            for name in ("distance", "last_layer", "last_layer_scaled")
        ]
        for one, two in pairwise(outputs):
            assert np.abs(one - two).max() > 0.01

    def test_one_class_is_refused(self):
        with pytest.raises(ValueError, match="2 classes or more"):
            classifier().fit(rows(5), ["a"] * 5)


class TestRegressor:
    @pytest.mark.parametrize("loss", ["squared", "epsilon_insensitive"])
    def test_learns(self, loss):
        X = rows(80)
        y = np.sin(X[:, 0])
        model = regressor(loss=loss, C=30.0, epsilon=0.05, max_iter=5000)
        rate = "auto" if loss == "squared" else 0.1  # kinks make longer steps jitter
        model.set_params(learning_rate=rate).fit(X, y)
        assert model.score(X, y) > 0.9

    def test_wide_network_is_the_kernel_machine(self):
        """Seen red with the slope of the squared loss halved."""
        X = rows(40)
        y = np.sin(2.0 * X[:, 0])
        wide = regressor(width=2000, C=1.0, tol=1e-5, max_iter=4000).fit(X, y)
        machine = NTKSVR(sigma_b=0.5, loss="squared").fit(X, y)
        assert np.abs(wide.predict(X) - machine.predict(X)).max() < 0.1

    def test_several_targets(self):
        X = rows(50)
        Y = np.column_stack([X[:, 0], np.abs(X[:, 1])])
        model = regressor(C=30.0).fit(X, Y)
        assert model.predict(X).shape == Y.shape
        assert model.score(X, Y) > 0.9

    def test_large_targets_lower_the_rate(self):
        """A narrow network learns far from its start. Seen red without new starts."""
        X = rows(40)
        y = 1e4 * np.sin(X[:, 0])
        model = regressor(width=8, max_iter=400, tol=0.1).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        assert model.score(X, y) > 0.0

    def test_long_steps_are_refused(self):
        X = rows(20)
        with pytest.raises(ValueError, match="lower learning_rate=50, take wider"):
            regressor(learning_rate=50.0).fit(X, X[:, 0])
        with pytest.raises(ValueError, match="lower learning_rate=50 or raise C"):
            regressor(learning_rate=50.0, C=1e-3).fit(X, X[:, 0])

    def test_steps_of_given_length_are_tried_once(self, monkeypatch):
        """Seen red with eight starts."""
        starts = []
        draw = finite_width.Training
        monkeypatch.setattr(
            finite_width, "Training", lambda *args: starts.append(1) or draw(*args)
        )
        X = rows(20)
        with pytest.raises(ValueError, match="diverged"):
            regressor(learning_rate=50.0).fit(X, X[:, 0])
        assert len(starts) == 1

    @pytest.mark.parametrize("tol", [0.0, 1e-3])
    def test_ends_above_the_start_are_told(self, tol):
        """Seen red with a rise taken for the end."""
        X = rows(40)
        model = classifier(learning_rate=30.0, tol=tol, max_iter=300)
        with pytest.warns(ConvergenceWarning, match=r"rose to .* or raise tol"):
            model.fit(X, classes(X))

    def test_lost_digits_are_told(self):
        """Steps are below the rounding of weights.

        Seen red with outputs that rounding makes other than 0 for those at the start.
        """
        X = rows(40)
        with pytest.warns(ConvergenceWarning, match=r"rose to .* from 1: lower"):
            classifier().fit(1e18 * X, classes(X))

    @pytest.mark.parametrize("n", [1, 20])
    @pytest.mark.parametrize("init", ["antisymmetric", "standard"])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_zeros_are_learnt(self, dtype, init, n):
        """Seen red with rounding taken for a rise."""
        X = rows(n)
        model = regressor(dtype=dtype, init=init, batch_size=6).fit(X, np.zeros(n))
        assert np.abs(model.predict(X)).max() < 1e-5

    @pytest.mark.parametrize("C", [1e-7, 1e-5, 1e-3])
    def test_penalty_shortens_steps(self, C):
        """Seen red with the eigenvalue alone."""
        X = rows(30)
        for model, y in ((classifier(C=C), classes(X)), (regressor(C=C), X[:, 0])):
            model.fit(X, y)
            share = model.learning_rate_ / (30.0 * C)
            assert 0.1 < share < 0.5  # not by starting again

    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
    @pytest.mark.parametrize("depth", [0, 1])
    def test_factorial_designs_are_learnt(self, depth, scale):
        """Seen red with iterations for the rate from ones."""
        X = scale * np.array([*product([-1.0, 1.0], repeat=3)])
        y = np.sign(X[:, 0])
        model = FiniteWidthRegressor(
            16, depth, activation="linear", C=1e8, random_state=0
        )
        assert model.fit(X, y).score(X, y) > 0.99

    def test_unfinished_descents_are_told(self):
        X = rows(20)
        with pytest.warns(ConvergenceWarning, match="Raise max_iter"):
            regressor(max_iter=5).fit(X, X[:, 0])

    def test_no_layers_is_ridge(self):
        """Seen red with the first layer not scaled."""
        X = rows(30)
        y = X @ [1.0, -2.0]
        linear = regressor(depth=0, C=0.1, tol=1e-8, max_iter=5000).fit(X, y)
        machine = NTKSVR(0, sigma_b=0.5, loss="squared", C=0.1).fit(X, y)
        np.testing.assert_allclose(linear.predict(X), machine.predict(X), atol=1e-4)
