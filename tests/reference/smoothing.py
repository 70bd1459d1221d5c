"""Kernel densities by their definition, in extended precision.

Every formula is that of a textbook. A kernel is given as a logarithm and a factor, so
that nothing underflows, however far a query lies.
"""

import math

import numpy as np

EPS = np.finfo(np.float64).eps
PI = np.longdouble("3.14159265358979323846264338327950288")
SARGAN = (15, 15, 6, 1)  # what the name stands for
EXPONENTIAL = ("laplacian", "matern32", "matern52", "sargan", "silverman")
COMPACT = (
    "uniform",
    "triangular",
    "epanechnikov",
    "biweight",
    "triweight",
    "tricube",
    "cosine",
)
NAMES = (*EXPONENTIAL, *COMPACT, "gaussian")

VARIANCE = {
    "laplacian": 2,
    "matern32": 4,
    "matern52": 6,
    "sargan": 8,
    "silverman": 0,
    "uniform": 1 / 3,
    "triangular": 1 / 6,
    "epanechnikov": 1 / 5,
    "biweight": 1 / 7,
    "triweight": 1 / 9,
    "tricube": 35 / 243,
    "cosine": 1 - 8 / math.pi**2,
    "gaussian": 1,
}
ROUGHNESS = {
    "laplacian": 1 / 4,
    "matern32": 5 / 32,
    "matern52": 63 / 512,
    "sargan": 429 / 4096,
    "silverman": 3 * math.sqrt(2) / 16,
    "uniform": 1 / 2,
    "triangular": 2 / 3,
    "epanechnikov": 3 / 5,
    "biweight": 5 / 7,
    "triweight": 350 / 429,
    "tricube": 175 / 247,
    "cosine": math.pi**2 / 16,
    "gaussian": 1 / (2 * math.sqrt(math.pi)),
}


def kernel_parts(kernel, u):
    """Return the logarithm of a positive part of K(u), and the factor beside it."""
    u = np.abs(np.asarray(u, dtype=np.longdouble))
    if kernel == "gaussian":
        return -u * u / 2, np.full_like(u, 1 / np.sqrt(2 * PI))
    if kernel == "silverman":
        v = u / np.sqrt(np.longdouble(2))
        return -v, np.sin(v + PI / 4) / 2
    if kernel in COMPACT:
        v = np.minimum(u, 1)
        shapes = {
            "uniform": lambda: np.full_like(v, 0.5),
            "triangular": lambda: 1 - v,
            "epanechnikov": lambda: 3 * (1 - v) * (1 + v) / 4,
            "biweight": lambda: 15 * ((1 - v) * (1 + v)) ** 2 / 16,
            "triweight": lambda: 35 * ((1 - v) * (1 + v)) ** 3 / 32,
            "tricube": lambda: 70 * (1 - v**3) ** 3 / 81,
            "cosine": lambda: PI / 4 * np.sin(PI / 2 * (1 - v)),
        }
        return np.zeros_like(u), np.where(u <= 1, shapes[kernel](), 0)
    c = coefficients(kernel)
    total = 2 * sum(c_p * math.factorial(p) for p, c_p in enumerate(c))
    return -u, sum(np.longdouble(c_p) * u**p for p, c_p in enumerate(c)) / total


def coefficients(kernel):
    """List the coefficients of a polynomial times exp(-u)."""
    named = {"laplacian": (1,), "matern32": (1, 1), "matern52": (3, 3, 1)}
    named["sargan"] = SARGAN
    return named[kernel] if isinstance(kernel, str) else kernel


def kernel_value(kernel, u):
    logs, factors = kernel_parts(kernel, u)
    return np.exp(logs) * factors


