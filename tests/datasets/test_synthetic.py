import numpy as np
import pytest

from kernelkit.datasets import make_clayton, make_uniform
from kernelkit.density import ecdf

GENERATORS = [make_uniform, make_clayton]


@pytest.mark.statistical
@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("n_features", [1, 2, 3, 6])
def test_rows_follow_their_distribution(generator, n_features):
    """The multivariate Dvoretzky-Kiefer-Wolfowitz bound at a false-alarm rate of 1e-9.

    Seen red with the gamma draw of Clayton's copula shared by all rows.
    """
    n = 20_000

    X, cdf = generator(n, n_features, random_state=0)

    bound = np.sqrt(np.log(n_features * (n + 1) / 1e-9) / (2 * n))
    assert np.abs(ecdf(X) - cdf(X)).max() < bound


@pytest.mark.parametrize("theta", [0.01, 0.5, 2.0, 40.0])
def test_clayton_distribution_is_the_formula(theta):
    queries = np.random.default_rng(0).uniform(0.1, 1.0, size=(50, 4))
    _, cdf = make_clayton(theta=theta)

    got = cdf(queries)

    expected = ((queries**-theta).sum(axis=1) - 3) ** (-1 / theta)
    np.testing.assert_allclose(got, expected, rtol=1e-10)


@pytest.mark.parametrize("generator", GENERATORS)
def test_margins_are_uniform_and_the_cube_holds_everything(generator):
    _, cdf = generator()

    assert cdf([[0.3, 1.0], [2.0, 0.3], [1.0, 1.0]]) == pytest.approx([0.3, 0.3, 1.0])
    assert cdf([[0.0, 0.5], [-1.0, 2.0]]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("theta", [1e-3, 1e3, 1e6])
def test_clayton_neither_overflows_nor_underflows(theta):
    """Seen red with the formula's powers as they stand."""
    X, cdf = make_clayton(1000, 3, theta=theta, random_state=0)

    assert ((X > 0) & (X <= 1)).all()
    assert cdf([[1e-300, 1.0, 1.0]]) == pytest.approx([1e-300])


def test_strong_dependence_approaches_the_minimum():
    _, cdf = make_clayton(theta=1e3)

    got = cdf([[0.2, 0.6, 0.7], [0.5, 0.5, 0.5]])

    assert got == pytest.approx([0.2, 0.5], rel=2e-3)


@pytest.mark.parametrize("generator", GENERATORS)
def test_random_state_repeats_the_draws(generator):
    """Seen red with a generator that ignores it."""
    first, _ = generator(20, 3, random_state=7)

    again, _ = generator(20, 3, random_state=7)
    other, _ = generator(20, 3, random_state=8)

    np.testing.assert_array_equal(first, again, strict=True)
    assert (first != other).all()


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_random_state_may_be_a_generator_that_moves_on(generator, kind):
    source = kind(0)

    first, _ = generator(random_state=source)
    second, _ = generator(random_state=source)

    repeated, _ = generator(random_state=kind(0))
    np.testing.assert_array_equal(first, repeated, strict=True)
    assert (first != second).all()


@pytest.mark.parametrize("theta", [0, -1.0, np.nan, np.inf, "2", None])
def test_theta_out_of_range_is_refused(theta):
    with pytest.raises(ValueError, match="'theta' argument must be a finite"):
        make_clayton(theta=theta)
