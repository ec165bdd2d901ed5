"""Total weights of all patterns at a block of sites: the tree contracted from the leaves up."""

from ..jit import kernel
from .leaves import BLOCK, add_product, gather_leaves

__all__ = ["contract"]


@kernel()
def contract(tree, rows, pairs, keep, sums, below, plus, minus):
    """Sums over the patterns with centre pixel +1 and -1 of prior times likelihood, relative to the likeliest signs.

    ``below`` (2, BLOCK) is working space. With ``keep``, ``sums`` (nodes BLOCK) takes the sums over the leaves below
    every node of the third level; otherwise BLOCK of its numbers are enough, and stay in the cache.
    """
    order, numbers, firsts, entries, weights = tree
    center = 1 << (order.size // 2)
    zero = plus.dtype.type(0.0)
    second, third = below[0], below[1]
    for lane in range(BLOCK):
        plus[lane] = zero
        minus[lane] = zero
    for a in range(numbers[0].size):
        for lane in range(BLOCK):
            second[lane] = zero
        for b in range(firsts[0][a], firsts[0][a + 1]):
            for lane in range(BLOCK):
                third[lane] = zero
            for c in range(firsts[1][b], firsts[1][b + 1]):
                at = c if keep else 0
                gather_leaves(pairs, entries, weights, firsts[2][c], firsts[2][c + 1], sums, at)
                add_product(third, 0, rows[2], numbers[2][c], sums, at)
            add_product(second, 0, rows[1], numbers[1][b], third, 0)
        if numbers[0][a] & center:
            add_product(plus, 0, rows[0], numbers[0][a], second, 0)
        else:
            add_product(minus, 0, rows[0], numbers[0][a], second, 0)
