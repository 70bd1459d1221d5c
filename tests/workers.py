"""What tests run in other processes, which have to find it by its name."""

import contextlib
import threading

import numpy as np
from discovery import fit, outputs

from kernelkit import _parallel


def fit_and_ask(estimator, X, queries, weights=None):
    """Fit an estimator and ask it everything about the queries."""
    return outputs(fit(estimator, X, weights), queries)


def fit_to_memmap(estimator, X):
    """Fit an estimator to rows that joblib has mapped into memory."""
    assert isinstance(X, np.memmap)
    assert not X.flags.writeable
    return fit_and_ask(estimator, X, X)


def threads_used(n_jobs, patience):
    """Count the threads that run tasks which wait some seconds for each other."""
    meeting = threading.Barrier(n_jobs)

    def task():
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=patience)
        return threading.get_ident()

    with _parallel.threads(n_jobs) as run:
        return len(set(run([(task, ())] * n_jobs)))
