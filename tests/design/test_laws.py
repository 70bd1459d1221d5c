"""Laws of designs on pools of a few rows, where every outcome can be listed.

Draws are compared with exact probabilities by chi-square tests with fixed seeds; for a
new seed each fails with probability 1e-4.
"""

from collections import Counter
from dataclasses import replace
from itertools import combinations, combinations_with_replacement

import numpy as np
import pytest
from reference import design as reference
from scipy.stats import chisquare

from kernelkit.design import sources
from kernelkit.design.orthonormal import orthonormalize
from kernelkit.design.samplers import ProjectionDPP, draw_design, sample_design
from kernelkit.design.sources import PoolSource, chain_dpp

RNG = np.random.default_rng(0)
F = RNG.normal(size=(8, 3))
F[0] *= 6.0
Y = RNG.normal(size=8)
MASSES = RNG.uniform(0.5, 2.0, size=8)
MASSES /= MASSES.sum()
DENSITY = RNG.uniform(0.2, 3.0, size=8)
FALSE_ALARM = 1e-4

LINE = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])

each_pool = pytest.mark.parametrize("masses", [None, MASSES], ids=["equal", "unequal"])


def assert_follows(outcomes, law):
    """Compare a list of outcomes with their exact probabilities."""
    counts = Counter(outcomes)
    possible = [outcome for outcome, chance in law.items() if chance > 1e-13]
    assert set(counts) <= set(possible)
    expected = len(outcomes) * np.array([law[outcome] for outcome in possible])
    observed = np.array([counts[outcome] for outcome in possible])
    rare = expected < 5.0
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] == 0.0:
        observed, expected = observed[:-1], expected[:-1]
    assert chisquare(observed, expected).pvalue > FALSE_ALARM


def draw(n_times, features, *args, density=None, masses=None, **options):
    """Draw designs of one pool from one stream."""
    source = PoolSource(orthonormalize(features, masses), density)
    rng = np.random.default_rng(1)
    return [
        draw_design(source, *args, delta=None, rng=rng, **options)
        for _ in range(n_times)
    ]


def rows_drawn(designs):
    return [
        tuple(np.repeat(design.indices, design.counts).tolist()) for design in designs
    ]


def weights_of(method, masses, **options):
    """Learn the weight of each row from a design that has all of them."""
    n = 8 if method in ("volume", "uniform") else 2000
    design = sample_design(
        F, n, method, measure=masses, delta=None, random_state=0, **options
    )
    assert design.indices.tolist() == list(range(8))
    return design.weights / design.counts


def functions(masses):
    """Orthonormal functions, masses, and the coefficients of the projection of Y."""
    masses = np.full(8, 1 / 8) if masses is None else masses
    Q = reference.orthonormal(F, masses)
    return Q, Q / np.sqrt(masses)[:, None], masses, Q.T @ (np.sqrt(masses) * Y)


@each_pool
def test_interpolation_of_a_block_is_unbiased(masses):
    """The mean loss is m + 1 times the least one. Seen red with det instead of det^2
    as the law, and with leverage that forgets the masses."""
    Q, phi, masses_, projection = functions(masses)
    law = reference.dpp_law(Q)
    chances = np.array(list(law.values()))
    theta = np.array([np.linalg.solve(phi[list(S)], Y[list(S)]) for S in law])
    loss = np.square(Y - theta @ phi.T) @ masses_
    is_in = np.array([np.isin(range(8), S) for S in law])

    leverage = ProjectionDPP().fit(F, sample_weight=masses).leverage_

    np.testing.assert_allclose(chances.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(chances @ theta, projection, atol=1e-12)
    least = masses_ @ np.square(Y - phi @ projection)
    np.testing.assert_allclose(chances @ loss, 4.0 * least, rtol=1e-12)
    np.testing.assert_allclose(chances @ is_in, leverage, atol=1e-12)


def test_pairs_of_a_line_by_hand():
    """Seen red with row 3 moved to 4."""
    y = np.array([0.0, 1.0, 0.0, 2.0])
    model = ProjectionDPP(random_state=0).fit(LINE)

    law = reference.dpp_law(reference.orthonormal(LINE))
    beta = {S: np.linalg.solve(LINE[list(S)], y[list(S)]) for S in law}
    losses = {S: np.square(y - LINE @ beta[S]).sum() for S in law}

    by_hand = {
        **{(0, 1): 0.05, (0, 2): 0.2, (0, 3): 0.45},
        **{(1, 2): 0.05, (1, 3): 0.2, (2, 3): 0.05},
    }
    assert law == pytest.approx(by_hand, abs=1e-12)
    np.testing.assert_allclose(model.leverage_, [0.7, 0.3, 0.3, 0.7])
    np.testing.assert_allclose(sum(law[S] * beta[S] for S in law), [0, 0.5], atol=1e-12)
    assert sum(law[S] * losses[S] for S in law) == pytest.approx(4.5)
    assert_follows(rows_drawn(draw(2000, LINE, 2, "dpp")), by_hand)


def all_at_once(source):
    """Draw from proposals that are not given up."""
    return source.dpp


def by_chain(source):
    """Draw by the chain rule alone."""

    def dpp(rng):
        nothing = np.empty(0, dtype=np.int64)
        return chain_dpp(source.Q, source.leverage, nothing, np.zeros((3, 3)), rng)

    return dpp


def by_both(source):
    """Give proposals up after the first batch, which is often too small."""
    source._max_proposals = 1.0
    return source.dpp


def not_compiled(source):
    """Draw without compiled code."""
    plain = getattr(sources.accept_rows, "py_func", sources.accept_rows)

    def dpp(rng):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "accept_rows", plain)
            return source.dpp(rng)

    return dpp


