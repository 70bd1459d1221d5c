import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit import DensityDisplay, ProductKernelDensity, ProductKernelRegressor
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


def queries_at(nodes):
    mesh = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    return mesh.reshape(-1, len(nodes))


@pytest.mark.parametrize("weights", [None, np.arange(60.0)])
def test_line_equals_density(weights):
    """Seen red with nodes moved by a tenth, and with the weights dropped."""
    X = normal_rows(60, 1)
    density = ProductKernelDensity().fit(X, sample_weight=weights)

    display = DensityDisplay.from_estimator(density)

    nodes, heights = display.line_.get_data()
    expected = np.exp(density.score_samples(np.asarray(nodes)[:, None]))
    np.testing.assert_allclose(heights, expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", ["matern32", "gaussian", "epanechnikov"])
def test_values_equal_density(kernel):
    """Seen red with the default kernel, and with the two bandwidths swapped."""
    X = normal_rows(30, 2) * [1.0, 30.0]
    density = ProductKernelDensity(kernel, bandwidth=[0.5, 20.0]).fit(X)

    display = DensityDisplay.from_estimator(density, grid_resolution=9)

    expected = np.exp(density.score_samples(queries_at(display.nodes)))
    np.testing.assert_allclose(
        display.values.ravel(), expected, rtol=1e-12, atol=1e-12 * expected.max()
    )


def test_kernel_is_that_of_the_fit():
    """Seen red with the kernel read from the parameter."""
    density = ProductKernelDensity("gaussian", bandwidth=1.0).fit([[0.0], [1.0]])

    density.set_params(kernel="uniform")
    display = DensityDisplay.from_estimator(density)

    expected = np.exp(density.score_samples(display.nodes[0][:, None]))
    np.testing.assert_allclose(display.values, expected, rtol=1e-12)


def test_contours_hold_the_nodes_of_their_level():
    """Seen red with the values not transposed."""
    density = ProductKernelDensity().fit(normal_rows(50, 2) * [1.0, 30.0])

    display = DensityDisplay.from_estimator(density, grid_resolution=40)

    queries = queries_at([axis[1:-1] for axis in display.nodes])
    bins = np.digitize(np.exp(density.score_samples(queries)), display.contour_.levels)
    for k, path in enumerate(display.contour_.get_paths()):
        around = [
            matplotlib.path.Path(polygon).contains_points(queries)
            for polygon in path.to_polygons()
        ]
        inside = np.sum(around, axis=0) % 2 == 1  # a second polygon is a hole
        np.testing.assert_array_equal(inside, bins == k)
    assert display.colorbar_.ax.get_ylabel() == "density"


def test_next_to_nothing_stays_blank():
    """Seen red with a lowest level of 0, and without the colour of the paper."""
    display = DensityDisplay.from_estimator(
        ProductKernelDensity("biweight", bandwidth=1.0).fit([[0.0, 0.0], [9.0, 9.0]]),
        grid_resolution=40,
    )

    assert display.contour_.levels[0] > 0.0
    assert display.contour_.get_facecolor()[0, 3] == 0.0
    assert (display.contour_.get_facecolor()[1:, 3] == 1.0).all()


def test_view_without_density_is_drawn():
    """Seen red with levels of 0 and less."""
    density = ProductKernelDensity("biweight", bandwidth=1.0).fit([[0.0, 0.0]])

    display = DensityDisplay.from_estimator(density, [[50.0, 50.0]])

    assert not display.values.any()
    assert display.contour_.levels[0] > 0.0
    assert not len(display.rows_.get_offsets())


def test_dots_are_rows():
    """Seen red with the two features of the dots swapped."""
    X = normal_rows(2500, 2, decimals=6)

    display = DensityDisplay.from_estimator(
        ProductKernelDensity().fit(X), grid_resolution=3
    )

    dots = {tuple(dot) for dot in np.asarray(display.rows_.get_offsets())}
    assert dots <= set(map(tuple, X))
    assert 150 <= len(dots) <= 300


def test_rug_is_rows():
    """Seen red with the number of drawn rows for the number of all."""
    X = normal_rows(2500, 1, decimals=6)

    display = DensityDisplay.from_estimator(
        ProductKernelDensity().fit(X), grid_resolution=3
    )

    ticks = np.asarray(display.rug_.get_xdata())
    assert np.isin(ticks, X).all()
    assert 150 <= ticks.size <= 300
    assert legend_texts(display) == ["kernel density", f"{ticks.size} of 2500 rows"]


def test_few_rows_are_all_drawn():
    density = ProductKernelDensity().fit([[0.0], [1.0], [3.0]])

    display = DensityDisplay.from_estimator(density)

    assert display.rug_.get_xdata().tolist() == [0.0, 1.0, 3.0]
    assert legend_texts(display) == ["kernel density", "rows"]


@pytest.mark.parametrize("n_features", [1, 2])
def test_no_rows_are_no_artist(n_features):
    nodes = [np.arange(3.0)] * n_features

    display = DensityDisplay(
        nodes, np.eye(3) if n_features == 2 else np.ones(3), feature_names=["a", "b"]
    ).plot()

    assert (display.rug_ if n_features == 1 else display.rows_) is None


def test_zoom_draws_the_rows_in_view():
    """Seen red with rows thinned first, of which too few are then in view."""
    X = normal_rows(2500, 1, decimals=6)
    density = ProductKernelDensity(bandwidth=0.01).fit(X)

    display = DensityDisplay.from_estimator(density, [[0.03], [0.17]], margin=3.0)

    nodes = display.nodes[0]
    np.testing.assert_allclose(nodes[[0, -1]], [0.0, 0.2], atol=1e-15)
    expected = np.exp(density.score_samples(nodes[:, None]))
    np.testing.assert_allclose(display.line_.get_ydata(), expected, rtol=1e-12)
    n_inside = ((X >= 0.0) & (X <= 0.2)).sum()
    assert 100 < n_inside < 300
    assert len(display.rug_.get_xdata()) == n_inside
    np.testing.assert_array_equal(display.ax_.get_xlim(), nodes[[0, -1]])


@pytest.mark.parametrize("features", [(2, 0), (1,)])
def test_features_select_the_marginal(features):
    """Seen red with `features` sorted, and with all bandwidths equal to the first."""
    X = normal_rows(12, 3) * [1.0, 4.0, 9.0]
    bandwidth = np.array([0.5, 3.0, 5.0])
    density = ProductKernelDensity("gaussian", bandwidth=bandwidth)
    density.fit(X, sample_weight=np.arange(12.0))

    display = DensityDisplay.from_estimator(
        density, features=features, grid_resolution=8
    )

    axes, steps = [], []
    for k in range(3):
        if k in features:
            axes.append(display.nodes[features.index(k)][::3])
            continue
        low, high = X[:, k].min() - 9 * bandwidth[k], X[:, k].max() + 9 * bandwidth[k]
        axes.append(np.arange(low, high, bandwidth[k] / 2))  # the sum is the integral
        steps.append(bandwidth[k] / 2)
    grid = density.evaluate_grid(axes)
    others = tuple(k for k in range(3) if k not in features)
    integral = grid.sum(axis=others) * np.prod(steps)
    expected = integral.T if features == (2, 0) else integral
    drawn = display.values[(slice(None, None, 3),) * len(features)]
    np.testing.assert_allclose(drawn, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (None, r"got 3: .*features=\(i, j\)"),
        ((), "got 0"),
        ((0, 3), "column numbers from 0 to 2"),
        ((-1,), "column numbers from 0 to 2"),
        (("depth",), "column numbers from 0 to 2"),
        ((1, 1), "different column numbers"),
    ],
)
def test_undrawable_features_are_refused(features, words):
    density = ProductKernelDensity().fit(normal_rows(5, 3))

    with pytest.raises(ValueError, match=words):
        DensityDisplay.from_estimator(density, features=features)


