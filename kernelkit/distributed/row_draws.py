"""Random numbers that belong to rows, whatever chunk these are in.

A sample drawn by them does not depend on how rows are cut into chunks, or ordered.
"""

import numpy as np

from kernelkit._validation import Array

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def uniform(table: Array, seed: int) -> Array:
    """Return a number in (0, 1) for each row of floats; equal rows have the same.

    The bits of the entries are mixed as the generator of Steele, Lea & Flood (2014),
    "Fast splittable pseudorandom number generators", mixes its state.
    """
    words = np.ascontiguousarray(table + 0.0, dtype=np.float64).view(np.uint64)
    state = _mixed(np.full(len(table), seed, dtype=np.uint64))
    for column in words.T:
        state = _mixed(state ^ column)
    return ((state >> np.uint64(11)) + 0.5) * 2.0**-53


def _mixed(state: Array) -> Array:
    state = state + _STEP  # which wraps around, as the products do
    state = (state ^ (state >> _SHIFTS[0])) * _FACTORS[0]
    state = (state ^ (state >> _SHIFTS[1])) * _FACTORS[1]
    mixed: Array = state ^ (state >> _SHIFTS[2])
    return mixed
