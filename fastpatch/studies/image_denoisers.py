"""The analytic denoisers of a set of images of +-1."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..dictionary import PatchDictionary
from ..models import ColocatedPatchModel, EmpiricalModel, GaussianModel, Model, PaddedPatchModel, PatchModel
from ..models.gaussian_patch import GaussianPatchModel
from ..models.wiener import WienerModel

__all__ = ["SIZES", "image_denoisers"]

# Sides of the patch machines that the size P(t) is chosen from.
SIZES = (3, 5, 7)


def image_denoisers(images: NDArray[np.float32], sizes: Sequence[int] = SIZES) -> dict[str, Callable[[], Model]]:
    """By name, what makes each denoiser from training images (N, L1, L2) of +-1; some take minutes or gigabytes.

    The mean image; the Wiener filters of whole images, of stationary ones and of 5x5 patches; the patch machines of
    all periodic patches; that of zero-padded 5x5 patches (ELS); that of co-located 5x5 patches (LS); all images.
    """
    machines = {f"patches {size}": partial(_machine, images, size) for size in sizes}
    return {
        "mean image": partial(_mean, images),
        "Wiener": partial(WienerModel, images),
        "stationary Wiener": partial(GaussianModel.from_images, images),
        "Gaussian patches 5": partial(GaussianPatchModel, images, 5),
        **machines,
        "padded patches 5": partial(PaddedPatchModel, images, 5),
        "co-located patches 5": partial(ColocatedPatchModel, images, 5),
        "whole images": partial(EmpiricalModel, images),
    }


def _machine(images: NDArray[np.float32], size: int) -> Model:
    return PatchModel(PatchDictionary.from_images(images, size))


def _mean(images: NDArray[np.float32]) -> Model:
    height, width = images.shape[1:]
    return GaussianModel(np.zeros((height, width // 2 + 1)), mean=images.mean(axis=0, dtype=np.float64))
