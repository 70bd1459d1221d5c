"""Sums of a network's objectives over rows that workers hold.

Each is one round of tasks, which get the parameters and return a matrix or two; the
optimiser that asks for them runs on the client.
"""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from kernelkit import _parallel
from kernelkit._validation import Array
from kernelkit.distributed.chunks import Chunks
from kernelkit.distributed.network_rows import Block, persisted
from kernelkit.rbf_network.classifier import one_hot
from kernelkit.rbf_network.network import Columns
from kernelkit.rbf_network.objective import Normal, Rows, Solution, Value
from kernelkit.rbf_network.subspace import Network, agop_root


class Fold(NamedTuple):
    """The rows for which a number from `start` to `stop` was drawn."""

    start: float
    stop: float

    @classmethod
    def parts(cls, number: int) -> list["Fold"]:
        """Return folds which each row is in one of."""
        return [cls(*ends) for ends in pairwise(np.linspace(0.0, 1.0, number + 1))]

    def mask(self, block: Block, least: Array) -> Array:
        """Tell which rows to hold out: not those of the least number of each class."""
        draws = block.draws
        is_inside = (self.start <= draws) & (draws < self.stop)
        return is_inside & (draws > least[_classes(block, len(least))])


@dataclass(frozen=True)
class Setting:
    """How chunks become the rows of an objective.

    Attributes
    ----------
    profile, block_rows
        Those of `Rows`.
    n_classes : int
        0 for targets that are numbers.
    columns : Columns or None
        By which targets are standardised.
    dtype : str
    """

    profile: str
    block_rows: int | None
    dtype: str
    n_classes: int = 0
    columns: Columns | None = None

    def rows(self, block: Block) -> Rows:
        """Make the rows of a chunk."""
        Y = block.y
        if self.n_classes:
            Y = one_hot(Y, self.n_classes)
        if self.columns is not None:
            Y = self.columns.varied(Y, self.dtype)
        return Rows(
            block.X, Y, block.weights, profile=self.profile, block_rows=self.block_rows
        )


class RowsOnChunks(Rows):
    """Standardised training rows that workers hold; its own are a sample.

    Parameters
    ----------
    sample : Block
        At whose rows a fit looks where some are enough.
    chunks : Chunks
        All rows, which workers hold: each makes a `Block`.
    total : float
        Their weight.
    setting : Setting
        How blocks become rows.
    """

    def __init__(
        self, sample: Block, chunks: Chunks, total: float, setting: Setting
    ) -> None:
        self._some = setting.rows(sample)
        super().__init__(
            self._some.X,
            self._some.Y,
            self._some.weights,
            profile=setting.profile,
            block_rows=setting.block_rows,
        )
        self.total = total
        self._sample, self._chunks, self._setting = sample, chunks, setting
        self._context = copy_context()  # which may name the client

    def part(self, chosen: Any, factor: float = 1.0) -> Any:
        """Return some of the rows of the sample."""
        return self._some.part(chosen, factor)

    def alone(self) -> Self:
        """Return the same: tasks have room of their own."""
        return self

    def split(self, fold: Fold) -> tuple[Self, Self]:
        """Return the rows without those of a fold, and these; both are held."""
        step, n_groups = "network-fold", max(self._setting.n_classes, 1)
        least = self._chunks.reduce(step, _least_draws, n_groups, add=np.minimum)
        held_weight = self._chunks.reduce(step, _weight_in, fold, least, add=np.add)
        if not held_weight:
            raise ValueError(
                "The rows are too few to hold some out: give more, or a larger "
                "validation_fraction."
            )
        totals = self.total - held_weight, held_weight
        kept, held = (
            type(self)(
                _in_fold(self._sample, fold, least, is_held),
                persisted(self._chunks.apply(step, _in_fold, fold, least, is_held)),
                float(total),
                self._setting,
            )
            for is_held, total in zip((False, True), totals, strict=True)
        )
        return kept, held

    def recoded(self, columns: Columns) -> Self:
        """Return the same rows with standardised targets."""
        setting = replace(self._setting, columns=columns)
        return type(self)(self._sample, self._chunks, self.total, setting)

    def target_means(self) -> Array:
        """Return the weighted means of the targets."""
        sums: Array = self._sum("target-means", _target_means, add=np.add)
        return sums / self.total

    def normal(self, U: Array, C: Array) -> Normal:
        """Sum the normal equations over the rows."""
        found: Normal = self._sum("normal", _normal, U, C, add=_add_normals)
        return found

    def pull(
        self, U: Array, C: Array, left: Array, right: Array | None
    ) -> tuple[Array, Array]:
        """Turn a gradient in basis functions to gradients in the factor and centres."""
        arguments = U, C, left, right
        dU, dC = self._sum("gradient", _pull, *arguments, add=_add_arrays)
        return dU, dC

    def cross_entropy(
        self,
        U: Array,
        C: Array,
        coef: Array,
        intercept: Array,
        alpha: float,
        is_placed: bool = False,
    ) -> Value:
        """Weighted mean of the log loss, with the penalty of the weights."""
        arguments = U, C, coef, intercept, is_placed
        parts = self._sum("log-loss", _cross_entropy, *arguments, add=_add_arrays)
        loss, dU, dC, d_coef, d_intercept = (part / self.total for part in parts)
        penalty = alpha / self.total
        return Value(
            float(loss) + 0.5 * penalty * float((coef * coef).sum()),
            dU,
            dC,
            coef=d_coef + penalty * coef,
            intercept=d_intercept,
        )

    def mean_log_loss(self, U: Array, C: Array, coef: Array, intercept: Array) -> float:
        """Return the weighted mean of the log loss."""
        arguments = U, C, coef, intercept
        total = self._sum("mean-log-loss", _log_loss, *arguments, add=np.add)
        return float(total) / self.total

    def mean_square(self, U: Array, C: Array, solution: Solution) -> float:
        """Return the weighted mean of the squared errors, over targets too."""
        slim = replace(solution, inverse=np.empty((0, 0)))
        total = self._sum("mean-square", _square, U, C, slim, add=np.add)
        return float(total) / self.total

    def agop_root(self, networks: Sequence[Network]) -> Array:
        """Return a root of the mean outer product of the gradients of networks."""
        slim = [Network(net.U, net.C, net.coef, net.share) for net in networks]
        root: Array = self._sum("agop", _agop_root, slim, add=_add_roots)
        root /= np.sqrt(self.total)
        rank = sum(len(net.U) for net in networks)  # if no factor is diagonal
        if all(net.U.ndim == 2 for net in networks) and rank < len(root):
            _, sizes, vectors = np.linalg.svd(root)
            root = sizes[:rank, None] * vectors[:rank]
        return root

    def _sum(
        self,
        step: str,
        function: Callable[..., Any],
        *arguments: Any,
        add: Callable[[Any, Any], Any],
    ) -> Any:
        """Add what a function of the rows of each chunk, and arguments, returns."""
        call = _Call(self._setting, function, arguments)
        reduce = partial(self._chunks.reduce, add=add)
        context = self._context.copy()  # searches on other threads have none
        return context.run(reduce, f"network-{step}", _evaluate, call)


