"""
Two dimensions for a classifier
===============================

The class says whether a row is in a disc of a slanted plane of 20 features. Principal
components do not know the classes, and a linear discriminant cannot see a disc; a
:class:`kernelkit.GaussianRBFClassifier` of rank 2 learns the plane. As a transformer in
a pipeline it hands two coordinates to any other estimator, here nearest neighbours.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from kernelkit import GaussianRBFClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(1000, 20))
plane = np.linalg.qr(rng.normal(size=(20, 2)))[0]
y = np.where(((X @ plane) ** 2).sum(axis=1) > 1.4, "outside", "inside")

reductions = {
    "principal components": PCA(2),
    "linear discriminant": LinearDiscriminantAnalysis(),
    "learned precision of rank 2": GaussianRBFClassifier(
        precision="low_rank", rank=2, random_state=0
    ),
}
fig, axs = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
for ax, (name, reduction) in zip(axs, reductions.items(), strict=True):
    classifier = make_pipeline(reduction, KNeighborsClassifier(15))
    accuracy = cross_val_score(classifier, X, y, cv=5).mean()
    T = classifier.fit(X[:500], y[:500])[0].transform(X[500:])
    for label in ["inside", "outside"]:
        rows = T[y[500:] == label]
        heights = rows[:, 1] if T.shape[1] == 2 else rng.uniform(size=len(rows))
        ax.scatter(rows[:, 0], heights, s=12, label=label)
    ax.set_title(f"{name}\naccuracy of neighbours {accuracy:.2f}")
    ax.set_xlabel("coordinate 1")
    if T.shape[1] == 2:
        ax.set_ylabel("coordinate 2")
    else:
        ax.set(yticks=[], ylabel="(spread at random)")
axs[0].legend(title="new rows")
plt.show()
