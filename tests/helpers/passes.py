"""What holds for every pass: all goals agree, and an error in it is raised."""

import numpy as np
import pytest

from kernels.engine.jit import device_function
from kernels.engine.pool import POOL
from kernels.engine.reduce import Goal
from tests.helpers.comparison import bits


def assert_goals_agree(module, X, y, *parameters):
    """Loss, sums and steps are those of loss_and_gradient."""
    loss, gradient = module.loss_and_gradient(X, y, *parameters, reg=0.1)
    assert module.loss(X, y, *parameters, reg=0.1) == loss
    assert bits((0, module.gradient(X, y, *parameters, reg=0.1))) == bits((0, gradient))
    sums = module.sums(X, y, *parameters)
    assert sums.weight == len(X)
    average = module.average(sums, *parameters, reg=0.1)
    stepped = module.update(X, y, *parameters, learning_rate=0.5, reg=0.1)
    assert average[0] == pytest.approx(loss, rel=1e-14)
    for mean, part, new, old in zip(average[1], gradient, stepped, parameters, strict=True):
        np.testing.assert_allclose(mean, part, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(new, old - 0.5 * part, rtol=1e-12, atol=1e-15)


@device_function
def never_right(S, y, s, scratch, rest, partial, want_loss, want_gradient):
    if len(s) > 0:
        raise ValueError("in a residual")
    return 0.0, 0


def assert_error_is_raised(kernel, X, y, parameters, out):
    """By a kernel around `never_right`: whoever waits for another thread's item goes on."""
    data = X, y, np.empty(0), np.empty(0, np.int64)
    call = data, parameters, out, (0.0, 0.0), (True, int(Goal.GRADIENT))
    for threads in [1, *[3] * 50]:
        with pytest.raises(ValueError, match="in a residual"):
            POOL.run((kernel, 10, True), call, threads)
