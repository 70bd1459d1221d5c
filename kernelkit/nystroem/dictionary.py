"""Dictionaries: a few weighted rows that stand for all rows of a stream.

Every row draws one uniform number u and is given a probability p that only falls as
more rows come: `oversampling` times its ridge leverage score, as far as the dictionary
can tell. The row is an atom as long as u <= p, and weighs 1 / p. So a row that was
dropped is never needed again, and the union of two dictionaries is thinned as one is.

Calandriello, Lazaric & Valko (2017), "Distributed adaptive sampling for kernel matrix
approximation", AISTATS, is the source of the scheme.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, Self

import numpy as np
from scipy import linalg, sparse

from kernelkit import _parallel
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.linalg import Centers, PairKernel

_RAISE = 1.3  # least factor by which a ridge grows to keep a budget
_FULL = 0.9  # share of a budget that is enough
_AUTO_RIDGE = 1e-3  # of the mean eigenvalue
_TILE = 256  # rows whose residuals are one task
_PANELS = 4  # of a triangular matrix, so that few of its zeros are multiplied
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class Draws:
    """Rows with what was drawn for them; arrays have one entry for each row.

    Attributes
    ----------
    rows : ndarray or csr_array of shape (n, n_features)
    ids : ndarray of int64
        Row numbers in the stream.
    weights : ndarray
        Positive.
    uniforms : ndarray
        u, in [0, 1).
    inclusion : ndarray
        p, in [0, 1].
    """

    rows: Any
    ids: Array
    weights: Array
    uniforms: Array
    inclusion: Array

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ranks(self) -> Array:
        """U / p: rows up to 1 are kept, and further ones would follow in this order."""
        return self.uniforms / np.maximum(self.inclusion, _TINY)

    def take(self, index: Array) -> Self:
        """Keep the rows at some indices, or where a mask is True."""
        parts = (getattr(self, field.name)[index] for field in fields(self))
        return type(self)(*parts)

    def join(self, other: Self) -> Self:
        """Append rows."""
        pairs = (
            (getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        )
        return type(self)(*map(stack, pairs))


def stack(parts: Sequence[Any]) -> Any:
    """Put rows below each other, as dense or sparse as the first ones."""
    if sparse.issparse(parts[0]):
        return sparse.vstack([sparse.csr_array(part) for part in parts], format="csr")
    dense = (part.toarray() if sparse.issparse(part) else part for part in parts)
    return np.concatenate(list(dense))


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Atoms and their kernel matrix, and what they tell about other rows.

    With S = diag(weights / inclusion)^1/2 and A = S K S, the residual of a row is
    ``r(x) = k(x, x) - k_D(x)' S (A + ridge I)^-1 S k_D(x)``, and `weight * r / ridge`
    estimates its ridge leverage score.

    Attributes
    ----------
    kernel : PairKernel
    atoms : Draws of m rows
    K : ndarray of shape (m, m), float64
        Kernel matrix of the atoms.
    ridge : float
        Regulariser of the scores; 0 as long as there are no rows to choose it by.
    """

    kernel: PairKernel
    atoms: Draws
    K: Array
    ridge: float

    def __len__(self) -> int:
        return len(self.atoms)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again, and half of the symmetric matrix."""
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**state, "K": self.K[np.tril_indices(len(self))]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        m = len(state["atoms"])
        K = np.empty((m, m))
        K[np.tril_indices(m)] = state["K"]
        K.T[np.tril_indices(m)] = state["K"]
        self.__dict__.update(state, K=K)

    @cached_property
    def centers(self) -> Centers:
        """The atoms, prepared for the kernel."""
        return self.kernel.centers(self.atoms.rows, self.atoms.ids)

    @cached_property
    def _factors(self) -> tuple[Array, Array]:
        """Return the inverse of the Cholesky factor L, and ridge * diag(inverse)."""
        A, ridge = self._weighted, self.ridge
        if not (np.isfinite(A).all() and np.isfinite(ridge)):
            raise ValueError(
                "The kernel values or the weights are so large that sums of them "
                "overflow: rescale the features, the kernel or the weights."
            )
        while True:
            # Rounding, or a kernel that is indefinite, may need more than the ridge.
            H = A.copy()
            H[np.diag_indices_from(H)] += ridge
            L, info = linalg.lapack.dpotrf(H.T, lower=1, overwrite_a=1)
            if info == 0:
                break
            ridge = max(10.0 * ridge, np.finfo(np.float64).eps * np.abs(A).max())
        inverse, _ = linalg.lapack.dtrtri(L, lower=1, overwrite_c=1)
        return inverse, ridge * np.einsum("ij,ij->j", inverse, inverse)

    @property
    def _root(self) -> Array:
        return np.sqrt(self.atoms.weights / self.atoms.inclusion)

    @property
    def _weighted(self) -> Array:
        root = self._root
        with np.errstate(over="ignore", invalid="ignore"):
            return root[:, None] * self.K * root

    @property
    def automatic_ridge(self) -> float:
        """A thousandth of the mean eigenvalue of A, each weighted by itself."""
        A = self._weighted
        size = np.abs(A).max()
        if not 0.0 < size < np.inf:
            return _AUTO_RIDGE
        A /= size  # so that squares neither overflow nor vanish
        mean = np.vdot(A, A) / max(np.trace(A), 1.0)
        return float(max(_AUTO_RIDGE * mean * size, _TINY))

    @cached_property
    def whitener(self) -> Array:
        """L^-1 S, lower triangular: maps k_D(x) to regularised features of x."""
        return self._factors[0] * self._root

    @property
    def scores(self) -> Array:
        """Estimate the ridge leverage score of every atom, in [0, 1].

        With M = (A + ridge I)^-1, the residual of atom i is
        ``ridge * (1 - ridge * M_ii) / S_ii^2``, so that none need be computed.
        """
        return np.clip(1.0 - self._factors[1], 0.0, 1.0) * self.atoms.inclusion

    @property
    def effective_dimension(self) -> float:
        """Estimate the sum of the scores of all rows."""
        return float((self.scores / self.atoms.inclusion).sum())

    def residuals(
        self, X: Any, ids: Array, *, run: _parallel.Run = _parallel.in_order
    ) -> Array:
        """Return ``r(x) >= 0`` of every row, whose numbers matter if precomputed."""
        T, m = self.whitener, len(self)
        cuts = np.linspace(0, m, _PANELS + 1).astype(int)

        def tile(rows: slice) -> Array:
            k = self.kernel.block(X[rows], self.centers)
            left = self.kernel.diag(X[rows], ids[rows])
            for first, last in pairwise(cuts):
                features = k[:, :last] @ T[first:last, :last].T
                left -= np.einsum("ij,ij->i", features, features)
            return np.maximum(left, 0.0)

        n = X.shape[0]
        tiles = [slice(i, i + _TILE) for i in range(0, n, _TILE)]
        return np.concatenate(run([(tile, (rows,)) for rows in tiles]))

    def sampling_error(self, n_samples: int, rng: np.random.Generator) -> float:
        """Estimate by how much the atoms may underestimate a direction; less than 1.

        The bootstrap: give atom i the weight ``1 +- (1 - p_i)^1/2`` by a fair coin, so
        that the variance of sums is the estimate from the sample, and return the
        largest share by which ``Phi S S' Phi' + ridge I`` falls anywhere, for features
        Phi of the atoms, among `n_samples` tosses.
        """
        values, V = linalg.eigh(self._weighted, check_finite=False)
        values = np.maximum(values, 0.0)
        features = V * np.sqrt(values / (values + self.ridge))
        spread = np.sqrt(1.0 - self.atoms.inclusion)
        worst = 0.0
        for _ in range(n_samples):
            change = spread * rng.choice([-1.0, 1.0], len(self))
            falls = (features.T * change) @ features
            worst = max(worst, linalg.eigvalsh(falls, check_finite=False)[-1])
        return float(worst)

    def without_rows(self) -> Self:
        """Forget the rows of a precomputed kernel, of which only numbers matter."""
        atoms = replace(self.atoms, rows=self.atoms.rows[:, :0])
        return replace(self, atoms=atoms)

    def append(self, new: Draws) -> Self:
        """Add atoms; of the kernel matrix only the new rows are evaluated."""
        atoms, m = self.atoms.join(new), len(self)
        check.memory(4 * 8 * len(atoms) ** 2, "allow fewer components")
        centers = self.kernel.centers(atoms.rows, atoms.ids)
        wide = new.rows.astype(np.float64, copy=False)
        K = np.empty((len(atoms), len(atoms)))
        K[:m, :m] = self.K
        K[m:] = self.kernel.block(wide, centers)
        K[m:, m:] = 0.5 * (K[m:, m:] + K[m:, m:].T)
        K[:m, m:] = K[m:, :m].T
        return replace(self, atoms=atoms, K=K)

    def take(self, kept: Array) -> Self:
        """Keep the atoms where a mask is True."""
        return replace(self, atoms=self.atoms.take(kept), K=self.K[np.ix_(kept, kept)])


@dataclass(frozen=True, eq=False)
class Sketch:
    """A dictionary that grows with a stream, and the rules it follows.

    Attributes
    ----------
    dictionary : Dictionary
    oversampling : float
        Expected number of atoms per unit of effective dimension.
    max_atoms : int
        Most atoms; the ridge is raised to keep to it.
    reserve : Draws
        The rows that came nearest to being atoms, for `complete`.
    n_reserve : int
        Most rows in the reserve.
    n_seen : int
        Number of rows of the stream so far.
    """

    dictionary: Dictionary
    oversampling: float
    max_atoms: int
    reserve: Draws
    n_reserve: int
    n_seen: int = 0


def start(
    kernel: PairKernel,
    X: Any,
    *,
    ridge: float | None,
    oversampling: float,
    max_atoms: int,
    n_reserve: int = 0,
) -> Sketch:
    """Make an empty sketch for rows like those of X.

    A `ridge` of None is chosen by the first block, at a thousandth of the mean
    eigenvalue, each weighted by itself.
    """
    none = Draws(X[:0], np.empty(0, dtype=np.int64), *np.empty((3, 0)))
    dictionary = Dictionary(kernel, none, np.empty((0, 0)), ridge or 0.0)
    return Sketch(dictionary, oversampling, max_atoms, none, n_reserve)


def add_rows(
    sketch: Sketch,
    X: Any,
    weights: Array | None,
    rng: np.random.Generator,
    *,
    block_size: int | None = None,
    run: _parallel.Run = _parallel.in_order,
) -> Sketch:
    """Go through further rows of the stream once, in blocks.

    Without a `block_size`, blocks have about twice as many rows as there are atoms.
    Every row of positive weight takes one number of `rng`, in order.
    """
    n = X.shape[0]
    ids = np.arange(sketch.n_seen, sketch.n_seen + n)
    sketch = replace(sketch, n_seen=sketch.n_seen + n)
    if weights is None:
        weights = np.ones(n)
    elif not weights.all():
        weighs = weights > 0.0
        X, ids, weights = X[weighs], ids[weighs], weights[weighs]
    first = 0
    while first < len(ids):
        size = block_size or min(max(2 * len(sketch.dictionary), 256), 4096)
        rows = slice(first, first + size)
        uniforms = rng.random(len(ids[rows]))
        certain = np.ones(len(uniforms))
        block = Draws(X[rows], ids[rows], weights[rows], uniforms, certain)
        sketch = _add_block(sketch, block, run)
        first += size
    return sketch


def merge(sketches: Sequence[Sketch]) -> Sketch:
    """Make one sketch of the rows of several, which keep their order.

    Two by two and level by level, so that the work and the memory stay those of two.
    The largest ridge is that of the result.
    """
    while len(sketches) > 1:
        pairs = [sketches[i : i + 2] for i in range(0, len(sketches), 2)]
        sketches = [reduce(_merge_two, pair) for pair in pairs]
    return sketches[0]


def complete(
    sketch: Sketch, n_atoms: int, *, run: _parallel.Run = _parallel.in_order
) -> Dictionary:
    """Return the dictionary with rows of the reserve added, up to `n_atoms` in all.

    These are the ones that a slightly higher oversampling would have kept; it sets all
    probabilities.
    """
    dictionary = sketch.dictionary
    missing = n_atoms - len(dictionary)
    if missing <= 0 or not len(sketch.reserve):
        return dictionary
    reserve = _rated(sketch, sketch.reserve, run)
    ranks = reserve.ranks
    chosen = np.argsort(ranks, kind="stable")[:missing]
    dictionary = dictionary.append(reserve.take(chosen))
    atoms = dictionary.atoms
    scale = max(1.0, ranks[chosen].max())
    inclusion = np.minimum(1.0, scale * atoms.inclusion)
    atoms = replace(atoms, inclusion=np.where(inclusion > 0.0, inclusion, 1.0))
    return replace(dictionary, atoms=atoms)


def leverage_sketch(
    kernel: PairKernel,
    X: Any,
    w: Array | None,
    n_centers: int,
    ridge: float,
    rng: np.random.Generator,
    *,
    oversampling: float = 4.0,
    run: _parallel.Run = _parallel.in_order,
) -> Sketch:
    """Go through rows once, and keep what `complete` needs to make `n_centers` atoms.

    The ridge is raised as far as `n_centers` demand.
    """
    sketch = start(
        kernel,
        X,
        ridge=ridge,
        oversampling=oversampling,
        max_atoms=n_centers,
        n_reserve=2 * n_centers,
    )
    return add_rows(sketch, X, w, rng, run=run)


def leverage_sample(
    kernel: PairKernel,
    X: Any,
    w: Array | None,
    n_centers: int,
    ridge: float,
    rng: np.random.Generator,
    *,
    run: _parallel.Run = _parallel.in_order,
) -> tuple[Array, Array]:
    """Sample rows by their ridge leverage scores, in one pass.

    Rows that nearly were sampled make up for missing ones.

    Returns
    -------
    indices : ndarray of shape (m,)
        Row numbers, as many as asked for if X has as many of positive weight.
    inclusion_proba : ndarray of shape (m,)
        Probability that each was sampled.
    """
    sketch = leverage_sketch(kernel, X, w, n_centers, ridge, rng, run=run)
    atoms = complete(sketch, n_centers, run=run).atoms
    return atoms.ids, atoms.inclusion


def _add_block(sketch: Sketch, new: Draws, run: _parallel.Run) -> Sketch:
    """Offer rows to the dictionary at once, and thin it."""
    if len(sketch.dictionary):
        new = _rated(sketch, new, run)
        lost = new.uniforms > new.inclusion
        sketch = _set_aside(sketch, new, lost)
        new = new.take(~lost)
    if not len(new):
        return sketch
    dictionary = sketch.dictionary.append(new)
    if not dictionary.ridge:
        dictionary = replace(dictionary, ridge=dictionary.automatic_ridge)
    return _thin(replace(sketch, dictionary=dictionary))


def _rated(sketch: Sketch, draws: Draws, run: _parallel.Run) -> Draws:
    """Give rows that are no atoms the probabilities that the dictionary suggests.

    The score of a row alone with the dictionary is never below the one that it has
    among further rows.
    """
    dictionary = sketch.dictionary
    gains = draws.weights * dictionary.residuals(draws.rows, draws.ids, run=run)
    scores = gains / (gains + dictionary.ridge)
    return replace(draws, inclusion=np.minimum(1.0, sketch.oversampling * scores))


def _thin(sketch: Sketch) -> Sketch:
    """Lower the probabilities of the atoms, and raise the ridge if they are too many.

    It is raised by factors that square as long as too many are left, and are halved in
    their logarithm once one leaves too few.
    """
    sketch = _lower(sketch, 1.0)
    factor, is_bounded = _RAISE, False
    while len(sketch.dictionary) > sketch.max_atoms:
        raised = _lower(sketch, factor)
        if factor > _RAISE and len(raised.dictionary) < _FULL * sketch.max_atoms:
            is_bounded = True
        else:
            sketch = raised
        factor = max(_RAISE, factor**0.5) if is_bounded else factor**2
    return sketch


def _lower(sketch: Sketch, factor: float) -> Sketch:
    """Multiply the ridge and lower the probabilities to what the scores are then."""
    dictionary = replace(sketch.dictionary, ridge=factor * sketch.dictionary.ridge)
    atoms, scores = dictionary.atoms, dictionary.scores
    inclusion = np.minimum(atoms.inclusion, sketch.oversampling * scores)
    kept = atoms.uniforms <= inclusion
    if not kept.any():  # the last atom stays
        last = scores.argmax()
        kept[last], inclusion[last] = True, atoms.uniforms[last]
    atoms = replace(atoms, inclusion=inclusion)
    sketch = _set_aside(sketch, atoms, ~kept)
    dictionary = replace(dictionary, atoms=atoms).take(kept)
    return replace(sketch, dictionary=dictionary)


def _set_aside(sketch: Sketch, draws: Draws, lost: Array) -> Sketch:
    """Keep in reserve those of the lost rows that were nearest to being atoms."""
    if not sketch.n_reserve or not lost.any():
        return sketch
    reserve = sketch.reserve.join(draws.take(lost))
    if len(reserve) > sketch.n_reserve:
        best = np.argpartition(reserve.ranks, sketch.n_reserve)[: sketch.n_reserve]
        reserve = reserve.take(np.sort(best))
    return replace(sketch, reserve=reserve)


def _merge_two(first: Sketch, second: Sketch) -> Sketch:
    def shifted(draws: Draws) -> Draws:
        return replace(draws, ids=draws.ids + first.n_seen)

    ridge = max(first.dictionary.ridge, second.dictionary.ridge)
    dictionary = replace(first.dictionary, ridge=ridge)
    merged = replace(
        first,
        dictionary=dictionary.append(shifted(second.dictionary.atoms)),
        n_seen=first.n_seen + second.n_seen,
    )
    reserve = shifted(second.reserve)
    merged = _set_aside(merged, reserve, np.ones(len(reserve), dtype=bool))
    return _thin(merged)
