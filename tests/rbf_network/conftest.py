"""Small matrices: threads of BLAS would take longer to start than to multiply."""

import pytest

from kernelkit import _parallel


@pytest.fixture(autouse=True)
def _one_blas_thread():
    with _parallel.one_blas_thread:
        yield