@pytest.mark.statistical
@pytest.mark.parametrize("way", [all_at_once, by_chain, by_both, not_compiled])
@pytest.mark.parametrize("error", [0.0, 1e-7], ids=["exact", "not quite normalized"])
def test_blocks_follow_the_determinants(way, error):
    """Seen red with acceptance in proportion to the root of the new share, with a chain
    rule that does not subtract, and with one that ignores the rows chosen before."""
    n_times = 3000 if way is not_compiled else 10_000
    pool = orthonormalize(F)
    Q = pool.Q * (1.0 + error * np.random.default_rng(5).normal(size=pool.Q.shape))
    dpp = way(PoolSource(replace(pool, Q=Q)))
    rng = np.random.default_rng(2)

    blocks = [tuple(sorted(dpp(rng).tolist())) for _ in range(n_times)]

    assert_follows(blocks, reference.dpp_law(reference.orthonormal(F)))


@pytest.mark.statistical
def test_first_points_of_a_block_follow_the_leverage():
    """Seen red with blocks sorted before they are cut."""
    source = PoolSource(orthonormalize(F))
    rng = np.random.default_rng(3)

    firsts = [source.dpp(rng)[:2].tolist() for _ in range(4000)]

    law = dict(enumerate(source.leverage / 3))
    for place in range(2):
        assert_follows([pair[place] for pair in firsts], law)


