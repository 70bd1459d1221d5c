"""Products of univariate functions that are orthonormal on a domain."""

from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    clone,
)

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.design import index_sets
from kernelkit.design._jit_bases import (
    fourier_products,
    polynomial_products,
    scaled_products,
)
from kernelkit.design.domains import Box, Normal

_DEGREE = [Integral]
_INDEX_SET = [*check.one_of(*index_sets.KINDS), "array-like"]
_BOUNDS = [*check.one_of("data"), "array-like"]
_NUMBERS = [*check.one_of("data"), Real, "array-like"]
_LARGEST = np.finfo(np.float64).max / 4
_FAR = 1e200  # a sum of squares near overflow
_TOO_HIGH = 10_000  # a degree: so many univariate values are tabulated


class _ProductBasis(TransformerMixin, BaseEstimator):
    """Products of polynomials; subclasses know the law, or other functions."""

    degree: int
    index_set: Any
    _symbol: str
    _remedy: str

    @check.params
    def fit(self, X: Any, y: Any = None) -> Self:
        """List the functions, and learn the domain from the rows if it is not given.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        X = check.fit_data(self, X)
        self._build(X.shape[1], X)
        return self

    @check.params
    def fit_domain(self, n_features: int | None = None) -> Self:
        """List the functions without any rows, on a domain that is given.

        Parameters
        ----------
        n_features : int, optional
            Needed if the parameters do not tell.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the domain is to be learned from rows, or the number of features is
            unknown.
        """
        if n_features is None:
            n_features = self._count_features()
        self.n_features_in_ = check.count("n_features", n_features)
        if hasattr(self, "feature_names_in_"):  # of earlier rows
            del self.feature_names_in_
        self._build(self.n_features_in_, None)
        return self

    def on_known_domain(self) -> Self:
        """Fit a clone to the domain that the parameters or earlier rows tell.

        Returns
        -------
        basis : object
            Without names of features. What the parameters leave to rows is as learned.
        """
        basis = clone(self)
        if not hasattr(self, "n_features_in_"):
            return basis.fit_domain()
        learned = self._learned().items()
        basis.set_params(
            **{k: v for k, v in learned if isinstance(getattr(self, k), str)}
        )
        return basis.fit_domain(self.n_features_in_)

    def transform(self, X: Any) -> Array:
        """Evaluate the functions.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        phi : ndarray of shape (n_queries, n_components)
            Values, orthonormal with respect to the law on the domain.

        Raises
        ------
        ValueError
            If rows lie outside of the domain, or values overflow.
        """
        phi = self._evaluate(self._standard(X))
        if not np.isfinite(phi).all():
            raise ValueError(
                f"Values of {type(self).__name__} overflow this far out: lower the "
                "degree or rescale the features."
            )
        return phi

    def directions(self, X: Any) -> tuple[Array, Array]:
        r"""Evaluate the functions as a direction and a log length.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        directions : ndarray of shape (n_queries, n_components)
            :math:`\varphi(x) / |\varphi(x)|`; zero where all functions are.
        log_squares : ndarray of shape (n_queries,)
            :math:`\log |\varphi(x)|^2`, finite even where `transform` overflows.
        """
        standard = self._standard(X)
        phi = self._evaluate(standard)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", phi, phi)
        exponents = np.zeros(len(phi))
        far = ~(squares < _FAR)
        if far.any():
            steps = self._steps(int(self.indices_.max()))
            phi[far], exponents[far] = scaled_products(
                standard[far], steps, self.indices_
            )
            squares[far] = np.einsum("ij,ij->i", phi[far], phi[far])
        with np.errstate(divide="ignore"):
            log_squares = np.log(squares) + 2.0 * np.log(2.0) * exponents
        squares[squares == 0.0] = 1.0
        phi /= np.sqrt(squares)[:, None]
        return phi, log_squares

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Name the functions.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the features; by default those seen by `fit`, or x0, x1, ...

        Returns
        -------
        names : ndarray of str objects
            Products of univariate functions; "1" is the constant.
        """
        features = OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        names = [
            "".join(f"{self._name(k)}({features[l]})" for l, k in enumerate(index) if k)
            for index in self.indices_.tolist()
        ]
        return np.array([name or "1" for name in names], dtype=object)

    @property
    def domain(self) -> Box | Normal:
        """Where the functions are orthonormal, and for which law."""
        check.is_fitted(self)
        return self._domain

    @property
    def n_components_(self) -> int:
        """Number of functions."""
        return len(self.indices_)

    def _build(self, n_features: int, X: Array | None) -> None:
        owner = type(self).__name__
        if isinstance(self.index_set, str):
            degree = _whole_number(owner, "degree", self.degree)
            indices = index_sets.index_set(self.index_set, n_features, degree)
        else:
            indices = _multi_indices(owner, self.index_set, n_features)
        self.indices_ = self._functions(indices)
        self._domain = self._learn_domain(n_features, X)

    def _count_features(self) -> int:
        n_features = self._n_features_of_domain()
        if n_features is None and np.ndim(self.index_set) == 2:
            n_features = np.shape(self.index_set)[1]
        if n_features is None:
            raise ValueError(
                f"{type(self).__name__} was given no number of features: "
                f"{self._remedy}, pass n_features, or fit it to rows."
            )
        return n_features

    def _standard(self, X: Any) -> Array:
        check.is_fitted(self)
        X = self._inside(check.query_data(self, X))
        with np.errstate(over="ignore"):
            standard = self._domain.to_standard(X)
        if not np.isfinite(standard).all():
            raise ValueError(
                f"X holds numbers too far from the domain of {type(self).__name__}: "
                "rescale the features."
            )
        return standard

    def _inside(self, X: Array) -> Array:
        return X

    def _functions(self, indices: Array) -> Array:
        """Turn multi-indices into numbers of univariate functions."""
        return indices

    def _name(self, k: int) -> str:
        return f"{self._symbol}{k}"

    def _evaluate(self, standard: Array) -> Array:
        steps = self._steps(int(self.indices_.max()))
        return polynomial_products(standard, steps, self.indices_)

    @abstractmethod
    def _steps(self, degree: int) -> Array:
        """Give the numbers b_0 to b_degree of `_jit_bases`."""

    @abstractmethod
    def _learn_domain(self, n_features: int, X: Array | None) -> Box | Normal: ...

    @abstractmethod
    def _learned(self) -> dict[str, Array]:
        """Give the parameters of the domain."""

    @abstractmethod
    def _n_features_of_domain(self) -> int | None: ...


