import subprocess
import sys
import tracemalloc

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import SymLogNorm
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit.exceptions import MissingDependencyError
from kernelkit.plotting import PrecisionDisplay
from kernelkit.rbf_network import GaussianRBFClassifier, GaussianRBFRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4)) * [1.0, 10.0, 0.1, 1.0] + [5.0, 0.0, 0.0, 0.0]
Y = np.sin(X[:, 0]) + X[:, 1] / 10.0
LABELS = np.array(["low", "mid", "high"])[np.digitize(Y, [-0.5, 0.5])]
NAMES = ["depth", "width", "age", "sex"]
KINDS = ["precision", "spectrum", "directions", "projection"]
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen and leave no figure behind."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


def fit(Estimator=GaussianRBFRegressor, rows=X, y=Y, precision="full", **params):
    params = {"random_state": 0, "tol": 1e-3, "precision": precision} | params
    return Estimator(10, **params).fit(rows, y)


MODEL = fit()
CLASSIFIER = fit(GaussianRBFClassifier, y=LABELS)


def test_map_of_the_precision():
    """Seen red with a colour scale that starts at the least entry."""
    display = PrecisionDisplay.from_estimator(MODEL)

    np.testing.assert_array_equal(display.image_.get_array(), MODEL.precision_)
    low, high = display.image_.get_clim()
    assert -low == high == pytest.approx(np.abs(MODEL.precision_).max())
    assert display.colorbar_.ax.get_ylabel() == "precision"


def test_spectrum_sums_to_one():
    """Seen red with eigenvalues that are not divided by their sum."""
    display = PrecisionDisplay.from_estimator(MODEL, kind="spectrum")

    numbers, shares = display.line_.get_data()
    assert numbers.tolist() == [1, 2, 3, 4]
    values = MODEL.active_subspace()[0]
    np.testing.assert_allclose(shares, values / values.sum())
    title = display.ax_.get_title()
    assert title == f"effective rank {MODEL.effective_rank_:.3g}"


@pytest.mark.parametrize("subspace", ["agop", "precision"])
def test_directions(subspace):
    """Seen red with rows and columns exchanged."""
    display = PrecisionDisplay.from_estimator(
        MODEL, kind="directions", subspace=subspace, n_components=2
    )

    vectors = MODEL.active_subspace(subspace)[1]
    np.testing.assert_array_equal(display.image_.get_array(), vectors[:, :2])
    shares = display.eigenvalues / display.eigenvalues.sum()
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == [f"{k + 1}\n{shares[k]:.0%}" for k in range(2)]


def test_projection_of_numbers():
    """Seen red with rows that are not standardised."""
    display = PrecisionDisplay.from_estimator(MODEL, X, Y, kind="projection")

    (dots,) = display.rows_
    np.testing.assert_allclose(dots.get_offsets(), MODEL.transform(X)[:, :2])
    np.testing.assert_array_equal(dots.get_array(), Y)
    assert display.colorbar_.ax.get_ylabel() == "target"


def test_projection_on_one_direction():
    """Seen red with colours instead of heights."""
    model = fit(precision="low_rank", rank=1)

    display = PrecisionDisplay.from_estimator(model, X, Y, kind="projection")

    (dots,) = display.rows_
    expected = np.column_stack([model.transform(X)[:, 0], Y])
    np.testing.assert_allclose(dots.get_offsets(), expected)
    assert display.ax_.get_ylabel() == "target"
    assert display.colorbar_ is None


def test_projection_of_classes():
    """Seen red with the dots of all rows in each class."""
    display = PrecisionDisplay.from_estimator(CLASSIFIER, X, LABELS, kind="projection")

    classes = CLASSIFIER.classes_
    T = CLASSIFIER.transform(X)[:, :2]
    for dots, label in zip(display.rows_, classes, strict=True):
        np.testing.assert_allclose(dots.get_offsets(), T[label == LABELS])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == classes.tolist()

    display.plot(n_components=1)

    ticks = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert ticks == classes.tolist()


def test_predictions_stand_for_missing_values():
    by_class, by_number = (
        PrecisionDisplay.from_estimator(model, X, kind="projection")
        for model in (CLASSIFIER, MODEL)
    )

    np.testing.assert_array_equal(by_class.values, CLASSIFIER.predict(X))
    np.testing.assert_array_equal(by_number.values, MODEL.predict(X))


def test_names_of_features():
    """Seen red with names on one axis only."""
    model = fit(rows=pd.DataFrame(X, columns=NAMES))

    named = PrecisionDisplay.from_estimator(model).ax_
    unnamed = PrecisionDisplay.from_estimator(MODEL).ax_

    for labels in (named.get_xticklabels(), named.get_yticklabels()):
        assert [label.get_text() for label in labels] == NAMES
    assert unnamed.get_yticklabels()[1].get_text() == "x1"


def test_many_features_are_not_named():
    rows = RNG.normal(size=(60, 50))
    model = fit(rows=rows, y=rows[:, 0], precision="diag")

    display = PrecisionDisplay.from_estimator(model)

    assert display.ax_.get_ylabel() == "number of the feature"


