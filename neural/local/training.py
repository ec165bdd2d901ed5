"""Training the network of one neighbourhood by denoising, resumable bit for bit.

The noise process and its times are the U-Net's. The loss is |epsilon - epsilon_theta|^2 where the network predicts the
noise, and |x_0 - m_theta|^2 where it predicts the image: the same square error with the weight alpha^2 / sigma^2 of a
noise level, or with the weight 1. The minimum at every level is the same, the posterior mean; what differs is which
levels a network that has not reached it attends to.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...atomic import exclusive_directory
from ...image_patches import checked_images
from ...validation import finite_float
from ..devices import resolve_device
from ..score_training import ScoreTraining
from .network import LocalNetwork
from .settings import LocalTrainingSettings

__all__ = ["train"]

_WINDOW = 2


def train(
    images: ArrayLike,
    settings: LocalTrainingSettings,
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    data_sha256: str | None = None,
    earlier: str | Path | None = None,
    checkpoint_minutes: float = 2.0,
    progress: bool = False,
) -> Path:
    """Train on ``images`` (N, H, W) or (N, 1, H, W); returns the file of the averaged weights.

    The other parameters, the files in ``out`` (``local-<P>.checkpoint``, ``local-<P>.safetensors`` and one
    with ``-ema`` for every moving average), and what is raised are those of `fastpatch.neural.unet.train`. Images of
    other values than +-1 are trained on too; ``prediction="image"`` then loses the meaning of its first term.
    """
    interval = 60.0 * finite_float(checkpoint_minutes, "checkpoint_minutes")
    found, size, _ = checked_images(images, settings.patch_size, "periodic")
    with exclusive_directory(out, "training") as directory:
        session = _Session(
            found[:, None].astype(np.float32, copy=False),
            lambda: LocalNetwork(size, settings.width, settings.depth, settings.prediction),
            settings,
            directory,
            f"local-{size}",
            resolve_device(device),
            data_sha256,
            earlier,
        )
        session.run(interval, progress)
    return session.published()


class _Session(ScoreTraining):
    """One run of a training, from its checkpoint or from the start."""

    settings: LocalTrainingSettings

    def published(self) -> Path:
        """The weights to use: the widest average where one is kept."""
        return self._average_path(max(self.averages)) if self.averages else self.weights

    def _clean(self, chosen: Tensor) -> Tensor:
        """One window of every image, with a margin of the patches that reach beyond it."""
        rng = self._generator(_WINDOW, self.progress.steps)
        height, width = self.images.shape[2:]
        margin = self.settings.patch_size - 1
        corners = torch.from_numpy(rng.integers((height, width), size=(len(chosen), 2)))
        rows, columns = (
            (corners[:, axis, None] + torch.arange(min(self.settings.crop, side) + margin)) % side
            for axis, side in enumerate((height, width))
        )
        at = (chosen[:, None, None], 0, rows[:, :, None], columns[:, None, :])
        return self.images[tuple(i.to(self.device) if isinstance(i, Tensor) else i for i in at)][:, None]

    def _loss(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        radius = self.settings.patch_size // 2
        inner = (..., slice(radius, x0.shape[2] - radius), slice(radius, x0.shape[3] - radius))
        x = self.net.noised(x0, t, noise)
        if self.settings.prediction == "noise":
            return nn.functional.mse_loss(self.net(x, t).to(noise.dtype), noise[inner])
        return nn.functional.mse_loss(self.net.image(x[inner], self.net(x, t), t).to(x0.dtype), x0[inner])
