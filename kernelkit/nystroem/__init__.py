"""Ridge leverage scores, streaming sketches and kernel ridge regression at scale."""
