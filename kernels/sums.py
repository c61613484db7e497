"""`Sums`, the result of `sums` for a block of samples, and the addition of many of them."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike

ClassWeight: TypeAlias = ArrayLike | Mapping[Any, float] | str | None


class SumOptions(TypedDict, total=False):
    """The keyword arguments of the public `sums`, for type checkers."""

    sample_weight: ArrayLike | None
    variant: str
    threads: int | None


class AverageOptions(SumOptions, total=False):
    """The keyword arguments of `loss`, `gradient` and `update`, without `learning_rate`."""

    reg: float


class Sums(NamedTuple):
    """Sums over the samples of a block, neither averaged nor penalised.

    Add two with ``+``; the problem's `average` divides the total by its weight.

    Attributes
    ----------
    loss : float
        Σ s_n ℓ_n.
    weight : float
        Σ s_n, the number of samples if all weights are 1.
    gradient : Gradient
        Σ s_n ∂ℓ_n/∂θ for each parameter θ, in float64; None for a bias that was not given.
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


def add_in_tree(parts: Iterable[Any]) -> Any:
    """Return the total of the parts, added pairwise like a binary counter; None if there are none.

    Neighbours are added, then neighbouring pairs, and so on, so that at most log2(n) + 1 of n parts
    are held at a time. The order of the additions depends only on the number of parts.
    """
    return total_of_spans((n, 1, part) for n, part in enumerate(parts))


Span: TypeAlias = tuple[int, int, Any]  # the first part, how many, and their total


def add_neighbours(spans: Iterable[Span]) -> list[Span]:
    """Return the spans, in order, after the additions of the tree whose operands are among them."""
    held: list[Span] = []
    for first, length, total in spans:
        while held and first % (2 * length) and held[-1][:2] == (first - length, length):
            first, length, total = first - length, 2 * length, held.pop()[2] + total
        held.append((first, length, total))
    return held


def total_of_spans(spans: Iterable[Span]) -> Any:
    """Return the total of all parts, whose spans are in order; None if there are none."""
    totals = [total for *_, total in add_neighbours(spans)]
    while len(totals) > 1:
        last = totals.pop()
        totals.append(totals.pop() + last)
    return totals[0] if totals else None