class _Call(NamedTuple):
    """What all tasks of a round get."""

    setting: Setting
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def _evaluate(block: Block, call: _Call) -> Any:
    with _parallel.one_blas_thread, np.errstate(all="ignore"):  # as searches do
        return call.function(call.setting.rows(block), *call.arguments)


def _target_means(rows: Rows) -> Array:
    return rows.total * rows.target_means()


def _normal(rows: Rows, U: Array, C: Array) -> Normal:
    return replace(rows.normal(U, C), shift=np.zeros(len(C)))


def _add_normals(a: Normal, b: Normal) -> Normal:
    """Add sums of centred rows: Chan, Golub & LeVeque (1983), section 2."""
    total = a.total + b.total
    share = b.total / total
    step, target_step = b.means - a.means, b.target_means - a.target_means
    weight = a.total * share
    return Normal(
        gram=a.gram + b.gram + weight * np.outer(step, step),
        moments=a.moments + b.moments + weight * np.outer(step, target_step),
        squares=a.squares + b.squares + weight * target_step**2,
        means=a.means + share * step,
        target_means=a.target_means + share * target_step,
        shift=a.shift,
        total=total,
    )


def _pull(
    rows: Rows, U: Array, C: Array, left: Array, right: Array | None
) -> list[Array]:
    rows.place(U, C)
    left = left.copy()  # for basis functions that nothing was subtracted from
    left[-1] += rows.shift @ left[: len(C)]
    return [*rows.pull(U, C, left, right)]


def _cross_entropy(
    rows: Rows, U: Array, C: Array, coef: Array, intercept: Array, is_placed: bool
) -> list[Array]:
    if is_placed:
        rows.place(U, C)
    found = rows.cross_entropy(U, C, coef, intercept, 0.0, is_placed)
    assert found.coef is not None
    assert found.intercept is not None
    parts = found.value, found.U, found.C, found.coef, found.intercept
    return [rows.total * np.asarray(part) for part in parts]


def _log_loss(rows: Rows, U: Array, C: Array, coef: Array, intercept: Array) -> float:
    return rows.total * rows.mean_log_loss(U, C, coef, intercept)


def _square(rows: Rows, U: Array, C: Array, solution: Solution) -> float:
    return rows.total * rows.mean_square(U, C, solution)


def _agop_root(rows: Rows, networks: Sequence[Network]) -> Array:
    X = rows.X.astype(np.float64)
    root = agop_root(X, rows.weights, networks, rows.profile)
    return np.sqrt(rows.total) * root


def _add_roots(a: Array, b: Array) -> Array:
    """Return R with ``R'R = a'a + b'b``, of no more rows than columns."""
    both = np.vstack([a, b])
    if len(both) <= both.shape[1]:
        return both
    root = np.linalg.qr(both, mode="r")
    return np.asarray(root)


def _add_arrays(a: list[Array], b: list[Array]) -> list[Array]:
    return [x + y for x, y in zip(a, b, strict=True)]


def _classes(block: Block, n_classes: int) -> Array:
    """Return the codes of classes; 0 for targets that are numbers."""
    if n_classes == 1:
        return np.zeros(len(block.y), dtype=np.intp)
    return block.y[:, 0].astype(np.intp)


def _least_draws(block: Block, n_classes: int) -> Array:
    least = np.ones(n_classes)
    np.minimum.at(least, _classes(block, n_classes), block.draws)
    return least


def _weight_in(block: Block, fold: Fold, least: Array) -> float:
    mask = fold.mask(block, least)
    return float(mask.sum() if block.weights is None else block.weights[mask].sum())


def _in_fold(block: Block, fold: Fold, least: Array, is_held: bool) -> Any:
    mask = fold.mask(block, least) == is_held
    weights = None if block.weights is None else block.weights[mask]
    return Block(block.X[mask], block.y[mask], weights, block.draws[mask])
