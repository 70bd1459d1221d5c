import io
import json

import numpy as np
import pytest
from command_line import FEATURES, FRAME, lines

from kernelkit import ProductKernelDensity, select_bandwidth
from kernelkit.cli import kde
from kernelkit.density.bandwidth import RULES
from kernelkit.density.kernels1d import KERNELS

PLAIN = ProductKernelDensity().fit(FEATURES)
WEIGHTED = ProductKernelDensity().fit(FEATURES, sample_weight=FRAME["mass"])
TWO = ("--columns", "depth,width")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    FRAME.to_csv(folder / "rows.csv", index=False)
    np.save(folder / "features.npy", FEATURES)
    FRAME[["width", "depth"]][::3].to_csv(folder / "named.csv", index=False)
    return folder


def columns(ended):
    """Read several columns of numbers in csv, and their names."""
    assert ended.status == 0, ended.err
    header, _, body = ended.out.decode().partition("\n")
    return header.split(","), np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2)


def test_density_at_the_rows(run, folder):
    """Seen red with the logarithm printed."""
    ended = run("kde", folder / "rows.csv", *TWO)

    assert lines(ended) == ("density", np.exp(PLAIN.score_samples()).tolist())


def test_log_density_at_the_rows(run, folder):
    ended = run("kde", folder / "rows.csv", *TWO, "--log")

    assert lines(ended) == ("log_density", PLAIN.score_samples().tolist())


def test_weights_and_queries(run, folder):
    """Seen red with the weights left out of the fit."""
    table, queries = folder / "rows.csv", folder / "named.csv"

    ended = run("kde", table, "--weights", "mass", "--query", queries, "--log")

    expected = WEIGHTED.score_samples(FEATURES[::3]).tolist()
    assert lines(ended) == ("log_density", expected)


def test_distribution_function(run, folder):
    queries = ("--query", folder / "named.csv")

    own = run("kde", folder / "rows.csv", *TWO, "--cdf")
    other = run("kde", folder / "rows.csv", *TWO, "--cdf", *queries)

    assert lines(own) == ("cdf", PLAIN.cdf().tolist())
    assert lines(other) == ("cdf", PLAIN.cdf(FEATURES[::3]).tolist())


def test_each_row_left_out(run, folder):
    """Seen red with the row's own term kept."""
    logs = PLAIN.loo_log_density()

    plain = run("kde", folder / "rows.csv", *TWO, "--loo")
    as_log = run("kde", folder / "rows.csv", *TWO, "--loo", "--log")

    assert lines(plain) == ("loo_density", np.exp(logs).tolist())
    assert lines(as_log) == ("loo_log_density", logs.tolist())


def test_kernel_and_bandwidth_per_feature(run, folder):
    """Seen red with one bandwidth for all."""
    options = ("--kernel", "epanechnikov", "--bandwidth", "3,0.5")

    ended = run("kde", folder / "rows.csv", *TWO, *options)

    density = ProductKernelDensity("epanechnikov", bandwidth=[3.0, 0.5]).fit(FEATURES)
    assert lines(ended)[1] == np.exp(density.score_samples()).tolist()


def test_kernel_of_coefficients(run, folder):
    """Seen red with names alone."""
    ended = run("kde", folder / "rows.csv", *TWO, "--kernel", "1,0.5")
    one = run("kde", folder / "rows.csv", *TWO, "--kernel", "2")

    density = ProductKernelDensity([1.0, 0.5]).fit(FEATURES)
    assert lines(ended)[1] == np.exp(density.score_samples()).tolist()
    assert lines(one)[1] == np.exp(PLAIN.score_samples()).tolist()


@pytest.mark.parametrize("bandwidth", ["2", "scott", "silverman"])
def test_json_names_the_bandwidths(run, folder, bandwidth):
    options = ("--bandwidth", bandwidth, "--format", "json")

    ended = run("kde", folder / "rows.csv", *TWO, *options)

    if bandwidth == "2":
        expected = [2.0, 2.0]
    else:
        expected = select_bandwidth(FEATURES, bandwidth).tolist()
    record = json.loads(ended.out)
    assert record.keys() == {"features", "bandwidth", "density"}
    assert record["features"] == ["depth", "width"]
    assert record["bandwidth"] == expected
    assert len(record["density"]) == 40


def test_json_has_no_infinities(run):
    """Seen red with -Infinity, which is not in the standard."""
    options = ("--kernel", "uniform", "--bandwidth", "1", "--format", "json")

    ended = run("kde", "-", "--loo", "--log", *options, stdin=b"0\n0.5\n9\n")

    (line,) = ended.out.decode().splitlines()
    record = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert record["loo_log_density"] == [np.log(0.25), np.log(0.25), None]


@pytest.fixture(scope="module")
def grid():
    """Axes and values of the grid that --grid 7 stands for."""
    low, high = FEATURES.min(axis=0), FEATURES.max(axis=0)
    h = PLAIN.bandwidth_
    axes = np.linspace(low - 5 * h, high + 5 * h, 7).T
    return axes, PLAIN.evaluate_grid(axes)


