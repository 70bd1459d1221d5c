"""How a network is learned: starts, solvers, held-out rows, choices."""

import warnings

import numpy as np
import pytest
from reference.rbf_network import predict as reference_predict
from reference.rbf_network import slope
from sklearn.base import clone
from sklearn.datasets import make_friedman1

from kernelkit._parallel import in_order
from kernelkit.rbf_network import fitting, objective
from kernelkit.rbf_network.callbacks import Watch
from kernelkit.rbf_network.centers import choose_centers, merge_rows
from kernelkit.rbf_network.classifier import GaussianRBFClassifier
from kernelkit.rbf_network.fitting import Plan
from kernelkit.rbf_network.network import Columns
from kernelkit.rbf_network.objective import Rows
from kernelkit.rbf_network.regressor import GaussianRBFRegressor
from kernelkit.rbf_network.structure import precision, structure

X, Y = make_friedman1(n_samples=200, n_features=6, noise=0.5, random_state=0)
Q, TRUTH = make_friedman1(n_samples=200, n_features=6, noise=0.5, random_state=1)
quiet = pytest.mark.filterwarnings("ignore:The objective still fell")


def model(n_centers=25, **params):
    defaults = {"precision": "diag", "random_state": 0, "max_iter": 60, "tol": 1e-4}
    params = defaults | params
    return GaussianRBFRegressor(n_centers, **params)


def problem(n=200, m=25, **options):
    X, Y = make_friedman1(n_samples=n, n_features=6, noise=0.5, random_state=0)
    X, Y, _ = merge_rows(X, Y[:, None], None)
    X = Columns.of(X, None).standardise(X, np.float64)
    Y = Columns.of(Y, None).standardise(Y, np.float64)
    C = choose_centers("kmeans", X, None, m, rng=np.random.default_rng(0))
    return Rows(X, Y, None, **options), C


def learn(rows, C, shape, plan, seed=0, **options):
    rng = np.random.default_rng(seed)
    candidates = [fitting.Candidate(shape, C)]
    fits = fitting.learn_all(rows, candidates, plan, rng=rng, run=in_order, **options)
    return fits[0]


