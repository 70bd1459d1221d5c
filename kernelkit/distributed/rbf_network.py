"""Networks of basis functions whose training rows are in Dask chunks."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.distributed import chunks, network_rows, prediction
from kernelkit.distributed.chunks import Chunks
from kernelkit.distributed.network_rows import Block, PreparedOnChunks
from kernelkit.distributed.rows_on_chunks import Fold, RowsOnChunks, Setting
from kernelkit.rbf_network import classifier, regressor
from kernelkit.rbf_network.callbacks import Watch, with_callbacks
from kernelkit.rbf_network.network import (
    Columns,
    Ends,
    LearnedPrecision,
    Prepared,
    warn_if_light,
)
from kernelkit.rbf_network.objective import Rows
from kernelkit.rbf_network.subspace import Network

_FOLDS = 5


class _NetworkOnChunks(LearnedPrecision):
    """What the regressor and the classifier do otherwise if rows are in chunks."""

    def _merge(self, checked: Chunks, function: Any, *arguments: Any) -> Chunks:
        step = f"{type(self).__name__}-merge"
        return network_rows.persisted(checked.apply(step, function, *arguments))

    def _prepare_chunks(
        self, merged: Chunks, rng: np.random.Generator
    ) -> tuple[PreparedOnChunks, Columns]:
        """Standardise merged rows; return them, and what their targets have."""
        data, targets, n = network_rows.prepared(self, merged, rng)
        warn_if_light(data.total, n)
        return data, targets

    def _on_chunks(self, data: PreparedOnChunks, **targets: Any) -> RowsOnChunks:
        setting = Setting(self.kernel, self.batch_rows, self._dtype, **targets)
        sample = Block(data.X, data.Y, data.weights, data.draws)
        return RowsOnChunks(sample, data.chunks, data.total, setting)

    def _agop_root(self, data: Prepared, networks: Sequence[Network]) -> Array:
        if not isinstance(data, PreparedOnChunks):
            return super()._agop_root(data, networks)
        return self._on_chunks(data).agop_root(networks)

    def _solver(self, rows: Rows) -> str:
        if isinstance(rows, RowsOnChunks):
            return "lbfgs"
        solver: str = super()._solver(rows)
        return solver

    def _held_fold(self) -> Fold:
        return Fold(0.0, float(self.validation_fraction))

    def transform(self, X: Any) -> Any:
        """Project standardised rows on the leading directions of `active_subspace_`.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        T : ndarray or dask array of shape (n_samples, k)
            As of the plain class.
        """
        if not chunks.is_collection(X):
            return super().transform(X)
        check.is_fitted(self)
        shape = (self._n_features_out,)
        return prediction.mapped(self, "transform", X, shape, self._dtype)

    def inverse_transform(self, X: Any) -> Any:
        """Return the rows nearest to the mean that have these coordinates.

        Parameters
        ----------
        X : array-like or dask array of shape (n_samples, n_components)
            Coordinates along the leading directions.

        Returns
        -------
        X : ndarray or dask array of shape (n_samples, n_features)
            As of the plain class.
        """
        if not chunks.is_collection(X):
            return super().inverse_transform(X)
        check.is_fitted(self)
        shape = (self.n_features_in_,)
        return prediction.mapped(self, "inverse_transform", X, shape, self._dtype)


class GaussianRBFRegressor(_NetworkOnChunks, regressor.GaussianRBFRegressor):
    """Regression by Gaussian basis functions, for rows in Dask chunks.

    Workers standardise the rows and hold them, in their memory or, where this is full,
    where Dask spills to; those of a worker that is lost are computed anew. The search
    for the precision runs on the client: for each value and gradient, tasks get the
    parameters, of the size of the centres, and return a matrix of M x M entries and
    another of that size. Centres are chosen, and the start is found, by a sample of at
    most 20,000 different rows that comes to the client: drawn by weights, and the same
    for any chunks unless rows are repeated in several. Predictions for Dask collections
    are Dask arrays, not computed yet.

    Parameters and attributes are those of `kernelkit.GaussianRBFRegressor`, of which
    this is a subclass: it is that class itself for rows in memory. For a Dask
    collection, `solver="auto"` means "lbfgs", and "adam" is refused, as its batches
    would cost a round of tasks each. `early_stopping` and `selection` by "holdout" or
    "cv" hold out about the same share of rows as that class, but others, the same for
    any chunks; workers hold the rows another time for it. `n_jobs` is the number of
    searches, of several structures or starts, that the client runs at once.

    See Also
    --------
    kernelkit.GaussianRBFRegressor : Parameters, attributes and methods.
    GaussianRBFClassifier : The same for classes.

    Notes
    -----
    If there are at most 20,000 different rows, centres and start are those of the plain
    class, and with the same of both, and `mu`, so is the loss after the same
    iterations, up to 1e-8 of it, or about 1e-5 in float32; rounding may grow beyond
    where a search is unstable, as that for centres is, and with "laplace" any whose
    centres are rows. Equal rows are merged within chunks, which changes what a fit
    costs and not what it minimises. No bit depends on the workers.

    A fit reads `X` once; for a moment, workers hold the rows twice. An iteration takes
    two rounds of tasks or a few more; a round costs a few ms for each chunk beyond the
    sums, so large chunks pay.

    Examples
    --------
    >>> import dask.array
    >>> from sklearn.datasets import make_friedman1
    >>> from kernelkit.distributed import GaussianRBFRegressor
    >>> X, y = make_friedman1(n_samples=400, noise=1.0, random_state=0)
    >>> X = dask.array.from_array(X, chunks=(200, -1))
    >>> model = GaussianRBFRegressor(precision="diag", random_state=0)
    >>> model.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.9
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn the precision, and solve for the weights of the basis functions.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like, dask array or frame, of shape (n_samples,) or \
(n_samples, n_outputs)
            Targets, finite numbers, in the chunks of X.
        sample_weight : array-like, dask array or series, default=None
            Nonnegative row weights, of shape (n_samples,); None weighs every row 1.

        Returns
        -------
        self : GaussianRBFRegressor
        """
        if not chunks.is_collection(X):
            return super().fit(X, y, sample_weight)
        return self._fit_chunks(X, y, sample_weight)

    @check.params
    @with_callbacks
    def _fit_chunks(self, X: Any, y: Any, sample_weight: Any) -> Self:
        check.fraction("validation_fraction", self.validation_fraction)
        if self.solver == "adam":
            raise ValueError(
                "solver='adam' takes steps on batches of rows in memory: for rows in "
                "Dask chunks use solver='lbfgs' or 'auto'."
            )
        before, watch = self._before(), Watch(self, X, y)
        rng = check.rng(self.random_state)
        function = network_rows.check_numbers
        facts, checked = network_rows.checked(self, X, y, sample_weight, function)
        self._dtype = facts.dtype.name
        self._is_flat = not facts.target_shape
        merged = self._merge(checked, network_rows.merged_numbers)
        del checked  # workers need not hold both
        with _parallel.one_blas_thread:
            data, outputs = self._prepare_chunks(merged, rng)
            del merged
            self._fit_prepared(data, outputs, before, watch, rng)
        return self

    def _rows(self, data: Prepared, outputs: Columns) -> Rows:
        if not isinstance(data, PreparedOnChunks):
            return super()._rows(data, outputs)
        return self._on_chunks(data, columns=outputs)

    def _folds(self, rows: Rows, rng: np.random.Generator) -> tuple[Any, list[Any]]:
        plain = super()._folds(rows, rng)  # draws that lead to the same centres
        if not isinstance(rows, RowsOnChunks):
            return plain
        return self._held_fold(), Fold.parts(_FOLDS)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the targets at query rows.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.
        return_std : bool, default=False
            Whether to return the standard deviation of a new target, too.

        Returns
        -------
        y : ndarray or dask array of shape (n_queries,) or (n_queries, n_outputs)
            Predictions.
        std : ndarray or dask array of the same shape
            Standard deviations, if asked for.
        """
        if not chunks.is_collection(X):
            return super().predict(X, return_std)
        check.is_fitted(self)
        if not return_std:
            return prediction.mapped(self, "predict", X, self._shape, self._dtype)
        shape = (*self._shape, 2)
        both = prediction.mapped(self, "_predict_with_std", X, shape, self._dtype)
        return both[..., 0], both[..., 1]

    def _predict_with_std(self, X: Any) -> Array:
        return np.stack(self.predict(X, return_std=True), axis=-1)

    @property
    def _shape(self) -> tuple[int, ...]:
        """Shape of a prediction."""
        return () if self._is_flat else self._outputs.scale.shape

    def gradient(self, X: Any) -> Any:
        """Return the gradients of the fitted function at query rows.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        G : ndarray or dask array, as of the plain class
            Derivatives, in the unit of `y` by those of `X`.
        """
        if not chunks.is_collection(X):
            return super().gradient(X)
        check.is_fitted(self)
        shape = (self.n_features_in_, *self._shape)
        return prediction.mapped(self, "gradient", X, shape, self._dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2, of several outputs the mean.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.
        y : array-like, dask array or frame, of shape (n_queries,) or \
(n_queries, n_outputs)
            Their targets.
        sample_weight : array-like, dask array or series, default=None
            Weights of the rows, of shape (n_queries,).

        Returns
        -------
        score : float
        """
        if not chunks.is_collection(X):
            return float(super().score(X, y, sample_weight))
        return prediction.r2(self, X, y, sample_weight)


class GaussianRBFClassifier(_NetworkOnChunks, classifier.GaussianRBFClassifier):
    """Classification by Gaussian basis functions, for rows in Dask chunks.

    Workers standardise the rows and hold them, in their memory or, where this is full,
    where Dask spills to; those of a worker that is lost are computed anew. The search
    for the precision and the weights runs on the client: for each value and gradient,
    tasks get the parameters, of the size of the centres, and return matrices of that
    size, for the regression another of M x M entries. Centres are chosen, and the start
    is found, by a sample of at most 20,000 different rows that comes to the client:
    drawn by weights, and the same for any chunks unless rows are repeated in several.
    Labels stay where they are, but for those of the sample. Predictions for Dask
    collections are Dask arrays, not computed yet.

    Parameters and attributes are those of `kernelkit.GaussianRBFClassifier`, of which
    this is a subclass: it is that class itself for rows in memory. For a Dask
    collection, `early_stopping` and `selection` by "holdout" or "cv" hold out about the
    same share of rows as that class, but others, the same for any chunks; workers hold
    the rows another time for it. `n_jobs` is the number of searches, of several
    structures or starts, that the client runs at once.

    See Also
    --------
    kernelkit.GaussianRBFClassifier : Parameters, attributes and methods.
    GaussianRBFRegressor : The same for numbers.

    Notes
    -----
    If there are at most 20,000 different rows, centres and start are those of the plain
    class, and with the same of both, and `mu`, so is the loss after the same
    iterations, up to 1e-8 of it, or about 1e-5 in float32; rounding may grow beyond
    where a search is unstable, as that for centres is, and with "laplace" any whose
    centres are rows. Equal rows are merged within chunks, which changes what a fit
    costs and not what it minimises. No bit depends on the workers.

    A fit reads `X` once; for a moment, workers hold the rows twice. It takes some 100
    to 300 rounds of tasks, of which up to a hundred fit the weights to the first
    precision; a round costs a few ms for each chunk beyond the sums, so large chunks
    pay.

    Examples
    --------
    >>> import dask.array
    >>> from sklearn.datasets import load_breast_cancer
    >>> from kernelkit.distributed import GaussianRBFClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = dask.array.from_array(X, chunks=(200, -1))
    >>> model = GaussianRBFClassifier(20, precision="diag", random_state=0)
    >>> model.fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.95
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn the precision and the weights of the basis functions.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like, dask array or series of shape (n_samples,)
            Labels of two classes or more, in the chunks of X.
        sample_weight : array-like, dask array or series, default=None
            Nonnegative row weights, of shape (n_samples,); None weighs every row 1.

        Returns
        -------
        self : GaussianRBFClassifier
        """
        if not chunks.is_collection(X):
            return super().fit(X, y, sample_weight)
        return self._fit_chunks(X, y, sample_weight)

    @check.params
    @with_callbacks
    def _fit_chunks(self, X: Any, y: Any, sample_weight: Any) -> Self:
        check.fraction("validation_fraction", self.validation_fraction)
        before, watch = self._before(), Watch(self, X, y)
        rng = check.rng(self.random_state)
        function = network_rows.check_labels
        facts, checked = network_rows.checked(self, X, y, sample_weight, function)
        classes, totals = facts.classes, facts.totals
        assert classes is not None
        codes = np.arange(len(classes))
        weights = check.class_weights(self, totals, classes, codes)
        assert weights is not None
        used = check.two_classes(self, weights, classes, codes)
        factors = None
        if self.class_weight is not None:
            factors = weights / np.where(totals > 0.0, totals, 1.0)
        self.classes_ = classes[used]
        self._dtype = facts.dtype.name
        arguments = classes, used, factors
        merged = self._merge(checked, network_rows.merged_labels, *arguments)
        del checked  # workers need not hold both
        with _parallel.one_blas_thread:
            data, _ = self._prepare_chunks(merged, rng)
            del merged
            self._fit_prepared(data, before, watch, rng)
        return self

    def _rows(self, data: Prepared) -> Rows:
        if not isinstance(data, PreparedOnChunks):
            return super()._rows(data)
        return self._on_chunks(data, n_classes=len(self.classes_))

    def _numbers(self, rows: Rows) -> Columns:
        if not isinstance(rows, RowsOnChunks):
            return super()._numbers(rows)
        means = rows.target_means()
        nothing = np.zeros_like(means)
        ends = Ends(nothing, nothing + 1.0, nothing)
        return Columns.between(ends, means, means * (1.0 - means))

    def _with_numbers(self, rows: Rows, numbers: Columns) -> Rows:
        if not isinstance(rows, RowsOnChunks):
            return super()._with_numbers(rows, numbers)
        return rows.recoded(numbers)

    def _hold_out(self, data: Prepared, rng: np.random.Generator) -> Any:
        plain = super()._hold_out(data, rng)  # draws that lead to the same centres
        return self._held_fold() if isinstance(data, PreparedOnChunks) else plain

    def _folds(self, data: Prepared, rng: np.random.Generator) -> list[Any]:
        plain = super()._folds(data, rng)
        return Fold.parts(_FOLDS) if isinstance(data, PreparedOnChunks) else plain

    def decision_function(self, X: Any) -> Any:
        """Evaluate the logits of the classes.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        logits : ndarray or dask array of shape (n_queries,) or (n_queries, n_classes)
            As of the plain class.
        """
        if not chunks.is_collection(X):
            return super().decision_function(X)
        check.is_fitted(self)
        return prediction.mapped(self, "decision_function", X, self._shape, self._dtype)

    @property
    def _shape(self) -> tuple[int, ...]:
        """Shape of the logits of a row."""
        n_classes = len(self.classes_)
        return () if n_classes == 2 else (n_classes,)

    def predict(self, X: Any) -> Any:
        """Predict the classes of query rows.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray or dask array of shape (n_queries,)
            Labels of the most probable classes.
        """
        if not chunks.is_collection(X):
            return super().predict(X)
        check.is_fitted(self)
        return prediction.mapped(self, "predict", X, dtype=self.classes_.dtype)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        log_probabilities : ndarray or dask array of shape (n_queries, n_classes)
            In the order of `classes_`.
        """
        if not chunks.is_collection(X):
            return super().predict_log_proba(X)
        check.is_fitted(self)
        shape = self.classes_.shape
        return prediction.mapped(self, "predict_log_proba", X, shape, self._dtype)

    def predict_proba(self, X: Any) -> Any:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        probabilities : ndarray or dask array of shape (n_queries, n_classes)
            In the order of `classes_`, of sum 1.
        """
        if not chunks.is_collection(X):
            return super().predict_proba(X)
        check.is_fitted(self)
        shape = self.classes_.shape
        return prediction.mapped(self, "predict_proba", X, shape, self._dtype)

    def gradient(self, X: Any) -> Any:
        """Return the gradients of the logits at query rows.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        G : ndarray or dask array, as of the plain class
            Derivatives of `decision_function` by features, in the units of `X`.
        """
        if not chunks.is_collection(X):
            return super().gradient(X)
        check.is_fitted(self)
        shape = (self.n_features_in_, *self._shape)
        return prediction.mapped(self, "gradient", X, shape, self._dtype)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows that are classified right.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.
        y : array-like, dask array or series of shape (n_queries,)
            Their labels.
        sample_weight : array-like, dask array or series, default=None
            Weights of the rows, of shape (n_queries,).

        Returns
        -------
        accuracy : float
        """
        if not chunks.is_collection(X):
            return float(super().score(X, y, sample_weight))
        return prediction.accuracy(self, X, y, sample_weight)
