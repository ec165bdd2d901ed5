"""What the commands on EDM2 networks have in common: which network, which classes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...errors import InvalidInputError
from ...messages import tell
from .. import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...neural.edm2 import EDM2Network

__all__ = [
    "Batch",
    "Classes",
    "GuideName",
    "Weights",
    "load_guide",
    "load_network",
    "parsed_classes",
    "title",
    "training_images",
]

Weights = Annotated[
    str | None,
    typer.Option(help="A network's file (.safetensors or .pkl), or a release by name; else the one that is shipped."),
]
Classes = Annotated[
    str | None,
    typer.Option(help="Indices and ranges, such as 0-3,7; by default all, or ten spread evenly if there are more."),
]
GuideName = Annotated[
    str, typer.Option(help="D_u: zero-label, the network without a label, or a network as in --weights.")
]
Batch = Annotated[int | None, typer.Option(help="Most images at once, less if memory asks for it.")]


def load_network(weights: str | None, device: str) -> "EDM2Network":
    """The network of a file or release, or the one that is shipped, on ``device`` ("auto": CUDA where there is one)."""
    with options.packages_for("a network"):
        from ...neural.edm2 import load, shipped_network

        target = options.chosen_device(device)

    return load(shipped_network() if weights is None else weights).to(target)


def load_guide(name: str, device: str) -> "EDM2Network | Literal['zero-label']":
    """What ``--guide`` names, a network as `load_network` finds it."""
    return "zero-label" if name == "zero-label" else load_network(name, device)


def training_images(
    net: "EDM2Network", data: Path | None
) -> "tuple[NDArray[np.float32], NDArray[np.uint8]] | tuple[None, None]":
    """Fashion-MNIST's training images on the network's lattice, and their classes, if they are on this machine.

    Else a pair of None, and a line on standard error. A directory that the user names must hold them. Raises
    `InvalidInputError` for a network of other images.
    """
    from ...neural.data import DataFileError, load_images, load_labels, pad_images

    if net.img_channels != 1 or net.label_dim not in (0, 10):
        raise InvalidInputError(
            f"the network is for {net.img_channels} channels and {net.label_dim} classes; expected 1 and 10, or none, "
            "to compare it with Fashion-MNIST"
        )
    try:
        images = load_images("train", "grey", data, download=False)
        return pad_images(images, net.img_resolution), load_labels("train", data)
    except DataFileError as error:
        if data is not None:
            raise
        tell(f"fastpatch: no Gaussian null stands beside the network, because {error}")
        return None, None


def title(net: "EDM2Network", weights: str | None) -> str:
    """What the figures are of."""
    name = "Fashion-MNIST" if weights is None else Path(weights).stem
    return f"EDM2, {name}, {net.img_channels}x{net.img_resolution}x{net.img_resolution}"


def parsed_classes(text: str | None, net: "EDM2Network") -> list[int] | None:
    """The indices that ``text`` lists; None stays None.

    Raises `InvalidInputError` for anything but indices of the network's labels and ranges of them.
    """
    if text is None:
        return None
    found: list[int] = []
    for word in text.split(","):
        first, dash, last = word.strip().partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise InvalidInputError(f"classes is {text!r}; expected indices and ranges, such as 0-3,7") from None
        if not 0 <= low <= high < net.label_dim:
            raise InvalidInputError(
                f"classes holds {word.strip()!r}; expected indices from 0 to {net.label_dim - 1}, in rising ranges"
                if net.label_dim
                else "classes are given for a network without labels; expected none"
            )
        found.extend(range(low, high + 1))
    return found
