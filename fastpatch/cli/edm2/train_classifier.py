"""``fastpatch edm2 train-classifier``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import options

__all__ = ["train_classifier"]


def train_classifier(
    data: options.Data = None,
    out: Annotated[Path, typer.Option(help="Directory of checkpoint and weights.")] = Path("runs/classifier"),
    epochs: Annotated[int, typer.Option(help="Passes over the images.")] = 8,
    batch_size: Annotated[int, typer.Option(help="Images per optimiser step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="AdamW's largest.")] = 4e-3,
    weight_decay: Annotated[float, typer.Option(help="AdamW's.")] = 0.05,
    held_out: Annotated[int, typer.Option(help="Training images kept for the temperature.")] = 5000,
    seed: Annotated[int, typer.Option(help="Fixes initial weights, order and shifts.")] = 0,
    precision: options.Precision = "auto",
    architecture: Annotated[
        Literal["convolutional", "perceptron"],
        typer.Option(help="The two share no kind of layer."),
    ] = "convolutional",
    device: options.Device = "auto",
) -> None:
    """Train the classifier that scores Fashion-MNIST samples, or go on with a training found in --out.

    Weights and card, with the accuracy and calibration on the test set, are in OUT/classifier.safetensors.
    """
    with options.packages_for("training"):
        from ...neural.classifiers.training import ClassifierSettings
        from ...neural.classifiers.training import train_classifier as run
        from ...neural.data import image_hash, load_images, load_labels
        from ...neural.tensor_file import read_card

        target = options.chosen_device(device)

    settings = ClassifierSettings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        held_out=held_out,
        seed=seed,
        precision=options.chosen_precision(precision, target),
        architecture=architecture,
    )
    path = run(
        load_images("train", "grey", data),
        load_labels("train", data),
        load_images("test", "grey", data),
        load_labels("test", data),
        settings,
        out,
        device=target,
        data_sha256=image_hash("train"),
        progress=True,
    )
    card = read_card(path)
    typer.echo(
        f"weights: {path} (test accuracy {card['test_accuracy']:.4f}, "
        f"calibration error {card['test_calibration_error']:.4f})"
    )
