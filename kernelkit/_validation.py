"""The only code that looks at raw user input; imported as ``check``."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

Array = npt.NDArray[Any]
_FLOATS = {"float32", "float64"}

N_JOBS = [
    Interval(Integral, None, -1, closed="right"),
    Interval(Integral, 1, None, closed="left"),
    None,
]
ORDER = [Options(Integral, {0, 1})]
POSITIVE = [Interval(Real, 0, None, closed="neither")]
NON_NEGATIVE = [Interval(Real, 0, None, closed="left")]
SHARE = [Interval(Real, 0, 1, closed="both")]
SHARE_BELOW_1 = [Interval(Real, 0, 1, closed="left")]
FRACTION = [Interval(Real, 0, 1, closed="neither")]
PART = [Interval(Real, 0, 1, closed="right")]
NUMBER = [Interval(Real, None, None, closed="neither")]
WHOLE = [Interval(Integral, 1, None, closed="left")]
WHOLE_OR_0 = [Interval(Integral, 0, None, closed="left")]
BOOLEAN = ["boolean"]
PREDICTOR = [HasMethods("predict"), None]
CLASS_WEIGHT = [dict, StrOptions({"balanced"}), None]
RANDOM_STATE = ["random_state", np.random.Generator]
KERNEL = [StrOptions({*PAIRWISE_KERNEL_FUNCTIONS, "precomputed"}), callable]
KERNEL_PARAMETERS = {
    "gamma": [*POSITIVE, None],
    "coef0": [*NUMBER, None],
    "degree": [Interval(Real, 1, None, closed="left"), None],
    "kernel_params": [dict, None],
}
NETWORK = {
    "depth": WHOLE_OR_0,
    "sigma_w": POSITIVE,
    "sigma_b": NON_NEGATIVE,
    "activation": [
        StrOptions({"relu", "leaky_relu", "erf", "gelu", "step", "linear"}),
        callable,
    ],
    "slopes": ["array-like"],
    "normalize": [StrOptions({"d"}), None],
    "train_from": WHOLE_OR_0,
}
FLOAT_DTYPE = [Options(type, {np.float32, np.float64}), StrOptions(_FLOATS), None]

_SPARSE_KERNELS = ("linear", "poly", "polynomial", "rbf", "sigmoid", "cosine")

# What scikit-learn needs to be told since it refuses weights that are all zero.
_ZEROS_PASS = dict.fromkeys(
    {"allow_all_zero_weights"} & signature(_check_sample_weight).parameters.keys(), True
)
_HEAVIEST = 1e60  # weight that has powers
_SARGAN_TERMS = 6  # beyond this, powers of far differences lose digits


def params(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate `fit`: check the constructor parameters first, undo a fit that raises.

    So a failed fit leaves the estimator as it was, be that fitted or not.
    """
    checked_fit = _fit_context(prefer_skip_nested_validation=True)(fit)

    @wraps(fit)
    def fit_or_undo(self: BaseEstimator, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).copy()
        try:
            return checked_fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return fit_or_undo


def parameters(estimator: BaseEstimator) -> None:
    """Check the constructor parameters of an estimator whose `fit` is not called."""
    estimator._validate_params()


def one_of(*options: str) -> list[Any]:
    """Constrain a parameter to one of some strings."""
    return [StrOptions(set(options))]


def bandwidth(*rules: str) -> list[Any]:
    """Constrain a bandwidth: a rule, a number, or a number per feature."""
    number = Interval(Real, 0, None, closed="neither")
    return [StrOptions(set(rules)), number, "array-like"]


def kernel(*names: str) -> list[Any]:
    """Constrain a smoothing kernel: a name or Sargan coefficients."""
    return [StrOptions(set(names)), "array-like"]


