"""The first words of every error message stand on the page for troubleshooting."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "doc" / "troubleshooting.md").read_text(encoding="utf-8")


def messages():
    """List the messages of the package, with * for what is filled in."""
    for source in sorted((ROOT / "kernelkit").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name("AttributeError"))):
                    continue  # a misspelt name explains itself
                case ast.Raise(exc=ast.Call(func=ast.Attribute())):
                    continue  # so does argparse
                case ast.Raise(exc=ast.Call(args=[ast.Constant(text), *_])):
                    yield text
                case ast.Raise(exc=ast.Call(args=[ast.JoinedStr(parts), *_])):
                    texts = (getattr(part, "value", "*") for part in parts)
                    yield "".join(t if isinstance(t, str) else "*" for t in texts)


def first_words(message):
    words = " ".join(message.split()[:4]).rstrip(".,:;")
    return re.escape(words).replace(r"\*", ".+?")


@pytest.mark.parametrize("message", sorted(set(messages())))
def test_message_is_explained(message):
    """Seen red with a row of the page removed."""
    assert re.search(first_words(message), PAGE)
