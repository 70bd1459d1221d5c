"""Stationary kernels and those of inner products."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.metrics import pairwise
from sklearn.svm import SVR

from kernelkit.kernels.dot_product import Linear, Polynomial
from kernelkit.kernels.stationary import Gaussian, Laplacian, Matern

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((30, 3)), RNG.standard_normal((20, 3))
KERNELS = [
    (Gaussian(2.0), pairwise.rbf_kernel, {"gamma": 0.125}),
    (Laplacian(2.0), pairwise.laplacian_kernel, {"gamma": 0.5}),
    (Linear(), pairwise.linear_kernel, {}),
    (
        Polynomial(3, gamma=0.5, coef0=1.5),
        pairwise.polynomial_kernel,
        {"degree": 3, "gamma": 0.5, "coef0": 1.5},
    ),
]
each_kernel = pytest.mark.parametrize(
    "kernel",
    [
        *(kernel for kernel, *_ in KERNELS),
        Matern(1.5, nu=0.5),
        Laplacian([0.5, 1.0, 3.0]),
        Laplacian(2.0, "fixed"),
        Linear(0.7),
        Linear(0.7, "fixed"),
        Polynomial(1, coef0=0.0),
    ],
    ids=repr,
)


@pytest.mark.parametrize(("kernel", "peer", "parameters"), KERNELS)
def test_peer(kernel, peer, parameters):
    """Seen red with the Euclidean distance, and with coef0 outside of the power."""
    np.testing.assert_allclose(kernel(X, Y), peer(X, Y, **parameters), rtol=1e-12)
    np.testing.assert_allclose(kernel.diag(X), np.diag(kernel(X)), rtol=1e-14)


def test_matern_of_low_smoothness_is_exponential():
    distances = pairwise.euclidean_distances(X, Y)

    K = Matern(1.5, nu=0.5)(X, Y)

    np.testing.assert_allclose(K, np.exp(-distances / 1.5), rtol=1e-7)


@each_kernel
def test_gradient(kernel):
    """Seen red with a derivative by the length scale and not by its logarithm."""
    K, gradient = kernel(X, eval_gradient=True)

    np.testing.assert_array_equal(K, kernel(X))
    assert gradient.shape == (30, 30, len(kernel.theta))
    for k, unit in enumerate(np.eye(len(kernel.theta))):
        ends = [kernel.clone_with_theta(kernel.theta + s * unit) for s in (1e-5, -1e-5)]
        expected = (ends[0](X) - ends[1](X)) / 2e-5
        np.testing.assert_allclose(gradient[:, :, k], expected, atol=1e-6)


@each_kernel
def test_estimators_take_it(kernel):
    model = GaussianProcessRegressor(kernel, alpha=1e-2, optimizer=None)

    assert np.isfinite(model.fit(X, X[:, 0]).predict(Y)).all()
    assert np.isfinite(SVR(kernel=kernel).fit(X, X[:, 0]).predict(Y)).all()
    assert clone(kernel) == kernel


@pytest.mark.parametrize("kernel", [Linear(0.5), Polynomial(2)])
def test_sparse_rows(kernel):
    rows = np.where(np.abs(X) > 0.7, X, 0.0)

    for other in (None, Y):
        K = kernel(sparse.csr_array(rows), other)
        np.testing.assert_allclose(K, kernel(rows, other), rtol=1e-13, atol=1e-14)
    diagonal = kernel.diag(sparse.csr_array(rows))
    np.testing.assert_allclose(diagonal, kernel.diag(rows), rtol=1e-14)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (Laplacian(0.0), "length_scale must be a finite number > 0, or 3"),
        (Laplacian([1.0, 2.0]), "length_scale must be a finite number > 0, or 3"),
        (Polynomial(0), "'degree' argument must be a whole number >= 1"),
        (Polynomial(2, gamma=-1.0), "'gamma' argument must be a finite number > 0"),
        (Linear(-1.0), "'coef0' argument must be a finite number >= 0"),
    ],
)
def test_bad_parameters(kernel, message):
    with pytest.raises(ValueError, match=message):
        kernel(X)
