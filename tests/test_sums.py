"""Sums of blocks, cut anywhere and added in a fixed order, average to the gradient of the whole.

The bound. The oracle's bound holds for the sum of N products in any order, each within eps of its
factors; see its γ(2N + 6), in which the sum of the weights, their product with each term, the
quotient and the penalty are counted. Blocks are such an order: within a block the products are
summed in X's dtype; its sum is converted to float64 without error; at most N of these are added in
float64, whose eps is no larger, in place of as many additions within the block; and one rounding,
to the parameters' dtype, is that of the quotient. So `average` is held to the oracle's own bound,
and it differs from `loss_and_gradient`, which is held to it too, by at most twice that.
"""

import itertools
import math
import pickle
import typing
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels import Sums
from tests.helpers.cases import (
    DTYPES,
    PROBLEMS,
    SHAPES,
    VARIANTS,
    case_of,
    random_batch,
    sums_of,
)
from tests.helpers.comparison import assert_averages, assert_same, assert_within, bits
from tests.helpers.oracle import loss_and_gradient
from tests.helpers.strategies import examples, seeds, shapes

nan, inf = math.nan, math.inf
SHARED = (40_003, 3, 4, 5)  # blocks of it are work for several threads


# ---- blocks are the whole ----


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@examples
@given(
    shape=shapes,
    seed=seeds,
    reg=st.sampled_from([0.0, 0.3]),
    dtype=st.sampled_from(DTYPES),
    weighted=st.booleans(),
    bias=st.booleans(),
)
def test_blocks_of_any_cut(problem, variant, shape, seed, reg, dtype, weighted, bias):
    """Empty ones, single samples and blocks of no weight among them."""
    rng = np.random.default_rng(seed)
    batch = case_of(problem, seed, shape, dtype, bias)
    N = len(batch[0])
    cuts = np.sort(rng.integers(0, N + 1, rng.integers(0, 7))).tolist()
    s = rng.uniform(0.1, 2, N).astype(dtype) if weighted else None
    if weighted and cuts and rng.random() < 0.5 and cuts[0] < N:
        s[: cuts[0]] = 0
    parts = list(sums_of(problem, batch, cuts, s, variant=variant))
    answer = PROBLEMS[problem].average(parts, *batch[2:], reg=reg)
    assert_averages(problem, batch, answer, reg, s)
    options = {"reg": reg, "sample_weight": s}
    whole = PROBLEMS[problem].loss_and_gradient(*batch, **options, variant=variant)
    assert abs(answer[0] - whole[0]) <= 2 * loss_and_gradient(problem, *batch, **options)[0].bound
    assert_same(problem, answer[1], whole[1], batch, **options)


@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_sample_by_itself_and_by_any_variant(problem, dtype, weighted):
    for shape in SHAPES[::2]:
        rng = np.random.default_rng(1)
        batch, N = case_of(problem, 1, shape, dtype), shape[0]
        s = rng.uniform(0, 2, N).astype(dtype) if weighted else None
        X, y, *parameters = batch
        variants = rng.choice(list(PROBLEMS[problem].VARIANTS), N)
        parts = (
            PROBLEMS[problem].sums(
                X[n : n + 1],
                y[n : n + 1],
                *parameters,
                sample_weight=None if s is None else s[n : n + 1],
                variant=str(variants[n]),
            )
            for n in range(N)
        )
        answer = PROBLEMS[problem].average(parts, *parameters, reg=0.1)
        assert_averages(problem, batch, answer, 0.1, s)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_large_batch(problem, dtype):
    """Of more rows than any chunk."""
    batch = case_of(problem, 2, SHARED, dtype)
    for variant in ("tiled", "loop", "numpy"):
        parts = sums_of(problem, batch, [0, 1, 20_000, 20_007, 31_111], variant=variant)
        assert_averages(problem, batch, PROBLEMS[problem].average(parts, *batch[2:], reg=0.1), 0.1)


