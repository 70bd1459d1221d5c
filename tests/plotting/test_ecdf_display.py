import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit import ECDFDisplay, MultivariateECDF, ProductKernelDensity
from kernelkit.exceptions import MissingDependencyError


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen and leave no figure behind."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


def normal_rows(n_samples, n_features, decimals=1):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_samples, n_features)).round(decimals)  # with ties


@pytest.mark.parametrize("weights", [None, np.arange(60.0)])
def test_line_equals_cdf(weights):
    """Seen red with nodes moved by a tenth after the evaluation."""
    X = normal_rows(60, 1)
    X[:2, 0] = -np.inf, np.inf
    distribution = MultivariateECDF().fit(X, sample_weight=weights)

    display = ECDFDisplay.from_estimator(distribution, method="wilson")

    nodes, heights = display.line_.get_data()
    expected = distribution.cdf(np.asarray(nodes)[:, None])
    np.testing.assert_allclose(heights, expected, rtol=0, atol=1e-12)
    assert np.isin(np.unique(X[2:]), nodes).all(), "every step is drawn"
    assert display.line_.get_drawstyle() == "steps-post"


@pytest.mark.parametrize("method", ["dkw", "wilson"])
def test_band_equals_confidence_band(method):
    """Seen red with the default `method` passed on instead of the given one."""
    distribution = MultivariateECDF().fit(normal_rows(60, 1))

    display = ECDFDisplay.from_estimator(distribution, level=0.8, method=method)

    corners = display.band_.get_paths()[0].vertices
    nodes = np.asarray(display.line_.get_xdata())
    bounds = distribution.confidence_band(nodes[:, None], level=0.8, method=method)
    for bound in bounds:
        drawn = np.column_stack([nodes, bound])
        distance = np.abs(corners[:, None] - drawn).max(axis=2).min(axis=0)
        assert distance.max() < 1e-12
    assert "80% confidence band" in legend_texts(display)


def test_no_level_draws_no_band():
    display = ECDFDisplay.from_estimator(
        MultivariateECDF().fit([[0.0], [1.0]]), level=None
    )

    assert display.band_ is None
    assert not display.ax_.collections


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (make_pipeline(StandardScaler(), MultivariateECDF()), r"pipeline\[-1\]"),
        (ProductKernelDensity(), "Got a ProductKernelDensity"),
    ],
)
def test_other_estimators_are_refused(estimator, words):
    """Seen red with any fitted estimator let through."""
    estimator.fit([[0.0], [1.0]])

    with pytest.raises(TypeError, match=f"draws a MultivariateECDF.*{words}"):
        ECDFDisplay.from_estimator(estimator)


def test_simultaneous_band_of_unequal_weights_is_refused():
    distribution = MultivariateECDF().fit([[0.0], [1.0]], sample_weight=[1.0, 2.0])

    with pytest.raises(ValueError, match="use method='wilson'"):
        ECDFDisplay.from_estimator(distribution, method="dkw")


def test_band_of_unequal_weights_is_pointwise_by_default():
    """Seen red with the simultaneous band as the default, which raises."""
    distribution = MultivariateECDF().fit([[0.0], [1.0]], sample_weight=[1.0, 2.0])

    display = ECDFDisplay.from_estimator(distribution)

    wilson = distribution.confidence_band(display.nodes[0][:, None], method="wilson")
    np.testing.assert_array_equal(display.band, wilson)


def test_contours_hold_the_nodes_of_their_level():
    """Seen red with the values not transposed."""
    X = normal_rows(53, 2) * [1.0, 30.0]  # of k / 53 only 0 and 1 are contour levels
    distribution = MultivariateECDF().fit(X)

    display = ECDFDisplay.from_estimator(distribution)

    levels = np.linspace(0.0, 1.0, 11)
    mesh = np.stack(np.meshgrid(*display.nodes, indexing="ij"), axis=-1)[1:-1, 1:-1]
    queries = mesh.reshape(-1, 2)
    cdf = distribution.cdf(queries)
    np.testing.assert_allclose(
        display.values[1:-1, 1:-1].ravel(), cdf, rtol=0, atol=1e-12
    )
    partial = (cdf > 0.0) & (cdf < 1.0)
    bins = np.digitize(cdf, levels) - 1
    for k, path in enumerate(display.contour_.get_paths()):
        inside = path.contains_points(queries[partial])
        np.testing.assert_array_equal(inside, bins[partial] == k)
    assert display.colorbar_.ax.get_ylabel() == "cumulative probability"


def test_dots_are_rows():
    """Seen red with the two features of the dots swapped."""
    X = normal_rows(2500, 2, decimals=6)

    display = ECDFDisplay.from_estimator(MultivariateECDF().fit(X), grid_resolution=10)

    dots = {tuple(dot) for dot in np.asarray(display.rows_.get_offsets())}
    assert dots <= set(map(tuple, X))
    assert 150 <= len(dots) <= 300


