import os
import stat
import threading

import pytest

from kernelkit.cli.errors import CommandError
from kernelkit.cli.output import check_target, check_targets, write_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_is_written_under_its_name(tmp_path):
    write_file(str(tmp_path / "a.csv"), [b"1\n", b"2\n"], force=False)

    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"1\n2\n"


def test_file_has_the_permissions_of_any_new_file(tmp_path):
    """Seen red with a file of the module tempfile, which only its owner can read."""
    (tmp_path / "usual").touch()

    write_file(str(tmp_path / "a.csv"), [b""], force=False)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_left_of_a_failure(tmp_path, force):
    """Seen red without the removal of the temporary file."""

    def chunks():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(str(tmp_path / "a.csv"), chunks(), force=force)

    assert names(tmp_path) == []


def test_failure_leaves_the_old_file(tmp_path):
    """Seen red with the file opened under its own name."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")

    def chunks():
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_file(str(path), chunks(), force=True)

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.csv"]


def test_half_a_file_has_another_name_in_the_same_folder(tmp_path):
    seen = []

    def chunks():
        yield b"half"
        seen.extend(names(tmp_path))

    for name in ("a.csv", "b.csv"):
        write_file(str(tmp_path / name), chunks(), force=False)

    first, second = (name for name in seen if name != "a.csv")
    assert first != second
    assert first.startswith(".")


def test_existing_file_is_kept_without_force(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")

    with pytest.raises(CommandError, match="exists; --force overwrites it") as caught:
        write_file(str(path), [b"new"], force=False)

    assert caught.value.status == 2
    assert path.read_bytes() == b"old"


def test_existing_file_is_replaced_by_force(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a long old file")

    write_file(str(path), [b"new"], force=True)

    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.csv"]


def test_file_that_appears_meanwhile_is_kept(tmp_path):
    """Seen red with a rename, which replaces."""
    path = tmp_path / "a.csv"

    def chunks():
        path.write_bytes(b"another's")
        yield b"new"

    with pytest.raises(CommandError, match="exists"):
        write_file(str(path), chunks(), force=False)

    assert path.read_bytes() == b"another's"
    assert names(tmp_path) == ["a.csv"]


def test_file_systems_without_hard_links_work_too(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    write_file(str(tmp_path / "a.csv"), [b"new"], force=False)

    assert names(tmp_path) == ["a.csv"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_link_stays_a_link(tmp_path):
    """Seen red with the path taken as it is."""
    (tmp_path / "target.csv").touch()
    link = tmp_path / "link.csv"
    link.symlink_to("target.csv")

    write_file(str(link), [b"new"], force=True)

    assert link.is_symlink()
    assert (tmp_path / "target.csv").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("target", "message"),
    [("", "not a regular file"), ("missing/a.csv", "its folder does not exist")],
)
def test_impossible_targets_are_refused(tmp_path, target, message):
    with pytest.raises(CommandError, match=message) as caught:
        check_target(str(tmp_path / target), force=True)

    assert caught.value.status == 3


def test_two_results_in_one_file_are_refused(tmp_path):
    """Seen red with the paths compared as they were typed."""
    (tmp_path / "link.csv").symlink_to("a.csv")

    with pytest.raises(CommandError, match="two results cannot go to one file"):
        check_targets(
            str(tmp_path / "a.csv"), None, str(tmp_path / "link.csv"), force=False
        )

    check_targets(str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), force=False)


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs /dev/null")
def test_devices_are_not_replaced():
    with pytest.raises(CommandError, match="not a regular file"):
        check_target("/dev/null", force=True)


def test_one_of_many_writers_wins(tmp_path):
    """Seen red with a rename, which lets all of them succeed."""
    outcomes = []
    start = threading.Barrier(8)

    def write(k):
        def chunks():
            start.wait()
            yield b"%d" % k

        try:
            write_file(str(tmp_path / "a.csv"), chunks(), force=False)
            outcomes.append(k)
        except CommandError:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (winner,) = (k for k in outcomes if k is not None)
    assert len(outcomes) == 8
    assert (tmp_path / "a.csv").read_bytes() == b"%d" % winner
    assert names(tmp_path) == ["a.csv"]
