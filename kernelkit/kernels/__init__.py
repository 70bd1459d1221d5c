"""Kernel functions k(X, Y) as objects, usable in every scikit-learn estimator."""

from kernelkit.kernels.dot_product import Linear, Polynomial
from kernelkit.kernels.neural import ArcCosine, NeuralTangent, ntk_gram
from kernelkit.kernels.stationary import Gaussian, Laplacian, Matern

__all__ = [
    "ArcCosine",
    "Gaussian",
    "Laplacian",
    "Linear",
    "Matern",
    "NeuralTangent",
    "Polynomial",
    "ntk_gram",
]
