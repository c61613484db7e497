"""Generate functions from source text, with signatures that follow from a problem's declaration.

The source is executed, as in `collections.namedtuple`, so that `help`, `inspect.signature` and
Python's own errors show the names of the parameters, a call has no extra cost, and tracebacks show
the source.
"""

import inspect
import linecache
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .blocks import Blocks
from .descent import Settings
from .engine.jit import device_function, jit, value_if_present
from .engine.raw import averaged, c_ordered, if_absent
from .sums import Sums
from .validate import CLASSES

Shapes = Mapping[str, str]  # axes of each parameter by name: {"W": "DK", "b": "K"}

# ---- the public functions ----

SETTINGS = ", ".join(
    field.name + ("{rate}" if field.name == "learning_rate" else f"={field.default!r}")
    for field in fields(Settings)
)
DATA = "X, y, {parameters}, *, {option}reg=0.0, {weights}, variant='tiled', threads=None"
ARGUMENTS = {
    "loss": DATA.replace("{option}", ""),
    **dict.fromkeys(("loss_and_gradient", "gradient"), DATA.replace("{option}", "") + ", out=None"),
    "update": DATA.replace("{option}", "learning_rate, "),
    "sums": DATA.replace("{option}reg=0.0, ", ""),
    "average": "parts, {parameters}, *, reg=0.0",
    **dict.fromkeys(("scores", "probabilities", "predict"), "X, {parameters}"),
    "descend": "X, y, *, {network}{start}, start=None, {weights}, " + SETTINGS,
    "objective": DATA.replace("{parameters}, *, {option}", "*, {sizes}fit_bias=True, "),
    "hessian_vector_product": DATA.replace("{parameters}, *, {option}", "{names}, {vector}, *, "),
}
NO_SIZES = {"classes": None, "hidden": 1, "std": 0.0, "rng": 0}  # of one layer
CALL = "call(X, y, ({names}), {of_weights}, reg, variant, threads)"
BODIES = {
    "loss": CALL,
    **dict.fromkeys(
        ("loss_and_gradient", "gradient"), CALL.replace("threads", "threads, 0.0, out")
    ),
    "update": CALL.replace("threads", "threads, learning_rate"),
    "sums": CALL.replace("reg", "0.0"),
    "hessian_vector_product": CALL.replace("{names}", "{names}, {vector}"),
    "average": "call(parts, ({names}), reg)",
    **dict.fromkeys(("scores", "probabilities", "predict"), "call(X, ({names}))"),
    "descend": "call({data}, ({names}), start, Settings({settings}), {of_network})",
    "objective": "call({data}, (reg, variant, threads), fit_bias, ({of_sizes}))",
}
# These take data in blocks, too.
OVER_BLOCKS = ("loss_and_gradient", "loss", "gradient", "sums", "descend", "objective")
TYPES: dict[str, Any] = {
    "X": "ArrayLike",  # a string: NumPy's union would fill a screen of `help`
    "y": "ArrayLike",
    "parts": Sums | Iterable[Sums],
    "sample_weight": "ArrayLike | None",
    "class_weight": "ArrayLike | Mapping | str | None",
    "label_smoothing": float,
    "classes": int | None,
    "hidden": int,
    "std": float,
    "validation": tuple[ArrayLike, ArrayLike] | None,
    **Settings.__annotations__,
}


def public_function(name: str, problem: Any, returns: Any, call: Any) -> Any:
    """Return a public function of a problem, which calls `call`."""
    shapes, of_classes = problem.variants.shapes, problem.variants.target.remedy is not None
    network, last = len(shapes) == 4, list(shapes)[-1]
    smoothed = problem.variants.target is CLASSES
    number = "ArrayLike" if problem.several else "float"
    types = {parameter: "ArrayLike" if axes else number for parameter, axes in shapes.items()}
    for parameter in types if name == "descend" else () if network else (last,):
        types[parameter] += " | None"
    types |= {f"V{parameter}": kind for parameter, kind in types.items()}
    sizes: dict[str, Any] = {"classes": None} if shapes[last] else {}
    sizes |= {"hidden": 100, "std": 0.01, "rng": 0} if network else {}
    parts = {
        "parameters": ", ".join(shapes) + ("" if network else "=None"),
        "names": ", ".join(shapes),
        "vector": ", ".join(f"V{parameter}" for parameter in shapes),
        "start": ", ".join(f"{parameter}=None" for parameter in shapes),
        "network": "hidden=100, std=0.01, validation=None, " if network else "",
        "of_network": "(hidden, std, validation)" if network else "(1, 0.0, None)",
        "settings": ", ".join(f"{field.name}={field.name}" for field in fields(Settings)),
        "rate": "=None" if problem.model.curvature is not None else "",
        "weights": "sample_weight=None"
        + ", class_weight=None" * of_classes
        + ", label_smoothing=0.0" * smoothed,
        "of_weights": "sample_weight, "
        + ("class_weight, " if of_classes else "None, ")
        + ("label_smoothing" if smoothed else "0.0"),
        "sizes": "".join(f"{name}={default}, " for name, default in sizes.items()),
        "of_sizes": ", ".join(name if name in sizes else repr(NO_SIZES[name]) for name in NO_SIZES),
    }
    parts["data"] = f"(X, y, {parts['of_weights']})"
    header = f"{name}({ARGUMENTS[name]})".format(**parts)
    body = f"return {BODIES[name]}".format(**parts)
    function = define(problem.module, header, [body], call=call, Settings=Settings)
    types = TYPES | types | {"start": returns | None, "out": problem.Gradient | None}
    if name in OVER_BLOCKS:
        types |= {"X": "ArrayLike | Blocks", "y": "ArrayLike | None"}
    function.__annotations__ = {p: types[p] for p in inspect.signature(function).parameters}
    function.__annotations__["return"] = returns
    return function