def kernel_beyond(kernel, u):
    """Integrate K from u >= 0 to infinity."""
    u = np.asarray(u, dtype=np.longdouble)
    if kernel == "gaussian":
        halves = [math.erfc(t) / 2 for t in (u / np.sqrt(np.longdouble(2))).flat]
        return np.array(halves, dtype=np.longdouble).reshape(u.shape)
    if kernel == "silverman":
        v = u / np.sqrt(np.longdouble(2))
        return np.exp(-v) * np.cos(v) / 2
    if kernel in COMPACT:
        r = 1 - np.minimum(u, 1)  # from the end of the support
        return {
            "uniform": lambda: r / 2,
            "triangular": lambda: r**2 / 2,
            "epanechnikov": lambda: r**2 * (3 - r) / 4,
            "biweight": lambda: r**3 * (20 - 15 * r + 3 * r**2) / 16,
            "triweight": lambda: r**4 * (70 - 84 * r + 35 * r**2 - 5 * r**3) / 32,
            "tricube": lambda: _tricube_beyond(r),
            "cosine": lambda: np.sin(PI / 4 * r) ** 2,
        }[kernel]()
    c = coefficients(kernel)
    total = 2 * sum(c_p * math.factorial(p) for p, c_p in enumerate(c))
    inner = sum(  # int_u^oo t^p e^-t dt = p! e^-u sum_{r <= p} u^r / r!
        np.longdouble(c_p) * math.factorial(p) * u**r / math.factorial(r)
        for p, c_p in enumerate(c)
        for r in range(p + 1)
    )
    return np.exp(-u) * inner / total


def _tricube_beyond(r):
    """Integrate 70/81 (3t - 3t^2 + t^3)^3 from 0 to r."""
    total = np.zeros_like(r)
    for i in range(4):
        for j in range(4 - i):
            k = 3 - i - j
            ways = math.factorial(3) // math.prod(map(math.factorial, (i, j, k)))
            power = i + 2 * j + 3 * k
            term = ways * 3**i * (-3) ** j * r ** (power + 1)
            total += term / np.longdouble(power + 1)
    return 70 * total / 81


def kernel_cdf(kernel, u):
    """Integrate K from -infinity to u."""
    beyond = kernel_beyond(kernel, np.abs(u))
    return np.where(np.asarray(u) >= 0, 1 - beyond, beyond)


def log_density(X, queries, kernel, bandwidth, weights=None, *, leave_out=None):
    """Logarithm of a product kernel density, and of the same with \\|K\\| for K.

    -inf stands for densities that are not positive. `leave_out` names a row for each
    query that does not count there.
    """
    logs, factors, weights = _terms(X, queries, kernel, bandwidth, weights)
    total = weights.sum()
    if leave_out is not None:
        factors[np.arange(len(leave_out)), leave_out] = 0
        total = np.array([np.delete(weights, i).sum() for i in leave_out])
    factors = factors * weights
    largest = np.where(factors == 0, -np.inf, logs).max(axis=1)
    base = np.where(np.isneginf(largest), 0, largest)
    scaled = np.exp(np.minimum(logs - base[:, None], 0)) * factors
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = base - np.log(total) - np.log(_wide(bandwidth)).sum()
        return tuple(
            np.where(total > 0, offset + np.log(np.maximum(sums, 0)), -np.inf)
            for sums in (scaled.sum(axis=1), np.abs(scaled).sum(axis=1))
        )


def density(X, queries, kernel, bandwidth, weights=None):
    """Product kernel density, of any sign, as float64."""
    logs, factors, weights = _terms(X, queries, kernel, bandwidth, weights)
    sums = (np.exp(logs) * factors) @ weights
    return (sums / weights.sum() / _wide(bandwidth).prod()).astype(float)


def cdf(X, queries, kernel, bandwidth, weights=None):
    """Integrate a product kernel density over all that is <= a query."""
    X, queries, bandwidth = _wide(X), _wide(queries), _wide(bandwidth)
    weights = _shares(weights, len(X))
    product = np.ones((len(queries), len(X)), dtype=np.longdouble)
    for k, width in enumerate(bandwidth):
        product *= kernel_cdf(kernel, (queries[:, k, None] - X[:, k]) / width)
    return product @ weights / weights.sum()


def kernel_sums(X, queries, kernel, bandwidth, weights):
    """Sum weights of any sign, of shape (n_channels, n), times product kernels."""
    logs, factors, _ = _terms(X, queries, kernel, bandwidth, None)
    return _wide(weights) @ (np.exp(logs) * factors).T


