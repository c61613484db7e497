"""The same numbers as libraries that others trust."""

import numpy as np
import pytest

from tests.helpers.cases import PROBLEMS, random_batch
from tests.helpers.oracle import loss_and_gradient

SHAPE = (60, 5, 4, 7)


@pytest.mark.parametrize("problem", ["softmax", "logistic", "linear"])
def test_scikit_learn(problem):
    _loss = pytest.importorskip("sklearn._loss")
    from sklearn.linear_model._linear_loss import LinearModelLoss

    rng = np.random.default_rng(9)
    X, y, W, b = batch = random_batch(problem, rng, SHAPE)
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
    batch = random_batch("two_layer", np.random.default_rng(10), SHAPE)
    expected = library(*batch)
    bounds = loss_and_gradient("two_layer", *batch)[1]
    for variant in PROBLEMS["two_layer"].VARIANTS:
        for got, want, bounded in zip(
            PROBLEMS["two_layer"].gradient(*batch, variant=variant), expected, bounds, strict=True
        ):
            assert (np.abs(got - want) <= 2 * bounded.bound).all()
