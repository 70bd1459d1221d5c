"""Design points from a continuous domain."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from kernelkit import _validation as check
from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.design import christoffel
from kernelkit.design.orthonormal import OrthonormalPool, orthonormalize
from kernelkit.design.sources import propose_dpp

Draw = Callable[[int, np.random.Generator], Array]
Evaluate = Callable[[Array], Array]

_ALIKE = 0.8, 1.25  # eigenvalues of a Gram matrix on rows that did not shape it
_FAR = 1e200  # a squared norm near which functions may overflow
_FEWEST_POINTS = 512  # in each half of a sampled pool
_MOST_POINTS = 2**17
_MOST_FOR_RANK = 2**15  # while nothing but the rank is in doubt


class BasisSource:
    """The domain of a product basis, and the law for which it is orthonormal.

    Draws are exact. A point is a row of coordinates.

    Parameters
    ----------
    basis : LegendreBasis, HermiteBasis, ChebyshevBasis or FourierBasis
        Fitted.
    """

    def __init__(self, basis: Any) -> None:
        self.basis = basis
        self.rank = basis.n_components_

    def christoffel(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points with density k/m."""
        return christoffel.draw(self.basis, n, rng)

    def measure(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of the law."""
        return self.basis.domain.draw(n, rng)

    def dpp(self, rng: np.random.Generator) -> Array:
        """Draw m points with density det[phi(x_1) ... phi(x_m)]^2 / m!."""
        basis = np.zeros((self.rank, self.rank))
        return propose_dpp(self, rng, basis, np.inf)

    def rows(self, points: Array) -> tuple[Array, Array]:
        """Evaluate phi / |phi| and k."""
        # Most points need neither the checks nor the scaling of `directions`.
        phi = self.basis._evaluate(self.basis.domain.to_standard(points))
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->i", phi, phi)
        if ((squares > 0.0) & (squares < _FAR)).all():
            return phi / np.sqrt(squares)[:, None], squares
        directions, log_christoffel = self.basis.directions(points)
        with np.errstate(over="ignore"):
            return directions, np.exp(log_christoffel)

    def log_rows(self, points: Array) -> tuple[Array, Array]:
        """Evaluate phi / |phi| and log k, which does not overflow."""
        return self.basis.directions(points)

    def density(self, points: Array) -> Array:
        """Evaluate the density of the law with respect to itself."""
        return np.ones(len(points))


def sample_pool(
    evaluate: Evaluate,
    draw: Draw,
    density: Evaluate | None = None,
    *,
    rng: np.random.Generator,
) -> tuple[Array, OrthonormalPool]:
    r"""Stand in for a measure by points drawn from it, enough for the features.

    Any features and any density will do. One half of the points makes the features
    orthonormal, the other half, which had no part in that, tells whether they are so:
    their number doubles until the eigenvalues of its Gram matrix lie in [0.8, 1.25].
    It also doubles, up to 65,536, while features seem to depend linearly on others:
    some of them may differ in places that are seldom drawn.

    Parameters
    ----------
    evaluate : callable
        Features of points, ``(n, d) -> (n, p)``.
    draw : callable
        ``(n, rng) -> (n, d)`` independent points of a law q.
    density : callable, optional
        ``(n, d) -> (n,)``, proportional to the density of the measure with respect to
        q, nonnegative; None for the measure q itself.
    rng : Generator

    Returns
    -------
    points : ndarray of shape (n_points, d)
    pool : OrthonormalPool
        Orthonormal on all these points.

    Warns
    -----
    ConvergenceWarning
        If the halves still differ at the largest number of points.
    UserWarning
        If features depend linearly on others on all of these points.
    """
    points = draw(2 * _FEWEST_POINTS, rng)
    F, masses = evaluate(points), _masses(density, points)
    while True:
        low, high, rank = _compare_halves(F, masses)
        is_alike = _ALIKE[0] <= low and high <= _ALIKE[1]
        is_full = rank == F.shape[1] or len(points) >= 2 * _MOST_FOR_RANK
        if (is_alike and is_full) or len(points) >= 2 * _MOST_POINTS:
            break
        check.memory(8 * 6 * F.size, "use fewer features")
        more = draw(len(points), rng)
        points = np.concatenate([points, more])
        F = np.concatenate([F, evaluate(more)])
        masses = np.concatenate([masses, _masses(density, more)])
    if not masses.any():
        raise ValueError(
            f"The density is zero at all of {len(points)} points: draw them where it "
            "is not."
        )
    pool = orthonormalize(F, masses)
    if not is_alike or rank < pool.rank:
        warn(
            f"{len(points)} points do not stand in for the measure: functions that "
            f"are orthonormal on one half of them, {rank} of {pool.rank}, have squared "
            f"norms from {low:.3g} to {high:.3g} on the other. Use fewer features, or "
            "draw from a law that favours where they are large.",
            ConvergenceWarning,
        )
    return points, pool


def _masses(density: Evaluate | None, points: Array) -> Array:
    """Weigh points by a density, which has to be nonnegative and finite."""
    if density is None:
        return np.ones(len(points))
    masses = np.asarray(density(points), dtype=np.float64)
    if masses.shape != (len(points),):
        raise ValueError(
            f"A density gives a number for each point: expected shape "
            f"({len(points)},), got {masses.shape}."
        )
    is_wrong = ~((masses >= 0.0) & (masses < np.inf))
    if is_wrong.any():
        i = int(is_wrong.argmax())
        raise ValueError(
            f"A density is nonnegative and finite. Got {masses[i]} at "
            f"{points[i].tolist()}."
        )
    return masses


def _compare_halves(F: Array, masses: Array) -> tuple[float, float, int]:
    """Make features orthonormal on every other row and measure them on the others.

    Returns the least and the greatest eigenvalue of their Gram matrix there, and the
    number of functions.
    """
    train, test = masses[::2], masses[1::2]
    is_enough = len(F) >= 8 * F.shape[1] and train.any() and test.any()
    if not (is_enough and F[::2][train > 0.0].any()):
        return 0.0, np.inf, 0
    change = orthonormalize(F[::2], train, tells=False).change
    phi = change.evaluate(F[1::2])
    test = test / test.max()  # whose sum may overflow
    gram = (phi * (test / test.sum())[:, None]).T @ phi
    values = np.linalg.eigvalsh(gram)
    return float(values[0]), float(values[-1]), len(change.kept)
