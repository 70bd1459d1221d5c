"""Draw ridge leverage scores and the rows that were sampled by them."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils import get_tags

from kernelkit import _validation as check
from kernelkit.nystroem import RidgeLeverageNystroem
from kernelkit.plotting._axes import axes_or_new, drawable, names_of

Array = npt.NDArray[Any]

_LABEL = "ridge leverage score"


class LeverageDisplay:
    """Ridge leverage scores of rows and the components of a sketch, ready to draw.

    Use `from_estimator` to create one; the constructor takes what it computes.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        Scores of the rows, in [0, 1].
    component_scores : ndarray of shape (m,)
        Scores of the components.
    bound : float
        Bound on the error of the approximate kernel matrix, in the unit of its
        eigenvalues.
    rows : ndarray of shape (n_rows, 1) or (n_rows, 2) or None, default=None
        Features of the rows to draw the scores over; None draws them in their order.
    component_rows : ndarray of shape (m, 1) or (m, 2) or None, default=None
        Features of the components, if there are `rows`.
    feature_names : sequence of str, default=()
        One axis label per feature.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last call of `plot`.
    figure_ : matplotlib Figure
        Figure of these axes.
    scores_ : matplotlib artist
        Line of the scores in falling order, or dots over one or two features.
    components_ : matplotlib artist
        Marks of the components.
    mean_ : matplotlib artist
        Line at the mean score; None over two features.
    colorbar_ : matplotlib artist
        Colour bar of two features; None otherwise.

    See Also
    --------
    kernelkit.RidgeLeverageNystroem : The estimator to draw.

    Examples
    --------
    >>> from kernelkit import LeverageDisplay, RidgeLeverageNystroem
    >>> from kernelkit.datasets import make_clusters
    >>> X, _, _ = make_clusters(random_state=0)
    >>> sketch = RidgeLeverageNystroem(gamma=0.5, ridge=1.0, random_state=0).fit(X)
    >>> display = LeverageDisplay.from_estimator(sketch, X)
    >>> bool(display.scores.max() > 5.0 * display.scores.mean())
    True
    """

    def __init__(
        self,
        scores: Array,
        component_scores: Array,
        *,
        bound: float,
        rows: Array | None = None,
        component_rows: Array | None = None,
        feature_names: Sequence[str] = (),
    ) -> None:
        self.scores = scores
        self.component_scores = component_scores
        self.bound = bound
        self.rows = rows
        self.component_rows = component_rows
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: RidgeLeverageNystroem,
        X: Any,
        *,
        features: Sequence[int] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Estimate the scores of rows and draw them.

        Where the line falls steeply, a sample by scores is better than a uniform one;
        the title tells how many times the largest score exceeds the mean, and the
        bound.

        Parameters
        ----------
        estimator : RidgeLeverageNystroem
            Fitted estimator; of a pipeline the last step.
        X : array-like or sparse matrix of shape (n_rows, n_features)
            Rows, such as those that were fitted; the kernel matrix if the kernel is
            precomputed.
        features : sequence of one or two ints or None, default=None
            Columns over which the scores are drawn: one as the horizontal axis, or two
            as a plane with scores as colours. None draws the scores in falling order.
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.plot`, or `matplotlib.axes.Axes.scatter` if
            there are `features`.

        Returns
        -------
        display : LeverageDisplay

        Raises
        ------
        TypeError
            If the estimator is another one, such as a pipeline.
        ValueError
            If there are more than two features to draw, or some of a kernel matrix.
        MissingDependencyError
            If matplotlib is not installed.
        """
        check.is_drawn_by(cls, estimator, RidgeLeverageNystroem)
        is_precomputed = get_tags(estimator).input_tags.pairwise
        columns = None
        if features is not None:
            if is_precomputed:
                raise ValueError(
                    "The rows of kernel='precomputed' have no features: use "
                    "features=None."
                )
            columns = drawable(features, estimator.n_features_in_)
        scores = estimator.leverage_scores(X)
        if is_precomputed:
            component_scores = scores[estimator.component_indices_]
        else:
            unnamed = copy(estimator)  # as components have no names of features
            unnamed.__dict__.pop("feature_names_in_", None)
            component_scores = unnamed.leverage_scores(estimator.components_)
        display = cls(
            scores,
            component_scores,
            bound=estimator.reconstruction_error_bound(),
        )
        if columns is not None:
            X = check.kernel_rows(estimator, X, reset=False, kernel=estimator.kernel)
            display.rows = _columns(X, columns)
            display.component_rows = _columns(estimator.components_, columns)
            display.feature_names = names_of(estimator, columns)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw what was computed before.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.plot`, or `matplotlib.axes.Axes.scatter` if
            there are features.

        Returns
        -------
        self : LeverageDisplay
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        self.mean_: Any = None
        self.colorbar_: Any = None
        if self.rows is None:
            self._plot_ranks(**kwargs)
        elif self.rows.shape[1] == 1:
            self._plot_over_feature(**kwargs)
        else:
            self._plot_over_plane(**kwargs)
        mean = self.scores.mean() or 1.0
        self.ax_.set_title(
            f"{len(self.component_scores)} components, error at most {self.bound:.3g}\n"
            f"largest score {self.scores.max() / mean:.3g} times the mean",
            fontsize="medium",
        )
        return self

    def _plot_ranks(self, **kwargs: Any) -> None:
        falling = np.sort(self.scores)[::-1]
        ranks = np.arange(1, len(falling) + 1)
        (self.scores_,) = self.ax_.plot(ranks, falling, **{"label": "rows"} | kwargs)
        # As many rows as score more, and itself.
        places = 1 + np.searchsorted(-falling, -self.component_scores)
        places = np.minimum(places, len(falling))
        self._mark(places, self.component_scores, marker="|", markersize=12)
        self._draw_mean()
        self.ax_.set(
            xscale="log", yscale="log", xlabel="rank of the row", ylabel=_LABEL
        )
        self.ax_.legend(loc="lower left")

    def _plot_over_feature(self, **kwargs: Any) -> None:
        assert self.rows is not None
        assert self.component_rows is not None
        kwargs = {"s": 5, "label": "rows"} | kwargs
        self.scores_ = self.ax_.scatter(self.rows[:, 0], self.scores, **kwargs)
        self._mark(self.component_rows[:, 0], self.component_scores)
        self._draw_mean()
        self.ax_.set(yscale="log", xlabel=self.feature_names[0], ylabel=_LABEL)
        self.ax_.legend(loc="lower left")

    def _plot_over_plane(self, **kwargs: Any) -> None:
        assert self.rows is not None
        assert self.component_rows is not None
        order = np.argsort(self.scores)  # rare rows on top
        seen = self.scores[order]
        least = seen[seen > 0.0].min(initial=1.0)
        kwargs = {
            "s": 10,
            "norm": "log",
            "cmap": "viridis",
            "label": "rows",
        } | kwargs
        self.scores_ = self.ax_.scatter(
            *self.rows[order].T, c=np.maximum(seen, least), **kwargs
        )
        self._mark(*self.component_rows.T, markersize=6, markerfacecolor="none")
        self.colorbar_ = self.figure_.colorbar(self.scores_, ax=self.ax_)
        self.colorbar_.set_label(_LABEL)
        self.ax_.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])
        self.ax_.legend(loc="lower left")

    def _mark(self, x: Array, y: Array, **kwargs: Any) -> None:
        kwargs = {
            "linestyle": "none",
            "marker": "o",
            "markersize": 3,
            "color": "black",
            "alpha": 0.7,
            "label": "components",
        } | kwargs
        (self.components_,) = self.ax_.plot(x, y, **kwargs)

    def _draw_mean(self) -> None:
        self.mean_ = self.ax_.axhline(
            self.scores.mean(), color="gray", linestyle="--", label="mean of the rows"
        )


def _columns(X: Any, columns: Sequence[int]) -> Array:
    X = X[:, columns]
    return X.toarray() if sparse.issparse(X) else X
