"""Random rows whose distribution function is known in closed form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit import _validation as check

Values = npt.NDArray[np.float64]
Distribution = Callable[[npt.ArrayLike], Values]


def make_uniform(
    n_samples: int = 100, n_features: int = 2, *, random_state: Any = None
) -> tuple[Values, Distribution]:
    r"""Draw independent uniform features.

    The distribution function on the unit cube is :math:`F(x) = \prod_k x_k`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows.
    n_features : int, default=2
        Number of columns.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws; an int makes them repeatable.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Rows in the unit cube.
    cdf : callable
        The distribution function: takes rows of shape (n_queries, n_features), returns
        probabilities of shape (n_queries,).

    Examples
    --------
    >>> from kernelkit.datasets import make_uniform
    >>> X, cdf = make_uniform(10, 3, random_state=0)
    >>> X.shape
    (10, 3)
    >>> cdf([[0.5, 0.5, 2.0]]).tolist()
    [0.25]
    """
    X = check.rng(random_state).random((n_samples, n_features))

    def cdf(X: npt.ArrayLike) -> Values:
        return np.clip(X, 0.0, 1.0).prod(axis=1)

    return X, cdf


def make_clayton(
    n_samples: int = 100,
    n_features: int = 2,
    *,
    theta: float = 2.0,
    random_state: Any = None,
) -> tuple[Values, Distribution]:
    r"""Draw dependent uniform features from a Clayton copula.

    The distribution function on the unit cube is

    .. math:: F(x) = \Bigl(1 - d + \sum_{k=1}^{d} x_k^{-\theta}\Bigr)^{-1/\theta}.

    Small values come together; Kendall's tau of any two features is
    :math:`\theta / (\theta + 2)`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of rows.
    n_features : int, default=2
        Number of columns, d.
    theta : float, default=2.0
        Strength of the dependence, > 0.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws; an int makes them repeatable.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Rows in the unit cube.
    cdf : callable
        The distribution function: takes rows of shape (n_queries, n_features), returns
        probabilities of shape (n_queries,).

    Raises
    ------
    ValueError
        If `theta` is not a positive number.

    References
    ----------
    .. [1] Clayton (1978), "A model for association in bivariate life tables",
       Biometrika 65(1), 141-151.
    .. [2] Marshall & Olkin (1988), "Families of multivariate distributions", JASA
       83(403), 834-841: the way of drawing.

    Examples
    --------
    >>> from kernelkit.datasets import make_clayton
    >>> X, cdf = make_clayton(10, 3, theta=2.0, random_state=0)
    >>> X.shape
    (10, 3)
    >>> cdf([[0.5, 0.5, 1.0]]).round(4).tolist()
    [0.378]
    """
    theta = check.positive("theta", theta)
    rng = check.rng(random_state)
    # X = (1 + E / V)^(-1/theta), E exponential, one V ~ gamma(1/theta) a row: by its
    # logarithm, as it underflows for large theta; gamma(a) is gamma(a + 1) U^(1/a).
    log_v = np.log(rng.standard_gamma(1.0 / theta + 1.0, (n_samples, 1)))
    log_v -= theta * rng.standard_exponential((n_samples, 1))
    log_e = np.log(rng.standard_exponential((n_samples, n_features)))
    X = np.exp(np.logaddexp(0.0, log_e - log_v) / -theta)

    def cdf(X: npt.ArrayLike) -> Values:
        X = np.clip(X, 0.0, 1.0)
        least = X.min(axis=1)
        # Relative to the least coordinate no power overflows.
        scale = np.maximum(least, np.finfo(float).tiny)
        powers = (scale[:, None] / np.maximum(X, scale[:, None])) ** theta
        total = powers.sum(axis=1) - (X.shape[1] - 1) * scale**theta
        return least * total ** (-1.0 / theta)

    return X, cdf
