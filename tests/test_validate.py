"""Invalid arguments are refused by argument, place and remedy, without a traceback of Numba's."""

import itertools
import re

import numpy as np
import pytest

from kernels import validate
from tests.helpers.cases import PROBLEMS, VARIANTS, named, random_batch
from tests.helpers.forms import Sparse

N, D, K, H = SHAPE = (6, 3, 4, 5)
CLASSIFIERS = ["softmax", "two_layer"]


def put(array, place, value):
    kind = object if isinstance(value, dict) else np.result_type(array, value)
    array = np.array(array, dtype=kind)
    array[place] = value
    return array


X0 = np.ones((N, D))
nan, inf = float("nan"), float("inf")

# problems, {argument: wrong value, given what stands there}, error, what its sentence says
REFUSED = {
    "X_nan": (
        "all",
        {"X": lambda X: put(X, (4, 1), nan)},
        ValueError,
        r"X holds nan at row 4, column 1: every value must be finite",
    ),
    "X_inf": (
        "all",
        {"X": lambda X: put(X, (0, 2), inf)},
        ValueError,
        r"X holds inf at row 0, column 2",
    ),
    "X_minus_inf": (
        "all",
        {"X": lambda X: put(X, (5, 0), -inf)},
        ValueError,
        r"X holds -inf at row 5, column 0",
    ),
    "X_one_dimension": (
        "all",
        {"X": lambda X: X[0]},
        ValueError,
        r"X must have two dimensions.*\(3,\).*X.reshape\(1, -1\)",
    ),
    "X_three_dimensions": (
        "all",
        {"X": lambda X: X[None]},
        ValueError,
        r"X must have two dimensions.*\(1, 6, 3\)",
    ),
    "X_scalar": ("all", {"X": lambda X: 3.0}, ValueError, r"X must have two dimensions"),
    "X_empty": (
        "all",
        {"X": lambda X: X[:0], "y": lambda y: y[:0]},
        ValueError,
        r"shape \(0, 3\), an empty batch.*at least one sample",
    ),
    "X_no_features": ("all", {"X": lambda X: X[:, :0]}, ValueError, r"shape \(6, 0\), no features"),
    "X_complex": (
        "all",
        {"X": lambda X: X + 1j},
        TypeError,
        r"X is complex \(complex128\).*X.real",
    ),
    "X_strings": (
        "all",
        {"X": lambda X: X.astype(str)},
        TypeError,
        r"X holds strings.*X.astype\(float\)",
    ),
    "X_objects": (
        "all",
        {"X": lambda X: put(X.astype(object), (1, 2), {})},
        TypeError,
        r"X holds \{\} \(dict\) at row 1, column 2",
    ),
    "X_none": ("all", {"X": lambda X: None}, TypeError, r"X is None: pass an array"),
    "X_dates": ("all", {"X": lambda X: X.astype("M8[s]")}, TypeError, r"X holds dates"),
    "X_long_double": (
        "all",
        {"X": lambda X: X.astype(np.longdouble)},
        TypeError,
        r"X has dtype \w*.*X.astype\(np.float64\)",
    ),
    "X_sparse": ("all", {"X": lambda X: Sparse(X)}, TypeError, r"X is .*sparse.*X.toarray\(\)"),
    "X_masked": (
        "all",
        {"X": lambda X: np.ma.masked_array(X, X > 0)},
        TypeError,
        r"X is a masked array.*X.filled",
    ),
    "X_ragged": (
        "all",
        {"X": lambda X: [[1.0, 2.0], [3.0]]},
        ValueError,
        r"X cannot be read.*rows of equal length",
    ),
    "y_longer": (
        "all",
        {"y": lambda y: np.append(y, y[0])},
        ValueError,
        r"y has 7 values and X has 6 rows",
    ),
    "y_column": (
        "all",
        {"y": lambda y: y[:, None]},
        ValueError,
        r"y must have one dimension.*\(6, 1\): pass y.ravel\(\)",
    ),
    "y_other_columns": (
        CLASSIFIERS,
        {"y": lambda y: np.eye(K + 1)[y]},
        ValueError,
        r"y has 5 columns and the weights have 4: pass weights with a column",
    ),
    "y_other_rows": (
        CLASSIFIERS,
        {"y": lambda y: np.eye(K)[y[:5]]},
        ValueError,
        r"y has 5 rows and X has 6 rows: pass one row for each",
    ),
    "y_three_dimensions": (
        CLASSIFIERS,
        {"y": lambda y: np.eye(K)[y][None]},
        ValueError,
        r"y must have one dimension, \(samples,\), and has shape \(1, 6, 4\): pass one value",
    ),
    "probability_negative": (
        CLASSIFIERS,
        {"y": lambda y: put(np.eye(K)[y], (2, 1), -0.25)},
        ValueError,
        r"y holds -0.25 at row 2, column 1: a probability is not negative",
    ),
    "probability_nan": (
        CLASSIFIERS,
        {"y": lambda y: put(np.eye(K)[y], (2, 1), nan)},
        ValueError,
        r"y holds nan at row 2, column 1",
    ),
    "probabilities_sum": (
        CLASSIFIERS,
        {"y": lambda y: put(np.full((N, K), 0.25), (3, 2), 0.26)},
        ValueError,
        r"y\[3\] sums to 1.01, and .* pass y / y.sum\(axis=1, keepdims=True\)",
    ),
    "y_nan": (
        "all",
        {"y": lambda y: put(y, 3, nan)},
        ValueError,
        r"y(\[3\] is nan| holds nan at position 3)",
    ),
    "y_inf": (
        "all",
        {"y": lambda y: put(y, 3, inf)},
        ValueError,
        r"y(\[3\] is inf| holds inf at position 3)",
    ),
    "y_strings": (
        "all",
        {"y": lambda y: y.astype(str)},
        TypeError,
        r"y holds strings.*y.astype\(float\)",
    ),
    "y_complex": ("all", {"y": lambda y: y * 1j}, TypeError, r"y is complex"),
    "label_too_large": (
        CLASSIFIERS,
        {"y": lambda y: put(y, 2, K)},
        ValueError,
        r"y\[2\] is 4 and there are 4 classes.*0\.\.3",
    ),
    "label_negative": (
        CLASSIFIERS,
        {"y": lambda y: put(y, 5, -1)},
        ValueError,
        r"y\[5\] is -1 and there are 4 classes",
    ),
    "label_fractional": (
        CLASSIFIERS,
        {"y": lambda y: put(y, 1, 0.5)},
        ValueError,
        r"y\[1\] is 0.5: class labels must be whole numbers",
    ),
    "label_huge": (CLASSIFIERS, {"y": lambda y: put(y, 1, 1e30)}, ValueError, r"y\[1\] is 1e\+30"),
    "label_unsigned": (
        CLASSIFIERS,
        {"y": lambda y: put(y.astype(np.uint64), 1, np.uint64(2**63))},
        ValueError,
        r"y\[1\] is 9223372036854775808",
    ),
    "minus_zero_one": (
        ["logistic"],
        {"y": lambda y: np.arange(N) % 3 - 1},
        ValueError,
        r"y\[1\] is 0, and others are -1: labels must be -1 or \+1, or 0 or 1",
    ),
    "three_labels": (
        ["logistic"],
        {"y": lambda y: put(y, 4, 2)},
        ValueError,
        r"y\[4\] is 2: labels must be -1 or \+1",
    ),
    "w_column": (
        ["logistic", "linear"],
        {"w": lambda w: w[:, None]},
        ValueError,
        r"w must have shape \(D,\) = \(3,\) and has shape \(3, 1\): pass w.ravel\(\)",
    ),
    "w_short": (
        ["logistic", "linear"],
        {"w": lambda w: w[:2]},
        ValueError,
        r"w must have shape \(D,\) = \(3,\) and has shape \(2,\).*3 features",
    ),
    "w_nan": (
        ["logistic", "linear"],
        {"w": lambda w: put(w, 1, nan)},
        ValueError,
        r"w holds nan at position 1",
    ),
    "b_vector": (
        ["logistic", "linear"],
        {"b": lambda b: [b]},
        ValueError,
        r"b must be one number.*np.asarray\(b\).item\(\)",
    ),
    "b_inf": (["logistic", "linear"], {"b": lambda b: inf}, ValueError, r"b holds inf"),
    "b_string": (["logistic", "linear"], {"b": lambda b: "1"}, TypeError, r"b holds strings"),
    "W_transposed": (
        ["softmax"],
        {"W": lambda W: W.T},
        ValueError,
        r"W must have shape \(D, K\) = \(3, K\) and has shape \(4, 3\).*3 features",
    ),
    "W_vector": (["softmax"], {"W": lambda W: W[:, 0]}, ValueError, r"W must have shape \(D, K\)"),
    "W_no_classes": (
        ["softmax"],
        {"W": lambda W: W[:, :0]},
        ValueError,
        r"W must have shape \(D, K\)",
    ),
    "W_inf": (
        ["softmax"],
        {"W": lambda W: put(W, (2, 3), inf)},
        ValueError,
        r"W holds inf at row 2, column 3",
    ),
    "W_complex": (["softmax"], {"W": lambda W: W * 1j}, TypeError, r"W is complex"),
    "b_short": (
        ["softmax"],
        {"b": lambda b: b[:2]},
        ValueError,
        r"b must have shape \(K,\) = \(4,\) and has shape \(2,\)",
    ),
    "b_row": (
        ["softmax"],
        {"b": lambda b: b[None]},
        ValueError,
        r"b must have shape \(K,\).*pass b.ravel\(\)",
    ),
    "W1_shape": (
        ["two_layer"],
        {"W1": lambda W: W.T},
        ValueError,
        r"W1 must have shape \(D, H\) = \(3, H\)",
    ),
    "b1_shape": (
        ["two_layer"],
        {"b1": lambda b: b[:2]},
        ValueError,
        r"b1 must have shape \(H,\) = \(5,\) and has shape \(2,\)",
    ),
    "b1_none": (["two_layer"], {"b1": lambda b: None}, TypeError, r"b1 is None: pass an array"),
    "W2_shape": (
        ["two_layer"],
        {"W2": lambda W: W.T},
        ValueError,
        r"W2 must have shape \(H, K\) = \(5, K\)",
    ),
    "b2_nan": (
        ["two_layer"],
        {"b2": lambda b: put(b, 1, nan)},
        ValueError,
        r"b2 holds nan at position 1",
    ),
    "weights_negative": (
        "all",
        {"sample_weight": lambda _: put(put(np.ones(N), 1, 0), 3, -0.5)},
        ValueError,
        r"sample_weight\[3\] is -0.5.*not be negative; pass 0",
    ),
    "weights_zero": (
        "all",
        {"sample_weight": lambda _: np.zeros(N)},
        ValueError,
        r"sample_weight is 0 for every sample",
    ),
    "weights_nan": (
        "all",
        {"sample_weight": lambda _: put(np.ones(N), 3, nan)},
        ValueError,
        r"sample_weight holds nan at position 3",
    ),
    "weights_short": (
        "all",
        {"sample_weight": lambda _: [1.0]},
        ValueError,
        r"sample_weight has 1 values and X has 6 rows",
    ),
    "weights_scalar": (
        "all",
        {"sample_weight": lambda _: 2.0},
        ValueError,
        r"sample_weight must have one dimension",
    ),
    "reg_negative": (
        "all",
        {"reg": lambda _: -0.1},
        ValueError,
        r"reg is -0.1: it must be finite and not negative",
    ),
    "reg_nan": ("all", {"reg": lambda _: nan}, ValueError, r"reg is nan"),
    "reg_string": (
        "all",
        {"reg": lambda _: "l2"},
        TypeError,
        r"reg must be one real number and is 'l2' \(str\)",
    ),
    "reg_array": ("all", {"reg": lambda _: np.ones(2)}, TypeError, r"reg must be one real number"),
    "variant_unknown": (
        "all",
        {"variant": lambda _: "fast"},
        ValueError,
        r"variant 'fast' is not known: pass one of 'python', 'numpy', 'loop', 'tiled'",
    ),
    "variant_number": (
        "all",
        {"variant": lambda _: 3},
        TypeError,
        r"variant must be a string and is 3 \(int\)",
    ),
}
ROWS = [
    (problem, case)
    for case, row in REFUSED.items()
    for problem in (PROBLEMS if row[0] == "all" else row[0])
]


