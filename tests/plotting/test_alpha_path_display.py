import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit import AlphaPathDisplay, NystroemRidge, NystroemRidgeCV

X = np.linspace(0.0, 6.0, 80)[:, None]
Y = np.sin(X[:, 0]) + 0.3 * np.random.default_rng(0).normal(size=80)
ALPHAS = [10.0, 1e-3, 0.1, 1e-6]


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen and leave no figure behind."""
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("scoring", "sign", "words"),
    [
        (None, -1.0, "generalised cross-validation (lower is better)"),
        ("r2", 1.0, "r2 of rows left out (greater is better)"),
        (lambda model, X, y: 1.0, 1.0, "score of rows left out (greater is better)"),
    ],
)
def test_line_equals_the_scores(scoring, sign, words):
    """Seen red with the sign of scores for the GCV."""
    ridge = NystroemRidgeCV(ALPHAS, scoring=scoring).fit(X, Y)

    display = AlphaPathDisplay.from_estimator(ridge)

    np.testing.assert_array_equal(display.line_.get_xdata(), np.sort(ALPHAS))
    np.testing.assert_array_equal(display.line_.get_ydata(), sign * ridge.scores_)
    assert display.ax_.get_ylabel() == words
    assert display.ax_.get_xscale() == "log"


def test_chosen_alpha_is_marked():
    """Seen red with the last alpha marked."""
    ridge = NystroemRidgeCV(ALPHAS).fit(X, Y)

    display = AlphaPathDisplay.from_estimator(ridge)

    x, y = display.chosen_.get_data()
    assert (x.item(), y.item()) == (ridge.alpha_, -ridge.best_score_)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["criterion", "chosen alpha = 0.1", "effective dimension"]


def test_effective_dimension_has_its_own_axis():
    """Seen red with both lines on one axis."""
    ridge = NystroemRidgeCV(ALPHAS).fit(X, Y)

    display = AlphaPathDisplay.from_estimator(ridge)

    drawn = display.dimension_line_.get_ydata()
    np.testing.assert_array_equal(drawn, ridge.effective_dimension_)
    assert display.dimension_ax_ is not display.ax_
    assert display.dimension_line_.axes is display.dimension_ax_


def test_dimension_may_be_left_out():
    display = AlphaPathDisplay(
        np.array([1.0, 2.0]), np.array([3.0, 4.0]), alpha=2.0, value_name="loss"
    ).plot()

    assert display.dimension_ax_ is None
    assert display.dimension_line_ is None
    assert display.chosen_.get_ydata().item() == 4.0


def test_plot_again_into_given_axes():
    """Seen red with a new figure at each call."""
    ridge = NystroemRidgeCV(ALPHAS).fit(X, Y)
    display = AlphaPathDisplay.from_estimator(ridge)
    figure, ax = plt.subplots()

    again = display.plot(ax=ax, color="red", label="mine")

    assert again is display
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert display.line_.get_color() == "red"
    assert display.line_.get_label() == "mine"


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (make_pipeline(StandardScaler(), NystroemRidgeCV()), r"pipeline\[-1\]"),
        (NystroemRidge(), "Got a NystroemRidge instead"),
    ],
)
def test_other_estimators_are_refused(estimator, words):
    """Seen red with any fitted estimator let through."""
    estimator.fit(X, Y)

    with pytest.raises(TypeError, match=f"draws a NystroemRidgeCV.*{words}"):
        AlphaPathDisplay.from_estimator(estimator)
