"""Clusters on this machine, shared by the tests of the package."""

import pytest


@pytest.fixture(scope="session")
def cluster():
    """Two workers with a thread each; a client is the default while a test uses it."""
    from kills import local_cluster

    with local_cluster(2) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    """Connect to the shared cluster."""
    from dask.distributed import Client

    with Client(cluster) as client:
        yield client


@pytest.fixture
def report(record_property):
    """Have a `Tally` printed at the end of the run, and see that it is clean."""

    def report(tally):
        record_property("campaign line", str(tally))
        assert tally.is_clean, str(tally)

    return report


def pytest_terminal_summary(terminalreporter):
    """Print what tests recorded as a "campaign line"."""
    for ending in ("passed", "failed"):
        for report in terminalreporter.getreports(ending):
            for name, line in report.user_properties:
                if name == "campaign line":
                    terminalreporter.write_line(line)
