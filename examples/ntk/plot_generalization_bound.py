"""
A bound on the error that says something
========================================

Bounds on the error at new rows, from the training rows alone, of machines with the
neural tangent kernel that tell benign from malignant cells. For C up to 1 the PAC-Bayes
bound is below a half, which guessing has; the one by Rademacher complexities never is.
The share of support vectors is a bound in expectation only. All are far above the error
at rows that were held out. These rows also scale the features: bounds allow the
training rows to choose C, but not the kernel.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from kernelkit import NTKSVC

X, y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit(X[400:]).transform(X)
Cs = np.logspace(-3, 2, 11)
names = {
    "rademacher": "Rademacher, for 95 % of training sets",
    "pac_bayes": "PAC-Bayes, for 95 % of training sets",
    "loo": "share of support vectors, in expectation",
}

models = NTKSVC().c_path(X[:400], y[:400], Cs)

fig, ax = plt.subplots(figsize=(7, 5), layout="constrained")
for method, name in names.items():
    ax.semilogx(Cs, [m.generalization_bound(method).bound for m in models], label=name)
errors = [1 - m.score(X[400:], y[400:]) for m in models]
ax.semilogx(Cs, errors, "k", label=f"error at {len(y) - 400} held out rows")
ax.axhline(0.5, color="0.7", linestyle="--", zorder=0)
ax.set(xlabel="C", ylabel="share of wrong predictions", ylim=(0, 1.03))
fig.legend(loc="outside upper center", ncols=2)
plt.show()
