"""`objective`: equal to `loss_and_gradient`, and what optimisers need of it."""

import math
import threading

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

import kernels
from kernels import linear, logistic, softmax, two_layer
from tests.helpers.advice import advised
from tests.helpers.cases import DTYPES, LAYOUTS, PROBLEMS, VARIANTS, case_of, large_batch
from tests.helpers.comparison import assert_averages, bits
from tests.helpers.declaration import DECLARATION

METHODS = ["CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP", "trust-constr", "Newton-CG"]
WITH_HESSP = ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"]


def objective_of(problem, batch, **options):
    """The objective on a batch, with as many classes and hidden units as its parameters have."""
    sizes = {"classes": batch[-1].shape[0]} if problem in ("softmax", "two_layer") else {}
    sizes |= {"hidden": batch[2].shape[1]} if problem == "two_layer" else {}
    return PROBLEMS[problem].objective(*batch[:2], **sizes, **options)


# ---- loss and gradient ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_it_is_the_averaged_loss_and_gradient(problem, variant, dtype):
    """In each variant within the oracle's bounds, and of the bits of the public function."""
    batch, rng = case_of(problem, 3, dtype=dtype), np.random.default_rng(0)
    for lowest in (1, 0, 0):  # a second call takes the memory of the first
        options = {"reg": 0.3, "sample_weight": rng.integers(lowest, 3, 60), "variant": variant}
        f = objective_of(problem, batch, **options)
        loss, gradient = f(f.pack(*batch[2:]))
        assert (gradient.dtype, gradient.shape) == (np.float64, (f.size,))
        parts = PROBLEMS[problem].Gradient(*f.unpack(gradient))
        assert_averages(problem, batch, (loss, parts), 0.3, options["sample_weight"])
        both = PROBLEMS[problem].loss_and_gradient(*batch, **options)
        if lowest:  # else the public function may pass over samples of weight 0
            assert bits((loss, f.pack(*both[1]))) == bits((both[0], gradient))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_flat_vectors(problem):
    """Each parameter in C order, in the order of the signature."""
    module, batch = PROBLEMS[problem], case_of(problem)
    f = objective_of(problem, batch)
    flat = f.pack(*batch[2:])
    assert flat.tolist() == [x for p in batch[2:] for x in np.ravel(p).tolist()]
    assert f.size == len(flat) == len(f.start())
    parameters = f.unpack(flat)
    assert type(parameters) is module.Parameters
    assert bits(parameters) == bits(tuple(batch[2:]))
    assert all(type(a) is type(b) for a, b in zip(parameters, batch[2:], strict=True))
    flat[:] = 0  # unpack has made copies
    assert np.any(parameters[0])
    assert f(flat.tolist())[0] == f(flat.astype(np.float32))[0] == f(flat[::1])[0] == f(flat)[0]
    spread = np.zeros(2 * f.size)[::2]
    assert bits(f(spread)) == bits(f(flat))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_without_a_bias(problem):
    """It is not in the vector; that of a network is 0."""
    module, batch = PROBLEMS[problem], case_of(problem)
    f, weights = objective_of(problem, batch, fit_bias=False, reg=0.1), batch[2::2]
    flat = f.pack(*(None if k % 2 else p for k, p in enumerate(batch[2:])))
    assert f.size == sum(p.size for p in weights)
    biases = [np.zeros_like(p) for p in batch[3::2]] if problem == "two_layer" else [None]
    parameters = [p for pair in zip(weights, biases, strict=True) for p in pair]
    loss, gradient = f(flat)
    expected, slope = module.loss_and_gradient(*batch[:2], *parameters, reg=0.1)
    assert loss == expected
    assert gradient.tolist() == [x for p in slope[::2] for x in p.ravel().tolist()]
    assert bits(f.unpack(flat)) == bits(tuple(parameters))
    with pytest.raises(ValueError, match="a bias b was given and fit_bias is False"):
        f.pack(*batch[2:])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_starts_as_a_descent_does(problem):
    X, y = case_of(problem)[:2]
    options = {"std": 0.5, "hidden": 7, "rng": 3} if problem == "two_layer" else {}
    f, seen = PROBLEMS[problem].objective(X, y, **options), []
    PROBLEMS[problem].descend(
        X, y, learning_rate=0.1, **options, callback=lambda *now: seen.append(now) or True
    )
    assert bits(f.unpack(f.start())) == bits(tuple(seen[0][2]))
    start = f.start()
    start[:] = 7
    assert not (f.start() == 7).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_layouts_threads_and_inputs(problem, dtype, tmp_path):
    batch = large_batch(problem, dtype=dtype)
    copies = [np.array(p) for p in batch]
    flat = objective_of(problem, batch).pack(*batch[2:])
    for name in ("sliced", "F", "read_only"):
        laid_out = LAYOUTS[name](batch[0]), *batch[1:]
        answers = [objective_of(problem, laid_out, threads=n)(flat) for n in (1, 2, 3, None)]
        assert len(set(map(bits, answers))) == 1
    for part, copy in zip(batch, copies, strict=True):
        assert np.array_equal(part, copy)


