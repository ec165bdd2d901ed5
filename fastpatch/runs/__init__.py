"""A run: what is run (`setup`), how a state becomes the next (`solvers`), what is read off it (`observables`).

Engines are faster ways to do the same. The public names load on first use.
"""

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .setup import State, states
    from .simulation import simulate

_HOME = {"State": "setup", "simulate": "simulation", "states": "setup"}

__all__ = ["State", "simulate", "states"]

__getattr__, __dir__ = lazily(__name__, _HOME)
