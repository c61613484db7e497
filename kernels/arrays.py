"""Array-like arguments as NumPy arrays of real numbers, or an error that says how to convert them.

The advice in an error is an expression that works on what was passed, whatever its type.
"""

import numbers
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Remedy = Callable[[str, Array], str]  # (expression for an array, the array) -> advice
KINDS = {"U": "strings", "S": "bytes", "O": "Python objects", "M": "dates", "m": "durations"}
ACCEPTED = "accepted are float64, float32, float16, integers and bools"
EXPRESSIONS = {"validation X": "validation[0]", "validation y": "validation[1]"}


def real_array(name: str, value: Any, remedy: Remedy | None = None) -> Array:
    """Anything array-like that holds real numbers, as an array; missing values become nan.

    `remedy` gives the advice for strings, if they can be something other than numbers.
    """
    if type(value) is not np.ndarray:
        refuse_other_containers(name, value)
    try:
        array = np.asarray(by_columns(value) if hasattr(type(value), "iloc") else value)
        if not array.ndim and array.dtype.kind == "O" and hasattr(type(value), "__dlpack__"):
            array = np.from_dlpack(value)
    except MemoryError:
        raise
    except Exception as error:  # a ragged list, or an error in __array__ of some other library
        raise ValueError(unreadable(name, value, error)) from error
    kind, dtype = array.dtype.kind, array.dtype
    if kind in "iub" or (kind == "f" and dtype.itemsize in (4, 8)):
        return array
    if kind == "f" and dtype.itemsize == 2:
        return array.astype(np.float32)
    if kind == "O" and not any(map(is_other, types := set(map(type, array.flat)))):
        return numbers_of_objects(name, array, types)
    raise TypeError(no_numbers(name, value, array, remedy))


def as_array(name: str, value: Any) -> str:
    """An expression for an argument as an array."""
    name = EXPRESSIONS.get(name, name)
    return name if type(value) is np.ndarray else f"np.asarray({name})"


def describe(value: Any) -> str:
    """A value in a message: its repr if that is short, else its type."""
    value = value.item() if isinstance(value, np.generic) else value
    kind = type(value)
    if kind.__module__ == "builtins" or isinstance(value, numbers.Number):
        text = repr(value)
        if len(text) < 40:
            return f"{text} ({kind.__name__})"
    return f"a {kind.__module__}.{kind.__name__}"


def place_of(place: Any) -> str:
    """The index of a value, in a message."""
    place = tuple(map(int, place))
    if len(place) == 2:
        return "row {}, column {}".format(*place)
    return f"position {place[0] if len(place) == 1 else place}"


# ---- containers that are refused ----


def refuse_other_containers(name: str, value: Any) -> None:
    """Refuse masked, sparse and lazy arrays, which NumPy cannot convert without a loss."""
    expression, kind = EXPRESSIONS.get(name, name), type(value)  # a table's attributes are columns
    if value is None:
        raise TypeError(f"{name} is None: pass an array of numbers")
    if hasattr(kind, "filled"):  # importing numpy.ma to ask takes 30 ms
        fill = f"pass {expression}.filled({expression}.mean())"
        if np.ndim(value) == 1:
            fill = f"pass {expression}.filled({expression}.compressed()[0])"
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost: {fill}, and leave incomplete "
            f"samples out with sample_weight, 0 for each"
        )
    dense = next((method for method in ("toarray", "todense") if hasattr(kind, method)), None)
    if dense:
        what = describe(value)
        raise TypeError(f"{name} is {what}, a sparse matrix: pass {expression}.{dense}()")
    graph = getattr(value, "__dask_graph__", None)
    lazy = "compute" if callable(graph) and graph() is not None else ""
    if kind.__name__ == "LazyFrame":
        lazy = "collect"
    if lazy:
        raise TypeError(
            f"{name} is {describe(value)}, which is not computed yet and would be pulled into "
            f"memory as a whole: pass {expression}.{lazy}() if it fits, or data in blocks: of Dask "
            "to the functions of `kernels.dask`, of others as `kernels.Blocks`"
        )
    if hasattr(kind, "to_dummies") and hasattr(kind, "schema"):
        for column, dtype in value.schema.items():
            if dtype.is_temporal():  # polars makes microseconds of them, beside numbers
                raise TypeError(
                    f"{name} holds dates or times in column {column!r} ({dtype}): {ACCEPTED}; pass "
                    f"{expression}.cast({{{column!r}: float}}) if the unit suits, or leave it out"
                )


