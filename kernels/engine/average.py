"""Why is a gradient divided by the batch size? Because of the one line in this file.

Every loss and gradient is a sum over samples. It is divided once, by the weight of the samples
(their number, where each has the weight 1), so that its size, and with it a good learning rate,
does not depend on how many samples there are; then the penalty is added, which is no such sum.
"""

from typing import Any

from numba.extending import register_jitable


@register_jitable(forceinline=True, error_model="numpy")
def average(total: Any, weight: Any, reg: Any, penalised: Any) -> Any:
    """The average of what sums to `total` over samples of a total `weight`, with its penalty.

    ::

        gradient   Σ s_n ∂ℓ_n/∂W / Σ s_n + reg W          penalised = W (0 for a bias)
        loss       Σ s_n ℓ_n / Σ s_n + reg ½ ‖W‖²         penalised = ½ ‖W‖²
    """
    return total / weight + reg * penalised
