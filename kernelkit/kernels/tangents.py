"""Derivatives of neural kernels, carried forward through the layers.

The notation is that of `kernelkit.kernels._jit_neural`. Numbers of one row change by
relative tangents, as all of them are products: ``log_a`` is that of a.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelkit._validation import Array
from kernelkit.kernels import _jit_neural as loops
from kernelkit.kernels.network import Network

_KINK = 1e-12  # sine of an angle below which it counts as constant


@dataclass(frozen=True)
class RowTangents:
    """How one layer's numbers of each row change: arrays of shape (n,) or floats."""

    log_a: Any = 0.0
    log_b: Any = 0.0
    log_p: Any = 0.0
    log_alpha: Any = 0.0
    log_eps: Any = 0.0
    coefficients: Any = 0.0

    def part(self, rows: slice) -> "RowTangents":
        """Take those of some rows."""
        values = [
            value[..., rows] if isinstance(value, np.ndarray) else value
            for value in vars(self).values()
        ]
        return RowTangents(*values)


def row_tangents(
    network: Network,
    features: Array,
    roots: Array,
    log_root: Any,
    log_w: float,
    log_b: float,
) -> tuple[list[RowTangents], Any]:
    """Differentiate what `Network.layers` returns.

    log_root is the tangent of the roots of layer 0, log_w and log_b are those of
    sigma_w and sigma_b. Returns tangents for each layer, and of the last roots.
    """
    layers = [RowTangents(log_a=log_w - log_root, log_b=log_b - log_root)]
    for numbers, root in zip(features[1:], roots, strict=False):
        mean, coefficients = _mean_tangents(network.kind, numbers, root)
        share = numbers[1] ** 2  # of the bias
        after = (1.0 - share) * (log_w + mean * log_root) + share * log_b
        kept = 0.0 if network.kind == loops.STEP else log_root
        layer = RowTangents(
            log_a=log_w + kept - after, log_b=log_b - after, log_p=log_w - after
        )
        if network.kind in (loops.ERF, loops.GELU):
            alpha, eps = numbers[3], numbers[4]
            layer = RowTangents(
                layer.log_a,
                layer.log_b,
                layer.log_p,
                log_alpha=eps**2 * log_root,
                log_eps=-(alpha**2) * log_root,
            )
        elif network.kind == loops.SERIES:
            layer = RowTangents(
                layer.log_a,
                layer.log_b,
                layer.log_p,
                coefficients=coefficients * log_root,
            )
        layers.append(layer)
        log_root = after
    return layers, log_root


def first_versines(
    versines: Array, own: Array, others: Array, is_even: bool
) -> tuple[Array, Array, Array]:
    """Pass versines of directions through the input, with signs of both results.

    Returns versines, the sign of each pair's bias, and that of each versine's tangent.
    """
    a_i, b_i = own[0, :, None], own[1, :, None]
    bias_sign = np.where(versines < 0.0, -1.0, 1.0)
    b_j, ratio = bias_sign * others[1], a_i * others[0]
    square = (a_i - others[0]) ** 2
    after = 0.5 * (square + (b_i - b_j) ** 2) + ratio * np.abs(versines)
    far = 0.5 * (square + (b_i + b_j) ** 2) + ratio * (2.0 - np.abs(versines))
    after, far = np.minimum(after, 2.0), np.minimum(far, 2.0)
    is_folded = after > 1.0 if is_even else versines < 0.0
    sign = np.where(is_folded, -1.0, 1.0)
    return np.where(is_folded, far, after), bias_sign, sign


def first_tangent(
    versines: Array,
    bias_sign: Array,
    own: Array,
    others: Array,
    own_tangents: RowTangents,
    other_tangents: RowTangents,
) -> Array:
    """Tangent of the versines behind the input where directions are constant."""
    a_i, b_i = own[0, :, None], own[1, :, None]
    a_j, b_j = others[0], bias_sign * others[1]
    i, j = _column(own_tangents), other_tangents
    tangent: Array = a_i * a_j * (i.log_a + j.log_a) * np.abs(versines)
    tangent += (a_i - a_j) * (a_i * i.log_a - a_j * j.log_a)
    tangent += (b_i - b_j) * (b_i * i.log_b - b_j * j.log_b)
    return tangent


