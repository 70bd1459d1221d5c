"""
Which changes of an image cannot matter?
========================================

No change of the pixels of a handwritten 3 or 8 by less than its certified radius can
change the prediction; an attack finds one that does. The truth lies between. Support
vector machines and kernel regression on signs have the same kernel here. With a strong
penalty (a small C) they are alike. With a weak one, regression passes through its
training rows by large coefficients of both signs, and much less of its robustness can
be shown, although attacks need no smaller changes: a small certificate does not say
that a model is fragile.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from kernelkit import NTKSVC

X, y = load_digits(return_X_y=True)
chosen = np.isin(y, [3, 8])
X, y = X[chosen] / 16, y[chosen]
X, y, X_test = X[:200], y[:200], X[200:216]

Cs = np.logspace(-2, 2, 5)
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
names = {"hinge": "support vector machine", "squared": "kernel regression"}
for color, (loss, name) in zip(["C0", "C1"], names.items(), strict=True):
    models = NTKSVC(loss=loss).c_path(X, y, Cs)
    lower = [np.median(model.certify(X_test, clip=(0, 1))) for model in models]
    upper = [np.median(model.attack(X_test, clip=(0, 1))[0]) for model in models]
    ax.semilogx(Cs, upper, "v:", color=color, label=f"{name}: attack")
    ax.semilogx(Cs, lower, "o-", color=color, label=f"{name}: certified")
ax.set(xlabel="C", ylabel="change of a pixel; white to black is 1")
ax.set_ylim(0, None)
ax.set_title("Radii within which the prediction stays, median of 16 images")
ax.legend(loc="center right")
plt.show()
