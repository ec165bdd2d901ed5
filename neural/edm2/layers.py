"""Magnitude-preserving building blocks of EDM2 (Karras et al., arXiv:2312.02696, Sec. 2 and App. B).

Each keeps the expected magnitude of its activations at one without a data-dependent normalisation: weights have unit
norm, sums and concatenations are rescaled, and SiLU is divided by its gain on normal input. All are functions of
plain tensors without side effects in evaluation mode, hence differentiable by ``torch.func.jvp`` under ``vmap``.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["MPConv", "MPFourier", "mp_cat", "mp_silu", "mp_sum", "normalize", "resample"]

Resampling = Literal["keep", "down", "up"]

_EPSILON = 1e-4
_SILU_GAIN = 0.596  # root mean square of SiLU on normal input


def normalize(x: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    """x over the root mean square of its entries along ``dims``, by default all but the first.

    Its norm is taken in float32 (float64 where x is); the result has x's dtype.
    """
    return x * _inverse_magnitude(x, dims).to(x.dtype)


def _inverse_magnitude(x: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    along = tuple(range(1, x.ndim)) if dims is None else dims
    count = math.prod(x.shape[axis] for axis in along)
    wide = x if x.dtype == torch.float64 else x.float()
    norm: Tensor = torch.linalg.vector_norm(wide, dim=along, keepdim=True)
    return (_EPSILON + norm / math.sqrt(count)).reciprocal()


def mp_silu(x: Tensor) -> Tensor:
    """SiLU of unit gain on normal input (Eq. 81 there)."""
    return nn.functional.silu(x) * (1.0 / _SILU_GAIN)


def mp_sum(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The interpolation (1 - t) a + t b at the magnitude of uncorrelated unit a and b (Eq. 88 there)."""
    scale = math.hypot(1.0 - t, t)
    return torch.add(a * ((1.0 - t) / scale), b, alpha=t / scale)


def mp_cat(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Channels of a and b, (B, C, H, W) each, with a share t of the squared magnitude from b (Eq. 103 there)."""
    n_a, n_b = a.shape[1], b.shape[1]
    scale = math.sqrt((n_a + n_b) / ((1.0 - t) ** 2 + t**2))
    return torch.cat([a * (scale * (1.0 - t) / math.sqrt(n_a)), b * (scale * t / math.sqrt(n_b))], dim=1)


def resample(x: Tensor, mode: Resampling) -> Tensor:
    """x (B, C, H, W) as it is, averaged over 2x2 blocks, or with each pixel repeated 2x2 times."""
    if mode == "down":
        return nn.functional.avg_pool2d(x, 2)
    if mode == "up":
        return nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    return x


class MPConv(nn.Module):
    """A convolution ("same" zero padding), or a linear map where ``kernel`` is 0, with weights of unit norm.

    The map is normalize(weight) gain / sqrt(fan-in), computed in the dtype of x. In training mode the stored weight
    itself is normalised first, so that the effective learning rate cannot drift (Sec. 2.3 there). No bias.
    """

    def __init__(self, width_in: int, width_out: int, kernel: int = 0) -> None:
        super().__init__()
        shape = (width_out, width_in, kernel, kernel) if kernel else (width_out, width_in)
        self.weight = nn.Parameter(torch.randn(shape))

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.weight.copy_(normalize(self.weight))
        stored = self.weight if self.weight.dtype == torch.float64 else self.weight.float()
        # One factor a row, so that the weights themselves are read and written once.
        scale = _inverse_magnitude(stored) * (gain / math.sqrt(math.prod(stored.shape[1:])))
        weight = (stored * scale).to(x.dtype)
        if weight.ndim == 2:
            return nn.functional.linear(x, weight)
        return nn.functional.conv2d(x, weight, padding=weight.shape[-1] // 2)


class MPFourier(nn.Module):
    """Random Fourier features sqrt(2) cos(x freqs + phases) of numbers x: (B,) -> (B, width) (Eq. 75 there)."""

    freqs: Tensor
    phases: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("freqs", 2.0 * math.pi * torch.randn(width))
        self.register_buffer("phases", 2.0 * math.pi * torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        return math.sqrt(2.0) * torch.cos(x[:, None] * self.freqs.to(x) + self.phases.to(x))
