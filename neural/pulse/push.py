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

    def add(self, rows: Sequence[int], moved: Tensor, difference: Tensor, width: float) -> None:
        """Count displacements and D - D_u, (len(rows), C, H, W), of these images."""
        for row, one in zip(rows, moved, strict=True):
            before = self._moved[row]
            self._moved[row] = one if before is None else before + one
        # In float64, so that the rounding of a transform, which memory may decide, is not felt in what is stored.
        exact = difference.double()
        parts = (exact, *(project(exact, band, self._cutoff) for band in ("low", "high")))
        squares = [_mean_squares(part) for part in parts]
        self._sums[list(rows)] += width * np.stack([*squares, np.ones(len(rows))], axis=1)

    def values(self) -> Tensor:
        """(count, 4) float32: RMS displacement, RMS of D - D_u, and the shares of its low and high band.

        Root mean squares are over channels and pixels; D - D_u is averaged, in the square, over the evaluations. The
        shares are of its square, and add up to one. All are 0 for an image that no guide has seen.
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


def random_direction(like: Tensor, seed: int, level: int) -> Tensor:
    r"""Noise with the power spectrum of ``like`` (C, H, W), shell by shell and channel by channel.

    White noise would be another dose of every wavelength. Shell n holds the wave vectors
    :math:`2\pi (m_y / H, m_x / W)` with :math:`n - 1 < |m| \le n`, so that the bands of `project` with a whole cutoff
    keep their shares. The white noise that is scaled depends on the trial's seed and the level alone, and not on what
    drew the trial's start.
    """
    target = like.detach().cpu().double().numpy()
    white = np.random.default_rng([seed, level, 1]).standard_normal(target.shape)
    rows, columns = (np.fft.fftfreq(side, 1.0 / side) for side in target.shape[-2:])
    shell = np.ceil(np.hypot(rows[:, None], columns)).astype(np.int64)
    modes = np.fft.fft2(white)
    for wanted, drawn in zip(np.fft.fft2(target), modes, strict=True):
        powers = (np.bincount(shell.ravel(), (np.abs(one) ** 2).ravel()) for one in (wanted, drawn))
        drawn *= np.sqrt(np.divide(*powers))[shell]
    return torch.from_numpy(np.fft.ifft2(modes).real).to(like)
