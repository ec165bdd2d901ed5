"""``fastpatch unet``: train the paper's U-Net on Fashion-MNIST (App. D)."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import BackendUnavailableError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The U-Net trained on Fashion-MNIST (App. D).")


@app.callback()
def _group() -> None:
    """Keeps ``train`` a sub-command even while it is the only one."""


@app.command()
def train(
    grey: Annotated[bool, typer.Option("--grey", help="Train on grey values instead of binarised ones.")] = False,
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
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="auto: bfloat16 where the device multiplies in it."),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train, or go on with an interrupted training of the same settings found in --out.

    It may be stopped or killed at any time. After every epoch the weights and their card are in
    OUT/unet-binarised.safetensors or OUT/unet-grey.safetensors.
    """
    try:
        from ..neural.data import image_hash, load_images
        from ..neural.devices import default_precision, resolve_device
        from ..neural.settings import TrainingSettings
        from ..neural.training import train as run
    except ImportError as error:
        raise BackendUnavailableError(
            f"training needs {error.name}, which is not installed; expected `pip install fastpatch[neural]`"
        ) from error

    target = resolve_device(None if device == "auto" else device)
    settings = TrainingSettings(
        variant="grey" if grey else "binarised",
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        padding=padding,
        precision=default_precision(target) if precision == "auto" else precision,
    )
    images = load_images("train", settings.variant, data)
    path = run(images, settings, out, device=target, data_sha256=image_hash("train"), progress=True)
    typer.echo(f"weights: {path}")
