"""What is run: the validated description of a run, which every engine takes whole."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInputError
from ..memory import require_memory, run_memory
from ..messages import reason
from ..models.base import Model
from ..models.identity import model_identity
from ..noise import MAX_COUNT, NoiseStream, standard_normals
from ..process import log_time_grid
from ..validation import boolean, floating_dtype, integer, lattice_shape, shell_numbers, time_grid
from .backends import resolve_backend
from .solvers import EulerMaruyama, Solver, SolverName, resolve_solver
from .stability import check_first_step

__all__ = ["Setup"]


@dataclass(frozen=True, eq=False)
class Setup:
    """A model, and all that determines its trajectories; the shells are those whose derivatives engines measure."""

    model: Model
    shape: tuple[int, int]
    trajectories: int
    times: NDArray[np.float64]
    seed: int
    solver: Solver
    backend: str
    dtype: np.dtype[Any]
    first_trajectory: int
    shells: NDArray[np.int64]
    diagonal: bool

    @classmethod
    def of(
        cls,
        model: Model,
        shape: Any = (80, 80),
        trajectories: int = 4,
        times: ArrayLike | None = None,
        seed: int = 0,
        *,
        solver: SolverName | Solver = "euler-maruyama",
        backend: str = "auto",
        dtype: Any = "float32",
        first_trajectory: int = 0,
        shells: Any = (0,),
        diagonal: bool = False,
    ) -> "Setup":
        """Check every argument of a run, once; they are those of `fastpatch.simulate`."""
        if isinstance(model, type) or not isinstance(model, Model):
            found = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
            raise InvalidInputError(f"model is {found}; expected an object with schedule, score and drift")
        lattice = lattice_shape(shape)
        check_lattice = getattr(model, "check_lattice", None)
        if check_lattice is not None:
            check_lattice(lattice)
        grid = log_time_grid() if times is None else time_grid(times)
        count = integer(trajectories, "trajectories", minimum=1, maximum=MAX_COUNT)
        first = integer(first_trajectory, "first_trajectory", minimum=0, maximum=MAX_COUNT - count)
        number = integer(seed, "seed", minimum=0, maximum=2**64 - 1)
        scheme = resolve_solver(solver)
        if isinstance(scheme, EulerMaruyama):
            check_first_step(model.schedule, grid)
        with_diagonal = boolean(diagonal, "diagonal")
        if with_diagonal and lattice[0] != lattice[1]:
            raise InvalidInputError(f"shape is {lattice}; expected a square lattice for diagonal modes")
        return cls(
            model, lattice, count, grid, number, scheme, resolve_backend(backend), floating_dtype(dtype), first,
            shell_numbers(shells), with_diagonal,
        )  # fmt: skip

    @property
    def last(self) -> int:
        """The last index of the time grid."""
        return len(self.times) - 1

    @property
    def directions(self) -> int:
        """Directions of the modes that are measured."""
        return 3 if self.diagonal else 2

    @cached_property
    def identity(self) -> str:
        """JSON of all that determines the states; machine, threads and batching are not among it.

        Raises `InvalidInputError` for a model that says of itself what JSON cannot hold.
        """
        rates = self.model.schedule.rate(self.times)
        parts = {
            "model": model_identity(self.model),
            "solver": self.solver.name,
            "shape": list(self.shape),
            "trajectories": self.trajectories,
            "first_trajectory": self.first_trajectory,
            "seed": self.seed,
            "dtype": self.dtype.name,
            "t_max": float(self.times[0]),
            "t_min": float(self.times[-1]),
            "steps": self.last,
            # The rate enters by its values on the grid: a callable has no other identity that outlives its process.
            "times_sha256": hashlib.sha256(np.array([self.times, rates], dtype="<f8").tobytes()).hexdigest(),
        }
        try:
            return json.dumps(parts, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"describe() or parameters of {type(self.model).__name__} hold what JSON cannot ({reason(error)}); "
                "expected numbers, text, lists and dictionaries of Python's own"
            ) from None

    def require_memory(self, *, snapshots: int = 0, records: int = 0) -> None:
        """Raise `InvalidInputError` where a run in one piece that keeps so much exceeds the free memory."""
        needed = run_memory(
            self.shape, self.trajectories, self.dtype.itemsize, snapshots=snapshots, records=records,
            shells=len(self.shells),
        )  # fmt: skip
        sides = "×".join(map(str, self.shape))
        require_memory(needed, f"the run of {self.trajectories} trajectories on {sides} sites takes")

    def initial(self) -> NDArray[Any]:
        """x(T) ~ N(0, 1) at every site; `InvalidInputError` where the states exceed the free memory."""
        self.require_memory()
        return standard_normals(
            (self.trajectories, *self.shape),
            seed=self.seed,
            stream=NoiseStream.INITIAL,
            first_trajectory=self.first_trajectory,
            dtype=self.dtype,
        )
