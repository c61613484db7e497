"""What the public functions accept, and a sentence for a person where they refuse. No maths here.

Every function takes what was passed and gives back what the kernels take: plain, aligned, native
NumPy arrays of one dtype. Nothing is copied that need not be, and nothing passed is ever changed.
"""

import functools
import math
import numbers
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def samples(X: ArrayLike) -> Array:
    """X as an (N, D) array of float32 or float64, in the memory order that it came in."""
    X = _numbers("X", X)
    if X.ndim != 2:
        raise ValueError(
            f"X must have two dimensions, (samples, features), and has shape {X.shape}: "
            "pass X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one sample"
        )
    if X.shape[0] == 0:
        raise ValueError(f"X has shape {X.shape}, an empty batch, whose average is not defined: pass at least one sample")
    if X.shape[1] == 0:
        raise ValueError(f"X has shape {X.shape}, no features: pass at least one column")
    X = _converted(X, X.dtype if X.dtype.kind == "f" else np.float64).view()
    X.flags.writeable = False  # no kernel can change it, and one compilation serves read-only callers too
    return X


def parameter(name: str, value: ArrayLike, shape: tuple[int | None, ...], dims: str, X: Array) -> Array:
    """A weight matrix or vector in X's dtype, C order. None in `shape` stands for any length but 0."""
    array = _numbers(name, value)
    want = (
        "("
        + ", ".join(d if n is None else str(n) for n, d in zip(shape, dims, strict=True))
        + ("," if len(shape) == 1 else "")
        + ")"
    )
    fits = len(shape) == array.ndim and all(n is None or n == m for n, m in zip(shape, array.shape, strict=True))
    if not fits or 0 in array.shape:
        letters = ", ".join(dims)
        hint = f": pass {name}.ravel()" if len(shape) == 1 and array.size == shape[0] else f" (X has {X.shape[1]} features)"
        raise ValueError(
            f"{name} must have shape ({letters}{',' if len(shape) == 1 else ''}) = {want} and has shape {array.shape}{hint}"
        )
    return _owned(_all_finite(name, array, X.dtype))


def intercept(b: Any, X: Array) -> float | None:
    """The scalar bias of the models with one output."""
    if b is None:
        return None
    b = _numbers("b", b)
    if b.ndim != 0:
        raise ValueError(f"b must be one number (or None for no bias) and has shape {b.shape}: pass b.item() if it holds one")
    return float(_all_finite("b", b, X.dtype))


def labels(y: ArrayLike, X: Array, classes: int) -> Array:
    """Class labels as int64, each in 0..classes-1."""
    y = _one_per_sample("y", y, X)
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # of a signalling nan
            wrong = (y != np.floor(y)) | ~np.isfinite(y)
        if wrong.any():
            n = int(wrong.argmax())
            raise ValueError(
                f"y[{n}] is {y[n]}: class labels must be whole numbers, 0..{classes - 1}; encode the classes as integers"
            )
    if y.min() < 0 or y.max() >= classes:
        n = int(((y < 0) | (y >= classes)).argmax())
        raise ValueError(
            f"y[{n}] is {y[n]} and there are {classes} classes (columns of the weights): labels must be in 0..{classes - 1}; "
            "renumber the labels, or pass weights with a column for each class"
        )
    return _owned(y.astype(np.int64, copy=False))


def signs(y: ArrayLike, X: Array) -> Array:
    """Labels -1 / +1 in X's dtype."""
    y = _one_per_sample("y", y, X)
    wrong = y == 0 if y.dtype.kind == "b" else (y != 1) & (y != -1)
    if wrong.any():
        n = int(wrong.argmax())
        raise ValueError(
            f"y[{n}] is {y[n]}: labels must be -1 or +1; if they are 0 and 1, pass 2*y - 1 (as integers or floats)"
        )
    return _owned(_converted(y, X.dtype))


def targets(y: ArrayLike, X: Array) -> Array:
    """Real targets in X's dtype."""
    return _owned(_all_finite("y", _one_per_sample("y", y, X), X.dtype))


