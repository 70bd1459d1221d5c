"""
Approximate an expensive function
=================================

:meth:`kernelkit.DesignLeastSquares.fit_function` chooses where to evaluate a function,
some two to four points per polynomial. The error falls with the number of evaluations
as that of the best polynomials does, and ``loo_error_`` tells how far it is, from the
very same evaluations. As many uniform points are not enough.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import DesignLeastSquares, LegendreBasis


def expensive(points):
    """Stand in for a simulation with two inputs."""
    x, y = points.T
    return np.exp(-x) * np.sin(3.0 * y + x) / (1.3 + x * y)


queries = np.random.default_rng(1).uniform(-1.0, 1.0, size=(5000, 2))
values = expensive(queries)
rules = {"dpp_repeat": "chosen points", "uniform": "uniform points"}
errors = {rule: [] for rule in rules}
labels, estimates = [], []
for degree in range(1, 13):
    basis, n = LegendreBasis(degree, bounds=[(-1.0, 1.0)] * 2), "auto"
    for rule in rules:
        model = DesignLeastSquares(basis, sampling=rule, random_state=0)
        if rule == "uniform":
            model.set_params(delta=None, n_samples=labels[-1])
        model.fit_function(expensive)
        if rule == "dpp_repeat":
            labels.append(model.n_labels_)
            estimates.append(np.sqrt(model.loo_error_))
        errors[rule].append(np.sqrt(np.mean((model.predict(queries) - values) ** 2)))

fig, ax = plt.subplots(layout="constrained")
for rule, name in rules.items():
    ax.loglog(labels, errors[rule], "o-", label=f"error from {name}")
ax.loglog(labels, estimates, "k--", label="its estimate, loo_error_")
ax.set(xlabel="evaluations", ylabel="root mean square error")
ax.legend()
plt.show()
