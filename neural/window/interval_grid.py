r"""Samples guided in every interval of noise levels at once, sharing all that the runs have in common.

With N levels there are N (N + 1)/2 intervals i ≤ j of consecutive ones. A run guided in levels i … j is the unguided
run up to i and afterwards leaves the run guided from i on at j + 1, so that at each level only one state per start,
weight and finished interval is evaluated.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..denoiser import Denoiser
from ..guidance import Guide, guide_estimate

__all__ = ["IntervalSamples", "interval_samples"]


@dataclass(frozen=True, eq=False)
class IntervalSamples:
    """``unguided`` (B, C, H, W), and ``guided`` by (weight, i, j), images of the same noise and labels.

    ``evaluations`` counts images times calls of either network.
    """

    unguided: Tensor
    guided: dict[tuple[int, int, int], Tensor]
    evaluations: int


@torch.no_grad()
def interval_samples(
    net: Denoiser,
    guide: Guide,
    noise: Tensor,
    labels: Tensor | None,
    sigmas: NDArray[np.float64],
    weights: tuple[float, ...],
    batch: int = 32,
) -> IntervalSamples:
    """Euler's method along ``sigmas`` (N + 1,), whose last is 0, guided with each weight in each interval of levels.

    Each result is that of `sample` with ``solver="euler"`` and a guidance of this weight at levels i to j, up to
    rounding. Nothing is checked.
    """
    count = 0

    def stepped(x: Tensor, denoised: Tensor, level: int) -> Tensor:
        sigma, following = float(sigmas[level]), float(sigmas[level + 1])
        return x + (following - sigma) * (x - denoised) / sigma

    def evaluated(states: list[Tensor], level: int, *, free: bool) -> list[Tensor]:
        """D, or D_u, of many states of the same images, in batches across them."""
        nonlocal count
        if not states:
            return []
        flat = torch.cat(states)
        rows = None if labels is None else labels.repeat(len(states))
        sigma = float(sigmas[level])
        count += len(flat)
        parts = [
            guide_estimate(net, guide, x, sigma, y) if free else net(x, sigma, y)
            for x, y in zip(
                torch.split(flat, batch),
                [None] * len(flat) if rows is None else torch.split(rows, batch),
                strict=rows is not None,
            )
        ]
        return list(torch.cat(parts).chunk(len(states)))

    plain = float(sigmas[0]) * noise
    following: dict[tuple[int, int], Tensor] = {}  # guided from level i on, by (weight, i)
    finished: dict[tuple[int, int, int], Tensor] = {}  # guided in i … j and no longer, by (weight, i, j)
    for level in range(len(sigmas) - 1):
        # Starting here, a run is still the unguided one: its two estimates serve all weights.
        open_keys, closed_keys = list(following), list(finished)
        states = [plain, *(following[key] for key in open_keys)]
        with_label = evaluated([*states, *(finished[key] for key in closed_keys)], level, free=False)
        without = evaluated(states, level, free=True)
        for key, denoised in zip(closed_keys, with_label[len(states) :], strict=True):
            finished[key] = stepped(finished[key], denoised, level)
        for (weight, start), x, denoised, free in zip(
            open_keys, states[1:], with_label[1 : len(states)], without[1:], strict=True
        ):
            if start < level:
                finished[weight, start, level - 1] = stepped(x, denoised, level)
            following[weight, start] = stepped(x, denoised + weights[weight] * (denoised - free), level)
        for weight, value in enumerate(weights):
            guided = with_label[0] + value * (with_label[0] - without[0])
            following[weight, level] = stepped(plain, guided, level)
        plain = stepped(plain, with_label[0], level)
    last = len(sigmas) - 2
    finished |= {(weight, start, last): x for (weight, start), x in following.items()}
    return IntervalSamples(plain, finished, count)
