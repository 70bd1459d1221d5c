"""What a stream of rows teaches in one step, and the fit to all that it taught.

The first step, the end of the warm-up, chooses centres and sums over its rows exactly.
Each later one adds the sums over its rows, and with ``dictionary="adaptive"`` lets a
sketch choose further centres. All values are new ones: no step changes the last one's.
The caller limits BLAS to one thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kernelkit import _parallel
from kernelkit._validation import Array
from kernelkit.linalg import Centers, PairKernel, row_tiles
from kernelkit.nystroem.centers import choose_centers
from kernelkit.nystroem.dictionary import (
    Draws,
    Sketch,
    add_rows,
    complete,
    stack,
    start,
)
from kernelkit.nystroem.outliers import warn_of_outliers
from kernelkit.nystroem.solvers import solve_direct
from kernelkit.nystroem.span import NOISE, Span, find_span
from kernelkit.nystroem.statistics import (
    NormalEquations,
    accumulate,
    rounding_of_sums,
    sum_of_sizes,
)

_RIDGE = 3.0  # of the sketch, in units of alpha
_OVERSAMPLING = 4.0  # of the sketch
_FEWEST_ROWS, _MOST_ROWS = 256, 4096  # of a step after the warm-up
_PROBED_ROWS = 1024  # of a step, whose residuals tell how new its rows are
_NOISE = 1000.0  # roundings of k(x, x), below which a residual is none
_DEVIATIONS = 3.0  # standard errors of a mean residual that may be chance
_LENGTH = 100.0  # of a stream, in warm-ups, up to which sums keep their digits
_NEW, _DRIFT = 2.0, 3.0  # novelties worth new centres, and a warning if there are none


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
        stack([part.X for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.ids for part in parts]),
    )


def power_above(y: Array) -> Array:
    """Return the power of 2 above the sizes of targets (n, n_outputs); 1 above 0."""
    _, exponent = np.frexp(np.abs(y).max(axis=0))
    return np.ldexp(1.0, exponent)


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

    def wide_enough(self, y: Array) -> "Settings":
        """Raise the unit so that targets are at most 1 in it."""
        unit = np.maximum(self.unit, power_above(y - self.base))
        return replace(self, unit=unit)

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
    basis : ndarray of shape (r, k)
        For the last functions of the basis, which sums are over; those before have
        digits enough in sums of kernel values. Centres that change need all of it.
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
    basis: Array
    normal: NormalEquations
    usual: float
    novelty: float
    has_drifted: bool
    n_rows: int
    sketch: Sketch | None
    n_projected: int


def begin(settings: Settings, rows: Rows) -> Learned:
    """End the warm-up: choose the centres and sum over the rows."""
    sketch = None
    if settings.is_adaptive:
        sketch, centers = _begin_sketch(settings, rows)
    else:
        centers = _choose(settings, rows)
    span = _span(settings, centers)
    basis = span.lossy(_most_magnified(settings, rows))
    return Learned(
        centers,
        span,
        basis,
        _sums(settings, centers, span, basis, rows),
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
    # A few rare rows are no drift: leave out what could be their chance.
    doubt = _DEVIATIONS * float(residuals.std()) / len(residuals) ** 0.5
    least = novelty - doubt / learned.usual
    if learned.sketch is not None:
        has_room = len(learned.centers) < settings.n_components
        learned = _adapt(settings, learned, rows, change=least > _NEW or has_room)
    return replace(
        include(settings, learned, rows),
        novelty=novelty,
        has_drifted=learned.has_drifted or least > _DRIFT,
    )


def include(settings: Settings, learned: Learned, rows: Rows) -> Learned:
    """Add the sums over some rows, and change nothing else."""
    sums = _sums(settings, learned.centers, learned.span, learned.basis, rows)
    return replace(
        learned, normal=learned.normal + sums, n_rows=learned.n_rows + len(rows)
    )


def solve(settings: Settings, learned: Learned) -> tuple[Array, Array]:
    """Minimise the squared errors plus the penalty.

    Returns
    -------
    coef : ndarray of shape (m, n_outputs)
    intercept : ndarray of shape (n_outputs,)
    """
    span = learned.span
    white = span.whiten(learned.normal, span.rank - learned.basis.shape[1])
    target = white.centered() if settings.fit_intercept else white
    beta = solve_direct(target, settings.alpha).beta
    coef = span.coef(beta)
    intercept = np.zeros(beta.shape[1])
    if settings.fit_intercept:
        intercept = (white.targets - white.columns @ beta) / white.weight
    return settings.unit * coef, settings.base + settings.unit * intercept


def _adapt(
    settings: Settings, learned: Learned, rows: Rows, *, change: bool
) -> Learned:
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
    features = learned.span.project(_values(kernel, new.rows, centers).T)
    values = np.vstack([learned.span.values, features.T])  # of the old basis
    centers = kernel.centers(
        stack([centers.rows, new.rows]), np.concatenate([centers.ids, new.ids])
    )
    excess = len(centers) - settings.n_components
    if excess > 0:
        spare = np.flatnonzero(~np.isin(centers.ids, atoms.ids))
        oldest = spare[np.argsort(centers.ids[spare])][:excess]
        kept = np.setdiff1d(np.arange(len(centers)), oldest)
        centers, values = centers.take(kept), values[kept]
    span = _span(settings, centers)
    basis = span.lossy(0.0)
    return replace(
        learned,
        centers=centers,
        span=span,
        basis=basis,
        normal=learned.normal.combine(values.T @ span.basis()),
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
    with _parallel.threads(settings.n_jobs) as run:
        sketch = add_rows(sketch, rows.X, rows.weights, rng, run=run)
    dictionary = sketch.dictionary
    return replace(
        sketch,
        dictionary=replace(dictionary, atoms=renumber(dictionary.atoms)),
        reserve=renumber(sketch.reserve),
    )


def _span(settings: Settings, centers: Centers) -> Span:
    K_mm = _values(settings.kernel, centers.rows, centers)
    least = NOISE if settings.is_adaptive else 0.0
    return find_span(K_mm, centers.rows.dtype, least=least)


def _most_magnified(settings: Settings, rows: Rows) -> float:
    """Return how much roundings of sums over a stream that begins so may grow."""
    if settings.is_adaptive:
        return 0.0
    sizes = sum_of_sizes(settings.kernel, rows.X, rows.weights)
    rounding = rounding_of_sums(sizes)
    return float(settings.alpha.min()) / (_LENGTH * rounding)


def _values(kernel: PairKernel, X: Any, centers: Centers) -> Array:
    """Compare some rows with the centres in float64, as spans magnify roundings."""
    rows = centers.rows.astype(np.float64, copy=False)
    return kernel.block(
        X.astype(np.float64, copy=False), kernel.centers(rows, centers.ids)
    )


def _sums(
    settings: Settings, centers: Centers, span: Span, basis: Array, rows: Rows
) -> NormalEquations:
    alpha = float(settings.alpha.min())
    warn_of_outliers(
        settings.kernel, rows.X, rows.ids, rows.weights, centers, span, alpha
    )
    return accumulate(
        settings.kernel,
        rows.X,
        rows.y,
        rows.weights,
        centers.take(span.kept),
        basis=basis,
        n_jobs=settings.n_jobs,
    )


def _probe(rows: Rows) -> Rows:
    """Take some rows that stand for all."""
    n = len(rows)
    if n <= _PROBED_ROWS:
        return rows
    return rows.take(np.linspace(0, n - 1, _PROBED_ROWS).astype(np.int64))


def _residuals(settings: Settings, centers: Centers, span: Span, rows: Rows) -> Array:
    """Return of each row ``k(x, x)`` less what the centres span of it, >= 0."""
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
    tiles = (rows.take(part) for part in row_tiles(len(rows), len(centers)))
    residuals = np.concatenate(
        [_residuals(settings, centers, span, tile) for tile in tiles]
    )
    # Without a centre j, the others leave 1 / (K^-1)_jj of it.
    inverse = np.square(span.basis()).sum(axis=1)
    own = np.where(inverse > 0.0, 1.0 / np.where(inverse > 0.0, inverse, 1.0), 0.0)
    own_of = dict(zip(centers.ids.tolist(), own.tolist(), strict=True))
    for i, number in enumerate(rows.ids.tolist()):
        residuals[i] = own_of.get(number, residuals[i])
    sizes = settings.kernel.diag(rows.X, rows.ids)
    rounding = _NOISE * np.finfo(rows.X.dtype).eps * float(np.abs(sizes).mean())
    harmless = float(settings.alpha.min()) / float(rows.weights.sum())
    return max(float(residuals.mean()), rounding, harmless)
