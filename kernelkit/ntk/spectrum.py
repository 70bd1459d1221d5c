"""The spectrum of features, and the variance that is left when a part is known."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr, svd
from scipy.optimize import minimize_scalar
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import randomized_svd

from kernelkit import _parallel
from kernelkit._validation import Array

_LARGEST = 3000  # rows and columns of which a spectrum is computed as a whole
_N_LARGE = 500  # components of larger ones
_TINY = 1e-10  # share of the largest singular value, or of the kept energy: rounding
_BLOCK = 256  # rows whose features stay in the cache
_FLOOR = 1e-12  # share of the prior variance: rounding


@dataclass(frozen=True)
class Spectrum:
    r"""Features of seen rows, centred and scaled to a mean norm of 1.

    .. math:: A = (\Phi - 1 m^T) / c = U S V^T

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
        m.
    scale : float
        c; 1 if all rows are equal.
    n_rows : int
    energies : ndarray of shape (n_components,)
        Squared singular values that are more than rounding, the largest first.
    vectors : ndarray of shape (n_features, n_components)
        Columns of V.
    unseen : tuple of (float, int)
        Sum of further squared singular values, and how many there are: of large
        matrices the first ones are computed only.
    """

    mean: Array
    scale: float
    n_rows: int
    energies: Array
    vectors: Array
    unseen: tuple[float, int] = (0.0, 0)

    @classmethod
    def of(cls, features: Array, *, rng: np.random.Generator) -> "Spectrum":
        """Center, scale and decompose features."""
        mean = features[0] + (features - features[0]).mean(axis=0)  # exact if constant
        A = features - mean
        scale = _mean_norm(A) or 1.0
        A /= scale
        n, p = A.shape
        unseen = 0.0, 0
        if min(n, p) > _LARGEST:
            seed = int(rng.integers(2**31))
            _, S, Vt = randomized_svd(A, _N_LARGE, random_state=seed)
            rest = float(np.einsum("ij,ij->", A, A) - S @ S)
            unseen = max(rest, 0.0), min(n, p) - _N_LARGE
        else:
            R = qr(A, mode="r", check_finite=False)[0][:p] if n > p else A
            _, S, Vt = svd(R, full_matrices=False, check_finite=False)
        S = S[_TINY * S[0] < S]
        return cls(mean, scale, n, S**2, Vt[: S.size].T, unseen)

    @property
    def total(self) -> float:
        """Sum of all squared singular values."""
        return float(self.energies.sum()) + self.unseen[0]

    @property
    def effective_rank(self) -> float:
        """Exponential of the entropy of the energies' shares; 0 without energy."""
        if not self.total:
            return 0.0
        shares = self.energies / self.total
        entropy = -(shares * np.log(shares)).sum()
        rest, number = self.unseen
        if rest:  # as if equal
            entropy -= rest / self.total * np.log(rest / self.total / number)
        return float(np.exp(entropy))

    @property
    def participation_ratio(self) -> float:
        """Squared sum of the energies over the sum of their squares."""
        if not self.total:
            return 0.0
        return self.total**2 / float(self.energies @ self.energies)

    @property
    def concentration(self) -> Array:
        """Share of the energy in the first 1, 2, ... components."""
        return np.cumsum(self.energies) / (self.total or 1.0)

    def transform(self, features: Array) -> Array:
        """Center and scale features of any rows."""
        return (features - self.mean) / self.scale

    def tail(self, rank: int) -> float:
        """Mean energy of the components beyond a rank, or of those up to it."""
        if not self.energies.size:
            return 1.0
        rest, number = self.unseen
        number += self.energies.size - rank
        rest += float(self.energies[rank:].sum())
        kept = float(self.energies[:rank].mean()) if rank else 0.0
        mean = rest / number if number else 0.0
        return mean if mean > _TINY * kept else kept

    def fitted_noise(self, rule: str, rows: Array, y: Array) -> float:
        """Choose the noise of a ridge regression on all components.

        Parameters
        ----------
        rule : {"gcv", "evidence"}
            Generalized cross-validation, or the marginal likelihood.
        rows : ndarray of shape (n, n_features)
            A.
        y : ndarray of shape (n, n_outputs)
            Targets.
        """
        E, n = self.energies, self.n_rows - 1  # the mean of y is known
        if not E.size:
            return 1.0
        y = y - y.mean(axis=0)
        y = y / (np.abs(y).max() or 1.0)
        along = ((self.vectors.T @ (rows.T @ y)) ** 2).sum(axis=1) / E  # |u'y|^2
        rest = float(np.einsum("ij,ij->", y, y) - along.sum())
        rest = max(rest if n > len(E) else 0.0, 1e-300)

        def gcv(log_noise: float) -> float:
            lost = np.exp(log_noise) / (E + np.exp(log_noise))
            n_free = n - len(E) + lost.sum()
            return float(np.log(lost**2 @ along + rest) - 2.0 * np.log(n_free))

        def evidence(log_noise: float) -> float:
            total = E + np.exp(log_noise)
            misfit = (along / total).sum() + rest / np.exp(log_noise)
            log_det = np.log(total).sum() + (n - len(E)) * log_noise
            return float(n * np.log(misfit) + log_det)

        loss = gcv if rule == "gcv" else evidence
        grid = np.log(E[0]) + np.linspace(np.log(1e-8), np.log(1e3), 60)
        best = int(np.argmin([loss(x) for x in grid]))
        bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))

    def collapse(self, rows: Array, noises: Array) -> Array:
        """Share of the prior variance that is left at ranks 0, 1, 2, ...

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features)
            Centred and scaled ones, over which variances are averaged.
        noises : ndarray of shape (n_components + 1,)
            Noise at each rank.
        """
        prior = float(np.einsum("ij,ij->", rows, rows))
        along = ((rows @ self.vectors) ** 2).sum(axis=0) / (prior or 1.0)
        known = [
            along[:rank] @ (self.energies[:rank] / (self.energies[:rank] + noise))
            for rank, noise in enumerate(noises)
        ]
        return np.maximum(1.0 - np.array(known), 0.0)

    def variances(self, rows: Array, noises: Array) -> Array:
        """Variance of each row (n_rows, n_ranks) at ranks 0, 1, 2, ..."""
        prior = np.einsum("ij,ij->i", rows, rows)
        along = (rows @ self.vectors) ** 2
        columns = [
            prior
            - along[:, :rank] @ (self.energies[:rank] / (self.energies[:rank] + noise))
            for rank, noise in enumerate(noises)
        ]
        return np.maximum(np.column_stack(columns), _FLOOR * prior[:, None])


