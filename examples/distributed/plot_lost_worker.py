"""
A worker dies, and not a bit changes
====================================

Four million rows are generated chunk by chunk on two workers and never gathered.
:class:`kernelkit.distributed.MultivariateECDF` adds up integer counts of the chunks.
Those of a worker that is killed on the way are computed again.
"""

import os
import signal
import threading
import time

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from dask.distributed import Client

from kernelkit.distributed import MultivariateECDF

# In a script, start clients under ``if __name__ == "__main__":``.
client = Client(n_workers=2, threads_per_worker=1, dashboard_address=":0")

rng = da.random.default_rng(0)
shared, own = rng.exponential(size=(2, 4_000_000, 2), chunks=(1, 250_000, 2))
delays = 10 * own + 20 * shared[:, :1] - 15  # departure and arrival, minutes
axes = [np.linspace(-15, 120, 136)] * 2


def evaluate():
    """Return probabilities at the nodes, and the seconds that it took."""
    start = time.perf_counter()
    distribution = MultivariateECDF().fit(delays)
    return distribution.evaluate_grid(axes), time.perf_counter() - start


evaluate()  # workers import what they need
undisturbed, seconds = evaluate()
victim = next(iter(client.run(os.getpid).values()))
threading.Timer(seconds / 2, os.kill, (victim, signal.SIGKILL)).start()
disturbed, seconds_disturbed = evaluate()
survivors = client.run(os.getpid).values()
client.close()

print("killed:", victim not in survivors)
print("the same bits:", np.array_equal(undisturbed, disturbed))

fig, axs = plt.subplots(
    1, 2, figsize=(10, 4), width_ratios=(3, 2), layout="constrained"
)
levels = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
for values, style, color in ((undisturbed, "-", "C0"), (disturbed, ":", "C1")):
    axs[0].contour(
        *axes, values.T, levels, linestyles=style, colors=color, linewidths=3
    )
    axs[0].plot([], [], style, color=color, lw=3)
diagonal = np.interp(levels, undisturbed.diagonal(), axes[0])
for level, x in zip(levels, diagonal, strict=True):
    axs[0].text(x, x, f"{level:g}", ha="center", va="center", backgroundcolor="white")
axs[0].legend(axs[0].lines, ["two workers", "one of them killed"], loc=(0.54, 0.62))
axs[0].set(
    title=f"share of {len(delays):,} rows that are less in both",
    xlabel="delay at departure, minutes",
    ylabel="delay at arrival, minutes",
)
axs[1].barh([1, 0], [seconds, seconds_disturbed], color=["C0", "C1"])
axs[1].set_yticks([1, 0], ["two workers", "one of them\nkilled"])
axs[1].set(xlabel="seconds to fit and evaluate", title="what it costs")
plt.show()
