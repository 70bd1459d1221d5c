"""Ridge regression in the span of m centres: at once, or by conjugate gradients."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas, cho_solve, lapack

from kernelkit.nystroem.statistics import NormalEquations

Array = npt.NDArray[Any]

_LEAST_PIVOT = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-6}
_INDEFINITE = 1e-8  # of k(x, x): rounding leaves less
_SAFE_PIVOT = 1e-6  # of k(x, x): down to it, sums over many rows have digits to spare
_ROUNDING = 100.0 * float(np.finfo(np.float64).eps)  # of sums; more does harm
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
    def values(self) -> Array:
        """Values (m, r) of the basis at the centres."""
        values = np.empty_like(self.factor)
        values[self.order] = self.factor
        return values

    @property
    def is_far_from_dependent(self) -> bool:
        """Whether each centre is far from what those before it span."""
        own = np.square(self.factor[: self.rank]).sum(axis=1)
        shares = np.square(self.factor.diagonal()) / own
        return self.rank == len(self.order) and bool((shares > _SAFE_PIVOT).all())

    def whiten(self, normal: NormalEquations) -> NormalEquations:
        """Turn sums over kernel values to the centres to ones over the basis."""
        if not self.rank:
            return normal.keep(self.order[:0])
        triangle = self.factor[: self.rank]
        gram = normal.keep(self.order[: self.rank]).gram.T  # a copy, overwritten twice
        gram = blas.dtrsm(1.0, triangle, gram, lower=1, overwrite_b=1)
        gram = blas.dtrsm(
            1.0, triangle, gram, side=1, lower=1, trans_a=1, overwrite_b=1
        )
        right = self.project(np.column_stack([normal.cross, normal.columns]))
        return replace(normal, gram=gram, cross=right[:, :-1], columns=right[:, -1])

    def lacks_digits(self, normal: NormalEquations, alpha: float) -> bool:
        """Tell whether the rounding of sums, which `whiten` magnifies, nears alpha."""
        if not self.rank:
            return False
        squares = normal.gram.diagonal()[self.order[: self.rank]]
        magnified = float((squares / np.square(self.factor.diagonal())).max())
        return bool(_ROUNDING * magnified > alpha)

    def project(self, sums: Array) -> Array:
        """Turn sums (m, k) over kernel values to ones (r, k) over the basis."""
        if not self.rank:
            return sums[:0]
        return blas.dtrsm(
            1.0, self.factor[: self.rank], sums[self.order[: self.rank]], lower=1
        )

    def coef(self, beta: Array) -> Array:
        """Weights of the centres for coefficients (r, k) in the basis."""
        coef = np.zeros((len(self.order), beta.shape[1]))
        if self.rank:
            coef[self.order[: self.rank]] = blas.dtrsm(
                1.0, self.factor[: self.rank], beta, lower=1, trans_a=1
            )
        return coef

    def basis(self) -> Array:
        """Weights of the centres (m, r) in each function of the basis."""
        return self.coef(np.eye(self.rank))


def find_span(
    K_mm: Array, dtype: npt.DTypeLike = np.float64, *, is_all: bool = False
) -> Span:
    """Factor the kernel matrix of the centres.

    A centre is left out once the others leave less than 1e-10 of its own k(x, x), or
    1e-6 in float32: sums over many rows say little of the rest. Of those that stay, the
    largest come first: a small one after a large one loses no digits to it.

    Parameters
    ----------
    K_mm : ndarray of shape (m, m)
        Kernel matrix of the centres; it may be singular or indefinite.
    dtype : dtype, default=float64
        Precision that its values were computed in.
    is_all : bool, default=False
        Whether the centres are all rows, so that only what is lost in the rounding of
        the matrix has to be left out.
    """
    K = np.asarray(K_mm, dtype=np.float64)
    least = _LEAST_PIVOT[np.dtype(dtype)]
    if is_all:
        least = min(least, len(K) * float(np.finfo(dtype).eps))
    diagonal = K.diagonal()
    top = float(diagonal.max(initial=0.0))
    if not top > 0.0:
        return Span(np.arange(len(K)), np.zeros((len(K), 0)), not K.any())
    sizes = np.sqrt(np.where(diagonal > 0.0, diagonal, top))
    scaled = K / sizes[:, None] / sizes
    factor, pivots, rank, _ = lapack.dpstrf(scaled.T, tol=least, lower=1)
    order = pivots.astype(np.int64) - 1
    kept, rest = order[:rank], order[rank:]
    below = factor[rank:, :rank]
    remains = np.abs(scaled[np.ix_(rest, rest)] - below @ below.T)
    is_definite = not (remains > max(_INDEFINITE, 10.0 * least)).any()
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


@dataclass(frozen=True)
class SolveResult:
    """What a solver found.

    Attributes
    ----------
    beta : ndarray of shape (r, n_outputs)
        Coefficients in the basis of a `Span`.
    has_converged : bool
        Whether the solution is as exact as was asked for.
    n_iter : int, default=1
        Number of iterations.
    """

    beta: Array
    has_converged: bool
    n_iter: int = 1


def solve_direct(white: NormalEquations, alpha: Array) -> SolveResult:
    """Minimise the squared errors plus ``alpha |beta|^2``.

    Parameters
    ----------
    white : NormalEquations
        Sums over an orthonormal basis.
    alpha : ndarray of shape (1,) or (n_outputs,)
        Penalty, > 0.

    Returns
    -------
    result : SolveResult
        Not converged if the rounding of the sums exceeds `alpha`; directions that are
        nothing but rounding then count for nothing.
    """
    if len(alpha) == 1 and len(white.gram):
        factor, info = _penalized_factor(white.gram, alpha[0])
        if info == 0:
            beta = cho_solve((factor, True), white.cross, check_finite=False)
            return SolveResult(beta, True)
    path = alpha_path(white)
    return SolveResult(path.beta(alpha), bool(path.noise <= alpha.min()))


def _penalized_factor(gram: Array, alpha: float) -> tuple[Array, int]:
    """Cholesky factor of ``gram + alpha I``, and LAPACK's info: 0 if it exists."""
    system = gram.copy(order="F")
    np.fill_diagonal(system, system.diagonal() + alpha)
    return lapack.dpotrf(system, lower=1, overwrite_a=1)


