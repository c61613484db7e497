"""The plan of a call: which compiled function runs it, and how many items its threads share."""

import gc
import threading

import numba
import numpy as np
import pytest

from kernels.engine import driver
from kernels.engine.cache import PartialLibrary, entry_point, partial_libraries
from kernels.engine.driver import FEATURES, PARAMETERS, SAMPLES, Kernel
from kernels.engine.jit import device_function, jit
from kernels.engine.parameter_pass import many_parameters, plan_pass
from kernels.engine.tile_pass import geometry
from tests.helpers.cases import DTYPES
from tests.helpers.marks import compiled

ALL, SOME = np.empty(0, np.int64), np.arange(40)


ONE_SCORE = SAMPLES, FEATURES
SEVERAL = SAMPLES, FEATURES, PARAMETERS
PRODUCT = SAMPLES, PARAMETERS


@pytest.fixture(params=[(ONE_SCORE, 1), (SEVERAL, 1), (PRODUCT, 2)])
def kernel(request, monkeypatch):
    """A kernel whose entry points are the names of what is divided."""
    monkeypatch.setattr(driver, "entry_point", lambda function, _: function)
    monkeypatch.setattr(driver, "jit", lambda function: function)
    passes, halves = request.param
    return Kernel({divided: divided for divided in passes}, lambda *_: (), halves)


def calls(rng, count, layers):
    """Random arguments of `plan`; some differ in nothing but the strides or the row numbers.

    There is one score if `layers` is 0.
    """
    for _ in range(count):
        N, D, K, H = (int(n) for n in np.exp(rng.uniform(0, np.log([1e4, 5e3, 3e2, 3e2]))))
        X = np.broadcast_to(np.zeros((), rng.choice(DTYPES)), (N, D))
        one, layer, network = [(D,), (1,)], [(D, K), (K,)], [(D, H), (H,), (H, K), (K,)]
        out = [np.broadcast_to(0.0, shape) for shape in (one, layer, network)[layers]]
        for strides in ((D, 1), (1, N), (2 * D, 2)):
            x = np.lib.stride_tricks.as_strided(X, strides=[X.itemsize * n for n in strides])
            for rows in (ALL, SOME):
                yield X.itemsize, x, rows, out


def layers_of(kernel):
    if PARAMETERS not in kernel.functions:
        return (0,)
    return 1, 2


def test_a_plan_is_kept_for_calls_that_have_the_same(kernel, monkeypatch):
    monkeypatch.setattr(driver, "PLANS", 500)
    for layers in layers_of(kernel):
        kernel.plans.clear()
        for call in calls(np.random.default_rng(65), 300, layers):
            for _ in range(2):
                assert kernel.plan(*call) == kernel.new_plan(*call)
            assert len(kernel.plans) <= 500


@pytest.mark.parametrize("which", [0, -1])
def test_a_small_call_runs_alone_and_a_large_one_does_not(kernel, which):
    found = {}
    for key, X, rows, out in calls(np.random.default_rng(66), 300, layers_of(kernel)[which]):
        function, items, is_long = kernel.plan(key, X, rows, out)
        N, D, K, above, _ = driver.sizes(len(rows) or len(X), X, out)
        work = N * K * (D + above)
        assert items == 1 or work > 7e3
        assert items > 1 or work < 1e7
        assert is_long or work < 1e8
        assert not is_long or work > 2e5
        assert function != PARAMETERS or D * K + K * above > 1000
        found[items > 1] = found[function] = True
    assert found.keys() == {True, False, *kernel.functions}


def test_a_call_without_numbers_runs_alone(kernel):
    """The driver finds it invalid. The strides are those of a slice: of new arrays they are 0."""
    full = np.ones((5, 4))
    for X in (full[:, :0], full[:0], full.T[:0], full.T[:, :0], full[:0, :0]):
        D = X.shape[1]
        for K in (3, 0) if PARAMETERS in kernel.functions else (None,):
            layer = (D,) if K is None else (D, K)
            out = [np.ones(layer), np.ones(layer[1:] or 1)]
            assert kernel.plan(8, X, ALL, out) == (SAMPLES, 1, False)


@jit
def compiled_plans(N, D, K, above, size, by_columns, halves):
    return (
        geometry(N, D, K, above, size, by_columns, halves),
        many_parameters(N, D, K, above, size),
        plan_pass(N, D, K, above, size, halves),
    )


@compiled
def test_compiled_code_plans_as_python_does():
    rng = np.random.default_rng(66)
    for _ in range(2000):
        N, D, K, above = (int(n) for n in np.exp(rng.uniform(0, np.log([1e6, 2e4, 1e3, 1e3]))))
        above, size = above * int(rng.integers(2)), int(rng.choice([4, 8]))
        by_columns, halves = bool(rng.integers(2)), int(rng.integers(1, 3))
        tiles = geometry(N, D, K, above, size, by_columns, halves)
        items = many_parameters(N, D, K, above, size), plan_pass(N, D, K, above, size, halves)
        assert compiled_plans(N, D, K, above, size, by_columns, halves) == (tiles, *items)


@compiled
@pytest.mark.parametrize("collects", [True, False])
def test_compiling_leaves_the_garbage_collector_as_it_was(collects):
    before, seen = gc.isenabled(), []

    def fail():
        with partial_libraries(numba.njit(lambda: None)):
            seen.append(gc.isenabled())
            raise ZeroDivisionError

    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError):
            fail()
        assert [*seen, gc.isenabled()] == [False, collects]
    finally:
        (gc.enable if before else gc.disable)()


@compiled
def test_a_thread_that_waits_to_compile_leaves_the_garbage_collector_on():
    before = gc.isenabled()
    gc.enable()
    try:
        with partial_libraries(numba.njit(lambda: None)):
            waiting = threading.Thread(target=entry_point, args=(jit(lambda: 1), ()))
            waiting.start()
            waiting.join(0.2)
            assert waiting.is_alive()
        waiting.join()
        assert gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()


@compiled
def test_the_code_of_a_caller_is_compiled_as_before():
    """Only what this package's functions call becomes part of them."""
    part, inner = device_function(lambda x: x + 1), jit(lambda x: x + 2)
    whole = jit(lambda x: part(x) + inner(x))  # one whole function in another
    call = numba.njit(lambda x: whole(x) + 1)
    assert call(1) == 6
    kinds = [type(f.overloads[numba.int64,].library) for f in (part, inner, whole, call)]
    assert [kind is PartialLibrary for kind in kinds] == [True, True, True, False]
