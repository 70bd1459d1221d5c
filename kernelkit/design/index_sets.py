"""Which products of univariate functions a basis holds."""

from collections import Counter
from collections.abc import Callable

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
    n_indices = _count(left_after, n_features, degree)
    check.memory(
        16 * n_indices * n_features,
        f"the {kind!r} index set of degree {degree} in {n_features} features has "
        f"{n_indices:.3g} members, lower the degree",
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


def in_order(indices: Array) -> Array:
    """Sort multi-indices as `index_set` does."""
    return indices[np.lexsort((*-indices.T[::-1], indices.sum(axis=1)))]


def _count(left_after: Left, n_features: int, degree: int) -> int:
    """Count multi-indices without listing them."""
    counts = Counter({degree: 1})
    for _ in range(n_features):
        longer: Counter[int] = Counter()
        for left, n_indices in counts.items():
            all_left = left_after(np.full(left + 1, left), np.arange(left + 1))
            for rest in all_left.tolist():
                longer[rest] += n_indices
        counts = longer
    return counts.total()
