"""Bandwidths of product kernels: reference rules and cross-validation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._warnings import warn
from kernelkit.density.kernel_sums import kernel_sums, log_kernel_sums
from kernelkit.density.kernels1d import Kernel

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]
Objective = Callable[[Array], float]

REFERENCE_RULES = ("normal_reference", "scott", "silverman")
RULES = (*REFERENCE_RULES, "cv_ml", "cv_ls")
QUARTILES = (0.25 - 1e-10, 0.75 - 1e-10)  # reached in spite of rounding

_SMALLEST_SPREAD = 1e-290  # below it, bandwidths would be subnormal numbers
_LARGEST_FACTOR = 1e3  # times the reference: the kernel is flat over the rows
_CALLS = 30  # of an objective, for each feature after the first
_LEAST_GAIN = 1e-4  # of the objective in a pass, below which a search ends
_LARGE_GAIN = 1e-2  # that it should not end with
_LEAST_STEP = 0.05  # of the logarithm of a bandwidth
_GRAIN = 2.0**-7
_ROUNDING = 1e-9  # of the objective, that is no gain


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
    spread = Spread(
        len(X),
        weights.sum() ** 2 / np.square(weights).sum(),
        _spread(X, weights, robust=rule == "silverman"),
        (X[0] == X).all(axis=0),
    )
    return of_spread(rule, spread, kernel)


@dataclass(frozen=True)
class Spread:
    """How rows spread.

    Attributes
    ----------
    n_rows : int
        Those with positive weight.
    n_samples : float
        As many equal weights tell as much as those of the rows.
    sizes : ndarray of shape (n_features,)
        Standard deviations, or what the quartiles say instead.
    is_constant : ndarray of shape (n_features,), bool
    """

    n_rows: int
    n_samples: float
    sizes: Values
    is_constant: npt.NDArray[np.bool_]


def of_spread(rule: str, spread: Spread, kernel: Kernel) -> Values:
    """Compute what `reference` says of rows that spread so."""
    n_samples, d = spread.n_samples, len(spread.sizes)
    if spread.n_rows == 1:
        raise ValueError(
            f"bandwidth={rule!r} needs the spread of at least 2 rows with positive "
            "weight, not of 1 sample: give the bandwidth as a number."
        )
    if rule == "scott":
        if kernel.variance < 1e-9:
            raise ValueError(
                f"bandwidth='scott' needs a kernel with a variance, and that of "
                f"{kernel.name!r} is 0: use bandwidth='normal_reference'."
            )
        factor = n_samples ** (-1.0 / (d + 4)) / math.sqrt(kernel.variance)
    else:  # by logarithms, as a power of d leaves the range of floats
        log = d * math.log(2.0 * math.sqrt(math.pi) * kernel.roughness)
        log -= math.log(n_samples)
        if kernel.variance < 1e-9:
            log += math.log(1152.0 / ((96 + 9 * d) * kernel.moment(4) ** 2))
            factor = math.exp(log / (d + 8))
        else:
            log += math.log(4.0 / ((d + 2) * kernel.variance**2))
            factor = math.exp(log / (d + 4))
    is_constant = spread.is_constant
    if is_constant.any():
        columns = ", ".join(map(str, np.flatnonzero(is_constant)[:10]))
        warn(
            f"X is constant in column {columns}: its bandwidth is set to 1, which "
            "leaves the other features as they are.",
        )
    if ((spread.sizes < _SMALLEST_SPREAD) & ~is_constant).any():
        raise ValueError(
            f"X spreads over less than {_SMALLEST_SPREAD:g} in some feature, too "
            "little for a bandwidth: rescale the features."
        )
    return np.where(is_constant, 1.0, factor * spread.sizes)


def _spread(X: Array, weights: Array, *, robust: bool) -> Values:
    """Measure each feature by its standard deviation, or by quartiles if smaller."""
    X, exponent = centred(X, weights)
    sigma = root_mean_square(X, weights)
    if robust:
        quartiles = np.quantile(
            X, QUARTILES, axis=0, weights=weights, method="inverted_cdf"
        )
        sigma = smaller_spread(sigma, *quartiles)
    return np.ldexp(sigma, exponent)


def centred(X: Array, weights: Array) -> tuple[Values, Array]:
    """Subtract the mean; numbers are of size 1, and times a power of 2 that returns."""
    X = X - X[weights.argmax()]  # a large offset would cost digits
    _, exponent = np.frexp(np.abs(X).max(axis=0))
    X = np.ldexp(X, -exponent)  # rounds nothing, and sums do not overflow
    for _ in range(2):  # the second time for rounding, if that row lies far away
        X = X - np.average(X, axis=0, weights=weights)
    return X, exponent


def smaller_spread(sigma: Array, low: Array, high: Array) -> Values:
    """Take the interquartile range over 1.349 where it is smaller, and not 0."""
    return np.where(high > low, np.minimum(sigma, (high - low) / 1.349), sigma)


def root_mean_square(X: Array, weights: Array) -> Values:
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
        if not np.isfinite([square, left_out]).all():  # far too narrow
            return math.inf
        return float((square - 2.0 * left_out) * np.exp(-np.clip(volume, -700, 700)))

    return objective


def search(
    objective: Objective, X: Array, start: Array, *, may_vanish: bool = False
) -> Values:
    """Minimise over a common factor of the start, then feature by feature, repeatedly.

    A bandwidth stays above the least gap between values of its feature: where values
    repeat, cross-validation would choose 0. At most 20 calls for one feature, 30 for
    two and 30 more for each further one. Warns at the bound, unless a bandwidth
    `may_vanish`, and where the calls do not suffice.

    Raises
    ------
    ValueError
        If the objective is infinite wherever the search goes.
    """
    least = _least_gaps(X)
    features = np.flatnonzero(least > 0.0)
    if not features.size:
        return start
    place = np.zeros(features.size)  # logarithms of factors
    origin = np.maximum(start, least)
    low = np.log(np.maximum(least / origin, 1e-300)[features])
    high = np.log(_LARGEST_FACTOR * (start / origin)[features])
    n_calls = _CALLS * (features.size - 1) or 20

    def at(place: Array) -> Array:
        found = origin.copy()
        found[features] *= np.exp(place)
        return found

    def call(place: Array) -> float:
        nonlocal n_calls
        n_calls -= 1
        return objective(at(place)) if n_calls >= 0 else math.inf

    value = call(place)
    scale = abs(value) if math.isfinite(value) else 0.0
    gain = math.inf
    steps = np.full(features.size, math.log(2.0))
    if features.size > 1:
        along = np.ones(features.size)
        shift, value, _ = _descend(
            call, place, along, value, steps[0], low, high, _ROUNDING * scale
        )
        place = place + shift
    left = math.inf
    while 0 < n_calls < left and (math.isinf(gain) or gain > _LEAST_GAIN * scale):
        before, left = value, n_calls
        for k, along in enumerate(np.eye(features.size)):
            shift, value, width = _descend(
                call, place, along, value, steps[k], low, high, _ROUNDING * scale
            )
            place = place + shift * along
            steps[k] = max(width / 8.0, _LEAST_STEP)
        gain = before - value if math.isfinite(before) else math.inf
        scale = max(scale, abs(value)) if math.isfinite(value) else scale
    if not math.isfinite(value):
        raise ValueError(
            "Cross-validation found no bandwidth at which every row is reached by "
            "others: give the bandwidth as a number, or use a kernel without an end, "
            "such as 'laplacian'."
        )
    if gain > _LARGE_GAIN * scale:
        warn(
            "Cross-validation was still gaining when its search for a bandwidth ended: "
            "give the bandwidth as numbers near the ones found.",
            ConvergenceWarning,
        )
    found = at(place)
    at_bound = (found < 2.0 * least) & (least > 0.0)
    if at_bound.any() and not may_vanish:
        columns = ", ".join(map(str, np.flatnonzero(at_bound)[:10]))
        warn(
            f"Cross-validation chose the least bandwidth allowed for column {columns}, "
            "as it does if values repeat: give the bandwidth as a number, or use "
            "bandwidth='normal_reference'.",
        )
    return found


def _least_gaps(X: Array) -> Values:
    """Find the least gap between values of each feature, 0 if it is constant."""
    gaps = [np.diff(np.unique(column)) for column in X.T]
    return np.array([gap.min() if gap.size else 0.0 for gap in gaps])


def _descend(
    function: Callable[[Array], float],
    place: Array,
    along: Array,
    value: float,
    step: float,
    low: Array,
    high: Array,
    least_gain: float,
) -> tuple[float, float, float]:
    """Minimise along a direction of zeros and ones, from a place with a known value.

    Walks down in steps that double, then tries the vertex of a parabola, to so few
    digits that errors of rounding in the values do not show. Returns the way, the value
    there, and the width of the bracket.
    """
    is_free = along > 0.0
    first, last = (low - place)[is_free].max(), (high - place)[is_free].min()
    values = {0.0: value}

    def call(t: float) -> float:
        t = min(max(t, first), last)
        if t not in values:
            values[t] = function(place + t * along)
        return values[t]

    best, pace = 0.0, step
    if math.isfinite(value) and not call(pace) < value - least_gain:
        pace = -step
    while True:
        ahead = min(max(best + pace, first), last)
        is_lower = call(ahead) < values[best] - least_gain or math.isinf(values[best])
        if ahead == best or not is_lower:
            break
        best, pace = ahead, 2.0 * pace
    tried = sorted(values)
    i = tried.index(best)
    if 0 < i < len(tried) - 1:
        left, right = tried[i - 1], tried[i + 1]
        vertex = _vertex(left, best, right, *(values[t] for t in (left, best, right)))
        call(round(vertex / _GRAIN) * _GRAIN)
    width = tried[min(i + 1, len(tried) - 1)] - tried[max(i - 1, 0)]
    lowest = min(values, key=lambda t: values[t])
    if values[lowest] < values[best] - least_gain:
        best = lowest
    return best, values[best], width


def _vertex(a: float, b: float, c: float, f_a: float, f_b: float, f_c: float) -> float:
    """Find the vertex of a parabola, or a middle where a value is infinite."""
    if not (math.isfinite(f_a) and math.isfinite(f_c)):
        return (a + b) / 2.0 if math.isinf(f_a) else (b + c) / 2.0
    rise_a, rise_c = (f_a - f_b) / (b - a), (f_c - f_b) / (c - b)
    if rise_a + rise_c == 0.0:
        return b
    return b + 0.5 * ((c - b) * rise_a - (b - a) * rise_c) / (rise_a + rise_c)
