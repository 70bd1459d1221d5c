"""Neural tangent kernels, and what they say about networks."""

from kernelkit.kernels import ntk_gram
from kernelkit.ntk.equivalence import equivalence_report
from kernelkit.ntk.finite_width import FiniteWidthClassifier, FiniteWidthRegressor
from kernelkit.ntk.svm import NTKSVC
from kernelkit.ntk.svr import NTKSVR
from kernelkit.ntk.uncertainty import EmpiricalKernelUQ

__all__ = [
    "NTKSVC",
    "NTKSVR",
    "EmpiricalKernelUQ",
    "FiniteWidthClassifier",
    "FiniteWidthRegressor",
    "equivalence_report",
    "ntk_gram",
]
