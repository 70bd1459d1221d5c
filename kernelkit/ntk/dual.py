"""Kernel machines without an intercept, whose distance from the optimum is known."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC

from kernelkit import _parallel
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.ntk import _jit_dual

Values = npt.NDArray[np.float64]

_ROUND = 500  # steps after which the gap is looked at
_ROUNDED = 1e-6  # a gap that rounding may leave
_SHARPEST = 1e-8  # share of a squared norm that rounding may take
_EPS = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Machine:
    r"""A function :math:`\sum_i a_i k(x_i, \cdot)` that minimizes a penalized loss.

    Attributes
    ----------
    coef : ndarray of shape (n,)
        Coefficients a.
    gap : float
        An upper bound of what could still be gained, as a share of the objective.
    n_iter : int
        Rounds, Newton steps, steps of libsvm, or 1.
    converged : bool
    intercept : float
        What is added to the function.
    """

    coef: Values
    gap: float
    n_iter: int
    converged: bool
    intercept: float = 0.0


@dataclass(frozen=True)
class Stop:
    """When to stop.

    Attributes
    ----------
    tol : float
        Largest violation of the conditions of an optimum, relative to the targets.
    gap_tol : float
        Largest relative gap.
    max_iter : int
        Most rounds or Newton steps.
    """

    tol: float
    gap_tol: float
    max_iter: int


def solve(
    loss: str,
    K: Array,
    targets: Array,
    C: Array,
    starts: Array | None = None,
    *,
    epsilon: float = 0.0,
    stop: Stop,
    n_jobs: int | None = None,
) -> list[Machine]:
    r"""Train machines that share a kernel matrix.

    Each minimizes :math:`\frac12 a'Ka + \sum_i C_i\, \ell((Ka)_i, y_i)`.

    Parameters
    ----------
    loss : {"hinge", "squared_hinge", "logistic", "squared", "epsilon_insensitive"}
        The first three expect targets of 1 and -1.
    K : ndarray of shape (n, n)
        Kernel matrix, of which nothing is copied for the hinge and the
        epsilon-insensitive losses.
    targets : ndarray of shape (n_machines, n)
    C : ndarray of shape (n_machines, n)
        Factors of the losses; rows where C is 0 take no part.
    starts : ndarray of shape (n_machines, n), default=None
        Coefficients to start from; those out of reach are moved to the nearest bound.
    epsilon : float, default=0.0
        Errors that cost nothing, for "epsilon_insensitive".
    stop : Stop
    n_jobs : int or None
        Number of threads, each with a machine; does not change a bit of the result.

    Warns
    -----
    ConvergenceWarning
        If `stop.max_iter` was not enough, or rounding left a gap.
    """
    if starts is None:
        starts = np.zeros_like(targets)
    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        if loss == "squared":
            machines = _solve_squared(K, targets, C, stop)
        elif loss == "logistic":
            each = zip(targets, C, starts, strict=True)
            machines = run([(_solve_logistic, (K, *one, stop)) for one in each])
        else:
            each = zip(targets, C, starts, strict=True)
            machines = run([(_descend, (K, loss, *one, epsilon, stop)) for one in each])
    _warn_of_gaps(machines, stop)
    return machines


def solve_with_intercept(
    K: Array, targets: Array, C: Array, *, stop: Stop, n_jobs: int | None = None
) -> list[Machine]:
    """Train machines with the hinge loss and an intercept, which has no penalty.

    The parameters are those of `solve`; libsvm copies what it needs of `K`, runs until
    `stop.tol` is met, and warns if `stop.max_iter` rounds were not enough.
    """
    each = zip(targets, C, strict=True)
    with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
        return run([(_run_libsvm, (K, *one, stop)) for one in each])


def _run_libsvm(K: Array, targets: Array, C: Array, stop: Stop) -> Machine:
    K_own, own, weights, rows = _taking_part(K, targets, C)
    max_iter = min(stop.max_iter * _ROUND, np.iinfo(np.int32).max)
    machine = SVC(kernel="precomputed", tol=stop.tol, max_iter=max_iter)
    machine.fit(K_own, own, sample_weight=weights)
    coef = np.zeros(len(C))
    coef[rows[machine.support_]] = machine.dual_coef_[0]
    intercept = float(machine.intercept_[0])
    values = K @ coef
    box = Box.of("hinge", own, weights)
    gap = box.gap(coef[rows], box.slopes(coef[rows], values[rows] + intercept))
    n_iter = int(machine.n_iter_[0])
    return Machine(coef, gap, n_iter, not machine.fit_status_, intercept)


def norms(K: Array, coefs: Array) -> tuple[Values, Values]:
    """Compute norms in the space of the kernel, and upper bounds despite rounding.

    Large coefficients of opposite signs cancel in ``a' K a``, up to less than nothing;
    the squares of ``L' a`` with K = L L' do not.

    Parameters
    ----------
    K : ndarray of shape (n, n)
    coefs : ndarray of shape (n_machines, n)

    Returns
    -------
    norms, bounds : ndarray of shape (n_machines,)
    """
    roots = np.sqrt(K.diagonal())
    error = (32.0 + np.sqrt(len(K))) * _EPS  # of entries and of their sums
    with _parallel.one_blas_thread:
        squares = np.maximum(((coefs @ K) * coefs).sum(axis=1), 0.0)
        rounding = error * (np.abs(coefs) @ roots) ** 2
        if (rounding > _SHARPEST * squares).any():
            scales = np.where(roots > 0.0, roots, 1.0)
            correlations = K / scales / scales[:, None]
            L, pivots, rank, _ = linalg.lapack.dpstrf(correlations, tol=error, lower=1)
            projected = (coefs * scales)[:, pivots - 1] @ np.tril(L)[:, :rank]
            squares = (projected**2).sum(axis=1)
    return np.sqrt(squares), np.sqrt(squares + rounding)


def _warn_of_gaps(machines: list[Machine], stop: Stop) -> None:
    open_ = [machine for machine in machines if not machine.converged]
    if not open_:
        return
    remedy = "lower C or rescale X"
    if any(machine.n_iter == stop.max_iter for machine in open_):
        remedy += ", or raise max_iter if that shrinks the gap"
    warn(
        f"{len(open_)} of {len(machines)} machines stopped with a relative duality "
        f"gap of up to {max(machine.gap for machine in open_):.2g} "
        f"(gap_tol={stop.gap_tol:g}): {remedy}.",
        ConvergenceWarning,
    )


@dataclass(frozen=True)
class Box:
    r"""The dual of a machine whose loss has a kink, or an end.

    Minimize :math:`\frac12 a'(K + \mathrm{diag}(r))a - y'a + \epsilon|a|_1` over
    `lower` <= a <= `upper`. Its slopes are those without the last term.
    """

    loss: str
    C: Values
    ridge: Values
    targets: Values
    epsilon: float
    lower: Values
    upper: Values

    @classmethod
    def of(cls, loss: str, targets: Array, C: Array, epsilon: float = 0.0) -> Self:
        """Formulate the dual of a loss, whose factors `C` are > 0."""
        ridge, limit = np.zeros(len(C)), C
        if loss == "epsilon_insensitive":
            return cls(loss, C, ridge, targets, epsilon, -C, C)
        if loss == "squared_hinge":
            ridge, limit = 0.5 / C, np.full(len(C), np.inf)
        lower = np.where(targets < 0.0, -limit, 0.0)
        upper = np.where(targets > 0.0, limit, 0.0)
        return cls(loss, C, ridge, targets, 0.0, lower, upper)

    def slopes(self, coef: Values, values: Values) -> Values:
        """Return the slopes, from the values ``K @ coef`` of the machine."""
        return values + self.ridge * coef - self.targets

    def values(self, coef: Values, slopes: Values) -> Values:
        """Return the values, from the slopes."""
        return slopes - self.ridge * coef + self.targets

    def gap(self, coef: Values, slopes: Values) -> float:
        """Return primal minus dual objective, relative to the primal.

        It is a sum of terms >= 0, one for each row, so little is lost by rounding.
        """
        values = self.values(coef, slopes)
        if self.loss == "epsilon_insensitive":
            errors = np.abs(values - self.targets) - self.epsilon
        else:
            errors = 1.0 - self.targets * values
        errors = np.maximum(errors, 0.0)
        losses = self.C * (errors**2 if self.loss == "squared_hinge" else errors)
        duals = coef * (slopes - 0.5 * self.ridge * coef) + self.epsilon * np.abs(coef)
        gaps = np.maximum(losses + duals, 0.0)
        return _relative(gaps.sum(), 0.5 * (coef @ values) + losses.sum())


def _descend(
    K: Array,
    loss: str,
    targets: Array,
    C: Array,
    start: Array,
    epsilon: float,
    stop: Stop,
) -> Machine:
    """Descend in rounds until the conditions of an optimum and the gap are met."""
    rows = np.flatnonzero(C)
    box = Box.of(loss, targets[rows], C[rows], epsilon)
    full = np.zeros(len(C))

    def values(coef: Values) -> Values:
        full[rows] = coef
        return (K @ full)[rows]

    coef = np.clip(start[rows], box.lower, box.upper)
    slopes = box.slopes(coef, values(coef))
    curvature = K.diagonal()[rows] + box.ridge
    fixed = rows, curvature, box.ridge, box.epsilon, box.lower, box.upper
    tol = least = stop.tol * np.abs(box.targets).max()
    roots = np.sqrt(K.diagonal()[rows])
    n_iter, gap = 0, np.inf
    met = False
    while n_iter < stop.max_iter and not met:
        rounding = _EPS * roots.max() * (roots @ np.abs(coef))  # of a slope, at most
        floor = max(1e-11 * least, rounding)
        steps = _jit_dual.descend(K, *fixed, max(tol, floor), _ROUND, coef, slopes)
        n_iter += 1
        if steps < _ROUND:
            met = box.gap(coef, slopes) <= stop.gap_tol or tol <= floor
            tol *= 0.1
    slopes = box.slopes(coef, values(coef))  # without the rounding of all steps
    gap = box.gap(coef, slopes)
    return Machine(full, gap, n_iter, met and _is_small(gap, stop))


def _solve_logistic(
    K: Array, targets: Array, C: Array, start: Array, stop: Stop
) -> Machine:
    r"""Minimize by Newton steps, whose equations conjugate gradients solve.

    With the residual :math:`r = a + C \ell'(Ka)`, the gradient is Kr, and the duality
    gap between a and :math:`a - r` is :math:`\frac12 r'Kr`.

    Source: Keerthi et al. (2005), Machine Learning 61, 151-165.
    """
    K, targets, C, rows = _taking_part(K, targets, C)
    coef = start[rows]
    values = K @ coef

    def objective(coef: Values, values: Values) -> float:
        losses = np.logaddexp(0.0, -targets * values)
        return float(0.5 * (coef @ values) + C @ losses)

    current, exact = objective(coef, values), False
    last = last_gap = np.inf
    for n_iter in range(1, stop.max_iter + 1):
        miss = expit(-targets * values)
        residual = coef - C * targets * miss
        gradient = K @ residual
        gap = _relative(0.5 * (residual @ gradient), current)
        small = (np.abs(residual) <= stop.tol * C).all()
        converged = bool(small and gap <= stop.gap_tol)
        if converged or n_iter == stop.max_iter:
            break
        if current >= last and gap >= last_gap:
            if exact:  # rounding hides what could be gained
                converged = _is_small(gap, stop)
                break
            exact = True
        last, last_gap = current, gap
        root = np.sqrt(C * miss * (1.0 - miss))
        step = root * _solve_scaled(K, root, root * gradient, exact) - residual
        change = K @ step
        slope, length = float(gradient @ step), 1.0
        while length > 1e-10:
            new = objective(coef + length * step, values + length * change)
            if new <= current + 1e-4 * length * slope:
                break
            length *= 0.5
        else:
            length = 0.0
        coef, values = coef + length * step, values + length * change
        current = objective(coef, values)
    full = np.zeros(len(start))
    full[rows] = coef
    return Machine(full, gap, n_iter, converged)


def _solve_scaled(K: Array, root: Array, right: Array, exact: bool) -> Values:
    """Solve ``(I + diag(root) K diag(root)) x = right``, well enough for a step.

    That is exactly once such a step led nowhere.
    """
    if exact:
        scaled = K * root * root[:, None]
        scaled.flat[:: len(root) + 1] += 1.0
        try:
            return np.asarray(np.linalg.solve(scaled, right))
        except np.linalg.LinAlgError:  # the 1 is lost beside huge entries
            return np.zeros_like(right)

    def multiply(x: Array) -> Array:
        return x + root * (K @ (root * x))

    shape = K.shape
    x, _ = cg(LinearOperator(shape, multiply), right, rtol=1e-5, maxiter=shape[0])
    return x


def _solve_squared(K: Array, targets: Array, C: Array, stop: Stop) -> list[Machine]:
    """Solve ``(K + diag(1 / 2C)) a = targets``, once for all machines if they share C.

    Raises
    ------
    ValueError
        If K is singular and C too large to help.
    """
    if (C[0] == C).all():
        return _factorize(K, targets, C[0], stop)
    return [
        machine
        for y, c in zip(targets, C, strict=True)
        for machine in _factorize(K, y[None], c, stop)
    ]


def _factorize(K: Array, targets: Array, C: Array, stop: Stop) -> list[Machine]:
    n = len(C)
    K, targets, C, rows = _taking_part(K, targets, C)
    shifted = K.copy()
    shifted.flat[:: len(C) + 1] += 0.5 / C
    try:
        factor = linalg.cho_factor(shifted, lower=True, overwrite_a=True)
    except linalg.LinAlgError:
        raise ValueError(
            "The kernel matrix is singular up to rounding, and C leaves it so: lower C."
        ) from None
    solutions = np.zeros((len(targets), n))
    solutions[:, rows] = linalg.cho_solve(factor, targets.T).T
    machines = []
    for coef, y in zip(solutions, targets, strict=True):
        own = coef[rows]
        values = K @ own
        residual = own - 2.0 * C * (y - values)
        primal = 0.5 * (own @ values) + C @ (y - values) ** 2
        gap = _relative(max(0.5 * (residual @ K @ residual), 0.0), primal)
        machines.append(Machine(coef, gap, 1, _is_small(gap, stop)))
    return machines


def _taking_part(
    K: Array, targets: Array, C: Array
) -> tuple[Array, Array, Array, Array]:
    """Leave out rows where C is 0, and tell which stay."""
    rows = np.flatnonzero(C)
    if len(rows) == len(C):
        return K, targets, C, rows
    return K[np.ix_(rows, rows)], targets[..., rows], C[rows], rows


def _is_small(gap: float, stop: Stop) -> bool:
    return gap <= max(2.0 * stop.gap_tol, _ROUNDED)


def _relative(gap: Any, objective: Any) -> float:
    return float(gap / objective) if objective > 0.0 else 0.0
