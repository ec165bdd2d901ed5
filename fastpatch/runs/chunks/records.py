"""What is recorded of a lattice in chunks, on its way from the tasks that see it to the recorder of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from .arrays import unpacked
from .scheduler import Scheduler

__all__ = ["Begun", "Recorded", "collect"]


@dataclass(frozen=True, eq=False)
class Begun:
    """Results, persisted, of the steps of an exchange.

    Attributes
    ----------
    records : (steps,), as of `fastpatch.runs.engines.base.Engine.advance`
    numbers, signs : as of `fastpatch.runs.chunks.arrays.Exchanged`
    kept : the names of states that are kept, by their step among these
    writes : what is True where those have been written
    """

    records: NDArray[np.int64]
    numbers: da.Array
    signs: da.Array
    kept: dict[int, str]
    writes: Sequence[da.Array]


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recorded state: its sums of x (T,), its ``place`` among signs (R, T, L1, L2), the name it is kept by if any."""

    totals: NDArray[np.float64]
    signs: da.Array
    place: int
    name: str | None


def collect(scheduler: Scheduler, begun: Sequence[Begun], fields: list[Any], overlaps: NDArray[np.float64]) -> None:
    """Wait for results, put recorded states into ``fields`` and add to ``overlaps`` (R, T, n_shells, directions)."""
    chunks = [exchange.numbers.to_delayed() for exchange in begun]
    writes = [write for exchange in begun for write in exchange.writes]
    results = scheduler.compute([*writes, *(chunk for exchange in chunks for chunk in exchange.ravel())])
    numbers = iter(results[len(writes) :])
    for exchange, delayed in zip(begun, chunks, strict=True):
        steps = np.flatnonzero(exchange.records >= 0)
        rows, totals = exchange.records[steps], np.zeros((len(steps), overlaps.shape[1]))
        # Always in this order, whoever was first.
        for path, _, _ in np.ndindex(delayed.shape):
            shares, sums = next(numbers)
            overlaps[rows, path] += shares
            totals[:, path] += sums
        signs = unpacked(exchange.signs, len(steps))
        for place, step in enumerate(steps.tolist()):
            fields[rows[place]] = Recorded(totals[place], signs, place, exchange.kept.get(step))
