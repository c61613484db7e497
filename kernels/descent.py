"""Gradient descent to the end: the loop behind `descend` of every problem, and what it says when it fails.

    parameters ← parameters - learning_rate · learning_rate_decay^epoch · gradient

until the step is short enough. On few samples a Python loop costs more than the gradients in it, so there the whole loop
is compiled, around the same compiled gradient. How far one can step follows from the curvature, see `safe_learning_rate`.
"""

import contextlib
import functools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core import config
from numba.extending import overload
from numpy.typing import NDArray

from kernels import _check, _threads, _tiles
from kernels._compile import compiled, inlined
from kernels._threads import ALONE

Array = NDArray[Any]
SMALL = 2**18  # samples times parameters: above, a second thread gains more than the loop in Python costs, 10 µs a step
SEGMENT = 1000  # compiled iterations between two looks at the keyboard
RISES = 10  # the loss keeps growing if it has risen so often in a row, to ten times its first value or more,
ABOVE = 100  # or been so long above twice its first value
SAFE = 0.95  # of 2 / curvature, where descent stops converging: what power iteration may lack
TRIAL = 500  # iterations to try a rate where no bound on the curvature is known
NOTHING = np.empty(0)
GOING, CONVERGED, DIVERGED, STOPPED = range(4)


class DivergenceError(ValueError):
    """The loss became infinite or nan, or kept growing.

    Attributes
    ----------
    iteration : int
        The iteration, counted from 0, whose loss gave it away.
    losses : ndarray
        The loss of every iteration up to that one.
    safe_learning_rate : float
        The largest learning rate that converges on this data; for `two_layer` the largest that a search by halves found.
    """

    def __init__(self, message: str, iteration: int = 0, losses: Any = (), safe_learning_rate: float = math.nan) -> None:
        super().__init__(message)
        self.iteration, self.losses, self.safe_learning_rate = iteration, np.asarray(losses), safe_learning_rate


class ConvergenceWarning(UserWarning):
    """`max_iter` iterations were not enough to meet the tolerance."""


# ---- the loop, compiled or interpreted ----


def moved(parameters: Any, gradient: Any, rates: Any) -> tuple[float, float]:
    """Step every parameter in place; the squared lengths of the step and of the new parameters."""
    step, length = 0.0, 0.0
    for p, g, rate in zip(parameters, gradient, rates, strict=True):
        if p.size:
            change = np.multiply(g, rate, dtype=p.dtype).reshape(p.shape)
            p -= change
            step += float(np.square(change, dtype=np.float64).sum())
            length += float(np.square(p, dtype=np.float64).sum())
    return step, length


@overload(moved)
def _moved(parameters, gradient, rates):
    if len(parameters) == 0:
        return lambda parameters, gradient, rates: (0.0, 0.0)

    def compiled_moved(parameters, gradient, rates):
        step, length = moved(parameters[1:], gradient[1:], rates[1:])
        p = parameters[0].reshape(-1)
        g, rate = gradient[0].reshape(-1), p.dtype.type(rates[0])
        for i in range(p.size):
            change = rate * g[i]
            p[i] -= change
            step += np.float64(change) * change
            length += np.float64(p[i]) * p[i]
        return step, length

    return compiled_moved


@compiled
def diverging(loss, watch):
    """Is the loss infinite or nan, or does it keep growing? `watch` is what it remembers, see `watch_from`.

    A network's loss may well rise for dozens of steps, to a few times its first value, and then fall again.
    """
    if np.isnan(watch[0]):
        watch[0] = loss
    watch[2] = watch[2] + 1 if loss > watch[1] else 0
    watch[3] = watch[3] + 1 if loss > 2 * watch[0] else 0
    watch[1] = loss
    return not np.isfinite(loss) or (watch[2] >= RISES and loss > 10 * watch[0]) or watch[3] >= ABOVE


def watch_from(first: float = math.nan) -> Array:
    """The first loss (nan: not known yet), the last, how often in a row it rose, how often it was above twice the first."""
    return np.array([first, math.inf, 0, 0])


