"""Checks and conversions of arguments, checks of results, and the text of their errors.

What is accepted becomes what the kernels take: aligned arrays in native byte order, of X's dtype
(class labels: int64). A copy is made only where one is needed, and no argument is modified.
"""

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, Remedy, as_array, describe, place_of, real_array
from .engine.tile_pass import SMALLEST_WEIGHT

Shape = tuple[int | None, ...]  # None stands for any length but 0
# Contiguous, aligned and writeable, so that one compilation serves every caller.
PLAIN: Final = ("C", "A", "W")
LIGHT, HEAVY = 2.0**-30, 2.0**80  # weights, and sums of weights, that float32 holds with ease
LARGEST_FLOAT32, EPS_FLOAT32 = float(np.finfo(np.float32).max), float(np.finfo(np.float32).eps)


def samples(X: ArrayLike, empty: bool = False, name: str = "X") -> Array:
    """X as an (N, D) array of float32 or float64, in its memory order; N may be 0 if `empty`."""
    passed, X = X, real_array(name, X)
    if X.ndim != 2:
        this = as_array(name, passed)
        advice = {
            0: f"pass {this}.reshape(1, 1) for one feature of one sample",
            1: f"pass {this}.reshape(-1, 1) for one feature, {this}.reshape(1, -1) for one sample",
        }.get(X.ndim, f"pass {this}.reshape({len(X) if X.ndim else 1}, -1), one row a sample")
        raise ValueError(
            f"{name} must have two dimensions, (samples, features), and has shape {X.shape}: "
            + advice
        )
    if X.shape[0] == 0 and not empty:
        raise ValueError(
            f"{name} has shape {X.shape}, an empty batch, whose average is not defined: "
            "pass at least one sample"
        )
    if X.shape[1] == 0:
        raise ValueError(f"{name} has shape {X.shape}, no features: pass at least one column")
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
        flat = f": pass {as_array(name, value)}.ravel()"
        hint = flat if is_flat else f" (X has {X.shape[1]} features)"
        raise ValueError(f"{name} must have shape {want} and has shape {array.shape}{hint}")
    return _finite_in_dtype(name, array, X.dtype)


def number(name: str, value: Any, X: Array) -> float:
    """A bias that is one number."""
    if type(value) is float and abs(value) <= LARGEST_FLOAT32:  # of either dtype, and no nan
        return value
    array = real_array(name, value)
    if array.ndim != 0:
        raise ValueError(
            f"{name} must be one number (or None for no bias) and has shape {array.shape}"
            + (f": pass {as_array(name, value)}.item()" if array.size == 1 else "")
        )
    return float(_finite_in_dtype(name, array, X.dtype))


def one_per_sample(
    name: str, value: ArrayLike, X: Array, remedy: Remedy | None = None, columns: int = 0
) -> Array:
    """An array of any real dtype, with one value for each row of X.

    `remedy` gives the advice for strings; with `columns` a row of at least as many will do, too.
    """
    array, this, what = real_array(name, value, remedy), as_array(name, value), "value"
    rows = f"{name.removesuffix('y').removesuffix('sample_weight')}X"
    if columns and array.ndim == 2 and array.shape[1] >= columns:
        what = "row"
    if array.ndim != 1 and (what == "value" or len(array) != len(X) == array.size):
        hint = f"pass one value for each row of {rows}"
        if array.size == len(X):
            hint = f"pass {this}.ravel()"
        raise ValueError(
            f"{name} must have one dimension, (samples,), and has shape {array.shape}: {hint}"
        )
    if len(array) != len(X):
        raise ValueError(
            f"{name} has {len(array)} {what}s and {rows} has {len(X)} rows: "
            f"pass one {what} for each row"
        )
    return array


def renumbered(this: str, y: Array) -> str:
    """Advice to number classes of other names."""
    return f"pass np.unique({this}, return_inverse=True)[1], which numbers the classes"


def labels(y: Array, X: Array, classes: int, name: str, this: str) -> Array:
    """Class labels as int64, each in 0..classes-1; or target probabilities (N, K)."""
    if y.ndim == 2:
        return probabilities(y, X, classes, name, this)
    known = f"0..{classes - 1}"
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # of a signalling nan
            wrong = (y != np.floor(y)) | ~np.isfinite(y)
        advice = renumbered(this, y) if np.isfinite(y).all() else "correct or drop that one"
        why = f": class labels must be whole numbers, {known}; {advice}"
        _refuse_first(wrong, name, y, why)
    if y.size and (y.min() < 0 or y.max() >= classes):
        found = len(np.unique(y))
        advice = renumbered(this, y)
        if found > classes:
            advice = f"pass weights with a column for each of the {found} classes"
            if y.min() < 0 or y.max() >= found:
                advice = f"{renumbered(this, y)}, and weights with a column for each of {found}"
        why = (
            f" and there are {classes} classes (columns of the weights): labels must be in {known}"
            f"; {advice}"
        )
        _refuse_first((y < 0) | (y >= classes), name, y, why)
    return plain(y, np.dtype(np.int64))


