"""Kernels of wide networks by their definition: slow, obvious and independent.

`pair` follows one pair of rows through the layers in the arithmetic of `math`, by the
textbook formulas. `expectation_by_quadrature` integrates an activation over a pair of
normal variables, and `exact` computes in 60 digits.
"""

import math

import mpmath
import numpy as np
from scipy.integrate import quad
from scipy.special import erf, ndtr

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(180)
ACTIVATIONS = {
    "relu": (lambda u: np.maximum(u, 0.0), lambda u: np.where(u > 0.0, 1.0, 0.0)),
    "leaky_relu": (
        lambda u: np.where(u > 0.0, u, 0.2 * u),
        lambda u: np.where(u > 0.0, 1.0, 0.2),
    ),
    "erf": (erf, lambda u: 2.0 / math.sqrt(math.pi) * np.exp(-u * u)),
    "gelu": (
        lambda u: u * ndtr(u),
        lambda u: ndtr(u) + u * np.exp(-u * u / 2.0) / math.sqrt(2.0 * math.pi),
    ),
    "step": (lambda u: np.where(u > 0.0, 1.0, 0.0), None),
    "linear": (lambda u: u, lambda u: np.ones_like(u)),
}


def expectations(activation, k, q1, q2, slopes=(0.2, 1.0)):
    """``E[phi(u) phi(v)]`` and ``E[phi'(u) phi'(v)]`` by closed forms."""
    if activation == "linear":
        return k, 1.0
    if activation == "erf":
        square = (1.0 + 2.0 * q1) * (1.0 + 2.0 * q2)
        value = 2.0 / math.pi * math.asin(2.0 * k / math.sqrt(square))
        return value, 4.0 / math.pi / math.sqrt(square - 4.0 * k * k)
    if activation == "gelu":
        square = (1.0 + q1) * (1.0 + q2)
        rest = square - k * k
        density = 1.0 / (2.0 * math.pi * math.sqrt(rest))
        normal = 0.25 + math.asin(k / math.sqrt(square)) / (2.0 * math.pi)
        moment = q1 * q2 - q1 * k * k / (1.0 + q1) + k * k / (1.0 + q2)
        slope = normal + k * density + density * k * moment / rest
        slope += 2.0 * density * k * (1.0 / (1.0 + q1) + 1.0 / (1.0 + q2) - 1.0)
        return k * normal + density * moment, slope
    root = math.sqrt(q1) * math.sqrt(q2)
    cosine = min(max(k / root, -1.0), 1.0)
    angle = math.acos(cosine)
    order_0 = (math.pi - angle) / (2.0 * math.pi)
    if activation == "step":
        return order_0, math.nan
    order_1 = math.sin(angle) + (math.pi - angle) * cosine
    order_1 *= root / (2.0 * math.pi)
    a, b = (0.0, 1.0) if activation == "relu" else slopes
    return (b - a) ** 2 * order_1 + a * b * k, (b - a) ** 2 * order_0 + a * b


def pair(x, y, activation="relu", depth=1, sigma_w=2**0.5, sigma_b=0.0, **options):
    """NTK and NNGP of two rows; options are `train_from`, `slopes` and `width`."""
    w2, b2 = sigma_w**2, sigma_b**2
    width = options.get("width", len(x))
    train_from = options.get("train_from", 0)
    slopes = options.get("slopes", (0.2, 1.0))
    k = w2 * math.fsum(np.multiply(x, y)) / width + b2
    q1 = w2 * math.fsum(np.multiply(x, x)) / width + b2
    q2 = w2 * math.fsum(np.multiply(y, y)) / width + b2
    t = k if train_from == 0 else 0.0
    for layer in range(1, depth + 1):
        value, slope = expectations(activation, k, q1, q2, slopes)
        k = w2 * value + b2
        t = (k if layer >= train_from else 0.0) + w2 * slope * t
        q1, q2 = (
            w2 * expectations(activation, q, q, q, slopes)[0] + b2 for q in (q1, q2)
        )
    return t, k


def gram(X, Y, **parameters):
    """NTK and NNGP of all pairs of rows."""
    values = np.array([[pair(x, y, **parameters) for y in Y] for x in X])
    return values[:, :, 0], values[:, :, 1]


def normal_mean(function, mean, spread):
    """``E[f(mean + spread z)]`` for a smooth f, z standard normal."""
    return float(WEIGHTS @ function(mean + spread * NODES) / WEIGHTS.sum())


def step_mean(_, mean, spread):
    """The same of a step."""
    return float(ndtr(mean / spread))


def relu_mean(_, mean, spread):
    """The same of relu."""
    z = mean / spread
    density = math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    return float(mean * ndtr(z) + spread * density)


def leaky_relu_mean(_, mean, spread):
    """The same of leaky relu."""
    return 0.2 * mean + 0.8 * relu_mean(None, mean, spread)


def expectation_by_quadrature(function, k, q1, q2, mean=normal_mean):
    """``E[f(u) f(v)]`` by one integral, of f(u) and the mean of f(v) given u."""
    spread = math.sqrt(q2 - k * k / q1)

    def integrand(u):
        given = mean(function, k / q1 * u, spread)
        return float(function(np.array(u))) * given * math.exp(-u * u / (2.0 * q1))

    end = 9.0 * math.sqrt(q1)
    total = sum(
        quad(integrand, *ends, epsabs=1e-11, epsrel=1e-11, limit=200)[0]
        for ends in ((-end, 0.0), (0.0, end))
    )
    return total / math.sqrt(2.0 * math.pi * q1)


def exact_expectations(activation, k, q1, q2):
    """`expectations` of relu, erf and gelu on mpmath numbers."""
    pi = mpmath.pi
    if activation == "relu":
        root = mpmath.sqrt(q1 * q2)
        angle = mpmath.acos(max(min(k / root, mpmath.mpf(1)), mpmath.mpf(-1)))
        order_1 = root * mpmath.sin(angle) + (pi - angle) * k
        return order_1 / (2 * pi), (pi - angle) / (2 * pi)
    if activation == "erf":
        square = (1 + 2 * q1) * (1 + 2 * q2)
        value = 2 / pi * mpmath.asin(2 * k / mpmath.sqrt(square))
        return value, 4 / pi / mpmath.sqrt(square - 4 * k * k)
    square = (1 + q1) * (1 + q2)
    density = 1 / (2 * pi * mpmath.sqrt(square - k * k))
    normal = mpmath.asin(k / mpmath.sqrt(square)) / (2 * pi) + mpmath.mpf(1) / 4
    moment = q1 * q2 - q1 * k * k / (1 + q1) + k * k / (1 + q2)
    slope = k * (moment / (square - k * k) + 2 / (1 + q1) + 2 / (1 + q2) - 1)
    return k * normal + density * moment, normal + density * slope


def exact(x, y, depth, sigma_w, sigma_b, activation="relu"):
    """NTK and NNGP in 60 digits, as mpmath numbers."""
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(float(number)) for number in row] for row in (x, y))
        w2, b2 = mpmath.mpf(sigma_w) ** 2, mpmath.mpf(sigma_b) ** 2

        def product(a, b):
            total = sum(first * second for first, second in zip(a, b, strict=True))
            return w2 * total / len(x) + b2

        k, q1, q2 = product(x, y), product(x, x), product(y, y)
        t = k
        for _ in range(depth):
            value, slope = exact_expectations(activation, k, q1, q2)
            k, t = w2 * value + b2, w2 * value + b2 + w2 * slope * t
            q1, q2 = (
                w2 * exact_expectations(activation, q, q, q)[0] + b2 for q in (q1, q2)
            )
        return t, k
