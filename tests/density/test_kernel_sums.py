"""Every way to sum kernels gives the sums of the definition, at every size of parts."""

import numpy as np
import pytest

from kernelkit import _parallel
from kernelkit.density import kernel_sums
from kernelkit.density.kernels1d import KERNELS

STEP, TAIL = KERNELS["matern32"].cdf
EXPONENTIAL = {
    "laplacian": [KERNELS["laplacian"].density],
    "matern52": [KERNELS["matern52"].density],
    "silverman": [KERNELS["silverman"].density],
    "odd powers": [KERNELS["matern32"].density.times_power(1)],
    "mixed": [
        KERNELS["laplacian"].density,
        TAIL,
        KERNELS["silverman"].density,
        KERNELS["matern32"].convolution,
    ],
    "steps": [STEP, TAIL, STEP, TAIL],
}
RNG = np.random.default_rng(0)


def by_definition(X, weights, queries, functions, bandwidth):
    """Sum all pairs; returns the sums and the sums of the sizes of their terms."""
    Q = X if queries is None else queries
    product = np.ones((len(Q), len(X)))
    sizes = np.ones((len(Q), len(X)))
    for k, function in enumerate(functions):
        u = (Q[:, k, None] - X[:, k]) / bandwidth[k]
        product *= function(u)
        sizes *= size_of_terms(function, u)
    if queries is None:
        np.fill_diagonal(product, 0.0)
    return weights @ product.T, np.abs(weights) @ sizes.T


def size_of_terms(function, u):
    """Sum the sizes of the terms that a function of u is made of."""
    far = np.abs(u)
    side = np.where(u >= 0.0, 0, 1)
    coef = np.abs(function.coef).sum(axis=-1)[side]
    powers = far[..., None] ** np.arange(coef.shape[-1])
    return (coef * powers).sum(axis=-1) * np.exp(-function.rate * far)


@pytest.fixture
def small_parts(monkeypatch):
    """Let trees split problems of a few rows, and sweeps cut blocks of a few."""
    monkeypatch.setattr(kernel_sums, "_LIMIT", np.array([4, 1, 4, 6, 8]))
    monkeypatch.setattr(kernel_sums, "_TASK", 10)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("bandwidth", [1e-6, 0.05, 1.0, 1e5])
@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_tree_equals_the_definition(name, d, bandwidth):
    """Weights of both signs in two channels, ties, and clusters far apart.

    Some queries are at rows and some within a bandwidth: sums of each case count.
    Seen red with the sums of higher blocks left at the wrong edge, and in each case
    with sums of 0, twice the sums, and sums too large by 1e-9.
    """
    functions = (EXPONENTIAL[name] * 4)[:d]
    widths = bandwidth * (1.0 + np.arange(d))
    X = RNG.normal(size=(40, d)).round(1)
    X[30:] += 1e4
    queries = RNG.normal(size=(25, d)).round(1)
    queries[:5] = X[:5]
    queries[5:10] = X[5:10] + 0.5 * widths
    weights = RNG.normal(size=(2, len(X)))
    own = [] if name in ("mixed", "steps", "odd powers") else [None]  # steps at ties

    for asked in [queries, *own]:
        got = kernel_sums.kernel_sums(
            X,
            weights,
            asked,
            functions,
            widths,
            algorithm="tree",
            run=_parallel.in_order,
        )

        expected, size = by_definition(X, weights, asked, functions, widths)
        assert (np.abs(got - expected) <= 1e-13 * size + 1e-300).all()


@pytest.mark.usefixtures("small_parts")
def test_tasks_give_the_same_bits():
    X, weights = RNG.normal(size=(60, 3)), np.ones((1, 60))
    results = []
    for n_jobs in (1, 2, 4):
        with _parallel.threads(n_jobs) as run:
            results.append(
                kernel_sums.kernel_sums(
                    X,
                    weights,
                    None,
                    EXPONENTIAL["laplacian"] * 3,
                    np.full(3, 0.3),
                    algorithm="tree",
                    run=run,
                )
            )

    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
