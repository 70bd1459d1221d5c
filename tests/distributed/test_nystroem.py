"""Ridge regression on chunks against the plain class on the same centres."""

import pickle

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.metrics.pairwise import rbf_kernel
from threadpoolctl import threadpool_info, threadpool_limits

import kernelkit
from kernelkit import Matern, NeuralTangent
from kernelkit.distributed import NystroemRidge, chunks
from kernelkit.distributed.ridge_centers import choose
from kernelkit.distributed.ridge_rows import Facts, Source
from kernelkit.nystroem import problem as plain_problem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = np.sin(X[:, 0]) + X[:, 1] + 3.0 + 0.1 * RNG.normal(size=300)
TWO = np.column_stack([Y, -5e3 * Y + RNG.normal(size=300)])
WEIGHTS = RNG.uniform(size=300) * (RNG.random(300) > 0.1)
Q = RNG.normal(size=(40, 3))
MANY = np.arange(1200.0)[:, None]
HEAVY = np.array([1.0, 1.0, 3.0] * 400)  # weights

each_rule = pytest.mark.parametrize("rule", ["rls", "uniform", "rpcholesky"])
each_solver = pytest.mark.parametrize("solver", ["direct", "cg"])

pytestmark = pytest.mark.usefixtures("in_this_thread")


def model(alpha=0.1, **params):
    params = {"gamma": 2.0, "n_components": 30, "random_state": 0, **params}
    return NystroemRidge(alpha, **params)


def plain_of(ridge):
    """Make the plain class with the centres of a fit given."""
    centers = ridge.components_
    centers = centers.toarray() if sparse.issparse(centers) else centers
    params = {**ridge.get_params(deep=False), "centers": centers}
    return kernelkit.NystroemRidge(**params)


def error(got, expected):
    """Return the largest difference relative to the largest number."""
    return np.abs(got - expected).max() / np.abs(expected).max()


