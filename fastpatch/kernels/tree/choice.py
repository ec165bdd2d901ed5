"""Whether a dictionary is evaluated by a tree."""

from ...dictionary import PatchDictionary
from .build import PatchTree
from .driver import TreeKernels

__all__ = ["tree_of"]

# Measured in seconds, float64, one thread (bench/NOTES.md): what a site costs by a tree, in all, a pattern and a node
# above the patterns, and by matrix products, a pattern or +- pair.
_SITE, _LEAF, _NODE, _DENSE = 600e-9, 0.16e-9, 1.5e-9, 2.3e-9

# Below, tiles or matrix products do as well, and need no building.
_FEWEST = 1024


def tree_of(dictionary: PatchDictionary) -> TreeKernels | None:
    """The kernels for the dictionary's tree, or None where tiles or matrix products are expected to be faster."""
    count = len(dictionary)
    if count < _FEWEST or dictionary.size < 3 or dictionary.codes is None:
        return None
    tree = PatchTree.of(dictionary.codes, dictionary.prior, dictionary.size)
    cost = _SITE + _LEAF * count * len(tree.entries) + _NODE * tree.nodes
    units = 0.5 * count if dictionary.is_z2_symmetric else count
    return TreeKernels(tree) if cost < _DENSE * units else None
