"""The patch model on a lattice in chunks: the engine `PatchEngine`, of which no process holds the whole."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ...errors import BackendUnavailableError
from ...kernels import dense
from ...kernels.patch import tile_constants
from ..engines.base import require_finite
from ..engines.choice import has_kernels
from ..setup import Setup
from .arrays import exchanged, initial
from .correlation import correlation_lengths
from .files import Scratch
from .layout import Layout
from .records import Begun, Recorded, collect
from .scheduler import Scheduler
from .tasks import Exchange

__all__ = ["ChunkedPatchEngine"]

# A scheduler remembers how to make again what it holds, back to the last state on disk: about this many tasks.
_REMEMBERED_TASKS = 50_000
_TASKS_A_CHUNK = 20

# Exchanges that are begun before the results of the first are waited for.
_EXCHANGES_AHEAD = 4

# Recorded states of a call, of each of which the signs are kept, a field's 32nd part.
_RECORDS = 16


class ChunkedPatchEngine:
    """A batch of trajectories whose chunks lie with the workers of the current Dask client, or in this process.

    A chunk takes several steps between two exchanges of halos, with the noise of its own sites, so that states are
    those of any other cut of the lattice, bit for bit. From time to time the state is written to ``scratch``, and what
    a worker held that dies is made again from there. Without a client every exchange ends on disk, and chunks take
    turns.

    ``kept`` are the steps whose recorded states will be fetched. Raises `BackendUnavailableError` for a model without
    tile kernels, and what `Scheduler`, `Layout.of` and `Scratch` raise.
    """

    def __init__(
        self,
        setup: Setup,
        kept: Collection[int],
        chunks: int | Sequence[int] | None,
        exchange_every: int | None,
        scratch: str | Path | None,
    ) -> None:
        model: Any = setup.model
        solver: Any = setup.solver
        if not has_kernels(setup) or model.tree is not None or dense.suits(model.plan):
            raise BackendUnavailableError(
                f"backend 'dask' has no kernels for {model!r} with solver {solver.name!r}; expected a PatchModel "
                "with a dictionary of moderate size and 'euler-maruyama' or 'ancestral', or backend='cpu'"
            )
        self.step = 0
        self._model, self._run, self._kept = model, setup, kept
        self._shells, self._diagonal = setup.shells, setup.diagonal
        alpha, sigma2 = model.schedule.amplitudes(setup.times)
        self._law = tile_constants(model.plan, alpha, sigma2, setup.dtype)
        self._coefficients = solver.coefficients(model.schedule, setup.times).astype(setup.dtype)
        self._scheduler = Scheduler()
        self.layout = Layout.of(
            setup.shape, model.dictionary.radius, setup.dtype.itemsize, chunks, exchange_every,
            self._scheduler.workers, self._scheduler.memory,
        )  # fmt: skip
        self._scratch = Scratch(scratch)
        self._state = initial(self.layout, setup.trajectories, setup.seed, setup.first_trajectory, setup.dtype)
        tasks = _TASKS_A_CHUNK * self._state.npartitions
        self._write_every = 1 if self._scheduler.client is None else max(1, _REMEMBERED_TASKS // tasks)
        self._exchanges = 0
        self._on_disk: list[str] = []
        # Step, fields and overlaps of the last state that `_present` has recorded.
        self._standing: tuple[int, list[Any], NDArray[np.float64]] = -1, [], np.empty(0)

    @property
    def least_steps(self) -> int:
        # Workers wait for this process after so many; without them nothing goes on while it waits.
        return self.layout.exchange_every * (1 if self._scheduler.client is None else _EXCHANGES_AHEAD)

    @property
    def x(self) -> da.Array:
        name = f"state-{self.step}"
        if name not in self._on_disk:
            self._go_on_from_disk(name, self._state, [])
        self._forget()
        return self._state

    def space(self, count: int) -> list[Recorded | None]:
        return [None] * max(count, _RECORDS)

    def gallery(self, count: int) -> da.Array:
        shape = (self._run.trajectories, count, *self._run.shape)
        return da.empty(shape, chunks=(1, 1, *self.layout.chunks), dtype=self._run.dtype)

    def present(self) -> list[Recorded]:
        return self._present()[0]

    def fetch(self, fields: list[Any], row: int) -> da.Array:
        return self._read(fields[row].name)

    def observe(self, fields: list[Any], rows: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        states: list[Recorded] = [fields[row] for row in rows]
        means = np.array([state.totals for state in states]) / (self._run.shape[0] * self._run.shape[1])
        require_finite(means)
        signs = {state.signs.name: state.signs for state in states}
        lengths = dict(zip(signs, correlation_lengths(self._scheduler, list(signs.values())), strict=True))
        return np.array([lengths[state.signs.name][state.place] for state in states]), means

    def advance(self, records: NDArray[np.int64], fields: list[Recorded | None]) -> NDArray[np.float64]:
        self._forget()
        begun, first = [], self.step
        for begin in range(0, len(records), self.layout.exchange_every):
            some = records[begin : begin + self.layout.exchange_every]
            begun.append(self._begin(some, self._coefficients[self.step : self.step + len(some)], moves=True))
        times = self._run.times[first : self.step][records >= 0]
        return np.asarray(self._model.derivative_of_overlap(self._collected(begun, fields), times[:, None, None, None]))

    def measure(self) -> NDArray[np.float64]:
        return np.asarray(self._model.derivative_of_overlap(self._present()[1][0], float(self._run.times[self.step])))

    def _present(self) -> tuple[list[Any], NDArray[np.float64]]:
        """Record the present state, once, on the way to a step that is not taken; its overlaps (1, …)."""
        step, fields, overlaps = self._standing
        if step != self.step:
            still = np.array([[1.0, 0.0, 0.0]], dtype=self._run.dtype)
            fields = [None]
            overlaps = self._collected([self._begin(np.zeros(1, dtype=np.int64), still, moves=False)], fields)
            self._standing = self.step, fields, overlaps
        return fields, overlaps

    def _collected(self, begun: list[Begun], fields: list[Recorded | None]) -> NDArray[np.float64]:
        """Fill ``fields``; their overlaps (R, T, n_shells, directions)."""
        directions = 3 if self._diagonal else 2
        overlaps = np.zeros((len(fields), self._run.trajectories, self._shells.size, directions))
        collect(self._scheduler, begun, fields, overlaps)
        return overlaps

    def _begin(self, records: NDArray[np.int64], coefficients: NDArray[Any], *, moves: bool) -> Begun:
        """Begin the next exchange, with the records of `advance`."""
        window = slice(self.step, self.step + len(records))
        kept = [n for n in np.flatnonzero(records >= 0).tolist() if self.step + n in self._kept]
        exchange = Exchange(
            layout=self.layout,
            plan=self._model.plan,
            seed=self._run.seed,
            first_trajectory=self._run.first_trajectory,
            first_step=self.step,
            constants=(*(constant[window] for constant in self._law), coefficients),
            recorded=records >= 0,
            kept=tuple(kept),
            shells=self._shells,
            diagonal=self._diagonal,
            threads=self._scheduler.threads,
        )
        result = exchanged(self._state, exchange)
        names = {n: f"snapshot-{self.step + n}" for n in kept}
        writes = [self._scratch.write(state, name) for state, name in zip(result.kept, names.values(), strict=True)]
        results = [result.numbers, result.signs, *writes]
        if moves:
            self.step += len(records)
            self._exchanges += 1
        if not moves:
            results = self._scheduler.persist(results)
        elif self._exchanges % self._write_every:
            self._state, *results = self._scheduler.persist([result.state, *results])
        else:
            results = self._go_on_from_disk(f"state-{self.step}", result.state, results)
        return Begun(records, results[0], results[1], names, results[2:])

    def _go_on_from_disk(self, name: str, state: da.Array, results: list[da.Array]) -> list[da.Array]:
        """Write the present ``state``, of which nothing else is needed any more, and begin to compute ``results``."""
        write, *results = self._scheduler.persist([self._scratch.write(state, name), *results])
        self._scheduler.compute([write])
        self._on_disk.append(name)
        self._state = self._read(name)
        return results

    def _forget(self) -> None:
        """Remove all states but the last, from which nothing is made again once all records have been looked at."""
        for name in self._on_disk[:-1]:
            self._scratch.remove(name)
        del self._on_disk[:-1]

    def _read(self, name: str) -> da.Array:
        return self._scratch.read(name, self._state.chunks, self._run.dtype)
