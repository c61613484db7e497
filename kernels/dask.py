"""The problems on Dask arrays: sums where the blocks are, added in a tree, averaged once here.

They need the extra `dask`; ``import kernels`` does not import them.
"""

import functools
import itertools
import operator
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import dask.array
import numpy as np
from dask._task_spec import List, Task, TaskRef, convert_legacy_graph
from dask.base import get_scheduler, optimize
from dask.core import flatten

from . import linear as of_linear
from . import logistic as of_logistic
from . import softmax as of_softmax
from . import two_layer as of_two_layer
from .arrays import describe
from .blocks import Blocks, results
from .objective import Objective
from .sums import Span, add_neighbours, total_of_spans

# What one task takes.
FAN_IN = 16  # groups of sums
LIGHT = 2**22  # bytes of neighbouring blocks, whose gradient takes no longer than Dask for a task
HELD = 2**30  # bytes of blocks that its worker has in memory

SHARED = -1


class DaskBlocks(Blocks):
    """The blocks of Dask arrays, on whichever machines they are.

    Their graph is optimised once. In each pass the scheduler that is in force, a cluster's or a
    local one, runs a task for each group of blocks, see `groups`, which also reads or makes them,
    and then tasks that add what `FAN_IN` others gave. The parameters are in the tasks.
    """

    threads: ClassVar[int | None] = 1  # Dask runs as many tasks at a time as it has threads

    def __init__(self, X: Any, y: Any, sample_weight: Any) -> None:
        given = {"X": X, "y": y, "sample_weight": sample_weight}
        arrays = {name: lazy(name, a) for name, a in given.items() if a is not None}
        refuse_other_chunks(arrays)
        optimised = optimize(*arrays.values())
        graph: dict[Any, Any] = {}
        for array in optimised:
            graph |= dict(array.__dask_graph__())
        graph = convert_legacy_graph(graph)
        keys = list(zip(*(flatten(array.__dask_keys__()) for array in optimised), strict=True))
        numbers = sorted(groups(arrays["X"]))
        owners = owned(graph, [[key for n in group for key in keys[n]] for group in numbers])
        self.graph = {key: graph[key] for key, owner in owners.items() if owner == SHARED}
        self.groups = [
            (group, List(*(List(*map(TaskRef, keys[n])) for n in group)), list[Any]())
            for group in numbers
        ]
        for key, owner in owners.items():
            if owner != SHARED:
                self.groups[owner][2].append(graph[key])
        self.arrays = list(arrays.values())  # a cluster drops what nobody holds
        self.held: Any = None
        self.name, self.passes = f"kernels-{uuid.uuid4().hex}", itertools.count()

    def total(self, call: Callable[..., Any]) -> Any:
        """The sum of what `call` gives for each block, added in the tree of `Blocks`."""
        name = f"{self.name}-{next(self.passes)}"  # no result of another pass is taken
        parts = [
            Task.fuse(*own, Task((name, n), spans_of, call, numbers, blocks))
            for n, (numbers, blocks, own) in enumerate(self.groups)
        ]
        graph = self.graph | {part.key: part for part in parts}
        while len(parts) > FAN_IN:
            name = f"{name}-added"
            lists = [
                List(*(TaskRef(part.key) for part in parts[i : i + FAN_IN]))
                for i in range(0, len(parts), FAN_IN)
            ]
            parts = [Task((name, n), joined, spans) for n, spans in enumerate(lists)]
            graph |= {part.key: part for part in parts}
        return total_of_spans(joined(self.computed(graph, [part.key for part in parts])))

    def computed(self, graph: dict[Any, Any], keys: list[Any]) -> Any:
        """The results of these tasks of a graph, by the scheduler that is in force."""
        get = get_scheduler(collections=self.arrays)
        client = client_of(get)
        if client is None:
            return get(graph, keys)

        async def answer() -> Any:
            # Results of the last pass are released along with the new tasks: a client waits 10 ms
            # from one message to the next.
            self.held = None
            self.held = client.get(graph, keys, sync=False)
            return await client.gather(self.held, asynchronous=True)

        return client.sync(answer)


def spans_of(call: Callable[..., Any], numbers: list[int], blocks: list[Any]) -> list[Span]:
    """What `call` gives for the blocks of these numbers, neighbours added."""
    parts = results(call, numbers, blocks)
    return add_neighbours((n, 1, part) for n, part in zip(numbers, parts, strict=True))


def joined(lists: list[list[Span]]) -> list[Span]:
    """The spans of several lists, neighbours added."""
    return add_neighbours(sorted(itertools.chain(*lists), key=operator.itemgetter(0)))


def client_of(get: Any) -> Any:
    """The client of a cluster, of which `get` is a method; None for a local scheduler."""
    return getattr(get, "__self__", None)


