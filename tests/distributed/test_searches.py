"""Searches of scikit-learn whose fits workers do, by joblib's backend for Dask."""

import joblib
import numpy as np
from dask.distributed import get_task_stream
from sklearn.model_selection import GridSearchCV

import kernelkit

RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 3))
Y = np.sin(X[:, 0]) + X[:, 1]


def search():
    grid = {"alpha": [1e-3, 0.1, 10.0], "gamma": [0.1, 1.0]}
    model = kernelkit.NystroemRidge(n_components=40, random_state=0)
    return GridSearchCV(model, grid, cv=3)


def test_scores_are_those_of_this_process(client):
    """Bit for bit. Seen red without a `random_state`."""
    local = search().fit(X, Y)

    with joblib.parallel_config(backend="dask"):
        remote = search().fit(X, Y)

    for k in range(3):
        name = f"split{k}_test_score"
        assert np.array_equal(remote.cv_results_[name], local.cv_results_[name])
    assert remote.best_params_ == local.best_params_
    assert np.array_equal(remote.predict(X), local.predict(X))


def test_fits_run_on_workers(client):
    """Seen red without the backend."""
    with get_task_stream(client) as tasks, joblib.parallel_config(backend="dask"):
        search().fit(X, Y)

    assert len(tasks.data) > 0
