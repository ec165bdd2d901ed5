"""What guidance does to an image before the flow responds to it: its displacement, and the size of D - D_u."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..guidance import project

__all__ = ["PUSHES", "Pushes", "kicked", "random_direction"]

# What `Pushes.values` holds, in its order.
PUSHES = ("displacement", "difference", "low_share", "high_share")


class Pushes:
    r"""Sums over the evaluations of guided images: what moved them, and how large D - D_u was.

    The displacement is :math:`\sum w\,P(D - D_u)\,\delta\sigma/\sigma` with the sampler's own weights, the shift of x
    that guidance alone makes, without the flow's response to it. See `dose`, which is the same for D - D_u = 1.
    """

    def __init__(self, count: int, cutoff: float) -> None:
        self._cutoff = cutoff
        self._moved: list[Tensor | None] = [None] * count
        # Of each image: squares of D - D_u and of its two bands, times the width of the evaluation, and that width.
        self._sums = np.zeros((count, 4))

    def add(self, rows: Sequence[int], moved: Tensor, difference: Tensor | None, width: float) -> None:
        """Count displacements and D - D_u (None where no guide was asked), (len(rows), C, H, W), of these images."""
        for row, one in zip(rows, moved, strict=True):
            before = self._moved[row]
            self._moved[row] = one if before is None else before + one
        if difference is None:
            return
        # In float64, so that the rounding of a transform, which memory may decide, is not felt in what is stored.
        exact = difference.double()
        parts = (exact, *(project(exact, band, self._cutoff) for band in ("low", "high")))
        squares = [_mean_squares(part) for part in parts]
        self._sums[list(rows)] += width * np.stack([*squares, np.ones(len(rows))], axis=1)

    def values(self) -> Tensor:
        """(count, 4) float32: RMS displacement, RMS of D - D_u, and the shares of its low and high band.

        Root mean squares are over channels and pixels; D - D_u is averaged, in the square, over the evaluations. The
        shares are of its square, and add up to one. All are 0 for an image that no guide has seen, but for the
        displacement of a random kick.
        """
        moved = [0.0 if one is None else float(np.sqrt(_mean_squares(one[None])[0])) for one in self._moved]
        square, low, high, width = self._sums.T
        mean = np.divide(square, width, out=np.zeros_like(square), where=width > 0.0)
        shares = [np.divide(part, square, out=np.zeros_like(part), where=square > 0.0) for part in (low, high)]
        return torch.from_numpy(np.stack([moved, np.sqrt(mean), *shares], axis=1).astype(np.float32))


def kicked(direction: Tensor, sizes: Sequence[float]) -> Tensor:
    """``direction`` (B, C, H, W) scaled to the root mean squares ``sizes``; 0 stays 0."""
    rms = np.sqrt(_mean_squares(direction))
    scale = torch.from_numpy(np.asarray(sizes) / np.where(rms > 0.0, rms, 1.0))
    return direction * scale[:, None, None, None].to(direction)


def _mean_squares(images: Tensor) -> NDArray[np.float64]:
    """Of each of the images (B, C, H, W), summed in an order that neither threads nor memory decide."""
    values = np.ascontiguousarray(images.detach().cpu().numpy(), dtype=np.float64).reshape(len(images), -1)
    return np.asarray(np.square(values).mean(axis=1))


def random_direction(shape: tuple[int, ...], seed: int, level: int) -> Tensor:
    """White noise that depends on the trial's seed and the level alone, and not on what drew the trial's start."""
    return torch.from_numpy(np.random.default_rng([seed, level, 1]).standard_normal(shape))
