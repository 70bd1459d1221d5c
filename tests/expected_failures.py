"""Common checks of scikit-learn that an estimator fails on purpose.

``{class name: {check name: reason}}``. Free to enter are only the weight equivalence
checks of estimators whose random draws depend on the number of rows; the reason of any
other entry ends with the decision note that argues for it.
"""

_DRAWS = {
    f"check_sample_weight_equivalence_on_{kind}_data": (
        "a random number is drawn for each row, and a repeated row has several"
    )
    for kind in ("dense", "sparse")
}

EXPECTED_FAILURES = {
    "InkEstimate": _DRAWS,
    "MultivariateECDF": {
        "check_estimators_nan_inf": (
            "infinities have a place in an order: "
            "doc/develop/decisions/infinities-are-ordered.md"
        ),
    },
    "RidgeLeverageNystroem": _DRAWS,
}