def log_density_bounds(X, queries, kernel, bandwidth, weights=None, **options):
    """Bound log densities that are computed with rounding.

    Allowed are a relative error `rtol` of a density with \\|K\\| for K, and one of
    `width_rtol` of the bandwidth, which decides at the end of a compact support.
    """
    leave_out = options.get("leave_out")
    rtol = options.get("rtol", 1e-12)
    width_rtol = options.get("width_rtol", 8 * EPS)
    lows, highs = [], []
    for factor in (1 - width_rtol, 1, 1 + width_rtol):
        width = _wide(bandwidth) * np.longdouble(factor)
        logs, sizes = log_density(
            X, queries, kernel, width, weights, leave_out=leave_out
        )
        error = np.full(logs.shape, np.longdouble(rtol))
        if kernel == "silverman":  # whose waves a wrong bandwidth shifts
            error += width_rtol * scaled_distance(X, queries, bandwidth)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(np.isneginf(sizes), 0, np.exp(logs - sizes))
            shift = np.log(np.maximum(ratio - error, 0))
            lows.append(np.where(np.isneginf(shift), -np.inf, sizes + shift))
            highs.append(sizes + np.log(ratio + error))
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    low *= 1 - 4 * EPS * np.sign(low)
    high *= 1 + 4 * EPS * np.sign(high)
    with np.errstate(over="ignore"):  # beyond float64
        return low.astype(float), high.astype(float)


def cdf_bounds(X, queries, kernel, bandwidth, weights=None, **options):
    """Bound probabilities that are computed with rounding, as `log_density_bounds`."""
    rtol, width_rtol = options.get("rtol", 1e-12), options.get("width_rtol", 8 * EPS)
    steps = (1 - width_rtol, 1, 1 + width_rtol)
    each = [
        cdf(X, queries, kernel, _wide(bandwidth) * np.longdouble(step), weights)
        for step in steps
    ]
    low, high = np.min(each, axis=0), np.max(each, axis=0)
    slack = rtol * np.abs(high) + (rtol if kernel == "silverman" else EPS)
    return np.clip([low - slack, high + slack], 0.0, 1.0).astype(float)


def reference_bandwidth(X, kernel, weights=None):
    """Least asymptotic mean integrated squared error for normal rows."""
    X, weights = _wide(X), _shares(weights, len(X))
    X, weights = X[weights > 0], weights[weights > 0]
    d = X.shape[1]
    n = weights.sum() ** 2 / (weights**2).sum()
    X = X - X[0]
    for _ in range(2):  # the second time for rounding
        X = X - weights @ X / weights.sum()
    sigma = np.sqrt(weights @ X**2 / weights.sum())
    rough = (2 * np.sqrt(PI) * np.longdouble(ROUGHNESS[kernel])) ** d
    if kernel == "silverman":  # 4th order: its 4th moment is -24
        factor = (1152 * rough / ((96 + 9 * d) * 24**2 * n)) ** (1 / (d + 8))
    else:
        variance = np.longdouble(VARIANCE[kernel])
        factor = (4 * rough / ((d + 2) * variance**2 * n)) ** (1 / (d + 4))
    return np.where(sigma > 0, factor * sigma, 1)


def _wide(array):
    """Convert to float64, as the estimators do, and then to long double."""
    if getattr(array, "dtype", None) == np.longdouble and np.ndim(array) == 1:
        return array
    return np.asarray(np.asarray(array, dtype=np.float64), dtype=np.longdouble)


def _shares(weights, n_rows):
    """Weights over the largest; less than the least float64 of it counts as 0."""
    if weights is None:
        return np.ones(n_rows, dtype=np.longdouble)
    weights = np.asarray(weights, dtype=np.float64)
    return _wide(weights / weights.max())


def scaled_distance(X, queries, bandwidth):
    """Sum |q - x| / h over features, for the farthest row of each query."""
    steps = (_wide(queries)[:, None] - _wide(X)) / _wide(bandwidth)
    return np.abs(steps).sum(axis=2).max(axis=1)


def _terms(X, queries, kernel, bandwidth, weights):
    """List logarithms and factors of all pairs, (n_queries, n_rows), and weights."""
    X, queries, bandwidth = _wide(X), _wide(queries), _wide(bandwidth)
    logs = np.zeros((len(queries), len(X)), dtype=np.longdouble)
    factors = np.ones_like(logs)
    for k, width in enumerate(bandwidth):
        log, factor = kernel_parts(kernel, (queries[:, k, None] - X[:, k]) / width)
        logs += log
        factors *= factor
    return logs, factors, _shares(weights, len(X))
