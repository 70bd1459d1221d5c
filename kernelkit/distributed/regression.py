"""Kernel regression on rows in Dask chunks."""

from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator

from kernelkit import _parallel, density
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.density import regression
from kernelkit.density.kernels1d import Compact, find
from kernelkit.density.regression import FarRows, Nearest, Scale, fit_from_sums
from kernelkit.distributed import boxes, chunks, kernel_pairs, prediction, spread
from kernelkit.distributed.boxes import Survey
from kernelkit.distributed.chunks import Rows
from kernelkit.distributed.kernel_pairs import Meeting, ProductSums, Weights


class ProductKernelRegressor(density.ProductKernelRegressor):
    """Exact kernel regression with a product kernel, of rows in Dask chunks.

    `fit` looks at each chunk once and keeps the collections as they are, not computed.
    `predict` and `loo_predict` add up sums over pairs of chunks of training rows and of
    queries, and fit a mean or a line for each query where these meet. Which pairs need
    no task or fewer features, and when rows are regrouped into cells, is as for
    `ProductKernelDensity`.

    Parameters are those of `kernelkit.ProductKernelRegressor`, of which this is a
    subclass: it is that class itself for training rows in memory. Its default
    bandwidth, "cv_ls", is refused for a Dask collection, as each step of the search
    compares all rows: give a number, such as the one that the plain class chooses for a
    sample, or one of the other rules. After a fit of a Dask collection there are no
    `X_fit_` and `y_fit_`, `sample_weight_` is what was passed (None if all rows weigh
    the same), and `algorithm_` is for two chunks of the largest size.

    See Also
    --------
    kernelkit.ProductKernelRegressor : Parameters, attributes and methods.
    ProductKernelDensity : The density of the rows, with the same kernels.
    predict : For any fitted estimator.

    Notes
    -----
    Predictions are those of the plain class up to rounding: about 1e-12 of the range of
    the targets for means. Slopes of lines magnify rounding by up to 1e10, where rows
    spread by 1e-5 of their distance from the query, in both classes. Not a bit of the
    result depends on workers.

    Where the kernels sum to nothing, another look at all rows compares these queries
    with the nearest rows, as the plain class does. So predictions for Dask queries and
    those of `loo_predict` compute the sums at once, and workers hold the result: 8
    bytes for each number.

    To the client come, for each chunk, some numbers for each feature and output, and
    128 rows; when rows are regrouped also the number of rows of each chunk in each
    cell. `X` and `y` are read at the fit, up to 5 times more for bandwidth="silverman",
    for each call of a method, and once more if rows are regrouped and for each other
    look. They must give the same rows each time.

    Examples
    --------
    >>> import dask.array
    >>> from kernelkit.distributed import ProductKernelRegressor
    >>> X = dask.array.from_array([[0.0], [1.0], [2.0], [3.0]], chunks=2)
    >>> model = ProductKernelRegressor(bandwidth=1.0).fit(X, 2.0 * X[:, 0])
    >>> model.predict([[1.5], [3.0]]).round(3).tolist()
    [3.0, 4.985]
    >>> model.loo_predict()
    dask.array<concatenate, shape=(4,), dtype=float64, chunksize=(2,), ...>
    """

    _survey: Survey | None = None

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the bandwidth; look at each chunk of the training rows once.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_samples, n_features)
            Training rows, finite numbers; integers beyond 2**53 are rounded.
        y : array-like, dask array, series or frame
            Targets of shape (n_samples,) or (n_samples, n_outputs), finite numbers.
        sample_weight : array-like, dask array or series, default=None
            Nonnegative row weights, of shape (n_samples,), not all zero; None weighs
            every row alike.

        Returns
        -------
        self : ProductKernelRegressor
        """
        for name in ("X_fit_", "y_fit_", "_survey"):  # of an earlier fit
            self.__dict__.pop(name, None)
        if not chunks.is_collection(X):
            return super().fit(X, y, sample_weight)
        owner = type(self).__name__
        spread.refuse_search(owner, self.bandwidth)
        self._choose_kernel()
        rows = chunks.rows_of(X, y, sample_weight)
        survey = boxes.survey(
            "regression", rows, _training_rows, self, reset=True, ask=_Told.of
        )
        self._choose_algorithm(int(survey.parts.boxes.rows.max()))
        told = [each for each in survey.told if each is not None]
        self._n_used = sum(each.moments.n_rows for each in told)
        self._scale, self._shape = _targets(told)
        moments = [each.moments for each in told]
        self.bandwidth_ = spread.resolve(
            owner, self.bandwidth, survey, moments, self._kernel()
        )
        self.sample_weight_ = None if survey.equal_weights else sample_weight
        self._survey = survey
        return self

    def predict(self, X: Any) -> Any:
        """Predict the targets at query rows.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray or dask array of shape (n_queries,) or (n_queries, n_outputs)
            Predictions, never NaN. With `order` 0 and a kernel without negative values
            they lie between the least and the greatest target. A Dask array, for
            queries that are one, is computed by now and held by the workers if the
            training rows are in chunks too.

        Raises
        ------
        MemoryError
            If the slopes of local lines in many features exceed the memory.
        """
        check.is_fitted(self)
        if self._survey is not None:
            return self._at(X)
        if not chunks.is_collection(X):
            return super().predict(X)
        return prediction.mapped(self, "predict", X, self.y_fit_.shape[1:])

    def loo_predict(self) -> Any:
        """Predict the targets of each training row from the other rows.

        The same as to fit without the row, with the same bandwidth, and to predict at
        it; but in a single traversal.

        Returns
        -------
        y : ndarray or dask array of shape (n_samples,) or (n_samples, n_outputs)
            Predictions. A Dask array after a Dask fit, computed by now and held by the
            workers.

        Raises
        ------
        ValueError
            If fewer than 2 training rows have positive weight.
        """
        check.is_fitted(self)
        if self._survey is None:
            return super().loo_predict()
        if self._n_used == 1:
            raise ValueError(
                "loo_predict leaves out the only row with positive weight: fit at "
                "least 2."
            )
        return self._at(None)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.
        y : array-like, dask array, series or frame
            Their targets.
        sample_weight : array-like, dask array or series, default=None
            Weights of the rows, of shape (n_queries,).

        Returns
        -------
        r2 : float
            1 is the best; the mean over several targets.
        """
        if not chunks.is_collection(X):
            return float(super().score(X, y, sample_weight))
        return prediction.r2(self, X, y, sample_weight)

    def _at(self, X: Any) -> Any:
        """Predict at queries, None for the rows without themselves."""
        assert self._survey is not None
        kernel, scale = self._kernel(), self._scale
        functions, n_channels = zip(
            *regression.products(
                kernel.density, self.n_features_in_, len(scale.base), self.order
            ),
            strict=True,
        )
        weighted = self.sample_weight_ is not None
        weights = Weights(self._survey.heaviest if weighted else None, scale)
        sums = ProductSums(
            functions, n_channels, self.bandwidth_, weights, self.algorithm
        )
        is_mean = self.order == 0 and not kernel.is_signed
        fit = _Fit(sums, self._kernel_of_fit, self.order, is_mean, self._shape)
        shared = chunks.argument_once(fit, "regression-fit")
        meeting = Meeting.of("regression", self, self._survey, X, sums)
        blocks = meeting.queries.blocks
        totals = kernel_pairs.held(meeting.totals(sums, "regression"))
        poor = [chunks.task("regression-poor", _poor, each, shared) for each in totals]
        far: list[Any] = [None] * len(poor)
        lost = poor
        if not isinstance(kernel.density, Compact):
            far = meeting.again("regression-far", poor, _far, fit.add_far, fit)
            found = iter(kernel_pairs.held([each for each in far if each is not None]))
            far = [None if each is None else next(found) for each in far]
            lost = [
                chunks.task("regression-lost", _lost, *each)
                for each in zip(poor, far, strict=True)
            ]
        near = meeting.again("regression-near", lost, _near, Nearest.add, fit)
        values = [
            chunks.task("regression-value", _value, *each, shared)
            for each in zip(totals, blocks, poor, far, lost, near, strict=True)
        ]
        result = meeting.given_back(values, self._shape)
        return result if meeting.survey is None else result.persist()


