"""The regressor against exact kernel ridge, its dense twin and scikit-learn's pair."""

import pickle

import numpy as np
import pytest
import skops.io
from reference.nystroem import kernel_ridge, nystroem_ridge
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kernelkit import NystroemRidge
from kernelkit.nystroem import problem as module
from kernelkit.nystroem import statistics
from kernelkit.nystroem.span import find_span

RNG = np.random.default_rng(0)
X = RNG.normal(size=(250, 3))
Y = np.sin(X[:, 0]) + X[:, 1] + 3.0 + 0.1 * RNG.normal(size=250)
TWO = np.column_stack([Y, -5.0 * Y + RNG.normal(size=250)])
WEIGHTS = RNG.uniform(size=250) * (RNG.random(250) > 0.1)
Q = RNG.normal(size=(40, 3))
IDS = np.arange(30)

each_weighting = pytest.mark.parametrize("weights", [None, WEIGHTS])
each_intercept = pytest.mark.parametrize("fit_intercept", [False, True])
each_solver = pytest.mark.parametrize("solver", ["direct", "cg"])


def model(alpha=0.1, **params):
    params = {"gamma": 0.4, "random_state": 0, **params}
    return NystroemRidge(alpha, **params)


def assert_close(got, expected, rtol):
    """Compare relative to the largest."""
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=rtol * np.abs(expected).max()
    )


class TestEveryRowACentre:
    @each_weighting
    @pytest.mark.parametrize("kernel", ["rbf", "laplacian", "poly", "linear"])
    @pytest.mark.parametrize("alpha", [1e-4, 1.0])
    def test_equals_kernel_ridge(self, alpha, kernel, weights):
        """Seen red with sums of kernel values, whose digits do not suffice."""
        params = {"kernel": kernel, "gamma": 0.4, "alpha": alpha}

        got = NystroemRidge(**params).fit(X, Y, weights).predict(Q)

        peer = KernelRidge(**params).fit(X, Y, weights)
        assert_close(got, peer.predict(Q), 1e-6)

    @each_intercept
    @each_weighting
    def test_equals_the_dense_twin(self, weights, fit_intercept):
        """Seen red with the mean of kernel values unweighted."""
        ridge = model(fit_intercept=fit_intercept).fit(X, TWO, weights)

        dual, intercept = kernel_ridge(
            rbf_kernel(X, gamma=0.4), TWO, 0.1, weights, fit_intercept
        )
        expected = rbf_kernel(Q, X, gamma=0.4) @ dual + intercept
        assert_close(ridge.predict(Q), expected, 1e-9)
        assert_close(ridge.intercept_ + np.ones(2), intercept + np.ones(2), 1e-9)

    def test_alpha_per_output(self):
        """Seen red with the least alpha for all."""
        got = model([1e-3, 10.0]).fit(X, TWO).predict(Q)

        peer = KernelRidge(kernel="rbf", gamma=0.4, alpha=[1e-3, 10.0]).fit(X, TWO)
        assert_close(got, peer.predict(Q), 1e-9)

    def test_few_rows_do_not_warn(self):
        """The default number of centres is larger. Warnings are errors."""
        ridge = NystroemRidge().fit(X, Y)

        assert ridge.component_indices_.tolist() == list(range(250))

    def test_solver_is_direct_whatever_their_number(self, monkeypatch):
        monkeypatch.setattr(module, "_DIRECT_CENTERS", 20)

        assert model().fit(X, Y).solver_ == "direct"
        assert model(n_components=30, alpha=10.0).fit(X, Y).solver_ == "cg"


