"""Group norm followed by SiLU, and its gradient, of fields with the channels last, for `fastpatch.neural.unet`.

With G groups of the C channels, and mean and variance over the pixels and channels of a group of one image,

    xhat = (x - mean) / sqrt(variance + epsilon),   z = w xhat + b,   y = z s(z),   s(z) = 1 / (1 + exp(-z)).

With g = dL/dy s (1 + z (1 - s)) the gradients are dL/dw = sum g xhat, dL/db = sum g, and

    dL/dx = (w g - <w g> - xhat <w g xhat>) / sqrt(variance + epsilon),   <.> the mean over a group.

Fields are bfloat16, as unsigned integers of 16 bits; all arithmetic is float32. An image is one task.
"""

import numpy as np

from ..jit import entry, kernel
from .exponentials import exp2
from .intrinsics import fma, from_bfloat16, load, read, store, to_bfloat16

__all__ = ["norm_silu", "norm_silu_gradient"]

_F = np.float32
_LOG2_E = _F(1.4426950408889634)


@kernel(inline=True)
def _sigmoid(z):
    e = exp2(-abs(z) * _LOG2_E)
    return (_F(1.0) if z >= _F(0.0) else e) / (_F(1.0) + e)


@kernel()
def _group_means(sums, groups, count):
    """Replace the sums of the channels by the means of their groups."""
    width = len(sums) // groups
    for group in range(groups):
        total = _F(0.0)
        for c in range(group * width, (group + 1) * width):
            total += sums[c]
        for c in range(group * width, (group + 1) * width):
            sums[c] = total / _F(count * width)


@entry()
def norm_silu(crew, x, weight, bias, groups, epsilon, y, mean, scale):
    """Fill y (N pixels C,), and mean and 1 / sqrt(variance + epsilon) (N, C), the same for all channels of a group."""
    images, channels = mean.shape
    pixels = len(x) // (images * channels)
    variance, slope, offset = np.empty(channels, _F), np.empty(channels, _F), np.empty(channels, _F)
    for n in range(crew.worker, images, crew.workers):
        first = n * pixels * channels
        center = mean[n]
        center[:] = _F(0.0)
        variance[:] = _F(0.0)
        for p in range(pixels):
            at = first + p * channels
            for c in range(channels):
                store(center, c, read(center, c) + from_bfloat16(load(x, at + c)))
        _group_means(center, groups, pixels)
        for p in range(pixels):
            at = first + p * channels
            for c in range(channels):
                away = from_bfloat16(load(x, at + c)) - read(center, c)
                store(variance, c, fma(away, away, read(variance, c)))
        _group_means(variance, groups, pixels)
        for c in range(channels):
            scale[n, c] = _F(1.0) / np.sqrt(variance[c] + epsilon)
            slope[c] = weight[c] * scale[n, c]
            offset[c] = bias[c] - slope[c] * center[c]
        for p in range(pixels):
            at = first + p * channels
            for c in range(channels):
                z = fma(read(slope, c), from_bfloat16(load(x, at + c)), read(offset, c))
                store(y, at + c, to_bfloat16(z * _sigmoid(z)))


@entry()
def norm_silu_gradient(crew, x, dy, weight, bias, groups, mean, scale, dx, dweight, dbias):
    """Fill dx (N pixels C,), and the parts of each image in the gradients of weight and bias (N, C)."""
    images, channels = mean.shape
    pixels = len(x) // (images * channels)
    slope, offset, along = np.empty(channels, _F), np.empty(channels, _F), np.empty(channels, _F)
    drop, tilt = np.empty(channels, _F), np.empty(channels, _F)
    g = np.empty(pixels * channels, _F)
    for n in range(crew.worker, images, crew.workers):
        first = n * pixels * channels
        center, unit, direct = mean[n], scale[n], dbias[n]
        for c in range(channels):
            slope[c] = weight[c] * unit[c]
            offset[c] = bias[c] - slope[c] * center[c]
        along[:] = _F(0.0)
        direct[:] = _F(0.0)
        for p in range(pixels):
            here, at = p * channels, first + p * channels
            for c in range(channels):
                value = from_bfloat16(load(x, at + c))
                z = fma(read(slope, c), value, read(offset, c))
                s = _sigmoid(z)
                push = from_bfloat16(load(dy, at + c)) * (s * fma(z, _F(1.0) - s, _F(1.0)))
                store(g, here + c, push)
                store(direct, c, read(direct, c) + push)
                store(along, c, fma(push, value - read(center, c), read(along, c)))
        for c in range(channels):
            dweight[n, c] = along[c] * unit[c]
            drop[c] = weight[c] * direct[c]
            tilt[c] = weight[c] * dweight[n, c]
        _group_means(drop, groups, pixels)
        _group_means(tilt, groups, pixels)
        # dx = slope g - unit drop - unit^2 tilt (x - mean)
        for c in range(channels):
            tilt[c] *= unit[c] * unit[c]
            drop[c] = fma(tilt[c], center[c], -unit[c] * drop[c])
        for p in range(pixels):
            here, at = p * channels, first + p * channels
            for c in range(channels):
                level = fma(read(tilt, c), -from_bfloat16(load(x, at + c)), read(drop, c))
                store(dx, at + c, to_bfloat16(fma(read(slope, c), read(g, here + c), level)))
