"""One field of images of any number of channels (App. E.3)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..validation import floating_field

__all__ = ["luminance"]

# Weights of red, green and blue.
_LUMINANCE = (0.2989, 0.5870, 0.1140)


def luminance(images: ArrayLike) -> NDArray[Any]:
    """One field (..., H, W) of images (..., C, H, W): 0.2989 R + 0.5870 G + 0.1140 B of three channels, the only one of
    one, and the mean of any other number, such as latents have.

    Raises `DtypeError` for anything but float32 or float64, `InvalidInputError` for fewer axes or values not finite.
    """
    values = floating_field(images, "images", minimum_ndim=3)
    if values.shape[-3] == 1:
        return values[..., 0, :, :]
    if values.shape[-3] != len(_LUMINANCE):
        return np.asarray(values.mean(axis=-3))
    return np.asarray(np.einsum("c,...cij->...ij", np.array(_LUMINANCE, dtype=values.dtype), values))
