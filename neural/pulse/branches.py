"""Runs that leave an unguided one where their pulses begin, many different ones in a batch."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..batching import in_batches
from ..denoiser import Denoiser
from ..devices import evaluating
from ..guidance import LOW_SHELLS, Guide, guide_estimate, project
from ..sampler import heun
from .push import Pushes, kicked, random_direction
from .treatment import Treatment

__all__ = ["BranchDenoiser", "Start", "run_branches"]


class Start(NamedTuple):
    """A branch: its class, its treatment, its row among the unguided runs, and the seed of a random direction."""

    class_label: int
    treatment: Treatment
    row: int
    seed: int = 0


class BranchDenoiser:
    """D_cfg of images that are each guided at their own levels, with their own weight and band.

    Called with the first rows of the batch for which it was made, on the grid's own noise levels. ``evaluations`` and
    ``guide_evaluations`` count images; ``pushes`` are what guidance has done to each so far. ``step`` is the number of
    the sampler's step under way, and set by the caller.
    """

    def __init__(
        self,
        net: Denoiser,
        guide: Guide,
        branches: Sequence[Start],
        grid: NDArray[np.float64],
        device: torch.device,
        cutoff: float = LOW_SHELLS,
    ) -> None:
        self._net, self._guide, self._cutoff, self._device = net, guide, cutoff, device
        self._level = {float(sigma): level for level, sigma in enumerate(grid)}
        self._given = [branch.treatment for branch in branches]
        self._labels = torch.tensor([branch.class_label for branch in branches], dtype=torch.int64, device=device)
        self.evaluations = self.guide_evaluations = self.step = 0
        self._grid, self.pushes = grid, Pushes(len(branches), cutoff)

    def kick(self, x: Tensor, rows: list[int], sigma: float, seeds: Sequence[int]) -> Tensor:
        """The images ``rows`` of ``x``, which are at ``sigma``, after the kicks that are their treatments."""
        chosen = [(row, seed) for row, seed in zip(rows, seeds, strict=True) if self._given[row].kind != "guidance"]
        if not chosen:
            return x
        numbers = [row for row, _ in chosen]
        given = [self._given[row] for row in numbers]
        at = torch.tensor(numbers, device=self._device)
        labels = self._labels[at]
        self.evaluations += len(chosen)
        self.guide_evaluations += len(chosen)
        difference = self._net(x[at], sigma, labels) - guide_estimate(self._net, self._guide, x[at], sigma, labels)
        directions = torch.stack([project(d, one.band, self._cutoff) for d, one in zip(difference, given, strict=True)])
        for place, (one, (_, seed)) in enumerate(zip(given, chosen, strict=True)):
            if one.kind == "random kick":
                directions[place] = random_direction(directions[place], seed, one.start)
        moved = kicked(directions, [one.weight for one in given])
        self.pushes.add(numbers, moved, difference, 1.0)
        return x.index_add(0, at, moved)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        labels = self._labels[: len(x)]
        self.evaluations += len(x)
        denoised: Tensor = self._net(x, sigma, labels)
        level = self._level[sigma]
        rows = [
            row
            for row, one in enumerate(self._given[: len(x)])
            if one.kind == "guidance" and one.start <= level < one.stop
        ]
        if not rows:
            return denoised
        self.guide_evaluations += len(rows)
        given = [self._given[row] for row in rows]
        at = torch.tensor(rows, device=self._device)
        direction = denoised[at] - guide_estimate(self._net, self._guide, x[at], sigma, labels[at])
        difference = direction.clone()
        for band in {one.band for one in given} - {"all"}:
            limited = [place for place, one in enumerate(given) if one.band == band]
            direction[limited] = project(direction[limited], band, self._cutoff)
        weight = torch.tensor([one.weight for one in given], dtype=x.dtype, device=self._device)
        pushed = weight[:, None, None, None] * direction
        # Half of the step for each of Heun's two slopes, all of it for Euler's at the end, see `dose`.
        width = float(self._grid[self.step] - self._grid[self.step + 1])
        share = (width if self.step == len(self._grid) - 2 else 0.5 * width) / sigma
        self.pushes.add(rows, share * pushed, difference, share)
        return denoised.index_put((at,), denoised[at] + pushed)


def run_branches(
    net: Denoiser,
    guide: Guide,
    branches: Sequence[Start],
    states: Mapping[int, Tensor],
    grid: NDArray[np.float64],
    device: torch.device,
    cutoff: float = LOW_SHELLS,
) -> tuple[Tensor, Tensor]:
    """The samples (B, C, H, W), float32 on the CPU, of branches in the order in which they leave, and their pushes.

    The second are (B, 4), see `Pushes.values`.

    Parameters
    ----------
    net, guide
        Networks on ``device``; nothing about them is checked.
    states
        x(sigma_i) of the unguided runs (rows, C, H, W), by the step i at which branches leave.
    grid
        Noise levels (steps + 1,), the last of which is 0.

    A branch is bit for bit the run that starts at sigma_max with its pulse, where the batches have the same members at
    every step. In other batches the libraries below may add in another order.
    """

    def finish(part: slice) -> tuple[Tensor, Tensor]:
        members = branches[part]
        denoise = BranchDenoiser(net, guide, members, grid, device, cutoff)
        x = torch.empty((0, *next(iter(states.values())).shape[1:]), device=device)
        for step in range(members[0].treatment.branch, len(grid) - 1):
            joining = [one for one in members if one.treatment.branch == step]
            if joining:
                first = len(x)
                x = torch.cat([x, states[step][[one.row for one in joining]].to(device)])
                rows = list(range(first, len(x)))
                x = denoise.kick(x, rows, float(grid[step]), [one.seed for one in joining])
            denoise.step = step
            *_, (x, _) = heun(denoise, x, grid[step : step + 2])
        return x.cpu(), denoise.pushes.values()

    with torch.no_grad(), evaluating(device):
        parts = in_batches(finish, len(branches), len(branches))
    return torch.cat([images for images, _ in parts]), torch.cat([pushes for _, pushes in parts])
