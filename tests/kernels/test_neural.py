"""Neural kernels: tables, definitions, peers, identities and extremes."""

import pickle
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import neural as reference
from scipy import sparse
from scipy.integrate import quad
from scipy.special import erf
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from kernelkit import NystroemRidge
from kernelkit.kernels import _jit_neural as loops
from kernelkit.kernels.neural import ArcCosine, NeuralTangent, ntk_gram

FOUR = np.array([[1, 2, -1], [0.5, -1, 2], [-2, 0.25, 1], [1, 2, -0.9]])
CASES = {"A": {"depth": 1}, "B": {"depth": 3, "sigma_w": 1.5, "sigma_b": 0.3}}
RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 7))
Y = np.vstack([RNG.standard_normal((70, 7)), X[:5], -X[5:10], 3.0 * X[10:15]])
NAMES = ("relu", "leaky_relu", "erf", "gelu", "linear")

each_name = pytest.mark.parametrize("activation", NAMES)
each_depth = pytest.mark.parametrize("depth", [0, 1, 3])

# activation, case, NTK of rows 0 and 0..3, of 1 and 2, and NNGP of 0 and 0..3: closed
# forms, quadrature and the package neural-tangents agree on them.
TABLE = [
    (
        "relu",
        "A",
        [
            8.000000000000,
            -0.402053137173,
            -0.124821165072,
            7.819261229255,
            1.628842823801,
            4.000000000000,
            0.264499750650,
            0.458739167256,
            3.933356032742,
        ],
    ),
    (
        "relu",
        "B",
        [
            26.775703125000,
            4.793132945231,
            5.124489992945,
            25.892529730175,
            7.449688336775,
            6.840527343750,
            3.453380969932,
            3.510293795594,
            6.733847095885,
        ],
    ),
    (
        "leaky_relu",
        "A",
        [
            8.320000000000,
            -2.123980674457,
            -1.413218878979,
            8.150993853390,
            1.442459407232,
            4.160000000000,
            -0.764053492917,
            -0.373073599623,
            4.090681194288,
        ],
    ),
    (
        "leaky_relu",
        "B",
        [
            30.075817680000,
            0.919597202419,
            2.082638482009,
            29.278085562215,
            7.466569237323,
            7.669904670000,
            2.000751480324,
            2.291238105339,
            7.549858019102,
        ],
    ),
    (
        "erf",
        "A",
        [
            3.864535491521,
            -1.579880507590,
            -1.076978899052,
            3.828980931009,
            0.325161069849,
            1.394087901095,
            -0.741446400462,
            -0.522741283416,
            1.387872105941,
        ],
    ),
    (
        "erf",
        "B",
        [
            8.232796633812,
            -1.389782367844,
            -0.802285769572,
            8.163330968951,
            0.815387544977,
            1.263101063129,
            -0.208660745643,
            -0.079746026359,
            1.260331996754,
        ],
    ),
    (
        "gelu",
        "A",
        [
            7.908088144159,
            -0.531008483534,
            -0.315052938663,
            7.768177753892,
            1.387946310881,
            3.859730031729,
            0.051906281509,
            0.227675053854,
            3.792467427998,
        ],
    ),
    (
        "gelu",
        "B",
        [
            26.428316736336,
            3.623672271079,
            3.885590097720,
            25.933624301014,
            6.105096024239,
            6.337588168260,
            2.710736143355,
            2.754571076567,
            6.228165388914,
        ],
    ),
]


def relative_error(values, expected):
    """Largest error over the largest number."""
    return np.abs(values - expected).max() / np.abs(expected).max()


