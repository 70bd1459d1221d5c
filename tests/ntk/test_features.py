"""Features and tangents: twins, identities and limits."""

import numpy as np
import pytest
from reference import ntk_uq
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from kernelkit.kernels import NeuralTangent
from kernelkit.ntk.features import last_layer_features, tangent_features
from kernelkit.ntk.network import Activation, Network

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 3))
Y = RNG.standard_normal(12)

each_activation = pytest.mark.parametrize(
    "activation", ["relu", "tanh", "logistic", "identity"]
)


def mlp(y=Y, Kind=MLPRegressor, **params):
    params = {"hidden_layer_sizes": (5, 4), "random_state": 0, **params}
    network = Kind(**params)
    if Kind is MLPClassifier:
        return network.partial_fit(X, y, classes=np.unique(y))
    return network.partial_fit(X, y)


def wide(width, *, n_copies=1, n_outputs=1, sigma_b=0.3, seed=0):
    return Network.draw(
        [3, width, n_outputs],
        n_copies=n_copies,
        rng=np.random.default_rng(seed),
        dtype=np.float64,
        sigma_w=2**0.5,
        sigma_b=sigma_b,
        activation=Activation("relu", (0.2, 1.0)),
        scale_inputs=True,
    )


class TestLastLayer:
    """What the outputs are linear in."""

    @each_activation
    def test_outputs_are_linear_in_it(self, activation):
        """Seen red with the features of the layer before."""
        network = mlp(activation=activation)

        features = last_layer_features(network, X)

        got = features @ network.coefs_[-1] + network.intercepts_[-1]
        np.testing.assert_allclose(got[:, 0], network.predict(X), rtol=1e-12)

    def test_linear_model_has_its_rows(self):
        features = last_layer_features(LinearRegression().fit(X, Y), X)

        np.testing.assert_array_equal(features, X)

    def test_wrappers_are_looked_into(self):
        """Seen red with the rows that the pipeline sees passed to its last step."""
        search = GridSearchCV(MLPRegressor(random_state=0), {"alpha": [0.1]}, cv=2)
        search.best_estimator_ = mlp()
        scaler = StandardScaler().fit(X)
        pipeline = make_pipeline(scaler, FrozenEstimator(search))

        features = last_layer_features(FrozenEstimator(pipeline), X)

        expected = last_layer_features(mlp(), scaler.transform(X))
        np.testing.assert_array_equal(features, expected)

    @pytest.mark.parametrize("features", [last_layer_features, tangent_features])
    def test_steps_may_return_sparse_rows(self, features):
        """Seen red with sparse rows passed to the network."""
        network = MLPRegressor(
            hidden_layer_sizes=4,
            activation="tanh",
            solver="lbfgs",
            alpha=1.0,
            max_iter=9000,
            random_state=0,
        )
        pipeline = make_pipeline(KBinsDiscretizer(3, strategy="uniform"), network)
        pipeline.fit(X, Y)
        assert sparse.issparse(pipeline[0].transform(X))

        got = features(pipeline, X)

        rows = pipeline[0].transform(X).toarray()
        np.testing.assert_array_equal(got, features(pipeline[1], rows))

    def test_network_of_copies(self):
        network = wide(6, n_copies=2)

        features = last_layer_features(network, X)

        weights = (network.signs[:, None] * network.weights[-1][:, 0]).ravel()
        got = network.factor(1) * features @ weights
        # The biases of the two copies are equal.
        np.testing.assert_allclose(got, network.outputs(X)[:, 0], atol=1e-14)

    def test_unknown_estimator_is_refused(self):
        tree = DecisionTreeRegressor().fit(X, Y)

        with pytest.raises(TypeError, match="Got a DecisionTreeRegressor instead"):
            last_layer_features(tree, X)
        with pytest.raises(TypeError, match="Got a DecisionTreeRegressor instead"):
            tangent_features(tree, X)

    def test_unfitted_estimator_says_so(self):
        with pytest.raises(NotFittedError, match="MLPRegressor"):
            last_layer_features(MLPRegressor(), X)

    def test_bad_rows_are_refused(self):
        with pytest.raises(ValueError, match="NaN"):
            last_layer_features(mlp(), np.full_like(X, np.nan))


class TestTangents:
    """Derivatives by all weights."""

    @each_activation
    def test_kernel_equals_that_of_differences(self, activation):
        """Seen red with the slope of another value."""
        network = mlp(activation=activation)

        J = tangent_features(network, X)

        expected = ntk_uq.jacobian(network, X)[:, 0]
        np.testing.assert_allclose(J @ J.T, expected @ expected.T, rtol=1e-6)

    @pytest.mark.parametrize("n_outputs", [2, 3])
    def test_kernel_is_the_mean_over_outputs(self, n_outputs):
        """Seen red with the sum over outputs."""
        network = mlp(RNG.standard_normal((12, n_outputs)), activation="tanh")

        J = tangent_features(network, X)

        slopes = ntk_uq.jacobian(network, X)
        expected = np.einsum("iop,jop->ij", slopes, slopes) / n_outputs
        np.testing.assert_allclose(J @ J.T, expected, rtol=1e-6, atol=1e-8)

    def test_classifier_is_taken_before_its_last_function(self):
        network = mlp(np.arange(12) % 3, MLPClassifier, activation="tanh")

        J = tangent_features(network, X)

        slopes = ntk_uq.jacobian(network, X)
        expected = np.einsum("iop,jop->ij", slopes, slopes) / 3
        np.testing.assert_allclose(J @ J.T, expected, rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("n_copies", [1, 2])
    def test_kernel_equals_that_of_our_network(self, n_copies):
        """Seen red without the factor of the weights."""
        network = wide(7, n_copies=n_copies, n_outputs=2)

        J = tangent_features(network, X)

        np.testing.assert_allclose(J @ J.T, network.tangent_kernel(X), rtol=1e-12)

    def test_wide_network_tends_to_the_neural_tangent_kernel(self):
        """The distance falls like the root of the width, within 0.15 of the slope."""
        expected = NeuralTangent(depth=1, sigma_b=0.3)(X)
        widths = [64, 256, 1024, 4096]

        errors = []
        for width in widths:
            kernels = [
                J @ J.T
                for J in (tangent_features(wide(width, seed=s), X) for s in range(8))
            ]
            distances = [np.linalg.norm(K - expected) for K in kernels]
            errors.append(np.mean(distances) / np.linalg.norm(expected))

        slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
        assert abs(slope + 0.5) < 0.15

    def test_sketch_keeps_inner_products(self):
        """Within 5 standard errors, so false alarms are below 1 in 10^4.

        Seen red without the root of the number of combinations.
        """
        J = tangent_features(mlp(activation="tanh"), X)

        S = tangent_features(mlp(activation="tanh"), X, sketch=2000, random_state=0)

        K, norms = J @ J.T, np.linalg.norm(J, axis=1)
        scale = np.sqrt((np.outer(norms, norms) ** 2 + K**2) / 2000)
        assert (np.abs(S @ S.T - K) < 5.0 * scale).all()

    def test_rows_of_one_seed_are_comparable(self):
        network = mlp()

        whole = tangent_features(network, X, sketch=7, random_state=3)

        part = tangent_features(network, X[:5], sketch=7, random_state=3)
        np.testing.assert_allclose(part, whole[:5], rtol=1e-12)

    @pytest.mark.parametrize("sketch", [0, 2.5, True])
    def test_sketch_is_a_number(self, sketch):
        with pytest.raises(ValueError, match="'sketch' argument"):
            tangent_features(mlp(), X, sketch=sketch)
