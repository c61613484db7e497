"""Data in blocks: the sums of the blocks, averaged, whatever reads them.

Blocks are compared bit for bit with the public `sums` and `average`, which test_sums.py holds to
the oracle's bound, and once more with the oracle itself.
"""

import contextlib
import json
import math
import threading

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

import kernels
from kernels import Blocks, linear, logistic, softmax, two_layer
from tests.helpers.advice import advised
from tests.helpers.cases import DTYPES, PROBLEMS, VARIANTS, as_memmap, case_of, sums_of
from tests.helpers.comparison import assert_averages, bits
from tests.helpers.declaration import DECLARATION
from tests.helpers.interpreter import run_program
from tests.helpers.marks import linux

CUTS = [0, 0, 17, 40, 40, 60]  # of 60 samples: empty blocks first, in the middle and last
RATE = {"learning_rate": 0.2, "tol": 0, "reg": 0.01}


def blocks_of(X, y, s=None, cuts=CUTS):
    """A list of blocks between the cuts."""
    parts = (X, y) if s is None else (X, y, s)
    pairs = zip([0, *cuts], [*cuts, len(X)], strict=True)
    return [tuple(part[a:b] for part in parts) for a, b in pairs]


def some_weights():
    s = np.random.default_rng(3).uniform(0.5, 2, 60)
    s[17:40] = 0  # those of one block
    return s


# ---- loss and gradient ----


@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_it_is_the_average_of_the_sums(problem, variant, dtype, weighted):
    module, batch = PROBLEMS[problem], case_of(problem, dtype=dtype)
    X, y, *parameters = batch
    s = some_weights() if weighted else None
    blocks, options = Blocks(blocks_of(X, y, s)), {"reg": 0.3, "variant": variant}
    answer = module.loss_and_gradient(blocks, None, *parameters, **options)
    assert_averages(problem, batch, answer, 0.3, s)
    parts = list(sums_of(problem, batch, CUTS, s, variant=variant))
    assert bits(answer) == bits(module.average(parts, *parameters, reg=0.3))
    assert bits(answer) == bits(module.loss_and_gradient(blocks, None, *parameters, **options))
    assert answer[0] == module.loss(blocks, None, *parameters, **options)
    assert bits(answer[1]) == bits(module.gradient(blocks, None, *parameters, **options))
    total = module.sums(blocks, None, *parameters, variant=variant)
    assert bits(answer) == bits(module.average(total, *parameters, reg=0.3))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_threads_and_a_bias_that_is_none(problem):
    module = PROBLEMS[problem]
    X, y, *parameters = case_of(problem, bias=False)
    blocks = Blocks(blocks_of(X, y))
    answers = {bits(module.gradient(blocks, None, *parameters, threads=n)) for n in (1, 2, None)}
    assert len(answers) == 1
    if problem != "two_layer":
        assert module.gradient(blocks, None, *parameters).b is None


def test_class_weight():
    X, y, *parameters = case_of("softmax")
    weights, blocks = {"class_weight": {0: 2.0, 3: 0.5}}, Blocks(blocks_of(X, y, cuts=[]))
    expected = softmax.average(softmax.sums(X, y, *parameters, **weights), *parameters)
    assert bits(softmax.loss_and_gradient(blocks, None, *parameters, **weights)) == bits(expected)
    with pytest.raises(ValueError, match="block 0: class_weight is 'balanced', and a block"):
        softmax.loss(blocks, None, *parameters, class_weight="balanced")


def test_probabilities_and_several_targets():
    """What `sums` takes for y of a block."""
    X, _, W, b = case_of("softmax")
    rng = np.random.default_rng(0)
    P, options = rng.dirichlet(np.ones(4), 60), {"label_smoothing": 0.1, "reg": 0.3}
    whole = softmax.loss_and_gradient(X, P, W, b, **options)
    one = softmax.loss_and_gradient(Blocks(blocks_of(X, P)), None, W, b, **options)
    np.testing.assert_allclose(one[0], whole[0], rtol=1e-13)
    np.testing.assert_allclose(one[1].W, whole[1].W, rtol=0, atol=1e-13)
    assert softmax.objective(Blocks(blocks_of(X, P)), None).size == 16
    Y, V = rng.normal(size=(60, 2)), rng.normal(size=(3, 2))
    several = linear.loss(Blocks(blocks_of(X, Y)), None, V)
    np.testing.assert_allclose(several, linear.loss(X, Y, V), rtol=1e-13)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_out(problem):
    module, (X, y, *parameters) = PROBLEMS[problem], case_of(problem)
    blocks = Blocks(blocks_of(X, y))
    expected = module.gradient(blocks, None, *parameters)
    out = module.Gradient(*(g if isinstance(g, float) else np.full_like(g, 7) for g in expected))
    given = module.gradient(blocks, None, *parameters, out=out)
    assert given[0] is out[0]
    assert bits(given) == bits(expected)


