"""Advice that works: what each message recommends is evaluated with what provoked it.

Whatever a message says to pass is passed, and the answer must be that of the data as they should
have been.
"""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

from kernels import linear, logistic, softmax, two_layer
from tests.helpers.advice import advised

rng = np.random.default_rng(0)
X = rng.normal(size=(6, 2))
LABELS = np.array([0, 2, 1, 1, 0, 2])
SIGNS = np.array([1, -1, 1, -1, -1, 1])
TARGETS = rng.normal(size=6)
w, W = np.array([0.5, -1.0]), rng.normal(size=(2, 3))
NETWORK = {"W1": rng.normal(size=(2, 4)), "b1": np.zeros(4), "W2": rng.normal(size=(4, 3))}
NETWORK["b2"] = np.zeros(3)
STARTS = {linear: {"w": w}, logistic: {"w": w}, softmax: {"W": W}, two_layer: NETWORK}


class Tensor:
    """As a tensor that requires a gradient: NumPy cannot read it, but `detach` gives one it can."""

    def __init__(self, values, dtype="torch.float32", ready=False):
        self.values, self.dtype, self.ready, self.shape = values, dtype, ready, np.shape(values)

    def detach(self):
        return Tensor(self.values, self.dtype, True)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.values, "torch.float32", self.ready)

    def numpy(self):
        if not self.ready or "bfloat16" in self.dtype:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.values

    def __array__(self, dtype=None, copy=None):
        return self.numpy()


