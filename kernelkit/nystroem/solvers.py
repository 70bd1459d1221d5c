"""Ridge regression in an orthonormal basis: at once, or by conjugate gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, lapack

from kernelkit.nystroem.statistics import NormalEquations

Array = npt.NDArray[Any]


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
