"""Gradient descent until convergence: the implementation of every problem's `descend`."""

from .descend import Descent as Descent
from .descend import Model as Model
from .descend import progress_bar as progress_bar
from .descend import run as run
from .diagnosis import features_advice as features_advice
from .diagnosis import separated as separated
from .loop import compiled_loop as compiled_loop
from .results import ConvergenceWarning as ConvergenceWarning
from .results import DivergenceError as DivergenceError
from .settings import Options as Options
from .settings import Settings as Settings
from .settings import seed_from as seed_from
from .start import continued as continued
from .start import initial as initial
from .start import refuse_bias as refuse_bias
from .start import refuse_single_class as refuse_single_class
