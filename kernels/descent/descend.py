"""Run a gradient descent, from the start to its outcome.

    parameters ← parameters - learning_rate · learning_rate_decay^epoch · gradient

until the gradient, or the step, is small enough. See `rates` for how large the rate may be, and
`diagnosis` for what is said of a descent that did not converge.
"""

import contextlib
import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .. import validate
from ..engine.driver import SAMPLES, Kernel, key_of, sizes
from ..engine.parameter_pass import many_parameters
from ..engine.reduce import Goal
from .diagnosis import Features, why_not_converged
from .loop import Status, descent_loop, divergence_state, diverging
from .rates import SAFE, safe_rate
from .results import ConvergenceWarning, DivergenceError, Outcome
from .settings import Batch, Batches, Settings

Array = NDArray[Any]
Arrays = tuple[Array, ...]  # parameters: a weight and its bias, of one layer after the other
SMALL = 2**18  # samples times parameters: above, a second thread gains more than a compiled loop
SMALLEST = math.ulp(0.0)  # a rate of 0 would mean that nothing is to move
SEGMENT = 1000  # compiled iterations between two checks for an interrupt
MOST_NUMBERS = 2**22  # of X, to find out how far rounding goes
TRIAL = 500  # iterations to try a rate where no bound on the curvature is known


@dataclass(frozen=True)
class Model:
    """The parts of a problem that descent uses."""

    curvature: float | None  # bound on ∂²loss/∂score²; None where no bound is known
    # See `compiled_loop`. None where the samples are not in the batch, which stands for data in
    # blocks: nothing can be said of their features.
    loop: Kernel | None
    # (batch, parameters, settings, goal, learning rate, arrays that may be written) -> the loss and
    # what the goal says; by the variant of the settings, unchecked.
    compute: Callable[..., tuple[float, Any]]
    unpack: Callable[[Arrays, bool], Any]  # (parameters, fit_bias) -> the public named tuple
    check: Callable[[Batch, Arrays, Settings], Any]  # raises an error if the dtype overflows
    # Of labels: (X, parameters) -> the scores, (N,) for -1 and +1 or (N, K) for 0..K-1.
    scores: Callable[[Array, Arrays], Array] | None


