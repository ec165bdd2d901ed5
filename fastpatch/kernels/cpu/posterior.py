"""The softmax over the units of a dictionary in a run of rows: posterior mean (eq. 38) and response."""

import numpy as np

from ..jit import kernel
from .exponentials import power_of_two, powers_of_two, shift, small_powers_of_two
from .intrinsics import fma, load, read, store
from .logits import raise_top, round_tops, stack_five_rows, stack_rows
from .scratch import DOTS, MEAN, RUN_MEAN, TILE, TOP, TOTAL, fill, rounded

__all__ = ["posterior_run"]


@kernel()
def _fold_pairs(s, correlated, row, sign, k, stride, slope, weights, centers, n):
    """Stack three pairs' logits and add their weights 2^logit, in one pass and without a top: for small logits."""
    r00, r10, r20 = (
        correlated + row[k, 0] * TILE,
        correlated + row[k + 1, 0] * TILE,
        correlated + row[k + 2, 0] * TILE,
    )
    at = correlated + stride
    r01, r11, r21 = at + row[k, 1] * TILE, at + row[k + 1, 1] * TILE, at + row[k + 2, 1] * TILE
    at += stride
    r02, r12, r22 = at + row[k, 2] * TILE, at + row[k + 1, 2] * TILE, at + row[k + 2, 2] * TILE
    at += stride
    r03, r13, r23 = at + row[k, 3] * TILE, at + row[k + 1, 3] * TILE, at + row[k + 2, 3] * TILE
    at += stride
    r04, r14, r24 = at + row[k, 4] * TILE, at + row[k + 1, 4] * TILE, at + row[k + 2, 4] * TILE
    s00, s10, s20 = slope * sign[k, 0], slope * sign[k + 1, 0], slope * sign[k + 2, 0]
    s01, s11, s21 = slope * sign[k, 1], slope * sign[k + 1, 1], slope * sign[k + 2, 1]
    s02, s12, s22 = slope * sign[k, 2], slope * sign[k + 1, 2], slope * sign[k + 2, 2]
    s03, s13, s23 = slope * sign[k, 3], slope * sign[k + 1, 3], slope * sign[k + 2, 3]
    s04, s14, s24 = slope * sign[k, 4], slope * sign[k + 1, 4], slope * sign[k + 2, 4]
    w0, w1, w2 = weights[k], weights[k + 1], weights[k + 2]
    c0, c1, c2 = centers[k] * w0, centers[k + 1] * w1, centers[k + 2] * w2
    for f in range(n):
        z = fma(s01, load(s, r01 + f), s00 * load(s, r00 + f))
        z = fma(s04, load(s, r04 + f), fma(s03, load(s, r03 + f), fma(s02, load(s, r02 + f), z)))
        both0, bias0 = small_powers_of_two(z)
        z = fma(s11, load(s, r11 + f), s10 * load(s, r10 + f))
        z = fma(s14, load(s, r14 + f), fma(s13, load(s, r13 + f), fma(s12, load(s, r12 + f), z)))
        both1, bias1 = small_powers_of_two(z)
        z = fma(s21, load(s, r21 + f), s20 * load(s, r20 + f))
        z = fma(s24, load(s, r24 + f), fma(s23, load(s, r23 + f), fma(s22, load(s, r22 + f), z)))
        both2, bias2 = small_powers_of_two(z)
        store(s, RUN_MEAN + f, fma(c2, bias2, fma(c1, bias1, fma(c0, bias0, s[RUN_MEAN + f]))))
        store(s, TOTAL + f, fma(w2, both2, fma(w1, both1, fma(w0, both0, s[TOTAL + f]))))


@kernel()
def _add_pairs(s, k, exponents, factors, centers, n):
    """Add three pairs' weights, relative to the top logit, to the weighted sum of centre pixels and to the total."""
    z0, z1, z2 = DOTS + 2 * k * TILE, DOTS + 2 * (k + 1) * TILE, DOTS + 2 * (k + 2) * TILE
    w0, w1, w2 = factors[k], factors[k + 1], factors[k + 2]
    c0, c1, c2 = centers[k] * w0, centers[k + 1] * w1, centers[k + 2] * w2
    b0, b1, b2 = exponents[k] + shift(w0), exponents[k + 1] + shift(w0), exponents[k + 2] + shift(w0)
    for f in range(n):
        top = load(s, TOP + f)
        both0, bias0 = powers_of_two(load(s, z0 + f), top, b0)
        both1, bias1 = powers_of_two(load(s, z1 + f), top, b1)
        both2, bias2 = powers_of_two(load(s, z2 + f), top, b2)
        store(s, RUN_MEAN + f, fma(c2, bias2, fma(c1, bias1, fma(c0, bias0, s[RUN_MEAN + f]))))
        store(s, TOTAL + f, fma(w2, both2, fma(w1, both1, fma(w0, both0, s[TOTAL + f]))))


