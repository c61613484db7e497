"""Checks and conversions of arguments, checks of results, and the text of their errors.

What is accepted becomes what the kernels take: aligned arrays in native byte order, of X's dtype
(class labels: int64). A copy is made only where one is needed, and no argument is modified.
"""

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Shape = tuple[int | None, ...]  # None stands for any length but 0
# Contiguous, aligned and writeable, so that one compilation serves every caller.
PLAIN: Final = ("C", "A", "W")
LIGHT, HEAVY = 2.0**-30, 2.0**80  # weights, and sums of weights, that float32 holds with ease
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
KINDS = {"U": "strings", "S": "bytes", "O": "Python objects", "M": "dates", "m": "durations"}


def samples(X: ArrayLike, empty: bool = False) -> Array:
    """X as an (N, D) array of float32 or float64, in its memory order; N may be 0 if `empty`."""
    X = real_array("X", X)
    if X.ndim != 2:
        raise ValueError(
            f"X must have two dimensions, (samples, features), and has shape {X.shape}: "
            "pass X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one sample"
        )
    if X.shape[0] == 0 and not empty:
        raise ValueError(
            f"X has shape {X.shape}, an empty batch, whose average is not defined: "
            "pass at least one sample"
        )
    if X.shape[1] == 0:
        raise ValueError(f"X has shape {X.shape}, no features: pass at least one column")
    dtype = X.dtype.newbyteorder("=") if X.dtype.kind == "f" else np.float64
    X = (X if X.dtype == dtype and X.flags.aligned else np.require(X, dtype, "A")).view()
    X.flags.writeable = False  # no kernel can change it; read-only X needs no second compilation
    return X


def parameter(name: str, value: ArrayLike, shape: Shape, dims: str, X: Array) -> Array:
    """A weight or bias in X's dtype, C order."""
    array = real_array(name, value)
    pairs = zip(shape, array.shape, strict=False)
    if len(shape) != array.ndim or 0 in array.shape or any(n not in (None, m) for n, m in pairs):
        known = tuple(d if n is None else n for n, d in zip(shape, dims, strict=True))
        want = f"{tuple(dims)} = {known}".replace("'", "")
        is_flat = shape == (array.size,)
        hint = f": pass {name}.ravel()" if is_flat else f" (X has {X.shape[1]} features)"
        raise ValueError(f"{name} must have shape {want} and has shape {array.shape}{hint}")
    return _finite_in_dtype(name, array, X.dtype)


def number(name: str, value: Any, X: Array) -> float:
    """A bias that is one number."""
    if type(value) is float and abs(value) <= LARGEST_FLOAT32:  # of either dtype, and no nan
        return value
    array = real_array(name, value)
    if array.ndim != 0:
        raise ValueError(
            f"{name} must be one number (or None for no bias) and has shape {array.shape}: "
            f"pass {name}.item() if it holds one"
        )
    return float(_finite_in_dtype(name, array, X.dtype))


def one_per_sample(name: str, value: ArrayLike, X: Array) -> Array:
    """An array of any real dtype, with one value for each row of X."""
    array = real_array(name, value)
    if array.ndim != 1:
        is_flat = array.size == len(X)
        hint = f"pass {name}.ravel()" if is_flat else "pass one value for each row of X"
        raise ValueError(
            f"{name} must have one dimension, (samples,), and has shape {array.shape}: {hint}"
        )
    if len(array) != len(X):
        raise ValueError(
            f"{name} has {len(array)} values and X has {len(X)} rows: pass one value for each row"
        )
    return array


def labels(y: ArrayLike, X: Array, classes: int) -> Array:
    """Class labels as int64, each in 0..classes-1."""
    y, known = one_per_sample("y", y, X), f"0..{classes - 1}"
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # of a signalling nan
            wrong = (y != np.floor(y)) | ~np.isfinite(y)
        why = f": class labels must be whole numbers, {known}; encode the classes as integers"
        _refuse_first(wrong, "y", y, why)
    if y.size and (y.min() < 0 or y.max() >= classes):
        why = (
            f" and there are {classes} classes (columns of the weights): labels must be in {known}"
            "; renumber the labels, or pass weights with a column for each class"
        )
        _refuse_first((y < 0) | (y >= classes), "y", y, why)
    return plain(y, np.dtype(np.int64))


def signs(y: ArrayLike, X: Array, classes: int = 2) -> Array:
    """Labels -1 / +1 in X's dtype."""
    y = one_per_sample("y", y, X)
    wrong = y == 0 if y.dtype.kind == "b" else (y != 1) & (y != -1)
    why = ": labels must be -1 or +1; if they are 0 and 1, pass 2*y - 1 (as integers or floats)"
    _refuse_first(wrong, "y", y, why)
    return plain(y, X.dtype)


