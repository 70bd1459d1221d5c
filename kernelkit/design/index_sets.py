"""Which products of univariate functions a basis holds."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernelkit import _validation as check
from kernelkit._validation import Array

Left = Callable[[Array, Array], Array]

# The highest degree still allowed, where it was `left` and one feature took `used`.
KINDS: dict[str, Left] = {
    "total": lambda left, used: left - used,
    "hyperbolic": lambda left, used: (left + 1) // (used + 1) - 1,
    "tensor": lambda left, used: left,
}
_COUNTLESS = 10**30
_TOO_HIGH = 10_000  # a degree: so many univariate values are tabulated


def index_set(kind: str, n_features: int, degree: int) -> Array:
    """List the multi-indices up to a degree.

    Parameters
    ----------
    kind : {"total", "hyperbolic", "tensor"}
        What is bounded: the sum of the degrees j, the product of all ``j + 1`` (by
        ``degree + 1``), or each of them.
    n_features : int
        At least 1.
    degree : int
        At least 0.

    Returns
    -------
    indices : ndarray of shape (n_indices, n_features), int64
        By their sum; of equal ones, high degrees of the first features come first.

    Raises
    ------
    MemoryError
        If there are too many.
    """
    left_after = KINDS[kind]
    n_indices = min(_COUNTS[kind](n_features, degree), _COUNTLESS)
    check.memory(
        16 * n_indices * n_features,
        f"the {kind!r} index set of degree {degree} in {n_features} features has "
        f"{n_indices:.3g} members or more, lower the degree",
    )
    indices = np.zeros((1, 0), dtype=np.int64)
    left = np.array([degree])
    for _ in range(n_features):
        row = np.repeat(np.arange(len(left)), left + 1)
        first = np.cumsum(left + 1) - (left + 1)
        used = np.arange(len(row)) - first[row]
        indices = np.column_stack([indices[row], used])
        left = left_after(left[row], used)
    return in_order(indices)


def whole_degree(owner: str, value: int) -> int:
    """Check a degree, a whole number >= 0; `owner` is named in the refusal."""
    if not 0 <= value < _TOO_HIGH:
        raise ValueError(
            f"The 'degree' parameter of {owner} must be a whole number >= 0 and < "
            f"{_TOO_HIGH}. Got {value!r} instead."
        )
    return int(value)


def given_indices(owner: str, value: Any, n_features: int) -> Array:
    """Check rows of distinct multi-indices, one whole number >= 0 per feature."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    is_right = numbers.ndim == 2 and len(numbers) and numbers.shape[1] == n_features
    if not (is_right and np.isin(numbers, np.arange(_TOO_HIGH)).all()):
        kinds = ", ".join(map(repr, KINDS))
        raise ValueError(
            f"The 'index_set' parameter of {owner} must be one of {kinds}, or rows of "
            f"{n_features} whole numbers >= 0 and < {_TOO_HIGH}, a degree for each "
            f"feature. Got {value!r} instead."
        )
    indices = numbers.astype(np.int64)
    if len(np.unique(indices, axis=0)) < len(indices):
        raise ValueError(
            f"The 'index_set' parameter of {owner} must not repeat a row. Got "
            f"{value!r} instead."
        )
    return indices


def in_order(indices: Array) -> Array:
    """Sort multi-indices as `index_set` does."""
    return indices[np.lexsort((*-indices.T[::-1], indices.sum(axis=1)))]


def _count_total(n_features: int, degree: int) -> int:
    return math.comb(n_features + degree, n_features)


def _count_tensor(n_features: int, degree: int) -> int:
    too_many = n_features * math.log(degree + 1) > math.log(_COUNTLESS)
    return _COUNTLESS if too_many else (degree + 1) ** n_features


def _count_hyperbolic(n_features: int, degree: int) -> int:
    """Count products up to ``degree + 1``, by how many of their factors exceed 1."""
    n_indices = 0
    products = np.arange(degree + 2) == 1
    ways = products.astype(np.int64)  # for each product, from so many factors
    for n_factors in range(n_features + 1):
        if not ways.any():
            break
        n_indices += math.comb(n_features, n_factors) * int(ways.sum())
        longer = np.zeros_like(ways)
        for factor in range(2, degree + 2):
            longer[factor::factor] += ways[1 : (degree + 1) // factor + 1]
        ways = longer
    return n_indices


_COUNTS = {
    "total": _count_total,
    "hyperbolic": _count_hyperbolic,
    "tensor": _count_tensor,
}
