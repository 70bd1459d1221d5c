"""What displays of a function on a grid of one or two features share."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy.typing as npt

from kernelkit.plotting._axes import axes_or_new, fill_contours

Array = npt.NDArray[Any]


class GridDisplay:
    """A curve over one feature, or filled contours over two.

    Subclasses draw the curve, name the values and choose the style of the contours.
    """

    nodes: Sequence[Array]
    values: Array
    feature_names: Sequence[str]
    rows: Array | None
    _label: str

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw what was computed before.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw into; None makes a new figure.
        **kwargs
            Passed to `matplotlib.axes.Axes.plot` (one feature) or
            `matplotlib.axes.Axes.contourf` (two features).

        Returns
        -------
        self : object
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        if len(self.nodes) == 1:
            self._plot_curve(**kwargs)
        else:
            self.contour_, self.rows_, self.colorbar_ = fill_contours(
                self.ax_,
                self.nodes,
                self.values,
                feature_names=self.feature_names,
                rows=self.rows,
                label=self._label,
                **self._contour_style() | kwargs,
            )
        return self

    @abstractmethod
    def _plot_curve(self, **kwargs: Any) -> None: ...

    @abstractmethod
    def _contour_style(self) -> dict[str, Any]:
        """Give options of `matplotlib.axes.Axes.contourf`."""
