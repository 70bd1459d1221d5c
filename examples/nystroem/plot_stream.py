"""
A stream learned in bounded memory
==================================

:class:`kernelkit.NystroemRidge` takes batches as they come and keeps centres and sums
over rows, never the rows. The test error falls as if they were there; the size of the
model does not grow.
"""

import pickle

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import NystroemRidge
from kernelkit.datasets import make_clusters

queries, _, target = make_clusters(2_000, random_state=1_000)
model = NystroemRidge(0.1, gamma=0.5, n_components=200, random_state=0)

rows, errors, sizes = [], [], []
for batch in range(100):
    X, y, _ = make_clusters(1_000, noise=0.5, random_state=batch)
    model.partial_fit(X, y)
    if batch < 10 or batch % 10 == 9:
        rows.append(model.n_samples_seen_)
        gaps = model.predict(queries) - target(queries)
        errors.append(np.sqrt(np.mean(gaps**2)))
        sizes.append(len(pickle.dumps(model)) / 2**20)

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.loglog(rows, errors, "o-")
left.set(xlabel="rows so far", ylabel="root mean square error")
right.semilogx(rows, np.array(rows) * 4 * 8 / 2**20, "--", label="the rows")
right.semilogx(rows, sizes, "o-", label="the model")
right.set(xlabel="rows so far", ylabel="size [MiB]")
right.legend()
plt.show()
