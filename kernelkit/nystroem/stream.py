"""Kernel ridge regression on rows that come in batches and are not kept.

A `Stream` is a value: `Stream.add` makes a new one and changes nothing of the old, so
that whatever fails on the way leaves a model as it was; and its solution is computed
when a prediction first asks for it, with the same bits in every thread that asks.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_consistent_length

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.linalg import as_kernel
from kernelkit.nystroem.centers import given_rows
from kernelkit.nystroem.statistics import tile_rows
from kernelkit.nystroem.steps import (
    Learned,
    Rows,
    Settings,
    begin,
    go_on,
    include,
    join,
    power_above,
    solve,
)

_FEWEST_WARMUP_SAMPLES, _WARMUP_SAMPLES_PER_CENTER = 2000, 8
_SOLVED = ("components_", "component_indices_", "dual_coef_", "intercept_", "_centers")


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows so far: those that wait, and what was learned from the others.

    Attributes
    ----------
    settings : Settings
    waiting : tuple of Rows
    learned : Learned or None
        None during the warm-up.
    n_seen : int
        Number of rows, those without weight too.
    """

    settings: Settings
    waiting: tuple[Rows, ...] = ()
    learned: Learned | None = None
    n_seen: int = 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def widened(self, y: Array) -> "Stream":
        """Raise the unit of targets for those of a batch: a power of 2, so exactly."""
        settings = self.settings.wide_enough(y)
        factor = self.settings.unit / settings.unit
        if (factor == 1.0).all():
            return self
        learned = self.learned
        if learned is not None:
            learned = replace(learned, normal=learned.normal.scaled(factor))
        waiting = tuple(replace(rows, y=rows.y * factor) for rows in self.waiting)
        return replace(self, settings=settings, waiting=waiting, learned=learned)

    def add(self, X: Any, y: Array, weights: Array | None) -> "Stream":
        """Add a batch of rows; what is kept of them is copied."""
        n = X.shape[0]
        ids = np.arange(self.n_seen, self.n_seen + n)
        if weights is None:
            weights = np.ones(n)
        rows = Rows(self._like_first(X), self.settings.scaled(y), weights, ids)
        if not weights.all():
            rows = rows.take(weights > 0.0)
        waiting, learned = self.waiting, self.learned
        while len(rows):
            missing = self.settings.step_rows(learned) - sum(map(len, waiting))
            if len(rows) < missing:
                waiting = (*waiting, rows.copy())
                break
            # Sums take any number of rows, and more of them more threads.
            only_sums = learned is not None and learned.sketch is None and not waiting
            end = len(rows) if only_sums else missing
            step = join([*waiting, rows.take(slice(end))])
            rows, waiting = rows.take(slice(end, None)), ()
            with _parallel.one_blas_thread:
                if learned is None:
                    learned = begin(self.settings, step)
                else:
                    learned = go_on(self.settings, learned, step)
        return Stream(self.settings, waiting, learned, self.n_seen + n)

    @cached_property
    def solution(self) -> dict[str, Any]:
        """The attributes that describe the fit to all rows so far.

        Those that wait are taken for the whole warm-up, or for rows that change no
        centre.
        """
        settings, learned = self.settings, self.learned
        with _parallel.one_blas_thread:
            if self.waiting:
                rows = join(self.waiting)
                if learned is None:
                    learned = begin(settings, rows)
                else:
                    learned = include(settings, learned, rows)
            assert learned is not None
            coef, intercept = solve(settings, learned)
        return {
            "components_": learned.centers.rows,
            "component_indices_": learned.centers.ids,
            "dual_coef_": coef[:, 0] if settings.is_flat else coef,
            "intercept_": float(intercept[0]) if settings.is_flat else intercept,
            "_centers": learned.centers,
        }

    def _like_first(self, X: Any) -> Any:
        """Convert rows to the precision and the container of the first ones."""
        if self.waiting:
            first = self.waiting[0].X
        elif self.learned is not None:
            first = self.learned.centers.rows
        else:
            return X
        if sparse.issparse(X) and not sparse.issparse(first):
            X = X.toarray()
        elif sparse.issparse(first) and not sparse.issparse(X):
            X = sparse.csr_array(X)
        return X.astype(first.dtype, copy=False)


