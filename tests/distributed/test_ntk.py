"""The kernel machine on Dask is the plain one, whose rows stay with the workers."""

import pickle

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import kernelkit
from kernelkit.distributed import NTKSVC, ntk

RNG = np.random.default_rng(0)
X = RNG.standard_normal((150, 4))
TWO = np.where(X[:, 0] * X[:, 1] > 0.0, "same", "other")
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7])]
WEIGHTS = RNG.uniform(size=150) * (RNG.uniform(size=150) > 0.2)
Q = RNG.standard_normal((20, 4))
FRAME = pd.DataFrame(X, columns=["a", "b", "c", "d"])
BOUNDS = ("pac_bayes", "rademacher", "loo")

LOSSES = ["hinge", "squared_hinge", "logistic", "squared"]
PARAMS = {"depth": 2, "sigma_b": 0.3, "C": 2.0, "tol": 1e-9}


@pytest.fixture(autouse=True)
def small_tiles_in_this_thread(request, monkeypatch):
    """Make several tiles of a chunk, where errors can be debugged if nobody works."""
    monkeypatch.setattr(ntk, "_TILE", 32)
    if "client" in request.fixturenames:
        yield
    else:
        with dask.config.set(scheduler="synchronous"):
            yield


def plain(**params):
    return kernelkit.NTKSVC(**PARAMS | params)


def on_dask(**params):
    return NTKSVC(**PARAMS | params)


def assert_equal_machines(got, expected, atol=1e-10):
    """Compare what was fitted."""
    assert got.support_.tolist() == expected.support_.tolist()
    assert got.classes_.tolist() == expected.classes_.tolist()
    assert got.n_features_in_ == expected.n_features_in_
    np.testing.assert_array_equal(got.X_fit_, expected.X_fit_[expected.support_])
    values = expected.decision_function(Q)
    np.testing.assert_allclose(got.decision_function(Q), values, rtol=0, atol=atol)
    np.testing.assert_array_equal(got.predict(Q), expected.predict(Q), strict=True)
    np.testing.assert_allclose(got.rkhs_norm_, expected.rkhs_norm_, rtol=1e-8)
    np.testing.assert_allclose(got.dual_gap_, expected.dual_gap_, atol=1e-6)


