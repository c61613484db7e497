"""The outcome of a descent, and its warning and error."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class DivergenceError(ValueError):
    """The loss became infinite or nan, or kept growing.

    Attributes
    ----------
    iteration : int
        The iteration, counted from 0, at which this was noticed.
    losses : ndarray
        The loss of every iteration up to that one.
    safe_learning_rate : float
        The largest learning rate that converges on this data; for `two_layer` the largest that a
        search by halves found.
    """

    __module__ = __name__.rpartition(".")[0]  # the public one, which a traceback shows

    def __init__(self, message: str, iteration=0, losses=(), safe_learning_rate=math.nan) -> None:
        super().__init__(message)
        self.iteration: int = iteration
        self.losses: NDArray[Any] = np.asarray(losses)
        self.safe_learning_rate: float = safe_learning_rate


class ConvergenceWarning(UserWarning):
    """`max_iter` iterations were not enough to meet a tolerance; the message says why."""

    __module__ = __name__.rpartition(".")[0]


class Outcome(NamedTuple):
    """The parts of a `Fit`; `measures` has the accuracies after each epoch."""

    parameters: Any  # a named tuple
    losses: NDArray[Any]
    n_iter: int
    converged: bool
    message: str
    gradient_norm: float
    measures: list[Any]
