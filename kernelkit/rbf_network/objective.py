"""What a fit minimises: values and gradients by matrix products.

For rows x, centres c and a factor U of the precision P = U'U, basis functions are
``phi(E)`` of ``E = -|U (x - c)|^2 / 2``. Everything is divided by the total weight n of
the rows, so that penalties mean the same for few and many rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.linalg import lapack
from scipy.special import expit, logsumexp

from kernelkit._validation import Array
from kernelkit.rbf_network.structure import latent

NOISE_FLOOR = 1e-12  # of the variance of the targets: keeps the evidence finite
_FEW_CELLS = 2**17  # rows times centres that are one block
_BLOCK_CELLS = 2**15  # of more: three matrices of these stay in the cache
_BLOCK_ROWS = 64  # at least: fewer make slow products
_LEAST_EXPONENT = -100.0  # smaller values would make products denormal, and slow
_SHIFT_ROWS = 64  # that estimate the means of the basis functions
_JITTER = (0.0, *10.0 ** np.arange(-14, -5))  # times the mean of the diagonal


def gaussian(E: Array) -> tuple[Array, Array]:
    """Overwrite exponents by ``exp(E)``; return it, and its derivative, the same."""
    np.clip(E, _LEAST_EXPONENT, 0.0, out=E)
    phi = np.exp(E, out=E)
    return phi, phi


def laplace(E: Array) -> tuple[Array, Array]:
    """Return ``exp(-r)`` of the distance r and its derivative in E, 0 at r = 0."""
    r = _distance(E)
    phi = np.exp(-r)
    r[r < 1e-7] = np.inf
    return phi, np.divide(phi, r, out=r)


def matern32(E: Array) -> tuple[Array, Array]:
    """Return ``(1 + sqrt(3) r) exp(-sqrt(3) r)`` and its derivative in E."""
    r = _distance(E)
    r *= np.sqrt(3.0)
    decay = np.exp(-r)
    r += 1.0
    r *= decay
    decay *= 3.0
    return r, decay


def matern52(E: Array) -> tuple[Array, Array]:
    """Return ``(1 + a + a^2 / 3) exp(-a)``, a = sqrt(5) r, and its derivative in E."""
    a = _distance(E)
    a *= np.sqrt(5.0)
    decay = np.exp(-a)
    slope = a + 1.0
    a *= a / 3.0
    a += slope
    a *= decay
    slope *= decay
    slope *= 5.0 / 3.0
    return a, slope


def _distance(E: Array) -> Array:
    E *= -2.0
    np.maximum(E, 0.0, out=E)
    return np.sqrt(E, out=E)


PROFILES = {
    "gaussian": gaussian,
    "laplace": laplace,
    "matern32": matern32,
    "matern52": matern52,
}


def basis(X: Array, U: Array, C: Array, profile: str) -> Array:
    """Evaluate the basis functions of centres `C` at rows `X`: (n, M)."""
    exponents = _rows_side(latent(X, U)) @ _centers_side(latent(C, U)).T
    return PROFILES[profile](exponents)[0]


def slopes(X: Array, U: Array, C: Array, profile: str) -> Array:
    """Evaluate the derivatives of the basis functions in their exponents: (n, M).

    Those of rows so far away that exponents are clipped are 0.
    """
    exponents = _rows_side(latent(X, U)) @ _centers_side(latent(C, U)).T
    is_far = exponents <= _LEAST_EXPONENT
    found = PROFILES[profile](exponents)[1]
    if profile == "gaussian":
        found[is_far] = 0.0
    return found


def _rows_side(Z: Array) -> Array:
    """Return the factor (z, 1, -|z|^2 / 2) of exponents."""
    side = np.empty((len(Z), Z.shape[1] + 2), Z.dtype)
    side[:, :-2] = Z
    side[:, -2] = 1.0
    side[:, -1] = -0.5 * np.einsum("ij,ij->i", Z, Z)
    return side


def _centers_side(Z: Array) -> Array:
    """Return the factor (z, -|z|^2 / 2, 1) of exponents."""
    side = np.empty((len(Z), Z.shape[1] + 2), Z.dtype)
    side[:, :-2] = Z
    side[:, -2] = -0.5 * np.einsum("ij,ij->i", Z, Z)
    side[:, -1] = 1.0
    return side


@dataclass(frozen=True)
class Normal:
    """Sums over the rows that decide the weights of the basis functions.

    gram (M, M), moments (M, q) and squares (q,) are of centred basis functions and
    targets; means (M,) and target_means (q,) are what was subtracted, shift (M,) a
    first estimate of the means.
    """

    gram: Array
    moments: Array
    squares: Array
    means: Array
    target_means: Array
    shift: Array
    total: float


@dataclass(frozen=True)
class Solution:
    """Weights of the basis functions, given the precision, the centres and `alpha`.

    coef (M, q), intercept (q,), misfit (q,) with the penalty, inverse (M, M) of
    ``gram + alpha`` and its log-determinant.
    """

    coef: Array
    intercept: Array
    misfit: Array
    inverse: Array
    log_det: float
    alpha: float


@dataclass(frozen=True)
class Value:
    """An objective and its gradients; those of `coef` and `intercept` if it has them.

    U has the shape of the factor, C that of the centres.
    """

    value: float
    U: Array
    C: Array
    log_alpha: float = 0.0
    coef: Array | None = None
    intercept: Array | None = None
    solution: Solution | None = None


class Rows:
    """Standardised training rows, and the room in which objectives are evaluated.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows.
    Y : ndarray of shape (n_samples, n_outputs)
        Targets; of classes, 0 or 1.
    weights : ndarray of shape (n_samples,) or None
        Positive weights; None for 1.
    profile : str
        A name of `PROFILES`.
    block_rows : int or None
        Rows that are held at once; None chooses.
    """

    def __init__(
        self,
        X: Array,
        Y: Array,
        weights: Array | None = None,
        *,
        profile: str = "gaussian",
        block_rows: int | None = None,
    ) -> None:
        n, d = X.shape
        self.X1 = np.ones((n, d + 1), X.dtype)
        self.X1[:, :d] = X
        self.X = self.X1[:, :d]
        self.Y = Y
        self.weights = weights
        self.roots = None if weights is None else np.sqrt(weights)[:, None]
        self.total = float(n if weights is None else weights.sum())
        self.profile = profile
        self._block_rows = block_rows
        self._room: dict[str, Array] = {}
        self._held: slice | None = None

    def part(self, chosen: Any, factor: float = 1.0) -> Self:
        """Return some of the rows, with room of their own, and weights by a factor."""
        weights = None if self.weights is None else factor * self.weights[chosen]
        if weights is None and factor != 1.0:
            weights = np.full(len(chosen), factor)
        return type(self)(
            self.X[chosen],
            self.Y[chosen],
            weights,
            profile=self.profile,
            block_rows=self._block_rows,
        )

    def alone(self) -> Self:
        """Return the same rows with room of their own, for another thread."""
        return self.part(slice(None))

    def split(self, fold: Any) -> tuple[Self, Self]:
        """Return the rows without those of a fold, and these."""
        kept = np.delete(np.arange(len(self.X)), fold)
        return self.part(kept), self.part(fold)

    def target_means(self) -> Array:
        """Return the weighted means of the targets."""
        return np.average(self.Y, axis=0, weights=self.weights)

    def normal(self, U: Array, C: Array) -> Normal:
        """Sum the normal equations over the rows."""
        m, q = len(C), self.Y.shape[1]
        self.place(U, C)
        sums = np.zeros((m + q + 1, m + q + 1))
        for rows in self._blocks(m):
            psi = self._centred(rows).astype(np.float64, copy=False)
            sums += psi.T @ psi  # their rounding must be small next to a penalty
        drift, total = sums[:-1, -1] / self.total, self.total
        sums = sums[:-1, :-1] - total * np.outer(drift, drift)
        return Normal(
            gram=sums[:m, :m],
            moments=sums[:m, m:],
            squares=np.maximum(sums.diagonal()[m:], 0.0),
            means=self.shift + drift[:m],
            target_means=drift[m:],
            shift=self.shift,
            total=total,
        )

    def pull(
        self, U: Array, C: Array, left: Array, right: Array | None
    ) -> tuple[Array, Array]:
        """Turn a gradient in basis functions to gradients in the factor and centres.

        The gradient is ``S (Phi - mean) top - S (Y - mean) low``, with `left` of
        `stack(normal, top, low)`, times `right` if given. Right after `normal`, at the
        same point.
        """
        back = _Backward(self, U, C)
        m = len(C)
        left = left.astype(self.X.dtype)
        right = None if right is None else right.astype(self.X.dtype)
        for rows in self._blocks(m):
            psi, slope = self._centred(rows), self._basis(rows)[1]
            if right is None:
                g = np.matmul(psi, left, out=self._buffer("g", len(psi), m))
            else:
                g = np.matmul(psi @ left, right, out=self._buffer("g", len(psi), m))
            if self.roots is not None:
                g *= self.roots[rows]
            g *= slope
            back.add(rows, g)
        return back.gradients()

    def cross_entropy(
        self,
        U: Array,
        C: Array,
        coef: Array,
        intercept: Array,
        alpha: float,
        is_placed: bool = False,
    ) -> Value:
        r"""Weighted mean of the log loss, plus :math:`\frac{\alpha}{2n} |W|^2`.

        One column of targets stands for two classes and one logit, more for as many. If
        the rows were placed by the same U and C before, the gradients of these are left
        0.
        """
        if not is_placed:
            self.place(U, C)
        back = _Backward(self, U, C)
        n, m = self.total, len(C)
        loss, d_coef, d_intercept = 0.0, alpha / n * coef, np.zeros_like(intercept)
        for block in self._blocks(m):
            phi, slope = self._basis(block)
            losses, errors = log_loss(phi @ coef + intercept, self.Y[block])
            if self.weights is not None:
                losses *= self.weights[block]
                errors *= self.weights[block, None]
            errors /= n
            loss += float(losses.sum()) / n
            d_coef += phi.T @ errors
            d_intercept += errors.sum(axis=0)
            if is_placed:
                continue
            g = np.matmul(errors, coef.T, out=self._buffer("g", len(phi), m))
            g *= slope
            back.add(block, g)
        dU, dC = back.gradients()
        loss += 0.5 * alpha / n * float((coef * coef).sum())
        return Value(loss, dU, dC, coef=d_coef, intercept=d_intercept)

    def mean_log_loss(self, U: Array, C: Array, coef: Array, intercept: Array) -> float:
        """Return the weighted mean of the log loss."""
        self.place(U, C)
        total = 0.0
        for block in self._blocks(len(C)):
            logits = self._basis(block)[0] @ coef + intercept
            losses, _ = log_loss(logits, self.Y[block])
            weights = None if self.weights is None else self.weights[block]
            total += float(losses.sum() if weights is None else weights @ losses)
        return total / self.total

    def mean_square(self, U: Array, C: Array, solution: Solution) -> float:
        """Return the weighted mean of the squared errors, over targets too."""
        squares = np.empty(len(self.X))
        for block in self._blocks(len(C)):  # of no room that threads may share
            phi = basis(self.X[block], U, C, self.profile)
            errors = self.Y[block] - solution.intercept - phi @ solution.coef
            squares[block] = (errors * errors).mean(axis=1)
        return float(np.average(squares, weights=self.weights))

    def _blocks(self, n_centers: int) -> Iterator[slice]:
        n = len(self.X)
        step = self._block_rows
        if step is None:
            is_small = n * n_centers <= _FEW_CELLS
            step = n if is_small else max(_BLOCK_CELLS // n_centers, _BLOCK_ROWS)
        for start in range(0, n, step):
            yield slice(start, min(start + step, n))

    def place(self, U: Array, C: Array) -> None:
        """Move rows and centres to the latent space, where distances are plain."""
        U, C = U.astype(self.X.dtype), C.astype(self.X.dtype)
        self._held = None
        self._rows_side = _rows_side(latent(self.X, U))
        self._centers_side = _centers_side(latent(C, U))
        some = self._rows_side[:: max(len(self.X) // _SHIFT_ROWS, 1)]
        phi = PROFILES[self.profile](some @ self._centers_side.T)[0]
        self.shift = phi.mean(axis=0)

    def _basis(self, rows: slice) -> tuple[Array, Array]:
        """Evaluate the basis functions and their slopes at a block of rows."""
        if self._held != rows:
            shape = rows.stop - rows.start, len(self._centers_side)
            exponents = self._buffer("phi", *shape)
            np.matmul(self._rows_side[rows], self._centers_side.T, out=exponents)
            self._held, self._now = rows, PROFILES[self.profile](exponents)
            self._is_centred = False
        return self._now

    def _centred(self, rows: slice) -> Array:
        """Return ``sqrt(s) (phi - shift, y, 1)`` of a block, of which sums are made."""
        phi, _ = self._basis(rows)
        (n, m), q = phi.shape, self.Y.shape[1]
        psi = self._buffer("psi", n, m + q + 1)
        if self._is_centred:
            return psi
        np.subtract(phi, self.shift, out=psi[:, :m])
        psi[:, m:-1] = self.Y[rows]
        psi[:, -1] = 1.0
        if self.roots is not None:
            psi *= self.roots[rows]
        self._is_centred = True
        return psi

    def _buffer(self, name: str, n: int, m: int) -> Array:
        """Return an array that is used again: fresh memory costs as much as sums."""
        held = self._room.get(name)
        if held is None or held.shape[1] != m or len(held) < n:
            held = self._room[name] = np.empty((n, m), self.X.dtype)
        return held[:n]


class _Backward:
    """Sums over blocks of rows of gradients in the factor and the centres.

    With H the gradient in the exponents, ``r = H 1``, ``c = H' 1``, Z = X U':
    ``dU = (H Zc - r Z)' X + (H' Z - c Zc)' C`` and ``dC = (H' Z - c Zc) U``.
    """

    def __init__(self, rows: Rows, U: Array, C: Array) -> None:
        self._rows, self._U, self._C = rows, U, C
        self._Zc = latent(C, U).astype(rows.X.dtype)
        k, d = self._Zc.shape[1], C.shape[1]
        self._by_features = 2 * k >= d  # then a product with X costs less than two
        self._sums = np.zeros((len(C), (d if self._by_features else k) + 1))
        self._dU = np.zeros_like(U)

    def add(self, rows: slice, H: Array) -> None:
        X = self._rows.X[rows]
        if self._by_features:
            self._sums += H.T @ self._rows.X1[rows]
            r = H.sum(axis=1)
            if self._U.ndim == 1:
                self._dU -= self._U * (r @ (X * X))
            else:
                self._dU -= self._U @ ((X * r[:, None]).T @ X)
            return
        side = self._rows._rows_side[rows, :-1]  # (z, 1)
        self._sums += H.T @ side
        centers = np.column_stack([self._Zc, np.ones(len(self._Zc), X.dtype)])
        HZ = H @ centers
        self._dU += (HZ[:, :-1] - HZ[:, -1:] * side[:, :-1]).T @ X

    def gradients(self) -> tuple[Array, Array]:
        U, C, Zc = self._U, self._C, self._Zc
        HX, c = self._sums[:, :-1], self._sums[:, -1:]
        dU = self._dU
        HZ = latent(HX, U) if self._by_features else HX
        drag = HZ - c * Zc
        if U.ndim == 1:
            dU = dU + np.einsum("ij,ij->j", Zc, HX) + np.einsum("ij,ij->j", drag, C)
            return dU, drag * U
        if self._by_features:
            dU = dU + Zc.T @ HX
        return dU + drag.T @ C, drag @ U


def stack(normal: Normal, top: Array, low: Array) -> Array:
    """Write a gradient ``S (Phi - mean) top - S (Y - mean) low`` for `Rows.pull`."""
    drift = normal.means - normal.shift
    return np.vstack([top, -low, normal.target_means @ low - drift @ top])


def solve(normal: Normal, alpha: float) -> Solution | None:
    """Solve for the weights of the basis functions; None if that fails numerically."""
    gram, b = normal.gram, normal.moments
    for jitter in _JITTER:
        added = alpha + jitter * gram.trace() / len(gram)
        shifted = gram.copy()
        shifted.flat[:: len(gram) + 1] += added
        factor, status = lapack.dpotrf(shifted, lower=1, overwrite_a=1)
        if status == 0 and np.isfinite(factor[-1, -1]):
            break
    else:
        return None
    coef = lapack.dpotrs(factor, b, lower=1)[0]
    log_det = 2.0 * float(np.log(factor.diagonal()).sum())
    inverse = lapack.dpotri(factor, lower=1)[0]  # above the diagonal it has zeros
    inverse = inverse + inverse.T
    inverse.flat[:: len(gram) + 1] *= 0.5
    # The last term is zero but for rounding, whose effect it makes quadratic.
    residual = b - gram @ coef - added * coef
    misfit = normal.squares - ((b + residual) * coef).sum(axis=0)
    return Solution(
        coef=coef,
        intercept=normal.target_means - normal.means @ coef,
        misfit=np.maximum(misfit, 0.0),
        inverse=inverse,
        log_det=log_det,
        alpha=added,
    )


def regression_value(normal: Normal, solution: Solution, objective: str) -> float:
    """Return the value of `evidence` or `ridge` at a solution."""
    n, (m, q) = normal.total, solution.coef.shape
    if objective == "ridge":
        return 0.5 * float(solution.misfit.sum()) / n
    misfit = solution.misfit / n + NOISE_FLOOR
    complexity = solution.log_det - m * np.log(solution.alpha)
    return 0.5 * float(np.log(misfit).sum()) + q / (2 * n) * float(complexity)


def regression_pull(
    normal: Normal, solution: Solution, objective: str
) -> tuple[Array, Array | None]:
    """Return what `Rows.pull` needs for the gradient of `evidence` or `ridge`.

    That in Phi is ``S (R diag(1/J) W' + q Phic A^-1 / n)`` of the evidence and
    ``S R W' / n`` of the ridge, since the weights are optimal. Nothing is left to do
    for the centring, as the columns of R and Phic have sum zero already.
    """
    n, (_, q), W = normal.total, solution.coef.shape, solution.coef
    if objective == "ridge":
        return stack(normal, W, np.eye(q)), W.T / n
    low = (W / (solution.misfit + n * NOISE_FLOOR)).T
    return stack(normal, q / n * solution.inverse + W @ low, low), None


def evidence(rows: Rows, U: Array, C: Array, log_alpha: float) -> Value | None:
    r"""Negative log marginal likelihood of the weights and the noise, per row.

    With A the centred Gram matrix plus alpha, and J_o the penalised misfit,

    .. math:: \frac12 \sum_o \log(J_o / n) +
       \frac{q}{2n} (\log\det A - M \log\alpha).

    None if numbers overflow.
    """
    normal = rows.normal(U, C)
    solution = solve(normal, float(np.exp(log_alpha)))
    if solution is None:
        return None
    n, (m, q), alpha = normal.total, solution.coef.shape, solution.alpha
    dU, dC = rows.pull(U, C, *regression_pull(normal, solution, "evidence"))
    squares = (solution.coef**2).sum(axis=0) / (solution.misfit + n * NOISE_FLOOR)
    free = alpha * float(solution.inverse.trace()) - m
    return Value(
        regression_value(normal, solution, "evidence"),
        dU,
        dC,
        log_alpha=0.5 * alpha * float(squares.sum()) + q / (2 * n) * free,
        solution=solution,
    )


def ridge(rows: Rows, U: Array, C: Array, alpha: float) -> Value | None:
    """Penalised squares with the weights solved for, ``sum_o J_o / (2 n)``."""
    normal = rows.normal(U, C)
    solution = solve(normal, alpha)
    if solution is None:
        return None
    dU, dC = rows.pull(U, C, *regression_pull(normal, solution, "ridge"))
    value = regression_value(normal, solution, "ridge")
    return Value(value, dU, dC, solution=solution)


def log_loss(logits: Array, Y: Array) -> tuple[Array, Array]:
    """Return the log loss of each row and its gradient in the logits.

    One column of logits is of two classes, with Y 1 for the second.
    """
    if logits.shape[1] == 1:
        losses = np.logaddexp(0.0, logits) - Y * logits
        return losses[:, 0], expit(logits) - Y
    log_total = logsumexp(logits, axis=1, keepdims=True)
    losses = log_total[:, 0] * Y.sum(axis=1) - (Y * logits).sum(axis=1)
    return losses, np.exp(logits - log_total) - Y
