"""By which law the points of a design are drawn, and how they are weighed."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kernelkit import _parallel
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.design.sources import RowSource, Source

METHODS = ("dpp_repeat", "dpp", "gvs", "volume", "iid", "mixture", "uniform", "qr")
UNBIASED = ("dpp", "gvs", "volume")
MIXTURES = ("gvs", "mixture")

_ORDERS = ("uniform", "volume", "qr")  # of a pool: no row comes twice
_FIRST_BLOCKS, _MOST_BLOCKS = 2, 50  # of m points, while a design grows
_MOST = np.finfo(np.float64).max
_NAMED = 5  # rows in a message


@dataclass(frozen=True)
class Draws:
    r"""Different points that were drawn, with their weights.

    Attributes
    ----------
    points : ndarray of shape (n_points,) or (n_points, n_features)
        Rows of a pool, or points of a domain.
    counts : ndarray of shape (n_points,)
        How many draws c each point stands for.
    weights : ndarray of shape (n_points,)
        Weights w, those of repeated draws added up.
    rows : ndarray of shape (n_points, m)
        Rows :math:`\sqrt{w_i}\, \varphi(x_i)` of A, so that
        :math:`G = A'A / \sum_i c_i`.
    """

    points: Array
    counts: Array
    weights: Array
    rows: Array

    @property
    def lambda_min(self) -> float:
        """Least eigenvalue of G."""
        return float(self._spectrum[0])

    @property
    def lambda_max(self) -> float:
        """Greatest eigenvalue of G."""
        return float(self._spectrum[-1])

    @cached_property
    def _spectrum(self) -> Array:
        return eigenvalues(self.rows, self.counts.sum())


class Law:
    """How the points of a design are drawn and weighed.

    Points come in an order of which every beginning of at least m points obeys the law.

    Parameters
    ----------
    source : Source
    method : str
        One of `METHODS`.
    zeta : float
        Share of independent draws that have the second density, in [0, 1].
    replace : bool
        Whether a row that is drawn again counts again.
    run : callable
        Runs tasks, on which the points do not depend.

    Raises
    ------
    ValueError
        If `method` and `zeta`, or `method` and the source, do not go together.
    """

    def __init__(
        self,
        source: Source,
        method: str,
        zeta: float,
        replace: bool,
        run: _parallel.Run,
    ) -> None:
        if method == "mixture" and zeta == 0.0:
            raise ValueError(
                "method='mixture' needs zeta > 0; without a second density use 'iid'."
            )
        if method not in MIXTURES and zeta != 0.0:
            raise ValueError(
                f"method={method!r} has no second density and zeta={zeta!r}: use "
                "'mixture' or 'gvs', or zeta=0."
            )
        self.source = source
        self.pool = source if isinstance(source, RowSource) else None
        if self.pool is None and method == "qr":
            raise ValueError(
                "method='qr' factors the rows of a pool, and a basis has none: use "
                "'dpp_repeat'."
            )
        if self.pool is not None and zeta == 1.0:
            without = np.flatnonzero(self.pool.leverage)
            without = without[self.pool.density(without) == 0.0]
            if len(without):
                raise ValueError(
                    "zeta=1 draws from `density` alone, which is zero at rows "
                    f"{_name(without)} although features are not: use zeta < 1, or a "
                    "positive density there."
                )
        self.method = method
        self.zeta = 1.0 if method in ("uniform", "volume") else zeta
        self.replace = replace
        self.run = run

    def size(self, n_samples: int | str, different: bool) -> int:
        """Check how many points are asked for; choose how many to begin with."""
        m = self.source.rank
        most = self._most(different)
        if isinstance(n_samples, str):
            return int(min(m if self.method == "dpp" else _FIRST_BLOCKS * m, most))
        if n_samples < m:
            raise ValueError(
                f"n_samples={n_samples} points do not determine m = {m} independent "
                f"functions: draw at least {m}, or use fewer features."
            )
        if self.method == "dpp" and n_samples > m:
            raise ValueError(
                f"method='dpp' draws m = {m} points, and n_samples={n_samples}: use "
                "'dpp_repeat' or 'gvs'."
            )
        if self.pool is not None and n_samples > most:
            never = np.setdiff1d(np.arange(len(self.pool.masses)), self._drawable())
            names = f" It never draws rows {_name(never)}." if len(never) else ""
            raise ValueError(
                f"n_samples={n_samples} different rows were asked for, and "
                f"method={self.method!r} can draw no more than {most:.0f} from this "
                f"pool.{names}"
            )
        if self.method in ("iid", "mixture") and n_samples == m > 1:
            warn(
                f"{m} independent draws hardly determine {m} functions: draw more, or "
                "use method='dpp'."
            )
        return n_samples

    def draw(self, n: int, rng: np.random.Generator) -> Draws:
        """Draw n points."""
        return self._tally(self.extend(None, n, rng)[:n])

    def draw_different(self, n: int, rng: np.random.Generator) -> Draws:
        """Draw until there are n different points."""
        if self.pool is None:
            return self.draw(n, rng)
        points = None
        n_points, step = n, 0
        patience = n * self.source.rank  # one point of each block may be new
        while True:
            points = self.extend(points, n_points, rng)
            _, first = np.unique(points, return_index=True)
            if len(first) >= n:
                return self._tally(points[: np.sort(first)[n - 1] + 1])
            if len(points) >= patience:
                return self._tally(*_wait(self.pool, self.zeta, points, n, rng))
            step = max(n - len(first), 2 * step)
            n_points = len(points) + step

    def grow(self, n: int, least: float, rng: np.random.Generator) -> Draws:
        """Draw n points, and m more until the least eigenvalue suffices."""
        m = self.source.rank
        most = min(_MOST_BLOCKS * m, self._most(False))
        points = None
        while True:
            points = self.extend(points, n, rng)
            draws = self._tally(points[:n])
            if draws.lambda_min >= least or n >= most:
                return draws
            n = int(min(n + m, most))

    def _most(self, different: bool) -> float:
        is_bounded = self.pool is not None and (different or self.method in _ORDERS)
        return len(self._drawable()) if is_bounded else np.inf

    def _drawable(self) -> Array:
        """Rows of the pool that may be drawn."""
        assert self.pool is not None
        if self.method in _ORDERS:
            return self.pool.support
        return np.flatnonzero(self.pool.probabilities(self.zeta))

    def extend(self, points: Array | None, n: int, rng: np.random.Generator) -> Array:
        """Draw further points until there are n or more."""
        while points is None or len(points) < n:
            n_drawn = 0 if points is None else len(points)
            more = self._more(n - n_drawn, n_drawn, rng)
            points = more if points is None else np.concatenate([points, more])
        return points

    def _more(self, n: int, n_drawn: int, rng: np.random.Generator) -> Array:
        """Draw the next points, where possible n."""
        source, pool, m = self.source, self.pool, self.source.rank
        if pool is not None and self.method == "uniform":
            return rng.permutation(pool.support)
        if pool is not None and self.method in ("volume", "qr"):
            first = pool.pivots if self.method == "qr" else pool.dpp(rng)
            return np.concatenate([first, pool.others(first, rng)])
        if self.method == "dpp_repeat":
            seeds = rng.integers(2**32, size=(-(-n // m), 4), dtype=np.uint32)
            streams = map(np.random.default_rng, seeds)
            blocks = self.run([(source.dpp, (stream,)) for stream in streams])
            return np.concatenate(blocks)
        if self.method in UNBIASED and n_drawn == 0:
            return source.dpp(rng)
        if self.zeta == 0.0:
            return source.christoffel(n, rng)
        if self.zeta == 1.0:
            return source.measure(n, rng)
        from_density = rng.random(n) < self.zeta
        points = source.christoffel(n, rng)
        points[from_density] = source.measure(int(from_density.sum()), rng)
        return points

    def _tally(self, points: Array, counts: Array | None = None) -> Draws:
        """Put equal rows of a pool together, and weigh points."""
        if self.pool is None:
            counts = np.ones(len(points), dtype=np.int64)
        elif counts is None:
            points, counts = np.unique(points, return_counts=True)
        if not self.replace:
            counts = np.ones_like(counts)
        directions, weights, squares = self._weigh(points)
        rows = np.sqrt(counts * squares)[:, None] * directions
        return Draws(points, counts, counts * weights, rows)

    def _weigh(self, points: Array) -> tuple[Array, Array, Array]:
        """Evaluate phi / |phi|, w and w k, without overflow where k is huge."""
        directions, k = self.source.rows(points)
        if self.pool is not None and self.method in _ORDERS:
            scale = len(self.pool.support)
            weights, squares = self.pool.masses[points], self.pool.leverage[points]
            return directions, scale * weights, scale * squares
        optimal = (1.0 - self.zeta) / self.source.rank
        other = self.zeta * self.source.density(points)
        k = np.minimum(k, _MOST)  # for weights that are not zero
        with np.errstate(divide="ignore"):  # k = 0
            return directions, 1.0 / (optimal * k + other), 1.0 / (optimal + other / k)


def _wait(
    pool: RowSource, zeta: float, points: Array, n: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw further independent rows until n are different, all at once.

    If the draws come at the times of a Poisson process, each row has a process of its
    own, whose rate is the probability of the row: the first times tell which rows are
    new, and the last of these when to stop.

    Returns
    -------
    points, counts : ndarray of shape (n,)
        Different rows, in ascending order.
    """
    chances = pool.probabilities(zeta)
    counts = np.bincount(points, minlength=len(chances))
    seen = np.flatnonzero(counts)
    unseen = np.flatnonzero((counts == 0) & (chances > 0.0))
    times = rng.standard_exponential(len(unseen)) / chances[unseen]
    soonest = np.argsort(times)[: n - len(seen)]
    new, times = unseen[soonest], times[soonest]
    counts[seen] += rng.poisson(chances[seen] * times[-1])
    counts[new] = 1 + rng.poisson(chances[new] * (times[-1] - times))
    drawn = np.flatnonzero(counts)
    return drawn, counts[drawn]


def optimal_share(method: str, zeta: float) -> float:
    """Tell which share of independent draws has the optimal density."""
    if method in _ORDERS:
        return 0.0
    return 1.0 - zeta if method in MIXTURES else 1.0


def eigenvalues(rows: Array, n: float) -> Array:
    """Find the eigenvalues of A'A / n, in ascending order."""
    return np.linalg.eigvalsh(rows.T @ rows).clip(0.0) / n


def _name(rows: Array) -> str:
    """List rows, but not more than a few."""
    return ", ".join(map(str, rows[:_NAMED])) + " and others" * (len(rows) > _NAMED)
