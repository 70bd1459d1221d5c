"""Common checks of scikit-learn that an estimator fails on purpose.

``{class name: {check name: reason}}``. Free to enter are only the weight equivalence
checks of estimators whose random draws depend on the number of rows; the reason of any
other entry ends with the decision note that argues for it.
"""

EXPECTED_FAILURES = {
    "MultivariateECDF": {
        "check_estimators_nan_inf": (
            "infinities have a place in an order: "
            "doc/develop/decisions/infinities-are-ordered.md"
        ),
    },
}