def probabilities(y: Array, X: Array, classes: int, name: str, this: str) -> Array:
    """Target probabilities in X's dtype; those of a sample sum to 1 to its rounding.

    Accepted is what sums to 1 to the rounding of float32, in which probabilities mostly come.
    """
    t = columns_of(y, X, classes, name, this)
    if t.min(initial=0.0) < 0:
        n, k = np.argwhere(t < 0)[0]
        raise ValueError(
            f"{name} holds {y[n, k]} at {place_of((n, k))}: a probability is not negative; "
            "correct or drop that one"
        )
    sums = t.sum(axis=1)
    wrong = ~(np.abs(sums - 1) <= classes * EPS_FLOAT32)
    if wrong.any():
        n = int(wrong.argmax())
        advice = f"pass {this} / {this}.sum(axis=1, keepdims=True)"
        if not sums.all():
            advice = f"leave out samples without a target, pass sample_weight={this}.any(axis=1)"
        raise ValueError(
            f"{name}[{n}] sums to {sums[n]:.9g}, and the probabilities of a sample must sum to 1: "
            + advice
        )
    exact = np.abs(sums - 1).max(initial=0.0) <= classes * np.finfo(t.dtype).eps
    return t if exact else t / sums[:, None]


def columns_of(y: Array, X: Array, outputs: int, name: str, this: str) -> Array:
    """Real targets in X's dtype, (N, K)."""
    if y.shape[1] != outputs:
        raise ValueError(
            f"{name} has {y.shape[1]} columns and the weights have {outputs}: "
            "pass weights with a column for each column of the targets"
        )
    return _finite_in_dtype(name, y, X.dtype)


class SmoothedLabels(NamedTuple):
    """Labels, of which each class has the target in `base`, and the label `kept` in addition."""

    labels: Array
    base: Array  # (K,), in X's dtype
    kept: float


def smoothed(y: Array, amount: float, X: Array, classes: int) -> Array | SmoothedLabels:
    """Checked labels or probabilities t as (1 - ε) t + ε / K."""
    share = amount / classes
    if y.ndim == 2:
        return (1 - amount) * y + np.asarray(share, X.dtype)
    return SmoothedLabels(y, np.full(classes, share, X.dtype), 1 - amount)


def rows_of(y: Array | SmoothedLabels, rows: Array, dtype: Any) -> Array:
    """Labels, or targets in this dtype, of some rows (all if there are none): without smoothing."""
    at: Any = rows if len(rows) else slice(None)
    if isinstance(y, SmoothedLabels):
        known = y.labels[at]
        targets = np.tile(y.base.astype(dtype), (len(known), 1))
        targets[np.arange(len(known)), known] += y.kept
        return targets
    return y[at] if y.dtype.kind == "i" else y[at].astype(dtype, copy=False)


def label_of_each(y: Array | SmoothedLabels) -> Array:
    """The label of each sample, the most probable one where y has probabilities."""
    if isinstance(y, SmoothedLabels):
        return y.labels
    return y if y.ndim == 1 else y.argmax(axis=1)


def two_classes(this: str, y: Array) -> str:
    """Advice to turn the names of two classes into labels."""
    found = np.unique(y.astype(str) if y.dtype.kind == "O" else y).tolist()
    if len(found) == 2:
        return f"pass np.where({this} == {found[1]!r}, 1, -1)"
    return f"pass np.where({this} == {found[-1]!r}, 1, -1) to tell one class from the others"


