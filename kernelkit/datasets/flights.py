"""Flight records that come with the package."""

from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch


def load_flights(*, as_frame: bool = False) -> Bunch:
    """Load flights that departed from New York City in 2013.

    A sample of 50,000 flights of whole minutes and miles: real data with ties, a long
    tail, and features that depend on each other. It has no target.

    Parameters
    ----------
    as_frame : bool, default=False
        Return `data` as a pandas DataFrame.

    Returns
    -------
    flights : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with the attributes

        data : {ndarray, DataFrame} of shape (50000, 4), int64
            ``dep_delay``, ``arr_delay`` and ``air_time`` in minutes, ``distance`` in
            miles. Early flights have negative delays.
        feature_names : list of str
            Names of the columns.
        DESCR : str
            Meaning, provenance and licence (CC0).

    Raises
    ------
    ImportError
        If `as_frame` is True and pandas is not installed.

    Examples
    --------
    >>> from kernelkit.datasets import load_flights
    >>> flights = load_flights()
    >>> flights.feature_names
    ['dep_delay', 'arr_delay', 'air_time', 'distance']
    >>> flights.data[0].tolist()
    [-6, -25, 116, 762]
    """
    folder = files("kernelkit.datasets") / "data"
    with (folder / "flights.npz").open("rb") as file:
        columns = dict(np.load(file, allow_pickle=False))
    names = list(columns)
    # Stored in 16 bits, in which sums of a caller would overflow.
    data = np.column_stack([columns[name].astype(np.int64) for name in names])
    if as_frame:
        import pandas as pd

        data = pd.DataFrame(data, columns=names)
    description = (folder / "flights.rst").read_text(encoding="utf-8")
    return Bunch(data=data, feature_names=names, DESCR=description)
