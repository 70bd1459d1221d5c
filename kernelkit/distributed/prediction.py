"""Predictions for rows in Dask collections, chunk by chunk, and scores of them."""

import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.metrics import accuracy_score

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.distributed import chunks
from kernelkit.distributed.chunks import Rows


def predict(estimator: Any, X: Any, method: str = "predict", meta: Any = None) -> Any:
    """Call a method of a fitted estimator for each chunk of rows, on workers.

    Parameters
    ----------
    estimator : estimator
        Any fitted one, of kernelkit, scikit-learn or with their methods, a pipeline or
        a search. Each worker gets a copy, which later fits of `estimator` leave alone.
        Those of `kernelkit.distributed` are just called, as they take collections.
    X : dask array or dask frame of shape (n_queries, n_features), or array-like
        Query rows. Those in memory are given to the method at once.
    method : str, default="predict"
        Name of a method that takes rows and returns an array with a row, or a number,
        for each: "predict_proba", "decision_function", "transform" and others.
    meta : ndarray or None, default=None
        An array like the results, with any number of rows. None takes what the method
        returns for a made-up row of ones, or of a value of each column's type.

    Returns
    -------
    results : dask array, or what the method returns for rows in memory
        Not computed yet; in the chunks of `X` that are not empty, of unknown sizes if
        those are.

    Raises
    ------
    ValueError
        If the method fails for the made-up row, or does not return such an array; when
        the results are computed, also if a chunk does not fit what was fitted.

    Notes
    -----
    Results are those of the method for all rows at once, up to rounding that depends
    on the number of rows: about 1e-15 of their range, times what the method loses where
    large terms cancel. Within tasks every `n_jobs` means 1, as a cluster computes
    several chunks at a time.

    Examples
    --------
    >>> import dask.array
    >>> from sklearn.datasets import load_diabetes
    >>> from kernelkit import NystroemRidge
    >>> from kernelkit.distributed import predict
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = NystroemRidge(random_state=0).fit(X, y)
    >>> predict(model, dask.array.from_array(X, chunks=(100, -1)))
    dask.array<concatenate, shape=(442,), dtype=float64, chunksize=(100,), ...>
    """
    function = getattr(estimator, method)
    if not chunks.is_collection(X) or _takes_collections(estimator):
        return function(X)
    like = _trial(function, X) if meta is None else np.asarray(meta)
    return mapped(estimator, method, X, like.shape[1:], like.dtype)


def mapped(
    estimator: Any,
    method: str,
    X: Any,
    /,
    shape: tuple[int, ...] = (),
    dtype: Any = np.float64,
    **options: Any,
) -> Any:
    """Plan a method of a fitted estimator for each chunk, whose results are known.

    Parameters
    ----------
    estimator : estimator
        Of which workers get a copy, as it is now.
    method : str
    X : dask array or frame
    shape : tuple of int
        Of a result, without its rows.
    dtype : dtype
        Of the results.
    **options : object
        Keywords of the method.
    """
    check.is_fitted(estimator)
    call = _Call(deepcopy(estimator), method, shape, np.dtype(dtype), options)
    step = f"{type(estimator).__name__}-{method}"
    return chunks.on_chunks(step, _results, X, call, shape=shape, dtype=dtype)