class TestSameCentres:
    @each_cut
    @pytest.mark.parametrize(("y", "weights"), [(Y, None), (TWO, WEIGHTS)])
    def test_equals_the_plain_class(self, cut, y, weights):
        """Seen red with sums without weights."""
        parts = [None if v is None else chunked(v, cut) for v in (X, y, weights)]

        ridge = model(fit_intercept=True).fit(*parts)

        plain = plain_of(ridge).fit(X, y, weights)
        assert error(ridge.predict(Q), plain.predict(Q)) < 1e-9
        predicted = ridge.predict(chunked(Q, cut))
        assert np.array_equal(predicted.compute().shape, plain.predict(Q).shape)
        assert error(predicted.compute(), ridge.predict(Q)) < 1e-14
        np.testing.assert_array_equal(ridge.components_, X[ridge.component_indices_])
        score = ridge.score(*parts)
        assert score == pytest.approx(plain.score(X, y, weights), abs=1e-9)

    @each_solver
    @each_rule
    @pytest.mark.parametrize("fit_intercept", [False, True])
    def test_solvers_and_rules(self, rule, solver, fit_intercept):
        """Seen red with products of the gram matrix without weights."""
        params = {"solver": solver, "tol": 1e-12, "max_iter": 60}
        ridge = model(centers=rule, fit_intercept=fit_intercept, **params)

        ridge.fit(chunked(X), chunked(TWO), chunked(WEIGHTS))

        plain = plain_of(ridge).fit(X, TWO, WEIGHTS)
        assert error(ridge.predict(Q), plain.predict(Q)) < 1e-9
        assert ridge.solver_ == plain.solver_ == solver
        assert (ridge.n_iter_ > 1) == (solver == "cg")
        assert WEIGHTS[ridge.component_indices_].all()
        assert len(np.unique(ridge.component_indices_)) == 30

    @pytest.mark.parametrize(
        ("kernel", "bound"),
        [
            ({"kernel": "laplacian"}, 1e-9),
            ({"kernel": "polynomial", "degree": 2, "gamma": 0.5}, 1e-9),
            ({"kernel": "cosine", "gamma": None}, 1e-9),
            ({"kernel": Matern(0.5, nu=1.5), "gamma": None}, 1e-9),
            ({"kernel": NeuralTangent(depth=2), "gamma": None}, 1e-9),
            ({"kernel": ConstantKernel(2.0) * RBF(0.5), "gamma": None}, 1e-9),
            (
                {"kernel": rbf_kernel, "gamma": None, "kernel_params": {"gamma": 2.0}},
                1e-9,
            ),
            ({"dtype": "float32"}, 1e-5),
        ],
    )
    def test_kernels(self, kernel, bound):
        ridge = model(**kernel).fit(chunked(X, "seven"), chunked(Y, "seven"))

        plain = plain_of(ridge).fit(X, Y)
        assert error(ridge.predict(Q), plain.predict(Q)) < bound
        assert ridge.components_.dtype == plain.components_.dtype

    def test_float32_stays(self):
        narrow = X.astype(np.float32)

        ridge = model().fit(chunked(narrow), chunked(Y))

        plain = plain_of(ridge).fit(narrow, Y)
        assert ridge.components_.dtype == np.float32
        assert error(ridge.predict(Q), plain.predict(Q)) < 1e-5

    @pytest.mark.parametrize("alpha", [1e-10, 1e-4, 0.1])
    @pytest.mark.parametrize("fit_intercept", [False, True])
    def test_centres_that_nearly_depend(self, alpha, fit_intercept):
        """No worse than another order of rows is for the plain class.

        Seen red with sums over kernel values alone.
        """
        params = {"gamma": 0.1, "fit_intercept": fit_intercept, "centers": X[:60]}
        ridge = model(alpha, **params).fit(chunked(X), chunked(Y))

        plain = plain_of(ridge).fit(X, Y).predict(Q)
        orders = [np.random.default_rng(seed).permutation(300) for seed in range(5)]
        moved = [plain_of(ridge).fit(X[i], Y[i]).predict(Q) for i in orders]
        bound = max(error(values, plain) for values in moved)
        assert error(ridge.predict(Q), plain) < 1e-9 + 5.0 * bound

    @each_solver
    @pytest.mark.parametrize("centers", [X[5:65], X[5:65].tolist()])
    def test_given_centres(self, centers, solver):
        """Iterations are as many. Seen red with three rows that stand for all."""
        params = {"centers": centers, "solver": solver, "tol": 1e-12, "max_iter": 60}

        ridge = model(**params).fit(chunked(X), chunked(Y), WEIGHTS)

        plain = plain_of(ridge).fit(X, Y, WEIGHTS)
        assert (ridge.component_indices_ == -1).all()
        assert error(ridge.predict(Q), plain.predict(Q)) < 1e-9
        assert abs(ridge.n_iter_ - plain.n_iter_) <= 2

    @each_cut
    def test_given_row_numbers(self, cut):
        """In any order, repeated or without weight. Seen red in ascending order."""
        ids = np.array([299, 0, 7, 7, 150, *np.flatnonzero(WEIGHTS == 0.0)[:2]])
        parts = chunked(X, cut), chunked(Y, cut), chunked(WEIGHTS, cut)

        ridge = model(centers=ids).fit(*parts)

        np.testing.assert_array_equal(ridge.components_, X[ids])
        np.testing.assert_array_equal(ridge.component_indices_, ids)
        plain = kernelkit.NystroemRidge(0.1, gamma=2.0, centers=ids)
        assert error(ridge.predict(Q), plain.fit(X, Y, WEIGHTS).predict(Q)) < 1e-9

    def test_row_numbers_without_sign(self):
        """Seen red with numbers that keep their type."""
        ids = np.array([299, 0, 150], dtype=np.uint64)

        ridge = model(centers=ids).fit(chunked(X), chunked(Y))

        np.testing.assert_array_equal(ridge.components_, X[[299, 0, 150]])
        assert ridge.component_indices_.dtype == np.int64

    def test_every_row_a_centre(self, monkeypatch):
        """Then "auto" is direct whatever their number."""
        monkeypatch.setattr(plain_problem, "_DIRECT_CENTERS", 20)

        ridge = model(n_components=1000).fit(chunked(X), chunked(Y), WEIGHTS)

        plain = kernelkit.NystroemRidge(0.1, gamma=2.0).fit(X, Y, WEIGHTS)
        assert error(ridge.predict(Q), plain.predict(Q)) < 1e-9
        assert ridge.component_indices_.tolist() == np.flatnonzero(WEIGHTS).tolist()
        assert ridge.solver_ == "direct"
        assert model(alpha=10.0).fit(chunked(X), chunked(Y)).solver_ == "cg"

    def test_targets_of_any_size(self):
        """Chunks of far units. Seen red with the unit of the first chunk."""
        for scale in (1e-200, 1e200):
            y = np.where(np.arange(300) < 100, 0.0, Y) * scale
            ridge = model(fit_intercept=True).fit(chunked(X), chunked(y))

            plain = plain_of(ridge).fit(X, y)
            assert error(ridge.predict(Q), plain.predict(Q)) < 1e-9

    def test_mean_of_targets_of_any_size(self):
        """Seen red with sums that keep the units of their chunks."""
        y = Y * np.repeat([1e-300, 1e5, 1e3], 100)

        _, facts, _ = _facts(X, y, WEIGHTS)

        mean = facts.targets * facts.unit / facts.weight
        assert mean == pytest.approx(np.average(y, weights=WEIGHTS), rel=1e-12)

    def test_alpha_per_output(self):
        ridge = model([1e-3, 10.0]).fit(chunked(X), chunked(TWO))

        plain = plain_of(ridge).fit(X, TWO)
        assert error(ridge.predict(Q), plain.predict(Q)) < 1e-9

    def test_sparse_chunks(self):
        """Seen red with the len of a chunk."""
        rows = np.where(np.abs(X) > 0.5, X, 0.0)
        parts = dask.array.from_array(rows, (100, 3)).map_blocks(sparse.csr_array)

        ridge = model().fit(parts, Y)

        plain = plain_of(ridge).fit(sparse.csr_array(rows), Y)
        assert sparse.issparse(ridge.components_)
        assert error(ridge.predict(Q), plain.predict(Q)) < 1e-9
        with pytest.raises(TypeError, match=r"In chunk \d: Sparse data was passed"):
            model(kernel="laplacian").fit(parts, Y)

    def test_frames(self):
        frame = pd.DataFrame(X, columns=["a", "b", "c"])
        frame["y"] = Y
        rows = chunked(frame)

        ridge = model().fit(rows[["a", "b", "c"]], rows["y"])

        plain = plain_of(ridge).fit(X, Y)
        assert ridge.feature_names_in_.tolist() == ["a", "b", "c"]
        assert error(ridge.predict(frame[["a", "b", "c"]]), plain.predict(X)) < 1e-9
        predicted = ridge.predict(rows[["a", "b", "c"]]).compute()
        assert error(predicted, plain.predict(X)) < 1e-9
        with pytest.raises(ValueError, match=r"In chunk \d: The feature names should"):
            ridge.predict(rows[["b", "a", "c"]]).compute()
        assert not hasattr(ridge.fit(chunked(X), chunked(Y)), "feature_names_in_")


