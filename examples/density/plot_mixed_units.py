"""
Minutes and miles need a bandwidth each
=======================================

Flights by delay and distance. With one bandwidth for both, what suits minutes leaves a
spike at each distance, and what suits miles blurs the delays away.
:class:`kernelkit.ProductKernelDensity` has a bandwidth for each feature, in its unit.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import KernelDensity

from kernelkit import DensityDisplay, ProductKernelDensity
from kernelkit.datasets import load_flights

rows = load_flights().data[::40, [0, 3]]
density = ProductKernelDensity("gaussian", bandwidth="silverman").fit(rows)
minutes, miles = density.bandwidth_.round(1)

nodes = [np.linspace(-25, 45, 60), np.linspace(0, 2900, 500)]
mesh = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 2)
names = ["departure delay [minutes]", "distance [miles]"]
fig, axs = plt.subplots(1, 3, figsize=(13, 4), sharey=True, layout="constrained")
for ax, title, estimator in [
    (axs[0], f"scikit-learn: {minutes}", KernelDensity(bandwidth=minutes)),
    (axs[1], f"scikit-learn: {miles}", KernelDensity(bandwidth=miles)),
    (axs[2], f"kernelkit: {minutes} min, {miles} miles", density),
]:
    values = np.exp(estimator.fit(rows).score_samples(mesh)).reshape(60, 500)
    DensityDisplay(nodes, values, feature_names=names).plot(ax=ax)
    ax.set_title(title)
    ax.label_outer()
plt.show()
