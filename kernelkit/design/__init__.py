"""Which points to evaluate or label, and least squares on them."""

from kernelkit.design.bases import (
    ChebyshevBasis,
    FourierBasis,
    HermiteBasis,
    LegendreBasis,
)
from kernelkit.design.least_squares import DesignLeastSquares
from kernelkit.design.orthonormal_basis import OrthonormalBasis
from kernelkit.design.samplers import Design, ProjectionDPP, sample_design

__all__ = [
    "ChebyshevBasis",
    "Design",
    "DesignLeastSquares",
    "FourierBasis",
    "HermiteBasis",
    "LegendreBasis",
    "OrthonormalBasis",
    "ProjectionDPP",
    "sample_design",
]
