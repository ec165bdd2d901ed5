"""Fashion-MNIST (Xiao et al., 2017) as fields in [-1, 1], verified byte for byte (paper App. D.1)."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import FastpatchError, InvalidInputError
from ..messages import reason

__all__ = [
    "CLASS_NAMES",
    "DATA_VARIABLE",
    "SIDE",
    "DataFileError",
    "Split",
    "Variant",
    "image_hash",
    "load_images",
    "load_labels",
    "pad_images",
]

Split = Literal["train", "test"]
Variant = Literal["binarised", "grey"]

SIDE = 28
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

DATA_VARIABLE = "FASTPATCH_DATA"
_HOME = "https://github.com/zalandoresearch/fashion-mnist"
_MIRRORS = (
    f"{_HOME}/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)


class DataFileError(FastpatchError, OSError):
    """A data file that is missing, damaged or cannot be downloaded."""


class _Published(NamedTuple):
    """One IDX file: its name, the number and the SHA-256 of its bytes, and the MD5 of the published gzip archive."""

    name: str
    length: int
    sha256: str
    archive_md5: str


_IMAGES: dict[Split, _Published] = {
    "train": _Published(
        "train-images-idx3-ubyte",
        16 + 60000 * SIDE**2,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    ),
    "test": _Published(
        "t10k-images-idx3-ubyte",
        16 + 10000 * SIDE**2,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "bef4ecab320f06d8554ea6380940ec79",
    ),
}
_LABELS: dict[Split, _Published] = {
    "train": _Published(
        "train-labels-idx1-ubyte",
        8 + 60000,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "25c81989df183df01b3e8a0aad5dffbe",
    ),
    "test": _Published(
        "t10k-labels-idx1-ubyte",
        8 + 10000,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
}


def load_images(
    split: Split = "train",
    variant: Variant = "binarised",
    data: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
) -> NDArray[np.float32]:
    """The 60 000 training or 10 000 test images as fields (N, 1, 28, 28), float32, in the published order.

    With p the grey value in [0, 1], the variant ``"binarised"`` is +1 where p > 0.5 and -1 elsewhere (App. D.1),
    and ``"grey"`` is 2 p - 1.

    ``data`` is a directory with the IDX files, plain or with the suffix ``.gz``; without it the environment
    variable FASTPATCH_DATA names one, and without that the file is downloaded once (26 MB) into the user's cache
    directory. In each case the decompressed bytes are checked against the published SHA-256. With ``download=False``
    a file that would have to be downloaded counts as missing.

    Raises `DataFileError` for a missing, truncated or altered file and for a failed download, and
    `InvalidInputError` for an unknown split or variant.
    """
    published = _of_split(_IMAGES, split)
    if variant not in get_args(Variant):
        raise InvalidInputError(f"variant is {variant!r}; expected one of {', '.join(get_args(Variant))}")
    grey = _read(published, data, download=download)
    if variant == "binarised":
        # p = grey / 255 > 0.5 in integers, free of rounding.
        fields = np.where(2 * grey.astype(np.uint16) > 255, np.float32(1.0), np.float32(-1.0))
    else:
        fields = grey / np.float32(127.5) - np.float32(1.0)
    return fields[:, None]


def load_labels(split: Split = "train", data: str | os.PathLike[str] | None = None) -> NDArray[np.uint8]:
    """The class, 0 ... 9, of each image of `load_images`, (N,); found, verified and failing likewise."""
    return _read(_of_split(_LABELS, split), data)


def pad_images(images: NDArray[np.float32], side: int = 32) -> NDArray[np.float32]:
    """Fields (..., H, W) centred on a ``side`` x ``side`` background of -1, for networks that halve their side often.

    Raises `InvalidInputError` where the margins are not whole numbers of at least 0 pixels, alike on both sides.
    """
    margins = [(side - length) / 2 for length in images.shape[-2:]]
    if any(margin < 0 or margin % 1 for margin in margins):
        raise InvalidInputError(
            f"images of {images.shape[-2]} x {images.shape[-1]} pixels have no centre in {side} x {side}; "
            "expected a larger side that differs by an even number"
        )
    widths = [(0, 0)] * (images.ndim - 2) + [(int(margin), int(margin)) for margin in margins]
    return np.pad(images, widths, constant_values=np.float32(-1.0))


def image_hash(split: Split = "train") -> str:
    """SHA-256 of the decompressed image file that `load_images` accepts."""
    return _of_split(_IMAGES, split).sha256


def _of_split(files: dict[Split, _Published], split: Split) -> _Published:
    if split not in files:
        raise InvalidInputError(f"split is {split!r}; expected one of {', '.join(files)}")
    return files[split]


def _read(published: _Published, data: str | os.PathLike[str] | None, *, download: bool = True) -> NDArray[np.uint8]:
    """The verified content of an IDX file as the array its header describes."""
    directory = os.fspath(data) if data is not None else os.environ.get(DATA_VARIABLE)
    path = _find(published.name, Path(directory).expanduser()) if directory else _cached(published, download)
    try:
        # The length is published, so that an archive of zeros is not unpacked to its end.
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(published.length + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(
            f"{path} cannot be read ({reason(error)}); expected {published.name} with SHA-256 {published.sha256}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != published.sha256:
        raise DataFileError(
            f"{path} holds {len(content)} bytes with SHA-256 {found}; "
            f"expected {published.name} with SHA-256 {published.sha256}, as published at {_HOME}"
        )
    # IDX: two zero bytes, the element type (8: unsigned byte), the number of axes, then each length, big-endian.
    n_axes = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=n_axes, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * n_axes).reshape(tuple(map(int, shape)))


def _find(name: str, directory: Path) -> Path:
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataFileError(f"{directory} holds neither {name} nor {name}.gz; expected one of them, from {_HOME}")


def _cached(published: _Published, download: bool) -> Path:
    """The published archive in the user's cache, fetched from the first mirror that delivers it."""
    try:
        import pooch
    except ImportError as error:
        raise DataFileError(
            'downloading Fashion-MNIST needs pooch; expected `pip install "fastpatch[neural]"`, or the files of '
            f"{_HOME} in a directory named by --data or {DATA_VARIABLE}"
        ) from error
    archive = f"{published.name}.gz"
    cache = pooch.os_cache("fastpatch") / "fashion-mnist"
    if not download and not (cache / archive).is_file():
        raise DataFileError(
            f"{published.name} is not on this machine; expected the files of {_HOME} in a directory named by --data "
            f"or {DATA_VARIABLE}"
        )
    failures: list[str] = []
    for mirror in _MIRRORS:
        try:
            path = pooch.retrieve(
                url=mirror + archive,
                known_hash=f"md5:{published.archive_md5}",
                fname=archive,
                path=cache,
            )
            return Path(path)
        except OSError as error:  # includes every error of requests and urllib3 that pooch lets through
            failures.append(f"{type(error).__name__} at {mirror}")
        except ValueError:
            failures.append(f"another MD5 than {published.archive_md5} at {mirror}")
    raise DataFileError(
        f"{archive} could not be downloaded ({', '.join(failures)}); to supply it by hand, put the files of "
        f"{_HOME}/tree/master/data/fashion into a directory and name it by --data or {DATA_VARIABLE}"
    )
