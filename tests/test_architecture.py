"""Which file may import what, and which file configures what."""

import ast
import configparser
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "kernelkit").rglob("*.py"))


def test_import_contracts_hold(monkeypatch):
    """Seen red with an import of `kernelkit.plotting` in `kernelkit.density`."""
    monkeypatch.chdir(ROOT)

    status = lint_imports(config_filename="setup.cfg", no_cache=True, no_logo=True)

    assert status == 0


def test_tools_have_one_home():
    """Seen red with ``[tool.mypy]`` in pyproject.toml."""
    ini = configparser.ConfigParser()
    ini.read_string((ROOT / "setup.cfg").read_text(encoding="utf-8"))
    toml = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    in_ini = {section.removeprefix("tool:").split(":")[0] for section in ini.sections()}
    in_ini = {section.split("-")[0] for section in in_ini}

    assert {"importlinter", "mypy", "coverage"} <= in_ini
    assert not in_ini & toml["tool"].keys()


def imports(source):
    """List what a file imports, by dotted name."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_compiled_loops_are_in_their_files(source):
    """Seen red with a loop in `sums.py`."""
    assert source.name.startswith("_jit_") or "kernelkit._jit" not in imports(source)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_files_of_loops_import_nothing_else(source):
    """Seen red with SciPy in `_jit_sort.py`."""
    if source.name.startswith("_jit_"):
        harmless = ("typing", "math")
        names = {name for name in imports(source) if not name.startswith(harmless)}

        assert names == {"numpy", "kernelkit._jit", "kernelkit._jit.jit"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_private_names_of_sklearn_stay_in_validation(source):
    """Seen red with `_fit_context` in `ecdf.py`."""
    private = [
        name for name in imports(source) if name.startswith("sklearn.") and "._" in name
    ]

    assert not private or source.name == "_validation.py"
