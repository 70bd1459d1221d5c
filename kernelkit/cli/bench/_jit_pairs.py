"""The plain loop over all pairs of rows, as fast as plain loops get."""

from typing import Any

import numpy as np

from kernelkit._jit import jit

TILE = 512  # queries that stay in the first cache while all rows pass by


@jit()
def pair_counts(columns: Any, out: Any) -> None:
    """Count for each row those that are <= it in every feature.

    columns : (d, n) float64, d >= 1; out : (n,) int64, zero before. Up to 4 features
    are compared in one pass, so that a comparison costs one instruction for several
    queries and nothing is stored in between.
    """
    d, n = columns.shape
    hits = np.empty(TILE, dtype=np.int64)
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        count = out[start:stop]
        a = columns[0, start:stop]
        b = columns[min(1, d - 1), start:stop]
        c = columns[min(2, d - 1), start:stop]
        e = columns[min(3, d - 1), start:stop]
        hit = hits[: stop - start]
        for i in range(n):
            a_i = columns[0, i]
            b_i = columns[min(1, d - 1), i]
            c_i = columns[min(2, d - 1), i]
            e_i = columns[min(3, d - 1), i]
            if d == 1:
                for j in range(count.size):
                    count[j] += a_i <= a[j]
            elif d == 2:
                for j in range(count.size):
                    count[j] += (a_i <= a[j]) & (b_i <= b[j])
            elif d == 3:
                for j in range(count.size):
                    count[j] += (a_i <= a[j]) & (b_i <= b[j]) & (c_i <= c[j])
            elif d == 4:
                for j in range(count.size):
                    count[j] += (
                        (a_i <= a[j]) & (b_i <= b[j]) & (c_i <= c[j]) & (e_i <= e[j])
                    )
            else:
                hit[:] = 1
                for k in range(4, d):
                    x = columns[k, i]
                    query = columns[k, start:stop]
                    for j in range(hit.size):
                        hit[j] &= x <= query[j]
                for j in range(count.size):
                    count[j] += (
                        (a_i <= a[j])
                        & (b_i <= b[j])
                        & (c_i <= c[j])
                        & (e_i <= e[j])
                        & hit[j]
                    )
