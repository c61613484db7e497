"""How exact the results are, and on what their bits do and do not depend."""

import platform

import numpy as np
import pytest

from tests.helpers.cases import (
    DTYPES,
    PROBLEMS,
    VARIANTS,
    large_batch,
    random_batch,
    spread,
    without_bias,
)
from tests.helpers.comparison import assert_equal_to_oracle, assert_same, bits
from tests.helpers.oracle import loss_and_gradient


@pytest.fixture(params=[(problem, dtype) for problem in PROBLEMS for dtype in DTYPES], ids="-".join)
def case(request):
    problem, dtype = request.param
    return problem, large_batch(problem, 30, dtype)


def test_weights_of_one_change_no_bit(case):
    problem, (X, *rest) = case
    module = PROBLEMS[problem]
    for ones in (np.ones(len(X)), np.ones(len(X), np.float32), np.ones(len(X), int)):
        for variant in ("tiled", "loop"):
            want = bits(module.loss_and_gradient(X, *rest, reg=0.1, variant=variant))
            assert (
                bits(
                    module.loss_and_gradient(X, *rest, reg=0.1, sample_weight=ones, variant=variant)
                )
                == want
            )


def test_no_bit_depends_on_where_X_lies(case):
    """Every layout of the same samples but Fortran's, where the sums run along the other axis."""
    problem, (X, *rest) = case
    module = PROBLEMS[problem]
    padded = np.full((len(X), X.shape[1] + 9), np.nan, X.dtype)
    padded[:, 2:-7] = X
    layouts = {
        "strided": spread(X, 3),
        "backwards": spread(X, -1),
        "columns of a larger array": padded[:, 2:-7],
        "rows of a larger array": np.repeat(X, 2, axis=0)[::2],
        "unaligned": np.frombuffer(b"?" + X.tobytes(), X.dtype, X.size, 1).reshape(X.shape),
        "other byte order": X.astype(X.dtype.newbyteorder("S")),
    }
    want = bits(module.loss_and_gradient(X, *rest, reg=0.1))
    for name, other in layouts.items():
        assert bits(module.loss_and_gradient(other, *rest, reg=0.1)) == want, name
    fortran = np.asfortranarray(X)
    assert bits(module.loss_and_gradient(fortran, *rest, reg=0.1)) == bits(
        module.loss_and_gradient(fortran.copy(order="F"), *rest, reg=0.1)
    )
    assert_same(problem, module.gradient(fortran, *rest), module.gradient(X, *rest), (X, *rest))


def test_no_bit_depends_on_what_else_ran(case):
    problem, batch = case
    module = PROBLEMS[problem]
    want = bits(module.loss_and_gradient(*batch, reg=0.1))
    rng = np.random.default_rng(31)
    for other, shape in [
        ("two_layer", (3000, 40, 9, 8)),
        ("linear", (17, 3, 1, 1)),
        ("softmax", (20_000, 3, 90, 1)),
    ]:
        PROBLEMS[other].gradient(*random_batch(other, rng, shape, np.float32), threads=3)
        with np.errstate(all="raise"):
            assert bits(module.loss_and_gradient(*batch, reg=0.1)) == want
        alone = module.loss(*batch, reg=0.1), module.gradient(*batch, reg=0.1)
        assert bits(alone) == want


def test_the_order_of_the_samples_matters_by_less_than_the_bound(case):
    problem, (X, y, *parameters) = case
    order = np.random.default_rng(32).permutation(len(X))
    gradient = PROBLEMS[problem].gradient
    assert_same(
        problem,
        gradient(X[order], y[order], *parameters),
        gradient(X, y, *parameters),
        (X, y, *parameters),
    )


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_million_samples(problem):
    """Within the oracle's bound; in float32 at most twice the error of NumPy's matrix product."""
    for dtype in DTYPES:
        batch = random_batch(problem, np.random.default_rng(33), (1_000_000, 4, 3, 3), dtype)
        assert_equal_to_oracle(problem, "tiled", *batch, reg=0.1)
        exact = [part.value for part in loss_and_gradient(problem, *batch, reg=0.1)[1]]
        error = {}
        for variant in ("tiled", "numpy"):
            gradient = PROBLEMS[problem].gradient(*batch, reg=0.1, variant=variant)
            error[variant] = max(
                np.abs(part - right).max() for part, right in zip(gradient, exact, strict=True)
            )
        print(f"{problem} {dtype}: error {error['tiled']:.2g}, of numpy {error['numpy']:.2g}")
        assert dtype == "float64" or error["tiled"] <= 2 * error["numpy"]


# ---- the state of the floating-point unit ----


def control_word():
    """Two compiled functions: what the control and status register holds, and how to set it."""
    import numba
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    def call(builder, name, slot):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
        builder.call(function, [builder.bitcast(slot, ir.IntType(8).as_pointer())])

    @intrinsic
    def stmxcsr(typingctx):
        def generate(context, builder, signature, args):
            slot = cgutils.alloca_once(builder, ir.IntType(32))
            call(builder, "stmxcsr", slot)
            return builder.zext(builder.load(slot), ir.IntType(64))

        return types.int64(), generate

    @intrinsic
    def ldmxcsr(typingctx, value):
        def generate(context, builder, signature, args):
            slot = cgutils.alloca_once_value(builder, builder.trunc(args[0], ir.IntType(32)))
            call(builder, "ldmxcsr", slot)
            return args[0]

        return types.int64(types.int64), generate

    return numba.njit(lambda: stmxcsr()), numba.njit(lambda value: ldmxcsr(value))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="a register of x86")
@pytest.mark.parametrize("flush", [0, 0x8040], ids=["subnormals_kept", "subnormals_flushed"])
def test_the_state_of_the_floating_point_unit_is_left_as_found(case, flush):
    """Rounding, traps, flush-to-zero, denormals-are-zero; not the flags of what has happened."""
    problem, batch = case
    state, set_state = control_word()
    found = state()
    settings = 0xFFC0
    try:
        set_state((found & ~0x8040) | flush)
        before = state() & settings
        assert before & 0x8040 == flush
        for threads in (1, 3):
            PROBLEMS[problem].loss_and_gradient(*batch, threads=threads)
            assert state() & settings == before
        assert (np.float64(2.0**-1000) * np.float64(2.0**-70) == 0) == (flush != 0)
    finally:
        set_state(found)


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_subnormal_numbers_are_numbers(problem, variant):
    """Gradients of subnormal samples are those samples, scaled: they are not flushed."""
    X, y, *parameters = without_bias(
        problem, random_batch(problem, np.random.default_rng(34), (16, 3, 2, 2))
    )
    tiny = X * 2.0**-1060
    assert 0 < np.abs(tiny).max() < np.finfo(float).tiny
    if problem == "two_layer":
        parameters[1] = np.abs(parameters[1]) + 1.0  # every unit is alive
    if problem == "linear":
        y = y + 1.0
    first = PROBLEMS[problem].gradient(tiny, y, *parameters, variant=variant)[0]
    large = PROBLEMS[problem].gradient(tiny * 2.0**1000, y, *parameters, variant=variant)[
        0
    ]  # as small, to all of exp
    assert np.abs(first).max() > 0
    np.testing.assert_allclose(
        first, large * 2.0**-1000, rtol=0, atol=32 * np.finfo(float).smallest_subnormal
    )
