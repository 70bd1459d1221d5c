"""The density: known answers, the slow twin, identities, peers and draws."""

import itertools
import math

import numpy as np
import pytest
from reference import smoothing
from reference.smoothing import COMPACT, EXPONENTIAL, NAMES
from scipy import stats
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit import ProductKernelDensity
from kernelkit.datasets import load_flights

SMOOTH = (*EXPONENTIAL, "gaussian")
POSITIVE = [name for name in NAMES if name != "silverman"]
SARGANS = [(0.0, 1.0), (1.0, 0.0, 0.5, 0.0, 0.01, 0.002)]
LARGE = [*EXPONENTIAL, *SARGANS, "epanechnikov", "tricube"]

each_kernel = pytest.mark.parametrize("kernel", NAMES)
each_positive_kernel = pytest.mark.parametrize("kernel", POSITIVE)
each_dimension = pytest.mark.parametrize("d", [1, 2, 3, 4])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def positive(n):
    return np.random.default_rng(1).uniform(0.1, 1.0, n)


def algorithms(kernel, d):
    """Name all that can sum a kernel over d features."""
    if kernel in COMPACT:
        return ["tree", "window", "brute"] if d <= 2 else ["window", "brute"]
    return ["brute"] if kernel == "gaussian" else ["tree", "brute"]


