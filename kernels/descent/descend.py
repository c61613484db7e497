"""One descent, from its start to its outcome.

    parameters ← parameters - learning_rate · learning_rate_decay^epoch · gradient

until the step is short enough. How large the rate may be is the matter of `safe_rate`.
"""

import contextlib
import functools
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .. import validate
from .loop import Status, descent_loop, divergence_state, diverging
from .rates import SAFE, safe_rate, scales_advice
from .results import ConvergenceWarning, DivergenceError, Outcome
from .settings import Batch, Batches, Settings

Array = NDArray[Any]
Arrays = tuple[Array, ...]  # parameters: a weight and its bias, of one layer after the other
SMALL = 2**18  # samples times parameters: above, a second thread gains more than a compiled loop
SEGMENT = 1000  # compiled iterations between two checks for an interrupt
TRIAL = 500  # iterations to try a rate where no bound on the curvature is known


@dataclass(frozen=True)
class Model:
    """What descent needs to know of a problem."""

    curvature: float | None  # bound on ∂²loss/∂score²; None where no bound is known
    loop: Mapping[int, Callable[..., Any]]  # by the itemsize of X: see `compiled_loop`
    # The last says whether the gradient is wanted; by the variant of the settings, unchecked.
    loss_and_gradient: Callable[[Batch, Arrays, Settings, bool], tuple[float, Any]]
    unpack: Callable[[Arrays, bool], Any]  # (parameters, fit_bias) -> the public named tuple
    check: Callable[[Batch, Arrays, Settings], Any]  # raises an error if the dtype overflows


