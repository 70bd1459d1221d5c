"""The one place that imports matplotlib."""

from typing import Any

from kernelkit.exceptions import MissingDependencyError


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