@each_pool
@pytest.mark.parametrize(
    "options",
    [{"zeta": 1.0}, {}, {"zeta": 0.5, "density": DENSITY}],
    ids=["masses", "optimal", "mixture"],
)
def test_volume_rescaled_fits_are_unbiased(masses, options):
    """Over all sequences. Seen red with the weights of another zeta."""
    n, m = 5, 3
    Q, phi, masses_, projection = functions(masses)
    weights = weights_of("gvs", masses, **options)
    rows = reference.tuples(8, n)

    law = reference.gvs_law(Q, masses_, weights, n)

    np.testing.assert_allclose((masses_ / weights).sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(law.sum(), 1.0, rtol=1e-12)
    mixed = reference.block_and_draws_law(Q, masses_, weights, n)
    np.testing.assert_allclose(law, mixed, atol=1e-14)
    marginal = np.bincount(rows[:, 0], law)
    leverage = np.square(Q).sum(axis=1)
    share = m / n
    np.testing.assert_allclose(
        marginal, share * leverage / m + (1 - share) * masses_ / weights, rtol=1e-10
    )
    likely = law > 1e-25
    rows, law = rows[likely], law[likely]
    theta = reference.fits(phi, weights, Y, rows)
    np.testing.assert_allclose(law @ theta, projection, atol=1e-10)

    G = np.einsum("ti,tik,til->tkl", weights[rows], phi[rows], phi[rows]) / n
    mean_inverse = np.einsum("t,tkl->kl", law, np.linalg.inv(G))
    assert np.linalg.eigvalsh(mean_inverse).max() <= n / (n - m + 1) + 1e-9
    if not options:
        residual = Y - phi @ projection
        g = np.einsum("ti,tik->tk", (weights * residual)[rows], phi[rows]) / n
        bound = m / n * (masses_ @ np.square(residual))
        assert law @ np.square(g).sum(axis=1) <= bound


@each_pool
def test_independent_fits_are_biased(masses):
    """What unbiasedness is not: the same sum for independent optimal draws. Seen red
    with weights without the rank, and with the volume-rescaled law in place of theirs.
    """
    _, phi, masses_, projection = functions(masses)
    weights = weights_of("iid", masses)
    rows = reference.tuples(8, 5)
    law = (masses_ / weights)[rows].prod(axis=1)

    theta = reference.fits(phi, weights, Y, rows)

    np.testing.assert_allclose(law.sum(), 1.0, rtol=1e-12)
    assert np.abs(law @ theta - projection).max() > 0.01


@each_pool
def test_volume_sampling_is_unbiased(masses):
    """Over all sets of rows. Seen red with weights that forget the masses."""
    Q, phi, _, projection = functions(masses)
    weights = weights_of("volume", masses)

    law = reference.volume_law(Q, 5)

    dets = [np.linalg.det(Q[list(S)].T @ Q[list(S)]) for S in law]
    assert sum(dets) == pytest.approx(10.0, abs=1e-12)
    theta = reference.fits(phi, weights, Y, np.array(list(law)))
    mean = np.array(list(law.values())) @ theta
    np.testing.assert_allclose(mean, projection, atol=1e-12)
    assert law == pytest.approx(reference.block_and_rest_law(Q, 5), abs=1e-14)


@pytest.mark.statistical
@each_pool
def test_volume_sampling_follows_its_law(masses):
    """Seen red with a rest in the order of the rows."""
    law = reference.volume_law(reference.orthonormal(F, masses), 5)

    assert_follows(rows_drawn(draw(3000, F, 5, "volume", masses=masses)), law)


@pytest.mark.statistical
@pytest.mark.parametrize(
    "options", [{}, {"zeta": 0.6, "density": np.array([1.0, 3.0, 0.0, 2.0])}]
)
def test_volume_rescaled_draws_follow_their_law(options):
    """Seen red with the independent points drawn from the masses instead."""
    zeta, h = options.get("zeta", 0.0), options.get("density", np.ones(4))
    Q = reference.orthonormal(LINE)
    nu = (1 - zeta) * np.square(Q).sum(axis=1) / 2 + zeta * h / h.sum()
    law = dict.fromkeys(combinations_with_replacement(range(4), 3), 0.0)
    sequences = reference.gvs_law(Q, np.full(4, 0.25), 0.25 / nu, 3)
    for rows, chance in zip(reference.tuples(4, 3), sequences, strict=True):
        law[tuple(sorted(rows.tolist()))] += chance

    assert_follows(rows_drawn(draw(3000, LINE, 3, "gvs", **options)), law)


@pytest.mark.statistical
def test_independent_draws_follow_their_law():
    """Seen red with zeta and 1 - zeta exchanged."""
    optimal = reference.orthonormal(F, MASSES)
    optimal = np.square(optimal).sum(axis=1) / 3
    other = MASSES * DENSITY / (MASSES @ DENSITY)

    (iid,) = draw(1, F, 4000, "iid", masses=MASSES)
    (mixture,) = draw(1, F, 4000, "mixture", masses=MASSES, density=DENSITY, zeta=0.25)

    assert chisquare(iid.counts, 4000 * optimal).pvalue > FALSE_ALARM
    chances = 0.75 * optimal + 0.25 * other
    assert chisquare(mixture.counts, 4000 * chances).pvalue > FALSE_ALARM
    np.testing.assert_allclose(mixture.weights / mixture.counts, MASSES / chances)


@pytest.mark.statistical
def test_uniform_rows_are_equally_likely():
    """Seen red with rows drawn in proportion to their masses."""
    law = dict.fromkeys(combinations(range(4), 2), 1 / 6)

    designs = draw(3000, LINE, 2, "uniform", masses=np.array([0.1, 0.2, 0.3, 0.4]))

    assert_follows(rows_drawn(designs), law)


@each_pool
def test_uniform_rows_stand_for_all_rows(masses):
    """The mean of G over all sets of rows is I, and all rows make weighted least
    squares. Seen red with weights of 1."""
    _, phi, _, projection = functions(masses)
    weights = weights_of("uniform", masses)
    sets = np.array(list(combinations(range(8), 5)))

    G = np.einsum("ti,tik,til->tkl", weights[sets], phi[sets], phi[sets]) / 5

    np.testing.assert_allclose(G.mean(axis=0), np.eye(3), atol=1e-12)
    theta = reference.fits(phi, weights, Y, np.arange(8)[None])
    np.testing.assert_allclose(theta[0], projection, atol=1e-12)


def waiting_law(chances, n, most):
    """Probability of each tally of independent draws that stop at n different rows."""
    law, going_on = Counter(), {(0,) * len(chances): 1.0}
    for _ in range(most):
        so_far, going_on = going_on, Counter()
        for tally, probability in so_far.items():
            for row, chance in enumerate(chances):
                after = (*tally[:row], tally[row] + 1, *tally[row + 1 :])
                ends = np.count_nonzero(after) == n
                (law if ends else going_on)[after] += probability * chance
    return dict(law) | {"later": sum(going_on.values())}


@pytest.mark.statistical
def test_waiting_follows_the_law_of_independent_draws():
    """Until rows are different. Seen red with the repeats of earlier rows left out, or
    those of new rows, with times that do not depend on the chances, and with the draws
    before forgotten."""
    masses = np.array([0.5, 0.25, 0.15, 0.1])

    designs = draw(4000, np.ones((4, 1)), 3, "iid", masses=masses, count="labels")

    tallies = np.zeros((4000, 4), dtype=int)
    for tally, design in zip(tallies, designs, strict=True):
        tally[design.indices] = design.counts
    outcomes = [
        tuple(tally) if sum(tally) <= 10 else "later" for tally in tallies.tolist()
    ]
    assert_follows(outcomes, waiting_law(masses, 3, 10))
