"""Turn numbers into places in an order, feature by feature.

A training value becomes its place in the sorted feature (ties in any order), a query
becomes its threshold: the count of training values that do not exceed it. Then
``value <= query`` if and only if ``place < threshold``. Ties, dtypes and infinities are
settled here, once; everything behind it is integer arithmetic.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit.density._jit_sort import argsort_keys, count_by_merge, invert_order

Array = npt.NDArray[Any]


def rank_columns(X: Array, *, run: _parallel.Run) -> tuple[Array, Array]:
    """Sort each feature.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Bool, integers of any size or floats up to 64 bits, without NaN.
    run : callable
        Runs the tasks, one per feature.

    Returns
    -------
    columns : ndarray of shape (n_features, n_samples)
        Values in ascending order, in the dtype of `X`.
    places : ndarray of shape (n_features, n_samples), int32
        Place of each row; equal values in the order of their rows.

    Raises
    ------
    NotImplementedError
        If `X` has 2**31 rows or more.
    """
    n_samples, n_features = X.shape
    _check_size(X)
    columns = np.empty((n_features, n_samples), dtype=X.dtype)
    places = np.empty((n_features, n_samples), dtype=np.int32)
    run((_rank, (X[:, k], columns[k], places[k])) for k in range(n_features))
    return columns, places


def own_thresholds(columns: Array, places: Array, *, run: _parallel.Run) -> Array:
    """Count the values <= each training value, (n_features, n_samples) int32."""
    thresholds = np.empty_like(places)
    run(
        (_own_threshold, rows) for rows in zip(columns, places, thresholds, strict=True)
    )
    return thresholds


def query_thresholds(columns: Array, X: Array, *, run: _parallel.Run) -> Array:
    """Count the training values <= each query value, (n_features, n_queries) int32."""
    _check_size(X)
    thresholds = np.empty(X.shape[::-1], dtype=np.int32)
    run(
        (_threshold, (column, X[:, k], thresholds[k]))
        for k, column in enumerate(columns)
    )
    return thresholds


def count_not_above(column: Array, queries: Array) -> Array:
    """Count the values of a sorted column that do not exceed each query, exactly."""
    floors, below_all = _floor(queries, column.dtype)
    counts = np.searchsorted(column, floors, side="right")
    counts[below_all] = 0
    return counts


def flip(places: Array, thresholds: Array, upper: Array) -> tuple[Array, Array]:
    """Reverse the order of some features: ``value > query`` becomes the lower side."""
    if not upper.any():
        return places, thresholds
    n = places.shape[1]
    upper = upper[:, None]
    places = np.where(upper, np.int32(n - 1) - places, places)
    return places, np.where(upper, np.int32(n) - thresholds, thresholds)


def sorted_rows(X: Array, run: _parallel.Run) -> tuple[Array, Array, Array]:
    """Put rows into the order of the first feature.

    Returns that order (n,), the rows (d, n) in it, and the positions in ascending order
    of each feature (d, n); both int32.
    """
    n, d = X.shape
    orders = np.empty((d, n), dtype=np.int32)
    rows = np.empty((d, n))
    places = np.empty(n, dtype=np.int32)

    def sort(k: int) -> None:
        orders[k] = argsort_keys(sort_keys(X[:, k]))

    run((sort, (k,)) for k in range(d))
    order = orders[0].copy()
    invert_order(order, places)

    def lay_out(k: int) -> None:
        np.take(np.ascontiguousarray(X[:, k]), order, out=rows[k], mode="clip")
        orders[k] = places[orders[k]]

    run((lay_out, (k,)) for k in range(d))
    return order, rows, orders


def _check_size(X: Array) -> None:
    if len(X) >= 2**31:
        raise NotImplementedError(
            f"X has {len(X)} rows, and places are 32-bit integers: split X into parts "
            "of fewer than 2**31 rows; results of parts of the training rows are "
            "averaged, weighted by size."
        )


def _rank(values: Array, column: Array, places: Array) -> None:
    order = argsort_keys(sort_keys(values))
    np.take(values, order, out=column, mode="clip")
    invert_order(order, places)


def _own_threshold(column: Array, places: Array, thresholds: Array) -> None:
    np.add(places, 1, out=thresholds)
    if (column[1:] == column[:-1]).any():
        ends = np.flatnonzero(column[1:] != column[:-1]) + 1  # of tied groups
        ends = np.append(ends, column.size)
        thresholds[:] = np.repeat(ends, np.diff(ends, prepend=0))[places]


def _threshold(column: Array, queries: Array, thresholds: Array) -> None:
    if queries.size < column.size // 8:
        thresholds[:] = count_not_above(column, queries)
        return
    floors, below_all = _floor(queries, column.dtype)
    keys = sort_keys(floors)
    count_by_merge(sort_keys(column), keys, argsort_keys(keys), thresholds)
    thresholds[below_all] = 0


def sort_keys(values: Array) -> Array:
    """Map numbers to uint64 in the same order; -0.0 and 0.0 to the same."""
    if values.dtype.kind == "f":
        bits = (values.astype(np.float64) + 0.0).view(np.int64)
        bits ^= (bits >> 63) & np.int64(2**63 - 1)  # negative floats sort backwards
    elif values.dtype.kind == "i":
        bits = values.astype(np.int64)
    else:
        return values.astype(np.uint64)
    return bits.view(np.uint64) ^ np.uint64(2**63)


def _floor(queries: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Round queries down to what `dtype` holds, and tell which are below all of that.

    NumPy compares 64-bit integers with floats, and signed with unsigned ones, after
    rounding both to float64.
    """
    if dtype.kind == "f":
        return _floor_to_float(queries), np.zeros(queries.shape, dtype=bool)
    info = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    top: float = info.max
    if queries.dtype.kind == "f":
        queries = np.floor(queries, dtype=np.float64)
        top = float(info.max)  # 2**63 and 2**64 for the largest types
    elif queries.dtype.kind == "b":
        queries = queries.astype(np.uint8)
    below_all = queries < info.min
    above_all = queries >= top
    inside = np.where(below_all | above_all, queries.dtype.type(0), queries)
    floors = inside.astype(info.dtype)
    floors[above_all] = info.max
    return floors, below_all


def _floor_to_float(queries: Array) -> Array:
    floats = queries.astype(np.float64)
    if queries.dtype.kind in "bf" or queries.dtype.itemsize < 8:
        return floats
    beyond = floats >= float(np.iinfo(queries.dtype).max)  # rounded up past the dtype
    rounded_up = np.where(beyond, 0.0, floats).astype(queries.dtype) > queries
    return np.where(beyond | rounded_up, np.nextafter(floats, -np.inf), floats)
