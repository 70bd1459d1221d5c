"""Networks whose rows are in chunks do what those with rows in memory do."""

import pickle
import time

import dask
import dask.array
import numpy as np
import pandas as pd
import pytest
from chunked import chunked, each_cut
from dask.delayed import delayed
from dask.distributed import Client
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from kernelkit import rbf_network as plain
from kernelkit.distributed import network_rows, row_draws
from kernelkit.distributed.chunks import Rows as ChunkRows
from kernelkit.distributed.chunks import rows_of
from kernelkit.distributed.network_rows import Block
from kernelkit.distributed.rbf_network import (
    GaussianRBFClassifier,
    GaussianRBFRegressor,
)
from kernelkit.distributed.rows_on_chunks import Fold, RowsOnChunks, Setting
from kernelkit.rbf_network import objective
from kernelkit.rbf_network.subspace import Network, agop_root

RNG = np.random.default_rng(0)
N = 260
X = RNG.normal(size=(N, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 3.0, 5.0, 0.0]
X[:, 3] = 7.0  # tells nothing
X[-30:] = X[:30]
Z = (X[:, :3] - [0.0, 3.0, 5.0]) / [1.0, 10.0, 0.1]
Y = np.sin(Z[:, 0]) + Z[:, 1] * Z[:, 2] + 0.1 * RNG.normal(size=N)
Y[-30:] = Y[:30]
WEIGHTS = RNG.uniform(0.5, 2.0, size=N)
WEIGHTS[::9] = 0.0
WORDS = np.array(["low", "middle", "high", "none"])[(Y > -0.5) + 1 * (Y > 0.7)]
FRAME = pd.DataFrame(X, columns=["a", "b", "c", "d"])
CENTERS = X[:15]

pytestmark = [
    pytest.mark.usefixtures("in_this_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
each_weights = pytest.mark.parametrize("weights", [None, WEIGHTS])


@pytest.fixture(autouse=True)
def few_iterations(monkeypatch):
    """Cut the fit of a classifier's weights alone short, which takes most rounds."""
    monkeypatch.setattr("kernelkit.rbf_network.logistic._WEIGHTS_ITERATIONS", 5)


def pair(kind, n_centers=15, **params):
    """Return a plain estimator and the one on Dask."""
    given = {"max_iter": 6, "precision": "diag", "random_state": 0, **params}
    modules = (
        plain,
        {
            "Regressor": GaussianRBFRegressor,
            "Classifier": GaussianRBFClassifier,
        },
    )
    name = f"GaussianRBF{kind}"
    return getattr(modules[0], name)(n_centers, **given), modules[1][kind](
        n_centers, **given
    )


def assert_same_fit(got, expected, rtol=1e-8):
    """Compare all that a fit finds: the loss by `rtol`, what follows by its root."""
    assert got.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=rtol)
    assert got.structures_.keys() == expected.structures_.keys()
    loose = {"rtol": 1e-5, "atol": 1e-6}
    for name in vars(expected):
        if not name.endswith("_") or name in ("loss_curve_", "structures_"):
            continue
        mine, its = getattr(got, name), getattr(expected, name)
        if name == "active_subspace_":
            np.testing.assert_allclose(mine[0], its[0], **loose)
            n = (its[0] > 1e-3 * its[0].max()).sum()
            np.testing.assert_allclose(mine[1][:, :n], its[1][:, :n], atol=1e-4)
        elif isinstance(its, str) or np.asarray(its).dtype.kind in "UO":
            np.testing.assert_array_equal(mine, its)
        else:
            np.testing.assert_allclose(mine, its, **loose, err_msg=name)
    np.testing.assert_allclose(got.predict_raw(), expected.predict_raw(), **loose)


def fit_both(kind, y, weights=None, cut="three", rtol=1e-8, **params):
    """Fit both and compare them."""
    theirs, ours = pair(kind, **params)
    theirs.fit(X, y, weights)
    parts = [part if part is None else chunked(part, cut) for part in (y, weights)]
    ours.fit(chunked(X, cut), *parts)
    for model in (ours, theirs):
        function = model.predict if kind == "Regressor" else model.decision_function
        model.predict_raw = lambda function=function: function(X)
    assert_same_fit(ours, theirs, rtol)
    return ours, theirs


@each_cut
class TestChunksDoNotMatter:
    @each_weights
    def test_regression(self, cut, weights):
        """Seen red with weights that were not added where equal rows are merged."""
        fit_both("Regressor", Y, weights, cut)

    @each_weights
    def test_classes(self, cut, weights):
        """Seen red with the codes of a chunk taken for those of all."""
        fit_both("Classifier", WORDS, weights, cut, class_weight="balanced")


class TestAsThePlainClass:
    @pytest.mark.parametrize(
        "params",
        [
            {"precision": "iso"},
            {"precision": "full"},
            {"precision": "low_rank"},
            {"precision": "auto"},
            {"precision": "auto", "selection": "bic", "n_jobs": 2},
            {"objective": "ridge", "kernel": "matern32", "precision": "full"},
            {"init": "random", "n_restarts": 3, "mu": 0.01},
            {"centers": CENTERS, "init": "isotropic", "standardize": False},
            {"centers": "random", "batch_rows": 50},
            {"centers": "kmeans++"},
        ],
        ids=str,
    )
    def test_regression(self, params):
        """Seen red with the first estimate of the means left out of gradients."""
        fit_both("Regressor", Y, WEIGHTS, **params)

    @pytest.mark.parametrize(
        "params",
        [
            {"precision": "full", "class_weight": {"low": 2.0, "high": 0.5}},
            {"precision": "auto"},
            {"precision": "auto", "selection": "bic", "mu": "auto"},
            {"centers": CENTERS, "kernel": "matern52"},
        ],
        ids=str,
    )
    def test_classes(self, params):
        """Seen red with the penalty of the weights left out of their gradient."""
        fit_both("Classifier", WORDS, WEIGHTS, **params)

    def test_two_classes(self):
        """Seen red with two columns for two classes."""
        fit_both("Classifier", Y > 0.3)

    def test_class_without_weight(self):
        """Seen red with a column for it."""
        weights = {"low": 1.0, "high": 1.0, "middle": 0.0}

        ours, _ = fit_both("Classifier", WORDS, class_weight=weights)

        assert ours.classes_.tolist() == ["high", "low"]

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_centers_are_learned(self, kind):
        """Seen red with no gradient in the centres; rounding grows in the search."""
        y = Y if kind == "Regressor" else WORDS
        fit_both(kind, y, learn_centers=True, max_iter=3, rtol=1e-6)

    def test_several_targets(self):
        """Seen red with the constant one standardised, too."""
        fit_both("Regressor", np.column_stack([Y, np.full(N, 3.0), Z[:, 0] ** 2]))

    def test_constant_targets(self):
        """Seen red with targets that are always standardised."""
        theirs, ours = pair("Regressor")
        with pytest.warns(UserWarning, match="y is constant"):
            theirs.fit(X, np.full(N, 2.0))
        with pytest.warns(UserWarning, match="y is constant"):
            ours.fit(chunked(X), np.full(N, 2.0))

        got, expected = (m.predict(X, return_std=True) for m in (ours, theirs))
        np.testing.assert_allclose(got, expected)
        np.testing.assert_allclose(ours.centers_, theirs.centers_)

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_constant_features(self, kind, monkeypatch):
        """Seen red with the weight, or the shares, of the sample for those of all."""
        monkeypatch.setattr(network_rows, "SAMPLED_ROWS", 2)
        constant = np.full((N, 2), 3.0)
        theirs, ours = pair(kind, n_centers=1)
        y = Y if kind == "Regressor" else WORDS
        with pytest.warns(UserWarning, match="constant"):
            theirs.fit(constant, y, WEIGHTS)
        with pytest.warns(UserWarning, match="constant"):
            ours.fit(chunked(constant), y, WEIGHTS)

        if kind == "Regressor":
            got, expected = (m.predict(constant, True) for m in (ours, theirs))
        else:
            got, expected = (m.predict_proba(constant) for m in (ours, theirs))
        np.testing.assert_allclose(got, expected)

    def test_float32(self):
        """Seen red with float64 for all."""
        theirs, ours = pair("Regressor", max_iter=3)
        theirs.fit(X.astype(np.float32), Y)
        ours.fit(chunked(X.astype(np.float32)), Y)

        assert ours.predict(X).dtype == np.float32
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-4)

    def test_frame(self):
        """Seen red with names not kept."""
        theirs, ours = pair("Regressor")
        theirs.fit(FRAME, pd.Series(Y))
        frame = chunked(FRAME)
        ours.fit(frame, chunked(pd.Series(Y)))

        assert ours.feature_names_in_.tolist() == ["a", "b", "c", "d"]
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-8)
        got = ours.predict(frame).compute()
        np.testing.assert_allclose(got, theirs.predict(FRAME), rtol=1e-6)

    def test_rows_in_memory(self):
        """Seen red with arrays that become collections."""
        for kind, y in [("Regressor", Y), ("Classifier", WORDS)]:
            theirs, ours = pair(kind)
            got, expected = (m.fit(X, y).predict(X) for m in (ours, theirs))
            np.testing.assert_array_equal(got, expected)
            assert ours.score(X, y) == theirs.score(X, y)

    def test_warm_start(self):
        """Seen red with the start forgotten."""
        for kind, y in [("Regressor", Y), ("Classifier", WORDS)]:
            theirs, ours = pair(kind, warm_start=True, max_iter=2)
            theirs.fit(X, y).fit(X, y)
            ours.fit(chunked(X), y).fit(chunked(X), y)

            np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-8)


