"""Kernel values out of products or differences of rows.

Arrays are in C order and of one precision, float32 or float64, so each loop has two
compiled versions. `bits` is the memory of `out` as integers of the same size, and
`constants` is what `exp_constants` returns for the precision. Numbers come as arrays or
as numpy scalars of that precision, as others would widen float32.
"""

import math
from typing import Any

import numpy as np

from kernelkit._jit import jit

CONTRACT = {"contract"}  # a * b + c is rounded once; NaN and infinity stay


def exp_constants(dtype: Any) -> Any:
    """List the numbers by which `_exp_row` computes in a precision.

    - 1 / log 2.
    - A number so large that what is added to it is rounded to an integer.
    - log 2 in two parts; products of the first with integers are exact.
    - The least exponent whose exponential is a normal number, and the large number plus
      the power of 2 that belongs to it.
    - 1 and the coefficients of q in ``exp(r) = 1 + r + r^2 q(r)``: q is of degree 8 and
      right at the Chebyshev nodes of ``|r| <= log(2) / 2``.
    """
    digits, least = (52, -1022) if dtype == np.float64 else (23, -126)
    log2, large = math.log(2.0), 1.5 * 2.0**digits
    unit = 2.0 ** (11 - digits)
    head = round(log2 / unit) * unit
    series = np.polynomial.Polynomial([1 / math.factorial(k + 2) for k in range(16)])
    q = np.polynomial.Chebyshev.interpolate(series, 8, domain=[-log2 / 2, log2 / 2])
    reduction = [1 / log2, large, head, log2 - head, least * log2, large + least]
    coefficients = q.convert(kind=np.polynomial.Polynomial).coef
    return np.array([*reduction, 1.0, *coefficients], dtype=dtype)


@jit(fastmath=CONTRACT)
def _exp_row(exponents, constants, power, power_bits, value, value_bits, out_bits):
    """Compute exp of exponents <= 0, without a branch so that it is vectorised.

    ``exp(x) = 2^n exp(r)`` with n an integer, which is added to the bits of exp(r).
    Results below 1.5 times the least normal number are 0, as is that of NaN. Largest
    error measured: 8e-16 in float64, 6e-8 in float32.

    power, value : (m,) room to work in; `exponents` may be `value`.
    """
    per_log2, large, head, tail = constants[:4]
    least, vanishing, one, c0, c1, c2, c3, c4, c5, c6, c7, c8 = constants[4:]
    for j in range(exponents.size):
        x = exponents[j]
        x = x if x > least else least
        shifted = x * per_log2 + large
        n = shifted - large
        r = (x - n * head) - n * tail
        q = (((c8 * r + c7) * r + c6) * r + c5) * r + c4
        q = (((q * r + c3) * r + c2) * r + c1) * r + c0
        value[j] = one + (r + r * r * q)
        power[j] = shifted
    digits = 52 if exponents.itemsize == 8 else 23
    for j in range(exponents.size):
        scaled = value_bits[j] + (power_bits[j] << digits)
        out_bits[j] = scaled if power[j] > vanishing else 0


@jit(fastmath=CONTRACT)
def exp_of_products(row_norms, center_norms, constants, out, bits):
    """Replace products p by ``exp(min(p - row_norm - center_norm, 0))``.

    row_norms : (n,), center_norms : (m,), out : (n, m)
    """
    work = np.empty((2, out.shape[1]), out.dtype)
    work_bits = work.view(bits.dtype)
    zero = constants[0] - constants[0]
    for i in range(out.shape[0]):
        norm, row = row_norms[i], out[i]
        for j in range(row.size):
            x = (row[j] - center_norms[j]) - norm
            row[j] = x if x < zero else zero
        _exp_row(row, constants, work[0], work_bits[0], work[1], work_bits[1], bits[i])


@jit(fastmath=CONTRACT)
def exp_of_differences(squared, X, columns, factor, constants, out, bits):
    """Compute ``exp(-sum_k |u_k|^p)`` of scaled differences ``u = factor (x - c)``.

    The power p is 2 if `squared`, or 1. Differences of rows are taken before anything
    is rounded: rows may lie far from the origin and close to each other.

    X : (n, d), columns : (d, m) the centres, out : (n, m)
    """
    work = np.empty((2, out.shape[1]), out.dtype)
    work_bits = work.view(bits.dtype)
    zero = constants[0] - constants[0]
    for i in range(X.shape[0]):
        row = out[i]
        row[:] = zero
        for k in range(X.shape[1]):
            x, column = X[i, k], columns[k]
            if squared:
                for j in range(row.size):
                    u = (x - column[j]) * factor
                    row[j] -= u * u
            else:
                for j in range(row.size):
                    row[j] -= abs(x - column[j]) * factor
        _exp_row(row, constants, work[0], work_bits[0], work[1], work_bits[1], bits[i])


@jit(fastmath=CONTRACT)
def powers_of_products(coef0, degree, out):
    """Replace products p by ``(p + coef0)^degree``; the degree is an integer >= 1."""
    base = np.empty(out.shape[1], out.dtype)
    for i in range(out.shape[0]):
        row = out[i]
        for j in range(row.size):
            row[j] += coef0
            base[j] = row[j]
        for _ in range(degree - 1):
            for j in range(row.size):
                row[j] *= base[j]