def signs(y: Array, X: Array, classes: int, name: str, this: str) -> Array:
    """Labels as -1 / +1 in X's dtype, from -1 and +1 or from 0 and 1."""
    if y.dtype.kind in "iub" and y.size and y.min() == 0 and y.max() <= 1:
        return np.subtract(np.multiply(y, 2, dtype=X.dtype), 1, dtype=X.dtype)
    zero, minus = y == 0, y == -1 if y.dtype.kind in "fi" else np.zeros(len(y), bool)
    wrong = (y != 1) & ~zero & ~minus
    if wrong.any():
        finite = y.dtype.kind != "f" or np.isfinite(y).all()
        advice = two_classes(this, y) if finite else "correct or drop that one"
        _refuse_first(wrong, name, y, f": labels must be -1 or +1, or 0 or 1; {advice}")
    if zero.any():
        why = (
            f", and others are -1: labels must be -1 or +1, or 0 or 1; if 0 means the class that "
            f"is not +1, pass np.where({this} == 1, 1, -1); if it marks samples without a label, "
            f"pass sample_weight=({this} != 0)"
        )
        _refuse_first(zero & minus.any(), name, y, why)
        y = np.where(zero, -1, 1)
    return plain(y, X.dtype)


def targets(y: Array, X: Array, outputs: int, name: str, this: str) -> Array:
    """Real targets in X's dtype."""
    return _finite_in_dtype(name, y, X.dtype)


class Weights(NamedTuple):
    """Sample weights as the kernels take them."""

    given: Array
    values: Array  # those given / 2^exponent in X's dtype
    exponent: int
    rows: Array | None  # of positive weight; None for all
    spread: bool  # whether some are so much smaller than others that products may underflow


def weights(sample_weight: ArrayLike | None, X: Array, zeros: bool = False) -> Weights | None:
    """Non-negative sample weights; all of them may be 0 if `zeros`.

    Only their ratios matter in an average, so where they are so large or small that a sum or a
    product could leave the dtype, they are scaled so that the largest becomes ½ to 1.
    """
    if sample_weight is None:
        return None
    name = "sample_weight"
    given = s = one_per_sample(name, sample_weight, X)
    if not np.isfinite(s).all():
        finite(name, s)
    _refuse_first(s < 0, name, s, ": weights must not be negative; pass 0 to leave a sample out")
    largest, exponent = float(s.max(initial=0)), 0
    if not zeros and largest == 0:
        raise ValueError(
            "sample_weight is 0 for every sample, which leaves nothing to average: "
            "give at least one sample a weight above zero"
        )
    rows = None if s.all() else np.flatnonzero(s)
    smallest = float((s if rows is None else s[rows]).min(initial=largest))
    if largest and not (LIGHT <= largest <= HEAVY and smallest >= SMALLEST_WEIGHT):
        exponent = math.frexp(largest)[1]
        s = np.ldexp(s.astype(np.float64), -exponent)
    spread = math.ldexp(smallest, -exponent) < SMALLEST_WEIGHT
    return Weights(given, plain(s, X.dtype), exponent, rows, bool(largest) and spread)


def weighted_by_class(
    class_weight: Any, classes: Sequence[int], index: Array, s: Weights | None, summing: bool
) -> Array:
    """The weight of each sample, in float64, times that of its class, which is ``classes[index]``.

    In the caller's units if `summing`; else scaled, as only the ratios matter.
    """
    given = np.ones(len(index)) if s is None else s.given.astype(np.float64)
    if isinstance(class_weight, str):
        if class_weight != "balanced" or summing:
            raise ValueError(not_balanced(class_weight, summing))
        counts = np.bincount(index, given / given.max(), len(classes))
        factors = np.divide(1.0, counts, out=np.zeros(len(classes)), where=counts > 0)
    else:
        factors = class_factors(class_weight, classes)
    counted = (given > 0) & (factors > 0)[index]
    if not summing:
        given = np.ldexp(given, -s.exponent) if s else given
        factors = np.ldexp(factors, -math.frexp(float(factors.max()))[1])
    product = given * factors[index]
    if not (product[counted] >= np.finfo(np.float64).tiny).all() or np.isinf(product).any():
        raise ValueError(
            "sample_weight times class_weight leaves the range of float64: scale them, as only "
            "ratios matter in an average, and pass 0 to leave samples out"
        )
    if not summing and not product.any():
        raise ValueError(
            "class_weight is 0 for every class in y, which leaves nothing to average: "
            "give at least one of them a positive weight"
        )
    return product


