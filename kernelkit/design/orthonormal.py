"""Orthonormal columns for features on a finite pool of rows."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, blas, cholesky, qr, solve_triangular

from kernelkit._validation import Array
from kernelkit._warnings import warn

_LEAST_PIVOT = 1e-6  # of a Cholesky factor, next to the norm of its column
_NEARLY = 0.1  # orthonormal enough that one more Cholesky step makes it exact
_EXACT = 1e-13
_TIE = 1e-6  # norms that differ by less count as equal


@dataclass(frozen=True)
class ChangeOfBasis:
    r"""How features and orthonormal functions turn into each other.

    With P the kept features, :math:`\varphi(x)' = f_P(x)' D^{-1} R^{-1}`, where D holds
    powers of 2.

    Attributes
    ----------
    R : ndarray of shape (rank, rank)
        Upper triangular.
    kept : ndarray of shape (rank,)
        Which features are kept, in the order of the columns of R.
    exponents : ndarray of shape (rank,)
        Powers of 2 in D: neither huge nor tiny features overflow.
    n_features : int
        Number of features.
    """

    R: Array
    kept: Array
    exponents: Array
    n_features: int

    def evaluate(self, F: Array) -> Array:
        """Evaluate the orthonormal functions where the features are `F`.

        Parameters
        ----------
        F : ndarray of shape (n_queries, n_features)

        Returns
        -------
        phi : ndarray of shape (n_queries, rank)
        """
        columns = np.ldexp(F[:, self.kept], -self.exponents, order="C")
        return _divide(columns, self.R)

    def to_features(self, theta: Array) -> Array:
        """Express coefficients on the orthonormal functions by ones on the features.

        Parameters
        ----------
        theta : ndarray of shape (rank,) or (rank, n_outputs)

        Returns
        -------
        beta : ndarray of shape (n_features,) or (n_features, n_outputs)
            Zero on dropped features.
        """
        beta = np.zeros((self.n_features, *theta.shape[1:]))
        solved = solve_triangular(self.R, theta)
        beta[self.kept] = np.ldexp(solved.T, -self.exponents).T
        return beta


@dataclass(frozen=True)
class OrthonormalPool:
    r"""Features on a pool of rows, made orthonormal for the masses of the rows.

    With :math:`\mu` the masses,

    .. math:: Q_i = \sqrt{\mu_i} \varphi(x_i), \quad
       \sum_i \mu_i \varphi(x_i) \varphi(x_i)' = I.

    Attributes
    ----------
    Q : ndarray of shape (n_rows, rank)
        Orthonormal columns; zero where the mass is zero.
    masses : ndarray of shape (n_rows,)
        Nonnegative, with sum 1.
    leverage : ndarray of shape (n_rows,)
        Squared norms of the rows of Q, with sum `rank`.
    change : ChangeOfBasis
        From features to orthonormal functions and back.
    """

    Q: Array
    masses: Array
    leverage: Array
    change: ChangeOfBasis

    @property
    def rank(self) -> int:
        """Number of orthonormal columns."""
        return len(self.change.kept)

    @property
    def n_dropped(self) -> int:
        """Number of features that depend linearly on the others."""
        return self.change.n_features - self.rank

    def to_features(self, theta: Array) -> Array:
        """Express coefficients on the orthonormal functions by ones on the features.

        As `ChangeOfBasis.to_features`.
        """
        return self.change.to_features(theta)


def orthonormalize(
    F: Array,
    masses: Array | None = None,
    tol: float | None = None,
    *,
    tells: bool = True,
) -> OrthonormalPool:
    """Make features orthonormal for the masses of a pool of rows.

    Parameters
    ----------
    F : ndarray of shape (n_rows, n_features), float64
        Finite features; the scales of the columns do not matter.
    masses : ndarray of shape (n_rows,), optional
        Nonnegative masses, not all zero; any sum. None gives every row the same.
    tol : float, optional
        A feature is dropped if, next to its norm, no more than this is independent of
        the others; by default the larger side of F times the unit of rounding.
    tells : bool, default=True
        Whether to warn if features are dropped.

    Returns
    -------
    pool : OrthonormalPool

    Raises
    ------
    ValueError
        If all features are zero on the rows with mass.

    Warns
    -----
    UserWarning
        If features are dropped and `tells`.

    References
    ----------
    .. [1] Yamamoto, Nakatsukasa, Yanagisawa & Fukaya (2015), "Roundoff error analysis
       of the CholeskyQR2 algorithm", ETNA 44, 306-326.
    """
    n_rows, n_features = F.shape
    masses = np.ones(n_rows) if masses is None else masses / masses.max()
    masses = masses / masses.sum()
    exponents = column_exponents(F[masses > 0.0] if not masses.all() else F)
    B = F * np.sqrt(masses)[:, None]
    B *= np.ldexp(1.0, -exponents)

    factors = None
    if tol is None and n_rows >= n_features:
        factors = _cholesky_twice(B)
    if factors is not None:
        Q, R = factors
        kept = np.arange(n_features)
    else:
        B = F * np.sqrt(masses)[:, None]  # the attempt wrote over it
        B *= np.ldexp(1.0, -exponents)
        Q, R, kept = _pivoted(B, _tolerance(n_rows, n_features, tol))
        Q[masses == 0.0] = 0.0
    leverage = np.einsum("ij,ij->i", Q, Q)
    change = ChangeOfBasis(R, kept, exponents[kept], n_features)
    if tells:
        warn_of_dropped(change)
    return OrthonormalPool(Q, masses, leverage, change)


def change_by_factor(
    factor: Array, exponents: Array, n_rows: int, tol: float | None = None
) -> ChangeOfBasis:
    """Find what makes features orthonormal, with no more than their inner products.

    Parameters
    ----------
    factor : ndarray of shape (n, n_features)
        A matrix whose columns have the inner products of the features, in units of
        powers of 2: an R factor or part of one.
    exponents : ndarray of shape (n_features,)
        These powers.
    n_rows : int
        Number of rows that the features are made orthonormal on.
    tol : float, optional
        As for `orthonormalize`.

    Returns
    -------
    change : ChangeOfBasis
    """
    n_features = factor.shape[1]
    R = np.asarray(np.linalg.qr(factor, mode="r"))
    kept, pivots = np.arange(n_features), np.diag(R)
    norms = np.linalg.norm(R, axis=0)[: len(pivots)]
    is_full = len(pivots) == n_features and pivots.all()
    if tol is None and is_full and (np.abs(pivots) >= _LEAST_PIVOT * norms).all():
        R = np.where(pivots < 0.0, -1.0, 1.0)[:, None] * R
    else:
        _, R, kept = _independent(R, _tolerance(n_rows, n_features, tol))
    return ChangeOfBasis(R, kept, exponents[kept], n_features)


def warn_of_dropped(change: ChangeOfBasis) -> None:
    """Tell how many features depend linearly on others, if any."""
    rank, n_features = len(change.kept), change.n_features
    if rank < n_features:
        warn(
            f"The features have rank {rank} on these rows: {n_features - rank} of "
            f"{n_features} depend linearly on the others and are dropped."
        )


def column_exponents(F: Array) -> Array:
    """Find powers of 2 that bring each column near 1, so that no square overflows."""
    peaks = np.maximum(F.max(axis=0), -F.min(axis=0))
    _, exponents = np.frexp(peaks)
    return np.maximum(exponents, -1000)


def _cholesky_twice(B: Array) -> tuple[Array, Array] | None:
    """Factor B = Q R by Cholesky factors of Gram matrices; None if B is too dependent.

    Overwrites `B`. Where Q'Q is near I after a first step, a second leaves an error of
    the order of rounding [1]_.
    """
    gram = B.T @ B
    try:
        R = cholesky(gram, check_finite=False)
    except LinAlgError:
        return None
    if (np.diag(R) < _LEAST_PIVOT * np.sqrt(np.diag(gram))).any():
        return None
    Q = _divide(B, R)
    gram = Q.T @ Q
    error = np.linalg.norm(gram - np.eye(len(gram)))
    if error <= _EXACT:
        return Q, R
    if not error < _NEARLY:
        return None
    step = cholesky(gram, check_finite=False)
    return _divide(Q, step), step @ R


def _tolerance(n_rows: int, n_features: int, tol: float | None) -> float:
    if tol is None:
        return float(max(n_rows, n_features) * np.finfo(np.float64).eps)
    return tol


def _pivoted(B: Array, tol: float) -> tuple[Array, Array, Array]:
    """Factor the independent columns of B, and tell which they are."""
    Q, R = qr(B, mode="economic", overwrite_a=True, check_finite=False)
    turn, R, kept = _independent(R, tol)
    return Q @ turn, R, kept


def _independent(R: Array, tol: float) -> tuple[Array, Array, Array]:
    """Factor the independent columns of an R factor, and tell which they are.

    Column pivoting chooses them, the first of equals. They keep their order, and the
    diagonal of their factor is positive: so the order of the rows does not matter.
    """
    norms = np.linalg.norm(R, axis=0)
    norms[norms == 0.0] = 1.0
    favour = 1.0 - _TIE * np.arange(len(norms)) / len(norms)
    staircase, order = qr(
        R * (favour / norms), mode="r", pivoting=True, check_finite=False
    )
    pivots = np.abs(np.diag(staircase))
    rank = int((pivots > tol * pivots[0]).sum())
    if rank == 0:
        raise ValueError(
            "All features are zero on the rows with positive mass: nothing can be "
            "made orthonormal. Add a constant feature."
        )
    kept = np.sort(order[:rank])
    turn, R = qr(R[:, kept], mode="economic", check_finite=False)
    signs = np.where(np.diag(R) < 0.0, -1.0, 1.0)
    return turn * signs, signs[:, None] * R, kept


def _divide(B: Array, R: Array) -> Array:
    """Compute B R^-1 in the place of the C-contiguous `B`, for upper triangular R."""
    solved = blas.dtrsm(1.0, R, B.T, trans_a=True, overwrite_b=True)
    return solved.T
