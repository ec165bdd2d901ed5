"""The tasks of `fastpatch.runs.chunks.tasks` over all chunks of a lattice, as lazy Dask arrays."""

from dataclasses import dataclass
from operator import attrgetter, getitem
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.array.overlap import overlap
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.layers import ArrayOverlapLayer
from numpy.typing import NDArray

from .layout import Layout
from .tasks import Exchange, Outcome, advance, draw, unpack_signs

__all__ = ["Exchanged", "exchanged", "initial", "overlapped", "unpacked"]

# Of an array whose chunks are anything but NumPy arrays.
_OBJECTS = np.empty((0, 0, 0), dtype=object)


@dataclass(frozen=True, eq=False)
class Exchanged:
    """What comes of an exchange, an array of one chunk a chunk each.

    Attributes
    ----------
    state : (T, L1, L2)
    kept : (T, L1, L2) each, the recorded states that are kept
    numbers, signs : their chunks are `Outcome.numbers` and `Outcome.signs`
    """

    state: da.Array
    kept: list[da.Array]
    numbers: da.Array
    signs: da.Array


def initial(layout: Layout, trajectories: int, seed: int, first_trajectory: int, dtype: np.dtype[Any]) -> da.Array:
    """x(T) at every site, (T, L1, L2)."""
    return da.map_blocks(
        draw, layout=layout, seed=seed, first_trajectory=first_trajectory, precision=dtype,
        chunks=((1,) * trajectories, *layout.chunks), dtype=dtype, meta=np.empty((0, 0, 0), dtype=dtype),
    )  # fmt: skip


def exchanged(state: da.Array, exchange: Exchange) -> Exchanged:
    """Exchange the halos of a state, wrapped around the lattice, and take the steps until the next time."""
    padded = overlapped(state, (0, *exchange.layout.halo(len(exchange.recorded))))
    # One task a call, on which those of all chunks depend, rather than as many copies.
    shared = dask.delayed(exchange, traverse=False)
    outcome = padded.map_blocks(advance, exchange=shared, chunks=state.chunks, dtype=object, meta=_OBJECTS)

    def part(function: Any, *arguments: Any, of: NDArray[Any] = _OBJECTS) -> da.Array:
        return outcome.map_blocks(function, *arguments, dtype=of.dtype, meta=of)

    field = np.empty((0, 0, 0), dtype=state.dtype)
    kept = [part(_kept, n, of=field) for n in range(len(exchange.kept))]
    return Exchanged(part(attrgetter("state"), of=field), kept, part(attrgetter("numbers")), part(attrgetter("signs")))


def overlapped(x: da.Array, depth: tuple[int, ...], *, allow_rechunk: bool = False) -> da.Array:
    """The chunks of x with a halo of ``depth`` along every axis, periodic: Dask's `overlap`, but of copied edges.

    Dask cuts edges out as views, each of which would hold a whole chunk in memory, whether or not that is spilled.
    """
    periodic = dict.fromkeys(range(x.ndim), "periodic")
    padded = overlap(x, dict(enumerate(depth)), periodic, allow_rechunk=allow_rechunk)
    layers = {
        name: MaterializedLayer({key: _copied(task) for key, task in layer.items()})
        if isinstance(layer, ArrayOverlapLayer)
        else layer
        for name, layer in padded.dask.layers.items()
    }
    return da.Array(HighLevelGraph(layers, padded.dask.dependencies), padded.name, padded.chunks, meta=padded)


def _copied(task: Any) -> Any:
    return (np.array, task) if isinstance(task, tuple) and task[0] is getitem else task


def unpacked(signs: da.Array, count: int) -> da.Array:
    """The signs of ``count`` recorded states, (count, T, L1, L2), a byte each and 1 for x < 0."""
    chunks, meta = ((count,), *signs.chunks), np.empty((0, 0, 0, 0), dtype=np.uint8)
    return signs.map_blocks(_unpack, widths=signs.chunks[-1], new_axis=0, chunks=chunks, dtype=np.uint8, meta=meta)


def _kept(outcome: Outcome, n: int) -> NDArray[Any]:
    return outcome.kept[n]


def _unpack(signs: NDArray[np.uint8], block_id: tuple[int, ...], widths: tuple[int, ...]) -> NDArray[np.uint8]:
    return unpack_signs(signs, widths[block_id[-1]])
