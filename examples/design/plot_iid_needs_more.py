"""
Why independent points need more of them
========================================

Independent draws now and then leave a gap, or two of them fall on one spot: even from
their optimal distribution it takes many to make least squares stable. The points of a
block of :func:`kernelkit.sample_design` keep apart from each other, and blocks reach a
least eigenvalue of 1/2 with half the points. Lines are medians, bands reach from the
first to the last decile.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import DesignDisplay, DesignLeastSquares, LegendreBasis

basis = LegendreBasis(19, bounds=[(-1.0, 1.0)])  # m = 20 functions
model = DesignLeastSquares(basis, random_state=0)
model.fit_function(lambda points: np.exp(points[:, 0]))

display = DesignDisplay.from_estimator(model, kind="stability")
display.ax_.set(title=f"{model.rank_} polynomials")
plt.show()
