"""Callbacks of scikit-learn, which it has from 1.9 on."""

import threading
from collections.abc import Callable
from typing import Any

try:
    from sklearn import callback
except ImportError:  # an earlier scikit-learn
    callback = None

Method = Callable[..., Any]


class _NoCallbacks:
    """Nothing to support."""


CallbackSupportMixin: Any = getattr(callback, "CallbackSupportMixin", _NoCallbacks)


def with_callbacks(method: Method) -> Method:
    """Decorate `fit`: tell callbacks when it ends, be it by an error."""
    return method if callback is None else callback.with_callbacks(method)


class Watch:
    """Tell the callbacks of an estimator of each iteration of its fit.

    Searches on several threads report one after the other; all end once a callback
    wants to stop.
    """

    def __init__(self, estimator: Any, X: Any, y: Any) -> None:
        self._estimator, self._context = estimator, None
        self._lock = threading.Lock()
        self._is_stopped = False
        if hasattr(estimator, "_skl_callbacks"):
            self._context = estimator._init_callback_context(max_subtasks=None)
            self._context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)

    def step(self) -> bool:
        """Report an iteration; return whether a callback wants to stop."""
        if self._context is None:
            return False
        with self._lock:
            task = self._context.subcontext(task_name="iteration")
            task.call_on_fit_task_begin(estimator=self._estimator)
            if task.call_on_fit_task_end(estimator=self._estimator):
                self._is_stopped = True
        return self._is_stopped

    def is_stopped(self) -> bool:
        """Tell whether a callback wanted to stop."""
        return self._is_stopped

    def end(self) -> None:
        """Report the end of the fit."""
        if self._context is not None:
            self._context.call_on_fit_task_end(estimator=self._estimator)
