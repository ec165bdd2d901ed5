"""A run: what is run (`setup`), how a state becomes the next (`solvers`), what is read off it (`observables`).

Engines are faster ways to do the same. The public names load on first use.
"""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .observables import Observable, ObservableWarning
    from .simulation import simulate
    from .state import State, states

_HOME = {
    "Observable": "observables",
    "ObservableWarning": "observables",
    "State": "state",
    "simulate": "simulation",
    "states": "state",
}

__all__ = ["Observable", "ObservableWarning", "State", "simulate", "states"]

__getattr__, __dir__ = lazily(__name__, _HOME)
