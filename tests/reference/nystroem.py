"""Leverage scores, sketches and Nystroem ridge regression by their definitions."""

import numpy as np


def leverage_scores(K, ridge, weights=None):
    """Invert the regularised kernel matrix."""
    K = weighted(K, weights)
    return np.diag(K @ np.linalg.inv(K + ridge * np.eye(len(K)))).copy()


def effective_dimension(K, ridge, weights=None):
    """Sum the leverage scores."""
    return leverage_scores(K, ridge, weights).sum()


def weighted(K, weights=None):
    """Weigh the rows and columns of a kernel matrix, by the roots of their weights."""
    K = np.asarray(K, dtype=float)
    root = np.ones(len(K)) if weights is None else np.sqrt(weights)
    return root[:, None] * K * root


def diagonal(n_rows, atoms, inclusion, copies=1.0, n_copies=1):
    """Return the matrix S S^T of a sketch: the weight of each row, on the diagonal."""
    weights = np.zeros(n_rows)
    weights[atoms] = np.divide(copies, n_copies) / inclusion
    return np.diag(weights)


def reconstruction(K, atoms, inclusion, ridge, weights=None, copies=1.0, n_copies=1):
    """Rebuild the (weighted) kernel matrix from a sketch, with a ridge."""
    K = weighted(K, weights)
    S = np.sqrt(diagonal(len(K), atoms, inclusion, copies, n_copies))[:, atoms]
    inner = S.T @ K @ S + ridge * np.eye(len(atoms))
    return K @ S @ np.linalg.solve(inner, S.T @ K)


def projection(K, atoms, rcond=1e-10):
    """Rebuild a kernel matrix from the plain span of some rows."""
    return K[:, atoms] @ np.linalg.pinv(K[np.ix_(atoms, atoms)], rcond) @ K[atoms]


def sketch_error(K, atoms, inclusion, ridge, weights=None):
    """Return the least (eps, eps_low) for which a sketch is accurate.

    ``(1 - eps_low) P <= Phi S S^T Phi^T + ridge I <= (1 + eps) P`` with P =
    ``Phi Phi^T + ridge I``, for features Phi of the (weighted) rows; eps bounds both
    sides.
    """
    K = weighted(K, weights)
    values, V = np.linalg.eigh(K)
    values = np.maximum(values, 0.0)
    # In the basis of V, features are diag(values)^1/2 V^T.
    features = np.sqrt(values / (values + ridge))[:, None] * V.T
    lost = np.eye(len(K)) - diagonal(len(K), atoms, inclusion)
    gaps = np.linalg.eigvalsh(features @ lost @ features.T)
    return np.abs(gaps).max(), gaps[-1]


def pointwise_sketch(K, ridge, oversampling, uniforms, weights=None):
    """Sketch the rows one at a time, computing all scores anew (SQUEAK).

    Row i is an atom as long as ``uniforms[i] <= p_i``, and p_i only falls.

    Returns
    -------
    atoms : ndarray of shape (m,)
        Row numbers.
    inclusion : ndarray of shape (m,)
        p of each.
    """
    K = weighted(K, weights)
    atoms, inclusion = np.empty(0, dtype=int), np.empty(0)
    for new in range(len(K)):
        atoms, inclusion = np.append(atoms, new), np.append(inclusion, 1.0)
        s = 1.0 / np.sqrt(inclusion)
        A = s[:, None] * K[np.ix_(atoms, atoms)] * s
        scores = leverage_scores(A, ridge) * inclusion
        inclusion = np.minimum(inclusion, np.minimum(1.0, oversampling * scores))
        kept = uniforms[atoms] <= inclusion
        if not kept.any():
            kept[scores.argmax()] = True
        atoms, inclusion = atoms[kept], inclusion[kept]
    return atoms, inclusion


