"""The patterns of +-1 of a dictionary as a tree of their rows."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...sign_patterns import LARGEST_CODED_SIZE, row_codes

__all__ = ["PatchTree"]

# Rows that are nodes of the tree; the others come in pairs, one table a pair.
_NODE_ROWS = 3


@dataclass(frozen=True, eq=False)
class PatchTree:
    """Patterns sorted by their rows: the centre row, then its neighbours, then outwards.

    A pattern's weight is a product over its rows of one of 2^P factors, so that patterns that begin alike share their
    work. The first three rows are the nodes of three levels. Below a node of the third come its leaves, the patterns,
    whose remaining rows are one entry, or for P = 7 two entries, of tables for two rows.

    Attributes
    ----------
    size : P
    order : (P,), row of a pattern that comes first, second ...
    rows, firsts : for each of the three levels, the row numbers of its nodes, and at which node (leaf) of the next
        level the children of each begin, one more than there are nodes
    entries : for each table, (K,) uint16, first row of the two times 2^P plus the second
    weights : (K,), prior probabilities, float64
    """

    size: int
    order: NDArray[np.int64]
    rows: tuple[NDArray[np.int64], ...]
    firsts: tuple[NDArray[np.int64], ...]
    entries: tuple[NDArray[np.uint16], ...]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, codes: NDArray[Any], prior: NDArray[np.float64], size: int) -> "PatchTree":
        """The tree of patterns given as codes (`fastpatch.sign_patterns`), 3 <= P <= 7."""
        order = _row_order(size)
        key = np.zeros(codes.size, dtype=np.uint64)
        for row in row_codes(codes, size)[order]:
            key = (key << np.uint64(size)) | row
        sorting = np.argsort(key, kind="stable")
        key = key[sorting]

        starts, rows = [], []
        for level in range(_NODE_ROWS):
            prefix = key >> np.uint64(size * (size - level - 1))
            starts.append(np.flatnonzero(np.append(True, prefix[1:] != prefix[:-1])))
            rows.append((prefix[starts[-1]] & np.uint64(2**size - 1)).astype(np.int64))
        starts.append(np.arange(codes.size))
        firsts = tuple(
            np.append(np.searchsorted(below, here), below.size).astype(np.int64) for here, below in pairwise(starts)
        )
        pair = np.uint64(2 ** (2 * size) - 1)
        shifts = range(size * (size - _NODE_ROWS - 2), -1, -2 * size)
        # For P = 3 no row is left: one table with one entry keeps the kernels the same.
        entries = tuple(((key >> np.uint64(shift)) & pair).astype(np.uint16) for shift in shifts) or (
            np.zeros(codes.size, dtype=np.uint16),
        )
        return cls(size, order, tuple(rows), firsts, entries, prior[sorting])

    @property
    def table_sizes(self) -> tuple[int, ...]:
        """Entries of each table for two rows."""
        return tuple(2 ** (2 * self.size) if self.size > _NODE_ROWS else 1 for _ in self.entries)

    @property
    def nodes(self) -> int:
        """Nodes of the third level."""
        return self.rows[-1].size

    def arrays(self, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """What kernels take, weights in their precision."""
        return self.order, self.rows, self.firsts, self.entries, self.weights.astype(dtype)


def _row_order(size: int) -> NDArray[np.int64]:
    """Centre row, the row above, the row below, and so on."""
    if not 3 <= size <= LARGEST_CODED_SIZE:
        raise AssertionError(size)
    radius = size // 2
    return np.array([radius, *(radius + sign * n for n in range(1, radius + 1) for sign in (-1, 1))])
