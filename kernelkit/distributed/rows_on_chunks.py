"""Sums of a network's objectives over rows that workers hold.

Each is one round of tasks, which get the parameters and return a matrix or two; the
optimiser that asks for them runs on the client.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from kernelkit import _parallel
from kernelkit._validation import Array
from kernelkit.distributed import row_draws
from kernelkit.distributed.chunks import Chunks
from kernelkit.distributed.chunks import Rows as Block
from kernelkit.distributed.network_rows import persisted
from kernelkit.rbf_network.classifier import one_hot
from kernelkit.rbf_network.network import Columns
from kernelkit.rbf_network.objective import Normal, Rows, Solution, Value
from kernelkit.rbf_network.subspace import Network, agop_root


class Fold(NamedTuple):
    """A part of the rows of each chunk to hold out, from one share of them to another.

    With `by_class`, it is a part of each class; a last row is always kept.
    """

    start: float
    stop: float
    seed: int
    by_class: bool = False

    def parts(self, number: int) -> list["Fold"]:
        """Return folds which each row is in one of, save those always kept."""
        ends = np.linspace(0.0, 1.0, number + 1).tolist()
        return [self._replace(start=a, stop=b) for a, b in pairwise(ends)]

    def mask(self, rows: Block) -> Array:
        """Tell which rows of a chunk are held out."""
        table = np.column_stack([rows.X, rows.y])
        order = np.argsort(row_draws.uniform(table, self.seed), kind="stable")
        groups = rows.y[order, 0] if self.by_class else np.zeros(len(order))
        mask = np.zeros(len(order), dtype=bool)
        for group in np.unique(groups):
            members = order[groups == group]
            n = len(members)
            start, stop = (int(np.ceil(share * n - 1e-9)) for share in self[:2])
            mask[members[start : min(stop, start + n - 1)]] = True
        return mask


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
    sample : Rows
        At whose rows a fit looks where some are enough.
    chunks : Chunks
        All rows, which workers hold.
    total : float
        Their weight.
    setting : Setting
        How these become rows like those of the sample.
    """

    def __init__(
        self, sample: Rows, chunks: Chunks, total: float, setting: Setting
    ) -> None:
        super().__init__(
            sample.X,
            sample.Y,
            sample.weights,
            profile=setting.profile,
            block_rows=setting.block_rows,
        )
        self.total = total
        self._sample, self._chunks, self._setting = sample, chunks, setting

    def part(self, chosen: Any, factor: float = 1.0) -> Any:
        """Return some of the rows of the sample."""
        return self._sample.part(chosen, factor)

    def alone(self) -> Self:
        """Return the same: tasks have room of their own."""
        return self

    def split(self, fold: Fold) -> tuple[Self, Self]:
        """Return the rows without those of a fold, and these; both are held."""
        step = "network-fold"
        held_weight = self._chunks.reduce(step, _weight_in, fold, add=np.add)
        if not held_weight:
            raise ValueError(
                "No chunk has enough rows to hold some out: use larger chunks, or a "
                "larger validation_fraction."
            )
        totals = self.total - held_weight, held_weight
        kept, held = (
            type(self)(
                self._sample,
                persisted(self._chunks.apply(step, _in_fold, fold, is_held)),
                float(total),
                self._setting,
            )
            for is_held, total in zip((False, True), totals, strict=True)
        )
        return kept, held

    def recoded(self, sample: Rows, columns: Columns) -> Self:
        """Return the same rows with standardised targets, as those of the sample."""
        setting = replace(self._setting, columns=columns)
        return type(self)(sample, self._chunks, self.total, setting)

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
        return self._chunks.reduce(f"network-{step}", _evaluate, call, add=add)


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


def _weight_in(rows: Block, fold: Fold) -> float:
    mask = fold.mask(rows)
    return float(mask.sum() if rows.weights is None else rows.weights[mask].sum())


def _in_fold(rows: Block, fold: Fold, is_held: bool) -> Block:
    mask = fold.mask(rows) == is_held
    weights = None if rows.weights is None else rows.weights[mask]
    return Block(rows.X[mask], rows.y[mask], weights)