def call_of(problem, what="loss_and_gradient"):
    module = PROBLEMS[problem]
    batch = random_batch(problem, np.random.default_rng(11), SHAPE)
    return getattr(module, what), named(problem, batch)


@pytest.mark.parametrize("what", ["loss_and_gradient", "loss", "gradient", "update"])
@pytest.mark.parametrize(("problem", "case"), ROWS)
def test_refused(problem, case, what):
    _, wrong, error, says = REFUSED[case]
    function, arguments = call_of(problem, what)
    if what == "update":
        arguments["learning_rate"] = 0.1
    arguments |= {name: change(arguments.get(name)) for name, change in wrong.items()}
    with pytest.raises(error) as refusal:
        function(**arguments)
    assert type(refusal.value) is error
    assert re.search(says, str(refusal.value)), refusal.value


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("what", ["loss_and_gradient", "loss", "gradient"])
def test_every_variant_refuses_a_nan_or_infinity_anywhere(problem, variant, value, what):
    """Wherever it stands, also behind a dead unit or a coefficient of 0."""
    for place in np.ndindex(N, D):
        function, arguments = call_of(problem, what)
        arguments["X"][place] = value
        for name in set(arguments) & {"W", "w", "W1"}:
            arguments[name][place[1]] = 0
        with pytest.raises(
            ValueError, match=f"X holds {value} at row {place[0]}, column {place[1]}"
        ):
            function(**arguments, variant=variant)