class TestCentres:
    @pytest.mark.parametrize(
        ("rule", "cut"), [("rls", "seven"), ("uniform", "empty"), ("rpcholesky", "one")]
    )
    def test_depend_on_chunks_and_seed_alone(self, client, rule, cut):
        """Here, on threads and on a cluster. Seen red with seeds that tasks draw."""
        params = {"centers": rule, "n_components": 20, "selection_samples": 120}
        fits = []
        for scheduler in ("synchronous", "threads", None):
            with dask.config.set(scheduler=scheduler):
                ridge = model(**params).fit(chunked(X, cut), chunked(Y, cut), WEIGHTS)
            fits.append(ridge)

        for ridge in fits[1:]:
            for name in ("component_indices_", "components_", "dual_coef_"):
                assert np.array_equal(getattr(ridge, name), getattr(fits[0], name))
        other = model(**{**params, "random_state": 1}).fit(chunked(X), chunked(Y))
        assert not np.array_equal(other.component_indices_, fits[0].component_indices_)

    def test_no_bit_depends_on_threads_of_blas(self):
        """Seen red with a sum of k(x, x) on as many threads as there are."""
        with threadpool_limits(2, user_api="blas"):
            ridge = model(kernel=_on_one_thread, gamma=None)

            ridge.fit(chunked(X), chunked(Y), WEIGHTS)

    def test_rpcholesky_chooses_as_the_plain_class(self):
        """It has the same rows before it, whatever the chunks.

        Seen red with rows of no weight among them.
        """
        params = {"centers": "rpcholesky", "selection_samples": 100}

        ridge = model(**params).fit(chunked(X, "uneven"), chunked(Y, "uneven"), WEIGHTS)

        plain = kernelkit.NystroemRidge(**ridge.get_params()).fit(X, Y, WEIGHTS)
        assert ridge.component_indices_.tolist() == plain.component_indices_.tolist()

    def test_leverage_scores_find_rare_rows(self):
        """In a cluster that is in one chunk of 20, and is 1 row of 50.

        Seen red with the ridge times the number of chunks, which leaves it out.
        """
        rng = np.random.default_rng(0)
        rows = 0.05 * rng.normal(size=(2000, 2))
        rows[1000:1040] = 6.0 + rng.normal(size=(40, 2))
        y = rows.sum(axis=1)

        errors = {"rls": [], "uniform": []}
        for seed in range(3):
            for rule, found in errors.items():
                ridge = model(
                    1e-3, centers=rule, random_state=seed, gamma=0.5, n_components=20
                ).fit(dask.array.from_array(rows, (100, 2)), y)
                misses = ridge.predict(rows[1000:1040]) - y[1000:1040]
                found.append(np.sqrt(np.mean(misses**2)))

        assert np.max(errors["rls"]) < 0.2 * np.min(errors["uniform"])

    def test_are_as_good_as_those_of_the_plain_class(self):
        """By what they leave of the kernel matrix, which 7 sketches share."""
        K = rbf_kernel(X, gamma=0.5)
        left = {}
        for name, one in [("chunks", model()), ("plain", kernelkit.NystroemRidge())]:
            params = {"gamma": 0.5, "n_components": 40, "alpha": 1e-2}
            parts = (chunked(X, "seven"), chunked(Y, "seven"))
            left[name] = []
            for seed in range(5):
                one.set_params(random_state=seed, **params)
                ids = one.fit(*(parts if name == "chunks" else (X, Y)))
                ids = ids.component_indices_
                part = np.linalg.solve(K[np.ix_(ids, ids)], K[ids])
                left[name].append(np.trace(K - K[:, ids] @ part))

        assert np.mean(left["chunks"]) < 1.2 * np.mean(left["plain"])

    @pytest.mark.statistical
    def test_uniform_law(self):
        """Rows of weight 3 against rows of weight 1.

        Within 5 standard errors, so that one run in a million fails. Seen red with
        clocks of weight 1.
        """
        rng = np.random.default_rng(0)
        got, expected = [], []
        for seed in range(6):
            params = {"centers": "uniform", "n_components": 400, "random_state": seed}
            chosen = choose(model(**params), _source(MANY, HEAVY), 0.1)
            got.append((HEAVY[chosen.centers.ids] == 3.0).sum())
            drawn = rng.choice(len(HEAVY), 400, replace=False, p=HEAVY / HEAVY.sum())
            expected.append((HEAVY[drawn] == 3.0).sum())

        doubt = 5.0 * np.sqrt(2.0 * 400 * 0.25 / 6)
        assert abs(np.mean(got) - np.mean(expected)) < doubt

    @pytest.mark.statistical
    @pytest.mark.parametrize("rule", ["uniform", "rls"])
    def test_stand_for_all_rows(self, rule):
        """Seen red with a sample that counts as all rows."""
        params = {"centers": rule, "n_components": 200, "selection_samples": 600}
        totals = []
        for seed in range(4):
            estimator = model(**params, random_state=seed)
            totals.append(choose(estimator, _source(MANY, HEAVY), 0.1).counts.sum())

        assert np.mean(totals) == pytest.approx(HEAVY.sum(), rel=0.1)

    def test_chunks_smaller_than_the_number_of_centres(self):
        rows = dask.array.from_array(X, (10, 3))

        ridge = model(n_components=100).fit(rows, Y)

        assert len(np.unique(ridge.component_indices_)) == 100


