"""Choose the algorithm for sums of product kernels and run it in tasks."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit.density.kernels1d import Compact, Exponential, Function1D

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]

ALGORITHMS = ("tree", "window", "brute")


def choose(
    algorithm: str, n_sources: int, n_targets: int, functions: Sequence[Function1D]
) -> str:
    if algorithm == "auto":
        return "brute"
    return algorithm


def kernel_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Sequence[Function1D],
    bandwidth: Array,
    *,
    algorithm: str,
    run: _parallel.Run,
) -> Values:
    r"""Sum product kernels over sources, at queries or at the sources themselves.

    .. math:: S_{ci} = \sum_j w_{cj} \prod_k \kappa_k((q_{ik} - x_{jk}) / h_k)

    Parameters
    ----------
    X : ndarray of shape (n_sources, n_features)
        Sources.
    weights : ndarray of shape (n_channels, n_sources)
        Weights w, of any sign.
    queries : ndarray of shape (n_queries, n_features) or None
        None stands for the sources, each without its own term.
    functions : sequence of n_features functions
        The functions kappa.
    bandwidth : ndarray of shape (n_features,)
        h > 0, in the unit of the feature.
    algorithm : str
        "auto" or one of `ALGORITHMS`.
    run : callable
        Runs the tasks.

    Returns
    -------
    sums : ndarray of shape (n_channels, n_queries)
    """
    Q = X if queries is None else queries
    out = np.empty((len(weights), len(Q)))
    for start in range(0, len(Q), 256):
        part = slice(start, start + 256)
        product = np.ones((len(Q[part]), len(X)))
        for k, function in enumerate(functions):
            product *= function((Q[part, k, None] - X[:, k]) / bandwidth[k])
        if queries is None:
            rows = np.arange(start, start + len(product))
            product[rows - start, rows] = 0.0
        out[:, part] = weights @ product.T
    return out


def log_kernel_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Sequence[Function1D],
    bandwidth: Array,
    *,
    leave_out: bool = True,
    algorithm: str,
    run: _parallel.Run,
) -> Values:
    """Logarithm of the sum of one channel, of shape (n_queries,), without underflow.

    Takes what `kernel_sums` takes, but weights of shape (n_sources,), >= 0. -inf stands
    for sums that are not positive.
    """
    sums = kernel_sums(
        X, weights[None], queries, functions, bandwidth, algorithm=algorithm, run=run
    )[0]
    if queries is None and not leave_out:
        sums += weights * math.prod(float(f(np.zeros(()))) for f in functions)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(sums, 0.0))


def grid_sums(
    X: Array,
    weights: Array,
    axes: Sequence[Array],
    functions: Sequence[Function1D],
    bandwidth: Array,
    *,
    run: _parallel.Run,
) -> Values:
    """Sum one channel at every node of a grid, of shape (len(axes[0]), ...).

    Takes what `kernel_sums` takes, but weights of shape (n_sources,), and the ascending
    nodes of each axis.
    """
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return kernel_sums(
        X,
        weights[None],
        mesh.reshape(-1, len(axes)),
        functions,
        bandwidth,
        algorithm="brute",
        run=run,
    ).reshape(mesh.shape[:-1])
