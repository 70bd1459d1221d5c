"""Kernels of the difference of two rows."""

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import (
    RBF,
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    StationaryKernelMixin,
)
from sklearn.gaussian_process.kernels import Matern as _Matern

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.kernels.base import rows_of


class Gaussian(RBF):
    """Gaussian kernel, ``exp(-|x - y|^2 / (2 length_scale^2))``.

    It is `sklearn.gaussian_process.kernels.RBF` by another name.

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        Of all features or of each, in the unit of X.
    length_scale_bounds : (float, float) or "fixed", default=(1e-5, 1e5)
        Bounds within which a Gaussian process chooses it.

    Examples
    --------
    >>> from kernelkit import Gaussian
    >>> Gaussian(2.0)([[0.0]], [[0.0], [2.0]]).round(4).tolist()
    [[1.0, 0.6065]]
    """


class Matern(_Matern):
    """Matérn kernel, of a smoothness `nu`.

    It is `sklearn.gaussian_process.kernels.Matern`; with ``nu=0.5`` it is ``exp(-|x -
    y| / length_scale)``, of the Euclidean distance.

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        Of all features or of each, in the unit of X.
    length_scale_bounds : (float, float) or "fixed", default=(1e-5, 1e5)
        Bounds within which a Gaussian process chooses it.
    nu : float, default=1.5
        Functions are differentiable fewer than nu times. 0.5, 1.5, 2.5 and infinity,
        which is the Gaussian kernel, take least time.

    Examples
    --------
    >>> from kernelkit import Matern
    >>> Matern(2.0, nu=0.5)([[0.0]], [[0.0], [2.0]]).round(4).tolist()
    [[1.0, 0.3679]]
    """


class Laplacian(StationaryKernelMixin, NormalizedKernelMixin, Kernel):
    """Laplacian kernel, ``exp(-sum_k |x_k - y_k| / length_scale_k)``.

    Parameters
    ----------
    length_scale : float or array-like of shape (n_features,), default=1.0
        Of all features or of each, in the unit of X.
    length_scale_bounds : (float, float) or "fixed", default=(1e-5, 1e5)
        Bounds within which a Gaussian process chooses it.

    Examples
    --------
    >>> from kernelkit import Laplacian
    >>> Laplacian(2.0)([[0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]).round(4).tolist()
    [[1.0, 0.3679]]
    """

    def __init__(
        self, length_scale: Any = 1.0, length_scale_bounds: Any = (1e-5, 1e5)
    ) -> None:
        self.length_scale = length_scale
        self.length_scale_bounds = length_scale_bounds

    @property
    def hyperparameter_length_scale(self) -> Hyperparameter:
        """How a Gaussian process chooses `length_scale`."""
        if np.ndim(self.length_scale):
            n_features = len(self.length_scale)
            return Hyperparameter(
                "length_scale", "numeric", self.length_scale_bounds, n_features
            )
        return Hyperparameter("length_scale", "numeric", self.length_scale_bounds)

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Compute the kernel of rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        Y : array-like of shape (m, n_features), optional
            Without it, X.
        eval_gradient : bool, default=False
            Whether to differentiate by the logarithms of `length_scale`.

        Returns
        -------
        K : ndarray of shape (n, m)
        K_gradient : ndarray of shape (n, n, n_parameters)
            If `eval_gradient`.
        """
        X, Y = rows_of(X, Y, eval_gradient)
        scale = check.length_scales(self.length_scale, X.shape[1])
        rows = X / scale
        distances = cdist(rows, rows if Y is None else Y / scale, metric="cityblock")
        K: Array = np.exp(-distances)
        if not eval_gradient:
            return K
        if self.hyperparameter_length_scale.fixed:
            return K, np.empty((*K.shape, 0))
        if np.ndim(self.length_scale):
            distances = np.abs(rows[:, None] - rows)
        else:
            distances = distances[:, :, None]
        return K, K[:, :, None] * distances
