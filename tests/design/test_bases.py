"""Product bases: quadrature, peers, names and domains."""

import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev, hermite_e, legendre
from scipy import special
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from kernelkit import _validation as check
from kernelkit.design.bases import (
    ChebyshevBasis,
    FourierBasis,
    HermiteBasis,
    LegendreBasis,
)
from kernelkit.design.index_sets import index_set

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 2)) * [1.0, 30.0]
BOUNDS = np.array([[-1.0, 2.0], [10.0, 10.5]])

BASES = {
    "legendre": LegendreBasis(bounds=BOUNDS),
    "chebyshev": ChebyshevBasis(bounds=BOUNDS),
    "fourier": FourierBasis(bounds=BOUNDS),
    "hermite": HermiteBasis(loc=[1.0, -5.0], scale=[2.0, 0.1]),
}
LEARNED = [LegendreBasis(), ChebyshevBasis(), FourierBasis(), HermiteBasis()]
BOUNDED = [LegendreBasis, ChebyshevBasis]

each_basis = pytest.mark.parametrize("name", BASES)
each_learned = pytest.mark.parametrize(
    "basis", LEARNED, ids=lambda basis: type(basis).__name__
)


def new(name, **params):
    return clone(BASES[name]).set_params(**params)


def rule(name, n_nodes):
    """Nodes and weights that integrate polynomials of degree 2 n - 1 exactly."""
    if name == "fourier":
        return 2.0 * np.arange(n_nodes) / n_nodes - 1.0, np.full(n_nodes, 1 / n_nodes)
    gauss = {
        "legendre": legendre.leggauss,
        "chebyshev": chebyshev.chebgauss,
        "hermite": hermite_e.hermegauss,
    }
    nodes, weights = gauss[name](n_nodes)
    return nodes, weights / weights.sum()


class TestOrthonormality:
    """Exact quadrature says so."""

    @each_basis
    @pytest.mark.parametrize("kind", ["total", "hyperbolic", "tensor"])
    def test_two_features(self, name, kind):
        """Seen red with a wrong step in each recurrence, and without sqrt(2)."""
        basis = new(name, degree=7, index_set=kind).fit_domain()
        nodes, weights = rule(name, 16)
        standard = np.array(list(product(nodes, nodes)))
        weights = np.outer(weights, weights).ravel()

        phi = basis.transform(basis.domain.from_standard(standard))

        gram = (phi * weights[:, None]).T @ phi
        np.testing.assert_allclose(gram, np.eye(basis.n_components_), atol=1e-12)

    @pytest.mark.parametrize("name", ["legendre", "chebyshev", "fourier"])
    def test_high_degree(self, name):
        """Seen red with a recurrence one degree short."""
        one = {"bounds": (0.0, 3.0), "degree": 200}
        basis = new(name, **one).fit_domain(1)
        nodes, weights = rule(name, 401)

        phi = basis.transform(basis.domain.from_standard(nodes[:, None]))

        gram = (phi * weights[:, None]).T @ phi
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-11)


