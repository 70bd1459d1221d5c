"""Kernel ridge regression in the span of a few centres, on rows that workers read."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from kernelkit import _parallel, nystroem
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.distributed import chunks, prediction
from kernelkit.distributed.chunks import Chunks, Rows
from kernelkit.distributed.ridge_centers import choose
from kernelkit.distributed.ridge_rows import (
    Facts,
    Own,
    Source,
    checked,
    kernel_for,
    reduce,
    targets,
    weighted,
)
from kernelkit.linalg import Centers
from kernelkit.nystroem import statistics
from kernelkit.nystroem.dictionary import Draws
from kernelkit.nystroem.fitting import penalties, solve
from kernelkit.nystroem.outliers import warn_of_outliers
from kernelkit.nystroem.problem import (
    Problem,
    choose_solver,
    evenly,
    refuse_too_many,
    span_centers,
)
from kernelkit.nystroem.statistics import NormalEquations


class NystroemRidge(nystroem.NystroemRidge):
    """Kernel ridge regression in the span of a few centres, for rows in Dask chunks.

    Workers choose centres among their rows and merge the choices, then each gets the
    centres and sums over its rows what least squares needs; the sums are added, and
    the client solves for the weights of the centres. It holds no rows but the centres.
    Predictions for Dask collections are Dask arrays, not computed yet.

    Parameters and attributes are those of `kernelkit.NystroemRidge`, of which this is
    a subclass: it is that class itself for rows in memory. Here, "rpcholesky" brings
    the rows that it chooses from to the client and needs a number of
    `selection_samples`, the kernel cannot be precomputed, and `partial_fit` takes rows
    in memory only.

    See Also
    --------
    kernelkit.NystroemRidge : Parameters, attributes and methods.
    kernelkit.distributed.predict : Predictions of any fitted estimator.

    Notes
    -----
    On the same centres, predictions are those of the plain class up to the rounding of
    sums: a share of 1e-9 of the largest or less, and 1e-5 for kernel values in float32;
    where centres nearly depend on each other, as much as another order of rows changes
    those of the plain class. Which rows become centres depends on `random_state` and on
    the chunks, and on nothing else: no bit of a fit does on the number of workers or on
    what becomes of them.

    For n rows in K chunks, d features and m centres, the work is that of the plain
    class, :math:`O(n m (d + m))`, and :math:`O(K m^3)` to merge choices by leverage
    scores, so that chunks should have many more rows than there are centres. A fit
    reads X three times, or twice if the centres are given, and "cg" once more to begin
    and in each iteration: ``X.persist()`` saves that if the rows fit into the memory of
    the workers. Each chunk sends :math:`8 m^2` bytes of sums, and half as many besides
    rows for a choice by leverage scores; both are added up to 8 at a time, which takes
    a worker about :math:`200 m^2` bytes. To the client come :math:`m^2` numbers and
    :math:`3 m` rows at most.

    Examples
    --------
    >>> import dask.array
    >>> from kernelkit.distributed import NystroemRidge
    >>> X = dask.array.linspace(0.0, 6.0, 2000, chunks=500)[:, None]
    >>> y = dask.array.sin(X[:, 0])
    >>> ridge = NystroemRidge(alpha=1e-3, n_components=30, random_state=0).fit(X, y)
    >>> ridge.dual_coef_.shape
    (30,)
    >>> ridge.score(X, y) > 0.999
    True
    """

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the centres and solve for their weights.

        Parameters
        ----------
        X : dask array or dask frame of shape (n_samples, n_features), or array-like
            Training rows, finite numbers; chunks may be CSR matrices.
        y : dask array, series or frame, or array-like
            Targets of shape (n_samples,) or (n_samples, n_outputs), finite numbers.
        sample_weight : dask array or series, or array-like, default=None
            Nonnegative row weights of shape (n_samples,), not all zero; None weighs
            every row 1.

        Returns
        -------
        self : NystroemRidge
        """
        if not chunks.is_collection(X):
            return super().fit(X, y, sample_weight)
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            raise ValueError(
                "kernel='precomputed' is for rows in memory, as each row has a value "
                "for every other one: pass rows and another kernel."
            )
        if y is None:
            check.targets(self, y)
        rows = chunks.rows_of(X, y, sample_weight)
        facts = reduce(
            rows,
            "statistics",
            Facts.of,
            _light(self, self.dtype),
            each=range(len(rows)),
            add=Facts.add,
        )
        alpha = penalties(self, np.empty((0, *facts.shape)))
        with _parallel.one_blas_thread:
            problem = _pose(self, rows, facts, float(alpha.min()))
            solve(self, problem, alpha)
        return self

    @check.params
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from a further batch of rows in memory; see the plain class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows, finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1.

        Returns
        -------
        self : NystroemRidge

        Raises
        ------
        TypeError
            If `X` is a Dask collection.
        """
        if chunks.is_collection(X):
            raise TypeError(
                "partial_fit takes rows in memory, in their order: pass all chunks to "
                "fit, or one after the other to partial_fit, as X.blocks[k].compute()."
            )
        return super().partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> Any:
        """Predict the targets of query rows.

        Parameters
        ----------
        X : dask array or dask frame of shape (n_queries, n_features), or array-like
            Query rows.

        Returns
        -------
        y : dask array or ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predictions, float64.
        """
        if not chunks.is_collection(X):
            return super().predict(X)
        check.is_fitted(self)
        return prediction.mapped(self, "predict", X, self.dual_coef_.shape[1:])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : dask array or dask frame of shape (n_queries, n_features), or array-like
            Query rows.
        y : dask array, series or frame, or array-like
            Their targets.
        sample_weight : dask array or series, or array-like, default=None
            Weights of the rows, of shape (n_queries,).

        Returns
        -------
        r2 : float
        """
        if not chunks.is_collection(X):
            return float(super().score(X, y, sample_weight))
        return prediction.r2(self, X, y, sample_weight)


