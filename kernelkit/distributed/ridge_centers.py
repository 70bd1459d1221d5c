"""Choose which rows of a ridge regression in chunks become its centres."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from kernelkit import _parallel, nystroem
from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit.distributed.chunks import Rows
from kernelkit.distributed.ridge_rows import (
    Own,
    Source,
    kernel_for,
    numbered,
    weighted,
)
from kernelkit.linalg import Centers
from kernelkit.nystroem import dictionary as dictionaries
from kernelkit.nystroem.centers import (
    RIDGE,
    given_numbers,
    given_rows,
    n_selection_samples,
    pivoted_cholesky,
)
from kernelkit.nystroem.dictionary import Draws, Sketch


@dataclass(frozen=True)
class Chosen:
    """Centres, and how much weight of rows each stands for.

    Attributes
    ----------
    centers : Centers
    counts : ndarray of shape (m,) or None
        None if the rule does not know.
    has_all : bool
        Whether each row with weight is a centre.
    """

    centers: Centers
    counts: Array | None = None
    has_all: bool = False


def choose(estimator: Any, source: Source, alpha: float) -> Chosen:
    """Choose centres as the parameters of an estimator ask for.

    What is drawn depends on the chunks, not on who computes them.
    """
    model = source.model
    kernel, rule = kernel_for(model), estimator.centers
    if not isinstance(rule, str):
        if np.ndim(rule) == 1:
            return Chosen(_by_number(source, given_numbers(rule, source.lengths.sum())))
        rows = given_rows(
            kernel, rule, np.empty((0, model.n_features_in_), dtype=model.dtype)
        )
        return Chosen(kernel.centers(rows, np.full(rows.shape[0], -1)))
    m = estimator.n_components
    if source.n_rows <= m:
        draws = _gathered(source, None)
        return Chosen(kernel.centers(draws.rows, draws.ids), draws.weights, True)
    rng = check.rng(estimator.random_state)
    if rule == "uniform":
        draws = _uniform(source, m, rng)
        counts = draws.weights / draws.inclusion
        return Chosen(kernel.centers(draws.rows, draws.ids), counts)
    if rule == "rpcholesky" and estimator.selection_samples is None:
        raise ValueError(
            "centers='rpcholesky' brings the rows that it chooses from to the client: "
            "give selection_samples a number, or choose centres by 'rls'."
        )
    n = n_selection_samples(estimator.selection_samples, m, source.n_rows)
    sample = None
    if n < source.n_rows:
        sample = np.sort(rng.choice(source.n_rows, n, replace=False))
    if rule == "rpcholesky":
        draws = _gathered(source, sample)
        ids, _ = pivoted_cholesky(
            kernel, draws.rows, draws.weights, m, rng=rng, n_jobs=estimator.n_jobs
        )
        draws = draws.take(ids)
        return Chosen(kernel.centers(draws.rows, draws.ids))
    share = n / source.n_rows
    sketch = source.reduce(
        "sketch",
        _sketch,
        m,
        RIDGE * alpha * share,
        each=source.of_each(sample, source.counts, rng),
        add=_merge,
    )
    with _parallel.one_blas_thread, _parallel.threads(estimator.n_jobs) as run:
        draws = dictionaries.complete(sketch, m, run=run).atoms
    counts = draws.weights / (share * draws.inclusion)
    return Chosen(kernel.centers(draws.rows, draws.ids), counts)


def _by_number(source: Source, ids: Array) -> Centers:
    numbers, places = np.unique(ids, return_inverse=True)
    draws = source.reduce(
        "centers",
        numbered,
        each=source.of_each(numbers, source.lengths),
        add=Draws.join,
    )
    return kernel_for(source.model).centers(draws.rows[places], ids)


def _gathered(source: Source, sample: Array | None) -> Draws:
    """Bring rows with weight to the client, all or a sample of them."""
    each = source.of_each(sample, source.counts)
    draws: Draws = source.reduce("centers", weighted, each=each, add=Draws.join)
    return draws


def _uniform(source: Source, n: int, rng: np.random.Generator) -> Draws:
    """Draw n rows without replacement, each time in proportion to the weights.

    Of exponential clocks with these rates the first n to ring. Given when the next one
    would have rung, each had a chance to do so before that does not depend on others.
    """
    draws = source.reduce(
        "centers",
        _ring,
        n + 1,
        each=source.of_each(rng=rng),
        add=partial(_join_first, n + 1),
    )
    last = int(draws.uniforms.argmax())
    time = draws.uniforms[last]
    draws = draws.take(np.arange(n + 1) != last)
    return replace(draws, inclusion=-np.expm1(-time * draws.weights))


def _ring(rows: Rows, own: Own, model: nystroem.NystroemRidge, n: int) -> Draws:
    draws = weighted(rows, own, model)
    weights = np.maximum(draws.weights, 1e-300)
    times = np.random.default_rng(own.seed).standard_exponential(len(draws))
    return _first(n, replace(draws, uniforms=times / weights, weights=weights))


def _first(n: int, draws: Draws) -> Draws:
    """Keep the rows of the n least times, in their order."""
    return draws.take(np.sort(np.argsort(draws.uniforms, kind="stable")[:n]))


def _join_first(n: int, draws: Draws, other: Draws) -> Draws:
    return _first(n, draws.join(other))


def _sketch(
    rows: Rows,
    own: Own,
    model: nystroem.NystroemRidge,
    n_centers: int,
    ridge: float,
) -> Sketch | None:
    """Sketch rows of a chunk, which keep their numbers in the whole."""
    draws = weighted(rows, own, model)
    if not len(draws):
        return None
    rng = np.random.default_rng(own.seed)
    sketch = dictionaries.leverage_sketch(
        kernel_for(model), draws.rows, draws.weights, n_centers, ridge, rng
    )

    def renumbered(part: Draws) -> Draws:
        return replace(part, ids=draws.ids[part.ids])

    dictionary = sketch.dictionary
    return replace(
        sketch,
        dictionary=replace(dictionary, atoms=renumbered(dictionary.atoms)),
        reserve=renumbered(sketch.reserve),
        n_seen=0,  # so that a merger shifts no numbers
    )


def _merge(sketch: Sketch, other: Sketch | None) -> Sketch:
    if other is None:
        return sketch
    with _parallel.one_blas_thread:
        return dictionaries.merge([sketch, other])
