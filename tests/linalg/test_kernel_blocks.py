"""Blocks of kernel matrices against scikit-learn, definitions and hostile numbers."""

import pickle

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.gaussian_process.kernels import RBF, DotProduct, Matern, WhiteKernel
from sklearn.metrics.pairwise import pairwise_kernels

from kernelkit.linalg import _jit_blocks as loops
from kernelkit.linalg import as_kernel, product, row_tiles

NAMES = [
    "additive_chi2",
    "chi2",
    "cosine",
    "laplacian",
    "linear",
    "poly",
    "polynomial",
    "rbf",
    "sigmoid",
]
SPARSE_NAMES = ["cosine", "linear", "poly", "rbf", "sigmoid"]
RNG = np.random.default_rng(0)

each_name = pytest.mark.parametrize("name", NAMES)
each_width = pytest.mark.parametrize("n_features", [1, 3, 8, 9, 30])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def rows(n=70, n_features=3, dtype=np.float64):
    return RNG.uniform(0.1, 1.0, size=(n, n_features)).astype(dtype)


def evaluate(kernel, X, Y, **parameters):
    kernel = as_kernel(kernel, n_features=X.shape[1], **parameters)
    return kernel.block(X, kernel.centers(Y, np.arange(Y.shape[0])))


def gaussian(X, Y, gamma):
    """Evaluate the definition in extended precision."""
    X, Y = X.astype(np.longdouble), Y.astype(np.longdouble)
    return np.exp(-gamma * np.square(X[:, None] - Y[None]).sum(axis=2))


