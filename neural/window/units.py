"""A window of noise levels in the units of samplers: timesteps, steps, fractions of steps, percent."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BackendUnavailableError, InvalidInputError
from ...validation import finite_float, integer
from ..denoisers.schedules import NoiseSchedule, described
from ..edm_grid import sigma_grid

__all__ = ["Interval", "StepWindow", "clock_attributes", "comfyui_percent", "run_levels", "step_window"]


@dataclass(frozen=True)
class Interval:
    """The weight w from ``sigma_low`` to ``sigma_high``, both included, and 0 outside: a guidance of `sample`."""

    sigma_low: float
    sigma_high: float
    weight: float

    def __post_init__(self) -> None:
        low, high = (finite_float(getattr(self, name), name) for name in ("sigma_low", "sigma_high"))
        if not 0.0 <= low < high:
            raise InvalidInputError(f"the interval goes from {low} to {high}; expected 0 <= sigma_low < sigma_high")
        finite_float(self.weight, "weight")

    def __call__(self, sigma: float) -> float:
        return self.weight if self.sigma_low <= sigma <= self.sigma_high else 0.0


@dataclass(frozen=True)
class StepWindow:
    """The steps of a run of ``steps`` that lie in a window.

    ``first`` and ``last`` count from 0, both included. ``start`` and ``stop`` are the fractions that the guiders of
    diffusers take, for which a step k of n is guided where ``int(start n) <= k < int(stop n)``.
    """

    steps: int
    first: int
    last: int
    start: float
    stop: float


def step_window(levels: NDArray[np.float64], sigma_low: float, sigma_high: float) -> StepWindow | None:
    """The steps whose level lies in the window, from the levels (n,) of a run; None where no step does."""
    inside = np.flatnonzero((levels >= sigma_low) & (levels <= sigma_high))
    if len(inside) == 0:
        return None
    n, first, last = len(levels), int(inside[0]), int(inside[-1])
    return StepWindow(n, first, last, _fraction(first, n), _fraction(last + 1, n))


def comfyui_percent(schedule: NoiseSchedule, sigma_low: float, sigma_high: float) -> tuple[float, float]:
    """Start and end of a window in ComfyUI's percent, 0 where a run begins and 1 where it ends.

    Its formulas for discrete variance-preserving, continuous EDM and shifted flow models (``percent_to_sigma``).
    """
    percent = schedule.percent(np.array([sigma_high, sigma_low]))
    return float(percent[0]), float(percent[1])


def clock_attributes(net: Any) -> dict[str, str]:
    """``schedule`` and ``scheduler`` of a network, as JSON texts for a result, where it has them."""
    schedule, scheduler = getattr(net, "schedule", None), getattr(net, "scheduler", None)
    found: dict[str, str] = {}
    if schedule is not None:
        found["schedule"] = json.dumps(described(schedule))
    if scheduler is not None:
        settings = {"class": type(scheduler).__name__, "config": dict(scheduler.config)}
        found["scheduler"] = json.dumps(settings, default=str)
    return found


def run_levels(
    schedule: NoiseSchedule | None, scheduler: str | None, steps: int, sigma_min: float, sigma_max: float
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Noise levels of a run of ``steps`` steps, and its timesteps where a scheduler has them.

    By the scheduler of `clock_attributes` if there is one, which needs diffusers, else along EDM's grid.
    Raises `BackendUnavailableError` where diffusers is missing.
    """
    count = integer(steps, "steps", minimum=2)
    if scheduler is None or schedule is None:
        return sigma_grid(count, sigma_max, sigma_min)[:-1], None
    try:
        import diffusers
    except ImportError as error:
        raise BackendUnavailableError(
            "the steps of a diffusers scheduler need diffusers, which is not installed; "
            'expected `pip install "fastpatch[diffusers]"`'
        ) from error
    from ..denoisers.diffusers_scheduler import step_levels

    kept = json.loads(scheduler)
    return step_levels(getattr(diffusers, kept["class"]).from_config(kept["config"]), schedule, count)


def _fraction(step: int, steps: int) -> float:
    """The shortest decimal f, of four places at least, for which int(f steps) is ``step``."""
    for places in range(4, 12):
        found = math.ceil(step / steps * 10**places) / 10**places
        if found <= 1.0 and int(found * steps) == step:
            return float(found)
    return min(1.0, (step + 0.5) / steps)
