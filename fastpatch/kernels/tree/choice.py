"""Whether a dictionary is evaluated by a tree."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .build import PatchTree
from .driver import TreeKernels

__all__ = ["FEWEST_PATTERNS", "tree_of"]

# Measured in seconds, float64, one thread (bench/NOTES.md): what a site costs by a tree, in all, a pattern and a node
# above the patterns, and by matrix products, a pattern or +- pair.
_SITE, _LEAF, _NODE, _DENSE = 600e-9, 0.16e-9, 1.5e-9, 2.3e-9

# Below, tiles or matrix products do as well, and need no building.
FEWEST_PATTERNS = 1024


def tree_of(codes: NDArray[Any], prior: NDArray[np.float64], size: int, *, paired: bool) -> TreeKernels | None:
    """The kernels for the tree of coded patterns, or None where tiles or matrix products are expected to be faster.

    ``codes`` are those of `fastpatch.PatchDictionary`; ``paired`` tells whether they come with their sign flips.
    """
    count = len(prior)
    if count < FEWEST_PATTERNS or size < 3:
        return None
    tree = PatchTree.of(codes, prior, size)
    cost = _SITE + _LEAF * count * len(tree.entries) + _NODE * tree.nodes
    units = 0.5 * count if paired else count
    return TreeKernels(tree) if cost < _DENSE * units else None
