"""The declaration of examples/poisson.py, for problems that differ from it in one part."""

import poisson

DECLARATION = {
    "parameters": {"w": "D", "b": ""},
    "y": poisson.counts,
    "loop": poisson.sums_loop,
    "numpy": poisson.sums_numpy,
    "residual": poisson.residual,
}
