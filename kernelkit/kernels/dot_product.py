"""Kernels of the inner product of two rows."""

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter
from sklearn.utils.extmath import safe_sparse_dot

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.kernels.base import RowKernel, rows_of


class Polynomial(RowKernel):
    """Polynomial kernel, ``(gamma x'y + coef0)^degree``.

    Parameters
    ----------
    degree : int, default=3
        At least 1.
    gamma : float, default=1.0
        Factor of inner products, > 0.
    coef0 : float, default=1.0
        Added to them, >= 0; 0 leaves the highest power only.
    gamma_bounds, coef0_bounds : (float, float) or "fixed", default=(1e-5, 1e5)
        Bounds within which a Gaussian process chooses `gamma` and `coef0`. The latter
        cannot be chosen where it is 0, as its logarithm is.

    Examples
    --------
    >>> from kernelkit import Polynomial
    >>> Polynomial(degree=2)([[1.0, 2.0]], [[3.0, 0.0], [0.0, 0.0]]).tolist()
    [[16.0, 1.0]]
    """

    def __init__(
        self,
        degree: int = 3,
        gamma: float = 1.0,
        coef0: float = 1.0,
        gamma_bounds: Any = (1e-5, 1e5),
        coef0_bounds: Any = (1e-5, 1e5),
    ) -> None:
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.gamma_bounds = gamma_bounds
        self.coef0_bounds = coef0_bounds

    @property
    def hyperparameter_gamma(self) -> Hyperparameter:
        """How a Gaussian process chooses `gamma`."""
        return Hyperparameter("gamma", "numeric", self.gamma_bounds)

    @property
    def hyperparameter_coef0(self) -> Hyperparameter:
        """How a Gaussian process chooses `coef0`: not at all where it is 0."""
        bounds = self.coef0_bounds if self.coef0 != 0.0 else "fixed"
        return Hyperparameter("coef0", "numeric", bounds)

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Compute the kernel of rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        Y : array-like or sparse matrix of shape (m, n_features), optional
            Without it, X.
        eval_gradient : bool, default=False
            Whether to differentiate by the logarithms of `coef0` and `gamma`, as far as
            they are not fixed.

        Returns
        -------
        K : ndarray of shape (n, m)
        K_gradient : ndarray of shape (n, n, n_parameters)
            If `eval_gradient`.
        """
        degree, gamma, coef0 = self._numbers()
        X, Y = rows_of(X, Y, eval_gradient, takes_sparse=True)
        products = gamma * _products(X, Y)
        K = (products + coef0) ** degree
        if not eval_gradient:
            return K
        slope = degree * (products + coef0) ** (degree - 1)
        parts = {"gamma": slope * products, "coef0": slope * coef0}
        free = [parts[part.name] for part in self.hyperparameters if not part.fixed]
        return K, np.stack(free, axis=2) if free else np.empty((*K.shape, 0))

    def diag(self, X: Any) -> Array:
        """Compute the kernel of each row with itself.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Rows.

        Returns
        -------
        diagonal : ndarray of shape (n,)
            As on the diagonal of the matrix.
        """
        degree, gamma, coef0 = self._numbers()
        X, _ = rows_of(X, None, takes_sparse=True)
        return (gamma * _squared_norms(X) + coef0) ** degree

    def _numbers(self) -> tuple[int, float, float]:
        return (
            check.count("degree", self.degree),
            check.positive("gamma", self.gamma),
            check.non_negative("coef0", self.coef0),
        )


class Linear(RowKernel):
    """Linear kernel, ``x'y + coef0``.

    Parameters
    ----------
    coef0 : float, default=0.0
        Variance of a constant that is added to functions, >= 0.
    coef0_bounds : (float, float) or "fixed", default=(1e-5, 1e5)
        Bounds within which a Gaussian process chooses `coef0`; where it is 0, it stays.

    Examples
    --------
    >>> from kernelkit import Linear
    >>> Linear()([[1.0, 2.0]], [[3.0, 0.0], [0.0, 0.5]]).tolist()
    [[3.0, 1.0]]
    """

    def __init__(self, coef0: float = 0.0, coef0_bounds: Any = (1e-5, 1e5)) -> None:
        self.coef0 = coef0
        self.coef0_bounds = coef0_bounds

    @property
    def hyperparameter_coef0(self) -> Hyperparameter:
        """How a Gaussian process chooses `coef0`: not at all where it is 0."""
        bounds = self.coef0_bounds if self.coef0 != 0.0 else "fixed"
        return Hyperparameter("coef0", "numeric", bounds)

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Compute the kernel of rows, and its derivative by the logarithm of `coef0`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        Y : array-like or sparse matrix of shape (m, n_features), optional
            Without it, X.
        eval_gradient : bool, default=False

        Returns
        -------
        K : ndarray of shape (n, m)
        K_gradient : ndarray of shape (n, n, n_parameters)
            If `eval_gradient`.
        """
        coef0 = check.non_negative("coef0", self.coef0)
        X, Y = rows_of(X, Y, eval_gradient, takes_sparse=True)
        K = _products(X, Y) + coef0
        if not eval_gradient:
            return K
        return K, np.full((*K.shape, self.n_dims), coef0)

    def diag(self, X: Any) -> Array:
        """Compute the kernel of each row with itself.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Rows.

        Returns
        -------
        diagonal : ndarray of shape (n,)
            As on the diagonal of the matrix.
        """
        coef0 = check.non_negative("coef0", self.coef0)
        X, _ = rows_of(X, None, takes_sparse=True)
        return _squared_norms(X) + coef0


def _products(X: Any, Y: Any) -> Array:
    products: Array = safe_sparse_dot(X, (X if Y is None else Y).T, dense_output=True)
    return products


def _squared_norms(X: Any) -> Array:
    squares: Array = np.asarray((X * X).sum(axis=1), dtype=np.float64).ravel()
    return squares
