"""The report of a result: predicted and measured critical times, from the dataset alone."""

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .analysis.critical_interval import FEWEST_TRAJECTORIES, CriticalPoint
from .analysis.critical_points import critical_points, zero_mode_crossing
from .models.of_result import model_of_result
from .results import title_of

if TYPE_CHECKING:
    import xarray as xr

    from .models import EmpiricalModel, PatchModel

__all__ = ["Summary", "point_line", "shown", "summary"]

_CONDITIONS = {
    "score": "score, log(1 + Omega) (eq. 30)",
    "eq17": "eq. 17 as printed",
    "drift": "drift Jacobian at x = 0",
    "renormalised": "drift, renormalised by white noise",
    "closure": "drift, Gaussian closure",
    "null": "drift, Gaussian null: no transition",
}

_POINTS = {
    "zero_mode_crossing": "lambda_0 crosses zero (drift)",
    "softest_zero_mode": "|lambda_0| smallest",
    "equilibrium_length_peak": "xi_eq largest",
    "fastest_growth": "xi_x grows fastest",
    "score_crossing": "score Jacobian crosses zero",
}


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """What `summary` has found in a result; a prompt shows a table of at most 80 columns, a notebook an HTML one.

    Attributes
    ----------
    title
        That of the result, or None.
    along
        "time", or "sigma" for runs over noise levels: the units of all critical points.
    trajectories
        Their number.
    predicted
        Column -> condition -> critical time, NaN where a condition is met at no time; empty where the dataset does not
        hold the model's arrays.
    measured
        The critical points of `fastpatch.analysis.critical_points` by name, and where the score's Jacobian along the
        uniform mode changes sign before the pattern locks, "score_crossing", of runs in time.
    final_xi_x : (trajectory,), in sites
    """

    title: str | None
    along: str
    trajectories: int
    predicted: dict[str, dict[str, float]]
    measured: dict[str, CriticalPoint]
    final_xi_x: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-ready numbers, None in the place of NaN."""
        return {
            "title": self.title,
            "along": self.along,
            "trajectories": self.trajectories,
            "predicted": {
                column: {name: _number(t) for name, t in times.items()} for column, times in self.predicted.items()
            },
            "measured": {
                name: {part: _number(getattr(point, part)) for part in ("time", "low", "high", "found")}
                for name, point in self.measured.items()
            },
            "final_xi_x": [_number(value) for value in self.final_xi_x.tolist()],
        }

    def __str__(self) -> str:
        return "\n".join([*self._predicted_lines(), *self.measured_lines()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        caption = "" if self.title is None else f"<caption>{html.escape(self.title)}</caption>"
        rows = [
            f"<tr><td>{_CONDITIONS[name]}</td><td>{shown(t)}</td><td>predicted, {html.escape(column)}</td></tr>"
            for column, times in self.predicted.items()
            for name, t in times.items()
        ]
        for name, point in self.measured.items():
            found = "" if math.isnan(point.found) else f", found in {100.0 * point.found:.0f} %"
            interval = "" if math.isnan(point.low) else f" [{point.low:.4g}, {point.high:.4g}]"
            rows.append(
                f"<tr><td>{html.escape(_POINTS[name])}</td><td>{shown(point.time)}{interval}</td>"
                f"<td>measured{found}</td></tr>"
            )
        symbol = "t" if self.along == "time" else self.along
        return f"<table>{caption}<tr><th>critical point</th><th>{symbol}</th><th></th></tr>{''.join(rows)}</table>"

    def measured_lines(self) -> list[str]:
        """The measured part of the table: critical times, or noise levels, and the final correlation lengths."""
        symbol = "t" if self.along == "time" else self.along
        lines = [f"{f'measured, median of {self.trajectories}':<36}{symbol:>14}{'95 % interval':>20}{'found':>9}"]
        lines += [point_line(_POINTS[name], point) for name, point in self.measured.items()]
        if self.trajectories < FEWEST_TRAJECTORIES:
            lines.append(
                f"  no intervals: {self.trajectories} trajectories carry none; expected at least {FEWEST_TRAJECTORIES}"
            )
        low, high = np.quantile(self.final_xi_x, [0.25, 0.75])
        spread = f"{f'[{low:.3g}, {high:.3g}]':>20} quartiles" if self.trajectories > 1 else ""
        lines.append(f"{'final xi_x (sites)':<36}{np.median(self.final_xi_x):14.4g}{spread}")
        return lines

    def _predicted_lines(self) -> list[str]:
        if not self.predicted:
            return []
        lines = [f"{'predicted critical times':<36}" + "".join(f"{name:>14}" for name in self.predicted)]
        for name, label in _CONDITIONS.items():
            times = [column.get(name) for column in self.predicted.values()]
            if any(t is not None for t in times):
                lines.append(f"  {label:<34}" + "".join(f"{'' if t is None else shown(t):>14}" for t in times))
        return lines


def summary(dataset: "xr.Dataset") -> Summary:
    """Predicted and measured critical points of a result of `fastpatch.simulate` or of a network's analysis.

    Predictions are made from the arrays of the model that the dataset holds. Raises `InvalidInputError` for a dataset
    without ``xi_x``, ``xi_eq`` and ``mode_derivative``, and what `fastpatch.analysis.critical_points` raises.
    """
    measured = dict(critical_points(dataset))
    along = "sigma" if "sigma" in dataset.dims else "time"
    model = None if along == "sigma" else model_of_result(dataset)
    if along == "time":
        lambda_0 = dataset["mode_derivative"].sel(shell=0).isel(direction=slice(0, 2)).mean("direction")
        times = dataset["time"].to_numpy()
        rate = np.ones_like(times) if model is None else model.schedule.rate(times)
        axes = lambda_0.transpose("trajectory", "time").to_numpy()
        # Once the pattern has locked, single sites that still decide throw the derivative about.
        end = _locking(np.median(axes, axis=0))
        measured["score_crossing"] = zero_mode_crossing(times[:end], (axes + 0.5 * rate)[:, :end])
    return Summary(
        title=title_of(dataset),
        along=along,
        trajectories=dataset.sizes["trajectory"],
        predicted={} if model is None else _predictions(model, (dataset.sizes["y"], dataset.sizes["x"])),
        measured=measured,
        final_xi_x=dataset["xi_x"].isel({along: -1}).to_numpy(),
    )


def _predictions(model: "PatchModel | EmpiricalModel", shape: tuple[int, int]) -> dict[str, dict[str, float]]:
    from . import theory
    from .models import GaussianModel, PatchModel

    omega, schedule = f"Omega = {model.Omega:g}", model.schedule
    if not isinstance(model, PatchModel):
        times = theory.critical_times(Omega=model.Omega, schedule=schedule)
        return {omega: {name: t for name, t in times.items() if name != "closure"}}
    dictionary = model.dictionary
    exact: dict[str, float] = dict(theory.critical_times(dictionary=dictionary, schedule=schedule).items())
    exact["null"] = GaussianModel.from_dictionary(dictionary, shape, schedule).critical_time
    printed: dict[str, float] = dict(theory.critical_times(K=dictionary.radius, schedule=schedule).items())
    return {omega: printed, f"{len(dictionary)} patterns": exact}


def shown(t: float, digits: str = ".4g") -> str:
    """A critical time as the tables print it."""
    return "none" if math.isnan(t) else format(t, digits)


def point_line(label: str, point: CriticalPoint) -> str:
    """One critical time, its interval, and the share of the resamples in which it exists, as a line of the table."""
    interval = "" if math.isnan(point.low) else f"[{point.low:.4g}, {point.high:.4g}]"
    found = "" if math.isnan(point.found) else f"{100.0 * point.found:.0f} %"
    return f"  {label:<34}{shown(point.time):>14} {interval:>19}{found:>9}".rstrip()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _locking(lambda_0: NDArray[np.float64]) -> int:
    """How many records there are up to the second sign change of lambda_0; all, and at least two, without one."""
    negative = np.flatnonzero(lambda_0 < 0.0)
    if not negative.size:
        return len(lambda_0)
    after = np.flatnonzero(lambda_0[negative[0] :] > 0.0)
    return max(2, int(negative[0] + after[0])) if after.size else len(lambda_0)
