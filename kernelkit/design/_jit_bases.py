"""Products of univariate orthonormal functions, and draws by their squares.

Orthonormal polynomials p_k of a symmetric law obey, with b_0 = 0 and p_0 = 1,

``x p_k(x) = b_(k+1) p_(k+1)(x) + b_k p_(k-1)(x)``

so that the numbers b, called `steps`, say which ones they are.
"""

import math

import numpy as np

from kernelkit._jit import jit


@jit()
def polynomial_products(points, steps, indices):
    """Evaluate ``out[i, j] = prod_l p_k(points[i, l])`` with ``k = indices[j, l]``.

    points : (n, d) float64; steps : (degree + 1,) float64; indices : (m, d) int64;
    out : (n, m) float64.
    """
    starts, features, degrees = _factors(indices)
    table = np.empty((points.shape[1], steps.size))
    out = np.empty((points.shape[0], indices.shape[0]))
    for i in range(points.shape[0]):
        for l in range(points.shape[1]):
            _polynomials(points[i, l], steps, table[l])
        _multiply(table, starts, features, degrees, out[i])
    return out


@jit()
def fourier_products(angles, indices):
    """Evaluate products of 1, sqrt(2) cos(k a) and sqrt(2) sin(k a).

    They are number 0, 2 k - 1 and 2 k.

    angles : (n, d) float64; indices : (m, d) int64; out : (n, m) float64.
    """
    starts, features, degrees = _factors(indices)
    n_functions = indices.max() + 1
    table = np.empty((angles.shape[1], n_functions))
    out = np.empty((angles.shape[0], indices.shape[0]))
    for i in range(angles.shape[0]):
        for l in range(angles.shape[1]):
            table[l, 0] = 1.0
            for k in range(1, n_functions):
                angle = angles[i, l] * ((k + 1) // 2)
                value = math.cos(angle) if k % 2 else math.sin(angle)
                table[l, k] = math.sqrt(2.0) * value
        _multiply(table, starts, features, degrees, out[i])
    return out


@jit()
def scaled_products(points, steps, indices):
    """Evaluate the products of `polynomial_products` divided by a power of 2 per row.

    ``products[i, j] = out[i, j] * 2**exponents[i]``, where the largest entry of a row
    of `out` is of the order of 1, however far away the point is.

    points : (n, d) float64; steps : (degree + 1,) float64; indices : (m, d) int64;
    out : (n, m) float64; exponents : (n,) int64.
    """
    starts, features, degrees = _factors(indices)
    n, d = points.shape
    m = indices.shape[0]
    table = np.empty((d, steps.size))
    powers = np.empty((d, steps.size), dtype=np.int64)
    row_powers = np.empty(m, dtype=np.int64)
    out = np.empty((n, m))
    exponents = np.empty(n, dtype=np.int64)
    for i in range(n):
        for l in range(d):
            _scaled_polynomials(points[i, l], steps, table[l], powers[l])
        largest = np.int64(-(2**62))
        for j in range(m):
            value = 1.0
            power = np.int64(0)
            for f in range(starts[j], starts[j + 1]):
                value, more = math.frexp(value * table[features[f], degrees[f]])
                power += powers[features[f], degrees[f]] + more
            out[i, j] = value
            row_powers[j] = power
            if value != 0.0 and power > largest:
                largest = power
        for j in range(m):
            if out[i, j] != 0.0:
                out[i, j] = math.ldexp(out[i, j], max(row_powers[j] - largest, -2000))
        exponents[i] = largest
    return out, exponents


@jit()
def legendre_draws(degrees, steps, uniforms, out, n_done):
    """Draw by ``p_k(x)^2 / 2`` on [-1, 1], with k the degrees; by rejection.

    Proposals have the arcsine law. That of ``x = cos(a)`` is accepted with probability
    ``pi sin(a) p_k(x)^2 / 4``, at most 1 by Bernstein's inequality and 1/2 on average.

    degrees : (n,) int64; steps : (degree + 1,) float64; uniforms : (n_proposals, 2)
    float64 in [0, 1); out : (n,) float64, of which `n_done` are drawn already.
    Returns how many are drawn when the proposals are used up.
    """
    table = np.empty(steps.size)
    for t in range(uniforms.shape[0]):
        if n_done == degrees.size:
            break
        k = degrees[n_done]
        angle = math.pi * uniforms[t, 0]
        x = math.cos(angle)
        _polynomials(x, steps[: k + 1], table)
        if uniforms[t, 1] < 0.25 * math.pi * math.sin(angle) * table[k] ** 2:
            out[n_done] = x
            n_done += 1
    return n_done


@jit()
def hermite_draws(degrees, uniforms):
    """Draw by ``p_k(x)^2`` times the standard normal density, with k the degrees.

    Inverts the distribution function to 1e-14 in probability, by Newton steps. Where
    one would leave the bracket or is no shorter than half of the last, the bracket is
    halved instead.

    degrees : (n,) int64; uniforms, out : (n,) float64.
    """
    out = np.empty(degrees.size)
    for i in range(degrees.size):
        k, goal = degrees[i], uniforms[i]
        turn = math.sqrt(4.0 * k + 2.0)  # where the waves end
        low, high = -turn - 9.0, turn + 9.0
        x = turn * math.sin(math.pi * (goal - 0.5))
        last = high - low
        for _ in range(200):
            below, density = hermite_distribution(k, x)
            gap = below - goal
            if abs(gap) <= 1e-14 or high - low <= 1e-15 * turn:
                break
            if gap > 0.0:
                high = x
            else:
                low = x
            step = -gap / density if density > 0.0 else np.inf
            if not low < x + step < high or abs(step) > 0.5 * last:
                step = 0.5 * (low + high) - x
            x += step
            last = abs(step)
        out[i] = x
    return out


@jit()
def hermite_distribution(k, x):
    """Integrate ``p_k^2`` times the standard normal density g up to x.

    ``F(x) = Phi(x) - g(x) sum_(j=1..k) p_j(x) p_(j-1)(x) / sqrt(j)``

    k : int; x : float. Returns F and its derivative. Values near overflow are scaled
    down on the way.
    """
    previous, value, total, log_scale = 0.0, 1.0, 0.0, 0.0
    for j in range(1, k + 1):
        following = (x * value - math.sqrt(j - 1.0) * previous) / math.sqrt(j)
        previous, value = value, following
        total += previous * value / math.sqrt(j)
        if abs(value) > 1e100:
            previous, value, total = 1e-100 * previous, 1e-100 * value, 1e-200 * total
            log_scale += 100.0 * math.log(10.0)
    gauss = math.exp(2.0 * log_scale - 0.5 * x * x) / math.sqrt(2.0 * math.pi)
    below = 0.5 * math.erfc(-x / math.sqrt(2.0)) - gauss * total
    return below, gauss * value * value


@jit()
def _factors(indices):
    """List the factors of each product that are not 1: j has those from starts[j]."""
    m, d = indices.shape
    starts = np.zeros(m + 1, dtype=np.int64)
    features = np.empty(m * d, dtype=np.int64)
    degrees = np.empty(m * d, dtype=np.int64)
    f = 0
    for j in range(m):
        for l in range(d):
            if indices[j, l] > 0:
                features[f] = l
                degrees[f] = indices[j, l]
                f += 1
        starts[j + 1] = f
    return starts, features[:f], degrees[:f]


@jit()
def _multiply(table, starts, features, degrees, out):
    for j in range(out.size):
        value = 1.0
        for f in range(starts[j], starts[j + 1]):
            value *= table[features[f], degrees[f]]
        out[j] = value


@jit()
def _polynomials(x, steps, out):
    out[0] = 1.0
    if steps.size > 1:
        out[1] = x / steps[1]
    for k in range(2, steps.size):
        out[k] = (x * out[k - 1] - steps[k - 1] * out[k - 2]) / steps[k]


@jit()
def _scaled_polynomials(x, steps, out, powers):
    """Evaluate ``p_k(x) = out[k] * 2**powers[k]`` without overflow."""
    previous, value, power = 0.0, 1.0, np.int64(0)
    out[0], powers[0] = 1.0, 0
    for k in range(1, steps.size):
        following = (x * value - steps[k - 1] * previous) / steps[k]
        _, more = math.frexp(max(abs(following), abs(value)))
        previous = math.ldexp(value, -more)
        value = math.ldexp(following, -more)
        power += more
        out[k], powers[k] = value, power
