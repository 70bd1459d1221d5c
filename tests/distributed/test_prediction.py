"""Predictions of any fitted estimator, and scores as sums over chunks."""

import dask
import joblib
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut, graph_size
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from kernelkit import (
    GaussianRBFClassifier,
    MultivariateECDF,
    NystroemRidge,
    ProductKernelDensity,
    distributed,
)
from kernelkit.distributed import predict
from kernelkit.distributed.prediction import accuracy, mapped, r2

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 3))
Y = X @ [1.0, -2.0, 0.5] + np.cos(3.0 * X[:, 0])
LABELS = np.where(Y > 0.0, "yes", "perhaps")
WEIGHTS = RNG.uniform(size=len(X)) * (RNG.uniform(size=len(X)) > 0.2)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])

pytestmark = pytest.mark.usefixtures("in_this_thread")


def search():
    grid = {"alpha": [0.1, 1.0]}
    return GridSearchCV(NystroemRidge(random_state=0), grid, cv=2)


FITTED = [
    (NystroemRidge(random_state=0).fit(X, Y), "predict"),
    (NystroemRidge(random_state=0).fit(X, np.column_stack([Y, X])), "predict"),
    (ProductKernelDensity(bandwidth=0.5).fit(X), "score_samples"),
    (MultivariateECDF().fit(X), "cdf"),
    (
        GaussianRBFClassifier(n_centers=4, tol=0.1, random_state=0).fit(X, LABELS),
        "predict",
    ),
    (make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS), "predict"),
    (RandomForestClassifier(5, random_state=0).fit(X, LABELS), "predict_proba"),
    (LinearRegression().fit(X.astype(np.float32), Y.astype(np.float32)), "predict"),
    (PCA(2).fit(X), "transform"),
    (search().fit(X, Y), "predict"),
]
each_fitted = pytest.mark.parametrize(
    ("model", "method"), FITTED, ids=lambda it: getattr(it, "__class__", it).__name__
)


class TestPredict:
    """Each chunk is given to the method."""

    @each_cut
    @each_fitted
    def test_equals_the_method(self, model, method, cut):
        """Seen red with the chunks reversed."""
        expected = getattr(model, method)(X)

        results = predict(model, chunked(X, cut), method)

        assert (results.dtype, results.ndim) == (expected.dtype, expected.ndim)
        assert results.shape[1:] == expected.shape[1:]
        sizes = [size for size in chunked(X, cut).chunks[0] if size != 0]
        np.testing.assert_array_equal(results.chunks[0], sizes)
        got = results.compute()
        if expected.dtype.kind == "f":
            atol = 1e-15 * np.ptp(expected) if expected.dtype == float else 1e-6
            np.testing.assert_allclose(got, expected, rtol=0.0, atol=atol)
        else:
            np.testing.assert_array_equal(got, expected, strict=True)

    def test_frame_keeps_its_names(self):
        """Seen red with the values of the frame instead."""
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS)

        got = predict(model, chunked(FRAME), "predict_proba").compute()

        np.testing.assert_allclose(got, model.predict_proba(FRAME), atol=1e-15)

    def test_columns_of_any_type(self):
        """Seen red with a row of ones for frames."""
        words = pd.DataFrame({"word": LABELS})
        unknown = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        model = make_pipeline(unknown, LinearRegression()).fit(words, Y)

        got = predict(model, chunked(words)).compute()

        np.testing.assert_allclose(got, model.predict(words), atol=1e-15)

    def test_meta_stands_for_the_made_up_row(self):
        """Seen red with the row tried in any case."""
        words = pd.DataFrame({"word": LABELS})
        model = make_pipeline(OneHotEncoder(), LinearRegression()).fit(words, Y)

        with pytest.raises(ValueError, match=r"made-up row.+pass meta"):
            predict(model, chunked(words))

        got = predict(model, chunked(words), meta=np.empty(0)).compute()
        np.testing.assert_allclose(got, model.predict(words), atol=1e-15)

    def test_methods_that_take_collections_are_called(self):
        """With the data of a density in a plan, tasks would compute it once more each.

        Seen red with such methods called for each chunk.
        """
        reads = []
        data = chunked(X).map_blocks(lambda X: reads.append(1) or X, dtype=float)
        model = distributed.MultivariateECDF().fit(data)
        reads.clear()

        got = predict(model, chunked(X, "seven"), "cdf").compute()

        assert len(reads) <= 6
        np.testing.assert_array_equal(got, MultivariateECDF().fit(X).cdf(X))

    def test_rows_in_memory_go_to_the_method(self):
        """Seen red with an array cut into chunks."""
        model = LinearRegression().fit(X, Y)

        got = predict(model, X)

        assert isinstance(got, np.ndarray)
        np.testing.assert_array_equal(got, model.predict(X), strict=True)

    def test_nothing_is_computed_before_it_is_asked_for(self):
        """Seen red with a call of `compute`."""
        fails = chunked(X).map_blocks(lambda block: 1 / 0, dtype=float)
        model = LinearRegression().fit(X, Y)

        results = predict(model, fails)

        with pytest.raises(ZeroDivisionError):
            results.compute()

    def test_plan_outlives_another_fit(self):
        """Seen red with the estimator itself in the plan."""
        model = make_pipeline(StandardScaler(), LinearRegression()).fit(X, Y)
        expected = model.predict(X)

        results = predict(model, chunked(X))
        model.fit(X, -Y)

        np.testing.assert_allclose(results.compute(), expected, atol=1e-14)

    def test_model_is_in_the_graph_once(self):
        """Seen red with the model as an argument of each task."""
        model = LinearRegression().fit(X, Y)
        X_many = chunked(X, "seven")

        size = graph_size(predict(model, X_many))

        model.ballast_ = np.zeros(100_000)
        grown = graph_size(predict(model, X_many))
        assert 800_000 < grown - size < 1_000_000

    def test_tasks_start_no_threads(self):
        """Seen red without `no_threads`."""
        jobs = RandomForestClassifier(3, n_jobs=-1).fit(X, LABELS)
        jobs.count = lambda X: np.full(len(X), joblib.effective_n_jobs(jobs.n_jobs))

        got = predict(jobs, chunked(X), "count", meta=np.empty(0, int)).compute()

        assert (got == 1).all()

    def test_workers_give_the_same_bits(self, client):
        """Seen red with a constant that differs between processes."""
        for model, method in (FITTED[0], FITTED[5], FITTED[6]):
            results = predict(model, chunked(X, "seven"), method)
            with dask.config.set(scheduler="synchronous"):
                expected = results.compute()
            np.testing.assert_array_equal(results.compute(), expected, strict=True)