@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_what_sums_are(problem, variant, dtype, bias, weighted):
    """Σ s ℓ, Σ s and Σ s ∂ℓ/∂θ in float64, in the caller's units; one Sums is averaged too."""
    module, batch = PROBLEMS[problem], case_of(problem, 3, dtype=dtype, bias=bias)
    s = np.random.default_rng(3).uniform(10, 20, 60).astype(dtype) if weighted else None
    part = module.sums(*batch, sample_weight=s, variant=variant)
    assert type(part) is Sums is kernels.Sums
    assert type(part.gradient) is module.Gradient
    assert isinstance(part.loss, float)
    assert isinstance(part.weight, float)
    total = 60 if s is None else s.sum(dtype=float)
    assert part.weight == pytest.approx(total, rel=60 * float(np.finfo(dtype).eps))
    assert s is not None or part.weight == 60
    for summed, p in zip(part.gradient, batch[2:], strict=True):
        assert (summed is None) == (p is None)
        if isinstance(p, np.ndarray):
            assert (summed.dtype, summed.shape) == (np.float64, p.shape)
        elif p is not None:
            assert type(summed) is float
    means = [None if g is None else g / total for g in part.gradient]
    assert_averages(
        problem, batch, (part.loss / total, module.Gradient(*means)), s=s, slack=1 + 1e-6
    )
    answer = module.average(part, *batch[2:])
    assert_averages(problem, batch, answer, s=s)
    assert bits(answer) == bits(module.average([part], *batch[2:]))


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_without_weight(problem, variant, dtype):
    """Empty, or of weights that are all 0: zeros, which change no bit of what they are added to."""
    module, (X, y, *parameters) = PROBLEMS[problem], case_of(problem, 4, dtype=dtype)
    part = module.sums(X, y, *parameters, variant=variant)
    zeros = np.zeros(len(X), dtype)
    for nothing in (
        module.sums(X[:0], y[:0], *parameters, variant=variant),
        module.sums(X[:0], y[:0], *parameters, sample_weight=zeros[:0], variant=variant),
        module.sums(X, y, *parameters, sample_weight=zeros, variant=variant),
    ):
        assert (nothing.loss, nothing.weight) == (0, 0)
        for summed, p in zip(nothing.gradient, parameters, strict=True):
            assert np.shape(summed) == np.shape(p)
            assert np.asarray(summed).dtype == np.float64
            assert not np.any(summed)
        assert bits(nothing + part) == bits(part) == bits(part + nothing)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_block_is_validated(problem):
    """As any batch, an empty one too."""
    module, (X, y, *parameters) = PROBLEMS[problem], case_of(problem, 5)
    name = module.Gradient._fields[0]
    X[7, 1] = nan
    with pytest.raises(ValueError, match="X holds nan at row 7, column 1"):
        module.sums(X, y, *parameters)
    with pytest.raises(ValueError, match="y has 1 values and X has 0 rows"):
        module.sums(X[:0], y[:1], *parameters)
    with pytest.raises(ValueError, match=r"sample_weight\[0\] is -1.0"):
        module.sums(X[:1], y[:1], *parameters, sample_weight=[-1.0])
    with pytest.raises(ValueError, match="variant 'fast' is not known"):
        module.sums(X[:0], y[:0], *parameters, variant="fast")
    with pytest.raises(ValueError, match=rf"{name} must have shape \(D"):
        module.sums(X[:0, 1:], y[:0], *parameters)
    with pytest.raises(ValueError, match="no features"):
        module.sums(X[:0, :0], y[:0], *parameters)


# ---- the order, and the bits ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_bits_depend_on_the_blocks_alone(problem, dtype):
    """Not on threads, on repetition, or on whether the blocks come as a list."""
    batch = case_of(problem, 6, SHARED, dtype)
    average, cuts = PROBLEMS[problem].average, [9_000, 9_000, 20_000, 39_000]
    s = np.random.default_rng(6).uniform(0.1, 2, SHARED[0]).astype(dtype)

    def answer(kind, threads):
        parts = sums_of(problem, batch, cuts, s, threads=threads)
        return bits(average(kind(parts), *batch[2:], reg=0.1))

    want = answer(list, 1)
    for threads in (1, 2, 3, 8, None):
        for kind in (list, iter, tuple):
            assert answer(kind, threads) == want
    parts = list(sums_of(problem, batch, cuts, s))
    before = [bits(part) for part in parts]
    assert bits(average(parts, *batch[2:], reg=0.1)) == want == answer(list, 1)
    assert bits(average(parts, *batch[2:], reg=0.1)) == want, "a second time"
    assert [bits(part) for part in parts] == before, "the parts are left as they were"


