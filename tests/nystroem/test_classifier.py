"""The classifier: against exact kernel ridge, scikit-learn's, and in batches."""

import pickle

import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_digits, make_moons
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from kernelkit import NystroemRidge, NystroemRidgeClassifier

X, CODES = make_moons(600, noise=0.2, random_state=0)
THREE = np.where(X[:, 0] > 1.0, 2, CODES)
NAMES = np.array(["a", "b", "c"])[THREE]
Q = np.random.default_rng(0).uniform(-1.0, 2.0, size=(50, 2))


def model(**params):
    """Make a model with few centres and a short warm-up."""
    defaults = {
        "alpha": 0.1,
        "gamma": 10.0,
        "n_components": 50,
        "warmup_samples": 200,
        "random_state": 0,
    }
    return NystroemRidgeClassifier(**{**defaults, **params})


def fed(classifier, X, y, size, **first):
    """Give rows to a model in batches of some size."""
    for i in range(0, len(y), size):
        classifier.partial_fit(X[i : i + size], y[i : i + size], **first)
        first = {}
    return classifier


def test_digits_as_well_as_exactly():
    """Seen red with one vote too few: the last class never won."""
    rows, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:1200], order[1200:]
    signs = np.where(y[:, None] == np.arange(10), 1.0, -1.0)
    params = {"alpha": 0.1, "gamma": 1e-3}
    with threadpool_limits(1):
        exact = KernelRidge(kernel="rbf", **params).fit(rows[train], signs[train])
    expected = np.mean(exact.predict(rows[test]).argmax(axis=1) == y[test])
    classifier = model(n_components=432, warmup_samples=800, **params)

    whole = classifier.fit(rows[train], y[train]).score(rows[test], y[test])
    classifier = model(n_components=432, warmup_samples=800, **params)
    fed(classifier, rows[train], y[train], 100, classes=range(10))

    assert whole >= expected - 0.01
    assert classifier.score(rows[test], y[test]) >= expected - 0.01


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_two_classes_have_one_function(fit_intercept):
    """That of the second. Seen red with targets 0 and 1."""
    labels = np.array(["no", "yes"])[CODES]
    classifier = model(fit_intercept=fit_intercept).fit(X, labels)
    regressor = NystroemRidge(
        0.1,
        gamma=10.0,
        n_components=50,
        fit_intercept=fit_intercept,
        random_state=0,
    )

    values = regressor.fit(X, 2.0 * CODES - 1.0).predict(Q)

    np.testing.assert_array_equal(classifier.decision_function(Q), values)
    expected = np.where(values > 0.0, "yes", "no")
    assert classifier.predict(Q).tolist() == expected.tolist()
    assert classifier.dual_coef_.shape == (50,)


def test_each_class_has_a_function():
    """Seen red with the classes in the order in which they come."""
    classifier = model().fit(X, NAMES)
    regressor = NystroemRidge(
        0.1, gamma=10.0, n_components=50, fit_intercept=True, random_state=0
    )

    signs = np.where(NAMES[:, None] == ["a", "b", "c"], 1.0, -1.0)
    values = regressor.fit(X, signs).predict(Q)

    np.testing.assert_array_equal(classifier.decision_function(Q), values)
    expected = np.array(["a", "b", "c"])[values.argmax(axis=1)]
    assert classifier.predict(Q).tolist() == expected.tolist()
    assert classifier.classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 5.0, 2: 0.5}])
def test_linear_kernel_is_ridge_classification(class_weight):
    """Seen red with class weights left out, or as roots."""
    y = np.where(X[:, 1] > 0.9, 2, CODES)
    params = {"alpha": 2.0, "class_weight": class_weight}
    expected = RidgeClassifier(**params).fit(X, y)

    got = model(kernel="linear", gamma=None, **params).fit(X, y)

    np.testing.assert_allclose(
        got.decision_function(Q), expected.decision_function(Q), rtol=1e-6, atol=1e-9
    )


def test_balanced_classes_count_weights():
    """As repetitions. Seen red with the number of rows."""
    weights = np.arange(600) % 3 + 1
    rows, y = np.repeat(X, weights, axis=0), np.repeat(THREE, weights)
    params = {"class_weight": "balanced", "centers": X[:40]}

    got = model(**params).fit(X, THREE, weights).decision_function(Q)

    expected = model(**params).fit(rows, y).decision_function(Q)
    np.testing.assert_allclose(got, expected, atol=1e-7)


@pytest.mark.parametrize("labels", [CODES, THREE, NAMES])
def test_batches_are_a_fit_on_the_same_centres(labels):
    """Also those without some class. Seen red with the codes of each batch."""
    order = np.argsort(labels, kind="stable")
    order = np.concatenate([order[::2], order[1::2]])
    rows, y = X[order], labels[order]
    weights = {label: 1.0 + i for i, label in enumerate(np.unique(labels))}
    params = {"class_weight": weights, "warmup_samples": 300}
    got = fed(model(**params), rows, y, 30, classes=np.unique(labels)[::-1])

    expected = model(centers=got.components_, **params).fit(rows, y)

    np.testing.assert_array_equal(got.classes_, np.unique(labels))
    np.testing.assert_allclose(
        got.decision_function(Q), expected.decision_function(Q), atol=1e-7
    )
    assert got.decision_function(Q).ndim == (1 if labels is CODES else 2)


