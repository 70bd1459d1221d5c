"""Cases as a table, as JSON and as a figure."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kernelkit.cli import machine, output
from kernelkit.cli.bench.cases import Case, Method

_RANKED = 5


def as_text(
    title: str,
    judge: str,
    cases: Sequence[Case],
    methods: Sequence[Method],
    absent: Sequence[str],
) -> str:
    """Form a table: a line per problem, and for each peer its time over ours.

    Parameters
    ----------
    title : str
        What was computed, on which rows.
    judge : str
        What the answers were compared with.
    cases : sequence of Case
        In the order of the problems.
    methods : sequence of Method
        kernelkit, then its peers.
    absent : sequence of str
        Names of the peers that cannot be imported.
    """
    ours, *peers = methods
    names = [peer.name for peer in peers]
    lines = [[*_data_title(cases), "n", "d", "algorithm", "seconds", "judged", "error"]]
    lines[0] += names
    found = {(case.n, case.d, case.name): case for case in cases}
    for case in cases:
        if case.name == ours.name:
            rivals = [found.get((case.n, case.d, name)) for name in names]
            lines.append(
                [
                    *_data(case),
                    f"{case.n:,}",
                    f"{case.d}",
                    f"{case.algorithm}",
                    _seconds(case),
                    "all" if case.n_judged == case.n_values else f"{case.n_judged:,}",
                    f"{case.error:.2g}",
                    *(_ratio(rival, case) for rival in rivals),
                ]
            )
    measure = "" if ours.error == "absolute" else f", {ours.error}"
    threads = f"{ours.threads} thread" + ("s" if ours.threads > 1 else "")
    notes = [
        f"seconds: warm median of kernelkit, {threads}; peers: their time over that",
        f"judged: {judge}; error: the largest{measure}",
    ]
    if any(case.share < 1 for case in cases):
        notes.append(
            "~: evaluated at a sample of the values only; seconds, but those of "
            "fitting, times values over sample"
        )
    for method in methods:
        missing = f" (absent: pip install {method.package})" * (method.name in absent)
        notes.append(f"{method.name}: {method.description}{missing}")
        if method.error != "absolute":
            notes += _errors(method, cases)
    wrong = [
        f"MISMATCH: {case.name}, n = {case.n:,}, d = {case.d}: "
        f"an answer is off by {case.error:.2g}"
        for case in cases
        if not case.is_right
    ]
    return "\n".join(
        [title, "", *aligned(lines), "", *_predictions(cases), *notes, *wrong]
    )


def _predictions(cases: Sequence[Case]) -> list[str]:
    """List test errors and memory where the values are predictions."""
    rated = [case for case in cases if case.test_error is not None]
    if not rated:
        return []
    have_importances = any(case.importances is not None for case in rated)
    lines = [[*_data_title(cases), "n", "d", "method", "test error", "memory, MiB"]]
    if have_importances:
        lines[0].append("features by importance")
    for case in rated:
        memory = case.extra_rss_bytes
        lines.append(
            [
                *_data(case),
                f"{case.n:,}",
                f"{case.d}",
                case.name,
                f"{case.test_error:.4f}",
                "-" if memory is None else f"{memory / 2**20:,.0f}",
            ]
        )
        if have_importances:
            lines[-1].append(_ranking(case.importances))
    notes = [
        "test error: root mean square over the standard deviation of the target; of "
        "classes, the share of wrong ones"
    ]
    if have_importances:
        notes.append(f"features: the first {_RANKED}, from 1, with their importances")
    return [
        *aligned(lines),
        "",
        *notes,
        "memory: the highest beyond what was in use before",
    ]


def _data_title(cases: Sequence[Case]) -> list[str]:
    return ["data"] if any(case.data is not None for case in cases) else []


def _data(case: Case) -> list[str]:
    return [] if case.data is None else [case.data]


def _ranking(importances: list[float] | None) -> str:
    """List the features that matter most."""
    if importances is None:
        return "-"
    order = sorted(range(len(importances)), key=lambda j: -importances[j])
    return ", ".join(f"{j + 1} {importances[j]:.2f}" for j in order[:_RANKED])


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Set the cells of a table to the right of their columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]


def _seconds(case: Case) -> str:
    if case.warm_seconds is None:
        return "MISMATCH"
    return f"{case.warm_seconds['median']:.3g}"


def _ratio(case: Case | None, ours: Case) -> str:
    if case is None:
        return "-"
    if case.warm_seconds is None:
        return "MISMATCH"
    if ours.warm_seconds is None:
        return "-"
    ratio = case.warm_seconds["median"] / ours.warm_seconds["median"]
    text = f"{ratio:,.0f}x" if ratio >= 9.95 else f"{ratio:#.2g}x"
    return f"~{text}" if case.share < 1 else text


def _errors(method: Method, cases: Sequence[Case]) -> list[str]:
    """Tell how far the answers of a method were off, and how far they might be."""
    own = [case for case in cases if case.name == method.name]
    if not own:
        return []
    error = max(case.error for case in own)
    tolerance = max(case.tolerance for case in own)
    return [f"  error: {error:.2g} {method.error}, {tolerance:.2g} allowed"]


def as_json(
    parameters: dict[str, Any],
    cases: Sequence[Any],
    packages: Sequence[str],
    absent: Sequence[str],
) -> bytes:
    """Form a record of everything, with the machine and the versions."""
    record = {
        "schema": "kernelkit.bench/1",
        "machine": machine.describe(),
        "versions": machine.versions("python", "numpy", "scikit-learn", *packages),
        "parameters": parameters,
        "cases": [asdict(case) for case in cases],
        "absent": list(absent),
    }
    return (json.dumps(record, indent=2) + "\n").encode()


def as_png(title: str, cases: Sequence[Case]) -> bytes:
    """Draw time against n, a panel per number of features, both axes logarithmic."""
    ds = sorted({case.d for case in cases})
    names = list(dict.fromkeys(case.name for case in cases))
    # Whole powers of ten, so that at least two of them are labelled.
    low = math.floor(math.log10(min(case.n for case in cases)))
    high = max(math.ceil(math.log10(max(case.n for case in cases))), low + 1)
    figure = output.figure_class()(
        figsize=(2.2 + 2.4 * len(ds), 3.6), layout="constrained"
    )
    panels = figure.subplots(1, len(ds), sharex=True, sharey=True, squeeze=False)[0]
    for d, panel in zip(ds, panels, strict=True):
        for k, name in enumerate(names):
            points = sorted(
                (case.n, case.warm_seconds["median"])
                for case in cases
                if (case.d, case.name) == (d, name) and case.warm_seconds is not None
            )
            panel.loglog(
                [n for n, _ in points],
                [seconds for _, seconds in points],
                color=f"C{k}",
                marker="osD^v"[k % 5],
                label=name,
            )
        panel.set_title("1 feature" if d == 1 else f"{d} features")
        panel.set_xlabel("rows")
        panel.set_xlim(10.0**low / 1.5, 10.0**high * 1.5)
        panel.xaxis.set_minor_formatter("")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds, warm median")
    figure.suptitle(title)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return output.as_png(figure)
