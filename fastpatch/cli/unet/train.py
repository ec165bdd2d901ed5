"""``fastpatch unet train``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import options
from . import common

__all__ = ["train"]


def train(
    grey: common.Grey = False,
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
        from ...neural.data import image_hash, load_images
        from ...neural.unet.settings import TrainingSettings
        from ...neural.unet.training import train as run

        target = options.chosen_device(device)

    settings = TrainingSettings(
        variant="grey" if grey else "binarised",
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        padding=padding,
        prediction=prediction,
        precision=options.chosen_precision(precision, target),
    )
    images = load_images("train", settings.variant, data)
    path = run(images, settings, out, device=target, data_sha256=image_hash("train"), earlier=earlier, progress=True)
    typer.echo(f"weights: {path}")
