"""Public names and signatures change only on purpose.

``python tests/test_public_api.py`` renews the snapshot.
"""

import ast
import difflib
import inspect
import pkgutil
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from discovery import ESTIMATORS

import kernelkit

ROOT = Path(__file__).parents[1]
SNAPSHOT = Path(__file__).with_name("public_api.txt")
MODULES = [
    import_module(f"kernelkit.{module.name}")
    for module in pkgutil.iter_modules(kernelkit.__path__)
    if not module.name.startswith("_") and module.name not in ("cli", "linalg")
]
PILLARS = [
    module
    for module in MODULES
    if hasattr(module, "__path__")
    and module.__name__.split(".")[1] not in ("datasets", "distributed")
]


def public_names(module):
    """List `__all__`, or what a module without it defines."""
    return getattr(module, "__all__", None) or [
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__ and name[0] != "_"
    ]


def signature(function):
    """Render parameters and defaults, without annotations."""
    bare = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in bare.parameters.values()
    ]
    return str(inspect.Signature(parameters))


def methods(cls):
    """Yield the public methods and properties that kernelkit's own classes define."""
    own = [base for base in cls.__mro__ if base.__module__.startswith("kernelkit.")]
    for name in sorted({name for base in own for name in vars(base)}):
        member = inspect.getattr_static(cls, name)
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield name
        elif inspect.isroutine(member) and not name.endswith("_request"):
            yield name + signature(getattr(cls, name))


def describe(module):
    """Yield a line for each public name of a module, and for each of its methods."""
    for name in sorted(public_names(module)):
        thing = getattr(module, name)
        path = f"{module.__name__}.{name}"
        if isinstance(thing, type) and issubclass(thing, Exception):
            yield path
        elif callable(thing):
            yield path + signature(thing)
        else:
            yield path
        if isinstance(thing, type):
            yield from (f"{path}.{method}" for method in methods(thing))


def public_api():
    lines = [f"kernelkit.{name}" for name in sorted(kernelkit.__all__)]
    lines += [line for module in MODULES for line in describe(module)]
    return "\n".join(lines) + "\n"


def test_public_api_is_the_snapshot():
    """Seen red with a default changed, and with a method renamed."""
    expected = SNAPSHOT.read_text(encoding="utf-8")
    got = public_api()

    change = difflib.unified_diff(
        expected.splitlines(), got.splitlines(), "snapshot", "now", lineterm="", n=0
    )
    assert got == expected, "\n".join(
        [
            "The public API changed. If that is meant, run",
            "    python tests/test_public_api.py",
            "and add a changelog fragment.",
            *change,
        ]
    )


@pytest.mark.parametrize("pillar", PILLARS, ids=lambda pillar: pillar.__name__)
def test_names_of_a_pillar_are_names_of_kernelkit(pillar):
    """Seen red with a name left out of kernelkit's `__all__`."""
    for name in pillar.__all__:
        assert name in kernelkit.__all__
        assert getattr(kernelkit, name) is getattr(pillar, name)


def test_estimators_are_public():
    """Seen red with an estimator left out of the `__all__` of its pillar."""
    assert {E.__name__ for E in ESTIMATORS} <= set(kernelkit.__all__)


def test_lazy_names_are_seen_by_type_checkers():
    """Seen red with a name left out of the block for type checkers."""
    source = Path(kernelkit.__file__).read_text(encoding="utf-8")
    [block] = [node for node in ast.parse(source).body if isinstance(node, ast.If)]

    seen = {alias.asname for node in block.body for alias in node.names}

    lazy = {*kernelkit._HOME, *kernelkit._SUBPACKAGES}
    assert kernelkit._HOME.keys() <= seen <= lazy


def test_version_is_that_of_the_project():
    """Seen red with another version in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert kernelkit.__version__ == project["project"]["version"]


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(), encoding="utf-8")
