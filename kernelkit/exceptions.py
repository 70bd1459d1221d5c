"""Errors that callers may want to tell apart."""


class KernelKitError(Exception):
    """Base class of the errors that kernelkit defines itself."""


class MissingDependencyError(KernelKitError, ImportError):
    """An optional dependency is not installed; the message names the pip extra."""