def tied_rows(n, d, seed=0):
    """Draw rows of two distant clusters with many ties, and positive weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).round(1)
    X[: n // 4] += 1e5
    X[0] = X[-1]
    return X, rng.uniform(0.1, 1.0, n)


def assert_is_twin(
    got, X, queries, kernel, bandwidth, weights=None, leave_out=None, least=-np.inf
):
    """Compare log densities with the twin, but for those below `least`."""
    low, high = smoothing.log_density_bounds(
        X,
        queries,
        kernel,
        np.broadcast_to(bandwidth, X.shape[1]),
        weights,
        leave_out=leave_out,
        rtol=1e-9 if kernel in COMPACT else 1e-12,
    )
    low = np.where(low < least, -np.inf, low)
    is_right = (low <= got) & (got <= high)
    assert is_right.all(), (got[~is_right], low[~is_right], high[~is_right])


class TestKnownAnswers:
    """Answers worked out by hand."""

    @pytest.mark.parametrize(
        ("kernel", "density"),
        [
            ("laplacian", 0.3419698602928606),
            ("matern32", 0.21696986029286058),
            ("matern52", 0.17422362775625302),
        ],
    )
    def test_two_rows(self, kernel, density):
        """Seen red with each row left out of its own density."""
        model = ProductKernelDensity(kernel, bandwidth=1.0).fit([[0.0], [1.0]])

        for got in (model.score_samples(), model.score_samples([[0.0], [1.0]])):
            np.testing.assert_allclose(np.exp(got), density, rtol=1e-15)
        np.testing.assert_allclose(model.evaluate_grid([[0.0]]), density, rtol=1e-15)

    def test_leave_one_out(self):
        """Seen red with W for W - w."""
        model = ProductKernelDensity(bandwidth=1.0).fit([[0.0], [1.0]])

        got = np.exp(model.loo_log_density())

        np.testing.assert_allclose(got, math.exp(-1) / 2, rtol=1e-15)

    def test_two_features(self):
        model = ProductKernelDensity(bandwidth=1.0).fit([[0.0, 0.0], [1.0, 2.0]])

        got = np.exp(model.score_samples([[0.0, 0.0]]))

        np.testing.assert_allclose(got, 0.13122338354598298, rtol=1e-15)

    def test_distribution_function(self):
        """Seen red with the step counted from above."""
        model = ProductKernelDensity(bandwidth=1.0).fit([[0.0], [1.0]])

        got = model.cdf([[0.0], [0.5], [1.0]])

        edge = (0.5 + math.exp(-1) / 2) / 2
        np.testing.assert_allclose(got, [edge, 0.5, 1.0 - edge], rtol=1e-15)
        np.testing.assert_allclose(model.cdf(), [edge, 1.0 - edge], rtol=1e-15)

    def test_tiny_and_huge_bandwidth(self):
        X = [[0.0], [1.0], [5.0]]

        tiny = ProductKernelDensity(bandwidth=1e-300).fit(X).score_samples()
        huge = ProductKernelDensity(bandwidth=1e300).fit(X).score_samples()

        log = math.log(10.0)
        np.testing.assert_allclose(tiny, 300 * log - math.log(6.0), rtol=1e-15)
        np.testing.assert_allclose(huge, -300 * log - math.log(2.0), rtol=1e-15)

    def test_score_is_the_sum_of_logs(self):
        model = ProductKernelDensity().fit([[0.0], [1.0], [3.0]])

        assert model.score([[0.5], [9.0]]) == model.score_samples([[0.5], [9.0]]).sum()


class TestTwin:
    """The sums in extended precision, at every scale of the bandwidth."""

    @each_kernel
    @each_dimension
    @pytest.mark.parametrize("bandwidth", [1e-8, 1e-3, 0.3, 4.0, 1e6, 1e12])
    def test_small_problem(self, kernel, d, bandwidth):
        """Seen red with one weight too large by 1e-10."""
        X, weights = tied_rows(40, d)
        queries = np.vstack([X[:5] + 0.05, 3.0 * normal(10, d)])
        for algorithm in algorithms(kernel, d):
            model = ProductKernelDensity(
                kernel, bandwidth=bandwidth, algorithm=algorithm
            )
            for w in (None, weights):
                model.fit(X, sample_weight=w)

                own, left_out = model.score_samples(), model.loo_log_density()
                asked = model.score_samples(queries)

                rows = np.arange(len(X))
                assert_is_twin(own, X, X, kernel, bandwidth, w)
                assert_is_twin(left_out, X, X, kernel, bandwidth, w, rows)
                assert_is_twin(asked, X, queries, kernel, bandwidth, w)

    @pytest.mark.parametrize("kernel", LARGE, ids=str)
    @each_dimension
    @pytest.mark.parametrize("bandwidth", [1e-4, 0.5, 1e5])
    def test_problem_larger_than_a_leaf(self, kernel, d, bandwidth):
        """Seen red with the last row of a later tile left out."""
        X, weights = tied_rows(1500, d)
        queries = np.vstack([X[:300] + 0.05, 3.0 * normal(300, d)])
        model = ProductKernelDensity(
            kernel, bandwidth=bandwidth, algorithm=algorithms(kernel, d)[0]
        ).fit(X, sample_weight=weights)

        own, left_out = model.score_samples(), model.loo_log_density()
        asked = model.score_samples(queries)

        some = np.random.default_rng(d).choice(1500, size=12)
        assert_is_twin(own[some], X, X[some], kernel, bandwidth, weights)
        assert_is_twin(left_out[some], X, X[some], kernel, bandwidth, weights, some)
        assert_is_twin(asked[::50], X, queries[::50], kernel, bandwidth, weights)

    @each_kernel
    @pytest.mark.parametrize("d", [1, 3])
    def test_large_offset(self, kernel, d):
        """Seen red with x / h subtracted from q / h."""
        X = 1e8 + normal(60, d)
        queries = 1e8 + normal(20, d, seed=1)

        for algorithm in algorithms(kernel, d):
            model = ProductKernelDensity(kernel, bandwidth=0.7, algorithm=algorithm)

            got = model.fit(X).score_samples(queries)

            assert_is_twin(got, X, queries, kernel, 0.7)

    @each_kernel
    @pytest.mark.parametrize("d", [1, 2, 4])
    def test_bandwidths_of_different_size(self, kernel, d):
        bandwidth = np.array([1e-3, 1.0, 1e4, 3.0])[:d]
        X = normal(50, d) * bandwidth
        queries = normal(20, d, seed=1) * bandwidth

        got = ProductKernelDensity(kernel, bandwidth=bandwidth).fit(X)

        assert_is_twin(got.score_samples(queries), X, queries, kernel, bandwidth)

    @pytest.mark.parametrize("kernel", SMOOTH)
    @pytest.mark.parametrize("d", [1, 2, 3])
    @pytest.mark.parametrize("distance", [600.0, 2e3, 1e6, 1e200])
    def test_log_density_far_away(self, kernel, d, distance):
        """Seen red with the logarithm of a sum that underflows."""
        X, weights = normal(30, d), positive(30)
        queries = np.full((2, d), distance) * [[1.0], [-1.0]]
        queries[1, 0] *= 0.5

        for algorithm in algorithms(kernel, d):
            model = ProductKernelDensity(kernel, bandwidth=1.0, algorithm=algorithm)
            got = model.fit(X, sample_weight=weights).score_samples(queries)

            assert_is_twin(got, X, queries, kernel, 1.0, weights)

    @pytest.mark.parametrize("kernel", SMOOTH)
    @pytest.mark.parametrize("d", [1, 2, 3])
    def test_log_density_between_rows_far_apart(self, kernel, d):
        """The nearest along the first feature need not be the nearest.

        Seen red with a visit to rows outwards that ends too early.
        """
        X, weights = normal(400, d), positive(400)
        queries = normal(50, d, seed=1)
        model = ProductKernelDensity(kernel, bandwidth=3e-5)

        got = model.fit(X, sample_weight=weights).score_samples(queries)

        assert_is_twin(got, X, queries, kernel, 3e-5, weights)

    @pytest.mark.parametrize("kernel", COMPACT)
    def test_log_density_out_of_reach(self, kernel):
        model = ProductKernelDensity(kernel, bandwidth=1.0).fit([[0.0], [5.0]])

        assert model.score_samples([[1.5], [-2.0], [1e300]]).tolist() == [-math.inf] * 3
        assert model.loo_log_density().tolist() == [-math.inf] * 2

    @each_kernel
    @pytest.mark.parametrize("d", [1, 2, 3])
    def test_distribution_function(self, kernel, d):
        """Seen red with one term of the last feature left out."""
        X, weights = tied_rows(60, d)
        queries = normal(20, d, seed=1) * 4.0

        for algorithm in algorithms(kernel, d):
            model = ProductKernelDensity(kernel, bandwidth=0.8, algorithm=algorithm)
            model.fit(X, sample_weight=weights)
            for rows, got in ((queries, model.cdf(queries)), (X, model.cdf())):
                low, high = smoothing.cdf_bounds(X, rows, kernel, [0.8] * d, weights)

                assert ((low <= got) & (got <= high)).all()

    @pytest.mark.parametrize("kernel", ["matern52", "triangular", "gaussian"])
    def test_distribution_function_of_many_features(self, kernel):
        """Seen red with the last of two terms alone."""
        X, weights = tied_rows(60, 30)
        queries = 2.0 + normal(20, 30)
        model = ProductKernelDensity(kernel, bandwidth=0.8)
        model.fit(X, sample_weight=weights)

        for rows, got in ((queries, model.cdf(queries)), (X, model.cdf())):
            low, high = smoothing.cdf_bounds(X, rows, kernel, [0.8] * 30, weights)

            assert ((low <= got) & (got <= high)).all()

    @each_kernel
    @pytest.mark.parametrize("d", [1, 2, 3])
    @pytest.mark.parametrize("bandwidth", [1e-3, 0.6, 1e3])
    def test_grid(self, kernel, d, bandwidth):
        """On axes of uneven steps that pass through the rows, and far from them.

        Seen red with the rows beyond the last node left out.
        """
        X, weights = tied_rows(50, d)
        axes = [
            np.unique(np.append(X[:4, k], np.geomspace(0.1, 9.0, 5 - k) - 3.0))
            for k in range(d)
        ]
        model = ProductKernelDensity(kernel, bandwidth=bandwidth)
        model.fit(X, sample_weight=weights)
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)

        got = model.evaluate_grid(axes)

        assert got.shape == tuple(map(len, axes))
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(got.ravel(), 0.0))
        assert_is_twin(logs, X, nodes, kernel, bandwidth, weights, least=-650.0)


class TestIdentities:
    """What the mathematics promises."""

    @each_kernel
    @pytest.mark.parametrize("bandwidth", [0.1, 2.0])
    def test_integral_is_1(self, kernel, bandwidth):
        """Seen red with a division by the number of rows."""
        X, weights = normal(30, 1), positive(30)
        model = ProductKernelDensity(kernel, bandwidth=bandwidth)
        model.fit(X, sample_weight=weights)
        reach = np.abs(X).max() + bandwidth * (1.0 if kernel in COMPACT else 40.0)

        axis = np.linspace(-reach, reach, 20_001)
        density = model.evaluate_grid([axis])

        rtol = 3e-3 if kernel == "uniform" else 1e-5
        assert np.trapezoid(density, axis) == pytest.approx(1.0, rel=rtol)

    @each_kernel
    def test_marginal_is_the_density_of_the_feature(self, kernel):
        """Seen red with the first bandwidth for both features."""
        X, h = normal(30, 2), np.array([0.6, 1.1])
        model = ProductKernelDensity(kernel, bandwidth=h).fit(X)
        alone = ProductKernelDensity(kernel, bandwidth=h[0]).fit(X[:, :1])
        reach = np.abs(X).max() + h[1] * (1.0 if kernel in COMPACT else 40.0)
        axes = np.linspace(-2.0, 2.0, 9), np.linspace(-reach, reach, 8001)

        got = np.trapezoid(model.evaluate_grid(axes), axes[1], axis=1)

        rtol = 3e-3 if kernel == "uniform" else 1e-4
        np.testing.assert_allclose(got, alone.evaluate_grid(axes[:1]), rtol=rtol)

    @each_kernel
    @pytest.mark.parametrize("d", [1, 2])
    def test_distribution_function_is_the_integral(self, kernel, d):
        X = normal(20, d)
        model = ProductKernelDensity(kernel, bandwidth=1.5).fit(X)
        axis = np.linspace(-2.0, 2.0, 401)
        middle = (axis[1:] + axis[:-1]) / 2.0
        box = np.array(list(itertools.product([-2.0, 2.0], repeat=d)))
        signs = np.prod(np.sign(box), axis=1)

        mass = model.evaluate_grid([middle] * d).sum() * (axis[1] - axis[0]) ** d

        got = (signs * model.cdf(box)).sum()
        assert got == pytest.approx(mass, rel=1e-2 if kernel == "uniform" else 1e-4)

    @each_positive_kernel
    def test_distribution_function_grows_from_0_to_1(self, kernel):
        X = normal(30, 2)
        model = ProductKernelDensity(kernel).fit(X)
        steps = np.linspace(-60.0, 60.0, 500)[:, None]

        got = model.cdf(steps * [1.0, 0.5] + [0.0, 0.3])

        assert (np.diff(got) >= -1e-15).all()
        assert got[0] < 1e-12
        assert got[-1] > 1.0 - 1e-12
        assert model.cdf([[1e300, 1e300], [-1e300, 1e300]]).tolist() == [1.0, 0.0]

    @each_kernel
    def test_grid_at_its_own_nodes_is_the_density_there(self, kernel):
        X = normal(40, 1).round(1)
        model = ProductKernelDensity(kernel, bandwidth=0.37).fit(X)
        axis = np.unique(X)

        got = model.evaluate_grid([axis])

        expected = np.exp(model.score_samples(axis[:, None]))
        np.testing.assert_allclose(
            np.maximum(got, 0.0), expected, rtol=1e-9, atol=1e-15
        )

    @each_kernel
    def test_rows_of_no_weight_are_absent(self, kernel):
        X, weights = tied_rows(50, 2)
        weights[::3] = 0.0
        kept = weights > 0.0

        model = ProductKernelDensity(kernel, bandwidth=0.9)
        got = model.fit(X, sample_weight=weights)
        left_out, axes = got.loo_log_density(), [[-1.0, 0.3], [0.2]]
        of_grid = got.evaluate_grid(axes)

        model = ProductKernelDensity(kernel, bandwidth=0.9)
        expected = model.fit(X[kept], sample_weight=weights[kept])
        np.testing.assert_allclose(of_grid, expected.evaluate_grid(axes), rtol=1e-12)
        assert_is_twin(left_out, X, X, kernel, 0.9, weights, np.arange(50))


class TestPeers:
    """Other libraries say the same."""

    X = normal(200, 1)
    WEIGHTS = positive(200)
    QUERIES = np.linspace(-4.0, 4.0, 101)[:, None]

    @pytest.mark.parametrize(
        ("kernel", "name"),
        [
            ("gaussian", "gaussian"),
            ("uniform", "tophat"),
            ("epanechnikov", "epanechnikov"),
            ("triangular", "linear"),
            ("cosine", "cosine"),
            ("laplacian", "exponential"),
        ],
    )
    def test_sklearn(self, kernel, name):
        peer = KernelDensity(kernel=name, bandwidth=0.4)
        peer.fit(self.X, sample_weight=self.WEIGHTS)

        got = ProductKernelDensity(kernel, bandwidth=0.4)
        got = got.fit(self.X, sample_weight=self.WEIGHTS).score_samples(self.QUERIES)

        expected = np.exp(peer.score_samples(self.QUERIES))
        np.testing.assert_allclose(np.exp(got), expected, rtol=1e-10, atol=1e-12)

    def test_sklearn_in_three_dimensions(self):
        X, queries = normal(2, 50, 3)
        peer = KernelDensity(kernel="gaussian", bandwidth=0.4).fit(X)

        got = ProductKernelDensity("gaussian", bandwidth=0.4).fit(X)

        expected = peer.score_samples(queries)
        np.testing.assert_allclose(got.score_samples(queries), expected, rtol=1e-10)

    def test_scipy(self):
        peer = stats.gaussian_kde(self.X[:, 0], weights=self.WEIGHTS)
        width = math.sqrt(peer.covariance[0, 0])

        model = ProductKernelDensity("gaussian", bandwidth=width)
        model.fit(self.X, sample_weight=self.WEIGHTS)

        got = np.exp(model.score_samples(self.QUERIES))
        np.testing.assert_allclose(got, peer(self.QUERIES[:, 0]), rtol=1e-10)
        got = model.cdf([[0.3]])[0]
        assert got == pytest.approx(peer.integrate_box_1d(-np.inf, 0.3), rel=1e-12)

    @pytest.mark.parametrize(
        ("kernel", "name"),
        [
            ("gaussian", "gaussian"),
            ("laplacian", "exponential"),
            ("uniform", "box"),
            ("triangular", "tri"),
            ("epanechnikov", "epa"),
            ("biweight", "biweight"),
            ("triweight", "triweight"),
            ("tricube", "tricube"),
            ("cosine", "cosine"),
        ],
    )
    def test_kdepy(self, kernel, name):
        """KDEpy's bandwidth is the standard deviation of the kernel."""
        kdepy = pytest.importorskip("KDEpy")
        width = 0.5 * math.sqrt(smoothing.VARIANCE[kernel])
        peer = kdepy.NaiveKDE(kernel=name, bw=width).fit(self.X, self.WEIGHTS)

        model = ProductKernelDensity(kernel, bandwidth=0.5)
        model.fit(self.X, sample_weight=self.WEIGHTS)

        got = np.exp(model.score_samples(self.QUERIES))
        expected = peer.evaluate(self.QUERIES)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


