"""Phase transitions that seed pattern formation in diffusion models.

The public names below load on first use, so that ``import fastpatch`` costs nothing and pulls in neither
Numba, torch, Dask nor pyplot.
"""

from typing import TYPE_CHECKING

from .lazy import lazily

if TYPE_CHECKING:
    from . import analysis, sweeps, theory
    from .dictionary import PatchDictionary
    from .models import EmpiricalModel, GaussianModel, Model, PatchModel, stripe_prototypes
    from .results import load, save
    from .run import State, states
    from .schedule import VPSchedule, log_time_grid
    from .simulation import simulate
    from .sweeps import open_sweep, sweep

__version__ = "0.1.0"

_HOME = {
    "EmpiricalModel": "models",
    "GaussianModel": "models",
    "Model": "models",
    "PatchDictionary": "dictionary",
    "PatchModel": "models",
    "State": "run",
    "VPSchedule": "schedule",
    "load": "results",
    "log_time_grid": "schedule",
    "open_sweep": "sweeps",
    "save": "results",
    "simulate": "simulation",
    "states": "run",
    "stripe_prototypes": "models",
    "sweep": "sweeps",
}
_SUBPACKAGES = ("analysis", "errors", "neural", "sweeps", "theory")

__all__ = [
    "EmpiricalModel",
    "GaussianModel",
    "Model",
    "PatchDictionary",
    "PatchModel",
    "State",
    "VPSchedule",
    "__version__",
    "analysis",
    "load",
    "log_time_grid",
    "open_sweep",
    "save",
    "simulate",
    "states",
    "stripe_prototypes",
    "sweep",
    "sweeps",
    "theory",
]

__getattr__, __dir__ = lazily(__name__, _HOME, _SUBPACKAGES)
