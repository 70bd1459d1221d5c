"""Random designs: which points to evaluate or label, with which weights."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.design.continuous import BasisSource
from kernelkit.design.laws import METHODS, MIXTURES, UNBIASED, Draws, Law
from kernelkit.design.orthonormal import orthonormalize
from kernelkit.design.reduce import FEWEST, REDUCE_METHODS, number_to_keep, reduce
from kernelkit.design.sources import PoolSource, Source

COUNTS = ("draws", "labels")


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
    if density is not None and method not in MIXTURES:
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
    law = Law(source, method, zeta, replace, run)
    n_keep = number_to_keep(reduce_to, source.rank, delta)
    different = count == "labels" or not replace
    n = law.size(n_samples, different)
    least = -1.0 if delta is None else 1.0 - delta
    grows = n_samples == "auto" and delta is not None and method != "dpp"

    def draw() -> Draws:
        if grows:
            return law.grow(n, least, rng)
        return law.draw_different(n, rng) if different else law.draw(n, rng)

    n_tries = 0
    best: Draws | None = None
    while best is None or (not best.lambda_min >= least and n_tries < max_tries):
        n_tries = max_tries if grows else n_tries + 1
        for draws in (draw() for _ in range(n_boost)):
            if best is None or draws.lambda_min > best.lambda_min:
                best = draws
    if n_keep == FEWEST:
        best = reduce(best, n_keep, reduce_method, least)
    if not best.lambda_min >= least:
        warn(
            f"No design had a least eigenvalue of {least:.3g} or more: the best one, "
            f"of {best.counts.sum()} draws, has {best.lambda_min:.3g}. Draw more "
            "points or raise delta; delta=None takes the first design.",
            ConvergenceWarning,
        )
    if n_keep:
        best = reduce(best, n_keep, reduce_method, least)
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
        unbiased=method in UNBIASED and is_exact and not (may_repeat and different),
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
        return BasisSource(F_or_basis.on_known_domain())
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
