"""The softmax over the codes of a site, for `fastpatch.kernels.site_codes`."""

import numpy as np

from ..jit import entry, kernel
from .exponentials import exp2

__all__ = ["fold_codes", "respond_to_codes"]

# Bits of a code that are looked up at once: the tables of a 5 x 5 patch are 12 KB.
_BITS = 9


@kernel()
def _tabulate(window, gain, tables):
    """For each word of a code, the sum of +-gain x over its bits."""
    pixels = len(window)
    for word in range(len(tables)):
        first = word * _BITS
        bits = min(_BITS, pixels - first)
        total = 0.0
        for bit in range(bits):
            total -= gain * window[first + bit]
        tables[word, 0] = total
        for bit in range(bits):
            step = 2.0 * gain * window[first + bit]
            for value in range(1 << bit):
                tables[word, value + (1 << bit)] = tables[word, value] + step


@kernel()
def _weigh(codes, log2_counts, tables, weights):
    """Weights of a site's codes relative to the largest, and their sum."""
    top = -np.inf
    for k in range(len(codes)):
        code, logit = np.int64(codes[k]), log2_counts[k]
        for word in range(len(tables)):
            logit += tables[word, code & ((1 << _BITS) - 1)]
            code >>= _BITS
        weights[k] = logit
        top = max(top, logit)
    # A loop of its own, which is vectorised; the sum is taken in order.
    for k in range(len(codes)):
        weights[k] = exp2(max(weights[k] - top, -1e4))
    total = 0.0
    for k in range(len(codes)):
        total += weights[k]
    return total


@kernel()
def _mean(codes, weights, total, centre):
    plus = 0.0
    for k in range(len(codes)):
        plus += weights[k] * np.float64((np.int64(codes[k]) >> centre) & 1)
    return 2.0 * plus / total - 1.0


@kernel()
def _most_codes(starts):
    most = 0
    for site in range(len(starts) - 1):
        most = max(most, starts[site + 1] - starts[site])
    return most


@entry()
def fold_codes(crew, windows, gain, codes, log2_counts, starts, out):
    """The posterior mean of the centre pixel at every site."""
    sites, pixels = windows.shape
    tables = np.empty(((pixels + _BITS - 1) // _BITS, 1 << _BITS))
    weights = np.empty(_most_codes(starts))
    for site in range(crew.worker, sites, crew.workers):
        here = codes[starts[site] : starts[site + 1]]
        _tabulate(windows[site], gain, tables)
        total = _weigh(here, log2_counts[starts[site] : starts[site + 1]], tables, weights)
        out[site] = _mean(here, weights, total, pixels // 2)


@entry()
def respond_to_codes(crew, windows, gain, codes, log2_counts, starts, out):
    """Covariance of the centre pixel with every pixel of the patch, at every site."""
    sites, pixels = windows.shape
    words = (pixels + _BITS - 1) // _BITS
    tables, shares = np.empty((words, 1 << _BITS)), np.empty((words, 1 << _BITS))
    weights = np.empty(_most_codes(starts))
    for site in range(crew.worker, sites, crew.workers):
        here = codes[starts[site] : starts[site + 1]]
        _tabulate(windows[site], gain, tables)
        total = _weigh(here, log2_counts[starts[site] : starts[site + 1]], tables, weights)
        mean = _mean(here, weights, total, pixels // 2)
        shares[:] = 0.0
        for k in range(len(here)):
            code = np.int64(here[k])
            sign = 2.0 * np.float64((code >> (pixels // 2)) & 1) - 1.0
            share = weights[k] / total * (sign - mean)
            for word in range(words):
                shares[word, code & ((1 << _BITS) - 1)] += share
                code >>= _BITS
        for pixel in range(pixels):
            # The shares add up to zero, so that those of -1 are minus those of +1.
            word, bit, plus = pixel // _BITS, pixel % _BITS, 0.0
            for value in range(1 << _BITS):
                if (value >> bit) & 1:
                    plus += shares[word, value]
            out[pixel, site] = 2.0 * plus
