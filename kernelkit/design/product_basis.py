"""What the bases of products of univariate functions have in common."""

from abc import abstractmethod
from numbers import Integral
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
from kernelkit.design._jit_bases import polynomial_products, scaled_products
from kernelkit.design.domains import Box, Normal, intervals
from kernelkit.design.index_sets import (
    KINDS,
    given_indices,
    index_set,
    whole_degree,
)

_FAR = 1e200  # a sum of squares near overflow


class _ProductBasis(TransformerMixin, BaseEstimator):
    """Products of polynomials; subclasses know the law, or other functions.

    A subclass gives the recurrence (`_steps`) and the domain, and may replace what is
    evaluated and named.
    """

    degree: int
    index_set: Any
    _parameter_constraints: dict[str, Any] = {
        "degree": [Integral],
        "index_set": [*check.one_of(*KINDS), "array-like"],
    }
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
            degree = whole_degree(owner, self.degree)
            indices = index_set(self.index_set, n_features, degree)
        else:
            indices = given_indices(owner, self.index_set, n_features)
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
        **_ProductBasis._parameter_constraints,
        "bounds": [*check.one_of("data"), "array-like"],
    }

    def __init__(
        self, degree: int = 3, *, index_set: Any = "total", bounds: Any = "data"
    ) -> None:
        self.degree = degree
        self.index_set = index_set
        self.bounds = bounds

    def _n_features_of_domain(self) -> int | None:
        return len(self.bounds) if np.ndim(self.bounds) == 2 else None

    def _learn_domain(self, n_features: int, X: Array | None) -> Box | Normal:
        owner = type(self).__name__
        if not isinstance(self.bounds, str):
            low, high = intervals(owner, self.bounds, n_features).T
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


class _BoundedBasis(_IntervalBasis):
    """A basis on a product of intervals that refuses rows out of bounds."""

    _parameter_constraints = {
        **_IntervalBasis._parameter_constraints,
        "clip": check.BOOLEAN,
    }

    def __init__(
        self,
        degree: int = 3,
        *,
        index_set: Any = "total",
        bounds: Any = "data",
        clip: bool = False,
    ) -> None:
        super().__init__(degree, index_set=index_set, bounds=bounds)
        self.clip = clip

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
