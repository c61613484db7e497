"""Averaged gradients of softmax, logistic and linear regression and of a two-layer ReLU network."""

from kernels import linear, logistic, softmax, two_layer
from kernels._threads import set_threads
from kernels._versions import show_versions
from kernels.descent import ConvergenceWarning, DivergenceError

__all__ = [
    "ConvergenceWarning",
    "DivergenceError",
    "linear",
    "logistic",
    "set_threads",
    "show_versions",
    "softmax",
    "two_layer",
]
