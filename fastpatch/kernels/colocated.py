"""The posterior over the patches of N images at the same place, for every place at once.

The logit of image a at site i is a sum over the patch around i of ``gain x_j X_aj - penalty X_aj^2``: a box sum, whose
cost does not grow with the patch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arguments import Crew
from .cpu.colocated import fold_images, respond_to_images
from .pool import share

__all__ = ["posterior_mean", "response"]

# Images of one task, each with sums of its own, merged in order: results do not depend on the threads.
_IMAGES = 1024
_SECONDS_A_PIXEL = 5e-9


def posterior_mean(
    x: NDArray[np.float64], images: NDArray[np.float32], size: int, slope: float, alpha: float, periodic: bool
) -> NDArray[np.float64]:
    """m (L1, L2) for a field x and images (N, L1, L2); ``slope`` is alpha / sigma^2."""
    _, total, weighted = _softmax(x, images, size, slope, alpha, periodic)
    return weighted / total


def response(
    x: NDArray[np.float64], images: NDArray[np.float32], size: int, slope: float, alpha: float, periodic: bool
) -> NDArray[np.float64]:
    """R (P P, L1, L2) with ``dm_i/dx_{i+u} = alpha/sigma^2 R_u(i)``; zero where i + u is outside and not wrapped."""
    top, total, weighted = _softmax(x, images, size, slope, alpha, periodic)
    mean, constants = weighted / total, _constants(slope, alpha)
    tasks = -(-len(images) // _IMAGES)
    parts = np.zeros((tasks, size * size, *x.shape))

    def some(crew: Crew) -> None:
        for task in range(crew.worker, tasks, crew.workers):
            chunk = images[task * _IMAGES : (task + 1) * _IMAGES]
            respond_to_images(x, chunk, size, *constants, periodic, top, total, mean, parts[task])

    share(some, most=tasks, seconds=size * size * 1e-9 * images.size)
    return np.asarray(parts.sum(axis=0))


def _constants(slope: float, alpha: float) -> tuple[float, float]:
    """Gain and penalty in units of log 2."""
    return slope / np.log(2.0), 0.5 * alpha * slope / np.log(2.0)


def _softmax(
    x: NDArray[np.float64], images: NDArray[np.float32], size: int, slope: float, alpha: float, periodic: bool
) -> tuple[NDArray[np.float64], ...]:
    """Top logit, total weight and weighted sum of the pixels of images, (L1, L2) each."""
    constants = _constants(slope, alpha)
    tasks = -(-len(images) // _IMAGES)
    tops = np.full((tasks, *x.shape), -np.inf)
    totals, sums = np.zeros_like(tops), np.zeros_like(tops)

    def some(crew: Crew) -> None:
        for task in range(crew.worker, tasks, crew.workers):
            chunk = images[task * _IMAGES : (task + 1) * _IMAGES]
            fold_images(x, chunk, size, *constants, periodic, tops[task], totals[task], sums[task])

    share(some, most=tasks, seconds=_SECONDS_A_PIXEL * images.size)
    top: Any = tops.max(axis=0)
    fade = np.exp2(tops - top)
    return top, (totals * fade).sum(axis=0), (sums * fade).sum(axis=0)
