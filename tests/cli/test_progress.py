import io
import re
import sys
import time

import pytest

from kernelkit.cli import progress as module
from kernelkit.cli.progress import progress


@pytest.fixture(autouse=True)
def short_period(monkeypatch):
    monkeypatch.setattr(module, "_PERIOD", 0.01)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def wait_for(stream, words):
    deadline = time.monotonic() + 30
    while words not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_plain_lines_count_the_steps(monkeypatch, capsys):
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)

    with progress("bench", 3, quiet=False) as advance:
        advance()
        advance()
        wait_for(err, "2 of 3")

    assert re.search(r"^kernelkit: bench, 2 of 3, [\d.]+ s$", err.getvalue(), re.M)
    assert capsys.readouterr().out == ""


def test_reports_stop_with_the_work(monkeypatch):
    """Seen red without the event that ends the thread."""
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)

    with progress("ecdf", quiet=False):
        wait_for(err, "kernelkit: ecdf")
    reported = err.getvalue()
    time.sleep(0.1)

    assert err.getvalue() == reported


def test_quiet_reports_nothing(monkeypatch, capsys):
    with progress("bench", 3, quiet=True) as advance:
        advance()
        time.sleep(0.1)

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("no_color", [False, True])
def test_bar_on_a_terminal(monkeypatch, capsys, no_color):
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")

    with progress("bench", 2, quiet=False) as advance:
        advance()
        print("a result")
        wait_for(err, "50%")

    assert "50%" in err.getvalue()
    colored = re.search(r"\x1b\[[\d;]*m", err.getvalue())
    assert bool(colored) is not no_color
    assert capsys.readouterr().out == "a result\n"


def test_terminal_without_rich_gets_plain_lines(monkeypatch):
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setitem(sys.modules, "rich.console", None)

    with progress("bench", 3, quiet=False):
        wait_for(err, "0 of 3")

    assert "kernelkit: bench, 0 of 3" in err.getvalue()