@each_kind
def test_nothing_that_matters(kind):
    """Seen red with shares of a sum of zero."""
    with pytest.warns(UserWarning, match="constant"):
        model = fit(y=np.ones(len(X)))

    display = PrecisionDisplay.from_estimator(model, X, kind=kind)

    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"kind": "pie"}, "'kind' argument"),
        ({"kind": "projection"}, "pass X"),
        ({"kind": "directions", "n_components": 0}, "n_components"),
        ({"subspace": "pca"}, "'subspace' argument"),
        ({"X": X, "y": Y[:3], "kind": "projection"}, r"shape \(80,\), got \(3,\)"),
    ],
)
def test_wrong_arguments_are_named(params, words):
    with pytest.raises(ValueError, match=words):
        PrecisionDisplay.from_estimator(MODEL, **params)


def test_several_targets_are_drawn_but_not_in_a_projection():
    """Seen red with values that are looked at before they are needed."""
    model = fit(y=np.column_stack([Y, -Y]))

    display = PrecisionDisplay.from_estimator(model, X, kind="spectrum")

    assert display.line_ is not None
    with pytest.raises(ValueError, match=r"shape \(80,\), got \(80, 2\)"):
        display.plot("projection")


@pytest.mark.parametrize("options", [{"c": Y[::-1]}, {"c": "k"}, {"color": "k"}])
@pytest.mark.parametrize("n_components", [1, 2])
def test_colors_may_be_given(options, n_components):
    """Seen red with colours that are given twice."""
    display = PrecisionDisplay.from_estimator(
        MODEL, X, Y, kind="projection", n_components=n_components, **options
    )

    (dots,) = display.rows_
    if options.get("c") is None or isinstance(options["c"], str):
        assert dots.get_facecolor()[0].tolist()[:3] == [0.0, 0.0, 0.0]
        assert display.colorbar_ is None
    else:
        np.testing.assert_array_equal(dots.get_array(), Y[::-1])


def test_color_of_classes_may_be_given():
    """Seen red with a colour of each class all the same."""
    for name in ("c", "color"):
        display = PrecisionDisplay.from_estimator(
            CLASSIFIER, X, kind="projection", **{name: "k"}
        )

        for dots in display.rows_:
            assert dots.get_facecolor()[0].tolist()[:3] == [0.0, 0.0, 0.0]


def test_norm_may_be_given():
    """Seen red with limits besides it."""
    norm = SymLogNorm(1e-3)

    display = PrecisionDisplay.from_estimator(MODEL, norm=norm)

    assert display.image_.norm is norm


def test_no_direction_to_project_on():
    """Seen red with the words of missing rows."""
    with pytest.warns(UserWarning, match="constant"):
        model = fit(rows=np.ones_like(X))

    with pytest.raises(ValueError, match="no feature varied"):
        PrecisionDisplay.from_estimator(model, X, kind="projection")


def test_precision_is_made_when_it_is_drawn():
    """Seen red with a matrix of all pairs of features."""
    rows = RNG.normal(size=(40, 900))
    model = fit(rows=rows, y=rows[:, 0], precision="diag", max_iter=1, tol=1.0)

    tracemalloc.start()
    display = PrecisionDisplay.from_estimator(model, kind="spectrum")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 900 * 900 * 8
    np.testing.assert_array_equal(display.precision, model.precision_)


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (make_pipeline(StandardScaler(), GaussianRBFRegressor()), r"pipeline\[-1\]"),
        (StandardScaler(), "Got a StandardScaler"),
    ],
)
def test_other_estimators_are_refused(estimator, words):
    """Seen red with any fitted estimator let through."""
    estimator.fit(X, Y)

    with pytest.raises(TypeError, match=f"draws a GaussianRBFRegressor.*{words}"):
        PrecisionDisplay.from_estimator(estimator)


@each_kind
def test_second_plot_only_draws(kind, monkeypatch):
    display = PrecisionDisplay.from_estimator(MODEL, X, kind=kind)
    first = display.ax_
    for name in ("active_subspace", "predict", "precision_"):
        monkeypatch.delattr(
            type(MODEL) if name == "predict" else type(MODEL).__mro__[2], name
        )

    again = display.plot()

    assert again is display
    assert display.ax_ is not first
    assert display.plot("spectrum").line_ is not None


def test_given_axes_and_options_are_used():
    ax = plt.figure().subplots()

    display = PrecisionDisplay.from_estimator(MODEL, ax=ax, cmap="PuOr")

    assert display.ax_ is ax
    assert display.image_.get_cmap().name == "PuOr"


@pytest.mark.parametrize("model", [MODEL, CLASSIFIER], ids=["numbers", "classes"])
@each_kind
def test_png_is_not_blank(kind, model, tmp_path, monkeypatch):
    before = dict(matplotlib.rcParams)
    monkeypatch.delattr(plt, "show")

    display = PrecisionDisplay.from_estimator(model, X, kind=kind)
    display.figure_.savefig(tmp_path / "precision.png")

    pixels = plt.imread(tmp_path / "precision.png")
    colors = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)
    assert len(colors) > 10
    assert dict(matplotlib.rcParams) == before


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    with pytest.raises(MissingDependencyError, match=r"kernelkit\[plot\]"):
        PrecisionDisplay.from_estimator(MODEL)


def test_import_loads_no_matplotlib():
    """Seen red with matplotlib imported at the top of the module."""
    code = (
        "import sys, kernelkit.plotting.precision; print('matplotlib' in sys.modules)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "False\n"
