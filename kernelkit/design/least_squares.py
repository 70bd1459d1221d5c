"""Least squares from few labels: choose the rows first, then fit."""

import copy
import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_consistent_length

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.design.continuous import BasisSource, sample_pool
from kernelkit.design.features import (
    Space,
    as_named,
    make_space,
    seeded,
    transform,
    with_mass,
)
from kernelkit.design.function_values import evaluate
from kernelkit.design.laws import METHODS, optimal_share
from kernelkit.design.orthonormal import OrthonormalPool
from kernelkit.design.reduce import REDUCE_METHODS
from kernelkit.design.samplers import COUNTS, Design, draw_design
from kernelkit.design.solve import solve
from kernelkit.design.sources import PoolSource, RowSource, Source

_ROWS, _LAW, _SAMPLE = "rows", "law", "sample"  # what points were drawn from
_N_TO_FIT = 1000  # points of a domain to which a transformer is fitted


class DesignLeastSquares(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Linear least squares from few labels, at rows that are chosen at random.

    Of N rows with features :math:`\varphi`, n are drawn, where their optimal density
    favours rows that the others hardly determine, and

    .. math:: \min_\theta \sum_{i \in S} w_i (y_i - \theta' \varphi(x_i))^2

    over the drawn rows S stands in for least squares over all rows. The weights
    :math:`w_i` make it so whatever the targets are: its error is within a small factor
    of the least possible one, from a number of labels near that of features.

    The rows depend on `X`, `sample_weight`, the parameters and `random_state` alone,
    never on targets: `select` names them, and `fit` accepts NaN for the targets of all
    others.

    Parameters
    ----------
    features : transformer or None, default=None
        Makes the features; cloned and fitted to the rows of `X` that have weight. None
        stands for `X` itself.
    sampling : str, default="dpp_repeat"
        How rows are drawn: a method of `sample_design`.
    n_samples : int, "auto" or None, default="auto"
        How many rows; None takes all of them. With "auto", independent draws of m rows,
        of m features, are added until `lambda_min_` is at least ``1 - delta``.
    delta : float or None, default=0.5
        How far the features may be from orthonormal on the drawn rows, in (0, 1):
        designs with ``lambda_min_ < 1 - delta`` are drawn again. None keeps any.
    n_boost : int, default=1
        Of so many designs the one with the largest `lambda_min_` is kept.
    reduce_to : float, "auto" or None, default=None
        Keep of the drawn rows only this many times m, those that determine the fit
        best; with "auto" as few as `delta` allows.
    reduce_method : {"auto", "a_optimal", "d_optimal"}, default="auto"
        Remove rows one by one or add them one by one; "auto" adds for fewer than 1.1 m.
    zeta : float, default=0.0
        For "mixture" and "gvs": share of the independent draws that follow the
        distribution of the rows instead of their leverage, in [0, 1]. It bounds the
        weights by 1 / zeta.
    fit_intercept : bool, default=True
        Whether a constant joins the features.
    count : {"labels", "draws"}, default="labels"
        Whether `n_samples` counts different rows, each of which costs a label, or draws
        with their repetitions.
    max_resample : int, default=50
        How many designs are drawn at most for the sake of `delta`.
    rank_tol : float or None, default=None
        A feature is dropped if no more than this share of its norm is independent of
        the others, in [0, 1); None for rounding errors.
    n_jobs : int or None, default=None
        Number of threads that blocks are drawn on, and that `fit_function` evaluates a
        function on one point at a time. Does not change a bit of the result.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws. With an int, `select` and `fit` draw the same rows; else
        `fit` uses those of the last `select` on the same `X`.

    Attributes
    ----------
    design_ : Design
        The drawn rows or points and their weights.
    coef_ : ndarray of shape (n_features_out,) or (n_outputs, n_features_out)
        Coefficients of the features; zero for dropped ones.
    intercept_ : float or ndarray of shape (n_outputs,)
        The constant; 0 without `fit_intercept`.
    features_ : transformer or None
        Fitted.
    rank_ : int
        Number m of independent features, with the constant.
    n_labels_ : int
        Number of different rows or points whose targets were used.
    lambda_min_ : float
        Least eigenvalue of the weighted Gram matrix of the orthonormal features on the
        drawn rows: 1 is best, and at 0 they do not determine the fit.
    condition_number_ : float
        Of the least squares problem on orthonormal features; at least 1.
    loo_error_ : float or ndarray of shape (n_outputs,)
        Mean squared error estimated by leaving each drawn row out; infinite if one
        row alone determines a feature, and far too large if one nearly does, as with
        heavy tails. Too small, maybe, where `lambda_min_` is near 0.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if `X` holds NaN or infinity, if the target of a chosen row is NaN, if
        weights are negative or all zero, or if fewer rows than features are asked for.

    Warns
    -----
    ConvergenceWarning
        By `fit` and `select`, if no design reaches ``1 - delta``.
    UserWarning
        By `fit` and `select`, if features depend linearly on others.

    See Also
    --------
    sample_design : The designs alone.

    References
    ----------
    .. [1] Cohen & Migliorati (2017), "Optimal weighted least-squares methods", SMAI
       Journal of Computational Mathematics 3, 181-203.
    .. [2] Nouy & Michel (2025), "Weighted least-squares approximation with
       determinantal point processes and generalized volume sampling", arXiv 2312.14057.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from kernelkit.design import DesignLeastSquares
    >>> X = np.linspace(-1.0, 1.0, 1000)[:, None]
    >>> cubic = DesignLeastSquares(PolynomialFeatures(3), random_state=0)
    >>> rows = cubic.select(X).indices
    >>> y = np.full(1000, np.nan)
    >>> y[rows] = X[rows, 0] ** 3  # label no others
    >>> bool(cubic.fit(X, y).n_labels_ < 50)
    True
    >>> cubic.predict([[0.5]]).round(6).tolist()
    [0.125]
    """

    _parameter_constraints = {
        "features": [BaseEstimator, None],
        "sampling": check.one_of(*METHODS),
        "n_samples": [*check.one_of("auto"), *check.WHOLE, None],
        "delta": [*check.POSITIVE, None],
        "n_boost": check.WHOLE,
        "reduce_to": [*check.one_of("auto"), *check.POSITIVE, None],
        "reduce_method": check.one_of(*REDUCE_METHODS),
        "zeta": check.SHARE,
        "fit_intercept": check.BOOLEAN,
        "count": check.one_of(*COUNTS),
        "max_resample": check.WHOLE,
        "rank_tol": [*check.SHARE_BELOW_1, None],
        "n_jobs": check.N_JOBS,
        "random_state": check.RANDOM_STATE,
    }

    def __init__(
        self,
        features: Any = None,
        *,
        sampling: str = "dpp_repeat",
        n_samples: int | str | None = "auto",
        delta: float | None = 0.5,
        n_boost: int = 1,
        reduce_to: float | str | None = None,
        reduce_method: str = "auto",
        zeta: float = 0.0,
        fit_intercept: bool = True,
        count: str = "labels",
        max_resample: int = 50,
        rank_tol: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.features = features
        self.sampling = sampling
        self.n_samples = n_samples
        self.delta = delta
        self.n_boost = n_boost
        self.reduce_to = reduce_to
        self.reduce_method = reduce_method
        self.zeta = zeta
        self.fit_intercept = fit_intercept
        self.count = count
        self.max_resample = max_resample
        self.rank_tol = rank_tol
        self.n_jobs = n_jobs
        self.random_state = random_state

    @check.params
    def select(self, X: Any, sample_weight: Any = None) -> Design:
        """Choose the rows to label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative weights of the rows in the error; rows of weight 0 are never
            chosen.

        Returns
        -------
        design : Design
            Its `indices` are the rows.
        """
        rows = check.fit_data(clone(self), X)  # an unfitted estimator stays so
        weights = check.sample_weight(sample_weight, rows)
        rng = check.rng(self.random_state)
        pool = with_mass(X, rows, weights)
        features = self._fit_features(pool.X, rng)
        _, orthonormal = make_space(
            features, pool, centers=self.fit_intercept, tol=self.rank_tol
        )
        source = PoolSource(orthonormal)
        design = self._draw(source, self.n_samples, rng)
        if not isinstance(self.random_state, Integral):
            key = self._fingerprint(rows, weights)
            self._selected = _Selected(key, features, design)
        return pool.as_given(design)

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose rows and fit their targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets. Those of rows that are not chosen have no influence and may be NaN.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative weights of the rows in the error, not all zero; rows of weight 0
            are never chosen.

        Returns
        -------
        self : DesignLeastSquares
        """
        y = check.partly_known_targets(self, y)
        rows = check.fit_data(self, X)
        check_consistent_length(rows, y)
        weights = check.sample_weight(sample_weight, rows)
        rng = check.rng(self.random_state)
        pool = with_mass(X, rows, weights)
        selected = self._recall(rows, weights)
        features = selected.features if selected else self._fit_features(pool.X, rng)
        space, orthonormal = make_space(
            features, pool, centers=self.fit_intercept, tol=self.rank_tol
        )
        source = PoolSource(orthonormal)
        if selected is None:
            design = self._draw(source, self.n_samples, rng)
        else:
            design = selected.design
        given = pool.as_given(design)
        y = y[_places(given)]
        self._fit_chosen(features, space, source.log_rows(_places(design)), given, y)
        return self

    @check.params
    def fit_function(
        self,
        f: Callable[[Array], Any],
        basis: Any = None,
        n_samples: int | str | None = None,
        *,
        measure: Any = None,
        density: Any = None,
        vectorized: bool = True,
    ) -> Self:
        r"""Choose points of a domain, evaluate a function there and fit the values.

        The constant is fitted only if it is in the span of the basis.

        Parameters
        ----------
        f : callable
            The function: ``(n, d) -> (n,)`` or ``(n, d) -> (n, n_outputs)``.
        basis : transformer or None, default=None
            Span of the approximation; None stands for `features`, and if they are None
            for the coordinates of points. On the domain of a `LegendreBasis`,
            `HermiteBasis`, `ChebyshevBasis` or `FourierBasis` points are drawn exactly.
            What is fitted keeps its domain, or its state, and loses names of features.
        n_samples : int, "auto" or None, default=None
            Number of evaluations; None stands for the parameter `n_samples`.
        measure : callable or None, default=None
            Needed for other bases: ``(n, rng) -> (n, d)`` draws n independent points of
            the law in whose mean square the error counts. A pool of such points, enough
            for the basis, then stands in for the domain. None is the law of the basis.
        density : callable or None, default=None
            Changes that law: ``(n, d) -> (n,)``, nonnegative, in any scale, is the
            density of the new one with respect to it.
        vectorized : bool, default=True
            False calls `f` with one point at a time, of shape (d,), on `n_jobs`
            threads.

        Returns
        -------
        self : DesignLeastSquares

        Raises
        ------
        ValueError
            If `f` returns another shape or numbers that are not finite; the message
            names the point.
        """
        if n_samples is None:
            n_samples = self.n_samples
        elif n_samples != "auto":
            n_samples = check.count("n_samples", n_samples)
        rng = check.rng(self.random_state)
        basis = self.features if basis is None else basis
        knows_law = hasattr(basis, "fit_domain") and measure is None
        if knows_law:
            basis = basis.on_known_domain()
            measure = basis.domain.draw
        if knows_law and density is None:
            source: Source = BasisSource(basis)
            design = self._draw(source, n_samples, rng)
            points = _places(design)
            self._origin = _LAW
        else:
            basis, points, pool = self._sample_domain(basis, measure, density, rng)
            source = PoolSource(pool)
            design = self._draw(source, n_samples, rng)
            points = points[_places(design)]
            self._origin = _SAMPLE
        check.fit_data(self, points)  # sets the number of features
        y = evaluate(f, points, vectorized, self.n_jobs)
        theta = self._solve(source.log_rows(_places(design)), design, y)
        if isinstance(source, PoolSource):
            with np.errstate(over="ignore"):
                theta = source.pool.to_features(theta)
        self.design_ = replace(design, indices=None, points=points)
        self._keep(basis, theta, np.zeros(len(theta)), np.zeros(y.shape[1:]))
        return self

    def predict(self, X: Any) -> Array:
        """Evaluate the fitted function.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
        """
        check.is_fitted(self)
        rows = check.query_data(self, X)
        F = transform(self.features_, as_named(X, rows))
        with np.errstate(over="ignore", invalid="ignore"):
            y = (F - self._center) @ self.coef_.T + self._level
        if not np.isfinite(y).all():
            raise ValueError(
                "Predictions overflow so far from the training rows: rescale the "
                "features."
            )
        return y

    def _source(self, X: Any = None, sample_weight: Any = None) -> Source:
        """Find what further designs would be drawn from; None is the fitted domain."""
        if X is None:
            if self._origin == _LAW:
                return BasisSource(self.features_)
            raise ValueError(
                "X has to be given, rows that stand in for the measure: only on the "
                "domain of LegendreBasis and its like, by their own law, are further "
                "points drawn."
            )
        rows = check.query_data(self, X)
        pool = with_mass(X, rows, check.sample_weight(sample_weight, rows))
        centers = self.fit_intercept and self._origin == _ROWS
        _, orthonormal = make_space(
            self.features_, pool, centers=centers, tol=self.rank_tol, tells=False
        )
        return PoolSource(orthonormal)

    def _fit_features(self, X: Any, rng: np.random.Generator) -> Any:
        """Fit a clone of the transformer."""
        features = self.features
        return None if features is None else seeded(features, rng).fit(X, None)

    def _sample_domain(
        self, basis: Any, measure: Any, density: Any, rng: np.random.Generator
    ) -> tuple[Any, Array, OrthonormalPool]:
        """Sample points of a domain on which the features can be made orthonormal."""
        if not callable(measure):
            raise ValueError(
                f"basis={basis!r} does not know a domain: pass a function "
                "measure(n, rng) that draws n points of it, or a basis that does, such "
                "as LegendreBasis."
            )
        if basis is not None and not _is_fitted(basis):
            basis = seeded(basis, rng).fit(measure(_N_TO_FIT, rng))
        elif hasattr(basis, "fit_domain"):
            basis = basis.on_known_domain()
        else:
            basis = copy.deepcopy(basis)  # the caller may fit it again
        points, pool = sample_pool(
            lambda points: transform(basis, points), measure, density, rng=rng
        )
        return basis, points, pool

    def _draw(
        self,
        source: Source,
        n_samples: int | str | None,
        rng: np.random.Generator,
        run: _parallel.Run | None = None,
    ) -> Design:
        """Draw a design; where it is made of all rows, they count as they are."""
        n_all = 0
        if isinstance(source, RowSource):
            n_all = int(np.count_nonzero(source.masses))
        counts_rows = self.count == "labels"
        takes_all = n_samples is None or (
            counts_rows and self.sampling != "dpp" and n_samples == n_all
        )
        if not (n_all and takes_all):
            n_samples = "auto" if n_samples is None else n_samples
            design = self._draw_by(
                self.sampling, source, n_samples, rng, run, zeta=self.zeta
            )
            if not (n_all and counts_rows and design.n_labels == n_all):
                return design
        return self._draw_by("volume", source, n_all, rng, run, zeta=0.0)

    def _draw_by(
        self,
        sampling: str,
        source: Source,
        n_samples: int | str,
        rng: np.random.Generator,
        run: _parallel.Run | None,
        *,
        zeta: float,
    ) -> Design:
        delta = self.delta
        with _parallel.threads(self.n_jobs) as threads:
            return draw_design(
                source,
                n_samples,
                sampling,
                zeta=zeta,
                delta=None if delta is None else check.fraction("delta", delta),
                n_boost=self.n_boost,
                reduce_to=self.reduce_to,
                reduce_method=self.reduce_method,
                count=self.count,
                max_tries=self.max_resample,
                rng=rng,
                run=run or threads,
            )

    def _fingerprint(self, X: Array, weights: Array | None) -> str:
        """Digest what a selection depends on, other than random numbers."""
        digest = hashlib.blake2b(repr(X.shape).encode())
        digest.update(self._fingerprint_of_params())
        digest.update(X.data)
        digest.update((np.ones(len(X)) if weights is None else weights).data)
        return digest.hexdigest()

    def _fingerprint_of_params(self) -> bytes:
        params = clone(self).get_params(deep=False)  # what they were fitted to is not
        del params["random_state"], params["n_jobs"]
        try:
            return pickle.dumps(params)
        except (pickle.PicklingError, AttributeError, TypeError):  # a lambda in it
            return repr(params).encode()

    def _recall(self, X: Array, weights: Array | None) -> "_Selected | None":
        """Find the last selection, if it was made for the same rows."""
        selected = vars(self).get("_selected")
        if isinstance(self.random_state, Integral) or selected is None:
            return None
        return selected if selected.key == self._fingerprint(X, weights) else None

    def _fit_chosen(
        self,
        features: Any,
        space: Space,
        rows: tuple[Array, Array],
        design: Design,
        y: Array,
    ) -> None:
        """Fit the targets of the chosen rows, at which `rows` are the functions."""
        _refuse_unknown(y, _places(design))
        middle = np.partition(y, len(y) // 2, axis=0)[len(y) // 2]
        base = middle if self.fit_intercept else 0.0 * middle
        theta = self._solve(rows, design, y - base)
        with np.errstate(over="ignore"):
            beta = space.change.to_features(theta)
        if self.fit_intercept:
            base, beta = base + beta[0], beta[1:]
        coef = np.zeros((len(space.center), *y.shape[1:]))
        coef[space.varying] = beta
        self.design_ = design
        self._origin = _ROWS
        self._keep(features, coef, space.center, base)

    def _solve(self, rows: tuple[Array, Array], design: Design, y: Array) -> Array:
        """Solve for coefficients on the orthonormal functions, and say how well."""
        directions, log_christoffel = rows
        rank = directions.shape[1]
        with np.errstate(divide="ignore"):  # no optimal draws
            share = np.float64(optimal_share(design.method, self.zeta))
            limits = design.counts * rank / share
        fit = solve(
            directions, log_christoffel, design.weights, design.n_draws, y, limits
        )
        self.rank_ = rank
        self.n_labels_ = design.n_labels
        self.lambda_min_ = fit.lambda_min
        self.condition_number_ = fit.condition_number
        self.loo_error_ = fit.loo_error if y.ndim > 1 else float(fit.loo_error)
        return fit.theta

    def _keep(self, features: Any, coef: Array, center: Array, level: Array) -> None:
        """Store a function ``(features - center) @ coef + level``."""
        if not np.isfinite(coef).all():
            raise ValueError(
                "Coefficients overflow: the features are too small, or the targets too "
                "large: rescale them."
            )
        self.features_ = features
        self.coef_ = np.ascontiguousarray(coef.T)
        intercept = level - center @ coef
        self.intercept_ = intercept if coef.ndim > 1 else float(intercept)
        self._center, self._level = center, level


@dataclass(frozen=True)
class _Selected:
    """What `fit` needs to know of a `select` before it."""

    key: str
    features: Any
    design: Design


def _places(design: Design) -> Array:
    """Rows of a pool, or points of a domain."""
    places = design.points if design.indices is None else design.indices
    assert places is not None
    return places


def _refuse_unknown(y: Array, indices: Array) -> None:
    unknown = indices[np.isnan(y.reshape(len(y), -1)).any(axis=1)].tolist()
    if unknown:
        raise ValueError(
            f"Input y contains NaN at rows that the design chooses: label rows "
            f"{unknown}. select(X) names all of them, and is followed by fit if "
            "random_state is an int or X is the same."
        )


def _is_fitted(features: Any) -> bool:
    try:
        check.is_fitted(features)
    except NotFittedError:
        return False
    return True
