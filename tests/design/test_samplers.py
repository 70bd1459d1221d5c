"""Designs: what they promise beyond the laws of their draws."""

import inspect
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from kernelkit import _parallel
from kernelkit.design import laws, sources
from kernelkit.design.bases import HermiteBasis, LegendreBasis
from kernelkit.design.orthonormal import orthonormalize
from kernelkit.design.orthonormal_basis import OrthonormalBasis
from kernelkit.design.samplers import (
    METHODS,
    ProjectionDPP,
    draw_design,
    sample_design,
)
from kernelkit.design.sources import PoolSource

RNG = np.random.default_rng(0)
M = 6
F = RNG.normal(size=(300, M))
MASSES = RNG.gamma(2.0, size=300)
MASSES[::7] = 0.0
OPTIMAL = "dpp_repeat", "dpp", "gvs", "iid"
BASIS = LegendreBasis(3, bounds=[(-1.0, 1.0)] * 2)

each_method = pytest.mark.parametrize("method", METHODS)


def draw(method, n=None, features=F, **options):
    """Draw a design with sound options for a method."""
    options = {"random_state": 0, "delta": None, **options}
    if method == "mixture":
        options = {"zeta": 0.5, **options}
    if n is None:
        n = M if method == "dpp" else 4 * M
    return sample_design(features, n, method, **options)


def same(a, b):
    for name in ("indices", "weights", "counts"):
        assert_array_equal(getattr(a, name), getattr(b, name), strict=True)
    assert (a.lambda_min, a.lambda_max, a.n_tries) == (
        *(b.lambda_min, b.lambda_max),
        b.n_tries,
    )


@each_method
def test_functions_of_the_space_are_recovered(method):
    """Seen red with weights that are zero."""
    design = draw(method, measure=MASSES)
    beta = np.arange(1.0, M + 1.0)
    y = F @ beta
    root = np.sqrt(design.weights)

    A = root[:, None] * F[design.indices]
    got = np.linalg.lstsq(A, root * y[design.indices])[0]

    assert design.lambda_min > 1e-6
    assert_allclose(got, beta, rtol=1e-9)


@each_method
def test_eigenvalues_are_those_of_the_gram_matrix(method):
    """Seen red with rows that forget the counts."""
    design = draw(method, measure=MASSES)
    pool = orthonormalize(F, MASSES)
    phi = pool.Q[design.indices] / np.sqrt(pool.masses[design.indices])[:, None]

    G = (design.weights * phi.T) @ phi / design.n_draws

    got = np.linalg.eigvalsh(G)
    assert_allclose(got[[0, -1]], [design.lambda_min, design.lambda_max], rtol=1e-10)


@pytest.mark.parametrize("method", OPTIMAL)
@pytest.mark.parametrize("count", ["draws", "labels"])
def test_optimal_weights_fix_the_trace(method, count):
    """G has trace m in every draw. Seen red with k of the neighbouring row."""
    design = draw(method, measure=MASSES, count=count)
    pool = orthonormalize(F, MASSES)

    k = pool.leverage[design.indices] / pool.masses[design.indices]

    assert_allclose(design.weights @ k / design.n_draws, M, rtol=1e-10)


@each_method
def test_same_seed_draws_the_same(method):
    """On any number of threads. Seen red with blocks that share a stream."""
    source = PoolSource(orthonormalize(F))
    zeta = 0.5 if method == "mixture" else 0.0
    n = M if method == "dpp" else 40
    designs = []
    for n_jobs in (1, 4, 4):
        with _parallel.threads(n_jobs) as run:
            rng = np.random.default_rng(3)
            designs.append(
                draw_design(source, n, method, zeta=zeta, delta=None, rng=rng, run=run)
            )

    same(designs[0], designs[1])
    same(designs[0], designs[2])


def test_blocks_draw_from_streams_of_their_own():
    """So the first does not depend on what others take. Seen red with one stream."""
    source = PoolSource(orthonormalize(F))
    seed = np.random.default_rng(3).integers(2**32, size=4, dtype=np.uint32)
    first = source.dpp(np.random.default_rng(seed))

    design = draw_design(
        source, M, "dpp_repeat", delta=None, rng=np.random.default_rng(3)
    )

    assert_array_equal(design.indices, np.sort(first))


