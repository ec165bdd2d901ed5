"""A range of sites by the tree: in blocks, and singly by search where the precision's range does not suffice."""

import numpy as np

from ..cpu.intrinsics import restore_control, subnormals_as_zero
from ..jit import entry, kernel
from .leaves import BLOCK
from .posterior import contract
from .response import respond
from .search import search
from .tables import fill_pair_tables, fill_row_tables, gather_windows

__all__ = ["evaluate", "search_sites"]


@entry()
def evaluate(x, sites, begin, end, slope, tree, pairs, space, least, mean, response):
    """Posterior means, and the response of the tree's first three rows where it is wanted, of fields x (B, H, W).

    Of the sites ``sites[begin:end]``, which are numbered through the batch. ``mean`` is flat, ``response``
    (B, P P, H W) flat, or empty if not wanted. ``slope`` is alpha / sigma^2 in units of log 2. A site whose total
    weight is below ``least`` relative to the likeliest signs, so that patterns may have been lost to underflow, gets
    the mean NaN; what is lost elsewhere to subnormal numbers, which count as zero, is less than rounding.
    ``pairs`` and ``space`` are working space (`driver`). Nothing depends on which sites share a block.
    """
    windows, rows, lanes, sums, shares, block_response = space
    plus, minus, up, down = lanes[0], lanes[1], lanes[2], lanes[3]
    area = x.shape[1] * x.shape[2]
    control = subnormals_as_zero()
    for first in range(begin, end, BLOCK):
        last = min(first + BLOCK, end)
        gather_windows(x, sites, first, last, tree[0], windows)
        fill_row_tables(windows, slope, rows, up, down)
        fill_pair_tables(rows, pairs)
        contract(tree, rows, pairs, response.size > 0, sums, lanes[4:6], plus, minus)
        for lane in range(last - first):
            total = plus[lane] + minus[lane]
            mean[sites[first + lane]] = (plus[lane] - minus[lane]) / total if total >= least else np.nan
        if response.size > 0:
            respond(tree, rows, sums, plus, minus, lanes[4:7], shares, block_response)
            for lane in range(last - first):
                _place(tree[0], 3, block_response[:, lane], sites[first + lane], area, response)
    restore_control(control)


@entry()
def search_sites(x, sites, begin, end, slope, tree, masses, cut, most, windows, logits, shares, mean, response):
    """`evaluate` by `search`, in float64; means are NaN where it gives up."""
    area = x.shape[1] * x.shape[2]
    size = tree[0].size
    wanted = response.size > 0
    one = np.empty(size * size)
    values = np.empty(size * size)
    for n in range(begin, end):
        gather_windows(x, sites, n, n + 1, tree[0], windows)
        for u in range(size * size):
            one[u] = windows[u, 0]
        mean[sites[n]] = search(tree, masses, one, slope, cut, most, logits, shares, values, wanted)
        if wanted:
            _place(tree[0], size, values, sites[n], area, response)


@kernel()
def _place(order, count, values, site, area, response):
    """A site's response to the first ``count`` rows of an order, in the places of the pixels in row-major order."""
    size = order.size
    start = site // area * size * size * area + site % area
    for r in range(count):
        for v in range(size):
            response[start + (order[r] * size + v) * area] = values[r * size + v]
