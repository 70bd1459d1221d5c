"""Counting and weighing of dominated rows.

The loops share one form of the problem. Sources stand in the order of the first
feature; ``keys[k, p]`` is the place, 0..n-1, of source p in the order of feature k + 1.
Target j has limits on places: source p counts for it if and only if

    p < limits[0, j]  and  keys[k, p] < limits[k + 1, j]  for all k.

Targets stand in ascending order of ``limits[0]``. Shapes: keys (D, n) int32, limits
(D + 1, m) int32, weights (n,) and out (m,) float64; loops add to out.
"""

import numpy as np

from kernelkit._jit import jit

BLOCK = 2048  # sources in a bitset; a table of rows per feature fills half the cache
TILE = 512  # targets compared with one source while they stay in the first cache

# Typed constants: numba computes in float64 where signed and unsigned integers meet.
_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_PAIRS = np.uint64(0x5555555555555555)
_FOURS = np.uint64(0x3333333333333333)
_BYTES = np.uint64(0x0F0F0F0F0F0F0F0F)
_SUM = np.uint64(0x0101010101010101)


@jit()
def _popcount(x):
    """Count bits; compilers know this form and emit the machine's own instruction."""
    x -= (x >> _ONE) & _PAIRS
    x = (x & _FOURS) + ((x >> np.uint64(2)) & _FOURS)
    x = (x + (x >> np.uint64(4))) & _BYTES
    return (x * _SUM) >> np.uint64(56)


@jit()
def _below(bit):
    """Word with the bits under `bit`, 0..63, set."""
    return (_ONE << np.uint64(bit)) - _ONE


@jit()
def sweep_counts(keys, limits, out):
    """Count for D = 1: meet sources and targets in the order of the first feature.

    Places seen so far are bits; blocks of 512 carry the count of the bits before them
    in two levels of prefix counts, some sqrt(n / 512) long each, so that an update adds
    to two short runs and a query reads two counts and at most 512 bits. That is not
    O(log n), but a few vector instructions without a branch to guess, where a binary
    indexed tree takes O(log n) steps that wait for memory.
    """
    places = keys[0]
    n_blocks = (places.size >> 9) + 1
    bits_in_row = 4
    while (1 << 2 * bits_in_row) < n_blocks:
        bits_in_row += 1
    width = 1 << bits_in_row
    n_rows = ((n_blocks >> bits_in_row) + 16) // 16 * 16
    before_row = np.zeros(n_rows, dtype=np.int32)
    before_block = np.zeros((n_rows, width), dtype=np.int32)
    seen = np.zeros((n_rows * width, 8), dtype=np.uint64)
    p = 0
    for j in range(limits.shape[1]):
        while p < limits[0, j]:
            place = places[p]
            block = place >> 9
            seen[block, (place >> 6) & 7] |= _ONE << np.uint64(place & 63)
            row = block >> bits_in_row
            for t in range(n_rows):
                before_row[t] += t > row
            column = block & (width - 1)
            for t in range(width):
                before_block[row, t] += t > column
            p += 1
        limit = limits[1, j]
        block = limit >> 9
        row = block >> bits_in_row
        word = (limit >> 6) & 7
        inside = np.uint64(0)
        for t in range(8):
            mask = _ALL if t < word else _below(limit & 63)
            inside += _popcount(seen[block, t] & mask) if t <= word else np.uint64(0)
        out[j] += (
            before_row[row] + before_block[row, block & (width - 1)] + np.int64(inside)
        )


