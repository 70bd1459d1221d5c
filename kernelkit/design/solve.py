"""Weighted least squares at the points of a design."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import svd

from kernelkit._validation import Array

_FAR = 700.0  # log k, near overflow
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
    directions: Array,
    log_christoffel: Array,
    weights: Array,
    n_draws: int,
    y: Array,
    limits: Array | None = None,
) -> Fit:
    r"""Fit values at the points of a design by a singular value decomposition.

    With rows :math:`a_i = \sqrt{w_i k_i} \varphi_i / |\varphi_i|`, residuals e and
    :math:`h = \operatorname{diag} A A^+`, leaving each point out in turn gives the
    errors :math:`e_i / (1 - h_i)`.

    Parameters
    ----------
    directions : ndarray of shape (n, m)
        Rows of orthonormal functions, over their norms.
    log_christoffel : ndarray of shape (n,)
        Logarithms of the squares k of these norms.
    weights : ndarray of shape (n,)
        Weights w; where k is near overflow they follow from `limits`.
    n_draws : int
        By which sums over draws become means.
    y : ndarray of shape (n,) or (n, n_outputs)
    limits : ndarray of shape (n,), optional
        What w k tends to as k grows; None for m, the limit of optimal weights.

    Returns
    -------
    fit : Fit
    """
    if limits is None:
        limits = np.full(len(weights), float(directions.shape[1]))
    far = (log_christoffel > _FAR) & (limits < np.inf)
    with np.errstate(divide="ignore"):  # k = 0
        log_weights = np.log(np.where(far, limits, weights))
    log_weights[far] -= log_christoffel[far]
    A = directions * np.exp(0.5 * (log_weights + log_christoffel))[:, None]
    b = _scale(y, np.where(far, 0.0, np.sqrt(weights)))
    # A target far out may be as huge as its weight is tiny: in two steps, both count.
    fourth_roots = np.exp(0.25 * log_weights[far])
    b[far] = _scale(_scale(y[far], fourth_roots), fourth_roots)
    U, sizes, Vt = svd(A, full_matrices=False, check_finite=False)
    kept = sizes > max(A.shape) * np.finfo(np.float64).eps * sizes[0]
    U = U[:, kept]
    with np.errstate(over="ignore", invalid="ignore"):
        along = U.T @ b
        theta = Vt[kept].T @ (along.T / sizes[kept]).T
        errors = (b - U @ along).T
        free = 1.0 - np.square(U).sum(axis=1)
        without = np.full(errors.shape, np.inf)
        np.divide(errors, free, out=without, where=free > _LEAST_FREE)
        loo_error = np.square(without).sum(axis=-1) / n_draws
    is_full = kept.sum() == A.shape[1]
    return Fit(
        theta,
        lambda_min=float(sizes[-1] ** 2 / n_draws) if is_full else 0.0,
        condition_number=float(sizes[0] / sizes[-1]) if is_full else np.inf,
        loo_error=loo_error,
    )


def _scale(y: Array, factors: Array) -> Array:
    """Multiply the rows of y."""
    scaled: Array = (y.T * factors).T
    return scaled
