"""Kernel ridge regression on rows that come in batches and are not kept.

A `Stream` is a value: `Stream.add` makes a new one and changes nothing of the old, so
that whatever fails on the way leaves a model as it was; and its solution is computed
when a prediction first asks for it, with the same bits in every thread that asks.

Rows wait until they are enough for a step. The first step, the end of the warm-up,
chooses centres and sums over its rows exactly. Each later one adds the sums over its
rows, and with ``dictionary="adaptive"`` lets a sketch choose further centres.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import solve_triangular
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._warnings import warn
from kernelkit.linalg import Centers, PairKernel, as_kernel
from kernelkit.nystroem.centers import choose_centers
from kernelkit.nystroem.dictionary import Draws, Sketch, add_rows, complete, start
from kernelkit.nystroem.solvers import Span, alpha_path, find_span, solve_direct
from kernelkit.nystroem.statistics import NormalEquations, accumulate, tile_rows

Array = npt.NDArray[Any]

_FEWEST_WARMUP_SAMPLES, _WARMUP_SAMPLES_PER_CENTER = 2000, 8
_RIDGE = 3.0  # of the sketch, in units of alpha
_OVERSAMPLING = 4.0  # of the sketch
_FEWEST_ROWS, _MOST_ROWS = 256, 4096  # of a step after the warm-up
_PROBED_ROWS = 256  # of a step, whose residuals tell how new its rows are
_LEAST_PIVOT = 1e-3  # of centres, down to which sums of kernel values will do
_NOISE = 1000.0  # roundings of k(x, x), below which a residual is none
_NEW, _DRIFT = (
    2.0,
    3.0,
)  # novelties worth other centres, and a warning if there are none


_SOLVED = ("components_", "component_indices_", "dual_coef_", "intercept_", "_centers")


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
    if isinstance(estimator.kernel, str) and estimator.kernel == "precomputed":
        raise ValueError(
            "partial_fit computes kernel values with rows to come, which "
            "kernel='precomputed' does not have: use fit, or another kernel."
        )
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
    stream = replace(stream, settings=settings).add(X, y.reshape(len(y), -1), weights)
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
) -> "Stream":
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
        centers = _given_centers(kernel, centers, X)
    m = estimator.n_components if isinstance(centers, str) else centers.shape[0]
    check.memory(8 * m * (5 * m + tile_rows(m)), "lower n_components")
    warmup_samples = estimator.warmup_samples
    if isinstance(warmup_samples, str):
        warmup_samples = max(_FEWEST_WARMUP_SAMPLES, _WARMUP_SAMPLES_PER_CENTER * m)
    is_flat, y = y.ndim == 1, y.reshape(len(y), -1)
    base = np.zeros(y.shape[1])
    if estimator.fit_intercept:
        base = np.average(y, axis=0, weights=weights)
    _, exponent = np.frexp(np.abs(y - base).max(axis=0))
    return Stream(
        Settings(
            kernel,
            alpha,
            bool(estimator.fit_intercept),
            base,
            np.ldexp(1.0, exponent),
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


def _given_centers(kernel: PairKernel, centers: Any, X: Any) -> Any:
    if np.ndim(centers) == 1:
        raise ValueError(
            "centers of one dimension are row numbers, which a stream does not have: "
            "give partial_fit the centres themselves, or a rule."
        )
    rows = check.kernel_rows(
        BaseEstimator(), centers, reset=True, kernel=kernel.name, dtype=X.dtype
    )
    if rows.shape[1] != X.shape[1]:
        raise ValueError(
            f"centers have {rows.shape[1]} features, and X has {X.shape[1]}: they must "
            "be rows like those of X."
        )
    return rows


def _warn(before: "Learned | None", learned: "Learned", *, is_adaptive: bool) -> None:
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


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows with what belongs to them.

    Attributes
    ----------
    X : ndarray or csr_array of shape (n, n_features)
    y : ndarray of shape (n, n_outputs), float64
    weights : ndarray of shape (n,), float64
        Positive.
    ids : ndarray of shape (n,), int64
        Their numbers in the stream.
    """

    X: Any
    y: Array
    weights: Array
    ids: Array

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Any) -> "Rows":
        """Keep the rows of a slice, at some indices, or where a mask is True."""
        return Rows(self.X[index], self.y[index], self.weights[index], self.ids[index])

    def copy(self) -> "Rows":
        """Copy, so that a larger array behind a slice is not kept alive."""
        return Rows(self.X.copy(), self.y.copy(), self.weights.copy(), self.ids.copy())