class TestNames:
    @each_width
    @each_name
    def test_block_is_that_of_scikit_learn(self, name, n_features):
        """Seen red with gamma left out of the norms, and with degree 4."""
        X, Y = rows(70, n_features), rows(50, n_features)

        got = evaluate(name, X, Y)

        expected = pairwise_kernels(X, Y, metric=name)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)

    @pytest.mark.parametrize("degree", [1, 2, 2.5, 5])
    @each_name
    def test_parameters_are_those_of_scikit_learn(self, name, degree):
        """Numpy scalars, or kernel_params. Seen red with coef0 left out."""
        X, Y = rows(20, 12), rows(10, 12)
        parameters = {
            "gamma": np.float32(0.5),
            "degree": np.float64(degree),
            "coef0": np.int64(2),
        }

        got = evaluate(name, X, Y, **parameters)
        same = evaluate(name, X, Y, kernel_params=parameters)

        expected = pairwise_kernels(
            X, Y, metric=name, filter_params=True, gamma=0.5, degree=degree, coef0=2
        )
        np.testing.assert_allclose(got, expected, rtol=1e-11)
        np.testing.assert_array_equal(same, got)

    @each_width
    @each_name
    def test_float32_stays(self, name, n_features):
        """Seen red with float64 returned."""
        X, Y = rows(70, n_features), rows(50, n_features)

        got = evaluate(name, X.astype(np.float32), Y.astype(np.float32))

        assert got.dtype == np.float32
        np.testing.assert_allclose(got, evaluate(name, X, Y), rtol=2e-5, atol=1e-6)

    @each_name
    def test_diagonal(self, name):
        """A row of zeros, too. Seen red with 1 for the cosine of any row."""
        X = np.vstack([rows(20, 5), np.zeros((1, 5))])

        got = as_kernel(name, n_features=5).diag(X, np.arange(21))

        expected = np.diag(pairwise_kernels(X, metric=name))
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, expected, rtol=1e-12)

    @each_dtype
    @each_name
    def test_buffer_is_filled(self, name, dtype):
        """It may have more rows. Seen red with its last rows filled."""
        X, Y = rows(30, 9, dtype), rows(20, 9, dtype)
        kernel = as_kernel(name, n_features=9)
        centers = kernel.centers(Y, np.arange(20))
        buffer = np.full((50, 20), 7.0, dtype=dtype)

        got = kernel.block(X, centers, out=buffer)

        assert np.shares_memory(got, buffer)
        np.testing.assert_array_equal(got, kernel.block(X, centers))
        np.testing.assert_array_equal(buffer[:30], got)
        assert (buffer[30:] == 7.0).all()

    @each_width
    @each_name
    def test_some_centers_are_taken(self, name, n_features):
        """Seen red with the norms of all centres kept."""
        X, Y = rows(30, n_features), rows(20, n_features)
        kernel = as_kernel(name, n_features=n_features)
        centers = kernel.centers(Y, np.arange(100, 120))
        index = np.array([7, 3, 19])
        mask = np.isin(np.arange(20), index)

        by_index, by_mask = centers.take(index), centers.take(mask)

        whole = kernel.block(X, centers)
        assert len(by_index) == 3
        assert by_index.ids.tolist() == [107, 103, 119]
        np.testing.assert_array_equal(by_mask.rows, Y[mask])
        np.testing.assert_allclose(kernel.block(X, by_index), whole[:, index])
        np.testing.assert_allclose(kernel.block(X, by_mask), whole[:, mask])

    @each_name
    def test_no_rows_or_no_centers(self, name):
        X = rows(4, 9)
        kernel = as_kernel(name, n_features=9)
        centers = kernel.centers(X, np.arange(4))

        nothing = centers.take(np.zeros(4, dtype=bool))

        if "chi2" not in name:  # scikit-learn refuses no rows
            assert kernel.block(X[:0], centers).shape == (0, 4)
            assert kernel.block(X, nothing).shape == (4, 0)
        assert len(nothing) == 0

    @each_name
    def test_precisions_mix(self, name):
        """As wide as the wider, and returned in that of the rows."""
        X, Y = rows(30, 9), rows(20, 9)
        narrow = X.astype(np.float32), Y.astype(np.float32)

        fine_rows = evaluate(name, X, narrow[1])
        fine_centers = evaluate(name, narrow[0], Y)

        wide = [rows.astype(np.float64) for rows in narrow]
        assert fine_rows.dtype == np.float64
        assert fine_centers.dtype == np.float32
        np.testing.assert_allclose(fine_rows, evaluate(name, X, wide[1]))
        np.testing.assert_allclose(fine_centers, evaluate(name, wide[0], Y), rtol=2e-7)

    def test_others_are_refused(self):
        for name in ("gauss", "object", "function"):
            with pytest.raises(ValueError, match=f"Got '{name}' instead"):
                as_kernel(name, n_features=2)
        with pytest.raises(ValueError, match=r"kernel='rbf' may be gamma.*Got sigma"):
            as_kernel("rbf", kernel_params={"sigma": 1.0}, n_features=2)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("gamma", -1.0),
            ("gamma", 0.0),
            ("gamma", np.nan),
            ("gamma", "1"),
            ("gamma", np.ones(1)),
            ("degree", -2),
            ("degree", np.inf),
            ("coef0", np.inf),
            ("coef0", np.nan),
        ],
    )
    def test_parameters_of_a_name_are_numbers_in_their_range(self, name, value):
        """Seen red with kernel_params taken as they are."""
        for given in ({"kernel_params": {name: value}}, {name: value}):
            with pytest.raises(ValueError, match=f"'{name}' parameter of kernel="):
                as_kernel("poly", **given, n_features=2)

    def test_parameter_of_none_is_not_given(self):
        """Seen red with None as a number."""
        kernel = as_kernel("rbf", kernel_params={"gamma": None}, n_features=2)

        assert kernel == as_kernel("rbf", n_features=2)

    def test_kernels_are_compared_by_their_parameters(self):
        """Seen red with functions compared by identity."""

        def function(X, Y, **parameters):
            return X @ Y.T

        def same(first, second):
            kernels = (as_kernel(k, **p, n_features=2) for k, p in (first, second))
            return next(kernels).differs_from(next(kernels)) is None

        def given(**parameters):
            return function, {"kernel_params": parameters}

        assert same(("rbf", {"gamma": 0.5}), ("rbf", {}))
        assert not same(("rbf", {"gamma": 0.4}), ("rbf", {}))
        assert not same(("rbf", {}), ("laplacian", {}))
        assert same((RBF(2.0), {}), (RBF(2.0), {}))
        assert same((RBF([1.0, 2.0]), {}), (RBF([1.0, 2.0]), {}))
        assert not same((RBF(2.0), {}), (RBF(1.0), {}))
        assert not same((RBF(2.0), {}), (function, {}))
        assert same(given(a=np.ones(2), b={"c": 1}), given(a=np.ones(2), b={"c": 1}))
        assert not same(given(a=np.ones(2)), given(a=np.ones(3)))
        assert not same(given(a=np.ones(2)), given(b=np.ones(2)))
        assert not same(given(a=np.ones(2)), given(a=1.0))

    def test_pickles(self):
        kernel = as_kernel("rbf", gamma=2.0, n_features=2)

        assert pickle.loads(pickle.dumps(kernel)) == kernel


