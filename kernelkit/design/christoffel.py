"""Independent points by the Christoffel density of a basis, exactly."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelkit._validation import Array
from kernelkit.design._jit_bases import hermite_draws, legendre_draws
from kernelkit.design.bases import (
    ChebyshevBasis,
    FourierBasis,
    HermiteBasis,
    LegendreBasis,
    legendre_steps,
)

Draw = Callable[[Array, np.random.Generator], Array]


def draw(basis: Any, n_samples: int, rng: np.random.Generator) -> Array:
    r"""Draw points whose law has the density :math:`|\varphi(x)|^2 / m`.

    The density refers to the law of the domain. It is a uniform mixture over the m
    functions, each a product of univariate :math:`p_k`: one function is drawn, then
    each coordinate by :math:`p_k^2`.

    Parameters
    ----------
    basis : LegendreBasis, ChebyshevBasis, FourierBasis or HermiteBasis
        Fitted.
    n_samples : int
    rng : Generator

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)

    References
    ----------
    .. [1] Cohen & Migliorati (2017), "Optimal weighted least-squares methods", SMAI
       Journal of Computational Mathematics 3, 181-203, section 5.
    """
    if isinstance(basis, FourierBasis):  # sines and cosines square to a constant
        return basis.domain.draw(n_samples, rng)
    chosen = rng.integers(basis.n_components_, size=n_samples)
    degrees = basis.indices_[chosen]
    by_square = next(law for kind, law in LAWS.items() if isinstance(basis, kind))
    return basis.domain.from_standard(by_square(degrees, rng))


def legendre(degrees: Array, rng: np.random.Generator) -> Array:
    """Draw on [-1, 1] by the squares of Legendre polynomials of some degrees."""
    k = degrees.ravel()
    steps = legendre_steps(int(k.max(initial=0)))
    out = np.empty(len(k))
    n_done = 0
    while n_done < len(k):
        n_proposals = 2 * (len(k) - n_done) + 8  # half of them are accepted
        uniforms = rng.random((n_proposals, 2))
        n_done = legendre_draws(k, steps, uniforms, out, n_done)
    return out.reshape(degrees.shape)


def chebyshev(degrees: Array, rng: np.random.Generator) -> Array:
    r"""Draw on [-1, 1] by arcsine law times squares of Chebyshev polynomials.

    With :math:`x = \cos a` the density is :math:`\cos^2(k a)` on the circle. A uniform
    angle is kept with that probability. Otherwise it moves on by a quarter of a wave,
    where it belongs, as sine and cosine square to 1.
    """
    angles = 2.0 * np.pi * rng.random(degrees.shape)
    moves = rng.random(degrees.shape) >= np.square(np.cos(degrees * angles))
    angles[moves] += 0.5 * np.pi / degrees[moves]
    return np.cos(angles)


def hermite(degrees: Array, rng: np.random.Generator) -> Array:
    """Draw by normal law times squares of Hermite polynomials of some degrees."""
    uniforms = rng.random(degrees.size)
    return hermite_draws(degrees.ravel(), uniforms).reshape(degrees.shape)


LAWS: dict[type, Draw] = {
    LegendreBasis: legendre,
    ChebyshevBasis: chebyshev,
    HermiteBasis: hermite,
}
