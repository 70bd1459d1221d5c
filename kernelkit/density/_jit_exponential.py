"""Sums of kernels that decay exponentially.

The loops share one form of a function of one feature. With rate a, frequency b and
``u = (target - source) / width``, its basis at a distance v is

    phi[l](v) = v^l exp(-a v)                          if b = 0,
    phi[2 l + w](v) = v^l exp(-a v) (cos(b v), sin(b v))[w]  otherwise,

and the function is ``sum_k coef[s, k] phi[k](|u|)`` with s = 0 for u >= 0 and 1 below.
A basis at a sum of distances is a matrix times the basis, ``phi(u + v) = M(v) phi(u)``,
so that sums over sources are moved from one reference point to the next. References
stand between a source and its target, or at most a width behind the source: factors
stay bounded and nothing overflows, whatever the width.

`form` is a tuple (widths (d,), rates (d,), frequencies (d,), sizes (d,) int64: lengths
of the basis, coef (d, 2, longest)). Arrays are float64 and in C order; sources and
targets stand in ascending order of the first feature, X is (d, n), weights (C, n) and
out (C, m); `order[k]` lists positions in ascending order of feature k. Loops add to
out. With `own` the targets are the sources, and no source meets itself.
"""

import math

import numpy as np

from kernelkit._jit import jit

_LARGEST = 745.0  # exp(-745) is the least float
_FAINT = 100.0  # e to the minus this, of a term beside which others do not count
_SPAN = 600.0  # exponents within which products of two exponentials stay finite
_EPOCH = 1.0  # widths after which a sweep moves its reference
TILE = 512  # targets that stay in the first cache while all sources pass by
_LANES = 8  # numbers in the widest vector
_BINOMIAL = np.array([[math.comb(l, k) for k in range(16)] for l in range(16)], float)
_POWERS = np.ldexp(1.0, np.arange(-1080, 2))  # of 2


@jit()
def exponentials(x):
    """Replace numbers <= 0 by their exponentials, several at a time.

    exp(x) = 2^k exp(r) with |r| <= log(2) / 2, whose Taylor series to r^13 has an error
    below 1e-17; k log(2) is subtracted in two parts, the first of which is exact.
    """
    for i in range(x.size):
        value = max(x[i], -_LARGEST)
        k = math.floor(value * 1.4426950408889634 + 0.5)
        r = value - k * 6.93147180369123816490e-01
        r -= k * 1.90821492927058770002e-10
        total = 1.0 / 6227020800.0
        total = total * r + 1.0 / 479001600.0
        total = total * r + 1.0 / 39916800.0
        total = total * r + 1.0 / 3628800.0
        total = total * r + 1.0 / 362880.0
        total = total * r + 1.0 / 40320.0
        total = total * r + 1.0 / 5040.0
        total = total * r + 1.0 / 720.0
        total = total * r + 1.0 / 120.0
        total = total * r + 1.0 / 24.0
        total = total * r + 1.0 / 6.0
        total = total * r + 0.5
        total = total * r + 1.0
        total = total * r + 1.0
        x[i] = total * _POWERS[np.int64(k) + 1080] if x[i] > -_LARGEST else 0.0


@jit()
def _decay(v, rate):
    return math.exp(-rate * v) if rate * v < _LARGEST else 0.0


@jit()
def _basis(v, decay, frequency, size, out):
    """Fill out[:size] with phi(v), given exp(-rate v)."""
    if decay == 0.0:
        for k in range(size):
            out[k] = 0.0
    elif frequency == 0.0:
        term = decay
        for k in range(size):
            out[k] = term
            term *= v
    else:
        cosine, sine = math.cos(frequency * v), math.sin(frequency * v)
        term = decay
        for k in range(0, size, 2):
            out[k] = term * cosine
            out[k + 1] = term * sine
            term *= v


