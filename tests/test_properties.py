"""What must hold for any batch: hypothesis looks for one where it does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.cases import PROBLEMS, VARIANTS, random_batch
from tests.helpers.comparison import assert_equal_to_oracle, assert_same
from tests.helpers.oracle import loss_and_gradient
from tests.helpers.strategies import examples, seeds, shapes


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


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@examples
@given(shape=shapes, seed=seeds, cut=st.floats(0, 1))
def test_the_weighted_mean_of_partial_gradients_is_the_whole_gradient(
    problem, variant, shape, seed, cut
):
    rng = np.random.default_rng(seed)
    X, y, *parameters = batch = random_batch(problem, rng, (shape[0] + 1, *shape[1:]))
    s = rng.uniform(0.1, 2, len(X))
    first = 1 + int(cut * (len(X) - 2))
    gradient = PROBLEMS[problem].gradient
    whole = gradient(*batch, sample_weight=s, variant=variant)
    parts = [
        gradient(X[r], y[r], *parameters, sample_weight=s[r], variant=variant)
        for r in (slice(first), slice(first, None))
    ]
    share = s[:first].sum() / s.sum()
    mean = [share * a + (1 - share) * b for a, b in zip(*parts, strict=True)]
    assert_same(problem, whole, mean, batch, sample_weight=s)


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
@examples
@given(shape=shapes, seed=seeds)
def test_integer_weights_are_repeated_rows(problem, variant, shape, seed):
    rng = np.random.default_rng(seed)
    X, y, *parameters = random_batch(problem, rng, shape)
    times = rng.integers(0, 4, len(X))
    times[rng.integers(len(X))] = 2
    repeated = (np.repeat(X, times, axis=0), np.repeat(y, times), *parameters)
    module = PROBLEMS[problem]
    weighted = module.gradient(X, y, *parameters, reg=0.1, sample_weight=times, variant=variant)
    assert_same(
        problem, weighted, module.gradient(*repeated, reg=0.1, variant=variant), repeated, reg=0.1
    )


@pytest.mark.parametrize("variant", PROBLEMS["softmax"].VARIANTS)
@examples
@given(shape=shapes, seed=seeds)
def test_softmax_of_two_classes_is_logistic(variant, shape, seed):
    """log(1 + exp(-y z)), z = x·w + b, is the cross-entropy of scores (0, z), class (y + 1) / 2."""
    X, y, w, b = batch = random_batch("logistic", np.random.default_rng(seed), shape)
    W, both = np.column_stack([0 * w, w]), np.array([0, b])
    module = PROBLEMS["softmax"]
    loss, (dW, db) = module.loss_and_gradient(X, (y + 1) // 2, W, both, variant=variant)
    expected_loss, (dw, d_bias) = PROBLEMS["logistic"].loss_and_gradient(*batch, variant=variant)
    two = (X, (y + 1) // 2, W, both)
    assert_same("softmax", (dW, db), (np.column_stack([-dw, dw]), np.array([-d_bias, d_bias])), two)
    assert abs(loss - expected_loss) <= 2 * loss_and_gradient("softmax", *two)[0].bound


@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_the_average_does_not_depend_on_the_size_of_the_batch(problem, variant):
    """The same samples twice give the same gradient: this is what dividing by N is for."""
    X, y, *parameters = random_batch(problem, np.random.default_rng(8), (21, 4, 3, 5))
    twice = (np.vstack([X, X]), np.concatenate([y, y]), *parameters)
    module = PROBLEMS[problem]
    assert_same(
        problem,
        module.gradient(X, y, *parameters, variant=variant),
        module.gradient(*twice, variant=variant),
        twice,
    )