def added(parts):
    """Neighbours first, as the digits of a binary counter: written as a recursion."""
    if len(parts) == 1:
        return parts[0]
    largest = 2 ** ((len(parts) - 1).bit_length() - 1)  # the largest power of 2 below
    return added(parts[:largest]) + added(parts[largest:])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_neighbours_are_added_first(problem):
    batch = case_of(problem, 7, (60, 3, 4, 5))
    parts = list(sums_of(problem, batch, range(1, 60)))
    orders = set()
    for n in range(1, 61):
        answer = PROBLEMS[problem].average(parts[:n], *batch[2:], reg=0.1)
        assert bits(answer) == bits(
            PROBLEMS[problem].average(added(parts[:n]), *batch[2:], reg=0.1)
        )
        in_a_row = parts[0]
        for part in parts[1:n]:
            in_a_row = in_a_row + part
        orders.add(bits(in_a_row) == bits(added(parts[:n])))
    assert orders == {True, False}, "or this test shows nothing"


class Counted(np.ndarray):
    """An array that knows how many of its kind there are."""

    alive: typing.ClassVar[set[int]] = set()

    def __array_finalize__(self, parent):
        Counted.alive.add(id(self))
        weakref.finalize(self, Counted.alive.discard, id(self))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 100, 127, 128, 1000])
def test_a_generator_of_n_blocks_holds_log2_n_sums(n):
    X, y, w, b = case_of("linear", 8, (3, 2, 1, 1))
    part, most = kernels.linear.sums(X, y, w, b), 0
    gradient = part.gradient

    def parts():
        nonlocal most
        for _ in range(n):
            most = max(most, len(Counted.alive))
            yield Sums(part.loss, part.weight, gradient._replace(w=gradient.w.view(Counted)))

    assert not Counted.alive
    loss, (dw, _) = kernels.linear.average(parts(), w, b)
    assert most <= math.log2(n) + 1
    assert most >= math.floor(math.log2(n)), "or nothing was counted"
    del dw
    assert not Counted.alive
    assert loss == pytest.approx(kernels.linear.loss(X, y, w, b), rel=1e-12)


# ---- sums as objects ----


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_addition(problem, bias):
    one, other = sums_of(problem, case_of(problem, 9, bias=bias), [17])
    before = bits(one), bits(other)
    total = one + other
    assert type(total) is Sums
    assert type(total.gradient) is PROBLEMS[problem].Gradient
    assert (total.loss, total.weight) == (one.loss + other.loss, 60.0)
    for summed, a, b in zip(total.gradient, one.gradient, other.gradient, strict=True):
        assert summed is a is None or np.array_equal(summed, a + b)
    assert bits(total) == bits(other + one)
    assert (bits(one), bits(other)) == before
    for nothing in (1, 0.0, None, "a", (1.0, 2.0), [one]):
        with pytest.raises(TypeError):
            one + nothing


def test_addition_of_sums_that_do_not_go_together():
    one = kernels.linear.sums(*case_of("linear", 9))
    for other, shape in (
        (kernels.linear.sums(*case_of("linear", 9, bias=False)), "None"),
        (kernels.linear.sums(*case_of("linear", 9, (60, 4, 1, 1))), r"\(4,\)"),
    ):
        for a, b in ((one, other), (other, one)):
            with pytest.raises(
                ValueError, match=rf"different shapes.*{shape}.*made with the same parameters"
            ):
                a + b
            with pytest.raises(ValueError, match=rf"different shapes.*{shape}"):
                kernels.linear.average([a, b], np.ones(3), 0.0)
    with pytest.raises(TypeError):
        one + kernels.logistic.sums(*case_of("logistic", 9))


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_sums_can_be_pickled(problem, bias):
    batch = case_of(problem, 10, bias=bias)
    for part in sums_of(problem, batch, [0, 30]):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(part, protocol))
            assert type(again) is Sums
            assert type(again.gradient) is PROBLEMS[problem].Gradient
            assert bits(again) == bits(part)
            assert bits(again + part) == bits(part + part)
    parts = list(sums_of(problem, batch, [30]))
    want = bits(PROBLEMS[problem].average(parts, *batch[2:]))
    assert bits(PROBLEMS[problem].average(pickle.loads(pickle.dumps(parts)), *batch[2:])) == want


# ---- dtypes ----