def test_whatever_can_be_iterated_again(tmp_path):
    X, y, *parameters = case_of("linear")
    expected = linear.loss(Blocks(blocks_of(X, y)), None, *parameters)
    mapped = as_memmap(X, tmp_path / "X")
    filled = [(A.tolist(), z.tolist()) if len(A) else (A, z) for A, z in blocks_of(X, y)]
    for blocks in (blocks_of(mapped, y), tuple(filled)):
        assert linear.loss(Blocks(blocks), None, *parameters) == expected
    lists = [list(block) for block in blocks_of(X, y)]
    assert linear.loss(Blocks(lambda: (block for block in lists)), None, *parameters) == expected


def test_a_problem_of_your_own():
    problem = kernels.Problem("poisson", **DECLARATION)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = rng.poisson(np.exp(X @ [0.5, -0.2, 0.1] + 1))
    found = [
        problem.descend(*data, learning_rate=0.1, gtol=1e-9, max_iter=100_000)
        for data in ((X, y), (Blocks(blocks_of(X, y)), None))
    ]
    # Where the gradient is at most 1e-9, of a loss whose curvature is above 0.5.
    np.testing.assert_allclose(found[0].w, found[1].w, rtol=0, atol=4e-9 / 0.5)


# ---- reading ----


def test_the_next_block_is_read_meanwhile_and_no_more():
    """The second block is asked for before the first is computed, the third not until later."""
    X, y, *_ = case_of("linear")
    read, second = [], threading.Event()

    def blocks():
        for n, block in enumerate(blocks_of(X, y, cuts=[10, 20, 30, 40])):
            read.append(n)
            if n == 1:
                second.set()
            yield block

    iterator = iter(Blocks(blocks))
    next(iterator)
    assert second.wait(10)
    assert read == [0, 1]
    iterator.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("kernels-blocks")]


class Counted(np.ndarray):
    """An array that counts how many there are."""

    now, most = 0, 0

    def __new__(cls, *_):
        Counted.now += 1
        Counted.most = max(Counted.most, Counted.now)
        return np.ones((1000, 3)).view(cls)

    def __del__(self):
        if self.base is None or type(self.base) is np.ndarray:
            Counted.now -= 1


def test_memory_holds_two_blocks():
    blocks = Blocks(lambda: ((Counted(), np.ones(1000)) for _ in range(20)))
    assert linear.loss(blocks, None, np.ones(3), 0.0) == 2.0
    assert (Counted.now, Counted.most) == (0, 2)


def test_an_error_while_reading_is_that_error():
    X, y, *parameters = case_of("linear")

    def blocks():
        yield X, y
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match=r"^the disk is gone$"):
        linear.loss(Blocks(blocks), None, *parameters)


def test_progress(capsys):
    X, y, *parameters = case_of("linear")
    linear.loss(Blocks(blocks_of(X, y), progress=True), None, *parameters)
    assert "7/7" in capsys.readouterr().err


def test_progress_without_tqdm():
    done = run_program(
        "import sys; sys.modules['tqdm'] = sys.modules['tqdm.auto'] = None\n"
        "import kernels\n"
        "blocks = kernels.Blocks([([[1.0]], [1.0])], progress=True)\n"
        "kernels.linear.loss(blocks, None, [0.0])"
    )
    assert "progress=True needs tqdm: pip install 'numba-gradient-kernels[progress]'" in done.stderr


