"""Networks against their limits: rates, exact identities, closed forms, repetition."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress
from sklearn.base import clone

from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.equivalence import equivalence_report, path_kernel_residual
from kernelkit.ntk.finite_width import FiniteWidthClassifier, FiniteWidthRegressor
from kernelkit.ntk.svm import NTKSVC

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Q = RNG.standard_normal((30, 3))
TWO = np.where(X[:, 0] * X[:, 1] > 0.0, "same", "other")
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7])]
SIGNS = np.where(TWO == "same", 1.0, -1.0)
REAL = np.sin(2.0 * X[:, 0]) + X[:, 1]

RATE = -0.65, -0.35  # where the slope -1/2 may be found


def report(y=TWO, X_test=Q, **params):
    small = {"widths": (64, 1024), "n_seeds": 8, "max_iter": 60}
    return equivalence_report(X, y, X_test, **{**small, "random_state": 0, **params})


class TestRates:
    """Deviations fall as they should, and where they should not, they do not.

    Slopes over these widths and seeds have standard errors of about 0.05, and the least
    widths make them smaller than 1/2, so that one in a hundred would leave the bounds
    by chance; the seeds are fixed.
    """

    @pytest.mark.parametrize(
        ("loss", "y"),
        [
            ("hinge", TWO),
            ("squared_hinge", THREE),
            ("logistic", TWO),
            ("squared", REAL),
            ("epsilon_insensitive", np.column_stack([REAL, SIGNS])),
        ],
    )
    def test_deviation_falls_as_the_root_of_the_width(self, loss, y):
        """Seen red with the machine of twice the penalty."""
        rate = 0.1 if loss == "epsilon_insensitive" else "auto"

        found = report(y, loss=loss, sigma_b=0.3, learning_rate=rate)

        assert RATE[0] < found.rms_slope < RATE[1]
        assert 0.0 < found.rms_slope_error < 0.1
        assert -0.8 < found.max_slope < -0.2
        assert found.limit_rms_slope == found.rms_slope
        assert found.kernel_drift[-1] < 0.3 * found.kernel_drift[0]
        assert found.kernel_distance[-1] < 0.5 * found.kernel_distance[0]

    @pytest.mark.parametrize("depth", [1, 2])
    def test_networks_without_the_penalty_on_biases(self, depth):
        """The last layer decays, and networks tend to another limit than the machine.

        Seen red with the bias of the last layer decaying in the limit, and with the
        other layers' part that does not decay.
        """
        params = {"sigma_b": 0.5, "regularizer": "last_layer", "depth": depth}
        widths = (64, 1024) if depth == 1 else (32, 256)

        found = report(widths=widths, loss="logistic", C=0.03, **params)

        assert found.horizon > 1.0
        assert RATE[0] - 0.1 < found.limit_rms_slope < RATE[1]
        assert found.rms_slope > -0.2
        assert found.rms_deviation[-1] > 3.0 * found.limit_rms_deviation[-1]

    def test_scaled_penalty_vanishes(self):
        """Seen red with the penalty in the limit."""
        found = report(loss="logistic", C=0.03, regularizer="last_layer_scaled")

        assert RATE[0] < found.limit_rms_slope < RATE[1]
        assert found.rms_slope > -0.2
        assert found.rms_deviation[-1] > 3.0 * found.limit_rms_deviation[-1]

    def test_outputs_at_the_start_decay_with_the_last_layer(self):
        """Unless they are 0. Seen red with the other start."""
        params = {"loss": "logistic", "C": 0.03, "regularizer": "last_layer"}

        found = report(init="standard", **params)

        assert found.limit_rms_deviation[-1] > 0.5 * found.limit_rms_deviation[0]

    def test_outputs_at_the_start_do_no_harm_to_the_distance(self):
        """Seen red with outputs at the start that are not subtracted."""
        found = report(loss="logistic", init="standard")

        assert RATE[0] < found.rms_slope < RATE[1]


class TestIdentities:
    """What is equal whatever the width."""

    @pytest.mark.parametrize("init", ["antisymmetric", "standard"])
    @pytest.mark.parametrize("loss", ["hinge", "logistic", "squared"])
    def test_linear_network_is_the_machine(self, loss, init):
        """Seen red with kernels that do not divide by the number of features."""
        y = SIGNS if loss == "squared" else TWO

        found = report(
            y, widths=(1, 7), depth=0, sigma_b=0.4, loss=loss, init=init, dtype=None
        )

        assert found.max_deviation.max() < 1e-10
        assert found.kernel_distance.max() < 1e-14
        assert found.kernel_drift.max() == 0.0

    @pytest.mark.parametrize("regularizer", ["last_layer", "last_layer_scaled"])
    def test_bias_of_a_linear_network_stays_unpenalized(self, regularizer):
        """Seen red with a bias that decays."""
        found = report(
            widths=(5,),
            depth=0,
            sigma_b=0.4,
            loss="logistic",
            C=0.1,
            regularizer=regularizer,
            dtype=None,
        )

        if regularizer == "last_layer":  # the scaled one has 3 features, not many
            assert found.limit_max_deviation.max() < 1e-10
        assert found.max_deviation.max() > 1e-3

    def test_squared_loss_has_a_closed_form(self):
        """Steps are a power of a matrix. Seen red with half the slope."""
        n, C, steps = len(X), 0.5, 30
        found = report(
            SIGNS,
            loss="squared",
            C=C,
            max_iter=steps,
            widths=(8,),
            n_seeds=1,
            dtype=None,
        )

        kernel = NeuralTangent()
        K, rate = kernel(X), found.learning_rate
        M = (1.0 - rate / (n * C)) * np.eye(n) - 2.0 * rate / n * K
        total = np.linalg.solve(np.eye(n) - M, SIGNS)
        total -= np.linalg.matrix_power(M, steps) @ total
        expected = kernel(Q, X) @ (2.0 * rate / n * total)
        np.testing.assert_allclose(found.machine_outputs[:, 0], expected, atol=1e-12)
        ridge = np.linalg.solve(K + np.eye(n) / (2.0 * C), SIGNS)
        np.testing.assert_allclose(
            found.optimum_outputs[:, 0], kernel(Q, X) @ ridge, atol=1e-10
        )

    @pytest.mark.parametrize("loss", ["squared_hinge", "logistic"])
    def test_long_descent_of_the_machine_ends_at_its_optimum(self, loss):
        """Seen red with a penalty of 1 / C."""
        found = report(loss=loss, C=0.1, max_iter=2000, widths=(4,), n_seeds=1)

        model = NTKSVC(loss=loss, C=0.1, tol=1e-8, gap_tol=1e-8).fit(X, TWO)
        expected = model.decision_function(Q)
        np.testing.assert_allclose(found.machine_outputs[:, 0], expected, atol=1e-5)
        np.testing.assert_allclose(found.optimum_outputs[:, 0], expected, atol=1e-3)


class TestReport:
    """What the numbers are."""

    @pytest.mark.parametrize(
        ("regularizer", "init"),
        [("distance", "antisymmetric"), ("last_layer", "standard")],
    )
    def test_networks_are_those_of_the_estimator(self, regularizer, init):
        """Seen red with kernels compared after the training."""
        params = {
            "sigma_b": 0.2,
            "depth": 2,
            "regularizer": regularizer,
            "init": init,
            "dtype": "float64",
            "max_iter": 40,
        }
        found = report(THREE, widths=(8, 16), n_seeds=2, **params)

        streams = np.random.default_rng(0).spawn(4)
        K = NeuralTangent(depth=2, sigma_b=0.2)(X)
        for k, stream in enumerate(streams):
            model = FiniteWidthClassifier(
                width=(8, 8, 16, 16)[k],
                learning_rate=found.learning_rate,
                tol=0.0,
                random_state=stream,
                **params,
            ).fit(X, THREE)
            place = divmod(k, 2)
            values = model.decision_function(Q)
            np.testing.assert_allclose(found.outputs[place], values, atol=1e-12)
            before = model.initial_net_.tangent_kernel(X)
            drift = model.empirical_ntk(X) - before
            for name, change in (
                ("kernel_distance", before - K),
                ("kernel_drift", drift),
            ):
                expected = np.linalg.norm(change) / np.linalg.norm(K)
                assert found.runs[name][place] == pytest.approx(expected, rel=1e-9)
            same = values.argmax(axis=1) == found.machine_outputs.argmax(axis=1)
            assert found.runs.label_agreement[place] == same.mean()
            best = NTKSVC(depth=2, sigma_b=0.2).fit(X, THREE).predict(Q)
            same = model.predict(Q) == best
            assert found.runs.optimum_agreement[place] == same.mean()

    def test_deviation_is_the_largest_along_the_way(self):
        """Seen red with that after the last step."""
        params = {"widths": (16,), "n_seeds": 3, "loss": "squared"}
        rate = 1.8 * report(REAL, max_iter=1, **params).learning_rate  # overshoots

        found = report(REAL, max_iter=2, learning_rate=rate, **params)

        first = report(REAL, max_iter=1, learning_rate=rate, **params)
        before = first.outputs[0] - first.machine_outputs
        last = found.outputs[0] - found.machine_outputs
        assert found.steps.tolist() == [1, 2]
        both = np.array([before, last])
        rms = np.sqrt(np.square(both).mean(axis=(2, 3))).max(axis=0)
        np.testing.assert_allclose(found.runs.rms_deviation[0], rms, rtol=1e-12)
        np.testing.assert_allclose(
            found.runs.max_deviation[0],
            np.abs(both).max(axis=(0, 2, 3)),
            rtol=1e-12,
        )
        assert found.rms_deviation[0] == pytest.approx(rms.mean())
        assert found.std.rms_deviation[0] == pytest.approx(rms.std())

    def test_training_rows_are_test_rows_if_there_are_no_others(self):
        """Seen red with test rows for those of training."""
        params = {"widths": (16, 32), "n_seeds": 2, "max_iter": 30, "dtype": "float64"}

        given, alone = report(**params), report(X_test=None, **params)

        for name in ("rms_deviation", "max_deviation"):
            expected = alone.runs[name]
            np.testing.assert_array_equal(alone.runs[f"train_{name}"], expected)
            np.testing.assert_allclose(given.runs[f"train_{name}"], expected, rtol=1e-9)
        assert alone.outputs.shape == (2, 2, 40, 1)

    def test_slopes_are_those_of_a_regression(self):
        """Seen red with n in place of the degrees of freedom."""
        found = report(widths=(8, 16, 64), n_seeds=3, max_iter=20)

        for name in ("rms", "max", "limit_rms", "limit_max"):
            logs = np.log(found.runs[f"{name}_deviation"])
            line = linregress(np.repeat(np.log(found.widths), 3), logs.ravel())
            assert found[f"{name}_slope"] == pytest.approx(line.slope)
            assert found[f"{name}_slope_error"] == pytest.approx(line.stderr)

    def test_one_width_has_no_slope(self):
        found = report(widths=[8], n_seeds=2, max_iter=5)
        two = report(widths=[8, 16], n_seeds=1, max_iter=5)

        assert np.isnan([found.rms_slope, found.rms_slope_error]).all()
        assert two.rms_slope < 0.0
        assert np.isnan(two.rms_slope_error)

    def test_loss_curves_are_mean_losses(self):
        """Seen red with outputs at the test rows."""
        found = report(X_test=None, loss="logistic", widths=(16,), n_seeds=2)

        def mean_loss(f):
            return np.logaddexp(0.0, -SIGNS * f[..., 0]).mean(axis=-1)

        for curve, outputs in (
            (found.loss_curves[0, :, -1], found.outputs[0]),
            (found.machine_loss_curve[-1], found.machine_outputs),
            (found.limit_loss_curve[-1], found.machine_outputs),
        ):
            np.testing.assert_allclose(curve, mean_loss(outputs), rtol=1e-6)
        assert (np.diff(found.machine_loss_curve) < 0.0).all()
        assert found.loss_curves.shape == (1, 2, len(found.steps))

    def test_numbers_have_no_labels(self):
        found = report(REAL, loss="squared", widths=(8,), n_seeds=1, max_iter=5)

        assert np.isnan(found.label_agreement).all()
        assert np.isnan(found.optimum_agreement).all()

    @pytest.mark.parametrize("y", [SIGNS > 0, SIGNS.astype(int), TWO.tolist()])
    def test_labels_may_be_of_any_type(self, y):
        params = {"widths": (8,), "n_seeds": 1, "max_iter": 20}

        found = report(y, **params)

        np.testing.assert_array_equal(found.outputs, report(TWO, **params).outputs)

    def test_rows_may_be_frames(self):
        """Seen red with the optimum fitted to the frame, which warns of names."""
        params = {"widths": 8, "n_seeds": 1, "max_iter": 20, "random_state": 0}
        names = ["a", "b", "c"]

        found = equivalence_report(
            pd.DataFrame(X, columns=names),
            pd.Series(TWO),
            pd.DataFrame(Q, columns=names),
            **params,
        )

        expected = equivalence_report(X, TWO, Q, **params)
        np.testing.assert_array_equal(found.outputs, expected.outputs)
        np.testing.assert_array_equal(found.optimum_outputs, expected.optimum_outputs)

    def test_threads_change_no_bit(self):
        """Seen red with the same draws for all networks."""
        params = {"widths": (8, 64), "n_seeds": 3, "max_iter": 30, "sigma_b": 0.1}

        one, two, again = (report(n_jobs=n, **params) for n in (1, 2, 1))

        for other in (two, again):
            for name, values in one.runs.items():
                if name != "seconds":
                    np.testing.assert_array_equal(values, other.runs[name])
            np.testing.assert_array_equal(one.outputs, other.outputs)
        assert np.unique(one.runs.rms_deviation).size == 6

    def test_lines_are_printed_on_demand(self, capsys):
        report(widths=(8,), n_seeds=2, max_iter=5)
        assert capsys.readouterr().out == ""

        report(widths=(8,), n_seeds=2, max_iter=5, verbose=1)

        assert capsys.readouterr().out.count("width 8: deviation") == 2

    @pytest.mark.parametrize(
        ("params", "words"),
        [
            ({"widths": (8, 0)}, "'widths' argument must be a whole number >= 1"),
            ({"widths": ()}, "'widths' argument must hold a width"),
            ({"n_seeds": 0}, "'n_seeds' argument"),
            ({"loss": "huber"}, "'loss' argument must be one of 'hinge'"),
            ({"activation": "step"}, "'activation' parameter"),
            ({"activation": np.tanh}, "'activation' parameter"),
            ({"regularizer": "l1"}, "'regularizer' parameter"),
            ({"init": "zero"}, "'init' parameter"),
            ({"learning_rate": 0.0}, "'learning_rate' parameter"),
            ({"max_iter": 0}, "'max_iter' parameter"),
            ({"C": -1.0}, "'C' parameter"),
            ({"epsilon": -1.0, "loss": "squared", "y": REAL}, "'epsilon' parameter"),
            ({"n_jobs": 0}, "'n_jobs' parameter"),
            ({"X_test": Q[:, :2]}, "2 features"),
            ({"X_test": np.full((2, 3), np.nan)}, "NaN"),
            ({"y": TWO[:-1]}, "inconsistent numbers of samples"),
            ({"y": ["one"] * 40}, "one class"),
            ({"loss": "squared", "y": TWO}, "expects numbers"),
            ({"learning_rate": 1e6, "loss": "squared", "y": REAL}, "machine diverged"),
            ({"loss": "squared", "y": 300.0 * REAL}, "width 8 diverged"),
        ],
    )
    def test_bad_input_is_refused(self, params, words):
        with pytest.raises(ValueError, match=words):
            report(**{"widths": (8,), "n_seeds": 1, "max_iter": 200, **params})

    @pytest.mark.parametrize("C", [1e-5, 1e-3, 0.0021])
    @pytest.mark.parametrize("loss", ["hinge", "logistic"])
    def test_penalty_shortens_steps(self, C, loss):
        """Seen red with the eigenvalue alone."""
        params = {"widths": (8,), "n_seeds": 1, "loss": loss, "C": C}

        found = report(X_test=None, **params)

        assert 0.0 < found.horizon / 60 < 0.5
        deviation = found.machine_outputs - found.optimum_outputs
        assert np.abs(deviation).max() < 0.3 * np.abs(found.optimum_outputs).max()

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize(
        ("y", "C"), [(0.0 * REAL, 1.0), (REAL, 1e-12), (SIGNS, 1e-12)]
    )
    def test_rounding_is_no_rise(self, y, C, dtype):
        """Seen red with objectives that may not be above the start by a bit."""
        params = {"loss": "squared", "widths": (8,), "n_seeds": 2, "dtype": dtype}
        found = report(y, C=C, **params)
        assert np.abs(found.outputs).max() < 1e-4

    def test_symmetric_rows(self):
        """Seen red with iterations for the rate from ones."""
        rows = 1e-3 * np.array([*product([-1.0, 1.0], repeat=3)])
        params = {"widths": 8, "n_seeds": 1, "depth": 0, "loss": "squared", "C": 1e8}

        found = equivalence_report(rows, 1e3 * rows[:, 0], random_state=0, **params)

        difference = found.machine_outputs - found.optimum_outputs
        assert np.abs(difference).max() < 0.01

    def test_machines_that_rise_are_refused(self):
        """Whatever is finite. Seen red with infinities refused alone."""
        C = 0.0021
        with pytest.raises(ValueError, match=r"machine diverged: .* or raise C"):
            report(widths=(8,), n_seeds=1, C=C, learning_rate=2.4 * len(X) * C)

    def test_networks_that_rise_are_refused(self):
        """Seen red with infinities refused alone."""
        params = {"loss": "squared", "widths": (4,), "n_seeds": 1, "max_iter": 3}
        with pytest.raises(ValueError, match="width 4 diverged: lower"):
            report(300.0 * REAL, **params)

    def test_huge_networks_are_refused(self):
        with pytest.raises(MemoryError, match="leave out the largest widths"):
            report(widths=(8, 10**7), depth=2, max_iter=1)


class TestPathKernel:
    """The sum of the kernels along the way."""

    @pytest.mark.parametrize("regularizer", ["last_layer", "last_layer_scaled"])
    @pytest.mark.parametrize("loss", ["hinge", "logistic"])
    def test_residual_falls_as_the_learning_rate(self, regularizer, loss):
        """Seen red with biases that decay."""
        model = FiniteWidthClassifier(
            width=64, sigma_b=0.4, loss=loss, C=0.5, regularizer=regularizer
        )

        coarse, fine = (
            path_kernel_residual(
                clone(model).set_params(
                    learning_rate=rate, max_iter=int(20.0 / rate), random_state=0
                ),
                X,
                TWO,
                Q,
            )
            for rate in (1.0, 0.125)
        )

        assert coarse.rms_residual < 0.05 * np.abs(coarse.outputs).max()
        assert 0.06 < fine.rms_residual / coarse.rms_residual < 0.25
        assert fine.max_residual == np.abs(fine.residual).max()

    def test_residual_of_the_distance_falls_with_the_width(self):
        """Seen red without the powers."""
        narrow, wide = (
            path_kernel_residual(
                FiniteWidthClassifier(
                    width=width, C=0.5, learning_rate=0.5, max_iter=40, random_state=0
                ),
                X,
                TWO,
                Q,
            )
            for width in (64, 1024)
        )

        assert wide.rms_residual < 0.5 * narrow.rms_residual

    def test_outputs_are_those_of_the_estimator(self):
        """Seen red with the outputs before the last step."""
        model = FiniteWidthRegressor(
            width=32, sigma_b=0.2, batch_size=16, tol=0.0, max_iter=30, random_state=3
        )

        result = path_kernel_residual(model, X, REAL, Q)

        assert not hasattr(model, "n_features_in_")
        expected = model.fit(X, REAL).predict(Q)
        assert result.learning_rate == model.learning_rate_
        np.testing.assert_allclose(result.outputs, expected, rtol=1e-6, atol=1e-6)
        assert result.rms_residual < 0.1 * np.abs(expected).max()
        np.testing.assert_allclose(
            result.contributions.sum(axis=1) + result.residual, expected, atol=1e-6
        )

    def test_steps_are_as_long_as_those_of_the_estimator(self):
        """Which shortens them when they diverge. Seen red with the first ones."""
        model = FiniteWidthRegressor(width=16, tol=0.0, max_iter=60, random_state=0)

        result = path_kernel_residual(model, X, 1e3 * REAL)

        model.fit(X, 1e3 * REAL)
        start = FiniteWidthRegressor(width=16, tol=0.0, max_iter=1, random_state=0)
        assert model.learning_rate_ < start.fit(X, REAL).learning_rate_
        assert result.learning_rate == model.learning_rate_
        np.testing.assert_allclose(result.outputs, model.predict(X), rtol=1e-6)

    def test_long_steps_are_refused(self):
        """Seen red with outputs that are NaN."""
        model = FiniteWidthRegressor(width=16, learning_rate=50.0, max_iter=60)
        with pytest.raises(ValueError, match="descent diverged: lower"):
            path_kernel_residual(model, X, REAL)

    def test_first_step_is_a_kernel_machine(self):
        """Seen red with the kernel of other weights, and one power more."""
        model = FiniteWidthClassifier(width=16, tol=0.0, max_iter=1, random_state=0)

        result = path_kernel_residual(model, X, TWO)

        K = model.fit(X, TWO).initial_net_.tangent_kernel(X)
        expected = result.learning_rate / len(X) * K * SIGNS
        np.testing.assert_allclose(result.contributions, expected, atol=1e-12)

    def test_several_outputs_and_other_estimators_are_refused(self):
        model = FiniteWidthClassifier(width=8, max_iter=2)

        with pytest.raises(ValueError, match="these targets need 3"):
            path_kernel_residual(model, X, THREE)
        with pytest.raises(TypeError, match="Got a NTKSVC instead"):
            path_kernel_residual(NTKSVC(), X, TWO)
        with pytest.raises(ValueError, match="'width' parameter"):
            path_kernel_residual(model.set_params(width=0), X, TWO)