def bandwidth_numbers(owner: str, value: Any, n_features: int) -> Array:
    """Check a number, or one per feature, for a bandwidth: all finite and > 0.

    Raises
    ------
    InvalidParameterError
        A ValueError with the words of scikit-learn.
    """
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    if numbers.ndim > 1 or numbers.size not in (1, n_features):
        numbers = np.empty(0)
    if not (numbers.size and (numbers > 0).all() and np.isfinite(numbers).all()):
        raise InvalidParameterError(
            f"The 'bandwidth' parameter of {owner} must be a rule, a finite number > 0 "
            f"or {n_features} of them, one per feature. Got {value!r} instead."
        )
    return np.full(n_features, numbers)


def positive_numbers(
    estimator: BaseEstimator, parameter: str, sizes: Sequence[int] | None, words: str
) -> Array:
    """Check a parameter that is one or several finite numbers > 0.

    Parameters
    ----------
    estimator : estimator
        Whose parameter it is.
    parameter : str
        Its name.
    sizes : sequence of int or None
        How many numbers there may be; None means 1 or more.
    words : str
        What it must be, in the refusal.

    Raises
    ------
    InvalidParameterError
        A ValueError with the words of scikit-learn.
    """
    value = getattr(estimator, parameter)
    try:
        numbers = np.array(value, dtype=np.float64, ndmin=1)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    is_right = numbers.ndim == 1 and numbers.size and (numbers > 0.0).all()
    if not (is_right and np.isfinite(numbers).all()) or (
        sizes is not None and numbers.size not in sizes
    ):
        name = type(estimator).__name__
        raise InvalidParameterError(
            f"The {parameter!r} parameter of {name} must be {words}. "
            f"Got {value!r} instead."
        )
    return numbers


def sargan(owner: str, value: Any) -> str | tuple[float, ...]:
    """Check the coefficients of a Sargan kernel; names pass."""
    if isinstance(value, str):
        return value
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    is_right = numbers.ndim == 1 and 1 <= numbers.size <= _SARGAN_TERMS
    if not (is_right and (numbers >= 0).all() and 0 < numbers.sum() < np.inf):
        raise InvalidParameterError(
            f"The 'kernel' parameter of {owner} must be a name, or 1 to "
            f"{_SARGAN_TERMS} coefficients >= 0 that are not all zero. "
            f"Got {value!r} instead."
        )
    return tuple(numbers.tolist())


def choice(name: str, value: Any, options: Sequence[str]) -> str:
    """Check an argument of a method that is one of some strings."""
    if not isinstance(value, str) or value not in options:
        allowed = ", ".join(map(repr, options))
        raise ValueError(
            f"The {name!r} argument must be one of {allowed}. Got {value!r} instead."
        )
    return value


def count(name: str, value: Any) -> int:
    """Check an argument that is a whole number >= 1."""
    if not isinstance(value, Integral) or value < 1 or value is True:
        raise ValueError(
            f"The {name!r} argument must be a whole number >= 1. Got {value!r} instead."
        )
    return int(value)


def fraction(name: str, value: Any) -> float:
    """Check an argument that lies strictly between 0 and 1."""
    if not (isinstance(value, Real) and 0 < float(value) < 1):
        raise ValueError(
            f"The {name!r} argument must be a number in (0, 1). Got {value!r} instead."
        )
    return float(value)


def part_or_count(name: str, value: Any) -> int | float | None:
    """Check a whole number >= 1, a share in (0, 1] that is no int, or None."""
    if value is None:
        return None
    if isinstance(value, Integral) and int(value) >= 1:
        return int(value)
    is_share = isinstance(value, Real) and not isinstance(value, Integral)
    if is_share and 0.0 < float(value) <= 1.0:
        return float(value)
    raise ValueError(
        f"The {name!r} parameter must be a whole number >= 1, a share in (0, 1] or "
        f"None. Got {value!r} instead."
    )


def positive(name: str, value: Any) -> float:
    """Check an argument that is a finite number > 0."""
    if not (isinstance(value, Real) and 0 < float(value) < np.inf):
        raise ValueError(
            f"The {name!r} argument must be a finite number > 0. Got {value!r} instead."
        )
    return float(value)