class TestSample:
    """Draws; the seeds are fixed."""

    @pytest.mark.statistical
    @pytest.mark.parametrize("kernel", [*POSITIVE, *SARGANS], ids=str)
    def test_draws_follow_the_distribution_function(self, kernel):
        """False-alarm rate 1e-6 for each of 14 kernels.

        Seen red with rows drawn without weights.
        """
        X, weights = normal(20, 1), np.arange(20.0)
        model = ProductKernelDensity(kernel, bandwidth=0.3)
        model.fit(X, sample_weight=weights)

        draws = model.sample(20_000, random_state=0)

        assert draws.shape == (20_000, 1)
        test = stats.kstest(draws[:, 0], lambda u: model.cdf(u[:, None]))
        assert test.pvalue > 1e-6

    @pytest.mark.statistical
    def test_draws_follow_the_positive_part(self):
        """False-alarm rate 1e-6. Seen red with the negative part kept."""
        model = ProductKernelDensity("silverman", bandwidth=1.0).fit([[0.0], [1.0]])
        grid = np.linspace(-60.0, 60.0, 120_001)
        sizes = np.maximum(model.evaluate_grid([grid]), 0.0)
        sums = np.cumsum(0.5 * (sizes[1:] + sizes[:-1]))

        draws = model.sample(20_000, random_state=0)[:, 0]

        test = stats.kstest(draws, lambda u: np.interp(u, grid[1:], sums / sums[-1]))
        assert test.pvalue > 1e-6

    @pytest.mark.statistical
    @pytest.mark.parametrize("kernel", ["laplacian", "biweight", "gaussian"])
    def test_moments_of_draws(self, kernel):
        """Each moment is within 6 standard errors: false-alarm rate below 1e-7.

        Seen red with one draw of the kernel for all features.
        """
        X = normal(50, 2) @ [[1.0, 0.5], [0.0, 1.0]]
        weights, h = positive(50), np.array([0.5, 2.0])
        model = ProductKernelDensity(kernel, bandwidth=h)
        model.fit(X, sample_weight=weights)
        n = 40_000

        draws = model.sample(n, random_state=1)

        center = np.average(X, axis=0, weights=weights)
        covariance = np.cov(X.T, aweights=weights, ddof=0)
        covariance += np.diag(h**2 * smoothing.VARIANCE[kernel])
        deviation = np.sqrt(np.diag(covariance))
        assert (np.abs(draws.mean(0) - center) < 6 * deviation / n**0.5).all()
        error = 6 * np.outer(deviation, deviation) * (6.0 / n) ** 0.5
        assert (np.abs(np.cov(draws.T) - covariance) < error).all()

    @each_kernel
    def test_draws_repeat(self, kernel):
        """Seen red with a generator that ignores the seed."""
        model = ProductKernelDensity(kernel).fit(normal(30, 2))

        first = model.sample(7, random_state=3)

        assert first.shape == (7, 2)
        assert first.dtype == np.float64
        np.testing.assert_array_equal(model.sample(7, random_state=3), first)
        assert (model.sample(7, random_state=4) != first).all()
        generator = np.random.default_rng(3)
        np.testing.assert_array_equal(model.sample(7, random_state=generator), first)
        state = np.random.RandomState(5)
        assert model.sample(random_state=state).shape == (1, 2)

    @pytest.mark.parametrize("n_samples", [0, -1, 1.5, "2", True, None])
    def test_number_of_draws_is_checked(self, n_samples):
        model = ProductKernelDensity().fit([[0.0], [1.0]])

        with pytest.raises(ValueError, match="'n_samples' argument must be a whole"):
            model.sample(n_samples)


