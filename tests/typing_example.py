"""A user's program, which test_typing.py has mypy check: errors where a comment expects them."""

import numpy as np
from numpy.typing import NDArray

import kernels
from kernels import linear, logistic, softmax, two_layer

X = np.ones((4, 2))
y = np.array([0, 1, 0, 1])
W, b = np.zeros((2, 2)), np.zeros(2)
w = np.zeros(2)
network = W, b, W, b

loss, (slopes, offsets) = softmax.loss_and_gradient(X, y, W, b, reg=0.1, sample_weight=[1, 2, 1, 2])
total: float = loss + softmax.loss(X, y, W, reg=0.1, variant="numpy", threads=None)
array: NDArray[np.float64] = slopes
stepped, bias = softmax.update(X, y, W, b, learning_rate=0.1)
slope: linear.Gradient = linear.gradient(X, y, w, 0.0, threads=1)
intercept: float | None = slope.b
soft = softmax.gradient(X, np.eye(2)[y], W, b, label_smoothing=0.1)
several = linear.descend(X, np.eye(2)[y], w=W, b=b)
labels: NDArray[np.int64] = logistic.predict(X, w)
z, p = linear.scores(X, w), two_layer.probabilities(X, *network)

parts = [softmax.sums(X, y, W, b), softmax.sums(X, y, W, b, sample_weight=None)]
both: kernels.Sums = parts[0] + parts[1]
mean, gradient = softmax.average(iter(parts), W, b, reg=0.1)
rows, columns = gradient.W.shape


def show(iteration: int, loss: float, parameters: logistic.Parameters) -> bool:
    return loss < 0.1 or bool(parameters.w.any())


fit = logistic.descend(X, 2 * y - 1, learning_rate=0.1, rng=1, max_iter=3, callback=show)
fit = logistic.descend(X, 2 * y - 1, learning_rate=0.1, start=fit, fit_bias=True, progress=False)
text: str = fit.message + str(fit.losses[-1] + fit.gradient_norm) + str(fit.n_iter + fit.converged)
found = two_layer.descend(X, y, hidden=3, std=0.1, validation=(X, y), learning_rate=0.1, tol=0)
curve = found.train_accuracy, found.validation_accuracy, *found.W1
f: kernels.Objective[logistic.Parameters] = logistic.objective(X, y, reg=0.1, fit_bias=False)
value, vector = f(f.start())
direction: NDArray[np.float64] = f.unpack(vector + f.pack(w)).w[: f.size]
g = two_layer.objective(X, y, classes=3, hidden=5, std=0.1, rng=None, sample_weight=[1, 2, 1, 2])
curved: softmax.Gradient = softmax.hessian_vector_product(X, y, W, None, W, None, reg=0.1)
along = linear.hessian_vector_product(X, y, w, 0.0, w, 1.0, threads=1).b
product: NDArray[np.float64] = g.hessp(g.start(), g.start())
kernels.set_threads(None)
blocks = kernels.Blocks([(X, y), (X, y, np.ones(4))], progress=False)
whole: float = softmax.loss(blocks, None, W, b) + logistic.objective(blocks, None)(vector)[0]
again = logistic.descend(kernels.Blocks(lambda: iter([(X, y)])), None, learning_rate=0.1)

softmax.loss_and_gradient(X, y, W, b, regularisation=0.1)  # expect: call-arg
softmax.loss_and_gradient(X, y, W, b, 0.1)  # expect: call-arg
softmax.loss(X, y, W, variant=3)  # expect: arg-type
softmax.gradient(X, y, W, threads=1.5)  # expect: arg-type
softmax.update(X, y, W, b)  # expect: call-arg
softmax.sums(X, y, W, b, reg=0.1)  # expect: call-arg
logistic.loss(X, y, w, [0.0])  # expect: arg-type
softmax.loss(X, y, W, label_smoothing="some")  # expect: arg-type
linear.loss(X, y, w, label_smoothing=0.1)  # expect: call-arg
linear.probabilities(X, w)  # expect: attr-defined
two_layer.loss(X, y, W, b)  # expect: call-arg
logistic.descend(X, y, learning_rate=0.1, maxiter=3)  # expect: call-arg
logistic.descend(X, y, learning_rate=0.1, max_iter="3")  # expect: arg-type
logistic.descend(X, y, gtol="small")  # expect: arg-type
two_layer.descend(X, y)  # expect: call-arg
linear.objective(X, y, classes=3)  # expect: call-arg
softmax.hessian_vector_product(X, y, W, b, W)  # expect: call-arg
softmax.objective(X, y, fit_bias="no")  # expect: arg-type
softmax.average([W], W)  # expect: list-item
kernels.Blocks(3)  # expect: arg-type
weights = fit.W  # expect: attr-defined
shifted = slope.b + 1  # expect: operator