class TestFewCentres:
    @each_solver
    @each_intercept
    @each_weighting
    def test_equals_the_dense_twin(self, weights, fit_intercept, solver):
        params = {"fit_intercept": fit_intercept, "solver": solver, "tol": 1e-11}
        ridge = model(centers=IDS, max_iter=60, **params).fit(X, TWO, weights)

        dual, intercept = nystroem_ridge(
            rbf_kernel(X, gamma=0.4), IDS, TWO, 0.1, weights, fit_intercept
        )
        expected = rbf_kernel(Q, X[IDS], gamma=0.4) @ dual + intercept
        assert_close(ridge.predict(Q), expected, 1e-6)
        assert ridge.solver_ == solver

    @pytest.mark.parametrize("kernel", ["rbf", "laplacian", "poly", "cosine"])
    def test_equals_ridge_on_nystroem_features(self, kernel):
        """The same centres. Seen red with the penalty divided by n."""
        params = {"kernel": kernel, "n_components": 40}
        if kernel != "cosine":
            params["gamma"] = 0.4
        features = Nystroem(random_state=0, **params).fit(X)
        peer = Ridge(0.1, fit_intercept=False, solver="cholesky")
        peer.fit(features.transform(X), Y)

        ridge = NystroemRidge(0.1, centers=features.component_indices_, **params)
        got = ridge.fit(X, Y).predict(Q)

        assert_close(got, peer.predict(features.transform(Q)), 1e-6)

    @pytest.mark.parametrize("alpha", [1e-4, 0.1])
    def test_intercept_is_that_of_ridge(self, alpha):
        """Seen red with the targets centred, but not the kernel values."""
        features = Nystroem(gamma=0.4, n_components=40, random_state=0).fit(X)
        peer = Ridge(alpha, solver="svd").fit(features.transform(X), Y, WEIGHTS)

        ridge = model(alpha, centers=features.component_indices_, fit_intercept=True)
        ridge.fit(X, Y, WEIGHTS)

        assert_close(ridge.predict(Q), peer.predict(features.transform(Q)), 1e-6)
        assert ridge.intercept_ == pytest.approx(peer.intercept_, rel=1e-5)

    @pytest.mark.parametrize("alpha", [1e-5, 1e-7, 1e-9])
    def test_penalty_below_the_rounding_of_sums(self, alpha):
        """The loss is the least. Seen red without the second sums."""
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(2000, 3))
        y, ids = np.sin(rows[:, 0]) + 0.1 * rng.normal(size=2000), np.arange(60)
        ridge = NystroemRidge(alpha, gamma=0.05, centers=ids).fit(rows, y)

        loss = np.square(y - ridge.predict(rows)).sum()

        K = rbf_kernel(rows, gamma=0.05)
        dual, _ = nystroem_ridge(K, ids, y, alpha, rcond=1e-13)
        best = np.square(y - K[:, ids] @ dual).sum()
        assert loss == pytest.approx(best, rel=1e-4)

    @pytest.mark.parametrize("fit", ["fit", "partial_fit"])
    def test_digits_are_missed_before_they_are_lost(self, fit):
        """Seen red with sums over the basis only after a failed factorisation."""
        rng = np.random.default_rng(2)
        rows = rng.uniform(size=(2000, 1))
        y = np.sin(8.0 * rows[:, 0]) + 0.3 * rng.normal(size=2000)
        centers = np.linspace(0.0, 1.0, 10)[:, None]
        ridge = getattr(NystroemRidge(1e-6, gamma=4.0, centers=centers), fit)(rows, y)

        basis = find_span(np.exp(-4.0 * (centers - centers.T) ** 2)).basis()
        Z = rbf_kernel(rows, centers, gamma=4.0) @ basis
        extra = np.vstack([Z, 1e-3 * np.eye(Z.shape[1])])
        targets = np.append(y, np.zeros(Z.shape[1]))
        expected = Z @ np.linalg.lstsq(extra, targets, rcond=None)[0]
        np.testing.assert_allclose(ridge.predict(rows), expected, atol=1e-7)

    @pytest.mark.parametrize("centers", ["rls", "uniform"])
    @pytest.mark.parametrize(("kernel", "size"), [("poly", 100.0), ("linear", 1e6)])
    def test_an_outlier_does_not_spoil_the_others(self, kernel, size, centers):
        """Seen red with centres left out that are small beside the outlier."""
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(3000, 3))
        rows[7] *= size
        y = rows[:, 0] + (rows[:, 1] * rows[:, 2] if kernel == "poly" else 0.0)
        params = {"kernel": kernel, "gamma": 1.0, "n_components": 200}
        if kernel == "linear":
            params["gamma"] = None

        got = model(1.0, centers=centers, **params).fit(rows, y).predict(rows)

        assert np.delete(np.abs(got - y), 7).max() < 0.01

    @pytest.mark.parametrize("fit", ["fit", "partial_fit"])
    @pytest.mark.parametrize(("kernel", "size"), [("poly", 1e6), ("linear", 1e9)])
    def test_digits_lost_to_an_outlier_are_told(self, kernel, size, fit):
        """Unless it is a centre that counts. Seen red with centres not looked at."""
        rows = RNG.normal(size=(300, 3))
        rows[7] *= size
        params = {"kernel": kernel, "gamma": 1.0, "alpha": 1.0}

        def learn(centers):
            ridge = NystroemRidge(**params, centers=centers)
            return getattr(ridge, fit)(rows, rows[:, 0]).predict(rows)

        with pytest.warns(UserWarning, match=r"Row 7 has k\(x, x\) times its weight"):
            learn(rows[10:50])
        if kernel == "poly":  # of the linear one, three others span the row
            right = learn(rows[:40])
            assert np.delete(np.abs(right - rows[:, 0]), 7).max() < 0.05

    @each_solver
    @pytest.mark.parametrize("centers", ["rls", "uniform", "rpcholesky"])
    def test_rules(self, centers, solver):
        ridge = model(centers=centers, n_components=40, solver=solver, alpha=1.0)

        ridge.fit(X, Y)

        assert len(np.unique(ridge.component_indices_)) == 40
        assert ridge.components_.tolist() == X[ridge.component_indices_].tolist()
        assert ridge.score(X, Y) > 0.8

    @pytest.mark.parametrize("as_frame", [False, True])
    def test_given_centers(self, as_frame):
        """Rows, or their numbers. Seen red with given rows taken for numbers."""
        pd = pytest.importorskip("pandas")
        rows = pd.DataFrame(X, columns=list("abc")) if as_frame else X

        by_rows = model(centers=X[IDS]).fit(rows, Y)
        by_numbers = model(centers=IDS.tolist()).fit(rows, Y)

        queries = rows[:20]
        assert_close(by_rows.predict(queries), by_numbers.predict(queries), 1e-12)
        assert (by_rows.component_indices_ == -1).all()
        assert by_numbers.component_indices_.tolist() == IDS.tolist()

    def test_given_centers_need_not_be_rows(self):
        ridge = model(centers=Q[:10], n_components=3).fit(X, Y)

        assert ridge.components_.tolist() == Q[:10].tolist()

    @pytest.mark.parametrize(
        ("centers", "words"),
        [
            ([0, 250], "from 0 to 249"),
            ([-1], "from 0 to 249"),
            ([0.5, 1.0], "row numbers"),
            ([[1.0, 2.0]], "2 features, and X has 3"),
            ([[np.nan, 1.0, 2.0]], "centers must be .* NaN"),
            (np.empty((0, 3)), "centers must be .* one row or more"),
            ([[1.0, "a", 2.0]], "centers must be"),
            ([], "row numbers"),
            (np.array([], dtype=int), "row numbers"),
        ],
    )
    def test_wrong_centers_are_refused(self, centers, words):
        """Seen red with words about X and an estimator of no name."""
        with pytest.raises(ValueError, match=words):
            model(centers=centers).fit(X, Y)


