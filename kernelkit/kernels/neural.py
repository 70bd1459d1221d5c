"""Kernels of infinitely wide networks: neural tangent, NNGP and arc-cosine."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.gaussian_process.kernels import Hyperparameter

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.kernels import _jit_neural as loops
from kernelkit.kernels import tangents
from kernelkit.kernels.base import RowKernel, rows_of
from kernelkit.kernels.network import KINDS, Network

Activation = str | Callable[[Array], Array]

_TILE = 64  # rows


def ntk_gram(
    X: Any,
    Y: Any = None,
    *,
    depth: int = 1,
    sigma_w: float = 2**0.5,
    sigma_b: float = 0.0,
    activation: Activation = "relu",
    slopes: tuple[float, float] = (0.2, 1.0),
    normalize: str | None = "d",
    scale: str | None = None,
    train_from: int = 0,
    get: str = "ntk",
    n_jobs: int | None = None,
    out: Any = None,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    r"""Compute the neural tangent kernel of rows.

    It is that of a fully connected network of infinite width,

    .. math:: z_{l+1} = \sigma_w n_l^{-1/2} W_l h_l + \sigma_b b_l, \qquad
       h_l = \phi(z_l), \qquad h_0 = x,

    whose weights W and biases b are standard normal, and whose output is linear.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, n_features)
        Rows. Their norms may be as far apart as 1e-150 and 1e150.
    Y : array-like or sparse matrix of shape (m, n_features), optional
        Other rows. Without them, or with X itself, the result is exactly symmetric.
    depth : int, default=1
        Number of hidden layers; 0 makes the kernel linear.
    sigma_w, sigma_b : float, default=sqrt(2) and 0
        Standard deviations of weights, > 0, and biases, >= 0.
    activation : {"relu", "leaky_relu", "erf", "gelu", "step", "linear"} or callable
        What hidden layers apply. A callable takes and returns an array, and is refused
        unless 512 Hermite polynomials stand for it: "tanh" on inputs of standard
        deviation up to about 3.6.
    slopes : (float, float), default=(0.2, 1.0)
        Of "leaky_relu", below and above 0; (-1, 1) makes it the absolute value.
    normalize : {"d", None}, default="d"
        Whether `n_0`, by which inner products of rows are divided, is the number of
        features or 1.
    scale : {"unit", None}, default=None
        "unit" divides by the kernel of a row with itself whose squared norm is
        the number of features; it needs ``sigma_b=0``.
    train_from : int, default=0
        How many of the first layers stay as they were drawn.
    get : {"ntk", "nngp", "both"}, default="ntk"
        The tangent kernel, the covariance of the outputs of networks before they are
        trained, or a pair of both.
    n_jobs : int or None, default=None
        Number of threads. Does not change a bit of the result.
    out : ndarray of shape (n, m), optional
        To be filled: in C order, of float32 or float64.
    dtype : {"float32", "float64"} or None, default=None
        In what the result is stored; it is computed in float64. None keeps float32 if X
        and Y are.

    Returns
    -------
    kernel : ndarray of shape (n, m), or pair of them

    Raises
    ------
    ValueError
        If a parameter is out of range, rows hold NaN or infinity, or variances
        overflow; also for the tangent kernel of "step", which has no slope, and for a
        callable that varies too fast for a series.

    Notes
    -----
    Errors are about 1e-15 of the root of the product of the kernels of both rows with
    themselves, for rows of all norms, nearly equal ones included. Where the kernel is
    steep, the rounding of rows, by 1e-16 of their norms, is multiplied: for "step", and
    for "erf" where sigma_w times norms is large, errors reach about 1e-16 over the
    angle between rows, times the number of layers. Those of a callable are about
    1e-6 at worst, near the norms at which it is refused.

    References
    ----------
    .. [1] Jacot, Gabriel & Hongler (2018), "Neural tangent kernel", NeurIPS 31.
    .. [2] Arora et al. (2020), "Harnessing the power of infinitely wide deep nets on
       small-data tasks", ICLR.
    .. [3] Cho & Saul (2009), "Kernel methods for deep learning", NeurIPS 22.

    Examples
    --------
    >>> from kernelkit import ntk_gram
    >>> ntk_gram([[3.0, 4.0], [4.0, -3.0]], depth=2).round(3).tolist()
    [[75.0, 17.143], [17.143, 75.0]]
    """
    X, Y = check.row_pair(X, Y, dtype=None, takes_sparse=True)
    model = _Model(
        depth, sigma_w, sigma_b, activation, slopes, normalize, scale, train_from, get
    )
    if dtype is None:
        wide = X.dtype == np.float64 or (Y is not None and Y.dtype == np.float64)
        dtype = np.float64 if wide else np.float32
    rows = model.rows(X)
    return model.gram(rows, None if Y is None else model.rows(Y), n_jobs, out, dtype)


class NeuralTangent(RowKernel):
    """Neural tangent kernel of a fully connected network of infinite width.

    The formulas and the first parameters are those of `ntk_gram`.

    Parameters
    ----------
    depth : int, default=1
        Number of hidden layers; 0 makes the kernel linear.
    sigma_w : float, default=sqrt(2)
        Standard deviation of the weights, > 0.
    sigma_b : float, default=0.0
        Standard deviation of the biases, >= 0.
    activation : str or callable, default="relu"
        What hidden layers apply: "relu", "leaky_relu", "erf", "gelu", "step", "linear",
        or a function.
    slopes : tuple of (float, float), default=(0.2, 1.0)
        Of "leaky_relu", below and above 0.
    normalize : {"d"} or None, default="d"
        Whether inner products of rows are divided by the number of features.
    scale : {"unit"} or None, default=None
        "unit" divides by the kernel of a row with itself whose squared norm is the
        number of features; it needs ``sigma_b=0``.
    train_from : int, default=0
        How many of the first layers stay as they were drawn.
    get : {"ntk", "nngp"}, default="ntk"
        The tangent kernel, or the covariance of networks that are not trained.
    sigma_w_bounds, sigma_b_bounds : (float, float) or "fixed"
        Bounds within which a Gaussian process chooses `sigma_w` and `sigma_b`. The
        latter cannot be chosen where it is 0, as its logarithm is.
    n_jobs : int or None, default=None
        Number of threads. Does not change a bit of the result.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from kernelkit import NeuralTangent
    >>> X, y = load_wine(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), SVC(kernel=NeuralTangent(depth=2)))
    >>> model.fit(X, y).score(X, y)
    1.0
    """

    def __init__(
        self,
        depth: int = 1,
        sigma_w: float = 2**0.5,
        sigma_b: float = 0.0,
        activation: Activation = "relu",
        slopes: tuple[float, float] = (0.2, 1.0),
        normalize: str | None = "d",
        scale: str | None = None,
        train_from: int = 0,
        get: str = "ntk",
        sigma_w_bounds: Any = (1e-2, 1e2),
        sigma_b_bounds: Any = "fixed",
        n_jobs: int | None = None,
    ) -> None:
        self.depth = depth
        self.sigma_w = sigma_w
        self.sigma_b = sigma_b
        self.activation = activation
        self.slopes = slopes
        self.normalize = normalize
        self.scale = scale
        self.train_from = train_from
        self.get = get
        self.sigma_w_bounds = sigma_w_bounds
        self.sigma_b_bounds = sigma_b_bounds
        self.n_jobs = n_jobs

    @property
    def hyperparameter_sigma_w(self) -> Hyperparameter:
        """How a Gaussian process chooses `sigma_w`."""
        return Hyperparameter("sigma_w", "numeric", self.sigma_w_bounds)

    @property
    def hyperparameter_sigma_b(self) -> Hyperparameter:
        """How a Gaussian process chooses `sigma_b`: not at all where it is 0."""
        bounds = self.sigma_b_bounds if self.sigma_b != 0.0 else "fixed"
        return Hyperparameter("sigma_b", "numeric", bounds)

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Compute the kernel of rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        Y : array-like or sparse matrix of shape (m, n_features), optional
            Without it the result is exactly symmetric.
        eval_gradient : bool, default=False
            Whether to differentiate by the logarithms of `sigma_w` and `sigma_b`, as
            far as they are not fixed.

        Returns
        -------
        K : ndarray of shape (n, m)
        K_gradient : ndarray of shape (n, n, n_parameters)
            If `eval_gradient`.
        """
        X, Y = rows_of(X, Y, eval_gradient, takes_sparse=True)
        model = self._model()
        rows = model.rows(X)
        columns = None if Y is None else model.rows(Y)
        K = model.gram(rows, columns, self.n_jobs, None, np.float64)
        if not eval_gradient:
            return K
        places = {"sigma_w": 0, "sigma_b": 1}
        free = [places[part.name] for part in self.hyperparameters if not part.fixed]
        return K, model.hyperparameter_gradient(rows, K, free, self.n_jobs)

    def diag(self, X: Any) -> Array:
        """Compute the kernel of each row with itself, in O(n n_features).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Rows.

        Returns
        -------
        diagonal : ndarray of shape (n,)
            As on the diagonal of the matrix.
        """
        X, _ = rows_of(X, None, takes_sparse=True)
        model = self._model()
        return model.diagonal(model.rows(X), model.get)

    def iter_blocks(
        self, X: Any, Y: Any = None, block: int = 1024
    ) -> Iterator[tuple[slice, Array]]:
        """Compute the kernel of rows by blocks of them.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Rows, of which a block is taken at a time.
        Y : array-like or sparse matrix of shape (m, n_features), default=None
            Other rows; None takes X.
        block : int, default=1024
            Number of rows in a block.

        Yields
        ------
        rows : slice
        K : ndarray of shape (n_rows, m)
        """
        block = check.count("block", block)
        X, Y = rows_of(X, Y, takes_sparse=True)
        model = self._model()
        columns = model.rows(X if Y is None else Y)
        for start in range(0, X.shape[0], block):
            rows = slice(start, min(start + block, X.shape[0]))
            part = model.rows(X[rows])
            yield rows, model.gram(part, columns, self.n_jobs, None, np.float64)

    def input_gradient(self, x: Any, Y: Any) -> Array:
        """Differentiate the kernel of a row and others by the row.

        Where there is no derivative, as between parallel rows, whose angle has a kink,
        what belongs to the angle counts for 0; so does all of it at ``x = 0`` without
        biases.

        Parameters
        ----------
        x : array-like of shape (n_features,)
            The row.
        Y : array-like of shape (m, n_features)
            The others.

        Returns
        -------
        gradient : ndarray of shape (m, n_features)
            Finite.
        """
        row, Y = check.row_pair(np.atleast_2d(x), Y, takes_sparse=False)
        return self._model().input_gradient(row, Y)

    def _model(self) -> "_Model":
        check.choice("get", self.get, ("ntk", "nngp"))
        return _Model(
            self.depth,
            self.sigma_w,
            self.sigma_b,
            self.activation,
            self.slopes,
            self.normalize,
            self.scale,
            self.train_from,
            self.get,
        )