def positives(name: str, values: Any) -> list[float]:
    """Check an argument that is a sequence of finite numbers > 0."""
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise ValueError(
            f"The {name!r} argument must be a sequence of finite numbers > 0. Got "
            f"{values!r} instead."
        )
    return [positive(name, value) for value in values]


def feature_range(clip: Any, X: Array) -> tuple[float, float] | None:
    """Check the range that the features of rows lie in; None if it is not known."""
    if clip is None:
        return None
    try:
        low, high = (float(end) for end in clip)
    except (TypeError, ValueError):
        low = high = np.nan
    if not low < high:
        raise ValueError(
            "The 'clip' argument must be None or a pair of numbers, the lower first. "
            f"Got {clip!r} instead."
        )
    if X.size and not (low <= X.min() and X.max() <= high):
        raise ValueError(
            f"X goes from {X.min():.3g} to {X.max():.3g}, beyond clip={clip!r}: widen "
            "it, or clip X first."
        )
    return low, high


def rng(random_state: Any) -> np.random.Generator:
    """Turn a `random_state` into a Generator; a RandomState seeds it by a few draws."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**32, size=4, dtype=np.uint32)
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:  # a string, a fraction, less than 0
        raise ValueError(
            "The 'random_state' argument must be a whole number >= 0, a Generator, a "
            f"RandomState or None. Got {random_state!r} instead."
        ) from error


def ordered_fit_data(estimator: BaseEstimator, X: Any) -> Array:
    """Check training rows of which only the order matters.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Bool, integer or float, in the caller's precision. Infinities are allowed.
    """
    return _ordered(estimator, X, reset=True)


def ordered_query_data(estimator: BaseEstimator, X: Any) -> Array:
    """Check query rows of a fitted estimator of which only the order matters."""
    return _ordered(estimator, X, reset=False)


def fit_data(estimator: BaseEstimator, X: Any) -> Array:
    """Check training rows whose numbers count.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
        A copy in C order: what a fit keeps is not the caller's.
    """
    return _numbers(estimator, X, reset=True).copy()


def regression_data(estimator: BaseEstimator, X: Any, y: Any) -> tuple[Array, Array]:
    """Check training rows whose numbers count, and a number or several for each.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
        A copy in C order.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        Another copy.
    """
    y = targets(estimator, y)
    X = fit_data(estimator, X)
    check_consistent_length(X, y)
    return X, y


def targets(estimator: BaseEstimator, y: Any) -> Array:
    """Check a number, or several, for each training row.

    Returns
    -------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        A copy.
    """
    _refuse_foreign(y)
    y = validate_data(estimator, y=_as_numpy(y), multi_output=True, y_numeric=True)
    if not isinstance(y, np.ndarray):
        raise TypeError("Sparse data was passed for y: use y.toarray().")
    if y.dtype.kind not in "biuf":
        name = type(estimator).__name__
        raise ValueError(f"{name} expects numbers, got y of dtype {y.dtype}.")
    with np.errstate(over="ignore"):
        y = y.astype(np.float64, order="C")
    if np.isnan(y).any():  # None among objects
        raise ValueError("Input y contains NaN: drop these rows.")
    scale = _size(y)
    if scale > np.finfo(np.float64).max / 4:
        raise ValueError(
            f"y holds numbers up to {scale:.3g}, whose differences overflow: divide y "
            "by a constant."
        )
    return y


def partly_known_targets(estimator: BaseEstimator, y: Any) -> Array:
    """Check targets as `targets` does, except that NaN stands for unknown ones."""
    if y is None:
        return targets(estimator, y)
    _refuse_foreign(y)
    y = check_array(
        y,
        dtype="numeric",
        ensure_all_finite="allow-nan",
        ensure_2d=False,
        input_name="y",
    )
    y = y.astype(np.float64) if y.dtype.kind == "O" else y
    unknown = np.isnan(y) if y.dtype.kind == "f" else np.zeros(y.shape, bool)
    y = targets(estimator, np.where(unknown, 0, y))
    y[unknown] = np.nan
    return y


def labels(estimator: BaseEstimator, y: Any) -> tuple[Array, Array]:
    """Check a class label for each training row.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The labels in their order.
    codes : ndarray of shape (n_samples,), int64
        The place of each row's label among the classes.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    _refuse_foreign(y)
    if sparse.issparse(y):
        raise TypeError("Sparse data was passed for y: use y.toarray().")
    y = column_or_1d(_as_numpy(y), warn=True)
    check_array(y, ensure_2d=False, dtype=None, input_name="y")
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    return classes, codes