class _IntervalBasis(_ProductBasis):
    """A basis on a product of intervals."""

    _law = "uniform"
    _remedy = "give bounds=[(low, high), ...] with a pair for each feature"

    _parameter_constraints = {
        "degree": _DEGREE,
        "index_set": _INDEX_SET,
        "bounds": _BOUNDS,
        "clip": ["boolean"],
    }

    def __init__(
        self,
        degree: int = 3,
        *,
        index_set: Any = "total",
        bounds: Any = "data",
        clip: bool = False,
    ) -> None:
        self.degree = degree
        self.index_set = index_set
        self.bounds = bounds
        self.clip = clip

    def _n_features_of_domain(self) -> int | None:
        return len(self.bounds) if np.ndim(self.bounds) == 2 else None

    def _learn_domain(self, n_features: int, X: Array | None) -> Box | Normal:
        owner = type(self).__name__
        if not isinstance(self.bounds, str):
            low, high = _intervals(owner, self.bounds, n_features).T
        elif X is None:
            raise ValueError(
                f"{owner} would learn its bounds from rows and was given none: "
                f"{self._remedy}, or fit it to rows."
            )
        else:
            low, high = X.min(axis=0), X.max(axis=0)
            margin = np.where(low == high, np.maximum(0.5, 0.5 * np.abs(low)), 0.0)
            low, high = low - margin, high + margin
        return Box(self._law, low, high)

    def _learned(self) -> dict[str, Array]:
        return {"bounds": self._domain.bounds}

    def _inside(self, X: Array) -> Array:
        low, high = self._domain.bounds.T
        if self.clip:
            return np.clip(X, low, high)
        outside = (low > X) | (high < X)
        if outside.any():
            i, l = np.argwhere(outside)[0]
            raise ValueError(
                f"X holds {X[i, l]:.6g} in column {l}, out of the bounds "
                f"[{low[l]:.6g}, {high[l]:.6g}] of {type(self).__name__}: widen "
                "bounds, or take the nearest point inside by clip=True."
            )
        return X