@pytest.mark.parametrize("rate", [-1.0, nan, inf, "0.1", None, 1j])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_learning_rate(problem, rate):
    function, arguments = call_of(problem, "update")
    with pytest.raises(
        (ValueError, TypeError), match=r"learning_rate (is|must be one real number and is)"
    ):
        function(**arguments, learning_rate=rate)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_first_bad_value_is_named_however_far_down(problem):
    X, *rest = random_batch(problem, np.random.default_rng(12), (70_000, 2, 3, 2), np.float32)
    X[69_998, 1] = nan
    X[69_999, 0] = inf
    with pytest.raises(ValueError, match="X holds nan at row 69998, column 1"):
        PROBLEMS[problem].gradient(X, *rest)


@pytest.mark.parametrize("shape", [(9, 2**15), (7, 2**16 + 1), (2**16 + 3, 1), (2**15 + 3, 2)])
def test_the_search_for_a_bad_value_misses_no_row(shape):
    """It looks at a block of rows at a time."""
    A = np.zeros(shape)
    for row in {*range(min(9, len(A))), *range(len(A) - 5, len(A))}:
        A[row, -1] = inf
        with pytest.raises(ValueError, match=f"X holds inf at row {row}, column {shape[1] - 1}:"):
            validate.finite("X", A)
        A[row, -1] = 0


