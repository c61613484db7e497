"""Arrays in forms that callers pass: views, subclasses, and what only looks like a matrix."""

from typing import Any

import numpy as np


def every_other(a: Any) -> Any:
    """A view of a larger array; between its elements stand NaNs, or numbers that are no labels."""
    larger = np.full([2 * n for n in a.shape], np.nan if a.dtype.kind == "f" else 99, a.dtype)
    view = larger[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


class Subclass(np.ndarray):
    """A subclass of ndarray that adds nothing."""


class Sparse:
    """What SciPy's sparse matrices have in common."""

    def __init__(self, a: Any) -> None:
        self.shape = a.shape

    def toarray(self) -> Any:
        return np.zeros(self.shape)
