"""Kernel functions k(X, Y) as objects, usable in every scikit-learn estimator."""
