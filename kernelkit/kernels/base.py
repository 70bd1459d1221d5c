"""What kernel objects share."""

from inspect import signature
from typing import Any

from sklearn.gaussian_process.kernels import Kernel

from kernelkit import _validation as check


class RowKernel(Kernel):
    """A kernel of scikit-learn that compares rows, sparse or not; not stationary."""

    def is_stationary(self) -> bool:
        """Tell whether the kernel depends on differences of rows only: False."""
        return False

    def __repr__(self) -> str:
        defaults = signature(type(self)).parameters
        given = [
            f"{name}={value!r}"
            for name, value in self.get_params(deep=False).items()
            if value != defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(given)})"


def rows_of(
    X: Any, Y: Any, eval_gradient: bool = False, *, takes_sparse: bool = False
) -> tuple[Any, Any]:
    """Check two sets of rows; None for Y stands for X."""
    if eval_gradient and Y is not None:
        raise ValueError(
            "A gradient is of the kernel matrix of X with itself: leave out Y."
        )
    return check.row_pair(X, Y, takes_sparse=takes_sparse)
