"""Rows in dense clusters, and a few far from them, with a target on both."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from kernelkit import _validation as check

Values = npt.NDArray[np.float64]
Target = Callable[[npt.ArrayLike], Values]

_EDGE = 5.0  # of the box, from its middle
_SPREAD = 0.25  # standard deviation of a cluster


def make_clusters(
    n_samples: int = 1000,
    n_features: int = 3,
    *,
    n_clusters: int = 5,
    rare: float = 0.05,
    noise: float = 0.05,
    random_state: Any = None,
) -> tuple[Values, Values, Target]:
    r"""Draw rows in dense clusters and a few rare ones all over, with a smooth target.

    Clusters are normal with a standard deviation of 0.25; rare rows are uniform in
    :math:`[-5, 5]^d`. The target is

    .. math:: f(x) = \frac{1}{\sqrt d} \sum_{k=1}^{d} \sin(x_k + k),

    nearly linear within a cluster, which a few centres describe; where the rare rows
    are it takes many, and centres that are a uniform sample of the rows leave them out.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=3
        Number of columns, d.
    n_clusters : int, default=5
        Number of clusters. Where they are depends on `n_features` only, so that rows of
        another `random_state` may be used for tests.
    rare : float, default=0.05
        Share of rare rows, in (0, 1); their number is rounded to a whole one.
    noise : float, default=0.05
        Standard deviation of the normal errors of `y`, > 0.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws; an int makes them repeatable.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Rows in random order.
    y : ndarray of shape (n_samples,)
        Target with noise.
    target : callable
        The function f: takes rows of shape (n_queries, n_features), returns values of
        shape (n_queries,).

    Examples
    --------
    >>> from kernelkit.datasets import make_clusters
    >>> X, y, target = make_clusters(200, random_state=0)
    >>> X.shape
    (200, 3)
    >>> bool(abs(y - target(X)).max() < 0.25)
    True
    """
    n_samples = check.count("n_samples", n_samples)
    n_features = check.count("n_features", n_features)
    n_clusters = check.count("n_clusters", n_clusters)
    rare = check.fraction("rare", rare)
    noise = check.positive("noise", noise)
    rng = check.rng(random_state)
    # Halton's points are evenly spread; the first is a corner.
    places = qmc.Halton(n_features, scramble=False).random(n_clusters + 1)[1:]
    middles = 0.8 * _EDGE * (2.0 * places - 1.0)
    X = rng.uniform(-_EDGE, _EDGE, (n_samples, n_features))
    n_dense = n_samples - round(rare * n_samples)
    X[:n_dense] = middles[rng.integers(n_clusters, size=n_dense)]
    X[:n_dense] += _SPREAD * rng.standard_normal((n_dense, n_features))
    rng.shuffle(X)

    def target(X: npt.ArrayLike) -> Values:
        phase = np.arange(1.0, n_features + 1.0)
        return np.sin(np.asarray(X) + phase).sum(axis=1) / np.sqrt(n_features)

    y = target(X) + noise * rng.standard_normal(n_samples)
    return X, y, target
