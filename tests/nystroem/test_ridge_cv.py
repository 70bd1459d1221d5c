"""The choice of alpha against its definition and scikit-learn's searches."""

import pickle

import numpy as np
import pytest
from reference.nystroem import kernel_ridge, nystroem_ridge
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import make_scorer, mean_squared_error
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)

from kernelkit import NystroemRidge, NystroemRidgeCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3))
Y = np.sin(X[:, 0]) + X[:, 1] + 3.0 + 0.3 * RNG.normal(size=150)
TWO = np.column_stack([Y, 5.0 * X[:, 2] + RNG.normal(size=150)])
WEIGHTS = RNG.uniform(1.0, 3.0, 150)
Q = RNG.normal(size=(40, 3))
IDS = np.arange(30)
ALPHAS = np.array([1e-5, 1e-3, 0.1, 1.0, 30.0])

each_weighting = pytest.mark.parametrize("weights", [None, WEIGHTS])
each_intercept = pytest.mark.parametrize("fit_intercept", [False, True])
each_centers = pytest.mark.parametrize("centers", [IDS, np.arange(150)])


def model(alphas=ALPHAS, **params):
    return NystroemRidgeCV(alphas, **{"gamma": 0.4, "random_state": 0, **params})


def gcv(y, alpha, centers, weights, fit_intercept):
    """Generalised cross-validation, with the trace of the matrix that smooths."""
    K = rbf_kernel(X, gamma=0.4)
    w = np.ones(len(y)) if weights is None else weights

    def smooth(targets):
        if len(centers) == len(X):
            dual, base = kernel_ridge(K, targets, alpha, weights, fit_intercept)
            return K @ dual + base
        dual, base = nystroem_ridge(K, centers, targets, alpha, weights, fit_intercept)
        return K[:, centers] @ dual + base

    trace = np.trace(smooth(np.eye(len(y))))
    return w.sum() * (w @ np.square(y - smooth(y))) / (w.sum() - trace) ** 2


@each_centers
@each_intercept
@each_weighting
def test_gcv_equals_its_definition(weights, fit_intercept, centers):
    """Seen red with the intercept left out of the degrees of freedom."""
    ridge = model(centers=centers, fit_intercept=fit_intercept)
    ridge.fit(X, TWO, weights)

    expected = [gcv(TWO, a, centers, weights, fit_intercept).mean() for a in ALPHAS]
    np.testing.assert_allclose(-ridge.scores_, expected, rtol=1e-4)
    assert ridge.alpha_ == ALPHAS[np.argmin(expected)]
    assert ridge.best_score_ == ridge.scores_.max()


@each_intercept
@each_weighting
@pytest.mark.parametrize("scoring", [None, "r2"])
def test_fit_is_that_of_the_chosen_alpha(scoring, weights, fit_intercept):
    """Seen red with the coefficients of the first alpha."""
    params = {"n_components": 30, "fit_intercept": fit_intercept}
    ridge = model(scoring=scoring, **params).fit(X, TWO, weights)

    params |= {"centers": ridge.component_indices_, "gamma": 0.4}
    same = NystroemRidge(ridge.alpha_, **params).fit(X, TWO, weights)
    for got, expected in [
        (ridge.predict(Q), same.predict(Q)),
        (ridge.intercept_, same.intercept_),
    ]:
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_effective_dimension_is_the_trace():
    ridge = model(centers=np.arange(150)).fit(X, Y)

    K = rbf_kernel(X, gamma=0.4)
    expected = [np.trace(K @ np.linalg.inv(K + a * np.eye(150))) for a in ALPHAS]
    np.testing.assert_allclose(ridge.effective_dimension_, expected, rtol=1e-8)


@each_intercept
@pytest.mark.parametrize(
    "cv",
    [
        None,
        3,
        ShuffleSplit(4, random_state=0),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        TimeSeriesSplit(3),
    ],
)
@pytest.mark.parametrize("scoring", ["r2", "neg_mean_absolute_error"])
def test_folds_equal_a_search_on_the_same_centers(scoring, cv, fit_intercept):
    """Seen red with rows of a fold left in its sums."""
    params = {"centers": X[:30], "fit_intercept": fit_intercept, "gamma": 0.4}
    grid = {"alpha": ALPHAS}
    search = GridSearchCV(NystroemRidge(**params), grid, cv=cv, scoring=scoring)
    search.fit(X, TWO)

    ridge = NystroemRidgeCV(ALPHAS, scoring=scoring, cv=cv, **params).fit(X, TWO)

    expected = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(ridge.scores_, expected, rtol=1e-5)
    assert ridge.alpha_ == search.best_params_["alpha"]
    np.testing.assert_allclose(
        ridge.predict(Q), search.predict(Q), rtol=1e-5, atol=1e-5
    )


