import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from kernelkit.design.bases import LegendreBasis
from kernelkit.design.least_squares import DesignLeastSquares
from kernelkit.exceptions import MissingDependencyError
from kernelkit.plotting.design import DesignDisplay

X = np.random.default_rng(0).standard_t(3, size=(400, 2))
SQUARE = LegendreBasis(3, bounds=[(-1.0, 1.0), (0.0, 5.0)])


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen and leave no figure behind."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


def fitted(rows=X, **params):
    model = DesignLeastSquares(PolynomialFeatures(2), random_state=0, **params)
    return model.fit(rows, rows[:, 0])


def fitted_on_domain(**params):
    model = DesignLeastSquares(random_state=0, **params)
    return model.fit_function(lambda points: points[:, 0], SQUARE)


def legend_texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


class TestPoints:
    def test_stems_are_weights_at_chosen_rows(self):
        """Seen red with the weights in another order, and with all rows."""
        rows = X[:, :1]
        model = fitted(rows)

        display = DesignDisplay.from_estimator(model, rows)

        design = model.design_
        expected = np.column_stack([rows[design.indices, 0], design.weights])
        np.testing.assert_array_equal(display.points_.get_offsets(), expected)
        tops = [segment[1] for segment in display.stems_.get_segments()]
        np.testing.assert_array_equal(tops, expected)
        assert np.isin(display.rows_.get_xdata(), rows).all()
        assert legend_texts(display) == ["chosen points", "rows"]

    def test_plane_shows_chosen_rows_in_the_colour_of_their_weights(self):
        """Seen red with the two features swapped, and with draws for weights."""
        model = fitted()

        display = DesignDisplay.from_estimator(model, X)

        design = model.design_
        np.testing.assert_array_equal(display.points_.get_offsets(), X[design.indices])
        np.testing.assert_array_equal(display.points_.get_array(), design.weights)
        assert display.colorbar_.ax.get_ylabel() == "weight"
        dots = {tuple(dot) for dot in np.asarray(display.rows_.get_offsets())}
        assert dots <= set(map(tuple, X))

    def test_points_of_a_domain(self):
        model = fitted_on_domain()

        display = DesignDisplay.from_estimator(model)

        np.testing.assert_array_equal(
            display.points_.get_offsets(), model.design_.points
        )
        assert display.rows_ is None

    def test_points_of_a_line(self):
        display = DesignDisplay.from_estimator(fitted_on_domain(), features=(1,))

        assert display.rows_ is None
        assert display.ax_.get_xlabel() == "x1"
        assert legend_texts(display) == ["chosen points"]

    def test_names_are_those_of_the_fit(self):
        frame = pd.DataFrame(np.hstack([X, X[:, :1] ** 3]), columns=["a", "b", "c"])
        model = DesignLeastSquares(random_state=0).fit(frame, frame["a"])

        display = DesignDisplay.from_estimator(model, frame, features=(2, 0))

        assert display.ax_.get_xlabel() == "c"
        assert display.ax_.get_ylabel() == "a"
        chosen = frame.to_numpy()[model.design_.indices][:, [2, 0]]
        np.testing.assert_array_equal(display.points_.get_offsets(), chosen)

    @pytest.mark.parametrize("ratio", [2.0, 1e6])
    def test_colours_tell_weights_of_any_range_apart(self, ratio):
        """Seen red with colours in proportion throughout."""
        weights = np.geomspace(1.0, ratio, 5)

        display = DesignDisplay(X[:5], weights, feature_names=["a", "b"]).plot()

        places = display.points_.norm(weights)
        assert np.diff(places).min() > 0.1

    def test_weight_of_zero_is_drawn(self):
        """Seen red with logarithms throughout."""
        weights = np.array([0.0, 1.0, 1000.0])

        display = DesignDisplay(X[:3], weights, feature_names=["a", "b"]).plot()

        assert display.points_.norm(weights).tolist() == [0.0, 0.001, 1.0]