class TestWeights:
    @each_intercept
    @each_solver
    @pytest.mark.parametrize("centers", [IDS, "all"])
    def test_weights_are_repetitions(self, centers, solver, fit_intercept):
        """On the same centres. Seen red with weights that multiply the loss twice."""
        counts = RNG.integers(0, 4, 250)
        counts[IDS] += 1
        X2, Y2 = X.repeat(counts, axis=0), Y.repeat(counts)
        params = {"solver": solver, "fit_intercept": fit_intercept, "tol": 1e-12}
        params |= {"alpha": 1.0, "max_iter": 100, "gamma": 0.2}
        rows = X[IDS] if isinstance(centers, np.ndarray) else X[counts > 0]

        weighted = model(centers=rows, **params).fit(X, Y, counts)
        repeated = model(centers=rows, **params).fit(X2, Y2)

        assert_close(weighted.predict(Q), repeated.predict(Q), 1e-8)

    @each_solver
    def test_rows_without_weight_have_no_effect(self, solver):
        """Seen red with the number of rows for the sum of weights."""
        weights, y = WEIGHTS.copy(), Y.copy()
        weights[:100] = 0.0
        y[:100] = 1e6
        params = {"solver": solver, "fit_intercept": True, "tol": 1e-10}
        params |= {"alpha": 1.0, "n_components": 40, "max_iter": 60}

        ridge = model(**params).fit(X, y, weights)

        others = model(**params | {"centers": ridge.components_})
        others.fit(X[100:], y[100:], weights[100:])
        assert (ridge.component_indices_ >= 100).all()
        assert_close(ridge.predict(Q), others.predict(Q), 1e-8)

    def test_scale_of_weights_is_that_of_alpha(self):
        params = {"centers": IDS, "fit_intercept": True}

        got = model(7.0, **params).fit(X, Y, 7.0 * WEIGHTS).predict(Q)

        expected = model(1.0, **params).fit(X, Y, WEIGHTS).predict(Q)
        assert_close(got, expected, 1e-9)


