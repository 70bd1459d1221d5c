"""Choose which rows become centres."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from sklearn.base import BaseEstimator

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.linalg.kernel_blocks import PairKernel, as_kernel, row_tiles
from kernelkit.nystroem.dictionary import leverage_sample

Array = npt.NDArray[Any]

RULES = ("rls", "uniform", "rpcholesky")

_NOISE = 64  # roundings of k(x, x): a residual below is no new direction
RIDGE = 3.0  # of the leverage scores, in units of alpha
_FEWEST_SELECTION_SAMPLES = 4000
_SELECTION_SAMPLES_PER_CENTER = 10


@dataclass(frozen=True)
class ChosenCenters:
    """Rows that a rule chose.

    Attributes
    ----------
    indices : ndarray of shape (m,), int64
        Row numbers, all different.
    inclusion_proba : ndarray of shape (m,) or None
        Probability that the rule chooses each; None if the rule does not know.
    """

    indices: Array
    inclusion_proba: Array | None


def choose_centers(
    rule: str,
    kernel: PairKernel,
    X: Any,
    w: Array | None,
    n_centers: int,
    *,
    alpha: float,
    selection_samples: Any = "auto",
    rng: np.random.Generator,
    n_jobs: int | None = None,
) -> ChosenCenters:
    """Choose centres by one of the `RULES`.

    Rows without weight are never chosen. If no more than `n_centers` have weight, all
    of them are.

    Parameters
    ----------
    rule : {"rls", "uniform", "rpcholesky"}
        By ridge leverage scores, in proportion to the weights, or by randomly pivoted
        Cholesky, which stops early once the chosen rows span all others.
    kernel : PairKernel
    X : ndarray or csr_array of shape (n_samples, n_features)
    w : ndarray of shape (n_samples,) or None
        Row weights.
    n_centers : int
    alpha : float
        Penalty of the regression that the centres are for.
    selection_samples : int, "auto" or None, default="auto"
        Number of rows, drawn uniformly, that "rls" and "rpcholesky" choose from; "auto"
        stands for the larger of 4000 and 10 per centre, None for all rows.
    rng : Generator
    n_jobs : int or None, default=None
        Number of threads.

    Returns
    -------
    centers : ChosenCenters
    """
    rows = np.arange(X.shape[0]) if w is None else np.flatnonzero(w)
    if len(rows) <= n_centers:
        return ChosenCenters(rows, np.ones(len(rows)))
    if rule == "uniform":
        weights = np.ones(len(rows)) if w is None else w[rows]
        chosen, proba = _weighted_sample(weights, n_centers, rng)
        return ChosenCenters(rows[chosen], proba)
    n_rows = n_selection_samples(selection_samples, n_centers, len(rows))
    share = n_rows / len(rows)
    if n_rows < len(rows):
        rows = np.sort(rng.choice(rows, n_rows, replace=False))
    if len(rows) < X.shape[0]:
        X = X[rows]
        w = None if w is None else w[rows]
        if kernel.is_precomputed:
            X = X[:, rows]
    if rule == "rpcholesky":
        chosen, _ = pivoted_cholesky(kernel, X, w, n_centers, rng=rng, n_jobs=n_jobs)
        return ChosenCenters(rows[chosen], None)
    ridge = RIDGE * alpha * share
    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        chosen, proba = leverage_sample(kernel, X, w, n_centers, ridge, rng, run=run)
    return ChosenCenters(rows[chosen], share * proba)


def given_numbers(centers: Any, n_rows: int) -> Array:
    """Check centres that are given by their row numbers."""
    ids = np.asarray(centers)
    is_whole = ids.size > 0 and ids.dtype.kind in "iu"
    if not (is_whole and ids.min() >= 0 and ids.max() < n_rows):
        raise ValueError(
            "centers of one dimension are row numbers: whole numbers from 0 to "
            f"{n_rows - 1}. Got {centers!r} instead."
        )
    return ids.astype(np.int64)


def given_rows(kernel: PairKernel, centers: Any, X: Any) -> Any:
    """Check centres that are given themselves: rows like those of X."""
    try:
        rows = check.kernel_rows(
            BaseEstimator(), centers, reset=True, kernel=kernel.name, dtype=X.dtype
        )
    except (ValueError, TypeError) as error:
        raise ValueError(
            "centers must be a rule, row numbers or a matrix of one row or more, each "
            f"of {X.shape[1]} finite numbers that are no NaN. Got {centers!r} instead."
        ) from error
    if rows.shape[1] != X.shape[1]:
        raise ValueError(
            f"centers have {rows.shape[1]} features, and X has {X.shape[1]}: they must "
            "be rows like those of X."
        )
    return rows


def rpcholesky(
    X: Any,
    kernel: Any = "rbf",
    n_components: int = 100,
    *,
    gamma: float | None = None,
    coef0: float | None = None,
    degree: float | None = None,
    kernel_params: dict[str, Any] | None = None,
    sample_weight: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> tuple[Array, Array]:
    r"""Choose rows by randomly pivoted Cholesky, and factorise the kernel matrix.

    Each row is drawn with a probability in proportion to its residual

    .. math:: r(x) = k(x, x) - k_S(x)' K_{SS}^{-1} k_S(x)

    given the rows S that were drawn before. The factor F approximates the kernel
    matrix from below: :math:`F F' = K_{nS} K_{SS}^{-1} K_{Sn}`, exact in rows S.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows; the kernel matrix if `kernel` is "precomputed".
    kernel : str, Kernel or callable, default="rbf"
        Positive semidefinite kernel, a name of
        `sklearn.metrics.pairwise.pairwise_kernels`.
    n_components : int, default=100
        Number of rows to draw.
    gamma, coef0, degree : float or None, default=None
        Parameters of a kernel given by its name.
    kernel_params : dict or None, default=None
        Keyword arguments of a callable kernel.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Nonnegative weights that multiply the residuals in the draws; F is of the
        unweighted kernel matrix.
    n_jobs : int or None, default=None
        Number of threads; -1 means all cores. Does not change a bit of the result.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws; an int makes them repeatable.

    Returns
    -------
    indices : ndarray of shape (m,)
        Row numbers in the order of the draws, all different; the first ones are a
        sample of fewer. m is less than `n_components` only if no row with weight has a
        residual above rounding any more.
    factor : ndarray of shape (n_samples, m), float64
        F; ``factor[indices]`` is lower triangular.

    Raises
    ------
    MemoryError
        If the factor exceeds the memory.

    Notes
    -----
    Candidates are drawn in blocks from the residuals before the block and accepted with
    the share of the residual that is left, so that the law is the one above while most
    of the work is matrix products. The time is O(n_samples m^2).

    References
    ----------
    .. [1] Chen, Epperly, Tropp & Webber (2025), "Randomly pivoted Cholesky: practical
       approximation of a kernel matrix with few entry evaluations", Communications on
       Pure and Applied Mathematics 78(5), 995-1041.
    .. [2] Epperly, Tropp & Webber (2024), "Embrace rejection: kernel matrix
       approximation by accelerated randomly pivoted Cholesky", arXiv 2410.03969.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import rpcholesky
    >>> X = np.linspace(0.0, 1.0, 50)[:, None]
    >>> indices, F = rpcholesky(X, gamma=5.0, n_components=10, random_state=0)
    >>> K = np.exp(-5.0 * (X - X.T) ** 2)
    >>> bool(np.trace(K - F @ F.T) < 1e-3)
    True
    """
    pivots = _RPCholesky(
        kernel,
        n_components,
        gamma=gamma,
        coef0=coef0,
        degree=degree,
        kernel_params=kernel_params,
        n_jobs=n_jobs,
        random_state=random_state,
    ).fit(X, sample_weight=sample_weight)
    return pivots.indices_, pivots.factor_


class _RPCholesky(BaseEstimator):
    """What `rpcholesky` was given, checked as the parameters of estimators are."""

    _parameter_constraints = {
        "kernel": check.KERNEL,
        "n_components": check.WHOLE,
        **check.KERNEL_PARAMETERS,
        "n_jobs": check.N_JOBS,
        "random_state": check.RANDOM_STATE,
    }

    def __init__(
        self,
        kernel: Any,
        n_components: int,
        *,
        gamma: float | None,
        coef0: float | None,
        degree: float | None,
        kernel_params: dict[str, Any] | None,
        n_jobs: int | None,
        random_state: Any,
    ) -> None:
        self.kernel = kernel
        self.n_components = n_components
        self.gamma = gamma
        self.coef0 = coef0
        self.degree = degree
        self.kernel_params = kernel_params
        self.n_jobs = n_jobs
        self.random_state = random_state

    @check.params
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        X = check.kernel_rows(self, X, reset=True, kernel=self.kernel)
        weights = check.weights(sample_weight, X)
        kernel = as_kernel(
            self.kernel,
            gamma=self.gamma,
            degree=self.degree,
            coef0=self.coef0,
            kernel_params=self.kernel_params,
            n_features=X.shape[1],
        )
        self.indices_, self.factor_ = pivoted_cholesky(
            kernel,
            X,
            weights,
            self.n_components,
            rng=check.rng(self.random_state),
            n_jobs=self.n_jobs,
        )
        return self


_RPCholesky.__name__ = rpcholesky.__name__  # in the words of refusals


def pivoted_cholesky(
    kernel: PairKernel,
    X: Any,
    w: Array | None,
    n_pivots: int,
    *,
    rng: np.random.Generator,
    n_jobs: int | None = None,
    block_size: int | None = None,
) -> tuple[Array, Array]:
    """Draw pivots in proportion to ``w * residual``; see `rpcholesky`.

    Returns
    -------
    indices : ndarray of shape (m,)
    factor : ndarray of shape (n_samples, m)
    """
    n = X.shape[0]
    n_pivots = min(n_pivots, n)
    check.memory(8 * n * n_pivots, "lower n_components")
    block_size = block_size or min(max(n_pivots // 8, 16), 256)
    ids = np.arange(n)
    diagonal = kernel.diag(X, ids)
    floor = _NOISE * np.finfo(X.dtype).eps * diagonal
    residual = np.where(diagonal > 0.0, diagonal, 0.0)
    F = np.empty((n, n_pivots))
    pivots = np.empty(0, dtype=np.int64)
    tiles = row_tiles(n, n_pivots)

    def extend(rows: slice) -> None:
        """Append columns to F for the pivots that have none, which have factor L."""
        columns = kernel.block(X[rows], centers) - F[rows, :old] @ F[new, :old].T
        columns = solve_triangular(L, columns.T, lower=True).T
        F[rows, old : len(pivots)] = columns
        left = residual[rows] - np.einsum("ij,ij->i", columns, columns)
        residual[rows] = np.where(left > floor[rows], left, 0.0)

    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        while len(pivots) < n_pivots:
            law = np.cumsum(residual if w is None else w * residual)
            if not law[-1] > 0.0:
                break
            draws = rng.random(block_size) * law[-1]
            drawn = np.minimum(np.searchsorted(law, draws, side="right"), n - 1)
            heights = rng.random(block_size) * residual[drawn]
            old = len(pivots)
            H = kernel.block(X[drawn], kernel.centers(X[drawn], drawn))
            H = H - F[drawn, :old] @ F[drawn, :old].T
            accepted, L = _accept(H, drawn, heights, floor[drawn], n_pivots - old)
            if not len(accepted):
                residual[drawn] = 0.0
                continue
            new = drawn[accepted]
            pivots = np.append(pivots, new)
            centers = kernel.centers(X[new], new)
            run([(extend, (rows,)) for rows in tiles])
            F[pivots[:old], old : len(pivots)] = 0.0
            F[new, old : len(pivots)] = L
            residual[new] = 0.0
    return pivots, np.ascontiguousarray(F[:, : len(pivots)])


def _accept(
    H: Array, drawn: Array, heights: Array, floor: Array, n_most: int
) -> tuple[Array, Array]:
    """Go through candidates with residual matrix H and accept some.

    A candidate is accepted if its residual given those before it exceeds its height.

    Returns
    -------
    accepted : ndarray of shape (k,)
        Places in H.
    L : ndarray of shape (k, k)
        Cholesky factor of H there.
    """
    L = np.zeros((len(H), min(len(H), n_most)))
    accepted: list[int] = []
    for i in range(len(H)):
        k = len(accepted)
        if k == L.shape[1]:
            break
        if drawn[i] in drawn[accepted]:
            continue
        left = H[i, i] - L[i, :k] @ L[i, :k]
        if left > floor[i] and left > heights[i]:
            L[i:, k] = (H[i:, i] - L[i:, :k] @ L[i, :k]) / np.sqrt(left)
            accepted.append(i)
    return np.array(accepted, dtype=np.int64), L[accepted, : len(accepted)]


def _weighted_sample(
    weights: Array, n_drawn: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw without replacement, each time in proportion to the weights.

    Returns
    -------
    indices : ndarray of shape (n_drawn,)
        Ascending.
    inclusion_proba : ndarray of shape (n_drawn,)
        Nearly the probability that each is drawn; exactly, if all weigh the same.
    """
    weights = np.maximum(weights / weights.max(), 1e-300)
    # Of exponential clocks with these rates, the first n_drawn to ring.
    times = rng.standard_exponential(len(weights)) / weights
    indices = np.sort(np.argpartition(times, n_drawn)[:n_drawn])

    def excess(log_time: float) -> float:
        return float(-np.expm1(-np.exp(log_time) * weights).sum()) - n_drawn

    time = np.exp(brentq(excess, -50.0, 700.0, xtol=1e-12))
    return indices, -np.expm1(-time * weights[indices])


def n_selection_samples(selection_samples: Any, n_centers: int, n_rows: int) -> int:
    """Tell how many of the rows with weight to choose centres from."""
    if selection_samples is None:
        return n_rows
    if isinstance(selection_samples, str):
        selection_samples = max(
            _FEWEST_SELECTION_SAMPLES, _SELECTION_SAMPLES_PER_CENTER * n_centers
        )
    if selection_samples < n_centers:
        raise ValueError(
            f"selection_samples={selection_samples} rows cannot hold "
            f"n_components={n_centers} centres: raise it, or lower n_components."
        )
    return min(int(selection_samples), n_rows)
