"""Radial basis function networks that learn which directions matter."""

from kernelkit.rbf_network.classifier import GaussianRBFClassifier
from kernelkit.rbf_network.regressor import GaussianRBFRegressor

__all__ = ["GaussianRBFClassifier", "GaussianRBFRegressor"]
