"""Weighted least squares in exact rational numbers."""

from fractions import Fraction

import numpy as np


def predict(X, y, weights, queries, columns):
    """Fit a constant and some columns, and evaluate the fit.

    X : (n, d); y, weights : (n,); queries : (q, d); columns: numbers of independent
    columns. All numbers are taken as they are, and the normal equations are exact.

    Returns
    -------
    values, sizes : lists of q Fractions
        Predictions, and how far the queries are, in spreads of the rows.
    """
    base = [_exact(value) for value in X[0]]
    rows = [_features(row, base, columns) for row in X]
    w = [_exact(value) for value in weights]
    b = [_exact(value) for value in y]
    m = len(columns) + 1
    gram = [
        [sum(v * r[j] * r[k] for v, r in zip(w, rows, strict=True)) for k in range(m)]
        + [sum(v * r[j] * t for v, r, t in zip(w, rows, b, strict=True))]
        for j in range(m)
    ]
    coef = _eliminate(gram)
    spreads = [max(map(abs, column)) for column in zip(*rows, strict=True)]
    values, sizes = [], []
    for query in queries:
        features = _features(query, base, columns)
        values.append(sum(c * f for c, f in zip(coef, features, strict=True)))
        sizes.append(sum(abs(f) / s for f, s in zip(features, spreads, strict=True)))
    return values, sizes


def _exact(value):
    return Fraction(float(value))


def _features(row, base, columns):
    return [Fraction(1), *(_exact(row[k]) - base[k] for k in columns)]


def _eliminate(system):
    """Solve by Gauss and Jordan; ``system`` holds a matrix and a right-hand side."""
    system = [list(row) for row in system]
    m = len(system)
    for j in range(m):
        pivot = next(i for i in range(j, m) if system[i][j] != 0)
        system[j], system[pivot] = system[pivot], system[j]
        system[j] = [value / system[j][j] for value in system[j]]
        for i in range(m):
            if i != j and system[i][j] != 0:
                factor = system[i][j]
                system[i] = [
                    a - factor * c for a, c in zip(system[i], system[j], strict=True)
                ]
    return [row[m] for row in system]


def bounds(model, X, queries, labels, rtol=1e-9):
    """Bound the predictions of a fitted `DesignLeastSquares` without features.

    Columns that it dropped have the coefficient 0.
    """
    X, queries = (np.asarray(array, dtype=np.float64) for array in (X, queries))
    design = model.design_
    rows = design.indices
    columns = np.flatnonzero(model.coef_).tolist()
    values, sizes = predict(X[rows], labels[rows], design.weights, queries, columns)
    F = np.column_stack([np.ones(len(rows)), X[rows][:, columns] - X[rows[0], columns]])
    F /= np.abs(F).max(axis=0)
    rtol += 1e-15 * np.linalg.cond(F)  # of nearly dependent columns
    scale = np.abs(labels).max()
    with np.errstate(over="ignore"):
        error = rtol * scale * np.array([float(size) for size in sizes])
    values = np.array([float(value) for value in values])
    return values - error, values + error