def targets(y: ArrayLike, X: Array, outputs: int = 1) -> Array:
    """Real targets in X's dtype."""
    return _finite_in_dtype("y", one_per_sample("y", y, X), X.dtype)


def weights(
    sample_weight: ArrayLike | None, X: Array, zeros: bool = False
) -> tuple[Array | None, int]:
    """Non-negative sample weights / 2^exponent in X's dtype, and the exponent.

    All of them may be 0 if `zeros`. Only their ratios matter in an average, so where they are so
    large or small that a sum or a product could leave the dtype, the largest becomes ½ to 1.
    """
    if sample_weight is None:
        return None, 0
    name = "sample_weight"
    s = one_per_sample(name, sample_weight, X)
    if not np.isfinite(s).all():
        finite(name, s)
    _refuse_first(s < 0, name, s, ": weights must not be negative; pass 0 to leave a sample out")
    largest, exponent = float(s.max()) if s.size else 0.0, 0
    if not zeros and largest == 0:
        raise ValueError(
            "sample_weight is 0 for every sample, which leaves nothing to average: "
            "give at least one sample a positive weight"
        )
    if largest and not LIGHT <= largest <= HEAVY:
        exponent = math.frexp(largest)[1]
        s = np.ldexp(s.astype(np.float64), -exponent)
    return plain(s, X.dtype), exponent


class Target(NamedTuple):
    """What y holds: how it is checked, its dtype (None for X's), and what to say of it."""

    check: Callable[[ArrayLike, Array, int], Array]
    dtype: Any
    meaning: str
    refused: str
    # Of arrays that need no conversion, if the residual does not find what is wrong by itself.
    check_ready: Callable[[Array], Any] | None = None


CLASSES = Target(
    labels, np.dtype(np.int64), "Class labels, whole numbers 0..K-1.", "a label that is not a class"
)
SIGNS = Target(
    signs,
    None,
    "Labels, each -1 or +1. For labels 0 and 1 pass ``2*y - 1``.",
    "a label other than -1 and +1",
)
REAL = Target(targets, None, "Targets, real numbers.", "")


def targets_checked_by(check: Callable[[Array], Any]) -> Target:
    """Real targets of which `check` raises an error if they make no sense."""

    def check_all(y: ArrayLike, X: Array, outputs: int = 1) -> Array:
        y = targets(y, X)
        check(y)
        return y

    meaning = (check.__doc__ or "Targets, real numbers.").strip().partition("\n")[0]
    return Target(check_all, None, meaning, "a target that is none", check)


def declaration(parameters: Mapping[str, str], compiled: Mapping[str, Any]) -> None:
    """Refuse parameters or functions of which no problem can be made."""
    axes = [("D", ""), ("DK", "K"), ("DH", "H", "HK", "K")]
    known = tuple(parameters.values())
    if known not in axes:
        raise ValueError(
            f"parameters have the axes {known}: accepted are weights and a bias, as in "
            '{"w": "D", "b": ""} or {"W": "DK", "b": "K"}, or those of two layers, as in '
            '{"W1": "DH", "b1": "H", "W2": "HK", "b2": "K"}'
        )
    for name, function in compiled.items():
        if not hasattr(function, "py_func") and not numba.config.DISABLE_JIT:
            raise TypeError(
                f"{name} is {describe(function)}, which Numba has not compiled: "
                "decorate the function with @numba.njit"
            )


def not_negative(name: str, value: Any) -> float:
    """`reg`, `learning_rate` or another setting that is one finite number, at least 0."""
    hint = f"pass a float such as {name}=0.1"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be one real number and is {describe(value)}: {hint}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond any float
        number = math.inf
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} is {number}: it must be finite and not negative; {hint}")
    return number


def variant(name: Any, known: Iterable[str]) -> str:
    """The name of a variant."""
    names = ", ".join(map(repr, known))
    if not isinstance(name, str):
        raise TypeError(f"variant must be a string and is {describe(name)}: pass one of {names}")
    if name not in known:
        raise ValueError(f"variant {name!r} is not known: pass one of {names}")
    return name