def r2(estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Compute the coefficient of determination by sums over chunks.

    Of several outputs it is the mean of theirs.

    Parameters
    ----------
    estimator : estimator
        Whose `predict` returns a Dask array.
    X : dask array or frame
    y, sample_weight : dask array or frame, or array-like
        In the chunks of X.
    """
    sums = _summed(_Errors.of, estimator, X, y, sample_weight, _Errors.add)
    if sums.n < 2:
        warn("R^2 is not defined for a single row.", UndefinedMetricWarning)
        return float("nan")
    check.total_weight(np.array([sums.weight]))
    scores = np.where(sums.errors > 0.0, 0.0, 1.0)  # of constant targets
    varies = sums.spread > 0.0
    scores[varies] = 1.0 - sums.errors[varies] / sums.spread[varies]
    return float(scores.mean())


def accuracy(estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Compute the share of right predictions; the parameters are those of `r2`."""
    right, total = _summed(_hits, estimator, X, y, sample_weight, np.add)
    return float(right / check.total_weight(np.array([total])))


class _Call(NamedTuple):
    """A method that tasks call, and of what its results are."""

    estimator: Any
    method: str
    shape: tuple[int, ...]
    dtype: Any
    options: dict[str, Any]


class _Errors(NamedTuple):
    """Sums over rows, for each output."""

    n: int
    weight: float
    mean: Array
    spread: Array  # weighted squares of the distances from the mean
    errors: Array  # weighted squares of the distances from what was predicted

    @classmethod
    def of(cls, rows: Rows) -> "_Errors":
        predicted = rows.X
        y = np.asarray(rows.y)
        if y.size == predicted.size:  # a column may come as numbers
            y = y.reshape(predicted.shape)
        y = check.query_targets(y, predicted.shape)
        weights = check.part_weights(rows.weights, predicted)
        n = len(y)
        if weights is None:
            weights = np.ones(n)
        used = weights > 0.0  # numbers without weight may be as large as can be
        y, predicted, weights = y[used], predicted[used], weights[used]
        base = y[0] if len(y) else np.zeros(y.shape[1])
        total = weights.sum()
        shifted = y - base  # constant targets have no spread, not even by rounding
        mean = weights @ shifted / (total or 1.0)
        spread = weights @ (shifted - mean) ** 2
        errors = weights @ (y - predicted) ** 2
        return cls(n, total, base + mean, spread, errors)

    def add(self, other: "_Errors") -> "_Errors":
        total = self.weight + other.weight
        share = other.weight / (total or 1.0)
        step = other.mean - self.mean
        spread = self.spread + other.spread + self.weight * share * step**2
        errors = self.errors + other.errors
        mean = self.mean + share * step
        return _Errors(self.n + other.n, total, mean, spread, errors)


def _hits(rows: Rows) -> Array:
    weights = check.part_weights(rows.weights, rows.X)
    if weights is None:
        weights = np.ones(len(rows.X))
    if not weights.any():  # which the metric refuses
        return np.zeros(2)
    right = accuracy_score(rows.y, rows.X, normalize=False, sample_weight=weights)
    return np.array([right, weights.sum()])


def _summed(
    function: Callable[[Rows], Any],
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    add: Callable[[Any, Any], Any],
) -> Any:
    """Add what a function says of the predictions and targets of each chunk."""
    predicted = estimator.predict(X)
    if predicted.ndim == 1:
        predicted = predicted[:, None]
    rows = chunks.rows_of(predicted, y, sample_weight)
    step = f"{type(estimator).__name__}-score"
    return rows.reduce(step, function, add=add)


def _takes_collections(estimator: Any) -> bool:
    package = __name__.rpartition(".")[0]
    return any(kind.__module__.startswith(package) for kind in type(estimator).mro())


def _results(X: Any, call: _Call) -> Array:
    results = _result(getattr(call.estimator, call.method), X, **call.options)
    if results.shape[1:] != call.shape or not np.can_cast(results.dtype, call.dtype):
        raise ValueError(
            f"{call.method} returned an array of shape {results.shape} and "
            f"{results.dtype}, and rows of shape {call.shape} and {call.dtype} were "
            "expected: pass meta, an array like the results."
        )
    return results


def _trial(function: Callable[..., Any], X: Any) -> Array:
    """Find the shape and the dtype of results by a made-up row."""
    if hasattr(X, "chunks"):
        row = np.ones((1, *X.shape[1:]), X.dtype)
    else:
        from dask.dataframe.utils import (  # type: ignore[attr-defined]
            make_meta,
            meta_nonempty,
        )

        row = meta_nonempty(make_meta(X)).iloc[:1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _result(function, row)
    except NotFittedError:
        raise
    except Exception as error:
        raise ValueError(
            f"{error}\n({function.__name__} said this of a made-up row, by which "
            "the shape of results is found. If only this row is to blame, pass meta, "
            "an array like the results.)"
        ) from error


def _result(function: Callable[..., Any], X: Any, **options: Any) -> Array:
    """Call a function of rows that must return an array with a row for each."""
    results = function(X, **options)
    shape = getattr(results, "shape", ())
    if shape[:1] != X.shape[:1] or sparse.issparse(results):
        raise ValueError(
            f"Expected an array with a row, or a number, for each of {X.shape[0]} "
            f"rows, got {type(results).__name__} of shape {shape}."
        )
    return np.asarray(results)
