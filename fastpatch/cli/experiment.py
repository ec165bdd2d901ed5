"""What the commands that simulate have in common: run, write, draw, report."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FastpatchError, OutputError, ResultFileError
from ..messages import has_terminal, printable

if TYPE_CHECKING:
    import xarray as xr

    from ..analysis import CriticalPoint
    from ..models import Model
    from ..models.closed_form import ClosedFormModel

__all__ = ["critical_report", "draw_figures", "measured_lines", "point_line", "publish", "run_experiment"]
__all__ += ["score_line", "set_threads", "shown"]


def set_threads(threads: int | None) -> None:
    """Limit the kernels' threads; `InvalidInputError` outside 1 … the machine's number."""
    from .. import threads as process

    if threads is not None:
        process.set_threads(threads)


def run_experiment(
    model: "Model",
    out: Path,
    title: str,
    *,
    report: Callable[["xr.Dataset"], str],
    extend: Callable[["xr.Dataset"], "xr.Dataset"] | None = None,
    null: bool = True,
    quiet: bool,
    **arguments: Any,
) -> None:
    """Simulate, write ``result.nc`` into ``out``, print the report, and draw the figures.

    ``extend`` may add to the dataset, or take from it, before anything is written. ``null`` is that of `draw_figures`.
    """
    from ..atomic import exclusive_directory

    with exclusive_directory(out, "run") as directory:
        from ..runs.simulation import simulate

        begin = time.perf_counter()
        dataset = simulate(model, progress=not quiet and has_terminal(), **arguments)
        simulated = time.perf_counter() - begin
        if extend is not None:
            dataset = extend(dataset)
        dataset.attrs["title"] = title
        publish(dataset, directory, report, begin=begin, simulated=simulated, null=null)


def publish(
    dataset: "xr.Dataset",
    directory: Path,
    report: Callable[["xr.Dataset"], str],
    *,
    begin: float,
    simulated: float,
    null: bool = True,
) -> None:
    """Write ``result.nc`` into ``directory``, print the report, draw the figures, and print the times and the paths.

    The result comes first, then the report: neither is lost where a figure cannot be drawn, which is an `OutputError`.
    ``begin`` is the value of `time.perf_counter` at the start, ``simulated`` the seconds that the run itself took.
    """
    from ..results import save

    file = directory / "result.nc"
    save(dataset, file)
    # A card or a title may hold anything.
    print(printable(report(dataset)), flush=True)
    try:
        written = draw_figures(dataset, directory, null=null)
    except FastpatchError:
        raise
    except Exception as error:  # of Matplotlib, its fonts and its settings, which are the host's
        raise OutputError(
            f"{file} is complete, but its figures cannot be drawn ({type(error).__name__}: {error}); "
            "expected `fastpatch plot` to draw them once that is mended"
        ) from error
    print(f"{'wall time (s)':<36}{time.perf_counter() - begin:14.2f}     simulation: {simulated:.2f}")
    print("wrote " + "\n      ".join(str(path) for path in (file, *written)))


def draw_figures(dataset: "xr.Dataset", directory: Path, suffix: str = "png", *, null: bool = True) -> list[Path]:
    """Draw every figure that a result has the variables of, from the dataset alone, as files of a format; their paths.

    With ``null`` the curves of a Gaussian field of the patterns' second moments stand beside those of a patch machine.

    Raises `ResultFileError` for a dataset that has lost some of what every result has.
    """
    from ..analysis import figures
    from ..theory import null_of_result

    title = dataset.attrs.get("title")
    if "gain_overall" not in dataset:
        needed = {"xi_x", "xi_eq", "mode_derivative"} if "xi_x" in dataset else {"final"}
        missing = sorted(needed - set(dataset.data_vars)) or sorted({"trajectory"} - set(dataset.dims))
        if missing:
            raise ResultFileError(f"the result has no {', '.join(missing)}; expected it whole, as it was made")
    drawn = {}
    if "gain_overall" in dataset:
        drawn["figure4.png"] = figures.draw_pulse_figure(dataset, title)
        drawn["conditions.png"] = figures.draw_condition_gains(dataset, title)
        if "scan_gain" in dataset:
            drawn["dose_response.png"] = figures.draw_dose_response(dataset, title)
    elif "xi_x" not in dataset:
        drawn["samples.png"] = figures.draw_samples(dataset, title)
    elif "sigma" in dataset.dims:
        drawn["figure1.png"] = figures.draw_noise_levels(dataset, title)
        drawn["softening.png"] = figures.draw_relative_softening(dataset, title)
    else:
        beside = null_of_result(dataset) if null else None
        drawn["figure3.png"] = figures.draw_dynamics(dataset, title, null=beside)
    if "total_rate" in dataset:
        drawn["information.png"] = figures.draw_information(dataset, title=title)
    if "pattern" in dataset or "prototype" in dataset:
        drawn["snapshots.png"] = figures.draw_snapshots(dataset)
    elif dataset.sizes.get("snapshot_time"):
        drawn["denoising.png"] = figures.draw_denoising(dataset)
    if "dispersion" in dataset:
        drawn["locality.png"] = figures.draw_locality(dataset, title)
    if "sample_to_train" in dataset:
        drawn["statistics.png"] = figures.draw_fidelity(dataset)
    files = {directory / Path(name).with_suffix(f".{suffix}"): figure for name, figure in drawn.items()}
    for file, figure in files.items():
        figures.save_figure(figure, file)
    return list(files)


def critical_report(dataset: "xr.Dataset", model: "ClosedFormModel") -> str:
    """Predicted and measured critical times as an aligned table."""
    from .. import theory
    from ..models import GaussianModel, PatchModel

    names: dict[theory.CriticalCondition, str] = {
        "score": "score, log(1 + Omega) (eq. 30)",
        "eq17": "eq. 17 as printed",
        "drift": "drift Jacobian at x = 0",
        "renormalised": "drift, renormalised by white noise",
        "closure": "drift, Gaussian closure",
    }
    if isinstance(model, PatchModel):
        shape = dataset.sizes["y"], dataset.sizes["x"]
        columns = {
            f"Omega = {model.Omega:g}": theory.critical_times(K=model.dictionary.radius, schedule=model.schedule),
            f"{len(model.dictionary)} patterns": theory.critical_times(
                dictionary=model.dictionary, schedule=model.schedule
            ),
        }
        null = GaussianModel.from_dictionary(model.dictionary, shape, model.schedule).critical_time
        last = [f"  {'drift, Gaussian null: no transition':<34}{'':>14}{shown(null):>14}"]
    else:
        del names["closure"]
        columns = {f"Omega = {model.Omega:g}": theory.critical_times(Omega=model.Omega, schedule=model.schedule)}
        last = []
    lines = [f"{'predicted critical times':<36}" + "".join(f"{name:>14}" for name in columns)]
    lines += [
        f"  {label:<34}" + "".join(f"{shown(c[key]):>14}" for c in columns.values()) for key, label in names.items()
    ]
    return "\n".join([*lines, *last, *measured_lines(dataset), score_line(dataset, model)])


def score_line(dataset: "xr.Dataset", model: "ClosedFormModel") -> str:
    """Where the mean score's Jacobian changes sign along the uniform mode, which no choice of drift can move."""
    from ..analysis import zero_mode_crossing

    lambda_0 = dataset["mode_derivative"].sel(shell=0).isel(direction=slice(0, 2)).mean("direction")
    times = dataset["time"].to_numpy()
    found = zero_mode_crossing(times, lambda_0.to_numpy() + 0.5 * model.schedule.rate(times))
    return point_line("score Jacobian crosses zero", found)


