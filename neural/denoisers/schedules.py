r"""How a network's own clock and input scale belong to a noise level: variance-preserving, flow-matching, EDM, direct.

Everything here counts noise in :math:`\sigma` of :math:`y = x_0 + \sigma\varepsilon`. A network trained on
:math:`\alpha x_0 + s\varepsilon` sees :math:`c_\mathrm{in}\,y` with :math:`c_\mathrm{in} = \alpha`,
:math:`\sigma = s/\alpha`, and a time of its own unit.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InvalidInputError
from ...validation import finite_float

__all__ = ["ContinuousVPSchedule", "DirectSchedule", "EDMSchedule", "FlowSchedule", "NoiseSchedule", "VPSchedule"]
__all__ += ["described", "restored"]

Levels = NDArray[np.float64]


class NoiseSchedule(ABC):
    """The clock of a network; all functions are elementwise on float64 arrays and check nothing.

    ``sigma_min`` and ``sigma_max`` are the ends of what it was trained on. Beyond them the input keeps its exact scale
    while the time stays at the end of its range.
    """

    sigma_min: float
    sigma_max: float

    @abstractmethod
    def scale(self, sigma: Levels) -> Levels:
        """c_in, the factor of y before it enters the network."""

    @abstractmethod
    def time(self, sigma: Levels) -> Levels:
        """What the network is told; fractions of a training timestep included."""

    @abstractmethod
    def sigma(self, time: Levels) -> Levels:
        """The inverse of `time`."""

    def percent(self, sigma: Levels) -> Levels:
        """The place of a noise level in ComfyUI's unit, 0 at the first and 1 at the last one of a sampling run."""
        first, last = np.log(self.sigma_max), np.log(self.sigma_min)
        return np.asarray(np.clip((first - np.log(sigma)) / (first - last), 0.0, 1.0))


class VPSchedule(NoiseSchedule):
    r"""Discrete variance-preserving noise: :math:`\sigma_t = \sqrt{(1 - \bar\alpha_t)/\bar\alpha_t}`, t = 0 … T - 1.

    Between timesteps log sigma is interpolated linearly. A last level without any signal (zero terminal
    signal-to-noise ratio) has no finite sigma and is left out; ``zero_terminal`` says that there was one.

    Raises `InvalidInputError` unless ``alphas_cumprod`` (T,), T >= 2, falls strictly within [0, 1).
    """

    def __init__(self, alphas_cumprod: ArrayLike) -> None:
        kept = np.asarray(alphas_cumprod, dtype=np.float64)
        if kept.ndim != 1 or len(kept) < 2 or not (np.isfinite(kept).all() and (np.diff(kept) < 0.0).all()):
            raise InvalidInputError(f"alphas_cumprod has shape {kept.shape}; expected (T,) strictly falling numbers")
        if kept[0] >= 1.0 or kept[-1] < 0.0:
            raise InvalidInputError(f"alphas_cumprod runs from {kept[0]:g} to {kept[-1]:g}; expected [0, 1)")
        # No threshold: cosine schedules end at sigma = 2000 and more, where epsilon is a sound prediction still.
        self.zero_terminal = bool(kept[-1] == 0.0)
        self.alphas_cumprod = kept
        kept = kept[:-1] if kept[-1] == 0.0 else kept
        self.timesteps = len(self.alphas_cumprod)
        self._log_sigma = 0.5 * (np.log1p(-kept) - np.log(kept))
        self._times = np.arange(len(kept), dtype=np.float64)
        self.sigma_min, self.sigma_max = (float(np.exp(self._log_sigma[at])) for at in (0, -1))

    def scale(self, sigma: Levels) -> Levels:
        return np.asarray(1.0 / np.hypot(1.0, sigma))

    def time(self, sigma: Levels) -> Levels:
        return np.asarray(np.interp(np.log(sigma), self._log_sigma, self._times))

    def sigma(self, time: Levels) -> Levels:
        return np.asarray(np.exp(np.interp(time, self._times, self._log_sigma)))

    def percent(self, sigma: Levels) -> Levels:
        return np.asarray(1.0 - self.time(sigma) / (self.timesteps - 1))