class Descent:
    """The state of a descent; `run` continues it until it converges, diverges or is stopped."""

    def __init__(
        self, model: Model, batch: Batch, start: Arrays, settings: Settings, past_losses: Array
    ) -> None:
        self.model, self.start, (X, y, *_) = model, start, batch
        self.batches, self.settings = Batches(batch, settings), settings
        rate = settings.learning_rate
        self.rate = self.safe[0] if rate is None else rate
        self.parameters = tuple(p.copy() for p in start)
        self.spare = tuple(np.empty_like(p) for p in self.parameters)  # for gradients or results
        self.moves = [settings.fit_bias or k % 2 == 0 for k in range(len(start))]
        self.i = self.begun = len(past_losses)
        self.end = self.i + settings.max_iter
        self.losses, self.measures = [past_losses], list[Any]()
        self.status: int = Status.RUNNING
        self.step, self.norm, self.in_range = 0.0, math.inf, True
        full_batch, compiles = self.batches.full_batch, not numba.config.DISABLE_JIT
        size = sum(p.size for p, moves in zip(start, self.moves, strict=True) if moves)
        few = self.batches.size * size <= SMALL and compiles and settings.variant == "tiled"
        few = few and not many_parameters(*sizes(self.batches.size, X, start))
        loop = model.loop if few else None
        self.small = loop is not None
        self.iterate = (
            descent_loop(self.loss_and_vectors) if loop is None else loop[key_of(X, y), SAMPLES]
        )
        _, tol, rtol = self.tolerances
        asked = full_batch or tol > 0 or rtol > 0  # for the lengths of steps
        self.at_once = not (self.small or asked) and all(self.moves)
        # With batches the first epoch may be all growth: so compare with what was before it.
        before = [] if full_batch else [self.loss()]
        self.first_loss = max([*past_losses[:1], *before], default=math.nan)
        self.divergence_state = divergence_state(self.first_loss)

    def loss_and_vectors(
        self, batch: Batch, parameters: Arrays, gradient: Any = (None,), *_: Any
    ) -> tuple[float, Arrays]:
        call = batch, parameters, self.settings, Goal.GRADIENT, 0.0, gradient[0]
        loss, found = self.model.compute(*call)
        return loss, tuple(np.asarray(g, batch[0].dtype).reshape(-1) for g in found)

    def steps_at_once(self, data: Any, rates: Array, losses: Array) -> tuple[int, int, float]:
        """Like the loop, where nobody asks for gradients or lengths: the kernels make the steps."""
        (X, y, s, rows), size = data
        for i, rate in enumerate(rates):
            batch = X, y, s, rows[i * size : (i + 1) * size]
            call = batch, self.parameters, self.settings, Goal.STEP, float(rate), self.spare
            losses[i], stepped = self.model.compute(*call)
            if not math.isfinite(losses[i]):
                return i + 1, Status.DIVERGED, math.inf
            self.parameters, self.spare = stepped, self.parameters
        finite = validate.all_finite(self.parameters)
        return len(losses), Status.RUNNING if finite else Status.DIVERGED, math.inf

    @property
    def tolerances(self) -> tuple[float, float, float]:
        """gtol, tol and rtol; nan for one that is not used."""
        settings: Any = self.settings
        return settings.gtol, settings.tol, settings.rtol

    def loss(self) -> float:
        """The loss of the current parameters on all samples."""
        call = self.batches.all, self.parameters, self.settings, Goal.NOTHING
        with np.errstate(all="ignore"):
            return self.model.compute(*call)[0]

    def gradient_norm(self) -> float:
        """The largest component of the gradient at the current parameters on all samples."""
        with np.errstate(all="ignore"):
            _, vectors = self.loss_and_vectors(self.batches.all, self.parameters)
            return self.largest(vectors)

    def largest(self, vectors: Any) -> float:
        """The largest component of the vectors whose parameters are fitted."""
        pairs = zip(vectors, self.moves, strict=True)
        return max(float(np.abs(vector).max()) for vector, moves in pairs if moves)

    def rounding(self) -> float:
        """The largest rounding error of a component of the gradient; 0 for large data."""
        X, y, s, rows = self.batches.all
        if X.size > MOST_NUMBERS:
            return 0.0
        wide = np.float64 if X.dtype == np.float32 else np.longdouble
        s = (s if s.size else np.ones(len(X))).astype(wide)
        batch = X.astype(wide), y, s, rows
        in_numpy = replace(self.settings, variant="numpy")
        exact = tuple(p.astype(wide) for p in self.parameters)
        with np.errstate(all="ignore"):
            _, vectors = self.loss_and_vectors(self.batches.all, self.parameters)
            _, right = self.model.compute(batch, exact, in_numpy, Goal.GRADIENT)
            differences = [v - np.reshape(r, -1) for v, r in zip(vectors, right, strict=True)]
            return self.largest(differences)

    def public(self, parameters: Arrays) -> Any:
        return self.model.unpack(parameters, self.settings.fit_bias)

    def run(self, measure: Callable[..., Any] | None = None) -> "Descent":
        callback, batches, per_epoch = self.settings.callback, self.batches, self.batches.per_epoch
        watched = callback or (self.settings.progress and not self.small)
        shown = progress_bar(self.settings.progress, total=self.settings.max_iter, unit="it")
        with np.errstate(all="ignore"), shown as bar:
            while self.i < self.end and self.status == Status.RUNNING:
                before = tuple(p.copy() for p in self.parameters) if callback else ()
                most = 1 if watched or (measure and batches.full_batch) else SEGMENT
                if not batches.full_batch:  # an epoch has its own order
                    most = min(most, per_epoch - self.i % per_epoch)
                losses = self.advance(min(most, self.end - self.i))
                if callback and len(losses) and self.status != Status.DIVERGED:
                    copies = self.public(tuple(p.copy() for p in before))
                    if callback(self.i, float(losses[0]), copies):
                        self.parameters, losses, self.status = before, losses[:0], Status.STOPPED
                self.losses.append(losses)
                self.i += len(losses)
                ended = len(losses) > 0 and self.i % per_epoch == 0
                if ended and self.status != Status.DIVERGED:
                    if not batches.full_batch:
                        self.judge_epoch()
                    if measure:
                        self.measures.append(measure(*self.public(self.parameters)))
                if bar is not None and len(losses):
                    bar.set_postfix(loss=f"{losses[-1]:.6g}", refresh=False)
                    bar.update(len(losses))
        return self

    def advance(self, iterations: int) -> Array:
        """Run up to `iterations` iterations, of one epoch if there are batches; the losses."""
        settings, full_batch = self.settings, self.batches.full_batch
        losses, steps = np.empty(iterations), np.zeros(iterations)
        epochs = np.arange(self.i, self.i + iterations) // self.batches.per_epoch
        rates = np.maximum(self.rate * settings.learning_rate_decay**epochs, SMALLEST)
        data = self.batches.since(self.i)
        if self.at_once:
            done, self.status, self.norm = self.steps_at_once(data, rates, losses)
        else:
            # Of several batches, one cannot tell whether the descent converges or diverges.
            tolerances = self.tolerances if full_batch else (math.nan,) * 3
            state = self.divergence_state if full_batch else divergence_state(math.inf)
            pairs = [(p, tuple(a.reshape(-1) for a in p)) for p in (self.parameters, self.spare)]
            call = data, *pairs, (settings.reg, *tolerances)
            rates = np.outer(rates, self.moves)
            done, self.status, self.norm = self.iterate(*call, rates, (losses, steps), state)
        if full_batch:
            self.step = steps[done - 1]
        else:  # the longest of the epoch
            self.step = max(self.step if self.i % self.batches.per_epoch else 0.0, steps.max())
        self.in_range = math.isfinite(losses[done - 1] + steps[done - 1])
        diverged = self.status == Status.DIVERGED and full_batch and self.in_range
        if diverged and self.cannot_diverge():  # rounding grew; that loss led to no step
            done, self.status = done - 1, Status.RUNNING
            self.divergence_state = divergence_state(self.first_loss)
        return losses[:done]

    def judge_epoch(self) -> None:
        (gtol, tol, rtol), per_epoch = self.tolerances, self.batches.per_epoch
        # Not np.linalg.norm: the threads of a BLAS busy-wait for long after a call.
        squares = sum(np.square(p, dtype=float).sum() for p in self.parameters) if rtol > 0 else 0.0
        near = self.step <= tol or self.step <= rtol * math.sqrt(squares)
        if self.i - self.begun >= per_epoch and near:
            self.status = Status.CONVERGED
        if gtol > 0:
            self.norm = self.gradient_norm()
            if self.norm <= gtol:
                self.status = Status.CONVERGED
        epoch, held = list[Array](), 0
        while held < per_epoch:
            epoch.append(self.losses[-1 - len(epoch)])
            held += len(epoch[-1])
        if diverging(np.concatenate(epoch[::-1])[-per_epoch:].mean(), self.divergence_state):
            self.status = Status.DIVERGED

    @functools.cached_property
    def safe(self) -> tuple[float, float]:
        return safe_rate(self.batches, self.settings, self.model.curvature or 0.0)

    def cannot_diverge(self) -> bool:
        return self.model.curvature is not None and self.rate <= self.safe[0]

    def message(self) -> str:
        """The reason why a descent that has not diverged ended."""
        if self.status == Status.STOPPED:
            return f"stopped by the callback at iteration {self.i}"
        gtol, tol, rtol = self.tolerances
        which = "last step" if self.batches.full_batch else "longest step of an epoch"
        largest = f"the largest component of the gradient is {self.norm:.3g}"
        length = f"the {which} had length {self.step:.3g}"
        criteria = [
            (gtol, self.norm <= gtol, largest, f"gtol={gtol:g}"),
            (tol, self.step <= tol, length, f"tol={tol:g}"),
            (rtol, True, length, f"rtol={rtol:g} · ‖parameters‖"),
        ]
        given = [criterion for criterion in criteria if criterion[0] > 0]
        if self.status == Status.CONVERGED:
            _, _, what, limit = next(criterion for criterion in given if criterion[1])
            return f"converged after {self.i} iterations: {what}, at most {limit}"
        what = ", and ".join(f"{what}, above {limit}" for *_, what, limit in given)
        return f"not converged after {self.settings.max_iter} iterations: {what or largest}"