MEMORY = """
import json, sys
import numpy as np
from kernels import Blocks, logistic

N, D, rows = 400_000, 100, 10_000  # 320 MB in blocks of 8
rng = np.random.default_rng(0)
first, y = rng.normal(size=(rows, D)), rng.choice([-1, 1], rows)
with open(PATH, "wb") as file:
    for _ in range(N // rows):
        file.write(first.tobytes())

def largest():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

def blocks():
    for start in range(0, N, rows):
        yield np.memmap(PATH, np.float64, "r", start * D * 8, (rows, D)), y

logistic.loss_and_gradient(first, y, np.zeros(D), 0.0)  # compiles
before = largest()
loss, gradient = logistic.loss_and_gradient(Blocks(blocks), None, np.zeros(D), 0.0)
print(json.dumps([largest() - before, N * D * 8, loss]))
"""


@linux
@pytest.mark.slow
def test_a_file_larger_than_the_memory_it_takes(tmp_path):
    """A file of 320 MB, mapped a block of 8 at a time: a few blocks are resident at most."""
    done = run_program(MEMORY.replace("PATH", repr(str(tmp_path / "X"))))
    assert done.returncode == 0, done.stderr
    most, size, loss = json.loads(done.stdout)
    assert most < 40e6 < size
    assert loss == pytest.approx(math.log(2), rel=1e-12)


# ---- objective ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_objective(problem, bias, dtype):
    module = PROBLEMS[problem]
    X, y, *_ = case_of(problem, 3, dtype=dtype)
    blocks, s = Blocks(blocks_of(X, y, some_weights())), some_weights()
    options = {"reg": 0.3, "fit_bias": bias}
    options |= {"hidden": 5, "std": 0.5, "rng": 3} if problem == "two_layer" else {}
    f = module.objective(blocks, None, **options)
    whole = module.objective(X, y, sample_weight=s, **options)
    assert isinstance(f, kernels.Objective)
    assert f.size == whole.size
    assert bits(f.start()) == bits(whole.start())
    flat = np.random.default_rng(1).normal(size=f.size)
    parameters = f.unpack(flat)
    assert type(parameters) is module.Parameters
    assert bits(parameters) == bits(whole.unpack(flat))
    assert (
        f.pack(
            *(None if p is None or (k % 2 and not bias) else p for k, p in enumerate(parameters))
        ).tolist()
        == flat.tolist()
    )
    loss, gradient = f(flat)
    assert (gradient.dtype, gradient.shape) == (np.float64, (f.size,))
    given = [None if p is None else np.asarray(p, dtype) for p in parameters]
    given[1::2] = [p if p is None or p.ndim else float(p) for p in given[1::2]]
    expected = module.loss_and_gradient(blocks, None, *given, reg=0.3)
    assert loss == expected[0]
    fitted = [g for k, g in enumerate(expected[1]) if bias or k % 2 == 0]
    assert gradient.tolist() == [float(x) for g in fitted for x in np.ravel(g)]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_optimisers(problem):
    X, y, *_ = case_of(problem, 2)
    options = {"hidden": 5, "std": 0.5} if problem == "two_layer" else {}
    f = PROBLEMS[problem].objective(Blocks(blocks_of(X, y)), None, reg=0.1, **options)
    step, flat = 1e-6, np.random.default_rng(1).normal(size=f.size)
    error = check_grad(lambda v: f(v)[0], lambda v: f(v)[1], flat, epsilon=step, direction="all")
    # See test_objective.py.
    assert error <= math.sqrt(f.size) * (10 * step / 2 + 2 * 10 * 2.3e-16 * 60 / step)
    found = minimize(f, f.start(), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-7})
    if problem != "two_layer":
        assert np.abs(f(found.x)[1]).max() <= 1e-5
        whole = PROBLEMS[problem].objective(X, y, reg=0.1)
        # Of a loss that is convex by reg (the bias: by the data) at least 0.05.
        assert abs(found.fun - whole(found.x)[0]) <= 1e-14
        assert np.abs(whole(found.x)[1]).max() <= 1.1e-5


