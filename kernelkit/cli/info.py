"""``kernelkit info``: what a bug report should say."""

import argparse
import os
import time
from collections.abc import Callable, Iterable

NAME = "info"
HELP = "print versions, machine, and the state of numba's cache"
EXAMPLE = "kernelkit info"

_NEEDED = ("numpy", "scipy", "scikit-learn", "numba", "joblib", "threadpoolctl")
_OPTIONAL = ("matplotlib", "rich", "pandas", "pyarrow", "statsmodels", "KDEpy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(args: argparse.Namespace) -> int:
    """Print one fact per line."""
    from kernelkit.cli.machine import describe, versions

    machine = describe()
    facts = {
        **versions("kernelkit", "python", *_NEEDED, *_OPTIONAL),
        "processor": machine["cpu"],
        "cores": machine["cores"],
        "system": machine["system"],
        **_cache_facts(),
    }
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {'absent' if fact is None else fact}")
    return 0


def _cache_facts() -> dict[str, str]:
    """Tell where compiled loops are stored, and what a first call costs."""
    import kernelkit
    from kernelkit.cli.warmup import PROBLEMS, cache_files, compiled_loops

    for name in PROBLEMS:
        getattr(kernelkit, name)  # imports its loops
    loops = [loop for _, loop in compiled_loops()]
    if not loops:
        return {"cache": "unused, NUMBA_DISABLE_JIT is set"}
    folders = {loop.stats.cache_path for loop in loops}
    if None in folders:
        return {"cache": "no folder is writable, so every process compiles anew"}
    n_stored = sum(bool(cache_files(loop)) for loop in loops)
    return {
        "cache": ", ".join(
            folder + ("" if os.access(folder, os.W_OK) else " (read-only)")
            for folder in sorted(folders)
        ),
        "stored loops": f"{n_stored} of {len(loops)}",
        "first call": (
            _first_calls(PROBLEMS.values())
            if n_stored == len(loops)
            else "compiles: some 50 s, once per machine, or now by kernelkit warmup"
        ),
    }


def _first_calls(problems: Iterable[Callable[[], None]]) -> str:
    """Time small problems twice in this fresh process, whose loops are all stored."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for solve in problems:
            solve()
        seconds.append(time.perf_counter() - start)
    return f"{seconds[0] - seconds[1]:.2f} s longer than later ones"
