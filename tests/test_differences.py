"""The gradient is the derivative of the loss: central differences, each parameter and variant."""

import numpy as np
import pytest

from tests.helpers.cases import PROBLEMS, VARIANTS, random_batch, without_bias


def differences(loss, parameters, i):
    """d loss / d parameters[i], each entry by itself.

    (f(p + h) - f(p - h)) / 2h errs by h²/6 |f'''| + eps |f| / h. With h = 1e-5, |f| < 10 and third
    derivatives below 10 (standard normal features, few of them): 2e-10 + 2e-10.
    """
    h = 1e-5
    slope = np.empty(np.shape(parameters[i]))
    for place in np.ndindex(slope.shape):
        low, high = (list(parameters) for _ in range(2))
        step = np.zeros(slope.shape)
        step[place] = h
        low[i], high[i] = parameters[i] - step, parameters[i] + step
        if slope.ndim == 0:
            low[i], high[i] = float(low[i]), float(high[i])
        slope[place] = (loss(*high) - loss(*low)) / (2 * h)
    return slope


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize(("problem", "variant"), VARIANTS)
def test_gradient_is_the_derivative_of_the_loss(problem, variant, bias):
    module, rng = PROBLEMS[problem], np.random.default_rng(7)
    X, y, *parameters = random_batch(problem, rng, (11, 3, 3, 4))
    if problem == "two_layer":  # away from kinks: no unit within 1e-3 of 0 for any sample
        W1, b1 = parameters[:2]
        while np.abs(X @ W1 + b1).min() < 1e-3:
            X = rng.normal(size=X.shape)
    if not bias:
        X, y, *parameters = without_bias(problem, (X, y, *parameters))
    settings = {"reg": 0.3, "sample_weight": rng.uniform(0, 2, len(X)), "variant": variant}
    gradient = module.gradient(X, y, *parameters, **settings)
    for i, part in enumerate(gradient):
        if part is not None:
            slope = differences(lambda *p: module.loss(X, y, *p, **settings), parameters, i)
            np.testing.assert_allclose(part, slope, rtol=0, atol=1e-8)


def test_the_derivative_of_relu_at_its_kink_is_zero():
    for variant in PROBLEMS["two_layer"].VARIANTS:
        gradient = PROBLEMS["two_layer"].gradient(
            [[1.0, -1.0]],
            [0],
            np.ones((2, 3)),
            np.zeros(3),
            np.arange(6.0).reshape(3, 2),
            np.zeros(2),
            variant=variant,
        )
        assert not gradient.W1.any()
        assert not gradient.b1.any()
        assert gradient.b2.tolist() == [-0.5, 0.5]
