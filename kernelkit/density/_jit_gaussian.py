"""Sums over pairs of Gaussian kernels and of functions made of them.

Arrays are float64 and in C order; X is (d, n), weights (C, n), out (C, m). Loops add to
out. With `own` the targets are the sources, and no source meets itself.

A function has the form (scales (d,), factors (d,), powers (d,) int64) and is ``factor
u^power exp(-u^2 / (2 scale^2))`` of ``u = (target - source) / width``; with the power
-1 it is the factor times the normal distribution function.
"""

import math

import numpy as np

from kernelkit._jit import jit

TILE = 64  # targets met at a time


@jit()
def add_pairs(own, X_s, weights, X_t, start, stop, widths, form, out):
    """Add all sources to targets start..stop-1."""
    scales, factors, powers = form
    n_features, n = X_s.shape
    m = stop - start
    product, exponent, u = np.empty(m), np.empty(m), np.empty(m)
    for p in range(n):
        product[:] = 1.0
        exponent[:] = 0.0
        for k in range(n_features):
            x = X_s[k, p]
            for t in range(m):
                u[t] = (X_t[k, start + t] - x) / widths[k]
            if powers[k] < 0:
                for t in range(m):
                    z = u[t] / scales[k] * math.sqrt(0.5)
                    product[t] *= 0.5 * factors[k] * math.erfc(-z)
                continue
            for t in range(m):
                z = u[t] / scales[k]
                exponent[t] -= 0.5 * z * z
                product[t] *= factors[k]
            for _ in range(powers[k]):
                for t in range(m):
                    product[t] *= u[t]
        for t in range(m):
            decay = math.exp(exponent[t]) if exponent[t] > -750.0 else 0.0
            product[t] = product[t] * decay if decay > 0.0 else 0.0
        if own and start <= p < stop:
            product[p - start] = 0.0
        for c in range(weights.shape[0]):
            weight = weights[c, p]
            for t in range(m):
                out[c, start + t] += weight * product[t]
