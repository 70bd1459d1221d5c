r"""Smoothing kernels on the line, and what can be done with them exactly.

A kernel K is even and integrates to 1. With :math:`u = (q - x) / h` a sum over sources
x needs K and functions made of it: its integral, its convolution with itself, its
product with a power of u. All of them are one of three kinds, which the sums know:

- `Exponential`: powers of :math:`|u|` times a decaying, maybe rotating, exponential,
  for which whole groups of sources can be moved from one reference point to another;
- `Compact`: polynomials on pieces of :math:`|u|`, constant beyond the last;
- `Gaussian`: neither, so that all pairs have to be visited.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Array = npt.NDArray[Any]

_SQRT2 = math.sqrt(2.0)


@dataclass(frozen=True, eq=False)
class Exponential:
    r"""A function of u made of decaying terms.

    With :math:`s = 0` for :math:`u \ge 0` and 1 below,

    .. math:: \kappa(u) = \sum_l |u|^l e^{-a |u|}
       (\mathrm{coef}_{s,l,0} \cos(b |u|) + \mathrm{coef}_{s,l,1} \sin(b |u|)).

    Attributes
    ----------
    rate, frequency : float
        a >= 0 and b >= 0; a = 0 only for a step function.
    coef : ndarray of shape (2, degree + 1, 2)
        The sines have coefficient 0 if b = 0.
    """

    rate: float
    frequency: float
    coef: Array

    def __call__(self, u: Array) -> Array:
        """Evaluate at any u."""
        size = np.minimum(np.abs(u), 1e6)  # all but steps have ended
        coef = self.coef[np.where(u >= 0.0, 0, 1)]
        powers = size[..., None] ** np.arange(coef.shape[-2])
        waves = np.cos(self.frequency * size), np.sin(self.frequency * size)
        terms = coef[..., 0] * waves[0][..., None] + coef[..., 1] * waves[1][..., None]
        values = (terms * powers).sum(axis=-1) * np.exp(-self.rate * size)
        return np.where(self.rate * size < 750.0, values, 0.0)

    def times_power(self, k: int) -> "Exponential":
        """Multiply by u**k."""
        signs = np.array([1.0, (-1.0) ** k])[:, None, None]
        coef = np.pad(self.coef * signs, [(0, 0), (k, 0), (0, 0)])
        return Exponential(self.rate, self.frequency, coef)


@dataclass(frozen=True, eq=False)
class Compact:
    r"""A function of u that is polynomial on pieces of |u| and constant far out.

    On piece p, where :math:`b_{p-1} \le |u| < b_p` with :math:`b_{-1} = 0`, it is
    :math:`\sum_l \mathrm{coef}_{s,p,l} (b_p - |u|)^l`: distances from the outer end
    keep small values near the end of the support exact.

    Attributes
    ----------
    breaks : ndarray of shape (n_pieces,)
        Ascending ends b of the pieces.
    coef : ndarray of shape (2, n_pieces, degree + 1)
        For u >= 0 and for u < 0.
    tail : ndarray of shape (2,)
        Values beyond the last break.
    """

    breaks: Array
    coef: Array
    tail: Array

    def __call__(self, u: Array) -> Array:
        """Evaluate at any u."""
        size = np.abs(u)
        piece = np.searchsorted(self.breaks, size, side="right")
        inside = np.minimum(piece, self.breaks.size - 1)
        side = np.where(u >= 0.0, 0, 1)
        coef = self.coef[side, inside]
        rest = np.maximum(self.breaks[inside] - size, 0.0)
        values = np.zeros(np.shape(u))
        for power in range(coef.shape[-1] - 1, -1, -1):
            values = values * rest + coef[..., power]
        return np.where(piece < self.breaks.size, values, self.tail[side])

    def times_power(self, k: int) -> "Compact":
        """Multiply by u**k; only without a tail."""
        coef = []
        for side, sign in enumerate((1.0, -1.0)):
            pieces = []
            for end, piece in zip(self.breaks, self.coef[side], strict=True):
                for _ in range(k):  # |u| = end - rest
                    piece = sign * np.convolve(piece, [end, -1.0])
                pieces.append(piece)
            coef.append(pieces)
        return Compact(self.breaks, np.array(coef), self.tail)


@dataclass(frozen=True, eq=False)
class Gaussian:
    r""":math:`c\, u^k \exp(-u^2 / (2 s^2))`, or the normal distribution function.

    Attributes
    ----------
    scale : float
        s > 0.
    factor : float
        c.
    power : int
        k >= 0, or -1 for the distribution function with standard deviation s.
    """

    scale: float
    factor: float
    power: int = 0

    def __call__(self, u: Array) -> Array:
        """Evaluate at any u."""
        if self.power < 0:
            return self.factor * ndtr(u / self.scale)
        u = np.clip(u, -1e3, 1e3)  # no further, all is 0
        powers = u**self.power
        return self.factor * powers * np.exp(-0.5 * (u / self.scale) ** 2)

    def times_power(self, k: int) -> "Gaussian":
        """Multiply by u**k."""
        return Gaussian(self.scale, self.factor, self.power + k)


Function1D = Exponential | Compact | Gaussian
F = TypeVar("F", Exponential, Compact, Gaussian)


@dataclass(frozen=True, eq=False)
class Kernel:
    """A smoothing kernel on the line.

    Attributes
    ----------
    name : str
        What estimators call it.
    density : Exponential, Compact or Gaussian
        K itself.
    draw : callable
        Takes a Generator and a shape; draws from the size of K, normalised.
    is_signed : bool
        Whether K has negative values.
    """

    name: str
    density: Function1D
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    is_signed: bool = False

    @cached_property
    def variance(self) -> float:
        """Second moment of K."""
        return self.moment(2)

    @cached_property
    def roughness(self) -> float:
        """Integral of K squared."""
        return float(self.convolution(np.zeros(()))[()])

    def moment(self, k: int) -> float:
        """Integrate u**k K(u) for an even k."""
        if isinstance(self.density, Gaussian):
            return float(math.prod(range(k - 1, 0, -2)))
        if isinstance(self.density, Compact):
            total = 0.0
            edges = [0.0, *self.density.breaks]
            times = self.density.times_power(k)
            for low, high, piece in zip(edges, edges[1:], times.coef[0], strict=False):
                powers = np.arange(1, piece.size + 1)
                total += 2.0 * (piece * (high - low) ** powers / powers).sum()
            return float(total)
        return 2.0 * sum(
            (c * math.factorial(l + k) / rate ** (l + k + 1)).real
            for l, rate, c in _terms(self.density)
        )

    @cached_property
    def cdf(self) -> tuple[Function1D, ...]:
        """Terms that add up to the integral of K from -infinity to u."""
        if isinstance(self.density, Gaussian):
            return (Gaussian(1.0, 1.0, -1),)
        if isinstance(self.density, Compact):
            return (_integrate_compact(self.density),)
        step = np.zeros((2, 1, 2))
        step[0, 0, 0] = 1.0
        beyond: dict[tuple[int, complex], complex] = defaultdict(complex)
        for l, rate, c in _terms(self.density):  # int_u^oo t^l e^(-rate t) dt
            for r in range(l + 1):
                share = math.factorial(l) / math.factorial(r) / rate ** (l - r + 1)
                beyond[r, rate] += c * share
        tail = _from_terms(beyond)
        tail.coef[0] *= -1.0
        return Exponential(0.0, 0.0, step), tail

    @cached_property
    def convolution(self) -> Function1D:
        """K convolved with itself."""
        if isinstance(self.density, Gaussian):
            return Gaussian(_SQRT2, 0.5 / math.sqrt(math.pi))
        if isinstance(self.density, Compact):
            if self.name == "cosine":
                return _cosine_convolution()
            return _convolve_compact(self.density)
        return _convolve_exponential(self.density)


def _terms(function: Exponential) -> list[tuple[int, complex, complex]]:
    """List (l, rate, c): for u >= 0 the function is the real part of their sum.

    Each term is c u^l exp(-rate u), with a complex rate and c.
    """
    rate = complex(function.rate, function.frequency)
    return [
        (l, rate, complex(cosine, sine))
        for l, (cosine, sine) in enumerate(function.coef[0])
    ]


def _from_terms(terms: dict[tuple[int, complex], complex]) -> Exponential:
    """Make an even function of the real part of terms {(l, rate): c}.

    Rates are equal or conjugates of each other.
    """
    [rate] = {complex(rate.real, abs(rate.imag)) for _, rate in terms}
    coef = np.zeros((2, max(l for l, _ in terms) + 1, 2))
    for (l, term_rate), c in terms.items():
        coef[:, l, 0] += c.real
        coef[:, l, 1] += c.imag if term_rate.imag >= 0.0 else -c.imag
    return Exponential(rate.real, rate.imag, coef)


def _convolve_exponential(function: Exponential) -> Exponential:
    """Integrate K(s) K(t - s) over s < 0 and s > t, twice the same, and between."""
    terms = _terms(function)
    if function.frequency:  # both conjugates, half each
        terms = [
            term
            for l, rate, c in terms
            for term in ((l, rate, c / 2), (l, rate.conjugate(), c.conjugate() / 2))
        ]
    total: dict[tuple[int, complex], complex] = defaultdict(complex)
    for l1, rate1, c1 in terms:
        for l2, rate2, c2 in terms:
            for r in range(l2 + 1):
                share = math.comb(l2, r) * math.factorial(l1 + r)
                total[l2 - r, rate2] += (
                    2.0 * c1 * c2 * share / (rate1 + rate2) ** (l1 + r + 1)
                )
            if rate1 == rate2:
                beta = math.factorial(l1) * math.factorial(l2)
                total[l1 + l2 + 1, rate1] += (
                    c1 * c2 * beta / math.factorial(l1 + l2 + 1)
                )
            else:  # only constants rotate
                total[0, rate1] += c1 * c2 / (rate2 - rate1)
                total[0, rate2] -= c1 * c2 / (rate2 - rate1)
    return _from_terms(total)


def _even(breaks: Sequence[float], pieces: Sequence[Any]) -> Compact:
    """Make a function of |u| of its pieces, each a sequence of coefficients."""
    width = max(map(len, pieces))
    coef = np.zeros((len(pieces), width))
    for row, piece in zip(coef, pieces, strict=True):
        row[: len(piece)] = [float(c) for c in piece]
    return Compact(np.array(breaks, float), np.array([coef, coef]), np.zeros(2))


def _integrate_compact(density: Compact) -> Compact:
    """Integrate a kernel on [-1, 1] from -infinity; the rest beyond u is even in u."""
    [piece] = density.coef[0]
    beyond = np.append(0.0, piece / np.arange(1, piece.size + 1))
    below = beyond.copy()
    above = -beyond
    above[0] = 1.0
    return Compact(density.breaks, np.array([[above], [below]]), np.array([1.0, 0.0]))


_Poly = list[Fraction]  # ascending powers


def _substitute(poly: _Poly, inner: list["_Poly"]) -> list[_Poly]:
    """Insert a polynomial in s, whose coefficients are polynomials in t."""
    total: list[_Poly] = [[Fraction(0)]]
    for c in reversed(poly):
        total = _multiply(total, inner)
        total[0] = _add(total[0], [c])
    return total


def _add(a: _Poly, b: _Poly) -> _Poly:
    short, long = sorted((a, b), key=len)
    return [c + (short[k] if k < len(short) else 0) for k, c in enumerate(long)]


def _times(a: _Poly, b: _Poly) -> _Poly:
    product = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return product


def _multiply(a: list[_Poly], b: list[_Poly]) -> list[_Poly]:
    product: list[_Poly] = [[Fraction(0)] for _ in range(len(a) + len(b) - 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] = _add(product[i + j], _times(x, y))
    return product


def _compose(poly: _Poly, inner: _Poly) -> _Poly:
    total: _Poly = [Fraction(0)]
    for c in reversed(poly):
        total = _add(_times(total, inner), [c])
    return total


def _convolve_compact(density: Compact) -> Compact:
    """Convolve a kernel of one piece per side with itself, in exact fractions.

    For t in [0, 1] the integral of K(s) K(t - s) runs over [t - 1, 0], [0, t] and
    [t, 1], for t in [1, 2] over [t - 1, 1]; K is a polynomial of |s| on each.
    """
    [piece] = density.coef[0]
    rest = [Fraction(float(c)).limit_denominator(10**6) for c in piece]
    # Its coefficients are fractions with small denominators: of |u| = 1 - rest.
    right = _compose(rest, [Fraction(1), Fraction(-1)])  # of s >= 0
    left = _compose(rest, [Fraction(1), Fraction(1)])  # of s < 0
    one, zero = Fraction(1), Fraction(0)

    def integrate(first: _Poly, second: _Poly, low: _Poly, high: _Poly) -> _Poly:
        """Integrate first(s) second(t - s) ds between polynomials of t."""
        in_s: list[_Poly] = [[c] for c in first]
        product = _multiply(in_s, _substitute(second, [[zero, one], [-one]]))
        total: _Poly = [zero]
        for power, c in enumerate(product):
            for sign, end in ((one, high), (-one, low)):
                term = [sign / (power + 1)]
                for _ in range(power + 1):
                    term = _times(term, end)
                total = _add(total, _times(c, term))
        return total

    t, t_less_1, at_0, at_1 = [zero, one], [-one, one], [zero], [one]
    near = integrate(left, right, t_less_1, at_0)
    near = _add(near, integrate(right, right, at_0, t))
    near = _add(near, integrate(right, left, t, at_1))
    far = integrate(right, right, t_less_1, at_1)
    return _even(
        [1.0, 2.0],
        [_compose(near, [one, -one]), _compose(far, [Fraction(2), -one])],
    )


def _cosine_convolution() -> Compact:
    r"""Expand :math:`\frac{\pi^2}{32}(\frac{2}{\pi} \sin\theta - r \cos\theta)`.

    r = 2 - \\|u\\| is the distance from the end, and :math:`\theta = \pi r / 2`.
    """
    coef = np.zeros(46)
    for k in range(1, 23):
        inner = 1.0 / math.factorial(2 * k + 1) - 1.0 / math.factorial(2 * k)
        coef[2 * k + 1] = (
            math.pi / 16.0 * (-1.0) ** k * inner * (math.pi / 2.0) ** (2 * k + 1)
        )
    return _even([2.0], [coef])


def _sargan(coefficients: Sequence[float], name: str = "sargan") -> Kernel:
    """Make sum_l c_l |u|^l e^(-|u|), normalised, of nonnegative c."""
    c = np.array(coefficients, dtype=float)
    c /= c.max()
    shares = c * [math.factorial(l) for l in range(c.size)]
    coef = np.zeros((2, c.size, 2))
    coef[:, :, 0] = c / (2.0 * shares.sum())

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        degree = rng.choice(c.size, size=shape, p=shares / shares.sum())
        return rng.standard_gamma(degree + 1.0) * rng.choice([-1.0, 1.0], size=shape)

    return Kernel(name, Exponential(1.0, 0.0, coef), draw)


def _silverman() -> Kernel:
    coef = np.full((2, 1, 2), 0.25 * _SQRT2)  # sin(v + pi / 4) = (sin v + cos v) / r2

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        out = np.empty(math.prod(shape))
        filled = 0
        while filled < out.size:
            u = rng.laplace(scale=_SQRT2, size=2 * (out.size - filled) + 8)
            wave = np.abs(np.sin(np.abs(u) / _SQRT2 + math.pi / 4.0))
            kept = u[rng.random(u.size) < wave][: out.size - filled]
            out[filled : filled + kept.size] = kept
            filled += kept.size
        return out.reshape(shape)

    function = Exponential(1.0 / _SQRT2, 1.0 / _SQRT2, coef)
    return Kernel("silverman", function, draw, is_signed=True)


def _beta(name: str, power: int, numerator: int, denominator: int) -> Kernel:
    """Make c (1 - u^2)^power = c (r (2 - r))^power, r = 1 - |u|."""
    poly: _Poly = [Fraction(numerator, denominator)]
    for _ in range(power):
        poly = _times(poly, [Fraction(0), Fraction(2), Fraction(-1)])
    return Kernel(
        name,
        _even([1.0], [poly]),
        lambda rng, shape: 2.0 * rng.beta(power + 1.0, power + 1.0, size=shape) - 1.0,
    )


def _tricube() -> Kernel:
    poly: _Poly = [Fraction(70, 81)]
    for _ in range(3):
        poly = _times(poly, [Fraction(c) for c in (0, 3, -3, 1)])  # 1 - (1 - r)^3

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        # |u|^3 is Beta(1/3, 4): its density is u^(-2/3) (1 - u)^3.
        size = np.cbrt(rng.beta(1.0 / 3.0, 4.0, size=shape))
        return size * rng.choice([-1.0, 1.0], size=shape)

    return Kernel("tricube", _even([1.0], [poly]), draw)


def _cosine() -> Kernel:
    coef = np.zeros(24)
    for k in range(12):  # sin(pi r / 2), r = 1 - |u|
        half = math.pi / 2.0
        coef[2 * k + 1] = half / 2.0 * (-1.0) ** k * half ** (2 * k + 1)
        coef[2 * k + 1] /= math.factorial(2 * k + 1)
    return Kernel(
        "cosine",
        _even([1.0], [coef]),
        lambda rng, shape: np.arcsin(rng.uniform(-1.0, 1.0, shape)) * 2.0 / math.pi,
    )


KERNELS = {
    kernel.name: kernel
    for kernel in (
        _sargan((1.0,), "laplacian"),
        _sargan((1.0, 1.0), "matern32"),
        _sargan((3.0, 3.0, 1.0), "matern52"),
        _sargan((15.0, 15.0, 6.0, 1.0)),
        _silverman(),
        _beta("uniform", 0, 1, 2),
        Kernel(
            "triangular",
            _even([1.0], [[0.0, 1.0]]),
            lambda rng, shape: rng.random(shape) - rng.random(shape),
        ),
        _beta("epanechnikov", 1, 3, 4),
        _beta("biweight", 2, 15, 16),
        _beta("triweight", 3, 35, 32),
        _tricube(),
        _cosine(),
        Kernel(
            "gaussian",
            Gaussian(1.0, 1.0 / math.sqrt(2.0 * math.pi)),
            lambda rng, shape: rng.standard_normal(shape),
        ),
    )
}
"""Kernels by their name."""


def find(kernel: str | Sequence[float]) -> Kernel:
    """Look a kernel up by its name, or make one of Sargan coefficients."""
    return KERNELS[kernel] if isinstance(kernel, str) else _sargan(kernel)
