"""What a wide network does to one row at a time: variances, layer by layer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri

from kernelkit._validation import Array
from kernelkit.kernels import _jit_neural as loops

KINDS = {
    "relu": loops.ANGLE,
    "leaky_relu": loops.ANGLE,
    "linear": loops.ANGLE,
    "step": loops.STEP,
    "erf": loops.ERF,
    "gelu": loops.GELU,
}
_SLOPES = {"relu": (0.0, 1.0), "linear": (1.0, 1.0)}
_N_HERMITE = 512  # most terms of the series of a callable
_N_PROBES = 64
_TAIL = 1e-6  # share of a callable, and of its slope, that must not be left
_LEAST = 1e-70  # root of a variance whose square is as good as any
_ZERO = 1e-300  # root of a variance that has no inverse, as that of rows of zeros


@dataclass(frozen=True)
class Network:
    """A network of infinitely wide layers; parameters as in `NeuralTangent`."""

    depth: int
    sigma_w: float
    sigma_b: float
    activation: str | Callable[[Array], Array]
    slopes: tuple[float, float]
    train_from: int

    @property
    def kind(self) -> int:
        """How its layers are computed: ANGLE, STEP, ERF, GELU or SERIES."""
        if isinstance(self.activation, str):
            return KINDS[self.activation]
        return loops.SERIES

    @cached_property
    def _slopes(self) -> tuple[float, float]:
        if self.activation == "leaky_relu":
            a, b = self.slopes
            largest = max(abs(a), abs(b), 1e-300)
            return a / largest, b / largest
        return _SLOPES.get(str(self.activation), (0.0, 1.0))

    @property
    def gain(self) -> float:
        """How far ``a min(u, 0) + b max(u, 0)`` is from linear: 0 to 2."""
        a, b = self._slopes
        return (b - a) ** 2 / max(a * a + b * b, 1e-300)

    @property
    def is_even(self) -> bool:
        """Whether a row and its opposite are the same to the first layer."""
        return self.depth > 0 and self.gain == 2.0

    @cached_property
    def _factor(self) -> float:
        """What the activation multiplies variances by."""
        if self.activation == "leaky_relu":
            return (self.slopes[0] ** 2 + self.slopes[1] ** 2) / 2.0
        return 1.0 if self.activation == "linear" else 0.5

    def layers(self, root: Array, input_root: Array) -> tuple[Array, Array]:
        """Follow rows through the network.

        Parameters
        ----------
        root : ndarray of shape (n,)
            Roots of their variances, of layer 0.
        input_root : ndarray of shape (n,)
            The same without the bias.

        Returns
        -------
        features : ndarray of shape (depth + 1, n_features, n)
            As `kernelkit.kernels._jit_neural` says.
        roots : ndarray of shape (depth + 1, n)
            Roots of the variances, of all layers.
        """
        kind = self.kind
        width = {loops.ERF: 6, loops.GELU: 6, loops.SERIES: 3 + _N_HERMITE}
        features = np.zeros((self.depth + 1, width.get(kind, 3), root.size))
        roots = np.empty((self.depth + 1, root.size))
        roots[0] = root
        inverse = _inverse(root)
        features[0, 0], features[0, 1] = input_root * inverse, self.sigma_b * inverse
        for layer, numbers in enumerate(features[1:], 1):
            # erf is linear at 0, where the least rows may have any unit
            is_least = (kind == loops.ERF) & (root > _ZERO) & (root < _LEAST)
            unit = np.where(is_least, root / _LEAST, 1.0)
            root, sigma_b = root / unit, self.sigma_b / unit
            mean, coefficients = self._mean_root(root)
            scaled = self.sigma_w * mean
            if kind == loops.ANGLE:  # with sigma_w^2 = 2 relu keeps norms exactly
                scaled = (self.sigma_w**2 * self._factor) ** 0.5 * root
            after = np.hypot(scaled, sigma_b)
            inverse = _inverse(after)
            is_ratio = kind in (loops.ANGLE, loops.STEP)
            numbers[0] = (scaled if is_ratio else self.sigma_w * root) * inverse
            numbers[1] = sigma_b * inverse
            numbers[2] = (scaled if kind == loops.SERIES else self.sigma_w) * inverse
            if kind in (loops.ERF, loops.GELU):
                scaled = root * 2**0.5 if kind == loops.ERF else root
                total = np.hypot(1.0, scaled)
                numbers[3], numbers[4] = scaled / total, 1.0 / total
                numbers[5] = mean if kind == loops.ERF else mean * _inverse(root)
            elif kind == loops.SERIES:
                numbers[3:] = coefficients * _inverse(mean)
            roots[layer] = root = after * unit
        return features, roots

    def diagonal(self, features: Array, get: str) -> Array:
        """Kernel of rows with themselves over their last variance."""
        t = np.full(features.shape[2], float(self.train_from == 0))
        for layer, (a, _, p, *others) in enumerate(features[1:], 1):
            slope = np.ones_like(a)
            if self.kind in (loops.ERF, loops.GELU):
                alpha, eps, _ = others
                rest = eps * np.hypot(1.0, alpha)
                z = alpha * alpha
                if self.kind == loops.ERF:
                    slope = eps * (4.0 / np.pi) * (eps / rest)
                else:
                    angle = 2.0 * np.arcsin(np.sqrt(rest * (rest / (1.0 + z)) / 2.0))
                    rest_slope = 2.0 * eps * (eps / rest) + eps * (eps / rest) ** 3
                    slope = 0.5 - angle / (2.0 * np.pi) + z * rest_slope / (2.0 * np.pi)
            elif self.kind == loops.SERIES:
                n = np.arange(len(others))[:, None]
                a, slope = p, (n * np.array(others) ** 2).sum(axis=0)
            elif self.kind == loops.STEP:
                slope = np.zeros_like(a)
            t = float(layer >= self.train_from) + slope * a * a * t
        if get == "nngp":
            t = np.ones_like(t)
        return t

    def _mean_root(self, root: Array) -> tuple[Array, Any]:
        """Root of ``E[phi(u)^2]``, u of variance root^2; coefficients of a series."""
        if self.kind == loops.ANGLE:
            return self._factor**0.5 * root, None
        if self.kind == loops.STEP:
            return self._factor**0.5 * (root > 0.0), None
        if self.kind == loops.ERF:
            sine = 2.0 * root / np.hypot(1.0, 2**0.5 * root) ** 2 * root
            cosine = np.hypot(1.0, 2.0 * root) / np.hypot(1.0, 2**0.5 * root) ** 2
            return np.sqrt(2.0 / np.pi * np.arctan2(sine, cosine)), None
        if self.kind == loops.GELU:
            share = root / np.hypot(1.0, root)
            cosine = np.hypot(1.0, 2**0.5 * root) / np.hypot(1.0, root) ** 2
            normal = 0.25 + np.arctan2(share * share, cosine) / (2.0 * np.pi)
            rest = share * share / (np.pi * np.hypot(1.0, 2**0.5 * root))
            return root * np.sqrt(normal + rest), None
        coefficients = _hermite_coefficients(self.activation, root)
        largest = np.abs(coefficients).max(axis=0)
        shares = coefficients * _inverse(largest)
        return largest * np.sqrt((shares**2).sum(axis=0)), coefficients


def _inverse(root: Array) -> Array:
    return np.divide(1.0, root, out=np.zeros_like(root), where=root > _ZERO)


@cache
def _hermite_basis() -> tuple[Array, Array, Array]:
    """Nodes, normalised Hermite polynomials there, and the weights of a quadrature.

    Sums over equidistant nodes are all but exact for smooth functions under a normal
    density, and the weights are its roots. Functions of which a wave fits between two
    nodes look smooth there, too: uneven nodes, of no weight, tell them.
    """
    even = np.arange(-400, 401) / 20.0
    nodes = np.append(even, ndtri((np.arange(_N_PROBES) + 0.3) / _N_PROBES))
    root = np.exp(-(nodes**2) / 4.0) / (2.0 * np.pi) ** 0.25  # of the density
    basis = np.empty((_N_HERMITE, nodes.size))
    basis[0], basis[1] = root, root * nodes
    for n in range(2, _N_HERMITE):
        basis[n] = (nodes * basis[n - 1] - (n - 1) ** 0.5 * basis[n - 2]) / n**0.5
    return nodes, basis, root


def _hermite_coefficients(function: Any, root: Array) -> Array:
    """Expand ``function(root x)`` in normalised Hermite polynomials of x."""
    nodes, basis, weights = _hermite_basis()
    values = np.asarray(function(root[:, None] * nodes), dtype=np.float64)
    if values.shape != (root.size, nodes.size):
        raise ValueError(
            "The activation must return an array of the shape that it is given. Got "
            f"shape {values.shape} instead of {(root.size, nodes.size)}."
        )
    if not np.isfinite(values).all():
        raise ValueError("The activation returns NaN or infinity: clip its values.")
    values = (values * weights).T
    even, probes = slice(-_N_PROBES), slice(-_N_PROBES, None)
    coefficients: Array = basis[:, even] @ values[even] / 20.0
    inverse = _inverse(np.abs(coefficients).max(axis=0))
    parts = np.square(coefficients * inverse)
    parts *= np.maximum(np.arange(_N_HERMITE), 1.0)[:, None]
    rests = np.cumsum(parts[::-1], axis=0)[::-1]  # of the squared slope
    left = rests[-_N_HERMITE // 8] / np.maximum(rests[0], 1.0)
    missed = values[probes] - basis[:, probes].T @ coefficients
    missed *= inverse / weights[probes, None]
    left = np.maximum(left, np.minimum(np.square(missed).mean(axis=0), 1.0))
    if (left > _TAIL).any():
        at = int(left.argmax())
        raise ValueError(
            f"{_N_HERMITE} Hermite polynomials do not stand for the activation on "
            f"inputs of standard deviation {root[at]:.3g}, of which they leave a share "
            f"of {left[at]:.1e}. Lower sigma_w or the norms of rows, or use an "
            "activation that has a name."
        )
    coefficients[rests <= 1e-20 * rests[0]] = 0.0  # which ends the series there
    return coefficients
