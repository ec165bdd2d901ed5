"""How a state becomes the next: the solvers of a run, by name.

A solver of your own is any object with ``name`` and ``step`` as `base.Solver` has them.
"""

from .ancestral import Ancestral
from .base import FrozenMeanSolver, Solver
from .euler_maruyama import EulerMaruyama
from .heun import Heun
from .named import SOLVERS, SolverName, resolve_solver

__all__ = [
    "SOLVERS",
    "Ancestral",
    "EulerMaruyama",
    "FrozenMeanSolver",
    "Heun",
    "Solver",
    "SolverName",
    "resolve_solver",
]
