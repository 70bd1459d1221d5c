"""Directions in which the input matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelkit._validation import Array
from kernelkit.rbf_network.objective import slopes
from kernelkit.rbf_network.structure import latent

_BLOCK_CELLS = 2**21


@dataclass(frozen=True)
class Network:
    """A share of a fitted function: a factor U, centres C and coef (M, q)."""

    U: Array
    C: Array
    coef: Array
    share: float = 1.0


def latent_gradients(X: Array, network: Network, profile: str) -> Array:
    """Return gradients g of the outputs in latent space: those in `X` are U'g.

    ``g_i = sum_m w_m phi'(E_im) (U c_m - U x_i)``, of shape (n, q, k).
    """
    U, C = network.U, network.C
    Z, Zc = latent(X, U), latent(C, U)
    pulls = slopes(X, U, C, profile)[:, None, :] * (network.share * network.coef.T)
    return pulls @ Zc - pulls.sum(axis=2, keepdims=True) * Z[:, None, :]


def gradients(X: Array, networks: Sequence[Network], profile: str) -> Array:
    """Return the gradients of the outputs at rows: (n, q, n_features)."""
    total: Any = 0.0
    for network in networks:
        G, U = latent_gradients(X, network, profile), network.U
        total = total + (G * U if U.ndim == 1 else G @ U)
    return total


def agop_root(
    X: Array, weights: Array | None, networks: Sequence[Network], profile: str
) -> Array:
    """Return a matrix R such that R'R is the mean outer product of the gradients.

    R (r, n_features) has no more rows than there are gradients, nor than all factors
    have.
    """
    n, d = X.shape
    q = networks[0].coef.shape[1]
    is_short = all(network.U.ndim == 2 for network in networks)
    U = np.vstack([network.U for network in networks]) if is_short else np.ones(d)
    k = len(U)
    step = max(_BLOCK_CELLS // (max(len(net.C) for net in networks) * q), 1)
    parts, moments = [], np.zeros((k, k) if n * q > k else (0, 0))
    shares = np.full(n, 1.0 / n) if weights is None else weights / weights.sum()
    for start in range(0, n, step):
        rows = slice(start, start + step)
        if is_short:
            pieces = [latent_gradients(X[rows], net, profile) for net in networks]
            G = np.concatenate(pieces, axis=2)
        else:
            G = gradients(X[rows], networks, profile)
        G = (np.sqrt(shares[rows])[:, None, None] * G).reshape(len(G) * q, k)
        if moments.size:
            moments += G.T @ G
        else:
            parts.append(G)
    if moments.size:
        values, vectors = np.linalg.eigh(moments)
        root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    else:
        root = np.concatenate(parts)
    return root @ U if is_short else root


def spectrum(root: Array) -> tuple[Array, Array]:
    """Return eigenvalues of R'R, descending, and eigenvectors in columns.

    The entry of a vector with the largest size is positive.
    """
    _, sizes, vectors = np.linalg.svd(root, full_matrices=False)
    least, largest = vectors.min(axis=1, initial=0.0), vectors.max(axis=1, initial=0.0)
    signs = np.where(-least > largest, -1.0, 1.0)
    return sizes**2, (vectors * signs[:, None]).T


def precision_spectrum(U: Array) -> tuple[Array, Array]:
    """Return eigenvalues, descending, and eigenvectors of a precision U'U."""
    if U.ndim == 2:
        return spectrum(U)
    order = np.argsort(-(U**2), kind="stable")
    return U[order] ** 2, np.eye(len(U))[:, order]


def effective_rank(eigenvalues: Array) -> float:
    """Return ``(sum g)^2 / sum g^2``, 0 if all are 0."""
    largest = eigenvalues.max(initial=0.0)
    if largest == 0.0:
        return 0.0
    shares = eigenvalues / largest
    return float(shares.sum() ** 2 / (shares**2).sum())


def importances(kind: str, eigenvalues: Array, eigenvectors: Array, U: Array) -> Array:
    """Return how much each feature matters, of sum 1; or all 0 if none does.

    kind : {"agop", "precision", "precision_diag"}; eigenvalues and eigenvectors are
    those of the gradients' mean outer product.
    """
    if kind == "agop":
        raw = (eigenvectors**2) @ eigenvalues
    elif U.ndim == 1:  # the eigenvectors of the precision are the axes
        raw = U**2
    elif kind == "precision_diag":
        raw = (U**2).sum(axis=0)
    else:
        values, vectors = spectrum(U)
        raw = np.abs(vectors) @ values
    total = raw.sum()
    return raw / total if total > 0.0 else np.zeros(len(raw))


def n_kept(n_components: int | float | None, eigenvalues: Array) -> int:
    """Return how many leading directions a number, a share of the sum or None means."""
    if n_components is None:
        return len(eigenvalues)
    if isinstance(n_components, float):
        shares = np.cumsum(eigenvalues) / max(eigenvalues.sum(), 1e-300)
        return min(int(np.searchsorted(shares, n_components - 1e-12)) + 1, len(shares))
    return min(n_components, len(eigenvalues))