class TestExponential:
    @each_dtype
    def test_accuracy(self, dtype):
        """Errors are those of rounding. Seen red with one coefficient fewer."""
        least = -707.0 if dtype == np.float64 else -86.0
        exponents = np.concatenate(
            [np.linspace(-40.0, 0.0, 100_001), np.linspace(least, -40.0, 10_001)]
        ).astype(dtype)[None]
        expected = np.exp(exponents.astype(np.longdouble))

        got = exponents.copy()
        of_products(got)

        error = np.abs(got - expected)
        assert error.max() < (1.2e-15 if dtype == np.float64 else 1e-7)
        assert (error / expected).max() < (3e-14 if dtype == np.float64 else 2e-7)
        assert of_products(np.zeros((1, 3), dtype=dtype)).tolist() == [[1.0, 1.0, 1.0]]

    @each_dtype
    def test_underflow(self, dtype):
        """Seen red without the comparison, where bits run over into the sign."""
        tiny = np.finfo(dtype).min
        exponents = np.array([[-1e4, -1e6, tiny, -np.inf, np.nan]], dtype=dtype)

        got = of_products(exponents)

        assert got[0, :4].tolist() == [0.0] * 4

    @each_dtype
    def test_rounded_products_give_no_more_than_one(self, dtype):
        """Seen red without the minimum."""
        assert of_products(np.full((1, 2), 1e-3, dtype=dtype)).tolist() == [[1.0, 1.0]]


def of_products(out):
    norms = np.zeros(max(out.shape), dtype=out.dtype)
    loops.exp_of_products(
        norms[: out.shape[0]],
        norms[: out.shape[1]],
        loops.exp_constants(out.dtype),
        out,
        out.view(f"i{out.itemsize}"),
    )
    return out


class TestHostileNumbers:
    @each_width
    def test_far_from_the_origin_and_close_to_each_other(self, n_features):
        """Seen red with rows in units of the kernel before they are subtracted."""
        X, Y = (1e8 + 1e-4 * RNG.standard_normal((n, n_features)) for n in (30, 20))

        got = evaluate("rbf", X, Y, gamma=1e8 / n_features)

        np.testing.assert_allclose(got, gaussian(X, Y, 1e8 / n_features), rtol=1e-6)

    @each_dtype
    @each_width
    def test_clusters_far_from_each_other(self, n_features, dtype):
        """No point is near all centres. Seen red without differences."""
        sides = np.repeat([-1e4, 1e4], 10)[:, None]
        X, Y = (
            (sides + RNG.standard_normal((20, n_features))).astype(dtype)
            for _ in range(2)
        )

        got = evaluate("rbf", X, Y, gamma=1.0 / n_features)

        expected = gaussian(X, Y, 1.0 / n_features)
        np.testing.assert_allclose(
            got, expected, atol=1e-9 if dtype == np.float64 else 1e-4
        )

    @pytest.mark.parametrize("name", ["rbf", "laplacian"])
    @each_dtype
    @each_width
    def test_squares_that_overflow(self, n_features, dtype, name):
        """Such rows equal themselves only. Seen red without rows compared anew."""
        huge = np.array([1e200, -1e200, 1e155, 1e308])
        if dtype == np.float32:
            huge = np.array([1e30, -1e30, 1e20, 3e38])
        far = np.outer(huge, np.ones(n_features)).astype(dtype)
        near = 10 * rows(3, n_features, dtype)
        X = np.vstack([near, far])

        all_far = evaluate(name, X, X)
        far_rows = evaluate(name, X, near)

        assert all_far[3:, 3:].tolist() == np.eye(4).tolist()
        assert not all_far[:3, 3:].any()
        assert not far_rows[3:].any()
        expected = pairwise_kernels(near, metric=name)
        np.testing.assert_allclose(far_rows[:3], expected, rtol=1e-5)
        np.testing.assert_allclose(all_far[:3, :3], expected, rtol=1e-5)

    @each_dtype
    def test_units_beyond_the_range_of_squares(self, dtype):
        """Gamma makes up for them. Seen red with squares before gamma."""
        unit = dtype(1e-150 if dtype == np.float64 else 1e-22)
        X = rows(20, 3, dtype)

        got = evaluate("rbf", X * unit, X * unit, gamma=0.5 * float(unit) ** -2)

        np.testing.assert_allclose(got, gaussian(X, X, 0.5), rtol=1e-5)

    @pytest.mark.parametrize("name", ["linear", "poly", "additive_chi2"])
    def test_values_that_overflow_are_refused(self, name):
        """Seen red without the check."""
        X = np.array([[1e200, 1e200], [1.0, 2.0]])
        if name == "additive_chi2":
            X = np.array([[1e308, 1e308], [0.0, 0.0]])
        kernel = as_kernel(name, n_features=2)

        with pytest.raises(ValueError, match=r"overflow.*rescale"):
            kernel.block(X, kernel.centers(X, np.arange(2)))

    def test_cosine_of_any_length(self):
        """Seen red with scikit-learn's norms."""
        X = rows(20, 5)

        got = evaluate("cosine", X * 1e200, X * 1e-200)

        np.testing.assert_allclose(got, pairwise_kernels(X, metric="cosine"))

    @pytest.mark.filterwarnings("error")
    def test_nothing_is_warned_about(self):
        X = np.vstack([rows(5, 9), np.full((1, 9), 1e200)])

        for name in ("rbf", "laplacian", "sigmoid", "cosine"):
            evaluate(name, X, X)


