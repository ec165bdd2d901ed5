"""``fastpatch images train``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import options
from .common import Images, Threshold, training_images

__all__ = ["train"]


def train(
    images: Images = None,
    threshold: Threshold = 127.0,
    data: options.Data = None,
    out: Annotated[Path, typer.Option(help="Directory of checkpoint and weights.")] = Path("runs/images-train"),
    epochs: Annotated[int, typer.Option(help="Passes over the images, with one window of each.")] = 20,
    patch_size: Annotated[int, typer.Option(help="Odd side of what the network sees of a field.")] = 5,
    width: Annotated[int, typer.Option(help="Channels.")] = 64,
    depth: Annotated[int, typer.Option(help="Residual layers after the first.")] = 3,
    prediction: Annotated[
        Literal["image", "noise"], typer.Option(help="What the network says, and the error it is trained on.")
    ] = "image",
    crop: Annotated[int, typer.Option(help="Side of a window, in sites.")] = 8,
    batch_size: Annotated[int, typer.Option(help="Windows per optimiser step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="AdamW's, constant.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Fixes initial weights, order, windows, times and noise.")] = 0,
    precision: options.Precision = "auto",
    earlier: options.Earlier = None,
    device: options.Device = "auto",
) -> None:
    """Train a network that sees exactly one patch, or go on with an interrupted training found in --out.

    It may be stopped or killed at any time. After every epoch the weights, their moving average and the cards are in
    OUT/local-5.safetensors and OUT/local-5-ema0.100.safetensors.
    """
    with options.packages_for("training"):
        from ...neural.data import image_hash
        from ...neural.local.settings import LocalTrainingSettings
        from ...neural.local.training import train as run

        target = options.chosen_device(device)

    settings = LocalTrainingSettings(
        patch_size=patch_size,
        width=width,
        depth=depth,
        prediction=prediction,
        crop=crop,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        precision=options.chosen_precision(precision, target),
    )
    found = training_images(images, threshold, data)
    digest = image_hash("train") if images is None else None
    typer.echo(
        f"weights: {run(found, settings, out, device=target, data_sha256=digest, earlier=earlier, progress=True)}"
    )
