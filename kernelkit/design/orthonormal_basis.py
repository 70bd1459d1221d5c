"""The features of any transformer, made orthonormal."""

from numbers import Real
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.design.features import as_named
from kernelkit.design.orthonormal import orthonormalize


class OrthonormalBasis(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    r"""The features of any transformer, made orthonormal on the rows of a sample.

    With weights w of the rows that sum to 1, the functions :math:`\varphi` span what
    the features span, and

    .. math:: \sum_i w_i \varphi(x_i) \varphi(x_i)' = I.

    Parameters
    ----------
    base : transformer or None, default=None
        Makes the features, such as `PolynomialFeatures`, `Nystroem` or `RBFSampler`;
        `fit` fits a clone of it. None takes the columns of `X`.
    tol : float or None, default=None
        A feature is dropped if, next to its norm, no more than this is independent of
        the others, in [0, 1); None takes the larger of the numbers of rows and features
        times the unit of rounding.

    Attributes
    ----------
    base_ : transformer or None
        The fitted clone of `base`.
    change_ : ChangeOfBasis
        From features to orthonormal functions and back.
    n_components_ : int
        Number of functions, which is the rank of the features on the rows.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if all features are zero, or not finite.

    Warns
    -----
    UserWarning
        By `fit`, if features depend linearly on the others and are dropped.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from kernelkit.design import OrthonormalBasis
    >>> X = np.arange(8.0)[:, None]
    >>> phi = OrthonormalBasis(PolynomialFeatures(3)).fit_transform(X)
    >>> np.allclose(phi.T @ phi / 8, np.eye(4))
    True
    """

    _parameter_constraints = {
        "base": [BaseEstimator, None],
        "tol": [Real, None],
    }

    def __init__(self, base: Any = None, *, tol: float | None = None) -> None:
        self.base = base
        self.tol = tol

    @check.params
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the transformer, and find what makes its features orthonormal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like, optional
            Targets, for transformers that need them.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row alike. Rows of
            weight 0 count as absent.

        Returns
        -------
        self : OrthonormalBasis
        """
        self._check_tol()
        rows = check.fit_data(self, X)
        weights = check.sample_weight(sample_weight, rows)
        X = as_named(X, rows)
        if weights is not None and not weights.all():
            heavy = np.flatnonzero(weights)
            X, rows, weights = check.some_rows(X, heavy), rows[heavy], weights[heavy]
            y = None if y is None else check.some_rows(y, heavy)
        self.base_ = None if self.base is None else clone(self.base)
        if self.base_ is not None:
            self.base_.fit(X, y)
        features = self._features(X, rows)
        self.change_ = orthonormalize(features, weights, self.tol).change
        return self

    def transform(self, X: Any) -> Array:
        """Evaluate the orthonormal functions.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        phi : ndarray of shape (n_queries, n_components)
        """
        check.is_fitted(self)
        features = self._features(X, check.query_data(self, X))
        with np.errstate(over="ignore", invalid="ignore"):  # is found below
            phi = self.change_.evaluate(features)
        if not np.isfinite(phi).all():
            raise ValueError(
                "Functions overflow at these rows, which are too far from those of "
                "fit: rescale the features."
            )
        return phi

    @property
    def n_components_(self) -> int:
        """Number of functions."""
        return len(self.change_.kept)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _check_tol(self) -> None:
        if self.tol is not None and not 0.0 <= self.tol < 1.0:
            raise ValueError(
                "The 'tol' parameter of OrthonormalBasis must be None or a number in "
                f"[0, 1). Got {self.tol!r} instead."
            )

    def _features(self, X: Any, rows: Array) -> Array:
        if self.base_ is None:
            return rows
        with np.errstate(over="ignore", invalid="ignore"):  # is found below
            features = self.base_.transform(as_named(X, rows))
        if sparse.issparse(features):
            features = features.toarray()
        features = np.asarray(features, dtype=np.float64)
        if not np.isfinite(features).all():
            raise ValueError(
                f"Features of {type(self.base_).__name__} are not finite: rescale X."
            )
        return features
