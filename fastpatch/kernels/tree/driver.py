"""The tree's kernels on whole fields: which sites go which way, and how threads share them."""

from collections.abc import Callable
from functools import cached_property
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import Crew
from ..pool import share
from .build import PatchTree
from .evaluate import evaluate, search_sites
from .leaves import BLOCK

__all__ = ["TreeKernels"]

# A total weight below this, relative to that of the likeliest signs, may have lost patterns to underflow.
_LEAST = {"float32": 2.0**-80, "float64": 2.0**-940}
# Weights below 2^-cut of the heaviest are left out of a search: together, of at most 2^23 patterns, beneath rounding.
_CUT = {"float32": 48.0, "float64": 80.0}
# From this alpha / sigma^2 on a search is tried first, and given up after so many nodes and leaves, a share of all,
# that contracting the tree takes as long.
_SEARCHED = {"float32": 9.0, "float64": 14.0}
_SHARES_OF_LEAVES = {1: 128, 2: 4096}
_FEWEST_LEAVES = 1024
_UNLIMITED = 2**62
# A leaf at a site, and a site searched, at least: whether more threads are worth waking.
_LEAF_SECONDS, _SEARCH_SECONDS = 6e-11, 5e-6
# Sites that are evaluated again at a time: 80 MB for the response of 7x7 patches.
_AGAIN = 4096
# Sites that a thread takes at a time.
_TURN = 4 * BLOCK


