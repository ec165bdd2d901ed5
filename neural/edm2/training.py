"""Training an EDM2 network (Karras et al., arXiv:2312.02696), resumable bit for bit.

Adam with betas 0.9 and 0.99 on weights that every forward pass normalises, the learning rate falling with the square
root of the step, and a power-function average of the weights, which is what the file holds. Images are not flipped:
shoes and bags have a side. Gradients are not clipped; the first that is not finite stops the training.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ...atomic import exclusive_directory
from ...errors import DtypeError, InvalidInputError
from ...validation import finite_float, floating_field, integer
from ..data import image_hash
from ..devices import resolve_device
from ..ema import power_exponent
from ..trainer import TrainingSession
from ..warm_start import read_earlier
from .loss import denoising_loss, training_sigma
from .network import EDM2Network
from .network_file import described
from .settings import EDM2Settings
from .weights import save_network

__all__ = ["train"]

_NOISE = 1
_BETAS = (0.9, 0.99)


def train(
    images: ArrayLike,
    labels: ArrayLike,
    settings: EDM2Settings,
    out: str | Path,
    *,
    label_dim: int | None = None,
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
        Clean images (N, C, H, H) in [-1, 1], float32 or float64, finite.
    labels
        Their classes, integers (N,).
    out
        Directory of the two files: ``edm2.checkpoint`` with everything needed to go on, written every
        ``checkpoint_minutes`` and after each epoch, and ``edm2.safetensors``, the averaged weights after the last
        complete epoch with their card. Both are replaced in one step, so the process may be killed at any time.
        A finished training goes on if called again with more epochs.
    label_dim
        Number of classes; by default one more than the largest in ``labels``.
    device
        See `resolve_device`. Changing the device between two sessions is allowed, but not reproducible.
    data_sha256
        Identifies the images in checkpoint and card; by default computed from their float32 values. Not checked.
    earlier
        Weights of an earlier training to go on from where ``out`` has no checkpoint: epochs, steps and losses count
        on from its card, which the new card keeps under ``continues``; the optimiser's moments start anew,
        and the averaged weights of the file become those that are trained.
    progress
        Show a bar with the time left and the mean loss of the epoch so far on standard error.

    Raises
    ------
    InvalidInputError, DtypeError
        For unsuitable images or labels, and for a checkpoint of other settings or of more epochs.
    TrainingDivergedError
        At the first loss or gradient that is not finite; the last checkpoint stays as it was.
    ResultFileError, OutputError
        For an unreadable or damaged checkpoint or ``earlier``, and for a directory that cannot be written or in which
        another training is at work.
    """
    fields = floating_field(images, "images", minimum_ndim=4)
    if fields.ndim != 4 or fields.shape[2] != fields.shape[3]:
        raise InvalidInputError(f"images has shape {fields.shape}; expected (N, C, H, H)")
    classes, n_classes = _classes(labels, len(fields), label_dim)
    interval = 60.0 * finite_float(checkpoint_minutes, "checkpoint_minutes")
    contiguous = np.ascontiguousarray(fields, dtype=np.float32)
    digest = hashlib.sha256(contiguous.data).hexdigest() if data_sha256 is None else data_sha256
    with exclusive_directory(out, "training") as directory:
        session = _Session(
            contiguous,
            classes,
            n_classes,
            settings,
            directory,
            resolve_device(device),
            digest,
            earlier,
        )
        session.run(interval, progress)
    return session.weights


def _classes(labels: ArrayLike, count: int, label_dim: int | None) -> tuple[NDArray[np.int64], int]:
    found = np.asarray(labels)
    if found.dtype.kind not in "iu":
        raise DtypeError(f"labels has dtype {found.dtype.name}; expected integers")
    if found.shape != (count,):
        raise InvalidInputError(f"labels has shape {found.shape}; expected one class an image, ({count},)")
    n_classes = int(found.max()) + 1 if label_dim is None else integer(label_dim, "label_dim", minimum=1)
    if found.min() < 0 or found.max() >= n_classes:
        raise InvalidInputError(f"labels range from {found.min()} to {found.max()}; expected 0 ... {n_classes - 1}")
    return found.astype(np.int64), n_classes


class _Session(TrainingSession):
    """One run of a training, from its checkpoint or from the start."""

    def __init__(
        self,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        label_dim: int,
        settings: EDM2Settings,
        out: Path,
        device: torch.device,
        data_sha256: str,
        earlier: str | Path | None,
    ) -> None:
        self.settings = settings
        self.data_sha256 = data_sha256
        self.labels_sha256 = hashlib.sha256(labels.data).hexdigest()
        self.images = torch.from_numpy(images).to(device)
        self.label_rows = nn.functional.one_hot(torch.from_numpy(labels), label_dim).float().to(device)
        # Initial weights from the seed, without touching the caller's random state.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            net = EDM2Network(
                img_resolution=images.shape[2],
                img_channels=images.shape[1],
                label_dim=label_dim,
                **settings.architecture,
            )
        # Channels last is the layout in which both oneDNN and cuDNN convolve fastest.
        self.net = net.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        super().__init__(
            out,
            "edm2",
            self.net,
            torch.optim.Adam(self.net.parameters(), lr=settings.learning_rate, betas=_BETAS),
            settings.identity
            | {
                "label_dim": label_dim,
                "data_sha256": data_sha256,
                "labels_sha256": self.labels_sha256,
                "images": len(images),
            },
            device,
            seed=settings.seed,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            n_images=len(images),
            earlier=lambda: read_earlier(earlier, self.net, described(self.net)),
            sigma_rel=settings.sigma_rel,
        )

    def _step(self, chosen: Tensor) -> float:
        step, settings = self.progress.steps + 1, self.settings
        rng = self._generator(_NOISE, self.progress.steps)
        normal = torch.from_numpy(rng.standard_normal(len(chosen), dtype=np.float32))
        sigma = training_sigma(normal, settings.p_mean, settings.p_std)
        shape = (len(chosen), *self.images.shape[1:])
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        labelled = torch.from_numpy((rng.random(len(chosen)) >= settings.label_dropout).astype(np.float32))
        indices = chosen.to(self.device)
        x0, rows = self.images[indices], self.label_rows[indices] * labelled.to(self.device)[:, None]

        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(step)
        self.optimizer.zero_grad()
        total = self._backward(self._loss, (x0, sigma.to(self.device), noise.to(self.device), rows), len(chosen))
        norms = [weight.grad.norm() for weight in self.net.parameters() if weight.grad is not None]
        self._check_finite(total, torch.stack(norms).norm())
        self.optimizer.step()
        return total.item()

    def _loss(self, x0: Tensor, sigma: Tensor, noise: Tensor, rows: Tensor) -> Tensor:
        return denoising_loss(self.net, x0, sigma, noise, rows, self.settings.dtype)

    def _save_weights(self) -> None:
        published = self.data_sha256 == image_hash("train")
        state = self.progress
        card = {
            **asdict(self.settings),
            **self._card(),
            "data_sha256": self.data_sha256,
            "labels_sha256": self.labels_sha256,
            "images_seen": state.epoch * self.n_images + state.images,
            "betas": list(_BETAS),
            "command": self.settings.command(state.epoch, continues=state.continues is not None) if published else None,
        }
        first, *others = self.averages
        for width in (*others, first):
            card |= {"average": width, "average_exponent": power_exponent(width)}
            path = self.weights if width == first else self._average_path(width)
            save_network(path, self.averages[width], card)
