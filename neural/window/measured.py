"""The noise levels between which a network decides the class: a guidance window with a derivation and a verdict."""

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...analysis import DecidedInformation, decided_information
from ...errors import InvalidInputError
from ..denoisers.schedules import NoiseSchedule, restored
from .step_grid import entropic_levels
from .units import Interval, StepWindow, comfyui_percent, run_levels, step_window

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["GuidanceWindow", "entropic_sigmas", "guidance_window"]

_FEWEST_RUNS = 16
_LEAST_INFORMATION = 1e-3  # nats: less than a thousandth of a label is no difference between guide and model
_CALIBRATION = (0.5, 1.5)
_FLAT = 0.9


@dataclass(frozen=True, eq=False)
class GuidanceWindow:
    """Between ``sigma_high`` and ``sigma_low`` the stated share of the class information is decided.

    Attributes
    ----------
    sigma_high, sigma_low : float
        The window, of equal tails, as far as the measured levels reach; NaN where there is none.
    high_interval, low_interval : (float, float)
        95 % bootstrap intervals of both ends over images.
    verdict : str
        Empty where the answer can be used, else why not, in one sentence.
    information : DecidedInformation or None
        What it follows from: rate, integral, calibration.
    evaluations : int
        Evaluations of networks, images times calls, that the measurement has cost.
    schedule, scheduler
        Clock of the network and its scheduler's settings, where it has them, for the other units.
    """

    sigma_high: float
    sigma_low: float
    high_interval: tuple[float, float]
    low_interval: tuple[float, float]
    verdict: str
    information: DecidedInformation | None
    evaluations: int
    schedule: NoiseSchedule | None = None
    scheduler: str | None = None
    levels: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def answer(self) -> bool:
        """Whether the window can be used."""
        return not self.verdict

    def w(self, weight: float) -> Interval:
        """The guidance of `sample` with this weight inside the window; raises `InvalidInputError` without an answer."""
        self._check()
        return Interval(self.sigma_low, self.sigma_high, weight)

    def timesteps(self) -> tuple[float, float] | None:
        """The window on the network's own clock, first and last, None where it has none but sigma."""
        if self.schedule is None or not math.isfinite(self.sigma_low):
            return None
        times = self.schedule.time(np.array([self.sigma_high, self.sigma_low]))
        return float(times[0]), float(times[1])

    def steps(self, count: int) -> StepWindow | None:
        """The steps of a run of ``count`` that lie in the window, by the network's scheduler or on EDM's grid."""
        found, _ = run_levels(self.schedule, self.scheduler, count, float(self.levels[-1]), float(self.levels[0]))
        return step_window(found, self.sigma_low, self.sigma_high)

    def percent(self) -> tuple[float, float] | None:
        """Start and end in ComfyUI's percent, None without a schedule."""
        if self.schedule is None or not math.isfinite(self.sigma_low):
            return None
        return comfyui_percent(self.schedule, self.sigma_low, self.sigma_high)

    def to_dict(self, steps: tuple[int, ...] = (20, 32, 50)) -> dict[str, Any]:
        """Everything in JSON values; NaN becomes None."""
        known = self.information
        by_steps: dict[str, Any] = {}
        if math.isfinite(self.sigma_low):
            for count in steps:
                found = self.steps(count)
                by_steps[str(count)] = None if found is None else vars(found)
        values = {
            "sigma_high": self.sigma_high,
            "sigma_low": self.sigma_low,
            "sigma_high_interval": list(self.high_interval),
            "sigma_low_interval": list(self.low_interval),
            "share": None if known is None else known.share,
            "verdict": self.verdict,
            "class_information": None if known is None else known.total,
            "label_entropy": None if known is None else known.entropy,
            "images": 0 if known is None else known.runs,
            "evaluations": self.evaluations,
            "timesteps": self.timesteps(),
            "steps": by_steps,
            "comfyui_percent": self.percent(),
        }
        return {name: _plain(value) for name, value in values.items()}

    def _check(self) -> None:
        if self.verdict:
            raise InvalidInputError(f"there is no window: {self.verdict}; expected a measurement that has one")


