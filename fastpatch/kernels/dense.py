"""Large dictionaries and large patterns: blocked matrix products with a streaming softmax.

The dot products of a block of patterns with a block of neighbourhoods are one matrix product; the softmax over patterns
is kept as a running maximum and sums relative to it, so that memory does not grow with the number of patterns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from . import cpu
from .plan import PatchPlan

__all__ = ["posterior_mean", "suits", "window_response"]

# A block of dot products fits the second-level cache.
_SITES = 512
_UNITS = 128

# The scratch space of the tile kernels grows with the units; beyond these it leaves the second-level cache.
_FEWEST_UNITS = 65
_NARROWEST_TILE = 16


def suits(plan: PatchPlan) -> bool:
    """Whether these kernels, rather than the tiles of `cpu`, should work for a dictionary."""
    units, size, _ = plan.patterns.shape
    return bool(units >= _FEWEST_UNITS or cpu.tile_columns(size) < _NARROWEST_TILE)


def posterior_mean(plan: PatchPlan, slope: Any, bias: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """m (B, L1, L2) of eq. 38 for x (B, L1, L2), in its precision; ``slope`` and ``bias`` as `cpu.evaluate`."""
    mean = np.empty_like(x)
    patterns, centers = _operands(plan, x.dtype)
    for field, out in zip(x, mean, strict=True):
        for rows, columns, windows in _neighbourhoods(field, plan.patterns.shape[-1]):
            _, total, weighted = _softmax(plan, patterns, centers, slope, bias, windows)
            out[rows, columns] = (weighted / total).reshape(out[rows, columns].shape)
    return mean


def window_response(plan: PatchPlan, slope: Any, bias: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """R (B, P * P, L1, L2) with ``dm_i/dx_{i+u} = alpha/sigma^2 R_u(i)``, u in row-major order."""
    size = plan.patterns.shape[-1]
    response = np.empty((len(x), size * size, *x.shape[1:]), dtype=x.dtype)
    patterns, centers = _operands(plan, x.dtype)
    for field, out in zip(x, response, strict=True):
        for rows, columns, windows in _neighbourhoods(field, size):
            top, total, weighted = _softmax(plan, patterns, centers, slope, bias, windows)
            mean = weighted / total
            gathered = np.zeros((size * size, windows.shape[1]), dtype=x.dtype)
            for units, pairs in _unit_blocks(plan):
                weights = patterns[units] @ windows
                cpu.respond_block(weights, slope, bias[units], centers[units], pairs, top, total, mean)
                gathered += patterns[units].T @ weights
            out[:, rows, columns] = gathered.reshape(out[:, rows, columns].shape)
    return response


def _operands(plan: PatchPlan, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    flat = plan.patterns.reshape(len(plan.patterns), -1).astype(dtype)
    return flat, plan.centers.astype(dtype)


def _softmax(
    plan: PatchPlan,
    patterns: NDArray[Any],
    centers: NDArray[Any],
    slope: Any,
    bias: NDArray[Any],
    windows: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Top logit, total weight and weighted sum of centre pixels at every site."""
    sites = windows.shape[1]
    top = np.full(sites, np.finfo(windows.dtype).min, dtype=windows.dtype)
    raised = np.empty_like(top)
    weighted, total = np.zeros_like(top), np.zeros_like(top)
    for units, pairs in _unit_blocks(plan):
        products = patterns[units] @ windows
        cpu.fold_block(products, slope, bias[units], centers[units], pairs, top, raised, weighted, total)
    return top, total, weighted


def _unit_blocks(plan: PatchPlan) -> Iterator[tuple[slice, int]]:
    """Slices of units, each with the number of pairs in it."""
    for first in range(0, len(plan.patterns), _UNITS):
        yield slice(first, first + _UNITS), min(max(plan.n_pairs - first, 0), _UNITS)


def _neighbourhoods(field: NDArray[Any], size: int) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
    """Blocks of sites, as rows and columns, with their neighbourhoods (P * P, sites)."""
    padded = np.pad(field, size // 2, mode="wrap")
    windows = sliding_window_view(padded, (size, size))
    height, width = field.shape
    wide = min(width, _SITES)
    tall = max(1, _SITES // wide)
    for i in range(0, height, tall):
        for j in range(0, width, wide):
            rows, columns = slice(i, i + tall), slice(j, j + wide)
            block = windows[rows, columns]
            yield rows, columns, np.ascontiguousarray(block.transpose(2, 3, 0, 1)).reshape(size * size, -1)
