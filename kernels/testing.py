"""Whether a problem is right: `check` holds every variant of it against its formula."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .engine.raw import averaged
from .problem import Problem

# Samples, features, hidden units, classes: one of everything, and more than a vector holds.
SHAPES = [(1, 1, 1, 2), (7, 3, 5, 3), (40, 17, 4, 9), (130, 5, 8, 4)]
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
}
MANY_SAMPLES = (20_011, 5, 3, 4)
STEP = 1e-6  # of central differences, whose error is about its square


def check(problem: Problem, *, rng: int | np.random.Generator = 0) -> None:
    """Check a problem on random data, in each variant, dtype and layout.

    The loss and the gradient are compared with those of its NumPy variant in long double, and that
    gradient with central differences of the loss. Blocks must average to the whole, weights must
    count samples, the threads must not change a bit, no input may be modified, and a nan must be
    refused.

    Parameters
    ----------
    problem : Problem
        Its `y` must accept one of: normal numbers, their squares, counts, -1 and +1, classes, or
        numbers between 0 and 1.
    rng : int or numpy.random.Generator, default 0
        Decides the data.

    Raises
    ------
    AssertionError
        For the first thing that is wrong, with where and by how much.
    TypeError
        If `problem` is not a Problem.
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
            check_refusal(problem, (X, y, parameters), where)
    check_threads(problem, *random_batch(problem, rng, MANY_SAMPLES, np.float64))


def check_variants(problem: Any, batch: Any, exact: Any, bounds: Any, where: str) -> None:
    """Every variant gives the averaged loss and gradient, in any layout, and modifies nothing."""
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
    """The gradient is the derivative of the loss, in long double."""
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
            # the losses are added in float64, at least
            allowed = 1e-5 * (1 + abs(analytic)) + 1e-15 * abs(float(losses[0])) / STEP
            message = (
                f"{where}: ∂loss/∂{name}{list(place)} is {analytic:.9g}, differences {slope:.9g}"
            )
            assert abs(slope - analytic) <= allowed, message


def check_sums(problem: Any, batch: Any, bounds: Any, where: str) -> None:
    """Blocks average to the whole, and weights count samples."""
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
    """Any number of threads gives the same bits."""
    one, *others = (
        numbers(problem.loss_and_gradient(X, y, *parameters, threads=threads))
        for threads in (1, 2, 3)
    )
    for other in others:
        assert all(map(np.array_equal, one, other)), f"{problem.name}: threads change the bits"


def check_refusal(problem: Any, batch: Any, where: str) -> None:
    """A nan is refused by a sentence that says where it stands."""
    X, y, parameters = batch
    X = X.copy()
    X[-1, -1] = np.nan
    for variant in problem.VARIANTS:
        said = "nothing: it is answered"
        try:
            problem.gradient(X, y, *parameters, variant=variant)
        except ValueError as error:
            said = str(error)
        place = f"row {len(X) - 1}, column {X.shape[1] - 1}"
        assert place in said, f"{where}, {variant}, a nan in {place} of X: {said}"


# ---- data, and what is right ----


def random_batch(problem: Any, rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """X, a y that the problem accepts, and parameters that give moderate scores."""
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
    """Averaged loss and gradient of the NumPy variant."""
    X, s, *parameters = (np.asarray(part, np.longdouble) for part in (X, s, *parameters))
    y = y if y.dtype.kind == "i" else y.astype(np.longdouble)
    return numbers(averaged(problem.VARIANTS["numpy"](X, y, s, *parameters), reg, parameters))


def rounding(problem: Any, X: Any, y: Any, s: Any, parameters: Any) -> list[float]:
    """How far rounding may take each part from the right value.

    A sum of N terms in any order errs by at most N eps Σ |terms|, a score of D products likewise,
    which a loss and a slope of moderate scores pass on enlarged by a small factor: 16 eps (N + D +
    16) times the averaged sizes of the samples' parts, and one.
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
