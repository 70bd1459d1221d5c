"""Neural tangent kernels, layer by layer on tiles of pairs.

For a pair of rows the state is the versine ``v = 1 - cos(angle)`` of the layer's inputs
and the tangent kernel t divided by the root of both variances. A layer needs of each
row the numbers in `features`, of shape (n_layers, n_features, n):

0. a = sigma_w sqrt(m) times the ratio of the roots of variances before and after, where
   m is what the activation does to the variance, or 1 if that is no multiple of it
   (for STEP the ratio is that of 1 and the root after).
1. b = sigma_b / root after. For ANGLE and STEP ``a^2 + b^2 = 1``.
2. p = sigma_w / root after, for SERIES times the root of E[phi(u)^2].
3. and 4., for ERF and GELU: roots alpha and eps of q / (1 + q) and 1 / (1 + q), where q
   is the variance, or twice it for ERF.
5. for ERF and GELU: root of E[phi(u)^2], for GELU over that of q.

For SERIES coefficients of Hermite polynomials over this root follow from 3 on. Layer 0
is the input, where only a and b count. All of these are at most about 1 even where
norms overflow when they are squared, and sums are of terms >= 0, so that nothing is
lost to pairs that are nearly alike.
"""

import math

import numpy as np

from kernelkit._jit import jit

ANGLE, STEP, ERF, GELU, SERIES = range(5)
TILE = 256  # pairs whose state stays in the fastest memory
NEAR = 1e-3  # versine below which 1 minus a product loses digits

SAFE = {"contract", "arcp", "nsz"}  # NaN and infinity stay


def _arcsine_coefficients():
    """Fit ``asin(sqrt(z)) / sqrt(z) = 1 + z q(z)`` on [0, 1/2]."""
    series = [1.0]
    for k in range(1, 70):
        series.append(series[-1] * (2 * k - 1) ** 2 / (2 * k * (2 * k + 1)))
    q = np.polynomial.Chebyshev.interpolate(
        np.polynomial.Polynomial(series[1:]), 21, domain=[0.0, 0.5]
    )
    return q.convert(kind=np.polynomial.Polynomial).coef


ARCSINE = _arcsine_coefficients()  # type: ignore[no-untyped-call]


@jit(fastmath=SAFE)
def _angles(v, constants, angle):
    """Compute ``arccos(1 - v)`` for 0 <= v <= 2, without a branch.

    A negative v stands for 2 + v, without its rounding.
    """
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 = constants[:11]
    c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21 = constants[11:]
    for j in range(v.size):
        near = abs(v[j])
        z = 0.5 * (near if near <= 1.0 else 2.0 - near)
        q = (((c21 * z + c20) * z + c19) * z + c18) * z + c17
        q = (((q * z + c16) * z + c15) * z + c14) * z + c13
        q = (((q * z + c12) * z + c11) * z + c10) * z + c9
        q = (((q * z + c8) * z + c7) * z + c6) * z + c5
        q = ((((q * z + c4) * z + c3) * z + c2) * z + c1) * z + c0
        acute = 2.0 * math.sqrt(z) * (1.0 + z * q)
        angle[j] = acute if 0.0 <= v[j] <= 1.0 else math.pi - acute


@jit()
def versines(products, rows, columns, first, is_symmetric):
    """Replace products g of directions by ``1 - g``, exact where it is small.

    There it is half the squared difference of the directions; of row i and column
    ``first + i`` it is 0 if `is_symmetric`. Pairs with g < 0 get ``-(1 + g)``, never 0,
    instead: nearly opposite directions count, too.

    products : (n, m); rows : (n, d), columns : (m, d), or (n, 0) to keep what
    rounding leaves.
    """
    n, m = products.shape
    for i in range(n):
        row = products[i]
        for start in range(0, m, 32):
            stop, n_near = min(start + 32, m), 0
            for j in range(start, stop):
                versine = max(1.0 - abs(row[j]), 0.0)
                n_near += versine < NEAR
                row[j] = versine if row[j] >= 0.0 else -max(versine, 1e-300)
            if n_near == 0 or rows.shape[1] == 0:
                continue
            for j in range(start, stop):
                if abs(row[j]) < NEAR:
                    sign = -1.0 if row[j] < 0.0 else 1.0
                    versine = 0.0
                    for k in range(rows.shape[1]):
                        difference = rows[i, k] - sign * columns[j, k]
                        versine += 0.5 * difference * difference
                    row[j] = versine if sign > 0.0 else -max(versine, 1e-300)
        if is_symmetric:
            row[first + i] = 0.0


