"""The solvers that have a name."""

from typing import Literal, get_args

from ...errors import InvalidInputError
from .ancestral import Ancestral
from .base import Solver
from .euler_maruyama import EulerMaruyama
from .heun import Heun

__all__ = ["SOLVERS", "SolverName", "resolve_solver"]

SolverName = Literal["euler-maruyama", "ancestral", "heun"]

SOLVERS: dict[str, Solver] = {solver.name: solver for solver in (EulerMaruyama(), Ancestral(), Heun())}


def resolve_solver(solver: SolverName | Solver) -> Solver:
    """The solver of that name, or a solver as it is; `InvalidInputError` for anything else."""
    if isinstance(solver, str):
        if solver not in SOLVERS:
            raise InvalidInputError(f"solver is {solver!r}; expected one of {', '.join(get_args(SolverName))}")
        return SOLVERS[solver]
    if isinstance(solver, type) or not isinstance(solver, Solver) or not isinstance(solver.name, str):
        raise InvalidInputError(f"solver is a {type(solver).__name__}; expected a name, or a Solver")
    return solver