class TestPeers:
    """SciPy evaluates the same polynomials."""

    @pytest.mark.parametrize(
        ("name", "function", "size"),
        [
            ("legendre", special.eval_legendre, lambda k: np.sqrt(2.0 * k + 1.0)),
            ("chebyshev", special.eval_chebyt, lambda k: np.sqrt(1.0 + (k > 0))),
            (
                "hermite",
                special.eval_hermitenorm,
                lambda k: np.exp(-0.5 * special.gammaln(k + 1.0)),
            ),
        ],
    )
    def test_values(self, name, function, size):
        """Seen red with the sign of the last term of the recurrence flipped."""
        basis = new(name, degree=30).fit_domain()
        standard = RNG.uniform(-1.0, 1.0, (100, 2))

        got = basis.transform(basis.domain.from_standard(standard))

        standard = basis.domain.to_standard(basis.domain.from_standard(standard))
        values = function(basis.indices_, standard[:, None, :]) * size(basis.indices_)
        expected = values.prod(axis=2)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)

    def test_sines_and_cosines(self):
        """Seen red with sines and cosines exchanged, and with angles in half turns."""
        basis = FourierBasis(degree=2, bounds=(1.0, 3.0)).fit_domain(1)
        x = np.linspace(1.0, 3.0, 9)
        angle = np.pi * (x - 1.0)

        got = basis.transform(x[:, None])

        waves = [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
        expected = np.column_stack([np.ones(9), *(np.sqrt(2.0) * np.array(waves))])
        np.testing.assert_allclose(got, expected, atol=1e-12)


class TestIndexSets:
    """Brute force lists the same."""

    @given(
        kind=st.sampled_from(["total", "hyperbolic", "tensor"]),
        n_features=st.integers(1, 4),
        degree=st.integers(0, 5),
    )
    @settings(max_examples=100)
    def test_definition(self, kind, n_features, degree):
        """Seen red with a hyperbolic rule that bounds another product."""
        got = index_set(kind, n_features, degree)

        inside = {
            "total": lambda j: j.sum() <= degree,
            "hyperbolic": lambda j: (j + 1).prod() <= degree + 1,
            "tensor": lambda j: True,
        }[kind]
        cube = product(range(degree + 1), repeat=n_features)
        assert len(got) == len({tuple(j) for j in got.tolist()})
        assert {tuple(j) for j in got.tolist()} == {
            j for j in cube if inside(np.array(j))
        }

    def test_order_is_that_of_polynomial_features(self):
        """Seen red with the last features first."""
        peer = PolynomialFeatures(4).fit(np.zeros((1, 3)))

        np.testing.assert_array_equal(index_set("total", 3, 4), peer.powers_)

    def test_too_many_are_refused_before_they_are_listed(self):
        with pytest.raises(MemoryError, match="lower the degree"):
            index_set("tensor", 30, 9)

    @pytest.mark.parametrize("kind", ["total", "hyperbolic", "tensor"])
    def test_members_are_counted_before_they_are_listed(self, kind, monkeypatch):
        """Seen red with factors of 1 among those of a product."""
        needed = []
        monkeypatch.setattr(check, "memory", lambda n_bytes, _: needed.append(n_bytes))

        for n_features, degree in product(range(1, 5), range(8)):
            indices = index_set(kind, n_features, degree)
            assert needed[-1] == 2 * indices.nbytes

    @pytest.mark.parametrize("kind", ["total", "hyperbolic", "tensor"])
    def test_far_too_many_are_refused_at_once(self, kind):
        """Seen red with a count in as many steps, which did not end."""
        with pytest.raises(MemoryError, match="lower the degree"):
            index_set(kind, 10_000, 9_000)

    @each_basis
    def test_degrees_have_a_ceiling(self, name):
        with pytest.raises(ValueError, match=r"'degree' parameter .* < 10000"):
            new(name, degree=10**9).fit([[0.0, 0.0]])

    def test_many_features_of_low_degree(self):
        """A cube to choose from would have 4^100 members."""
        assert index_set("hyperbolic", 100, 3).shape == (1 + 3 * 100 + 4950, 100)

    @each_basis
    def test_own_multi_indices(self, name):
        """Seen red with the degree, which is not used, as a limit."""
        basis = new(name, degree=1, index_set=[[0, 0], [5, 0], [2, 3]]).fit_domain()

        names = basis.get_feature_names_out().tolist()

        if name == "fourier":
            waves = product(["cos2(x0)", "sin2(x0)"], ["cos3(x1)", "sin3(x1)"])
            waves = ["".join(pair) for pair in waves]
            assert names == ["1", "cos5(x0)", "sin5(x0)", *waves]
        else:
            p = {"legendre": "P", "chebyshev": "T", "hermite": "He"}[name]
            assert names == ["1", f"{p}5(x0)", f"{p}2(x0){p}3(x1)"]

    @pytest.mark.parametrize(
        "indices",
        [
            [[0.5, 1]],
            [[-1, 0]],
            [[10_000, 0]],
            [[0, 1, 2]],
            [0, 1],
            np.empty((0, 2)),
            [["a", 0]],
            [[np.nan, 0]],
        ],
    )
    def test_wrong_multi_indices_are_refused(self, indices):
        """Seen red with the conditions removed, one by one."""
        words = "'index_set' parameter of LegendreBasis must be .* Got"

        with pytest.raises(ValueError, match=words):
            LegendreBasis(index_set=indices).fit(X)

    def test_repeated_multi_index_is_refused(self):
        """Seen red with the check removed."""
        with pytest.raises(ValueError, match="must not repeat a row"):
            LegendreBasis(index_set=[[1, 0], [1, 0]]).fit(X)


class TestDomain:
    """Where the functions live."""

    @each_learned
    def test_is_learned_from_rows(self, basis):
        """Seen red with the values of another column."""
        domain = clone(basis).fit(X).domain

        if isinstance(basis, HermiteBasis):
            np.testing.assert_allclose(domain.loc, X.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(domain.scale, X.std(axis=0), rtol=1e-12)
        else:
            np.testing.assert_array_equal(domain.low, X.min(axis=0))
            np.testing.assert_array_equal(domain.high, X.max(axis=0))

    @each_learned
    @pytest.mark.parametrize("value", [0.0, 0.1, -1e200, 5e-324])
    def test_constant_column_has_a_domain(self, basis, value):
        """Seen red without a margin, without a standard deviation of 1, and with a mean
        that rounding moves off the constant.
        """
        rows = np.full((12, 1), value)

        fitted = clone(basis).fit(rows)

        phi = fitted.transform(rows)
        assert np.isfinite(phi).all()
        assert (phi == phi[0]).all()
        if isinstance(basis, HermiteBasis):
            assert (fitted.domain.loc, fitted.domain.scale) == (value, 1.0)

    @each_learned
    @pytest.mark.parametrize("size", [5e-324, 1e-160, 1e200, 4e307])
    def test_size_of_the_numbers_does_not_matter(self, basis, size):
        """Seen red with squares of the numbers themselves."""
        rows = np.array([[-1.0], [0.0], [0.0], [1.0]])

        got = clone(basis).fit(size * rows).transform(size * rows)

        expected = clone(basis).fit(rows).transform(rows)
        atol = 1e-12 if size > 1e-300 else 5.0  # a denormal has no half
        np.testing.assert_allclose(got, expected, atol=atol)

    @pytest.mark.parametrize("Basis", BOUNDED)
    @pytest.mark.parametrize("size", [1e-3, 1.0, 1e5])
    def test_drawn_and_training_rows_are_inside(self, Basis, size):
        """Seen red with an upper end computed from the width."""
        rng = np.random.default_rng(0)
        for _ in range(100):
            rows = 1.0 + size * rng.normal(size=(20, 3))
            basis = Basis().fit(rows)

            basis.transform(rows)
            basis.transform(basis.domain.draw(20, rng))
            ends = np.array([[-1.0] * 3, [1.0] * 3])
            phi = basis.transform(basis.domain.from_standard(ends))
            assert np.isfinite(phi).all()

    @each_basis
    def test_draws_have_the_moments_of_the_law(self, name):
        """False alarms: 1e-5. Seen red with uniform draws for the arcsine law."""
        domain = new(name).fit_domain().domain
        moments = {"legendre": 1 / 3, "fourier": 1 / 3, "chebyshev": 0.5, "hermite": 1}

        standard = domain.to_standard(domain.draw(20_000, np.random.default_rng(3)))

        for power, expected in ((1, 0.0), (2, moments[name])):
            values = standard**power
            error = values.std(axis=0) / np.sqrt(len(values))
            assert (np.abs(values.mean(axis=0) - expected) < 4.9 * error).all()

    @pytest.mark.parametrize("Basis", BOUNDED)
    def test_rows_out_of_bounds_are_refused(self, Basis):
        """Seen red with the lower end unchecked."""
        basis = Basis(bounds=BOUNDS).fit_domain()

        for row in ([-1.01, 10.2], [0.0, 11.0]):
            with pytest.raises(ValueError, match=r"out of the bounds .* clip=True"):
                basis.transform([row])
            with pytest.raises(ValueError, match=r"out of the bounds .* clip=True"):
                basis.directions([row])

    @pytest.mark.parametrize("Basis", BOUNDED)
    def test_clip_takes_the_nearest_point_inside(self, Basis):
        """Seen red with ``clip`` ignored."""
        basis = Basis(bounds=BOUNDS, clip=True).fit_domain()

        got = basis.transform([[-9.0, 10.2], [0.0, 11.0]])

        np.testing.assert_array_equal(got, basis.transform([[-1, 10.2], [0, 10.5]]))

    def test_fourier_is_periodic(self):
        """Seen red with bounds that are enforced."""
        basis = FourierBasis(bounds=(0.0, 2.0)).fit_domain(1)

        got = basis.transform([[0.25], [2.25], [-7.75], [2e6 + 0.25]])

        np.testing.assert_allclose(got, got[[0] * 4], atol=1e-9)

    @each_basis
    def test_needs_no_rows(self, name):
        """Seen red with `n_features_in_` left out."""
        basis = new(name).fit_domain()

        assert basis.n_features_in_ == basis.domain.n_features == 2
        assert basis.domain.bounds.shape == (2, 2)
        rows = basis.domain.draw(5, np.random.default_rng(0))
        expected = new(name).fit(X).transform(rows)
        np.testing.assert_array_equal(basis.transform(rows), expected)

    @each_learned
    def test_says_that_it_needs_rows(self, basis):
        """Seen red with a domain of no rows."""
        with pytest.raises(ValueError, match=r"give .* number for each|pair for each"):
            clone(basis).fit_domain()
        with pytest.raises(ValueError, match="rows and was given none"):
            clone(basis).fit_domain(2)

    def test_counts_features_by_the_index_set(self):
        """Seen red with only the bounds asked."""
        basis = LegendreBasis(index_set=[[0, 1, 2]], bounds=(0, 1)).fit_domain()

        assert basis.n_features_in_ == 3

    def test_forgets_the_names_of_earlier_rows(self):
        """Seen red with the names kept."""
        pd = pytest.importorskip("pandas")
        basis = LegendreBasis(bounds=(-9.0, 9.0)).fit(pd.DataFrame({"a": [1.0]}))

        basis.fit_domain(2)

        assert basis.get_feature_names_out(["u", "v"])[1] == "P1(u)"


class TestFarOut:
    """Hermite polynomials grow without bound."""

    BASIS = HermiteBasis(100, loc=[0.0], scale=1.0).fit_domain()

    def test_directions_and_logs_say_what_transform_says(self):
        """Seen red with an exponent of the wrong sign."""
        x = np.linspace(-40.0, 40.0, 101)[:, None]

        directions, logs = self.BASIS.directions(x)

        phi = self.BASIS.transform(x)
        norms = np.linalg.norm(phi, axis=1)
        np.testing.assert_allclose(logs, 2.0 * np.log(norms), rtol=1e-13)
        np.testing.assert_allclose(directions, phi / norms[:, None], atol=1e-13)

    def test_two_features_whose_products_overflow(self):
        """Seen red with the power of one factor forgotten."""
        basis = HermiteBasis(40, loc=[0.0, 0.0], scale=1.0).fit_domain()
        near, far = np.array([[3.0, 40.0]]), np.array([[1e9, 1e9]])

        directions, logs = basis.directions(np.vstack([near, far]))

        phi = basis.transform(near)[0]
        assert logs[0] == pytest.approx(np.log(phi @ phi), rel=1e-13)
        # Leading terms: sum over k of x^(2k) y^(2l) / (k! l!) with k + l = 40.
        top = 80.0 * np.log(1e9) + 40.0 * np.log(2.0) - special.gammaln(41.0)
        assert logs[1] == pytest.approx(top, rel=1e-12)
        assert directions[1] @ directions[1] == pytest.approx(1.0)

    @pytest.mark.parametrize("x", [15.0, 1e5, 1e100, 1e300])
    def test_degree_100_is_finite(self, x):
        """Seen red with directions computed from `transform`."""
        directions, logs = self.BASIS.directions([[x], [-x]])

        assert np.isfinite(directions).all()
        assert np.isfinite(logs).all()
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
        assert logs[0] == logs[1]

    def test_overflow_is_refused(self):
        """Seen red with infinities handed out."""
        with pytest.raises(ValueError, match="overflow this far out"):
            self.BASIS.transform([[1e10]])
        with pytest.raises(ValueError, match="too far from the domain"):
            HermiteBasis(loc=0.0, scale=1e-300).fit(X).directions(1e30 * X)


@each_basis
def test_directions_are_normalised_values(name):
    """Seen red with logs of norms that are not squared."""
    basis = new(name).fit_domain()
    rows = basis.domain.draw(30, np.random.default_rng(1))

    directions, logs = basis.directions(rows)

    values = np.exp(0.5 * logs)[:, None] * directions
    np.testing.assert_allclose(values, basis.transform(rows), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)


def test_direction_where_all_functions_vanish_is_zero():
    """Seen red with 0 / 0."""
    basis = LegendreBasis(index_set=[[1]], bounds=(-1.0, 1.0)).fit_domain()

    directions, logs = basis.directions([[0.0]])

    assert directions.tolist() == [[0.0]]
    assert logs.tolist() == [-np.inf]


@each_learned
def test_names_and_frames(basis):
    """Seen red with `get_feature_names_out` removed."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b"])

    out = clone(basis).set_params(degree=2).set_output(transform="pandas")
    out = out.fit_transform(frame)

    expected = {
        "LegendreBasis": ["1", "P1(a)", "P1(b)", "P2(a)", "P1(a)P1(b)", "P2(b)"],
        "ChebyshevBasis": ["1", "T1(a)", "T1(b)", "T2(a)", "T1(a)T1(b)", "T2(b)"],
        "HermiteBasis": ["1", "He1(a)", "He1(b)", "He2(a)", "He1(a)He1(b)", "He2(b)"],
        "FourierBasis": ["1", "cos1(a)", "sin1(a)", "cos1(b)", "sin1(b)"],
    }[type(basis).__name__]
    assert list(out.columns)[: len(expected)] == expected
    assert len(out.columns) == 13 if isinstance(basis, FourierBasis) else 6


@each_basis
def test_pickles_and_pipelines(name):
    """Seen red with a domain that holds a function."""
    pipeline = make_pipeline(StandardScaler(), new(name, **learned(name))).fit(X)

    again = pickle.loads(pickle.dumps(pipeline))

    np.testing.assert_array_equal(again.transform(X), pipeline.transform(X))


def learned(name):
    if name == "hermite":
        return {"loc": "data", "scale": "data"}
    return {"bounds": "data"}


@pytest.mark.parametrize(
    ("Basis", "params", "words"),
    [
        (LegendreBasis, {"degree": -1}, "'degree' .* LegendreBasis must be a whole"),
        (LegendreBasis, {"degree": 1.5}, "'degree' parameter of LegendreBasis must be"),
        (LegendreBasis, {"index_set": "round"}, "'index_set' parameter of LegendreBas"),
        (LegendreBasis, {"bounds": (1.0, 1.0)}, "'bounds' .* low < high"),
        (LegendreBasis, {"bounds": (0.0, np.nan)}, "'bounds' .* finite"),
        (LegendreBasis, {"bounds": (0.0, np.inf)}, "'bounds' .* finite"),
        (LegendreBasis, {"bounds": [(0, 1)] * 3}, "'bounds' .* 2 of them"),
        (FourierBasis, {"bounds": ["a", "b"]}, "'bounds' parameter of FourierBasis"),
        (HermiteBasis, {"loc": [0.0] * 3}, "'loc' .* 2 of them"),
        (HermiteBasis, {"loc": np.inf}, "'loc' .* finite number"),
        (HermiteBasis, {"scale": 0.0}, "'scale' .* finite number > 0"),
        (HermiteBasis, {"scale": [1.0, np.nan]}, "'scale' .* finite number > 0"),
        (HermiteBasis, {"scale": "std"}, "'scale' parameter of HermiteBasis must be"),
    ],
)
def test_wrong_parameter_is_named(Basis, params, words):
    """Seen red with the checks removed, one by one."""
    with pytest.raises(ValueError, match=words):
        Basis(**params).fit(X)


@each_basis
def test_unfitted_says_so(name):
    """Seen red with the check removed from `domain`."""
    basis = new(name)

    for ask in (
        lambda: basis.domain,
        lambda: basis.transform(X),
        lambda: basis.directions(X),
        lambda: basis.get_feature_names_out(),
    ):
        with pytest.raises(NotFittedError):
            ask()
