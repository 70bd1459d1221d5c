"""Random designs: which points to evaluate or label, with which weights."""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.design.continuous import BasisSource
from kernelkit.design.orthonormal import orthonormalize
from kernelkit.design.reduce import (
    eigenvalues,
    fewest_stable,
    rank_backward,
    rank_forward,
)
from kernelkit.design.sources import PoolSource, Source

METHODS = ("dpp_repeat", "dpp", "gvs", "volume", "iid", "mixture", "uniform", "qr")
REDUCE_METHODS = ("auto", "a_optimal", "d_optimal")
COUNTS = ("draws", "labels")

_UNBIASED = ("dpp", "gvs", "volume")
_ORDERS = ("uniform", "volume", "qr")  # of a pool: no row comes twice
_MIXTURES = ("gvs", "mixture")
_FIRST_BLOCKS, _MOST_BLOCKS = 2, 50  # of m points, while a design grows
_FORWARD_BELOW = 1.1  # times m points
_FEWEST = 0  # points to keep: as few as leave a design stable
_SINGULAR = 1e-14  # least eigenvalue, next to the greatest
_MOST = np.finfo(np.float64).max
_NAMED = 5  # rows in a message


@dataclass(frozen=True)
class Design:
    r"""Points to evaluate or label, with their weights for least squares.

    Of n draws, the i-th point stands for :math:`c_i`, and

    .. math:: G = \frac{1}{n} \sum_i w_i \varphi(x_i) \varphi(x_i)'.

    Parameters
    ----------
    indices : ndarray of shape (n_labels,) or None
        Different rows of a pool, in ascending order; None on a continuous domain.
    points : ndarray of shape (n_labels, n_features) or None
        Points of a continuous domain; None for a pool.
    weights : ndarray of shape (n_labels,)
        Weights w of least squares, in which those of repeated draws are added up.
    counts : ndarray of shape (n_labels,)
        How many draws c each point stands for.
    lambda_min, lambda_max : float
        Least and greatest eigenvalue of G.
    n_tries : int
        How often a design was drawn until one was stable enough, or the last.
    method : str
        How the points were drawn.
    unbiased : bool
        Whether the fit has exactly the projection of any target as its mean.
    """

    indices: Array | None
    points: Array | None
    weights: Array
    counts: Array
    lambda_min: float
    lambda_max: float
    n_tries: int
    method: str
    unbiased: bool

    @property
    def n_labels(self) -> int:
        """Number of different points, each of which costs a label."""
        return len(self.weights)

    @property
    def n_draws(self) -> int:
        """Number n of draws, repeated ones included."""
        return int(self.counts.sum())