def whole_number(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """A whole number within limits; `highest` is the number of samples."""
    most = "" if highest is None else f" and at most {highest}, the number of samples"
    limits = f"at least {lowest}{most}"
    number = index_of(value)
    if number is None:
        what = describe(value)
        raise TypeError(f"{name} must be a whole number and is {what}: pass an int, {limits}")
    if number < lowest or (highest is not None and number > highest):
        raise ValueError(f"{name} is {number}: pass {limits}")
    return number


def threads(n: Any) -> int | None:
    """A number of threads, or None for the default."""
    if n is None:
        return None
    hint, number = "pass 1 or more, or None for the default", index_of(n)
    if number is None:
        raise TypeError(f"threads must be a whole number and is {describe(n)}: {hint}")
    if number < 1:
        raise ValueError(f"threads is {n}: {hint}")
    return number


def index_of(value: Any) -> int | None:
    """A whole number of any type as an int; None of anything else, bools included."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def finite(name: str, array: Array) -> None:
    """Refuse the first nan or inf, by name and place. Looks at a block of rows at a time."""
    rows = max(1, 2**16 // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        bad = ~np.isfinite(array[start : start + rows])
        if bad.any():
            place = np.argwhere(bad)[0]
            place[0] += start
            at = "row {}, column {}" if array.ndim == 2 else "position {}"
            raise ValueError(
                f"{name} holds {array[tuple(place)]} at {at.format(*place)}: "
                "every value must be finite; drop, impute or correct that one"
            )


def all_finite(numbers: Iterable[Any]) -> bool:
    """Whether every number and every array is finite; None is."""
    return all(
        math.isfinite(part) if isinstance(part, float) else part is None or np.isfinite(part).all()
        for part in numbers
    )


def result(numbers: tuple[Any, ...], X: ArrayLike) -> None:
    """Refuse a result that is not finite, for its reason: a place in X, or too large a number."""
    if all_finite(numbers):
        return
    X = samples(X)
    finite("X", X)
    wider = "" if X.dtype == np.float64 else ", or pass X as float64"
    raise FloatingPointError(
        f"every input is finite, but the result is too large for {X.dtype}: "
        f"scale the features (largest |X| is {np.abs(X).max():.3g}) or the parameters{wider}"
    )


def real_array(name: str, value: Any) -> Array:
    """Anything array-like that holds real numbers, as an array."""
    if hasattr(value, "filled"):  # importing numpy.ma to ask takes 30 ms
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value), "
            "or only the rows that are complete"
        )
    if hasattr(value, "tocsr"):
        raise TypeError(f"{name} is {describe(value)}, a sparse matrix: pass {name}.toarray()")
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # of a ragged list, or whatever somebody else's __array__ raises
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{name} cannot be read as an array of numbers ({reason}): pass rows of equal length"
        ) from error
    kind, dtype = array.dtype.kind, array.dtype
    if kind == "c":
        what = f"is complex ({dtype})"
        remedy = f"pass {name}.real if the imaginary part means nothing"
    elif kind not in "fiub":
        what = f"holds {KINDS.get(kind, 'no numbers')} (dtype {dtype})"
        remedy = f"convert them, for example with {name}.astype(float)"
    elif kind == "f" and dtype.itemsize not in (4, 8):
        what = f"has dtype {dtype}"
        remedy = f"pass {name}.astype(np.float32) or {name}.astype(np.float64)"
    else:
        return array
    raise TypeError(f"{name} {what}: accepted are float64, float32, integers and bools; {remedy}")


def plain(array: Array, dtype: Any) -> Array:
    """An array in the order and dtype that the kernels take: itself, or a copy."""
    if array.dtype == dtype and array.flags.carray:  # np.require takes microseconds
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        return np.require(array, dtype, PLAIN)


def _refuse_first(wrong: Array, name: str, array: Array, why: str) -> None:
    """Raise an error that names the first value that is wrong, if one is."""
    if wrong.any():
        n = int(wrong.argmax())
        raise ValueError(f"{name}[{n}] is {array[n]}{why}")


def _finite_in_dtype(name: str, array: Array, dtype: Any) -> Array:
    """An array of finite numbers in X's dtype, which can hold them."""
    out = plain(array, dtype)
    if not np.isfinite(out).all():
        finite(name, np.atleast_1d(array))
        raise ValueError(
            f"{name} holds {np.abs(array).max()}, too large for {dtype}, the dtype of X: "
            f"pass X as float64, or scale {name}"
        )
    return out


def describe_shape(shape: tuple[int, ...] | None) -> str:
    """What a message says of a parameter of this shape, or of one that is None."""
    return "None" if shape is None else f"of shape {shape}" if shape else "one number"


def describe(value: Any) -> str:
    """What a message says of a value: itself where it is short, else its type."""
    text, kind = repr(value), type(value)
    if len(text) < 40:
        return f"{text} ({kind.__name__})"
    return f"a {kind.__module__}.{kind.__name__}"