def class_factors(class_weight: Any, classes: Sequence[int]) -> Array:
    """The weight of each class, from an array or a dict; of -1 and 1, a key of 0 means -1."""
    known = f"{classes[0]}..{classes[-1]}" if isinstance(classes, range) else "-1 (or 0) and 1"
    if isinstance(class_weight, Mapping):
        among = classes if isinstance(classes, range) else (-1, 0, 1)
        places = {0: 0} | {label: k for k, label in enumerate(classes)}
        unknown = [label for label in class_weight if label not in places]
        if unknown:
            raise ValueError(
                f"class_weight has the key {unknown[0]!r}, and the labels are {known}: pass "
                f"{{k: v for k, v in class_weight.items() if k in {among}}}"
            )
        labels, at = list(class_weight), [places[label] for label in class_weight]
        if len(set(at)) < len(at):
            raise ValueError(
                "class_weight has the keys -1 and 0, which name the same class: leave one out"
            )
        values = real_array("class_weight", list(class_weight.values()))
    else:
        values = real_array("class_weight", class_weight)
        labels, at = list(classes), list(range(len(classes)))
    if values.shape != (len(at),):
        raise ValueError(
            f"class_weight has shape {values.shape} and there are {len(classes)} classes: pass one "
            f"weight for each of {known} in this order, or a dict of labels and weights"
        )
    for label, value in zip(labels, values.tolist(), strict=True):
        if not 0 <= value < math.inf:
            raise ValueError(
                f"class_weight[{label!r}] is {value}: weights must be finite and not negative; "
                "pass 0 to leave a class out"
            )
    factors = np.ones(len(classes))
    factors[at] = values
    return factors


def not_balanced(class_weight: str, summing: bool) -> str:
    """The message for a class_weight that is a string, and none that is accepted here."""
    if class_weight != "balanced":
        return (
            f"class_weight {class_weight!r} is not known: pass 'balanced', a dict of labels and "
            "weights, an array with a weight for each class, or None"
        )
    return (
        "class_weight is 'balanced', and a block does not know how often each class occurs: with "
        "y the labels of all blocks, pass class_weight=dict(zip(np.unique(y), 1 / "
        "np.unique(y, return_counts=True)[1]))"
    )


class Target(NamedTuple):
    """A kind of y: its check, its dtype (None for that of X), and its description."""

    # (y, X, outputs, name of y, expression for y as an array) -> y as the kernels take it
    check: Callable[[Array, Array, int, str, str], Array]
    dtype: Any
    meaning: str
    refused: str
    # of an array that needs no conversion, where the residual does not detect invalid values itself
    check_ready: Callable[[Array], Any] | None = None
    remedy: Remedy | None = None  # for names of classes
    columns: int = 0  # that y may have at least, with K targets a sample; 0 for one dimension only

    def array(self, y: ArrayLike, X: Array, name: str = "y") -> Array:
        """y as an array of numbers, one for each row of X."""
        return one_per_sample(name, y, X, self.remedy, self.columns)

    def checked(
        self, y: ArrayLike, X: Array, outputs: int, rows: Array | None = None, name: str = "y"
    ) -> Array:
        """y as the kernels take it; only that of `rows` is looked at."""
        array = self.array(y, X, name)
        if rows is not None:  # the others get the target of a sample that counts
            known = np.broadcast_to(array[rows[0]], array.shape).copy()
            known[rows] = array[rows]
            array = known
        return self.check(array, X, outputs, name, as_array(name, y))


CLASSES = Target(
    labels,
    np.dtype(np.int64),
    "Class labels, whole numbers 0..K-1; or, of shape (N, K), the probability of each class, not\n"
    "    negative and with a sum of 1 for each sample.",
    "a label that is not a class, probabilities that do not sum to 1",
    columns=2,
    remedy=renumbered,
)
SIGNS = Target(
    signs,
    None,
    "Labels, each -1 or +1; or each 0 or 1, or bool, where 0 and False mean -1.",
    "a label other than these",
    remedy=two_classes,
)
REAL = Target(targets, None, "Targets, real numbers.", "")
REAL_COLUMNS = Target(columns_of, None, "Targets, real numbers.", "", columns=1)


def targets_checked_by(check: Callable[[Array], Any]) -> Target:
    """Real targets, for which `check` raises an error if they are invalid."""

    def check_all(y: Array, X: Array, outputs: int, name: str, this: str) -> Array:
        y = targets(y, X, outputs, name, this)
        check(y)
        return y

    meaning = (check.__doc__ or "Targets, real numbers.").strip().partition("\n")[0]
    return Target(check_all, None, meaning, "a target that is none", check)


def declaration(parameters: Mapping[str, str], compiled: Mapping[str, Any]) -> None:
    """Refuse parameters and functions that cannot define a problem."""
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


