import os
import re
import signal
import subprocess
import sys

import pytest

import kernelkit
from kernelkit.cli import COMMANDS
from kernelkit.exceptions import MissingDependencyError

KERNELKIT = [sys.executable, "-m", "kernelkit"]
# What Python holds back until it ends is what goes wrong at the end.
BUFFERED = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
NAMES = [command.NAME for command in COMMANDS]


def one_line(text):
    """Tell whether a message is a line, not a traceback."""
    return text.count("\n") == 1 and text.startswith("kernelkit")


@pytest.fixture
def failing(monkeypatch):
    """Make `info` raise an error."""

    def fail(error):
        def raise_it(args):
            raise error

        (info,) = (command for command in COMMANDS if command.NAME == "info")
        monkeypatch.setattr(info, "run", raise_it)

    return fail


def test_module_and_script_are_the_same(run):
    version = subprocess.run(
        [*KERNELKIT, "--version"], capture_output=True, text=True, check=True
    )

    assert version.stdout == f"kernelkit {kernelkit.__version__}\n"
    assert run("--version").out.decode() == version.stdout


def test_help_shows_an_example_of_every_command(run):
    ended = run("--help")

    assert ended.status == 0
    for name in NAMES:
        assert re.search(rf"^    {name} ", ended.out.decode(), re.MULTILINE)
        assert re.search(rf"^  .*kernelkit {name}", ended.out.decode(), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(run, name):
    ended = run(name, "--help")

    assert ended.status == 0
    assert b"example:" in ended.out


@pytest.mark.parametrize("arguments", [["--help"], ["ecdf", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    """Seen red with ``import numpy`` at the top of a command."""
    code = (
        "import sys; from kernelkit.cli import main\n"
        f"try: main({arguments})\n"
        "except SystemExit: print('loaded', *sys.modules)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    loaded = ended.stdout.partition("loaded ")[2].split()
    assert "kernelkit.cli" in loaded
    assert not {"numpy", "numba", "scipy", "sklearn", "matplotlib", "rich"} & {*loaded}


def test_without_a_command_the_usage_is_wrong(run):
    ended = run()

    assert ended.status == 2
    assert "required: COMMAND" in ended.err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RuntimeError("a bug"), 1, "RuntimeError: a bug"),
        (ValueError("a bug"), 1, "ValueError: a bug"),
        (PermissionError(13, "Permission denied", "a.csv"), 3, "a.csv: Permission"),
        (MemoryError(), 3, "not enough memory"),
        (MissingDependencyError("pip install x"), 3, "pip inst"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_have_a_status_and_a_line(run, failing, error, status, message):
    failing(error)

    ended = run("info")

    assert ended.status == status
    assert ended.err.startswith(f"kernelkit info: {message}")
    assert one_line(ended.err)


def test_debug_adds_the_traceback(run, failing):
    """Seen red with the traceback printed after the error was handled."""
    failing(RuntimeError("a bug"))

    ended = run("info", "--debug")

    assert ended.status == 1
    assert "Traceback" in ended.err
    assert "raise_it" in ended.err


@pytest.fixture
def many_rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x\n" + "".join(f"{k}\n" for k in range(50_000)))
    return path


def test_reader_that_has_seen_enough_ends_the_command_quietly(many_rows):
    """Seen red without the handler of a broken pipe."""
    with subprocess.Popen(
        [*KERNELKIT, "ecdf", many_rows],
        env=BUFFERED,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        first = process.stdout.readline()
        process.stdout.close()
        complaints = process.stderr.read()

    assert first == b"cdf\n"
    assert process.returncode == 0
    assert complaints == b""


def test_reader_that_wants_nothing_ends_the_command_quietly():
    """Seen red with what is left to print kept until Python ends."""
    with subprocess.Popen(
        [*KERNELKIT, "info"],
        env=BUFFERED,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        complaints = process.stderr.read()

    assert process.returncode == 0
    assert complaints == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["ecdf", "info"])
def test_full_device_is_reported_in_a_line(many_rows, command):
    """Seen red without the flush before the end, and without the discard after it."""
    arguments = [*KERNELKIT, command, *([many_rows] if command == "ecdf" else [])]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            arguments, env=BUFFERED, stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert ended.returncode == 3
    assert "No space left" in ended.stderr
    assert one_line(ended.stderr)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_interrupt_ends_with_130_and_a_line():
    code = (
        "import sys, time; from kernelkit.cli import info, main\n"
        "def wait(args):\n"
        "    print('waiting', flush=True)\n"
        "    while True: time.sleep(0.01)\n"
        "info.run = wait\n"
        "sys.exit(main(['info']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        complaints = process.stderr.read()

    assert process.returncode == 130
    assert complaints == b"kernelkit info: interrupted\n"
