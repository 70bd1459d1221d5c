"""What scikit-learn's users expect of every estimator."""

import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from discovery import (
    ESTIMATORS,
    WEIGHTED,
    assert_same_bits,
    labels,
    mean_output,
    new,
    outputs,
    query_methods,
)
from expected_failures import EXPECTED_FAILURES
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).round(1)
Y = labels(X)
WEIGHTS = RNG.uniform(size=len(X))
QUERIES = RNG.normal(size=(15, 3)).round(1)

pytestmark = [
    pytest.mark.filterwarnings("ignore:The features have rank:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:The objective still fell:sklearn.exceptions.ConvergenceWarning"
    ),
]
each_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)
each_weighted = pytest.mark.parametrize("Estimator", [*filter(query_methods, WEIGHTED)])


@parametrize_with_checks(
    [new(Estimator) for Estimator in ESTIMATORS],
    expected_failed_checks=lambda e: EXPECTED_FAILURES.get(type(e).__name__, {}),
)
def test_common_check(estimator, check, record_property):
    """An expected failure that passes is red: ``xfail_strict`` in pyproject.toml.

    Seen red with an `__init__` that converts a parameter, and with an expected failure
    of a check that passes.
    """
    record_property("campaign", f"common checks of {type(estimator).__name__}")

    check(estimator)


@pytest.mark.parametrize(
    ("Estimator", "check", "reason"),
    [
        (Estimator, check, reason)
        for Estimator in ESTIMATORS
        for check, reason in EXPECTED_FAILURES.get(Estimator.__name__, {}).items()
    ],
)
def test_expected_failure_is_allowed(Estimator, check, reason):
    """Seen red with an invented check, and with a reason without a decision note."""
    checks = {
        getattr(check, "func", check).__name__
        for _, check in estimator_checks_generator(new(Estimator))
    }
    assert check in checks
    if not re.fullmatch("check_sample_weight_equivalence_on_.*_data", check):
        assert (ROOT / reason.split()[-1]).is_file()


def test_expected_failures_name_estimators():
    """Seen red with a misspelt class name."""
    assert EXPECTED_FAILURES.keys() <= {Estimator.__name__ for Estimator in ESTIMATORS}


@pytest.mark.parametrize(
    ("Estimator", "parameter"),
    [
        (Estimator, parameter)
        for Estimator in ESTIMATORS
        for parameter in inspect.signature(Estimator).parameters
    ],
)
def test_wrong_parameter_is_named(Estimator, parameter):
    """Seen red with a parameter left out of `_parameter_constraints`."""
    estimator = new(Estimator).set_params(**{parameter: object()})
    message = (
        f"The '{parameter}' parameter of {Estimator.__name__} must be .+ "
        "Got <object object at .+> instead"
    )

    with pytest.raises(ValueError, match=message):
        estimator.fit(X, Y)


@each_estimator
def test_width_is_remembered(Estimator):
    """Seen red with queries that skip `validate_data`."""
    model = new(Estimator).fit(X, Y)

    assert model.n_features_in_ == 3
    for method in query_methods(Estimator):
        with pytest.raises(ValueError, match="is expecting 3 features"):
            getattr(model, method)(X[:, :2])


@each_estimator
@pytest.mark.parametrize("columns", ["abz", "acb", "ab"])
def test_names_are_remembered(Estimator, columns):
    """Seen red with input made an array before `validate_data`."""
    frame = pd.DataFrame(X, columns=list("abc"))
    other = pd.DataFrame(X[:, : len(columns)], columns=list(columns))

    model = new(Estimator).fit(frame, Y)

    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    for method in query_methods(Estimator):
        with pytest.raises(ValueError, match="feature names should match"):
            getattr(model, method)(other)


@each_estimator
def test_failed_first_fit_leaves_it_unfitted(Estimator):
    """Seen red with a `fit` that is not undone: `n_features_in_` stayed."""
    estimator = new(Estimator)
    before = vars(estimator).copy()

    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(np.full_like(X, np.nan), Y)

    assert vars(estimator) == before


@each_weighted
def test_failed_second_fit_leaves_the_first(Estimator):
    """Seen red with a `fit` that is not undone: the new width stayed."""
    model = new(Estimator).fit(X, Y)
    before = outputs(model, QUERIES)

    with pytest.raises(ValueError, match=r"[Nn]egative"):
        model.fit(X[:, :2], Y, sample_weight=-WEIGHTS)

    assert_same_bits(outputs(model, QUERIES), before)


