"""Large dictionaries and large patterns: blocked matrix products with a streaming softmax.

The logits of a block of patterns at a block of neighbourhoods are one matrix product; the softmax over patterns
is kept as a running maximum and sums relative to it, so that memory does not grow with the number of patterns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from . import cpu
from .arguments import Law
from .plan import PatchPlan

__all__ = ["posterior_mean", "suits", "window_response"]

# A block of logits fits the second-level cache.
_SITES = 512
_UNITS = 128

# The tile kernels win while patterns share their rows: a distinct row costs them P multiplications a site. And their
# scratch space grows with the units, by 28 kB in float64.
_MOST_ROWS = 256
_MOST_UNITS = 2048
_NARROWEST_TILE = 16


def suits(plan: PatchPlan) -> bool:
    """Whether these kernels, rather than the tiles of `cpu`, should work for a dictionary."""
    units, size, _ = plan.patterns.shape
    return bool(len(plan.rows) > _MOST_ROWS or units > _MOST_UNITS or cpu.tile_columns(size) < _NARROWEST_TILE)


def posterior_mean(plan: PatchPlan, law: Law, x: NDArray[Any]) -> NDArray[Any]:
    """m (B, L1, L2) of eq. 38 for x (B, L1, L2), in its precision; ``law`` as `cpu.evaluate`."""
    mean = np.empty_like(x)
    units = _Units(plan, law, x.dtype)
    for field, out in zip(x, mean, strict=True):
        for rows, columns, windows in _neighbourhoods(field, plan.patterns.shape[-1]):
            _, total, weighted = units.softmax(windows)
            out[rows, columns] = (weighted / total).reshape(out[rows, columns].shape)
    return mean


def window_response(plan: PatchPlan, law: Law, x: NDArray[Any]) -> NDArray[Any]:
    """R (B, P * P, L1, L2) with ``dm_i/dx_{i+u} = alpha/sigma^2 R_u(i)``, u in row-major order."""
    size = plan.patterns.shape[-1]
    response = np.empty((len(x), size * size, *x.shape[1:]), dtype=x.dtype)
    units = _Units(plan, law, x.dtype)
    for field, out in zip(x, response, strict=True):
        for rows, columns, windows in _neighbourhoods(field, size):
            out[:, rows, columns] = units.response(windows).reshape(out[:, rows, columns].shape)
    return response


class _Units:
    """The units of a plan as blocks of matrices, with their constants of one time."""

    def __init__(self, plan: PatchPlan, law: Law, dtype: np.dtype[Any]) -> None:
        self._slope, exponents, factors = law.slope, law.exponents, law.factors
        patterns, centers = plan.patterns.reshape(len(plan.patterns), -1).astype(dtype), plan.centers.astype(dtype)
        self._blocks = []
        for first in range(0, len(patterns), _UNITS):
            block, pairs = slice(first, first + _UNITS), min(max(plan.n_pairs - first, 0), _UNITS)
            self._blocks.append((patterns[block], (exponents[block], factors[block], centers[block], pairs)))

    def softmax(self, windows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Top logit, total weight and weighted sum of centre pixels of neighbourhoods (P * P, sites)."""
        scaled = self._slope * windows
        top = np.full(windows.shape[1], np.finfo(windows.dtype).min, dtype=windows.dtype)
        raised = np.empty_like(top)
        weighted, total = np.zeros_like(top), np.zeros_like(top)
        for patterns, constants in self._blocks:
            cpu.fold_block(patterns @ scaled, *constants, top, raised, weighted, total)
        return top, total, weighted

    def response(self, windows: NDArray[Any]) -> NDArray[Any]:
        """R (P * P, sites) of `window_response` for neighbourhoods (P * P, sites)."""
        top, total, weighted = self.softmax(windows)
        scaled, mean = self._slope * windows, weighted / total
        gathered = np.zeros_like(windows)
        for patterns, constants in self._blocks:
            weights = patterns @ scaled
            cpu.respond_block(weights, *constants, top, total, mean)
            gathered += patterns.T @ weights
        return gathered


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
