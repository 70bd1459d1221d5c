"""Sums of compact kernels: over windows, over pairs within reach, on grids.

Tasks depend on shapes and numbers only, not on the threads, and their sums are added in
a fixed order.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.density import _jit_compact as loops
from kernelkit.density.kernels1d import Compact
from kernelkit.density.ranks import sorted_rows

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]
Functions = Sequence[Compact]
_Form = tuple[Array, ...]

_MOST_TERMS = 16  # of a polynomial, up to which moments of two features pay
_STRIPS = 4  # strips of targets in a task of pairs
_TABLE = 2**23  # entries of a table of strips
_REMEDY = "give fewer nodes per axis"


def allows_tree(functions: Functions) -> bool:
    """Whether `tree_sums` takes the functions: of one or two features."""
    return len(functions) <= 2


def prefers_tree(functions: Functions) -> bool:
    """Whether `tree_sums` is faster than `box_sums` where windows hold many rows."""
    terms = [f.coef.shape[-1] for f in functions]
    return len(terms) == 1 or (len(terms) == 2 and max(terms) <= _MOST_TERMS)


def tree_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Functions,
    bandwidth: Array,
    run: _parallel.Run,
) -> Values:
    """Sum over windows by moments; takes what `kernel_sums` takes."""
    own = queries is None
    order_s, X_s, orders_s = sorted_rows(X, run)
    order_t, X_t, orders_t = order_s, X_s, orders_s
    if queries is not None:
        order_t, X_t, orders_t = sorted_rows(queries, run)
    heavy = np.ascontiguousarray(weights[:, order_s].T)
    forms = _forms(functions)

    def add_line(side: int) -> Values:
        sums = np.zeros((order_t.size, heavy.shape[1]))
        loops.line_sums(own, side, X_s[0], heavy, X_t[0], bandwidth[0], forms[0], sums)
        return sums

    def add_plane(side: int, piece: int) -> Values:
        sums = np.zeros((order_t.size, heavy.shape[1]))
        loops.plane_sums(
            own,
            side,
            piece,
            X_s,
            heavy,
            orders_s[1],
            X_t,
            orders_t[1],
            bandwidth,
            forms,
            sums,
        )
        return sums

    if len(functions) == 1:
        parts = run((add_line, (side,)) for side in (0, 1))
    else:
        pieces = range(functions[0].breaks.size + 1)
        parts = run((add_plane, part) for part in itertools.product((0, 1), pieces))
    out = np.empty((len(weights), order_t.size))
    out[:, order_t] = np.sum(parts, axis=0).T
    return out


def pair_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Functions,
    bandwidth: Array,
    run: _parallel.Run,
) -> Values:
    """Visit all pairs; takes what `kernel_sums` takes."""
    own = queries is None
    X_s = np.ascontiguousarray(X.T)
    X_t = X_s if queries is None else np.ascontiguousarray(queries.T)
    n, m = X_s.shape[1], X_t.shape[1]
    out = np.zeros((len(weights), m))
    form = _stacked_form(functions)
    same = np.arange(m)

    def meet(start: int) -> None:
        stop = min(start + loops.TILE, m)
        loops.add_pairs(
            own, X_s, 0, n, weights, X_t, start, stop, same, bandwidth, form, out
        )

    run((meet, (start,)) for start in range(0, m, loops.TILE))
    return out


def box_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Functions,
    bandwidth: Array,
    run: _parallel.Run,
) -> Values:
    """Visit the pairs within reach, found by the two features that tell most.

    Takes what `kernel_sums` takes, but functions without a tail.
    """
    own = queries is None
    Q = X if queries is None else queries
    reach = np.array([f.breaks[-1] for f in functions]) * bandwidth
    low, high = np.quantile(X, [0.05, 0.95], axis=0, method="inverted_cdf")
    share = reach / np.maximum(high - low, reach)
    axes = np.argsort(share, kind="stable")[:2]
    axes = axes if axes.size == 2 else np.array([0, 0])
    length = int(max(256, share[axes[0]] * len(X) / 2))
    order_s, X_s, strips_s = _strips(X, axes, length)
    order_t, X_t, strips_t = order_s, X_s, strips_s
    if not own:
        order_t, X_t, strips_t = _strips(Q, axes, length)
    heavy = np.take(weights, order_s, axis=1)
    sums = np.zeros((len(weights), len(Q)))
    same = np.arange(len(Q))
    form = _stacked_form(functions)

    def meet(first: int) -> None:
        loops.add_boxes(
            own,
            X_s,
            strips_s,
            heavy,
            X_t,
            strips_t,
            first,
            min(first + _STRIPS, strips_t.size - 1),
            same,
            reach,
            (int(axes[0]), int(axes[1])),
            bandwidth,
            form,
            sums,
        )

    run((meet, (first,)) for first in range(0, strips_t.size - 1, _STRIPS))
    out = np.empty_like(sums)
    out[:, order_t] = sums
    return out


def _strips(X: Array, axes: Array, length: int) -> tuple[Array, Array, Array]:
    """Sort rows by a feature, cut them into strips, and sort these by another."""
    order = np.argsort(X[:, axes[0]], kind="stable")
    n = order.size
    starts = np.append(np.arange(0, n, length), n)
    if axes[0] != axes[1]:
        for start, stop in itertools.pairwise(starts):
            part = order[start:stop]
            order[start:stop] = part[np.argsort(X[part, axes[1]], kind="stable")]
    return order, np.ascontiguousarray(X[order].T), starts


def grid_sums(
    X: Array,
    weights: Array,
    axes: Sequence[Array],
    functions: Functions,
    bandwidth: Array,
    run: _parallel.Run,
) -> Values:
    """Sum at the nodes of a grid; takes what `kernel_sums.grid_sums` takes.

    Functions have no tail. Tasks are runs of nodes of the last feature, short enough
    for their tables of strips.
    """
    shape = tuple(map(len, axes))
    entries = 1  # of all tables, per node of the last feature
    for k, function in enumerate(functions[:-1]):
        n_strips = min(2 * shape[k], len(X))
        entries *= max(n_strips * function.coef.shape[-1], shape[k])
    length = min(max(_TABLE // entries, 1), shape[-1])
    check.memory(8 * (math.prod(shape) + entries * length), _REMEDY)
    order, rows, orders = sorted_rows(X, run)
    heavy = np.ascontiguousarray(weights[order, None])

    def add(start: int) -> Values:
        slab = [*axes[:-1], axes[-1][start : start + length]]
        return _at_nodes(rows, orders, heavy, slab, functions, bandwidth)

    parts = run((add, (start,)) for start in range(0, shape[-1], length))
    parts = [part.reshape(*shape[:-1], -1) for part in parts]
    return np.ascontiguousarray(np.concatenate(parts, axis=-1))


def _at_nodes(
    X: Array,
    orders: Array,
    weights: Array,
    axes: Sequence[Array],
    functions: Functions,
    bandwidth: Array,
) -> Values:
    """Sum weights (n, C) at nodes, of shape (nodes of feature 0, other nodes * C).

    X : (d, n), ascending along feature 0; orders : (d, n), places ascending along each.
    """
    n_channels = weights.shape[1]
    n_others = math.prod(map(len, axes[1:]))
    out = np.zeros((len(axes[0]), n_others * n_channels))
    first = functions[0]
    parts = itertools.product((0, 1), range(first.breaks.size))
    if len(axes) == 1:
        [form] = _forms(functions)
        loops.both_line_sums(X[0], weights, axes[0], bandwidth[0], form, out)
    elif len(axes) == 2:
        for side, piece in parts:
            loops.add_plane(
                side,
                piece,
                X,
                weights,
                orders[1],
                tuple(axes),
                bandwidth,
                _forms(functions),
                out,
            )
    else:
        for side, piece in parts:
            starts, windows = loops.cut_strips(
                side, piece, X[0], axes[0], bandwidth[0], first.breaks
            )
            n_terms = first.coef.shape[-1]
            items = np.empty((starts.size - 1, n_terms, n_others * n_channels))
            ends = np.empty(starts.size - 1)
            for strip, (start, stop) in enumerate(itertools.pairwise(starts)):
                ends[strip] = X[0, start if side == 0 else stop - 1]
                steps = np.abs(X[0, start:stop] - ends[strip]) / bandwidth[0]
                powers = np.vander(steps, n_terms, increasing=True)
                moments = powers[:, :, None] * weights[start:stop, None, :]
                order, rows, suborders = sorted_rows(
                    X[1:, start:stop].T, _parallel.in_order
                )
                sums = _at_nodes(
                    rows,
                    suborders,
                    np.ascontiguousarray(moments.reshape(stop - start, -1)[order]),
                    axes[1:],
                    functions[1:],
                    bandwidth[1:],
                )
                cube = sums.reshape(n_others, n_terms, n_channels)
                items[strip] = cube.transpose(1, 0, 2).reshape(n_terms, -1)
            loops.add_windows(
                side,
                ends,
                items,
                axes[0],
                *windows,
                bandwidth[0],
                first.breaks[piece],
                first.coef[side, piece],
                out,
            )
    return out


def _forms(functions: Functions) -> tuple[_Form, ...]:
    return tuple((f.breaks, f.coef, f.tail) for f in functions)


def _stacked_form(functions: Functions) -> _Form:
    """Stack coefficients, with zeros for the highest powers that some lack."""
    longest = max(f.coef.shape[-1] for f in functions)
    coef = [
        np.pad(f.coef, [(0, 0), (0, 0), (0, longest - f.coef.shape[-1])])
        for f in functions
    ]
    breaks = np.array([f.breaks for f in functions])
    return breaks, np.array(coef), np.array([f.tail for f in functions])
