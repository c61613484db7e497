"""Random arguments: the oracle's answer, or an error that names the argument.

Never a crash, and nothing passed is changed.

Each argument is put into a form, chosen by hypothesis: one that holds the same numbers, which must
be answered, or one that must be refused. Which of the two it is does not depend on the library.
"""

import array
import copy
import importlib.util
import re
import tempfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.cases import PROBLEMS, named, random_batch, read_only
from tests.helpers.comparison import assert_within
from tests.helpers.forms import Sparse, Subclass, every_other
from tests.helpers.oracle import loss_and_gradient

# ---- forms that must be answered: f(values) -> what is passed, and the numbers that it holds ----


def same(change):
    return lambda a: (change(a), a)


def converted(change):
    def form(a):
        a = change(a)
        return a, a

    return form


def whole(dtype):
    """As many of the numbers as the integer type can hold."""
    limits = np.iinfo(dtype)
    return converted(
        lambda a: np.clip(np.rint(3 * a), max(limits.min, -(2**40)), min(limits.max, 2**40)).astype(
            dtype
        )
    )


def unaligned(a):
    buffer = bytearray(a.nbytes + 1)
    view = np.frombuffer(buffer, a.dtype, a.size, offset=1).reshape(a.shape)
    view[...] = a
    assert a.itemsize == 1 or not view.flags.aligned
    return view


def backwards(a):
    return np.ascontiguousarray(np.flip(a))[tuple(slice(None, None, -1) for _ in a.shape)]


def memory_map(a):
    with tempfile.TemporaryFile() as file:  # which the map outlives
        file.write(a.tobytes())
        file.flush()
        return np.memmap(file, a.dtype, "r", shape=a.shape)


class Wrapped:
    """As data frames of any library are."""

    def __init__(self, a):
        self.a = a

    def __array__(self, dtype=None, copy=None):
        return self.a if dtype is None else self.a.astype(dtype)


def framed(a):
    import pandas

    return pandas.Series(a) if a.ndim == 1 else pandas.DataFrame(a)


SAME = {
    "as it is": same(np.ascontiguousarray),
    "Fortran": same(np.asfortranarray),
    "every other": same(every_other),
    "backwards": same(backwards),
    "other byte order": same(lambda a: a.astype(a.dtype.newbyteorder("S"))),
    "unaligned": same(unaligned),
    "read-only": same(read_only),
    "memory map": same(memory_map),
    "list": same(lambda a: a.tolist()),
    "tuple of arrays": same(lambda a: tuple(a)),
    "memoryview": same(lambda a: memoryview(np.ascontiguousarray(a))),
    "subclass": same(lambda a: a.view(Subclass)),
    "__array__": same(Wrapped),
    "objects": same(lambda a: a.astype(object)),
    "broadcast": lambda a: (np.broadcast_to(a[:1], a.shape), np.repeat(a[:1], len(a), axis=0)),
}
if importlib.util.find_spec("pandas"):
    SAME["pandas"] = same(framed)
