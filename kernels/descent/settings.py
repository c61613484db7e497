"""The settings of a descent, and the batches of its iterations."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..validate import not_negative, threads, whole_number

Array = NDArray[Any]
Batch = tuple[Array, Array, Array, Array]  # X, y, weights, numbers of the rows to use; () for all
TOLERANCES = "gtol", "tol", "rtol"
GTOL = 1e-5  # if no tolerance is given


class Options(TypedDict, total=False):
    """The keywords that `descend` of every problem takes, `learning_rate` and `callback` apart."""

    learning_rate_decay: float
    reg: float
    sample_weight: ArrayLike | None
    batch_size: int | None
    rng: int | np.random.Generator | np.random.SeedSequence | None
    max_iter: int
    gtol: float | None
    tol: float | None
    rtol: float | None
    progress: bool
    variant: str
    threads: int | None
    fit_bias: bool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to descend; `kernels.softmax.descend` documents each setting."""

    learning_rate: float | None = None
    learning_rate_decay: float = 1.0
    reg: float = 0.0
    batch_size: int | None = None
    rng: int | np.random.Generator | np.random.SeedSequence | None = 0
    max_iter: int = 10_000
    gtol: float | None = None
    tol: float | None = None
    rtol: float | None = None
    callback: Callable[[int, float, Any], Any] | None = None
    progress: bool = False
    variant: str = "tiled"
    threads: int | None = None
    fit_bias: bool = True

    def checked(self) -> "Settings":
        """Converted settings; raise an error for one that is invalid.

        A tolerance that is 0 or not given becomes nan, so that every comparison with it is false.
        """
        size, rate = self.batch_size, self.learning_rate
        if rate is not None and not_negative("learning_rate", rate) == 0:
            raise ValueError(
                "learning_rate is 0, with which nothing moves: "
                "pass a float such as learning_rate=0.1"
            )
        decay = not_negative("learning_rate_decay", self.learning_rate_decay)
        if not 0 < decay <= 1:
            raise ValueError(
                f"learning_rate_decay is {decay}: after each epoch the rate is multiplied by it; "
                "pass more than 0 and at most 1"
            )
        if self.callback is not None and not callable(self.callback):
            raise TypeError(
                f"callback is {self.callback!r}: "
                "pass a function of (iteration, loss, params), or None"
            )
        given = {name: getattr(self, name) for name in TOLERANCES}
        if self.batch_size is None and all(value is None for value in given.values()):
            given["gtol"] = GTOL
        tolerances: Any = {
            name: math.nan if value is None else not_negative(name, value) or math.nan
            for name, value in given.items()
        }
        return replace(
            self,
            learning_rate=None if rate is None else float(rate),
            learning_rate_decay=decay,
            reg=not_negative("reg", self.reg),
            batch_size=None if size is None else whole_number("batch_size", size, 1),
            rng=seed_from(self.rng),
            max_iter=whole_number("max_iter", self.max_iter, 1),
            threads=threads(self.threads),
            **tolerances,
        )


def seed_from(rng: Any) -> int:
    """The seed of the order of every epoch: `rng` itself, or drawn from it."""
    if rng is None or isinstance(rng, np.random.SeedSequence):
        rng = np.random.default_rng(rng)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, bool) or not hasattr(rng, "__index__") or rng < 0:
        raise TypeError(
            f"rng is {rng!r}: pass a whole number, not negative, to seed with, a "
            "numpy.random.Generator or SeedSequence, or None for another seed each time"
        )
    return int(rng)


class Batches:
    """The batch of each iteration: all samples that have a weight, or a few of them."""

    def __init__(self, batch: Batch, settings: Settings) -> None:
        self.all, self.seed = batch, seed_from(settings.rng)
        X, _, _, rows = batch
        self.rows = rows if rows.size else np.arange(len(X))
        self.size = min(settings.batch_size or len(X), len(self.rows))
        self.per_epoch = -(-len(self.rows) // self.size)
        self.full_batch = self.per_epoch == 1
        self.epoch, self.order = -1, self.rows

    def since(self, iteration: int) -> tuple[Batch, int]:
        """The batch with the rows of the rest of an epoch, and how many an iteration takes.

        All samples, and 0, if there is a single batch.
        """
        if self.full_batch:
            return self.all, 0
        epoch, position = divmod(iteration, self.per_epoch)
        if epoch != self.epoch:
            # Seed and epoch alone decide, so a descent can be continued in the middle of an epoch.
            rng = np.random.default_rng((self.seed, epoch))
            self.epoch, self.order = epoch, rng.permutation(self.rows)
        X, y, s, _ = self.all
        return (X, y, s, self.order[position * self.size :]), self.size
