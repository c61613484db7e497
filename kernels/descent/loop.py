"""The loop of gradient descent, compiled around a driver or interpreted around any gradient.

On few samples a Python loop costs more than the gradients in it, so there the loop is compiled.
"""

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from ..engine.driver import SAMPLES, Kernel, array
from ..engine.jit import jit, jit_inline
from ..engine.reduce import Goal
from ..engine.team import alone

MAX_RISES = 10  # losses in a row that rose, the last to more than 10 times the first
MAX_ABOVE = 100  # losses in a row above twice the first
Status = IntEnum("Status", ["RUNNING", "CONVERGED", "DIVERGED", "STOPPED"], start=0)


@jit(fastmath={"reassoc"})
def apply_step(parameters, gradient, rates):
    """Step each vector, unless its rate is 0; the squared lengths of the step and the result."""
    step, length = 0.0, 0.0
    for k in range(len(parameters)):
        p, g, zero = parameters[k], gradient[k], parameters[k].dtype.type(0)
        rate, moves = p.dtype.type(rates[k]), rates[k] > 0
        for i in range(len(p)):
            change = rate * g[i] if moves else zero
            p[i] -= change
            step += np.float64(change) * np.float64(change)
            length += np.float64(p[i]) * np.float64(p[i])
    return step, length


@jit
def largest_component(gradient, rates):
    """The largest absolute value in the vectors whose rate is not 0; infinity for a nan."""
    largest = 0.0
    for k in range(len(gradient)):
        if rates[k] > 0:
            for component in gradient[k]:
                if not abs(component) <= largest:
                    if np.isnan(component):
                        return np.inf
                    largest = np.float64(abs(component))
    return largest


def divergence_state(first_loss: float = math.nan) -> NDArray[Any]:
    """First loss (nan: not known yet), last loss; losses in a row that rose, above 2 · first."""
    return np.array([first_loss, math.inf, 0, 0])


@jit
def diverging(loss, state):
    """Whether the loss is infinite or nan, or keeps growing; updates `state`.

    That of a network may rise for dozens of steps, to a few times its first value, and fall again.
    """
    if np.isnan(state[0]):
        state[0] = loss
    state[2] = state[2] + 1 if loss > state[1] else 0
    state[3] = state[3] + 1 if loss > 2 * state[0] else 0
    state[1] = loss
    risen = state[2] >= MAX_RISES and loss > 10 * state[0]
    return not np.isfinite(loss) or risen or state[3] >= MAX_ABOVE


def descent_loop(loss_and_gradient: Callable[..., Any]) -> Callable[..., Any]:
    """The loop around ``loss_and_gradient(batch, arrays, gradient, reg) -> (loss, vectors)``.

    It steps the parameters, by a row of `rates` in each iteration, until `losses` is full or the
    descent has converged or diverged. Each iteration takes the next `size` of the batch's row
    numbers, or all of the batch if that is 0. `parameters`, and `gradient` to be written, are
    pairs: the arrays, and vectors of the same memory; `limits` is (reg, gtol, tol, rtol). Writes
    the losses and lengths of the steps; gives the number of iterations, the status, and the largest
    component of the last gradient, after which there was no step if that was at most gtol.
    """

    def loop(data, parameters, gradient, limits, rates, written, state):
        (batch, size), (arrays, vectors), (losses, steps) = data, parameters, written
        (X, y, s, rows), (reg, gtol, tol, rtol), norm = batch, limits, np.inf
        for i in range(len(losses)):
            taken = rows[i * size : (i + 1) * size] if size > 0 else rows
            losses[i], slope = loss_and_gradient((X, y, s, taken), arrays, gradient, reg)
            if diverging(losses[i], state):
                return i + 1, np.intp(Status.DIVERGED), norm
            if gtol > 0:
                norm = largest_component(slope, rates[i])
                if norm <= gtol:
                    return i + 1, np.intp(Status.CONVERGED), norm
            squares = apply_step(vectors, slope, rates[i])
            steps[i] = step = math.sqrt(squares[0])
            if not step < math.inf:
                return i + 1, np.intp(Status.DIVERGED), norm
            if step <= tol or step <= rtol * math.sqrt(squares[1]):
                return i + 1, np.intp(Status.CONVERGED), norm
        return len(losses), np.intp(Status.RUNNING), norm

    return loop


def compiled_loop(
    driver: Any, name: str, scalar_bias: bool, types_of: Callable[[Any, str], tuple[Any, Any]]
) -> Kernel:
    """The loop around a driver, on one thread: a function for each type of X and y.

    `name` is the module of the problem; `types_of` gives Numba's types of batch and parameters,
    whose bias is an array of one, here, where a driver takes a number.
    """

    @jit_inline
    def with_number(arrays):
        return arrays[0], float(arrays[1][0])

    @jit_inline
    def unchanged(arrays):
        return arrays

    parameters = with_number if scalar_bias else unchanged

    @jit_inline
    def loss_and_gradient(batch, arrays, gradient, reg):
        (team, helpers), wanted = alone(), (np.bool_(True), np.intp(Goal.GRADIENT))
        call = batch, parameters(arrays), gradient[0], (reg, 0.0), wanted, team, helpers
        loss, _, invalid = driver(*call)
        return np.nan if invalid >= 1 else loss, gradient[1]

    loop = descent_loop(loss_and_gradient)
    loop.__module__, loop.__qualname__ = name, "descent_loop"

    def signature(real: Any, kind: str) -> tuple[Any, ...]:
        batch, arrays = types_of(real, kind)
        vectors = types.UniTuple(array(real, 1), len(arrays))
        parameters = types.Tuple((arrays, vectors))
        gradient = types.Tuple((types.Tuple([array(real, p.ndim) for p in arrays]), vectors))
        limits, numbers = types.UniTuple(types.float64, 4), array(types.float64, 1)
        data, written = types.Tuple((batch, types.intp)), types.UniTuple(numbers, 2)
        return data, parameters, gradient, limits, array(types.float64, 2), written, numbers

    return Kernel({SAMPLES: loop}, signature)
