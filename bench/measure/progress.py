"""The progress bar of a run: the seconds that have passed, against its budget."""

import contextlib
import threading
import time
from collections.abc import Iterator

from tqdm import tqdm


@contextlib.contextmanager
def progress(budget: float) -> Iterator[tqdm]:
    """A bar from 0 to `budget` seconds, drawn every second; it stays full beyond the budget."""
    whole = f"budget {tqdm.format_interval(budget)}"
    bar = tqdm(total=budget, bar_format=f"{{desc}} |{{bar}}| {{elapsed}}, {whole}", leave=True)
    start, ended = time.monotonic(), threading.Event()

    def draw() -> None:
        while not ended.wait(1):  # a compilation or a long call reports nothing meanwhile
            bar.n = min(time.monotonic() - start, budget)
            bar.refresh()

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        yield bar
    finally:
        ended.set()
        thread.join()
        bar.close()
