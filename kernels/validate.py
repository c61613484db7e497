"""What the public functions accept, and a sentence for a person where they refuse.

Every function takes what was passed and gives back what the kernels take: plain, aligned, native
NumPy arrays of one dtype. Nothing is copied that need not be, and nothing passed is ever changed.
"""

import math
import numbers
import operator
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def samples(X: ArrayLike, empty: bool = False) -> Array:
    """X as an (N, D) array of float32 or float64, in its memory order; N may be 0 if `empty`."""
    X = _numbers("X", X)
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
    X = _converted(X, X.dtype if X.dtype.kind == "f" else np.float64).view()
    X.flags.writeable = (
        False  # no kernel can change it, and one compilation serves read-only callers too
    )
    return X


def parameter(
    name: str, value: ArrayLike, shape: tuple[int | None, ...], dims: str, X: Array
) -> Array:
    """A weight or bias in X's dtype, C order. None in `shape` stands for any length but 0."""
    array = _numbers(name, value)
    want = (
        "("
        + ", ".join(d if n is None else str(n) for n, d in zip(shape, dims, strict=True))
        + ("," if len(shape) == 1 else "")
        + ")"
    )
    fits = len(shape) == array.ndim and all(
        n is None or n == m for n, m in zip(shape, array.shape, strict=True)
    )
    if not fits or 0 in array.shape:
        letters = ", ".join(dims)
        hint = (
            f": pass {name}.ravel()"
            if len(shape) == 1 and array.size == shape[0]
            else f" (X has {X.shape[1]} features)"
        )
        raise ValueError(
            f"{name} must have shape ({letters}{',' if len(shape) == 1 else ''}) = {want} and has "
            f"shape {array.shape}{hint}"
        )
    return _owned(_finite_in(name, array, X.dtype))


def number(name: str, value: Any, X: Array) -> float:
    """A bias that is one number."""
    array = _numbers(name, value)
    if array.ndim != 0:
        raise ValueError(
            f"{name} must be one number (or None for no bias) and has shape {array.shape}: "
            f"pass {name}.item() if it holds one"
        )
    return float(_finite_in(name, array, X.dtype))


def labels(y: ArrayLike, X: Array, classes: int) -> Array:
    """Class labels as int64, each in 0..classes-1."""
    y = one_per_sample("y", y, X)
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # of a signalling nan
            wrong = (y != np.floor(y)) | ~np.isfinite(y)
        if wrong.any():
            n = int(wrong.argmax())
            raise ValueError(
                f"y[{n}] is {y[n]}: class labels must be whole numbers, 0..{classes - 1}; "
                "encode the classes as integers"
            )
    if y.size and (y.min() < 0 or y.max() >= classes):
        n = int(((y < 0) | (y >= classes)).argmax())
        raise ValueError(
            f"y[{n}] is {y[n]} and there are {classes} classes (columns of the weights): "
            f"labels must be in 0..{classes - 1}; "
            "renumber the labels, or pass weights with a column for each class"
        )
    return _owned(y.astype(np.int64, copy=False))


def signs(y: ArrayLike, X: Array, classes: int = 2) -> Array:
    """Labels -1 / +1 in X's dtype."""
    y = one_per_sample("y", y, X)
    wrong = y == 0 if y.dtype.kind == "b" else (y != 1) & (y != -1)
    if wrong.any():
        n = int(wrong.argmax())
        raise ValueError(
            f"y[{n}] is {y[n]}: labels must be -1 or +1; "
            "if they are 0 and 1, pass 2*y - 1 (as integers or floats)"
        )
    return _owned(_converted(y, X.dtype))


def targets(y: ArrayLike, X: Array, outputs: int = 1) -> Array:
    """Real targets in X's dtype."""
    return _owned(_finite_in("y", one_per_sample("y", y, X), X.dtype))


def weights(sample_weight: ArrayLike | None, X: Array, zeros: bool = False) -> Array | None:
    """Non-negative sample weights in X's dtype; all of them may be 0 if `zeros`."""
    if sample_weight is None:
        return None
    s = _finite_in("sample_weight", one_per_sample("sample_weight", sample_weight, X), X.dtype)
    if s.size and s.min() < 0:
        n = int((s < 0).argmax())
        raise ValueError(
            f"sample_weight[{n}] is {s[n]}: weights must not be negative; "
            "pass 0 to leave a sample out"
        )
    if not zeros and s.max() == 0:
        raise ValueError(
            "sample_weight is 0 for every sample, which leaves nothing to average: "
            "give at least one sample a positive weight"
        )
    return _owned(s)


class Target(NamedTuple):
    """What y holds: how it is checked, its dtype (None for X's), and what to say of it."""

    check: Callable[[ArrayLike, Array, int], Array]
    dtype: Any
    meaning: str
    refused: str


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


