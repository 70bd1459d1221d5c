"""
One direction among thirty features
===================================

The target depends on a single slanted direction of 30 features. Along any one feature
the rows are a cloud. :class:`kernelkit.GaussianRBFRegressor` finds the direction in 300
rows, up to a degree or two, and along it the targets fall on a curve.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import GaussianRBFRegressor, PrecisionDisplay

rng = np.random.default_rng(0)
truth = rng.normal(size=30)
truth /= np.linalg.norm(truth)
X = rng.normal(size=(300, 30))
y = np.sin(2 * X @ truth) + X @ truth / 2 + 0.1 * rng.normal(size=300)

model = GaussianRBFRegressor(random_state=0).fit(X, y)
learned = model.active_subspace_[1][:, 0] / model.scale_  # for rows as they are
learned *= np.sign(learned @ truth) / np.linalg.norm(learned)
angle = np.degrees(np.arccos(learned @ truth))
strongest = np.abs(truth).argmax()

fig, axs = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
axs[0].scatter(X[:, strongest], y, s=12, alpha=0.8, linewidths=0)
axs[0].set(xlabel=f"feature {strongest}", ylabel="target")
axs[0].set_title("the feature with the largest coefficient")
PrecisionDisplay.from_estimator(
    model, X, y, kind="projection", n_components=1, ax=axs[1]
)
axs[1].set_title("the learned direction")
axs[2].axline((0, 0), slope=1, color="0.7", zorder=0)
axs[2].plot(truth, learned, "o")
axs[2].set(xlabel="true coefficient", ylabel="learned coefficient")
axs[2].set_title(f"they are {angle:.1f} degrees apart")
plt.show()
