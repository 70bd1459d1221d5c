"""
Let the rows left out choose the bandwidth
==========================================

A reference rule knows the spread of the rows, but not that they form groups. How likely
is each row, given the others? That curve over the bandwidth has its top elsewhere, and
``bandwidth="cv_ml"`` of :class:`kernelkit.ProductKernelDensity` finds it.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import ProductKernelDensity

rng = np.random.default_rng(0)
centers = np.array([[0.0, 0.0], [6.0, 1.0], [3.0, 5.0], [9.0, 6.0]])
rows = centers[rng.integers(4, size=2_000)] + 0.5 * rng.normal(size=(2_000, 2))


def likelihood(density):
    """Mean log density of each row, had it been left out."""
    return density.loo_log_density().mean()


rule = ProductKernelDensity().fit(rows)
factors = np.geomspace(0.02, 3.0, 30)
curve = [
    likelihood(ProductKernelDensity(bandwidth=factor * rule.bandwidth_).fit(rows))
    for factor in factors
]
found = ProductKernelDensity(bandwidth="cv_ml").fit(rows)

fig, ax = plt.subplots(layout="constrained")
ax.plot(factors * rule.bandwidth_[0], curve, color="gray")
for name, density, marker in [("normal_reference", rule, "s"), ("cv_ml", found, "o")]:
    ax.plot(density.bandwidth_[0], likelihood(density), marker, label=name)
ax.set(xscale="log", xlabel="bandwidth of x0", ylabel="mean log density")
ax.legend(title="bandwidth=")
plt.show()