@jit()
def sweep_weights(keys, limits, weights, out):
    """Weigh for D = 1: as `sweep_counts`, with three levels of prefix sums.

    Each run of sums is some n^(1/3) long. All sums are of nonnegative terms in the
    order of the sources: nothing cancels.
    """
    places = keys[0]
    bits = 4
    while (1 << 3 * bits) <= places.size:
        bits += 1
    width = 1 << bits
    n_top = (places.size >> 2 * bits) + 1
    top = np.zeros(n_top, dtype=np.float64)
    middle = np.zeros((n_top, width), dtype=np.float64)
    bottom = np.zeros((n_top, width, width), dtype=np.float64)
    p = 0
    for j in range(limits.shape[1]):
        while p < limits[0, j]:
            place = places[p]
            a, b, c = (
                place >> 2 * bits,
                (place >> bits) & (width - 1),
                place & (width - 1),
            )
            weight = weights[p]
            for t in range(n_top):
                top[t] += weight if t > a else 0.0
            for t in range(width):
                middle[a, t] += weight if t > b else 0.0
            for t in range(width):
                bottom[a, b, t] += weight if t > c else 0.0
            p += 1
        limit = limits[1, j]
        a, b, c = limit >> 2 * bits, (limit >> bits) & (width - 1), limit & (width - 1)
        out[j] += top[a] + middle[a, b] + bottom[a, b, c]