def same_length(X: Any, y: Any) -> None:
    """Raise ValueError unless there is a target for each row."""
    check_consistent_length(X, y)


def class_weights(
    estimator: BaseEstimator, sample_weight: Any, classes: Array, codes: Array
) -> Array | None:
    """Check row weights, times those of the classes that a parameter gives.

    "balanced" gives classes of which some row weighs anything the same total. All of
    the products may be zero; None if there are no weights.
    """
    row_weights = weights(sample_weight, codes)
    given = estimator.class_weight
    if given is None:
        return row_weights
    if row_weights is None:
        row_weights = np.ones(len(codes))
    if isinstance(given, str):
        totals = np.bincount(codes, row_weights, minlength=len(classes))
        used = totals > 0.0
        factors = totals.sum() / (used.sum() * np.where(used, totals, 1.0))
    else:
        wrong = [factor for factor in given.values() if not _is_factor(factor)]
        if wrong:
            raise ValueError(
                "class_weight must give classes finite factors of 0 or more. Got "
                f"{wrong[0]!r}."
            )
        factors = compute_class_weight(given, classes=classes, y=classes)
    with np.errstate(over="ignore"):
        return _with_powers(row_weights * factors[codes])


def _is_factor(value: Any) -> bool:
    return isinstance(value, Real) and 0.0 <= float(value) < np.inf


def two_classes(
    estimator: BaseEstimator, weights: Array | None, classes: Array, codes: Array
) -> Array:
    """Return the codes that rows with weight have: two or more, in their order."""
    used = np.unique(codes if weights is None else codes[weights > 0.0])
    if not len(used):
        raise ValueError(
            "class_weight leaves no row any weight: give two classes or more a "
            "factor above 0."
        )
    if len(used) == 1:
        raise ValueError(
            f"{type(estimator).__name__} needs rows of 2 classes or more, and all rows "
            f"with weight are of one class, {classes[used].tolist()[0]!r}."
        )
    return used


def takes_new_rows(kernel: Any) -> None:
    """Raise ValueError if a kernel cannot compare rows to come with earlier ones."""
    if isinstance(kernel, str) and kernel == "precomputed":
        raise ValueError(
            "partial_fit compares rows with those of earlier batches, which "
            "kernel='precomputed' cannot: use fit, or another kernel."
        )


def some_rows(X: Any, rows: Array) -> Any:
    """Take rows of an array, a list or a data frame, which stays one."""
    return _safe_indexing(X, rows)


def takes_sparse(kernel: Any) -> bool:
    """Tell whether sparse rows can be compared by a kernel without filling them."""
    return isinstance(kernel, str) and kernel in _SPARSE_KERNELS


