"""Weighted least squares at the points of a design."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import svd

from kernelkit._validation import Array

_LEAST_FREE = 1e-12  # share of a point that the others leave open: less is none


@dataclass(frozen=True)
class Fit:
    """A weighted least squares fit.

    Attributes
    ----------
    theta : ndarray of shape (m,) or (m, n_outputs)
        Coefficients on the orthonormal functions.
    lambda_min : float
        Least eigenvalue of the weighted Gram matrix.
    condition_number : float
        Of the weighted rows.
    loo_error : ndarray of shape () or (n_outputs,)
        Estimate of the mean squared error.
    """

    theta: Array
    lambda_min: float
    condition_number: float
    loo_error: Array


def solve(
    directions: Array, christoffel: Array, weights: Array, n_draws: int, y: Array
) -> Fit:
    r"""Fit values at the points of a design by a singular value decomposition.

    With rows :math:`a_i = \sqrt{w_i k_i} \varphi_i / |\varphi_i|`, residuals e and
    :math:`h = \operatorname{diag} A A^+`, leaving each point out in turn gives the
    errors :math:`e_i / (1 - h_i)`.

    Parameters
    ----------
    directions : ndarray of shape (n, m)
        Rows of orthonormal functions, over their norms.
    christoffel : ndarray of shape (n,)
        Squares of these norms.
    weights : ndarray of shape (n,)
    n_draws : int
        By which sums over draws become means.
    y : ndarray of shape (n,) or (n, n_outputs)

    Returns
    -------
    fit : Fit
    """
    A = directions * np.sqrt(weights * christoffel)[:, None]
    # A power of 2 as the unit of y: no square overflows or vanishes.
    _, exponent = np.frexp(np.abs(y).max(axis=0))
    y = np.ldexp(y, -exponent)
    roots = np.sqrt(weights).reshape(-1, *[1] * (y.ndim - 1))
    b = roots * y

    U, sizes, Vt = svd(A, full_matrices=False, check_finite=False)
    kept = sizes > max(A.shape) * np.finfo(np.float64).eps * sizes[0]
    U = U[:, kept]
    along = U.T @ b
    theta = Vt[kept].T @ (along.T / sizes[kept]).T
    free = 1.0 - np.square(U).sum(axis=1)
    errors = (b - U @ along).T
    without = np.full(errors.shape, np.inf)
    np.divide(errors, free, out=without, where=free > _LEAST_FREE)
    with np.errstate(divide="ignore", over="ignore"):
        loo_error = np.ldexp(np.square(without).sum(axis=-1) / n_draws, 2 * exponent)
        condition_number = float(sizes[0] / sizes[-1])
    least = sizes[-1] if len(sizes) == A.shape[1] else 0.0
    return Fit(
        np.ldexp(theta, exponent),
        float(least**2 / n_draws),
        condition_number,
        loo_error,
    )