def progress_bar(progress: bool, **options: Any) -> Any:
    """A context with tqdm's bar of these options, or with None unless one was asked for."""
    if not progress:
        return contextlib.nullcontext()
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        install = "pip install 'numba-gradient-kernels[progress]'"
        raise ImportError(f"progress=True needs tqdm: {install}") from error
    return tqdm(**options)


# ---- called by `descend` of a problem ----


def run(
    model: Model, batch: Batch, start: Arrays, settings: Settings, past_losses: Array, measure=None
) -> Outcome:
    """Descend from `start`, which was reached with `past_losses`; nothing passed is modified.

    A bias that the model has not is zeros here. After each epoch ``measure(*parameters)`` is called
    with the public parameters. Raises `DivergenceError`, and warns where it did not converge.
    """
    settings = settings.checked()
    validate.finite("X", batch[0], batch[3] if batch[3].size else None)
    if settings.learning_rate is None and model.curvature is None:
        raise ValueError(
            "learning_rate is None, and for this loss no safe rate is known beforehand: "
            "pass a float such as learning_rate=0.1"
        )
    descent = Descent(model, batch, start, settings, past_losses)
    refuse_rate(descent.rate, settings.learning_rate is None, batch[0].dtype)
    descent.run(measure)
    losses = np.concatenate(descent.losses)
    if descent.status == Status.DIVERGED:
        if len(losses) == 1:  # the start itself may be beyond the dtype, whatever the rate
            model.check(batch, start, settings)
        raise divergence_error(descent, losses)
    gtol, *_ = descent.tolerances
    if not descent.norm <= gtol:
        descent.norm = descent.gradient_norm()
        if descent.status == Status.RUNNING and descent.norm <= gtol:
            descent.status = Status.CONVERGED
    message = descent.message()
    if descent.status == Status.RUNNING:
        if any(tolerance > 0 for tolerance in descent.tolerances):
            message = f"{message}; {why_not_converged(descent)}"
            warnings.warn(message, ConvergenceWarning, stacklevel=4)  # the public caller
        message = f"max_iter reached: {message}"
    converged, found = bool(descent.status == Status.CONVERGED), descent.public(descent.parameters)
    norm, measures = descent.norm, descent.measures
    return Outcome(found, losses, len(losses), converged, message, norm, measures)


