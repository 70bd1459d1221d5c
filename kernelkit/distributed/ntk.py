"""Kernel machines whose kernel blocks and predictions are computed by workers."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import Any, NamedTuple

import numpy as np
from dask.base import persist
from dask.delayed import Delayed
from sklearn.base import clone
from sklearn.utils.metaestimators import available_if

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.distributed import chunks, prediction
from kernelkit.distributed.chunks import Rows
from kernelkit.distributed.header import Header, common
from kernelkit.kernels import NeuralTangent
from kernelkit.ntk import svm
from kernelkit.ntk.machines import kernel_of, needs_room, notice_zeros

_TILE = 2048  # rows of a block of the kernel matrix, 32 MB
_LOTS = 8  # in which these come to the client


class NTKSVC(svm.NTKSVC):
    """Support vector machine with a neural tangent kernel, for rows in Dask chunks.

    Workers check the rows and compute the kernel matrix by blocks; the solver runs on
    the client, which holds the matrix, the labels and the weights, but no rows save
    the support vectors. So rows may be wide and kernels deep, and still there cannot be
    more rows than those whose matrix of 8 n^2 bytes fits into the memory of the client:
    beyond that, fit a part of them, or `NystroemRidge` with a `NeuralTangent` kernel.
    Predictions for Dask collections are Dask arrays, not computed yet.

    Parameters and attributes are those of `kernelkit.NTKSVC`, of which this is a
    subclass: it is that class itself for rows in memory. After a fit of a Dask
    collection `X_fit_` holds the support vectors alone and `dual_coef_` their
    coefficients, while `support_` still counts all rows of positive weight.

    See Also
    --------
    kernelkit.NTKSVC : Parameters, attributes and methods.
    NystroemRidge : For any number of rows.

    Notes
    -----
    The support vectors are those of the plain class, and the values of the machines
    are equal up to the rounding of the kernel, as far as `tol` and `gap_tol` determine
    them. The matrix does not depend on workers. They hold the rows while `fit` runs;
    it reads `X` twice, which must give the same rows. To the client come half the
    matrix, by blocks of up to 2048 rows, and the support vectors.

    Examples
    --------
    >>> import dask.array
    >>> from sklearn.datasets import load_digits
    >>> from kernelkit.distributed import NTKSVC
    >>> X, y = load_digits(n_class=3, return_X_y=True)
    >>> X = dask.array.from_array(X / 16.0, chunks=(200, -1))
    >>> model = NTKSVC(C=10.0).fit(X, y)
    >>> model.score(X, y)
    1.0
    """

    def decision_function(self, X: Any) -> Any:
        """Evaluate the machines.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        values : ndarray or dask array of shape (n_queries,) or (n_queries, n_classes)
            As of the plain class.
        """
        if not chunks.is_collection(X):
            return super().decision_function(X)
        check.is_fitted(self)
        n_classes = len(self.classes_)
        shape = () if n_classes == 2 else (n_classes,)
        return prediction.mapped(self, "decision_function", X, shape)

    def predict(self, X: Any) -> Any:
        """Predict the classes of query rows.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray or dask array of shape (n_queries,)
            Labels.
        """
        if not chunks.is_collection(X):
            return super().predict(X)
        check.is_fitted(self)
        return prediction.mapped(self, "predict", X, dtype=self.classes_.dtype)

    @available_if(svm._gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Estimate the probabilities of the classes.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        probabilities : ndarray or dask array of shape (n_queries, n_classes)
            As of the plain class.
        """
        if not chunks.is_collection(X):
            return super().predict_proba(X)
        check.is_fitted(self)
        return prediction.mapped(self, "predict_proba", X, (len(self.classes_),))

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

    def certify(
        self,
        X: Any,
        norm: str = "linf",
        method: str = "linear",
        clip: tuple[float, float] | None = None,
    ) -> Any:
        """Find radii within which no change of the features changes the prediction.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Rows to certify.
        norm : {"linf"}, default="linf"
            As of the plain class.
        method : {"linear", "interval", "paper"}, default="linear"
            As of the plain class.
        clip : tuple of (float, float) or None, default=None
            As of the plain class.

        Returns
        -------
        radii : ndarray or dask array of shape (n_queries,)
            Lower bounds of the distance to the nearest row that is classified
            otherwise.
        """
        options: dict[str, Any] = {"norm": norm, "method": method, "clip": clip}
        if not chunks.is_collection(X):
            return super().certify(X, **options)
        self._needs_no_intercept()
        return prediction.mapped(self, "certify", X, **options)

    def attack(
        self, X: Any, clip: tuple[float, float] | None = None
    ) -> tuple[Any, Any]:
        """Search for near rows that are classified otherwise, by gradient descent.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Rows to attack.
        clip : tuple of (float, float) or None, default=None
            As of the plain class.

        Returns
        -------
        radii : ndarray or dask array of shape (n_queries,)
            Largest change of a feature that is enough; inf where nothing was found.
        adversaries : ndarray or dask array of shape (n_queries, n_features)
            The rows that were found, or else the rows of `X`.
        """
        if not chunks.is_collection(X):
            return super().attack(X, clip)
        self._needs_no_intercept()
        shape = (1 + self.n_features_in_,)
        both = prediction.mapped(self, "_attack_to_one", X, shape, clip=clip)
        return both[:, 0], both[:, 1:]

    def robust_score(
        self,
        X: Any,
        y: Any,
        delta: float,
        *,
        method: str = "linear",
        clip: tuple[float, float] | None = None,
    ) -> float:
        """Return the share of rows that are right and certified to stay so.

        Parameters
        ----------
        X : array-like, dask array or dask frame of shape (n_queries, n_features)
            Rows.
        y : array-like, dask array or series of shape (n_queries,)
            Their labels.
        delta : float
            Largest change of a feature, > 0.
        method : {"linear", "interval", "paper"}, default="linear"
            As of the plain class.
        clip : tuple of (float, float) or None, default=None
            As of the plain class.

        Returns
        -------
        share : float
            A lower bound of the accuracy on rows changed by an adversary.
        """
        options: dict[str, Any] = {"method": method, "clip": clip}
        if not chunks.is_collection(X):
            return super().robust_score(X, y, delta, **options)
        delta = check.positive("delta", delta)
        self._needs_no_intercept()
        rows = chunks.rows_of(X, y)
        step = "NTKSVC-robust-score"
        right, n = rows.reduce(step, _robust, self, delta, options, add=np.add)
        return float(right / n)

    def _prepare(self, X: Any, y: Any, sample_weight: Any) -> svm.Problem:
        self._training: Any = None
        if not chunks.is_collection(X):
            return super()._prepare(X, y, sample_weight)
        self._needs_hinge()
        rows = chunks.rows_of(X, y, sample_weight)
        if rows.lengths and sample_weight is None and self.class_weight is None:
            needs_room(sum(rows.lengths))  # before all labels come
        lengths, y, sample_weight = self._look(rows)
        kept, weights = self._weigh(*check.labels(self, y), sample_weight)
        needs_room(len(weights))
        held = self._hold(rows, np.split(kept, np.cumsum(lengths)[:-1]))
        self.kernel_ = kernel_of(self)
        K = held.gram(clone(self.kernel_).set_params(n_jobs=1))
        notice_zeros(K)
        return _ChunkedProblem(**vars(self._pose(K, weights)), held=held)

    def _look(self, rows: chunks.Chunks) -> tuple[list[int], Any, Any]:
        """Check the rows of each chunk, tell their number, fetch labels and weights."""
        found = rows.gather("NTKSVC-check", _see, clone(self))
        common([look and look.header for look in found]).give_to(self)
        seen = [look for look in found if look is not None]
        lengths = [0 if look is None else look.n_rows for look in found]
        return lengths, _join([s.y for s in seen]), _join([s.weights for s in seen])

    def _hold(self, rows: chunks.Chunks, masks: list[Array]) -> "_Held":
        """Have workers keep the rows with weight, those of small chunks together."""
        model = chunks.argument_once(clone(self), "NTKSVC-keep")
        parts = [
            (k, block, mask)
            for k, (block, mask) in enumerate(zip(rows.blocks, masks, strict=True))
            if mask.any()
        ]
        ends = np.cumsum([mask.sum() for _, _, mask in parts])
        last = np.flatnonzero(np.diff((ends - 1) // _TILE, append=np.inf))
        blocks = [
            chunks.task("NTKSVC-keep", _keep, parts[i:j], model)
            for i, j in pairwise([0, *(last + 1)])
        ]
        return _Held(persist(*blocks, traverse=False), ends[last])

    def _train(self, problem: svm.Problem, starts: Array | None = None) -> Array:
        coef = super()._train(problem, starts)
        if isinstance(problem, _ChunkedProblem):
            with _parallel.one_blas_thread:
                values = problem.K @ coef.T + self.intercept_
            self._training = values, problem.K.diagonal().copy()
            self.X_fit_ = problem.held.rows(self.support_)
            self.dual_coef_ = coef[:, self.support_]
        return coef

    def _at_training_rows(self) -> tuple[Array, Array]:
        return self._training or super()._at_training_rows()

    def _attack_to_one(self, X: Any, clip: Any) -> Array:
        return np.column_stack(self.attack(X, clip))


@dataclass(frozen=True)
class _Held:
    """Checked rows of positive weight, which workers hold.

    Attributes
    ----------
    blocks : sequence of Delayed
        Each makes an array of rows.
    ends : ndarray of shape (n_blocks,)
        How many rows there are up to the end of each block.
    """

    blocks: Sequence[Delayed]
    ends: Array

    def gram(self, kernel: NeuralTangent) -> Array:
        """Compute the kernel matrix by tiles, and those of a pair of rows once."""
        starts = np.append(0, self.ends[:-1])
        tiles = [
            (block, slice(first - start, first - start + _TILE), first)
            for block, start, end in zip(self.blocks, starts, self.ends, strict=True)
            for first in range(start, end, _TILE)
        ]
        pairs = [*combinations_with_replacement(tiles, 2)]
        shared = chunks.argument_once(kernel, "NTKSVC-kernel")
        n = self.ends[-1]
        K = np.empty((n, n))
        n_each = 16 + len(pairs) // _LOTS
        for k in range(0, len(pairs), n_each):
            lot = pairs[k : k + n_each]
            tasks = [
                chunks.task("NTKSVC-kernel", _tile, shared, X, own, Y, others, i == j)
                for (X, own, i), (Y, others, j) in lot
            ]
            for tile, ((_, _, i), (_, _, j)) in zip(
                chunks.compute(*tasks), lot, strict=True
            ):
                K[i : i + len(tile), j : j + len(tile.T)] = tile
                K[j : j + len(tile.T), i : i + len(tile)] = tile.T
        return K

    def rows(self, chosen: Array) -> Array:
        """Fetch the chosen rows, of which the numbers are ascending."""
        parts = np.split(chosen, np.searchsorted(chosen, self.ends[:-1]))
        starts = np.append(0, self.ends[:-1])
        tasks = [
            chunks.task("NTKSVC-support", np.take, block, part - start, 0)
            for block, part, start in zip(self.blocks, parts, starts, strict=True)
            if len(part)
        ]
        return np.vstack(chunks.compute(*tasks))


@dataclass(frozen=True)
class _ChunkedProblem(svm.Problem):
    """A problem whose rows are elsewhere."""

    held: _Held


class _Seen(NamedTuple):
    """What a chunk tells of itself."""

    n_rows: int
    header: Header
    y: Any
    weights: Any


def _see(rows: Rows, model: Any) -> _Seen:
    X, model = _check(rows, model)
    return _Seen(len(X), Header.of(model), rows.y, rows.weights)


def _check(rows: Rows, model: Any) -> tuple[Array, Any]:
    """Check the rows of a chunk as a plain fit does."""
    model = copy(model)  # other threads have the same one
    X = check.kernel_rows(model, rows.X, reset=True, kernel=None, dtype="float64")
    return X, model


def _keep(parts: list[tuple[int, Rows, Array]], model: Any) -> Array:
    """Check the rows of chunks again, and take those that have weight."""
    for k, rows, mask in parts:
        n = rows.X.shape[0]
        if n != len(mask):
            raise RuntimeError(
                f"Chunk {k} of X had {len(mask)} rows, and {n} when it was computed "
                "once more: make sure that it gives the same rows each time."
            )
    return np.vstack([_check(rows, model)[0][mask] for _, rows, mask in parts])


def _tile(
    kernel: NeuralTangent, X: Array, own: slice, Y: Array, others: slice, same: bool
) -> Array:
    K: Array = kernel(X[own], None if same else Y[others])
    return K


def _robust(rows: Rows, model: NTKSVC, delta: float, options: dict[str, Any]) -> Array:
    share = model.robust_score(rows.X, rows.y, delta, **options)
    return np.array([round(share * len(rows.X)), len(rows.X)])


def _join(parts: list[Any]) -> Any:
    return None if parts[0] is None else np.concatenate([*map(np.asarray, parts)])
