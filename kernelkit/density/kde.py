"""Kernel density estimation with product kernels, exact and in quasi-linear time."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.density import bandwidth as bandwidths
from kernelkit.density.kernel_sums import (
    ALGORITHMS,
    choose,
    grid_sums,
    kernel_sums,
    log_kernel_sums,
)
from kernelkit.density.kernels1d import KERNELS, Function1D, Kernel, find

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]

_MOST_TRAVERSALS = 64  # for the distribution function
_CELLS = 2**20  # numbers in a block of pairs


class ProductKernelDensity(DensityMixin, BaseEstimator):
    r"""Exact kernel density estimate with a product kernel.

    For training rows :math:`x_i` with weights :math:`w_i` that sum to :math:`W`, a
    kernel K and a bandwidth :math:`h_k` for each feature,

    .. math:: f(q) = \frac{1}{W} \sum_{i=1}^{n} w_i
       \prod_{k=1}^{d} \frac{1}{h_k} K\Bigl(\frac{q_k - x_{ik}}{h_k}\Bigr).

    Kernels that decay exponentially are summed exactly in quasi-linear time, at any
    bandwidth; so are compact ones of one or two features. With more, these visit only
    the pairs of rows that are close enough.

    Parameters
    ----------
    kernel : str or sequence of float, default="laplacian"
        Smoothing kernel K(u), normalised, by its shape:

        - "laplacian", ``exp(-|u|)``; "matern32", ``(1 + |u|) exp(-|u|)``; "matern52",
          ``(3 + 3|u| + u^2) exp(-|u|)``; "sargan",
          ``(15 + 15|u| + 6 u^2 + |u|^3) exp(-|u|)``;
        - coefficients c >= 0 of any ``sum_l c[l] |u|^l exp(-|u|)``, at most 6;
        - "silverman", ``exp(-|u|/r) sin(|u|/r + pi/4)`` with ``r = sqrt(2)``, whose
          variance is 0 and which has negative values;
        - zero for ``|u| >= 1``: "uniform", "triangular", "epanechnikov", "biweight",
          "triweight", "tricube", "cosine";
        - "gaussian", which is not decomposable: all pairs of rows are visited.
          "matern52" with ``1 / sqrt(6)`` of its bandwidth has the same variance and
          resembles it.
    bandwidth : str, float or array-like, default="normal_reference"
        Width of the kernel, > 0, in the unit of each feature: one number for all, or
        one of each, of shape (n_features,), or a rule.
        See `select_bandwidth` for the rules:
        "normal_reference", "scott", "silverman", "cv_ml", "cv_ls".
    algorithm : {"auto", "tree", "window", "brute"}, default="auto"
        How the sums are computed; the result is the same up to rounding.

        - "tree": sweeps and divide and conquer, O(n log(n)^(d-1)), for kernels that
          decay exponentially, and compact ones of at most 2 features;
        - "window": visits the pairs closer than the bandwidth, for compact kernels;
        - "brute": visits all pairs, O(n^2 d);
        - "auto": the least of an estimate of their work.
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.

    Attributes
    ----------
    bandwidth_ : ndarray of shape (n_features,)
        Bandwidth of each feature, in its unit.
    algorithm_ : str
        The algorithm that evaluates the density at the training rows. With "auto",
        another number of query rows may be better served by another one.
    X_fit_ : ndarray of shape (n_samples, n_features)
        Training rows.
    sample_weight_ : ndarray of shape (n_samples,) or None
        Weights of the training rows; None if they are all equal.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if `X` holds NaN or infinity, if weights are negative or all zero, if
        a bandwidth is not positive, or if a rule has only one row.

    Warns
    -----
    UserWarning
        By `fit`, if a rule meets a constant column, whose bandwidth becomes 1, or if
        cross-validation ends at the least bandwidth that is allowed.

    See Also
    --------
    select_bandwidth : The bandwidth alone.
    MultivariateECDF : The distribution function without a bandwidth.

    References
    ----------
    .. [1] Langrené & Warin (2019), "Fast and stable multivariate kernel density
       estimation by fast sum updating", JCGS 28(3), 596-608.
    .. [2] Langrené & Warin (2020), "Fast multivariate empirical cumulative distribution
       function with connection to kernel density estimation", arXiv:2005.03246.

    Examples
    --------
    >>> from kernelkit import ProductKernelDensity
    >>> density = ProductKernelDensity(bandwidth=1.0).fit([[0.0], [1.0]])
    >>> density.evaluate_grid([[0.0, 0.5]]).round(4).tolist()
    [0.342, 0.3033]
    >>> density.score_samples([[0.0], [1000.0]]).round(2).tolist()
    [-1.07, -1000.07]
    """

    _parameter_constraints = {
        "kernel": check.kernel(*KERNELS),
        "bandwidth": check.bandwidth(*bandwidths.RULES),
        "algorithm": check.one_of("auto", *ALGORITHMS),
        "n_jobs": check.N_JOBS,
    }

    def __init__(
        self,
        kernel: str | Sequence[float] = "laplacian",
        *,
        bandwidth: Any = "normal_reference",
        algorithm: str = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.algorithm = algorithm
        self.n_jobs = n_jobs

    @check.params
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Store the training rows and choose the bandwidth.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers; integers beyond 2**53 are rounded.
        y : None
            Ignored; here for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row alike.

        Returns
        -------
        self : ProductKernelDensity
        """
        X = check.fit_data(self, X)
        weights = check.sample_weight(sample_weight, X)
        owner = type(self).__name__
        self._kernel_of_fit = check.sargan(owner, self.kernel)
        kernel = self._kernel()
        self.algorithm_ = choose(
            self.algorithm, len(X), len(X), [kernel.density] * X.shape[1]
        )
        with _parallel.threads(self.n_jobs) as run:
            self.bandwidth_ = bandwidths.resolve(
                owner, self.bandwidth, X, kernel, weights, run=run
            )
        self.X_fit_ = X
        self.sample_weight_ = weights
        return self

    def score_samples(self, X: Any = None) -> Values:
        """Evaluate the logarithm of the density.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Query rows; None stands for the training rows and is faster than passing
            them again.

        Returns
        -------
        log_density : ndarray of shape (n_queries,)
            Log of f at each query, also where f is below the least float, but for
            compact kernels. -inf where no kernel reaches, or where the kernel's
            negative values prevail.
        """
        check.is_fitted(self)
        weights = self._weights()
        logs = self._log_sums(self._queries(X), weights, leave_out=False)
        return logs - math.log(weights.sum())

    def score(self, X: Any, y: Any = None) -> float:
        """Sum the logarithm of the density over rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.
        y : None
            Ignored; here for pipelines.

        Returns
        -------
        log_likelihood : float
            Total log density, which a search over the bandwidth maximises.
        """
        return float(self.score_samples(X).sum())

    def loo_log_density(self) -> Values:
        """Evaluate the density at each training row as if it had been left out.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Log of the density of the other rows, whose weights sum to W - w_i.
        """
        check.is_fitted(self)
        weights = self._weights()
        logs = self._log_sums(None, weights, leave_out=True)
        rest = bandwidths.sum_of_others(weights)
        rest[rest == 0.0] = 1.0  # the sum of no kernels is 0 then
        return logs - np.log(rest)

    def cdf(self, X: Any = None) -> Values:
        r"""Evaluate the distribution function that belongs to the density.

        With the integral G of the kernel,
        :math:`F(q) = W^{-1} \sum_i w_i \prod_k G((q_k - x_{ik}) / h_k)`.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Query rows; None stands for the training rows.

        Returns
        -------
        probabilities : ndarray of shape (n_queries,)
            F at each query, in [0, 1].
        """
        check.is_fitted(self)
        queries = self._queries(X)
        weights = self._weights()
        n_features = self.n_features_in_
        products = cdf_products(self._kernel(), n_features)
        totals: Any = 0.0
        with _parallel.threads(self.n_jobs) as run:
            if not products:
                totals = cdf_sums(
                    self.X_fit_,
                    weights,
                    self.X_fit_ if queries is None else queries,
                    self._kernel(),
                    self.bandwidth_,
                    run=run,
                )
            for functions in products:
                totals += kernel_sums(
                    self.X_fit_,
                    weights[None],
                    queries,
                    functions,
                    self.bandwidth_,
                    algorithm=self.algorithm,
                    run=run,
                )[0]
        if queries is None and products:
            totals += weights * 0.5**n_features
        return np.clip(totals / weights.sum(), 0.0, 1.0)

    def evaluate_grid(self, axes: Any) -> Values:
        """Evaluate the density at every node of a rectilinear grid.

        Exact. Sorts the rows, and is linear in rows and nodes for all kernels but the
        Gaussian, which is added to every node.

        Parameters
        ----------
        axes : sequence of n_features array-likes
            Nodes along each feature, strictly increasing and finite.

        Returns
        -------
        density : ndarray of shape (len(axes[0]), ..., len(axes[-1]))
            The values f, not their logarithm.

        Raises
        ------
        MemoryError
            If the grid has more nodes than fit in memory.
        """
        check.is_fitted(self)
        axes = check.grid_axes(axes, self.n_features_in_, dtype=np.float64)
        weights = self._weights()
        functions = [self._kernel().density] * self.n_features_in_
        with _parallel.threads(self.n_jobs) as run:
            sums = grid_sums(
                self.X_fit_, weights, axes, functions, self.bandwidth_, run=run
            )
        sums /= weights.sum()
        for width in self.bandwidth_:  # their product may overflow
            sums /= width
        return sums

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Values:
        """Draw rows from the estimated density.

        Where the kernel has negative values, rows are drawn from the positive part of
        the density, scaled to integrate to 1, by rejection.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, >= 1.
        random_state : int, Generator, RandomState or None, default=None
            Source of the draws; an int makes them repeatable.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Independent draws, in the units of the features.
        """
        check.is_fitted(self)
        n_samples = check.count("n_samples", n_samples)
        rng = check.rng(random_state)
        if not self._kernel().is_signed:
            return self._draw(n_samples, rng)
        kept = np.empty((0, self.n_features_in_))
        while len(kept) < n_samples:
            rows = self._draw(min(2 * n_samples + 16, 4096), rng)
            kept = np.vstack([kept, rows[rng.random(len(rows)) < self._share(rows)]])
        return kept[:n_samples]

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Values:
        weights = self._weights()
        chosen = rng.choice(weights.size, size=n_samples, p=weights / weights.sum())
        steps = self._kernel().draw(rng, (n_samples, self.n_features_in_))
        return self.X_fit_[chosen] + self.bandwidth_ * steps

    def _share(self, rows: Array) -> Values:
        """Density, or 0 where negative, over the density of the size of the kernel."""
        weights, kernel = self._weights(), self._kernel()
        with _parallel.threads(self.n_jobs) as run:
            sums = kernel_sums(
                self.X_fit_,
                weights[None],
                rows,
                [kernel.density] * self.n_features_in_,
                self.bandwidth_,
                algorithm=self.algorithm,
                run=run,
            )[0]
        sizes = size_sums(self.X_fit_, weights, rows, kernel, self.bandwidth_)
        return np.maximum(sums, 0.0) / sizes

    def _kernel(self) -> Kernel:
        return find(self._kernel_of_fit)

    def _weights(self) -> Values:
        """Weights of the training rows, the largest 1."""
        if self.sample_weight_ is None:
            return np.ones(len(self.X_fit_))
        return self.sample_weight_ / self.sample_weight_.max()

    def _queries(self, X: Any) -> Values | None:
        return None if X is None else check.query_data(self, X)

    def _log_sums(
        self, queries: Array | None, weights: Array, *, leave_out: bool
    ) -> Values:
        """Logarithm of the sum of the kernels over the product of the bandwidths."""
        with _parallel.threads(self.n_jobs) as run:
            logs = log_kernel_sums(
                self.X_fit_,
                weights,
                queries,
                [self._kernel().density] * self.n_features_in_,
                self.bandwidth_,
                leave_out=leave_out,
                algorithm=self.algorithm,
                run=run,
            )
        return logs - np.log(self.bandwidth_).sum()


