"""Why is a gradient divided by the batch size? Because of the one line in this file.

Every loss and gradient is a sum over samples. It is divided once, by the total weight of the
samples (their number if all weights are 1), so that its size, and hence a good learning rate, does
not depend on the number of samples. The penalty is not a sum over samples and is added afterwards.
"""

from typing import Any

from numba.extending import register_jitable


@register_jitable(forceinline=True, error_model="numpy")
def average(total: Any, weight: Any, reg: Any, penalised: Any) -> Any:
    """Average a sum over samples with a total weight, and add the penalty.

    ::

        gradient   Σ s_n ∂ℓ_n/∂W / Σ s_n + reg W          penalised = W (0 for a bias)
        loss       Σ s_n ℓ_n / Σ s_n + reg ½ ‖W‖²         penalised = ½ ‖W‖²
    """
    return total / weight + reg * penalised
