"""Denoisers from plain callables, EDM networks and objects of denoising-diffusion-pytorch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...errors import InvalidInputError
from .adapter import AdaptedDenoiser
from .predictions import Prediction
from .schedules import DirectSchedule, EDMSchedule, NoiseSchedule, VPSchedule

__all__ = ["from_callable", "from_denoising_diffusion_pytorch"]

_OBJECTIVES: dict[str, Prediction] = {"pred_noise": "epsilon", "pred_x0": "sample", "pred_v": "v"}


def from_callable(
    f: Callable[..., Tensor],
    prediction: Prediction = "sample",
    schedule: NoiseSchedule | ArrayLike | None = None,
    *,
    image_shape: tuple[int, int, int],
    label_dim: int = 0,
    null_label: int | None = None,
    unconditional: bool = True,
) -> AdaptedDenoiser:
    """A denoiser from ``f(x, time)``, or ``f(x, time, labels)`` where ``label_dim`` > 0.

    Parameters
    ----------
    f
        Gets images (B, C, H, W) on the scale of its schedule, its own time (B,) and int64 labels (B,) or None;
        returns what ``prediction`` says, of the same shape or with twice the channels, the second half of which is
        dropped. A module is moved and put into evaluation mode with the denoiser.
    prediction
        ``"epsilon"``, ``"sample"``, ``"v"``, ``"flow"``, ``"score"``, or ``"edm"`` for a raw network behind EDM's
        preconditioning.
    schedule
        A `NoiseSchedule`, or ``alphas_cumprod`` (T,) of a variance-preserving one. None is `DirectSchedule`, with
        which ``"sample"`` is D(x, sigma) itself, and `EDMSchedule` for ``"edm"``.
    image_shape
        (C, H, W).
    label_dim, null_label
        Number of classes; the index that stands for "no class", which is passed in the place of None.
    unconditional
        False where ``f`` cannot be asked without a label.

    Raises `InvalidInputError` or `DtypeError` for anything outside of this.
    """
    if not callable(f):
        raise InvalidInputError(f"f is {type(f).__name__}; expected a callable f(x, time)")
    if schedule is None:
        clock: NoiseSchedule = EDMSchedule() if prediction in ("edm", "edm-v") else DirectSchedule()
    else:
        clock = schedule if isinstance(schedule, NoiseSchedule) else VPSchedule(schedule)

    return AdaptedDenoiser(
        _Callable(f, label_dim, null_label),
        prediction,
        clock,
        image_shape,
        module=f if isinstance(f, nn.Module) else None,
        label_dim=label_dim,
        unconditional=unconditional or null_label is not None,
        about={"network": type(f).__name__},
    )


def from_denoising_diffusion_pytorch(diffusion: Any) -> AdaptedDenoiser:
    """A denoiser from a ``GaussianDiffusion`` or an ``ElucidatedDiffusion`` of denoising-diffusion-pytorch.

    Its own ``alphas_cumprod`` or ``sigma_data`` and its ``objective`` are used. With ``auto_normalize`` the package
    trains on images in [-1, 1], which are what the denoiser takes and gives. Classes of its
    ``classifier_free_guidance`` module are labels; None asks with all of them dropped. Self-conditioning is left
    out (the network gets zeros, as on its own first step).

    Raises `InvalidInputError` for an object of another kind or an unknown objective.
    """
    if hasattr(diffusion, "objective") and hasattr(diffusion, "alphas_cumprod") and hasattr(diffusion, "model"):
        net: Any = diffusion.model
        if diffusion.objective not in _OBJECTIVES:
            raise InvalidInputError(
                f"objective is {diffusion.objective!r}; expected one of {', '.join(map(repr, _OBJECTIVES))}"
            )
        prediction = _OBJECTIVES[diffusion.objective]
        # The float32 buffer loses the first steps' 1 - alphas_cumprod, so it is made from the betas again.
        betas = getattr(diffusion, "betas", None)
        kept = diffusion.alphas_cumprod if betas is None else torch.cumprod(1.0 - betas.double().cpu(), dim=0)
        schedule: NoiseSchedule = VPSchedule(kept.detach().cpu().numpy())
    elif hasattr(diffusion, "preconditioned_network_forward") and hasattr(diffusion, "net"):
        net = diffusion.net
        prediction = "edm"
        schedule = EDMSchedule(
            float(diffusion.sigma_data), sigma_min=float(diffusion.sigma_min), sigma_max=float(diffusion.sigma_max)
        )
    else:
        raise InvalidInputError(
            f"the object is a {type(diffusion).__name__}; expected a GaussianDiffusion with model, objective and "
            "alphas_cumprod, or an ElucidatedDiffusion with net"
        )
    size = np.broadcast_to(diffusion.image_size, 2)
    classes = getattr(getattr(net, "classes_emb", None), "num_embeddings", 0)
    return AdaptedDenoiser(
        _WithClasses(net) if classes else _Callable(net),
        prediction,
        schedule,
        (int(diffusion.channels), int(size[0]), int(size[1])),
        module=net,
        label_dim=int(classes),
        about={"network": f"denoising-diffusion-pytorch {type(diffusion).__name__}"},
    )


@dataclass
class _Callable:
    """A `Network` that leaves the labels out where there are none; a class, so that copies hold a copy of ``f``."""

    f: Callable[..., Tensor]
    label_dim: int = 0
    null_label: int | None = None

    def __call__(self, x: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        if not self.label_dim:
            return self.f(x, time)
        if labels is None and self.null_label is not None:
            labels = torch.full((len(x),), self.null_label, dtype=torch.int64, device=x.device)
        return self.f(x, time, labels)


@dataclass
class _WithClasses:
    """A `Network` around a U-Net of denoising-diffusion-pytorch's classifier-free guidance."""

    net: Any

    def __call__(self, x: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        classes = torch.zeros(len(x), dtype=torch.int64, device=x.device) if labels is None else labels
        found: Tensor = self.net(x, time, classes, cond_drop_prob=1.0 if labels is None else 0.0)
        return found