class LegendreBasis(_IntervalBasis):
    r"""Products of Legendre polynomials, orthonormal for the uniform law on a box.

    With :math:`P_k` the polynomials that are 1 at 1, and each feature x moved to
    [-1, 1], the functions are products of :math:`\sqrt{2 k + 1}\, P_k(x_l)`.

    Parameters
    ----------
    degree : int, default=3
        Highest degree, >= 0.
    index_set : {"total", "hyperbolic", "tensor"} or array-like, default="total"
        Which products: those whose degrees k of the features sum to at most `degree`,
        whose product of all ``k + 1`` is at most ``degree + 1``, or whose degrees are
        each at most `degree`. Or rows of degrees, one column per feature; `degree` is
        then not used.
    bounds : "data", (low, high) or array-like of shape (n_features, 2), default="data"
        Ends of the domain for every or for each feature. "data" takes the least and
        the greatest value that `fit` sees; around a constant it takes a margin.
    clip : bool, default=False
        Whether `transform` takes the nearest point inside of the bounds for one
        outside, instead of raising.

    Attributes
    ----------
    indices_ : ndarray of shape (n_components, n_features)
        Degree of each function in each feature.
    n_components_ : int
        Number of functions.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.
    domain : Box
        Where the functions are orthonormal; draws points of that law.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range; by `transform`, if rows lie out of
        bounds.

    See Also
    --------
    OrthonormalBasis : Any features, orthonormal on the rows of a sample.

    Examples
    --------
    >>> from kernelkit.design import LegendreBasis
    >>> basis = LegendreBasis(degree=2, bounds=(0.0, 1.0)).fit([[0.5, 0.5]])
    >>> basis.get_feature_names_out().tolist()
    ['1', 'P1(x0)', 'P1(x1)', 'P2(x0)', 'P1(x0)P1(x1)', 'P2(x1)']
    >>> basis.transform([[1.0, 0.5]]).round(3).tolist()
    [[1.0, 1.732, 0.0, 2.236, 0.0, -1.118]]
    """

    _symbol = "P"

    def _steps(self, degree: int) -> Array:
        return legendre_steps(degree)


class ChebyshevBasis(_IntervalBasis):
    r"""Products of Chebyshev polynomials, orthonormal for the arcsine law on a box.

    With each feature x moved to [-1, 1], the functions are products of
    :math:`T_k(x_l) = \cos(k \arccos x_l)`, times :math:`\sqrt 2` if k > 0.

    Parameters
    ----------
    degree : int, default=3
        Highest degree, >= 0.
    index_set : {"total", "hyperbolic", "tensor"} or array-like, default="total"
        Which products: those whose degrees k of the features sum to at most `degree`,
        whose product of all ``k + 1`` is at most ``degree + 1``, or whose degrees are
        each at most `degree`. Or rows of degrees, one column per feature; `degree` is
        then not used.
    bounds : "data", (low, high) or array-like of shape (n_features, 2), default="data"
        Ends of the domain for every or for each feature. "data" takes the least and
        the greatest value that `fit` sees; around a constant it takes a margin.
    clip : bool, default=False
        Whether `transform` takes the nearest point inside of the bounds for one
        outside, instead of raising.

    Attributes
    ----------
    indices_ : ndarray of shape (n_components, n_features)
        Degree of each function in each feature.
    n_components_ : int
        Number of functions.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.
    domain : Box
        Where the functions are orthonormal; draws points of that law.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range; by `transform`, if rows lie out of
        bounds.

    Examples
    --------
    >>> from kernelkit.design import ChebyshevBasis
    >>> basis = ChebyshevBasis(degree=2, bounds=(-1.0, 1.0)).fit([[0.0]])
    >>> basis.transform([[1.0], [0.0]]).round(3).tolist()
    [[1.0, 1.414, 1.414], [1.0, 0.0, -1.414]]
    """

    _law = "arcsine"
    _symbol = "T"

    def _steps(self, degree: int) -> Array:
        steps = np.full(degree + 1, 0.5)
        steps[:2] = [0.0, np.sqrt(0.5)][: degree + 1]
        return steps