@each_weighted
def test_model_keeps_copies(Estimator):
    """Seen red with `fit` storing the caller's weights."""
    rows, weights = X.copy(), WEIGHTS.copy()
    model = new(Estimator).fit(rows, Y, sample_weight=weights)
    before = outputs(model, QUERIES)

    rows[:] = 0.0
    weights[:] = 0.0

    assert_same_bits(outputs(model, QUERIES), before)


@each_estimator
def test_results_are_the_callers(Estimator):
    """Seen red with a method that hands out a stored array."""
    model = new(Estimator).fit(X, Y)

    for values in outputs(model, QUERIES).values():
        values[:] = -1

    expected = outputs(new(Estimator).fit(X, Y), QUERIES)
    assert_same_bits(outputs(model, QUERIES), expected)


@each_estimator
def test_html_tells_fitted_from_unfitted(Estimator):
    """Seen red with a `__sklearn_is_fitted__` that is always true."""
    estimator = new(Estimator)

    unfitted = estimator._repr_html_()
    fitted = estimator.fit(X, Y)._repr_html_()

    assert Estimator.__name__ in unfitted
    assert "Not fitted" in unfitted
    assert Estimator.__name__ in fitted
    assert "Not fitted" not in fitted


def weighted_outputs(Estimator, X, y, weights, queries):
    """Evaluate a weighted fit, and tell whether it differs from one without weights."""
    weighted = new(Estimator).fit(X, y, sample_weight=weights)
    expected = outputs(weighted, queries)
    unweighted = outputs(new(Estimator).fit(X, y), queries)
    return expected, any(
        not np.array_equal(values, unweighted[m]) for m, values in expected.items()
    )


@each_weighted
def test_weights_are_routed_through_a_pipeline(Estimator):
    """Seen red with a `fit` that drops its weights."""
    scaler = StandardScaler()
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            scaler.set_fit_request(sample_weight=False),
            new(Estimator).set_fit_request(sample_weight=True),
        )

        pipeline.fit(X, Y, sample_weight=WEIGHTS)

    scaled, queries = scaler.transform(X), scaler.transform(QUERIES)
    expected, has_effect = weighted_outputs(Estimator, scaled, Y, WEIGHTS, queries)
    assert has_effect
    assert_same_bits(outputs(pipeline[-1], queries), expected)


@each_weighted
def test_weights_are_routed_through_cross_validation(Estimator):
    """Seen red with a `fit` that drops its weights."""
    folds = KFold(3)
    with sklearn.config_context(enable_metadata_routing=True):
        models = cross_validate(
            new(Estimator).set_fit_request(sample_weight=True),
            X,
            Y,
            scoring=mean_output,
            cv=folds,
            params={"sample_weight": WEIGHTS},
            return_estimator=True,
        )["estimator"]

    effects = []
    for model, (rows, _) in zip(models, folds.split(X), strict=True):
        expected, has_effect = weighted_outputs(
            Estimator, X[rows], Y[rows], WEIGHTS[rows], QUERIES
        )
        assert_same_bits(outputs(model, QUERIES), expected)
        effects.append(has_effect)
    assert any(effects)


@each_weighted
def test_weights_are_routed_through_a_parallel_search(Estimator):
    """Seen red with a `fit` that drops its weights."""
    defaults = new(Estimator).get_params(deep=False)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            new(Estimator).set_fit_request(sample_weight=True),
            {name: [value] for name, value in defaults.items()},
            scoring=mean_output,
            cv=3,
            n_jobs=2,
        )

        search.fit(X, Y, sample_weight=WEIGHTS)

    assert np.isfinite(search.best_score_)
    expected, has_effect = weighted_outputs(Estimator, X, Y, WEIGHTS, QUERIES)
    assert has_effect
    assert_same_bits(outputs(search.best_estimator_, QUERIES), expected)


@each_estimator
def test_frozen_model_stays(Estimator):
    """Seen red without the FrozenEstimator."""
    model = new(Estimator).fit(X, Y)
    before = outputs(model, QUERIES)

    frozen = clone(FrozenEstimator(model)).fit(QUERIES, labels(QUERIES))

    assert_same_bits({m: getattr(frozen, m)(QUERIES) for m in before}, before)


@pytest.mark.parametrize("Estimator", [*filter(query_methods, ESTIMATORS)])
def test_inspection_and_learning_curve_accept_it(Estimator):
    """Seen red with methods that return NaN."""
    model = new(Estimator).fit(X, Y)

    importance = permutation_importance(model, X, Y, scoring=mean_output)
    _, _, scores = learning_curve(model, X, Y, scoring=mean_output)

    assert importance.importances_mean.shape == (3,)
    assert np.isfinite(scores).all()
