"""The distinct patches of a set of images and how often each occurs."""

from collections.abc import Callable, Iterator, Set
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from .errors import DtypeError, InvalidInputError
from .sign_patterns import code_dtype, decode
from .validation import integer, plain_array

__all__ = ["MOST_PATTERN_BYTES", "Boundary", "checked_images", "coded_patches", "colocated_codes", "grey_patches"]
__all__ += ["of_classes", "overlap_shapes", "padded_codes", "padded_patches"]

Boundary = Literal["periodic", "interior", "padded"]

# Beyond this, patterns are not written out as arrays of float64.
MOST_PATTERN_BYTES = 2 * 2**30

# Patches sorted at a time: what sorting takes beside the result is some ten bytes each.
_CHUNK = 2**23


def checked_images(images: ArrayLike, size: Any, boundary: str) -> tuple[NDArray[Any], int, bool]:
    """Images (N, H, W), the patch size, and whether all pixels are +-1.

    Raises `InvalidInputError` or `DtypeError` for pixels that are no finite real numbers, a shape other than (N, H, W)
    or (N, 1, H, W), no images, sides shorter than a patch, an even size, or an unknown boundary.
    """
    if boundary not in get_args(Boundary):
        raise InvalidInputError(f"boundary is {boundary!r}; expected one of {', '.join(get_args(Boundary))}")
    side = integer(size, "size", minimum=1)
    if side % 2 == 0:
        raise InvalidInputError(f"size is {side}; expected an odd patch size")
    found = plain_array(images, "images")
    if found.dtype.kind not in "iuf":
        raise DtypeError(f"images has dtype {found.dtype.name}; expected real numbers")
    if found.ndim == 4 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 3 or len(found) == 0:
        raise InvalidInputError(f"images has shape {np.shape(images)}; expected (N, H, W) with N >= 1 images")
    if min(found.shape[1:]) < side:
        raise InvalidInputError(
            f"images are {found.shape[1]}x{found.shape[2]}; expected sides of at least the patch size {side}"
        )
    signs = True
    for first in range(0, len(found), 4096):
        part = found[first : first + 4096]
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            at = tuple(map(int, np.argwhere(~np.isfinite(part))[0]))
            raise InvalidInputError(
                f"images holds {part[at]} at index {(first + at[0], *at[1:])}; expected finite numbers"
            )
        signs = signs and bool((np.abs(part) == 1).all())
    return found, side, signs


def of_classes(images: NDArray[Any], labels: NDArray[Any], classes: Any) -> NDArray[Any]:
    """The images (N, ...) whose entry of ``labels`` (N,) is among ``classes``, a label or a collection of them."""
    if labels.shape != (len(images),):
        raise InvalidInputError(f"labels has shape {labels.shape}; expected ({len(images)},), one an image")
    # A set would be one object to NumPy.
    wanted = np.atleast_1d(plain_array(list(classes) if isinstance(classes, Set) else classes, "classes"))
    chosen = np.isin(labels, wanted)
    if not chosen.any():
        raise InvalidInputError(f"no image has a label among {wanted.tolist()}; expected labels that occur")
    return images[chosen]


