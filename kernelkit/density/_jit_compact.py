"""Sums of kernels that are polynomials on pieces and constant far out.

Arrays are float64 and in C order; rows of X are features. Loops add to out. With `own`
the targets are the sources, and no source meets itself.

A function of ``u = (target - source) / width`` has the form (breaks (P,), coef (2, P,
q), tail (2,)): where |u| lies below break p and not below the one before, it is
``sum_l coef[s, p, l] (breaks[p] - |u|)^l`` with s = 0 for u >= 0 and 1 below; beyond
the last break it is tail[s]. Several features have these stacked.

The sources that a target meets on one side and piece follow each other along the
feature: a window. Sums over windows are made of moments, sums of weights times powers
of the distance from a reference. Moving them to a reference further out adds terms of
one sign, and nothing is ever subtracted, so that small sums next to large ones stay
exact.
"""

import math

import numpy as np

from kernelkit._jit import jit

TILE = 64  # targets met at a time, close to each other
BLOCK = 64  # sources in a leaf of the tree over windows
_BINOMIAL = np.array([[math.comb(l, k) for k in range(64)] for l in range(64)], float)


@jit()
def _count(x, q, width, bound, strict, out):
    """Count for each target the sources with u > bound, or >= if not strict.

    x and q ascend, and so do the counts.
    """
    n = x.size
    count = 0
    for t in range(q.size):
        while count < n:
            u = (q[t] - x[count]) / width
            if u > bound or (u == bound and not strict):
                count += 1
            else:
                break
        out[t] = count


@jit()
def find_windows(own, side, piece, x, q, width, breaks, first, last):
    """Set the window first[t]..last[t] - 1 of each target, on one side and piece.

    Piece P is the constant far out. With `own`, equal sources keep their order.
    """
    if side == 0:
        before, behind = last, first
    else:
        before, behind = first, last
    strict = side == 1
    sign = -1.0 if side == 1 else 1.0
    if piece > 0:
        _count(x, q, width, sign * breaks[piece - 1], strict, before)
    elif own:
        for t in range(q.size):
            before[t] = t + side
    else:
        _count(x, q, width, 0.0, False, before)
    if piece < breaks.size:
        _count(x, q, width, sign * breaks[piece], strict, behind)
    else:
        behind[:] = x.size if side == 1 else 0


@jit()
def _move(moments, v):
    """Move moments (q, C) to a reference that lies further out by v."""
    for l in range(moments.shape[0] - 1, 0, -1):
        factor = v
        for k in range(l - 1, -1, -1):
            for c in range(moments.shape[1]):
                moments[l, c] += factor * _BINOMIAL[l, k] * moments[k, c]
            factor *= v


@jit()
def _move_polynomial(coef, v, out):
    """Set out to the coefficients of ``sum_l coef[l] (r + v)^l`` in powers of r."""
    n_terms = coef.size
    for k in range(n_terms):
        total = 0.0
        for l in range(n_terms - 1, k - 1, -1):
            total = total * v + coef[l] * _BINOMIAL[l, k]
        out[k] = total


@jit()
def _add_terms(coef, moments, out):
    for l in range(coef.size):
        for c in range(out.size):
            out[c] += coef[l] * moments[l, c]


@jit()
def _add_item(item, v, moments):
    """Add the moments of an item (k, C), k <= q, at a reference further out by v."""
    n_known, n_channels = item.shape
    factor = 1.0
    if n_known == 1:
        for l in range(moments.shape[0]):
            for c in range(n_channels):
                moments[l, c] += factor * item[0, c]
            factor *= v
        return
    for l in range(moments.shape[0]):
        factor = 1.0
        for k in range(l, -1, -1):
            if k < n_known:
                for c in range(n_channels):
                    moments[l, c] += factor * _BINOMIAL[l, k] * item[k, c]
            factor *= v


