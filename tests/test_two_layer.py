"""What is particular to the two-layer network: automatic differentiation, and the kink of ReLU."""

import numpy as np
import pytest

from tests.helpers.cases import PROBLEMS, random_batch
from tests.helpers.oracle import loss_and_gradient


def by_torch(X, y, W1, b1, W2, b2):
    torch = pytest.importorskip("torch")
    parameters = [torch.tensor(p, requires_grad=True) for p in (W1, b1, W2, b2)]
    W1, b1, W2, b2 = parameters
    z = torch.relu(torch.tensor(X) @ W1 + b1) @ W2 + b2
    torch.nn.functional.cross_entropy(z, torch.tensor(y)).backward()
    return [p.grad.numpy() for p in parameters]


def by_jax(X, y, *parameters):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)

    def loss(p):
        W1, b1, W2, b2 = p
        z = jax.nn.relu(X @ W1 + b1) @ W2 + b2
        return -jax.nn.log_softmax(z)[np.arange(len(y)), y].mean()

    return [np.asarray(g) for g in jax.grad(loss)(parameters)]


@pytest.mark.parametrize("library", [by_torch, by_jax])
def test_automatic_differentiation(library):
    batch = random_batch("two_layer", np.random.default_rng(10), (60, 5, 4, 7))
    expected = library(*batch)
    bounds = loss_and_gradient("two_layer", *batch)[1]
    for variant in PROBLEMS["two_layer"].VARIANTS:
        for got, want, bounded in zip(
            PROBLEMS["two_layer"].gradient(*batch, variant=variant), expected, bounds, strict=True
        ):
            assert (np.abs(got - want) <= 2 * bounded.bound).all()


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
