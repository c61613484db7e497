"""The settings of a descent, as keywords and as one object, and the batches that they make."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..validate import not_negative, threads, whole_number

Array = NDArray[Any]
Batch = tuple[Array, Array, Array, Array]  # X, y, weights, numbers of the rows to use; () for none


class Options(TypedDict, total=False):
    """The keywords that `descend` of every problem takes, `learning_rate` and `callback` apart."""

    learning_rate_decay: float
    reg: float
    sample_weight: ArrayLike | None
    batch_size: int | None
    rng: int | np.random.Generator
    max_iter: int
    tol: float
    rtol: float
    progress: bool
    variant: str
    threads: int | None
    fit_bias: bool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to descend; `kernels.softmax.descend` documents each setting."""

    learning_rate: float
    learning_rate_decay: float = 1.0
    reg: float = 0.0
    batch_size: int | None = None
    rng: int | np.random.Generator = 0
    max_iter: int = 10_000
    tol: float = 1e-5
    rtol: float = 0.0
    callback: Callable[[int, float, Any], Any] | None = None
    progress: bool = False
    variant: str = "tiled"
    threads: int | None = None
    fit_bias: bool = True

    def checked(self, n_samples: int) -> "Settings":
        """The same, each number converted to its type; raise an error if one makes no sense."""
        names = "learning_rate", "learning_rate_decay", "reg", "tol", "rtol"
        numbers: Any = {name: not_negative(name, getattr(self, name)) for name in names}
        decay, size = numbers["learning_rate_decay"], self.batch_size
        if numbers["learning_rate"] == 0:
            raise ValueError(
                "learning_rate is 0, with which nothing moves: "
                "pass a float such as learning_rate=0.1"
            )
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
        return replace(
            self,
            batch_size=None if size is None else whole_number("batch_size", size, 1, n_samples),
            rng=seed_from(self.rng),
            max_iter=whole_number("max_iter", self.max_iter, 1),
            threads=threads(self.threads),
            **numbers,
        )


def seed_from(rng: Any) -> int:
    """The number that decides the order of every epoch, drawn from `rng` if it is a generator."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, bool) or not hasattr(rng, "__index__") or rng < 0:
        raise TypeError(
            f"rng is {rng!r}: pass a whole number, not negative, to seed with, "
            "or a numpy.random.Generator"
        )
    return int(rng)


class Batches:
    """The batch of each iteration: all samples; or a few of them, without those of weight 0."""

    def __init__(self, batch: Batch, settings: Settings) -> None:
        self.all, self.seed = batch, seed_from(settings.rng)
        X, _, s, _ = batch
        self.size = settings.batch_size or len(X)
        self.rows = np.asarray(np.flatnonzero(s) if s.size else np.arange(len(X)), np.int64)
        self.per_epoch = -(-len(self.rows) // self.size)
        self.full_batch = self.per_epoch == 1
        self.epoch, self.order = -1, self.rows

    def at(self, iteration: int) -> Batch:
        if self.full_batch:
            return self.all
        epoch, position = divmod(iteration, self.per_epoch)
        if epoch != self.epoch:
            # Seed and epoch alone decide, so a descent can be continued in the middle of an epoch.
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))
            self.epoch, self.order = epoch, self.rows[order]
        X, y, s, _ = self.all
        return X, y, s, self.order[position * self.size : (position + 1) * self.size]
