"""The code of README.md runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## Quick start$(.*?)(?=^## )", README, re.DOTALL | re.MULTILINE)


def blocks(language, text=README):
    """List the fenced blocks of one language."""
    fences = rf"^```{language}\n(.*?)^```$"
    return re.findall(fences, text, re.DOTALL | re.MULTILINE)


QUICK_START = blocks("bash", SECTION[1])[0]


def test_quick_start_is_two_commands():
    """Seen red with a command broken over two lines."""
    lines = QUICK_START.splitlines()

    assert len(lines) == 2
    assert not any(re.search(r"\\$|^\s*(#|$)", line) for line in lines)


def test_python_blocks_run(tmp_path):
    """In their order and one namespace, each warning an error.

    Seen red with a misspelt name in the last block.
    """
    code = "\n".join(blocks("python"))
    assert code

    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True
    )


@pytest.mark.parametrize("code", [c for c in blocks("bash") if c != QUICK_START])
def test_bash_block_runs(code, tmp_path):
    """Seen red with an unknown option."""
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ["PATH"]])

    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        check=True,
    )