class TestState:
    def test_holds_no_rows_but_centres(self):
        rows = dask.array.from_array(np.repeat(X, 50, axis=0), (3000, 3))

        ridge = model().fit(rows, np.repeat(Y, 50))

        state = pickle.dumps(ridge)
        assert len(state) < 6000
        np.testing.assert_array_equal(pickle.loads(state).predict(Q), ridge.predict(Q))
        assert not hasattr(clone(ridge), "components_")

    def test_rows_in_memory_make_the_plain_class(self):
        ridge = model().fit(X, Y, WEIGHTS)

        plain = kernelkit.NystroemRidge(**ridge.get_params()).fit(X, Y, WEIGHTS)
        np.testing.assert_array_equal(ridge.predict(Q), plain.predict(Q))
        assert ridge.score(X, Y) == plain.score(X, Y)
        assert error(ridge.predict(chunked(Q)).compute(), plain.predict(Q)) < 1e-14

    def test_after_partial_fit(self):
        """What it leaves is forgotten; and its solution can be asked for by chunks."""
        ridge = model().partial_fit(X, Y)
        assert error(ridge.predict(chunked(Q)).compute(), ridge.predict(Q)) < 1e-14

        ridge.fit(chunked(X), chunked(Y))

        assert not hasattr(ridge, "n_samples_seen_")

    def test_failed_fit_changes_nothing(self):
        ridge = model().fit(chunked(X), chunked(Y))
        before = ridge.predict(Q)

        with pytest.raises(ValueError, match="In chunk 1: Input X contains NaN"):
            ridge.fit(chunked(_with_nan(X)), chunked(Y))

        np.testing.assert_array_equal(ridge.predict(Q), before)

    def test_predictions_are_lazy(self):
        ridge = model().fit(X, TWO)
        rows = dask.array.from_array(X, (100, 3)).map_blocks(_refuse, dtype=float)

        predicted = ridge.predict(rows)

        assert predicted.shape == (300, 2)
        assert predicted.chunks == ((100, 100, 100), (2,))


