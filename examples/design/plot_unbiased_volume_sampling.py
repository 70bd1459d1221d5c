"""
Unbiased estimates from few labels
==================================

Three hundred laboratories label 6 of 200 rows each and fit a cubic. If they draw rows
by volume-rescaled sampling, "gvs", their fits are on average the fit to all rows,
whatever the labels are. The mean of fits to uniform draws stays off however many there
are. The first 60 fits are grey.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import PolynomialFeatures

from kernelkit import DesignLeastSquares

rng = np.random.default_rng(0)
X = np.sort(rng.beta(1.0, 3.0, size=200))[:, None]
y = np.exp(3.0 * X[:, 0]) + rng.normal(size=200)
features = PolynomialFeatures(3, include_bias=False)
every = DesignLeastSquares(features, n_samples=None).fit(X, y).predict(X)

fig, axs = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for ax, rule in zip(axs, ["gvs", "uniform"], strict=True):
    model = DesignLeastSquares(
        features, sampling=rule, n_samples=6, count="draws", delta=None
    )
    fits = []
    for seed in range(300):
        fits.append(model.set_params(random_state=seed).fit(X, y).predict(X))
    ax.plot(X, np.transpose(fits[:60]), color="0.85", linewidth=0.8)
    ax.plot(X, every, color="black", label="fit to all rows")
    ax.plot(X, np.mean(fits, axis=0), "--", color="C1", label="mean of fits")
    ax.set(title=rule, xlabel="x", ylim=(-5, 20))
    ax.legend()
plt.show()
