"""A run as a generator of states, to look at, stop, save and take up again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BackendUnavailableError, DtypeError, InvalidInputError
from ..models.base import Model
from ..validation import integer
from .backends import Backend
from .pacing import paced
from .setup import Setup
from .solvers import Solver, SolverName
from .state_file import check_state, first_difference, read_state, write_state

__all__ = ["State", "states"]


@dataclass(frozen=True, eq=False)
class State:
    """A batch of trajectories at one time.

    Attributes
    ----------
    x : (trajectories, L1, L2)
        The fields, a copy that the caller owns.
    step : int
        Index into the time grid.
    time : float
        Diffusion time, ``times[step]``.
    identity : str
        JSON of all that determines the run; a run is only resumed by the one it belongs to.
    """

    x: NDArray[Any]
    step: int
    time: float
    identity: str

    def __repr__(self) -> str:
        return f"State(step {self.step}, t = {self.time:.4g}, x {'×'.join(map(str, self.x.shape))} {self.x.dtype})"

    def save(self, path: str | Path) -> None:
        """Write a checkpoint (NumPy's npz) with its digest, replacing ``path`` only when it is complete.

        Raises `OutputError` where the path cannot be written.
        """
        write_state(Path(path), self.x, self.step, self.time, self.identity)

    @classmethod
    def load(cls, path: str | Path) -> "State":
        """Read a checkpoint; nothing in it is unpickled.

        Raises `ResultFileError` if it is missing, damaged, or holds anything but the arrays of a state. Whether these
        belong to some run is asked where one goes on from them.
        """
        return cls(*read_state(Path(path)))


def states(
    model: Model,
    shape: tuple[int, int] | int = (80, 80),
    trajectories: int = 4,
    times: ArrayLike | None = None,
    seed: int = 0,
    *,
    solver: SolverName | Solver = "euler-maruyama",
    backend: Backend = "auto",
    dtype: Any = "float32",
    every: int = 1,
    first_trajectory: int = 0,
    start: State | None = None,
) -> Iterator[State]:
    """Run down the time grid, yielding the state at grid indices 0, every, 2 every, … and at the last.

    The parameters are those of `fastpatch.simulate`. ``start`` resumes from a saved state, which is yielded first;
    the states that follow are those of an undisturbed run, bit for bit.

    Raises what `fastpatch.simulate` raises, at the call and not at the first state; `InvalidInputError` or `DtypeError`
    for a ``start`` of another run, or one that no run can have; `BackendUnavailableError` for the backend "dask", whose
    states are in no one place.
    """
    from .engines.choice import engine_of

    setup = Setup.of(
        model, shape, trajectories, times, seed, solver=solver, backend=backend, dtype=dtype,
        first_trajectory=first_trajectory,
    )  # fmt: skip
    if setup.backend == "dask":
        raise BackendUnavailableError("backend 'dask' has no states in one piece to yield; expected 'cpu' or 'cuda'")
    interval = integer(every, "every", minimum=1)
    identity = setup.identity
    engine = engine_of(setup, *_beginning(setup, start))
    nothing = np.empty((0, setup.trajectories, *setup.shape), dtype=setup.dtype)

    def generate() -> Iterator[State]:
        while True:
            yield State(engine.x.copy(), engine.step, float(setup.times[engine.step]), identity)
            if engine.step == setup.last:
                return
            target = min((engine.step // interval + 1) * interval, setup.last)
            for window in paced(engine.step, target):
                engine.advance(np.full(len(window), -1), nothing)

    return generate()


def _beginning(setup: Setup, start: State | None) -> tuple[NDArray[Any], int]:
    """The fields and the grid index to start from."""
    if start is None:
        return setup.initial(), 0
    if not isinstance(start, State):
        raise DtypeError(f"start is a {type(start).__name__}; expected a State, which State.load reads from a file")
    if start.identity != setup.identity:
        raise InvalidInputError(
            f"start belongs to another run ({first_difference(start.identity, setup.identity)}); "
            "expected a state of a run with the same model, solver, grid, seed and precision"
        )
    check_state(start.x, start.step, start.time, (setup.trajectories, *setup.shape), setup.dtype, setup.times)
    return start.x.copy(), start.step
