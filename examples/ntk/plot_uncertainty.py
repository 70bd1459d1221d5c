"""
How sure is a trained network?
==============================

A network of scikit-learn is trained, and then left as it is.
:class:`kernelkit.EmpiricalKernelUQ` takes the last hidden layer as features, whose
posterior variance grows with the distance from the training rows, and gives it its unit
by rows that were held out. Where training rows are, the intervals hold as many targets
as they promise. Beyond they widen, and yet hold far fewer: they tell that the network
is less sure there, not where the truth is, which nothing in the data says.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neural_network import MLPRegressor

from kernelkit import EmpiricalKernelUQ

rng = np.random.default_rng(0)


def target(x):
    return np.sin(2 * x) + x / 2


X = rng.uniform(-2, 2, size=(400, 1))
y = target(X[:, 0]) + 0.2 * rng.normal(size=400)
network = MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=1000, random_state=0)
model = EmpiricalKernelUQ(network, random_state=0).fit(X, y)

grid = np.linspace(-4, 4, 401)[:, None]
low, high = model.predict_interval(grid)
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
ax.fill_between(grid[:, 0], low, high, alpha=0.3, label="90 % intervals")
ax.plot(grid, model.predict(grid), label="network")
ax.plot(grid, target(grid), "k--", linewidth=1, label="truth")
ax.plot(X, y, ".", color="0.5", markersize=3, label="training rows")
shares = {}
for place, x in {"-2 to 2": (-2, 2), "2 to 4": (2, 4)}.items():
    Z = rng.uniform(*x, size=(2000, 1))
    low, high = model.predict_interval(Z)
    t = target(Z[:, 0]) + 0.2 * rng.normal(size=2000)
    shares[place] = np.mean((low <= t) & (t <= high))
ax.set_title(", ".join(f"{p}: {s:.0%} of new targets held" for p, s in shares.items()))
ax.set(xlabel="x", ylabel="y")
ax.legend()
plt.show()