class ArcCosine(RowKernel):
    r"""Arc-cosine kernel of order 0 or 1.

    For the angle :math:`\theta` between two rows,

    .. math:: k_0(x, y) = 1 - \theta / \pi, \qquad k_1(x, y) =
       |x| |y| (\sin\theta + (\pi - \theta) \cos\theta) / \pi.

    Parameters
    ----------
    order : {0, 1}, default=1
        Of the power of the positive part that hidden units apply. For order 0 a row of
        zeros has kernel 0 with all.
    n_jobs : int or None, default=None
        Number of threads. Does not change a bit of the result.

    References
    ----------
    .. [1] Cho & Saul (2009), "Kernel methods for deep learning", NeurIPS 22.

    Examples
    --------
    >>> from kernelkit import ArcCosine
    >>> ArcCosine(order=0)([[1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0]]).round(9).tolist()
    [[0.5, 1.0]]
    """

    def __init__(self, order: int = 1, n_jobs: int | None = None) -> None:
        self.order = order
        self.n_jobs = n_jobs

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """Compute the kernel of rows; there is nothing to differentiate by."""
        X, Y = rows_of(X, Y, eval_gradient, takes_sparse=True)
        model = self._model()
        rows = model.rows(X)
        columns = None if Y is None else model.rows(Y)
        K = model.gram(rows, columns, self.n_jobs, None, np.float64)
        return (K, np.empty((*K.shape, 0))) if eval_gradient else K

    def diag(self, X: Any) -> Array:
        """Compute the kernel of each row with itself.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Rows.

        Returns
        -------
        diagonal : ndarray of shape (n,)
            As on the diagonal of the matrix.
        """
        X, _ = rows_of(X, None, takes_sparse=True)
        model = self._model()
        return model.diagonal(model.rows(X), model.get)

    def _model(self) -> "_Model":
        """Twice the expectation: sigma_w counts for the input, too, but for a step."""
        if self.order not in (0, 1) or isinstance(self.order, bool):
            raise ValueError(f"order must be 0 or 1. Got {self.order!r} instead.")
        return _Model(
            1,
            2**0.5 if self.order == 0 else 2**0.25,
            0.0,
            "relu" if self.order else "step",
            (0.0, 1.0),
            None,
            None,
            1,
            "nngp",
        )


