"""Parameterisations of the precision matrix P = U'U.

A factor U is a vector, the diagonal, or a matrix of k rows. A square matrix serves the
full precision better than a triangular one: it needs no signs and turns with the rows.
"""

from dataclasses import dataclass

import numpy as np

from kernelkit._validation import Array

_LEAST = 1e-3  # of a direction in a start, next to the largest: none may be lost


def latent(X: Array, U: Array) -> Array:
    """Return the rows U x."""
    return X * U if U.ndim == 1 else X @ U.T


def dense(U: Array) -> Array:
    """Return the factor as a matrix of shape (k, n_features)."""
    return np.diag(U) if U.ndim == 1 else U


def precision(U: Array) -> Array:
    """Return U'U."""
    return np.diag(U * U) if U.ndim == 1 else U.T @ U


@dataclass(frozen=True)
class Structure:
    """One way to write a precision of rank at most `rank` by free numbers.

    kind : {"iso", "diag", "low_rank", "full"}
    """

    kind: str
    n_features: int
    rank: int

    def __str__(self) -> str:
        return f"low_rank({self.rank})" if self.kind == "low_rank" else self.kind

    @property
    def size(self) -> int:
        """Length of the vector of parameters."""
        if self.kind == "iso":
            return 1
        return self.n_features * (1 if self.kind == "diag" else self.rank)

    @property
    def n_free(self) -> int:
        """Number of free parameters: rotations of the rows of U do not count."""
        if self.kind in ("iso", "diag"):
            return self.size
        return self.rank * self.n_features - self.rank * (self.rank - 1) // 2

    def factor(self, parameters: Array) -> Array:
        """Return U for a vector of parameters."""
        if self.kind == "iso":
            return np.full(self.n_features, parameters[0])
        if self.kind == "diag":
            return parameters.copy()
        return parameters.reshape(self.rank, self.n_features).copy()

    def parameters(self, U: Array) -> Array:
        """Return the vector of parameters of a factor."""
        return U[:1].copy() if self.kind == "iso" else U.ravel()

    def gradient(self, dU: Array) -> Array:
        """Turn a gradient in the factor to one in the parameters."""
        return dU.sum(keepdims=True) if self.kind == "iso" else dU.ravel()

    def start(self, eigenvalues: Array, eigenvectors: Array) -> Array:
        """Return a factor with ``P ~ sum_j sqrt(eigenvalue_j) v_j v_j'``.

        eigenvalues (r,), descending; eigenvectors (n_features, r). Directions that are
        missing, or of no weight, get a little.
        """
        if self.kind == "iso":
            return np.ones(self.n_features)
        eigenvalues = eigenvalues / max(eigenvalues.max(initial=0.0), 1e-300)
        if self.kind == "diag":
            spread = (eigenvectors**2) @ eigenvalues
            return (spread / max(spread.max(), 1e-300)) ** 0.25 + _LEAST
        missing = max(self.rank - len(eigenvalues), 0)
        if missing:
            more = np.eye(self.n_features, self.rank)
            eigenvectors = np.linalg.qr(np.column_stack([eigenvectors, more]))[0]
            eigenvalues = np.append(eigenvalues, np.zeros(missing))
        lengths = eigenvalues[: self.rank] ** 0.25 + _LEAST
        return (eigenvectors[:, : self.rank] * lengths).T.copy()

    def isotropic(self) -> Array:
        """Return a factor that treats all directions alike, as far as its rank goes."""
        if self.kind in ("iso", "diag"):
            return np.ones(self.n_features)
        return np.eye(self.rank, self.n_features)

    def random(self, rng: np.random.Generator) -> Array:
        """Draw a factor: a random rotation with log-normal scales."""
        if self.kind in ("iso", "diag"):
            return np.exp(rng.normal(size=self.size)) * np.ones(self.n_features)
        turned = np.linalg.qr(rng.normal(size=(self.n_features, self.rank)))[0]
        return np.exp(rng.normal(size=(self.rank, 1))) * turned.T


def structure(kind: str, n_features: int, rank: int | None = None) -> Structure:
    """Return the structure of that kind; the rank counts for "low_rank" only."""
    if kind != "low_rank":
        return Structure(kind, n_features, n_features)
    return Structure(kind, n_features, min(rank or 2, n_features))
