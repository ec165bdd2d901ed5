"""Training the U-Net by denoising score matching (paper App. D.4), resumable bit for bit.

Every random draw comes from a generator keyed by (seed, purpose, index): the order of the images in an epoch by the
epoch, times and noise by the optimiser step. So no generator's state has to survive an interruption, and a seed
gives the same weights wherever the training was interrupted, and whether it was at all. That holds bit for bit on
one device with one number of threads and one version of torch; otherwise up to rounding, which training amplifies.

The loss is the mean over pixels of |epsilon - epsilon_theta|^2: the paper's sum divided by the number of pixels,
which is what its clipping of the gradient's norm refers to here. AdamW's moments and weight decay, which the paper
does not give, are torch's defaults. The learning rate is constant and the weights are not averaged.
"""

import hashlib
import math
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from tqdm import tqdm

from .. import __version__
from ..atomic import writable_directory
from ..errors import FastpatchError, InvalidInputError
from ..validation import finite_float, floating_field
from .checkpoint import Progress, load_checkpoint, save_checkpoint
from .data import image_hash
from .devices import device_name, reproducible, resolve_device
from .settings import CLIP_NORM, T_MAX, T_MIN, TrainingSettings
from .unet import UNet, vp_amplitudes
from .weights import save_weights

__all__ = ["TrainingDivergedError", "denoising_loss", "train"]

_ORDER, _NOISE = 0, 1
# The activations of this many images stay near the CPU's caches: measured 1.4 times as fast in float32 as 256 at
# once, with a quarter of the memory. Gradients add up over the chunks of a batch.
_CPU_CHUNK = 64


class TrainingDivergedError(FastpatchError, ArithmeticError):
    """The loss, its gradient or the weights stopped being finite."""


