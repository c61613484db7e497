"""`check`: compare all variants of a problem with a reference, and its gradient with its loss."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .engine.raw import averaged
from .problem import Problem

# Samples, features, hidden units, classes: from the fewest to more than a vector holds.
SHAPES = [(1, 1, 1, 2), (7, 3, 5, 3), (40, 17, 4, 9), (130, 5, 8, 4)]
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
}
MANY_SAMPLES = (20_011, 5, 3, 4)
STEP = 1e-6  # of central differences, whose error is of order STEP²


def check(problem: Problem, *, rng: int | np.random.Generator = 0) -> None:
    """Check a problem on random data, in each variant, dtype and layout.

    Loss and gradient are compared with those of the NumPy variant in long double, and that gradient
    with central differences of the loss. The average of two blocks must equal the result for the
    whole batch, integer weights must be equivalent to repeated samples, the results for 1, 2 and 3
    threads must be bitwise identical, no input may be modified, and a nan must be refused. With a
    second derivative, Hessian-vector products are compared in the same way, and those of the NumPy
    variant in long double with central differences of the gradient.

    Parameters
    ----------
    problem : Problem
        Its `y` must accept one of: normal numbers, their squares, counts, -1 and +1, classes, or
        numbers between 0 and 1.
    rng : int or numpy.random.Generator, default 0
        Seeds the random data.

    Raises
    ------
    AssertionError
        For the first error found; the message says where and how large it is.
    TypeError
        If `problem` is not a Problem.
    ValueError
        If `y` accepts none of the targets listed above.
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a kernels.Problem and is a {type(problem).__name__}")
    rng = np.random.default_rng(rng)
    for shape in SHAPES:
        for dtype in (np.float64, np.float32):
            X, y, parameters = random_batch(problem, rng, shape, dtype)
            s = rng.integers(0, 3, len(X)).astype(dtype)
            s[0] = 1
            batch = X, y, s, parameters
            exact, bounds = in_long_double(problem, *batch), rounding(problem, *batch)
            where = f"{problem.name}, shape {shape}, {np.dtype(dtype)}"
            if dtype == np.float64:
                check_differences(problem, batch, exact, where)
            check_variants(problem, batch, exact, bounds, where)
            check_sums(problem, batch, bounds, where)
            if problem.second_derivative is not None:
                check_products(problem, batch, direction(rng, parameters), where)
            check_refusal(problem, (X, y, parameters), where)
    check_threads(problem, *random_batch(problem, rng, MANY_SAMPLES, np.float64))


def check_variants(problem: Any, batch: Any, exact: Any, bounds: Any, where: str) -> None:
    """Check loss and gradient of every variant in every layout, and that no input is modified."""
    X, y, s, parameters = batch
    for variant in problem.VARIANTS:
        for layout, laid_out in LAYOUTS.items():
            inputs = laid_out(X), y, *parameters
            copies = [np.array(part) for part in (*inputs, s)]
            loss, gradient = problem.loss_and_gradient(*inputs, sample_weight=s, variant=variant)
            at = f"{where}, {variant}, X in {layout} order"
            for part, copy in zip((*inputs, s), copies, strict=True):
                assert np.array_equal(part, copy), f"{at}: an input was modified"
            names = ("loss", *(f"gradient of {name}" for name in gradient._fields))
            for name, got, right, bound in zip(
                names, (loss, *gradient), exact, bounds, strict=True
            ):
                error = float(np.abs(got - right).max())
                assert error <= bound, f"{at}: {name} is off by {error:.3g}, more than {bound:.3g}"


def check_differences(problem: Any, batch: Any, exact: Any, where: str) -> None:
    """Check the gradient against central differences of the loss, in long double."""
    X, y, s, parameters = batch
    for p, (name, parameter) in enumerate(zip(problem.variants.shapes, parameters, strict=True)):
        for place in np.ndindex(np.shape(parameter)):
            losses = []
            for sign in (1, -1):
                moved = [np.array(part, np.longdouble) for part in parameters]
                moved[p][place] += sign * STEP
                losses.append(in_long_double(problem, X, y, s, tuple(moved))[0])
            slope, analytic = (
                float((losses[0] - losses[1]) / (2 * STEP)),
                float(exact[p + 1][place]),
            )
            # Losses are added at least in float64.
            allowed = 1e-5 * (1 + abs(analytic)) + 1e-15 * abs(float(losses[0])) / STEP
            message = (
                f"{where}: ∂loss/∂{name}{list(place)} is {analytic:.9g}, differences {slope:.9g}"
            )
            assert abs(slope - analytic) <= allowed, message


def check_sums(problem: Any, batch: Any, bounds: Any, where: str) -> None:
    """Check the average of two blocks, and integer weights against repeated samples."""
    X, y, s, parameters = batch
    whole = numbers(problem.loss_and_gradient(X, y, *parameters, sample_weight=s, reg=0.5))
    cut = len(X) // 2
    blocks = (
        problem.sums(X[rows], y[rows], *parameters, sample_weight=s[rows])
        for rows in (slice(0, cut), slice(cut, None))
    )
    repeated = np.repeat(np.arange(len(X)), s.astype(int))
    others = {
        "the average of two blocks": problem.average(blocks, *parameters, reg=0.5),
        "each sample as often as its weight says": problem.loss_and_gradient(
            X[repeated], y[repeated], *parameters, reg=0.5
        ),
    }
    for what, answer in others.items():
        for one, other, bound in zip(whole, numbers(answer), bounds, strict=True):
            assert np.abs(one - other).max() <= 3 * bound, f"{where}: {what} is not the whole"