class Descent:
    """A descent on its way, after `past_losses`, until it converges, diverges or is stopped."""

    def __init__(
        self, model: Model, batch: Batch, start: Arrays, settings: Settings, past_losses: Array
    ) -> None:
        self.model, self.settings, self.start = model, settings, start
        self.batches, (X, *_) = Batches(batch, settings), batch
        self.parameters = tuple(p.copy() for p in start)
        both = self.parameters, tuple(np.empty_like(p) for p in self.parameters)
        self.pairs = [(arrays, tuple(p.reshape(-1) for p in arrays)) for arrays in both]
        self.moves = [settings.fit_bias or k % 2 == 0 for k in range(len(start))]
        self.i = self.begun = len(past_losses)
        self.end = self.i + settings.max_iter
        self.losses, self.measures = [past_losses], list[Any]()
        self.status: int = Status.RUNNING
        self.step, self.in_range = 0.0, True
        full_batch, compiles = self.batches.full_batch, not numba.config.DISABLE_JIT
        size = sum(p.size for p, moves in zip(start, self.moves, strict=True) if moves)
        small = len(X) * size <= SMALL and full_batch and compiles and settings.variant == "tiled"
        self.iterate = model.loop[X.itemsize] if small else descent_loop(self.loss_and_vectors)
        # With batches the first epoch may be all growth: so compare with what was before it.
        before = [] if full_batch else [self.loss()]
        self.first_loss = max([*past_losses[:1], *before], default=math.nan)
        self.divergence_state = divergence_state(self.first_loss)

    def loss_and_vectors(self, batch: Batch, parameters: Arrays, *_: Any) -> tuple[float, Arrays]:
        loss, gradient = self.model.loss_and_gradient(batch, parameters, self.settings, True)
        return loss, tuple(np.asarray(g, batch[0].dtype).reshape(-1) for g in gradient)

    def loss(self) -> float:
        """Of the present parameters on all samples."""
        call = self.batches.all, self.parameters, self.settings, False
        with np.errstate(all="ignore"):
            return self.model.loss_and_gradient(*call)[0]

    def public(self, parameters: Arrays) -> Any:
        return self.model.unpack(parameters, self.settings.fit_bias)

    def run(self, measure: Callable[..., Any] | None = None) -> "Descent":
        callback, per_epoch = self.settings.callback, self.batches.per_epoch
        segment = SEGMENT if self.batches.full_batch and not callback and not measure else 1
        with np.errstate(all="ignore"), progress_bar(self.settings) as bar:
            while self.i < self.end and self.status == Status.RUNNING:
                before = tuple(p.copy() for p in self.parameters) if callback else ()
                losses = self.advance(min(segment, self.end - self.i))
                if callback and len(losses) and self.status != Status.DIVERGED:
                    shown = self.public(tuple(p.copy() for p in before))
                    if callback(self.i, float(losses[0]), shown):
                        self.parameters, losses, self.status = before, losses[:0], Status.STOPPED
                self.losses.append(losses)
                self.i += len(losses)
                ended = len(losses) > 0 and self.i % per_epoch == 0
                if ended and self.status != Status.DIVERGED:
                    if not self.batches.full_batch:
                        self.judge_epoch()
                    if measure:
                        self.measures.append(measure(*self.public(self.parameters)))
                if bar is not None and len(losses):
                    bar.set_postfix(loss=f"{losses[-1]:.6g}", refresh=False)
                    bar.update(len(losses))
        return self

    def advance(self, iterations: int) -> Array:
        """At most so many iterations on one batch; their losses."""
        settings, full_batch, losses = self.settings, self.batches.full_batch, np.empty(iterations)
        epochs = np.arange(self.i, self.i + iterations) // self.batches.per_epoch
        rates = settings.learning_rate * settings.learning_rate_decay**epochs
        # Of several batches, one cannot tell whether the descent converges or diverges.
        tolerances = (settings.tol, settings.rtol) if full_batch else (math.nan, math.nan)
        state = self.divergence_state if full_batch else divergence_state()
        call = self.batches.at(self.i), *self.pairs, (settings.reg, *tolerances)
        done, self.status, step = self.iterate(*call, np.outer(rates, self.moves), losses, state)
        self.step = max(self.step if self.i % self.batches.per_epoch else 0.0, step)  # of the epoch
        self.in_range = math.isfinite(losses[done - 1] + step)
        diverged = self.status == Status.DIVERGED and full_batch and self.in_range
        if diverged and self.cannot_diverge():  # rounding grew; that loss led to no step
            done, self.status = done - 1, Status.RUNNING
            self.divergence_state = divergence_state(self.first_loss)
        return losses[:done]

    def judge_epoch(self) -> None:
        settings, per_epoch = self.settings, self.batches.per_epoch
        limit = max(settings.tol, settings.rtol * math.hypot(*map(np.linalg.norm, self.parameters)))
        if self.step <= limit and self.i - self.begun >= per_epoch:
            self.status = Status.CONVERGED
        if diverging(np.concatenate(self.losses[-per_epoch:]).mean(), self.divergence_state):
            self.status = Status.DIVERGED

    @functools.cached_property
    def safe(self) -> tuple[float, float]:
        return safe_rate(self.batches, self.settings, self.model.curvature or 0.0)

    def cannot_diverge(self) -> bool:
        return self.model.curvature is not None and self.settings.learning_rate <= self.safe[0]

    def message(self) -> str:
        """Why it ended, if it has not diverged."""
        settings, tol, rtol = self.settings, self.settings.tol, self.settings.rtol
        if self.status == Status.STOPPED:
            return f"stopped by the callback at iteration {self.i}"
        which = "last step" if self.batches.full_batch else "longest step of an epoch"
        step = f"the {which} had length {self.step:.3g}"
        if self.status == Status.CONVERGED:
            limit = f"tol={tol:g}" if self.step <= tol else f"rtol={rtol:g} · ‖parameters‖"
            return f"converged after {self.i} iterations: {step}, at most {limit}"
        tolerance = f"the tolerance (tol={tol:g}, rtol={rtol:g})"
        return f"not converged after {settings.max_iter} iterations: {step}, above {tolerance}"


