"""Kernel ridge regression in the span of a few centres."""

from typing import Any, Self

from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.nystroem.centers import RULES
from kernelkit.nystroem.fitting import evaluate, learn, penalties, tags
from kernelkit.nystroem.stream import feed, solved


class NystroemRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Kernel ridge regression in the span of a few centres.

    For m centres :math:`c_j` among n rows with targets :math:`y_i` and weights
    :math:`w_i`, the function :math:`f(x) = b + \sum_j a_j k(x, c_j)` minimises

    .. math:: \sum_{i=1}^{n} w_i (y_i - f(x_i))^2 +
       \alpha \sum_{j,l=1}^{m} a_j a_l k(c_j, c_l)

    in time O(n m^2) and memory O(m^2), where `sklearn.kernel_ridge.KernelRidge` takes
    O(n^3) and O(n^2). With every row a centre the two agree.

    Parameters
    ----------
    alpha : float or array-like of shape (n_outputs,), default=1.0
        Penalty, > 0; one for each output or one for all. It is that of `KernelRidge`,
        not divided by n: where a paper has lambda n, write alpha.
    kernel : str, Kernel or callable, default="rbf"
        Positive semidefinite kernel: a name of
        `sklearn.metrics.pairwise.pairwise_kernels`, "precomputed", a kernel object of
        scikit-learn or kernelkit, or a function of two blocks of rows, or two rows.
    gamma, degree, coef0 : float or None, default=None
        Parameters of a kernel given by its name; None stands for the defaults of
        scikit-learn.
    kernel_params : dict or None, default=None
        Keyword arguments of a callable kernel.
    n_components : int, default=1000
        Number m of centres; all rows are, if they are not more than that.
    centers : {"rls", "uniform", "rpcholesky"} or array-like, default="rls"
        Rule that chooses centres among the rows: by ridge leverage scores, at random,
        or by randomly pivoted Cholesky. Or the centres themselves, of shape
        (m, n_features), or the row numbers of them, whole numbers of shape (m,).
    selection_samples : int, "auto" or None, default="auto"
        Number of random rows that "rls" and "rpcholesky" choose from, not less than
        `n_components`. "auto" stands for the larger of 4000 and 10 per centre, None for
        all rows.
    solver : {"auto", "direct", "cg"}, default="auto"
        "direct" sums an m x m matrix over the rows and factors it. "cg" passes over the
        rows again in each iteration of preconditioned conjugate gradients and is for
        many centres. "auto" takes "cg" for more than 8000.
    tol : float, default=1e-6
        Residual at which "cg" stops, relative to the first.
    max_iter : int, default=30
        Most iterations of "cg".
    fit_intercept : bool, default=False
        Whether to fit a constant b without a penalty. Without it, predictions tend to 0
        far from the rows.
    dictionary : {"warmup", "adaptive"}, default="warmup"
        How `partial_fit` gets its centres: "warmup" chooses them among the first
        `warmup_samples` rows, from which `fit` on the same centres differs by rounding;
        "adaptive" lets them change as rows come, for streams that drift, and needs
        ``centers="rls"``. It changes them while they are fewer than `n_components` and
        where `novelty_` exceeds 2.
    warmup_samples : int or "auto", default="auto"
        Rows that `partial_fit` waits for; "auto" stands for the larger of 4000 and 10
        per centre. "warmup" needs one for each centre.
    dtype : {"float32", "float64"} or None, default=None
        Precision of kernel values; sums and solutions have float64. None keeps that of
        float32 rows.
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.
    random_state : int, Generator, RandomState or None, default=None
        Source of the draws of centres; an int makes `fit` repeatable.

    Attributes
    ----------
    components_ : ndarray or csr_array of shape (m, n_features)
        Centres; the same as `component_indices_` if the kernel is precomputed.
    component_indices_ : ndarray of shape (m,)
        Their row numbers; -1 if the centres were given themselves.
    dual_coef_ : ndarray of shape (m,) or (m, n_outputs)
        Weights a of the centres, in the unit of `y`. A centre that the others span up
        to rounding has 0.
    intercept_ : float or ndarray of shape (n_outputs,)
        The constant b, 0 without `fit_intercept`.
    kernel_ : PairKernel
        Kernel with its parameters.
    solver_ : {"direct", "cg"}
        Solver of the last fit.
    n_iter_ : int
        Number of iterations of "cg"; 1 of "direct".
    n_samples_seen_, n_projected_ : int
        After `partial_fit` only: the number of rows, and of centres so far whose sums
        over earlier rows are approximate, as "adaptive" has them.
    novelty_ : float
        After `partial_fit` only: how far the last rows were from the span of the
        centres, next to those of the warm-up.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, `X`, `y` or the kernel hold NaN or
        infinity, or weights are negative or all zero.
    MemoryError
        By `fit`, if matrices of m x m numbers exceed the memory.

    Warns
    -----
    ConvergenceWarning
        If "cg" stops at `max_iter`.
    UserWarning
        If the kernel is not positive semidefinite on the centres. Those that make it so
        are left out. If a row that is no centre has a k(x, x) beside which sums lose
        the digits of other rows, as with kernels that grow.

    See Also
    --------
    NystroemRidgeCV : The same with alpha chosen from a grid in one pass.
    sklearn.kernel_ridge.KernelRidge : Every row is a centre.

    Notes
    -----
    Equal integer weights and repeated rows give the same function on the same centres.
    Rows without weight have no effect.

    Centres chosen by leverage scores beat uniform ones if some rows are unlike most
    others, as in small clusters and rare regions, and are as good where none is.

    Solvers work in an orthonormal basis of the span of the centres. A centre is left
    out if the others leave only rounding of its own k(x, x), a share of 2e-15 or of
    1e-6 in float32; 1e-10 if kernel values turn out to be noisy, and for streams with
    "adaptive". Where rounding of sums of kernel values in float64 could come near to
    the penalty, which is known beforehand, the direct solver sums over functions of the
    basis instead, in up to some twice the time. For a stream, whose length is not
    known, a hundred times the warm-up counts.

    Centres without digits enough of their own leave a small choice: far from all
    centres, predictions then depend on rounding.

    References
    ----------
    .. [1] Rudi, Camoriano & Rosasco (2015), "Less is more: Nyström computational
       regularization", NeurIPS 28, section 2.
    .. [2] Rudi, Carratino & Rosasco (2017), "FALKON: an optimal large scale kernel
       method", NeurIPS 30.
    .. [3] Calandriello, Lazaric & Valko (2017), "Distributed adaptive sampling for
       kernel matrix approximation", AISTATS.

    Examples
    --------
    >>> import numpy as np
    >>> from kernelkit import NystroemRidge
    >>> X = np.linspace(0.0, 6.0, 2000)[:, None]
    >>> y = np.sin(X[:, 0])
    >>> ridge = NystroemRidge(alpha=1e-3, n_components=30, random_state=0).fit(X, y)
    >>> ridge.dual_coef_.shape
    (30,)
    >>> ridge.score(X, y) > 0.999
    True
    """

    _parameter_constraints = {
        "alpha": [*check.POSITIVE, "array-like"],
        "kernel": check.KERNEL,
        **check.KERNEL_PARAMETERS,
        "n_components": check.WHOLE,
        "centers": [*check.one_of(*RULES), "array-like"],
        "selection_samples": [*check.WHOLE, *check.one_of("auto"), None],
        "solver": check.one_of("auto", "direct", "cg"),
        "tol": check.POSITIVE,
        "max_iter": check.WHOLE,
        "fit_intercept": check.BOOLEAN,
        "dictionary": check.one_of("warmup", "adaptive"),
        "warmup_samples": [*check.WHOLE, *check.one_of("auto")],
        "dtype": check.FLOAT_DTYPE,
        "n_jobs": check.N_JOBS,
        "random_state": check.RANDOM_STATE,
    }

    def __init__(
        self,
        alpha: Any = 1.0,
        *,
        kernel: Any = "rbf",
        gamma: float | None = None,
        degree: float | None = None,
        coef0: float | None = None,
        kernel_params: dict[str, Any] | None = None,
        n_components: int = 1000,
        centers: Any = "rls",
        selection_samples: Any = "auto",
        solver: str = "auto",
        tol: float = 1e-6,
        max_iter: int = 30,
        fit_intercept: bool = False,
        dictionary: str = "warmup",
        warmup_samples: Any = "auto",
        dtype: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.n_components = n_components
        self.centers = centers
        self.selection_samples = selection_samples
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.fit_intercept = fit_intercept
        self.dictionary = dictionary
        self.warmup_samples = warmup_samples
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the centres and solve for their weights.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Training rows, finite numbers; kernel values of all pairs of them if the
            kernel is precomputed.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1. They count
            as repetitions: larger ones ask for a larger `alpha`.

        Returns
        -------
        self : NystroemRidge
        """
        learn(self, X, check.targets(self, y), sample_weight)
        return self

    @check.params
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from a further batch of rows, which is not kept.

        The first `warmup_samples` rows are kept until there are as many, then the
        centres are chosen among them, and of these and later rows sums over kernel
        values remain. Predictions are those of all rows so far at any time; weights of
        the centres are computed when they are first asked for.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows, finite numbers.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1.

        Returns
        -------
        self : NystroemRidge

        Raises
        ------
        ValueError
            If features or outputs change, or the kernel is precomputed.

        Warns
        -----
        UserWarning
            If rows drift from the span of the centres, or after `fit`, whose rows are
            forgotten.
        """
        y = check.targets(self, y)
        feed(self, X, y, sample_weight, penalties(self, y))
        return self

    def predict(self, X: Any) -> Array:
        """Predict the targets of query rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            Query rows; kernel values with all training rows if the kernel is
            precomputed.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predictions, float64.
        """
        return evaluate(self, X)

    def __getattr__(self, name: str) -> Any:
        return solved(self, name)

    def __sklearn_tags__(self) -> Any:
        return tags(self, super().__sklearn_tags__())
