"""`Blocks`: data that are read a block at a time, in place of X, because they exceed memory."""

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, NamedTuple

import numpy as np

from . import validate
from .arrays import Array, describe
from .descent import progress_bar
from .sums import add_in_tree

END = object()
PAGE = 4096  # bytes of a file that one access brings into memory


class Blocks:
    """Data in blocks, which are read one after the other in each pass.

    In place of X, with y None, in `loss_and_gradient`, `loss`, `gradient`, `sums`, `objective` and
    `descend` of every problem. While a block is computed the next one is read, in a thread: memory
    holds two. Blocks may be empty, and all weights of one may be 0. The sums of the blocks are
    added in an order that depends on their number alone, so the same blocks give the same bits.

    Parameters
    ----------
    blocks : iterable or callable
        ``(X, y)`` or ``(X, y, sample_weight)`` of each block. It is iterated once in each pass, so
        a generator will not do: pass the function that makes it, which is called in each pass.
    progress : bool, default False
        Show a bar for each pass; needs tqdm.

    Raises
    ------
    TypeError
        If `blocks` is an iterator, or not iterable.

    Examples
    --------
    >>> from kernels import linear
    >>> X, y = np.arange(10.0).reshape(10, 1), np.arange(10.0)
    >>> def read():
    ...     for start in range(0, 10, 4):
    ...         yield X[start : start + 4], y[start : start + 4]
    >>> linear.loss(Blocks(read), None, [0.0])
    14.25
    """

    threads: ClassVar[int | None] = None  # for one block, unless the caller says

    def __init__(
        self,
        blocks: Iterable[tuple[Any, ...]] | Callable[[], Iterable[tuple[Any, ...]]],
        *,
        progress: bool = False,
    ) -> None:
        if isinstance(blocks, Iterator):
            raise TypeError(
                f"blocks is {describe(blocks)}, which can be iterated once: pass the function "
                "that makes it, not called, or list(blocks) if memory holds them all"
            )
        if not callable(blocks) and not isinstance(blocks, Iterable):
            raise TypeError(
                f"blocks is {describe(blocks)}: pass a list of (X, y), or a function that yields "
                "one after the other"
            )
        self.blocks, self.progress = blocks, progress

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The blocks, of which the next one is being read."""
        blocks = iter(self.blocks() if callable(self.blocks) else self.blocks)
        with ThreadPoolExecutor(1, "kernels-blocks") as reader:
            following = reader.submit(read, blocks)
            while (block := following.result()) is not END:
                following = reader.submit(read, blocks)
                yield block
                del block  # else memory would hold three

    def total(self, call: Callable[..., Any]) -> Any:
        """The sum of what `call` gives for each block, added in a tree; None if there are none."""
        parts = results(call, itertools.count(), self)
        options = {"total": operator.length_hint(self.blocks) or None, "unit": "block"}
        with progress_bar(self.progress, iterable=parts, **options) as bar:
            return add_in_tree(parts if bar is None else bar)


def read(blocks: Iterator[Any]) -> Any:
    """The next block, or END; of a mapped file one number of each page is looked at."""
    block = next(blocks, END)
    for array in block if isinstance(block, (tuple, list)) else ():
        if isinstance(array, np.memmap) and array.flags.c_contiguous:
            np.count_nonzero(array.reshape(-1)[:: max(1, PAGE // array.itemsize)])
    return block


def results(
    call: Callable[..., Any], numbers: Iterable[int], blocks: Iterable[Any]
) -> Iterator[Any]:
    """What `call` gives for each block; the numbers are for errors."""
    return map(functools.partial(called, call), numbers, blocks)


def called(call: Callable[..., Any], n: int, block: Any) -> Any:
    """What `call` gives for a block; its errors name the block's number."""
    try:
        if not isinstance(block, (tuple, list)) or len(block) not in (2, 3):
            raise TypeError(f"{describe(block)}: pass (X, y) or (X, y, sample_weight)")
        return call(*block)
    except (FloatingPointError, TypeError, ValueError) as error:
        kinds = (FloatingPointError, TypeError, ValueError)  # an error of a subclass may be odd
        kind = next(kind for kind in kinds if isinstance(error, kind))
        raise kind(f"block {n}: {error}") from error


def refuse_beside_blocks(y: Any, sample_weight: Any) -> None:
    """Refuse arguments whose parts belong into the blocks."""
    for name, value, place in (("y", y, "second"), ("sample_weight", sample_weight, "third")):
        if value is not None:
            raise TypeError(
                f"{name} is {describe(value)} and X is Blocks: pass {name}=None, and each block's "
                f"{name} as its {place} part"
            )


def sums_of_block(
    sums: Callable[..., Any], parameters: tuple[Any, ...], options: dict[str, Any], *block: Any
) -> Any:
    """The sums of a block; the first three arguments, bound, can be sent to other machines."""
    X, y, *s = block
    return sums(X, y, *parameters, sample_weight=s[0] if s else None, **options)


class Survey(NamedTuple):
    """What must be known of all samples before a fit starts; add two with ``+``."""

    samples: int  # of a positive weight
    features: int
    columns: int  # of y; 0 where it has one value a sample
    dtype: Any
    labels: Array  # those that occur, in order; of targets that are no labels, nothing

    def __add__(self, other: Any) -> "Survey":
        return Survey(
            self.samples + other.samples,
            self.features,
            max(self.columns, other.columns),
            np.promote_types(self.dtype, other.dtype),
            np.union1d(self.labels, other.labels),
        )


def survey(targets: list[validate.Target], *block: Any) -> Survey:
    """The survey of a block, whose values are checked as far as no parameters are needed.

    The last kind of target is for y of several columns.
    """
    X, y, *s = block
    target = targets[-1] if np.ndim(y) == 2 and np.shape(y)[1] > 1 else targets[0]
    X = validate.samples(X, empty=True)
    y, weights = target.array(y, X), validate.weights(s[0] if s else None, X, zeros=True)
    rows = weights.rows if weights else None
    counted = y if rows is None else y[rows]
    validate.finite("X", X, rows)
    columns = counted.shape[1] if counted.ndim == 2 else 0
    named = target.remedy is not None and not columns
    labels = np.unique(counted) if named else np.empty(0)
    return Survey(len(counted), X.shape[1], columns, X.dtype, labels)
