"""The second stage of a classifier: the log loss of weights, precision and centres."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import optimize
from scipy.linalg import cholesky, solve_triangular

from kernelkit._validation import Array
from kernelkit.rbf_network.fitting import Learned, Plan, center_pull, penalty
from kernelkit.rbf_network.objective import Rows
from kernelkit.rbf_network.structure import Structure

_WEIGHTS_ITERATIONS = 100  # for the weights alone, which is a convex problem
_JITTER = 1e-10  # of the mean of the diagonal
_STALLED = 10  # iterations, over which a fit that still gains says so
_GAIN = 5e-3  # of the log loss per row


@dataclass(frozen=True)
class Trained:
    """What the second stage found: all that tells the logits of a row.

    coef (M, q), intercept (q,); `value` is the objective with the penalties and `loss`
    the log loss alone; `curve` holds the values and `scores` those of the rows held
    out, by iteration.
    """

    structure: Structure
    U: Array
    C: Array
    coef: Array
    intercept: Array
    value: float
    loss: float
    curve: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    is_settled: bool = True


class _Coordinates:
    """Coordinates of the weights in which the log loss is about as steep everywhere.

    With the centred Gram matrix G of the basis functions, the Hessian of the loss is
    near ``L L' = (p (1 - p) G + alpha) / n`` as long as all classes have about the same
    probability p: so the weights are ``L'^-1 v``.
    """

    def __init__(self, rows: Rows, U: Array, C: Array, alpha: float) -> None:
        normal = rows.normal(U, C)
        p = 1.0 / max(rows.Y.shape[1], 2)
        hessian = p * (1.0 - p) * normal.gram / normal.total
        added = alpha / normal.total + _JITTER * hessian.trace() / len(C)
        added += len(C) * np.finfo(rows.X.dtype).eps  # rounding of the Gram matrix
        hessian.flat[:: len(C) + 1] += added
        self.L = cholesky(hessian, lower=True)
        self.means = normal.means
        self.shape = normal.moments.shape
        self.size = self.shape[0] * self.shape[1] + self.shape[1]
        shares = np.clip(normal.target_means, 1e-12, 1.0 - 1e-12)
        logits = np.log(shares)
        if len(shares) == 1:
            logits = logits - np.log1p(-shares)
        self.start = np.append(np.zeros(normal.moments.size), logits)

    def weights(self, vector: Array) -> tuple[Array, Array]:
        """Return coef and intercept."""
        V = vector[: -self.shape[1]].reshape(self.shape)
        coef = solve_triangular(self.L, V, lower=True, trans=1)
        return coef, vector[-self.shape[1] :] - self.means @ coef

    def vector(self, coef: Array, intercept: Array) -> Array:
        """Write what `weights` reads."""
        centred = intercept + self.means @ coef
        return np.append((self.L.T @ coef).ravel(), centred)

    def gradient(self, coef: Array, intercept: Array) -> Array:
        """Turn a gradient in coef and intercept to one in the coordinates."""
        d_coef = coef - np.outer(self.means, intercept)
        d_coef = solve_triangular(self.L, d_coef, lower=True)
        return np.append(d_coef.ravel(), intercept)


def fit_weights(
    rows: Rows, U: Array, C: Array, alpha: float, start: Any = None
) -> tuple[Array, Array]:
    """Fit coef and intercept alone, from a start of both if there is one."""
    coordinates = _Coordinates(rows, U, C, alpha)
    vector = coordinates.start if start is None else coordinates.vector(*start)

    def value_and_gradient(vector: Array) -> tuple[float, Array]:
        weights = coordinates.weights(vector)
        found = rows.cross_entropy(U, C, *weights, alpha, is_placed=True)
        assert found.coef is not None
        assert found.intercept is not None
        return found.value, coordinates.gradient(found.coef, found.intercept)

    found = optimize.minimize(
        value_and_gradient,
        vector,
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": 20, "maxiter": _WEIGHTS_ITERATIONS, "gtol": 1e-6},
    )
    return coordinates.weights(found.x)


class _Target:
    """The penalised log loss as a function of one vector.

    The vector holds the parameters of the precision, the weights in coordinates and, if
    they are learned, the centres.
    """

    def __init__(
        self, rows: Rows, first: Learned, plan: Plan, coordinates: _Coordinates
    ) -> None:
        self.rows, self.plan, self.shape = rows, plan, first.structure
        self.C, self.coordinates = first.C, coordinates
        self.mu = penalty(plan, first.structure, rows, first.C)
        self.pull = center_pull(rows, first.C) if plan.learn_centers else 0.0

    def pack(self, U: Array, coef: Array, intercept: Array) -> Array:
        """Write what `unpack` reads, with the centres where they begin."""
        parts = [self.shape.parameters(U), self.coordinates.vector(coef, intercept)]
        return np.concatenate([*parts, self.C.ravel()] if self.pull else parts)

    def unpack(self, vector: Array) -> tuple[Array, Array, Array, Array]:
        """Return the factor, the centres, coef and intercept."""
        p = self.shape.size
        end = p + self.coordinates.size
        C = vector[end:].reshape(self.C.shape) if self.pull else self.C
        weights = self.coordinates.weights(vector[p:end])
        return self.shape.factor(vector[:p]), C, *weights

    def evaluate(self, vector: Array) -> tuple[float, Array]:
        """Return the value and the gradient."""
        U, C, coef, intercept = self.unpack(vector)
        alpha = self.plan.alpha
        with np.errstate(all="ignore"):  # far off, a line search steps back
            found = self.rows.cross_entropy(U, C, coef, intercept, alpha)
        assert found.coef is not None
        assert found.intercept is not None
        step = C - self.C
        slopes = [
            self.shape.gradient(found.U + self.mu * U),
            self.coordinates.gradient(found.coef, found.intercept),
        ]
        if self.pull:
            slopes.append((found.C + self.pull * step).ravel())
        squares = self.mu * (U * U).sum() + self.pull * (step * step).sum()
        return found.value + 0.5 * float(squares), np.concatenate(slopes)


def train(rows: Rows, first: Learned, plan: Plan, held: Rows | None = None) -> Trained:
    """Fit weights, precision and centres together, from what the first stage found.

    The best iterate is that which predicts the rows `held` best, if there are any.
    """
    begin = time.perf_counter()
    rows, held = rows.alone(), None if held is None else held.alone()
    coordinates = _Coordinates(rows, first.U, first.C, plan.alpha)
    target = _Target(rows, first, plan, coordinates)
    weights = fit_weights(rows, first.U, first.C, plan.alpha)
    vector = target.pack(first.U, *weights)
    curve: list[float] = [target.evaluate(vector)[0]]
    scores: list[float] = []
    best = vector

    def after(intermediate_result: optimize.OptimizeResult) -> None:
        nonlocal best
        curve.append(float(intermediate_result.fun))
        is_late = False
        if held is not None:
            scores.append(-held.mean_log_loss(*target.unpack(intermediate_result.x)))
            if scores[-1] >= max(scores):
                best = intermediate_result.x.copy()
            is_late = len(scores) - 1 - int(np.argmax(scores)) >= plan.patience
        if plan.verbose > 1:
            print(
                f"  iteration {len(curve) - 1}: objective {curve[-1]:.6f}"
                + (f", held out {scores[-1]:.4f}" if scores else "")
            )
        if plan.after_iteration() or is_late:
            raise StopIteration

    found = optimize.OptimizeResult(x=vector, fun=curve[0], status=0)
    if not plan.is_stopped():
        found = optimize.minimize(
            target.evaluate,
            vector,
            jac=True,
            method="L-BFGS-B",
            callback=after,
            options={
                "maxcor": 20,
                "maxiter": plan.max_iter,
                "ftol": plan.tol,
                "gtol": plan.tol,
            },
        )
    U, C, coef, intercept = target.unpack(best if scores else found.x)
    if plan.verbose:
        seconds = time.perf_counter() - begin
        print(
            f"{first.structure}: log loss, {len(curve) - 1} iterations, objective "
            f"{curve[-1]:.6f}, {seconds:.2f} s"
        )
    recent = curve[-1 - _STALLED :]
    return Trained(
        structure=first.structure,
        U=U,
        C=C,
        coef=coef,
        intercept=intercept,
        value=float(found.fun),
        loss=rows.mean_log_loss(U, C, coef, intercept),
        curve=curve[1:],
        scores=scores,
        is_settled=found.status != 1 or recent[0] - recent[-1] < _GAIN,
    )


def loss_on(rows: Rows, trained: Trained) -> float:
    """Return the mean log loss of a fit on other rows."""
    return rows.mean_log_loss(trained.U, trained.C, trained.coef, trained.intercept)
