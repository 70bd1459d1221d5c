"""`kernelkit bench design`: what is its own; the frame is tested by bench ecdf."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from reference.design import dpp_law
from scipy.stats import binom

from kernelkit.cli.bench import design
from kernelkit.design.sources import PoolSource

METHODS = ["kernelkit", "chain", "DPPy"]
SMALL = ("bench", "design", "--n", "300", "--d", "2", "--repeat", "1")


def problem(n, d, n_option=(1,)):
    args = SimpleNamespace(n=n_option, seed=0, n_jobs=1)
    return design.problem(args, n, d)


@pytest.fixture(scope="module")
def small(run, tmp_path_factory):
    """Run a small problem; returns how it ended, and the record."""
    path = tmp_path_factory.mktemp("bench") / "a.json"
    ended = run(*SMALL, "--json", path)
    return ended, json.loads(path.read_text())


def test_every_method_draws_by_the_law(small):
    """Seen red with half of the features given to the judge."""
    ended, record = small

    assert ended.status == 0, ended.out.decode()
    assert [case["name"] for case in record["cases"]] == METHODS
    for case in record["cases"]:
        assert case["task"] == "design"
        assert case["warm_seconds"]["min"] > 0
        assert 0 < case["error"] <= case["tolerance"] == 1
        assert case["n_values"] == case["n_judged"] == 300 + 2 * design._CELLS + 1
        assert case["share"] == 1
    assert "of what chance allows, 1 allowed" in ended.out.decode()


def without_repulsion(source, rng):
    """Each row by its leverage, as it should be, but next to any other."""
    order = rng.permutation(len(source.leverage))
    passed = np.cumsum(source.leverage[order])
    return order[np.searchsorted(passed, rng.random() + np.arange(source.rank))]


def uniformly(source, rng):
    return rng.choice(len(source.leverage), source.rank, replace=False)


@pytest.mark.parametrize("wrong", [without_repulsion, uniformly])
def test_draws_of_another_law_are_a_mismatch(run, monkeypatch, wrong):
    """Seen red without holes, and with a tolerance of 5."""
    monkeypatch.setattr(PoolSource, "dpp", wrong)

    ended = run(*SMALL, "--against", "chain")

    assert ended.status == 4
    assert "MISMATCH: kernelkit, n = 300, d = 2" in ended.out.decode()
    assert "MISMATCH: chain" not in ended.out.decode()


def test_one_repeated_row_is_a_mismatch(run, monkeypatch):
    """Seen red without the count of repeated rows."""
    right = design._dppy

    def wrong(problem):
        blocks = right(problem)
        blocks[7, 2] = blocks[7, 5]
        return blocks

    monkeypatch.setattr(design, "_dppy", wrong)

    ended = run(*SMALL, "--against", "DPPy")

    assert ended.status == 4
    assert "MISMATCH: DPPy" in ended.out.decode()


def test_judge_knows_mean_and_variance():
    """By enumeration of all blocks. Seen red with the probability of a hole squared,
    and with the variance of independent rows."""
    small = problem(8, 1)

    law = dpp_law(small.pool.Q)
    counts = []
    for rows in law:
        has = np.isin(np.arange(8), rows)
        inside = (small.cells & has).sum(axis=1)
        counts.append(np.concatenate([has, inside, inside == 0]))
    p, counts = np.array(list(law.values())), np.array(counts, dtype=float)
    mean = p @ counts
    np.testing.assert_allclose(small.mean, mean, atol=1e-12)
    np.testing.assert_allclose(small.variance, p @ (counts - mean) ** 2, atol=1e-12)


def test_scores_are_relative_to_what_chance_allows():
    """By tails of the binomial law. Seen red with the logarithm to base 10."""
    known = problem(50, 1)
    block, n_blocks = np.arange(6), 300

    scores = known.judgeable(np.tile(block, (n_blocks, 1)))

    assert scores[-1] == 1.0
    p = known.mean[block]
    allowed = (n_blocks - n_blocks * p) / (scores[block] - 1.0)
    above = binom.sf(np.ceil(n_blocks * p + allowed) - 1, n_blocks, p)
    below = binom.cdf(np.floor(n_blocks * p - allowed), n_blocks, p)
    assert (above + below < design._FALSE_ALARM / len(known.mean)).all()
    assert (allowed < 12 * np.sqrt(n_blocks * p * (1 - p)) + 12).all()


def test_polynomials_of_flights_are_independent():
    """Seen red with all products of polynomials."""
    for d, m in enumerate([6, 21, 56, 126], start=1):
        assert problem(1000, d, n_option=None).pool.rank == m


def test_few_blocks_stand_for_many():
    """Seen red with as many blocks for all sizes."""
    assert design._blocks(300, 2) == design._BLOCKS
    assert design._blocks(50_000, 4) == design._FEWEST_BLOCKS
    assert design._share(50_000, 4) == design._FEWEST_BLOCKS / design._BLOCKS


def test_absent_peer_is_listed(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "dppy.exact_sampling", None)

    ended = run(*SMALL)

    assert ended.status == 0
    assert "(absent: pip install dppy)" in ended.out.decode()


def test_flights_have_four_features(run):
    assert run("bench", "design", "--d", "5").status == 2
