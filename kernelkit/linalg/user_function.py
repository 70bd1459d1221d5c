"""Kernels that are a user's function: of two blocks of rows, or of two rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics.pairwise import pairwise_kernels

from kernelkit._validation import Array

Function = Callable[[Array, Array], Any]

_FEW = 16  # rows: a call costs time, and so do values beside a diagonal


def compares_pairs(function: Function, X: Array) -> bool:
    """Find out with copies of the first row whether a function takes two rows only.

    Raises
    ------
    Exception
        Of the function, if it takes neither blocks nor rows.
    ValueError
        If it returns what is not as long as the blocks, nor a number.
    """
    if not X.shape[0]:
        return False
    few, more = X[[0, 0]], X[[0, 0, 0]]
    error: Exception | None = None
    shape: tuple[int, ...] = ()
    try:
        with np.errstate(all="ignore"):
            shape = np.shape(function(few, more))
    except Exception as raised:
        error = raised
    if shape == (2, 3):
        return False
    if len(shape) < 2 and _is_of_rows(function, X[0]):
        return True
    raise error or _wrong_shape(shape, few, more)


def block(function: Function, X: Array, Y: Array, *, by_pairs: bool) -> Array:
    """Call a function, by pairs of rows or at once, and check what it returns."""
    if by_pairs:
        return np.asarray(pairwise_kernels(X, Y, metric=function))
    values = np.asarray(function(X, Y))
    if values.shape != (X.shape[0], Y.shape[0]):
        raise _wrong_shape(values.shape, X, Y)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"A kernel has real values. Got dtype {values.dtype}.")
    return values


def diagonal(function: Function, X: Array) -> Array:
    """Evaluate a function at each row and itself."""
    if compares_pairs(function, X):
        return np.array([function(row, row) for row in X], dtype=np.float64)
    values = np.empty(X.shape[0])
    for start in range(0, X.shape[0], _FEW):
        rows = X[start : start + _FEW]
        values[start : start + _FEW] = np.diag(
            block(function, rows, rows, by_pairs=False)
        )
    return values


def _is_of_rows(function: Function, row: Array) -> bool:
    try:
        with np.errstate(all="ignore"):
            return np.ndim(function(row, row)) == 0
    except Exception:
        return False


def _wrong_shape(shape: tuple[int, ...], X: Array, Y: Array) -> ValueError:
    return ValueError(
        f"The kernel function returned shape {shape} for X of shape {X.shape} and Y of "
        f"shape {Y.shape}: expected shape {(X.shape[0], Y.shape[0])}, or a number for "
        "two rows."
    )