@jit()
def add_windows(side, x, items, q, first, last, width, end, coef, out):
    """Add the items in the windows of all targets.

    An item is a source, or a run of sources that enter windows together, by its moments
    about its outermost source. x (n,) and q (m,) ascend, and so do first and last;
    items (n, k, C), out (m, C). Coefficients are of powers of end - |u|.

    Targets whose windows share an item, the pivot, are taken together. Items before it
    enter one after the other while the targets, and with them the ends of their
    windows, move away from the pivot; it and those behind while they come nearer.
    """
    n, m, n_terms = x.size, q.size, coef.size
    moments = np.empty((n_terms, items.shape[2]))
    moved = np.empty(n_terms)
    step = 1 if side == 0 else -1
    sign = float(step)
    x_0, q_0 = (0, 0) if side == 0 else (n - 1, m - 1)
    begin = 0
    while begin < m:
        t = q_0 + step * begin
        pivot = last[t] if side == 0 else n - first[t]
        stop = begin
        while stop < m:
            t = q_0 + step * stop
            if (first[t] if side == 0 else n - last[t]) >= pivot:
                break
            stop += 1
        if stop == begin:
            begin += 1
            continue
        moments[:] = 0.0
        entered = pivot
        for i in range(stop - 1, begin - 1, -1):
            t = q_0 + step * i
            if entered < pivot:
                _move(moments, abs(q[t + step] - q[t]) / width)
            start = first[t] if side == 0 else n - last[t]
            for j in range(entered - 1, start - 1, -1):
                p = x_0 + step * j
                _add_item(items[p], end - sign * (q[t] - x[p]) / width, moments)
            entered = min(entered, start)
            _add_terms(coef, moments, out[t])
        moments[:] = 0.0
        entered = pivot
        for i in range(begin, stop):
            t = q_0 + step * i
            beyond = last[t] if side == 0 else n - first[t]
            for j in range(entered, beyond):
                p = x_0 + step * j
                _add_item(items[p], abs(x[p] - x[x_0 + step * pivot]) / width, moments)
            entered = max(entered, beyond)
            if entered > pivot:
                rest = end - sign * (q[t] - x[x_0 + step * pivot]) / width
                _move_polynomial(coef, rest, moved)
                _add_terms(moved, moments, out[t])
        begin = stop


@jit()
def line_sums(own, side, x, weights, q, width, form, out):
    """Add the sources on one side of each target, one feature; both ascend."""
    items = weights.reshape(x.size, 1, weights.shape[1])
    breaks, coef, tail = form
    first = np.empty(q.size, dtype=np.int64)
    last = np.empty(q.size, dtype=np.int64)
    for piece in range(breaks.size):
        find_windows(own, side, piece, x, q, width, breaks, first, last)
        add_windows(
            side, x, items, q, first, last, width, breaks[piece], coef[side, piece], out
        )
    if tail[side] != 0.0:
        find_windows(own, side, breaks.size, x, q, width, breaks, first, last)
        constant = tail[side : side + 1]
        add_windows(side, x, items, q, first, last, width, 0.0, constant, out)


@jit()
def both_line_sums(x, weights, q, width, form, out):
    """Add the sources on both sides of each target, none of which is a source."""
    for side in range(2):
        line_sums(False, side, x, weights, q, width, form, out)


@jit()
def _fill_values(u, breaks, coef, tail, total, values):
    """Set values to the function at each u; total is scratch."""
    n_terms = coef.shape[2]
    for i in range(u.size):
        values[i] = tail[0] if u[i] >= 0.0 else tail[1]
    for piece in range(breaks.size - 1, -1, -1):
        end = breaks[piece]
        above, below = coef[0, piece, n_terms - 1], coef[1, piece, n_terms - 1]
        for i in range(u.size):
            total[i] = above if u[i] >= 0.0 else below
        for l in range(n_terms - 2, -1, -1):
            above, below = coef[0, piece, l], coef[1, piece, l]
            if above == below:
                for i in range(u.size):
                    total[i] = total[i] * (end - abs(u[i])) + above
            else:
                for i in range(u.size):
                    c = above if u[i] >= 0.0 else below
                    total[i] = total[i] * (end - abs(u[i])) + c
        for i in range(u.size):
            values[i] = total[i] if end - abs(u[i]) > 0.0 else values[i]


@jit()
def add_pairs(own, X_s, begin, end, weights, X_t, start, stop, same, widths, form, out):
    """Add sources begin..end-1 to targets start..stop-1.

    same : (m,) int64, the source that a target is, if `own`; form : stacked; weights
    (C, n), out (C, m).
    """
    breaks, coef, tails = form
    m = stop - start
    product, u, total, values = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    for p in range(begin, end):
        for k in range(widths.size):
            x = X_s[k, p]
            for t in range(m):
                u[t] = (X_t[k, start + t] - x) / widths[k]
            _fill_values(u, breaks[k], coef[k], tails[k], total, values)
            if k == 0:
                product[:] = values
            else:
                for t in range(m):
                    product[t] *= values[t]
        if own:
            for t in range(m):
                if same[start + t] == p:
                    product[t] = 0.0
        for c in range(weights.shape[0]):
            weight = weights[c, p]
            for t in range(m):
                out[c, start + t] += weight * product[t]


