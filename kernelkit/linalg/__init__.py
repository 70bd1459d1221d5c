"""What several kernel methods need: blocks of kernel matrices and their products."""

from kernelkit.linalg.kernel_blocks import (
    Centers,
    PairKernel,
    as_kernel,
    product,
    row_tiles,
)

__all__ = ["Centers", "PairKernel", "as_kernel", "product", "row_tiles"]
