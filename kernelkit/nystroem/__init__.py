"""Ridge leverage scores, streaming sketches and kernel ridge regression at scale."""

from kernelkit.nystroem.centers import rpcholesky
from kernelkit.nystroem.classifier import NystroemRidgeClassifier
from kernelkit.nystroem.ink_estimate import InkEstimate
from kernelkit.nystroem.leverage import (
    effective_dimension,
    exact_ridge_leverage_scores,
)
from kernelkit.nystroem.ridge import NystroemRidge
from kernelkit.nystroem.ridge_cv import NystroemRidgeCV
from kernelkit.nystroem.sketch import RidgeLeverageNystroem, merge_sketches

__all__ = [
    "InkEstimate",
    "NystroemRidge",
    "NystroemRidgeCV",
    "NystroemRidgeClassifier",
    "RidgeLeverageNystroem",
    "effective_dimension",
    "exact_ridge_leverage_scores",
    "merge_sketches",
    "rpcholesky",
]