class TestStability:
    def test_curves_are_of_designs(self):
        """Seen red with means for medians, and with one method for all."""
        model = fitted()

        display = DesignDisplay.from_estimator(model, X, kind="stability")

        stability = display.stability
        assert list(display.lines_) == ["dpp_repeat", "iid", "uniform"]
        for method, line in display.lines_.items():
            values = stability.lambda_min[method]
            assert values.shape == (9, 20)
            assert ((values >= 0.0) & (values <= 1.0)).all()
            np.testing.assert_array_equal(line.get_xdata(), stability.n_draws)
            np.testing.assert_array_equal(line.get_ydata(), np.median(values, axis=1))
        assert stability.n_draws[0] == 12
        assert stability.n_draws[-1] == max(60, model.design_.n_draws)
        means = {method: v.mean() for method, v in stability.lambda_min.items()}
        assert means["dpp_repeat"] > means["iid"] > means["uniform"]

    def test_design_and_threshold_are_marked(self):
        """Seen red with delta for the threshold."""
        model = fitted(delta=0.4)

        display = DesignDisplay.from_estimator(model, X, kind="stability", n_designs=2)

        assert display.fitted_.get_xdata().tolist() == [model.design_.n_draws]
        assert display.fitted_.get_ydata().tolist() == [model.lambda_min_]
        assert set(display.threshold_.get_ydata()) == {0.6}
        assert legend_texts(display)[-2:] == ["asked for: 0.6", "fitted"]

    def test_a_domain_has_a_stability(self):
        display = DesignDisplay.from_estimator(
            fitted_on_domain(delta=None), kind="stability", n_designs=2
        )

        assert display.threshold_ is None
        assert display.stability.n_draws[0] == 20

    @pytest.mark.parametrize(
        ("params", "first"),
        [
            ({"sampling": "dpp"}, "dpp_repeat"),
            ({"sampling": "uniform", "n_samples": 40, "delta": None}, "uniform"),
            ({"sampling": "mixture", "zeta": 0.5, "n_samples": 60}, "mixture"),
        ],
    )
    def test_the_method_of_the_estimator_comes_first(self, params, first):
        model = fitted(**{"delta": 0.99, **params})

        display = DesignDisplay.from_estimator(model, X, kind="stability", n_designs=1)

        assert list(display.lines_) == list(dict.fromkeys([first, "iid", "uniform"]))

    def test_sizes_end_with_the_pool(self):
        model = fitted(X[:20])

        display = DesignDisplay.from_estimator(
            model, X[:20], kind="stability", n_designs=2
        )

        assert display.stability.n_draws.tolist() == [12, 18, 20]

    def test_as_few_rows_as_features(self):
        """Seen red with a warning of so few independent draws."""
        model = fitted(X[:6])

        display = DesignDisplay.from_estimator(
            model, X[:6], kind="stability", n_designs=2
        )

        assert display.stability.n_draws.tolist() == [6]

    def test_dependent_features_are_told_by_the_fit_alone(self):
        """Seen red with the warning of `fit` once more."""
        doubled = np.hstack([X, X[:, :1]])
        with pytest.warns(UserWarning, match="depend linearly"):
            model = DesignLeastSquares(random_state=0).fit(doubled, X[:, 0])

        DesignDisplay.from_estimator(model, doubled, kind="stability", n_designs=1)

    def test_weights_of_rows_matter(self):
        weights = np.where(X[:, 0] > 0, 1.0, 0.0)
        model = DesignLeastSquares(random_state=0).fit(X, X[:, 1], weights)

        curves = [
            DesignDisplay.from_estimator(
                model, X, kind="stability", n_designs=2, sample_weight=w
            ).stability.lambda_min["iid"]
            for w in (None, weights)
        ]

        assert (curves[0] != curves[1]).any()

    def test_more_features_than_can_be_drawn_have_a_stability(self):
        rows = np.hstack([X, X**3])
        model = DesignLeastSquares(random_state=0).fit(rows, X[:, 0])

        display = DesignDisplay.from_estimator(
            model, rows, kind="stability", n_designs=2
        )

        assert len(display.lines_) == 3
        with pytest.raises(ValueError, match="one or two features"):
            DesignDisplay.from_estimator(model, rows)


