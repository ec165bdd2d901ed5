"""The posterior over millions of patterns of +-1, exactly, by a tree of their rows.

`build` makes the tree; `tables`, `leaves`, `posterior` and `response` work on blocks of sites, `search` on single ones;
`driver` is what others call.
"""

from .build import PatchTree
from .driver import TreeKernels

__all__ = ["PatchTree", "TreeKernels"]