def size_sums(
    X: Array, weights: Array, queries: Array, kernel: Kernel, bandwidth: Array
) -> Values:
    """Sum the sizes of a kernel over all pairs."""
    sums = np.empty(len(queries))
    for i, query in enumerate(queries):
        steps = (query - X) / bandwidth
        sums[i] = weights @ np.abs(kernel.density(steps)).prod(axis=1)
    return sums


def cdf_products(kernel: Kernel, n_features: int) -> list[tuple[Function1D, ...]]:
    """List the products that add up to the integral of a kernel; none if too many."""
    terms = kernel.cdf
    if len(terms) ** n_features > _MOST_TRAVERSALS:
        return []
    return list(itertools.product(terms, repeat=n_features))


def cdf_sums(
    X: Array,
    weights: Array,
    queries: Array,
    kernel: Kernel,
    bandwidth: Array,
    *,
    run: _parallel.Run,
) -> Values:
    """Sum the integral of a kernel over all pairs, where it has too many products."""
    size = max(_CELLS // len(X), 1)

    def evaluate(start: int) -> Values:
        product = np.ones((len(queries[start : start + size]), len(X)))
        for k, width in enumerate(bandwidth):
            with np.errstate(over="ignore"):
                u = (queries[start : start + size, k, None] - X[:, k]) / width
            product *= sum(term(u) for term in kernel.cdf)
        return (product * weights).sum(axis=1)

    return np.concatenate(run((evaluate, (i,)) for i in range(0, len(queries), size)))


def select_bandwidth(
    X: Any,
    method: str = "normal_reference",
    *,
    kernel: str | Sequence[float] = "laplacian",
    sample_weight: Any = None,
    n_jobs: int | None = None,
) -> Values:
    r"""Choose a bandwidth for each feature.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows, finite numbers.
    method : str, default="normal_reference"
        Rule:

        - "normal_reference": the least asymptotic mean integrated squared error for
          normal rows with independent features;
        - "scott": n^(-1/(d+4)) standard deviations of the kernel per standard deviation
          of the feature;
        - "silverman": as "normal_reference", with the interquartile range over 1.349
          for the standard deviation where it is smaller;
        - "cv_ml": the greatest likelihood of each row given the others, by a search
          over a common factor and then over each feature; equal rows are left out
          together;
        - "cv_ls": the least integrated squared error, estimated by leaving out rows.
    kernel : str or sequence of float, default="laplacian"
        Kernel of `ProductKernelDensity`.
    sample_weight : array-like of shape (n_samples,), default=None
        Nonnegative row weights, not all zero.
    n_jobs : int or None, default=None
        Number of threads.

    Returns
    -------
    bandwidth : ndarray of shape (n_features,)
        In the unit of each feature, > 0.

    Raises
    ------
    ValueError
        If `X` holds NaN or infinity, or has only one row of positive weight.

    References
    ----------
    .. [1] Wand & Jones (1995), Kernel Smoothing, Chapman & Hall, chapters 3 and 4.
    .. [2] Silverman (1986), Density Estimation for Statistics and Data Analysis,
       Chapman & Hall, section 3.4.

    Examples
    --------
    >>> from kernelkit import select_bandwidth
    >>> select_bandwidth([[0.0, 10.0], [1.0, 40.0], [3.0, 20.0]]).round(3).tolist()
    [0.792, 7.918]
    """
    bandwidth = check.choice("method", method, bandwidths.RULES)
    density = ProductKernelDensity(kernel, bandwidth=bandwidth, n_jobs=n_jobs)
    return density.fit(X, sample_weight=sample_weight).bandwidth_
