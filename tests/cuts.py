"""Arrays as Dask collections, cut in all the ways that must not matter."""

import cloudpickle
import dask.array
import dask.dataframe
import numpy as np
import pandas as pd
import pytest

CUTS = {
    "one": lambda n: (n,),
    "three": lambda n: tuple(map(len, np.array_split(range(n), 3))),
    "seven": lambda n: tuple(map(len, np.array_split(range(n), 7))),
    "uneven": lambda n: (1, n - 13, 12),
    "empty": lambda n: (0, n // 2, 0, 0, n - n // 2, 0),
    "unknown": lambda n: (5, n - 12, 7),
}

each_cut = pytest.mark.parametrize("cut", [*CUTS])


def chunked(array, cut="three"):
    """Cut the rows of an array, or of a frame that becomes a Dask frame."""
    if isinstance(array, pd.DataFrame | pd.Series):
        return dask.dataframe.from_pandas(array, npartitions=3)
    array = np.asarray(array)
    rows = dask.array.from_array(array, (CUTS[cut](len(array)), *array.shape[1:]))
    if cut == "unknown":
        rows = rows[dask.array.ones(len(array), chunks=rows.chunks[:1], dtype=bool)]
        assert np.isnan(rows.chunks[0]).all()
    return rows


def graph_size(*plans):
    """Count the bytes of tasks, each of which is sent alone."""
    return sum(
        len(cloudpickle.dumps(each))
        for plan in plans
        for each in dict(plan.__dask_graph__()).values()
    )