def kernel_rows(
    estimator: BaseEstimator,
    X: Any,
    *,
    reset: bool,
    kernel: Any,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    """Check rows that a kernel will compare.

    Parameters
    ----------
    estimator : estimator
        Whose widths and names of features are set, or checked.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows; of kernel values if the kernel is "precomputed".
    reset : bool
        Whether these rows are the first of a fit.
    kernel : str, Kernel or callable
        What the user gave: it decides whether sparse rows are taken.
    dtype : {"float32", "float64"} or None
        Precision to compute in. None keeps float32, and widens float16 to it; all else
        becomes float64.

    Returns
    -------
    X : ndarray in C order or csr_array, of shape (n_samples, n_features)
        A copy of training rows, float32 or float64.

    Raises
    ------
    ValueError, TypeError
        Also if squares of distances would overflow, and if a precomputed kernel matrix
        is not square.
    """
    X = _numbers(
        estimator,
        X,
        dtype=dtype,
        reset=reset,
        accept_sparse="csr" if takes_sparse(kernel) else False,
    )
    if isinstance(kernel, str) and kernel == "precomputed":
        if reset and X.shape[0] != X.shape[1]:
            raise ValueError(
                "A precomputed kernel matrix has a row and a column for each training "
                f"row. Got shape {X.shape} instead."
            )
        return X.copy() if reset else X
    values = X.data if sparse.issparse(X) else X
    scale = _size(values)
    if scale > np.sqrt(np.finfo(X.dtype).max / X.shape[1]) / 4:
        raise ValueError(
            f"X holds numbers up to {scale:.3g}, whose squares overflow {X.dtype}: "
            "rescale the features."
        )
    return X.copy() if reset else X


def parameter_rows(estimator: BaseEstimator, parameter: str) -> Array:
    """Check a parameter that is a rule or, as it is here, rows like those of `X`."""
    rows = fit_data(type(estimator)(), getattr(estimator, parameter))
    if rows.shape[1] != estimator.n_features_in_:
        raise InvalidParameterError(
            f"The {parameter!r} parameter of {type(estimator).__name__} must be a rule "
            f"or rows of {estimator.n_features_in_} features, like X. Got an array of "
            f"shape {rows.shape} instead."
        )
    return rows


def several_rows(estimator: BaseEstimator, X: Array) -> None:
    """Raise ValueError if there is one row only."""
    if len(X) < 2:
        raise ValueError(
            f"Found n_samples=1 while a minimum of 2 is required by "
            f"{type(estimator).__name__}, which learns from differences between rows."
        )


def query_data(estimator: BaseEstimator, X: Any) -> Array:
    """Check query rows of a fitted estimator whose numbers count."""
    return _numbers(estimator, X, reset=False)


def is_fitted(estimator: BaseEstimator) -> None:
    """Raise NotFittedError unless `fit` was called."""
    check_is_fitted(estimator)


def is_drawn_by(display: type, estimator: BaseEstimator, *kinds: type) -> None:
    """Raise TypeError unless a fitted estimator is of a kind that a display draws."""
    is_fitted(estimator)
    if not isinstance(estimator, kinds):
        names = " or a ".join(kind.__name__ for kind in kinds)
        raise TypeError(
            f"{display.__name__} draws a {names}. Got a "
            f"{type(estimator).__name__} instead: of a pipeline pass pipeline[-1], of "
            "a search search.best_estimator_."
        )


def sample_weight(sample_weight: Any, X: Array) -> Array | None:
    """Check row weights; None if all rows weigh the same."""
    weights = _weights(sample_weight, X)
    return None if weights is None or (weights == weights[0]).all() else weights


def weights(sample_weight: Any, X: Any) -> Array | None:
    """Check row weights whose scale counts; None if there are none.

    Raises
    ------
    ValueError
        Also if one exceeds 1e60, as their powers would overflow.
    """
    weights = _weights(sample_weight, X)
    return None if weights is None else _with_powers(weights)


def _with_powers(weights: Array) -> Array:
    if weights.max() > _HEAVIEST:
        raise ValueError(
            f"sample_weight goes up to {weights.max():.3g}, whose powers overflow: "
            "rescale the weights, and the penalty or ridge with them."
        )
    return weights


def part_weights(sample_weight: Any, X: Any) -> Array | None:
    """Check the weights of a part of the rows, which may all be zero."""
    if sample_weight is None:
        return None
    _refuse_foreign(sample_weight)
    return _check_sample_weight(
        _as_numpy(sample_weight),
        X,
        dtype=np.float64,
        ensure_non_negative=True,
        copy=True,
        **_ZEROS_PASS,
    )


def total_weight(weights: Array) -> float:
    """Sum the weights of rows, or of parts of them; neither 0 nor too large."""
    if not weights.any():
        raise ValueError(
            "Every sample_weight is zero; give at least one row a positive weight."
        )
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(
            "The sum of sample_weight overflows: divide the weights by their maximum."
        )
    return float(total)


def _weights(sample_weight: Any, X: Any) -> Array | None:
    weights = part_weights(sample_weight, X)
    if weights is not None:
        total_weight(weights)
    return weights


def length_scales(value: Any, n_features: int) -> Array:
    """Check one finite number > 0 for the length scale, or one per feature."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    if numbers.shape not in ((), (n_features,)) or not (
        (numbers > 0.0).all() and np.isfinite(numbers).all()
    ):
        raise ValueError(
            f"length_scale must be a finite number > 0, or {n_features} of them, one "
            f"per feature. Got {value!r} instead."
        )
    return numbers


def whole(name: str, value: Any) -> int:
    """Check an argument that is a whole number >= 0."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ValueError(
            f"The {name!r} argument must be a whole number >= 0. Got {value!r} instead."
        )
    return int(value)


