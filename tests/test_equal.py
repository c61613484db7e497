"""Every variant gives the averaged gradient of the oracle, in any dtype, layout and shape."""

import inspect

import numpy as np
import pytest
from numba.core import config

from tests.helpers.cases import (
    DTYPES,
    LAYOUTS,
    PROBLEMS,
    SHAPES,
    VARIANTS,
    as_memmap,
    random_batch,
    without_bias,
)
from tests.helpers.comparison import assert_equal_to_oracle


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_layouts(problem, variant, dtype, layout, tmp_path):
    rng = np.random.default_rng([1, *layout.encode()])
    for shape in SHAPES[:: 1 if variant != "python" else 3]:
        X, *rest = random_batch(problem, rng, shape, dtype)
        before = X.copy()
        laid_out = as_memmap(X, tmp_path / "X") if layout == "memory_mapped" else LAYOUTS[layout](X)
        assert_equal_to_oracle(problem, variant, laid_out, *rest, reg=0.1)
        assert np.array_equal(laid_out, before)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("reg", [0.0, 0.5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_settings(problem, variant, dtype, reg, weighted, bias):
    rng = np.random.default_rng(2)
    for shape in SHAPES[::2]:
        batch = random_batch(problem, rng, shape, dtype)
        s = rng.uniform(0, 3, shape[0]).astype(dtype) if weighted else None
        if weighted:
            s[1::3] = 0
        assert_equal_to_oracle(
            problem,
            variant,
            *(batch if bias else without_bias(problem, batch)),
            reg=reg,
            sample_weight=s,
        )


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_update_is_a_step_against_the_gradient(problem, variant):
    module, batch = PROBLEMS[problem], random_batch(problem, np.random.default_rng(3), (9, 4, 3, 5))
    copies = [np.array(part) for part in batch]
    for given in (batch, without_bias(problem, batch)):
        gradient = module.gradient(*given, reg=0.5, variant=variant)
        stepped = module.update(*given, learning_rate=0.25, reg=0.5, variant=variant)
        for new, old, slope in zip(stepped, given[2:], gradient, strict=True):
            assert new is old is None or np.array_equal(new, old - 0.25 * slope)
    assert all(np.array_equal(part, copy) for part, copy in zip(batch, copies, strict=True))


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: np.asarray(a).tolist(),
        lambda a: np.asarray(a).astype(int),
        lambda a: np.asarray(a).astype(">f8"),
    ],
    ids=["lists", "integers", "byte_order"],
)
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_whatever_is_like_an_array(problem, variant, convert):
    X, y, *parameters = random_batch(problem, np.random.default_rng(4), (6, 3, 3, 4))
    batch = [
        np.rint(3 * X),
        np.rint(y),
        *(np.rint(3 * p) if np.ndim(p) else 2.0 for p in map(np.asarray, parameters)),
    ]
    if problem in ("softmax", "two_layer"):
        batch[1] = batch[1].astype(int)
    expected = PROBLEMS[problem].gradient(*batch, variant=variant)
    got = PROBLEMS[problem].gradient(
        *[convert(part) if np.ndim(part) else part for part in batch], variant=variant
    )
    for one, other in zip(expected, got, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_large_batch_of_each_variant(problem):
    """More rows than any tile, so that borders inside the batch are met."""
    batch = random_batch(problem, np.random.default_rng(5), (20_011, 3, 3, 4))
    for variant in PROBLEMS[problem].VARIANTS:
        if variant != "python":
            assert_equal_to_oracle(problem, variant, *batch, reg=0.1)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_scores_probabilities_and_predictions(problem):
    module = PROBLEMS[problem]
    X, _, *parameters = random_batch(problem, np.random.default_rng(6), (40, 5, 4, 6))
    if problem == "two_layer":
        W1, b1, W2, b2 = parameters
        z = np.maximum(X @ W1 + b1, 0) @ W2 + b2
    else:
        z = X @ parameters[0] + parameters[1]
    if problem == "linear":
        np.testing.assert_allclose(module.predict(X, *parameters), z, rtol=1e-12)
        return
    np.testing.assert_allclose(module.scores(X, *parameters), z, rtol=1e-12, atol=1e-13)
    p = module.probabilities(X, *parameters)
    if problem == "logistic":
        np.testing.assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-12)
        assert np.array_equal(module.predict(X, *parameters), np.sign(z))
    else:
        np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-12)
        assert np.array_equal(module.predict(X, *parameters), z.argmax(axis=1))


DEFAULTS = {"b": None, "reg": 0.0, "sample_weight": None, "variant": "tiled", "threads": None}
DEFAULTS |= {"want_loss": True, "want_gradient": True}
DEFAULTS |= {
    "start": None,
    "fit_bias": True,
    "learning_rate_decay": 1.0,
    "batch_size": None,
    "rng": 0,
    "max_iter": 10_000,
}
DEFAULTS |= {"tol": 1e-5, "rtol": 0.0, "callback": None, "progress": False}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_defaults(problem):
    """Every function means the same by an argument that is left out."""
    module = PROBLEMS[problem]
    public = [module.loss_and_gradient, module.loss, module.gradient, module.update, module.descend]
    public += [module.sums, module.average]
    raw = [
        getattr(module, f"{what}_{variant}")
        for what in ("loss_and_gradient", "loss", "gradient")
        for variant in ("loop", "tiled")
    ]
    raw.append(module.loss_and_gradient_numpy)
    for function in (*public, *raw, *module.VARIANTS.values()):
        signature = inspect.signature(getattr(function, "py_func", function))
        for name, argument in signature.parameters.items():
            if argument.default is not argument.empty and name in DEFAULTS:
                assert (name, argument.default) == (name, DEFAULTS[name]), function


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_a_variant_by_itself(problem, variant):
    """As the benchmark calls it, with less; by the names that compiled code of one's own calls."""
    module, rng = PROBLEMS[problem], np.random.default_rng(6)
    X, y, *parameters = random_batch(problem, rng, (30, 3, 4, 2))
    if problem == "logistic":
        y = y.astype(X.dtype)  # a variant takes what was converted
    batch = X, y, *parameters
    reg, s = 0.25, np.linspace(0, 1, 30)
    expected = module.loss_and_gradient(*batch)
    weighted = module.loss_and_gradient(*batch, reg=reg, sample_weight=s)
    answers = []
    for weights in (np.ones(30), s):
        loss, weight, *gradient = module.VARIANTS[variant](X, y, weights, *parameters)
        assert weight == pytest.approx(weights.sum(), rel=1e-14)
        right = module.loss_and_gradient(*batch, sample_weight=weights)
        answers.append((right, (loss / weight, [part / weight for part in gradient])))
        loss, weight, gradient = module.sums(*batch, sample_weight=weights, variant=variant)
        answers.append((right, (loss / weight, [part / weight for part in gradient])))
    if variant == "numpy" or (variant == "loop" and not config.DISABLE_JIT):
        both = getattr(module, f"loss_and_gradient_{variant}")
        answers += [(expected, both(*batch)), (weighted, both(*batch, reg, s))]
    if variant == "loop" and not config.DISABLE_JIT:  # of the tiles: see test_signatures
        loss, gradient = (getattr(module, f"{what}_{variant}") for what in ("loss", "gradient"))
        answers.append((weighted, (loss(*batch, reg, s), gradient(*batch, reg, s))))
    for wanted, answer in answers:
        assert answer[0] == pytest.approx(wanted[0], rel=1e-12)
        for got, part in zip(answer[1], wanted[1], strict=True):
            np.testing.assert_allclose(got, part, rtol=1e-9, atol=1e-14)
