"""
Which rows should I label?
==========================

Suppose that looking up when a flight arrived costs money. A quadratic in its delay at
departure and its distance is fitted to 18 of 50,000 flights. Those that
:meth:`kernelkit.DesignLeastSquares.select` names include the long delays and distances
that few flights have but that the fit depends on; a uniform sample leaves them out.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from sklearn.preprocessing import PolynomialFeatures

from kernelkit import DesignDisplay, DesignLeastSquares
from kernelkit.datasets import load_flights

flights = load_flights().data.astype(float)
X, arrival = flights[:, [0, 3]] / [60.0, 1000.0], flights[:, 1]

fig, axs = plt.subplots(1, 2, figsize=(11, 4), sharex=True, layout="constrained")
names = {"dpp_repeat": "18 chosen flights", "uniform": "18 flights at random"}
for ax, (rule, name) in zip(axs, names.items(), strict=True):
    model = DesignLeastSquares(
        PolynomialFeatures(2, include_bias=False),
        sampling=rule,
        n_samples=18,
        delta=None,
        random_state=0,
    )
    labels = np.full(len(X), np.nan)
    rows = model.select(X).indices
    labels[rows] = arrival[rows]  # no others are known
    model.fit(X, labels)
    DesignDisplay.from_estimator(model, X, ax=ax, norm=LogNorm(1e-3, 10.0))
    error = np.sqrt(np.mean((model.predict(X) - arrival) ** 2))
    ax.set(title=f"{name}: error {error:.0f} min")
    ax.set(xlabel="delay at departure [h]", ylabel="distance [1000 miles]")
plt.show()