def feed(estimator: Any, X: Any, y: Array, sample_weight: Any, alpha: Array) -> None:
    """Let an estimator learn from a batch of rows, as its `partial_fit` does.

    Parameters
    ----------
    estimator : NystroemRidge or NystroemRidgeClassifier
        Becomes the owner of a new stream.
    X : array-like
        What `partial_fit` got.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Checked targets.
    sample_weight : array-like or None
        What `partial_fit` got.
    alpha : ndarray of shape (1,) or (n_outputs,)
        Penalty.
    """
    stream: Stream | None = vars(estimator).get("_stream")
    check.takes_new_rows(estimator.kernel)
    X = check.kernel_rows(
        estimator,
        X,
        reset=stream is None,
        kernel=estimator.kernel,
        dtype=estimator.dtype,
    )
    check_consistent_length(X, y)
    weights = check.weights(sample_weight, X)
    if stream is None:
        if "_centers" in vars(estimator):
            warn(
                "partial_fit after fit starts anew, as fit keeps no sums to add to: "
                "give all rows to partial_fit, or all to fit."
            )
        stream = _start(estimator, X, y, weights, alpha)
    settings = stream.settings
    n_outputs = y.shape[1] if y.ndim == 2 else 1
    if settings.is_flat != (y.ndim == 1) or n_outputs != len(settings.unit):
        shape = "(n,)" if settings.is_flat else f"(n, {len(settings.unit)})"
        raise ValueError(
            f"y has the shape {y.shape}, and that of earlier batches was {shape}: "
            "outputs must stay the same."
        )
    settings = replace(settings, alpha=alpha, n_jobs=estimator.n_jobs)
    before = stream.learned
    y = y.reshape(len(y), -1)
    stream = replace(stream, settings=settings).widened(y).add(X, y, weights)
    learned = stream.learned
    if learned is not None:
        _warn(before, learned, is_adaptive=settings.is_adaptive)
    for name in _SOLVED:
        vars(estimator).pop(name, None)
    estimator._stream = stream
    estimator.kernel_ = settings.kernel
    estimator.solver_ = "direct"
    estimator.n_iter_ = 1
    estimator.n_samples_seen_ = stream.n_seen
    estimator.novelty_ = 1.0 if learned is None else learned.novelty
    estimator.n_projected_ = 0 if learned is None else learned.n_projected


def solved(estimator: Any, name: str) -> Any:
    """Return an attribute that `partial_fit` leaves to be computed when asked for.

    Raises
    ------
    AttributeError
        If there is no such attribute.
    """
    stream: Stream | None = vars(estimator).get("_stream")
    if stream is None or name not in _SOLVED:
        owner = type(estimator).__name__
        raise AttributeError(f"{owner!r} object has no attribute {name!r}")
    return stream.solution[name]


def forget(estimator: Any) -> None:
    """Remove what `partial_fit` left."""
    for name in ("_stream", "n_samples_seen_", "novelty_", "n_projected_"):
        vars(estimator).pop(name, None)


def _start(
    estimator: Any, X: Any, y: Array, weights: Array | None, alpha: Array
) -> Stream:
    """Make an empty stream for rows like those of a batch."""
    kernel = as_kernel(
        estimator.kernel,
        gamma=estimator.gamma,
        degree=estimator.degree,
        coef0=estimator.coef0,
        kernel_params=estimator.kernel_params,
        n_features=X.shape[1],
    )
    is_adaptive = estimator.dictionary == "adaptive"
    centers = estimator.centers
    if is_adaptive and not (isinstance(centers, str) and centers == "rls"):
        raise ValueError(
            "dictionary='adaptive' chooses centres by ridge leverage scores: leave "
            f"centers='rls', or use dictionary='warmup'. Got centers={centers!r}."
        )
    if not isinstance(centers, str):
        if np.ndim(centers) == 1:
            raise ValueError(
                "centers of one dimension are row numbers, which a stream does not "
                "have: give partial_fit the centres themselves, or a rule."
            )
        centers = given_rows(kernel, centers, X)
    m = estimator.n_components if isinstance(centers, str) else centers.shape[0]
    check.memory(8 * m * (5 * m + tile_rows(m)), "lower n_components")
    warmup_samples = estimator.warmup_samples
    if isinstance(warmup_samples, str):
        warmup_samples = max(_FEWEST_WARMUP_SAMPLES, _WARMUP_SAMPLES_PER_CENTER * m)
    if isinstance(centers, str) and not is_adaptive and warmup_samples < m:
        raise ValueError(
            f"warmup_samples={warmup_samples} rows cannot hold n_components={m} "
            "centres: raise it, lower n_components, or use dictionary='adaptive'."
        )
    is_flat, y = y.ndim == 1, y.reshape(len(y), -1)
    base = np.zeros(y.shape[1])
    if estimator.fit_intercept:
        base = np.average(y, axis=0, weights=weights)
    return Stream(
        Settings(
            kernel,
            alpha,
            bool(estimator.fit_intercept),
            base,
            power_above(y - base),
            is_flat,
            m,
            centers,
            estimator.selection_samples,
            int(warmup_samples),
            is_adaptive,
            int(check.rng(estimator.random_state).integers(2**63)),
            estimator.n_jobs,
        )
    )


def _warn(before: Learned | None, learned: Learned, *, is_adaptive: bool) -> None:
    if before is None and not learned.span.is_definite:
        warn(
            "The kernel is not positive semidefinite on the centres, some of which are "
            "left out: use another kernel or other parameters of it."
        )
    has_drifted = before is not None and before.has_drifted
    if learned.has_drifted and not has_drifted and not is_adaptive:
        warn(
            f"The rows of the last step are {learned.novelty:.3g} times as far from "
            "the span of the centres as those of the warm-up were: use "
            "dictionary='adaptive' for streams that drift, or shuffle the rows."
        )
