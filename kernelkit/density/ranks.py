"""Turn numbers into places in an order, feature by feature.

A training value becomes its place in the sorted feature (ties in any order), a query
becomes the count of training values that do not exceed it. Then ``value <= query``
if and only if ``place < count``: ties, dtypes and infinities are settled here, once,
and everything behind it is integer arithmetic.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def rank_columns(X: Array, *, n_jobs: int | None) -> tuple[Array, Array]:
    """Sort each feature: sorted values (d, n) and place of each row (d, n), int32."""
    order = np.argsort(X.T, axis=1, kind="stable")
    columns = np.take_along_axis(X.T, order, axis=1)
    places = np.empty(order.shape, dtype=np.int32)
    np.put_along_axis(places, order, np.arange(len(X), dtype=np.int32)[None], axis=1)
    return columns, places


def own_thresholds(columns: Array, places: Array) -> Array:
    """Count the values <= each training value, (d, n) int32."""
    return np.array([np.searchsorted(c, c, "right").astype(np.int32)[p] for c, p in zip(columns, places)])


def thresholds(columns: Array, X: Array, *, n_jobs: int | None) -> Array:
    return np.array([np.searchsorted(c, x, "right").astype(np.int32) for c, x in zip(columns, X.T)])


def count_not_above(column: Array, nodes: Array) -> Array:
    return np.searchsorted(column, nodes, "right").astype(np.int32)


def flip(places: Array, thresholds: Array, upper: Array) -> tuple[Array, Array]:
    n = places.shape[1]
    places = np.where(upper[:, None], n - 1 - places, places)
    thresholds = np.where(upper[:, None], n - thresholds, thresholds)
    return places, thresholds
