"""Draw a design: its points and weights, and how stable designs of its kind are."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kernelkit import _validation as check
from kernelkit.design.least_squares import DesignLeastSquares
from kernelkit.design.samplers import draw_design
from kernelkit.design.sources import PoolSource
from kernelkit.plotting._axes import axes_or_new, draw_rug, drawable, names_of, some

Array = npt.NDArray[Any]

_KINDS = "points", "stability"
_METHODS = "iid", "uniform"  # to compare with
_SIZES = 9  # numbers of draws, from 2 to 10 for each function or to those of the design
_BAND = 0.1, 0.9  # quantiles
_WIDE = 50.0  # weights that differ by more are coloured by their logarithms
_STYLES = "-", "--", ":"


@dataclass(frozen=True)
class StabilityCurves:
    """Least eigenvalues of many designs.

    Attributes
    ----------
    n_draws : ndarray of shape (n_sizes,)
    lambda_min : dict of str to ndarray of shape (n_sizes, n_designs)
        For each method.
    threshold : float or None
        What was asked of the design.
    fitted : tuple of int and float
        Number of draws and least eigenvalue of the design itself.
    """

    n_draws: Array
    lambda_min: dict[str, Array]
    threshold: float | None
    fitted: tuple[int, float]


class DesignDisplay:
    """Points of a design and their weights, or its stability, ready to draw.

    Use `from_estimator` to create one; the constructor takes what it computes.

    Parameters
    ----------
    points : ndarray of shape (n_labels, 1) or (n_labels, 2)
        Chosen points.
    weights : ndarray of shape (n_labels,)
        Their weights in least squares.
    feature_names : sequence of str
        One axis label per feature.
    rows : ndarray of shape (n_rows, n_features) or None, default=None
        Rows of the pool to draw as ticks (one feature) or dots (two features).
    stability : StabilityCurves or None, default=None
        Drawn instead of the points.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last call of `plot`.
    figure_ : matplotlib Figure
        Figure of these axes.
    points_, rows_, stems_, colorbar_ : matplotlib artists
        Chosen points and rows; the lines below points of one feature, the colour bar of
        two. `rows_` is None without rows.
    lines_, bands_ : dict of str to matplotlib artist
        Medians, and bands from the first to the last decile, for each method.
    threshold_, fitted_ : matplotlib artists
        The line that was to be reached, None if there was none, and the design itself.

    See Also
    --------
    kernelkit.DesignLeastSquares : The estimator to draw.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit.design import DesignLeastSquares
    >>> from kernelkit.plotting import DesignDisplay
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> line = DesignLeastSquares(n_samples=4, random_state=0).fit(X, X[:, 0])
    >>> display = DesignDisplay.from_estimator(line, X)
    >>> display.points_.get_offsets().shape
    (4, 2)
    """

    def __init__(
        self,
        points: Array,
        weights: Array,
        *,
        feature_names: Sequence[str],
        rows: Array | None = None,
        stability: StabilityCurves | None = None,
    ) -> None:
        self.points = points
        self.weights = weights
        self.feature_names = feature_names
        self.rows = rows
        self.stability = stability

    @classmethod
    def from_estimator(
        cls,
        estimator: DesignLeastSquares,
        X: Any = None,
        *,
        kind: str = "points",
        features: Sequence[int] | None = None,
        sample_weight: Any = None,
        n_designs: int = 20,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the design of a fitted estimator.

        Parameters
        ----------
        estimator : DesignLeastSquares
            Fitted estimator; of a pipeline the last step.
        X : array-like of shape (n_samples, n_features) or None, default=None
            The rows that `fit` saw. None after `fit_function`, except for the stability
            if it had a `measure` or a `density`: that takes points of this law.
        kind : {"points", "stability"}, default="points"
            The chosen points and their weights, or the least eigenvalues of designs of
            more and more draws, by the method of the estimator and by simpler ones.
        features : sequence of one or two ints or None, default=None
            Columns to draw points by; None stands for all of them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows that `fit` saw; they matter to the stability alone.
        n_designs : int, default=20
            Number of designs of each size and method, for the stability.
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.scatter` for the points, or to
            `matplotlib.axes.Axes.plot` for the lines of the stability.

        Returns
        -------
        display : DesignDisplay

        Raises
        ------
        TypeError
            If the estimator is another one, such as a pipeline.
        ValueError
            If there are more than two features to draw, or rows are needed or are not
            those of the fit.
        MissingDependencyError
            If matplotlib is not installed.
        """
        check.is_drawn_by(cls, estimator, DesignLeastSquares)
        check.choice("kind", kind, _KINDS)
        n_designs = check.count("n_designs", n_designs)
        n_features = estimator.n_features_in_
        is_points = kind == "points"
        columns = (
            drawable(features, n_features) if is_points else list(range(n_features))
        )
        rows = None if X is None else check.query_data(estimator, X)
        stability = None
        if not is_points:
            stability = _stability(estimator, X, sample_weight, n_designs)
        display = cls(
            _chosen(estimator, rows)[:, columns],
            estimator.design_.weights,
            feature_names=names_of(estimator, columns),
            rows=None if rows is None else some(rows[:, columns]),
            stability=stability,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw what was computed before.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.scatter` for the points, or to
            `matplotlib.axes.Axes.plot` for the lines of the stability.

        Returns
        -------
        self : DesignDisplay
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        if self.stability is not None:
            self._plot_stability(self.stability, **kwargs)
        elif self.points.shape[1] == 1:
            self._plot_stems(**kwargs)
        else:
            self._plot_plane(**kwargs)
        return self

    def _plot_stems(self, **kwargs: Any) -> None:
        x = self.points[:, 0]
        kwargs = {"label": "chosen points", "zorder": 3} | kwargs
        self.points_ = self.ax_.scatter(x, self.weights, **kwargs)
        color = self.points_.get_facecolor()[:1]
        self.stems_ = self.ax_.vlines(x, 0.0, self.weights, color=color, linewidth=1.0)
        self.stems_.sticky_edges.y.append(0.0)
        self.rows_ = None
        if self.rows is not None:
            self.rows_ = draw_rug(self.ax_, self.rows[:, 0], color="0.6", label="rows")
        self.ax_.autoscale_view()
        self.ax_.set(xlabel=self.feature_names[0], ylabel="weight")
        self.ax_.legend()

    def _plot_plane(self, **kwargs: Any) -> None:
        from matplotlib.colors import LogNorm

        self.rows_ = None
        if self.rows is not None:
            self.rows_ = self.ax_.scatter(*self.rows.T, s=6, color="0.8", label="rows")
        low, high = self.weights.min(), self.weights.max()
        kwargs = {
            "c": self.weights,
            "cmap": "viridis",
            "norm": LogNorm() if low > 0.0 and high > _WIDE * low else None,
            "edgecolors": "black",
            "linewidths": 0.5,
            "label": "chosen points",
            "zorder": 3,
        } | kwargs
        self.points_ = self.ax_.scatter(*self.points.T, **kwargs)
        self.colorbar_ = self.figure_.colorbar(self.points_, ax=self.ax_)
        self.colorbar_.set_label("weight")
        self.ax_.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])

    def _plot_stability(self, stability: StabilityCurves, **kwargs: Any) -> None:
        self.lines_, self.bands_ = {}, {}
        for i, (method, values) in enumerate(stability.lambda_min.items()):
            style = {"label": method, "linestyle": _STYLES[i % len(_STYLES)]} | kwargs
            middle = np.median(values, axis=1)
            (line,) = self.ax_.plot(stability.n_draws, middle, **style)
            self.lines_[method] = line
            self.bands_[method] = self.ax_.fill_between(
                stability.n_draws,
                *np.quantile(values, _BAND, axis=1),
                alpha=0.2,
                linewidth=0,
                color=line.get_color(),
            )
        self.threshold_ = None
        if stability.threshold is not None:
            self.threshold_ = self.ax_.axhline(
                stability.threshold,
                color="0.4",
                linewidth=0.8,
                label=f"asked for: {stability.threshold:g}",
            )
        n_draws, lambda_min = stability.fitted
        (self.fitted_,) = self.ax_.plot(
            [n_draws], [lambda_min], "*", color="black", markersize=10, label="fitted"
        )
        self.ax_.set(
            xlabel="number of draws", ylabel="least eigenvalue", ylim=(0.0, 1.0)
        )
        self.ax_.legend()


def _chosen(estimator: DesignLeastSquares, rows: Array | None) -> Array:
    """Look up the points of the design, which may be rows."""
    points, indices = estimator.design_.points, estimator.design_.indices
    if points is not None:
        return points
    if rows is None or indices is None:
        raise ValueError("The design is made of rows: pass X, the rows that fit saw.")
    if indices.max() >= len(rows):
        raise ValueError(
            f"The design holds row {indices.max()}, and X has {len(rows)} rows: pass "
            "the rows that fit saw."
        )
    return rows[indices]


def _stability(
    estimator: DesignLeastSquares, X: Any, sample_weight: Any, n_designs: int
) -> StabilityCurves:
    """Draw designs of several sizes by several methods."""
    source = estimator._source(X, sample_weight)
    rng = check.rng(estimator.random_state)
    own = "dpp_repeat" if estimator.sampling == "dpp" else estimator.sampling
    most = max(10 * source.rank, estimator.design_.n_draws)
    n_draws = np.linspace(2 * source.rank, most, _SIZES).astype(int)
    if isinstance(source, PoolSource):  # which may have fewer rows
        n_draws = np.unique(np.minimum(n_draws, len(source.support)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few draws: that is drawn
        lambda_min = {
            method: np.array(
                [
                    [
                        draw_design(
                            source,
                            int(n),
                            method,
                            zeta=estimator.zeta if method == own else 0.0,
                            delta=None,
                            rng=rng,
                        ).lambda_min
                        for _ in range(n_designs)
                    ]
                    for n in n_draws
                ]
            )
            for method in dict.fromkeys([own, *_METHODS])
        }
    delta = estimator.delta
    return StabilityCurves(
        n_draws,
        lambda_min,
        None if delta is None else 1.0 - delta,
        (estimator.design_.n_draws, estimator.lambda_min_),
    )