class TestSparse:
    @each_dtype
    @pytest.mark.parametrize("name", SPARSE_NAMES)
    def test_as_dense(self, name, dtype):
        """Rows, centres or both, and an empty row."""
        dense = sparse.random(40, 30, density=0.2, rng=0, dtype=dtype).toarray()
        dense[3] = 0.0
        X, Y = dense[:25], dense[20:]
        csr = [sparse.csr_array(X), sparse.csr_array(Y)]

        expected = evaluate(name, X, Y)
        for one, other in [csr, (csr[0], Y), (X, csr[1])]:
            got = evaluate(name, one, other)

            assert isinstance(got, np.ndarray)
            assert got.dtype == dtype
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)

    @pytest.mark.parametrize("name", SPARSE_NAMES)
    def test_diagonal_and_part(self, name):
        X = sparse.random(20, 30, density=0.3, rng=1, format="csr")
        X = sparse.csr_array(X)
        kernel = as_kernel(name, n_features=30)
        centers = kernel.centers(X, np.arange(20)).take(np.array([5, 2]))

        assert kernel.block(X, centers).shape == (20, 2)
        np.testing.assert_allclose(
            kernel.diag(X, np.arange(20)), np.diag(evaluate(name, X, X))
        )

    @pytest.mark.parametrize("factor", [1e7, 1e200])
    def test_lost_digits_are_refused(self, factor):
        """Seen red without the check."""
        X = sparse.csr_array(np.eye(4) * factor)

        with pytest.raises(ValueError, match="rescale"):
            evaluate("rbf", X, X)


class TestPrecomputed:
    @each_dtype
    def test_columns_and_diagonal(self, dtype):
        """Seen red with the first columns."""
        K = rows(9, 9, dtype)
        kernel = as_kernel("precomputed", n_features=9)
        ids = np.array([4, 0, 8])

        centers = kernel.centers(K[ids], ids)

        assert kernel.is_precomputed
        assert centers.rows.shape == (3, 0)
        got = kernel.block(K[2:6], centers)
        assert got.dtype == dtype
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, K[2:6][:, ids])
        part = centers.take(np.array([False, True, True]))
        np.testing.assert_array_equal(kernel.block(K, part), K[:, [0, 8]])
        assert kernel.diag(K[2:6], np.arange(2, 6)).tolist() == np.diag(K)[2:6].tolist()


