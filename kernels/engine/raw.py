"""Parts of the functions for a caller's own compiled code: no validation, and one thread."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .average import average
from .feature_pass import blocks_of_features
from .jit import device_function, jit_inline
from .parameter_pass import many_parameters
from .reduce import Goal
from .team import alone


def if_absent(optional: Any, value: Any) -> Any:
    """Return `value` if `optional` is None, which is known at compile time, else `optional`."""
    return value if optional is None else optional


@overload(if_absent)
def _if_absent(optional, value):
    if isinstance(optional, (types.NoneType, types.Omitted)):
        return lambda optional, value: value
    return lambda optional, value: optional


def c_ordered(A: Any) -> Any:
    """Return an array of the type that a driver takes, in C order and writable."""
    return np.require(A, requirements=["C", "W"])


@overload(c_ordered)
def _c_ordered(A):
    if A.layout == "C" and A.mutable:
        return lambda A: A
    return lambda A: np.ascontiguousarray(A).copy()


def half_squares(W: Any) -> float:
    """Return ½ ‖W‖², computed in float64."""
    return 0.5 * float(np.square(W, dtype=np.float64).sum())


@overload(half_squares)
def _half_squares(W):
    def in_order(W):
        result = 0.0
        for w in W.flat:
            result += 0.5 * w * w
        return result

    return in_order


def averaged_array(total: Any, weight: float, reg: float, parameter: Any) -> Any:
    """Average an array of sums in their dtype, penalised by a parameter of the same shape."""
    return average(total, weight, reg, parameter if reg else 0.0)


@overload(averaged_array)
def _averaged_array(total, weight, reg, parameter):
    if not isinstance(total, types.Array):
        return lambda total, weight, reg, parameter: float(average(total, weight, reg, parameter))

    def in_place(total, weight, reg, parameter):
        for i in range(total.size):
            total.flat[i] = average(total.flat[i], weight, reg, parameter.flat[i])
        return total

    return in_place


def averaged(sums: Any, reg: float, parameters: Any) -> tuple[float, Any]:
    """Return loss and gradient from the sums (loss, weight, *gradient); no penalty on biases."""
    (loss, weight, *gradient), regs = sums, (reg, 0.0)
    penalty = sum(map(half_squares, parameters[::2])) if reg else 0.0
    means = [
        averaged_array(total, float(weight), regs[i % 2], p)
        for i, (total, p) in enumerate(zip(gradient, parameters, strict=True))
    ]
    return float(average(float(loss), float(weight), reg, penalty)), tuple(means)


@overload(averaged)
def _averaged(sums, reg, parameters):
    if len(parameters) == 2:

        def averaged_layer(sums, reg, parameters):
            (loss, weight, dW, db), (W, b) = sums, parameters
            penalty = half_squares(W) if reg > 0 else 0.0
            dW, db = averaged_array(dW, weight, reg, W), averaged_array(db, weight, 0.0, b)
            return average(loss, weight, reg, penalty), (dW, db)

        return averaged_layer

    def averaged_layers(sums, reg, parameters):
        loss, weight, dW1, db1, dW2, db2 = sums
        loss, first = averaged((loss, weight, dW1, db1), reg, parameters[:2])
        penalty, second = averaged((0.0, weight, dW2, db2), reg, parameters[2:])
        return loss + penalty, first + second

    return averaged_layers


def serial_call(samples: Callable[..., Any], features: Any = None, parameters: Any = None) -> Any:
    """Return a function that runs a driver serially, returns the loss and writes the gradient.

    There is a driver for each pass, None for a pass that the problem does not take. With several
    scores, few samples take that over samples: this is compiled as part of every caller.
    """
    one_score = parameters is None

    @device_function
    def run(batch, values, *rest):
        X, _, _, rows = batch
        if one_score:  # a constant: Numba removes the other branch before it infers types
            if blocks_of_features(X, rows, 1, 0, True)[0] > 0:
                return features(batch, values, *rest)
        else:
            K, above = values[1].size, values[-1].size * (len(values) == 4)
            if many_parameters(rows.size or len(X), X.shape[1], K, above, X.itemsize):
                return parameters(batch, values, *rest)
        return samples(batch, values, *rest)

    @jit_inline
    def call(batch, parameters, out, reg, want_loss, want_gradient):
        goal = np.intp(Goal.GRADIENT if want_gradient else Goal.NOTHING)
        (team, helpers), settings, wanted = alone(), (float(reg), 0.0), (want_loss, goal)
        return run(batch, parameters, out, settings, wanted, team, helpers)[0]

    return call
