"""The gradients in long double, with a bound on the rounding error of an implementation.

Nothing here is shared with `kernels`: dense one-hot matrices, whole-array formulas. Every value
comes with a bound derived by first-order error analysis (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, chapter 3). With eps = the spacing at 1 (twice the unit roundoff, which
leaves room for the second order), a sum of n products in any order errs by at most γ(n) = n·eps
times the sum of the |products|, and by the smallest number of the dtype for each that underflows.
"""

from typing import Any, NamedTuple

import numpy as np

Long = np.longdouble


class Bounded(NamedTuple):
    value: Any
    bound: Any


def loss_and_gradient(
    problem: str,
    X: Any,
    y: Any,
    *parameters: Any,
    reg: float = 0.0,
    sample_weight: Any = None,
    label_smoothing: float = 0.0,
) -> tuple[Bounded, list[Bounded]]:
    dtype = np.asarray(X).dtype
    eps = Long(np.finfo(dtype).eps)
    tiny = Long(np.finfo(dtype).tiny)  # what underflow may lose
    least = Long(np.finfo(dtype).smallest_subnormal)
    X = np.asarray(X).astype(Long)
    parameters = tuple(None if p is None else np.asarray(p).astype(Long) for p in parameters)
    N, reg = len(X), Long(reg)
    s = np.ones(N, Long) if sample_weight is None else np.asarray(sample_weight).astype(Long)
    # Weights are as they are if the largest is at least 2^-30, so s r, and s r times a feature,
    # may lose 2^30 · least of what is left after the division by Σ s.
    weight_unit = 2.0**30 if sample_weight is not None else 1.0
    s = s / s.sum()

    def product(A: Any, A_error: Any, B: Any, B_error: Any, extra: int) -> tuple[Any, Any]:
        """A @ B, and its bound: what comes in with A and B, and γ(length + extra) of its own."""
        of_inputs = A_error @ np.abs(B) + (np.abs(A) + A_error) @ B_error
        of_sum = eps * (A.shape[-1] + extra) * ((np.abs(A) + A_error) @ (np.abs(B) + B_error))
        return A @ B, of_inputs + of_sum + A.shape[-1] * least

    def affine(A: Any, A_error: Any, W: Any, b: Any) -> tuple[Any, Any]:
        """A W + b; one more term, hence γ(length + 1)."""
        z, error = product(A, A_error, W, 0 * W, 1)
        return (z, error) if b is None else (z + b, error + eps * (A.shape[1] + 1) * np.abs(b))

    def averaged(A: Any, A_error: Any, r: Any, r_error: Any, W: Any) -> Bounded:
        """Aᵀ(s r) + reg W.

        The sum over N, the sum of the weights (N), their product, the quotient and the penalty:
        γ(2N + 6).
        """
        sr_error = (s * r_error.T).T + weight_unit * least
        value, error = product(A.T, A_error.T, (s * r.T).T, sr_error, N + 6)
        error = error + N * weight_unit * least
        return Bounded(value + reg * W, error + 4 * eps * reg * np.abs(W) + tiny)

    def averaged_loss(losses: Any, errors: Any, weights: list[Any]) -> Bounded:
        penalty = reg / 2 * sum((W * W).sum() for W in weights)
        size = sum(W.size for W in weights)
        value = s @ losses
        return Bounded(
            value + penalty,
            s @ errors
            + weight_unit * least
            + eps * (2 * N + 6) * (value + s @ errors)
            + eps * (size + 6) * penalty
            + tiny,
        )

    def cross_entropy(z: Any, z_error: Any, y: Any) -> tuple[Any, Any, Any, Any]:
        """Losses and residuals.

        A perturbation of the scores by at most δ changes p_k by a factor within exp(±2δ).
        Subtracting the highest score errs by eps·|z_k - highest| in the exponent of p_k; exp, the
        sum of K and the quotient add (2K + 8) eps (Σ p_j |z_j - highest| < K is in the 2K).
        """
        K, soft = z.shape[1], np.ndim(y) == 2 or label_smoothing > 0
        t = np.asarray(y, Long) if np.ndim(y) == 2 else np.eye(K, dtype=Long)[y]
        t = (1 - Long(label_smoothing)) * t + Long(label_smoothing) / K
        distance = z.max(axis=1, keepdims=True) - z
        delta = z_error.max(axis=1, keepdims=True)
        e = np.exp(-distance)
        Z = e.sum(axis=1, keepdims=True)
        p = e / Z
        relative = 2 * delta + eps * (distance + 2 * K + 8)
        p_error = np.minimum(1, p * np.expm1(np.minimum(relative, 700))) + tiny
        losses = -(t * (-distance - np.log(Z))).sum(axis=1)
        # Probabilities have four roundings of their own, by smoothing and by a sum of 1, and sum to
        # 1 within K eps, which counts for log Z; the sum over classes has K products.
        own = soft * (2 * K + 4)
        errors = 2 * delta[:, 0] + eps * (2 * K + 8 + own) * (1 + losses)
        return losses, errors, p - t, p_error + eps * (1 + 4 * soft) * t

    if problem == "softmax":
        W, b = parameters
        losses, errors, r, r_error = cross_entropy(*affine(X, 0 * X, W, b), y)
        gradient = [averaged(X, 0 * X, r, r_error, W)]
        if b is not None:
            gradient.append(
                averaged(np.ones((N, 1), Long), np.zeros((N, 1), Long), r, r_error, 0 * b)
            )
        return averaged_loss(losses, errors, [W]), [
            Bounded(g.value.reshape(p.shape), g.bound.reshape(p.shape))
            for g, p in zip(gradient, (W, b), strict=False)
        ]

    if problem == "two_layer":
        W1, b1, W2, b2 = parameters
        one, none = np.ones((N, 1), Long), np.zeros((N, 1), Long)
        a, a_error = affine(X, 0 * X, W1, b1)
        h = np.maximum(a, 0)
        losses, errors, r, r_error = cross_entropy(*affine(h, a_error, W2, b2), y)
        g, g_error = product(r, r_error, W2.T, 0 * W2.T, 1)
        # Within its error of the kink a unit may come out on either side.
        g_error = np.where(np.abs(a) <= a_error, np.abs(g) + g_error, np.where(a > 0, g_error, 0))
        g = np.where(a > 0, g, 0)
        gradient = [
            averaged(X, 0 * X, g, g_error, W1),
            averaged(one, none, g, g_error, 0 * b1),
            averaged(h, a_error, r, r_error, W2),
            averaged(one, none, r, r_error, 0 * b2),
        ]
        shaped = [
            Bounded(g.value.reshape(p.shape), g.bound.reshape(p.shape))
            for g, p in zip(gradient, parameters, strict=True)
        ]
        return averaged_loss(losses, errors, [W1, W2]), shaped

    w, b = parameters
    z, z_error = affine(X, 0 * X, w, b)
    y = np.asarray(y).astype(Long)
    if problem == "linear":
        r = z - y
        r_error = z_error + eps * (X.shape[1] + 2) * (
            np.abs(X) @ np.abs(w) + np.abs(0 if b is None else b) + np.abs(y)
        )
        losses, errors = r * r / 2, np.abs(r) * r_error + r_error**2
        if y.ndim == 2:  # the loss is the sum over K targets
            errors = errors.sum(axis=1) + eps * y.shape[1] * (losses + errors).sum(axis=1)
            losses = losses.sum(axis=1)
    else:
        # q = 1 / (1 + exp(m)) changes by a factor within exp(±δ) when m does by δ; exp, sum,
        # quotient: 8 eps
        m = y * z
        e = np.exp(-np.abs(m))
        q = np.where(m >= 0, e, 1) / (1 + e)
        r, r_error = -y * q, np.minimum(1, q * np.expm1(np.minimum(z_error + 8 * eps, 700))) + tiny
        losses = np.maximum(-m, 0) + np.log1p(e)
        errors = np.minimum(z_error, q * np.expm1(np.minimum(z_error, 700)) + 0) + 8 * eps * losses
    gradient = [averaged(X, 0 * X, r, r_error, w)]
    if b is not None:
        total = averaged(np.ones((N, 1), Long), np.zeros((N, 1), Long), r, r_error, Long(0))
        gradient.append(Bounded(total.value[0], total.bound[0]))
    return averaged_loss(losses, errors, [w]), gradient