class TestRefusals:
    @pytest.mark.parametrize(
        ("rows", "y", "weights", "message"),
        [
            (
                X,
                np.where(np.arange(300) == 250, np.nan, Y),
                None,
                "In chunk 2: .*y con",
            ),
            (X, Y, np.where(np.arange(300) == 150, -1.0, 1.0), "In chunk 1: Negative"),
            (X, Y, np.zeros(300), "Every sample_weight is zero"),
            (X, Y, np.where(np.arange(300) == 150, 1e70, 1.0), "goes up to 1e\\+70"),
            (X, np.array(["a"] * 300), None, r"In chunk \d: NystroemRidge expects"),
            (X * 1e300, Y, None, r"In chunk \d: X holds numbers up to"),
            (X, Y[:-1], None, "inconsistent numbers of samples"),
            (X, None, None, "requires y to be passed"),
        ],
    )
    def test_bad_rows(self, rows, y, weights, message):
        parts = [None if v is None else chunked(v) for v in (rows, weights)]
        with pytest.raises(ValueError, match=message):
            model().fit(parts[0], y, parts[1])

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"alpha": [1.0, 2.0]}, "alpha"),
            ({"kernel": "precomputed", "gamma": None}, "'precomputed' is for rows in"),
            ({"centers": [300]}, "whole numbers from 0 to 299"),
            ({"centers": np.ones((3, 2))}, "centers have 2 features, and X has 3"),
            (
                {"centers": "rpcholesky", "selection_samples": None},
                "give selection_samples a number",
            ),
            ({"selection_samples": 10}, "selection_samples=10 rows cannot hold"),
            ({"n_components": 0}, "n_components"),
        ],
    )
    def test_bad_parameters(self, params, message):
        with pytest.raises(ValueError, match=message):
            model(**params).fit(chunked(X), chunked(Y))

    def test_outputs_that_change(self):
        y = dask.array.concatenate(
            [_lazily(TWO[:100], (100, 2)), _lazily(TWO[100:, :1], (200, 2))]
        )
        with pytest.raises(ValueError, match="outputs must be the same in all"):
            model().fit(dask.array.from_array(X, ((100, 200), 3)), y)

    def test_widths_that_change(self):
        rows = dask.array.concatenate(
            [_lazily(X[:100], (100, 3)), _lazily(X[100:, :2], (200, 3))]
        )
        with pytest.raises(ValueError, match="In chunk 1: X has 2 features, but"):
            model().fit(rows, Y)

    def test_wrong_width_of_queries(self):
        ridge = model().fit(chunked(X), chunked(Y))
        with pytest.raises(ValueError, match=r"In chunk \d: X has 2 features, but"):
            ridge.predict(chunked(Q[:, :2])).compute()

    def test_partial_fit_of_a_collection(self):
        with pytest.raises(TypeError, match="one after the other to partial_fit"):
            model().partial_fit(chunked(X), chunked(Y))

    def test_predict_before_fit(self):
        with pytest.raises(NotFittedError):
            model().predict(chunked(X))

    def test_memory(self):
        ids = np.arange(3_000_000)[:, None]
        rows = dask.array.from_array(ids, (1_000_000, 1))
        with pytest.raises(MemoryError, match="lower n_components"):
            model(n_components=2_000_000).fit(rows, np.ones(len(ids)))


