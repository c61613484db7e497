"""`set_threads`: the default number of threads of the tiled kernels."""

from . import validate
from .engine.pool import POOL


def set_threads(n: int | None) -> None:
    """Set the maximum number of threads for calls of tiled kernels without `threads=`.

    Parameters
    ----------
    n : int or None
        At least 1; None for the environment variable ``KERNELS_NUM_THREADS`` if that is set, else
        the number of CPUs that this process may use. Small batches run on the calling thread alone.
        The result does not depend on `n`.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a whole number of at least 1.
    """
    POOL.threads = validate.threads(n) or 0