def progress_bar(settings: Settings) -> Any:
    """A context with a bar, or with None unless one was asked for."""
    if not settings.progress:
        return contextlib.nullcontext()
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        install = "pip install 'numba-gradient-kernels[progress]'"
        raise ImportError(f"progress=True needs tqdm: {install}") from error
    return tqdm(total=settings.max_iter, unit="it")


# ---- called by `descend` of a problem ----


def run(
    model: Model, batch: Batch, start: Arrays, settings: Settings, past_losses: Array, measure=None
) -> Outcome:
    """Descend from `start`, which was reached with `past_losses`; nothing passed is modified.

    A bias that the model has not is zeros here. After each epoch ``measure(*parameters)`` is called
    with the public parameters. Raises `DivergenceError`, and warns where it did not converge.
    """
    settings = settings.checked(len(batch[0]))
    validate.finite("X", batch[0])
    descent = Descent(model, batch, start, settings, past_losses).run(measure)
    losses, message = np.concatenate(descent.losses), descent.message()
    if descent.status == Status.DIVERGED:
        if len(losses) == 1:  # the start itself may be beyond the dtype, whatever the rate
            model.check(batch, start, settings)
        raise divergence_error(descent, losses)
    if descent.status == Status.RUNNING:
        if settings.tol or settings.rtol:
            advice = (
                "; raise max_iter or learning_rate, standardise the features, continue from this "
                "result with start=, or pass tol=0 for a fixed number of iterations"
            )
            warnings.warn(message + advice, ConvergenceWarning, stacklevel=4)  # the public caller
        message = f"max_iter reached: {message}"
    converged, found = descent.status == Status.CONVERGED, descent.public(descent.parameters)
    return Outcome(found, losses, len(losses), converged, message, descent.measures)


def rate_by_halves(descent: Descent) -> float:
    """The first of learning_rate / 2, / 4, ... that lowers the loss in a trial; 0 if none does."""
    iterations = min(descent.settings.max_iter, TRIAL)
    settings = replace(descent.settings, callback=None, progress=False, max_iter=iterations)
    problem = descent.model, descent.batches.all, descent.start
    before = Descent(*problem, settings, np.empty(0)).loss()
    for halvings in range(1, 100):
        trial = replace(settings, learning_rate=settings.learning_rate / 2**halvings)
        tried = Descent(*problem, trial, np.empty(0)).run()
        if tried.status != Status.DIVERGED and tried.loss() < before:
            return trial.learning_rate
    return 0.0


def divergence_error(descent: Descent, losses: Array) -> DivergenceError:
    """The error, with what to do about it."""
    settings, curvature, X = descent.settings, descent.model.curvature, descent.batches.all[0]
    if curvature is None:
        safe, iterations = rate_by_halves(descent), min(settings.max_iter, TRIAL)
        advice = (
            "For this loss no safe rate is known beforehand; of its halves, quarters and so on the "
            f"first that lowered the loss over {iterations} iterations is {safe:.4g}."
        )
    else:
        safe, eigenvalue = descent.safe
        if not descent.batches.full_batch:  # an estimate
            safe = min(safe, settings.learning_rate / 2)
        advice = (
            f"The largest that is safe on this data is {safe:.4g}: {SAFE} · 2 / ({curvature:g} · "
            f"{eigenvalue:.4g} + {settings.reg:g}), from the largest eigenvalue of XᵀX/N and reg."
        )
    what, last = "the loss grows instead of falling", " → ".join(f"{x:.4g}" for x in losses[-4:])
    if not descent.in_range:
        what = f"the numbers leave the range of {X.dtype}"
    text = (
        f"{what} at iteration {len(losses) - 1} (losses {last}): "
        f"learning_rate={settings.learning_rate:g} is too large. {advice}{scales_advice(X)}"
    )
    return DivergenceError(text, len(losses) - 1, losses, safe)
