"""What the layers of fitted networks say about rows: features and tangents."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.base import BaseEstimator

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.ntk.network import Network

_Function = Callable[[Array], Array]

_ACTIVATIONS: dict[str, tuple[_Function, _Function]] = {
    # Of scikit-learn's networks: the function, and its derivative by its value.
    "identity": (lambda z: z, np.ones_like),
    "logistic": (expit, lambda h: h * (1.0 - h)),
    "tanh": (np.tanh, lambda h: 1.0 - h * h),
    "relu": (lambda z: np.maximum(z, 0.0), lambda h: (h > 0.0).astype(h.dtype)),
}

# Units before a layer, derivatives of an output by the next z, and the factors of the
# layer's weights and biases.
_Layer = tuple[Array, Array, float, float]


def last_layer_features(estimator: Any, X: Any) -> Array:
    """Compute the last hidden layer of a fitted network.

    Outputs are linear in it: it is their derivative by the last weights. Features of a
    linear model are the rows themselves, those of a pipeline are features of its last
    step, those of a search are of its best estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted MLPRegressor, MLPClassifier, FiniteWidthRegressor, FiniteWidthClassifier
        or linear model of scikit-learn, or a pipeline, a search or a FrozenEstimator
        of one.
    X : array-like of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    features : ndarray of shape (n_samples, n_units)

    Raises
    ------
    TypeError
        If the estimator is of another kind.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.neural_network import MLPRegressor
    >>> from kernelkit.ntk.features import last_layer_features
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = MLPRegressor(hidden_layer_sizes=(50, 20), max_iter=2000)
    >>> last_layer_features(network.fit(X, y), X).shape
    (442, 20)
    """
    return last_layer(estimator, _rows(X))


def tangent_features(
    estimator: Any, X: Any, *, sketch: int | None = None, random_state: Any = None
) -> Array:
    r"""Compute the derivatives of a network's outputs by all weights and biases.

    Inner products of rows are the empirical tangent kernel, the mean over the outputs
    if there are several. A classifier's outputs are those before the last, squashing
    function.

    Parameters
    ----------
    estimator : estimator
        Fitted MLPRegressor, MLPClassifier, FiniteWidthRegressor or
        FiniteWidthClassifier, or a pipeline, a search or a FrozenEstimator of one.
    X : array-like of shape (n_samples, n_features)
        Rows.
    sketch : int or None, default=None
        Number m of random combinations, with coefficients from N(0, 1/m), to return in
        place of the derivatives, whose inner products they keep up to a relative error
        of about :math:`\sqrt{2/m}`. The derivatives are not stored for it.
    random_state : int, Generator, RandomState or None, default=None
        Source of the combinations: rows are comparable if it was the same int.

    Returns
    -------
    features : ndarray of shape (n_samples, n_features)
        One for each output and weight, or as many as `sketch` says.

    Raises
    ------
    TypeError
        If the estimator is of another kind.
    NotFittedError
        If it is not fitted.
    MemoryError
        If the derivatives exceed the memory.

    References
    ----------
    .. [1] Jacot, Gabriel & Hongler (2018), "Neural tangent kernel: convergence and
       generalization in neural networks", NeurIPS 31.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.neural_network import MLPRegressor
    >>> from kernelkit.ntk.features import tangent_features
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = MLPRegressor(hidden_layer_sizes=(50, 20), max_iter=2000)
    >>> tangent_features(network.fit(X, y), X, sketch=128, random_state=0).shape
    (442, 128)
    """
    if sketch is not None:
        sketch = check.count("sketch", sketch)
    return tangents(estimator, _rows(X), sketch, check.rng(random_state))


def last_layer(estimator: Any, X: Any) -> Array:
    """Do what `last_layer_features` does, to rows that were checked."""
    estimator, X = _innermost(estimator, X)
    if hasattr(estimator, "coefs_"):
        return _hidden(estimator, X)[-1]
    network = getattr(estimator, "net_", estimator)
    if isinstance(network, Network):
        copies = network.forward(X)[2][-1]
        return np.hstack(list(copies))
    if hasattr(estimator, "coef_") and np.shape(estimator.coef_)[-1] == X.shape[1]:
        return X
    raise TypeError(
        "The last layer is known of MLPRegressor, MLPClassifier, networks of kernelkit "
        f"and linear models. Got a {type(estimator).__name__} instead: pass its "
        "features as a function of rows."
    )


def tangents(
    estimator: Any, X: Any, sketch: int | None, rng: np.random.Generator
) -> Array:
    """Do what `tangent_features` does, to rows that were checked."""
    estimator, X = _innermost(estimator, X)
    network = getattr(estimator, "net_", estimator)
    if isinstance(network, Network):
        n_outputs = network.weights[-1].shape[1]
        layers = list(_network_layers(network, X))
    elif hasattr(estimator, "coefs_"):
        n_outputs = estimator.coefs_[-1].shape[1]
        layers = list(_mlp_layers(estimator, X))
    else:
        raise TypeError(
            "Tangents are known of MLPRegressor, MLPClassifier and networks of "
            f"kernelkit. Got a {type(estimator).__name__} instead: pass its features "
            "as a function of rows."
        )
    if sketch is None:
        n_columns = sum((h.shape[1] + 1) * delta.shape[1] for h, delta, _, _ in layers)
        check.memory(16 * len(X) * n_columns, "use a sketch, or fewer rows at a time")
        features = np.hstack([part for layer in layers for part in _derivatives(layer)])
    else:
        features = np.zeros((len(X), sketch))
        for layer in layers:
            _add_sketch(features, layer, rng)
        features /= sketch**0.5
    features /= n_outputs**0.5
    return features


def _rows(X: Any) -> Any:
    """Check rows; a data frame with named columns stays one, for pipelines."""
    rows, _ = check.row_pair(X, None, takes_sparse=False)
    return X if hasattr(X, "iloc") else rows


def _innermost(estimator: Any, X: Any) -> tuple[Any, Array]:
    """Find what predicts inside pipelines and searches, and the rows that it sees."""
    if isinstance(estimator, BaseEstimator):
        check.is_fitted(estimator)
    if hasattr(estimator, "best_estimator_"):
        return _innermost(estimator.best_estimator_, X)
    if hasattr(estimator, "steps"):
        *before, (_, last) = estimator.steps
        return _innermost(last, estimator[:-1].transform(X) if before else X)
    if sparse.issparse(X):
        check.memory(8 * X.shape[0] * X.shape[1], "let no step return sparse rows")
        X = X.toarray()
    return estimator, np.asarray(X, dtype=np.float64)


def _hidden(mlp: Any, X: Array) -> list[Array]:
    """Units of all layers but the last one of scikit-learn's network."""
    function, _ = _ACTIVATIONS[mlp.activation]
    h = [X]
    for W, b in zip(mlp.coefs_[:-1], mlp.intercepts_[:-1], strict=True):
        h.append(function(h[-1] @ W + b))
    return h


