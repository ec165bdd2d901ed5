"""Whole runs of the sampler: those without guidance, from which branches leave, and those that figures show."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ..denoiser import Denoiser
from ..guidance import Guide
from ..sampler import Samples, latents, sample
from .conditions import Trial
from .settings import PulseSettings
from .store import Strips, Unguided

__all__ = ["checked_samples", "strips", "unguided_runs"]

# Noise levels of a strip, log-spaced along the run (App. F.9).
_STRIP_LENGTH = 10


def unguided_runs(net: Denoiser, trials: Sequence[Trial], steps: Sequence[int], settings: PulseSettings) -> Unguided:
    """Runs of ``trials`` without guidance, with their states at ``steps``."""
    runs = _sample(net, trials, settings, record=steps)
    return Unguided(checked_samples(runs.images), runs.steps, runs.states.numpy())


def strips(net: Denoiser, guide: Guide, trials: Sequence[Trial], settings: PulseSettings) -> Strips:
    """Denoised images along runs of ``trials``, without and with the critical pulse."""
    levels = np.log(settings.grid[:-1])
    wanted = np.linspace(levels[0], levels[-1], _STRIP_LENGTH)
    steps = np.unique(np.abs(levels[:, None] - wanted).argmin(axis=0)).tolist()
    unguided = _sample(net, trials, settings, record=steps)
    critical = _sample(net, trials, settings, record=steps, guide=guide, guidance=settings.pulse)
    return Strips(tuple(steps), *(runs.denoised.numpy().swapaxes(0, 1) for runs in (unguided, critical)))


def checked_samples(images: Tensor) -> NDArray[np.float32]:
    """``images`` as an array; `InvalidInputError` where one is not finite."""
    if not torch.isfinite(images).all():
        raise InvalidInputError("a sample is not finite; expected a smaller weight, or a trained network")
    found: NDArray[np.float32] = images.numpy()
    return found


def _sample(net: Denoiser, trials: Sequence[Trial], settings: PulseSettings, **options: Any) -> Samples:
    return sample(
        net, latents([trial.seed for trial in trials], net), [trial.class_label for trial in trials],
        steps=settings.steps, sigma_max=settings.sigma_max, sigma_min=settings.sigma_min, rho=settings.rho,
        batch=settings.batch, **options,
    )  # fmt: skip
