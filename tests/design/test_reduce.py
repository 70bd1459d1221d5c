"""Removal and addition of rows, compared with the definition."""

import numpy as np
import pytest
from reference.design import add_greedily, remove_greedily
from sklearn.exceptions import ConvergenceWarning

from kernelkit.design.bases import HermiteBasis, LegendreBasis
from kernelkit.design.reduce import (
    eigenvalues,
    fewest_stable,
    rank_backward,
    rank_forward,
)
from kernelkit.design.samplers import sample_design

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(70, 4)) * [1.0, 10.0, 0.1, 1e3] * RNG.gamma(1.0, size=(70, 1))
COUNTS = RNG.integers(1, 4, size=70)


def test_backward_ranking_equals_the_definition():
    """Over more removals than between fresh factors. Seen red with traces in
    the coordinates of Q, and with an update of the squares without its cross term."""
    left, removed = remove_greedily(ROWS, 6)

    ranking = rank_backward(ROWS, 6)

    assert sorted(ranking[:6].tolist()) == left
    assert ranking[6:].tolist() == removed[::-1]


def test_forward_ranking_equals_the_definition():
    """Seen red with an update of the wrong sign."""
    ranking = rank_forward(ROWS, 66)

    assert len(set(ranking.tolist())) == 66
    assert ranking.tolist() == add_greedily(ROWS, ranking[:4], 66)


@pytest.mark.parametrize("rank", [rank_backward, rank_forward])
def test_row_that_alone_determines_a_function_stays(rank):
    """Seen red, for addition, with the last pivots in place of the first."""
    rows = np.zeros((40, 4))
    rows[:, :3] = RNG.normal(size=(40, 3))
    rows[17, 3] = 1e-4

    assert 17 in rank(rows, 4)[:4]


@pytest.mark.parametrize("rank", [rank_backward, rank_forward])
def test_nearly_dependent_rows_keep_their_rank(rank):
    """A few rows tell two functions apart. Seen red, for removal, with the end of the
    ranking kept and, for addition, with the last pivots in place of the first."""
    rows = RNG.normal(size=(200, 5))
    rows[:, 4] = rows[:, 3] + 1e-7 * rows[:, 4] * (np.arange(200) % 20 == 7)

    kept = rows[rank(rows, 5)[:5]]

    singular = np.linalg.svd(kept, compute_uv=False)
    assert singular[-1] > 1e-2 * np.linalg.svd(rows, compute_uv=False)[-1]


def test_fewest_stable_is_where_stability_ends():
    """Seen red with eigenvalues divided by the number of all draws."""
    rows = np.sqrt(COUNTS)[:, None] * RNG.normal(size=(70, 4))
    ranking = rank_backward(rows, 4)

    n_keep = fewest_stable(ranking, rows, COUNTS, 0.6)

    def least(n):
        kept = ranking[:n]
        return eigenvalues(rows[kept], COUNTS[kept].sum())[0]

    assert least(n_keep) >= 0.6 > least(n_keep - 1)


LINE = np.linspace(-1.0, 1.0, 2001)[:, None]
SQUARE = np.stack(np.meshgrid(LINE[::20], LINE[::20]), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize(
    ("basis", "n_times_m", "kept_times_m", "grid"),
    [
        (LegendreBasis(9, bounds=[(-1.0, 1.0)]), 4, 1.25, LINE),
        (HermiteBasis(9, loc=[0.0], scale=[1.0]), 4, 1.25, 10.0 * LINE),
        (LegendreBasis(5, bounds=[(-1.0, 1.0)] * 2), 8, 1.5, SQUARE),
        (LegendreBasis(9, bounds=[(-1.0, 1.0)] * 2), 8, 1.7, SQUARE),
    ],
    ids=["10 on a line", "10 with tails", "21 on a square", "55 on a square"],
)
def test_few_points_are_enough(basis, n_times_m, kept_times_m, grid):
    """The loss is at most twice the least one, on average. Seen red with rows removed
    at random."""
    basis.fit_domain()
    m = basis.n_components_
    density = np.exp(-0.5 * np.square(grid[:, 0])) if grid.max() > 1.0 else 1.0

    def target(points):
        return 1.0 / (1.0 + 2.0 * np.square(points.mean(axis=1)))

    root = np.sqrt(density * np.ones(len(grid)))
    F, y = root[:, None] * basis.transform(grid), root * target(grid)
    least = np.square(y - F @ np.linalg.lstsq(F, y)[0]).sum()
    sizes, losses = [], []
    for seed in range(15):
        design = sample_design(
            basis, n_times_m * m, reduce_to="auto", random_state=seed
        )
        root = np.sqrt(design.weights)
        A = root[:, None] * basis.transform(design.points)
        theta = np.linalg.lstsq(A, root * target(design.points))[0]
        losses.append(np.square(y - F @ theta).sum() / least)
        sizes.append(design.n_labels)
        assert design.lambda_min >= 0.5

    assert np.mean(sizes) <= kept_times_m * m
    assert np.mean(losses) <= 2.0


def test_removal_can_make_a_design_stable():
    """Its weights become more alike. Seen red with reduction of stable designs only."""
    basis = LegendreBasis(9, bounds=[(-1.0, 1.0)] * 2).fit_domain()
    options = {"method": "iid", "random_state": 0}
    with pytest.warns(ConvergenceWarning, match="least eigenvalue"):
        whole = sample_design(basis, 440, **options)

    design = sample_design(basis, 440, reduce_to="auto", **options)

    assert whole.lambda_min < 0.5 <= design.lambda_min
    assert design.n_labels < 440


def test_method_depends_on_how_few_points_are_kept():
    """Seen red with removal below 1.1 m."""
    F = np.vander(np.linspace(-1.0, 1.0, 1000), 10)

    def rows(reduce_to, method="auto"):
        design = sample_design(
            F, 60, reduce_to=reduce_to, reduce_method=method, random_state=0
        )
        return design.indices.tolist()

    assert rows(10) == rows(1.0) == rows(10, "d_optimal") != rows(10, "a_optimal")
    assert rows(12) == rows(1.2) == rows(12, "a_optimal") != rows(12, "d_optimal")
    assert len(rows("auto", "d_optimal")) < 30