def not_negative(name: str, value: Any) -> float:
    """`reg` or `learning_rate`: one finite number, at least 0."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(
            f"{name} must be one real number and is {describe(value)}: "
            f"pass a float such as {name}=0.1"
        )
    try:
        number = float(value)
    except OverflowError:  # an integer beyond any float
        number = math.inf
    if not 0 <= number < math.inf:
        raise ValueError(
            f"{name} is {number}: it must be finite and not negative; "
            f"pass a float such as {name}=0.1"
        )
    return number


def variant(name: Any, known: Iterable[str]) -> str:
    """The name of a variant."""
    names = ", ".join(map(repr, known))
    if not isinstance(name, str):
        raise TypeError(f"variant must be a string and is {describe(name)}: pass one of {names}")
    if name not in known:
        raise ValueError(f"variant {name!r} is not known: pass one of {names}")
    return name


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
                f"{name} holds {array[place]} at {at}: every value must be finite; "
                "drop, impute or correct that one"
            )


def whole_number(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """A whole number within limits; `highest` is the number of samples."""
    most = "" if highest is None else f" and at most {highest}, the number of samples"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{name} must be a whole number and is {value!r}: pass an int, at least {lowest}{most}"
        )
    if value < lowest or (highest is not None and value > highest):
        raise ValueError(f"{name} is {value}: pass at least {lowest}{most}")
    return int(value)


def threads(n: Any) -> int | None:
    """A number of threads, or None for the default."""
    if n is None:
        return None
    try:
        number = operator.index(n)
    except TypeError:
        number = None
    if number is None or isinstance(n, bool):
        raise TypeError(
            f"threads must be a whole number and is {describe(n)}: "
            "pass 1 or more, or None for the default"
        )
    if number < 1:
        raise ValueError(f"threads is {n}: pass 1 or more, or None for the default")
    return number


def all_finite(numbers: Iterable[Any]) -> bool:
    return all(part is None or bool(np.isfinite(part).all()) for part in numbers)


def result(numbers: tuple[Any, ...], X: ArrayLike) -> None:
    """Raise an error if a result is not finite: with the place in X, or numbers too large."""
    if all_finite(numbers):
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
            f"{name} is a masked array, whose mask would be lost: "
            f"pass {name}.filled(value), or only the rows that are complete"
        )
    if hasattr(value, "tocsr"):
        raise TypeError(f"{name} is {describe(value)}, a sparse matrix: pass {name}.toarray()")
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # of ragged lists, and whatever the __array__ of somebody else's class raises
        raise ValueError(
            f"{name} cannot be read as an array of numbers ({type(error).__name__}: {error}): "
            "pass rows of equal length"
        ) from error
    kind, accepted = array.dtype.kind, "accepted are float64, float32, integers and bools"
    if kind == "c":
        raise TypeError(
            f"{name} is complex ({array.dtype}): {accepted}; "
            f"pass {name}.real if the imaginary part means nothing"
        )
    if kind not in "fiub":
        what = {
            "U": "strings",
            "S": "bytes",
            "O": "Python objects",
            "M": "dates",
            "m": "durations",
        }.get(kind, "no numbers")
        raise TypeError(
            f"{name} holds {what} (dtype {array.dtype}): {accepted}; "
            f"convert them, for example with {name}.astype(float)"
        )
    if kind == "f" and array.dtype.itemsize not in (4, 8):
        raise TypeError(
            f"{name} has dtype {array.dtype}: {accepted}; "
            f"pass {name}.astype(np.float32) or {name}.astype(np.float64)"
        )
    return array


def one_per_sample(name: str, value: ArrayLike, X: Array) -> Array:
    array = _numbers(name, value)
    if array.ndim != 1:
        hint = (
            f"pass {name}.ravel()" if array.size == len(X) else "pass one value for each row of X"
        )
        raise ValueError(
            f"{name} must have one dimension, (samples,), and has shape {array.shape}: {hint}"
        )
    if len(array) != len(X):
        raise ValueError(
            f"{name} has {len(array)} values and X has {len(X)} rows: pass one value for each row"
        )
    return array


def _finite_in(name: str, array: Array, dtype: Any) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        out = _converted(array, dtype)
    if not np.isfinite(out).all():
        finite(name, np.atleast_1d(array))
        raise ValueError(
            f"{name} holds {np.abs(array).max()}, too large for {dtype}, the dtype of X: "
            f"pass X as float64, or scale {name}"
        )
    return out


def _converted(array: Array, dtype: Any) -> Array:
    """Native byte order, aligned; the same memory where it is so already."""
    return np.require(array, np.dtype(dtype).newbyteorder("="), "A")


def _owned(array: Array) -> Array:
    """Contiguous and not read-only, so that one compilation serves every caller."""
    return np.require(array, requirements=["C", "A", "W"]) if array.ndim else array


def describe_shape(shape: tuple[int, ...] | None) -> str:
    """What a message says of a parameter of this shape, or of one that is None."""
    return "None" if shape is None else f"of shape {shape}" if shape else "one number"


def describe(value: Any) -> str:
    """What a message says of a value: itself where it is short, else its type."""
    text = repr(value)
    return (
        f"{text} ({type(value).__name__})"
        if len(text) < 40
        else f"a {type(value).__module__}.{type(value).__name__}"
    )