def test_grid_in_csv_has_a_line_per_node(run, folder, grid):
    """Seen red with the first feature fastest."""
    axes, values = grid

    ended = run("kde", folder / "rows.csv", *TWO, "--grid", "7")

    names, table = columns(ended)
    assert names == ["depth", "width", "density"]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(table[:, :2], mesh)
    np.testing.assert_array_equal(table[:, 2], values.ravel())


@pytest.mark.parametrize("options", [[], ["--log"]])
def test_grid_in_npy_and_json(run, folder, grid, options):
    axes, values = grid
    call = ("kde", folder / "rows.csv", *TWO, "--grid", "7", *options, "--format")

    array = np.load(io.BytesIO(run(*call, "npy").out), allow_pickle=False)
    record = json.loads(run(*call, "json").out)

    expected = np.log(values) if options else values
    np.testing.assert_array_equal(array, expected, strict=True)
    assert record == {
        "features": ["depth", "width"],
        "bandwidth": PLAIN.bandwidth_.tolist(),
        "axes": axes.tolist(),
        "log_density" if options else "density": expected.tolist(),
    }


def test_grid_reaches_beyond_the_rows(run, folder):
    """The density integrates to 1 but for what lies farther than 5 bandwidths.

    Seen red without the margin.
    """
    table = folder / "features.npy"

    record = json.loads(run("kde", table, "--grid", "200", "--format", "json").out)

    cell = np.prod([axis[1] - axis[0] for axis in record["axes"]])
    assert abs(cell * np.sum(record["density"]) - 1.0) < 0.01


def test_large_grid_is_written_in_order(run):
    """More nodes than lines are formatted at a time."""
    ended = run("kde", "-", "--grid", "300", stdin=b"0,0\n1,2\n3,1\n")

    _, table = columns(ended)
    assert table.shape == (90_000, 3)
    order = np.lexsort((table[:, 1], table[:, 0]))
    np.testing.assert_array_equal(order, np.arange(90_000))


def test_sample_is_repeated_by_its_seed(run, folder):
    """Seen red with the seed dropped."""
    call = ("kde", folder / "rows.csv", *TWO, "--sample", "50")

    first, again = run(*call, "--seed", "3"), run(*call, "--seed", "3")
    other, unseeded = run(*call, "--seed", "4"), run(*call)

    expected = PLAIN.sample(50, random_state=3)
    names, table = columns(first)
    assert names == ["depth", "width"]
    np.testing.assert_array_equal(table, expected)
    assert first == again
    assert len({first.out, other.out, unseeded.out}) == 3


def test_sample_in_npy_and_json(run, folder):
    call = ("kde", folder / "rows.csv", *TWO, "--sample", "9", "--seed", "3")

    array = np.load(io.BytesIO(run(*call, "--format", "npy").out), allow_pickle=False)
    record = json.loads(run(*call, "--format", "json").out)

    expected = PLAIN.sample(9, random_state=3)
    np.testing.assert_array_equal(array, expected, strict=True)
    assert record["sample"] == expected.tolist()
    assert record.keys() == {"features", "bandwidth", "sample"}


def test_rows_without_names_give_a_table_with_names(run, folder):
    """A sample is a table again: its header must not be taken for data.

    Seen red with the numbers of the columns for names.
    """
    sample = run("kde", folder / "features.npy", "--sample", "9")

    again = run("kde", "-", stdin=sample.out)

    assert sample.out.startswith(b"x1,x2\n")
    assert len(lines(again)[1]) == 9


def test_names_with_commas_are_quoted(run):
    """Seen red with the names joined by commas."""
    table = b'"a,1",b\n1,2\n3,5\n'

    ended = run("kde", "-", "--grid", "2", stdin=table)

    assert ended.out.startswith(b'"a,1",b,density\n')


def test_no_header_in_no_header_out(run):
    for option in ("--grid", "--sample"):
        ended = run("kde", "-", "--no-header", option, "2", stdin=b"0\n1\n")

        assert all(line[:1] in b"-0123456789" for line in ended.out.splitlines())


@pytest.mark.parametrize("name", ["a.json", "a.npy", "a.csv"])
def test_suffix_of_the_file_chooses_the_format(run, folder, tmp_path, name):
    out = tmp_path / name

    ended = run("kde", folder / "rows.csv", *TWO, "--out", out)

    assert ended == (0, b"", "")
    starts = {"a.json": b'{"features"', "a.npy": b"\x93NUMPY", "a.csv": b"density\n"}
    assert out.read_bytes().startswith(starts[name])


def test_threads_do_not_change_a_bit(run, folder):
    ended = run("kde", folder / "rows.csv", "--n-jobs", "2")

    assert ended == run("kde", folder / "rows.csv")


def test_warnings_are_a_line_for_the_user(run):
    """Seen red with Python's own lines, which name a file of kernelkit."""
    ended = run("kde", "-", stdin=b"1,2\n1,3\n")

    assert ended.status == 0
    assert ended.err.startswith("kernelkit kde: X is constant in column 0")
    assert ended.err.count("\n") == 1