def weights(sample_weight: ArrayLike | None, X: Array) -> Array | None:
    """Non-negative sample weights in X's dtype, not all of them 0."""
    if sample_weight is None:
        return None
    s = _all_finite("sample_weight", _one_per_sample("sample_weight", sample_weight, X), X.dtype)
    if s.min() < 0:
        n = int((s < 0).argmax())
        raise ValueError(f"sample_weight[{n}] is {s[n]}: weights must not be negative; pass 0 to leave a sample out")
    if s.max() == 0:
        raise ValueError(
            "sample_weight is 0 for every sample, which leaves nothing to average: give at least one sample a positive weight"
        )
    return _owned(s)


def not_negative(name: str, value: Any) -> float:
    """`reg` or `learning_rate`: one finite number, at least 0."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be one real number and is {_describe(value)}: pass a float such as {name}=0.1")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond any float
        number = math.inf
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} is {number}: it must be finite and not negative; pass a float such as {name}=0.1")
    return number


def variant(name: Any, variants: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function that `variant=` names."""
    if not isinstance(name, str):
        raise TypeError(f"variant must be a string and is {_describe(name)}: pass one of {', '.join(map(repr, variants))}")
    if name not in variants:
        raise ValueError(f"variant {name!r} is not known: pass one of {', '.join(map(repr, variants))}")
    return variants[name]