class ProjectionDPP(BaseEstimator):
    r"""Draw rows that span the features well: a projection determinantal process.

    With Q the features made orthonormal for the masses of the rows, and m its rank, m
    different rows S are drawn with probability :math:`\det(Q_S)^2`. Similar rows are
    seldom drawn together, equal ones never; row i is drawn with probability
    :math:`|Q_i|^2`, its leverage. The interpolant through the drawn rows has the least
    squares fit to all rows as its mean.

    Parameters
    ----------
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws; an int makes `sample` repeat itself.

    Attributes
    ----------
    leverage_ : ndarray of shape (n_samples,)
        Probability of each row, with sum `rank_`.
    rank_ : int
        Numerical rank m of the features, the number of rows in a block.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if `X` holds NaN or infinity, if all features are zero, or if masses
        are negative or all zero.

    Warns
    -----
    UserWarning
        By `fit`, if features depend linearly on others.

    See Also
    --------
    sample_design : More draws than m, other laws, and stable designs.

    Notes
    -----
    A draw takes about :math:`m \log m` proposals in proportion to the leverage, each
    accepted with the share of the row that earlier rows do not span: after `fit`, the
    time does not depend on the number of rows.

    References
    ----------
    .. [1] Hough, Krishnapur, Peres & Virág (2006), "Determinantal processes and
       independence", Probability Surveys 3, 206-229, algorithm 18.
    .. [2] Dereziński & Warmuth (2017), "Unbiased estimates for linear regression via
       volume sampling", NeurIPS 30.

    Examples
    --------
    >>> from kernelkit.design import ProjectionDPP
    >>> X = [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]
    >>> dpp = ProjectionDPP(random_state=0).fit(X)
    >>> dpp.leverage_.round(3).tolist()
    [0.7, 0.3, 0.3, 0.7]
    >>> dpp.sample().n_labels
    2
    """

    _parameter_constraints = {"random_state": ["random_state", np.random.Generator]}

    def __init__(self, random_state: Any = None) -> None:
        self.random_state = random_state

    @check.params
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Make the features orthonormal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features of the rows of a pool. There is no intercept: add a column of ones
            if the fit has one.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative masses of the rows; None gives every row the same.

        Returns
        -------
        self : ProjectionDPP
        """
        X = check.fit_data(self, X)
        masses = check.sample_weight(sample_weight, X)
        self._source = PoolSource(orthonormalize(X, masses))
        self.leverage_ = self._source.leverage.copy()
        self.rank_ = self._source.rank
        return self

    def sample(self, n_blocks: int = 1) -> Design:
        """Draw independent blocks of m rows.

        Parameters
        ----------
        n_blocks : int, default=1
            Number of blocks. A row may be in several blocks, but once in each.

        Returns
        -------
        design : Design
            Weights are optimal: inverse to the leverage, in proportion to the mass.
        """
        check.is_fitted(self)
        n_blocks = check.count("n_blocks", n_blocks)
        return draw_design(
            self._source,
            n_blocks * self.rank_,
            "dpp" if n_blocks == 1 else "dpp_repeat",
            delta=None,
            rng=check.rng(self.random_state),
        )


def sample_design(
    F_or_basis: Any,
    n_samples: int | str,
    method: str = "dpp_repeat",
    *,
    measure: Any = None,
    zeta: float = 0.0,
    density: Any = None,
    delta: float | None = 0.5,
    n_boost: int = 1,
    reduce_to: float | str | None = None,
    reduce_method: str = "auto",
    replace: bool = True,
    count: str = "draws",
    random_state: Any = None,
) -> Design:
    r"""Draw the points at which m functions are to be fitted by least squares.

    Parameters
    ----------
    F_or_basis : array-like of shape (n_rows, n_features) or basis
        Features of the rows of a pool, whose rank is m; or a basis of m functions, such
        as `LegendreBasis`, on a domain.
    n_samples : int or "auto"
        Number of points, at least m. "auto" is m for "dpp", 2 m if `delta` is None, and
        else grows from 2 m by m until the design is stable, at most to 50 m.
    method : str, default="dpp_repeat"
        How points are drawn, see Notes.
    measure : array-like of shape (n_rows,), default=None
        Nonnegative masses of the rows of a pool, in any scale; None for equal ones. A
        basis has its own law.
    zeta : float, default=0.0
        Share of the independent draws of "mixture" and "gvs" that have the density
        `density`, in [0, 1]; below 1 if the density is zero where features are not.
    density : array-like of shape (n_rows,), default=None
        Nonnegative density h of rows with respect to the masses, in any scale; None
        for 1.
    delta : float or None, default=0.5
        Draw anew, up to 50 times, until the least eigenvalue of G is at least
        ``1 - delta``; in (0, 1). None takes the first draw, whose law is exact.
    n_boost : int, default=1
        Of so many independent designs keep the one with the greatest least eigenvalue.
    reduce_to : int, float, "auto" or None, default=None
        Number of different points to keep of those drawn; a float counts in m. "auto"
        keeps as few as leave the design stable.
    reduce_method : {"auto", "a_optimal", "d_optimal"}, default="auto"
        Remove points one by one, or add them one by one; "auto" adds if `reduce_to` is
        below 1.1 m.
    replace : bool, default=True
        Whether a row that is drawn again counts again. If False, draws go on until
        there are `n_samples` different rows, and each counts once.
    count : {"draws", "labels"}, default="draws"
        What `n_samples` counts: draws, or the different rows among them.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws; an int makes the design repeat itself.

    Returns
    -------
    design : Design

    Raises
    ------
    ValueError
        If `n_samples` is less than m, or more than the rows can give; if masses or a
        density are negative, not finite or all zero; if options do not go together.

    Warns
    -----
    ConvergenceWarning
        If no design was stable; the best one is returned.
    UserWarning
        If features depend linearly on others, or as many independent draws as functions
        are asked for.

    See Also
    --------
    ProjectionDPP : Draw from one pool many times.

    Notes
    -----
    With k the squared norm of the m orthonormal functions, optimal draws have the
    density k/m with respect to the masses, and weights m/k.

    ============  ==================================================================
    "dpp_repeat"  independent blocks of m points of the projection process
    "dpp"         one such block
    "gvs"         volume-rescaled: one block, then independent points
    "volume"      the same with the masses for a density; rows come once
    "iid"         independent optimal points
    "mixture"     independent points, a share `zeta` of them with density h
    "uniform"     points of the law of a basis; rows at random, each once
    "qr"          pivots of a QR factorization, then rows at random; no guarantee
    ============  ==================================================================

    "dpp", "gvs" and "volume" make the fit exactly unbiased, but only for `delta` None,
    without `n_boost` and `reduce_to`, and "gvs" on a pool only if draws are counted.
    Blocks need the fewest points for a stable design.

    Where the same rows are drawn all over again, the draws that the last different rows
    wait for are counted without being made. For "dpp_repeat" they are those of
    independent optimal points, which have the same weights.

    References
    ----------
    .. [1] Nouy & Michel (2023), "Weighted least-squares approximation with
       determinantal point processes and generalized volume sampling",
       arXiv:2312.14057.
    .. [2] Cohen & Migliorati (2017), "Optimal weighted least-squares methods", SMAI
       Journal of Computational Mathematics 3, 181-203.
    .. [3] Haberstich, Nouy & Perrin (2022), "Boosted optimal weighted least-squares",
       Mathematics of Computation 91, 1281-1315.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit.design import sample_design
    >>> F = np.vander(np.linspace(-1.0, 1.0, 1000), 5)
    >>> design = sample_design(F, "auto", random_state=0)
    >>> design.lambda_min >= 0.5
    True
    """
    check.choice("method", method, METHODS)
    if not isinstance(replace, bool | np.bool_):
        raise ValueError(
            f"The 'replace' argument must be True or False. Got {replace!r} instead."
        )
    if density is not None and method not in _MIXTURES:
        raise ValueError(
            f"method={method!r} draws nothing from `density`: use 'mixture' or 'gvs' "
            "with zeta > 0, or leave it None."
        )
    return draw_design(
        _source(F_or_basis, measure, density),
        n_samples if n_samples == "auto" else check.count("n_samples", n_samples),
        method,
        zeta=_share("zeta", zeta),
        delta=None if delta is None else check.fraction("delta", delta),
        n_boost=check.count("n_boost", n_boost),
        reduce_to=reduce_to,
        reduce_method=check.choice("reduce_method", reduce_method, REDUCE_METHODS),
        replace=replace,
        count=check.choice("count", count, COUNTS),
        rng=check.rng(random_state),
    )


def draw_design(
    source: Source,
    n_samples: int | str,
    method: str,
    *,
    zeta: float = 0.0,
    delta: float | None = 0.5,
    n_boost: int = 1,
    reduce_to: float | str | None = None,
    reduce_method: str = "auto",
    replace: bool = True,
    count: str = "draws",
    max_tries: int = 50,
    rng: np.random.Generator,
    run: _parallel.Run = _parallel.in_order,
) -> Design:
    """Draw a design from a source, see `sample_design`.

    Parameters
    ----------
    source : Source
    n_samples, method, zeta, delta, n_boost, reduce_to, reduce_method, replace, count
        Those of `sample_design`.
    max_tries : int, default=50
        How often at most a design is drawn anew.
    rng : Generator
    run : callable
        Runs tasks, on which the design does not depend.

    Returns
    -------
    design : Design
    """
    law = _Law(source, method, zeta, replace, run)
    n_keep = _number_to_keep(reduce_to, source.rank, delta)
    different = count == "labels" or not replace
    n = law.size(n_samples, different)
    least = -1.0 if delta is None else 1.0 - delta
    grows = n_samples == "auto" and delta is not None and method != "dpp"

    def draw() -> _Draws:
        if grows:
            return law.grow(n, least, rng)
        return law.draw_different(n, rng) if different else law.draw(n, rng)

    n_tries = 0
    best: _Draws | None = None
    while best is None or (not best.lambda_min >= least and n_tries < max_tries):
        n_tries = max_tries if grows else n_tries + 1
        for draws in (draw() for _ in range(n_boost)):
            if best is None or draws.lambda_min > best.lambda_min:
                best = draws
    if n_keep == _FEWEST:
        best = _reduce(best, n_keep, reduce_method, least)
    if not best.lambda_min >= least:
        warn(
            f"No design had a least eigenvalue of {least:.3g} or more: the best one, "
            f"of {best.counts.sum()} draws, has {best.lambda_min:.3g}. Draw more "
            "points or raise delta; delta=None takes the first design.",
            ConvergenceWarning,
        )
    if n_keep:
        best = _reduce(best, n_keep, reduce_method, least)
    is_exact = delta is None and n_boost == 1 and n_keep is None
    may_repeat = method == "gvs" and law.pool is not None
    return Design(
        indices=None if law.pool is None else best.points,
        points=best.points if law.pool is None else None,
        weights=best.weights,
        counts=best.counts,
        lambda_min=best.lambda_min,
        lambda_max=best.lambda_max,
        n_tries=1 if grows else n_tries,
        method=method,
        unbiased=method in _UNBIASED and is_exact and not (may_repeat and different),
    )


@dataclass(frozen=True)
class _Draws:
    """Different points, how often each was drawn, and the rows of A = sqrt(w) phi."""

    points: Array
    counts: Array
    weights: Array
    rows: Array

    @property
    def lambda_min(self) -> float:
        return float(self._spectrum[0])

    @property
    def lambda_max(self) -> float:
        return float(self._spectrum[-1])

    @cached_property
    def _spectrum(self) -> Array:
        return eigenvalues(self.rows, self.counts.sum())


class _Law:
    """How the points of a design are drawn and weighed.

    Points come in an order of which every beginning of at least m points obeys the law.
    """

    def __init__(
        self,
        source: Source,
        method: str,
        zeta: float,
        replace: bool,
        run: _parallel.Run,
    ) -> None:
        if method == "mixture" and zeta == 0.0:
            raise ValueError(
                "method='mixture' needs zeta > 0; without a second density use 'iid'."
            )
        if method not in _MIXTURES and zeta != 0.0:
            raise ValueError(
                f"method={method!r} has no second density and zeta={zeta!r}: use "
                "'mixture' or 'gvs', or zeta=0."
            )
        self.source = source
        self.pool = source if isinstance(source, PoolSource) else None
        if self.pool is None and method == "qr":
            raise ValueError(
                "method='qr' factors the rows of a pool, and a basis has none: use "
                "'dpp_repeat'."
            )
        if self.pool is not None and zeta == 1.0:
            without = np.flatnonzero(self.pool.leverage)
            without = without[self.pool.density(without) == 0.0]
            if len(without):
                raise ValueError(
                    "zeta=1 draws from `density` alone, which is zero at rows "
                    f"{_name(without)} although features are not: use zeta < 1, or a "
                    "positive density there."
                )
        self.method = method
        self.zeta = 1.0 if method in ("uniform", "volume") else zeta
        self.replace = replace
        self.run = run

    def size(self, n_samples: int | str, different: bool) -> int:
        """Check how many points are asked for; choose how many to begin with."""
        m = self.source.rank
        most = self._most(different)
        if isinstance(n_samples, str):
            return int(min(m if self.method == "dpp" else _FIRST_BLOCKS * m, most))
        if n_samples < m:
            raise ValueError(
                f"n_samples={n_samples} points do not determine m = {m} independent "
                f"functions: draw at least {m}, or use fewer features."
            )
        if self.method == "dpp" and n_samples > m:
            raise ValueError(
                f"method='dpp' draws m = {m} points, and n_samples={n_samples}: use "
                "'dpp_repeat' or 'gvs'."
            )
        if self.pool is not None and n_samples > most:
            never = np.setdiff1d(np.arange(len(self.pool.masses)), self._drawable())
            names = f" It never draws rows {_name(never)}." if len(never) else ""
            raise ValueError(
                f"n_samples={n_samples} different rows were asked for, and "
                f"method={self.method!r} can draw no more than {most:.0f} from this "
                f"pool.{names}"
            )
        if self.method in ("iid", "mixture") and n_samples == m > 1:
            warn(
                f"{m} independent draws hardly determine {m} functions: draw more, or "
                "use method='dpp'."
            )
        return n_samples

    def draw(self, n: int, rng: np.random.Generator) -> _Draws:
        """Draw n points."""
        return self._tally(self._extend(None, n, rng)[:n])

    def draw_different(self, n: int, rng: np.random.Generator) -> _Draws:
        """Draw until there are n different points."""
        if self.pool is None:
            return self.draw(n, rng)
        points = None
        n_points, step = n, 0
        patience = n * self.source.rank  # one point of each block may be new
        while True:
            points = self._extend(points, n_points, rng)
            _, first = np.unique(points, return_index=True)
            if len(first) >= n:
                return self._tally(points[: np.sort(first)[n - 1] + 1])
            if len(points) >= patience:
                return self._tally(*_wait(self.pool, self.zeta, points, n, rng))
            step = max(n - len(first), 2 * step)
            n_points = len(points) + step

    def grow(self, n: int, least: float, rng: np.random.Generator) -> _Draws:
        """Draw n points, and m more until the least eigenvalue suffices."""
        m = self.source.rank
        most = min(_MOST_BLOCKS * m, self._most(False))
        points = None
        while True:
            points = self._extend(points, n, rng)
            draws = self._tally(points[:n])
            if draws.lambda_min >= least or n >= most:
                return draws
            n = int(min(n + m, most))

    def _most(self, different: bool) -> float:
        is_bounded = self.pool is not None and (different or self.method in _ORDERS)
        return len(self._drawable()) if is_bounded else np.inf

    def _drawable(self) -> Array:
        """Rows of the pool that may be drawn."""
        assert self.pool is not None
        if self.method in _ORDERS:
            return self.pool.support
        return np.flatnonzero(self.pool.probabilities(self.zeta))

    def _extend(self, points: Array | None, n: int, rng: np.random.Generator) -> Array:
        """Draw further points until there are n or more."""
        while points is None or len(points) < n:
            n_drawn = 0 if points is None else len(points)
            more = self._more(n - n_drawn, n_drawn, rng)
            points = more if points is None else np.concatenate([points, more])
        return points

    def _more(self, n: int, n_drawn: int, rng: np.random.Generator) -> Array:
        """Draw the next points, where possible n."""
        source, pool, m = self.source, self.pool, self.source.rank
        if pool is not None and self.method == "uniform":
            return rng.permutation(pool.support)
        if pool is not None and self.method in ("volume", "qr"):
            first = pool.pivots if self.method == "qr" else pool.dpp(rng)
            return np.concatenate([first, pool.others(first, rng)])
        if self.method == "dpp_repeat":
            seeds = rng.integers(2**32, size=(-(-n // m), 4), dtype=np.uint32)
            streams = map(np.random.default_rng, seeds)
            blocks = self.run([(source.dpp, (stream,)) for stream in streams])
            return np.concatenate(blocks)
        if self.method in _UNBIASED and n_drawn == 0:
            return source.dpp(rng)
        if self.zeta == 0.0:
            return source.christoffel(n, rng)
        if self.zeta == 1.0:
            return source.measure(n, rng)
        from_density = rng.random(n) < self.zeta
        points = source.christoffel(n, rng)
        points[from_density] = source.measure(int(from_density.sum()), rng)
        return points

    def _tally(self, points: Array, counts: Array | None = None) -> _Draws:
        """Put equal rows of a pool together, and weigh points."""
        if self.pool is None:
            counts = np.ones(len(points), dtype=np.int64)
        elif counts is None:
            points, counts = np.unique(points, return_counts=True)
        if not self.replace:
            counts = np.ones_like(counts)
        directions, weights, squares = self._weigh(points)
        rows = np.sqrt(counts * squares)[:, None] * directions
        return _Draws(points, counts, counts * weights, rows)

    def _weigh(self, points: Array) -> tuple[Array, Array, Array]:
        """Evaluate phi / |phi|, w and w k, without overflow where k is huge."""
        directions, k = self.source.rows(points)
        if self.pool is not None and self.method in _ORDERS:
            scale = len(self.pool.support)
            weights, squares = self.pool.masses[points], self.pool.leverage[points]
            return directions, scale * weights, scale * squares
        optimal = (1.0 - self.zeta) / self.source.rank
        other = self.zeta * self.source.density(points)
        k = np.minimum(k, _MOST)  # for weights that are not zero
        with np.errstate(divide="ignore"):  # k = 0
            return directions, 1.0 / (optimal * k + other), 1.0 / (optimal + other / k)


def _wait(
    pool: PoolSource, zeta: float, points: Array, n: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw further independent rows until n are different, all at once.

    If the draws come at the times of a Poisson process, each row has a process of its
    own, whose rate is the probability of the row: the first times tell which rows are
    new, and the last of these when to stop.

    Returns
    -------
    points, counts : ndarray of shape (n,)
        Different rows, in ascending order.
    """
    chances = pool.probabilities(zeta)
    counts = np.bincount(points, minlength=len(chances))
    seen = np.flatnonzero(counts)
    unseen = np.flatnonzero((counts == 0) & (chances > 0.0))
    times = rng.standard_exponential(len(unseen)) / chances[unseen]
    soonest = np.argsort(times)[: n - len(seen)]
    new, times = unseen[soonest], times[soonest]
    counts[seen] += rng.poisson(chances[seen] * times[-1])
    counts[new] = 1 + rng.poisson(chances[new] * (times[-1] - times))
    drawn = np.flatnonzero(counts)
    return drawn, counts[drawn]