class _Rows:
    """Rows as directions, and what the network makes of their norms."""

    def __init__(self, X: Any, network: Network, root_width: float) -> None:
        self.n_samples, self.n_features = X.shape
        unit, norms, self.directions = _directions(X)
        input_root = unit * (norms * (network.sigma_w / root_width))
        root = np.hypot(input_root, network.sigma_b)
        with np.errstate(over="ignore", invalid="ignore"):
            self.features, self.roots = network.layers(root, input_root)
            if not np.isfinite(self.roots**2).all():
                raise ValueError(
                    "Variances of the network overflow for rows whose norm is up to "
                    f"{(unit * norms).max():.3g}: rescale X, or lower sigma_w, "
                    "sigma_b or depth."
                )


class _Model:
    """Checked parameters, and the kernel that they define."""

    def __init__(
        self,
        depth: Any,
        sigma_w: Any,
        sigma_b: Any,
        activation: Any,
        slopes: Any,
        normalize: Any,
        scale: Any,
        train_from: Any,
        get: Any,
    ) -> None:
        depth = check.whole("depth", depth)
        train_from = check.whole("train_from", train_from)
        sigma_b = check.non_negative("sigma_b", sigma_b)
        if train_from > depth:
            raise ValueError(
                f"train_from must not exceed depth, which is {depth}: then only the "
                f"last layer is trained. Got {train_from} instead."
            )
        if not callable(activation):
            check.choice("activation", activation, tuple(KINDS))
        if normalize not in ("d", None) or scale not in ("unit", None):
            raise ValueError(
                "normalize must be 'd' or None, and scale must be 'unit' or None. Got "
                f"{normalize!r} and {scale!r} instead."
            )
        check.choice("get", get, ("ntk", "nngp", "both"))
        if scale == "unit" and sigma_b > 0.0:
            raise ValueError(
                f"scale='unit' needs sigma_b=0. Got sigma_b={sigma_b!r} instead."
            )
        if activation == "step" and get != "nngp" and train_from < depth:
            raise ValueError(
                "A step has no slope, so its tangent kernel is not defined: use "
                "get='nngp', or train_from=depth."
            )
        self.network = Network(
            depth,
            check.positive("sigma_w", sigma_w),
            sigma_b,
            activation,
            check.slopes(slopes),
            train_from,
        )
        self.normalize, self.scale, self.get = normalize, scale, get

    def rows(self, X: Any) -> _Rows:
        width = X.shape[1] if self.normalize == "d" else 1
        return _Rows(X, self.network, width**0.5)

    def gram(
        self, rows: _Rows, columns: _Rows | None, n_jobs: Any, out: Any, dtype: Any
    ) -> Any:
        is_symmetric = columns is None
        columns = rows if columns is None else columns
        shape = rows.n_samples, columns.n_samples
        wanted = ("ntk", "nngp") if self.get == "both" else (self.get,)
        outs = check.outputs(out, shape, dtype, len(wanted))
        scales = self._scales(rows.n_features)
        diagonals = {get: self.diagonal(rows, get) for get in wanted if is_symmetric}

        def compute(tile: slice) -> None:
            end = tile.stop if is_symmetric else shape[1]
            blocks = {"ntk": np.empty((0, 0)), "nngp": np.empty((0, 0))}
            for get, values in zip(wanted, outs, strict=True):
                blocks[get] = values[tile]
                if values.dtype != np.float64:
                    blocks[get] = np.empty((tile.stop - tile.start, end))
            self._fill(tile, end, rows, columns, is_symmetric, **blocks)
            for get, values in zip(wanted, outs, strict=True):
                if scales[get] != 1.0:
                    blocks[get][:, :end] /= scales[get]
                if values.dtype != np.float64:
                    values[tile, :end] = blocks[get]
                if is_symmetric:
                    same = np.arange(tile.start, tile.stop)
                    values[same, same] = diagonals[get][tile]
                    loops.mirror(values, tile.start, tile.stop)

        starts = range(0, shape[0], _TILE)
        tiles = [slice(start, min(start + _TILE, shape[0])) for start in starts]
        with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
            run([(compute, (tile,)) for tile in reversed(tiles)])  # the longest first
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _fill(
        self,
        tile: slice,
        end: int,
        rows: _Rows,
        columns: _Rows,
        is_symmetric: bool,
        ntk: Array,
        nngp: Array,
    ) -> None:
        network = self.network
        versines = _versines(
            rows.directions[tile],
            columns.directions[:end],
            tile.start,
            is_symmetric,
        )
        loops.fill(
            network.kind,
            network.gain,
            network.is_even,
            network.train_from,
            versines,
            tile.start,
            rows.features,
            columns.features,
            rows.roots[-1],
            columns.roots[-1],
            loops.ARCSINE,
            ntk,
            nngp,
        )

    def diagonal(self, rows: _Rows, get: str) -> Array:
        values = self.network.diagonal(rows.features, get) * rows.roots[-1] ** 2
        scaled: Array = values / self._scales(rows.n_features)[get]
        return scaled

    def hyperparameter_gradient(
        self, rows: _Rows, K: Array, free: list[int], n_jobs: Any
    ) -> Array:
        """Differentiate by the logarithms of sigma_w (0) or sigma_b (1), or both.

        Shape (n, n, n_free); free are their numbers.
        """
        gradient = self._log_tangents(rows, free, n_jobs)
        if self.scale == "unit":
            root = np.array([self._unit_root(rows.n_features)])
            unit = _Rows(root[:, None] / self.network.sigma_w, self.network, 1.0)
            value = self.network.diagonal(unit.features, self.get) * unit.roots[-1] ** 2
            changes = self._log_tangents(unit, free, None) / value
            for part, change in zip(gradient, changes, strict=True):
                for i in range(len(K)):  # no whole matrix more
                    part[i] = part[i] / value - K[i] * change[0, 0]
        return np.moveaxis(gradient, 0, 2)

    def _log_tangents(self, rows: _Rows, free: list[int], n_jobs: Any) -> Array:
        """Fill tiles left of the diagonal, and mirror them."""
        network, own = self.network, rows.features
        layers, last = [], []
        for k in free:
            log_w, log_b = float(k == 0), float(k == 1)
            share = own[0, 1] ** 2
            log_root = (1.0 - share) * log_w + share * log_b
            changes, log_last = tangents.row_tangents(
                network, own, rows.roots, log_root, log_w, log_b
            )
            layers.append(changes)
            last.append(log_last)
        n = rows.n_samples
        gradient = np.empty((len(free), n, n))

        def compute(tile: slice) -> None:
            versines = _versines(
                rows.directions[tile], rows.directions[: tile.stop], tile.start, True
            )
            for start in range(0, tile.stop, _TILE):
                block = slice(start, min(start + _TILE, tile.stop))
                fill(tile, block, versines[:, block])
            for part in gradient:
                loops.mirror(part, tile.start, tile.stop)

        def fill(tile: slice, block: slice, versines: Array) -> None:
            first_own, first_others = own[0][:, tile], own[0][:, block]
            v, bias_sign, sign = tangents.first_versines(
                versines, first_own, first_others, network.is_even
            )
            by_row = [[layer.part(tile) for layer in changes] for changes in layers]
            by_column = [[layer.part(block) for layer in changes] for changes in layers]
            steps = [
                sign
                * tangents.first_tangent(
                    versines, bias_sign, first_own, first_others, i[0], j[0]
                )
                for i, j in zip(by_row, by_column, strict=True)
            ]
            t, steps = tangents.tangent_kernel(
                network,
                v,
                steps,
                own[:, :, tile],
                own[:, :, block],
                by_row,
                by_column,
                self.get,
            )
            scale = rows.roots[-1, tile, None] * rows.roots[-1, block]
            for part, step, change in zip(gradient, steps, last, strict=True):
                both = change[tile, None] + change[block]
                part[tile, block] = (step + t * both) * scale

        starts = range(0, n, _TILE)
        tiles = [slice(start, min(start + _TILE, n)) for start in starts]
        with _parallel.one_blas_thread, _parallel.threads(n_jobs) as run:
            run([(compute, (tile,)) for tile in reversed(tiles)])  # the longest first
        return gradient

    def input_gradient(self, x: Array, Y: Array) -> Array:
        """Differentiate by the inner product and by the norm of x."""
        network = self.network
        row, columns = self.rows(x), self.rows(Y)
        versines = _versines(row.directions, columns.directions, 0, False)
        own, others = row.features, columns.features
        v, bias_sign, sign = tangents.first_versines(
            versines, own[0], others[0], network.is_even
        )
        still = [tangents.RowTangents()] * (network.depth + 1)
        longer, log_last = tangents.row_tangents(
            network, own, row.roots, np.ones(1), 0.0, 0.0
        )
        t, (by_product, by_root) = tangents.tangent_kernel(
            network,
            v,
            [-sign * bias_sign, 1.0 - v],
            own,
            others,
            [still, longer],
            [still, still],
            self.get,
        )
        by_root = by_root + t * log_last[:, None]
        width = x.shape[1] if self.normalize == "d" else 1
        ratio = network.sigma_w / width**0.5
        first, last = row.roots[0, 0], row.roots[-1, 0]
        if first == 0.0:
            return np.zeros_like(Y)
        inverse = np.divide(
            ratio, columns.roots[0], out=np.zeros(len(Y)), where=columns.roots[0] > 0.0
        )
        gradient = (by_product[0] * inverse)[:, None] * (ratio * Y)
        gradient += (by_root[0] * (ratio / first))[:, None] * (ratio * x)
        gradient *= (columns.roots[-1] * (last / first))[:, None]
        return gradient / self._scales(x.shape[1])[self.get]

    def _scales(self, n_features: int) -> dict[str, float]:
        if self.scale is None:
            return {"ntk": 1.0, "nngp": 1.0}
        root = np.array([self._unit_root(n_features)])
        features, roots = self.network.layers(root, root)
        return {
            get: float(self.network.diagonal(features, get)[0] * roots[-1, 0] ** 2)
            for get in ("ntk", "nngp")
        }

    def _unit_root(self, n_features: int) -> float:
        """Root of the variance, before layer 1, of a row that "unit" refers to."""
        width = n_features if self.normalize == "d" else 1
        return float(self.network.sigma_w * (n_features / width) ** 0.5)


