"""The sums over rows that least squares on fixed centres needs."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit.linalg.kernel_blocks import Centers, PairKernel

Array = npt.NDArray[Any]

_FEWEST_ROWS, _MOST_ROWS = 2**10, 2**14  # of a tile
_ROUNDING = 1000.0  # roundings in a sum over rows; far on the safe side
_PANEL = 64  # columns: fewer make slow products, and more multiply by zeros
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
        return replace(
            self,
            gram=self.gram[np.ix_(kept, kept)],
            cross=self.cross[kept],
            columns=self.columns[kept],
        )

    def combine(self, coef: Array) -> "NormalEquations":
        """Turn sums over h to ones over ``h @ coef``."""
        gram = coef.T @ self.gram @ coef
        return replace(
            self,
            gram=0.5 * (gram + gram.T),
            cross=coef.T @ self.cross,
            columns=coef.T @ self.columns,
        )

    def scaled(self, factor: Array) -> "NormalEquations":
        """Turn sums with targets y to ones with ``factor * y``, (n_outputs,)."""
        return replace(
            self,
            cross=self.cross * factor,
            targets=self.targets * factor,
            squares=self.squares * np.square(factor),
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
    basis: Array | None = None,
    with_gram: bool = True,
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
    basis : ndarray of shape (m, k) or None, default=None
        Sum over ``h @ basis`` in place of the last k numbers of h, to keep digits that
        sums over these lose where they nearly depend on those before. It is 0 below
        the diagonal that ends in its last corner.
    with_gram : bool, default=True
        Whether to sum the gram matrix; otherwise it is left empty.
    n_jobs : int or None, default=None
        Number of threads.
    """
    right = np.column_stack([y, np.ones(len(y))])
    if weights is not None:
        right *= np.sqrt(weights)[:, None]
    m = len(centers)

    def sum_tile(H: Array, tile: slice, out: list[Array]) -> None:
        if basis is not None:
            _combine(H, basis)
        np.matmul(H.T, right[tile], out=out[0])
        if with_gram:  # NumPy knows it for symmetric: half the work
            np.matmul(H.T, H, out=out[1])

    cross, gram = _sum_tiles(
        sum_tile,
        [(m, right.shape[1]), (m, m) if with_gram else (0, 0)],
        kernel,
        X,
        weights,
        centers,
        n_jobs=n_jobs,
    )
    return _normal_equations(gram, cross, y, weights)


def _combine(H: Array, basis: Array) -> None:
    """Replace the last columns of H by ``H @ basis``, from the last on."""
    first = H.shape[1] - basis.shape[1]
    for start in reversed(range(0, basis.shape[1], _PANEL)):
        part = slice(start, start + _PANEL)
        panel = basis[:, part]
        stop = first + start + panel.shape[1]
        H[:, first + start : stop] = H[:, :stop] @ panel[:stop]


def sum_rows(H: Array, y: Array, weights: Array | None) -> NormalEquations:
    """Sum over rows whose values (n_samples, m) are known."""
    right = np.column_stack([y, np.ones(len(y))])
    if weights is not None:
        roots = np.sqrt(weights)[:, None]
        H, right = roots * H, roots * right
    return _normal_equations(H.T @ H, H.T @ right, y, weights)


def _normal_equations(
    gram: Array, cross: Array, y: Array, weights: Array | None
) -> NormalEquations:
    if not (np.isfinite(gram).all() and np.isfinite(cross).all()):
        raise ValueError(
            "The kernel values or the weights are so large that sums of them overflow: "
            "rescale the features, the kernel or the weights."
        )
    counts = np.ones(len(y)) if weights is None else weights
    return NormalEquations(
        gram,
        cross[:, :-1].copy(),
        cross[:, -1].copy(),
        float(counts.sum()),
        counts @ y,
        counts @ np.square(y),
    )


def sum_of_sizes(kernel: PairKernel, X: Any, weights: Array | None) -> float:
    """Sum the sizes of k(x, x) over rows, times their weights."""
    sizes = np.abs(kernel.diag(X, np.arange(X.shape[0])))
    return float(sizes.sum() if weights is None else weights @ sizes)


def rounding_of_sums(total: float) -> float:
    """Bound what is lost of sums over rows, for centres with ``k(c, c) = 1``; > 0.

    Parameters
    ----------
    total : float
        The `sum_of_sizes` of the rows.
    """
    info = np.finfo(np.float64)
    return max(_ROUNDING * float(info.eps) * total, float(info.tiny))


def gram_product(
    kernel: PairKernel,
    X: Any,
    coef: Array,
    weights: Array | None,
    centers: Centers,
    *,
    n_jobs: int | None = None,
) -> Array:
    """Compute ``H' W H coef`` for the kernel values H, which are not stored."""

    def sum_tile(H: Array, tile: slice, out: list[Array]) -> None:
        np.matmul(H.T, H @ coef, out=out[0])

    return _sum_tiles(
        sum_tile, [coef.shape], kernel, X, weights, centers, n_jobs=n_jobs
    )[0]


def tile_rows(m: int) -> int:
    """Choose the rows of a tile: products are fast from some hundred rows on."""
    return int(np.clip(_CELLS // max(m, 1), _FEWEST_ROWS, _MOST_ROWS))


def _sum_tiles(
    sum_tile: Callable[[Array, slice, list[Array]], None],
    shapes: Sequence[tuple[int, ...]],
    kernel: PairKernel,
    X: Any,
    weights: Array | None,
    centers: Centers,
    *,
    n_jobs: int | None,
) -> list[Array]:
    """Add up what `sum_tile` writes for each tile of rows, in their order.

    It gets the kernel values of a tile in float64, times the roots of the weights.
    Buffers are used again: fresh pages would cost more than the kernel.
    """
    n, m = X.shape[0], len(centers)
    size = min(tile_rows(m), n)
    totals = [np.zeros(shape) for shape in shapes]
    narrow = X.dtype == np.float32
    roots = None if weights is None else np.sqrt(weights)[:, None]
    tiles = [slice(i, min(i + size, n)) for i in range(0, n, size)]
    spare: deque[tuple[list[Array], list[Array]]] = deque()

    def run(tile: slice) -> tuple[list[Array], list[Array]]:
        try:
            blocks, sums = spare.pop()
        except IndexError:
            blocks = [np.empty((size, m))]
            if narrow:
                blocks.append(np.empty((size, m), dtype=np.float32))
            sums = [np.empty(shape) for shape in shapes]
        n_rows = tile.stop - tile.start
        H = blocks[0][:n_rows]
        values = kernel.block(X[tile], centers, out=blocks[-1][:n_rows])
        with np.errstate(over="ignore", invalid="ignore"):  # told by the sums
            if roots is not None:
                np.multiply(values, roots[tile], out=H)
            elif narrow:
                np.copyto(H, values)
            sum_tile(H, tile, sums)
        return blocks, sums

    def add(result: tuple[list[Array], list[Array]]) -> None:
        for total, part in zip(totals, result[1], strict=True):
            np.add(total, part, out=total)
        spare.append(result)

    with _parallel.one_blas_thread:
        _parallel.fold(n_jobs, ((run, (tile,)) for tile in tiles), add)
    return totals
