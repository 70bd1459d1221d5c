"""Rows that fit into no worker, and the memory that they take in each process.

``python tests/streaming.py ecdf --n 20000000`` prints figures as JSON.
"""

import argparse
import json
import threading
import time
from contextlib import contextmanager

import numpy as np
import psutil
from chunked import generated, targets
from dask.distributed import Client
from kills import local_cluster

from kernelkit import distributed


class Peaks:
    """Highest resident memory of this process and of workers while something runs."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._here = psutil.Process()
        self.before = self._here.memory_info().rss
        self.here = self.before
        self.workers = {}

    def look(self):
        """Measure once."""
        self.here = max(self.here, self._here.memory_info().rss)
        for nanny in list(self._cluster.workers.values()):
            if nanny.pid is not None:
                rss = psutil.Process(nanny.pid).memory_info().rss
                self.workers[nanny.pid] = max(rss, self.workers.get(nanny.pid, 0))

    @classmethod
    @contextmanager
    def of(cls, cluster):
        """Measure every 20 ms."""
        peaks = cls(cluster)
        is_over = threading.Event()

        def watch():
            while not is_over.wait(0.02):
                peaks.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield peaks
        finally:
            is_over.set()
            thread.join()


def _ecdf(X, queries):
    return distributed.MultivariateECDF().fit(X).cdf(queries)


def _density(X, queries):
    return distributed.ProductKernelDensity(bandwidth=0.5).fit(X).score_samples(queries)


def _ridge(X, queries):
    model = distributed.NystroemRidge(n_components=20, random_state=0)
    return model.fit(X, targets(X)).predict(queries)


def _design(X, queries):
    model = distributed.DesignLeastSquares(random_state=0)
    return model.select(X).indices


def _predict(X, queries):
    model = distributed.NystroemRidge(n_components=20, random_state=0)
    model.fit(queries, targets(queries))
    return model.predict(X).mean().compute()


TASKS = {
    "ecdf": _ecdf,
    "density": _density,
    "ridge": _ridge,
    "design": _design,
    "predict": _predict,
}


def stream(name, *, n, d, chunk, n_queries, memory_limit="auto", n_workers=2):
    """Do a task on `n` rows in chunks of `chunk`, and return figures."""
    task = TASKS[name]
    queries = np.random.default_rng(1).standard_normal((n_queries, d))
    with (
        local_cluster(n_workers, memory_limit=memory_limit) as cluster,
        Client(cluster) as client,
    ):
        task(generated(2 * n_workers, 500, d), queries[:10])  # imports
        X = generated(n // chunk, chunk, d)
        with Peaks.of(cluster) as peaks:
            start = time.perf_counter()
            task(X, queries)
            seconds = time.perf_counter() - start
        n_alive = len(client.scheduler_info()["workers"])
    return {
        "task": name,
        "n": n,
        "d": d,
        "n_queries": n_queries,
        "seconds": seconds,
        "rows_per_second": n / seconds,
        "chunk_bytes": 8 * d * chunk,
        "client_growth_bytes": peaks.here - peaks.before,
        "worker_peak_bytes": sorted(peaks.workers.values()),
        "n_lost_workers": len(peaks.workers) - n_alive,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--d", type=int, default=16)
    parser.add_argument("--chunk", type=int, default=250_000)
    parser.add_argument("--n-queries", type=int, default=10)
    parser.add_argument("--memory-limit", default="auto")
    arguments = vars(parser.parse_args())
    print(json.dumps(stream(arguments.pop("task"), **arguments)))
