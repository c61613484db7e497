"""How many threads the tiled kernels use by default."""

from . import validate
from .engine.pool import POOL


def set_threads(n: int | None) -> None:
    """Set how many threads the tiled kernels use where a call does not say.

    Parameters
    ----------
    n : int or None
        At least 1; None for the default: the environment variable ``KERNELS_NUM_THREADS`` where it
        is set, else as many as this process may use CPUs. Small work stays on the calling thread.
        The result does not depend on it.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number, at least 1.
    """
    POOL.threads = validate.threads(n) or 0