class TestUse:
    @pytest.mark.parametrize("kind", ["points", "stability"])
    def test_plot_again_draws_the_same(self, kind):
        display = DesignDisplay.from_estimator(fitted(), X, kind=kind, n_designs=2)
        _, ax = plt.subplots()
        before = display.ax_

        display.plot(ax=ax)

        assert display.ax_ is ax is not before
        assert display.figure_ is ax.figure
        assert len(ax.lines) == len(before.lines)
        assert len(ax.collections) == len(before.collections)

    @pytest.mark.parametrize("kind", ["points", "stability"])
    def test_picture_has_ink(self, kind):
        display = DesignDisplay.from_estimator(fitted(), X, kind=kind, n_designs=2)

        display.figure_.canvas.draw()

        pixels = np.asarray(display.figure_.canvas.buffer_rgba())[:, :, :3]
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20

    def test_keywords_reach_the_artists(self):
        points = DesignDisplay.from_estimator(fitted(), X, cmap="magma", s=3.0)
        lines = DesignDisplay.from_estimator(
            fitted(), X, kind="stability", n_designs=1, linewidth=3.0
        )

        assert points.points_.get_cmap().name == "magma"
        assert points.points_.get_sizes().tolist() == [3.0]
        assert lines.lines_["iid"].get_linewidth() == 3.0

    @pytest.mark.parametrize(
        ("model", "rows", "options", "words"),
        [
            (fitted(), None, {}, "pass X, the rows that fit saw"),
            (fitted(), X[:3], {}, "pass the rows that fit saw"),
            (fitted(), X[:, :1], {}, "expecting 2 features"),
            (fitted(), X, {"kind": "rows"}, "'kind' argument must be one of"),
            (fitted(), X, {"kind": "stability", "n_designs": 0}, "'n_designs'"),
            (fitted(), X, {"features": (0, 2)}, "column numbers from 0 to 1"),
        ],
    )
    def test_wrong_use_is_refused(self, model, rows, options, words):
        with pytest.raises(ValueError, match=words):
            DesignDisplay.from_estimator(model, rows, **options)

    def test_a_sampled_measure_has_no_stability(self):
        model = DesignLeastSquares(random_state=0).fit_function(
            lambda points: points[:, 0],
            PolynomialFeatures(1),
            measure=lambda n, rng: rng.uniform(size=(n, 2)),
        )

        with pytest.raises(ValueError, match="X has to be given"):
            DesignDisplay.from_estimator(model, kind="stability")
        rows = np.random.default_rng(1).uniform(size=(100, 2))
        curves = DesignDisplay.from_estimator(
            model, rows, kind="stability", n_designs=1
        ).stability
        assert curves.n_draws[0] == 2 * model.rank_

    @pytest.mark.parametrize(
        "law",
        [
            {"measure": lambda n, rng: rng.uniform(size=(n, 2))},
            {"density": lambda points: points[:, 1]},
        ],
    )
    def test_a_changed_law_of_a_basis_has_no_stability(self, law):
        """Seen red with the stability for the law of the basis itself."""
        model = DesignLeastSquares(random_state=0).fit_function(
            lambda points: points[:, 0], SQUARE, **law
        )

        with pytest.raises(ValueError, match="X has to be given"):
            DesignDisplay.from_estimator(model, kind="stability")

    def test_other_estimators_are_refused(self):
        pipeline = make_pipeline(StandardScaler(), DesignLeastSquares(random_state=0))

        with pytest.raises(TypeError, match=r"pass pipeline\[-1\]"):
            DesignDisplay.from_estimator(pipeline.fit(X, X[:, 0]), X)
        with pytest.raises(NotFittedError):
            DesignDisplay.from_estimator(DesignLeastSquares(), X)

    def test_missing_matplotlib_is_told(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

        with pytest.raises(MissingDependencyError, match=r"kernelkit\[plot\]"):
            DesignDisplay.from_estimator(fitted(), X)