class TestWarnings:
    def test_large_row(self):
        """Its number is that in the whole. Seen red with that in the chunk."""
        rows = X.copy()
        rows[207] = 1e8
        params = {"kernel": "polynomial", "gamma": 1.0, "degree": 2, "centers": X[:20]}

        with pytest.warns(UserWarning, match=r"Row 207 has k\(x, x\) times its weight"):
            model(**params).fit(chunked(rows, "seven"), chunked(Y, "seven"))

    def test_indefinite_kernel(self):
        with pytest.warns(UserWarning, match="not positive semidefinite"):
            model(kernel="sigmoid", coef0=-1.0).fit(chunked(X), chunked(Y))

    def test_iterations_that_end_early(self):
        with pytest.warns(ConvergenceWarning, match="max_iter=1"):
            model(1e-6, solver="cg", max_iter=1).fit(chunked(X), chunked(Y))


def _with_nan(X):
    X = X.copy()
    X[150, 1] = np.nan
    return X


def _on_one_thread(A, B):
    libraries = [each for each in threadpool_info() if each["user_api"] == "blas"]
    assert {each["num_threads"] for each in libraries} == {1}
    return rbf_kernel(A, B, gamma=2.0)


def _refuse(block):
    raise AssertionError("computed")


def _lazily(values, shape):
    """Say another shape than values will have."""
    block = dask.delayed(np.asarray)(values)
    return dask.array.from_delayed(block, shape, dtype=float)


def _facts(rows, y, weights):
    light = kernelkit.NystroemRidge(dtype="float64", n_components=2)
    light.fit(rows, y)
    parts = chunks.rows_of(*map(chunked, (rows, y, weights)))
    facts = parts.reduce("facts", Facts.of, light, each=range(3), add=Facts.add)
    return parts, facts, light


def _source(rows, weights):
    """Make what centres are chosen from, as `fit` does."""
    return Source.of(*_facts(rows, weights, weights))