@pytest.mark.parametrize(
    "options", [{"margin": 0.0}, {"margin": np.inf}, {"grid_resolution": 0}]
)
def test_wrong_grid_is_refused(options):
    density = ProductKernelDensity().fit(normal_rows(5, 1))

    with pytest.raises(ValueError, match=f"The '{next(iter(options))}' argument must"):
        DensityDisplay.from_estimator(density, **options)


def test_unfitted_density_is_refused():
    with pytest.raises(NotFittedError):
        DensityDisplay.from_estimator(ProductKernelDensity())


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (make_pipeline(StandardScaler(), ProductKernelDensity()), r"pipeline\[-1\]"),
        (ProductKernelRegressor(bandwidth=1.0), "Got a ProductKernelRegressor"),
    ],
)
def test_other_estimators_are_refused(estimator, words):
    """Seen red with any fitted estimator let through."""
    estimator.fit([[0.0], [1.0]], [0.0, 1.0])

    with pytest.raises(TypeError, match=f"draws a ProductKernelDensity.*{words}"):
        DensityDisplay.from_estimator(estimator)


def test_step_of_a_pipeline_is_drawn():
    pipeline = make_pipeline(StandardScaler(), ProductKernelDensity())

    display = DensityDisplay.from_estimator(pipeline.fit(normal_rows(9, 1))[-1])

    assert display.ax_.get_xlabel() == "x0"


def test_axis_labels_are_feature_names():
    frame = pd.DataFrame(normal_rows(9, 3), columns=["depth", "width", "age"])
    named = ProductKernelDensity().fit(frame)
    unnamed = ProductKernelDensity().fit(frame.to_numpy())

    def labels(density, features):
        ax = DensityDisplay.from_estimator(
            density, features=features, grid_resolution=3
        ).ax_
        return ax.get_xlabel(), ax.get_ylabel()

    assert labels(named, (2, 0)) == ("age", "depth")
    assert labels(unnamed, (2, 0)) == ("x2", "x0")
    assert labels(named, (1,)) == ("width", "density")


