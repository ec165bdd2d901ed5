r"""From what a network predicts to the posterior mean: :math:`D = c_\mathrm{skip}\,y + c_\mathrm{out}\,F`.

With :math:`y = x_0 + \sigma\varepsilon` and its input :math:`a\,y = a x_0 + s\varepsilon`, a = c_in, s = a sigma:

============ ================================== ======================== =====================================
prediction   F estimates                        c_skip                   c_out
============ ================================== ======================== =====================================
epsilon      :math:`\varepsilon`                1                        :math:`-\sigma`
sample       :math:`x_0`                        0                        1
v            :math:`a\varepsilon - s x_0`       :math:`1/(1+\sigma^2)`   :math:`-\sigma/(a(1+\sigma^2))`
flow         :math:`\varepsilon - x_0`          :math:`1/(1+\sigma)`     :math:`-\sigma/(1+\sigma)`
score        :math:`\nabla\log p(a y)`          1                        :math:`a\sigma^2`
edm          Karras et al. (2022), Table 1      :math:`\sigma_d^2/r^2`   :math:`\sigma\sigma_d/r`
edm-v        the same with the other sign       :math:`\sigma_d^2/r^2`   :math:`-\sigma\sigma_d/r`
============ ================================== ======================== =====================================

where :math:`r^2 = \sigma^2 + \sigma_d^2`. The v and flow rows hold for any a, since the common factor of a x_0 and
s epsilon is divided out: v needs a^2 + s^2 = 1 and flow a + s = 1, which the schedules have.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError
from .schedules import EDMSchedule, FlowSchedule, NoiseSchedule, VPSchedule

__all__ = ["Prediction", "check_prediction", "coefficients"]

Prediction = Literal["epsilon", "sample", "v", "flow", "score", "edm", "edm-v"]

_NEEDS: dict[str, type[NoiseSchedule]] = {
    "v": VPSchedule,
    "flow": FlowSchedule,
    "edm": EDMSchedule,
    "edm-v": EDMSchedule,
}


def check_prediction(prediction: str, schedule: NoiseSchedule) -> None:
    """Raise `InvalidInputError` for an unknown prediction, or one that means nothing on this schedule.

    Where the last timestep holds no signal, the noise that it consists of says nothing about x_0: epsilon and score
    are refused there.
    """
    if prediction not in get_args(Prediction):
        known = ", ".join(get_args(Prediction))
        raise InvalidInputError(f"prediction type is {prediction!r}; expected one of {known}")
    needed = _NEEDS.get(prediction)
    if needed is not None and not isinstance(schedule, needed):
        raise InvalidInputError(
            f"prediction type {prediction!r} is given with a {type(schedule).__name__}; expected a {needed.__name__}"
        )
    if prediction in ("epsilon", "score") and getattr(schedule, "zero_terminal", False):
        raise InvalidInputError(
            f"the schedule ends at zero terminal signal-to-noise ratio (sigma = {schedule.sigma_max:.4g}), where a "
            f"network of prediction type {prediction!r} says nothing about the image; expected 'v' or 'sample'"
        )


def coefficients(
    prediction: Prediction, schedule: NoiseSchedule, sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """c_skip and c_out at each noise level, of the shape of ``sigma``; nothing is checked."""
    one = np.ones_like(sigma)
    a = schedule.scale(sigma)
    match prediction:
        case "epsilon":
            return one, -sigma
        case "sample":
            return 0.0 * one, one
        case "v":
            return 1.0 / (1.0 + sigma**2), -sigma / (a * (1.0 + sigma**2))
        case "flow":
            return 1.0 / (1.0 + sigma), -sigma / (1.0 + sigma)
        case "score":
            return one, a * sigma**2
        case "edm" | "edm-v":
            sd = getattr(schedule, "sigma_data", 0.5)
            out = sigma * sd / np.hypot(sigma, sd)
            return sd**2 / (sigma**2 + sd**2), out if prediction == "edm" else -out