class TestRefusals:
    """What cannot be right is refused, most of it before anything is computed."""

    def test_not_fitted(self):
        """Seen red with NotFittedError counted among errors of the made-up row."""
        with pytest.raises(NotFittedError, match=r"not fitted yet.+fit'"):
            predict(NystroemRidge(), chunked(X))
        with pytest.raises(NotFittedError):
            mapped(NystroemRidge(), "predict", chunked(X))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (chunked(X[:, :2]), "X has 2 features.+expecting 3.+made-up row"),
            (chunked(X[:, 0]), "Expected 2D array"),
            (chunked(FRAME.rename(columns={"a": "z"})), "feature names should match"),
        ],
    )
    def test_wrong_columns(self, rows, message):
        """Seen red with `meta` given."""
        model = LinearRegression().fit(FRAME, Y)

        with pytest.raises(ValueError, match=f"(?s){message}"):
            predict(model, rows)

    @pytest.mark.parametrize(
        ("model", "method", "message"),
        [
            (LinearRegression().fit(X, Y), "get_params", "made-up row"),
            (OneHotEncoder().fit(X[:5]), "get_feature_names_out", "made-up row"),
            (
                OneHotEncoder(handle_unknown="ignore").fit(X[:5]),
                "transform",
                "Expected an array with a row.+got csr",
            ),
        ],
    )
    def test_no_row_for_each_row(self, model, method, message):
        """Seen red without the look at shapes, and at sparse results."""
        with pytest.raises(ValueError, match=f"(?s){message}"):
            predict(model, chunked(X), method)

    @pytest.mark.parametrize("meta", [np.empty(0, int), np.empty((0, 2)), [""]])
    def test_results_unlike_meta(self, meta):
        """Seen red without the look at shapes, and at types: texts lost letters."""
        model = LinearRegression().fit(X, Y)

        with pytest.raises(ValueError, match=r"In chunk \d: predict returned .* meta"):
            predict(model, chunked(X), meta=meta).compute()

    def test_bad_chunk_is_named(self):
        """Seen red with errors of tasks as they are."""
        bad = X.copy()
        bad[60, 0] = np.nan

        with pytest.raises(ValueError, match="In chunk 1: Input X contains NaN"):
            predict(LinearRegression().fit(X, Y), chunked(bad)).compute()


class Lazy:
    """Predicts what a model predicts, chunk by chunk."""

    def __init__(self, model):
        self.model = model

    def predict(self, X):
        return predict(self.model, X)