def test_refused_batches_change_nothing():
    """Seen red without a look at the labels."""
    classifier = fed(model(), X[:300], NAMES[:300], 100, classes=["a", "b", "c"])
    before = vars(classifier).copy()

    for rows, labels, classes, words in [
        (X, np.where(NAMES == "a", "d", NAMES), None, "labels .'d'. that are not"),
        (X, NAMES, ["a", "b"], "leave them out"),
        (X, NAMES, ["a"], "one class"),
        (X, THREE, None, "labels"),
        (X[:, :1], NAMES, None, "1 feature"),
        (X, NAMES[:99], None, "inconsistent"),
        (X, X, None, "1d array"),
    ]:
        with pytest.raises(ValueError, match=words):
            classifier.partial_fit(rows, labels, classes=classes)
        assert vars(classifier) == before

    classifier.partial_fit(X[300:], NAMES[300:], classes=["c", "b", "a"])
    assert classifier.score(X, NAMES) > 0.9


@pytest.mark.parametrize(
    ("params", "classes", "words"),
    [
        ({}, None, "first call of partial_fit needs classes"),
        ({}, [1], "one class"),
        ({"class_weight": "balanced"}, [0, 1], "needs all rows at once"),
        ({"kernel": "precomputed"}, [0, 1], "partial_fit compares rows"),
    ],
)
def test_refused_streams(params, classes, words):
    """Each seen red without its check."""
    classifier = model(**params)

    with pytest.raises(ValueError, match=words):
        classifier.partial_fit(X, CODES, classes=classes)

    assert not hasattr(classifier, "classes_")


def test_classes_of_a_fit_hold_for_a_stream():
    """Unless others are announced. Seen red with classes asked for again."""
    classifier = model().fit(X, CODES)

    with pytest.warns(UserWarning, match="starts anew"):
        classifier.partial_fit(X, CODES)

    np.testing.assert_array_equal(classifier.classes_, [0, 1])
    classifier = model().fit(X, CODES)
    with pytest.warns(UserWarning, match="starts anew"):
        classifier.partial_fit(X, NAMES, classes=["a", "b", "c"])
    assert classifier.predict(Q).dtype == NAMES.dtype


def test_one_class_is_refused():
    """Also if the rows of the others have no weight. Seen red without the check."""
    for labels, weights in [(np.zeros(600), None), (CODES, CODES)]:
        with pytest.raises(ValueError, match="of one class"):
            model().fit(X, labels, weights)


def test_targets_of_too_many_classes_are_refused():
    """Seen red without a look at the memory."""
    y = np.arange(6 * 10**5) // 2

    with pytest.raises(MemoryError, match="merge rare classes"):
        model().fit(np.zeros((6 * 10**5, 1)), y)


def test_far_from_the_rows_the_common_class_prevails():
    """Seen red without an intercept."""
    classifier = model().fit(X[:350], np.where(X[:350, 1] > 0.7, "odd", "usual"))

    assert set(classifier.predict([[100.0, 100.0], [-50.0, 0.0]])) == {"usual"}


def test_saved_model_gives_the_same_bits():
    """Seen red with a stream that does not pickle."""
    for classifier in (
        model().fit(X, NAMES),
        fed(model(), X, NAMES, 100, classes=["a", "b", "c"]),
    ):
        expected = classifier.decision_function(Q)
        saved = skops.io.dumps(classifier)
        trusted = skops.io.get_untrusted_types(data=saved)

        assert all(name.startswith("kernelkit.") for name in trusted)
        for copy in (
            pickle.loads(pickle.dumps(classifier)),
            skops.io.loads(saved, trusted=trusted),
        ):
            assert copy.decision_function(Q).tobytes() == expected.tobytes()


def test_searches_and_pipelines():
    """Seen red with a parameter that `__init__` changes."""
    search = GridSearchCV(model(), {"gamma": [1e-4, 1.0]}, cv=3).fit(X, THREE)
    pipeline = make_pipeline(StandardScaler(), model())

    assert search.best_params_ == {"gamma": 1.0}
    assert cross_val_score(pipeline, X, NAMES, cv=3).mean() > 0.9


def test_kernel_matrix():
    """Seen red with columns that are no centres."""
    K, K_query = (np.exp(-10.0 * ((A[:, None] - X) ** 2).sum(axis=2)) for A in (X, Q))
    got = model(kernel="precomputed", gamma=None).fit(K, THREE)

    expected = model().fit(X, THREE)
    np.testing.assert_allclose(
        got.decision_function(K_query), expected.decision_function(Q), atol=1e-6
    )


@pytest.mark.parametrize("fit", ["fit", "partial_fit"])
@pytest.mark.parametrize("factor", [-1.0, np.nan, np.inf, "1"])
def test_wrong_class_weights_are_refused(factor, fit):
    """Seen red with words about `sample_weight`."""
    classifier = model(class_weight={0: factor})
    options = {"classes": [0, 1]} if fit == "partial_fit" else {}

    with pytest.raises(ValueError, match="class_weight must give"):
        getattr(classifier, fit)(X, CODES, **options)


def test_classes_without_weight():
    """Seen red with a look at the first of no rows, and at weights of a batch."""
    with pytest.raises(ValueError, match="class_weight leaves no row"):
        model(class_weight={0: 0.0, 1: 0.0}).fit(X, CODES)
    params = {"class_weight": {2: 0.0}}
    zeros, others = THREE == 2, THREE < 2
    for order in ([others, zeros], [zeros, others]):
        classifier = model(**params)
        for part in order:
            classifier.partial_fit(X[part], THREE[part], classes=[0, 1, 2])
        expected = model(**params).partial_fit(
            X[others], THREE[others], classes=[0, 1, 2]
        )
        np.testing.assert_array_equal(
            classifier.decision_function(Q), expected.decision_function(Q)
        )