def test_names_of_kernels_and_rules_are_those_of_the_estimator():
    assert list(KERNELS) == list(kde.KERNELS)
    assert list(RULES) == list(kde.RULES)


BAD_CALLS = {
    "zero bandwidth": (["--bandwidth", "0"], 3, "The 'bandwidth' parameter of Prod"),
    "negative bandwidth": (["--bandwidth", "-1"], 3, "Got -1.0 instead"),
    "no bandwidth": (["--bandwidth", "nan"], 3, "Got nan instead"),
    "endless bandwidth": (["--bandwidth", "1,inf"], 3, "Got [1.0, inf] instead"),
    "wrong length": (["--bandwidth", "1,2,3"], 3, "or 2 of them, one per feature"),
    "no rule": (["--bandwidth", "wide"], 2, "expected numbers or one of normal_ref"),
    "empty bandwidth": (["--bandwidth", ""], 2, "expected numbers or one of normal_"),
    "half a list": (["--bandwidth", "1,"], 2, "expected numbers or one of normal_ref"),
    "no kernel": (["--kernel", "box"], 2, "expected numbers or one of laplacian, "),
    "half a kernel": (["--kernel", "1,"], 2, "expected numbers or one of laplacian"),
    "negative kernel": (["--kernel", "1,-1"], 3, "The 'kernel' parameter of Product"),
    "flat grid": (["--grid", "1"], 2, "expected a whole number >= 2, got '1'"),
    "no sample": (["--sample", "0"], 2, "expected a whole number >= 1, got '0'"),
    "seed": (["--sample", "2", "--seed", "-1"], 2, "expected a whole number >= 0"),
    "seed of nothing": (["--seed", "1"], 2, "--seed does not go without --sample"),
    "seed of a grid": (["--seed", "0", "--grid", "3"], 2, "not go without --sample"),
    "two places": (["--grid", "3", "--sample", "2"], 2, "not allowed with argument"),
    "two functions": (["--cdf", "--loo"], 2, "not allowed with argument"),
    "loo elsewhere": (["--loo", "--grid", "3"], 2, "--loo does not go with --grid"),
    "loo at queries": (["--loo", "--query", "named.csv"], 2, "--loo does not go with"),
    "cdf on a grid": (["--cdf", "--grid", "3"], 2, "--cdf does not go with --grid"),
    "log of rows": (["--log", "--sample", "3"], 2, "--log does not go with --sample"),
    "log of cdf": (["--log", "--cdf"], 2, "--log does not go with --cdf"),
    "missing query": (["--query", "missing.csv"], 3, "missing.csv: No such file"),
    "no threads": (["--n-jobs", "0"], 2, "expected a number of threads"),
}


@pytest.mark.parametrize("row", BAD_CALLS)
def test_bad_calls(run, folder, monkeypatch, row):
    """Seen red with the conflicts unchecked: an option was ignored."""
    monkeypatch.chdir(folder)
    arguments, status, message = BAD_CALLS[row]

    ended = run("kde", "features.npy", *arguments)

    assert ended.status == status
    assert message in ended.err
    assert ended.out == b""


@pytest.mark.parametrize("content", ["x\nnan\n", "x\ninf\n1\n", "x\n", "x\n1\n"])
def test_bad_rows_end_with_3(run, content):
    """NaN, infinity, no row, and one row, of which a rule cannot tell the spread."""
    ended = run("kde", "-", stdin=content.encode())

    assert ended.status == 3
    assert ended.err.startswith("kernelkit kde: ")
    assert ended.out == b""


def test_output_is_refused_before_the_data_are_read(run, tmp_path):
    (tmp_path / "a.csv").write_text("old")

    ended = run("kde", tmp_path / "missing.csv", "--out", tmp_path / "a.csv")

    assert ended.status == 2
    assert "a.csv: exists; --force overwrites it" in ended.err


class TestPlot:
    """A picture beside the numbers."""

    @pytest.mark.parametrize("columns", [TWO, ("--columns", "width")])
    def test_picture(self, run, folder, tmp_path, columns):
        """Numbers are the same as without it."""
        options = (folder / "rows.csv", *columns)

        drawn = run("kde", *options, "--plot", tmp_path / "density.png")

        assert (tmp_path / "density.png").read_bytes()[:4] == b"\x89PNG"
        assert drawn.out == run("kde", *options).out

    def test_more_than_two_features(self, run, folder, tmp_path):
        ended = run("kde", folder / "rows.csv", "--plot", tmp_path / "density.png")

        assert ended.status == 2
        assert "--plot draws one or two features, not 3" in ended.err
        assert not list(tmp_path.iterdir())

    def test_a_file_is_kept_unless_forced(self, run, folder, tmp_path):
        """Seen red with the check after the work."""
        target = tmp_path / "density.png"
        target.write_text("mine")
        options = ("kde", folder / "rows.csv", *TWO, "--plot", target)

        refused = run(*options)

        assert refused.status == 2
        assert refused.out == b""
        assert target.read_text() == "mine"
        assert run(*options, "--force").status == 0
        assert target.read_bytes()[:4] == b"\x89PNG"
