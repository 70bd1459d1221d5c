import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kernelkit import EquivalenceDisplay, equivalence_report
from kernelkit.exceptions import MissingDependencyError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 2))
Q = RNG.standard_normal((20, 2))
SMALL = {"widths": (32, 8, 128), "n_seeds": 2, "max_iter": 20, "random_state": 0}


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen and leave no figure behind."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


def report(**params):
    return equivalence_report(X, X[:, 0] > 0.0, Q, **{**SMALL, **params})


@pytest.fixture(scope="module")
def labels():
    return report()


@pytest.fixture(scope="module")
def numbers():
    return equivalence_report(X, X[:, 0], Q, loss="squared", **SMALL)


@pytest.fixture(scope="module")
def last_layer():
    return report(regularizer="last_layer")


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_lines_are_those_of_the_report(labels):
    """Seen red with the drift drawn for the distance."""
    display = EquivalenceDisplay(labels).plot()

    assert sorted(display.lines_) == [
        "kernel_distance",
        "kernel_drift",
        "label_agreement",
        "max_deviation",
        "optimum_agreement",
        "rms_deviation",
    ]
    for name, container in display.lines_.items():
        line, _, (bars,) = container.lines
        np.testing.assert_array_equal(line.get_xdata(), labels.widths)
        np.testing.assert_array_equal(line.get_ydata(), labels[name])
        heights = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
        np.testing.assert_allclose(heights, 2.0 * labels.std[name], atol=1e-12)


def test_fits_have_the_slopes(labels):
    """Seen red with the mean of the deviations for that of their logarithms."""
    display = EquivalenceDisplay(labels).plot()

    for name in ("rms", "max"):
        x, y = np.log(display.fits_[f"{name}_deviation"].get_data())
        assert np.polyfit(x, y, 1)[0] == pytest.approx(labels[f"{name}_slope"])
        assert y.mean() == pytest.approx(
            np.log(labels.runs[f"{name}_deviation"]).mean()
        )
    slope, error = labels.rms_slope, labels.rms_slope_error
    assert rf"rms, slope {slope:.2f} $\pm$ {error:.2f}" in texts(display.axes_[1])


def test_dots_are_outputs_of_the_narrowest_and_the_widest(labels):
    """Seen red with the first and the last one."""
    display = EquivalenceDisplay(labels).plot()

    assert texts(display.axes_[0]) == ["width 8", "width 128"]
    for dots, k in zip(display.dots_, (1, 2), strict=True):
        x, y = dots.get_data()
        np.testing.assert_array_equal(x, labels.machine_outputs[:, 0])
        np.testing.assert_array_equal(y, labels.outputs[k, 0, :, 0])


def test_limit_is_drawn_where_it_is_another(last_layer):
    """Seen red with two lines for any regularizer."""
    display = EquivalenceDisplay(last_layer).plot()

    line = display.lines_["limit_rms_deviation"].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), last_layer.limit_rms_deviation)
    assert "limit_rms_deviation" in display.fits_
    assert any("from its limit" in text for text in texts(display.axes_[1]))
    assert "'last_layer'" in display.axes_[1].get_title()


def test_numbers_have_no_labels(numbers):
    """Seen red with lines of NaN."""
    display = EquivalenceDisplay(numbers).plot()

    assert "label_agreement" not in display.lines_
    assert not display.axes_[3].axison
    assert display.axes_[3].get_legend() is None


def test_one_width_and_networks_without_layers_are_drawn(tmp_path):
    """Seen red with a line whose slope is NaN."""
    display = EquivalenceDisplay(report(widths=(8,), depth=0)).plot()

    display.figure_.savefig(tmp_path / "equivalence.png")
    assert display.fits_ == {}
    assert len(display.dots_) == 1


def test_given_axes_and_options_are_used(labels):
    """Seen red with a new figure at each call."""
    figure, axes = plt.subplots(1, 4)
    display = EquivalenceDisplay(labels)

    again = display.plot(axes, color="black", marker="x")

    assert again is display
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    line = display.lines_["kernel_drift"].lines[0]
    assert (line.get_color(), line.get_marker()) == ("black", "x")
    assert display.plot().figure_ is not figure


@pytest.mark.parametrize("number", [1, 3])
def test_other_numbers_of_axes_are_refused(labels, number):
    with pytest.raises(ValueError, match=f"draws into four axes, got {number}"):
        EquivalenceDisplay(labels).plot(plt.subplots(1, number)[1])


@pytest.mark.parametrize("kind", ["labels", "numbers", "last_layer"])
def test_png_is_not_blank(kind, request, tmp_path):
    display = EquivalenceDisplay(request.getfixturevalue(kind)).plot()

    display.figure_.savefig(tmp_path / "equivalence.png")

    pixels = plt.imread(tmp_path / "equivalence.png")
    colors = np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)
    assert len(colors) > 10


def test_missing_matplotlib_names_the_extra(labels, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    with pytest.raises(MissingDependencyError, match=r"kernelkit\[plot\]"):
        EquivalenceDisplay(labels).plot()


def test_import_loads_no_matplotlib():
    """Seen red with matplotlib imported at the top of the module."""
    code = (
        "import sys, kernelkit.plotting.equivalence; print('matplotlib' in sys.modules)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "False\n"