def coded_patches(images: NDArray[Any], size: int, boundary: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sorted codes of the distinct patches of images of +-1, ``"periodic"`` or ``"interior"``, and their counts."""
    dtype, periodic = code_dtype(size), boundary == "periodic"

    def codes(part: NDArray[Any]) -> NDArray[Any]:
        radius = size // 2
        bits = (part > 0).astype(dtype)
        if periodic:
            bits = np.pad(bits, [(0, 0), (radius, radius), (radius, radius)], mode="wrap")
        return _window_codes(bits, size)

    return _counted(images, codes)


def colocated_codes(
    images: NDArray[Any], size: int, periodic: bool
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct codes at every site of images of +-1, row by row, their counts, and where those of a site begin.

    Pixels outside have the bits of -1 unless they are ``periodic``.
    """
    dtype, radius = code_dtype(size), size // 2
    height = images.shape[1]
    codes, counts = [], []
    for row in range(height):
        rows = np.arange(row - radius, row + radius + 1)
        bits = (images[:, rows % height] > 0).astype(dtype)
        if not periodic:
            bits[:, (rows < 0) | (rows >= height)] = 0
        bits = np.pad(bits, [(0, 0), (0, 0), (radius, radius)], mode="wrap" if periodic else "constant")
        for column in np.ascontiguousarray(_window_codes(bits, size)[:, 0].T):
            found, number = np.unique(column, return_counts=True)
            codes.append(found)
            counts.append(number)
    starts = np.concatenate([[0], np.cumsum([len(found) for found in codes])])
    return np.concatenate(codes), np.concatenate(counts), starts


def overlap_shapes(height: int, width: int, size: int) -> NDArray[np.int64]:
    """Which pixels of the patch around a site lie within an image, numbered 0 ... P P - 1: (H, W)."""
    radius = size // 2
    rows, columns = (
        np.minimum(np.arange(n), radius) - np.minimum(n - 1 - np.arange(n), radius) + radius for n in (height, width)
    )
    return np.asarray(rows[:, None] * size + columns[None, :])


def padded_codes(images: NDArray[Any], size: int) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """Distinct patches of images of +-1 that may reach beyond them: overlap shapes, codes and counts, (K,) each.

    Sorted by shape; pixels outside have the bits of -1.
    """
    radius, word = size // 2, np.uint64
    shapes = overlap_shapes(images.shape[1], images.shape[2], size).ravel().astype(word) << word(size * size)

    def keys(part: NDArray[Any]) -> NDArray[Any]:
        bits = np.pad((part > 0).astype(word), [(0, 0), (radius, radius), (radius, radius)])
        return np.asarray(_window_codes(bits, size).reshape(len(part), -1) | shapes)

    found, counts = _counted(images, keys)
    return (found >> word(size * size)).astype(np.int64), found & word(2 ** (size * size) - 1), counts


def padded_patches(images: NDArray[Any], size: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct patches (K, P, P) of images of +-1 with zeros around them, and their counts."""
    radius, (height, width) = size // 2, images.shape[1:]
    shapes, codes, counts = padded_codes(images, size)
    _require_room(codes.size, size)
    patterns = decode(codes, size)
    inside = np.pad(np.ones((height, width)), radius)
    outside = np.empty((size * size, size, size), dtype=bool)
    for (i, j), number in np.ndenumerate(overlap_shapes(height, width, size)):
        outside[number] = inside[i : i + size, j : j + size] == 0.0
    patterns[outside[shapes]] = 0.0
    return patterns, counts


def grey_patches(images: NDArray[Any], size: int, boundary: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct patches (K, P, P) of images of any numbers, and their counts."""
    radius, (height, width) = size // 2, images.shape[1:]
    margin = 2 * radius if boundary == "interior" else 0
    _require_room(len(images) * (height - margin) * (width - margin), size)
    levels, indices = np.unique(np.append(images.ravel(), 0), return_inverse=True)
    kind = np.min_scalar_type(levels.size - 1)
    grey = indices[:-1].astype(kind).reshape(images.shape)
    margins = [(0, 0), (radius, radius), (radius, radius)]
    if boundary == "periodic":
        grey = np.pad(grey, margins, mode="wrap")
    elif boundary == "padded":
        grey = np.pad(grey, margins, constant_values=indices[-1])
    windows = np.ascontiguousarray(sliding_window_view(grey, (size, size), axis=(1, 2))).reshape(-1, size * size)
    whole = windows.view(np.dtype((np.void, windows.dtype.itemsize * size * size)))[:, 0]
    distinct, counts = np.unique(whole, return_counts=True)
    patterns = levels.astype(np.float64)[distinct.view(kind).reshape(-1, size, size)]
    return patterns, counts


def _window_codes(bits: NDArray[Any], size: int) -> NDArray[Any]:
    """Codes of all windows of bits (N, H, W), (N, H - P + 1, W - P + 1), see `sign_patterns.encode`."""
    word = bits.dtype.type
    height, width = bits.shape[1] - size + 1, bits.shape[2] - size + 1
    rows = bits[:, :, :width].copy()
    for v in range(1, size):
        rows |= bits[:, :, v : v + width] << word(v)
    codes = rows[:, :height].copy()
    for u in range(1, size):
        codes |= rows[:, u : u + height] << word(size * u)
    return codes


def _counted(
    images: NDArray[Any], codes: Callable[[NDArray[Any]], NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct codes, sorted, and how often each occurs."""
    parts = [np.unique(codes(part), return_counts=True) for part in _chunks(images)]
    if len(parts) == 1:
        return parts[0]
    found = np.concatenate([part[0] for part in parts])
    counts = np.concatenate([part[1] for part in parts])
    # Stable sorting merges the sorted parts.
    order = np.argsort(found, kind="stable")
    found = found[order]
    first = np.flatnonzero(np.append(True, found[1:] != found[:-1]))
    return found[first], np.add.reduceat(counts[order], first)


def _chunks(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    count = max(1, _CHUNK // (images.shape[1] * images.shape[2]))
    for first in range(0, len(images), count):
        yield images[first : first + count]


def _require_room(count: int, size: int) -> None:
    needed = 8 * count * size * size
    if needed > MOST_PATTERN_BYTES:
        raise InvalidInputError(
            f"{count} patches of {size}x{size} would take {needed / 2**30:.1f} GiB as float64; "
            f"expected at most {MOST_PATTERN_BYTES / 2**30:.0f} GiB, from fewer images or a smaller size"
        )
