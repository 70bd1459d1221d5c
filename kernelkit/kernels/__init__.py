"""Kernel functions k(X, Y) as objects, usable in every scikit-learn estimator."""

from kernelkit.kernels.neural import NeuralTangent, ntk_gram

__all__ = ["NeuralTangent", "ntk_gram"]
