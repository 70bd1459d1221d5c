import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit import LeverageDisplay, MultivariateECDF, RidgeLeverageNystroem
from kernelkit.datasets import make_clusters
from kernelkit.exceptions import MissingDependencyError

X = make_clusters(300, random_state=0)[0]


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen and leave no figure behind."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


def sketch(rows=X, **params):
    params = {"gamma": 0.5, "ridge": 1.0, "random_state": 0} | params
    return RidgeLeverageNystroem(**params).fit(rows)


def test_line_falls_through_the_scores():
    """Seen red with scores drawn in the order of the rows."""
    model = sketch()

    display = LeverageDisplay.from_estimator(model, X)

    ranks, heights = display.scores_.get_data()
    np.testing.assert_array_equal(ranks, np.arange(1, 301))
    expected = np.sort(model.leverage_scores(X))[::-1]
    np.testing.assert_allclose(heights, expected, rtol=0, atol=1e-12)
    assert display.mean_.get_ydata()[0] == pytest.approx(expected.mean())


def test_components_lie_on_the_line():
    """Seen red with ranks counted from 0."""
    model = sketch()

    display = LeverageDisplay.from_estimator(model, X)

    line = np.column_stack(display.scores_.get_data())
    marks = np.column_stack(display.components_.get_data())
    scores = model.leverage_scores(X)[model.component_indices_]
    np.testing.assert_allclose(marks[:, 1], scores, rtol=0, atol=1e-12)
    on_line = line[marks[:, 0].astype(int) - 1]
    np.testing.assert_allclose(on_line[:, 1], marks[:, 1], rtol=1e-6)


def test_title_tells_the_bound_and_the_unevenness():
    """Seen red with the median in place of the mean."""
    model = sketch()
    scores = model.leverage_scores(X)

    title = LeverageDisplay.from_estimator(model, X).ax_.get_title()

    m, bound = len(model.components_), model.reconstruction_error_bound()
    assert f"{m} components, error at most {bound:.3g}" in title
    assert f"largest score {scores.max() / scores.mean():.3g} times the mean" in title


def test_scores_over_a_feature():
    """Seen red with the first feature drawn whatever was asked for."""
    model = sketch()

    display = LeverageDisplay.from_estimator(model, X, features=(2,))

    dots = np.asarray(display.scores_.get_offsets())
    expected = np.column_stack([X[:, 2], model.leverage_scores(X)])
    np.testing.assert_allclose(dots, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        np.column_stack(display.components_.get_data()),
        expected[model.component_indices_],
        rtol=0,
        atol=1e-12,
    )
    assert display.colorbar_ is None


def test_scores_over_a_plane():
    """Seen red with colours left in the order of the rows."""
    model = sketch()

    display = LeverageDisplay.from_estimator(model, X, features=(2, 0))

    dots = np.asarray(display.scores_.get_offsets())
    drawn = np.column_stack([dots, display.scores_.get_array()])
    expected = np.column_stack([X[:, [2, 0]], model.leverage_scores(X)])
    np.testing.assert_allclose(
        drawn, expected[np.argsort(expected[:, 2])], rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(
        np.column_stack(display.components_.get_data()), model.components_[:, [2, 0]]
    )
    assert display.colorbar_.ax.get_ylabel() == "ridge leverage score"
    assert display.mean_ is None


@pytest.mark.parametrize("features", [None, (0,), (0, 1)])
def test_scores_of_zero_are_drawn(features, tmp_path):
    """Seen red with a logarithmic colour scale that starts at 0."""
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]])
    model = sketch(rows, kernel="linear")

    display = LeverageDisplay.from_estimator(model, rows, features=features)

    display.figure_.savefig(tmp_path / "leverage.png")
    assert display.scores[0] == 0.0
    if features == (0, 1):
        assert (display.scores_.get_array() > 0.0).all()


