"""Every variant gives the averaged gradient of the oracle, in any dtype, layout and shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from tests.helpers.forms import every_other
from tests.helpers.marks import compiled
from tests.helpers.oracle import loss_and_gradient
from tests.helpers.strategies import examples, seeds, shapes


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


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_large_batch_of_each_variant(problem):
    """More rows than any tile, so that borders inside the batch are met."""
    batch = random_batch(problem, np.random.default_rng(5), (20_011, 3, 3, 4))
    for variant in PROBLEMS[problem].VARIANTS:
        if variant != "python":
            assert_equal_to_oracle(problem, variant, *batch, reg=0.1)


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


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@examples
@given(
    shape=shapes,
    seed=seeds,
    reg=st.floats(0, 10),
    dtype=st.sampled_from([np.float32, np.float64]),
    weighted=st.booleans(),
)
def test_any_shape(problem, variant, shape, seed, reg, dtype, weighted):
    rng = np.random.default_rng(seed)
    batch = random_batch(problem, rng, shape, dtype)
    s = rng.uniform(0.1, 2, shape[0]).astype(dtype) if weighted else None
    assert_equal_to_oracle(problem, variant, *batch, reg=reg, sample_weight=s)


@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear"])
def test_scikit_learn(problem):
    _loss = pytest.importorskip("sklearn._loss")
    from sklearn.linear_model._linear_loss import LinearModelLoss

    rng = np.random.default_rng(9)
    X, y, W, b = batch = random_batch(problem, rng, (60, 5, 4, 7))
    s = rng.uniform(0.1, 2, len(X))
    if problem == "softmax":
        base = _loss.HalfMultinomialLoss(n_classes=W.shape[1])
    else:
        base = _loss.HalfBinomialLoss() if problem == "logistic" else _loss.HalfSquaredError()
    target = ((y + 1) / 2 if problem == "logistic" else y).astype(np.float64)
    coefficients = (
        np.asfortranarray(np.vstack([W, b]).T) if problem == "softmax" else np.append(W, b)
    )
    loss, gradient = LinearModelLoss(base, fit_intercept=True).loss_gradient(
        coefficients, X, target, sample_weight=s, l2_reg_strength=0.3
    )
    loss_bound, bounds = loss_and_gradient(problem, *batch, reg=0.3, sample_weight=s)
    if problem != "linear":  # HalfSquaredError leaves out the constant y²
        assert abs(loss - loss_bound.value) <= 2 * loss_bound.bound
    for variant in PROBLEMS[problem].VARIANTS:
        dW, db = PROBLEMS[problem].gradient(*batch, reg=0.3, sample_weight=s, variant=variant)
        assert (np.abs(dW - gradient[..., :-1].T) <= 2 * bounds[0].bound).all()
        assert (np.abs(db - gradient[..., -1]) <= 2 * bounds[1].bound).all()


@compiled
@pytest.mark.parametrize("what", ["loss_and_gradient", "loss", "gradient", "update", "sums"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_needs_no_conversion_is_not_validated_first(problem, dtype, what, monkeypatch):
    """It would cost a small batch several times the arithmetic.

    Nor is the rest sent to a kernel as it came.
    """
    asked, module = [], PROBLEMS[problem]
    variants = module.PROBLEM.variants
    careful = variants.validated
    monkeypatch.setattr(
        variants, "validated", lambda *call: asked.append(call) or careful(*call), raising=True
    )

    def call(batch, variant="tiled", threads=None):
        *batch, reg, s = batch
        settings = {"sample_weight": s, "variant": variant, "threads": threads}
        settings |= {} if what == "sums" else {"reg": reg}
        settings |= {"learning_rate": 0.1} if what == "update" else {}
        getattr(module, what)(*batch, **settings)

    X, y, *parameters = random_batch(problem, np.random.default_rng(23), (40, 3, 4, 2), dtype)
    plain = X, y, *parameters, 0, None
    s, last = np.ones(len(X), dtype), len(parameters) + 2
    others = [
        (X, y.astype(np.int8), *parameters, 0.5, s),
        (np.asfortranarray(X), y, *parameters, 0.5, s),
        (every_other(X), y, *parameters, 0.5, s),
    ]
    if problem != "two_layer":
        others.append((X, y, *parameters[:-1], None, 0.0, None))
    for batch in [plain, *others]:
        for threads in (None, 1, 2):
            call(batch, threads=threads)
    assert not asked
    for place in [0, *range(2, last)]:
        if isinstance(plain[place], np.ndarray):
            for changed in (
                plain[place].tolist(),
                every_other(plain[place]),
                plain[place].astype(">f8"),
            ):
                call((*plain[:place], changed, *plain[place + 1 :]))  # a cast is enough
                assert not asked
    for setting in (("numpy", None), ("tiled", np.int64(1))):
        call(plain, *setting)
        assert asked.pop()
    assert not asked
