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
def in_this_thread(request):
    """Compute where errors can be debugged, unless a test asks for workers."""
    import dask

    if {"client", "cluster"} & {*request.fixturenames}:
        yield
    else:
        with dask.config.set(scheduler="synchronous"):
            yield


@pytest.fixture
def report(record_property):
    """Have a `Tally` printed at the end of the run, and see that it is clean."""

    def report(tally):
        record_property("tally", tally)
        assert tally.is_clean, str(tally)

    return report


def pytest_terminal_summary(terminalreporter):
    """Print each "campaign line" that tests recorded, and tallies of a name as one."""
    tallies = {}
    for ending in ("passed", "failed"):
        for report in terminalreporter.getreports(ending):
            for name, value in report.user_properties:
                if name == "campaign line":
                    terminalreporter.write_line(value)
                elif name == "tally":
                    same = tallies.get(value.name)
                    tallies[value.name] = value if same is None else same + value
    for tally in tallies.values():
        terminalreporter.write_line(str(tally))
