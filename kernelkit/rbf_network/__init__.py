"""Networks of radial basis functions that learn which directions of the input matter."""

from kernelkit.rbf_network.classifier import GaussianRBFClassifier
from kernelkit.rbf_network.regressor import GaussianRBFRegressor

__all__ = ["GaussianRBFClassifier", "GaussianRBFRegressor"]
