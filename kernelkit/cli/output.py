"""Files written whole or not at all."""

import io
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kernelkit.cli.errors import USAGE, CommandError
from kernelkit.exceptions import MissingDependencyError


def check_targets(*outs: str | None, force: bool) -> None:
    """Refuse the paths of several files, None for no file, before any work is done.

    Raises
    ------
    CommandError
        As by `check_target`, and if two of them are the same file.
    """
    paths = [check_target(out, force=force) for out in outs if out is not None]
    if len(set(paths)) < len(paths):
        raise CommandError(f"{paths[0]}: two results cannot go to one file", USAGE)


def check_target(out: str, *, force: bool) -> Path:
    """Resolve the path of a file to be written; refuse it before any work is done.

    Raises
    ------
    CommandError
        If it is no regular file, its folder is missing, or it exists and `force` is
        False.
    """
    path = Path(os.path.realpath(out))  # through a link, which is to stay one
    if path.exists() and not path.is_file():
        raise CommandError(f"{out}: not a regular file")
    if path.exists() and not force:
        raise _exists(out)
    if not path.parent.is_dir():
        raise CommandError(f"{out}: its folder does not exist")
    return path


def write_file(out: str, chunks: Iterable[bytes], *, force: bool) -> None:
    """Write a file under another name in its folder, then give it its own."""
    path = check_target(out, force=force)
    temporary = path.with_name(f".kernelkit-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.writelines(chunks)
        if force:
            temporary.replace(path)
        else:
            _rename_new(temporary, path, out)
    finally:
        temporary.unlink(missing_ok=True)


def figure_class() -> Any:
    """Import matplotlib's Figure, which draws without a window.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "--plot needs matplotlib, which is not installed: "
            "pip install 'kernelkit[plot]'"
        ) from error
    return Figure


def as_png(figure: Any) -> bytes:
    """Encode a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _rename_new(temporary: Path, path: Path, out: str) -> None:
    """Rename unless somebody has taken the name in the meantime."""
    try:
        path.hardlink_to(temporary)  # fails if the name is taken; a rename replaces
    except FileExistsError:
        raise _exists(out) from None
    except OSError:  # a file system without hard links
        temporary.replace(path)


def _exists(out: str) -> CommandError:
    return CommandError(f"{out}: exists; --force overwrites it", USAGE)