def loop(loss_and_gradient: Callable[..., Any]) -> Callable[..., Any]:
    """Full-batch descent with this gradient, for as many iterations as `losses` has room for.

    `parameters` and `moving` are the same arrays: as the gradient reads them, and as they are stepped. Gives how many
    losses there are, how it stands, and the length of the last step.
    """

    def descent_loop(X, y, s, parameters, moving, gradient, reg, rates, tol, rtol, losses, watch):
        step, wanted = 0.0, len(losses) > 0  # no literal True, for which Numba would compile the pass once more
        for i in range(len(losses)):
            loss, slope = loss_and_gradient(X, y, s, parameters, gradient, reg, wanted)
            losses[i] = loss
            if diverging(loss, watch):
                return i + 1, DIVERGED, step
            squares = moved(moving, slope, rates[i])
            step = math.sqrt(squares[0])
            if not step < math.inf:
                return i + 1, DIVERGED, step
            if step <= max(tol, rtol * math.sqrt(squares[1])):
                return i + 1, CONVERGED, step
        return len(losses), GOING, step

    return descent_loop


def compiled_loop(module: str, kernel: _tiles.Kernel) -> _tiles.Kernel:
    """`loop` around the tiled kernel of a problem, with the types that it is compiled for anyway."""
    tiled = kernel.function

    @inlined
    def loss_and_gradient(X, y, s, parameters, gradient, reg, wanted):
        none, no_sums, counters = np.empty((0, 0), X.dtype), np.empty((0, 0)), np.empty(0, np.int64)
        threads = (none, no_sums, counters, counters, np.intp(ALONE))
        loss, _, _ = tiled(X, y, *parameters, s, reg, *gradient, wanted, wanted, *threads)
        return loss, gradient

    function = loop(loss_and_gradient)
    function.__module__, function.__qualname__ = module, "descent_loop"

    def signature(real: Any) -> tuple[Any, ...]:
        X, y, *rest = kernel.signature(real)
        n = (len(rest) - 4 - len(_threads.signature(real))) // 2  # parameters
        parameters, gradient = types.Tuple(rest[:n]), types.Tuple(rest[n + 2 : 2 * n + 2])
        f64, numbers = types.float64, _tiles.array(types.float64, 1)
        return X, y, rest[n], parameters, gradient, gradient, f64, _tiles.array(f64, 2), f64, f64, numbers, numbers

    return _tiles.Kernel(compiled(function), signature)


# ---- one descent ----


@dataclass(frozen=True)
class Model:
    """What descent needs to know of a problem."""

    variants: Mapping[str, Callable[..., Any]]
    loop: _tiles.Kernel
    unpack: Callable[..., tuple[Any, ...]]  # arrays, empty for no bias, as the parameters that the variants take
    curvature: float | None  # bound on ∂²loss/∂score²; None where the scores are not linear in the parameters


@dataclass(frozen=True)
class Plan:
    """The settings of a descent; see `kernels.softmax.descend`."""

    learning_rate: float
    learning_rate_decay: float
    reg: float
    batch_size: int | None
    rng: int | np.random.Generator
    max_iter: int
    tol: float
    rtol: float
    callback: Callable[[int, float, Any], Any] | None
    progress: bool
    variant: str
    threads: int | None
    moves: tuple[bool, ...] = (True, True)  # which parameters are stepped

    def checked(self, N: int) -> "Plan":
        """With every value of the type that it should have, or an error that says which has not."""
        rate = _check.not_negative("learning_rate", self.learning_rate)
        decay = _check.not_negative("learning_rate_decay", self.learning_rate_decay)
        if rate == 0:
            raise ValueError("learning_rate is 0, with which nothing moves: pass a float such as learning_rate=0.1")
        if not 0 < decay <= 1:
            raise ValueError(
                f"learning_rate_decay is {decay}: after each epoch the rate is multiplied by it; pass more than 0 and at most 1"
            )
        if self.callback is not None and not callable(self.callback):
            raise TypeError(f"callback is {self.callback!r}: pass a function of (iteration, loss, params), or None")
        return replace(
            self,
            learning_rate=rate,
            learning_rate_decay=decay,
            reg=_check.not_negative("reg", self.reg),
            batch_size=None if self.batch_size is None else whole("batch_size", self.batch_size, 1, N),
            rng=seed(self.rng),
            max_iter=whole("max_iter", self.max_iter, 1),
            tol=_check.not_negative("tol", self.tol),
            rtol=_check.not_negative("rtol", self.rtol),
            threads=_check.threads(self.threads),
        )


