"""
Features that act only together
===============================

The target is ``x0 * x1 + sin(x2)``, and 17 more features are noise. ``x0`` alone says
nothing of it, so a random forest has to split at random before it can see the product.
The importances of :class:`kernelkit.GaussianRBFRegressor` are mean squared gradients of
the fitted function and cost nothing beyond the fit. The permutation importance of the
forest leaves the noise out as well, but describes a model that predicts much worse.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from kernelkit import GaussianRBFRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(1500, 20))
y = X[:, 0] * X[:, 1] + np.sin(X[:, 2]) + 0.2 * rng.normal(size=1500)
X_test, y_test, X, y = X[500:], y[500:], X[:500], y[:500]

network = GaussianRBFRegressor(random_state=0).fit(X, y)
forest = RandomForestRegressor(100, random_state=0).fit(X, y)
permuted = permutation_importance(forest, X_test, y_test, random_state=0)
rankings = {
    "network, gradients": (network, network.feature_importances_),
    "forest, impurity": (forest, forest.feature_importances_),
    "forest, permutation": (forest, permuted.importances_mean),
}

fig, axs = plt.subplots(1, 3, figsize=(12, 4.5), sharey=True, layout="constrained")
for ax, (name, (model, importances)) in zip(axs, rankings.items(), strict=True):
    shares = importances / importances.sum()
    ax.barh(range(20), shares, color=["C0"] * 3 + ["C1"] * 17)
    ax.set_title(f"{name}\n$R^2$ on new rows {model.score(X_test, y_test):.2f}")
    ax.set_xlabel("share of importance")
    noise = shares[3:].sum()
    ax.text(
        0.97, 0.5, f"noise: {noise:.0%}", color="C1", transform=ax.transAxes, ha="right"
    )
axs[0].set_yticks(range(20), [f"x{j}" for j in range(20)])
axs[0].invert_yaxis()
plt.show()