class TestConjugateGradients:
    @each_weighting
    @pytest.mark.parametrize(
        ("centers", "alpha"),
        [("rls", 2e-3), ("uniform", 0.5), ("rpcholesky", 0.1), ("given", 0.5)],
    )
    def test_agrees_with_the_direct_solver(self, centers, alpha, weights):
        """By leverage scores even at alpha = 1e-6 n.

        Seen red with the rows left out of the preconditioner.
        """
        rng = np.random.default_rng(0)
        rows = np.concatenate([rng.normal(size=(1900, 2)), rng.normal(3, 2, (100, 2))])
        y = np.sin(2.0 * rows[:, 0]) + 0.1 * rng.normal(size=2000)
        if centers == "given":
            centers = rows[::10] + 0.01
        if weights is not None:
            weights = rng.uniform(0.1, 2.0, 2000)
        params = {"centers": centers, "n_components": 200, "gamma": 1.0}
        params["alpha"] = alpha

        direct = model(solver="direct", **params).fit(rows, y, weights)
        cg = model(solver="cg", tol=1e-5, **params).fit(rows, y, weights)

        assert_close(cg.predict(rows), direct.predict(rows), 1e-3)
        assert 1 < cg.n_iter_ <= 30

    def test_too_few_iterations_warn(self):
        ridge = model(1e-5, n_components=50, solver="cg", max_iter=1)

        with pytest.warns(ConvergenceWarning, match="max_iter=1 iterations"):
            ridge.fit(X, Y)

        assert ridge.n_iter_ == 1

    def test_outputs_with_their_own_alphas(self):
        """Seen red with the first alpha alone."""
        alphas, ids = [0.1, 10.0], np.arange(50)
        params = {"solver": "cg", "centers": ids, "tol": 1e-10, "max_iter": 60}

        got = model(alphas, **params).fit(X, TWO).predict(Q)

        expected = [
            model(a, **params).fit(X, TWO[:, j]).predict(Q)
            for j, a in enumerate(alphas)
        ]
        assert_close(got.T, np.array(expected), 1e-8)


