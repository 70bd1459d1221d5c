"""How the precision, the centres and the penalty of the weights are learned."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import optimize

from kernelkit._parallel import Run
from kernelkit._validation import Array
from kernelkit.rbf_network import objective as objectives
from kernelkit.rbf_network.objective import Normal, Rows, Solution, Value
from kernelkit.rbf_network.structure import Structure, latent, structure
from kernelkit.rbf_network.subspace import (
    Network,
    agop_root,
    effective_rank,
    spectrum,
)

_MOST_PENALTY = 1e8  # so that values stay below _FAILED
_PENALTY = 0.3  # of the precision, where it is not given
_LEAST_ALPHA, _LARGEST_ALPHA = 1e-10, 1e4  # per unit of weight, in a search
_START_ROWS = 2000  # that the start looks at
_START_ROUNDS = 2
_START_ALPHA = 1e-3  # relative to the mean of the diagonal
_MOST_START_ALPHA = 1e-3  # per unit of weight
_START_FACTORS = 50  # most directions in the second round
_SCALE_ROWS = 500
_LEAST_SHARE = 0.02
_FAILED = 1e10  # value where an objective cannot be computed
_BATCH, _BATCH_PER_CENTER = 2048, 20  # rows per step of Adam, at least
_BATCHES = 10  # in an iteration, at most
_ADAM = 0.9, 0.999, 1e-12
_STEP = 0.02  # of Adam, relative to the size of the parameters
_STALLED = 10  # iterations, over which a fit that still gains says so
_GAIN = 1e-2  # half of the share of the targets' variance, explained by them

Score = Callable[[Array, Array, Solution], float]


@dataclass(frozen=True)
class Candidate:
    """A structure with its centres; `begin` is a factor and `alpha` to start from."""

    structure: Structure
    C: Array
    begin: tuple[Array, float] | None = None


@dataclass(frozen=True)
class Plan:
    """How to fit: the parameters of an estimator that matter here.

    `mu` None stands for a penalty that scale and number of rows do not change.
    """

    objective: str = "evidence"
    alpha: float = 1e-2
    mu: float | None = None
    init: str = "agop"
    n_restarts: int = 1
    learn_centers: bool = False
    solver: str = "lbfgs"
    max_iter: int = 60
    tol: float = 1e-6
    patience: int = 10
    verbose: int = 0
    after_iteration: Callable[[], bool] = lambda: False  # whether to stop
    is_stopped: Callable[[], bool] = lambda: False  # so that no search need begin


@dataclass(frozen=True)
class Learned:
    """What a fit found: a structure, its factor, centres and penalty.

    `value` is the objective with the penalties and `loss` without; `curve` holds its
    values and `scores` those of the rows held out, by iteration.
    """

    structure: Structure
    U: Array
    C: Array
    alpha: float
    value: float
    loss: float
    curve: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    is_settled: bool = True


def median_distance(X: Array, C: Array) -> float:
    """Return the median squared distance of rows to centres; never 0."""
    some = X[:: max(len(X) // _SCALE_ROWS, 1)]
    squares = (some**2).sum(axis=1)[:, None] - 2.0 * some @ C.T + (C**2).sum(axis=1)
    squares = np.maximum(squares, 0.0)
    median = float(np.median(squares))
    return median if median > 1e-12 else max(float(squares.mean()), 1e-12)


def penalty(plan: Plan, shape: Structure, rows: Rows, C: Array) -> float:
    """Return the penalty of the precision that a plan means."""
    if plan.mu is not None:
        return min(plan.mu, _MOST_PENALTY)
    mu = _PENALTY * shape.n_free / shape.n_features
    return min(mu * median_distance(rows.X, C) / rows.total, _MOST_PENALTY)


def center_pull(rows: Rows, C: Array) -> float:
    """Return the penalty of moved centres, which lets each step as far as its cluster.

    That is the precision of a normal prior, per row.
    """
    some = rows.X[:: max(len(rows.X) // _START_ROWS, 1)]
    squares = (some**2).sum(axis=1)[:, None] - 2.0 * some @ C.T + (C**2).sum(axis=1)
    spread = max(float(squares.min(axis=1).mean()) / C.shape[1], 1e-3)
    return min(1.0 / (spread * rows.total), _MOST_PENALTY)


def scaled(U: Array, rows: Rows, C: Array) -> Array:
    """Scale a factor so that the median squared distance is 1."""
    return U / np.sqrt(median_distance(latent(rows.X, U), latent(C, U)))


def agop_spectrum(rows: Rows, C: Array) -> tuple[Array, Array] | None:
    """Find directions in which a ridge fit varies: Radhakrishnan et al. (2024).

    Its eigenvalues and eigenvectors feed the next, better fit, and `Structure.start`;
    None if the fit fails.
    """
    some = rows.part(slice(None, None, max(len(rows.X) // _START_ROWS, 1)))
    d = rows.X.shape[1]
    wide = structure("low_rank" if d > _START_FACTORS else "full", d, _START_FACTORS)
    U = np.ones(d)
    for _ in range(_START_ROUNDS):
        U = scaled(U, some, C)
        normal = some.normal(U, C)
        alpha = _START_ALPHA * max(normal.gram.trace() / len(C), 1e-300)
        solution = objectives.solve(normal, alpha)
        if solution is None:
            return None
        network = Network(U, C, solution.coef)
        found = spectrum(agop_root(some.X, some.weights, [network], rows.profile))
        U = wide.start(*found)
    return found


def starts(
    kind: str,
    number: int,
    shape: Structure,
    directions: tuple[Array, Array] | None,
    rng: np.random.Generator,
) -> list[Array]:
    """Return factors: random or along directions first, isotropic, then random ones."""
    if kind == "random":
        first = shape.random(rng)
    elif directions is not None:
        first = shape.start(*directions)
    else:
        first = shape.isotropic()
    others = [shape.random(rng) for _ in range(number - 2)]
    return [first, shape.isotropic(), *others][:number]


class Target:
    """The penalised objective of a regression as a function of one vector.

    The vector holds the parameters of the structure, the logarithm of `alpha` if the
    objective is the evidence, and the centres if they are learned.
    """

    def __init__(
        self, rows: Rows, shape: Structure, C: Array, plan: Plan, mu: float, pull: float
    ) -> None:
        self.rows, self.shape, self.C, self.plan, self.mu = rows, shape, C, plan, mu
        self.pull = pull  # towards the centres given; 0 leaves them there
        self.has_alpha = plan.objective == "evidence"

    def on(self, rows: Rows) -> "Target":
        """Return the same on other rows."""
        return Target(rows, self.shape, self.C, self.plan, self.mu, self.pull)

    def pack(self, U: Array, C: Array, alpha: float) -> Array:
        """Write what `unpack` reads."""
        parts = [self.shape.parameters(U)]
        if self.has_alpha:
            parts.append(np.array([np.log(alpha)]))
        if self.pull:
            parts.append(C.ravel())
        return np.concatenate(parts)

    def unpack(self, vector: Array) -> tuple[Array, Array, float]:
        """Return the factor, the centres and the penalty."""
        p = self.shape.size
        U = self.shape.factor(vector[:p])
        alpha = float(np.exp(vector[p])) if self.has_alpha else self.plan.alpha
        if not self.pull:
            return U, self.C, alpha
        return U, vector[p + self.has_alpha :].reshape(self.C.shape), alpha

    def bounds(self) -> list[tuple[float | None, float | None]]:
        """Return bounds of all entries: of `alpha` only."""
        free: list[tuple[float | None, float | None]] = [(None, None)]
        p, n = self.shape.size, self.rows.total
        alpha = np.log([_LEAST_ALPHA * n, _LARGEST_ALPHA * n]).tolist()
        bounded = [(alpha[0], alpha[1])] if self.has_alpha else []
        return free * p + bounded + free * (self.C.size if self.pull else 0)

    def evaluate(self, vector: Array) -> tuple[float, Array, Solution | None]:
        """Return the value, the gradient and the weights of the basis functions."""
        U, C, alpha = self.unpack(vector)
        with np.errstate(all="ignore"):  # far off, a line search steps back
            found = self._objective(U, C, alpha)
        if found is None or not np.isfinite(found.value):
            return _FAILED, np.zeros_like(vector), None
        slopes = [self.shape.gradient(found.U + self.mu * U)]
        if self.has_alpha:
            slopes.append(np.array([found.log_alpha]))
        if self.pull:
            slopes.append((found.C + self.pull * (C - self.C)).ravel())
        value = self.penalise(found.value, U, C)
        return value, np.concatenate(slopes), found.solution

    def penalise(self, value: float, U: Array, C: Array) -> float:
        """Add the penalties of the precision and the centres."""
        step = C - self.C
        squares = self.mu * (U * U).sum() + self.pull * (step * step).sum()
        return value + 0.5 * float(squares)

    def _objective(self, U: Array, C: Array, alpha: float) -> Value | None:
        if self.has_alpha:
            return objectives.evidence(self.rows, U, C, float(np.log(alpha)))
        return objectives.ridge(self.rows, U, C, alpha)


class _Trace:
    """Record of a search; keeps the best by rows held out, if there are any."""

    def __init__(self, target: Target, score: Score | None) -> None:
        self.target, self.score = target, score
        self.curve: list[float] = []
        self.scores: list[float] = []
        self.best: Array | None = None
        self.first: float | None = None  # value at the start
        self.unexplained = 1.0  # share of the variance of the targets

    def add(self, vector: Array, value: float, solution: Solution | None) -> bool:
        """Note an iterate; say whether to stop."""
        self.curve.append(value)
        plan = self.target.plan
        if solution is not None:
            self.unexplained = float(solution.misfit.max()) / self.target.rows.total
        U, C, _ = self.target.unpack(vector)
        if self.score is not None and solution is not None:
            self.scores.append(self.score(U, C, solution))
            if self.scores[-1] >= max(self.scores):
                self.best = vector.copy()
        if plan.verbose > 1:
            self._print(vector, value)
        late = len(self.scores) - 1 - int(np.argmax(self.scores or [0.0]))
        return plan.after_iteration() or (bool(self.scores) and late >= plan.patience)

    def still_gains(self) -> bool:
        """Tell whether the last iterations explained more of the targets."""
        values = self.curve if self.first is None else [self.first, *self.curve]
        recent = values[-1 - _STALLED :]
        by_variance = self.unexplained if self.target.has_alpha else 1.0
        return (recent[0] - recent[-1]) * by_variance > _GAIN

    def _print(self, vector: Array, value: float) -> None:
        U, _, alpha = self.target.unpack(vector)
        spread = U * U if U.ndim == 1 else np.linalg.svd(U, compute_uv=False) ** 2
        gradient = self.target.evaluate(vector)[1]
        line = (
            f"  iteration {len(self.curve)}: objective {value:.6f}, gradient "
            f"{np.abs(gradient).max():.1e}, alpha {alpha:.2e}, effective rank "
            f"{effective_rank(spread):.2f}"
        )
        print(line + (f", held out {self.scores[-1]:.4f}" if self.scores else ""))


def search(
    rows: Rows,
    C: Array,
    shape: Structure,
    U: Array,
    alpha: float,
    plan: Plan,
    *,
    rng: np.random.Generator,
    score: Score | None = None,
    pull: float = 0.0,
) -> Learned:
    """Minimise the objective of one structure from one start."""
    begin = time.perf_counter()
    mu = penalty(plan, shape, rows, C)
    target = Target(rows, shape, C, plan, mu, pull)
    vector = target.pack(U, C, alpha)
    trace = _Trace(target, score)
    if plan.is_stopped():
        value, has_stopped = target.evaluate(vector)[0], True
    else:
        minimise = _adam if plan.solver == "adam" else _lbfgs
        vector, value, has_stopped = minimise(target, vector, trace, rng)
    if trace.best is not None:
        vector = trace.best
        value = target.evaluate(vector)[0]
    U, C, alpha = target.unpack(vector)
    if plan.verbose:
        seconds = time.perf_counter() - begin
        print(
            f"{shape}: {len(trace.curve)} iterations, objective {value:.6f}, alpha "
            f"{alpha:.2e}, {seconds:.2f} s"
        )
    return Learned(
        structure=shape,
        U=U,
        C=C,
        alpha=alpha,
        value=value,
        loss=value - target.penalise(0.0, U, C),
        curve=trace.curve,
        scores=trace.scores,
        is_settled=has_stopped or not (trace.curve and trace.still_gains()),
    )


def _lbfgs(
    target: Target, vector: Array, trace: _Trace, rng: np.random.Generator
) -> tuple[Array, float, bool]:
    last: dict[str, Any] = {}

    def value_and_gradient(vector: Array) -> tuple[float, Array]:
        value, gradient, solution = target.evaluate(vector)
        trace.first = value if trace.first is None else trace.first
        last.update(at=vector.tobytes(), solution=solution)
        return value, gradient

    def after(intermediate_result: optimize.OptimizeResult) -> None:
        at, value = intermediate_result.x, float(intermediate_result.fun)
        solution = last["solution"] if last["at"] == at.tobytes() else None
        if solution is None and trace.score is not None:
            solution = target.evaluate(at)[2]
        if trace.add(at, value, solution):
            raise StopIteration

    found = optimize.minimize(
        value_and_gradient,
        vector,
        jac=True,
        method="L-BFGS-B",
        bounds=target.bounds(),
        callback=after,
        options={
            "maxcor": 20,
            "maxiter": target.plan.max_iter,
            "ftol": target.plan.tol,
            "gtol": target.plan.tol,
        },
    )
    return found.x, float(found.fun), found.status != 1


def _adam(
    target: Target, vector: Array, trace: _Trace, rng: np.random.Generator
) -> tuple[Array, float, bool]:
    """Take steps by batches, each of which stands for all rows: Kingma & Ba (2015).

    The weights are solved for in each, and `alpha` is renewed by all rows after some.
    """
    rows, plan, n = target.rows, target.plan, len(target.rows.X)
    size = max(_BATCH, _BATCH_PER_CENTER * len(target.C))
    p = target.shape.size
    moments, steps = np.zeros((2, len(vector))), 0
    scales = np.ones(len(vector))
    scales[:p] = np.sqrt(np.mean(vector[:p] ** 2))
    best, since = (np.inf, vector), 0
    for iteration in range(plan.max_iter + 1):
        U, C, alpha = target.unpack(vector)
        normal = rows.normal(U, C)
        solution = objectives.solve(normal, alpha)
        if solution is None:
            break
        value = target.penalise(
            objectives.regression_value(normal, solution, plan.objective), U, C
        )
        since = 0 if value < best[0] - plan.tol else since + 1
        if value < best[0]:
            best = value, vector.copy()
        if iteration and trace.add(vector, value, solution):
            break
        if since >= plan.patience:
            return best[1], best[0], True
        if iteration == plan.max_iter:
            break
        trace.first = value if trace.first is None else trace.first
        if target.has_alpha:
            vector[p] = np.log(_fixed_point(normal, solution))
        rate = _STEP * 0.5 * (1.0 + np.cos(np.pi * iteration / plan.max_iter))
        order = rng.permutation(n)[: size * _BATCHES]
        for chosen in np.array_split(order, max(len(order) // size, 1)):
            batch = target.on(rows.part(np.sort(chosen), n / len(chosen)))
            _, gradient, _ = batch.evaluate(vector)
            steps += 1
            for k, beta in enumerate(_ADAM[:2]):
                moments[k] += (1.0 - beta) * (gradient ** (k + 1) - moments[k])
            mean, square = (
                moments[k] / (1.0 - beta**steps) for k, beta in enumerate(_ADAM[:2])
            )
            vector = vector - rate * scales * mean / (np.sqrt(square) + _ADAM[2])
    return best[1], float(best[0]), False


def _fixed_point(normal: Normal, solution: Solution) -> float:
    """Return the `alpha` at which the evidence would not change: MacKay (1992)."""
    n, (m, q) = normal.total, solution.coef.shape
    misfit = solution.misfit + n * objectives.NOISE_FLOOR
    used = m - solution.alpha * float(solution.inverse.trace())
    share = float(((solution.coef**2).sum(axis=0) / misfit).sum())
    alpha = q / n * max(used, 1e-12) / max(share, 1e-300)
    return float(np.clip(alpha, _LEAST_ALPHA * n, _LARGEST_ALPHA * n))


def learn(
    rows: Rows,
    C: Array,
    shape: Structure,
    U: Array,
    alpha: float,
    plan: Plan,
    rng: np.random.Generator,
    score: Score | None = None,
) -> Learned:
    """Fit one structure from one start, and then the centres too if they are learned.

    Centres are drawn to where they were, as by a normal prior that allows each a step
    of the size of its cluster.
    """
    rows = rows.alone()
    first = search(rows, C, shape, U, alpha, plan, rng=rng, score=score)
    if not plan.learn_centers or plan.is_stopped():
        return first
    second = search(
        rows,
        C,
        shape,
        first.U,
        first.alpha,
        plan,
        rng=rng,
        score=score,
        pull=center_pull(rows, C),
    )
    best = [max(fit.scores, default=-np.inf) for fit in (first, second)]
    return replace(
        first if best[0] > best[1] else second,
        curve=first.curve + second.curve,
        scores=first.scores + second.scores,
        is_settled=second.is_settled,
    )


def learn_all(
    rows: Rows,
    candidates: list[Candidate],
    plan: Plan,
    *,
    rng: np.random.Generator,
    run: Run,
    held: Rows | None = None,
) -> list[Learned]:
    """Fit every candidate from every start, and keep the best of each.

    The best iterate is that which predicts the rows `held` best, if there are any.
    """
    directions = None
    if plan.init == "agop":
        directions = agop_spectrum(rows, candidates[0].C)
    score = None if held is None else score_on(held)
    first_alpha = plan.alpha
    if plan.objective == "evidence":  # which is flat where all weights are nothing
        first_alpha = min(first_alpha, _MOST_START_ALPHA * rows.total)
    tasks = []
    for candidate in candidates:
        shape, C = candidate.structure, candidate.C
        factors = starts(plan.init, plan.n_restarts, shape, directions, rng)
        tries = [(scaled(U, rows, C), first_alpha) for U in factors]
        if candidate.begin is not None:
            tries[0] = candidate.begin
        for U, alpha in tries:
            task = rows, C, shape, U, alpha, plan, rng.spawn(1)[0], score
            tasks.append((learn, task))
    fits = run(tasks)
    k = plan.n_restarts
    return [
        min(fits[start : start + k], key=lambda fit: fit.value)
        for start in range(0, len(fits), k)
    ]


def resume(rows: Rows, candidate: Candidate) -> Learned:
    """Return what was learned before, where a candidate begins, by the evidence."""
    assert candidate.begin is not None
    U, alpha = candidate.begin
    normal = rows.normal(U, candidate.C)
    solution = objectives.solve(normal, alpha)
    loss = _FAILED
    if solution is not None:
        loss = objectives.regression_value(normal, solution, "evidence")
    return Learned(candidate.structure, U, candidate.C, alpha, loss, loss)


def score_on(held: Rows) -> Score:
    """Return a function that scores a fit by R^2 on rows, of targets of variance 1."""

    def score(U: Array, C: Array, solution: Solution) -> float:
        return 1.0 - held.mean_square(U, C, solution)

    return score


def compare(
    rows: Rows,
    candidates: list[Candidate],
    folds: list[Any],
    plan: Plan,
    *,
    rng: np.random.Generator,
    run: Run,
) -> Array:
    """Return the mean score of each candidate on the folds, when fitted without."""
    totals = np.zeros(len(candidates))
    for fold in folds:
        kept, held = rows.split(fold)
        score = score_on(held)
        for k, fit in enumerate(learn_all(kept, candidates, plan, rng=rng, run=run)):
            solution = objectives.solve(kept.normal(fit.U, fit.C), fit.alpha)
            totals[k] += -np.inf if solution is None else score(fit.U, fit.C, solution)
    return totals / len(folds)


def shares(costs: Array, n: float) -> Array:
    """Return the shares of fits in their mean, ``exp(-sqrt(n) cost)``.

    Costs are means over n rows, and differences of them are uncertain by the order of
    1/sqrt(n). Fits of small share are left out.
    """
    weights = np.exp(-np.sqrt(n) * (costs - costs.min()))
    weights[weights < _LEAST_SHARE * weights.sum()] = 0.0
    return weights / weights.sum()


def bic(value: float, shape: Structure, n: float) -> float:
    """Return the objective plus the cost of the free parameters, per row."""
    return value + shape.n_free * float(np.log(max(n, 1.0))) / (2.0 * n)


def structures(n_features: int, n: float) -> list[Structure]:
    """Return the structures that "auto" fits."""
    ranks = [rank for rank in (1, 2, 3, 5) if rank < n_features]
    few = [structure("diag", n_features)]
    if n_features >= n:
        few.insert(0, structure("iso", n_features))
    few += [structure("low_rank", n_features, rank) for rank in ranks]
    if n_features * (n_features + 1) / 2 < n / 4 and n_features > 1:
        few.append(structure("full", n_features))
    return few
