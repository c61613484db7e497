"""Child processes that answer, threads that are at work meanwhile, and a helper that is late."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from kernels.engine.pool import DONE, Role

from .interpreter import HANGS


def answer_of_child(context: Any, target: Callable[[Any], None]) -> Any:
    """What a child process sends into the connection that `target` is called with."""
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=target, args=(sender,))
    child.start()
    assert receiver.poll(HANGS), "the child hangs"
    answer = receiver.recv()
    child.join(HANGS)
    assert child.exitcode == 0
    return answer


@contextlib.contextmanager
def three_threads_at(work: Callable[[], Any]) -> Iterator[None]:
    """Three threads that do this work again and again."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=repeat) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def with_a_late_chunk(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel with a leader that has spun in vain, since the last chunk is done 0.05 s later."""

    def late(*arguments: Any) -> Any:
        if arguments[-1] != Role.LEADER:
            return kernel(*arguments)
        kernel(*arguments[:-1], Role.WORKER.value)
        sums, counters = arguments[-2][1:3]
        while counters[DONE] < len(sums):  # the helpers add to it, which "-=" could undo
            time.sleep(1e-4)
        counters[DONE] -= 1
        threading.Timer(0.05, counters.__setitem__, (DONE, len(sums))).start()
        return 0.0, 0.0, 0.0, False

    return late
