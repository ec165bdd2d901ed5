"""Images from files: IDX as published with MNIST and its kin, NumPy arrays, folders of pictures."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInputError, ResultFileError

__all__ = ["binarised", "load_image_file"]

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")


def load_image_file(path: str | Path) -> NDArray[Any]:
    """Images (N, H, W) of an IDX file (plain or .gz), a .npy file, or a folder of pictures of one size, as stored.

    Pictures are read in the order of their names; colours become grey values 0 ... 255. Raises `ResultFileError` for
    a file that is missing, damaged or of another kind, and `InvalidInputError` for pictures of several sizes.
    """
    source = Path(path)
    try:
        if source.is_dir():
            images = _pictures(source)
        elif source.suffix == ".npy":
            images = np.load(source, allow_pickle=False)
        else:
            images = _idx(source)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, InvalidInputError | ResultFileError):
            raise
        raise ResultFileError(
            f"{source} cannot be read ({error}); expected an IDX or .npy file, or a folder of pictures"
        ) from None
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    if images.ndim != 3:
        raise InvalidInputError(f"{source} holds an array of shape {images.shape}; expected images (N, H, W)")
    return images


def binarised(images: NDArray[Any], threshold: float) -> NDArray[np.int8]:
    """+1 where a pixel exceeds the threshold, -1 elsewhere, int8."""
    return np.where(images > threshold, np.int8(1), np.int8(-1))


def _idx(source: Path) -> NDArray[Any]:
    content = source.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    # Two zero bytes, the element type (8: unsigned byte), the number of axes, then each length, big-endian.
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ResultFileError(
            f"{source} is no IDX file of bytes; expected an IDX or .npy file, or a folder of pictures"
        )
    axes = content[3]
    shape = tuple(map(int, np.frombuffer(content, dtype=">u4", count=axes, offset=4)))
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def _pictures(folder: Path) -> NDArray[Any]:
    # A dependency of Matplotlib's.
    from PIL import Image

    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _PICTURES)
    if not files:
        raise ResultFileError(f"{folder} holds no pictures; expected some with a name ending in {', '.join(_PICTURES)}")
    grey = []
    for file in files:
        with Image.open(file) as picture:
            grey.append(np.asarray(picture.convert("L")))
    shapes = sorted({image.shape for image in grey})
    if len(shapes) > 1:
        raise InvalidInputError(f"{folder} holds pictures of the shapes {shapes}; expected one shape")
    return np.stack(grey)
