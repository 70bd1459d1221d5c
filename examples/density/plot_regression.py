"""
A local line sees further than a local mean
===========================================

Late departures arrive late, but by how much? Few flights are very late. There a mean
over neighbours needs a narrow bandwidth, as it lags behind the trend, and follows
single flights; a line through them affords a wide one. The error of flights that are
left out, from :meth:`~kernelkit.ProductKernelRegressor.loo_predict`, shows it without a
second sample; dots mark the bandwidths that ``fit`` chose.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import ProductKernelRegressor
from kernelkit.datasets import load_flights

flights = load_flights().data[:1000]
departure, arrival = flights[:, :1], flights[:, 1]  # delays in minutes

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
right.plot(departure, arrival, ".", color="gray", alpha=0.5, label="flights")
bandwidths, queries = np.geomspace(0.5, 300.0, 25), np.arange(-20.0, 400.0)[:, None]
for order, name, style in [(0, "local mean", "--"), (1, "local line", "-")]:
    chosen = ProductKernelRegressor(order=order).fit(departure, arrival)
    errors = []
    for width in [*bandwidths, *chosen.bandwidth_]:
        trial = ProductKernelRegressor(order=order, bandwidth=width)
        rest = arrival - trial.fit(departure, arrival).loo_predict()
        errors.append(np.sqrt(np.mean(rest**2)))
    [line] = left.plot(bandwidths, errors[:-1], style, label=name)
    left.plot(chosen.bandwidth_, errors[-1], "o", color=line.get_color())
    right.plot(queries, chosen.predict(queries), style, color=line.get_color())
left.set(xscale="log", xlabel="bandwidth, minutes", ylabel="error of left-out flights")
right.set(xlabel="departure delay, minutes", ylabel="arrival delay, minutes")
left.legend()
right.legend()
plt.show()
