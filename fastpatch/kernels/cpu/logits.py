"""Logits of the units of a dictionary: row correlations, which patterns share, added up row by row."""

from ..jit import kernel
from .intrinsics import bits_of, fma, from_bits, load, nearest, read, store
from .scratch import TILE, TOP

__all__ = ["correlate_tile", "raise_top", "round_tops", "row_sums_within", "stack_five_rows", "stack_rows"]


@kernel()
def _sign_combinations(s, out, n):
    """The sixteen sums a ± b ± c ± d ± e of five neighbours, in the order of their signs (- before +)."""
    for f in range(n):
        a, b, c, d, e = load(s, f), load(s, f + 1), load(s, f + 2), load(s, f + 3), load(s, f + 4)
        p, m, q, r = a + b, a - b, c + d, c - d
        pp, pm, mp, mm = p + q, p + r, p - r, p - q
        np_, nm, nn, no = m + q, m + r, m - r, m - q
        store(s, out + f, no - e)
        store(s, out + f + TILE, no + e)
        store(s, out + f + 2 * TILE, nn - e)
        store(s, out + f + 3 * TILE, nn + e)
        store(s, out + f + 4 * TILE, nm - e)
        store(s, out + f + 5 * TILE, nm + e)
        store(s, out + f + 6 * TILE, np_ - e)
        store(s, out + f + 7 * TILE, np_ + e)
        store(s, out + f + 8 * TILE, mm - e)
        store(s, out + f + 9 * TILE, mm + e)
        store(s, out + f + 10 * TILE, mp - e)
        store(s, out + f + 11 * TILE, mp + e)
        store(s, out + f + 12 * TILE, pm - e)
        store(s, out + f + 13 * TILE, pm + e)
        store(s, out + f + 14 * TILE, pp - e)
        store(s, out + f + 15 * TILE, pp + e)


@kernel()
def _correlate_rows(s, rows, out, n):
    """sum_v rows[q, v] x[f + v] for every distinct pattern row q, at out + q TILE."""
    for q in range(rows.shape[0]):
        at = out + q * TILE
        weight = rows[q, 0]
        for f in range(n):
            store(s, at + f, weight * load(s, f))
        for v in range(1, rows.shape[1]):
            weight = rows[q, v]
            for f in range(n):
                store(s, at + f, fma(weight, load(s, f + v), read(s, at + f)))


@kernel()
def correlate_tile(s, plan, correlated, n):
    """Row correlations of the tile in the scratch space."""
    if plan.binary:
        _sign_combinations(s, correlated, n)
    else:
        _correlate_rows(s, plan.rows, correlated, n)


@kernel()
def row_sums_within(s, n, bound):
    """Whether no five neighbours of the first n elements, the padded field of a tile, sum up to more than a bound."""
    largest = bits_of(abs(s[0]))
    for f in range(n - 4):
        sums = abs(load(s, f)) + abs(load(s, f + 1)) + abs(load(s, f + 2)) + abs(load(s, f + 3))
        pattern = bits_of(sums + abs(load(s, f + 4)))
        largest = pattern if pattern > largest else largest
    return from_bits(largest) <= bound


@kernel()
def stack_rows(s, correlated, row, sign, k, stride, slope, out, n):
    """slope sum_u sign[k, u] row-correlation row[k, u] at f + u stride: the base-2 logit of pattern k without prior."""
    at, weight = correlated + row[k, 0] * TILE, slope * sign[k, 0]
    for f in range(n):
        store(s, out + f, weight * load(s, at + f))
    for u in range(1, row.shape[1]):
        at, weight = correlated + row[k, u] * TILE + u * stride, slope * sign[k, u]
        for f in range(n):
            store(s, out + f, fma(weight, load(s, at + f), read(s, out + f)))


@kernel()
def stack_five_rows(s, correlated, row, sign, k, stride, slope, exponent, out, n):
    """`stack_rows` and `raise_top` in one pass, for a pair of patterns of size 5."""
    r0 = correlated + row[k, 0] * TILE
    r1 = correlated + row[k, 1] * TILE + stride
    r2 = correlated + row[k, 2] * TILE + 2 * stride
    r3 = correlated + row[k, 3] * TILE + 3 * stride
    r4 = correlated + row[k, 4] * TILE + 4 * stride
    s0, s1, s2, s3, s4 = (
        slope * sign[k, 0],
        slope * sign[k, 1],
        slope * sign[k, 2],
        slope * sign[k, 3],
        slope * sign[k, 4],
    )
    for f in range(n):
        z = fma(s1, load(s, r1 + f), s0 * load(s, r0 + f))
        z = fma(s4, load(s, r4 + f), fma(s3, load(s, r3 + f), fma(s2, load(s, r2 + f), z)))
        store(s, out + f, z)
        store(s, TOP + f, max(s[TOP + f], abs(z) + exponent))


@kernel()
def raise_top(s, z, exponent, paired, n):
    """Raise the top logit to the larger logit of one unit."""
    if paired:
        for f in range(n):
            store(s, TOP + f, max(s[TOP + f], abs(load(s, z + f)) + exponent))
    else:
        for f in range(n):
            store(s, TOP + f, max(s[TOP + f], load(s, z + f) + exponent))


@kernel()
def round_tops(s, n):
    """Round the top logits to integers; the least of them if it is positive, else something negative or zero."""
    for f in range(n):
        s[TOP + f] = nearest(s[TOP + f])
    # The bits of non-negative floats are ordered like them, those of negative ones lie below; and an integer minimum is
    # vectorised where a float one, for the sake of NaN, is not.
    lowest = bits_of(s[TOP])
    for f in range(n):
        pattern = bits_of(s[TOP + f])
        lowest = pattern if pattern < lowest else lowest
    return from_bits(lowest)
