"""
A wide network becomes a support vector machine
===============================================

Networks with the hinge loss and a penalty on the distance from their initial weights
are trained on two moons, each by the steps that subgradient descent takes in the space
of the neural tangent kernel. Their outputs approach those of the kernel machine as the
root of the width, and the kernels of wide ones hardly move. All of them agree in nearly
all classes after these 500 steps, which are not yet those of the optimum. This is what
:func:`kernelkit.equivalence_report` measures and
:class:`kernelkit.EquivalenceDisplay` draws.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

from kernelkit import EquivalenceDisplay, equivalence_report

X, y = make_moons(150, noise=0.2, random_state=0)
X_test, _ = make_moons(200, noise=0.2, random_state=1)
report = equivalence_report(
    X,
    y,
    X_test,
    widths=(32, 128, 512, 2048),
    n_seeds=4,
    sigma_b=0.5,
    max_iter=500,
    random_state=0,
)
EquivalenceDisplay(report).plot()
plt.show()
