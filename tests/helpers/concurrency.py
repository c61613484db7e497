"""Child processes that answer, and threads that are at work meanwhile."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

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