class FourierBasis(_IntervalBasis):
    r"""Products of sines and cosines, orthonormal for the uniform law on a box.

    With each feature x moved to [0, 1], the functions are products of
    :math:`\sqrt 2 \cos(2 \pi k x_l)` and :math:`\sqrt 2 \sin(2 \pi k x_l)`, each
    frequency k > 0 with both. They are periodic, so `transform` takes any row.

    Parameters
    ----------
    degree : int, default=3
        Highest frequency, >= 0.
    index_set : {"total", "hyperbolic", "tensor"} or array-like, default="total"
        Which products: those whose frequencies k of the features sum to at most
        `degree`, whose product of all ``k + 1`` is at most ``degree + 1``, or whose
        frequencies are each at most `degree`. Or rows of frequencies, one column per
        feature; `degree` is then not used.
    bounds : "data", (low, high) or array-like of shape (n_features, 2), default="data"
        Ends of a period for every or for each feature. "data" takes the least and
        the greatest value that `fit` sees; around a constant it takes a margin.

    Attributes
    ----------
    indices_ : ndarray of shape (n_components, n_features)
        Number of each function in each feature: 0 for the constant, 2 k - 1 for the
        cosine and 2 k for the sine of frequency k.
    n_components_ : int
        Number of functions.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.
    domain : Box
        Where the functions are orthonormal; draws points of that law.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range; by `transform`, if rows are too far
        away.

    Examples
    --------
    >>> from kernelkit.design import FourierBasis
    >>> basis = FourierBasis(degree=1, bounds=(0.0, 1.0)).fit([[0.0]])
    >>> basis.get_feature_names_out().tolist()
    ['1', 'cos1(x0)', 'sin1(x0)']
    >>> basis.transform([[0.0], [0.25], [7.25]]).round(3).tolist()
    [[1.0, 1.414, 0.0], [1.0, 0.0, 1.414], [1.0, 0.0, 1.414]]
    """

    _parameter_constraints = {
        "degree": _DEGREE,
        "index_set": _INDEX_SET,
        "bounds": _BOUNDS,
    }

    def __init__(
        self, degree: int = 3, *, index_set: Any = "total", bounds: Any = "data"
    ) -> None:
        self.degree = degree
        self.index_set = index_set
        self.bounds = bounds

    def _inside(self, X: Array) -> Array:
        return X

    def _functions(self, frequencies: Array) -> Array:
        """Give each frequency k > 0 a cosine, number 2 k - 1, and a sine, 2 k."""
        numbers = np.maximum(2 * frequencies - 1, 0)
        for l in range(frequencies.shape[1]):
            row = np.repeat(np.arange(len(numbers)), 1 + (numbers[:, l] > 0))
            numbers = numbers[row]
            numbers[1:, l] += row[1:] == row[:-1]
        return numbers

    def _name(self, k: int) -> str:
        return f"{'cos' if k % 2 else 'sin'}{(k + 1) // 2}"

    def _evaluate(self, standard: Array) -> Array:
        turns = 0.5 * (standard + 1.0)
        angles = 2.0 * np.pi * (turns - np.floor(turns))
        return fourier_products(angles, self.indices_)


class HermiteBasis(_ProductBasis):
    r"""Products of Hermite polynomials, orthonormal for independent normal features.

    With :math:`He_k` the polynomials of the standard normal law, and each feature x
    moved and scaled to it, the functions are products of
    :math:`He_k(x_l) / \sqrt{k!}`.

    Parameters
    ----------
    degree : int, default=3
        Highest degree, >= 0.
    index_set : {"total", "hyperbolic", "tensor"} or array-like, default="total"
        Which products: those whose degrees k of the features sum to at most `degree`,
        whose product of all ``k + 1`` is at most ``degree + 1``, or whose degrees are
        each at most `degree`. Or rows of degrees, one column per feature; `degree` is
        then not used.
    loc : "data", float or array-like of shape (n_features,), default="data"
        Means of the law; "data" takes those that `fit` sees.
    scale : "data", float or array-like of shape (n_features,), default="data"
        Standard deviations of the law, > 0; "data" takes those that `fit` sees around
        `loc`, and 1 for a constant.

    Attributes
    ----------
    indices_ : ndarray of shape (n_components, n_features)
        Degree of each function in each feature.
    n_components_ : int
        Number of functions.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.
    domain : Normal
        Where the functions are orthonormal; draws points of that law.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range; by `transform`, if values
        overflow.

    Examples
    --------
    >>> from kernelkit.design import HermiteBasis
    >>> basis = HermiteBasis(degree=2, loc=1.0, scale=2.0).fit([[0.0]])
    >>> basis.transform([[1.0], [5.0]]).round(3).tolist()
    [[1.0, 0.0, -0.707], [1.0, 2.0, 2.121]]
    """

    _symbol = "He"
    _remedy = "give loc and scale with a number for each feature"

    _parameter_constraints = {
        "degree": _DEGREE,
        "index_set": _INDEX_SET,
        "loc": _NUMBERS,
        "scale": _NUMBERS,
    }

    def __init__(
        self,
        degree: int = 3,
        *,
        index_set: Any = "total",
        loc: Any = "data",
        scale: Any = "data",
    ) -> None:
        self.degree = degree
        self.index_set = index_set
        self.loc = loc
        self.scale = scale

    def _n_features_of_domain(self) -> int | None:
        for value in (self.loc, self.scale):
            if np.ndim(value) == 1:
                return len(value)
        return None

    def _learned(self) -> dict[str, Array]:
        assert isinstance(self._domain, Normal)
        return {"loc": self._domain.loc, "scale": self._domain.scale}

    def _learn_domain(self, n_features: int, X: Array | None) -> Normal:
        owner = type(self).__name__
        if X is None:
            if isinstance(self.loc, str) or isinstance(self.scale, str):
                raise ValueError(
                    f"{owner} would learn loc or scale from rows and was given none: "
                    f"{self._remedy}, or fit it to rows."
                )
            X = np.empty((0, n_features))
        if isinstance(self.loc, str):
            loc = _centers(X)
        else:
            loc = _numbers(owner, "loc", self.loc, n_features)
        if isinstance(self.scale, str):
            scale = _deviations(X, loc)
        else:
            scale = _numbers(owner, "scale", self.scale, n_features, above=0.0)
        return Normal(loc, scale)

    def _steps(self, degree: int) -> Array:
        return np.sqrt(np.arange(degree + 1.0))