def test_compiled_code_draws_what_plain_code_does(monkeypatch):
    """Seen red with uniform numbers that the plain loop halves."""
    compiled = [ProjectionDPP(seed).fit(F).sample(3).indices for seed in range(5)]
    for name in ("accept_rows", "project_out"):
        loop = getattr(sources, name)
        monkeypatch.setattr(sources, name, getattr(loop, "py_func", loop))

    plain = [ProjectionDPP(seed).fit(F).sample(3).indices for seed in range(5)]

    for a, b in zip(compiled, plain, strict=True):
        assert_array_equal(a, b)


def test_random_state_may_be_a_generator_or_a_random_state():
    """Seen red with a Generator that is copied, and with blocks from spawned streams,
    which a Generator of an old bit generator has not."""
    rng = np.random.default_rng(0)
    old = np.random.RandomState(0)
    between = np.random.Generator(np.random.RandomState(0)._bit_generator)

    first, second = (draw("iid", random_state=rng) for _ in range(2))
    third = draw("dpp_repeat", random_state=old)
    fourth, fifth = (draw("dpp_repeat", random_state=between) for _ in range(2))

    assert first.indices.tolist() != second.indices.tolist()
    assert third.n_draws == 4 * M
    assert fourth.indices.tolist() != fifth.indices.tolist()


@each_method
def test_repeated_rows_are_one_label(method):
    """Seen red with weights that are not added up."""
    design = draw(method, None if method == "dpp" else 200)
    once = draw(method, None if method == "dpp" else 200, replace=False)

    assert (np.diff(design.indices) > 0).all()
    assert design.n_draws == (M if method == "dpp" else 200)
    assert design.n_labels == len(design.indices) <= design.n_draws
    assert (once.counts == 1).all()
    assert once.n_labels == once.n_draws == design.n_draws
    single = dict(zip(once.indices, once.weights, strict=True))
    for row, weight, count in zip(
        design.indices, design.weights, design.counts, strict=True
    ):
        if row in single:
            assert weight == pytest.approx(count * single[row])


@each_method
@pytest.mark.parametrize("n", [6, 7, 50, 257])
def test_labels_are_counted_if_asked(method, n):
    """257 rows have mass. Seen red with a batch that is not cut at the last label."""
    if method == "dpp":
        n = M
    if n == M and method in ("iid", "mixture"):
        with pytest.warns(UserWarning, match="hardly determine"):
            design = draw(method, n, measure=MASSES, count="labels")
    else:
        design = draw(method, n, measure=MASSES, count="labels")

    assert design.n_labels == n
    assert design.n_draws >= n
    assert (MASSES[design.indices] > 0.0).all()


def test_a_row_with_nearly_all_the_mass_does_not_hold_up_labels():
    """The draws that the others take are counted. Seen red with draws that are made:
    it did not end."""
    masses = np.full(50, 1e-9)
    masses[7] = 1.0
    F = np.ones((50, 1))

    design = draw("iid", 5, F, measure=masses, count="labels")

    repeated = design.counts[design.indices == 7][0]
    assert design.n_labels == 5
    assert 1e6 < repeated < 1e10
    assert_allclose(design.weights, design.counts)  # m = 1


@pytest.mark.parametrize(
    ("method", "zeta", "n"),
    [("iid", 0.0, 41), ("mixture", 0.5, 41), ("mixture", 1, 39)],
)
def test_rows_that_nearly_never_come_are_not_waited_for(method, zeta, n):
    """The counts of the others do not overflow. Seen red with all positive chances."""
    x = np.linspace(0.0, 12.0, 60)
    line = np.stack([np.ones(60), x], axis=1)
    options = {"measure": np.exp(-0.5 * x**2), "count": "labels", "zeta": zeta}

    design = draw(method, n, line, **options)

    assert design.n_labels == n
    assert (design.counts > 0).all()
    assert 1e10 < design.n_draws < 1e17
    assert 0.5 < design.lambda_min <= design.lambda_max < 2.0
    with pytest.raises(
        ValueError, match=f"more than {n} from this pool. It never draws rows {n}, "
    ):
        draw(method, n + 1, line, **options)


