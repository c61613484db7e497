"""exp, log and others for the residual of a problem of your own: they compile to vectors.

To be called from compiled code, with a float32 or float64 number. `math.exp` and `np.exp` work
there too, and call a function of the C library for one number at a time.
"""

from .engine.vmath import exp, log, log1p_exp_and_sigmoid

__all__ = ["exp", "log", "log1p_exp_and_sigmoid"]
