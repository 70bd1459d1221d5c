"""Networks of finite width, trained as the kernel machines that they approach."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MultiOutputMixin,
    RegressorMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.ntk.machines import rows_with_weight
from kernelkit.ntk.network import ACTIVATIONS, Activation, Network
from kernelkit.ntk.training import (
    REGULARIZERS,
    Descent,
    Loss,
    Training,
    rows_for_rate,
    safe_learning_rate,
)

_CHECK_EVERY = 50  # steps
_N_RECORDS = 50
_FAR = 1000.0  # times the largest target: outputs of a descent that diverged
_MOST_STARTS = 8

_CONSTRAINTS = {
    **check.NETWORK,
    "activation": check.one_of(*ACTIVATIONS),
    "width": check.WHOLE,
    "C": check.POSITIVE,
    "regularizer": check.one_of(*REGULARIZERS),
    "init": check.one_of("antisymmetric", "standard"),
    "learning_rate": [*check.POSITIVE, *check.one_of("auto")],
    "max_iter": check.WHOLE,
    "tol": check.NON_NEGATIVE,
    "batch_size": [*check.WHOLE, None],
    "record": check.BOOLEAN,
    "dtype": check.FLOAT_DTYPE,
    "random_state": check.RANDOM_STATE,
}
del _CONSTRAINTS["train_from"]


class _TangentKernel:
    """The kernel of a trained network."""

    def empirical_ntk(self, X: Any, Y: Any = None) -> Array:
        """Compute the tangent kernel of the trained network.

        Parameters
        ----------
        X : array-like of shape (n_x, n_features)
            Rows.
        Y : array-like of shape (n_y, n_features), default=None
            Other rows; None takes `X`.

        Returns
        -------
        K : ndarray of shape (n_x, n_y)
            Inner products of the gradients by all weights and biases; with several
            outputs the mean over them.
        """
        X = _query_rows(self, X)
        Y = None if Y is None else _query_rows(self, Y)
        kernel = self.net_.tangent_kernel(X, Y)  # type: ignore[attr-defined]
        return np.asarray(kernel, dtype=np.float64)


class FiniteWidthClassifier(_TangentKernel, ClassifierMixin, BaseEstimator):
    r"""Classifier by a network of finite width, trained as an SVM is.

    A fully connected network f whose weights start as :math:`\theta_0`, drawn from
    N(0, 1), and which subgradient descent moves to a minimum of

    .. math:: \frac{1}{n} \sum_i w_i\, \ell(f(x_i) - f_0(x_i), y_i)
              + \frac{\lambda}{2} |\theta - \theta_0|^2, \qquad \lambda = \frac{1}{n C}

    The wider it is, the nearer it comes to the kernel machine of `NTKSVC` with the same
    loss and `C` [1]_: use it to see from which width on, with `equivalence_report`.
    To predict, `NTKSVC` is more accurate and has no width to choose.

    Parameters
    ----------
    width : int, default=512
        Units of each hidden layer.
    depth : int, default=1
        Number of hidden layers; 0 is a linear classifier.
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
    loss : {"hinge", "squared_hinge", "logistic", "squared"}, default="hinge"
        Loss of each output, as for `NTKSVC`.
    C : float, default=1.0
        Factor of the loss, > 0, as for `NTKSVC`.
    regularizer : {"distance", "last_layer", "last_layer_scaled"}, default="distance"
        What is penalized. Only the distance from the start makes the wide network the
        machine of `NTKSVC`. The squares of the last layer let its weights, and with
        them the share of the other layers in the kernel, die out; over the root of the
        width ("last_layer_scaled") they are no penalty in the limit.
    init : {"antisymmetric", "standard"}, default="antisymmetric"
        The first one trains the difference of two copies that start equal, so that the
        outputs start at 0 at twice the cost. With the second one, outputs at the start
        are subtracted from all others.
    learning_rate : float or "auto", default="auto"
        Length of a step. "auto" is half the inverse of the curvature at the start, the
        largest eigenvalue of the tangent kernel over the number of rows plus lambda,
        or a quarter of it, a sixteenth..., if the descent diverges, as it does where
        narrow networks learn large targets.
    max_iter : int, default=2000
        Most steps. The penalty is felt after some ``n C / learning_rate`` of them.
    tol : float, default=1e-3
        Stop when 50 steps, and 10 rounds of batches, do not lower the objective by this
        share of the least one before, twice in a row; 0 takes all steps.
    batch_size : int or None, default=None
        Rows of a step; None takes all of them.
    record : bool, default=False
        Whether to keep `path_`, which takes steps by all rows.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the network; None takes that of `X`. With "float32" steps take half
        the time.
    random_state : int, RandomState instance, Generator or None, default=None
        Where the weights and batches are drawn from; an int repeats results.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in their order.
    net_ : Network
        The trained network.
    initial_net_ : Network
        The network as it was drawn.
    objective_ : float
        Mean loss plus penalty at the end.
    learning_rate_ : float
        Length of the steps.
    n_iter_ : int
        Steps that were taken.
    path_ : Bunch
        At up to 50 steps, evenly spaced on a logarithmic scale: ``steps``, the
        ``outputs`` of shape (n_steps, n, n_outputs) at the training rows, and the
        ``slopes`` of their weighted losses. Only with `record` and without batches.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, `X` holds NaN or infinity, weights are
        negative or all zero, rows with weight are of one class, or the descent leaves
        all bounds, as a long `learning_rate` makes it do.

    Warns
    -----
    ConvergenceWarning
        By `fit`, if `max_iter` steps end before `tol` is met, or if the objective ends
        more than this, and a hundredth, above one that it had before: steps are too
        long, or batches too small.

    See Also
    --------
    NTKSVC : The limit of infinite width.
    equivalence_report : How the distance from it falls with the width.

    References
    ----------
    .. [1] Chen, Huang, Nguyen & Weng (2021), "On the equivalence between neural network
       and support vector machine", NeurIPS 34.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import FiniteWidthClassifier
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = X[:, 0] * X[:, 1] > 0.0
    >>> model = FiniteWidthClassifier(128, sigma_b=0.5, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    _parameter_constraints = {
        **_CONSTRAINTS,
        "loss": check.one_of("hinge", "squared_hinge", "logistic", "squared"),
    }

    def __init__(
        self,
        width: int = 512,
        depth: int = 1,
        *,
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.0,
        activation: str = "relu",
        slopes: tuple[float, float] = (0.2, 1.0),
        normalize: str | None = "d",
        loss: str = "hinge",
        C: float = 1.0,
        regularizer: str = "distance",
        init: str = "antisymmetric",
        learning_rate: float | str = "auto",
        max_iter: int = 2000,
        tol: float = 1e-3,
        batch_size: int | None = None,
        record: bool = False,
        dtype: Any = None,
        random_state: Any = None,
    ) -> None:
        self.width = width
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.activation = activation
        self.slopes = slopes
        self.normalize = normalize
        self.loss = loss
        self.C = C
        self.regularizer = regularizer
        self.init = init
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.record = record
        self.dtype = dtype
        self.random_state = random_state

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Draw a network and train it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like of shape (n_samples,)
            Labels of two classes or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1.

        Returns
        -------
        self : FiniteWidthClassifier
        """
        classes, codes = check.labels(self, y)
        X, kept, weights = rows_with_weight(self, X, codes, sample_weight, self.dtype)
        used = check.two_classes(self, 1.0 * kept, classes, codes)
        codes = np.searchsorted(used, codes[kept])
        self.classes_ = classes[used]
        _train(self, X, class_signs(codes, len(used)), weights)
        return self

    def decision_function(self, X: Any) -> Array:
        """Evaluate the network.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        values : ndarray of shape (n_queries,) or (n_queries, n_classes)
            The largest tells the class; of two classes, a positive one the second.
        """
        values = _evaluate(self, X)
        return values[:, 0] if len(self.classes_) == 2 else values

    def predict(self, X: Any) -> Array:
        """Predict the classes of query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Labels.
        """
        values = _evaluate(self, X)
        return self.classes_[class_codes(values)]


class FiniteWidthRegressor(
    _TangentKernel, MultiOutputMixin, RegressorMixin, BaseEstimator
):
    r"""Regressor by a network of finite width, trained as a kernel machine is.

    A fully connected network f whose weights start as :math:`\theta_0`, drawn from
    N(0, 1), and which subgradient descent moves to a minimum of

    .. math:: \frac{1}{n} \sum_i w_i\, \ell(f(x_i) - f_0(x_i), y_i)
              + \frac{\lambda}{2} |\theta - \theta_0|^2, \qquad \lambda = \frac{1}{n C}

    The wider it is, the nearer it comes to the kernel machine of `NTKSVR` with the same
    loss and `C` [1]_.

    Parameters
    ----------
    width : int, default=512
        Units of each hidden layer.
    depth : int, default=1
        Number of hidden layers; 0 is a linear regression.
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
    loss : {"squared", "epsilon_insensitive"}, default="squared"
        Loss of each output, as for `NTKSVR`.
    epsilon : float, default=0.1
        Errors up to this size cost nothing with "epsilon_insensitive", in the unit of
        `y`.
    C : float, default=1.0
        Factor of the loss, > 0.
    regularizer : {"distance", "last_layer", "last_layer_scaled"}, default="distance"
        What is penalized, as for `FiniteWidthClassifier`.
    init : {"antisymmetric", "standard"}, default="antisymmetric"
        How outputs are made to start at 0, as for `FiniteWidthClassifier`.
    learning_rate : float or "auto", default="auto"
        Length of a step. "auto" is half the inverse of the curvature at the start, the
        largest eigenvalue of the tangent kernel over the number of rows plus lambda,
        or a quarter of it, a sixteenth..., if the descent diverges, as it does where
        narrow networks learn large targets.
    max_iter : int, default=2000
        Most steps. The penalty is felt after some ``n C / learning_rate`` of them.
    tol : float, default=1e-3
        Stop when 50 steps, and 10 rounds of batches, do not lower the objective by this
        share of the least one before, twice in a row; 0 takes all steps.
    batch_size : int or None, default=None
        Rows of a step; None takes all of them.
    record : bool, default=False
        Whether to keep `path_`, which takes steps by all rows.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the network; None takes that of `X`. With "float32" steps take half
        the time.
    random_state : int, RandomState instance, Generator or None, default=None
        Where the weights and batches are drawn from; an int repeats results.

    Attributes
    ----------
    net_, initial_net_ : Network
        The network at the end and at the start.
    objective_ : float
        Mean loss plus penalty at the end.
    learning_rate_ : float
        Length of the steps.
    n_iter_ : int
        Steps that were taken.
    path_ : Bunch
        As for `FiniteWidthClassifier`.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, `X` or `y` hold NaN or infinity,
        weights are negative or all zero, or the descent leaves all bounds, as a long
        `learning_rate` makes it do.

    Warns
    -----
    ConvergenceWarning
        By `fit`, if `max_iter` steps end before `tol` is met, or if the objective ends
        more than this, and a hundredth, above one that it had before: steps are too
        long, or batches too small.

    See Also
    --------
    NTKSVR : The limit of infinite width.

    References
    ----------
    .. [1] Jacot, Gabriel & Hongler (2018), "Neural tangent kernel: convergence and
       generalization in neural networks", NeurIPS 31.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import FiniteWidthRegressor
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> y = np.abs(X[:, 0]) - 0.5
    >>> model = FiniteWidthRegressor(sigma_b=0.5, C=10.0, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    _parameter_constraints = {
        **_CONSTRAINTS,
        "loss": check.one_of("squared", "epsilon_insensitive"),
        "epsilon": check.NON_NEGATIVE,
    }

    def __init__(
        self,
        width: int = 512,
        depth: int = 1,
        *,
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.0,
        activation: str = "relu",
        slopes: tuple[float, float] = (0.2, 1.0),
        normalize: str | None = "d",
        loss: str = "squared",
        epsilon: float = 0.1,
        C: float = 1.0,
        regularizer: str = "distance",
        init: str = "antisymmetric",
        learning_rate: float | str = "auto",
        max_iter: int = 2000,
        tol: float = 1e-3,
        batch_size: int | None = None,
        record: bool = False,
        dtype: Any = None,
        random_state: Any = None,
    ) -> None:
        self.width = width
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.activation = activation
        self.slopes = slopes
        self.normalize = normalize
        self.loss = loss
        self.epsilon = epsilon
        self.C = C
        self.regularizer = regularizer
        self.init = init
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.record = record
        self.dtype = dtype
        self.random_state = random_state

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Draw a network and train it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1.

        Returns
        -------
        self : FiniteWidthRegressor
        """
        y = check.targets(self, y)
        X, kept, weights = rows_with_weight(self, X, y, sample_weight, self.dtype)
        self._is_flat = y.ndim == 1
        _train(self, X, y[kept].reshape(len(X), -1), weights)
        return self

    def predict(self, X: Any) -> Array:
        """Predict the targets of query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predictions.
        """
        values = _evaluate(self, X)
        return values[:, 0] if self._is_flat else values


def _train(estimator: Any, X: Array, y: Array, weights: Array) -> None:
    """Draw and train the network of an estimator, and set its attributes."""
    vars(estimator).pop("path_", None)
    rng = check.rng(estimator.random_state)
    with (
        _parallel.one_blas_thread,
        np.errstate(over="ignore", invalid="ignore"),  # a descent that diverges
    ):
        for training in trainings(estimator, X, y, weights, rng):
            if _take_steps(estimator, training, rng):
                break
    estimator.net_, estimator.initial_net_ = training.network, training.start
    estimator.learning_rate_ = training.descent.learning_rate


def class_signs(codes: Array, n_classes: int) -> Array:
    """Return targets (n, n_outputs) of classes: one of two, or each against others."""
    sides = np.arange(n_classes) if n_classes > 2 else np.array([1])
    return np.where(codes[:, None] == sides, 1.0, -1.0)


def class_codes(outputs: Array) -> Array:
    """Tell the classes by outputs (n, n_outputs) for such targets."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.0).astype(np.intp)
    return outputs.argmax(axis=1)


def draw_network(
    estimator: Any, X: Array, n_outputs: int, width: int, rng: np.random.Generator
) -> Network:
    """Draw a network of this width for an estimator."""
    return Network.draw(
        [X.shape[1], *[width] * estimator.depth, n_outputs],
        n_copies=2 if estimator.init == "antisymmetric" else 1,
        rng=rng,
        dtype=X.dtype,
        sigma_w=float(estimator.sigma_w),
        sigma_b=float(estimator.sigma_b),
        activation=Activation(estimator.activation, check.slopes(estimator.slopes)),
        scale_inputs=estimator.normalize == "d",
    )


def choose_descent(
    estimator: Any, weights: Array, kernel: Callable[[slice], Array]
) -> Descent:
    """Tell how rows of these weights are trained.

    kernel : the tangent kernel of some of the rows
    """
    loss = Loss(estimator.loss, float(getattr(estimator, "epsilon", 0.0)))
    penalty, rate = 1.0 / (weights.sum() * estimator.C), estimator.learning_rate
    if rate == "auto":
        some = rows_for_rate(len(weights))
        rate = safe_learning_rate(kernel(some), weights[some], penalty)
    return Descent(loss, float(penalty), float(rate), estimator.max_iter)


def trainings(
    estimator: Any, X: Array, y: Array, weights: Array, rng: np.random.Generator
) -> Iterator[Training]:
    """Draw a network, and yield trainings of it with shorter and shorter steps.

    Take the first that does not diverge: there is only one if the estimator says how
    long steps are, and after the last one it is an error.
    """
    network = draw_network(estimator, X, y.shape[1], estimator.width, rng)
    descent = choose_descent(
        estimator, weights, lambda some: network.tangent_kernel(X[some])
    )
    rate = descent.learning_rate
    for start in range(_MOST_STARTS if estimator.learning_rate == "auto" else 1):
        # shorter steps, as the kernel may have grown on the way
        descent = replace(descent, learning_rate=rate / 4.0**start)
        yield Training(network.copy(), X, y, weights, descent, estimator.regularizer)
    raise ValueError(divergence("The descent", descent))


def divergence(owner: str, descent: Descent) -> str:
    """Tell what to do about a descent that diverged."""
    rate, penalty = descent.learning_rate, descent.penalty
    cure = " or raise C" if rate * penalty > 1.0 else ""
    return (
        f"{owner} diverged: lower learning_rate={rate:g}{cure}, take wider networks, "
        "or rescale X and y."
    )


def _take_steps(estimator: Any, training: Training, rng: np.random.Generator) -> bool:
    """Train until the objective falls no more; tell whether it did not explode."""
    last, tol, n = estimator.max_iter, estimator.tol, len(training.X)
    n_batch = min(estimator.batch_size or n, n)
    # of batches, single steps tell little
    period = _CHECK_EVERY if n_batch == n else max(_CHECK_EVERY, 10 * -(-n // n_batch))
    recorded = np.unique(np.geomspace(1, last, _N_RECORDS).astype(int)) - 1
    records = []
    at_start = best = training.objective_at_start
    patience = 2
    n_iter = 0
    largest = _FAR * (1.0 + np.abs(training.y).max())
    for n_iter, (_, f, slopes) in enumerate(training.steps(rng, estimator.batch_size)):
        if not np.abs(f).max() < largest:
            return False
        if estimator.record and n_batch == n and n_iter in recorded:
            records.append((n_iter, f, slopes))
        if n_iter == 0 or n_iter % period:
            continue
        objective = training.objective()
        if training.has_exploded(objective):
            return False
        patience = 2 if objective < (1.0 - tol) * best else patience - 1
        best = min(best, objective)
        if patience == 0 and tol > 0.0:
            break
    else:
        n_iter += 1
    estimator.n_iter_ = n_iter
    estimator.objective_ = objective = training.objective()
    if training.has_exploded(objective):
        return False
    if records:
        steps, outputs, slopes = map(np.array, zip(*records, strict=True))
        estimator.path_ = Bunch(steps=steps, outputs=outputs, slopes=slopes)
    if training.rises(objective, (1.0 + tol) * best if tol > 0.0 else at_start):
        warn(
            f"The objective rose to {objective:.3g} from {best:.3g}: lower "
            f"learning_rate={training.descent.learning_rate:.3g}, or raise "
            f"{'tol' if n_batch == n else 'batch_size'}.",
            ConvergenceWarning,
        )
    elif tol > 0.0 and n_iter == last:
        warn(
            f"{last} steps were not enough: the objective {objective:.3g} still falls. "
            "Raise max_iter, or tol.",
            ConvergenceWarning,
        )
    return True


def _evaluate(estimator: Any, X: Any) -> Array:
    """Compute outputs minus those at the start, in float64."""
    X = _query_rows(estimator, X)
    values = estimator.net_.outputs(X) - estimator.initial_net_.outputs_at_start(X)
    return np.asarray(values, dtype=np.float64)


def _query_rows(estimator: Any, X: Any) -> Array:
    check.is_fitted(estimator)
    dtype = estimator.net_.weights[0].dtype.name
    rows = check.kernel_rows(estimator, X, reset=False, kernel=None, dtype=dtype)
    return np.asarray(rows, dtype=dtype)
