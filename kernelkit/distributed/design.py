"""Least squares from few labels, chosen among rows that workers read."""

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Self

from dask.base import tokenize

from kernelkit import _validation as check
from kernelkit import design
from kernelkit._validation import Array
from kernelkit.design.features import Space, seeded
from kernelkit.design.samplers import Design
from kernelkit.distributed import chunks, prediction
from kernelkit.distributed.chunks import Chunks, Rows
from kernelkit.distributed.design_rows import Pool, fit_features, of_some
from kernelkit.distributed.design_source import ChunkSource


class DesignLeastSquares(design.DesignLeastSquares):
    r"""Linear least squares from few labels, chosen among rows in Dask chunks.

    Workers make the features orthonormal and compute the leverage of their rows; the
    client draws a design by these numbers, and fetches no other rows than draws ask
    for, and no other targets than those of the design. Predictions for Dask collections
    are Dask arrays, not computed yet.

    Parameters and attributes are those of `kernelkit.DesignLeastSquares`, of which this
    is a subclass: it is that class itself for rows in memory. For rows in chunks, "qr"
    cannot be the `sampling`, and `features` are fitted as the notes say.

    See Also
    --------
    kernelkit.DesignLeastSquares : Parameters, attributes and methods.
    kernelkit.distributed.predict : Predictions of any fitted estimator.

    Notes
    -----
    With the same `random_state` the design is the one of the plain class, whatever the
    chunks are, unless rounding errors move a draw to the next row: for n draws from N
    rows this has a chance of the order of :math:`10^{-12} N n`, or less. Coefficients
    agree to 1e-10 of their size, if features are not nearly dependent, nor all but
    constant next to one row far out. No bit depends on the number or the speed of
    workers.

    Product bases such as `LegendreBasis` learn their domain from all rows, and so does
    `OrthonormalBasis`. Any other transformer is fitted to all rows up to 10,000, and
    else to that many drawn at random. To one that needs no more than the number of
    features, as `PolynomialFeatures`, this makes no difference; one that was fitted
    elsewhere is kept by `sklearn.frozen.FrozenEstimator`.

    Features that a `rank_tol` near 0 would keep although they depend on others but for
    rounding errors are refused.

    Features of N rows in K chunks cost :math:`O(N m^2)` for m features, and
    :math:`O(K m^3)` more to join R factors. `select` reads X three times: to check it,
    to factor features, and for the leverage; once or twice more if features depend on
    others but for 1e-4 or less, once for a transformer that needs a sample, and once or
    a few times to fetch rows that are drawn; "dpp", "gvs" and "volume" read it again
    for each design that is not stable. ``X.persist()`` saves that if X fits into the
    memory of the workers. A `fit` after `select` to the same X reads targets, and
    chunks of X that hold chosen rows. A task needs about five times the memory of the
    features of its chunk. Each chunk sends :math:`16 m^2` bytes and 8 for each row.

    The client needs up to 75 bytes for each of N rows, 110 with "volume" and "uniform",
    and for each block of m points that is drawn some :math:`m (5 + \log m)` rows of m
    functions. Functions of all rows it gets in two cases: if all rows are chosen, as
    ``n_samples=None`` asks for, and if they are no more than :math:`2^{21}` numbers,
    16 MiB, from which "dpp", "gvs" and "volume" may draw many a design.

    Examples
    --------
    >>> import dask.array
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from kernelkit.distributed import DesignLeastSquares
    >>> X = dask.array.linspace(-1.0, 1.0, 100_000, chunks=20_000)[:, None]
    >>> cubic = DesignLeastSquares(PolynomialFeatures(3), random_state=0)
    >>> bool(cubic.select(X).n_labels < 50)
    True
    >>> cubic.fit(X, X[:, 0] ** 3).predict([[0.5]]).round(6).tolist()
    [0.125]
    """

    @check.params
    def select(self, X: Any, sample_weight: Any = None) -> Design:
        """Choose the rows to label.

        Parameters
        ----------
        X : dask array or dask frame of shape (n_samples, n_features), or array-like
            Rows, finite numbers.
        sample_weight : dask array or series, or array-like, default=None
            Nonnegative weights of the rows in the error, of shape (n_samples,); rows of
            weight 0 are never chosen.

        Returns
        -------
        design : Design
            Its `indices` are the rows, numbered through all chunks.
        """
        if not chunks.is_collection(X):
            return super().select(X, sample_weight)
        self._chosen = self._choose(X, sample_weight)
        return self._chosen.design

    @check.params
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose rows and fit their targets.

        Parameters
        ----------
        X : dask array or dask frame of shape (n_samples, n_features), or array-like
            Rows, finite numbers.
        y : dask array, series or frame, or array-like
            Targets, of shape (n_samples,) or (n_samples, n_outputs). Those of rows that
            are not chosen have no influence and may be NaN.
        sample_weight : dask array or series, or array-like, default=None
            Nonnegative weights of the rows in the error, of shape (n_samples,), not all
            zero; rows of weight 0 are never chosen.

        Returns
        -------
        self : DesignLeastSquares
        """
        if not chunks.is_collection(X):
            return super().fit(X, y, sample_weight)
        if chunks.is_collection(y):
            labelled = chunks.rows_of(X, y)
        else:
            y = check.partly_known_targets(self, y)
            labelled = chunks.rows_of(X)
            if labelled.lengths is not None:
                chunks.refuse_other_length(len(y), sum(labelled.lengths))
        chosen = vars(self).get("_chosen")
        if chosen is None or chosen.key != self._key(X, sample_weight):
            chosen = self._choose(X, sample_weight)
        targets = _targets(labelled, y, chosen)
        check.fit_data(self, chosen.head)  # sets names and number of features
        self._fit_chosen(
            chosen.features, chosen.space, chosen.rows, chosen.design, targets
        )
        return self

    def predict(self, X: Any) -> Any:
        """Evaluate the fitted function.

        Parameters
        ----------
        X : dask array or dask frame of shape (n_queries, n_features), or array-like
            Query rows.

        Returns
        -------
        y : dask array or ndarray of shape (n_queries,) or (n_queries, n_outputs)
        """
        if not chunks.is_collection(X):
            return super().predict(X)
        check.is_fitted(self)
        return prediction.mapped(self, "predict", X, self.coef_.shape[:-1])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : dask array or dask frame of shape (n_queries, n_features), or array-like
            Query rows.
        y : dask array, series or frame, or array-like
            Their targets.
        sample_weight : dask array or series, or array-like, default=None
            Weights of the rows, of shape (n_queries,).

        Returns
        -------
        r2 : float
        """
        if not chunks.is_collection(X):
            return float(super().score(X, y, sample_weight))
        return prediction.r2(self, X, y, sample_weight)

    def _choose(self, X: Any, sample_weight: Any) -> "_Chosen":
        """Draw a design, and get what a fit needs besides targets."""
        if self.sampling == "qr":
            raise ValueError(
                "sampling='qr' factors all rows at once, and X is in chunks: use "
                "'dpp_repeat'."
            )
        key = self._key(X, sample_weight)
        pool = Pool.of(X, sample_weight)
        rng = check.rng(self.random_state)
        features = self.features
        if features is not None:
            features = fit_features(seeded(features, rng), pool, rng)
        space, leverage = pool.make_space(
            features, centers=self.fit_intercept, tol=self.rank_tol
        )

        def fetch(numbers: Array) -> Array:
            return pool.functions(features, space, numbers)

        source = ChunkSource(len(space.change.kept), pool.masses, leverage, fetch)
        if self.n_samples is not None:
            grows = self.n_samples == "auto" and self.delta is not None
            n_designs = self.n_boost * (1 if self.delta is None else self.max_resample)
            source.look_ahead(
                self.sampling, self.zeta, self.n_samples, grows, n_designs, rng
            )
        design = self._draw(source, self.n_samples, rng, source.run)
        numbers = design.indices
        assert numbers is not None
        return _Chosen(
            key=key,
            head=pool.head,
            lengths=pool.lengths,
            features=features,
            space=space,
            rows=source.log_rows(numbers),
            design=replace(design, indices=pool.numbers_given(numbers)),
        )

    def _key(self, X: Any, sample_weight: Any) -> str:
        """Digest what a design depends on; the generator that a user holds is not."""
        seed = self.random_state if isinstance(self.random_state, Integral) else None
        key: str = tokenize(X, sample_weight, self._fingerprint_of_params(), seed)
        return key


@dataclass(frozen=True)
class _Chosen:
    """A design for rows in chunks, and what a fit needs besides targets.

    Attributes
    ----------
    key : str
        What it was made for.
    head : array or frame
        A row of X.
    lengths : ndarray of shape (n_chunks,)
        Numbers of rows of X.
    features : transformer or None
        Fitted.
    space : Space
    rows : tuple of ndarray
        Directions of orthonormal functions at the chosen rows, and log k.
    design : Design
    """

    key: str
    head: Any
    lengths: Array
    features: Any
    space: Space
    rows: tuple[Array, Array]
    design: Design


def _targets(labelled: Chunks, y: Any, chosen: _Chosen) -> Array:
    """Gather the targets of the chosen rows."""
    numbers = chosen.design.indices
    assert numbers is not None
    if chunks.is_collection(y):
        step = "design-targets"
        return of_some(labelled, chosen.lengths, step, _targets_at, numbers)
    chunks.refuse_other_length(len(y), int(chosen.lengths.sum()))
    return y[numbers]


def _targets_at(rows: Rows, picks: Array) -> Array:
    some = check.some_rows(rows.y, picks)
    return check.partly_known_targets(design.DesignLeastSquares(), some)
