"""Descent on the dual of a kernel machine, two coefficients at a time."""

import numpy as np

from kernelkit._jit import jit

_DEPENDENT = 1e-12  # a determinant, relative to the product of the diagonal


@jit()
def descend(
    K, rows, curvature, ridge, epsilon, lower, upper, tol, n_steps, coef, slopes
):
    """Minimize over the best pair of coefficients, again and again, in place.

    The objective is ``coef' (K + diag(ridge)) coef / 2 - targets' coef +
    epsilon |coef|_1`` on the box ``lower <= coef <= upper``. The first of a pair
    promises the largest decrease alone, the second the largest beside it.

    K : (n, n) float64, of which `rows` and the same columns count
    rows : (m,) int64
    curvature, ridge, lower, upper, coef : (m,) float64, the first one diag(K) + ridge
    slopes : (m,) float64, ``(K + diag(ridge)) coef - targets``
    Returns the steps taken, fewer than `n_steps` if no coefficient could move along a
    slope steeper than `tol`. Where the curvature is 0, division leads to a bound.
    Source: Steinwart, Hush & Scovel (2011), JMLR 12, 141-202, section 3.
    """
    m = rows.size
    rise, fall = np.empty(m), np.empty(m)  # slopes that keep from moving up and down
    for k in range(m):
        rise[k], fall[k] = _limits(coef[k], epsilon, lower[k], upper[k])
    scale = 1.0 / np.sqrt(curvature)
    row_i, row_j = np.empty(m), np.empty(m)

    for step in range(n_steps):
        i, best, steepest = -1, 0.0, 0.0
        for k in range(m):
            excess = max(-slopes[k] - rise[k], slopes[k] - fall[k])
            steepest = max(steepest, excess)
            gain = excess * scale[k]
            if gain > best:
                i, best = k, gain
        if i < 0 or steepest <= tol:
            return step

        h_i = curvature[i]
        rises = -slopes[i] - rise[i] > slopes[i] - fall[i]
        g_i = slopes[i] + rise[i] if rises else slopes[i] - fall[i]
        low_i, high_i = _cell(coef[i], rises, epsilon, lower[i], upper[i])
        for k in range(m):
            row_i[k] = K[rows[i], rows[k]]
        rise[i] = fall[i] = np.inf  # not its own partner
        j, best = -1, 0.0
        for k in range(m):
            pull = row_i[k] * g_i - slopes[k] * h_i
            pull = max(pull - rise[k] * h_i, -pull - fall[k] * h_i, 0.0)
            product = h_i * curvature[k]
            det = max(product - row_i[k] * row_i[k], _DEPENDENT * product)
            gain = pull * pull / det
            if gain > best:
                j, best = k, gain

        if j < 0:
            new = min(max(coef[i] - g_i / h_i, low_i), high_i)
            a = new - coef[i]
            coef[i] = new
            for k in range(m):
                slopes[k] += a * row_i[k]
        else:
            h_j, h_ij = curvature[j], row_i[j]
            pull = h_ij * g_i - slopes[j] * h_i
            rises = pull - rise[j] * h_i > -pull - fall[j] * h_i
            g_j = slopes[j] + rise[j] if rises else slopes[j] - fall[j]
            low_j, high_j = _cell(coef[j], rises, epsilon, lower[j], upper[j])
            new_i, new_j = _minimize_pair(
                h_i, h_j, h_ij, g_i, g_j, coef[i], coef[j], low_i, high_i, low_j, high_j
            )
            a, b = new_i - coef[i], new_j - coef[j]
            coef[i], coef[j] = new_i, new_j
            for k in range(m):
                row_j[k] = K[rows[j], rows[k]]
            for k in range(m):
                slopes[k] += a * row_i[k] + b * row_j[k]
            slopes[j] += b * ridge[j]
            rise[j], fall[j] = _limits(coef[j], epsilon, lower[j], upper[j])
        slopes[i] += a * ridge[i]
        rise[i], fall[i] = _limits(coef[i], epsilon, lower[i], upper[i])
    return n_steps


@jit()
def _limits(coef, epsilon, lower, upper):
    """Return the slopes that keep a coefficient from moving up, and from down."""
    rise = epsilon if coef >= 0.0 else -epsilon
    fall = epsilon if coef <= 0.0 else -epsilon
    return rise if coef < upper else np.inf, fall if coef > lower else np.inf


@jit()
def _cell(coef, rises, epsilon, lower, upper):
    """Return the bounds of a coefficient up to the next kink of the objective."""
    if epsilon == 0.0:
        return lower, upper
    if coef > 0.0 or (coef == 0.0 and rises):
        return max(lower, 0.0), upper
    return lower, min(upper, 0.0)


@jit()
def _minimize_pair(
    h_i, h_j, h_ij, g_i, g_j, old_i, old_j, low_i, high_i, low_j, high_j
):
    """Minimize a quadratic of two coefficients on a rectangle.

    ``h_i a^2 / 2 + h_j b^2 / 2 + h_ij a b + g_i a + g_j b`` with a and b the changes
    """
    det = h_i * h_j - h_ij * h_ij
    if det > _DEPENDENT * h_i * h_j:
        new_i = old_i + (h_ij * g_j - h_j * g_i) / det
        new_j = old_j + (h_ij * g_i - h_i * g_j) / det
        if low_i <= new_i <= high_i and low_j <= new_j <= high_j:
            return new_i, new_j
    best, best_i, best_j = 0.0, old_i, old_j
    for new_i in (low_i, old_i, high_i):
        if np.isfinite(new_i):
            a = new_i - old_i
            new_j = min(max(old_j - (g_j + h_ij * a) / h_j, low_j), high_j)
            b = new_j - old_j
            value = a * (0.5 * h_i * a + g_i) + b * (0.5 * h_j * b + g_j + h_ij * a)
            if value < best:
                best, best_i, best_j = value, new_i, new_j
    for new_j in (low_j, old_j, high_j):
        if np.isfinite(new_j):
            b = new_j - old_j
            new_i = min(max(old_i - (g_i + h_ij * b) / h_i, low_i), high_i)
            a = new_i - old_i
            value = a * (0.5 * h_i * a + g_i) + b * (0.5 * h_j * b + g_j + h_ij * a)
            if value < best:
                best, best_i, best_j = value, new_i, new_j
    return best_i, best_j