class TreeKernels:
    """Posterior mean and response of a dictionary of +-1 patterns by its `PatchTree`.

    Every site's result depends on its own neighbourhood alone, bit for bit: not on the batch, the sites beside it in a
    block, or the threads.
    """

    def __init__(self, tree: PatchTree) -> None:
        self.tree = tree
        masses = [tree.weights]
        for first in reversed(tree.firsts):
            masses.insert(0, np.add.reduceat(masses[0], first[:-1]))
        self._masses = tuple(np.log2(mass) for mass in masses)
        self._arrays: dict[tuple[int, str], tuple[Any, ...]] = {}
        self._spaces: dict[tuple[str, bool], SimpleQueue[Any]] = {}

    def posterior_mean(self, x: NDArray[Any], slope: float, sites: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """m (B, H, W) of fields x (B, H, W), in their precision; ``slope`` is alpha / sigma^2.

        With ``sites``, numbers in the flattened batch, only there; the rest is arbitrary.
        """
        return self._evaluate(x, slope, sites, respond=False)[0].reshape(x.shape)

    def response(
        self, x: NDArray[Any], slope: float, sites: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """m, and R (B, P P, H, W) with ``dm_i/dx_{i+u} = alpha/sigma^2 R_u(i)``, u in row-major order."""
        mean, response = self._evaluate(x, slope, sites, respond=True)
        return mean.reshape(x.shape), response.reshape(len(x), self.tree.size**2, *x.shape[1:])

    def _evaluate(
        self, x: NDArray[Any], slope: float, sites: NDArray[np.int64] | None, *, respond: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Posterior mean and response (empty if not wanted), flat."""
        x = np.ascontiguousarray(x)
        size, name = self.tree.size, x.dtype.name
        mean = np.empty(x.size, dtype=x.dtype)
        response = np.empty(x.size * size * size if respond else 0, dtype=x.dtype)
        sites = np.arange(x.size) if sites is None else sites
        base2 = float(slope) / np.log(2.0)
        if slope >= _SEARCHED[name]:
            # By the number of tables: with two, lists are longer than caches, and most searches fail (bench/NOTES.md).
            most = max(len(self.tree.weights) // _SHARES_OF_LEAVES[len(self.tree.entries)], _FEWEST_LEAVES)
            self._search(x, sites, base2, most, mean, response)
            sites = sites[np.isnan(mean[sites])]
        # The views' means differ from the tree's by rounding, the last of which stays.
        for view in self._views if respond else ():
            self._contract(view, x, sites, base2, mean, response)
        self._contract(self.tree, x, sites, base2, mean, response)
        lost = sites[np.isnan(mean[sites])]
        if name == "float64":
            self._search(x, lost, base2, _UNLIMITED, mean, response)
        else:
            for first in range(0, lost.size, _AGAIN):
                self._evaluate_again(x, slope, lost[first : first + _AGAIN], mean, response)
        return mean, response

    def _evaluate_again(
        self, x: NDArray[Any], slope: float, sites: NDArray[np.int64], mean: NDArray[Any], response: NDArray[Any]
    ) -> None:
        """Sites that the sums in float32 have lost, in float64, where hardly any is lost.

        A search without bound may pass by all patterns, one site at a time.
        """
        size, (_, height, width) = self.tree.size, x.shape
        field, site = np.divmod(sites, height * width)
        reach = np.arange(size) - size // 2
        rows = (site // width)[:, None] + reach
        columns = (site % width)[:, None] + reach
        # Every neighbourhood is a field of its own, of which the site is the centre.
        windows = x[field[:, None, None], rows[:, :, None] % height, columns[:, None, :] % width].astype(np.float64)
        centre = size * size // 2
        centres = np.arange(len(sites)) * size * size + centre
        means, responses = self._evaluate(windows, slope, centres, respond=response.size > 0)
        mean[sites] = means[centres]
        if response.size:
            found = responses.reshape(len(sites), size * size, size * size)[:, :, centre]
            response.reshape(len(x), size * size, height * width)[field, :, site] = found

    @cached_property
    def _views(self) -> list[PatchTree]:
        """Made when a response is asked for: each takes as much memory as the tree."""
        return self.tree.views()

    def _of(self, tree: PatchTree, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """What kernels take of a tree, kept."""
        key = (id(tree), dtype.name)
        if key not in self._arrays:
            self._arrays[key] = tree.arrays(dtype)
        return self._arrays[key]

    def _contract(
        self,
        tree: PatchTree,
        x: NDArray[Any],
        sites: NDArray[np.int64],
        slope: float,
        mean: NDArray[Any],
        response: NDArray[Any],
    ) -> None:
        name, respond, arrays = x.dtype.name, response.size > 0, self._of(tree, x.dtype)
        least = x.dtype.type(_LEAST[name])
        spaces = self._spaces.setdefault((name, respond), SimpleQueue())

        def work(begin: int, end: int) -> None:
            space = self._space(x.dtype, respond) if spaces.empty() else spaces.get()
            evaluate(x, sites, begin, end, slope, arrays, *space, least, mean, response)
            spaces.put(space)

        _share(work, sites.size, _LEAF_SECONDS * len(self.tree.weights))

    def _search(
        self,
        x: NDArray[Any],
        sites: NDArray[np.int64],
        slope: float,
        most: int,
        mean: NDArray[Any],
        response: NDArray[Any],
    ) -> None:
        arrays = self._of(self.tree, np.dtype(np.float64))
        size, cut = self.tree.size, _CUT[x.dtype.name]

        def work(begin: int, end: int) -> None:
            windows, tables = np.empty((size * size, BLOCK)), np.empty((2, size, 2**size))
            search_sites(
                x, sites, begin, end, slope, arrays, self._masses, cut, most,
                windows, tables[0], tables[1], mean, response,
            )  # fmt: skip

        _share(work, sites.size, _SEARCH_SECONDS)

    def _space(self, dtype: np.dtype[Any], respond: bool) -> tuple[Any, ...]:
        """Working space of one thread, see `evaluate`."""
        size = self.tree.size
        row = 2**size * BLOCK
        pairs = tuple(np.empty(count * BLOCK, dtype=dtype) for count in self.tree.table_sizes)
        rest = (
            np.empty((size * size, BLOCK)),
            np.empty((size, row), dtype=dtype),
            np.empty((7, BLOCK), dtype=dtype),
            np.empty((max(tree.nodes for tree in (self.tree, *self._views)) if respond else 1) * BLOCK, dtype=dtype),
            np.empty((3, row if respond else 0), dtype=dtype),
            np.empty((3 * size, BLOCK), dtype=dtype),
        )
        return pairs, rest


def _share(work: Callable[[int, int], None], count: int, seconds: float) -> None:
    """Call ``work(begin, end)`` for turns of sites, in this thread and those that help it."""
    turns = -(-count // _TURN)

    def some(crew: Crew) -> None:
        for turn in range(crew.worker, turns, crew.workers):
            work(turn * _TURN, min((turn + 1) * _TURN, count))

    share(some, most=turns, seconds=seconds * count)