def test_threads_that_call_at_the_same_time():
    """Each call has memory of its own: the answers are those of one thread."""
    batch = case_of("softmax", shape=(3000, 10, 5, 5))
    f, rng = objective_of("softmax", batch, threads=1), np.random.default_rng(0)
    points = rng.normal(size=(8, f.size))
    expected, wrong = [bits(f(point)) for point in points], []

    def call(point, right):
        for _ in range(100):
            if bits(f(point)) != right:
                wrong.append(point)

    threads = [
        threading.Thread(target=call, args=pair) for pair in zip(points, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_problem_of_your_own():
    problem = kernels.Problem("poisson", **DECLARATION)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    y = rng.poisson(np.exp(X @ [0.5, -0.2, 0.1] + 1))
    f = problem.objective(X, y, reg=0.01)
    found = minimize(f, f.start(), jac=True, method="BFGS", options={"gtol": 1e-7})
    assert found.success
    fit = problem.descend(X, y, reg=0.01, learning_rate=0.1, gtol=1e-9, max_iter=100_000)
    # At most the gradient over the smallest curvature, reg or that of the data, which is above 0.5.
    np.testing.assert_allclose(f.pack(fit.w, fit.b), found.x, rtol=0, atol=2e-7 / 0.5)


# ---- Hessian-vector products ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", ["numpy", "tiled"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_hessp_is_the_hessian_vector_product(problem, variant, dtype):
    batch, rng = case_of(problem, 3, dtype=dtype), np.random.default_rng(0)
    options = {"reg": 0.3, "sample_weight": rng.integers(1, 4, 60), "variant": variant}
    f = objective_of(problem, batch, **options)
    p = rng.normal(size=f.size).astype(dtype).astype(float)
    product = f.hessp(f.pack(*batch[2:]), p)
    assert (product.dtype, product.shape) == (np.float64, (f.size,))
    right = PROBLEMS[problem].hessian_vector_product(*batch, *f.unpack(p), **options)
    assert bits(product) == bits(f.pack(*right))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_hessp_without_a_bias(problem):
    batch = case_of(problem)
    f = objective_of(problem, batch, fit_bias=False, reg=0.1)
    flat, p = np.random.default_rng(0).normal(size=(2, f.size))
    parameters, vector = f.unpack(flat), f.unpack(p)
    right = PROBLEMS[problem].hessian_vector_product(*batch[:2], *parameters, *vector, reg=0.1)
    assert f.hessp(flat, p).tolist() == [x for g in right[::2] for x in g.ravel().tolist()]


def test_hessp_that_overflows():
    """It is 0 without a warning or an error, so that an optimiser ends its inner iterations."""
    X = np.array([[1.0], [2.0], [4.0]])
    for x, large in ((X, 1e308), (X.astype(np.float32), 3e38)):
        f = softmax.objective(x, [0, 1, 2])
        with np.errstate(all="raise"):
            for flat, p in ((np.nan, 1.0), (1.0, np.inf), (0.0, large)):
                flat, p = np.full(6, flat), p * np.array([1.0, -1, 1, -1, 1, -1])
                assert f.hessp(flat, p).tolist() == [0.0] * 6
        assert f.hessp(f.start(), np.arange(6.0)).any()


@pytest.mark.parametrize("method", WITH_HESSP)
@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear"])
def test_methods_that_take_hessp(problem, method):
    """They find the optimum in a few iterations."""
    batch = case_of(problem, 2)
    f = objective_of(problem, batch, reg=0.1)
    found = minimize(f, f.start(), jac=True, hessp=f.hessp, method=method, tol=1e-7)
    assert found.nit <= 30
    assert np.abs(f(found.x)[1]).max() <= 1e-6


@pytest.mark.parametrize("method", WITH_HESSP)
def test_methods_that_take_hessp_on_a_network(method):
    """Where the loss is not convex."""
    batch = case_of("two_layer", 2)
    f = two_layer.objective(*batch[:2], hidden=5, std=0.5, reg=0.1)
    found = minimize(f, f.start(), jac=True, hessp=f.hessp, method=method)
    assert found.fun < f(f.start())[0] - 0.01


# ---- optimisers ----


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_check_grad(problem, bias):
    batch = case_of(problem, 5)
    f = objective_of(problem, batch, fit_bias=bias, reg=0.2)
    flat = np.random.default_rng(1).normal(size=f.size)
    step = 1e-6
    error = check_grad(lambda v: f(v)[0], lambda v: f(v)[1], flat, epsilon=step, direction="all")
    # Of forward differences: step/2 times the curvature, here below 10, and the rounding of two
    # losses below 10, over the step, in each of f.size components.
    assert error <= math.sqrt(f.size) * (10 * step / 2 + 2 * 10 * 2.3e-16 * 60 / step)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear"])
def test_methods_of_scipy_find_the_optimum(problem, method):
    module, batch = PROBLEMS[problem], case_of(problem, 2)
    f = objective_of(problem, batch, reg=0.1)
    options = {"SLSQP": {"ftol": 1e-15}, "L-BFGS-B": {"ftol": 0, "gtol": 1e-6}}
    options |= {"TNC": {"ftol": 0, "gtol": 1e-9}, "Newton-CG": {"xtol": 1e-10}}
    found = minimize(f, f.start(), jac=True, method=method, options=options.get(method, {}))
    loss, gradient = f(found.x)
    assert loss == found.fun
    assert np.abs(gradient).max() <= 1e-4
    fit = module.descend(*batch[:2], reg=0.1, gtol=1e-9, max_iter=100_000)
    best = module.loss(*batch[:2], *fit[:2], reg=0.1)
    # Of a loss that is convex by reg (the bias: by the data) at least 0.05.
    assert best - 1e-15 <= loss <= best + f.size * 1e-4**2 / (2 * 0.05)


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_scipy_on_a_network(method):
    batch = case_of("two_layer", 2)
    f = two_layer.objective(*batch[:2], hidden=5, std=0.5, reg=0.1)
    found = minimize(f, f.start(), jac=True, method=method)
    assert found.fun < f(f.start())[0] - 0.01


@pytest.mark.parametrize("method", METHODS)
def test_a_step_that_overflows(method):
    """No method ends with an exception or elsewhere than it began, and some come back to descend.

    SciPy's line searches shorten a step that is thousands of times too long by interpolation, or
    ten times by half: CG, BFGS and L-BFGS-B give up here, as with any large finite loss.
    """
    rng, problem, infinite = np.random.default_rng(0), kernels.Problem("p", **DECLARATION), []
    X = 300 * rng.normal(size=(200, 3))
    y = rng.poisson(np.exp(X @ [0.5 / 300, -0.2 / 300, 0.1 / 300] + 1))
    f = problem.objective(X, y, reg=1e-3)

    def watched(flat):
        loss, gradient = f(flat)
        assert np.isfinite(gradient).all()
        infinite.append(loss == math.inf)
        return loss, gradient

    found = minimize(watched, f.start(), jac=True, method=method)
    assert math.isfinite(found.fun)
    assert found.fun <= f(f.start())[0]
    assert any(infinite) or method in ("TNC", "Newton-CG")
    if method == "SLSQP":  # with trust-constr, it depends on rounding
        assert found.fun < -0.67


def test_an_infinite_loss():
    """Without a warning or an error whatever the caller's state of floating-point errors."""
    X = np.array([[1.0], [2.0], [4.0]])
    for x in (X, X.astype(np.float32)):
        f = linear.objective(x, [1.0, 2.0, 3.0])
        for flat in ([1e200, 0.0], [np.nan, 0.0], [0.0, np.inf], [-np.inf, np.nan]):
            with np.errstate(all="raise"):
                loss, gradient = f(np.array(flat))
            assert loss == math.inf
            assert gradient.tolist() == [0.0, 0.0]
        assert math.isfinite(f([1.0, 0.0])[0])  # the memory of the call before is none of its own
    # An average whose sum leaves float32 is found in wider floats.
    f = linear.objective(np.full((1000, 1), 1e18, np.float32), np.zeros(1000))
    loss, gradient = f([1.0, 0.0])
    assert loss == pytest.approx(5e35, rel=1e-6)
    np.testing.assert_allclose(gradient, [1e36, 1e18], rtol=1e-6)


# ---- errors ----


def test_errors_of_the_data():
    X, y = case_of("softmax")[:2]
    holes = X.copy()
    holes[3, 1] = np.nan
    for objective in (PROBLEMS[name].objective for name in PROBLEMS):
        with pytest.raises(ValueError, match="X holds nan at row 3, column 1"):
            objective(holes, y > 1)
        f = objective(holes, y > 1, sample_weight=np.arange(60) != 3)  # absent
        assert np.isfinite(f(f.start())[1]).all()
        with pytest.raises(ValueError, match="y has 60 values and X has 3 rows"):
            objective(X[:3], y)
        with pytest.raises(ValueError, match="reg is -1"):
            objective(X, y > 1, reg=-1)
        with pytest.raises(ValueError, match="variant 'fast' is not known"):
            objective(X, y > 1, variant="fast")
        with pytest.raises(ValueError, match="threads is 0"):
            objective(X, y > 1, threads=0)
        with pytest.raises(ValueError, match="sample_weight is 0 for every sample"):
            objective(X, y > 1, sample_weight=np.zeros(60))
    for objective in (softmax.objective, logistic.objective, two_layer.objective):
        with pytest.raises(ValueError, match="y holds a single class, 1"):
            objective(X, np.ones(60))
    with pytest.raises(TypeError, match="rng is 'a'"):
        two_layer.objective(X, y, rng="a")
    with pytest.raises(ValueError, match="hidden is 0"):
        two_layer.objective(X, y, hidden=0)


def test_the_number_of_classes():
    X, y = case_of("softmax")[:2]
    assert softmax.objective(X, y).unpack(np.zeros(16)).W.shape == (3, 4)
    assert softmax.objective(X, 0 * y, classes=2).size == 8
    assert two_layer.objective(X, y, classes=6, hidden=2).size == 3 * 2 + 2 + 2 * 6 + 6
    with pytest.raises(ValueError, match=r"classes is 3 and the highest label in y is 3") as error:
        softmax.objective(X, y, classes=3)
    advice = dict(advised(str(error.value), {"np": np, "y": y}))
    assert softmax.objective(X, y, classes=advice["classes"]).size == 16
    with pytest.raises(ValueError, match="the highest label in y is 900, with 60 samples") as error:
        softmax.objective(X, np.where(y == 3, 900, y))
    assert "or classes= with their number" in str(error.value)
    with pytest.raises(TypeError, match="classes must be a whole number"):
        softmax.objective(X, y, classes="4")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_errors_of_vectors(problem):
    batch = case_of(problem)
    f = objective_of(problem, batch)
    names = ", ".join(PROBLEMS[problem].Parameters._fields)
    for wrong in (np.zeros(f.size + 1), np.zeros((1, f.size)), 0.0):
        for call in (f, f.unpack, lambda v, f=f: f.hessp(v, f.start())):
            with pytest.raises(ValueError, match=rf"flat must have shape .*pack\({names}\)"):
                call(wrong)
        with pytest.raises(ValueError, match="p must have shape"):
            f.hessp(f.start(), wrong)
    with pytest.raises(TypeError, match="flat is complex"):
        f(np.zeros(f.size, complex))
    with pytest.raises(ValueError, match=f"{names.split(', ')[0]} must have shape"):
        f.pack(batch[2][:-1], *batch[3:])
    with pytest.raises(TypeError, match="parameters were given"):
        f.pack(*batch[2:], 1.0)
    with pytest.raises(TypeError, match="is None"):
        f.pack(None, *batch[3:])
    if problem == "softmax":
        with pytest.raises(ValueError, match=r"W must have shape \(3, 4\).* has shape \(3, 2\)"):
            f.pack(np.zeros((3, 2)), np.zeros(2))
