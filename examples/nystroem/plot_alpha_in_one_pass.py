"""
A whole path of penalties in one pass
=====================================

:class:`kernelkit.NystroemRidgeCV` sums over the rows once and solves for every penalty.
Its generalised cross-validation is the cost of one fit, and chooses about as well as
five folds.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import AlphaPathDisplay, NystroemRidgeCV
from kernelkit.datasets import load_flights

flights = load_flights().data[::5].astype(float)
X = (flights - flights.mean(axis=0)) / flights.std(axis=0)
X, y = X[:, [0, 2, 3]], flights[:, 1]  # arrival delay from the other columns
alphas = np.logspace(-4, 4, 33)

fig, axs = plt.subplots(2, 1, figsize=(9, 8), layout="constrained")
for ax, scoring in zip(axs, [None, "r2"], strict=True):
    search = NystroemRidgeCV(
        alphas, n_components=300, scoring=scoring, fit_intercept=True, random_state=0
    ).fit(X, y)
    AlphaPathDisplay.from_estimator(search, ax=ax)
plt.show()