REALS = SAME | {
    "float32": converted(lambda a: a.astype(np.float32)),
    "float64": converted(lambda a: a.astype(np.float64)),
    "bool": converted(lambda a: a > 0),
    "float16": lambda a: (a.astype(np.float16), a.astype(np.float16).astype(np.float32)),
    **{
        name: whole(name)
        for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
}
LABELS = SAME | {
    **{
        name: same(lambda a, name=name: a.astype(name))
        for name in ("int8", "int16", "int32", "int64")
    },
    **{name: same(lambda a, name=name: a.astype(name)) for name in ("float32", "float64")},
    "array.array": same(lambda a: array.array("q", a.tolist())),
}
SIGNS = LABELS | {
    **{
        name: lambda y, name=name: ((y > 0).astype(name), y)
        for name in ("bool", "uint8", "float32")
    },
}
CLASSES = LABELS | {
    name: same(lambda a, name=name: a.astype(name))
    for name in ("uint8", "uint16", "uint32", "uint64")
}
NUMBER = {
    "float": lambda b: (float(b), b),
    "float32": lambda b: (np.float32(b), np.float32(b)),
    "0-d": lambda b: (np.array(b), b),
    "int": lambda b: (int(3 * b), int(3 * b)),
    "bool": lambda b: (b > 0, b > 0),
}

# ---- forms that must be refused: f(values, rng) -> what is passed ----


def planted(value):
    def form(a, rng):
        a = np.array(a, np.float64)
        a[tuple(rng.integers(0, n) for n in a.shape)] = value
        return a

    return form


def an_object(a, rng):
    a = a.astype(object)
    a[tuple(rng.integers(0, n) for n in a.shape)] = {}
    return a


class Raises:
    def __array__(self, dtype=None, copy=None):
        raise OSError("the file has gone")


WRONG = {
    "nan": planted(np.nan),
    "inf": planted(np.inf),
    "-inf": planted(-np.inf),
    "masked": lambda a, _: np.ma.masked_array(a),
    "complex": lambda a, _: a + 0j,
    "an object": an_object,
    "strings": lambda a, _: a.astype(str),
    "bytes": lambda a, _: a.astype("S"),
    "dates": lambda a, _: np.abs(a).astype("M8[s]"),
    "records": lambda a, _: a.astype([("x", float)]),
    "dict": lambda a, _: {"values": a},
    "set": lambda a, _: {1.0, 2.0},
    "string": lambda a, _: "1.0",
    "generator": lambda a, _: iter(a.tolist()),
    "function": lambda a, _: np.zeros,
    "one more dimension": lambda a, _: a[None],
    "0-d": lambda a, _: np.array(1.0),
    "one too many": lambda a, _: np.concatenate([a, a[:1]]),
    "empty": lambda a, _: a[:0],
    "ragged": lambda a, _: [[1.0], [1.0, 2.0]],
    "nested None": lambda a, _: [None] * len(a),
    "sparse": lambda a, _: Sparse(a),
    "raises": lambda a, _: Raises(),
}
if np.dtype(np.longdouble).itemsize > 8:
    WRONG["long double"] = lambda a, _: a.astype(np.longdouble)


def label(value, dtype):
    def form(y, rng):
        y = y.astype(dtype)
        y[rng.integers(len(y))] = value
        return y

    return form


WRONG_LABELS = WRONG | {
    "a fraction": label(0.5, float),
    "far too large": label(1e300, float),
    "99": label(99, np.int8),
    "2 to the 63": label(2**63, np.uint64),
    "the least int64": label(-(2**63), np.int64),
    "nearly 1": label(np.nextafter(1, 2), float),
}
WRONG_CLASSES = WRONG_LABELS | {"-1": label(-1, int)}
WRONG_SIGNS = WRONG_LABELS | {
    "0 beside -1": lambda y, _: np.array([-1, 0] * len(y))[-len(y) :] if len(y) > 1 else y + 5,
    "255": label(255, np.uint8),
}
WRONG_NUMBER = {
    name: lambda _, __, value=value: value
    for name, value in {
        "nan": np.nan,
        "inf": np.inf,
        "list": [1.0],
        "string": "1",
        "complex": 1j,
        "dict": {},
        "ragged": [[1.0], [1.0, 2.0]],
        "too large": 10**400,
        "masked": np.ma.masked_array(1.0),
        "raises": Raises(),
    }.items()
}
WRONG_WEIGHTS = WRONG | {"negative": planted(-1e-30), "all 0": lambda s, _: np.zeros(len(s))}
WRONG_SETTINGS = {
    "reg": [-1, -1e-300, np.nan, np.inf, "0.1", None, 1j, [0.1], 10**400, np.zeros(1), True],
    "threads": [0, -1, 1.0, "2", True, [2], np.zeros(2, int), np.nan],
    "variant": ["", "Tiled", None, 3, b"tiled", ["tiled"], np.array("tiled")],
}
RIGHT_SETTINGS = {
    "reg": [0, 0.5, 3, np.float32(0.25), np.array(0.5), np.int8(2)],
    "threads": [None, 1, 2, 3, 64, 10**20, np.int64(2), np.uint8(2)],
}


FUNCTIONS = ["loss_and_gradient", "loss", "gradient", "update"]


def forms(problem, name):
    """What is right for an argument, and what is wrong."""
    if name == "y":
        return {
            "logistic": (SIGNS, WRONG_SIGNS),
            "linear": (REALS, WRONG),
            "softmax": (CLASSES, WRONG_CLASSES),
            "two_layer": (CLASSES, WRONG_CLASSES),
        }[problem]
    if name == "b" and problem in ("linear", "logistic"):
        return NUMBER, WRONG_NUMBER
    return REALS, WRONG_WEIGHTS if name == "sample_weight" else WRONG


@st.composite
def calls(draw, problem, variants):
    """Keyword arguments, the numbers they hold, the names of those to refuse, the forms to read."""
    sizes = draw(
        st.tuples(st.integers(1, 20), st.integers(1, 9), st.integers(2, 5), st.integers(1, 5))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = named(problem, random_batch(problem, rng, sizes))
    values["X"] = values["X"] * 10.0 ** draw(st.integers(-3, 3))
    if "b" in values and draw(st.booleans()):
        del values["b"]
    if draw(st.booleans()):
        values["sample_weight"] = rng.uniform(0.5, 2, len(values["y"]))
    wrong = (
        set(draw(st.lists(st.sampled_from(sorted(values)), max_size=2)))
        if draw(st.booleans())
        else set()
    )
    passed, chosen = {}, {}
    for name in values:
        right, refused = forms(problem, name)
        long = "one too many"  # of two arguments it may be right again
        others = set(refused) - {long} if long in chosen.values() else set(refused)
        chosen[name] = draw(st.sampled_from(sorted(others if name in wrong else right)))
        if name in wrong:
            passed[name] = refused[chosen[name]](values[name], rng)
        else:
            if name == "sample_weight" and chosen[name] in (
                "bool",
                "int8",
            ):  # which could make all of them 0
                chosen[name] = "uint8"
            passed[name], values[name] = right[chosen[name]](values[name])
    for name in ("reg", "threads"):
        if draw(st.booleans()):
            passed[name] = values[name] = draw(st.sampled_from(RIGHT_SETTINGS[name]))
    passed["variant"] = draw(st.sampled_from(variants))
    if not wrong and draw(st.integers(0, 9)) == 0:
        wrong = {draw(st.sampled_from(sorted(WRONG_SETTINGS)))}
        for name in wrong:
            passed[name] = chosen[name] = draw(st.sampled_from(WRONG_SETTINGS[name]))
    return passed, values, wrong, chosen


def memory(value):
    """All bytes behind what was passed, and how they are read."""
    if isinstance(value, np.ndarray):
        base = value
        while isinstance(base.base, np.ndarray):
            base = base.base
        described = value.shape, value.strides, value.dtype.str, value.flags.writeable
        return (
            described,
            value.__array_interface__["data"][0],
            base.tobytes(),
            np.asarray(value).tobytes(),
        )
    if isinstance(value, memoryview):
        return value.tobytes()
    if isinstance(value, Wrapped):
        return memory(value.a)
    if hasattr(value, "to_numpy"):
        return memory(value.to_numpy())
    return copy.deepcopy(value) if isinstance(value, (list, array.array)) else repr(value)


def check(problem, call, what="loss_and_gradient"):
    passed, values, wrong, chosen = call
    before = {name: memory(value) for name, value in passed.items()}
    function = getattr(PROBLEMS[problem], what)
    refusal = result = None
    try:
        result = function(**passed)
    except (ValueError, TypeError, FloatingPointError) as error:
        refusal = error
    if refusal is None:
        assert not wrong, f"{wrong} was not refused: {chosen}"
        assert_right(problem, values, result)
    else:
        assert type(refusal).__module__ == "builtins", "an error of Numba"
        assert wrong, f"{refusal} {chosen}"
        assert any(re.search(rf"\b{name}\b", str(refusal)) for name in wrong), (
            f"{refusal!r} does not name {wrong} {chosen}"
        )
    assert {name: memory(value) for name, value in passed.items()} == before, "an input was changed"


def assert_right(problem, values, result):
    real = np.dtype(values["X"].dtype if values["X"].dtype.kind == "f" else float).newbyteorder("=")
    parameters = PROBLEMS[problem].Gradient._fields
    batch = [np.asarray(values["X"]).astype(real)]
    batch.append(np.asarray(values["y"]).astype(real if problem == "linear" else np.int64))
    batch += [
        np.asarray(values[name]).astype(real) if name in values else None for name in parameters
    ]
    weights = values.get("sample_weight")
    weights = None if weights is None else np.asarray(weights).astype(real)
    expected_loss, expected = loss_and_gradient(
        problem, *batch, reg=float(values.get("reg", 0)), sample_weight=weights
    )
    loss, gradient = result
    assert_within(expected_loss, loss, "loss")
    for bounded, part in zip(
        expected, [part for part in gradient if part is not None], strict=True
    ):
        assert_within(bounded, part, "gradient")


def search(problem, variants, examples):
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(calls(problem, variants))
    def test(call):
        check(problem, call)

    test()


@pytest.mark.parametrize("problem", PROBLEMS)
def test_any_arguments(problem):
    search(problem, ["tiled", "numpy", "python"], 1000)


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
def test_ten_thousand_arguments(problem):
    """A quarter of them for each problem."""
    search(problem, ["tiled", "numpy", "loop"], 2500)


@pytest.mark.parametrize(
    "form",
    sorted(
        set(WRONG) | set(WRONG_WEIGHTS) | set(WRONG_CLASSES) | set(WRONG_SIGNS) | set(WRONG_NUMBER)
    ),
)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_wrong_form_of_every_argument(problem, form):
    """Each function refuses it, whichever variant."""
    rng = np.random.default_rng(20)
    values = named(problem, random_batch(problem, rng, (7, 3, 4, 2)))
    values["sample_weight"] = np.ones(7)
    for name in values:
        if form in forms(problem, name)[1]:
            passed = values | {name: forms(problem, name)[1][form](values[name], rng)}
            for what in (*FUNCTIONS, "sums"):
                if what == "sums" and (name, form) == ("sample_weight", "all 0"):
                    continue  # which is right of a block
                rate = {"learning_rate": 0.1} if what == "update" else {}
                for variant in PROBLEMS[problem].VARIANTS:
                    check(
                        problem,
                        (passed | rate | {"variant": variant}, values, {name}, (name, form)),
                        what,
                    )
            alone = [("X", "one too many"), ("X", "empty")]  # which are right without y
            if name not in ("y", "sample_weight") and (name, form) not in alone:
                only = {
                    key: value for key, value in passed.items() if key not in ("y", "sample_weight")
                }
                for what in {"scores", "probabilities", "predict"} & set(dir(PROBLEMS[problem])):
                    check(problem, (only, values, {name}, (name, form)), what)


@pytest.mark.parametrize("name", WRONG_SETTINGS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_wrong_setting(problem, name):
    batch = random_batch(problem, np.random.default_rng(22), (3, 2, 2, 2))
    values = named(problem, batch)
    for value in WRONG_SETTINGS[name]:
        for what in FUNCTIONS if name == "reg" else (*FUNCTIONS, "sums"):
            rate = {"learning_rate": 0.1} if what == "update" else {}
            check(problem, (values | rate | {name: value}, values, {name}, value), what)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_ten_thousand_arrays_of_labels(problem):
    """Any numeric type and bit pattern: the gradient of numpy, or a refusal that names y.

    No byte is written out of bounds.
    """
    rng = np.random.default_rng(21)
    N, K = 24, 3
    X, _, *parameters = random_batch(problem, rng, (N, 2, K, 2))
    module = PROBLEMS[problem]
    good = {"logistic": lambda y: abs(y) == 1, "linear": np.isfinite}.get(
        problem, lambda y: (y >= 0) & (y < K) & (y % 1 == 0)
    )
    dtypes = ["b", "B", "h", "H", "i", "I", "q", "Q", "f", "d", ">i2", ">q", ">d", "?"]
    answered = 0
    for turn in range(2500):
        dtype = np.dtype(dtypes[turn % len(dtypes)])
        y = np.frombuffer(
            rng.bytes(N * dtype.itemsize), dtype
        ).copy()  # any pattern of bits, of a bool too
        if turn % 3:
            usual = [-1, 1] if problem == "logistic" else range(K)
            bits = y[:3].copy()
            y[:] = rng.choice(usual, N).astype(dtype)
            if turn % 3 == 2:  # one is just beside, or any bits again
                beside = np.array([K, -1, 0, 2, 127]).astype(dtype)
                y[rng.integers(N)] = rng.choice(np.concatenate([beside, bits]))
        with np.errstate(all="ignore"):
            exact = [
                int(v) if dtype.kind in "iu" else v for v in y
            ]  # no rounding to float in the comparison
            right = all(good(np.float64(v)) if dtype.kind not in "iu" else good(v) for v in exact)
            right |= problem == "logistic" and {float(v) for v in exact} <= {0.0, 1.0}
        before = y.tobytes()
        gradient = refusal = None
        try:
            gradient = module.gradient(X, y, *parameters, threads=1)
        except (ValueError, FloatingPointError) as error:
            refusal = error
        if gradient is None:
            assert not right or problem == "linear", (
                y,
                refusal,
            )  # of which the squares may be too large
            assert re.search(r"\by\b|finite", str(refusal))
        else:
            answered += 1
            assert right, y
            try:
                expected = module.gradient(X, y, *parameters, variant="numpy")
            except FloatingPointError:  # the square of y, which is in the loss that it computes too
                assert problem == "linear"
                with pytest.raises(FloatingPointError):
                    module.loss(X, y, *parameters)
                batch = X, y.astype(float), *parameters
                expected = [part.value for part in loss_and_gradient(problem, *batch)[1]]
            for part, other in zip(gradient, expected, strict=True):
                np.testing.assert_allclose(part, other, rtol=1e-9, atol=1e-12 * np.abs(other).max())
        assert y.tobytes() == before
    assert 300 < answered < 2500