def non_negative(name: str, value: Any) -> float:
    """Check an argument that is a finite number >= 0."""
    if not (isinstance(value, Real) and 0 <= float(value) < np.inf):
        raise ValueError(
            f"The {name!r} argument must be a finite number >= 0. Got {value!r} "
            "instead."
        )
    return float(value)


def slopes(value: Any) -> tuple[float, float]:
    """Check the slopes of an activation, two finite numbers that are not both 0."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    if numbers.shape != (2,) or not (np.isfinite(numbers).all() and numbers.any()):
        raise ValueError(
            "The 'slopes' argument must be two finite numbers that are not both 0. "
            f"Got {value!r} instead."
        )
    return float(numbers[0]), float(numbers[1])


def outputs(
    out: Any, shape: tuple[int, int], dtype: npt.DTypeLike, number: int
) -> list[Array]:
    """Check the arrays to be filled, or make them."""
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype must be float32 or float64. Got {dtype} instead.")
    if out is None:
        memory(
            number * shape[0] * shape[1] * dtype.itemsize,
            "compute the matrix by blocks of rows, or use fewer rows or float32",
        )
        return [np.empty(shape, dtype=dtype) for _ in range(number)]
    outs = list(out) if number > 1 else [out]
    for array in outs:
        if (
            not isinstance(array, np.ndarray)
            or array.shape != shape
            or array.dtype not in (np.dtype(np.float32), np.dtype(np.float64))
            or not array.flags.carray
        ):
            raise ValueError(
                f"out must be a writeable array of shape {shape} in C order, of "
                "float32 or float64."
            )
    if len(outs) != number or len({array.dtype for array in outs}) > 1:
        raise ValueError(f"out must be {number} arrays of one dtype.")
    return outs


def row_pair(
    X: Any, Y: Any, *, dtype: npt.DTypeLike | None = np.float64, takes_sparse: bool
) -> tuple[Any, Any]:
    """Check two sets of rows that a kernel object compares.

    Returns
    -------
    X, Y : ndarray in C order or csr_array
        Y is None if it was, or if it was X. None for `dtype` keeps float32.
    """
    accept = "csr" if takes_sparse else False
    dtypes = [np.float64, np.float32] if dtype is None else dtype
    pair: list[Any] = []
    for name, rows in (("X", X), ("Y", None if Y is X else Y)):
        if rows is None:
            pair.append(None)
            continue
        _refuse_foreign(rows)
        rows = check_array(
            _as_numpy(rows),
            dtype=dtypes,
            order="C",
            accept_sparse=accept,
            input_name=name,
            ensure_min_samples=0,
        )
        if sparse.issparse(rows):
            rows = sparse.csr_array(rows)
            rows.sum_duplicates()
        pair.append(rows)
    X, Y = pair
    if Y is not None and X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} features and Y has {Y.shape[1]}: rows can be compared "
            "if they have the same ones."
        )
    return X, Y


def query_targets(y: Any, shape: tuple[int, ...]) -> Array:
    """Check targets of query rows: finite numbers in the shape of the predictions."""
    y = check_array(_as_numpy(y), ensure_2d=False, dtype=np.float64, input_name="y")
    if y.shape != shape:
        raise ValueError(f"y must have shape {shape}. Got shape {y.shape} instead.")
    return y


def features(values: Any, n_rows: int) -> Array:
    """Check what a function of rows, or a model, said: finite numbers for each row.

    Raises
    ------
    ValueError
        Also if squares of distances would overflow.
    """
    values = check_array(values, dtype=np.float64, order="C", input_name="features")
    if len(values) != n_rows:
        raise ValueError(
            f"Features must have a row for each row of X: expected {n_rows}, got "
            f"shape {values.shape}."
        )
    scale = _size(values)
    if scale > np.sqrt(np.finfo(np.float64).max / values.shape[1]) / 4:
        raise ValueError(
            f"The features hold numbers up to {scale:.3g}, whose squares overflow: "
            "rescale them."
        )
    return values


def predictions(estimator: Any, values: Any, n_rows: int) -> Array:
    """Check what an estimator predicted: a label or finite numbers for each row."""
    values = np.asarray(values)
    if values.shape[:1] != (n_rows,):
        raise ValueError(
            f"{type(estimator).__name__} must predict something for each of {n_rows} "
            f"rows. Got shape {values.shape}."
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(
            f"{type(estimator).__name__} predicts NaN or infinity: rescale the "
            "features or the target."
        )
    return values


def grid_axes(
    axes: Any, n_features: int, dtype: npt.DTypeLike | None = None
) -> list[Array]:
    """Check the axes of a rectilinear grid: strictly increasing finite numbers.

    They increase in the given dtype, to which they are converted; None keeps theirs.
    """
    if not np.iterable(axes):
        raise ValueError(
            f"A grid needs one axis per feature: expected a list of {n_features}, "
            f"got {axes!r}."
        )
    axes = list(axes)
    if len(axes) != n_features:
        raise ValueError(
            f"A grid needs one axis per feature: expected {n_features} axes, "
            f"got {len(axes)}."
        )
    checked = []
    for k, axis in enumerate(axes):
        if not np.iterable(axis):
            raise ValueError(f"axes[{k}] must be a 1-D array. Got {axis!r} instead.")
        nodes = check_array(
            axis, ensure_2d=False, dtype="numeric", input_name=f"axes[{k}]"
        )
        nodes = np.ascontiguousarray(nodes, dtype=dtype)
        if nodes.ndim != 1 or not (nodes[1:] > nodes[:-1]).all():
            raise ValueError(
                f"axes[{k}] must be a 1-D array of strictly increasing {nodes.dtype} "
                "numbers; np.unique sorts it and drops repetitions."
            )
        checked.append(nodes)
    return checked


def memory(n_bytes: int, remedy: str) -> None:
    """Refuse what exceeds the machine's memory before any of it is allocated."""
    if not hasattr(os, "sysconf"):  # Windows refuses such allocations by itself
        return
    ceiling = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if n_bytes > ceiling:
        raise MemoryError(
            f"This needs {n_bytes / 2**30:.3g} GiB of memory and the machine has "
            f"{ceiling / 2**30:.3g} GiB: {remedy}."
        )


