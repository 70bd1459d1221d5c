"""
Rare rows that a uniform sample misses
======================================

Five dense clusters hold 19 of 20 rows, the rest is anywhere. Uniformly drawn centres
crowd in the clusters; those that :class:`kernelkit.NystroemRidge` draws by leverage
scores go where rows stand alone as well, and as many of them predict better there.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import NystroemRidge
from kernelkit.datasets import make_clusters

X, y, target = make_clusters(20_000, 2, random_state=0)
nodes = np.linspace(-5.0, 5.0, 80)
grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)

fig, axs = plt.subplots(1, 3, figsize=(13, 4.2), sharey=True, layout="constrained")
axs[0].scatter(*X[::10].T, s=2, color="0.4")
axs[0].set(title="the rows", xlabel="x0", ylabel="x1")
for ax, rule in [(axs[1], "uniform"), (axs[2], "rls")]:
    model = NystroemRidge(
        0.1, gamma=0.5, n_components=100, centers=rule, random_state=0
    ).fit(X, y)
    error = np.abs(model.predict(grid) - target(grid)).reshape(80, 80)
    image = ax.pcolormesh(nodes, nodes, error, vmin=0, vmax=0.5, cmap="Blues")
    ax.scatter(*model.components_.T, s=6, color="C1", label="100 centres")
    ax.legend(loc="upper right")
    name = "drawn uniformly" if rule == "uniform" else "drawn by leverage"
    ax.set(title=f"{name}: mean error {error.mean():.2f}", xlabel="x0")
fig.colorbar(image, ax=axs, label="absolute error", extend="max")
plt.show()
