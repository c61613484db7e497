"""What is summed over samples, and how the sums of many blocks are added."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike


class SumOptions(TypedDict, total=False):
    """The keywords of the public `sums` of every problem, for type checkers."""

    sample_weight: ArrayLike | None
    variant: str
    threads: int | None


class AverageOptions(SumOptions, total=False):
    """Those of `loss`, `gradient` and, `learning_rate` apart, `update`."""

    reg: float


class Sums(NamedTuple):
    """Sums over the samples of a block, neither averaged nor penalised.

    Two of them are added with ``+``; `average` of the problem divides by the weight, once.

    Attributes
    ----------
    loss : float
        Σ s_n ℓ_n.
    weight : float
        Σ s_n, the number of samples where all have the weight 1.
    gradient : Gradient
        Σ s_n ∂ℓ_n/∂θ for each parameter θ, in float64; a bias that was not given stays None.
    """

    loss: float
    weight: float
    gradient: Any

    def __add__(self, other: Any) -> "Sums":
        if not isinstance(other, Sums):
            return NotImplemented
        kinds = type(self.gradient), type(other.gradient)
        if kinds[0] is not kinds[1]:
            modules = " and ".join(kind.__module__ for kind in kinds)
            raise TypeError(f"these are sums of {modules}: add sums of the same problem")
        for a, b in zip(self.gradient, other.gradient, strict=True):
            if (a is None) != (b is None) or getattr(a, "shape", ()) != getattr(b, "shape", ()):
                shapes = " and ".join(str(_shapes(sums)) for sums in (self, other))
                raise ValueError(
                    f"these sums are of parameters of different shapes, {shapes}: "
                    "add sums that were made with the same parameters"
                )
        pairs = zip(self.gradient, other.gradient, strict=True)
        with np.errstate(all="ignore"):
            gradient = [None if a is None else a + b for a, b in pairs]
        return Sums(
            self.loss + other.loss,
            self.weight + other.weight,
            type(self.gradient)(*gradient),
        )


def _shapes(sums: Sums) -> dict[str, Any]:
    fields = sums.gradient._asdict()
    return {name: None if g is None else getattr(g, "shape", ()) for name, g in fields.items()}


def add_in_tree(parts: Iterable[Sums]) -> Sums | None:
    """Add neighbours, then neighbours of what that gives, and so on; None of no parts.

    As a binary counter does it, so that of n parts at most log2(n) + 1 are held at a time. The
    order depends on the parts alone.
    """
    held: list[Sums] = []
    for n, part in enumerate(parts, 1):
        carry, total = n, part
        while carry % 2 == 0:
            carry, total = carry // 2, held.pop() + total
        held.append(total)
    while len(held) > 1:
        last = held.pop()
        held.append(held.pop() + last)
    return held[0] if held else None
