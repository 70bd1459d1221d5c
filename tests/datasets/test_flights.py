from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from kernelkit.datasets import load_flights

NAMES = ["dep_delay", "arr_delay", "air_time", "distance"]


def test_rows_and_columns():
    flights = load_flights()

    assert flights.feature_names == NAMES
    assert flights.data.shape == (50_000, 4)
    assert flights.data.dtype == np.int64  # 16 bits, as stored, overflow in sums


def test_sample_is_fair():
    """Means lie within 5 standard errors of those of the whole table.

    Seen red with the first rows of the table instead of random ones.
    """
    data = load_flights().data

    error = data.std(axis=0) / np.sqrt(len(data))
    whole = [12.555156, 6.895377, 150.686460, 1048.371314]
    assert (np.abs(data.mean(axis=0) - whole) < 5 * error).all()


def test_description_states_the_ranges():
    flights = load_flights()

    lows, highs = flights.data.min(axis=0), flights.data.max(axis=0)
    for low, high in zip(lows, highs, strict=True):
        assert f"{low} to {high}\n" in flights.DESCR
    assert "CC0" in flights.DESCR


def test_frame_has_the_same_numbers():
    frame = load_flights(as_frame=True).data

    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == NAMES
    np.testing.assert_array_equal(frame.to_numpy(), load_flights().data, strict=True)


def test_callers_do_not_share_an_array():
    load_flights().data[:] = 0

    assert load_flights().data.any()


@pytest.mark.parametrize("name", ["flights.npz", "flights.rst"])
def test_bundled_files_stay_small(name):
    size = len((files("kernelkit.datasets") / "data" / name).read_bytes())

    assert 0 < size <= 400_000
