"""``fastpatch unet sample``."""

from pathlib import Path
from typing import Annotated

import typer

from .. import options
from . import common

__all__ = ["sample"]


def sample(
    grey: common.Grey = False,
    weights: common.Weights = None,
    prediction: common.Prediction = "v",
    data: options.Data = None,
    count: Annotated[int, typer.Option(help="Number of samples.")] = 64,
    t_max: options.TMax = 10.0,
    t_min: options.TMin = 1e-3,
    steps: options.Steps = 80,
    solver: options.SolverName = "euler-maruyama",
    seed: options.Seed = 0,
    precision: common.Precision = "auto",
    device: options.Device = "auto",
    out: options.Out = Path("runs/unet-samples"),
    quiet: options.Quiet = False,
) -> None:
    """A grid of samples, their denoising, and their statistics beside the data's where the data is found.

    At t = 10 nothing of the data is left, and 80 steps from there give the statistics of 500 from t = 50 within errors
    (docs/networks.md). Writes result.nc, samples.png, denoising.png and statistics.png.
    """
    from ...process import log_time_grid
    from ..experiment import run_experiment
    from .sample_report import sample_report, sample_statistics

    model, variant = common.load_model(grey, weights, prediction, device, precision)
    train_images, test_images = (common.find_images(split, variant, data) for split in ("train", "test"))
    run_experiment(
        model,
        out,
        common.title(model),
        report=sample_report,
        extend=lambda dataset: sample_statistics(
            dataset, train_images, test_images, binarised=variant == "binarised", seed=seed
        ),
        quiet=quiet,
        shape=(common.SIDE, common.SIDE),
        trajectories=count,
        times=log_time_grid(t_max, t_min, steps),
        seed=seed,
        record_every=steps,
        snapshots=min(10, steps + 1),
        observables=["magnetization"],
        solver=solver,
    )
