"""The posterior of one site by a bounded depth-first search, in the logarithm, where few patterns hold weight.

With logits relative to those of the likeliest rows no row adds to a logit, so that the logit of a path plus the
logarithm of all prior below it bounds the weight below it from above. Subtrees of less than 2^-cut times the heaviest
pattern found before are left out, at most as many as there are patterns.
"""

import numpy as np

from ..cpu.exponentials import exp2
from ..jit import kernel

__all__ = ["search"]


@kernel()
def search(tree, masses, window, slope, cut, most, logits, shares, response, respond):
    """Posterior mean at a neighbourhood (P P,), rows in the tree's order; NaN beyond ``most`` leaves looked at.

    ``masses``: log2 of the prior below the nodes of each level, and of each leaf. ``logits`` and ``shares``
    (P, 2^P) are working space. With ``respond``, ``response`` (P P,) becomes that of `response.respond`.
    """
    size = tree[0].size
    _fill_logits(window, slope, logits)
    top = _descend(tree, masses, logits)
    top, plus, minus = _walk(tree, masses, logits, top, cut, most, 0.0, 0.0, shares, False)
    mean = (plus - minus) / (plus + minus)
    if respond and not np.isnan(mean):
        for r in range(size):
            for entry in range(1 << size):
                shares[r, entry] = 0.0
        # (c - m) / Z as in `response.respond`: a small difference of 1 and m would lose its digits.
        total = plus + minus
        forth, back = 2.0 * minus / total / total, -2.0 * plus / total / total
        _walk(tree, masses, logits, top, cut, most, forth, back, shares, True)
        for r in range(size):
            for v in range(size):
                value = 0.0
                for entry in range(1 << size):
                    value += shares[r, entry] if entry & (1 << v) else -shares[r, entry]
                response[r * size + v] = value
    return mean


@kernel()
def _fill_logits(window, slope, logits):
    """``logits[r, row] = slope sum_v (s_v y_v - |y_v|)`` for the signs s of every possible row."""
    size = logits.shape[0]
    for r in range(size):
        logits[r, 0] = 0.0
        for v in range(size):
            y = np.float64(window[r * size + v])
            up, down = 2.0 * slope * min(y, 0.0), -2.0 * slope * max(y, 0.0)
            for entry in range(1 << v):
                below = logits[r, entry]
                logits[r, (1 << v) + entry] = below + up
                logits[r, entry] = below + down


@kernel()
def _leaf_logit(entries, k, logits):
    """The rows of leaf k below the third level."""
    size = logits.shape[0]
    total = 0.0
    if size > 3:
        mask = (1 << size) - 1
        for p in range(len(entries)):
            entry = np.int64(entries[p][k])
            total += logits[3 + 2 * p, entry >> size] + logits[4 + 2 * p, entry & mask]
    return total


@kernel()
def _descend(tree, masses, logits):
    """The logit of a heavy pattern: at every level the child with the largest bound."""
    _, numbers, firsts, entries, _ = tree
    begin, end, total = 0, numbers[0].size, 0.0
    for level in range(3):
        best, at = -np.inf, begin
        for node in range(begin, end):
            bound = logits[level, numbers[level][node]] + masses[level][node]
            if bound > best:
                best, at = bound, node
        total += logits[level, numbers[level][at]]
        begin, end = firsts[level][at], firsts[level][at + 1]
    best = -np.inf
    for k in range(begin, end):
        best = max(best, _leaf_logit(entries, k, logits) + masses[3][k])
    return total + best


@kernel()
def _walk(tree, masses, logits, top, cut, most, for_plus, for_minus, shares, respond):
    """Weights relative to 2^top of the patterns with centre +1 and -1, and the top that they are relative to.

    With ``respond`` the weights times ``for_plus`` or ``for_minus`` are added to the ``shares`` of their rows.
    """
    order, numbers, firsts, entries, _ = tree
    size = order.size
    center, mask = 1 << (size // 2), (1 << size) - 1
    plus, minus = 0.0, 0.0
    seen = 0
    for a in range(numbers[0].size):
        first = logits[0, numbers[0][a]]
        if first + masses[0][a] < top - cut:
            continue
        positive = (numbers[0][a] & center) != 0
        gain = for_plus if positive else for_minus
        for b in range(firsts[0][a], firsts[0][a + 1]):
            second = first + logits[1, numbers[1][b]]
            if second + masses[1][b] < top - cut:
                continue
            for c in range(firsts[1][b], firsts[1][b + 1]):
                third = second + logits[2, numbers[2][c]]
                if third + masses[2][c] < top - cut:
                    continue
                seen += firsts[2][c + 1] - firsts[2][c]
                if seen > most:
                    return top, np.nan, np.nan
                for k in range(firsts[2][c], firsts[2][c + 1]):
                    logit = third + _leaf_logit(entries, k, logits) + masses[3][k]
                    if logit < top - cut:
                        continue
                    if logit > top:
                        fade = exp2(top - logit)
                        plus *= fade
                        minus *= fade
                        top = logit
                    weight = exp2(logit - top)
                    if positive:
                        plus += weight
                    else:
                        minus += weight
                    if respond:
                        share = weight * gain
                        shares[0, numbers[0][a]] += share
                        shares[1, numbers[1][b]] += share
                        shares[2, numbers[2][c]] += share
                        if size > 3:
                            for p in range(len(entries)):
                                entry = np.int64(entries[p][k])
                                shares[3 + 2 * p, entry >> size] += share
                                shares[4 + 2 * p, entry & mask] += share
    return top, plus, minus
