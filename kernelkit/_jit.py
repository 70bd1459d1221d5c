"""The project's numba flags, set once."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import numba

_logger = logging.getLogger("kernelkit")


@cache
def _log_once() -> None:
    _logger.info(
        "No cache folder is writable, so loops are compiled anew in every process: "
        "set NUMBA_CACHE_DIR to a folder that is."
    )


def jit(**flags: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a loop on its first call: cached on disk, without the GIL.

    A read-only install without a cache folder compiles anew in every process.

    Parameters
    ----------
    **flags
        Passed to `numba.njit`; ``fastmath`` may only name contract, arcp and nsz.

    Returns
    -------
    decorator : callable
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", **flags}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # numba found no writable cache folder
            _log_once()
            return numba.njit(**options)(function)

    return decorate
