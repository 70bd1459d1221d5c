"""What the regressor and the classifier share: rows in, precision and subspace out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.rbf_network import centers as centers_
from kernelkit.rbf_network import subspace
from kernelkit.rbf_network.fitting import Candidate
from kernelkit.rbf_network.objective import PROFILES
from kernelkit.rbf_network.structure import Structure, dense, precision, structure
from kernelkit.rbf_network.subspace import Network

PRECISIONS = ("iso", "diag", "low_rank", "full", "auto")
IMPORTANCES = ("agop", "precision", "precision_diag")

_TILE_CELLS = 2**20  # of basis functions that a prediction holds per thread
_LIGHT = 0.1  # mean weight of rows, below which penalties may outweigh them
_EQUAL = 1e-12  # relative span of a column that is constant but for rounding
_FAR = {"float32": 1e15, "float64": 1e100}  # whose squares are finite

PARAMETERS: dict[str, Any] = {
    "n_centers": check.WHOLE,
    "precision": check.one_of(*PRECISIONS),
    "rank": [*check.WHOLE, None],
    "centers": [*check.one_of(*centers_.RULES), "array-like"],
    "learn_centers": check.BOOLEAN,
    "alpha": check.POSITIVE,
    "mu": [*check.NON_NEGATIVE, *check.one_of("auto")],
    "standardize": check.BOOLEAN,
    "init": check.one_of("agop", "isotropic", "random"),
    "n_restarts": check.WHOLE,
    "max_iter": check.WHOLE,
    "tol": check.NON_NEGATIVE,
    "importance": check.one_of(*IMPORTANCES),
    "early_stopping": check.BOOLEAN,
    "validation_fraction": check.POSITIVE,
    "n_iter_no_change": check.WHOLE,
    "n_components": [*check.WHOLE, *check.PART, None],
    "kernel": check.one_of(*PROFILES),
    "batch_rows": [*check.WHOLE, None],
    "warm_start": check.BOOLEAN,
    "dtype": check.FLOAT_DTYPE,
    "random_state": check.RANDOM_STATE,
    "n_jobs": check.N_JOBS,
    "verbose": ["verbose"],
}


@dataclass(frozen=True)
class Ends:
    """Least and largest entries of columns, and those of the first row."""

    low: Array
    high: Array
    first: Array

    @property
    def is_constant(self) -> Array:
        """Tell which columns are constant, but for rounding."""
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        return self.high - self.low <= _EQUAL * size

    @property
    def span(self) -> Array:
        """Length from end to end, 1 for columns that are constant."""
        return np.where(self.is_constant, 1.0, self.high - self.low)

    def parts(self, X: Array) -> Array:
        """Return how far rows are on the way from the least to the largest entry."""
        return (X - self.low) / self.span


@dataclass(frozen=True)
class Columns:
    """Weighted mean and spread of columns, 1 for those that are constant."""

    mean: Array
    scale: Array
    is_constant: Array

    @classmethod
    def of(cls, X: Array, weights: Array | None) -> "Columns":
        """Measure them."""
        ends = Ends(X.min(axis=0), X.max(axis=0), X[0])
        parts = ends.parts(X)
        mean = np.average(parts, axis=0, weights=weights)
        square = np.average((parts - mean) ** 2, axis=0, weights=weights)
        return cls.between(ends, mean, square)

    @classmethod
    def between(cls, ends: "Ends", mean: Array, square: Array) -> "Columns":
        """Return those of a mean and a variance of the parts of the way."""
        scale, is_constant = np.sqrt(square), ends.is_constant
        scale[(scale == 0.0) | is_constant] = 1.0
        mean = np.where(is_constant, ends.first, ends.low + ends.span * mean)
        scale = np.maximum(ends.span * scale, np.nextafter(0.0, 1.0))
        return cls(mean, np.where(is_constant, 1.0, scale), is_constant)

    def alike(self) -> "Columns":
        """Return the same with one scale for all: their root mean square."""
        varied = self.scale[~self.is_constant]
        if not varied.size:
            return self
        largest = varied.max()
        common = largest * np.sqrt(np.mean((varied / largest) ** 2))
        return Columns(self.mean, np.full_like(self.scale, common), self.is_constant)

    def widen(self, values: Array) -> Array:
        """Put zeros into a last axis where the columns are constant."""
        wide = np.zeros((*values.shape[:-1], len(self.mean)))
        wide[..., ~self.is_constant] = values
        return wide

    def standardise(self, X: Array, dtype: Any) -> Array:
        """Return ``(X - mean) / scale``, where far rows are as far as squares allow."""
        with np.errstate(over="ignore"):
            Z = (X - self.mean) / self.scale
        far = _FAR[np.dtype(dtype).name]
        return np.clip(Z, -far, far, out=Z).astype(dtype, copy=False)

    def varied(self, X: Array, dtype: Any) -> Array:
        """Standardise the columns that are not constant, and drop the others."""
        return self.standardise(X, dtype)[:, ~self.is_constant]


@dataclass(frozen=True)
class Prepared:
    """Training rows as the fit sees them: different ones, of columns that vary."""

    X: Array
    Y: Array
    weights: Array | None

    @property
    def total(self) -> float:
        """Weight of all rows."""
        return float(len(self.X) if self.weights is None else self.weights.sum())


# Factor, centres and penalty of the networks of an earlier fit, by their names and the
# columns that varied.
Before = dict[tuple[str, bytes], tuple[Array, Array, float]]


def warn_if_light(total: float, n: int) -> None:
    """Warn of rows that weigh so little that penalties matter more."""
    if total < _LIGHT * n:
        warn(
            f"sample_weight counts rows, and sums to {total:.3g} for {n} different "
            "ones: penalties may outweigh them. Weights of mean 1 count every row once."
        )


class LearnedPrecision(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The part of a network that does not depend on what it predicts.

    A fitted one has `mean_` and `scale_` of its features, `active_subspace_`, and
    `_networks` whose mean it is, in standardised units, with entries 0 at constant
    features.
    """

    _networks: list[Any]

    def _prepare(self, X: Array, Y: Array, weights: Array | None) -> Prepared:
        """Merge and standardise the rows, drop constant columns."""
        X, Y, weights = centers_.merge_rows(X, Y, weights)
        self._keep_columns(Columns.of(X, weights))
        data = Prepared(self._columns.varied(X, self._dtype), Y, weights)
        warn_if_light(data.total, len(X))
        return data

    def _keep_columns(self, columns: Columns) -> None:
        """Store what rows are standardised by."""
        self._columns = columns if self.standardize else columns.alike()
        self.mean_, self.scale_ = self._columns.mean, self._columns.scale

    def _choose_centers(self, data: Prepared, rng: np.random.Generator) -> Array:
        """Choose centres among prepared rows, or take the given ones."""
        if isinstance(self.centers, str):
            X = data.X.astype(np.float64)
            return centers_.choose_centers(
                self.centers, X, data.weights, self.n_centers, rng=rng
            )
        C = self._columns.varied(check.parameter_rows(self, "centers"), np.float64)
        if np.abs(C).max(initial=0.0) > _FAR[self._dtype] ** 0.5:
            raise ValueError(
                "The 'centers' parameter has rows too far from those of X, up to "
                f"{np.abs(C).max():.1e} standard deviations: give them in the units of "
                "X."
            )
        return C

    def _structure(self, n_features: int) -> Structure:
        kind = "diag" if self.precision == "auto" else self.precision
        return structure(kind, n_features, self.rank)

    def _keep(self, data: Prepared, networks: Sequence[Network]) -> None:
        """Store networks, whose mean is what was fitted, and their active subspace."""
        values, vectors = subspace.spectrum(self._agop_root(data, networks))
        widen = self._columns.widen
        self.active_subspace_ = values, widen(vectors.T).T
        self._networks = [
            replace(net, U=widen(net.U), C=widen(net.C)) for net in networks
        ]
        C = np.concatenate([net.C for net in self._networks])
        self.centers_ = self.mean_ + self.scale_ * C

    def _agop_root(self, data: Prepared, networks: Sequence[Network]) -> Array:
        """Return a root of the mean outer product of gradients over all rows."""
        X = data.X.astype(np.float64)
        return subspace.agop_root(X, data.weights, networks, self.kernel)

    def _before(self) -> Before:
        """Return the networks of the last fit, if the next may begin there.

        They stay in standardised units: other units of a column change nothing. Those
        of a fit that learned nothing would teach nothing.
        """
        if not self.warm_start or "_networks" not in vars(self):
            return {}
        varied = ~self._columns.is_constant
        return {
            (net.name, varied.tobytes()): (
                net.U[..., varied],
                net.C[:, varied],
                net.alpha,
            )
            for net in self._networks
            if net.U.any()
        }

    def _candidate(
        self,
        data: Prepared,
        shape: Structure,
        before: Before,
        rng: np.random.Generator,
    ) -> Candidate:
        """Give a structure centres of its own, or what it had before."""
        C = self._choose_centers(data, rng)
        key = str(shape), (~self._columns.is_constant).tobytes()
        if key not in before:
            return Candidate(shape, C)
        U, old, alpha = before[key]
        if isinstance(self.centers, str) and len(old) == len(C):
            C = old
        return Candidate(shape, C, (U, alpha))

    @property
    def _factor(self) -> Array:
        """Factor of the mean of the networks' precisions."""
        if len(self._networks) == 1:
            return self._networks[0].U
        return np.vstack([net.share**0.5 * dense(net.U) for net in self._networks])

    def _standardised(self, X: Any) -> Array:
        """Check query rows and standardise them."""
        X = check.query_data(self, X)
        return self._columns.standardise(X, self._dtype)

    def active_subspace(self, kind: str = "agop") -> tuple[Array, Array]:
        """Return the directions in which the input matters, standardised.

        Parameters
        ----------
        kind : {"agop", "precision"}, default="agop"
            "agop" is the mean outer product of the gradients of the fitted function
            over the training rows: how much it changes along a direction. "precision"
            is the learned matrix: how finely the basis functions resolve it.

        Returns
        -------
        eigenvalues : ndarray of shape (r,)
            In descending order.
        eigenvectors : ndarray of shape (n_features, r)
            In columns, the largest entry of each positive. Further directions, if any,
            have eigenvalue 0.
        """
        check.is_fitted(self)
        if check.choice("kind", kind, ("agop", "precision")) == "agop":
            return self.active_subspace_
        return subspace.precision_spectrum(self._factor)

    @property
    def feature_importances_(self) -> Array:
        """Share of each feature in what `importance` says; all 0 if nothing matters."""
        check.is_fitted(self)
        return subspace.importances(
            self.importance, *self.active_subspace_, self._factor
        )

    @property
    def effective_rank_(self) -> float:
        """Number of directions that matter: ``(sum g)^2 / sum g^2`` of eigenvalues."""
        check.is_fitted(self)
        return subspace.effective_rank(self.active_subspace_[0])

    @property
    def precision_factor_(self) -> Array:
        """Factor U of the precision, of shape (k, n_features), standardised."""
        check.is_fitted(self)
        return dense(self._factor)

    @property
    def precision_(self) -> Array:
        """Precision U'U, of shape (n_features, n_features), for standardised rows."""
        check.is_fitted(self)
        return precision(self._factor)

    @property
    def precision_original_(self) -> Array:
        """Precision in the units of `X`: divided by `scale_` on both sides."""
        check.is_fitted(self)
        with np.errstate(over="ignore"):
            return precision(self._factor / self.scale_)

    def transform(self, X: Any) -> Array:
        """Project standardised rows on the leading directions of `active_subspace_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        T : ndarray of shape (n_samples, k)
            Coordinates, along as many directions as `n_components` says.

        Raises
        ------
        ValueError
            If coordinates overflow.
        """
        check.is_fitted(self)
        X = check.query_data(self, X)
        kept = self.active_subspace_[1][:, : self._n_features_out]
        with _parallel.one_blas_thread, np.errstate(over="ignore", invalid="ignore"):
            T = ((X - self.mean_) / self.scale_ @ kept).astype(self._dtype)
        if not np.isfinite(T).all():
            raise ValueError(
                "Coordinates overflow this far from the training rows: rescale the "
                "features."
            )
        return T

    def inverse_transform(self, X: Any) -> Array:
        """Return the rows nearest to the mean that have these coordinates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Coordinates along the leading directions.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows, in the units of the training rows.
        """
        check.is_fitted(self)
        vectors = self.active_subspace_[1]
        T = check.fit_data(type(self)(), X)
        if T.shape[1] > vectors.shape[1]:
            raise ValueError(
                f"X has {T.shape[1]} components, and there are {vectors.shape[1]}."
            )
        with _parallel.one_blas_thread:
            Z = T @ vectors[:, : T.shape[1]].T
        return (self.mean_ + self.scale_ * Z).astype(self._dtype)

    def _by_tiles(
        self, function: Callable[[Array], Any], Z: Array, n_outputs: int = 1
    ) -> list[Any]:
        """Call a function with tiles of standardised rows, on threads."""
        cells = n_outputs * max(len(net.C) for net in self._networks)
        step = max(_TILE_CELLS // cells, 1)
        tasks = [(function, (Z[k : k + step],)) for k in range(0, len(Z), step)]
        with _parallel.one_blas_thread, _parallel.threads(self.n_jobs) as run:
            return run(tasks)

    def _gradients(self, X: Any) -> Array:
        """Return gradients of the mean of the networks: (n, n_outputs, n_features)."""
        Z = self._standardised(X).astype(np.float64)

        def gradients(tile: Array) -> Array:
            return subspace.gradients(tile, self._networks, self.kernel)

        q = self._networks[0].coef.shape[1]
        G = np.concatenate(self._by_tiles(gradients, Z, q))
        G /= self.scale_
        return G

    @property
    def _n_features_out(self) -> int:
        number = check.part_or_count("n_components", self.n_components)
        return subspace.n_kept(number, self.active_subspace_[0])
