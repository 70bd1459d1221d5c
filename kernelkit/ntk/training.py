"""Subgradient descent on penalized losses: in weights, and in functions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from kernelkit._validation import Array
from kernelkit.ntk.network import Network

REGULARIZERS = ("distance", "last_layer", "last_layer_scaled")

_N_POWER = 20  # iterations for the largest eigenvalue
_MOST_ROWS = 1000  # for it
_EXPLODED = 10.0  # times the objective at the start
_JITTER = 0.01  # share of the objective that kinks may make it rise by


@dataclass(frozen=True)
class Loss:
    """A convex loss of outputs f and targets y, which are 1 and -1 for the first three.

    Attributes
    ----------
    name : {"hinge", "squared_hinge", "logistic", "squared", "epsilon_insensitive"}
    epsilon : float
        Errors that cost nothing, for the last.
    """

    name: str
    epsilon: float = 0.0

    def values(self, f: Array, y: Array) -> Array:
        """Evaluate the loss."""
        if self.name == "squared":
            return np.square(f - y)
        if self.name == "epsilon_insensitive":
            return np.maximum(np.abs(f - y) - self.epsilon, 0.0)
        if self.name == "logistic":
            return np.logaddexp(0.0, -y * f)
        short = np.maximum(1.0 - y * f, 0.0)
        return short if self.name == "hinge" else np.square(short)

    def slopes(self, f: Array, y: Array) -> Array:
        """Evaluate the derivative by f; 0 at a kink."""
        if self.name == "squared":
            return 2.0 * (f - y)
        if self.name == "epsilon_insensitive":
            return np.sign(f - y) * (np.abs(f - y) > self.epsilon)
        if self.name == "logistic":
            return -y * expit(-y * f)
        if self.name == "hinge":
            return -y * (y * f < 1.0)
        return -2.0 * y * np.maximum(1.0 - y * f, 0.0)


@dataclass(frozen=True)
class Descent:
    """What both descents share.

    Attributes
    ----------
    loss : Loss
    penalty : float
        The factor lambda of half the squared norm; the loss counts as its mean.
    learning_rate : float
    n_steps : int
    """

    loss: Loss
    penalty: float
    learning_rate: float
    n_steps: int


def safe_learning_rate(K: Array, weights: Array, penalty: float = 0.0) -> float:
    """Return half the inverse of the curvature, for losses of curvature 1.

    It is the largest eigenvalue of weighed rows over their weight, plus the penalty.
    Iterations for it start from ones, and from the longest row of K: symmetric rows,
    such as x and -x, may make ones, or the row of any x, orthogonal to all others.
    """
    root = np.sqrt(weights)[:, None]
    K = K.astype(np.float64)
    scale = float(np.abs(K).max()) or 1.0
    longest = K[:, int((weights @ np.square(K / scale)).argmax()), None]
    vector = root * (1.0 + longest / (np.abs(longest).max() or 1.0))
    largest = 0.0
    for _ in range(_N_POWER):
        vector = root * (K @ (root * vector))
        largest = float(np.linalg.norm(vector))
        if largest == 0.0:
            break
        vector = vector / largest
    curvature = largest / float(weights.sum()) + penalty
    return 0.5 / curvature if curvature else 1.0


def rows_for_rate(n_rows: int) -> slice:
    """Choose rows on which the largest eigenvalue is judged."""
    return slice(None, None, -(-n_rows // _MOST_ROWS))


class Training:
    """Descent of a network in its weights.

    The loss is that of the outputs minus those at the start. The penalty is on the
    distance of all weights from the start ("distance"), on the last layer, or on the
    last layer over the root of its size ("last_layer_scaled").

    Parameters
    ----------
    network : Network
        Trained in place.
    X : ndarray of shape (n, n_features)
        In the precision of the network.
    y : ndarray of shape (n, n_outputs)
    weights : ndarray of shape (n,)
        Of the rows.
    descent : Descent
    regularizer : {"distance", "last_layer", "last_layer_scaled"}

    Attributes
    ----------
    start : Network
        A copy of the network before the first step.
    objective_at_start : float
        What `objective` is there but for rounding.
    """

    def __init__(
        self,
        network: Network,
        X: Array,
        y: Array,
        weights: Array,
        descent: Descent,
        regularizer: str = "distance",
    ) -> None:
        self.network, self.start = network, network.copy()
        self.X, self.y, self.weights = X, y, weights / weights.mean()
        self.descent, self.regularizer = descent, regularizer
        self._f_start = self.start.outputs_at_start(X)
        self.objective_at_start = self._objective(np.zeros_like(y))
        self._rounding = float(np.finfo(X.dtype).eps) * (self.objective_at_start or 1.0)

    def steps(
        self, rng: np.random.Generator, batch_size: int | None = None
    ) -> Iterator[tuple[Array, Array, Array]]:
        """Take the steps, and yield before each what it is based on.

        Yields
        ------
        rows : ndarray of shape (n_batch,)
            The rows of the step.
        f : ndarray of shape (n_batch, n_outputs)
            Their outputs minus those at the start.
        slopes : ndarray of shape (n_batch, n_outputs)
            Slopes of their losses, times the weights.
        """
        n, rate = len(self.X), self.descent.learning_rate
        for rows in _batches(n, batch_size, self.descent.n_steps, rng):
            X = self.X if len(rows) == n else self.X[rows]
            outputs, z, h = self.network.forward(X)
            f = outputs - self._f_start[rows]
            slopes = self.descent.loss.slopes(f, self.y[rows])
            slopes *= self.weights[rows, None]
            yield rows, f, slopes
            changes = self.network.gradient(
                (-rate / len(rows) * slopes).astype(X.dtype), z, h
            )
            self._decay()
            for parameter, change in zip(self.network.parameters, changes, strict=True):
                parameter += change

    def objective(self) -> float:
        """Evaluate the mean loss plus the penalty."""
        return self._objective(self.network.outputs(self.X) - self._f_start)

    def has_exploded(self, objective: float) -> bool:
        """Tell whether it is far above that at the start, or no number."""
        return self.rises(objective, self.objective_at_start, _EXPLODED - 1.0)

    def rises(self, objective: float, before: float, share: float = _JITTER) -> bool:
        """Tell whether it is above another by more than this share and rounding."""
        return not objective <= max((1.0 + share) * before, self._rounding)

    def _objective(self, f: Array) -> float:
        losses = self.descent.loss.values(f, self.y)
        return float(
            self.weights @ losses.sum(axis=1) / len(self.X)
            + self.descent.penalty / 2.0 * self._squared_norm()
        )

    def _squared_norm(self) -> float:
        if self.regularizer == "distance":
            pairs = zip(self.network.parameters, self.start.parameters, strict=True)
            return sum(float(np.square(now - then).sum()) for now, then in pairs)
        last = self.network.weights[-1]
        size = last.shape[2] if self.regularizer == "last_layer_scaled" else 1
        return float(np.square(last).sum()) / size

    def _decay(self) -> None:
        """Take the step of the penalty."""
        share = self.descent.learning_rate * self.descent.penalty
        if self.regularizer == "distance":
            pairs = zip(self.network.parameters, self.start.parameters, strict=True)
            for parameter, origin in pairs:
                parameter -= share * (parameter - origin)
            return
        last = self.network.weights[-1]
        if self.regularizer == "last_layer_scaled":
            share /= last.shape[2]
        last *= 1.0 - share


def _batches(
    n: int, batch_size: int | None, n_steps: int, rng: np.random.Generator
) -> Iterator[Array]:
    """Yield the rows of each step, every row once in each round."""
    if batch_size is None or batch_size >= n:
        for _ in range(n_steps):
            yield np.arange(n)
        return
    per_round = -(-n // batch_size)
    for step in range(n_steps):
        place = step % per_round
        if place == 0:
            order = rng.permutation(n)
        yield order[place * batch_size : (place + 1) * batch_size]


def descend_functions(
    K: Array, y: Array, weights: Array, descent: Descent
) -> Iterator[tuple[Array, Array]]:
    r"""Descend in the space of the kernel, and yield after each step its coefficients.

    .. math:: a \leftarrow (1 - \eta \lambda) a - \frac{\eta}{n} w\, \ell'(K a, y)

    It is what a network with `regularizer` "distance" does in the limit of infinite
    width.

    Yields
    ------
    coef : ndarray of shape (n, n_outputs)
        Changed by the step.
    f : ndarray of shape (n, n_outputs)
        Values at the rows.
    """
    weights = weights / weights.mean()
    coef = np.zeros(y.shape)
    rate = descent.learning_rate
    for _ in range(descent.n_steps):
        f = K @ coef
        yield coef, f
        slopes = weights[:, None] * descent.loss.slopes(f, y)
        coef *= 1.0 - rate * descent.penalty
        coef -= rate / len(K) * slopes
