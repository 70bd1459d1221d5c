"""Draw a kernel density."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kernelkit import _validation as check
from kernelkit.density import ProductKernelDensity
from kernelkit.plotting._axes import (
    draw_rug,
    drawable,
    in_view,
    levels_above_zero,
    names_of,
    some,
    spread,
)
from kernelkit.plotting._grid import GridDisplay

Array = npt.NDArray[Any]

_FEWEST_DIGITS = 1e-12  # of the size of a feature: nodes closer than this are one


class DensityDisplay(GridDisplay):
    """Kernel density of one or two features, ready to draw.

    Use `from_estimator` to create one; the constructor takes what it computes.

    Parameters
    ----------
    nodes : sequence of one or two ndarrays
        Ascending nodes along each feature, in the unit of the feature.
    values : ndarray of shape (len(nodes[0]),) or (len(nodes[0]), len(nodes[1]))
        Density at the nodes, per unit of each feature.
    feature_names : sequence of str
        One axis label per feature.
    rows : ndarray of shape (n_rows, len(nodes)) or None, default=None
        Training rows to draw as ticks (one feature) or dots (two features).
    n_rows : int or None, default=None
        Number of training rows in view, of which `rows` are a part, for the legend;
        None means that `rows` are all of them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last call of `plot`.
    figure_ : matplotlib Figure
        Figure of these axes.
    line_, rug_ : matplotlib artists
        Curve and ticks of one feature; `rug_` is None without rows.
    contour_, rows_, colorbar_ : matplotlib artists
        Filled contours, dots and colour bar of two features; `rows_` is None without
        rows.

    See Also
    --------
    kernelkit.ProductKernelDensity : The estimator to draw.

    Examples
    --------
    >>> from kernelkit import DensityDisplay, ProductKernelDensity
    >>> density = ProductKernelDensity(bandwidth=1.0).fit([[0.0], [1.0]])
    >>> display = DensityDisplay.from_estimator(density)
    >>> round(float(display.line_.get_ydata().max()), 4)
    0.342
    """

    _label = "density"

    def __init__(
        self,
        nodes: Sequence[Array],
        values: Array,
        *,
        feature_names: Sequence[str],
        rows: Array | None = None,
        n_rows: int | None = None,
    ) -> None:
        self.nodes = nodes
        self.values = values
        self.feature_names = feature_names
        self.rows = rows
        self.n_rows = n_rows

    @classmethod
    def from_estimator(
        cls,
        estimator: ProductKernelDensity,
        X: Any = None,
        *,
        features: Sequence[int] | None = None,
        grid_resolution: int = 300,
        margin: float = 3.0,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Evaluate a fitted density on a grid and draw it.

        Parameters
        ----------
        estimator : ProductKernelDensity
            Fitted estimator; of a pipeline the last step.
        X : array-like of shape (n_rows, n_features) or None, default=None
            Rows whose range is drawn; None stands for the training rows.
        features : sequence of one or two ints or None, default=None
            Columns whose marginal density is drawn, which has the same bandwidths; None
            stands for all of them.
        grid_resolution : int, default=300
            Number of even steps along each feature. Up to as many training values join
            these nodes, since a density may have its peaks there.
        margin : float, default=3.0
            How far the grid reaches beyond the rows on each side, in bandwidths, > 0.
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.plot` (one feature) or
            `matplotlib.axes.Axes.contourf` (two features).

        Returns
        -------
        display : DensityDisplay

        Raises
        ------
        TypeError
            If the estimator is another one, such as a pipeline.
        ValueError
            If there are more than two features to draw.
        MissingDependencyError
            If matplotlib is not installed.
        """
        check.is_drawn_by(cls, estimator, ProductKernelDensity)
        features = drawable(features, estimator.n_features_in_)
        resolution = check.count("grid_resolution", grid_resolution)
        margin = check.positive("margin", margin)
        rows = estimator.X_fit_[:, features]
        marginal = ProductKernelDensity(
            estimator._kernel_of_fit,
            bandwidth=estimator.bandwidth_[features],
            algorithm=estimator.algorithm,
            n_jobs=estimator.n_jobs,
        ).fit(rows, sample_weight=estimator.sample_weight_)
        shown = rows if X is None else check.query_data(estimator, X)[:, features]
        nodes = [
            _nodes(values, seen, margin * width, resolution)
            for values, seen, width in zip(
                rows.T, shown.T, marginal.bandwidth_, strict=True
            )
        ]
        rows = in_view(rows, nodes)
        display = cls(
            nodes,
            marginal.evaluate_grid(nodes),
            feature_names=names_of(estimator, features),
            rows=some(rows),
            n_rows=len(rows),
        )
        return display.plot(ax=ax, **kwargs)

    def _plot_curve(self, **kwargs: Any) -> None:
        kwargs = {"label": "kernel density"} | kwargs
        (self.line_,) = self.ax_.plot(self.nodes[0], self.values, **kwargs)
        # The curve stands on zero, and a second one in the same axes still fits.
        self.ax_.update_datalim([(self.nodes[0][0], 0.0)])
        self.line_.sticky_edges.y.append(0.0)
        self.line_.sticky_edges.x.extend(self.nodes[0][[0, -1]])
        self.rug_ = None
        if self.rows is not None:
            self.rug_ = draw_rug(
                self.ax_,
                self.rows[:, 0],
                color=self.line_.get_color(),
                alpha=0.5,
                label=self._rows_label(),
            )
        self.ax_.autoscale_view()
        self.ax_.set(xlabel=self.feature_names[0], ylabel=self._label)
        self.ax_.legend()

    def _contour_style(self) -> dict[str, Any]:
        levels = levels_above_zero(self.values.max())
        return {"levels": levels, "cmap": "viridis_r", "extend": "min"}

    def _rows_label(self) -> str:
        drawn = len(self.rows) if self.rows is not None else 0
        return (
            "rows" if self.n_rows in (None, drawn) else f"{drawn} of {self.n_rows} rows"
        )


def _nodes(values: Array, shown: Array, reach: float, resolution: int) -> Array:
    """Spread nodes evenly over the shown range and `reach` beyond; add training values.

    values : (n_samples,); shown : (n_rows,).
    """
    low, high = shown.min(), shown.max()
    reach = max(reach, _FEWEST_DIGITS * max(abs(low), abs(high)))
    low, high = low - reach, high + reach
    even = np.linspace(low, high, resolution + 1)
    return np.unique(np.append(even, spread(values, low, high, resolution)))