class TestStarts:
    """Where a search begins."""

    def test_more_starts_are_never_worse(self):
        """Seen red with the last start kept."""
        rows, C = problem()
        shape = structure("low_rank", 6, 2)

        values = [
            learn(rows, C, shape, Plan(init="random", n_restarts=k), seed=3).value
            for k in (1, 2, 4)
        ]

        assert values[0] >= values[1] >= values[2]

    def test_gradients_find_the_subspace(self):
        """Seen red with the directions of the rows."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 10))
        y = np.sin(2.0 * X[:, :1]) + X[:, :1]
        rows = Rows(X, y - y.mean())

        values, vectors = fitting.agop_spectrum(rows, X[::5])

        assert abs(vectors[0, 0]) > 0.95
        assert values[0] > 5.0 * values[1]

    def test_scale_of_a_start(self):
        """Seen red with the square of the distance."""
        rows, C = problem()

        U = fitting.scaled(np.full(6, 1e3), rows, C)

        assert fitting.median_distance(rows.X * U, C * U) == pytest.approx(1.0)

    def test_equal_rows_have_a_scale(self):
        assert fitting.median_distance(np.zeros((3, 2)), np.zeros((1, 2))) > 0.0

    @quiet
    def test_warm_start_goes_on(self):
        """Seen red with a start from scratch."""
        cold = model(max_iter=5, tol=1e-9, warm_start=True).fit(X, Y)
        first = cold.loss_curve_[-1]

        again = cold.fit(X, Y)

        assert max(again.loss_curve_) <= first
        other = again.set_params(precision="full").fit(X, Y)
        assert other.structure_ == "full"
        narrow = other.fit(X[:, :4], Y)
        assert narrow.n_features_in_ == 4

    @quiet
    @pytest.mark.parametrize(
        "kind", ["iso", "diag", "low_rank", "full", "auto", "full classes"]
    )
    @pytest.mark.parametrize("constant", ["column", "all", "targets"])
    def test_warm_start_after_constants(self, kind, constant):
        """Seen red with factors that are found again by their name alone.

        Those of features that varied too are of no use: a diagonal entry 0 stays.
        """
        params = {"precision": kind.split()[0], "max_iter": 20, "warm_start": True}
        fitted, targets = model(**params), Y
        if "classes" in kind:
            fitted = GaussianRBFClassifier(20, random_state=0, **params)
            targets = Y > 14.0
        before = X.copy(), targets
        if constant == "targets" and "classes" not in kind:
            before = X, np.ones(len(X))
        else:
            before[0][:, : 1 if constant == "column" else 6] = 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted.fit(*before)

        warm = fitted.fit(X, targets).score(X, targets)

        cold = fitted.set_params(warm_start=False).fit(X, targets).score(X, targets)
        assert warm > cold - 0.02

    def test_each_structure_begins_at_its_own_penalty(self):
        """Seen red with the penalty that an earlier structure began at."""
        rows, C = problem(100)
        shapes = [structure("diag", 6), structure("iso", 6)]
        begun = [fitting.Candidate(shapes[0], C, (np.ones(6), 1e3))]
        others = [fitting.Candidate(shapes[1], C)]
        options = {"run": in_order, "plan": Plan(max_iter=2)}

        _, after = fitting.learn_all(
            rows, begun + others, rng=np.random.default_rng(0), **options
        )

        (alone,) = fitting.learn_all(
            rows, others, rng=np.random.default_rng(0), **options
        )
        assert after.alpha == alone.alpha

    @quiet
    def test_warm_start_in_other_units(self):
        """Seen red with centres that stay where they were."""
        scales = [1e3, 1.0, 1.0, 1.0, 1.0, 1.0]
        fitted = model(warm_start=True).fit(X, Y)

        again = fitted.fit(X * scales, Y).predict(Q * scales)

        expected = model(warm_start=True).fit(X, Y).fit(X, Y).predict(Q)
        np.testing.assert_allclose(again, expected, rtol=1e-3)

    @quiet
    def test_warm_start_with_more_centers(self):
        """Seen red with the old centres."""
        fitted = model(10, warm_start=True).fit(X, Y)

        fitted.set_params(n_centers=40).fit(X, Y)

        assert fitted.centers_.shape == (40, 6)


class TestStages:
    """What comes after the first search."""

    @quiet
    def test_learned_centers_lower_the_objective(self):
        """Seen red with centres that stay."""
        fixed = model(8, tol=1e-6).fit(X, Y)
        learned = model(8, tol=1e-6, learn_centers=True).fit(X, Y)

        assert learned.loss_curve_[-1] < fixed.loss_curve_[-1] - 0.05
        assert learned.score(Q, TRUTH) > fixed.score(Q, TRUTH)
        assert np.abs(learned.centers_ - fixed.centers_).max() > 1e-3

    @quiet
    def test_early_stopping_keeps_the_best(self):
        """Seen red with no rows held out."""
        fitted = model(
            precision="full", early_stopping=True, n_iter_no_change=4, tol=0.0
        ).fit(X[:80], Y[:80])

        scores = fitted.validation_scores_
        best = int(np.argmax(scores))
        assert len(scores) == fitted.n_iter_ == best + 5 or fitted.n_iter_ == 60
        assert len(fitted.loss_curve_) == len(scores)

    def test_best_iterate_is_returned(self):
        """Seen red with the last iterate kept."""
        rows, C = problem(80)
        held = rows.part(slice(None, None, 5))
        kept = rows.part(np.delete(np.arange(80), slice(None, None, 5)))
        plan = Plan(patience=3, tol=0.0)

        fit = learn(kept, C, structure("full", 6), plan, held=held)

        solution = objective.solve(kept.normal(fit.U, fit.C), fit.alpha)
        got = fitting.score_on(held)(fit.U, fit.C, solution)
        assert got == pytest.approx(max(fit.scores), rel=1e-8)

    @quiet
    @pytest.mark.parametrize("m", [6, 20])
    def test_best_iterate_of_both_stages_is_returned(self, m):
        """Seen red with the best of the second stage, whatever the first one scored."""
        rng = np.random.default_rng(20)
        Z = rng.normal(size=(80, 5))
        y = np.sin(2.0 * Z[:, 0]) + Z[:, 1] * Z[:, 2] + 0.8 * rng.normal(size=80)
        rows = Rows(Z[:64], y[:64, None] - y.mean())
        held = Rows(Z[64:], y[64:, None] - y.mean())
        shape = structure("full", 5)

        plan = Plan(learn_centers=True, mu=1e-6, patience=5, tol=0.0)
        C = choose_centers("random", rows.X, None, m, rng=rng)
        fit = learn(rows, C, shape, plan, held=held)

        solution = objective.solve(rows.normal(fit.U, fit.C), fit.alpha)
        got = fitting.score_on(held)(fit.U, fit.C, solution)
        assert got == pytest.approx(max(fit.scores), rel=1e-6)
        assert (fit.C == C).all() == (m == 20)

    @quiet
    def test_value_belongs_to_the_iterate(self):
        """Seen red with that of the last iterate."""
        rows, C = problem(80)
        held = rows.part(slice(None, None, 5))
        kept = rows.part(np.delete(np.arange(80), slice(None, None, 5)))

        fit = learn(kept, C, structure("full", 6), Plan(patience=3, tol=0.0), held=held)

        at = fit.U, fit.C, np.log(fit.alpha)
        assert fit.loss == pytest.approx(objective.evidence(kept, *at).value, rel=1e-9)

    def test_score_is_r_squared(self):
        """Seen red with the constant left out."""
        rows, C = problem()
        U = 0.3 * np.ones(6)
        solution = objective.solve(rows.normal(U, C), 0.1)

        got = fitting.score_on(rows)(U, C, solution)

        predicted = objective.basis(rows.X, U, C, "gaussian") @ solution.coef
        residuals = rows.Y - predicted - solution.intercept
        assert got == pytest.approx(1.0 - residuals.var() / rows.Y.var(), rel=1e-6)


class TestSolvers:
    """Both ways to minimise."""

    @pytest.mark.parametrize("name", ["evidence", "ridge"])
    def test_adam_comes_near(self, name, monkeypatch):
        """Seen red with steps of wrong sign."""
        monkeypatch.setattr(fitting, "_BATCH", 100)
        monkeypatch.setattr(fitting, "_BATCH_PER_CENTER", 1)
        rows, C = problem(600)
        shape = structure("diag", 6)
        plan = Plan(objective=name, tol=0.0)

        exact = learn(rows, C, shape, plan).value
        near = learn(rows, C, shape, Plan(objective=name, solver="adam", tol=0.0))

        start = near.curve[0]
        assert near.value - exact < 0.1 * (start - exact)

    def test_adam_moves_centers(self):
        rows, C = problem(300, 8)
        plan = Plan(solver="adam", learn_centers=True, max_iter=20)

        fit = learn(rows, C, structure("diag", 6), plan)

        assert np.abs(fit.C - C).max() > 1e-3
        assert np.isfinite(fit.value)

    def test_many_rows_are_taken_in_batches(self, monkeypatch):
        """Seen red with the limit ignored."""
        monkeypatch.setattr("kernelkit.rbf_network.regressor._ADAM_ROWS", 100)
        monkeypatch.setattr("kernelkit.rbf_network.fitting._BATCH", 50)

        watch = Watch(model(), X, Y)
        few, many = (problem(n)[0] for n in (100, 200))
        fitted = model(max_iter=30).fit(X, Y)

        assert model()._plan(many, watch).solver == "adam"
        assert model()._plan(few, watch).solver == "lbfgs"
        assert model(solver="lbfgs")._plan(many, watch).solver == "lbfgs"
        assert fitted.score(Q, TRUTH) > 0.7

    def test_adam_ends_with_a_look_at_its_last_step(self, monkeypatch):
        """Seen red with batches of which nothing came."""
        rows, C = problem(600)
        monkeypatch.setattr(fitting, "_BATCH", 100)
        monkeypatch.setattr(fitting, "_BATCH_PER_CENTER", 1)
        calls = []
        evaluate = fitting.Target.evaluate
        monkeypatch.setattr(
            fitting.Target,
            "evaluate",
            lambda target, vector: calls.append(1) or evaluate(target, vector),
        )

        learn(rows, C, structure("diag", 6), Plan(solver="adam", tol=0.0, max_iter=2))

        assert len(calls) == 2 * 6

    @quiet
    @pytest.mark.parametrize("alpha", [1e-12, 1e2, 1e6, 1e12])
    def test_any_penalty_to_begin_with(self, alpha):
        """Seen red with a start where all weights are nothing."""
        fitted = model(alpha=alpha, tol=1e-6).fit(X, Y)

        assert fitted.score(Q, TRUTH) > 0.85

    def test_blocks_change_nothing_but_rounding(self):
        whole = model(max_iter=8, tol=1e-2).fit(X, Y).predict(Q)
        parts = model(max_iter=8, tol=1e-2, batch_rows=33).fit(X, Y).predict(Q)

        np.testing.assert_allclose(parts, whole, rtol=1e-6)

    def test_a_failed_value_is_stepped_back_from(self):
        rows, C = problem()
        shape = structure("diag", 6)
        target = fitting.Target(rows, shape, C, Plan(), 0.1, 0.0)

        value, gradient, solution = target.evaluate(np.full(7, np.nan))

        assert value == 1e10
        assert not gradient.any()
        assert solution is None

    def test_penalties_are_part_of_the_gradient(self):
        """Seen red without the penalty of the centres."""
        rows, C = problem(60, 5)
        shape = structure("low_rank", 6, 2)
        target = fitting.Target(rows, shape, C, Plan(), 0.3, 0.7)
        rng = np.random.default_rng(0)
        vector = target.pack(shape.random(rng), C + 0.1 * rng.normal(size=C.shape), 0.1)

        _, gradient, _ = target.evaluate(vector)

        expected = slope(lambda v: target.evaluate(v)[0], vector)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, atol=1e-6 * scale)


class TestVerbosity:
    """What is printed."""

    def test_silence(self, capsys):
        model().fit(X, Y)

        assert capsys.readouterr() == ("", "")

    def test_a_line_for_each_search(self, capsys):
        fitted = model(verbose=1).fit(X, Y)

        out = capsys.readouterr().out
        assert out.count("\n") == 1
        assert f"diag: {fitted.n_iter_} iterations, objective" in out

    def test_a_line_for_each_iteration(self, capsys):
        fitted = model(verbose=2, early_stopping=True).fit(X, Y)

        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == fitted.n_iter_ + 1
        assert "held out" in lines[0]
        assert "effective rank" in lines[0]


class TestAuto:
    """What is done with several structures."""

    @pytest.mark.parametrize("selection", ["average", "bic"])
    def test_axes_are_found(self, selection):
        """Seen red with the largest cost chosen."""
        fitted = model(80, precision="auto", selection=selection).fit(X, Y)

        assert fitted.structure_ == "diag"
        assert sum(fitted.structures_.values()) == pytest.approx(1.0)
        assert fitted.structures_["diag"] == max(fitted.structures_.values())
        if selection == "bic":
            assert fitted.structures_ == {"diag": 1.0}

    @quiet
    @pytest.mark.parametrize("selection", ["average", "bic", "holdout", "cv"])
    def test_slanted_direction_is_found(self, selection):
        """Seen red without the cost of free parameters."""
        rng = np.random.default_rng(0)
        rows, direction = rng.normal(size=(200, 8)), rng.normal(size=8)
        t = rows @ direction / np.linalg.norm(direction)
        y = np.sin(2.0 * t) + t / 2.0 + 0.1 * rng.normal(size=200)

        fitted = model(40, precision="auto", selection=selection, max_iter=30)
        fitted.fit(rows, y)

        assert fitted.structure_ != "diag"
        if selection in ("average", "bic"):
            assert fitted.structure_ == "low_rank(1)"
        else:
            assert list(fitted.structures_.values()) == [1.0]

    def test_mean_of_networks(self):
        """Seen red with networks that all count alike.

        Each is fitted with centres of its own, and all are told apart by name.
        """
        fitted = model(precision="auto", tol=1e-3).fit(X[:60], Y[:60])

        networks = fitted._networks
        assert len(networks) > 1
        np.testing.assert_allclose(
            fitted.predict(Q), reference_predict(fitted, Q), rtol=1e-9
        )
        assert fitted.centers_.shape == (25 * len(networks), 6)
        assert fitted.dual_coef_.shape == (25 * len(networks),)
        P = sum(net.share * precision(net.U) for net in networks)
        np.testing.assert_allclose(fitted.precision_, P)
        G = slope(lambda x: fitted.predict(x[None])[0], Q[0])
        np.testing.assert_allclose(fitted.gradient(Q[:1])[0], G, rtol=1e-5)

    def test_variance_of_a_mean(self):
        """Seen red without the differences between networks."""
        fitted = model(precision="auto", tol=1e-3).fit(X[:60], Y[:60])

        _, std = fitted.predict(Q, return_std=True)

        Z = (Q - fitted.mean_) / fitted.scale_
        each = [net.predict(Z, "gaussian", True) for net in fitted._networks]
        shares = np.array([net.share for net in fitted._networks])
        means = np.array([mean[:, 0] for mean, _ in each])
        squares = np.array([variance[:, 0] for _, variance in each]) + means**2
        variance = shares @ squares - (shares @ means) ** 2
        np.testing.assert_allclose(std, Y[:60].std() * np.sqrt(variance))

    def test_shares(self):
        """Seen red without the least share."""
        got = fitting.shares(np.array([0.0, 0.1, 9.0]), 100.0)

        assert got[2] == 0.0
        assert got[1] / got[0] == pytest.approx(np.exp(-1.0))
        assert got.sum() == pytest.approx(1.0)

    def test_structures(self):
        """Seen red with "full" for few rows."""
        names = [str(shape) for shape in fitting.structures(10, 1000)]
        ranks = [f"low_rank({k})" for k in (1, 2, 3, 5)]
        assert names == ["diag", *ranks, "full"]
        assert [str(s) for s in fitting.structures(10, 100)] == ["diag", *ranks]
        assert [str(s) for s in fitting.structures(50, 20)] == ["iso", "diag", *ranks]
        assert [str(s) for s in fitting.structures(1, 100)] == ["diag"]


class Counting:
    """A callback that counts iterations, and stops after some."""

    def __init__(self, most=np.inf):
        self.most, self.calls = most, []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.calls.append(context.task_name)
        return self.calls.count("iteration") >= self.most


@pytest.mark.skipif(
    not hasattr(GaussianRBFRegressor, "set_callbacks"),
    reason="scikit-learn has callbacks from 1.9 on",
)
class TestCallbacks:
    """Callbacks of scikit-learn."""

    def test_every_iteration_is_reported(self):
        """Seen red with no iteration reported."""
        counting = Counting()
        fitted = model(precision="auto", tol=1e-3, n_jobs=2)

        fitted.set_callbacks(counting).fit(X, Y)

        assert counting.calls[0] == "setup"
        assert counting.calls[-2:] == ["fit", "teardown"]
        assert counting.calls.count("iteration") > fitted.n_iter_

    @quiet
    def test_a_callback_may_stop(self):
        """Seen red with its wish ignored."""
        fitted = model().set_callbacks(Counting(3)).fit(X, Y)

        assert fitted.n_iter_ == 3

    @quiet
    @pytest.mark.parametrize(
        "estimator",
        [
            model(n_restarts=3, learn_centers=True),
            GaussianRBFClassifier(20, precision="auto", random_state=0),
        ],
        ids=["numbers", "classes"],
    )
    def test_a_callback_stops_all_searches(self, estimator):
        """Seen red with an end of the search that was going on alone."""
        counting = Counting(3)

        fitted = clone(estimator).set_callbacks(counting).fit(X, Y > 14.0)

        assert counting.calls.count("iteration") == 3
        assert np.isfinite(fitted.predict(Q)).all()

    def test_a_callback_may_raise(self):
        counting = Counting()
        counting.on_fit_task_begin = lambda estimator, context: 1 / 0

        with pytest.raises(ZeroDivisionError):
            model().set_callbacks(counting).fit(X, Y)

        assert counting.calls == ["setup", "teardown"]

    def test_nothing_to_fit_is_reported_too(self):
        counting = Counting()

        with pytest.warns(UserWarning, match="y is constant"):
            model().set_callbacks(counting).fit(X, np.ones(len(Y)))

        assert counting.calls == ["setup", "fit", "teardown"]
