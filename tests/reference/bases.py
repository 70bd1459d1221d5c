"""Orthonormal functions of one feature, multiplied as their names say."""

import math
import re

import numpy as np
from numpy.polynomial import chebyshev, hermite_e, legendre

FACTOR = re.compile(r"(P|T|He|cos|sin)(\d+)\(x(\d+)\)")


def _legendre(k, t):
    return math.sqrt(2 * k + 1) * legendre.legval(t, [0] * k + [1])


def _chebyshev(k, t):
    return math.sqrt(2) * chebyshev.chebval(t, [0] * k + [1])


def _hermite(k, t):
    return hermite_e.hermeval(t, [0] * k + [1]) / math.sqrt(math.factorial(k))


def _cosine(k, t):
    return math.sqrt(2) * np.cos(np.pi * k * (t + 1))


def _sine(k, t):
    return math.sqrt(2) * np.sin(np.pi * k * (t + 1))


FUNCTIONS = {"P": _legendre, "T": _chebyshev, "He": _hermite}
WAVES = {"cos": _cosine, "sin": _sine}


def bounds(model, queries):
    """Bound the functions of a fitted basis at queries, clipped to its bounds."""
    t = model.domain.to_standard(np.asarray(queries, dtype=float))
    doubt = 1e-14 * np.ones_like(t)
    names = model.get_feature_names_out().tolist()
    if any("cos" in name for name in names):
        doubt *= 1.0 + np.abs(t)
        t = np.fmod(t, 2.0)
    elif hasattr(model, "clip"):
        t = np.clip(t, -1.0, 1.0)
    low, high = [], []
    for name in names:
        value, size, error = np.ones(len(t)), np.ones(len(t)), np.zeros(len(t))
        for kind, degree, feature in FACTOR.findall(name):
            k, column = int(degree), int(feature)
            factor = {**FUNCTIONS, **WAVES}[kind](k, t[:, column])
            value = value * factor
            size = size * (np.abs(factor) + k * k)
            error = error + 100.0 * k * doubt[:, column]
        error = np.where(error < 1e-2, (error + 1e-13) * size, np.inf)
        low.append(value - error)
        high.append(value + error)
    return np.column_stack(low), np.column_stack(high)
