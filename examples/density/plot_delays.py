"""
Late departures stay late, early ones do not stay early
=======================================================

Of the flights that left latest, how many also belong to the same share of latest
arrivals? A joint survival function tells, and a joint distribution function tells the
same about the earliest: :class:`kernelkit.MultivariateECDF` has both, exactly.
"""

import matplotlib.pyplot as plt
import numpy as np

from kernelkit import MultivariateECDF
from kernelkit.datasets import load_flights

delays = load_flights().data[:, :2]  # departure and arrival, minutes
distribution = MultivariateECDF().fit(delays)

departure = np.unique(delays[:, 0])[:-1, None]
early = distribution.cdf(np.hstack([departure, np.full(departure.shape, np.inf)]))
arrival = np.quantile(delays[:, 1], early)[:, None]  # as many arrivals are earlier
thresholds = np.hstack([departure, arrival])

fig, ax = plt.subplots(layout="constrained")
for name, share, both, marker in [
    ("latest", 1.0 - early, distribution.survival(thresholds), "o"),
    ("earliest", early, distribution.cdf(thresholds), "s"),
]:
    shown = (share >= 0.002) & (share <= 0.5)
    ax.plot(share[shown], (both / share)[shown], marker, ms=4, label=f"{name} flights")
shares = np.geomspace(0.002, 0.5)
ax.plot(shares, shares, "--", color="gray", label="if independent")
ax.set(
    xscale="log",
    xlabel="share of the flights, by departure",
    ylabel="of these, also in that share by arrival",
    ylim=(0.0, 1.0),
)
ax.xaxis.set_major_formatter("{x:.0%}")
ax.yaxis.set_major_formatter("{x:.0%}")
ax.legend(loc="center left")
plt.show()
