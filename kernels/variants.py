"""The variants of a problem: conversion of arguments, dispatch, and averaging of sums."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np

from . import validate
from .arrays import as_array, describe
from .engine.average import average
from .engine.casts import INT64, converted
from .engine.driver import (
    FEATURES,
    PARAMETERS,
    SAMPLES,
    Kernel,
    driver_types,
    key_of,
    make_driver,
)
from .engine.pool import POOL
from .engine.raw import averaged
from .engine.reduce import Goal
from .engine.tile_pass import pointwise

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
BOOL = np.dtype(np.bool_)
ndarray, empty, zeros = np.ndarray, np.empty, np.zeros
ALL_ROWS = np.empty(0, np.int64)
ONE = {dtype.itemsize: np.broadcast_to(np.ones((), dtype), 1) for dtype in (F32, F64)}  # read-only
NO_WEIGHTS = {dtype.itemsize: np.empty(0, dtype) for dtype in (F32, F64)}
FIRST = 32  # labels, which tell whether they are 0 and 1 in place of -1 and +1
BLOCK = 2**18  # numbers of X that are converted to a wider float at a time


def is_ready(array: Any, dtype: Any) -> bool:
    """Whether an array has the type that the driver expects; it checks shape and strides itself."""
    return type(array) is np.ndarray and array.dtype is dtype


def is_moderate(reg: float) -> bool:
    """Whether float32 holds reg, and its product with any square that it holds, with ease."""
    return reg == 0 or 1 / validate.HEAVY <= reg <= validate.HEAVY


def cast(array: Any, dtype: Any) -> Any:
    """Real numbers in C order and a dtype; a TypeError for what only `validate` can judge."""
    if type(array) is not ndarray:
        if not isinstance(array, (list, tuple, float, int, np.generic)):
            raise TypeError
        array = np.asarray(array)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if not (kind in "iu" or (kind == "f" and size in (4, 8))):
        raise TypeError
    if is_compact(array) and dtype.kind == "f" and array.dtype is not dtype:
        return converted(array, dtype)[0]
    if kind == "f":
        with np.errstate(all="ignore"):  # it may overflow, or hold a signalling nan
            return array.astype(dtype, "C")
    return array.astype(dtype, "C")


def is_compact(array: Any) -> bool:
    """Whether an array of floats can be passed to `converted`."""
    return (array.dtype is F64 or array.dtype is F32) and array.flags.c_contiguous


def cast_number(b: Any) -> float:
    """Like `cast`, of one number, as a float."""
    if type(b) in (np.float32, np.float64):
        return float(b)
    if type(b) is not ndarray:
        if not isinstance(b, (float, int, np.generic)):
            raise TypeError
        b = np.asarray(b)
    if b.ndim or not (b.dtype.kind in "iu" or (b.dtype.kind == "f" and b.itemsize in (4, 8))):
        raise TypeError
    return float(b)


def cast_samples(X: Any) -> Any:
    """Like `cast`, to float32 or float64; X in native byte order is not copied."""
    kept = type(X) is ndarray and X.dtype.kind == "f" and X.itemsize == 4
    dtype = F32 if kept else F64
    # Unpickled and newly made dtypes are equal to these, and not the same objects.
    return X.view(dtype) if type(X) is ndarray and X.dtype == dtype else cast(X, dtype)


def cast_weights(s: Any, dtype: Any) -> Any:
    """Like `cast`; weights so small that they would become 0 are a TypeError too."""
    if type(s) is ndarray and is_compact(s) and s.dtype is not dtype:
        weights, lost = converted(s, dtype)
    else:
        weights = cast(s, dtype)
        lost = np.count_nonzero(weights) != np.count_nonzero(s)
    if lost:
        raise TypeError
    return weights


def cast_labels(y: Any, dtype: Any) -> Any:
    """Like `cast`, of class labels; other numbers than whole ones are a TypeError too."""
    if type(y) is ndarray and is_compact(y):
        labels, lost = converted(y, dtype)
    else:
        labels = cast(y.view(np.int8) if is_ready(y, BOOL) else y, dtype)
        whole = type(y) is ndarray and y.dtype.kind in "iub"
        lost = 0 if whole else int(np.count_nonzero(labels != y))
    if lost:
        raise TypeError
    return labels


def cast_signs(y: Any, dtype: Any) -> Any:
    """Like `cast`, of labels that are -1 and +1, or 0 and 1, which become -1 and +1."""
    signs = cast(y.view(np.int8) if is_ready(y, BOOL) else y, dtype)
    if np.count_nonzero(signs) < signs.size:
        if np.count_nonzero(signs * (signs - 1)):
            raise TypeError
        signs = 2 * signs - 1
    return signs


# The parameters as the driver takes them, and new arrays for the output. Written out for each kind
# of problem: a loop over the parameters would take longer than a small gradient.


def ready_with_number(parameters: Any, dtype: Any, of_out: Any) -> Any:
    w, b = parameters
    if type(b) is not float:
        b = 0.0 if b is None else cast_number(b)
    if not (type(w) is ndarray and w.dtype is dtype and w.flags.c_contiguous):
        w = cast(w, dtype)
    if w.ndim != 1:
        raise TypeError
    return (w, b), (empty(w.shape, of_out), empty(1, of_out))


def ready_with_vector(parameters: Any, dtype: Any, of_out: Any) -> Any:
    W, b = parameters
    if not (type(W) is ndarray and W.dtype is dtype and W.flags.c_contiguous):
        W = cast(W, dtype)
    if b is None:
        b = zeros(W.shape[-1:], dtype)
    elif not (type(b) is ndarray and b.dtype is dtype and b.flags.c_contiguous):
        b = cast(b, dtype)
    if W.ndim != 2 or b.ndim != 1:
        raise TypeError
    return (W, b), (empty(W.shape, of_out), empty(len(b), of_out))


def ready_network(parameters: Any, dtype: Any, of_out: Any) -> Any:
    W1, b1, W2, b2 = parameters
    if not (
        (type(W1) is type(b1) is type(W2) is type(b2) is ndarray)
        and (W1.dtype is b1.dtype is W2.dtype is b2.dtype is dtype)
        and (W1.flags.c_contiguous and b1.flags.c_contiguous)
        and (W2.flags.c_contiguous and b2.flags.c_contiguous)
    ):
        W1, b1, W2, b2 = parameters = tuple(cast(p, dtype) for p in parameters)
    if not (W1.ndim == W2.ndim == 2 and b1.ndim == b2.ndim == 1):
        raise TypeError
    dW1, db1 = empty(W1.shape, of_out), empty(len(b1), of_out)
    return parameters, (dW1, db1, empty(W2.shape, of_out), empty(len(b2), of_out))


class Computation:
    """The validated path that all public functions of a problem share, and Hessian products.

    Inside, the parameters are a tuple of arrays, zeros for a bias that is None and an array of one
    for a bias that is one number; a batch is (X, y, s, rows), where `s` and `rows` have the size 0
    if there are no weights, and if all rows are meant.
    """

    sums: dict[str, Callable[..., Any]]  # by variant
    kernel: Kernel
    sums_kernel: Kernel

    def __init__(self, shapes: Mapping[str, str], target: validate.Target) -> None:
        self.shapes, self.target = dict(shapes), target
        self.dimensions = tuple(map(len, shapes.values()))
        self.single_layer, self.scalar_bias = len(shapes) == 2, self.dimensions[-1] == 0
        ready = ready_with_vector if self.single_layer else ready_network
        self.ready_parameters = ready_with_number if self.scalar_bias else ready
        self.signs = target is validate.SIGNS
        self.cast_y = cast_signs if self.signs else cast if target.dtype is None else cast_labels
        self.label = numba.types.int64 if target.dtype == INT64 else None

    def make_kernels(self, residual: Callable[..., Any], halves: int = 1) -> None:
        """Set the kernels, compiled when first needed; `halves` is that of `Kernel`."""
        layers = not self.single_layer, self.scalar_bias, halves == 2
        passes = [SAMPLES]
        if halves == 1:
            passes.append(FEATURES)
        if not self.scalar_bias:
            passes.append(PARAMETERS)
        drivers = {divided: make_driver(residual, *layers, divided) for divided in passes}
        self.kernel, self.sums_kernel = (
            Kernel(drivers, driver_types(self.dimensions, self.label, out, halves), halves)
            for out in (None, numba.types.float64)
        )

    # ---- what goes in and out ----

    def ready(self, X: Any, y: Any, parameters: Any, s: Any, smoothing: float, of_out: Any) -> Any:
        """The key of a kernel, the batch, the parameters as the driver takes them, and new arrays.

        The last are for the output. None if that takes more than casts: `validated` looks at
        everything, refuses and explains.
        """
        several = type(y) is ndarray and y.ndim != 1
        if several and (smoothing or y.ndim != 2 or not self.target.columns):
            return None
        try:
            dtype = X.dtype if type(X) is ndarray else None
            if not (dtype is F64 or dtype is F32):
                X = cast_samples(X)
                dtype = X.dtype
            size, of_y = dtype.itemsize, dtype if several else self.target.dtype or dtype
            if type(y) is not ndarray or y.dtype is not of_y or not y.flags.c_contiguous:
                y = cast(y, of_y) if several else self.cast_y(y, of_y)
            elif self.signs and np.count_nonzero(first := y[:FIRST]) < first.size:
                y = cast_signs(y, of_y)
            if s is None:
                s = NO_WEIGHTS[size]
            else:
                if type(s) is not ndarray or s.dtype is not dtype or not s.flags.c_contiguous:
                    s = cast_weights(s, dtype)
                if s.shape != y.shape[:1]:
                    return None
            arrays, out = self.ready_parameters(parameters, dtype, of_out or dtype)
        except Exception:  # of what was passed: `validated` meets it again
            return None
        # The driver's signature has these dimensions; it checks sizes and strides itself.
        if X.ndim != 2 or y.ndim != 1 + several:
            return None
        if smoothing:
            y = validate.smoothed(y, smoothing, X, len(out[-1]))
        key = key_of(X, y) if several or smoothing else size
        return key, (X, y, s, ALL_ROWS), arrays, out

    def written_into(self, given: Any, out: tuple[Any, ...], inputs: tuple[Any, ...]) -> Any:
        """The arrays of `out`, replaced by those that the caller gave; no array for a number."""
        names, advice = list(self.shapes), "pass what gradient returned for the same shapes"
        if not isinstance(given, (tuple, list)) or len(given) != len(names):
            what = describe(given)
            raise TypeError(f"out must hold ({', '.join(names)}) and is {what}: {advice}")
        arrays = list(out)
        for k, (name, mine, array) in enumerate(zip(names, given, out, strict=True)):
            if mine is None or (self.scalar_bias and k == 1):
                continue
            if not (is_ready(mine, array.dtype) and mine.shape == array.shape):
                what = describe(mine)
                if type(mine) is ndarray:
                    what = f"of shape {mine.shape} and {mine.dtype}"
                raise ValueError(
                    f"out.{name} must be an array of shape {array.shape} and {array.dtype} and is "
                    f"{what}: {advice}, or np.empty({array.shape}, np.{array.dtype})"
                )
            if not mine.flags.carray:
                raise ValueError(f"out.{name} is not in C order, aligned and writeable: {advice}")
            for other in (*inputs, *arrays[:k]):
                if type(other) is ndarray and np.may_share_memory(mine, other):
                    raise ValueError(
                        f"out.{name} shares memory with another argument, which would be "
                        f"overwritten: pass out.{name}.copy()"
                    )
            arrays[k] = mine
        return tuple(arrays)

    def copied_into(self, given: Any, out: tuple[Any, ...], inputs: tuple[Any, ...]) -> Any:
        """The arrays of `written_into`, with the values of `out`."""
        arrays = self.written_into(given, out, inputs)
        for mine, array in zip(arrays, out, strict=True):
            mine[...] = array
        return arrays

    def values(self, out: tuple[Any, ...], parameters: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays in the form that public functions return: the bias None, if it was, or a float."""
        if parameters[-1] is None:
            return out[0], None
        return self.scalars(out)

    def scalars(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays as the variants take and return them: a bias that is one number is a float."""
        return (arrays[0], arrays[1].item()) if self.scalar_bias else arrays

    def inputs(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays as the compiled driver takes them."""
        return self.scalars(arrays)

    def fit_together(self, X: Any, arrays: tuple[Any, ...]) -> bool:
        """Whether the sizes of X and of the parameters agree."""
        width = X.shape[1]
        for k in range(0, len(arrays), 2):
            W, b = arrays[k], arrays[k + 1]
            if W.shape[0] != width or (not self.scalar_bias and b.shape != W.shape[1:]):
                return False
            width = W.shape[-1]
        return True

    def converted(self, X: Any, parameters: tuple[Any, ...]) -> tuple[Any, ...]:
        """The parameters as arrays in X's dtype."""
        sizes, arrays = {"D": X.shape[1]}, list[Any]()
        for (name, letters), value in zip(self.shapes.items(), parameters, strict=True):
            shape: Any = tuple(map(sizes.get, letters))
            if value is None and self.single_layer and len(arrays) % 2:
                array = np.zeros(shape or 1, X.dtype)
            elif letters:
                array = validate.parameter(name, value, shape, letters, X)
            else:
                array = np.array([validate.number(name, value, X)], X.dtype)
            sizes.update(zip(letters, array.shape, strict=False))
            arrays.append(array)
        return tuple(arrays)

    def batch(self, data: Any, arrays: tuple[Any, ...], summing: bool = False) -> Any:
        """The batch and the weights; X is validated.

        `data` is (X, y, weights of samples, of classes, label smoothing). The batch is None if no
        sample has a weight, which only sums allow.
        """
        X, y, s, class_weight, smoothing = data
        smoothing, weights = validate.smoothing(smoothing), validate.weights(s, X, summing)
        rows = weights.rows if weights else None
        if rows is None or len(rows):
            passed, y = y, self.target.checked(y, X, len(arrays[-1]), rows)
            if class_weight is not None:
                if y.ndim == 2:
                    raise ValueError(validate.no_class(as_array("y", passed), y.shape))
                by_label = self.target.dtype is not None
                index = y if by_label else (y > 0).astype(np.intp)
                classes = range(len(arrays[-1])) if by_label else (-1, 1)
                s = validate.weighted_by_class(class_weight, classes, index, weights, summing)
                weights = validate.weights(s, X, summing)
                rows = weights.rows if weights else None
            if smoothing:
                y = validate.smoothed(y, smoothing, X, len(arrays[-1]))
        else:
            self.target.array(y, X)
        if rows is not None and not len(rows):
            return None, weights
        s = weights.values if weights else NO_WEIGHTS[X.itemsize]
        return (X, y, s, ALL_ROWS if rows is None else rows), weights

    # ---- running one ----

    def validated(self, data: Any, parameters: Any, options: Any, wanted: Any) -> Any:
        """Loss, weight and output for any arguments, or an error that names the invalid one."""
        (X, *others), (reg, rate, variant, threads), (_, goal) = data, options, wanted
        summing = goal == Goal.SUMS
        rate = validate.not_negative("learning_rate", rate)
        X = validate.samples(X, empty=summing)
        arrays = self.converted(X, parameters)
        batch, weights = self.batch((X, *others), arrays, summing)
        reg = validate.not_negative("reg", reg)
        options = reg, rate, validate.variant(variant, self.sums), validate.threads(threads)
        if batch is None or not len(X):
            return 0.0, 0.0, tuple(np.zeros(p.shape) for p in arrays)
        return self.computed((batch, weights), arrays, options, wanted)

    def computed(self, data: Any, arrays: Any, options: Any, wanted: Any) -> Any:
        """Loss, weight and output for what `batch` gave, in wider floats where X's overflow."""
        (batch, weights), (reg, rate, *_), (_, goal) = data, options, wanted
        X, summing = batch[0], goal == Goal.SUMS
        exponent, spread = (weights.exponent, weights.spread) if weights else (0, False)
        # Extreme weights or reg can make a product that underflowed count in the end.
        wider, done = False, not spread and is_moderate(reg)
        if done:
            loss, weight, out = self.run(batch, arrays, options, wanted)
            done = validate.all_finite((loss, *out))
        if not done:
            validate.finite("X", X, batch[3] if len(batch[3]) else None)
            loss, weight, out, wider = self.run_wider(batch, weights, arrays, options, wanted)
        elif summing and exponent:  # in the caller's units
            loss, weight = (float(np.ldexp(number, exponent)) for number in (loss, weight))
            out = tuple(np.ldexp(part, exponent) for part in out)
        if weight == math.inf:
            raise FloatingPointError(
                "the sum of sample_weight is too large for float64: divide the weights of all "
                "blocks by one number, since only their ratios matter in an average"
            )
        if not validate.all_finite((loss, *out)):
            at = batch[3] if len(batch[3]) else slice(None)
            named = {"X": X[at], **dict(zip(self.shapes, arrays, strict=True)), "reg": reg}
            named |= {"learning_rate": rate} if goal == Goal.STEP else {}
            named |= {"y": batch[1][at]} if self.target.dtype is None else {}
            named |= {"sample_weight": np.ldexp(1.0, exponent)} if summing and exponent else {}
            raise validate.too_large(X.dtype, named, wider and X.dtype == F32)
        return loss, weight, out

    def run(self, batch: Any, arrays: Any, options: Any, wanted: Any, out: Any = None) -> Any:
        """Loss, weight and output of a validated batch and parameters; may write into `out`."""
        (X, y, s, rows), (reg, rate, variant, _), (_, goal) = batch, options, wanted
        if variant == "tiled" and not numba.config.DISABLE_JIT:
            return self.run_tiled(batch, arrays, options, wanted, out)
        y = validate.rows_of(y, rows, X.dtype)
        if len(rows):
            X, s = X[rows], s[rows] if len(s) else s
        s = s if len(s) else np.ndarray(len(X), X.dtype, ONE[X.itemsize], strides=(0,))
        parameters = self.scalars(arrays)
        loss, weight, *gradient = self.sums[variant](X, y, s, *parameters)
        if goal != Goal.SUMS:
            penalised = parameters[-len(gradient) :]
            loss, gradient = averaged((loss, weight, *gradient), reg, penalised)
        dtype = F64 if goal == Goal.SUMS else X.dtype
        found = (gradient[0], [gradient[1]]) if self.scalar_bias else gradient
        out = tuple(np.asarray(part, dtype) for part in found)
        return float(loss), float(weight), finished(arrays, out, rate, goal)

    def run_tiled(self, batch: Any, arrays: Any, options: Any, wanted: Any, out: Any = None) -> Any:
        """Loss, weight and output by the compiled driver; a loss of nan for invalid arguments."""
        (reg, rate, _, threads), (want_loss, goal) = options, wanted
        summing, dtype = goal == Goal.SUMS, batch[0].dtype
        if out is None:
            written = arrays[-len(self.dimensions) :]
            out = tuple(np.empty(p.shape, F64 if summing else dtype) for p in written)
        call = batch, self.inputs(arrays), out, (reg, rate), (want_loss, int(goal))
        kernel = self.sums_kernel if summing else self.kernel
        X, y, _, rows = batch
        plan = kernel.plan(key_of(X, y), X, rows, out)
        loss, weight, invalid = POOL.run(plan, call, threads)
        return math.nan if invalid >= 1 else loss, weight, out if goal else ()

    def run_wider(self, batch: Any, weights: Any, arrays: Any, options: Any, wanted: Any) -> Any:
        """Loss, weight and output where an intermediate number leaves X's dtype.

        Computed by the NumPy variant in float64 or long double, a block at a time. The fourth value
        is whether float64 can hold the result.
        """
        (X, y, _, rows), (reg, rate, _, _), (want_loss, goal) = batch, options, wanted
        in_float64 = X.dtype == F32 and not (weights and weights.spread)
        wide = F64 if in_float64 else np.dtype(np.longdouble)
        rows = rows if len(rows) else np.arange(len(X))
        s = weights.given[rows].astype(wide) if weights else np.ones(len(rows), wide)
        exponent = math.frexp(float(s.max()))[1] + len(rows).bit_length()
        s = np.ldexp(s, -exponent)  # they sum to at most 1, so that no sum overflows
        parameters = tuple(p.astype(wide) for p in arrays)
        scalar = self.scalar_bias
        passed = [p[0] if scalar and k % 2 else p for k, p in enumerate(parameters)]
        totals, size = list[Any](), max(1, BLOCK // X.shape[1])
        for start in range(0, len(rows), size):
            at = rows[start : start + size]
            block = X[at].astype(wide), validate.rows_of(y, at, wide), s[start : start + size]
            parts = self.sums["numpy"](*block, *passed)
            totals = [a + b for a, b in zip(totals or [0.0] * len(parts), parts, strict=True)]
        loss, weight, *out = totals
        if goal == Goal.SUMS:
            loss, weight, *out = (np.ldexp(part, exponent) for part in totals)
        else:
            penalised = parameters[-len(out) :]
            penalty = sum(0.5 * np.vdot(W, W) for W in penalised[::2]) if reg else 0.0
            loss = average(loss, weight, reg, penalty)
            pairs = enumerate(zip(out, penalised, strict=True))
            out = [average(part, weight, 0.0 if k % 2 else reg, p) for k, (part, p) in pairs]
        if goal == Goal.STEP:
            out = [p - rate * gradient for p, gradient in zip(parameters, out, strict=True)]
        if not want_loss and np.finfo(wide).maxexp > np.finfo(X.dtype).maxexp:
            loss = 0.0  # an infinite one may be a square: no score leaves the wider range
        dtype = F64 if goal == Goal.SUMS else X.dtype
        found = tuple(np.atleast_1d(part).astype(dtype) for part in out)
        wider = validate.all_finite(np.asarray(part, F64) for part in (loss, *out))
        return float(loss), float(weight), found if goal else (), wider


class Variants(Computation):
    """The variants of a gradient."""

    def __init__(
        self,
        shapes: Mapping[str, str],
        target: validate.Target,
        loop: Callable[..., Any],
        numpy: Callable[..., Any],
        residual: Callable[..., Any],
    ) -> None:
        super().__init__(shapes, target)
        self.make_kernels(pointwise(residual) if self.scalar_bias else residual)
        # The vectors of the tiled kernel exist only compiled: without a compiler NumPy stands in.
        tiled = numpy if numba.config.DISABLE_JIT else self.tiled
        python = getattr(loop, "py_func", loop)
        self.sums = {"python": python, "numpy": numpy, "loop": loop, "tiled": tiled}

    def tiled(self, X: Any, y: Any, s: Any, *parameters: Any) -> Any:
        """The sums by the tiled kernel, in the form of the other variants."""
        arrays = tuple(np.atleast_1d(np.asarray(p, X.dtype)) for p in parameters)
        y = np.asarray(y)
        y = y.astype(self.target.dtype or X.dtype if y.ndim == 1 else X.dtype, "C", copy=False)
        options, wanted = (0.0, 0.0, "tiled", None), (True, Goal.SUMS)
        loss, weight, out = self.run_tiled((X, y, s, ALL_ROWS), arrays, options, wanted)
        return loss, weight, *self.scalars(out)


def finished(arrays: Any, out: Any, rate: float, goal: Goal) -> Any:
    """The output for a goal: nothing, the gradient or sums, or the parameters after a step."""
    if goal == Goal.STEP:
        pairs = zip(arrays, out, strict=True)
        return tuple(p - p.dtype.type(rate) * gradient for p, gradient in pairs)
    return out if goal else ()
