"""exp, log and log1p_exp_and_sigmoid for the residual of your own problem, which LLVM vectorises.

Call them from compiled code, with a float32 or float64 number. `math.exp` and `np.exp` work there
too, but call a function of the C library for each number.
"""

from .engine.vmath import exp, log, log1p_exp_and_sigmoid

__all__ = ["exp", "log", "log1p_exp_and_sigmoid"]
