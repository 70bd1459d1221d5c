"""Bounds on the error of a kernel machine on new data, from its own training rows."""

from typing import Any

import numpy as np
from scipy.special import ndtr, rel_entr
from sklearn.utils import Bunch

from kernelkit._validation import Array

_SHARPNESS = np.logspace(-1.0, 2.5, 60)  # of the random classifiers; fixed beforehand


def error_bound(
    method: str,
    decisions: Array,
    signs: Array,
    K_diag: Array,
    norms: Array,
    n_support: int,
    delta: float,
) -> Bunch:
    """Bound the probability that a new row is classified wrongly.

    A row is classified right if each machine that knows its class has the right sign;
    so the bounds of the machines, each at ``delta / n_machines``, add up.

    Parameters
    ----------
    method : {"pac_bayes", "rademacher", "loo"}
        See `NTKSVC.generalization_bound`.
    decisions : ndarray of shape (n, n_machines)
        Values of the machines at the training rows.
    signs : ndarray of shape (n, n_machines)
        1 and -1 for the two sides of each machine, 0 for rows that are on neither.
    K_diag : ndarray of shape (n,)
        k(x, x) of the training rows.
    norms : ndarray of shape (n_machines,)
        Norms of the machines in the space of the kernel, or upper bounds of them.
    n_support : int
        Number of rows that some machine leans on.
    delta : float
        Probability, over the draw of the training rows, that the bound fails.

    Returns
    -------
    result : Bunch
        ``bound`` (at most 1), ``method``, ``delta``, ``vacuous`` (whether the bound is
        0.5 or more), and ``machine_bounds`` of shape (n_machines,) for the first two.
    """
    if method == "loo":
        return _bunch(n_support / len(decisions), method, None)
    bound_machine = {"pac_bayes": _pac_bayes, "rademacher": _rademacher}[method]
    bounds = np.array(
        [
            bound_machine(sign * f, sign != 0, K_diag, norm, delta / len(norms))
            for f, sign, norm in zip(decisions.T, signs.T, norms, strict=True)
        ]
    )
    return _bunch(bounds.sum(), method, delta, machine_bounds=bounds)


def _bunch(bound: float, method: str, delta: float | None, **more: Any) -> Bunch:
    bound = min(float(bound), 1.0)
    return Bunch(bound=bound, method=method, delta=delta, vacuous=bound >= 0.5, **more)


def _pac_bayes(
    margins: Array, known: Array, K_diag: Array, norm: float, delta: float
) -> float:
    """Twice a bound on the risk of classifiers drawn around the machine.

    A classifier w ~ N(mu f / |f|, I) errs on (x, y) with probability Phi(-mu m), where
    m = y f(x) / (|f| k(x, x)^(1/2)). The sign of the machine is its majority vote.
    """
    n = len(margins)
    scales = norm * np.sqrt(K_diag)
    cosines = np.divide(margins, scales, out=np.zeros(n), where=scales > 0)
    cosines = np.clip(cosines, -1.0, 1.0)  # despite rounding
    risks = np.array([(known * ndtr(-mu * cosines)).mean() for mu in _SHARPNESS])
    slack = np.log(2.0 * np.sqrt(n) * len(_SHARPNESS) / delta)
    return 2.0 * float(_invert_kl(risks, (_SHARPNESS**2 / 2.0 + slack) / n).min())


def _invert_kl(risks: Array, distances: Array) -> Array:
    """Largest p at which KL(Bernoulli(risk) || Bernoulli(p)) is within the distance."""
    low, high = risks.copy(), np.ones_like(risks)
    for _ in range(60):
        middle = (low + high) / 2.0
        kl = rel_entr(risks, middle) + rel_entr(1.0 - risks, 1.0 - middle)
        inside = kl <= distances
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return high  # rounded up


def _rademacher(
    margins: Array, known: Array, K_diag: Array, norm: float, delta: float
) -> float:
    """Mean ramp loss, complexity of the ball that holds the machine, and chance.

    The radius of the ball is a power of 2, as a radius taken from the data would not be
    covered: the j-th has the share 1 / (j (j + 1)) of delta.
    """
    n = len(margins)
    ramp = known * np.clip(1.0 - margins, 0.0, 1.0)
    j = max(1, int(np.ceil(np.log2(max(norm, 1.0)))))
    share = delta / (j * (j + 1))
    complexity = 2.0 * 2.0**j * np.sqrt(K_diag.sum()) / n
    return float(ramp.mean() + complexity + 3.0 * np.sqrt(np.log(2.0 / share) / 2 / n))