@kernel()
def _add_dominant(s, k, exponents, factors, centers, n):
    """`_add_pairs` where every top logit is so large that the lesser weight of each pair rounds away."""
    z0, z1, z2 = DOTS + 2 * k * TILE, DOTS + 2 * (k + 1) * TILE, DOTS + 2 * (k + 2) * TILE
    w0, w1, w2 = factors[k], factors[k + 1], factors[k + 2]
    c0, c1, c2 = centers[k] * w0, centers[k + 1] * w1, centers[k + 2] * w2
    b0, b1, b2 = exponents[k] + shift(w0), exponents[k + 1] + shift(w0), exponents[k + 2] + shift(w0)
    for f in range(n):
        x0, x1, x2, top = load(s, z0 + f), load(s, z1 + f), load(s, z2 + f), load(s, TOP + f)
        p0, p1, p2 = power_of_two(abs(x0), top, b0), power_of_two(abs(x1), top, b1), power_of_two(abs(x2), top, b2)
        store(s, TOTAL + f, fma(w2, p2, fma(w1, p1, fma(w0, p0, s[TOTAL + f]))))
        p0 = p0 if x0 >= 0 else -p0
        p1 = p1 if x1 >= 0 else -p1
        p2 = p2 if x2 >= 0 else -p2
        store(s, RUN_MEAN + f, fma(c2, p2, fma(c1, p1, fma(c0, p0, s[RUN_MEAN + f]))))


@kernel()
def _keep_unit(s, z, exponent, paired, dominant, n):
    """Replace a unit's logits at ``z`` by the difference of its two weights, and leave their sum behind it."""
    base = exponent + shift(exponent)
    if paired and dominant:
        for f in range(n):
            x = read(s, z + f)
            weight = power_of_two(abs(x), load(s, TOP + f), base)
            store(s, z + f, weight if x >= 0 else -weight)
            store(s, z + TILE + f, weight)
    elif paired:
        for f in range(n):
            both, bias = powers_of_two(read(s, z + f), load(s, TOP + f), base)
            store(s, z + f, bias)
            store(s, z + TILE + f, both)
    else:
        for f in range(n):
            weight = power_of_two(read(s, z + f), load(s, TOP + f), base)
            store(s, z + f, weight)
            store(s, z + TILE + f, weight)


@kernel()
def _add_unit(s, z, factor, center, n):
    """Add one unit's weights as `_keep_unit` left them."""
    weighted = center * factor
    for f in range(n):
        store(s, RUN_MEAN + f, fma(weighted, load(s, z + f), s[RUN_MEAN + f]))
        store(s, TOTAL + f, fma(factor, load(s, z + TILE + f), s[TOTAL + f]))


@kernel()
def _respond(s, z, factor, center, n):
    """Turn a unit's kept weights into its response ``c (w+ + w-) - m (w+ - w-)``, or ``w (c - m)`` for a single."""
    for f in range(n):
        value = center * load(s, z + TILE + f) - load(s, RUN_MEAN + f) * read(s, z + f)
        store(s, z + f, factor * value / load(s, TOTAL + f))


@kernel()
def _divide(s, out, n):
    """Divide the weighted sums by the total weights, in place and into the tile's posterior mean."""
    for f in range(n):
        mean = s[RUN_MEAN + f] / load(s, TOTAL + f)
        s[RUN_MEAN + f] = mean
    for f in range(n):
        store(s, out + f, load(s, RUN_MEAN + f))


@kernel()
def posterior_run(s, start, n, stride, law, plan, correlated, small, want_response):
    """Posterior mean of one run, at ``MEAN + start``; its response fields at the units' logits, if wanted.

    Whichever way it takes, its bits are the same: tops are integers, so weights relative to another top are the same
    weights times a power of two; what one way leaves out rounds away in the other; and all add in the same order.
    """
    row, sign, centers, n_pairs = plan.unit_row, plan.unit_sign, plan.centers, plan.n_pairs
    slope, exponents, factors = law.slope, law.exponents, law.factors
    units, thirds = centers.size, n_pairs - n_pairs % 3
    folded = thirds if small else 0
    # Loops with long bodies are vectorised by 16, short ones unrolled to 64; a remainder is done one by one.
    exact, n = (n + 15) // 16 * 16, rounded(n)
    fill(s, RUN_MEAN, 0.0, n)
    fill(s, TOTAL, 0.0, n)
    for k in range(0, folded, 3):
        _fold_pairs(s, correlated + start, row, sign, k, stride, slope, law.weights, centers, exact)
    fill(s, TOP, -np.inf, n)
    for k in range(folded, units):
        z = DOTS + 2 * k * TILE
        if k < n_pairs and row.shape[1] == 5:
            stack_five_rows(s, correlated + start, row, sign, k, stride, slope, exponents[k], z, n)
        else:
            stack_rows(s, correlated + start, row, sign, k, stride, slope, z, n)
            raise_top(s, z, exponents[k], k < n_pairs, n)
    if folded > 0:
        fill(s, TOP, 0.0, n)
    # The lesser weights of all pairs add up to less than 2^-top of the total, since the priors do to at most 1.
    dominant = folded == 0 and round_tops(s, n) > plan.dominance
    alone = 0 if want_response else thirds
    for k in range(folded, alone, 3):
        if dominant:
            _add_dominant(s, k, exponents, factors, centers, exact)
        else:
            _add_pairs(s, k, exponents, factors, centers, exact)
    for k in range(alone, units):
        z = DOTS + 2 * k * TILE
        _keep_unit(s, z, exponents[k], k < n_pairs, dominant, exact)
        _add_unit(s, z, factors[k], centers[k], exact)
    _divide(s, MEAN + start, n)
    if want_response:
        for k in range(units):
            _respond(s, DOTS + 2 * k * TILE, factors[k], centers[k], exact)
