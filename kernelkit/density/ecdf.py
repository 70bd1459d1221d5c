"""The exact multivariate empirical distribution function."""

import math
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from sklearn.base import BaseEstimator

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.density import ranks, sums

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]


class MultivariateECDF(BaseEstimator):
    r"""Exact empirical distribution function of rows with several features.

    For training rows :math:`x_i` with weights :math:`w_i` that sum to :math:`W`,

    .. math:: F(q) = \frac{1}{W} \sum_{i=1}^{n} w_i \prod_{k=1}^{d} 1\{x_{ik} \le q_k\}.

    Ties count: F is right-continuous and a training row counts itself. Only the order
    of the numbers matters, so infinities are welcome, integers are exact whatever
    their size, and no scaling is needed. Without weights the sums are exact integers.

    Parameters
    ----------
    algorithm : {"auto", "sweep", "tree", "bitset", "brute"}, default="auto"
        How dominated rows are counted; the result is the same.

        - "sweep": one pass in the order of a feature, for at most 2 features, close
          to O(n log n);
        - "tree": divide and conquer, O(n log(n)^(d-1)), any number of features;
        - "bitset": compares rows 64 at a time, O(n^2 d / 64), not with weights;
        - "brute": compares all pairs of rows, O(n^2 d);
        - "auto": the least of an estimate of their work.
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.

    Attributes
    ----------
    algorithm_ : str
        The algorithm that evaluates the function at the training rows. With "auto",
        another number of query rows may be better served by another one.
    sorted_values_ : ndarray of shape (n_features, n_samples)
        Each feature of the training rows in ascending order, in the dtype of `X`.
    ranks_ : ndarray of shape (n_features, n_samples), dtype int32
        Place of each training row in `sorted_values_`, from 0.
    sample_weight_ : ndarray of shape (n_samples,) or None
        Weights of the training rows; None if they are all equal.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if `X` holds NaN, or if weights are negative or all zero.
    NotImplementedError
        By `fit`, if `X` has 2**31 rows or more.

    See Also
    --------
    ecdf : The same as a function.
    empirical_copula : The distribution function of the ranks.

    References
    ----------
    .. [1] Langrené & Warin (2020), "Fast multivariate empirical cumulative distribution
       function with connection to kernel density estimation", arXiv:2005.03246.
    .. [2] Bentley (1980), "Multidimensional divide-and-conquer", CACM 23(4), 214-229.

    Examples
    --------
    >>> from kernelkit import MultivariateECDF
    >>> X = [[1, 1], [2, 3], [2, 3], [3, 2], [0, 4]]
    >>> distribution = MultivariateECDF().fit(X)
    >>> distribution.cdf().tolist()
    [0.2, 0.6, 0.6, 0.4, 0.2]
    >>> distribution.cdf([[2, 2], [3, 4]]).tolist()
    [0.2, 1.0]
    >>> distribution.survival([[0, 1]]).tolist()
    [0.6]
    """

    _parameter_constraints = {
        "algorithm": check.one_of("auto", *sums.ALGORITHMS),
        "n_jobs": check.N_JOBS,
    }

    def __init__(self, *, algorithm: str = "auto", n_jobs: int | None = None) -> None:
        self.algorithm = algorithm
        self.n_jobs = n_jobs

    @check.params
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Rank the training rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows; bool, integers or floats, infinities allowed.
        y : None
            Ignored; here for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row alike.

        Returns
        -------
        self : MultivariateECDF
        """
        X = check.ordered_fit_data(self, X)
        weights = check.sample_weight(sample_weight, X)
        self.algorithm_ = sums.choose(
            self.algorithm, len(X), len(X), X.shape[1], weighted=weights is not None
        )
        with _parallel.threads(self.n_jobs) as run:
            self.sorted_values_, self.ranks_ = ranks.rank_columns(X, run=run)
        self.sample_weight_ = weights
        return self

    def cdf(self, X: Any = None) -> Values:
        """Evaluate the distribution function.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Query rows; None stands for the training rows and is faster than passing
            them again.

        Returns
        -------
        probabilities : ndarray of shape (n_queries,)
            F at each query, in [0, 1].
        """
        check.is_fitted(self)
        return self._evaluate(X, np.zeros(self.n_features_in_, dtype=bool))

    def predict(self, X: Any) -> Values:
        """Evaluate the distribution function; the same as `cdf`.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        probabilities : ndarray of shape (n_queries,)
            F at each query, in [0, 1].
        """
        return self.cdf(X)

    def survival(self, X: Any = None) -> Values:
        """Evaluate the weight of the rows that exceed a query in every feature.

        With one feature this is ``1 - cdf``; with more it is not, since a row may
        exceed the query in some features only.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Query rows; None stands for the training rows.

        Returns
        -------
        probabilities : ndarray of shape (n_queries,)
            Share of the weight with ``x > query`` in every feature, in [0, 1].
        """
        check.is_fitted(self)
        return self._evaluate(X, np.ones(self.n_features_in_, dtype=bool))

    def orthant(self, X: Any, signs: Any) -> Values:
        """Evaluate the weight of the rows in one orthant of each query.

        The 2**n_features orthants of a query share the whole weight among them.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None
            Query rows; None stands for the training rows.
        signs : sequence of n_features numbers
            For each feature -1 for ``x <= query`` or +1 for ``x > query``.

        Returns
        -------
        probabilities : ndarray of shape (n_queries,)
            Share of the weight in that orthant, in [0, 1].
        """
        check.is_fitted(self)
        return self._evaluate(X, check.signs(signs, self.n_features_in_) > 0)

    def evaluate_grid(self, axes: Any, kind: str = "cdf") -> Values:
        """Evaluate the function at every node of a rectilinear grid.

        A histogram and a cumulative sum along each axis: O(n + nodes) per feature,
        whatever the number of features.

        Parameters
        ----------
        axes : sequence of n_features array-likes
            Nodes along each feature, strictly increasing and finite.
        kind : {"cdf", "survival"}, default="cdf"
            Which function.

        Returns
        -------
        probabilities : ndarray of shape (len(axes[0]), ..., len(axes[-1]))
            Values in [0, 1].

        Raises
        ------
        MemoryError
            If the grid has more nodes than fit in memory.
        """
        check.is_fitted(self)
        axes = check.grid_axes(axes, self.n_features_in_)
        upper = check.choice("kind", kind, ("cdf", "survival")) == "survival"
        n_nodes = math.prod(len(axis) + 1 for axis in axes)
        check.memory(16 * n_nodes, "give fewer nodes per axis")  # sums and shares
        return shares(self._grid_totals(axes, upper), self._whole())

    def confidence_band(
        self, X: Any = None, *, level: float = 0.95, method: str = "dkw"
    ) -> tuple[Values, Values]:
        r"""Bound the distribution that the training rows were drawn from.

        "dkw" holds at all points at once with probability at least `level`, for any
        distribution of independent rows: the half width is

        .. math:: \sqrt{\log(c / (1 - \mathrm{level})) / (2 n)}, \qquad
           c = 2 \text{ if } d = 1, \quad c = d (n + 1) \text{ otherwise}

        [1]_ [2]_. It needs equal weights. "wilson" is the score interval of a
        binomial share [3]_: it holds at each point alone and approximately; with
        weights n is replaced by :math:`(\sum w)^2 / \sum w^2`.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Query rows; None stands for the training rows.
        level : float, default=0.95
            Probability that the band holds, in (0, 1).
        method : {"dkw", "wilson"}, default="dkw"
            Simultaneous or pointwise band.

        Returns
        -------
        low, high : ndarray of shape (n_queries,)
            Bounds in [0, 1].

        Raises
        ------
        ValueError
            If "dkw" is asked for rows with unequal weights.

        References
        ----------
        .. [1] Massart (1990), "The tight constant in the Dvoretzky-Kiefer-Wolfowitz
           inequality", Annals of Probability 18(3), 1269-1283.
        .. [2] Naaman (2021), "On the tight constant in the multivariate
           Dvoretzky-Kiefer-Wolfowitz inequality", Statistics & Probability Letters
           173, 109088.
        .. [3] Wilson (1927), "Probable inference, the law of succession, and
           statistical inference", JASA 22(158), 209-212.
        """
        check.is_fitted(self)
        level = check.fraction("level", level)
        if check.choice("method", method, ("dkw", "wilson")) == "wilson":
            return _wilson_band(self.cdf(X), self._effective_samples(), level)
        if self.sample_weight_ is not None:
            raise ValueError(
                "method='dkw' is proved for equal weights only, and sample_weight is "
                "not constant: use method='wilson'."
            )
        n_samples = self._effective_samples()
        d = self.n_features_in_
        constant = 2 if d == 1 else d * (n_samples + 1)
        half_width = np.sqrt(np.log(constant / (1.0 - level)) / (2 * n_samples))
        center = self.cdf(X)
        return np.maximum(center - half_width, 0.0), np.minimum(
            center + half_width, 1.0
        )

    def _evaluate(self, X: Any, upper: npt.NDArray[np.bool_]) -> Values:
        """Evaluate an orthant: > where `upper`, <= elsewhere."""
        columns, places, weights = self.sorted_values_, self.ranks_, self.sample_weight_
        own = X is None
        algorithm = self.algorithm_
        if not own:
            X = check.ordered_query_data(self, X)
            if self.algorithm == "auto":
                algorithm = sums.choose(
                    "auto", places.shape[1], *X.shape, weighted=weights is not None
                )
        with _parallel.threads(self.n_jobs) as run:
            if own:
                thresholds = ranks.own_thresholds(columns, places, run=run)
            else:
                thresholds = ranks.query_thresholds(columns, X, run=run)
            totals = sums.dominance_sums(
                *ranks.flip(places, thresholds, upper),
                weights,
                own=own,
                algorithm=algorithm,
                run=run,
            )
        return shares(totals, self._whole())

    def _grid_totals(self, axes: list[Array], upper: bool) -> Values:
        return grid_totals(
            self.sorted_values_, self.ranks_, axes, self.sample_weight_, upper
        )

    def _whole(self) -> float:
        """Total weight of the training rows, or their number."""
        weights = self.sample_weight_
        return float(self.ranks_.shape[1] if weights is None else weights.sum())

    def _effective_samples(self) -> float:
        weights = self.sample_weight_
        if weights is None:
            return float(self.ranks_.shape[1])
        weights = weights / weights.max()  # squares of huge weights would overflow
        return float(weights.sum() ** 2 / np.square(weights).sum())


def ecdf(X: Any, queries: Any = None, sample_weight: Any = None) -> Values:
    """Evaluate the exact empirical distribution function of the rows of `X`.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows; bool, integers or floats, infinities allowed.
    queries : array-like of shape (n_queries, n_features) or None, default=None
        Where to evaluate, possibly no row at all; None stands for the rows of `X`.
    sample_weight : array-like of shape (n_samples,), default=None
        Nonnegative row weights, not all zero.

    Returns
    -------
    probabilities : ndarray of shape (n_queries,)
        Weight share of the rows that are <= the query in every feature, in [0, 1].

    Raises
    ------
    ValueError
        If `X` or `queries` hold NaN, or weights are negative or all zero.

    See Also
    --------
    MultivariateECDF : The same as an estimator, with survival, grids and bands.

    Examples
    --------
    >>> from kernelkit import ecdf
    >>> ecdf([[0.0], [1.0], [1.0], [2.0]]).tolist()
    [0.25, 0.75, 0.75, 1.0]
    """
    distribution = MultivariateECDF().fit(X, sample_weight=sample_weight)
    if queries is not None and np.shape(queries) == (0, distribution.n_features_in_):
        return np.empty(0)
    return distribution.cdf(queries)


def empirical_copula(X: Any, U: Any = None) -> Values:
    r"""Evaluate the empirical copula, the distribution function of the scaled ranks.

    Row i becomes :math:`u_i = r_i / (n + 1)`, where :math:`r_{ik}` is the number of
    rows that are <= row i in feature k, and

    .. math:: C(u) = \frac{1}{n} \sum_{i=1}^{n} \prod_{k=1}^{d} 1\{u_{ik} \le u_k\}.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows; bool, integers or floats, infinities allowed.
    U : array-like of shape (n_queries, n_features) or None, default=None
        Where to evaluate, in [0, 1]; None stands for the scaled ranks themselves, where
        C equals the empirical distribution function at the rows of `X`.

    Returns
    -------
    probabilities : ndarray of shape (n_queries,)
        C at each query, in [0, 1].

    Raises
    ------
    ValueError
        If `X` or `U` hold NaN.

    References
    ----------
    .. [1] Deheuvels (1979), "La fonction de dépendance empirique et ses propriétés",
       Bulletin de la Classe des Sciences 65, 274-292.

    Examples
    --------
    >>> from kernelkit import empirical_copula
    >>> empirical_copula([[1, 10], [2, 30], [3, 20]], [[0.5, 0.5]]).tolist()
    [0.3333333333333333]
    """
    distribution = MultivariateECDF().fit(X)
    if U is None:
        return distribution.cdf()
    counts = ranks.own_thresholds(
        distribution.sorted_values_, distribution.ranks_, run=_parallel.in_order
    )
    U = check.ordered_query_data(distribution, U)
    return ecdf(counts.T / (counts.shape[1] + 1), U)


def grid_totals(
    columns: Iterable[Array],
    places: Array,
    axes: Iterable[Array],
    weights: Array | None,
    upper: bool,
) -> Values:
    """Sum the weights of ranked rows at the nodes of a grid, or beyond them."""
    nodes = [
        ranks.count_not_above(column, axis)
        for column, axis in zip(columns, axes, strict=True)
    ]
    return sums.grid_sums(places, nodes, weights, upper=upper)


def shares(totals: Values, whole: float) -> Values:
    """Divide sums by the whole weight; rounding may not exceed 1."""
    values = totals / whole
    return np.minimum(values, 1.0, out=values)


def _wilson_band(
    share: Values, n_samples: float, level: float
) -> tuple[Values, Values]:
    z = ndtri((1.0 + level) / 2.0)
    shrink = 1.0 + z**2 / n_samples
    center = (share + z**2 / (2.0 * n_samples)) / shrink
    spread = np.sqrt(share * (1.0 - share) / n_samples + (z / (2.0 * n_samples)) ** 2)
    half_width = z * spread / shrink
    low = np.clip(center - half_width, 0.0, share)  # rounding may not shut it out
    return low, np.clip(center + half_width, share, 1.0)
