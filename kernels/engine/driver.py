"""The driver, the compiled function that each call runs: its types, and the plan of a call.

It checks shapes and alignment and runs a pass over X, on one thread or several: that over samples,
whose partial gradients it reduces; that over features, for few scores and few samples; or that over
parameters, for many of them. Each is a driver of its own, compiled when first needed. `make_driver`
builds it around the residual of a problem with one or two layers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numba import carray, types

from .average import average
from .cache import entry_point
from .feature_pass import blocks_of_features, make_feature_pass
from .jit import device_function, jit, jit_inline
from .parameter_pass import make_parameter_pass, many_parameters, plan_pass
from .pool import CallPlan
from .reduce import AT_START, Goal, reduce_layer, squares, totals
from .team import TEAM, make_shared
from .tile_pass import (
    CHUNK_NANOSECONDS,
    COUNTERS_BYTES,
    DONE,
    geometry,
    gradient_length,
    hidden_layer,
    hidden_product,
    is_by_columns,
    make_tile_pass,
    nanoseconds,
    targets_fit,
)
from .vectors import LINE_BYTES, stack_memory

NANOSECONDS_OF_A_PARAMETER = 0.6  # to read it and write its gradient, roughly; one core
LONG_NANOSECONDS = 400_000  # a shorter call has ended before a sleeping helper is of use


@device_function
def batch_fits(X, s):
    """Return whether the weights match X, and both have strides that the pass supports."""
    (N, D), size = X.shape, X.itemsize
    aligned = X.ctypes.data % size == 0
    aligned &= (N == 1) | (X.strides[0] % size == 0)
    aligned &= (D == 1) | (X.strides[1] % size == 0)
    aligned &= (s.size < 2) | (s.strides[0] == size)
    return aligned & (X.size > 0) & ((s.size == N) | (s.size == 0))


@device_function
def layer_fits(D, K, W, b):
    """Return whether W is (D, K) and b (K,), both aligned and in C order."""
    (rows, columns), size = W.shape, W.itemsize
    ordered = ((W.ctypes.data | b.ctypes.data) % size == 0) & ((K == 1) | (b.strides[0] == size))
    ordered &= ((K == 1) | (W.strides[1] == size)) & ((rows == 1) | (W.strides[0] == K * size))
    return ordered & (rows == D) & (columns == K) & (K > 0) & (b.size == K)


@jit_inline
def as_layer(w, bias, X):
    """Return the weights and the bias of one score as those of a layer."""
    b = carray(stack_memory(LINE_BYTES), 1, X.dtype)
    b[0] = bias
    return w.reshape(-1, 1), b


SAMPLES, FEATURES, PARAMETERS = "samples", "features", "parameters"  # what a pass divides


def make_sample_pass(
    residual: Callable[..., Any], two_layers: bool, one_score: bool, direction: int
) -> Any:
    """Return the function that runs the pass over X and reduces the partial gradients."""
    below = hidden_product if direction else hidden_layer
    residual, halves = below(residual) if two_layers else residual, 2 if direction else 1
    tile_pass = make_tile_pass(residual, one_score, direction)
    run_shared_pass = make_shared(tile_pass)

    @device_function
    def run(batch, layers, written, asked, team, helpers):
        """Run the pass with at most this number of helpers; return loss, weight, invalid count."""
        (X, _, _, rows), (want_loss, goal, reg, rate), penalised = batch, asked, layers[direction:]
        (D, K), above = layers[0].shape, layers[3].size if two_layers else 0
        tile, rows_of_chunk, chunks, scratch_rows, numbers = geometry(
            rows.size or len(X), D, K, above, X.itemsize, is_by_columns(X, rows), halves
        )
        partials, sums = np.empty((chunks, numbers), X.dtype), np.empty((chunks, 3))
        counters = carray(stack_memory(COUNTERS_BYTES), 2 * DONE, np.int64)
        want_gradient = goal != Goal.NOTHING
        workspace, shapes = (partials, sums, counters, team), (tile, rows_of_chunk, scratch_rows)
        call = batch, layers, shapes, workspace, (want_loss, want_gradient)
        run_shared_pass(call, counters, team, helpers)
        loss, weight, invalid = totals(sums)
        averaging = reg, rate, weight
        if want_gradient:
            layer, place = (penalised[0], penalised[1]), (written[0], written[1])
            invalid += reduce_layer(partials, AT_START, layer, place, goal, averaging)
            if two_layers:
                start = gradient_length(D, K)[0] + K
                layer, place = (penalised[2], penalised[3]), (written[2], written[3])
                invalid += reduce_layer(partials, start, layer, place, goal, averaging)
        return loss, weight, invalid

    return run


def make_driver(
    residual: Callable[..., Any],
    two_layers: bool,
    scalar_bias: bool,
    directional: bool = False,
    divided: str = SAMPLES,
) -> Any:
    """Return the driver of a problem, built around the residual of a tile; see `tile_pass`.

    With `scalar_bias`, the problem has one score: the weights are a vector and the bias a number.
    With `directional`, it is the driver of a Hessian-vector product: the parameters are followed by
    the vector, which is what is penalised. `divided` names the pass.
    """
    first = (4 if two_layers else 2) if directional else 0  # of what is penalised
    one_score = scalar_bias and not directional
    if divided == FEATURES:
        below = hidden_layer(residual) if two_layers else residual
        run_pass = make_feature_pass(below, two_layers, one_score)
    elif divided == PARAMETERS:
        run_pass = make_parameter_pass(residual, two_layers, first)
    else:
        run_pass = make_sample_pass(residual, two_layers, one_score, first)

    def driver(batch, parameters, out, settings, wanted, team, helpers):
        """Run a call, with at most this number of helpers; return (loss, weight, invalid count).

        batch = (X, y, s, rows), settings = (reg, learning rate), wanted = (want_loss, Goal).
        """
        (X, y, s, _), (reg, rate), (want_loss, goal) = batch, settings, wanted
        (N, D), above = X.shape, 0
        fits = batch_fits(X, s)
        # These are constants: Numba removes dead branches before it infers types.
        if scalar_bias:
            w, v = parameters[0], parameters[first]
            fits &= (D == 1) | ((w.strides[0] == w.itemsize) & (v.strides[0] == v.itemsize))
            if directional:
                layers: Any = as_layer(w, parameters[1], X) + as_layer(v, parameters[3], X)
            else:
                layers = as_layer(w, parameters[1], X)
            written: Any = out[0].reshape(-1, 1), out[1]
        else:
            layers, written = parameters, out
        K, penalised = layers[1].size, layers[first:]
        fits &= layer_fits(D, K, layers[0], layers[1])
        if directional:
            fits &= layer_fits(D, K, penalised[0], penalised[1])
        if two_layers:
            above = layers[3].size
            fits &= layer_fits(K, above, layers[2], layers[3])
            if directional:
                fits &= layer_fits(K, above, penalised[2], penalised[3])
        if not fits & targets_fit(y, N, above if two_layers else K):
            return 0.0, 0.0, 1.0
        asked = want_loss, goal, reg, rate
        loss, weight, invalid = run_pass(batch, layers, written, asked, team, helpers)
        penalty = 0.5 * squares(layers[2].reshape(-1)) if two_layers and reg > 0 else 0.0
        invalid += not weight < np.inf
        if goal != Goal.SUMS:
            invalid += not weight > 0
            if want_loss:
                penalty += 0.5 * squares(layers[0].reshape(-1)) if reg > 0 else 0.0
                loss = average(loss, weight, reg, penalty)
        return loss, weight, invalid + (not np.isfinite(loss))

    return device_function(driver)


# ---- called from Python ----


Key = int | tuple[int, str]


class Kernel(dict[tuple[Key, str], Callable[..., Any]]):
    """Entry points by `key_of` a call and what is divided, each compiled when first needed.

    `functions` has a function for each pass that there is. `signature` returns the types of its
    arguments for a floating-point type and a kind of y. `halves` is 2 for the driver of a
    Hessian-vector product, whose parameters are two sets.
    """

    def __init__(
        self,
        functions: Mapping[str, Any],
        signature: Callable[[Any, str], tuple[Any, ...]],
        halves: int = 1,
    ) -> None:
        self.functions, self.signature, self.halves = functions, signature, halves
        self.plans: dict[Any, CallPlan] = {}

    def __missing__(self, place: tuple[Key, str]) -> Callable[..., Any]:
        key, divided = place
        size, kind = key if isinstance(key, tuple) else (key, ONE)
        real = types.float32 if size == 4 else types.float64
        function = self.functions[divided]
        whole = jit(getattr(function, "py_func", function))  # with a wrapper for Python
        self[place] = entry_point(whole, self.signature(real, kind))
        return self[place]

    def plan(self, key: Key, X: Any, rows: Any, out: Sequence[Any]) -> CallPlan:
        """Return the plan of a call: its entry point, number of items, and whether it is long.

        They follow from shapes and strides; `out` has those of the parameters.
        """
        call = key, X.shape, X.strides, rows.size, out[0].shape, out[-1].size
        if (plan := self.plans.get(call)) is None:
            if len(self.plans) >= PLANS:
                self.plans.clear()
            plan = self.plans[call] = self.new_plan(key, X, rows, out)
        return plan

    def new_plan(self, key: Key, X: Any, rows: Any, out: Sequence[Any]) -> CallPlan:
        """Return what `plan` does, for the first call of these shapes."""
        N, D, K, above, size = planned = sizes(len(rows) or len(X), X, out)
        if not N * D * K:  # which the driver finds invalid
            return self[key, SAMPLES], 1, False
        divided, items, one_score = FEATURES, 0, out[0].ndim == 1
        if FEATURES in self.functions:
            items, _ = blocks_of_features(X, rows, K, above, one_score)
        if not items and PARAMETERS in self.functions and many_parameters(*planned):
            divided, items = PARAMETERS, plan_pass(*planned, self.halves).items
        if not items:
            divided = SAMPLES
            items = geometry(*planned, is_by_columns(X, rows), self.halves)[2]
        took = N * nanoseconds(D, K, above, size) + NANOSECONDS_OF_A_PARAMETER * K * (D + above)
        if divided != SAMPLES and took < CHUNK_NANOSECONDS:  # chunks of samples are long enough
            items = 1
        return self[key, divided], items, took >= LONG_NANOSECONDS


ONE, SEVERAL, SMOOTHED = "one", "several", "smoothed"  # kinds of y, see `targets_of_tile`
PLANS = 2**12  # that are kept


def key_of(X: Any, y: Any) -> Key:
    """Return the key of a `Kernel`: the itemsize of X and, if not the usual, the kind of y."""
    size: int = X.itemsize
    kind = SMOOTHED if isinstance(y, tuple) else ONE if y.ndim == 1 else SEVERAL
    return size if kind == ONE else (size, kind)


def sizes(N: int, X: Any, parameters: Sequence[Any]) -> tuple[int, int, int, int, int]:
    """Return what a pass over N rows of X is planned by; see `plan_pass`."""
    D, K = X.shape[1], 1 if parameters[0].ndim == 1 else parameters[0].shape[1]
    above = parameters[2].shape[1] if len(parameters) == 4 else 0
    return N, D, K, above, X.itemsize


def array(real: Any, dimensions: int) -> Any:
    return types.Array(real, dimensions, "C")


def batch_type(real: Any, label: Any, kind: str) -> Any:
    """Return Numba's type of (X, y, s, rows); `label` is the dtype of y, None for that of X."""
    X = types.Array(real, 2, "A", readonly=True)
    y, s, rows = (array(of, 1) for of in (label or real, real, types.int64))
    kinds = {ONE: y, SEVERAL: array(real, 2), SMOOTHED: types.Tuple((y, s, types.float64))}
    return types.Tuple((X, kinds[kind], s, rows))


def driver_types(
    dimensions: Sequence[int], label: Any, out: Any = None, halves: int = 1
) -> Callable[..., Any]:
    """Return a function from X's type and the kind of y to Numba's types of a driver's arguments.

    `dimensions` are those of the parameters. A bias of dimension 0 is passed as a number, and its
    gradient is written into an array of one. `out` is the dtype of the output, None for that of X.
    """

    def signature(real: Any, kind: str) -> tuple[Any, ...]:
        batch = batch_type(real, label, kind)
        inputs = [array(real, d) if d else types.float64 for d in dimensions] * halves
        written = [array(out or real, max(d, 1)) for d in dimensions]
        settings = types.UniTuple(types.float64, 2), types.Tuple((types.boolean, types.intp))
        parameters = types.Tuple(inputs), types.Tuple(written)
        return batch, *parameters, *settings, TEAM, types.intp

    return signature