class TestKnownAnswers:
    """Numbers from elsewhere."""

    @pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1]}")
    def test_table(self, row):
        """Seen red with 3% less of `gelu`'s slope, and of `gain / pi`."""
        activation, case, expected = row

        ntk, nngp = ntk_gram(FOUR, activation=activation, get="both", **CASES[case])

        np.testing.assert_allclose(ntk[0], expected[:4], rtol=0, atol=1e-11)
        np.testing.assert_allclose(ntk[1, 2], expected[4], rtol=0, atol=1e-11)
        np.testing.assert_allclose(nngp[0], expected[5:], rtol=0, atol=1e-11)

    def test_two_layers_of_relu(self):
        ntk, nngp = ntk_gram([[1.0, 0.0]], [[0, 1], [-1, 0]], depth=2, get="both")

        np.testing.assert_allclose(ntk[0], [0.6857086362829, 1 / np.pi], rtol=1e-12)
        np.testing.assert_allclose(nngp[0], [0.4937310902004, 1 / np.pi], rtol=1e-12)
        assert ntk_gram([[3.0, 4.0]], depth=2)[0, 0] == pytest.approx(75, rel=1e-15)

    @pytest.mark.parametrize("depth", [0, 1, 2, 10, 50])
    def test_diagonal_of_relu(self, depth):
        """Seen red with one layer fewer in `Network.diagonal`."""
        kernel = NeuralTangent(depth)
        expected = (depth + 1) * 2.0 * (X**2).sum(axis=1) / 7

        np.testing.assert_allclose(kernel.diag(X), expected, rtol=2e-14)
        np.testing.assert_allclose(np.diag(kernel(X)), expected, rtol=2e-14)

    def test_arc_cosine(self):
        """Seen red with the weights of order 1 for order 0."""
        angle = np.deg2rad(60.0)
        rows = [[2.0, 0.0]], [[3 * np.cos(angle), 3 * np.sin(angle)]]

        order_1 = 6 / np.pi * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
        assert ArcCosine(0)(*rows)[0, 0] == pytest.approx(2 / 3, rel=1e-15)
        assert ArcCosine(1)(*rows)[0, 0] == pytest.approx(order_1, rel=1e-15)
        np.testing.assert_allclose(ArcCosine(0).diag(X), 1.0, rtol=1e-15)
        np.testing.assert_allclose(ArcCosine(1).diag(X), (X**2).sum(axis=1), rtol=1e-15)
        with pytest.raises(ValueError, match="order must be 0 or 1"):
            ArcCosine(2)(X)


