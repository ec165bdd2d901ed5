"""A run as a generator of states, to look at, stop, save and take up again."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BackendUnavailableError, DtypeError, InvalidInputError
from ..memory import require_memory, run_memory
from ..models.base import Model
from ..noise import MAX_COUNT, NoiseStream, standard_normals
from ..process import log_time_grid
from ..validation import floating_dtype, integer, lattice_shape, time_grid
from .backends import resolve_backend
from .pacing import paced
from .state_file import check_state, first_difference, read_state, write_state

__all__ = ["Run", "State", "states"]


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


@dataclass(frozen=True, eq=False)
class Run:
    """The validated description of one run."""

    model: Model
    shape: tuple[int, int]
    trajectories: int
    times: NDArray[np.float64]
    seed: int
    backend: str
    dtype: np.dtype[Any]
    first_trajectory: int

    @classmethod
    def of(
        cls,
        model: Model,
        shape: Any,
        trajectories: int,
        times: ArrayLike | None,
        seed: int,
        backend: str,
        dtype: Any,
        first_trajectory: int,
    ) -> "Run":
        """Check every argument of a run, once."""
        if not isinstance(model, Model):
            raise InvalidInputError(
                f"model is a {type(model).__name__}; expected an object with schedule, score and drift"
            )
        lattice = lattice_shape(shape)
        check_lattice = getattr(model, "check_lattice", None)
        if check_lattice is not None:
            check_lattice(lattice)
        grid = log_time_grid() if times is None else time_grid(times)
        count = integer(trajectories, "trajectories", minimum=1, maximum=MAX_COUNT)
        first = integer(first_trajectory, "first_trajectory", minimum=0, maximum=MAX_COUNT - count)
        number = integer(seed, "seed", minimum=0, maximum=2**64 - 1)
        return cls(model, lattice, count, grid, number, resolve_backend(backend), floating_dtype(dtype), first)

    @property
    def identity(self) -> str:
        """JSON of all that determines the states; machine, threads and batching are not among it."""
        describe = getattr(self.model, "describe", None)
        rates = self.model.schedule.rate(self.times)
        parts = {
            "model": describe() if describe is not None else {"type": type(self.model).__name__},
            "shape": list(self.shape),
            "trajectories": self.trajectories,
            "first_trajectory": self.first_trajectory,
            "seed": self.seed,
            "dtype": self.dtype.name,
            "t_max": float(self.times[0]),
            "t_min": float(self.times[-1]),
            "steps": len(self.times) - 1,
            # The rate enters by its values on the grid: a callable has no other identity that outlives its process.
            "times_sha256": hashlib.sha256(np.array([self.times, rates], dtype="<f8").tobytes()).hexdigest(),
        }
        return json.dumps(parts, sort_keys=True)

    def initial(self) -> NDArray[Any]:
        """x(T) ~ N(0, 1) at every site; `InvalidInputError` where the states exceed the free memory."""
        needed = run_memory(self.shape, self.trajectories, self.dtype.itemsize, snapshots=0, records=0, shells=0)
        sides = "×".join(map(str, self.shape))
        require_memory(needed, f"the run of {self.trajectories} trajectories on {sides} sites takes")
        return standard_normals(
            (self.trajectories, *self.shape),
            seed=self.seed,
            stream=NoiseStream.INITIAL,
            first_trajectory=self.first_trajectory,
            dtype=self.dtype,
        )

    def resume_from(self, start: "State") -> NDArray[Any]:
        """The fields of a checkpoint, if it is one of this run."""
        if not isinstance(start, State):
            raise DtypeError(f"start is a {type(start).__name__}; expected a State, which State.load reads from a file")
        if start.identity != self.identity:
            raise InvalidInputError(
                f"start belongs to another run ({first_difference(start.identity, self.identity)}); "
                "expected a state of a run with the same model, grid, seed and precision"
            )
        check_state(start.x, start.step, start.time, (self.trajectories, *self.shape), self.dtype, self.times)
        return start.x.copy()


def states(
    model: Model,
    shape: tuple[int, int] = (80, 80),
    trajectories: int = 4,
    times: ArrayLike | None = None,
    seed: int = 0,
    backend: str = "auto",
    dtype: Any = "float32",
    every: int = 1,
    first_trajectory: int = 0,
    start: State | None = None,
) -> Iterator[State]:
    """Run the reverse SDE, yielding the state at grid indices 0, every, 2 every, … and at the last.

    The parameters are those of `fastpatch.simulate`. ``start`` resumes from a saved state, which is yielded first;
    the states that follow are those of an undisturbed run, bit for bit.

    Raises what `fastpatch.simulate` raises, at the call and not at the first state; `InvalidInputError` or `DtypeError`
    for a ``start`` of another run, or one that no run can have; `BackendUnavailableError` for the backend "dask", whose
    states are in no one place.
    """
    from .engines.choice import integrator

    run = Run.of(model, shape, trajectories, times, seed, backend, dtype, first_trajectory)
    if run.backend == "dask":
        raise BackendUnavailableError("backend 'dask' has no states in one piece to yield; expected 'cpu' or 'cuda'")
    interval = integer(every, "every", minimum=1)
    x = run.initial() if start is None else run.resume_from(start)
    step = 0 if start is None else start.step
    engine = integrator(
        model, x, run.times, step=step, seed=run.seed, first_trajectory=run.first_trajectory,
        shells=np.arange(1), diagonal=False, backend=run.backend,
    )  # fmt: skip
    identity = run.identity
    nothing = np.empty((0, *x.shape), dtype=x.dtype)

    def generate() -> Iterator[State]:
        last = len(run.times) - 1
        while True:
            yield State(engine.x.copy(), engine.step, float(run.times[engine.step]), identity)
            if engine.step == last:
                return
            target = min((engine.step // interval + 1) * interval, last)
            for window in paced(engine.step, target):
                engine.advance(np.full(len(window), -1), nothing)

    return generate()
