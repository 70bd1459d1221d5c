"""The code of README.md runs as it stands there."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import kernelkit

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## Quick start$(.*?)(?=^## )", README, re.DOTALL | re.MULTILINE)


def blocks(language, text=README):
    """List the fenced blocks of one language."""
    fences = rf"^```{language}\n(.*?)^```$"
    return re.findall(fences, text, re.DOTALL | re.MULTILINE)


QUICK_START = blocks("bash", SECTION[1])[0]


def test_quick_start_is_two_commands():
    """Seen red with a command broken over two lines."""
    lines = QUICK_START.splitlines()

    assert len(lines) == 2
    assert not any(re.search(r"\\$|^\s*(#|$)", line) for line in lines)


def test_python_blocks_run(tmp_path):
    """In their order and one namespace, each warning an error.

    Seen red with a misspelt name in the last block.
    """
    code = "\n".join(blocks("python"))
    assert code

    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True
    )


@pytest.mark.parametrize("code", [c for c in blocks("bash") if c != QUICK_START])
def test_bash_block_runs(code, tmp_path):
    """Seen red with an unknown option."""
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ["PATH"]])

    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        check=True,
    )


PEERS = {
    "NumPy": {},
    "SciPy": {"stats": "scipy"},
    "statsmodels": {
        "ECDF": "statsmodels.distributions.empirical_distribution",
        "_ecdf_mv": "statsmodels.distributions.tools",
        "KDEMultivariate": "statsmodels.nonparametric.kernel_density",
    },
    "scikit-learn": {
        "GaussianProcessRegressor": "sklearn.gaussian_process",
        "KernelDensity": "sklearn.neighbors",
        "KernelRidge": "sklearn.kernel_ridge",
        "LinearRegression": "sklearn.linear_model",
        "NeuralTangent": "kernelkit",
        "Nystroem": "sklearn.kernel_approximation",
        "RBF": "sklearn.gaussian_process.kernels",
        "SVC": "sklearn.svm",
    },
    "KDEpy": {"FFTKDE": "KDEpy"},
    "pandas": {"Series": "pandas"},
}
COMPARED = re.findall(
    r"^\| ([\w-]+) \| `(.+?)` \| `(.+?)` \| (equal|within (.+?) of the largest)",
    README,
    re.MULTILINE,
)


def test_each_peer_is_compared():
    """Seen red with a row whose numbers are given in other words."""
    table = re.search(r"^\| from .*?\n\n", README, re.DOTALL | re.MULTILINE)[0]

    assert len(COMPARED) == table.count("\n") - 3
    assert {name for name, *_ in COMPARED} == PEERS.keys()


@pytest.mark.parametrize(
    ("peer", "there", "here", "numbers", "bound"),
    COMPARED,
    ids=[there.partition("(")[0] or "mean" for _, there, *_ in COMPARED],
)
def test_peer_agrees(peer, there, here, numbers, bound):
    """Seen red with one feature as a vector, and the Laplacian for the Gaussian."""
    n, h = 300, 0.4
    rng = np.random.default_rng(0)
    X, Q = rng.normal(size=(n, 2)).round(2), rng.normal(size=(50, 2)).round(2)
    axes = [np.linspace(-6.0, 6.0, 256)] * 2
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    names = {"np": np, "n": n, "h": h, "X": X, "Q": Q, "axes": axes, "grid": grid}
    names |= {"x": X[:, 0], "q": Q[:, 0]}
    theirs = {
        name: getattr(pytest.importorskip(module), name)
        for name, module in PEERS[peer].items()
    }

    got = eval(
        here, {name: getattr(kernelkit, name) for name in kernelkit.__all__} | names
    )

    with warnings.catch_warnings(action="ignore"):
        expected = eval(there, theirs | names)
    bound = eval(bound, names) if bound else 0.0
    np.testing.assert_allclose(
        got, expected, rtol=0.0, atol=bound * np.abs(expected).max()
    )
