"""Draw how the score of ridge regression depends on its penalty."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kernelkit import _validation as check
from kernelkit.nystroem import NystroemRidgeCV
from kernelkit.plotting._axes import axes_or_new

Array = npt.NDArray[Any]

_GCV = "generalised cross-validation (lower is better)"


class AlphaPathDisplay:
    """Score and effective dimension of ridge regression along its penalty.

    Use `from_estimator` to create one; the constructor takes what it reads off.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Penalties, ascending and > 0.
    values : ndarray of shape (n_alphas,)
        Criterion at each.
    alpha : float
        The chosen one of the penalties.
    value_name : str
        Label of the criterion.
    effective_dimension : ndarray of shape (n_alphas,) or None, default=None
        Degrees of freedom at each, drawn on an axis of its own.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last call of `plot`.
    dimension_ax_ : matplotlib Axes or None
        The axes of the effective dimension, on the right of these.
    figure_ : matplotlib Figure
        Figure of the axes.
    line_, chosen_ : matplotlib artists
        Line of the criterion, and the dot at the chosen penalty.
    dimension_line_ : matplotlib artist or None
        Line of the effective dimension.

    See Also
    --------
    kernelkit.NystroemRidgeCV : The estimator to draw.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import AlphaPathDisplay, NystroemRidgeCV
    >>> X = np.linspace(0.0, 6.0, 100)[:, None]
    >>> ridge = NystroemRidgeCV([0.01, 1.0, 100.0]).fit(X, np.sin(X[:, 0]))
    >>> display = AlphaPathDisplay.from_estimator(ridge)
    >>> display.line_.get_xdata().tolist()
    [0.01, 1.0, 100.0]
    """

    def __init__(
        self,
        alphas: Array,
        values: Array,
        *,
        alpha: float,
        value_name: str,
        effective_dimension: Array | None = None,
    ) -> None:
        self.alphas = alphas
        self.values = values
        self.alpha = alpha
        self.value_name = value_name
        self.effective_dimension = effective_dimension

    @classmethod
    def from_estimator(
        cls, estimator: NystroemRidgeCV, *, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Draw the grid of a fitted estimator.

        Parameters
        ----------
        estimator : NystroemRidgeCV
            Fitted estimator; of a pipeline the last step.
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.plot` for the criterion.

        Returns
        -------
        display : AlphaPathDisplay

        Raises
        ------
        TypeError
            If the estimator is another one, such as a pipeline.
        MissingDependencyError
            If matplotlib is not installed.
        """
        check.is_drawn_by(cls, estimator, NystroemRidgeCV)
        values, name = -estimator.scores_, _GCV
        if estimator.scoring is not None:
            scoring = estimator.scoring
            values = estimator.scores_
            name = scoring if isinstance(scoring, str) else "score"
            name = f"{name} of rows left out (greater is better)"
        display = cls(
            estimator.alphas_,
            values,
            alpha=estimator.alpha_,
            value_name=name,
            effective_dimension=estimator.effective_dimension_,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw what was read off before.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.plot` for the criterion.

        Returns
        -------
        self : AlphaPathDisplay
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        kwargs = {"marker": ".", "label": "criterion"} | kwargs
        (self.line_,) = self.ax_.plot(self.alphas, self.values, **kwargs)
        best = int(np.flatnonzero(self.alphas == self.alpha)[0])
        (self.chosen_,) = self.ax_.plot(
            self.alpha,
            self.values[best],
            "o",
            markersize=9,
            markerfacecolor="none",
            color=self.line_.get_color(),
            label=f"chosen alpha = {self.alpha:.3g}",
        )
        self.ax_.set(xscale="log", xlabel="alpha", ylabel=self.value_name)
        artists = [self.line_, self.chosen_]
        self.dimension_ax_ = self.dimension_line_ = None
        if self.effective_dimension is not None:
            self.dimension_ax_ = self.ax_.twinx()
            (self.dimension_line_,) = self.dimension_ax_.plot(
                self.alphas,
                self.effective_dimension,
                linestyle="--",
                color="0.5",
                label="effective dimension",
            )
            self.dimension_ax_.set(ylabel="effective dimension")
            artists.append(self.dimension_line_)
        self.ax_.legend(
            artists,
            [artist.get_label() for artist in artists],
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),  # above: inside it would hide a line
            ncols=len(artists),
            frameon=False,
        )
        return self