@jit()
def add_boxes(
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
                add_pairs(
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
def _add_pairs_of(t, X_s, begin, end, weights, X_t, widths, forms, scratch, out):
    """Add sources begin..end-1 to target t, two features."""
    size = end - begin
    u, total, values, product = scratch
    for k in range(2):
        for i in range(size):
            u[i] = (X_t[k, t] - X_s[k, begin + i]) / widths[k]
        breaks, coef, tail = forms[k]
        _fill_values(u[:size], breaks, coef, tail, total, values)
        if k == 0:
            product[:size] = values[:size]
    for c in range(out.shape[1]):
        added = 0.0
        for i in range(size):
            added += product[i] * values[i] * weights[begin + i, c]
        out[t, c] += added


@jit()
def _add_ragged_ends(X_s, weights, X_t, widths, forms, first, last, out):
    """Visit the pairs outside whole blocks; turn windows into windows of blocks."""
    n = X_s.shape[1]
    n_blocks = (n + BLOCK - 1) // BLOCK
    size = 2 * BLOCK
    scratch = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for t in range(first.size):
        a, b = first[t], last[t]
        first[t] = (a + BLOCK - 1) // BLOCK
        last[t] = n_blocks if b == n else b // BLOCK
        ends = (a, min(first[t] * BLOCK, b)), (max(last[t] * BLOCK, a), b)
        if first[t] > last[t]:  # within one block
            ends = (a, b), (b, b)
        for begin, end in ends:
            if begin < end:
                _add_pairs_of(
                    t, X_s, begin, end, weights, X_t, widths, forms, scratch, out
                )


@jit()
def _choose_nodes(first, last, nodes):
    """Take from each window the nodes of this level that no parent covers.

    A window keeps its parents; nodes : (2, m), -1 for none. Returns whether any do.
    """
    is_open = False
    for t in range(first.size):
        low, high = first[t], last[t]
        nodes[0, t] = nodes[1, t] = -1
        if low < high and low & 1:
            nodes[0, t] = low
            low += 1
        if low < high and high & 1:
            high -= 1
            nodes[1, t] = high
        first[t], last[t] = low >> 1, high >> 1
        is_open = is_open or low < high
    return is_open


@jit()
def _list_by_node(order, nodes, starts, listed):
    """List the members of each node in the given order.

    nodes : (k, members), the nodes that each is in, -1 for none. starts : (n_nodes +
    1,), filled.
    """
    starts[:] = 0
    for k in range(nodes.shape[0]):
        for i in range(order.size):
            if nodes[k, i] >= 0:
                starts[nodes[k, i] + 1] += 1
    for node in range(1, starts.size):
        starts[node] += starts[node - 1]
    for i in order:
        for k in range(nodes.shape[0]):
            node = nodes[k, i]
            if node >= 0:
                listed[starts[node]] = i
                starts[node] += 1
    for node in range(starts.size - 1, 0, -1):
        starts[node] = starts[node - 1]
    starts[0] = 0


@jit()
def _fill_moments(X_s, weights, members, reference, width, n_terms, x, moments):
    """Set x to feature 1 of the members, and moments (n, q * C) of feature 0."""
    n_channels = weights.shape[1]
    for i in range(members.size):
        p = members[i]
        x[i] = X_s[1, p]
        distance = abs(X_s[0, p] - reference) / width
        power = 1.0
        for l in range(n_terms):
            for c in range(n_channels):
                moments[i, l * n_channels + c] = power * weights[p, c]
            power *= distance


@jit()
def plane_sums(
    own, side, piece, X_s, weights, order_s, X_t, order_t, widths, forms, out
):
    """Add the sources on one side and piece of feature 0, two features.

    X_s and X_t ascend along feature 0; order_s and order_t give the places that ascend
    along feature 1. weights (n, C), out (m, C), forms of both features.

    A window of feature 0 is cut into the fewest nodes of a binary tree over blocks of
    sources, and ragged ends whose pairs are visited. In each node feature 0 turns into
    moments about the outermost source, which feature 1 sums over its windows.
    """
    n, m, n_channels = X_s.shape[1], X_t.shape[1], weights.shape[1]
    breaks, coef, tail = forms[0]
    if piece == breaks.size:
        reach, polynomial = 0.0, tail[side : side + 1]
    else:
        reach, polynomial = breaks[piece], coef[side, piece]
    if not polynomial.any():
        return
    n_terms = polynomial.size
    first = np.empty(m, dtype=np.int64)
    last = np.empty(m, dtype=np.int64)
    find_windows(own, side, piece, X_s[0], X_t[0], widths[0], breaks, first, last)
    _add_ragged_ends(X_s, weights, X_t, widths, forms, first, last, out)
    nodes_s = np.empty((1, n), dtype=np.int32)
    nodes_t = np.empty((2, m), dtype=np.int32)
    listed_s = np.empty(n, dtype=np.int32)
    listed_t = np.empty(2 * m, dtype=np.int32)
    x = np.empty(n)
    moments = np.empty((n, n_terms * n_channels))
    q = np.empty(2 * m)
    sums = np.empty((2 * m, n_terms * n_channels))
    moved = np.empty(n_terms)
    size = BLOCK  # of a node
    is_open = True
    while is_open:
        is_open = _choose_nodes(first, last, nodes_t)
        for p in range(n):
            nodes_s[0, p] = p // size
        starts_s = np.empty((n - 1) // size + 2, dtype=np.int64)
        starts_t = np.empty(starts_s.size, dtype=np.int64)
        _list_by_node(order_s, nodes_s, starts_s, listed_s)
        _list_by_node(order_t, nodes_t, starts_t, listed_t)
        for node in range(starts_s.size - 1):
            sources = listed_s[starts_s[node] : starts_s[node + 1]]
            targets = listed_t[starts_t[node] : starts_t[node + 1]]
            if targets.size == 0:
                continue
            outermost = starts_s[node] if side == 0 else starts_s[node + 1] - 1
            reference = X_s[0, outermost]
            _fill_moments(
                X_s, weights, sources, reference, widths[0], n_terms, x, moments
            )
            for i in range(targets.size):
                q[i] = X_t[1, targets[i]]
            part = sums[: targets.size]
            part[:] = 0.0
            both_line_sums(
                x[: sources.size],
                moments[: sources.size],
                q[: targets.size],
                widths[1],
                forms[1],
                part,
            )
            for i in range(targets.size):
                t = targets[i]
                rest = reach - abs(X_t[0, t] - reference) / widths[0]
                _move_polynomial(polynomial, rest, moved)
                for l in range(n_terms):
                    for c in range(n_channels):
                        out[t, c] += moved[l] * part[i, l * n_channels + c]
        size *= 2


@jit()
def cut_strips(side, piece, x, q, width, breaks):
    """Cut sources wherever the window of a target begins or ends.

    Returns where the strips start, with the end of the last, and the first strip of
    each window and the strip behind its last.
    """
    first = np.empty(q.size, dtype=np.int64)
    last = np.empty(q.size, dtype=np.int64)
    find_windows(False, side, piece, x, q, width, breaks, first, last)
    is_cut = np.zeros(x.size + 1, dtype=np.bool_)
    for t in range(q.size):
        if first[t] < last[t]:
            is_cut[first[t]] = is_cut[last[t]] = True
    starts = np.flatnonzero(is_cut)
    if starts.size == 0:
        starts = np.zeros(1, dtype=np.int64)
    first = np.searchsorted(starts, first)
    last = np.maximum(np.searchsorted(starts, last), first)
    return starts, (first, last)


@jit()
def add_plane(side, piece, X_s, weights, order_s, axes, widths, forms, out):
    """Add the sources on one side and piece of feature 0 to the nodes of a grid.

    X_s ascends along feature 0; order_s gives the places that ascend along feature 1.
    weights (n, C), out (m_0, m_1 * C).

    Sources are cut into strips where windows of feature 0 begin and end. A strip is
    summed at the nodes of feature 1, by its moments along feature 0, and so becomes an
    item of the windows of feature 0.
    """
    n, n_channels = weights.shape
    breaks, coef, _ = forms[0]
    n_terms = coef.shape[2]
    starts, windows = cut_strips(side, piece, X_s[0], axes[0], widths[0], breaks)
    n_strips = starts.size - 1
    nodes = np.full((1, n), -1, dtype=np.int32)
    references = np.empty(n_strips)
    for strip in range(n_strips):
        nodes[0, starts[strip] : starts[strip + 1]] = strip
        outermost = starts[strip] if side == 0 else starts[strip + 1] - 1
        references[strip] = X_s[0, outermost]
    starts_s = np.empty(n_strips + 1, dtype=np.int64)
    listed = np.empty(n, dtype=np.int32)
    _list_by_node(order_s, nodes, starts_s, listed)
    x = np.empty(n)
    moments = np.empty((n, n_terms * n_channels))
    sums = np.empty((axes[1].size, n_terms * n_channels))
    items = np.empty((n_strips, n_terms, axes[1].size * n_channels))
    for strip in range(n_strips):
        sources = listed[starts_s[strip] : starts_s[strip + 1]]
        _fill_moments(
            X_s, weights, sources, references[strip], widths[0], n_terms, x, moments
        )
        sums[:] = 0.0
        both_line_sums(
            x[: sources.size],
            moments[: sources.size],
            axes[1],
            widths[1],
            forms[1],
            sums,
        )
        for t in range(axes[1].size):
            for l in range(n_terms):
                for c in range(n_channels):
                    items[strip, l, t * n_channels + c] = sums[t, l * n_channels + c]
    add_windows(
        side,
        references,
        items,
        axes[0],
        windows[0],
        windows[1],
        widths[0],
        breaks[piece],
        coef[side, piece],
        out,
    )
