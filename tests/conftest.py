"""Settings of the whole suite, and a line per campaign at its end."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # SciPy reads it when it is imported
os.environ.setdefault("MPLBACKEND", "agg")

from collections import Counter, defaultdict

from hypothesis import settings

settings.register_profile(
    "change",
    deadline=None,  # the first example may compile
    max_examples=300,
    derandomize="CI" in os.environ,
)
settings.register_profile("nightly", deadline=None, max_examples=20_000)
settings.load_profile("change")


def pytest_terminal_summary(terminalreporter):
    """Count the tests that recorded the property "campaign".

    They count by how they ended, or as the property "outcome" says.
    """
    campaigns = defaultdict(Counter)
    for ending in ("passed", "xfailed", "failed"):
        for report in terminalreporter.getreports(ending):
            properties = dict(report.user_properties)
            if "campaign" in properties:
                outcome = properties.get("outcome", ending)
                campaigns[properties["campaign"]][outcome] += 1
    for campaign, counts in sorted(campaigns.items()):
        outcomes = ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
        terminalreporter.write_line(f"{campaign}: {counts.total()} cases, {outcomes}")
