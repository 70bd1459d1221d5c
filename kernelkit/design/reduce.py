"""Keep the points of a design that determine the fit best."""

import numpy as np
from scipy.linalg import qr, solve_triangular

from kernelkit._validation import Array
from kernelkit.design._jit_reduce import add_rows, remove_rows

_REFACTOR = 50  # rank-one updates between fresh factors


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


def eigenvalues(rows: Array, n: float) -> Array:
    """Find the eigenvalues of A'A / n, in ascending order."""
    return np.linalg.eigvalsh(rows.T @ rows).clip(0.0) / n