@jit()
def refine_sparse(versines, rows, columns):
    """Do what `versines` does where they are small, for sparse directions.

    rows, columns : (indptr, indices, data), indices in ascending order.
    """
    row_starts, row_indices, row_data = rows
    column_starts, column_indices, column_data = columns
    for i in range(versines.shape[0]):
        for j in range(versines.shape[1]):
            if abs(versines[i, j]) >= NEAR:
                continue
            sign = -1.0 if versines[i, j] < 0.0 else 1.0
            p, q = row_starts[i], column_starts[j]
            total = 0.0
            while p < row_starts[i + 1] or q < column_starts[j + 1]:
                has_p, has_q = p < row_starts[i + 1], q < column_starts[j + 1]
                k = row_indices[p] if has_p else column_indices[q]
                if has_q:
                    k = min(k, column_indices[q])
                difference = 0.0
                if has_p and row_indices[p] == k:
                    difference = row_data[p]
                    p += 1
                if has_q and column_indices[q] == k:
                    difference -= sign * column_data[q]
                    q += 1
                total += 0.5 * difference * difference
            versines[i, j] = total if sign > 0.0 else -max(total, 1e-300)


@jit(fastmath=SAFE)
def _angle_layer(gain, is_step, own, others, start, angle, keep, v, t):
    """Pass a tile through relu, leaky_relu, linear or step, for ``t' = k + D t``."""
    a, b = own[0], own[1]
    for j in range(v.size):
        a_j, b_j = others[0, start + j], others[1, start + j]
        near = abs(v[j])
        sine = math.sqrt(near * (2.0 - near))
        versine = v[j] if v[j] >= 0.0 else 2.0 - near
        x = angle[j]
        x2 = x * x
        series = x * x2 * ((((x2 / 45360 - 1 / 840) * x2) + 1 / 30) * x2 - 1 / 3)
        direct = x * (1.0 - versine) - sine
        lost = versine + gain / math.pi * (series if x < 0.05 else direct)
        lost = x / math.pi if is_step else (lost if lost > 0.0 else 0.0)
        slope = 0.0 if is_step else 1.0 - gain * x / math.pi
        ratio = a * a_j
        step_a, step_b = a - a_j, b - b_j
        after = ratio * lost + 0.5 * (step_a * step_a + step_b * step_b)
        after = after if after < 2.0 else 2.0
        v[j] = after
        t[j] = keep * (1.0 - after) + slope * ratio * t[j]


@jit(fastmath=SAFE)
def _smooth_versines(own, others, start, v, out):
    """Compute 1 - z for the product z that `erf` and `gelu` take the arcsine of.

    For z < 0 it is ``-(1 + z)``, as `_angles` takes it.
    """
    alpha, eps = own[3], own[4]
    for j in range(v.size):
        alpha_j, eps_j = others[3, start + j], others[4, start + j]
        both, near = alpha * alpha_j, abs(v[j])
        z = (1.0 - v[j] if v[j] >= 0.0 else near - 1.0) * both
        rest = eps * eps + (eps_j * alpha) * (eps_j * alpha)
        rest += both * both * near * (2.0 - near)
        small = rest / (1.0 + abs(z))
        out[j] = small if z >= 0.0 else -max(small, 1e-300)


@jit(fastmath=SAFE)
def _smooth_layer(is_erf, own, others, start, angle, keep, v, t, after):
    """Pass a tile through erf or gelu; `after` is to take the versines behind it."""
    a, b, p, alpha, eps = own[0], own[1], own[2], own[3], own[4]
    for j in range(v.size):
        near = abs(v[j])
        c, w = 1.0 - v[j] if v[j] >= 0.0 else near - 1.0, near * (2.0 - near)
        alpha_j, eps_j = others[3, start + j], others[4, start + j]
        both = alpha * alpha_j
        rest = eps * eps + (eps_j * alpha) * (eps_j * alpha) + both * both * w
        root = math.sqrt(rest)
        ratio = a * others[0, start + j]
        e = eps * eps + eps_j * eps_j
        f = (eps * eps_j) * (eps * eps_j)
        z = c * both
        z2 = z * z
        series = ((105 / 3456 * z2 + 15 / 336) * z2 + 3 / 40) * z2 + 1 / 6
        series = z * (1.0 + z2 * series)
        arcsine = series if abs(z) < 0.02 else 0.5 * math.pi - angle[j]
        normal = 0.25 + arcsine / (2 * math.pi)
        gelu = c * normal + both * (w + (1.0 - w) * e) / (2 * math.pi * root)
        gelu_slope = normal + z * (e + f / rest) / (2 * math.pi * root)
        erf = (p * others[2, start + j]) * (2 / math.pi * arcsine)
        erf_slope = (a * eps) * (others[0, start + j] * eps_j) * (4 / math.pi / root)
        k = (erf if is_erf else ratio * gelu) + b * others[1, start + j]
        t[j] = keep * k + (erf_slope if is_erf else ratio * gelu_slope) * t[j]
        versine = 1.0 - k
        versine = versine if versine > 0.0 else 0.0
        after[j] = versine if versine < 2.0 else 2.0
    for j in range(v.size):
        is_opposite = is_erf and after[j] > 2.0 - NEAR and v[j] < 0.0
        is_near = is_opposite or (after[j] < NEAR and 0.0 <= v[j] < 0.5)
        if is_near and abs(own[5] - others[5, start + j]) < 0.5 * own[5]:
            after[j] = _near_versine(is_erf, own, others[:, start + j], v[j])
            after[j] = -max(after[j], 1e-300) if is_opposite else after[j]
        v[j] = after[j]


