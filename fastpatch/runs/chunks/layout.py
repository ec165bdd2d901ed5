"""How a lattice is cut into chunks, and what they exchange."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from ...errors import InvalidInputError
from ...kernels.patch import Part
from ...validation import integer

__all__ = ["Layout"]

# Steps between two exchanges. They share out what an exchange costs, some twenty tasks a chunk and a few copies of it;
# but each of them adds R sites on every side to the halo, which is worked out twice. The optimum is flat, and near this
# number for chunks of 256 to 4096 sites a side.
_EXCHANGE_EVERY = 16
_LARGEST_HALO = 1 / 8

# A chunk: large enough to outweigh its tasks, small enough for the dozen copies of it that a worker may hold.
_CHUNK_BYTES = 16 * 2**20
_COPIES = 32
_SMALLEST = 64


@dataclass(frozen=True)
class Layout:
    """A lattice ``shape`` in chunks of ``sides``, the last of an axis with what is left.

    ``exchange_every`` is the number of steps between two exchanges, each of which takes ``radius`` sites of the halo.
    """

    shape: tuple[int, int]
    sides: tuple[int, int]
    radius: int
    exchange_every: int

    @classmethod
    def of(
        cls,
        shape: tuple[int, int],
        radius: int,
        site_bytes: int,
        chunks: int | Sequence[int] | None,
        exchange_every: int | None,
        workers: int,
        memory: float,
    ) -> "Layout":
        """The layout that was asked for, where it was, else a suitable one.

        Where it is not given, there is a chunk for each of the ``workers`` at least, and none larger than fits the
        ``memory``, in bytes, of one. Raises `InvalidInputError` for chunks smaller than a radius and for a halo larger
        than a chunk, `DtypeError` for anything but integers.
        """
        sides = _suitable_sides(shape, site_bytes, workers, memory) if chunks is None else _given_sides(chunks, shape)
        cut = cls(shape, sides, radius, 1)
        # An axis in one piece needs no halo.
        smallest = min((axis[-1] for axis in cut.chunks if len(axis) > 1), default=None)
        if smallest is not None and smallest < radius:
            raise InvalidInputError(
                f"chunks is {sides}, which leaves some of {smallest} site(s) on a lattice {shape}; "
                f"expected chunks of at least {radius}, the reach of a neighbourhood"
            )
        most = None if smallest is None or radius == 0 else smallest // radius
        if exchange_every is None:
            roomy = _EXCHANGE_EVERY if most is None else max(1, int(most * _LARGEST_HALO))
            return cls(shape, sides, radius, min(_EXCHANGE_EVERY, roomy))
        steps = integer(exchange_every, "exchange_every", minimum=1)
        if most is not None and steps > most:
            raise InvalidInputError(
                f"exchange_every is {steps}; expected at most {most} steps, for chunks of {smallest} sites "
                f"and neighbourhoods that reach {radius}"
            )
        return cls(shape, sides, radius, steps)

    @cached_property
    def chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sides of all chunks along both axes."""
        along = [
            (*[side] * ((length - 1) // side), (length - 1) % side + 1)
            for length, side in zip(self.shape, self.sides, strict=True)
        ]
        return along[0], along[1]

    @cached_property
    def count(self) -> int:
        """Number of chunks."""
        return len(self.chunks[0]) * len(self.chunks[1])

    def halo(self, steps: int) -> tuple[int, int]:
        """Rows and columns that a chunk needs of each neighbour for so many steps; none where it is its own one."""
        rows, columns = (self.radius * steps if len(axis) > 1 else 0 for axis in self.chunks)
        return rows, columns

    def origin(self, i: int, j: int) -> tuple[int, int]:
        """First site of the chunk in row i and column j of the chunks."""
        return self._starts[0][i], self._starts[1][j]

    def part(self, i: int, j: int, halo: tuple[int, int]) -> Part:
        """That chunk with a halo."""
        first, second = ((start - h) % side for start, h, side in zip(self.origin(i, j), halo, self.shape, strict=True))
        return Part(self.shape, (first, second), halo)

    @cached_property
    def _starts(self) -> tuple[list[int], list[int]]:
        rows, columns = (list(accumulate(axis, initial=0)) for axis in self.chunks)
        return rows, columns


def _given_sides(chunks: Any, shape: tuple[int, int]) -> tuple[int, int]:
    sides = [chunks, chunks] if np.ndim(chunks) == 0 else list(chunks)
    if len(sides) != 2:
        raise InvalidInputError(f"chunks is {chunks!r}; expected one side length or two")
    first, second = (
        min(integer(side, "a side of chunks", minimum=1), length) for side, length in zip(sides, shape, strict=True)
    )
    return first, second


def _suitable_sides(shape: tuple[int, int], site_bytes: int, workers: int, memory: float) -> tuple[int, int]:
    """Chunks as nearly square as their number allows."""
    longest = max(_SMALLEST, int(np.sqrt(min(_CHUNK_BYTES, memory / _COPIES) / site_bytes)))
    pieces = [-(-length // longest) for length in shape]
    while pieces[0] * pieces[1] < workers:
        axis = int(shape[0] * pieces[1] < shape[1] * pieces[0])
        if shape[axis] < (pieces[axis] + 1) * _SMALLEST:
            break
        pieces[axis] += 1
    first, second = (_even_side(length, count) for length, count in zip(shape, pieces, strict=True))
    return first, second


def _even_side(length: int, count: int) -> int:
    """A side that cuts ``length`` into about ``count`` pieces without leaving a small one."""
    side = -(-length // count)
    while 0 < length % side < side // 2:
        side += 1
    return side
