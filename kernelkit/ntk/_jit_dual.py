"""Descent on the dual of a kernel machine, two coefficients at a time."""

import numpy as np

from kernelkit._jit import jit

_DEPENDENT = 1e-12  # a determinant, relative to the product of the diagonal


@jit()
def descend(
    K, curvature, ridge, targets, epsilon, lower, upper, rows, tol, n_steps, coef, values
):
    """Minimize over the best pair of coefficients, again and again, in place.

    The objective is ``coef' (K + diag(ridge)) coef / 2 - targets' coef +
    epsilon |coef|_1`` on the box ``lower <= coef <= upper``. The first of a pair
    promises most alone, the second most beside it.

    K : (n, n) float64; ridge, targets, lower, upper, coef : (n,) float64
    rows : (m,) int64, the coefficients to choose from
    values : (n,) float64, K @ coef at `rows`
    Returns the steps taken, fewer than `n_steps` if no slope exceeds `tol`.
    Source: Steinwart, Hush & Scovel (2011), JMLR 12, 141-202.
    """
    for step in range(n_steps):
        i = -1
        best = 0.0
        for k in rows:
            slope = values[k] + ridge[k] * coef[k] - targets[k]
            up = -slope - (epsilon if coef[k] >= 0.0 else -epsilon)
            down = slope - (epsilon if coef[k] <= 0.0 else -epsilon)
            up = up if coef[k] < upper[k] else 0.0
            down = down if coef[k] > lower[k] else 0.0
            excess = max(up, down)
            if excess > tol:
                gain = excess * excess / (curvature[k])
                if gain > best:
                    i, best = k, gain
        if i < 0:
            return step

        h_i = curvature[i]
        slope = values[i] + ridge[i] * coef[i] - targets[i]
        rises = slope < 0.0
        g_i, low_i, high_i = _cell(slope, rises, coef[i], epsilon, lower[i], upper[i])
        j, best2 = -1, 0.0
        for k in rows:
            slope = values[k] + ridge[k] * coef[k] - targets[k]
            if epsilon > 0.0:
                slope += epsilon if coef[k] > 0.0 else -epsilon if coef[k] < 0.0 else (-np.sign(slope)*min(epsilon,abs(slope)))
            h_k = curvature[k]
            h_ik = K[i, k]
            det = h_i * h_k - h_ik * h_ik
            move = h_ik * g_i - slope * h_i
            if move > 0.0:
                feasible = coef[k] < upper[k]
            else:
                feasible = coef[k] > lower[k]
            gain = move * move / (h_i*max(det, _DEPENDENT * h_i * h_k))
            if feasible and k != i and gain > best2:
                j, best2 = k, gain
        if j < 0:
            new = min(max(coef[i] - g_i / h_i, low_i), high_i)
            change = new - coef[i]
            coef[i] = new
            if rows.size == values.size:
                for k in range(values.size):
                    values[k] += change * K[i, k]
            else:
                for k in rows:
                    values[k] += change * K[i, k]
            continue
        h_j = curvature[j]
        h_ij = K[i, j]
        slope = values[j] + ridge[j] * coef[j] - targets[j]
        rises = h_ij * g_i - slope * h_i > 0.0
        g_j, low_j, high_j = _cell(slope, rises, coef[j], epsilon, lower[j], upper[j])
        a, b = _pair(h_i, h_j, h_ij, g_i, g_j, low_i - coef[i], high_i - coef[i], low_j - coef[j], high_j - coef[j])
        new_i = min(max(coef[i] + a, low_i), high_i)
        new_j = min(max(coef[j] + b, low_j), high_j)
        a = new_i - coef[i]
        b = new_j - coef[j]
        coef[i] = new_i
        coef[j] = new_j
        if rows.size == values.size:
            for k in range(values.size):
                values[k] += a * K[i, k] + b * K[j, k]
        else:
            for k in rows:
                values[k] += a * K[i, k] + b * K[j, k]
    return n_steps


@jit()
def _cell(slope, rises, coef, epsilon, lower, upper):
    """Return the slope and the bounds of a coefficient where it may go without a kink."""
    if epsilon == 0.0:
        return slope, lower, upper
    if coef > 0.0 or (coef == 0.0 and rises):
        return slope + epsilon, max(lower, 0.0), upper
    return slope - epsilon, lower, min(upper, 0.0)


@jit()
def _pair(h_a, h_b, h_ab, g_a, g_b, low_a, high_a, low_b, high_b):
    """Minimize a quadratic of two steps on a box that holds 0.

    ``h_a a^2 / 2 + h_b b^2 / 2 + h_ab a b + g_a a + g_b b``
    """
    det = h_a * h_b - h_ab * h_ab
    if det > _DEPENDENT * h_a * h_b:
        a = (h_ab * g_b - h_b * g_a) / det
        b = (h_ab * g_a - h_a * g_b) / det
        if low_a <= a <= high_a and low_b <= b <= high_b:
            return a, b
    best, best_a, best_b = 0.0, 0.0, 0.0
    for edge in (low_a, high_a, 0.0):
        if np.abs(edge) < np.inf:
            a = edge
            b = min(max(-(g_b + h_ab * a) / h_b, low_b), high_b)
            value = a * (0.5 * h_a * a + g_a) + b * (0.5 * h_b * b + g_b + h_ab * a)
            if value < best:
                best, best_a, best_b = value, a, b
    for edge in (low_b, high_b, 0.0):
        if np.abs(edge) < np.inf:
            b = edge
            a = min(max(-(g_a + h_ab * b) / h_a, low_a), high_a)
            value = a * (0.5 * h_a * a + g_a) + b * (0.5 * h_b * b + g_b + h_ab * a)
            if value < best:
                best, best_a, best_b = value, a, b
    return best_a, best_b
