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

__all__ = ["analyze", "report"]


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
    null: options.Null = True,
    data: options.Data = None,
    batch: common.Batch = None,
    device: options.Device = "auto",
    out: options.Out = Path("runs/edm2-analysis"),
    quiet: options.Quiet = False,
) -> None:
    """Correlation length, mode softening and the critical noise level sigma_c along sampling runs (Fig. 1).

    Writes result.nc, figure1.png and softening.png. The shipped network, trained on Fashion-MNIST, stands beside the
    Gaussian null of its images, by class, where they are found; any network of their size does with --data.
    """
    with options.packages_for("analysing a network"):
        from ...neural import analyze as run

    from ...atomic import exclusive_directory

    net = common.load_network(weights, device)
    selected = common.parsed_classes(classes, net)
    images, labels = (
        common.training_images(net, data) if null and (weights is None or data is not None) else (None,) * 2
    )
    with exclusive_directory(out, "run") as directory:
        begin = time.perf_counter()
        dataset = run(
            net, selected, trajectories, seed, steps=steps, shells=range(shells + 1), per_channel=per_channel,
            method=derivatives, images=images, image_labels=labels, null=null, batch=batch,
            progress=not quiet and has_terminal(),
        )  # fmt: skip
        simulated = time.perf_counter() - begin
        dataset.attrs["title"] = common.title(net, weights)
        publish(dataset, directory, report, begin=begin, simulated=simulated, null=null)


def report(dataset: "xr.Dataset") -> str:
    """The critical noise levels, and the dispersion at sigma_c, relative to that of free noise."""
    import numpy as np

    from ...analysis import CriticalPoint, equilibrium_length_peak
    from ...analysis.figures.dynamics import shell_curves
    from ...reports import point_line, summary

    lines = summary(dataset).measured_lines()
    first = CriticalPoint(*(dataset.attrs[f"sigma_first{part}"] for part in ("", "_low", "_high", "_found")))
    lines.insert(-1, point_line("xi_eq, its first peak", first))
    beside = "null_posterior_variance" in dataset
    if beside:
        peak = equilibrium_length_peak(
            dataset["sigma"].to_numpy(), dataset["null_xi_eq"].transpose("trajectory", "sigma").to_numpy(),
            1.0 - shell_curves(dataset, "null_posterior_variance")[1][..., 0],
        )  # fmt: skip
        lines.insert(-1, point_line("xi_eq largest, Gaussian null", peak))
    sigma_c = dataset.attrs["sigma_c"]
    if not math.isnan(sigma_c):
        shells, curves = shell_curves(dataset)
        at = int(abs(dataset["sigma"].to_numpy() - sigma_c).argmin())
        rows = {f"sigma lambda_n at sigma_c, n = {shells[0]} … {shells[-1]}": sigma_c * curves[:, at]}
        if beside:
            rows["  the same, Gaussian null"] = 1.0 - shell_curves(dataset, "null_posterior_variance")[1][:, at]
        lines += [
            f"{label:<48}" + "  ".join(f"{value:.3g}" for value in np.median(relative, axis=0))
            for label, relative in rows.items()
        ]
    return "\n".join(lines)