def signs(signs: Any, n_features: int) -> Array:
    """Check one sign, -1 or +1, per feature."""
    values = np.asarray(signs)
    if values.shape != (n_features,) or not np.isin(values, (-1, 1)).all():
        raise ValueError(
            f"signs must be {n_features} numbers, each -1 (source <= query) or +1 "
            f"(source > query). Got {signs!r} instead."
        )
    return values


def _numbers(
    estimator: BaseEstimator,
    X: Any,
    *,
    dtype: npt.DTypeLike | None = np.float64,
    **options: Any,
) -> Any:
    """Check rows and convert them; None keeps float32 and widens float16 to it."""
    _refuse_foreign(X)
    with np.errstate(invalid="ignore"):  # the sum that looks for infinities
        X = validate_data(
            estimator, _as_numpy(X), dtype="numeric", order="C", **options
        )
    if X.dtype.kind not in "biuf":
        name = type(estimator).__name__
        raise ValueError(f"{name} expects numbers, got X of dtype {X.dtype}.")
    if dtype is None:
        is_narrow = X.dtype.kind == "f" and X.dtype.itemsize <= 4
        dtype = np.float32 if is_narrow else np.float64
    with np.errstate(over="ignore"):
        if sparse.issparse(X):
            X = sparse.csr_array(X, dtype=dtype)
            X.sum_duplicates()
        else:
            X = np.ascontiguousarray(X, dtype=dtype)
    values = X.data if sparse.issparse(X) else X
    scale = _size(values)
    if scale > np.finfo(values.dtype).max / 4:
        raise ValueError(
            f"X holds numbers up to {scale:.3g}, whose differences overflow: rescale "
            "the features."
        )
    return X