def test_an_objective_that_overflows():
    f = linear.objective(Blocks([(np.ones((2, 1)), np.ones(2))]), None)
    for flat in ([1e200, 0.0], [np.nan, 0.0]):
        with np.errstate(all="raise"):
            loss, gradient = f(np.array(flat))
        assert loss == math.inf
        assert gradient.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", ["numpy", "tiled"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_hessian_vector_products(problem, variant, dtype):
    """Against differences of the gradient, with empty blocks, and one whose weights are 0."""
    X, y, *_ = case_of(problem, 3, dtype=dtype)
    options = {"reg": 0.3, "variant": variant}
    options |= {"hidden": 5, "std": 0.5} if problem == "two_layer" else {}
    exact = blocks_of(X.astype(float), y, some_weights())
    f, g = (
        PROBLEMS[problem].objective(Blocks(blocks), None, **options)
        for blocks in (blocks_of(X, y, some_weights().astype(dtype)), exact)
    )
    rng = np.random.default_rng(1)
    flat, p = rng.normal(size=(2, f.size)).astype(dtype).astype(float)
    product = f.hessp(flat, p)
    assert (product.dtype, product.shape) == (np.float64, (f.size,))
    # Of a third derivative of at most 100 ‖p‖² and gradients of at most 10, each rounded.
    step, length = 1e-5, np.linalg.norm(p)
    right = (g(flat + step * p)[1] - g(flat - step * p)[1]) / (2 * step)
    eps = np.finfo(dtype).eps
    bound = 100 * (length * step) ** 2 * length + 60 * 10 * 2.3e-16 / step + 600 * eps * length
    assert np.abs(product - right).max() <= bound
    assert np.abs(right).max() > 100 * bound
    assert f.hessp(flat, p).tobytes() == product.tobytes()


def test_hessian_vector_products_are_the_averaged_sums_of_the_blocks():
    """They have the bits of one block where there is one, and are 0 where they overflow."""
    X, y, *_ = case_of("logistic")
    one = logistic.objective(Blocks([(X, y)]), None, reg=0.1, fit_bias=False)
    whole = logistic.objective(X, y, reg=0.1, fit_bias=False)
    flat, p = np.random.default_rng(0).normal(size=(2, 3))
    assert one.hessp(flat, p).tolist() == whole.hessp(flat, p).tolist()
    for far in (np.full(3, np.nan), np.full(3, 1e308)):
        with np.errstate(all="raise"):
            assert one.hessp(flat, far).tolist() == [0.0] * 3
    assert np.abs(one.hessp(flat, np.full(3, 1e200))).min() > 1e196  # its penalty overflows
    with pytest.raises(ValueError, match="variant 'loop' has no Hessian-vector product"):
        logistic.objective(Blocks([(X, y)]), None, variant="loop").hessp(np.zeros(4), np.zeros(4))


def test_newton_over_blocks():
    X, y, *_ = case_of("softmax", 2)
    f = softmax.objective(Blocks(blocks_of(X, y)), None, reg=0.1)
    found = minimize(f, f.start(), jac=True, hessp=f.hessp, method="trust-ncg", tol=1e-7)
    assert np.abs(softmax.objective(X, y, reg=0.1)(found.x)[1]).max() <= 1e-6


def test_a_fit_of_several_targets():
    X, *_ = case_of("linear")
    Y = np.random.default_rng(0).normal(size=(60, 2))
    blocks, whole = Blocks(blocks_of(X, Y)), linear.objective(X, Y, reg=0.1)
    f = linear.objective(blocks, None, reg=0.1)
    flat, p = np.random.default_rng(1).normal(size=(2, 8))
    assert (f.size, f.unpack(flat).w.shape) == (8, (3, 2))
    np.testing.assert_allclose(f(flat)[1], whole(flat)[1], rtol=0, atol=1e-13)
    np.testing.assert_allclose(f.hessp(flat, p), whole.hessp(flat, p), rtol=0, atol=1e-13)
    options = {"learning_rate": 0.1, "max_iter": 5, "tol": 0}
    fits = [linear.descend(*data, **options) for data in ((blocks, None), (X, Y))]
    np.testing.assert_allclose(fits[0].w, fits[1].w, rtol=0, atol=1e-13)
    more = linear.descend(blocks, None, start=fits[0], **options)
    assert more.losses[:5].tolist() == fits[0].losses.tolist()
    with pytest.raises(
        ValueError, match=r"y has shape \(60, 2\), several targets, and w the weight"
    ):
        linear.descend(blocks, None, w=np.zeros(3), **options)
    wide = Blocks([(X[:3], np.ones((3, 5)))])
    assert linear.objective(wide, None).size == 20


