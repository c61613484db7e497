"""Hessian-vector products: against differences of the gradient, and what holds of any Hessian."""

import autograd
import autograd.numpy as anp
import numba
import numpy as np
import pytest
from autograd.misc.flatten import flatten

import kernels
from kernels import linear, logistic, softmax, two_layer
from tests.helpers.cases import (
    DTYPES,
    LAYOUTS,
    PROBLEMS,
    SHAPES,
    case_of,
    large_batch,
    random_batch,
    without_bias,
)
from tests.helpers.comparison import assert_within, bits
from tests.helpers.declaration import DECLARATION
from tests.helpers.interpreter import run_program
from tests.helpers.marks import compiled
from tests.helpers.oracle import hessian_vector_product

VARIANTS = ["numpy", "tiled"]


def vector_of(problem, batch, seed=0):
    """A random direction in the parameters of a batch."""
    X, _, *parameters = batch
    rng = np.random.default_rng(seed)
    drawn = [None if p is None else rng.normal(size=np.shape(p)) for p in parameters]
    return tuple(v if v is None else v.astype(X.dtype) if np.ndim(v) else float(v) for v in drawn)


def product(problem, batch, vector, **options):
    return PROBLEMS[problem].hessian_vector_product(*batch, *vector, **options)


def flat(parts):
    return np.concatenate([np.ravel(part) for part in parts if part is not None])


# ---- the numbers ----


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_is_the_derivative_of_the_gradient(problem, variant, dtype, shape):
    """With weights and a penalty, with a bias and without."""
    rng = np.random.default_rng(5)
    batch = random_batch(problem, rng, shape, dtype)
    s = rng.integers(0, 3, len(batch[0]))
    s[0] = 1
    for case, weights in ((batch, s), (without_bias(problem, batch), None)):
        vector = vector_of(problem, case)
        options = {"reg": 0.3, "sample_weight": weights}
        expected = hessian_vector_product(problem, case, vector, **options)
        got = product(problem, case, vector, **options, variant=variant)
        assert type(got) is PROBLEMS[problem].Gradient
        assert [part is None for part in got] == [p is None for p in case[2:]]
        parts = [part for part in got if part is not None]
        for bounded, part in zip(expected, parts, strict=True):
            assert_within(bounded, part, "product")
            assert isinstance(part, float) or part.dtype == dtype


@pytest.mark.parametrize("problem", ["softmax", "two_layer"])
def test_automatic_differentiation(problem):
    batch = case_of(problem, 1)
    X, y, *parameters = batch
    vector = vector_of(problem, batch)

    def loss(parameters):
        h = X
        for W, b in zip(parameters[::2], parameters[1::2], strict=True):
            z = anp.dot(h, W) + b
            h = anp.maximum(z, 0)
        return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - z[np.arange(len(y)), y])

    start, unflatten = flatten(tuple(parameters))
    of_flat = autograd.hessian_vector_product(lambda flat: loss(unflatten(flat)))
    expected = unflatten(of_flat(start, flatten(vector)[0]))
    # Both are sums of 60 terms of moderate size.
    for got, right in zip(product(problem, batch, vector), expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-13 * (1 + np.abs(right).max()))


def test_torch():
    torch = pytest.importorskip("torch")
    batch = case_of("softmax", 1)
    X, y, W, b = batch
    vector = vector_of("softmax", batch)
    tensors = [torch.tensor(a) for a in (X, y, *vector)]

    def loss(W, b):
        return torch.nn.functional.cross_entropy(tensors[0] @ W + b, tensors[1])

    parameters = torch.tensor(W), torch.tensor(b)
    _, expected = torch.autograd.functional.hvp(loss, parameters, tuple(tensors[2:]))
    for got, right in zip(product("softmax", batch, vector), expected, strict=True):
        np.testing.assert_allclose(got, right.numpy(), rtol=0, atol=1e-13)


