"""The posterior of one site by a bounded depth-first search, in the logarithm, where few patterns hold weight.

With logits relative to those of the likeliest rows no row adds to a logit, so that the logit of a path plus the
logarithm of all prior below it bounds the weight below it from above. Subtrees of less than 2^-cut times the heaviest
pattern found before are left out, at most as many as there are patterns.
"""

import numpy as np

from ..cpu.exponentials import exp2
from ..jit import kernel

__all__ = ["search"]

# Paths that are followed at a time to find a heavy pattern.
_BEAM = 24


@kernel()
def search(tree, masses, window, slope, cut, most, logits, shares, response, respond):
    """Posterior mean at a neighbourhood (P P,), rows in the tree's order; NaN after ``most`` nodes and leaves.

    ``masses``: log2 of the prior below the nodes of each level, and of each leaf. ``logits`` and ``shares``
    (P, 2^P) are working space. With ``respond``, ``response`` (P P,) becomes that of `response.respond`.
    """
    size = tree[0].size
    _fill_logits(window, slope, logits)
    top = _descend(tree, masses, logits, most)
    if np.isnan(top):
        return top
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
def _descend(tree, masses, logits, most):
    """The logit of one of the heaviest patterns: that of the best path of a narrow beam, of at most ``most`` leaves.

    The better it is, the more the search leaves out. NaN where the beam's first node has more leaves: since none has a
    higher bound, the search would come to it and give up.
    """
    _, numbers, firsts, entries, _ = tree
    nodes, totals = np.zeros((2, _BEAM), dtype=np.int64), np.empty((2, _BEAM))
    bounds = np.empty(_BEAM)
    count = 1
    totals[0, 0] = 0.0
    for level in range(3):
        kept = 0
        for n in range(count):
            begin, end = 0, numbers[0].size
            if level > 0:
                begin, end = firsts[level - 1][nodes[0, n]], firsts[level - 1][nodes[0, n] + 1]
            for node in range(begin, end):
                total = totals[0, n] + logits[level, numbers[level][node]]
                bound = total + masses[level][node]
                if kept == _BEAM and bound <= bounds[_BEAM - 1]:
                    continue
                at = min(kept, _BEAM - 1)
                while at > 0 and bounds[at - 1] < bound:
                    bounds[at], totals[1, at], nodes[1, at] = bounds[at - 1], totals[1, at - 1], nodes[1, at - 1]
                    at -= 1
                bounds[at], totals[1, at], nodes[1, at] = bound, total, node
                kept = min(kept + 1, _BEAM)
        count = kept
        for n in range(count):
            totals[0, n], nodes[0, n] = totals[1, n], nodes[1, n]
    best = -np.inf
    for n in range(count):
        begin, end = firsts[2][nodes[0, n]], firsts[2][nodes[0, n] + 1]
        most -= end - begin
        if most < 0:
            return best if n > 0 else np.nan
        for k in range(begin, end):
            best = max(best, totals[0, n] + _leaf_logit(entries, k, logits) + masses[3][k])
    return best


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
            seen += firsts[1][b + 1] - firsts[1][b]
            if seen > most:
                return top, np.nan, np.nan
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
