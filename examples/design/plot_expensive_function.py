"""
Approximate an expensive function
=================================

:meth:`kernelkit.DesignLeastSquares.fit_function` chooses where to evaluate a function,
here at one and a half points per polynomial. The error is several times less than from
as many uniform points, and falls as the polynomials become more. ``loo_error_``, which
needs no further evaluation, is a careful estimate of it.
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
labels, errors, estimates, uniform = [], [], [], []
for degree in range(2, 12):
    basis = LegendreBasis(degree, bounds=[(-1.0, 1.0)] * 2)
    model = DesignLeastSquares(basis, reduce_to=1.5, random_state=0)
    model.fit_function(expensive)
    labels.append(model.n_labels_)
    errors.append(np.std(model.predict(queries) - values))
    estimates.append(np.sqrt(model.loo_error_))
    model.set_params(sampling="uniform", reduce_to=None, delta=None)
    model.fit_function(expensive, n_samples=labels[-1])
    uniform.append(np.std(model.predict(queries) - values))

fig, ax = plt.subplots(layout="constrained")
ax.loglog(labels, uniform, "s:", color="C1", label="uniform points")
ax.loglog(labels, errors, "o-", color="C0", label="chosen points")
ax.loglog(labels, estimates, "k--", label="estimate for chosen points")
ax.set(xlabel="evaluations", ylabel="root mean square error")
ax.legend()
plt.show()