def measured_lines(dataset: "xr.Dataset") -> list[str]:
    """The measured critical times, or noise levels, and the final correlation lengths, as lines of the table."""
    import numpy as np

    from ..analysis.critical_interval import FEWEST_TRAJECTORIES
    from ..analysis.critical_points import critical_points

    along = "sigma" if "sigma" in dataset.dims else "time"
    measured = critical_points(dataset)
    count = dataset.sizes["trajectory"]
    symbol = "t" if along == "time" else along
    lines = [f"{f'measured, median of {count}':<36}{symbol:>14}{'95 % interval':>20}{'found':>9}"]
    labels = {
        "zero_mode_crossing": "lambda_0 crosses zero (drift)",
        "softest_zero_mode": "|lambda_0| smallest",
        "equilibrium_length_peak": "xi_eq largest",
        "fastest_growth": "xi_x grows fastest",
    }
    lines += [point_line(label, measured[key]) for key, label in labels.items()]
    if count < FEWEST_TRAJECTORIES:
        lines.append(f"  no intervals: {count} trajectories carry none; expected at least {FEWEST_TRAJECTORIES}")
    final = dataset["xi_x"].isel({along: -1}).to_numpy()
    low, high = np.quantile(final, [0.25, 0.75])
    spread = f"{f'[{low:.3g}, {high:.3g}]':>20} quartiles" if count > 1 else ""
    lines.append(f"{'final xi_x (sites)':<36}{np.median(final):14.4g}{spread}")
    return lines


def shown(t: float, digits: str = ".4g") -> str:
    """A critical time as the tables print it."""
    return "none" if math.isnan(t) else format(t, digits)


def point_line(label: str, point: "CriticalPoint") -> str:
    """One critical time, its interval, and the share of the resamples in which it exists, as a line of the table."""
    interval = "" if math.isnan(point.low) else f"[{point.low:.4g}, {point.high:.4g}]"
    found = "" if math.isnan(point.found) else f"{100.0 * point.found:.0f} %"
    return f"  {label:<34}{shown(point.time):>14}{interval:>20}{found:>9}".rstrip()