class TestFit:
    """Chunks do not matter."""

    @each_cut
    @pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
    def test_equals_plain_machine(self, y, cut):
        """Seen red with tiles below the diagonal left as they were."""
        got = on_dask().fit(chunked(X, cut), chunked(y, cut), chunked(WEIGHTS, cut))

        assert_equal_machines(got, plain().fit(X, y, WEIGHTS))

    def test_small_chunks_are_joined(self, monkeypatch):
        """So tasks are as many as tiles of the matrix, or a little more.

        Seen red with a block for each chunk.
        """
        calls = []
        monkeypatch.setattr(
            ntk, "_tile", lambda *args, tile=ntk._tile: calls.append(1) or tile(*args)
        )
        rows = dask.array.from_array(X, chunks=((0, 1) * 40 + (0, 70, 1, 1, 38), 4))

        got = on_dask().fit(rows, TWO, WEIGHTS)

        assert_equal_machines(got, plain().fit(X, TWO, WEIGHTS))
        assert len(calls) <= 6 * 7 / 2

    @pytest.mark.parametrize("multi_class", ["ovr", "ovo"])
    @pytest.mark.parametrize("loss", LOSSES)
    def test_losses(self, loss, multi_class):
        """Where each chunk has several tiles and some rows have no weight.

        Seen red with rows counted from the start of their chunk.
        """
        params = {"loss": loss, "multi_class": multi_class, "class_weight": "balanced"}

        got = on_dask(**params).fit(chunked(X), THREE, WEIGHTS)

        # rounding decides at which Newton step the logistic loss stops
        atol = 1e-7 if loss == "logistic" else 1e-10
        assert_equal_machines(got, plain(**params).fit(X, THREE, WEIGHTS), atol)

    def test_intercept(self):
        """Seen red with values that leave it out."""
        got = on_dask(fit_intercept=True).fit(chunked(X), TWO)

        assert got.intercept_.any()
        assert_equal_machines(got, plain(fit_intercept=True).fit(X, TWO), 1e-7)

    def test_probabilities(self):
        """Seen red with the sigmoids of the machines in reverse."""
        params = {"probability": True, "multi_class": "ovo"}
        expected = plain(**params).fit(X, THREE).predict_proba(Q)

        got = on_dask(**params).fit(chunked(X), THREE)

        np.testing.assert_allclose(got.predict_proba(Q), expected, atol=1e-7)
        assert not hasattr(on_dask().fit(chunked(X), TWO), "predict_proba")

    def test_frames(self):
        """Seen red without the names."""
        got = on_dask().fit(chunked(FRAME), chunked(pd.Series(THREE)))

        assert got.feature_names_in_.tolist() == [*"abcd"]
        expected = plain().fit(FRAME, THREE)
        lazy = got.decision_function(chunked(FRAME)).compute()
        np.testing.assert_allclose(lazy, expected.decision_function(FRAME), atol=1e-10)
        got.fit(chunked(X), TWO)
        assert not hasattr(got, "feature_names_in_")

    def test_path(self):
        """Seen red with each start cut to the support vectors."""
        Cs = [3.0, 0.1, 3.0]

        got = on_dask().c_path(chunked(X, "seven"), TWO, Cs, WEIGHTS)

        for ours, theirs in zip(got, plain().c_path(X, TWO, Cs, WEIGHTS), strict=True):
            assert ours.C == theirs.C
            assert_equal_machines(ours, theirs)

    def test_rows_in_memory(self):
        """Seen red with the state of an earlier fit kept."""
        model = on_dask().fit(chunked(X[:60]), TWO[:60])
        model.fit(X, TWO)

        expected = plain().fit(X, TWO)
        np.testing.assert_array_equal(model.dual_coef_, expected.dual_coef_)
        for method in BOUNDS:
            bound = model.generalization_bound(method).bound
            assert bound == expected.generalization_bound(method).bound

    def test_rows_of_zeros(self):
        """Seen red without the warning."""
        zeros = np.zeros((30, 4))
        message = "All training rows are zero"

        with pytest.warns(UserWarning, match=message):
            model = NTKSVC().fit(chunked(zeros), TWO[:30])

        with pytest.warns(UserWarning, match=message):
            expected = kernelkit.NTKSVC().fit(zeros, TWO[:30])
        assert model.predict(Q).tolist() == expected.predict(Q).tolist()

    def test_model_is_small_and_travels(self):
        """Seen red with the plan of the rows kept."""
        model = on_dask(C=0.5).fit(chunked(X), TWO)

        copy = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copy.predict(Q), model.predict(Q))
        n = len(model.support_)
        assert model.X_fit_.shape == (n, 4)
        assert model.dual_coef_.shape == (1, n)
        assert n < len(X)
        assert clone(model).get_params() == model.get_params()
        assert len(pickle.dumps(model)) < 8 * (5 * n + 3 * len(X)) + 3000

    def test_rows_are_read_twice(self):
        """Seen red without workers that hold them."""
        reads = []
        rows = chunked(X).map_blocks(
            lambda block: reads.append(1) or block, dtype=float
        )
        reads.clear()

        on_dask().fit(rows, TWO)

        assert len(reads) == 6

    def test_warning_reaches_the_user(self):
        """Seen red with warnings of the solver ignored."""
        with pytest.warns(ConvergenceWarning, match="1 of 1 machines"):
            on_dask(max_iter=1, C=1e4).fit(chunked(X), TWO)

    def test_workers_give_the_same_bits(self, client):
        """Seen red with a constant that differs between processes."""
        data = chunked(X, "seven"), chunked(THREE, "seven"), chunked(WEIGHTS, "seven")

        got = on_dask().fit(*data)

        with dask.config.set(scheduler="synchronous"):
            expected = on_dask().fit(*data)
        for name in ("X_fit_", "dual_coef_", "rkhs_norm_", "support_"):
            ours, theirs = getattr(got, name), getattr(expected, name)
            np.testing.assert_array_equal(ours, theirs, strict=True)
        values = got.decision_function(data[0])
        with dask.config.set(scheduler="synchronous"):
            theirs = expected.decision_function(data[0]).compute()
        np.testing.assert_array_equal(values.compute(), theirs, strict=True)
        score = got.score(*data)
        with dask.config.set(scheduler="synchronous"):
            assert score == expected.score(*data)


class TestQueries:
    """Results for Dask queries are planned, and those of the plain class."""

    @pytest.mark.parametrize("cut", ["seven", "unknown", "empty"])
    @pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
    def test_equal_those_of_rows_in_memory(self, y, cut):
        """Seen red with values of two classes as a column."""
        model = on_dask(loss="logistic").fit(chunked(X), y)

        for method in ("predict", "decision_function", "predict_proba", "certify"):
            expected = getattr(model, method)(X[:40])
            lazy = getattr(model, method)(chunked(X[:40], cut))
            assert lazy.dtype == expected.dtype
            got = lazy.compute()
            if expected.dtype.kind == "U":
                np.testing.assert_array_equal(got, expected, strict=True)
            else:
                np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
        score = model.score(chunked(X[:40], cut), chunked(y[:40], cut))
        assert score == pytest.approx(model.score(X[:40], y[:40]), abs=1e-15)

    def test_attacks(self):
        """Seen red with radii and rows swapped."""
        model = on_dask(depth=1).fit(chunked(X), TWO)

        radii, adversaries = model.attack(chunked(Q[:4], "one"), clip=(-4.0, 4.0))

        expected = plain(depth=1).fit(X, TWO).attack(Q[:4], clip=(-4.0, 4.0))
        np.testing.assert_allclose(radii.compute(), expected[0], atol=1e-8)
        np.testing.assert_allclose(adversaries.compute(), expected[1], atol=1e-8)
        assert adversaries.shape == (4, 4)

    @pytest.mark.parametrize("cut", ["seven", "unknown"])
    def test_robust_score(self, cut):
        """Seen red with the mean over chunks."""
        model = on_dask(depth=1).fit(chunked(X), TWO)

        got = model.robust_score(chunked(X[:50], cut), chunked(TWO[:50], cut), 0.03)

        expected = plain(depth=1).fit(X, TWO).robust_score(X[:50], TWO[:50], 0.03)
        assert got == pytest.approx(expected, abs=1e-12)
        assert 0.1 < got < 0.99

    @pytest.mark.parametrize("method", BOUNDS)
    def test_bounds(self, method):
        """They are about all rows, not support vectors.

        Seen red with those of the support vectors.
        """
        got = on_dask().fit(chunked(X), THREE).generalization_bound(method)

        expected = plain().fit(X, THREE).generalization_bound(method)
        assert got.bound == pytest.approx(expected.bound, rel=1e-8)
        with pytest.raises(ValueError, match=r"training rows had weight 0"):
            on_dask().fit(chunked(X), TWO, WEIGHTS).generalization_bound(method)


