"""Display classes; matplotlib is imported when something is drawn."""

from kernelkit.plotting.ecdf import ECDFDisplay

__all__ = ["ECDFDisplay"]