class TestAlgorithms:
    """One result, however it is computed."""

    @pytest.mark.parametrize("kernel", [*NAMES, *SARGANS], ids=str)
    @pytest.mark.parametrize("d", [1, 2, 3])
    def test_algorithms_agree(self, kernel, d):
        """Seen red with the last row of a later tile left out."""
        X, weights = tied_rows(700, d)
        queries = X[:200] + 0.3 * np.sign(normal(200, d).round())
        results = []

        for algorithm in ("auto", *algorithms(kernel, d)):
            model = ProductKernelDensity(kernel, bandwidth=0.71, algorithm=algorithm)
            model.fit(X, sample_weight=weights)
            logs = model.score_samples(), model.score_samples(queries)
            logs += (model.loo_log_density(),)
            results.append([np.exp(log) for log in logs])

        expected = results[-1]
        for got in results:
            for values, values_expected in zip(got, expected, strict=True):
                np.testing.assert_allclose(
                    values, values_expected, rtol=1e-10, atol=1e-14
                )

    @each_kernel
    @pytest.mark.parametrize("algorithm", ["tree", "window"])
    @pytest.mark.parametrize("d", [1, 3])
    def test_unfit_algorithm_is_refused(self, kernel, algorithm, d):
        """Seen red with another algorithm taken in silence."""
        estimator = ProductKernelDensity(kernel, algorithm=algorithm)
        X = normal(5, d)

        if algorithm in algorithms(kernel, d):
            assert estimator.fit(X).algorithm_ == algorithm
            return
        with pytest.raises(ValueError, match="algorithm="):
            estimator.fit(X)

    @pytest.mark.parametrize(
        "kernel", ["laplacian", "silverman", "epanechnikov", "cosine", "gaussian"]
    )
    @pytest.mark.parametrize(
        "weights", [None, positive(3000)], ids=["alike", "weights"]
    )
    def test_threads_change_no_bit(self, kernel, weights):
        X = normal(3000, 2).round(2)
        queries, axes = normal(500, 2, seed=1), [np.linspace(-2.0, 2.0, 30)] * 2
        results = []

        for n_jobs in (1, 2, 4):
            model = ProductKernelDensity(kernel, bandwidth=0.2, n_jobs=n_jobs)
            model.fit(X, sample_weight=weights)
            results.append(
                [
                    model.score_samples(),
                    model.score_samples(queries),
                    model.loo_log_density(),
                    model.cdf(queries),
                    model.evaluate_grid(axes),
                ]
            )

        for got in results[1:]:
            for values, expected in zip(got, results[0], strict=True):
                assert values.tobytes() == expected.tobytes()

    def test_repeated_calls_agree(self):
        """Seen red with the stored weights scaled in place."""
        X, weights = tied_rows(100, 2)
        model = ProductKernelDensity().fit(X, sample_weight=weights)

        first = model.score_samples(), model.cdf(), model.loo_log_density()

        again = model.score_samples(), model.cdf(), model.loo_log_density()
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(model.X_fit_, X)
        np.testing.assert_array_equal(model.sample_weight_, weights)