class TestKernels:
    @pytest.mark.parametrize(
        ("kernel", "twin"),
        [
            (RBF(1.5), lambda A, B: rbf_kernel(A, B, gamma=0.5 / 1.5**2)),
            (
                ConstantKernel(2.0) * RBF(1.5) + WhiteKernel(0.1),
                lambda A, B: 2.0 * rbf_kernel(A, B, gamma=0.5 / 1.5**2),
            ),
            (lambda A, B: rbf_kernel(A, B, gamma=0.3), None),
            (lambda a, b: np.exp(-0.3 * np.sum((a - b) ** 2)), None),
        ],
    )
    def test_any_kernel(self, kernel, twin):
        twin = twin or (lambda A, B: rbf_kernel(A, B, gamma=0.3))
        ridge = model(kernel=kernel, centers=IDS, gamma=None).fit(X, Y)

        dual, _ = nystroem_ridge(twin(X, X), IDS, Y, 0.1)
        assert_close(ridge.predict(Q), twin(Q, X[IDS]) @ dual, 1e-4)

    @pytest.mark.parametrize("centers", ["rls", "uniform", "rpcholesky"])
    @each_solver
    def test_precomputed(self, centers, solver):
        K, K_q = rbf_kernel(X, gamma=0.4), rbf_kernel(Q, X, gamma=0.4)
        params = {"centers": centers, "solver": solver, "n_components": 40}
        params |= {"alpha": 1.0, "tol": 1e-9, "max_iter": 60}

        ridge = model(kernel="precomputed", **params).fit(K, Y)

        peer = model(**params | {"centers": X[ridge.component_indices_]}).fit(X, Y)
        assert_close(ridge.predict(K_q), peer.predict(Q), 1e-6)
        assert ridge.components_ is ridge.component_indices_

    def test_precomputed_centers_are_numbers(self):
        with pytest.raises(ValueError, match="must be a rule or row numbers"):
            model(kernel="precomputed", centers=X).fit(rbf_kernel(X), Y)

    @each_solver
    def test_sparse_rows(self, solver):
        params = {"solver": solver, "n_components": 40, "alpha": 1.0}
        dense = X * (np.abs(X) > 0.5)

        ridge = model(**params).fit(sparse.csr_matrix(dense), Y)

        got = ridge.predict(sparse.csr_matrix(Q))
        expected = model(**params).fit(dense, Y).predict(Q)
        assert sparse.issparse(ridge.components_)
        assert_close(got, expected, 1e-6)

    def test_indefinite_kernel_warns(self):
        """Seen red without looking at what remains of the kernel matrix."""
        ridge = model(kernel="sigmoid", gamma=2.0, coef0=-1.0, n_components=40)

        with pytest.warns(UserWarning, match=r"not positive semidefinite.* of 40"):
            ridge.fit(X, Y)

        assert np.isfinite(ridge.predict(Q)).all()

    def test_rank_deficient_kernel(self):
        """A linear kernel on 30 centres is ridge regression on 3 features."""
        ridge = model(kernel="linear", centers=IDS, fit_intercept=True).fit(X, Y)

        peer = Ridge(0.1).fit(X, Y)
        assert_close(ridge.predict(Q), peer.predict(Q), 1e-6)
        assert np.count_nonzero(ridge.dual_coef_) == 3