def _number_to_keep(reduce_to: Any, m: int, delta: float | None) -> int | None:
    """Convert to a number of points, or to `_FEWEST`."""
    if reduce_to is None:
        return None
    if isinstance(reduce_to, str) and reduce_to == "auto":
        if delta is None:
            raise ValueError(
                "reduce_to='auto' keeps the least eigenvalue above 1 - delta, and "
                "delta is None: give a delta in (0, 1)."
            )
        return _FEWEST
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


def _reduce(draws: _Draws, n_keep: int, method: str, least: float) -> _Draws:
    """Keep the best points."""
    n, m = draws.rows.shape
    if n_keep >= n:
        return draws
    if draws.lambda_min <= _SINGULAR * draws.lambda_max:
        if n_keep == _FEWEST:
            return draws
        raise ValueError(
            f"The {n} points of this design do not determine all {m} functions, so "
            "that none can be spared: draw more, or use method='dpp_repeat'."
        )
    if method == "auto":
        adds = n_keep != _FEWEST and n_keep < _FORWARD_BELOW * m
        method = "d_optimal" if adds else "a_optimal"
    if method == "d_optimal":
        ranking = rank_forward(draws.rows, n if n_keep == _FEWEST else n_keep)
    else:
        ranking = rank_backward(draws.rows, max(m, n_keep))
    if n_keep == _FEWEST:
        n_keep = fewest_stable(ranking, draws.rows, draws.counts, least)
    kept = np.sort(ranking[:n_keep])
    return _Draws(
        draws.points[kept], draws.counts[kept], draws.weights[kept], draws.rows[kept]
    )


