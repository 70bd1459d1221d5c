"""How near networks of finite width come to the kernel machine of infinite width."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils import Bunch

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.kernels.neural import NeuralTangent
from kernelkit.ntk.finite_width import (
    FiniteWidthClassifier,
    FiniteWidthRegressor,
    choose_descent,
    class_codes,
    class_signs,
    divergence,
    draw_network,
    trainings,
)
from kernelkit.ntk.svm import NTKSVC
from kernelkit.ntk.svr import NTKSVR
from kernelkit.ntk.training import (
    Descent,
    Training,
    descend_functions,
)

_N_RECORDS = 60
_ROUNDING = 1e-9  # share of an objective
_CLASSIFIER_LOSSES = ("hinge", "squared_hinge", "logistic")
_KINKED = ("hinge", "epsilon_insensitive")
_LOSSES = (*_CLASSIFIER_LOSSES, "squared", "epsilon_insensitive")


def equivalence_report(
    X: Any,
    y: Any,
    X_test: Any = None,
    *,
    widths: Any = (128, 512, 2048, 8192),
    n_seeds: int = 5,
    depth: int = 1,
    sigma_w: float = 2**0.5,
    sigma_b: float = 0.0,
    activation: str = "relu",
    slopes: tuple[float, float] = (0.2, 1.0),
    normalize: str | None = "d",
    loss: str = "hinge",
    epsilon: float = 0.1,
    C: float = 1.0,
    regularizer: str = "distance",
    init: str = "antisymmetric",
    learning_rate: float | str = "auto",
    max_iter: int = 1000,
    dtype: Any = "float32",
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Bunch:
    r"""Train networks of several widths, and measure how far they are from the machine.

    Each takes the steps that subgradient descent takes in the space of the kernel, of
    the same length and as many; the report compares their outputs along the way. The
    deviations fall as the root of the width [1]_, [2]_ if the distance of the weights
    from the start is penalized, and with no other `regularizer`:

    - "last_layer" lets the weights of the last layer decay as :math:`e^{-\lambda t}`,
      and with it the part of the kernel that is due to the other layers. The limit is
      a descent whose kernel is :math:`K_0 + e^{-2 \lambda t} (K - K_0)`, where K is the
      tangent kernel and :math:`K_0` the part of the last layer (``get="nngp"``). It
      exists if outputs start at 0 (`init` "antisymmetric"): others decay, too.
    - "last_layer_scaled" divides this by the width: the limit has no penalty.

    As long as :math:`\lambda t` is much less than 1, all of these look the same; at the
    end it is the `horizon` of the report.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
        Training rows, finite numbers.
    y : array-like of shape (n,) or (n, n_outputs)
        Labels of two classes or more, of which each but the first of two is told from
        the rest by an output of its own; with "squared" and "epsilon_insensitive",
        numbers, such as -1 and 1 for classes.
    X_test : array-like of shape (n_test, n_features), default=None
        Rows to compare outputs at; None takes the training rows.
    widths : int or sequence of int, default=(128, 512, 2048, 8192)
        Units of each hidden layer.
    n_seeds : int, default=5
        Networks of each width.
    depth : int, default=1
        Number of hidden layers.
    sigma_w : float, default=sqrt(2)
        Scale of the weights, > 0.
    sigma_b : float, default=0.0
        Scale of the biases, >= 0.
    activation : {"relu", "leaky_relu", "erf", "gelu", "linear"}, default="relu"
        Activation of the hidden layers.
    slopes : tuple of (float, float), default=(0.2, 1.0)
        Slopes of "leaky_relu" below and above 0.
    normalize : {"d"} or None, default="d"
        Whether the first layer divides by the root of the number of features.
    loss : str, default="hinge"
        One of "hinge", "squared_hinge", "logistic", "squared" and
        "epsilon_insensitive".
    epsilon : float, default=0.1
        Errors up to this size cost nothing with "epsilon_insensitive".
    C : float, default=1.0
        Factor of the loss; the penalty :math:`\lambda` is ``1 / (n C)``.
    regularizer : {"distance", "last_layer", "last_layer_scaled"}, default="distance"
        What is penalized, as for `FiniteWidthClassifier`.
    init : {"antisymmetric", "standard"}, default="antisymmetric"
        How outputs are made to start at 0, as for `FiniteWidthClassifier`.
    learning_rate : float or "auto", default="auto"
        Length of a step. "auto" is half the inverse of the curvature, the largest
        eigenvalue of the kernel over the number of rows plus lambda, and half of that
        for "hinge" and "epsilon_insensitive": their slopes jump, in networks at other
        steps than in the machine, which adds a deviation of the order of a step.
    max_iter : int, default=1000
        Steps; see `horizon` whether they were enough for the penalty to be felt.
    dtype : {"float32", "float64"} or None, default="float32"
        Precision of the networks; None takes that of `X`.
    random_state : int, RandomState instance, Generator or None, default=None
        Where the networks are drawn from; an int repeats results.
    n_jobs : int or None, default=None
        Number of threads, each with a network. Does not change a bit of the result.
    verbose : int, default=0
        Whether to print a line for each network.

    Returns
    -------
    report : Bunch
        Of shape (n_widths,), means over the seeds:

        - ``rms_deviation``: between outputs of the networks and the machine, the root
          of the mean square over the test rows, where it is largest along the way;
        - ``max_deviation``: the same, the largest one over these rows;
        - ``train_rms_deviation``, ``train_max_deviation``: at the training rows;
        - ``limit_rms_deviation``, ``limit_max_deviation``: between networks and the
          limit for their `regularizer`, at the test rows;
        - ``kernel_distance``: between the tangent kernel of the network at the start
          and K, as a share of the norm of K;
        - ``kernel_drift``: between that at the end and at the start;
        - ``label_agreement``: share of the test rows that the network and the machine
          put into the same class after the last step; NaN for numbers;
        - ``optimum_agreement``: the same with `NTKSVC`, where the descent would end;
        - ``seconds``: of the training.

        Besides, for all of them, ``std``, a Bunch of the standard deviations, and
        ``runs``, a Bunch of the values of shape (n_widths, n_seeds). Then

        - ``widths``;
        - ``rms_slope``, ``max_slope``, ``limit_rms_slope``, ``limit_max_slope``: slopes
          of lines through the logarithms of deviations over those of widths, and their
          standard errors ``rms_slope_error``, ...;
        - ``steps``, of shape (n_records,): at which outputs were compared, up to 60,
          evenly spaced on a logarithmic scale;
        - ``loss_curves`` of shape (n_widths, n_seeds, n_records): mean losses of the
          networks at these steps, and ``machine_loss_curve``, ``limit_loss_curve``;
        - ``outputs`` of shape (n_widths, n_seeds, n_test, n_outputs): after the last
          step, and ``machine_outputs``, ``optimum_outputs``;
        - ``horizon``: :math:`\lambda t` at the end;
        - ``learning_rate``, ``regularizer``, ``loss``.

    Raises
    ------
    ValueError
        If a parameter is out of range, rows hold NaN or infinity, all are of one class,
        or a descent leaves all bounds, as a long `learning_rate` makes it do.
    MemoryError
        If kernel matrices or weights exceed the memory.

    Warns
    -----
    ConvergenceWarning
        If `NTKSVC` or `NTKSVR` do not find the optimum.

    See Also
    --------
    kernelkit.EquivalenceDisplay : Draw the report.
    path_kernel_residual : How near a network is to a sum of its own kernels.

    Notes
    -----
    Time is that of the widest networks: it grows as n times `max_iter` times the width,
    or its square with two hidden layers or more. Begin with fewer widths.

    References
    ----------
    .. [1] Chen, Huang, Nguyen & Weng (2021), "On the equivalence between neural network
       and support vector machine", NeurIPS 34.
    .. [2] Lee et al. (2019), "Wide neural networks of any depth evolve as linear models
       under gradient descent", NeurIPS 32.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import equivalence_report
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> report = equivalence_report(
    ...     X, X[:, 0] > 0.0, widths=(32, 512), n_seeds=3, max_iter=100, random_state=0
    ... )
    >>> bool(report.rms_deviation[1] < 0.5 * report.rms_deviation[0])
    True
    """
    widths = np.array([check.count("widths", width) for width in np.ravel(widths)])
    if not widths.size:
        raise ValueError("The 'widths' argument must hold a width. Got none.")
    n_seeds = check.count("n_seeds", n_seeds)
    check.choice("loss", loss, _LOSSES)
    shared: dict[str, Any] = {
        "depth": depth,
        "sigma_w": sigma_w,
        "sigma_b": sigma_b,
        "activation": activation,
        "slopes": slopes,
        "normalize": normalize,
        "loss": loss,
        "C": C,
    }
    takes_labels = loss in _CLASSIFIER_LOSSES
    if not takes_labels:
        shared["epsilon"] = epsilon
    model = (FiniteWidthClassifier if takes_labels else FiniteWidthRegressor)(
        **shared,
        regularizer=regularizer,
        init=init,
        learning_rate=learning_rate,
        max_iter=max_iter,
        dtype=dtype,
    )
    check.parameters(model)
    rows, n, signs = _data(model, X, y, X_test)
    _refuse_huge(model, rows, signs.shape[1], int(widths.max()))
    optimum = (NTKSVC if takes_labels else NTKSVR)(**shared, n_jobs=n_jobs)
    optimum.fit(rows[:n], y)
    problem = _problem(model, optimum.kernel_, rows, n, signs)
    evaluate = optimum.decision_function if takes_labels else optimum.predict
    compared = slice(n if X_test is not None else 0, None)
    optimum_outputs = evaluate(rows[compared]).reshape(-1, signs.shape[1])

    streams = check.rng(random_state).spawn(len(widths) * n_seeds)
    todo = [
        (_run, (problem, model, int(width), stream, verbose))
        for width, stream in zip(np.repeat(widths, n_seeds), streams, strict=True)
    ]
    with _parallel.threads(n_jobs) as run:
        results = run(todo)

    tables = [
        _measure(problem, result, compared, optimum_outputs, takes_labels)
        for result in results
    ]
    shape = len(widths), n_seeds
    runs = {
        name: np.array([table[name] for table in tables]).reshape(shape)
        for name in tables[0]
    }
    fits: dict[str, float] = {}
    for name in ("rms", "max", "limit_rms", "limit_max"):
        slope, error = _log_log_slope(widths, runs[f"{name}_deviation"])
        fits |= {f"{name}_slope": slope, f"{name}_slope_error": error}
    losses = np.array([result.losses for result in results])
    ends = np.array([result.path[-1, compared] for result in results])
    return Bunch(
        widths=widths,
        **{name: values.mean(axis=1) for name, values in runs.items()},
        **fits,
        std=Bunch(**{name: values.std(axis=1) for name, values in runs.items()}),
        runs=Bunch(**runs),
        steps=problem.steps,
        loss_curves=losses.reshape(*shape, -1),
        machine_loss_curve=problem.mean_losses(problem.machine),
        limit_loss_curve=problem.mean_losses(problem.limit),
        outputs=ends.reshape(*shape, *ends.shape[1:]),
        machine_outputs=problem.machine[-1, compared],
        optimum_outputs=optimum_outputs,
        horizon=problem.descent.learning_rate * problem.descent.penalty * max_iter,
        learning_rate=problem.descent.learning_rate,
        regularizer=regularizer,
        loss=loss,
    )


def path_kernel_residual(estimator: Any, X: Any, y: Any, X_test: Any = None) -> Bunch:
    r"""Compare a trained network with the sum of the tangent kernels along its way.

    After T steps of length :math:`\eta`, with slopes :math:`g_i(t)` of the losses and
    the tangent kernel :math:`\Theta_t` before each step, its outputs are about

    .. math:: f_T(x) \approx \sum_i c_i(x), \qquad c_i(x) = -\frac{\eta}{n}
              \sum_{t < T} (1 - \eta \lambda)^{T - 1 - t} g_i(t)\, \Theta_t(x, x_i)

    so that any trained network is nearly a kernel machine [1]_, [2]_. The difference is
    of the order of the learning rate. With the regularizer "distance" there is also
    what the outputs differ from linear functions of the weights, which falls with the
    width; the other two do not penalize biases, whose part of the sum is without the
    powers.

    This is a diagnostic, and no guarantee. Where :math:`g_i` keeps the sign of
    :math:`-y_i`, as for the losses of classes, :math:`n y_i c_i(x)` is called the path
    kernel; but it weighs kernels by slopes at :math:`x_i` alone. So it is not
    symmetric, not the kernel of a Hilbert space, and no norm or bound comes with it.

    Parameters
    ----------
    estimator : FiniteWidthClassifier or FiniteWidthRegressor
        Says which network to draw, and how to train it. All `max_iter` steps are taken,
        and the estimator stays as it is.
    X : array-like of shape (n, n_features)
        Training rows.
    y : array-like of shape (n,)
        Labels of two classes, or numbers.
    X_test : array-like of shape (n_test, n_features), default=None
        Rows to evaluate the outputs at; None takes the training rows.

    Returns
    -------
    result : Bunch
        ``outputs`` of shape (n_test,); ``contributions`` :math:`c_i(x)` of shape
        (n_test, n); ``residual`` of shape (n_test,), the outputs minus the sums of
        contributions; ``rms_residual`` and ``max_residual``; ``learning_rate``.

    Raises
    ------
    TypeError
        If the estimator is another one.
    ValueError
        If the network has several outputs, a parameter is out of range, or rows hold
        NaN or infinity.

    Notes
    -----
    It computes a kernel matrix in each step: keep rows and steps few.

    References
    ----------
    .. [1] Domingos (2020), "Every model learned by gradient descent is approximately a
       kernel machine", arXiv:2012.00152.
    .. [2] Chen, Huang, Nguyen & Weng (2021), "On the equivalence between neural network
       and support vector machine", NeurIPS 34, theorem 4.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import FiniteWidthClassifier
    >>> from kernelkit.ntk.equivalence import path_kernel_residual
    >>> X = np.random.default_rng(0).normal(size=(30, 2))
    >>> model = FiniteWidthClassifier(width=256, max_iter=50, random_state=0)
    >>> result = path_kernel_residual(model, X, X[:, 0] > 0.0)
    >>> bool(result.rms_residual < 0.1 * np.abs(result.outputs).max())
    True
    """
    if not isinstance(estimator, FiniteWidthClassifier | FiniteWidthRegressor):
        raise TypeError(
            "path_kernel_residual trains a FiniteWidthClassifier or a "
            f"FiniteWidthRegressor. Got a {type(estimator).__name__} instead."
        )
    estimator = clone(estimator)
    check.parameters(estimator)
    rows, n, y = _data(estimator, X, y, X_test)
    if y.shape[1] > 1:
        raise ValueError(
            f"A path kernel belongs to one output, and these targets need "
            f"{y.shape[1]}: pass two classes, or one column."
        )
    X, queries = rows[:n], rows[n if X_test is not None else 0 :]
    rng = check.rng(estimator.random_state)
    with (
        _parallel.one_blas_thread,
        np.errstate(over="ignore", invalid="ignore"),  # a descent that diverges
    ):
        for training in trainings(estimator, X, y, np.ones(n), rng):
            contributions = _contributions(estimator, training, queries, rng)
            if not training.has_exploded(training.objective()):
                break
        outputs = training.network.outputs(queries)
        outputs = outputs - training.start.outputs_at_start(queries)
    outputs = outputs[:, 0].astype(np.float64)
    residual = outputs - contributions.sum(axis=1)
    return Bunch(
        outputs=outputs,
        contributions=contributions,
        residual=residual,
        rms_residual=float(np.sqrt(np.mean(residual**2))),
        max_residual=float(np.abs(residual).max()),
        learning_rate=training.descent.learning_rate,
    )


def _contributions(
    estimator: Any, training: Training, queries: Array, rng: np.random.Generator
) -> Array:
    """Train, and add up the changes (n_queries, n) that outputs owe to each row."""
    network, n = training.network, len(training.X)
    rate = training.descent.learning_rate
    decay, unpenalized = rate * training.descent.penalty, estimator.sigma_b**2
    if training.regularizer == "distance":
        unpenalized = 0.0
    elif training.regularizer == "last_layer_scaled":
        decay /= network.weights[-1].shape[2]
    decaying, staying = np.zeros((len(queries), n)), np.zeros(n)
    for batch, _, slopes in training.steps(rng, estimator.batch_size):
        changes = rate / len(batch) * slopes[:, 0]
        K = network.tangent_kernel(queries, training.X[batch])
        decaying *= 1.0 - decay
        decaying[:, batch] -= (K - unpenalized) * changes
        staying[batch] -= unpenalized * changes
    return np.asarray(decaying + staying)


@dataclass(frozen=True)
class _Problem:
    """What the networks are trained for, and what they are compared with.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The training rows, then those for testing, in the precision of the networks.
    y : ndarray of shape (n, n_outputs)
    descent : Descent
        With one step more than are taken: the outputs before it are the last.
    steps : ndarray of shape (n_records,)
        Numbers of steps after which outputs are recorded.
    K : ndarray of shape (n, n)
    machine, limit : ndarray of shape (n_records, n_rows, n_outputs)
        Outputs of the kernel machine, and of the limit for the regularizer.
    """

    rows: Array
    y: Array
    descent: Descent
    steps: Array
    K: Array
    machine: Array
    limit: Array

    def mean_losses(self, path: Array) -> Array:
        """Return the mean loss at the training rows after each recorded step."""
        losses = self.descent.loss.values(path[:, : len(self.y)], self.y)
        return np.asarray(losses.sum(axis=2).mean(axis=1))


@dataclass(frozen=True)
class _Run:
    """A network that was trained.

    Attributes
    ----------
    path : ndarray of shape (n_records, n_rows, n_outputs)
    losses : ndarray of shape (n_records,)
    kernel_distance, kernel_drift, seconds : float
    """

    path: Array
    losses: Array
    kernel_distance: float
    kernel_drift: float
    seconds: float


def _data(model: Any, X: Any, y: Any, X_test: Any) -> tuple[Array, int, Array]:
    """Check rows and targets; test rows follow those for training."""
    if is_classifier(model):
        classes, codes = check.labels(model, y)
        y = class_signs(codes, len(classes))
    else:
        y = check.targets(model, y)
        y = y.reshape(len(y), -1)
    X = check.kernel_rows(model, X, reset=True, kernel=None, dtype=model.dtype)
    check.same_length(X, y)
    if X_test is None:
        return X, len(X), y
    dtype = X.dtype.name
    X_test = check.kernel_rows(model, X_test, reset=False, kernel=None, dtype=dtype)
    return np.vstack([X, X_test]), len(X), y


def _problem(
    model: Any, kernel: NeuralTangent, rows: Array, n: int, y: Array
) -> _Problem:
    """Descend in the space of the kernel."""
    check.memory(8 * len(rows) * n, "use fewer rows")
    K = _stacked(kernel, rows, n)
    descent = choose_descent(model, np.ones(n), lambda some: K[:n][some, some])
    if model.learning_rate == "auto" and model.loss in _KINKED:
        descent = replace(descent, learning_rate=descent.learning_rate / 2.0)
    descent = replace(descent, n_steps=model.max_iter + 1)
    steps = np.unique(np.geomspace(1, model.max_iter, _N_RECORDS).astype(int))

    with np.errstate(over="ignore", invalid="ignore"):
        machine = limit = _machine_path(K, y, descent, steps)
        if model.regularizer == "last_layer":
            last = _stacked(clone(kernel).set_params(get="nngp"), rows, n)
            limit = _last_layer_path(K, last, model.sigma_b**2, y, descent, steps)
        elif model.regularizer == "last_layer_scaled":
            limit = _machine_path(K, y, replace(descent, penalty=0.0), steps)
    return _Problem(rows, y, descent, steps, K[:n], machine, limit)


def _stacked(kernel: NeuralTangent, rows: Array, n: int) -> Array:
    """Compare all rows with those for training."""
    rows = rows.astype(np.float64)
    if len(rows) == n:
        return np.asarray(kernel(rows))
    return np.vstack([kernel(rows[:n]), kernel(rows[n:], rows[:n])])


def _machine_path(K: Array, y: Array, descent: Descent, steps: Array) -> Array:
    """Compute outputs of the kernel machine, of shape (n_records, n_rows, n_outputs).

    K : (n_rows, n), the first of which are the training rows.
    """
    states = descend_functions(K[: len(y)], y, np.ones(len(y)), descent)
    coefs = _recorded((coef for coef, _ in states), steps)
    path = np.asarray(K @ coefs)
    f = path[-1, : len(y)]
    loss = descent.loss.values(f, y).sum() / len(y)
    objective = loss + descent.penalty / 2.0 * (coefs[-1] * f).sum()
    at_start = descent.loss.values(np.zeros_like(y), y).sum() / len(y)
    if not objective <= (1.0 + _ROUNDING) * at_start:
        raise ValueError(divergence("The descent of a kernel machine", descent))
    return path


def _last_layer_path(
    K: Array, last: Array, bias: float, y: Array, descent: Descent, steps: Array
) -> Array:
    r"""Compute the limit for outputs when the weights of the last layer are penalized.

    These decay, the bias of the last layer does not, and the kernel due to the other
    layers is proportional to the squares of the former: with the two before and after
    the decay of step t, to :math:`(1 - \eta \lambda)^{2 t + 1}`.
    """
    parts = np.array([last - bias, np.full_like(last, bias), K - last])
    at_rows = parts[:, : len(y)]
    keep = 1.0 - descent.learning_rate * descent.penalty

    def states() -> Iterator[Array]:
        coefs = np.zeros((3, *y.shape))
        for step in range(descent.n_steps):
            yield coefs
            f = (at_rows @ coefs).sum(axis=0)
            change = descent.learning_rate / len(y) * descent.loss.slopes(f, y)
            coefs *= np.array([keep, 1.0, keep])[:, None, None]
            coefs -= np.array([1.0, 1.0, keep ** (2 * step + 1)])[:, None, None] * (
                change
            )

    return np.asarray((parts @ _recorded(states(), steps)).sum(axis=1))


def _recorded(states: Iterable[Array], steps: Array) -> Array:
    """Copy the states before which these numbers of steps were taken."""
    wanted = set(steps.tolist())
    return np.array([s.copy() for step, s in enumerate(states) if step in wanted])


def _run(
    problem: _Problem, model: Any, width: int, rng: np.random.Generator, verbose: int
) -> _Run:
    """Train a network, and record its outputs."""
    start = time.perf_counter()
    n = len(problem.y)
    X, queries = problem.rows[:n], problem.rows[n:]
    network = draw_network(model, X, problem.y.shape[1], width, rng)
    training = Training(
        network, X, problem.y, np.ones(n), problem.descent, model.regularizer
    )
    wanted = set(problem.steps.tolist())
    path = []
    with _parallel.one_blas_thread, np.errstate(over="ignore", invalid="ignore"):
        kernel_before = network.tangent_kernel(X)
        before = network.outputs_at_start(queries)
        for step, (_, f, _) in enumerate(training.steps(rng)):
            if step not in wanted:
                continue
            path.append(np.vstack([f, network.outputs(queries) - before]))
            if step == problem.steps[-1]:
                break
        if training.rises(training.objective(), training.objective_at_start):
            owner = f"The descent of a network of width {width}"
            raise ValueError(divergence(owner, problem.descent))
        kernel_after = network.tangent_kernel(X)
    outputs = np.array(path, dtype=np.float64)
    norm = np.linalg.norm(problem.K) or 1.0
    result = _Run(
        outputs,
        problem.mean_losses(outputs),
        float(np.linalg.norm(kernel_before - problem.K) / norm),
        float(np.linalg.norm(kernel_after - kernel_before) / norm),
        time.perf_counter() - start,
    )
    if verbose:
        largest = np.abs(outputs - problem.machine).max()
        print(f"width {width}: deviation {largest:.3g}, {result.seconds:.1f} s")
    return result


def _measure(
    problem: _Problem,
    run: _Run,
    compared: slice,
    optimum_outputs: Array,
    takes_labels: bool,
) -> dict[str, float]:
    """Compare a network with what it should be."""
    n = len(problem.y)
    table = {}
    for name, target, rows in (
        ("", problem.machine, compared),
        ("train_", problem.machine, slice(n)),
        ("limit_", problem.limit, compared),
    ):
        squares = np.square(run.path[:, rows] - target[:, rows])
        table[f"{name}rms_deviation"] = squares.mean(axis=(1, 2)).max() ** 0.5
        table[f"{name}max_deviation"] = squares.max() ** 0.5
    table["kernel_distance"] = run.kernel_distance
    table["kernel_drift"] = run.kernel_drift
    codes = class_codes(run.path[-1, compared])
    for name, values in (
        ("label_agreement", problem.machine[-1, compared]),
        ("optimum_agreement", optimum_outputs),
    ):
        agrees = codes == class_codes(values)
        table[name] = agrees.mean() if takes_labels else np.nan
    table["seconds"] = run.seconds
    return table


def _log_log_slope(widths: Array, deviations: Array) -> tuple[float, float]:
    """Fit a power of the width to deviations (n_widths, n_seeds).

    Returns the exponent and its standard error; NaN if there are too few of them.
    """
    x = np.log(np.repeat(widths, deviations.shape[1]))
    if np.ptp(x) == 0.0 or not deviations.all():
        return np.nan, np.nan
    x -= x.mean()
    z = np.log(deviations.ravel())
    z -= z.mean()
    slope = x @ z / (x @ x)
    if len(x) < 3:
        return float(slope), np.nan
    variance = np.square(z - slope * x).sum() / (len(x) - 2) / (x @ x)
    return float(slope), float(variance**0.5)


def _refuse_huge(model: Any, rows: Array, n_outputs: int, width: int) -> None:
    """Refuse networks that exceed the memory, of which a step holds four copies."""
    sizes = [rows.shape[1], *[width] * model.depth, n_outputs]
    n_weights = sum(before * after for before, after in pairwise(sizes))
    n_copies = 8 if model.init == "antisymmetric" else 4
    n_bytes = n_copies * n_weights * rows.dtype.itemsize
    check.memory(n_bytes, "leave out the largest widths")
