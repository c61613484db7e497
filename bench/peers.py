"""Loss and gradient in other libraries (peers), each in its own idiom.

One-time conversion, compilation and transfer of the data are not timed, only the calls. A library
is imported only when it is used, so that no thread pool competes with another library's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.problems import Problem

Array = NDArray[Any]
Call = Callable[[], tuple[float, tuple[Array, ...]]]


@dataclass(frozen=True)
class Peer:
    """A library, and the function that builds its call for loss and gradient."""

    module: str
    distribution: str
    build: Callable[..., Call | None]

    def installed(self) -> bool:
        return find_spec(self.module) is not None

    def version(self) -> str:
        return version(self.distribution)

    def prepare(self, problem: Problem, batch: tuple[Any, ...], reg: float) -> Call | None:
        """A call that returns loss and gradient in our layout; None if the library has none."""
        import_module(self.module)
        return self.build(problem.name, *batch, reg)


def scikit_learn(name: str, X: Array, y: Array, *rest: Any) -> Call | None:
    """`LinearModelLoss`, which `LogisticRegression` uses; `MLPClassifier` exposes no gradient."""
    from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss, HalfSquaredError
    from sklearn.linear_model._linear_loss import LinearModelLoss

    if name == "two_layer":
        return None
    W, b, reg = rest
    losses = {
        "softmax": lambda: HalfMultinomialLoss(n_classes=W.shape[1]),
        "logistic": HalfBinomialLoss,
    }
    model = LinearModelLoss(losses.get(name, HalfSquaredError)(), fit_intercept=True)
    coef = (
        np.asfortranarray(np.vstack([W, b]).T)
        if name == "softmax"
        else np.append(W, X.dtype.type(b))
    )
    target = ((y + 1) / 2 if name == "logistic" else y).astype(X.dtype)

    # The losses use one thread, as in scikit-learn's estimators; BLAS uses all.
    def call() -> tuple[float, tuple[Array, ...]]:
        loss, gradient = model.loss_gradient(coef, X, target, l2_reg_strength=reg, n_threads=1)
        return loss, (gradient[..., :-1].T, gradient[..., -1])

    return call


def _torch_loss(name: str, reg: float) -> Callable[..., Any]:
    from torch.nn import functional

    def loss(X: Any, y: Any, *parameters: Any) -> Any:
        penalty = sum((p * p).sum() for p in parameters[::2])
        if name == "two_layer":
            W1, b1, W2, b2 = parameters
            average = functional.cross_entropy(functional.relu(X @ W1 + b1) @ W2 + b2, y)
        else:
            z = X @ parameters[0] + parameters[1]
            average = {
                "softmax": lambda: functional.cross_entropy(z, y),
                "logistic": lambda: functional.softplus(-y * z).mean(),
                "linear": lambda: 0.5 * functional.mse_loss(z, y),
            }[name]()
        return average + 0.5 * reg * penalty

    return loss


def _torch(compiled: bool) -> Callable[..., Call]:
    def build(name: str, X: Array, y: Array, *rest: Any) -> Call:
        import torch

        *parameters, reg = rest
        torch.set_num_threads(_threads())
        data = torch.from_numpy(X), torch.from_numpy(y)
        leaves = [torch.tensor(np.asarray(p, X.dtype), requires_grad=True) for p in parameters]
        of = _torch_loss(name, reg)
        if compiled:
            torch._dynamo.reset()  # compile each cell anew  # noqa: SLF001
            of = torch.compile(of, dynamic=False)

        def call() -> tuple[float, tuple[Array, ...]]:
            loss = of(*data, *leaves)
            return loss.item(), tuple(g.numpy() for g in torch.autograd.grad(loss, leaves))

        return call

    return build


def jax(name: str, X: Array, y: Array, *rest: Any) -> Call:
    """`jax.jit` of `jax.value_and_grad`."""
    import jax as library
    from jax import numpy as jnp

    *parameters, reg = rest
    library.config.update("jax_enable_x64", True)

    def loss(parameters: Any, X: Any, y: Any) -> Any:
        penalty = sum((p * p).sum() for p in parameters[::2])
        z = X @ parameters[0] + parameters[1]
        if name == "two_layer":
            z = library.nn.relu(z) @ parameters[2] + parameters[3]
        if name == "logistic":
            average = library.nn.softplus(-y * z).mean()
        elif name == "linear":
            average = 0.5 * ((z - y) ** 2).mean()
        else:
            z_y = jnp.take_along_axis(z, y[:, None], axis=1)[:, 0]
            average = (library.nn.logsumexp(z, axis=1) - z_y).mean()
        return average + 0.5 * reg * penalty

    both = library.jit(library.value_and_grad(loss))
    device = library.device_put(([np.asarray(p, X.dtype) for p in parameters], X, y))

    def call() -> tuple[float, tuple[Array, ...]]:
        value, gradient = library.block_until_ready(both(*device))
        return float(value), tuple(map(np.asarray, gradient))

    return call


def onedal(name: str, X: Array, y: Array, *rest: Any) -> Call | None:
    """oneDAL's objective functions, whose penalty has no factor ½; it has no network."""
    import daal4py

    if name == "two_layer":
        return None
    W, b, reg = rest
    daal4py.daalinit(_threads())
    kind: dict[str, Any] = {"fptype": "float" if X.dtype == np.float32 else "double"}
    kind |= {"numberOfTerms": len(X), "interceptFlag": True, "resultsToCompute": "value|gradient"}
    if name == "softmax":
        function = daal4py.optimization_solver_cross_entropy_loss(
            nClasses=W.shape[1], penaltyL2=reg / 2, **kind
        )
        argument = np.vstack([b, W]).T.reshape(-1, 1).copy()
    else:
        argument = np.append(X.dtype.type(b), W).reshape(-1, 1)
        if name == "logistic":
            function = daal4py.optimization_solver_logistic_loss(penaltyL2=reg / 2, **kind)
        else:  # without a penalty, which `call` adds
            function = daal4py.optimization_solver_mse(**kind)
    target = ((y + 1) / 2 if name == "logistic" else y).astype(X.dtype).reshape(-1, 1)
    optional = (None, None) if name == "linear" else ()  # weights and Gram matrix

    def call() -> tuple[float, tuple[Array, ...]]:
        result = function.compute(X, target, argument, *optional)
        loss, gradient = float(result.valueIdx.item()), result.gradientIdx.ravel()
        if name == "linear":
            loss += 0.5 * reg * float(W @ W)
            gradient[1:] += reg * W
        columns = gradient.reshape(-1, len(W) + 1)
        return loss, (columns[:, 1:].T.reshape(W.shape), columns[:, 0])

    return call


def _threads() -> int:
    """The number of threads that the tiled variant uses."""
    from kernels.engine.pool import POOL

    return POOL.default_threads()


PEERS = {
    "scikit-learn": Peer("sklearn", "scikit-learn", scikit_learn),
    "PyTorch": Peer("torch", "torch", _torch(compiled=False)),
    "PyTorch compiled": Peer("torch", "torch", _torch(compiled=True)),
    "JAX": Peer("jax", "jax", jax),
    "oneDAL": Peer("daal4py", "scikit-learn-intelex", onedal),
}