def legendre_steps(degree: int) -> Array:
    """Give the numbers b_0 to b_degree of `_jit_bases` for the uniform law."""
    k = np.arange(degree + 1)
    return k / np.sqrt(np.abs(4.0 * k**2 - 1.0))


def _centers(X: Array) -> Array:
    """Average the columns; exactly their value where they are constant."""
    base = X[0]
    return base + (X / len(X) - base / len(X)).sum(axis=0)


def _deviations(X: Array, loc: Array) -> Array:
    """Find standard deviations, 1 where they are zero."""
    offsets = X - loc
    peaks = np.abs(offsets).max(axis=0)
    peaks[peaks == 0.0] = 1.0
    scale = peaks * np.sqrt(np.square(offsets / peaks).mean(axis=0))
    return np.where(scale == 0.0, 1.0, scale)


def _whole_number(owner: str, name: str, value: int) -> int:
    if not 0 <= value < _TOO_HIGH:
        raise ValueError(
            f"The {name!r} parameter of {owner} must be a whole number >= 0 and < "
            f"{_TOO_HIGH}. Got {value!r} instead."
        )
    return int(value)


def _multi_indices(owner: str, value: Any, n_features: int) -> Array:
    """Check rows of distinct multi-indices, one whole number >= 0 per feature."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    is_right = numbers.ndim == 2 and len(numbers) and numbers.shape[1] == n_features
    if not (is_right and np.isin(numbers, np.arange(_TOO_HIGH)).all()):
        kinds = ", ".join(map(repr, index_sets.KINDS))
        raise ValueError(
            f"The 'index_set' parameter of {owner} must be one of {kinds}, or rows of "
            f"{n_features} whole numbers >= 0 and < {_TOO_HIGH}, a degree for each "
            f"feature. Got {value!r} instead."
        )
    indices = numbers.astype(np.int64)
    if len(np.unique(indices, axis=0)) < len(indices):
        raise ValueError(
            f"The 'index_set' parameter of {owner} must not repeat a row. Got "
            f"{value!r} instead."
        )
    return indices


def _intervals(owner: str, value: Any, n_features: int) -> Array:
    """Check a pair, or one per feature, of finite ends in ascending order."""
    try:
        pairs = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        pairs = np.empty(0)
    is_right = pairs.shape in ((2,), (n_features, 2))
    is_right = is_right and bool((np.abs(pairs) <= _LARGEST).all())
    if not (is_right and (pairs[..., 0] < pairs[..., 1]).all()):
        raise ValueError(
            f"The 'bounds' parameter of {owner} must be 'data', a pair (low, high) of "
            f"finite numbers with low < high, or {n_features} of them, one per "
            f"feature. Got {value!r} instead."
        )
    return np.array(np.broadcast_to(pairs, (n_features, 2)))


def _numbers(
    owner: str, name: str, value: Any, n_features: int, above: float = -_LARGEST
) -> Array:
    """Check a number, or one per feature."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.empty(0)
    is_right = numbers.shape in ((), (n_features,))
    if not (is_right and ((numbers > above) & (numbers < _LARGEST)).all()):
        kind = "number > 0" if above == 0.0 else "number"
        raise ValueError(
            f"The {name!r} parameter of {owner} must be 'data', a finite {kind} or "
            f"{n_features} of them, one per feature. Got {value!r} instead."
        )
    return np.full(n_features, numbers)
