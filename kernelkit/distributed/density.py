"""Kernel density estimation of rows in Dask chunks."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from kernelkit import _parallel, density
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.density import bandwidth as bandwidths
from kernelkit.density import kernel_sums as plain
from kernelkit.density.kde import cdf_products, size_sums
from kernelkit.density.kernels1d import find
from kernelkit.distributed import boxes, chunks, kernel_pairs, prediction, spread
from kernelkit.distributed.boxes import Parts, Survey
from kernelkit.distributed.chunks import Rows
from kernelkit.distributed.kernel_pairs import CdfSums, Meeting, ProductSums, Weights

_Scaled = tuple[Array, Array]  # sums, and exponents of factors


class ProductKernelDensity(density.ProductKernelDensity):
    r"""Exact kernel density estimate with a product kernel, of rows in Dask chunks.

    `fit` looks at each chunk once and keeps the collection as it is, not computed.
    Methods sum the kernel over pairs of chunks of training rows and of queries. Of
    pairs that lie apart, compact kernels need none. Those that decay exponentially
    without waves, all but "silverman", factor where a pair of chunks lies apart in a
    feature: chunks apart in all features enter by sums at the corners of their box,
    others by a sum over fewer features. The Gaussian and "silverman" skip only pairs
    whose terms underflow. Where chunks in no order are all over space, workers first
    regroup the rows into cells, if that is estimated to pay.

    Parameters are those of `kernelkit.ProductKernelDensity`, of which this is a
    subclass: it is that class itself for training rows in memory. Of the rules for the
    bandwidth, "cv_ml" and "cv_ls" are refused, as each step of their search compares
    all rows: take what `kernelkit.select_bandwidth` chooses for a sample. After a fit
    of a Dask collection there is no `X_fit_`, `sample_weight_` is what was passed (None
    if all rows weigh the same), and `algorithm_` is for two chunks of the largest size.

    See Also
    --------
    kernelkit.ProductKernelDensity : Parameters, attributes and methods.
    predict : For any fitted estimator.

    Notes
    -----
    Bandwidths and densities are those of the plain class up to rounding, 1e-12 of the
    value, or for "silverman", whose negative values cancel others, of the sum of their
    sizes; where a density is so small that it has a logarithm only, up to 1e-15 of its
    exponent. Sums are added in an order that does not depend on workers, and neither
    does a bit of the result. Draws of `sample` are others than those of the plain
    class, and the same for the same seed and chunks.

    A logarithm of the density of Dask queries takes up to two looks at the rows: where
    the sum of the kernels underflows, another one adds logarithms, for these queries
    only. So `score_samples` and `loo_log_density` compute the sums at once, and
    workers hold the result: 8 bytes for each query.

    To the client come, for each chunk, some numbers for each feature and 128 rows; when
    rows are regrouped also the number of rows of each chunk in each cell. `X` is read
    at the fit, up to 5 times more for bandwidth="silverman", for each call of a method,
    and once more if rows are regrouped or if a sum underflows. It must give the same
    rows each time.

    Examples
    --------
    >>> import dask.array
    >>> from kernelkit.distributed import ProductKernelDensity
    >>> X = dask.array.from_array([[0.0], [1.0], [3.0]], chunks=1)
    >>> density = ProductKernelDensity(bandwidth=1.0).fit(X)
    >>> density.score_samples([[0.0], [1000.0]]).round(2).tolist()
    [-1.44, -998.62]
    >>> density.cdf().compute().round(3).tolist()
    [0.236, 0.461, 0.802]
    """

    _survey: Survey | None = None

    @check.params
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Choose the bandwidth; look at each chunk of the training rows once.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_samples, n_features)
            Training rows, finite numbers; integers beyond 2**53 are rounded.
        y : None
            Ignored; here for pipelines.
        sample_weight : array-like, dask array or series, default=None
            Nonnegative row weights, of shape (n_samples,), not all zero; None weighs
            every row alike.

        Returns
        -------
        self : ProductKernelDensity
        """
        for name in ("X_fit_", "_survey"):  # of an earlier fit
            self.__dict__.pop(name, None)
        if not chunks.is_collection(X):
            return super().fit(X, y, sample_weight)
        owner = type(self).__name__
        spread.refuse_search(owner, self.bandwidth)
        self._kernel_of_fit = check.sargan(owner, self.kernel)
        kernel = self._kernel()
        rows = chunks.rows_of(X, None, sample_weight)
        survey = boxes.survey(
            "density", rows, _training_rows, self, reset=True, ask=spread.Moments.of
        )
        n_most = int(survey.parts.boxes.rows.max())
        functions = [kernel.density] * self.n_features_in_
        self.algorithm_ = plain.choose(self.algorithm, n_most, n_most, functions)
        self.bandwidth_ = spread.resolve(
            owner, self.bandwidth, survey, survey.told, kernel
        )
        self.sample_weight_ = None if survey.equal_weights else sample_weight
        self._survey = survey
        return self

    def score_samples(self, X: Any = None) -> Any:
        """Evaluate the logarithm of the density.

        Parameters
        ----------
        X : array-like or dask collection of shape (n_queries, n_features), or None
            Query rows; None, the default, stands for the training rows.

        Returns
        -------
        log_density : ndarray or dask array of shape (n_queries,)
            Log of f at each query. A Dask array, for queries that are one or the
            training rows of a Dask fit, is computed by now and held by the workers.
        """
        check.is_fitted(self)
        if self._survey is None:
            if not chunks.is_collection(X):
                return super().score_samples(X)
            return prediction.mapped(self, "score_samples", X)
        return self._log_density(X, leave_out=False)

    def loo_log_density(self) -> Any:
        """Evaluate the density at each training row as if it had been left out.

        Returns
        -------
        log_density : ndarray or dask array of shape (n_samples,)
            Log of the density of the other rows, whose weights sum to W - w_i. A Dask
            array after a Dask fit, computed by now and held by the workers.
        """
        check.is_fitted(self)
        if self._survey is None:
            return super().loo_log_density()
        return self._log_density(None, leave_out=True)

    def cdf(self, X: Any = None) -> Any:
        """Evaluate the distribution function that belongs to the density.

        Parameters
        ----------
        X : array-like or dask collection of shape (n_queries, n_features), or None
            Query rows; None, the default, stands for the training rows.

        Returns
        -------
        probabilities : ndarray or dask array of shape (n_queries,)
            F at each query, in [0, 1]. A Dask array is not computed yet.
        """
        check.is_fitted(self)
        if self._survey is None:
            if not chunks.is_collection(X):
                return super().cdf(X)
            return prediction.mapped(self, "cdf", X)
        d = self.n_features_in_
        products = cdf_products(self._kernel(), d)
        sums: Any = self._product_sums(products, 0.5**d)
        if not products:
            sums = CdfSums(self._kernel_of_fit, self.bandwidth_, self._weighing())
        meeting = self._meet(X, sums)
        whole = self._total_weight()
        shares = [
            chunks.task("density-share", _share, total, whole)
            for total in meeting.totals(sums, "density-cdf")
        ]
        return meeting.given_back(shares)

    def evaluate_grid(self, axes: Any) -> Array:
        """Evaluate the density at every node of a rectilinear grid.

        Exact. Each chunk is added to a grid of its own: as many numbers as the grid has
        nodes travel for each.

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
        if self._survey is None:
            return super().evaluate_grid(axes)
        axes = check.grid_axes(axes, self.n_features_in_, dtype=np.float64)
        sums = self._reduce("density-grid", _grid, axes, self._density_sums())
        sums /= self._total_weight()
        for width in self.bandwidth_:  # their product may overflow
            sums /= width
        return sums

    def _draw(self, n_samples: int, rng: np.random.Generator) -> Array:
        if self._survey is None:
            return super()._draw(n_samples, rng)
        parts = self._survey.parts
        shares = parts.totals / parts.totals.max()
        chosen = rng.choice(len(shares), size=n_samples, p=shares / shares.sum())
        seeds = rng.integers(2**63, size=len(shares))
        used, counts = np.unique(chosen, return_counts=True)
        shared = chunks.argument_once(self._density_sums(), "density-sample")
        kernel = self._kernel_of_fit
        drawn = chunks.compute(
            *(
                chunks.task(
                    "density-sample",
                    *(_drawn, parts.blocks[i], int(n), int(seeds[i]), kernel, shared),
                )
                for i, n in zip(used, counts, strict=True)
            )
        )
        rows = np.empty((n_samples, self.n_features_in_))
        for i, part in zip(used, drawn, strict=True):
            rows[chosen == i] = part
        return rows

    def _share(self, rows: Array) -> Array:
        if self._survey is None:
            return super()._share(rows)
        sums = self._density_sums()
        meeting = self._meet(rows, sums)
        (totals,) = chunks.compute(*meeting.totals(sums, "density"))
        sizes = self._reduce("density-sizes", _sizes, rows, self._kernel_of_fit, sums)
        return np.maximum(totals[0], 0.0) / sizes

    def _density_sums(self, *, own: bool = False) -> ProductSums:
        functions = [self._kernel().density] * self.n_features_in_
        return self._product_sums([functions], plain.at_0(functions) if own else 0.0)

    def _product_sums(self, products: Sequence[Any], at_0: float) -> ProductSums:
        return ProductSums(
            products,
            [1] * len(products),
            self.bandwidth_,
            self._weighing(),
            self.algorithm,
            at_0,
        )

    def _weighing(self) -> Weights:
        assert self._survey is not None
        return Weights(None if self.sample_weight_ is None else self._survey.heaviest)

    def _total_weight(self) -> float:
        """Sum the weights of the training rows, the largest 1."""
        assert self._survey is not None
        return float(self._weights_of(self._survey.parts).sum())

    def _weights_of(self, parts: Parts) -> Array:
        heaviest = self._weighing().heaviest
        if heaviest is None:
            return parts.boxes.rows.astype(np.float64)
        return parts.totals / heaviest

    def _meet(self, X: Any, sums: Any) -> Meeting:
        assert self._survey is not None
        return Meeting.of("density", self, self._survey, X, sums)

    def _reduce(self, step: str, function: Any, *arguments: Any) -> Array:
        assert self._survey is not None
        rows = self._survey.parts.as_chunks()
        total: Array = rows.reduce(step, function, *arguments, add=np.add)
        return total

    def _log_density(self, X: Any, *, leave_out: bool) -> Any:
        sums = self._density_sums(own=not leave_out)
        meeting = self._meet(X, sums)
        totals = kernel_pairs.held(meeting.totals(sums, "density"))
        faint = [chunks.task("density-faint", _faint, each, sums) for each in totals]
        again = meeting.again(
            "density-again",
            faint,
            partial(_scaled, leave_out=leave_out),
            _add_scaled,
            sums,
        )
        shift = np.log(self.bandwidth_).sum()
        if not leave_out:
            shift += math.log(self._total_weight())
        logs = [
            chunks.task("density-log", _log, *each, float(shift))
            for each in zip(totals, faint, again, strict=True)
        ]
        if leave_out:
            others = bandwidths.sum_of_others(self._weights_of(meeting.data))
            weighing = chunks.argument_once(sums.weights, "density-rest")
            blocks = meeting.data.blocks
            logs = [
                chunks.task("density-rest", _less_log_rest, *each, weighing)
                for each in zip(logs, blocks, others.tolist(), strict=True)
            ]
        result = meeting.given_back(logs)
        return result if meeting.survey is None else result.persist()


def _training_rows(rows: Rows, model: BaseEstimator) -> Rows:
    X = check.fit_data(model, rows.X)
    return Rows(X, None, check.part_weights(rows.weights, X))


def _share(totals: Array, whole: float) -> Array:
    shares: Array = np.clip(totals.sum(axis=0) / whole, 0.0, 1.0)
    return shares


def _grid(rows: Rows, axes: list[Array], sums: ProductSums) -> Array:
    return plain.grid_sums(
        rows.X,
        sums.weights.of(rows),
        axes,
        sums.products[0],
        sums.bandwidth,
        run=_parallel.in_order,
    )


def _drawn(rows: Rows, n: int, seed: int, kernel: Any, sums: ProductSums) -> Array:
    rng = np.random.default_rng(seed)
    weights = sums.weights.of(rows)
    chosen = rng.choice(len(weights), size=n, p=weights / weights.sum())
    steps = find(kernel).draw(rng, (n, rows.X.shape[1]))
    drawn: Array = rows.X[chosen] + sums.bandwidth * steps
    return drawn


def _sizes(rows: Rows, queries: Array, kernel: Any, sums: ProductSums) -> Array:
    weights = sums.weights.of(rows)
    return size_sums(rows.X, weights, queries, find(kernel), sums.bandwidth)


def _faint(totals: Array, sums: ProductSums) -> Array:
    return plain.faint(totals[0], sums.products[0], 1.0)


def _scaled(
    rows: Rows,
    queries: Rows,
    own: bool,
    asked: Array,
    sums: ProductSums,
    *,
    leave_out: bool,
) -> _Scaled:
    return plain.scaled_sums(
        rows.X,
        sums.weights.of(rows),
        queries.X[asked],
        asked if own and leave_out else None,
        sums.products[0],
        sums.bandwidth,
        run=_parallel.in_order,
    )


def _add_scaled(first: _Scaled, second: _Scaled) -> _Scaled:
    top = np.maximum(first[1], second[1])
    base = np.where(np.isneginf(top), 0.0, top)  # nothing is added there
    total = sum(sums * np.exp(exponents - base) for sums, exponents in (first, second))
    return np.asarray(total), top


def _log(totals: Array, faint: Array, scaled: _Scaled | None, shift: float) -> Array:
    logs = plain.log_of(totals[0])
    if scaled is not None:
        logs[faint] = plain.log_of(*scaled)
    return logs - shift


def _less_log_rest(logs: Array, rows: Rows, others: float, weights: Weights) -> Array:
    rest = bandwidths.sum_of_others(weights.of(rows)) + others
    rest[rest == 0.0] = 1.0  # the sum of no kernels is 0 then
    less: Array = logs - np.log(rest)
    return less
