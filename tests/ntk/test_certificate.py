"""Certified radii: never broken, and as large as they should be."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.attack import attack
from kernelkit.ntk.boxes import Box
from kernelkit.ntk.certificate import certify
from kernelkit.ntk.svm import NTKSVC

METHODS = ("paper", "interval", "linear")
MACHINES = {
    "one layer": {},
    "biases": {"sigma_b": 0.3},
    "none": {"depth": 0, "sigma_b": 0.1},
    "deep": {"depth": 3, "sigma_b": 0.3},
    "erf": {"depth": 2, "activation": "erf"},
    "leaky": {"activation": "leaky_relu", "slopes": (0.3, 1.0)},
    "frozen": {"depth": 2, "train_from": 1},
    "ovr": {"multi_class": "ovr"},
    "ovo": {"multi_class": "ovo"},
    "ridge": {"loss": "squared"},
}


def digits(classes=(3, 8), n=60):
    X, y = load_digits(return_X_y=True)
    chosen = np.isin(y, classes)
    return X[chosen][:n] / 16, y[chosen][:n]


def machine(name="one layer", n=60):
    multi = "multi_class" in MACHINES[name]
    X, y = digits((0, 3, 8) if multi else (3, 8), n)
    return NTKSVC(C=1.0, **MACHINES[name]).fit(X[:-8], y[:-8]), X[-8:]


@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
@pytest.mark.parametrize("name", MACHINES)
class TestRadii:
    def test_no_row_within_is_of_another_class(self, name, clip):
        """Corners and random rows. Seen red with radii made 10 times larger."""
        model, X = machine(name)
        rng = np.random.default_rng(0)
        labels = model.predict(X)
        for method in METHODS:
            radii = model.certify(X, method=method, clip=clip)
            for x, radius, label in zip(X, radii, labels, strict=True):
                box = Box.around(x, radius, clip)
                shares = rng.uniform(size=(20, len(x)))
                shares[:15] = shares[:15].round()
                Z = box.low + shares * (box.high - box.low)
                assert (model.predict(Z) == label).all()

    def test_attacks_need_more(self, name, clip):
        """Seen red with radii made 10 times larger."""
        model, X = machine(name, 40)
        X = X[:1] if clip is None else X[1:2]
        upper, adversaries = model.attack(X, clip=clip)
        found = np.isfinite(upper)
        assert found.any()
        changed = model.predict(adversaries[found]) != model.predict(X[found])
        assert changed.all()
        for method in METHODS:
            assert (model.certify(X, method=method, clip=clip) < upper).all()


def test_methods_are_ordered():
    """Seen red with the interval in place of the expansion."""
    model, X = machine()
    paper, interval, linear = (model.certify(X, method=m) for m in METHODS)
    assert (paper < interval).all()
    assert (interval <= linear).all()
    assert linear.mean() > 2.0 * interval.mean()
    assert (paper > 0.0).all()


def test_clip_lets_radii_grow():
    """Seen red with the box not cut."""
    model, X = machine()
    assert (model.certify(X, clip=(0.0, 1.0)) > model.certify(X)).all()


def test_radii_scale_with_the_rows():
    """Seen red without scaling, where 1e60 to the sixth overflows."""
    model, X = machine()
    margins = [model.dual_coef_ * sign for sign in signs(model, X)]
    for scale in (1e-60, 1e60):
        radii = certify(
            model.kernel_, scale * model.X_fit_, margins, scale * X,
            method="linear", clip=None, n_jobs=None,
        )  # fmt: skip
        np.testing.assert_allclose(radii, scale * model.certify(X), rtol=1e-6)


def signs(model, X):
    return np.sign(model.decision_function(X))


def test_linear_functions_have_their_exact_radius():
    """It is f(x) / |w|_1 for k(z, x) = <z, x>. Seen red with steps not by sign."""
    rng = np.random.default_rng(1)
    X, coef = rng.normal(size=(6, 4)), rng.normal(size=(1, 6))
    kernel = NeuralTangent(0, sigma_w=1.0, normalize=None)
    w = (coef @ X)[0]
    queries = rng.normal(size=(5, 4))
    sides = np.sign(queries @ w)
    found = attack(
        kernel, X, [coef * s for s in sides], queries, clip=None, n_jobs=None
    )
    radii = np.abs(found[:, 0] - queries).max(axis=1)
    expected = np.abs(queries @ w) / np.abs(w).sum()
    np.testing.assert_allclose(radii, expected, rtol=0.02)
    assert (radii >= expected * (1 - 1e-9)).all()
    certified = certify(
        kernel, X, [coef * s for s in sides], queries,
        method="linear", clip=None, n_jobs=None,
    )  # fmt: skip
    np.testing.assert_allclose(certified, expected, rtol=1e-6)


def test_rows_on_the_boundary_have_no_radius():
    model, X = machine()
    zero = np.zeros((1, X.shape[1]))  # of which no function without biases is positive
    assert model.certify(zero) == 0.0


def test_certain_everywhere():
    """A positive function stays so. Seen red with the whole of clip not noticed."""
    X = np.array([[0.5, 0.5], [0.2, 0.9]])
    kernel = NeuralTangent(sigma_b=1.0)
    radii = certify(
        kernel, X, [np.ones((1, 2))], X[:1], method="interval", clip=(0, 1), n_jobs=1
    )
    assert radii[0] == np.inf
    found = attack(kernel, X, [np.ones((1, 2))], X[:1], clip=(0, 1), n_jobs=1)
    np.testing.assert_array_equal(found[0], X[:1])


def test_threads_change_nothing():
    model, X = machine("ovr")
    alone, many = model.certify(X), model.set_params(n_jobs=2).certify(X)
    np.testing.assert_array_equal(alone, many)