@pytest.mark.parametrize("problem", PROBLEMS)
def test_average_answers_in_the_dtype_of_the_parameters(problem):
    """Whatever the samples were; lists are float64, as are parameters of different dtypes."""
    module = PROBLEMS[problem]
    conversions = {
        "float32": lambda p: p.astype(np.float32),
        "float64": lambda p: p.astype(np.float64),
        ">f8": lambda p: p.astype(">f8"),
        "list": lambda p: p.tolist(),
    }
    for dtype in DTYPES:
        X, y, *parameters = case_of(problem, 11, dtype=dtype)
        part = module.sums(X, y, *parameters)
        want = module.loss_and_gradient(X, y, *parameters, reg=0.1)
        forms = {
            name: [change(p) if np.ndim(p) else p for p in parameters]
            for name, change in conversions.items()
        }
        if np.ndim(parameters[-1]):
            forms["mixed"] = [*forms["float32"][:-1], forms["float64"][-1]]
        for name, passed in forms.items():
            before = [np.array(p) for p in passed]
            loss, gradient = module.average(part, *passed, reg=0.1)
            assert isinstance(loss, float)
            rounded = dtype == "float32" or name in ("float32", "mixed")
            # Sums of 60 terms, which may cancel to a hundredth.
            near = 60 * 100 * float(np.finfo(np.float32 if rounded else np.float64).eps)
            assert loss == pytest.approx(want[0], rel=near)
            for g, p, right in zip(gradient, passed, want[1], strict=True):
                answered = np.float32 if name == "float32" else np.float64
                assert type(g) is float if np.ndim(p) == 0 else g.dtype == answered
                assert np.shape(g) == np.shape(p)
                np.testing.assert_allclose(g, right, rtol=near, atol=near)
            assert all(np.array_equal(p, q) for p, q in zip(passed, before, strict=True))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_lists_all_the_way(problem):
    X, y, *parameters = case_of(problem, 12)
    as_lists = [p.tolist() if np.ndim(p) else p for p in map(np.asarray, (X, y, *parameters))]
    as_lists = [p if isinstance(p, list) else float(p) for p in as_lists]
    module = PROBLEMS[problem]
    want = module.average(module.sums(X, y, *parameters), *parameters, reg=0.1)
    got = module.average([module.sums(*as_lists)], *as_lists[2:], reg=0.1)
    assert bits(got) == bits(want)


# ---- refusals ----


