"""Exact ridge leverage scores of a kernel matrix."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg
from sklearn.base import BaseEstimator

from kernelkit import _validation as check
from kernelkit._warnings import warn

Array = npt.NDArray[Any]

_INDEFINITE = 1e-8  # a negative eigenvalue beyond this share of the largest one
_ASYMMETRIC = 1e4  # roundings of the largest entry


def exact_ridge_leverage_scores(
    K: Any, ridge: float, sample_weight: Any = None
) -> Array:
    r"""Compute the ridge leverage score of every row exactly.

    .. math:: \tau_i = [W^{1/2} K W^{1/2} (W^{1/2} K W^{1/2} + \rho I)^{-1}]_{ii}

    with the weights on the diagonal of W and `ridge` as :math:`\rho`. The score tells
    how little a row resembles the others: near 1 if it stands alone, near 1 / c if it
    has c - 1 twins. In time O(n_samples^3), so for up to some 10,000 rows; for more,
    `RidgeLeverageNystroem` estimates the scores.

    Parameters
    ----------
    K : array-like of shape (n_samples, n_samples)
        Symmetric, positive semidefinite kernel matrix.
    ridge : float
        Regulariser, > 0, in the unit of the eigenvalues of `K`.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Nonnegative row weights, not all zero. None weighs every row 1; to weigh a row 2
        gives it the sum of the scores that it and its copy would have.

    Returns
    -------
    scores : ndarray of shape (n_samples,)
        In [0, 1], highest for rows that no others can replace.

    Raises
    ------
    ValueError
        If `K` is not symmetric or not finite, or `ridge` is not positive.

    Warns
    -----
    UserWarning
        If `K` has negative eigenvalues, which count as 0.

    See Also
    --------
    effective_dimension : The sum of the scores.

    Notes
    -----
    Eigenvalues below the rounding error of the largest one count as 0, so that a
    singular `K`, as of repeated rows, is no difficulty at any `ridge`.

    References
    ----------
    .. [1] Alaoui & Mahoney (2015), "Fast randomized kernel ridge regression with
       statistical guarantees", NeurIPS 28, definition 1.

    Examples
    --------
    >>> from kernelkit import exact_ridge_leverage_scores
    >>> K = [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> exact_ridge_leverage_scores(K, ridge=0.5).round(3).tolist()
    [0.4, 0.4, 0.667]
    """
    owner = exact_ridge_leverage_scores.__name__
    ridge = check.positive("ridge", ridge)
    K, ridge, noise = _scaled(owner, K, ridge, sample_weight)
    values, V = linalg.eigh(K, overwrite_a=True, check_finite=False)
    return np.minimum((V * V) @ _shares(values, ridge, noise), 1.0)


def effective_dimension(K: Any, ridge: float, sample_weight: Any = None) -> float:
    r"""Compute the effective dimension, the sum of the ridge leverage scores.

    .. math:: d(\rho) = \sum_j \frac{\lambda_j}{\lambda_j + \rho}

    over the eigenvalues of the (weighted) kernel matrix. It is the number of degrees of
    freedom of kernel ridge regression with ``alpha=ridge``, and about the number of
    rows that can stand for all of them.

    Parameters
    ----------
    K : array-like of shape (n_samples, n_samples)
        Symmetric, positive semidefinite kernel matrix.
    ridge : float
        Regulariser, > 0, in the unit of the eigenvalues of `K`.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Nonnegative row weights, not all zero; None weighs every row 1.

    Returns
    -------
    dimension : float
        Between 0 and the rank of `K`.

    Raises
    ------
    ValueError
        If `K` is not symmetric or not finite, or `ridge` is not positive.

    Warns
    -----
    UserWarning
        If `K` has negative eigenvalues, which count as 0.

    See Also
    --------
    exact_ridge_leverage_scores : Its terms, row by row.

    References
    ----------
    .. [1] Zhang (2005), "Learning bounds for kernel regression using effective data
       dimensionality", Neural Computation 17(9), 2077-2098.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import effective_dimension
    >>> round(effective_dimension(np.eye(6), ridge=0.5), 6)
    4.0
    """
    ridge = check.positive("ridge", ridge)
    owner = effective_dimension.__name__
    K, ridge, noise = _scaled(owner, K, ridge, sample_weight)
    values = linalg.eigvalsh(K, overwrite_a=True, check_finite=False)
    return float(_shares(values, ridge, noise).sum())


def _scaled(
    owner: str, K: Any, ridge: float, sample_weight: Any
) -> tuple[Array, float, float]:
    """Check a kernel matrix, weigh its rows and columns, and take away its unit.

    Returns
    -------
    K : ndarray of shape (n_samples, n_samples), float64
        A copy whose entries are at most 1 in size.
    ridge : float
        In the unit of the copy; infinite or 0 if out of range.
    noise : float
        Rounding error of an entry.
    """
    named = type(owner, (BaseEstimator,), {})()  # for the words of the refusals
    K = check.kernel_rows(named, K, reset=True, kernel="precomputed")
    weights = check.weights(sample_weight, K)
    noise = float(np.finfo(K.dtype).eps)
    K = K.astype(np.float64)
    gap = np.abs(K - K.T)
    size = float(np.abs(K).max()) or 1.0
    if gap.max() > _ASYMMETRIC * noise * size:
        i, j = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            f"A kernel matrix is symmetric, and here K[{i}, {j}] = {K[i, j]:.6g} but "
            f"K[{j}, {i}] = {K[j, i]:.6g}: pass the kernel of the rows with themselves."
        )
    K /= size
    if weights is not None:
        root = np.sqrt(weights / weights.max())
        K *= root
        K *= root[:, None]
        size *= weights.max()
    with np.errstate(over="ignore"):
        return K, float(np.divide(ridge, size)), noise


def _shares(values: Array, ridge: float, noise: float) -> Array:
    """Turn ascending eigenvalues v into ``v / (v + ridge)``, noise into 0."""
    top = np.abs(values).max()
    noise *= len(values)
    if values[0] < -max(_INDEFINITE, noise) * top:
        warn(
            "The kernel matrix is not positive semidefinite: its least eigenvalue is "
            f"{values[0] / top:.3g} times the largest. Negative ones count as 0."
        )
    shares = np.zeros_like(values)
    np.divide(values, values + ridge, out=shares, where=values > noise * top)
    return shares
