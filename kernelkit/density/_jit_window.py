"""Sums over pairs of kernels that do not decay exponentially.

Arrays are float64 and in C order; X is (d, n), weights (C, n), out (C, m). Loops add to
out. With `own` the targets are the sources, and no source meets itself.

A compact function of ``u = (target - source) / width`` has the form (breaks (d, P),
coef (d, 2, P, q), tails (d, 2)): where |u| lies below break p and not below the one
before, it is ``sum_l coef[k, s, p, l] (breaks[k, p] - |u|)^l`` with s = 0 for u >= 0
and 1 below; beyond the last break it is tails[k, s].

A Gaussian one has the form (scales (d,), factors (d,), powers (d,) int64) and is
``factor u^power exp(-u^2 / (2 scale^2))``; with the power -1 it is the factor times the
normal distribution function.
"""

import math

import numpy as np

from kernelkit._jit import jit

TILE = 64  # targets met at a time, close to each other


@jit()
def compact_pairs(
    own, X_s, first, last, weights, X_t, start, stop, same, widths, form, out
):
    """Add sources first..last-1 to targets start..stop-1.

    same : (m,) int64, the source that a target is, if `own`.
    """
    breaks, coef, tails = form
    n_features = widths.size
    m = stop - start
    n_pieces, n_terms = coef.shape[2], coef.shape[3]
    product, u, total, value = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    for p in range(first, last):
        for k in range(n_features):
            x = X_s[k, p]
            above, below = tails[k, 0], tails[k, 1]
            for t in range(m):
                u[t] = (X_t[k, start + t] - x) / widths[k]
                value[t] = above if u[t] >= 0.0 else below
            for piece in range(n_pieces - 1, -1, -1):
                _set_piece(
                    u, breaks[k, piece], coef[k, :, piece], n_terms, total, value
                )
            if k == 0:
                for t in range(m):
                    product[t] = value[t]
            else:
                for t in range(m):
                    product[t] *= value[t]
        if own:
            for t in range(m):
                if same[start + t] == p:
                    product[t] = 0.0
        for c in range(weights.shape[0]):
            weight = weights[c, p]
            for t in range(m):
                out[c, start + t] += weight * product[t]


@jit()
def _set_piece(u, end, coef, n_terms, total, value):
    """Set the values where |u| < end to the polynomial of end - |u|."""
    above, below = coef[0, n_terms - 1], coef[1, n_terms - 1]
    for t in range(u.size):
        total[t] = above if u[t] >= 0.0 else below
    for l in range(n_terms - 2, -1, -1):
        above, below = coef[0, l], coef[1, l]
        if above == below:
            for t in range(u.size):
                total[t] = total[t] * (end - abs(u[t])) + above
        else:
            for t in range(u.size):
                c = above if u[t] >= 0.0 else below
                total[t] = total[t] * (end - abs(u[t])) + c
    for t in range(u.size):
        value[t] = total[t] if end - abs(u[t]) > 0.0 else value[t]


@jit()
def window_sums(
    own,
    X_s,
    strips_s,
    weights,
    X_t,
    strips_t,
    begin,
    end,
    same,
    reach,
    axes,
    widths,
    form,
    out,
):
    """Add the sources within reach of each target, for target strips begin..end-1.

    Strips are runs of rows that follow each other along feature axes[0]; within them
    rows ascend along feature axes[1]. strips : (n_strips + 1,) int64, where they start.
    A tile of targets meets, in each strip that its box reaches, the sources that its
    box reaches along the other feature.
    """
    a, b = axes
    n_strips = strips_s.size - 1
    lows, highs = np.empty(n_strips), np.empty(n_strips)
    for s in range(n_strips):
        lows[s] = X_s[a, strips_s[s] : strips_s[s + 1]].min()
        highs[s] = X_s[a, strips_s[s] : strips_s[s + 1]].max()
    for strip in range(begin, end):
        for start in range(strips_t[strip], strips_t[strip + 1], TILE):
            stop = min(start + TILE, strips_t[strip + 1])
            low = X_t[a, start:stop].min() - reach[a]
            high = X_t[a, start:stop].max() + reach[a]
            low_b = X_t[b, start:stop].min() - reach[b]
            high_b = X_t[b, start:stop].max() + reach[b]
            for s in range(np.searchsorted(highs, low), n_strips):
                if lows[s] > high:
                    break
                column = X_s[b, strips_s[s] : strips_s[s + 1]]
                first = strips_s[s] + np.searchsorted(column, low_b)
                last = strips_s[s] + np.searchsorted(column, high_b, side="right")
                compact_pairs(
                    own,
                    X_s,
                    first,
                    last,
                    weights,
                    X_t,
                    start,
                    stop,
                    same,
                    widths,
                    form,
                    out,
                )


@jit()
def gaussian_pairs(own, X_s, weights, X_t, start, stop, widths, form, out):
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