def guidance_window(result: "xr.Dataset", share: float = 0.9, *, seed: int = 0) -> GuidanceWindow:
    """The window of a result of `measure_information` or of `fastpatch.neural.analyze`.

    ``share`` of the class information lies in it, half of the rest on either side; ``seed`` is that of the bootstrap
    over images. The verdict names, in this order: no labels or guide; a guide equal to the model; too few images; an
    integral outside 0.5 … 1.5 of the label's entropy with all of its interval; a rate so flat that the window is as
    long as the range; an end beyond the measured levels; ends less certain than half of the window's length.

    Raises `InvalidInputError` for a dataset of another kind or a share out of range.
    """
    if "total_rate" not in result:
        raise InvalidInputError("the result holds no decided information; expected one of `measure_information`")
    levels = result["sigma" if "sigma" in result["total_rate"].dims else "information_sigma"].to_numpy()
    known = result.attrs.get("schedule")
    parts: dict[str, Any] = {
        "evaluations": int(result.attrs.get("evaluations", 0)),
        "schedule": None if known is None else restored(json.loads(known)),
        "scheduler": result.attrs.get("scheduler"),
        "levels": levels,
    }
    nothing = (math.nan, math.nan)
    if "class_rate" not in result:
        return GuidanceWindow(
            math.nan, math.nan, nothing, nothing, "the network has neither labels nor a guide to differ from", None,
            **parts,
        )  # fmt: skip
    rates = result["class_rate"].to_numpy()
    if not rates.mean(axis=0).max() > 0.0 or _integral(rates.mean(axis=0), levels) < _LEAST_INFORMATION:
        return GuidanceWindow(
            math.nan, math.nan, nothing, nothing, "the guide equals the model, so that nothing of the class is decided",
            None, **parts,
        )  # fmt: skip
    entropy = float(result.attrs.get("label_entropy", math.nan))
    found = decided_information(rates, levels, entropy=entropy if entropy > 0.0 else None, share=share, seed=seed)
    high, low = (float(value) for value in found.window)
    return GuidanceWindow(
        high,
        low,
        (float(found.window_low[0]), float(found.window_high[0])),
        (float(found.window_low[1]), float(found.window_high[1])),
        _verdict(found),
        found,
        **parts,
    )


def _verdict(found: DecidedInformation) -> str:
    if found.runs < _FEWEST_RUNS:
        return f"{found.runs} images are too few for an interval; expected at least {_FEWEST_RUNS}"
    if found.entropy > 0.0:
        low, high = found.total_low / found.entropy, found.total_high / found.entropy
        if high < _CALIBRATION[0] or low > _CALIBRATION[1]:
            return (
                f"the decided information integrates to {found.total:.2f} nats where the labels hold "
                f"{found.entropy:.2f}, so that network and guide do not belong together or are badly trained"
            )
    high, low = found.window
    if not math.isfinite(high):
        return "much of the class is decided above the first level; expected a larger first noise level"
    length, whole = math.log(high / low), math.log(found.sigma[0] / found.sigma[-1])
    if length >= _FLAT * found.share * whole:
        return "the class is decided evenly over all noise levels, so that no window is better than another"
    widest = max(
        math.log(top / bottom) if bottom > 0.0 and math.isfinite(top) else math.inf
        for bottom, top in zip(found.window_low, found.window_high, strict=True)
    )
    if widest > 0.5 * length:
        return f"{found.runs} images are too few: an end of the window is known to a factor {math.exp(widest):.2g}"
    return ""


def entropic_sigmas(result: "xr.Dataset", steps: int, of: str = "total") -> NDArray[np.float64]:
    """Levels (steps,) of equal decided information, ``of`` the image (``"total"``) or the ``"class"``.

    For ``sigmas=`` of `sample` or of a scheduler. Raises what `entropic_levels` raises, and `InvalidInputError` where
    the result has no such rate.
    """
    name = f"{of}_rate"
    if name not in result:
        raise InvalidInputError(f"the result has no {name}; expected 'total' or, of a network with a guide, 'class'")
    rate = result[name]
    sigma = result[rate.dims[-1]].to_numpy()
    return entropic_levels(sigma, rate.to_numpy().mean(axis=0), steps)


def _integral(rate: NDArray[np.float64], sigma: NDArray[np.float64]) -> float:
    return float(np.trapezoid(rate, -np.log(sigma)))


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
