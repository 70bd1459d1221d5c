"""Parameterisations of the precision."""

import numpy as np
import pytest
from reference.rbf_network import slope

from kernelkit.rbf_network import structure as structures
from kernelkit.rbf_network.structure import structure

RNG = np.random.default_rng(0)
SHAPES = [
    structure("iso", 5),
    structure("diag", 5),
    structure("low_rank", 5, 1),
    structure("low_rank", 5, 3),
    structure("full", 5),
]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@each_shape
def test_parameters_come_back(shape):
    """Seen red with the rows of a factor transposed."""
    parameters = RNG.normal(size=shape.size)

    U = shape.factor(parameters)

    np.testing.assert_array_equal(shape.parameters(U), parameters)
    np.testing.assert_array_equal(shape.factor(shape.parameters(U)), U)


@each_shape
def test_gradient_follows_the_chain_rule(shape):
    """Seen red with the mean instead of the sum for "iso"."""
    parameters = RNG.normal(size=shape.size)
    x = RNG.normal(size=5)

    def length(U):
        return float((structures.latent(x[None], U) ** 2).sum())

    dU = slope(length, shape.factor(parameters))

    expected = slope(lambda p: length(shape.factor(p)), parameters)
    np.testing.assert_allclose(shape.gradient(dU), expected, rtol=1e-6)


def test_free_parameters():
    """Seen red with rotations of the rows counted."""
    assert [shape.n_free for shape in SHAPES] == [1, 5, 5, 12, 15]


def test_rank_is_at_most_the_number_of_features():
    assert structure("low_rank", 3, 7).rank == 3
    assert structure("low_rank", 3).rank == 2


@each_shape
def test_vector_and_matrix_agree(shape):
    """Seen red with U U' for the precision."""
    U = shape.factor(RNG.normal(size=shape.size))
    x = RNG.normal(size=(1, 5))

    length = (structures.latent(x, U) ** 2).sum()

    P = structures.precision(U)
    assert length == pytest.approx((x @ P @ x.T).item())
    np.testing.assert_allclose(structures.dense(U).T @ structures.dense(U), P)


@each_shape
def test_start_follows_the_spectrum(shape):
    """Seen red with eigenvectors in rows."""
    vectors = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    values = np.array([16.0, 1.0, 1e-4, 0.0, 0.0])

    U = shape.start(values, vectors)

    assert U.shape == shape.factor(np.zeros(shape.size)).shape
    along = (structures.latent(vectors[:, :2].T, U) ** 2).sum(axis=1)
    if shape.kind == "full":
        assert along[0] / along[1] == pytest.approx(4.0, rel=1e-2)
    if shape.kind == "low_rank":
        assert along[0] == pytest.approx(1.0, rel=1e-2)


@each_shape
def test_every_start_is_a_factor(shape):
    for U in (shape.isotropic(), shape.random(RNG)):
        np.testing.assert_array_equal(shape.factor(shape.parameters(U)), U)


def test_wide_precision_is_never_square():
    """Seen red with an isotropic start cut from a square matrix."""
    wide = structure("low_rank", 100_000, 2)

    for U in (wide.isotropic(), wide.random(RNG)):
        assert U.shape == (2, 100_000)
