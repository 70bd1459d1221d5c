"""Regression by kernel machines with neural tangent kernels."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.ntk import dual
from kernelkit.ntk.machines import evaluate, gram, rows_with_weight, store


class NTKSVR(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Support vector regression with the neural tangent kernel of a wide network.

    For each output it minimizes, over the functions of the kernel's space,

    .. math:: \frac12 \|f\|^2 + C \sum_{i=1}^{n} w_i\, \ell(f(x_i), y_i),

    which is what gradient descent on a wide network with a penalty on the distance
    from its initial weights tends to [1]_. There is no intercept: centre the targets,
    or give `sigma_b` > 0.

    Parameters
    ----------
    depth : int, default=1
        Number of hidden layers of the network; 0 for a linear one.
    sigma_w : float, default=sqrt(2)
        Scale of the weights, > 0.
    sigma_b : float, default=0.0
        Scale of the biases, >= 0.
    activation : str or callable, default="relu"
        Activation of the hidden layers, as for `NeuralTangent`.
    slopes : tuple of (float, float), default=(0.2, 1.0)
        Slopes of "leaky_relu" below and above 0.
    normalize : {"d"} or None, default="d"
        Whether the first layer divides inner products by the number of features.
    train_from : int, default=0
        Layers before this one stay as they were drawn.
    loss : {"epsilon_insensitive", "squared"}, default="epsilon_insensitive"
        :math:`\max(0, |y - f| - \epsilon)` or :math:`(y - f)^2`; with the second one,
        kernel ridge regression with penalty ``1 / (2 C)``.
    epsilon : float, default=0.1
        Errors up to this size cost nothing, in the unit of `y`.
    C : float, default=1.0
        Factor of the loss, > 0; a paper's lambda is ``1 / (n C)``.
    tol : float, default=1e-3
        Largest slope of the dual objective at which to stop, as a share of the largest
        absolute target.
    gap_tol : float, default=1e-10
        Largest relative duality gap at which to stop. Where rounding forbids it, up to
        1e-6 passes without a warning, as it does for "squared".
    max_iter : int, default=1000
        Most rounds, each of 500 steps that change two coefficients. Ignored by
        "squared".
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.

    Attributes
    ----------
    X_fit_ : ndarray of shape (n, n_features)
        Training rows of positive weight.
    dual_coef_ : ndarray of shape (n_outputs, n)
        Coefficients of the kernel at these rows.
    intercept_ : ndarray of shape (n_outputs,)
        Zeros.
    support_ : ndarray of shape (n_support,)
        Which of these rows have a coefficient other than 0.
    rkhs_norm_ : ndarray of shape (n_outputs,)
        Norms of the functions.
    dual_gap_ : ndarray of shape (n_outputs,)
        Relative duality gaps: at most this share of the objective could be gained.
    n_iter_ : ndarray of shape (n_outputs,)
        Rounds, 1 for the squared loss.
    kernel_ : NeuralTangent
        Kernel with its parameters.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, `X` or `y` hold NaN or infinity,
        weights are negative or all zero, or the squared loss meets a kernel matrix
        that is singular and `C` too large to help.
    MemoryError
        By `fit`, if the kernel matrix exceeds the memory.

    Warns
    -----
    ConvergenceWarning
        By `fit`, if `max_iter` was not enough, or rounding leaves a gap because `C` is
        large.
    UserWarning
        By `fit`, if all rows are zero and `sigma_b` is 0.

    See Also
    --------
    NTKSVC : Classification.
    sklearn.svm.SVR : The same with an intercept, for any kernel.

    References
    ----------
    .. [1] Chen, Huang, Nguyen & Weng (2021), "On the equivalence between neural network
       and support vector machine", NeurIPS 34.
    .. [2] Steinwart, Hush & Scovel (2011), "Training SVMs without offset", JMLR 12,
       141-202.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import NTKSVR
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> y = np.abs(X[:, 0]) - 0.5
    >>> NTKSVR(depth=2, sigma_b=0.5, epsilon=0.01, C=100.0).fit(X, y).score(X, y) > 0.99
    True
    """

    _parameter_constraints = {
        **check.NETWORK,
        "loss": check.one_of("epsilon_insensitive", "squared"),
        "epsilon": check.NON_NEGATIVE,
        "C": check.POSITIVE,
        "tol": check.POSITIVE,
        "gap_tol": check.POSITIVE,
        "max_iter": check.WHOLE,
        "n_jobs": check.N_JOBS,
    }

    def __init__(
        self,
        depth: int = 1,
        *,
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.0,
        activation: Any = "relu",
        slopes: tuple[float, float] = (0.2, 1.0),
        normalize: str | None = "d",
        train_from: int = 0,
        loss: str = "epsilon_insensitive",
        epsilon: float = 0.1,
        C: float = 1.0,
        tol: float = 1e-3,
        gap_tol: float = 1e-10,
        max_iter: int = 1000,
        n_jobs: int | None = None,
    ) -> None:
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.activation = activation
        self.slopes = slopes
        self.normalize = normalize
        self.train_from = train_from
        self.loss = loss
        self.epsilon = epsilon
        self.C = C
        self.tol = tol
        self.gap_tol = gap_tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Compute the kernel matrix and train a function for each output.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero, which multiply `C`; None weighs every
            row 1.

        Returns
        -------
        self : NTKSVR
        """
        y = check.targets(self, y)
        self.X_fit_, kept, weights = rows_with_weight(self, X, y, sample_weight)
        self._is_flat = y.ndim == 1
        targets = np.ascontiguousarray(y[kept].reshape(len(self.X_fit_), -1).T)
        K = gram(self, self.X_fit_)
        machines = dual.solve(
            self.loss,
            K,
            targets,
            np.tile(self.C * weights, (len(targets), 1)),
            epsilon=float(self.epsilon),
            stop=dual.Stop(self.tol, self.gap_tol, self.max_iter),
            n_jobs=self.n_jobs,
        )
        store(self, K, machines)
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
        values = evaluate(self, X)
        return values[:, 0] if self._is_flat else values
