"""Values of a function of the user at the points of a design."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelkit import _parallel
from kernelkit._validation import Array


def evaluate(
    f: Callable[[Array], Any], points: Array, vectorized: bool, n_jobs: int | None
) -> Array:
    """Evaluate a function at points and check what it returns."""
    n_points = len(points)
    if vectorized:
        y = _as_numbers(f(points.copy()), "f")
        if y.ndim not in (1, 2) or len(y) != n_points:
            raise ValueError(
                f"f was called with {n_points} points, of shape {points.shape}, and "
                f"has to return shape ({n_points},) or ({n_points}, n_outputs). Got "
                f"{y.shape} instead: pass vectorized=False if it takes one point."
            )
    else:
        with _parallel.threads(n_jobs) as run:
            returned = run([(f, (point.copy(),)) for point in points])
        values = [_as_numbers(v, f"f at point {i}") for i, v in enumerate(returned)]
        for i, value in enumerate(values):
            if value.ndim > 1 or value.shape != values[0].shape:
                raise ValueError(
                    "f has to return a number, or as many in one dimension at every "
                    f"point. Got shape {value.shape} at point {i}, "
                    f"{points[i].tolist()}, and {values[0].shape} at point 0."
                )
        y = np.stack(values)
    is_wrong = ~np.isfinite(y.reshape(n_points, -1)).all(axis=1)
    if is_wrong.any():
        i = int(is_wrong.argmax())
        raise ValueError(
            f"f has to be finite. Got {y[i]} at point {i}, {points[i].tolist()}; "
            f"{is_wrong.sum()} of {n_points} points are so."
        )
    return y


def _as_numbers(value: Any, owner: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{owner} has to return numbers. Got dtype {array.dtype}.")
    return array.astype(np.float64)