def groups(X: Any) -> Iterator[list[int]]:
    """The numbers of the blocks that each task takes.

    Blocks in the memory of a cluster's worker are shared among its threads: the task that takes
    many of them goes there. Of others, neighbours are one task if they are small.
    """
    held = in_memory(X)
    most = at_most(X, HELD if held else LIGHT)
    for numbers, threads in held or [(list(range(X.numblocks[0])), 1)]:
        some = min(most, -(-len(numbers) // threads))
        yield from (numbers[n : n + some] for n in range(0, len(numbers), some))


def in_memory(X: Any) -> list[tuple[list[int], int]]:
    """The blocks and the threads of each worker of a cluster; none if X was not persisted there."""
    client, keys = client_of(get_scheduler(collections=[X])), list(flatten(X.__dask_keys__()))
    if client is None:
        return []
    from distributed import futures_of, wait

    futures = futures_of(X, client=client)
    if not {future.key for future in futures} >= set(keys):
        return []
    wait(futures)
    threads, places = client.nthreads(), client.who_has(futures)
    blocks: dict[Any, list[int]] = {}
    for n, key in enumerate(keys):
        blocks.setdefault(min(places[key], default=None), []).append(n)
    return [(numbers, threads.get(worker, 1)) for worker, numbers in blocks.items()]


def owned(graph: dict[Any, Any], needed: list[list[Any]]) -> dict[Any, int]:
    """For each task of a graph the one list of `needed` keys that it is for; SHARED if several."""
    owners: dict[Any, int] = {}
    for n, keys in enumerate(needed):
        rest = list(keys)
        while rest:
            key = rest.pop()
            if key in graph and owners.get(key) not in (n, SHARED):
                owners[key] = SHARED if key in owners else n
                rest += graph[key].dependencies
    return owners


def at_most(X: Any, size: int) -> int:
    """How many blocks hold at most so many bytes, a power of 2; 1, if their sizes are not known."""
    largest, some = np.max(X.chunks[0]) * X.shape[1] * X.dtype.itemsize, 1
    while some < X.numblocks[0] and 2 * some * largest <= size:
        some *= 2
    return some


def lazy(name: str, array: Any) -> Any:
    """A Dask array, or a dataframe or a column of one as such an array."""
    if hasattr(array, "to_dask_array"):
        array = array.to_dask_array()
    if not isinstance(array, dask.array.Array):
        chunks = "(1000, -1)" if name == "X" else "X.chunks[:1]"
        raise TypeError(
            f"{name} is {describe(array)}: pass dask.array.from_array({name}, chunks={chunks})"
        )
    return array


def refuse_other_chunks(arrays: dict[str, Any]) -> None:
    """Refuse arrays whose blocks are not whole samples, or not the same samples."""
    X, none = arrays["X"], "no"
    for name, array in arrays.items():
        for axis, number in enumerate(array.numblocks[1:], 1):
            if number > 1:
                raise ValueError(
                    f"{name} has {number} chunks along axis {axis}, and a block must hold whole "
                    f"samples: pass {name}.rechunk({{{axis}: -1}})"
                )
        pairs = itertools.zip_longest(X.chunks[0], array.chunks[0], fillvalue=none)
        for n, pair in enumerate(pairs):
            unknown = any(rows != rows for rows in pair)  # nan: `sums` compares the blocks
            if pair[0] != pair[1] and (none in pair or not unknown):
                known = ".compute_chunk_sizes()" if unknown else ""
                raise ValueError(
                    f"block {n} has {pair[0]} rows in X and {pair[1]} in {name}: pass "
                    f"{name}{known}.rechunk({{0: X{known}.chunks[0]}})"
                )


class Problem:
    """Functions of a problem that take Dask arrays X, y and `sample_weight`.

    They are `loss_and_gradient`, `loss`, `gradient`, `objective` and `descend`, with the options
    and results of the functions of these names in `kernels.softmax` and so on. The blocks of X,
    which y and the weights share, are of whole rows, whose number need not be known; dataframes
    will do.
    """

    loss_and_gradient: Callable[..., tuple[float, Any]]
    loss: Callable[..., float]
    gradient: Callable[..., Any]
    objective: Callable[..., Objective[Any]]
    descend: Callable[..., Any]

    def __init__(self, module: Any) -> None:
        self.__doc__ = module.__doc__
        for name in ("loss_and_gradient", "loss", "gradient", "objective", "descend"):
            setattr(self, name, over_dask(getattr(module, name)))


def over_dask(function: Callable[..., Any]) -> Callable[..., Any]:
    """A public function, of Dask arrays."""

    @functools.wraps(function)
    def call(X: Any, y: Any, *parameters: Any, sample_weight: Any = None, **options: Any) -> Any:
        return function(DaskBlocks(X, y, sample_weight), None, *parameters, **options)

    return call


softmax, logistic = Problem(of_softmax), Problem(of_logistic)
linear, two_layer = Problem(of_linear), Problem(of_two_layer)