@jit()
def bitset_tables(n_keys):
    """Allocate what `bitset_counts` works in, to be used again for no larger D.

    Returns (D + 1, BLOCK + 1, BLOCK // 64) uint64: a table of sets for each feature;
    row t of table 0, filled here, holds the first t sources of a block.
    """
    tables = np.empty((n_keys + 1, BLOCK + 1, BLOCK // 64), dtype=np.uint64)
    for t in range(BLOCK + 1):
        for w in range(t >> 6):
            tables[0, t, w] = _ALL
        for w in range(t >> 6, BLOCK // 64):
            tables[0, t, w] = 0
        if t & 63:
            tables[0, t, t >> 6] = _below(t & 63)
    return tables


@jit()
def bitset_counts(keys, limits, first, last, tables, out):
    """Count the sources first..last-1, `BLOCK` at a time; D >= 1.

    For each feature and block a table holds, for every t, the set of the t sources that
    come first in that feature; a target intersects one row of each table.
    """
    n_keys, n = keys.shape
    m = limits.shape[1]
    row_of = np.empty((n_keys, n + 1), dtype=np.int16)
    slot = np.full(n, -1, dtype=np.int16)
    rest = np.empty(BLOCK // 64, dtype=np.uint64)
    j_first = 0
    for start in range(first, last, BLOCK):
        size = min(BLOCK, last - start)
        while j_first < m and limits[0, j_first] <= start:
            j_first += 1
        for k in range(n_keys):
            _fill_rows(keys[k], start, start + size, slot, tables[k + 1], row_of[k])
        for j in range(j_first, m):
            row0 = tables[0, min(limits[0, j] - start, size)]
            row1 = tables[1, row_of[0, limits[1, j]]]
            if n_keys == 1:
                out[j] += _common2(row0, row1)
                continue
            row2 = tables[2, row_of[1, limits[2, j]]]
            if n_keys == 2:
                out[j] += _common3(row0, row1, row2)
                continue
            row3 = tables[3, row_of[2, limits[3, j]]]
            if n_keys > 3:
                for w in range(rest.size):
                    rest[w] = row3[w]
                for k in range(3, n_keys):
                    row3 = tables[k + 1, row_of[k, limits[k + 1, j]]]
                    for w in range(rest.size):
                        rest[w] &= row3[w]
                row3 = rest
            out[j] += _common4(row0, row1, row2, row3)


@jit()
def _fill_rows(places, start, stop, slot, rows, row_of):
    """Tabulate the sets of the sources start..stop-1 that come first by place.

    row_of[limit] is the row of `rows` that holds the sources with place < limit.
    """
    n_words = rows.shape[1]
    for p in range(start, stop):
        slot[places[p]] = p - start
    for w in range(n_words):
        rows[0, w] = 0
    t = 0
    for place in range(places.size):
        row_of[place] = t
        bit = slot[place]
        if bit >= 0:
            slot[place] = -1
            for w in range(n_words):
                rows[t + 1, w] = rows[t, w]
            t += 1
            rows[t, bit >> 6] |= _ONE << np.uint64(bit & 63)
    row_of[places.size] = t


@jit()
def _common2(a, b):
    count = np.uint64(0)
    for w in range(a.size):
        count += _popcount(a[w] & b[w])
    return np.int64(count)


@jit()
def _common3(a, b, c):
    count = np.uint64(0)
    for w in range(a.size):
        count += _popcount(a[w] & b[w] & c[w])
    return np.int64(count)


@jit()
def _common4(a, b, c, d):
    count = np.uint64(0)
    for w in range(a.size):
        count += _popcount(a[w] & b[w] & c[w] & d[w])
    return np.int64(count)


@jit()
def brute_sums(keys, limits, weights, out):
    """Compare all sources with all targets, a tile of these at a time; D >= 0."""
    n_keys, n = keys.shape
    m = limits.shape[1]
    hits = np.empty(TILE, dtype=np.int32)
    for start in range(0, m, TILE):
        stop = min(start + TILE, m)
        j = start
        for p in range(min(n, limits[0, stop - 1])):
            while limits[0, j] <= p:
                j += 1
            hit = hits[: stop - j]  # slices from 0 let the loops below be vectorised
            hit[:] = 1
            for k in range(n_keys):
                place = keys[k, p]
                limit = limits[k + 1, j:stop]
                for t in range(hit.size):
                    hit[t] &= place < limit[t]
            target = out[j:stop]
            weight = weights[p]
            for t in range(hit.size):
                target[t] += weight if hit[t] else 0.0


@jit()
def split_places(places, is_low, low, high):
    """Count the places of one feature anew within two halves of the sources.

    places, is_low : (n,) int32 and bool; low, high : int32, filled with the places in
    the order of the sources. Returns low_below, (n + 1,) int32: the number of sources
    of the lower half before each place.
    """
    n = places.size
    low_below = np.empty(n + 1, dtype=np.int32)
    low_below[0] = 0
    for p in range(n):
        low_below[places[p] + 1] = is_low[p]
    for place in range(n):
        low_below[place + 1] += low_below[place]
    # A branch on a coin toss costs more than a store whose target is computed.
    both = np.empty(n, dtype=np.int32)
    i, j = 0, low.size
    for p in range(n):
        rank = low_below[places[p]]
        both[i if is_low[p] else j] = rank if is_low[p] else places[p] - rank
        i += is_low[p]
        j += not is_low[p]
    for i in range(low.size):
        low[i] = both[i]
    for i in range(high.size):
        high[i] = both[low.size + i]
    return low_below


@jit()
def split_limits(limits, low_below, sees_low_only, low, high, cross):
    """Turn limits of one feature into limits within the halves of the sources.

    limits, sees_low_only : (m,) int32 and bool; low : limits on the lower half of the
    targets that see no other; cross, high : those on the lower and on the upper half of
    the other targets; all int32, filled in the order of the targets.
    """
    m = limits.size
    on_low = np.empty(m, dtype=np.int32)
    on_high = np.empty(high.size + 1, dtype=np.int32)  # the last slot is for waste
    i, j = 0, low.size
    for t in range(m):
        rank = low_below[limits[t]]
        on_low[i if sees_low_only[t] else j] = rank
        on_high[j - low.size] = limits[t] - rank
        i += sees_low_only[t]
        j += not sees_low_only[t]
    for i in range(low.size):
        low[i] = on_low[i]
    for i in range(high.size):
        cross[i] = on_low[low.size + i]
        high[i] = on_high[i]


@jit()
def positions(flags):
    """Positions of the true and of the false ones of (n,) bool; two int32 arrays."""
    n_true = 0
    for flag in flags:
        n_true += flag
    both = np.empty(flags.size, dtype=np.int32)
    i, j = 0, n_true
    for p in range(flags.size):
        both[i if flags[p] else j] = p
        i += flags[p]
        j += not flags[p]
    return both[:n_true], both[n_true:]


@jit()
def add_to(out, rows, values):
    """Add values to some rows of out; rows are different from each other."""
    for i in range(rows.size):
        out[rows[i]] += values[i]