def kernel_ridge(K, y, alpha, weights=None, fit_intercept=False):
    """Fit exact kernel ridge regression.

    Returns
    -------
    dual : ndarray of the shape of y
    intercept : float or ndarray of shape (n_outputs,)
        Predictions are ``K(queries, X) @ dual + intercept``.
    """
    K, y = np.asarray(K, dtype=float), np.asarray(y, dtype=float)
    weights = np.ones(len(K)) if weights is None else np.asarray(weights, dtype=float)
    W, one = np.diag(weights), np.ones((len(K), 1))
    # Stationary: W (K a + b - y) + alpha a = 0 and 1' W (y - K a - b) = 0.
    left = W @ K + alpha * np.eye(len(K))
    if not fit_intercept:
        return np.linalg.solve(left, W @ y), np.zeros(y.shape[1:])[()]
    system = np.block([[left, W @ one], [one.T @ W @ K, one.T @ W @ one]])
    right = np.concatenate([W @ y, one.T @ W @ y])
    solution = np.linalg.solve(system, right)
    return solution[:-1], solution[-1]


def nystroem_ridge(
    K, centers, y, alpha, weights=None, fit_intercept=False, rcond=1e-10
):
    """Fit kernel ridge regression in the span of some rows.

    Returns
    -------
    dual : ndarray of shape (m,) or (m, n_outputs)
    intercept : float or ndarray of shape (n_outputs,)
        Predictions are ``K(queries, X[centers]) @ dual + intercept``.
    """
    K, y = np.asarray(K, dtype=float), np.asarray(y, dtype=float)
    weights = np.ones(len(K)) if weights is None else np.asarray(weights, dtype=float)
    values, V = np.linalg.eigh(K[np.ix_(centers, centers)])
    kept = values > rcond * values.max()
    T = V[:, kept] / np.sqrt(values[kept])
    features = K[:, centers] @ T
    mean_z, mean_y = np.zeros(features.shape[1]), np.zeros(y.shape[1:])
    if fit_intercept:
        mean_z = np.average(features, axis=0, weights=weights)
        mean_y = np.average(y, axis=0, weights=weights)
    # Ridge regression as least squares with extra rows, which squares no condition.
    root = np.sqrt(weights)
    rows = root[:, None] * (features - mean_z)
    targets = (root * (y - mean_y).T).T
    extra = np.sqrt(alpha) * np.eye(len(mean_z))
    rows = np.vstack([rows, extra])
    targets = np.concatenate([targets, np.zeros((len(extra), *y.shape[1:]))])
    beta = np.linalg.lstsq(rows, targets, rcond=None)[0]
    return T @ beta, (mean_y - mean_z @ beta)[()]


def ink_step(K, atoms, inclusion, copies, dimension, *, ridge, epsilon, n_copies):
    """Estimate the scores of the kept rows and of the last one, as INK-ESTIMATE does.

    Parameters
    ----------
    K : ndarray of shape (t + 1, t + 1)
        Kernel matrix up to the new row, the last one.
    atoms, inclusion, copies : ndarrays of shape (m,)
        The sketch of the first t rows.
    dimension : float
        Estimate of their effective dimension.
    ridge, epsilon : float
    n_copies : int
        Copies that every row started with.

    Returns
    -------
    scores : ndarray of shape (m + 1,)
    dimension : float
    inclusion : ndarray of shape (m + 1,)
        Probabilities to keep a copy from now on.
    """
    t = len(K) - 1
    a = (2.0 - epsilon) / (1.0 - epsilon)
    known = reconstruction(
        K[:t, :t], atoms, inclusion, ridge, copies=copies, n_copies=n_copies
    )
    bordered = K.copy()
    bordered[:t, :t] = known
    Q = np.linalg.solve(known + a * ridge * np.eye(t), K[:t, t])
    r = K[t, t] - K[:t, t] @ Q
    if r < 0.0:  # of a poor sketch: as if the new row were as long as needed for 0
        K, r = K - np.diag(np.append(np.zeros(t), r)), 0.0
        bordered[t, t] = K[t, t]
    inverse = np.linalg.inv(bordered + a * ridge * np.eye(t + 1))
    scores = [K[i, i] - K[:, i] @ inverse @ K[:, i] for i in (*atoms, t)]
    scores = np.clip(np.divide(scores, a * ridge), 0.0, 1.0)
    if t == 0:
        dimension = 1.0 / (1.0 + ridge / K[0, 0])
    else:
        gain = max(r - (1.0 - epsilon) ** 2 / 4.0 * ridge * (Q @ Q), 0.0)
        dimension = dimension + a * gain / (r + ridge)
    inclusion = np.minimum(scores / dimension, np.append(inclusion, 1.0))
    return scores, dimension, inclusion
