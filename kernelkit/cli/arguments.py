"""Types of arguments that several commands read."""

import argparse
from collections.abc import Callable


def whole_number(least: int) -> Callable[[str], int]:
    """Make a type of argument that reads 1000 or 1e3."""

    def read(text: str) -> int:
        try:
            number = int(float(text))
        except (ValueError, OverflowError):
            number = -1
        if number < least or number != float(text):
            raise argparse.ArgumentTypeError(
                f"expected a whole number >= {least}, got {text!r}"
            )
        return number

    return read


def number_of_threads(text: str) -> int:
    """Read a number of threads, which may be negative but not 0."""
    if text.removeprefix("-").isdecimal() and int(text) != 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of threads, got {text!r}")