class TestRefusals:
    """What the plain class refuses, and what does not fit."""

    @pytest.mark.parametrize(
        ("rows", "y", "message"),
        [
            (
                chunked(np.where(X > 2.5, np.nan, X)),
                TWO,
                "In chunk .: Input X contains",
            ),
            (chunked(X), TWO[:-1], "inconsistent numbers of samples"),
            (chunked(X), None, "requires y to be passed"),
            (chunked(X), np.ones(150), "needs rows of 2 classes or more"),
            (chunked(X[:, 0]), TWO, "Expected 2D array"),
            (chunked(X[:, :0]), TWO, r"0 feature\(s\)"),
            (dask.array.zeros((0, 4)), [], "without a row"),
            (chunked(X * 1e200), TWO, "In chunk .: .+overflow"),
            (chunked(X, "unknown"), TWO, "unknown sizes, so y"),
            (chunked(X).astype(str), TWO, "In chunk .: "),
        ],
    )
    def test_bad_data(self, rows, y, message):
        """Seen red without the check of rows in tasks."""
        with pytest.raises(ValueError, match=message):
            on_dask().fit(rows, y)

    def test_parameters(self):
        """Seen red without `check.params`, and without the look at the loss."""
        with pytest.raises(ValueError, match="The 'C' parameter of NTKSVC"):
            on_dask(C=-1.0).fit(chunked(X), TWO)
        with pytest.raises(ValueError, match="is for loss='hinge'"):
            on_dask(fit_intercept=True, loss="squared").fit(chunked(X), TWO)

    def test_matrix_beyond_memory(self):
        """It is refused before a row is read.

        Seen red without the early look: 1e12 rows never end.
        """
        rows = dask.array.ones((10**7, 3), chunks=(10**6, -1)).map_blocks(
            lambda block: 1 / 0, dtype=float
        )
        y = dask.array.ones(10**7, chunks=10**6)
        with pytest.raises(MemoryError, match="fewer rows, or by NystroemRidge"):
            on_dask().fit(rows, y)

    def test_failed_fit_leaves_the_model(self):
        """Seen red without `check.params`."""
        model = on_dask(probability=True).fit(chunked(X), TWO)
        before = model.predict(Q)
        rare = np.where(np.arange(150) < 2, "rare", "other")

        with pytest.raises(ValueError, match="needs 3 rows with weight"):
            model.fit(chunked(X), rare)

        np.testing.assert_array_equal(model.predict(Q), before)

    def test_rows_that_change(self):
        """Seen red without a look at the number of rows."""
        reads = []

        def fickle(block):
            reads.append(1)
            return block if len(reads) < 5 else block[1:]

        rows = chunked(X).map_blocks(fickle, meta=np.empty((0, 0)))
        with pytest.raises(
            RuntimeError, match=r"Chunk . of X had 50 rows, and 49 when"
        ):
            on_dask().fit(rows, TWO)

    def test_columns_of_another_number(self):
        """Seen red with the columns of the first chunk taken for those of all."""
        rows = chunked(X).map_blocks(
            lambda block: block if (block == X[0]).any() else block[:, 1:],
            meta=np.empty((0, 0)),
        )
        with pytest.raises(ValueError, match=r"Chunk 1 has 3 features.* 0 has 4"):
            on_dask().fit(rows, TWO)

    @pytest.mark.parametrize("method", ["certify", "attack"])
    def test_radii_with_an_intercept(self, method):
        """Seen red with the refusal left to tasks."""
        model = on_dask(fit_intercept=True).fit(chunked(X), TWO)

        with pytest.raises(ValueError, match="for machines without an intercept"):
            getattr(model, method)(chunked(X))

    @pytest.mark.parametrize(
        "method", ["predict", "decision_function", "certify", "attack"]
    )
    def test_not_fitted(self, method):
        """Seen red with an attribute missed."""
        with pytest.raises(NotFittedError):
            getattr(NTKSVC(), method)(chunked(X))