def _source(F_or_basis: Any, measure: Any, density: Any) -> Source:
    knows_domain = hasattr(F_or_basis, "fit_domain")
    is_class = isinstance(F_or_basis, type)
    if is_class or (hasattr(F_or_basis, "fit") and not knows_domain):
        raise ValueError(
            "The 'F_or_basis' argument must be features of rows, or a basis that knows "
            f"a domain, such as LegendreBasis(). Got {F_or_basis!r} instead: pass what "
            "it transforms rows to."
        )
    if knows_domain:
        if measure is not None or density is not None:
            raise ValueError(
                "measure and density belong to the rows of a pool; a basis has its own "
                "law: leave them None."
            )
        is_fitted = hasattr(F_or_basis, "n_features_in_")
        return BasisSource(F_or_basis if is_fitted else clone(F_or_basis).fit_domain())
    X = check.fit_data(ProjectionDPP(), F_or_basis)
    if measure is not None:
        measure = check.sample_weight(_per_row("measure", measure, len(X)), X)
    pool = orthonormalize(X, measure)
    if density is None:
        return PoolSource(pool)
    values = _per_row("density", density, len(X))
    if pool.masses @ values < np.finfo(np.float64).tiny:
        raise ValueError(
            "The 'density' argument must not be zero at all rows that have mass."
        )
    return PoolSource(pool, values)