def denoising_loss(net: UNet, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Mean over images and pixels of |epsilon - epsilon_theta(alpha x0 + sigma epsilon, t)|^2 (App. D.4).

    ``x0`` and ``noise`` have the shape (B, 1, H, W) and ``t`` has (B,).
    """
    alpha, sigma = (amplitude[:, None, None, None] for amplitude in vp_amplitudes(t))
    predicted = net(alpha * x0 + sigma * noise, t)
    return nn.functional.mse_loss(predicted.to(noise.dtype), noise)


def train(
    images: ArrayLike,
    settings: TrainingSettings,
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    data_sha256: str | None = None,
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
        ``checkpoint_minutes`` and after each epoch, and ``unet-<variant>.safetensors``, the weights after the
        last complete epoch with their card. Both are replaced in one step, so the process may be killed at any time.
        A finished training goes on if called again with more epochs.
    device
        See `resolve_device`. Changing the device between two sessions is allowed, but not reproducible.
    data_sha256
        Identifies the images in checkpoint and card; by default computed from their float32 values. Not checked.
    progress
        Show a bar with the time left and the mean loss of the epoch so far on standard error.

    Raises
    ------
    InvalidInputError, DtypeError
        For unsuitable images, and for a checkpoint of other settings or of more epochs.
    TrainingDivergedError
        At the first loss or gradient that is not finite; the last checkpoint stays as it was.
    ResultFileError, OutputError
        For an unreadable checkpoint, and for a directory that cannot be written.
    """
    fields = floating_field(images, "images", minimum_ndim=4)
    stride = UNet.TOTAL_STRIDE
    if fields.ndim != 4 or fields.shape[1] != 1 or fields.shape[2] % stride or fields.shape[3] % stride:
        raise InvalidInputError(
            f"images has shape {fields.shape}; expected (N, 1, H, W) with H and W multiples of {stride}"
        )
    interval = 60.0 * finite_float(checkpoint_minutes, "checkpoint_minutes")
    contiguous = np.ascontiguousarray(fields, dtype=np.float32)
    digest = hashlib.sha256(contiguous.data).hexdigest() if data_sha256 is None else data_sha256
    session = _Session(torch.from_numpy(contiguous), settings, writable_directory(out), resolve_device(device), digest)
    session.run(interval, progress)
    return session.weights


class _Session:
    """One run of a training, from its checkpoint or from the start."""

    def __init__(
        self, images: Tensor, settings: TrainingSettings, out: Path, device: torch.device, data_sha256: str
    ) -> None:
        self.settings = settings
        self.device = device
        self.data_sha256 = data_sha256
        self.checkpoint = out / f"unet-{settings.variant}.checkpoint"
        self.weights = out / f"unet-{settings.variant}.safetensors"
        self.images = images.to(device)
        # Initial weights from the seed, without touching the caller's random state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = UNet(settings.padding)
        # Channels last is the layout in which both oneDNN and cuDNN convolve fastest.
        self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=settings.learning_rate)
        self.identity = settings.identity | {"data_sha256": data_sha256, "images": len(images)}
        found = load_checkpoint(self.checkpoint, self.identity, self.net, self.optimizer)
        self.progress = Progress() if found is None else found
        self.saved_step = None if found is None else found.steps
        if self.progress.epoch > settings.epochs:
            raise InvalidInputError(
                f"epochs is {settings.epochs}, but {self.checkpoint} already holds {self.progress.epoch}; "
                "expected at least as many, or another output directory"
            )
        name = device_name(device)
        if self.progress.devices[-1:] != [name]:
            self.progress.devices.append(name)

    def run(self, interval: float, show: bool) -> None:
        state, n_images, size = self.progress, len(self.images), self.settings.batch_size
        saved = time.monotonic()
        with (
            reproducible(self.device),
            tqdm(
                total=self.settings.epochs * n_images,
                initial=state.epoch * n_images + state.images,
                unit="img",
                mininterval=0.5 if sys.stderr.isatty() else 60.0,
                disable=not show,
            ) as bar,
        ):
            while state.epoch < self.settings.epochs:
                order = torch.from_numpy(self._generator(_ORDER, state.epoch).permutation(n_images))
                for chosen in torch.split(order, size)[state.batch :]:
                    state.loss_sum += self._step(chosen) * len(chosen)
                    state.images += len(chosen)
                    state.batch += 1
                    state.steps += 1
                    bar.set_postfix(epoch=state.epoch + 1, loss=f"{state.loss_sum / state.images:.4f}", refresh=False)
                    bar.update(len(chosen))
                    if time.monotonic() - saved >= interval:
                        self._save()
                        saved = time.monotonic()
                state.loss_per_epoch.append(state.loss_sum / state.images)
                state.epoch, state.batch, state.images, state.loss_sum = state.epoch + 1, 0, 0, 0.0
                self._save(end_of_epoch=True)
                saved = time.monotonic()
        if not self.weights.exists():
            self._save_weights()

    def _step(self, chosen: Tensor) -> float:
        """One optimiser step on the images numbered ``chosen``; returns their mean loss."""
        rng = self._generator(_NOISE, self.progress.steps)
        t = torch.from_numpy(np.exp(rng.uniform(math.log(T_MIN), math.log(T_MAX), len(chosen)))).float()
        shape = (len(chosen), *self.images.shape[1:])
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        x0, t, noise = (values.to(self.device) for values in (self.images[chosen.to(self.device)], t, noise))

        self.optimizer.zero_grad()
        chunk = _CPU_CHUNK if self.device.type == "cpu" else len(chosen)
        total = torch.zeros((), device=self.device)
        for part in zip(*(torch.split(values, chunk) for values in (x0, t, noise)), strict=True):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
                loss = denoising_loss(self.net, *part) * (len(part[0]) / len(chosen))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), CLIP_NORM)
        if not torch.isfinite(total + norm):
            what = f"the loss is {total.item():g} with a gradient of norm {norm.item():g}"
            raise self._diverged(self.progress.steps + 1, what)
        self.optimizer.step()
        return total.item()

    def _save(self, *, end_of_epoch: bool = False) -> None:
        if not all(bool(torch.isfinite(weight).all()) for weight in self.net.parameters()):
            raise self._diverged(self.progress.steps, "a weight is not finite")
        if end_of_epoch:
            # Before the checkpoint: killed in between, the next session repeats the end of the epoch and both files.
            self._save_weights()
        save_checkpoint(self.checkpoint, self.identity, self.progress, self.net, self.optimizer)
        self.saved_step = self.progress.steps

    def _save_weights(self) -> None:
        state = self.progress
        published = self.data_sha256 == image_hash("train")
        card = {
            **asdict(self.settings),
            "epochs": state.epoch,
            "steps": state.steps,
            "loss_per_epoch": state.loss_per_epoch,
            "images": len(self.images),
            "data_sha256": self.data_sha256,
            "optimizer": type(self.optimizer).__name__,
            "weight_decay": self.optimizer.param_groups[0]["weight_decay"],
            "clip_norm": CLIP_NORM,
            "time_range": [T_MIN, T_MAX],
            "devices": state.devices,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self.settings.command(state.epoch) if published else None,
            "versions": {"fastpatch": __version__, "torch": torch.__version__, "numpy": np.__version__},
        }
        save_weights(self.weights, self.net, card)

    def _diverged(self, step: int, what: str) -> TrainingDivergedError:
        kept = "no checkpoint was written yet"
        if self.saved_step is not None:
            kept = f"{self.checkpoint} keeps the state after step {self.saved_step}"
        return TrainingDivergedError(
            f"training diverged in step {step}: {what}; expected finite numbers ({kept}; "
            "a smaller learning rate may help)"
        )

    def _generator(self, purpose: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, purpose, index])