@dataclass(frozen=True)
class Posterior:
    r"""What is left of the variance of a row once some directions are known.

    .. math:: v(a) = \|a\|^2 - \sum_j \frac{e_j}{e_j + s^2} (b_j^T a)^2

    Attributes
    ----------
    basis : ndarray of shape (n_features, k)
        Orthonormal columns b.
    shares : ndarray of shape (k,)
        s^2 / (e + s^2), what is left along each.
    """

    basis: Array
    shares: Array

    @classmethod
    def of(cls, basis: Array, energies: Array, noise: float) -> "Posterior":
        """Know an orthonormal basis, with its energies, up to noise."""
        return cls(np.ascontiguousarray(basis), noise / (energies + noise))

    def variance(
        self, features: Array, spectrum: Spectrum, *, n_jobs: int | None
    ) -> Array:
        """Evaluate rows, given by their features before they are centred.

        Infinite or NaN where squares overflow.
        """
        p, k = self.basis.shape
        values = np.empty(len(features))

        @np.errstate(over="ignore", invalid="ignore")
        def evaluate(block: slice) -> None:
            rows = features[block] - spectrum.mean
            rows /= spectrum.scale
            along = (rows @ self.basis) ** 2
            prior = np.einsum("ij,ij->i", rows, rows)
            left = along @ self.shares
            if k < p:  # else there is nothing but rounding beside the basis
                left += np.maximum(prior - along.sum(axis=1), 0.0)
            values[block] = np.maximum(left, _FLOOR * prior)

        with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
            starts = range(0, len(features), _BLOCK)
            run((evaluate, (slice(i, i + _BLOCK),)) for i in starts)
        return values


@dataclass(frozen=True)
class Sources:
    """Independent components of features.

    Attributes
    ----------
    directions : ndarray of shape (n_features, n_sources)
        How each source moves the features; the least Gaussian source first.
    kurtosis : ndarray of shape (n_sources,) or None
        Excess kurtosis of each, None if they were not found.
    converged : bool
    """

    directions: Array
    kurtosis: Array | None
    converged: bool

    @classmethod
    def of(
        cls,
        spectrum: Spectrum,
        rows: Array,
        n_sources: int,
        *,
        rng: np.random.Generator,
    ) -> "Sources":
        """Rotate the first components, whitened, to be independent."""
        V, S = spectrum.vectors[:, :n_sources], np.sqrt(spectrum.energies[:n_sources])
        whitened = (rows @ V) / S * len(rows) ** 0.5
        ica = FastICA(
            whiten=False, max_iter=1000, tol=1e-3, random_state=int(rng.integers(2**31))
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                z = ica.fit_transform(whitened)
            except ConvergenceWarning:
                return cls(V, None, False)
        kurtosis = (z**4).mean(axis=0) / (z**2).mean(axis=0) ** 2 - 3.0
        order = np.argsort(-np.abs(kurtosis), kind="stable")
        directions = (V * S) @ np.linalg.pinv(ica.components_)
        return cls(directions[:, order], kurtosis[order], True)

    def span(self, rows: Array, rank: int) -> tuple[Array, Array]:
        """Find an orthonormal basis of the first sources' directions, and its energies.

        The energies are those of the rows' projections, so all sources together are as
        good as the components that they come from.
        """
        Q, _ = np.linalg.qr(self.directions[:, :rank])
        _, S, Wt = svd(rows @ Q, full_matrices=False)
        return Q @ Wt.T, S**2


def _mean_norm(rows: Array) -> float:
    """Mean Euclidean norm of rows, without overflow or underflow."""
    largest = float(np.abs(rows).max(initial=0.0))
    if not largest:
        return 0.0
    rows = rows / largest
    return largest * float(np.sqrt(np.einsum("ij,ij->i", rows, rows)).mean())