def _directions(X: Any) -> tuple[Array, Array, Any]:
    """Split rows into powers of 2, norms in units of them, and directions."""
    is_sparse = sparse.issparse(X)
    X = X.astype(np.float64)
    largest: Any = abs(X).max(axis=1) if X.shape[1] else np.zeros(X.shape[0])
    largest = (largest.toarray() if is_sparse else np.asarray(largest)).ravel()
    exponents = np.frexp(np.where(largest > 0.0, largest, 1.0))[1]
    unit = np.ldexp(1.0, exponents - 1)  # powers of 2, which round nothing
    if is_sparse:
        counts = np.diff(X.indptr)
        X.data /= np.repeat(unit, counts)
        norms = np.sqrt(np.asarray((X * X).sum(axis=1)).ravel())
        X.data /= np.repeat(np.where(norms > 0.0, norms, 1.0), counts)
        return unit, norms, X
    X /= unit[:, None]
    norms = np.sqrt(np.einsum("ij,ij->i", X, X))
    X /= np.where(norms > 0.0, norms, 1.0)[:, None]
    return unit, norms, X


def _versines(rows: Any, columns: Any, first: int, is_symmetric: bool) -> Array:
    if not (sparse.issparse(rows) or sparse.issparse(columns)):
        products = rows @ columns.T
        loops.versines(products, rows, columns, first, is_symmetric)
        return products
    rows, columns = sparse.csr_array(rows), sparse.csr_array(columns)
    products = np.ascontiguousarray((rows @ columns.T).toarray())
    none = np.empty((products.shape[0], 0)), np.empty((products.shape[1], 0))
    loops.versines(products, *none, first, is_symmetric)
    parts = [(part.indptr, part.indices, part.data) for part in (rows, columns)]
    loops.refine_sparse(products, *parts)
    return products