class TestObjects:
    def test_as_it_says(self):
        X, Y = rows(30), rows(20)
        kernel = 2.0 * Matern(length_scale=0.7) + DotProduct()

        got = evaluate(kernel, X, Y)

        np.testing.assert_array_equal(got, kernel(X, Y))
        assert evaluate(kernel, X.astype(np.float32), Y).dtype == np.float32

    def test_noise_counts_for_nothing(self):
        """Seen red with the diagonal of scikit-learn."""
        X = rows(30)
        kernel = RBF(0.5) + WhiteKernel(3.0)

        pair_kernel = as_kernel(kernel, n_features=3)

        np.testing.assert_array_equal(pair_kernel.diag(X, np.arange(30)), np.ones(30))
        assert kernel.k2.noise_level == 3.0

    def test_stays_as_it_was(self):
        """Seen red without a copy."""
        X = rows(30)
        kernel = RBF(0.5)
        pair_kernel = as_kernel(kernel, n_features=3)
        centers = pair_kernel.centers(X, np.arange(30))
        before = pair_kernel.block(X, centers)

        kernel.length_scale = 7.0

        np.testing.assert_array_equal(pair_kernel.block(X, centers), before)

    def test_parameters_of_others_are_refused(self):
        with pytest.raises(ValueError, match="gamma: for kernels with a name"):
            as_kernel(RBF(), gamma=1.0, n_features=3)
        with pytest.raises(ValueError, match="kernel_params are for callables"):
            as_kernel(RBF(), kernel_params={"a": 1}, n_features=3)
        with pytest.raises(ValueError, match="degree and coef0: for kernels with a"):
            as_kernel(np.dot, degree=3, coef0=1, n_features=3)


def tanimoto(X, Y, power=1):
    """Compare blocks."""
    products = X @ Y.T
    norms = np.square(X).sum(axis=1)[:, None] + np.square(Y).sum(axis=1)
    return (products / (norms - products)) ** power


def overlap(x, y, power=1):
    """Compare two rows."""
    total = 0.0
    for a, b in zip(x, y, strict=True):
        total += min(a, b)
    return total**power


class TestFunctions:
    @pytest.mark.parametrize("n", [1, 2, 3, 17])
    @pytest.mark.parametrize("function", [tanimoto, overlap])
    def test_of_blocks_or_of_rows(self, function, n):
        """Seen red with blocks handed to any function."""
        X, Y = rows(n), rows(3)
        kernel = as_kernel(function, kernel_params={"power": 2}, n_features=3)

        got = kernel.block(X, kernel.centers(Y, np.arange(3)))

        expected = [[tanimoto(x[None], y[None])[0, 0] for y in Y] for x in X]
        if function is overlap:
            expected = [[np.minimum(x, y).sum() for y in Y] for x in X]
        np.testing.assert_allclose(got, np.square(expected))
        diagonal = kernel.diag(X, np.arange(n))
        own = kernel.block(X, kernel.centers(X, np.arange(n)))
        np.testing.assert_allclose(diagonal, np.diag(own))

    def test_sum_over_axes_is_of_rows(self):
        """It broadcasts over blocks of equal size. Seen red with those."""

        def distance(x, y):
            return np.exp(-np.abs(x - y).sum())

        X = rows(5)

        np.testing.assert_allclose(
            evaluate(distance, X, X), pairwise_kernels(X, metric="laplacian", gamma=1)
        )

    def test_float32(self):
        X = rows(5, 3, np.float32)

        assert evaluate(tanimoto, X, X).dtype == np.float32
        assert evaluate(overlap, X, X).dtype == np.float32

    @pytest.mark.parametrize(
        "function",
        [
            lambda X, Y: np.ones(len(X)),
            lambda X, Y: np.ones((len(Y), len(X))),
            lambda X, Y: X @ X.T,
            lambda X, Y: np.ones((len(X), len(Y), 1)),
        ],
    )
    def test_wrong_shape(self, function):
        """Seen red with one number for each block taken as it comes."""
        X = rows(7)

        with pytest.raises(ValueError, match=r"returned shape .*: expected .*\(2, 3\)"):
            evaluate(function, X, X)

    def test_wrong_shape_of_some_blocks(self):
        X, Y = rows(7), rows(4)

        with pytest.raises(ValueError, match=r"\(2, 3\) for .*\(7, 3\).*\(4, 3\)"):
            evaluate(lambda X, Y: np.ones((2, 3)), X, Y)

    def test_wrong_values(self):
        X = rows(7)

        with pytest.raises(ValueError, match="NaN"):
            evaluate(lambda X, Y: np.log(X @ -Y.T), X, X)
        with pytest.raises(ValueError, match="complex"):
            evaluate(lambda X, Y: X @ Y.T * 1j, X, X)

    def test_own_error_is_raised(self):
        """That of the call with blocks. Seen red with that of the call with rows."""

        def broken(X, Y):
            raise KeyError(X.shape)

        with pytest.raises(KeyError, match=r"\(2, 3\)"):
            evaluate(broken, rows(7), rows(7))


