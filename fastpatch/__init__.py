"""Phase transitions that seed pattern formation in diffusion models.

The public names below load on first use, so that ``import fastpatch`` costs nothing and pulls in neither
Numba, torch, Dask nor pyplot.
"""

from typing import TYPE_CHECKING

from .lazy import lazily

if TYPE_CHECKING:
    from . import analysis, sweeps, theory
    from .dictionary import PatchDictionary
    from .models import (
        EmpiricalModel,
        GaussianModel,
        Model,
        PatchModel,
        PosteriorMeanModel,
        from_score,
        stripe_prototypes,
    )
    from .plotting import plot
    from .process import VPSchedule, log_time_grid
    from .reports import Summary, summary
    from .results import load, save
    from .runs.observables import Observable, ObservableWarning
    from .runs.simulation import simulate
    from .runs.state import State, states
    from .sweeps import open_sweep, sweep
    from .threads import get_threads, set_threads, thread_limit

__version__ = "0.2.0"

_HOME = {
    "EmpiricalModel": "models",
    "GaussianModel": "models",
    "Model": "models",
    "Observable": "runs",
    "ObservableWarning": "runs",
    "PatchDictionary": "dictionary",
    "PatchModel": "models",
    "PosteriorMeanModel": "models",
    "State": "runs",
    "Summary": "reports",
    "VPSchedule": "process",
    "from_score": "models",
    "get_threads": "threads",
    "load": "results",
    "log_time_grid": "process",
    "open_sweep": "sweeps",
    "plot": "plotting",
    "save": "results",
    "set_threads": "threads",
    "simulate": "runs",
    "states": "runs",
    "stripe_prototypes": "models",
    "summary": "reports",
    "sweep": "sweeps",
    "thread_limit": "threads",
}
_SUBPACKAGES = ("analysis", "errors", "neural", "sweeps", "theory")

__all__ = [
    "EmpiricalModel",
    "GaussianModel",
    "Model",
    "Observable",
    "ObservableWarning",
    "PatchDictionary",
    "PatchModel",
    "PosteriorMeanModel",
    "State",
    "Summary",
    "VPSchedule",
    "__version__",
    "analysis",
    "from_score",
    "get_threads",
    "load",
    "log_time_grid",
    "open_sweep",
    "plot",
    "save",
    "set_threads",
    "simulate",
    "states",
    "stripe_prototypes",
    "summary",
    "sweep",
    "sweeps",
    "theory",
    "thread_limit",
]

__getattr__, __dir__ = lazily(__name__, _HOME, _SUBPACKAGES)
