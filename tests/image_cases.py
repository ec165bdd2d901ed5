"""Images of +-1 with smooth outlines, in place of photographs, and where the real ones lie."""

import os
from pathlib import Path

import numpy as np
import scipy.ndimage

__all__ = ["FASHION", "blobs"]

FASHION = Path(os.environ.get("FASTPATCH_DATA") or Path(__file__).resolve().parents[2] / "shared" / "fashion-mnist")


def blobs(count, side=20, smoothing=1.2, seed=0):
    """Images (count, side, side) of +-1: the sign of smoothed noise, more of -1 than of +1."""
    noise = np.random.default_rng(seed).standard_normal((count, side, side))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, smoothing, smoothing), mode="nearest")
    return np.where(smooth > 0.05, 1.0, -1.0)
