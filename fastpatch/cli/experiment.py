"""What `patch` and `empirical` have in common: run, write, draw, report."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import xarray as xr

    from ..models import PosteriorMeanModel

__all__ = ["critical_report", "run_experiment", "set_threads"]


def set_threads(threads: int | None) -> None:
    """Limit Numba's threads; `InvalidInputError` outside 1 … the machine's number."""
    import numba
    from numba.core import config

    if threads is not None:
        most = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at run time
        if not 1 <= threads <= most:
            raise InvalidInputError(f"threads is {threads}; expected a number from 1 to {most}")
        numba.set_num_threads(threads)


def run_experiment(model: "PosteriorMeanModel", out: Path, title: str, *, quiet: bool, **arguments: Any) -> None:
    """Simulate, write ``result.nc`` and the two figures into ``out``, and print the table of critical times."""
    from ..atomic import writable_directory

    directory = writable_directory(out)
    from ..results import save
    from ..simulation import simulate

    begin = time.perf_counter()
    dataset = simulate(model, progress=not quiet and sys.stderr.isatty(), **arguments)
    simulated = time.perf_counter() - begin
    dataset.attrs["title"] = title
    save(dataset, directory / "result.nc")
    written = draw_figures(dataset, directory)
    print(critical_report(dataset, model))
    print(f"{'wall time (s)':<36}{time.perf_counter() - begin:14.2f}     simulation: {simulated:.2f}")
    print("wrote " + ", ".join(str(path) for path in (directory / "result.nc", *written)))


def draw_figures(dataset: "xr.Dataset", directory: Path) -> list[Path]:
    """Draw the figures of a result from the dataset alone; their paths."""
    from ..analysis.figures import draw_dynamics, draw_snapshots, save_figure

    paths = [directory / "figure3.png", directory / "snapshots.png"]
    save_figure(draw_dynamics(dataset, dataset.attrs.get("title")), paths[0])
    save_figure(draw_snapshots(dataset), paths[1])
    return paths


def critical_report(dataset: "xr.Dataset", model: "PosteriorMeanModel") -> str:
    """Predicted and measured critical times as an aligned table."""
    import numpy as np

    from .. import theory
    from ..analysis import critical_points
    from ..models import PatchModel

    zero_mode = dataset["mode_derivative"].sel(shell=0).isel(direction=slice(0, 2)).mean("direction").to_numpy()
    measured = critical_points(
        dataset["time"].to_numpy(), dataset["xi_x"].to_numpy(), dataset["xi_eq"].to_numpy(), zero_mode
    )
    columns = {f"Omega = {model.Omega:g}": theory.critical_times(Omega=model.Omega, schedule=model.schedule)}
    if isinstance(model, PatchModel):
        exact = theory.critical_times(dictionary=model.dictionary, schedule=model.schedule)
        columns[f"{len(model.dictionary)} patterns"] = exact
    names: dict[theory.CriticalCondition, str] = {
        "score": "score, log(1 + Omega) (eq. 30)",
        "eq17": "eq. 17 as printed",
        "drift": "drift Jacobian at x = 0",
        "renormalised": "renormalised by fluctuations",
    }
    lines = [f"{'predicted critical times':<36}" + "".join(f"{name:>14}" for name in columns)]
    lines += [f"  {label:<34}" + "".join(f"{c[key]:14.4g}" for c in columns.values()) for key, label in names.items()]
    count = dataset.sizes["trajectory"]
    lines.append(f"{f'measured, median of {count}':<36}{'t':>14}     bootstrap interval (nominally 95 %)")
    labels = {
        "zero_mode_crossing": "lambda_0 crosses zero",
        "softest_zero_mode": "|lambda_0| smallest",
        "equilibrium_length_peak": "xi_eq largest",
        "fastest_growth": "xi_x grows fastest",
    }
    for key, label in labels.items():
        point = measured[key]
        value = "none" if np.isnan(point.time) else f"{point.time:.4g}"
        interval = "" if np.isnan(point.low) else f"     [{point.low:.4g}, {point.high:.4g}]"
        lines.append(f"  {label:<34}{value:>14}{interval}")
    final = dataset["xi_x"].isel(time=-1).to_numpy()
    each = ", ".join(f"{value:.2f}" for value in final[:8]) + (" …" if count > 8 else "")
    lines.append(f"{'final xi_x (sites)':<36}{np.median(final):14.4g}     each: {each}")
    return "\n".join(lines)
