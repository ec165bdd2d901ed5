"""The response to the pixels of three rows: the nodes of a tree walked from the root down."""

from ..jit import kernel
from .leaves import BLOCK, add_product

__all__ = ["respond"]


@kernel()
def respond(tree, rows, sums, plus, minus, paths, shares, response):
    """``response[u] = sum_k w_k (c_k - m) p_k(u)`` (3 P, BLOCK), the pixels of the tree's first three rows.

    ``sums``, ``plus`` and ``minus`` are those of `contract`. ``shares`` (3, 2^P BLOCK) takes the sums of w_k (c_k - m)
    over the patterns with each row; ``paths`` (3, BLOCK) is working space. The others are first in the tree's views.
    """
    order, numbers, firsts, _, _ = tree
    center = 1 << (order.size // 2)
    zero = plus.dtype.type(0.0)
    for r in range(3):
        for n in range(shares.shape[1]):
            shares[r, n] = zero
    root, second, below = paths[0], paths[1], paths[2]
    last = shares[2]
    for a in range(numbers[0].size):
        first = numbers[0][a] * BLOCK
        for lane in range(BLOCK):
            # (c - m) / Z with m = (Z+ - Z-) / Z and Z = Z+ + Z-: 2 Z- / Z^2 for c = 1.
            total = plus[lane] + minus[lane]
            other = minus[lane] if numbers[0][a] & center else -plus[lane]
            root[lane] = rows[0, first + lane] * (other / total) * (2.0 / total)
        for b in range(firsts[0][a], firsts[0][a + 1]):
            at = numbers[1][b] * BLOCK
            for lane in range(BLOCK):
                second[lane] = root[lane] * rows[1, at + lane]
                below[lane] = zero
            for c in range(firsts[1][b], firsts[1][b + 1]):
                # Of the third row without its own factor, which is the same for all of its nodes.
                add_product(last, numbers[2][c], second, 0, sums, c)
                add_product(below, 0, rows[2], numbers[2][c], sums, c)
            for lane in range(BLOCK):
                share = second[lane] * below[lane]
                shares[0, first + lane] += share
                shares[1, at + lane] += share
    for n in range(shares.shape[1]):
        last[n] *= rows[2, n]
    for u in range(3 * order.size):
        for lane in range(BLOCK):
            response[u, lane] = zero
    for r in range(3):
        for entry in range(1 << order.size):
            _add_signed(shares[r], entry, order.size, r * order.size, response)


@kernel()
def _add_signed(shares, entry, size, first, response):
    """From the share of a row to those of its pixels."""
    for v in range(size):
        if entry & (1 << v):
            for lane in range(BLOCK):
                response[first + v, lane] += shares[entry * BLOCK + lane]
        else:
            for lane in range(BLOCK):
                response[first + v, lane] -= shares[entry * BLOCK + lane]
