"""``fastpatch edm2 analyze``."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...messages import has_terminal
from .. import options
from ..experiment import publish
from . import common

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["analyze"]


def analyze(
    weights: common.Weights = None,
    classes: common.Classes = None,
    trajectories: Annotated[int, typer.Option(help="Independent trajectories of each class.")] = 4,
    steps: Annotated[int, typer.Option(help="Steps from sigma 80 to 0.002, then 0.")] = 32,
    shells: options.Shells = 6,
    derivatives: Annotated[
        Literal["jvp", "finite-difference"], typer.Option(help="Exact, or by the paper's differences.")
    ] = "jvp",
    per_channel: Annotated[bool, typer.Option("--per-channel", help="Modes of single channels, not of all.")] = False,
    seed: options.Seed = 0,
    batch: common.Batch = None,
    device: options.Device = "auto",
    out: options.Out = Path("runs/edm2-analysis"),
    quiet: options.Quiet = False,
) -> None:
    """Correlation length, mode softening and the critical noise level sigma_c along sampling runs (Fig. 1).

    Writes result.nc, figure1.png and softening.png.
    """
    with options.packages_for("analysing a network"):
        from ...neural import analyze as run

    from ...atomic import exclusive_directory

    net = common.load_network(weights, device)
    selected = common.parsed_classes(classes, net)
    with exclusive_directory(out, "run") as directory:
        begin = time.perf_counter()
        dataset = run(
            net, selected, trajectories, seed, steps=steps, shells=range(shells + 1), per_channel=per_channel,
            method=derivatives, batch=batch, progress=not quiet and has_terminal(),
        )  # fmt: skip
        simulated = time.perf_counter() - begin
        dataset.attrs["title"] = common.title(net, weights)
        publish(dataset, directory, _report, begin=begin, simulated=simulated)


def _report(dataset: "xr.Dataset") -> str:
    """The critical noise levels, and the dispersion at sigma_c, relative to that of free noise."""
    from ...analysis import CriticalPoint
    from ...reports import point_line, summary

    lines = summary(dataset).measured_lines()
    first = CriticalPoint(*(dataset.attrs[f"sigma_first{part}"] for part in ("", "_low", "_high", "_found")))
    lines.insert(-1, point_line("xi_eq, its first peak", first))
    sigma_c = dataset.attrs["sigma_c"]
    if not math.isnan(sigma_c):
        modes = dataset["mode_derivative"].sel(sigma=sigma_c, method="nearest").isel(direction=slice(0, 2))
        over = [dim for dim in modes.dims if dim not in ("trajectory", "shell")]
        relative = sigma_c * modes.mean(over).median("trajectory").to_numpy()
        label = f"sigma lambda_n at sigma_c, n = {modes['shell'].values[0]} … {modes['shell'].values[-1]}"
        lines.append(f"{label:<48}" + "  ".join(f"{value:.3g}" for value in relative))
    return "\n".join(lines)
