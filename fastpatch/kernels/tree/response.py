"""The response to every pixel of a neighbourhood: the tree walked from the root down."""

from ..jit import kernel
from .leaves import BLOCK, scatter_leaves

__all__ = ["respond"]


@kernel()
def respond(tree, rows, pairs, sums, plus, minus, paths, shares, pair_shares, response):
    """``response[u] = sum_k w_k (c_k - m) p_k(u)`` (P P, BLOCK), pixels in the order of the tree's rows.

    ``sums``, ``plus`` and ``minus`` are those of `contract`. ``shares`` (3, 2^P BLOCK) and ``pair_shares``, like
    ``pairs``, take the sums of w_k (c_k - m) over the patterns with each row; ``paths`` (4, BLOCK) is working space.
    """
    order, numbers, firsts, entries, weights = tree
    center = 1 << (order.size // 2)
    zero = plus.dtype.type(0.0)
    for r in range(3):
        for n in range(shares.shape[1]):
            shares[r, n] = zero
    for p in range(len(pairs)):
        for n in range(pairs[p].size):
            pair_shares[p][n] = zero
    root, second, third = paths[0], paths[1], paths[2]
    flat = paths.reshape(-1)
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
            for c in range(firsts[1][b], firsts[1][b + 1]):
                at_third = numbers[2][c] * BLOCK
                for lane in range(BLOCK):
                    third[lane] = second[lane] * rows[2, at_third + lane]
                scatter_leaves(pairs, entries, weights, firsts[2][c], firsts[2][c + 1], flat, 2, pair_shares)
                for lane in range(BLOCK):
                    share = third[lane] * sums[c * BLOCK + lane]
                    shares[0, first + lane] += share
                    shares[1, at + lane] += share
                    shares[2, at_third + lane] += share
    if len(pairs) == 1:
        for n in range(pairs[0].size):
            pair_shares[0][n] *= pairs[0][n]
    _pixels(order.size, shares, pair_shares, response)


@kernel()
def _pixels(size, shares, pair_shares, response):
    """From sums over rows to sums over pixels."""
    zero = response.dtype.type(0.0)
    for u in range(size * size):
        for lane in range(BLOCK):
            response[u, lane] = zero
    for r in range(3):
        for entry in range(1 << size):
            _sign(shares[r], entry, entry, size, r * size, response)
    if size > 3:
        for p in range(len(pair_shares)):
            for entry in range(1 << (2 * size)):
                # The second of the two rows holds the lower bits.
                _sign(pair_shares[p], entry, entry >> size, size, (3 + 2 * p) * size, response)
                _sign(pair_shares[p], entry, entry & ((1 << size) - 1), size, (4 + 2 * p) * size, response)


@kernel()
def _sign(shares, entry, row, size, first, response):
    for v in range(size):
        if row & (1 << v):
            for lane in range(BLOCK):
                response[first + v, lane] += shares[entry * BLOCK + lane]
        else:
            for lane in range(BLOCK):
                response[first + v, lane] -= shares[entry * BLOCK + lane]