@pytest.mark.parametrize("method", ["dpp_repeat", "gvs"])
def test_rows_that_are_in_every_block_do_not_hold_up_labels(method):
    """Seen red with blocks drawn until there are enough labels: it did not end."""
    F = 1e-5 * RNG.normal(size=(40, 4))
    F[:4] = np.eye(4)

    design = draw(method, 12, F, count="labels")
    once = draw(method, 12, F, replace=False)

    assert design.n_labels == once.n_labels == 12
    assert design.counts[:4].min() > 1e5
    assert design.indices[:4].tolist() == [0, 1, 2, 3]
    assert np.isfinite(design.weights).all()
    assert design.lambda_min > 0.5


def test_outlier_is_in_every_block_with_a_small_weight():
    """Seen red with leverage cut at its mean."""
    F = RNG.normal(size=(200, 3))
    F[11] *= 1e6

    design = draw("dpp_repeat", 30, F)

    at = np.flatnonzero(design.indices == 11)
    assert design.counts[at] == [10]
    assert 0.0 < design.weights[at] / 10 < 0.02
    assert np.isfinite(design.weights).all()


def test_rows_without_leverage_are_never_drawn_for_it():
    """Seen red with a least leverage of 1e-30."""
    F = RNG.normal(size=(60, 2))
    F[::2] = 0.0
    F[1] = 1e-9  # leverage of 1e-19

    for method in OPTIMAL:
        n = 2 if method == "dpp" else 500
        design = draw(method, n, F)
        assert (design.indices % 2 == 1).all()
        assert 1 not in design.indices
        assert np.isfinite(design.weights).all()
    with pytest.raises(ValueError, match="no more than 29"):
        draw("iid", 30, F, count="labels")


@pytest.mark.parametrize(
    ("method", "zeta"),
    [
        *(("dpp_repeat", 0.0), ("gvs", 0.0), ("gvs", 0.5), ("iid", 0.0)),
        *(("mixture", 0.5), ("volume", 0.0), ("uniform", 0.0), ("qr", 0.0)),
    ],
)
def test_row_with_next_to_no_mass_keeps_a_weight(method, zeta):
    """Even if k is beyond the largest number. Seen red with a division that warns, with
    a weight of zero, and with w k of it infinite."""
    masses = np.ones(20)
    masses[3] = 1e-310
    F = np.stack([np.ones(20), np.arange(20) == 3], axis=1)

    design = draw(method, 20, F, measure=masses, zeta=zeta)

    assert 3 in design.indices
    assert (design.weights > 0.0).all()
    assert 0.3 < design.lambda_min <= design.lambda_max < 3.0


