"""The softmax over images at every site, for `fastpatch.kernels.colocated`."""

import numpy as np

from ..jit import entry, kernel
from .exponentials import exp2

__all__ = ["fold_images", "respond_to_images"]

# Logits of so many images are at hand at a time.
_AT_ONCE = 16


@kernel()
def _logits(x, image, size, gain, penalty, periodic, padded, lines, out):
    """Box sums of ``gain x X - penalty X^2`` around every site of one image."""
    height, width = x.shape
    radius = size // 2
    for i in range(height):
        for j in range(width):
            pixel = np.float64(image[i, j])
            padded[radius + i, radius + j] = pixel * (gain * x[i, j] - penalty * pixel)
    _surround(padded, height, width, radius, periodic)
    for i in range(height + 2 * radius):
        for j in range(width):
            lines[i, j] = padded[i, j]
        for v in range(1, size):
            for j in range(width):
                lines[i, j] += padded[i, j + v]
    for i in range(height):
        for j in range(width):
            out[i, j] = lines[i, j]
        for u in range(1, size):
            for j in range(width):
                out[i, j] += lines[i + u, j]


@kernel()
def _surround(padded, height, width, radius, periodic):
    """Fill the margin of a field: wrapped around, or zero."""
    for i in range(height + 2 * radius):
        for j in range(width + 2 * radius):
            inside = radius <= i < radius + height and radius <= j < radius + width
            if not inside:
                if periodic:
                    row, column = (i - radius + height) % height, (j - radius + width) % width
                    padded[i, j] = padded[radius + row, radius + column]
                else:
                    padded[i, j] = 0.0


@entry()
def fold_images(x, images, size, gain, penalty, periodic, top, total, weighted):
    """Fold images into a streaming softmax over sites, relative to the top logit so far."""
    height, width = x.shape
    radius = size // 2
    padded, lines = np.empty((height + 2 * radius, width + 2 * radius)), np.empty((height + 2 * radius, width))
    logits = np.empty((_AT_ONCE, height, width))
    for first in range(0, len(images), _AT_ONCE):
        count = min(_AT_ONCE, len(images) - first)
        for n in range(count):
            _logits(x, images[first + n], size, gain, penalty, periodic, padded, lines, logits[n])
        for i in range(height):
            for j in range(width):
                highest = top[i, j]
                for n in range(count):
                    highest = max(highest, logits[n, i, j])
                fade = exp2(max(top[i, j] - highest, -1e4))
                total[i, j] *= fade
                weighted[i, j] *= fade
                top[i, j] = highest
        for n in range(count):
            for i in range(height):
                for j in range(width):
                    weight = exp2(logits[n, i, j] - top[i, j])
                    total[i, j] += weight
                    weighted[i, j] += weight * images[first + n, i, j]


@entry()
def respond_to_images(x, images, size, gain, penalty, periodic, top, total, mean, out):
    """Add the images' share of the response, see `fastpatch.kernels.colocated.response`."""
    height, width = x.shape
    radius = size // 2
    padded, lines = np.empty((height + 2 * radius, width + 2 * radius)), np.empty((height + 2 * radius, width))
    weight = np.empty((height, width))
    for image in images:
        _logits(x, image, size, gain, penalty, periodic, padded, lines, weight)
        for i in range(height):
            for j in range(width):
                share_of_image = exp2(max(weight[i, j] - top[i, j], -1e4)) / total[i, j]
                weight[i, j] = share_of_image * (image[i, j] - mean[i, j])
                padded[radius + i, radius + j] = image[i, j]
        _surround(padded, height, width, radius, periodic)
        for u in range(size):
            for v in range(size):
                for i in range(height):
                    for j in range(width):
                        out[u * size + v, i, j] += weight[i, j] * padded[i + u, j + v]