def check_threads(problem: Any, X: Any, y: Any, parameters: Any) -> None:
    """Check that the results for 1, 2 and 3 threads are bitwise identical."""
    one, *others = (
        numbers(problem.loss_and_gradient(X, y, *parameters, threads=threads))
        for threads in (1, 2, 3)
    )
    for other in others:
        assert all(map(np.array_equal, one, other)), f"{problem.name}: threads change the bits"


def check_products(problem: Any, batch: Any, vector: Any, where: str) -> None:
    """Check Hessian-vector products of every variant, and against differences of the gradient."""
    X, y, s, parameters = batch
    both = *parameters, *vector
    exact, bounds = in_long_double(problem, X, y, s, both), rounding(problem, X, y, s, both)
    gradients = []
    for sign in (1, -1):
        pairs = zip(parameters, vector, strict=True)
        moved = [np.asarray(p, np.longdouble) + sign * STEP * np.asarray(v) for p, v in pairs]
        gradients.append(in_long_double(problem, X, y, s, moved)[1:])
    answers = {
        (variant, layout): problem.hessian_vector_product(
            laid_out(X), y, *both, sample_weight=s, variant=variant
        )
        for variant in problem.products.sums
        for layout, laid_out in LAYOUTS.items()
    }
    for k, name in enumerate(problem.variants.shapes):
        right, what = exact[k + 1], f"the Hessian-vector product's part for {name}"
        slope = (gradients[0][k] - gradients[1][k]) / (2 * STEP)
        error, allowed = float(np.abs(slope - right).max()), 1e-5 * (1 + float(np.abs(right).max()))
        assert error <= allowed, f"{where}: {what} is off from differences by {error:.3g}"
        for (variant, layout), product in answers.items():
            error = float(np.abs(product[k] - right).max())
            assert error <= bounds[k + 1], (
                f"{where}, {variant}, X in {layout} order: {what} is off by {error:.3g}, more than "
                f"{bounds[k + 1]:.3g}"
            )


def check_refusal(problem: Any, batch: Any, where: str) -> None:
    """Check that a nan in X raises a ValueError that names its row and column."""
    X, y, parameters = batch
    X = X.copy()
    X[-1, -1] = np.nan
    for variant in problem.VARIANTS:
        message = "nothing: it is answered"
        try:
            problem.gradient(X, y, *parameters, variant=variant)
        except ValueError as error:
            message = str(error)
        place = f"row {len(X) - 1}, column {X.shape[1] - 1}"
        assert place in message, f"{where}, {variant}, a nan in {place} of X: {message}"


# ---- data and reference results ----


def random_batch(problem: Any, rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return X, a y that the problem accepts, and parameters that give moderate scores."""
    N, D, H, K = shape
    sizes = {"D": D, "H": H, "K": K}
    X, parameters = rng.normal(size=(N, D)).astype(dtype), []
    for letters in problem.variants.shapes.values():
        size = tuple(sizes[letter] for letter in letters)
        values = rng.normal(size=size) / np.sqrt(size[0] if size else 1)
        parameters.append(values.astype(dtype) if size else float(dtype(values)))
    for y in possible_targets(rng, N, K):
        try:
            return X, problem.variants.target.checked(y, X, K), tuple(parameters)
        except ValueError as error:
            reason = error
    raise ValueError(f"{problem.name} accepts no y that check knows to draw: {reason}")


def direction(rng: Any, parameters: Any) -> Any:
    """Return a random vector of the shapes and the dtype of parameters, as large as they are."""
    drawn = [rng.permutation(np.ravel(p)).reshape(np.shape(p)) for p in parameters]
    return tuple(v if v.ndim else float(v) for v in drawn)


def possible_targets(rng: Any, N: int, K: int) -> Iterator[Any]:
    yield rng.normal(size=N)
    yield rng.normal(size=N) ** 2
    yield rng.poisson(2, N)
    yield rng.choice([-1, 1], N)
    yield rng.integers(0, K, N)
    yield rng.uniform(size=N)


def in_long_double(
    problem: Any, X: Any, y: Any, s: Any, parameters: Any, reg: float = 0.0
) -> list[Any]:
    """Return averaged loss and gradient of the NumPy variant, in long double.

    If a vector follows the parameters, a number of no meaning and the Hessian-vector product.
    """
    X, s, *parameters = (np.asarray(part, np.longdouble) for part in (X, s, *parameters))
    y, n = y if y.dtype.kind == "i" else y.astype(np.longdouble), len(problem.variants.shapes)
    sums = (problem.VARIANTS if len(parameters) == n else problem.products.sums)["numpy"]
    return numbers(averaged(sums(X, y, s, *parameters), reg, parameters[-n:]))


def rounding(problem: Any, X: Any, y: Any, s: Any, parameters: Any) -> list[float]:
    """Return bounds on the rounding errors of the values of `in_long_double`.

    The error of a sum of N terms is at most N eps Σ |terms| in any order, and that of a score of D
    products likewise; the loss and the slope at moderate scores amplify it by a small factor. The
    bound is 16 eps (N + D + 16) times one plus the largest average size of the samples' parts.
    """
    samples = [
        in_long_double(problem, X[n : n + 1], y[n : n + 1], s[:1], parameters)
        for n in range(len(X))
    ]
    eps = np.finfo(X.dtype).eps
    sizes = [np.abs(np.stack(parts)).mean(axis=0).max() for parts in zip(*samples, strict=True)]
    return [float(16 * eps * (len(X) + X.shape[1] + 16) * (1 + size)) for size in sizes]


def numbers(answer: Any) -> list[Any]:
    loss, gradient = answer
    return [np.asarray(part) for part in (loss, *gradient)]