def test_jax():
    jax = pytest.importorskip("jax")
    X, y, *parameters = batch = case_of("two_layer", 1, dtype=np.float32)
    vector = vector_of("two_layer", batch)

    def loss(parameters):
        W1, b1, W2, b2 = parameters
        z = jax.nn.relu(X @ W1 + b1) @ W2 + b2
        return -jax.nn.log_softmax(z)[np.arange(len(y)), y].mean()

    _, expected = jax.jvp(jax.grad(loss), (tuple(parameters),), (vector,))
    for got, right in zip(product("two_layer", batch, vector), expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-4 * (1 + np.abs(right).max()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_hessian_is_symmetric_and_linear(problem, variant):
    batch = case_of(problem, 2)
    u, v = vector_of(problem, batch, 1), vector_of(problem, batch, 2)
    Hu, Hv = (flat(product(problem, batch, d, reg=0.1, variant=variant)) for d in (u, v))
    sizes = np.abs(flat(u)) @ np.abs(Hv) + np.abs(flat(v)) @ np.abs(Hu)
    # Each product is a sum of 60 terms, of scores of at most 5 more.
    assert abs(flat(u) @ Hv - flat(v) @ Hu) <= 100 * np.finfo(float).eps * (1 + sizes) * 10
    twice = tuple(2 * part for part in v)
    np.testing.assert_array_equal(
        flat(product(problem, batch, twice, reg=0.1, variant=variant)), 2 * Hv
    )


def test_saturated_probabilities():
    """p (1 - p) and p ∘ (t - p·t) are not lost where p is 1 to rounding."""
    w, one = [40.0], np.array([[1.0]])
    for variant in VARIANTS:
        got = logistic.hessian_vector_product(one, [1], w, None, [1.0], None, variant=variant)
        np.testing.assert_allclose(got.w, [np.exp(-40.0)], rtol=1e-14)
        W, V = [[0.0, 40.0]], [[1.0, 0.0]]
        got = softmax.hessian_vector_product(one, [1], W, None, V, None, variant=variant)
        np.testing.assert_allclose(got.W[0, 0], np.exp(-40.0), rtol=1e-14)


# ---- the engine ----


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_layouts_threads_and_inputs(problem, dtype):
    """Bits do not depend on the threads, and numbers not on the layout; inputs stay as they are."""
    batch = large_batch(problem, dtype=dtype)
    vector = vector_of(problem, batch)
    copies = [np.array(p) for p in (*batch, *vector)]
    right = flat(product(problem, batch, vector, reg=0.1, variant="numpy"))
    for name in ("C", "F", "sliced", "negative_stride", "read_only"):
        laid_out = LAYOUTS[name](batch[0]), *batch[1:]
        answers = [product(problem, laid_out, vector, reg=0.1, threads=n) for n in (1, 2, 3, None)]
        assert len(set(map(bits, answers))) == 1
        # Sums of 40003 terms of size 1, whose errors cancel on the average.
        np.testing.assert_allclose(flat(answers[0]), right, rtol=0, atol=2e3 * np.finfo(dtype).eps)
    for part, copy in zip((*batch, *vector), copies, strict=True):
        assert np.array_equal(part, copy)


@compiled
@pytest.mark.parametrize(
    "shape", [(50, 300, 30, 40), (7, 1000, 33, 24), (300, 512, 6, 300), (2100, 256, 280, 270)]
)
@pytest.mark.parametrize("problem", ["softmax", "two_layer"])
def test_many_parameters(problem, shape):
    """Both are computed by the pass over parameters, in parts of D, super-tiles and blocks."""
    batch = case_of(problem, 3, shape)
    X, y, *parameters = batch
    vector, s = vector_of(problem, batch), np.random.default_rng(3).integers(0, 3, len(y))
    options = {"reg": 0.1, "sample_weight": s + (np.arange(len(y)) == 0)}
    right = flat(product(problem, batch, vector, variant="numpy", **options))
    for name in ("C", "F", "sliced"):
        laid_out = LAYOUTS[name](X), y, *parameters
        answers = [product(problem, laid_out, vector, threads=n, **options) for n in (1, 2, 3)]
        assert len(set(map(bits, answers))) == 1
        np.testing.assert_allclose(flat(answers[0]), right, rtol=0, atol=1e-11)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_absent_and_repeated_samples(problem, variant):
    """A sample of weight 0 is not looked at; one of weight 2 is as good as two."""
    X, y, *parameters = batch = case_of(problem, 4)
    vector, s = vector_of(problem, batch), np.random.default_rng(0).integers(0, 3, 60)
    repeated = np.repeat(np.arange(60), s)
    right = product(problem, (X[repeated], y[repeated], *parameters), vector, variant=variant)
    holes, labels = np.where(s[:, None] == 0, np.nan, X), np.where(s == 0, -7, y)
    got = product(problem, (holes, labels, *parameters), vector, sample_weight=s, variant=variant)
    np.testing.assert_allclose(flat(got), flat(right), rtol=0, atol=1e-13)


def test_class_weight():
    for module in (softmax, logistic, two_layer):
        name = module.PROBLEM.name
        batch = case_of(name, 4)
        vector, y = vector_of(name, batch), batch[1]
        classes = (-1, 1) if module is logistic else range(4)
        factors = np.arange(1.0, len(classes) + 1)
        s = factors[np.searchsorted(classes, y)]
        right = product(name, batch, vector, sample_weight=s)
        for class_weight in (factors, dict(zip(classes, factors, strict=True))):
            assert bits(product(name, batch, vector, class_weight=class_weight)) == bits(right)


@compiled
@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_needs_a_cast_at_most_is_not_validated(problem, monkeypatch):
    X, y, *parameters = batch = case_of(problem, 7)
    vector = vector_of(problem, batch)
    cast = [p.astype(np.float32).astype(float) if np.ndim(p) else p for p in parameters]
    right = bits(product(problem, (X, y, *cast), vector, reg=0.1))
    monkeypatch.setattr(PROBLEMS[problem].PROBLEM.products, "validated", None)
    cast = [p.astype(np.float32) if np.ndim(p) else p for p in parameters]
    ones = np.ones(len(y), np.float32)
    for weights in (None, ones):
        got = product(problem, (X, y.tolist(), *cast), vector, reg=0.1, sample_weight=weights)
        assert bits(got) == right


def test_a_second_derivative_that_is_a_number():
    """As good as a function that returns it."""

    @numba.njit
    def two(z, y):
        return 2.0

    X, y, w, b = case_of("linear", 8)
    declaration = {name: DECLARATION[name] for name in ("parameters", "loop", "numpy", "residual")}
    for variant in VARIANTS:
        answers = [
            kernels.Problem("mine", **declaration, second_derivative=given).hessian_vector_product(
                X, y, w, b, w, b, reg=0.1, variant=variant
            )
            for given in (two, 2.0)
        ]
        np.testing.assert_allclose(*map(flat, answers), rtol=1e-13)


# ---- where numbers leave a dtype ----


def test_sums_that_overflow():
    """An average that float32 can hold is found in wider floats."""
    X = np.full((1000, 1), 1e18, np.float32)
    for variant in VARIANTS:
        options = {"variant": variant}
        got = linear.hessian_vector_product(X, np.zeros(1000), [1], 0, [1], 0, **options)
        np.testing.assert_allclose(got.w, 1e36, rtol=1e-6)
        with pytest.raises(FloatingPointError, match="too large for float32"):
            linear.hessian_vector_product(X, np.zeros(1000), [1], 0, [1e10], 0, **options)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_score_that_overflows(variant):
    """It would look like a class of probability 0: it is computed in wider floats."""
    X = np.array([[1.0, 1.0], [0.5, -0.5]])
    W, V = np.array([[0.0, -3e38], [1.0, -3e38]]), np.ones((2, 2)) * [[1.0, 0.0], [2.0, 1.0]]
    y, b = [0, 1], np.zeros(2)
    right = softmax.hessian_vector_product(X, y, W, b, V, b)
    arrays = [a.astype(np.float32) for a in (X, W, b, V)]
    x, W, b, V = arrays
    got = softmax.hessian_vector_product(x, y, W, b, V, b, variant=variant)
    np.testing.assert_allclose(got.W, right.W, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_extreme_weights_and_penalties(problem, variant):
    batch = case_of(problem, 6)
    vector = vector_of(problem, batch)
    s = np.where(np.arange(60) % 2, 1e-200, 1e-250)
    right = flat(product(problem, batch, vector, sample_weight=np.arange(60) % 2))
    got = flat(product(problem, batch, vector, sample_weight=s, variant=variant))
    np.testing.assert_allclose(got, right, rtol=0, atol=1e-13)
    large = product(problem, batch, vector, reg=1e30, variant=variant)
    np.testing.assert_allclose(large[0], 1e30 * vector[0], rtol=1e-14)


# ---- what is refused ----


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refusals(problem):
    X, y, *parameters = batch = case_of(problem)
    vector = list(vector_of(problem, batch))
    names = PROBLEMS[problem].Parameters._fields
    holes = X.copy()
    holes[3, 1] = np.nan
    with pytest.raises(ValueError, match="X holds nan at row 3, column 1"):
        product(problem, (holes, y, *parameters), vector)
    for variant in ("python", "loop"):
        with pytest.raises(ValueError, match=f"'{variant}' has no Hessian-vector product"):
            product(problem, batch, vector, variant=variant)
    with pytest.raises(ValueError, match="'fast' is not known: pass one of 'numpy', 'tiled'"):
        product(problem, batch, vector, variant="fast")
    with pytest.raises(ValueError, match="reg is -1"):
        product(problem, batch, vector, reg=-1)
    with pytest.raises(ValueError, match=f"V{names[0]} must have shape"):
        product(problem, batch, [vector[0][:-1], *vector[1:]])
    with pytest.raises(TypeError, match=f"V{names[0]} is None"):
        product(problem, batch, [None, *vector[1:]])
    wrong = y.astype(X.dtype)
    wrong[3] = {"linear": np.inf, "logistic": 3}.get(problem, 99)
    with pytest.raises(ValueError, match=r"y.* (inf|3\.0|99\.0)|y\[3\] is 99"):
        product(problem, (X, wrong, *parameters), vector)
    infinite = np.full_like(parameters[0], np.inf)
    with pytest.raises(ValueError, match=f"{names[0]} holds inf"):
        product(problem, (X, y, infinite, *parameters[1:]), vector)
    vector[0][0] = np.inf
    with pytest.raises(ValueError, match=f"V{names[0]} holds inf"):
        product(problem, batch, vector)
    if problem != "two_layer":
        for case, message in (((None, 1), "Vb is given and b is None"), ((1, None), "b is given")):
            biases = [None if given is None else parameters[1] for given in case]
            with pytest.raises(ValueError, match=message):
                product(problem, (X, y, parameters[0], biases[0]), [parameters[0], biases[1]])


def test_declarations_that_are_refused():
    """What cannot be a second derivative, and none at all."""
    without = kernels.Problem("poisson", **DECLARATION)
    assert not hasattr(without, "hessian_vector_product")
    f = without.objective(np.ones((3, 1)), [1, 2, 3])
    with pytest.raises(TypeError, match=r"no second derivative.*pass second_derivative="):
        f.hessp(f.start(), f.start())
    declared = DECLARATION | {"second_derivative": lambda z, y: z}
    with pytest.raises(TypeError, match=r"second_derivative is .*, which Numba has not compiled"):
        kernels.Problem("poisson", **declared)
    with pytest.raises(ValueError, match="pass both, or neither"):
        kernels.Problem(
            "mine",
            parameters={"W": "DK", "b": "K"},
            y=kernels.validate.CLASSES,
            loop=softmax.sums_loop,
            numpy=softmax.sums_numpy,
            residual=softmax.cross_entropy,
            second_derivative=softmax.cross_entropy_product,
        )


@compiled
def test_a_second_derivative_with_a_branch():
    @numba.njit
    def branching(z, y):
        return 1.0 if abs(z - y) < 1 else 0.0

    with pytest.raises(TypeError, match=r"write \(a < b\) \* c in place of a branch"):
        kernels.Problem("huber", **DECLARATION | {"second_derivative": branching})


PROGRAM = """
import numpy as np
from kernels import linear, logistic, softmax, two_layer
linear.gradient(np.ones((2, 1)), [1.0, 2.0], [0.0])
for module in linear, logistic, softmax, two_layer:
    assert "products" not in vars(module.PROBLEM)
"""


def test_it_costs_nothing_until_it_is_used():
    done = run_program(PROGRAM)
    assert done.returncode == 0, done.stderr