class TestDefinition:
    """Against slow twins."""

    @each_name
    @each_depth
    @pytest.mark.parametrize("sigma_b", [0.0, 0.4])
    @pytest.mark.parametrize("train_from", [0, 2])
    def test_scalar_twin(self, activation, depth, sigma_b, train_from):
        """Seen red with the bias left out of layer 0, and `train_from` ignored."""
        parameters = {
            "depth": depth,
            "sigma_b": sigma_b,
            "activation": activation,
            "train_from": min(train_from, depth),
        }

        ntk, nngp = ntk_gram(X[:30], Y[-45:], get="both", **parameters)

        expected, covariance = reference.gram(X[:30], Y[-45:], **parameters)
        assert relative_error(ntk, expected) < 1e-7  # which loses half of the digits
        assert relative_error(nngp, covariance) < 1e-13

    @pytest.mark.parametrize("slopes", [(-1, 1), (-0.3, 2), (0.5, 0.1), (1, -1)])
    @pytest.mark.parametrize("sigma_b", [0.0, 0.4])
    def test_slopes(self, slopes, sigma_b):
        """Seen red with biases not turned where rows are."""
        parameters = {"depth": 2, "activation": "leaky_relu", "slopes": slopes}

        ntk = ntk_gram(X[:30], Y[-45:], sigma_b=sigma_b, **parameters)

        expected, _ = reference.gram(X[:30], Y[-45:], sigma_b=sigma_b, **parameters)
        assert relative_error(ntk, expected) < 1e-7

    @pytest.mark.parametrize("name", ["relu", "leaky_relu", "erf", "gelu", "step"])
    def test_quadrature(self, name):
        """One layer has the expectations that it should have."""
        x, y = np.array([[1.3, 0.0]]), np.array([[0.4, 0.9]])
        function, slope = reference.ACTIVATIONS[name]
        mean = getattr(reference, f"{name}_mean", reference.normal_mean)
        moments = (x @ y.T)[0, 0], (x @ x.T)[0, 0], (y @ y.T)[0, 0]
        options = {"sigma_w": 1.0, "normalize": None, "activation": name}

        nngp = ntk_gram(x, y, get="nngp", **options)[0, 0]

        expected = reference.expectation_by_quadrature(function, *moments, mean)
        assert nngp == pytest.approx(expected, rel=1e-11)
        if name in ("erf", "gelu"):
            tangent = ntk_gram(x, y, **options)[0, 0] - nngp
            by_slope = reference.expectation_by_quadrature(slope, *moments)
            assert tangent / moments[0] == pytest.approx(by_slope, rel=1e-11)

    @each_name
    def test_slope_is_derivative_of_expectation(self, activation):
        """Price's theorem: NTK - NNGP of one layer is k times dNNGP / dk."""
        h, x = 1e-5, np.array([[1.5, 0.0]])
        options = {"sigma_w": 1.0, "normalize": None, "activation": activation}

        def nngp(angle):
            y = 0.8 * np.array([[np.cos(angle), np.sin(angle)]])
            return ntk_gram(x, y, get="both", **options)

        for angle in (0.3, 1.2, 2.5):
            ntk, value = nngp(angle)
            change = nngp(angle + h)[1] - nngp(angle - h)[1]
            slope = change / (1.2 * (np.cos(angle + h) - np.cos(angle - h)))
            expected = slope * 1.2 * np.cos(angle)
            np.testing.assert_allclose(ntk - value, expected, rtol=1e-6)

    @pytest.mark.parametrize("sigma_b", [0.0, 0.3, 3.0])
    @pytest.mark.parametrize("ratio", [1.0, 1.0 + 1e-9, 3.0])
    def test_digits_of_near_duplicates(self, sigma_b, ratio):
        """Seen red without refinement, and with a series cut after one term."""
        x, z = X[0], X[1] - (X[1] @ X[0]) / (X[0] @ X[0]) * X[0]
        z = z * np.linalg.norm(x) / np.linalg.norm(z)
        for angle in 10.0 ** -np.arange(0.0, 13.0):
            y = ratio * (np.cos(angle) * x + np.sin(angle) * z)
            options = {"depth": 3, "sigma_w": 1.4, "sigma_b": sigma_b}

            got = ntk_gram(x[None], y[None], get="both", **options)

            expected = reference.exact(x, y, **options)
            for value, exact in zip(got, expected, strict=True):
                assert abs(float((value[0, 0] - exact) / exact)) < 3e-15

    @pytest.mark.parametrize("sigma_b", [0.0, 1e-9, 0.3])
    @pytest.mark.parametrize("size", [1.0, 1e-9])
    def test_digits_of_nearly_opposite_rows(self, sigma_b, size):
        """Seen red with a versine near 2, of which the rest is rounded (1e-8)."""
        for angle in (0.0, 1e-12, 1e-9, 1e-6, 1e-3):
            x, y = size * X[0], -3.0 * size * (X[0] + angle * X[1])
            options = {"depth": 2, "sigma_w": 1.4, "sigma_b": sigma_b}

            got = ntk_gram(x[None], y[None], get="both", **options)

            expected = reference.exact(x, y, **options)
            for value, exact in zip(got, expected, strict=True):
                assert abs(float((value[0, 0] - exact) / exact)) < 3e-15

    @pytest.mark.parametrize("activation", ["erf", "gelu"])
    @pytest.mark.parametrize("sigma_b", [0.0, 0.1, 30.0])
    @pytest.mark.parametrize(
        ("depth", "sigma_w", "size"),
        [
            (3, 1.4, 1e4),
            (3, 1.4, 1e7),
            (3, 1.4, 1e10),
            (3, 1e3, 1.0),
            (5, 17.0, 0.3),
            (3, 0.56, 1e-7),
        ],
    )
    def test_digits_of_smooth_layers(self, activation, sigma_b, depth, sigma_w, size):
        """Seen red with 1 minus products, and with each term left out, one by one."""
        options = {"depth": depth, "sigma_w": sigma_w, "sigma_b": sigma_b}
        x, u = (row / np.linalg.norm(row) for row in X[:2])
        gaps = np.array([0.0, 0.0, 0.0, 1e-9, 0.5, 1e-2, 1e-4, 1e-6, 1e-8, 1e-8])
        factors = np.array([1.0, 256.0, -1.0, -1.0, 1.0, 1.0, 1.001, 1.0, 1.0, 2.0])
        rows = size * factors[:, None] * (x + gaps[:, None] * u)

        got = ntk_gram(
            rows[:1], rows.copy(), activation=activation, get="both", **options
        )

        kernel = NeuralTangent(activation=activation, **options)
        scale = np.sqrt(kernel.diag(rows) * kernel.diag(rows[:1]))
        exact = [
            reference.exact(rows[0], y, activation=activation, **options) for y in rows
        ]
        for values, expected in zip(got, np.transpose(exact), strict=True):
            errors = np.abs((values[0] - expected).astype(float)) / scale
            # rounding of directions moves steep slopes of erf
            spread = 4e-16 / gaps[gaps > 0.0] if activation == "erf" else 1e-14
            assert (errors[gaps == 0.0] < 1e-14).all()
            assert (errors[gaps > 0.0] < 1e-14 + spread).all()
        np.testing.assert_allclose(
            kernel.diag(rows[:1]), float(exact[0][0]), rtol=2e-15
        )

    def test_digits_of_opposite_rows_to_absolute_value(self):
        """Seen red without taking a row for its opposite."""
        kernel = NeuralTangent(3, activation="leaky_relu", slopes=(-1, 1))
        near = X + 1e-8 * RNG.standard_normal(X.shape)

        np.testing.assert_allclose(kernel(X, -near), kernel(X, near), rtol=1e-14)
        np.testing.assert_allclose(np.diag(kernel(X, -X)), kernel.diag(X), rtol=1e-14)

    def test_callable(self):
        """Seen red with one coefficient fewer in the slope, and with 64 of them."""
        options = {"depth": 2, "sigma_b": 0.3, "get": "both"}
        for function, name in ((erf, "erf"), (lambda u: 0.7 * u, "linear")):
            got = ntk_gram(X / 2, activation=function, **options)
            factor = 0.7 if name == "linear" else 1.0
            expected = ntk_gram(
                X / 2,
                activation="leaky_relu" if name == "linear" else name,
                slopes=(factor, factor),
                **options,
            )
            for values, exact in zip(got, expected, strict=True):
                np.testing.assert_allclose(values, exact, rtol=0, atol=1e-12)
        with pytest.raises(ValueError, match="returns NaN or infinity"):
            ntk_gram(X, activation=lambda u: np.full_like(u, np.nan))

    @pytest.mark.parametrize("size", [0.1, 1.0, 3.0])
    def test_callable_by_quadrature(self, size):
        """Seen red with 64 terms, and with sums over nodes 1 apart."""
        kernel = NeuralTangent(1, 1.0, activation=np.tanh)

        def integrand(z):
            u = size * z
            value = np.tanh(u) ** 2 + (size / np.cosh(u) ** 2) ** 2
            return value * np.exp(-z * z / 2.0) / (2.0 * np.pi) ** 0.5

        expected, _ = quad(integrand, -12.0, 12.0, points=[0.0], epsrel=1e-10)
        assert kernel([[size]])[0, 0] == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(
        ("function", "size"),
        [(np.tanh, 6.0), (np.abs, 1e-3), (np.sin, 50.0), (np.sin, 126.0)],
    )
    def test_series_that_is_too_short_is_refused(self, function, size):
        """Seen red with any share of the last terms allowed, and without probes."""
        with pytest.raises(ValueError, match="Hermite polynomials do not stand for"):
            ntk_gram([[0.1], [size]], activation=function, sigma_w=1.0)

    def test_monte_carlo(self):
        """A network of 20000 units; false alarms at 6 standard errors: 1e-8."""
        rng = np.random.default_rng(1)
        W = rng.standard_normal((20_000, 7))
        products = W @ X[:4].T * (2.0 / 7) ** 0.5
        hidden = np.maximum(products, 0.0)
        inputs = 2.0 / 7 * X[:4] @ X[:4].T
        samples = 2.0 * hidden[:, :, None] * hidden[:, None, :]
        active = (products > 0.0).astype(float)
        samples += 2.0 * active[:, :, None] * active[:, None, :] * inputs

        deviation = samples.mean(axis=0) - ntk_gram(X[:4])

        assert (np.abs(deviation) < 6.0 * samples.std(axis=0) / 20_000**0.5).all()