# ---- descent ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_descent_steps_by_the_averaged_gradient(problem, dtype):
    """Each step, and the losses, callbacks and the parts that a descent is continued in."""
    module = PROBLEMS[problem]
    X, y, *parameters = case_of(problem, 4, dtype=dtype)
    blocks, seen = Blocks(blocks_of(X, y)), []
    start = dict(zip(module.Parameters._fields, parameters, strict=True))
    fit = module.descend(
        blocks, None, **start, **RATE, max_iter=7, callback=lambda *now: seen.append(now) and None
    )
    now = [np.atleast_1d(np.asarray(p, dtype)) for p in parameters]
    for n in range(7):
        given = [float(p[0]) if not np.ndim(q) else p for p, q in zip(now, parameters, strict=True)]
        loss, gradient = module.loss_and_gradient(blocks, None, *given, reg=RATE["reg"])
        assert seen[n][:2] == (n, loss)
        assert fit.losses[n] == loss
        steps = [dtype_of(0.2, dtype) * np.asarray(g, dtype) for g in gradient]
        now = [p - step for p, step in zip(now, steps, strict=True)]
    # What the compiler may contract to one operation is off by one rounding a step.
    eps = np.finfo(dtype).eps
    for p, q in zip(fit, now, strict=False):
        np.testing.assert_allclose(np.ravel(p), np.ravel(q), rtol=0, atol=7 * 20 * eps)
    first = module.descend(blocks, None, **start, **RATE, max_iter=3)
    second = module.descend(blocks, None, start=first, **RATE, max_iter=4)
    assert bits(second[:2]) == bits(fit[:2])
    assert second.losses.tolist() == fit.losses.tolist()


def dtype_of(number, dtype):
    return np.dtype(dtype).type(number)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_descent_converges_where_that_of_arrays_does(problem):
    X, y, *_ = case_of(problem, 2)
    more = {"hidden": 3, "std": 0.5, "max_iter": 50} if problem == "two_layer" else {}
    options = {"learning_rate": 0.2, "reg": 0.1, "gtol": 1e-9, "fit_bias": False} | more
    with pytest.warns(kernels.ConvergenceWarning) if more else contextlib.nullcontext():
        one = PROBLEMS[problem].descend(Blocks(blocks_of(X, y)), None, **options)
    if problem == "two_layer":
        assert "raise max_iter, or pass what objective returns" in one.message
        assert one.losses[-1] < one.losses[0]
        return
    other = PROBLEMS[problem].descend(X, y, **options)
    assert one.converged
    assert one.gradient_norm <= 1e-9
    # Where the gradient is at most 1e-9, of a loss whose curvature is at least reg.
    np.testing.assert_allclose(
        one[0], other[0], rtol=0, atol=2 * 1e-9 * math.sqrt(other[0].size) / 0.1
    )


def test_a_descent_that_diverges():
    X, y, *_ = case_of("linear")
    with pytest.raises(kernels.DivergenceError) as error:
        linear.descend(Blocks(blocks_of(X, y)), None, learning_rate=1e3)
    assert "learning_rate=1000 is too large. Pass a smaller one" in str(error.value)
    assert dict(advised(str(error.value).replace("such as ", ""), {})) == {}
    with pytest.raises(FloatingPointError, match="block 0: every input is finite, but"):
        linear.descend(
            Blocks([(np.full((2, 1), 1e200), np.ones(2))]), None, w=[1e200], learning_rate=0.1
        )


# ---- errors ----


def test_what_cannot_be_iterated_again():
    X, y, *parameters = case_of("linear")
    one_shot = (block for block in blocks_of(X, y))
    with pytest.raises(
        TypeError, match=r"a builtins\.generator, which can be iterated once"
    ) as error:
        Blocks(one_shot)
    advice = next(
        value
        for _, value in advised(f"pass {str(error.value).split(', or ')[1]}", {"blocks": one_shot})
    )
    assert linear.loss(Blocks(advice), None, *parameters) > 0
    with pytest.raises(TypeError, match=r"blocks is 3 \(int\): pass a list of"):
        Blocks(3)


