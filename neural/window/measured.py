"""The noise levels between which a network decides the class: a guidance window with a derivation and a verdict."""

import contextlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...analysis import DecidedInformation, decided_information, integrated_information
from ...errors import InvalidInputError
from ...validation import finite_float
from ..denoisers.schedules import NoiseSchedule, restored
from .step_grid import entropic_levels
from .units import Interval, StepWindow, comfyui_percent, run_levels, step_window
from .verdict import Basis, LossDifference, judged

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["GuidanceWindow", "entropic_sigmas", "guidance_window"]

_LEAST_INFORMATION = 1e-3  # nats: less than a thousandth of a label is no difference between guide and model


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
    remark : str
        What is to be known beside an answer, such as that the two forms of the class information differ; often empty.
    information : DecidedInformation or None
        The class information by the distance of D and D_u: rate, integral, calibration.
    losses : LossDifference or None
        The same by the difference of their losses, where there are data.
    basis : {"distance", "losses"}
        Which of them the window is of: the losses where they alone agree with the label's entropy.
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
    losses: LossDifference | None = None
    remark: str = ""
    basis: Basis = "distance"
    levels: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def answer(self) -> bool:
        """Whether the window can be used."""
        return not self.verdict

    @property
    def deciding(self) -> DecidedInformation | None:
        """The information of which the window holds a share, by distance or losses."""
        return self.losses.information if self.basis == "losses" and self.losses is not None else self.information

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
        """The steps of a run of ``count`` that lie in the window, by the network's scheduler or on EDM's grid.

        Raises `InvalidInputError` where the scheduler's steps depend on the size of the image.
        """
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
                # Of a scheduler whose steps depend on the size of the image, none is named.
                with contextlib.suppress(InvalidInputError):
                    found = self.steps(count)
                    by_steps[str(count)] = None if found is None else vars(found)
        values = {
            "sigma_high": self.sigma_high,
            "sigma_low": self.sigma_low,
            "sigma_high_interval": list(self.high_interval),
            "sigma_low_interval": list(self.low_interval),
            "share": None if known is None else known.share,
            "verdict": self.verdict,
            "remark": self.remark,
            "basis": self.basis,
            "class_information": None if known is None else known.total,
            "class_information_interval": None if known is None else [known.total_low, known.total_high],
            "class_information_by_losses": None if self.losses is None else self.losses.total[0],
            "class_information_by_losses_interval": None if self.losses is None else list(self.losses.total[1:]),
            "distance_less_losses": None if self.losses is None else self.losses.gap[0],
            "distance_less_losses_interval": None if self.losses is None else list(self.losses.gap[1:]),
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
    over images. On data the class information is taken in both of its forms (see `analysis.information`): by the
    distance, :math:`|D - D_u|^2/\\sigma^2`, and by the losses, :math:`(|x_0 - D_u|^2 - |x_0 - D|^2)/\\sigma^2`. The
    window is that of the distance, whose interval is narrower, unless the losses alone agree with the label's entropy.
    The verdict names a missing label or guide, a guide equal to the model, and what `judged` names.

    Raises `InvalidInputError` for a dataset of another kind or a share out of range.
    """
    if "total_rate" not in result:
        raise InvalidInputError("the result holds no decided information; expected one of `measure_information`")
    if not 0.0 < finite_float(share, "share") < 1.0:
        raise InvalidInputError(f"share is {share}; expected a number in (0, 1)")
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
    losses = _losses(result, rates, levels, entropy=found.entropy, share=share, seed=seed)
    said = judged(found, losses)
    shown = losses.information if said.basis == "losses" and losses is not None else found
    assert shown is not None
    high, low = (float(value) for value in shown.window)
    return GuidanceWindow(
        high,
        low,
        (float(shown.window_low[0]), float(shown.window_high[0])),
        (float(shown.window_low[1]), float(shown.window_high[1])),
        said.refusal,
        found,
        losses=losses,
        remark=said.remark,
        basis=said.basis,
        **parts,
    )


def _losses(
    result: "xr.Dataset",
    distance: NDArray[np.float64],
    levels: NDArray[np.float64],
    *,
    entropy: float,
    share: float,
    seed: int,
) -> LossDifference | None:
    """The class information as a difference of losses; None without data or without the losses with a label."""
    if result.attrs.get("source") != "data" or "conditional_rate" not in result:
        return None
    rates = result["total_rate"].to_numpy() - result["conditional_rate"].to_numpy()
    total = integrated_information(rates, levels, seed=seed)
    return LossDifference(
        total,
        integrated_information(distance - rates, levels, seed=seed),
        decided_information(rates, levels, entropy=entropy if entropy > 0.0 else None, share=share, seed=seed)
        if total[0] > 0.0
        else None,
    )


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