def refuse_rate(rate: Any, safe: bool, dtype: Any) -> None:
    """Refuse a learning rate that is 0 or infinite in X's dtype."""
    with np.errstate(all="ignore"):
        in_dtype = dtype.type(rate)
    if not 0 < in_dtype < np.inf:
        which = "the safe learning_rate of this data" if safe else "learning_rate"
        raise ValueError(
            f"{which} is {rate:g}, beyond the range of {dtype}, the dtype of X: "
            "pass (X - np.mean(X, axis=0)) / np.std(X, axis=0) as X, which needs no such rate"
        )


def rate_by_halves(descent: Descent) -> float:
    """The first of learning_rate / 2, / 4, ... that lowers the loss in a trial; 0 if none does."""
    iterations = min(descent.settings.max_iter, TRIAL)
    settings = replace(descent.settings, callback=None, progress=False, max_iter=iterations)
    problem = descent.model, descent.batches.all, descent.start
    before = Descent(*problem, settings, np.empty(0)).loss()
    for halvings in range(1, 100):
        rate = descent.rate / 2**halvings
        tried = Descent(*problem, replace(settings, learning_rate=rate), np.empty(0)).run()
        if tried.status != Status.DIVERGED and tried.loss() < before:
            return rate
    return 0.0


def divergence_error(descent: Descent, losses: Array) -> DivergenceError:
    """The error for a descent that diverged, with advice."""
    settings, curvature, X = descent.settings, descent.model.curvature, descent.batches.all[0]
    safe = math.nan
    if descent.model.loop is None:
        advice = f"Pass a smaller one, such as learning_rate={descent.rate / 10:.3g}."
    elif curvature is None:
        safe, iterations = rate_by_halves(descent), min(settings.max_iter, TRIAL)
        advice = (
            "For this loss no safe rate is known beforehand; of its halves, quarters and so on the "
            f"first that lowered the loss over {iterations} iterations is {safe:.4g}."
        )
    else:
        safe, eigenvalue = descent.safe
        if not descent.batches.full_batch:  # an estimate
            safe = min(safe, descent.rate / 2)
        advice = (
            f"The largest that is safe on this data is {safe:.4g}: {SAFE} · 2 / ({curvature:g} · "
            f"{eigenvalue:.4g} + {settings.reg:g}), from the largest eigenvalue of XᵀX/N and reg."
        )
    what, last = "the loss grows instead of falling", " → ".join(f"{x:.4g}" for x in losses[-4:])
    if not descent.in_range:
        what = f"the numbers leave the range of {X.dtype}"
    text = (
        f"{what} at iteration {len(losses) - 1} (losses {last}): "
        f"learning_rate={descent.rate:g} is too large. {advice}"
    )
    scales = Features(descent.batches, settings.fit_bias).scales_advice(100)
    if scales:
        text += f" T{scales[1:]}; a far larger rate will do then."
    return DivergenceError(text, len(losses) - 1, losses, safe)