def unreadable(name: str, value: Any, error: Exception) -> str:
    """The message for what NumPy cannot convert."""
    expression = EXPRESSIONS.get(name, name)
    kind, first_line = type(error).__name__, str(error).partition("\n")[0]
    reason, remedy = f"{kind}: {first_line}", "pass a NumPy array"
    items = value if isinstance(value, (list, tuple)) else [value]
    tensor = next((item for item in items if hasattr(type(item), "detach")), None)
    if kind == "TracerArrayConversionError":
        reason = "a tracer of JAX has no value yet"
        remedy = "call it through jax.pure_callback, as docs/interop.md shows"
    elif tensor is not None:  # it requires a gradient, is on a GPU, or has a dtype of its own
        dense = "" if "strided" in str(getattr(tensor, "layout", "strided")) else ".to_dense()"
        as_float = ".float()" if re.search("bfloat16|float8", str(tensor.dtype)) else ""
        in_numpy = f".detach().cpu(){dense}{as_float}.numpy()"
        remedy = f"pass [row{in_numpy} for row in {expression}]"
        if tensor is value:
            remedy = f"pass {expression}{in_numpy}"
    elif hasattr(type(value), "__cuda_array_interface__") and hasattr(type(value), "get"):
        remedy = f"pass {expression}.get()"
    elif isinstance(value, (list, tuple)):
        remedy = "pass rows of equal length"
        counts = [
            f"{len(row)} values" if hasattr(row, "__len__") else "one number" for row in value
        ]
        other = next((n for n, count in enumerate(counts) if count != counts[0]), None)
        if other is not None:
            reason = f"row {other} has {counts[other]} and row 0 has {counts[0]}"
    return f"{name} cannot be read as an array of numbers ({reason}): {remedy}"


def by_columns(table: Any) -> Any:
    """A table of pandas, column by column where it would make Python objects of all the numbers."""
    dtypes = list(table.dtypes) if table.ndim == 2 else []
    mixed = len(set(dtypes)) > 1 or not all(isinstance(dtype, np.dtype) for dtype in dtypes)
    if mixed and all(dtype.kind in "iubf" for dtype in dtypes):
        return np.column_stack([table.iloc[:, d] for d in range(len(dtypes))])
    return table


# ---- values that are refused ----


def is_missing(kind: type) -> bool:
    """Whether values of this type stand for a gap."""
    return kind is type(None) or kind.__name__ in ("NAType", "NaTType")


def is_vector(value: Any) -> bool:
    """Whether a value in a column is a list or an array."""
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes, Mapping))


def is_nan(value: Any) -> bool:
    """Whether a value is a nan, which pandas puts among strings."""
    return isinstance(value, float) and value != value


def is_other(kind: type) -> bool:
    """Whether values of this type are neither real numbers nor missing."""
    return not (issubclass(kind, (numbers.Real, np.bool_)) or is_missing(kind))


def numbers_of_objects(name: str, array: Array, types: set[type]) -> Array:
    """Python's numbers as float64."""
    if any(map(is_missing, types)):
        array = array.copy()
        array[np.reshape([is_missing(type(item)) for item in array.flat], array.shape)] = np.nan
    try:
        return array.astype(np.float64)
    except OverflowError:
        largest = max(array.flat, key=abs)
        place = next(p for p, item in np.ndenumerate(array) if item is largest)
        raise ValueError(
            f"{name} holds an integer at {place_of(place)} that is too large for float64: "
            f"scale {name}"
        ) from None


def no_numbers(name: str, value: Any, array: Array, remedy: Remedy | None) -> str:
    """The message for an array whose dtype is none of those accepted."""
    kind, dtype, this = array.dtype.kind, array.dtype, as_array(name, value)
    what = f"holds {KINDS.get(kind, 'no numbers')} (dtype {dtype})"
    advice = f"pass {this}.astype(float)"
    if array.ndim == 0 and kind == "O":
        return f"{name} is {describe(value)}: pass an array of numbers"
    if kind == "c":
        what = f"is complex ({dtype})"
        advice = f"pass {this}.real if the imaginary part means nothing"
    elif kind == "f":
        what, advice = f"has dtype {dtype}", f"pass {this}.astype(np.float64)"
    elif dtype.names is not None:
        what = f"is a structured array with the fields {', '.join(dtype.names)}"
        advice = f"pass np.column_stack([{this}[name] for name in {this}.dtype.names])"
        if array.ndim < 2 and (remedy or name in ("y", "validation y", "sample_weight")):
            advice = f"pass {this}[{dtype.names[0]!r}], or another field"
    elif kind == "V" and converts(array):  # bfloat16 and the like, from outside NumPy
        what, advice = f"has dtype {dtype}", f"pass {this}.astype(np.float32)"
    elif kind in "OUS" and not converts(array):
        place, item = next(
            (p, x) for p, x in np.ndenumerate(array) if is_vector(x) or not converts(x)
        )
        advice = f"encode {name} as numbers"
        if is_vector(item):
            advice = f"pass np.stack({this}.ravel())"
        elif remedy and isinstance(item, (str, bytes)):
            gaps = ((p, x) for p, x in np.ndenumerate(array) if is_missing(type(x)) or is_nan(x))
            gap = next(gaps, None)
            advice = "correct or drop that one" if gap else remedy(this, array)
            place, item = gap or (place, item)
        elif array.ndim == 2:
            polars = hasattr(type(value), "to_dummies")
            encoder = f"{name}.to_dummies" if polars else "pandas.get_dummies"
            advice += f", for example one column for each category by {encoder}"
        what = f"holds {describe(item)} at {place_of(place)}" if place else f"is {describe(item)}"
    return f"{name} {what}: {ACCEPTED}; {advice}"


def converts(value: Any) -> bool:
    """Whether NumPy makes float64 of it."""
    try:
        np.asarray(value).astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True
