"""Products of univariate functions that are orthonormal on a domain."""

from numbers import Real
from typing import Any

import numpy as np

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.design._jit_bases import fourier_products
from kernelkit.design.domains import Normal, centers, deviations, numbers
from kernelkit.design.product_basis import _BoundedBasis, _IntervalBasis, _ProductBasis


class LegendreBasis(_BoundedBasis):
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


class ChebyshevBasis(_BoundedBasis):
    r"""Products of Chebyshev polynomials, orthonormal for the arcsine law on a box.

    With each feature x moved to [-1, 1], the functions are products of
    :math:`T_k(x_l) = \cos(k \arccos x_l)`, times :math:`\sqrt 2` if k > 0.

    Parameters
    ----------
    degree : int, default=3
        Highest degree, >= 0.
    index_set : {"total", "hyperbolic", "tensor"} or array-like, default="total"
        Which products, as for `LegendreBasis`.
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
        Which products, as for `LegendreBasis`, with frequencies for degrees.
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
        Which products, as for `LegendreBasis`.
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
        **_ProductBasis._parameter_constraints,
        "loc": [*check.one_of("data"), Real, "array-like"],
        "scale": [*check.one_of("data"), Real, "array-like"],
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
            loc = centers(X)
        else:
            loc = numbers(owner, "loc", self.loc, n_features)
        if isinstance(self.scale, str):
            scale = deviations(X, loc)
        else:
            scale = numbers(owner, "scale", self.scale, n_features, above=0.0)
        return Normal(loc, scale)

    def _steps(self, degree: int) -> Array:
        return np.sqrt(np.arange(degree + 1.0))


def legendre_steps(degree: int) -> Array:
    """Give the numbers b_0 to b_degree of `_jit_bases` for the uniform law."""
    k = np.arange(degree + 1)
    return k / np.sqrt(np.abs(4.0 * k**2 - 1.0))
