"""
A million rows, exactly, at any magnification
=============================================

The Hénon map draws threads that are bundles of finer threads. 400 x 400 bins lose them;
:class:`kernelkit.ProductKernelDensity` is exact on any grid, also inside a small frame.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import ProductKernelDensity

x, y = np.random.default_rng(0).uniform(-0.1, 0.1, size=(2, 10_000))
orbit = np.empty((120, 2, 10_000))
for step in orbit:
    step[:] = x, y = 1.0 - 1.4 * x**2 + y, 0.3 * x
rows = orbit[20:].transpose(0, 2, 1).reshape(-1, 2)

counts, *bins = np.histogram2d(*rows.T, bins=400, density=True)
grid = [np.linspace(0.60, 0.66, 400), np.linspace(0.180, 0.195, 400)]
start = time.perf_counter()
density = ProductKernelDensity(bandwidth=[2e-4, 6e-5]).fit(rows).evaluate_grid(grid)
seconds = time.perf_counter() - start

fig, axs = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
colors = plt.colormaps["magma_r"].with_extremes(under="white")
for ax, nodes, values, (xs, ys), title in [
    (axs[0], bins, counts, bins, "binned, with a small frame"),
    (axs[1], bins, counts, grid, "binned, in the frame"),
    (axs[2], grid, density, grid, f"exact, {len(rows):,} rows in {seconds:.1f} s"),
]:
    mesh = ax.pcolormesh(*nodes, values.T, norm="log", vmin=1, vmax=1e3, cmap=colors)
    ax.set(xlim=xs[[0, -1]], ylim=ys[[0, -1]], title=title, xlabel="x", ylabel="y")
axs[0].indicate_inset((0.60, 0.18, 0.06, 0.015), edgecolor="black", alpha=1.0, lw=2)
fig.colorbar(mesh, ax=axs, label="density", extend="min")
plt.show()