class _Told(NamedTuple):
    """What a chunk tells of its rows of positive weight."""

    moments: spread.Moments
    shape: tuple[int, ...]  # of a target
    base: Array  # a target in the middle, of each output
    low: Array
    high: Array

    @classmethod
    def of(cls, rows: Rows) -> "_Told | None":
        moments = spread.Moments.of(rows)
        if moments is None:
            return None
        y = rows.y.reshape(len(rows.X), -1)
        if rows.weights is not None:
            y = y[rows.weights > 0.0]
        base = np.partition(y, len(y) // 2, axis=0)[len(y) // 2]
        return cls(moments, rows.y.shape[1:], base, y.min(axis=0), y.max(axis=0))


def _targets(told: list[_Told]) -> tuple[Scale, tuple[int, ...]]:
    """Scale targets by a median of those of the chunks, which is in the middle too."""
    shape = told[0].shape
    for each in told:
        if each.shape != shape:
            raise ValueError(
                f"Targets have the shape {each.shape} in some chunk and {shape} in "
                "another: give all chunks of y the same columns."
            )
    rows = np.array([each.moments.n_rows for each in told])
    bases = np.array([each.base for each in told])
    order = np.argsort(bases, axis=0)
    reached = np.cumsum(rows[order], axis=0)
    middle = (reached <= rows.sum() // 2).sum(axis=0)
    columns = np.arange(bases.shape[1])
    base = bases[order[middle, columns], columns]
    ends = np.concatenate([[each.low, each.high] for each in told])
    return Scale.of(base, ends), shape


class _Fit(NamedTuple):
    """What tasks need to know of the model."""

    sums: ProductSums
    kernel: Any
    order: int
    clip: bool
    shape: tuple[int, ...]

    def rows(self, rows: Rows) -> tuple[regression.Rows, Array]:
        """Return rows of positive weight, and their numbers, -1 for others."""
        weights = self.sums.weights.of(rows)
        kept = weights > 0.0
        scale = self.sums.weights.scale
        assert scale is not None
        targets = self.sums.weights.targets(rows)[kept]
        numbers = np.where(kept, np.cumsum(kept) - 1, -1)
        return regression.Rows(rows.X[kept], targets, weights[kept], scale), numbers

    def add_far(self, first: FarRows, second: FarRows) -> FarRows:
        """Join what two parts of the rows tell."""
        return first.add(second, self.sums.bandwidth)


def _training_rows(rows: Rows, model: BaseEstimator) -> Rows:
    X, y = check.regression_data(model, rows.X, rows.y)
    return Rows(X, y, check.part_weights(rows.weights, X))


def _split(totals: Array, fit: _Fit) -> list[Array]:
    return np.split(totals, np.cumsum(fit.sums.n_channels)[:-1])


def _poor(totals: Array, fit: _Fit) -> Array:
    return np.flatnonzero(regression.is_poor(totals[0]))


def _far(rows: Rows, queries: Rows, own: bool, asked: Array, fit: _Fit) -> FarRows:
    part, numbers = fit.rows(rows)
    n, (d, n_outputs) = len(asked), (rows.X.shape[1], part.targets.shape[1])
    if not len(part.X):
        nothing = FarRows(np.full(n, -np.inf), np.ones(n), np.zeros((n, n_outputs)))
        if fit.order == 0:
            return nothing
        lines = np.zeros((n, d)), np.zeros((n, d)), np.zeros((n, d, d))
        return FarRows(*nothing[:3], *lines, np.zeros((n, d, n_outputs)))
    return regression.far_rows(
        part,
        queries.X[asked],
        numbers[asked] if own else None,
        find(fit.kernel).density,
        fit.order,
        fit.sums.bandwidth,
        run=_parallel.in_order,
    )


def _lost(poor: Array, far: FarRows | None) -> Array:
    """Find the poor queries that logarithms do not tell of either."""
    return poor if far is None else poor[np.isneginf(far.top)]


def _near(rows: Rows, queries: Rows, own: bool, asked: Array, fit: _Fit) -> Nearest:
    part, numbers = fit.rows(rows)
    if not len(part.X):
        n = len(asked)
        return Nearest(
            np.full(n, np.inf), np.zeros(n), np.zeros((n, part.targets.shape[1]))
        )
    return regression.nearest(
        part,
        queries.X[asked],
        numbers[asked] if own else None,
        fit.sums.bandwidth,
        run=_parallel.in_order,
    )


def _value(
    totals: Array,
    queries: Rows,
    poor: Array,
    far: FarRows | None,
    lost: Array,
    near: Nearest | None,
    fit: _Fit,
) -> Array:
    values, _ = fit_from_sums(_split(totals, fit), queries.X.shape[1])
    if far is not None:
        values[poor] = far.values(queries.X[poor], fit.sums.bandwidth)
    if near is not None:
        values[lost] = near.values
    scale = fit.sums.weights.scale
    assert scale is not None
    values = scale.in_units(values, clip=fit.clip)
    return values.reshape(len(values), *fit.shape)