class TestProperties:
    """What holds for all rows."""

    @given(
        rows=arrays(float, (6, 3), elements=st.integers(-4, 4)),
        depth=st.integers(0, 4),
        sigma_b=st.sampled_from([0.0, 0.5]),
        activation=st.sampled_from(NAMES),
    )
    @settings(max_examples=60)
    def test_symmetric_and_positive_semidefinite(
        self, rows, depth, sigma_b, activation
    ):
        kernel = NeuralTangent(depth, sigma_b=sigma_b, activation=activation)

        K = kernel(rows)

        assert (K == K.T).all()
        eigenvalues = np.linalg.eigvalsh(K)
        assert eigenvalues[0] >= -1e-12 * max(eigenvalues[-1], 1e-300)
        np.testing.assert_array_equal(np.diag(K), kernel.diag(rows))
        np.testing.assert_allclose(
            kernel(rows, rows.copy()), K, rtol=0, atol=4e-14 * K.max()
        )

    @each_name
    @pytest.mark.parametrize("get", ["ntk", "nngp"])
    def test_diagonal_is_that_of_diag(self, activation, get):
        """Seen red with what the loop computes there."""
        rows = np.vstack([X, Y, 1e4 * X])
        options = {"depth": 2, "activation": activation, "scale": "unit", "get": get}
        expected = NeuralTangent(**options).diag(rows)

        np.testing.assert_array_equal(np.diag(ntk_gram(rows, **options)), expected)
        narrow = ntk_gram(rows, dtype=np.float32, **options)
        np.testing.assert_array_equal(np.diag(narrow), expected.astype(np.float32))

    @pytest.mark.parametrize("activation", ["relu", "leaky_relu", "linear"])
    def test_homogeneous(self, activation):
        kernel = NeuralTangent(3, activation=activation)

        K = kernel(8.0 * X, 0.5 * Y)  # powers of 2, so that the bits are the same

        np.testing.assert_array_equal(K, 4.0 * kernel(X, Y))

    @pytest.mark.parametrize("sizes", [(1e150, 1e150), (1e-170, 1e150), (1e-150,) * 2])
    @each_name
    def test_extreme_norms(self, activation, sizes):
        """Seen red with sums of squares of what was not scaled."""
        kernel = NeuralTangent(2, activation=activation)

        K = kernel(X * sizes[0], Y * sizes[1])

        assert np.isfinite(K).all()
        if activation in ("relu", "leaky_relu", "linear"):
            expected = kernel(X, Y) * sizes[0] * sizes[1]
            atol = 1e-13 * np.abs(expected).max()  # values of both signs
            np.testing.assert_allclose(K, expected, rtol=0, atol=atol)

    @pytest.mark.parametrize(
        ("activation", "slope"),
        [("erf", 2.0 / np.pi**0.5), ("gelu", 0.5), (np.tanh, 1.0)],
    )
    @pytest.mark.parametrize("sizes", [(1e-70, 1e-70), (1e-200, 1e-60)])
    def test_small_rows_see_a_linear_activation(self, activation, slope, sizes):
        """Seen red with the arcsine of a small product as pi / 2 minus an angle.

        Also without other units for the least rows, and for coefficients.
        """
        options = {"activation": "leaky_relu", "slopes": (slope, slope), "depth": 2}
        linear = ntk_gram(X, Y, **options)

        K = ntk_gram(sizes[0] * X, sizes[1] * Y, activation=activation, depth=2)

        assert relative_error(K / sizes[0] / sizes[1], linear) < 1e-12

    @pytest.mark.parametrize("activation", [*NAMES, np.arctan])
    def test_kernel_of_the_least_rows_is_zero(self, activation):
        """Seen red with coefficients of the size of the rows, whose inverse squared."""
        assert (ntk_gram(1e-250 * X, 1e-250 * Y, activation=activation) == 0.0).all()

    @each_name
    @pytest.mark.parametrize("sigma_b", [0.0, 0.5])
    def test_zero_rows(self, activation, sigma_b):
        """Seen red with a division by their norm."""
        rows = np.vstack([np.zeros((2, 7)), X[:3]])
        kernel = NeuralTangent(2, sigma_b=sigma_b, activation=activation)

        K = kernel(rows)

        assert np.isfinite(K).all()
        assert (K[:2] == 0.0).all() == (sigma_b == 0.0)
        np.testing.assert_allclose(np.diag(K), kernel.diag(rows), rtol=2e-15)

    @each_name
    def test_deep(self, activation):
        K = NeuralTangent(50, sigma_b=0.1, activation=activation)(X)

        assert np.isfinite(K).all()
        assert np.linalg.eigvalsh(K)[0] > -1e-12 * np.linalg.norm(K)

    def test_overflow_is_refused(self):
        with pytest.raises(ValueError, match="Variances of the network overflow"):
            ntk_gram(X * 1e160)

    @pytest.mark.parametrize("activation", [*NAMES, np.tanh])
    @pytest.mark.parametrize("symmetric", [True, False])
    def test_threads_do_not_change_bits(self, activation, symmetric):
        rows = np.vstack([X, Y, X + 1e-9]) / 4
        other = None if symmetric else rows[::-1].copy()
        options = {"depth": 2, "activation": activation, "get": "both"}

        one = ntk_gram(rows, other, n_jobs=1, **options)
        two = ntk_gram(rows, other, n_jobs=2, **options)

        np.testing.assert_array_equal(one, two)

    @each_name
    def test_sparse_rows(self, activation):
        """Seen red without refining sparse rows, and with indices taken as equal."""
        rows = np.where(np.abs(X) > 0.7, X, 0.0)
        rows[1] = rows[0] + 1e-9 * (rows[0] != 0)
        rows[2], rows[3] = 0.0, -rows[0]
        rows[2, 3] = 1.0
        rows[4] = rows[0]
        rows[4, np.flatnonzero(rows[0] == 0.0)[0]] = 1e-9  # another pattern
        options = {"depth": 3, "activation": activation}

        for first in (sparse.csr_array(rows), sparse.csc_matrix(rows)):
            K = ntk_gram(first, **options)
            np.testing.assert_allclose(
                K, ntk_gram(rows, **options), rtol=1e-13, atol=1e-13
            )
            assert (K == K.T).all()
            np.testing.assert_allclose(
                ntk_gram(first, rows, **options), K, rtol=1e-13, atol=1e-13
            )

    def test_frozen_network_has_the_kernel_of_its_outputs(self):
        options = {"depth": 3, "sigma_b": 0.2}

        frozen = ntk_gram(X, train_from=3, **options)

        np.testing.assert_array_equal(frozen, ntk_gram(X, get="nngp", **options))

    @each_name
    @pytest.mark.parametrize("normalize", ["d", None])
    @pytest.mark.parametrize("get", ["ntk", "nngp"])
    def test_unit_scale(self, activation, normalize, get):
        kernel = NeuralTangent(
            2, activation=activation, normalize=normalize, scale="unit", get=get
        )

        K = kernel(np.ones((1, 7)), np.ones((1, 7)))

        assert K[0, 0] == pytest.approx(1.0, rel=1e-14)
        assert kernel.diag(np.ones((1, 7)))[0] == pytest.approx(1.0, rel=1e-14)