def join(parts: Iterable[Rows]) -> Rows:
    """Concatenate rows."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    return Rows(
        _stack([part.X for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.ids for part in parts]),
    )


@dataclass(frozen=True, eq=False)
class Settings:
    """What does not change in a stream.

    Attributes
    ----------
    kernel : PairKernel
    alpha : ndarray of shape (1,) or (n_outputs,)
        Penalty.
    fit_intercept : bool
    base, unit : ndarray of shape (n_outputs,)
        Targets are kept as ``(y - base) / unit``.
    is_flat : bool
        Whether targets come without an axis of outputs.
    n_components : int
        Most centres.
    centers : str or ndarray of shape (m, n_features)
        Rule that chooses them, or themselves.
    selection_samples : int, "auto" or None
        Rows of the warm-up that they are chosen from.
    warmup_samples : int
        Rows of the warm-up.
    is_adaptive : bool
        Whether centres change afterwards.
    seed : int
        Of all draws.
    n_jobs : int or None
        Number of threads.
    """

    kernel: PairKernel
    alpha: Array
    fit_intercept: bool
    base: Array
    unit: Array
    is_flat: bool
    n_components: int
    centers: Any
    selection_samples: Any
    warmup_samples: int
    is_adaptive: bool
    seed: int
    n_jobs: int | None

    def scaled(self, y: Array) -> Array:
        """Copy targets into the unit of the sums."""
        return (y - self.base) / self.unit

    def step_rows(self, learned: "Learned | None") -> int:
        """Return how many rows are enough for the next step."""
        if learned is None:
            return self.warmup_samples
        return int(np.clip(2 * self.n_components, _FEWEST_ROWS, _MOST_ROWS))


@dataclass(frozen=True, eq=False)
class Learned:
    """What remains of rows that are gone.

    Attributes
    ----------
    centers : Centers
    span : Span
        Functions that the centres span.
    basis : ndarray of shape (m, r) or None
        Basis of the span that sums are over, if those of kernel values lack digits.
    normal : NormalEquations
        Sums over the rows.
    usual : float
        Mean residual of a row of the warm-up.
    novelty : float
        That of the rows of the last step, in units of `usual`.
    has_drifted : bool
        Whether the novelty was ever large.
    n_rows : int
        Number of the rows.
    sketch : Sketch or None
        Chooses centres, if they change.
    n_projected : int
        Number of centres so far whose sums over earlier rows are approximate.
    """

    centers: Centers
    span: Span
    basis: Array | None
    normal: NormalEquations
    usual: float
    novelty: float
    has_drifted: bool
    n_rows: int
    sketch: Sketch | None
    n_projected: int


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
        if self.waiting:
            rows = join(self.waiting)
            if learned is None:
                learned = begin(settings, rows)
            else:
                sums = _sums(settings, learned.centers, learned.basis, rows)
                learned = replace(learned, normal=learned.normal + sums)
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


def solve(settings: Settings, learned: Learned) -> tuple[Array, Array]:
    """Minimise the squared errors plus the penalty.

    Returns
    -------
    coef : ndarray of shape (m, n_outputs)
    intercept : ndarray of shape (n_outputs,)
    """
    span, white = learned.span, learned.normal
    with _parallel.one_blas_thread:
        if learned.basis is None:
            white = span.whiten(white)
        target = white.centered() if settings.fit_intercept else white
        if learned.n_projected:  # projected sums may be indefinite
            beta = alpha_path(target).beta(settings.alpha)
        else:
            beta = solve_direct(target, settings.alpha).beta
        coef = span.coef(beta)
    intercept = np.zeros(beta.shape[1])
    if settings.fit_intercept:
        intercept = (white.targets - white.columns @ beta) / white.weight
    return settings.unit * coef, settings.base + settings.unit * intercept


def begin(settings: Settings, rows: Rows) -> Learned:
    """End the warm-up: choose the centres and sum over the rows."""
    sketch = None
    if settings.is_adaptive:
        sketch, centers = _begin_sketch(settings, rows)
    else:
        centers = _choose(settings, rows)
    span, basis = _span(settings, centers), None
    pivots = span.factor.diagonal()
    if sketch is None and not (pivots > _LEAST_PIVOT * pivots.max(initial=0.0)).all():
        basis = span.basis()
    return Learned(
        centers,
        span,
        basis,
        _sums(settings, centers, basis, rows),
        usual=_usual_residual(settings, centers, span, rows),
        novelty=1.0,
        has_drifted=False,
        n_rows=len(rows),
        sketch=sketch,
        n_projected=0,
    )


def go_on(settings: Settings, learned: Learned, rows: Rows) -> Learned:
    """Take a step: see how new its rows are, change centres for them, sum over them."""
    residuals = _residuals(settings, learned.centers, learned.span, _probe(rows))
    novelty = float(residuals.mean()) / learned.usual
    if learned.sketch is not None:
        has_room = len(learned.centers) < settings.n_components
        learned = adapt(settings, learned, rows, change=novelty > _NEW or has_room)
    return replace(
        learned,
        normal=learned.normal + _sums(settings, learned.centers, learned.basis, rows),
        novelty=novelty,
        has_drifted=learned.has_drifted or novelty > _DRIFT,
        n_rows=learned.n_rows + len(rows),
    )


def adapt(settings: Settings, learned: Learned, rows: Rows, *, change: bool) -> Learned:
    """Show the sketch new rows, and if a change is due, make its atoms centres.

    Sums of these over earlier rows are those of their projections on the old centres.
    If centres get too many, the oldest that are no atoms are dropped, which leaves the
    sums of the others exact. Projections cost accuracy where the old centres do well,
    so that a change is due only where they do not.
    """
    assert learned.sketch is not None
    sketch = _watch(settings, learned.sketch, rows, n_before=learned.n_rows)
    learned = replace(learned, sketch=sketch)
    atoms = sketch.dictionary.centers
    new = atoms.take(~np.isin(atoms.ids, learned.centers.ids))
    if not change or not len(new):
        return learned
    kernel, centers = settings.kernel, learned.centers
    with _parallel.one_blas_thread:
        features = learned.span.project(kernel.block(new.rows, centers).T)
        normal = learned.normal.extend(learned.span.coef(features))
    centers = kernel.centers(
        _stack([centers.rows, new.rows]), np.concatenate([centers.ids, new.ids])
    )
    excess = len(centers) - settings.n_components
    if excess > 0:
        spare = np.flatnonzero(~np.isin(centers.ids, atoms.ids))
        oldest = spare[np.argsort(centers.ids[spare])][:excess]
        kept = np.setdiff1d(np.arange(len(centers)), oldest)
        centers, normal = centers.take(kept), normal.keep(kept)
    return replace(
        learned,
        centers=centers,
        span=_span(settings, centers),
        normal=normal,
        n_projected=learned.n_projected + len(new),
    )


def _choose(settings: Settings, rows: Rows) -> Centers:
    """Choose centres that stay."""
    kernel, rule = settings.kernel, settings.centers
    if not isinstance(rule, str):
        given = rule.astype(rows.X.dtype, copy=False)
        return kernel.centers(given, np.full(given.shape[0], -1))
    chosen = choose_centers(
        rule,
        kernel,
        rows.X,
        rows.weights,
        settings.n_components,
        alpha=float(settings.alpha.min()),
        selection_samples=settings.selection_samples,
        rng=np.random.default_rng(settings.seed),
        n_jobs=settings.n_jobs,
    ).indices
    return kernel.centers(rows.X[chosen], rows.ids[chosen])


def _begin_sketch(settings: Settings, rows: Rows) -> tuple[Sketch, Centers]:
    """Start a sketch on half of the centres; the other half nearly got into it."""
    empty = start(
        settings.kernel,
        rows.X,
        ridge=_RIDGE * float(settings.alpha.min()),
        oversampling=_OVERSAMPLING,
        max_atoms=max(settings.n_components // 2, 1),
        n_reserve=settings.n_components,
    )
    sketch = _watch(settings, empty, rows, n_before=0)
    with _parallel.one_blas_thread:
        centers = complete(sketch, settings.n_components).centers
    return replace(sketch, reserve=empty.reserve, n_reserve=0), centers


def _watch(settings: Settings, sketch: Sketch, rows: Rows, *, n_before: int) -> Sketch:
    """Show rows to a sketch; what is drawn for a row depends on its number alone."""
    rng = np.random.Generator(np.random.PCG64(settings.seed).advance(n_before))
    first = int(rows.ids[0])

    def renumber(draws: Draws) -> Draws:
        """Count rows without weight too, which the sketch is not shown."""
        ids = draws.ids.copy()
        new = ids >= first
        ids[new] = rows.ids[ids[new] - first]
        return replace(draws, ids=ids)

    sketch = replace(sketch, n_seen=first)
    with _parallel.one_blas_thread, _parallel.threads(settings.n_jobs) as run:
        sketch = add_rows(sketch, rows.X, rows.weights, rng, run=run)
    dictionary = sketch.dictionary
    return replace(
        sketch,
        dictionary=replace(dictionary, atoms=renumber(dictionary.atoms)),
        reserve=renumber(sketch.reserve),
    )


def _span(settings: Settings, centers: Centers) -> Span:
    with _parallel.one_blas_thread:
        K_mm = settings.kernel.block(centers.rows, centers)
        return find_span(K_mm, K_mm.dtype)


def _sums(
    settings: Settings, centers: Centers, basis: Array | None, rows: Rows
) -> NormalEquations:
    normal = accumulate(
        settings.kernel,
        rows.X,
        rows.y,
        rows.weights,
        centers,
        basis=basis,
        n_jobs=settings.n_jobs,
    )
    if not (np.isfinite(normal.gram).all() and np.isfinite(normal.cross).all()):
        raise ValueError(
            "The kernel values or the weights are so large that sums of them overflow: "
            "rescale the features, the kernel or the weights."
        )
    return normal


def _probe(rows: Rows) -> Rows:
    """Take some rows that stand for all."""
    n = len(rows)
    if n <= _PROBED_ROWS:
        return rows
    return rows.take(np.linspace(0, n - 1, _PROBED_ROWS).astype(np.int64))


def _residuals(settings: Settings, centers: Centers, span: Span, rows: Rows) -> Array:
    """Return of each row ``k(x, x)`` less what the centres span of it, >= 0."""
    with _parallel.one_blas_thread:
        features = span.project(settings.kernel.block(rows.X, centers).T)
        whole = settings.kernel.diag(rows.X, rows.ids)
        return np.maximum(whole - np.einsum("ij,ij->j", features, features), 0.0)


def _usual_residual(
    settings: Settings, centers: Centers, span: Span, rows: Rows
) -> float:
    """Return the mean residual of rows of the warm-up, each against other centres.

    It is at least so large that residuals below are rounding, or that the penalty
    leaves nothing of what they would add to the fit.
    """
    probed = _probe(rows)
    residuals = _residuals(settings, centers, span, probed)
    # Without a centre j, the others leave 1 / (K^-1)_jj of it.
    triangle, own = span.factor[: span.rank], np.zeros(len(centers))
    inverse = solve_triangular(triangle, np.eye(span.rank), lower=True)
    own[span.order[: span.rank]] = 1.0 / np.einsum("ij,ij->j", inverse, inverse)
    own_of = dict(zip(centers.ids.tolist(), own.tolist(), strict=True))
    for i, number in enumerate(probed.ids.tolist()):
        residuals[i] = own_of.get(number, residuals[i])
    sizes = settings.kernel.diag(probed.X, probed.ids)
    rounding = _NOISE * np.finfo(probed.X.dtype).eps * float(np.abs(sizes).mean())
    harmless = float(settings.alpha.min()) / float(rows.weights.sum())
    return max(float(residuals.mean()), rounding, harmless)


def _stack(parts: list[Any]) -> Any:
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)
