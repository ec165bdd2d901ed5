"""``fastpatch unet analyze``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import options
from . import common

__all__ = ["analyze"]


def analyze(
    grey: common.Grey = False,
    weights: common.Weights = None,
    prediction: common.Prediction = "v",
    data: options.Data = None,
    t_max: options.TMax = 50.0,
    t_min: options.TMin = 1e-3,
    steps: options.Steps = 250,
    solver: options.SolverName = "euler-maruyama",
    trajectories: options.Trajectories = 8,
    shells: options.Shells = 6,
    seed: options.Seed = 0,
    record_every: options.RecordEvery = 6,
    derivatives: Annotated[
        Literal["vjp", "jvp", "finite-difference"],
        typer.Option(help="Exact by reverse or by forward mode, or by the paper's differences."),
    ] = "vjp",
    probes: Annotated[int, typer.Option(help="Random-phase probes of the dispersion, a field and time.")] = 8,
    sites: Annotated[int, typer.Option(help="Sites whose receptive field is taken, a field and time.")] = 16,
    null: options.Null = True,
    precision: common.Precision = "auto",
    device: options.Device = "auto",
    out: options.Out = Path("runs/unet-analysis"),
    quiet: options.Quiet = False,
) -> None:
    """Correlation length, mode softening and local response along reverse runs (Figs. 3 bottom and 6; --grey: 7).

    Writes result.nc, figure3.png, denoising.png and locality.png. Where the training images are found, their Gaussian
    null stands beside the network.
    """
    from ...process import log_time_grid
    from ...validation import integer
    from ..experiment import run_experiment
    from .analysis_report import analysis_report, beside_data, locality, response_times

    integer(probes, "probes", minimum=2)
    integer(sites, "sites", minimum=1, maximum=common.SIDE**2)
    model, variant = common.load_model(grey, weights, prediction, device, precision, derivatives)
    times = log_time_grid(t_max, t_min, steps)
    images = common.find_images("train", variant, data)
    run_experiment(
        model,
        out,
        common.title(model),
        report=lambda dataset: analysis_report(dataset, model),
        extend=lambda dataset: locality(
            model,
            dataset if images is None else beside_data(dataset, images, model, null=null),
            probes=probes,
            sites=sites,
            seed=seed,
            quiet=quiet,
        ),
        quiet=quiet,
        null=null,
        shape=(common.SIDE, common.SIDE),
        trajectories=trajectories,
        times=times,
        seed=seed,
        record_every=record_every,
        snapshots=response_times(times, record_every),
        shells=range(shells + 1),
        solver=solver,
    )