def finite(name: str, array: Array) -> None:
    """Refuse the first nan or inf, by name and place. Looks at a block of rows at a time."""
    rows = max(1, 2**16 // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        bad = ~np.isfinite(array[start : start + rows])
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            place = (place[0] + start, *place[1:])
            at = f"row {place[0]}, column {place[1]}" if array.ndim == 2 else f"position {place[0]}"
            raise ValueError(
                f"{name} holds {array[place]} at {at}: every value must be finite; drop, impute or correct that one"
            )


def show_overflow(scores: Array) -> None:
    """Make them nan if one is infinite: a sure answer, or a dead unit, would not show it."""
    if not math.isfinite(np.vdot(scores, scores)) and not np.isfinite(scores).all():  # the first is fast, and seldom wrong
        scores.fill(np.nan)


def step(X: ArrayLike, learning_rate: float, parameters: Iterable[Any], gradient: Iterable[Any]) -> Any:
    """parameter - learning_rate * gradient for each of them, in the gradient's dtype; None stays None."""
    with np.errstate(all="ignore"):
        stepped = tuple(
            None if p is None else (np.asarray(p, g.dtype) if isinstance(g, np.ndarray) else float(p)) - learning_rate * g
            for p, g in zip(parameters, gradient, strict=True)
        )
    result(stepped, X)
    return stepped


def threads(n: Any) -> int | None:
    """A number of threads, or None for the default."""
    if n is None:
        return None
    try:
        number = operator.index(n)
    except TypeError:
        number = None
    if number is None or isinstance(n, bool):
        raise TypeError(f"threads must be a whole number and is {_describe(n)}: pass 1 or more, or None for the default")
    if number < 1:
        raise ValueError(f"threads is {n}: pass 1 or more, or None for the default")
    return number


INT, FLOATS = np.dtype(np.int64), (np.dtype(np.float32), np.dtype(np.float64))


def as_it_is(value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Whether a kernel takes it without a conversion. What the numbers are, the kernel sees for itself."""
    return type(value) is np.ndarray and value.dtype == dtype and value.shape == shape and value.flags.carray


def answered(
    at_once: Any, fits: Any, label: Any, variants: Any, accepted: Any, name: Any, at_most: Any, batch: Any, *wanted: bool
) -> tuple[float, Any]:
    """The answer for a batch as it was passed.

    What needs no conversion goes to the tiled kernel `at_once`, which counts what is wrong as it meets it: asking
    first would cost a small batch several times the arithmetic. Whatever else, and whatever was counted, goes the careful way.
    """
    X, y, *parameters, reg, s = batch
    if (
        type(name) is str  # an array of one string equals it too
        and name == "tiled"
        and at_once
        and type(X) is np.ndarray
        and X.ndim == 2
        and X.size
        and X.dtype in FLOATS
        and X.flags.aligned
        and type(y) is np.ndarray
        and y.shape == X.shape[:1]
        and (s is None or as_it_is(s, X.dtype, y.shape))
        and type(reg) in (float, int)
        and 0 <= reg <= sys.float_info.max  # an int can be larger
        and (at_most is None or (type(at_most) is int and at_most > 0))
        and fits(X, *parameters)
    ):
        dtype = label or X.dtype
        if y.dtype.kind == "i" or y.dtype == dtype:
            y = y if as_it_is(y, dtype, y.shape) else y.astype(dtype)
            loss, gradient, bad = at_once(X, y, *parameters, reg, s, *wanted, at_most)
            if not bad:
                return loss, gradient
    return guarded(variants, name, at_most, *accepted(*batch), *wanted)


def guarded(variants: Mapping[str, Callable[..., Any]], name: Any, at_most: Any, X: Array, *batch: Any) -> tuple[float, Any]:
    """Run a variant on a batch that was accepted; the last two of `batch` say what is wanted."""
    run, at_most = variant(name, variants), threads(at_most)
    if name == "tiled":
        run = functools.partial(run, threads=at_most)
    with np.errstate(all="ignore"):
        loss, gradient = run(X, *batch)
    result((loss, *gradient) if batch[-1] else (loss,), X)
    return loss, gradient


def result(numbers: tuple[Any, ...], X: ArrayLike) -> None:
    """A result that is not finite has a reason: a place in X, or numbers too large for the dtype."""
    if all(part is None or np.isfinite(part).all() for part in numbers):
        return
    X = samples(X)
    finite("X", X)
    wider = "" if X.dtype == np.float64 else ", or pass X as float64"
    raise FloatingPointError(
        f"every input is finite, but the result is too large for {X.dtype}: "
        f"scale the features (largest |X| is {np.abs(X).max():.3g}) or the parameters{wider}"
    )


def _numbers(name: str, value: Any) -> Array:
    """Anything array-like that holds real numbers, as an array."""
    if hasattr(value, "filled"):  # importing numpy.ma to ask takes 30 ms
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value), or only the rows that are complete"
        )
    if hasattr(value, "tocsr"):
        raise TypeError(f"{name} is {_describe(value)}, a sparse matrix: pass {name}.toarray()")
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # of ragged lists, and whatever the __array__ of somebody else's class raises
        raise ValueError(
            f"{name} cannot be read as an array of numbers ({type(error).__name__}: {error}): pass rows of equal length"
        ) from error
    kind, accepted = array.dtype.kind, "accepted are float64, float32, integers and bools"
    if kind == "c":
        raise TypeError(f"{name} is complex ({array.dtype}): {accepted}; pass {name}.real if the imaginary part means nothing")
    if kind not in "fiub":
        what = {"U": "strings", "S": "bytes", "O": "Python objects", "M": "dates", "m": "durations"}.get(kind, "no numbers")
        raise TypeError(
            f"{name} holds {what} (dtype {array.dtype}): {accepted}; convert them, for example with {name}.astype(float)"
        )
    if kind == "f" and array.dtype.itemsize not in (4, 8):
        raise TypeError(
            f"{name} has dtype {array.dtype}: {accepted}; pass {name}.astype(np.float32) or {name}.astype(np.float64)"
        )
    return array


def _one_per_sample(name: str, value: ArrayLike, X: Array) -> Array:
    array = _numbers(name, value)
    if array.ndim != 1:
        hint = f"pass {name}.ravel()" if array.size == len(X) else "pass one value for each row of X"
        raise ValueError(f"{name} must have one dimension, (samples,), and has shape {array.shape}: {hint}")
    if len(array) != len(X):
        raise ValueError(f"{name} has {len(array)} values and X has {len(X)} rows: pass one value for each row")
    return array


def _all_finite(name: str, array: Array, dtype: Any) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        out = _converted(array, dtype)
    if not np.isfinite(out).all():
        finite(name, np.atleast_1d(array))
        raise ValueError(
            f"{name} holds {np.abs(array).max()}, too large for {dtype}, the dtype of X: pass X as float64, or scale {name}"
        )
    return out


def _converted(array: Array, dtype: Any) -> Array:
    """Native byte order, aligned; the same memory where it is so already."""
    return np.require(array, np.dtype(dtype).newbyteorder("="), "A")


def _owned(array: Array) -> Array:
    """Contiguous and not read-only, so that one compilation serves every caller."""
    return np.require(array, requirements=["C", "A", "W"]) if array.ndim else array


def _describe(value: Any) -> str:
    text = repr(value)
    return f"{text} ({type(value).__name__})" if len(text) < 40 else f"a {type(value).__module__}.{type(value).__name__}"
