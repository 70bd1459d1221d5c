"""Kernel methods that are exact or come with a guarantee.

Names are loaded on first use, so that ``import kernelkit`` stays cheap.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

__version__ = "0.1.0"

if _TYPE_CHECKING:  # what editors and type checkers see
    from kernelkit import datasets as datasets
    from kernelkit.density import MultivariateECDF as MultivariateECDF
    from kernelkit.density import ProductKernelDensity as ProductKernelDensity
    from kernelkit.density import ProductKernelRegressor as ProductKernelRegressor
    from kernelkit.density import ecdf as ecdf
    from kernelkit.density import empirical_copula as empirical_copula
    from kernelkit.density import select_bandwidth as select_bandwidth
    from kernelkit.design import ChebyshevBasis as ChebyshevBasis
    from kernelkit.design import Design as Design
    from kernelkit.design import DesignLeastSquares as DesignLeastSquares
    from kernelkit.design import FourierBasis as FourierBasis
    from kernelkit.design import HermiteBasis as HermiteBasis
    from kernelkit.design import LegendreBasis as LegendreBasis
    from kernelkit.design import OrthonormalBasis as OrthonormalBasis
    from kernelkit.design import ProjectionDPP as ProjectionDPP
    from kernelkit.design import sample_design as sample_design
    from kernelkit.kernels import ArcCosine as ArcCosine
    from kernelkit.kernels import Gaussian as Gaussian
    from kernelkit.kernels import Laplacian as Laplacian
    from kernelkit.kernels import Linear as Linear
    from kernelkit.kernels import Matern as Matern
    from kernelkit.kernels import NeuralTangent as NeuralTangent
    from kernelkit.kernels import Polynomial as Polynomial
    from kernelkit.ntk import NTKSVC as NTKSVC
    from kernelkit.ntk import NTKSVR as NTKSVR
    from kernelkit.ntk import EmpiricalKernelUQ as EmpiricalKernelUQ
    from kernelkit.ntk import FiniteWidthClassifier as FiniteWidthClassifier
    from kernelkit.ntk import FiniteWidthRegressor as FiniteWidthRegressor
    from kernelkit.ntk import equivalence_report as equivalence_report
    from kernelkit.ntk import ntk_gram as ntk_gram
    from kernelkit.nystroem import InkEstimate as InkEstimate
    from kernelkit.nystroem import NystroemRidge as NystroemRidge
    from kernelkit.nystroem import NystroemRidgeClassifier as NystroemRidgeClassifier
    from kernelkit.nystroem import NystroemRidgeCV as NystroemRidgeCV
    from kernelkit.nystroem import RidgeLeverageNystroem as RidgeLeverageNystroem
    from kernelkit.nystroem import effective_dimension as effective_dimension
    from kernelkit.nystroem import (
        exact_ridge_leverage_scores as exact_ridge_leverage_scores,
    )
    from kernelkit.nystroem import merge_sketches as merge_sketches
    from kernelkit.nystroem import rpcholesky as rpcholesky
    from kernelkit.plotting import AlphaPathDisplay as AlphaPathDisplay
    from kernelkit.plotting import DensityDisplay as DensityDisplay
    from kernelkit.plotting import DesignDisplay as DesignDisplay
    from kernelkit.plotting import ECDFDisplay as ECDFDisplay
    from kernelkit.plotting import EquivalenceDisplay as EquivalenceDisplay
    from kernelkit.plotting import LeverageDisplay as LeverageDisplay
    from kernelkit.plotting import PrecisionDisplay as PrecisionDisplay
    from kernelkit.rbf_network import GaussianRBFClassifier as GaussianRBFClassifier
    from kernelkit.rbf_network import GaussianRBFRegressor as GaussianRBFRegressor

_HOME = {
    "MultivariateECDF": "kernelkit.density",
    "ProductKernelDensity": "kernelkit.density",
    "ProductKernelRegressor": "kernelkit.density",
    "ecdf": "kernelkit.density",
    "empirical_copula": "kernelkit.density",
    "select_bandwidth": "kernelkit.density",
    "ChebyshevBasis": "kernelkit.design",
    "Design": "kernelkit.design",
    "DesignLeastSquares": "kernelkit.design",
    "FourierBasis": "kernelkit.design",
    "HermiteBasis": "kernelkit.design",
    "LegendreBasis": "kernelkit.design",
    "OrthonormalBasis": "kernelkit.design",
    "ProjectionDPP": "kernelkit.design",
    "sample_design": "kernelkit.design",
    "ArcCosine": "kernelkit.kernels",
    "Gaussian": "kernelkit.kernels",
    "Laplacian": "kernelkit.kernels",
    "Linear": "kernelkit.kernels",
    "Matern": "kernelkit.kernels",
    "NeuralTangent": "kernelkit.kernels",
    "Polynomial": "kernelkit.kernels",
    "EmpiricalKernelUQ": "kernelkit.ntk",
    "FiniteWidthClassifier": "kernelkit.ntk",
    "FiniteWidthRegressor": "kernelkit.ntk",
    "NTKSVC": "kernelkit.ntk",
    "NTKSVR": "kernelkit.ntk",
    "equivalence_report": "kernelkit.ntk",
    "ntk_gram": "kernelkit.ntk",
    "InkEstimate": "kernelkit.nystroem",
    "NystroemRidge": "kernelkit.nystroem",
    "NystroemRidgeCV": "kernelkit.nystroem",
    "NystroemRidgeClassifier": "kernelkit.nystroem",
    "RidgeLeverageNystroem": "kernelkit.nystroem",
    "effective_dimension": "kernelkit.nystroem",
    "exact_ridge_leverage_scores": "kernelkit.nystroem",
    "merge_sketches": "kernelkit.nystroem",
    "rpcholesky": "kernelkit.nystroem",
    "AlphaPathDisplay": "kernelkit.plotting",
    "DensityDisplay": "kernelkit.plotting",
    "DesignDisplay": "kernelkit.plotting",
    "ECDFDisplay": "kernelkit.plotting",
    "EquivalenceDisplay": "kernelkit.plotting",
    "LeverageDisplay": "kernelkit.plotting",
    "PrecisionDisplay": "kernelkit.plotting",
    "GaussianRBFClassifier": "kernelkit.rbf_network",
    "GaussianRBFRegressor": "kernelkit.rbf_network",
}
_SUBPACKAGES = (
    "datasets",
    "density",
    "design",
    "distributed",
    "kernels",
    "ntk",
    "nystroem",
    "plotting",
    "rbf_network",
)

__all__ = ["__version__", *_HOME, *_SUBPACKAGES]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(_import_module(_HOME[name]), name)
    if name in _SUBPACKAGES:
        return _import_module(f"kernelkit.{name}")
    raise AttributeError(f"module 'kernelkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
