import io
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import FEATURES, FRAME, lines

from kernelkit import MultivariateECDF

PLAIN = MultivariateECDF().fit(FEATURES)
WEIGHTED = MultivariateECDF().fit(FEATURES, sample_weight=FRAME["mass"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Hold the same rows in every format."""
    folder = tmp_path_factory.mktemp("tables")
    FRAME.to_csv(folder / "rows.csv", index=False)
    FRAME.to_csv(folder / "rows.tsv", index=False, sep="\t")
    FRAME.to_csv(folder / "bare.csv", index=False, header=False)
    FRAME.to_parquet(folder / "rows.parquet")
    np.save(folder / "rows.npy", FRAME.to_numpy())
    # Queries in another order of columns, and without the weights.
    FRAME[["width", "depth"]][::3].to_csv(folder / "named.csv", index=False)
    np.save(folder / "features.npy", FEATURES[::3])
    np.save(folder / "like_rows.npy", FRAME.to_numpy()[::3])
    return folder


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.npy", "rows.parquet"])
def test_every_format_gives_the_same_bits(run, folder, name):
    """Seen red with 16 digits."""
    ended = run("ecdf", folder / name, "--columns", "1,3")

    assert lines(ended) == ("cdf", PLAIN.cdf().tolist())


def test_standard_input(run, folder):
    data = (folder / "rows.csv").read_bytes()

    ended = run("ecdf", "-", "--columns", "depth,width", stdin=data)

    assert lines(ended) == ("cdf", PLAIN.cdf().tolist())


def test_survival(run, folder):
    ended = run("ecdf", folder / "rows.csv", "--columns", "depth,width", "--survival")

    assert lines(ended) == ("survival", PLAIN.survival().tolist())


@pytest.mark.parametrize("weights", ["mass", "2"])
def test_weights_are_no_feature(run, folder, weights):
    """Seen red with the weights kept among the features, and with them dropped."""
    ended = run("ecdf", folder / "rows.csv", "--weights", weights)

    assert lines(ended) == ("cdf", WEIGHTED.cdf().tolist())


@pytest.mark.parametrize("queries", ["named.csv", "features.npy", "like_rows.npy"])
def test_queries_are_matched_by_name_or_else_by_position(run, folder, queries):
    """Seen red with names ignored."""
    table, query = folder / "rows.csv", folder / queries

    ended = run("ecdf", table, "--weights", "mass", "--query", query)

    assert lines(ended) == ("cdf", WEIGHTED.cdf(FEATURES[::3]).tolist())


def test_no_header_in_no_header_out(run, folder):
    ended = run("ecdf", folder / "bare.csv", "--columns", "1,3", "--no-header")

    assert [float(line) for line in ended.out.splitlines()] == PLAIN.cdf().tolist()


@pytest.mark.parametrize("options", [["--format", "json"], ["--out", "a.json"]])
def test_json(run, folder, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)

    ended = run("ecdf", folder / "rows.csv", "--columns", "depth,width", *options)

    written = Path("a.json").read_bytes() if "--out" in options else ended.out
    record = {"features": ["depth", "width"], "cdf": PLAIN.cdf().tolist()}
    assert json.loads(written) == record


@pytest.mark.parametrize("options", [["--format", "npy"], ["--out", "a.npy"]])
def test_npy(run, folder, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)

    ended = run("ecdf", folder / "rows.csv", "--columns", "depth,width", *options)

    written = Path("a.npy").read_bytes() if "--out" in options else ended.out
    values = np.load(io.BytesIO(written), allow_pickle=False)
    np.testing.assert_array_equal(values, PLAIN.cdf(), strict=True)


def test_format_goes_before_the_suffix(run, folder, tmp_path):
    out = tmp_path / "a.json"

    run("ecdf", folder / "rows.csv", "--format", "csv", "--out", out)

    assert out.read_text().startswith("cdf\n")


def test_output_is_refused_before_the_data_are_read(run, tmp_path):
    """Seen red with the check only at the end."""
    (tmp_path / "a.csv").write_text("old")

    ended = run("ecdf", tmp_path / "missing.csv", "--out", tmp_path / "a.csv")

    assert ended.status == 2
    assert "a.csv: exists; --force overwrites it" in ended.err


def test_many_rows_are_written_in_order(run, tmp_path):
    """More rows than are formatted at a time."""
    n = 70_000
    np.save(tmp_path / "rows.npy", np.arange(n))

    ended = run("ecdf", tmp_path / "rows.npy")

    assert lines(ended)[1] == [(k + 1) / n for k in range(n)]


def test_threads_do_not_change_a_bit(run, folder):
    ended = run("ecdf", folder / "rows.csv", "--n-jobs", "2")

    assert ended == run("ecdf", folder / "rows.csv")


BAD_CALLS = {
    "missing file": (["missing.csv"], 3, "missing.csv: No such file"),
    "missing query": (["rows.csv", "--query", "missing.csv"], 3, "missing.csv: No"),
    "unknown weights": (["rows.csv", "--weights", "age"], 3, "no column 'age'"),
    "unknown column": (["rows.csv", "--columns", "age"], 3, "no column 'age'"),
    "no column": (["rows.csv", "--columns", ""], 3, "no column is left"),
    "narrow query": (["rows.npy", "--query", "features.npy"], 3, "expected 3 columns"),
    "query lacks a column": (["rows.csv", "--query", "named.csv"], 3, "no column 'ma"),
    "negative weights": (["rows.csv", "--weights", "width"], 3, "Negative values"),
    "missing folder": (["rows.csv", "--out", "missing/a.csv"], 3, "folder does not ex"),
    "unknown format": (["rows.csv", "--format", "xlsx"], 2, "invalid choice"),
    "no threads": (["rows.csv", "--n-jobs", "0"], 2, "expected a number of threads"),
    "half a thread": (["rows.csv", "--n-jobs", "0.5"], 2, "expected a number of thr"),
    "no data": ([], 2, "required: DATA"),
}


@pytest.mark.parametrize("row", BAD_CALLS)
def test_bad_calls(run, folder, monkeypatch, row):
    monkeypatch.chdir(folder)
    arguments, status, message = BAD_CALLS[row]

    ended = run("ecdf", *arguments)

    assert ended.status == status
    assert message in ended.err
    assert ended.out == b""


@pytest.mark.parametrize("content", ["x\nnan\n", "x\n"])
def test_bad_rows_end_with_3(run, content):
    """Seen red with the errors of the estimator passed on."""
    ended = run("ecdf", "-", stdin=content.encode())

    assert ended.status == 3
    assert ended.err.startswith("kernelkit ecdf: ")
    assert ended.out == b""


def test_standard_input_is_read_once(run):
    """Seen red without the check: the queries were empty."""
    ended = run("ecdf", "-", "--query", "-", stdin=b"1\n2\n")

    assert ended.status == 2
    assert "only one of DATA and --query" in ended.err