def test_folds_equal_a_search_over_exact_models():
    """With every row a centre. Seen red with values of the basis in another order."""
    exact = KernelRidge(kernel="rbf", gamma=0.4)
    search = GridSearchCV(exact, {"alpha": ALPHAS}, cv=KFold(4, shuffle=False))
    search.fit(X, Y)

    ridge = model(scoring="r2", cv=4).fit(X, Y)

    expected = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(ridge.scores_, expected, rtol=1e-5)


def test_scores_are_weighted():
    """Seen red with the weights dropped from the scorer."""
    counts = np.arange(150) % 3 + 1
    folds = np.repeat(np.arange(150) % 4, counts)
    repeated = [
        (np.flatnonzero(folds != i), np.flatnonzero(folds == i)) for i in range(4)
    ]
    single = [
        (np.flatnonzero(np.arange(150) % 4 != i), np.arange(i, 150, 4))
        for i in range(4)
    ]
    params = {"centers": X[:30], "scoring": "neg_mean_squared_error"}

    got = model(cv=single, **params).fit(X, Y, counts).scores_

    by_rows = model(cv=repeated, **params)
    by_rows.fit(X.repeat(counts, axis=0), Y.repeat(counts))
    np.testing.assert_allclose(got, by_rows.scores_, rtol=1e-6)


@each_intercept
def test_weights_are_repetitions_to_the_gcv(fit_intercept):
    """Seen red with the number of rows in place of the sum of weights."""
    counts = np.arange(150) % 4
    params = {"centers": X[:30], "fit_intercept": fit_intercept}

    got = model(**params).fit(X, Y, counts)

    repeated = model(**params).fit(X.repeat(counts, axis=0), Y.repeat(counts))
    np.testing.assert_allclose(got.scores_, repeated.scores_, rtol=1e-6)


def test_weights_that_count_less_than_the_fit_are_refused():
    """Seen red without the check: a score of a negative number of rows."""
    ridge = model([1e-9], centers=IDS)

    with pytest.raises(ValueError, match=r"weights add up to 0.15.*or give scoring"):
        ridge.fit(X, Y, np.full(150, 1e-3))


def test_custom_scorers():
    """A function of the metric, and a callable that is given predictions."""
    params = {"centers": IDS, "cv": 3}
    loss = make_scorer(mean_squared_error, greater_is_better=False)

    def minus_loss(estimator, X, y):
        return -mean_squared_error(y, estimator.predict(X))

    got, same, named = (
        model(scoring=scoring, **params).fit(X, Y).scores_
        for scoring in (loss, minus_loss, "neg_mean_squared_error")
    )

    assert got.tolist() == same.tolist() == named.tolist()


