"""Bandwidths of product kernels: reference rules and cross-validation."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.density.kernel_sums import kernel_sums, log_kernel_sums
from kernelkit.density.kernels1d import Kernel

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]
Objective = Callable[[Array], float]

REFERENCE_RULES = ("normal_reference", "scott", "silverman")
RULES = (*REFERENCE_RULES, "cv_ml", "cv_ls")

_SMALLEST_SPREAD = 1e-290  # below it, bandwidths would be subnormal numbers
_LARGEST_FACTOR = 1e3  # times the reference: the kernel is flat over the rows


def resolve(
    owner: str,
    bandwidth: Any,
    X: Array,
    kernel: Kernel,
    weights: Array | None,
    *,
    run: _parallel.Run,
) -> Values:
    """Turn the `bandwidth` parameter of a density into a number per feature.

    Parameters
    ----------
    owner : str
        Name of the estimator, for messages.
    bandwidth : str, float or array-like of shape (n_features,)
        One of `RULES`, or numbers > 0.
    X : ndarray of shape (n_samples, n_features)
        Training rows.
    kernel : Kernel
        Kernel that the bandwidth is for.
    weights : ndarray of shape (n_samples,) or None
        Row weights.
    run : callable
        Runs the tasks.

    Returns
    -------
    bandwidth : ndarray of shape (n_features,)
        In the unit of each feature.
    """
    if not isinstance(bandwidth, str):
        return check.bandwidth_numbers(owner, bandwidth, X.shape[1])
    if weights is None:
        weights = np.ones(len(X))
    weights = weights / weights.max()
    X, weights = X[weights > 0], weights[weights > 0]
    if bandwidth in REFERENCE_RULES:
        return reference(bandwidth, X, kernel, weights)
    start = reference("normal_reference", X, kernel, weights)
    order, starts = places(X)  # equal rows are left out together
    X, weights = X[order[starts]], np.add.reduceat(weights[order], starts)
    if len(X) == 1:
        return start
    start = np.maximum(start, _least_gaps(X))
    make = likelihood if bandwidth == "cv_ml" else least_squares
    return search(make(X, kernel, weights, start, run=run), X, start)


def places(X: Array) -> tuple[Array, Array]:
    """Bring equal rows together.

    Returns an order of the rows, (n_samples,), and where in it a run of equal rows
    starts, (n_places,).
    """
    order = np.lexsort(X.T)
    X = X[order]
    is_new = np.append(True, (X[1:] != X[:-1]).any(axis=1))
    return order, np.flatnonzero(is_new)


def reference(rule: str, X: Array, kernel: Kernel, weights: Array) -> Values:
    r"""Compute a bandwidth from the spread of each feature.

    With the standard deviation :math:`\sigma_k` of feature k,
    :math:`n = (\sum w)^2 / \sum w^2`, and the kernel's roughness R and variance v, the
    normal reference minimises the asymptotic mean integrated squared error for normal
    rows with independent features,

    .. math:: h_k = \sigma_k
       \left(\frac{4 (2 \sqrt\pi R)^d}{(d + 2) v^2 n}\right)^{1/(d+4)},

    or, for a kernel with v = 0 and fourth moment m,

    .. math:: h_k = \sigma_k
       \left(\frac{1152 (2 \sqrt\pi R)^d}{(96 + 9 d) m^2 n}\right)^{1/(d+8)}.

    "silverman" is the same with the smaller of :math:`\sigma_k` and the interquartile
    range over 1.349; "scott" is :math:`h_k = \sigma_k n^{-1/(d+4)} / \sqrt v`.

    Source: Wand & Jones (1995), Kernel Smoothing, section 4.3; the fourth-order case
    follows in the same way.
    """
    if len(X) == 1:
        raise ValueError(
            f"bandwidth={rule!r} needs the spread of at least 2 rows with positive "
            "weight, not of 1 sample: give the bandwidth as a number."
        )
    n_samples, d = weights.sum() ** 2 / np.square(weights).sum(), X.shape[1]
    spread = _spread(X, weights, robust=rule == "silverman")
    if rule == "scott":
        if kernel.variance < 1e-9:
            raise ValueError(
                f"bandwidth='scott' needs a kernel with a variance, and that of "
                f"{kernel.name!r} is 0: use bandwidth='normal_reference'."
            )
        factor = n_samples ** (-1.0 / (d + 4)) / math.sqrt(kernel.variance)
    else:
        roughness = (2.0 * math.sqrt(math.pi) * kernel.roughness) ** d / n_samples
        if kernel.variance < 1e-9:
            scale = 1152.0 / ((96 + 9 * d) * kernel.moment(4) ** 2)
            factor = (scale * roughness) ** (1.0 / (d + 8))
        else:
            scale = 4.0 / ((d + 2) * kernel.variance**2)
            factor = (scale * roughness) ** (1.0 / (d + 4))
    is_constant = (X[0] == X).all(axis=0)
    if is_constant.any():
        columns = ", ".join(map(str, np.flatnonzero(is_constant)[:10]))
        warnings.warn(
            f"X is constant in column {columns}: its bandwidth is set to 1, which "
            "leaves the other features as they are.",
            UserWarning,
            stacklevel=2,
        )
    if ((spread < _SMALLEST_SPREAD) & ~is_constant).any():
        raise ValueError(
            f"X spreads over less than {_SMALLEST_SPREAD:g} in some feature, too "
            "little for a bandwidth: rescale the features."
        )
    return np.where(is_constant, 1.0, factor * spread)


def _spread(X: Array, weights: Array, *, robust: bool) -> Values:
    """Measure each feature by its standard deviation, or by quartiles if smaller."""
    X = X - X[0]  # a large offset would cost digits
    _, exponent = np.frexp(np.abs(X).max(axis=0))
    X = np.ldexp(X, -exponent)  # rounds nothing, and sums do not overflow
    for _ in range(2):  # the second time for rounding, if X[0] lies far away
        X = X - np.average(X, axis=0, weights=weights)
    sigma = _root_mean_square(X, weights)
    if robust:
        low, high = np.quantile(
            X, [0.25, 0.75], axis=0, weights=weights, method="inverted_cdf"
        )
        sigma = np.where(high > low, np.minimum(sigma, (high - low) / 1.349), sigma)
    return np.ldexp(sigma, exponent)


def _root_mean_square(X: Array, weights: Array) -> Values:
    """Also of rows with large entries and tiny weights, whose squares underflow."""
    parts = np.sqrt(weights / weights.sum())[:, None] * X
    size = np.abs(parts).max(axis=0)
    parts /= np.where(size > 0.0, size, 1.0)
    return size * np.sqrt(np.square(parts).sum(axis=0))


def sum_of_others(weights: Array) -> Values:
    """Sum the weights of all rows but one, without cancellation."""
    before, after = np.zeros(weights.size), np.zeros(weights.size)
    np.cumsum(weights[:-1], out=before[1:])
    np.cumsum(weights[:0:-1], out=after[-2::-1])
    return before + after


def likelihood(
    X: Array, kernel: Kernel, weights: Array, start: Array, *, run: _parallel.Run
) -> Objective:
    r"""Make minus the mean log density of each row without itself.

    .. math:: -\frac{1}{W} \sum_i w_i \log f_{-i}(x_i), \qquad
       f_{-i}(q) = \frac{1}{W - w_i} \sum_{j \ne i} w_j
       \prod_k \frac{1}{h_k} K\Bigl(\frac{q_k - x_{jk}}{h_k}\Bigr)

    One traversal of the rows for each bandwidth.

    Source: Habbema, Hermans & van den Broek (1974); Duin (1976).
    """
    shares = weights / weights.sum()
    rest = shares @ np.log(sum_of_others(weights))
    functions = [kernel.density] * X.shape[1]

    def objective(bandwidth: Array) -> float:
        logs = log_kernel_sums(
            X, weights, None, functions, bandwidth, algorithm="auto", run=run
        )
        if np.isneginf(logs).any():
            return math.inf
        return float(rest + np.log(bandwidth / start).sum() - shares @ logs)

    return objective


def least_squares(
    X: Array, kernel: Kernel, weights: Array, start: Array, *, run: _parallel.Run
) -> Objective:
    r"""Make the integrated squared error, up to a constant of the truth.

    .. math:: \int f^2 - \frac{2}{W} \sum_i w_i f_{-i}(x_i)

    The integral is exact: a double sum of the kernel convolved with itself. Two
    traversals of the rows for each bandwidth.

    Source: Rudemo (1982); Bowman (1984).
    """
    total, others = weights.sum(), sum_of_others(weights)
    d = X.shape[1]

    def objective(bandwidth: Array) -> float:
        def sums(function: Any) -> Values:
            return kernel_sums(
                X,
                weights[None],
                None,
                [function] * d,
                bandwidth,
                algorithm="auto",
                run=run,
            )[0]

        own = kernel.roughness**d * (weights @ weights)
        square = (weights @ sums(kernel.convolution) + own) / total**2
        left_out = weights @ (sums(kernel.density) / others) / total
        volume = np.log(bandwidth / start).sum()  # of many features, out of range
        return float((square - 2.0 * left_out) * np.exp(-np.clip(volume, -700, 700)))

    return objective


def search(
    objective: Objective, X: Array, start: Array, *, may_vanish: bool = False
) -> Values:
    """Minimise over a common factor of the start, then feature by feature.

    A bandwidth stays above the least gap between values of its feature: where values
    repeat, cross-validation would choose 0. At most 12 calls for the common factor, and
    8 for each feature that is not constant if there are several. Warns at the bound
    unless a bandwidth `may_vanish`.
    """
    least = _least_gaps(X)
    varies = least > 0.0
    if not varies.any():
        return start

    def line(along: Array, center: Array, n_calls: int) -> Array:
        low = math.log(max((least / center)[along].max(), 1e-300))
        high = math.log(_LARGEST_FACTOR * (start / center)[along].min())
        steps = np.where(along, 1.0, 0.0)
        best = _minimise(
            lambda t: objective(center * np.exp(t * steps)), low, high, n_calls
        )
        return center * np.exp(best * steps)

    found = line(varies, np.maximum(start, least), 12)
    if varies.sum() > 1:
        for k in np.flatnonzero(varies):
            found = line(np.arange(varies.size) == k, found, 8)
    at_bound = (found < 2.0 * least) & varies
    if at_bound.any() and not may_vanish:
        columns = ", ".join(map(str, np.flatnonzero(at_bound)[:10]))
        warnings.warn(
            f"Cross-validation chose the least bandwidth allowed for column {columns}, "
            "as it does if values repeat: give the bandwidth as a number, or use "
            "bandwidth='normal_reference'.",
            UserWarning,
            stacklevel=2,
        )
    return found


def _least_gaps(X: Array) -> Values:
    """Find the least gap between values of each feature, 0 if it is constant."""
    gaps = [np.diff(np.unique(column)) for column in X.T]
    return np.array([gap.min() if gap.size else 0.0 for gap in gaps])


def _minimise(
    function: Callable[[float], float], low: float, high: float, n_calls: int
) -> float:
    """Minimise on [low, high]: walk down from 0 to a bracket, then narrow it."""
    low, high = min(low, -1e-9), max(high, 1e-9)
    values: dict[float, float] = {}

    def call(t: float) -> float:
        if t not in values:
            values[t] = function(t)
        return values[t]

    step = math.log(2.0)
    center = 0.0
    call(center)
    up = min(step, high)
    direction = 1.0 if call(up) < call(center) or math.isinf(call(center)) else -1.0
    while len(values) < n_calls - 2:
        ahead = min(max(center + direction * step, low), high)
        if ahead == center or call(ahead) > call(center):
            break
        center = ahead
        step *= 1.3
    tried = sorted(values)
    place = tried.index(center)
    bracket = tried[max(place - 1, 0)], tried[min(place + 1, len(tried) - 1)]
    left = n_calls - len(values)
    if left > 0 and bracket[1] > bracket[0]:
        finite = [value for value in values.values() if math.isfinite(value)]
        ceiling = max(finite, default=0.0) + 1.0  # infinity has no parabola
        minimize_scalar(
            lambda t: min(call(t), ceiling),
            bounds=bracket,
            method="bounded",
            options={"maxiter": left, "xatol": 0.005},
        )
    return min(values, key=lambda t: values[t])