class TestInterface:
    """What goes in and what comes out."""

    def test_out_and_precision(self):
        """Seen red with `out` ignored."""
        exact = ntk_gram(X, Y)
        out = np.empty(exact.shape)
        narrow = np.empty(exact.shape, dtype=np.float32)

        assert ntk_gram(X, Y, out=out) is out
        np.testing.assert_array_equal(out, exact)
        ntk_gram(X, Y, out=narrow)
        np.testing.assert_array_equal(narrow, exact.astype(np.float32))
        assert ntk_gram(X.astype(np.float32), Y.astype(np.float32)).dtype == np.float32
        assert ntk_gram(X.astype(np.float32), Y).dtype == np.float64
        assert ntk_gram(X, dtype="float32").dtype == np.float32
        for wrong in (out.T, out[:, :3], exact.astype(int)):
            with pytest.raises(ValueError, match="out must be"):
                ntk_gram(X, Y, out=wrong)

    def test_blocks(self):
        kernel = NeuralTangent(2)

        blocks = list(kernel.iter_blocks(X, Y, 40))

        assert [rows for rows, _ in blocks] == [
            slice(0, 40),
            slice(40, 80),
            slice(80, 90),
        ]
        K = np.vstack([block for _, block in blocks])
        np.testing.assert_allclose(K, kernel(X, Y), rtol=1e-12, atol=1e-14)

    def test_same_object_is_symmetric(self):
        K = NeuralTangent(3)(X, X)

        assert (K == K.T).all()
        np.testing.assert_array_equal(K, NeuralTangent(3)(X))

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"depth": -1}, "'depth' argument must be a whole number >= 0"),
            ({"depth": 1.5}, "'depth' argument must be a whole number >= 0"),
            ({"sigma_w": 0.0}, "'sigma_w' argument must be a finite number > 0"),
            ({"sigma_b": -0.1}, "'sigma_b' argument must be a finite number >= 0"),
            ({"activation": "tanh"}, "'activation' argument must be one of"),
            ({"activation": "step"}, "A step has no slope"),
            ({"train_from": 2}, "train_from must not exceed depth"),
            ({"scale": "unit", "sigma_b": 1.0}, "scale='unit' needs sigma_b=0"),
            ({"scale": "half"}, "scale must be 'unit' or None"),
            ({"get": "all"}, "'get' argument must be one of"),
            ({"slopes": (0, 0)}, "'slopes' argument must be two finite numbers"),
        ],
    )
    def test_bad_parameters(self, parameters, message):
        with pytest.raises(ValueError, match=message):
            ntk_gram(X, **parameters)

    def test_bad_rows(self):
        with pytest.raises(ValueError, match="NaN"):
            ntk_gram([[np.nan, 1.0]])
        with pytest.raises(ValueError, match="X has 7 features and Y has 2"):
            ntk_gram(X, np.ones((3, 2)))
        with pytest.raises(ValueError, match="leave out Y"):
            NeuralTangent()(X, Y, eval_gradient=True)

    def test_clone_and_pickle(self):
        kernel = NeuralTangent(3, 1.2, 0.3, "gelu", sigma_b_bounds=(0.1, 1.0))

        for copy in (clone(kernel), pickle.loads(pickle.dumps(kernel))):
            assert copy == kernel
            np.testing.assert_array_equal(copy(X), kernel(X))

    def test_one_version_is_compiled(self):
        """Seen red with blocks of float32."""
        ntk_gram(X, Y, get="both")
        ntk_gram(X, dtype=np.float32)

        if hasattr(loops.fill, "signatures"):
            assert len(loops.fill.signatures) == 1


