"""Classification by kernel ridge regression on signs."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.nystroem.fitting import evaluate, learn, penalties, tags
from kernelkit.nystroem.ridge import NystroemRidge
from kernelkit.nystroem.stream import feed, solved


class NystroemRidgeClassifier(ClassifierMixin, BaseEstimator):
    r"""Classification by kernel ridge regression on signs, in the span of centres.

    For each class, `NystroemRidge` is fitted to targets that are 1 for its rows and -1
    for all others, on centres that the classes share; the largest value wins. For two
    classes one function is enough, and its sign decides.

    Parameters
    ----------
    alpha : float, default=1.0
        Penalty, > 0, as in `NystroemRidge`: not divided by n.
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
        Rule that chooses centres among the rows, or the centres, or their row numbers,
        as in `NystroemRidge`. No rule looks at the classes.
    selection_samples : int, "auto" or None, default="auto"
        Number of random rows that "rls" and "rpcholesky" choose from, not less than
        `n_components`. "auto" stands for the larger of 4000 and 10 per centre, None for
        all rows.
    solver : {"auto", "direct", "cg"}, default="auto"
        How `fit` solves, as in `NystroemRidge`.
    tol : float, default=1e-6
        Residual at which "cg" stops, relative to the first.
    max_iter : int, default=30
        Most iterations of "cg".
    fit_intercept : bool, default=True
        Whether to fit a constant for each class without a penalty. Without it, all
        values tend to 0 far from the rows, where the class then means nothing; with it,
        the class with the largest share of the weight prevails there.
    class_weight : dict, "balanced" or None, default=None
        Factors of the weights of the rows of each class, 1 for those that a dict does
        not name. "balanced" gives all classes the same total weight; it needs all rows
        at once.
    dictionary : {"warmup", "adaptive"}, default="warmup"
        How `partial_fit` gets its centres, as in `NystroemRidge`.
    warmup_samples : int or "auto", default="auto"
        Rows that `partial_fit` waits for; "auto" stands for the larger of 4000 and 10
        per centre.
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
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes, in their order.
    components_ : ndarray or csr_array of shape (m, n_features)
        Centres; the same as `component_indices_` if the kernel is precomputed.
    component_indices_ : ndarray of shape (m,)
        Their row numbers; -1 if the centres were given themselves.
    dual_coef_ : ndarray of shape (m,) or (m, n_classes)
        Weights of the centres; of two classes, for the second one.
    intercept_ : float or ndarray of shape (n_classes,)
        Constants of the functions, 0 without `fit_intercept`.
    kernel_ : PairKernel
        Kernel with its parameters.
    solver_ : {"direct", "cg"}
        Solver of the last fit.
    n_iter_ : int
        Number of iterations of "cg"; 1 of "direct".
    n_samples_seen_ : int
        Number of rows of all batches, after `partial_fit` only.
    novelty_ : float
        How far the rows of the last step of `partial_fit` are from the span of the
        centres, in units of the mean over the warm-up; 1 until there is such a step.
    n_projected_ : int
        Number of centres so far that `partial_fit` added later, with approximate sums
        over the rows before.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if fewer than two classes have weight, a parameter is out of range,
        `X`, `y` or the kernel hold NaN or infinity, or weights are negative or all
        zero.
    MemoryError
        By `fit`, if matrices of m x m numbers, or a target for each row and class,
        exceed the memory.

    See Also
    --------
    NystroemRidge : The regression behind it.
    sklearn.linear_model.RidgeClassifier : The same without a kernel.

    Notes
    -----
    Values of `decision_function` are least-squares fits, no probabilities: calibrate
    them by `sklearn.calibration.CalibratedClassifierCV` if you need these.

    References
    ----------
    .. [1] Rifkin & Klautau (2004), "In defense of one-vs-all classification", JMLR 5,
       101-141.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from kernelkit import NystroemRidgeClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NystroemRidgeClassifier(
    ...     alpha=1e-3, gamma=1e-3, n_components=300, random_state=0
    ... )
    >>> model.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.95
    True
    """

    _parameter_constraints = {
        **NystroemRidge._parameter_constraints,
        "alpha": check.POSITIVE,
        "class_weight": check.CLASS_WEIGHT,
    }

    def __init__(
        self,
        alpha: float = 1.0,
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
        fit_intercept: bool = True,
        class_weight: Any = None,
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
        self.class_weight = class_weight
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
        y : array-like of shape (n_samples,)
            Labels of two classes or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1.

        Returns
        -------
        self : NystroemRidgeClassifier
        """
        classes, codes = check.labels(self, y)
        weights = check.class_weights(self, sample_weight, classes, codes)
        check.two_classes(self, weights, classes, codes)
        self.classes_ = classes
        learn(self, X, _signs(codes, len(classes)), weights)
        return self

    @check.params
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Learn from a further batch of rows; see `NystroemRidge.partial_fit`.

        A batch of nothing but classes to which `class_weight` gives 0 is skipped.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows, finite numbers.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will come; needed by the first call only, unless `fit` saw
            them before.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row 1.

        Returns
        -------
        self : NystroemRidgeClassifier

        Raises
        ------
        ValueError
            If labels come that `classes` did not announce, features or classes change,
            `class_weight` is "balanced" or the kernel is precomputed.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all rows at once: give partial_fit a "
                "dict of weights, or the rows to fit."
            )
        self.classes_ = self._announced(classes)
        labels, codes = check.labels(self, y)
        new = labels[~np.isin(labels, self.classes_)]
        if len(new):
            raise ValueError(
                f"y holds labels {new.tolist()} that are not among the classes of the "
                f"first batch, {self.classes_.tolist()}."
            )
        codes = np.searchsorted(self.classes_, labels)[codes]
        weights = check.class_weights(self, sample_weight, self.classes_, codes)
        if weights is not None and not weights.any():
            return self  # nothing to learn: classes without weight
        signs = _signs(codes, len(self.classes_))
        feed(self, X, signs, weights, penalties(self, signs))
        return self

    def decision_function(self, X: Any) -> Array:
        """Evaluate the functions of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            Query rows; kernel values with all training rows if the kernel is
            precomputed.

        Returns
        -------
        values : ndarray of shape (n_queries,) or (n_queries, n_classes)
            The largest tells the class; of two classes, a positive one the second.
        """
        return evaluate(self, X)

    def predict(self, X: Any) -> Array:
        """Predict the classes of query rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            Query rows; kernel values with all training rows if the kernel is
            precomputed.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Labels.
        """
        values = self.decision_function(X)
        codes = values > 0.0 if values.ndim == 1 else values.argmax(axis=1)
        return self.classes_[codes.astype(np.intp)]

    def _announced(self, classes: Any) -> Array:
        """Return the classes of a stream, which its first batch announces."""
        if classes is None:
            if not hasattr(self, "classes_"):
                raise ValueError(
                    "The first call of partial_fit needs classes: the labels of all "
                    "rows to come."
                )
            return self.classes_
        classes, _ = check.labels(self, classes)
        if len(classes) < 2:
            raise ValueError(
                f"classes must hold 2 labels or more. Got {classes.tolist()} instead: "
                "one class leaves nothing to learn."
            )
        if "_stream" in vars(self) and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"classes were {self.classes_.tolist()} in the first batch and are "
                f"{classes.tolist()} now: leave them out."
            )
        return classes

    def __getattr__(self, name: str) -> Any:
        return solved(self, name)

    def __sklearn_tags__(self) -> Any:
        return tags(self, super().__sklearn_tags__())


def _signs(codes: Array, n_classes: int) -> Array:
    """Return 1 for the class of a row and -1 for others; one column for two classes."""
    if n_classes == 2:
        return 2.0 * codes - 1.0
    check.memory(24 * len(codes) * n_classes, "merge rare classes")
    return np.where(codes[:, None] == np.arange(n_classes), 1.0, -1.0)
