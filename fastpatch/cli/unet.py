"""``fastpatch unet``: train the paper's U-Net on Fashion-MNIST (App. D), sample from it, and analyse it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The U-Net trained on Fashion-MNIST (App. D).")

_Grey = Annotated[bool, typer.Option("--grey", help="Grey values instead of binarised ones.")]
_Weights = Annotated[
    Path | None, typer.Option(help="A safetensors file of `fastpatch unet train`; else the one that is shipped.")
]

_Prediction = Annotated[
    Literal["v", "epsilon"],
    typer.Option(
        help="Which of the networks that ship: the one that predicts v, or the paper's, which predicts the noise."
    ),
]

_RunPrecision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(
        help="Of evaluations along runs, auto: bfloat16 where the device multiplies in it. Derivatives are float32."
    ),
]

_SIDE = 28


@app.command()
def train(
    grey: _Grey = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with the IDX files; else $FASTPATCH_DATA, else downloaded once."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory of checkpoint and weights.")] = Path("runs/unet"),
    epochs: Annotated[int, typer.Option(help="Passes over the 60 000 images.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Images per optimiser step.")] = 256,
    learning_rate: Annotated[float, typer.Option(help="AdamW's, constant.")] = 2e-4,
    seed: Annotated[int, typer.Option(help="Fixes initial weights, order, times and noise.")] = 0,
    padding: Annotated[Literal["zeros", "circular"], typer.Option(help="Of every 3x3 convolution.")] = "zeros",
    prediction: Annotated[
        Literal["epsilon", "v"],
        typer.Option(help="What the last layer gives: the paper's noise, or v, of which it is exact at large t."),
    ] = "epsilon",
    precision: options.Precision = "auto",
    earlier: options.Earlier = None,
    device: options.Device = "auto",
) -> None:
    """Train, or go on with an interrupted training of the same settings found in --out.

    It may be stopped or killed at any time. After every epoch the weights and their card are in
    OUT/unet-binarised.safetensors or OUT/unet-grey.safetensors, with -v before the dot where it predicts v.
    """
    with options.packages_for("training"):
        from ..neural.data import image_hash, load_images
        from ..neural.devices import default_precision, resolve_device
        from ..neural.unet.settings import TrainingSettings
        from ..neural.unet.training import train as run

    target = resolve_device(None if device == "auto" else device)
    settings = TrainingSettings(
        variant="grey" if grey else "binarised",
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        padding=padding,
        prediction=prediction,
        precision=default_precision(target) if precision == "auto" else precision,
    )
    images = load_images("train", settings.variant, data)
    path = run(images, settings, out, device=target, data_sha256=image_hash("train"), earlier=earlier, progress=True)
    typer.echo(f"weights: {path}")


@app.command()
def analyze(
    grey: _Grey = False,
    weights: _Weights = None,
    prediction: _Prediction = "v",
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
    precision: _RunPrecision = "auto",
    device: options.Device = "auto",
    out: options.Out = Path("runs/unet-analysis"),
    quiet: options.Quiet = False,
) -> None:
    """Correlation length, mode softening and local response along reverse runs (Figs. 3 bottom and 6; --grey: 7).

    Writes result.nc, figure3.png, denoising.png and locality.png. Where the training images are found, their Gaussian
    null stands beside the network.
    """
    from ..process import log_time_grid
    from ..validation import integer
    from . import network
    from .experiment import run_experiment

    integer(probes, "probes", minimum=2)
    integer(sites, "sites", minimum=1, maximum=_SIDE**2)
    model, variant = network.unet_model(grey, weights, prediction, device, precision, derivatives)
    times = log_time_grid(t_max, t_min, steps)
    images = network.find_images("train", variant, data)
    run_experiment(
        model,
        out,
        network.title(model),
        report=lambda dataset: network.analysis_report(dataset, model),
        extend=lambda dataset: network.locality(
            model,
            dataset if images is None else network.beside_data(dataset, images, model, null=null),
            probes=probes,
            sites=sites,
            seed=seed,
            quiet=quiet,
        ),
        quiet=quiet,
        null=null,
        shape=(_SIDE, _SIDE),
        trajectories=trajectories,
        times=times,
        seed=seed,
        record_every=record_every,
        snapshots=network.response_times(times, record_every),
        shells=range(shells + 1),
        solver=solver,
    )


@app.command()
def sample(
    grey: _Grey = False,
    weights: _Weights = None,
    prediction: _Prediction = "v",
    data: options.Data = None,
    count: Annotated[int, typer.Option(help="Number of samples.")] = 64,
    t_max: options.TMax = 10.0,
    t_min: options.TMin = 1e-3,
    steps: options.Steps = 80,
    solver: options.SolverName = "euler-maruyama",
    seed: options.Seed = 0,
    precision: _RunPrecision = "auto",
    device: options.Device = "auto",
    out: options.Out = Path("runs/unet-samples"),
    quiet: options.Quiet = False,
) -> None:
    """A grid of samples, their denoising, and their statistics beside the data's where the data is found.

    At t = 10 nothing of the data is left, and 80 steps from there give the statistics of 500 from t = 50 within errors
    (docs/networks.md). Writes result.nc, samples.png, denoising.png and statistics.png.
    """
    from ..process import log_time_grid
    from . import network
    from .experiment import run_experiment

    model, variant = network.unet_model(grey, weights, prediction, device, precision)
    train_images, test_images = (network.find_images(split, variant, data) for split in ("train", "test"))
    run_experiment(
        model,
        out,
        network.title(model),
        report=network.sample_report,
        extend=lambda dataset: network.sample_statistics(
            dataset, train_images, test_images, binarised=variant == "binarised", seed=seed
        ),
        quiet=quiet,
        shape=(_SIDE, _SIDE),
        trajectories=count,
        times=log_time_grid(t_max, t_min, steps),
        seed=seed,
        record_every=steps,
        snapshots=min(10, steps + 1),
        observables=["magnetization"],
        solver=solver,
    )