def _mlp_layers(mlp: Any, X: Array) -> Iterator[_Layer]:
    _, slope = _ACTIVATIONS[mlp.activation]
    h = _hidden(mlp, X)
    n_outputs = mlp.coefs_[-1].shape[1]
    for output in range(n_outputs):
        delta = np.zeros((len(h[0]), n_outputs))
        delta[:, output] = 1.0
        for layer in range(len(h) - 1, -1, -1):
            yield h[layer], delta, 1.0, 1.0
            if layer:
                delta = delta @ mlp.coefs_[layer].T * slope(h[layer])


def _network_layers(network: Network, X: Array) -> Iterator[_Layer]:
    for tangents_of_output in network.tangents(X):
        for layer, (units, delta) in enumerate(tangents_of_output):
            factor = network.factor(layer)
            for u, d in zip(units, delta, strict=True):  # copies
                yield u, d, factor, network.sigma_b


def _derivatives(layer: _Layer) -> tuple[Array, Array]:
    """Form the derivatives by a layer's weights and by its biases."""
    h, delta, factor, bias_factor = layer
    by_weight = factor * (delta[:, :, None] * h[:, None, :])
    return by_weight.reshape(len(h), -1), bias_factor * delta


def _add_sketch(features: Array, layer: _Layer, rng: np.random.Generator) -> None:
    """Add random combinations of a layer's derivatives, which are not formed."""
    h, delta, factor, bias_factor = layer
    for column in range(features.shape[1]):
        G = rng.standard_normal((delta.shape[1], h.shape[1] + 1))
        slopes = factor * (h @ G[:, :-1].T) + bias_factor * G[:, -1]
        features[:, column] += np.einsum("ij,ij->i", delta, slopes)
