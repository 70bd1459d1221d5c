"""The rejection step of projection determinantal point processes."""

import numpy as np

from kernelkit._jit import jit

LEAST_NEW = 1e-12  # share of a squared norm below which a row counts as spanned


@jit()
def multiply(vector, matrix, out):
    """Write vector @ matrix, of which `out` may take the first entries only.

    Each entry is a sum in order, so that the compiler may form many at once.
    """
    for j in range(out.size):
        out[j] = 0.0
    for i in range(vector.size):
        factor = vector[i]
        row = matrix[i]
        for j in range(out.size):
            out[j] += factor * row[j]


@jit()
def project_out(row, basis, columns, n_chosen):
    """Append to basis[:n_chosen] the direction in which `row` leaves its span.

    row : (m,); basis : (m, m), its first n_chosen rows orthonormal; columns : (m, m),
    the transpose of basis; both are changed in place. Projecting twice keeps the basis
    orthonormal to rounding.
    """
    new = row.copy()
    along = np.empty(n_chosen)
    spanned = np.empty(row.size)
    for _ in range(2):
        multiply(new, columns, along)
        multiply(along, basis, spanned)
        new -= spanned
    norm = 0.0
    for k in range(row.size):
        norm += new[k] * new[k]
    new /= np.sqrt(norm)
    basis[n_chosen] = new
    columns[:, n_chosen] = new


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
    columns = basis.T.copy()
    along = np.empty(m)
    accepted = np.empty(m - n_chosen, np.int64)
    n_accepted = 0
    for i in range(n):
        if n_chosen == m:
            break
        row = rows[i]
        norm = 0.0
        for k in range(m):
            norm += row[k] * row[k]
        multiply(row, columns, along[:n_chosen])
        spanned = 0.0
        for b in range(n_chosen):
            spanned += along[b] * along[b]
        limit = norm * min(1.0 - uniforms[i], 1.0 - LEAST_NEW)
        if spanned > limit or norm == 0.0:
            continue
        project_out(row, basis, columns, n_chosen)
        accepted[n_accepted] = i
        n_accepted += 1
        n_chosen += 1
    return accepted[:n_accepted]