class TestEdges:
    @each_intercept
    def test_one_row(self, fit_intercept):
        ridge = NystroemRidge(1.0, fit_intercept=fit_intercept).fit([[1.0, 2.0]], [4.0])

        expected = 4.0 if fit_intercept else 2.0
        assert ridge.predict([[1.0, 2.0]]) == pytest.approx(expected)

    @each_intercept
    @each_solver
    def test_kernel_of_zeros(self, fit_intercept, solver):
        """Nothing spans anything."""
        ridge = model(kernel="linear", fit_intercept=fit_intercept, solver=solver)

        got = ridge.fit(np.zeros((9, 2)), Y[:9]).predict(Q[:, :2])

        np.testing.assert_allclose(got, Y[:9].mean() if fit_intercept else 0.0)

    @each_intercept
    @pytest.mark.parametrize("fit", ["fit", "partial_fit"])
    @pytest.mark.parametrize("centers", ["rls", "uniform", "rpcholesky"])
    def test_few_centres_of_zeros(self, centers, fit, fit_intercept):
        """Seen red with the weight of rows divided by no centres."""
        params = {"kernel": "linear", "gamma": None, "fit_intercept": fit_intercept}
        ridge = model(centers=centers, n_components=5, **params)

        getattr(ridge, fit)(np.zeros((30, 2)), Y[:30])

        expected = Y[:30].mean() if fit_intercept else 0.0
        np.testing.assert_allclose(ridge.predict(Q[:, :2]), expected)

    @each_solver
    def test_repeated_rows(self, solver):
        rows, y = np.tile(X[:20], (10, 1)), np.tile(Y[:20], 10)

        ridge = model(solver=solver, n_components=60, alpha=1.0).fit(rows, y)

        peer = KernelRidge(kernel="rbf", gamma=0.4, alpha=1.0).fit(rows, y)
        assert_close(ridge.predict(Q), peer.predict(Q), 1e-5)

    def test_constant_features(self):
        ridge = model(n_components=5).fit(np.ones((50, 2)), np.arange(50.0))

        np.testing.assert_allclose(ridge.predict([[1.0, 1.0]]), 24.5 / (1 + 0.1 / 50))

    @each_intercept
    @each_solver
    @pytest.mark.parametrize("unit", [1e-300, 1e-150, 1e150, 1e306])
    def test_targets_of_any_size(self, unit, solver, fit_intercept):
        """Seen red with targets as they come."""
        ridge = model(
            solver=solver, n_components=30, fit_intercept=fit_intercept, alpha=1.0
        )

        got = ridge.fit(X, unit * Y).predict(Q) / unit

        assert_close(got, ridge.fit(X, Y).predict(Q), 1e-9)

    def test_offset_of_targets_costs_no_digits(self):
        """Seen red with sums over targets that are not centred."""
        ridge = model(n_components=30, fit_intercept=True)

        got = ridge.fit(X, Y + 1e9).predict(Q) - 1e9

        assert_close(got, ridge.fit(X, Y).predict(Q), 1e-6)

    @each_solver
    def test_sums_that_overflow_are_refused(self, solver):
        """Seen red without the check."""
        params = {"kernel": "linear", "gamma": None, "centers": [0, 1]}
        ridge = model(solver=solver, **params)

        with pytest.raises(ValueError, match=r"overflow.*rescale"):
            ridge.fit(1e70 * X, Y, np.full(250, 1e200))

    def test_matrices_that_exceed_memory_are_refused(self, monkeypatch):
        """Seen red without the estimate."""
        monkeypatch.setattr("os.sysconf", lambda name: 1000)  # a megabyte

        with pytest.raises(MemoryError, match="lower n_components"):
            model(n_components=200).fit(X, Y)

    @pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan, np.inf, [1.0, 2.0], "1", []])
    def test_wrong_alpha_is_refused(self, alpha):
        with pytest.raises(ValueError, match="'alpha' parameter of NystroemRidge must"):
            NystroemRidge(alpha).fit(X, Y)

    def test_shapes(self):
        for y, tail in [(Y, ()), (Y[:, None], (1,)), (TWO, (2,))]:
            ridge = model(n_components=30).fit(X, y)

            assert ridge.predict(Q).shape == (40, *tail)
            assert ridge.dual_coef_.shape == (30, *tail)
            assert np.shape(ridge.intercept_) == tail


class TestPrecision:
    @each_solver
    def test_single_precision(self, solver):
        """Close to double precision."""
        params = {"solver": solver, "n_components": 60, "gamma": 0.1}
        narrow = model(**params).fit(X.astype(np.float32), Y)

        wide = model(**params).fit(X, Y)
        assert narrow.components_.dtype == np.float32
        assert_close(narrow.predict(Q), wide.predict(Q), 3e-3)

    def test_dtype_decides(self):
        narrow = model(n_components=9, dtype="float32").fit(X, Y)
        wide = model(n_components=9, dtype=np.float64).fit(X.astype(np.float32), Y)

        assert narrow.components_.dtype == np.float32
        assert wide.components_.dtype == np.float64
        assert wide.predict(Q.astype(np.float32)).dtype == np.float64

    @each_solver
    @pytest.mark.parametrize("centers", ["rls", "uniform", "rpcholesky"])
    def test_threads_do_not_change_a_bit(self, centers, solver, monkeypatch):
        monkeypatch.setattr(statistics, "_FEWEST_ROWS", 32)
        monkeypatch.setattr(statistics, "_CELLS", 32)
        params = {"centers": centers, "solver": solver, "n_components": 40}

        one, four = (
            model(1.0, n_jobs=n, **params).fit(X, Y).predict(Q) for n in (1, 4)
        )

        assert one.tobytes() == four.tobytes()


