"""Directions in which the input matters."""

import numpy as np

from kernelkit._validation import Array
from kernelkit.rbf_network.objective import slopes
from kernelkit.rbf_network.structure import latent

_BLOCK_CELLS = 2**21


def latent_gradients(X: Array, U: Array, C: Array, coef: Array, profile: str) -> Array:
    """Return gradients g of the outputs in latent space: those in `X` are U'g.

    ``g_i = sum_m w_m phi'(E_im) (U c_m - U x_i)``, of shape (n, q, k).
    """
    Z, Zc = latent(X, U), latent(C, U)
    pulls = slopes(X, U, C, profile)[:, None, :] * coef.T
    return pulls @ Zc - pulls.sum(axis=2, keepdims=True) * Z[:, None, :]


def gradients(X: Array, U: Array, C: Array, coef: Array, profile: str) -> Array:
    """Return the gradients of the outputs at rows: (n, q, n_features)."""
    G = latent_gradients(X, U, C, coef, profile)
    return G * U if U.ndim == 1 else G @ U


def agop_root(
    X: Array, weights: Array | None, U: Array, C: Array, coef: Array, profile: str
) -> Array:
    """Return a matrix R such that R'R is the mean outer product of the gradients.

    R (r, n_features) has no more rows than U, nor than there are gradients.
    """
    (n, k), q = latent(X[:1], U).shape, coef.shape[1]
    n = len(X)
    step = max(_BLOCK_CELLS // (len(C) * q), 1)
    parts, moments = [], np.zeros((k, k) if n * q > k else (0, 0))
    shares = np.full(n, 1.0 / n) if weights is None else weights / weights.sum()
    for start in range(0, n, step):
        rows = slice(start, start + step)
        G = latent_gradients(X[rows], U, C, coef, profile)
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
    return root * U if U.ndim == 1 else root @ U


def spectrum(root: Array) -> tuple[Array, Array]:
    """Return eigenvalues of R'R, descending, and eigenvectors in columns.

    The entry of a vector with the largest size is positive.
    """
    _, sizes, vectors = np.linalg.svd(root, full_matrices=False)
    least, largest = vectors.min(axis=1, initial=0.0), vectors.max(axis=1, initial=0.0)
    signs = np.where(-least > largest, -1.0, 1.0)
    return sizes**2, (vectors * signs[:, None]).T


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