def hessian_vector_product(
    problem: str,
    batch: tuple[Any, ...],
    vector: tuple[Any, ...],
    reg: float = 0.0,
    sample_weight: Any = None,
) -> list[Bounded]:
    """Differences of the gradient in long double, of fourth order in the step.

    With a step that changes no score by more than 1e-4, their error is of order 1e-16 of the
    scores' change from what they leave out, and 1e-19 / 1e-4 of it from rounding: far below the
    bounds. Those are what every operation of an implementation errs by, eps of its magnitude, with
    all numbers by their absolute values; 4 (2N + D + H + 2K + 16) bounds how many follow each
    other. A product of a cross-entropy (its derivatives by the scores are at most 1) errs by what
    its scores do, times the direction.
    """
    X, y, *given = batch
    eps, absolute = Long(np.finfo(X.dtype).eps), np.abs(X).astype(Long)
    pairs = [(p, v) for p, v in zip(given, vector, strict=True) if p is not None]
    P, V = (
        [np.abs(np.asarray(part)).astype(Long) for part in parts]
        for parts in zip(*pairs, strict=True)
    )
    N, D = X.shape

    def affine(A: Any, layer: list[Any]) -> Any:
        W = layer[0].reshape(A.shape[1], -1)
        return A @ W + (layer[1] if len(layer) > 1 else 0)

    z, t = affine(absolute, P[:2]), affine(absolute, V[:2])
    a, largest, rows = None, t.max(), (1 + z.max(axis=1)) * t.max(axis=1)
    if problem == "two_layer":
        a, h, Rh = affine(X.astype(Long), given[:2]), z, t
        z, t = affine(h, P[2:]), affine(Rh, [P[2]]) + affine(h, V[2:])
        largest, rows = max(largest, t.max()), (1 + z.max(axis=1)) * t.max(axis=1)
    step = Long(1e-4) / largest
    if a is not None:
        assert (np.abs(a) > 2e-4).all(), "another seed: a step must not pass the kink of a unit"
    total = 0
    for times, factor in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
        moved = [
            None if p is None else np.asarray(p).astype(Long) + times * step * np.asarray(v)
            for p, v in zip(given, vector, strict=True)
        ]
        parts = loss_and_gradient(problem, X, y, *moved, reg=reg, sample_weight=sample_weight)[1]
        total = total + factor * np.array([part.value for part in parts], dtype=object)
    s = np.ones(N, Long) if sample_weight is None else np.asarray(sample_weight).astype(Long)
    q = (rows * s / s.sum())[:, None]
    sizes = [absolute.T @ q, q.sum(axis=0)]
    if problem == "two_layer":
        s = (s / s.sum())[:, None]
        g = q * P[2].sum(axis=1) + s * (1 + z.max(axis=1, keepdims=True)) * V[2].sum(axis=1)
        of_W2 = h.T @ q + Rh.T @ (s * (1 + z.max(axis=1, keepdims=True)))
        sizes = [absolute.T @ g, g.sum(axis=0), of_W2, q.sum(axis=0)]
    many = 4 * (2 * N + D + sum(p.shape[-1] if p.ndim else 1 for p in P) * 2 + 16)
    found = []
    for k, (value, size, v) in enumerate(zip(total / (12 * step), sizes, V, strict=False)):
        penalty = 0 if k % 2 else reg * v
        size = size.reshape(v.shape) if size.size == v.size else np.broadcast_to(size, v.shape)
        found.append(Bounded(value, many * eps * (size + penalty)))
    return found
