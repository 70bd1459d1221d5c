"""What kernel objects share."""

from typing import Any

from sklearn.gaussian_process.kernels import Kernel

from kernelkit import _validation as check


class RowKernel(Kernel):
    """A kernel of scikit-learn that compares rows, sparse or not; not stationary."""

    def is_stationary(self) -> bool:
        """Tell whether the kernel depends on differences of rows only: False."""
        return False


def rows_of(
    X: Any, Y: Any, eval_gradient: bool = False, *, takes_sparse: bool = False
) -> tuple[Any, Any]:
    """Check two sets of rows; None for Y stands for X."""
    if eval_gradient and Y is not None:
        raise ValueError(
            "A gradient is of the kernel matrix of X with itself: leave out Y."
        )
    return check.row_pair(X, Y, takes_sparse=takes_sparse)
