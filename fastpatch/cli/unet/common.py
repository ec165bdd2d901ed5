"""What the commands on the U-Net have in common: which network, which images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...errors import InvalidInputError
from ...messages import tell
from .. import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...neural.data import Split, Variant
    from ...neural.torch_model import Method
    from ...neural.unet.model import UNetModel

__all__ = ["SIDE", "Grey", "Precision", "Prediction", "Weights", "find_images", "load_model", "title"]

Grey = Annotated[bool, typer.Option("--grey", help="Grey values instead of binarised ones.")]
Weights = Annotated[
    Path | None, typer.Option(help="A safetensors file of `fastpatch unet train`; else the one that is shipped.")
]
Prediction = Annotated[
    Literal["v", "epsilon"],
    typer.Option(
        help="Which of the networks that ship: the one that predicts v, or the paper's, which predicts the noise."
    ),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(help="Of runs and of derivatives by reverse mode, auto: bfloat16 where the device multiplies in it."),
]

SIDE = 28


def load_model(
    grey: bool,
    weights: Path | None,
    prediction: Literal["v", "epsilon"],
    device: str,
    precision: Literal["auto", "float32", "bfloat16"],
    method: "Method" = "vjp",
) -> "tuple[UNetModel, Variant]":
    """The network of the named file, or the one that is shipped, on ``device`` ("auto": CUDA where there is one).

    With which images it is compared with: those of ``grey``, which the file must not contradict.
    """
    with options.packages_for("the U-Net"):
        from ...neural.unet.model import UNetModel

        place = options.chosen_device(device)

    variant = _variant_of(grey, weights)
    chosen = options.chosen_precision(precision, place)
    if weights is None:
        model = UNetModel.shipped(variant, prediction, method=method, device=place, precision=chosen)
    else:
        model = UNetModel.load(weights, method=method, device=place, precision=chosen)
    return model, variant


def _variant_of(grey: bool, weights: Path | None) -> "Variant":
    """Which images a network is compared with: ``--grey``, which a file of weights that says must not contradict.

    Raises `InvalidInputError` where it does, and what `read_card` raises.
    """
    asked: Variant = "grey" if grey else "binarised"
    if weights is not None:
        from ...neural.unet.weights import read_card

        trained = read_card(weights).get("variant", asked)
        if trained != asked:
            raise InvalidInputError(
                f"{weights} was trained on {trained} images; expected it {'without' if grey else 'with'} --grey"
            )
    return asked


def title(model: "UNetModel") -> str:
    """What the figures are of."""
    card = before = model.card
    epochs = str(card.get("epochs"))
    while before := before.get("continues") or {}:
        # Of weights that predict something else: their card keeps its architecture, and their epochs are not counted.
        if "architecture" in before:
            epochs = f"{before['epochs']} + {epochs}"
    plural = "" if epochs == "1" else "s"
    of_v = ", predicting v" if model.net.prediction == "v" else ""
    return f"U-Net{of_v}, {card.get('variant')} Fashion-MNIST, {epochs} epoch{plural} of training"


def find_images(split: "Split", variant: "Variant", data: Path | None) -> "NDArray[np.float32] | None":
    """The images (n, 28, 28) if they are on this machine, else None and a line on standard error.

    A directory that the user names must hold them.
    """
    from ...neural.data import DataFileError, load_images

    try:
        return load_images(split, variant, data, download=False)[:, 0]
    except DataFileError as error:
        if data is not None:
            raise
        tell(f"fastpatch: nothing is compared with the data, because {error}")
        return None