@pytest.mark.parametrize("problem", PROBLEMS)
def test_weights_too_large_for_the_dtype_of_X(problem):
    function, arguments = call_of(problem)
    name = PROBLEMS[problem].Gradient._fields[0]
    arguments["X"] = arguments["X"].astype(np.float32)
    arguments[name] = np.full(np.shape(arguments[name]), 1e300)
    with pytest.raises(ValueError, match=f"{name} holds 1e.300, too large for float32"):
        function(**arguments)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_scores_and_predictions_refuse_too(problem):
    module, batch = PROBLEMS[problem], random_batch(problem, np.random.default_rng(13), SHAPE)
    X, parameters = batch[0], batch[2:]
    for what in {"scores", "probabilities", "predict"} & set(dir(module)):
        with pytest.raises(ValueError, match="X holds nan at row 2, column 1"):
            getattr(module, what)(put(X, (2, 1), nan), *parameters)
        with pytest.raises(ValueError, match="must have shape"):
            getattr(module, what)(X[:, 1:], *parameters)


def test_scipy_sparse():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"X is .*sparse.*toarray"):
        PROBLEMS["softmax"].gradient(sparse.csr_array(X0), np.zeros(N, int), np.zeros((D, K)))


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_value_at_any_border_is_named(problem, value):
    """Of chunks, tiles, blocks of rows, vectors and columns; of parameters, weights and labels."""
    rows, columns = 5003, 19
    batch = random_batch(problem, np.random.default_rng(14), (rows, columns, 3, 9))
    arguments = named(problem, batch)
    arguments["sample_weight"] = np.ones(rows)
    # every border of chunks, tiles and vectors is at a multiple of 8
    places = [
        ("X", (n, d))
        for n, d in zip(
            (n for n in range(rows) if n % 8 in (0, 7)), itertools.cycle(range(columns))
        )
    ]
    places += [("X", (n, d)) for n in (0, rows - 1) for d in range(columns)]
    for name, array in arguments.items():
        if name != "X":
            array = np.atleast_1d(array)
            places += [
                (name, place) for place in [*np.ndindex(array.shape)][:: max(1, array.size // 60)]
            ]
            places.append((name, tuple(n - 1 for n in array.shape)))
    for layout in (np.ascontiguousarray, np.asfortranarray):
        arguments["X"] = layout(arguments["X"])
        for name, place in places:
            wrong = put(arguments[name], place if np.ndim(arguments[name]) else (), value)
            with pytest.raises(ValueError, match=rf"^{name}\b.*{value}") as refusal:
                PROBLEMS[problem].gradient(
                    **arguments | {name: layout(wrong) if np.ndim(wrong) else wrong}
                )
            if np.ndim(wrong):
                assert [
                    int(n)
                    for n in re.findall(r"\d+", str(refusal.value).split(":")[0].removeprefix(name))
                ] == [*place]