def _ordered(estimator: BaseEstimator, X: Any, **options: Any) -> Array:
    _refuse_foreign(X)
    given = _as_numpy(X)
    X = validate_data(
        estimator, given, dtype="numeric", ensure_all_finite=False, **options
    )
    name = type(estimator).__name__
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} expects numbers, got X of dtype {X.dtype}.")
    if X.dtype.kind != "f":
        return X
    if X.size and np.isnan(X.min()):
        raise ValueError(
            f"Input X contains NaN. {name} orders rows, and NaN has no place in an "
            "order: drop or impute these rows first."
        )
    if X.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            X = X.astype(np.float64)
    if _is_rounded(given, X):
        raise ValueError(
            "X holds numbers that float64 cannot represent, so that distinct rows "
            "could tie: convert X to float64 or to one integer dtype yourself."
        )
    return X


def _size(values: Array) -> float:
    """Return the largest absolute value, without a copy."""
    return max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))


def _is_rounded(given: Any, X: Array) -> bool:
    """Tell whether the floats `X` may differ from the numbers that were given."""
    if hasattr(given, "dtypes"):  # a frame, whose integers join the floats
        if any(str(dtype) == "object" for dtype in given.dtypes):
            return bool((X.astype(object) != np.asarray(given, dtype=object)).any())
        exact = [str(kind).lower().startswith(("int", "uint")) for kind in given.dtypes]
        size = np.abs(X[:, exact])
        return bool(((size >= 2.0**53) & (size < np.inf)).any())
    dtype = getattr(given, "dtype", np.dtype(object))  # a list has none
    if dtype.kind == "O":
        return bool((X.astype(object) != np.asarray(given, dtype=object)).any())
    return dtype.itemsize > 8 and bool((given != X).any())


def _as_numpy(array: Any) -> Any:
    """Convert an array of another library, even where scikit-learn dispatches to it."""
    if np.ma.is_masked(array):
        raise ValueError("Got an array with masked values: fill or drop them first.")
    return np.asarray(array) if hasattr(array, "__array_namespace__") else array


def _refuse_foreign(X: Any) -> None:
    """Refuse containers whose silent conversion would lose something."""
    if type(X).__module__.partition(".")[0] in {"dask", "dask_expr"}:
        raise ValueError(
            f"Got a Dask collection ({type(X).__name__}), which would be pulled into "
            "memory as a whole: compute it if it fits, or pass it, with rows that are "
            "one too, to the classes of kernelkit.distributed."
        )
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return
    for column, dtype in zip(X.columns, X.dtypes, strict=True):
        if str(dtype).lower().startswith(("categ", "enum")):
            raise ValueError(
                f"Column {column!r} is categorical: encode it as numbers or drop it."
            )
