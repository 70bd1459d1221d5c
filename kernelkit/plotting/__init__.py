"""Display classes; matplotlib is imported when something is drawn."""

from kernelkit.plotting.density import DensityDisplay
from kernelkit.plotting.ecdf import ECDFDisplay

__all__ = ["DensityDisplay", "ECDFDisplay"]