@dataclass
class ContinuousVPSchedule(NoiseSchedule):
    r"""The paper's process at rate one: :math:`\alpha = e^{-t/2}`, hence :math:`\sigma^2 = e^t - 1`; time is t."""

    sigma_min: float = 0.0316
    sigma_max: float = 80.0

    def scale(self, sigma: Levels) -> Levels:
        return np.asarray(1.0 / np.hypot(1.0, sigma))

    def time(self, sigma: Levels) -> Levels:
        return np.asarray(np.log1p(np.square(sigma)))

    def sigma(self, time: Levels) -> Levels:
        return np.asarray(np.sqrt(np.expm1(time)))


@dataclass
class FlowSchedule(NoiseSchedule):
    r"""Rectified flow :math:`(1 - s) x_0 + s\varepsilon`: sigma = s / (1 - s), time = s times ``timesteps``.

    ``shift`` changes where samplers place their steps, not what the network computes; only `percent` depends on it.
    """

    timesteps: float = 1000.0
    shift: float = 1.0
    sigma_min: float = 1e-3
    sigma_max: float = 999.0

    def __post_init__(self) -> None:
        for name in ("timesteps", "shift"):
            if finite_float(getattr(self, name), name) <= 0.0:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; expected a positive number")

    def scale(self, sigma: Levels) -> Levels:
        return np.asarray(1.0 / (1.0 + sigma))

    def time(self, sigma: Levels) -> Levels:
        return np.asarray(self.timesteps * sigma / (1.0 + sigma))

    def sigma(self, time: Levels) -> Levels:
        share = np.asarray(time) / self.timesteps
        return np.asarray(share / np.maximum(1.0 - share, 1e-12))

    def percent(self, sigma: Levels) -> Levels:
        share = sigma / (1.0 + sigma)
        return np.asarray(1.0 - share / (self.shift - (self.shift - 1.0) * share))


@dataclass
class EDMSchedule(NoiseSchedule):
    r"""EDM's preconditioning: :math:`c_\mathrm{in} = (\sigma^2 + \sigma_d^2)^{-1/2}`, time = log(sigma) / 4."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if finite_float(self.sigma_data, "sigma_data") <= 0.0:
            raise InvalidInputError(f"sigma_data is {self.sigma_data}; expected a positive number")

    def scale(self, sigma: Levels) -> Levels:
        return np.asarray(1.0 / np.hypot(sigma, self.sigma_data))

    def time(self, sigma: Levels) -> Levels:
        return np.asarray(0.25 * np.log(sigma))

    def sigma(self, time: Levels) -> Levels:
        return np.asarray(np.exp(4.0 * np.asarray(time)))


@dataclass
class DirectSchedule(NoiseSchedule):
    """A callable that takes y and sigma themselves, as k-diffusion's denoisers and EDM's networks do."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def scale(self, sigma: Levels) -> Levels:
        return np.ones_like(sigma)

    def time(self, sigma: Levels) -> Levels:
        return np.asarray(sigma, dtype=np.float64)

    def sigma(self, time: Levels) -> Levels:
        return np.asarray(time, dtype=np.float64)


def described(schedule: NoiseSchedule) -> dict[str, Any]:
    """A schedule as JSON values, from which `restored` makes it again."""
    if isinstance(schedule, VPSchedule):
        return {"kind": "VPSchedule", "alphas_cumprod": schedule.alphas_cumprod.tolist()}
    assert isinstance(schedule, ContinuousVPSchedule | FlowSchedule | EDMSchedule | DirectSchedule)
    return {"kind": type(schedule).__name__, **asdict(schedule)}


def restored(values: Mapping[str, Any]) -> NoiseSchedule:
    """The schedule of `described`; raises `InvalidInputError` for anything else."""
    kinds: tuple[type[Any], ...] = (VPSchedule, ContinuousVPSchedule, FlowSchedule, EDMSchedule, DirectSchedule)
    arguments = dict(values)
    name = arguments.pop("kind", "")
    try:
        found: NoiseSchedule = next(kind for kind in kinds if kind.__name__ == name)(**arguments)
    except (StopIteration, TypeError):
        raise InvalidInputError(f"the schedule is {str(dict(values))[:80]}; expected one of this package") from None
    return found
