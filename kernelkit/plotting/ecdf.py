"""Draw an empirical distribution function."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kernelkit import _validation as check
from kernelkit.density import MultivariateECDF
from kernelkit.plotting._axes import drawable, in_view, names_of, some, spread
from kernelkit.plotting._grid import GridDisplay

Array = npt.NDArray[Any]


class ECDFDisplay(GridDisplay):
    """Empirical distribution function of one or two features, ready to draw.

    Use `from_estimator` to create one; the constructor takes what it computes.

    Parameters
    ----------
    nodes : sequence of one or two ndarrays
        Ascending nodes along each feature, in the unit of the feature.
    values : ndarray of shape (len(nodes[0]),) or (len(nodes[0]), len(nodes[1]))
        Distribution function at the nodes, in [0, 1].
    feature_names : sequence of str
        One axis label per feature.
    band : tuple of two ndarrays of shape (len(nodes[0]),) or None, default=None
        Lower and upper confidence bound at the nodes; one feature only.
    level : float or None, default=None
        Confidence level of the band, in (0, 1).
    rows : ndarray of shape (n_rows, 2) or None, default=None
        Training rows to draw as dots; two features only.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last call of `plot`.
    figure_ : matplotlib Figure
        Figure of these axes.
    line_, band_ : matplotlib artists
        Step line and band of one feature; `band_` is None without a band.
    contour_, rows_, colorbar_ : matplotlib artists
        Filled contours, dots and colour bar of two features; `rows_` is None without
        rows.

    See Also
    --------
    kernelkit.MultivariateECDF : The estimator to draw.

    Examples
    --------
    >>> from kernelkit import ECDFDisplay, MultivariateECDF
    >>> distribution = MultivariateECDF().fit([[0.0], [1.0], [1.0], [2.0]])
    >>> display = ECDFDisplay.from_estimator(distribution)
    >>> display.line_.get_ydata().tolist()
    [0.0, 0.25, 0.75, 1.0, 1.0]
    """

    _label = "cumulative probability"

    def __init__(
        self,
        nodes: Sequence[Array],
        values: Array,
        *,
        feature_names: Sequence[str],
        band: tuple[Array, Array] | None = None,
        level: float | None = None,
        rows: Array | None = None,
    ) -> None:
        self.nodes = nodes
        self.values = values
        self.feature_names = feature_names
        self.band = band
        self.level = level
        self.rows = rows

    @classmethod
    def from_estimator(
        cls,
        estimator: MultivariateECDF,
        X: Any = None,
        *,
        features: Sequence[int] | None = None,
        level: float | None = 0.95,
        method: str | None = None,
        grid_resolution: int = 400,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Evaluate a fitted distribution function on a grid and draw it.

        Parameters
        ----------
        estimator : MultivariateECDF
            Fitted estimator; of a pipeline the last step.
        X : array-like of shape (n_rows, n_features) or None, default=None
            Rows whose range is drawn; None stands for the training rows.
        features : sequence of one or two ints or None, default=None
            Columns whose marginal distribution is drawn; None stands for all of them.
        level : float or None, default=0.95
            Confidence level of the band around the line of one feature, in (0, 1);
            None draws no band.
        method : {"dkw", "wilson"} or None, default=None
            Band that holds everywhere at once, or at each point alone; see
            `MultivariateECDF.confidence_band`. None means "dkw" if the rows weigh the
            same and "wilson" otherwise.
        grid_resolution : int, default=400
            Largest number of training values per feature that become nodes. They are
            spread evenly over the sorted values, so that between two neighbours the
            function rises by little more than ``1 / grid_resolution``.
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.plot` (one feature) or
            `matplotlib.axes.Axes.contourf` (two features).

        Returns
        -------
        display : ECDFDisplay

        Raises
        ------
        TypeError
            If the estimator is another one, such as a pipeline.
        ValueError
            If there are more than two features to draw, or `method` is "dkw" and the
            rows have unequal weights.
        MissingDependencyError
            If matplotlib is not installed.
        """
        check.is_drawn_by(cls, estimator, MultivariateECDF)
        features = drawable(features, estimator.n_features_in_)
        rows = np.column_stack(
            [estimator.sorted_values_[k][estimator.ranks_[k]] for k in features]
        )
        marginal = MultivariateECDF(n_jobs=estimator.n_jobs).fit(
            rows, sample_weight=estimator.sample_weight_
        )
        shown = rows
        if X is not None:
            shown = check.ordered_query_data(estimator, X)[:, features]
        nodes = [
            _nodes(values, seen, grid_resolution)
            for values, seen in zip(marginal.sorted_values_, shown.T, strict=True)
        ]
        alone = len(features) == 1
        band = None
        if method is None:
            method = "dkw" if estimator.sample_weight_ is None else "wilson"
        if alone and level is not None:
            band = marginal.confidence_band(
                nodes[0][:, None], level=level, method=method
            )
        display = cls(
            nodes,
            marginal.evaluate_grid(nodes),
            feature_names=names_of(estimator, features),
            band=band,
            level=level if alone else None,
            rows=None if alone else some(in_view(rows, nodes)),
        )
        return display.plot(ax=ax, **kwargs)

    def _plot_curve(self, **kwargs: Any) -> None:
        kwargs = {"drawstyle": "steps-post", "label": "ECDF"} | kwargs
        (self.line_,) = self.ax_.plot(self.nodes[0], self.values, **kwargs)
        self.ax_.set(xlabel=self.feature_names[0], ylabel=self._label)
        self.band_ = None
        if self.band is None or self.level is None:
            return
        self.band_ = self.ax_.fill_between(
            self.nodes[0],
            *self.band,
            step="post",
            alpha=0.25,
            linewidth=0,
            color=self.line_.get_color(),
            label=f"{100 * self.level:g}% confidence band",
        )
        self.ax_.legend()

    def _contour_style(self) -> dict[str, Any]:
        return {"levels": np.linspace(0.0, 1.0, 11), "cmap": "viridis"}


def _nodes(values: Array, shown: Array, resolution: int) -> Array:
    """Spread nodes over the shown range, at training values and a bit beyond.

    values : (n_samples,) ascending; shown : (n_rows,). Matplotlib draws finite float64.
    """
    shown = shown[np.isfinite(shown)].astype(np.float64)
    if not shown.size:
        raise ValueError("Nothing to draw: a feature has no finite value.")
    low, high = shown.min(), shown.max()
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    return np.concatenate([[low], spread(values, low, high, resolution), [high]])
