"""Kernel regression with product kernels, exact and in quasi-linear time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit.density import bandwidth as bandwidths
from kernelkit.density.kernel_sums import ALGORITHMS, choose, kernel_sums
from kernelkit.density.kernels1d import (
    KERNELS,
    Compact,
    Function1D,
    Gaussian,
    Kernel,
    find,
)

Array = npt.NDArray[Any]
Values = npt.NDArray[np.float64]

RULES = (*bandwidths.REFERENCE_RULES, "cv_ls")

_SMALLEST_TOTAL = 1e-280  # of the kernels: below it, terms lose digits or are lost
_LEAST_SPREAD = 1e-10  # squared, next to the distance: sums tell no less apart
_AS_NEAR = 1.0 + 1e-12  # times the least distance
_CELLS = 2**21  # numbers in a block of pairs
_FAR = 1e100  # widths, whose squares are finite


class ProductKernelRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Exact kernel regression with a product kernel.

    For training rows :math:`x_i` with targets :math:`y_i` and weights :math:`w_i`, a
    kernel K and a bandwidth :math:`h_k` for each feature, the prediction at q is the
    constant a of the least squares

    .. math:: \min_{a, b} \sum_{i=1}^{n} w_i \prod_{k=1}^{d}
       K\Bigl(\frac{q_k - x_{ik}}{h_k}\Bigr) \bigl(y_i - a - b'(x_i - q)\bigr)^2,

    with b = 0 for `order` 0, which is the Nadaraya-Watson mean of the targets, and any
    b for `order` 1, the local linear fit. Kernels that decay exponentially are summed
    exactly in quasi-linear time, at any bandwidth.

    Parameters
    ----------
    kernel : str or sequence of float, default="laplacian"
        Smoothing kernel K(u), one of `ProductKernelDensity`; "silverman", which has
        negative values, for `order` 0 only.
    bandwidth : str, float or array-like of shape (n_features,), default="cv_ls"
        Width of the kernel, > 0, in the unit of each feature; a number holds for all.
        "cv_ls" is the least squared error of the prediction at each place from the
        rows at other places; several targets count relative to their variances. The
        others are rules for densities, see `select_bandwidth`.
    order : {0, 1}, default=0
        0 for a local mean, 1 for a local line.
    algorithm : {"auto", "tree", "window", "brute"}, default="auto"
        How the sums are computed, as for `ProductKernelDensity`; the result is the same
        up to rounding.
    n_jobs : int or None, default=None
        Number of threads; None means 1 unless in a `joblib.parallel_config` context,
        -1 means all cores. Does not change a bit of the result.

    Attributes
    ----------
    bandwidth_ : ndarray of shape (n_features,)
        Bandwidth of each feature, in its unit.
    algorithm_ : str
        The algorithm that sums over as many queries as there are training rows. With
        "auto", another number of query rows may be better served by another one.
    X_fit_ : ndarray of shape (n_samples, n_features)
        Training rows.
    y_fit_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    sample_weight_ : ndarray of shape (n_samples,) or None
        Weights of the training rows; None if they are all equal.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen by `fit`, if `X` has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`, if `X` or `y` hold NaN or infinity, if weights are negative or all
        zero, if a bandwidth is not positive, if a rule has only one row, or if `order`
        is 1 and the kernel has negative values.

    Warns
    -----
    UserWarning
        By `fit`, if a rule meets a constant column, whose bandwidth becomes 1.

    See Also
    --------
    ProductKernelDensity : The density of the rows, with the same kernels.

    Notes
    -----
    Where the sum of the kernels is less than 1e-280, zero or, for "silverman",
    negative, the prediction is the limit in which the nearest rows prevail. For kernels
    that never end the same means are then formed from logarithms, and "silverman" loses
    its waves, :math:`e^{-|u|/\sqrt 2}`; for compact ones, with no row in reach, it is
    the mean of the targets of the row or rows with the least
    :math:`\sum_k |q_k - x_{ik}| / h_k`.

    A local line has slopes only along directions in which the rows, as the kernel
    weighs them, spread by at least 1e-5 of their distance from the query, with each
    feature in units of its own distance. Along others it is constant.

    References
    ----------
    .. [1] Nadaraya (1964), "On estimating regression", Theory of Probability and Its
       Applications 9(1), 141-142.
    .. [2] Fan & Gijbels (1996), Local Polynomial Modelling and Its Applications,
       Chapman & Hall, sections 2.2 and 3.1.
    .. [3] Langrené & Warin (2019), "Fast and stable multivariate kernel density
       estimation by fast sum updating", JCGS 28(3), 596-608.

    Examples
    --------
    >>> from kernelkit import ProductKernelRegressor
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 2.0, 4.0, 6.0]
    >>> means = ProductKernelRegressor(bandwidth=1.0).fit(X, y)
    >>> means.predict([[1.5], [3.0]]).round(3).tolist()
    [3.0, 4.985]
    >>> lines = ProductKernelRegressor(bandwidth=1.0, order=1).fit(X, y)
    >>> lines.predict([[1.5], [3.0]]).round(3).tolist()
    [3.0, 6.0]
    """

    _parameter_constraints = {
        "kernel": check.kernel(*KERNELS),
        "bandwidth": check.bandwidth(*RULES),
        "order": check.ORDER,
        "algorithm": check.one_of("auto", *ALGORITHMS),
        "n_jobs": check.N_JOBS,
    }

    def __init__(
        self,
        kernel: str | Sequence[float] = "laplacian",
        *,
        bandwidth: Any = "cv_ls",
        order: int = 0,
        algorithm: str = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.order = order
        self.algorithm = algorithm
        self.n_jobs = n_jobs

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Store the training rows and choose the bandwidth.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, finite numbers; integers beyond 2**53 are rounded.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Nonnegative row weights, not all zero; None weighs every row alike.

        Returns
        -------
        self : ProductKernelRegressor
        """
        X, y = check.regression_data(self, X, y)
        weights = check.sample_weight(sample_weight, X)
        self._choose_kernel()
        self._choose_algorithm(len(X))
        self.X_fit_ = X
        self.y_fit_ = y
        self.sample_weight_ = weights
        with _parallel.threads(self.n_jobs) as run:
            self.bandwidth_ = self._choose_bandwidth(run)
        return self

    def predict(self, X: Any) -> Values:
        """Predict the targets at query rows.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Query rows.

        Returns
        -------
        y : ndarray of shape (n_queries,) or (n_queries, n_outputs)
            Predictions, never NaN. With `order` 0 and a kernel without negative values
            they lie between the least and the greatest target.

        Raises
        ------
        MemoryError
            If the slopes of local lines in many features exceed the memory.
        """
        check.is_fitted(self)
        queries = check.query_data(self, X)
        rows, _ = self._rows()
        return self._in_units(self._estimate(rows, queries), rows.scale)

    def loo_predict(self) -> Values:
        """Predict the targets of each training row from the other rows.

        The same as to fit without the row, with the same bandwidth, and to predict at
        it; but in a single traversal.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions.

        Raises
        ------
        ValueError
            If fewer than 2 training rows have positive weight.
        """
        check.is_fitted(self)
        rows, kept = self._rows()
        if len(rows.X) == 1:
            raise ValueError(
                "loo_predict leaves out the only row with positive weight: fit at "
                "least 2."
            )
        values = np.empty((len(self.X_fit_), rows.targets.shape[1]))
        values[kept] = self._estimate(rows, None)
        if not kept.all():
            values[~kept] = self._estimate(rows, self.X_fit_[~kept])
        return self._in_units(values, rows.scale)

    def _choose_kernel(self) -> None:
        self._kernel_of_fit = check.sargan(type(self).__name__, self.kernel)
        kernel = self._kernel()
        if self.order == 1 and kernel.is_signed:
            raise ValueError(
                f"order=1 needs a kernel without negative values, and {kernel.name!r} "
                "has some: use order=0 or another kernel."
            )

    def _choose_algorithm(self, n_samples: int) -> None:
        functions = [self._kernel().density] * self.n_features_in_
        if self.order == 1:
            functions[0] = functions[0].times_power(2)
        self.algorithm_ = choose(self.algorithm, n_samples, n_samples, functions)

    def _kernel(self) -> Kernel:
        return find(self._kernel_of_fit)

    def _rows(self) -> tuple["Rows", npt.NDArray[np.bool_]]:
        """Prepare the rows of positive weight, and tell which they are."""
        weights = self.sample_weight_
        if weights is None:
            weights = np.ones(len(self.X_fit_))
        weights = weights / weights.max()
        kept = weights > 0.0
        y = self.y_fit_.reshape(len(weights), -1)[kept]
        scale = Scale.of(np.partition(y, len(y) // 2, axis=0)[len(y) // 2], y)
        return Rows(self.X_fit_[kept], scale.targets(y), weights[kept], scale), kept

    def _choose_bandwidth(self, run: _parallel.Run) -> Values:
        owner, kernel = type(self).__name__, self._kernel()
        if not (isinstance(self.bandwidth, str) and self.bandwidth == "cv_ls"):
            X, weights = self.X_fit_, self.sample_weight_
            return bandwidths.resolve(
                owner, self.bandwidth, X, kernel, weights, run=run
            )
        rows, _ = self._rows()
        if len(rows.X) == 1:
            raise ValueError(
                "bandwidth='cv_ls' needs at least 2 rows with positive weight and got "
                "1 sample: give the bandwidth as a number."
            )
        places = _merge_places(rows)
        if len(places.X) > 1:  # a single one has no bandwidth, as the reference says
            rows = places
        objective = least_squares(rows, kernel, self.order, run=run)
        start = bandwidths.reference("normal_reference", rows.X, kernel, rows.weights)
        # A bandwidth of nearly 0 is no failure: it means the nearest row.
        return bandwidths.search(objective, rows.X, start, may_vanish=True)

    def _estimate(self, rows: "Rows", queries: Array | None) -> Values:
        with _parallel.threads(self.n_jobs) as run:
            return estimate(
                rows,
                queries,
                self._kernel(),
                self.order,
                self.bandwidth_,
                algorithm=self.algorithm,
                run=run,
            )

    def _in_units(self, values: Values, scale: "Scale") -> Values:
        is_mean = self.order == 0 and not self._kernel().is_signed
        values = scale.in_units(values, clip=is_mean)
        return values if self.y_fit_.ndim == 2 else values[:, 0]


@dataclass(frozen=True)
class Scale:
    """Targets and what they are without a unit, ``(y - base) / size``.

    Attributes
    ----------
    base : ndarray of shape (n_outputs,)
        A y in the middle: neither an offset nor an outlier costs the digits of the
        others, and a constant becomes exactly 0.
    size : ndarray of shape (n_outputs,)
        A power of 2.
    low, high : ndarray of shape (n_outputs,)
        The least and the greatest y.
    """

    base: Values
    size: Values
    low: Values
    high: Values

    @classmethod
    def of(cls, base: Array, y: Array) -> "Scale":
        """Make targets at most 1 in size of all y, or of the least and greatest."""
        _, exponent = np.frexp(np.abs(y - base).max(axis=0))
        return cls(base, np.ldexp(1.0, exponent), y.min(axis=0), y.max(axis=0))

    def targets(self, y: Array) -> Values:
        """Take the unit from y, (n_rows, n_outputs)."""
        targets: Values = (y - self.base) / self.size
        return targets

    def in_units(self, targets: Array, *, clip: bool) -> Values:
        """Undo `targets`; with `clip`, rounding may not leave the range of y."""
        values: Values = self.base + self.size * targets
        return np.clip(values, self.low, self.high) if clip else values


@dataclass(frozen=True)
class Rows:
    """Training rows and their targets, which have no unit.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
    targets : ndarray of shape (n_rows, n_outputs)
    weights : ndarray of shape (n_rows,)
        Positive, the largest 1, if no places were merged.
    scale : Scale
        Of the targets.
    """

    X: Values
    targets: Values
    weights: Values
    scale: Scale


def _merge_places(rows: Rows) -> Rows:
    """Merge rows with equal features into one with their mean target."""
    order, starts = bandwidths.places(rows.X)
    weights = rows.weights[order]
    totals = np.add.reduceat(weights, starts)
    sums = np.add.reduceat(weights[:, None] * rows.targets[order], starts)
    targets = sums / totals[:, None]
    return replace(rows, X=rows.X[order[starts]], targets=targets, weights=totals)


def least_squares(
    rows: Rows, kernel: Kernel, order: int, *, run: _parallel.Run
) -> bandwidths.Objective:
    r"""Make the mean squared error at each place, estimated from the other places.

    .. math:: \sum_i w_i \|y_i - m_{-i}(x_i)\|^2 \Big/ \sum_i w_i

    Targets count relative to their variances. Rows that share a place are to be merged:
    a row would be predicted by its copies, best without any smoothing, and a weight
    would not be the same as repetition.

    Source: Härdle & Marron (1985), Annals of Statistics 13(4), 1465-1481.
    """
    shares = rows.weights / rows.weights.sum()
    variance = shares @ np.square(rows.targets - shares @ rows.targets)
    variance[variance < 1e-290] = 1.0  # the quotient may overflow

    def objective(bandwidth: Array) -> float:
        values = estimate(
            rows, None, kernel, order, bandwidth, algorithm="auto", run=run
        )
        errors = shares @ np.square(rows.targets - values)
        return float((errors / variance).mean())

    return objective


def estimate(
    rows: Rows,
    queries: Array | None,
    kernel: Kernel,
    order: int,
    bandwidth: Array,
    *,
    algorithm: str,
    run: _parallel.Run,
) -> Values:
    r"""Estimate targets by a local mean or a local line.

    With :math:`u = (q - x) / h` and sums weighted by :math:`w \prod K(u_k)`, a line
    needs those of 1, :math:`u_k`, :math:`u_k u_l`, y and :math:`y u_k`. Each is a
    product of functions of one feature.

    Parameters
    ----------
    rows : Rows
        Training rows.
    queries : ndarray of shape (n_queries, n_features) or None
        None stands for the training rows, each without itself.
    kernel : Kernel
        Smoothing kernel.
    order : {0, 1}
        Mean or line.
    bandwidth : ndarray of shape (n_features,)
        In the unit of each feature.
    algorithm : str
        "auto" or one of `ALGORITHMS`.
    run : callable
        Runs the tasks.

    Returns
    -------
    values : ndarray of shape (n_queries, n_outputs)
        Like `rows.targets`.
    """
    (_, d), (_, n_outputs) = rows.X.shape, rows.targets.shape
    if order == 1:
        n_numbers = d * (5 * d + 4 * n_outputs)  # at the most, per query
        check.memory(
            8 * n_numbers * len(rows.X if queries is None else queries),
            "choose features, predict fewer rows at a time, or use order=0",
        )
    channels = np.vstack([rows.weights, rows.weights * rows.targets.T])
    sums = [
        kernel_sums(
            rows.X,
            channels[:n],
            queries,
            functions,
            bandwidth,
            algorithm=algorithm,
            run=run,
        )
        for functions, n in products(kernel.density, d, n_outputs, order)
    ]
    values, poor = fit_from_sums(sums, d)
    if poor.any():
        values[poor] = _estimate_far(
            rows, queries, np.flatnonzero(poor), kernel, order, bandwidth, run=run
        )
    return values


def products(
    density: Function1D, n_features: int, n_outputs: int, order: int
) -> list[tuple[list[Function1D], int]]:
    """List the functions that are summed, and for how many channels of weights.

    The first channel is that of the weights alone, others are those of the targets.
    They are times no power of u; for a line also times each u_k, followed by those
    times u_k u_j with j <= k.
    """
    powers: list[tuple[tuple[int, ...], int]] = [((), 1 + n_outputs)]
    if order == 1:
        for k in range(n_features):
            powers.append(((k,), 1 + n_outputs))
            powers += [((k, j), 1) for j in range(k + 1)]
    return [
        ([density.times_power(which.count(k)) for k in range(n_features)], n)
        for which, n in powers
    ]


def fit_from_sums(
    sums: Sequence[Array], n_features: int
) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Fit means, or lines, to the sums of `products`, each (n_channels, n_queries).

    Returns values, (n_queries, n_outputs), and where they tell nothing because the
    kernels sum to nothing.
    """
    d, rest = n_features, iter(sums)
    totals, *numerators = next(rest)
    poor = is_poor(totals)
    totals = np.where(poor, 1.0, totals)
    values = np.stack(numerators, axis=1) / totals[:, None]
    if len(sums) > 1:
        mean = np.empty((len(totals), d))
        cross = np.empty((len(totals), d, values.shape[1]))
        square = np.empty((len(totals), d, d))
        for k in range(d):
            mean[:, k], *parts = next(rest) / totals
            cross[:, k] = np.stack(parts, axis=1)
            for j in range(k + 1):
                square[:, k, j] = square[:, j, k] = next(rest) / totals
        square -= mean[:, :, None] * mean[:, None, :]
        cross -= mean[:, :, None] * values[:, None, :]
        values = _line_at_0(values, mean, square, cross)
    return values, poor


def is_poor(totals: Array) -> npt.NDArray[np.bool_]:
    """Tell where the kernels sum to nothing, or to what has lost digits."""
    return ~(totals > _SMALLEST_TOTAL)


def _line_at_0(mean_y: Array, mean_u: Array, spread: Array, cross: Array) -> Values:
    """Evaluate lines of least squares at u = 0.

    Covariances of u with itself and with y determine the slopes. Features count
    relative to their root mean square, whatever their bandwidths; along directions in
    which they vary too little, a slope is 0.

    Parameters
    ----------
    mean_y : ndarray of shape (n_queries, n_outputs)
    mean_u : ndarray of shape (n_queries, n_features)
    spread : ndarray of shape (n_queries, n_features, n_features)
    cross : ndarray of shape (n_queries, n_features, n_outputs)

    Returns
    -------
    values : ndarray of shape (n_queries, n_outputs)
    """
    size = np.sqrt(np.square(mean_u) + np.einsum("qkk->qk", spread).clip(0.0))
    size[size == 0.0] = 1.0
    mean_u, cross = mean_u / size, cross / size[:, :, None]
    spread = spread / size[:, :, None] / size[:, None, :]
    variances, directions = np.linalg.eigh(spread)
    is_known = variances > _LEAST_SPREAD
    slopes = np.einsum("qki,qkj->qij", directions, cross)
    slopes /= np.where(is_known, variances, np.inf)[:, :, None]
    steps = np.einsum("qki,qk->qi", directions, mean_u)
    return mean_y - np.einsum("qi,qij->qj", steps, slopes)


def _estimate_far(
    rows: Rows,
    queries: Array | None,
    chosen: Array,
    kernel: Kernel,
    order: int,
    bandwidth: Array,
    *,
    run: _parallel.Run,
) -> Values:
    """Estimate at queries where the kernels sum to nothing, in blocks."""
    Q = (rows.X if queries is None else queries)[chosen]
    own = chosen if queries is None else None
    if isinstance(kernel.density, Compact):
        return nearest(rows, Q, own, bandwidth, run=run).values
    far = far_rows(rows, Q, own, kernel.density, order, bandwidth, run=run)
    values = far.values(Q, bandwidth)
    is_lost = np.isnan(values[:, 0])
    if is_lost.any():
        ids = None if own is None else own[is_lost]
        values[is_lost] = nearest(rows, Q[is_lost], ids, bandwidth, run=run).values
    return values


class FarRows(NamedTuple):
    """What some rows are for queries that are far from them, by logarithms.

    Shares are those of the sum of the kernels. Where the logarithms of all are -inf,
    the numbers mean nothing.

    Attributes
    ----------
    top : ndarray of shape (n_queries,)
        Largest logarithm of a kernel times a weight, up to a constant.
    total : ndarray of shape (n_queries,)
        Sum of the kernels over exp(top).
    means : ndarray of shape (n_queries, n_outputs)
        Of the targets, weighted by shares.
    center : ndarray of shape (n_queries, n_features) or None
        A row that counts: beside it, numbers are small where shares are not 0. None if
        only means are asked for, and so are the others.
    step : ndarray of shape (n_queries, n_features)
        Mean of x from the center, in widths.
    spread : ndarray of shape (n_queries, n_features, n_features)
        Covariances of x.
    cross : ndarray of shape (n_queries, n_features, n_outputs)
        Covariances with the targets.
    """

    top: Values
    total: Values
    means: Values
    center: Any = None
    step: Any = None
    spread: Any = None
    cross: Any = None

    def add(self, other: "FarRows", bandwidth: Array) -> "FarRows":
        """Join other rows, for the same queries."""
        top = np.maximum(self.top, other.top)
        with np.errstate(invalid="ignore"):
            own, their = (
                part.total * np.where(part.top == top, 1.0, np.exp(part.top - top))
                for part in (self, other)
            )
        total = own + their
        share = (their / total)[:, None]
        means = (1.0 - share) * self.means + share * other.means
        if self.center is None:
            return FarRows(top, total, means)
        is_other = (other.top > self.top)[:, None]
        center = np.where(is_other, other.center, self.center)
        steps = []
        for part, weight in ((self, 1.0 - share), (other, share)):
            with np.errstate(over="ignore"):
                way = part.step + (part.center - center) / bandwidth
            steps.append(np.where(weight > 0.0, way.clip(-_FAR, _FAR), 0.0))
        way = steps[1] - steps[0]
        both = (share * (1.0 - share))[:, :, None]
        kept, added = 1.0 - share[:, :, None], share[:, :, None]
        spread = kept * self.spread + added * other.spread
        spread += both * way[:, :, None] * way[:, None, :]
        cross = kept * self.cross + added * other.cross
        cross += both * way[:, :, None] * (other.means - self.means)[:, None, :]
        step = steps[0] + share * way
        return FarRows(top, total, means, center, step, spread, cross)

    def values(self, queries: Array, bandwidth: Array) -> Values:
        """Return what means or lines say at the queries, NaN where all is lost."""
        values = self.means
        if self.center is not None:
            with np.errstate(over="ignore"):
                distance = (queries - self.center) / bandwidth - self.step
            distance = distance.clip(-1e140, 1e140)
            values = _line_at_0(values, distance, self.spread, -self.cross)
        return np.where(np.isneginf(self.top)[:, None], np.nan, values)


def far_rows(
    rows: Rows,
    queries: Array,
    own: Array | None,
    density: Function1D,
    order: int,
    bandwidth: Array,
    *,
    run: _parallel.Run,
) -> FarRows:
    """Compare queries with all rows but the own one of each, -1 if it has none."""
    n_pairs = len(rows.X) * (rows.X.shape[1] if order == 1 else 1)
    n_block = max(1, _CELLS // n_pairs)

    def compare(start: int) -> FarRows:
        part = slice(start, start + n_block)
        ids = None if own is None else own[part]
        return _far_block(rows, queries[part], ids, density, order, bandwidth)

    parts = run((compare, (i,)) for i in range(0, len(queries), n_block))
    return FarRows(*_stacked(parts))


def _far_block(
    rows: Rows,
    queries: Array,
    own: Array | None,
    density: Function1D,
    order: int,
    bandwidth: Array,
) -> FarRows:
    X, d = rows.X, rows.X.shape[1]
    with np.errstate(divide="ignore", over="ignore"):
        logs = np.log(rows.weights)[None].repeat(len(queries), axis=0)
        for k in range(d):
            u = (queries[:, k, None] - X[:, k]) / bandwidth[k]
            logs += _log_kernel(density, u)
    if own is not None:
        has_own = np.flatnonzero(own >= 0)
        logs[has_own, own[has_own]] = -np.inf
    top = logs.max(axis=1)
    is_lost = np.isneginf(top)
    shares = np.exp(logs - np.where(is_lost, 0.0, top)[:, None])
    shares[is_lost] = 1.0
    total = shares.sum(axis=1)
    shares /= total[:, None]
    means = shares @ rows.targets
    if order == 0:
        return FarRows(top, total, means)
    center = X[logs.argmax(axis=1)]
    with np.errstate(over="ignore"):
        steps = (X - center[:, None]) / bandwidth  # against the sense of u
    steps = np.where(shares[:, :, None] > 0.0, steps.clip(-_FAR, _FAR), 0.0)
    mean = np.einsum("qn,qnk->qk", shares, steps)
    steps -= mean[:, None]
    spread = np.einsum("qn,qnk,qnl->qkl", shares, steps, steps)
    cross = np.einsum("qn,qnk,nj->qkj", shares, steps, rows.targets)
    return FarRows(top, total, means, center, mean, spread, cross)


def _log_kernel(density: Function1D, u: Array) -> Values:
    """Logarithm of a kernel up to a constant, without waves."""
    if isinstance(density, Gaussian):
        return -0.5 * np.square(u / density.scale)
    assert not isinstance(density, Compact)
    size = np.abs(u)
    if density.frequency:
        return -density.rate * size
    powers = np.minimum(size, 1e40)  # beyond, only the exponent tells rows apart
    return np.log(np.polynomial.polynomial.polyval(powers, density.coef[0, :, 0])) - (
        density.rate * size
    )


class Nearest(NamedTuple):
    """The rows at the least scaled L1 distance of queries.

    Attributes
    ----------
    distance : ndarray of shape (n_queries,)
        In some unit; inf if there is none.
    total : ndarray of shape (n_queries,)
        Of the weights.
    sums : ndarray of shape (n_queries, n_outputs)
        Of the targets.
    """

    distance: Values
    total: Values
    sums: Values

    @property
    def values(self) -> Values:
        """Means of the targets."""
        means: Values = self.sums / self.total[:, None]
        return means

    def add(self, other: "Nearest") -> "Nearest":
        """Join other rows, for the same queries."""
        distance = np.minimum(self.distance, other.distance)
        total, sums = np.zeros_like(self.total), np.zeros_like(self.sums)
        for part in (self, other):
            counts = part.distance <= _AS_NEAR * distance
            total += np.where(counts, part.total, 0.0)
            sums += np.where(counts[:, None], part.sums, 0.0)
        return Nearest(distance, total, sums)


def nearest(
    rows: Rows,
    queries: Array,
    own: Array | None,
    bandwidth: Array,
    *,
    run: _parallel.Run,
) -> Nearest:
    """Find the nearest rows, without the own one of each query, -1 if it has none."""
    d = rows.X.shape[1]
    factors = bandwidth.min() / bandwidth  # sums of the scaled differences are finite
    factors *= 0.5 ** (2 + d.bit_length())
    X, Q = rows.X * factors, queries * factors
    tree = cKDTree(X)
    rounding = 16.0 * d * np.finfo(np.float64).eps

    def look(part: slice) -> Nearest:
        if own is None:
            least, _ = tree.query(Q[part], p=1)
        else:
            (least, second), (first, _) = (
                pair.T for pair in tree.query(Q[part], 2, p=1)
            )
            least = np.where(first == own[part], second, least)
        size = np.abs(X).max() + np.abs(Q[part]).max(axis=1)
        radius = 1.001 * least + rounding * size
        counts = tree.query_ball_point(Q[part], radius, p=1, return_length=True)
        if len(counts) > 1 and counts.sum() > _CELLS:  # many rows at a place
            middle = part.start + len(counts) // 2
            halves = slice(part.start, middle), slice(middle, part.start + len(counts))
            return Nearest(*_stacked([look(half) for half in halves]))
        ids = np.concatenate(tree.query_ball_point(Q[part], radius, p=1)).astype(int)
        places = np.arange(len(counts)).repeat(counts)
        starts = np.cumsum(counts) - counts
        # Differences come before factors, which would round large offsets.
        steps = 0.25 * queries[part][places] - 0.25 * rows.X[ids]
        distances = np.abs(steps) @ (4.0 * factors)
        if own is not None:
            distances[ids == own[part][places]] = np.inf
        # Rounding may not tell apart what is as near.
        bounds = np.minimum.reduceat(distances, starts)
        counted = distances <= _AS_NEAR * bounds[places]
        weights = rows.weights[ids] * (counted & np.isfinite(distances))
        totals = np.add.reduceat(weights, starts)
        sums = np.add.reduceat(weights[:, None] * rows.targets[ids], starts)
        return Nearest(bounds, totals, sums)

    n_block = 256
    parts = [slice(i, i + n_block) for i in range(0, len(Q), n_block)]
    return Nearest(*_stacked(run((look, (part,)) for part in parts)))


def _stacked(parts: Sequence[tuple[Any, ...]]) -> list[Any]:
    columns = zip(*parts, strict=True)
    return [None if each[0] is None else np.concatenate(each) for each in columns]
