"""Rows so large that sums over all rows lose the digits of the others."""

from typing import Any

import numpy as np

from kernelkit._validation import Array
from kernelkit._warnings import warn
from kernelkit.linalg import Centers, PairKernel
from kernelkit.nystroem.span import Span

_ROUNDING = 10.0 * float(np.finfo(np.float64).eps)


def warn_of_outliers(
    kernel: PairKernel,
    X: Any,
    ids: Array,
    weights: Array | None,
    centers: Centers,
    span: Span,
    alpha: float,
) -> None:
    """Warn if the rounding of the largest row exceeds the penalty.

    A large row does no harm as a centre that counts: it comes first, and the functions
    after it are 0 there.
    """
    sizes = np.abs(kernel.diag(X, ids))
    sizes = sizes if weights is None else weights * sizes
    sizes[np.isin(ids, centers.ids[span.kept])] = 0.0
    largest = int(sizes.argmax())
    if not _ROUNDING * sizes[largest] > alpha:
        return
    row = X[largest : largest + 1]
    values = span.project(kernel.block(row, centers).T)[1:, 0]
    lost = float(values @ values) * (1.0 if weights is None else weights[largest])
    if _ROUNDING * lost > alpha:
        warn(
            f"Row {ids[largest]} has k(x, x) times its weight = {sizes[largest]:.3g}, "
            "beside which sums lose the digits of other rows: rescale the features, "
            "leave such rows out, raise alpha, or use a kernel that is bounded."
        )