class TestWithScikitLearn:
    @pytest.mark.parametrize("fit", ["fit", "partial_fit"])
    def test_persistence(self, fit):
        """Same bits, and no kernel matrix. Seen red with the span kept."""
        rows = np.tile(X, (4, 1)) + RNG.normal(size=(1000, 3))
        ridge = getattr(model(n_components=200, warmup_samples=500), fit)(
            rows, np.tile(Y, 4)
        )
        expected = ridge.predict(Q).tobytes()

        dumped = pickle.dumps(ridge)
        trusted = skops.io.dumps(ridge)

        unknown = skops.io.get_untrusted_types(data=trusted)
        assert all(name.startswith("kernelkit.") for name in unknown)
        loaded = skops.io.loads(trusted, trusted=unknown)
        assert pickle.loads(dumped).predict(Q).tobytes() == expected
        assert loaded.predict(Q).tobytes() == expected
        if fit == "fit":
            assert len(dumped) < 200 * 200 * 8

    def test_search_in_a_pipeline(self):
        pipeline = make_pipeline(StandardScaler(), model(n_components=50))
        grid = {"nystroemridge__alpha": [1e-3, 1e3], "nystroemridge__gamma": [0.1, 9.0]}

        search = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)

        assert search.best_params_ == {
            "nystroemridge__alpha": 1e-3,
            "nystroemridge__gamma": 0.1,
        }
        assert search.best_score_ > 0.9

    def test_search_over_a_precomputed_kernel(self):
        K = rbf_kernel(X, gamma=0.4)

        search = GridSearchCV(model(kernel="precomputed"), {"alpha": [0.1, 1e4]}, cv=3)

        assert search.fit(K, Y).best_params_ == {"alpha": 0.1}

    def test_parameter_of_a_kernel_object(self):
        ridge = model(kernel=RBF(1.0))

        assert ridge.set_params(kernel__length_scale=3.0).kernel.length_scale == 3.0

    def test_kernel_stays_that_of_the_fit(self):
        kernel = RBF(1.0)
        ridge = model(kernel=kernel, gamma=None, n_components=30).fit(X, Y)
        expected = ridge.predict(Q).tobytes()

        kernel.length_scale = 9.0
        ridge.set_params(kernel="precomputed", gamma=7.0)

        assert ridge.predict(Q).tobytes() == expected


class TestBatches:
    """What `partial_fit` makes of an estimator; the stream has its own tests."""

    @pytest.mark.parametrize("size", [1, 7, 100])
    @each_intercept
    def test_equals_fit_on_the_same_centers(self, size, fit_intercept):
        params = {"n_components": 20, "warmup_samples": 100, "alpha": 1.0}
        ridge = model(fit_intercept=fit_intercept, **params)
        for start in range(0, 250, size):
            batch = slice(start, start + size)
            ridge.partial_fit(X[batch], Y[batch], WEIGHTS[batch] + 0.1)

        again = model(centers=ridge.components_, fit_intercept=fit_intercept, alpha=1.0)
        again.fit(X, Y, WEIGHTS + 0.1)
        assert_close(ridge.predict(Q), again.predict(Q), 1e-7)

    def test_fit_forgets_batches(self):
        """Seen red with the stream left behind."""
        ridge = model(n_components=20).partial_fit(X[:50], Y[:50])

        ridge.fit(X, Y)

        assert not hasattr(ridge, "n_samples_seen_")
        assert (
            ridge.predict(Q).tolist()
            == model(n_components=20).fit(X, Y).predict(Q).tolist()
        )

    def test_unknown_attributes(self):
        with pytest.raises(AttributeError, match="dual_coef_"):
            _ = NystroemRidge().dual_coef_
