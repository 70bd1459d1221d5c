"""Features of rows, and what makes them orthonormal on those that have weight."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import check_array

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.design.orthonormal import (
    ChangeOfBasis,
    OrthonormalPool,
    orthonormalize,
)
from kernelkit.design.samplers import Design


def seeded(features: Any, rng: np.random.Generator) -> Any:
    """Clone a transformer, and let its random draws follow `rng`."""
    features = clone(features)
    for name, value in sorted(features.get_params().items()):
        if name.split("__")[-1] == "random_state" and value is None:
            features.set_params(**{name: int(rng.integers(2**31))})
    return features


def transform(features: Any, X: Any) -> Array:
    """Evaluate features, and refuse what is not finite.

    Rows come without names where those that features were fitted to had some.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        F = X if features is None else features.transform(X)
    F = F.toarray() if sparse.issparse(F) else F
    return check_array(F, dtype=np.float64, order="C", input_name="features")


def as_named(X: Any, rows: Array) -> Any:
    """Keep what has column names, by which a transformer may choose."""
    return X if hasattr(X, "columns") else rows


@dataclass(frozen=True)
class Rows:
    """Rows that have weight, and their places among those that were given."""

    X: Any
    weights: Array | None
    places: Array

    def as_given(self, design: Design) -> Design:
        """Name the chosen rows of a pool by their places."""
        return replace(design, indices=self.places[design.indices])


def with_mass(X: Any, rows: Array, weights: Array | None) -> Rows:
    """Leave out rows without weight."""
    X = as_named(X, rows)
    if weights is None or weights.all():
        return Rows(X, weights, np.arange(len(rows)))
    heavy = np.flatnonzero(weights)
    return Rows(check.some_rows(X, heavy), weights[heavy], heavy)


@dataclass(frozen=True)
class Space:
    """How features become orthonormal: which of them, after what is subtracted.

    Attributes
    ----------
    change : ChangeOfBasis
        Of the constant, if it joins them, and the features `varying` minus `center`.
    center : ndarray of shape (n_features,)
    varying : ndarray of int
    """

    change: ChangeOfBasis
    center: Array
    varying: Array


def make_space(
    features: Any,
    rows: Rows,
    *,
    centers: bool,
    tol: float | None = None,
    tells: bool = True,
) -> tuple[Space, OrthonormalPool]:
    """Make features orthonormal, with or without a constant.

    With one they are centred first: then neither an offset costs digits nor is a
    constant feature mistaken for a direction.

    Parameters
    ----------
    features : transformer or None
        Fitted; None stands for the rows themselves.
    rows : Rows
    centers : bool
        Whether a constant joins the features, as the first of them.
    tol : float, optional
        As for `orthonormalize`.
    tells : bool, default=True
        Whether to warn if features are dropped.

    Returns
    -------
    space : Space
    pool : OrthonormalPool

    Raises
    ------
    ValueError
        If features are not finite, or all of them are zero.
    """
    F, weights = transform(features, rows.X), rows.weights
    if not centers:
        pool = orthonormalize(F, weights, tol, tells=tells)
        space = Space(pool.change, np.zeros(F.shape[1]), np.arange(F.shape[1]))
        return space, pool
    weights = np.ones(len(F)) if weights is None else weights
    masses = weights / weights.sum()
    base = F[masses.argmax()]
    columns = np.ones((len(F), 1 + F.shape[1]))
    offsets = np.subtract(F, base, out=columns[:, 1:])
    varying = np.flatnonzero(offsets.any(axis=0))
    center = base + masses @ offsets
    np.subtract(F, center, out=offsets)
    if len(varying) < F.shape[1]:
        columns = columns[:, np.append(0, 1 + varying)]
    pool = orthonormalize(columns, masses, tol, tells=tells)
    return Space(pool.change, center, varying), pool