class TestMoreRowsThanTheSample:
    @pytest.fixture(autouse=True)
    def small_sample(self, monkeypatch):
        monkeypatch.setattr(network_rows, "SAMPLED_ROWS", 60)

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_centers_do_not_depend_on_chunks(self, kind):
        """Seen red with a sample of the first rows of each chunk."""
        y = (Y if kind == "Regressor" else WORDS)[:-30]  # merged within chunks only
        fits = [
            pair(kind)[1].fit(chunked(X[:-30], cut), chunked(y, cut))
            for cut in ("seven", "unknown")
        ]

        centers, curves = zip(*((m.centers_, m.loss_curve_) for m in fits), strict=True)
        np.testing.assert_allclose(*centers, rtol=1e-12)
        np.testing.assert_allclose(*curves, rtol=1e-8)

    @pytest.mark.parametrize("precision", ["diag", "full"])
    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_same_start_same_loss(self, kind, precision):
        """Seen red with the sample's total weight in penalties."""
        y = Y if kind == "Regressor" else WORDS
        params = {"centers": CENTERS, "mu": 0.01, "precision": precision}
        theirs, ours = pair(kind, warm_start=True, **params)
        theirs.set_params(max_iter=1).fit(X, y)
        for name in ("_networks", "_columns"):
            setattr(ours, name, getattr(theirs, name))

        theirs.set_params(max_iter=6).fit(X, y)
        ours.fit(chunked(X), y)

        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-8)

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_rows_in_many_chunks_are_sampled_once(self, kind):
        """Seen red with equal rows of other chunks counted as others."""
        places = RNG.integers(40, size=N)
        rows, y = X[places], (Y if kind == "Regressor" else WORDS)[places]
        theirs, ours = pair(kind, n_centers=30)

        theirs.fit(rows, y)
        ours.fit(chunked(rows, "seven"), y)

        np.testing.assert_allclose(ours.centers_, theirs.centers_, rtol=1e-12)
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-8)

    def test_heavy_rows_are_in_the_sample(self):
        """Seen red with weights that do not count."""
        weights = np.where(np.arange(N) < 50, 1e6, 1.0)
        ours = pair("Regressor", n_centers=60, centers="random", max_iter=1)[1]

        ours.fit(chunked(X), Y, weights)

        distances = abs(ours.centers_[:, None] - X[:50]).max(axis=2).min(axis=0)
        assert (distances < 1e-9).all()