@jit()
def _near_versine(is_erf, own, other, v):
    """Versine of a pair behind erf or gelu, by terms that vanish with differences.

    Let ``cos(x) = alpha^2`` for either row and ``cos(xy) = alpha_x alpha_y``, so that
    ``x = xy = y`` where norms are the same. What angles and norms lose are the arcsines
    of `by_angle` and `by_norm`, for erf; for gelu most of these cancels. A negative v
    is that of a row and the opposite of another, and so is then the result.
    """
    step_b = own[1] - other[1] if v >= 0.0 else own[1] + other[1]
    v = abs(v)
    alpha_i, eps_i, mean_i = own[3], own[4], own[5]
    alpha_j, eps_j, mean_j = other[3], other[4], other[5]
    c, w, both = 1.0 - v, v * (2.0 - v), alpha_i * alpha_j
    f = (eps_i * eps_j) * (eps_i * eps_j)
    rest_0 = eps_i * eps_i + (eps_j * alpha_i) * (eps_j * alpha_i)
    rest = rest_0 + both * both * w
    root_0, root = math.sqrt(rest_0), math.sqrt(rest)
    by_angle = both * w / (root + c * root_0)

    # half angles of x and y: sines eps / sqrt(2), cosines big / sqrt(2)
    big_i = math.sqrt(1.0 + alpha_i * alpha_i)
    big_j = math.sqrt(1.0 + alpha_j * alpha_j)
    sine = 0.5 * (eps_i * big_j + eps_j * big_i)  # of (x + y) / 2
    cosine = alpha_i * alpha_i + alpha_j * alpha_j
    cosine /= big_i * big_j + eps_i * eps_j
    if alpha_i < 0.5:
        difference = (alpha_i - alpha_j) * (alpha_i + alpha_j)
    else:
        difference = (eps_j - eps_i) * (eps_j + eps_i)
    difference /= 2.0 * sine
    square = difference * difference  # of the sine of (x - y) / 2
    sine_all = root_0 * cosine + both * sine  # of xy + (x + y) / 2
    cosine_all = both * cosine - root_0 * sine
    by_norm, half = 0.0, 0.0
    if sine_all > 1e-100:
        by_norm = square / sine_all
        half = (
            sine_all / (1.0 + cosine_all)
            if cosine_all > 0.0
            else (1.0 - cosine_all) / sine_all
        )
    step = mean_i - mean_j
    if is_erf:
        lost = (math.asin(by_angle) + math.asin(by_norm)) / (0.5 * math.pi)
        ratio = own[2] * other[2]
        step_a = own[2] * mean_i - other[2] * mean_j
    else:
        turn = f + rest_0 * root / (root + root_0)
        turn += f * both * both / (root_0 * (root + root_0))
        turn -= v * rest / ((root + c * root_0) * (root + root_0))
        turn = both * w / root * turn + c * (math.asin(by_angle) - by_angle)
        norm = 0.5 * (eps_i**2 * (eps_i / eps_j) + eps_j**2 * (eps_j / eps_i))
        norm *= (sine * by_norm + both * square) / (root_0 * big_i * big_j)
        e = (eps_i / eps_j + eps_j / eps_i) / (big_i * big_j)
        norm -= square * sine * math.sqrt(1.0 - square) * e
        norm += square * (2.0 * both * sine * sine / root_0 - 2.0 * sine * cosine)
        norm += square * half + (math.asin(by_norm) - by_norm)
        normal = 0.25 + math.atan2(both, root_0) / (2.0 * math.pi)
        lost = v * normal + (turn + norm) / (2.0 * math.pi)
        ratio = own[0] * other[0]
        step_a = own[0] * mean_i - other[0] * mean_j
    lost = max(lost - 0.5 * step * step, 0.0)
    return ratio * lost + 0.5 * (step_a * step_a + step_b * step_b)


