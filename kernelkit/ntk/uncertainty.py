"""How sure a frozen network is, by the empirical kernel of its features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy.stats import norm, spearmanr
from sklearn.base import BaseEstimator, RegressorMixin, clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.utils import Tags

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.ntk.features import last_layer, tangents
from kernelkit.ntk.intervals import (
    SHARES,
    choose_shares,
    conformal_quantile,
    relative,
)
from kernelkit.ntk.spectrum import Posterior, Sources, Spectrum

_COLLAPSED = 0.05  # share of the prior variance
_SPREAD = 0.9  # share of the energy in five components, above which it is concentrated
_HEAVY = 1.0  # excess kurtosis of sources that are worth finding
_FEWEST = 30  # held-out rows of which some can be spared for tuning


@dataclass(frozen=True)
class Report:
    r"""What the features of a model say about its variances.

    Attributes
    ----------
    rank : int
    noise : float
    decomposition : {"svd", "ica"}
        What was chosen.
    effective_rank : float
        Exponential of the entropy of the shares of the energies :math:`S_j^2` [1]_.
    participation_ratio : float
        :math:`(\sum S_j^2)^2 / \sum S_j^4`.
    concentration : ndarray of shape (n_components,)
        Shares of the energy in the first 1, 2, ... components.
    collapse : ndarray of shape (n_components + 1,)
        Mean of v over that of :math:`\|a\|^2` at ranks 0, 1, ... of singular vectors;
        of held-out rows if some were spared for it.
    collapse_index : float
        The same of what was chosen.
    kurtosis : ndarray of shape (n_sources,) or None
        Excess kurtosis of independent components, None if none were found.
    ica_converged : bool or None
        Whether they were found, None if none were sought.
    error_correlation : float or None
        Rank correlation of v with the residuals of held-out rows, None without them.
    verdict : {"ok", "collapsed", "constant"}
        "collapsed" if less than 0.05 of the variance is left, "constant" if all rows
        have the same features.

    References
    ----------
    .. [1] Roy & Vetterli (2007), "The effective rank: a measure of effective
       dimensionality", EUSIPCO.
    """

    rank: int
    noise: float
    decomposition: str
    effective_rank: float
    participation_ratio: float
    concentration: Array
    collapse: Array
    collapse_index: float
    kurtosis: Array | None
    ica_converged: bool | None
    error_correlation: float | None
    verdict: str


class EmpiricalKernelUQ(RegressorMixin, BaseEstimator):
    r"""Variance and calibrated intervals for a frozen model, from its features.

    Features :math:`\phi` of the rows, such as the last hidden layer of a network, are
    centred, scaled and decomposed, :math:`A = U S V^T`. The posterior variance of the
    last layer, given as many observations as there are rows, is

    .. math:: v(x) = \|a\|^2 - \sum_{j \le k} \frac{S_j^2}{S_j^2 + s^2} (V_j^T a)^2

    at the centred and scaled features a of x. It costs one product with k columns,
    grows with the square of the distance, and knows nothing of y. Residuals of rows
    held out give it a unit: intervals are

    .. math:: f(x) \pm q \sqrt{(1 - \theta)\, v(x) / \bar v + \theta},

    with the split conformal quantile q.

    Parameters
    ----------
    estimator : estimator or None, default=None
        Model to be explained; `fit` fits a clone of it, save with ``cv="prefit"`` or in
        a `sklearn.frozen.FrozenEstimator`. None means least squares, of which `X` are
        the features.
    features : {"last_layer", "tangent"} or callable, default="last_layer"
        Last hidden layer of the network, as `last_layer_features` says, derivatives by
        all its weights, as `tangent_features` says, or a function of rows: what it
        returns, of shape (n_samples, n_features), are the features.
    sketch : int or None, default=None
        Number of random combinations of "tangent" features to use in place of them.
    rank : int, "auto" or "likelihood", default="auto"
        Number k of components. "auto" takes as many as keep `report_.collapse` at 0.05
        or above, and at most the effective rank. "likelihood" maximizes the Gaussian
        likelihood of residuals of held-out rows.
    noise : float or {"tail", "gcv", "evidence"}, default="tail"
        Variance s^2 of an observation where features of mean norm 1 have weights of
        variance 1, > 0. "tail" is the mean of the squared singular values beyond the
        rank, or up to it if there are no others. "gcv" and "evidence" choose that of
        ridge regression of y on all components.
    decomposition : {"auto", "svd", "ica"}, default="auto"
        Whether the k directions are the first singular vectors, or span the k sources
        of largest absolute excess kurtosis among the independent components of twice as
        many. "auto" takes the latter if five components hold less than 0.9 of the
        energy, and the median of that kurtosis exceeds 1.
    calibration : {"conformal"} or None, default="conformal"
        Whether to hold out rows for intervals. None leaves v without a unit of y.
    coverage : float, default=0.9
        Probability that an interval holds y, in (0, 1).
    n_groups : int, default=1
        Number of groups of rows, by their variance, that have quantiles of their own:
        the coverage holds in each of them.
    calibration_size : float, default=0.3
        Share of the rows to hold out, in (0, 1). Of 30 or more, a third serves to
        choose the rank and theta, the rest to find the quantile.
    cv : {"prefit"} or None, default=None
        Whether the estimator is fitted already, to rows other than those of `fit`.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of sketches and sources, and of the estimator's draws if it
        has no `random_state` of its own.
    n_jobs : int or None, default=None
        Number of threads. Does not change a bit of the result.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model.
    report_ : Report
        What was found: the spectrum, what was chosen, and a verdict.
    rank_ : int
        Number of components.
    noise_ : float
        Variance of an observation.
    spectrum_ : Spectrum
        How features are centred and scaled, and their singular vectors.
    posterior_ : Posterior
        Directions that are known, and what is left along them.
    quantile_ : ndarray of shape (n_groups, n_outputs)
        q; infinite if there are too few rows for the coverage.
    share_ : ndarray of shape (n_outputs,)
        Theta, 1 for intervals of the same width. It is the least whose intervals are at
        most 5 percent wider on average than with the best, by an estimate of some rows
        with 1.5 standard errors added; 0.5, untested, if fewer than 30 are held out.
    reference_variance_ : float
        Mean of v over held-out rows, in the formula above.
    held_out_indices_ : ndarray of shape (n_held_out,)
        Rows that the estimator and the spectrum have not seen.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if a parameter is out of range, features other than "tangent" are to
        be sketched, the data, features or predictions hold NaN or infinity, an
        estimator predicts other outputs than those of y, or a classifier is to be
        calibrated.
    TypeError
        By `fit`, if features of the estimator are not known.

    Warns
    -----
    UserWarning
        By `fit`, if the rank exceeds that of the features, a network's features are all
        constant, or independent components were asked for where there is one component.
    ConvergenceWarning
        By `fit`, if independent components were asked for and not found: singular
        vectors take their place.

    See Also
    --------
    sklearn.gaussian_process.GaussianProcessRegressor : The same with a given kernel.

    Notes
    -----
    A rank that is smaller makes v larger, not better: on some problems it tells rows
    in range from others the better, the *larger* the rank is. Compare ranks with
    `log_likelihood`, or by rows that you know to be out of range.

    Coverage is marginal, over rows like those held out: it holds for any model and any
    features, of an average row, and rows of other distributions are covered less often,
    even though intervals widen with their distance. Rows in time are not exchangeable.

    That widening costs width in range where v says nothing about the errors: with noise
    of one size intervals are some 5 percent wider than those of one width
    (``bench_intervals`` in ``benchmarks/bench_ntk.py``).

    Constants, and so a bias of the last layer, drop out when features are centred.

    References
    ----------
    .. [1] Jacot, Gabriel & Hongler (2018), "Neural tangent kernel: convergence and
       generalization in neural networks", NeurIPS 31.
    .. [2] Lei, G'Sell, Rinaldo, Tibshirani & Wasserman (2018), "Distribution-free
       predictive inference for regression", JASA 113(523), 1094-1111.
    .. [3] Golub, Heath & Wahba (1979), "Generalized cross-validation as a method for
       choosing a good ridge parameter", Technometrics 21(2), 215-223.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> from kernelkit import EmpiricalKernelUQ
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2.0, 2.0, size=(600, 2))
    >>> y = np.sin(2.0 * X[:, 0]) + X[:, 1] + 0.1 * rng.normal(size=600)
    >>> network = MLPRegressor(hidden_layer_sizes=(32, 32), max_iter=500)
    >>> model = EmpiricalKernelUQ(network, random_state=0).fit(X, y)
    >>> near, far = model.variance([[0.5, 0.5], [6.0, 6.0]])
    >>> bool(far > 10.0 * near)
    True
    """

    _parameter_constraints = {
        "estimator": check.PREDICTOR,
        "features": [*check.one_of("last_layer", "tangent"), callable],
        "sketch": [*check.WHOLE, None],
        "rank": [*check.one_of("auto", "likelihood"), *check.WHOLE_OR_0],
        "noise": [*check.one_of("tail", "gcv", "evidence"), *check.POSITIVE],
        "decomposition": check.one_of("auto", "svd", "ica"),
        "calibration": [*check.one_of("conformal"), None],
        "coverage": check.FRACTION,
        "n_groups": check.WHOLE,
        "calibration_size": check.FRACTION,
        "cv": [*check.one_of("prefit"), None],
        "random_state": check.RANDOM_STATE,
        "n_jobs": check.N_JOBS,
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        features: Any = "last_layer",
        sketch: int | None = None,
        rank: int | str = "auto",
        noise: float | str = "tail",
        decomposition: str = "auto",
        calibration: str | None = "conformal",
        coverage: float = 0.9,
        n_groups: int = 1,
        calibration_size: float = 0.3,
        cv: str | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.features = features
        self.sketch = sketch
        self.rank = rank
        self.noise = noise
        self.decomposition = decomposition
        self.calibration = calibration
        self.coverage = coverage
        self.n_groups = n_groups
        self.calibration_size = calibration_size
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that several outputs are fine."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @check.params
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the estimator, decompose its features, and calibrate intervals.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, at least two.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
            Targets. None is fine if the estimator is fitted and nothing is calibrated.

        Returns
        -------
        self : EmpiricalKernelUQ
        """
        if self.sketch is not None and self.features != "tangent":
            raise ValueError(
                f"sketch={self.sketch} is for features='tangent'. Got features="
                f"{self.features!r}: leave out the sketch."
            )
        given, (X, y) = X, self._fit_rows(X, y)
        rng = check.rng(self.random_state)
        seen, tuning, held = self._split(len(X), rng)
        self.held_out_indices_ = np.concatenate([tuning, held])
        self.estimator_ = self._fit_estimator(given, X, y, seen, rng)
        self._sketch_seed = int(rng.integers(2**31))
        features = self._features(given, X)
        residuals = self._residuals(given, X, y)

        with _parallel.one_blas_thread:
            report = self._decompose(features, y, residuals, seen, tuning, rng)
        v = self.posterior_.variance(features, self.spectrum_, n_jobs=self.n_jobs)
        if self.calibration is not None:
            self._calibrate(v, residuals, seen, tuning, held)
        self.report_ = replace(
            report, error_correlation=_correlation(v[held], residuals, held)
        )
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict what the estimator does.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Query rows.
        return_std : bool, default=False
            Whether to return standard deviations, too: half the width of the interval
            over the quantile of the normal distribution for the same coverage. Without
            calibration it is the root of `variance`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray of the same shape
            If asked for; of shape (n_samples,) without calibration.

        Raises
        ------
        ValueError
            Also if there were too few held-out rows for the coverage.
        """
        given, X = X, self._query_rows(X)
        y = self._ask(given, X)
        if not return_std:
            return y
        v = self._variance(given, X)
        if self.calibration is None:
            return y, np.sqrt(v)
        widths = self._half_widths(v).reshape(y.shape)
        return y, widths / norm.ppf((1.0 + self.coverage) / 2.0)

    def predict_interval(self, X: Any) -> tuple[Array, Array]:
        """Predict between which numbers y lies, with the probability `coverage`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Query rows.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        ValueError
            Also if nothing was calibrated, or there were too few held-out rows for the
            coverage.
        """
        given, X = X, self._query_rows(X)
        if self.calibration is None:
            raise ValueError(
                "Intervals need held-out rows: fit with calibration='conformal'."
            )
        y = self._ask(given, X)
        widths = self._half_widths(self._variance(given, X)).reshape(y.shape)
        return y - widths, y + widths

    def variance(self, X: Any) -> Array:
        """Compute v, the posterior variance of the scaled features' function.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Query rows.

        Returns
        -------
        v : ndarray of shape (n_samples,)
            Positive, save where the features are the mean of the seen rows'.
        """
        return self._variance(X, self._query_rows(X))

    def collapse_curve(self, X: Any) -> Array:
        """Compute which share of the prior variance is left at each rank, by SVD.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to average over.

        Returns
        -------
        shares : ndarray of shape (n_components + 1,)
            At ranks 0, 1, 2, ..., with the noise that the rule "tail" has there; any
            other noise is the same at all ranks. Near 0 the variance has collapsed.
        """
        given, X = X, self._query_rows(X)
        rows = self.spectrum_.transform(self._features(given, X))
        return self.spectrum_.collapse(rows, self._noises_)

    def log_likelihood(self, X: Any, y: Any) -> float:
        """Average the Gaussian log-density of y with the predicted deviation.

        It may choose parameters: ``GridSearchCV(model, {"rank": [5, 10, 20]},
        scoring=EmpiricalKernelUQ.log_likelihood)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.

        Returns
        -------
        mean : float
            Minus infinity if a deviation is 0 and the prediction is wrong.
        """
        f, std = self._predict_each(X)
        y = check.query_targets(y, f.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.nan_to_num(norm.logpdf(y, f, std), nan=-np.inf).mean())

    def _predict_each(self, X: Any) -> tuple[Array, Array]:
        """Predict, with a deviation for each output, even if it is the same for all."""
        f, std = self.predict(X, return_std=True)
        return f, std if std.ndim == f.ndim else np.broadcast_to(std[:, None], f.shape)

    def _fit_rows(self, X: Any, y: Any) -> tuple[Array, Array | None]:
        needs_y = (
            self.cv is None
            or self.calibration is not None
            or self.rank == "likelihood"
            or self.noise in ("gcv", "evidence")
        )
        if y is None and not needs_y:
            X = check.fit_data(self, X)
        else:
            X, y = check.regression_data(self, X, y)
        if len(X) < 2:
            raise ValueError(
                f"Found X with {len(X)} sample(s), while a minimum of 2 is required: "
                "one row has no variance."
            )
        if self.estimator is None:
            if self.cv == "prefit":
                raise ValueError("cv='prefit' needs an estimator that is fitted.")
            check.features(X, len(X))
        return X, y

    def _query_rows(self, X: Any) -> Array:
        check.is_fitted(self)
        return check.query_data(self, X)

    def _split(self, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Divide rows into seen ones, ones that tune, and ones for the quantile."""
        if self.calibration is None:
            return np.arange(n), np.arange(0), np.arange(0)
        order = rng.permutation(n)
        n_held = min(max(round(self.calibration_size * n), 1), n - 1)
        n_tuning = n_held // 3 if n_held >= _FEWEST else 0
        return order[n_held:], order[:n_tuning], order[n_tuning:n_held]

    def _fit_estimator(
        self,
        given: Any,
        X: Array,
        y: Array | None,
        seen: Array,
        rng: np.random.Generator,
    ) -> Any:
        estimator = self.estimator
        if self.cv is None:
            estimator = clone(LinearRegression() if estimator is None else estimator)
            _seed(estimator, rng)
            assert y is not None
            has_names = hasattr(self, "feature_names_in_")
            rows = check.some_rows(given, seen) if has_names else X[seen]
            with np.errstate(over="ignore", invalid="ignore"):  # in predictions, too
                estimator.fit(rows, y[seen])
        if self.calibration is not None and is_classifier(estimator):
            raise ValueError(
                f"{type(estimator).__name__} predicts classes, which have no "
                "residuals: set calibration=None for their variance alone."
            )
        return estimator

    def _known_rows(self, given: Any, X: Array) -> Any:
        """Choose what the estimator sees: frames, if it learnt from one."""
        return given if hasattr(self.estimator_, "feature_names_in_") else X

    def _features(self, given: Any, X: Array) -> Array:
        if self.estimator is None and not callable(self.features):
            return X
        if callable(self.features):
            values: Any = self.features(X)
        elif self.features == "last_layer":
            values = last_layer(self.estimator_, self._known_rows(given, X))
        else:
            values = tangents(
                self.estimator_,
                self._known_rows(given, X),
                self.sketch,
                np.random.default_rng(self._sketch_seed),
            )
        return check.features(values, len(X))

    def _ask(self, given: Any, X: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            values = self.estimator_.predict(self._known_rows(given, X))
        return check.predictions(self.estimator_, values, len(X))

    def _residuals(self, given: Any, X: Array, y: Array | None) -> Array | None:
        """Compute residuals (n, n_outputs) of a regressor."""
        if y is None or is_classifier(self.estimator_):
            return None
        y = y.reshape(len(X), -1)
        predicted = self._ask(given, X).reshape(len(X), -1)
        if predicted.shape != y.shape:
            raise ValueError(
                f"{type(self.estimator_).__name__} predicts {predicted.shape[1]} "
                f"output(s), and y has {y.shape[1]}: pass the targets that it was "
                "fitted to."
            )
        return y - predicted

    def _decompose(
        self,
        features: Array,
        y: Array | None,
        residuals: Array | None,
        seen: Array,
        tuning: Array,
        rng: np.random.Generator,
    ) -> Report:
        """Find the spectrum, choose what is known of it, and report."""
        spectrum = self.spectrum_ = Spectrum.of(features[seen], rng=rng)
        if self.estimator is not None and not spectrum.energies.size:
            warn(
                "All rows have the same features, so their variance tells nothing: is "
                "the last layer dead?"
            )
        rows = spectrum.transform(features[seen])
        probes = spectrum.transform(features[tuning]) if tuning.size else rows
        noises = self._noises(rows, None if y is None else y[seen])
        collapse = spectrum.collapse(probes, noises)
        if self.rank == "likelihood":
            rank = self._likeliest_rank(probes, noises, residuals, tuning)
        else:
            rank = self._allowed_rank(collapse)
        self.rank_, self.noise_ = rank, float(noises[rank])
        sources = self._find_sources(rows, rng)
        basis, energies = spectrum.vectors[:, :rank], spectrum.energies[:rank]
        is_ica = sources is not None and self._prefers(sources)
        if sources is not None and is_ica:
            basis, energies = sources.span(rows, rank)
        self.posterior_ = Posterior.of(basis, energies, self.noise_)
        known = (probes @ basis) ** 2 @ (1.0 - self.posterior_.shares)
        prior = float(np.einsum("ij,ij->", probes, probes))
        index = max(1.0 - float(known.sum()) / (prior or 1.0), 0.0)
        return Report(
            rank=rank,
            noise=self.noise_,
            decomposition="ica" if is_ica else "svd",
            effective_rank=spectrum.effective_rank,
            participation_ratio=spectrum.participation_ratio,
            concentration=spectrum.concentration,
            collapse=collapse,
            collapse_index=index,
            kurtosis=None if sources is None else sources.kurtosis,
            ica_converged=None if sources is None else sources.converged,
            error_correlation=None,
            verdict=_verdict(spectrum, index),
        )

    def _noises(self, rows: Array, y: Array | None) -> Array:
        """Noise at ranks 0, 1, 2, ..."""
        spectrum, noise = self.spectrum_, self.noise
        ranks = range(len(spectrum.energies) + 1)
        if noise == "tail":
            noises = np.array([spectrum.tail(rank) for rank in ranks])
        elif isinstance(noise, str):
            assert y is not None
            one = spectrum.fitted_noise(noise, rows, y.reshape(len(y), -1))
            noises = np.full(len(ranks), one)
        else:
            noises = np.full(len(ranks), float(noise))
        self._noises_ = noises
        return noises

    def _allowed_rank(self, collapse: Array) -> int:
        """Clip the rank, or choose the largest one that keeps the variance."""
        last = len(collapse) - 1
        if self.rank == "auto":
            n_ranks = int(self.spectrum_.effective_rank + 1e-9) + 1
            return int(np.flatnonzero(collapse[:n_ranks] >= _COLLAPSED)[-1])
        rank = int(self.rank)
        if rank > last:
            warn(f"rank={rank} exceeds the rank of the features: it becomes {last}.")
        return min(rank, last)

    def _likeliest_rank(
        self, probes: Array, noises: Array, residuals: Array | None, tuning: Array
    ) -> int:
        """Minimize ``mean(log v) + log(mean(e^2 / v))``, summed over the outputs."""
        if residuals is None or not tuning.size:
            raise ValueError(
                f"rank='likelihood' needs {_FEWEST} held-out rows and numbers for y: "
                "fit more rows, or choose another rank."
            )
        v = self.spectrum_.variances(probes, noises)
        v = np.maximum(v, np.finfo(np.float64).tiny)
        squares = relative(np.abs(residuals[tuning])) ** 2
        misfit = np.log(np.maximum((1.0 / v).T @ squares, 1e-300)).sum(axis=1)
        return int(np.argmin(squares.shape[1] * np.log(v).mean(axis=0) + misfit))

    def _find_sources(self, rows: Array, rng: np.random.Generator) -> Sources | None:
        spectrum, rank = self.spectrum_, self.rank_
        n_sources = min(2 * rank, len(spectrum.energies))
        if n_sources < 2:
            if self.decomposition == "ica":
                warn(
                    f"There are no independent components of rank {rank} among "
                    f"{len(spectrum.energies)} components: singular vectors take "
                    "their place."
                )
            return None
        if self.decomposition == "svd" or (
            self.decomposition == "auto" and spectrum.concentration[:5][-1] >= _SPREAD
        ):
            return None
        return Sources.of(spectrum, rows, n_sources, rng=rng)

    def _prefers(self, sources: Sources) -> bool:
        """Decide whether sources take the place of singular vectors."""
        if sources.kurtosis is None:
            if self.decomposition == "ica":
                warn(
                    "Independent components were not found: singular vectors take "
                    "their place.",
                    ConvergenceWarning,
                )
            return False
        typical = float(np.median(np.abs(sources.kurtosis)))
        return self.decomposition == "ica" or typical > _HEAVY

    def _calibrate(
        self,
        v: Array,
        residuals: Array | None,
        seen: Array,
        tuning: Array,
        held: Array,
    ) -> None:
        """Choose theta by some rows and quantiles by others, which keeps them exact."""
        assert residuals is not None
        errors = np.abs(residuals)
        some = tuning if tuning.size else seen
        self.reference_variance_ = float(v[some].mean())
        if not self.reference_variance_:
            self.share_ = np.ones(errors.shape[1])
        elif tuning.size:
            self.share_ = choose_shares(
                relative(errors[tuning]), self._growth(v[tuning], SHARES)
            )
        else:
            self.share_ = np.full(errors.shape[1], 0.5)
        inner = np.linspace(0.0, 1.0, self.n_groups + 1)[1:-1]
        self._group_edges = np.quantile(v[some], inner)
        scores = errors[held] / self._growth(v[held], self.share_)
        groups = np.searchsorted(self._group_edges, v[held])
        self.quantile_ = np.array(
            [
                conformal_quantile(scores[groups == group], self.coverage)
                for group in range(self.n_groups)
            ]
        )

    def _growth(self, v: Array, share: Array) -> Array:
        """Width of intervals (n, n_shares) before quantiles."""
        growth = v / (self.reference_variance_ or np.inf)
        return np.sqrt((1.0 - share) * growth[:, None] + share)

    def _half_widths(self, v: Array) -> Array:
        if np.isinf(self.quantile_).any():
            raise ValueError(
                f"Too few rows were held out for coverage={self.coverage}: a group "
                f"needs {int(np.ceil(self.coverage / (1.0 - self.coverage) - 1e-9))}. "
                "Fit more rows, raise calibration_size, or lower coverage or n_groups."
            )
        groups = np.searchsorted(self._group_edges, v)
        return self.quantile_[groups] * self._growth(v, self.share_)

    def _variance(self, given: Any, X: Array) -> Array:
        features = self._features(given, X)
        v = self.posterior_.variance(features, self.spectrum_, n_jobs=self.n_jobs)
        if not np.isfinite(v).all():
            raise ValueError(
                f"X holds numbers up to {np.abs(X).max():.3g}, so far from the rows of "
                "the fit that squares overflow: rescale the features."
            )
        return v


def ensemble_predict(
    models: Sequence[EmpiricalKernelUQ], X: Any
) -> tuple[Array, Array]:
    """Predict with models that differ by their seeds.

    Parameters
    ----------
    models : sequence of EmpiricalKernelUQ
        Fitted ones.
    X : array-like of shape (n_samples, n_features)
        Query rows.

    Returns
    -------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Mean of the predictions.
    std : ndarray of the same shape
        Root of the mean of the variances plus the variance of the predictions.

    Raises
    ------
    ValueError
        If there are no models.
    """
    pairs = [model._predict_each(X) for model in models]
    if not pairs:
        raise ValueError("An ensemble needs a model or more. Got none.")
    means, stds = (np.array(values) for values in zip(*pairs, strict=True))
    return means.mean(axis=0), np.sqrt((stds**2).mean(axis=0) + means.var(axis=0))


def _seed(estimator: Any, rng: np.random.Generator) -> None:
    """Give an estimator seeds where it has none."""
    for name, value in sorted(estimator.get_params().items()):
        if name.rpartition("__")[2] == "random_state" and value is None:
            estimator.set_params(**{name: int(rng.integers(2**31))})


def _correlation(v: Array, residuals: Array | None, held: Array) -> float | None:
    """Rank correlation of variances and errors; None if one of them is constant."""
    if residuals is None or not held.size:
        return None
    errors = np.abs(residuals[held])
    errors = np.linalg.norm(errors / (errors.max() or 1.0), axis=1)
    if np.ptp(v) == 0.0 or np.ptp(errors) == 0.0:
        return None
    return float(spearmanr(v, errors).statistic)


def _verdict(spectrum: Spectrum, collapse_index: float) -> str:
    if not spectrum.energies.size:
        return "constant"
    return "collapsed" if collapse_index < _COLLAPSED else "ok"
