"""Draws of a projection determinantal process from a pool of rows, and a peer.

All are given the same orthonormal features. Draws differ, so what is judged is how
often rows come: the number of those in a cell is a sum of independent trials, of which
the eigenvalues of the cell's Gram matrix are the probabilities (Hough, Krishnapur,
Peres & Virág, 2006).
"""

import math
from argparse import Namespace
from dataclasses import dataclass

import numpy as np

from kernelkit import _parallel
from kernelkit.cli.bench.cases import Array, Method, Problem, Values
from kernelkit.cli.bench.rows import draw_rows
from kernelkit.design import LegendreBasis
from kernelkit.design.orthonormal import OrthonormalPool, orthonormalize
from kernelkit.design.sources import PoolSource, chain_dpp

_FALSE_ALARM = 1e-6  # probability that right draws of a method are called wrong
JUDGE = (
    "no row twice in a block; rows and cells as often as their exact probabilities, "
    f"with {_FALSE_ALARM:g} for a false alarm"
)

_DEGREE = 5
_BLOCKS = 500
_FEWEST_BLOCKS = 10
_COST = 4 * 10**8  # of blocks for which all rows are gone through: rows times m^2 each
_CELLS = 40


@dataclass(frozen=True)
class _Pool(Problem):
    """A pool, and what is known about the rows of a block.

    Attributes
    ----------
    pool : OrthonormalPool
        Given to all methods.
    cells : ndarray of shape (n_cells, n) of bool
        Sets of similar rows.
    mean, variance : ndarray of shape (n + 2 n_cells,)
        Of the number of times that a block has a row, of its rows in a cell, and of
        the event that it has none there.
    seed : int
        Of the draws.
    """

    pool: OrthonormalPool
    cells: Array
    mean: Values
    variance: Values
    seed: int

    def judgeable(self, values: Array) -> Values:
        """Compare blocks with chance: 1 is the mean, 0 and 2 are what it allows.

        By Bernstein's inequality no more than that false alarms are raised. A repeated
        row is more than chance allows.
        """
        inside = self.cells[:, values].sum(axis=2)
        counts = np.concatenate(
            [
                np.bincount(values.ravel(), minlength=len(self.X)),
                inside.sum(axis=1),
                (inside == 0).sum(axis=1),
            ]
        )
        n_blocks = len(values)
        unlikely = math.log(2.0 * len(counts) / _FALSE_ALARM)
        spread = 2.0 * unlikely * n_blocks * self.variance
        allowed = unlikely / 3.0 + np.sqrt(unlikely**2 / 9.0 + spread)
        n_repeated = (np.diff(np.sort(values, axis=1), axis=1) == 0).sum()
        scores = 1.0 + (counts - n_blocks * self.mean) / allowed
        return np.append(scores, 1.0 + 2.0 * n_repeated)


def title(args: Namespace) -> str:
    """Say what is computed."""
    return (
        f"{_BLOCKS} blocks of a projection determinantal process, polynomials of "
        f"degree {_DEGREE}"
    )


def problem(args: Namespace, n: int, d: int) -> Problem:
    """Make polynomials of n rows with d features orthonormal, and know their law."""
    rng = np.random.default_rng(args.seed)
    X = draw_rows(args, n, d, rng)
    F = LegendreBasis(_DEGREE).fit_transform(X)
    cells, mean, variance = _law(F, rng)
    return _Pool(
        task="design",
        X=X,
        algorithm="rejection",
        judged=np.arange(len(mean) + 1),
        expected=np.ones(len(mean) + 1),
        pool=orthonormalize(F),
        cells=cells,
        mean=mean,
        variance=variance,
        seed=args.seed,
    )


def methods(args: Namespace) -> list[Method]:
    """List kernelkit and its peer, kernelkit first."""
    chance = "of what chance allows"
    return [
        Method(
            "kernelkit",
            "kernelkit.design",
            "ProjectionDPP: proposals in proportion to the leverage, and rejection",
            lambda problem: _propose(problem, args.n_jobs),
            threads=args.n_jobs,
            error=chance,
            tolerance=lambda problem: 1.0,
        ),
        Method(
            "chain",
            "kernelkit.design",
            "the chain rule of kernelkit, which goes through all rows",
            _chain,
            share=_share,
            error=chance,
            tolerance=lambda problem: 1.0,
        ),
        Method(
            "DPPy",
            "dppy.exact_sampling",
            "proj_dpp_sampler_eig_GS, the chain rule",
            _dppy,
            share=_share,
            error=chance,
            tolerance=lambda problem: 1.0,
        ),
    ]


def _propose(problem: _Pool, n_jobs: int) -> Array:
    source = PoolSource(problem.pool)
    streams = np.random.default_rng(problem.seed).spawn(_BLOCKS)
    with _parallel.threads(n_jobs) as run:
        return np.array(run([(source.dpp, (stream,)) for stream in streams]))


def _chain(problem: _Pool) -> Array:
    source = PoolSource(problem.pool)
    rng = np.random.default_rng(problem.seed)
    m, nothing = source.rank, np.empty(0, dtype=np.int64)
    with _parallel.one_blas_thread:
        blocks = [
            chain_dpp(source.Q, source.leverage, nothing, np.zeros((m, m)), rng)
            for _ in range(_blocks(*problem.X.shape))
        ]
    return np.array(blocks)


def _dppy(problem: _Pool) -> Array:
    from dppy.exact_sampling import proj_dpp_sampler_eig_GS

    rng = np.random.RandomState(problem.seed)
    with _parallel.one_blas_thread:
        blocks = [
            proj_dpp_sampler_eig_GS(problem.pool.Q, random_state=rng)
            for _ in range(_blocks(*problem.X.shape))
        ]
    return np.array(blocks)


def _blocks(n: int, d: int) -> int:
    """Choose how many blocks stand for all where each takes long."""
    m = math.comb(_DEGREE + d, d)
    return min(max(_COST // (n * m**2), _FEWEST_BLOCKS), _BLOCKS)


def _share(n: int, d: int) -> float:
    return _blocks(n, d) / _BLOCKS


def _law(F: Values, rng: np.random.Generator) -> tuple[Array, Values, Values]:
    """Choose cells, and find mean and variance of what is counted in a block.

    A cell has the rows most similar to some row, and on average 1 to m/2 rows of a
    block. Blocks that spread as they should seldom leave a cell for 1 row empty.
    """
    Q = np.linalg.qr(F)[0]
    leverage = np.einsum("ij,ij->i", Q, Q)
    n, m = Q.shape
    cells = np.zeros((_CELLS, n), dtype=bool)
    sums, spreads, holes = [], [], []
    sizes = np.geomspace(0.1, m / 2.0, _CELLS).clip(1.0)
    for cell, size in zip(cells, sizes, strict=True):
        similarity = (Q @ Q[rng.integers(n)]) ** 2 / leverage
        order = np.argsort(-similarity)
        cell[order[np.cumsum(leverage[order]) <= size]] = True
        cell[order[0]] = True
        chances = np.linalg.eigvalsh(Q[cell].T @ Q[cell]).clip(0.0, 1.0)
        sums.append(chances.sum())
        spreads.append((chances * (1.0 - chances)).sum())
        holes.append(np.prod(1.0 - chances))
    hole = np.array(holes)
    return (
        cells,
        np.concatenate([leverage, sums, hole]),
        np.concatenate([leverage * (1.0 - leverage), spreads, hole * (1.0 - hole)]),
    )