def tangent_kernel(
    network: Network,
    v: Array,
    tangents: list[Array],
    own: Array,
    others: Array,
    own_tangents: list[list[RowTangents]],
    other_tangents: list[list[RowTangents]],
    get: str,
) -> tuple[Array, list[Array]]:
    """Compute a kernel over the roots of last variances, and its tangents.

    v and `tangents` are of the versines behind the input; there is a list of row
    tangents, one for each layer, for each of `tangents`.
    """
    keep = float(network.train_from == 0)
    t, t_tangents = keep * (1.0 - v), [-keep * tangent for tangent in tangents]
    step = {
        loops.ERF: _erf_layer,
        loops.GELU: _gelu_layer,
        loops.SERIES: _series_layer,
    }.get(network.kind, _angle_layer)
    for layer in range(1, network.depth + 1):
        keep = float(layer >= network.train_from)
        pair = _Pair(own[layer], others[layer])
        value = step(network, pair, v)
        after_tangents = []
        for index, dv in enumerate(tangents):
            i = _column(own_tangents[index][layer])
            j = other_tangents[index][layer]
            dk, d_slope = value.tangents(i, j, dv)
            dt = keep * dk + d_slope * t + value.slope * t_tangents[index]
            t_tangents[index] = dt
            after_tangents.append(-dk)
        t = keep * (1.0 - value.v) + value.slope * t
        v, tangents = value.v, after_tangents
    if get == "nngp":
        return 1.0 - v, [-tangent for tangent in tangents]
    return t, t_tangents


class _Pair:
    """Numbers of one layer of rows (as columns) and of others (as rows)."""

    def __init__(self, own: Array, others: Array) -> None:
        self.i, self.j = own[:, :, None], others
        self.ratio = self.i[0] * self.j[0]
        self.bias = self.i[1] * self.j[1]


@dataclass(frozen=True)
class _Layer:
    """What a layer makes of pairs; `tangents` gives those of k and of the slope."""

    v: Array
    slope: Array
    tangents: Any


def _angle_layer(network: Network, pair: _Pair, v: Array) -> _Layer:
    gain, is_step = network.gain, network.kind == loops.STEP
    angle, sine = _angle(v), np.sqrt(v * (2.0 - v))
    x2 = angle * angle
    series = angle * x2 * (((x2 / 45360 - 1 / 840) * x2 + 1 / 30) * x2 - 1 / 3)
    direct = angle * (1.0 - v) - sine
    lost = v + gain / np.pi * np.where(angle < 0.05, series, direct)
    slope = 1.0 - gain * angle / np.pi
    if is_step:
        lost, slope = angle / np.pi, np.zeros_like(v)
    a_i, b_i, a_j, b_j = pair.i[0], pair.i[1], pair.j[0], pair.j[1]
    after = pair.ratio * lost + 0.5 * ((a_i - a_j) ** 2 + (b_i - b_j) ** 2)

    def tangents(i: RowTangents, j: RowTangents, dv: Array) -> tuple[Array, Array]:
        d_angle = np.divide(dv, sine, out=np.zeros_like(v), where=sine > _KINK)
        d_lost = d_angle / np.pi if is_step else slope * dv
        log_ratio = i.log_a + j.log_a
        dk = -pair.ratio * (log_ratio * lost + d_lost)
        dk = dk - (a_i - a_j) * (a_i * i.log_a - a_j * j.log_a)
        dk = dk - (b_i - b_j) * (b_i * i.log_b - b_j * j.log_b)
        d_slope = 0.0 if is_step else -gain / np.pi * d_angle
        return dk, pair.ratio * (d_slope + slope * log_ratio)

    return _Layer(np.clip(after, 0.0, 2.0), pair.ratio * slope, tangents)


