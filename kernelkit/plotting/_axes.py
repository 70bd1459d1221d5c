"""What the Display classes share; the one place that imports matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit.exceptions import MissingDependencyError

Array = npt.NDArray[Any]

_MAX_ROWS = 300  # more dots hide the contours


def axes_or_new(ax: Any) -> Any:
    """Return `ax`, or the axes of a new figure if it is None."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingDependencyError(
            "Drawing needs matplotlib, which is not installed: "
            "pip install 'kernelkit[plot]'."
        ) from error
    return plt.subplots()[1]


def drawable(features: Sequence[int] | None, n_features: int) -> list[int]:
    """Check which columns to draw: one or two of them."""
    columns = list(range(n_features) if features is None else features)
    if not 1 <= len(columns) <= 2:
        raise ValueError(
            f"Only one or two features can be drawn, got {len(columns)}: choose them "
            "with features=(i,) or features=(i, j)."
        )
    is_known = all(k in range(n_features) for k in columns)
    if not is_known or len(set(columns)) < len(columns):
        raise ValueError(
            f"features must be different column numbers from 0 to {n_features - 1}. "
            f"Got {features!r} instead."
        )
    return [int(k) for k in columns]


def names_of(estimator: Any, columns: Sequence[int]) -> list[str]:
    """Name the columns as they were named in `fit`, or x0, x1, ..."""
    names = getattr(estimator, "feature_names_in_", None)
    return [f"x{k}" if names is None else names[k] for k in columns]


def in_view(rows: Array, nodes: Sequence[Array]) -> Array:
    """Keep the rows between the first and the last node of each feature."""
    low = [axis[0] for axis in nodes]
    high = [axis[-1] for axis in nodes]
    return rows[((rows >= low) & (rows <= high)).all(axis=1)]


def some(rows: Array) -> Array:
    """Thin rows evenly, to as many as can be told apart."""
    return rows[:: max(1, -(-len(rows) // _MAX_ROWS))]


def spread(values: Array, low: float, high: float, number: int) -> Array:
    """Pick `number` values from (low, high), evenly by rank; all if there are fewer.

    values : (n_samples,) of any order.
    """
    inside = np.unique(values[(values > low) & (values < high)].astype(np.float64))
    every = np.linspace(0, inside.size - 1, min(inside.size, number)).astype(int)
    return inside[every]


def draw_rug(ax: Any, values: Array, **kwargs: Any) -> Any:
    """Draw a tick on the horizontal axis for each value."""
    (ticks,) = ax.plot(
        values,
        np.zeros(len(values)),
        "|",
        markersize=10,  # half of a tick is below the axis
        transform=ax.get_xaxis_transform(),
        **kwargs,
    )
    return ticks


def fill_contours(
    ax: Any,
    nodes: Sequence[Array],
    values: Array,
    *,
    feature_names: Sequence[str],
    rows: Array | None,
    label: str,
    **kwargs: Any,
) -> tuple[Any, Any, Any]:
    """Draw filled contours with a colour bar, and dots for rows.

    What lies below the lowest level stays as it is.

    Returns
    -------
    contour, dots, colorbar : matplotlib artists
        `dots` is None without rows.
    """
    x, y = nodes
    contour = ax.contourf(x, y, values.T, **kwargs)
    contour.set_cmap(contour.cmap.with_extremes(under="none"))  # the paper's colour
    colorbar = ax.figure.colorbar(contour, ax=ax)
    colorbar.set_label(label)
    dots = None
    if rows is not None:
        dots = ax.scatter(
            *rows.T, s=5, color="white", edgecolors="black", linewidths=0.3
        )
    ax.set(
        xlim=(x[0], x[-1]),
        ylim=(y[0], y[-1]),
        xlabel=feature_names[0],
        ylabel=feature_names[1],
    )
    return contour, dots, colorbar


def levels_above_zero(top: float) -> Array:
    """Choose about ten contour levels up to `top`, round numbers > 0."""
    from matplotlib.ticker import MaxNLocator

    levels = np.asarray(MaxNLocator(10).tick_values(0.0, max(top, 0.0)))
    return levels[levels > 0.0]