@cache
def iris():
    data, labels = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(data), labels


class TestInEstimators:
    """Used as it is in scikit-learn and here."""

    def test_support_vectors_and_grid_search(self):
        rows, labels = iris()
        pipeline = make_pipeline(StandardScaler(), SVC(kernel=NeuralTangent()))
        search = GridSearchCV(pipeline, {"svc__kernel__depth": [1, 3]}, cv=3)

        assert search.fit(rows, labels).best_score_ > 0.94

    def test_ridge(self):
        rows, _ = iris()
        y = np.sin(rows[:, 0]) + rows[:, 1]
        exact = KernelRidge(kernel=NeuralTangent(2), alpha=0.1).fit(rows, y)
        ours = NystroemRidge(0.1, kernel=NeuralTangent(2)).fit(rows, y)

        np.testing.assert_allclose(ours.predict(rows), exact.predict(rows), atol=1e-6)
        assert exact.score(rows, y) > 0.99

    def test_nystroem(self):
        rows, _ = iris()
        kernel = NeuralTangent(2, sigma_b=0.1)
        Z = Nystroem(kernel=kernel, n_components=150, random_state=0)

        features = Z.fit_transform(rows)

        K = kernel(rows)
        assert np.abs(features @ features.T - K).max() < 1e-4 * K.max()

    def test_gaussian_process(self):
        rows = iris()[0][::3]
        y = np.sin(rows[:, 0]) + rows[:, 1] + 0.3 * RNG.standard_normal(50)
        kernel = ConstantKernel(1.0, "fixed") * NeuralTangent(
            2, sigma_b=0.3, sigma_b_bounds=(1e-4, 1e2)
        ) + WhiteKernel(0.01)
        before = GaussianProcessRegressor(kernel, optimizer=None).fit(rows, y)
        after = GaussianProcessRegressor(kernel).fit(rows, y)

        gain = after.log_marginal_likelihood_value_
        assert gain > before.log_marginal_likelihood_value_ + 1.0
        mean, std = after.predict(rows[:5] + 0.1, return_std=True)
        assert np.isfinite(mean).all()
        assert (std > 0.0).all()
        two = iris()[1][::3] < 1
        classifier = GaussianProcessClassifier(NeuralTangent()).fit(rows, two)
        assert classifier.score(rows, two) == 1.0