@jit(fastmath=SAFE)
def _series_layer(own, others, start, keep, v, t):
    """Pass a tile through an activation given by its Hermite coefficients."""
    value, slope = np.zeros(v.size), np.zeros(v.size)
    last = own.size - 1
    while last > 2 and own[last] == 0.0:
        last -= 1
    for n in range(last, 2, -1):
        for j in range(v.size):
            slope[j] = slope[j] * (1.0 - v[j]) + value[j]
            value[j] = value[j] * (1.0 - v[j]) + own[n] * others[n, start + j]
    for j in range(v.size):
        ratio = own[2] * others[2, start + j]
        k = ratio * value[j] + own[1] * others[1, start + j]
        t[j] = keep * k + ratio * slope[j] * t[j]
        after = 1.0 - k
        after = after if after > 0.0 else 0.0
        v[j] = after if after < 2.0 else 2.0


@jit(fastmath=SAFE)
def fill(
    kind,
    gain,
    is_even,
    train_from,
    versines,
    first,
    row_features,
    column_features,
    row_roots,
    column_roots,
    constants,
    ntk,
    nngp,
):
    """Fill rows of one kernel or both.

    versines : (n, m), of directions
    first : which row of the features is the first of `versines`
    row_features, column_features : (depth + 1, n_features, all rows or columns)
    row_roots, column_roots : roots of the variances of the last layer
    constants : ARCSINE
    ntk, nngp : (n, m or more), or (0, 0) if not wanted
    """
    n, m = versines.shape
    depth = row_features.shape[0] - 1
    room = np.empty((4, TILE))
    keeps_sign = depth > 0 and kind != SERIES
    own = np.empty(row_features.shape[1])
    for i in range(n):
        for start in range(0, m, TILE):
            stop = min(start + TILE, m)
            size = stop - start
            v, t, angle = room[0, :size], room[1, :size], room[2, :size]
            smooth = room[3, :size]
            a, b = row_features[0, 0, first + i], row_features[0, 1, first + i]
            others = column_features[0]
            keep = 1.0 if train_from == 0 else 0.0
            for j in range(size):
                u = versines[i, start + j]
                b_j = others[1, start + j] if u >= 0.0 else -others[1, start + j]
                ratio, step_a = a * others[0, start + j], a - others[0, start + j]
                step_b, sum_b = b - b_j, b + b_j
                before = 0.5 * (step_a * step_a + step_b * step_b) + ratio * abs(u)
                far = 0.5 * (step_a * step_a + sum_b * sum_b) + ratio * (2.0 - abs(u))
                before, far = min(before, 2.0), min(far, 2.0)
                # of the row or, if u < 0, of its opposite
                opposite = -max(before, 1e-300) if keeps_sign else far
                opposite = far if before > 1.0 else opposite
                folded = before if before <= 1.0 else far
                state = before if u >= 0.0 else opposite
                v[j] = folded if is_even else state
                cosine = 1.0 - v[j] if v[j] >= 0.0 else -1.0 - v[j]
                t[j] = keep * cosine
            for layer in range(1, depth + 1):
                own[:] = row_features[layer, :, first + i]
                others = column_features[layer]
                keep = 1.0 if layer >= train_from else 0.0
                if kind in (ERF, GELU):
                    _smooth_versines(own, others, start, v, smooth)
                    _angles(smooth, constants, angle)
                    _smooth_layer(
                        kind == ERF, own, others, start, angle, keep, v, t, smooth
                    )
                elif kind == SERIES:
                    _series_layer(own, others, start, keep, v, t)
                else:
                    _angles(v, constants, angle)
                    _angle_layer(
                        gain, kind == STEP, own, others, start, angle, keep, v, t
                    )
            root = row_roots[first + i]
            if ntk.size:
                row = ntk[i, start:stop]
                for j in range(size):
                    row[j] = t[j] * (root * column_roots[start + j])
            if nngp.size:
                row = nngp[i, start:stop]
                for j in range(size):
                    cosine = 1.0 - v[j] if v[j] >= 0.0 else -1.0 - v[j]
                    row[j] = cosine * (root * column_roots[start + j])


@jit()
def mirror(out, start, stop):
    """Copy what lies left of the diagonal in some rows to above it."""
    for left in range(0, stop, 64):
        for j in range(left, min(left + 64, stop)):
            for i in range(max(start, j + 1), stop):
                out[j, i] = out[i, j]
