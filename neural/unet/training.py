"""Training the U-Net by denoising score matching (paper App. D.4), resumable bit for bit.

The loss is the mean over pixels of |epsilon - epsilon_theta|^2: the paper's sum divided by the number of pixels,
which is what its clipping of the gradient's norm refers to here. AdamW's moments and weight decay, which the paper
does not give, are torch's defaults. The learning rate is constant. Moving averages of the
weights, which the paper has not, are kept beside them.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...atomic import exclusive_directory
from ...errors import InvalidInputError
from ...validation import finite_float, floating_field
from ..devices import resolve_device
from ..score_training import ScoreTraining
from ..trainer import TrainingDivergedError
from .network import UNet, vp_amplitudes
from .settings import TrainingSettings
from .weights import file_stem

__all__ = ["TrainingDivergedError", "denoising_loss", "train"]


def denoising_loss(net: UNet, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Mean over images and pixels of |epsilon - epsilon_theta(alpha x0 + sigma epsilon, t)|^2 (App. D.4).

    Of a network that predicts v, the mean of |v - v_theta|^2 = |epsilon - epsilon_theta|^2 / alpha^2, which does not
    vanish with alpha at large t. ``x0`` and ``noise`` have the shape (B, 1, H, W) and ``t`` has (B,).
    """
    alpha, sigma = (amplitude[:, None, None, None] for amplitude in vp_amplitudes(t))
    target = noise if net.prediction == "epsilon" else alpha * noise - sigma * x0
    predicted = net.output(alpha * x0 + sigma * noise, t)
    return nn.functional.mse_loss(predicted.to(target.dtype), target)


def train(
    images: ArrayLike,
    settings: TrainingSettings,
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    data_sha256: str | None = None,
    earlier: str | Path | None = None,
    checkpoint_minutes: float = 2.0,
    progress: bool = False,
) -> Path:
    """Train on ``images``, or go on where an interrupted training in ``out`` stopped; returns the file of weights.

    Parameters
    ----------
    images
        Clean images (N, 1, H, W), float32 or float64, finite; H and W multiples of `UNet.TOTAL_STRIDE`.
    out
        Directory of the two files: ``unet-<variant>.checkpoint`` with everything needed to go on, written every
        ``checkpoint_minutes`` and after each epoch, and ``unet-<variant>.safetensors``, the weights after the last
        complete epoch with their card; stems end with ``-v`` for a network that predicts v. Both are replaced in one
        step, so the process may be killed at any time. A finished training goes on if called again with more epochs.
    device
        See `resolve_device`. Changing the device between two sessions is allowed, but not reproducible.
    data_sha256
        Identifies the images in checkpoint and card; by default computed from their float32 values. Not checked.
    earlier
        Weights of an earlier training to go on from where ``out`` has no checkpoint: epochs, steps and losses count
        on from its card, which the new card keeps under ``continues``; the optimiser's moments start anew. Where these
        weights predict another quantity (``prediction``), only they are taken over, and epochs count from zero.
    progress
        Show a bar with the time left and the mean loss of the epoch so far on standard error.

    Raises
    ------
    InvalidInputError, DtypeError
        For unsuitable images, and for a checkpoint of other settings or of more epochs.
    TrainingDivergedError
        At the first loss or gradient that is not finite; the last checkpoint stays as it was.
    ResultFileError, OutputError
        For an unreadable or damaged checkpoint or ``earlier``, and for a directory that cannot be written or in which
        another training is at work.
    """
    fields = floating_field(images, "images", minimum_ndim=4)
    stride = UNet.TOTAL_STRIDE
    if fields.ndim != 4 or fields.shape[1] != 1 or fields.shape[2] % stride or fields.shape[3] % stride:
        raise InvalidInputError(
            f"images has shape {fields.shape}; expected (N, 1, H, W) with H and W multiples of {stride}"
        )
    interval = 60.0 * finite_float(checkpoint_minutes, "checkpoint_minutes")
    with exclusive_directory(out, "training") as directory:
        session = _Session(
            fields.astype(np.float32, copy=False),
            lambda: UNet(settings.padding, settings.prediction),
            settings,
            directory,
            file_stem(settings.variant, settings.prediction),
            resolve_device(device),
            data_sha256,
            earlier,
        )
        session.run(interval, progress)
    return session.weights


class _Session(ScoreTraining):
    """One run of a training, from its checkpoint or from the start."""

    def _loss(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return denoising_loss(self.net, x0, t, noise)