def second_derivative(parameters: Mapping[str, str], function: Any, product: Any) -> None:
    """Refuse a second derivative that is not compiled, or cannot serve every variant."""
    if isinstance(function, numbers.Real):
        return
    several = list(parameters.values())[-1] != ""
    if several and (function is None) != (product is None):
        raise ValueError(
            "second_derivative and product belong together where there are several scores: pass "
            "both, or neither"
        )
    if function is None:
        return
    declaration(parameters, {"second_derivative": function})
    if not several:
        try:
            getattr(function, "py_func", function)(np.ones(2), np.ones(2))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"second_derivative cannot be called with arrays ({error}), as the NumPy variant "
                "does: write (a < b) * c in place of a branch, and functions of NumPy or "
                "kernels.vmath in place of those of math"
            ) from None


def smoothing(value: Any) -> float:
    """`label_smoothing`, a number in 0..1."""
    number = not_negative("label_smoothing", value)
    if number > 1:
        raise ValueError(
            f"label_smoothing is {number}, and it is a share of 1: "
            "pass at most 1, such as label_smoothing=0.1"
        )
    return number


def no_class(this: str, shape: Shape) -> str:
    """The message for class_weight with targets that are probabilities."""
    return (
        f"class_weight has a weight for each class, and y has shape {shape}, probabilities of all "
        f"classes: pass {this}.argmax(axis=1) as y, or weights of the samples as sample_weight"
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


def whole_number(name: str, value: Any, lowest: int) -> int:
    """A whole number, at least `lowest`."""
    number = index_of(value)
    if number is None:
        what = describe(value)
        raise TypeError(
            f"{name} must be a whole number and is {what}: pass an int, at least {lowest}"
        )
    if number < lowest:
        raise ValueError(f"{name} is {number}: pass at least {lowest}")
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
    """An integer of any type as an int; None for anything else, bools included."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def finite(name: str, array: Array, rows: Array | None = None) -> None:
    """Refuse the first nan or inf (in `rows`), by name and place. Looks at a block at a time."""
    size = max(1, 2**16 // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array) if rows is None else len(rows), size):
        at: Any = slice(start, start + size) if rows is None else rows[start : start + size]
        bad = ~np.isfinite(array[at])
        if bad.any():
            place = np.argwhere(bad)[0]
            place[0] = place[0] + start if rows is None else at[place[0]]
            raise ValueError(
                f"{name} holds {array[tuple(place)]} at {place_of(place)}: "
                "every value must be finite; drop, impute or correct that one"
            )


def all_finite(numbers: Iterable[Any]) -> bool:
    """Whether every number and every array is finite; None counts as finite."""
    return all(
        math.isfinite(part) if isinstance(part, float) else part is None or np.isfinite(part).all()
        for part in numbers
    )


def too_large(dtype: Any, arguments: Mapping[str, Any], wider: bool) -> FloatingPointError:
    """The error for a result that `dtype` cannot hold: it names the argument that is largest.

    `wider` says whether float64 could hold it.
    """
    sizes = {name: float(np.abs(a).max(initial=0)) for name, a in arguments.items()}
    name = max(sizes, key=sizes.__getitem__)
    what = "the features" if name == "X" else name
    advice = f"scale {what} (largest |{name}| is {sizes[name]:.3g})"
    if wider:
        advice += ", or pass np.asarray(X, dtype=np.float64) as X"
    return FloatingPointError(
        f"every input is finite, but the result is too large for {dtype}: {advice}"
    )


def plain(array: Array, dtype: Any) -> Array:
    """The array in the memory order and dtype of the kernels, copied only if necessary."""
    if array.dtype == dtype and array.flags.carray:  # np.require takes microseconds
        return array
    with np.errstate(all="ignore"):
        return np.require(array, dtype, PLAIN)


def _refuse_first(wrong: Array, name: str, array: Array, why: str) -> None:
    """Raise an error that names the first wrong value, if there is one."""
    if wrong.any():
        n = int(wrong.argmax())
        raise ValueError(f"{name}[{n}] is {array[n]}{why}")


def _finite_in_dtype(name: str, array: Array, dtype: Any) -> Array:
    """An array of finite numbers in X's dtype, which can hold them."""
    out = plain(array, dtype)
    if not np.isfinite(out).all():
        finite(name, np.atleast_1d(array))
        raise ValueError(
            f"{name} holds {np.abs(array).max():.6g}, too large for {dtype}, the dtype of X: "
            f"pass np.asarray(X, dtype=np.float64) as X, or scale {name}"
        )
    return out


def describe_shape(shape: tuple[int, ...] | None) -> str:
    """A shape in a message; None stands for a parameter that is None."""
    return "None" if shape is None else f"of shape {shape}" if shape else "one number"
