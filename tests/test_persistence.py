"""Saved models: what comes back computes the same bits.

``python tests/test_persistence.py`` saves the models of a release for later ones,
but for those that are there.
"""

import pickle
import zipfile
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
from discovery import ESTIMATORS, assert_same_bits, fit, new, outputs, quick
from sklearn.base import clone

import kernelkit

DATA = Path(__file__).parent / "data"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).round(1)
WEIGHTS = RNG.uniform(size=len(X))
QUERIES = RNG.normal(size=(20, 3)).round(1)


def through_joblib(model, folder, mmap_mode=None):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib", mmap_mode)


def through_skops(model, folder):
    """Load with trust in nothing but kernelkit's own classes."""
    file = folder / "model.skops"
    skops.io.dump(model, file)
    return load_skops(file)


def load_skops(file):
    untrusted = skops.io.get_untrusted_types(file=file)
    assert all(name.startswith("kernelkit.") for name in untrusted)
    return skops.io.load(file, trusted=untrusted)


WAYS = {
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model, folder: cloudpickle.loads(cloudpickle.dumps(model)),
    "joblib": through_joblib,
    "joblib, mapped": lambda model, folder: through_joblib(model, folder, "r"),
    "skops": through_skops,
    "clone": lambda model, folder: fitted(clone(model)),
}


def fitted(estimator):
    return fit(estimator, X, WEIGHTS)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize("way", WAYS)
def test_round_trip_keeps_every_bit(Estimator, way, tmp_path):
    """Seen red with weights left out of the pickled state."""
    model = fitted(new(Estimator))

    back = WAYS[way](model, tmp_path)

    assert_same_bits(outputs(back, QUERIES), outputs(model, QUERIES))


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_every_estimator_has_a_model_of_this_release(Estimator):
    """Seen red with the file of the release removed."""
    assert (DATA / f"{Estimator.__name__}-{kernelkit.__version__}.skops").is_file()


@pytest.mark.parametrize(
    "file", sorted(DATA.glob("*.skops")), ids=lambda file: file.stem
)
def test_old_model_says_what_it_said(file):
    """Seen red with a fitted attribute renamed."""
    assert file.stat().st_size < 50_000

    saved = load_skops(file)
    got = outputs(saved["model"], saved["queries"])

    for method, expected in saved["outputs"].items():
        np.testing.assert_allclose(got[method], expected, rtol=1e-12)


if __name__ == "__main__":
    for Estimator in ESTIMATORS:
        file = DATA / f"{Estimator.__name__}-{kernelkit.__version__}.skops"
        if not file.exists():
            model = fitted(quick(Estimator))
            answers = outputs(model, QUERIES)
            skops.io.dump(
                {"model": model, "queries": QUERIES, "outputs": answers},
                file,
                compression=zipfile.ZIP_DEFLATED,
            )
