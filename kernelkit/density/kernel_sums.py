"""Choose the algorithm for sums of product kernels and run it in tasks.

Tasks depend on shapes and numbers only, not on the threads, and their sums are added in
a fixed order.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.density import _jit_exponential as tree
from kernelkit.density import _jit_gaussian as gaussian
from kernelkit.density import _jit_grid as grid
from kernelkit.density import compact_sums
from kernelkit.density.kernels1d import Compact, Exponential, Gaussian
from kernelkit.density.ranks import sorted_rows

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]
Functions = Sequence[Any]  # Exponential, Compact or Gaussian, all of one kind
_Form = tuple[Array, ...]

ALGORITHMS = ("tree", "window", "brute")

# Rows (2 n m / (n + m)) up to which comparing all pairs is faster than a split, by the
# number of features; the first entry is the length of the blocks of a sweep. Measured
# at 1e5 rows, and flat around the optimum.
_LIMIT = np.array([128, 32, 512, 1024, 2048, 4096, 8192, 16384])
_TASK = 16384  # rows from which a problem is split into tasks
_TOP_LEVELS = 3  # splits that make tasks
_BLOCKS = 4  # tasks that meet in blocks
_SLABS = 8  # tasks of a grid
_ENTRIES = 2**20  # of a block of values at nodes
_SIDES = (False, True)  # sources before and behind a target
_UNDERFLOW = 1e-280  # of the largest weight: smaller sums may have lost terms
_REMEDY = "give fewer nodes per axis"
_SQRT2 = math.sqrt(2.0)


def choose(algorithm: str, n_sources: int, n_targets: int, functions: Functions) -> str:
    """Resolve "auto"; refuse what the functions do not allow.

    Raises
    ------
    ValueError
        If the kernel does not fit the algorithm.
    """
    if algorithm == "tree" and not _has_tree(functions):
        raise ValueError(
            "algorithm='tree' needs a kernel that decays exponentially, such as "
            "'laplacian' or 'matern52', or one that is zero far out, such as "
            "'epanechnikov', and at most 2 features: use 'auto'."
        )
    if algorithm == "window" and not _are(functions, Compact):
        raise ValueError(
            "algorithm='window' needs a kernel that is zero far out, such as "
            "'epanechnikov': use 'auto'."
        )
    if algorithm != "auto":
        return algorithm
    if _are(functions, Compact):
        return "tree" if compact_sums.prefers_tree(functions) else "window"
    if _are(functions, Exponential):
        pairs = n_sources * n_targets
        few = _limits(len(functions))[-1] * (n_sources + n_targets) // 2
        return "brute" if pairs <= few else "tree"
    return "brute"


def kernel_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Functions,
    bandwidth: Array,
    *,
    algorithm: str,
    run: _parallel.Run,
) -> Values:
    r"""Sum product kernels over sources, at queries or at the sources themselves.

    .. math:: S_{ci} = \sum_j w_{cj} \prod_k \kappa_k((q_{ik} - x_{jk}) / h_k)

    Parameters
    ----------
    X : ndarray of shape (n_sources, n_features)
        Sources.
    weights : ndarray of shape (n_channels, n_sources)
        Weights w, of any sign.
    queries : ndarray of shape (n_queries, n_features) or None
        None stands for the sources, each without its own term.
    functions : sequence of n_features functions
        The functions kappa, all of one kind.
    bandwidth : ndarray of shape (n_features,)
        h > 0, in the unit of the feature.
    algorithm : str
        "auto" or one of `ALGORITHMS`.
    run : callable
        Runs the tasks.

    Returns
    -------
    sums : ndarray of shape (n_channels, n_queries)
        Each with an error relative to the sum of the sizes of its terms.
    """
    n_queries = len(X) if queries is None else len(queries)
    algorithm = choose(algorithm, len(X), n_queries, functions)
    weights = np.ascontiguousarray(weights)
    if _are(functions, Compact):
        loop = {
            "tree": compact_sums.tree_sums,
            "window": compact_sums.box_sums,
            "brute": compact_sums.pair_sums,
        }[algorithm]
        if algorithm == "window" and any(f.tail.any() for f in functions):
            loop = compact_sums.pair_sums
        return loop(X, weights, queries, functions, bandwidth, run)
    if algorithm == "tree":
        return _tree_sums(X, weights, queries, _exponential(functions, bandwidth), run)
    return _pair_sums(X, weights, queries, functions, bandwidth, run)


def log_kernel_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Functions,
    bandwidth: Array,
    *,
    leave_out: bool = True,
    algorithm: str,
    run: _parallel.Run,
) -> Values:
    """Logarithm of the sum of one channel, of shape (n_queries,), without underflow.

    Takes what `kernel_sums` takes, but weights of shape (n_sources,), >= 0, and whether
    to leave a source's own term out. -inf stands for sums that are not positive, and
    for those of compact kernels below the least float.
    """
    sums = kernel_sums(
        X, weights[None], queries, functions, bandwidth, algorithm=algorithm, run=run
    )[0]
    own = queries is None
    if own and not leave_out:
        sums += weights * at_0(functions)
    chosen = faint(sums, functions, weights.max())
    logs = log_of(sums)
    if chosen.size:
        targets = (X if queries is None else queries)[chosen]
        skipped = chosen if own and leave_out else None
        logs[chosen] = log_of(
            *scaled_sums(X, weights, targets, skipped, functions, bandwidth, run=run)
        )
    return logs


def at_0(functions: Functions) -> float:
    """Return the product of the functions where a source meets itself."""
    return math.prod(float(f(np.zeros(()))) for f in functions)


def faint(sums: Array, functions: Functions, largest_weight: float) -> Array:
    """Find sums that may have lost terms, which those of compact functions do not."""
    if _are(functions, Compact):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.abs(sums) < _UNDERFLOW * largest_weight)


def log_of(sums: Array, exponents: Array | float = 0.0) -> Values:
    """Logarithm of sums times exponentials; -inf for those that are not positive."""
    with np.errstate(divide="ignore"):
        logs: Values = exponents + np.log(np.maximum(sums, 0.0))
    return logs


def scaled_sums(
    X: Array,
    weights: Array,
    targets: Array,
    skipped: Array | None,
    functions: Functions,
    bandwidth: Array,
    *,
    run: _parallel.Run,
) -> tuple[Values, Values]:
    """Sum one channel pair by pair, without underflow.

    Takes what `kernel_sums` takes, but weights of shape (n_sources,), >= 0, and the
    number of a source that each target leaves out.

    Returns
    -------
    sums, exponents : ndarray of shape (n_targets,)
        The sums are those numbers times exp(exponents), the largest logarithm of a
        term. It is -inf where all terms are 0.
    """
    order, X_s, _ = sorted_rows(X, run)
    X_t = np.ascontiguousarray(targets.T)
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights[order])
    skip = np.full(len(targets), -1)
    if skipped is not None:
        skip = np.argsort(order)[skipped]
    out = np.empty((2, len(targets)))
    form = _log_form(functions, bandwidth)
    run(
        (tree.log_sums, (X_s, log_weights, X_t, skip, start, stop, form, out))
        for start, stop in _cuts(len(targets), gaussian.TILE)
    )
    return out[1], out[0]


def _are(functions: Functions, kind: type) -> bool:
    return all(isinstance(function, kind) for function in functions)


def _has_tree(functions: Functions) -> bool:
    is_compact = _are(functions, Compact) and compact_sums.allows_tree(functions)
    return is_compact or _are(functions, Exponential)


def _limits(n_features: int) -> Array:
    """Limits for 0 to n_features features; beyond the table, all pairs."""
    unlimited = np.full(max(n_features + 1 - _LIMIT.size, 0), 2**31)
    return np.concatenate([_LIMIT, unlimited])[: n_features + 1]


def _cuts(n: int, length: int) -> list[tuple[int, int]]:
    return [(start, min(start + length, n)) for start in range(0, n, length)]


def _exponential(functions: Functions, bandwidth: Array) -> _Form:
    """Put functions into the form of the loops."""
    flat = [
        f.coef.reshape(2, -1) if f.frequency else f.coef[:, :, 0] for f in functions
    ]
    sizes = np.array([coef.shape[1] for coef in flat])
    coef = np.zeros((len(flat), 2, sizes.max()))
    for k, part in enumerate(flat):
        coef[k, :, : sizes[k]] = part
    rates = np.array([f.rate for f in functions])
    frequencies = np.array([f.frequency for f in functions])
    return np.array(bandwidth), rates, frequencies, sizes, coef


def _log_form(functions: Functions, bandwidth: Array) -> _Form:
    """Write Gaussians as exponentials of squares; see `tree.log_sums`."""
    if _are(functions, Exponential):
        return (*_exponential(functions, bandwidth), np.array([1.0]))
    coef = np.array([[[f.factor]] * 2 for f in functions])
    scales = np.array([_SQRT2 * f.scale for f in functions])
    ones = np.ones(len(functions), dtype=np.int64)
    return (bandwidth * scales, 1.0 * ones, 0.0 * ones, ones, coef, np.array([2.0]))


def _tree_sums(
    X: Array, weights: Array, queries: Array | None, form: _Form, run: _parallel.Run
) -> Values:
    own = queries is None
    order_s, X_s, orders_s = sorted_rows(X, run)
    order_t, X_t, orders_t = order_s, X_s, orders_s
    if queries is not None:
        order_t, X_t, orders_t = sorted_rows(queries, run)
    d, m = X_t.shape
    heavy = np.take(weights, order_s, axis=1)
    limit = _limits(d)
    parts: list[tuple[Array, _parallel.Task]]
    rows: Array = np.arange(m, dtype=np.int32)
    whole = (d, own, X_s, heavy, orders_s, X_t, orders_t, rows, np.ones((1, m)))
    out = np.zeros((len(weights), m))
    if d == 1:
        parts = [
            (rows, (_pass, (tree.scan, reverse, whole, form))) for reverse in _SIDES
        ]
    elif d == 2 and not tree.is_small(whole, limit):
        parts = _sweep_tasks(whole, form, limit, run)
    else:
        parts = [
            (problem[7], (_solve, (problem, form, limit)))
            for problem in _open(whole, form, limit, run)
        ]
    results = run([task for _, task in parts])
    for (part, _), sums in zip(parts, results, strict=True):
        if part is rows:
            out += sums
        else:
            tree.add_columns(out, part, sums)
    sums = np.empty_like(out)
    sums[:, order_t] = out
    return sums


def _pass(loop: Any, reverse: bool, whole: Any, form: _Form, *tables: Any) -> Values:
    _, own, X_s, weights, _, X_t, *_ = whole
    sums = np.zeros((len(weights), X_t.shape[1]))
    if tables:
        bases_s, bases_t, blocks = tables
        loop(own, reverse, X_s, weights, bases_s, X_t, bases_t, blocks, form, sums)
    else:
        loop(own, reverse, X_s, weights, X_t, form, sums)
    return sums


def _sweep_tasks(
    whole: Any, form: _Form, limit: Array, run: _parallel.Run
) -> list[tuple[Array, _parallel.Task]]:
    """Two features: sweep up and down, and meet in blocks."""
    _, own, X_s, weights, orders_s, X_t, orders_t, rows, _ = whole
    blocks = tree.cut_blocks(own, X_s, orders_s, X_t, orders_t, limit[0])
    bases_s, bases_t = run(
        (tree.edge_bases, (X, blocks[1 + is_target], blocks[0], form, is_target))
        for is_target, X in ((False, X_s), (True, X_t))
    )
    tables = bases_s, bases_t, blocks
    parts = [
        (rows, (_pass, (tree.sweep, reverse, whole, form, *tables)))
        for reverse in _SIDES
    ]
    n_blocks = len(blocks[3]) - 1

    def meet(first: int, last: int) -> Values:
        sums = np.zeros((len(weights), rows.size))
        tree.meet_in_blocks(
            own, X_s, weights, orders_s, X_t, orders_t, blocks, first, last, form, sums
        )
        return sums

    return parts + [
        (rows, (meet, cut)) for cut in _cuts(n_blocks, -(-n_blocks // _BLOCKS))
    ]


def _open(whole: Any, form: _Form, limit: Array, run: _parallel.Run) -> list[Any]:
    """Split large problems of three or more features, level by level."""
    problems = [whole]
    for _ in range(_TOP_LEVELS):
        families = run((_split, (problem, form, limit)) for problem in problems)
        problems = [child for family in families for child in family]
    return problems


def _split(problem: Any, form: _Form, limit: Array) -> Sequence[Any]:
    n_features, n, m = problem[0], problem[2].shape[1], problem[5].shape[1]
    if not (n and m):
        return []
    is_large = 2 * n * m > _TASK * (n + m)
    if n_features > 2 and is_large and not tree.is_small(problem, limit):
        parts: Sequence[Any] = tree.split(problem, form)
        return parts
    return [problem]


def _solve(problem: Any, form: _Form, limit: Array) -> Values:
    weights, cobasis = problem[3], problem[8]
    m = cobasis.shape[1]
    alone = (*problem[:7], np.arange(m, dtype=np.int32), cobasis)
    sums = np.zeros((len(weights) // len(cobasis), m))
    tree.solve(alone, form, limit, sums)
    return sums


def _pair_sums(
    X: Array,
    weights: Array,
    queries: Array | None,
    functions: Functions,
    bandwidth: Array,
    run: _parallel.Run,
) -> Values:
    """Visit all pairs."""
    own = queries is None
    X_s = np.ascontiguousarray(X.T)
    X_t = X_s if queries is None else np.ascontiguousarray(queries.T)
    d, n = X_s.shape
    m = X_t.shape[1]
    out = np.zeros((len(weights), m))
    if _are(functions, Exponential):
        form = _exponential(functions, bandwidth)

        def meet(start: int, stop: int) -> None:
            tree.brute(d, own, X_s, 0, n, weights, X_t, start, stop, form, out)

        tile = tree.TILE
    else:
        scales = np.array([f.scale for f in functions])
        factors = np.array([f.factor for f in functions])
        powers = np.array([f.power for f in functions])
        form = (scales, factors, powers)

        def meet(start: int, stop: int) -> None:
            gaussian.add_pairs(
                own, X_s, weights, X_t, start, stop, bandwidth, form, out
            )

        tile = gaussian.TILE
    run((meet, cut) for cut in _cuts(m, tile))
    return out


def grid_sums(
    X: Array,
    weights: Array,
    axes: Sequence[Array],
    functions: Functions,
    bandwidth: Array,
    *,
    run: _parallel.Run,
) -> Values:
    """Sum one channel at every node of a grid, of shape (len(axes[0]), ...).

    Takes what `kernel_sums` takes, but weights of shape (n_sources,), and the ascending
    nodes of each axis.

    Raises
    ------
    MemoryError
        If the sums at the nodes do not fit in memory.
    """
    if _are(functions, Compact):
        return compact_sums.grid_sums(X, weights, axes, functions, bandwidth, run)
    if _are(functions, Gaussian):
        return _gaussian_grid_sums(X, weights, axes, functions, bandwidth, run)
    shape = tuple(map(len, axes))
    n_nodes = math.prod(shape)
    X = np.ascontiguousarray(X.T)
    nodes = np.concatenate(axes)
    firsts = np.cumsum([0, *shape])
    form = _exponential(functions, bandwidth)
    widths, rates, waves, sizes, coef = form
    n_entries = n_nodes * math.prod((2 * sizes).tolist())
    check.memory(2 * 8 * n_entries, _REMEDY)
    table = np.zeros(n_entries)
    grid.deposit(X, weights, nodes, firsts, form, table)
    n_rows = 1
    for k, axis in enumerate(axes):
        cube = table.reshape(n_rows, axis.size, 2, sizes[k], -1)
        out = np.empty((n_rows, axis.size, cube.shape[-1]))
        side = np.ascontiguousarray(coef[k, :, : sizes[k]])
        run(
            (
                grid.carry,
                (cube, *cut, axis, widths[k], rates[k], waves[k], side, out),
            )
            for cut in _cuts(n_rows, -(-n_rows // _SLABS))
        )
        table = out.ravel()
        n_rows *= axis.size
    return table.reshape(shape)


def _gaussian_grid_sums(
    X: Array,
    weights: Array,
    axes: Sequence[Array],
    functions: Functions,
    bandwidth: Array,
    run: _parallel.Run,
) -> Values:
    """Multiply the values at the nodes of all features but the last by the last's."""
    shape = tuple(map(len, axes))
    n_others = math.prod(shape[:-1])
    check.memory(8 * math.prod(shape), _REMEDY)
    out = np.zeros((n_others, shape[-1]))
    length = max(_ENTRIES // max(n_others, shape[-1]), 1)

    def add(first: int, last: int) -> None:
        for start, stop in _cuts(len(X), length):
            left = weights[start:stop, None]
            for k, axis in enumerate(axes):
                nodes = axis[first:last] if k == len(axes) - 1 else axis
                with np.errstate(over="ignore"):
                    u = (nodes - X[start:stop, k, None]) / bandwidth[k]
                values = functions[k](u)
                if k < len(axes) - 1:
                    left = (left[:, :, None] * values[:, None, :]).reshape(len(u), -1)
            out[:, first:last] += left.T @ values

    run((add, cut) for cut in _cuts(shape[-1], -(-shape[-1] // 2)))
    return out.reshape(shape)
