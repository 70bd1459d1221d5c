"""What `kernelkit ecdf` reads, and what it refuses with a line that says why."""

import io
import os
import sys

import numpy as np
import pandas as pd
import pytest

from kernelkit.cli.errors import CommandError
from kernelkit.cli.tables import open_table
from kernelkit.exceptions import MissingDependencyError


@pytest.fixture
def save(tmp_path):
    """Write a file: ``save("rows.csv", "1,2")``."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def read(path, **options):
    """Read all columns."""
    table = open_table(path, **options)
    return table.names, table.read(range(len(table.names)))


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def parquet(**columns):
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


TEXTS = {
    "plain": ("a.csv", "1,2\n3,4\n", ["1", "2"], [[1, 2], [3, 4]]),
    "header": ("a.csv", "a, b\n1,2\n", ["a", "b"], [[1, 2]]),
    "quoted": ("a.csv", '"a,1","b"\n"1","2"\n', ["a,1", "b"], [[1, 2]]),
    "tabs": ("a.tsv", "a\tb\n1\t2.5\n", ["a", "b"], [[1, 2.5]]),
    "capital suffix": ("A.CSV", "1,2\n", ["1", "2"], [[1, 2]]),
    "byte order mark": ("a.csv", "\ufeffa,b\n1,2\n", ["a", "b"], [[1, 2]]),
    "mark, no header": ("a.csv", "\ufeff1,2\n", ["1", "2"], [[1, 2]]),
    "CRLF": ("a.csv", "a,b\r\n1,2\r\n", ["a", "b"], [[1, 2]]),
    "CR": ("a.csv", "a,b\r1,2\r", ["a", "b"], [[1, 2]]),
    "no last newline": ("a.csv", "a\n1", ["a"], [[1]]),
    "blank lines": ("a.csv", "\na\n\n1\n\n2\n\n", ["a"], [[1], [2]]),
    "infinities": ("a.csv", "inf\n-inf\n", ["1"], [[np.inf], [-np.inf]]),
    "exponents": ("a.csv", "x\n1e3\n-.5E-1\n", ["x"], [[1000.0], [-0.05]]),
    "not ASCII": ("a.csv", "größe\n1\n", ["größe"], [[1]]),
}


@pytest.mark.parametrize("row", TEXTS)
def test_texts(save, row):
    name, content, names, rows = TEXTS[row]

    got_names, got = read(save(name, content))

    assert got_names == names
    np.testing.assert_array_equal(got, np.array(rows), strict=True)


def test_first_line_is_data_if_one_field_is_a_number(save):
    """A missing value must not turn a row of data into names."""
    with pytest.raises(CommandError, match=r"line 1: column '2': '' is no number"):
        read(save("a.csv", "1,\n2,3\n"))


def test_without_header_names_are_data(save):
    with pytest.raises(CommandError, match="line 1: column '1': 'a' is no number"):
        read(save("a.csv", "a,b\n1,2\n"), header=False)


@pytest.mark.parametrize("offset", [2**53, 2**63 - 2, 2**64 - 4])
def test_integers_stay_exact(save, offset):
    """Seen red with floats only, and with int64 only."""
    integers = [offset, offset + 1]

    _, got = read(save("a.csv", "\n".join(map(str, integers))))

    assert got[:, 0].tolist() == integers


def test_columns_are_chosen_and_ordered(save):
    table = open_table(save("a.csv", "a,b,c\n1,x,3\n4,y,6\n"))

    assert table.read([2, 0]).tolist() == [[3, 1], [6, 4]]


def test_all_columns_in_another_order(save):
    """Seen red with the inverse permutation."""
    table = open_table(save("a.csv", "a,b,c\n1,2,3\n"))

    assert table.read([2, 0, 1]).tolist() == [[3, 1, 2]]


def test_one_column_of_integers_beside_floats_stays_exact(save):
    table = open_table(save("a.csv", f"a,b\n{2**53 + 1},0.5\n"))

    assert table.read([0]).tolist() == [[2**53 + 1]]


@pytest.mark.parametrize("name", ["b", "2"])
def test_columns_are_found_by_name_and_number(save, name):
    assert open_table(save("a.csv", "a,b\n1,2\n")).find(name) == 1


def test_a_name_goes_before_a_number(save):
    path = save("a.parquet", parquet(**{"2": [1], "1": [2]}))

    assert open_table(path).find("1") == 1


@pytest.mark.parametrize("name", ["c", "0", "3", "-1", ""])
def test_unknown_columns_are_refused(save, name):
    with pytest.raises(CommandError, match=r"no column .*; there are a, b"):
        open_table(save("a.csv", "a,b\n1,2\n")).find(name)


BAD_TEXTS = {
    "empty": ("", ": empty"),
    "only a mark": ("\ufeff", ": empty"),
    "only newlines": ("\n\n", ": empty"),
    "a missing field": ("a,b\n1,2\n\n3\n", "line 4: expected 2 fields, got 1"),
    "a field too many": ("a,b\n1,2\n3,4,5\n", "line 3: expected 2 fields, got 3"),
    "all lines too long": ("a\n1,2\n3,4\n", "line 2: expected 1 fields, got 2"),
    "a missing value": ("a,b\n1,2\n,4\n", "line 3: column 'a': '' is no number"),
    "a word": ("a,b\n1,2\n3,x\n", "line 3: column 'b': 'x' is no number"),
    "semicolons": ("a;b\n1;2\n", "line 2: column 'a;b': '1;2' is no number"),
    "decimal commas": ("a\n1,5\n", "line 2: expected 1 fields, got 2"),
    "not UTF-8": (b"a\n1\n\xff\n", "line 3: not UTF-8"),
    "UTF-16": ("a\n1\n".encode("utf-16"), "line 1: not UTF-8"),
    "NUL": ("a\n1\0\n", r"line 2: column 'a': '1\\x00' is no number"),
    "underscores": ("a\n1_0\n", "could not convert"),
    "equal names": ("a,a\n1,2\n", "line 1: two columns have the same name"),
    "rounded beside floats": (f"{2**53 + 1},0.5\n", "column '1' holds integers bey"),
    "beyond 64 bits": (f"{2**64 + 1}\n", "column '1' holds integers beyond"),
    "a huge name": (f"{'x' * 200_000}\n1\n", "line 1: field larger than field limit"),
}


@pytest.mark.parametrize("row", BAD_TEXTS)
def test_bad_texts_are_refused(save, row):
    content, message = BAD_TEXTS[row]

    with pytest.raises(CommandError, match=message):
        read(save("a.csv", content))


@pytest.mark.parametrize("row", ["a missing field", "a field too many"])
def test_ragged_lines_are_seen_outside_the_chosen_columns(save, row):
    """Seen red without the second look: the parser of numbers ignores the rest."""
    content, message = BAD_TEXTS[row]
    table = open_table(save("a.csv", content))

    with pytest.raises(CommandError, match=message):
        table.read([0])


def test_header_without_rows_is_a_table_of_no_rows(save):
    names, rows = read(save("a.csv", "a,b\n"))

    assert names == ["a", "b"]
    assert rows.shape == (0, 2)


def test_very_wide_table(save):
    n = 10**6
    line = ",".join(["1"] * n)

    names, rows = read(save("a.csv", f"{line}\n{line}\n"))

    assert len(names) == n
    assert rows.shape == (2, n)


@pytest.mark.parametrize("dtype", ["i1", "u8", "f4", "f8", "?", ">f8"])
def test_npy_keeps_its_dtype(save, dtype):
    array = np.array([[0, 1], [1, 1]]).astype(dtype)

    names, got = read(save("a.npy", npy(array)))

    assert names == ["1", "2"]
    np.testing.assert_array_equal(got, array, strict=True)


def test_npy_of_one_dimension_is_a_column(save):
    assert read(save("a.npy", npy(np.arange(3))))[1].shape == (3, 1)


BAD_NPY = {
    "empty": (b"", ": empty"),
    "text": (b"1,2", "not in .npy format"),
    "truncated": (npy(np.arange(9))[:-1], "damaged"),
    "no header": (b"\x93NUMPY", "damaged"),
    "objects": (npy(np.array([1, "a"], dtype=object)), "damaged, or not numbers"),
    "a number": (npy(np.array(1.0)), "expected 1 or 2 dimensions, got 0"),
    "a cube": (npy(np.zeros((2, 2, 2))), "expected 1 or 2 dimensions, got 3"),
}


@pytest.mark.parametrize("row", BAD_NPY)
def test_bad_npy_is_refused(save, row):
    content, message = BAD_NPY[row]

    with pytest.raises(CommandError, match=message):
        open_table(save("a.npy", content))


def test_parquet(save):
    path = save("a.parquet", parquet(a=[1, 2], b=[0.5, 1.5], c=["x", "y"]))
    table = open_table(path)

    assert table.names == ["a", "b", "c"]
    assert table.has_names
    assert table.read([1, 0]).tolist() == [[0.5, 1.0], [1.5, 2.0]]


def test_parquet_integers_stay_exact(save):
    table = open_table(save("a.parquet", parquet(a=[2**53 + 1], b=[0.5])))

    assert table.read([0]).tolist() == [[2**53 + 1]]
    with pytest.raises(CommandError, match="column 'a' holds integers beyond"):
        table.read([0, 1])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["x"], "column 'a' holds .*string, not numbers"),
        (pd.to_datetime(["2013-01-01"]), "column 'a' holds timestamp.*, not numbers"),
        (pd.array([1, None], dtype="Int64"), "column 'a' has missing values"),
    ],
)
def test_bad_parquet_columns_are_refused(save, column, message):
    table = open_table(save("a.parquet", parquet(a=column)))

    with pytest.raises(CommandError, match=message):
        table.read([0])


@pytest.mark.parametrize("content", [b"1,2\n", b"PAR1", parquet(a=[1])[:-9]])
def test_damaged_parquet_is_refused(save, content):
    with pytest.raises(CommandError, match=r"not a \.parquet file"):
        open_table(save("a.parquet", content))


def test_parquet_without_pyarrow_says_what_to_install(save, monkeypatch):
    path = save("a.parquet", parquet(a=[1]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingDependencyError, match="pip install pyarrow"):
        open_table(path)


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b"a\tb\n1\t2\n", npy(np.array([[1, 2]])), parquet(a=[1], b=[2])],
)
def test_standard_input_is_told_by_its_first_bytes(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert read("-")[1].tolist() == [[1, 2]]


def test_folder_is_refused(tmp_path):
    with pytest.raises(CommandError, match="a folder, not a file"):
        open_table(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_refused_instead_of_waited_for(tmp_path):
    """Seen hanging without the check."""
    path = tmp_path / "a.csv"
    os.mkfifo(path)

    with pytest.raises(CommandError, match="not a regular file; give - to read from a"):
        open_table(str(path))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_table(str(tmp_path / "a.csv"))


def test_unknown_suffix_is_refused(save):
    with pytest.raises(CommandError, match=r"expected a \.csv, \.tsv, \.npy or"):
        open_table(save("a.xlsx", "1"))