@pytest.mark.parametrize("features", [(2, 0), (1,)])
def test_features_select_a_marginal(features):
    """Seen red with `features` sorted on the way."""
    X = normal_rows(40, 3)
    weights = np.arange(40.0)
    distribution = MultivariateECDF().fit(X, sample_weight=weights)

    display = ECDFDisplay.from_estimator(
        distribution, features=features, method="wilson"
    )

    mesh = np.stack(np.meshgrid(*display.nodes, indexing="ij"), axis=-1)
    queries = np.full((display.values.size, 3), np.inf)
    queries[:, features] = mesh.reshape(-1, len(features))
    expected = distribution.cdf(queries)
    np.testing.assert_allclose(display.values.ravel(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (None, r"got 3: .*features=\(i, j\)"),
        ((), "got 0"),
        ((0, 3), "column numbers from 0 to 2"),
        ((-1,), "column numbers from 0 to 2"),
        (("depth",), "column numbers from 0 to 2"),
    ],
)
def test_undrawable_features_are_refused(features, words):
    distribution = MultivariateECDF().fit(normal_rows(5, 3))

    with pytest.raises(ValueError, match=words):
        ECDFDisplay.from_estimator(distribution, features=features)


def test_axis_labels_are_feature_names():
    frame = pd.DataFrame(normal_rows(9, 3), columns=["depth", "width", "age"])

    display = ECDFDisplay.from_estimator(MultivariateECDF().fit(frame), features=(2, 0))
    unnamed = ECDFDisplay.from_estimator(
        MultivariateECDF().fit(frame.to_numpy()), features=(2, 0)
    )

    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("age", "depth")
    assert (unnamed.ax_.get_xlabel(), unnamed.ax_.get_ylabel()) == ("x2", "x0")


def test_x_sets_the_range():
    """Seen red with `X` ignored."""
    distribution = MultivariateECDF().fit(normal_rows(80, 1))

    display = ECDFDisplay.from_estimator(distribution, [[0.0], [1.0]])

    nodes, heights = display.line_.get_data()
    assert (nodes[0], nodes[-1]) == (-0.05, 1.05)
    expected = distribution.cdf(np.asarray(nodes)[:, None])
    np.testing.assert_allclose(heights, expected, rtol=0, atol=1e-12)


def test_few_nodes_follow_the_steps():
    """Seen red with nodes spread evenly over the range of the values."""
    X = np.random.default_rng(0).lognormal(sigma=3.0, size=(5000, 1))

    display = ECDFDisplay.from_estimator(MultivariateECDF().fit(X), grid_resolution=50)

    assert display.values.size <= 52
    assert np.diff(display.values).max() <= 1 / 49 + 1 / 5000


@pytest.mark.parametrize(
    "X", [[[3.0]], [[1e300], [1e300]], [[0], [2**62]], [[True], [False]]]
)
def test_degenerate_columns_are_drawn(X):
    display = ECDFDisplay.from_estimator(MultivariateECDF().fit(X))

    assert display.values[0] == 0.0
    assert display.values[-1] == 1.0


def test_column_without_finite_value_is_refused():
    distribution = MultivariateECDF().fit([[np.inf], [-np.inf]])

    with pytest.raises(ValueError, match="no finite value"):
        ECDFDisplay.from_estimator(distribution)


@pytest.mark.parametrize("n_features", [1, 2])
def test_second_plot_only_draws(n_features, monkeypatch):
    """Seen red with an evaluation moved into `plot`."""
    display = ECDFDisplay.from_estimator(
        MultivariateECDF().fit(normal_rows(30, n_features))
    )
    first, figure = display.ax_, display.figure_
    for name in ("fit", "cdf", "evaluate_grid", "confidence_band"):
        monkeypatch.delattr(MultivariateECDF, name)

    again = display.plot()

    assert again is display
    assert display.ax_ is not first
    assert display.figure_ is not figure


def test_given_axes_and_options_are_used():
    ax = plt.figure().subplots()

    display = ECDFDisplay.from_estimator(
        MultivariateECDF().fit([[0.0], [1.0]]), ax=ax, color="black", label="delay"
    )

    assert display.ax_ is ax
    assert display.line_.get_color() == "black"
    assert legend_texts(display) == ["delay", "95% confidence band"]


def test_settings_of_matplotlib_stay(monkeypatch):
    before = dict(matplotlib.rcParams)
    monkeypatch.delattr(plt, "show")

    ECDFDisplay.from_estimator(MultivariateECDF().fit(normal_rows(9, 2)))

    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("n_features", [1, 2])
def test_png_is_not_blank(n_features, tmp_path):
    display = ECDFDisplay.from_estimator(
        MultivariateECDF().fit(normal_rows(200, n_features))
    )

    display.figure_.savefig(tmp_path / "ecdf.png")

    pixels = plt.imread(tmp_path / "ecdf.png")
    colors = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)
    assert len(colors) > 10


def test_missing_matplotlib_names_the_extra(monkeypatch):
    distribution = MultivariateECDF().fit([[0.0], [1.0]])
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    with pytest.raises(MissingDependencyError, match=r"kernelkit\[plot\]"):
        ECDFDisplay.from_estimator(distribution)


def test_import_loads_no_matplotlib():
    """Seen red with matplotlib imported at the top of the module."""
    code = "import sys, kernelkit.plotting; print('matplotlib' in sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "False\n"


def legend_texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]