class TestUse:
    """As a user would."""

    def test_flights_in_a_pipeline(self):
        X = load_flights().data[:400]
        pipeline = make_pipeline(
            StandardScaler(), ProductKernelDensity(bandwidth="cv_ml")
        )

        logs = pipeline.fit(X).score_samples(X)

        assert np.isfinite(logs).all()
        likelihoods = {
            rule: make_pipeline(StandardScaler(), ProductKernelDensity(bandwidth=rule))
            .fit(X)[-1]
            .loo_log_density()
            .mean()
            for rule in ("cv_ml", "normal_reference", 3.0)
        }
        assert np.isfinite(list(likelihoods.values())).all()
        assert max(likelihoods, key=likelihoods.get) == "cv_ml"

    def test_grid_axes_are_checked(self):
        """Seen red with a number iterated over."""
        model = ProductKernelDensity().fit([[0.0, 1.0], [1.0, 3.0]])

        with pytest.raises(ValueError, match="one axis per feature: expected 2 axes"):
            model.evaluate_grid([[0.0, 1.0]])
        with pytest.raises(ValueError, match="a list of 2, got 5"):
            model.evaluate_grid(5)
        for axis in ([1.0, 0.0], [0.0, 0.0], [0.0, np.inf], [[0.0]]):
            with pytest.raises(ValueError, match=r"axes\[1\]"):
                model.evaluate_grid([[0.0, 1.0], axis])

    def test_grid_axis_whose_nodes_round_to_one_is_refused(self):
        """Seen red with the order checked before the conversion."""
        model = ProductKernelDensity().fit([[0.0], [1.0]])

        with pytest.raises(ValueError, match=r"axes\[0\].*increasing float64 numbers"):
            model.evaluate_grid([[2**60, 2**60 + 1]])

    def test_kernel_stays_that_of_the_fit(self):
        """Seen red with the parameter read at each call."""
        coefficients, queries = [1.0, 0.0], [[0.5], [9.0]]
        model = ProductKernelDensity(coefficients, bandwidth=1.0).fit([[0.0], [1.0]])
        expected = model.score_samples(queries), model.cdf(queries)

        coefficients[1] = 5.0
        mutated = model.score_samples(queries), model.cdf(queries)
        model.set_params(kernel="no kernel")
        changed = model.score_samples(queries), model.cdf(queries)

        np.testing.assert_array_equal(mutated, expected)
        np.testing.assert_array_equal(changed, expected)

    def test_grid_that_exceeds_memory_is_refused(self):
        """Seen red without the estimate."""
        model = ProductKernelDensity().fit([[0.0, 1.0, 2.0], [1.0, 3.0, 5.0]])

        with pytest.raises(MemoryError, match="fewer nodes per axis"):
            model.evaluate_grid([np.arange(20_000.0)] * 3)

    @pytest.mark.parametrize("bandwidth", ["cv_ml", "cv_ls"])
    def test_negative_kernel_with_every_rule(self, bandwidth):
        X = normal(60, 1)

        model = ProductKernelDensity("silverman", bandwidth=bandwidth).fit(X)

        assert np.isfinite(model.loo_log_density()).sum() > 50
