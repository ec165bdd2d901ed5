"""The prefix tree over the patches of images: posterior mean and response of one 28x28 field."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray

import fastpatch as fp
from bench.cases import SEED

_COUNT, _SIDE = 20_000, 28


@cache
def blobs() -> NDArray[np.float64]:
    """Images of +-1 with outlines of all scales, which have about a million distinct 5x5 patches."""
    rng = np.random.default_rng(SEED)
    noise = rng.standard_normal((_COUNT, _SIDE, _SIDE))
    coarse = scipy.ndimage.gaussian_filter(noise, (0, 3.0, 3.0)) * 8.0
    fine = scipy.ndimage.gaussian_filter(rng.standard_normal(noise.shape), (0, 0.7, 0.7))
    return np.where(coarse + 0.5 * fine > 0.2, 1.0, -1.0)


@cache
def machine() -> fp.PatchModel:
    model = fp.PatchModel(fp.PatchDictionary.from_images(blobs(), 5))
    assert model.tree is not None
    return model


def noised(t: float, dtype: str) -> NDArray[Any]:
    noise = np.random.default_rng(SEED + 1).standard_normal((_SIDE, _SIDE))
    return np.asarray(np.exp(-t / 2) * blobs()[0] + np.sqrt(-np.expm1(-t)) * noise, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("t", [1.0, 0.02], ids=["sums", "search"])
def test_tree_posterior_mean(measure: Any, threads: int, t: float, dtype: str) -> None:
    x, model = noised(t, dtype), machine()
    measure(lambda: model.posterior_mean(x, t), site_steps=x.size)


def test_tree_mode_derivatives(measure: Any, threads: int) -> None:
    x, model = noised(1.0, "float32"), machine()
    measure(lambda: model.mode_derivatives(x, 1.0), site_steps=x.size)


def test_dictionary_of_images(measure: Any) -> None:
    images = blobs()
    measure(lambda: fp.PatchDictionary.from_images(images, 5))
