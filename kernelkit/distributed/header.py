"""Number and names of features, which all chunks of rows must share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Header(NamedTuple):
    """How many features rows have, and their names if these are strings."""

    n_features: int
    names: tuple[str, ...] | None

    @classmethod
    def of(cls, model: Any) -> "Header":
        """Return that of the rows that a model was checked with."""
        names = getattr(model, "feature_names_in_", None)
        return cls(model.n_features_in_, None if names is None else tuple(names))

    def give_to(self, model: Any) -> None:
        """Make a model expect such rows."""
        model.n_features_in_ = self.n_features
        vars(model).pop("feature_names_in_", None)  # of an earlier fit
        if self.names is not None:
            model.feature_names_in_ = np.array(self.names, dtype=object)

    def __str__(self) -> str:
        number = f"{self.n_features} features"
        return number if self.names is None else f"{number} {self.names}"


def common(headers: Sequence[Header | None]) -> Header:
    """Return the header of all chunks; None stands for that of one without rows.

    Raises
    ------
    ValueError
        If two differ.
    """
    (j, first), *others = (
        (k, header) for k, header in enumerate(headers) if header is not None
    )
    for k, header in others:
        if header != first:
            raise ValueError(
                f"Chunk {k} has {header}, and chunk {j} has {first}: give all chunks "
                "the same."
            )
    return first
