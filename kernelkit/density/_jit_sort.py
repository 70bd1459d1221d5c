"""Sorting of 64-bit keys by digits, with the places that the items take."""

import numpy as np

from kernelkit._jit import jit

DIGIT = 11  # bits: 2048 write streams fit the second cache and its address table
SHORT = 32  # longest run that insertion sorts faster than counting digits

# Explicit 64-bit unsigned constants: mixed with signed ones numba computes in float64.
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@jit()
def _sort_packed(items, spare, n_bits):
    """Sort items by bits 32 to 32 + n_bits, stably; True if the result is in `spare`.

    items, spare : (n,) uint64, key in the upper and row in the lower half.
    """
    n = items.size
    n_digits = (n_bits + DIGIT - 1) // DIGIT
    mask = np.uint64((1 << DIGIT) - 1)
    starts = np.zeros((3, 1 << DIGIT), dtype=np.int64)
    for i in range(n):
        for digit in range(n_digits):
            starts[digit, (items[i] >> np.uint64(32 + DIGIT * digit)) & mask] += 1
    in_spare = False
    for digit in range(n_digits):
        shift = np.uint64(32 + DIGIT * digit)
        if starts[digit, (items[0] >> shift) & mask] == n:
            continue  # all items share this digit
        total = 0
        for value in range(1 << DIGIT):
            count = starts[digit, value]
            starts[digit, value] = total
            total += count
        for i in range(n):
            item = items[i]
            value = (item >> shift) & mask
            spare[starts[digit, value]] = item
            starts[digit, value] += 1
        items, spare = spare, items
        in_spare = not in_spare
    return in_spare


@jit()
def argsort_keys(keys):
    """Order of 64-bit keys, ties in the order of their rows, in O(n).

    keys : (n,) uint64; order : (n,) int32.
    Sorts by the leading 32 bits of the range of the keys, packed with the row into one
    word, then the runs that these bits leave equal by the remaining ones.
    """
    n = keys.size
    order = np.empty(n, dtype=np.int32)
    low = keys[0]
    high = keys[0]
    for i in range(n):
        low = min(low, keys[i])
        high = max(high, keys[i])
    n_bits = 0
    while n_bits < 64 and (high - low) >> np.uint64(n_bits) > np.uint64(0):
        n_bits += 1
    rest = max(n_bits - 32, 0)
    items = np.empty(n, dtype=np.uint64)
    spare = np.empty(n, dtype=np.uint64)
    for i in range(n):
        items[i] = ((keys[i] - low) >> np.uint64(rest)) << _HALF | np.uint64(i)
    if _sort_packed(items, spare, n_bits - rest):
        items, spare = spare, items
    for i in range(n):
        order[i] = items[i] & _LOW
    if rest == 0:
        return order
    rest_mask = (np.uint64(1) << np.uint64(rest)) - np.uint64(1)
    start = 0
    while start < n:
        leading = items[start] >> _HALF
        stop = start + 1
        while stop < n and items[stop] >> _HALF == leading:
            stop += 1
        if stop - start > SHORT:
            for i in range(start, stop):
                key = (keys[order[i]] - low) & rest_mask
                items[i] = key << _HALF | np.uint64(order[i])
            run = items[start:stop]
            if _sort_packed(run, spare[start:stop], rest):
                run = spare[start:stop]
            for i in range(start, stop):
                order[i] = run[i - start] & _LOW
        elif stop - start > 1:
            for i in range(start + 1, stop):
                row = order[i]
                key = keys[row]
                j = i
                while j > start and keys[order[j - 1]] > key:
                    order[j] = order[j - 1]
                    j -= 1
                order[j] = row
        start = stop
    return order


@jit()
def invert_order(order, places):
    """Fill `places` so that ``places[order[i]] = i``; both (n,) int32."""
    for i in range(order.size):
        places[order[i]] = i


@jit()
def count_by_merge(column, queries, order, counts):
    """Count for each query the values of an ascending column that do not exceed it.

    column, queries : uint64 keys; order : argsort of queries; counts : (m,) int32.
    """
    n = 0
    for i in range(order.size):
        query = queries[order[i]]
        while n < column.size and column[n] <= query:
            n += 1
        counts[order[i]] = n
