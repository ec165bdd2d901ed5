"""What is done with a chunk of a lattice. All of it can be done again, by any worker, with the same result."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...analysis import first_lobe
from ...analysis.first_lobe import half_disc
from ...kernels.cpu.signs import ROWS, WORD
from ...kernels.patch import ModeTables, Stepper
from ...kernels.plan import PatchPlan
from ...noise import NoiseStream, noise_key, standard_normals
from ...threads import get_threads, thread_limit
from .layout import Layout

__all__ = ["Exchange", "Outcome", "advance", "count_pairs", "draw", "sum_by_length", "unpack_signs"]


@dataclass(frozen=True, eq=False)
class Exchange:
    """The steps between two exchanges of halos, the same for all chunks.

    Attributes
    ----------
    constants : arrays (steps, …), those of `fastpatch.kernels.cpu.advance`
    first_step : index into the time grid
    recorded : (steps,) bool, whether the state before a step is recorded
    kept : the steps, among the recorded ones, whose states are kept themselves
    threads : threads for a task, None to leave them as they are
    """

    layout: Layout
    plan: PatchPlan
    seed: int
    first_trajectory: int
    first_step: int
    constants: tuple[NDArray[Any], ...]
    recorded: NDArray[np.bool_]
    kept: tuple[int, ...]
    shells: NDArray[np.int64]
    diagonal: bool
    threads: int | None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What comes of a chunk (1, H, W) in an exchange, in which R states were recorded.

    Attributes
    ----------
    state : (1, H, W), the chunk after the last step
    numbers : its share of ``sigma^2/alpha v^T (dm/dx) v`` (R, n_shells, directions), and its sums of x (R,)
    signs : (R, 1, H, ceil(W / 8)), a bit set where x is negative
    kept : (1, H, W) each, the states to keep
    """

    state: NDArray[Any]
    numbers: tuple[NDArray[np.float64], NDArray[np.float64]]
    signs: NDArray[np.uint8]
    kept: tuple[NDArray[Any], ...]

    def __sizeof__(self) -> int:
        # By this a worker decides what to spill.
        return sum(array.nbytes for array in (self.state, self.signs, *self.kept, *self.numbers))


def draw(
    block_id: tuple[int, int, int], layout: Layout, seed: int, first_trajectory: int, precision: np.dtype[Any]
) -> NDArray[Any]:
    """x(T) ~ N(0, 1) at the sites of a chunk."""
    path, i, j = block_id
    return standard_normals(
        (1, layout.chunks[0][i], layout.chunks[1][j]),
        seed=seed,
        stream=NoiseStream.INITIAL,
        first_trajectory=first_trajectory + path,
        origin=layout.origin(i, j),
        dtype=precision,
    )


def advance(padded: NDArray[Any], block_id: tuple[int, int, int], exchange: Exchange) -> Outcome:
    """Take the steps of an exchange, from a chunk with the halo for them."""
    path, i, j = block_id
    layout, steps = exchange.layout, len(exchange.recorded)
    halo = layout.halo(steps)
    stops = np.flatnonzero(exchange.recorded)
    shells = exchange.shells if len(stops) else exchange.shells[:0]
    tables = ModeTables(exchange.plan.patterns, layout.shape, shells, exchange.diagonal)
    extent = (padded.shape[1], padded.shape[2])
    key = noise_key(exchange.seed, NoiseStream.STEP)
    # Dask owns what it passes in.
    x, spare = padded.copy(), np.empty_like(padded)
    recording = np.empty((min(len(stops), 1), *padded.shape), dtype=padded.dtype)
    rows, columns = (slice(h, h + axis[k]) for h, axis, k in zip(halo, layout.chunks, (i, j), strict=True))
    signs: list[NDArray[np.uint8]] = []
    kept: list[NDArray[Any]] = []
    overlaps, totals = np.empty((len(stops), exchange.shells.size, tables.directions)), np.empty(len(stops))
    with thread_limit(exchange.threads or get_threads()):
        stepper = Stepper(exchange.plan, tables, layout.part(i, j, halo), extent, padded.dtype)
        # A call for every record and the steps up to the next one, so that there is room for one alone.
        bounds = sorted({0, *stops.tolist(), steps})
        for begin, end in pairwise(bounds):
            records = np.full(end - begin, -1)
            if exchange.recorded[begin]:
                records[0] = 0
                core = x[:, rows, columns]
                totals[len(signs)] = core.sum(dtype=np.float64)
                signs.append(np.packbits(core < 0, axis=-1))
                if begin in exchange.kept:
                    kept.append(core.copy())
            window = tuple(constant[begin:end] for constant in exchange.constants)
            counters = exchange.first_trajectory + path, exchange.first_step + begin, key
            found = stepper.run(x, spare, counters, window, records, recording[: records[0] + 1])
            if len(found):
                overlaps[len(signs) - 1] = found[0, 0]
            if (end - begin) % 2:
                x, spare = spare, x
    packed = (len(signs), 1, rows.stop - rows.start, -(-(columns.stop - columns.start) // 8))
    return Outcome(
        x[:, rows, columns].copy(),
        (overlaps, totals),
        np.array(signs, dtype=np.uint8).reshape(packed),
        tuple(kept),
    )


def unpack_signs(signs: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """One sign a byte, 1 for negative, of `Outcome.signs`."""
    return np.unpackbits(signs, axis=-1, count=columns)


def count_pairs(signs: NDArray[np.uint8], reach: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A chunk's share of the unequal pairs at every length 0 … reach, (R, T, reach + 1), of `correlation_of_pairs`.

    ``signs`` (R, T, H + 2 reach, W + 2 reach) have a halo, of which the side of larger indices is enough.
    """
    count, paths = signs.shape[:2]
    rows, columns = signs.shape[2] - 2 * reach, signs.shape[3] - 2 * reach
    displacements, lengths, weights = half_disc(reach, shape)
    unequal = np.empty((-(-rows // ROWS), len(displacements)), dtype=np.int64)
    words = np.zeros((rows + reach, ((columns + reach) // WORD + 2) * (WORD // 8)), dtype=np.uint8)
    pairs = np.empty((count, paths, reach + 1))
    for at in np.ndindex(count, paths):
        packed = np.packbits(signs[at][reach:, reach:], axis=-1, bitorder="little")
        words[:, : packed.shape[-1]] = packed
        first_lobe.count_pairs(words.view("<u8").astype(np.uint64), (rows, columns), displacements, unequal)
        pairs[at] = np.bincount(lengths, weights=weights * unequal.sum(axis=0), minlength=reach + 1)
    return pairs


def sum_by_length(
    maps: NDArray[np.float64], block_id: tuple[int, ...], firsts: tuple[int, ...], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Sums of a map of displacements over those of every length 0 … R, (…, R + 1), R = min(L1, L2) // 2.

    ``maps`` (…, H, L2) are rows of it, the first of which is the displacement ``firsts[block_id[-2]]`` modulo L1.
    """
    reach = min(shape) // 2
    a, b = firsts[block_id[-2]] + np.arange(maps.shape[-2]), np.arange(shape[1])
    a, b = np.minimum(a, shape[0] - a), np.minimum(b, shape[1] - b)
    lengths = np.minimum(np.rint(np.hypot(a[:, None], b)).astype(np.intp), reach + 1).ravel()
    rows = maps.reshape(-1, lengths.size)
    sums = [np.bincount(lengths, weights=row, minlength=reach + 2)[: reach + 1] for row in rows]
    return np.array(sums, dtype=np.float64).reshape(*maps.shape[:-2], reach + 1)
