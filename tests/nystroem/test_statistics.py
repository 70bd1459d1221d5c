"""Sums over rows: each by its definition, in any division, on any number of threads."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import rbf_kernel

from kernelkit.linalg import as_kernel
from kernelkit.nystroem import statistics
from kernelkit.nystroem.statistics import (
    NormalEquations,
    accumulate,
    gram_product,
    sum_rows,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(230, 3))
Y = RNG.normal(size=(230, 2))
WEIGHTS = RNG.uniform(size=230) * (RNG.random(230) > 0.1)
KERNEL = as_kernel("rbf", gamma=0.5, n_features=3)
IDS = np.arange(17)
CENTERS = KERNEL.centers(X[:17], IDS)
H = rbf_kernel(X, X[:17], gamma=0.5)

each_weighting = pytest.mark.parametrize("weights", [None, WEIGHTS])


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """Cut the rows into many tiles, the last one short."""
    monkeypatch.setattr(statistics, "_CELLS", 17 * 32)
    monkeypatch.setattr(statistics, "_FEWEST_ROWS", 32)


def definition(H, y, weights=None):
    w = np.ones(len(y)) if weights is None else weights
    return NormalEquations(
        sum(w[i] * np.outer(H[i], H[i]) for i in range(len(y))),
        sum(w[i] * np.outer(H[i], y[i]) for i in range(len(y))),
        sum(w[i] * H[i] for i in range(len(y))),
        sum(w),
        sum(w[i] * y[i] for i in range(len(y))),
        sum(w[i] * y[i] ** 2 for i in range(len(y))),
    )


def assert_close(got, expected, rtol=1e-12):
    for name, values in vars(expected).items():
        np.testing.assert_allclose(
            getattr(got, name), values, rtol=rtol, atol=rtol, err_msg=name
        )


@each_weighting
def test_sums_equal_their_definition(weights):
    """Seen red with roots of weights left out of the targets, and with a tile lost."""
    got = accumulate(KERNEL, X, Y, weights, CENTERS)

    assert_close(got, definition(H, Y, weights))


@each_weighting
@pytest.mark.parametrize("n_functions", [0, 1, 5, 17])
def test_sums_over_a_basis(weights, n_functions, monkeypatch):
    """Kernel values to the first centres, then functions of the basis.

    Seen red with panels from the first on, whose values are changed by then.
    """
    monkeypatch.setattr(statistics, "_PANEL", 3)
    basis = np.triu(RNG.normal(size=(17, 17)))[:, 17 - n_functions :]

    got = accumulate(KERNEL, X, Y, weights, CENTERS, basis=basis)

    values = np.column_stack([H[:, : 17 - n_functions], H @ basis])
    assert_close(got, definition(values, Y, weights), rtol=1e-11)


@each_weighting
def test_sums_over_known_rows(weights):
    """Seen red with weights in place of their roots."""
    assert_close(sum_rows(H, Y, weights), definition(H, Y, weights))


@each_weighting
def test_product_needs_no_gram_matrix(weights):
    """Seen red with the weights left out."""
    coef = RNG.normal(size=(17, 2))

    got = gram_product(KERNEL, X, coef, weights, CENTERS)

    expected = definition(H, Y, weights).gram @ coef
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_gram_matrix_can_be_left_out():
    got = accumulate(KERNEL, X, Y, None, CENTERS, with_gram=False)

    assert got.gram.shape == (0, 0)
    np.testing.assert_allclose(got.cross, H.T @ Y, rtol=1e-12)


def test_parts_add_up():
    """Seen red with the sum of weights of one part alone."""
    parts = [slice(0, 7), slice(7, 8), slice(8, 230)]
    first, second, third = (
        accumulate(KERNEL, X[part], Y[part], WEIGHTS[part], CENTERS) for part in parts
    )

    assert_close(first + second + third, definition(H, Y, WEIGHTS))


@each_weighting
def test_weights_are_repetitions(weights):
    """Seen red with a weight in place of its root."""
    counts = RNG.integers(0, 4, 230)

    got = accumulate(KERNEL, X, Y, counts.astype(float), CENTERS)

    repeated = accumulate(
        KERNEL, X.repeat(counts, axis=0), Y.repeat(counts, axis=0), None, CENTERS
    )
    assert_close(got, repeated)


@pytest.mark.parametrize("kept", [[3, 0, 11], np.arange(17) % 3 == 0])
def test_dropping_centers_is_exact(kept):
    """Equal to sums computed afresh. Seen red with rows dropped, but not columns."""
    centers = CENTERS.take(np.asarray(kept))

    got = accumulate(KERNEL, X, Y, WEIGHTS, CENTERS).keep(np.asarray(kept))

    assert_close(got, accumulate(KERNEL, X, Y, WEIGHTS, centers), rtol=1e-10)


def test_sums_over_combinations_are_exact():
    """Seen red with sums over the kernel values left as they were."""
    coef = RNG.normal(size=(17, 3))

    got = definition(H, Y, WEIGHTS).combine(coef)

    assert_close(got, definition(H @ coef, Y, WEIGHTS), rtol=1e-10)
    assert (got.gram == got.gram.T).all()


def test_sums_of_multiplied_targets():
    """Seen red with squares multiplied once."""
    got = definition(H, Y, WEIGHTS).scaled(np.array([0.5, 4.0]))

    assert_close(got, definition(H, [0.5, 4.0] * Y, WEIGHTS))


def test_centered_sums_are_those_of_centered_rows():
    """Seen red with unweighted means."""
    got = definition(H, Y, WEIGHTS).centered()

    columns = H - np.average(H, axis=0, weights=WEIGHTS)
    targets = Y - np.average(Y, axis=0, weights=WEIGHTS)
    expected = definition(columns, targets, WEIGHTS)
    assert_close(got, expected, rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_weighting
def test_threads_do_not_change_a_bit(weights, dtype):
    """Seen red with one partial sum per thread."""
    rows = X.astype(dtype)
    centers = KERNEL.centers(rows[:17], IDS)

    one, two, four = (
        accumulate(KERNEL, rows, Y, weights, centers, n_jobs=n) for n in (1, 2, 4)
    )

    for other in (two, four):
        assert_close(other, one, rtol=0)


def test_single_precision_is_summed_in_double():
    """Each sum as exact as a kernel value. Seen red with a gram matrix in float32."""
    rows = X.astype(np.float32)
    centers = KERNEL.centers(rows[:17], IDS)
    block = KERNEL.block(rows, centers).astype(np.float64)

    got = accumulate(KERNEL, rows, Y, WEIGHTS, centers)

    assert got.gram.dtype == np.float64
    assert_close(got, definition(block, Y, WEIGHTS))


@each_weighting
def test_sparse_rows(weights):
    rows = sparse.csr_array(X)
    centers = KERNEL.centers(rows[:17], IDS)

    got = accumulate(KERNEL, rows, Y, weights, centers)

    assert_close(got, definition(H, Y, weights), rtol=1e-11)