class TestTiles:
    @pytest.mark.parametrize(("n_rows", "n_columns"), [(0, 3), (1, 1), (5000, 700)])
    def test_cover_the_rows(self, n_rows, n_columns):
        tiles = row_tiles(n_rows, n_columns)

        covered = [i for tile in tiles for i in range(n_rows)[tile]]
        assert covered == list(range(n_rows))

    def test_obey_working_memory(self):
        """Seen red with tiles of 512 rows."""
        with sklearn.config_context(working_memory=1):
            tiles = row_tiles(10_000, 1000, itemsize=8)

        assert len(tiles) > 1
        assert max(t.stop - t.start for t in tiles) * 8000 * 4 <= 2**20
        with sklearn.config_context(working_memory=1e-6):
            assert len(row_tiles(10, 1000)) == 10


class TestProduct:
    @each_dtype
    @each_name
    def test_is_that_of_the_matrix(self, name, dtype):
        """Seen red with one buffer for all threads."""
        X, Y = rows(1500, 9, dtype), rows(40, 9, dtype)
        kernel = as_kernel(name, n_features=9)
        centers = kernel.centers(Y, np.arange(40))
        K = kernel.block(X, centers)

        for V in (RNG.standard_normal(40), RNG.standard_normal((40, 3))):
            got = [product(kernel, X, centers, V, n_jobs=n) for n in (1, 2, 4, None)]

            assert len({values.tobytes() for values in got}) == 1
            np.testing.assert_allclose(got[0], K @ V, rtol=1e-6, atol=1e-6)

    def test_tiles_of_any_size(self):
        X = rows(300, 9)
        kernel = as_kernel("rbf", n_features=9)
        centers = kernel.centers(X[:50], np.arange(50))
        V = RNG.standard_normal(50)

        with sklearn.config_context(working_memory=0.01):
            got = product(kernel, X, centers, V, n_jobs=2)

        np.testing.assert_allclose(got, product(kernel, X, centers, V), rtol=1e-12)

    def test_sparse_and_precomputed(self):
        X = sparse.csr_array(sparse.random(600, 30, density=0.3, rng=1, format="csr"))
        kernel = as_kernel("rbf", n_features=30)
        centers = kernel.centers(X[:7], np.arange(7))
        K = rows(600, 20)
        columns = as_kernel("precomputed", n_features=20)
        ids = np.array([3, 1])

        got = product(kernel, X, centers, np.ones(7), n_jobs=2)
        of_columns = product(columns, K, columns.centers(K[ids], ids), np.ones(2))

        np.testing.assert_allclose(got, kernel.block(X, centers).sum(axis=1))
        np.testing.assert_allclose(of_columns, K[:, ids].sum(axis=1))


@pytest.mark.skipif(
    not hasattr(loops.exp_of_products, "signatures"), reason="nothing is compiled"
)
def test_two_versions_are_compiled():
    """Seen red with read-only rows passed to a loop as they came."""
    for dtype in (np.float32, np.float64):
        for n_features in (3, 9):
            X = rows(30, n_features, dtype)
            frozen = X.copy()
            frozen.flags.writeable = False
            layouts = [X, frozen, np.asfortranarray(X), X[::-2], frozen[5:9]]
            for name in ("rbf", "laplacian", "poly"):
                expected = evaluate(name, X[:9], X)
                for layout in layouts:
                    got = evaluate(name, layout[:4], X)
                    same = evaluate(name, np.array(layout[:4]), X)
                    np.testing.assert_allclose(got, same, rtol=1e-5)
                np.testing.assert_allclose(
                    evaluate(name, X[:9], frozen), expected, rtol=1e-5
                )

    for loop in (
        loops.exp_of_differences,
        loops.exp_of_products,
        loops.powers_of_products,
    ):
        assert len(loop.signatures) == 2
