"""What the loops need when they run as plain Python."""

import numba
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _wrap_around():
    """Let unsigned words wrap around, as they do when compiled, without a warning."""
    with np.errstate(over="ignore" if numba.config.DISABLE_JIT else "warn"):
        yield
