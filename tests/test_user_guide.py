"""What the user guide says of tests is true, and its code runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "doc" / "user_guide").glob("*.md"))
TESTS = "\n".join(path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@each_page
def test_tests_exist(page):
    """Seen red with the name of a test misspelt."""
    named = re.findall(r"`(?:(Test\w+)\.)?(test_\w+)`", page.read_text("utf-8"))

    for cls, function in named:
        assert f"def {function}(" in TESTS, function
        assert not cls or f"class {cls}:" in TESTS, cls


@each_page
def test_code_runs(page, tmp_path):
    """In the order of the page, each warning an error.

    Seen red with a misspelt name.
    """
    blocks = re.findall(
        r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )

    code = "\n".join(blocks)
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True
    )