class OnGPU:
    """As an array of CuPy."""

    def __init__(self, values):
        self.values = values

    @property
    def __cuda_array_interface__(self):
        return {"version": 3}

    def get(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


class Lazy:
    """As an array of Dask."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __dask_graph__(self):
        return {"layer": None}

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("it was pulled into memory")

    def compute(self):
        return self.values


class LazyFrame:
    def __init__(self, values):
        self.values = values

    def collect(self):
        return self.values


class Sparse:
    shape = (6, 2)

    def toarray(self):
        return X


def structured(columns):
    return np.array(
        list(zip(*columns, strict=True)), [(f"f{d}", float) for d in range(len(columns))]
    )


names = np.array(["red", "green", "blue"])[[2, 1, 0]][LABELS]  # in alphabetical order 0, 1, 2
spam = np.where(SIGNS > 0, "spam", "ham")
column = X[:, :1]
images = rng.normal(size=(6, 2, 2, 3))
# name: (problem, arguments that are wrong, the right ones in place of these)
CASES = {
    # y in another shape
    **{
        f"y as {kind} of one column": (linear, {"y": make(TARGETS[:, None])}, {"y": TARGETS})
        for kind, make in {
            "an array": np.array,
            "a list": np.ndarray.tolist,
            "a matrix": np.matrix,
            "a DataFrame": pd.DataFrame,
            "a tuple": lambda a: tuple(map(tuple, a.tolist())),
        }.items()
    },
    "weights in a column": (
        linear,
        {"y": TARGETS, "sample_weight": pd.DataFrame({"s": [1, 2, 3, 4, 5, 6]})},
        {"sample_weight": [1, 2, 3, 4, 5, 6]},
    ),
    "labels in a column": (softmax, {"y": LABELS[:, None].tolist()}, {"y": LABELS}),
    # X in another shape
    **{
        f"X as {kind} of one feature": (
            linear,
            {"X": make(column[:, 0]), "y": TARGETS, "w": w[:1]},
            {"X": column},
        )
        for kind, make in {
            "an array": np.array,
            "a list": np.ndarray.tolist,
            "a Series": pd.Series,
            "a tuple": tuple,
        }.items()
    },
    "images": (
        softmax,
        {"X": images, "y": LABELS, "W": rng.normal(size=(12, 3))},
        {"X": images.reshape(6, -1)},
    ),
    "images as a list": (
        softmax,
        {"X": images.tolist(), "y": LABELS, "W": np.ones((12, 3))},
        {"X": images.reshape(6, -1)},
    ),
    # classes with other names
    "labels from 1": (softmax, {"y": LABELS + 1}, {"y": LABELS}),
    "labels with gaps": (softmax, {"y": LABELS * 10}, {"y": LABELS}),
    "labels with gaps, as a Series": (softmax, {"y": pd.Series(LABELS * 10)}, {"y": LABELS}),
    "labels of halves": (softmax, {"y": LABELS / 2}, {"y": LABELS}),
    "negative labels": (softmax, {"y": LABELS - 1}, {"y": LABELS}),
    "names": (softmax, {"y": names.tolist()}, {"y": LABELS}),
    "names as a Series": (softmax, {"y": pd.Series(names)}, {"y": LABELS}),
    "names as a category": (softmax, {"y": pd.Series(names).astype("category")}, {"y": LABELS}),
    "names as objects": (two_layer, {"y": names.astype(object)}, {"y": LABELS}),
    "names as bytes": (softmax, {"y": names.astype("S")}, {"y": LABELS}),
    "two names": (logistic, {"y": spam}, {"y": SIGNS}),
    "two names as a list": (logistic, {"y": spam.tolist()}, {"y": SIGNS}),
    "two names as a Series": (logistic, {"y": pd.Series(spam)}, {"y": SIGNS}),
    "labels 1 and 2": (logistic, {"y": np.where(SIGNS > 0, 2, 1).astype("u1")}, {"y": SIGNS}),
    "labels 1 and 2 as floats": (logistic, {"y": np.where(SIGNS > 0, 2.0, 1.0)}, {"y": SIGNS}),
    "numbers as text": (linear, {"y": [str(t) for t in TARGETS]}, {"y": TARGETS}),
    "numbers as text in X": (
        linear,
        {"X": X.astype(str).tolist(), "y": TARGETS},
        {"X": X},
    ),
    "numbers as text in a DataFrame": (
        linear,
        {"X": pd.DataFrame(X.astype(str)), "y": TARGETS},
        {"X": X},
    ),
    # dtypes
    "complex": (linear, {"X": (X + 0j).tolist(), "y": TARGETS}, {"X": X}),
    "complex in a DataFrame": (linear, {"X": pd.DataFrame(X + 0j), "y": TARGETS}, {"X": X}),
    "long double": (linear, {"X": X.astype(np.longdouble), "y": TARGETS}, {"X": X}),
    "durations": (
        linear,
        {"X": (X * 1000).astype("m8[ms]"), "y": TARGETS},
        {"X": (X * 1000).astype("m8[ms]").astype(float)},
    ),
    "structured": (linear, {"X": structured(X.T), "y": TARGETS}, {"X": X}),
    "structured y": (linear, {"y": structured([TARGETS])}, {"y": TARGETS}),
    "too large for float32": (
        linear,
        {"X": X.astype("f4"), "y": TARGETS * 1e39},
        {"X": X.astype("f4").astype(float)},
    ),
    "a parameter too large for float32": (
        linear,
        {"X": X.astype("f4"), "y": TARGETS, "w": w * 1e39},
        {"X": X.astype("f4").astype(float)},
    ),
    "a result too large for float32": (
        linear,
        {"X": X.astype("f4") * 1e20, "y": TARGETS, "w": w * 1e10},
        {"X": (X.astype("f4") * 1e20).astype(float)},
    ),
    # containers
    "a tensor that requires a gradient": (linear, {"X": Tensor(X), "y": TARGETS}, {"X": X}),
    "tensors in a list": (linear, {"X": list(map(Tensor, X)), "y": TARGETS}, {"X": X}),
    "labels in a tensor": (softmax, {"y": Tensor(LABELS)}, {"y": LABELS}),
    "bfloat16": (linear, {"X": Tensor(X, "torch.bfloat16"), "y": TARGETS}, {"X": X}),
    "an array on a GPU": (linear, {"X": OnGPU(X), "y": TARGETS}, {"X": X}),
    "lazy": (linear, {"X": Lazy(X), "y": TARGETS}, {"X": X}),
    "lazy y": (linear, {"y": Lazy(TARGETS)}, {"y": TARGETS}),
    "a lazy frame": (linear, {"X": LazyFrame(X), "y": TARGETS}, {"X": X}),
    "sparse": (linear, {"X": Sparse(), "y": TARGETS}, {"X": X}),
    "masked": (
        linear,
        {"X": np.ma.masked_greater(X, 1), "y": TARGETS},
        {"X": np.ma.masked_greater(X, 1).filled(np.ma.masked_greater(X, 1).mean())},
    ),
    # a bias that is no number
    "a bias in a list": (linear, {"y": TARGETS, "b": [0.5]}, {"b": 0.5}),
    "a bias in an array": (linear, {"y": TARGETS, "b": np.array([[0.5]])}, {"b": 0.5}),
    "weights in a row": (logistic, {"y": SIGNS, "w": w[None].tolist()}, {"w": w}),
    "weights in a matrix": (logistic, {"y": SIGNS, "w": np.matrix(w)}, {"w": w}),
}


def answer_of(problem, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return problem.loss_and_gradient(**{"X": X} | STARTS[problem] | arguments)


@pytest.mark.parametrize("name", CASES)
def test_advice(name):
    problem, wrong, right = CASES[name]
    with pytest.raises((ValueError, TypeError, FloatingPointError)) as raised:
        answer_of(problem, wrong)
    message = str(raised.value)
    known = {"np": np, "pd": pd, "X": X, **wrong}
    at_fault = next(iter(right)) if "as X" in message else re.match(r"\w+", message)[0]
    assert at_fault in right, f"it blames {at_fault}: {message}"
    advice = advised(message, known)
    assert advice, message
    loss, gradient = answer_of(problem, wrong | right)
    correct = 0
    for argument, value in advice:
        try:
            found = answer_of(problem, wrong | {argument or at_fault: value})
        except ValueError:
            assert len(advice) > 1, message  # one of two, for data of another meaning
            continue
        same = np.isclose(found[0], loss, rtol=1e-6) and all(
            a is None or np.allclose(a, b, rtol=1e-6)
            for a, b in zip(found[1], gradient, strict=True)
        )
        correct += bool(same)
    assert correct, message


def test_labels_of_both_kinds():
    """-1, 0 and +1: for each meaning of the 0 there is an expression."""
    y = SIGNS.copy()
    y[0] = 0
    with pytest.raises(ValueError, match=r"y\[0\] is 0, and others are -1") as raised:
        logistic.gradient(X, y, w)
    (_, as_other), (name, mask) = advised(str(raised.value), {"np": np, "y": y})
    assert name == "sample_weight"
    without = logistic.gradient(X[1:], y[1:], w)
    np.testing.assert_allclose(logistic.gradient(X, y, w, sample_weight=mask).w, without.w)
    one_of_two = logistic.gradient(X, np.where(y == 1, 1, -1), w)
    assert np.array_equal(logistic.gradient(X, as_other, w).w, one_of_two.w)


def test_a_row_of_another_length_is_named():
    with pytest.raises(ValueError, match=r"row 2 has 1 values and row 0 has 2.*equal length"):
        linear.gradient([[1, 2], [3, 4], [5]], [0, 0, 0], w)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(None, "y is None: pass an array"), ("abc", "y is 'abc'"), ({"a": 1}, "y is {'a': 1}")],
)
def test_what_is_no_array(value, sentence):
    for problem in (linear, logistic, softmax):
        with pytest.raises(TypeError, match=re.escape(sentence)):
            problem.gradient(X, value, **STARTS[problem])


def test_a_category_in_X_is_named():
    frame = pd.DataFrame({"size": [1.0, 2.0], "colour": ["red", "green"]})
    with pytest.raises(TypeError, match=r"X holds 'red' .* at row 0, column 1: .*get_dummies"):
        linear.gradient(frame, [0, 1], w)


ACCEPTED = {
    "bools beside floats": pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0}),
    "nullable floats": pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0}).convert_dtypes(),
    "nullable integers": pd.DataFrame(
        {"a": [1, 2, 3, 4, 5, 6], "b": [1, 0, 1, 0, 1, 0]}, dtype="Int64"
    ),
    "Python's numbers": np.array([[1, 2.5], [True, 3]] * 3, object),
    "float16": X.astype(np.float16),
}


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("problem", [linear, softmax])
def test_accepted(name, problem):
    """float16 is computed in float32, everything else in float64."""
    y, given = TARGETS if problem is linear else LABELS, ACCEPTED[name]
    plain = np.array([list(map(float, row)) for row in np.asarray(given).tolist()])
    plain = plain.astype(np.float32) if name == "float16" else plain
    found, right = (problem.gradient(A, y, **STARTS[problem]) for A in (given, plain))
    assert found[0].dtype == plain.dtype
    np.testing.assert_allclose(found[0], right[0], rtol=1e-6)


@pytest.mark.parametrize("gap", [None, pd.NA, np.nan])
def test_a_gap_is_named(gap):
    frame = pd.DataFrame({"a": pd.array([1, 2, gap], "Int64"), "b": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="X holds nan at row 2, column 0"):
        linear.gradient(frame, [0, 1, 2], w)
    present = linear.gradient(frame[:2], [0, 1], w)
    masked = linear.gradient(frame, [0, 1, 2], w, sample_weight=[1, 1, 0])
    assert np.array_equal(present.w, masked.w)


@pytest.mark.parametrize(
    "kind", ["bool", "i1", "u1", "i8", "f4", "f8", "list", "Series", "boolean"]
)
def test_labels_of_0_and_1(kind):
    y = SIGNS > 0
    given = {"list": y.tolist(), "Series": pd.Series(y), "boolean": pd.Series(y, dtype="boolean")}
    given = given[kind] if kind in given else y.astype(kind)
    for variant in logistic.VARIANTS:
        assert np.array_equal(
            logistic.gradient(X, given, w, variant=variant).w,
            logistic.gradient(X, SIGNS, w, variant=variant).w,
        )
    fits = [logistic.descend(X, labels, reg=0.1).w for labels in (given, SIGNS)]
    assert np.array_equal(*fits)


def test_no_rows_give_no_predictions():
    none = np.empty((0, 2))
    assert linear.predict(none, w).shape == logistic.predict(none, w).shape == (0,)
    assert softmax.predict(none, W).shape == two_layer.predict(none, **NETWORK).shape == (0,)
    assert softmax.probabilities(none, W).shape == softmax.scores(none, W).shape == (0, 3)


def test_the_validation_set_is_named():
    """Before the first step."""
    seen = []
    call = {"learning_rate": 0.1, "max_iter": 1, "callback": lambda *step: seen.append(step)}
    for validation, sentence in {
        ((1, 2),): "validation is",
        (X[:, :1].tobytes(), 1): "validation X is",
    }.items():
        with pytest.raises((ValueError, TypeError), match=sentence):
            two_layer.descend(X, LABELS, validation=validation, **call)
    bad = X.copy()
    bad[3, 1] = np.inf
    for validation, sentence in (
        ((bad, LABELS), "validation X holds inf at row 3, column 1"),
        ((X[:, :1], LABELS), "validation X has 1 columns and X has 2"),
        ((X, LABELS[:4]), "validation y has 4 values and validation X has 6 rows"),
        ((X, LABELS + 7), r"validation y\[0\] is 7 and there are 3 classes"),
        ((X, None), "validation y is None"),
        ((X[0], LABELS), "validation X must have two dimensions"),
    ):
        with pytest.raises((ValueError, TypeError), match=sentence):
            two_layer.descend(X, LABELS, validation=validation, **call)
    assert not seen
    with pytest.raises(ValueError, match=r"pass np.unique\(np.asarray\(validation\[1\]\)"):
        two_layer.descend(X, LABELS, validation=(X, (LABELS + 7).tolist()), **call)


@pytest.mark.filterwarnings("error")
def test_the_state_of_the_caller_does_not_matter():
    """Underflow and casts on the way are nobody's business: nothing raises, nothing warns."""
    tiny, small = np.full((6, 2), 1e-200), np.float32(1e-30) * X.astype("f4")
    data = tiny, np.zeros((6, 2), "f4"), X * 1e3, small
    with np.errstate(all="raise"):
        for problem, y in (
            (linear, TARGETS),
            (logistic, SIGNS),
            (softmax, LABELS),
            (two_layer, LABELS),
        ):
            for A in data:
                for variant in problem.VARIANTS:
                    call = {"sample_weight": [1e-300, 0, 1, 2, 3, 4], "variant": variant}
                    problem.loss_and_gradient(A, y, **STARTS[problem], **call, reg=1e-310)
                    problem.update(A, y, **STARTS[problem], **call, learning_rate=1e-310)
                    part = problem.sums(A, y, **STARTS[problem], **call)
                    problem.average([part, part], **STARTS[problem])
                problem.predict(A, **STARTS[problem])
                problem.descend(A, y, learning_rate=1e-3, max_iter=5, tol=0)
                if hasattr(problem, "probabilities"):
                    problem.probabilities(A, **STARTS[problem])