def test_peaks_are_drawn():
    """The Laplacian density is convex between rows, so that its peak is at a row.

    Seen red with even nodes alone.
    """
    X = np.random.default_rng(0).lognormal(sigma=3.0, size=(200, 1))
    density = ProductKernelDensity(bandwidth=0.01).fit(X)

    display = DensityDisplay.from_estimator(density)

    peak = np.exp(density.score_samples().max())
    assert display.values.max() == pytest.approx(peak, rel=1e-12)


@pytest.mark.parametrize("n_features", [1, 2])
@pytest.mark.parametrize(
    ("column", "bandwidth"),
    [
        ([3.0], 1.0),
        ([1e300, 1e300], 1.0),
        ([0.0, 1.0], 1e-12),
        ([0, 2**62], 1.0),
        ([True, False], 1e6),
    ],
)
def test_degenerate_columns_are_drawn(column, bandwidth, n_features):
    """Seen red with the margin in bandwidths alone, which is lost beside 1e300."""
    X = np.array([column] * n_features).T
    density = ProductKernelDensity(bandwidth=bandwidth).fit(X)

    display = DensityDisplay.from_estimator(density, grid_resolution=20)

    display.figure_.canvas.draw()
    assert all(np.diff(axis).min() > 0.0 for axis in display.nodes)
    assert display.values.max() > 0.0


def test_curves_in_the_same_axes_fit():
    """Seen red with the lower limit of y set, after which the upper one stays."""
    X = normal_rows(50, 1)
    flat = ProductKernelDensity(bandwidth=10.0).fit(X)
    peaked = ProductKernelDensity(bandwidth=0.01).fit(X)

    first = DensityDisplay.from_estimator(peaked)
    second = DensityDisplay.from_estimator(flat, ax=first.ax_)
    third = DensityDisplay.from_estimator(flat)
    fourth = DensityDisplay.from_estimator(peaked, ax=third.ax_)

    for display in (second, fourth):
        low, high = display.ax_.get_ylim()
        assert low == 0.0
        assert high > max(first.values.max(), second.values.max())
        np.testing.assert_array_equal(display.ax_.get_xlim(), second.nodes[0][[0, -1]])


def test_negative_density_is_drawn():
    """Seen red with the lower limit of y set to 0."""
    density = ProductKernelDensity("silverman").fit(normal_rows(50, 1))

    display = DensityDisplay.from_estimator(density, margin=9.0)

    assert display.ax_.get_ylim()[0] < display.values.min() < 0.0


@pytest.mark.parametrize("n_features", [1, 2])
def test_second_plot_only_draws(n_features, monkeypatch):
    """Seen red with an evaluation moved into `plot`."""
    display = DensityDisplay.from_estimator(
        ProductKernelDensity().fit(normal_rows(30, n_features)), grid_resolution=5
    )
    first, figure = display.ax_, display.figure_
    for name in ("fit", "score_samples", "evaluate_grid"):
        monkeypatch.delattr(ProductKernelDensity, name)

    again = display.plot()

    assert again is display
    assert display.ax_ is not first
    assert display.figure_ is not figure


def test_given_axes_and_options_are_used():
    figure = plt.figure()
    left, right = figure.subplots(1, 2)
    density = ProductKernelDensity().fit(normal_rows(9, 2))

    line = DensityDisplay.from_estimator(
        density, features=(0,), ax=left, color="black", label="delay"
    )
    contours = DensityDisplay.from_estimator(
        density, ax=right, levels=[0.01, 0.1], cmap="cividis", grid_resolution=5
    )

    assert line.ax_ is left
    assert line.line_.get_color() == line.rug_.get_color() == "black"
    assert legend_texts(line) == ["delay", "rows"]
    assert contours.ax_ is right
    assert contours.figure_ is figure
    assert contours.contour_.levels.tolist() == [0.01, 0.1]
    assert contours.contour_.get_cmap().name == "cividis"


def test_settings_of_matplotlib_stay(monkeypatch):
    before = dict(matplotlib.rcParams)
    under = matplotlib.colormaps["viridis_r"].get_under()
    monkeypatch.delattr(plt, "show")

    DensityDisplay.from_estimator(
        ProductKernelDensity().fit(normal_rows(9, 2)), grid_resolution=5
    )

    assert dict(matplotlib.rcParams) == before
    np.testing.assert_array_equal(matplotlib.colormaps["viridis_r"].get_under(), under)


@pytest.mark.parametrize("n_features", [1, 2])
def test_png_is_not_blank(n_features, tmp_path):
    display = DensityDisplay.from_estimator(
        ProductKernelDensity().fit(normal_rows(200, n_features)), grid_resolution=30
    )

    display.figure_.savefig(tmp_path / "density.png")

    pixels = plt.imread(tmp_path / "density.png")
    colors = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)
    assert len(colors) > 10


def test_missing_matplotlib_names_the_extra(monkeypatch):
    density = ProductKernelDensity().fit([[0.0], [1.0]])
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    with pytest.raises(MissingDependencyError, match=r"kernelkit\[plot\]"):
        DensityDisplay.from_estimator(density)


def test_import_loads_no_matplotlib():
    """Seen red with matplotlib imported at the top of the module."""
    code = "import sys, kernelkit.plotting; print('matplotlib' in sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "False\n"


def legend_texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]