def whole(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """A whole number within limits."""
    most = "" if highest is None else f" and at most {highest}, the number of samples"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number and is {value!r}: pass an int, at least {lowest}{most}")
    if value < lowest or (highest is not None and value > highest):
        raise ValueError(f"{name} is {value}: pass at least {lowest}{most}")
    return int(value)


def seed(rng: Any) -> int:
    """A number that decides the order of every epoch, drawn from the generator if it is one."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, bool) or not hasattr(rng, "__index__") or rng < 0:
        raise TypeError(f"rng is {rng!r}: pass a whole number, not negative, to seed with, or a numpy.random.Generator")
    return int(rng)


class Batches:
    """The samples of each iteration: all of them, or a few in an order of its own each epoch, none of them twice."""

    def __init__(self, X: Array, y: Array, s: Array, plan: Plan) -> None:
        self.X, self.y, self.s, self.seed = X, y, s, seed(plan.rng)
        self.size = plan.batch_size or len(X)
        self.rows = np.flatnonzero(s) if s.size else np.arange(len(X))  # a weight of 0 is as good as absent
        self.per_epoch = -(-len(self.rows) // self.size)
        self.whole = self.per_epoch == 1
        self.epoch, self.order = -1, self.rows

    def at(self, i: int) -> tuple[Array, Array, Array]:
        if self.whole:
            return self.X, self.y, self.s
        epoch, position = divmod(i, self.per_epoch)
        if epoch != self.epoch:  # decided by the seed and the epoch alone: a descent can be continued in the middle of one
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))
            self.epoch, self.order = epoch, self.rows[order]
        pick = self.order[position * self.size : (position + 1) * self.size]
        X = self.X[pick]
        X.flags.writeable = False  # as that of all samples is: one compilation serves both
        return X, self.y[pick], self.s[pick] if self.s.size else self.s


def variant(model: Model, plan: Plan) -> Callable[..., Any]:
    """The variant that was asked for, with the arguments that `loop` has."""
    run = _check.variant(plan.variant, model.variants)
    if plan.variant == "tiled":
        run = functools.partial(run, threads=plan.threads)

    def loss_and_gradient(X, y, s, parameters, _, reg, wanted):
        return run(X, y, *model.unpack(*parameters), reg, s if s.size else None, True, wanted)

    return loss_and_gradient


class Descent:
    """A descent on its way: from `start`, after the losses `past`, until converged, diverged, stopped, or out of iterations."""

    def __init__(
        self,
        model: Model,
        batch: tuple[Array, Array, Array],
        start: Iterable[Array],
        plan: Plan,
        past: Array = NOTHING,
        measure: Any = None,
    ) -> None:
        self.model, self.plan, self.measure = model, plan, measure
        self.batch, self.batches = batch, Batches(*batch, plan)
        self.parameters = [p.copy() for p in start]
        self.gradient = tuple(np.empty_like(p) for p in start)
        self.i = self.begun = len(past)
        self.end = self.i + plan.max_iter
        self.losses = [past]
        self.measures: list[Any] = []
        self.verdict, self.step, self.in_range = GOING, 0.0, True
        self.loss_and_gradient = variant(model, plan)
        self.iterate = loop(self.loss_and_gradient)
        small = len(batch[0]) * sum(p.size for p in self.parameters) <= SMALL
        if small and self.batches.whole and plan.variant == "tiled" and not config.DISABLE_JIT:
            self.iterate = model.loop[batch[0].itemsize]
        # With batches the first epoch may be all growth: so compare with what was before it.
        self.first = max([*past[:1], *([] if self.batches.whole else [self.loss()])], default=math.nan)
        self.watch = watch_from(self.first)
        self.segment = SEGMENT if self.batches.whole and plan.callback is None and measure is None else 1

    def loss(self) -> float:
        """Of the present parameters on all samples."""
        X, y, s = self.batch
        with np.errstate(all="ignore"):
            return float(self.loss_and_gradient(X, y, s, self.parameters, None, self.plan.reg, False)[0])

    def run(self) -> "Descent":
        plan = self.plan
        with np.errstate(all="ignore"), progress_bar(plan) as show:
            while self.i < self.end and self.verdict == GOING:
                before = [p.copy() for p in self.parameters] if self.segment == 1 else []
                losses = self.advance()
                if len(losses) and self.verdict != DIVERGED and self.told_to_stop(float(losses[0]), before):
                    self.parameters, losses, self.verdict = before, losses[:0], STOPPED
                self.losses.append(losses)
                self.i += len(losses)
                if len(losses) and self.i % self.batches.per_epoch == 0 and self.verdict != DIVERGED:
                    self.end_epoch()
                show(losses)
        return self

    def advance(self) -> Array:
        """Iterations on one batch; their losses."""
        plan, whole, p = self.plan, self.batches.whole, tuple(self.parameters)
        losses = np.empty(min(self.segment, self.end - self.i))
        epochs = np.arange(self.i, self.i + len(losses)) // self.batches.per_epoch
        rates = np.outer(plan.learning_rate * plan.learning_rate_decay**epochs, plan.moves)
        settings = (plan.reg, rates, *((plan.tol, plan.rtol) if whole else (math.nan, math.nan)))  # one batch cannot tell
        watch = self.watch if whole else watch_from()
        done, self.verdict, step = self.iterate(*self.batches.at(self.i), p, p, self.gradient, *settings, losses, watch)
        begins = self.i % self.batches.per_epoch == 0
        self.step = step if begins else max(self.step, step)  # the longest of the epoch
        self.in_range = math.isfinite(losses[done - 1] + step)
        if self.verdict == DIVERGED and whole and self.in_range and self.cannot_diverge():
            done, self.verdict, self.watch = done - 1, GOING, watch_from(self.first)  # rounding grew; that loss led to no step
        return losses[:done]

    def told_to_stop(self, loss: float, parameters: list[Array]) -> bool:
        callback = self.plan.callback
        return callback is not None and bool(callback(self.i, loss, self.model.unpack(*map(np.copy, parameters))))

    @functools.cached_property
    def safe(self) -> tuple[float, float]:
        return safe_learning_rate(self)

    def cannot_diverge(self) -> bool:
        return self.model.curvature is not None and self.plan.learning_rate <= self.safe[0]

    def end_epoch(self) -> None:
        if not self.batches.whole:
            limit = max(self.plan.tol, self.plan.rtol * length(self.parameters))
            if self.step <= limit and self.i - self.begun >= self.batches.per_epoch:
                self.verdict = CONVERGED
            if diverging(np.concatenate(self.losses[-self.batches.per_epoch :]).mean(), self.watch):
                self.verdict = DIVERGED
        if self.measure:
            self.measures.append(self.measure(*self.model.unpack(*self.parameters)))


def length(parameters: Iterable[Array]) -> float:
    """Euclidean, over all of them."""
    return math.hypot(*(float(np.linalg.norm(p)) for p in parameters))


@contextlib.contextmanager
def progress_bar(plan: Plan) -> Iterator[Callable[[Array], None]]:
    """A function to show losses with, which does nothing unless it was asked for."""
    if not plan.progress:
        yield lambda losses: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: pip install 'numba-gradient-kernels[progress]'") from error
    with tqdm(total=plan.max_iter, unit="it") as bar:

        def show(losses: Array) -> None:
            if len(losses):
                bar.set_postfix(loss=f"{losses[-1]:.6g}", refresh=False)
                bar.update(len(losses))

        yield show


# ---- how far one can step ----


def largest_eigenvalue(X: Array, s: Array, bias: bool) -> float:
    """Of X̃ᵀ diag(s) X̃ / Σ s by power iteration, X̃ being X with a column of ones where there is a bias."""
    rng = np.random.default_rng(0)
    v, c = np.asarray(rng.normal(size=X.shape[1]), X.dtype), float(bias)
    total = s.sum(dtype=np.float64) if s.size else len(X)
    size = float(np.abs(X).max()) or 1.0  # divided out, so that no square overflows
    old, value = 0.0, math.inf
    for _ in range(1000):
        norm = math.hypot(length([v]), c)
        v, c = v / X.dtype.type(norm), c / norm
        u = (X @ v + X.dtype.type(c * bias)) / X.dtype.type(size)
        r = s * u if s.size else u
        value = float(np.vdot(u, r)) / total * size * size  # Rayleigh's quotient: never above the eigenvalue
        if abs(value - old) <= 1e-6 * value:
            break
        old, v, c = value, r @ X, float(r.sum()) * bias
    return value


def safe_learning_rate(descent: Descent) -> tuple[float, float]:
    """SAFE · 2 / L and λ, where L = curvature · λ + reg bounds the curvature of the loss.

    With scores X̃ θ the second derivative of the averaged loss is X̃ᵀ diag(s c) X̃ / Σ s + reg, c_n that of a sample's loss by its
    score: 1 for ½ r², at most 1/4 for log(1 + exp(-m)), at most 1/2 for cross-entropy (Böhning, Multinomial logistic
    regression algorithm, 1992). So L is at most curvature · λ + reg with λ the largest eigenvalue of X̃ᵀ diag(s) X̃ / Σ s, and
    descent converges at any rate below 2 / L (Nesterov, Introductory Lectures on Convex Optimization, 2004, section 2.1.5).
    For linear regression without penalty L is exact: above 2 / L it diverges.

    On batches of B of N samples what counts is λ_B = (N (B - 1) λ + (N - B) max_n ‖x̃_n‖²) / (B (N - 1)), the expected
    smoothness of Gower et al., SGD: General Analysis and Improved Rates, 2019, proposition 3.8.
    """
    (X, _, s), plan = descent.batch, descent.plan
    bias = descent.parameters[1].size > 0
    with np.errstate(all="ignore"):
        eigenvalue = largest_eigenvalue(X, s, bias)
        if not descent.batches.whole:
            rows, B = descent.batches.rows, descent.batches.size
            N = len(rows)
            blocks = (X[rows[n : n + 1024]] for n in range(0, N, 1024))
            longest = max(float(np.square(block, dtype=np.float64).sum(axis=1).max()) for block in blocks) + bias
            eigenvalue = (N * (B - 1) * eigenvalue + (N - B) * longest) / (B * (N - 1))
        bound = (descent.model.curvature or 0) * eigenvalue + plan.reg
    return (SAFE * 2 / bound if bound > 0 else math.inf), eigenvalue


def rate_by_halves(descent: Descent, start: Iterable[Array]) -> float:
    """The first of learning_rate / 2, / 4, ... with which the loss ends below its start; 0 if there is none."""
    plan = replace(descent.plan, callback=None, progress=False, max_iter=min(descent.plan.max_iter, TRIAL))
    before = Descent(descent.model, descent.batch, start, plan).loss()
    for halvings in range(1, 100):
        trial = replace(plan, learning_rate=plan.learning_rate / 2**halvings)
        tried = Descent(descent.model, descent.batch, start, trial).run()
        if tried.verdict != DIVERGED and tried.loss() < before:
            return trial.learning_rate
    return 0.0


def scales_advice(X: Array) -> str:
    """To standardise, where the features' sizes (root mean square) differ by more than a hundredfold."""
    squares = [np.square(X[n : n + 1024], dtype=np.float64).sum(axis=0) for n in range(0, len(X), 1024)]
    size = np.sqrt(np.sum(squares, axis=0) / len(X))
    if not size.any() or size.max() <= 100 * size[size > 0].min():
        return ""
    low, high = int(np.where(size > 0, size, np.inf).argmin()), int(size.argmax())
    return (
        f" The features' scales differ {size[high] / size[low]:.0f}-fold (column {high}: {size[high]:.3g}, column {low}: "
        f"{size[low]:.3g}): standardise them, (X - X.mean(axis=0)) / X.std(axis=0), and a far larger rate will do."
    )


def divergence(descent: Descent, losses: Array, start: list[Array]) -> DivergenceError:
    """The error, with what to do about it."""
    plan, model, iteration = descent.plan, descent.model, len(losses) - 1
    if model.curvature is None:
        safe = rate_by_halves(descent, start)
        advice = (
            f"For a network no safe rate is known beforehand; of its halves, quarters and so on the first that lowered the "
            f"loss over {min(plan.max_iter, TRIAL)} iterations is {safe:.4g}."
        )
    else:
        safe, eigenvalue = descent.safe
        safe = safe if descent.batches.whole else min(safe, plan.learning_rate / 2)  # on batches it is an estimate
        advice = (
            f"The largest that is safe on this data is {safe:.4g}: {SAFE} · 2 / ({model.curvature:g} · {eigenvalue:.4g} + "
            f"{plan.reg:g}), from the largest eigenvalue of XᵀX/N and reg."
        )
    what = (
        "the loss grows instead of falling" if descent.in_range else f"the numbers leave the range of {descent.batch[0].dtype}"
    )
    text = (
        f"{what} at iteration {iteration} (losses {' → '.join(f'{loss:.4g}' for loss in losses[-4:])}): "
        f"learning_rate={plan.learning_rate:g} is too large. {advice}{scales_advice(descent.batch[0])}"
    )
    return DivergenceError(text, iteration, losses, safe)


# ---- what `descend` of a problem calls ----


class Outcome(NamedTuple):
    """What every `Fit` is made of: the parameters; losses, n_iter and converged; what was measured after each epoch."""

    parameters: tuple[Any, ...]
    history: tuple[Any, ...]
    measures: list[Any]


def run(
    model: Model,
    X: Array,
    y: Array,
    s: Array | None,
    parameters: Iterable[Any],
    plan: Plan,
    fit: Any = None,
    measure: Any = None,
) -> Outcome:
    """Descend, from the end of `fit` if it is given; raise `DivergenceError`, or warn where it did not converge.

    `measure(*parameters)` is called after every epoch.
    """
    plan = plan.checked(len(X))
    _check.finite("X", X)
    start = [_tiles.as_vector(p, X).astype(X.dtype) for p in parameters]
    batch = X, y, np.empty(0, X.dtype) if s is None else s
    descent = Descent(model, batch, start, plan, NOTHING if fit is None else fit.losses, measure).run()
    losses = np.concatenate(descent.losses)
    if descent.verdict == DIVERGED:
        if len(losses) == 1:  # the start itself may be beyond the dtype, whatever the rate
            _check.guarded(model.variants, plan.variant, plan.threads, X, y, *model.unpack(*start), plan.reg, s, True, True)
        raise divergence(descent, losses, start)
    if descent.verdict == GOING and (plan.tol or plan.rtol):
        last = "last step" if descent.batches.whole else "longest step of an epoch"
        warnings.warn(
            f"not converged after {plan.max_iter} iterations: the {last} had length {descent.step:.3g}, above the "
            f"tolerance (tol={plan.tol:g}, rtol={plan.rtol:g}); raise max_iter or learning_rate, standardise the features, "
            "continue from this result with start=, or pass tol=0 for a fixed number of iterations",
            ConvergenceWarning,
            stacklevel=3,
        )
    history = losses, len(losses), descent.verdict == CONVERGED
    return Outcome(model.unpack(*descent.parameters), history, descent.measures)


def continued(start: Any, names: tuple[str, ...], given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The parameters to start from: those given by name, or those of a result."""
    if start is None:
        return given
    if any(p is not None for p in given):
        raise ValueError(
            f"start and {' or '.join(names)} were both given: pass the result to continue from, or parameters, not both"
        )
    if not all(hasattr(start, name) for name in (*names, "losses", "n_iter")):
        raise TypeError(f"start must be what descend returned, with {', '.join(names)}, and is a {type(start).__name__}")
    return tuple(getattr(start, name) for name in names)


def classes(y: Any, X: Array) -> int:
    """One more than the highest label."""
    y = _check._one_per_sample("y", y, X)
    highest = y.max()
    if np.isfinite(highest) and highest >= len(X):
        raise ValueError(
            f"the highest label in y is {highest}, with {len(X)} samples: renumber the classes 0..K-1, or start from weights "
            "with a column for each class"
        )
    return int(highest) + 1 if highest > 0 and np.isfinite(highest) else 1  # the check of labels refuses what is none


def bias(b: Any, wanted: bool, zeros: Any) -> Any:
    """The bias to start from, None for a model without."""
    if b is not None and not wanted:
        raise ValueError("a bias b was given and fit_bias is False: leave one of them out")
    return zeros if b is None and wanted else b
