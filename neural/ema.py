"""Moving averages of weights: a power function of training time (Karras et al., arXiv:2312.02696, Sec. 3.1, App. C)."""

import math

import numpy as np
import torch
from torch import nn

from ..errors import InvalidInputError
from ..validation import finite_float

__all__ = ["power_exponent", "power_momentum", "update_average"]


def power_exponent(sigma_rel: float) -> float:
    """The exponent gamma of the profile t^gamma whose standard deviation is ``sigma_rel`` of the training so far.

    Solves sigma_rel^2 (gamma + 2)^2 (gamma + 3) = gamma + 1 for its largest root.
    Raises `InvalidInputError` outside 0 < sigma_rel < 12^(-1/2), the width of the uniform average gamma = 0.
    """
    width = finite_float(sigma_rel, "sigma_rel")
    if not 0.0 < width < 1.0 / math.sqrt(12.0):
        raise InvalidInputError(f"sigma_rel is {width}; expected a share of the training in (0, {12.0**-0.5:.4f})")
    t = width**-2
    roots = np.roots([1.0, 7.0, 16.0 - t, 12.0 - t])
    return float(roots.real.max())


def power_momentum(gamma: float, step: int) -> float:
    """beta = (1 - 1/step)^(gamma + 1), the weight of the average so far after the step number ``step`` = 1, 2, ..."""
    return float((1.0 - 1.0 / step) ** (gamma + 1.0))


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, momentum: float) -> None:
    """average <- momentum average + (1 - momentum) net, in place, for all parameters; buffers are copied."""
    for mean, weight in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(weight, 1.0 - momentum)
    for kept, current in zip(average.buffers(), net.buffers(), strict=True):
        kept.copy_(current)