def on_chunks(targets, weights, n_classes=0):
    """Return rows in memory, and the same in chunks."""

    def block(rows):
        draws = row_draws.uniform(np.column_stack([rows.X, rows.y]), 3)
        return Block(*rows, draws)

    blocks = rows_of(chunked(Z, "empty"), targets, weights).apply("draw", block)
    setting = Setting("gaussian", None, "float64", n_classes)
    sample = block(ChunkRows(Z, targets, weights))
    plain_rows = setting.rows(sample)
    return plain_rows, RowsOnChunks(sample, blocks, plain_rows.total, setting)


class TestSums:
    """Sums over chunks are those over rows in memory."""

    U, C = np.array([[0.5, 0.2, 0.0], [0.1, 0.3, 0.7]]), Z[:6]
    COEF = np.linspace(-1.0, 1.0, 12).reshape(6, 2)

    @pytest.fixture(params=["no weights", "weights"])
    def both(self, request):
        targets = np.column_stack([Y > 0.0, Y > 1.0]).astype(float)
        weights = None if request.param == "no weights" else WEIGHTS + 0.1
        return on_chunks(targets, weights)

    def test_normal_equations(self, both):
        """Seen red with the distance of the means of chunks left out."""
        expected, got = (rows.normal(self.U, self.C) for rows in both)

        for name in ("gram", "moments", "squares", "means", "target_means", "total"):
            mine, its = getattr(got, name), getattr(expected, name)
            np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("name", ["evidence", "ridge"])
    def test_regression(self, both, name):
        """Seen red with the first estimate of the means subtracted twice."""
        function = getattr(objective, name)
        at = self.U, self.C, -1.0 if name == "evidence" else 0.3
        expected, got = (function(rows, *at) for rows in both)

        assert got.value == pytest.approx(expected.value, rel=1e-12)
        np.testing.assert_allclose(got.U, expected.U, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(got.C, expected.C, rtol=1e-9, atol=1e-12)
        assert got.log_alpha == pytest.approx(expected.log_alpha, rel=1e-9)

    @pytest.mark.parametrize("is_placed", [False, True])
    def test_log_loss(self, both, is_placed):
        """Seen red with a mean over chunks that counts these, not rows."""
        at = self.U, self.C, self.COEF, np.array([0.1, -0.2])
        both[0].place(self.U, self.C)
        expected, got = (rows.cross_entropy(*at, 0.7, is_placed) for rows in both)

        for name in ("value", "U", "C", "coef", "intercept"):
            mine, its = getattr(got, name), getattr(expected, name)
            np.testing.assert_allclose(mine, its, rtol=1e-10, atol=1e-13)
        expected, got = (rows.mean_log_loss(*at) for rows in both)
        assert got == pytest.approx(expected, rel=1e-12)

    def test_squared_errors_and_means(self, both):
        """Seen red with errors that were not weighted."""
        solution = objective.solve(both[0].normal(self.U, self.C), 0.1)
        expected, got = (r.mean_square(self.U, self.C, solution) for r in both)

        assert got == pytest.approx(expected, rel=1e-12)
        expected, got = (rows.target_means() for rows in both)
        np.testing.assert_allclose(got, expected)

    @pytest.mark.parametrize("factors", [[U], [U, U[:1]], [U, np.ones(3)]])
    def test_gradients_outer_product(self, both, factors):
        """Seen red with as many rows as features whatever the factors' rank."""
        networks = [Network(U, self.C, self.COEF) for U in factors]
        expected = agop_root(Z, both[0].weights, networks, "gaussian")

        got = both[1].agop_root(networks)

        assert got.shape == expected.shape
        np.testing.assert_allclose(got.T @ got, expected.T @ expected, atol=1e-13)


class TestHeldOutRows:
    def test_folds_share_out_the_rows(self):
        """Seen red with folds that overlap."""
        _, rows = on_chunks(Y[:, None], None)

        parts = [rows.split(fold)[1].total for fold in Fold.parts(5)]

        assert sum(parts) == N - 1  # and one is always kept
        assert min(parts) > 30

    def test_a_row_of_each_class_is_kept(self):
        """Seen red with the least number of all classes for that of each."""
        codes = np.repeat([0.0, 1.0, 2.0], [N - 3, 2, 1])[:, None]
        _, rows = on_chunks(codes, None, n_classes=3)

        kept, held = rows.split(Fold(0.0, 1.0))

        np.testing.assert_allclose(kept.total * kept.target_means(), 1.0)
        np.testing.assert_allclose(held.total * held.target_means(), [N - 4, 1, 0])

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_the_best_iterate_is_kept(self, kind):
        """Seen red with the last iterate kept."""
        y = Y if kind == "Regressor" else WORDS
        params = {"early_stopping": True, "precision": "full", "max_iter": 40}
        model = pair(kind, n_centers=60, n_iter_no_change=2, mu=0.0, **params)[1]

        model.fit(chunked(X), y)

        scores = model.validation_scores_
        assert len(scores) == model.n_iter_ == int(np.argmax(scores)) + 3
        shorter = clone(model).set_params(max_iter=int(np.argmax(scores)) + 1)
        shorter.fit(chunked(X), y)
        np.testing.assert_allclose(model.centers_, shorter.centers_)
        np.testing.assert_allclose(model.precision_, shorter.precision_, rtol=1e-6)

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_chunks_do_not_matter(self, kind):
        """Seen red with a share of the rows of each chunk."""
        y = Y if kind == "Regressor" else WORDS
        params = {"early_stopping": True, "max_iter": 3}
        one, seven = (
            pair(kind, **params)[1].fit(chunked(X, cut), chunked(y, cut))
            for cut in ("one", "seven")
        )

        for name in ("loss_curve_", "validation_scores_"):
            mine, first = getattr(seven, name), getattr(one, name)
            np.testing.assert_allclose(mine, first, rtol=1e-8)

    def test_each_row_is_fitted_or_held_out(self):
        """Seen red with rows held out that are fitted, too."""
        _, rows = on_chunks(Y[:, None], WEIGHTS + 0.1)

        kept, held = rows.split(Fold(0.0, 0.2))

        assert kept.total + held.total == pytest.approx(rows.total)
        assert 0.15 < held.total / rows.total < 0.25
        sums = [part.total * part.target_means() for part in (kept, held, rows)]
        np.testing.assert_allclose(sums[0] + sums[1], sums[2])
        assert held.normal(np.ones(3), Z[:4]).total == pytest.approx(held.total)

    def test_no_row_can_be_held_out(self):
        """Seen red with a fit that never stops early."""
        params = {"early_stopping": True, "validation_fraction": 1e-6}
        with pytest.raises(ValueError, match="too few to hold some out"):
            pair("Regressor", **params)[1].fit(chunked(X), Y)

    @pytest.mark.parametrize("selection", ["holdout", "cv"])
    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_structures_are_compared(self, kind, selection):
        """Seen red with the first structure chosen whatever the scores."""
        rows = np.random.default_rng(1).normal(size=(120, 2))
        y = abs(rows.sum(axis=1))
        y = y if kind == "Regressor" else y > 1.0
        params = {"selection": selection, "precision": "auto", "max_iter": 6}
        model = pair(kind, tol=0.01, **params)[1]

        model.fit(chunked(rows, "one"), y)

        assert model.structure_ != "diag"


class TestDraws:
    def test_equal_rows_have_equal_numbers(self):
        """Seen red with the place of a row in its number."""
        table = np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0]])
        got = row_draws.uniform(table, 5)

        assert got[0] == got[2] != got[1]
        assert (row_draws.uniform(table, 6) != got).all()

    def test_numbers_are_uniform(self):
        """Seen red with bits that are not mixed. False alarms: 1e-3 or less."""
        grid = np.arange(20_000.0)
        tables = grid[:, None], np.column_stack([grid % 100, grid // 100, 0 * grid])
        for table in tables:
            u = row_draws.uniform(table, 1)
            assert (u > 0.0).all()
            assert (u < 1.0).all()
            counts = np.histogram2d(u[:-1], u[1:], bins=10, range=[[0, 1]] * 2)[0]
            statistic = ((counts - counts.mean()) ** 2).sum() / counts.mean()
            assert statistic < 150.0  # 99 degrees of freedom


class TestRefusals:
    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_not_finite(self, kind):
        """Seen red with chunks that are not checked."""
        rows = X.copy()
        rows[150, 1] = np.nan
        model = pair(kind)[1]

        with pytest.raises(ValueError, match=r"In chunk 1: Input X contains NaN"):
            model.fit(chunked(rows), Y if kind == "Regressor" else WORDS)

        with pytest.raises(NotFittedError):
            model.predict(chunked(X))

    def test_batches(self):
        """Seen red with the parameter passed over."""
        with pytest.raises(ValueError, match="solver='adam' takes steps on batches"):
            pair("Regressor", solver="adam")[1].fit(chunked(X), Y)

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_no_targets(self, kind):
        """Seen red with targets that are not checked."""
        with pytest.raises(ValueError, match=r"requires y to be passed"):
            pair(kind)[1].fit(chunked(X), None)

    @pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
    def test_no_weight(self, kind):
        """Seen red with the mean of no rows."""
        y = Y if kind == "Regressor" else WORDS
        with pytest.raises(ValueError, match="Every sample_weight is zero"):
            pair(kind)[1].fit(chunked(X), y, np.zeros(N))

    def test_chunk_without_weight(self):
        """Seen red with the check of all weights for those of a chunk."""
        weights = np.append(np.zeros(N // 2), np.ones(N - N // 2))
        fit_both("Regressor", Y, weights, cut="seven")

    def test_one_row(self):
        """Seen red with a spread of 0."""
        with pytest.raises(ValueError, match="Found n_samples=1 while a minimum of 2"):
            pair("Regressor")[1].fit(chunked(X[:1], "one"), Y[:1])

    def test_one_class(self):
        """Seen red with the first chunk asked for two."""
        with pytest.raises(ValueError, match=r"^GaussianRBFClassifier needs rows of 2"):
            pair("Classifier")[1].fit(chunked(X), np.full(N, "yes"))

    def test_chunks_of_other_widths(self):
        """Seen red with chunks that were not compared, or not named."""
        parts = X[:90], X[90:180, :3], X[180:]
        rows = dask.array.concatenate(
            [
                dask.array.from_delayed(delayed(part), (len(part), 4), dtype=float)
                for part in parts
            ]
        )
        with pytest.raises(ValueError, match="Chunks 0 and 1 have other numbers of"):
            pair("Regressor")[1].fit(rows, Y)

    def test_labels_of_two_kinds(self):
        """Seen red with numbers turned to words."""
        parts = WORDS[:99], np.arange(N - 99) % 3
        y = dask.array.concatenate(
            [
                dask.array.from_delayed(delayed(part), part.shape, dtype=object)
                for part in parts
            ]
        )
        rows = dask.array.from_array(X, chunks=((99, N - 99), -1))
        with pytest.raises(ValueError, match="labels of other kinds"):
            pair("Classifier")[1].fit(rows, y)

    def test_parameters(self):
        """Seen red with parameters checked for rows in memory only."""
        with pytest.raises(ValueError, match="'max_iter' parameter"):
            pair("Regressor", max_iter=0)[1].fit(chunked(X), Y)

    def test_light_weights(self):
        """Seen red with no warning on the client."""
        with pytest.warns(UserWarning, match="penalties may outweigh"):
            pair("Regressor", max_iter=1)[1].fit(chunked(X), Y, np.full(N, 1e-3))

    @pytest.mark.filterwarnings("default")
    def test_end_of_iterations(self):
        """Seen red with no warning on the client."""
        params = {"init": "random", "precision": "full", "max_iter": 2}
        model = pair("Regressor", **params)[1]

        with pytest.warns(ConvergenceWarning, match="max_iter=2"):
            model.fit(chunked(X), Y)


class TestFitted:
    @pytest.fixture(scope="class")
    @staticmethod
    def fits():
        with dask.config.set(scheduler="synchronous"):
            return (
                pair("Regressor")[1].fit(chunked(X), np.column_stack([Y, Z[:, 0]])),
                pair("Classifier")[1].fit(chunked(X), WORDS),
                pair("Classifier")[1].fit(chunked(X), Y > 0.0),
                pair("Regressor", dtype="float32")[1].fit(chunked(X), Y),
            )

    @each_cut
    def test_results_for_collections_are_lazy_and_the_same(self, fits, cut):
        """Seen red with one axis too few for several targets."""
        names = "predict", "gradient", "transform", "decision_function"
        names += "predict_proba", "predict_log_proba"
        for model in fits:
            for name in filter(lambda name, m=model: hasattr(m, name), names):
                method = getattr(model, name)
                got, expected = method(chunked(X, cut)), method(X)

                assert isinstance(got, dask.array.Array)
                assert got.dtype == expected.dtype
                assert got.shape[1:] == expected.shape[1:]
                if expected.dtype.kind == "f":
                    scale = abs(expected).max()
                    atol = 50 * np.finfo(expected.dtype).eps * scale
                    np.testing.assert_allclose(got, expected, rtol=0, atol=atol)
                else:
                    np.testing.assert_array_equal(got, expected)

    def test_deviations(self, fits):
        """Seen red with means for deviations."""
        for model in (fits[0], fits[3]):
            got = model.predict(chunked(X), return_std=True)
            expected = model.predict(X, return_std=True)
            for mine, its in zip(got, expected, strict=True):
                assert mine.shape == its.shape
                np.testing.assert_allclose(mine, its, rtol=1e-5)

    def test_rows_from_coordinates(self, fits):
        """Seen red with as many columns as coordinates."""
        for model in fits:
            T = model.transform(X)
            got = model.inverse_transform(chunked(T))
            np.testing.assert_allclose(got, model.inverse_transform(T), rtol=1e-5)
            assert got.shape == (N, 4)

    def test_scores(self, fits):
        """Seen red with the weights passed over."""
        y = np.column_stack([Y, Z[:, 0]])
        for model, target in zip(fits[:2], (y, WORDS), strict=True):
            got = model.score(chunked(X), target, WEIGHTS)
            assert got == pytest.approx(model.score(X, target, WEIGHTS), rel=1e-12)

    def test_state_holds_no_rows(self):
        """Seen red with the prepared rows in an attribute."""
        rows = RNG.normal(size=(4000, 3))
        for kind, y in [("Regressor", rows[:, 0]), ("Classifier", rows[:, 0] > 0)]:
            model = pair(kind, n_centers=5, max_iter=1)[1].fit(chunked(rows), y)
            state = pickle.dumps(model)
            assert len(state) < rows.nbytes / 8
            got = pickle.loads(state).predict(chunked(rows[:9]))
            np.testing.assert_array_equal(got, model.predict(chunked(rows[:9])))
            clone(model)

    def test_a_fit_reads_the_rows_once(self):
        """Seen red with statistics of rows that were not held."""
        times = []

        def read(block):
            if len(block):
                times.append(len(block))
            return block

        rows = chunked(X).map_blocks(read, dtype=float, meta=np.empty((0, 0)))
        pair("Regressor", early_stopping=True)[1].fit(rows, Y)

        assert sum(times) == N


@pytest.mark.parametrize("kind", ["Regressor", "Classifier"])
def test_same_bits_on_workers(client, kind):
    """Seen red with sums in a random order."""
    y = Y if kind == "Regressor" else WORDS
    params = {"n_centers": 5, "max_iter": 2, "early_stopping": True, "tol": 0.1}

    def fit(**more):
        model = pair(kind, **params, **more)[1]
        model.fit(chunked(X), chunked(y), WEIGHTS)
        queries = model.gradient(chunked(X)).compute()
        return [
            np.array(model.loss_curve_).tobytes(),
            model.dual_coef_.tobytes(),
            model.active_subspace_[0].tobytes(),
            queries.tobytes(),
        ]

    on_workers = fit()

    with dask.config.set(scheduler="synchronous"):
        assert fit() == on_workers
    with dask.config.set(scheduler="threads"):
        assert fit(n_jobs=2) == on_workers


def test_searches_know_the_client_of_the_fit(cluster):
    """Seen red with searches on threads that know no client."""
    params = {"init": "random", "n_restarts": 2, "max_iter": 1, "n_jobs": 2}
    with Client(cluster, set_as_default=False) as client, client.as_current():
        model = pair("Regressor", **params)[1].fit(chunked(X), Y)

    assert model.n_iter_ == 1


def test_held_chunks_are_freed(client):
    """Seen red with rows held by the estimator."""
    model = pair("Regressor", max_iter=1)[1].fit(chunked(X), Y)

    assert model.predict(X).shape == (N,)
    deadline = time.monotonic() + 5.0
    while client.futures and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not client.futures
