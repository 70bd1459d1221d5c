"""
Three kernels on small data
===========================

Support vector machines learn 60 rows and predict the others. Their parameters, C and
the depth of the network or the length scale, are the best of 12 by cross-validation
within the 60 rows. The tangent kernel is on a par with the Gaussian and the Laplacian:
differences are about as large as the standard errors, and none leads everywhere.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn import datasets
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from kernelkit import Gaussian, Laplacian, NeuralTangent

loaders = datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer
loaders += (datasets.load_digits,)
splits = StratifiedShuffleSplit(6, train_size=60, random_state=0)

fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
for j, load in enumerate(loaders):
    X, y = load(return_X_y=True)
    root, d = np.sqrt(X.shape[1]), X.shape[1]
    grids = {
        "neural tangent": (NeuralTangent(sigma_b=0.1), "depth", [1, 2, 4]),
        "Gaussian": (Gaussian(), "length_scale", [root / 2, root, 2 * root]),
        "Laplacian": (Laplacian(), "length_scale", [d / 4, d / 2, d]),
    }
    for k, (name, (kernel, parameter, values)) in enumerate(grids.items()):
        grid = {"svc__C": [0.1, 1, 10, 100], f"svc__kernel__{parameter}": values}
        machine = make_pipeline(StandardScaler(), SVC(kernel=kernel))
        scores = cross_val_score(GridSearchCV(machine, grid, cv=3), X, y, cv=splits)
        ax.errorbar(
            j + 0.15 * (k - 1),
            100 - 100 * scores.mean(),
            100 * scores.std() / np.sqrt(len(scores)),
            fmt="osD"[k],
            color=f"C{k}",
            capsize=3,
            label=name if j == 0 else None,
        )
ax.set_xticks(range(4), [load.__name__.removeprefix("load_") for load in loaders])
ax.set(ylabel="wrong predictions, percent, with standard errors", ylim=(0, None))
ax.set_title("Learned from 60 rows, mean of 6 draws of them")
ax.legend()
plt.show()
