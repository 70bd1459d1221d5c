"""What the tests of commands that evaluate tables share."""

import re

import numpy as np
import pandas as pd

_RNG = np.random.default_rng(0)

FRAME = pd.DataFrame(
    {
        "depth": _RNG.integers(0, 9, 40),
        "mass": _RNG.integers(1, 5, 40),
        "width": _RNG.normal(size=40),
    }
)
FEATURES = FRAME[["depth", "width"]].to_numpy()


def lines(ended):
    """Read the numbers of a result in csv, and its header."""
    assert ended.status == 0, ended.err
    assert not re.sub(r"kernelkit: \w+, \d+ s\n", "", ended.err)  # while it compiles
    header, *numbers = ended.out.decode().splitlines()
    return header, [float(number) for number in numbers]
