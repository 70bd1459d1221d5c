"""What a figure or a bug report depends on: machine and versions."""

import os
import platform
from importlib import metadata


def describe() -> dict[str, str | int]:
    """Describe the processor, its cores that this process may use, and the system."""
    return {
        "cpu": _cpu_name(),
        "cores": _usable_cores(),
        "system": platform.platform(),
    }


def versions(*packages: str) -> dict[str, str | None]:
    """Look up versions of installed packages; None stands for absent."""
    return {package: _version(package) for package in packages}


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    if package == "python":
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