@jit()
def _matrix(v, rate, frequency, size, out):
    """Fill out[:size, :size] with M(v)."""
    decay = _decay(v, rate)
    out[:size, :size] = 0.0
    if decay == 0.0:
        return
    if frequency == 0.0:
        for k in range(size):
            term = decay
            for l in range(k, size):
                out[l, k] = term * _BINOMIAL[l, k]
                term *= v
        return
    cosine, sine = math.cos(frequency * v), math.sin(frequency * v)
    for k in range(size // 2):
        term = decay
        for l in range(k, size // 2):
            factor = term * _BINOMIAL[l, k]
            out[2 * l, 2 * k] = factor * cosine
            out[2 * l, 2 * k + 1] = -factor * sine
            out[2 * l + 1, 2 * k] = factor * sine
            out[2 * l + 1, 2 * k + 1] = factor * cosine
            term *= v


@jit()
def _cobasis(v, decay, frequency, size, coef, out):
    """Fill out[:size] with psi(v) = M(v)' coef: function(u + v) = psi(v) . phi(u)."""
    if size == 1:
        out[0] = coef[0] * decay
        return
    out[:size] = 0.0
    if decay == 0.0:
        return
    if frequency == 0.0:
        for k in range(size):
            term = decay
            for l in range(k, size):
                out[k] += coef[l] * term * _BINOMIAL[l, k]
                term *= v
        return
    cosine, sine = math.cos(frequency * v), math.sin(frequency * v)
    for k in range(size // 2):
        term = decay
        for l in range(k, size // 2):
            factor = term * _BINOMIAL[l, k]
            even, odd = coef[2 * l] * factor, coef[2 * l + 1] * factor
            out[2 * k] += even * cosine + odd * sine
            out[2 * k + 1] += odd * cosine - even * sine
            term *= v


@jit()
def scan(own, reverse, X_s, weights, X_t, form, out):
    """Add the sources on one side of each target: one feature, one pass.

    `reverse` takes the sources behind the targets, which are those > a target, unless
    `own`.
    """
    widths, rates, waves, sizes, coefs = form
    width, rate, frequency, size = widths[0], rates[0], waves[0], sizes[0]
    coef = coefs[0, 1 if reverse else 0]
    n_channels, n = weights.shape
    m = X_t.shape[1]
    xs, xt = X_s[0], X_t[0]
    state = np.zeros((n_channels, size))
    moved = np.empty(size)
    M = np.empty((size, size))
    psi = np.empty(size)
    sign = -1.0 if reverse else 1.0
    at = 0.0
    p = 0
    for step in range(m):
        j = m - 1 - step if reverse else step
        x = xt[j]
        while p < n:
            i = n - 1 - p if reverse else p
            if own:
                if p >= step:
                    break
            elif (xs[i] <= x) == reverse:
                break
            if p > 0:
                v = sign * (xs[i] - at) / width
                if size == 1:
                    decay = _decay(v, rate)
                    for c in range(n_channels):
                        state[c, 0] *= decay
                else:
                    _matrix(v, rate, frequency, size, M)
                    for c in range(n_channels):
                        for k in range(size):
                            moved[k] = 0.0
                            for l in range(size):
                                moved[k] += M[k, l] * state[c, l]
                        for k in range(size):
                            state[c, k] = moved[k]
            at = xs[i]
            for c in range(n_channels):
                state[c, 0] += weights[c, i]
            p += 1
        if p > 0:
            v = sign * (x - at) / width
            _cobasis(v, _decay(v, rate), frequency, size, coef, psi)
            for c in range(n_channels):
                total = 0.0
                for k in range(size):
                    total += psi[k] * state[c, k]
                out[c, j] += total


@jit()
def cut_blocks(own, X_s, order_s, X_t, order_t, length):
    """Cut the second feature into blocks of about `length` sources.

    Returns edges (n_top * n_mid + 1,): block b lies between edges b and b + 1, and the
    blocks beyond the last are empty; the block of each source and each target, int32,
    in the order of the first feature; first_s, first_t: where blocks start in the order
    of the second feature; n_mid, the number of blocks in a group.
    """
    n, m = X_s.shape[1], X_t.shape[1]
    n_mid = max(int(math.sqrt(n / length) / _LANES + 0.75), 1) * _LANES
    length = max((n + n_mid * n_mid - 1) // (n_mid * n_mid), length // 2)
    n_blocks = (n + length - 1) // length
    n_top = (n_blocks + n_mid - 1) // n_mid
    edges = np.empty(n_top * n_mid + 1)
    block_s = np.empty(n, dtype=np.int32)
    block_t = np.empty(m, dtype=np.int32)
    first_s = np.empty(n_blocks + 1, dtype=np.int64)
    first_t = np.empty(n_blocks + 1, dtype=np.int64)
    edges[:] = X_s[1, order_s[1, n - 1]]
    for b in range(n_blocks):
        first_s[b] = b * length
        edges[b] = X_s[1, order_s[1, b * length]]
        for i in range(b * length, min(b * length + length, n)):
            block_s[order_s[1, i]] = b
    first_s[n_blocks] = n
    if own:
        block_t[:] = block_s
        first_t[:] = first_s
    else:
        b = 0
        first_t[0] = 0
        for i in range(m):
            y = X_t[1, order_t[1, i]]
            while b + 1 < n_blocks and edges[b + 1] <= y:
                b += 1
                first_t[b] = i
            block_t[order_t[1, i]] = b
        first_t[b + 1 :] = m
    return edges, block_s, block_t, first_s, first_t, n_mid


@jit()
def _fill_moves(edges, stride, length, width, rate, wave, size, M, moves):
    """Tabulate how sums move between the edges of a run of `length` blocks.

    moves[0, i, k, l, t] moves a sum from edge i up to the lower edge of block t >= i,
    moves[1, i, k, l, t] from edge i down to the upper edge of block t < i; entries for
    other blocks are 0, so that whole runs can be added. Blocks are padded to `_LANES`.
    """
    for i in range(length + 1):
        for t in range(length):
            is_up = t >= i
            edge = edges[t * stride] if is_up else edges[(t + 1) * stride]
            _matrix(abs(edge - edges[i * stride]) / width, rate, wave, size, M)
            for k in range(size):
                for l in range(size):
                    moves[0 if is_up else 1, i, k, l, t] = M[k, l]


@jit()
def edge_bases(X, block, edges, form, for_targets):
    """Tabulate the second feature's basis at the distances to the edges of the block.

    Returns (n, 2, size): phi for the upper and for the lower edge, or psi if
    `for_targets`.
    """
    widths, rates, waves, sizes, coef = form
    size = sizes[1]
    y = X[1]
    out = np.empty((y.size, 2, size))
    decays = np.empty((2, y.size))
    gaps = np.empty((2, y.size))
    for i in range(y.size):
        b = block[i]
        gaps[0, i] = max((edges[b + 1] - y[i]) / widths[1], 0.0)
        gaps[1, i] = max((y[i] - edges[b]) / widths[1], 0.0)
        decays[0, i] = -rates[1] * gaps[0, i]
        decays[1, i] = -rates[1] * gaps[1, i]
    exponentials(decays[0])
    exponentials(decays[1])
    for k in range(2):
        if size == 1:
            factor = coef[1, 1 - k, 0] if for_targets else 1.0
            for i in range(y.size):
                out[i, k, 0] = factor * decays[k, i]
            continue
        for i in range(y.size):
            if for_targets:
                _cobasis(
                    gaps[k, i], decays[k, i], waves[1], size, coef[1, 1 - k], out[i, k]
                )
            else:
                _basis(gaps[k, i], decays[k, i], waves[1], size, out[i, k])
    return out


@jit()
def _move_run(sums, at, n_channels, size_x, size_y, wave, M, moved):
    """Move the reference of a run of sums along the first feature."""
    stride = size_y * 2
    for c in range(n_channels):
        start = at + c * size_x * stride
        for row in range(start, start + stride):
            for t in range(sums.shape[1]):
                for g in range(size_x):
                    moved[g] = 0.0
                    for e in range(g + 1 if wave == 0.0 else size_x):
                        moved[g] += M[g, e] * sums[row + e * stride, t]
                for g in range(size_x):
                    sums[row + g * stride, t] = moved[g]


@jit()
def sweep(own, reverse, X_s, weights, bases_s, X_t, bases_t, blocks, form, out):
    """Add the sources on one side of each target and in other blocks: two features.

    Passes along the first feature. For every block a table holds the sums of the
    sources met so far in lower blocks, moved to its lower edge, and of those in higher
    blocks, moved to its upper edge. It has two levels, blocks and groups of n_mid
    blocks, so that an update adds to two short runs on each side, in vector
    instructions, and a query reads two entries of each side. Along the first feature,
    sums refer to a point at most `_EPOCH` widths behind, to which a run is moved when
    it is touched.
    """
    widths, rates, frequencies, sizes, coef = form
    edges, block_s, block_t, _, _, n_mid = blocks
    n_blocks = edges.size - 1
    n_top = n_blocks // n_mid
    n_wide = (n_top + _LANES - 1) // _LANES * _LANES
    n_channels, n = weights.shape
    m = X_t.shape[1]
    size_x, size_y = sizes[0], sizes[1]
    n_rows = n_channels * size_x
    sign = -1.0 if reverse else 1.0
    side = 1 if reverse else 0
    width_x, width_y = widths[0], widths[1]
    rate_x, rate_y = rates[0], rates[1]
    wave_x, wave_y = frequencies[0], frequencies[1]
    is_wave = wave_y > 0.0  # M is triangular, by pairs for waves

    M = np.empty((max(size_x, size_y), max(size_x, size_y)))
    moves = np.zeros((n_top, 2, n_mid + 1, size_y, size_y, n_mid))
    top_moves = np.zeros((2, n_top + 1, size_y, size_y, n_wide))
    lift = np.empty((n_blocks, 2, size_y, size_y))
    for a in range(n_top):
        part = edges[a * n_mid : (a + 1) * n_mid + 1]
        _fill_moves(part, 1, n_mid, width_y, rate_y, wave_y, size_y, M, moves[a])
        for b in range(n_mid):
            gap = (part[n_mid] - part[b + 1]) / width_y
            _matrix(gap, rate_y, wave_y, size_y, lift[a * n_mid + b, 0])
            gap = (part[b] - part[0]) / width_y
            _matrix(gap, rate_y, wave_y, size_y, lift[a * n_mid + b, 1])
    _fill_moves(edges, n_mid, n_top, width_y, rate_y, wave_y, size_y, M, top_moves)
    moves = moves.reshape((-1, n_mid))
    top_moves = top_moves.reshape((-1, n_wide))

    # By group, row, basis, side (lower, upper); and block.
    run = n_rows * size_y * 2
    sums = np.zeros((n_top * run, n_mid))
    top_sums = np.zeros((run, n_wide))

    at = X_t[0, m - 1 if reverse else 0]
    if n > 0 and not own:
        first = X_s[0, n - 1 if reverse else 0]
        if sign * (first - at) < 0.0:
            at = first
    at_top = at
    seen = np.nan
    fall = 1.0
    groups = np.arange(n_blocks) // n_mid
    at_mid = np.full(n_top, at)
    lifted = np.empty((2, size_y))
    along = np.empty(size_x)
    source = np.empty(n_rows)
    p = 0
    for step in range(m):
        j = m - 1 - step if reverse else step
        x = X_t[0, j]
        while True:
            is_source = False
            i = 0
            if p < n:
                i = n - 1 - p if reverse else p
                is_source = p < step if own else (X_s[0, i] <= x) != reverse
            here = X_s[0, i] if is_source else x
            b = block_s[i] if is_source else block_t[j]
            a = groups[b]
            v = sign * (here - at) / width_x
            if v > _EPOCH:
                at = here
                v = 0.0
            if here != seen or v == 0.0:
                fall = math.exp(-rate_x * v)
                seen = here
            if at_top != at:
                gap = sign * (at - at_top) / width_x
                _matrix(gap, rate_x, wave_x, size_x, M)
                _move_run(top_sums, 0, n_channels, size_x, size_y, wave_x, M, source)
                at_top = at
            if at_mid[a] != at:
                gap = sign * (at - at_mid[a]) / width_x
                _matrix(gap, rate_x, wave_x, size_x, M)
                _move_run(sums, a * run, n_channels, size_x, size_y, wave_x, M, source)
                at_mid[a] = at
            if not is_source:
                break
            # Add a source.
            p += 1
            if size_x == 1:
                along[0] = 1.0 / fall
            else:
                _basis(-v, 1.0 / fall, wave_x, size_x, along)
            for c in range(n_channels):
                for g in range(size_x):
                    source[c * size_x + g] = weights[c, i] * along[g]
            edge = a * 2 * (n_mid + 1) + b - a * n_mid  # lower one, in the first table
            for k in range(size_y):
                last = (k | 1) + 1 if is_wave else k + 1
                far_up = 0.0
                far_down = 0.0
                for l in range(last):
                    up, down = bases_s[i, 0, l], bases_s[i, 1, l]
                    far_up += lift[b, 0, k, l] * up
                    far_down += lift[b, 1, k, l] * down
                    entry = k * size_y + l
                    upper = (edge + 1) * size_y * size_y + entry
                    lower = (edge + n_mid + 1) * size_y * size_y + entry
                    for r in range(n_rows):
                        to = a * run + (r * size_y + k) * 2
                        factor = source[r] * up
                        for t in range(n_mid):
                            sums[to, t] += factor * moves[upper, t]
                        factor = source[r] * down
                        for t in range(n_mid):
                            sums[to + 1, t] += factor * moves[lower, t]
                lifted[0, k] = far_up
                lifted[1, k] = far_down
            for k in range(size_y):
                for l in range((k | 1) + 1 if is_wave else k + 1):
                    entry = k * size_y + l
                    upper = (a + 1) * size_y * size_y + entry
                    lower = (n_top + 1 + a) * size_y * size_y + entry
                    for r in range(n_rows):
                        to = (r * size_y + k) * 2
                        factor = source[r] * lifted[0, l]
                        for t in range(n_wide):
                            top_sums[to, t] += factor * top_moves[upper, t]
                        factor = source[r] * lifted[1, l]
                        for t in range(n_wide):
                            top_sums[to + 1, t] += factor * top_moves[lower, t]
        # Ask for a target.
        if size_x == 1:
            along[0] = coef[0, side, 0] * fall
        else:
            _cobasis(v, fall, wave_x, size_x, coef[0, side], along)
        b_mid = b - a * n_mid
        for c in range(n_channels):
            total = 0.0
            for g in range(size_x):
                part = 0.0
                for k in range(size_y):
                    row = (c * size_x + g) * size_y
                    to = a * run + (row + k) * 2
                    low = sums[to, b_mid]  # at the lower edge of the block, from below
                    high = sums[to + 1, b_mid]
                    for l in range(size_y):
                        to = (row + l) * 2
                        low += lift[b, 1, k, l] * top_sums[to, a]
                        high += lift[b, 0, k, l] * top_sums[to + 1, a]
                    part += bases_t[j, 1, k] * low + bases_t[j, 0, k] * high
                total += along[g] * part
            out[c, j] += total


@jit()
def brute(n_features, own, X_s, first, last, weights, X_t, start, stop, form, out):
    """Add sources first..last-1 to targets start..stop-1: all pairs.

    With s and t in one tile, exp(-|s - t|) is the lesser of exp(s) exp(-t) and
    exp(t) exp(-s): no exponential for a pair. Tiles too wide for that call it.
    """
    widths, rates, waves, sizes, coef = form
    n_channels = weights.shape[0]
    n, m = last - first, stop - start
    if n <= 0 or m <= 0:
        return
    same = own and first == start and last == stop
    grow_s, fall_s = np.empty((n_features, n)), np.empty((n_features, n))
    grow_t, fall_t = np.empty((n_features, m)), np.empty((n_features, m))
    cosines, sines = np.empty((n_features, m)), np.empty((n_features, m))
    centers = np.empty(n_features)
    rows_t = np.empty((n_features, m))
    is_wide = np.zeros(n_features, dtype=np.bool_)
    is_simple = np.zeros(n_features, dtype=np.bool_)
    factor = 1.0
    n_simple = 0
    for k in range(n_features):
        for t in range(m):
            rows_t[k, t] = X_t[k, start + t]
        low, high = _range(X_s, k, first, last)
        if not same:
            low_t, high_t = _range(X_t, k, start, stop)
            low, high = min(low, low_t), max(high, high_t)
        rate = rates[k] / widths[k]
        is_wide[k] = (high - low) / widths[k] * rates[k] > _SPAN
        is_simple[k] = sizes[k] == 1 and coef[k, 0, 0] == coef[k, 1, 0]
        centers[k] = low + 0.5 * (high - low)
        if waves[k] > 0.0:
            for t in range(m):
                angle = waves[k] * ((rows_t[k, t] - centers[k]) / widths[k])
                cosines[k, t], sines[k, t] = math.cos(angle), math.sin(angle)
        if is_wide[k]:
            continue
        if is_simple[k]:
            factor *= coef[k, 0, 0]
            n_simple += n_simple == k
        _scale(X_s, k, first, last, centers[k], rate, grow_s, fall_s)
        if same:
            grow_t[k] = grow_s[k]
            fall_t[k] = fall_s[k]
        else:
            _scale(X_t, k, start, stop, centers[k], rate, grow_t, fall_t)
    product, decay, u, value = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    angles = np.empty(2)
    target = out[0, start:stop]  # slices from 0 let the loops be vectorised
    one_pass = n_simple == n_features and n_features <= 3 and n_channels == 1
    for p in range(n):
        itself = first + p - start if own else -1
        if one_pass:
            if 0 <= itself < m:
                keep = grow_t[0, itself], fall_t[0, itself]
                grow_t[0, itself], fall_t[0, itself] = 0.0, 0.0
            weight = factor * weights[0, first + p]
            if n_features == 1:
                for t in range(m):
                    a = min(grow_s[0, p] * fall_t[0, t], fall_s[0, p] * grow_t[0, t])
                    target[t] += weight * a
            elif n_features == 2:
                for t in range(m):
                    a = min(grow_s[0, p] * fall_t[0, t], fall_s[0, p] * grow_t[0, t])
                    b = min(grow_s[1, p] * fall_t[1, t], fall_s[1, p] * grow_t[1, t])
                    target[t] += weight * (a * b)
            else:
                for t in range(m):
                    a = min(grow_s[0, p] * fall_t[0, t], fall_s[0, p] * grow_t[0, t])
                    b = min(grow_s[1, p] * fall_t[1, t], fall_s[1, p] * grow_t[1, t])
                    c = min(grow_s[2, p] * fall_t[2, t], fall_s[2, p] * grow_t[2, t])
                    target[t] += weight * (a * b * c)
            if 0 <= itself < m:
                grow_t[0, itself], fall_t[0, itself] = keep
            continue
        product[:] = 1.0
        done = 0
        if n_simple >= 3:
            done = 3
            for t in range(m):
                a = min(grow_s[0, p] * fall_t[0, t], fall_s[0, p] * grow_t[0, t])
                b = min(grow_s[1, p] * fall_t[1, t], fall_s[1, p] * grow_t[1, t])
                c = min(grow_s[2, p] * fall_t[2, t], fall_s[2, p] * grow_t[2, t])
                product[t] = a * b * c
        for k in range(done, n_features):
            x = X_s[k, first + p]
            if is_wide[k]:
                for t in range(m):
                    decay[t] = -rates[k] * (abs(rows_t[k, t] - x) / widths[k])
                exponentials(decay)
            else:
                for t in range(m):
                    decay[t] = min(
                        grow_s[k, p] * fall_t[k, t], fall_s[k, p] * grow_t[k, t]
                    )
            if is_simple[k]:
                scale = coef[k, 0, 0] if is_wide[k] else 1.0  # else in the factor
                for t in range(m):
                    product[t] *= decay[t] * scale
            elif waves[k] == 0.0:
                _times_powers(x, rows_t[k], k, form, decay, u, value, product)
            else:
                angle = waves[k] * ((x - centers[k]) / widths[k])
                angles[0], angles[1] = math.cos(angle), math.sin(angle)
                if is_wide[k]:  # where large angles would cost digits
                    angles[0], angles[1] = 1.0, 0.0
                    for t in range(m):
                        if decay[t] > 0.0:
                            angle = waves[k] * ((rows_t[k, t] - x) / widths[k])
                            cosines[k, t], sines[k, t] = (
                                math.cos(angle),
                                math.sin(angle),
                            )
                _times_waves(
                    x, rows_t[k], k, form, angles, cosines[k], sines[k], decay, product
                )
        if 0 <= itself < m:
            product[itself] = 0.0
        for c in range(n_channels):
            weight = factor * weights[c, first + p]
            target = out[c, start:stop]
            for t in range(m):
                target[t] += weight * product[t]


@jit()
def _range(X, k, start, stop):
    part = X[k, start:stop]
    low, high = part[0], part[0]
    for i in range(part.size):
        low = part[i] if part[i] < low else low
        high = part[i] if part[i] > high else high
    return low, high


@jit()
def _scale(X, k, start, stop, center, rate, grow, fall):
    part, rising, falling = X[k, start:stop], grow[k], fall[k]
    for i in range(part.size):
        falling[i] = -rate * abs(part[i] - center)
    exponentials(falling)
    for i in range(part.size):
        small = falling[i]
        large = 1.0 / small
        is_above = part[i] > center
        rising[i] = large if is_above else small
        falling[i] = small if is_above else large


@jit()
def _times_powers(x, xt, k, form, decay, u, value, product):
    """Multiply by a polynomial of the distance times its decay."""
    widths, _, _, sizes, coef = form
    last = sizes[k] - 1
    above, below = coef[k, 0, last], coef[k, 1, last]
    scale = 1.0 / widths[k]
    for t in range(product.size):
        u[t] = (xt[t] - x) * scale
        value[t] = above if u[t] >= 0.0 else below
    for l in range(last - 1, -1, -1):
        above, below = coef[k, 0, l], coef[k, 1, l]
        for t in range(product.size):
            value[t] = value[t] * abs(u[t]) + (above if u[t] >= 0.0 else below)
    for t in range(product.size):
        far = product[t] * (decay[t] * value[t])
        product[t] = far if decay[t] > 0.0 else 0.0  # where the power overflows


@jit()
def _times_waves(x, xt, k, form, angles, cosines, sines, decay, product):
    """Multiply by a decaying wave, by the sum formulas for a difference of angles.

    angles : (2,), cosine and sine of the source; cosines, sines : of the targets.
    """
    widths, _, _, sizes, coef = form
    c, s = angles[0], angles[1]
    if sizes[k] == 2:
        for t in range(product.size):
            is_above = xt[t] >= x
            cosine = cosines[t] * c + sines[t] * s
            sine = sines[t] * c - cosines[t] * s
            above = coef[k, 0, 0] * cosine + coef[k, 0, 1] * sine
            below = coef[k, 1, 0] * cosine - coef[k, 1, 1] * sine
            product[t] *= decay[t] * (above if is_above else below)
        return
    for t in range(product.size):
        v = abs(xt[t] - x) / widths[k]
        side = 0 if xt[t] >= x else 1
        cosine = cosines[t] * c + sines[t] * s
        sine = sines[t] * c - cosines[t] * s
        sine = sine if side == 0 else -sine
        value, power = 0.0, decay[t]
        for l in range(0, sizes[k], 2):
            value += power * (coef[k, side, l] * cosine + coef[k, side, l + 1] * sine)
            power *= v
        product[t] *= value if decay[t] > 0.0 else 0.0


@jit()
def take_columns(values, n_rows, columns):
    """Copy some columns of the first rows of a matrix."""
    out = np.empty((n_rows, columns.size))
    for r in range(n_rows):
        for i in range(columns.size):
            out[r, i] = values[r, columns[i]]
    return out


@jit()
def add_columns(out, columns, values):
    """Add to some columns of a matrix."""
    for r in range(values.shape[0]):
        for i in range(columns.size):
            out[r, columns[i]] += values[r, i]


@jit()
def halve(n_features, own, X_s, order_s, X_t, order_t):
    """Split sources and targets by the last feature.

    Returns the value between the halves, and which sources and targets are in the
    lower one.
    """
    k = n_features - 1
    n, m = X_s.shape[1], X_t.shape[1]
    low_s = np.zeros(n, dtype=np.bool_)
    if own:
        for i in range(n // 2):
            low_s[order_s[k, i]] = True
        return X_s[k, order_s[k, n // 2 - 1]], low_s, low_s
    low_t = np.zeros(m, dtype=np.bool_)
    i, j = 0, 0
    value = 0.0
    while i + j < (n + m) // 2:
        if j == m or (i < n and X_s[k, order_s[k, i]] <= X_t[k, order_t[k, j]]):
            value = X_s[k, order_s[k, i]]
            low_s[order_s[k, i]] = True
            i += 1
        else:
            value = X_t[k, order_t[k, j]]
            low_t[order_t[k, j]] = True
            j += 1
    return value, low_s, low_t


@jit()
def split(problem, form):
    """Halve a problem of three or more features by the last one.

    A problem is (n_features, own, X_s, weights, order_s, X_t, order_t, rows, cobasis):
    what it adds up for a target is to be multiplied by the target's column of cobasis
    (R, m) and added to its row of the whole; weights has C R channels. Returns four:
    the halves, and what each sees of the other, with one feature less. For these,
    sources and targets are moved to the value between the halves; those too far from
    it to be felt are left out.
    """
    n_features, own, X_s, weights, order_s, X_t, order_t, rows, cobasis = problem
    value, low_s, low_t = halve(n_features, own, X_s, order_s, X_t, order_t)
    lower_s = select(n_features, X_s, order_s, weights, low_s)
    upper_s = select(n_features, X_s, order_s, weights, ~low_s)
    lower_t = select(n_features, X_t, order_t, cobasis, low_t)
    upper_t = select(n_features, X_t, order_t, cobasis, ~low_t)
    lower_rows, upper_rows = rows[lower_t[3]], rows[upper_t[3]]
    k = n_features - 1
    up_s = _move(k, -1.0, value, lower_s, form, False, 0)
    down_s = _move(k, 1.0, value, upper_s, form, False, 0)
    up_t = _move(k, 1.0, value, upper_t, form, True, 0)
    down_t = _move(k, -1.0, value, lower_t, form, True, 1)
    return (
        _pose(n_features, own, lower_s, lower_t, lower_rows),
        _pose(n_features, own, upper_s, upper_t, upper_rows),
        _pose(k, False, up_s, up_t, upper_rows[up_t[3]]),
        _pose(k, False, down_s, down_t, lower_rows[down_t[3]]),
    )


@jit()
def _pose(n_features, own, sources, targets, rows):
    X_s, order_s, weights, _ = sources
    X_t, order_t, cobasis, _ = targets
    return n_features, own, X_s, weights, order_s, X_t, order_t, rows, cobasis


@jit()
def select(n_features, X, order, values, flags):
    """Keep the points whose flag is set: X, order, values (r, n), and positions."""
    n = flags.size
    place = np.empty(n, dtype=np.int32)
    count = 0
    for i in range(n):
        place[i] = count
        count += flags[i]
    kept = np.empty(count, dtype=np.int32)
    for i in range(n):
        if flags[i]:
            kept[place[i]] = i
    orders = np.empty((n_features, count), dtype=np.int32)
    for k in range(1, n_features):
        c = 0
        for i in range(n):
            j = order[k, i]
            if flags[j]:
                orders[k, c] = place[j]
                c += 1
    rows = take_columns(X, n_features, kept)
    return rows, orders, take_columns(values, values.shape[0], kept), kept


@jit()
def _move(k, sign, value, points, form, for_targets, side):
    """Move points along feature k to a value that lies on one side of them all.

    Values (r, n) become (r size, n): times phi, or psi `for_targets`.
    """
    widths, rates, waves, sizes, coef = form
    X, order, values, _ = points
    size = sizes[k]
    n = X.shape[1]
    gaps = np.empty(n)
    flags = np.empty(n, dtype=np.bool_)
    for i in range(n):
        gaps[i] = max(sign * (X[k, i] - value) / widths[k], 0.0)
        flags[i] = rates[k] * gaps[i] < _LARGEST
    near = select(k, X, order, values, flags)
    kept = near[3]
    moved = np.empty((values.shape[0] * size, kept.size))
    basis = np.empty(size)
    for i in range(kept.size):
        v = gaps[kept[i]]
        if for_targets:
            _cobasis(v, _decay(v, rates[k]), waves[k], size, coef[k, side], basis)
        else:
            _basis(v, _decay(v, rates[k]), waves[k], size, basis)
        for r in range(values.shape[0]):
            for l in range(size):
                moved[r * size + l, i] = near[2][r, i] * basis[l]
    return near[0], near[1], moved, kept


@jit()
def meet_in_blocks(own, X_s, weights, order_s, X_t, order_t, blocks, b0, b1, form, out):
    """Add the sources in the block of each target, for blocks b0..b1-1."""
    _, _, _, first_s, first_t, _ = blocks
    part_s = order_s[1, first_s[b0] : first_s[b1]]
    part_t = order_t[1, first_t[b0] : first_t[b1]]
    rows_s = take_columns(X_s, 2, part_s)
    rows_t = take_columns(X_t, 2, part_t)
    heavy = take_columns(weights, weights.shape[0], part_s)
    sums = np.zeros((weights.shape[0], part_t.size))
    for b in range(b0, b1):
        s0, s1 = first_s[b] - first_s[b0], first_s[b + 1] - first_s[b0]
        t0, t1 = first_t[b] - first_t[b0], first_t[b + 1] - first_t[b0]
        for start in range(t0, t1, TILE):
            stop = min(start + TILE, t1)
            brute(2, own, rows_s, s0, s1, heavy, rows_t, start, stop, form, sums)
    add_columns(out, part_t, sums)


@jit()
def is_small(problem, limit):
    """Tell whether comparing all pairs is faster than anything else."""
    n, m = problem[2].shape[1], problem[5].shape[1]
    return n * m <= limit[problem[0]] * (n + m) // 2


@jit()
def solve(problem, form, limit, out):
    """Add up a problem: divide by the last feature, sweep the first two.

    limit : (n_features + 1,) int64, the number of rows up to which comparing all pairs
    is faster than a split; limit[0] is the length of the blocks of a sweep.
    """
    pending = [problem]
    while len(pending) > 0:
        problem = pending.pop()
        n_features, own, X_s, weights, order_s, X_t, order_t, rows, cobasis = problem
        n, m = X_s.shape[1], X_t.shape[1]
        if n == 0 or m == 0:
            continue
        small = is_small(problem, limit)
        if n_features > 2 and not small:
            for part in split(problem, form):
                pending.append(part)
            continue
        sums = np.zeros((weights.shape[0], m))
        if small:
            for start in range(0, m, TILE):
                stop = min(start + TILE, m)
                brute(n_features, own, X_s, 0, n, weights, X_t, start, stop, form, sums)
        elif n_features == 1:
            for reverse in (False, True):
                scan(own, reverse, X_s, weights, X_t, form, sums)
        else:
            blocks = cut_blocks(own, X_s, order_s, X_t, order_t, limit[0])
            bases_s = edge_bases(X_s, blocks[1], blocks[0], form, False)
            bases_t = edge_bases(X_t, blocks[2], blocks[0], form, True)
            for reverse in (False, True):
                sweep(
                    own,
                    reverse,
                    X_s,
                    weights,
                    bases_s,
                    X_t,
                    bases_t,
                    blocks,
                    form,
                    sums,
                )
            last = blocks[3].size - 1
            meet_in_blocks(
                own, X_s, weights, order_s, X_t, order_t, blocks, 0, last, form, sums
            )
        deliver(sums, rows, cobasis, out)


@jit()
def deliver(sums, rows, cobasis, out):
    """Add the sums of a problem to the whole."""
    size = cobasis.shape[0]
    for c in range(out.shape[0]):
        for l in range(size):
            for j in range(rows.size):
                out[c, rows[j]] += cobasis[l, j] * sums[c * size + l, j]


@jit()
def log_sums(X_s, log_weights, X_t, skip, start, stop, form, out):
    """Sum one channel at targets start..stop-1, pair by pair, without underflow.

    X_s ascends along feature 0; X_t : (d, m); skip : (m,) int64, a source to leave out
    or -1; form : as above, and (1,) the power of |u| in the exponent; out : (2, m),
    the largest logarithm of a term, and the sum over its exponential.

    Sources are met from the nearest along feature 0 outwards, until even all the rest
    cannot count next to the largest term.
    """
    widths, rates, waves, sizes, coef, powers = form
    d, n = X_s.shape
    exponents, signs = np.empty(n), np.empty(n)
    degree = sizes[0] - 1 if waves[0] == 0.0 else sizes[0] // 2 - 1
    rest = log_weights.max() + math.log(np.abs(coef[0]).sum())  # for terms to come
    for k in range(1, d):
        rest += math.log(_largest_size(rates[k], waves[k], sizes[k], coef[k]))
    for j in range(start, stop):
        behind = np.searchsorted(X_s[0], X_t[0, j])
        before = behind - 1
        largest = -np.inf
        count = 0
        while before >= 0 or behind < n:
            i = behind
            if behind == n or (
                before >= 0 and X_t[0, j] - X_s[0, before] < X_s[0, behind] - X_t[0, j]
            ):
                i = before
                before -= 1
            else:
                behind += 1
            v = abs(X_t[0, j] - X_s[0, i]) / widths[0]
            if v * rates[0] > degree + 1.0 and count % 8 == 0:
                decay = rates[0] * (v if powers[0] == 1.0 else v * v)
                if rest + degree * math.log(max(v, 1.0)) - decay < largest - _FAINT:
                    break
            exponents[count] = log_weights[i] if i != skip[j] else -np.inf
            signs[count] = 1.0
            for k in range(d):
                u = (X_t[k, j] - X_s[k, i]) / widths[k]
                exponents[count] -= rates[k] * (abs(u) if powers[0] == 1.0 else u * u)
                value = _polynomial(u, waves[k], sizes[k], coef[k])
                signs[count] *= np.sign(value)
                exponents[count] += math.log(abs(value)) if value != 0.0 else -np.inf
            largest = max(largest, exponents[count])
            count += 1
        total = 0.0
        if largest > -np.inf:
            for i in range(count):
                if exponents[i] - largest > -_LARGEST:
                    total += signs[i] * math.exp(exponents[i] - largest)
        out[0, j] = largest
        out[1, j] = total


@jit()
def _largest_size(rate, wave, size, coef):
    """Bound the size of a function at any u."""
    total = 0.0
    for l in range(size):
        power = l if wave == 0.0 else l // 2
        largest = (power / (math.e * rate)) ** power if power > 0 else 1.0
        total += max(abs(coef[0, l]), abs(coef[1, l])) * largest
    return total


@jit()
def _polynomial(u, wave, size, coef):
    """Evaluate a function without its decay; |u| is cut off where powers overflow."""
    side = 0 if u >= 0.0 else 1
    v = min(abs(u), 1e25)
    value = 0.0
    if wave == 0.0:
        for l in range(size - 1, -1, -1):
            value = value * v + coef[side, l]
        return value
    cosine, sine = math.cos(wave * v), math.sin(wave * v)
    for l in range(size - 2, -1, -2):
        value = value * v + coef[side, l] * cosine + coef[side, l + 1] * sine
    return value