class TestScores:
    """Sums over chunks give the scores of scikit-learn."""

    @each_cut
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    @pytest.mark.parametrize("y", [Y, np.column_stack([Y, X[:, 0] + 1e6, Y**2])])
    def test_r2(self, y, weights, cut):
        """Seen red with chunks' means in place of the mean."""
        model = LinearRegression().fit(X[:40], y[:40])
        w = None if weights is None else chunked(weights, cut)

        got = r2(Lazy(model), chunked(X, cut), chunked(y, cut), w)

        expected = r2_score(y, model.predict(X), sample_weight=weights)
        assert got == pytest.approx(expected, abs=1e-12)

    @each_cut
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    @pytest.mark.parametrize("y", [LABELS, 1 * (Y > 0.0), (X > 0.0).astype(int)])
    def test_accuracy(self, y, weights, cut):
        """Seen red with the mean of chunks' shares."""
        model = RandomForestClassifier(3, max_depth=2, random_state=0).fit(
            X[:40], y[:40]
        )
        w = None if weights is None else chunked(weights, cut)

        got = accuracy(Lazy(model), chunked(X, cut), chunked(y, cut), w)

        expected = accuracy_score(y, model.predict(X), sample_weight=weights)
        assert got == pytest.approx(expected, abs=1e-12)
        assert 0.0 < got < 1.0

    @pytest.mark.parametrize("off", [0.0, 1.0])
    def test_constant_targets(self, off):
        """Seen red with rounding taken for spread."""
        y = np.full((len(X), 1), 0.1)
        model = DummyRegressor(strategy="constant", constant=0.1 + off).fit(X, y)

        assert r2(Lazy(model), chunked(X, "seven"), chunked(y, "seven")) == 1.0 - off

    def test_targets_in_memory_and_as_a_column(self):
        """Seen red with shapes that must agree."""
        model = LinearRegression().fit(X[:40], Y[:40])

        expected = pytest.approx(model.score(X, Y), abs=1e-12)
        assert r2(Lazy(model), chunked(X, "uneven"), Y) == expected
        assert r2(Lazy(model), chunked(X), chunked(Y[:, None])) == expected

    def test_frames(self):
        """Seen red with series that are not made arrays."""
        labels, y = pd.Series(LABELS), pd.Series(Y)
        model = RandomForestClassifier(3, max_depth=2, random_state=0).fit(
            FRAME, LABELS
        )
        line = LinearRegression().fit(FRAME, Y)

        frame = chunked(FRAME)
        got = (
            accuracy(Lazy(model), frame, chunked(labels)),
            r2(Lazy(line), frame, chunked(y)),
        )

        np.testing.assert_allclose(
            got, [model.score(FRAME, LABELS), line.score(FRAME, Y)], rtol=1e-12
        )

    def test_single_row(self):
        """Seen red without the warning."""
        model = LinearRegression().fit(X, Y)

        with pytest.warns(UndefinedMetricWarning, match="single row"):
            assert np.isnan(r2(Lazy(model), chunked(X[:1], "one"), Y[:1]))

    @pytest.mark.parametrize("score", [r2, accuracy])
    @pytest.mark.parametrize(
        ("n", "weights", "error"),
        [
            (119, None, "inconsistent numbers of samples"),
            (120, np.zeros(120), "Every sample_weight is zero"),
            (120, -np.ones(120), "In chunk .: Negative values in data"),
            (120, np.ones(100), "inconsistent numbers of samples"),
        ],
    )
    def test_bad_targets_and_weights(self, score, n, weights, error):
        """Seen red without the sum of weights looked at."""
        model = Lazy(DummyClassifier().fit(X, X[:, 0] > 0.0))

        with pytest.raises(ValueError, match=error):
            score(model, chunked(X, "seven"), np.arange(n) % 2, weights)

    def test_chunks_without_weight(self):
        """Seen red with scikit-learn's check of the weights of each."""
        weights = np.arange(120.0) < 30.0
        line, net = FITTED[0][0], FITTED[4][0]

        got = r2(Lazy(line), chunked(X), Y, weights)
        assert got == pytest.approx(line.score(X[:30], Y[:30]), abs=1e-12)
        got = accuracy(Lazy(net), chunked(X), LABELS, weights)
        assert got == net.score(X[:30], LABELS[:30])

    @each_cut
    @pytest.mark.parametrize("odd", [[0, 50, 119], range(60), range(50, 120)])
    def test_numbers_without_weight(self, odd, cut):
        """Seen red with sums relative to a number of weight 0."""
        y, weights = Y.copy(), np.ones(len(Y))
        y[odd], weights[odd] = 1e200, 0.0
        model = LinearRegression().fit(X[:40], Y[:40])

        w = chunked(weights, cut)
        got = r2(Lazy(model), chunked(X, cut), chunked(y, cut), w)

        rest = weights > 0.0
        expected = r2_score(Y[rest], model.predict(X[rest]))
        assert got == pytest.approx(expected, abs=1e-12)

    def test_unknown_targets(self):
        """Seen red without a look at targets."""
        model = Lazy(LinearRegression().fit(X, Y))

        with pytest.raises(ValueError, match=r"In chunk .: Input y contains NaN"):
            r2(model, chunked(X), np.where(Y > 2.0, np.nan, 1.0))

    def test_workers_give_the_same_bits(self, client):
        """Seen red with sums in a random order."""
        rows = chunked(X, "seven"), chunked(Y, "seven"), chunked(WEIGHTS, "seven")
        labels = chunked(LABELS, "seven")
        line, net = FITTED[0][0], FITTED[4][0]

        def scores():
            return r2(Lazy(line), *rows), accuracy(Lazy(net), rows[0], labels, rows[2])

        with dask.config.set(scheduler="synchronous"):
            expected = scores()
        assert scores() == expected