def _pose(
    estimator: NystroemRidge, rows: Chunks, facts: Facts, alpha: float
) -> "_ChunksProblem":
    """Check what is left to check, choose the centres and factor their matrix."""
    check.kernel_rows(
        estimator,
        facts.head,
        reset=True,
        kernel=estimator.kernel,
        dtype=estimator.dtype,
    )
    check.weights(np.array([facts.heaviest]), np.empty((1, 1)))
    model = _light(estimator, facts.dtype.name)
    source = Source.of(rows, facts, model)
    kernel = kernel_for(model)
    refuse_too_many(estimator.n_components, source.n_rows)
    chosen = choose(estimator, source, alpha)
    centers = chosen.centers
    solver = choose_solver(estimator.solver, centers, has_all=chosen.has_all)
    rounding = statistics.rounding_of_sums(facts.size)
    span = span_centers(
        kernel, centers, centers.rows, alpha=alpha, rounding=rounding, solver=solver
    )
    counts = chosen.counts
    if counts is None:
        counts = np.full(len(centers), facts.weight / len(centers))
    base = np.zeros(len(facts.targets))
    if estimator.fit_intercept:
        base = facts.targets / facts.weight
    return _ChunksProblem(
        kernel=kernel,
        base=base,
        unit=facts.unit,
        centers=centers,
        counts=counts,
        span=span,
        solver=solver,
        basis=span.lossy(alpha / rounding),
        fit_intercept=estimator.fit_intercept,
        is_flat=not facts.shape,
        n_jobs=estimator.n_jobs,
        source=source,
        alpha=alpha,
    )


def _light(estimator: NystroemRidge, dtype: Any) -> nystroem.NystroemRidge:
    """Make what tasks check rows with: features as far as known, and no centres."""
    model = nystroem.NystroemRidge(**estimator.get_params(deep=False))
    model.set_params(centers="rls", dtype=dtype)
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(estimator, name):
            setattr(model, name, getattr(estimator, name))
    return model


