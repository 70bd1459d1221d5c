"""The sums over rows that least squares on fixed centres needs."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit.linalg.kernel_blocks import Centers, PairKernel

Array = npt.NDArray[Any]

_FEWEST_ROWS, _MOST_ROWS = 2**10, 2**14  # of a tile
_CELLS = 2**20  # numbers in a tile, if the centres are few


@dataclass(frozen=True)
class NormalEquations:
    r"""Sums over rows with weights w, targets y and kernel values h to the m centres.

    Each sum is linear in the rows: the parts of a data set add up, in any division.

    Attributes
    ----------
    gram : ndarray of shape (m, m), float64
        :math:`\sum w h h'`.
    cross : ndarray of shape (m, n_outputs)
        :math:`\sum w h y'`.
    columns : ndarray of shape (m,)
        :math:`\sum w h`.
    weight : float
        :math:`\sum w`.
    targets, squares : ndarray of shape (n_outputs,)
        :math:`\sum w y` and :math:`\sum w y^2`.
    """

    gram: Array
    cross: Array
    columns: Array
    weight: float
    targets: Array
    squares: Array

    def __add__(self, other: Self) -> "NormalEquations":
        """Join the rows of two parts."""
        return NormalEquations(
            self.gram + other.gram,
            self.cross + other.cross,
            self.columns + other.columns,
            self.weight + other.weight,
            self.targets + other.targets,
            self.squares + other.squares,
        )

    def keep(self, kept: Array) -> "NormalEquations":
        """Drop all centres but the `kept` ones (a mask or numbers), exactly."""
        return NormalEquations(
            self.gram[kept][:, kept],
            self.cross[kept],
            self.columns[kept],
            self.weight,
            self.targets,
            self.squares,
        )

    def extend(self, coef: Array) -> "NormalEquations":
        r"""Append centres whose past is a combination of that of the old ones.

        The kernel values of a row to the new centres are taken for :math:`C'h`, which
        is as wrong as the old centres fail to span the row or the new centre.

        Parameters
        ----------
        coef : ndarray of shape (m, n_new)
            C, a column for each new centre.
        """
        beside = self.gram @ coef
        corner = coef.T @ beside
        return NormalEquations(
            np.block([[self.gram, beside], [beside.T, 0.5 * (corner + corner.T)]]),
            np.vstack([self.cross, coef.T @ self.cross]),
            np.concatenate([self.columns, coef.T @ self.columns]),
            self.weight,
            self.targets,
            self.squares,
        )

    def centered(self) -> "NormalEquations":
        """Subtract the weighted means from targets and kernel values.

        Least squares on what remains is least squares with an intercept.
        """
        means, base = self.columns / self.weight, self.targets / self.weight
        return NormalEquations(
            self.gram - np.outer(self.columns, means),
            self.cross - np.outer(self.columns, base),
            np.zeros_like(self.columns),
            self.weight,
            np.zeros_like(self.targets),
            np.maximum(self.squares - self.targets * base, 0.0),
        )


def accumulate(
    kernel: PairKernel,
    X: Any,
    y: Array,
    weights: Array | None,
    centers: Centers,
    *,
    n_jobs: int | None = None,
) -> NormalEquations:
    """Sum over the rows, in tiles on threads; no bit depends on `n_jobs`.

    Takes ``m^2`` numbers, and a tile and ``m^2`` for each thread.

    Parameters
    ----------
    kernel : PairKernel
        Kernel of rows and centres.
    X : ndarray or csr_array of shape (n_samples, n_features)
        Rows.
    y : ndarray of shape (n_samples, n_outputs), float64
        Targets.
    weights : ndarray of shape (n_samples,) or None
        Row weights; None means 1.
    centers : Centers
        The m centres, prepared by `kernel`.
    n_jobs : int or None, default=None
        Number of threads.
    """
    n, m = X.shape[0], len(centers)
    if weights is None:
        weights = np.ones(n)
    roots = np.sqrt(weights)[:, None]
    right = roots * np.column_stack([y, np.ones(n)])
    gram, cross = np.zeros((m, m)), np.zeros((m, right.shape[1]))
    size = min(tile_rows(m), n)
    blocks: deque[Array] = deque()  # fresh pages would cost more than the kernel
    products: deque[Array] = deque()

    def sum_tile(tile: slice) -> tuple[Array, Array]:
        out = blocks.pop() if blocks else np.empty((size, m), dtype=X.dtype)
        H = kernel.block(X[tile], centers, out=out[: tile.stop - tile.start])
        H = _weigh(H, roots[tile])
        product = products.pop() if products else np.empty((m, m))
        np.matmul(H.T, H, out=product)  # NumPy knows it for symmetric: half the work
        beside = H.T @ right[tile]
        blocks.append(out)
        return product, beside

    def add(sums: tuple[Array, Array]) -> None:
        np.add(gram, sums[0], out=gram)
        np.add(cross, sums[1], out=cross)
        products.append(sums[0])

    tiles = (slice(i, min(i + size, n)) for i in range(0, n, size))
    with _parallel.one_blas_thread:
        _parallel.fold(n_jobs, ((sum_tile, (tile,)) for tile in tiles), add)
    return NormalEquations(
        gram,
        cross[:, :-1].copy(),
        cross[:, -1].copy(),
        float(weights.sum()),
        weights @ y,
        weights @ np.square(y),
    )


def tile_rows(m: int) -> int:
    """Choose the rows of a tile: products are fast from some hundred rows on."""
    return int(np.clip(_CELLS // max(m, 1), _FEWEST_ROWS, _MOST_ROWS))


def _weigh(H: Array, roots: Array) -> Array:
    """Multiply rows by the roots of their weights, in float64; may overwrite H."""
    if H.dtype == np.float64 and (roots == 1.0).all():
        return H
    return np.multiply(H, roots, out=H if H.dtype == np.float64 else None)
