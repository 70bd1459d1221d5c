"""Small bundled data, and synthetic problems whose truth is known."""

from kernelkit.datasets.clusters import make_clusters
from kernelkit.datasets.flights import load_flights
from kernelkit.datasets.synthetic import make_clayton, make_uniform

__all__ = ["load_flights", "make_clayton", "make_clusters", "make_uniform"]
