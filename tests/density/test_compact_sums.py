"""Compact kernels: every way to sum windows, also faint ones beside heavy ones."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from kernelkit import _parallel
from kernelkit.density import compact_sums
from kernelkit.density.kernels1d import KERNELS

NAMES = ("uniform", "triangular", "epanechnikov", "triweight", "tricube", "cosine")
KINDS = {
    "density": lambda kernel: kernel.density,
    "integral": lambda kernel: kernel.cdf[0],
    "convolution": lambda kernel: kernel.convolution,
    "odd": lambda kernel: kernel.density.times_power(1),
    "square": lambda kernel: kernel.density.times_power(2),
}
SUMS = (compact_sums.tree_sums, compact_sums.pair_sums)


def by_definition(X, weights, queries, functions, bandwidth):
    """Sum all pairs; returns the sums and the sums of the sizes of what is added."""
    Q = X if queries is None else queries
    product, sizes = np.ones((2, len(Q), len(X)))
    for k, function in enumerate(functions):
        with np.errstate(over="ignore"):
            u = (Q[:, k, None] - X[:, k]) / bandwidth[k]
        product *= function(u)
        largest = np.abs(function.coef).sum(axis=-1).max() + np.abs(function.tail).max()
        sizes *= largest * (np.abs(u) < function.breaks[-1]) + function.tail.any()
    if queries is None:
        np.fill_diagonal(product, 0.0)
    return weights @ product.T, np.abs(weights) @ sizes.T


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bandwidth", [1e-8, 0.05, 0.7, 1e12])
@pytest.mark.parametrize("d", [1, 2])
def test_sums_equal_the_definition(name, kind, bandwidth, d):
    """Weights of both signs in two channels, ties, and clusters far apart.

    Seen red with moments that are not moved between two targets, and with the second
    node of a level left out.
    """
    rng = np.random.default_rng(d)
    X = rng.normal(size=(500, d)).round(2)
    X[400:] += 1e4
    queries = rng.normal(size=(200, d)).round(2)
    weights = rng.normal(size=(2, len(X)))
    widths = bandwidth * (1.0 + np.arange(d))
    functions = [KINDS[kind](KERNELS[name])] * d

    for asked, sums in itertools.product((None, queries), SUMS):
        got = sums(X, weights, asked, functions, widths, _parallel.in_order)

        expected, size = by_definition(X, weights, asked, functions, widths)
        assert (np.abs(got - expected) <= 1e-13 * size).all()


def test_lattice_is_counted_exactly():
    """A row at the distance of a bandwidth is outside, on both sides.

    Seen red with windows that begin one row early, and with ones that end late.
    """
    X = np.array(list(itertools.product(range(20), range(20))), dtype=float)
    steps = np.abs(X[:, None] - X)
    expected = ((steps < 3.0).all(axis=2)).sum(axis=1)
    uniform = [KERNELS["uniform"].density] * 2

    for sums in (*SUMS, compact_sums.box_sums):
        got = sums(
            X, np.ones((1, 400)), X, uniform, np.array([3.0, 3.0]), _parallel.in_order
        )

        assert (4.0 * got[0] == expected).all()


def textbook(X, weights, queries, bandwidth):
    """Sum (1 - |u|)^3 over the half window above each query from sums over all below.

    It is the difference of two sums, each of a polynomial expanded in powers of x.
    """
    order = np.argsort(X)
    x, w = X[order], weights[order]
    out = np.zeros(len(queries))
    for power in range(4):
        moments = np.append(0.0, np.cumsum(w * x**power))
        first = np.searchsorted(x, queries)
        last = np.searchsorted(x, queries + bandwidth)
        factor = math.comb(3, power) * (-1.0) ** power
        ends = (queries + bandwidth) ** (3 - power)
        out += factor * ends * (moments[last] - moments[first])
    return out / bandwidth**3


@pytest.mark.parametrize("d", [1, 2])
def test_faint_window_beside_a_heavy_one(d):
    """Digits are those of the faint sum, which no heavier one has passed through.

    The control, a difference of sums, has none left.
    """
    rng = np.random.default_rng(0)
    near = rng.uniform(0.9999, 1.0, 20)  # at the end of the window above 0
    faint = np.zeros((20, d))
    faint[:, 0] = near
    heavy = np.zeros((1000, d))
    heavy[:, 0] = -1.0 - rng.uniform(0.0, 0.4, 1000)  # in reach of -0.5, not of 0
    X = np.vstack([faint, heavy])
    weights = np.append(np.ones(20), np.full(1000, 1e6))
    queries = np.zeros((2, d))
    queries[1, 0] = -0.5
    cube = KERNELS["triweight"].density
    exact = sum(  # 35/32 (1 - u^2)^3
        Fraction(35, 32) * (1 - Fraction(x) ** 2) ** 3 for x in near.tolist()
    ) * Fraction(35, 32) ** (d - 1)

    for sums in SUMS:
        got = sums(
            X, weights[None], queries, [cube] * d, np.ones(d), _parallel.in_order
        )

        assert abs(Fraction(got[0, 0]) / exact - 1) < Fraction(1, 10**10)
        assert got[0, 1] > 1e6

    cubes = sum((1 - Fraction(x)) ** 3 for x in near.tolist())
    control = textbook(X[:, 0], weights, queries[:1, 0], 1.0)
    assert abs(Fraction(control[0]) / cubes - 1) > Fraction(1, 10**4)


@pytest.mark.parametrize("name", ["uniform", "biweight", "cosine"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_grid_in_slabs_is_the_density_at_its_nodes(name, d, monkeypatch):
    """Seen red with slabs that overlap by a node."""
    rng = np.random.default_rng(d)
    X, weights = rng.normal(size=(300, d)).round(1), rng.uniform(0.1, 1.0, 300)
    axes = [np.unique(rng.normal(size=9 + k).round(1)) for k in range(d)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    functions, widths = [KERNELS[name].density] * d, 0.7 + np.arange(d)
    expected, _ = by_definition(X, weights, nodes, functions, widths)

    for entries in (1, 2000, 2**23):
        monkeypatch.setattr(compact_sums, "_TABLE", entries)
        got = compact_sums.grid_sums(
            X, weights, axes, functions, widths, _parallel.in_order
        )

        np.testing.assert_allclose(got.ravel(), expected, rtol=1e-11, atol=1e-300)