@dataclass(frozen=True)
class AlphaPath:
    r"""Solutions for every alpha, from one eigendecomposition of the whitened sums.

    Attributes
    ----------
    values : ndarray of shape (r,)
        Eigenvalues e, >= 0.
    vectors : ndarray of shape (r, r)
        Eigenvectors, one per column.
    cross : ndarray of shape (r, n_outputs)
        Sums with the targets in the basis of eigenvectors.
    weight : float
        Sum of the weights of the rows.
    squares : ndarray of shape (n_outputs,)
        Sums of the squares of the targets.
    noise : float
        Size of the most negative eigenvalue before it became 0: rounding of the sums.
    """

    values: Array
    vectors: Array
    cross: Array
    weight: float
    squares: Array
    noise: float

    def beta(self, alpha: Any) -> Array:
        """Coefficients (r, n_outputs) for an alpha, or one for each output."""
        return self.vectors @ (self.cross * self._shrink(alpha))

    def effective_dimension(self, alpha: float) -> float:
        r"""Degrees of freedom of the fit, :math:`\sum e / (e + \alpha)`."""
        return float((self.values / (self.values + alpha)).sum())

    def residual_dimension(self, alpha: float) -> float:
        """Weight of the rows without the degrees of freedom of the fit."""
        left = (alpha / (self.values + alpha)).sum()
        return float(self.weight - len(self.values) + left)

    def residual_squares(self, alpha: float) -> Array:
        """Weighted sums of squared errors, (n_outputs,)."""
        values = self.values[:, None]
        rounding = len(values) * np.finfo(np.float64).eps
        floor = max(self.noise, rounding * float(self.values.max(initial=0.0)))
        squares = np.square(self.cross) / np.where(values > floor, values, np.inf)
        outside = self.squares - squares.sum(axis=0)
        outside[outside < 10.0 * rounding * self.squares] = 0.0
        return outside + (np.square(alpha / (values + alpha)) * squares).sum(axis=0)

    def _shrink(self, alpha: Any) -> Array:
        """Divide by e + alpha; what is known to be rounding counts for nothing."""
        alpha = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
        known = self.values[:, None] > np.where(
            alpha < 0.01 * self.noise, self.noise, -1
        )
        return known / (self.values[:, None] + alpha)


def alpha_path(white: NormalEquations) -> AlphaPath:
    """Decompose whitened sums; eigenvalues that rounding made negative become 0."""
    values, vectors = np.linalg.eigh(white.gram)
    return AlphaPath(
        np.maximum(values, 0.0),
        vectors,
        vectors.T @ white.cross,
        white.weight,
        white.squares,
        -min(float(values.min(initial=0.0)), 0.0),
    )


def solve_cg(
    gram_product: Callable[[Array], Array],
    cross: Array,
    approximation: Array,
    alpha: float,
    *,
    tol: float,
    max_iter: int,
) -> SolveResult:
    r"""Minimise the squared errors plus ``alpha |beta|^2`` by conjugate gradients.

    Source: Rudi, Carratino & Rosasco (2017), "FALKON: an optimal large scale kernel
    method", NeurIPS 30, section 3.

    Parameters
    ----------
    gram_product : callable
        Multiplies by the whitened gram matrix.
    cross : ndarray of shape (r, n_outputs)
        Whitened sums with the targets.
    approximation : ndarray of shape (r, r)
        Of the whitened gram matrix.
    alpha : float
        Penalty, > 0.
    tol : float
        Residual to reach, relative to the first; both in the norm of the
        preconditioner.
    max_iter : int
        Most iterations; each is a pass over the rows.
    """
    penalty = alpha
    factor, info = _penalized_factor(approximation, penalty)
    while info and penalty < np.inf:  # rounding exceeds it
        penalty *= 10.0
        factor, info = _penalized_factor(approximation, penalty)
    beta, residual = np.zeros_like(cross), cross.copy()
    step = guess = cho_solve((factor, True), residual, check_finite=False)
    first = size = (residual * guess).sum(axis=0)
    for n_iter in range(1, max_iter + 1):
        image = gram_product(step) + alpha * step
        rate = _ratio(size, (step * image).sum(axis=0))
        beta = beta + rate * step
        residual = residual - rate * image
        guess = cho_solve((factor, True), residual, check_finite=False)
        previous, size = size, (residual * guess).sum(axis=0)
        if (size <= tol**2 * first).all():
            return SolveResult(beta, True, n_iter)
        step = guess + _ratio(size, previous) * step
    return SolveResult(beta, False, max_iter)


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; an output whose errors are 0 takes no further steps."""
    return np.where(
        denominator > 0.0, numerator / np.where(denominator > 0, denominator, 1), 0.0
    )
