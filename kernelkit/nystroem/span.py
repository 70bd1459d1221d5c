"""The functions that centres span, by an orthonormal basis of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, lapack

from kernelkit.nystroem.statistics import NormalEquations

Array = npt.NDArray[Any]

_EPS = float(np.finfo(np.float64).eps)
_ROUNDING = 8.0  # roundings of k(x, x), of which a pivot is no more than noise
_CLEAN = 1e-12  # of k(x, x): a kernel without noise leaves less of the centres
NOISE = 1e-10  # of k(x, x): least pivot if kernel values are noisy
_INDEFINITE = 1e-8  # of k(x, x): rounding leaves less
_ALIKE = 0.01  # ratio of norms down to which no order loses digits


@dataclass(frozen=True)
class Span:
    """Functions that centres span, by an orthonormal basis of them.

    The pivoted Cholesky factor of the kernel matrix of the centres; those that the
    others span up to rounding are left out.

    Attributes
    ----------
    order : ndarray of shape (m,)
        The centres, those that span first.
    factor : ndarray of shape (m, r), float64
        ``K[order][:, order]`` is ``factor @ factor.T``, and the first r rows are lower
        triangular.
    is_definite : bool
        Whether nothing but rounding remains of the kernel matrix.
    """

    order: Array
    factor: Array
    is_definite: bool

    @property
    def rank(self) -> int:
        """Number r of functions in the basis."""
        return self.factor.shape[1]

    @property
    def kept(self) -> Array:
        """The r centres that span, in the order of the basis."""
        return self.order[: self.rank]

    @property
    def values(self) -> Array:
        """Values (m, r) of the basis at the centres."""
        values = np.empty_like(self.factor)
        values[self.order] = self.factor
        return values

    def lossy(self, most: float) -> Array:
        """Weights of the kept centres in functions that need sums of their own.

        Sums over rows of the products of kernel values, combined to those of functions
        of the basis, magnify roundings by the squared size of the weights.

        Parameters
        ----------
        most : float
            Largest magnification that does no harm, where every k(x, x) is 1.

        Returns
        -------
        basis : ndarray of shape (r, k)
            For the last k functions, the first of which exceeds `most`; 0 below the
            diagonal of the whole basis.
        """
        basis = self._solve(np.eye(self.rank), trans_a=1)
        sizes = np.sqrt(np.square(self.factor[: self.rank]).sum(axis=1))
        exceeds = np.square(sizes @ np.abs(basis)) > most
        first = int(exceeds.argmax()) if exceeds.any() else self.rank
        return np.ascontiguousarray(np.triu(basis)[:, first:])

    def whiten(self, normal: NormalEquations, n_plain: int) -> NormalEquations:
        """Turn sums over kernel values to ones over the basis.

        Parameters
        ----------
        normal : NormalEquations
            Sums over kernel values to the first `n_plain` kept centres, and over the
            functions of the basis from there on.
        n_plain : int
        """
        if not n_plain:
            return normal
        triangle = self.factor[:n_plain, :n_plain]
        sums = np.column_stack([normal.gram, normal.cross, normal.columns])
        sums[:n_plain] = blas.dtrsm(1.0, triangle, sums[:n_plain], lower=1)
        r = len(normal.gram)
        gram = sums[:, :r].T.copy()
        gram[:n_plain] = blas.dtrsm(1.0, triangle, gram[:n_plain], lower=1)
        return replace(normal, gram=gram, cross=sums[:, r:-1], columns=sums[:, -1])

    def project(self, sums: Array) -> Array:
        """Turn sums (m, k) over kernel values to ones (r, k) over the basis."""
        return self._solve(sums[self.kept])

    def coef(self, beta: Array) -> Array:
        """Weights of the centres for coefficients (r, k) in the basis."""
        coef = np.zeros((len(self.order), beta.shape[1]))
        coef[self.kept] = self._solve(beta, trans_a=1)
        return coef

    def basis(self) -> Array:
        """Weights of the centres (m, r) in each function of the basis."""
        return self.coef(np.eye(self.rank))

    def _solve(self, right: Array, **options: int) -> Array:
        if not self.rank:
            return right
        return blas.dtrsm(1.0, self.factor[: self.rank], right, lower=1, **options)


def find_span(
    K_mm: Array, dtype: npt.DTypeLike = np.float64, *, least: float = 0.0
) -> Span:
    """Factor the kernel matrix of the centres.

    A centre is left out once what the others leave of its own k(x, x) is rounding, or
    noise of the kernel, which more than rounding left after the last centre tells. Of
    those that stay, the largest come first: a small one after a large one loses no
    digits to it.

    Parameters
    ----------
    K_mm : ndarray of shape (m, m)
        Kernel matrix of the centres; it may be singular or indefinite.
    dtype : dtype, default=float64
        Precision that its values were computed in.
    least : float, default=0.0
        Share of its k(x, x) below which a centre is left out though it is no rounding:
        for sums of kernel values that are projected on the basis.
    """
    K = np.asarray(K_mm, dtype=np.float64)
    diagonal = K.diagonal()
    top = float(diagonal.max(initial=0.0))
    if not top > 0.0:
        return Span(np.arange(len(K)), np.zeros((len(K), 0)), not K.any())
    sizes = np.sqrt(np.where(diagonal > 0.0, diagonal, top))
    scaled = K / sizes[:, None] / sizes
    rounding = _ROUNDING * float(np.finfo(dtype).eps)
    least = max(rounding, least)
    order, factor, rank, remains = _pivoted(scaled, least)
    if least < NOISE and remains > max(_CLEAN, 10.0 * least):
        least = max(rounding, NOISE)
        order, factor, rank, remains = _pivoted(scaled, least)
    kept, rest = order[:rank], order[rank:]
    is_definite = bool(remains <= max(_INDEFINITE, 10.0 * least))
    if sizes[kept].min() > _ALIKE * sizes[kept].max():
        factor = sizes[order, None] * np.tril(factor[:, :rank])
        return Span(order, factor, is_definite)
    K_kept = K[np.ix_(kept, kept)]
    factor, pivots, rank, _ = lapack.dpstrf(K_kept.T, tol=0.0, lower=1)
    kept = kept[pivots - 1]
    order = np.concatenate([kept, rest])
    factor = np.tril(factor[:, :rank])
    below = blas.dtrsm(1.0, factor[:rank], K[np.ix_(kept[:rank], rest)], lower=1)
    return Span(order, np.concatenate([factor, below.T]), is_definite)


def _pivoted(K: Array, least: float) -> tuple[Array, Array, int, float]:
    """Factor K up to a pivot; also return the largest number that remains of it."""
    factor, pivots, rank, _ = lapack.dpstrf(K.T, tol=least, lower=1)
    order = pivots.astype(np.int64) - 1
    rest, below = order[rank:], factor[rank:, :rank]
    remains = np.abs(K[np.ix_(rest, rest)] - below @ below.T).max(initial=0.0)
    return order, factor, rank, float(remains)
