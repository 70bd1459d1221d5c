"""Whatever a table holds, a command ends in order."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st


def as_text(rows, comma, newline):
    return newline.join(comma.join(map(str, row)) for row in rows).encode()


def tables(fields):
    """Make texts with one line that may be longer than the others."""
    widths = st.integers(1, 3)
    rows = widths.flatmap(
        lambda width: st.lists(st.lists(fields, min_size=width, max_size=width))
    )
    odd_rows = st.lists(st.lists(fields, min_size=1, max_size=3), max_size=1)
    return st.builds(
        as_text,
        st.builds(list.__add__, odd_rows, rows),
        st.sampled_from(",\t"),
        st.sampled_from(["\n", "\r\n", "\r"]),
    )


NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False))
ODD_FIELDS = st.sampled_from(["", "NA", '"1"', " 1", "a", "b", "nan", '"', "1;2"])
HOSTILE = st.one_of(
    tables(NUMBERS),
    tables(st.one_of(NUMBERS, ODD_FIELDS)),
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(),
    st.binary().map(lambda tail: b"\x93NUMPY\x01\x00" + tail),
    st.binary().map(lambda middle: b"PAR1" + middle + b"PAR1"),
)

OPTIONS = [
    "--no-header",
    "--weights=1",
    "--columns=1",
    "--columns=2,1",
    "--columns=a",
    "--query=rows",
    "--format=json",
    "--format=npy",
    "--unknown",
]
OF_COMMANDS = {
    "ecdf": ["--survival"],
    "kde": [
        "--grid=3",
        "--sample=2",
        "--cdf",
        "--loo",
        "--log",
        "--bandwidth=1",
        "--bandwidth=0.5,2",
        "--bandwidth=cv_ml",
        "--kernel=silverman",
        "--kernel=uniform",
    ],
}

CALLS = st.one_of(
    st.tuples(st.just(command), st.lists(st.sampled_from([*OPTIONS, *own]), max_size=3))
    for command, own in OF_COMMANDS.items()
)


@given(
    call=CALLS,
    data=HOSTILE,
    suffix=st.sampled_from([".csv", ".tsv", ".npy", ".parquet", ".txt"]),
)
@example(call=("ecdf", []), data=b"1,2\n3,4\n", suffix=".csv")
@example(call=("kde", []), data=b"1,2\n3,4\n", suffix=".csv")
@example(call=("kde", ["--grid=3"]), data=b"-4e306\n4e306\n", suffix=".csv")
def test_whatever_comes_in_ends_in_order(run, call, data, suffix):
    """Seen red with the damage of an .npy file passed on as numpy tells it."""
    command, options = call
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{suffix}"
        path.write_bytes(data)
        options = [option.replace("=rows", f"={path}") for option in options]

        ended = run(command, path, "--out", f"{folder}/out", *options)

        left = {file.name for file in Path(folder).iterdir()} - {path.name}

    assert ended.status in {0, 2, 3}, ended.err
    assert "Traceback" not in ended.err
    assert left == ({"out"} if ended.status == 0 else set())
