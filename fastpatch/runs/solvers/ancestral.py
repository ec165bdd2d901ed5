"""Ancestral sampling: the step that is exact while the posterior mean stays as it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.base import Model, like_states
from ...process import VPSchedule

__all__ = ["Ancestral"]


class Ancestral:
    r"""Draws :math:`x_s` from :math:`p(x_s | x_t, x_0 = m(x_t, t))`; with
    :math:`a = \alpha_t/\alpha_s` and :math:`v = \sigma_t^2 - a^2\sigma_s^2`,

    .. math:: x_s = \frac{a\sigma_s^2}{\sigma_t^2}\,x_t + \frac{\alpha_s v}{\sigma_t^2}\,m
              + \sqrt{\frac{\sigma_s^2 v}{\sigma_t^2}}\;\eta .

    Weak order 1 like Euler-Maruyama, and stable on every grid where m is bounded, as the posterior mean of bounded data
    is. A network that predicts the noise has no such bound: a step divides its errors at large t by a, which is a tenth
    where steps are coarse.
    """

    name = "ancestral"

    def coefficients(self, schedule: VPSchedule, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """(linear, pull, kick) of every step, see `FrozenMeanSolver`."""
        a, v, alpha, sigma2 = self._of_grid(schedule, times)
        later, earlier = sigma2[:-1], sigma2[1:]
        return np.stack([a * earlier / later, alpha[1:] * v / later, np.sqrt(earlier * v / later)], axis=1)

    def step(
        self, model: Model, x: NDArray[Any], t: float, s: float, noise: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        """See `Solver.step`; a model without ``posterior_mean`` is asked for its score."""
        times, wide = np.array([t, s]), x.astype(np.float64)
        linear, pull, kick = self.coefficients(model.schedule, times)[0]
        posterior_mean = getattr(model, "posterior_mean", None)
        if posterior_mean is None:
            # In terms of the score, which no small alpha_t divides: x_s = x/a + (v/a) s + ...
            a, v, _, _ = (float(values[0]) for values in self._of_grid(model.schedule, times))
            moved = wide / a + v / a * like_states(model.score(wide, t), wide, "score")
        else:
            moved = linear * wide + pull * like_states(posterior_mean(wide, t), wide, "posterior_mean")
        return np.asarray(moved + kick * noise(), dtype=x.dtype)

    @staticmethod
    def _of_grid(schedule: VPSchedule, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """a and v of every step, alpha and sigma^2 of every time."""
        passed = -np.diff(schedule.integrated_rate(times))
        # v = 1 - a^2 for a variance-preserving process, without cancellation.
        return np.exp(-0.5 * passed), -np.expm1(-passed), schedule.alpha(times), schedule.sigma2(times)
