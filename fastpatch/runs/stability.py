"""Whether the first step of an explicit scheme keeps the noise that a run starts from within bounds."""

import math

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..process import VPSchedule

__all__ = ["check_first_step"]


def check_first_step(schedule: VPSchedule, times: NDArray[np.float64]) -> None:
    """Raise `InvalidInputError` where the first Euler-Maruyama step multiplies x by a factor beyond 1 in magnitude.

    At large t, where the data have no effect yet, a step multiplies x by 1 + dt beta (1/sigma^2 - 1/2). Beyond 1 in
    magnitude the field grows from step to step, until the end is noise whatever the model. Later steps of a
    logarithmic grid are shorter; that those of other grids are short enough is not checked.
    """
    t, dt = float(times[0]), float(times[1] - times[0])
    pull = float(schedule.rate(t) * (1.0 / schedule.sigma2(t) - 0.5))
    factor = 1.0 + dt * pull
    if abs(factor) <= 1.0:
        return
    # |dt| <= 2 / pull on a grid whose times are in a ratio of r: t (1 - r) <= 2 / pull.
    steps = math.ceil(math.log(t / float(times[-1])) / -math.log1p(-2.0 / (pull * t)))
    raise InvalidInputError(
        f"the first Euler-Maruyama step, from t = {t:g} to {t + dt:g}, multiplies x by {factor:.3g}, which grows from "
        f"step to step; expected at least {steps} steps on a logarithmic grid from {t:g} to {times[-1]:g}, or "
        "solver 'ancestral', which is stable for a bounded posterior mean"
    )