def test_equal_rows_share_no_block():
    """Seen red with rows accepted whatever they share with others."""
    F = np.repeat(RNG.normal(size=(8, 4)), 5, axis=0)
    model = ProjectionDPP(np.random.default_rng(0)).fit(F)

    for _ in range(200):
        rows = model.sample().indices
        assert len(rows) == 4
        assert len(set(rows // 5)) == 4


@pytest.mark.parametrize(
    "F",
    [
        np.repeat(RNG.normal(size=(30, 4)), 3, axis=0),
        RNG.normal(size=(90, 4)) @ RNG.normal(size=(4, 7)),
        RNG.normal(size=(5, 9)),
        np.vander(np.linspace(0.0, 1.0, 100), 20),
        RNG.normal(size=(90, 4)) * np.where(np.arange(90) == 3, 1e6, 1.0)[:, None],
        RNG.normal(size=(40, 3)) * [1e-150, 1.0, 1e100],
    ],
    ids=["equal rows", "dependent", "wide", "powers", "outlier", "scales"],
)
def test_hostile_features_are_drawn_from(F):
    """Also if the sum of residuals is less than its theoretical value and uniform
    numbers are near 1. Seen red with residuals divided by the theoretical sum."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of dependent features
        pool = orthonormalize(F)
    noise = 1.0 + 1e-7 * RNG.normal(size=pool.Q.shape)
    for factor in (1.0, noise, 1.0 - 1e-7):
        source = PoolSource(replace(pool, Q=factor * pool.Q))
        rng = np.random.default_rng(0)
        for _ in range(100):
            rows = source.dpp(rng)
            assert len(set(rows.tolist())) == pool.rank
            for uniforms in (rng, NearOne()):
                basis = start(source, rows[0])
                chain = sources.chain_dpp(
                    source.Q, source.leverage, rows[:1], basis, uniforms
                )
                assert len(set(chain.tolist())) == pool.rank


class NearOne:
    """A generator of the largest numbers below 1."""

    def random(self, n):
        return np.full(n, np.nextafter(1.0, 0.0))


def start(source, row):
    basis = np.zeros((source.rank, source.rank))
    basis[0] = source.Q[row] / np.linalg.norm(source.Q[row])
    return basis


def test_design_is_drawn_until_it_is_stable():
    """Or the best of them is kept. Seen red with the last one kept."""
    rng = np.random.default_rng(0)
    singles = [draw("dpp_repeat", 3 * M, random_state=rng) for _ in range(30)]

    values = [single.lambda_min for single in singles]
    delta = 1.0 - np.quantile(values, 0.9)
    tried = 1 + next(i for i, value in enumerate(values) if value >= 1.0 - delta)
    design = draw("dpp_repeat", 3 * M, delta=delta)
    boosted = draw("dpp_repeat", 3 * M, n_boost=30)

    assert design.n_tries == tried > 1
    assert design.lambda_min == values[tried - 1]
    assert boosted.n_tries == 1
    assert boosted.lambda_min == max(values)
    with pytest.warns(ConvergenceWarning, match="0.9 or more: the best one") as caught:
        design = draw("dpp_repeat", 2 * M, delta=0.1)
    assert design.n_tries == 50
    assert f"has {design.lambda_min:.3g}." in str(caught[0].message)
    with pytest.warns(ConvergenceWarning):
        once = draw_design(
            PoolSource(orthonormalize(F)),
            2 * M,
            "dpp_repeat",
            delta=0.1,
            max_tries=1,
            rng=np.random.default_rng(0),
        )
    assert once.lambda_min < design.lambda_min


@pytest.mark.parametrize("method", [name for name in METHODS if name != "dpp"])
def test_automatic_size_grows_until_it_is_stable(method):
    """Seen red with a start at m."""
    design = draw(method, "auto", delta=0.5)
    fixed = draw(method, "auto")

    assert design.lambda_min >= 0.5
    assert design.n_draws >= fixed.n_draws == 2 * M
    assert design.n_tries == 1
    assert draw("dpp", "auto").n_draws == M


def test_growth_adds_blocks_to_those_that_are_there():
    """Seen red with growth that starts anew."""
    grown = draw("dpp_repeat", "auto", delta=0.3)
    drawn = draw("dpp_repeat", grown.n_draws)

    assert grown.n_draws > 2 * M
    assert grown.n_draws % M == 0
    same(grown, drawn)


def test_growth_ends():
    """At 50 m draws, or at the last row. Seen red without the bound: it went on."""
    few = RNG.normal(size=(20, M)) * RNG.gamma(0.1, size=(20, 1))

    with pytest.warns(ConvergenceWarning, match="of 300 draws"):
        design = draw("iid", "auto", few, delta=1e-3)
    assert design.n_draws == 50 * M
    every = draw("uniform", "auto", F[:20], delta=1e-3)
    assert every.n_draws == 20
    assert every.lambda_min == pytest.approx(1.0)


EXACT = {"delta": None}


@pytest.mark.parametrize(
    ("features", "method", "options", "unbiased"),
    [
        (F, "dpp", EXACT, True),
        (F, "gvs", EXACT, True),
        (F, "gvs", {**EXACT, "zeta": 0.5}, True),
        (F, "volume", EXACT, True),
        (F, "volume", {**EXACT, "count": "labels"}, True),
        (F, "gvs", {**EXACT, "count": "labels"}, False),
        (F, "gvs", {**EXACT, "replace": False}, False),
        (BASIS, "gvs", {**EXACT, "count": "labels"}, True),
        (BASIS, "volume", EXACT, True),
        (F, "gvs", {"delta": 0.9}, False),
        (F, "gvs", {**EXACT, "n_boost": 2}, False),
        (F, "gvs", {**EXACT, "reduce_to": 20}, False),
        (F, "dpp_repeat", EXACT, False),
        (F, "iid", EXACT, False),
        (F, "mixture", EXACT, False),
        (F, "uniform", EXACT, False),
        (F, "qr", EXACT, False),
    ],
)
def test_only_exact_laws_are_called_unbiased(features, method, options, unbiased):
    """Seen red with boosted designs called unbiased."""
    n = None if method == "dpp" else 40

    assert draw(method, n, features, **options).unbiased is unbiased


@pytest.mark.parametrize("reduce_to", [6, 1.0, 8, 1.5, 40, "auto"])
@pytest.mark.parametrize("reduce_method", ["auto", "a_optimal", "d_optimal"])
def test_reduction_keeps_so_many(reduce_to, reduce_method):
    """Of the rows that were drawn, with their weights. Seen red with neighbours of
    the kept rows."""
    options = {"delta": 0.5, "random_state": 1}
    whole = draw("dpp_repeat", 30, **options)

    design = draw(
        "dpp_repeat", 30, reduce_to=reduce_to, reduce_method=reduce_method, **options
    )

    expected = {1.0: 6, 1.5: 9, 40: whole.n_labels}
    weights = dict(zip(whole.indices, whole.weights, strict=True))
    if reduce_to != "auto":
        assert design.n_labels == expected.get(reduce_to, reduce_to)
    else:
        assert design.lambda_min >= 0.5
    assert [weights[i] for i in design.indices] == design.weights.tolist()
    assert (np.diff(design.indices) > 0).all()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((F, 5), {}, "do not determine m = 6 independent"),
        ((F, 5, "uniform"), {}, "do not determine m = 6"),
        ((F, 7, "dpp"), {}, "draws m = 6 points, and n_samples=7"),
        ((F, 301, "volume"), {}, "no more than 300"),
        ((F, 301, "uniform"), {}, "no more than 300"),
        ((F, 258, "volume"), {"measure": MASSES}, "no more than 257"),
        ((F, 258, "iid"), {"measure": MASSES, "count": "labels"}, "more than 257"),
        ((F, 258, "iid"), {"measure": MASSES, "replace": False}, "more than 257"),
        ((F, 12, "mixture"), {}, "needs zeta > 0"),
        ((F, 12, "iid"), {"zeta": 0.5}, "no second density"),
        ((F, 12, "gvs"), {"zeta": 1.5}, r"in \[0, 1\]"),
        ((F, 12, "gvs"), {"zeta": "a"}, "'zeta' argument .* Got 'a'"),
        ((F, 12, "gvs"), {"zeta": True}, "'zeta' argument"),
        ((F, 12, "iid"), {"zeta": np.nan}, "'zeta' argument"),
        ((F, 12, "iid"), {"density": MASSES}, "draws nothing from `density`"),
        ((F, 12, "gvs"), {"zeta": 0.5, "density": -MASSES}, "nonnegative"),
        ((F, 12, "gvs"), {"zeta": 0.5, "density": MASSES * np.nan}, "finite"),
        ((F, 12, "gvs"), {"zeta": 0.5, "density": MASSES[:5]}, r"shape \(300,\)"),
        ((F, 12, "gvs"), {"zeta": 0.5, "density": abs}, "'density' .* no numbers"),
        (
            (F, 12, "gvs"),
            {
                "zeta": 0.5,
                "density": np.where(MASSES > 0.0, 1.0, np.inf),
                "measure": MASSES,
            },
            "'density' argument must be finite .* inf at row 0",
        ),
        (
            (F, 12, "gvs"),
            {"zeta": 0.5, "density": MASSES == 0.0, "measure": MASSES},
            "'density' argument must not be zero",
        ),
        ((F, 12), {"measure": -MASSES}, "'measure' argument must be .* nonnegative"),
        ((F, 12), {"measure": 0.0 * MASSES}, "'measure' argument must not be zero"),
        ((F, 12), {"measure": MASSES * np.nan}, "'measure' .* Got nan at row 0"),
        ((F, 12), {"measure": MASSES[:5]}, r"'measure' .* \(300,\). Got shape \(5,\)"),
        ((F, 12), {"measure": [1.0, 2.0]}, r"'measure' .* Got shape \(2,\)"),
        ((F, 12), {"measure": [[1.0], [2.0, 3.0]]}, "'measure' .* Got no numbers"),
        ((F, 12), {"measure": ["heavy"] * 300}, "'measure' .* Got no numbers"),
        ((F, 12), {"measure": abs}, "'measure' .* Got no numbers"),
        ((F, 12), {"replace": "no"}, "'replace' argument must be True or False"),
        ((F, 12), {"delta": 1.0}, "'delta' argument"),
        ((F, 12), {"n_boost": 0}, "'n_boost' argument"),
        ((F, 12, "svd"), {}, "'method' argument"),
        ((F, 12.5), {}, "'n_samples' argument"),
        ((F, "many"), {}, "'n_samples' argument"),
        ((F, 12), {"count": "rows"}, "'count' argument"),
        ((F, 12), {"reduce_method": "best"}, "'reduce_method' argument"),
        ((F, 12), {"reduce_to": 5}, "fewer than m = 6"),
        ((F, 12), {"reduce_to": 0.8}, "fewer than m = 6"),
        ((F, 12), {"reduce_to": "few"}, "reduce_to must be"),
        ((F, 12), {"reduce_to": True}, "reduce_to must be"),
        ((F, 12), {"reduce_to": np.nan}, "reduce_to must be"),
        ((F, 12), {"reduce_to": "auto", "delta": None}, "delta is None"),
        ((F * np.nan, 12), {}, "NaN"),
        ((0.0 * F, 12), {}, "zero"),
        ((OrthonormalBasis(), 12), {}, r"'F_or_basis' .* Got OrthonormalBasis\(\)"),
        ((LegendreBasis, 12), {}, "'F_or_basis' .* Got <class"),
        ((BASIS, 20, "qr"), {}, "a basis has none"),
        ((F, 12), {"random_state": "x"}, "'random_state' argument .* Got 'x'"),
        ((F, 12), {"random_state": 0.5}, "'random_state' argument .* Got 0.5"),
        ((F, 12), {"random_state": -1}, "'random_state' argument .* Got -1"),
        ((BASIS, 20), {"measure": MASSES}, "own law"),
    ],
)
def test_bad_arguments_are_refused(arguments, options, message):
    """Seen red without the checks of zeta, of `replace`, of the basis, of
    `random_state` and of numbers per row."""
    with pytest.raises(ValueError, match=message):
        sample_design(*arguments, **options)


@pytest.mark.parametrize("method", ["gvs", "mixture"])
@pytest.mark.parametrize("delta", [None, 0.5])
def test_density_that_leaves_rows_out_is_no_density_of_all_draws(method, delta):
    """Their weights would be infinite. Seen red without the check, and with a check of
    zeros only."""
    density = np.where(np.arange(300) < 290, 1.0, 0.0)
    options = {"zeta": 1.0, "delta": delta}
    message = "zero at rows 290, 291, 292, 293, 294 and others although"

    with pytest.raises(ValueError, match=message):
        draw(method, 24, density=density, **options)
    with pytest.raises(ValueError, match=message):
        draw(method, 24, density=np.maximum(density, 1e-310), **options)

    outside = draw(method, 24, F * density[:, None], density=density, **options)
    part = draw(method, 24, density=density, **options | {"zeta": 0.9})
    for design in (outside, part):
        assert np.isfinite(design.weights).all()
        assert design.lambda_min > 0.1


def test_design_without_an_eigenvalue_is_not_called_stable(monkeypatch):
    """Seen red with `lambda_min < least`, which NaN is not."""
    monkeypatch.setattr(
        laws, "eigenvalues", lambda rows, n: np.full(rows.shape[1], np.nan)
    )

    with pytest.warns(ConvergenceWarning, match="has nan"):
        design = draw("iid", 24, delta=0.5)

    assert design.n_tries == 50


def test_numbers_per_row_may_be_of_any_scale():
    """Seen red with sums of them, which overflow."""
    options = {"zeta": 0.5, "density": MASSES + 1.0, "measure": MASSES}
    large = {
        "density": list(2.0**1019 * (MASSES + 1.0)),
        "measure": list(2.0**1019 * MASSES),
    }

    same(draw("gvs", **options), draw("gvs", **options | large))


def test_rows_that_do_not_determine_the_functions_are_not_reduced():
    """Seen red with a division by zero instead."""
    F = np.zeros((1000, 3))
    F[:, 0] = 1.0
    F[:2, 1:] = np.eye(2)

    with pytest.raises(ValueError, match="do not determine all 3 functions"):
        draw("uniform", 10, F, reduce_to=4)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "qr"])
@pytest.mark.parametrize(
    "basis",
    [BASIS, HermiteBasis(9, loc=[0.0], scale=[1.0]).fit_domain()],
    ids=["not fitted", "fitted"],
)
def test_points_of_a_domain(method, basis):
    """Seen red with a point lost."""
    design = draw(method, 10 if method == "dpp" else 25, basis)

    assert design.indices is None
    n = 10 if method == "dpp" else 25
    assert len(design.points) == design.n_labels == design.n_draws == n
    assert (design.counts == 1).all()
    fitted = basis if hasattr(basis, "n_features_in_") else BASIS.fit_domain()
    phi = fitted.transform(design.points)
    G = (design.weights * phi.T) @ phi / design.n_draws
    assert np.linalg.eigvalsh(G)[0] == pytest.approx(design.lambda_min, rel=1e-6)
    if method in OPTIMAL:
        assert np.trace(G) == pytest.approx(10.0, rel=1e-10)


def test_parameters_that_a_basis_got_after_its_fit_count():
    """Seen red with a fitted basis taken as it is."""
    basis = LegendreBasis(1).fit([[0.0], [2.0]]).set_params(degree=3)

    design = sample_design(basis, 8, random_state=0)

    same_basis = LegendreBasis(3, bounds=[(0.0, 2.0)])
    expected = sample_design(same_basis, 8, random_state=0)
    assert_array_equal(design.points, expected.points, strict=True)
    assert basis.n_components_ == 2  # the caller's is as it was


def test_process_repeats_itself_with_an_int():
    """Seen red with the stream kept from `fit`."""
    model = ProjectionDPP(random_state=0).fit(F, sample_weight=MASSES)

    first, second, blocks = model.sample(), model.sample(), model.sample(4)

    same(first, second)
    assert first.unbiased
    assert not blocks.unbiased
    assert first.method == "dpp"
    assert blocks.n_draws == 4 * M
    assert model.rank_ == M
    assert_allclose(model.leverage_.sum(), M)
    assert (model.leverage_[MASSES == 0.0] == 0.0).all()
    with pytest.raises(ValueError, match="'n_blocks' argument"):
        model.sample(0)
    with pytest.raises(NotFittedError):
        ProjectionDPP().sample()


def test_dependent_features_are_dropped_with_a_warning():
    """Seen red with the warning left out."""
    wide = np.hstack([F, F @ RNG.normal(size=(M, 3))])

    with pytest.warns(UserWarning, match="3 of 9 depend linearly"):
        design = draw("dpp_repeat", 24, wide)

    assert_allclose(design.lambda_min, draw("dpp_repeat", 24).lambda_min, rtol=1e-6)


def test_one_constant_function_weighs_all_points_alike():
    """Seen red with weights without the rank."""
    for method in METHODS:
        design = draw(method, 1 if method == "dpp" else 9, np.ones((30, 1)))

        assert_allclose(design.weights, design.counts)
        assert design.lambda_min == pytest.approx(1.0)


def test_internal_options_are_the_public_ones():
    """Seen red with another default in one place."""
    public = inspect.signature(sample_design).parameters
    internal = inspect.signature(draw_design).parameters

    for name in public.keys() & internal.keys() - {"n_samples", "method"}:
        assert public[name].default == internal[name].default