def _per_row(name: str, value: Any, n_rows: int) -> Array:
    """Check an argument with a finite number >= 0 for each row; scale it to at most 1.

    Not all of them may be zero.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(value)
            kind = array.dtype.kind
            numbers = array.astype(np.float64) if kind in "biufO" else None
    except (TypeError, ValueError):
        numbers = None
    if numbers is None or numbers.shape != (n_rows,):
        got = "no numbers" if numbers is None else f"shape {numbers.shape}"
        raise ValueError(
            f"The {name!r} argument must be a number for each row, of shape "
            f"({n_rows},). Got {got} instead."
        )
    is_wrong = ~((numbers >= 0.0) & (numbers < np.inf))
    if is_wrong.any():
        row = int(is_wrong.argmax())
        raise ValueError(
            f"The {name!r} argument must be finite and nonnegative. Got "
            f"{numbers[row]} at row {row}."
        )
    if not numbers.any():
        raise ValueError(f"The {name!r} argument must not be zero at all rows.")
    return numbers / numbers.max()


def _share(name: str, value: Any) -> float:
    """Check an argument in [0, 1]."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0.0 <= float(value) <= 1.0):
        raise ValueError(
            f"The {name!r} argument must be a number in [0, 1]. Got {value!r} instead."
        )
    return float(value)


def _name(rows: Array) -> str:
    """List rows, but not more than a few."""
    return ", ".join(map(str, rows[:_NAMED])) + " and others" * (len(rows) > _NAMED)
