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
        return cls._of_rows(row_codes(codes, size)[order], prior, order)

    @classmethod
    def _of_rows(cls, rows_in_order: NDArray[Any], prior: NDArray[np.float64], order: NDArray[np.int64]) -> "PatchTree":
        size, count = rows_in_order.shape
        key = np.zeros(count, dtype=np.uint64)
        for row in rows_in_order:
            key = (key << np.uint64(size)) | row.astype(np.uint64)
        sorting = np.argsort(key, kind="stable")
        key = key[sorting]

        starts, rows = [], []
        for level in range(_NODE_ROWS):
            prefix = key >> np.uint64(size * (size - level - 1))
            starts.append(np.flatnonzero(np.append(True, prefix[1:] != prefix[:-1])))
            rows.append((prefix[starts[-1]] & np.uint64(2**size - 1)).astype(np.int64))
        starts.append(np.arange(count))
        firsts = tuple(
            np.append(np.searchsorted(below, here), below.size).astype(np.int64) for here, below in pairwise(starts)
        )
        pair = np.uint64(2 ** (2 * size) - 1)
        shifts = range(size * (size - _NODE_ROWS - 2), -1, -2 * size)
        # For P = 3 no row is left: one table with one entry keeps the kernels the same.
        entries = tuple(((key >> np.uint64(shift)) & pair).astype(np.uint16) for shift in shifts) or (
            np.zeros(count, dtype=np.uint16),
        )
        return cls(size, order, tuple(rows), firsts, entries, prior[sorting])

    def views(self) -> "list[PatchTree]":
        """For every pair of rows that is one entry of the leaves, the same patterns with that pair in the nodes.

        The centre row stays first; the second and third row become the entry. A node's sum over leaves is its rows'
        share in every pattern, so that the tree and its views hold that of each row without a pass to the leaves.
        """
        if self.size == _NODE_ROWS:
            return []
        rows, found = self._leaf_rows(), []
        for pair in range(len(self.entries)):
            moved = np.arange(self.size)
            at = _NODE_ROWS + 2 * pair
            moved[[1, 2, at, at + 1]] = [at, at + 1, 1, 2]
            found.append(self._of_rows(rows[moved], self.weights, self.order[moved]))
        return found

    def _leaf_rows(self) -> NDArray[np.uint8]:
        """The rows of all patterns, (P, K), rows and patterns in the tree's order."""
        rows = np.empty((self.size, self.weights.size), dtype=np.uint8)
        for level, numbers in enumerate(self.rows):
            spread = numbers
            for first in self.firsts[level:]:
                spread = np.repeat(spread, np.diff(first))
            rows[level] = spread
        for pair, entry in enumerate(self.entries[: (self.size - _NODE_ROWS) // 2]):
            rows[_NODE_ROWS + 2 * pair] = entry >> self.size
            rows[_NODE_ROWS + 2 * pair + 1] = entry & (2**self.size - 1)
        return rows

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
