"""Raw functions, called from compiled code of a user's own and from Python."""

import numba
import numpy as np
import pytest

from tests.helpers.cases import DTYPES, PROBLEMS, named, random_batch, without_bias
from tests.helpers.comparison import assert_within
from tests.helpers.marks import compiled
from tests.helpers.oracle import loss_and_gradient


def calls_from_compiled_code(module, variant):
    both, loss, gradient = (
        getattr(module, f"{name}_{variant}") for name in ("loss_and_gradient", "loss", "gradient")
    )
    if len(module.Parameters._fields) == 4:

        @numba.njit
        def call(X, y, W1, b1, W2, b2, reg, s):
            first, g = both(X, y, W1, b1, W2, b2, reg, s)
            found = loss(X, y, W1, b1, W2, b2, reg, s), gradient(X, y, W1, b1, W2, b2, reg, s)
            return (first, g), found, (g.W1, g.b1, g.W2, g.b2)

        return call

    if module.Parameters._fields[0] == "W":

        @numba.njit
        def call(X, y, W, b, reg, s):
            first, g = both(X, y, W, b, reg, s)
            return (first, g), (loss(X, y, W, b, reg, s), gradient(X, y, W, b, reg, s)), (g.W, g.b)

        return call

    @numba.njit
    def call(X, y, w, b, reg, s):
        first, g = both(X, y, w, b, reg, s)
        return (first, g), (loss(X, y, w, b, reg, s), gradient(X, y, w, b, reg, s)), (g.w, g.b)

    return call


# Each caller of the tiles compiles them anew, for ten seconds or more.
TILED = {
    "softmax": ("float64", False, False),
    "logistic": ("float32", False, True),
    "linear": ("float32", True, True),
    "two_layer": ("float64", True, False),
}
LOOPS = [*(("float64", bias, weighted) for bias in (True, False) for weighted in (True, False))]
CALLS = [  # problem, variant, dtype, with a bias, with weights
    *((p, "loop", *case) for p in PROBLEMS for case in [*LOOPS, ("float32", True, True)]),
    ("logistic", "tiled", "float64", True, True),
    *(pytest.param(p, "tiled", *c, marks=pytest.mark.slow) for p, c in TILED.items()),
]


@compiled
@pytest.mark.parametrize(("problem", "variant", "dtype", "bias", "weighted"), CALLS)
def test_raw_functions_called_from_compiled_code(problem, variant, dtype, bias, weighted):
    """With a bias or None, with weights or None; the numbers are those of the public functions."""
    bias = bias or problem == "two_layer"  # whose biases are not optional
    module, rng = PROBLEMS[problem], np.random.default_rng(41)
    X, y, *parameters = random_batch(problem, rng, (300, 5, 4, 6), dtype)
    y = y.astype(dtype) if problem in ("logistic", "linear") else y
    batch = (X, y, *parameters) if bias else without_bias(problem, (X, y, *parameters))
    s = rng.uniform(0.5, 2, len(X)).astype(dtype) if weighted else None
    loss, gradient = loss_and_gradient(problem, *batch, reg=0.25, sample_weight=s)
    public = module.loss_and_gradient(*batch, reg=0.25, sample_weight=s, variant=variant)
    both, found, fields = calls_from_compiled_code(module, variant)(*batch, 0.25, s)
    for got_loss, got in (both, found, (both[0], fields), public):
        assert_within(loss, got_loss, "loss")
        given = [part for part in got if part is not None]
        for bounded, part in zip(gradient, given, strict=True):
            assert_within(bounded, part, "gradient")
            assert np.ndim(part) == 0 or part.dtype == X.dtype
        assert (got[-1] is None) == (not bias)
    assert isinstance(both[1], module.Gradient)
    assert isinstance(found[1], module.Gradient)


@pytest.mark.parametrize(
    ("variant", "dtype"),
    [
        *((variant, dtype) for variant in ("loop", "numpy") for dtype in DTYPES),
        pytest.param("tiled", "float64", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_raw_functions_called_from_python(problem, variant, dtype):
    """With less than all arguments, and with each of them by keyword."""
    if variant == "tiled" and numba.config.DISABLE_JIT:
        pytest.skip("tiles exist only compiled")
    module, rng = PROBLEMS[problem], np.random.default_rng(42)
    X, y, *parameters = random_batch(problem, rng, (300, 5, 4, 6), dtype)
    y = y.astype(dtype) if problem in ("logistic", "linear") else y
    batch, s = (X, y, *parameters), rng.uniform(0.5, 2, len(X)).astype(dtype)
    copies = [np.array(part) for part in (*batch, s)]
    both = getattr(module, f"loss_and_gradient_{variant}")
    arguments = named(problem, batch) | {"reg": 0.25, "sample_weight": s}
    plain_right = loss_and_gradient(problem, *batch)
    right = loss_and_gradient(problem, *batch, reg=0.25, sample_weight=s)
    answers = [
        (plain_right, both(*batch)),
        (right, both(**arguments, want_loss=True, want_gradient=True)),
        (right, (both(**arguments, want_gradient=False)[0], both(**arguments, want_loss=False)[1])),
        (right, (both(*batch, 0.25, s, True, False)[0], both(*batch, 0.25, s, False, True)[1])),
    ]
    if variant != "numpy":
        loss, gradient = (getattr(module, f"{name}_{variant}") for name in ("loss", "gradient"))
        answers += [
            (plain_right, (loss(*batch), gradient(*batch))),
            (right, (loss(**arguments), gradient(**arguments))),
        ]
    for (loss_bound, bounds), (got, parts) in answers:
        assert isinstance(got, float)
        assert_within(loss_bound, got, "loss")
        for bounded, part in zip(bounds, parts, strict=True):
            assert_within(bounded, part, "gradient")
            assert np.ndim(part) == 0 or part.dtype == X.dtype
    for part, copy in zip((*batch, s), copies, strict=True):
        assert np.array_equal(part, copy)


@compiled
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_raw_tiled_gradient(problem):
    """The quick part of the test above, whose calls compile the tiles eight times."""
    module, rng = PROBLEMS[problem], np.random.default_rng(43)
    X, y, *parameters = random_batch(problem, rng, (300, 5, 4, 6))
    y = y.astype(float) if problem in ("logistic", "linear") else y
    _, bounds = loss_and_gradient(problem, X, y, *parameters)
    for bounded, part in zip(bounds, module.gradient_tiled(X, y, *parameters), strict=True):
        assert_within(bounded, part, "gradient")