@dataclass(frozen=True, kw_only=True)
class _ChunksProblem(Problem):
    """Least squares on chosen centres, whose sums tasks compute.

    Attributes
    ----------
    source : Source
    alpha : float
        The least penalty.
    """

    source: Source
    alpha: float

    def sums(self) -> NormalEquations:
        """Sum over the rows what `whiten` needs."""
        return self._sums("sums", self._part(self.summed, self.basis))

    def sums_without_gram(self) -> NormalEquations:
        """Sum over the rows of kernel values to all centres."""
        return self._sums("sums", self._part(self.centers, with_gram=False))

    def sums_of_some(self, n: int) -> NormalEquations:
        """Take the rows at even distances."""
        source = self.source
        each = source.of_each(evenly(source.n_rows, n), source.counts)
        sums: NormalEquations = source.reduce(
            "sample",
            _sum_some,
            self._part(self.summed, self.basis),
            each=each,
            add=_add,
        )
        return sums

    def gram_product(self, coef: Array) -> Array:
        """Multiply weights (m, k) of the centres by their gram matrix over the rows."""
        source, centers = self.source, self.centers
        each = source.of_each()
        product: Array = source.reduce(
            "product", _product, centers, coef, each=each, add=np.add
        )
        return product

    def _sums(self, step: str, part: "_Part") -> NormalEquations:
        source = self.source
        found: _Found = source.reduce(
            step, _sum, part, each=source.of_each(), add=_Found.add
        )
        row = found.largest
        warn_of_outliers(
            self.kernel,
            row.rows,
            row.ids,
            row.weights,
            self.centers,
            self.span,
            self.alpha,
        )
        return found.sums

    def _part(
        self, centers: Centers, basis: Array | None = None, *, with_gram: bool = True
    ) -> "_Part":
        kept = self.centers.ids[self.span.kept]
        return _Part(centers, basis, with_gram, self.base, self.unit, kept)


@dataclass(frozen=True)
class _Part:
    """What a task needs to know to sum over its rows.

    Attributes
    ----------
    centers : Centers
    basis : ndarray or None
        See `accumulate`.
    with_gram : bool
    base, unit : ndarray of shape (n_outputs,)
        Of targets.
    kept : ndarray
        Numbers of the centres that span.
    """

    centers: Centers
    basis: Array | None
    with_gram: bool
    base: Array
    unit: Array
    kept: Array

    def sum(
        self, X: Any, y: Array, weights: Array | None, model: nystroem.NystroemRidge
    ) -> NormalEquations:
        """Sum over checked rows."""
        return statistics.accumulate(
            kernel_for(model),
            X,
            y.reshape(len(y), -1) / self.unit - self.base,
            weights,
            self.centers,
            basis=self.basis,
            with_gram=self.with_gram,
        )


@dataclass(frozen=True)
class _Found:
    """Sums over rows, and of those that are no centres the one of the largest k(x, x).

    Attributes
    ----------
    sums : NormalEquations
    largest : Draws
        The row; its size, times the weight, stands for what was drawn.
    """

    sums: NormalEquations
    largest: Draws

    def add(self, other: "_Found") -> "_Found":
        is_larger = other.largest.uniforms[0] > self.largest.uniforms[0]
        return _Found(
            self.sums + other.sums, other.largest if is_larger else self.largest
        )


def _sum(rows: Rows, own: Own, model: nystroem.NystroemRidge, part: _Part) -> _Found:
    X, weights = checked(rows, model)
    sums = part.sum(X, targets(rows), weights, model)
    ids = own.first + np.arange(X.shape[0])
    counts = np.ones(len(ids)) if weights is None else weights
    sizes = np.abs(kernel_for(model).diag(X, ids)) * counts
    sizes[np.isin(ids, part.kept)] = 0.0
    first = np.array([sizes.argmax()])
    largest = Draws(X[first], ids[first], counts[first], sizes[first], np.ones(1))
    return _Found(sums, largest)


def _sum_some(
    rows: Rows, own: Own, model: nystroem.NystroemRidge, part: _Part
) -> NormalEquations | None:
    draws = weighted(rows, own, model)
    if not len(draws):
        return None
    y = targets(rows)[draws.ids - own.first]
    return part.sum(draws.rows, y, draws.weights, model)


def _add(sums: NormalEquations, other: NormalEquations | None) -> NormalEquations:
    return sums if other is None else sums + other


def _product(
    rows: Rows, own: Own, model: nystroem.NystroemRidge, centers: Centers, coef: Array
) -> Array:
    X, weights = checked(rows, model)
    return statistics.gram_product(kernel_for(model), X, coef, weights, centers)