def test_sparse_rows_and_a_kernel_matrix_draw_the_same():
    """Seen red with components of a kernel matrix taken for its rows."""
    K = rbf_kernel(X, gamma=0.5)
    expected = LeverageDisplay.from_estimator(sketch(), X)
    rows = sparse.csr_array(X)

    by_sparse = LeverageDisplay.from_estimator(sketch(rows), rows, features=(1, 2))
    by_matrix = LeverageDisplay.from_estimator(sketch(K, kernel="precomputed"), K)

    for display in (by_sparse, by_matrix):
        for name in ("scores", "component_scores"):
            np.testing.assert_allclose(
                getattr(display, name), getattr(expected, name), atol=1e-10
            )
        assert display.bound == pytest.approx(expected.bound)
    with pytest.raises(ValueError, match="use features=None"):
        LeverageDisplay.from_estimator(
            sketch(K, kernel="precomputed"), K, features=(0,)
        )


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ((0, 1, 2), "got 3"),
        ((), "got 0"),
        ((0, 3), "column numbers from 0 to 2"),
    ],
)
def test_undrawable_features_are_refused(features, words):
    with pytest.raises(ValueError, match=words):
        LeverageDisplay.from_estimator(sketch(), X, features=features)


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (make_pipeline(StandardScaler(), RidgeLeverageNystroem()), r"pipeline\[-1\]"),
        (MultivariateECDF(), "Got a MultivariateECDF"),
    ],
)
def test_other_estimators_are_refused(estimator, words):
    """Seen red with any fitted estimator let through."""
    estimator.fit([[0.0], [1.0]])

    with pytest.raises(TypeError, match=f"draws a RidgeLeverageNystroem.*{words}"):
        LeverageDisplay.from_estimator(estimator, [[0.0]])


def test_axis_labels_are_feature_names():
    frame = pd.DataFrame(X, columns=["depth", "width", "age"])

    display = LeverageDisplay.from_estimator(sketch(frame), frame, features=(2, 0))
    unnamed = LeverageDisplay.from_estimator(sketch(), X, features=(1,))

    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("age", "depth")
    assert unnamed.ax_.get_xlabel() == "x1"


@pytest.mark.parametrize("features", [None, (0,), (0, 1)])
def test_second_plot_only_draws(features, monkeypatch):
    display = LeverageDisplay.from_estimator(sketch(), X, features=features)
    first, figure = display.ax_, display.figure_
    for name in ("leverage_scores", "reconstruction_error_bound"):
        monkeypatch.delattr(RidgeLeverageNystroem, name)

    again = display.plot()

    assert again is display
    assert display.ax_ is not first
    assert display.figure_ is not figure


def test_given_axes_and_options_are_used():
    ax = plt.figure().subplots()

    display = LeverageDisplay.from_estimator(
        sketch(), X, ax=ax, color="black", label="flights"
    )

    assert display.ax_ is ax
    assert display.scores_.get_color() == "black"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["flights", "components", "mean of the rows"]


def test_settings_of_matplotlib_stay(monkeypatch):
    before = dict(matplotlib.rcParams)
    monkeypatch.delattr(plt, "show")

    LeverageDisplay.from_estimator(sketch(), X, features=(0, 1))

    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("features", [None, (0,), (0, 1)])
def test_png_is_not_blank(features, tmp_path):
    display = LeverageDisplay.from_estimator(sketch(), X, features=features)

    display.figure_.savefig(tmp_path / "leverage.png")

    pixels = plt.imread(tmp_path / "leverage.png")
    colors = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)
    assert len(colors) > 10


def test_missing_matplotlib_names_the_extra(monkeypatch):
    model = sketch()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    with pytest.raises(MissingDependencyError, match=r"kernelkit\[plot\]"):
        LeverageDisplay.from_estimator(model, X)


def test_import_loads_no_matplotlib():
    """Seen red with matplotlib imported at the top of the module."""
    code = "import sys, kernelkit.plotting.leverage; print('matplotlib' in sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "False\n"