@pytest.mark.parametrize("problem", PROBLEMS)
class TestRefusals:
    def test_no_blocks(self, problem):
        module, (_, _, *parameters) = PROBLEMS[problem], case_of(problem)
        for nothing in ([], (), iter([]), (part for part in ())):
            with pytest.raises(ValueError, match=r"^parts is empty.*pass the sums of at least one"):
                module.average(nothing, *parameters)

    def test_no_weight(self, problem):
        module, (X, y, *parameters) = PROBLEMS[problem], case_of(problem)
        empty = module.sums(X[:0], y[:0], *parameters)
        of_zeros = module.sums(X, y, *parameters, sample_weight=np.zeros(len(X)))
        for parts in (empty, [empty], [empty, of_zeros, empty]):
            with pytest.raises(
                ValueError, match=r"total weight of the sums is 0,.*sample of positive weight"
            ):
                module.average(parts, *parameters)

    def test_shapes(self, problem):
        module, batch = PROBLEMS[problem], case_of(problem)
        part, names = module.sums(*batch), module.Gradient._fields
        fits = "|".join(names)  # of two that do not fit, either may be named
        for i, p in enumerate(batch[2:]):
            if np.ndim(p):
                for wrong in (p[1:], p[None], p[..., :-1], np.float64(1.0)):
                    parameters = [*batch[2:]]
                    parameters[i] = wrong
                    with pytest.raises(ValueError, match=rf"^({fits}) (must|is)"):
                        module.average(part, *parameters)
        other = case_of(problem, shape=(60, 3, 6, 7))[2:]  # which fit one another
        if problem in ("softmax", "two_layer"):
            with pytest.raises(ValueError, match=rf"{names[0]} is .*that the sums were made with"):
                module.average(part, *other)

    def test_a_bias_here_and_none_there(self, problem):
        if problem == "two_layer":
            pytest.skip("its biases are not optional")
        module = PROBLEMS[problem]
        with_bias, without = (case_of(problem, bias=bias) for bias in (True, False))
        for made, passed in ((with_bias, without), (without, with_bias)):
            with pytest.raises(ValueError, match=r"^b is .*None.*that the sums were made with"):
                module.average(module.sums(*made), *passed[2:])

    def test_sums_of_another_problem(self, problem):
        module, (_, _, *parameters) = PROBLEMS[problem], case_of(problem)
        for other in set(PROBLEMS) - {problem}:
            part = PROBLEMS[other].sums(*case_of(other))
            for parts in (part, [part]):
                with pytest.raises(
                    TypeError, match=rf"parts .*not the sums of {problem}: pass what {problem}.sums"
                ):
                    module.average(parts, *parameters)

    def test_no_sums_at_all(self, problem):
        module, batch = PROBLEMS[problem], case_of(problem)
        part = module.sums(*batch)
        wrong = [tuple(part), [tuple(part)], [part, None], [[part]], [part.gradient], "sums"]
        wrong += [module.loss_and_gradient(*batch), np.ones(3), None, 3, part.loss]
        wrong += [Sums(part.loss, part.weight, tuple(part.gradient))]
        for parts in wrong:
            with pytest.raises(
                TypeError, match=rf"parts .*not the sums of {problem}: pass what {problem}.sums"
            ):
                module.average(parts, *batch[2:])

    def test_parameters_and_reg(self, problem):
        module, batch = PROBLEMS[problem], case_of(problem)
        part, name = module.sums(*batch), module.Gradient._fields[0]
        for reg, error in ((-1.0, ValueError), (nan, ValueError), ("l2", TypeError)):
            with pytest.raises(error, match=r"reg (is|must be)"):
                module.average(part, *batch[2:], reg=reg)
        wrong = batch[2].copy()
        wrong.flat[0] = nan
        with pytest.raises(ValueError, match=f"{name} holds nan"):
            module.average(part, wrong, *batch[3:])

    def test_an_error_of_the_generator_is_passed_on(self, problem):
        module, batch = PROBLEMS[problem], case_of(problem)

        def parts():
            yield module.sums(*batch)
            raise OSError("the file has gone")

        with pytest.raises(OSError, match="the file has gone"):
            module.average(parts(), *batch[2:])


# ---- units, and what leaves float64 ----


@pytest.mark.parametrize("exponent", [-600, -149, 100, 600])
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_sums_are_in_the_units_of_the_caller(problem, variant, exponent):
    module, rng = PROBLEMS[problem], np.random.default_rng(3)
    X, y, *parameters = random_batch(problem, rng, (17, 3, 4, 5), "float32")
    s = rng.integers(1, 9, 17)
    one, other = (
        module.sums(X, y, *parameters, sample_weight=weights, variant=variant)
        for weights in (s.astype(float), np.ldexp(s.astype(float), exponent))
    )
    for a, b in zip((*one[:2], *one.gradient), (*other[:2], *other.gradient), strict=True):
        assert np.array_equal(np.ldexp(a, exponent), b)
    first, second = (
        module.sums(X[rows], y[rows], *parameters, sample_weight=np.ldexp(1.0 * s[rows], exponent))
        for rows in (slice(0, 9), slice(9, 17))
    )
    loss, gradient = module.average([first, second], *parameters, reg=0.5)
    bounds = loss_and_gradient(problem, X, y, *parameters, reg=0.5, sample_weight=s)
    assert_within(bounds[0], loss, "loss")
    for bounded, part in zip(bounds[1], gradient, strict=True):
        assert_within(bounded, part, "gradient")


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_a_total_that_leaves_float64(problem, variant):
    """An average has no units; sums have, and are refused with what to do."""
    module, rng = PROBLEMS[problem], np.random.default_rng(4)
    X, y, *parameters = random_batch(problem, rng, (4, 3, 4, 5))
    s = np.full(4, 1.5e308)
    even, heavy = (
        module.gradient(X, y, *parameters, sample_weight=weights, variant=variant)
        for weights in (None, s)
    )
    for a, b in itertools.zip_longest(even, heavy):
        assert a == pytest.approx(b, rel=1e-12, abs=1e-12)
    with pytest.raises(FloatingPointError, match="divide the weights of all blocks by one number"):
        module.sums(X, y, *parameters, sample_weight=s, variant=variant)
