"""Every public estimator of kernelkit, and how to exercise any of them.

Those of `kernelkit.distributed` are tested beside it.

Contract tests run over `ESTIMATORS`, so a new estimator is tested with no edit.
"""

import pkgutil
from importlib import import_module

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import has_fit_parameter

import kernelkit

QUERY_METHODS = (
    "predict",
    "predict_proba",
    "decision_function",
    "transform",
    "score_samples",
    "cdf",
    "survival",
)


def modules():
    """Import every module of kernelkit, private ones included."""
    return [
        import_module(info.name)
        for info in pkgutil.walk_packages(kernelkit.__path__, "kernelkit.")
        if not info.name.endswith("__main__")
    ]


ESTIMATORS = sorted(
    {
        thing
        for module in modules()
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, BaseEstimator)
        and thing.__module__.startswith("kernelkit.")
        and not thing.__module__.startswith("kernelkit.distributed")
        and not thing.__qualname__.startswith("_")
    },
    key=lambda Estimator: Estimator.__name__,
)


WEIGHTED = [E for E in ESTIMATORS if has_fit_parameter(E, "sample_weight")]


def query_methods(Estimator):
    """Name the methods that take query rows and return one result per row."""
    return [method for method in QUERY_METHODS if hasattr(new(Estimator), method)]


def new(Estimator, **params):
    """Build an estimator whose fits repeat themselves, and that takes any queries."""
    names = Estimator().get_params()
    if "width" in names:  # a network, of which a few steps tell as much
        params = {"width": 16, "max_iter": 30, "tol": 0.0, **params}
    estimator = Estimator(**params)
    if "random_state" in names:
        estimator.set_params(random_state=0)
    if "clip" in names:
        estimator.set_params(clip=True)
    return estimator


def fit(estimator, X, weights=None):
    """Fit an estimator to rows and, if it takes any, to weights."""
    if weights is None or not has_fit_parameter(estimator, "sample_weight"):
        return estimator.fit(X, labels(X))
    return estimator.fit(X, labels(X), sample_weight=weights)


def sums_kernels(Estimator):
    """Tell whether an estimator sums kernels over rows, which takes its time."""
    return "bandwidth" in new(Estimator).get_params()


def few_rows(Estimator, X):
    """Take as many rows as an estimator learns from in a moment."""
    if Estimator.__name__ == "InkEstimate":  # compares each row with all before it
        return X[:200]
    if "sigma_w" in new(Estimator).get_params():  # fills a matrix of all pairs
        return X[:500]
    if "kernel_params" in new(Estimator).get_params():
        return X[:6_000]
    if "n_centers" in new(Estimator).get_params():
        return X[:2_000]
    return X[:4_000] if sums_kernels(Estimator) else X


def quick(Estimator, **params):
    """Build an estimator that searches for nothing, and has few functions."""
    names = new(Estimator).get_params()
    if "bandwidth" in names:
        params = {"bandwidth": 0.5, **params}
    if "n_centers" in names:
        params = {"n_centers": 5, "tol": 0.01, **params}
    if "index_set" in names:  # of many features
        params = {"degree": 1, **params}
    return new(Estimator, **params)


def labels(X):
    """Give rows a target that classifiers and regressors both take."""
    return np.arange(np.shape(X)[0]) % 2


def outputs(model, X):
    """Ask a fitted model everything about rows."""
    names = [method for method in QUERY_METHODS if hasattr(model, method)]
    return {name: getattr(model, name)(X) for name in names}


def assert_same_bits(got, expected):
    """Compare the outputs of two models exactly."""
    assert got.keys() == expected.keys()
    for method, values in expected.items():
        np.testing.assert_array_equal(got[method], values, err_msg=method, strict=True)


def mean_output(model, X, y=None):
    """Score a model by a number that depends on all it says; a scorer."""
    return float(np.mean([np.mean(values) for values in outputs(model, X).values()]))