@pytest.mark.parametrize("call", ["loss_and_gradient", "objective", "descend"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_error_names_the_block_and_the_row(problem, call):
    X, y, *parameters = case_of(problem)
    holes = X.copy()
    holes[45, 1] = np.nan  # row 5 of block 5
    parameters = parameters if call == "loss_and_gradient" else []
    options = {"learning_rate": 0.1} if call == "descend" else {}
    function = getattr(PROBLEMS[problem], call)
    with pytest.raises(ValueError, match="block 5: X holds nan at row 5, column 1"):
        function(Blocks(blocks_of(holes, y)), None, *parameters, **options)
    s = np.ones(60)
    s[45] = 0  # absent
    s[3] = -1
    for weights, what in ((s, r"block 2: sample_weight\[3\] is -1"), (np.abs(s), None)):
        blocks = Blocks(blocks_of(holes, y, weights))
        if what:
            with pytest.raises(ValueError, match=what):
                function(blocks, None, *parameters, **options)
        elif call != "descend":
            function(blocks, None, *parameters, **options)


def test_errors_of_blocks():
    X, y, w, b = case_of("logistic")
    wrong = blocks_of(X, y)
    wrong[3] = wrong[3][0], wrong[3][1][:-1]
    with pytest.raises(ValueError, match="block 3: y has 22 values and X has 23 rows"):
        logistic.loss(Blocks(wrong), None, w, b)
    with pytest.raises(ValueError, match=r"block 0: w must have shape .* \(X has 3 features\)"):
        logistic.loss(Blocks(blocks_of(X, y)), None, w[:2], b)
    for block in (X, (X,), (X, y, y, y), None):
        with pytest.raises(TypeError, match=r"block 0: .*pass \(X, y\) or \(X, y, sample_weight\)"):
            logistic.loss(Blocks([block]), None, w, b)
    with pytest.raises(
        TypeError, match=r"y is .* and X is Blocks: pass y=None, and each block's y"
    ):
        logistic.loss(Blocks(blocks_of(X, y)), y, w, b)
    with pytest.raises(TypeError, match=r"sample_weight is .*as its third part"):
        logistic.loss(Blocks(blocks_of(X, y)), None, w, b, sample_weight=np.ones(60))
    for call in (logistic.update, logistic.predict):
        rest = (w, b) if call is logistic.predict else (None, w, b)
        more = {} if call is logistic.predict else {"learning_rate": 0.1}
        with pytest.raises(TypeError, match=r"X is a kernels\.blocks\.Blocks: pass an array"):
            call(Blocks(blocks_of(X, y)), *rest, **more)


def test_nothing_to_average():
    X, y, *parameters = case_of("logistic")
    with pytest.raises(ValueError, match="X has no blocks"):
        logistic.loss(Blocks([]), None, *parameters)
    for blocks in ([], blocks_of(X[:0], y[:0], cuts=[]), blocks_of(X, y, np.zeros(60))):
        with pytest.raises(ValueError, match="X has no sample of positive weight in any block"):
            logistic.objective(Blocks(blocks), None)
    with pytest.raises(ValueError, match="the total weight of the sums is 0"):
        logistic.loss(Blocks(blocks_of(X, y, np.zeros(60))), None, *parameters)


def test_labels_of_all_blocks():
    X, y = case_of("softmax")[:2]
    assert softmax.objective(Blocks(blocks_of(X, np.sort(y))), None).size == 16
    assert two_layer.objective(Blocks(blocks_of(X, y)), None, classes=6, hidden=2).size == 26
    with pytest.raises(ValueError, match="classes is 3 and the highest label in y is 3"):
        softmax.objective(Blocks(blocks_of(X, y)), None, classes=3)
    with pytest.raises(ValueError, match="y holds a single class, 1"):
        logistic.objective(Blocks(blocks_of(X, np.ones(60))), None)
    mixed = [(X[:30], y[:30] > 1), (X[30:], np.where(y[30:] > 1, 1, -1))]
    with pytest.raises(ValueError, match=r"y of all blocks holds \[-1, +0, +1\], and y\[1\]"):
        logistic.objective(Blocks(mixed), None)
    with pytest.raises(ValueError, match="the highest label in y is 900, with 60 samples"):
        softmax.objective(Blocks(blocks_of(X, np.where(y == 3, 900, y))), None)


def test_what_a_descent_over_blocks_cannot_do():
    X, y = case_of("softmax")[:2]
    blocks = Blocks(blocks_of(X, y))
    with pytest.raises(ValueError, match="learning_rate is None, and for data in blocks"):
        softmax.descend(blocks, None)
    with pytest.raises(ValueError, match="batch_size was given and X is Blocks"):
        softmax.descend(blocks, None, learning_rate=0.1, batch_size=9)
    with pytest.raises(ValueError, match="validation was given and X is Blocks"):
        two_layer.descend(blocks, None, learning_rate=0.1, validation=(X, y))
