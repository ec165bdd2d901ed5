"""Options of the commands on images, and the images themselves."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InvalidInputError
from ...messages import tell
from .. import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...neural.data import Split

__all__ = ["HeldOut", "Images", "Threshold", "at_time", "both_sets", "training_images", "version_of"]

Images = Annotated[
    Path | None,
    typer.Option(help="Images: an IDX or .npy file or a folder of pictures; Fashion-MNIST by default."),
]
HeldOut = Annotated[
    Path | None, typer.Option(help="Images to denoise, with --images; Fashion-MNIST's test images by default.")
]
Threshold = Annotated[float, typer.Option(help="Grey value above which a pixel of --images counts as +1.")]


def at_time(quiet: bool) -> Callable[[str, float], None] | None:
    """Tells, unless ``quiet``, which denoiser is done at which time."""
    return None if quiet else lambda name, t: tell(f"{name}, t = {t:.3g}")


def version_of(images: "NDArray[np.float32]") -> str:
    """What tells denoisers that are made of these images from others of the same name."""
    return sha256(images.tobytes()).hexdigest()


def training_images(images: Path | None, threshold: float, data: Path | None) -> "NDArray[np.float32]":
    """Images (N, H, W) of +-1: those of a file, or Fashion-MNIST's training images."""
    return _found(images, "train", threshold, data)


def both_sets(
    images: Path | None, held_out: Path | None, count: int, threshold: float, data: Path | None
) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
    """All training images, and the first ``count`` held-out ones.

    Raises `InvalidInputError` where only one set is named, or the held-out images are fewer.
    """
    if (images is None) != (held_out is None):
        raise InvalidInputError("only one of --images and --held-out is given; expected both or neither")
    test = _found(held_out, "test", threshold, data)
    if not 1 <= count <= len(test):
        raise InvalidInputError(f"--count is {count}; expected 1 to {len(test)} held-out images")
    return training_images(images, threshold, data), test[:count]


def _found(path: Path | None, split: "Split", threshold: float, data: Path | None) -> "NDArray[np.float32]":
    import numpy as np

    from ...image_files import binarised, load_image_file

    if path is not None:
        return binarised(load_image_file(path), threshold).astype(np.float32)
    with options.packages_for("reading Fashion-MNIST"):
        from ...neural.data import load_images
    return load_images(split, "binarised", data)[:, 0]
