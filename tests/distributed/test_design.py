"""Designs for rows in chunks are those of the plain class."""

import pickle
import tracemalloc
import warnings
from copy import deepcopy

import dask
import dask.array
import dask.dataframe
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from threadpoolctl import threadpool_info, threadpool_limits

import kernelkit
from kernelkit import (
    ChebyshevBasis,
    FourierBasis,
    HermiteBasis,
    LegendreBasis,
    OrthonormalBasis,
)
from kernelkit.design.orthonormal import change_by_factor, orthonormalize
from kernelkit.distributed import DesignLeastSquares, design_rows, design_source
from kernelkit.distributed.chunks import Chunks
from kernelkit.distributed.design_rows import Pool
from kernelkit.distributed.tree_qr import Factor

RNG = np.random.default_rng(0)
X = RNG.standard_t(3, size=(300, 3))
Y = np.sin(X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(300)
TWO = np.column_stack([Y, 1e3 * Y[::-1]])
WEIGHTS = RNG.uniform(size=300) * (RNG.uniform(size=300) > 0.2)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
Q = RNG.standard_normal((40, 3))

SAMPLINGS = {
    "dpp_repeat": {},
    "dpp": {"delta": None},
    "gvs": {"zeta": 0.3},
    "volume": {"n_samples": 30, "delta": None},
    "iid": {},
    "mixture": {"zeta": 0.5, "n_samples": 25, "delta": 0.9},
    "uniform": {"n_samples": 12, "n_boost": 2},
}
BASES = [
    LegendreBasis(2),
    ChebyshevBasis(2, clip=True),
    FourierBasis(1),
    HermiteBasis(2),
    HermiteBasis(2, loc=1.0),
    HermiteBasis(2, loc=[0.0, 1.0, 2.0], scale=3.0),
    OrthonormalBasis(),
    OrthonormalBasis(LegendreBasis(2)),
    OrthonormalBasis(make_pipeline(StandardScaler(), PolynomialFeatures(2))),
    PolynomialFeatures(2),
]

each_basis = pytest.mark.parametrize("features", BASES, ids=str)
each_weights = pytest.mark.parametrize("weights", [None, WEIGHTS])

pytestmark = pytest.mark.usefixtures("in_this_thread")


@pytest.fixture(autouse=True)
def rows_on_demand(monkeypatch):
    """Fetch rows one after the other, as from a pool of which there are many."""
    monkeypatch.setattr(design_source, "_MANY_NUMBERS", 0)


def model(features=None, **params):
    return DesignLeastSquares(features, **{"random_state": 0, **params})


def plain(features=None, **params):
    return kernelkit.DesignLeastSquares(features, **{"random_state": 0, **params})


def only(rows, y):
    """Forget all labels but those of some rows."""
    known = np.full_like(y, np.nan)
    known[rows] = y[rows]
    return known


def assert_same(got, expected, rtol=1e-10):
    """Compare two fits."""
    np.testing.assert_array_equal(got.design_.indices, expected.design_.indices)
    np.testing.assert_array_equal(got.design_.counts, expected.design_.counts)
    np.testing.assert_allclose(got.design_.weights, expected.design_.weights, rtol=rtol)
    size = np.abs(expected.coef_).max(axis=-1, keepdims=True)
    assert got.coef_.shape == expected.coef_.shape
    np.testing.assert_allclose(got.coef_ / size, expected.coef_ / size, atol=rtol)
    np.testing.assert_allclose(
        got.intercept_, expected.intercept_, rtol=rtol, atol=rtol * size.max()
    )
    for name in ("lambda_min_", "condition_number_", "loo_error_"):
        ours, theirs = getattr(got, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)
    assert (got.rank_, got.n_labels_) == (expected.rank_, expected.n_labels_)


def counting(monkeypatch):
    """List the steps that are computed, in order."""
    steps, gather = [], Chunks.gather

    def spy(rows, step, *arguments, **how):
        steps.append(step)
        return gather(rows, step, *arguments, **how)

    monkeypatch.setattr(Chunks, "gather", spy)
    return steps


class TestSameDesign:
    """Rows, weights and coefficients are those of the plain class."""

    @each_cut
    @pytest.mark.parametrize(("y", "weights"), [(Y, None), (TWO, WEIGHTS)])
    def test_any_cut(self, cut, y, weights):
        """Seen red with rows of chunks numbered from the first row of all, with places
        among the rows with weight, and with equal masses."""
        parts = [None if part is None else chunked(part, cut) for part in (y, weights)]

        got = model(PolynomialFeatures(2)).fit(chunked(X, cut), *parts)

        assert_same(got, plain(PolynomialFeatures(2)).fit(X, y, weights))

    @pytest.mark.parametrize("sampling", SAMPLINGS)
    @pytest.mark.parametrize(
        ("weights", "fit_intercept"), [(None, False), (WEIGHTS, True)]
    )
    def test_any_sampling(self, sampling, weights, fit_intercept):
        """Seen red with the generator consumed by the look ahead."""
        params = {"sampling": sampling, "fit_intercept": fit_intercept}
        params |= SAMPLINGS[sampling]

        got = model(**params).fit(chunked(X), Y, weights)

        assert_same(got, plain(**params).fit(X, Y, weights))

    @each_basis
    @each_weights
    def test_any_basis(self, features, weights):
        """Seen red with the ends of all rows, with and without weight."""
        got = model(features).fit(chunked(X), Y, weights)

        assert_same(got, plain(features).fit(X, Y, weights))
        np.testing.assert_allclose(
            got.features_.transform(Q / 4), expected_features(got, features, weights)
        )

    @pytest.mark.parametrize("seed", range(3))
    def test_any_seed(self, seed):
        params = {"random_state": seed, "n_boost": 2, "reduce_to": "auto"}

        got = model(LegendreBasis(3), **params).fit(chunked(X, "three"), Y)

        assert_same(got, plain(LegendreBasis(3), **params).fit(X, Y))

    def test_more_chunks_than_are_joined_at_once(self):
        """Seen red with R factors added."""
        rows = dask.array.from_array(X, chunks=(11, 2))

        got = model(PolynomialFeatures(2)).fit(rows, Y)

        assert_same(got, plain(PolynomialFeatures(2)).fit(X, Y))

    def test_chunks_of_a_row(self):
        """Seen red with the mass of a factor taken from its last row."""
        few = X[:12]

        got = model(n_samples=6, delta=None).fit(
            dask.array.from_array(few, chunks=(1, 3)), Y[:12], WEIGHTS[:12]
        )

        expected = plain(n_samples=6, delta=None).fit(few, Y[:12], WEIGHTS[:12])
        assert_same(got, expected)

    @each_weights
    def test_all_rows(self, weights):
        got = model(n_samples=None).fit(chunked(X), Y, weights)

        assert_same(got, plain(n_samples=None).fit(X, Y, weights))

    def test_equal_weights_are_none(self):
        """Seen red with weights that are divided by their sum."""
        weights = chunked(np.full(300, 0.1))

        got = model().select(chunked(X), weights)

        np.testing.assert_array_equal(got.weights, model().select(chunked(X)).weights)
        np.testing.assert_array_equal(got.indices, plain().select(X).indices)

    def test_frames(self):
        """Seen red with rows without names."""
        columns = make_column_transformer(
            (PolynomialFeatures(2, include_bias=False), ["c", "a"])
        )
        targets = chunked(pd.Series(Y))

        got = model(columns).fit(chunked(FRAME), targets)

        assert_same(got, plain(columns).fit(FRAME, Y))
        assert got.feature_names_in_.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(got.predict(FRAME), got.predict(FRAME[[*"abc"]]))

    def test_names_reach_the_basis(self):
        basis = model(LegendreBasis(2)).fit(chunked(FRAME), chunked(pd.Series(Y)))

        assert basis.features_.feature_names_in_.tolist() == ["a", "b", "c"]
        basis.predict(FRAME)

    @pytest.mark.parametrize(
        ("scales", "shifts"),
        [
            ([1e-170, 1e3, 1e160], [0.0, -1e5, 0.0]),
            ([1.0, 1e-6, 1.0], [1e8, 1e3, -1e12]),
        ],
    )
    @pytest.mark.parametrize("cut", ["one", "seven"])
    def test_any_unit(self, scales, shifts, cut):
        """Seen red with features that are not scaled, if all are in one chunk, and with
        zero for a centre."""
        rows = X * scales + shifts

        got = model().fit(chunked(rows, cut), Y)

        expected = plain().fit(rows, Y)
        np.testing.assert_array_equal(got.design_.indices, expected.design_.indices)
        np.testing.assert_allclose(got.coef_, expected.coef_, rtol=1e-8)
        np.testing.assert_allclose(
            got.predict(rows), expected.predict(rows), rtol=1e-8, atol=1e-8
        )

    def test_chunks_far_from_each_other(self):
        """Seen red with the centre of the first chunk for all."""
        rows = X + 1e6 * (np.arange(300) // 100)[:, None] * [1.0, 0.0, -1.0]

        got = model().fit(chunked(rows, "three"), Y)

        assert_same(got, plain().fit(rows, Y), rtol=1e-8)

    @each_cut
    def test_dependent_features(self, cut):
        """Seen red without a pivot."""
        rows = np.column_stack([X, X[:, 0] - X[:, 1], np.full(300, 3.3), X[:, 2]])

        with pytest.warns(UserWarning, match="rank 4 .* 2 of 6 depend"):
            got = model().fit(chunked(rows, cut), Y)
        with pytest.warns(UserWarning, match="rank 4 .* 2 of 6 depend"):
            expected = plain().fit(rows, Y)

        assert_same(got, expected)
        assert got.coef_[3:].tolist() == [0.0, 0.0, 0.0]

    def test_constant_in_each_chunk(self):
        """Seen red without the move to a common centre."""
        rows = np.column_stack([X[:, 0], np.arange(300) // 100])

        got = model().fit(chunked(rows, "three"), Y)

        assert_same(got, plain().fit(rows, Y))
        assert got.coef_[1] != 0.0

    def test_nearly_dependent_features(self, monkeypatch):
        """Seen red with what one pass makes orthonormal."""
        rows = np.column_stack([X, X[:, 0] + 1e-5 * X[:, 1] ** 2])

        got = model(rank_tol=1e-12).fit(chunked(rows), Y)

        assert_same(got, plain(rank_tol=1e-12).fit(rows, Y), rtol=1e-7)
        pool = Pool.of(chunked(rows), None)
        space, leverage = pool.make_space(None, centers=True, tol=None)
        Q = pool.functions(None, space, np.arange(300))
        np.testing.assert_allclose(Q.T @ Q, np.eye(5), atol=1e-12)
        np.testing.assert_allclose(np.square(Q).sum(axis=1), leverage, rtol=1e-12)

    @pytest.mark.parametrize("rank_tol", [0.0, 1e-16])
    def test_dependent_features_that_are_kept(self, rank_tol):
        """Seen red with functions that are far from orthonormal."""
        rows = np.column_stack([X, X[:, 0] + X[:, 1]])

        with pytest.raises(ValueError, match="but for rounding errors: raise rank_tol"):
            model(rank_tol=rank_tol).select(chunked(rows))

    @pytest.mark.parametrize(
        ("light", "lighter"), [(1e-320, 1e-322), (1e-310, 1e-322), (1e-200, 1e-250)]
    )
    def test_weights_that_underflow(self, light, lighter):
        """Seen red with means of chunks without mass, which are not numbers."""
        weights = np.repeat([light, lighter, 1e10], 100)

        got = model(features := PolynomialFeatures(2)).fit(chunked(X), Y, weights)

        assert_same(got, plain(features).fit(X, Y, weights))

    @pytest.mark.parametrize("sampling", ["volume", "gvs", "dpp"])
    def test_few_rows_are_fetched_at_once(self, sampling, monkeypatch):
        """Seen red with none of them."""
        params = {"sampling": sampling, "n_boost": 4}
        on_demand = model(**params).fit(chunked(X), Y)
        monkeypatch.setattr(design_source, "_MANY_NUMBERS", 2**20)
        steps = counting(monkeypatch)

        at_once = model(**params).fit(chunked(X), Y)

        assert steps.count("design-rows") == 1
        assert_same(at_once, on_demand)

    @pytest.mark.parametrize("sampling", ["dpp_repeat", "iid", "volume"])
    def test_rows_that_no_draw_proposes_stay_where_they_are(
        self, sampling, monkeypatch
    ):
        """Seen red with all rows of a small pool."""
        monkeypatch.setattr(design_source, "_MANY_NUMBERS", 2**20)
        fetched, functions = [], Pool.functions

        def spy(pool, features, space, numbers):
            fetched.extend(numbers)
            return functions(pool, features, space, numbers)

        monkeypatch.setattr(Pool, "functions", spy)

        model(sampling=sampling, delta=None).select(chunked(np.tile(X, (10, 1))))

        assert len(fetched) < 300

    def test_random_orders_of_all_rows_are_not_kept(self, monkeypatch):
        """Seen red with views of the order that each design takes rows from."""
        monkeypatch.setattr(design_source, "_MANY_NUMBERS", 2**21)
        n = 200_000
        rows = dask.array.random.default_rng(0).normal(size=(n, 2), chunks=(10_000, 2))

        tracemalloc.start()
        try:
            model(sampling="uniform", n_samples=12, n_boost=20).select(rows)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert peak < 110 * n

    def test_features_are_made_by_one_thread_each(self):
        """Seen red with as many threads of BLAS as other tasks allow."""
        threads = []

        def count(X):
            blas = threadpool_info()
            threads.extend(
                each["num_threads"] for each in blas if each["user_api"] == "blas"
            )
            return X

        with threadpool_limits(2, "blas"):
            model(FunctionTransformer(count)).select(chunked(X))

        assert {*threads} == {1}

    def test_workers_do_not_change_a_bit(self, client):
        """On two workers and in this thread."""
        rows, y = chunked(np.tile(X, (10, 1)), "three"), np.tile(Y, 10)
        regressor = model(LegendreBasis(4), random_state=3)
        by_workers = clone(regressor).fit(rows, y)
        with dask.config.set(scheduler="synchronous"):
            alone = clone(regressor).fit(rows, y)

        for name in ("coef_", "intercept_", "lambda_min_", "loo_error_"):
            ours, theirs = getattr(by_workers, name), getattr(alone, name)
            np.testing.assert_array_equal(ours, theirs)
        for name in ("indices", "weights", "counts"):
            ours, theirs = (
                getattr(by_workers.design_, name),
                getattr(alone.design_, name),
            )
            np.testing.assert_array_equal(ours, theirs)


def expected_features(got, features, weights):
    """Evaluate a transformer that was fitted to all rows with weight."""
    rows = X if weights is None else X[weights > 0.0]
    return clone(features).fit(rows).transform(Q / 4)


class TestSample:
    """What other transformers are fitted to."""

    def test_a_sample_is_enough_for_polynomials(self, monkeypatch):
        """Seen red with the sample drawn from the generator of the design."""
        monkeypatch.setattr(design_rows, "_MOST_TO_FIT", 50)

        got = model(PolynomialFeatures(2)).fit(chunked(X), Y)

        assert_same(got, plain(PolynomialFeatures(2)).fit(X, Y))

    def test_other_transformers_see_random_rows(self, monkeypatch):
        """Seen red with the first rows."""
        monkeypatch.setattr(design_rows, "_MOST_TO_FIT", 50)
        rows = np.arange(300.0)[:, None]
        weights = np.where(rows[:, 0] < 100.0, 0.0, 1.0)

        means = [
            model(StandardScaler(), random_state=seed)
            .fit(chunked(rows, cut), Y, weights)
            .features_.mean_[0]
            for seed, cut in [(0, "one"), (0, "seven"), (1, "seven")]
        ]

        assert means[0] == means[1] != means[2]
        assert 170.0 < means[0] < 230.0
        assert means[0] != rows[100:].mean()

    @pytest.mark.parametrize("bits", [np.random.PCG64, np.random.RandomState])
    def test_any_generator(self, bits, monkeypatch):
        """Seen red with a child of the generator, which an older one does not have."""
        monkeypatch.setattr(design_rows, "_MOST_TO_FIT", 50)
        bits = getattr(bits(3), "_bit_generator", bits(3))

        first, second = (
            model(StandardScaler(), random_state=np.random.Generator(deepcopy(bits)))
            .fit(chunked(X), Y)
            .features_.mean_
            for _ in range(2)
        )

        np.testing.assert_array_equal(first, second)

    def test_few_rows_are_all_seen(self):
        features = make_pipeline(StandardScaler(), Nystroem(n_components=8))

        got = model(features).fit(chunked(X), Y, WEIGHTS)

        assert_same(got, plain(features).fit(X, Y, WEIGHTS))

    def test_a_frozen_transformer_is_kept(self, monkeypatch):
        monkeypatch.setattr(design_rows, "_MOST_TO_FIT", 50)
        frozen = FrozenEstimator(StandardScaler().fit(X + 7.0))

        got = model(frozen).fit(chunked(X), Y)

        assert_same(got, plain(frozen).fit(X, Y))


class TestSelection:
    """The rows depend on X, weights, parameters and random_state, never on y."""

    @pytest.mark.parametrize("cut", ["seven", "unknown"])
    @pytest.mark.parametrize("seed", [0, None, np.random.default_rng(0)])
    @each_weights
    def test_fit_uses_the_selected_rows(self, cut, seed, weights):
        """Seen red with a fit that draws anew."""
        regressor, rows = model(random_state=seed), chunked(X, cut)
        weights = None if weights is None else chunked(weights, cut)
        chosen = regressor.select(rows, weights).indices

        for _ in range(2):
            regressor.fit(rows, chunked(only(chosen, Y), cut), weights)

            np.testing.assert_array_equal(regressor.design_.indices, chosen)

    def test_fit_after_select_reads_targets_alone(self, monkeypatch):
        """Seen red with the selection forgotten."""
        regressor, rows = model(), chunked(X)
        regressor.select(rows)
        steps = counting(monkeypatch)

        regressor.fit(rows, chunked(Y))

        assert steps == ["design-targets"]

    @pytest.mark.parametrize(
        ("change", "rows", "weights"),
        [
            ({}, X, WEIGHTS),
            ({}, X[::-1], None),
            ({"n_samples": 30}, X, None),
            ({"features__degree": 3}, X, None),
            ({"random_state": 1}, X, None),
        ],
    )
    @pytest.mark.parametrize("seed", [0, None])
    def test_another_problem_is_drawn_anew(self, change, rows, weights, seed):
        """Seen red with a key of X alone, without X, and without the seed."""
        regressor = model(PolynomialFeatures(2), random_state=seed)
        chosen = regressor.select(chunked(X)).indices

        regressor.set_params(**change).fit(chunked(rows), Y, weights)

        assert not np.array_equal(regressor.design_.indices, chosen)

    def test_select_leaves_an_unfitted_estimator_unfitted(self):
        """Seen red with `select` setting `n_features_in_`."""
        regressor = model()

        regressor.select(chunked(X))

        with pytest.raises(NotFittedError):
            regressor.predict(chunked(X))

    def test_unlabelled_rows_are_listed(self):
        """Seen red with numbers within a chunk."""
        regressor = model(n_samples=15)
        rows = regressor.select(chunked(X)).indices
        y = only(rows, Y)
        y[rows[[2, 11]]] = np.nan

        for targets in (y, chunked(y), chunked(y, "three")):
            with pytest.raises(ValueError, match=rf"NaN.*\[{rows[2]}, {rows[11]}\]"):
                regressor.fit(chunked(X), targets)

    def test_chunks_without_chosen_rows_are_left_alone(self):
        """Seen red with targets of all chunks."""

        def fail(block, block_info=None):
            if block_info[0]["chunk-location"][0] in loud:
                raise AssertionError
            return block

        regressor = model(n_samples=5, delta=None)
        rows = dask.array.from_array(X, chunks=(10, 3))
        chosen = regressor.select(rows).indices
        loud = set(range(30)) - set((chosen // 10).tolist())
        y = dask.array.from_array(Y, chunks=10).map_blocks(fail, dtype=float)

        regressor.fit(rows, y)

        assert loud

    def test_numbers_in_memory_for_chunks_of_any_size(self):
        rows = chunked(X, "unknown")

        got = model().fit(rows, Y)

        assert_same(got, plain().fit(X, Y))
        with pytest.raises(ValueError, match=r"inconsistent.* 300 rows.* 299"):
            model().fit(rows, Y[:-1])

    def test_designs_that_are_drawn_again(self):
        params = {"n_samples": 6, "delta": 0.3, "max_resample": 4}

        for sampling in ("dpp_repeat", "iid", "uniform"):
            with pytest.warns(ConvergenceWarning, match="No design"):
                got = model(sampling=sampling, **params).select(chunked(X))
            with pytest.warns(ConvergenceWarning, match="No design"):
                expected = plain(sampling=sampling, **params).select(X)
            np.testing.assert_array_equal(got.indices, expected.indices)
            assert got.n_tries == expected.n_tries == 4

    @pytest.mark.parametrize("sampling", ["dpp_repeat", "iid", "uniform", "mixture"])
    def test_a_growing_design_is_fetched_at_once(self, sampling, monkeypatch):
        """Seen red with blocks that are fetched one after the other."""
        steps = counting(monkeypatch)
        params = {"sampling": sampling, "zeta": 0.5 * (sampling == "mixture")}

        model(LegendreBasis(3), **params).select(chunked(RNG.uniform(size=(300, 3))))

        assert steps.count("design-rows") <= 2


class TestRefusals:
    """Errors say what came, and in which chunk."""

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, value):
        rows = X.copy()
        rows[250, 1] = value

        with pytest.raises(ValueError, match="In chunk 2: Input X contains"):
            model().fit(chunked(rows, "three"), Y)

    def test_qr(self):
        with pytest.raises(ValueError, match="sampling='qr' factors all rows"):
            model(sampling="qr").select(chunked(X))

    def test_weights(self):
        with pytest.raises(ValueError, match="Every sample_weight is zero"):
            model().select(chunked(X), chunked(np.zeros(300)))
        with pytest.raises(ValueError, match=r"In chunk \d: Negative values"):
            model().select(chunked(X), chunked(-WEIGHTS))

    def test_lengths(self, monkeypatch):
        """Seen red with numbers in memory that are counted after the draw."""
        steps = counting(monkeypatch)

        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            model().fit(chunked(X), Y[:-1])
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            model().fit(chunked(X), chunked(Y[:-1]))

        assert steps == []

    def test_no_rows(self):
        with pytest.raises(ValueError, match="without a row"):
            model().select(dask.array.zeros((0, 3), chunks=(1, 3)))

    def test_columns_that_differ(self):
        parts = [dask.delayed(FRAME), dask.delayed(FRAME[["a", "b"]])]
        rows = dask.dataframe.from_delayed(parts, meta=FRAME, verify_meta=False)

        with pytest.raises(ValueError, match="Chunk 1 has 2 features"):
            model().select(rows)

    def test_too_few(self):
        with pytest.raises(ValueError, match="n_samples=3 points do not determine"):
            model(n_samples=3).select(chunked(X))

    def test_parameters_of_a_basis(self):
        with pytest.raises(ValueError, match="'tol' parameter of OrthonormalBasis"):
            model(OrthonormalBasis(tol=2.0)).select(chunked(X))

    def test_all_zero(self):
        with pytest.raises(ValueError, match="All features are zero"):
            model(fit_intercept=False).select(chunked(np.zeros((30, 2))))

    def test_a_block_that_is_not_found(self, monkeypatch):
        """Seen red with fewer rows than functions."""
        monkeypatch.setattr(design_source, "max_proposals", lambda m: 1.0)
        monkeypatch.setattr(
            "kernelkit.design.sources.accept_rows", lambda *args: np.arange(1)
        )

        with pytest.raises(ValueError, match="Only 1 of 4 rows"):
            model().select(chunked(X))

    def test_a_fit_that_fails_changes_nothing(self):
        regressor = model().fit(chunked(X), Y)
        before = regressor.predict(Q)

        with pytest.raises(ValueError, match="NaN"):
            regressor.fit(chunked(X[:, :2]), np.full(300, np.nan))

        np.testing.assert_array_equal(regressor.predict(Q), before)


class TestFitted:
    """What a fit on chunks can do."""

    @each_cut
    def test_predictions_of_chunks(self, cut):
        regressor = model(LegendreBasis(2, clip=True)).fit(chunked(X), Y)

        got = regressor.predict(chunked(Q, cut))

        assert dask.is_dask_collection(got)
        np.testing.assert_allclose(got.compute(), regressor.predict(Q), rtol=1e-13)

    def test_score(self):
        rows = chunked(X)
        regressor = model().fit(rows, TWO, WEIGHTS)

        got = regressor.score(rows, chunked(TWO), chunked(WEIGHTS))

        assert got == pytest.approx(regressor.score(X, TWO, WEIGHTS), rel=1e-12)

    def test_rows_in_memory_are_for_the_plain_class(self):
        assert_same(model().fit(X, Y), plain().fit(X, Y), rtol=0.0)
        np.testing.assert_array_equal(
            model().select(X).indices, plain().select(X).indices
        )

    def test_pickled_and_cloned(self):
        regressor = model(LegendreBasis(2)).fit(chunked(X), Y)

        again = pickle.loads(pickle.dumps(regressor))

        np.testing.assert_array_equal(again.predict(X), regressor.predict(X))
        assert len(pickle.dumps(regressor)) < 20_000
        with pytest.raises(NotFittedError):
            clone(regressor).predict(X)

    def test_functions_are_fitted_in_memory(self):
        regressor = model(LegendreBasis(3, bounds=[(-1, 1)]))

        regressor.fit_function(lambda x: x[:, 0] ** 2)

        got = regressor.predict(dask.array.full((4, 1), 0.5, chunks=2)).compute()
        np.testing.assert_allclose(got, 0.25)

    def test_transformers_that_cannot_be_pickled(self):
        regressor = model(FunctionTransformer(lambda X: X**2), random_state=None)
        rows = regressor.select(chunked(X)).indices

        assert regressor.fit(chunked(X), only(rows, Y)).n_labels_ == len(rows)

    def test_sparse_features(self):
        rows = RNG.integers(3, size=(90, 2))
        features = OneHotEncoder()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of dependent columns
            got = model(features).fit(chunked(rows), Y[:90])
            expected = plain(features).fit(rows, Y[:90])

        assert_same(got, expected)


class TestFactor:
    """R factors of parts, joined, are that of all rows."""

    @pytest.mark.parametrize("centers", [True, False])
    @pytest.mark.parametrize("offset", [0.0, 1e9])
    @pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
    def test_joined(self, centers, offset, scale):
        """Seen red without the move to a common centre, and to common scales."""
        masses = 0.1 + WEIGHTS
        F = scale * (X + offset * (1.0 + np.arange(300) // 30)[:, None] * (centers))
        parts = [
            Factor.of(F[k : k + 30], masses[k : k + 30], centers=centers)
            for k in range(0, 300, 30)
        ]

        joined = parts[0]
        for part in parts[1:]:
            joined = joined.join(part)

        columns = np.ldexp(F - joined.center, -joined.exponents)
        if centers:
            mean = np.average(F / scale, axis=0, weights=masses) * scale
            np.testing.assert_allclose(joined.center, mean, rtol=1e-13)
            columns = np.column_stack([np.ones(300), columns])
        gram = columns.T @ (masses[:, None] * columns)
        np.testing.assert_allclose(
            joined.R.T @ joined.R, gram, rtol=1e-10, atol=1e-13 * np.abs(gram).max()
        )

    def test_change_is_that_of_all_features(self):
        """Seen red with negative pivots."""
        F = PolynomialFeatures(3).fit_transform(X)
        factor = Factor.of(F, np.full(300, 1 / 300), centers=False)

        change = change_by_factor(factor.R, factor.exponents, 300)

        expected = orthonormalize(F).change
        np.testing.assert_array_equal(change.kept, expected.kept)
        np.testing.assert_allclose(change.evaluate(F), expected.evaluate(F), atol=1e-9)