def test_penalties_below_the_rounding_of_sums():
    """Seen red without the second sums: a loss of 1.04 times the least."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, 3))
    y = np.sin(rows[:, 0]) + 0.1 * rng.normal(size=2000)
    params = {"gamma": 0.05, "centers": np.arange(60)}

    ridge = NystroemRidgeCV([1e-5], **params).fit(rows, y)

    same = NystroemRidge(1e-5, **params).fit(rows, y)
    got, least = (np.square(y - fit.predict(rows)).mean() for fit in (ridge, same))
    assert got == pytest.approx(least, rel=1e-4)
    expected = least / (1.0 - ridge.effective_dimension_ / 2000) ** 2
    np.testing.assert_allclose(-ridge.scores_, expected, rtol=1e-3)


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_unit_of_targets_does_not_matter(scoring):
    ridge = model(centers=IDS, scoring=scoring).fit(X, Y)
    huge = model(centers=IDS, scoring=scoring)

    scores = [huge.fit(X, unit * Y).scores_ / unit**2 for unit in (1e-100, 1e100)]

    if scoring is None:
        np.testing.assert_allclose(scores, [ridge.scores_] * 2, rtol=1e-9)
    assert huge.alpha_ == ridge.alpha_


def test_grid_is_sorted_and_each_once():
    ridge = model([1.0, 1e-3, 1.0]).fit(X, Y)

    assert ridge.alphas_.tolist() == [1e-3, 1.0]
    assert ridge.scores_.shape == ridge.effective_dimension_.shape == (2,)


@pytest.mark.parametrize("alphas", [[], [0.0], [1.0, -1.0], [np.nan], [[1.0]], ["a"]])
def test_wrong_grids_are_refused(alphas):
    with pytest.raises(ValueError, match="'alphas' parameter of NystroemRidgeCV must"):
        model(alphas).fit(X, Y)


def test_fold_without_weight_is_refused():
    weights = (np.arange(150) < 50).astype(float)

    with pytest.raises(ValueError, match="no row with weight"):
        model(centers=IDS, scoring="r2", cv=[(np.arange(50, 150), np.arange(50))]).fit(
            X, Y, weights
        )


def test_fold_without_weight_to_score_is_refused():
    """Seen red with the words of a metric."""
    weights = (np.arange(150) < 50).astype(float)
    folds = [(np.arange(100), np.arange(100, 150))]

    with pytest.raises(ValueError, match="no row with weight to score"):
        model(centers=IDS, scoring="r2", cv=folds).fit(X, Y, weights)


def test_a_score_of_nan_is_not_the_best():
    """Seen red with the first NaN for the largest."""
    values = iter([1.0, np.nan, 3.0, 2.0, np.nan])
    folds = [(np.arange(100), np.arange(100, 150))]
    ridge = model(centers=IDS, scoring=lambda *_: next(values), cv=folds).fit(X, Y)

    assert ridge.alpha_ == ALPHAS[2]
    assert ridge.best_score_ == 3.0
    with pytest.raises(ValueError, match="score of every alpha is NaN"):
        model(centers=IDS, scoring=lambda *_: np.nan, cv=folds).fit(X, Y)


def test_digits_are_missed_before_they_are_lost():
    """Seen red with sums over the basis only if eigenvalues come out negative."""
    centers = np.linspace(0.0, 1.0, 10)[:, None]
    params = {"gamma": 4.0, "centers": centers}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        rows = rng.uniform(size=(2000, 1))
        y = np.sin(8.0 * rows[:, 0]) + 0.3 * rng.normal(size=2000)

        got = NystroemRidgeCV([1e-5, 1e-4], **params).fit(rows, y)

        expected = NystroemRidge(got.alpha_, **params).fit(rows, y)
        np.testing.assert_allclose(got.predict(rows), expected.predict(rows), atol=1e-7)


@pytest.mark.parametrize("scoring", [None, "r2"])
@pytest.mark.parametrize("centers", ["rls", "uniform", "rpcholesky"])
def test_threads_do_not_change_a_bit(centers, scoring):
    params = {"centers": centers, "scoring": scoring, "n_components": 30}

    one, four = (model(n_jobs=n, **params).fit(X, Y) for n in (1, 4))

    assert one.scores_.tobytes() == four.scores_.tobytes()
    assert one.predict(Q).tobytes() == four.predict(Q).tobytes()


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_precomputed_kernel(scoring):
    K, K_q = rbf_kernel(X, gamma=0.4), rbf_kernel(Q, X, gamma=0.4)
    params = {"n_components": 30, "scoring": scoring, "gamma": None}
    ridge = model(kernel="precomputed", **params).fit(K, Y)

    params |= {"centers": ridge.component_indices_, "gamma": 0.4}
    same = model(**params).fit(X, Y)

    np.testing.assert_allclose(ridge.scores_, same.scores_, rtol=1e-6)
    np.testing.assert_allclose(ridge.predict(K_q), same.predict(Q), rtol=1e-6)


def test_folds_that_exceed_memory_are_refused(monkeypatch):
    """Seen red without the estimate."""
    monkeypatch.setattr("os.sysconf", lambda name: 1000)  # a megabyte
    ridge = model(scoring="r2", cv=50, centers=X[:50], n_components=50)

    with pytest.raises(MemoryError, match="lower n_components or cv"):
        ridge.fit(X, Y)


def test_pickle():
    ridge = model(n_components=30).fit(X, Y)

    loaded = pickle.loads(pickle.dumps(ridge))

    assert loaded.predict(Q).tobytes() == ridge.predict(Q).tobytes()
