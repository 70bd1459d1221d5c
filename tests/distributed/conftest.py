"""Clusters on this machine, shared by the tests of the package."""

import pytest


@pytest.fixture(scope="session")
def cluster():
    """Two workers with a thread each; a client is the default while a test uses it."""
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    """Connect to the shared cluster."""
    from dask.distributed import Client

    with Client(cluster) as client:
        yield client


def pytest_terminal_summary(terminalreporter):
    """Print what tests recorded as a "campaign line"."""
    for ending in ("passed", "failed"):
        for report in terminalreporter.getreports(ending):
            for name, line in report.user_properties:
                if name == "campaign line":
                    terminalreporter.write_line(line)
