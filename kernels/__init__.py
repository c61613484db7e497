"""Averaged gradients of softmax, logistic and linear regression and of a two-layer ReLU network."""

from . import linear, logistic, softmax, two_layer
from .blocks import Blocks
from .descent import ConvergenceWarning, DivergenceError
from .objective import Objective
from .problem import Problem
from .sums import Sums
from .threads import set_threads
from .versions import show_versions

__all__ = [
    "Blocks",
    "ConvergenceWarning",
    "DivergenceError",
    "Objective",
    "Problem",
    "Sums",
    "linear",
    "logistic",
    "set_threads",
    "show_versions",
    "softmax",
    "two_layer",
]