class _Smooth:
    """What erf and gelu have in common: z, ``y = 1 - z^2``, and their tangents."""

    def __init__(self, pair: _Pair, v: Array) -> None:
        self.v, self.c, self.w = v, 1.0 - v, v * (2.0 - v)
        self.alpha_i, self.eps_i = pair.i[3], pair.i[4]
        self.alpha_j, self.eps_j = pair.j[3], pair.j[4]
        self.both = self.alpha_i * self.alpha_j
        self.z = self.c * self.both
        self.y = (
            self.eps_i**2 + (self.eps_j * self.alpha_i) ** 2 + self.both**2 * self.w
        )
        small = self.y / (1.0 + np.abs(self.z))
        angle = _angle(np.where(self.z >= 0.0, small, 2.0 - small))
        is_small = np.abs(self.z) < 0.5
        self.arcsine = np.where(is_small, np.arcsin(self.z), np.pi / 2.0 - angle)
        self.root = np.sqrt(self.y)

    def tangents(
        self, i: RowTangents, j: RowTangents, dv: Array
    ) -> tuple[Array, Array, Array, Array]:
        log_both = i.log_alpha + j.log_alpha
        dv = np.where(self.root > _KINK, dv, 0.0)
        dz = self.z * log_both - dv * self.both
        dw = 2.0 * self.c * dv
        dy = 2.0 * self.eps_i**2 * i.log_eps
        dy = dy + 2.0 * (self.eps_j * self.alpha_i) ** 2 * (j.log_eps + i.log_alpha)
        dy = dy + self.both**2 * (dw + 2.0 * log_both * self.w)
        return dz, dw, dy / self.y, log_both


def _erf_layer(network: Network, pair: _Pair, v: Array) -> _Layer:
    smooth = _Smooth(pair, v)
    factor = 2.0 / np.pi * pair.i[2] * pair.j[2]
    arcsine = smooth.arcsine
    k = factor * arcsine + pair.bias
    slope = (pair.i[0] * pair.i[4]) * (pair.j[0] * pair.j[4]) * (4.0 / np.pi)
    slope = slope / smooth.root

    def tangents(i: RowTangents, j: RowTangents, dv: Array) -> tuple[Array, Array]:
        dz, _, log_y, _ = smooth.tangents(i, j, dv)
        dk = factor * (arcsine * (i.log_p + j.log_p) + dz / smooth.root)
        dk = dk + pair.bias * (i.log_b + j.log_b)
        logs = i.log_a + i.log_eps + j.log_a + j.log_eps - 0.5 * log_y
        return dk, slope * logs

    return _Layer(np.clip(1.0 - k, 0.0, 2.0), slope, tangents)


def _gelu_layer(network: Network, pair: _Pair, v: Array) -> _Layer:
    smooth = _Smooth(pair, v)
    c, w, z, y, both = smooth.c, smooth.w, smooth.z, smooth.y, smooth.both
    eps_i, eps_j = smooth.eps_i, smooth.eps_j
    density = 1.0 / (2.0 * np.pi * smooth.root)
    normal = 0.25 + smooth.arcsine / (2.0 * np.pi)
    e, f = eps_i**2 + eps_j**2, (eps_i * eps_j) ** 2
    rest = w + (1.0 - w) * e
    mean = c * normal + both * rest * density
    slope = normal + z * (e + f / y) * density
    k = pair.ratio * mean + pair.bias

    def tangents(i: RowTangents, j: RowTangents, dv: Array) -> tuple[Array, Array]:
        dz, dw, log_y, log_both = smooth.tangents(i, j, dv)
        d_normal = dz * density
        de = 2.0 * (eps_i**2 * i.log_eps + eps_j**2 * j.log_eps)
        d_rest = dw * (1.0 - e) + (1.0 - w) * de
        d_mean = c * d_normal - dv * normal
        d_mean += both * density * (d_rest + rest * (log_both - 0.5 * log_y))
        d_sum = de + f / y * (2.0 * (i.log_eps + j.log_eps) - log_y)
        d_slope = (dz - 0.5 * z * log_y) * (e + f / y) + z * d_sum
        d_slope = d_normal + density * d_slope
        log_ratio = i.log_a + j.log_a
        dk = pair.ratio * (log_ratio * mean + d_mean)
        dk = dk + pair.bias * (i.log_b + j.log_b)
        return dk, pair.ratio * (log_ratio * slope + d_slope)

    return _Layer(np.clip(1.0 - k, 0.0, 2.0), pair.ratio * slope, tangents)


