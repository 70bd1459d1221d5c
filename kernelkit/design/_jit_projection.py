"""The rejection step of projection determinantal point processes."""

import numpy as np

from kernelkit._jit import jit

LEAST_NEW = 1e-12  # share of a squared norm below which a row counts as spanned


@jit()
def project_out(row, basis, n_chosen):
    """Append to basis[:n_chosen] the direction in which `row` leaves its span.

    row : (m,); basis : (m, m), its first n_chosen rows orthonormal, changed in place.
    Projecting twice keeps the basis orthonormal to rounding.
    """
    m = row.size
    new = basis[n_chosen]
    new[:] = row
    for _ in range(2):
        for b in range(n_chosen):
            along = 0.0
            for k in range(m):
                along += new[k] * basis[b, k]
            for k in range(m):
                new[k] -= along * basis[b, k]
    norm = 0.0
    for k in range(m):
        norm += new[k] * new[k]
    norm = np.sqrt(norm)
    for k in range(m):
        new[k] /= norm


@jit()
def accept_rows(rows, uniforms, basis, n_chosen):
    """Go through proposed rows and accept each with the share of it that is new.

    A row q passes with probability ``1 - |P q|^2 / |q|^2``, where P projects on the
    rows accepted before, until there are m of them. If proposals are drawn in
    proportion to ``|q|^2``, accepted ones follow the projection process.

    rows : (n, m); uniforms : (n,) in [0, 1); basis : (m, m), its first n_chosen rows
    orthonormal, extended in place; accepted : (at most m - n_chosen,) int64 positions.
    """
    n, m = rows.shape
    accepted = np.empty(m - n_chosen, np.int64)
    n_accepted = 0
    for i in range(n):
        if n_chosen + n_accepted == m:
            break
        row = rows[i]
        norm = 0.0
        for k in range(m):
            norm += row[k] * row[k]
        limit = norm * min(1.0 - uniforms[i], 1.0 - LEAST_NEW)
        spanned = 0.0
        for b in range(n_chosen + n_accepted):
            along = 0.0
            for k in range(m):
                along += row[k] * basis[b, k]
            spanned += along * along
            if spanned > limit:
                break
        if spanned > limit or norm == 0.0:
            continue
        project_out(row, basis, n_chosen + n_accepted)
        accepted[n_accepted] = i
        n_accepted += 1
    return accepted[:n_accepted]
