"""What kernels take, by name: each of these is one argument. Numba compiles a named tuple like its fields."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counters", "Crew", "Law", "Laws", "Place", "Plan", "Records", "Waves"]


class Plan(NamedTuple):
    """A dictionary in the precision of a kernel, see `fastpatch.kernels.plan.PatchPlan`."""

    rows: NDArray[Any]
    unit_row: NDArray[np.int64]
    unit_sign: NDArray[Any]
    centers: NDArray[Any]
    n_pairs: int
    binary: bool
    # Base-2 logit beyond which the lesser weight of a pair is negligible.
    dominance: Any


class Law(NamedTuple):
    """The constants of one time: slope and bound are numbers, the others (U,); see `tile_constants`."""

    slope: Any
    exponents: NDArray[Any]
    factors: NDArray[Any]
    weights: NDArray[Any]
    bound: Any


class Laws(NamedTuple):
    """The constants of several steps: slopes and bounds (steps,), the others (steps, U); see `tile_constants`.

    Step n is ``x <- linear x + pull m(x) + kick eta`` with ``coefficients[n] = (linear, pull, kick)``.
    """

    slopes: NDArray[Any]
    exponents: NDArray[Any]
    factors: NDArray[Any]
    weights: NDArray[Any]
    bounds: NDArray[Any]
    coefficients: NDArray[Any]


class Place(NamedTuple):
    """Where on a lattice arrays lie: its sides, the first site, and a margin that is left out of sums."""

    lattice_rows: int
    lattice_columns: int
    first_row: int
    first_column: int
    margin_rows: int
    margin_columns: int


class Counters(NamedTuple):
    """What numbers the noise, beside sites: first trajectory and step, and the key (3,) of seed and stream."""

    first_trajectory: int
    first_step: int
    key: NDArray[np.uint32]


class Waves(NamedTuple):
    """Tables of the modes that derivatives are taken along, see `fastpatch.kernels.patch.ModeTables`."""

    risen: NDArray[Any]
    sine: NDArray[Any]
    even: NDArray[Any]
    odd: NDArray[Any]


class Records(NamedTuple):
    """What is recorded: where ``record[n]`` is r >= 0, the state before step n goes to ``fields[r]`` (T, H, W) and its
    bands' mode sums to ``projections[r]`` (T, bands, directions, shells)."""

    record: NDArray[np.int64]
    fields: NDArray[Any]
    projections: NDArray[np.float64]


class Crew(NamedTuple):
    """Which of how many threads this one is, and the words (int64) by which they know of one another."""

    worker: int
    workers: int
    board: NDArray[np.int64]