def _series_layer(network: Network, pair: _Pair, v: Array) -> _Layer:
    c, ratio = 1.0 - v, pair.i[2] * pair.j[2]
    used = (pair.i[3:] != 0.0).any(axis=(1, 2)) & (pair.j[3:] != 0.0).any(axis=1)
    last = 4 + int(np.flatnonzero(used).max(initial=0))
    own, others = pair.i[3:last], pair.j[3:last]
    value, slope, curve = np.zeros_like(v), np.zeros_like(v), np.zeros_like(v)
    for first, second in zip(own[::-1], others[::-1], strict=True):
        curve = curve * c + 2.0 * slope
        slope = slope * c + value
        value = value * c + first * second
    k = ratio * value + pair.bias

    def tangents(i: RowTangents, j: RowTangents, dv: Array) -> tuple[Array, Array]:
        own_steps, other_steps = (
            steps[: len(own)] if isinstance(steps, np.ndarray) else np.zeros(len(own))
            for steps in (i.coefficients, j.coefficients)
        )
        d_value, d_slope = np.zeros_like(v), np.zeros_like(v)
        for n in reversed(range(len(own))):
            d_slope = d_slope * c + d_value
            d_value = d_value * c
            d_value += own_steps[n] * others[n] + own[n] * other_steps[n]
        log_ratio = i.log_p + j.log_p
        dk = ratio * (log_ratio * value + d_value - dv * slope)
        dk = dk + pair.bias * (i.log_b + j.log_b)
        return dk, ratio * (log_ratio * slope + d_slope - dv * curve)

    return _Layer(np.clip(1.0 - k, 0.0, 2.0), ratio * slope, tangents)


def _mean_tangents(kind: int, numbers: Array, root: Array) -> tuple[Any, Any]:
    """Differentiate `Network._mean_root` by the logarithm of the root before it."""
    if kind == loops.STEP:
        return 0.0, 0.0
    if kind == loops.ERF:
        alpha, eps = numbers[3], numbers[4]
        rest = eps * np.hypot(1.0, alpha)
        sine = alpha * alpha
        slope = np.divide(
            sine * eps * eps, rest, out=np.ones_like(root), where=rest > 0
        )
        angle = np.arctan2(sine, rest)
        return np.divide(slope, angle, out=np.ones_like(root), where=angle > 0), 0.0
    if kind == loops.GELU:
        share, eps = numbers[3] ** 2, numbers[4]
        rest = eps * np.hypot(1.0, numbers[3])
        normal = 0.25 + np.arctan2(share, rest) / (2.0 * np.pi)
        width = 1.0 + 2.0 * root**2
        density = share / (2.0 * np.pi * np.sqrt(width))
        slope = normal + density * (2.0 + 2.0 * eps**2 + 1.0 / width)
        return slope / (normal + 2.0 * density), 0.0
    if kind == loops.SERIES:
        coefficients = numbers[3:]
        n = np.arange(len(coefficients), dtype=np.float64)[:, None]
        steps = n * coefficients
        steps[:-2] += np.sqrt((n[:-2] + 1.0) * (n[:-2] + 2.0)) * coefficients[2:]
        total = (coefficients**2).sum(axis=0)
        change = (coefficients * steps).sum(axis=0)
        mean = np.divide(change, total, out=np.ones_like(root), where=total > 0)
        return mean, steps
    return 1.0, 0.0


def _angle(v: Array) -> Array:
    half = np.arcsin(np.sqrt(0.5 * np.where(v <= 1.0, v, 2.0 - v)))
    angle: Array = np.where(v <= 1.0, 2.0 * half, np.pi - 2.0 * half)
    return angle


def _column(tangents: RowTangents) -> RowTangents:
    """Make numbers of rows vary along the first axis of a pair."""
    values = [
        value[..., None] if isinstance(value, np.ndarray) else value
        for value in vars(tangents).values()
    ]
    return RowTangents(*values)
