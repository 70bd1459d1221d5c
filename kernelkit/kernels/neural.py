"""Kernels of infinitely wide networks: neural tangent, NNGP and arc-cosine."""

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from kernelkit._validation import Array


def _expectations(code, slopes, k, q1, q2):
    a, b = slopes
    r = np.sqrt(q1) * np.sqrt(q2)
    safe = np.where(r > 0, r, 1.0)
    c = np.clip(k / safe, -1.0, 1.0)
    angle = np.arccos(c)
    if code in ("relu", "leaky_relu", "step"):
        if code == "relu":
            a, b = 0.0, 1.0
        k0 = (np.pi - angle) / (2 * np.pi)
        k1 = (np.sin(angle) + (np.pi - angle) * c) / (2 * np.pi)
        if code == "step":
            return k0, np.zeros_like(k)
        return r * ((b - a) ** 2 * k1 + a * b * c), (b - a) ** 2 * k0 + a * b
    if code == "erf":
        g = (1 + 2 * q1) * (1 + 2 * q2)
        E = 2 / np.pi * np.arcsin(2 * k / np.sqrt(g))
        return E, 4 / np.pi / np.sqrt(g - 4 * k**2)
    if code == "gelu":
        S = (1 + q1) * (1 + q2) - k**2
        P = 1 / (2 * np.pi * np.sqrt(S))
        F = 0.25 + np.arcsin(k / np.sqrt((1 + q1) * (1 + q2))) / (2 * np.pi)
        B = q1 * q2 - q1 * k**2 / (1 + q1) + k**2 / (1 + q2)
        E = k * F + P * B
        D = F + k * P + P * k * B / S
        return E, D + 2 * P * k * (1 / (1 + q1) + 1 / (1 + q2) - 1)
    return k, np.ones_like(k)


def ntk_gram(
    X: Any,
    Y: Any = None,
    *,
    depth: int = 1,
    sigma_w: float = 2**0.5,
    sigma_b: float = 0.0,
    activation: Any = "relu",
    slopes: tuple[float, float] = (0.2, 1.0),
    normalize: str | None = "d",
    scale: str | None = None,
    train_from: int = 0,
    get: str = "ntk",
    n_jobs: int | None = None,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    """Compute the neural tangent kernel of the rows of `X` and `Y`."""
    X = np.asarray(X, dtype=float)
    Y = X if Y is None else np.asarray(Y, dtype=float)
    w2, b2 = sigma_w**2, sigma_b**2
    d = X.shape[1] if normalize == "d" else 1
    k = w2 / d * (X @ Y.T) + b2
    q1 = (w2 / d * (X**2).sum(1) + b2)[:, None]
    q2 = (w2 / d * (Y**2).sum(1) + b2)[None, :]
    if X is Y:
        np.fill_diagonal(k, q1[:, 0])
    t = k if train_from == 0 else np.zeros_like(k)
    for layer in range(1, depth + 1):
        E, D = _expectations(activation, slopes, k, q1, q2)
        k = w2 * E + b2
        t = (k if layer >= train_from else 0.0) + w2 * D * t
        q1 = w2 * _expectations(activation, slopes, q1, q1, q1)[0] + b2
        q2 = w2 * _expectations(activation, slopes, q2, q2, q2)[0] + b2
    return {"ntk": t, "nngp": k, "both": (t, k)}[get]


class NeuralTangent(Kernel):
    """Neural tangent kernel of a fully connected network."""

    def __init__(
        self,
        depth: int = 1,
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.0,
        activation: Any = "relu",
        slopes: tuple[float, float] = (0.2, 1.0),
        normalize: str | None = "d",
        scale: str | None = None,
        train_from: int = 0,
        get: str = "ntk",
        sigma_w_bounds: Any = (1e-2, 1e2),
        sigma_b_bounds: Any = "fixed",
        n_jobs: int | None = None,
    ) -> None:
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.activation = activation
        self.slopes = slopes
        self.normalize = normalize
        self.scale = scale
        self.train_from = train_from
        self.get = get
        self.sigma_w_bounds = sigma_w_bounds
        self.sigma_b_bounds = sigma_b_bounds
        self.n_jobs = n_jobs

    @property
    def hyperparameter_sigma_w(self) -> Hyperparameter:
        return Hyperparameter("sigma_w", "numeric", self.sigma_w_bounds)

    @property
    def hyperparameter_sigma_b(self) -> Hyperparameter:
        return Hyperparameter("sigma_b", "numeric", self.sigma_b_bounds)

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        names = "depth sigma_w sigma_b activation slopes normalize scale train_from get"
        options = {name: getattr(self, name) for name in names.split()}
        return ntk_gram(X, Y, **options)

    def diag(self, X: Any) -> Array:
        return np.array([self(row[None])[0, 0] for row in np.asarray(X)])

    def is_stationary(self) -> bool:
        return False
