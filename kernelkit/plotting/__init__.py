"""Display classes; matplotlib is imported when something is drawn."""

from kernelkit.plotting.alpha_path import AlphaPathDisplay
from kernelkit.plotting.density import DensityDisplay
from kernelkit.plotting.design import DesignDisplay
from kernelkit.plotting.ecdf import ECDFDisplay
from kernelkit.plotting.equivalence import EquivalenceDisplay
from kernelkit.plotting.leverage import LeverageDisplay
from kernelkit.plotting.precision import PrecisionDisplay

__all__ = [
    "AlphaPathDisplay",
    "DensityDisplay",
    "DesignDisplay",
    "ECDFDisplay",
    "EquivalenceDisplay",
    "LeverageDisplay",
    "PrecisionDisplay",
]
