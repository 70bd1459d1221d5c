"""Keep the points of a design that determine the fit best."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.linalg import qr, solve_triangular

from kernelkit._validation import Array
from kernelkit.design._jit_reduce import add_rows, remove_rows
from kernelkit.design.laws import Draws, eigenvalues

REDUCE_METHODS = ("auto", "a_optimal", "d_optimal")
FEWEST = 0  # points to keep: as few as leave a design stable

_FORWARD_BELOW = 1.1  # times m points
_SINGULAR = 1e-14  # least eigenvalue, next to the greatest
_REFACTOR = 50  # rank-one updates between fresh factors


def number_to_keep(reduce_to: Any, m: int, delta: float | None) -> int | None:
    """Convert to a number of points, or to `FEWEST`.

    Parameters
    ----------
    reduce_to : int, float, "auto" or None
        As the user gave it: a float counts in m.
    m : int
        Number of functions.
    delta : float or None

    Returns
    -------
    n_keep : int or None
        None keeps all points.

    Raises
    ------
    ValueError
        If it is none of these, is less than m points, or is "auto" without a `delta`.
    """
    if reduce_to is None:
        return None
    if isinstance(reduce_to, str) and reduce_to == "auto":
        if delta is None:
            raise ValueError(
                "reduce_to='auto' keeps the least eigenvalue above 1 - delta, and "
                "delta is None: give a delta in (0, 1)."
            )
        return FEWEST
    is_number = isinstance(reduce_to, Real) and not isinstance(reduce_to, bool)
    if not (is_number and 0.0 < float(reduce_to) < np.inf):
        raise ValueError(
            "reduce_to must be None, 'auto', a number of points, or a float that "
            f"counts in m. Got {reduce_to!r} instead."
        )
    if isinstance(reduce_to, Integral):
        n_keep = int(reduce_to)
    else:
        n_keep = int(np.ceil(float(reduce_to) * m - 1e-9))
    if n_keep < m:
        raise ValueError(
            f"reduce_to={reduce_to!r} keeps fewer than m = {m} points, which do not "
            f"determine {m} functions: keep at least {m}, or 1.0 as a float."
        )
    return n_keep


def reduce(draws: Draws, n_keep: int, method: str, least: float) -> Draws:
    """Keep the best points of a design.

    Parameters
    ----------
    draws : Draws
    n_keep : int
        At least m, or `FEWEST`.
    method : str
        One of `REDUCE_METHODS`.
    least : float
        With `FEWEST`, what the least eigenvalue of G is not to fall below.

    Returns
    -------
    draws : Draws

    Raises
    ------
    ValueError
        If a number is given, and the points do not determine the functions.

    References
    ----------
    .. [1] Haberstich, Nouy & Perrin (2022), "Boosted optimal weighted least-squares",
       Mathematics of Computation 91, 1281-1315, on greedy removal.
    """
    n, m = draws.rows.shape
    if n_keep >= n:
        return draws
    if draws.lambda_min <= _SINGULAR * draws.lambda_max:
        if n_keep == FEWEST:
            return draws
        raise ValueError(
            f"The {n} points of this design do not determine all {m} functions, so "
            "that none can be spared: draw more, or use method='dpp_repeat'."
        )
    if method == "auto":
        adds = n_keep != FEWEST and n_keep < _FORWARD_BELOW * m
        method = "d_optimal" if adds else "a_optimal"
    if method == "d_optimal":
        ranking = rank_forward(draws.rows, n if n_keep == FEWEST else n_keep)
    else:
        ranking = rank_backward(draws.rows, max(m, n_keep))
    if n_keep == FEWEST:
        n_keep = fewest_stable(ranking, draws.rows, draws.counts, least)
    kept = np.sort(ranking[:n_keep])
    return Draws(
        draws.points[kept], draws.counts[kept], draws.weights[kept], draws.rows[kept]
    )


def rank_backward(rows: Array, n_keep: int) -> Array:
    r"""Rank rows by greedy removal: the sooner removed, the later in the ranking.

    Each removal raises :math:`\operatorname{tr}(A'A)^{-1}` least (A-optimality).

    Parameters
    ----------
    rows : ndarray of shape (n, m)
        The rows of A, of full rank m.
    n_keep : int
        At least m; the first places of the ranking, not ranked among each other.

    Returns
    -------
    ranking : ndarray of shape (n,)
        Positions of rows, best first.
    """
    left = np.arange(len(rows))
    removed: list[Array] = []
    while len(left) > n_keep:
        Q, R = np.linalg.qr(rows[left])
        inverse = solve_triangular(R, np.eye(len(R)), check_finite=False)
        columns, metric = np.ascontiguousarray(Q.T), inverse.T @ inverse
        gone = remove_rows(columns, metric, min(_REFACTOR, len(left) - n_keep))
        removed.append(left[gone])
        left = np.delete(left, gone)
    return np.concatenate([left, *(part[::-1] for part in reversed(removed))])


def rank_forward(rows: Array, n_keep: int) -> Array:
    r"""Rank rows by greedy addition.

    Column-pivoted QR of A' chooses m rows, and each further one raises
    :math:`\det(A'A)` most (D-optimality).

    Parameters
    ----------
    rows : ndarray of shape (n, m)
        The rows of A, of full rank m.
    n_keep : int
        Length of the ranking, at least m.

    Returns
    -------
    ranking : ndarray of shape (n_keep,)
        Positions of rows, best first.
    """
    m = rows.shape[1]
    _, order = qr(rows.T, mode="r", pivoting=True, check_finite=False)
    ranking, left = order[:m], np.sort(order[m:])
    while len(ranking) < n_keep:
        R = np.linalg.qr(rows[ranking], mode="r")
        columns = solve_triangular(R, rows[left].T, trans="T", check_finite=False)
        n_added = min(_REFACTOR, n_keep - len(ranking))
        added = add_rows(np.ascontiguousarray(columns), n_added)
        ranking = np.append(ranking, left[added])
        left = np.delete(left, added)
    return ranking


def fewest_stable(ranking: Array, rows: Array, counts: Array, least: float) -> int:
    r"""Find how few rows of a ranking keep the least eigenvalue of G.

    Parameters
    ----------
    ranking : ndarray of shape (n,)
    rows : ndarray of shape (n, m)
        The rows of A, with :math:`G = A'A / \sum_i c_i`.
    counts : ndarray of shape (n,)
        How many draws c each row stands for.
    least : float
        Value that the least eigenvalue of G is not to fall below.

    Returns
    -------
    n_keep : int
        With one row less G would fall below; n if no number is found.
    """
    low, high = rows.shape[1] - 1, len(rows)  # unstable, stable
    while high - low > 1:
        middle = (low + high) // 2
        kept = ranking[:middle]
        if eigenvalues(rows[kept], counts[kept].sum())[0] >= least:
            high = middle
        else:
            low = middle
    return high
