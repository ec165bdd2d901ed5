"""A pulse of guidance as the sampler sees it: the steps of the grid at which it acts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..guidance import Band, Pulse

__all__ = ["UNGUIDED", "Kind", "Treatment", "dose", "middle", "on_grid"]

Kind = Literal["guidance", "kick", "random kick"]


@dataclass(frozen=True, order=True)
class Treatment:
    """Guidance of one weight at the noise levels number ``start`` <= i < ``stop`` of the grid, and none elsewhere.

    Two pulses that hold the same levels are the same treatment, and give the same sample. ``UNGUIDED`` is the one
    that holds none.

    A ``"kick"`` guides no evaluation: it moves x at the level ``start``, once, along the ``band`` of D - D_u there, by
    ``weight`` in root mean square over the pixels, whatever the size of D - D_u. A ``"random kick"`` does so along
    noise whose power spectrum is that of this direction, see `random_direction`.
    """

    start: int
    stop: int
    weight: float
    band: Band = "all"
    kind: Kind = "guidance"

    @property
    def branch(self) -> int:
        """The step at which a treated run leaves the unguided one.

        Heun's step number i evaluates the network at the levels i and i + 1, so that the step before ``start`` is the
        first to be guided; a kick moves the state at ``start`` itself.
        """
        return max(self.start - 1, 0) if self.kind == "guidance" else self.start

    @property
    def guided_evaluations(self) -> int:
        """Evaluations of the guide: two a level, one at the first of the grid; one for a kick."""
        if self.kind != "guidance":
            return 1
        return 2 * (self.stop - self.start) - (self.start == 0 < self.stop)

    def evaluations(self, steps: int) -> int:
        """Evaluations of the network from the branch on, in a run of ``steps`` steps; the guide's are not counted."""
        return 2 * (steps - self.branch) - 1 + (self.kind != "guidance")


UNGUIDED = Treatment(0, 0, 0.0)


def on_grid(pulse: Pulse, grid: NDArray[np.float64], band: Band = "all") -> Treatment:
    """The treatment that is ``pulse`` on ``grid`` (steps + 1,), whose last entry is 0; `UNGUIDED` if it misses all."""
    low, high = pulse.window
    inside = np.flatnonzero((low <= grid[:-1]) & (grid[:-1] <= high))
    if not inside.size or pulse.weight == 0.0:
        return UNGUIDED
    return Treatment(int(inside[0]), int(inside[-1]) + 1, pulse.weight, band)


def dose(treatment: Treatment, grid: NDArray[np.float64]) -> float:
    r"""The multiple of D - D_u by which the guided evaluations move x, all else being equal.

    Heun's method and its last Euler step sum :math:`-w\,(D - D_u)\, d\sigma / \sigma` with the weights of the
    trapezoidal rule, so that this is w times the width of the pulse in :math:`\log\sigma`, up to the step's error.
    """
    sigma, steps = grid[:-1], -np.diff(grid)
    evaluated = np.append(0.5 * steps[:-1], steps[-1])  # first evaluation of each step
    evaluated[1:] += 0.5 * steps[:-1]  # second evaluation of the step before
    return treatment.weight * float((evaluated / sigma)[treatment.start : treatment.stop].sum())


def middle(treatment: Treatment, grid: NDArray[np.float64]) -> float:
    """The geometric mean of the levels that it guides, NaN for `UNGUIDED`."""
    if treatment == UNGUIDED:
        return float("nan")
    return float(np.exp(np.log(grid[treatment.start : treatment.stop]).mean()))
