"""``fastpatch edm2 train``."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ...errors import InvalidInputError
from .. import options

__all__ = ["train"]

_Number = TypeVar("_Number", int, float)


def train(
    data: options.Data = None,
    out: Annotated[Path, typer.Option(help="Directory of checkpoint and weights.")] = Path("runs/edm2"),
    epochs: Annotated[int, typer.Option(help="Passes over the 60 000 images.")] = 12,
    batch_size: Annotated[int, typer.Option(help="Images per optimiser step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Adam's, before it falls.")] = 0.01,
    reference_steps: Annotated[int, typer.Option(help="Steps after which the rate falls as 1/sqrt(step).")] = 500,
    rampup_steps: Annotated[int, typer.Option(help="Steps of its linear rise.")] = 100,
    label_dropout: Annotated[float, typer.Option(help="Share of images shown without label.")] = 0.25,
    p_mean: Annotated[float, typer.Option(help="Mean of log sigma in training.")] = -0.5,
    p_std: Annotated[float, typer.Option(help="Standard deviation of log sigma in training.")] = 2.2,
    sigma_rel: Annotated[
        str, typer.Option(help="Widths of the weights' averages, shares of the training; the first is used.")
    ] = "0.05,0.1",
    seed: Annotated[int, typer.Option(help="Fixes initial weights, order, noise and labels dropped.")] = 0,
    precision: options.Precision = "auto",
    model_channels: Annotated[int, typer.Option(help="Width of the network.")] = 32,
    channel_mult: Annotated[str, typer.Option(help="Width of each level, in units of --model-channels.")] = "1,1,2,4",
    num_blocks: Annotated[int, typer.Option(help="Residual blocks a level.")] = 1,
    attn_resolutions: Annotated[str, typer.Option(help="Sides at which blocks attend.")] = "8",
    channels_per_head: Annotated[int, typer.Option(help="Width of an attention head.")] = 64,
    earlier: options.Earlier = None,
    device: options.Device = "auto",
) -> None:
    """Train a class-conditional network on Fashion-MNIST padded to 32 x 32, or go on with a training found in --out.

    It may be stopped or killed at any time. After every epoch the averaged weights and their card are in
    OUT/edm2.safetensors.
    """
    with options.packages_for("training"):
        from ...neural.data import image_hash, load_images, load_labels, pad_images
        from ...neural.edm2.settings import EDM2Settings
        from ...neural.edm2.training import train as run

        target = options.chosen_device(device)

    settings = EDM2Settings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        reference_steps=reference_steps,
        rampup_steps=rampup_steps,
        label_dropout=label_dropout,
        p_mean=p_mean,
        p_std=p_std,
        sigma_rel=_numbers(sigma_rel, "sigma_rel", float),
        seed=seed,
        precision=options.chosen_precision(precision, target),
        model_channels=model_channels,
        channel_mult=_numbers(channel_mult, "channel_mult", int),
        num_blocks=num_blocks,
        attn_resolutions=_numbers(attn_resolutions, "attn_resolutions", int),
        channels_per_head=channels_per_head,
    )
    path = run(
        pad_images(load_images("train", "grey", data)),
        load_labels("train", data),
        settings,
        out,
        device=target,
        data_sha256=image_hash("train"),
        earlier=earlier,
        progress=True,
    )
    typer.echo(f"weights: {path}")


def _numbers(text: str, name: str, kind: type[_Number]) -> tuple[_Number, ...]:
    try:
        return tuple(kind(word) for word in text.split(","))
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise InvalidInputError(f"{name} is {text!r}; expected {what} separated by commas") from None
