"""Neural tangent kernels, and what they say about networks."""