# ---- functions for a caller's own compiled code ----


def raw_functions(module: str, shapes: Shapes, variant: str, Gradient: Any, call: Any) -> Any:
    """Return loss_and_gradient, loss and gradient of a variant, without validation, on one thread.

    For `numpy`, only loss_and_gradient is returned. For `loop` and `numpy`, `call` is the
    function (X, y, s, *parameters) that returns sums; for `tiled`, what `engine.raw.serial_call`
    returns for a driver.
    """
    tiled, compile_as = variant == "tiled", jit if variant != "numpy" else lambda f: f
    names, last = list(shapes), list(shapes)[-1]
    present, found = list(names), [f"out[{i}]" for i in range(len(names))]
    arrays = [f"c_ordered({name})" for name in names]
    empty = [f"np.empty(values[{i}].shape, X.dtype)" for i in range(len(names))]
    if shapes[last] == "":
        present[1] = arrays[1] = f"float(if_absent({last}, 0.0))"
        empty[1] = "np.empty(1, X.dtype)"
        found[1] = f"value_if_present({last}, float(out[1]{'[0]' if tiled else ''}))"
    elif len(shapes) == 2:
        present[1] = f"if_absent({last}, np.zeros({names[0]}.shape[1], X.dtype))"
        arrays[1], found[1] = f"c_ordered({present[1]})", f"value_if_present({last}, out[1])"
    if tiled:
        lines = [
            f"values = ({', '.join(arrays)})",
            f"out = ({', '.join(empty)})",
            "s = c_ordered(if_absent(sample_weight, np.empty(0, X.dtype)))",
            "batch = (X, c_ordered(y), s, np.empty(0, np.int64))",
            "loss = call(batch, values, out, reg, want_loss, want_gradient)",
        ]
    else:
        lines = [
            f"values = ({', '.join(present)})",
            "ones = np.broadcast_to(np.ones(1, X.dtype), (len(X),))",
            "sums = call(X, y, if_absent(sample_weight, ones), *values)",
            "loss, out = averaged(sums, reg, values)",
        ]
    data, options = f"X, y, {', '.join(names)}", "reg=0.0, sample_weight=None"
    wants = "want_loss=True, want_gradient=True"
    both = f"loss_and_gradient_{variant}"
    lines.append(f"return loss, Gradient({', '.join(found)})")
    purpose = "without validation, on one thread"
    lines.insert(0, f'"""Averaged loss and gradient, {purpose}."""')
    known = {"if_absent": if_absent, "value_if_present": value_if_present, "averaged": averaged}
    known |= {"call": call, "Gradient": Gradient, "c_ordered": c_ordered}
    function = define(module, f"{both}({data}, {options}, {wants})", lines, **known)
    made = {both: compile_as(function)}
    if variant == "numpy":
        return made
    part = device_function(function)
    for name, wanted in (("loss", "True, False)[0]"), ("gradient", "False, True)[1]")):
        doc = f'"""The {name} of `{both}` alone."""'
        body = [doc, f"return both({data}, reg, sample_weight, {wanted}"]
        header = f"{name}_{variant}({data}, {options})"
        made[f"{name}_{variant}"] = compile_as(define(module, header, body, both=part))
    return made


# ---- executing source ----


def define(module: str, header: str, lines: list[str], **known: Any) -> Any:
    """Return a function of `module` with this header and body; `known` are its other globals."""
    name = header.partition("(")[0]
    source, filename = "\n    ".join([f"def {header}:", *lines, ""]), f"<{module}.{name}>"
    known |= {"__name__": module, "np": np, "ArrayLike": ArrayLike, "Mapping": Mapping}
    known["Blocks"] = Blocks
    exec(compile(source, filename, "exec"), known)
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    return known[name]
